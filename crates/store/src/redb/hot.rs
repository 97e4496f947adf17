//! Hot entries of one position, bounded in bytes, and keys that were just looked for in vain. Owns no lock: whoever publishes a position
//! also changes this.
//!
//! As long as there is room, what is read is kept. Then only what is asked for a second time: what is read once would push out what is read
//! often, and each read would pass through memory that no cache of the processor holds.

use crate::contract::{Entry, Key};
use hashbrown::HashTable;
use std::hash::{BuildHasher as _, RandomState};

/// What an entry costs besides key and value: two map slots, two reference counts, its decoded record's shape.
const ENTRY_OVERHEAD_BYTES: usize = 200;

/// Keys without an entry that are remembered, in each of two generations: who makes something has just looked for it, and the writer looks
/// again. A bulk load must not fill the memory with what is not there.
const ABSENT_MAX: usize = 1_024;

/// Keys that are remembered to have been asked for once, at most; a power of two. Four bytes each.
const ASKED_MAX: usize = 16_384;

/// What is known of a key.
#[derive(Debug)]
pub(super) enum Known {
    /// Its entry.
    There(Entry),
    /// That it has none.
    Absent,
}

/// Entries by key in two generations: when the young one has its half of the bytes, it becomes the old one and the old one goes.
pub(super) struct Hot {
    /// Seeded: parts of keys are names that callers choose.
    hasher: RandomState,
    young: Table<Entry>,
    old: Table<Entry>,
    young_bytes: usize,
    bytes_max: usize,
    absent: Table<Key>,
    absent_before: Table<Key>,
    /// Of a key that was asked for once, a part of its hash, where another part says.
    asked: Box<[u32]>,
}

impl Hot {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            young: Table::default(),
            old: Table::default(),
            young_bytes: 0,
            bytes_max,
            absent: Table::default(),
            absent_before: Table::default(),
            asked: vec![0; ASKED_MAX].into(),
        }
    }

    fn entry(&self, hash: u64, key: &Key) -> Option<&Entry> {
        self.young.get(hash, key).or_else(|| self.old.get(hash, key))
    }

    fn is_absent(&self, hash: u64, key: &Key) -> bool {
        self.absent.get(hash, key).is_some() || self.absent_before.get(hash, key).is_some()
    }

    /// What is known of a key, if anything.
    pub(super) fn get(&self, key: &Key) -> Option<Known> {
        let hash = self.hasher.hash_one(key);
        match self.entry(hash, key) {
            Some(entry) => Some(Known::There(entry.clone())),
            None => self.is_absent(hash, key).then_some(Known::Absent),
        }
    }

    /// When the entry at a key came to be and was last modified, or that there is none; if either is known.
    pub(super) fn revisions(&self, key: &Key) -> Option<Option<(u64, u64)>> {
        let hash = self.hasher.hash_one(key);
        match self.entry(hash, key) {
            Some(entry) => Some(Some((entry.created, entry.modified))),
            None => self.is_absent(hash, key).then_some(None),
        }
    }

    /// There is no entry at this key.
    pub(super) fn insert_absent(&mut self, key: Key) {
        let hash = self.hasher.hash_one(&key);
        if self.absent.len() >= ABSENT_MAX {
            std::mem::swap(&mut self.absent_before, &mut self.absent);
            self.absent.clear();
        }
        if self.absent.get(hash, &key).is_none() {
            self.absent.insert(hash, key);
        }
    }

    /// Keeps an entry that was read, unless it should be asked for once more before.
    pub(super) fn insert_read(&mut self, entry: &Entry) {
        let hash = self.hasher.hash_one(&entry.key);
        if self.has_room(cost(entry)) || self.note_asked(hash) {
            self.insert_hashed(hash, entry.clone());
        }
    }

    /// Keeps an entry.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.insert_hashed(self.hasher.hash_one(&entry.key), entry);
    }

    /// Nothing is known of it any more. Was there an entry?
    pub(super) fn forget(&mut self, key: &Key) -> bool {
        self.forget_hashed(self.hasher.hash_one(key), key)
    }

    /// Nothing was pushed out yet, and nothing will be by this.
    fn has_room(&self, bytes: usize) -> bool {
        self.old.len() == 0 && self.young_bytes + bytes <= self.bytes_max / 2
    }

    /// Remembers that it is asked for. Was it before, and not too long ago? A few are mistaken for others, which costs a place only.
    fn note_asked(&mut self, hash: u64) -> bool {
        let (index, part) = (hash as usize % ASKED_MAX, (hash >> 32) as u32);
        self.asked.get_mut(index).is_some_and(|known| std::mem::replace(known, part) == part)
    }

    fn insert_hashed(&mut self, hash: u64, entry: Entry) {
        let bytes = cost(&entry);
        self.forget_hashed(hash, &entry.key);
        if self.young_bytes + bytes > self.bytes_max / 2 {
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
            self.young_bytes = 0;
        }
        if bytes <= self.bytes_max / 2 {
            self.young_bytes += bytes;
            self.young.insert(hash, entry);
        }
    }

    fn forget_hashed(&mut self, hash: u64, key: &Key) -> bool {
        self.absent.remove(hash, key);
        self.absent_before.remove(hash, key);
        let young = self.young.remove(hash, key);
        if let Some(entry) = &young {
            self.young_bytes -= cost(entry);
        }
        self.old.remove(hash, key).is_some() || young.is_some()
    }
}

