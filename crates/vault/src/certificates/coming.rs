//! A certificate of which the first version is still to come. It has no head: its pending operation stands for it, in progress or not, until
//! a version comes or somebody forgets the operation. It is seen, changed, deleted, recovered and purged like one that is there.

use super::{CertificatePolicy, Certificates, DeletedEarly, ListedDeleted, Pending, PendingStatus};
use crate::{
    Vault, VaultError,
    attributes::check_tags,
    object::{self, Head, Kind},
    schedule::{Due, Task},
};
use access::Permit;
use domain::{ObjectId, ObjectKind, ObjectName, ObjectVersion, Timestamp, VaultId};
use std::{collections::BTreeMap, sync::Arc};
use store::{Decision, Halt, View, delete as unwrite, put, refuse};

const KIND: ObjectKind = ObjectKind::Certificate;

/// The operation that stands for a certificate of this name, deleted or not.
fn of(view: &View, vault: VaultId, name: &ObjectName) -> Result<Option<Arc<Pending>>, Halt<VaultError>> {
    let id = (vault, name.clone());
    match view.get::<Head<Certificates>>(&id)? {
        Some(_) => Ok(None),
        None => Ok(view.get::<Pending>(&id)?.filter(|pending| pending.status != PendingStatus::Completed)),
    }
}

/// One that is not deleted; with a version, if it is this that is to come.
pub(crate) fn find(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Arc<Pending>, Halt<VaultError>> {
    let is_it = |pending: &Arc<Pending>| {
        pending.deleted.is_none() && version.is_none_or(|version| version == pending.version)
    };
    match of(view, vault, name)?.filter(is_it) {
        Some(pending) => Ok(pending),
        None => refuse(object::not_found::<Certificates>(name, None)),
    }
}

fn find_deleted(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
) -> Result<(Arc<Pending>, DeletedEarly), Halt<VaultError>> {
    match of(view, vault, name)?.and_then(|pending| Some((pending.clone(), pending.deleted.clone()?))) {
        Some(found) => Ok(found),
        None => refuse(VaultError::DeletedObjectNotFound { kind: KIND, name: name.clone() }),
    }
}

fn due(vault: &Vault, name: &ObjectName, deleted: &DeletedEarly) -> Due {
    let task = Task::Purge { kind: KIND, name: name.clone(), object: deleted.object };
    Due { at: deleted.purge_at, vault: vault.name.clone(), vault_id: vault.id, task }
}

/// Changes what it will be. `policy`: how its successors are made.
pub(crate) fn change(
    permit: &Permit<access::UpdateCertificate>,
    before: &Pending,
    (enabled, tags): (Option<bool>, Option<&BTreeMap<String, String>>),
    policy: Option<CertificatePolicy>,
    now: Timestamp,
) -> Result<Decision<Arc<Pending>>, Halt<VaultError>> {
    let mut after = before.clone();
    if let Some(tags) = tags {
        check_tags(tags, Certificates::TAG_CHARS_MAX).map_err(Halt::Refuse)?;
        after.tags = tags.clone();
    }
    after.enabled = enabled.unwrap_or(before.enabled);
    after.next_policy = policy.or(after.next_policy);
    after.updated = now;
    let write = after.fitting(permit.vault())?;
    Ok(Decision::of(Arc::new(after), vec![write]))
}

/// Deletes it, with its key if it has one. `object`: names this deletion.
pub(crate) fn delete(
    permit: &Permit<access::DeleteCertificate>,
    view: &View,
    vault: &Vault,
    (name, object): (&ObjectName, ObjectId),
    now: Timestamp,
) -> Result<Decision<ListedDeleted>, Halt<VaultError>> {
    let pending = find(view, permit.vault(), name, None)?;
    let deleted = DeletedEarly { object, deleted: now, purge_at: vault.purge_at(now) };
    let after = Pending { deleted: Some(deleted.clone()), ..Pending::clone(&pending) };
    let writes = vec![after.fitting(vault.id)?, due(vault, &pending.name, &deleted).put()];
    Ok(Decision::of(ListedDeleted::Pending(Arc::new(after), deleted), writes))
}

/// Sees one that is deleted.
pub(crate) fn see_deleted(
    permit: &Permit<access::GetDeletedCertificate>,
    view: &View,
    name: &ObjectName,
) -> Result<ListedDeleted, Halt<VaultError>> {
    let (pending, deleted) = find_deleted(view, permit.vault(), name)?;
    Ok(ListedDeleted::Pending(pending, deleted))
}

/// One that is deleted, for a list.
pub(crate) fn listed_deleted(
    permit: &Permit<access::ListDeletedCertificates>,
    view: &View,
    name: &ObjectName,
) -> Result<Option<ListedDeleted>, Halt<VaultError>> {
    let pending = of(view, permit.vault(), name)?;
    Ok(pending.and_then(|pending| Some(ListedDeleted::Pending(pending.clone(), pending.deleted.clone()?))))
}

/// Brings one back. One that was in progress can be merged again.
pub(crate) fn recover(
    permit: &Permit<access::RecoverCertificate>,
    view: &View,
    vault: &Vault,
    name: &ObjectName,
) -> Result<Decision<Arc<Pending>>, Halt<VaultError>> {
    let (pending, deleted) = find_deleted(view, permit.vault(), name)?;
    let back = Pending { deleted: None, ..Pending::clone(&pending) };
    let writes = vec![
        put::<Pending>(&(vault.id, pending.name.clone()), &back),
        due(vault, &back.name, &deleted).unput(),
    ];
    Ok(Decision::of(Arc::new(back), writes))
}

/// Deletes a deleted one for good, for somebody who may. Its name is free, and its key gone.
pub(crate) fn purge(
    permit: &Permit<access::PurgeCertificate>,
    view: &View,
    vault: &Vault,
    name: &ObjectName,
) -> Result<Decision<()>, Halt<VaultError>> {
    let (pending, deleted) = find_deleted(view, permit.vault(), name)?;
    if vault.purge_protection {
        return refuse(VaultError::PurgeProtected { vault: vault.name.clone() });
    }
    let writes = vec![
        unwrite::<Pending>(&(vault.id, pending.name.clone())),
        due(vault, &pending.name, &deleted).unput(),
    ];
    Ok(Decision::of((), writes))
}

/// Deletes it for good since its time has come. `false`, if it was recovered or purged since, or was never one.
pub(crate) fn purge_when_due(
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    object: ObjectId,
    now: Timestamp,
) -> Result<Decision<bool>, Halt<VaultError>> {
    let is_due = |deleted: &DeletedEarly| deleted.object == object && deleted.purge_at <= now;
    match of(view, vault.id, name)?.and_then(|pending| pending.deleted.clone()) {
        Some(deleted) if is_due(&deleted) => {
            let writes =
                vec![unwrite::<Pending>(&(vault.id, name.clone())), due(vault, name, &deleted).unput()];
            Ok(Decision::of(true, writes))
        }
        _ => Ok(Decision::read(false)),
    }
}
