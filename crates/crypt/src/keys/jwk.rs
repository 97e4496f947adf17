//! Keys as JSON Web Keys tell them: the private members that a client imports, and the public half that it may see (RFC 7517, RFC 7518
//! section 6).
//!
//! Owns: which members a key type needs, as bytes. Owns not: JSON, base64url and the members that are no key (`kid`, `key_ops`), which are
//! `wire`'s; what the members mean (`rsa`, `ec`, `oct`). Members of other types are ignored, as RFC 7517 section 4 has it.

use super::{Curve, KeyImportFault, KeyType};
use crate::encoding;
use domain::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The members of a private JWK that was sent to be imported, decoded. Integers are big-endian; leading zeros do not matter.
#[derive(Debug, Default)]
pub struct PrivateJwk {
    /// Curve of an EC key.
    pub crv: Option<Curve>,
    /// First coordinate of an EC key's point.
    pub x: Option<Vec<u8>>,
    /// Second coordinate of an EC key's point.
    pub y: Option<Vec<u8>>,
    /// Modulus of an RSA key.
    pub n: Option<Vec<u8>>,
    /// Public exponent of an RSA key.
    pub e: Option<Vec<u8>>,
    /// Private exponent of an RSA key; private scalar of an EC key.
    pub d: Option<Secret<Vec<u8>>>,
    /// First prime factor of an RSA key.
    pub p: Option<Secret<Vec<u8>>>,
    /// Second prime factor of an RSA key.
    pub q: Option<Secret<Vec<u8>>>,
    /// `d mod (p - 1)`.
    pub dp: Option<Secret<Vec<u8>>>,
    /// `d mod (q - 1)`.
    pub dq: Option<Secret<Vec<u8>>>,
    /// `q^-1 mod p`.
    pub qi: Option<Secret<Vec<u8>>>,
    /// The bytes of a symmetric key.
    pub k: Option<Secret<Vec<u8>>>,
}

/// All members of a private RSA key, borrowed.
pub(super) struct RsaParts<'a> {
    pub(super) n: &'a [u8],
    pub(super) e: &'a [u8],
    pub(super) d: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
    pub(super) dp: &'a [u8],
    pub(super) dq: &'a [u8],
    pub(super) qi: &'a [u8],
}

/// All members of a private EC key, borrowed.
pub(super) struct EcParts<'a> {
    pub(super) curve: Curve,
    pub(super) x: &'a [u8],
    pub(super) y: &'a [u8],
    pub(super) d: &'a [u8],
}

impl PrivateJwk {
    /// What an RSA key needs. RFC 7518 section 6.3.2 lets a key come without its factors; this engine does not.
    pub(super) fn rsa(&self) -> Result<RsaParts<'_>, KeyImportFault> {
        let (n, e, d) = (public("n", &self.n)?, public("e", &self.e)?, private("d", &self.d)?);
        if [&self.p, &self.q, &self.dp, &self.dq, &self.qi].iter().all(|part| part.is_none()) {
            return Err(KeyImportFault::FactorsMissing);
        }
        Ok(RsaParts {
            n,
            e,
            d,
            p: private("p", &self.p)?,
            q: private("q", &self.q)?,
            dp: private("dp", &self.dp)?,
            dq: private("dq", &self.dq)?,
            qi: private("qi", &self.qi)?,
        })
    }

    /// What an EC key needs.
    pub(super) fn ec(&self) -> Result<EcParts<'_>, KeyImportFault> {
        let curve = self.crv.ok_or(KeyImportFault::MemberMissing { member: "crv" })?;
        Ok(EcParts { curve, x: public("x", &self.x)?, y: public("y", &self.y)?, d: private("d", &self.d)? })
    }

    /// What a symmetric key needs: k.
    pub(super) fn oct(&self) -> Result<&[u8], KeyImportFault> {
        private("k", &self.k)
    }
}

fn public<'a>(member: &'static str, bytes: &'a Option<Vec<u8>>) -> Result<&'a [u8], KeyImportFault> {
    bytes.as_deref().filter(|bytes| !bytes.is_empty()).ok_or(KeyImportFault::MemberMissing { member })
}

fn private<'a>(member: &'static str, bytes: &'a Option<Secret<Vec<u8>>>) -> Result<&'a [u8], KeyImportFault> {
    let bytes = bytes.as_ref().map(|bytes| bytes.expose().as_slice());
    bytes.filter(|bytes| !bytes.is_empty()).ok_or(KeyImportFault::MemberMissing { member })
}

