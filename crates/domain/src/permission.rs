//! What an access policy can allow on secrets: the verbs of Key Vault's access policies.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One verb of an access policy on secrets (Key Vault: access policies, secret permissions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the protocol's verbs")]
pub enum SecretPermission {
    Get,
    List,
    Set,
    Delete,
    Recover,
    Backup,
    Restore,
    Purge,
}

impl SecretPermission {
    /// All verbs, in the order in which Key Vault's documents list them.
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::List,
        Self::Set,
        Self::Delete,
        Self::Recover,
        Self::Backup,
        Self::Restore,
        Self::Purge,
    ];

    /// The verb as the protocol spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Set => "set",
            Self::Delete => "delete",
            Self::Recover => "recover",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Purge => "purge",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for SecretPermission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for SecretPermission {
    type Err = crate::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|verb| verb.as_str().eq_ignore_ascii_case(text)).ok_or(crate::NameError {
            what: "secret permission",
            rule: "one of get, list, set, delete, recover, backup, restore, purge",
        })
    }
}

/// A set of verbs. Stored as the list of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<SecretPermission>", into = "Vec<SecretPermission>")]
pub struct SecretPermissions(u16);

impl SecretPermissions {
    /// Every verb but `purge`, which even owners ask for by name.
    pub fn all_but_purge() -> Self {
        SecretPermission::ALL.into_iter().filter(|verb| *verb != SecretPermission::Purge).collect()
    }

    /// Is this verb in the set?
    pub const fn contains(self, verb: SecretPermission) -> bool {
        self.0 & verb.bit() != 0
    }

    /// Is no verb in the set?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The verbs of the set.
    pub fn iter(self) -> impl Iterator<Item = SecretPermission> {
        SecretPermission::ALL.into_iter().filter(move |verb| self.contains(*verb))
    }
}

impl FromIterator<SecretPermission> for SecretPermissions {
    fn from_iter<I: IntoIterator<Item = SecretPermission>>(verbs: I) -> Self {
        Self(verbs.into_iter().fold(0, |bits, verb| bits | verb.bit()))
    }
}

impl From<Vec<SecretPermission>> for SecretPermissions {
    fn from(verbs: Vec<SecretPermission>) -> Self {
        verbs.into_iter().collect()
    }
}

impl From<SecretPermissions> for Vec<SecretPermission> {
    fn from(set: SecretPermissions) -> Self {
        set.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_they_were_given() {
        let set: SecretPermissions = [SecretPermission::Get, SecretPermission::List].into_iter().collect();
        assert!(set.contains(SecretPermission::Get) && !set.contains(SecretPermission::Set));
        assert_eq!(set.iter().count(), 2);
        assert!(!SecretPermissions::all_but_purge().contains(SecretPermission::Purge));
        assert_eq!("LIST".parse(), Ok(SecretPermission::List));
        assert!("all".parse::<SecretPermission>().is_err());
    }
}
