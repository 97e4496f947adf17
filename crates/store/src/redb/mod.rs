//! The embedded backend: redb's tables, and a commit log before them. One writer thread appends the commits that wait to the log, with one
//! sync; what they leave stays in memory until there is much of it, and is then written to the tables in one transaction, while commits
//! go on. Readers are served from memory where an entry is hot or not in the tables yet, and else from the tables.
//!
//! A commit is durable before anyone sees it, and is published, position and entries together, before its verdict is told. The log
//! keeps recent commits longer than the tables need them, so that followers and unresolved attempts survive a restart.

mod condition;
#[cfg(test)]
mod disk;
mod hot;
mod keeper;
mod layer;
mod log;
mod queue;
mod sound;
mod tables;
#[cfg(test)]
mod tests;
mod told;
mod writer;

use crate::{
    contract::{
        Changes, Check, CommitId, Entry, Key, LIST_MAX, Page, Position, READ_KEYS_MAX, REPLY_BYTES_MAX,
        STOPPED, Snapshot, Store, StoreError, Write, validate,
    },
    history::History,
};
use async_trait::async_trait;
pub use condition::Condition;
use condition::Shown;
use hot::{Hot, Known};
use keeper::Keeper;
use layer::Layers;
use log::{Committed, Directory, Folder, Log};
use queue::{Queue, Refused};
use redb::{Database, DatabaseError, backends::FileBackend};
pub use sound::Sound;
use std::{
    fs::File,
    num::NonZeroU16,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};
use tables::{Entries, State};
use tokio::sync::watch;
use told::Caller;
use writer::{Ask, Writer};

/// How much memory an embedded store may use.
#[derive(Clone, Copy, Debug)]
pub struct RedbOptions {
    /// Bytes of redb's page cache.
    pub page_cache_bytes: usize,
    /// Bytes of hot entries, decoded ones twice.
    pub entry_cache_bytes: usize,
    /// Bytes of what is in the log only before it is written to the tables together: then as many, and a quarter, may be on top of it until
    /// they are. A segment of the log is a quarter.
    pub layer_bytes: usize,
}

impl Default for RedbOptions {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { page_cache_bytes: 8 * MIB, entry_cache_bytes: 16 * MIB, layer_bytes: 16 * MIB }
    }
}

/// A durable store in one file and the folder of its commit log, which belong together: neither is of use with an older or a younger other.
pub struct Redb {
    shared: Arc<Shared>,
    asks: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    published: RwLock<Published>,
    history: History,
    /// A commit's outcome is unknown, or the file has failed: nothing more may be written through this handle.
    is_poisoned: AtomicBool,
    /// The tables find no room for what is in memory.
    is_full: AtomicBool,
    /// Both of them as people are told.
    shown: Shown,
    /// How often the file was opened again.
    openings: AtomicU64,
}

impl Shared {
    /// Nothing more is written through this handle, and why.
    fn stop(&self, why: &str) {
        self.is_poisoned.store(true, Ordering::Release);
        self.shown.stopped(why);
    }

    /// Does the file find room?
    fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Release);
        self.shown.file_full(is_full);
    }

    /// Asks once more if the file was opened again meanwhile, as after a full disk: tables of before tell nothing but errors then.
    fn again<T>(&self, ask: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let before = self.openings.load(Ordering::Acquire);
            let told = ask();
            if told.is_ok() {
                return told;
            }
            // It is opened under this lock.
            drop(self.published.read().map_err(poisoned)?);
            if self.openings.load(Ordering::Acquire) == before {
                return told;
            }
        }
    }
}

/// What readers see: one position, its entries, those that are not in the tables yet first, and the hot ones of exactly that position.
struct Published {
    at: Position,
    table: Arc<Entries>,
    layers: Layers,
    hot: Hot,
}

/// What is known of a key at a look.
enum Look {
    /// It is hot.
    Hot(Known),
    /// A layer has it.
    Warm(Known),
    /// If there is anything, the tables have it.
    Cold,
}

impl Published {
    fn look(&self, key: &Key) -> Look {
        match self.hot.get(key) {
            Some(known) => Look::Hot(known),
            None => self.layers.get(key).map_or(Look::Cold, Look::Warm),
        }
    }
}

impl Redb {
    /// Opens or creates a store: a file, and beside it the folder that [`commits_of`] names.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if another process has it open or it cannot be opened; [`StoreError::Broken`] if it is not ours, or
    /// damaged, or file and log do not belong together.
    pub fn open(path: &Path, options: RedbOptions) -> Result<Self, StoreError> {
        let file = path.to_owned();
        let create = move |options: RedbOptions| {
            redb::Builder::new().set_cache_size(options.page_cache_bytes).create(&file)
        };
        let commits = commits_of(path);
        let is_there = commits.try_exists().map_err(log::unavailable)?;
        Self::open_with(options, create, is_there, move || {
            Ok(Box::new(Directory::open(commits).map_err(log::unavailable)?))
        })
    }

