//! Records of requests that are answered at the same time, written by one `write(2)`: it costs as much for eighty lines as for one.
//!
//! Whoever comes first lets the others who are ready on its thread come before it goes on, and then writes all that have. With nobody else
//! there that is at once: who seems to be alone does not even look. An answer waits for its own record, as ever: nobody is told of success before the kernel has the line.

use crate::{AuditError, AuditSink, Record};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker, ready},
};

/// Writes a record, together with those of others if there are any. Returns once it has been handed to the kernel.
///
/// # Errors
/// As of [`AuditSink::append`].
pub async fn append_together(sink: &dyn AuditSink, record: &Record) -> Result<(), AuditError> {
    Together { sink, record, place: None }.await
}

/// What joining comes to.
#[derive(Debug)]
pub enum Joined {
    /// It is written, or is not.
    Appended(Result<(), AuditError>),
    /// It is among those that will be written.
    Waits(Place),
}

/// Those whose lines wait.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// How many of the lines, from the first on, are written.
    whole: OnceLock<usize>,
    wakers: Mutex<Vec<Waker>>,
}

/// One of them.
#[derive(Debug)]
pub struct Place {
    batch: Arc<Batch>,
    number: usize,
}

impl Batch {
    /// Tells all that wait how many of them are written.
    pub(crate) fn tell(&self, whole: usize) {
        // Said once: a batch is written once.
        let _once = self.whole.set(whole);
        let wakers = std::mem::take(&mut *self.wakers());
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_of_one(&self) -> bool {
        self.wakers().len() == 1
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The next place in a batch; the first in one that is new. Who has that goes on by itself, and is not woken.
    pub(crate) fn take(waiting: &mut Option<Arc<Batch>>, waker: &Waker) -> Self {
        let batch = waiting.get_or_insert_default().clone();
        let number = {
            let mut wakers = batch.wakers();
            let waker = if wakers.is_empty() { Waker::noop() } else { waker };
            wakers.push(waker.clone());
            wakers.len() - 1
        };
        Self { batch, number }
    }

    const fn is_first(&self) -> bool {
        self.number == 0
    }

    /// Is it written? Who is not told yet will be woken.
    fn poll(&self, waker: &Waker) -> Poll<bool> {
        let mut wakers = self.batch.wakers();
        match (self.batch.whole.get(), wakers.get_mut(self.number)) {
            (Some(whole), _) => Poll::Ready(self.number < *whole),
            (None, waiting) => {
                if let Some(waiting) = waiting.filter(|waiting| !waiting.will_wake(waker)) {
                    waiting.clone_from(waker);
                }
                Poll::Pending
            }
        }
    }
}

/// See [`append_together`].
struct Together<'a> {
    sink: &'a dyn AuditSink,
    record: &'a Record,
    place: Option<Place>,
}

impl Future for Together<'_> {
    type Output = Result<(), AuditError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(place) = &self.place else {
            return match self.sink.join(self.record, context.waker()) {
                Joined::Appended(outcome) => Poll::Ready(outcome),
                Joined::Waits(place) => {
                    if place.is_first() {
                        // Behind all that is ready now.
                        context.waker().wake_by_ref();
                    }
                    self.place = Some(place);
                    Poll::Pending
                }
            };
        };
        if place.is_first() {
            self.sink.write_joined();
        }
        let is_written = ready!(place.poll(context.waker()));
        self.place = None;
        // What was in the way may be gone; if not, this one hears of it.
        Poll::Ready(if is_written { Ok(()) } else { self.sink.append(self.record) })
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        // Given up by its own request: the others still wait for who came first.
        if self.place.as_ref().is_some_and(Place::is_first) {
            self.sink.write_joined();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuditLog, SyncPolicy, files, record::tests::record, testing::TempDir, verify};
    use crypt::{Key256, SystemEntropy};
    use std::{
        fs,
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Case {
        dir: TempDir,
        key: Key256,
        log: AuditLog,
        woken: Arc<Woken>,
    }

    impl Case {
        fn new() -> Self {
            let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
            let log = AuditLog::open(dir.path(), &key, SyncPolicy::EverySecond, None).unwrap();
            Self { dir, key, log, woken: Arc::new(Woken(AtomicUsize::new(0))) }
        }

        fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
            future.poll(&mut Context::from_waker(&Waker::from(self.woken.clone())))
        }

        fn woken(&self) -> usize {
            self.woken.0.swap(0, Ordering::SeqCst)
        }

        fn bytes(&self) -> u64 {
            fs::metadata(files::active(self.dir.path())).unwrap().len()
        }

        fn verified(&self) -> u64 {
            verify(self.dir.path(), &self.key, None, None).unwrap().records
        }
    }

