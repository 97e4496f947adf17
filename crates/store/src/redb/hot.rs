//! Hot entries of one position, bounded in bytes. Owns no lock: whoever publishes a position also changes this.

use crate::contract::{Entry, Key};
use std::collections::HashMap;

/// What an entry costs besides key and value: two map slots, two reference counts, its decoded record's shape.
const ENTRY_OVERHEAD_BYTES: usize = 200;

/// Entries by key in two generations: when the young one has its half of the bytes, it becomes the old one and the old one goes.
pub(super) struct Hot {
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
    young_bytes: usize,
    bytes_max: usize,
}

impl Hot {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, bytes_max }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Entry> {
        self.young.get(key).or_else(|| self.old.get(key)).cloned()
    }

    /// When the entry at a key came to be and was last modified.
    pub(super) fn revisions(&self, key: &Key) -> Option<(u64, u64)> {
        let entry = self.young.get(key).or_else(|| self.old.get(key))?;
        Some((entry.created, entry.modified))
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

    /// Was it there?
    pub(super) fn forget(&mut self, key: &Key) -> bool {
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
            assert!(hot.get(&Key::new(format!("{number}"))).is_some());
        }
    }

    #[test]
    fn what_was_replaced_or_forgotten_is_not_found_in_the_old_generation() {
        let mut hot = Hot::new(2_500);
        hot.insert(entry("a", 10));
        hot.insert(entry("b", 450));
        assert!(hot.old.contains_key(&Key::new("a")), "the generations have turned");
        hot.insert(entry("a", 20));
        assert_eq!(hot.get(&Key::new("a")).map(|entry| entry.value.len()), Some(20));
        assert!(hot.forget(&Key::new("a")));
        assert!(hot.get(&Key::new("a")).is_none());
        assert!(!hot.forget(&Key::new("a")));
    }

    #[test]
    fn what_is_larger_than_a_generation_is_not_kept() {
        let mut hot = Hot::new(1_000);
        hot.insert(entry("a", 600));
        assert!(hot.get(&Key::new("a")).is_none());
    }
}
