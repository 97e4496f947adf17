//! Work for the runtime: long work of a request, which it is told of so that its other threads take over what this one would have served,
//! and what goes on beside requests.

use domain::Workers;
use std::{future::Future, pin::Pin};

/// Does the work on this thread while the runtime goes on without it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RuntimeWorkers;

impl Workers for RuntimeWorkers {
    fn run(&self, work: &mut (dyn FnMut() + Send)) {
        tokio::task::block_in_place(work);
    }
}

/// Runs connections to apps beside the requests that they are for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RuntimeTasks;

impl wire::proxy::Tasks for RuntimeTasks {
    fn run(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(tokio::spawn(task));
    }
}