/// The value twice, as it may be decoded too.
fn cost(entry: &Entry) -> usize {
    2 * entry.key.as_bytes().len() + 2 * entry.value.len() + ENTRY_OVERHEAD_BYTES
}

/// What a table finds by its key.
trait Keyed {
    fn key(&self) -> &Key;
}

impl Keyed for Entry {
    fn key(&self) -> &Key {
        &self.key
    }
}

impl Keyed for Key {
    fn key(&self) -> &Key {
        self
    }
}

/// A table whose users know the hash of a key: it is looked for in several, and hashed once.
struct Table<T>(HashTable<(u64, T)>);

impl<T: Keyed> Table<T> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, hash: u64, key: &Key) -> Option<&T> {
        self.0.find(hash, is_at(hash, key)).map(|(_, kept)| kept)
    }

    /// `hash` is of its key, which is not there.
    fn insert(&mut self, hash: u64, kept: T) {
        self.0.insert_unique(hash, (hash, kept), |(hash, _)| *hash);
    }

    fn remove(&mut self, hash: u64, key: &Key) -> Option<T> {
        let found = self.0.find_entry(hash, is_at(hash, key)).ok()?;
        Some(found.remove().0.1)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

fn is_at<T: Keyed>(hash: u64, key: &Key) -> impl Fn(&(u64, T)) -> bool {
    move |(other, kept)| *other == hash && kept.key() == key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: impl std::fmt::Display) -> Key {
        Key::new(name.to_string())
    }

    fn entry(name: impl std::fmt::Display, bytes: usize) -> Entry {
        Entry::new(key(name), vec![0; bytes].into(), 1, 1)
    }

    fn there(hot: &Hot, name: impl std::fmt::Display) -> Option<usize> {
        match hot.get(&key(name)) {
            Some(Known::There(entry)) => Some(entry.value.len()),
            _ => None,
        }
    }

    fn held(hot: &Hot) -> usize {
        [&hot.young, &hot.old]
            .into_iter()
            .flat_map(|table| table.0.iter())
            .map(|(_, entry)| cost(entry))
            .sum()
    }

    #[test]
    fn stays_within_its_bytes_and_keeps_what_is_young() {
        let mut hot = Hot::new(10_000);
        for number in 0..1_000 {
            hot.insert(entry(number, 300));
            assert!(held(&hot) <= 10_000, "{} bytes after {number}", held(&hot));
            assert!(there(&hot, number).is_some());
        }
    }

    #[test]
    fn what_was_replaced_or_forgotten_is_not_found_in_the_old_generation() {
        let mut hot = Hot::new(2_500);
        hot.insert(entry("a", 10));
        hot.insert(entry("b", 450));
        assert_eq!((hot.young.len(), hot.old.len()), (1, 1), "the generations have turned");
        hot.insert(entry("a", 20));
        assert_eq!(there(&hot, "a"), Some(20));
        assert!(hot.forget(&key("a")));
        assert!(hot.get(&key("a")).is_none());
        assert!(!hot.forget(&key("a")));
    }

    #[test]
    fn what_is_absent_is_known_until_it_comes_and_few_are_remembered() {
        let mut hot = Hot::new(10_000);
        hot.insert_absent(key("a"));
        hot.insert_absent(key("a"));
        assert!(matches!(hot.get(&key("a")), Some(Known::Absent)));
        assert_eq!(hot.revisions(&key("a")), Some(None));
        assert!(!hot.forget(&key("a")), "there was no entry");
        assert!(hot.get(&key("a")).is_none(), "remembered once");
        hot.insert_absent(key("b"));
        hot.insert(entry("b", 10));
        assert_eq!(hot.revisions(&key("b")), Some(Some((1, 1))));
        for number in 0..3 * ABSENT_MAX {
            hot.insert_absent(key(number));
            assert!(hot.absent.len() + hot.absent_before.len() <= 2 * ABSENT_MAX);
            assert!(matches!(hot.get(&key(number)), Some(Known::Absent)));
        }
        assert!(hot.get(&key(0)).is_none());
    }

    #[test]
    fn who_comes_is_not_said_to_be_absent_however_long_ago_it_was_looked_for() {
        let mut hot = Hot::new(10_000);
        hot.insert_absent(key("a"));
        // The generations turn, and it is looked for once more: it is in both.
        (0..ABSENT_MAX).for_each(|number| hot.insert_absent(key(number)));
        assert!(hot.absent_before.len() == ABSENT_MAX && hot.absent.len() == 1);
        hot.insert_absent(key("a"));
        assert_eq!(hot.revisions(&key("a")), Some(None));
        // As when it is published: what is not hot is only forgotten.
        assert!(!hot.forget(&key("a")));
        assert!(hot.get(&key("a")).is_none() && hot.revisions(&key("a")).is_none());
    }

    #[test]
    fn what_is_larger_than_a_generation_is_not_kept() {
        let mut hot = Hot::new(1_000);
        hot.insert(entry("a", 600));
        assert!(hot.get(&key("a")).is_none());
        hot.insert_read(&entry("a", 600));
        hot.insert_read(&entry("a", 600));
        assert!(hot.get(&key("a")).is_none());
    }

    #[test]
    fn what_is_read_once_pushes_nothing_out_and_what_is_read_again_is_kept() {
        let mut hot = Hot::new(10_000);
        let fitting = 5_000 / cost(&entry("often-1000", 300));
        for number in 0..fitting {
            hot.insert_read(&entry(format!("often-{number}"), 300));
            assert!(there(&hot, format!("often-{number}")).is_some(), "there is room: kept at once");
        }
        for number in 0..1_000 {
            hot.insert_read(&entry(format!("once-{number}"), 300));
            assert!(there(&hot, format!("once-{number}")).is_none());
            assert!((0..fitting).all(|number| there(&hot, format!("often-{number}")).is_some()));
        }
        hot.insert_read(&entry("once-999", 300));
        assert!(there(&hot, "once-999").is_some(), "asked for again");
        for number in 0..1_000 {
            hot.insert_read(&entry(format!("twice-{number}"), 300));
            hot.insert_read(&entry(format!("twice-{number}"), 300));
            assert!(there(&hot, format!("twice-{number}")).is_some());
            assert!(held(&hot) <= 10_000, "{} bytes after {number}", held(&hot));
            hot.insert_read(&entry(format!("later-{number}"), 300));
            assert!(there(&hot, format!("later-{number}")).is_none(), "room that others had is not for all");
        }
    }
}
