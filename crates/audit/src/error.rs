//! Why the audit log cannot be written or read.

use std::path::{Path, PathBuf};

/// An error of the audit log. Whoever gets one from `append` refuses the request.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file of the log could not be written, synced or read.
    #[error("audit log {}: {doing}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A record is larger than `limits::AUDIT_RECORD_BYTES_MAX` even after its texts were cut, or does not become JSON.
    #[error("audit record of action {action} cannot be written as a line")]
    Record {
        /// The record's action.
        action: &'static str,
    },
    /// No line of the log fits the key, so there is nothing to go on from: another installation's log, or a destroyed one.
    #[error("audit log {}: no line of it was made with this key; move the folder away to begin a new log", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// The file was removed or replaced while it was open. The next append begins it anew, and `verify` will tell what is missing.
    #[error("audit log {} was removed or replaced while it was written", path.display())]
    Gone {
        /// Which file.
        path: PathBuf,
    },
}

impl AuditError {
    /// For `map_err` of an operation on a path.
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, doing, source }
    }
}
