//! The one thread that commits: takes what waits, decides each against the published position and the batch's own earlier commits, appends
//! those that hold to the log, publishes them, and only then tells any verdict that rests on them. When what is not in the tables yet has
//! become much, it hands that to the keeper, and goes on with a new layer.

use super::{
    Published, Shared,
    keeper::Keeper,
    layer::{Layer, Left},
    log::{Committed, Failure, Log},
    queue::Queue,
    tables,
    told::{self, Caller},
};
use crate::{
    contract::{Check, CommitId, Entry, Key, Position, StoreError, Write},
    history,
    key::ByKey,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A layer that is smaller than this part of what is worth a transaction stays in memory as long as nothing comes.
const LITTLE: usize = 16;
/// How long nothing may have come before a larger one is kept, so that its memory is free.
const REST: Duration = Duration::from_secs(1);
/// How often who waits for the keeper looks whether it finds no room.
const KEEPER_LOOK: Duration = Duration::from_millis(100);

/// Why nothing is written any more, if no error says so.
const PANICKED: &str = "a thread of the store has panicked: see the server's log";

/// What waits for the writer.
pub(super) enum Ask {
    /// A validated commit.
    Commit { id: CommitId, checks: Vec<Check>, writes: Vec<Write>, caller: Caller },
    /// The fate of an attempt; behind what waits already, so that the attempt itself is decided first.
    Resolve { id: CommitId, caller: Caller },
}

/// The writer's thread.
pub(super) struct Writer {
    log: Log,
    shared: Arc<Shared>,
    /// `None` once there will be no more.
    layers: Option<Sender<Arc<Layer>>>,
    /// The last revision of each layer that was kept.
    kept: Receiver<u64>,
    keeper: Option<JoinHandle<()>>,
    /// Bytes of a layer, or of its commits in the log, that are worth a transaction of the tables; with a quarter more commits wait until
    /// the one before is kept.
    layer_bytes: usize,
    /// The last batch found no room in the log.
    is_log_full: bool,
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
    committed: Committed,
    caller: Caller,
}

impl Writer {
    /// Starts both threads.
    pub(super) fn start(
        log: Log,
        keeper: Keeper,
        shared: Arc<Shared>,
        waiting: Arc<Queue>,
        layer_bytes: usize,
    ) -> io::Result<JoinHandle<()>> {
        let (layers, to_keep) = mpsc::channel();
        let (told, kept) = mpsc::channel();
        let keeper = thread::Builder::new()
            .name("store-keeper".to_owned())
            .spawn(move || keeper.run(&to_keep, &told))?;
        let writer = Self {
            log,
            shared,
            layers: Some(layers),
            kept,
            keeper: Some(keeper),
            layer_bytes,
            is_log_full: false,
        };
        thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(&waiting))
    }

    /// Until the queue is closed and empty.
    fn run(mut self, waiting: &Queue) {
        // Also if it panics: nobody may wait for a writer that is gone.
        let _abandoned = Abandon(waiting, self.shared.clone());
        let mut expected = 1;
        while let Some(batch) = waiting.next(expected, self.rest()) {
            if batch.is_empty() {
                self.hand_over();
                continue;
            }
            expected = batch.len();
            self.commit_batch(batch);
        }
        self.end();
    }

    /// How long nobody may have come before what is in memory is worth being kept though it is little; nothing, if it is very little.
    fn rest(&self) -> Option<Duration> {
        let bytes = self.shared.published.read().ok()?.layers.young.bytes();
        (bytes > self.layer_bytes / LITTLE).then_some(REST)
    }

    /// All that is in memory is kept, so that the file has it all; what cannot be, the log has.
    fn end(&mut self) {
        let is_over = |shared: &Shared| {
            shared.is_full.load(Ordering::Acquire) || shared.is_poisoned.load(Ordering::Acquire)
        };
        // It may be at a layer still.
        while !is_over(&self.shared) && !self.hand_over() && self.wait_for_keeper() {}
        drop(self.layers.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        self.tidy();
    }

    /// What was kept goes from the log, unless followers need it.
    fn tidy(&mut self) {
        while let Ok(through) = self.kept.try_recv() {
            self.prune(through);
        }
    }

    fn prune(&mut self, through: u64) {
        self.log.prune(through.min(self.shared.history.pruned()));
    }

    /// Waits a little until a layer is kept. Is there a keeper still?
    fn wait_for_keeper(&mut self) -> bool {
        match self.kept.recv_timeout(KEEPER_LOOK) {
            Ok(through) => self.prune(through),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    fn commit_batch(&mut self, batch: Vec<Ask>) {
        let room = self.make_room();
        // A poisoned lock: dropping the asks tells their callers that the outcome is unknown.
        let Ok(before) = self.shared.published.read().map(|published| published.at) else { return };
        let mut plan =
            Plan { before, at: before, entries: ByKey::default(), accepted: Vec::new(), resting: Vec::new() };
        for ask in batch {
            self.decide(&mut plan, ask, &room);
        }
        if plan.accepted.is_empty() {
            return;
        }
        match self.log.append(before, plan.accepted.iter().map(|accepted| &accepted.committed)) {
            Ok(()) => {
                if std::mem::take(&mut self.is_log_full) {
                    self.shared.shown.log_full(false);
                }
                self.publish(plan);
            }
            Err(Failure::Absent(error)) => {
                self.is_log_full = matches!(error, StoreError::Full(_));
                self.shared.shown.log_full(self.is_log_full);
                plan.refuse(|_| error.clone());
            }
            // After this nothing more is written: what a disk that fails says afterwards proves nothing.
            Err(Failure::Unknown(why)) => {
                self.shared.stop(&why);
                plan.refuse(StoreError::Unknown);
            }
        }
    }

    /// Before a batch: may it be written? A layer that has become large is handed to the keeper; one that has become too large waits for it.
    fn make_room(&mut self) -> Result<(), StoreError> {
        loop {
            if self.shared.is_poisoned.load(Ordering::Acquire) {
                return Err(super::closed());
            }
            self.tidy();
            let of_layer = self.shared.published.read().map_err(super::poisoned)?.layers.young.bytes();
            // What is written over and over is one entry in memory, and many in the log.
            let bytes = of_layer.max(self.log.appended());
            if bytes < self.layer_bytes || self.hand_over() || bytes < self.layer_bytes / 4 * 5 {
                return Ok(());
            }
            if self.shared.is_full.load(Ordering::Acquire) {
                return Err(super::full());
            }
            if !self.wait_for_keeper() {
                // If it has said itself why it ended, that stands.
                self.shared.stop(PANICKED);
                return Err(super::closed());
            }
        }
    }

    /// Hands the young layer to the keeper; not while that is at another one. Is the young layer empty now?
    fn hand_over(&mut self) -> bool {
        let Ok(mut published) = self.shared.published.write() else { return true };
        let layers = &mut published.layers;
        if layers.kept.is_some() {
            return false;
        }
        let Some(keeper) = self.layers.as_ref().filter(|_| layers.young.bytes() > 0) else { return true };
        let layer = Arc::new(std::mem::take(&mut layers.young));
        layers.kept = Some(layer.clone());
        drop(published);
        // If it is gone, that says so itself.
        let _ = keeper.send(layer);
        self.log.mark();
        true
    }

    fn decide(&self, plan: &mut Plan, ask: Ask, room: &Result<(), StoreError>) {
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
                Some(left) => left.as_ref().map(|entry| (entry.created, entry.modified)),
                None => self.published_revisions(key)?,
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
        let created = match decided.and(created).and_then(|created| room.clone().map(|()| created)) {
            Ok(created) => created,
            Err(error) => return caller.tell(Err(error)),
        };
        if writes.is_empty() {
            plan.resting_at_present(id, caller);
            return;
        }
        let changes = history::changes_of(&writes);
        for ((key, value), created) in changes.iter().zip(&created) {
            let entry = value.clone().map(|value| Entry::new(key.clone(), value, *created, next.revision));
            plan.entries.insert(key.clone(), entry);
        }
        plan.at = next;
        let committed = Committed { position: next, changes, created };
        plan.accepted.push(Accepted { committed, caller });
    }

    /// When the entry at a key came to be and was last modified, as published: from memory if it is there.
    fn published_revisions(&self, key: &Key) -> Result<Option<(u64, u64)>, StoreError> {
        self.shared.again(|| {
            let table = {
                let published = self.shared.published.read().map_err(super::poisoned)?;
                let known = published.hot.revisions(key).or_else(|| published.layers.revisions(key));
                if let Some(known) = known {
                    return Ok(known);
                }
                // Of this moment: the keeper may have moved it there from memory since the last look.
                published.table.clone()
            };
            tables::revisions(&table, key)
        })
    }

    fn resolve(&self, plan: &mut Plan, id: CommitId, caller: Caller) {
        match plan.position_of(id) {
            Some(position) => plan.resting.push((id, position, caller)),
            // What a commit left unknown here is told by the log only, when it is opened again.
            None if self.shared.is_poisoned.load(Ordering::Acquire) => {
                caller.tell(Err(StoreError::Unknown(id)))
            }
            None => caller.tell(Ok(self.shared.history.resolve(id))),
        }
    }

    /// Shows the batch to readers and followers, then tells its verdicts.
    fn publish(&self, plan: Plan) {
        let Ok(mut published) = self.shared.published.write() else { return };
        let Published { at, layers, hot, .. } = &mut *published;
        *at = plan.at;
        layers.young.at = plan.at;
        for (key, left) in plan.entries {
            // Only what is hot already: a bulk load must not push out what is being read.
            if hot.forget(&key)
                && let Some(entry) = &left
            {
                hot.insert(entry.clone());
            }
            layers.young.insert(key, left);
        }
        let mut told = Vec::with_capacity(plan.accepted.len());
        self.shared.history.all_applied(plan.accepted.into_iter().map(|Accepted { committed, caller }| {
            told.push((caller, Ok(Some(committed.position))));
            (committed.position, committed.changes)
        }));
        drop(published);
        let resting = plan.resting.into_iter().map(|(_, position, caller)| (caller, Ok(Some(position))));
        told::tell_all(told.into_iter().chain(resting));
    }
}

impl Plan {
    fn position_of(&self, id: CommitId) -> Option<Position> {
        let positions = self.accepted.iter().map(|accepted| accepted.committed.position);
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
        let id = |accepted: &Accepted| accepted.committed.position.commit;
        let accepted = self.accepted.into_iter().map(|accepted| (id(&accepted), accepted.caller));
        let resting = self.resting.into_iter().map(|(id, _, caller)| (id, caller));
        told::tell_all(accepted.chain(resting).map(|(id, caller)| (caller, Err(error(id)))));
    }
}

/// Lets go of all who wait, however the writer ends.
struct Abandon<'a>(&'a Queue, Arc<Shared>);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.1.stop(PANICKED);
        }
        self.0.abandon();
    }
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
