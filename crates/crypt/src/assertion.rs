//! Signed tokens of others: what a client proves itself by, made by its own key or by an issuer that its registration trusts (RFC 7523,
//! RFC 7515).
//!
//! Owns: the form in all the dialects of real clients, the header, the signature. Owns not: whose key it must be, and what the claims have
//! to say (`directory`). Our own tokens are `jws`, which takes nothing of this.
//!
//! Keys in a header are never used, whatever the member (`jwk`, `jku`, `x5u`, `x5c`): a header only *names* a key that we have.

use crate::{
    CryptError, encoding,
    keys::{PublicJwk, PublicKey, SignatureAlgorithm},
};
use domain::{Timestamp, limits};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use std::fmt;

/// What clients sign their own assertions with: the Microsoft identity platform's two.
pub const CLIENT_ALGORITHMS: &[SignatureAlgorithm] = &[SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256];
/// What issuers sign with. No MAC: whoever can check one can make one.
pub const ISSUER_ALGORITHMS: &[SignatureAlgorithm] = &[
    SignatureAlgorithm::Rs256,
    SignatureAlgorithm::Rs384,
    SignatureAlgorithm::Rs512,
    SignatureAlgorithm::Ps256,
    SignatureAlgorithm::Ps384,
    SignatureAlgorithm::Ps512,
    SignatureAlgorithm::Es256,
    SignatureAlgorithm::Es384,
    SignatureAlgorithm::Es512,
];
/// Characters of a `kid` of others: hashes, file names and URLs are seen.
const KID_CHARS_MAX: usize = 256;
/// Keys of one set that are looked at. Issuers publish two to six.
const KEYS_MAX: usize = 32;

/// Why an assertion proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssertionFault {
    /// It is longer than any that a client makes.
    #[error("the assertion is too large")]
    TooLarge,
    /// It is no JWT, or a member that is needed is not there or of another type.
    #[error("the assertion is malformed: {what}")]
    Malformed {
        /// What cannot be read.
        what: &'static str,
    },
    /// It is signed by nothing, by a secret, or in a way that is not taken of this signer.
    #[error("the assertion is not signed by an algorithm that is taken")]
    UnsupportedAlgorithm,
    /// It must not be taken by who does not understand something in it (RFC 7515 section 4.1.11), and we do not.
    #[error("the assertion has a critical header")]
    Critical,
    /// The signature is not the key's.
    #[error("the signature of the assertion is wrong")]
    BadSignature,
}

const fn malformed(what: &'static str) -> AssertionFault {
    AssertionFault::Malformed { what }
}

/// What an assertion says. Nothing of it is true before [`Assertion::verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct Claimed {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`, one or several.
    pub audiences: Vec<String>,
    /// `exp`.
    pub expires: Timestamp,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `iat`.
    pub issued: Option<Timestamp>,
    /// `jti`.
    pub id: Option<String>,
}

/// An assertion whose form is in order, and whose signature is still to be verified.
#[derive(Clone)]
pub struct Assertion {
    algorithm: SignatureAlgorithm,
    kid: Option<String>,
    sha1: Option<[u8; 20]>,
    sha256: Option<[u8; 32]>,
    claimed: Claimed,
    digest: Vec<u8>,
    signature: Vec<u8>,
}

impl Assertion {
    /// Reads the form.
    ///
    /// # Errors
    /// All of [`AssertionFault`] but [`AssertionFault::BadSignature`].
    pub fn parse(text: &str) -> Result<Self, AssertionFault> {
        let assertion = Self::parse_proof(text)?;
        // Whoever speaks of nobody proves nobody.
        if assertion.claimed.subject.is_empty() { Err(malformed("claims")) } else { Ok(assertion) }
    }

    /// Reads the form of what may speak of nobody: a proof that somebody has a key.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_proof(text: &str) -> Result<Self, AssertionFault> {
        if text.len() > limits::ASSERTION_BYTES_MAX {
            return Err(AssertionFault::TooLarge);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed("not three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(malformed("not three parts"))?;
        if claims.contains('.') {
            return Err(malformed("not three parts"));
        }
        let header = Header::parse(&part(header)?)?;
        let algorithm = SignatureAlgorithm::parse(&header.alg)
            .ok()
            .filter(|algorithm| ISSUER_ALGORITHMS.contains(algorithm))
            .ok_or(AssertionFault::UnsupportedAlgorithm)?;
        if header.crit.is_some() {
            return Err(AssertionFault::Critical);
        }
        let claims: Claims =
            serde_json::from_slice(object(&part(claims)?)?).map_err(|_| malformed("claims"))?;
        Ok(Self {
            algorithm,
            kid: header.kid()?,
            sha1: header.x5t.as_deref().map(thumbprint).transpose()?,
            sha256: header.x5t_s256.as_deref().map(thumbprint).transpose()?,
            claimed: claims.into(),
            digest: algorithm.digest_of(signed.as_bytes()).ok_or(AssertionFault::UnsupportedAlgorithm)?,
            signature: part(signature)?,
        })
    }

    /// What it says, to find out whose key it must be signed by.
    #[must_use]
    pub const fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    /// The key's name in the issuer's key set, if it says one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it names a certificate at all. One that does not may be of any.
    #[must_use]
    pub const fn names_certificate(&self) -> bool {
        self.sha1.is_some() || self.sha256.is_some()
    }

    /// Whether what it names, if anything, is the certificate with these thumbprints.
    #[must_use]
    pub fn may_be_of(&self, sha1: &[u8], sha256: &[u8]) -> bool {
        self.sha1.is_none_or(|named| named == sha1) && self.sha256.is_none_or(|named| named == sha256)
    }

    /// The thumbprint that it names, in hex, for messages.
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        let sha1 = self.sha1.map(|bytes| encoding::hex(&bytes));
        sha1.or_else(|| self.sha256.map(|bytes| encoding::hex(&bytes)))
    }

