//! The engine as its user sees it: keys in and out, every algorithm there and back, and what must not work.

use super::{fixtures::*, *};
use crate::{CryptError, SystemEntropy};
use domain::Secret;
use proptest::prelude::*;

const fn plain(value: &[u8]) -> Plaintext<'_> {
    Plaintext { value, iv: None, aad: None }
}

const fn cipher(value: &[u8]) -> Ciphertext<'_> {
    Ciphertext { value, iv: None, aad: None, tag: None }
}

/// A digest, or what RSNULL takes instead.
fn digest_for(algorithm: SignatureAlgorithm) -> Vec<u8> {
    match algorithm.digest_bytes() {
        Some(length) => vec![0x5c; length],
        None => [hex("3031300d060960864801650304020105000420"), vec![0x5c; 32]].concat(),
    }
}

fn stored_again(key: &PrivateKey) -> PrivateKey {
    PrivateKey::from_stored(&key.to_stored().unwrap()).unwrap()
}

#[test]
fn every_key_signs_what_it_verifies_and_nothing_else() {
    for spec in KeySpec::all() {
        let key = key(spec);
        let public = key.public().map(|public| PublicKey::from_jwk(&public.to_jwk()).unwrap());
        for algorithm in SignatureAlgorithm::ALL {
            let digest = digest_for(algorithm);
            let signed = key.sign(algorithm, &digest);
            if !algorithm.fits(spec) {
                let error = KeyOperationError::AlgorithmNotForKey { algorithm: algorithm.name(), key: spec };
                assert_eq!(signed, Err(error.clone()));
                assert_eq!(key.verify(algorithm, &digest, &[0; 64]), Err(error));
                continue;
            }
            let signature = signed.unwrap();
            let expected_bytes = match spec {
                KeySpec::Rsa(size) => size.bytes(),
                KeySpec::Ec(curve) => 2 * curve.field_bytes(),
                KeySpec::Oct(_) => digest.len(),
            };
            assert_eq!(signature.len(), expected_bytes, "{algorithm:?}");
            let verify = |digest: &[u8], signature: &[u8]| {
                let verified = key.verify(algorithm, digest, signature);
                if let Some(public) = &public {
                    assert_eq!(public.verify(algorithm, digest, signature), verified);
                }
                verified
            };
            assert_eq!(verify(&digest, &signature), Ok(true), "{spec} {algorithm:?}");
            for at in [0, signature.len() / 2, signature.len() - 1] {
                let mut changed = signature.clone();
                changed[at] ^= 1;
                assert_eq!(verify(&digest, &changed), Ok(false), "{spec} {algorithm:?} {at}");
            }
            let mut other = digest.clone();
            *other.last_mut().unwrap() ^= 1;
            assert_eq!(verify(&other, &signature), Ok(false));
            for wrong in [
                &signature[1..],
                &signature[..signature.len() - 1],
                &[],
                &[signature.clone(), vec![0]].concat(),
            ] {
                assert_eq!(verify(&digest, wrong), Ok(false), "{spec} {algorithm:?}");
            }
            let refused = key.sign(algorithm, &digest[1..]).unwrap_err();
            assert_eq!(verify(&digest[1..], &signature), Err(refused.clone()));
            let is_precise = matches!(refused, KeyOperationError::DigestLength { found, .. } if found == digest.len() - 1)
                || (algorithm == SignatureAlgorithm::RsNull && refused == KeyOperationError::DigestInfo);
            assert!(is_precise, "{refused}");
        }
    }
}

#[test]
fn signatures_of_one_algorithm_are_none_of_another() {
    let key = key(KeySpec::Rsa(RsaSize::Bits2048));
    let digest = [1; 32];
    let signature = key.sign(SignatureAlgorithm::Rs256, &digest).unwrap();
    assert_eq!(key.verify(SignatureAlgorithm::Ps256, &digest, &signature), Ok(false));
    let salted = key.sign(SignatureAlgorithm::Ps256, &digest).unwrap();
    assert_eq!(key.verify(SignatureAlgorithm::Rs256, &digest, &salted), Ok(false));
    assert_ne!(key.sign(SignatureAlgorithm::Ps256, &digest).unwrap(), salted);
    assert_eq!(other_rsa().verify(SignatureAlgorithm::Rs256, &digest, &signature), Ok(false));
}

#[test]
fn rsnull_of_a_digest_info_is_the_same_as_the_named_algorithm() {
    let key = key(KeySpec::Rsa(RsaSize::Bits2048));
    for (prefix, algorithm) in [
        ("3031300d060960864801650304020105000420", SignatureAlgorithm::Rs256),
        ("3041300d060960864801650304020205000430", SignatureAlgorithm::Rs384),
        ("3051300d060960864801650304020305000440", SignatureAlgorithm::Rs512),
    ] {
        let digest = digest_for(algorithm);
        let info = [hex(prefix), digest.clone()].concat();
        let signature = key.sign(SignatureAlgorithm::RsNull, &info).unwrap();
        assert_eq!(signature, key.sign(algorithm, &digest).unwrap());
        assert_eq!(key.verify(SignatureAlgorithm::RsNull, &info, &signature), Ok(true));
    }
    let sha1 = [hex("3021300906052b0e03021a05000414"), vec![0; 20]].concat();
    assert_eq!(key.sign(SignatureAlgorithm::RsNull, &sha1), Err(KeyOperationError::DigestInfo));
}

