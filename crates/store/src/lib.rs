//! The store contract, `transact`, and its backends. Owner of redb; never sees a secret in clear.
#![forbid(unsafe_code)]

pub mod contract;

pub use contract::{Changes, Check, Commit, CommitId, Entry, Key, Page, Position, Snapshot, Store, StoreError, Write};
