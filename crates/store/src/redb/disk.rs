//! A disk in memory that can fill up, fail, and lose its power: what was written and not synced is then there or not, sector by sector.

use crate::redb::log::{Folder, Segment};
use redb::StorageBackend;
use std::{
    collections::BTreeMap,
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
    bytes_read: u64,
}

/// What the disk does next.
#[derive(Clone, Copy, Debug, Default)]
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

    pub(super) fn bytes_read(&self) -> u64 {
        self.state().bytes_read
    }

    /// What is on it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.state().now.clone()
    }

    /// Changes what is on it.
    pub(super) fn damage(&self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.state().now);
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

/// A machine's disks: of the file, and one for each segment of the log. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Disks {
    pub(super) file: Disk,
    segments: Arc<Mutex<BTreeMap<u64, Disk>>>,
    /// Of all segments, made or still to be made.
    faults: Arc<Mutex<Faults>>,
}

impl Disks {
    /// What the log's disk does next: its room is that of each segment.
    pub(super) fn log_faults(&self, faults: Faults) {
        for segment in self.segments.lock().unwrap().values() {
            segment.faults(faults);
        }
        *self.faults.lock().unwrap() = faults;
    }

    /// Syncs of the log.
    pub(super) fn log_syncs(&self) -> u64 {
        self.segments.lock().unwrap().values().map(Disk::syncs).sum()
    }

    /// The segments and their lengths.
    pub(super) fn segments(&self) -> Vec<(u64, u64)> {
        self.segments.lock().unwrap().iter().map(|(name, disk)| (*name, disk.len())).collect()
    }

    /// Changes the bytes of a segment.
    pub(super) fn damage(&self, segment: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let segments = self.segments.lock().unwrap();
        let mut state = segments[&segment].state();
        change(&mut state.now);
        state.synced = state.now.clone();
    }

    /// Takes a segment away.
    pub(super) fn lose(&self, segment: u64) {
        self.segments.lock().unwrap().remove(&segment).unwrap();
    }

    /// The log of these, beside the file of others as it is.
    pub(super) fn with_file_of(mut self, others: &Self) -> Self {
        self.file = others.file.after_power_cut(|| true);
        self
    }

    /// As they are, each for itself.
    pub(super) fn copy(&self) -> Self {
        self.after_power_cut(|| true)
    }

    /// As [`Disk::after_power_cut`], of all of them.
    pub(super) fn after_power_cut(&self, mut is_kept: impl FnMut() -> bool) -> Self {
        // No segment comes or goes meanwhile, and the log has what the file has, and more.
        let segments = self.segments.lock().unwrap();
        let file = self.file.after_power_cut(&mut is_kept);
        let segments =
            segments.iter().map(|(name, disk)| (*name, disk.after_power_cut(&mut is_kept))).collect();
        Self { file, segments: Arc::new(Mutex::new(segments)), faults: Arc::default() }
    }
}

impl Folder for Disks {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.segments.lock().unwrap().keys().copied().collect())
    }

    fn read(&self, name: u64) -> io::Result<Vec<u8>> {
        Ok(self.segments.lock().unwrap()[&name].state().now.clone())
    }

    fn open(&self, name: u64) -> io::Result<Box<dyn Segment>> {
        let mut segments = self.segments.lock().unwrap();
        let disk = segments.entry(name).or_default();
        disk.faults(*self.faults.lock().unwrap());
        Ok(Box::new(disk.clone()))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, name: u64) -> io::Result<()> {
        self.segments.lock().unwrap().remove(&name);
        Ok(())
    }
}

impl Segment for Disk {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        // What there is room for is written before it is found out.
        let room = self.state().faults.room.map_or(usize::MAX, |room| room.saturating_sub(at) as usize);
        let written = &bytes[..bytes.len().min(room)];
        self.set_len(self.len().max(at + written.len() as u64))?;
        StorageBackend::write(self, at, written)?;
        if written.len() < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.sync_data()
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
        let mut state = self.state();
        state.bytes_read += out.len() as u64;
        // As a file that is too short.
        out.copy_from_slice(state.now.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
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