/// A value that the algorithm takes, its longest if it has one.
fn value_for(algorithm: EncryptionAlgorithm, spec: KeySpec) -> Vec<u8> {
    let modulus = if let KeySpec::Rsa(size) = spec { size.bytes() } else { 0 };
    let length = match algorithm {
        EncryptionAlgorithm::Rsa15 => modulus - 11,
        EncryptionAlgorithm::RsaOaep => modulus - 42,
        EncryptionAlgorithm::RsaOaep256 => modulus - 66,
        EncryptionAlgorithm::Gcm(_)
        | EncryptionAlgorithm::CbcPad(_)
        | EncryptionAlgorithm::CkmAesKeyWrapPad => 37,
        EncryptionAlgorithm::Cbc(_) | EncryptionAlgorithm::Kw(_) | EncryptionAlgorithm::CkmAesKeyWrap => 48,
    };
    vec![0xee; length]
}

#[test]
fn every_key_opens_what_it_closed_and_nothing_else() {
    for spec in KeySpec::all() {
        let key = key(spec);
        for algorithm in EncryptionAlgorithm::ALL {
            let value = if algorithm.fits(spec) { value_for(algorithm, spec) } else { vec![0; 16] };
            let encrypt = key.encrypt(algorithm, &plain(&value), &SystemEntropy);
            let wrap = key.wrap_key(algorithm, &plain(&value), &SystemEntropy);
            let decrypt = |given: &Ciphertext<'_>| key.decrypt(algorithm, given);
            let unwrap = |given: &Ciphertext<'_>| key.unwrap_key(algorithm, given);
            if !algorithm.fits(spec) {
                let error = KeyOperationError::AlgorithmNotForKey { algorithm: algorithm.name(), key: spec };
                assert_eq!((encrypt, wrap), (Err(error.clone()), Err(error.clone())));
                assert_eq!(decrypt(&cipher(&[0; 16])).err(), Some(error.clone()));
                assert_eq!(unwrap(&cipher(&[0; 16])).err(), Some(error));
                continue;
            }
            let refused = |operation| {
                Some(KeyOperationError::AlgorithmNotForOperation { algorithm: algorithm.name(), operation })
            };
            if algorithm.allows(Operation::Encrypt) {
                check_opens(algorithm, &encrypt.unwrap(), &value, &decrypt);
            } else {
                assert_eq!(encrypt.err(), refused(Operation::Encrypt));
                assert_eq!(decrypt(&cipher(&[0; 16])).err(), refused(Operation::Decrypt));
            }
            if algorithm.allows(Operation::WrapKey) {
                check_opens(algorithm, &wrap.unwrap(), &value, &unwrap);
            } else {
                assert_eq!(wrap.err(), refused(Operation::WrapKey));
                assert_eq!(unwrap(&cipher(&[0; 16])).err(), refused(Operation::UnwrapKey));
            }
        }
    }
}

type Opened = Result<Secret<Vec<u8>>, KeyOperationError>;

