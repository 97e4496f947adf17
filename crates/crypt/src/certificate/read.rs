//! Reading certificates (RFC 5280): all that a vault tells of one, and from which it derives a policy when one is imported.
//!
//! Owns: [`ParsedCertificate`]. Owns not: trust. No signature and no time is checked: an expired certificate, or one by an unknown
//! authority, is as good to keep as any. Strict DER only; an extension that we look at must be readable, others are not looked at.

use super::{AlternativeNames, CertificateError, KeyUsages, Oid, PublicKey, Subject, profile::timestamp};
use aws_lc_rs::digest;
use der::{Decode, oid::AssociatedOid};
use domain::Timestamp;
use std::fmt;
use x509_cert::{
    Certificate, TbsCertificate,
    ext::pkix::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, SubjectAltName, SubjectKeyIdentifier,
    },
};

/// Bytes of one certificate. Ours: those of the public web are below 8 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

const MALFORMED: CertificateError = CertificateError::CertificateMalformed;

/// A certificate with all that is looked at in it.
#[derive(Clone, PartialEq, Eq)]
pub struct ParsedCertificate {
    /// The certificate itself, DER.
    pub der: Vec<u8>,
    /// Whom it is about.
    pub subject: Subject,
    /// Who signed it.
    pub issuer: Subject,
    /// Serial number, big-endian, without the leading zeros.
    pub serial: Vec<u8>,
    /// The first second at which it is valid.
    pub not_before: Timestamp,
    /// The last second at which it is valid.
    pub not_after: Timestamp,
    /// Its other names, of the kinds that Key Vault has fields for.
    pub alternative_names: AlternativeNames,
    /// What its key is for; none says nothing.
    pub key_usages: KeyUsages,
    /// For which purposes; none says nothing.
    pub extended_key_usages: Vec<Oid>,
    /// Its public key.
    pub public_key: PublicKey,
    /// Whether it is an authority's.
    pub is_authority: bool,
    /// Identifier of its own key, if it says one.
    pub(super) key_id: Option<Vec<u8>>,
    /// Identifier of the key that signed it, if it says one.
    pub(super) issuer_key_id: Option<Vec<u8>>,
}

