//! Several certificates that belong together: which one is the leaf, in which order they stand.
//!
//! Owns: finding the leaf by its key, the order, the limit. Owns not: whether the chain is to be trusted; its signatures are not checked.

use super::{CertificateError, ParsedCertificate, PrivateKey, PublicKey};
use domain::Secret;

/// Certificates of one chain. Ours: real ones have two to four.
pub const CHAIN_CERTIFICATES_MAX: usize = 20;

/// A certificate that came with its key: from a PFX or a PEM bundle.
#[derive(Debug)]
pub struct Imported {
    /// The private key, PKCS#8 DER.
    pub key_pkcs8: Secret<Vec<u8>>,
    /// The certificates, one at least. The one that belongs to the key is `leaf`; the order is the file's.
    pub certificates: Vec<ParsedCertificate>,
    /// At which place the key's own certificate is.
    pub leaf: usize,
}

impl Imported {
    pub(super) fn new(
        key: &PrivateKey,
        certificates: Vec<ParsedCertificate>,
    ) -> Result<Self, CertificateError> {
        let leaf = leaf_of(&certificates, key.public_key())?;
        Ok(Self { key_pkcs8: key.to_pkcs8()?, certificates, leaf })
    }

    /// The key's own certificate.
    #[must_use]
    pub fn leaf(&self) -> Option<&ParsedCertificate> {
        self.certificates.get(self.leaf)
    }

    /// The certificates with the leaf first, then each one's issuer.
    #[must_use]
    pub fn chain(&self) -> Vec<ParsedCertificate> {
        ordered(self.certificates.clone(), self.leaf)
    }
}

/// Reads certificates that came one by one, such as those of a merge, and puts them in order: the one with this key first, then each
/// one's issuer, then those that belong to none.
///
/// # Errors
/// [`CertificateError::CertificateMissing`], [`CertificateError::KeyMismatch`] if none has the key, [`CertificateError::TooLarge`]
/// above [`CHAIN_CERTIFICATES_MAX`], and as [`ParsedCertificate::from_der`].
pub fn read_chain<'a>(
    certificates: impl IntoIterator<Item = &'a [u8]>,
    key: &PublicKey,
) -> Result<Vec<ParsedCertificate>, CertificateError> {
    let mut parsed = Vec::new();
    for der in certificates {
        add(&mut parsed, der)?;
    }
    let leaf = leaf_of(&parsed, key)?;
    Ok(ordered(parsed, leaf))
}

/// Reads one more certificate of a chain. One that is there already is left out: exporters repeat them.
pub(super) fn add(chain: &mut Vec<ParsedCertificate>, der: &[u8]) -> Result<(), CertificateError> {
    if chain.iter().any(|other| other.der == der) {
        return Ok(());
    }
    if chain.len() >= CHAIN_CERTIFICATES_MAX {
        return Err(CertificateError::TooLarge { what: "the number of certificates" });
    }
    chain.push(ParsedCertificate::from_der(der)?);
    Ok(())
}

/// At which place the key's own certificate is, when a chain is written; the first one, if the key is not to be given out.
pub(super) fn position_of_leaf(
    certificates: &[ParsedCertificate],
    key: Option<&PublicKey>,
) -> Result<usize, CertificateError> {
    match (key, certificates) {
        (Some(key), _) => leaf_of(certificates, key),
        (None, []) => Err(CertificateError::CertificateMissing),
        (None, _) => Ok(0),
    }
}

fn leaf_of(certificates: &[ParsedCertificate], key: &PublicKey) -> Result<usize, CertificateError> {
    if certificates.is_empty() {
        return Err(CertificateError::CertificateMissing);
    }
    certificates
        .iter()
        .position(|certificate| certificate.public_key == *key)
        .ok_or(CertificateError::KeyMismatch)
}

fn ordered(mut rest: Vec<ParsedCertificate>, leaf: usize) -> Vec<ParsedCertificate> {
    let mut chain = Vec::with_capacity(rest.len());
    if leaf < rest.len() {
        chain.push(rest.remove(leaf));
    }
    while let Some(last) = chain.last() {
        // A certificate that names itself is a root: nothing is above it, though a cross-signed twin may be in the file.
        let issuer = (last.issuer != last.subject)
            .then(|| rest.iter().position(|other| last.names_as_issuer(other)))
            .flatten();
        match issuer {
            Some(at) => chain.push(rest.remove(at)),
            None => break,
        }
    }
    chain.append(&mut rest);
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::test_files::{LEAF, certificates, chain, leaf_key, other_key, test_file};

    fn key(pkcs8: &Secret<Vec<u8>>) -> PublicKey {
        PrivateKey::from_pkcs8(pkcs8).unwrap().public_key().clone()
    }

    fn check(given: &[&[u8]], expected: &[&[u8]]) {
        let chain = read_chain(given.iter().copied(), &key(&leaf_key())).unwrap();
        assert_eq!(chain.iter().map(|one| one.der.as_slice()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn any_order_becomes_leaf_then_issuers_then_strangers() {
        let chain = chain();
        let [leaf, intermediate, root] = [0, 1, 2].map(|at| chain[at].as_slice());
        let stranger = certificates(test_file!("v1.pem")).remove(0);
        check(&[leaf], &[leaf]);
        for given in [
            [leaf, intermediate, root],
            [leaf, root, intermediate],
            [root, leaf, intermediate],
            [root, intermediate, leaf],
            [intermediate, root, leaf],
            [intermediate, leaf, root],
        ] {
            check(&given, &[leaf, intermediate, root]);
        }
        check(&[&stranger, root, leaf, intermediate], &[leaf, intermediate, root, &stranger]);
        check(&[root, leaf], &[leaf, root]);
        check(&[leaf, root, leaf, root], &[leaf, root]);
    }

    #[test]
    fn a_chain_without_the_keys_certificate_is_refused() {
        let chain = chain();
        let given = || chain.iter().map(Vec::as_slice);
        assert_eq!(read_chain(given(), &key(&other_key())).err(), Some(CertificateError::KeyMismatch));
        assert_eq!(read_chain(given().skip(1), &key(&leaf_key())).err(), Some(CertificateError::KeyMismatch));
        assert_eq!(read_chain([], &key(&leaf_key())).err(), Some(CertificateError::CertificateMissing));
        let broken = read_chain([LEAF, b"garbage".as_slice()], &key(&leaf_key()));
        assert_eq!(broken.err(), Some(CertificateError::CertificateMalformed));
    }

    #[test]
    fn too_many_certificates_are_refused() {
        // Not the same: the last byte of each one's signature differs, and signatures are not looked at.
        let many: Vec<Vec<u8>> = (0..=u8::try_from(CHAIN_CERTIFICATES_MAX).unwrap())
            .map(|number| {
                let mut der = LEAF.to_vec();
                *der.last_mut().unwrap() = number;
                der
            })
            .collect();
        let read = |count| read_chain(many.iter().take(count).map(Vec::as_slice), &key(&leaf_key()));
        assert_eq!(read(CHAIN_CERTIFICATES_MAX).unwrap().len(), CHAIN_CERTIFICATES_MAX);
        assert!(matches!(read(CHAIN_CERTIFICATES_MAX + 1), Err(CertificateError::TooLarge { .. })));
    }
}