fn check_opens(
    algorithm: EncryptionAlgorithm,
    closed: &Encrypted,
    value: &[u8],
    open: &dyn Fn(&Ciphertext<'_>) -> Opened,
) {
    assert_eq!(open(&sent_back(closed, None)).unwrap().expose(), value, "{algorithm:?}");
    // Unpadded CBC opens anything of whole blocks; what changes is the text.
    let is_authenticated = !matches!(algorithm, EncryptionAlgorithm::Cbc(_) | EncryptionAlgorithm::CbcPad(_));
    for at in [0, closed.value.len() / 2, closed.value.len() - 1] {
        let mut changed = closed.clone();
        changed.value[at] ^= 1;
        let opened = open(&sent_back(&changed, None));
        if is_authenticated {
            let rejected = KeyOperationError::Rejected { algorithm: algorithm.name() };
            assert_eq!(opened.err(), Some(rejected), "{algorithm:?} {at}");
        } else {
            assert!(opened.map_or(true, |opened| opened.expose() != value));
        }
    }
    let cut = Ciphertext { value: &closed.value[1..], ..sent_back(closed, None) };
    assert!(open(&cut).is_err(), "{algorithm:?}");
    assert!(open(&Ciphertext { value: &[], ..sent_back(closed, None) }).is_err(), "{algorithm:?}");
}

#[test]
fn rsa_values_are_as_long_as_the_standard_says_and_no_longer() {
    let check = |size: RsaSize, algorithm: EncryptionAlgorithm, most: usize| {
        let public = key(KeySpec::Rsa(size)).public().unwrap();
        let long = vec![0; most + 1];
        let error = KeyOperationError::ValueLength {
            algorithm: algorithm.name(),
            expected: ValueRule::AtMost(most),
            found: most + 1,
        };
        assert_eq!(public.encrypt(algorithm, &plain(&long)), Err(error.clone()));
        assert_eq!(public.wrap_key(algorithm, &plain(&long)), Err(error));
        for length in [0, most] {
            let closed = public.encrypt(algorithm, &plain(&long[..length])).unwrap();
            assert_eq!(closed.value.len(), size.bytes());
            let opened = key(KeySpec::Rsa(size)).decrypt(algorithm, &cipher(&closed.value)).unwrap();
            assert_eq!(opened.expose().len(), length);
        }
    };
    check(RsaSize::Bits2048, EncryptionAlgorithm::Rsa15, 245);
    check(RsaSize::Bits2048, EncryptionAlgorithm::RsaOaep, 214);
    check(RsaSize::Bits2048, EncryptionAlgorithm::RsaOaep256, 190);
    check(RsaSize::Bits4096, EncryptionAlgorithm::Rsa15, 501);
    check(RsaSize::Bits4096, EncryptionAlgorithm::RsaOaep256, 446);
}

#[test]
fn rsa_tells_nothing_of_why_it_does_not_decrypt() {
    let (key, other) = (key(KeySpec::Rsa(RsaSize::Bits2048)), other_rsa());
    for algorithm in
        [EncryptionAlgorithm::Rsa15, EncryptionAlgorithm::RsaOaep, EncryptionAlgorithm::RsaOaep256]
    {
        let closed = other.encrypt(algorithm, &plain(b"for another"), &SystemEntropy).unwrap().value;
        let ours = key.encrypt(algorithm, &plain(b"for us"), &SystemEntropy).unwrap().value;
        let padded = [vec![0], ours.clone()].concat();
        for value in [closed.as_slice(), &ours[1..], &padded, &[], &[0; 256], &[0xff; 256], &[1; 300]] {
            let rejected = KeyOperationError::Rejected { algorithm: algorithm.name() };
            assert_eq!(key.decrypt(algorithm, &cipher(value)).err(), Some(rejected));
        }
    }
}

#[test]
fn oaep_with_one_hash_is_not_oaep_with_another() {
    let key = key(KeySpec::Rsa(RsaSize::Bits2048));
    let closed = key.encrypt(EncryptionAlgorithm::RsaOaep, &plain(b"value"), &SystemEntropy).unwrap().value;
    for algorithm in [EncryptionAlgorithm::RsaOaep256, EncryptionAlgorithm::Rsa15] {
        assert!(key.decrypt(algorithm, &cipher(&closed)).is_err());
    }
}

#[test]
fn gcm_authenticates_all_that_it_is_given() {
    for size in AesSize::ALL {
        let key = key(KeySpec::Oct(size));
        let algorithm = EncryptionAlgorithm::Gcm(size);
        let aad = Some(b"aad".as_slice());
        let plaintext = Plaintext { aad, ..plain(b"value") };
        let closed = key.encrypt(algorithm, &plaintext, &SystemEntropy).unwrap();
        let sent = sent_back(&closed, aad);
        assert_eq!((sent.iv.unwrap().len(), sent.tag.unwrap().len(), sent.value.len()), (12, 16, 5));
        assert_eq!(key.decrypt(algorithm, &sent).unwrap().expose(), b"value");
        let check = |changed: Ciphertext<'_>, error: KeyOperationError| {
            assert_eq!(key.decrypt(algorithm, &changed).err(), Some(error));
        };
        let name = algorithm.name();
        let rejected = || KeyOperationError::Rejected { algorithm: name };
        check(Ciphertext { aad: None, ..sent }, rejected());
        check(Ciphertext { aad: Some(b"aae"), ..sent }, rejected());
        check(Ciphertext { iv: Some(&[0; 12]), ..sent }, rejected());
        check(Ciphertext { tag: Some(&[0; 16]), ..sent }, rejected());
        for found in [0, 11, 13, 16] {
            let iv = vec![0; found];
            let error = KeyOperationError::IvLength { algorithm: name, expected: 12, found };
            check(Ciphertext { iv: (found > 0).then_some(iv.as_slice()), ..sent }, error);
        }
        // A cut tag is no tag, right as its bytes may be.
        for found in [0, 4, 12, 15] {
            let error = KeyOperationError::TagLength { algorithm: name, expected: 16, found };
            check(Ciphertext { tag: sent.tag.map(|tag| &tag[..found]), ..sent }, error);
        }
        let again = key.encrypt(algorithm, &plaintext, &SystemEntropy).unwrap();
        assert!(again.iv != closed.iv && again.value != closed.value);
    }
}

