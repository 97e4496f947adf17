//! Certificate signing requests (PKCS#10, RFC 2986): what a caller takes to an authority that we do not know.
//!
//! Owns: writing one for a profile, reading one back. Owns not: what becomes of it; the vault compares the merged certificate's key.

use super::{CertificateError, CertificateProfile, PrivateKey, PublicKey, Subject, signed};
use der::{Decode as _, Encode as _, asn1::SetOfVec};
use domain::Secret;
use x509_cert::{
    attr::Attribute,
    request::{CertReq, CertReqInfo, ExtensionReq, Version},
};

/// Bytes of a request that is read. Ours: a hundred names are below 32 KiB.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A request for a profile, signed by the key: PKCS#10 DER. All extensions that the certificate should have are asked for.
///
/// # Errors
/// As [`CertificateProfile::check`] and [`PrivateKey::from_pkcs8`]; [`CertificateError::Unavailable`].
pub fn request(
    profile: &CertificateProfile,
    key_pkcs8: &Secret<Vec<u8>>,
) -> Result<Vec<u8>, CertificateError> {
    const UNAVAILABLE: CertificateError = CertificateError::Unavailable { what: "encoding a request" };
    profile.check()?;
    let key = PrivateKey::from_pkcs8(key_pkcs8)?;
    let wanted = Attribute::try_from(ExtensionReq(profile.extensions()?)).map_err(|_| UNAVAILABLE)?;
    let info = CertReqInfo {
        version: Version::V1,
        subject: profile.subject.as_name().clone(),
        public_key: key.public_key().info().clone(),
        attributes: SetOfVec::try_from(vec![wanted]).map_err(|_| UNAVAILABLE)?,
    };
    signed::sign(&info, key.signature_algorithm(), |message| key.sign(message))
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub subject: Subject,
    /// For which key.
    pub public_key: PublicKey,
}

/// Reads a request and checks that its own key signed it, as [`request`] signs.
///
/// # Errors
/// [`CertificateError::RequestMalformed`], [`CertificateError::RequestRejected`]; [`CertificateError::KeyUnsupported`] for a key or an
/// algorithm that is not ours; [`CertificateError::TooLarge`] above [`REQUEST_BYTES_MAX`].
pub fn read_request(der: &[u8]) -> Result<Request, CertificateError> {
    const MALFORMED: CertificateError = CertificateError::RequestMalformed;
    if der.len() > REQUEST_BYTES_MAX {
        return Err(CertificateError::TooLarge { what: "the certificate signing request" });
    }
    let request = CertReq::from_der(der).map_err(|_| MALFORMED)?;
    let public_key = PublicKey::new(request.info.public_key.clone()).map_err(|_| MALFORMED)?;
    let message = request.info.to_der().map_err(|_| MALFORMED)?;
    let signature = request.signature.as_bytes().ok_or(MALFORMED)?;
    match public_key.verify(&request.algorithm, &message, signature) {
        Some(true) => Ok(Request { subject: Subject::from_name(request.info.subject), public_key }),
        Some(false) => Err(CertificateError::RequestRejected),
        None => Err(CertificateError::KeyUnsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{
        AlternativeNames, KeyUsage, Oid,
        test_files::{leaf_key, pkcs8, test_file},
    };
    use proptest::prelude::*;
    use x509_parser::prelude::{FromDer as _, ParsedExtension, X509CertificationRequest};

    fn profile() -> CertificateProfile {
        let mut profile = CertificateProfile::new(Subject::parse("CN=contoso.com,O=Contoso").unwrap());
        profile.alternative_names = AlternativeNames {
            dns_names: vec!["contoso.com".to_owned()],
            upns: vec!["user@contoso.com".to_owned()],
            ..Default::default()
        };
        profile
    }

    #[test]
    fn a_request_asks_for_all_of_the_profile() {
        for key in [leaf_key(), pkcs8(test_file!("key-1.pem"))] {
            let der = request(&profile(), &key).unwrap();
            let read = read_request(&der).unwrap();
            assert_eq!(read.subject, profile().subject);
            assert_eq!(read.public_key, *PrivateKey::from_pkcs8(&key).unwrap().public_key());
            // As another reader sees it.
            let (rest, other) = X509CertificationRequest::from_der(&der).unwrap();
            assert!(rest.is_empty());
            other.verify_signature().unwrap();
            let extensions: Vec<_> = other.requested_extensions().unwrap().collect();
            assert_eq!(extensions.len(), 4);
            let has = |is_it: fn(&ParsedExtension<'_>) -> bool| extensions.iter().any(|found| is_it(found));
            assert!(has(|it| matches!(it, ParsedExtension::BasicConstraints(it) if !it.ca)));
            assert!(has(|it| matches!(it, ParsedExtension::KeyUsage(it) if it.flags == 5)));
            assert!(has(|it| {
                matches!(it, ParsedExtension::ExtendedKeyUsage(it) if it.server_auth && it.client_auth)
            }));
            assert!(has(|it| {
                matches!(it, ParsedExtension::SubjectAlternativeName(it) if it.general_names.len() == 2)
            }));
        }
    }

    #[test]
    fn others_requests_are_read() {
        use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
        let der = CertificateSigningRequestDer::from_pem_slice(test_file!("request.pem")).unwrap();
        let read = read_request(&der).unwrap();
        assert_eq!(read.public_key, *PrivateKey::from_pkcs8(&leaf_key()).unwrap().public_key());
        assert!(read.subject.to_string().ends_with(",L=München,ST=Bayern,C=DE"));
    }

    #[test]
    fn what_is_not_signed_by_its_own_key_is_refused() {
        let mut der = request(&profile(), &leaf_key()).unwrap();
        let at = der.windows(7).position(|window| window == b"contoso").unwrap();
        der[at] = b'k';
        assert_eq!(read_request(&der), Err(CertificateError::RequestRejected));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let der = request(&profile(), &leaf_key()).unwrap();
        for bad in [&[], b"garbage".as_slice(), &der[..der.len() - 1], &[der.as_slice(), &[0]].concat()] {
            assert_eq!(read_request(bad), Err(CertificateError::RequestMalformed));
        }
        let large = vec![0x30; REQUEST_BYTES_MAX + 1];
        assert!(matches!(read_request(&large), Err(CertificateError::TooLarge { .. })));
        let mut bad = profile();
        bad.validity_months = 0;
        assert_eq!(request(&bad, &leaf_key()), Err(CertificateError::Validity));
        let mut bad = profile();
        bad.key_usages = KeyUsage::ALL.into_iter().collect();
        bad.extended_key_usages = vec![Oid::SERVER_AUTH; 51];
        assert!(matches!(request(&bad, &leaf_key()), Err(CertificateError::ObjectIdentifier { .. })));
    }

    #[test]
    fn no_bit_of_a_request_may_change() {
        let der = request(&profile(), &leaf_key()).unwrap();
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.clone();
                changed[at] ^= 1 << bit;
                assert!(read_request(&changed).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read_request(&bytes).is_err());
        }
    }
}
