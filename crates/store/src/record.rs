//! Typed records over the store's bytes: JSON objects at keys that their type knows, and typed listing.

use crate::contract::{Entry, Key, LIST_MAX, Store, StoreError, Write};
use serde::{Serialize, de::DeserializeOwned};
use std::{num::NonZeroU16, sync::Arc};

/// Room for a record that is written; nearly all are shorter.
const ROOM_BYTES: usize = 2_048;

/// A typed record. Its value is JSON (ADR 0008); secrets in it are sealed before they get here.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What names one record.
    type Id: ?Sized;

    /// The key of the record with this id.
    fn key(id: &Self::Id) -> Key;
}

/// Creates or replaces a record.
///
/// # Panics
/// Never for records of this project: their shapes have text keys only, which is all that JSON asks.
pub fn put<R: Record>(id: &R::Id, record: &R) -> Write {
    let mut value = Vec::with_capacity(ROOM_BYTES);
    #[expect(
        clippy::expect_used,
        reason = "serializing a record fails only for maps with keys that are no text, and none has one"
    )]
    serde_json::to_writer(&mut value, record).expect("a record is JSON");
    Write::Put(R::key(id), value.into())
}

/// Deletes a record.
pub fn delete<R: Record>(id: &R::Id) -> Write {
    Write::Delete(R::key(id))
}

/// One page of a typed listing.
pub struct RecordPage<R> {
    /// In key order.
    pub items: Vec<(Key, Arc<R>)>,
    /// Is there at least one after the last of these?
    pub more: bool,
}

/// Records of a prefix in key order, after `after` (exclusive). A page may be short by bytes and have more.
///
/// # Errors
/// [`StoreError::Broken`] if a value does not decode.
pub async fn list_records<R: Record>(
    store: &dyn Store,
    prefix: &Key,
    after: Option<&Key>,
    limit: NonZeroU16,
) -> Result<RecordPage<R>, StoreError> {
    let page = store.list(prefix, after, limit).await?;
    let items = page
        .entries
        .iter()
        .map(|entry| Ok((entry.key.clone(), decode::<R>(entry)?)))
        .collect::<Result<_, StoreError>>()?;
    Ok(RecordPage { items, more: page.more })
}

/// All records of a prefix with their keys, in key order: for what there is little of, or what is looked for by nothing that keys say.
///
/// # Errors
/// As [`list_records`].
pub async fn all_records<R: Record>(
    store: &dyn Store,
    prefix: &Key,
) -> Result<Vec<(Key, Arc<R>)>, StoreError> {
    const STEP: NonZeroU16 = NonZeroU16::new(LIST_MAX).unwrap();
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = list_records::<R>(store, prefix, after.as_ref(), STEP).await?;
        after = page.items.last().map(|(key, _)| key.clone());
        all.extend(page.items);
        // A page that is short by bytes has at least one.
        if !page.more || after.is_none() {
            return Ok(all);
        }
    }
}

/// The record of an entry; decoded once for all clones of the entry.
pub(crate) fn decode<R: Record>(entry: &Entry) -> Result<Arc<R>, StoreError> {
    if let Some(known) = entry.decoded.get().and_then(|known| known.clone().downcast::<R>().ok()) {
        return Ok(known);
    }
    let broken = |why: String| {
        StoreError::Broken(format!("the value of {:?} is no {}: {why}", entry.key, short_name::<R>()))
    };
    // Seen to be text once, and not each string of it for itself.
    let text = std::str::from_utf8(&entry.value).map_err(|error| broken(error.to_string()))?;
    let record: Arc<R> =
        serde_json::from_str(text).map(Arc::new).map_err(|error| broken(error.classify_text()))?;
    let _ = entry.decoded.set(record.clone());
    Ok(record)
}

fn short_name<R>() -> &'static str {
    let name = std::any::type_name::<R>();
    name.rsplit("::").next().unwrap_or(name)
}

/// What kind of error it is, without a byte of the value.
trait ClassifyText {
    fn classify_text(&self) -> String;
}

impl ClassifyText for serde_json::Error {
    fn classify_text(&self) -> String {
        format!("{:?} error at line {} column {}", self.classify(), self.line(), self.column())
    }
}
