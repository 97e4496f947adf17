//! The test clock: a server whose time an administrator can move forward, to see what only time does (`keyless up --test-clock`).
//!
//! Owns: the mark that makes a data directory one for test, by how much the clock is ahead, and that what became due is done. Owns not:
//! who may move it (`wire::admin`, the administrator's socket). Decision: ADR 0011.
//! Invariant: nobody travels in time with real secrets. The mark is written into the store before the root key is made, and only then; a
//! directory without it is refused with the flag, and one with it is refused without.

use crate::{clock::SystemClock, data::Layout, error::StartError, tasks};
use domain::{Clock, Entropy, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{Decision, Halt, Key, Record, Store, put, refuse};
use wire::{
    Services,
    admin::{ClockFault, Settled, Step, clock::Later},
};

/// How long a move waits for what became due. Ours: less than commands wait for an answer.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(30);

/// The mark of a data directory for test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// By how much its clock is ahead of the real one. Kept, so that time does not go back at the next start.
    ahead_seconds: u64,
}

impl Record for Mark {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("test-clock")
    }
}

/// A clock that runs with the system's, ahead of it.
pub(crate) struct TestClock {
    real: SystemClock,
    ahead: AtomicU64,
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
    services: OnceLock<Weak<Services>>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.real.now().plus(Duration::from_secs(self.ahead.load(Ordering::SeqCst)))
    }

    fn ahead(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.ahead.load(Ordering::SeqCst)))
    }
}

impl TestClock {
    /// The test clock of a directory, if one is asked for. `is_new`: there is no root key yet.
    ///
    /// # Errors
    /// [`StartError::NotForTest`], [`StartError::ForTestOnly`]; the store's.
    pub(crate) async fn open(
        is_asked: bool,
        is_new: bool,
        layout: &Layout,
        store: &Arc<dyn Store>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Option<Arc<Self>>, StartError> {
        let mark = store::query(&**store, |view| Ok::<_, Halt<StartError>>(view.get::<Mark>(&())?)).await?;
        let path = || layout.root().to_owned();
        let ahead = match (is_asked, mark) {
            (false, None) => return Ok(None),
            (false, Some(_)) => return Err(StartError::ForTestOnly { path: path() }),
            (true, None) if !is_new => return Err(StartError::NotForTest { path: path() }),
            (true, Some(mark)) => mark.ahead_seconds,
            (true, None) => {
                let mark = Mark { ahead_seconds: 0 };
                store::transact(&**store, &**entropy, |_view| {
                    Ok::<_, Halt<StartError>>(Decision::of(0, vec![put::<Mark>(&(), &mark)]))
                })
                .await?
            }
        };
        Ok(Some(Arc::new(Self {
            real: SystemClock,
            ahead: AtomicU64::new(ahead),
            store: store.clone(),
            entropy: entropy.clone(),
            services: OnceLock::new(),
        })))
    }

    /// Tells what is to be done once it has become due. Once.
    pub(crate) fn serve_with(&self, services: &Arc<Services>) {
        let _only_once = self.services.set(Arc::downgrade(services));
    }

    async fn keep(&self, step: Step) -> Result<(), ClockFault> {
        let real = self.real.now();
        let moved = store::transact(&*self.store, &*self.entropy, |view| {
            let known = view.get::<Mark>(&())?.map_or(0, |mark| mark.ahead_seconds);
            match ahead(known, real, step) {
                Ok(ahead_seconds) => {
                    Ok(Decision::of(ahead_seconds, vec![put::<Mark>(&(), &Mark { ahead_seconds })]))
                }
                Err(fault) => refuse(fault),
            }
        })
        .await?;
        // Of two moves at a time the later one stands, whichever comes here first.
        self.ahead.fetch_max(moved, Ordering::SeqCst);
        Ok(())
    }
}

/// How far ahead the clock is after a step.
fn ahead(known: u64, real: Timestamp, step: Step) -> Result<u64, ClockFault> {
    let moved = match step {
        Step::By(span) => known.saturating_add(span.as_secs()),
        Step::To(time) => u64::try_from(time.seconds_since(real)).map_err(|_| ClockFault::Past)?,
    };
    if moved < known {
        return Err(ClockFault::Past);
    }
    if moved > limits::TEST_CLOCK_AHEAD_MAX.as_secs() {
        return Err(ClockFault::TooFar);
    }
    Ok(moved)
}

impl wire::admin::TestClock for TestClock {
    fn advance(&self, step: Step) -> Later<'_, Result<(), ClockFault>> {
        Box::pin(self.keep(step))
    }

    fn settle(&self) -> Later<'_, Settled> {
        let services = self.services.get().and_then(Weak::upgrade);
        Box::pin(async move {
            let Some(services) = services else { return Settled::default() };
            // A task of its own: whoever asked may hang up, and what was done must be recorded all the same.
            let now = services.clock.now();
            let settled = tokio::spawn(settle(services)).await;
            // Nobody knows what is left, so something is.
            settled.unwrap_or(Settled { done: Vec::new(), next_due: Some(now) })
        })
    }
}

/// Rounds of the due task until nothing is due, or it takes too long, or something cannot be done.
async fn settle(services: Arc<Services>) -> Settled {
    let until = tokio::time::Instant::now() + SETTLE_TIME_MAX;
    let mut settled = Settled::default();
    loop {
        let now = services.clock.now();
        let in_vaults = services.vault.next_due().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what is due in the vaults cannot be read");
            // Nobody knows when, so it is now.
            Some(now)
        });
        settled.next_due = [in_vaults, services.directory.keys_due()].into_iter().flatten().min();
        let is_due = settled.next_due.is_some_and(|due| due <= now);
        if !is_due || tokio::time::Instant::now() > until {
            return settled;
        }
        match tasks::due_once(&services).await {
            Some(done) => settled.done.extend(done),
            None => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_only_and_not_beyond_its_limit() {
        let real = Timestamp::from_seconds(1_000_000);
        let day = Duration::from_secs(86_400);
        let to = |seconds: i64| Step::To(Timestamp::from_seconds(seconds));
        assert_eq!(ahead(0, real, Step::By(day)).unwrap(), 86_400);
        assert_eq!(ahead(86_400, real, Step::By(day)).unwrap(), 172_800);
        assert_eq!(ahead(86_400, real, Step::By(Duration::ZERO)).unwrap(), 86_400);
        assert_eq!(ahead(0, real, to(1_000_060)).unwrap(), 60);
        assert!(matches!(ahead(0, real, to(999_999)), Err(ClockFault::Past)), "before the real time");
        assert!(matches!(ahead(61, real, to(1_000_060)), Err(ClockFault::Past)), "before the clock's time");
        let limit = limits::TEST_CLOCK_AHEAD_MAX;
        assert_eq!(ahead(0, real, Step::By(limit)).unwrap(), limit.as_secs());
        for step in [Step::By(limit + Duration::from_secs(1)), Step::By(Duration::MAX), to(i64::MAX)] {
            assert!(matches!(ahead(0, real, step), Err(ClockFault::TooFar)), "{step:?}");
        }
    }
}
