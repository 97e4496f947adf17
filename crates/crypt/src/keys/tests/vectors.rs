//! Examples that standards print, run through the engine: RFC 7520, NIST SP 800-38A and 800-38D, RFC 3394, RFC 5649, RFC 4231.

use super::{fixtures::*, *};
use crate::{SystemEntropy, encoding};
use aws_lc_rs::digest;

fn hash(algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    let hash = match algorithm.digest_bytes() {
        Some(32) => &digest::SHA256,
        Some(48) => &digest::SHA384,
        _ => &digest::SHA512,
    };
    digest::digest(hash, message).as_ref().to_vec()
}

fn oct(key: &str) -> PrivateKey {
    let jwk = PrivateJwk { k: Some(hex(key).into()), ..PrivateJwk::default() };
    PrivateKey::import(KeyType::Oct, &jwk).unwrap()
}

/// Sections 4.1 to 4.3: RS256 is the same to the bit, PS384 and ES512 verify.
#[test]
fn signatures_agree_with_rfc_7520() {
    let signatures = rfc7520()["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 3);
    for example in signatures {
        let name = example["key"].as_str().unwrap();
        let jwk = rfc7520_jwk(name);
        let key_type = if name == "ec_key" { KeyType::Ec } else { KeyType::Rsa };
        let key = PrivateKey::import(key_type, &jwk).unwrap();
        let algorithm = SignatureAlgorithm::parse(example["alg"].as_str().unwrap()).unwrap();
        let signed =
            format!("{}.{}", example["header"].as_str().unwrap(), rfc7520()["payload"].as_str().unwrap());
        let digest = hash(algorithm, signed.as_bytes());
        let signature = bytes(&example["signature"]);
        assert_eq!(key.verify(algorithm, &digest, &signature), Ok(true), "{algorithm:?}");
        let ours = key.sign(algorithm, &digest).unwrap();
        assert_eq!(ours.len(), signature.len());
        assert_eq!(ours == signature, algorithm == SignatureAlgorithm::Rs256, "{algorithm:?}");
        assert_eq!(key.verify(algorithm, &digest, &ours), Ok(true), "{algorithm:?}");
    }
}

/// Section 4.4, and RFC 4231 section 4.3 for the other two hashes: HMAC itself, of which ours is that of a digest.
#[test]
fn macs_agree_with_rfc_7520_and_4231() {
    let mac = &rfc7520()["mac"];
    let signed = format!("{}.{}", mac["header"].as_str().unwrap(), rfc7520()["payload"].as_str().unwrap());
    let tag = super::oct::mac(SignatureAlgorithm::Hs256, &bytes(&mac["k"]), signed.as_bytes()).unwrap();
    assert_eq!(tag, bytes(&mac["signature"]));
    for (algorithm, expected) in [
        (
            SignatureAlgorithm::Hs384,
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e
             8e2240ca5e69e2c78b3239ecfab21649",
        ),
        (
            SignatureAlgorithm::Hs512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let tag = super::oct::mac(algorithm, b"Jefe", b"what do ya want for nothing?").unwrap();
        assert_eq!(encoding::hex(&tag), expected.replace(char::is_whitespace, ""));
    }
}

/// What the vault signs is the digest: HMAC(key, SHA-256(message)).
#[test]
fn a_mac_is_of_the_digest() {
    let key = oct("000102030405060708090a0b0c0d0e0f");
    let digest = hash(SignatureAlgorithm::Hs256, b"message");
    let expected = super::oct::mac(SignatureAlgorithm::Hs256, &(0..16).collect::<Vec<u8>>(), &digest);
    assert_eq!(key.sign(SignatureAlgorithm::Hs256, &digest), expected);
}

/// Sections 5.1 (RSA1_5), 5.2 (RSA-OAEP with 4096 bits), 5.8 (A128KW).
#[test]
fn wrapped_keys_agree_with_rfc_7520() {
    let examples = rfc7520()["wrapped_keys"].as_array().unwrap();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let name = example["key"].as_str().unwrap();
        let key_type = if name == "aes_key" { KeyType::Oct } else { KeyType::Rsa };
        let key = PrivateKey::import(key_type, &rfc7520_jwk(name)).unwrap();
        let algorithm = EncryptionAlgorithm::parse(example["alg"].as_str().unwrap()).unwrap();
        let wrapped = bytes(&example["wrapped"]);
        let plain =
            key.unwrap_key(algorithm, &Ciphertext { value: &wrapped, ..Ciphertext::default() }).unwrap();
        assert_eq!(*plain.expose(), bytes(&example["plain"]), "{algorithm:?}");
        let plaintext = Plaintext { value: plain.expose(), ..Plaintext::default() };
        let ours = key.wrap_key(algorithm, &plaintext, &SystemEntropy).unwrap();
        assert_eq!(ours.value == wrapped, key_type == KeyType::Oct);
        assert_eq!(key.unwrap_key(algorithm, &sent_back(&ours, None)).unwrap().expose(), plain.expose());
    }
}

/// NIST SP 800-38A sections F.2.1 to F.2.6.
#[test]
fn cbc_agrees_with_nist() {
    let check = |key: &str, size: AesSize, ciphertext: &str| {
        let iv = hex("000102030405060708090a0b0c0d0e0f");
        let plain = hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
             30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710");
        let key = oct(key);
        let plaintext = Plaintext { value: &plain, iv: Some(&iv), aad: None };
        let encrypted = key.encrypt(EncryptionAlgorithm::Cbc(size), &plaintext, &Counting).unwrap();
        assert_eq!(encrypted, Encrypted { value: hex(ciphertext), iv: Some(iv.clone()), tag: None });
        let back = key.decrypt(EncryptionAlgorithm::Cbc(size), &sent_back(&encrypted, None)).unwrap();
        assert_eq!(*back.expose(), plain);
        // The counting entropy draws the very same iv.
        let drawn = Plaintext { iv: None, ..plaintext };
        assert_eq!(key.encrypt(EncryptionAlgorithm::Cbc(size), &drawn, &Counting).unwrap(), encrypted);
        // With padding there is one block more, and the first four are the same.
        let padded = key.encrypt(EncryptionAlgorithm::CbcPad(size), &plaintext, &Counting).unwrap();
        assert_eq!((padded.value.len(), &padded.value[..64]), (80, encrypted.value.as_slice()));
    };
    check(
        "2b7e151628aed2a6abf7158809cf4f3c",
        AesSize::Bits128,
        "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
         73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
    );
    check(
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        AesSize::Bits192,
        "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a
         571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
    );
    check(
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        AesSize::Bits256,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d
         39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
    );
}

/// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 4, 10 and 16, which NIST took over.
#[test]
fn gcm_agrees_with_its_authors() {
    let check = |size: AesSize, ciphertext: &str, tag: &str| {
        let key = "feffe9928665731c6d6a8f9467308308".repeat(2);
        let (key, iv) = (oct(&key[..size.bytes() * 2]), hex("cafebabefacedbaddecaf888"));
        let (plain, aad) = (
            hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                 1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"),
            hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        );
        let (value, tag) = (hex(ciphertext), hex(tag));
        let ciphertext = Ciphertext { value: &value, iv: Some(&iv), aad: Some(&aad), tag: Some(&tag) };
        let opened = key.decrypt(EncryptionAlgorithm::Gcm(size), &ciphertext).unwrap();
        assert_eq!(*opened.expose(), plain, "{size:?}");
        // Encrypting takes no iv from outside, so the iv is given one door below.
        let super::private::Kind::Oct(inner) = &key.0 else { panic!("an oct key") };
        let plaintext = Plaintext { value: &plain, iv: None, aad: Some(&aad) };
        let encrypted = inner.encrypt_gcm("A", &plaintext, iv.as_slice().try_into().unwrap()).unwrap();
        assert_eq!(
            encrypted,
            Encrypted { value: value.clone(), iv: Some(iv.clone()), tag: Some(tag.clone()) }
        );
    };
    check(
        AesSize::Bits128,
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
         21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        "5bc94fbc3221a5db94fae95ae7121a47",
    );
    check(
        AesSize::Bits192,
        "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c
         7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
        "2519498e80f1478f37ba55bd6d27618c",
    );
    check(
        AesSize::Bits256,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
         8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    );
}

fn wraps_to(algorithm: EncryptionAlgorithm, key: &str, plain: &str, wrapped: &str) {
    let (key, plain) = (oct(key), hex(plain));
    let plaintext = Plaintext { value: &plain, ..Plaintext::default() };
    let encrypted = key.wrap_key(algorithm, &plaintext, &Counting).unwrap();
    assert_eq!(encrypted, Encrypted { value: hex(wrapped), iv: None, tag: None }, "{algorithm:?}");
    assert_eq!(*key.unwrap_key(algorithm, &sent_back(&encrypted, None)).unwrap().expose(), plain);
}

/// RFC 3394 sections 4.1 to 4.6, by both names.
#[test]
fn key_wrap_agrees_with_rfc_3394() {
    let data = "00112233445566778899AABBCCDDEEFF 0001020304050607 08090A0B0C0D0E0F".replace(' ', "");
    let kek = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
    for (size, data_bytes, wrapped) in [
        (AesSize::Bits128, 16, "1FA68B0A8112B447 AEF34BD8FB5A7B82 9D3E862371D2CFE5"),
        (AesSize::Bits192, 16, "96778B25AE6CA435 F92B5B97C050AED2 468AB8A17AD84E5D"),
        (AesSize::Bits256, 16, "64E8C3F9CE0F5BA2 63E9777905818A2A 93C8191E7D6E8AE7"),
        (AesSize::Bits192, 24, "031D33264E15D332 68F24EC260743EDC E1C6C7DDEE725A93 6BA814915C6762D2"),
        (AesSize::Bits256, 24, "A8F9BC1612C68B3F F6E6F4FBE30E71E4 769C8B80A32CB895 8CD5D17D6B254DA1"),
        (
            AesSize::Bits256,
            32,
            "28C9F404C4B810F4 CBCCB35CFB87F826 3F5786E2D80ED326 CBC7F0E71A99F43B FB988B9B7A02DD21",
        ),
    ] {
        let (kek, data) = (&kek[..size.bytes() * 2], &data[..data_bytes * 2]);
        wraps_to(EncryptionAlgorithm::Kw(size), kek, data, wrapped);
        wraps_to(EncryptionAlgorithm::CkmAesKeyWrap, kek, data, wrapped);
    }
}

/// RFC 5649 section 6: both examples are of AES-192.
#[test]
fn padded_key_wrap_agrees_with_rfc_5649() {
    let kek = "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8";
    let pad = EncryptionAlgorithm::CkmAesKeyWrapPad;
    wraps_to(
        pad,
        kek,
        "c37b7e6492584340bed12207808941155068f738",
        "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
    );
    wraps_to(pad, kek, "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f");
}
