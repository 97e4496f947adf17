//! The private certificate authority: a root that only this installation trusts, and the server's certificate below it (RFC 5280).
//!
//! Owns: keys, extensions and lifetimes of both. Owns not: who comes to trust the root (`server` writes the bundles, ADR 0004) or when
//! the server's certificate is renewed. EC P-256 throughout. Private keys stay with aws-lc: rcgen is asked to write, not to sign.

use crate::CryptError;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use domain::{Secret, Timestamp, limits};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SanType,
    date_time_ymd,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use std::{fmt, net::IpAddr, time::Duration};

/// Lifetime of the root certificate: ten years.
pub const ROOT_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Lifetime of a server certificate. Source: 398 days is the most that Apple's and the browsers' verifiers accept; one less to be sure.
pub const SERVER_LIFETIME: Duration = Duration::from_secs(397 * 86_400);

const UNAVAILABLE: CryptError = CryptError::Unavailable { what: "making a certificate" };
const MALFORMED: CryptError = CryptError::Malformed { what: "certificate authority" };

/// A private certificate authority: its root certificate and key. Shows neither.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, EcKey>,
}

/// A server's certificate with its private key.
#[derive(Debug)]
pub struct ServerCertificate {
    /// The server's certificate, PEM. The root is not repeated: who trusts it has it.
    pub chain_pem: String,
    /// The private key, PKCS#8 DER.
    pub key_pkcs8: Secret<Vec<u8>>,
    /// The last second at which the certificate is valid.
    pub not_after: Timestamp,
}

impl Authority {
    /// A new root with a fresh key, valid for [`ROOT_LIFETIME`].
    ///
    /// # Errors
    /// [`CryptError::Unavailable`].
    pub fn create(name: &str, now: Timestamp) -> Result<Self, CryptError> {
        Self::make(name, None, now)
    }

    /// The same, good for servers of these names and of what is below them: for no other name, for no address (RFC 5280 section 4.2.1.10),
    /// and for nobody but servers (section 4.2.1.12).
    ///
    /// # Errors
    /// [`CryptError::Unavailable`].
    pub fn create_for(name: &str, dns_names: &[&str], now: Timestamp) -> Result<Self, CryptError> {
        let permitted = dns_names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect();
        // No permitted name of a kind forbids nothing of it, so that all addresses must be said to be excluded.
        let addresses = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])];
        let constraints = NameConstraints {
            permitted_subtrees: permitted,
            excluded_subtrees: addresses.into_iter().map(GeneralSubtree::IpAddress).collect(),
        };
        Self::make(name, Some(constraints), now)
    }

    fn make(name: &str, constraints: Option<NameConstraints>, now: Timestamp) -> Result<Self, CryptError> {
        let key = EcKey::generate()?;
        let mut params = CertificateParams::default();
        if constraints.is_some() {
            // What has neither name nor address, such as a person's mail, is no subtree that could be left out.
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
        set_validity(&mut params, now, ROOT_LIFETIME);
        params.distinguished_name = common_name(name);
        params.name_constraints = constraints;
        // No authority below this one: whoever steals a server's key cannot issue.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate_pem = params.self_signed(&key).map_err(|_| UNAVAILABLE)?.pem();
        Ok(Self { certificate_pem, issuer: Issuer::new(params, key) })
    }

    /// A stored root.
    ///
    /// # Errors
    /// [`CryptError::Malformed`] if either is not readable; [`CryptError::Rejected`] if they do not belong together.
    pub fn from_parts(certificate_pem: &str, key_pkcs8: &Secret<Vec<u8>>) -> Result<Self, CryptError> {
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| MALFORMED)?;
        let key = EcKey::from_pkcs8(key_pkcs8)?;
        // A certificate contains its public key as it stands: enough to tell a mix-up, which is all that this can be.
        let public_key = key.pair.public_key().as_ref();
        if !certificate.windows(public_key.len()).any(|window| window == public_key) {
            return Err(CryptError::Rejected { what: "certificate authority's key" });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| MALFORMED)?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), issuer })
    }

    /// The root certificate, PEM: what clients are to trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The root certificate, DER.
    ///
    /// # Errors
    /// [`CryptError::Malformed`].
    pub fn root_der(&self) -> Result<Vec<u8>, CryptError> {
        self.certificate_der().map(|der| der.to_vec())
    }

    /// The same, for `certificate`.
    pub(crate) fn certificate_der(&self) -> Result<CertificateDer<'static>, CryptError> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).map_err(|_| MALFORMED)
    }

    /// Signs with the root's key: ECDSA on P-256 with SHA-256, DER. For `certificate`, which decides what may be signed.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptError> {
        rcgen::SigningKey::sign(self.issuer.key(), message).map_err(|_| UNAVAILABLE)
    }

    /// The root's private key, PKCS#8 DER, to be sealed.
    #[must_use]
    pub fn key_pkcs8(&self) -> Secret<Vec<u8>> {
        self.issuer.key().pkcs8.duplicate()
    }

    /// A server certificate with a fresh key for these names (a `*.` label may come first) and addresses, for [`SERVER_LIFETIME`].
    ///
    /// # Errors
    /// [`CryptError::Malformed`] for a name that is not ASCII, or for none at all; [`CryptError::Unavailable`].
    pub fn issue_server(
        &self,
        dns_names: &[String],
        addresses: &[IpAddr],
        now: Timestamp,
    ) -> Result<ServerCertificate, CryptError> {
        const NAME: CryptError = CryptError::Malformed { what: "server's name" };
        let key = EcKey::generate()?;
        let mut params = CertificateParams::default();
        let not_after = set_validity(&mut params, now, SERVER_LIFETIME);
        params.distinguished_name = common_name("Keyless server");
        params.subject_alt_names = dns_names
            .iter()
            .map(|name| name.as_str().try_into().map(SanType::DnsName).map_err(|_| NAME))
            .chain(addresses.iter().map(|address| Ok(SanType::IpAddress(*address))))
            .collect::<Result<_, _>>()?;
        if params.subject_alt_names.is_empty() {
            return Err(NAME);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|_| UNAVAILABLE)?;
        Ok(ServerCertificate { chain_pem: certificate.pem(), key_pkcs8: key.pkcs8, not_after })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Authority(..)")
    }
}