#[test]
fn parameters_that_would_be_ignored_are_refused() {
    let some = Some([0; 16].as_slice());
    for spec in KeySpec::all() {
        let key = key(spec);
        for algorithm in EncryptionAlgorithm::ALL.into_iter().filter(|algorithm| algorithm.fits(spec)) {
            let is_gcm = matches!(algorithm, EncryptionAlgorithm::Gcm(_));
            let is_cbc = matches!(algorithm, EncryptionAlgorithm::Cbc(_) | EncryptionAlgorithm::CbcPad(_));
            let value = value_for(algorithm, spec);
            let close = |plaintext: &Plaintext<'_>| {
                if algorithm.allows(Operation::Encrypt) {
                    key.encrypt(algorithm, plaintext, &SystemEntropy)
                } else {
                    key.wrap_key(algorithm, plaintext, &SystemEntropy)
                }
            };
            let open = |ciphertext: &Ciphertext<'_>| {
                if algorithm.allows(Operation::Decrypt) {
                    key.decrypt(algorithm, ciphertext)
                } else {
                    key.unwrap_key(algorithm, ciphertext)
                }
            };
            let refused = |parameter| {
                Some(KeyOperationError::ParameterNotAllowed { algorithm: algorithm.name(), parameter })
            };
            let closed = close(&plain(&value)).unwrap();
            let sent = sent_back(&closed, None);
            if !is_cbc {
                assert_eq!(close(&Plaintext { iv: some, ..plain(&value) }).err(), refused("iv"));
            }
            if !is_gcm {
                assert_eq!(close(&Plaintext { aad: some, ..plain(&value) }).err(), refused("aad"));
                assert_eq!(open(&Ciphertext { aad: some, ..sent }).err(), refused("aad"));
                assert_eq!(open(&Ciphertext { tag: some, ..sent }).err(), refused("tag"));
            }
            if !is_gcm && !is_cbc {
                assert_eq!(open(&Ciphertext { iv: some, ..sent }).err(), refused("iv"));
            }
        }
    }
}

#[test]
fn cbc_takes_whole_blocks_and_an_iv_of_one() {
    for size in AesSize::ALL {
        let key = key(KeySpec::Oct(size));
        let (bare, padded) = (EncryptionAlgorithm::Cbc(size), EncryptionAlgorithm::CbcPad(size));
        let expected = ValueRule::Units { unit: 16, least: 16 };
        for found in [0, 1, 15, 17, 33] {
            let error = KeyOperationError::ValueLength { algorithm: bare.name(), expected, found };
            let value = vec![0; found];
            assert_eq!(key.encrypt(bare, &plain(&value), &SystemEntropy).err(), Some(error.clone()));
            let sent = Ciphertext { iv: Some(&[0; 16]), ..cipher(&value) };
            assert_eq!(key.decrypt(bare, &sent).err(), Some(error));
            let rejected = KeyOperationError::Rejected { algorithm: padded.name() };
            assert_eq!(key.decrypt(padded, &sent).err(), Some(rejected));
        }
        for (algorithm, found) in [(bare, 12), (bare, 17), (padded, 0), (padded, 15)] {
            let iv = vec![0; found];
            let error = KeyOperationError::IvLength { algorithm: algorithm.name(), expected: 16, found };
            let plaintext = Plaintext { iv: Some(&iv), ..plain(&[0; 16]) };
            assert_eq!(key.encrypt(algorithm, &plaintext, &SystemEntropy).err(), Some(error.clone()));
            let sent = Ciphertext { iv: Some(&iv), ..cipher(&[0; 16]) };
            assert_eq!(key.decrypt(algorithm, &sent).err(), Some(error));
        }
        let missing = KeyOperationError::IvLength { algorithm: bare.name(), expected: 16, found: 0 };
        assert_eq!(key.decrypt(bare, &cipher(&[0; 16])).err(), Some(missing));
    }
}

/// Every last block that there can be of a form: only right padding comes off, and all else has one answer.
#[test]
fn only_right_padding_is_taken_off() {
    let key = key(KeySpec::Oct(AesSize::Bits256));
    let (bare, padded) =
        (EncryptionAlgorithm::Cbc(AesSize::Bits256), EncryptionAlgorithm::CbcPad(AesSize::Bits256));
    let open = |text: &[u8]| {
        let closed = key.encrypt(bare, &plain(text), &SystemEntropy).unwrap();
        key.decrypt(padded, &sent_back(&closed, None))
    };
    for last in 0..=255_u8 {
        for wrong in 0..=16_usize {
            let mut text = [0x77; 32];
            let padding = usize::from(last.clamp(1, 16));
            text[32 - padding..].fill(last);
            if wrong > 0 {
                text[32 - wrong] ^= 0x80;
            }
            let ends_right = (1..=16).contains(&text[31])
                && text[32 - usize::from(text[31])..].iter().all(|byte| *byte == text[31]);
            let opened = open(&text);
            if ends_right {
                assert_eq!(opened.unwrap().expose(), &text[..32 - usize::from(text[31])]);
            } else {
                let rejected = KeyOperationError::Rejected { algorithm: padded.name() };
                assert_eq!(opened.err(), Some(rejected), "{last} {wrong}");
            }
        }
    }
}

