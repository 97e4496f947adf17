//! Private CA.
use crate::CryptError;
use domain::{Secret, Timestamp};
use std::net::IpAddr;

/// A private certificate authority.
pub struct Authority(());
impl std::fmt::Debug for Authority { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("Authority(..)") } }

/// A server's certificate and key.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Leaf, then root, PEM.
    pub chain_pem: String,
    /// Private key, PKCS#8 DER.
    pub key_pkcs8: Secret<Vec<u8>>,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Authority {
    /// A new root, 10 years.
    /// # Errors
    /// Unavailable.
    pub fn create(_common_name: &str, _now: Timestamp) -> Result<Self, CryptError> { todo!() }
    /// A stored root.
    /// # Errors
    /// Malformed.
    pub fn from_parts(_certificate_pem: &str, _key_pkcs8: &Secret<Vec<u8>>) -> Result<Self, CryptError> { todo!() }
    /// The root certificate, PEM.
    pub fn certificate_pem(&self) -> &str { todo!() }
    /// Its private key, PKCS#8 DER, to be sealed.
    pub fn key_pkcs8(&self) -> Secret<Vec<u8>> { todo!() }
    /// A server certificate, 397 days.
    /// # Errors
    /// Malformed names; Unavailable.
    pub fn issue_server(&self, _dns_names: &[String], _addresses: &[IpAddr], _now: Timestamp) -> Result<ServerCertificate, CryptError> { todo!() }
}
