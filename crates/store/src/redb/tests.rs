//! What only a durable store can get wrong: reopening, a second opener, what does not belong together, what moves between memory and tables.
//! Disks that are full, fail, or lose their power are in `faults`.

mod faults;
mod sound;

use super::{
    Redb, RedbOptions, commits_of,
    disk::{Disks, Faults},
};
use crate::contract::{Check, CommitId, Entry, Key, Position, Store, StoreError, Write};
use std::{num::NonZeroU16, path::PathBuf, sync::Arc, time::Duration};

fn key(name: &str) -> Key {
    Key::new(name)
}

fn put(name: &str, value: &[u8]) -> Write {
    Write::Put(key(name), value.into())
}

/// Nearly each batch is written to the tables at once.
const SMALL: RedbOptions =
    RedbOptions { page_cache_bytes: 1 << 20, entry_cache_bytes: 1 << 14, layer_bytes: 1 << 10 };

fn on(disks: &Disks, options: RedbOptions) -> Result<Redb, StoreError> {
    let (file, folder) = (disks.file.clone(), disks.clone());
    let create = move |options: RedbOptions| {
        redb::Builder::new().set_cache_size(options.page_cache_bytes).create_with_backend(file.clone())
    };
    Redb::open_with(options, create, true, || Ok(Box::new(folder)))
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
        let _ = std::fs::remove_dir_all(commits_of(&self.0));
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
async fn what_is_read_from_memory_is_hot_and_follows_what_is_written() {
    let disks = Disks::default();
    let store = on(&disks, RedbOptions::default()).unwrap();
    let is_hot = |name: &str| store.shared.published.read().unwrap().hot.get(&key(name)).is_some();
    for round in 1..4_u8 {
        let id = |number: u8| CommitId(u128::from(10 * round + number));
        let at = store.commit(id(0), &[], &[put("a", &[round]), put("b", &[round])]).await.unwrap();
        for by_peek in [false, true] {
            let found = if by_peek {
                store.peek(&key("a")).unwrap().1
            } else {
                store.read(&[key("a")]).await.unwrap().entries.remove(0)
            };
            assert_eq!(
                found.map(|entry| (entry.value.to_vec(), entry.modified)),
                Some((vec![round], at.revision))
            );
            assert!(is_hot("a"));
        }
        assert!(!is_hot("b"), "nobody has read it");
        let gone = [Check::Unchanged(key("b"), at.revision)];
        store.commit(id(1), &gone, &[Write::Delete(key("b"))]).await.unwrap();
        assert_eq!((value(&store, "b").await, is_hot("b")), (None, true));
    }
    // A reader that is slow: what it found is of before.
    let older = store.shared.published.read().unwrap().at;
    let stale = Entry::new(key("a"), b"stale".as_slice().into(), 1, 1);
    store.commit(CommitId(100), &[], &[put("a", b"new"), put("b", b"new")]).await.unwrap();
    let found = store.warm(older, &key("a"), super::hot::Known::There(stale)).unwrap();
    assert_eq!(
        found.map(|entry| entry.value.to_vec()),
        Some(b"stale".to_vec()),
        "its own position has it so"
    );
    store.warm(older, &key("b"), super::hot::Known::Absent).unwrap();
    for name in ["a", "b"] {
        assert_eq!(value(&store, name).await, Some(b"new".to_vec()));
    }
}

#[tokio::test]
async fn a_folder_that_is_empty_in_the_tables_is_not_taken_for_empty() {
    let disks = Disks::default();
    let store = on(&disks, RedbOptions::default()).unwrap();
    store.commit(CommitId(1), &[], &[put("f/a", b"1")]).await.unwrap();
    for name in ["f/b", "f/c", "f/d"] {
        assert_eq!(value(&store, name).await, None);
    }
    assert_eq!(value(&store, "f/a").await, Some(b"1".to_vec()));
    let taken = store.commit(CommitId(2), &[Check::Absent(key("f/a"))], &[put("f/a", b"2")]).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
}

#[tokio::test]
async fn a_folder_that_was_empty_in_older_tables_is_not_taken_for_empty_once_its_entries_are_in_the_younger()
{
    let disks = Disks::default();
    let store = on(&disks, RedbOptions { layer_bytes: 1 << 16, ..SMALL }).unwrap();
    let is_in_memory = || {
        let published = store.shared.published.read().unwrap();
        published.layers.young.bytes() > 0 || published.layers.kept.is_some()
    };
    let at = store.commit(CommitId(1), &[], &[put("f/a", &[7; 10_000])]).await.unwrap();
    let older = store.shared.published.read().unwrap().table.clone();
    assert!(is_in_memory());
    while is_in_memory() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A reader that is slow: it has the tables of before, at the same position.
    for name in ["f/b", "f/c"] {
        assert_eq!(store.fetch(at, &older, &key(name)).unwrap(), None);
    }
    assert!(value(&store, "f/a").await.is_some());
    let taken = store.commit(CommitId(2), &[Check::Absent(key("f/a"))], &[put("f/a", b"2")]).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
}

#[tokio::test]
async fn the_largest_batch_is_found_again() {
    let disks = Disks::default();
    let store = Arc::new(on(&disks, RedbOptions::default()).unwrap());
    let values: Vec<Write> = (0..15).map(|number| put(&format!("{number}"), &[7; 64 * 1024])).collect();
    let large = |caller: u128| {
        let (store, writes) = (store.clone(), values.clone());
        tokio::spawn(async move { store.commit(CommitId(caller), &[], &writes).await })
    };
    // They come while one is being written.
    let all = (1..=8).map(large).collect::<Vec<_>>();
    for commit in all {
        commit.await.unwrap().unwrap();
    }
    let killed = on(&disks.copy(), RedbOptions::default()).unwrap();
    assert_eq!(killed.read(&[]).await.unwrap().at.revision, 8);
}

#[tokio::test]
async fn what_was_deleted_and_what_is_there_are_listed_as_one() {
    let disks = Disks::default();
    // The first half is in the tables.
    let store = on(&disks, RedbOptions::default()).unwrap();
    let name = |number: usize| format!("f/{number:03}");
    let first: Vec<Write> = (0..90).map(|number| put(&name(number), b"tables")).collect();
    let at = store.commit(CommitId(1), &[], &first).await.unwrap();
    drop(store);
    let store = on(&disks, RedbOptions::default()).unwrap();
    // Of each ten three are deleted, one is written again; and others come between and after.
    let gone: Vec<usize> = (0..90).filter(|number| number % 10 < 3).collect();
    let checks: Vec<Check> =
        gone.iter().map(|number| Check::Unchanged(key(&name(*number)), at.revision)).collect();
    let deletes: Vec<Write> = gone.iter().map(|number| Write::Delete(key(&name(*number)))).collect();
    store.commit(CommitId(2), &checks, &deletes).await.unwrap();
    let mut more: Vec<Write> = (0..90).step_by(10).map(|number| put(&name(number + 5), b"memory")).collect();
    more.extend((85..110).map(|number| put(&format!("{}x", name(number)), b"memory")));
    more.extend([put("e", b"beside"), put("f0", b"beside"), put("g", b"beside")]);
    store.commit(CommitId(3), &[], &more).await.unwrap();
    let mut expected: Vec<(String, bool)> = (0..90)
        .filter(|number| number % 10 >= 3)
        .map(|number| (name(number), number % 10 == 5))
        .chain((85..110).map(|number| (format!("{}x", name(number)), true)))
        .collect();
    expected.sort();
    for limit in [1, 2, 7, 88, 89, 256] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = store.list(&key("f/"), after.as_ref(), NonZeroU16::new(limit).unwrap()).await.unwrap();
            after = page.entries.last().map(|entry| entry.key.clone());
            assert!(page.entries.len() == usize::from(limit) || !page.more);
            listed.extend(page.entries.into_iter().map(|entry| {
                let name = String::from_utf8(entry.key.as_bytes().to_vec()).unwrap();
                (name, *entry.value == *b"memory")
            }));
            if !page.more {
                break;
            }
        }
        assert_eq!(listed, expected, "{limit} at a time");
    }
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
async fn a_file_of_the_format_before_is_taken_over() {
    let place = Place::new("before");
    {
        let database = redb::Database::create(&place.0).unwrap();
        let transaction = database.begin_write().unwrap();
        let entries: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("entry");
        let row = [[0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 2]].concat();
        transaction
            .open_table(entries)
            .unwrap()
            .insert(&b"a"[..], [&row, &b"1"[..]].concat().as_slice())
            .unwrap();
        let commits: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("commit");
        transaction.open_table(commits).unwrap().insert(2, [0; 36].as_slice()).unwrap();
        let changes: redb::TableDefinition<'_, (u64, u32), &[u8]> = redb::TableDefinition::new("change");
        transaction.open_table(changes).unwrap().insert((2, 0), [0; 4].as_slice()).unwrap();
        let meta: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
        let mut fence = [0; 24];
        (fence[7], fence[23]) = (2, 9);
        let mut meta = transaction.open_table(meta).unwrap();
        meta.insert("fence", fence.as_slice()).unwrap();
        meta.insert("format", [2].as_slice()).unwrap();
        drop(meta);
        transaction.commit().unwrap();
    }
    for round in 0..2 {
        let store = place.open().unwrap();
        let read = store.read(&[key("a")]).await.unwrap();
        assert_eq!(read.at.revision, 2 + round);
        let entry = read.entries[0].as_ref().unwrap();
        assert_eq!((entry.created, entry.modified, &*entry.value), (1, 2, &b"1"[..]));
        let since = Position { revision: 2, commit: CommitId(9) };
        assert_eq!(store.changes(&key(""), since).await.unwrap().commits.len(), round as usize);
        store.commit(CommitId(10 + u128::from(round)), &[], &[put("b", b"1")]).await.unwrap();
    }
    let database = redb::Database::create(&place.0).unwrap();
    let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
    let mut left: Vec<String> =
        transaction.list_tables().unwrap().map(|table| redb::TableHandle::name(&table).to_owned()).collect();
    left.sort();
    assert_eq!(left, ["entry", "meta"]);
}

