//! Pending operations: a certificate that was asked for. Kept by its name until the next one of that name, or until somebody deletes it.
//!
//! While one is in progress it holds the private key, sealed, that the certificate will be of; and its name is no other object's. One of
//! which the first version is still to come stands for the certificate itself (`coming`).

use super::{CertificateFault, CertificatePolicy, Der};
use crate::VaultError;
use access::Permit;
use crypt::Sealed;
use domain::{ObjectId, ObjectKind, ObjectName, ObjectVersion, Timestamp, VaultId};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use store::{
    Decision, Halt, Key, Record, View, Write, contract::VALUE_BYTES_MAX, delete as unwrite, put, refuse,
};

/// What has become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PendingStatus {
    /// A certificate for its request is to be merged.
    InProgress,
    /// The certificate is there.
    Completed,
    /// Somebody called it off.
    Cancelled,
    /// There will be no certificate.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A certificate that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// As it was spelled.
    pub name: ObjectName,
    /// Which version it is, or will be.
    pub version: ObjectVersion,
    /// What names this operation, 32 hex digits.
    pub request: String,
    /// How it is made.
    pub policy: CertificatePolicy,
    /// How its successors are made, if somebody has changed that since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_policy: Option<CertificatePolicy>,
    /// Is the order of the chain to be kept?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserve_order: Option<bool>,
    /// Is it to be served?
    pub enabled: bool,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What has become of it.
    pub status: PendingStatus,
    /// The signing request (PKCS#10), if there is a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_der: Option<Der>,
    /// The private key, while it is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<Sealed>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When something last became of it.
    pub updated: Timestamp,
    /// Its certificate was deleted before it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<DeletedEarly>,
}

/// That a certificate was deleted before its first version came. It can be recovered, and its name is taken until it is purged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedEarly {
    /// Names this deletion, for the time at which it is purged.
    pub(crate) object: ObjectId,
    /// When it was deleted.
    pub deleted: Timestamp,
    /// When it is purged, if nobody does so before.
    pub purge_at: Timestamp,
}

impl Pending {
    pub(crate) fn prefix(vault: VaultId) -> Key {
        Key::new(format!("certificate-pending/{vault}/"))
    }

    /// The address under which its private key is sealed.
    pub(crate) fn address(vault: VaultId, name: &ObjectName, version: ObjectVersion) -> Vec<u8> {
        let key = Self::key(&(vault, name.clone()));
        [key.as_bytes(), format!("/{version}").as_bytes()].concat()
    }

    /// Is it to be merged?
    pub fn is_in_progress(&self) -> bool {
        self.status == PendingStatus::InProgress && self.deleted.is_none()
    }

    /// How its successors are made.
    pub fn policy_of_next(&self) -> &CertificatePolicy {
        self.next_policy.as_ref().unwrap_or(&self.policy)
    }

    /// The write of it, if a store can keep it.
    pub(crate) fn fitting(&self, vault: VaultId) -> Result<Write, Halt<VaultError>> {
        let write = put::<Self>(&(vault, self.name.clone()), self);
        match write.fits() {
            true => Ok(write),
            false => refuse(VaultError::TooLarge {
                what: "the size of a pending certificate, as it is stored, in bytes",
                limit: VALUE_BYTES_MAX,
            }),
        }
    }
}

impl Record for Pending {
    type Id = (VaultId, ObjectName);

    fn key((vault, name): &Self::Id) -> Key {
        Key::of(&[b"certificate-pending/", vault.text().as_ref(), b"/", name.folded().as_bytes()])
    }
}

/// The operation of a name.
pub(crate) fn find(view: &View, vault: VaultId, name: &ObjectName) -> Result<Arc<Pending>, Halt<VaultError>> {
    match view.get::<Pending>(&(vault, name.clone()))?.filter(|pending| pending.deleted.is_none()) {
        Some(pending) => Ok(pending),
        None => refuse(CertificateFault::PendingNotFound { name: name.clone() }.into()),
    }
}

/// The operation of a name, if a certificate can be merged with it.
pub(crate) fn in_progress(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
) -> Result<Arc<Pending>, Halt<VaultError>> {
    let pending = find(view, vault, name)?;
    match pending.is_in_progress() {
        true => Ok(pending),
        false => refuse(CertificateFault::PendingOver { name: name.clone() }.into()),
    }
}

/// Refuses to make a certificate while one of this name is being made, or was deleted before it came.
pub(crate) fn require_none(view: &View, vault: VaultId, name: &ObjectName) -> Result<(), Halt<VaultError>> {
    let kind = ObjectKind::Certificate;
    match view.get::<Pending>(&(vault, name.clone()))? {
        Some(pending) if pending.deleted.is_some() => {
            refuse(VaultError::ObjectIsDeleted { kind, name: name.clone() })
        }
        Some(pending) if pending.is_in_progress() => {
            refuse(CertificateFault::PendingInProgress { name: name.clone() }.into())
        }
        _ => Ok(()),
    }
}

/// Refuses a new key or secret the name of a certificate that is being made, or was deleted before it came: that has its own.
pub(crate) fn require_unreserved(
    view: &View,
    vault: VaultId,
    (kind, name): (ObjectKind, &ObjectName),
) -> Result<(), Halt<VaultError>> {
    match view.get::<Pending>(&(vault, name.clone()))? {
        Some(pending) if pending.deleted.is_some() => {
            refuse(VaultError::ObjectIsDeleted { kind, name: name.clone() })
        }
        Some(pending) if pending.is_in_progress() => {
            refuse(VaultError::NameTaken { kind: ObjectKind::Certificate, name: name.clone() })
        }
        _ => Ok(()),
    }
}

/// Is one of this name in progress?
pub(crate) fn holds(view: &View, vault: VaultId, name: &ObjectName) -> Result<bool, Halt<VaultError>> {
    let pending = view.get::<Pending>(&(vault, name.clone()))?;
    Ok(pending.is_some_and(|pending| pending.is_in_progress()))
}

/// Sees one.
pub(crate) fn get(
    permit: &Permit<access::GetCertificate>,
    view: &View,
    name: &ObjectName,
) -> Result<Arc<Pending>, Halt<VaultError>> {
    find(view, permit.vault(), name)
}

/// Calls one off. Its key is gone with that.
pub(crate) fn cancel(
    permit: &Permit<access::UpdateCertificate>,
    view: &View,
    name: &ObjectName,
    now: Timestamp,
) -> Result<Decision<Pending>, Halt<VaultError>> {
    let mut pending = Pending::clone(&*in_progress(view, permit.vault(), name)?);
    (pending.status, pending.sealed, pending.updated) = (PendingStatus::Cancelled, None, now);
    let write = pending.fitting(permit.vault())?;
    Ok(Decision::of(pending, vec![write]))
}

/// Removes one; answers it as it was. A certificate that came of it stays.
pub(crate) fn delete(
    permit: &Permit<access::UpdateCertificate>,
    view: &View,
    name: &ObjectName,
) -> Result<Decision<Arc<Pending>>, Halt<VaultError>> {
    let pending = find(view, permit.vault(), name)?;
    Ok(Decision::of(pending, vec![unwrite::<Pending>(&(permit.vault(), name.clone()))]))
}
