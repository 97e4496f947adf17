//! What is kept of a version of a key: its public half in clear, its private half sealed, and what it may be used for.

use crypt::{
    CryptError, Sealed,
    keys::{AesSize, KeySpec, KeyType, PrivateKey, PublicJwk, RsaSize},
};
use domain::NameError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The type of a key as its maker asked for it. The `-HSM` forms are software keys that keep the name they were asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyKind {
    /// What it is.
    pub key_type: KeyType,
    /// Was it asked for as a key of an HSM?
    pub is_hsm: bool,
}

impl KeyKind {
    const ALL: [Self; 6] = [
        Self { key_type: KeyType::Rsa, is_hsm: false },
        Self { key_type: KeyType::Rsa, is_hsm: true },
        Self { key_type: KeyType::Ec, is_hsm: false },
        Self { key_type: KeyType::Ec, is_hsm: true },
        Self { key_type: KeyType::Oct, is_hsm: false },
        Self { key_type: KeyType::Oct, is_hsm: true },
    ];

    /// The protocol's name, `kty`.
    pub const fn as_str(self) -> &'static str {
        match (self.key_type, self.is_hsm) {
            (KeyType::Rsa, false) => "RSA",
            (KeyType::Rsa, true) => "RSA-HSM",
            (KeyType::Ec, false) => "EC",
            (KeyType::Ec, true) => "EC-HSM",
            (KeyType::Oct, false) => "oct",
            (KeyType::Oct, true) => "oct-HSM",
        }
    }
}

/// What can be done with a key (RFC 7517 section 4.3; Key Vault: `JsonWebKeyOperation`). Nothing here imports or exports: these two are kept
/// for who asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the protocol's")]
pub enum KeyOp {
    Encrypt,
    Decrypt,
    Sign,
    Verify,
    WrapKey,
    UnwrapKey,
    Import,
    Export,
}

impl KeyOp {
    const ALL: [Self; 8] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::Sign,
        Self::Verify,
        Self::WrapKey,
        Self::UnwrapKey,
        Self::Import,
        Self::Export,
    ];

    /// The protocol's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
            Self::Import => "import",
            Self::Export => "export",
        }
    }

    /// What a new key may do unless it is said (Key Vault: the defaults of Create Key).
    pub fn defaults(key_type: KeyType) -> Vec<Self> {
        match key_type {
            KeyType::Rsa => {
                vec![Self::Encrypt, Self::Decrypt, Self::Sign, Self::Verify, Self::WrapKey, Self::UnwrapKey]
            }
            KeyType::Ec => vec![Self::Sign, Self::Verify],
            KeyType::Oct => vec![Self::Encrypt, Self::Decrypt, Self::WrapKey, Self::UnwrapKey],
        }
    }
}

/// Both lists are read and written by the protocol's names, in whose spelling case matters.
macro_rules! named {
    ($name:ident, $what:literal, $rule:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
                found.ok_or(NameError { what: $what, rule: $rule })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                domain::text::deserialize(deserializer, str::parse)
            }
        }
    };
}

named!(KeyKind, "key type", "one of RSA, RSA-HSM, EC, EC-HSM, oct, oct-HSM");
named!(KeyOp, "key operation", "one of encrypt, decrypt, sign, verify, wrapKey, unwrapKey, import, export");

/// What anybody who may see a key sees of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicHalf {
    /// The public half of an RSA or EC key.
    Jwk(PublicJwk),
    /// A symmetric key has none: so many bits.
    Symmetric {
        /// Its size.
        bits: usize,
    },
}

/// Under which conditions an exportable key may leave for another environment (Key Vault: `KeyReleasePolicy`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePolicy {
    /// What the policy is written in.
    pub content_type: String,
    /// The policy, base64url.
    pub data: String,
    /// Can it never be changed?
    pub immutable: bool,
}

/// What a version of a key consists of. No name of a vault is in it: a backup is restored into any vault of the tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyContent {
    /// Its type, as it was asked for.
    pub kind: KeyKind,
    /// What can be seen of it.
    pub public: PublicHalf,
    /// What it may be used for, in the order in which it was said.
    pub operations: Vec<KeyOp>,
    /// May it be released?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exportable: bool,
    /// Under which conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleasePolicy>,
    /// The private key in the form of [`PrivateKey::to_stored`], sealed under the vault's key at this version's address.
    pub(crate) sealed: Sealed,
}

impl KeyContent {
    /// Of a key that was made or taken in; `sealed` is its stored form, sealed at the address of the version that it becomes.
    pub(crate) fn of(key: &PrivateKey, is_hsm: bool, operations: &[KeyOp], sealed: Sealed) -> Self {
        let key_type = key.spec().key_type();
        let public = match (key.public(), key.spec()) {
            (Some(public), _) => PublicHalf::Jwk(public.to_jwk()),
            (None, KeySpec::Oct(size)) => PublicHalf::Symmetric { bits: size.bits() },
            // Only symmetric keys have no public half.
            (None, KeySpec::Rsa(_) | KeySpec::Ec(_)) => PublicHalf::Symmetric { bits: 0 },
        };
        let kind = KeyKind { key_type, is_hsm };
        let mut content =
            Self { kind, public, operations: Vec::new(), exportable: false, release: None, sealed };
        content.permit(operations);
        content
    }

    /// Says what it may be used for, each operation once.
    pub(crate) fn permit(&mut self, operations: &[KeyOp]) {
        self.operations.clear();
        for operation in operations {
            if !self.operations.contains(operation) {
                self.operations.push(*operation);
            }
        }
    }

    /// Type and size: all that is needed to make another like it.
    ///
    /// # Errors
    /// [`CryptError::Malformed`]: it is none that could have been stored.
    pub fn spec(&self) -> Result<KeySpec, CryptError> {
        let spec = match &self.public {
            PublicHalf::Jwk(PublicJwk::Rsa { n, .. }) => RsaSize::from_bits(n.len() * 8).map(KeySpec::Rsa),
            PublicHalf::Jwk(PublicJwk::Ec { crv, .. }) => Some(KeySpec::Ec(*crv)),
            PublicHalf::Symmetric { bits } => AesSize::from_bits(*bits).map(KeySpec::Oct),
        };
        spec.ok_or(CryptError::Malformed { what: "stored key" })
    }
}
