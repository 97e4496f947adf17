//! Keys that are in use, opened and parsed: opening one costs more than using it.
//!
//! An entry is found by the id of its version, which never means another key, so it is never wrong; whether it may be used is decided
//! without it, each time. When there are too many the oldest goes. What is dropped is zeroized.

use crate::{VaultError, object::VersionId};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

/// Opened keys, of at most so many versions.
pub(crate) struct OpenKeys<T> {
    most: usize,
    entries: RwLock<Entries<T>>,
}

struct Entries<T> {
    by_id: HashMap<VersionId, Arc<T>>,
    /// In the order in which they came.
    order: VecDeque<VersionId>,
}

impl<T> OpenKeys<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, entries: RwLock::new(Entries { by_id: HashMap::new(), order: VecDeque::new() }) }
    }

    /// The key of a version; opened now, if it is not in use. Two who open the same at once do it twice, and one of them remains.
    pub(crate) fn get(
        &self,
        id: &VersionId,
        open: impl FnOnce() -> Result<T, VaultError>,
    ) -> Result<Arc<T>, VaultError> {
        if let Some(open) = self.entries.read().unwrap_or_else(PoisonError::into_inner).by_id.get(id) {
            return Ok(open.clone());
        }
        let opened = Arc::new(open()?);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = entries.by_id.get(id) {
            return Ok(other.clone());
        }
        while entries.order.len() >= self.most {
            let Some(oldest) = entries.order.pop_front() else { break };
            entries.by_id.remove(&oldest);
        }
        entries.order.push_back(*id);
        entries.by_id.insert(*id, opened.clone());
        Ok(opened)
    }

    /// Forgets the keys of which this holds: of a deleted object or vault.
    pub(crate) fn forget(&self, of: impl Fn(&VersionId) -> bool) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.order.retain(|id| !of(id));
        entries.by_id.retain(|id, _| !of(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Entropy, ObjectId, ObjectVersion, VaultId};

    struct Fill(u8);
    impl Entropy for Fill {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    fn id(number: u8) -> VersionId {
        (VaultId::random(&Fill(0)), ObjectId::random(&Fill(1)), ObjectVersion::random(&Fill(number)))
    }

    #[test]
    fn each_is_opened_once_while_there_is_room_and_the_oldest_goes() {
        let keys = OpenKeys::new(2);
        let get = |number: u8| *keys.get(&id(number), || Ok(number)).unwrap();
        let known = |number: u8| keys.get(&id(number), || Err(VaultError::BackupRejected)).is_ok();
        assert_eq!((get(1), get(2), get(1)), (1, 2, 1));
        assert!(known(1) && known(2));
        assert_eq!(get(3), 3);
        assert!(!known(1) && known(2) && known(3));
        keys.forget(|other| *other == id(2));
        assert!(!known(2) && known(3));
        assert_eq!((get(4), get(5)), (4, 5));
        assert!(known(4) && known(5) && !known(3));
    }
}
