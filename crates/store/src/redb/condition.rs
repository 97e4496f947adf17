//! Does the store write? Shown to people, with the cause, which whoever asks for a commit is not told; nothing is decided by it.

use std::sync::Arc;
use tokio::sync::watch;

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Why it writes nothing any more until it is opened again.
    pub stopped: Option<Arc<str>>,
    /// The last batch found no room in the log.
    is_log_full: bool,
    /// What is in memory finds no room in the file.
    is_file_full: bool,
}

impl Condition {
    /// Is there no room on its disk, as far as it has found out?
    pub const fn is_full(&self) -> bool {
        self.is_log_full || self.is_file_full
    }
}

/// Of one store.
#[derive(Debug, Default)]
pub(super) struct Shown(watch::Sender<Condition>);

impl Shown {
    pub(super) fn watch(&self) -> watch::Receiver<Condition> {
        self.0.subscribe()
    }

    /// The first cause is told: what comes after it comes of it.
    pub(super) fn stopped(&self, why: &str) {
        self.0.send_if_modified(|condition| {
            let is_first = condition.stopped.is_none();
            condition.stopped.get_or_insert_with(|| why.into());
            is_first
        });
    }

    pub(super) fn log_full(&self, is_full: bool) {
        self.0
            .send_if_modified(|condition| std::mem::replace(&mut condition.is_log_full, is_full) != is_full);
    }

    pub(super) fn file_full(&self, is_full: bool) {
        self.0
            .send_if_modified(|condition| std::mem::replace(&mut condition.is_file_full, is_full) != is_full);
    }
}