/// Sets a validity that begins a little before `now`, for clocks that are behind; returns its last second.
pub(crate) fn set_validity(params: &mut CertificateParams, now: Timestamp, lifetime: Duration) -> Timestamp {
    /// 9999-12-31T23:59:59Z, the last time that a certificate can tell (RFC 5280 section 4.1.2.5).
    const LAST: u64 = 253_402_300_799;
    let seconds = |time: Timestamp| u64::try_from(time.seconds()).unwrap_or(0).min(LAST);
    let date = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let from = now.minus(limits::CLOCK_SKEW);
    let until = from.plus(lifetime);
    (params.not_before, params.not_after) = (date(seconds(from)), date(seconds(until)));
    until
}

pub(crate) fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::OrganizationName, "Keyless");
    names.push(DnType::CommonName, name);
    names
}

/// An EC P-256 key that rcgen may ask to sign.
struct EcKey {
    pair: EcdsaKeyPair,
    pkcs8: Secret<Vec<u8>>,
}

impl EcKey {
    fn generate() -> Result<Self, CryptError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        Self::from_pkcs8(&Secret::new(document.map_err(|_| UNAVAILABLE)?.as_ref().to_vec()))
    }

    fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, CryptError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.expose())
            .map_err(|_| MALFORMED)?;
        Ok(Self { pair, pkcs8: pkcs8.duplicate() })
    }
}

impl rcgen::PublicKeyData for EcKey {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for EcKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature =
            self.pair.sign(&SystemRandom::new(), message).map_err(|_| rcgen::Error::RingUnspecified)?;
        Ok(signature.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::{extensions::GeneralName, prelude::*};

    const NOW: Timestamp = Timestamp::from_seconds(1_764_000_000);

    fn names() -> (Vec<String>, Vec<IpAddr>) {
        let names = ["keyless.localhost", "*.vault.keyless.localhost", "localhost"];
        (names.map(str::to_owned).to_vec(), vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()])
    }

