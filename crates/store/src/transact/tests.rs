//! The loop against a store that conflicts, loses answers, and moves between two reads.

use super::*;
use crate::{
    contract::{Changes, Page, Snapshot},
    memory::Memory,
    record::put,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    num::NonZeroU16,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Count(u64);

impl Record for Count {
    type Id = str;

    fn key(id: &str) -> Key {
        Key::new(format!("count/{id}"))
    }
}

#[derive(Default)]
struct Numbers(AtomicU64);

impl Entropy for Numbers {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        buffer.fill(0);
        for (slot, byte) in buffer.iter_mut().zip(number) {
            *slot = byte;
        }
    }
}

/// What the next commits do instead of succeeding.
enum Fault {
    Conflict,
    UnknownAndApplied,
    UnknownAndLost,
    /// Nobody answers for a while, not even about what happened.
    Away,
}

#[derive(Default)]
struct Faulty {
    model: Memory,
    faults: Mutex<VecDeque<Fault>>,
    is_away: Mutex<bool>,
    commits: Mutex<Vec<(CommitId, Vec<Check>)>>,
    reads: AtomicU64,
    numbers: Numbers,
    /// After the first read, someone else writes this.
    intruder: Mutex<Option<Write>>,
    /// It tells at once what it is asked for.
    is_embedded: bool,
}

/// Writes into the model between two looks at it, which a test does not wait for: the model never does.
fn intrude(model: &Memory, write: Write) {
    let writes = [write];
    let mut commit = std::pin::pin!(model.commit(CommitId(u128::MAX), &[], &writes));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(commit.as_mut().poll(&mut context).is_ready());
}

#[async_trait]
impl Store for Faulty {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let snapshot = self.model.read(keys).await;
        let intruder = self.intruder.lock().unwrap().take();
        if let Some(write) = intruder {
            self.model.commit(CommitId(u128::MAX), &[], &[write]).await.unwrap();
        }
        snapshot
    }

    fn peek(&self, key: &Key) -> Option<(crate::Position, Option<Entry>)> {
        let told = self.is_embedded.then(|| self.model.peek(key)).flatten()?;
        if let Some(write) = self.intruder.lock().unwrap().take() {
            intrude(&self.model, write);
        }
        Some(told)
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.model.list(prefix, after, limit).await
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        self.commits.lock().unwrap().push((id, checks.to_vec()));
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => self.model.commit(id, checks, writes).await,
            Some(Fault::Conflict) => Err(StoreError::Conflict { keys: Vec::new() }),
            Some(Fault::UnknownAndApplied) => {
                self.model.commit(id, checks, writes).await?;
                Err(StoreError::Unknown(id))
            }
            Some(Fault::UnknownAndLost) => Err(StoreError::Unknown(id)),
            Some(Fault::Away) => {
                *self.is_away.lock().unwrap() = true;
                Err(StoreError::Unknown(id))
            }
        }
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        if *self.is_away.lock().unwrap() {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        self.model.resolve(id).await
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        self.model.changes(prefix, after).await
    }
}

async fn increment(store: &Faulty) -> Result<u64, StoreError> {
    transact(store, &store.numbers, |view| {
        let next = view.get::<Count>("a")?.map_or(0, |count| count.0) + 1;
        Ok::<_, Halt<StoreError>>(Decision::of(next, vec![put::<Count>("a", &Count(next))]))
    })
    .await
}

async fn check(faults: Vec<Fault>, expected: Result<u64, StoreError>, attempts: usize) {
    let store = Faulty { faults: Mutex::new(faults.into()), ..Faulty::default() };
    assert_eq!(increment(&store).await, expected);
    let commits = store.commits.lock().unwrap();
    assert_eq!(commits.len(), attempts);
    let mut ids: Vec<CommitId> = commits.iter().map(|(id, _)| *id).collect();
    ids.dedup();
    assert_eq!(ids.len(), attempts, "each attempt has an id of its own");
}

#[tokio::test]
async fn conflicts_run_again_and_unknown_outcomes_are_resolved() {
    check(vec![], Ok(1), 1).await;
    check(vec![Fault::Conflict, Fault::Conflict], Ok(1), 3).await;
    check(vec![Fault::UnknownAndApplied], Ok(1), 1).await;
    check(vec![Fault::UnknownAndLost], Ok(1), 2).await;
    check(vec![Fault::UnknownAndLost, Fault::Conflict, Fault::UnknownAndApplied], Ok(1), 3).await;
    check(vec![Fault::Away], Err(StoreError::Unknown(CommitId(0))), 1).await;
}

