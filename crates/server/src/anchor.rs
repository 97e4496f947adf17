//! The audit log's ends, kept in the store: the newest record that is known to be on disk, so that a cut tail shows (ADR 0006), and the last
//! one that has expired, so that nothing else may be missing before the first (ADR 0033).

use audit::Anchor;
use domain::Entropy;
use serde::{Deserialize, Serialize};
use store::{Decision, Halt, Key, Record, Store, StoreError};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct AnchorRecord(Anchor);

impl Record for AnchorRecord {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("audit/anchor")
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct BeginRecord(Anchor);

impl Record for BeginRecord {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("audit/begin")
    }
}

/// The kept anchor.
pub(crate) async fn load(store: &dyn Store) -> Result<Option<Anchor>, StoreError> {
    store::query(store, |view| {
        Ok::<_, Halt<StoreError>>(view.get::<AnchorRecord>(&())?.map(|record| record.0))
    })
    .await
}

/// Keeps an anchor, unless a newer one is kept.
pub(crate) async fn save(store: &dyn Store, entropy: &dyn Entropy, anchor: Anchor) -> Result<(), StoreError> {
    store::transact(store, entropy, |view| {
        let known = view.get::<AnchorRecord>(&())?;
        let is_newer = known.is_none_or(|known| known.0.seq < anchor.seq);
        let writes =
            if is_newer { vec![store::put::<AnchorRecord>(&(), &AnchorRecord(anchor))] } else { Vec::new() };
        Ok::<_, Halt<StoreError>>(Decision::of((), writes))
    })
    .await
}

/// The last record that has expired.
pub(crate) async fn begin(store: &dyn Store) -> Result<Option<Anchor>, StoreError> {
    store::query(store, |view| {
        Ok::<_, Halt<StoreError>>(view.get::<BeginRecord>(&())?.map(|record| record.0))
    })
    .await
}

/// Keeps which record has expired, with all before it.
pub(crate) async fn save_begin(
    store: &dyn Store,
    entropy: &dyn Entropy,
    begin: Anchor,
) -> Result<(), StoreError> {
    store::transact(store, entropy, |_view| {
        let writes = vec![store::put::<BeginRecord>(&(), &BeginRecord(begin))];
        Ok::<_, Halt<StoreError>>(Decision::of((), writes))
    })
    .await
}