    /// Verifies the signature by a key of ours or of an issuer that is trusted; by none from the assertion itself.
    ///
    /// # Errors
    /// [`AssertionFault::UnsupportedAlgorithm`], [`AssertionFault::BadSignature`].
    pub fn verify(&self, key: &PublicJwk, allowed: &[SignatureAlgorithm]) -> Result<(), AssertionFault> {
        if !allowed.contains(&self.algorithm) {
            return Err(AssertionFault::UnsupportedAlgorithm);
        }
        let verified = PublicKey::from_jwk(key)
            .is_ok_and(|key| key.verify(self.algorithm, &self.digest, &self.signature).unwrap_or(false));
        if verified { Ok(()) } else { Err(AssertionFault::BadSignature) }
    }
}

impl fmt::Debug for Assertion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Assertion").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Members that we look at. Others are not looked at, above all those that bring a key along.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    x5t: Option<String>,
    #[serde(default, rename = "x5t#S256")]
    x5t_s256: Option<String>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl Header {
    fn parse(json: &[u8]) -> Result<Self, AssertionFault> {
        let header: Self = serde_json::from_slice(object(json)?).map_err(|_| malformed("header"))?;
        // What is signed as something else than a token must not be taken for one (RFC 8725 section 3.11).
        let kind = header.typ.as_deref().map(str::to_ascii_lowercase);
        match kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind)) {
            None | Some("jwt" | "at+jwt") => Ok(header),
            Some(_) => Err(malformed("typ")),
        }
    }

    fn kid(&self) -> Result<Option<String>, AssertionFault> {
        let Some(kid) = &self.kid else { return Ok(None) };
        let is_plain = (1..=KID_CHARS_MAX).contains(&kid.len())
            && kid.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if is_plain { Ok(Some(kid.clone())) } else { Err(malformed("kid")) }
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    sub: Option<String>,
    aud: OneOrMany,
    exp: NumericDate,
    #[serde(default)]
    nbf: Option<NumericDate>,
    #[serde(default)]
    iat: Option<NumericDate>,
    #[serde(default)]
    jti: Option<String>,
}

