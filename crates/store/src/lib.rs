//! The store contract, `transact`, and its backends. Owner of redb; never sees a secret in clear.
#![forbid(unsafe_code)]

pub mod contract;
mod history;
mod key;
pub mod memory;
pub mod record;
pub mod redb;
pub mod transact;

pub use self::redb::{Condition, Redb, RedbOptions, Sound};
pub use contract::{
    Changes, Check, Commit, CommitId, Entry, Key, Page, Position, Snapshot, Store, StoreError, Write,
};
pub use history::{HISTORY_BYTES_MAX, HISTORY_COMMITS_MAX};
pub use memory::Memory;
pub use record::{Record, RecordPage, all_records, delete, list_records, put};
pub use transact::{Decision, Halt, Load, View, query, refuse, transact};
