//! Envelope encryption: a fresh data key (DEK) for each value, itself wrapped by a key-encrypting key (KEK).
//!
//! Owns: [`Key256`], the sealed form and its layout. Owns not: which key seals what, and the addresses, which callers make of the
//! store key and the version. Both layers are AES-256-GCM (NIST SP 800-38D) with the address as associated data, so that a sealed value
//! that was moved to another key of the store, or put in place of another version, does not open.
//!
//! Nonces are random. That is safe here: a DEK encrypts once, and a KEK would have to wrap 2^32 DEKs before the chance of a repeated
//! nonce reached 2^-32 (SP 800-38D section 8.3).

use crate::{CryptError, encoding};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf,
};
use domain::{Entropy, Secret};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, sync::OnceLock};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// The only layout so far: version, nonce and wrapped DEK and tag, nonce and ciphertext and tag.
const VERSION: u8 = 1;

/// Bytes by which a sealed value is longer than its plaintext.
pub const OVERHEAD_BYTES: usize = 1 + (NONCE_BYTES + KEY_BYTES + TAG_BYTES) + (NONCE_BYTES + TAG_BYTES);

const REJECTED: CryptError = CryptError::Rejected { what: "sealed value" };
const MALFORMED: CryptError = CryptError::Malformed { what: "sealed value" };
const UNAVAILABLE: CryptError = CryptError::Unavailable { what: "sealing" };

/// A 256-bit symmetric key: the root key, a vault's key, or one derived from them. Its AES key schedule is made once, on first use.
pub struct Key256 {
    bytes: Secret<[u8; KEY_BYTES]>,
    cipher: OnceLock<LessSafeKey>,
}

impl Key256 {
    /// A fresh random key.
    #[must_use]
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(bytes.as_mut_slice());
        Self::new(*bytes)
    }

    /// From 32 bytes that are a key already, such as the content of a key file. Not for what a person chose.
    ///
    /// # Errors
    /// [`CryptError::Malformed`] if they are not 32.
    pub fn from_bytes(bytes: &Secret<Vec<u8>>) -> Result<Self, CryptError> {
        let bytes = bytes
            .expose()
            .as_slice()
            .try_into()
            .map_err(|_| CryptError::Malformed { what: "256-bit key" })?;
        Ok(Self::new(bytes))
    }

    /// Another key for one purpose, named by a label: HKDF-SHA256 without salt, the label as info (RFC 5869).
    #[must_use]
    #[expect(clippy::expect_used, reason = "HKDF only fails for more than 255 hashes of output")]
    pub fn derive(&self, label: &str) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(self.expose())
            .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|derived| derived.fill(bytes.as_mut_slice()))
            .expect("one hash of output is within HKDF's limit");
        Self::new(*bytes)
    }

    /// The key's bytes, for a door that needs them (a keyed hash).
    pub const fn expose(&self) -> &[u8; KEY_BYTES] {
        self.bytes.expose()
    }

    pub(crate) const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self { bytes: Secret::new(bytes), cipher: OnceLock::new() }
    }

    fn cipher(&self) -> &LessSafeKey {
        self.cipher.get_or_init(|| cipher(self.bytes.expose()))
    }
}

impl fmt::Debug for Key256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key256(..)")
    }
}

/// A sealed value: safe to store and to show. Base64url in serde.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Takes bytes that [`Sealed::as_bytes`] gave. Whether they are a sealed value is found out by [`open`].
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The sealed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sealed({} bytes)", self.0.len())
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encoding::base64url(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        domain::text::deserialize(deserializer, |text| encoding::from_base64url(text).map(Self))
    }
}

/// Seals a value for an address (store key and version): only the same key and the same address open it.
///
/// # Errors
/// [`CryptError::Unavailable`] if the library refuses, as it would for 64 GiB.
pub fn seal(
    key: &Key256,
    address: &[u8],
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Result<Sealed, CryptError> {
    let mut drawn = Zeroizing::new([0; KEY_BYTES + 2 * NONCE_BYTES]);
    entropy.fill(drawn.as_mut_slice());
    let (dek, nonces) = drawn.split_first_chunk::<KEY_BYTES>().ok_or(UNAVAILABLE)?;
    let (nonces, _) = nonces.as_chunks::<NONCE_BYTES>();
    let [wrap_nonce, nonce] = nonces else { return Err(UNAVAILABLE) };

    let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + plaintext.len());
    sealed.push(VERSION);
    seal_part(key.cipher(), wrap_nonce, address, dek, &mut sealed)?;
    seal_part(&cipher(dek), nonce, address, plaintext, &mut sealed)?;
    Ok(Sealed(sealed))
}

