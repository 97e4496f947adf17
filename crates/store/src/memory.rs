//! The model: a store in memory, with the same limits, history and outcomes as the durable ones.
//!
//! Also the place where faults are injected for the simulated world: a fault decides what the caller is told, never whether a commit is whole.

use crate::{
    contract::{
        Changes, Check, CommitId, Entry, Key, LIST_MAX, Page, Position, READ_KEYS_MAX, REPLY_BYTES_MAX, Snapshot, Store, StoreError,
        Write, validate,
    },
    history::{self, Fate, HISTORY_COMMITS_MAX, Kept},
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    num::NonZeroU16,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// A store in memory.
#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
    committed: Notify,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Key, Entry>,
    history: VecDeque<Kept>,
    fates: HashMap<CommitId, Fate>,
    at: Position,
    /// The position before the oldest kept commit.
    pruned: Position,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the history up to and with the last commit, as pruning does: followers of older positions get
    /// [`StoreError::Compacted`].
    pub fn prune(&self) {
        let mut state = self.lock();
        state.history.clear();
        state.pruned = state.at;
    }

    /// Every key and value, for the checkers of the simulated world.
    pub fn dump(&self) -> Vec<(Key, Arc<[u8]>)> {
        self.lock().entries.values().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held cannot tear a commit: it is decided first and applied by infallible steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, id: CommitId, writes: &[Write]) -> Position {
        let previous = self.at.commit;
        self.at = Position { revision: self.at.revision + 1, commit: id };
        let revision = self.at.revision;
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    let created = self.entries.get(key).map_or(revision, |entry| entry.created);
                    self.entries.insert(key.clone(), Entry::new(key.clone(), value.clone(), created, revision));
                }
                Write::Delete(key) => {
                    self.entries.remove(key);
                }
            }
        }
        self.fates.insert(id, Fate::Applied(self.at));
        self.history.push_back(Kept { position: self.at, previous, changes: history::changes_of(writes) });
        if self.history.len() > HISTORY_COMMITS_MAX
            && let Some(pruned) = self.history.pop_front()
        {
            self.pruned = pruned.position;
            self.fates.remove(&pruned.position.commit);
        }
        self.at
    }
}

#[async_trait]
impl Store for Memory {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        if keys.len() > READ_KEYS_MAX {
            return Err(StoreError::TooLarge { what: "keys of a read", limit: READ_KEYS_MAX });
        }
        let state = self.lock();
        Ok(Snapshot { at: state.at, entries: keys.iter().map(|key| state.entries.get(key).cloned()).collect() })
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let state = self.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut page = Page { at: state.at, entries: Vec::new(), more: false };
        let mut bytes = 0;
        for (key, entry) in state.entries.range((from, Bound::Unbounded)) {
            if !key.as_bytes().starts_with(prefix.as_bytes()) {
                break;
            }
            bytes += key.as_bytes().len() + entry.value.len();
            let is_full = page.entries.len() >= usize::from(limit.get().min(LIST_MAX)) || bytes > REPLY_BYTES_MAX;
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
        let position = {
            let mut state = self.lock();
            match state.fates.get(&id) {
                Some(Fate::Applied(position)) => return Ok(*position),
                Some(Fate::Void) => return Err(StoreError::Conflict { keys: Vec::new() }),
                None => {}
            }
            history::decide(checks, |key| state.entries.get(key).map(|entry| entry.modified))?;
            if writes.is_empty() {
                return Ok(state.at);
            }
            state.apply(id, writes)
        };
        self.committed.notify_waiters();
        Ok(position)
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        match self.lock().fates.entry(id).or_insert(Fate::Void) {
            Fate::Applied(position) => Ok(Some(*position)),
            Fate::Void => Ok(None),
        }
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        let mut is_last = false;
        loop {
            let committed = self.committed.notified();
            tokio::pin!(committed);
            committed.as_mut().enable();
            {
                let state = self.lock();
                let is_known = after == state.pruned
                    || after == state.at
                    || state.history.binary_search_by_key(&after.revision, |kept| kept.position.revision).is_ok_and(|index| {
                        state.history.get(index).is_some_and(|kept| kept.position == after)
                    });
                if !is_known {
                    return Err(StoreError::Compacted);
                }
                if state.at != after || is_last {
                    let first = state.history.partition_point(|kept| kept.position.revision <= after.revision);
                    return Ok(history::answer(prefix, after, state.at, state.history.range(first..).cloned()));
                }
            }
            is_last = tokio::time::timeout(Duration::from_secs(1), committed).await.is_err();
        }
    }
}
