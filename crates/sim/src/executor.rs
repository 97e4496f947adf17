//! Polls tasks one at a time in an order drawn from the seed. There are no threads, no timers and no waiting: a task that cannot go on
//! takes a [`turn`].

use crate::fate::Fate;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Polls of one run: more means that somebody waits for what never comes.
const POLLS_MAX: u64 = 2_000_000;

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    is_ready: Arc<Ready>,
}

struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Tasks of one phase of a run.
#[derive(Default)]
pub(crate) struct Executor(Vec<Task>);

impl Executor {
    pub(crate) fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        let is_ready = Arc::new(Ready(AtomicBool::new(true)));
        self.0.push(Task { future: Box::pin(future), is_ready });
    }

    /// Polls until all are done. After each poll `look` judges the world.
    ///
    /// # Errors
    /// What `look` found, or that nobody can go on.
    pub(crate) fn run(
        mut self,
        fate: &Fate,
        mut look: impl FnMut() -> Result<(), String>,
    ) -> Result<u64, String> {
        for polls in 0..POLLS_MAX {
            let ready: Vec<usize> = (0..self.0.len()).filter(|index| self.is_ready(*index)).collect();
            if self.0.is_empty() {
                return Ok(polls);
            }
            let Some(index) = fate.pick(&ready).copied() else {
                return Err(format!("{} tasks wait for what never comes", self.0.len()));
            };
            let Some(task) = self.0.get_mut(index) else { continue };
            task.is_ready.0.store(false, Ordering::SeqCst);
            let waker = Waker::from(task.is_ready.clone());
            let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                drop(self.0.swap_remove(index));
            }
            look()?;
        }
        Err(format!("no end after {POLLS_MAX} polls"))
    }

    fn is_ready(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|task| task.is_ready.0.load(Ordering::SeqCst))
    }
}

/// Lets others go first.
pub(crate) async fn turn() {
    let mut has_waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets others go first, up to `most` times.
pub(crate) async fn turns(fate: &Fate, most: u64) {
    for _ in 0..fate.roll(most + 1) {
        turn().await;
    }
}
