//! (tests only) A store in memory that counts how many pages of lists are read of it.

use async_trait::async_trait;
use std::{
    num::NonZeroU16,
    sync::atomic::{AtomicUsize, Ordering},
};
use store::{
    Changes, Check, CommitId, Entry, Key, Memory, Page, Position, Snapshot, Store, StoreError, Write,
};

#[derive(Default)]
pub(crate) struct Counting {
    memory: Memory,
    pages: AtomicUsize,
}

impl Counting {
    /// Pages that were read since this was last asked.
    pub(crate) fn pages(&self) -> usize {
        self.pages.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl Store for Counting {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.memory.read(keys).await
    }

    fn peek(&self, key: &Key) -> Option<(Position, Option<Entry>)> {
        self.memory.peek(key)
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        self.memory.list(prefix, after, limit).await
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        self.memory.commit(id, checks, writes).await
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        self.memory.resolve(id).await
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        self.memory.changes(prefix, after).await
    }
}
