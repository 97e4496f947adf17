//! Signing keys: an RSA-2048 private key with its self-signed certificate, and the public half as a JWKS tells it (RFC 7517).
//!
//! Owns: making, storing form and verifying form of one key. Owns not: the ring, its order and rotation (`directory`).
//! `kid` equals `x5t`, the base64url SHA-1 of the certificate (RFC 7515 section 4.1.7), as Entra has it; SHA-1 is a name here and proves
//! nothing.

use crate::{CryptError, encoding, x509};
use aws_lc_rs::{
    digest,
    encoding::AsDer as _,
    error::Unspecified,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize, PublicKeyComponents},
    signature::{self, KeyPair as _, ParsedPublicKey},
};
use domain::{Secret, Timestamp};
use rcgen::{CertificateParams, KeyUsagePurpose, PKCS_RSA_SHA256};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};

/// How long a signing key's certificate says that it is valid. Nobody checks it: the key ring decides. Entra's say five years.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(5 * 365 * 86_400);
const MALFORMED: CryptError = CryptError::Malformed { what: "signing key" };
const UNAVAILABLE: CryptError = CryptError::Unavailable { what: "making a signing key" };

/// A private RSA-2048 key that signs tokens, with its certificate. Shows its `kid` only.
pub struct SigningKey {
    pair: KeyPair,
    certificate_der: Vec<u8>,
    public: Arc<PublicKey>,
    headers: Headers,
}

/// The two protected headers that this key ever signs, encoded once.
pub(crate) struct Headers {
    pub(crate) plain: String,
    pub(crate) with_thumbprint: String,
}

impl SigningKey {
    /// A fresh key with a certificate from `now` on. Takes 50 ms and more: not on a thread that serves.
    ///
    /// # Errors
    /// [`CryptError::Unavailable`].
    pub fn generate(now: Timestamp) -> Result<Self, CryptError> {
        Self::with_new_certificate(KeyPair::generate(KeySize::Rsa2048).map_err(|_| UNAVAILABLE)?, now)
    }

    /// A given private key with a new certificate from `now` on. The same key and time make the same certificate and `kid`.
    ///
    /// # Errors
    /// [`CryptError::Malformed`] if it is no PKCS#8 RSA key of 2048 bits or more.
    pub fn certify(pkcs8: &Secret<Vec<u8>>, now: Timestamp) -> Result<Self, CryptError> {
        Self::with_new_certificate(KeyPair::from_pkcs8(pkcs8.expose()).map_err(|_| MALFORMED)?, now)
    }

    /// A stored key with its certificate.
    ///
    /// # Errors
    /// [`CryptError::Malformed`] for no RSA key; [`CryptError::Rejected`] if the certificate is another key's.
    pub fn from_pkcs8(pkcs8: &Secret<Vec<u8>>, certificate_der: &[u8]) -> Result<Self, CryptError> {
        let pair = KeyPair::from_pkcs8(pkcs8.expose()).map_err(|_| MALFORMED)?;
        // A certificate contains its public key as it stands: enough to tell a mix-up, which is all that this can be.
        let public_key: &[u8] = pair.public_key().as_ref();
        if !certificate_der.windows(public_key.len()).any(|window| window == public_key) {
            return Err(CryptError::Rejected { what: "signing key's certificate" });
        }
        Self::with_certificate(pair, certificate_der.to_vec())
    }

    /// The private key as PKCS#8 DER, to be sealed.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the key was read from, or checked as, what is written here")]
    pub fn to_pkcs8(&self) -> Secret<Vec<u8>> {
        Secret::new(self.pair.as_der().expect("an RSA key has a PKCS#8 form").as_ref().to_vec())
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.public.form.kid
    }

    /// The self-signed certificate, to be stored beside the key.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &Arc<PublicKey> {
        &self.public
    }

    pub(crate) const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2).
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptError> {
        rs256(&self.pair, message).map_err(|_| CryptError::Unavailable { what: "signing" })
    }

    fn with_new_certificate(pair: KeyPair, now: Timestamp) -> Result<Self, CryptError> {
        let mut params = CertificateParams::default();
        x509::set_validity(&mut params, now, CERTIFICATE_LIFETIME);
        params.distinguished_name = x509::common_name("Keyless token signing");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&Certifier(&pair)).map_err(|_| UNAVAILABLE)?;
        Self::with_certificate(pair, certificate.der().to_vec())
    }

    fn with_certificate(pair: KeyPair, certificate_der: Vec<u8>) -> Result<Self, CryptError> {
        let kid =
            encoding::base64url(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate_der).as_ref());
        let headers = Headers {
            plain: encoding::base64url(format!(r#"{{"typ":"JWT","alg":"RS256","kid":"{kid}"}}"#).as_bytes()),
            with_thumbprint: encoding::base64url(
                format!(r#"{{"typ":"JWT","alg":"RS256","x5t":"{kid}","kid":"{kid}"}}"#).as_bytes(),
            ),
        };
        let public_key = pair.public_key();
        let public = PublicKey::try_from(PublicKeyForm {
            kid,
            n: encoding::base64url(public_key.modulus().big_endian_without_leading_zero()),
            e: encoding::base64url(public_key.exponent().big_endian_without_leading_zero()),
            x5c: vec![encoding::base64(&certificate_der)],
        })?;
        Ok(Self { pair, certificate_der, public: Arc::new(public), headers })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("kid", &self.kid()).finish_non_exhaustive()
    }
}

/// The key as rcgen asks for it: it signs its own certificate without leaving aws-lc.
struct Certifier<'a>(&'a KeyPair);

