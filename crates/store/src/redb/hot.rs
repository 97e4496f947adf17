//! Hot entries of one position, bounded in bytes, and keys that were just looked for in vain. Owns no lock: whoever publishes a position
//! also changes this.

use crate::contract::{Entry, Key};
use std::collections::{HashMap, HashSet};

/// What an entry costs besides key and value: two map slots, two reference counts, its decoded record's shape.
const ENTRY_OVERHEAD_BYTES: usize = 200;

/// Keys without an entry that are remembered, in each of two generations: who makes something has just looked for it, and the writer looks
/// again. A bulk load must not fill the memory with what is not there.
const ABSENT_MAX: usize = 1_024;

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
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
    young_bytes: usize,
    bytes_max: usize,
    absent: HashSet<Key>,
    absent_before: HashSet<Key>,
}

impl Hot {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            bytes_max,
            absent: HashSet::new(),
            absent_before: HashSet::new(),
        }
    }

    fn entry(&self, key: &Key) -> Option<&Entry> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn is_absent(&self, key: &Key) -> bool {
        self.absent.contains(key) || self.absent_before.contains(key)
    }

    /// What is known of a key, if anything.
    pub(super) fn get(&self, key: &Key) -> Option<Known> {
        match self.entry(key) {
            Some(entry) => Some(Known::There(entry.clone())),
            None => self.is_absent(key).then_some(Known::Absent),
        }
    }

    /// When the entry at a key came to be and was last modified, or that there is none; if either is known.
    pub(super) fn revisions(&self, key: &Key) -> Option<Option<(u64, u64)>> {
        match self.entry(key) {
            Some(entry) => Some(Some((entry.created, entry.modified))),
            None => self.is_absent(key).then_some(None),
        }
    }

    /// There is no entry at this key.
    pub(super) fn insert_absent(&mut self, key: Key) {
        if self.absent.len() >= ABSENT_MAX {
            self.absent_before = std::mem::take(&mut self.absent);
        }
        self.absent.insert(key);
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        let bytes = cost(&entry);
        self.forget(&entry.key);
        if self.young_bytes + bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if bytes <= self.bytes_max / 2 {
            self.young_bytes += bytes;
            self.young.insert(entry.key.clone(), entry);
        }
    }

    /// Nothing is known of it any more. Was there an entry?
    pub(super) fn forget(&mut self, key: &Key) -> bool {
        self.absent.remove(key);
        self.absent_before.remove(key);
        let young = self.young.remove(key);
        if let Some(entry) = &young {
            self.young_bytes -= cost(entry);
        }
        self.old.remove(key).is_some() || young.is_some()
    }
}

/// The value twice, as it may be decoded too.
fn cost(entry: &Entry) -> usize {
    2 * entry.key.as_bytes().len() + 2 * entry.value.len() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, bytes: usize) -> Entry {
        Entry::new(Key::new(name), vec![0; bytes].into(), 1, 1)
    }

    #[test]
    fn stays_within_its_bytes_and_keeps_what_is_young() {
        let mut hot = Hot::new(10_000);
        for number in 0..1_000 {
            hot.insert(entry(&format!("{number}"), 300));
            let held: usize = hot.young.values().chain(hot.old.values()).map(cost).sum();
            assert!(held <= 10_000, "{held} bytes after {number}");
            assert!(hot.entry(&Key::new(format!("{number}"))).is_some());
        }
    }

    #[test]
    fn what_was_replaced_or_forgotten_is_not_found_in_the_old_generation() {
        let mut hot = Hot::new(2_500);
        hot.insert(entry("a", 10));
        hot.insert(entry("b", 450));
        assert!(hot.old.contains_key(&Key::new("a")), "the generations have turned");
        hot.insert(entry("a", 20));
        assert_eq!(hot.entry(&Key::new("a")).map(|entry| entry.value.len()), Some(20));
        assert!(hot.forget(&Key::new("a")));
        assert!(hot.get(&Key::new("a")).is_none());
        assert!(!hot.forget(&Key::new("a")));
    }

    #[test]
    fn what_is_absent_is_known_until_it_comes_and_few_are_remembered() {
        let mut hot = Hot::new(10_000);
        hot.insert_absent(Key::new("a"));
        assert!(matches!(hot.get(&Key::new("a")), Some(Known::Absent)));
        assert_eq!(hot.revisions(&Key::new("a")), Some(None));
        assert!(!hot.forget(&Key::new("a")), "there was no entry");
        assert!(hot.get(&Key::new("a")).is_none());
        hot.insert_absent(Key::new("b"));
        hot.insert(entry("b", 10));
        assert_eq!(hot.revisions(&Key::new("b")), Some(Some((1, 1))));
        for number in 0..3 * ABSENT_MAX {
            hot.insert_absent(Key::new(format!("{number}")));
            assert!(hot.absent.len() + hot.absent_before.len() <= 2 * ABSENT_MAX);
            assert!(hot.is_absent(&Key::new(format!("{number}"))));
        }
        assert!(!hot.is_absent(&Key::new("0")));
    }

    #[test]
    fn what_is_larger_than_a_generation_is_not_kept() {
        let mut hot = Hot::new(1_000);
        hot.insert(entry("a", 600));
        assert!(hot.get(&Key::new("a")).is_none());
    }
}
