//! Takes away records whose time is over: nothing reads them any more, but they would stay.

use crate::{DirectoryError, DirectoryService};
use domain::Timestamp;
use std::{num::NonZeroU16, sync::Arc};
use store::{Decision, Halt, Key, Load, Record, View, Write, list_records, transact};

/// A record that is worth nothing after a time.
pub(crate) trait Expiring: Record {
    /// After which it is worth nothing.
    fn expires(&self) -> Timestamp;

    /// The record as it is now: it may have been renewed since it was listed.
    fn again(&self, view: &View) -> Result<Option<Arc<Self>>, Load>;
}

/// How many are looked at, and taken away, in one commit.
const PAGE: NonZeroU16 = NonZeroU16::new(64).expect("not zero");

impl DirectoryService {
    /// Takes away all records under a prefix whose time is over. Returns how many.
    pub(crate) async fn sweep_prefix<R: Expiring>(
        &self,
        prefix: &str,
        now: Timestamp,
    ) -> Result<usize, DirectoryError> {
        let prefix = Key::new(prefix);
        let (mut swept, mut after) = (0, None);
        loop {
            let page = list_records::<R>(&*self.store, &prefix, after.as_ref(), PAGE).await?;
            let over: Vec<_> = page.items.iter().filter(|(_, record)| record.expires() <= now).collect();
            if !over.is_empty() {
                swept += transact(&*self.store, &*self.entropy, |view| take_away(view, &over, now)).await?;
            }
            match page.items.last() {
                Some((last, _)) if page.more => after = Some(last.clone()),
                _ => return Ok(swept),
            }
        }
    }
}

fn take_away<R: Expiring>(
    view: &View,
    over: &[&(Key, Arc<R>)],
    now: Timestamp,
) -> Result<Decision<usize>, Halt<DirectoryError>> {
    let mut writes = Vec::with_capacity(over.len());
    for (key, record) in over {
        if record.again(view)?.is_some_and(|record| record.expires() <= now) {
            writes.push(Write::Delete(key.clone()));
        }
    }
    Ok(Decision::of(writes.len(), writes))
}
