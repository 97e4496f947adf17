//! Versions of keys as requests make, take in and change them.

use super::{KeyAbout, KeyContent, KeyFault, KeyKind, KeyOp, Keys, ReleasePolicy, release, rotation};
use crate::{
    Attributes, AttributesChange, Vault, VaultError,
    attributes::check_tags,
    object::{self, Kind as _, Object, Place, Version, VersionChange},
    schedule,
};
use access::{Action, CreateKey, ImportKey, Permit, UpdateKey};
use crypt::{
    Sealed,
    keys::{AesSize, Curve, KeySpec, KeyType, PrivateJwk, PrivateKey, RsaSize},
};
use domain::{ObjectName, ObjectVersion, Timestamp};
use std::collections::BTreeMap;
use store::{Decision, Halt, View};

/// What a request says of a new version besides the key itself.
#[derive(Clone, Debug, Default)]
pub struct KeyTerms {
    /// What it may be used for; what its type is for, if nothing is said.
    pub operations: Option<Vec<KeyOp>>,
    /// Its attributes.
    pub attributes: AttributesChange,
    /// May it be released?
    pub exportable: bool,
    /// Under which conditions.
    pub release: Option<ReleasePolicy>,
    /// Names and values of the caller's own.
    pub tags: BTreeMap<String, String>,
}

/// A new version as a request asks for it (Key Vault: `KeyCreateParameters`).
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its type.
    pub kind: KeyKind,
    /// In bits.
    pub size: Option<i64>,
    /// Of an EC key.
    pub curve: Option<Curve>,
    /// Of an RSA key. The SDK for Java says 0 where its caller has said nothing.
    pub public_exponent: Option<i64>,
    /// What is said besides.
    pub terms: KeyTerms,
}

/// A key from outside as a request brings it (Key Vault: `KeyImportParameters`).
#[derive(Debug)]
pub struct ImportedKey {
    /// Its type.
    pub kind: KeyKind,
    /// Its members.
    pub jwk: PrivateJwk,
    /// What is said besides.
    pub terms: KeyTerms,
}

/// A change of a version that is there (Key Vault: `KeyUpdateParameters`).
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// Replaces all, if said.
    pub operations: Option<Vec<KeyOp>>,
    /// Must be as it was, if said.
    pub exportable: Option<bool>,
    /// Replaces, if said.
    pub release: Option<ReleasePolicy>,
    /// What all kinds of objects let change.
    pub change: VersionChange,
}

impl NewKey {
    /// What is to be made.
    pub(crate) fn spec(&self) -> Result<KeySpec, VaultError> {
        let key_type = self.kind.key_type;
        let of_size = |bits: i64, spec: Option<KeySpec>| spec.ok_or(KeyFault::Size { key_type, bits });
        let bits = |bits: i64| usize::try_from(bits).unwrap_or_default();
        let spec = match key_type {
            KeyType::Rsa => {
                if !matches!(self.public_exponent, None | Some(0 | 65_537)) {
                    return Err(KeyFault::PublicExponent.into());
                }
                let size = self.size.unwrap_or(2_048);
                of_size(size, RsaSize::from_bits(bits(size)).map(KeySpec::Rsa))
            }
            KeyType::Oct => {
                let size = self.size.unwrap_or(256);
                of_size(size, AesSize::from_bits(bits(size)).map(KeySpec::Oct))
            }
            KeyType::Ec => match (self.curve, self.size) {
                (None, None) => Ok(KeySpec::Ec(Curve::P256)),
                (Some(curve), None) => Ok(KeySpec::Ec(curve)),
                (Some(curve), Some(bits)) if bits == bits_of(curve) => Ok(KeySpec::Ec(curve)),
                (Some(_), Some(bits)) => Err(KeyFault::SizeOfCurve { bits }),
                (None, Some(bits)) => {
                    let curve = [Curve::P256, Curve::P384, Curve::P521]
                        .into_iter()
                        .find(|curve| bits_of(*curve) == bits);
                    of_size(bits, curve.map(KeySpec::Ec))
                }
            },
        };
        Ok(spec?)
    }
}

/// What Key Vault calls the size of a curve's keys.
const fn bits_of(curve: Curve) -> i64 {
    match curve {
        Curve::P256 | Curve::P256K => 256,
        Curve::P384 => 384,
        Curve::P521 => 521,
    }
}

