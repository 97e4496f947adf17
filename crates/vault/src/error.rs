//! What can go wrong in a vault, in our words. Carries names and ids, never values.

use access::Denied;
use crypt::CryptError;
use domain::{PrincipalId, ObjectName, ObjectVersion, VaultName};
use store::StoreError;

/// Why an operation on a vault or secret did not happen.
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
    /// The caller may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no such secret, or no such version of it.
    #[error("there is no secret {name}{}", version.map(|version| format!(" in version {version}")).unwrap_or_default())]
    SecretNotFound {
        /// Its name.
        name: ObjectName,
        /// Its version, if one was named.
        version: Option<ObjectVersion>,
    },
    /// The secret's version is disabled.
    #[error("secret {name} is disabled")]
    SecretDisabled {
        /// Its name.
        name: ObjectName,
    },
    /// Something is longer or more than it may be.
    #[error("{what} is over its limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// In bytes, characters or items.
        limit: usize,
    },
    /// A policy was asked for somebody who is not there.
    #[error("there is no principal {id}")]
    PrincipalNotFound {
        /// The id.
        id: PrincipalId,
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
