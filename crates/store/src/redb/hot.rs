//! Hot entries of one position, bounded in bytes, and keys that were just looked for in vain. Owns no lock: whoever publishes a position
//! also changes this.

use crate::contract::{Entry, Key};
use std::collections::{HashMap, HashSet};

/// What an entry costs besides key and value: two map slots, two reference counts, its decoded record's shape.
const ENTRY_OVERHEAD_BYTES: usize = 200;

/// Keys without an entry that are remembered, in each of two generations: who makes something has just looked for it, and the writer looks
/// again. A bulk load must not fill the memory with what is not there.
const ABSENT_MAX: usize = 1_024;

/// Folders of which it is remembered whether anything is in them; with one more all are forgotten.
const FOLDERS_MAX: usize = 256;

/// The folder of a key: all up to its last `/`, which is how records make their keys. A key without one has none.
pub(super) fn folder(key: &Key) -> Option<&[u8]> {
    let bytes = key.as_bytes();
    let end = bytes.iter().rposition(|byte| *byte == b'/')?;
    bytes.get(..=end)
}

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
    /// Is anything in it? What was in one when it was looked at may have been deleted since; what was empty is. Who makes something
    /// looks for what would be in its way, deleted things and operations in progress: mostly there are none at all.
    folders: HashMap<Box<[u8]>, bool>,
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
            folders: HashMap::new(),
        }
    }

    fn entry(&self, key: &Key) -> Option<&Entry> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn is_absent(&self, key: &Key) -> bool {
        self.is_occupied(key) == Some(false) || self.absent.contains(key) || self.absent_before.contains(key)
    }

    /// Is anything in this key's folder? Nothing, if that is not known or it has none.
    pub(super) fn is_occupied(&self, key: &Key) -> Option<bool> {
        self.folders.get(folder(key)?).copied()
    }

    /// Whether anything is in this key's folder.
    pub(super) fn insert_folder(&mut self, key: &Key, is_occupied: bool) {
        let Some(folder) = folder(key) else { return };
        if self.folders.len() >= FOLDERS_MAX {
            self.folders.clear();
        }
        self.folders.insert(folder.into(), is_occupied);
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

    /// Nothing is known of it any more, as something may be there now. Was there an entry?
    pub(super) fn forget(&mut self, key: &Key) -> bool {
        if let Some(is_occupied) = folder(key).and_then(|folder| self.folders.get_mut(folder)) {
            *is_occupied = true;
        }
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
    fn a_folder_that_is_empty_says_so_of_each_key_in_it_until_one_comes() {
        let mut hot = Hot::new(10_000);
        let (a, b, beside, deeper) = (Key::new("f/a"), Key::new("f/b"), Key::new("g/a"), Key::new("f/a/c"));
        assert_eq!((hot.is_occupied(&a), hot.is_occupied(&Key::new("a"))), (None, None));
        hot.insert_folder(&a, false);
        assert!(matches!(hot.get(&a), Some(Known::Absent)) && hot.revisions(&b) == Some(None));
        assert!(hot.get(&beside).is_none() && hot.get(&deeper).is_none(), "other folders are");
        assert!(!hot.forget(&b), "a commit writes it");
        assert!(hot.get(&a).is_none() && hot.get(&b).is_none() && hot.is_occupied(&a) == Some(true));
        for number in 0..2 * FOLDERS_MAX {
            hot.insert_folder(&Key::new(format!("{number}/a")), true);
            assert!(hot.folders.len() <= FOLDERS_MAX);
        }
    }

    #[test]
    fn what_is_larger_than_a_generation_is_not_kept() {
        let mut hot = Hot::new(1_000);
        hot.insert(entry("a", 600));
        assert!(hot.get(&Key::new("a")).is_none());
    }
}
