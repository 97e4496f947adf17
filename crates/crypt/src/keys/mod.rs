//! The vault's software key engine: RSA, EC and symmetric keys, and what Key Vault does with them.
//!
//! Owns: making, importing, storing form and use of a key, in the protocol's algorithms. Owns not: versions, `key_ops`, validity and
//! permissions (`vault`), JSON and error codes (`wire`), sealing (`envelope`), our own token signing (`keyring`).
//! Source: Azure Key Vault REST 7.5 `keys.json`, "Key types, algorithms, and operations", RFC 7517, RFC 7518.
//!
//! One file for each idea: `spec` (what keys there are), `algorithm` (which fits which), `error`, `jwk` (members), `private` and `public`
//! (the two types to use), and below them `rsa`, `ec`, `oct`, `key_wrap`, `digest_info` (how it is done).

mod algorithm;
mod digest_info;
mod ec;
mod error;
mod jwk;
mod key_wrap;
mod oct;
mod parts;
mod private;
mod public;
mod rsa;
mod spec;
#[cfg(test)]
mod tests;

pub use algorithm::{EncryptionAlgorithm, Operation, SignatureAlgorithm};
pub use error::{KeyImportFault, KeyOperationError, ValueRule};
pub use jwk::{PrivateJwk, PublicJwk};
pub use private::PrivateKey;
pub use public::PublicKey;
pub use spec::{AesSize, Curve, KeySpec, KeyType, RsaSize};

/// What is to be encrypted or wrapped, with the parameters that came with it. No `Debug`: the value is a secret.
#[derive(Clone, Copy, Default)]
pub struct Plaintext<'a> {
    /// The value.
    pub value: &'a [u8],
    /// Initialization vector of AES-CBC: 16 bytes, which must not be predictable. Without one a random one is made. For no other algorithm.
    pub iv: Option<&'a [u8]>,
    /// Additional authenticated data of AES-GCM. For no other algorithm.
    pub aad: Option<&'a [u8]>,
}

/// What is to be decrypted or unwrapped, with its parameters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ciphertext<'a> {
    /// The value.
    pub value: &'a [u8],
    /// Initialization vector of AES-GCM (12 bytes) and AES-CBC (16 bytes).
    pub iv: Option<&'a [u8]>,
    /// Additional authenticated data of AES-GCM.
    pub aad: Option<&'a [u8]>,
    /// Authentication tag of AES-GCM, 16 bytes.
    pub tag: Option<&'a [u8]>,
}

/// What encrypting or wrapping gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// The ciphertext.
    pub value: Vec<u8>,
    /// The initialization vector that was used: AES-GCM and AES-CBC.
    pub iv: Option<Vec<u8>>,
    /// The authentication tag: AES-GCM.
    pub tag: Option<Vec<u8>>,
}
