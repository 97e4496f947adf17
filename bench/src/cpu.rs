//! Whose CPU, how much: pins processes to a core and reads the processor time that the kernel has counted for one.

use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    process::{Child, Command},
};

/// The core of the server under measurement.
pub(crate) const SERVER_CORE: usize = 0;
/// The core of the load generator. On a machine with one core both share it, which the report says.
pub(crate) const LOAD_CORE: usize = 1;

/// Pins the calling thread, and what it starts from now on, to a core.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // A refusal (a container with fewer cores) only makes the figures noisier.
    let _ = sched_setaffinity(None, &set);
}

/// Starts a command on the server's core. Affinity is inherited, so no thread of it ever runs elsewhere.
pub(crate) fn spawn_on_server_core(command: &mut Command) -> std::io::Result<Child> {
    pin(SERVER_CORE);
    let child = command.spawn();
    pin(LOAD_CORE);
    child
}

/// The processor time of a process from a moment on, by thread: a sum of all that are there would lose the whole life of each that ends. What
/// such a one did since that moment is not seen; it has mostly waited.
pub(crate) struct Cpu {
    pid: u32,
    before: HashMap<OsString, u64>,
}

impl Cpu {
    pub(crate) fn begin(pid: u32) -> Self {
        Self { pid, before: threads(pid).collect() }
    }

    pub(crate) fn nanoseconds(&self) -> u64 {
        let since =
            |(id, now): (OsString, u64)| now.saturating_sub(self.before.get(&id).copied().unwrap_or(0));
        threads(self.pid).map(since).sum()
    }
}

/// Nanoseconds of processor time that the calling thread has had. The files of `/proc` know of a thread that has not slept since only as of the
/// last tick, which is milliseconds.
pub(crate) fn own_nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds of each thread of a process (`/proc/PID/task/*/schedstat`, first field).
fn threads(pid: u32) -> impl Iterator<Item = (OsString, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((task.file_name(), text.split_whitespace().next()?.parse().ok()?))
    })
}

/// Resident memory of a process in KiB (`VmRSS`).
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|field| field.parse().ok())
        .unwrap_or(0)
}
