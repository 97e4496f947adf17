//! All cryptography: sign and verify, seal and open, hash and compare, certificates. The only crate that names `aws-lc-rs`.
//!
//! Owns: keys and their bytes, the sealed form of a value, the JWS of our own tokens and of others, the slots of the root key, the private CA.
//! Owns not: what a claim means (`access`, `directory`), where a sealed value lives (`vault`, `store`), when a key is rotated.
//! Invariant: key material is zeroized and never shown; every failure is a value that says what failed and nothing of the input.
#![forbid(unsafe_code)]

pub mod assertion;
pub mod cbor;
pub mod certificate;
pub mod compare;
pub mod cose;
pub mod encoding;
pub mod entropy;
pub mod envelope;
pub mod error;
pub mod hash;
pub mod jws;
pub mod keyring;
pub mod keys;
pub mod lookup;
pub mod otp;
pub mod password;
pub mod recovery;
pub mod slots;
#[cfg(any(test, feature = "test-keys"))]
pub mod test_keys;
pub mod truststore;
pub mod x509;

pub use assertion::{Assertion, AssertionFault, ClientCertificate, ClientCertificateFault, IssuerKey};
pub use cose::AuthenticatorKey;
pub use entropy::SystemEntropy;
pub use envelope::{Key256, Sealed};
pub use error::CryptError;
pub use hash::{Blake3Key, HashedSecret, MacKey, MessageDigest, Sha256Hash, fresh_secret, sha256};
pub use jws::JwsFault;
pub use keyring::{PublicKey, SigningKey};
pub use lookup::{LookupKey, LookupTag};
pub use password::{PasswordHash, fresh_password};
pub use recovery::{RecoveryKey, RecoveryKeyFault};
pub use slots::{Opener, SlotKind, Slots};
pub use truststore::pkcs12_truststore;
pub use x509::{Authority, ServerCertificate};
