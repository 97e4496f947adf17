//! What every embedded backend keeps the same way: where it stands, recent commits for followers, and the fate of attempts by their id.
//!
//! Bounded: the oldest commits go first, and with them what is known of their ids. A durable engine keeps rows of the same commits and
//! fills this from them when it opens; attempts that were given up are known in memory only, as no attempt outlives its process.

use crate::contract::{
    Changes, Check, Commit, CommitId, Key, LIST_MAX, Position, REPLY_BYTES_MAX, StoreError, Write,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Commits that are kept for followers and for resolving.
pub const HISTORY_COMMITS_MAX: usize = 10_000;
/// Bytes of keys and values that are kept for followers.
pub const HISTORY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A key and its new value; `None` is deleted.
pub(crate) type Change = (Key, Option<Arc<[u8]>>);

/// Position, recent commits and fates of one store.
#[derive(Default)]
pub(crate) struct History {
    state: Mutex<State>,
    committed: Notify,
}

#[derive(Default)]
struct State {
    kept: VecDeque<Kept>,
    bytes: usize,
    fates: HashMap<CommitId, Fate>,
    /// Attempts that were given up, oldest first.
    voids: VecDeque<CommitId>,
    at: Position,
    /// The position before the oldest kept commit.
    pruned: Position,
}

#[derive(Clone, Copy)]
enum Fate {
    Applied(Position),
    /// Given up: should it still arrive, it is refused.
    Void,
}

struct Kept {
    position: Position,
    previous: CommitId,
    changes: Vec<Change>,
}

impl History {
    /// A history that begins at a position, with nothing before it.
    pub(crate) fn starting(at: Position) -> Self {
        Self { state: Mutex::new(State { at, pruned: at, ..State::default() }), committed: Notify::new() }
    }

    /// The revision before the oldest commit that is kept.
    pub(crate) fn pruned(&self) -> u64 {
        self.lock().pruned.revision
    }

    /// Where the store stands.
    pub(crate) fn at(&self) -> Position {
        self.lock().at
    }

    /// Was this attempt decided before? Its position, a conflict if it was given up, or `None` if it is new.
    pub(crate) fn earlier(&self, id: CommitId) -> Option<Result<Position, StoreError>> {
        self.lock().fates.get(&id).map(|fate| match fate {
            Fate::Applied(position) => Ok(*position),
            Fate::Void => Err(StoreError::Conflict { keys: Vec::new() }),
        })
    }

    /// Records an applied commit.
    pub(crate) fn applied(&self, position: Position, changes: Vec<Change>) {
        self.all_applied([(position, changes)]);
    }

    /// Records applied commits, in their order.
    pub(crate) fn all_applied(&self, commits: impl IntoIterator<Item = (Position, Vec<Change>)>) {
        let mut state = self.lock();
        for (position, changes) in commits {
            state.apply(position, changes);
        }
        drop(state);
        self.committed.notify_waiters();
    }

    /// What became of an attempt; a new one is given up for good. The caller keeps commits out meanwhile.
    pub(crate) fn resolve(&self, id: CommitId) -> Option<Position> {
        let mut state = self.lock();
        match state.fates.get(&id) {
            Some(Fate::Applied(position)) => return Some(*position),
            Some(Fate::Void) => return None,
            None => {}
        }
        state.fates.insert(id, Fate::Void);
        state.voids.push_back(id);
        if state.voids.len() > HISTORY_COMMITS_MAX
            && let Some(oldest) = state.voids.pop_front()
        {
            state.fates.remove(&oldest);
        }
        None
    }

    /// Forgets all kept commits.
    pub(crate) fn prune(&self) {
        let mut state = self.lock();
        state.kept.clear();
        state.bytes = 0;
        state.pruned = state.at;
    }

    /// Answers a follower; waits up to a second for something new.
    pub(crate) async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        let mut is_last = false;
        loop {
            // Registered before the look, so that a commit between look and wait wakes it.
            let committed = self.committed.notified();
            tokio::pin!(committed);
            committed.as_mut().enable();
            if let Some(changes) = self.lock().since(prefix, after, is_last)? {
                return Ok(changes);
            }
            is_last = tokio::time::timeout(Duration::from_secs(1), committed).await.is_err();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, position: Position, changes: Vec<Change>) {
        let previous = self.at.commit;
        self.at = position;
        self.bytes += bytes_of(&changes);
        self.fates.insert(position.commit, Fate::Applied(position));
        self.kept.push_back(Kept { position, previous, changes });
        while self.kept.len() > HISTORY_COMMITS_MAX || self.bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= bytes_of(&oldest.changes);
            self.pruned = oldest.position;
            self.fates.remove(&oldest.position.commit);
        }
    }

    fn since(&self, prefix: &Key, after: Position, is_last: bool) -> Result<Option<Changes>, StoreError> {
        let kept = self.kept.binary_search_by_key(&after.revision, |kept| kept.position.revision);
        let is_kept = kept.is_ok_and(|index| self.kept.get(index).is_some_and(|kept| kept.position == after));
        if after != self.pruned && after != self.at && !is_kept {
            return Err(StoreError::Compacted);
        }
        if after == self.at && !is_last {
            return Ok(None);
        }
        let first = self.kept.partition_point(|kept| kept.position.revision <= after.revision);
        let mut answer = Changes { through: after, commits: Vec::new() };
        let (mut items, mut bytes) = (0, 0);
        for kept in self.kept.range(first..) {
            let is_mine = |change: &&Change| change.0.as_bytes().starts_with(prefix.as_bytes());
            let mine: Vec<Change> = kept.changes.iter().filter(is_mine).cloned().collect();
            items += mine.len();
            bytes += bytes_of(&mine);
            if !answer.commits.is_empty() && (items > usize::from(LIST_MAX) || bytes > REPLY_BYTES_MAX) {
                return Ok(Some(answer));
            }
            answer.through = kept.position;
            if !mine.is_empty() {
                answer.commits.push(Commit {
                    position: kept.position,
                    previous: kept.previous,
                    changes: mine,
                });
            }
        }
        answer.through = self.at;
        Ok(Some(answer))
    }
}

/// The changes that writes make.
pub(crate) fn changes_of(writes: &[Write]) -> Vec<Change> {
    let change = |write: &Write| match write {
        Write::Put(key, value) => (key.clone(), Some(value.clone())),
        Write::Delete(key) => (key.clone(), None),
    };
    writes.iter().map(change).collect()
}

/// Do all checks hold? `modified` tells the revision of a key's entry, if there is one.
pub(crate) fn decide(
    checks: &[Check],
    mut modified: impl FnMut(&Key) -> Result<Option<u64>, StoreError>,
) -> Result<(), StoreError> {
    let mut failed = Vec::new();
    for check in checks {
        let holds = match check {
            Check::Absent(key) => modified(key)?.is_none(),
            Check::Unchanged(key, revision) => modified(key)? == Some(*revision),
        };
        if !holds {
            failed.push(check.key().clone());
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(StoreError::Conflict { keys: failed }) }
}

fn bytes_of(changes: &[Change]) -> usize {
    changes
        .iter()
        .map(|(key, value)| key.as_bytes().len() + value.as_ref().map_or(0, |value| value.len()))
        .sum()
}