/// Opens a value that was sealed with this key for this address.
///
/// # Errors
/// [`CryptError::Malformed`] if it is no sealed value; [`CryptError::Rejected`] if the key, the address or any bit is another.
pub fn open(key: &Key256, address: &[u8], sealed: &Sealed) -> Result<Secret<Vec<u8>>, CryptError> {
    let parts = Parts::of(&sealed.0).ok_or(MALFORMED)?;
    let mut dek = Zeroizing::new([0; KEY_BYTES]);
    open_part(key.cipher(), parts.wrap_nonce, address, parts.wrapped, parts.wrap_tag, dek.as_mut_slice())?;
    // Protected before it is filled: the library may write to it and then find the tag wrong.
    let mut plaintext = Zeroizing::new(vec![0; parts.ciphertext.len()]);
    open_part(&cipher(&dek), parts.nonce, address, parts.ciphertext, parts.tag, &mut plaintext)?;
    Ok(Secret::new(std::mem::take(&mut *plaintext)))
}

/// Seals a key under another key: a vault's key under the root key.
///
/// # Errors
/// As [`seal`].
pub fn seal_key(
    key: &Key256,
    address: &[u8],
    inner: &Key256,
    entropy: &dyn Entropy,
) -> Result<Sealed, CryptError> {
    seal(key, address, inner.expose(), entropy)
}

/// Opens a key that [`seal_key`] sealed.
///
/// # Errors
/// As [`open`]; [`CryptError::Malformed`] if it is a sealed value of another size.
pub fn open_key(key: &Key256, address: &[u8], sealed: &Sealed) -> Result<Key256, CryptError> {
    Key256::from_bytes(&open(key, address, sealed)?)
}

/// The layout, borrowed. One place for it: sealing writes these in this order.
struct Parts<'a> {
    wrap_nonce: &'a [u8; NONCE_BYTES],
    wrapped: &'a [u8; KEY_BYTES],
    wrap_tag: &'a [u8; TAG_BYTES],
    nonce: &'a [u8; NONCE_BYTES],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Option<Self> {
        let rest = sealed.strip_prefix(&[VERSION])?;
        let (wrap_nonce, rest) = rest.split_first_chunk()?;
        let (wrapped, rest) = rest.split_first_chunk()?;
        let (wrap_tag, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        Some(Self { wrap_nonce, wrapped, wrap_tag, nonce, ciphertext, tag })
    }
}

#[expect(clippy::expect_used, reason = "the only failure is a key of another length")]
fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}

/// Appends nonce, ciphertext and tag. Out of place, so that no plaintext is ever in the buffer that leaves.
fn seal_part(
    cipher: &LessSafeKey,
    nonce: &[u8; NONCE_BYTES],
    address: &[u8],
    plaintext: &[u8],
    sealed: &mut Vec<u8>,
) -> Result<(), CryptError> {
    sealed.extend_from_slice(nonce);
    let start = sealed.len();
    sealed.resize(start + plaintext.len() + TAG_BYTES, 0);
    let (ciphertext, tag) =
        sealed.split_at_mut(start).1.split_last_chunk_mut::<TAG_BYTES>().ok_or(UNAVAILABLE)?;
    let (nonce, address) = (Nonce::assume_unique_for_key(*nonce), Aad::from(address));
    cipher.seal_out_of_place_scatter(nonce, address, plaintext, ciphertext, &[], tag).map_err(|_| UNAVAILABLE)
}