#[test]
fn keys_survive_storage() {
    for spec in KeySpec::all() {
        let key = key(spec);
        let again = stored_again(key);
        assert_eq!(again.spec(), spec);
        assert_eq!(again.to_stored().unwrap().expose(), key.to_stored().unwrap().expose());
        assert_eq!(again.public().map(PublicKey::to_jwk), key.public().map(PublicKey::to_jwk));
        for algorithm in SignatureAlgorithm::ALL.into_iter().filter(|algorithm| algorithm.fits(spec)) {
            let digest = digest_for(algorithm);
            let signature = again.sign(algorithm, &digest).unwrap();
            assert_eq!(key.verify(algorithm, &digest, &signature), Ok(true));
        }
    }
}

/// Keys are stored with these: a change would lose them.
#[test]
fn the_stored_form_stays_as_it_is() {
    let first = |spec| key(spec).to_stored().unwrap().expose()[0];
    let firsts: Vec<_> = KeySpec::all().map(first).collect();
    assert_eq!(firsts, [0x01, 0x01, 0x01, 0x11, 0x12, 0x13, 0x14, 0x21, 0x21, 0x21]);
    let stored = Secret::new([vec![0x21], (0..16).collect()].concat());
    let mac = PrivateKey::from_stored(&stored).unwrap().sign(SignatureAlgorithm::Hs256, &[0; 32]).unwrap();
    let expected =
        super::oct::mac(SignatureAlgorithm::Hs256, &(0..16).collect::<Vec<u8>>(), &[0; 32]).unwrap();
    assert_eq!(mac, expected);
}

#[test]
fn stored_forms_that_we_did_not_write_are_refused() {
    let malformed = Some(CryptError::Malformed { what: "stored key" });
    let check = |stored: Vec<u8>| {
        assert_eq!(PrivateKey::from_stored(&Secret::new(stored)).err(), malformed);
    };
    check(vec![]);
    check(vec![0x21]);
    check(vec![0x21; 16]);
    check(vec![0xff; 33]);
    for spec in KeySpec::all().filter(|spec| spec.key_type() != KeyType::Oct) {
        let stored = key(spec).to_stored().unwrap();
        check(stored.expose()[..stored.expose().len() - 1].to_vec());
        for tag in
            [0x00, 0x01, 0x11, 0x12, 0x13, 0x14, 0x21].into_iter().filter(|tag| *tag != stored.expose()[0])
        {
            check([vec![tag], stored.expose()[1..].to_vec()].concat());
        }
    }
}

#[test]
fn pkcs8_and_spki_are_read_by_others_and_by_us() {
    use rustls_pki_types::PrivatePkcs8KeyDer;
    for spec in KeySpec::all() {
        let key = key(spec);
        let Some(pkcs8) = key.to_pkcs8().unwrap() else {
            assert!(key.public().is_none() && spec.key_type() == KeyType::Oct);
            continue;
        };
        let again = PrivateKey::import_pkcs8(&pkcs8).unwrap();
        let public = key.public().unwrap();
        assert_eq!((again.spec(), again.public().unwrap().to_jwk()), (spec, public.to_jwk()));
        let spki = public.to_spki().unwrap();
        let (rest, parsed) =
            <x509_parser::x509::SubjectPublicKeyInfo as x509_parser::prelude::FromDer<_>>::from_der(&spki)
                .unwrap();
        assert!(rest.is_empty());
        let bits = match spec {
            KeySpec::Rsa(size) => size.bits(),
            // The curve's own size, of which 521 is no multiple of eight.
            KeySpec::Ec(curve) => curve.field_bytes() * 8,
            KeySpec::Oct(_) => unreachable!(),
        };
        assert_eq!(parsed.parsed().unwrap().key_size(), bits, "{spec}");
        // A certificate's maker takes the private form, but for P-256K, which no certificate here has.
        if spec != KeySpec::Ec(Curve::P256K) {
            let other =
                rcgen::KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8.expose().as_slice())).unwrap();
            assert_eq!(rcgen::PublicKeyData::subject_public_key_info(&other), spki, "{spec}");
        }
    }
    for strange in [vec![], vec![0x30, 0x00], vec![1; 100]] {
        let fault = PrivateKey::import_pkcs8(&Secret::new(strange)).err();
        assert_eq!(fault, Some(KeyImportFault::Unreadable));
    }
}

