//! What the tests of this folder share: keys that need no making, and the vectors of RFC 7520.

use super::*;
use crate::{encoding, test_keys};
use domain::Secret;
use serde_json::Value;
use std::sync::LazyLock;

/// A number sequence in place of randomness.
pub(super) struct Counting;

impl domain::Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for (byte, number) in buffer.iter_mut().zip(0..) {
            *byte = number;
        }
    }
}

/// One key of each kind. RSA 2048 is a test key, RSA 4096 that of RFC 7520 section 5.2; RSA 3072 is made where it is needed, once.
pub(super) fn key(spec: KeySpec) -> &'static PrivateKey {
    static KEYS: LazyLock<Vec<PrivateKey>> = LazyLock::new(|| {
        KeySpec::all()
            .map(|spec| match spec {
                KeySpec::Rsa(RsaSize::Bits2048) => {
                    PrivateKey::import_pkcs8(&test_keys::signing_key().to_pkcs8()).unwrap()
                }
                KeySpec::Rsa(RsaSize::Bits4096) => {
                    PrivateKey::import(KeyType::Rsa, &rfc7520_jwk("rsa_4096_key")).unwrap()
                }
                _ => PrivateKey::generate(spec, &crate::SystemEntropy).unwrap(),
            })
            .collect()
    });
    KEYS.iter().find(|key| key.spec() == spec).unwrap()
}

/// Another RSA 2048 key.
pub(super) fn other_rsa() -> PrivateKey {
    PrivateKey::import_pkcs8(&test_keys::other_signing_key().to_pkcs8()).unwrap()
}

pub(super) fn rfc7520() -> &'static Value {
    static VECTORS: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("../../../testdata/rfc7520.json")).unwrap());
    &VECTORS
}

/// The bytes of a base64url text.
pub(super) fn bytes(text: &Value) -> Vec<u8> {
    encoding::from_base64url(text.as_str().unwrap()).unwrap()
}

/// A key of RFC 7520 as a client would send it.
pub(super) fn rfc7520_jwk(name: &str) -> PrivateJwk {
    jwk_of(&rfc7520()[name])
}

/// The members of a JWK in JSON.
pub(super) fn jwk_of(key: &Value) -> PrivateJwk {
    let public = |member: &str| key.get(member).map(bytes);
    let private = |member: &str| key.get(member).map(bytes).map(Secret::new);
    PrivateJwk {
        crv: key.get("crv").and_then(Value::as_str).and_then(Curve::parse),
        x: public("x"),
        y: public("y"),
        n: public("n"),
        e: public("e"),
        d: private("d"),
        p: private("p"),
        q: private("q"),
        dp: private("dp"),
        dq: private("dq"),
        qi: private("qi"),
        k: private("k"),
    }
}

/// Hex text as bytes; white space does not count.
pub(super) fn hex(text: &str) -> Vec<u8> {
    encoding::from_hex(text.replace(char::is_whitespace, "")).unwrap()
}

/// What an encryption gave, as what a decryption takes.
pub(super) fn sent_back<'a>(encrypted: &'a Encrypted, aad: Option<&'a [u8]>) -> Ciphertext<'a> {
    Ciphertext { value: &encrypted.value, iv: encrypted.iv.as_deref(), aad, tag: encrypted.tag.as_deref() }
}
