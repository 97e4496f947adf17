//! What threads in the sandbox cannot do is done for them by threads outside of it: work that needs files of the machine, another network or
//! another process. Each such work is a closure of ours; nothing of it is made out of what a stranger has sent.

use identity::FileHands;
use std::{future::Future, io, sync::mpsc, time::Duration};
use tokio::{
    runtime::{Builder, Handle, Runtime, RuntimeFlavor},
    task::spawn_blocking,
};

/// The runtime whose threads are outside; without, whatever runtime asks: nothing is sandboxed then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hands(Option<Handle>);

/// The threads that do such work. Of their own, as those of the host start programs and wait for them.
pub(crate) struct Outside {
    runtime: Option<Runtime>,
    hands: Hands,
}

/// For how long a thread that may wait stays with nothing to do.
const IDLE_TIME_MAX: Duration = Duration::from_secs(9);

impl Outside {
    /// Made by a thread that is not in the sandbox, as all of these then are not.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn build() -> io::Result<Self> {
        // It only hands work on, to threads that may wait.
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("keyless-hands").thread_keep_alive(IDLE_TIME_MAX).enable_time();
        let runtime = builder.build()?;
        let hands = Hands::of(runtime.handle().clone());
        hands.wait(|| ()).ok_or(io::ErrorKind::WouldBlock)?;
        // One of them is always there: where the system gives no more threads, it does all.
        runtime.spawn(async {
            loop {
                tokio::time::sleep(IDLE_TIME_MAX / 3).await;
                let _done = spawn_blocking(|| ()).await;
            }
        });
        Ok(Self { runtime: Some(runtime), hands })
    }

    pub(crate) fn hands(&self) -> Hands {
        self.hands.clone()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // By whoever drops this, also within another runtime, whose threads may not wait.
            runtime.shutdown_background();
        }
    }
}

impl Hands {
    /// By the threads of a runtime, which must have been made by one outside.
    pub(crate) const fn of(runtime: Handle) -> Self {
        Self(Some(runtime))
    }

    /// Does work that may block, and answers what came of it.
    ///
    /// # Errors
    /// The runtime has ended, or the work panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let runtime = self.0.clone().unwrap_or_else(Handle::current);
        // Not by `spawn_blocking` of its handle: that may make the thread here and now, which would be in the sandbox as this one is.
        let done = runtime.spawn(async { spawn_blocking(work).await });
        done.await.and_then(|done| done).map_err(io::Error::other)
    }

    /// Has a task done, and answers what came of it. The task is given up when who asked for it is.
    ///
    /// # Errors
    /// The runtime has ended, or the task panicked.
    pub(crate) async fn perform<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        let runtime = self.0.clone().unwrap_or_else(Handle::current);
        let mut task = GivenUp(runtime.spawn(task));
        (&mut task.0).await.map_err(io::Error::other)
    }

    /// The same for who cannot await. Nothing if there is nobody to do it; blocks as long as it takes.
    pub(crate) fn wait<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let Some(runtime) = &self.0 else { return Some(work()) };
        let (told, done) = mpsc::sync_channel(1);
        self.begin(runtime, move || drop(told.send(work())));
        // Others are answered meanwhile, by a thread that takes this one's place.
        aside(|| done.recv().ok())
    }

    /// Has work done by somebody, some time.
    pub(crate) fn hand_over(&self, work: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(runtime) => self.begin(runtime, work),
            None => work(),
        }
    }

    fn begin(&self, runtime: &Handle, work: impl FnOnce() + Send + 'static) {
        drop(runtime.spawn(async { drop(spawn_blocking(work)) }));
    }
}

/// Does work that may block, here and now, while other tasks go on with another thread.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// A task that ends when this is dropped.
struct GivenUp<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for GivenUp<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl FileHands for Hands {
    fn work(&self, work: Box<dyn FnOnce() -> io::Result<()> + Send>) -> io::Result<()> {
        if !kernel::sandbox::is_confined() {
            return work();
        }
        self.wait(work).unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guarded::Guarded;
    use kernel::sandbox::is_confined;

    /// Threads are made when they are needed: those that work for the sandbox must not be made by a thread that is in it. Each way is tried with
    /// a runtime that has no such thread yet.
    #[test]
    fn what_is_asked_for_in_the_sandbox_is_done_outside() {
        let folder = std::env::temp_dir().join(format!("keyless-hands-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let inside = Guarded::build(&folder, None).unwrap();
        let is_guarded = inside.verdict().is_enforced();
        for way in ["run", "perform", "wait", "hand over"] {
            let outside = crate::runtime().unwrap();
            let hands = Hands::of(outside.handle().clone());
            let asked = inside.handle().spawn(async move {
                let here = is_confined();
                let there = match way {
                    "run" => hands.run(is_confined).await.unwrap(),
                    "perform" => hands.perform(async { is_confined() }).await.unwrap(),
                    "wait" => hands.wait(is_confined).unwrap(),
                    _ => {
                        let (told, done) = mpsc::channel();
                        hands.hand_over(move || told.send(is_confined()).unwrap());
                        done.recv().unwrap()
                    }
                };
                (here, there)
            });
            assert_eq!(outside.block_on(asked).unwrap(), (is_guarded, false), "{way}");
        }
        drop(inside);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// Whoever hangs up while a package arrives has deployed nothing.
    #[test]
    fn a_task_is_given_up_with_who_asked_for_it() {
        struct Told(mpsc::Sender<()>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (outside, inside) = (crate::runtime().unwrap(), crate::runtime().unwrap());
        let hands = Hands::of(outside.handle().clone());
        let (told, over) = mpsc::channel();
        let asked = inside.spawn(async move {
            let told = Told(told);
            hands
                .perform(async move {
                    let _told = told;
                    std::future::pending::<()>().await;
                })
                .await
        });
        assert!(over.recv_timeout(Duration::from_millis(50)).is_err());
        asked.abort();
        over.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn threads_that_the_runtime_makes_later_are_in_the_sandbox_too() {
        let folder = std::env::temp_dir().join(format!("keyless-later-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let inside = Guarded::build(&folder, None).unwrap();
        let asked = inside.handle().spawn(async {
            let blocking = spawn_blocking(is_confined).await.unwrap();
            // Another thread goes on in the place of this one meanwhile.
            let beside = tokio::task::block_in_place(|| {
                Handle::current().block_on(tokio::spawn(async { is_confined() })).unwrap()
            });
            [blocking, beside]
        });
        let from_outside = inside.handle().spawn_blocking(is_confined);
        let outside = crate::runtime().unwrap();
        let is_guarded = inside.verdict().is_enforced();
        assert_eq!(outside.block_on(asked).unwrap(), [is_guarded; 2]);
        assert_eq!(outside.block_on(from_outside).unwrap(), is_guarded);
        drop(inside);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
