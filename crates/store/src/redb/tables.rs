//! The tables of the file: entries, and up to which commit they are kept. What is written, and how it is read again.

use super::layer::Layer;
use crate::contract::{CommitId, Entry, Key, Position, StoreError};
use redb::{
    AccessGuard, Database, DatabaseError, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    StorageError, TableDefinition, TableError,
};
use std::{
    io::ErrorKind,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Key to `created ++ modified ++ value`, the revisions big-endian.
const ENTRIES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("entry");
/// `fence` to `revision ++ commit id`, big-endian: the last commit whose entries are here; `format` to the format's version.
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// Format 2 had its last commits in the file, 1 had none.
const FORMAT: &[u8] = &[3];
/// The format that is taken over, and the tables that were its history.
const FORMAT_BEFORE: &[u8] = &[2];
const TABLES_BEFORE: [TableDefinition<'static, &[u8], &[u8]>; 2] =
    [TableDefinition::new("commit"), TableDefinition::new("change")];

/// The entries as of one transaction.
pub(super) type Entries = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What a file is when it is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Without tables.
    New,
    /// Of the format before, which had no log beside it.
    Before,
    /// Of ours, or of one that will be refused.
    Ours,
}

/// What is this file?
pub(super) fn kind(database: &Database) -> Result<State, StoreError> {
    guarded(|| state(database).map_err(|error| of_engine(&error)))
}

fn state(database: &Database) -> Result<State, redb::Error> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(State::New),
        opened => opened?,
    };
    let is_before = meta.get("format")?.as_ref().map(AccessGuard::value) == Some(FORMAT_BEFORE);
    Ok(if is_before { State::Before } else { State::Ours })
}

/// Makes the tables of a new file, and takes over one of the format before: what it has for followers ends, as none outlived the process.
pub(super) fn create(database: &Database) -> Result<(), StoreError> {
    guarded(|| made_ours(database).map_err(|error| of_engine(&error)))
}

fn made_ours(database: &Database) -> Result<(), redb::Error> {
    let is_new = match state(database)? {
        State::New => true,
        State::Before => false,
        State::Ours => return Ok(()),
    };
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    {
        transaction.open_table(ENTRIES)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        if is_new {
            meta.insert("fence", fence_bytes(Position::default()).as_slice())?;
        }
    }
    for table in TABLES_BEFORE.iter().filter(|_| !is_new) {
        // By its name: of other types than it says here.
        transaction.delete_table(*table)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Up to which commit an opened file has entries.
pub(super) fn fence(database: &Database) -> Result<Position, StoreError> {
    guarded(|| {
        let transaction = database.begin_read().map_err(|error| of_engine(&error.into()))?;
        let meta = open(&transaction, META)?;
        let format = meta.get("format").map_err(unavailable)?;
        if format.as_ref().map(AccessGuard::value) != Some(FORMAT) {
            return Err(StoreError::Broken("its format is of another version of keyless".to_owned()));
        }
        let fence = meta.get("fence").map_err(unavailable)?;
        fence.and_then(|fence| position(fence.value())).ok_or_else(|| broken("it has no fence"))
    })
}

/// The entries of the last durable commit.
pub(super) fn entries(database: &Database) -> Result<Entries, StoreError> {
    guarded(|| open(&database.begin_read().map_err(|error| of_engine(&error.into()))?, ENTRIES))
}

/// Makes all of a layer durable.
pub(super) fn write(database: &Database, layer: &Layer) -> Result<(), StoreError> {
    guarded(|| put_down(database, layer).map_err(|error| of_engine(&error)))
}

fn put_down(database: &Database, layer: &Layer) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // A file that was not closed is open again at once, however large it is.
    transaction.set_quick_repair(true);
    {
        let mut entries = transaction.open_table(ENTRIES)?;
        let mut row = Vec::new();
        for (key, left) in layer.entries() {
            let Some(entry) = left else {
                entries.remove(key.as_bytes())?;
                continue;
            };
            row.clear();
            row.extend_from_slice(&entry.created.to_be_bytes());
            row.extend_from_slice(&entry.modified.to_be_bytes());
            row.extend_from_slice(&entry.value);
            entries.insert(key.as_bytes(), row.as_slice())?;
        }
        transaction.open_table(META)?.insert("fence", fence_bytes(layer.at).as_slice())?;
    }
    transaction.commit()?;
    Ok(())
}

/// Opens a file. One that is too short, or another kind of file, is no matter of the disk.
pub(super) fn opened(open: impl FnOnce() -> Result<Database, DatabaseError>) -> Result<Database, StoreError> {
    guarded(|| open().map_err(not_opened))
}

/// Asks the engine, which panics where a page is not as it was written. The panic ends here, so that it poisons no lock of ours; if it has
/// poisoned one of the engine's, all that is asked after it comes to the same.
fn guarded<T>(ask: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let told = catch_unwind(AssertUnwindSafe(ask));
    told.unwrap_or_else(|_| Err(broken("a page of its file is not as it was written")))
}

/// The entry at a key.
pub(super) fn fetch(entries: &Entries, key: &Key) -> Result<Option<Entry>, StoreError> {
    guarded(|| {
        let stored = entries.get(key.as_bytes()).map_err(unavailable)?;
        stored.map(|stored| entry(key.clone(), stored.value())).transpose()
    })
}

/// Does any key begin with this?
pub(super) fn is_occupied(entries: &Entries, prefix: &[u8]) -> Result<bool, StoreError> {
    guarded(|| {
        let mut rows = entries.range::<&[u8]>(prefix..).map_err(unavailable)?;
        let first = rows.next().transpose().map_err(unavailable)?;
        Ok(first.is_some_and(|(key, _)| key.value().starts_with(prefix)))
    })
}

/// When the entry at a key came to be and was last modified.
pub(super) fn revisions(entries: &Entries, key: &Key) -> Result<Option<(u64, u64)>, StoreError> {
    guarded(|| {
        let stored = entries.get(key.as_bytes()).map_err(unavailable)?;
        let parse = |stored: AccessGuard<'_, &[u8]>| {
            entry_row(stored.value()).map(|(created, modified, _)| (created, modified))
        };
        stored.map(|stored| parse(stored).ok_or_else(|| broken("an entry is cut short"))).transpose()
    })
}

