//! The audit log: who did what to which thing, allowed or refused and why, from which process. Append-only, chained by a keyed hash.
//!
//! Owns: the record, its line, the files, the chain and its verification. Owns not: when a record is due (`wire`, `identity`), where
//! the anchor is stored (`server`). Invariant: no record holds a secret's value or a token.
#![forbid(unsafe_code)]

pub mod error;
pub mod log;
pub mod memory;
pub mod record;
pub mod verify;

pub use error::AuditError;
pub use log::{Anchor, AuditLog, SyncPolicy};
pub use memory::MemoryAudit;
pub use record::{Actor, AuditSink, Origin, Outcome, Record};
pub use verify::{Fault, FaultKind, Verified, tail, verify};