#[test]
fn ec_keys_are_imported_if_their_parts_belong_together() {
    let fault = |jwk: &PrivateJwk| PrivateKey::import(KeyType::Ec, jwk).err();
    let jwk = || rfc7520_jwk("ec_key");
    assert_eq!(fault(&jwk()), None);
    let padded = |bytes: Vec<u8>| [vec![0, 0], bytes].concat();
    // Leading zeros more or fewer are the same integers: x and d have one to lose.
    let mut other = jwk();
    (other.x, other.y) = (other.x.map(|x| x[1..].to_vec()), other.y.map(padded));
    other.d = other.d.map(|d| Secret::new(d.expose()[1..].to_vec()));
    let imported = PrivateKey::import(KeyType::Ec, &other).unwrap();
    let PublicJwk::Ec { crv, x, y } = imported.public().unwrap().to_jwk() else { panic!("an EC key") };
    assert_eq!((crv, Some(x), Some(y)), (Curve::P521, jwk().x, jwk().y));

    let change = |bytes: Vec<u8>| {
        let mut bytes = bytes;
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let mut other = jwk();
    other.x = other.x.map(change);
    assert_eq!(fault(&other), Some(KeyImportFault::Inconsistent));
    let mut other = jwk();
    other.d = other.d.map(|d| Secret::new(change(d.expose().clone())));
    assert_eq!(fault(&other), Some(KeyImportFault::Inconsistent));
    let mut other = jwk();
    (other.x, other.y) = (other.y, other.x);
    assert_eq!(fault(&other), Some(KeyImportFault::Inconsistent));
    for curve in [Curve::P256, Curve::P384, Curve::P256K] {
        let other = PrivateJwk { crv: Some(curve), ..jwk() };
        let most = curve.field_bytes();
        assert_eq!(fault(&other), Some(KeyImportFault::MemberLength { member: "x", most }));
    }
    let other = PrivateJwk { d: Some(Secret::new(vec![0; 66])), ..jwk() };
    assert_eq!(fault(&other), Some(KeyImportFault::Inconsistent));
    let other = PrivateJwk { d: Some(Secret::new(vec![0xff; 66])), ..jwk() };
    assert_eq!(fault(&other), Some(KeyImportFault::Inconsistent));
}

#[test]
fn a_point_off_the_curve_is_no_public_key() {
    for curve in Curve::ALL {
        let jwk = key(KeySpec::Ec(curve)).public().unwrap().to_jwk();
        assert!(PublicKey::from_jwk(&jwk).is_ok());
        let PublicJwk::Ec { crv, x, mut y } = jwk else { panic!("an EC key") };
        *y.last_mut().unwrap() ^= 1;
        let off = PublicJwk::Ec { crv, x: x.clone(), y: y.clone() };
        assert_eq!(PublicKey::from_jwk(&off).err(), Some(KeyImportFault::Inconsistent));
        let infinity = PublicJwk::Ec { crv, x: vec![], y: vec![] };
        assert_eq!(PublicKey::from_jwk(&infinity).err(), Some(KeyImportFault::Inconsistent));
    }
    // P-256 and P-256K are of one length: the curve still counts.
    let PublicJwk::Ec { x, y, .. } = key(KeySpec::Ec(Curve::P256)).public().unwrap().to_jwk() else {
        panic!("an EC key")
    };
    let other = PublicJwk::Ec { crv: Curve::P256K, x, y };
    assert_eq!(PublicKey::from_jwk(&other).err(), Some(KeyImportFault::Inconsistent));
}

#[test]
fn rsa_keys_are_imported_if_their_parts_belong_together() {
    let jwk = || rfc7520_jwk("rsa_signing_key");
    let check = |change: &dyn Fn(&mut PrivateJwk), fault: Option<KeyImportFault>| {
        let mut jwk = jwk();
        change(&mut jwk);
        assert_eq!(PrivateKey::import(KeyType::Rsa, &jwk).err(), fault);
    };
    let secret = |part: &Option<Secret<Vec<u8>>>| part.as_ref().unwrap().expose().clone();
    let inconsistent = || Some(KeyImportFault::Inconsistent);
    check(&|_| {}, None);
    // Java's leading zeros.
    check(
        &|jwk| {
            jwk.n.as_mut().unwrap().insert(0, 0);
            jwk.e.as_mut().unwrap().insert(0, 0);
            jwk.p = Some(Secret::new([vec![0], secret(&jwk.p)].concat()));
        },
        None,
    );
    // Another key's, each part alone.
    let other = rfc7520_jwk("rsa_encryption_key");
    check(&|jwk| jwk.n.clone_from(&other.n), inconsistent());
    check(&|jwk| jwk.d = Some(Secret::new(secret(&other.d))), inconsistent());
    check(&|jwk| jwk.p = Some(Secret::new(secret(&other.p))), inconsistent());
    check(&|jwk| jwk.q = Some(Secret::new(secret(&other.q))), inconsistent());
    check(&|jwk| jwk.dp = Some(Secret::new(secret(&other.dp))), inconsistent());
    check(&|jwk| jwk.dq = Some(Secret::new(secret(&other.dq))), inconsistent());
    check(&|jwk| jwk.qi = Some(Secret::new(secret(&other.qi))), inconsistent());
    // Factors the wrong way round: the CRT parameters are then the wrong ones.
    check(&|jwk| std::mem::swap(&mut jwk.p, &mut jwk.q), inconsistent());
    // An even modulus, and one times the modulus.
    check(&|jwk| *jwk.n.as_mut().unwrap().last_mut().unwrap() ^= 1, inconsistent());
    check(
        &|jwk| {
            jwk.p = Some(Secret::new(jwk.n.clone().unwrap()));
            jwk.q = Some(Secret::new(vec![1]));
        },
        inconsistent(),
    );
    for exponent in [vec![1], vec![3], vec![2], vec![1, 0, 0], vec![1, 0, 1, 1], vec![0]] {
        check(&|jwk| jwk.e = Some(exponent.clone()), Some(KeyImportFault::PublicExponent));
    }
    for (bytes, bits) in [(128, 1_024), (255, 2_040), (257, 2_056), (1_024, 8_192)] {
        check(&|jwk| jwk.n = Some(vec![0xff; bytes]), Some(KeyImportFault::Size { bits }));
    }
    check(&|jwk| jwk.n.as_mut().unwrap()[0] = 0x7f, Some(KeyImportFault::Size { bits: 2_047 }));
    check(
        &|jwk| (jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi) = (None, None, None, None, None),
        Some(KeyImportFault::FactorsMissing),
    );
    check(&|jwk| jwk.qi = None, Some(KeyImportFault::MemberMissing { member: "qi" }));
}

/// The library checks sums and not primes, so that all is well with this key but that it does not work.
#[test]
fn an_rsa_key_with_a_factor_that_is_not_prime_is_refused() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../testdata/rsa-composite-factor.json")).unwrap();
    let jwk = jwk_of(&file["key"]);
    let parts = jwk.rsa().unwrap();
    let components = aws_lc_rs::rsa::KeyPairComponents {
        public_key: aws_lc_rs::rsa::PublicKeyComponents { n: parts.n, e: parts.e },
        d: parts.d,
        p: parts.p,
        q: parts.q,
        dP: parts.dp,
        dQ: parts.dq,
        qInv: parts.qi,
    };
    assert!(aws_lc_rs::rsa::KeyPair::from_components(&components).is_ok());
    assert_eq!(PrivateKey::import(KeyType::Rsa, &jwk).err(), Some(KeyImportFault::Inconsistent));
}

