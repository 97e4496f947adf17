//! What the operating system may refuse, in our words.

use crate::program::Step;
use std::{io, path::PathBuf};

/// Why the operating system did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No cgroup v2 hierarchy is mounted, or this process has no place in it.
    #[error("there is no cgroup v2 hierarchy here: {0}")]
    NoCgroup2(&'static str),
    /// A step on a cgroup failed.
    #[error("cannot {doing} cgroup {path}")]
    Cgroup {
        /// What was tried.
        doing: &'static str,
        /// On which directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The program cannot be executed: not found, or not executable.
    #[error("cannot execute {program}")]
    Execute {
        /// As it was named.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No private mount namespace for the program; it could be started without one.
    #[error("cannot give the program its own names")]
    Namespace(#[source] io::Error),
    /// A step of a new process before its program runs failed. It is no more.
    #[error("cannot {step}")]
    Prepare {
        /// Which step.
        step: Step,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The process could not be made.
    #[error("cannot start a process")]
    Spawn(#[source] io::Error),
    /// Another process holds the lock.
    #[error("already in use{}", pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// Which one, if it says so.
        pid: Option<u32>,
    },
    /// A file could not be made or written.
    #[error("cannot {doing} {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Any other system call.
    #[error("the system refuses to {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
