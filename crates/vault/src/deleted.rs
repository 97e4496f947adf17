//! Deleted objects: recoverable until they are purged, by somebody who may or when their time has come (Key Vault soft delete).
//!
//! Deleting moves an object's head; its versions stay where they are, and come back with it. Purging drops the head in one commit, so
//! that its name is free at once; what is left of the versions is `garbage`. A certificate takes its key and secret along.

use crate::{
    Head, Kind, Vault, VaultError, certificates,
    garbage::Garbage,
    keys::Keys,
    object::{self, Version},
    schedule::{self, Due, Task},
    secrets::Secrets,
};
use access::Permit;
use domain::{ObjectId, ObjectKind, ObjectName, Timestamp, VaultId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, Write, delete as unwrite, put, refuse};

/// An object that was deleted and can be recovered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Deleted<K: Kind> {
    /// Its head, as it was.
    pub head: Head<K>,
    /// When it was deleted.
    pub deleted: Timestamp,
    /// When it is purged, if nobody does so before.
    pub purge_at: Timestamp,
}

impl<K: Kind> Deleted<K> {
    pub(crate) fn prefix(vault: VaultId) -> Key {
        Key::new(format!("deleted-{}/{vault}/", K::KIND))
    }

    fn due(&self, vault: &Vault) -> Due {
        let task = Task::Purge { kind: K::KIND, name: self.head.name.clone(), object: self.head.id };
        Due { at: self.purge_at, vault: vault.name.clone(), vault_id: vault.id, task }
    }
}

impl<K: Kind> Record for Deleted<K> {
    type Id = (VaultId, ObjectName);

    fn key((vault, name): &Self::Id) -> Key {
        let kind = K::KIND.as_str().as_bytes();
        Key::of(&[b"deleted-", kind, b"/", vault.text().as_ref(), b"/", name.folded().as_bytes()])
    }
}

/// A deleted object with what is said of its latest version.
#[derive(Clone, Debug)]
pub struct DeletedObject<K: Kind> {
    /// The deletion.
    pub deleted: Arc<Deleted<K>>,
    /// The latest version.
    pub version: Arc<Version<K>>,
}

/// Deletes an object with all its versions.
pub(crate) fn delete<K: Kind>(
    permit: &Permit<K::Delete>,
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    now: Timestamp,
) -> Result<Decision<DeletedObject<K>>, Halt<VaultError>> {
    let found = object::find::<K>(view, permit.vault(), name, None)?;
    if found.head.managed {
        let (kind, name) = (K::KIND, found.head.name.clone());
        return refuse(VaultError::ManagedByCertificate { kind, name, operation: "delete" });
    }
    let (deleted, mut writes) = retire::<K>(vault, &found.head, now);
    writes.push(deleted.due(vault).put());
    if K::KIND == ObjectKind::Certificate {
        writes.push(certificates::unwrite_pending(vault.id, name));
        writes.extend(retire_managed::<Keys>(view, vault, name, now)?);
        writes.extend(retire_managed::<Secrets>(view, vault, name, now)?);
    }
    Ok(Decision::of(DeletedObject { deleted: Arc::new(deleted), version: found.version }, writes))
}

fn retire<K: Kind>(vault: &Vault, head: &Head<K>, now: Timestamp) -> (Deleted<K>, Vec<Write>) {
    let deleted = Deleted { head: head.clone(), deleted: now, purge_at: vault.purge_at(now) };
    let id = (vault.id, head.name.clone());
    let mut writes = vec![unwrite::<Head<K>>(&id), put::<Deleted<K>>(&id, &deleted)];
    writes.extend(schedule::moved(vault, Some(head), None));
    (deleted, writes)
}

