//! The model of `store` with faults: refusals, conflicts, lost answers and late commits, and a turn for others around every call.

use crate::{executor::turns, fate::Fate, faults::Mutation};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    num::NonZeroU16,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use store::{
    Changes, Check, CommitId, Entry, Key, Memory, Page, Position, Snapshot, Store, StoreError, Write,
};

/// Calls after which a late commit lands at the latest.
const LATE_CALLS_MAX: u64 = 40;

/// A commit whose answer was lost before it landed.
struct Late {
    id: CommitId,
    checks: Vec<Check>,
    writes: Vec<Write>,
    due: u64,
}

/// The store of a simulated world. Outlives its servers.
pub(crate) struct SimStore {
    model: Memory,
    fate: Arc<Fate>,
    mutation: Mutation,
    late: Mutex<Vec<Late>>,
    calls: AtomicU64,
    commits: AtomicU64,
    /// Ids for the parts of torn commits.
    torn: AtomicU64,
    before: Mutex<HashMap<Vec<Key>, Snapshot>>,
    seen: Mutex<HashMap<Key, Option<Entry>>>,
}

impl SimStore {
    pub(crate) fn new(fate: Arc<Fate>, mutation: Mutation) -> Self {
        Self {
            model: Memory::new(),
            fate,
            mutation,
            late: Mutex::default(),
            calls: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            torn: AtomicU64::new(0),
            before: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Every key and value.
    pub(crate) fn dump(&self) -> Vec<(Key, Arc<[u8]>)> {
        self.model.dump()
    }

    /// How many commits have been tried: unchanged means that nothing has changed.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Is a commit still on its way?
    pub(crate) fn has_late(&self) -> bool {
        !self.late().is_empty()
    }

    /// Lets late commits land: those that are due, or all.
    pub(crate) async fn land(&self, all: bool) {
        let now = self.calls.load(Ordering::SeqCst);
        let due: Vec<Late> = {
            let mut late = self.late();
            let (due, later) = late.drain(..).partition(|late| all || late.due <= now);
            *late = later;
            due
        };
        for Late { id, checks, writes, .. } in due {
            // Whoever sent it has long been told that its outcome is unknown.
            drop(self.apply(id, &checks, &writes).await);
        }
    }

    async fn before(&self) -> Result<(), StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        turns(&self.fate, 2).await;
        self.land(false).await;
        if self.fate.strikes(1) {
            Err(StoreError::Unavailable("the engine is away".to_owned()))
        } else {
            Ok(())
        }
    }

    async fn apply(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        match self.mutation {
            Mutation::SkippedChecks => {
                let keys: Vec<Key> = checks.iter().map(|check| check.key().clone()).collect();
                let found = self.model.read(&keys).await?.entries;
                let checks: Vec<Check> = found
                    .iter()
                    .flatten()
                    .map(|entry| Check::Unchanged(entry.key.clone(), entry.modified))
                    .collect();
                let is_there = |write: &&Write| {
                    matches!(write, Write::Put(..))
                        || found.iter().flatten().any(|entry| &entry.key == write.key())
                };
                let writes: Vec<Write> = writes.iter().filter(is_there).cloned().collect();
                self.model.commit(id, &checks, &writes).await
            }
            Mutation::TornCommits if writes.len() > 1 => {
                let part = CommitId(u128::MAX - u128::from(self.torn.fetch_add(1, Ordering::SeqCst)));
                let (first, rest) = writes.split_at(1);
                self.model.commit(part, checks, first).await?;
                turns(&self.fate, 2).await;
                self.commits.fetch_add(1, Ordering::SeqCst);
                let is_mine = |check: &&Check| rest.iter().any(|write| write.key() == check.key());
                let checks: Vec<Check> = checks.iter().filter(is_mine).cloned().collect();
                self.model.commit(id, &checks, rest).await
            }
            Mutation::KeptVersions | Mutation::DroppedMarks => {
                let is_kept = |write: &&Write| match write {
                    Write::Delete(key) => {
                        self.mutation == Mutation::KeptVersions
                            && key.as_bytes().starts_with(b"secret-version/")
                    }
                    Write::Put(key, _) => {
                        self.mutation == Mutation::DroppedMarks && key.as_bytes().starts_with(b"vacated/")
                    }
                };
                let writes: Vec<Write> = writes.iter().filter(|write| !is_kept(write)).cloned().collect();
                self.model.commit(id, checks, &writes).await
            }
            _ => self.model.commit(id, checks, writes).await,
        }
    }

    /// A mutant's: what was seen once is seen for ever, where it says more than what is there now; a secret, once it is deleted.
    fn remember(&self, snapshot: &mut Snapshot, keys: &[Key]) {
        let prefix: &[u8] = match self.mutation {
            Mutation::RememberedPrincipals => b"principal/",
            Mutation::RememberedPolicies => b"vault/",
            Mutation::RememberedSecrets => b"secret/",
            _ => return,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (slot, key) in snapshot.entries.iter_mut().zip(keys) {
            if !key.as_bytes().starts_with(prefix) {
                continue;
            }
            let policies = |entry: &Option<Entry>| {
                let value = entry.as_ref().map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
                value.map_or(0, |value| value.matches("\"principal\":").count())
            };
            let known = seen.entry(key.clone()).or_insert_with(|| slot.clone());
            // More policies allow more: one that allows nothing is removed.
            let is_more = self.mutation == Mutation::RememberedPolicies && policies(slot) > policies(known);
            // What is there is seen as it is: only what was deleted since is not.
            let is_there = self.mutation == Mutation::RememberedSecrets && slot.is_some();
            if known.is_none() || is_more || is_there {
                known.clone_from(slot);
            } else if !self.fate.is_kind() {
                slot.clone_from(known);
            }
        }
    }

    fn late(&self) -> MutexGuard<'_, Vec<Late>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for SimStore {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.before().await?;
        let mut snapshot = self.model.read(keys).await?;
        self.remember(&mut snapshot, keys);
        if self.mutation == Mutation::StaleReads {
            let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            let earlier = before.insert(keys.to_vec(), snapshot.clone());
            if let Some(earlier) = earlier.filter(|_| self.fate.strikes(30)) {
                return Ok(earlier);
            }
        }
        Ok(snapshot)
    }

    /// An embedded engine tells at once, one behind a network does not: here it is now one, now the other. A mutant lies when it reads.
    fn peek(&self, key: &Key) -> Option<(Position, Option<Entry>)> {
        let is_at_hand = self.mutation == Mutation::None && self.fate.chance(50);
        is_at_hand.then(|| self.model.peek(key)).flatten()
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.before().await?;
        self.model.list(prefix, after, limit).await
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        self.before().await?;
        if self.fate.strikes(3) {
            return Err(StoreError::Conflict { keys: Vec::new() });
        }
        if self.fate.strikes(6) {
            match self.fate.roll(3) {
                0 => drop(self.apply(id, checks, writes).await),
                1 => {}
                _ => {
                    let due = self.calls.load(Ordering::SeqCst) + self.fate.roll(LATE_CALLS_MAX);
                    let (checks, writes) = (checks.to_vec(), writes.to_vec());
                    self.late().push(Late { id, checks, writes, due });
                }
            }
            return Err(StoreError::Unknown(id));
        }
        if self.mutation == Mutation::LostCommits && self.fate.strikes(10) {
            return self.model.commit(CommitId(0), &[], &[]).await;
        }
        let applied = self.apply(id, checks, writes).await;
        // A server that is killed here has committed and told nobody.
        turns(&self.fate, 2).await;
        applied
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        self.before().await?;
        if self.fate.strikes(10) {
            return Err(StoreError::Unavailable("the engine is away".to_owned()));
        }
        self.model.resolve(id).await
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        self.before().await?;
        self.model.changes(prefix, after).await
    }
}
