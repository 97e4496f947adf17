//! The embedded backend on redb: one writer thread that makes one durable transaction out of the commits that wait, readers that are
//! served from memory where an entry is hot and else from the snapshot of the last published commit.
//!
//! A commit is decided against the published snapshot and the batch's own earlier writes, is durable before anyone sees it, and is
//! published, position and entries together, before its verdict is told.

use crate::{
    contract::{
        Changes, Check, CommitId, Entry, Key, LIST_MAX, Page, Position, READ_KEYS_MAX, REPLY_BYTES_MAX,
        Snapshot, Store, StoreError, Write, validate,
    },
    history::{self, History},
};
use async_trait::async_trait;
use redb::{Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};
use std::{
    collections::HashMap,
    num::NonZeroU16,
    ops::Bound,
    path::Path,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};
use tokio::sync::oneshot;

/// Key to `created ++ modified ++ value`, the revisions big-endian.
const ENTRIES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("entry");
/// `fence` to `revision ++ commit id`, big-endian; `format` to the format's version.
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const FORMAT: &[u8] = &[1];
/// Commits of one durable transaction.
const BATCH_COMMITS_MAX: usize = 64;
/// Bytes of keys and values of one durable transaction, over which no further commit joins.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Commits that may wait for the writer before further ones are told that the store is unavailable.
const WAITING_MAX: usize = 4_096;

/// How much memory an embedded store may use.
#[derive(Clone, Copy, Debug)]
pub struct RedbOptions {
    /// Bytes of redb's page cache.
    pub page_cache_bytes: usize,
    /// Bytes of keys and values of hot entries.
    pub entry_cache_bytes: usize,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { page_cache_bytes: 8 * 1024 * 1024, entry_cache_bytes: 8 * 1024 * 1024 }
    }
}

/// A durable store in one file.
pub struct Redb {
    shared: Arc<Shared>,
    /// `None` once dropping: that ends the writer.
    commits: Option<mpsc::SyncSender<Waiting>>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    published: RwLock<Published>,
    history: History,
    /// A commit's outcome is unknown: nothing more may be written through this handle.
    is_poisoned: AtomicBool,
    entry_cache_bytes: usize,
}

/// What readers see: one position, its table, and hot entries of exactly that position.
struct Published {
    at: Position,
    table: Arc<ReadOnlyTable<&'static [u8], &'static [u8]>>,
    hot: Hot,
}

/// Entries by key in two generations: when the young one has its half of the bytes, it becomes the old one and the old one goes.
#[derive(Default)]
struct Hot {
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
    young_bytes: usize,
}

struct Waiting {
    id: CommitId,
    checks: Vec<Check>,
    writes: Vec<Write>,
    verdict: oneshot::Sender<Result<Position, StoreError>>,
}

