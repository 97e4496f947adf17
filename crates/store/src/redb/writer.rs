//! The one thread that writes: takes what waits, decides each against the published position and the batch's own earlier commits, makes
//! one durable transaction of those that hold, publishes it, and only then tells any verdict that rests on it.

use super::{
    Shared,
    queue::Queue,
    tables::{self, Entries, Left},
    told::{self, Caller},
};
use crate::{
    contract::{Check, CommitId, Entry, Key, Position, StoreError, Write},
    history::{self, Change},
    key::ByKey,
};
use redb::Database;
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// After a full disk, how long commits are refused before one is tried again: a try costs a reopening.
pub(super) const FULL_PAUSE: Duration = Duration::from_secs(1);

/// What waits for the writer.
pub(super) enum Ask {
    /// A validated commit.
    Commit { id: CommitId, checks: Vec<Check>, writes: Vec<Write>, caller: Caller },
    /// The fate of an attempt; behind what waits already, so that the attempt itself is decided first.
    Resolve { id: CommitId, caller: Caller },
}

/// The writer's thread.
pub(super) struct Writer {
    /// `None` after an error of the engine that could not be recovered from: nothing is written any more.
    pub(super) database: Option<Database>,
    pub(super) reopen: Box<dyn Fn() -> Result<Database, StoreError> + Send>,
    pub(super) shared: Arc<Shared>,
    pub(super) full_since: Option<Instant>,
}

/// A batch as it is decided.
struct Plan {
    before: Position,
    at: Position,
    /// What this batch leaves at each key that it writes.
    entries: ByKey<Left>,
    accepted: Vec<Accepted>,
    /// Verdicts that rest on this batch's becoming durable, besides those of its commits.
    resting: Vec<(CommitId, Position, Caller)>,
}

struct Accepted {
    position: Position,
    changes: Vec<Change>,
    caller: Caller,
}

/// Why a transaction did not succeed.
struct Failure {
    error: redb::Error,
    /// Was `commit` reached? Then it may be durable.
    is_unknown: bool,
}

impl Writer {
    /// Until the queue is closed and empty.
    pub(super) fn run(mut self, waiting: &Queue) {
        // Also if it panics: nobody may wait for a writer that is gone.
        let _abandoned = Abandon(waiting);
        let mut expected = 1;
        while let Some(batch) = waiting.next(expected) {
            expected = batch.len();
            self.commit_batch(batch);
        }
    }

    fn commit_batch(&mut self, batch: Vec<Ask>) {
        // A poisoned lock: dropping the asks tells their callers that the outcome is unknown.
        let Ok((before, table)) =
            self.shared.published.read().map(|published| (published.at, published.table.clone()))
        else {
            return;
        };
        let mut plan =
            Plan { before, at: before, entries: ByKey::default(), accepted: Vec::new(), resting: Vec::new() };
        for ask in batch {
            self.decide(&mut plan, &table, ask);
        }
        drop(table);
        if plan.accepted.is_empty() {
            return;
        }
        match self.write(&plan) {
            Ok(table) => self.publish(plan, table),
            Err(failure) => self.fail(plan, failure),
        }
    }

    fn decide(&self, plan: &mut Plan, table: &Entries, ask: Ask) {
        let (id, checks, writes, caller) = match ask {
            Ask::Commit { id, checks, writes, caller } => (id, checks, writes, caller),
            Ask::Resolve { id, caller } => return self.resolve(plan, id, caller),
        };
        if let Some(position) = plan.position_of(id) {
            plan.resting.push((id, position, caller));
            return;
        }
        if let Some(earlier) = self.shared.history.earlier(id) {
            return caller.tell(earlier.map(Some));
        }
        // What is written is mostly checked too: looked for once.
        let mut looked: Vec<(Key, Option<(u64, u64)>)> = Vec::with_capacity(checks.len());
        let mut revisions = |key: &Key| {
            if let Some((_, found)) = looked.iter().find(|(known, _)| known == key) {
                return Ok(*found);
            }
            let found = match plan.entries.get(key) {
                Some(known) => known.as_ref().map(|(created, modified, _)| (*created, *modified)),
                None => self.published_revisions(table, key)?,
            };
            looked.push((key.clone(), found));
            Ok(found)
        };
        let next = Position { revision: plan.at.revision + 1, commit: id };
        let decided = history::decide(&checks, |key| Ok(revisions(key)?.map(|(_, modified)| modified)));
        let created: Result<Vec<u64>, StoreError> = writes
            .iter()
            .map(|write| Ok(revisions(write.key())?.map_or(next.revision, |(created, _)| created)))
            .collect();
        let created = match decided.and(created).and_then(|created| self.is_writable().map(|()| created)) {
            Ok(created) => created,
            Err(error) => return caller.tell(Err(error)),
        };
        if writes.is_empty() {
            plan.resting_at_present(id, caller);
            return;
        }
        let changes = history::changes_of(&writes);
        for ((key, value), created) in changes.iter().zip(created) {
            let left = value.as_ref().map(|value| (created, next.revision, value.clone()));
            plan.entries.insert(key.clone(), left);
        }
        plan.at = next;
        plan.accepted.push(Accepted { position: next, changes, caller });
    }

    /// When the entry at a key came to be and was last modified, as published: from memory if it is hot.
    fn published_revisions(&self, table: &Entries, key: &Key) -> Result<Option<(u64, u64)>, StoreError> {
        // Nobody but this thread publishes: what is hot is of the position of `table`.
        let hot = self.shared.published.read().map_err(super::poisoned)?.hot.revisions(key);
        hot.map_or_else(|| tables::revisions(table, key), Ok)
    }

