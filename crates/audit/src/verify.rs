//! Verify.
use crate::{Anchor, AuditError};
use crypt::Key256;
use std::path::{Path, PathBuf};

/// A log that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records.
    pub records: u64,
    /// Torn lines that a power loss left and that are recorded.
    pub torn: u64,
    /// The last record's place.
    pub last: Option<Anchor>,
}

/// Where and how a log does not hold.
#[derive(Debug, thiserror::Error)]
#[error("{}, line {line}: {kind}", file.display())]
pub struct Fault {
    /// Which file.
    pub file: PathBuf,
    /// Which line, from 1.
    pub line: u64,
    /// How.
    #[source]
    pub kind: FaultKind,
}

/// How a log does not hold.
#[derive(Debug, thiserror::Error)]
pub enum FaultKind {
    /// The line's mac does not fit its text.
    #[error("the line was changed")]
    Changed,
    /// Records before this one are missing.
    #[error("records {from} to {to} were dropped")]
    Dropped {
        /// First missing.
        from: u64,
        /// Last missing.
        to: u64,
    },
    /// This record comes again, or after a later one.
    #[error("record {seq} is out of order")]
    Reordered {
        /// Its number.
        seq: u64,
    },
    /// Not a line of ours.
    #[error("the line is torn or foreign")]
    Torn,
    /// The log ends before, or differs at, a record that is known to have been on disk.
    #[error("the log was cut or replaced: record {anchor} was on disk")]
    TailCut {
        /// The record that is missing or differs.
        anchor: u64,
    },
    /// The files cannot be read.
    #[error("the log cannot be read")]
    Unreadable(#[source] AuditError),
}

/// Verifies the whole log.
/// # Errors
/// The first [`Fault`].
pub fn verify(_dir: &Path, _key: &Key256, _anchor: Option<&Anchor>) -> Result<Verified, Fault> { todo!() }

/// The last `count` lines, oldest first.
/// # Errors
/// Io.
pub fn tail(_dir: &Path, _count: usize) -> Result<Vec<String>, AuditError> { todo!() }
