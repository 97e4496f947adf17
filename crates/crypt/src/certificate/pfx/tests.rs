//! Files of others, our own, and broken ones. `p12-keystore` is the oracle: it opens what we write, and makes what no tool would.

use super::*;
use crate::{
    SystemEntropy,
    certificate::{
        CertificateError, Imported, PrivateKey,
        test_files::{LEAF, chain, leaf_key, other_key, test_file},
    },
};
use domain::Secret;
use p12_keystore::{KeyStore, KeyStoreEntry, LocalKeyId, Pkcs12ImportPolicy, PrivateKeyChain};
use proptest::prelude::*;

const PASSWORD: &str = "test-pässword";

fn read(pfx: &[u8], password: &str) -> Result<Imported, CertificateError> {
    read_pfx(&Secret::new(pfx.to_vec()), Some(&Secret::new(password.to_owned())))
}

fn ders(imported: &Imported) -> Vec<Vec<u8>> {
    imported.chain().into_iter().map(|certificate| certificate.der).collect()
}

fn is_of_leaf(pkcs8: &Secret<Vec<u8>>) -> bool {
    let public = |pkcs8| PrivateKey::from_pkcs8(pkcs8).unwrap().public_key().clone();
    public(pkcs8) == public(&leaf_key())
}

const MODERN: &[u8] = test_file!("modern.pfx");
const LEGACY: &[u8] = test_file!("legacy.pfx");
const NO_MAC: &[u8] = test_file!("no-mac.pfx");

const WITH_PASSWORD: [(&str, &[u8]); 6] = [
    ("modern", MODERN),
    ("legacy", LEGACY),
    ("rc2-128", test_file!("rc2-128.pfx")),
    ("aes128-sha512", test_file!("aes128-sha512.pfx")),
    ("no-mac", NO_MAC),
    ("python", test_file!("python.pfx")),
];

#[test]
fn the_worlds_files_are_read() {
    for (name, file) in WITH_PASSWORD {
        let imported = read(file, PASSWORD).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(ders(&imported), chain(), "{name}");
        assert!(is_of_leaf(&imported.key_pkcs8), "{name}");
    }
    let java = read(test_file!("java.pfx"), "changeit").unwrap();
    assert_eq!(java.leaf().unwrap().subject.to_string(), "CN=a,O=Public Test");
}

#[test]
fn no_password_and_an_empty_one_are_the_same() {
    for file in [
        test_file!("empty.pfx"),
        test_file!("3des.pfx"),
        test_file!("clear.pfx"),
        test_file!("python-none.pfx"),
        // Its MAC and keys are derived of nothing at all, without the two zero bytes, as some tools do.
        test_file!("null.pfx"),
    ] {
        assert_eq!(ders(&read(file, "").unwrap()), chain());
        assert_eq!(ders(&read_pfx(&Secret::new(file.to_vec()), None).unwrap()), chain());
    }
}

#[test]
fn a_wrong_password_is_told_as_such() {
    for (name, file) in WITH_PASSWORD {
        for wrong in ["", "test-password", "test-pässword "] {
            assert_eq!(read(file, wrong).err(), Some(CertificateError::PfxPassword), "{name}");
        }
    }
    assert_eq!(read(test_file!("empty.pfx"), " ").err(), Some(CertificateError::PfxPassword));
    // Without a MAC some wrong passwords give a padding that is right; what is below it is still not said to be malformed.
    for number in 0..600 {
        let wrong = format!("wrong {number}");
        assert_eq!(read(test_file!("no-mac-fast.pfx"), &wrong).err(), Some(CertificateError::PfxPassword));
    }
}

#[test]
fn what_is_in_it_must_be_one_key_and_its_certificates() {
    let check = |file: &[u8], password, expected| assert_eq!(read(file, password).err(), Some(expected));
    check(test_file!("no-key.pfx"), "", CertificateError::KeyMissing);
    check(test_file!("no-certificate.pfx"), "", CertificateError::CertificateMissing);
    check(test_file!("two-keys.pfx"), "changeit", CertificateError::KeyAmbiguous);
    let mismatched = oracle_writes(other_key(), "p");
    check(&mismatched, "p", CertificateError::KeyMismatch);
    let fitting = oracle_writes(leaf_key(), "p");
    assert_eq!(ders(&read(&fitting, "p").unwrap()), chain());
}

