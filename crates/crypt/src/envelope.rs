//! Envelope encryption: a fresh data key (DEK) for each value, wrapped by a key-encrypting key (KEK).
use crate::CryptError;
use domain::{Entropy, Secret};
use serde::{Deserialize, Serialize};

/// A 256-bit symmetric key.
pub struct Key256(#[expect(dead_code, reason="skeleton")] Secret<[u8; 32]>);
impl std::fmt::Debug for Key256 { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("Key256(..)") } }

impl Key256 {
    /// A fresh random key.
    pub fn random(_entropy: &dyn Entropy) -> Self { todo!() }
    /// Another key derived from this one for a purpose (HKDF-SHA256, RFC 5869).
    pub fn derive(&self, _label: &str) -> Self { todo!() }
    /// From 32 bytes, such as an opened vault key.
    /// # Errors
    /// Malformed.
    pub fn from_bytes(_bytes: &Secret<Vec<u8>>) -> Result<Self, CryptError> { todo!() }
    /// The 32 bytes, to be sealed under another key.
    pub const fn expose(&self) -> &[u8; 32] { todo!() }
}

/// A sealed value; base64url in serde.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Sealed(Vec<u8>);

/// Seals a value for an address.
/// # Errors
/// Unavailable.
pub fn seal(_key: &Key256, _address: &[u8], _plaintext: &[u8], _entropy: &dyn Entropy) -> Result<Sealed, CryptError> { todo!() }
/// Opens a value that was sealed for this address.
/// # Errors
/// Rejected, Malformed.
pub fn open(_key: &Key256, _address: &[u8], _sealed: &Sealed) -> Result<Secret<Vec<u8>>, CryptError> { todo!() }
/// Seals a key under another key.
/// # Errors
/// Unavailable.
pub fn seal_key(_key: &Key256, _address: &[u8], _inner: &Key256, _entropy: &dyn Entropy) -> Result<Sealed, CryptError> { todo!() }
/// Opens a key that was sealed by [`seal_key`].
/// # Errors
/// Rejected, Malformed.
pub fn open_key(_key: &Key256, _address: &[u8], _sealed: &Sealed) -> Result<Key256, CryptError> { todo!() }
