//! The tables of the file: entries, kept commits with their changes, and where the store stands. What is written, how it is read again,
//! and what is checked when a file is opened.

use crate::{
    contract::{CommitId, Entry, Key, Position, StoreError},
    history::{Change, History},
    key::ByKey,
};
use redb::{
    AccessGuard, Database, DatabaseError, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    ReadableTable, TableDefinition, TableError, WriteTransaction,
};
use std::sync::Arc;

/// Key to `created ++ modified ++ value`, the revisions big-endian.
const ENTRIES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("entry");
/// Revision to `commit id ++ previous commit id ++ number of changes`, big-endian.
pub(super) const COMMITS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("commit");
/// Revision and number in its commit to `key length (2) ++ key ++ 0`, a delete, or `key length (2) ++ key ++ 1 ++ value`.
pub(super) const CHANGES: TableDefinition<'static, (u64, u32), &[u8]> = TableDefinition::new("change");
/// `fence` to `revision ++ commit id`, big-endian; `format` to the format's version.
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// Format 1 had no kept commits.
const FORMAT: &[u8] = &[2];

/// The entries as of one transaction.
pub(super) type Entries = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What a batch leaves at a key: `created`, `modified` and value, or `None` for nothing.
pub(super) type Left = Option<(u64, u64, Arc<[u8]>)>;

/// What one durable transaction is to change.
pub(super) struct Batch<'a> {
    /// Where the store stood.
    pub(super) before: Position,
    /// Each commit with its changes.
    pub(super) commits: Vec<(Position, &'a [Change])>,
    /// What it leaves at each key that it writes.
    pub(super) entries: &'a ByKey<Left>,
    /// Kept commits up to and with this revision may go.
    pub(super) prune_through: u64,
    /// How many are kept beyond it.
    pub(super) kept: usize,
}

