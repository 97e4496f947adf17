//! Tags by which something is found again that was seen before, such as a token: a third of the time of a hash that anybody could compute.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use domain::{Entropy, world::random};
use std::fmt;
use zeroize::Zeroizing;

/// A key for tags that never leave the process. A tag is the GMAC of the bytes (NIST SP 800-38D section 3) under one nonce for all: a
/// polynomial in a secret of 128 bits. Who sees no tag learns nothing of that secret, and finds bytes with the tag of others with a chance of one in 2^128
/// for each 16 of them and each try. Tags that somebody sees would end that: this is no signature.
pub struct LookupKey(LessSafeKey);

impl LookupKey {
    /// A fresh one.
    #[must_use]
    #[expect(clippy::expect_used, reason = "AES-256 takes 32 bytes")]
    pub fn random(entropy: &dyn Entropy) -> Self {
        let bytes = Zeroizing::new(random::<32>(entropy));
        let key = UnboundKey::new(&AES_256_GCM, bytes.as_slice()).expect("a key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// The tag of some bytes: of these and, but for that chance, of no others.
    #[must_use]
    #[expect(clippy::expect_used, reason = "GCM takes 2^61 bytes (SP 800-38D section 5.2.1.1)")]
    pub fn tag(&self, bytes: impl AsRef<[u8]>) -> LookupTag {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(bytes.as_ref()), &mut []);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(tag.expect("what is in memory is short enough").as_ref());
        LookupTag(bytes)
    }
}

impl fmt::Debug for LookupKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LookupKey(..)")
    }
}

/// See [`LookupKey`]. Shows nothing of itself; `==` is not constant time, which tells nobody who does not choose tags anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LookupTag([u8; 16]);

impl LookupTag {
    /// The 16 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for LookupTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LookupTag(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;
    use std::collections::HashSet;

    #[test]
    fn equal_bytes_have_one_tag_and_each_change_another() {
        let key = LookupKey::random(&SystemEntropy);
        let text: Vec<u8> = (0..1_500_u32).map(|at| at.to_le_bytes()[0]).collect();
        assert_eq!(key.tag(&text), key.tag(text.clone()));
        let mut tags = HashSet::from([key.tag(&text), key.tag([])]);
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(tags.insert(key.tag(&changed)), "byte {at}");
            assert!(tags.insert(key.tag(&text[..at])) || at == 0, "{at} bytes");
        }
        // Zeros behind the end are other bytes: the length is part of it.
        assert!(tags.insert(key.tag([&text[..], &[0]].concat())));
    }

    #[test]
    fn each_key_has_tags_of_its_own_and_nothing_is_shown() {
        let (one, other) = (LookupKey::random(&SystemEntropy), LookupKey::random(&SystemEntropy));
        assert_ne!(one.tag("token"), other.tag("token"));
        assert_eq!(format!("{one:?} {:?}", one.tag("token")), "LookupKey(..) LookupTag(..)");
    }
}