fn oracle_writes(key: Secret<Vec<u8>>, password: &str) -> Vec<u8> {
    let key = p12_keystore::PrivateKey::from_der(key.expose()).unwrap();
    let certificates = chain().into_iter().map(|der| p12_keystore::Certificate::from_der(&der).unwrap());
    let mut store = KeyStore::new();
    let chain = PrivateKeyChain::new(LocalKeyId(vec![1]), key, certificates);
    store.add_entry("a", KeyStoreEntry::PrivateKeyChain(chain));
    store.writer(password).encryption_iterations(1_000).mac_iterations(1_000).write().unwrap()
}

#[test]
fn work_is_bounded_before_it_is_done() {
    assert_eq!(read(test_file!("costly.pfx"), PASSWORD).err(), Some(CertificateError::PfxTooCostly));
    // Six derivations of 200,000 each: none too many, all of them are.
    assert_eq!(read(test_file!("costly-sum.pfx"), PASSWORD).err(), Some(CertificateError::PfxTooCostly));
    let large = vec![0x30; PFX_BYTES_MAX + 1];
    assert_eq!(read(&large, "").err(), Some(CertificateError::TooLarge { what: "the PFX" }));
}

#[test]
fn what_is_no_pfx_is_malformed() {
    let whole = MODERN;
    let longer = [whole, &[0]].concat();
    for bad in [&[], b"garbage".as_slice(), LEAF, &whole[..whole.len() - 1], &whole[..100], &longer] {
        assert_eq!(read(bad, PASSWORD).err(), Some(CertificateError::PfxMalformed));
    }
}

#[test]
fn what_is_written_is_read_by_us_and_by_the_oracle() {
    let written = write_pfx(Some(&leaf_key()), &chain(), &SystemEntropy).unwrap();
    let imported = read_pfx(&written, None).unwrap();
    assert_eq!((ders(&imported), imported.leaf), (chain(), 0));
    assert!(is_of_leaf(&imported.key_pkcs8));
    let another = write_pfx(Some(&leaf_key()), &chain(), &SystemEntropy).unwrap();
    assert!(another.expose() != written.expose(), "salts are fresh");
    // The oracle is built without 3DES, and can verify the MAC and count the parts: it gets as far as the cipher.
    let opened = KeyStore::from_pkcs12(written.expose(), "", Pkcs12ImportPolicy::Strict);
    assert!(matches!(opened, Err(p12_keystore::error::Error::UnsupportedEncryptionScheme)), "{opened:?}");
    let wrong = KeyStore::from_pkcs12(written.expose(), "a", Pkcs12ImportPolicy::Strict);
    assert!(matches!(wrong, Err(p12_keystore::error::Error::MacError(_))), "{wrong:?}");
}

#[test]
fn keys_that_may_not_leave_are_left_out() {
    let written = write_pfx(None, &chain(), &SystemEntropy).unwrap();
    assert_eq!(read_pfx(&written, None).err(), Some(CertificateError::KeyMissing));
    let write = |key, chain: &[Vec<u8>]| write_pfx(Some(&key), chain, &SystemEntropy).err();
    assert_eq!(write(other_key(), &chain()), Some(CertificateError::KeyMismatch));
    assert_eq!(write(leaf_key(), &[]), Some(CertificateError::CertificateMissing));
    let garbage = vec![b"garbage".to_vec()];
    assert_eq!(write(leaf_key(), &garbage), Some(CertificateError::CertificateMalformed));
    assert_eq!(write(Secret::new(vec![0; 9]), &chain()), Some(CertificateError::KeyMalformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn changed_bytes_never_panic(
        file in prop::sample::select(vec![MODERN, LEGACY, NO_MAC, test_file!("clear-no-mac.pfx")]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut pfx = file.to_vec();
        for (at, byte) in changes {
            let at = at.index(pfx.len());
            pfx[at] = byte;
        }
        let _ = read(&pfx, PASSWORD);
    }

    #[test]
    fn cut_files_never_open(length in 0..MODERN.len()) {
        prop_assert!(read(&MODERN[..length], PASSWORD).is_err());
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes, "").is_err());
    }
}
