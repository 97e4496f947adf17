//! What every embedded backend keeps the same way: commits with their ids, decided one after another, and how a follower is answered.

use crate::contract::{Changes, Check, Commit, CommitId, Key, LIST_MAX, Position, REPLY_BYTES_MAX, StoreError, Write};
use std::sync::Arc;

/// Commits that are kept for followers and for resolving; older ones are pruned, and a follower that needs them lists again.
pub const HISTORY_COMMITS_MAX: usize = 10_000;

/// What became of an attempt, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was applied here.
    Applied(Position),
    /// It was given up: should it still arrive, it is refused.
    Void,
}

/// One commit as the history keeps it, uncut.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) position: Position,
    pub(crate) previous: CommitId,
    pub(crate) changes: Vec<(Key, Option<Arc<[u8]>>)>,
}

/// Do all checks hold? `modified` tells the revision of a key's entry, if there is one.
pub(crate) fn decide(checks: &[Check], modified: impl Fn(&Key) -> Option<u64>) -> Result<(), StoreError> {
    let failed: Vec<Key> = checks
        .iter()
        .filter(|check| match check {
            Check::Absent(key) => modified(key).is_some(),
            Check::Unchanged(key, revision) => modified(key) != Some(*revision),
        })
        .map(|check| check.key().clone())
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(StoreError::Conflict { keys: failed }) }
}

/// The changes of a commit as its history keeps them.
pub(crate) fn changes_of(writes: &[Write]) -> Vec<(Key, Option<Arc<[u8]>>)> {
    writes
        .iter()
        .map(|write| match write {
            Write::Put(key, value) => (key.clone(), Some(value.clone())),
            Write::Delete(key) => (key.clone(), None),
        })
        .collect()
}

/// The answer to a follower: whole commits below `prefix`, bounded, with how far this looked. `commits` come in order, each after `after`.
pub(crate) fn answer(prefix: &Key, after: Position, now: Position, commits: impl Iterator<Item = Kept>) -> Changes {
    let mut changes = Changes { through: after, commits: Vec::new() };
    let (mut items, mut bytes) = (0, 0);
    for kept in commits {
        let mine: Vec<_> =
            kept.changes.into_iter().filter(|(key, _)| key.as_bytes().starts_with(prefix.as_bytes())).collect();
        let mine_bytes: usize =
            mine.iter().map(|(key, value)| key.as_bytes().len() + value.as_ref().map_or(0, |value| value.len())).sum();
        let is_full = items + mine.len() > usize::from(LIST_MAX) || bytes + mine_bytes > REPLY_BYTES_MAX;
        if !changes.commits.is_empty() && is_full {
            return changes;
        }
        items += mine.len();
        bytes += mine_bytes;
        changes.through = kept.position;
        if !mine.is_empty() {
            changes.commits.push(Commit { position: kept.position, previous: kept.previous, changes: mine });
        }
    }
    changes.through = now;
    changes
}
