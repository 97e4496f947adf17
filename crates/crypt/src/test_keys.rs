//! PUBLIC test keys: anybody can read them in `testdata/`. They exist so that the tests of all crates need not generate RSA keys, which
//! takes 50 ms and more each. Compiled only with the feature `test-keys`, which the product never enables.

use crate::{
    SigningKey, encoding,
    keys::{PrivateKey, SignatureAlgorithm},
};
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

/// A client that signs whatever it is told to, as no product of ours does, with its certificate.
pub struct TestSigner {
    key: PrivateKey,
    /// The certificate, DER, valid for five years from the time that was given.
    pub certificate: Vec<u8>,
}

impl TestSigner {
    /// With the first test key.
    #[must_use]
    pub fn one(now: Timestamp) -> Self {
        Self::of(&signing_key(), now)
    }

    /// With the second test key.
    #[must_use]
    pub fn other(now: Timestamp) -> Self {
        Self::of(&other_signing_key(), now)
    }

    #[expect(clippy::expect_used, reason = "the test keys are of a kind that vaults take")]
    fn of(key: &SigningKey, now: Timestamp) -> Self {
        let pkcs8 = key.to_pkcs8();
        let certificate = SigningKey::certify(&pkcs8, now).expect("it was a key").certificate_der().to_vec();
        Self { key: PrivateKey::import_pkcs8(&pkcs8).expect("it was a key"), certificate }
    }

    /// A token of this header and these claims, as they stand; signed by the header's algorithm, if it is one of this key's.
    #[must_use]
    pub fn token(&self, header: &serde_json::Value, claims: &serde_json::Value) -> String {
        let part = |value: &serde_json::Value| encoding::base64url(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let algorithm = header["alg"].as_str().and_then(|name| SignatureAlgorithm::parse(name).ok());
        let signature = algorithm
            .and_then(|algorithm| self.key.sign(algorithm, &algorithm.digest_of(signed.as_bytes())?).ok());
        format!("{signed}.{}", encoding::base64url(&signature.unwrap_or_default()))
    }

    /// Its public key as a JWK.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the certificate was just made for an RSA key")]
    pub fn jwk(&self) -> crate::keys::PublicJwk {
        crate::ClientCertificate::read(&self.certificate).expect("a certificate").key
    }
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
