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

/// What an authenticator has: a key pair of a kind that passkeys use.
pub enum AuthenticatorPair {
    /// ECDSA on P-256.
    Es256(aws_lc_rs::signature::EcdsaKeyPair),
    /// Ed25519.
    EdDsa(aws_lc_rs::signature::Ed25519KeyPair),
    /// RSA: always the first test key.
    Rs256(Box<aws_lc_rs::rsa::KeyPair>),
}

/// The kinds of [`AuthenticatorPair`].
#[derive(Clone, Copy, Debug)]
pub enum PairKind {
    /// ECDSA on P-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA.
    Rs256,
}

#[expect(clippy::expect_used, reason = "only in tests")]
impl AuthenticatorPair {
    /// A fresh pair.
    #[must_use]
    pub fn fresh(kind: PairKind) -> Self {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
        match kind {
            PairKind::Es256 => {
                Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"))
            }
            PairKind::EdDsa => Self::EdDsa(Ed25519KeyPair::generate().expect("a key")),
            PairKind::Rs256 => {
                let pem = include_bytes!("../testdata/public-test-key-1.pem");
                let key = PrivatePkcs8KeyDer::from_pem_slice(pem).expect("a test key is PEM");
                let pair = aws_lc_rs::rsa::KeyPair::from_pkcs8(key.secret_pkcs8_der());
                Self::Rs256(Box::new(pair.expect("a test key is RSA")))
            }
        }
    }

    /// The public half as COSE.
    #[must_use]
    pub fn cose(&self) -> Vec<u8> {
        use aws_lc_rs::signature::KeyPair as _;
        match self {
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).expect("a point").split_at(32);
                [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], x, &[0x22, 0x58, 32], y].concat()
            }
            Self::EdDsa(pair) => {
                [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32], pair.public_key().as_ref()].concat()
            }
            Self::Rs256(pair) => {
                let public = pair.public_key();
                let modulus = public.modulus().big_endian_without_leading_zero();
                let exponent = public.exponent().big_endian_without_leading_zero();
                let length = u16::try_from(modulus.len()).expect("a short key").to_be_bytes();
                let head = [&[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59][..], &length].concat();
                let short = 0x40 | u8::try_from(exponent.len()).expect("a short exponent");
                [&head, modulus, &[0x21, short], exponent].concat()
            }
        }
    }

    /// Signs as an authenticator does.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        match self {
            Self::Es256(pair) => pair.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("a signature");
                signature
            }
        }
    }
}