/// Java writes keys of which it knows no factors with zeros in their place.
#[test]
fn a_pkcs8_key_without_its_factors_is_refused() {
    let jwk = rfc7520_jwk("rsa_signing_key");
    let integer = |bytes: &[u8]| der(0x02, &[&[0], bytes].concat());
    // A zero comes first only where the number would be negative without it.
    let positive = |bytes: &[u8]| if bytes[0] >= 0x80 { integer(bytes) } else { der(0x02, bytes) };
    let zero = integer(&[]);
    let key = |rest: [&[u8]; 5]| {
        let (n, e, d) = (jwk.n.as_deref().unwrap(), jwk.e.as_deref().unwrap(), jwk.d.as_ref().unwrap());
        let mut members = [zero.clone(), integer(n), der(0x02, e), der(0x02, d.expose())].concat();
        members.extend(
            rest.into_iter().flat_map(|part| if part.is_empty() { zero.clone() } else { positive(part) }),
        );
        let algorithm = hex("300d06092a864886f70d0101010500");
        let pkcs8 = [zero.clone(), algorithm, der(0x04, &der(0x30, &members))].concat();
        PrivateKey::import_pkcs8(&Secret::new(der(0x30, &pkcs8))).err()
    };
    let parts = jwk.rsa().unwrap();
    assert_eq!(key([parts.p, parts.q, parts.dp, parts.dq, parts.qi]), None);
    assert_eq!(key([&[]; 5]), Some(KeyImportFault::Unreadable));
    assert_eq!(key([parts.p, parts.q, &[], &[], &[]]), Some(KeyImportFault::Unreadable));
}

/// A DER element of less than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match content.len() {
        0..128 => vec![tag, length[1]],
        128..256 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [header, content.to_vec()].concat()
}

#[test]
fn a_public_rsa_key_that_is_none_is_refused() {
    let check = |n: Vec<u8>, e: &[u8], fault: KeyImportFault| {
        assert_eq!(PublicKey::from_jwk(&PublicJwk::Rsa { n, e: e.to_vec() }).err(), Some(fault));
    };
    check(vec![], &[1, 0, 1], KeyImportFault::Size { bits: 0 });
    check(vec![0xff; 128], &[1, 0, 1], KeyImportFault::Size { bits: 1_024 });
    check(vec![0xff; 256], &[3], KeyImportFault::PublicExponent);
    check([vec![0xff; 255], vec![0xfe]].concat(), &[1, 0, 1], KeyImportFault::Inconsistent);
}