    fn resolve(&self, plan: &mut Plan, id: CommitId, caller: Caller) {
        match plan.position_of(id) {
            Some(position) => plan.resting.push((id, position, caller)),
            // What a commit left unknown here is told by the file only, when it is opened again.
            None if self.database.is_none() => caller.tell(Err(StoreError::Unknown(id))),
            None => caller.tell(Ok(self.shared.history.resolve(id))),
        }
    }

    fn is_writable(&self) -> Result<(), StoreError> {
        if self.shared.is_poisoned.load(Ordering::Acquire) {
            return Err(super::closed());
        }
        match self.full_since {
            Some(since) if since.elapsed() < FULL_PAUSE => Err(full()),
            _ => Ok(()),
        }
    }

    /// One durable transaction.
    fn write(&self, plan: &Plan) -> Result<Entries, Failure> {
        let Some(database) = &self.database else {
            return Err(Failure { error: redb::Error::DatabaseClosed, is_unknown: false });
        };
        let (prune_through, kept) = self.shared.history.pruned();
        let batch = tables::Batch {
            before: plan.before,
            commits: plan.accepted.iter().map(|accepted| (accepted.position, &*accepted.changes)).collect(),
            entries: &plan.entries,
            prune_through,
            kept,
        };
        let transaction =
            tables::write(database, &batch).map_err(|error| Failure { error, is_unknown: false })?;
        transaction.commit().map_err(|error| Failure { error: error.into(), is_unknown: true })?;
        // Durable, but not to be shown: as good as unknown.
        tables::entries(database)
            .map_err(|_| Failure { error: redb::Error::DatabaseClosed, is_unknown: true })
    }

    /// Shows the batch to readers and followers, then tells its verdicts.
    fn publish(&mut self, plan: Plan, table: Entries) {
        self.full_since = None;
        let Ok(mut published) = self.shared.published.write() else { return };
        published.at = plan.at;
        published.table = Arc::new(table);
        for (key, left) in plan.entries {
            // Only what is hot already: a bulk load must not push out what is being read.
            if published.hot.forget(&key)
                && let Some((created, modified, value)) = left
            {
                published.hot.insert(Entry::new(key, value, created, modified));
            }
        }
        let mut told = Vec::with_capacity(plan.accepted.len());
        for accepted in plan.accepted {
            self.shared.history.applied(accepted.position, accepted.changes);
            told.push((accepted.caller, Ok(Some(accepted.position))));
        }
        drop(published);
        let resting = plan.resting.into_iter().map(|(_, position, caller)| (caller, Ok(Some(position))));
        told::tell_all(told.into_iter().chain(resting));
    }

    /// A full disk is recovered from: the file is opened again, which tells for certain what happened and lets reads go on. After any
    /// other error nothing more is written: what a disk that fails says afterwards proves nothing.
    fn fail(&mut self, plan: Plan, failure: Failure) {
        let is_full = matches!(tables::of_engine(&failure.error), StoreError::Full(_));
        if is_full {
            match self.recover(&plan) {
                Some(Recovered::Applied(table)) => return self.publish(plan, table),
                Some(Recovered::NotApplied) => return plan.refuse(|_| full()),
                None => {}
            }
        }
        self.shared.is_poisoned.store(true, Ordering::Release);
        self.database = None;
        let error = tables::of_engine(&failure.error);
        let is_unknown = failure.is_unknown || is_full;
        plan.refuse(|id| if is_unknown { StoreError::Unknown(id) } else { error.clone() });
    }

    fn recover(&mut self, plan: &Plan) -> Option<Recovered> {
        let mut published = self.shared.published.write().ok()?;
        drop(self.database.take());
        let database = (self.reopen)().ok()?;
        let (at, _) = tables::load(&database).ok()?;
        let table = tables::entries(&database).ok()?;
        self.database = Some(database);
        if at == plan.at {
            return Some(Recovered::Applied(table));
        }
        self.full_since = Some(Instant::now());
        published.table = Arc::new(table);
        (at == plan.before).then_some(Recovered::NotApplied)
    }
}

/// What the file says of a batch after it was opened again.
enum Recovered {
    Applied(Entries),
    NotApplied,
}

impl Plan {
    fn position_of(&self, id: CommitId) -> Option<Position> {
        let positions = self.accepted.iter().map(|accepted| accepted.position);
        positions.rev().find(|position| position.commit == id)
    }

    /// A commit without writes holds at the present position, which may be one that this batch has yet to make durable.
    fn resting_at_present(&mut self, id: CommitId, caller: Caller) {
        if self.at == self.before {
            caller.tell(Ok(Some(self.at)));
        } else {
            self.resting.push((id, self.at, caller));
        }
    }

    fn refuse(self, error: impl Fn(CommitId) -> StoreError) {
        let accepted = self.accepted.into_iter().map(|accepted| (accepted.position.commit, accepted.caller));
        let resting = self.resting.into_iter().map(|(id, _, caller)| (id, caller));
        told::tell_all(accepted.chain(resting).map(|(id, caller)| (caller, Err(error(id)))));
    }
}

/// Lets go of all who wait, however the writer ends.
struct Abandon<'a>(&'a Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn full() -> StoreError {
    StoreError::Full("the disk has no room".to_owned())
}

/// Bytes of keys and values that an ask would write.
pub(super) fn size(ask: &Ask) -> usize {
    let of = |write: &Write| match write {
        Write::Put(key, value) => key.as_bytes().len() + value.len(),
        Write::Delete(key) => key.as_bytes().len(),
    };
    match ask {
        Ask::Commit { writes, .. } => writes.iter().map(of).sum(),
        Ask::Resolve { .. } => 0,
    }
}