#[tokio::test]
async fn conflicts_without_end_are_given_up() {
    let attempts = limits::TRANSACT_ATTEMPTS_MAX as usize;
    let faults = (0..attempts).map(|_| Fault::Conflict).collect();
    let store = Faulty { faults: Mutex::new(faults), ..Faulty::default() };
    assert!(matches!(increment(&store).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.commits.lock().unwrap().len(), attempts);
    assert_eq!(store.model.dump(), []);
}

#[tokio::test]
async fn every_key_that_was_read_or_written_is_checked() {
    let store = Faulty::default();
    store.model.commit(CommitId(9), &[], &[put::<Count>("there", &Count(1))]).await.unwrap();
    let decided = transact(&store, &store.numbers, |view| {
        view.get::<Count>("there")?;
        view.get::<Count>("not")?;
        let writes = vec![put::<Count>("blind", &Count(1)), record::delete::<Count>("there")];
        Ok::<_, Halt<StoreError>>(Decision::of((), writes))
    });
    decided.await.unwrap();
    let commits = store.commits.lock().unwrap();
    assert_eq!(
        commits[0].1,
        [
            Check::Unchanged(Count::key("there"), 1),
            Check::Absent(Count::key("not")),
            Check::Absent(Count::key("blind")),
        ]
    );
}

/// Two remove the same thing: for the second it is gone, which is what it wanted, and no error of the store.
#[tokio::test]
async fn a_delete_of_what_is_gone_is_no_write() {
    let store = Faulty::default();
    let gone = transact(&store, &store.numbers, |_| {
        Ok::<_, Halt<StoreError>>(Decision::of("gone", vec![record::delete::<Count>("not")]))
    });
    assert_eq!(gone.await.unwrap(), "gone");
    assert!(store.commits.lock().unwrap().is_empty(), "nothing to commit");
    let writes = || vec![record::delete::<Count>("not"), put::<Count>("beside", &Count(1))];
    let both = transact(&store, &store.numbers, |_| Ok::<_, Halt<StoreError>>(Decision::of((), writes())));
    both.await.unwrap();
    let commits = store.commits.lock().unwrap();
    let checks = [Check::Absent(Count::key("not")), Check::Absent(Count::key("beside"))];
    assert_eq!(commits[0].1, checks, "that it is gone is one of the checks");
    assert_eq!(store.model.dump().len(), 1);
}

#[tokio::test]
async fn a_decision_sees_one_position() {
    let store = Faulty::default();
    let both = [put::<Count>("a", &Count(1)), put::<Count>("b", &Count(1))];
    store.model.commit(CommitId(9), &[], &both).await.unwrap();
    *store.intruder.lock().unwrap() = Some(put::<Count>("a", &Count(2)));
    let seen = query(&store, |view| {
        let count = |id| Ok::<_, Halt<StoreError>>(view.get::<Count>(id)?.map(|count| count.0));
        Ok::<_, Halt<StoreError>>((count("a")?, count("b")?))
    });
    assert_eq!(seen.await, Ok((Some(2), Some(1))), "not what was there before the second read");
    assert_eq!(store.reads.load(Ordering::Relaxed), 3, "again as the store had moved");
}

#[tokio::test]
async fn a_decision_that_is_told_at_once_sees_one_position_too() {
    let store = Faulty { is_embedded: true, ..Faulty::default() };
    let both = [put::<Count>("a", &Count(1)), put::<Count>("b", &Count(1))];
    store.model.commit(CommitId(9), &[], &both).await.unwrap();
    let mut runs = 0;
    let mut both = |view: &View<'_>| {
        runs += 1;
        let count = |id| Ok::<_, Halt<StoreError>>(view.get::<Count>(id)?.map(|count| count.0));
        Ok::<_, Halt<StoreError>>((count("a")?, count("b")?))
    };
    assert_eq!(query(&store, &mut both).await, Ok((Some(1), Some(1))));
    assert_eq!(store.reads.load(Ordering::Relaxed), 0, "nothing had to be waited for");
    // Between the two looks.
    *store.intruder.lock().unwrap() = Some(put::<Count>("a", &Count(2)));
    assert_eq!(query(&store, &mut both).await, Ok((Some(2), Some(1))), "not what was there before");
    assert_eq!(runs, 3, "once, and once more as the store had moved");
}

#[tokio::test]
async fn a_decision_stands_while_nothing_moves_and_is_made_again_when_it_does() {
    for (intruder, expected) in [(None, 1), (Some(put::<Count>("there", &Count(7))), 2)] {
        let store = Faulty { is_embedded: true, ..Faulty::default() };
        store.model.commit(CommitId(9), &[], &[put::<Count>("there", &Count(1))]).await.unwrap();
        *store.intruder.lock().unwrap() = intruder;
        let mut runs = 0;
        let decided = transact(&store, &store.numbers, |view| {
            runs += 1;
            let there = view.get::<Count>("there")?.map_or(0, |count| count.0);
            // A key that it writes and has not read.
            Ok::<_, Halt<StoreError>>(Decision::of(there, vec![put::<Count>("sum", &Count(there + 1))]))
        });
        let there = decided.await.unwrap();
        assert_eq!((runs, there), (expected, if expected == 1 { 1 } else { 7 }));
        assert_eq!(store.commits.lock().unwrap().len(), 1, "and committed at the first try");
    }
}

