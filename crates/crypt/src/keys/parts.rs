//! A private key taken apart into the members of its JWK: for a client that has it in a file and sends it to a vault to be imported.
//!
//! The vault itself never does this with a key of its own.

use super::{KeyType, PrivateJwk, PrivateKey, PublicJwk, private::Kind};
use crate::CryptError;
use domain::Secret;

const MALFORMED: CryptError = CryptError::Malformed { what: "private key" };

impl PrivateKey {
    /// The key's type and all members of its JWK (RFC 7518 section 6), the private ones among them.
    ///
    /// # Errors
    /// [`CryptError::Malformed`] for a symmetric key, which has no PKCS#8 that it could have come from.
    pub fn to_private_jwk(&self) -> Result<(KeyType, PrivateJwk), CryptError> {
        match &self.0 {
            Kind::Rsa(key, public) => {
                let PublicJwk::Rsa { n, e } = public.to_jwk() else { return Err(MALFORMED) };
                // PKCS#8 (RFC 5958 section 2) around PKCS#1 (RFC 8017 appendix A.1.2), as our own library has just written it.
                let der = key.to_pkcs8()?;
                let mut outer = Der(Der(der.expose()).take(SEQUENCE)?);
                let (_version, _algorithm) = (outer.take(INTEGER)?, outer.take(SEQUENCE)?);
                let mut inner = Der(Der(outer.take(OCTET_STRING)?).take(SEQUENCE)?);
                let (_version, _n, _e) = (inner.take(INTEGER)?, inner.take(INTEGER)?, inner.take(INTEGER)?);
                let mut next = || inner.take(INTEGER).map(integer).map(Some);
                let (d, p, q, dp, dq, qi) = (next()?, next()?, next()?, next()?, next()?, next()?);
                let jwk = PrivateJwk { n: Some(n), e: Some(e), d, p, q, dp, dq, qi, ..PrivateJwk::default() };
                Ok((KeyType::Rsa, jwk))
            }
            Kind::Ec(key, public) => {
                let PublicJwk::Ec { crv, x, y } = public.to_jwk() else { return Err(MALFORMED) };
                let d = Some(key.scalar()?);
                Ok((
                    KeyType::Ec,
                    PrivateJwk { crv: Some(crv), x: Some(x), y: Some(y), d, ..PrivateJwk::default() },
                ))
            }
            Kind::Oct(_) => Err(MALFORMED),
        }
    }
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// What is left of some DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must be of this type.
    fn take(&mut self, tag: u8) -> Result<&'a [u8], CryptError> {
        let (found, rest) = self.0.split_first().ok_or(MALFORMED)?;
        let (first, rest) = rest.split_first().ok_or(MALFORMED)?;
        let (length, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(*first & 0x7f)).ok_or(MALFORMED)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return Err(MALFORMED),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(MALFORMED)?;
        self.0 = rest;
        if *found == tag { Ok(content) } else { Err(MALFORMED) }
    }
}

/// An unsigned integer without the zero that keeps DER's positive.
fn integer(content: &[u8]) -> Secret<Vec<u8>> {
    Secret::new(content.strip_prefix(&[0]).unwrap_or(content).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeySpec, SignatureAlgorithm};

    #[test]
    fn a_key_taken_apart_and_put_together_signs_as_the_same() {
        let entropy = crate::SystemEntropy;
        for spec in KeySpec::all() {
            let key = PrivateKey::generate(spec, &entropy).unwrap();
            let Some(pkcs8) = key.to_pkcs8().unwrap() else {
                assert!(matches!(spec, KeySpec::Oct(_)) && key.to_private_jwk().is_err());
                continue;
            };
            let (key_type, jwk) = PrivateKey::import_pkcs8(&pkcs8).unwrap().to_private_jwk().unwrap();
            let again = PrivateKey::import(key_type, &jwk).unwrap();
            let algorithm = SignatureAlgorithm::ALL.into_iter().find(|one| one.fits(spec)).unwrap();
            let digest = vec![7; algorithm.digest_bytes().unwrap()];
            let signature = again.sign(algorithm, &digest).unwrap();
            assert!(key.verify(algorithm, &digest, &signature).unwrap(), "{spec:?}");
        }
    }
}
