//! Who may use a key, and when it may be used: decided anew for each operation, together with what the key is.

use super::{KeyFault, KeyOp, Keys, PublicHalf};
use crate::{
    Vault, VaultError,
    object::{self, Head, Object},
};
use access::{Action, ActionName, Asker, Denied, GetKey, Permit};
use domain::{ObjectName, ObjectVersion, Timestamp, VaultId};
use store::{Halt, Load, View, refuse};

/// The version that is to be used, if it may be now.
pub(crate) fn to_use<A: Action>(
    permit: &Permit<A>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    operation: KeyOp,
    now: Timestamp,
) -> Result<Object<Keys>, Halt<VaultError>> {
    find(view, permit.vault(), name, version, operation, now)
}

/// Proof that somebody may use the public half of a key: by the action itself, or by seeing it where that stands in ([`access::by_seeing`]).
pub(crate) enum PublicPermit<A> {
    /// By the operation's own action.
    Own(Permit<A>),
    /// By seeing it; why it is not by the action itself is kept for a key that has no public half.
    Seeing { permit: Permit<GetKey>, lacking: Denied },
}

impl<A: Action> PublicPermit<A> {
    /// Asks for it.
    pub(crate) fn ask(
        view: &View,
        asker: &Asker<'_>,
        vault: &Vault,
        name: Option<&ObjectName>,
    ) -> Result<Self, Halt<VaultError>> {
        let scope = vault.scope();
        let lacking = match access::permit::<A>(view, asker, &scope, name) {
            Ok(permit) => return Ok(Self::Own(permit)),
            Err(Halt::Refuse(lacking)) => lacking,
            Err(Halt::Load(load)) => return Err(Halt::Load(load)),
        };
        let asked = ActionName::of::<A>();
        if !matches!(&lacking, Denied::Lacking { why, .. } if access::by_seeing(&asked, why).is_some()) {
            return refuse(VaultError::Denied(lacking));
        }
        match access::permit::<GetKey>(view, asker, &scope, name) {
            Ok(permit) => Ok(Self::Seeing { permit, lacking }),
            Err(Halt::Refuse(_)) => refuse(VaultError::Denied(lacking)),
            Err(Halt::Load(load)) => Err(Halt::Load(load)),
        }
    }

    /// Why: what the audit log says.
    pub(crate) fn because(&self) -> String {
        match self {
            Self::Own(permit) => permit.because(),
            Self::Seeing { permit, .. } => permit.because(),
        }
    }
}

/// Is this a symmetric key, of which nothing can be seen? What is not named or not there may be one of the others.
pub(crate) fn is_symmetric(view: &View, vault: VaultId, name: Option<&ObjectName>) -> Result<bool, Load> {
    let Some(name) = name else { return Ok(false) };
    let Some(head) = view.get::<Head<Keys>>(&(vault, name.clone()))? else { return Ok(false) };
    let latest = head.version(view, vault, head.latest)?;
    Ok(latest.is_some_and(|key| matches!(key.content.public, PublicHalf::Symmetric { .. })))
}

/// The version whose public half is to be used, if it may be now.
pub(crate) fn to_use_public<A: Action>(
    permit: &PublicPermit<A>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    operation: KeyOp,
    now: Timestamp,
) -> Result<Object<Keys>, Halt<VaultError>> {
    match permit {
        PublicPermit::Own(permit) => to_use(permit, view, name, version, operation, now),
        PublicPermit::Seeing { permit, lacking } => {
            let found = object::find::<Keys>(view, permit.vault(), name, version)?;
            match found.version.content.public {
                PublicHalf::Jwk(_) => usable(found, operation, now),
                PublicHalf::Symmetric { .. } => refuse(VaultError::Denied(lacking.clone())),
            }
        }
    }
}

fn find(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    operation: KeyOp,
    now: Timestamp,
) -> Result<Object<Keys>, Halt<VaultError>> {
    usable(object::find::<Keys>(view, vault, name, version)?, operation, now)
}

/// Enabled, for this operation, and in its time: outside of it what was encrypted can still be decrypted and what was signed be verified,
/// and nothing new is made (Key Vault: date-time controlled operations).
fn usable(found: Object<Keys>, operation: KeyOp, now: Timestamp) -> Result<Object<Keys>, Halt<VaultError>> {
    let (attributes, name) = (found.version.attributes, || found.head.name.clone());
    let said = operation.as_str();
    if !attributes.enabled {
        return refuse(KeyFault::Disabled { name: name(), operation: said }.into());
    }
    if !found.version.content.operations.contains(&operation) {
        return refuse(KeyFault::OperationForbidden { operation }.into());
    }
    if matches!(operation, KeyOp::Encrypt | KeyOp::WrapKey | KeyOp::Sign) {
        if let Some(from) = attributes.not_before.filter(|from| now < *from) {
            return refuse(KeyFault::NotYetValid { name: name(), operation: said, from }.into());
        }
        if let Some(since) = attributes.expires.filter(|since| *since <= now) {
            return refuse(KeyFault::Expired { name: name(), operation: said, since }.into());
        }
    }
    Ok(found)
}