impl Redb {
    /// Opens or creates a store in one file.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if another process has it open or the file cannot be opened; [`StoreError::Broken`] if it is not ours.
    pub fn open(path: &Path, options: RedbOptions) -> Result<Self, StoreError> {
        let database =
            Database::builder().set_cache_size(options.page_cache_bytes).create(path).map_err(|error| {
                match error {
                    DatabaseError::DatabaseAlreadyOpen => {
                        StoreError::Unavailable("another process has the store open".to_owned())
                    }
                    DatabaseError::Storage(error) => unavailable(error),
                    other => StoreError::Broken(other.to_string()),
                }
            })?;
        let at = prepare(&database)?;
        let table = Arc::new(open_table(&database)?);
        let shared = Arc::new(Shared {
            published: RwLock::new(Published { at, table, hot: Hot::default() }),
            history: History::starting(at),
            is_poisoned: AtomicBool::new(false),
            entry_cache_bytes: options.entry_cache_bytes,
        });
        let (commits, waiting) = mpsc::sync_channel(WAITING_MAX);
        let writer = Writer { database, shared: shared.clone() };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { shared, commits: Some(commits), writer: Some(writer) })
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        // What waits is still committed; then the file is closed, so that it may be opened again at once.
        drop(self.commits.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Store for Redb {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        if keys.len() > READ_KEYS_MAX {
            return Err(StoreError::TooLarge { what: "keys of a read", limit: READ_KEYS_MAX });
        }
        let (at, table, mut entries) = {
            let published = self.shared.published.read().map_err(poisoned)?;
            let entries: Vec<Option<Entry>> = keys.iter().map(|key| published.hot.get(key)).collect();
            if entries.iter().all(Option::is_some) {
                return Ok(Snapshot { at: published.at, entries });
            }
            (published.at, published.table.clone(), entries)
        };
        let mut found = Vec::new();
        for (slot, key) in entries.iter_mut().zip(keys).filter(|(slot, _)| slot.is_none()) {
            *slot = fetch(&table, key)?;
            found.extend(slot.clone());
        }
        if !found.is_empty() {
            let mut published = self.shared.published.write().map_err(poisoned)?;
            // An entry of an older position may be stale by now.
            if published.at == at {
                for entry in found {
                    published.hot.insert(entry, self.shared.entry_cache_bytes);
                }
            }
        }
        Ok(Snapshot { at, entries })
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let (at, table) = {
            let published = self.shared.published.read().map_err(poisoned)?;
            (published.at, published.table.clone())
        };
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after.as_bytes()),
            _ => Bound::Included(prefix.as_bytes()),
        };
        let mut page = Page { at, entries: Vec::new(), more: false };
        let mut bytes = 0;
        for row in table.range::<&[u8]>((from, Bound::Unbounded)).map_err(unavailable)? {
            let (key, stored) = row.map_err(unavailable)?;
            if !key.value().starts_with(prefix.as_bytes()) {
                break;
            }
            let entry = parse(Key::new(key.value()), stored.value())?;
            bytes += entry.key.as_bytes().len() + entry.value.len();
            let is_full =
                page.entries.len() >= usize::from(limit.get().min(LIST_MAX)) || bytes > REPLY_BYTES_MAX;
            if is_full && !page.entries.is_empty() {
                page.more = true;
                break;
            }
            page.entries.push(entry);
        }
        Ok(page)
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        validate(checks, writes)?;
        let (verdict, told) = oneshot::channel();
        let waiting = Waiting { id, checks: checks.to_vec(), writes: writes.to_vec(), verdict };
        let commits = self.commits.as_ref().ok_or_else(closed)?;
        commits.try_send(waiting).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => StoreError::Unavailable("too many commits are waiting".to_owned()),
            mpsc::TrySendError::Disconnected(_) => closed(),
        })?;
        told.await.unwrap_or(Err(StoreError::Unknown(id)))
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        if self.shared.is_poisoned.load(Ordering::Acquire) {
            return Err(StoreError::Unknown(id));
        }
        // Through the writer's queue, so that an attempt that still waits there is decided first.
        match self.commit(id, &[], &[]).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(self.shared.history.resolve(id)),
            Err(error) => Err(error),
        }
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        self.shared.history.changes(prefix, after).await
    }
}

