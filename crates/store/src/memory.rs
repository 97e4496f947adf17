//! The model: a store in memory, with the same limits, history and outcomes as the durable ones.

use crate::{
    contract::{
        Changes, Check, CommitId, Entry, Key, LIST_MAX, Page, Position, READ_KEYS_MAX, REPLY_BYTES_MAX,
        Snapshot, Store, StoreError, Write, validate,
    },
    history::{self, History},
};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A store in memory.
#[derive(Default)]
pub struct Memory {
    /// Also the lock that makes a commit one: history is only written while it is held.
    entries: Mutex<BTreeMap<Key, Entry>>,
    history: History,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the history up to and with the last commit: followers of older positions get [`StoreError::Compacted`].
    pub fn prune(&self) {
        self.history.prune();
    }

    /// Every key and value, for the checkers of the simulated world.
    pub fn dump(&self) -> Vec<(Key, Arc<[u8]>)> {
        self.lock().values().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        // A panic while the lock is held cannot tear a commit: it is decided first and applied by infallible steps.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Memory {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        if keys.len() > READ_KEYS_MAX {
            return Err(StoreError::TooLarge { what: "keys of a read", limit: READ_KEYS_MAX });
        }
        let entries = self.lock();
        Ok(Snapshot {
            at: self.history.at(),
            entries: keys.iter().map(|key| entries.get(key).cloned()).collect(),
        })
    }

    fn peek(&self, key: &Key) -> Option<(Position, Option<Entry>)> {
        let entries = self.lock();
        Some((self.history.at(), entries.get(key).cloned()))
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let entries = self.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut page = Page { at: self.history.at(), entries: Vec::new(), more: false };
        let mut bytes = 0;
        for (key, entry) in entries.range((from, Bound::Unbounded)) {
            if !key.as_bytes().starts_with(prefix.as_bytes()) {
                break;
            }
            bytes += key.as_bytes().len() + entry.value.len();
            let is_full =
                page.entries.len() >= usize::from(limit.get().min(LIST_MAX)) || bytes > REPLY_BYTES_MAX;
            if is_full && !page.entries.is_empty() {
                page.more = true;
                break;
            }
            page.entries.push(entry.clone());
        }
        Ok(page)
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        validate(checks, writes)?;
        let mut entries = self.lock();
        if let Some(earlier) = self.history.earlier(id) {
            return earlier;
        }
        history::decide(checks, |key| Ok(entries.get(key).map(|entry| entry.modified)))?;
        let at = self.history.at();
        if writes.is_empty() {
            return Ok(at);
        }
        let position = Position { revision: at.revision + 1, commit: id };
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    let created = entries.get(key).map_or(position.revision, |entry| entry.created);
                    entries.insert(
                        key.clone(),
                        Entry::new(key.clone(), value.clone(), created, position.revision),
                    );
                }
                Write::Delete(key) => {
                    entries.remove(key);
                }
            }
        }
        self.history.applied(position, history::changes_of(writes));
        Ok(position)
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        let _entries = self.lock();
        Ok(self.history.resolve(id))
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        self.history.changes(prefix, after).await
    }
}
