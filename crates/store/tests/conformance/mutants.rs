//! The list proves something only if a backend that breaks a promise fails it: each mutant is the model with one promise broken, and the
//! cases that must notice.

use crate::{client::fresh, failing};
use async_trait::async_trait;
use std::{num::NonZeroU16, sync::Arc};
use store::{
    Changes, Check, CommitId, Entry, Key, Memory, Page, Position, Snapshot, Store, StoreError, Write,
};

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    /// Checks hold whatever they say.
    Checks,
    /// A commit of several writes becomes several commits.
    Wholeness,
    /// An id may be used again.
    Ids,
    /// Keys of one read are read one after the other.
    Snapshots,
    /// Followers do not hear of deletes.
    Deletes,
    /// Followers miss every fifth commit.
    Followers,
    /// An attempt that happened is said not to have.
    Resolving,
    /// A page says that there is more whenever it is full.
    More,
    /// What is told at once is told as of a position that is not its own.
    Peeking,
}

struct Mutant {
    model: Memory,
    breaks: Breaks,
}

#[async_trait]
impl Store for Mutant {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        if self.breaks != Breaks::Snapshots || keys.is_empty() {
            return self.model.read(keys).await;
        }
        let mut at = Position::default();
        let mut entries: Vec<Option<Entry>> = Vec::new();
        for key in keys {
            let mut snapshot = self.model.read(std::slice::from_ref(key)).await?;
            at = snapshot.at;
            entries.append(&mut snapshot.entries);
            tokio::task::yield_now().await;
        }
        Ok(Snapshot { at, entries })
    }

    fn peek(&self, key: &Key) -> Option<(Position, Option<Entry>)> {
        let (at, entry) = self.model.peek(key)?;
        let is_early = self.breaks == Breaks::Peeking;
        Some((if is_early { Position::default() } else { at }, entry))
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let mut page = self.model.list(prefix, after, limit).await?;
        if self.breaks == Breaks::More {
            page.more = page.entries.len() == usize::from(limit.get());
        }
        Ok(page)
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        match self.breaks {
            Breaks::Checks => {
                store::contract::validate(checks, writes)?;
                let keys: Vec<Key> = checks.iter().map(|check| check.key().clone()).collect();
                let entries = self.model.read(&keys).await?.entries;
                let checks: Vec<Check> = entries
                    .into_iter()
                    .flatten()
                    .map(|entry| Check::Unchanged(entry.key, entry.modified))
                    .collect();
                self.model.commit(id, &checks, writes).await
            }
            Breaks::Wholeness if writes.len() > 1 => {
                let (first, rest) = writes.split_at(1);
                self.model.commit(fresh(), checks, first).await?;
                tokio::task::yield_now().await;
                let is_mine = |check: &&Check| rest.iter().any(|write| write.key() == check.key());
                let checks: Vec<Check> = checks.iter().filter(is_mine).cloned().collect();
                self.model.commit(id, &checks, rest).await
            }
            Breaks::Ids => self.model.commit(fresh(), checks, writes).await,
            _ => self.model.commit(id, checks, writes).await,
        }
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        let fate = self.model.resolve(id).await?;
        Ok(if self.breaks == Breaks::Resolving { None } else { fate })
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        let mut changes = self.model.changes(prefix, after).await?;
        if self.breaks == Breaks::Deletes {
            for commit in &mut changes.commits {
                commit.changes.retain(|(_, value)| value.is_some());
            }
        }
        if self.breaks == Breaks::Followers {
            changes.commits.retain(|commit| commit.position.revision % 5 != 0);
        }
        Ok(changes)
    }
}

async fn check(breaks: Breaks, noticing: &[&str]) {
    let open = || -> Arc<dyn Store> { Arc::new(Mutant { model: Memory::new(), breaks }) };
    let failed = failing(open).await;
    for case in noticing {
        assert!(failed.contains(case), "{case} must fail; these did: {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_checks_is_noticed() {
    let cases = ["one_failing_check_among_many", "one_racer_wins", "write_skew", "a_counter"];
    check(Breaks::Checks, &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_tears_commits_is_noticed() {
    let cases = ["a_read_is_one_snapshot", "one_revision_for_all_writes", "a_large_commit_arrives_whole"];
    check(Breaks::Wholeness, &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_forgets_ids_is_noticed() {
    check(Breaks::Ids, &["the_same_id_again", "a_tombstone_against_an_attempt"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_are_no_snapshot_are_noticed() {
    check(Breaks::Snapshots, &["a_read_is_one_snapshot"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_that_followers_miss_are_noticed() {
    check(Breaks::Deletes, &["each_commit_once_from_every_position", "pruned_positions"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_followers_miss_are_noticed() {
    check(Breaks::Followers, &["each_commit_once_from_every_position", "pruned_positions"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_answer_about_an_attempt_is_noticed() {
    check(Breaks::Resolving, &["the_same_id_again", "a_caller_that_gives_up"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_promise_too_much_are_noticed() {
    check(Breaks::More, &["more_is_exact"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_at_once_of_another_position_is_noticed() {
    check(Breaks::Peeking, &["what_is_told_at_once_is_what_is_read"]).await;
}
