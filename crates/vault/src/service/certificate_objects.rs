//! What can be done with certificates that are there: listing them with those that are being made, changing them and their policy,
//! their pending operations, taking them out and putting them in again with key and secret.

use super::{Permitted, VaultService, certificates, objects::GATHERINGS_MAX};
use crate::{
    Object, Page, PageRequest, Vault, VaultError,
    backup::{self, SavedObject},
    certificates::{
        CertificateAbout, CertificateChange, CertificateFault, CertificatePolicy, Certificates, Listed,
        ListedDeleted, Pending, PolicyAsked, coming, composed, pending, renewal,
    },
    deleted::{self, Deleted},
    keys::Keys,
    object::{self, Change, Head, VersionChange},
    page,
    secrets::Secrets,
};
use access::{
    Asker, BackupCertificate, DeleteCertificate, GetCertificate, GetDeletedCertificate, ListCertificates,
    ListDeletedCertificates, Permit, PurgeCertificate, RecoverCertificate, RestoreCertificate,
    UpdateCertificate,
};
use domain::{ObjectId, ObjectKind, ObjectName, ObjectVersion, Timestamp, VaultId, VaultName};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use store::{Decision, Halt, Key, Record, View, Write, list_records, refuse};

/// A certificate as it is in a backup: all three objects.
#[derive(Debug, Serialize, Deserialize)]
struct SavedCertificate {
    certificate: SavedObject<Certificates>,
    key: SavedObject<Keys>,
    secret: SavedObject<Secrets>,
}

/// A policy, and whose: for its identifier.
#[derive(Debug)]
pub struct PolicyOf {
    /// The certificate's name, as it was spelled when it was made.
    pub name: ObjectName,
    /// The policy.
    pub policy: CertificatePolicy,
}

