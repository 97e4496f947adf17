//! Making certificates (RFC 5280): signed by their own key, or by the installation's authority.
//!
//! Owns: what is in them beside the profile (serial number, key identifiers), and what the authority refuses to sign. Owns not: who may
//! ask for one, and the authority's own key (`x509`). Each certificate is an end entity's: none may sign another.

use super::{
    CertificateError, CertificateProfile, KeyUsage, ParsedCertificate, PrivateKey, PublicKey, Reserved,
    Subject, profile::extension, signed,
};
use crate::{Authority, hash::sha256};
use der::{Sequence, asn1::OctetString, oid::ObjectIdentifier};
use domain::{Entropy, Secret, Timestamp, world::random};
use x509_cert::{
    certificate::Version,
    ext::{
        Extension,
        pkix::{AuthorityKeyIdentifier, SubjectKeyIdentifier},
    },
    name::Name,
    serial_number::SerialNumber,
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned},
    time::Validity,
};

/// TBSCertificate (RFC 5280 section 4.1). Spelled out, as `x509-cert` only lets its builder make one, and that builder wants a signer of
/// RustCrypto's.
#[derive(Sequence)]
struct Content {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: Version,
    serial: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    public_key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

/// A certificate for a profile that its own key signed. The DER chain: this one.
///
/// # Errors
/// As [`CertificateProfile::check`] and [`PrivateKey::from_pkcs8`]; [`CertificateError::Unavailable`].
pub fn self_signed(
    profile: &CertificateProfile,
    key_pkcs8: &Secret<Vec<u8>>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Vec<Vec<u8>>, CertificateError> {
    profile.check()?;
    let key = PrivateKey::from_pkcs8(key_pkcs8)?;
    let signer = Signer {
        name: &profile.subject,
        key_id: &key_id(key.public_key()),
        algorithm: key.signature_algorithm(),
        not_after: None,
    };
    let content = content(profile, key.public_key(), &signer, now, entropy)?;
    Ok(vec![signed::sign(&content, signer.algorithm, |message| key.sign(message))?])
}

/// A certificate for a profile and a public key that the installation's authority signs. The DER chain: this one, then the root. It ends
/// no later than the root does.
///
/// # Errors
/// As [`CertificateProfile::check`]; [`CertificateError::NameReserved`] for a name of the installation itself;
/// [`CertificateError::KeyUsageNeedsAuthority`] for the usages that sign certificates; [`CertificateError::KeyUnsupported`] for a key
/// that no vault would have; [`CertificateError::Authority`] once the root has expired; [`CertificateError::Unavailable`].
pub fn issue_from(
    authority: &Authority,
    reserved: &Reserved<'_>,
    profile: &CertificateProfile,
    key: &PublicKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Vec<Vec<u8>>, CertificateError> {
    profile.check()?;
    reserved.check(&profile.subject, &profile.alternative_names)?;
    // Verifiers do not accept such a one as an authority (CA:FALSE, and the root's path length is 0), but nobody should have to rely on it.
    if [KeyUsage::KeyCertSign, KeyUsage::CrlSign].iter().any(|usage| profile.key_usages.contains(*usage)) {
        return Err(CertificateError::KeyUsageNeedsAuthority);
    }
    if !key.is_supported() {
        return Err(CertificateError::KeyUnsupported);
    }
    let root = authority
        .certificate_der()
        .ok()
        .and_then(|der| ParsedCertificate::from_der(&der).ok())
        .ok_or(CertificateError::Authority { why: "its certificate is not readable" })?;
    if root.not_after <= now {
        return Err(CertificateError::Authority { why: "its certificate has expired" });
    }
    let signer = Signer {
        name: &root.subject,
        key_id: root
            .key_id
            .as_deref()
            .ok_or(CertificateError::Authority { why: "its key has no identifier" })?,
        algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        not_after: Some(root.not_after),
    };
    let content = content(profile, key, &signer, now, entropy)?;
    let leaf = signed::sign(&content, signer.algorithm, |message| {
        authority.sign(message).map_err(|_| CertificateError::Unavailable { what: "signing" })
    })?;
    Ok(vec![leaf, root.der])
}

/// How `x509`'s authority signs.
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// What a certificate says of whoever signs it.
struct Signer<'a> {
    name: &'a Subject,
    key_id: &'a [u8],
    algorithm: AlgorithmIdentifierOwned,
    not_after: Option<Timestamp>,
}

fn content(
    profile: &CertificateProfile,
    key: &PublicKey,
    signer: &Signer<'_>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Content, CertificateError> {
    let octets = |bytes: &[u8]| {
        OctetString::new(bytes).map_err(|_| CertificateError::Unavailable { what: "encoding a certificate" })
    };
    let own_id = key_id(key);
    let own_id = SubjectKeyIdentifier(octets(&own_id)?);
    let signer_id =
        AuthorityKeyIdentifier { key_identifier: Some(octets(signer.key_id)?), ..Default::default() };
    let mut extensions = profile.extensions()?;
    extensions.push(extension(false, &own_id)?);
    extensions.push(extension(false, &signer_id)?);
    Ok(Content {
        version: Version::V3,
        serial: serial(entropy)?,
        signature: signer.algorithm.clone(),
        issuer: signer.name.as_name().clone(),
        validity: profile.validity(now, signer.not_after)?,
        subject: profile.subject.as_name().clone(),
        public_key: key.info().clone(),
        extensions,
    })
}

/// 17 bytes, positive and without leading zeros: 134 random bits, where 64 are the least that CAs agreed on (CA/B ballot 164), and below
/// the 20 bytes of RFC 5280 section 4.1.2.2.
fn serial(entropy: &dyn Entropy) -> Result<SerialNumber, CertificateError> {
    let mut bytes = random::<17>(entropy);
    let [first, ..] = &mut bytes;
    *first = *first & 0x3f | 0x40;
    SerialNumber::new(&bytes).map_err(|_| CertificateError::Unavailable { what: "making a serial number" })
}

/// The leftmost 160 bits of SHA-256 of the key's bits (RFC 7093 section 2, method 1), as `rcgen` does for the root.
fn key_id(key: &PublicKey) -> [u8; 20] {
    let hash = sha256(key.bits());
    let mut id = [0; 20];
    id.iter_mut().zip(hash.bytes()).for_each(|(to, from)| *to = *from);
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SystemEntropy,
        certificate::{
            AlternativeNames, KeyKind, KeyUsages, Oid,
            test_files::{leaf_key, pkcs8, test_file},
        },
    };
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    const NOW: Timestamp = Timestamp::from_seconds(1_765_253_819);
    const NONE: Reserved<'_> = Reserved { dns_names: &[], ip_addresses: &[] };

    fn profile() -> CertificateProfile {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut profile = CertificateProfile::new(Subject::parse("CN=contoso.com,OU=b,OU=a,C=US").unwrap());
        profile.alternative_names = AlternativeNames {
            dns_names: owned(&["contoso.com", "*.contoso.com"]),
            emails: owned(&["a@contoso.com"]),
            upns: owned(&["б@contoso.com"]),
            uris: owned(&["spiffe://contoso/a"]),
            ip_addresses: vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        };
        profile.extended_key_usages.push("1.3.6.1.4.1.311.10.3.12".parse().unwrap());
        profile
    }

    /// Reads a certificate with both readers, checks what each certificate of a profile has in common.
    fn check(der: &[u8], profile: &CertificateProfile, key: &PublicKey) -> ParsedCertificate {
        let read = ParsedCertificate::from_der(der).unwrap();
        assert_eq!(read.subject, profile.subject);
        assert_eq!(read.alternative_names, profile.alternative_names);
        assert_eq!(read.key_usages, profile.key_usages);
        assert_eq!(read.extended_key_usages, profile.extended_key_usages);
        assert_eq!(read.check_key(key), Ok(()));
        assert!(!read.is_authority);
        assert_eq!(
            (read.not_before, read.not_after.seconds()),
            (NOW.minus(super::super::profile::BACKDATED), 1_796_789_819)
        );
        assert!(read.serial.len() == 17 && (0x40..0x80).contains(&read.serial[0]));
        let (rest, other) = X509Certificate::from_der(der).unwrap();
        assert!(rest.is_empty());
        assert!(other.basic_constraints().unwrap().is_some_and(|basic| basic.critical && !basic.value.ca));
        assert!(other.key_usage().unwrap().is_some_and(|usage| usage.critical));
        assert!(other.subject_alternative_name().unwrap().is_some_and(|names| !names.critical));
        read
    }

    #[test]
    fn keys_of_each_kind_sign_themselves() {
        for pem in [
            test_file!("key-1.pem"),
            test_file!("rsa-3072.pem"),
            test_file!("rsa-4096.pem"),
            test_file!("other-key.pem"),
            test_file!("ec-p384.pem"),
            test_file!("ec-p521.pem"),
            test_file!("ec-p256k.pem"),
        ] {
            let key = pkcs8(pem);
            let chain = self_signed(&profile(), &key, NOW, &SystemEntropy).unwrap();
            let key = PrivateKey::from_pkcs8(&key).unwrap();
            let [leaf] = chain.as_slice() else { panic!("{} certificates", chain.len()) };
            let read = check(leaf, &profile(), key.public_key());
            assert_eq!(read.issuer, read.subject);
            assert!(
                read.names_as_issuer(&read) && read.key_id.is_some() && read.key_id == read.issuer_key_id
            );
            let (_, other) = X509Certificate::from_der(leaf).unwrap();
            // The other reader knows neither P-521 nor P-256K; there our own must do.
            match key.public_key().kind() {
                KeyKind::Ec(Curve::P521 | Curve::P256K) => {
                    let message = other.tbs_certificate.as_ref();
                    let signature = &other.signature_value.data;
                    let algorithm = key.signature_algorithm();
                    assert_eq!(key.public_key().verify(&algorithm, message, signature), Some(true));
                }
                _ => other.verify_signature(None).unwrap(),
            }
        }
    }

    use crate::certificate::Curve;

    #[test]
    fn the_authority_signs_for_a_key_that_it_does_not_have() {
        let authority = Authority::create("Keyless test root", NOW).unwrap();
        let key = PrivateKey::from_pkcs8(&leaf_key()).unwrap().public_key().clone();
        let chain = issue_from(&authority, &NONE, &profile(), &key, NOW, &SystemEntropy).unwrap();
        let [leaf, root] = chain.as_slice() else { panic!("{} certificates", chain.len()) };
        assert_eq!(root.as_slice(), authority.certificate_der().unwrap().as_ref());
        let read = check(leaf, &profile(), &key);
        assert!(read.names_as_issuer(&ParsedCertificate::from_der(root).unwrap()));
        let (_, root) = X509Certificate::from_der(root).unwrap();
        let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
        leaf.verify_signature(Some(root.public_key())).unwrap();
        let another = issue_from(&authority, &NONE, &profile(), &key, NOW, &SystemEntropy).unwrap();
        assert_ne!(read.serial, ParsedCertificate::from_der(&another[0]).unwrap().serial);
    }

    #[test]
    fn a_certificate_does_not_outlive_its_authority() {
        let authority = Authority::create("Keyless test root", NOW).unwrap();
        let root = ParsedCertificate::from_der(&authority.certificate_der().unwrap()).unwrap();
        let key = PrivateKey::from_pkcs8(&leaf_key()).unwrap().public_key().clone();
        let mut profile = profile();
        profile.validity_months = 240;
        let issue = |now| issue_from(&authority, &NONE, &profile, &key, now, &SystemEntropy);
        let leaf = ParsedCertificate::from_der(&issue(NOW).unwrap()[0]).unwrap();
        assert_eq!(leaf.not_after, root.not_after);
        assert!(matches!(issue(root.not_after), Err(CertificateError::Authority { .. })));
    }

    #[test]
    fn the_authority_refuses_what_could_be_turned_against_its_installation() {
        let authority = Authority::create("Keyless test root", NOW).unwrap();
        let key = PrivateKey::from_pkcs8(&leaf_key()).unwrap().public_key().clone();
        let dns_names = ["vault.contoso.com".to_owned()];
        let reserved = Reserved { dns_names: &dns_names, ip_addresses: &[] };
        let issue =
            |reserved, profile| issue_from(&authority, &reserved, &profile, &key, NOW, &SystemEntropy).err();
        assert_eq!(issue(reserved, profile()), Some(CertificateError::NameReserved));
        for usage in [KeyUsage::KeyCertSign, KeyUsage::CrlSign] {
            let profile = CertificateProfile { key_usages: [usage].into_iter().collect(), ..profile() };
            assert_eq!(issue(NONE, profile), Some(CertificateError::KeyUsageNeedsAuthority));
        }
        let profile = CertificateProfile { validity_months: 0, ..profile() };
        assert_eq!(issue(NONE, profile), Some(CertificateError::Validity));
    }

    #[test]
    fn the_authority_refuses_keys_that_no_vault_has() {
        let authority = Authority::create("Keyless test root", NOW).unwrap();
        let v1 = crate::certificate::test_files::certificates(test_file!("v1.pem")).remove(0);
        let ed25519 = ParsedCertificate::from_der(&v1).unwrap().public_key;
        let issued = issue_from(&authority, &NONE, &profile(), &ed25519, NOW, &SystemEntropy);
        assert_eq!(issued.err(), Some(CertificateError::KeyUnsupported));
    }

    #[test]
    fn what_a_profile_does_not_say_is_not_in_the_certificate() {
        let profile = CertificateProfile {
            subject: Subject::default(),
            alternative_names: AlternativeNames { upns: vec!["a".to_owned()], ..Default::default() },
            key_usages: KeyUsages::default(),
            extended_key_usages: Vec::<Oid>::new(),
            validity_months: 1,
        };
        let chain = self_signed(&profile, &leaf_key(), NOW, &SystemEntropy).unwrap();
        let (_, read) = X509Certificate::from_der(&chain[0]).unwrap();
        assert!(read.key_usage().unwrap().is_none() && read.extended_key_usage().unwrap().is_none());
        // RFC 5280 section 4.1.2.6: with no subject the other names are critical.
        assert!(read.subject_alternative_name().unwrap().is_some_and(|names| names.critical));
        let nameless = CertificateProfile { alternative_names: AlternativeNames::default(), ..profile };
        assert_eq!(self_signed(&nameless, &leaf_key(), NOW, &SystemEntropy), Err(CertificateError::Nameless));
    }
}