fn open_part(
    cipher: &LessSafeKey,
    nonce: &[u8; NONCE_BYTES],
    address: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_BYTES],
    plaintext: &mut [u8],
) -> Result<(), CryptError> {
    let (nonce, address) = (Nonce::assume_unique_for_key(*nonce), Aad::from(address));
    cipher.open_separate_gather(nonce, address, ciphertext, tag, plaintext).map_err(|_| REJECTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SystemEntropy, encoding::from_hex};
    use proptest::prelude::*;

    const ADDRESS: &[u8] = b"secret-version/5f/db#0a";

    fn sealed(plaintext: &[u8]) -> (Key256, Sealed) {
        let key = Key256::random(&SystemEntropy);
        let sealed = seal(&key, ADDRESS, plaintext, &SystemEntropy).unwrap();
        (key, sealed)
    }

    #[test]
    fn values_of_any_size_come_back() {
        for length in [0, 1, 15, 16, 17, 100, domain::limits::SECRET_VALUE_BYTES_MAX] {
            let plaintext: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let (key, sealed) = sealed(&plaintext);
            assert_eq!(sealed.as_bytes().len(), length + OVERHEAD_BYTES);
            assert_eq!(*open(&key, ADDRESS, &sealed).unwrap().expose(), plaintext);
            let text = serde_json::to_string(&sealed).unwrap();
            assert_eq!(serde_json::from_str::<Sealed>(&text).unwrap(), sealed);
        }
    }

    #[test]
    fn one_value_sealed_twice_shows_no_likeness() {
        let (key, first) = sealed(b"the same");
        let second = seal(&key, ADDRESS, b"the same", &SystemEntropy).unwrap();
        assert!(Parts::of(&first.0).unwrap().ciphertext != Parts::of(&second.0).unwrap().ciphertext);
        assert!(Parts::of(&first.0).unwrap().wrapped != Parts::of(&second.0).unwrap().wrapped);
    }

    #[test]
    fn a_moved_value_does_not_open() {
        let (key, sealed) = sealed(b"value");
        let others: [&[u8]; 5] = [
            b"",
            b"secret-version/5f/db#0b",
            b"secret-version/60/db#0a",
            b"secret-version/5f/db#0",
            b"secret-version/5f/db#0aa",
        ];
        for other in others {
            assert_eq!(open(&key, other, &sealed).err(), Some(REJECTED));
        }
    }

    #[test]
    fn a_value_of_another_version_does_not_open_in_its_place() {
        let key = Key256::random(&SystemEntropy);
        let old = seal(&key, b"secret-version/5f/db#old", b"old", &SystemEntropy).unwrap();
        assert_eq!(open(&key, b"secret-version/5f/db#new", &old).err(), Some(REJECTED));
    }

    #[test]
    fn halves_of_two_values_of_one_address_do_not_fit() {
        let (key, first) = sealed(b"first");
        let second = seal(&key, ADDRESS, b"other", &SystemEntropy).unwrap();
        let border = 1 + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
        let mixed = [&first.0[..border], &second.0[border..]].concat();
        assert_eq!(open(&key, ADDRESS, &Sealed(mixed)).err(), Some(REJECTED));
    }

    #[test]
    fn another_key_does_not_open_it() {
        let (_, sealed) = sealed(b"value");
        assert_eq!(open(&Key256::random(&SystemEntropy), ADDRESS, &sealed).err(), Some(REJECTED));
    }

    #[test]
    fn one_flipped_bit_anywhere_is_found() {
        let (key, sealed) = sealed(b"a value of some length");
        for at in 0..sealed.0.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed.0[at] ^= 1 << bit;
                let expected = if at == 0 { MALFORMED } else { REJECTED };
                assert_eq!(open(&key, ADDRESS, &changed).err(), Some(expected), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_cut_or_longer_value_is_refused() {
        let (key, sealed) = sealed(b"value");
        for length in 0..sealed.0.len() {
            assert!(open(&key, ADDRESS, &Sealed(sealed.0[..length].to_vec())).is_err(), "{length}");
        }
        assert!(open(&key, ADDRESS, &Sealed([sealed.0.as_slice(), &[0]].concat())).is_err());
    }

    #[test]
    fn keys_are_sealed_like_values() {
        let (root, vault) = (Key256::random(&SystemEntropy), Key256::random(&SystemEntropy));
        let wrapped = seal_key(&root, b"vault/a", &vault, &SystemEntropy).unwrap();
        assert_eq!(open_key(&root, b"vault/a", &wrapped).unwrap().expose(), vault.expose());
        assert_eq!(open_key(&root, b"vault/b", &wrapped).err(), Some(REJECTED));
        let value = seal(&root, b"vault/a", b"no key", &SystemEntropy).unwrap();
        assert!(matches!(open_key(&root, b"vault/a", &value), Err(CryptError::Malformed { .. })));
    }

    #[test]
    fn keys_show_nothing() {
        let key = Key256::new([0xab; 32]);
        assert_eq!(format!("{key:?}"), "Key256(..)");
    }

    /// RFC 5869 section A.3: no salt, no info. (Its cases with a salt are not reachable here.)
    #[test]
    fn derivation_agrees_with_rfc_5869() {
        let mut okm = [0; 32];
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&[0x0b; 22]);
        prk.expand(&[], hkdf::HKDF_SHA256).unwrap().fill(&mut okm).unwrap();
        assert_eq!(encoding::hex(&okm), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
        let key = Key256::new([7; 32]);
        // HKDF written out by hand, over our HMAC: extract, then the first block.
        let prk = crate::hash::MacKey::new(&[0; 32]).mac(&[&[7; 32]]);
        assert_eq!(*key.derive("audit").expose(), crate::hash::MacKey::new(&prk).mac(&[b"audit", &[1]]));
        assert_ne!(key.derive("audit").expose(), key.derive("vault").expose());
    }

    /// The GCM specification's test case 16 (McGrew and Viega; NIST CAVP form): AES-256, 96-bit nonce, associated data.
    #[test]
    fn aes_gcm_agrees_with_the_specification() {
        let hex = |text: &str| from_hex(text).unwrap();
        let key: [u8; 32] =
            hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").try_into().unwrap();
        let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plaintext = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let mut sealed = vec![];
        seal_part(&cipher(&key), &nonce, &aad, &plaintext, &mut sealed).unwrap();
        let expected = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662";
        assert_eq!(encoding::hex(&sealed[12..72]), expected);
        assert_eq!(encoding::hex(&sealed[72..]), "76fc6ece0f4e1768cddf8853bb2d551b");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_open_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), versioned: bool) {
            let mut bytes = bytes;
            if let (true, Some(first)) = (versioned, bytes.first_mut()) {
                *first = VERSION;
            }
            let key = Key256::new([1; 32]);
            prop_assert!(open(&key, ADDRESS, &Sealed::from_bytes(bytes)).is_err());
        }
    }
}