impl KeyTerms {
    pub(crate) fn check(&self) -> Result<(), VaultError> {
        check_tags(&self.tags, Keys::TAG_CHARS_MAX)?;
        match (&self.release, self.exportable) {
            (None, true) => Err(KeyFault::ReleasePolicyMissing.into()),
            (Some(_), false) => Err(KeyFault::ReleasePolicyUnused.into()),
            (Some(policy), true) => Ok(release::authorities(policy).map(drop)?),
            (None, false) => Ok(()),
        }
    }

    /// The version that is asked for, of this key.
    pub(crate) fn version(
        &self,
        version: ObjectVersion,
        (key, is_hsm): (&PrivateKey, bool),
        sealed: Sealed,
        now: Timestamp,
    ) -> Version<Keys> {
        let defaults = || KeyOp::defaults(key.spec().key_type());
        let operations = self.operations.clone().unwrap_or_else(defaults);
        let content = KeyContent {
            exportable: self.exportable,
            release: self.release.clone(),
            ..KeyContent::of(key, is_hsm, &operations, sealed)
        };
        Version {
            version,
            attributes: Attributes::new(self.attributes, now),
            tags: self.tags.clone(),
            content,
        }
    }
}

/// The actions that bring a new version of the asker's own.
pub(crate) trait AddsKey: Action {}
impl AddsKey for CreateKey {}
impl AddsKey for ImportKey {}

/// Where a new version goes.
pub(crate) fn place<A: AddsKey>(
    permit: &Permit<A>,
    view: &View,
    name: &ObjectName,
    fresh: domain::ObjectId,
) -> Result<Place<Keys>, Halt<VaultError>> {
    object::place::<Keys>(view, permit.vault(), name, fresh, false)
}

/// Adds a version and makes it the latest.
pub(crate) fn add<A: AddsKey>(
    _permit: &Permit<A>,
    vault: &Vault,
    place: Place<Keys>,
    version: Version<Keys>,
) -> Result<Decision<Object<Keys>>, Halt<VaultError>> {
    append(vault, place, version)
}

/// The same for whoever has decided that it is to be. The rotation policy stays, and is due anew.
pub(super) fn append(
    vault: &Vault,
    place: Place<Keys>,
    version: Version<Keys>,
) -> Result<Decision<Object<Keys>>, Halt<VaultError>> {
    let before = place.head.clone();
    let rotation = before.as_ref().and_then(|head| head.about.rotation.clone());
    let due = rotation::due_at(rotation.as_ref(), &version);
    let mut added = place.add(version, false, KeyAbout { rotation, due })?;
    added.writes.extend(schedule::moved(vault, before.as_deref(), Some(&*added.value.head)));
    Ok(added)
}

/// Changes what is said of a version; the key stays. If it is the latest, it may be due at another time.
pub(crate) fn update(
    permit: &Permit<UpdateKey>,
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    change: &KeyChange,
    now: Timestamp,
) -> Result<Decision<Object<Keys>>, Halt<VaultError>> {
    let mut updated = object::update::<Keys>(permit, view, name, version, &change.change, now, |content| {
        if change.exportable.is_some_and(|exportable| exportable != content.exportable) {
            return Err(KeyFault::ExportableFixed.into());
        }
        if let Some(operations) = &change.operations {
            content.permit(operations);
        }
        if let Some(policy) = &change.release {
            change_release(content, policy)?;
        }
        Ok(())
    })?;
    let Object { head, version } = updated.after();
    if version.version == head.latest {
        let due = rotation::due_at(head.about.rotation.as_ref(), version);
        let about = KeyAbout { due, ..head.about.clone() };
        updated.about(about);
    }
    updated.decided(vault)
}

fn change_release(content: &mut KeyContent, policy: &ReleasePolicy) -> Result<(), VaultError> {
    if !content.exportable {
        return Err(KeyFault::ReleasePolicyUnused.into());
    }
    if content.release.as_ref().is_some_and(|old| old.immutable && old != policy) {
        return Err(KeyFault::ReleasePolicyImmutable.into());
    }
    release::authorities(policy)?;
    content.release = Some(policy.clone());
    Ok(())
}
