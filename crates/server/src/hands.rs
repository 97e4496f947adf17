//! What threads in the sandbox cannot do is done for them by threads outside of it: work that needs files of the machine, another network or
//! another process. Each such work is a closure of ours; nothing of it is made out of what a stranger has sent.

use std::{io, sync::mpsc};
use tokio::{runtime::Handle, task::spawn_blocking};

/// The runtime whose threads are outside; without, whatever runtime asks: nothing is sandboxed then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hands(Option<Handle>);

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

    /// The same for who cannot await. Nothing if there is nobody to do it; blocks as long as it takes.
    pub(crate) fn wait<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let Some(runtime) = &self.0 else { return Some(work()) };
        let (told, done) = mpsc::sync_channel(1);
        self.begin(runtime, move || drop(told.send(work())));
        done.recv().ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guarded::Guarded;

    /// Threads are made when they are needed: those that work for the sandbox must not be made by a thread that is in it.
    #[test]
    fn what_is_asked_for_in_the_sandbox_is_done_outside() {
        let outside = crate::runtime().unwrap();
        let folder = std::env::temp_dir().join(format!("keyless-hands-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let inside = Guarded::build(&folder, None).unwrap();
        let hands = Hands::of(outside.handle().clone());
        let is_guarded = inside.verdict().is_enforced();
        let asked = inside.handle().spawn(async move {
            let here = kernel::sandbox::is_confined();
            let (told, handed_over) = mpsc::channel();
            hands.hand_over(move || told.send(kernel::sandbox::is_confined()).unwrap());
            let there = [
                hands.run(kernel::sandbox::is_confined).await.unwrap(),
                hands.wait(kernel::sandbox::is_confined).unwrap(),
                handed_over.recv().unwrap(),
            ];
            let blocking = spawn_blocking(kernel::sandbox::is_confined).await.unwrap();
            // It goes on with another thread meanwhile.
            let beside = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current()
                    .block_on(tokio::spawn(async { kernel::sandbox::is_confined() }))
            });
            (here, blocking, beside.unwrap(), there)
        });
        let (here, blocking, beside, there) = outside.block_on(asked).unwrap();
        assert_eq!([here, blocking, beside], [is_guarded; 3]);
        assert_eq!(there, [false; 3]);
        drop(inside);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
