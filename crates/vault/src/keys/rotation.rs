//! Rotation: the policy of a key, when it is due, and the version that comes after another.
//!
//! A policy's actions are kept as they were set. `Rotate` is done when it is due (`service::maintenance`); `Notify` is kept and told, and
//! nobody is notified: there is no event service here.

use super::{KeyAbout, KeyContent, KeyFault, Keys, period::Period, versions};
use crate::{
    Attributes, Vault, VaultError,
    attributes::AttributesChange,
    object::{self, Change, Object, Version},
};
use access::{GetRotationPolicy, Permit, RotateKey, SetRotationPolicy};
use crypt::{
    Sealed,
    keys::{KeySpec, PrivateKey},
};
use domain::{ObjectId, ObjectName, ObjectVersion, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, View, refuse};

/// Fewest days from making a version to its rotation, and from there to its expiry. Source: Key Vault, key autorotation.
const DAYS_MIN: i64 = 7;
/// Fewest days for which a version is valid. Source: Key Vault, key autorotation.
const EXPIRY_DAYS_MIN: i64 = 28;

/// What happens to a key in its life (Key Vault: `LifetimeActionsType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifetimeActionKind {
    /// A new version is made.
    Rotate,
    /// Somebody is told.
    Notify,
}

/// What happens, and when (Key Vault: `LifetimeActions`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifetimeAction {
    /// What.
    pub action: LifetimeActionKind,
    /// So long after the latest version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_create: Option<Period>,
    /// So long before it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_expiry: Option<Period>,
}

/// How a key is renewed (Key Vault: `KeyRotationPolicy`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPolicy {
    /// At most one of each kind.
    pub actions: Vec<LifetimeAction>,
    /// For how long a version that a rotation makes is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Period>,
    /// When there was first a policy; none of the default.
    pub created: Option<Timestamp>,
    /// When it was last set.
    pub updated: Option<Timestamp>,
}

/// A policy as a request asks for it.
#[derive(Clone, Debug, Default)]
pub struct NewRotationPolicy {
    /// At most one of each kind.
    pub actions: Vec<LifetimeAction>,
    /// For how long a version that a rotation makes is valid.
    pub expiry: Option<Period>,
}

impl RotationPolicy {
    /// What a key has to which none was ever set.
    fn default_of_keys() -> Self {
        let notify = LifetimeAction {
            action: LifetimeActionKind::Notify,
            after_create: None,
            before_expiry: "P30D".parse().ok(),
        };
        Self { actions: vec![notify], expiry: None, created: None, updated: None }
    }
}