    #[test]
    fn who_comes_first_writes_for_all_and_nobody_is_told_before() {
        let (case, record) = (Case::new(), record("secret.get"));
        let [mut first, mut second, mut third] =
            std::array::from_fn(|_| Box::pin(append_together(&case.log, &record)));
        assert!(case.poll(first.as_mut()).is_pending());
        assert_eq!(case.woken(), 1, "it goes on by itself");
        for other in [&mut second, &mut third] {
            assert!(case.poll(other.as_mut()).is_pending());
            assert!(case.poll(other.as_mut()).is_pending(), "however often it looks");
        }
        assert_eq!((case.woken(), case.bytes()), (0, 0), "nothing is written yet");
        assert!(matches!(case.poll(first.as_mut()), Poll::Ready(Ok(()))));
        assert_eq!((case.woken(), case.verified()), (2, 3), "the others are told");
        for other in [&mut second, &mut third] {
            assert!(matches!(case.poll(other.as_mut()), Poll::Ready(Ok(()))));
        }
        assert_eq!(case.verified(), 3);
    }

    #[test]
    fn a_record_that_cannot_wait_takes_the_others_with_it() {
        let (case, record) = (Case::new(), record("secret.get"));
        let mut first = pin!(append_together(&case.log, &record));
        assert!(case.poll(first.as_mut()).is_pending());
        case.log.append(&record).unwrap();
        assert_eq!(case.verified(), 2);
        assert!(matches!(case.poll(first.as_mut()), Poll::Ready(Ok(()))));
        assert_eq!(case.verified(), 2);
    }

    #[test]
    fn who_is_alone_waits_for_nobody_until_there_are_others() {
        let (case, record) = (Case::new(), record("secret.get"));
        let mut waited = 0;
        for _ in 0..80 {
            let mut alone = pin!(append_together(&case.log, &record));
            if case.poll(alone.as_mut()).is_pending() {
                waited += 1;
                assert!(matches!(case.poll(alone.as_mut()), Poll::Ready(Ok(()))));
            }
        }
        assert_eq!((waited, case.verified()), (10, 80), "each eighth looks for others");
        let mut first = pin!(append_together(&case.log, &record));
        let mut second = pin!(append_together(&case.log, &record));
        // Again the one that looks: now somebody comes.
        assert!(case.poll(first.as_mut()).is_pending() && case.poll(second.as_mut()).is_pending());
        assert!(case.poll(first.as_mut()).is_ready() && case.poll(second.as_mut()).is_ready());
        for _ in 0..20 {
            let [mut one, mut other] = std::array::from_fn(|_| Box::pin(append_together(&case.log, &record)));
            assert!(case.poll(one.as_mut()).is_pending() && case.poll(other.as_mut()).is_pending());
            assert!(case.poll(one.as_mut()).is_ready() && case.poll(other.as_mut()).is_ready());
        }
    }

    #[test]
    fn who_is_given_up_leaves_nobody_waiting() {
        let (case, record) = (Case::new(), record("secret.get"));
        let mut first = Box::pin(append_together(&case.log, &record));
        let mut second = pin!(append_together(&case.log, &record));
        assert!(case.poll(first.as_mut()).is_pending() && case.poll(second.as_mut()).is_pending());
        case.woken();
        drop(first);
        assert_eq!((case.woken(), case.verified()), (1, 2));
        assert!(matches!(case.poll(second.as_mut()), Poll::Ready(Ok(()))));
    }

    #[test]
    fn many_are_written_before_they_are_too_many() {
        let (case, record) = (Case::new(), record("secret.get"));
        let mut all: Vec<_> = (0..1_000).map(|_| Box::pin(append_together(&case.log, &record))).collect();
        for one in &mut all {
            assert!(case.poll(one.as_mut()).is_pending());
        }
        assert!(case.verified() > 800, "in portions");
        for one in &mut all {
            assert!(matches!(case.poll(one.as_mut()), Poll::Ready(Ok(()))));
        }
        assert_eq!(case.verified(), 1_000);
    }

    #[test]
    fn on_a_full_disk_all_hear_of_it_until_there_is_room() {
        let (case, record) = (Case::new(), record("secret.get"));
        let path = files::active(case.dir.path());
        let full = TempDir::new();
        std::os::unix::fs::symlink("/dev/full", files::active(full.path())).unwrap();
        let log = AuditLog::open(full.path(), &case.key, SyncPolicy::EverySecond, None).unwrap();
        let [mut first, mut second] = std::array::from_fn(|_| Box::pin(append_together(&log, &record)));
        assert!(case.poll(first.as_mut()).is_pending() && case.poll(second.as_mut()).is_pending());
        assert!(matches!(case.poll(first.as_mut()), Poll::Ready(Err(AuditError::Io { .. }))));
        assert!(log.is_failed());
        assert!(matches!(case.poll(second.as_mut()), Poll::Ready(Err(AuditError::Io { .. }))));
        let mut alone = pin!(append_together(&log, &record));
        assert!(matches!(case.poll(alone.as_mut()), Poll::Ready(Err(_))), "at once, as nobody can be served");

        // Its file goes while one waits: nobody knows what would be in front of its line.
        let mut waits = pin!(append_together(&case.log, &record));
        case.log.append(&record).unwrap();
        assert!(case.poll(waits.as_mut()).is_pending());
        fs::remove_file(&path).unwrap();
        assert!(matches!(case.log.sync(), Err(AuditError::Gone { .. })));
        assert!(matches!(case.poll(waits.as_mut()), Poll::Ready(Ok(()))), "written to the next file");
        assert!(fs::read_to_string(&path).unwrap().contains(r#"{"seq":2,"#));
    }
}
