//! The record of a vault, its settings, and what it is when deleted.

use crate::told::Told;
use access::{AccessPolicy, NetworkRules, Rules, VaultScope};
use crypt::Sealed;
use domain::{Placement, TenantId, Timestamp, VaultId, VaultName, limits};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Key, Record};

/// How a vault says who may what (Key Vault: `enableRbacAuthorization`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessModel {
    /// By its own access policies.
    #[default]
    Policies,
    /// By role assignments.
    Roles,
}

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
    /// Where it is as the resource manager shows it.
    #[serde(default, skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// Which of the two models of access counts.
    #[serde(default)]
    pub access: AccessModel,
    /// Who may do what, in the model of policies. They are kept while the other model counts.
    pub policies: Vec<AccessPolicy>,
    /// From where it may be asked.
    #[serde(default)]
    pub network: NetworkRules,
    /// Days for which what was deleted can be recovered. Set once.
    #[serde(default = "recoverable_days")]
    pub recoverable_days: u16,
    /// May nobody purge, not even who has the permission? Once it is so it stays so.
    #[serde(default)]
    pub purge_protection: bool,
    /// What its managers say of it that has no effect here.
    #[serde(default, skip_serializing_if = "Told::is_nothing")]
    pub told: Told,
    /// Its key, sealed under the root key.
    pub(crate) key: Sealed,
}

const fn recoverable_days() -> u16 {
    limits::RECOVERABLE_DAYS
}

/// What is said of a version about recovery (Key Vault: `recoveryLevel`, `recoverableDays`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// For how many days it can be recovered once it is deleted.
    pub days: u16,
    /// Is there nobody who could purge it before?
    pub is_protected: bool,
}

impl Vault {
    /// What is told of storage is told of those who have a policy.
    pub(crate) fn forget_storage(&mut self) {
        let policies = &self.policies;
        self.told.storage.retain(|id, _| policies.iter().any(|policy| policy.principal == *id));
    }

    pub(crate) fn scope(&self) -> VaultScope<'_> {
        let rules = match self.access {
            AccessModel::Policies => Rules::Policies(&self.policies),
            AccessModel::Roles => Rules::Roles,
        };
        VaultScope {
            id: self.id,
            name: &self.name,
            group: &self.placement.group,
            rules,
            network: &self.network,
        }
    }

    /// What its objects say about recovery.
    pub const fn recovery(&self) -> Recovery {
        Recovery { days: self.recoverable_days, is_protected: self.purge_protection }
    }

    /// When what is deleted now is purged.
    pub(crate) fn purge_at(&self, now: Timestamp) -> Timestamp {
        now.plus(Duration::from_secs(u64::from(self.recoverable_days) * 86_400))
    }

    /// The address under which the key of a vault is sealed.
    pub(crate) fn key_address(id: VaultId) -> Vec<u8> {
        format!("vault/{id}").into_bytes()
    }

    /// Below which they all are.
    pub fn prefix() -> Key {
        Key::new("vault/")
    }
}

impl Record for Vault {
    type Id = VaultName;

    fn key(name: &VaultName) -> Key {
        Key::of(&[b"vault/", name.folded().as_bytes()])
    }
}

/// A vault that was deleted and can be recovered. Its objects stay where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedVault {
    /// As it was.
    pub vault: Vault,
    /// When it was deleted.
    pub deleted: Timestamp,
    /// When it is purged, if nobody does so before.
    pub purge_at: Timestamp,
}

impl DeletedVault {
    pub(crate) fn prefix() -> Key {
        Key::new("deleted-vault/")
    }
}

impl Record for DeletedVault {
    type Id = VaultName;

    fn key(name: &VaultName) -> Key {
        Key::new(format!("deleted-vault/{}", name.folded()))
    }
}
