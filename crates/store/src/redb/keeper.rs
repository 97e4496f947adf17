//! The thread that keeps layers: writes all that one has to the tables, in one durable transaction, and takes it out of memory. It owns the
//! file. What it has not kept yet is in the log: nothing depends on when it is done, but for memory.

use super::{
    Shared,
    layer::Layer,
    tables::{self, Entries},
};
use crate::contract::StoreError;
use redb::Database;
use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

/// After a full disk, how long until it is tried again: a try costs a reopening.
pub(super) const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The keeper's thread.
pub(super) struct Keeper {
    /// `None` while the file cannot be opened again.
    pub(super) database: Option<Database>,
    pub(super) reopen: Box<dyn Fn() -> Result<Database, StoreError> + Send>,
    pub(super) shared: Arc<Shared>,
}

impl Keeper {
    /// Keeps layers, one at a time, and tells the last revision of each; until there are no more, or after an error of the file that cannot
    /// be recovered from: nothing is written any more then.
    pub(super) fn run(mut self, layers: &Receiver<Arc<Layer>>, told: &Sender<u64>) {
        while let Ok(layer) = layers.recv() {
            match self.keep_at_last(&layer, layers) {
                Ok(()) => {}
                Err(Some(error)) => return self.shared.stop(&format!("its file: {error}")),
                Err(None) => return self.shared.is_poisoned.store(true, Ordering::Release),
            }
            if told.send(layer.at.revision).is_err() {
                return;
            }
        }
    }

    /// Tries until there is room.
    ///
    /// # Errors
    /// Any other; none if nobody waits for it any more.
    fn keep_at_last(
        &mut self,
        layer: &Layer,
        layers: &Receiver<Arc<Layer>>,
    ) -> Result<(), Option<StoreError>> {
        loop {
            match self.keep(layer) {
                Ok(table) => {
                    self.shared.set_full(false);
                    return self.publish(table).map_err(Some);
                }
                Err(StoreError::Full(_)) => self.shared.set_full(true),
                Err(error) => return Err(Some(error)),
            }
            // The engine refuses all after it, reads as well.
            match self.open_again() {
                Ok(()) | Err(StoreError::Full(_)) => {}
                Err(error) => return Err(Some(error)),
            }
            // Nobody sends another layer before this one is kept: it can only be that nobody will.
            if !matches!(layers.recv_timeout(FULL_PAUSE), Err(RecvTimeoutError::Timeout)) {
                return Err(None);
            }
        }
    }

    fn keep(&mut self, layer: &Layer) -> Result<Entries, StoreError> {
        if self.database.is_none() {
            self.open_again()?;
        }
        let database = self.database.as_ref().ok_or_else(super::closed)?;
        tables::write(database, layer)?;
        tables::entries(database)
    }

    /// From here on what was kept is read from the tables.
    fn publish(&self, table: Entries) -> Result<(), StoreError> {
        let mut published = self.shared.published.write().map_err(super::poisoned)?;
        published.table = Arc::new(table);
        let kept = published.layers.kept.take();
        drop(published);
        // Thousands of entries: nobody waits for their end.
        drop(kept);
        Ok(())
    }

    /// Reads go on with the file as it was before, or after: what is kept is read from memory still. Who comes meanwhile waits.
    fn open_again(&mut self) -> Result<(), StoreError> {
        let mut published = self.shared.published.write().map_err(super::poisoned)?;
        // It is locked as long as it is open.
        drop(self.database.take());
        let database = (self.reopen)()?;
        published.table = Arc::new(tables::entries(&database)?);
        self.shared.openings.fetch_add(1, Ordering::AcqRel);
        self.database = Some(database);
        Ok(())
    }
}
