//! How long is waited for the peer of one connection: one alarm of the runtime for all of its times, one after the other.
//!
//! Each request has two times, one for its head and one for its answer, and almost none of them runs out. An alarm of its own for each is
//! set and taken back among those of all other connections, which is dearer than the requests' own waiting; here it goes on, and is
//! looked at when it goes off.

use hyper::rt::{Sleep, Timer};
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::task::unconstrained;

/// The alarm of one connection: nothing until somebody has to wait. Its deadlines are waited for by one task.
#[derive(Clone, Debug, Default)]
pub struct Patience(Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>);

impl Patience {
    /// What a future comes to, or nothing if that takes longer.
    pub async fn within<F: Future>(&self, time_max: Duration, future: F) -> Option<F::Output> {
        let (mut future, deadline) = (pin!(future), self.now() + time_max);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll_until(deadline, context).map(|()| None),
        })
        .await
    }

    fn poll_until(&self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let deadline = tokio::time::Instant::from(deadline);
        let mut alarm = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // It is set for an earlier deadline that is over, or for this one; one that is nearer is rare.
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        loop {
            // Whoever does much at a time has a deadline, too.
            ready!(pin!(unconstrained(alarm.as_mut())).poll(context));
            if alarm.deadline() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
    }
}

/// Ends at a deadline.
struct Until(Patience, Instant);

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_until(self.1, context)
    }
}

impl Sleep for Until {}

/// For the head of each request.
impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until(self.clone(), deadline))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_kept_whatever_was_waited_for_before() {
        let patience = Patience::default();
        let began = patience.now();
        assert_eq!(patience.within(20 * SECOND, async { 7 }).await, Some(7));
        // Each is over long before its alarm would go off.
        for _ in 0..10 {
            assert!(patience.within(20 * SECOND, tokio::time::sleep(5 * SECOND)).await.is_some());
        }
        assert_eq!(patience.now() - began, 50 * SECOND);
        for time_max in [30, 3, 60] {
            // For longer, at first.
            assert!(patience.within(90 * SECOND, tokio::time::sleep(SECOND)).await.is_some());
            let began = patience.now();
            assert!(patience.within(time_max * SECOND, pending::<()>()).await.is_none());
            assert_eq!(patience.now() - began, time_max * SECOND, "neither early nor late");
        }
        let began = patience.now();
        patience.sleep(4 * SECOND).await;
        assert_eq!(patience.now() - began, 4 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_always_busy_has_a_deadline_too() {
        let busy = async {
            tokio::time::advance(2 * SECOND).await;
            loop {
                tokio::task::consume_budget().await;
            }
        };
        assert!(Patience::default().within(SECOND, busy).await.is_none());
    }
}
