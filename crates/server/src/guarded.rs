//! The threads that read what strangers send (TLS, HTTP, JSON, tokens): a runtime of their own, in the kernel's sandbox (ADR 0026).
//!
//! Whatever they need opened, started or looked at elsewhere, [`crate::hands::Hands`] do. All else of the server runs on the runtime that
//! started it: the administrator's socket, hosted apps, what is done at its time.

use kernel::{Hierarchy, Sandbox, SandboxFiles, Verdict};
use std::{io, path::Path, sync::Arc};
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that answer requests, at most. Ours: more cost memory, and four saturate a gigabit.
const WORKERS_MAX: usize = 4;

/// The runtime. Its tasks end when this is dropped.
pub(crate) struct Guarded {
    handle: Handle,
    runtime: Option<Runtime>,
    verdict: Verdict,
}

impl Guarded {
    /// Makes its threads. They write the audit log, and read which cgroups there are; the store is open.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn build(audit: &Path, hierarchy: Option<&Hierarchy>) -> io::Result<Self> {
        let files = SandboxFiles {
            written: vec![audit.to_owned()],
            read: hierarchy.map(|hierarchy| hierarchy.mount.clone()).into_iter().collect(),
        };
        let sandbox = Sandbox::prepare(&files);
        let verdict = Sandbox::verdict(&sandbox);
        if let Verdict::Unenforced { why, mend } = &verdict {
            tracing::warn!(
                why,
                mend,
                "UNENFORCED: the threads that read requests have no whole sandbox here"
            );
        }
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).thread_name("requests").enable_io().enable_time();
        if let Ok(sandbox) = sandbox {
            let sandbox = Arc::new(sandbox);
            builder.on_thread_start(move || enter(&sandbox));
        }
        let runtime = builder.build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime), verdict })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Are its threads in the sandbox?
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // By whoever drops this, also within another runtime, whose threads may not wait.
            runtime.shutdown_background();
        }
    }
}

/// It has been tried: a thread that cannot enter now is out of memory, and must not serve as it is.
fn enter(sandbox: &Sandbox) {
    if let Err(error) = sandbox.enter() {
        tracing::error!(%error, "a thread cannot enter the sandbox: the server ends");
        std::process::abort();
    }
}