impl VaultService {
    /// A page of a vault's certificates; with those that have no version yet, if asked for (Key Vault: Get Certificates).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn list_certificates(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        request: &PageRequest,
        include_pending: bool,
    ) -> Result<Permitted<Page<Listed>>, VaultError> {
        if !include_pending {
            let Permitted { value, because, recovery } =
                self.list::<Certificates>(asker, vault, request).await?;
            let items = value.items.into_iter().map(Listed::Certificate).collect();
            return Ok(Permitted { value: Page { items, next: value.next }, because, recovery });
        }
        let of = self
            .look(asker, vault, None, |_view, permit: &Permit<ListCertificates>, _vault| Ok(permit.vault()));
        let id = of.await?.value;
        let heads = Head::<Certificates>::prefix(id);
        let gathered =
            self.with_pending::<Head<Certificates>>(id, &heads, request, |head| &head.name).await?;
        self.again(asker, vault, id, None, gathered, |view, permit: &Permit<ListCertificates>, names| {
            let mut items = Vec::with_capacity(names.len());
            for name in names {
                match object::find::<Certificates>(view, permit.vault(), name, None) {
                    Ok(found) => items.push(Listed::Certificate(found)),
                    Err(Halt::Refuse(VaultError::ObjectNotFound { .. })) => {
                        let coming = found(coming::find(view, permit.vault(), name, None))?;
                        items.extend(coming.map(Listed::Pending));
                    }
                    Err(halt) => return Err(halt),
                }
            }
            Ok(items)
        })
        .await
    }

    /// A page of names: those of one kind of record, and those of pending operations.
    async fn with_pending<R: Record>(
        &self,
        id: VaultId,
        heads: &Key,
        request: &PageRequest,
        name: impl Fn(&R) -> &ObjectName,
    ) -> Result<Page<ObjectName>, VaultError> {
        let pendings = Pending::prefix(id);
        let (limit, store) = (request.limit(), &*self.store);
        let of_heads = list_records::<R>(store, heads, request.after(heads)?.as_ref(), limit).await?;
        let of_pendings =
            list_records::<Pending>(store, &pendings, request.after(&pendings)?.as_ref(), limit).await?;
        // Both are in the order of folded names. Where one list ends early, nothing of the other is known beyond that.
        let end = |last: Option<&Key>, prefix: &Key, more: bool| {
            last.filter(|_| more)
                .and_then(|key| key.as_bytes().strip_prefix(prefix.as_bytes()).map(<[u8]>::to_vec))
        };
        let ends = [
            end(of_heads.items.last().map(|(key, _)| key), heads, of_heads.more),
            end(of_pendings.items.last().map(|(key, _)| key), &pendings, of_pendings.more),
        ];
        let end = ends.into_iter().flatten().min();
        let mut names = BTreeMap::new();
        names.extend(
            of_pendings.items.iter().map(|(_, pending)| (pending.name.folded(), pending.name.clone())),
        );
        names.extend(of_heads.items.iter().map(|(_, head)| (name(head).folded(), name(head).clone())));
        names.retain(|folded, _| end.as_ref().is_none_or(|end| folded.as_bytes() <= end.as_slice()));
        let count = usize::from(limit.get());
        let more = end.is_some() || names.len() > count;
        let names: Vec<ObjectName> = names.into_values().take(count).collect();
        let next = names.last().filter(|_| more).and_then(|name| {
            page::token_after(heads, &Key::new([heads.as_bytes(), name.folded().as_bytes()].concat()))
        });
        Ok(Page { items: names, next })
    }

    /// Sees a certificate, or what was asked for while its first version is still to come (Key Vault: Get Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<Permitted<Listed>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<GetCertificate>, _vault| {
            match found(object::see::<Certificates>(permit, view, name, version))? {
                Some(object) => Ok(Listed::Certificate(object)),
                None => coming::find(view, permit.vault(), name, version).map(Listed::Pending),
            }
        })
        .await
    }

    /// Changes what is said of a version, and the policy; key and secret are disabled and enabled with it (Key Vault: Update Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn update_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        asked: &CertificateChange,
        now: Timestamp,
    ) -> Result<Permitted<Listed>, VaultError> {
        let change = VersionChange { tags: asked.tags.clone(), attributes: asked.attributes() };
        self.change(asker, vault, Some(name), |view, permit: &Permit<UpdateCertificate>, vault| {
            let updated =
                object::update::<Certificates>(permit, view, name, version, &change, now, |_content| Ok(()));
            let Some(mut updated) = found(updated)? else {
                let before = coming::find(view, vault.id, name, version)?;
                let policy = asked.policy.as_ref();
                let policy = policy.map(|policy| changed(view, vault, before.policy_of_next(), policy, now));
                let said = (asked.enabled, asked.tags.as_ref());
                let changed = coming::change(permit, &before, said, policy.transpose()?, now)?;
                return Ok(Decision::of(Listed::Pending(changed.value), changed.writes));
            };
            let mut of_pending = Vec::new();
            if let Some(policy) = &asked.policy {
                let latest = object::find::<Certificates>(view, vault.id, name, None)?;
                updated.about(with_policy(view, vault, &latest, policy, now)?);
                of_pending = with_policy_of_next(permit, view, vault, (name, policy), now)?;
            }
            let mut decision = updated.decided(vault)?;
            decision.writes.extend(of_pending);
            if asked.enabled.is_some() {
                decision.writes.extend(composed::follow(view, &decision.value, vault, now)?);
            }
            Ok(Decision::of(Listed::Certificate(decision.value), decision.writes))
        })
        .await
    }

    /// A certificate's policy, or that of one which is being made (Key Vault: Get Certificate Policy).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_certificate_policy(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<PolicyOf>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<GetCertificate>, _vault| {
            if let Some(head) = view.get::<Head<Certificates>>(&(permit.vault(), name.clone()))? {
                return Ok(PolicyOf { name: head.name.clone(), policy: head.about.policy.clone() });
            }
            coming::find(view, permit.vault(), name, None).map(|coming| PolicyOf::next_of(&coming))
        })
        .await
    }

    /// Changes those parts of a certificate's policy that are said: what its next version will be (Key Vault: Update Certificate Policy).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn update_certificate_policy(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &PolicyAsked,
        now: Timestamp,
    ) -> Result<Permitted<PolicyOf>, VaultError> {
        self.change(asker, vault, Some(name), |view, permit: &Permit<UpdateCertificate>, vault| {
            let Some(latest) = found(object::find::<Certificates>(view, vault.id, name, None))? else {
                let before = coming::find(view, vault.id, name, None)?;
                let policy = changed(view, vault, before.policy_of_next(), asked, now)?;
                let Decision { value, writes } =
                    coming::change(permit, &before, (None, None), Some(policy), now)?;
                return Ok(Decision::of(PolicyOf::next_of(&value), writes));
            };
            let about = with_policy(view, vault, &latest, asked, now)?;
            let mut change = Change::of(latest);
            change.about(about);
            let Decision { value: Object { head, .. }, mut writes } = change.decided(vault)?;
            writes.extend(with_policy_of_next(permit, view, vault, (name, asked), now)?);
            let of = PolicyOf { name: head.name.clone(), policy: head.about.policy.clone() };
            Ok(Decision::of(of, writes))
        })
        .await
    }

    /// What has become of a certificate that was asked for (Key Vault: Get Certificate Operation).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_pending_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<Arc<Pending>>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<GetCertificate>, _vault| {
            pending::get(permit, view, name)
        })
        .await
    }

    /// Calls a certificate off that was asked for (Key Vault: Update Certificate Operation).
    ///
    /// # Errors
    /// [`CertificateFault::PendingOver`]; [`VaultError`].
    pub async fn cancel_pending_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        now: Timestamp,
    ) -> Result<Permitted<Pending>, VaultError> {
        self.change(asker, vault, Some(name), |view, permit: &Permit<UpdateCertificate>, _vault| {
            pending::cancel(permit, view, name, now)
        })
        .await
    }

    /// Forgets that a certificate was asked for (Key Vault: Delete Certificate Operation).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn delete_pending_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<Arc<Pending>>, VaultError> {
        self.change(asker, vault, Some(name), |view, permit: &Permit<UpdateCertificate>, _vault| {
            pending::delete(permit, view, name)
        })
        .await
    }

    /// Deletes a certificate, recoverably; or one of which the first version is still to come, with its key (Key Vault: Delete Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn delete_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        now: Timestamp,
    ) -> Result<Permitted<ListedDeleted>, VaultError> {
        let object = ObjectId::random(&*self.entropy);
        self.change(asker, vault, Some(name), |view, permit: &Permit<DeleteCertificate>, vault| match found(
            deleted::delete::<Certificates>(permit, view, vault, name, now),
        )? {
            Some(Decision { value, writes }) => Ok(Decision::of(ListedDeleted::Certificate(value), writes)),
            None => {
                let Decision { value, writes } = coming::delete(permit, view, vault, (name, object), now)?;
                Ok(Decision::of(value, writes))
            }
        })
        .await
    }

    /// Sees a deleted certificate (Key Vault: Get Deleted Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_deleted_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<ListedDeleted>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<GetDeletedCertificate>, _vault| {
            match found_deleted(deleted::see::<Certificates>(permit, view, name))? {
                Some(deleted) => Ok(ListedDeleted::Certificate(deleted)),
                None => coming::see_deleted(permit, view, name),
            }
        })
        .await
    }

    /// A page of a vault's deleted certificates; with those that had no version yet, if asked for (Key Vault: Get Deleted Certificates).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn list_deleted_certificates(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        request: &PageRequest,
        include_pending: bool,
    ) -> Result<Permitted<Page<ListedDeleted>>, VaultError> {
        let of = self.look(asker, vault, None, |_view, permit: &Permit<ListDeletedCertificates>, _vault| {
            Ok(permit.vault())
        });
        let id = of.await?.value;
        let prefix = Deleted::<Certificates>::prefix(id);
        let gathered = match include_pending {
            true => self.with_pending(id, &prefix, request, name_of_deleted).await?,
            false => self.names(&prefix, request, name_of_deleted).await?,
        };
        self.again(
            asker,
            vault,
            id,
            None,
            gathered,
            |view, permit: &Permit<ListDeletedCertificates>, names| {
                let mut items = Vec::with_capacity(names.len());
                for name in names {
                    let there = deleted::list::<Certificates>(permit, view, std::slice::from_ref(name))?;
                    if include_pending && there.is_empty() {
                        items.extend(coming::listed_deleted(permit, view, name)?);
                    }
                    items.extend(there.into_iter().map(ListedDeleted::Certificate));
                }
                Ok(items)
            },
        )
        .await
    }

    /// Brings a deleted certificate back (Key Vault: Recover Deleted Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn recover_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<Listed>, VaultError> {
        self.change(asker, vault, Some(name), |view, permit: &Permit<RecoverCertificate>, vault| {
            match found_deleted(deleted::recover::<Certificates>(permit, view, vault, name))? {
                Some(Decision { value, writes }) => Ok(Decision::of(Listed::Certificate(value), writes)),
                None => {
                    let Decision { value, writes } = coming::recover(permit, view, vault, name)?;
                    Ok(Decision::of(Listed::Pending(value), writes))
                }
            }
        })
        .await
    }

    /// Deletes a deleted certificate for good; its name is free once this is acknowledged (Key Vault: Purge Deleted Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn purge_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        now: Timestamp,
    ) -> Result<Permitted<()>, VaultError> {
        let purged =
            self.change(asker, vault, Some(name), |view, permit: &Permit<PurgeCertificate>, vault| {
                match found_deleted(deleted::purge::<Certificates>(permit, view, vault, name, now))? {
                    Some(decision) => Ok(decision),
                    None => coming::purge(permit, view, vault, name),
                }
            });
        let purged = purged.await?;
        self.sweep_soon(now).await;
        Ok(purged)
    }

    /// Takes a certificate out, sealed, with key and secret and all versions (Key Vault: Backup Certificate).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn backup_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<String>, VaultError> {
        let mut last = None;
        for _ in 0..GATHERINGS_MAX {
            // That it may be answered is decided once more after it was gathered, and that it is still the same.
            let found =
                self.look(asker, vault, Some(name), |view, permit: &Permit<BackupCertificate>, vault| {
                    let heads = (
                        object::head::<Certificates>(view, permit.vault(), name)?,
                        object::head::<Keys>(view, permit.vault(), name)?,
                        object::head::<Secrets>(view, permit.vault(), name)?,
                    );
                    Ok((vault.clone(), heads))
                });
            let found = found.await?;
            let (of, heads) = found.value;
            if let Some((blob, known)) = last.take()
                && known == (of.id, heads.clone())
            {
                return Ok(Permitted { value: blob, because: found.because, recovery: found.recovery });
            }
            let saved = SavedCertificate {
                certificate: self.save::<Certificates>(&of, &heads.0).await?,
                key: self.save::<Keys>(&of, &heads.1).await?,
                secret: self.save::<Secrets>(&of, &heads.2).await?,
            };
            let blob =
                backup::seal(&self.backup_key, of.tenant, ObjectKind::Certificate, &saved, &*self.entropy)?;
            last = Some((blob, (of.id, heads)));
        }
        Err(VaultError::Contended { what: "what is backed up" })
    }

    /// Puts a certificate that was backed up into a vault, with key and secret and all versions (Key Vault: Restore Certificate).
    ///
    /// # Errors
    /// [`VaultError::BackupRejected`]; [`VaultError::NameTaken`], [`VaultError::ObjectIsDeleted`]; [`VaultError`].
    pub async fn restore_certificate(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        blob: &str,
        now: Timestamp,
    ) -> Result<Permitted<Object<Certificates>>, VaultError> {
        let of = self
            .look(asker, vault, None, |_view, _permit: &Permit<RestoreCertificate>, vault| Ok(vault.clone()));
        let of = of.await?.value;
        let saved: SavedCertificate =
            backup::open(&self.backup_key, of.tenant, ObjectKind::Certificate, blob)?;
        let certificate = self.lay_out(&of, &saved.certificate, now).await?;
        let key = self.lay_out(&of, &saved.key, now).await?;
        let secret = self.lay_out(&of, &saved.secret, now).await?;
        let restored =
            self.change(asker, vault, None, |view, _permit: &Permit<RestoreCertificate>, vault| {
                if vault.id != of.id {
                    return refuse(VaultError::VaultNotFound { name: vault.name.clone() });
                }
                pending::require_none(view, vault.id, certificate.name())?;
                let mut decision = certificate.reveal(view, vault)?;
                decision.writes.extend(key.reveal(view, vault)?.writes);
                decision.writes.extend(secret.reveal(view, vault)?.writes);
                Ok(decision)
            });
        let restored = restored.await;
        if restored.is_err() {
            self.discard(&certificate, now).await;
            self.discard(&key, now).await;
            self.discard(&secret, now).await;
        }
        restored
    }
}

