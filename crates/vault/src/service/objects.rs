//! Operations that all kinds of objects have: listing, deletion, recovery, backup.

use super::{Permitted, VaultService, permitted};
use crate::{
    Deleted, DeletedObject, Head, Kind, Object, Page, PageRequest, Vault, VaultError, Version,
    backup::{self, SavedObject},
    deleted,
    garbage::Garbage,
    object, page, schedule, vaults,
};
use access::{Action, Asker, Permit};
use domain::{ObjectKind, ObjectName, ObjectVersion, Timestamp, VaultId, VaultName, limits};
use std::{num::NonZeroU16, sync::Arc};
use store::{
    Decision, Halt, Key, Record, View, Write,
    contract::{COMMIT_BYTES_MAX, LIST_MAX, WRITES_MAX},
    list_records, put, query, refuse, transact,
};

/// How much of a commit a batch of versions fills: room for their keys is left.
const BATCH_BYTES_MAX: usize = COMMIT_BYTES_MAX / 2;
/// How many versions, likewise.
const BATCH_ITEMS_MAX: usize = WRITES_MAX / 2;
/// How often a backup or a list of versions is gathered because one was added or the latest changed meanwhile.
pub(super) const GATHERINGS_MAX: usize = 4;

/// An object whose versions are laid out in a vault, and which is not there yet.
pub(crate) struct Staged<K: Kind> {
    head: Head<K>,
    latest: Arc<Version<K>>,
    garbage: Garbage,
}

