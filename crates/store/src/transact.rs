//! The only loop of its kind: load what a decision asks for, decide, commit with a check on every key it read, start over on conflict.
//!
//! A decision is a synchronous, repeatable function of a [`View`]. A key that it asks for is read: at once where the store can, else the
//! decision stops and runs again when the key is there. If the store has moved since, all keys known so far are read again together, so that
//! what it decides on is one position of the store.

use crate::{
    contract::{Check, CommitId, Entry, Key, Position, READ_KEYS_MAX, Store, StoreError, Write},
    record::{self, Record},
};
use domain::{Entropy, limits, world::random};
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

/// Keys that most decisions ask for, at most.
const KNOWN_USUALLY: usize = 12;

/// What a decision may look at: records at one position of the store. Remembers every key that it is asked for.
#[derive(Default)]
pub struct View<'s> {
    /// Few keys: a scan beats a hash.
    known: RefCell<Vec<Known>>,
    /// Where all that is known stands; nothing before the first key.
    at: Cell<Option<Position>>,
    /// Told at once what is not known, as far as it can.
    store: Option<&'s dyn Store>,
    is_fixture: bool,
    /// What decisions of the current run have come to that others of it stand on.
    adopted: RefCell<Vec<Write>>,
}

/// A key that was loaded, what was found there, and whether the current run of the decision has looked at it.
struct Known {
    key: Key,
    entry: Option<Entry>,
    is_asked: Cell<bool>,
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

impl<'s> View<'s> {
    /// A view that knows nothing yet.
    fn of(store: &'s dyn Store) -> Self {
        Self { store: Some(store), known: Vec::with_capacity(KNOWN_USUALLY).into(), ..Self::default() }
    }

    /// A view for tests: what is not in it is absent.
    #[must_use]
    pub fn fixture() -> Self {
        Self { is_fixture: true, ..Self::default() }
    }

    /// The fixture with one more record.
    #[must_use]
    pub fn with<R: Record>(mut self, id: &R::Id, record: &R) -> Self {
        if let Write::Put(key, value) = record::put::<R>(id, record) {
            let known = self.known.get_mut();
            known.retain(|known| known.key != key);
            let entry = Some(Entry::new(key.clone(), value, 1, 1));
            known.push(Known { key, entry, is_asked: Cell::new(false) });
        }
        self
    }

    /// The record with this id, or `None` if there is none at this position.
    ///
    /// # Errors
    /// [`Load`]: not loaded yet, or its value does not decode. Pass it on with `?`.
    pub fn get<R: Record>(&self, id: &R::Id) -> Result<Option<Arc<R>>, Load> {
        let key = R::key(id);
        let decoded = |entry: &Option<Entry>| {
            let decoded = entry.as_ref().map(record::decode::<R>).transpose();
            decoded.map_err(|error| Load(Cause::Broken(error)))
        };
        if let Some(write) = self.adopted.borrow().iter().find(|write| write.key() == &key) {
            return match write {
                // Of no revision yet. What stands there until then is checked, as this is written.
                Write::Put(key, value) => decoded(&Some(Entry::new(key.clone(), value.clone(), 0, 0))),
                Write::Delete(_) => Ok(None),
            };
        }
        if let Some(known) = self.known.borrow().iter().find(|known| known.key == key) {
            known.is_asked.set(true);
            return decoded(&known.entry);
        }
        if self.is_fixture {
            return Ok(None);
        }
        let has_room = self.known.borrow().len() < READ_KEYS_MAX;
        match self.store.filter(|_| has_room).and_then(|store| store.peek(&key)) {
            // Of the position that all else is of; else all is loaded anew.
            Some((at, entry)) if self.at.get().is_none_or(|known| known == at) => {
                self.at.set(Some(at));
                let found = decoded(&entry);
                // The store's own key, where there is one: what is handed to the writer's thread is then not made here and freed there.
                let key = entry.as_ref().map_or(key, |entry| entry.key.clone());
                self.known.borrow_mut().push(Known { key, entry, is_asked: Cell::new(true) });
                found
            }
            _ => Err(Load(Cause::Missing(key))),
        }
    }

    /// Takes what a decision has come to for a part of a larger one: from here on everything stands as if it were written.
    pub fn adopt<T>(&self, decision: Decision<T>) -> T {
        let mut adopted = self.adopted.borrow_mut();
        for write in decision.writes {
            adopted.retain(|before| before.key() != write.key());
            adopted.push(write);
        }
        decision.value
    }

    /// The larger decision: all that was adopted, and what the caller gets.
    pub fn adopted<T>(&self, value: T) -> Decision<T> {
        Decision::of(value, self.adopted.take())
    }

    fn knows(&self, key: &Key) -> bool {
        self.known.borrow().iter().any(|known| &known.key == key)
    }

    /// Would this delete what is not there? The contract has no such write: there is nothing whose revision could be checked.
    fn is_delete_of_nothing(&self, write: &Write) -> bool {
        let known = self.known.borrow();
        let is_absent = |key| known.iter().any(|known| &known.key == key && known.entry.is_none());
        matches!(write, Write::Delete(key) if is_absent(key))
    }