impl From<Claims> for Claimed {
    fn from(claims: Claims) -> Self {
        Self {
            issuer: claims.iss,
            subject: claims.sub.unwrap_or_default(),
            audiences: match claims.aud {
                OneOrMany::One(one) => vec![one],
                OneOrMany::Many(many) => many,
            },
            expires: claims.exp.0,
            not_before: claims.nbf.map(|date| date.0),
            issued: claims.iat.map(|date| date.0),
            id: claims.jti,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Seconds since 1970, with a fraction or without (RFC 7519 section 2). Python writes one.
struct NumericDate(Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Far more than any year that a date can tell, and exact in a float.
        const MOST: f64 = 1e15;
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(seconds) = number.as_i64() {
            return Ok(Self(Timestamp::from_seconds(seconds)));
        }
        match number.as_f64() {
            Some(seconds) if seconds.abs() <= MOST => {
                Ok(Self(Timestamp::from_seconds(seconds.floor() as i64)))
            }
            _ => Err(serde::de::Error::custom("no time")),
        }
    }
}

/// A JSON object, not a list of its values, which the library would read as well.
fn object(json: &[u8]) -> Result<&[u8], AssertionFault> {
    if json.trim_ascii_start().first() == Some(&b'{') { Ok(json) } else { Err(malformed("no JSON object")) }
}

fn part(text: &str) -> Result<Vec<u8>, AssertionFault> {
    encoding::from_base64url(text).map_err(|_| malformed("not base64url"))
}

/// A thumbprint in base64url or base64, padded or not: real clients write all four.
fn thumbprint<const N: usize>(text: &str) -> Result<[u8; N], AssertionFault> {
    let text: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    let bytes = encoding::from_base64url(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(malformed("thumbprint"))
}

/// A public key of an issuer, as its key set tells it (RFC 7517). In serde it is a JWK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerKey {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The one algorithm that it is for, if it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// The key.
    #[serde(flatten)]
    pub key: PublicJwk,
}

impl IssuerKey {
    /// The keys of a set that can verify signatures. Those of other uses, types and sizes are left out, as RFC 7517 section 5 has it.
    ///
    /// # Errors
    /// [`CryptError::Malformed`] if it is no key set; [`CryptError::Forbidden`] if it has a private key or a secret in it.
    pub fn of_set(json: &[u8]) -> Result<Vec<Self>, CryptError> {
        const MALFORMED: CryptError = CryptError::Malformed { what: "key set" };
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Map<String, serde_json::Value>>,
        }
        let json = object(json).map_err(|_| MALFORMED)?;
        let set: Set = serde_json::from_slice(json).map_err(|_| MALFORMED)?;
        if set.keys.len() > KEYS_MAX {
            return Err(MALFORMED);
        }
        if set.keys.iter().any(|key| ["d", "p", "q", "k"].iter().any(|member| key.contains_key(*member))) {
            return Err(CryptError::Forbidden { why: "the key set holds a private key" });
        }
        let is_for_signatures = |key: &serde_json::Map<String, serde_json::Value>| {
            let says = |member: &str, value: &str| key.get(member).is_none_or(|found| found == value);
            let operations = key.get("key_ops").and_then(serde_json::Value::as_array);
            says("use", "sig") && operations.is_none_or(|list| list.iter().any(|one| one == "verify"))
        };
        let usable = set.keys.into_iter().filter(is_for_signatures);
        let keys = usable.filter_map(|key| serde_json::from_value::<Self>(key.into()).ok());
        Ok(keys.filter(|key| PublicKey::from_jwk(&key.key).is_ok()).collect())
    }

    /// Whether it may be the one that has signed.
    #[must_use]
    pub fn may_have_signed(&self, assertion: &Assertion) -> bool {
        let is_named = assertion.kid.is_none() || self.kid.is_none() || self.kid == assertion.kid;
        is_named && self.alg.as_ref().is_none_or(|alg| alg == assertion.algorithm.name())
    }
}

/// What is kept of a certificate that a client signs its assertions with: enough to know it and its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-1 of the DER.
    pub sha1: [u8; 20],
    /// SHA-256 of the DER.
    pub sha256: [u8; 32],
    /// Its public key.
    pub key: PublicJwk,
    /// Whom it is about, as it says itself.
    pub subject: String,
    /// The first second at which it is valid.
    pub not_before: Timestamp,
    /// The last second at which it is valid.
    pub not_after: Timestamp,
}

/// Why a certificate is not taken for a client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificateFault {
    /// It is neither DER nor PEM of one certificate.
    #[error("it is neither a DER nor a PEM certificate")]
    Malformed,
    /// The private key came along.
    #[error("it has a private key in it: keep that where it is, and send the certificate alone")]
    PrivateKey,
    /// Its key is of another kind or size.
    #[error("its key is not RSA of 2048, 3072 or 4096 bits")]
    KeyUnsupported,
}

impl ClientCertificate {
    /// Reads DER, or the first certificate of a PEM text. Nothing is said of who signed it: being registered is what makes it trusted.
    ///
    /// # Errors
    /// [`ClientCertificateFault`].
    pub fn read(bytes: &[u8]) -> Result<Self, ClientCertificateFault> {
        use crate::certificate::ParsedCertificate;
        use rustls_pki_types::{CertificateDer, pem::PemObject as _};
        const MARK: &[u8] = b"PRIVATE KEY-----";
        if bytes.len() > limits::CLIENT_CERTIFICATE_BYTES_MAX {
            return Err(ClientCertificateFault::Malformed);
        }
        if bytes.windows(MARK.len()).any(|window| window == MARK) {
            return Err(ClientCertificateFault::PrivateKey);
        }
        let of_pem = CertificateDer::from_pem_slice(bytes).ok();
        let der = of_pem.as_deref().unwrap_or(bytes);
        let read = ParsedCertificate::from_der(der).map_err(|_| ClientCertificateFault::Malformed)?;
        let key = read.public_key.to_jwk().ok_or(ClientCertificateFault::KeyUnsupported)?;
        if PublicKey::from_jwk(&key).is_err() {
            return Err(ClientCertificateFault::KeyUnsupported);
        }
        Ok(Self {
            sha1: read.thumbprint(),
            sha256: *crate::sha256(&read.der).bytes(),
            key,
            subject: read.subject.to_string(),
            not_before: read.not_before,
            not_after: read.not_after,
        })
    }
}

#[cfg(test)]
mod tests;
