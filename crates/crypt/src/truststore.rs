//! Java truststore.
use crate::CryptError;
/// PKCS#12 of trusted certificates.
/// # Errors
/// Malformed.
pub fn pkcs12_truststore(_certificates_pem: &str, _password: &str) -> Result<Vec<u8>, CryptError> { todo!() }
