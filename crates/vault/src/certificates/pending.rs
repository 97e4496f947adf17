//! Pending operations: a certificate that was asked for. Kept by its name until the next one of that name, or until somebody deletes it.
//!
//! While one is in progress it holds the private key, sealed, that the certificate will be of; and its name is no other object's.

use super::{CertificateFault, CertificatePolicy, Certificates, Der};
use crate::{VaultError, object::Head};
use access::Permit;
use crypt::Sealed;
use domain::{ObjectName, ObjectVersion, Timestamp, VaultId};
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
        self.status == PendingStatus::InProgress
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
    match view.get::<Pending>(&(vault, name.clone()))? {
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

/// Refuses while an operation of this name is in progress.
pub(crate) fn require_none(view: &View, vault: VaultId, name: &ObjectName) -> Result<(), Halt<VaultError>> {
    match holds(view, vault, name)? {
        true => refuse(CertificateFault::PendingInProgress { name: name.clone() }.into()),
        false => Ok(()),
    }
}

/// Does an operation in progress hold this name, so that no key or secret can take it before the certificate's own?
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

/// One of which the first version is still to come: by its name, or by the version that it will be.
pub(crate) fn see_coming(
    permit: &Permit<access::GetCertificate>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Option<Arc<Pending>>, Halt<VaultError>> {
    let id = (permit.vault(), name.clone());
    if view.get::<Head<Certificates>>(&id)?.is_some() {
        return Ok(None);
    }
    let is_it = |pending: &Arc<Pending>| version.is_none_or(|version| version == pending.version);
    Ok(view.get::<Pending>(&id)?.filter(|pending| pending.is_in_progress() && is_it(pending)))
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

/// Removes one of which no certificate has come, since the certificate is deleted. For good: there is nothing to be recovered.
pub(crate) fn delete_with_certificate(
    permit: &Permit<access::DeleteCertificate>,
    view: &View,
    name: &ObjectName,
) -> Result<Decision<Arc<Pending>>, Halt<VaultError>> {
    let (id, pending) = ((permit.vault(), name.clone()), find(view, permit.vault(), name)?);
    match view.get::<Head<Certificates>>(&id)? {
        // It has come by now: then it is that which is to be deleted.
        Some(_) => refuse(CertificateFault::PendingNotFound { name: name.clone() }.into()),
        None => Ok(Decision::of(pending, vec![unwrite::<Pending>(&id)])),
    }
}
