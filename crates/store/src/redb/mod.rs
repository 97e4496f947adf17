//! The embedded backend on redb: one writer thread that makes one durable transaction out of the commits that wait, readers that are
//! served from memory where an entry is hot and else from the snapshot of the last published commit.
//!
//! A commit is durable before anyone sees it, and is published, position and entries together, before its verdict is told. The file
//! keeps recent commits too, so that followers and unresolved attempts survive a restart.

mod hot;
mod queue;
mod tables;
#[cfg(test)]
mod tests;
mod told;
mod writer;

use crate::{
    contract::{
        Changes, Check, CommitId, Entry, Key, LIST_MAX, Page, Position, READ_KEYS_MAX, REPLY_BYTES_MAX,
        Snapshot, Store, StoreError, Write, validate,
    },
    history::History,
};
use async_trait::async_trait;
use hot::{Hot, Known};
use queue::{Queue, Refused};
use redb::{Database, DatabaseError};
use std::{
    num::NonZeroU16,
    ops::Bound,
    path::Path,
    sync::{Arc, RwLock, atomic::AtomicBool},
    thread::JoinHandle,
};
use tables::Entries;
use told::Caller;
use writer::{Ask, Writer};

/// How much memory an embedded store may use.
#[derive(Clone, Copy, Debug)]
pub struct RedbOptions {
    /// Bytes of redb's page cache.
    pub page_cache_bytes: usize,
    /// Bytes of hot entries, decoded ones twice.
    pub entry_cache_bytes: usize,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { page_cache_bytes: 8 * 1024 * 1024, entry_cache_bytes: 16 * 1024 * 1024 }
    }
}

/// A durable store in one file.
pub struct Redb {
    shared: Arc<Shared>,
    asks: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    published: RwLock<Published>,
    history: History,
    /// A commit's outcome is unknown: nothing more may be written through this handle.
    is_poisoned: AtomicBool,
}

/// What readers see: one position, its entries, and the hot ones of exactly that position.
struct Published {
    at: Position,
    table: Arc<Entries>,
    hot: Hot,
}

impl Redb {
    /// Opens or creates a store in one file. Reads all of it once if it was not closed properly.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if another process has it open or the file cannot be opened; [`StoreError::Broken`] if it is not ours
    /// or its last commits are not whole.
    pub fn open(path: &Path, options: RedbOptions) -> Result<Self, StoreError> {
        let path = path.to_owned();
        Self::open_with(options, move |options| {
            redb::Builder::new().set_cache_size(options.page_cache_bytes).create(&path)
        })
    }

    fn open_with(
        options: RedbOptions,
        create: impl Fn(RedbOptions) -> Result<Database, DatabaseError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let reopen = move || {
            let database = create(options).map_err(tables::not_opened)?;
            tables::create(&database).map_err(|error| tables::of_engine(&error))?;
            Ok(database)
        };
        let database = reopen()?;
        let (at, history) = tables::load(&database)?;
        let table = Arc::new(tables::entries(&database)?);
        let hot = Hot::new(options.entry_cache_bytes);
        let shared = Arc::new(Shared {
            published: RwLock::new(Published { at, table, hot }),
            history,
            is_poisoned: AtomicBool::new(false),
        });
        let asks = Arc::new(Queue::default());
        let waiting = asks.clone();
        let writer = Writer {
            database: Some(database),
            reopen: Box::new(reopen),
            shared: shared.clone(),
            full_since: None,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { shared, asks, writer: Some(writer) })
    }

    /// Reads a key from the file, and lets the hot ones know.
    fn fetch(&self, at: Position, table: &Entries, key: &Key) -> Result<Option<Entry>, StoreError> {
        let found = tables::fetch(table, key)?;
        let folder = match found {
            Some(_) => None,
            None => self.look_into_folder(table, key)?,
        };
        let mut published = self.shared.published.write().map_err(poisoned)?;
        // What was so at an older position may be stale by now.
        if published.at == at {
            if let Some(is_occupied) = folder {
                published.hot.insert_folder(key, is_occupied);
            }
            match &found {
                Some(entry) => published.hot.insert_read(entry),
                None if folder == Some(false) => {}
                None => published.hot.insert_absent(key.clone()),
            }
        }
        Ok(found)
    }

    /// Is anything in the folder of a key that is not there? Nothing, if that is not worth a look.
    fn look_into_folder(&self, table: &Entries, key: &Key) -> Result<Option<bool>, StoreError> {
        let is_wanted = self.shared.published.write().map_err(poisoned)?.hot.is_folder_wanted(key);
        let folder = hot::folder(key).filter(|_| is_wanted);
        folder.map(|folder| tables::is_occupied(table, folder)).transpose()
    }

    async fn ask(
        &self,
        id: CommitId,
        ask: impl FnOnce(Caller) -> Ask,
    ) -> Result<Option<Position>, StoreError> {
        let (caller, answer) = Caller::new();
        self.asks.put(ask(caller)).map_err(|refused| match refused {
            Refused::Full => StoreError::Unavailable("too many commits are waiting".to_owned()),
            Refused::Closed => closed(),
        })?;
        // The writer ended with this in its hands.
        answer.await.unwrap_or(Err(StoreError::Unknown(id)))
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        // What waits is still committed; then the file is closed, so that it may be opened again at once.
        self.asks.close();
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
        let (at, table, known) = {
            let published = self.shared.published.read().map_err(poisoned)?;
            let known: Vec<Option<Known>> = keys.iter().map(|key| published.hot.get(key)).collect();
            (published.at, published.table.clone(), known)
        };
        let found = known.into_iter().zip(keys).map(|(known, key)| match known {
            Some(Known::There(entry)) => Ok(Some(entry)),
            Some(Known::Absent) => Ok(None),
            None => self.fetch(at, &table, key),
        });
        Ok(Snapshot { at, entries: found.collect::<Result<_, StoreError>>()? })
    }

    fn peek(&self, key: &Key) -> Option<(Position, Option<Entry>)> {
        let (at, table) = {
            let published = self.shared.published.read().ok()?;
            match published.hot.get(key) {
                Some(Known::There(entry)) => return Some((published.at, Some(entry))),
                Some(Known::Absent) => return Some((published.at, None)),
                None => (published.at, published.table.clone()),
            }
        };
        // An error is told by a read, to whom it concerns.
        self.fetch(at, &table, key).ok().map(|entry| (at, entry))
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
        for row in table.range::<&[u8]>((from, Bound::Unbounded)).map_err(tables::unavailable)? {
            let (key, stored) = row.map_err(tables::unavailable)?;
            if !key.value().starts_with(prefix.as_bytes()) {
                break;
            }
            bytes += key.value().len() + stored.value().len();
            let is_full =
                page.entries.len() >= usize::from(limit.get().min(LIST_MAX)) || bytes > REPLY_BYTES_MAX;
            if is_full && !page.entries.is_empty() {
                page.more = true;
                break;
            }
            page.entries.push(tables::entry(Key::new(key.value()), stored.value())?);
        }
        Ok(page)
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        validate(checks, writes)?;
        let (checks, writes) = (checks.to_vec(), writes.to_vec());
        let position = self.ask(id, |caller| Ask::Commit { id, checks, writes, caller }).await?;
        position.ok_or(StoreError::Unknown(id))
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        self.ask(id, |caller| Ask::Resolve { id, caller }).await
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        self.shared.history.changes(prefix, after).await
    }
}

fn poisoned<T>(_: std::sync::PoisonError<T>) -> StoreError {
    StoreError::Broken("a thread of the store has panicked".to_owned())
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store has stopped writing: start the server again".to_owned())
}
