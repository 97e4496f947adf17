//! The kinds of objects that a vault keeps.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a vault's object is. A certificate brings a key and a secret of its own name and version (Key Vault: composition of a certificate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// A value.
    Secret,
    /// A cryptographic key, used inside of the vault.
    Key,
    /// An X.509 certificate with its policy.
    Certificate,
}

impl ObjectKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Secret, Self::Key, Self::Certificate];

    /// In the singular: `secret`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Key => "key",
            Self::Certificate => "certificate",
        }
    }

    /// In the plural: the first segment of its paths, and what scopes of roles call it.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