#[tokio::test]
async fn what_only_reads_commits_nothing() {
    let store = Faulty::default();
    let decided = transact(&store, &store.numbers, |view| {
        Ok::<_, Halt<StoreError>>(Decision::read(view.get::<Count>("a")?))
    });
    assert_eq!(decided.await, Ok(None));
    assert!(store.commits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_and_too_many_keys_end_it() {
    let store = Faulty::default();
    let refused = query(&store, |view| {
        view.get::<Count>("a")?;
        refuse::<(), _>(StoreError::Invalid("no"))
    });
    assert_eq!(refused.await, Err(StoreError::Invalid("no")));
    let endless = query(&store, |view| {
        for number in 0.. {
            view.get::<Count>(&format!("{number}"))?;
        }
        Ok::<_, Halt<StoreError>>(())
    });
    assert!(matches!(endless.await, Err(StoreError::TooLarge { limit: READ_KEYS_MAX, .. })));
}

#[tokio::test]
async fn a_value_that_is_no_record_is_said_without_a_byte_of_it() {
    for value in [&br#"{"canary":"#[..], b"\"canary \xff\"", b"\xffcanary"] {
        let store = Faulty::default();
        let canary = Write::Put(Count::key("a"), value.into());
        store.model.commit(CommitId(9), &[], &[canary]).await.unwrap();
        let error = increment(&store).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Broken(why) if why.contains("count/a") && !why.contains("canary"))
        );
    }
}

#[tokio::test]
async fn a_record_is_decoded_once() {
    let store = Faulty::default();
    increment(&store).await.unwrap();
    let read = async || {
        let read = query(&store, |view| Ok::<_, Halt<StoreError>>(view.get::<Count>("a")?));
        read.await.unwrap().unwrap()
    };
    let (first, again) = (read().await, read().await);
    assert!(Arc::ptr_eq(&first, &again));
    increment(&store).await.unwrap();
    assert_eq!(*read().await, Count(2), "and nothing goes stale");
}

#[test]
fn a_fixture_knows_what_it_was_given_and_nothing_else() {
    let view = View::fixture().with("a", &Count(1)).with("a", &Count(2));
    assert_eq!(view.get::<Count>("a").unwrap().as_deref(), Some(&Count(2)));
    assert_eq!(view.get::<Count>("b").unwrap(), None);
}

/// Counts what is there up by one.
fn count_up(view: &View<'_>, id: &str) -> Result<Decision<u64>, Halt<StoreError>> {
    let count = view.get::<Count>(id)?.map_or(1, |count| count.0 + 1);
    Ok(Decision::of(count, vec![put::<Count>(id, &Count(count))]))
}

#[tokio::test]
async fn decisions_that_stand_on_each_other_are_one_commit() {
    let store = Faulty::default();
    increment(&store).await.unwrap();
    store.faults.lock().unwrap().push_back(Fault::Conflict);
    let counted = transact(&store, &store.numbers, |view| {
        let counts = [view.adopt(count_up(view, "a")?), view.adopt(count_up(view, "b")?)];
        let again = view.adopt(count_up(view, "a")?);
        view.adopt(Decision::of((), vec![crate::record::delete::<Count>("b")]));
        assert_eq!(view.get::<Count>("b")?, None, "it is deleted from here on");
        assert_eq!(view.get::<Count>("a")?.as_deref(), Some(&Count(again)));
        Ok::<_, Halt<StoreError>>(view.adopted((counts, again)))
    });
    assert_eq!(counted.await.unwrap(), ([2, 1], 3), "a second run begins anew");
    let read =
        query(&store, |view| Ok::<_, Halt<StoreError>>((view.get::<Count>("a")?, view.get::<Count>("b")?)));
    let (a, b) = read.await.unwrap();
    assert_eq!((a.as_deref(), b), (Some(&Count(3)), None));
    let commits = store.commits.lock().unwrap();
    let (_, checks) = commits.last().unwrap();
    assert_eq!(checks.len(), 2, "of each key what stood there before: {checks:?}");
}

#[tokio::test]
async fn of_a_decision_that_is_refused_later_nothing_is_written() {
    let store = Faulty::default();
    let refused = transact(&store, &store.numbers, |view| {
        let _counted = view.adopt(count_up(view, "a")?);
        refuse::<Decision<()>, _>(StoreError::Unavailable("refused".to_owned()))
    });
    assert!(refused.await.is_err());
    let read = query(&store, |view| Ok::<_, Halt<StoreError>>(view.get::<Count>("a")?));
    assert_eq!(read.await.unwrap(), None);
}