impl rcgen::PublicKeyData for Certifier<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl rcgen::SigningKey for Certifier<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        rs256(self.0, message).map_err(|_| rcgen::Error::RingUnspecified)
    }
}

fn rs256(pair: &KeyPair, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
    Ok(signature)
}

/// A public RSA key, parsed once. In serde it is the JWKS members `kid`, `n`, `e`, `x5c`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "PublicKeyForm", into = "PublicKeyForm")]
pub struct PublicKey {
    form: PublicKeyForm,
    parsed: ParsedPublicKey,
}

#[derive(Clone, Serialize, Deserialize)]
struct PublicKeyForm {
    kid: String,
    n: String,
    e: String,
    #[serde(default)]
    x5c: Vec<String>,
}

impl PublicKey {
    /// The key's id, which is also its `x5t`.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.form.kid
    }

    /// The modulus, base64url (RFC 7518 section 6.3.1.1).
    #[must_use]
    pub fn n(&self) -> &str {
        &self.form.n
    }

    /// The exponent, base64url.
    #[must_use]
    pub fn e(&self) -> &str {
        &self.form.e
    }

    /// The certificate chain, each the base64 (not base64url) of its DER (RFC 7517 section 4.7).
    #[must_use]
    pub fn x5c(&self) -> &[String] {
        &self.form.x5c
    }

    /// Verifies an RSASSA-PKCS1-v1_5 SHA-256 signature of 2048 to 8192 bits.
    ///
    /// # Errors
    /// [`CryptError::Rejected`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CryptError> {
        self.parsed.verify_sig(message, signature).map_err(|_| CryptError::Rejected { what: "signature" })
    }
}

impl TryFrom<PublicKeyForm> for PublicKey {
    type Error = CryptError;

    fn try_from(form: PublicKeyForm) -> Result<Self, CryptError> {
        let components = PublicKeyComponents {
            n: encoding::from_base64url(&form.n)?,
            e: encoding::from_base64url(&form.e)?,
        };
        let parsed = components
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| CryptError::Malformed { what: "public key" })?;
        Ok(Self { form, parsed })
    }
}

impl From<PublicKey> for PublicKeyForm {
    fn from(key: PublicKey) -> Self {
        key.form
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PublicKey").field("kid", &self.form.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_keys;

    #[test]
    fn a_fresh_key_survives_storage() {
        let key = SigningKey::generate(Timestamp::from_seconds(1_764_000_000)).unwrap();
        let again = SigningKey::from_pkcs8(&key.to_pkcs8(), key.certificate_der()).unwrap();
        assert_eq!(again.kid(), key.kid());
        let signature = again.sign(b"message").unwrap();
        assert_eq!(signature.len(), 256);
        key.public().verify(b"message", &signature).unwrap();
        assert!(key.public().verify(b"Message", &signature).is_err());
        assert!(key.public().verify(b"message", &signature[1..]).is_err());
    }

    #[test]
    fn names_are_the_thumbprint_of_the_certificate() {
        let key = test_keys::signing_key();
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.certificate_der());
        assert_eq!(key.kid(), encoding::base64url(hash.as_ref()));
        assert_eq!(key.kid().len(), 27);
        assert_eq!(key.public().x5c(), [encoding::base64(key.certificate_der())]);
        assert_eq!(key.public().e(), "AQAB");
        assert_eq!(key.kid(), test_keys::signing_key().kid());
        assert_ne!(key.kid(), test_keys::other_signing_key().kid());
    }

    #[test]
    fn another_keys_certificate_is_refused() {
        let (key, other) = (test_keys::signing_key(), test_keys::other_signing_key());
        let mixed = SigningKey::from_pkcs8(&key.to_pkcs8(), other.certificate_der());
        assert!(matches!(mixed, Err(CryptError::Rejected { .. })));
        assert!(SigningKey::from_pkcs8(&Secret::new(vec![1, 2, 3]), &[]).is_err());
    }

    #[test]
    fn public_keys_travel_as_json_and_bad_ones_do_not() {
        let public = test_keys::signing_key().public().clone();
        let text = serde_json::to_string(&*public).unwrap();
        let read: PublicKey = serde_json::from_str(&text).unwrap();
        assert_eq!((read.kid(), read.n()), (public.kid(), public.n()));
        for bad in [
            r#"{"kid":"a","n":"","e":"AQAB"}"#,
            r#"{"kid":"a","n":"AAAA","e":"AQAB"}"#,
            r#"{"kid":"a","n":"!","e":"AQAB"}"#,
        ] {
            assert!(serde_json::from_str::<PublicKey>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_short_key_parses_but_verifies_nothing() {
        let short = format!(r#"{{"kid":"a","n":"{}","e":"AQAB"}}"#, encoding::base64url(&[0xff; 128]));
        if let Ok(key) = serde_json::from_str::<PublicKey>(&short) {
            assert!(key.verify(b"", &[0; 128]).is_err());
        }
    }

    #[test]
    fn keys_show_their_id_only() {
        let key = test_keys::signing_key();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.kid()));
    }
}
