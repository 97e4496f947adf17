//! The simulated audit log: records by request, and lines to search for what must not be in them.

use crate::faults::Mutation;
use audit::{AuditError, AuditSink, Outcome, Record};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Records of all servers of a world.
pub(crate) struct Books {
    records: Mutex<HashMap<String, Record>>,
    is_full: AtomicBool,
    appended: AtomicU64,
    mutation: Mutation,
}

impl Books {
    pub(crate) fn new(mutation: Mutation) -> Self {
        let (records, appended) = (Mutex::default(), AtomicU64::new(0));
        Self { records, is_full: AtomicBool::new(false), appended, mutation }
    }

    /// From now on the disk is full, or has room again.
    pub(crate) fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    /// The record of a request.
    pub(crate) fn of(&self, request: &str) -> Option<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).get(request).cloned()
    }

    /// All records as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.values().filter_map(|record| serde_json::to_string(record).ok()).collect()
    }

    /// How many records say that something was allowed, and how many not.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = records.values().filter(|record| record.outcome == Outcome::Allowed).count();
        (allowed, records.len() - allowed)
    }
}

impl AuditSink for Books {
    fn append(&self, record: &Record) -> Result<(), AuditError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(AuditError::Io {
                path: PathBuf::from("audit"),
                doing: "append a record",
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        let number = self.appended.fetch_add(1, Ordering::SeqCst);
        if self.mutation != Mutation::DroppedRecords || !number.is_multiple_of(3) {
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            records.insert(record.request.to_string(), record.clone());
        }
        Ok(())
    }

    fn is_failed(&self) -> bool {
        self.is_full.load(Ordering::SeqCst)
    }
}
