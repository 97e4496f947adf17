//! The store contract, `transact`, and its backends. Owner of redb; never sees a secret in clear.
#![forbid(unsafe_code)]

pub mod contract;
pub mod record;
pub mod transact;

pub use contract::{Changes, Check, Commit, CommitId, Entry, Key, Page, Position, Snapshot, Store, StoreError, Write};
pub use record::{Record, RecordPage, delete, list_records, put};
pub use transact::{Decision, Halt, Load, View, query, refuse, transact};
