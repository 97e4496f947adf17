//! PEM bundles (RFC 7468): a private key and its certificates as text, in any order.
//!
//! Owns: reading and writing them. Owns not: PEM of anything else. Key Vault asks for PKCS#8 (`PRIVATE KEY`); the older `RSA PRIVATE KEY`
//! (PKCS#1) and `EC PRIVATE KEY` (SEC1) are read too and become PKCS#8, and so is an `ENCRYPTED PRIVATE KEY` (RFC 5958 section 3) with its
//! password; what OpenSSL encrypted before that (RFC 1421) is refused. Text around the blocks is skipped, as OpenSSL writes some. Own, and
//! not `rustls-pki-types`, as that skips what it does not know (an encrypted key looks like none), and leaves the key's base64 in memory.

use super::{CertificateError, Imported, ParsedCertificate, PrivateKey, chain, pfx};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::Secret;
use zeroize::Zeroizing;

/// Bytes of a bundle. Ours: what fits a PFX, in base64.
pub const PEM_BYTES_MAX: usize = 256 * 1024;
/// Characters of a line that is written. Source: RFC 7468 section 2.
const LINE_CHARACTERS: usize = 64;

const fn refused(why: &'static str) -> CertificateError {
    CertificateError::Pem { why }
}

/// Reads a bundle of one private key and its certificates. A password opens the key, if it is encrypted; else it is not looked at.
///
/// # Errors
/// [`CertificateError::Pem`] for a text that is none, a password that is none of the key, or a block of another kind;
/// [`CertificateError::PfxTooCostly`] for how it is encrypted; [`CertificateError::KeyMissing`],
/// [`CertificateError::KeyAmbiguous`], [`CertificateError::CertificateMissing`], [`CertificateError::KeyMismatch`] for what is in it;
/// [`CertificateError::TooLarge`] above [`PEM_BYTES_MAX`] or too many certificates; and as [`PrivateKey::from_pkcs8`] and
/// [`ParsedCertificate::from_der`].
pub fn read_pem(
    text: &Secret<String>,
    password: Option<&Secret<String>>,
) -> Result<Imported, CertificateError> {
    let text = text.expose().as_str();
    if text.len() > PEM_BYTES_MAX {
        return Err(CertificateError::TooLarge { what: "the PEM text" });
    }
    let (mut key, mut certificates) = (None, Vec::new());
    // Room for all of it at once: a text that grows leaves copies behind.
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    // What editors on Windows put before a text in UTF-8.
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, "-----BEGIN ") else { continue };
        let bytes = block(&mut lines, label, &mut base64)?;
        let mut add_key = |read: &dyn Fn(&[u8]) -> Result<PrivateKey, CertificateError>| {
            if key.is_some() {
                return Err(CertificateError::KeyAmbiguous);
            }
            key = Some(read(&bytes)?);
            Ok(())
        };
        let open = |bytes: &[u8]| match pfx::open_key(bytes, password) {
            Err(CertificateError::PfxPassword) if password.is_none() => {
                Err(refused("its private key is encrypted, and there is no password"))
            }
            Err(CertificateError::PfxPassword) => Err(refused("the password does not open its private key")),
            Err(CertificateError::PfxUnsupported { .. }) => Err(refused(
                "its private key is encrypted in a way that is not read: PBES2 with PBKDF2 is, as OpenSSL does by default",
            )),
            opened => opened,
        };
        match label {
            "PRIVATE KEY" => add_key(&PrivateKey::read_pkcs8)?,
            "RSA PRIVATE KEY" => add_key(&PrivateKey::read_pkcs1)?,
            "EC PRIVATE KEY" => add_key(&PrivateKey::read_sec1)?,
            "ENCRYPTED PRIVATE KEY" => add_key(&open)?,
            "CERTIFICATE" | "X509 CERTIFICATE" => chain::add(&mut certificates, &bytes)?,
            // What `openssl ecparam -genkey` puts before the key. The key says its curve itself.
            "EC PARAMETERS" => (),
            _ => return Err(refused("it has a block that is neither a private key nor a certificate")),
        }
    }
    match key {
        Some(key) => Imported::new(&key, certificates),
        None => Err(CertificateError::KeyMissing),
    }
}

/// The bytes up to the label's end.
fn block<'a>(
    lines: &mut impl Iterator<Item = &'a str>,
    label: &str,
    base64: &mut String,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    base64.clear();
    for line in lines {
        if let Some(end) = boundary(line, "-----END ") {
            if end != label {
                return Err(refused("a block ends as another one"));
            }
            let mut bytes = Zeroizing::new(vec![0; base64.len() / 4 * 3 + 3]);
            let length = STANDARD.decode_slice(base64.as_bytes(), &mut bytes);
            bytes.truncate(length.map_err(|_| refused("a block is not base64"))?);
            return Ok(bytes);
        }
        // Headers (RFC 1421) are how OpenSSL of old says that a key is encrypted.
        if line.contains(':') {
            return Err(refused("a block has headers, as encrypted keys do"));
        }
        base64.extend(line.split_ascii_whitespace());
    }
    Err(refused("a block has no end"))
}

