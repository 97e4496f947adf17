//! What was committed and is not in the tables yet, in memory: durable by the log. A young layer that commits go to, and one that is being
//! kept: written to the tables with all that it has, in one transaction, while commits go on.

use super::hot::{Known, folder};
use crate::{
    contract::{Entry, Key, Position, StoreError},
    history::Change,
};
use std::{cmp::Ordering, collections::BTreeMap, iter::Peekable, ops::Bound, sync::Arc};

/// What an entry costs besides key and value: a place in the tree, its reference counts.
const ENTRY_OVERHEAD_BYTES: usize = 200;

/// What a commit leaves at a key; `None` for nothing.
pub(super) type Left = Option<Entry>;

/// What commits have left.
#[derive(Default)]
pub(super) struct Layer {
    entries: BTreeMap<Key, Left>,
    bytes: usize,
    /// The last of the commits.
    pub(super) at: Position,
}

/// Both layers.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) young: Layer,
    /// The one that is being kept.
    pub(super) kept: Option<Arc<Layer>>,
}

impl Layer {
    pub(super) fn insert(&mut self, key: Key, left: Left) {
        self.bytes += cost(&key, left.as_ref());
        let bytes_before = |before: Left| cost(&key, before.as_ref());
        self.bytes -= self.entries.insert(key.clone(), left).map_or(0, bytes_before);
    }

    /// What a commit out of the log has left.
    pub(super) fn apply(&mut self, position: Position, changes: &[Change], created: &[u64]) {
        for ((key, value), created) in changes.iter().zip(created) {
            let entry =
                value.clone().map(|value| Entry::new(key.clone(), value, *created, position.revision));
            self.insert(key.clone(), entry);
        }
        self.at = position;
    }

    /// Bytes of memory, about.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// In key order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Key, Option<&Entry>)> {
        self.entries.iter().map(|(key, left)| (key, left.as_ref()))
    }

    fn from(&self, from: Bound<&Key>) -> impl Iterator<Item = (&Key, Option<&Entry>)> {
        self.entries.range((from, Bound::Unbounded)).map(|(key, left)| (key, left.as_ref()))
    }

    fn is_occupied(&self, folder: &[u8]) -> bool {
        let first = Key::new(folder);
        let in_it =
            self.from(Bound::Included(&first)).take_while(|(key, _)| key.as_bytes().starts_with(folder));
        in_it.into_iter().any(|(_, left)| left.is_some())
    }
}

impl Layers {
    fn all(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.young).chain(self.kept.as_deref())
    }

    /// What is known of a key; nothing if no layer has it.
    pub(super) fn get(&self, key: &Key) -> Option<Known> {
        let left = self.all().find_map(|layer| layer.entries.get(key))?;
        Some(left.clone().map_or(Known::Absent, Known::There))
    }

    /// When the entry at a key came to be and was last modified, or that there is none; if either is known.
    pub(super) fn revisions(&self, key: &Key) -> Option<Option<(u64, u64)>> {
        let left = self.all().find_map(|layer| layer.entries.get(key))?;
        Some(left.as_ref().map(|entry| (entry.created, entry.modified)))
    }

    /// Has any layer an entry in this key's folder?
    pub(super) fn is_occupied(&self, key: &Key) -> bool {
        folder(key).is_some_and(|folder| self.all().any(|layer| layer.is_occupied(folder)))
    }

    /// What layers have left at keys with a prefix, in key order, until that are so many entries.
    pub(super) fn listed(&self, from: Bound<&Key>, prefix: &Key, entries_max: usize) -> Vec<(Key, Left)> {
        let none = Layer::default();
        let mut young = self.young.from(from).peekable();
        let mut kept = self.kept.as_deref().unwrap_or(&none).from(from).peekable();
        let (mut listed, mut entries) = (Vec::new(), 0);
        while entries < entries_max {
            let order = match (young.peek(), kept.peek()) {
                (Some((one, _)), Some((other, _))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            if order.is_eq() {
                // What it says is not so any more.
                kept.next();
            }
            let next = if order.is_le() { young.next() } else { kept.next() };
            let Some((key, left)) = next.filter(|(key, _)| super::is_in(prefix, key)) else {
                break;
            };
            entries += usize::from(left.is_some());
            listed.push((key.clone(), left.cloned()));
        }
        listed
    }
}

/// The next entry of a listing: what layers say of a key is so, and of all others what the tables say.
pub(super) fn next(
    listed: &mut Peekable<impl Iterator<Item = (Key, Left)>>,
    rows: &mut Peekable<impl Iterator<Item = Result<Entry, StoreError>>>,
) -> Option<Result<Entry, StoreError>> {
    loop {
        let Some((key, _)) = listed.peek() else { return rows.next() };
        match rows.peek() {
            Some(Ok(row)) if row.key > *key => {}
            Some(Ok(row)) if row.key == *key => drop(rows.next()),
            Some(_) => return rows.next(),
            None => {}
        }
        if let Some((_, Some(entry))) = listed.next() {
            return Some(Ok(entry));
        }
    }
}

fn cost(key: &Key, left: Option<&Entry>) -> usize {
    key.as_bytes().len() + left.map_or(0, |entry| entry.value.len()) + ENTRY_OVERHEAD_BYTES
}
