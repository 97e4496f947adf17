//! Hashes and keyed hashes: SHA-256 (FIPS 180-4), HMAC-SHA256 (RFC 2104), keyed BLAKE3, and the stored hash of a machine's secret (BLAKE3).
//!
//! Machine secrets have 256 bits of entropy, so one unsalted hash is enough and guessing is hopeless; what people choose goes
//! through argon2id in `slots`.

use crate::{Key256, compare, encoding};
use aws_lc_rs::{digest, hmac};
use domain::{Entropy, Secret, limits, world::random};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// A SHA-256 hash. Lower-case hex in serde. For ids and cache keys: `==` is not constant time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Hash([u8; 32]);

impl Sha256Hash {
    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&encoding::hex(&self.0))
    }
}

impl fmt::Debug for Sha256Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sha256Hash({self})")
    }
}

impl Serialize for Sha256Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encoding::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sha256Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        domain::text::deserialize(deserializer, encoding::from_hex_exactly).map(Self)
    }
}

/// The SHA-256 hash of some bytes.
#[must_use]
pub fn sha256(bytes: impl AsRef<[u8]>) -> Sha256Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes.as_ref()).as_ref());
    Sha256Hash(hash)
}

/// HMAC-SHA256 of the parts, one after the other. For many calls with one key keep a [`MacKey`].
#[must_use]
pub fn hmac_sha256(key: &Secret<[u8; 32]>, parts: &[&[u8]]) -> [u8; 32] {
    MacKey::new(key.expose()).mac(parts)
}

/// A key for HMAC-SHA256, prepared once. Shows nothing of itself.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// From key bytes of any length (RFC 2104: at least 32 are wise).
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The tag of the parts, one after the other. The parts' borders are not part of the tag: delimit them.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// The tag as a secret that is shown to somebody, 43 characters of base64url: made again instead of kept.
    #[must_use]
    pub fn secret(&self, parts: &[&[u8]]) -> Secret<String> {
        Secret::new(encoding::base64url(Zeroizing::new(self.mac(parts)).as_slice()))
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MacKey(..)")
    }
}

/// A key for BLAKE3's `keyed_hash` (its paper's section 2.3), a message authentication code that is quick on every processor (ADR 0030). Shows
/// nothing of itself, and is cleared when it is dropped.
pub struct Blake3Key(Key256);

impl Blake3Key {
    /// Of a key that nothing else is done with.
    #[must_use]
    pub const fn new(key: Key256) -> Self {
        Self(key)
    }

    /// The tag of a text of any length, 256 bits; to be compared in constant time.
    #[must_use]
    pub fn mac(&self, text: &[u8]) -> [u8; 32] {
        blake3::keyed_hash(self.0.expose(), text).into()
    }
}

impl fmt::Debug for Blake3Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Blake3Key(..)")
    }
}

/// What is kept of a machine's secret: its BLAKE3 hash. The secret itself is shown once, when it is made, and kept nowhere.
///
/// In serde `blake3:` and lower-case hex; hex alone is a SHA-256 hash, as all were before (ADR 0030), and stays one.
#[derive(Clone)]
pub struct HashedSecret(SecretHash);

#[derive(Clone, Copy)]
enum SecretHash {
    Blake3([u8; 32]),
    Sha256(Sha256Hash),
}

/// What is before a stored BLAKE3 hash.
const BLAKE3_PREFIX: &str = "blake3:";

impl HashedSecret {
    /// The hash of a secret of 256 bits such as [`fresh_secret`] makes.
    #[must_use]
    pub fn of(secret: &Secret<String>) -> Self {
        Self(SecretHash::Blake3(blake3::hash(secret.expose().as_bytes()).into()))
    }

    /// Whether this is that secret, in constant time.
    #[must_use]
    pub fn matches(&self, presented: &Secret<String>) -> bool {
        match &self.0 {
            SecretHash::Blake3(hash) => {
                compare::equal(hash, blake3::hash(presented.expose().as_bytes()).as_bytes())
            }
            SecretHash::Sha256(hash) => compare::equal(hash.bytes(), sha256(presented.expose()).bytes()),
        }
    }
}

impl Serialize for HashedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            SecretHash::Blake3(hash) => {
                serializer.collect_str(&format_args!("{BLAKE3_PREFIX}{}", encoding::hex(hash)))
            }
            SecretHash::Sha256(hash) => hash.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for HashedSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        domain::text::deserialize(deserializer, |text| match text.strip_prefix(BLAKE3_PREFIX) {
            Some(hex) => encoding::from_hex_exactly(hex).map(SecretHash::Blake3),
            None => encoding::from_hex_exactly(text).map(Sha256Hash).map(SecretHash::Sha256),
        })
        .map(Self)
    }
}

impl fmt::Debug for HashedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HashedSecret(..)")
    }
}

