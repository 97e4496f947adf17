//! A sink in memory, for tests and `sim`: keeps every record, and fails when told to.

use crate::{AuditError, AuditSink, Record};
use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Records in memory.
#[derive(Debug, Default)]
pub struct MemoryAudit {
    records: Mutex<Vec<Record>>,
    is_broken: AtomicBool,
    is_failed: AtomicBool,
}

impl MemoryAudit {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All records so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All records so far as the JSON lines that a file would hold, without the chain.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.records().iter().filter_map(|record| serde_json::to_string(record).ok()).collect()
    }

    /// From now on every append fails (`true`), or works again (`false`): a full disk.
    pub fn set_failed(&self, is_failed: bool) {
        self.is_broken.store(is_failed, Ordering::SeqCst);
    }
}

impl AuditSink for MemoryAudit {
    fn append(&self, record: &Record) -> Result<(), AuditError> {
        let is_broken = self.is_broken.load(Ordering::SeqCst);
        self.is_failed.store(is_broken, Ordering::SeqCst);
        if is_broken {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(AuditError::Io { path: PathBuf::from("memory"), doing: "append a record", source });
        }
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        Ok(())
    }

    fn is_failed(&self) -> bool {
        self.is_failed.load(Ordering::SeqCst)
    }
}
