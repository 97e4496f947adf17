//! Public keys of authenticators (COSE, RFC 9052 and 9053) and the signatures that they make: ES256, RS256 and EdDSA over Ed25519, which is
//! what passkeys use. Any other algorithm or curve is refused, and so is a key that says more of itself than its kind has.

use crate::{CryptError, cbor::Value, encoding};
use aws_lc_rs::{
    rsa::PublicKeyComponents,
    signature::{ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MALFORMED: CryptError = CryptError::Malformed { what: "authenticator's key" };
const REJECTED: CryptError = CryptError::Rejected { what: "authenticator's signature" };

/// A public key of an authenticator. Base64url of its COSE form in serde: read again by the same checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatorKey {
    encoded: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// The uncompressed point.
    Es256(Vec<u8>),
    Rs256 {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    EdDsa(Vec<u8>),
}

impl AuthenticatorKey {
    /// Reads a key; answers it and what comes after it.
    ///
    /// # Errors
    /// [`CryptError::Malformed`] if it is of no kind that we know.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), CryptError> {
        let (value, rest) = Value::read(bytes)?;
        let encoded = bytes.get(..bytes.len() - rest.len()).ok_or(MALFORMED)?.to_vec();
        Ok((Self { encoded, kind: kind(&value)? }, rest))
    }

    /// Did the key's owner sign this?
    ///
    /// # Errors
    /// [`CryptError::Rejected`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptError> {
        let verified = match &self.kind {
            Kind::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
            Kind::EdDsa(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
            Kind::Rs256 { modulus, exponent } => PublicKeyComponents { n: modulus, e: exponent }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        verified.map_err(|_| REJECTED)
    }
}

/// Labels and values: RFC 9053 sections 2 and 7, RFC 8230 section 4, RFC 8812 section 2.
fn kind(key: &Value<'_>) -> Result<Kind, CryptError> {
    let integer = |label| match key.at(label) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    };
    let bytes = |label, length: std::ops::RangeInclusive<usize>| {
        key.at(label).and_then(Value::bytes).filter(|bytes| length.contains(&bytes.len())).ok_or(MALFORMED)
    };
    let (known, labels) = match (integer(1), integer(3), integer(-1)) {
        (Some(2), Some(-7), Some(1)) => {
            let point = [&[4], bytes(-2, 32..=32)?, bytes(-3, 32..=32)?].concat();
            (Kind::Es256(point), 5)
        }
        (Some(1), Some(-8), Some(6)) => (Kind::EdDsa(bytes(-2, 32..=32)?.to_vec()), 4),
        (Some(3), Some(-257), None) => {
            let (modulus, exponent) = (bytes(-1, 256..=512)?.to_vec(), bytes(-2, 1..=4)?.to_vec());
            (Kind::Rs256 { modulus, exponent }, 4)
        }
        _ => return Err(MALFORMED),
    };
    match key {
        Value::Map(entries) if entries.len() == labels => Ok(known),
        _ => Err(MALFORMED),
    }
}

impl Serialize for AuthenticatorKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encoding::base64url(&self.encoded))
    }
}

impl<'de> Deserialize<'de> for AuthenticatorKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        domain::text::deserialize(deserializer, |text| match Self::read(&encoding::from_base64url(text)?) {
            Ok((key, [])) => Ok(key),
            Ok(_) | Err(_) => Err(MALFORMED),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_keys::{AuthenticatorPair, PairKind};

    #[test]
    fn each_kind_verifies_its_own_signatures_only() {
        let pairs: Vec<_> = [PairKind::Es256, PairKind::EdDsa, PairKind::Rs256]
            .into_iter()
            .map(AuthenticatorPair::fresh)
            .collect();
        for pair in &pairs {
            let cose = pair.cose();
            let (key, rest) = AuthenticatorKey::read(&cose).unwrap();
            assert!(rest.is_empty());
            let stored = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<AuthenticatorKey>(&stored).unwrap(), key);
            let signature = pair.sign(b"message");
            key.verify(b"message", &signature).unwrap();
            assert_eq!(key.verify(b"massage", &signature), Err(REJECTED));
            assert_eq!(key.verify(b"message", &[]), Err(REJECTED));
            for other in &pairs {
                let other = AuthenticatorKey::read(&other.cose()).unwrap().0;
                assert_eq!(other.verify(b"message", &signature).is_ok(), other == key);
            }
        }
    }

    #[test]
    fn keys_of_no_known_kind_are_refused() {
        let es256 = AuthenticatorPair::fresh(PairKind::Es256).cose();
        // Its first bytes: map of 5, 1: 2, 3: -7, -1: 1.
        assert_eq!(es256.get(..7).unwrap(), [0xa5, 1, 2, 3, 0x26, 0x20, 1]);
        for (at, byte) in [(0, 0xa4), (0, 0xa6), (2, 1), (2, 3), (4, 0x27), (6, 2), (6, 6)] {
            let mut changed = es256.clone();
            changed[at] = byte;
            assert!(AuthenticatorKey::read(&changed).is_err(), "{at} {byte}");
        }
        assert!(AuthenticatorKey::read(&[]).is_err() && AuthenticatorKey::read(&[0]).is_err());
        let trailing = [es256, vec![0]].concat();
        let text = format!("\"{}\"", encoding::base64url(&trailing));
        assert!(serde_json::from_str::<AuthenticatorKey>(&text).is_err());
    }

    #[test]
    fn a_point_off_the_curve_verifies_nothing() {
        let pair = AuthenticatorPair::fresh(PairKind::Es256);
        let mut cose = pair.cose();
        *cose.last_mut().unwrap() ^= 1;
        let (key, _) = AuthenticatorKey::read(&cose).unwrap();
        assert_eq!(key.verify(b"message", &pair.sign(b"message")), Err(REJECTED));
    }
}