/// A fresh machine secret: [`limits::ENDPOINT_SECRET_BYTES`] random bytes as 43 characters of base64url.
#[must_use]
pub fn fresh_secret(entropy: &dyn Entropy) -> Secret<String> {
    let bytes = Zeroizing::new(random::<{ limits::ENDPOINT_SECRET_BYTES }>(entropy));
    Secret::new(encoding::base64url(bytes.as_slice()))
}

/// A hash of a message that is taken in piece by piece, as signatures want it: SHA-256, SHA-384 or SHA-512 (FIPS 180-4).
pub struct MessageDigest(digest::Context);

impl MessageDigest {
    /// The one that is so many bytes long: 32, 48 or 64.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Option<Self> {
        let algorithm = match bytes {
            32 => &digest::SHA256,
            48 => &digest::SHA384,
            64 => &digest::SHA512,
            _ => return None,
        };
        Some(Self(digest::Context::new(algorithm)))
    }

    /// Takes in more of the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of it.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SystemEntropy, encoding::from_hex};

    /// RFC 4231 sections 4.2 to 4.8: key, data, tag.
    #[test]
    fn a_message_in_pieces_has_the_hash_of_the_whole() {
        // FIPS 180-4 examples: "abc".
        for (bytes, hash) in [
            (32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                48,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                64,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            let mut digest = MessageDigest::of_bytes(bytes).unwrap();
            digest.update(b"a");
            digest.update(b"");
            digest.update(b"bc");
            assert_eq!(encoding::hex(&digest.finish()), hash);
        }
        assert!(MessageDigest::of_bytes(20).is_none());
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let long = "aa".repeat(131);
        let cases: [(&str, &[u8], &str); 6] = [
            (&"0b".repeat(20), b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            ("4a656665", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (&"aa".repeat(20), &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                "0102030405060708090a0b0c0d0e0f10111213141516171819",
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &long,
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, data, tag) in cases {
            let key = MacKey::new(&from_hex(key).unwrap());
            assert_eq!(encoding::hex(&key.mac(&[data])), tag);
            let (front, back) = data.split_at(data.len() / 2);
            assert_eq!(encoding::hex(&key.mac(&[front, back])), tag);
        }
    }

    /// BLAKE3's `test_vectors.json`: texts of less than a chunk, of one, and of more.
    #[test]
    fn keyed_blake3_agrees_with_its_authors() {
        let key = Blake3Key::new(Key256::new(*b"whats the Elvish word for friend"));
        for (length, tag) in [
            (0, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"),
            (1, "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"),
            (1_023, "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e"),
            (1_024, "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4"),
            (1_025, "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69"),
        ] {
            let text: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert_eq!(encoding::hex(&key.mac(&text)), tag, "{length}");
        }
        assert_eq!(format!("{key:?}"), "Blake3Key(..)");
    }

    /// FIPS 180-4, example of one block.
    #[test]
    fn sha256_agrees_with_fips_180_4() {
        let hash = sha256("abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let text = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Sha256Hash>(&text).unwrap(), hash);
        assert!(serde_json::from_str::<Sha256Hash>("\"00\"").is_err());
    }

    #[test]
    fn a_secret_is_known_by_its_hash_only() {
        let secret = fresh_secret(&SystemEntropy);
        let hashed = HashedSecret::of(&secret);
        assert_eq!(secret.expose().len(), 43);
        assert!(hashed.matches(&secret));
        assert!(
            !hashed.matches(&fresh_secret(&SystemEntropy)) && !hashed.matches(&Secret::new(String::new()))
        );
        let stored = serde_json::to_string(&hashed).unwrap();
        assert!(!stored.contains(secret.expose()) && !format!("{hashed:?}").contains("Sha"));
        assert!(serde_json::from_str::<HashedSecret>(&stored).unwrap().matches(&secret));
    }

    /// "abc" is FIPS 180-4's example for the one; for the other it is what its authors' `b3sum` says.
    #[test]
    fn a_stored_hash_says_which_it_is_and_what_was_stored_before_stays_valid() {
        let (blake3, sha256) = (
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
        let secret = Secret::new("abc".to_owned());
        let read = |stored: &str| serde_json::from_str::<HashedSecret>(stored).unwrap();
        let fresh = serde_json::to_string(&HashedSecret::of(&secret)).unwrap();
        assert_eq!(fresh, format!("\"blake3:{blake3}\""));
        for stored in [fresh, format!("\"{sha256}\"")] {
            assert!(read(&stored).matches(&secret) && !read(&stored).matches(&Secret::new("abd".to_owned())));
            assert_eq!(serde_json::to_string(&read(&stored)).unwrap(), stored);
        }
        // The one is never taken for the other, and nothing else for either.
        assert!(!read(&format!("\"{blake3}\"")).matches(&secret));
        assert!(!read(&format!("\"blake3:{sha256}\"")).matches(&secret));
        for broken in ["\"\"", "\"blake3:\"", "\"blake3:00\"", "\"00\"", "\"sha256:00\"", "7"] {
            assert!(serde_json::from_str::<HashedSecret>(broken).is_err(), "{broken}");
        }
    }
}