#[test]
fn symmetric_keys_have_three_lengths() {
    let import = |bytes: usize| {
        let jwk = PrivateJwk { k: Some(Secret::new(vec![1; bytes])), ..PrivateJwk::default() };
        PrivateKey::import(KeyType::Oct, &jwk)
    };
    for size in AesSize::ALL {
        assert_eq!(import(size.bytes()).unwrap().spec(), KeySpec::Oct(size));
    }
    for bytes in [1, 15, 17, 31, 33, 64] {
        assert_eq!(import(bytes).err(), Some(KeyImportFault::Size { bits: bytes * 8 }));
    }
    // A key is drawn from the entropy that is passed, and from no other.
    let key = PrivateKey::generate(KeySpec::Oct(AesSize::Bits128), &Counting).unwrap();
    assert_eq!(key.to_stored().unwrap().expose()[1..], (0..16).collect::<Vec<u8>>());
}

#[test]
fn fresh_keys_differ() {
    for spec in [KeySpec::Ec(Curve::P256), KeySpec::Ec(Curve::P256K), KeySpec::Oct(AesSize::Bits256)] {
        let fresh = || PrivateKey::generate(spec, &SystemEntropy).unwrap().to_stored().unwrap();
        assert_ne!(fresh().expose(), fresh().expose());
    }
}

#[test]
fn keys_show_their_type_only() {
    let shown: Vec<_> = KeySpec::all().map(|spec| format!("{:?}", key(spec))).collect();
    assert_eq!(shown[0], "PrivateKey(RSA 2048)");
    assert_eq!(shown[9], "PrivateKey(oct 256)");
    assert_eq!(format!("{:?}", key(KeySpec::Ec(Curve::P521)).public().unwrap()), "PublicKey(EC P-521)");
}

#[test]
fn keys_may_be_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<PrivateKey>();
    is_shared::<PublicKey>();
    let key = key(KeySpec::Ec(Curve::P256));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..50 {
                    let signature = key.sign(SignatureAlgorithm::Es256, &[number; 32]).unwrap();
                    assert_eq!(key.verify(SignatureAlgorithm::Es256, &[number; 32], &signature), Ok(true));
                }
            });
        }
    });
}

proptest! {
    #[test]
    fn symmetric_values_of_any_size_come_back(
        value in proptest::collection::vec(any::<u8>(), 1..300),
        aad in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
    ) {
        for size in AesSize::ALL {
            let key = key(KeySpec::Oct(size));
            let whole = &value[..value.len() / 16 * 16];
            let units = &value[..value.len() / 8 * 8];
            for algorithm in EncryptionAlgorithm::ALL.into_iter().filter(|one| one.fits(KeySpec::Oct(size))) {
                let (value, aad) = match algorithm {
                    EncryptionAlgorithm::Cbc(_) if whole.is_empty() => continue,
                    EncryptionAlgorithm::Cbc(_) => (whole, None),
                    EncryptionAlgorithm::Kw(_) | EncryptionAlgorithm::CkmAesKeyWrap if units.len() < 16 => continue,
                    EncryptionAlgorithm::Kw(_) | EncryptionAlgorithm::CkmAesKeyWrap => (units, None),
                    EncryptionAlgorithm::Gcm(_) => (value.as_slice(), aad.as_deref()),
                    _ => (value.as_slice(), None),
                };
                let plaintext = Plaintext { value, iv: None, aad };
                let back = if algorithm.allows(Operation::Encrypt) {
                    let closed = key.encrypt(algorithm, &plaintext, &SystemEntropy).unwrap();
                    key.decrypt(algorithm, &sent_back(&closed, aad))
                } else {
                    let closed = key.wrap_key(algorithm, &plaintext, &SystemEntropy).unwrap();
                    key.unwrap_key(algorithm, &sent_back(&closed, aad))
                };
                let back = back.unwrap();
                prop_assert_eq!(back.expose(), value);
            }
        }
    }

    #[test]
    fn arbitrary_input_never_panics(
        value in proptest::collection::vec(any::<u8>(), 0..300),
        iv in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        tag in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
    ) {
        for spec in [KeySpec::Rsa(RsaSize::Bits2048), KeySpec::Ec(Curve::P384), KeySpec::Oct(AesSize::Bits192)] {
            let key = key(spec);
            for algorithm in EncryptionAlgorithm::ALL {
                let given = Ciphertext { value: &value, iv: iv.as_deref(), aad: None, tag: tag.as_deref() };
                let opened = key.decrypt(algorithm, &given);
                prop_assert!(opened.is_err() || matches!(algorithm, EncryptionAlgorithm::Cbc(_) | EncryptionAlgorithm::CbcPad(_)));
                prop_assert!(key.unwrap_key(algorithm, &given).is_err());
            }
            for algorithm in SignatureAlgorithm::ALL {
                prop_assert_ne!(key.verify(algorithm, &value, &value), Ok(true));
            }
        }
        let stored = Secret::new(value.clone());
        prop_assert!(PrivateKey::from_stored(&stored).is_err() || value[0] == 0x21);
        prop_assert!(PrivateKey::import_pkcs8(&stored).is_err());
    }
}