    /// Does it write? Changes are told.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.shared.shown.watch()
    }

    /// Is all of a store as it was written? Every page of the file, every frame of its log and every entry is read; of the file nothing is
    /// changed, and the log is opened as by [`open`](Self::open).
    ///
    /// # Errors
    /// [`StoreError::Broken`] if it is not; [`StoreError::Unavailable`] if another process has it open or it cannot be read.
    pub fn verify(path: &Path, options: RedbOptions) -> Result<Sound, StoreError> {
        sound::check(|| FileBackend::new(File::open(path)?))?;
        Self::open(path, options)?.sound()
    }

    /// Reads all entries.
    fn sound(&self) -> Result<Sound, StoreError> {
        let (all, most) = (Key::new(""), NonZeroU16::new(LIST_MAX).unwrap_or(NonZeroU16::MIN));
        let (mut sound, mut after) = (Sound { entries: 0, bytes: 0 }, None);
        loop {
            let page = self.page(&all, after.as_ref(), most)?;
            for entry in &page.entries {
                sound.entries += 1;
                sound.bytes += (entry.key.as_bytes().len() + entry.value.len()) as u64;
            }
            after = page.entries.into_iter().last().map(|entry| entry.key);
            if !page.more {
                return Ok(sound);
            }
        }
    }

    fn open_with(
        options: RedbOptions,
        create: impl Fn(RedbOptions) -> Result<Database, DatabaseError> + Send + 'static,
        is_there: bool,
        folder: impl FnOnce() -> Result<Box<dyn Folder>, StoreError>,
    ) -> Result<Self, StoreError> {
        let open = move || tables::opened(|| create(options));
        // Also what keeps all others away.
        let database = open()?;
        let state = tables::kind(&database)?;
        if state == State::Ours && !is_there {
            return Err(log::unfit(
                "it is not there: put it back (or, if the file was copied while the server was stopped, make an empty folder)",
            ));
        }
        let folder = folder()?;
        if state == State::New && !folder.list().map_err(log::unavailable)?.is_empty() {
            return Err(log::unfit("it is there, and the file is new: put the one back that it belongs to"));
        }
        tables::create(&database)?;
        let fence = tables::fence(&database)?;
        let mut opened = Opened { fence, ..Opened::default() };
        let mut log = Log::open(folder, options.layer_bytes as u64 / 4, |before, committed| {
            opened.take(before, committed)
        })?;
        opened.check()?;
        let table = Arc::new(tables::entries(&database)?);
        let hot = Hot::new(options.entry_cache_bytes);
        let history = opened.history.unwrap_or_else(|| History::starting(fence));
        log.prune(fence.revision.min(history.pruned()));
        let shared = Arc::new(Shared {
            published: RwLock::new(Published { at: history.at(), table, layers: opened.layers, hot }),
            history,
            is_poisoned: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            shown: Shown::default(),
            openings: AtomicU64::new(0),
        });
        let keeper = Keeper { database: Some(database), reopen: Box::new(open), shared: shared.clone() };
        let asks = Arc::new(Queue::default());
        let writer = Writer::start(log, keeper, shared.clone(), asks.clone(), options.layer_bytes)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { shared, asks, writer: Some(writer) })
    }

    /// What a look has come to, at its position.
    fn found(
        &self,
        at: Position,
        table: &Arc<Entries>,
        key: &Key,
        look: Look,
    ) -> Result<Option<Entry>, StoreError> {
        match look {
            Look::Hot(known) => Ok(known.entry()),
            Look::Warm(known) => self.warm(at, key, known),
            Look::Cold => self.fetch(at, table, key),
        }
    }

    /// What a layer has is found sooner once it is hot.
    fn warm(&self, at: Position, key: &Key, known: Known) -> Result<Option<Entry>, StoreError> {
        let mut published = self.shared.published.write().map_err(poisoned)?;
        // What was so at an older position may be stale by now.
        if published.at == at {
            match &known {
                Known::There(entry) => published.hot.insert_read(entry),
                Known::Absent => published.hot.insert_absent(key.clone()),
            }
        }
        Ok(known.entry())
    }

    /// Reads a key from the tables that no layer has, and lets the hot ones know.
    fn fetch(&self, at: Position, table: &Arc<Entries>, key: &Key) -> Result<Option<Entry>, StoreError> {
        let found = tables::fetch(table, key)?;
        let folder = match found {
            Some(_) => None,
            None => self.look_into_folder(table, key)?,
        };
        let mut published = self.shared.published.write().map_err(poisoned)?;
        // What was so at an older position may be stale by now.
        if published.at == at {
            // What was in memory then may be in other tables by now.
            if let Some(is_occupied) = folder.filter(|_| Arc::ptr_eq(&published.table, table)) {
                let is_occupied = is_occupied || published.layers.is_occupied(key);
                published.hot.insert_folder(key, is_occupied);
            }
            match &found {
                Some(entry) => published.hot.insert_read(entry),
                None if published.hot.is_occupied(key) == Some(false) => {}
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

    /// A page of one moment.
    fn page(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let entries_max = usize::from(limit.get().min(LIST_MAX));
        let (at, table, listed) = {
            let published = self.shared.published.read().map_err(poisoned)?;
            // One more than a page has tells that there is more.
            let listed = published.layers.listed(from, prefix, entries_max + 1);
            (published.at, published.table.clone(), listed)
        };
        let mut rows = tables::range(&table, from.map(Key::as_bytes))?
            .take_while(|row| row.as_ref().map_or(true, |entry| is_in(prefix, &entry.key)))
            .peekable();
        let mut listed = listed.into_iter().peekable();
        let mut page = Page { at, entries: Vec::new(), more: false };
        let mut bytes = 0;
        while let Some(entry) = layer::next(&mut listed, &mut rows) {
            let entry = entry?;
            bytes += entry.key.as_bytes().len() + entry.value.len();
            let is_full = page.entries.len() >= entries_max || bytes > REPLY_BYTES_MAX;
            if is_full && !page.entries.is_empty() {
                page.more = true;
                break;
            }
            page.entries.push(entry);
        }
        Ok(page)
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
        self.shared.again(|| {
            let (at, table, looks) = {
                let published = self.shared.published.read().map_err(poisoned)?;
                let looks: Vec<Look> = keys.iter().map(|key| published.look(key)).collect();
                (published.at, published.table.clone(), looks)
            };
            let found = looks.into_iter().zip(keys).map(|(look, key)| self.found(at, &table, key, look));
            Ok(Snapshot { at, entries: found.collect::<Result<_, StoreError>>()? })
        })
    }

    fn peek(&self, key: &Key) -> Option<(Position, Option<Entry>)> {
        let (at, table, look) = {
            let published = self.shared.published.read().ok()?;
            match published.look(key) {
                Look::Hot(known) => return Some((published.at, known.entry())),
                look => (published.at, published.table.clone(), look),
            }
        };
        // An error is told by a read, to whom it concerns.
        self.found(at, &table, key, look).ok().map(|entry| (at, entry))
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.shared.again(|| self.page(prefix, after, limit))
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

/// What the log tells while a store is opened, and what becomes of it.
#[derive(Default)]
struct Opened {
    fence: Position,
    history: Option<History>,
    /// The commit that the log has at the fence.
    at_fence: Option<Position>,
    layers: Layers,
}

impl Opened {
    /// Takes a commit over; is it in the log only?
    fn take(&mut self, before: Position, committed: Committed) -> bool {
        let position = committed.position;
        for known in [before, position] {
            if known.revision == self.fence.revision {
                self.at_fence = Some(known);
            }
        }
        let is_in_log_only = position.revision > self.fence.revision;
        if is_in_log_only {
            self.layers.young.apply(position, &committed.changes, &committed.created);
        }
        let history = self.history.get_or_insert_with(|| History::starting(before));
        history.applied(position, committed.changes);
        is_in_log_only
    }

    /// Do log and file belong together?
    fn check(&self) -> Result<(), StoreError> {
        // Without a commit in the log all is in the file.
        let Some(history) = &self.history else { return Ok(()) };
        match self.at_fence {
            Some(known) if known == self.fence => Ok(()),
            Some(_) => Err(log::damaged("it is of another store than the file")),
            None if history.at().revision < self.fence.revision => {
                Err(log::unfit("it is older than the file: put back both, of one time"))
            }
            None => Err(log::unfit("the file is older: put back both, of one time")),
        }
    }
}

/// Does a key begin with a prefix?
fn is_in(prefix: &Key, key: &Key) -> bool {
    key.as_bytes().starts_with(prefix.as_bytes())
}

fn poisoned<T>(_: std::sync::PoisonError<T>) -> StoreError {
    StoreError::Broken("a thread of the store has panicked".to_owned())
}

/// The folder of the commit log that belongs to a store's file.
pub fn commits_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".commits");
    name.into()
}

/// Was there no room on the disk, or no more that this user may have?
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

fn full() -> StoreError {
    StoreError::Full("the disk has no room".to_owned())
}

fn closed() -> StoreError {
    StoreError::Unavailable(STOPPED.to_owned())
}