/// Three commits, that are in the log only.
async fn three(disks: &Disks) -> Vec<u64> {
    let store = on(disks, RedbOptions::default()).unwrap();
    let mut ends = Vec::new();
    for id in 1..=3 {
        store
            .commit(CommitId(id), &[], &[put("a", &[id as u8; 90]), put(&format!("{id}"), b"1")])
            .await
            .unwrap();
        ends.push(disks.segments()[0].1);
    }
    ends
}

#[tokio::test]
async fn file_and_log_of_two_times_or_stores_are_refused() {
    let disks = Disks::default();
    let store = on(&disks, SMALL).unwrap();
    let mut times = Vec::new();
    for id in 1..=40 {
        // More than is kept for followers, so that segments go.
        let writes = (0..15).map(|number| put(&format!("{number}"), &[id as u8; 60_000])).collect::<Vec<_>>();
        store.commit(CommitId(id), &[], &writes).await.unwrap();
        if [1, 39].contains(&id) {
            times.push(disks.copy());
        }
    }
    drop(store);
    let [early, late] = &times[..] else { panic!() };
    assert!(disks.segments()[0].0 > 1, "{:?}", disks.segments());
    let mixed = |file: &Disks, log: &Disks| on(&log.copy().with_file_of(file), SMALL).map(|_| ());
    let said = |opened: Result<(), StoreError>| match opened {
        Err(StoreError::Broken(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(said(mixed(early, &disks)).contains("the file is older"));
    assert!(said(mixed(&disks, early)).contains("older than the file"));
    // The log has all that came after this file: nothing is lost.
    assert_eq!(mixed(late, &disks), Ok(()));
    let fresh = Disks::default();
    assert!(said(mixed(&fresh, &disks)).contains("the file is new"));
    let other = Disks::default();
    three(&other).await;
    let another = Disks::default();
    let store = on(&another, SMALL).unwrap();
    for id in 11..=13 {
        store.commit(CommitId(id), &[], &[put("a", b"1")]).await.unwrap();
    }
    drop(store);
    assert!(said(mixed(&other, &another)).contains("another store"));
    // A file that was closed has everything: without its log only followers begin anew.
    let alone = disks.copy();
    for (segment, _) in alone.segments() {
        alone.lose(segment);
    }
    let store = on(&alone, SMALL).unwrap();
    assert_eq!(store.read(&[]).await.unwrap().at.revision, 40);
    assert_eq!(store.changes(&key(""), Position::default()).await.err(), Some(StoreError::Compacted));
    // A segment between others.
    let hole = disks.copy();
    hole.lose(hole.segments()[1].0);
    assert!(said(on(&hole, SMALL).map(|_| ())).contains("missing"));
}

#[tokio::test]
async fn history_in_the_log_is_bounded() {
    let place = Place::new("bounded");
    let store = Redb::open(&place.0, RedbOptions { layer_bytes: 1 << 19, ..SMALL }).unwrap();
    let large = vec![b'x'; 60_000];
    for id in 0..3_000 {
        // Mostly small ones, and what is over the bytes that are kept.
        let value = if id % 10 == 0 { &large[..] } else { b"v" };
        store.commit(CommitId(id + 1), &[], &[put(&format!("k{}", id % 100), value)]).await.unwrap();
    }
    drop(store);
    let segments = std::fs::read_dir(commits_of(&place.0)).unwrap();
    let bytes: u64 = segments.map(|segment| segment.unwrap().metadata().unwrap().len()).sum();
    // Three times 4 MiB were written, of which followers may ask for the last.
    assert!((3 << 20..(4 << 20) + (1 << 19)).contains(&bytes), "{bytes} bytes are kept");
    let store = place.open().unwrap();
    assert_eq!(store.read(&[]).await.unwrap().at.revision, 3_000);
    assert_eq!(store.resolve(CommitId(3_000)).await.unwrap().map(|at| at.revision), Some(3_000));
    assert_eq!(store.changes(&key(""), Position::default()).await.err(), Some(StoreError::Compacted));
}

#[tokio::test]
async fn when_nothing_comes_memory_is_given_back() {
    let disks = Disks::default();
    let store = on(&disks, RedbOptions { layer_bytes: 1 << 16, ..SMALL }).unwrap();
    let held = || {
        let published = store.shared.published.read().unwrap();
        let kept = published.layers.kept.as_ref().map_or(0, |layer| layer.bytes());
        published.layers.young.bytes() + kept
    };
    store.commit(CommitId(1), &[], &[put("little", &[7; 100])]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert!(held() > 0, "it is not worth it");
    store.commit(CommitId(2), &[], &[put("more", &[7; 10_000])]).await.unwrap();
    assert!(held() > 10_000);
    let begin = std::time::Instant::now();
    while held() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for name in ["little", "more"] {
        assert!(value(&store, name).await.is_some());
    }
}

#[tokio::test]
async fn what_is_written_over_and_over_does_not_fill_the_disk() {
    let disks = Disks::default();
    let store = on(&disks, RedbOptions { layer_bytes: 1 << 16, ..SMALL }).unwrap();
    for id in 0..600 {
        store.commit(CommitId(id + 1), &[], &[put("k", &[7; 20_000])]).await.unwrap();
    }
    let bytes: u64 = disks.segments().iter().map(|(_, bytes)| bytes).sum();
    // Twelve million were written.
    assert!((3 << 20..6 << 20).contains(&bytes), "{bytes} bytes are kept");
}

#[tokio::test]
async fn a_store_that_was_closed_has_no_more_in_its_log_than_followers_ask_for() {
    let disks = Disks::default();
    let store = on(&disks, RedbOptions::default()).unwrap();
    // Less than is worth a transaction.
    for id in 1..=600 {
        store.commit(CommitId(id), &[], &[put("k", &[7; 20_000])]).await.unwrap();
    }
    let bytes = |disks: &Disks| disks.segments().iter().map(|(_, bytes)| bytes).sum::<u64>();
    assert!(bytes(&disks) > 12_000_000);
    drop(store);
    assert!(bytes(&disks) < 9 << 20, "{} bytes are kept", bytes(&disks));
}

#[tokio::test]
async fn the_log_does_not_grow_with_each_start_either() {
    let bytes = |disks: &Disks| disks.segments().iter().map(|(_, bytes)| bytes).sum::<u64>();
    let mut id = 0;
    // Stopped each time, and killed each time.
    for is_killed in [false, true] {
        let mut disks = Disks::default();
        for _ in 0..100 {
            let options = RedbOptions { layer_bytes: if is_killed { 1 << 17 } else { 16 << 20 }, ..SMALL };
            let store = on(&disks, options).unwrap();
            for _ in 0..5 {
                id += 1;
                store.commit(CommitId(id), &[], &[put("k", &[7; 20_000])]).await.unwrap();
            }
            let killed = disks.copy();
            drop(store);
            if is_killed {
                disks = killed;
            }
        }
        // Ten million were written.
        assert!(bytes(&disks) < 9 << 20, "{} bytes are kept", bytes(&disks));
        assert_eq!(value(&on(&disks, SMALL).unwrap(), "k").await.map(|value| value.len()), Some(20_000));
    }
}

#[tokio::test]
async fn a_file_without_its_log_is_refused_unless_somebody_says_that_it_has_all() {
    let place = Place::new("alone");
    let store = place.open().unwrap();
    store.commit(CommitId(1), &[], &[put("a", b"1")]).await.unwrap();
    drop(store);
    let commits = commits_of(&place.0);
    std::fs::remove_dir_all(&commits).unwrap();
    for _ in 0..2 {
        match place.open().map(|_| ()) {
            Err(StoreError::Broken(why)) => assert!(why.contains("it is not there: put it back"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    std::fs::create_dir(&commits).unwrap();
    assert_eq!(value(&place.open().unwrap(), "a").await, Some(b"1".to_vec()));
}

#[tokio::test]
async fn waiting_commits_share_a_sync_and_failing_checks_cost_none() {
    let disks = Disks::default();
    let store = Arc::new(on(&disks, RedbOptions::default()).unwrap());
    store.commit(CommitId(1), &[], &[put("taken", b"1")]).await.unwrap();
    let before = disks.log_syncs();
    for id in 2..50 {
        let conflict = store.commit(CommitId(id), &[Check::Absent(key("taken"))], &[put("x", b"1")]).await;
        assert!(matches!(conflict, Err(StoreError::Conflict { .. })));
    }
    assert_eq!(disks.log_syncs(), before);
    let of_file = disks.file.syncs();
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
    let syncs = disks.log_syncs() - before;
    assert!((1..=128).contains(&syncs), "{syncs} syncs for 256 commits");
    assert_eq!(disks.file.syncs(), of_file, "the file is left alone until there is more");
}

/// Between memory and tables nothing is seen twice, not at all, or out of order, whoever reads while entries move.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_moves_to_the_tables_is_seen_all_the_time() {
    const NAMES: usize = 40;
    let disks = Disks::default();
    let store = Arc::new(on(&disks, SMALL).unwrap());
    let name = |number: usize| format!("f/{number:02}");
    // Even names are always there; odd ones come and go, two of them with each commit, one each way.
    let all: Vec<Write> = (0..NAMES).step_by(2).map(|number| put(&name(number), b"0")).collect();
    store.commit(CommitId(1), &[], &all).await.unwrap();
    store.commit(CommitId(2), &[], &[put(&name(1), b"0")]).await.unwrap();
    let (writing, is_over) = (store.clone(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let over = is_over.clone();
    let writer = tokio::spawn(async move {
        let mut at = 1;
        for id in 3..1_500_u128 {
            let next = (at + 2) % NAMES;
            let keys = [key(&name(at)), key(&name(next)), key(&name(at - 1))];
            let entries = writing.read(&keys).await.unwrap().entries;
            let gone = entries[0].as_ref().expect("the one that is there");
            assert_eq!(entries[1], None, "{id}");
            let checks = [Check::Unchanged(gone.key.clone(), gone.modified), Check::Absent(keys[1].clone())];
            let text = id.to_string();
            let writes = [
                Write::Delete(keys[0].clone()),
                Write::Put(keys[1].clone(), text.as_bytes().into()),
                Write::Put(keys[2].clone(), text.as_bytes().into()),
            ];
            writing.commit(CommitId(id), &checks, &writes).await.unwrap();
            at = next;
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let readers = (0..2).map(|reader| {
        let (store, is_over) = (store.clone(), is_over.clone());
        tokio::spawn(async move {
            let mut lists = 0_u32;
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                let limit = NonZeroU16::new(if reader == 0 { 100 } else { 21 }).unwrap();
                let page = store.list(&key("f/"), None, limit).await.unwrap();
                let names: Vec<&[u8]> = page.entries.iter().map(|entry| entry.key.as_bytes()).collect();
                assert!(names.is_sorted() && names.len() == NAMES / 2 + 1 && !page.more, "{names:?}");
                let few =
                    store.list(&key("f/"), Some(&key("f/10")), NonZeroU16::new(3).unwrap()).await.unwrap();
                assert!(few.more && few.entries.len() == 3);
                let read = store
                    .read(&(0..NAMES).map(|number| key(&name(number))).collect::<Vec<_>>())
                    .await
                    .unwrap();
                let there = |(number, entry): (usize, &Option<Entry>)| (number % 2 == 0) == entry.is_some();
                assert_eq!(read.entries.iter().enumerate().filter(|pair| !there(*pair)).count(), 1);
                lists += 1;
                tokio::task::yield_now().await;
            }
            lists
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert!(reader.await.unwrap() > 10);
    }
    writer.await.unwrap();
    assert!(disks.file.syncs() > 100, "{} syncs: layers were kept meanwhile", disks.file.syncs());
}