impl NewRotationPolicy {
    /// Key Vault's rules (key autorotation; `KeyRotationPolicy`).
    fn check(&self) -> Result<(), KeyFault> {
        let fault = |rule| Err(KeyFault::RotationPolicy { rule });
        let days = |period: &Option<Period>| period.as_ref().map(Period::about_days);
        let expiry = days(&self.expiry);
        if expiry.is_some_and(|days| days < EXPIRY_DAYS_MIN) {
            return fault("expiryTime must be at least P28D");
        }
        for kind in [LifetimeActionKind::Rotate, LifetimeActionKind::Notify] {
            if self.actions.iter().filter(|action| action.action == kind).count() > 1 {
                return fault("there may be one Rotate and one Notify action at most");
            }
        }
        for action in &self.actions {
            match (action.action, days(&action.after_create), days(&action.before_expiry)) {
                (_, None, None) | (_, Some(_), Some(_)) => {
                    return fault("a trigger must have either timeAfterCreate or timeBeforeExpiry");
                }
                (LifetimeActionKind::Notify, Some(_), None) => {
                    return fault("the trigger of a Notify action must be timeBeforeExpiry");
                }
                (_, Some(days), None) if days < DAYS_MIN => {
                    return fault("timeAfterCreate must be at least P7D");
                }
                (_, None, Some(days)) if days < DAYS_MIN => {
                    return fault("timeBeforeExpiry must be at least P7D");
                }
                (LifetimeActionKind::Rotate, Some(after), None)
                    if expiry.is_some_and(|expiry| after > expiry - DAYS_MIN) =>
                {
                    return fault("timeAfterCreate must be at least seven days shorter than expiryTime");
                }
                (LifetimeActionKind::Rotate, None, Some(_)) if expiry.is_none() => {
                    return fault("a Rotate action with timeBeforeExpiry needs an expiryTime");
                }
                (LifetimeActionKind::Rotate, None, Some(before))
                    if expiry.is_some_and(|expiry| before > expiry - DAYS_MIN) =>
                {
                    return fault("timeBeforeExpiry must be at least seven days shorter than expiryTime");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// When the latest version of a key is to be followed by another. Never, if it is disabled: a key that was switched off does not come back
/// by itself.
pub(super) fn due_at(policy: Option<&RotationPolicy>, latest: &Version<Keys>) -> Option<Timestamp> {
    let attributes = latest.attributes;
    if !attributes.enabled {
        return None;
    }
    let rotate = policy?.actions.iter().find(|action| action.action == LifetimeActionKind::Rotate)?;
    match (&rotate.after_create, &rotate.before_expiry) {
        (Some(period), _) => Some(period.after(attributes.created)),
        (None, Some(period)) => attributes.expires.map(|expires| period.before(expires)),
        (None, None) => None,
    }
}

/// A key's policy; the default one, if none was ever set.
pub(crate) fn policy(
    permit: &Permit<GetRotationPolicy>,
    view: &View,
    name: &ObjectName,
) -> Result<(ObjectName, RotationPolicy), Halt<VaultError>> {
    let head = object::head::<Keys>(view, permit.vault(), name)?;
    let policy = head.about.rotation.clone().unwrap_or_else(RotationPolicy::default_of_keys);
    Ok((head.name.clone(), policy))
}

/// Sets a key's policy, and when it is due by it.
pub(crate) fn set_policy(
    permit: &Permit<SetRotationPolicy>,
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    asked: &NewRotationPolicy,
    now: Timestamp,
) -> Result<Decision<(ObjectName, RotationPolicy)>, Halt<VaultError>> {
    asked.check().map_err(|fault| Halt::Refuse(fault.into()))?;
    let found = object::find::<Keys>(view, permit.vault(), name, None)?;
    if found.head.managed {
        let name = found.head.name.clone();
        return refuse(VaultError::ManagedByCertificate {
            kind: domain::ObjectKind::Key,
            name,
            operation: "setrotationpolicy",
        });
    }
    let created = found.head.about.rotation.as_ref().and_then(|policy| policy.created).unwrap_or(now);
    let policy = RotationPolicy {
        actions: asked.actions.clone(),
        expiry: asked.expiry.clone(),
        created: Some(created),
        updated: Some(now),
    };
    let due = due_at(Some(&policy), &found.version);
    let mut change = Change::of(found);
    change.about(KeyAbout { rotation: Some(policy.clone()), due });
    let decision = change.decided(vault)?;
    Ok(Decision::of((decision.value.head.name.clone(), policy), decision.writes))
}

/// The version of a key that is to be followed by another, and what the other must be like: it is made outside of the decision.
pub(crate) fn to_follow(
    permit: &Permit<RotateKey>,
    view: &View,
    name: &ObjectName,
) -> Result<(Object<Keys>, KeySpec), Halt<VaultError>> {
    followed(view, permit.vault(), name)
}

fn followed(
    view: &View,
    vault: domain::VaultId,
    name: &ObjectName,
) -> Result<(Object<Keys>, KeySpec), Halt<VaultError>> {
    // Refuses what belongs to a certificate. No new object is made: the key was found.
    let found = object::find::<Keys>(view, vault, name, None)?;
    if found.head.managed {
        let name = found.head.name.clone();
        return refuse(VaultError::ManagedByCertificate {
            kind: domain::ObjectKind::Key,
            name,
            operation: "rotate",
        });
    }
    let spec = found.version.content.spec().map_err(|error| Halt::Refuse(error.into()))?;
    Ok((found, spec))
}

/// The same for a rotation that nobody asks for but the key's policy. Nothing, if the key is gone, another, or not due any more.
pub(crate) fn to_follow_when_due(
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    object: ObjectId,
    now: Timestamp,
) -> Result<Option<(Object<Keys>, KeySpec)>, Halt<VaultError>> {
    match view.get::<object::Head<Keys>>(&(vault.id, name.clone()))? {
        Some(head) if head.id == object && head.about.due.is_some_and(|due| due <= now) => {
            followed(view, vault.id, name).map(Some)
        }
        _ => Ok(None),
    }
}

/// Adds the version that follows another: of the same type, size and operations, with its tags, valid for as long as the policy says
/// (Key Vault: Rotate Key).
pub(crate) fn follow(
    vault: &Vault,
    found: &Object<Keys>,
    (version, key, sealed): (ObjectVersion, &PrivateKey, Sealed),
    now: Timestamp,
) -> Result<Decision<Object<Keys>>, Halt<VaultError>> {
    let (old, expiry) =
        (&found.version, found.head.about.rotation.as_ref().and_then(|policy| policy.expiry.as_ref()));
    let asked =
        AttributesChange { expires: expiry.map(|expiry| expiry.after(now)), ..AttributesChange::default() };
    let content = KeyContent {
        exportable: old.content.exportable,
        release: old.content.release.clone(),
        ..KeyContent::of(key, old.content.kind.is_hsm, &old.content.operations, sealed)
    };
    let version =
        Version { version, attributes: Attributes::new(asked, now), tags: old.tags.clone(), content };
    versions::append(vault, object::Place::of(vault.id, Arc::clone(&found.head)), version)
}
