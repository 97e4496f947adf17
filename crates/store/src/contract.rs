//! The store contract: ordered keys with revisions and one atomic commit. What memory, redb, etcd and PostgreSQL can all keep.
//!
//! Owns the trait and its shapes and limits; the shared front that checks them before any I/O is [`validate`].
//! Owns not: any backend, and what the values mean. A value never holds a secret in clear: `crypt` seals it before it gets here.

use async_trait::async_trait;
use std::num::NonZeroU16;

pub use crate::key::Key;

/// Checks of one commit. Source: etcd allows 128 compares a transaction; two are the fence's, the rest is reserve.
pub const CHECKS_MAX: usize = 100;
/// Writes of one commit. Source: etcd allows 128 operations a transaction.
pub const WRITES_MAX: usize = 100;
/// Keys of one read.
pub const READ_KEYS_MAX: usize = 100;
/// Bytes of a key, at least 1. Source: PostgreSQL refuses B-tree rows over 2,704 bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// Bytes of a value; 0 is a value too.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one commit: all keys, checks' too, and values, and [`ITEM_OVERHEAD_BYTES`] an item. Source: etcd's 1.5 MiB a request.
pub const COMMIT_BYTES_MAX: usize = 1024 * 1024;
/// What one item of a commit counts besides its key and value.
pub const ITEM_OVERHEAD_BYTES: usize = 64;
/// Entries of one page, and changes of one answer (whole commits; at least one).
pub const LIST_MAX: u16 = 256;
/// Bytes of one page or answer (at least one item).
pub const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// What [`StoreError::Unavailable`] says of a store that writes nothing more until it is opened again, however often it is tried.
pub const STOPPED: &str = "the store has stopped writing: start the server again";

/// How [`StoreError::Broken`] ends where what is stored is not as it was written: all that is left to do.
pub const BACKUP: &str = "put a backup back";

/// Names one attempt of a commit: 128 random bits from the caller's entropy. A retry of the same attempt keeps it, a new decision
/// takes a new one. It is what resolves an [`StoreError::Unknown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u128);

/// Where a store stands: a revision that only grows (and may skip) with the commit that made it, so that a lost tail or a restored
/// backup is noticed. Revision 0 is before all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Grows with each commit; not dense; not comparable between stores.
    pub revision: u64,
    /// The commit that made it.
    pub commit: CommitId,
}

/// One stored entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// Its value, shared: reading is not copying.
    pub value: std::sync::Arc<[u8]>,
    /// Revision at which the key came to be.
    pub created: u64,
    /// Revision at which it was last written: what [`Check::Unchanged`] names.
    pub modified: u64,
    /// The value decoded, once for all clones of this entry (see `record`): a hot read decodes nothing and nothing goes stale.
    pub(crate) decoded: std::sync::Arc<std::sync::OnceLock<std::sync::Arc<dyn std::any::Any + Send + Sync>>>,
}

impl Entry {
    /// An entry as a backend found it.
    pub fn new(key: Key, value: std::sync::Arc<[u8]>, created: u64, modified: u64) -> Self {
        Self { key, value, created, modified, decoded: std::sync::Arc::default() }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (&self.key, &self.value, self.created, self.modified)
            == (&other.key, &other.value, other.created, other.modified)
    }
}

impl Eq for Entry {}

/// What [`Store::read`] answers: all keys at one position.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The position of the snapshot.
    pub at: Position,
    /// One for each asked key, in that order; `None` is absent.
    pub entries: Vec<Option<Entry>>,
}

/// What [`Store::list`] answers.
#[derive(Clone, Debug)]
pub struct Page {
    /// The position of this page; pages of one listing may have different ones.
    pub at: Position,
    /// In key order.
    pub entries: Vec<Entry>,
    /// Is there at least one entry after the last of these?
    pub more: bool,
}

/// What must still hold when a commit is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The key does not exist.
    Absent(Key),
    /// The key exists and was last modified at this revision.
    Unchanged(Key, u64),
}

impl Check {
    /// The key that is checked.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Unchanged(key, _) => key,
        }
    }
}

/// One write of a commit. A delete needs a [`Check::Unchanged`] of the same key in the same commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces.
    Put(Key, std::sync::Arc<[u8]>),
    /// Deletes what is there.
    Delete(Key),
}

impl Write {
    /// The key that is written.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }

    /// Bytes of what is put there; of a delete none.
    pub fn value_bytes(&self) -> usize {
        match self {
            Self::Put(_, value) => value.len(),
            Self::Delete(_) => 0,
        }
    }

    /// Has a record room for it? Who writes what people said asks, so that too much is told to be theirs, and is no failure of ours.
    pub fn fits(&self) -> bool {
        self.value_bytes() <= VALUE_BYTES_MAX
    }
}

/// One whole commit as a follower sees it, cut to the asked prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Where it stands.
    pub position: Position,
    /// The commit before it in this store's history: the chain by which a gap shows.
    pub previous: CommitId,
    /// What it changed below the prefix, in the order of its writes: key, and value or `None` for a delete.
    pub changes: Vec<(Key, Option<std::sync::Arc<[u8]>>)>,
}

