//! What is stored of vaults and secrets. A secret's head says which version is the latest; each version is a record of its own.

use crate::SecretAttributes;
use access::{AccessPolicy, VaultScope};
use crypt::Sealed;
use domain::{ObjectName, ObjectVersion, TenantId, Timestamp, VaultId, VaultName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Key, Record};

/// A vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Never used again, even for another vault of the same name.
    pub id: VaultId,
    /// As it was spelled when it was made.
    pub name: VaultName,
    /// Whose directory it trusts.
    pub tenant: TenantId,
    /// When it was made.
    pub created: Timestamp,
    /// Who may do what.
    pub policies: Vec<AccessPolicy>,
    /// Its key, sealed under the root key.
    pub(crate) key: Sealed,
}

impl Vault {
    pub(crate) fn scope(&self) -> VaultScope<'_> {
        VaultScope { id: self.id, name: &self.name, policies: &self.policies }
    }

    /// The address under which the key of a vault is sealed.
    pub(crate) fn key_address(id: VaultId) -> Vec<u8> {
        format!("vault/{id}").into_bytes()
    }

    pub(crate) fn prefix() -> Key {
        Key::new("vault/")
    }
}

impl Record for Vault {
    type Id = VaultName;

    fn key(name: &VaultName) -> Key {
        Key::new(format!("vault/{}", name.folded()))
    }
}

/// The head of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretHead {
    /// As it was spelled when it was first set.
    pub(crate) name: ObjectName,
    pub(crate) latest: ObjectVersion,
}

impl SecretHead {
    pub(crate) fn prefix(vault: VaultId) -> Key {
        Key::new(format!("secret/{vault}/"))
    }
}

impl Record for SecretHead {
    type Id = (VaultId, ObjectName);

    fn key((vault, name): &Self::Id) -> Key {
        Key::new(format!("secret/{vault}/{}", name.folded()))
    }
}

/// One version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// The version.
    pub version: ObjectVersion,
    /// Its attributes.
    pub attributes: SecretAttributes,
    /// What kind of value it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The value, sealed under the vault's key at this record's own address.
    pub(crate) sealed: Sealed,
}

/// What names a version's record.
pub(crate) type SecretRecordId = (VaultId, ObjectName, ObjectVersion);

impl SecretRecord {
    pub(crate) fn prefix(vault: VaultId, name: &ObjectName) -> Key {
        Key::new(format!("secret-version/{vault}/{}/", name.folded()))
    }

    /// The address under which its value is sealed: moved to another vault, name or version it does not open.
    pub(crate) fn address(id: &SecretRecordId) -> Vec<u8> {
        Self::key(id).as_bytes().to_vec()
    }
}

impl Record for SecretRecord {
    type Id = SecretRecordId;

    fn key((vault, name, version): &Self::Id) -> Key {
        Key::new(format!("secret-version/{vault}/{}/{version}", name.folded()))
    }
}
