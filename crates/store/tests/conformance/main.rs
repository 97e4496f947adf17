//! What every backend must do, as one list of cases, and the backends that are held to it. Owns no case: see the modules.
//!
//! A new backend is five lines here. A backend that breaks a promise must fail: `mutants` proves it of the list itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "these are tests, outside of functions that are marked as such"
)]

mod changes;
mod client;
mod commit;
mod history;
mod listing;
mod mutants;
mod outcome;
mod reading;

use client::Client;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use store::{Memory, Redb, RedbOptions, Store};

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One case: its name, and what it does with a client of an empty store.
struct Case {
    name: &'static str,
    run: fn(Client) -> Running,
}

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        &[$($(Case { name: stringify!($case), run: |client| Box::pin($module::$case(client)) }),+),+]
    };
}

/// All of them, for every backend.
const CASES: &[Case] = cases! {
    reading: an_absent_key_is_none, a_read_is_one_snapshot, duplicates_in_a_read, too_many_keys_in_a_read,
        a_position_never_goes_back, a_read_is_not_older_than_an_acknowledged_commit,
        what_is_told_at_once_is_what_is_read;
    listing: keys_are_in_byte_order, prefixes_that_end_in_ff, a_prefix_is_not_its_sibling, after_is_exclusive_and_need_not_exist,
        pages_beside_writers, more_is_exact, bytes_split_pages, nothing_of_ours_is_listed;
    commit: one_failing_check_among_many, absent_holds_before_and_after, the_same_value_is_a_change, deleted_and_made_again,
        one_racer_wins, write_skew, a_counter, one_revision_for_all_writes, no_writes, nothing_at_all, a_key_twice,
        deletes_need_their_check, limits, empty_keys_and_values, every_byte;
    outcome: the_same_id_again, a_tombstone_against_an_attempt, a_caller_that_gives_up;
    changes: each_commit_once_from_every_position, a_large_commit_arrives_whole, commits_outside_the_prefix, idle_and_awake,
        pruned_positions, foreign_positions, a_slow_follower;
    history: the_same_as_the_model;
};

/// Runs every case on a store of its own and names those that fail.
async fn failing(open: impl Fn() -> Arc<dyn Store>) -> Vec<&'static str> {
    let running: Vec<_> =
        CASES.iter().map(|case| (case.name, tokio::spawn((case.run)(Client::new(open()))))).collect();
    let mut failed = Vec::new();
    for (name, case) in running {
        if case.await.is_err() {
            failed.push(name);
        }
    }
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    assert_eq!(failing(|| Arc::new(Memory::new())).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redb() {
    let directory = Directory::new("conformance");
    assert_eq!(failing(|| Arc::new(directory.store(MUCH))).await, [""; 0]);
}

/// What is committed goes to the tables at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redb_with_little_memory_for_what_is_in_the_log_only() {
    let directory = Directory::new("conformance-little");
    assert_eq!(failing(|| Arc::new(directory.store(2 * 1024))).await, [""; 0]);
}

/// Most of it stays in memory.
const MUCH: usize = 4 * 1024 * 1024;

/// A directory that goes with its test.
struct Directory {
    path: std::path::PathBuf,
    files: AtomicU32,
}

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("keyless-store-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self { path, files: AtomicU32::new(0) }
    }

    /// A store in a new file. Little memory for entries, so that reads of the file are tried too.
    fn store(&self, layer_bytes: usize) -> Redb {
        let file = self.path.join(format!("{}.redb", self.files.fetch_add(1, Ordering::Relaxed)));
        let options = RedbOptions { entry_cache_bytes: 16 * 1024, layer_bytes, ..RedbOptions::default() };
        Redb::open(&file, options).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