/// `None` where there is no such certificate: there may be one that is still to come.
fn found<T>(found: Result<T, Halt<VaultError>>) -> Result<Option<T>, Halt<VaultError>> {
    match found {
        Err(Halt::Refuse(VaultError::ObjectNotFound { .. })) => Ok(None),
        other => other.map(Some),
    }
}

/// Likewise of deleted ones.
fn found_deleted<T>(found: Result<T, Halt<VaultError>>) -> Result<Option<T>, Halt<VaultError>> {
    match found {
        Err(Halt::Refuse(VaultError::DeletedObjectNotFound { .. })) => Ok(None),
        other => other.map(Some),
    }
}

const fn name_of_deleted(deleted: &Deleted<Certificates>) -> &ObjectName {
    &deleted.head.name
}

impl PolicyOf {
    fn next_of(coming: &Pending) -> Self {
        Self { name: coming.name.clone(), policy: coming.policy_of_next().clone() }
    }
}

/// A policy with those parts changed that are said, if it can be one.
fn changed(
    view: &View,
    vault: &Vault,
    before: &CertificatePolicy,
    asked: &PolicyAsked,
    now: Timestamp,
) -> Result<CertificatePolicy, Halt<VaultError>> {
    let fault = |fault: CertificateFault| Halt::Refuse(VaultError::from(fault));
    let policy = before.changed(asked, now).map_err(fault)?;
    // What came from outside may be what nothing here would make. That it stays so is nobody's fault who changes something else of it.
    if !policy.makes_the_same(before) {
        certificates::require_makeable(view, vault, &policy)?;
    }
    Ok(policy)
}

/// What is kept of a certificate with its policy changed; when it is renewed follows the new one.
fn with_policy(
    view: &View,
    vault: &Vault,
    found: &Object<Certificates>,
    asked: &PolicyAsked,
    now: Timestamp,
) -> Result<CertificateAbout, Halt<VaultError>> {
    let policy = changed(view, vault, &found.head.about.policy, asked, now)?;
    let renewal = renewal::at(&policy, &found.version.attributes, now);
    Ok(CertificateAbout { policy, renewal, ..found.head.about.clone() })
}

/// A version that is being made brings its own policy with it: the change is one of that, too, or it would be lost when it comes.
fn with_policy_of_next(
    permit: &Permit<UpdateCertificate>,
    view: &View,
    vault: &Vault,
    (name, asked): (&ObjectName, &PolicyAsked),
    now: Timestamp,
) -> Result<Vec<Write>, Halt<VaultError>> {
    match view.get::<Pending>(&(vault.id, name.clone()))? {
        Some(pending) if pending.is_in_progress() => {
            let policy = changed(view, vault, pending.policy_of_next(), asked, now)?;
            Ok(coming::change(permit, &pending, (None, None), Some(policy), now)?.writes)
        }
        _ => Ok(Vec::new()),
    }
}
