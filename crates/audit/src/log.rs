//! The log.
use crate::{AuditError, AuditSink, Record};
use crypt::Key256;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// When a record is synced to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncPolicy {
    /// In groups: `server` calls [`AuditLog::sync`] at the latest each second.
    #[default]
    EverySecond,
    /// Before `append` returns; callers at the same time share one sync.
    EachRecord,
}

/// A place in the chain that is known to be on disk: a log that ends before it was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Sequence number of the record.
    pub seq: u64,
    /// Its mac.
    pub mac: [u8; 32],
}

/// The log's files, open for appending.
#[derive(Debug)]
pub struct AuditLog(());

impl AuditLog {
    /// Opens or begins the log in a folder.
    /// # Errors
    /// Io, Broken.
    pub fn open(_dir: &Path, _key: &Key256, _sync: SyncPolicy, _anchor: Option<Anchor>) -> Result<Self, AuditError> { todo!() }
    /// Syncs what was appended, if anything; returns the last synced record's place (none in an empty log).
    /// # Errors
    /// Io.
    pub fn sync(&self) -> Result<Option<Anchor>, AuditError> { todo!() }
}

impl AuditSink for AuditLog {
    fn append(&self, _record: &Record) -> Result<(), AuditError> { todo!() }
    fn is_failed(&self) -> bool { todo!() }
}
