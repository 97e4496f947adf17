//! The audit log's anchor: the newest record that is known to be on disk, kept in the store, so that a cut tail shows (ADR 0006).

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