/// The label of a line such as `-----BEGIN CERTIFICATE-----`.
fn boundary<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.trim().strip_prefix(prefix)?.strip_suffix("-----")
}

/// A bundle: the private key, if there is one to be given out, as PKCS#8, then the certificates in their order.
///
/// # Errors
/// [`CertificateError::CertificateMissing`]; [`CertificateError::KeyMismatch`] if no certificate is the key's; as
/// [`PrivateKey::from_pkcs8`] and [`ParsedCertificate::from_der`]; [`CertificateError::TooLarge`].
pub fn write_pem(
    key_pkcs8: Option<&Secret<Vec<u8>>>,
    chain: &[Vec<u8>],
) -> Result<Secret<String>, CertificateError> {
    let mut certificates: Vec<ParsedCertificate> = Vec::new();
    for certificate in chain {
        chain::add(&mut certificates, certificate)?;
    }
    let key = key_pkcs8.map(PrivateKey::from_pkcs8).transpose()?;
    chain::position_of_leaf(&certificates, key.as_ref().map(PrivateKey::public_key))?;
    let blocks = key_pkcs8.iter().map(|key| key.expose().len()).chain(chain.iter().map(Vec::len));
    let mut text = Zeroizing::new(String::with_capacity(blocks.map(|bytes| bytes * 3 / 2 + 100).sum()));
    if let Some(key) = key {
        append(&mut text, "PRIVATE KEY", key.to_pkcs8()?.expose());
    }
    for certificate in &certificates {
        append(&mut text, "CERTIFICATE", &certificate.der);
    }
    Ok(Secret::new(std::mem::take(&mut *text)))
}