    fn check(pem: &str, check: impl FnOnce(&X509Certificate<'_>)) {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        check(&parse_x509_certificate(&der).unwrap().1);
    }

    #[test]
    fn the_root_may_sign_certificates_and_nothing_stands_between() {
        let authority = Authority::create("Keyless test root", NOW).unwrap();
        check(authority.certificate_pem(), |root| {
            root.verify_signature(None).unwrap();
            let basic = root.basic_constraints().unwrap().unwrap();
            assert!(basic.critical && basic.value.ca && basic.value.path_len_constraint == Some(0));
            assert!(root.key_usage().unwrap().unwrap().value.key_cert_sign());
            assert_eq!(root.subject(), root.issuer());
            let validity = root.validity();
            assert_eq!(validity.not_before.timestamp(), NOW.seconds() - 300);
            assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), 3_650 * 86_400);
        });
    }

    #[test]
    fn server_certificates_chain_to_the_root_as_it_was_stored() {
        let authority = Authority::create("Keyless test root", NOW).unwrap();
        let authority = Authority::from_parts(authority.certificate_pem(), &authority.key_pkcs8()).unwrap();
        let (dns_names, addresses) = names();
        let server = authority.issue_server(&dns_names, &addresses, NOW).unwrap();
        assert!(EcKey::from_pkcs8(&server.key_pkcs8).is_ok());
        check(authority.certificate_pem(), |root| {
            check(&server.chain_pem, |leaf| {
                leaf.verify_signature(Some(root.public_key())).unwrap();
                assert_eq!(leaf.issuer(), root.subject());
                assert!(leaf.basic_constraints().unwrap().is_some_and(|basic| !basic.value.ca));
                let usage = leaf.extended_key_usage().unwrap().unwrap();
                assert!(usage.value.server_auth && !usage.value.client_auth);
                let alternatives = leaf.subject_alternative_name().unwrap().unwrap();
                let found: Vec<_> = alternatives.value.general_names.iter().collect();
                assert_eq!(found.len(), 5);
                assert_eq!(found[1], &GeneralName::DNSName("*.vault.keyless.localhost"));
                assert_eq!(found[3], &GeneralName::IPAddress(&[127, 0, 0, 1]));
                assert_eq!(leaf.validity().not_after.timestamp(), server.not_after.seconds());
                assert!(server.not_after.seconds_since(NOW) <= 397 * 86_400);
            });
        });
        let another = authority.issue_server(&dns_names, &addresses, NOW).unwrap();
        check(&another.chain_pem, |another| {
            check(&server.chain_pem, |first| assert_ne!(another.serial, first.serial))
        });
    }

    #[test]
    fn a_root_for_some_names_is_good_for_no_others() {
        let authority =
            Authority::create_for("Keyless test root", &["vault.example", "a.login.example"], NOW);
        let authority = authority.unwrap();
        check(authority.certificate_pem(), |root| {
            let constraints = root.name_constraints().unwrap().unwrap();
            assert!(constraints.critical);
            let names = |subtrees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
                let subtrees = subtrees.iter().flatten();
                subtrees.map(|subtree| subtree.base.to_string()).collect::<Vec<_>>()
            };
            let permitted = names(&constraints.value.permitted_subtrees);
            assert_eq!(permitted, ["DNSName(vault.example)", "DNSName(a.login.example)"]);
            assert_eq!(names(&constraints.value.excluded_subtrees).len(), 2);
            let usage = root.extended_key_usage().unwrap().unwrap().value;
            let is_for_more = usage.any || usage.client_auth || usage.email_protection || usage.code_signing;
            assert!(usage.server_auth && !is_for_more && usage.other.is_empty());
        });
        let stored = Authority::from_parts(authority.certificate_pem(), &authority.key_pkcs8()).unwrap();
        let server = stored.issue_server(&["*.vault.example".to_owned()], &[], NOW).unwrap();
        check(authority.certificate_pem(), |root| {
            check(&server.chain_pem, |leaf| leaf.verify_signature(Some(root.public_key())).unwrap());
        });
    }

    #[test]
    fn another_roots_key_and_strange_names_are_refused() {
        let (one, other) = (Authority::create("one", NOW).unwrap(), Authority::create("other", NOW).unwrap());
        let mixed = Authority::from_parts(one.certificate_pem(), &other.key_pkcs8());
        assert!(matches!(mixed, Err(CryptError::Rejected { .. })));
        assert!(Authority::from_parts("", &one.key_pkcs8()).is_err());
        assert!(Authority::from_parts(one.certificate_pem(), &Secret::new(vec![0; 8])).is_err());
        assert!(matches!(one.issue_server(&[], &[], NOW), Err(CryptError::Malformed { .. })));
        assert!(matches!(one.issue_server(&["é".to_owned()], &[], NOW), Err(CryptError::Malformed { .. })));
        assert_eq!(format!("{one:?}"), "Authority(..)");
    }

    #[test]
    fn absurd_times_make_a_certificate_all_the_same() {
        for seconds in [i64::MIN, -1, 0, i64::MAX] {
            assert!(Authority::create("absurd", Timestamp::from_seconds(seconds)).is_ok(), "{seconds}");
        }
    }
}
