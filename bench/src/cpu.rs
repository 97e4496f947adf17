//! Whose CPU, how much: pins processes to a core and reads the processor time that the kernel has counted for one.

use rustix::thread::{CpuSet, sched_setaffinity};
use std::{fs, process::Child, process::Command};

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

/// Nanoseconds of processor time of all threads of a process (`/proc/PID/task/*/schedstat`, first field).
pub(crate) fn nanoseconds(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()))
        .sum()
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
