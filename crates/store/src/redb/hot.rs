//! Hot entries of one position, bounded in bytes, and keys that were just looked for in vain. Owns no lock: whoever publishes a position
//! also changes this.
//!
//! As long as there is room, what is read is kept. Then only what is asked for a second time: what is read once would push out what is read
//! often, and each read would pass through memory that no cache of the processor holds.

use crate::{
    contract::{Entry, Key},
    key::{ByKey, KeySet},
};
use std::{collections::HashMap, hash::BuildHasher as _};

/// What an entry costs besides key and value: two map slots, two reference counts, its decoded record's shape.
const ENTRY_OVERHEAD_BYTES: usize = 200;

/// Keys without an entry that are remembered, in each of two generations: who makes something has just looked for it, and the writer looks
/// again. A bulk load must not fill the memory with what is not there.
const ABSENT_MAX: usize = 1_024;

/// Folders of which it is remembered whether anything is in them; with one more all are forgotten. Ours: a vault in use has three.
const FOLDERS_MAX: usize = 1_024;

/// Keys and folders that are remembered to have been asked for once, at most; a power of two. Four bytes each.
const ASKED_MAX: usize = 16_384;

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

impl Known {
    /// The entry, if there is one.
    pub(super) fn entry(self) -> Option<Entry> {
        match self {
            Self::There(entry) => Some(entry),
            Self::Absent => None,
        }
    }
}

/// Entries by key in two generations: when the young one has its half of the bytes, it becomes the old one and the old one goes.
pub(super) struct Hot {
    young: ByKey<Entry>,
    old: ByKey<Entry>,
    young_bytes: usize,
    bytes_max: usize,
    absent: KeySet,
    absent_before: KeySet,
    /// Is anything in it? What was in one when it was looked at may have been deleted since; what was empty is. Who makes something
    /// looks for what would be in its way, deleted things and operations in progress: mostly there are none at all.
    folders: HashMap<Box<[u8]>, bool>,
    /// Of a key or a folder that was asked for once, a part of its hash, where another part says.
    asked: Box<[u32]>,
}

impl Hot {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            young: ByKey::default(),
            old: ByKey::default(),
            young_bytes: 0,
            bytes_max,
            absent: KeySet::default(),
            absent_before: KeySet::default(),
            folders: HashMap::new(),
            asked: vec![0; ASKED_MAX].into(),
        }
    }

    fn entry(&self, key: &Key) -> Option<&Entry> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn is_absent(&self, key: &Key) -> bool {
        self.absent.contains(key) || self.absent_before.contains(key) || self.is_occupied(key) == Some(false)
    }

    /// Is anything in this key's folder? Nothing, if that is not known or it has none.
    pub(super) fn is_occupied(&self, key: &Key) -> Option<bool> {
        self.folders.get(folder(key)?).copied()
    }

    /// Should it be looked whether anything is in this key's folder? If that is not known, and one of its keys was looked for in vain before:
    /// there are many folders in which nobody looks twice, as each object has one for its versions.
    pub(super) fn is_folder_wanted(&mut self, key: &Key) -> bool {
        let Some(folder) = folder(key).filter(|folder| !self.folders.contains_key(*folder)) else {
            return false;
        };
        let hash = self.folders.hasher().hash_one(folder);
        self.note_asked(hash)
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
            std::mem::swap(&mut self.absent_before, &mut self.absent);
            self.absent.clear();
        }
        self.absent.insert(key);
    }

    /// Keeps an entry that was read, unless it should be asked for once more before.
    pub(super) fn insert_read(&mut self, entry: &Entry) {
        if self.has_room(cost(entry)) || self.note_asked(entry.key.hashed()) {
            self.insert(entry.clone());
        }
    }

    /// Keeps an entry.
    pub(super) fn insert(&mut self, entry: Entry) {
        let bytes = cost(&entry);
        self.forget(&entry.key);
        if self.young_bytes + bytes > self.bytes_max / 2 {
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
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

    /// Nothing was pushed out yet, and nothing will be by this.
    fn has_room(&self, bytes: usize) -> bool {
        self.old.is_empty() && self.young_bytes + bytes <= self.bytes_max / 2
    }

    /// Remembers that it is asked for. Was it before, and not too long ago? A few are mistaken for others, which costs a place only.
    fn note_asked(&mut self, hash: u64) -> bool {
        let (index, part) = (hash as usize % ASKED_MAX, (hash >> 32) as u32);
        self.asked.get_mut(index).is_some_and(|known| std::mem::replace(known, part) == part)
    }
}

/// The value twice, as it may be decoded too.
fn cost(entry: &Entry) -> usize {
    2 * entry.key.as_bytes().len() + 2 * entry.value.len() + ENTRY_OVERHEAD_BYTES
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
        [&hot.young, &hot.old].into_iter().flat_map(ByKey::values).map(cost).sum()
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
    fn a_folder_that_is_empty_says_so_of_each_key_in_it_until_one_comes() {
        let mut hot = Hot::new(10_000);
        let (a, b, beside, deeper) = (Key::new("f/a"), Key::new("f/b"), Key::new("g/a"), Key::new("f/a/c"));
        assert_eq!((hot.is_occupied(&a), hot.is_occupied(&Key::new("a"))), (None, None));
        hot.insert_folder(&a, false);
        assert!(matches!(hot.get(&a), Some(Known::Absent)) && hot.revisions(&b) == Some(None));
        assert!(hot.get(&beside).is_none() && hot.get(&deeper).is_none(), "other folders are");
        assert!(!hot.forget(&b), "a commit writes it");
        assert!(hot.get(&a).is_none() && hot.get(&b).is_none() && hot.is_occupied(&a) == Some(true));
        assert!(!hot.is_folder_wanted(&a), "it is known");
        assert!(
            !hot.is_folder_wanted(&beside) && hot.is_folder_wanted(&beside),
            "when it is asked for again"
        );
        assert!(
            !hot.is_folder_wanted(&Key::new("a")) && !hot.is_folder_wanted(&Key::new("a")),
            "it has none"
        );
        for number in 0..2 * FOLDERS_MAX {
            hot.insert_folder(&Key::new(format!("{number}/a")), true);
            assert!(hot.folders.len() <= FOLDERS_MAX);
        }
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
