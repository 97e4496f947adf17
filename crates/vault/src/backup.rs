//! Backups: an object with all its versions, sealed so that it opens in this installation only, for vaults of the same tenant, as the same
//! kind of object (Key Vault: backup and restore within one subscription and geography).
//!
//! Values are sealed by themselves within the blob, so that none is ever part of a longer text in clear.

use crate::{
    VaultError,
    object::{Head, Kind, Version},
};
use crypt::{Key256, Sealed, encoding, envelope};
use domain::{Entropy, ObjectKind, Secret, TenantId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What a blob begins with, before its base64url form: what it is, and the version of its layout.
const MAGIC: &[u8] = b"keyless-backup\x01";

/// One object as it is in a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct SavedObject<K: Kind> {
    pub(crate) head: Head<K>,
    /// Sealed under the backup key, each at its address in the backup.
    pub(crate) versions: Vec<Version<K>>,
}

/// The key of all backups of an installation.
pub(crate) fn key(root: &Key256) -> Key256 {
    root.derive("backup")
}

/// The address of a whole blob: of which tenant's vaults, and for which kind of object.
fn blob_address(tenant: TenantId, kind: ObjectKind) -> Vec<u8> {
    format!("backup/{tenant}/{kind}").into_bytes()
}

/// The address of one version's sealed part within a blob.
fn version_address<K: Kind>(tenant: TenantId, head: &Head<K>, version: &Version<K>) -> Vec<u8> {
    format!("backup/{tenant}/{}/{}/{}", K::KIND, head.id, version.version).into_bytes()
}

/// A version as it is in a vault, sealed anew for a backup.
pub(crate) fn seal_version<K: Kind>(
    backup: &Key256,
    tenant: TenantId,
    head: &Head<K>,
    version: Version<K>,
    plain: Option<&Secret<Vec<u8>>>,
    entropy: &dyn Entropy,
) -> Result<Version<K>, VaultError> {
    let Some(plain) = plain else { return Ok(version) };
    let sealed = envelope::seal(backup, &version_address(tenant, head, &version), plain.expose(), entropy)?;
    Ok(Version { content: K::resealed(version.content, sealed), ..version })
}

/// The sealed part of a version in a backup, opened.
pub(crate) fn open_version<K: Kind>(
    backup: &Key256,
    tenant: TenantId,
    head: &Head<K>,
    version: &Version<K>,
) -> Result<Option<Secret<Vec<u8>>>, VaultError> {
    let Some(sealed) = K::sealed(&version.content) else { return Ok(None) };
    let opened = envelope::open(backup, &version_address(tenant, head, version), sealed);
    opened.map(Some).map_err(|_| VaultError::BackupRejected)
}

/// The blob of what is backed up: base64url without padding.
pub(crate) fn seal<T: Serialize>(
    backup: &Key256,
    tenant: TenantId,
    kind: ObjectKind,
    saved: &T,
    entropy: &dyn Entropy,
) -> Result<String, VaultError> {
    let malformed = |_| crypt::CryptError::Malformed { what: "backup" };
    let text = serde_json::to_vec(saved).map_err(malformed)?;
    let sealed = envelope::seal(backup, &blob_address(tenant, kind), &text, entropy)?;
    Ok(encoding::base64url(&[MAGIC, sealed.as_bytes()].concat()))
}

/// What is in a blob.
///
/// # Errors
/// [`VaultError::BackupRejected`], whatever is wrong with it: another installation's, tenant's or kind's, changed, or none at all.
pub(crate) fn open<T: DeserializeOwned>(
    backup: &Key256,
    tenant: TenantId,
    kind: ObjectKind,
    blob: &str,
) -> Result<T, VaultError> {
    let bytes = encoding::from_base64url(blob.as_bytes()).map_err(|_| VaultError::BackupRejected)?;
    let sealed = bytes.strip_prefix(MAGIC).ok_or(VaultError::BackupRejected)?;
    let sealed = Sealed::from_bytes(sealed.to_vec());
    let text = envelope::open(backup, &blob_address(tenant, kind), &sealed)
        .map_err(|_| VaultError::BackupRejected)?;
    serde_json::from_slice(text.expose()).map_err(|_| VaultError::BackupRejected)
}