/// Makes the tables of a new file.
pub(super) fn create(database: &Database) -> Result<(), redb::Error> {
    let is_new = matches!(database.begin_read()?.open_table(META), Err(TableError::TableDoesNotExist(_)));
    if is_new {
        let transaction = database.begin_write()?;
        {
            transaction.open_table(ENTRIES)?;
            transaction.open_table(COMMITS)?;
            transaction.open_table(CHANGES)?;
            let mut meta = transaction.open_table(META)?;
            meta.insert("format", FORMAT)?;
            meta.insert("fence", fence_bytes(Position::default()).as_slice())?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// Reads where an opened file stands and its kept commits, and checks that they are whole and a chain up to there.
pub(super) fn load(database: &Database) -> Result<(Position, History), StoreError> {
    let transaction = database.begin_read().map_err(|error| of_engine(&error.into()))?;
    let meta = open(&transaction, META)?;
    let format = meta.get("format").map_err(unavailable)?;
    if format.as_ref().map(AccessGuard::value) != Some(FORMAT) {
        return Err(StoreError::Broken("its format is of another version of keyless".to_owned()));
    }
    let fence = meta.get("fence").map_err(unavailable)?;
    let at = fence.and_then(|fence| position(fence.value())).ok_or_else(|| broken("it has no fence"))?;
    let (commits, changes) = (open(&transaction, COMMITS)?, open(&transaction, CHANGES)?);
    let mut history: Option<History> = None;
    let mut reached = Position::default();
    for row in commits.iter().map_err(unavailable)? {
        let (revision, stored) = row.map_err(unavailable)?;
        let (revision, kept) = (revision.value(), stored.value());
        let (id, previous, count) = commit_row(kept).ok_or_else(|| broken("a kept commit is cut short"))?;
        let started = history.get_or_insert_with(|| {
            reached = Position { revision: revision.saturating_sub(1), commit: previous };
            History::starting(reached)
        });
        if previous != reached.commit || revision != reached.revision + 1 {
            return Err(broken("a commit is missing from those that are kept"));
        }
        reached = Position { revision, commit: id };
        let made = changes_of(&changes, revision)?;
        if made.len() != count {
            return Err(broken("a commit is not whole: its changes are not as many as it says"));
        }
        started.applied(reached, made);
    }
    match history {
        _ if at.revision == 0 => Ok((at, History::starting(at))),
        Some(history) if reached == at => Ok((at, history)),
        _ => Err(broken("its last commit is not where it stands")),
    }
}

/// The entries of the last durable commit.
pub(super) fn entries(database: &Database) -> Result<Entries, StoreError> {
    open(&database.begin_read().map_err(|error| of_engine(&error.into()))?, ENTRIES)
}

/// Everything of a batch in a transaction that is ready to commit.
pub(super) fn write(database: &Database, batch: &Batch<'_>) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut entries = transaction.open_table(ENTRIES)?;
        let mut row = Vec::new();
        // In their order, as they stand in the file: what is next to each other is changed together.
        let mut ordered: Vec<_> = batch.entries.iter().collect();
        ordered.sort_unstable_by_key(|(key, _)| *key);
        for (key, left) in ordered {
            let Some((created, modified, value)) = left else {
                entries.remove(key.as_bytes())?;
                continue;
            };
            row.clear();
            row.extend_from_slice(&created.to_be_bytes());
            row.extend_from_slice(&modified.to_be_bytes());
            row.extend_from_slice(value);
            entries.insert(key.as_bytes(), row.as_slice())?;
        }
        let mut commits = transaction.open_table(COMMITS)?;
        let mut changes = transaction.open_table(CHANGES)?;
        let mut previous = batch.before.commit;
        for (position, made) in &batch.commits {
            let mut count = 0_u32;
            for (key, value) in *made {
                row.clear();
                // A key's length fits: `contract::KEY_BYTES_MAX`.
                row.extend_from_slice(&(key.as_bytes().len() as u16).to_be_bytes());
                row.extend_from_slice(key.as_bytes());
                row.push(u8::from(value.is_some()));
                row.extend_from_slice(value.as_deref().unwrap_or_default());
                changes.insert((position.revision, count), row.as_slice())?;
                count += 1;
            }
            row.clear();
            row.extend_from_slice(&position.commit.0.to_be_bytes());
            row.extend_from_slice(&previous.0.to_be_bytes());
            row.extend_from_slice(&count.to_be_bytes());
            commits.insert(position.revision, row.as_slice())?;
            previous = position.commit;
        }
        let oldest = commits.first()?.map_or(0, |(revision, _)| revision.value());
        // An eighth at a time: whole pages of them, not a row from one page in each transaction.
        if batch.prune_through.saturating_sub(oldest) > batch.kept as u64 / 8 {
            commits.retain_in(..=batch.prune_through, |_, _| false)?;
            changes.retain_in(..=(batch.prune_through, u32::MAX), |_, _| false)?;
        }
        let at = batch.commits.last().map_or(batch.before, |(position, _)| *position);
        transaction.open_table(META)?.insert("fence", fence_bytes(at).as_slice())?;
    }
    Ok(transaction)
}

/// The entry at a key.
pub(super) fn fetch(entries: &Entries, key: &Key) -> Result<Option<Entry>, StoreError> {
    let stored = entries.get(key.as_bytes()).map_err(unavailable)?;
    stored.map(|stored| entry(key.clone(), stored.value())).transpose()
}

/// Does any key begin with this?
pub(super) fn is_occupied(entries: &Entries, prefix: &[u8]) -> Result<bool, StoreError> {
    let first =
        entries.range::<&[u8]>(prefix..).map_err(unavailable)?.next().transpose().map_err(unavailable)?;
    Ok(first.is_some_and(|(key, _)| key.value().starts_with(prefix)))
}

/// When the entry at a key came to be and was last modified.
pub(super) fn revisions(entries: &Entries, key: &Key) -> Result<Option<(u64, u64)>, StoreError> {
    let stored = entries.get(key.as_bytes()).map_err(unavailable)?;
    let parse = |stored: AccessGuard<'_, &[u8]>| {
        entry_row(stored.value()).map(|(created, modified, _)| (created, modified))
    };
    stored.map(|stored| parse(stored).ok_or_else(|| broken("an entry is cut short"))).transpose()
}

/// An entry from its row.
pub(super) fn entry(key: Key, row: &[u8]) -> Result<Entry, StoreError> {
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
        other => StoreError::Broken(other.to_string()),
    })
}

fn changes_of(
    changes: &ReadOnlyTable<(u64, u32), &'static [u8]>,
    revision: u64,
) -> Result<Vec<Change>, StoreError> {
    let mut made = Vec::new();
    for row in changes.range((revision, 0)..=(revision, u32::MAX)).map_err(unavailable)? {
        let (_, row) = row.map_err(unavailable)?;
        made.push(change(row.value()).ok_or_else(|| broken("a kept change is cut short"))?);
    }
    Ok(made)
}

fn change(row: &[u8]) -> Option<Change> {
    let (length, rest) = row.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (is_put, value) = rest.split_first()?;
    Some((Key::new(key), (*is_put == 1).then(|| value.into())))
}

fn commit_row(row: &[u8]) -> Option<(CommitId, CommitId, usize)> {
    let (id, rest) = row.split_first_chunk::<16>()?;
    let (previous, count) = rest.split_first_chunk::<16>()?;
    let count = u32::from_be_bytes(count.try_into().ok()?);
    let id_of = |bytes: &[u8; 16]| CommitId(u128::from_be_bytes(*bytes));
    Some((id_of(id), id_of(previous), usize::try_from(count).ok()?))
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
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => {
            StoreError::Full("the disk has no room".to_owned())
        }
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            StoreError::Unavailable(error.to_string())
        }
        other => StoreError::Broken(other.to_string()),
    }
}

/// A read that failed.
pub(super) fn unavailable(error: redb::StorageError) -> StoreError {
    of_engine(&error.into())
}

/// Why a file does not open.
pub(super) fn not_opened(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            StoreError::Unavailable("another process has the store open".to_owned())
        }
        other => of_engine(&other.into()),
    }
}

fn broken(why: &str) -> StoreError {
    StoreError::Broken(why.to_owned())
}