/// What a certificate takes along. It has no time of its own to be purged.
fn retire_managed<K: Kind>(
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<VaultError>> {
    match view.get::<Head<K>>(&(vault.id, name.clone()))? {
        Some(head) if head.managed => Ok(retire::<K>(vault, &head, now).1),
        _ => Ok(Vec::new()),
    }
}

fn find<K: Kind>(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
) -> Result<Arc<Deleted<K>>, Halt<VaultError>> {
    match view.get::<Deleted<K>>(&(vault, name.clone()))? {
        Some(deleted) => Ok(deleted),
        None => refuse(VaultError::DeletedObjectNotFound { kind: K::KIND, name: name.clone() }),
    }
}

fn with_latest<K: Kind>(
    view: &View,
    vault: VaultId,
    deleted: Arc<Deleted<K>>,
) -> Result<DeletedObject<K>, Halt<VaultError>> {
    match deleted.head.version(view, vault, deleted.head.latest)? {
        Some(version) => Ok(DeletedObject { deleted, version }),
        None => refuse(object::not_found::<K>(&deleted.head.name, Some(deleted.head.latest))),
    }
}

/// Sees a deleted object.
pub(crate) fn see<K: Kind>(
    permit: &Permit<K::GetDeleted>,
    view: &View,
    name: &ObjectName,
) -> Result<DeletedObject<K>, Halt<VaultError>> {
    let deleted = find::<K>(view, permit.vault(), name)?;
    with_latest(view, permit.vault(), deleted)
}

/// The deleted objects of listed names. What belongs to a certificate is not listed, and one that is gone by now is left out.
pub(crate) fn list<K: Kind>(
    permit: &Permit<K::ListDeleted>,
    view: &View,
    names: &[ObjectName],
) -> Result<Vec<DeletedObject<K>>, Halt<VaultError>> {
    let mut items = Vec::with_capacity(names.len());
    for name in names {
        match view.get::<Deleted<K>>(&(permit.vault(), name.clone()))? {
            Some(deleted) if !deleted.head.managed => items.push(with_latest(view, permit.vault(), deleted)?),
            _ => {}
        }
    }
    Ok(items)
}

/// Brings a deleted object back, with all its versions.
pub(crate) fn recover<K: Kind>(
    permit: &Permit<K::Recover>,
    view: &View,
    vault: &Vault,
    name: &ObjectName,
) -> Result<Decision<object::Object<K>>, Halt<VaultError>> {
    let deleted = find::<K>(view, permit.vault(), name)?;
    if deleted.head.managed {
        let (kind, name) = (K::KIND, deleted.head.name.clone());
        return refuse(VaultError::ManagedByCertificate { kind, name, operation: "recover" });
    }
    let back = with_latest(view, permit.vault(), deleted.clone())?;
    let mut writes = revive::<K>(vault, &deleted);
    writes.push(deleted.due(vault).unput());
    if K::KIND == ObjectKind::Certificate {
        writes.extend(revive_managed::<Keys>(view, vault, name)?);
        writes.extend(revive_managed::<Secrets>(view, vault, name)?);
    }
    let object = object::Object { head: Arc::new(deleted.head.clone()), version: back.version };
    Ok(Decision::of(object, writes))
}

fn revive<K: Kind>(vault: &Vault, deleted: &Deleted<K>) -> Vec<Write> {
    let id = (vault.id, deleted.head.name.clone());
    let mut writes = vec![unwrite::<Deleted<K>>(&id), put::<Head<K>>(&id, &deleted.head)];
    writes.extend(schedule::moved(vault, None, Some(&deleted.head)));
    writes
}

fn revive_managed<K: Kind>(
    view: &View,
    vault: &Vault,
    name: &ObjectName,
) -> Result<Vec<Write>, Halt<VaultError>> {
    match view.get::<Deleted<K>>(&(vault.id, name.clone()))? {
        Some(deleted) if deleted.head.managed => Ok(revive::<K>(vault, &deleted)),
        _ => Ok(Vec::new()),
    }
}

/// Deletes a deleted object for good, for somebody who may.
pub(crate) fn purge<K: Kind>(
    permit: &Permit<K::Purge>,
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    now: Timestamp,
) -> Result<Decision<()>, Halt<VaultError>> {
    let deleted = find::<K>(view, permit.vault(), name)?;
    if deleted.head.managed {
        let (kind, name) = (K::KIND, deleted.head.name.clone());
        return refuse(VaultError::ManagedByCertificate { kind, name, operation: "purge" });
    }
    if vault.purge_protection {
        return refuse(VaultError::PurgeProtected { vault: vault.name.clone() });
    }
    drop_all::<K>(view, vault, &deleted, now)
}

/// Deletes a deleted object for good since its time has come. Nothing, if it was recovered or purged since.
pub(crate) fn purge_when_due<K: Kind>(
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    object: ObjectId,
    now: Timestamp,
) -> Result<Decision<bool>, Halt<VaultError>> {
    match view.get::<Deleted<K>>(&(vault.id, name.clone()))? {
        Some(deleted) if deleted.head.id == object && deleted.purge_at <= now => {
            Ok(Decision::of(true, drop_all::<K>(view, vault, &deleted, now)?.writes))
        }
        _ => Ok(Decision::read(false)),
    }
}

fn drop_all<K: Kind>(
    view: &View,
    vault: &Vault,
    deleted: &Deleted<K>,
    now: Timestamp,
) -> Result<Decision<()>, Halt<VaultError>> {
    let mut writes = drop_one::<K>(vault, deleted, now);
    writes.push(deleted.due(vault).unput());
    if K::KIND == ObjectKind::Certificate {
        writes.extend(drop_managed::<Keys>(view, vault, &deleted.head.name, now)?);
        writes.extend(drop_managed::<Secrets>(view, vault, &deleted.head.name, now)?);
    }
    Ok(Decision::of((), writes))
}

fn drop_one<K: Kind>(vault: &Vault, deleted: &Deleted<K>, now: Timestamp) -> Vec<Write> {
    let garbage = Garbage::condemned::<K>(vault.id, deleted.head.id, now);
    vec![unwrite::<Deleted<K>>(&(vault.id, deleted.head.name.clone())), garbage.put()]
}

fn drop_managed<K: Kind>(
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<VaultError>> {
    match view.get::<Deleted<K>>(&(vault.id, name.clone()))? {
        Some(deleted) if deleted.head.managed => Ok(drop_one::<K>(vault, &deleted, now)),
        _ => Ok(Vec::new()),
    }
}
