//! Why the audit log cannot be written or read.

use std::path::PathBuf;

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
    /// The log at hand is not the one that was left, so it must not be continued.
    #[error("audit log {} does not go on from where it was left: {what}", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// How.
        what: &'static str,
    },
}
