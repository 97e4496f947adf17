//! A Java truststore: PKCS#12 (RFC 7292) with trusted certificates and no key. Java marks trust by an attribute of its own
//! (2.16.840.1.113894.746875.1.1), without which the JVM sees no entry.
//!
//! Owns: that file's bytes. Owns not: where it lies and who is pointed at it (`server`, `host`). Nothing in it is secret: its password
//! only serves the form.

use crate::CryptError;
use p12_keystore::{Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

/// Iterations of both key derivations. Java's own default is 10,000; as nothing is secret, its start-up time matters more.
const ITERATIONS: u32 = 1_024;

/// A truststore of all certificates of a PEM text, readable by Java 8u301 and later (AES-256, HMAC-SHA256). Java takes 6 characters of
/// password at least; `changeit` is its custom.
///
/// # Errors
/// [`CryptError::Malformed`] if the text has no certificate or one that is not readable; [`CryptError::Unavailable`].
pub fn pkcs12_truststore(certificates_pem: &str, password: &str) -> Result<Vec<u8>, CryptError> {
    const MALFORMED: CryptError = CryptError::Malformed { what: "certificate" };
    let mut store = KeyStore::new();
    for (number, certificate) in CertificateDer::pem_slice_iter(certificates_pem.as_bytes()).enumerate() {
        let certificate =
            Certificate::from_der(&certificate.map_err(|_| MALFORMED)?).map_err(|_| MALFORMED)?;
        store.add_entry(&format!("keyless-{number:03}"), KeyStoreEntry::Certificate(certificate));
    }
    if store.entries_len() == 0 {
        return Err(MALFORMED);
    }
    store
        .writer(password)
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ITERATIONS)
        .write()
        .map_err(|_| CryptError::Unavailable { what: "writing a truststore" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;
    use domain::Timestamp;
    use p12_keystore::Pkcs12ImportPolicy;

    fn root(name: &str) -> String {
        Authority::create(name, Timestamp::from_seconds(1_764_000_000)).unwrap().certificate_pem().to_owned()
    }

    #[test]
    fn every_certificate_is_a_trusted_entry() {
        let pem = root("one") + &root("two");
        let bytes = pkcs12_truststore(&pem, "changeit").unwrap();
        let store = KeyStore::from_pkcs12(&bytes, "changeit", Pkcs12ImportPolicy::Strict).unwrap();
        let certificates: Vec<_> = store
            .entries()
            .filter_map(|(_, entry)| match entry {
                KeyStoreEntry::Certificate(certificate) => Some(certificate.subject().to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(certificates.len(), 2);
        assert!(certificates[0].contains("one") && certificates[1].contains("two"), "{certificates:?}");
        // DER of Java's attribute, 2.16.840.1.113894.746875.1.1, is inside of the encrypted part; `keytool -list` of JDK 17 was seen
        // to say trustedCertEntry of such a file.
        assert!(KeyStore::from_pkcs12(&bytes, "changeIt", Pkcs12ImportPolicy::Strict).is_err());
    }

    #[test]
    fn a_text_without_certificate_makes_no_store() {
        for bad in ["", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(pkcs12_truststore(bad, "changeit").is_err(), "{bad}");
        }
    }
}
