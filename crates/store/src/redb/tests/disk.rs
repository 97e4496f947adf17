//! A disk in memory that can fill up, fail, and lose its power: what was written and not synced is then there or not, sector by sector.

use redb::StorageBackend;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

const SECTOR: usize = 512;

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Vec<u8>,
    synced: Vec<u8>,
    written: Vec<(usize, Vec<u8>)>,
    faults: Faults,
    syncs: u64,
}

/// What the disk does next.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// No byte beyond this is kept.
    pub(super) room: Option<u64>,
    /// So many more syncs succeed, then all fail.
    pub(super) syncs_left: Option<u64>,
}

impl Disk {
    pub(super) fn faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub(super) fn len(&self) -> u64 {
        self.state().now.len() as u64
    }

    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// What a disk holds whose power is cut now; `is_kept` says of each unsynced sector whether it got there.
    pub(super) fn after_power_cut(&self, mut is_kept: impl FnMut() -> bool) -> Self {
        let state = self.state();
        let mut bytes = state.synced.clone();
        // Lengths are metadata: the longer one is the worse case.
        bytes.resize(state.now.len().max(bytes.len()), 0);
        for (offset, data) in &state.written {
            for (number, sector) in data.chunks(SECTOR).enumerate() {
                let from = offset + number * SECTOR;
                if let (true, Some(place)) = (is_kept(), bytes.get_mut(from..from + sector.len())) {
                    place.copy_from_slice(sector);
                }
            }
        }
        let state = State { now: bytes.clone(), synced: bytes, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn failed() -> io::Error {
    io::Error::other("the disk has failed")
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let from = usize::try_from(offset).unwrap();
        let state = self.state();
        out.copy_from_slice(state.now.get(from..from + out.len()).ok_or_else(failed)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut state = self.state();
        if state.faults.room.is_some_and(|room| len > room) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        state.now.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.state();
        if let Some(left) = &mut state.faults.syncs_left {
            *left = left.checked_sub(1).ok_or_else(failed)?;
        }
        state.syncs += 1;
        state.synced = state.now.clone();
        state.written.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let from = usize::try_from(offset).unwrap();
        let mut state = self.state();
        state.now.get_mut(from..from + data.len()).ok_or_else(failed)?.copy_from_slice(data);
        state.written.push((from, data.to_vec()));
        Ok(())
    }
}