    /// Reads more keys. If the store has moved on since the others were read, all are read again: everything stands at one position. Has it
    /// moved?
    async fn load(&mut self, store: &dyn Store, more: &[Key]) -> Result<bool, StoreError> {
        if self.known.get_mut().len() + more.len() > READ_KEYS_MAX {
            return Err(StoreError::TooLarge { what: "keys of one decision", limit: READ_KEYS_MAX });
        }
        let snapshot = store.read(more).await?;
        let has_moved = self.at.replace(Some(snapshot.at)) != Some(snapshot.at);
        let found = |(key, entry)| Known { key, entry, is_asked: Cell::new(false) };
        let known = self.known.get_mut();
        let is_first = known.is_empty();
        known.extend(more.iter().cloned().zip(snapshot.entries).map(found));
        if has_moved && !is_first {
            self.reload(store).await?;
        }
        Ok(has_moved)
    }

    /// Reads everything again.
    async fn reload(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let keys: Vec<Key> = self.known.get_mut().iter().map(|known| known.key.clone()).collect();
        let snapshot = store.read(&keys).await?;
        self.at.set(Some(snapshot.at));
        for (known, entry) in self.known.get_mut().iter_mut().zip(snapshot.entries) {
            known.entry = entry;
        }
        Ok(())
    }

    /// A check for each key that the last run asked for or writes.
    fn checks(&self, writes: &[Write]) -> Vec<Check> {
        let is_relevant =
            |known: &&Known| known.is_asked.get() || writes.iter().any(|write| write.key() == &known.key);
        let check = |known: &Known| match &known.entry {
            Some(entry) => Check::Unchanged(known.key.clone(), entry.modified),
            None => Check::Absent(known.key.clone()),
        };
        self.known.borrow().iter().filter(is_relevant).map(check).collect()
    }
}

/// Runs a decision until it has all that it asks for.
async fn settle<T, E: From<StoreError>>(
    store: &dyn Store,
    view: &mut View<'_>,
    mut decide: impl FnMut(&View<'_>) -> Result<T, Halt<E>>,
) -> Result<T, E> {
    loop {
        for known in view.known.get_mut() {
            known.is_asked.set(false);
        }
        view.adopted.get_mut().clear();
        let missing = match decide(view) {
            Ok(value) => return Ok(value),
            Err(Halt::Refuse(error)) => return Err(error),
            Err(Halt::Load(Load(Cause::Broken(error)))) => return Err(error.into()),
            Err(Halt::Load(Load(Cause::Missing(key)))) => key,
        };
        view.load(store, std::slice::from_ref(&missing)).await?;
    }
}

/// Loads, decides, commits with a check on every key that was read; again on conflict; resolves an unknown outcome by its commit id.
/// Keys that are written and were not read are loaded and checked too, so that no write is blind. A delete of what is not there is no
/// write. No writes: no commit.
///
/// # Errors
/// The decision's refusal, or the store's error; [`StoreError::Unavailable`] after [`limits::TRANSACT_ATTEMPTS_MAX`] conflicts.
pub async fn transact<T, E: From<StoreError>>(
    store: &dyn Store,
    entropy: &dyn Entropy,
    mut decide: impl FnMut(&View<'_>) -> Result<Decision<T>, Halt<E>> + Send,
) -> Result<T, E> {
    let mut view = View::of(store);
    for _ in 0..limits::TRANSACT_ATTEMPTS_MAX {
        let decision = loop {
            let decision = settle(store, &mut view, &mut decide).await?;
            let unread: Vec<Key> =
                decision.writes.iter().map(Write::key).filter(|key| !view.knows(key)).cloned().collect();
            // What it was decided on is what it was, if nothing has moved.
            if unread.is_empty() || !view.load(store, &unread).await? {
                break decision;
            }
        };
        let checks = view.checks(&decision.writes);
        // Somebody else was faster: what is to be deleted is gone, and that it still is when this commits is one of the checks.
        let writes: Vec<Write> =
            decision.writes.into_iter().filter(|write| !view.is_delete_of_nothing(write)).collect();
        if writes.is_empty() {
            return Ok(decision.value);
        }
        let id = CommitId(u128::from_be_bytes(random(entropy)));
        match store.commit(id, &checks, &writes).await {
            Ok(_) => return Ok(decision.value),
            Err(StoreError::Conflict { .. }) => {}
            Err(StoreError::Unknown(id)) => match store.resolve(id).await {
                Ok(Some(_)) => return Ok(decision.value),
                Ok(None) => {}
                // Whatever kept the store from telling: the caller must know that it may have happened.
                Err(_) => return Err(StoreError::Unknown(id).into()),
            },
            Err(error) => return Err(error.into()),
        }
        // What was asked for will be asked for again: one read instead of one for each.
        view.reload(store).await?;
    }
    Err(StoreError::Unavailable("too many conflicts with other commits".to_owned()).into())
}

/// A decision that only reads, all keys at one position.
///
/// # Errors
/// The decision's refusal, or the store's error.
pub async fn query<T, E: From<StoreError>>(
    store: &dyn Store,
    decide: impl FnMut(&View<'_>) -> Result<T, Halt<E>> + Send,
) -> Result<T, E> {
    settle(store, &mut View::of(store), decide).await
}

#[cfg(test)]
mod tests;