impl VaultService {
    /// A decision that reads, with its permit.
    pub(super) async fn look<A: Action, T: Send>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        object: Option<&ObjectName>,
        decide: impl Fn(&View, &Permit<A>, &Vault) -> Result<T, Halt<VaultError>> + Send + Sync,
    ) -> Result<Permitted<T>, VaultError> {
        query(&*self.store, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = permitted::<A>(view, asker, &vault, object)?;
            let value = decide(view, &permit, &vault)?;
            Ok(Permitted { value, because: permit.because(), recovery: vault.recovery() })
        })
        .await
    }

    /// A decision that writes, with its permit.
    pub(super) async fn change<A: Action, T: Send>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        object: Option<&ObjectName>,
        mut decide: impl FnMut(&View, &Permit<A>, &Vault) -> Result<Decision<T>, Halt<VaultError>> + Send,
    ) -> Result<Permitted<T>, VaultError> {
        transact(&*self.store, &*self.entropy, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = permitted::<A>(view, asker, &vault, object)?;
            let decision = decide(view, &permit, &vault)?;
            let (because, recovery) = (permit.because(), vault.recovery());
            Ok(Decision::of(Permitted { value: decision.value, because, recovery }, decision.writes))
        })
        .await
    }

    /// Sees a version, whatever its attributes say: for kinds whose content is no secret (Key Vault: Get Key).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn see<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<Permitted<Object<K>>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<K::Get>, _vault| {
            object::see::<K>(permit, view, name, version)
        })
        .await
    }

    /// A page of a vault's objects, each with its latest version (Key Vault: Get Secrets, Get Keys, Get Certificates).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn list<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        request: &PageRequest,
    ) -> Result<Permitted<Page<Object<K>>>, VaultError> {
        let id = self.may_list::<K::List>(asker, vault, None).await?.value;
        let names = self.names::<Head<K>>(&Head::<K>::prefix(id), request, |head| &head.name).await?;
        // A list is no snapshot: what is answered, and that it may be, is read together once more. So a removal that was acknowledged while
        // the page was being gathered is not outrun.
        self.again(asker, vault, id, None, names, |view, permit: &Permit<K::List>, names| {
            object::latest::<K>(permit, view, names)
        })
        .await
    }

    /// A page of an object's versions, in the order of their digits (Key Vault: Get Secret Versions and the like). Of an object that is not
    /// there the list is empty, as Key Vault's is.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn list_versions<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        request: &PageRequest,
    ) -> Result<Permitted<Page<Object<K>>>, VaultError> {
        let mut gatherings = 1;
        loop {
            let (listed, is_of_one_moment) = self.gather_versions(asker, vault, name, request).await?;
            // Who never stops writing does not keep others from being answered.
            if is_of_one_moment || gatherings == GATHERINGS_MAX {
                return Ok(listed);
            }
            gatherings += 1;
        }
    }

    /// A page of versions, and whether all of it is of one moment: it is, if the head has not changed around it.
    async fn gather_versions<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        request: &PageRequest,
    ) -> Result<(Permitted<Page<Object<K>>>, bool), VaultError> {
        let found = self.look(asker, vault, Some(name), |view, permit: &Permit<K::List>, _vault| {
            Ok((permit.vault(), view.get::<Head<K>>(&(permit.vault(), name.clone()))?))
        });
        let (id, found) = found.await?.value;
        let object = found.as_ref().map(|head| head.id);
        let versions = match &found {
            Some(head) => self.versions(id, head, request).await?,
            None => Page { items: Vec::new(), next: None },
        };
        // As above: whether it may be answered is decided after it was gathered.
        let listed =
            self.again(asker, vault, id, Some(name), versions, |view, permit: &Permit<K::List>, versions| {
                let of = |head: &Arc<Head<K>>| {
                    versions
                        .iter()
                        .map(|version| Object { head: head.clone(), version: Arc::clone(version) })
                        .collect()
                };
                let head = view.get::<Head<K>>(&(permit.vault(), name.clone()))?;
                Ok(head.filter(|head| Some(head.id) == object).map_or_else(Vec::new, |head| of(&head)))
            });
        let listed = listed.await?;
        let is_of_one_moment =
            listed.value.items.first().is_none_or(|item| Some(&item.head) == found.as_ref());
        Ok((listed, is_of_one_moment))
    }

    /// Those of a head that was read before: a version that was the latest then, and has a record of its own by now, is found here or there.
    async fn versions<K: Kind>(
        &self,
        vault: VaultId,
        head: &Head<K>,
        request: &PageRequest,
    ) -> Result<Page<Arc<Version<K>>>, VaultError> {
        let prefix = Version::<K>::prefix(vault, head.id);
        let after = request.after(&prefix)?;
        let limit = request.limit();
        let page = list_records::<Version<K>>(&*self.store, &prefix, after.as_ref(), limit).await?;
        let (mut items, mut more) = (page.items, page.more);
        if let Some(latest) = &head.whole {
            let key = Version::<K>::key(&(vault, head.id, latest.version));
            let is_of_page = after.is_none_or(|after| key > after)
                && (!more || items.last().is_some_and(|(last, _)| key < *last));
            if let (true, Err(place)) = (is_of_page, items.binary_search_by(|(other, _)| other.cmp(&key))) {
                items.insert(place, (key, latest.clone()));
            }
            more |= items.len() > usize::from(limit.get());
            items.truncate(usize::from(limit.get()));
        }
        let last = items.last().filter(|_| more);
        let next = last.and_then(|(key, _)| page::token_after(&prefix, key));
        Ok(Page { items: items.into_iter().map(|(_, version)| version).collect(), next })
    }

    /// A page of a vault's deleted objects (Key Vault: Get Deleted Secrets and the like).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn list_deleted<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        request: &PageRequest,
    ) -> Result<Permitted<Page<DeletedObject<K>>>, VaultError> {
        let id = self.may_list::<K::ListDeleted>(asker, vault, None).await?.value;
        let names = self
            .names::<Deleted<K>>(&Deleted::<K>::prefix(id), request, |deleted| &deleted.head.name)
            .await?;
        self.again(asker, vault, id, None, names, |view, permit: &Permit<K::ListDeleted>, names| {
            deleted::list::<K>(permit, view, names)
        })
        .await
    }

    async fn may_list<A: Action>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: Option<&ObjectName>,
    ) -> Result<Permitted<VaultId>, VaultError> {
        self.look(asker, vault, name, |_view, permit: &Permit<A>, _vault| Ok(permit.vault())).await
    }

    pub(super) async fn names<R: Record>(
        &self,
        prefix: &Key,
        request: &PageRequest,
        name: impl Fn(&R) -> &ObjectName,
    ) -> Result<Page<ObjectName>, VaultError> {
        let after = request.after(prefix)?;
        let page = list_records::<R>(&*self.store, prefix, after.as_ref(), request.limit()).await?;
        let last = page.items.last().filter(|_| page.more);
        let next = last.and_then(|(key, _)| page::token_after(prefix, key));
        Ok(Page { items: page.items.iter().map(|(_, record)| name(record).clone()).collect(), next })
    }

    /// Decides on a page that was gathered, in the vault in which it was.
    pub(super) async fn again<A: Action, N: Sync + Send, T: Send>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        id: VaultId,
        object: Option<&ObjectName>,
        gathered: Page<N>,
        decide: impl Fn(&View, &Permit<A>, &[N]) -> Result<Vec<T>, Halt<VaultError>> + Send + Sync,
    ) -> Result<Permitted<Page<T>>, VaultError> {
        let Page { items, next } = gathered;
        let page = query(&*self.store, |view| {
            let vault = vaults::find_again(view, vault, id)?;
            let permit = permitted::<A>(view, asker, &vault, object)?;
            let items = decide(view, &permit, &items)?;
            let value = Page { items, next: next.clone() };
            Ok::<_, Halt<VaultError>>(Permitted {
                value,
                because: permit.because(),
                recovery: vault.recovery(),
            })
        });
        page.await
    }

    /// Deletes an object with all its versions, recoverably (Key Vault: Delete Secret and the like).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn delete<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        now: Timestamp,
    ) -> Result<Permitted<DeletedObject<K>>, VaultError> {
        let deleted = self.change(asker, vault, Some(name), |view, permit: &Permit<K::Delete>, vault| {
            deleted::delete::<K>(permit, view, vault, name, now)
        });
        let deleted = deleted.await?;
        if K::KIND == ObjectKind::Key {
            self.forget_keys(|id| id.1 == deleted.value.deleted.head.id);
        }
        Ok(deleted)
    }

    /// Sees a deleted object (Key Vault: Get Deleted Secret and the like).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_deleted<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<DeletedObject<K>>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<K::GetDeleted>, _vault| {
            deleted::see::<K>(permit, view, name)
        })
        .await
    }

    /// Brings a deleted object back with all its versions (Key Vault: Recover Deleted Secret and the like).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn recover<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<Object<K>>, VaultError> {
        self.change(asker, vault, Some(name), |view, permit: &Permit<K::Recover>, vault| {
            deleted::recover::<K>(permit, view, vault, name)
        })
        .await
    }

    /// Deletes a deleted object for good; its name is free once this is acknowledged (Key Vault: Purge Deleted Secret and the like).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn purge<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        now: Timestamp,
    ) -> Result<Permitted<()>, VaultError> {
        let purged = self.change(asker, vault, Some(name), |view, permit: &Permit<K::Purge>, vault| {
            deleted::purge::<K>(permit, view, vault, name, now)
        });
        let purged = purged.await?;
        self.sweep_soon(now).await;
        Ok(purged)
    }

    /// Takes an object out, sealed, with all its versions (Key Vault: Backup Secret, Backup Key).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn backup<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<String>, VaultError> {
        for _ in 0..GATHERINGS_MAX {
            let found = self.look(asker, vault, Some(name), |view, permit: &Permit<K::Backup>, vault| {
                let head = object::head::<K>(view, permit.vault(), name)?;
                if head.managed {
                    let (kind, name) = (K::KIND, head.name.clone());
                    return refuse(VaultError::ManagedByCertificate { kind, name, operation: "backup" });
                }
                Ok((vault.clone(), head))
            });
            let found = found.await?;
            let (of, head) = &found.value;
            let saved = self.save::<K>(of, head).await?;
            let blob = backup::seal(&self.backup_key, of.tenant, K::KIND, &saved, &*self.entropy)?;
            // As with lists: that it may be answered is decided after it was gathered. So is whether head and versions are of one moment.
            let again = self.look(asker, vault, Some(name), |view, permit: &Permit<K::Backup>, vault| {
                let still = object::head::<K>(view, permit.vault(), name)?;
                if vault.id != of.id || still.id != head.id {
                    return refuse(object::not_found::<K>(name, None));
                }
                Ok(still == *head)
            });
            let Permitted { value: is_of_one_moment, because, recovery } = again.await?;
            if is_of_one_moment {
                return Ok(Permitted { value: blob, because, recovery });
            }
        }
        Err(VaultError::Contended { what: "what is backed up" })
    }

    /// An object with all its versions, each sealed anew for a backup. One that goes apart meanwhile may be in it twice: whoever
    /// asks looks whether the head is still the same.
    pub(super) async fn save<K: Kind>(
        &self,
        vault: &Vault,
        head: &Head<K>,
    ) -> Result<SavedObject<K>, VaultError> {
        let (prefix, mut after, mut versions) = (Version::<K>::prefix(vault.id, head.id), None, Vec::new());
        loop {
            let limit = NonZeroU16::new(LIST_MAX).unwrap_or(NonZeroU16::MIN);
            let page = list_records::<Version<K>>(&*self.store, &prefix, after.as_ref(), limit).await?;
            after = page.items.last().map(|(key, _)| key.clone());
            let last = head.whole.clone().filter(|_| !page.more);
            for version in page.items.into_iter().map(|(_, version)| version).chain(last) {
                let id = (vault.id, head.id, version.version);
                let plain = K::sealed(&version.content)
                    .map(|sealed| self.open::<K>(vault, &id, sealed))
                    .transpose()?;
                let version = Version::clone(&version);
                let (key, entropy) = (&self.backup_key, &*self.entropy);
                versions.push(backup::seal_version(
                    key,
                    vault.tenant,
                    head,
                    version,
                    plain.as_ref(),
                    entropy,
                )?);
            }
            if versions.len() > limits::BACKUP_VERSIONS_MAX {
                let limit = limits::BACKUP_VERSIONS_MAX;
                return Err(VaultError::TooLarge {
                    what: "the number of versions of what is backed up",
                    limit,
                });
            }
            if !page.more {
                return Ok(SavedObject { head: Head { whole: None, ..head.clone() }, versions });
            }
        }
    }

    /// Puts an object that was backed up into a vault, with all its versions (Key Vault: Restore Secret, Restore Key).
    ///
    /// # Errors
    /// [`VaultError::BackupRejected`]; [`VaultError::NameTaken`], [`VaultError::ObjectIsDeleted`]; [`VaultError`].
    pub async fn restore<K: Kind>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        blob: &str,
        now: Timestamp,
    ) -> Result<Permitted<Object<K>>, VaultError> {
        let of =
            self.look(asker, vault, None, |_view, _permit: &Permit<K::Restore>, vault| Ok(vault.clone()));
        let of = of.await?.value;
        let saved: SavedObject<K> = backup::open(&self.backup_key, of.tenant, K::KIND, blob)?;
        let staged = self.lay_out(&of, &saved, now).await?;
        let restored = self.change(asker, vault, None, |view, _permit: &Permit<K::Restore>, vault| {
            if vault.id != of.id {
                return refuse(VaultError::VaultNotFound { name: vault.name.clone() });
            }
            staged.reveal(view, vault)
        });
        let restored = restored.await;
        if restored.is_err() {
            self.discard(&staged, now).await;
        }
        restored
    }

    /// Lays out the versions of a saved object below a fresh id, where nobody sees them yet: all but the latest, which comes with its head.
    /// What is laid out is known as garbage until [`Staged::reveal`], so that a crash leaves nothing behind for ever.
    pub(super) async fn lay_out<K: Kind>(
        &self,
        vault: &Vault,
        saved: &SavedObject<K>,
        now: Timestamp,
    ) -> Result<Staged<K>, VaultError> {
        if !saved.versions.iter().any(|version| version.version == saved.head.latest) {
            return Err(VaultError::BackupRejected);
        }
        let fresh = self.object_id(now);
        let head = Head { id: fresh, whole: None, ..saved.head.clone() };
        let mut latest = None;
        let garbage = Garbage::staged::<K>(vault.id, fresh, now);
        self.write(vec![garbage.put()]).await?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for version in &saved.versions {
            let plain = backup::open_version(&self.backup_key, vault.tenant, &saved.head, version)?;
            let id = (vault.id, fresh, version.version);
            let mut version = version.clone();
            if let Some(plain) = plain {
                let sealed = self.seal::<K>(vault, &id, plain.expose())?;
                version.content = K::resealed(version.content, sealed);
            }
            if version.version == head.latest {
                latest = Some(Arc::new(version));
                continue;
            }
            let write = put::<Version<K>>(&id, &version);
            let size = write.value_bytes();
            if batch.len() >= BATCH_ITEMS_MAX || bytes + size > BATCH_BYTES_MAX {
                self.write_staged(&garbage, std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += size;
            batch.push(write);
        }
        self.write_staged(&garbage, batch).await?;
        let latest = latest.ok_or(VaultError::BackupRejected)?;
        Ok(Staged { head, latest, garbage })
    }

    /// Writes only while what is laid out is not taken for left behind: who comes too late would write what nobody removes.
    async fn write_staged(&self, garbage: &Garbage, writes: Vec<Write>) -> Result<(), VaultError> {
        transact(&*self.store, &*self.entropy, |view| {
            garbage.check_staged(view)?;
            Ok(Decision::of((), writes.clone()))
        })
        .await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), VaultError> {
        transact(&*self.store, &*self.entropy, |_view| Ok(Decision::of((), writes.clone()))).await
    }

    /// Removes what was laid out and will not be needed. If that fails, it is removed later.
    pub(super) async fn discard<K: Kind>(&self, staged: &Staged<K>, now: Timestamp) {
        let condemned = Garbage { condemned: true, ..staged.garbage.clone() };
        let written = transact(&*self.store, &*self.entropy, |view| {
            match view.get::<Garbage>(&(staged.garbage.vault, staged.garbage.object))? {
                Some(_) => Ok(Decision::of((), vec![condemned.put()])),
                None => Ok::<_, Halt<VaultError>>(Decision::read(())),
            }
        });
        if written.await.is_ok() {
            self.sweep_soon(now).await;
        }
    }
}

impl<K: Kind> Staged<K> {
    /// What it is called.
    pub(super) const fn name(&self) -> &ObjectName {
        &self.head.name
    }

    /// Makes it visible, if its name is free.
    pub(super) fn reveal(&self, view: &View, vault: &Vault) -> Result<Decision<Object<K>>, Halt<VaultError>> {
        let id = (vault.id, self.head.name.clone());
        if view.get::<Head<K>>(&id)?.is_some() {
            return refuse(VaultError::NameTaken { kind: K::KIND, name: self.head.name.clone() });
        }
        if view.get::<Deleted<K>>(&id)?.is_some() {
            return refuse(VaultError::ObjectIsDeleted { kind: K::KIND, name: self.head.name.clone() });
        }
        object::require_unreserved::<K>(view, vault.id, &self.head.name)?;
        self.garbage.check_staged(view)?;
        let (head, mut writes) = self.head.clone().with_latest(vault.id, &self.latest)?;
        writes.push(self.garbage.unput());
        writes.extend(schedule::moved(vault, None, Some(&head)));
        Ok(Decision::of(Object { head: Arc::new(head), version: self.latest.clone() }, writes))
    }
}
