//! Signing keys.
use crate::CryptError;
use domain::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A private RSA-2048 signing key with its self-signed certificate.
pub struct SigningKey(());
impl std::fmt::Debug for SigningKey { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("SigningKey(..)") } }

impl SigningKey {
    /// A fresh key (50 ms and more) with a certificate from `now` on.
    /// # Errors
    /// Unavailable.
    pub fn generate(_now: Timestamp) -> Result<Self, CryptError> { todo!() }
    /// A known private key with a new certificate from `now` on.
    /// # Errors
    /// Malformed.
    pub fn certify(_pkcs8: &Secret<Vec<u8>>, _now: Timestamp) -> Result<Self, CryptError> { todo!() }
    /// A stored key with its certificate.
    /// # Errors
    /// Malformed; Rejected if the certificate is another key's.
    pub fn from_pkcs8(_pkcs8: &Secret<Vec<u8>>, _certificate_der: &[u8]) -> Result<Self, CryptError> { todo!() }
    /// The private key as PKCS#8 DER, to be sealed.
    pub fn to_pkcs8(&self) -> Secret<Vec<u8>> { todo!() }
    /// base64url SHA-1 of the certificate.
    pub fn kid(&self) -> &str { todo!() }
    /// The self-signed certificate.
    pub fn certificate_der(&self) -> &[u8] { todo!() }
    /// The public half.
    pub fn public(&self) -> &Arc<PublicKey> { todo!() }
}

/// A public RSA key as in a JWKS: kid, n, e, x5c (each base64url, x5c standard base64 of the certificate).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicKey(());
impl PublicKey {
    /// Key id == x5t.
    pub fn kid(&self) -> &str { todo!() }
    /// Modulus, base64url.
    pub fn n(&self) -> &str { todo!() }
    /// Exponent, base64url.
    pub fn e(&self) -> &str { todo!() }
    /// Certificate chain, each standard base64 of the DER.
    pub fn x5c(&self) -> &[String] { todo!() }
    /// Verifies an RS256 signature.
    /// # Errors
    /// Rejected.
    pub fn verify(&self, _message: &[u8], _signature: &[u8]) -> Result<(), CryptError> { todo!() }
}
