//! A client as the cases speak: fresh ids, text for bytes, whole listings.

use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use store::{Check, Commit, CommitId, Entry, Key, Page, Position, Store, StoreError, Write};

/// Ids of this process's commits; every case has a store of its own.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A handle on the store under test; clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) store: Arc<dyn Store>,
}

pub(crate) fn fresh() -> CommitId {
    CommitId(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn key(bytes: impl AsRef<[u8]>) -> Key {
    Key::new(bytes.as_ref())
}

pub(crate) fn put(at: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
    Write::Put(key(at), value.as_ref().into())
}

pub(crate) fn delete(at: impl AsRef<[u8]>) -> Write {
    Write::Delete(key(at))
}

pub(crate) fn absent(at: impl AsRef<[u8]>) -> Check {
    Check::Absent(key(at))
}

pub(crate) fn unchanged(at: impl AsRef<[u8]>, modified: u64) -> Check {
    Check::Unchanged(key(at), modified)
}

/// Did it end in a conflict?
pub(crate) fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

impl Client {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    pub(crate) async fn commit(&self, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        self.store.commit(fresh(), checks, writes).await
    }

    pub(crate) async fn put(&self, at: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Position {
        self.commit(&[], &[put(at, value)]).await.unwrap()
    }

    /// Deletes what is there.
    pub(crate) async fn delete(&self, at: impl AsRef<[u8]>) -> Position {
        let modified = self.entry(&at).await.unwrap().modified;
        self.commit(&[unchanged(&at, modified)], &[delete(&at)]).await.unwrap()
    }

    pub(crate) async fn entry(&self, at: impl AsRef<[u8]>) -> Option<Entry> {
        self.store.read(&[key(at)]).await.unwrap().entries.remove(0)
    }

    pub(crate) async fn value(&self, at: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.entry(at).await.map(|entry| entry.value.to_vec())
    }

    pub(crate) async fn at(&self) -> Position {
        self.store.read(&[]).await.unwrap().at
    }

    pub(crate) async fn page(&self, prefix: impl AsRef<[u8]>, after: Option<&Key>, limit: u16) -> Page {
        self.store.list(&key(prefix), after, NonZeroU16::new(limit).unwrap()).await.unwrap()
    }

    /// All entries of a prefix, by pages of `limit`.
    pub(crate) async fn all(&self, prefix: impl AsRef<[u8]>, limit: u16) -> Vec<Entry> {
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let after = found.last().map(|entry| entry.key.clone());
            let page = self.page(&prefix, after.as_ref(), limit).await;
            found.extend(page.entries);
            if !page.more {
                return found;
            }
        }
    }

    /// The keys of a prefix.
    pub(crate) async fn keys(&self, prefix: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
        self.all(prefix, 7).await.iter().map(|entry| entry.key.as_bytes().to_vec()).collect()
    }

    /// All commits of a prefix between two positions.
    pub(crate) async fn follow(
        &self,
        prefix: impl AsRef<[u8]>,
        after: Position,
        until: Position,
    ) -> Result<Vec<Commit>, StoreError> {
        let (mut reached, mut commits) = (after, Vec::new());
        while reached.revision < until.revision {
            let changes = self.store.changes(&key(&prefix), reached).await?;
            commits.extend(changes.commits);
            assert!(changes.through.revision >= reached.revision, "a follower is never sent back");
            reached = changes.through;
        }
        Ok(commits)
    }
}
