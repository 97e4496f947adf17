//! What certificates and signing requests have in common: something, the algorithm of a signature over it, the signature (RFC 5280
//! section 4.1.1, RFC 2986 section 4.2).
//!
//! Owns: that envelope. Owns not: what is in it, and by which key it is signed.

use super::CertificateError;
use der::{AnyRef, Decode as _, Encode, Sequence, asn1::BitString};
use x509_cert::spki::AlgorithmIdentifierOwned;

#[derive(Sequence)]
struct Signed<'a> {
    content: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// Encodes something, has it signed, encodes all three.
pub(super) fn sign(
    content: &impl Encode,
    algorithm: AlgorithmIdentifierOwned,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, CertificateError>,
) -> Result<Vec<u8>, CertificateError> {
    const UNAVAILABLE: CertificateError = CertificateError::Unavailable { what: "encoding a certificate" };
    let content = content.to_der().map_err(|_| UNAVAILABLE)?;
    let signature = BitString::from_bytes(&sign(&content)?).map_err(|_| UNAVAILABLE)?;
    let content = AnyRef::from_der(&content).map_err(|_| UNAVAILABLE)?;
    Signed { content, algorithm, signature }.to_der().map_err(|_| UNAVAILABLE)
}