/// Entries in key order.
pub(super) fn range<'a>(
    entries: &'a Entries,
    from: Bound<&'a [u8]>,
) -> Result<impl Iterator<Item = Result<Entry, StoreError>> + 'a, StoreError> {
    let mut rows = guarded(|| entries.range::<&[u8]>((from, Bound::Unbounded)).map_err(unavailable))?;
    let mut next = move || {
        guarded(|| match rows.next() {
            None => Ok(None),
            Some(row) => {
                let (key, row) = row.map_err(unavailable)?;
                entry(Key::new(key.value()), row.value()).map(Some)
            }
        })
    };
    Ok(std::iter::from_fn(move || next().transpose()))
}

/// An entry from its row.
fn entry(key: Key, row: &[u8]) -> Result<Entry, StoreError> {
    let (created, modified, value) = entry_row(row).ok_or_else(|| broken("an entry is cut short"))?;
    Ok(Entry::new(key, value.into(), created, modified))
}

fn entry_row(row: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (created, rest) = row.split_first_chunk::<8>()?;
    let (modified, value) = rest.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*created), u64::from_be_bytes(*modified), value))
}

fn open<K: redb::Key + 'static, V: redb::Value + 'static>(
    transaction: &ReadTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<ReadOnlyTable<K, V>, StoreError> {
    transaction.open_table(table).map_err(|error| match error {
        TableError::Storage(error) => unavailable(error),
        other => broken(&other.to_string()),
    })
}

fn fence_bytes(at: Position) -> [u8; 24] {
    let mut bytes = [0; 24];
    let parts = at.revision.to_be_bytes().into_iter().chain(at.commit.0.to_be_bytes());
    for (slot, byte) in bytes.iter_mut().zip(parts) {
        *slot = byte;
    }
    bytes
}

fn position(fence: &[u8]) -> Option<Position> {
    let (revision, commit) = fence.split_first_chunk::<8>()?;
    Some(Position {
        revision: u64::from_be_bytes(*revision),
        commit: CommitId(u128::from_be_bytes(commit.try_into().ok()?)),
    })
}

/// What an engine's error says to a caller, where nothing can have happened.
pub(super) fn of_engine(error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Io(io) if super::is_full(io) => super::full(),
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            StoreError::Unavailable(error.to_string())
        }
        other => broken(&other.to_string()),
    }
}

/// A read that failed.
pub(super) fn unavailable(error: redb::StorageError) -> StoreError {
    of_engine(&error.into())
}

/// Why a file does not open.
fn not_opened(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            StoreError::Unavailable("another process has the store open".to_owned())
        }
        DatabaseError::Storage(StorageError::Io(error))
            if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) =>
        {
            broken(&format!("its file is none of a store, or a part of one ({error})"))
        }
        other => of_engine(&other.into()),
    }
}

fn broken(why: &str) -> StoreError {
    StoreError::Broken(format!("{why}: {}", crate::contract::BACKUP))
}
