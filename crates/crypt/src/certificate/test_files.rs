//! PUBLIC test keys and files, for the tests of this module only. Made in 2026 with OpenSSL 3.0.19, Python `cryptography` 48 and the JDK's
//! keytool, so that others' files are what is read:
//!
//! - `leaf.der`: EC P-256, expired in 2021, serial number 80deadbeef, with a name of each kind; below an intermediate and a root (P-384),
//!   both valid until 2126. `bundle.pem` has root, key, leaf, intermediate in that order.
//! - `modern` (`openssl pkcs12 -export`), `legacy` (`-legacy`: RC2-40, 3DES, SHA-1), `rc2-128`, `3des`, `aes128-sha512`, `empty` (no
//!   password), `null` (derived of no bytes at all: `PKCS12_create` with a null pointer), `no-mac`, `no-mac-fast` (one iteration), `clear`
//!   and `clear-no-mac` (no encryption), `costly` (300,001 iterations), `costly-sum` (200,000 for each part), `python`, `python-none`:
//!   that key and chain. `no-key` and `no-certificate` lack what they say.
//! - `java`, `two-keys`: keytool's own. `v1`: version 1, Ed25519, no extensions.

use domain::Secret;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

macro_rules! test_file {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/public-test-", $name)).as_slice()
    };
}
pub(super) use test_file;

pub(super) const LEAF: &[u8] = test_file!("leaf.der");

/// A private key of a PEM text, PKCS#8 DER.
pub(super) fn pkcs8(pem: &[u8]) -> Secret<Vec<u8>> {
    Secret::new(PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap().secret_pkcs8_der().to_vec())
}

/// The leaf's private key.
pub(super) fn leaf_key() -> Secret<Vec<u8>> {
    pkcs8(test_file!("bundle.pem"))
}

/// A private key of the same kind that belongs to nothing.
pub(super) fn other_key() -> Secret<Vec<u8>> {
    pkcs8(test_file!("other-key.pem"))
}

/// The certificates of a PEM text, DER.
pub(super) fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    rustls_pki_types::CertificateDer::pem_slice_iter(pem).map(|der| der.unwrap().to_vec()).collect()
}

/// Leaf, intermediate, root.
pub(super) fn chain() -> Vec<Vec<u8>> {
    let mut chain = certificates(test_file!("bundle.pem"));
    chain.rotate_left(1);
    chain
}