impl ParsedCertificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertificateError::CertificateMalformed`]; [`CertificateError::TooLarge`] above [`CERTIFICATE_BYTES_MAX`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLarge { what: "a certificate" });
        }
        let certificate = Certificate::from_der(der).map_err(|_| MALFORMED)?;
        let content = certificate.tbs_certificate();
        // RFC 5280 section 4.1.1.2: the algorithm that is signed is the one that is said.
        if content.signature() != certificate.signature_algorithm() {
            return Err(MALFORMED);
        }
        check_extensions_are_once(content)?;
        let names = find::<SubjectAltName>(content)?;
        let validity = content.validity();
        Ok(Self {
            der: der.to_vec(),
            subject: Subject::from_name(content.subject().clone()),
            issuer: Subject::from_name(content.issuer().clone()),
            serial: without_leading_zeros(content.serial_number().as_bytes()).to_vec(),
            not_before: timestamp(validity.not_before.to_date_time()),
            not_after: timestamp(validity.not_after.to_date_time()),
            alternative_names: names
                .map(|names| AlternativeNames::from_general_names(&names.0))
                .transpose()?
                .unwrap_or_default(),
            key_usages: find(content)?.map(KeyUsages::from_extension).unwrap_or_default(),
            extended_key_usages: find::<ExtendedKeyUsage>(content)?
                .map(|usages| usages.0.into_iter().map(Oid).collect())
                .unwrap_or_default(),
            public_key: PublicKey::new(content.subject_public_key_info().clone()).map_err(|_| MALFORMED)?,
            is_authority: find::<BasicConstraints>(content)?.is_some_and(|basic| basic.ca),
            key_id: find::<SubjectKeyIdentifier>(content)?.map(|id| id.0.as_bytes().to_vec()),
            issuer_key_id: find::<AuthorityKeyIdentifier>(content)?
                .and_then(|id| id.key_identifier)
                .map(|id| id.as_bytes().to_vec()),
        })
    }

    /// SHA-1 of the DER: what `x5t` is (RFC 7515 section 4.1.7). A name, no proof of anything.
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 20] {
        let mut thumbprint = [0; 20];
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der);
        thumbprint.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        thumbprint
    }

    /// Whether a certificate's key is this one; what a merged certificate must pass with the pending key.
    ///
    /// # Errors
    /// [`CertificateError::KeyMismatch`].
    pub fn check_key(&self, key: &PublicKey) -> Result<(), CertificateError> {
        if self.public_key == *key { Ok(()) } else { Err(CertificateError::KeyMismatch) }
    }

    /// Whether the other certificate's subject and key identifier are those that this one says of its issuer. Not whether it signed it.
    #[must_use]
    pub fn names_as_issuer(&self, other: &Self) -> bool {
        let fits = match (&self.issuer_key_id, &other.key_id) {
            (Some(issuer), Some(own)) => issuer == own,
            _ => true,
        };
        fits && self.issuer == other.subject
    }
}

impl fmt::Debug for ParsedCertificate {
    /// By its thumbprint: a subject may be confidential.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ParsedCertificate({})", crate::encoding::hex(&self.thumbprint()))
    }
}

/// RFC 5280 section 4.2: no extension may be there twice. Two readers could each believe another one.
fn check_extensions_are_once(content: &TbsCertificate) -> Result<(), CertificateError> {
    let mut ids: Vec<_> =
        content.extensions().into_iter().flatten().map(|extension| extension.extn_id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() == count { Ok(()) } else { Err(MALFORMED) }
}

fn find<'a, T: Decode<'a> + AssociatedOid>(
    content: &'a TbsCertificate,
) -> Result<Option<T>, CertificateError> {
    content.get_extension::<T>().map(|found| found.map(|(_, value)| value)).map_err(|_| MALFORMED)
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{
        Curve, KeyKind, PrivateKey,
        test_files::{LEAF, certificates, chain, leaf_key, other_key, test_file},
        usage::KeyUsage::{DigitalSignature, KeyAgreement, KeyEncipherment},
    };
    use proptest::prelude::*;

    #[test]
    fn all_that_a_vault_tells_is_read() {
        let leaf = ParsedCertificate::from_der(LEAF).unwrap();
        assert_eq!(
            leaf.subject.to_string(),
            r"CN=public-test.example+emailAddress=test@public-test.example,OU=Two,OU=One,O=Public Test\, Ltd.,L=München,ST=Bayern,C=DE",
        );
        assert_eq!(leaf.issuer.to_string(), "CN=Public test intermediate,O=Public Test,C=DE");
        assert_eq!(crate::encoding::hex(&leaf.serial), "80deadbeef");
        assert_eq!((leaf.not_before.seconds(), leaf.not_after.seconds()), (1_577_836_800, 1_609_459_200));
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            leaf.alternative_names,
            AlternativeNames {
                dns_names: owned(&["public-test.example", "*.public-test.example"]),
                emails: owned(&["test@public-test.example"]),
                upns: owned(&["upn@public-test.example"]),
                uris: owned(&["https://public-test.example/a"]),
                ip_addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            }
        );
        assert_eq!(leaf.alternative_names.check(), Ok(()));
        assert_eq!(
            leaf.key_usages,
            [DigitalSignature, KeyEncipherment, KeyAgreement].into_iter().collect::<KeyUsages>()
        );
        assert_eq!(leaf.extended_key_usages, [Oid::SERVER_AUTH, "1.3.6.1.4.1.311.10.3.12".parse().unwrap()]);
        assert_eq!(leaf.public_key.kind(), KeyKind::Ec(Curve::P256));
        assert!(!leaf.is_authority);
        // `openssl x509 -fingerprint -sha1`
        assert_eq!(crate::encoding::hex(&leaf.thumbprint()), THUMBPRINT);
        assert_eq!(format!("{leaf:?}"), format!("ParsedCertificate({THUMBPRINT})"));
    }

    const THUMBPRINT: &str = "e051ce1c3f347651b87b9cc581192d2a4fe748d0";

    #[test]
    fn authorities_are_told_and_named_as_issuers() {
        let chain: Vec<_> = chain().iter().map(|der| ParsedCertificate::from_der(der).unwrap()).collect();
        let [leaf, intermediate, root] = chain.as_slice() else { panic!() };
        assert!(intermediate.is_authority && root.is_authority);
        assert_eq!(root.public_key.kind(), KeyKind::Ec(Curve::P384));
        assert_eq!(crate::encoding::hex(&intermediate.serial), "ff01");
        assert!(leaf.names_as_issuer(intermediate) && intermediate.names_as_issuer(root));
        assert!(root.names_as_issuer(root));
        assert!(!leaf.names_as_issuer(root) && !root.names_as_issuer(intermediate));
    }

    #[test]
    fn a_key_is_told_from_another() {
        let leaf = ParsedCertificate::from_der(LEAF).unwrap();
        let key = |pkcs8| PrivateKey::from_pkcs8(&pkcs8).unwrap().public_key().clone();
        assert_eq!(leaf.check_key(&key(leaf_key())), Ok(()));
        assert_eq!(leaf.check_key(&key(other_key())), Err(CertificateError::KeyMismatch));
    }

    #[test]
    fn what_is_not_strictly_a_certificate_is_refused() {
        for bad in [&[], b"garbage".as_slice(), &LEAF[..LEAF.len() - 1], &[LEAF, &[0]].concat()] {
            assert_eq!(ParsedCertificate::from_der(bad).err(), Some(MALFORMED));
        }
        let large = vec![0x30; CERTIFICATE_BYTES_MAX + 1];
        assert!(matches!(ParsedCertificate::from_der(&large), Err(CertificateError::TooLarge { .. })));
        // The outer algorithm is another one than what is signed: the last of both, ecdsa-with-SHA256, becomes SHA384.
        let id = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let last = LEAF.windows(id.len()).rposition(|window| window == id).unwrap();
        let mut mixed = LEAF.to_vec();
        mixed[last + 9] = 3;
        assert_eq!(ParsedCertificate::from_der(&mixed).err(), Some(MALFORMED));
        // Two extensions of one kind: the policies (2.5.29.32) say that they are key usages (15).
        let id = [6, 3, 0x55, 0x1d, 32];
        let at = LEAF.windows(id.len()).position(|window| window == id).unwrap();
        let mut twice = LEAF.to_vec();
        twice[at + 4] = 15;
        assert_eq!(ParsedCertificate::from_der(&twice).err(), Some(MALFORMED));
    }

    #[test]
    fn a_certificate_without_extensions_is_read() {
        let der = certificates(test_file!("v1.pem")).remove(0);
        let read = ParsedCertificate::from_der(&der).unwrap();
        assert!(read.alternative_names.is_empty() && read.key_usages.is_empty() && !read.is_authority);
        assert_eq!(read.public_key.kind(), KeyKind::Other);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            let mut der = LEAF.to_vec();
            for (at, byte) in changes {
                let at = at.index(der.len());
                der[at] = byte;
            }
            if let Ok(read) = ParsedCertificate::from_der(&der) {
                prop_assert_eq!(&read.der, &der);
                let _ = (read.subject.to_string(), read.issuer.to_string(), format!("{read:?}"));
            }
        }

        #[test]
        fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ParsedCertificate::from_der(&bytes).is_err());
        }
    }
}