/// The public half of a key: what may be shown, and be kept in clear. In serde it is a JWK with `kty` and base64url members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicJwk {
    /// An RSA key.
    Rsa {
        /// Modulus, big-endian without leading zeros.
        n: Vec<u8>,
        /// Public exponent, big-endian without leading zeros.
        e: Vec<u8>,
    },
    /// An EC key.
    Ec {
        /// Its curve.
        crv: Curve,
        /// First coordinate, as long as the curve's field.
        x: Vec<u8>,
        /// Second coordinate, as long as the curve's field.
        y: Vec<u8>,
    },
}

impl PublicJwk {
    /// The key's type.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        match self {
            Self::Rsa { .. } => KeyType::Rsa,
            Self::Ec { .. } => KeyType::Ec,
        }
    }
}

/// The members as text.
#[derive(Serialize, Deserialize, Default)]
struct Form {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl Serialize for PublicJwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kty = self.key_type().name().to_owned();
        let text = |bytes: &Vec<u8>| Some(encoding::base64url(bytes));
        match self {
            Self::Rsa { n, e } => Form { kty, n: text(n), e: text(e), ..Form::default() },
            Self::Ec { crv, x, y } => {
                Form { kty, crv: Some(crv.name().to_owned()), x: text(x), y: text(y), ..Form::default() }
            }
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicJwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        let bytes = |member: &'static str, text: Option<String>| {
            encoding::from_base64url(text.ok_or_else(|| D::Error::missing_field(member))?)
                .map_err(D::Error::custom)
        };
        match KeyType::parse(&form.kty) {
            Some(KeyType::Rsa) => Ok(Self::Rsa { n: bytes("n", form.n)?, e: bytes("e", form.e)? }),
            Some(KeyType::Ec) => {
                let crv = form.crv.as_deref().and_then(Curve::parse);
                let crv = crv.ok_or_else(|| D::Error::custom("not a curve of the vault"))?;
                Ok(Self::Ec { crv, x: bytes("x", form.x)?, y: bytes("y", form.y)? })
            }
            Some(KeyType::Oct) | None => Err(D::Error::custom("not the type of a public key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn public_keys_are_jwks() {
        let rsa = json!({"kty": "RSA", "n": "_w", "e": "AQAB"});
        let ec = json!({"kty": "EC", "crv": "P-256K", "x": "AAE", "y": "Ag"});
        for form in [rsa, ec] {
            let key: PublicJwk = serde_json::from_value(form.clone()).unwrap();
            assert_eq!(serde_json::to_value(&key).unwrap(), form);
        }
        for bad in [
            json!({"kty": "oct", "k": "AA"}),
            json!({"kty": "RSA", "n": "_w"}),
            json!({"kty": "RSA", "n": "_w=", "e": "AQAB"}),
            json!({"kty": "EC", "crv": "P-224", "x": "AA", "y": "AA"}),
            json!({"kty": "EC", "x": "AA", "y": "AA"}),
            json!({"n": "_w", "e": "AQAB"}),
        ] {
            assert!(serde_json::from_value::<PublicJwk>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_missing_member_is_named() {
        let check = |fault: KeyImportFault, member| {
            assert_eq!(fault, KeyImportFault::MemberMissing { member });
        };
        let secret = || Some(Secret::new(vec![1]));
        let mut jwk = PrivateJwk::default();
        check(jwk.oct().unwrap_err(), "k");
        check(jwk.ec().err().unwrap(), "crv");
        check(jwk.rsa().err().unwrap(), "n");
        jwk.crv = Some(Curve::P256);
        check(jwk.ec().err().unwrap(), "x");
        jwk.x = Some(vec![]);
        check(jwk.ec().err().unwrap(), "x");
        (jwk.n, jwk.e, jwk.d) = (Some(vec![1]), Some(vec![1]), secret());
        assert_eq!(jwk.rsa().err(), Some(KeyImportFault::FactorsMissing));
        jwk.p = secret();
        check(jwk.rsa().err().unwrap(), "q");
        jwk.k = Some(Secret::new(vec![]));
        check(jwk.oct().unwrap_err(), "k");
    }

    #[test]
    fn a_private_key_shows_its_public_half_only() {
        let jwk = PrivateJwk { d: Some(Secret::new(vec![0xca; 4])), ..PrivateJwk::default() };
        assert!(format!("{jwk:?}").contains("d: Some(Secret(..))"));
    }
}
