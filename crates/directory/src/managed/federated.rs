//! For which user-assigned identities outside issuers vouch. Pure: whoever owns the identity decides in the same view who may change that,
//! and commits what is answered.
//!
//! A credential is never changed in place: another one takes its name, so that what was got by the one of before falls with it.

use crate::{DirectoryError, FederatedCredential, credentials};
use access::Principal;
use domain::{CredentialId, PrincipalId, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, Write};

/// Which federated credentials an identity has, records of their own. There is none of these for an identity that has none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Vouchers {
    ids: Vec<CredentialId>,
}

impl Record for Vouchers {
    type Id = PrincipalId;

    fn key(id: &PrincipalId) -> Key {
        Key::new(format!("principal-federated/{id}"))
    }
}

/// All that an identity has, in the order in which they were made.
///
/// # Errors
/// What must be loaded first.
pub fn all(
    view: &View,
    identity: PrincipalId,
) -> Result<Vec<Arc<FederatedCredential>>, Halt<DirectoryError>> {
    credentials::federated(view, &ids(view, identity)?)
}

/// One of them. Names are the same in any case.
///
/// # Errors
/// What must be loaded first.
pub fn named(
    view: &View,
    identity: PrincipalId,
    name: &str,
) -> Result<Option<Arc<FederatedCredential>>, Halt<DirectoryError>> {
    Ok(all(view, identity)?.into_iter().find(|one| is_named(one, name)))
}

/// Lets an issuer vouch for an identity under a name, instead of what stands there. Answers what stands there then, and whether nothing
/// did before. No token that was got by the one of before lives beyond `over`.
///
/// # Errors
/// [`DirectoryError::FederatedTaken`], [`DirectoryError::TooMany`]; what must be loaded first.
pub fn put(
    view: &View,
    identity: &Principal,
    added: &FederatedCredential,
    over: Timestamp,
    now: Timestamp,
) -> Result<Decision<(Arc<FederatedCredential>, bool)>, Halt<DirectoryError>> {
    let Some(before) = named(view, identity.id, &added.name)? else {
        let mut ids = ids(view, identity.id)?;
        let write = credentials::add_to(view, &mut ids, added)?;
        let writes = vec![write, store::put::<Vouchers>(&identity.id, &Vouchers { ids })];
        return Ok(Decision::of((Arc::new(added.clone()), true), writes));
    };
    // It keeps the name that it was made with.
    let after = FederatedCredential { name: before.name.clone(), created: before.created, ..added.clone() };
    if (FederatedCredential { id: before.id, ..after.clone() }) == *before {
        return Ok(Decision::read((before, false)));
    }
    let at = ids(view, identity.id)?.iter().position(|id| *id == before.id);
    let mut gone = take(view, identity, before.id, over, now)?;
    let write = credentials::add_to(view, &mut gone.ids, &after)?;
    // It is as old as the one of before, and stands where that stood.
    if let Some(behind) = at.and_then(|at| gone.ids.get_mut(at..)) {
        behind.rotate_right(1);
    }
    gone.writes.extend([write, store::put::<Vouchers>(&identity.id, &Vouchers { ids: gone.ids })]);
    Ok(Decision::of((Arc::new(after), false), gone.writes))
}

/// Takes one away: nobody gets a token by it from then on, and those that somebody got are worth nothing. Answers which, if there was one.
///
/// # Errors
/// What must be loaded first.
pub fn remove(
    view: &View,
    identity: &Principal,
    name: &str,
    over: Timestamp,
    now: Timestamp,
) -> Result<Decision<Option<Arc<FederatedCredential>>>, Halt<DirectoryError>> {
    let Some(found) = named(view, identity.id, name)? else { return Ok(Decision::read(None)) };
    let mut gone = take(view, identity, found.id, over, now)?;
    gone.writes.push(match gone.ids.is_empty() {
        true => store::delete::<Vouchers>(&identity.id),
        false => store::put::<Vouchers>(&identity.id, &Vouchers { ids: gone.ids }),
    });
    Ok(Decision::of(Some(found), gone.writes))
}

/// The writes by which an identity's ceases to have any, with the identity itself.
pub(super) fn remove_all(view: &View, identity: PrincipalId) -> Result<Vec<Write>, Halt<DirectoryError>> {
    let Some(there) = view.get::<Vouchers>(&identity)? else { return Ok(Vec::new()) };
    let mut writes: Vec<Write> = there.ids.iter().map(store::delete::<FederatedCredential>).collect();
    writes.push(store::delete::<Vouchers>(&identity));
    Ok(writes)
}

/// What is left when one is gone, and the writes by which it goes.
struct Gone {
    ids: Vec<CredentialId>,
    writes: Vec<Write>,
}

fn take(
    view: &View,
    identity: &Principal,
    id: CredentialId,
    over: Timestamp,
    now: Timestamp,
) -> Result<Gone, Halt<DirectoryError>> {
    let mut ids = ids(view, identity.id)?;
    ids.retain(|one| *one != id);
    let writes =
        vec![store::delete::<FederatedCredential>(&id), credentials::revoke(identity, id, over, now)];
    Ok(Gone { ids, writes })
}

fn ids(view: &View, identity: PrincipalId) -> Result<Vec<CredentialId>, Halt<DirectoryError>> {
    Ok(view.get::<Vouchers>(&identity)?.map(|there| there.ids.clone()).unwrap_or_default())
}

fn is_named(credential: &FederatedCredential, name: &str) -> bool {
    credential.name.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests;