fn append(text: &mut String, label: &str, der: &[u8]) {
    text.extend(["-----BEGIN ", label, "-----\n"]);
    // 48 bytes are 64 characters.
    for line in der.chunks(LINE_CHARACTERS / 4 * 3) {
        STANDARD.encode_string(line, text);
        text.push('\n');
    }
    text.extend(["-----END ", label, "-----\n"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::test_files::{LEAF, chain as test_chain, leaf_key, other_key, pkcs8, test_file};
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn read(text: impl Into<String>) -> Result<Imported, CertificateError> {
        read_pem(&Secret::new(text.into()), None)
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let mut text = String::new();
        append(&mut text, label, der);
        text
    }

    fn ders(certificates: &[ParsedCertificate]) -> Vec<Vec<u8>> {
        certificates.iter().map(|certificate| certificate.der.clone()).collect()
    }

    #[test]
    fn a_bundle_in_any_order_is_read() {
        let imported = read(text(test_file!("bundle.pem"))).unwrap();
        assert_eq!(ders(&imported.chain()), test_chain());
        // Root, leaf, intermediate: as it stands in the file.
        assert_eq!(imported.leaf, 1);
        assert_eq!(imported.leaf().unwrap().der, LEAF);
        assert_eq!(ders(&imported.certificates)[0], test_chain()[2]);
        let public = |pkcs8: &Secret<Vec<u8>>| PrivateKey::from_pkcs8(pkcs8).unwrap().public_key().clone();
        assert_eq!(public(&imported.key_pkcs8), public(&leaf_key()));
        // Windows' line ends, white space around, words between.
        let strange = format!("Bag Attributes\n{}", text(test_file!("bundle.pem"))).replace('\n', " \r\n");
        assert_eq!(read(strange).unwrap().leaf, 1);
        // And their mark before a text that begins with a block.
        let marked =
            ["\u{feff}", &pem("PRIVATE KEY", leaf_key().expose()), &pem("CERTIFICATE", LEAF)].concat();
        assert_eq!(read(marked).unwrap().leaf().unwrap().der, LEAF);
    }

    #[test]
    fn older_forms_of_keys_become_pkcs8() {
        let imported = read(text(test_file!("sec1.pem"))).unwrap();
        assert_eq!(imported.leaf().unwrap().der, LEAF);
        assert!(PrivateKey::from_pkcs8(&imported.key_pkcs8).is_ok());
        let key = pkcs8(test_file!("key-1.pem"));
        let chain = crate::certificate::self_signed(
            &crate::certificate::CertificateProfile::new(crate::certificate::Subject::parse("CN=a").unwrap()),
            &key,
            domain::Timestamp::from_seconds(1_765_253_819),
            &crate::SystemEntropy,
        );
        let certificate = pem("CERTIFICATE", &chain.unwrap()[0]);
        let imported = read(certificate + &text(test_file!("key-1-pkcs1.pem"))).unwrap();
        let public = |pkcs8: &Secret<Vec<u8>>| PrivateKey::from_pkcs8(pkcs8).unwrap().public_key().clone();
        assert_eq!(public(&imported.key_pkcs8), public(&key));
    }

    #[test]
    fn an_encrypted_key_is_opened_by_its_password() {
        let certificate = pem("CERTIFICATE", LEAF);
        let open = |file: &[u8], password: &str| {
            let bundle = Secret::new(certificate.clone() + &text(file));
            read_pem(&bundle, Some(&Secret::new(password.to_owned())))
        };
        for file in [test_file!("encrypted-pbes2.pem"), test_file!("encrypted-3des.pem")] {
            let opened = open(file, "1234").unwrap();
            assert_eq!(opened.key_pkcs8.expose(), leaf_key().expose());
            for wrong in ["", "1235"] {
                let why = "the password does not open its private key";
                assert_eq!(open(file, wrong).err(), Some(CertificateError::Pem { why }));
            }
        }
        let unsupported = open(test_file!("encrypted-md5.pem"), "1234").err();
        assert!(
            matches!(unsupported, Some(CertificateError::Pem { why }) if why.contains("PBES2")),
            "{unsupported:?}"
        );
        // Who has a password for all files says it of a key that needs none.
        assert!(open(pem("PRIVATE KEY", leaf_key().expose()).as_bytes(), "1234").is_ok());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = write_pem(Some(&leaf_key()), &test_chain()).unwrap();
        let imported = read_pem(&written, None).unwrap();
        assert_eq!((ders(&imported.certificates), imported.leaf), (test_chain(), 0));
        assert!(written.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(written.expose().lines().all(|line| line.len() <= LINE_CHARACTERS));
        let without = write_pem(None, &test_chain()).unwrap();
        assert!(!without.expose().contains("PRIVATE"));
        assert_eq!(read_pem(&without, None).err(), Some(CertificateError::KeyMissing));
        assert_eq!(write_pem(Some(&other_key()), &test_chain()).err(), Some(CertificateError::KeyMismatch));
        assert_eq!(write_pem(Some(&leaf_key()), &[]).err(), Some(CertificateError::CertificateMissing));
    }

    #[test]
    fn what_is_no_bundle_is_refused_with_its_reason() {
        let key = pem("PRIVATE KEY", leaf_key().expose());
        let certificate = pem("CERTIFICATE", LEAF);
        let both = format!("{key}{certificate}");
        let refused = |why| CertificateError::Pem { why };
        for (bundle, expected) in [
            (String::new(), CertificateError::KeyMissing),
            ("no PEM".to_owned(), CertificateError::KeyMissing),
            (certificate.clone(), CertificateError::KeyMissing),
            (key.clone(), CertificateError::CertificateMissing),
            (format!("{key}{both}"), CertificateError::KeyAmbiguous),
            (pem("PRIVATE KEY", other_key().expose()) + &certificate, CertificateError::KeyMismatch),
            (text(test_file!("ed25519.pem")) + &certificate, CertificateError::KeyUnsupported),
            (text(test_file!("rsa-1024.pem")) + &certificate, CertificateError::KeyUnsupported),
            (pem("PRIVATE KEY", LEAF) + &certificate, CertificateError::KeyMalformed),
            (key.clone() + &pem("CERTIFICATE", b"garbage"), CertificateError::CertificateMalformed),
            (both[..both.len() - 30].to_owned(), refused("a block has no end")),
            (both.replace("END CERT", "END NO CERT"), refused("a block ends as another one")),
            (both.replace("MI", "M!"), refused("a block is not base64")),
            (
                pem("ENCRYPTED PRIVATE KEY", leaf_key().expose()) + &certificate,
                CertificateError::KeyMalformed,
            ),
            (
                text(test_file!("encrypted-pbes2.pem")) + &certificate,
                refused("its private key is encrypted, and there is no password"),
            ),
            (both.clone() + &text(test_file!("encrypted-pbes2.pem")), CertificateError::KeyAmbiguous),
            (
                key.replace("KEY-----\nM", "KEY-----\nProc-Type: 4,ENCRYPTED\n\nM"),
                refused("a block has headers, as encrypted keys do"),
            ),
            (
                both + &pem("PUBLIC KEY", b"a"),
                refused("it has a block that is neither a private key nor a certificate"),
            ),
            (" ".repeat(PEM_BYTES_MAX + 1), CertificateError::TooLarge { what: "the PEM text" }),
        ] {
            let start: String = bundle.chars().take(60).collect();
            assert_eq!(read(bundle).err(), Some(expected), "{start}");
        }
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\n]"), 1..6)) {
            let mut bundle = text(test_file!("bundle.pem"));
            for (at, character) in changes {
                let at = at.index(bundle.len());
                bundle.replace_range(at..=at, &character);
            }
            let _ = read(bundle);
        }

        #[test]
        fn any_text_is_refused(text in "(-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY|EC PRIVATE KEY)-----\n|[A-Za-z0-9+/=]{0,8}\n|\\PC{0,4})*") {
            prop_assert!(read(text).is_err());
        }
    }
}
