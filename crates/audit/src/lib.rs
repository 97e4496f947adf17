//! The audit log: who did what to which thing, allowed or refused and why, from which process. Append-only, chained by a keyed hash.
//!
//! Owns: the record, its line, the files, the chain and its verification. Owns not: when a record is due (`wire`, `identity`), where
//! the anchor is stored (`server`). Invariant: no record holds a secret's value or a token.
#![forbid(unsafe_code)]

pub mod error;
mod expiry;
mod files;
mod line;
pub mod log;
pub mod memory;
pub mod record;
pub mod tail;
#[cfg(test)]
mod testing;
pub mod together;
pub mod verify;
mod writer;

pub use error::AuditError;
pub use log::{Anchor, AuditLog, Cut, Missing, Opened, SyncPolicy};
pub use memory::MemoryAudit;
pub use record::{Actor, AuditSink, Origin, Outcome, Record, SharedOrigin};
pub use tail::tail;
pub use together::append_together;
pub use verify::{Fault, FaultKind, Verified, verify};
