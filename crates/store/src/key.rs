//! Keys of the store. Each carries its hash, so that who looks for one in several tables, by several threads, makes it once.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

/// Bytes of a key that is put together without a detour; nearly all are shorter.
const KEY_OF_BYTES: usize = 256;

/// Seeded, one for the process: parts of keys are names that callers choose.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A key: 1 to [`KEY_BYTES_MAX`](crate::contract::KEY_BYTES_MAX) bytes, ordered bytewise. As a prefix it may be empty. Shared: an entry that is read carries its key.
#[derive(Clone)]
pub struct Key {
    bytes: Arc<[u8]>,
    /// Of the bytes, made once: a key is looked for in several tables by several threads.
    hash: u64,
}

impl Key {
    /// Any bytes; [`validate`](crate::contract::validate) and the backends refuse what is too long.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        let bytes: Arc<[u8]> = bytes.as_ref().into();
        let hash = HASHER.hash_one(&*bytes);
        Self { bytes, hash }
    }

    /// Some parts, one after the other. Keys are made for every read: one allocation, and no formatting.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut text = [0; KEY_OF_BYTES];
        let mut rest = &mut text[..];
        for part in parts {
            match std::mem::take(&mut rest).split_at_mut_checked(part.len()) {
                Some((place, left)) => {
                    place.copy_from_slice(part);
                    rest = left;
                }
                None => return Self::new(parts.concat()),
            }
        }
        let left = rest.len();
        Self::new(text.get(..KEY_OF_BYTES - left).unwrap_or_default())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A hash of the bytes; of another process another one.
    pub(crate) const fn hashed(&self) -> u64 {
        self.hash
    }
}

/// What is found by its key, without hashing it again.
pub(crate) type ByKey<T> = HashMap<Key, T, BuildHasherDefault<Carried>>;
/// Keys, found without hashing them again.
pub(crate) type KeySet = HashSet<Key, BuildHasherDefault<Carried>>;

/// The hash that a [`Key`] carries.
#[derive(Default)]
pub(crate) struct Carried(u64);

impl Hasher for Carried {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // No key comes here.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        // Keys begin alike: the hash tells most of them apart at once.
        self.hash == other.hash && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", self.bytes.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_all_of_its_parts() {
        for length in [0, 1, KEY_OF_BYTES - 2, KEY_OF_BYTES - 1, KEY_OF_BYTES, 3 * KEY_OF_BYTES] {
            let long = vec![b'x'; length];
            let key = Key::of(&[b"a", &long, b"", b"b"]);
            assert_eq!(key.as_bytes(), [b"a", &*long, b"b"].concat());
        }
    }

    #[test]
    fn keys_of_one_hash_are_two_keys_still() {
        let with_hash = |bytes: &[u8], hash| Key { bytes: bytes.into(), hash };
        let (one, other) = (with_hash(b"one", 7), with_hash(b"other", 7));
        assert_ne!(one, other);
        let kept = ByKey::from_iter([(one.clone(), 1), (other.clone(), 2)]);
        assert_eq!(
            (kept.get(&one), kept.get(&other), kept.get(&with_hash(b"none", 7))),
            (Some(&1), Some(&2), None)
        );
        // What is equal has one hash, however it was put together; and order is that of the bytes.
        assert_eq!(Key::new("a/b").hashed(), Key::of(&[b"a", b"/", b"b"]).hashed());
        assert!(with_hash(b"a", 9) < with_hash(b"b", 1));
    }
}