/// The one thread that writes.
struct Writer {
    database: Database,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(&self, waiting: &mpsc::Receiver<Waiting>) {
        while let Ok(first) = waiting.recv() {
            let mut bytes = size(&first);
            let mut batch = vec![first];
            while batch.len() < BATCH_COMMITS_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(next) = waiting.try_recv() else { break };
                bytes += size(&next);
                batch.push(next);
            }
            self.commit_batch(batch);
        }
    }

    fn commit_batch(&self, batch: Vec<Waiting>) {
        let Ok((mut at, table)) =
            self.shared.published.read().map(|published| (published.at, published.table.clone()))
        else {
            return;
        };
        let before = at;
        // Key to its entry's `created` and `modified` as this batch leaves it; `None` is deleted.
        let mut overlay: HashMap<Key, Option<(u64, u64)>> = HashMap::new();
        let mut accepted: Vec<(Position, Waiting)> = Vec::new();
        for waiting in batch {
            if self.shared.is_poisoned.load(Ordering::Acquire) {
                let _ = waiting.verdict.send(Err(closed()));
                continue;
            }
            let repeated = accepted
                .iter()
                .find(|(position, _)| position.commit == waiting.id)
                .map(|(position, _)| *position);
            if let Some(earlier) = repeated.map(Ok).or_else(|| self.shared.history.earlier(waiting.id)) {
                let _ = waiting.verdict.send(earlier);
                continue;
            }
            let revisions = |key: &Key| match overlay.get(key) {
                Some(known) => Ok(*known),
                None => fetch(&table, key).map(|entry| entry.map(|entry| (entry.created, entry.modified))),
            };
            let decided =
                history::decide(&waiting.checks, |key| Ok(revisions(key)?.map(|(_, modified)| modified)));
            let next = Position { revision: at.revision + 1, commit: waiting.id };
            let created: Result<Vec<u64>, StoreError> = waiting
                .writes
                .iter()
                .map(|write| Ok(revisions(write.key())?.map_or(next.revision, |(created, _)| created)))
                .collect();
            match decided.and(created) {
                Err(error) => drop(waiting.verdict.send(Err(error))),
                Ok(_) if waiting.writes.is_empty() => drop(waiting.verdict.send(Ok(at))),
                Ok(created) => {
                    for (write, created) in waiting.writes.iter().zip(created) {
                        let left = matches!(write, Write::Put(..)).then_some((created, next.revision));
                        overlay.insert(write.key().clone(), left);
                    }
                    at = next;
                    accepted.push((next, waiting));
                }
            }
        }
        if at == before {
            return;
        }
        match self.write(&accepted, &overlay, at) {
            Ok(table) => self.publish(accepted, &overlay, at, table),
            Err(failure) => self.fail(accepted, &failure),
        }
    }

    /// One durable transaction. An error before its commit changes nothing; one from the commit itself leaves the outcome unknown.
    fn write(
        &self,
        accepted: &[(Position, Waiting)],
        overlay: &HashMap<Key, Option<(u64, u64)>>,
        at: Position,
    ) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, Failure> {
        let before = |error: redb::Error| Failure::Before(of_engine(&error));
        let mut transaction = self.database.begin_write().map_err(|error| before(error.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|error| before(error.into()))?;
        {
            let mut entries = transaction.open_table(ENTRIES).map_err(|error| before(error.into()))?;
            let mut stored = Vec::new();
            for write in accepted.iter().flat_map(|(_, waiting)| &waiting.writes) {
                match (write, overlay.get(write.key()).copied().flatten()) {
                    (Write::Put(key, value), Some((created, modified))) => {
                        stored.clear();
                        stored.extend_from_slice(&created.to_be_bytes());
                        stored.extend_from_slice(&modified.to_be_bytes());
                        stored.extend_from_slice(value);
                        entries
                            .insert(key.as_bytes(), stored.as_slice())
                            .map_err(|error| before(error.into()))?;
                    }
                    // Deleted here, or put here and deleted by a later commit of this batch.
                    (write, _) => {
                        drop(entries.remove(write.key().as_bytes()).map_err(|error| before(error.into()))?)
                    }
                }
            }
            let mut meta = transaction.open_table(META).map_err(|error| before(error.into()))?;
            meta.insert("fence", fence_bytes(at).as_slice()).map_err(|error| before(error.into()))?;
        }
        transaction.commit().map_err(|error| Failure::Unknown(error.to_string()))?;
        open_table(&self.database).map_err(|error| Failure::Unknown(error.to_string()))
    }

    fn publish(
        &self,
        accepted: Vec<(Position, Waiting)>,
        overlay: &HashMap<Key, Option<(u64, u64)>>,
        at: Position,
        table: ReadOnlyTable<&'static [u8], &'static [u8]>,
    ) {
        let Ok(mut published) = self.shared.published.write() else { return };
        published.at = at;
        published.table = Arc::new(table);
        for write in accepted.iter().flat_map(|(_, waiting)| &waiting.writes) {
            match (write, overlay.get(write.key()).copied().flatten()) {
                (Write::Put(key, value), Some((created, modified))) => {
                    // Only what is hot already: a bulk load must not push out what is being read.
                    if published.hot.forget(key) {
                        let entry = Entry::new(key.clone(), value.clone(), created, modified);
                        published.hot.insert(entry, self.shared.entry_cache_bytes);
                    }
                }
                (write, _) => drop(published.hot.forget(write.key())),
            }
        }
        for (position, waiting) in &accepted {
            self.shared.history.applied(*position, &waiting.writes);
        }
        drop(published);
        for (position, waiting) in accepted {
            let _ = waiting.verdict.send(Ok(position));
        }
    }

    fn fail(&self, accepted: Vec<(Position, Waiting)>, failure: &Failure) {
        if matches!(failure, Failure::Unknown(_)) {
            self.shared.is_poisoned.store(true, Ordering::Release);
        }
        for (_, waiting) in accepted {
            let error = match failure {
                Failure::Before(error) => error.clone(),
                Failure::Unknown(_) => StoreError::Unknown(waiting.id),
            };
            let _ = waiting.verdict.send(Err(error));
        }
    }
}

/// Why a transaction did not succeed.
enum Failure {
    /// Nothing happened.
    Before(StoreError),
    /// It may be durable; only opening the file again tells.
    Unknown(
        #[expect(dead_code, reason = "read in a debugger; the caller is told the commit id only")] String,
    ),
}

impl Hot {
    fn get(&self, key: &Key) -> Option<Entry> {
        self.young.get(key).or_else(|| self.old.get(key)).cloned()
    }