/// What [`Store::changes`] answers.
#[derive(Clone, Debug)]
pub struct Changes {
    /// How far this answer has looked: everything below the prefix up to here is in it or came before.
    pub through: Position,
    /// Whole commits, in order.
    pub commits: Vec<Commit>,
}

/// What can go wrong at a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A check failed; nothing happened, for certain. The keys are best effort.
    #[error("conflict with another commit")]
    Conflict {
        /// The keys whose checks failed, as far as known.
        keys: Vec<Key>,
    },
    /// It may have happened, or may still. Only resolving by the commit id tells.
    #[error("the outcome of commit {0:?} is unknown")]
    Unknown(CommitId),
    /// Certainly did not happen; the engine is away.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// [`Store::changes`] cannot be complete from there: too old, or not of this history. Load again by `list`.
    #[error("the position is no longer in the store's history")]
    Compacted,
    /// Over a limit; decided before any I/O.
    #[error("over the store's limit of {limit} for {what}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in items or bytes.
        limit: usize,
    },
    /// Of a wrong shape; decided before any I/O.
    #[error("invalid store request: {0}")]
    Invalid(&'static str),
    /// The engine refuses growth; reads go on.
    #[error("the store is full: {0}")]
    Full(String),
    /// A promise of the engine was seen broken, or a value does not decode. Stop serving.
    #[error("the store is broken: {0}")]
    Broken(String),
}

impl StoreError {
    /// Does the store write nothing more until it is opened again? No error of its own: whoever asks from outside is told that the store is
    /// away, and only whoever can start the server again is told more.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Unavailable(why) if why == STOPPED)
    }

    /// Is something stored that is not as it was written?
    pub fn is_damaged(&self) -> bool {
        matches!(self, Self::Broken(why) if why.ends_with(BACKUP))
    }

    /// Not done, or nobody knows: what was asked for may be asked for again, and may succeed then.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Unknown(_) | Self::Unavailable(_) | Self::Full(_) => true,
            Self::Compacted | Self::TooLarge { .. } | Self::Invalid(_) | Self::Broken(_) => false,
        }
    }
}

/// Ordered keys with revisions and one atomic commit. Four calls, however many nouns we grow.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads keys, all at one position, duplicates allowed. At most [`READ_KEYS_MAX`].
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError>;

    /// Reads a key at once, if that takes no waiting; with the position that it was read at. An embedded engine can, one behind a network
    /// cannot: `None`, and the caller uses [`Store::read`].
    fn peek(&self, _key: &Key) -> Option<(Position, Option<Entry>)> {
        None
    }

    /// Entries of a prefix in key order, after `after` (exclusive, need not exist). At most [`LIST_MAX`] and [`REPLY_BYTES_MAX`].
    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError>;

    /// Applies all writes if every check holds, else none. No writes: decides the checks only and moves nothing.
    /// The same id again is applied once.
    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError>;

    /// What became of an attempt that ended [`StoreError::Unknown`]: its position, or `None` and then it never will happen.
    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError>;

    /// Waits (up to about a second when idle) for changes under a prefix after a position: whole commits, each once, in order.
    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError>;
}

/// The shared front: shape and limits of a commit, equal on every backend, before any I/O.
///
/// # Errors
/// [`StoreError::Invalid`] before [`StoreError::TooLarge`].
pub fn validate(checks: &[Check], writes: &[Write]) -> Result<(), StoreError> {
    let mut written: Vec<&Key> = writes.iter().map(Write::key).collect();
    let mut checked: Vec<&Key> = checks.iter().map(Check::key).collect();
    written.sort_unstable();
    checked.sort_unstable();
    if written.iter().chain(&checked).any(|key| key.as_bytes().is_empty()) {
        return Err(StoreError::Invalid("an empty key"));
    }
    if written.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(StoreError::Invalid("a key twice in the writes"));
    }
    if checked.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(StoreError::Invalid("a key twice in the checks"));
    }
    let is_checked = |key: &Key| {
        checks.iter().any(|check| matches!(check, Check::Unchanged(checked, _) if checked == key))
    };
    if writes.iter().any(|write| matches!(write, Write::Delete(key) if !is_checked(key))) {
        return Err(StoreError::Invalid("a delete without a check of its key"));
    }
    let too_large = |what, limit| Err(StoreError::TooLarge { what, limit });
    if checks.len() > CHECKS_MAX {
        return too_large("checks", CHECKS_MAX);
    }
    if writes.len() > WRITES_MAX {
        return too_large("writes", WRITES_MAX);
    }
    if written.iter().chain(&checked).any(|key| key.as_bytes().len() > KEY_BYTES_MAX) {
        return too_large("key bytes", KEY_BYTES_MAX);
    }
    let mut bytes = 0;
    for check in checks {
        bytes += check.key().as_bytes().len() + ITEM_OVERHEAD_BYTES;
    }
    for write in writes {
        bytes += write.key().as_bytes().len() + ITEM_OVERHEAD_BYTES;
        if !write.fits() {
            return too_large("value bytes", VALUE_BYTES_MAX);
        }
        bytes += write.value_bytes();
    }
    if bytes > COMMIT_BYTES_MAX { too_large("commit bytes", COMMIT_BYTES_MAX) } else { Ok(()) }
}
