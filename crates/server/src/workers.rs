//! Long work of a request: the runtime is told, so that its other threads take over what this one would have served.

use domain::Workers;

/// Does the work on this thread while the runtime goes on without it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RuntimeWorkers;

impl Workers for RuntimeWorkers {
    fn run(&self, work: &mut (dyn FnMut() + Send)) {
        tokio::task::block_in_place(work);
    }
}
