//! What only a durable file can get wrong: reopening, a second opener, damage, full and failing disks, cut power.

mod disk;

use super::{Redb, RedbOptions, tables};
use crate::contract::{Check, CommitId, Entry, Key, Position, Store, StoreError, Write};
use disk::{Disk, Faults};
use std::{path::PathBuf, sync::Arc};

fn key(name: &str) -> Key {
    Key::new(name)
}

fn put(name: &str, value: &[u8]) -> Write {
    Write::Put(key(name), value.into())
}

fn on(disk: &Disk) -> Result<Redb, StoreError> {
    let disk = disk.clone();
    Redb::open_with(RedbOptions::default(), move |options| {
        redb::Builder::new().set_cache_size(options.page_cache_bytes).create_with_backend(disk.clone())
    })
}

async fn value(store: &Redb, name: &str) -> Option<Vec<u8>> {
    let mut entries = store.read(&[key(name)]).await.unwrap().entries;
    entries.remove(0).map(|entry: Entry| entry.value.to_vec())
}

/// A file that goes with its test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("keyless-redb-{name}-{}.redb", std::process::id())))
    }

    fn open(&self) -> Result<Redb, StoreError> {
        Redb::open(&self.0, RedbOptions::default())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_folder_that_was_seen_empty_hides_nothing_that_comes_into_it() {
    let place = Place::new("folder");
    let store = place.open().unwrap();
    for round in 1..=3 {
        // Seen empty, by reader and writer.
        assert_eq!((value(&store, "f/a").await, value(&store, "f/b").await), (None, None));
        let absent = |name: &str| Check::Absent(key(name));
        let id = |number: u128| CommitId(100 * round + number);
        store.commit(id(1), &[absent("f/a"), absent("f/b")], &[put("f/b", b"1")]).await.unwrap();
        assert_eq!((value(&store, "f/a").await, value(&store, "f/b").await), (None, Some(b"1".to_vec())));
        let taken = store.commit(id(2), &[absent("f/b")], &[put("f/a", b"1")]).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
        store.commit(id(3), &[absent("f/a")], &[put("f/a", b"2")]).await.unwrap();
        assert_eq!(value(&store, "f/a").await, Some(b"2".to_vec()));
        // Two of one batch, of which the first takes the name.
        let (checks, one, other) = ([absent("g/x")], [put("g/x", b"1")], [put("g/x", b"2")]);
        let (first, second) =
            tokio::join!(store.commit(id(4), &checks, &one), store.commit(id(5), &checks, &other));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let all = ["f/a", "f/b", "g/x"].map(key);
        let entries = store.read(&all).await.unwrap().entries;
        let unchanged = |entry: &Entry| Check::Unchanged(entry.key.clone(), entry.modified);
        let checks: Vec<Check> = entries.iter().flatten().map(unchanged).collect();
        store.commit(id(6), &checks, &all.map(Write::Delete)).await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_in_which_something_is_is_not_taken_for_empty() {
    let place = Place::new("occupied");
    let store = place.open().unwrap();
    store.commit(CommitId(1), &[], &[put("f/z", b"1"), put("g/a/b", b"1"), put("i", b"1")]).await.unwrap();
    // Nothing of it is in memory.
    drop(store);
    let store = place.open().unwrap();
    for name in ["f/a", "f/b", "f/c", "g/x", "g/y", "h/x", "h/y"] {
        assert_eq!(value(&store, name).await, None);
    }
    for name in ["f/z", "g/a/b", "i"] {
        assert_eq!(value(&store, name).await, Some(b"1".to_vec()), "{name}");
        let taken = store.commit(CommitId(2), &[Check::Absent(key(name))], &[put(name, b"2")]).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    }
}

#[tokio::test]
async fn what_was_found_at_an_older_position_is_not_remembered_of_a_later_one() {
    let place = Place::new("stale");
    let store = place.open().unwrap();
    let older = || {
        let published = store.shared.published.read().unwrap();
        (published.at, published.table.clone())
    };
    // A reader that is slow: between its look at the table and its note of what it found there, the key comes, and is changed.
    let (at, table) = older();
    store.commit(CommitId(1), &[Check::Absent(key("f/a"))], &[put("f/a", b"1")]).await.unwrap();
    // Looked for twice, so that it is looked into the folder, too.
    for name in ["f/c", "f/a"] {
        assert_eq!(store.fetch(at, &table, &key(name)).unwrap(), None);
    }
    assert_eq!(
        value(&store, "f/a").await,
        Some(b"1".to_vec()),
        "absent then is not absent now, nor is its folder empty"
    );
    let (at, table) = older();
    store.commit(CommitId(2), &[], &[put("f/b", b"1")]).await.unwrap();
    let modified = store.read(&[key("f/b")]).await.unwrap().at.revision;
    store.commit(CommitId(3), &[Check::Unchanged(key("f/b"), modified)], &[put("f/b", b"2")]).await.unwrap();
    assert_eq!(store.fetch(at, &table, &key("f/b")).unwrap(), None);
    let again = store.commit(CommitId(4), &[Check::Absent(key("f/b"))], &[put("f/b", b"3")]).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert_eq!(value(&store, "f/b").await, Some(b"2".to_vec()));
}

#[tokio::test]
async fn entries_history_and_fates_survive_reopening() {
    let place = Place::new("reopen");
    let store = place.open().unwrap();
    let first = store.commit(CommitId(1), &[], &[put("a", b"1"), put("b", b"1")]).await.unwrap();
    let check = Check::Unchanged(key("b"), first.revision);
    let last = store.commit(CommitId(2), &[check], &[put("a", b"2"), Write::Delete(key("b"))]).await.unwrap();
    let told = store.changes(&key(""), Position::default()).await.unwrap();
    drop(store);
    let store = place.open().unwrap();
    assert_eq!(value(&store, "a").await, Some(b"2".to_vec()));
    assert_eq!(value(&store, "b").await, None);
    assert_eq!(store.read(&[]).await.unwrap().at, last);
    let again = store.changes(&key(""), Position::default()).await.unwrap();
    assert_eq!((again.through, &again.commits), (last, &told.commits));
    assert_eq!(again.commits.len(), 2);
    assert_eq!(store.resolve(CommitId(1)).await, Ok(Some(first)));
    assert_eq!(store.commit(CommitId(2), &[], &[put("c", b"1")]).await, Ok(last), "applied once");
    assert_eq!(store.resolve(CommitId(3)).await, Ok(None));
    let next = store.commit(CommitId(4), &[], &[put("c", b"1")]).await.unwrap();
    assert!(next.revision > last.revision);
}

#[tokio::test]
async fn of_many_at_once_each_is_told_though_half_of_them_go_away() {
    const CALLERS: u128 = 64;
    let place = Place::new("told");
    let store = Arc::new(place.open().unwrap());
    let at = |caller: u128, round: u128| put(&format!("{caller}/{round}"), b"1");
    for round in 0..8 {
        let mut tasks = tokio::task::JoinSet::new();
        let mut go_away = Vec::new();
        for caller in 0..CALLERS {
            let (store, write) = (store.clone(), at(caller, round));
            let id = CommitId(1 + round * CALLERS + caller);
            let task = tasks.spawn(async move { store.commit(id, &[], &[write]).await.map(|_| caller) });
            // The first of the batch, who is to tell the others, is one of them.
            if caller % 2 == 0 {
                go_away.push(task);
            }
        }
        // They have asked; now, or once the writer has told the first of them.
        tokio::task::yield_now().await;
        if round % 2 == 1 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        go_away.iter().for_each(tokio::task::AbortHandle::abort);
        let mut told = 0;
        let all = async {
            while let Some(ended) = tasks.join_next().await {
                let is_told = |ended: Result<u128, StoreError>| ended.is_ok_and(|caller| caller % 2 == 1);
                told += u128::from(ended.is_ok_and(is_told));
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), all).await.expect("nobody waits for ever");
        assert_eq!(told, CALLERS / 2, "round {round}");
    }
    for (caller, round) in [(1, 0), (CALLERS - 1, 7)] {
        assert_eq!(value(&store, &format!("{caller}/{round}")).await, Some(b"1".to_vec()));
    }
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let place = Place::new("second");
    let store = place.open().unwrap();
    match place.open().map(|_| ()) {
        Err(StoreError::Unavailable(why)) => {
            assert!(why.contains("another process has the store open"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    drop(store);
    assert!(place.open().is_ok());
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused() {
    let place = Place::new("foreign");
    std::fs::write(&place.0, [7; 100_000]).unwrap();
    assert!(place.open().is_err());
    assert_eq!(std::fs::read(&place.0).unwrap(), [7; 100_000], "and left alone");
    let other = Place::new("other-format");
    {
        let database = redb::Database::create(&other.0).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
        transaction.open_table(meta).unwrap().insert("format", [99].as_slice()).unwrap();
        transaction.commit().unwrap();
    }
    assert!(matches!(other.open().map(|_| ()), Err(StoreError::Broken(_))));
}

#[tokio::test]
async fn a_torn_commit_is_noticed_when_the_file_is_opened() {
    let damages: [fn(&redb::WriteTransaction); 4] = [
        |transaction| drop(transaction.open_table(tables::CHANGES).unwrap().remove((2, 1)).unwrap()),
        |transaction| drop(transaction.open_table(tables::COMMITS).unwrap().remove(2).unwrap()),
        |transaction| drop(transaction.open_table(tables::COMMITS).unwrap().remove(1).unwrap()),
        |transaction| {
            let mut changes = transaction.open_table(tables::CHANGES).unwrap();
            changes.insert((2, 2), [0, 1, b'x', 0].as_slice()).unwrap();
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        let place = Place::new(&format!("torn-{number}"));
        let store = place.open().unwrap();
        for id in 1..=3 {
            if number != 1 || id < 3 {
                store.commit(CommitId(id), &[], &[put("a", b"1"), put("b", b"1")]).await.unwrap();
            }
        }
        drop(store);
        {
            let database = redb::Database::create(&place.0).unwrap();
            let transaction = database.begin_write().unwrap();
            damage(&transaction);
            transaction.commit().unwrap();
        }
        // The oldest kept commit may be pruned at any time: its absence proves nothing.
        let is_noticed = matches!(place.open().map(|_| ()), Err(StoreError::Broken(_)));
        assert_eq!(is_noticed, number != 2, "damage {number}");
    }
}

#[tokio::test]
async fn history_in_the_file_is_bounded() {
    let place = Place::new("bounded");
    let store = place.open().unwrap();
    let large = vec![b'x'; 60_000];
    for id in 0..1_500 {
        // Mostly small ones, and what is over the bytes that are kept.
        let value = if id % 10 == 0 { &large[..] } else { b"v" };
        store.commit(CommitId(id + 1), &[], &[put("k", value)]).await.unwrap();
    }
    drop(store);
    let database = redb::Database::create(&place.0).unwrap();
    let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
    let kept = redb::ReadableTableMetadata::len(&transaction.open_table(tables::COMMITS).unwrap()).unwrap();
    let changes =
        redb::ReadableTableMetadata::len(&transaction.open_table(tables::CHANGES).unwrap()).unwrap();
    assert_eq!(kept, changes);
    assert!(kept < 1_500, "{kept} commits are kept");
    drop(transaction);
    drop(database);
    let store = place.open().unwrap();
    assert_eq!(store.read(&[]).await.unwrap().at.revision, 1_500);
    assert_eq!(store.resolve(CommitId(1_500)).await.unwrap().map(|at| at.revision), Some(1_500));
}

#[tokio::test]
async fn waiting_commits_share_a_sync_and_failing_checks_cost_none() {
    let disk = Disk::default();
    let store = Arc::new(on(&disk).unwrap());
    store.commit(CommitId(1), &[], &[put("taken", b"1")]).await.unwrap();
    let before = disk.syncs();
    for id in 2..50 {
        let conflict = store.commit(CommitId(id), &[Check::Absent(key("taken"))], &[put("x", b"1")]).await;
        assert!(matches!(conflict, Err(StoreError::Conflict { .. })));
    }
    assert_eq!(disk.syncs(), before);
    let committers = (0..64_u32).map(|committer| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..4_u32 {
                let id = CommitId(u128::from(1_000 + committer * 10 + round));
                store.commit(id, &[], &[put(&format!("{committer}/{round}"), b"v")]).await.unwrap();
            }
        })
    });
    for committer in committers.collect::<Vec<_>>() {
        committer.await.unwrap();
    }
    let syncs = disk.syncs() - before;
    assert!(syncs <= 128, "{syncs} syncs for 256 commits");
}

#[tokio::test]
async fn a_full_disk_is_said_and_recovered_from() {
    let disk = Disk::default();
    let store = on(&disk).unwrap();
    store.commit(CommitId(1), &[], &[put("kept", b"1")]).await.unwrap();
    disk.faults(Faults { room: Some(disk.len()), ..Faults::default() });
    let large = vec![b'x'; 60_000];
    let mut acknowledged = 0;
    let refused = loop {
        let id = CommitId(100 + acknowledged);
        match store.commit(id, &[], &[put(&format!("fill/{acknowledged}"), &large)]).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break (id, error),
        }
        assert!(acknowledged < 10_000);
    };
    assert!(matches!(refused.1, StoreError::Full(_)), "{refused:?}");
    assert_eq!(store.resolve(refused.0).await, Ok(None), "it is certain");
    assert_eq!(value(&store, "kept").await, Some(b"1".to_vec()), "reads go on");
    for number in 0..acknowledged {
        assert_eq!(value(&store, &format!("fill/{number}")).await.map(|value| value.len()), Some(60_000));
    }
    let again = store.commit(CommitId(2), &[], &[put("more", &large)]).await;
    assert!(matches!(again, Err(StoreError::Full(_))), "{again:?}");
    disk.faults(Faults::default());
    tokio::time::sleep(super::writer::FULL_PAUSE).await;
    store.commit(CommitId(3), &[], &[put("more", &large)]).await.unwrap();
    drop(store);
    assert_eq!(value(&on(&disk).unwrap(), "more").await.map(|value| value.len()), Some(60_000));
}

#[tokio::test]
async fn a_failing_sync_is_unknown_and_ends_writing_until_reopened() {
    let disk = Disk::default();
    let store = on(&disk).unwrap();
    let first = store.commit(CommitId(1), &[], &[put("kept", b"1")]).await.unwrap();
    assert_eq!(value(&store, "kept").await, Some(b"1".to_vec()));
    disk.faults(Faults { syncs_left: Some(0), ..Faults::default() });
    let unknown = store.commit(CommitId(2), &[], &[put("maybe", b"1")]).await;
    assert_eq!(unknown, Err(StoreError::Unknown(CommitId(2))));
    disk.faults(Faults::default());
    let refused = store.commit(CommitId(3), &[], &[put("later", b"1")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.resolve(CommitId(2)).await, Err(StoreError::Unknown(CommitId(2))), "not by this handle");
    assert_eq!(value(&store, "kept").await, Some(b"1".to_vec()), "what is hot is still read");
    drop(store);
    let store = on(&disk).unwrap();
    let fate = store.resolve(CommitId(2)).await.unwrap();
    assert_eq!(value(&store, "maybe").await.is_some(), fate.is_some());
    assert_eq!(store.resolve(CommitId(1)).await, Ok(Some(first)));
    store.commit(CommitId(4), &[], &[put("later", b"1")]).await.unwrap();
}

/// Power is cut while commits are on their way; what was acknowledged before is there, each other one is whole or not at all.
#[tokio::test]
async fn cut_power_loses_nothing_that_was_acknowledged() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut flip = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.is_multiple_of(2)
    };
    for round in 0..30_u32 {
        let disk = Disk::default();
        let store = Arc::new(on(&disk).unwrap());
        let mut acknowledged = 0;
        for id in 0..10 + round % 7 {
            let text = id.to_string();
            let writes =
                [put("one", text.as_bytes()), put("other", text.as_bytes()), put(&text, &[0; 3_000])];
            store.commit(CommitId(u128::from(id + 1)), &[], &writes).await.unwrap();
            acknowledged = id;
        }
        let running = store.clone();
        let busy = tokio::spawn(async move {
            for id in 100..110_u32 {
                let text = id.to_string();
                let writes = [put("one", text.as_bytes()), put("other", text.as_bytes())];
                let _ = running.commit(CommitId(u128::from(id)), &[], &writes).await;
            }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let cut = disk.after_power_cut(&mut flip);
        let store = on(&cut).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let one = value(&store, "one").await.unwrap();
        assert_eq!(Some(&one), value(&store, "other").await.as_ref(), "whole");
        let reached: u32 = String::from_utf8(one).unwrap().parse().unwrap();
        assert!(
            reached >= acknowledged,
            "round {round}: {acknowledged} was acknowledged, {reached} is there"
        );
        for id in 0..=acknowledged {
            assert!(store.resolve(CommitId(u128::from(id + 1))).await.unwrap().is_some());
            assert_eq!(value(&store, &id.to_string()).await.map(|value| value.len()), Some(3_000));
        }
        store.commit(CommitId(1_000), &[], &[put("after", b"1")]).await.unwrap();
        busy.await.unwrap();
    }
}
