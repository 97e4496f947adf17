//! What can go wrong in a vault, in our words. Carries names and ids, never values.

use crate::{AccessModel, certificates::CertificateFault, keys::KeyFault};
use access::{Denied, GroupFault, Unmanaged};
use crypt::CryptError;
use domain::{ObjectKind, ObjectName, ObjectVersion, PrincipalId, VaultName};
use store::StoreError;

/// Why an operation on a vault or one of its objects did not happen.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no such vault.
    #[error("there is no vault {name}")]
    VaultNotFound {
        /// Its name.
        name: VaultName,
    },
    /// There is a vault of this name.
    #[error("there is a vault {name} already")]
    VaultExists {
        /// Its name.
        name: VaultName,
    },
    /// There is a deleted vault of this name.
    #[error("vault {name} is deleted and can be recovered; its name is free once it is purged")]
    VaultIsDeleted {
        /// Its name.
        name: VaultName,
    },
    /// There is no deleted vault of this name.
    #[error("there is no deleted vault {name}")]
    DeletedVaultNotFound {
        /// Its name.
        name: VaultName,
    },
    /// The vault's purge protection forbids it.
    #[error("vault {vault} is protected from purging until what was deleted has been so for its time")]
    PurgeProtected {
        /// The vault.
        vault: VaultName,
    },
    /// Something that was set once for all is asked to be otherwise.
    #[error("{what} of vault {vault} cannot be changed")]
    Immutable {
        /// What.
        what: &'static str,
        /// The vault.
        vault: VaultName,
    },
    /// A setting of a vault is out of its range.
    #[error("{what} {rule}")]
    SettingInvalid {
        /// Which setting.
        what: &'static str,
        /// What it may be.
        rule: &'static str,
    },
    /// The caller may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Who asks may not manage it so.
    #[error(transparent)]
    Unmanaged(#[from] Unmanaged),
    /// Its resource group holds nothing new.
    #[error(transparent)]
    Group(#[from] GroupFault),
    /// There is no such object, or no such version of it.
    #[error("there is no {kind} {name}{}", version.map(|version| format!(" in version {version}")).unwrap_or_default())]
    ObjectNotFound {
        /// What it would be.
        kind: ObjectKind,
        /// Its name.
        name: ObjectName,
        /// Its version, if one was named.
        version: Option<ObjectVersion>,
    },
    /// There is no deleted object of this name.
    #[error("there is no deleted {kind} {name}")]
    DeletedObjectNotFound {
        /// What it would be.
        kind: ObjectKind,
        /// Its name.
        name: ObjectName,
    },
    /// A deleted object holds the name.
    #[error("{kind} {name} is deleted and can be recovered; its name is free once it is purged")]
    ObjectIsDeleted {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: ObjectName,
    },
    /// Another object holds the name.
    #[error("there is a {kind} {name} already")]
    NameTaken {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: ObjectName,
    },
    /// The object is a certificate's, which alone can be asked for this.
    #[error("{kind} {name} belongs to a certificate: {operation} that instead")]
    ManagedByCertificate {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: ObjectName,
        /// What was asked.
        operation: &'static str,
    },
    /// The secret's version is disabled.
    #[error("secret {name} is disabled")]
    SecretDisabled {
        /// Its name.
        name: ObjectName,
    },
    /// What only keys have.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// What only certificates have.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// Something is longer or more than it may be.
    #[error("{what} is over its limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// In bytes, characters or items.
        limit: usize,
    },
    /// A backup that is none of this installation, tenant or kind of object, or was changed.
    #[error("the backup does not open here")]
    BackupRejected,
    /// A rule was asked for somebody who is not there.
    #[error("there is no principal {id}")]
    PrincipalNotFound {
        /// The id.
        id: PrincipalId,
    },
    /// A rule of the other model of access.
    #[error("in vault {vault} {} count", match counts { AccessModel::Policies => "access policies", AccessModel::Roles => "role assignments" })]
    OtherAccessModel {
        /// The vault.
        vault: VaultName,
        /// Which model counts there.
        counts: AccessModel,
    },
    /// Others were at the same object, again and again while it was being made or gathered. Nothing was changed.
    #[error("others are changing {what} at the same time")]
    Contended {
        /// What.
        what: &'static str,
    },
    /// A page token that is not one of ours.
    #[error("the page token is malformed")]
    PageTokenMalformed,
    /// A stored value does not open.
    #[error("a sealed value does not open")]
    Crypt(#[from] CryptError),
    /// The store did not answer.
    #[error("the store did not answer")]
    Store(#[from] StoreError),
}
