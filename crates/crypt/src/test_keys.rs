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
