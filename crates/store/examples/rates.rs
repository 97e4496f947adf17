//! What the embedded store can do on this disk: durable commits a second for 1, 16 and 64 committers beside plain redb transactions that
//! carry as many, microseconds of one hot read and of one query of four records that lead to each other, and what 100,000 entries cost.
//!
//! `cargo run --release -p store --example rates -- [directory]`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring tool, run by hand"
)]

use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc, time::Instant};
use store::{CommitId, Halt, Key, Record, Redb, RedbOptions, Store, StoreError, Write};

const VALUE_BYTES: usize = 600;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let directory = Path::new(&directory);
    for committers in [1, 16, 64] {
        let count = if committers == 1 { 600 } else { 250 * committers };
        // Turn by turn, as other users of the disk come and go.
        let mut rates: Vec<(f64, f64)> = Vec::new();
        for _ in 0..5 {
            let raw = raw(&directory.join("rates-raw.redb"), committers, count);
            rates.push((ours(&directory.join("rates-ours.redb"), committers, count).await, raw));
        }
        rates.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
        let (ours, raw) = rates[2];
        println!(
            "{committers:>3} committers: {ours:>8.0} commits/s, plain redb {raw:>8.0}, {:.2}",
            ours / raw
        );
        println!("      all: {rates:.0?}");
    }
    reads(&directory.join("rates-reads.redb")).await;
    many(&directory.join("rates-many.redb")).await;
}

/// Reads of one in 100,000 entries, far more than the memory that the store may use.
async fn many(path: &Path) {
    const ENTRIES: u32 = 100_000;
    remove(path);
    let store = Redb::open(path, RedbOptions::default()).unwrap();
    let value: Arc<[u8]> = vec![7; 1_000].into();
    let key = |number: u32| Key::new(format!("many/{:08x}/{number}", number.wrapping_mul(2_654_435_761)));
    for commit in 0..ENTRIES / 100 {
        let writes: Vec<Write> =
            (0..100).map(|number| Write::Put(key(commit * 100 + number), value.clone())).collect();
        store.commit(CommitId(u128::from(commit) + 1), &[], &writes).await.unwrap();
    }
    let begin = Instant::now();
    for number in 0..ENTRIES {
        let found = store.read(&[key(number.wrapping_mul(40_503) % ENTRIES)]).await.unwrap();
        assert!(found.entries[0].is_some());
    }
    let microseconds = begin.elapsed().as_secs_f64() * 1e6 / f64::from(ENTRIES);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_owned();
    let file = std::fs::metadata(path).unwrap().len() >> 20;
    println!("read of one in {ENTRIES}: {microseconds:.2} us; {resident}; file {file} MiB");
    drop(store);
    let begin = Instant::now();
    let store = Redb::open(path, RedbOptions::default()).unwrap();
    println!("opened again in {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    drop(store);
    remove(path);
}

fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
    let _ = std::fs::remove_dir_all(store::redb::commits_of(path));
}

/// Transactions of `size` inserts each, with nothing around them.
fn raw(path: &Path, size: usize, count: usize) -> f64 {
    remove(path);
    let table: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("entry");
    let database = redb::Builder::new().set_cache_size(8 << 20).create(path).unwrap();
    let begin = Instant::now();
    for batch in 0..count / size {
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(table).unwrap();
            for number in 0..size {
                let key = format!("rate/{number}/{batch}");
                table.insert(key.as_bytes(), [7; VALUE_BYTES].as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    remove(path);
    rate
}

async fn ours(path: &Path, committers: usize, count: usize) -> f64 {
    remove(path);
    let store = Arc::new(Redb::open(path, RedbOptions::default()).unwrap());
    let value: Arc<[u8]> = vec![7; VALUE_BYTES].into();
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for committer in 0..committers {
        let (store, value) = (store.clone(), value.clone());
        tasks.spawn(async move {
            for number in 0..count / committers {
                let write = Write::Put(Key::new(format!("rate/{committer}/{number}")), value.clone());
                let id = CommitId(((committer as u128) << 64) + number as u128 + 1);
                store.commit(id, &[], &[write]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    drop(store);
    remove(path);
    rate
}

#[derive(Serialize, Deserialize)]
struct Step {
    next: u32,
    text: String,
}

impl Record for Step {
    type Id = u32;

    fn key(id: &u32) -> Key {
        Key::new(format!("step/a-name-that-is-about-as-long-as-those-of-records/{id}"))
    }
}

async fn reads(path: &Path) {
    remove(path);
    let store = Redb::open(path, RedbOptions::default()).unwrap();
    let text = "x".repeat(VALUE_BYTES);
    let writes: Vec<Write> =
        (0..4).map(|id| store::put::<Step>(&id, &Step { next: id + 1, text: text.clone() })).collect();
    store.commit(CommitId(1), &[], &writes).await.unwrap();
    let rounds = 200_000;
    let keys = [Step::key(&0)];
    let begin = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(store.read(&keys).await.unwrap());
    }
    println!("hot read of one key: {:.2} us", begin.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    let begin = Instant::now();
    for _ in 0..rounds {
        let last = store::query(&store, |view| {
            let mut id = 0;
            while let (true, Some(step)) = (id < 4, view.get::<Step>(&id)?) {
                id = step.next;
            }
            Ok::<_, Halt<StoreError>>(id)
        });
        assert_eq!(last.await, Ok(4));
    }
    println!("query of four records: {:.2} us", begin.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    drop(store);
    remove(path);
}
