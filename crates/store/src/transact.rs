//! The only loop of its kind: load what a decision asks for, decide, commit with a check on every key it read, start over on conflict.
//!
//! A decision is a synchronous, repeatable function of a [`View`]. Whenever it asks for a key that is not loaded, all keys known so far are
//! read again together with it, so that what it decides on is one position of the store.

use crate::{
    contract::{Check, CommitId, Entry, Key, READ_KEYS_MAX, Store, StoreError, Write},
    record::{self, Record},
};
use domain::{Entropy, limits, world::random};
use std::{cell::RefCell, sync::Arc};

/// What a decision may look at: records at one position of the store. Remembers every key that it is asked for.
#[derive(Default)]
pub struct View {
    /// Few keys: a scan beats a hash.
    known: Vec<(Key, Option<Entry>)>,
    asked: RefCell<Vec<Key>>,
    is_fixture: bool,
}

/// Why a view has no answer yet. Made by [`View`] only; pass it on with `?`.
#[derive(Debug)]
pub struct Load(Cause);

#[derive(Debug)]
enum Cause {
    Missing(Key),
    Broken(StoreError),
}

/// Why a decision stops.
#[derive(Debug)]
pub enum Halt<E> {
    /// Something must be loaded first; it will run again.
    Load(Load),
    /// It refuses.
    Refuse(E),
}

impl<E> From<Load> for Halt<E> {
    fn from(load: Load) -> Self {
        Self::Load(load)
    }
}

/// Refuses.
///
/// # Errors
/// Always [`Halt::Refuse`].
pub const fn refuse<T, E>(error: E) -> Result<T, Halt<E>> {
    Err(Halt::Refuse(error))
}

impl<E> Halt<E> {
    /// The same halt with its refusal in other words.
    pub fn map<F>(self, change: impl FnOnce(E) -> F) -> Halt<F> {
        match self {
            Self::Load(load) => Halt::Load(load),
            Self::Refuse(error) => Halt::Refuse(change(error)),
        }
    }
}

/// What a decision comes to.
#[derive(Debug)]
pub struct Decision<T> {
    /// What is to be written, all in one commit.
    pub writes: Vec<Write>,
    /// What the caller gets once it is.
    pub value: T,
}

impl<T> Decision<T> {
    /// A value and the writes that make it true.
    pub const fn of(value: T, writes: Vec<Write>) -> Self {
        Self { writes, value }
    }

    /// A value that needs no write.
    pub const fn read(value: T) -> Self {
        Self { writes: Vec::new(), value }
    }
}

impl View {
    /// A view for tests: what is not in it is absent.
    #[must_use]
    pub fn fixture() -> Self {
        Self { is_fixture: true, ..Self::default() }
    }

    /// The fixture with one more record.
    #[must_use]
    pub fn with<R: Record>(mut self, id: &R::Id, record: &R) -> Self {
        if let Write::Put(key, value) = record::put::<R>(id, record) {
            self.known.retain(|(known, _)| known != &key);
            self.known.push((key.clone(), Some(Entry::new(key, value, 1, 1))));
        }
        self
    }

    /// The record with this id, or `None` if there is none at this position.
    ///
    /// # Errors
    /// [`Load`]: not loaded yet, or its value does not decode. Pass it on with `?`.
    pub fn get<R: Record>(&self, id: &R::Id) -> Result<Option<Arc<R>>, Load> {
        let key = R::key(id);
        let found = match self.known.iter().find(|(known, _)| known == &key) {
            Some((_, Some(entry))) => {
                Some(record::decode::<R>(entry).map_err(|error| Load(Cause::Broken(error)))?)
            }
            Some((_, None)) => None,
            None if self.is_fixture => None,
            None => return Err(Load(Cause::Missing(key))),
        };
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        Ok(found)
    }

    fn knows(&self, key: &Key) -> bool {
        self.known.iter().any(|(known, _)| known == key)
    }

    async fn load(
        &mut self,
        store: &dyn Store,
        more: impl IntoIterator<Item = Key>,
    ) -> Result<(), StoreError> {
        let mut keys: Vec<Key> = std::mem::take(&mut self.known).into_iter().map(|(key, _)| key).collect();
        keys.extend(more);
        if keys.len() > READ_KEYS_MAX {
            return Err(StoreError::TooLarge { what: "keys of one decision", limit: READ_KEYS_MAX });
        }
        let snapshot = store.read(&keys).await?;
        self.known = keys.into_iter().zip(snapshot.entries).collect();
        Ok(())
    }

    /// A check for each key that the last run asked for or writes.
    fn checks(&self, writes: &[Write]) -> Vec<Check> {
        let asked = self.asked.borrow();
        let is_relevant = |key: &Key| asked.contains(key) || writes.iter().any(|write| write.key() == key);
        self.known
            .iter()
            .filter(|(key, _)| is_relevant(key))
            .map(|(key, entry)| match entry {
                Some(entry) => Check::Unchanged(key.clone(), entry.modified),
                None => Check::Absent(key.clone()),
            })
            .collect()
    }
}

/// Runs a decision until it has all that it asks for.
async fn settle<T, E: From<StoreError>>(
    store: &dyn Store,
    view: &mut View,
    mut decide: impl FnMut(&View) -> Result<T, Halt<E>>,
) -> Result<T, E> {
    loop {
        view.asked.borrow_mut().clear();
        let missing = match decide(view) {
            Ok(value) => return Ok(value),
            Err(Halt::Refuse(error)) => return Err(error),
            Err(Halt::Load(Load(Cause::Broken(error)))) => return Err(error.into()),
            Err(Halt::Load(Load(Cause::Missing(key)))) => key,
        };
        view.load(store, [missing]).await?;
    }
}

/// Loads, decides, commits with a check on every key that was read; again on conflict; resolves an unknown outcome by its commit id.
/// Keys that are written and were not read are loaded and checked too, so that no write is blind. No writes: no commit.
///
/// # Errors
/// The decision's refusal, or the store's error; [`StoreError::Unavailable`] after [`limits::TRANSACT_ATTEMPTS_MAX`] conflicts.
pub async fn transact<T, E: From<StoreError>>(
    store: &dyn Store,
    entropy: &dyn Entropy,
    mut decide: impl FnMut(&View) -> Result<Decision<T>, Halt<E>> + Send,
) -> Result<T, E> {
    for _ in 0..limits::TRANSACT_ATTEMPTS_MAX {
        let mut view = View::default();
        let decision = loop {
            let decision = settle(store, &mut view, &mut decide).await?;
            let unread: Vec<Key> =
                decision.writes.iter().map(Write::key).filter(|key| !view.knows(key)).cloned().collect();
            if unread.is_empty() {
                break decision;
            }
            view.load(store, unread).await?;
        };
        if decision.writes.is_empty() {
            return Ok(decision.value);
        }
        let id = CommitId(u128::from_be_bytes(random(entropy)));
        match store.commit(id, &view.checks(&decision.writes), &decision.writes).await {
            Ok(_) => return Ok(decision.value),
            Err(StoreError::Conflict { .. }) => {}
            Err(StoreError::Unknown(id)) => {
                if store.resolve(id).await?.is_some() {
                    return Ok(decision.value);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Unavailable("too many conflicts with other commits".to_owned()).into())
}

/// A decision that only reads, all keys at one position.
///
/// # Errors
/// The decision's refusal, or the store's error.
pub async fn query<T, E: From<StoreError>>(
    store: &dyn Store,
    decide: impl FnMut(&View) -> Result<T, Halt<E>> + Send,
) -> Result<T, E> {
    settle(store, &mut View::default(), decide).await
}
