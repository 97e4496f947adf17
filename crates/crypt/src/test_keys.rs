//! PUBLIC test keys: anybody can read them in `testdata/`. They exist so that the tests of all crates need not generate RSA keys, which
//! takes 50 ms and more each. Compiled only with the feature `test-keys`, which the product never enables.

use crate::SigningKey;
use domain::{Secret, Timestamp};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

/// The first test key, certified from the epoch on: its `kid` is always the same.
#[must_use]
pub fn signing_key() -> SigningKey {
    read(include_bytes!("../testdata/public-test-key-1.pem"))
}

/// The second test key, for rotation and for strangers.
#[must_use]
pub fn other_signing_key() -> SigningKey {
    read(include_bytes!("../testdata/public-test-key-2.pem"))
}

#[expect(
    clippy::expect_used,
    reason = "the two files are known, and the first test of this crate reads both"
)]
fn read(pem: &[u8]) -> SigningKey {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem).expect("a test key is PEM");
    let pkcs8 = Secret::new(key.secret_pkcs8_der().to_vec());
    SigningKey::certify(&pkcs8, Timestamp::default()).expect("a test key is RSA-2048")
}
