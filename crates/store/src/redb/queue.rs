//! What waits for the writer, handed over batch by batch: a batch wakes the writer when it is whole, not once for each commit of it.

use super::writer::{Ask, size};
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Commits that may wait for the writer before further ones are told that the store is unavailable.
const WAITING_MAX: usize = 4_096;
/// Commits of one durable transaction.
pub(super) const BATCH_COMMITS_MAX: usize = 64;
/// Bytes of keys and values of one durable transaction, over which no further commit joins.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// A batch waits for as many commits as the one before it had: those callers are just being answered, and without this every second
/// transaction would carry only the fastest of them. It waits no longer than this after the last one that came ...
const QUIET_TIME_MAX: Duration = Duration::from_millis(1);
/// ... and no longer than this in all. A lone committer waits never.
const GATHER_TIME_MAX: Duration = Duration::from_millis(5);

/// Why an ask was not taken.
pub(super) enum Refused {
    /// Too many wait.
    Full,
    /// There is no writer any more.
    Closed,
}

/// Asks in the order in which they came.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Ask>,
    /// How many make the writer wake; nothing while it does not wait.
    wanted: Option<usize>,
    last_came: Option<Instant>,
    is_closed: bool,
}

impl Queue {
    /// Hands an ask to the writer.
    pub(super) fn put(&self, ask: Ask) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() >= WAITING_MAX {
            return Err(Refused::Full);
        }
        state.waiting.push_back(ask);
        state.last_came = Some(Instant::now());
        if state.wanted.is_some_and(|wanted| state.waiting.len() >= wanted) {
            state.wanted = None;
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Takes nothing more. What waits already is still handed over.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Takes nothing more, and drops what waits: its callers learn that its outcome is unknown.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.waiting.clear();
    }

    /// The next batch; `None` once there will be none. Waits a little for as many as are expected. It is empty if none has come for as long
    /// as `rest`.
    pub(super) fn next(&self, expected: usize, rest: Option<Duration>) -> Option<Vec<Ask>> {
        let mut state = self.lock();
        let since = Instant::now();
        while state.waiting.is_empty() {
            if state.is_closed {
                return None;
            }
            state.wanted = Some(1);
            let Some(rest) = rest else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = rest.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Some(Vec::new());
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        let (begin, wanted) = (Instant::now(), expected.min(BATCH_COMMITS_MAX));
        while state.waiting.len() < wanted && !state.is_closed {
            let quiet = state.last_came.map_or(Duration::MAX, |came| came.elapsed());
            let left =
                QUIET_TIME_MAX.saturating_sub(quiet).min(GATHER_TIME_MAX.saturating_sub(begin.elapsed()));
            if left.is_zero() {
                break;
            }
            state.wanted = Some(wanted);
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        state.wanted = None;
        let mut bytes = 0;
        let mut batch = Vec::with_capacity(state.waiting.len().min(BATCH_COMMITS_MAX));
        while let Some(ask) = state.waiting.pop_front() {
            bytes += size(&ask);
            batch.push(ask);
            if batch.len() >= BATCH_COMMITS_MAX || bytes >= BATCH_BYTES_MAX {
                break;
            }
        }
        Some(batch)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves a queue that is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contract::CommitId, redb::told::Caller};
    use std::{
        pin::Pin,
        sync::Arc,
        task::{Context, Poll, Waker},
        thread,
    };

    fn ask(number: u128) -> Ask {
        Ask::Resolve { id: CommitId(number), caller: Caller::new().0 }
    }

    #[test]
    fn a_lone_ask_waits_for_nobody_and_many_come_together() {
        let queue = Queue::default();
        assert!(queue.put(ask(1)).is_ok());
        assert_eq!(queue.next(1, None).map(|batch| batch.len()), Some(1));
        (0..100).for_each(|number| assert!(queue.put(ask(number)).is_ok()));
        assert_eq!(queue.next(1, None).map(|batch| batch.len()), Some(BATCH_COMMITS_MAX));
        // Fewer than expected: it gives up waiting.
        assert_eq!(queue.next(64, None).map(|batch| batch.len()), Some(100 - BATCH_COMMITS_MAX));
    }

    #[test]
    fn a_batch_waits_for_those_who_are_about_to_come() {
        let queue = Arc::new(Queue::default());
        assert!(queue.put(ask(0)).is_ok());
        let others = queue.clone();
        let taken = thread::spawn(move || others.next(BATCH_COMMITS_MAX, None).map(|batch| batch.len()));
        (1..BATCH_COMMITS_MAX).for_each(|number| assert!(queue.put(ask(number as u128)).is_ok()));
        let first = taken.join().unwrap().unwrap();
        // However slow this machine is: none is lost and none comes twice.
        let rest =
            if first < BATCH_COMMITS_MAX { queue.next(1, None).map_or(0, |batch| batch.len()) } else { 0 };
        assert_eq!(first + rest, BATCH_COMMITS_MAX);
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_takes_nothing() {
        let queue = Queue::default();
        assert!(queue.put(ask(1)).is_ok());
        queue.close();
        assert!(matches!(queue.put(ask(2)), Err(Refused::Closed)));
        assert_eq!(queue.next(64, None).map(|batch| batch.len()), Some(1));
        assert!(queue.next(1, None).is_none());
    }

    #[test]
    fn what_is_abandoned_is_told_to_be_unknown() {
        let queue = Queue::default();
        let (caller, mut answer) = Caller::new();
        assert!(queue.put(Ask::Resolve { id: CommitId(1), caller }).is_ok());
        queue.abandon();
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(&mut answer).poll(&mut context), Poll::Ready(None)));
        assert!(matches!(queue.put(ask(2)), Err(Refused::Closed)));
    }

    #[test]
    fn who_may_rest_is_woken_by_what_comes_and_else_after_a_while() {
        let queue = Arc::new(Queue::default());
        let rest = Duration::from_millis(20);
        assert_eq!(queue.next(1, Some(rest)).map(|batch| batch.len()), Some(0));
        let putting = queue.clone();
        let later = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            assert!(putting.put(ask(1)).is_ok());
        });
        assert_eq!(queue.next(1, Some(Duration::from_secs(600))).map(|batch| batch.len()), Some(1));
        later.join().unwrap();
        queue.close();
        assert!(queue.next(1, Some(rest)).is_none());
    }

    #[test]
    fn too_many_are_refused() {
        let queue = Queue::default();
        (0..WAITING_MAX).for_each(|number| assert!(queue.put(ask(number as u128)).is_ok()));
        assert!(matches!(queue.put(ask(0)), Err(Refused::Full)));
    }
}