    fn insert(&mut self, entry: Entry, bytes_max: usize) {
        let bytes = entry.key.as_bytes().len() + entry.value.len();
        if self.young_bytes + bytes > bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if bytes <= bytes_max / 2 {
            self.young_bytes += bytes;
            self.young.insert(entry.key.clone(), entry);
        }
    }

    /// Was it there?
    fn forget(&mut self, key: &Key) -> bool {
        let young = self.young.remove(key);
        if let Some(entry) = &young {
            self.young_bytes -= entry.key.as_bytes().len() + entry.value.len();
        }
        self.old.remove(key).is_some() || young.is_some()
    }
}

/// Makes the tables of a new file, checks the format of an old one, and answers where it stands.
fn prepare(database: &Database) -> Result<Position, StoreError> {
    let broken = |error: redb::Error| StoreError::Broken(error.to_string());
    let is_new = {
        let transaction = database.begin_read().map_err(|error| broken(error.into()))?;
        matches!(transaction.open_table(META), Err(redb::TableError::TableDoesNotExist(_)))
    };
    if is_new {
        let transaction = database.begin_write().map_err(|error| broken(error.into()))?;
        {
            transaction.open_table(ENTRIES).map_err(|error| broken(error.into()))?;
            let mut meta = transaction.open_table(META).map_err(|error| broken(error.into()))?;
            meta.insert("format", FORMAT).map_err(|error| broken(error.into()))?;
            meta.insert("fence", fence_bytes(Position::default()).as_slice())
                .map_err(|error| broken(error.into()))?;
        }
        transaction.commit().map_err(|error| broken(error.into()))?;
    }
    let transaction = database.begin_read().map_err(|error| broken(error.into()))?;
    let meta = transaction.open_table(META).map_err(|error| broken(error.into()))?;
    let format = meta.get("format").map_err(unavailable)?;
    if format.as_ref().map(redb::AccessGuard::value) != Some(FORMAT) {
        return Err(StoreError::Broken("the store's format is of another version of keyless".to_owned()));
    }
    let fence = meta.get("fence").map_err(unavailable)?;
    fence
        .and_then(|fence| position(fence.value()))
        .ok_or_else(|| StoreError::Broken("the store has no fence".to_owned()))
}

fn open_table(database: &Database) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, StoreError> {
    let transaction = database.begin_read().map_err(|error| StoreError::Broken(error.to_string()))?;
    transaction.open_table(ENTRIES).map_err(|error| StoreError::Broken(error.to_string()))
}

fn fetch(
    table: &ReadOnlyTable<&'static [u8], &'static [u8]>,
    key: &Key,
) -> Result<Option<Entry>, StoreError> {
    let stored = table.get(key.as_bytes()).map_err(unavailable)?;
    stored.map(|stored| parse(key.clone(), stored.value())).transpose()
}

fn parse(key: Key, stored: &[u8]) -> Result<Entry, StoreError> {
    let revision = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
    match stored
        .split_first_chunk::<8>()
        .and_then(|(created, rest)| Some((created, rest.split_first_chunk::<8>()?)))
    {
        Some((created, (modified, value))) => {
            Ok(Entry::new(key, value.into(), revision(created), revision(modified)))
        }
        None => Err(StoreError::Broken(format!("the entry at {key:?} is too short"))),
    }
}

fn fence_bytes(at: Position) -> Vec<u8> {
    [at.revision.to_be_bytes().as_slice(), at.commit.0.to_be_bytes().as_slice()].concat()
}

fn position(fence: &[u8]) -> Option<Position> {
    let (revision, commit) = fence.split_first_chunk::<8>()?;
    Some(Position {
        revision: u64::from_be_bytes(*revision),
        commit: CommitId(u128::from_be_bytes(commit.try_into().ok()?)),
    })
}

fn size(waiting: &Waiting) -> usize {
    let of = |write: &Write| match write {
        Write::Put(key, value) => key.as_bytes().len() + value.len(),
        Write::Delete(key) => key.as_bytes().len(),
    };
    waiting.writes.iter().map(of).sum()
}

fn of_engine(error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => {
            StoreError::Full("the disk is full".to_owned())
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

fn unavailable(error: redb::StorageError) -> StoreError {
    of_engine(&error.into())
}

fn poisoned<T>(_: std::sync::PoisonError<T>) -> StoreError {
    StoreError::Broken("a thread of the store has panicked".to_owned())
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store has stopped writing: start the server again".to_owned())
}
