//! Is all of a store as it was written? Whoever merely reads a page takes it as it is; here each page of the file is held against its
//! checksum. The engine writes when it checks: it does so to what stands over the file in memory, and the file stays as it is.

use super::tables;
use crate::contract::StoreError;
use redb::{DatabaseError, StorageBackend};
use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

const PAGE: u64 = 4096;

/// What [`Redb::verify`](super::Redb::verify) has found to be as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    /// How many entries there are.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Holds each page against its checksum. `file`: opens it for reading.
pub(super) fn check<B: StorageBackend>(
    file: impl Fn() -> Result<B, DatabaseError>,
) -> Result<(), StoreError> {
    let checked = tables::opened(|| {
        let over = Over::new(file()?);
        redb::Builder::new().set_check_integrity_on_open(true).create_with_backend(over)
    });
    match checked {
        Ok(_) => Ok(()),
        Err(StoreError::Broken(why)) => {
            // It ends with what to do.
            Err(StoreError::Broken(format!("its file is not as it was written: {why}")))
        }
        Err(other) => Err(other),
    }
}

/// A file with what would have been written to it, by pages.
#[derive(Debug)]
struct Over<B> {
    below: B,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    length: Option<u64>,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl<B: StorageBackend> Over<B> {
    fn new(below: B) -> Self {
        Self { below, written: Mutex::default() }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of the file itself; beyond its end there are zeros.
    fn page_below(&self, page: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; PAGE as usize];
        let there = self.below.len()?.saturating_sub(page * PAGE).min(PAGE);
        if let Some(part) = bytes.get_mut(..there as usize).filter(|part| !part.is_empty()) {
            self.below.read(page * PAGE, part)?;
        }
        Ok(bytes)
    }
}

/// Calls `each` with a page, where in it, and which part of so many bytes from an offset on that is.
fn by_page(
    offset: u64,
    length: usize,
    mut each: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let (mut at, mut done) = (offset, 0);
    while done < length {
        let from = (at % PAGE) as usize;
        let part = (PAGE as usize - from).min(length - done);
        each(at / PAGE, from..from + part, done..done + part)?;
        (at, done) = (at + part as u64, done + part);
    }
    Ok(())
}

impl<B: StorageBackend> StorageBackend for Over<B> {
    fn len(&self) -> io::Result<u64> {
        match self.written().length {
            Some(length) => Ok(length),
            None => self.below.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        by_page(offset, out.len(), |page, within, part| {
            let below;
            let bytes = match written.pages.get(&page) {
                Some(bytes) => bytes,
                None => {
                    below = self.page_below(page)?;
                    &below
                }
            };
            if let (Some(out), Some(bytes)) = (out.get_mut(part), bytes.get(within)) {
                out.copy_from_slice(bytes);
            }
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.written().length = Some(length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        by_page(offset, data.len(), |page, within, part| {
            let bytes = match written.pages.remove(&page) {
                Some(bytes) => bytes,
                None => self.page_below(page)?,
            };
            let bytes = written.pages.entry(page).or_insert(bytes);
            if let (Some(bytes), Some(data)) = (bytes.get_mut(within), data.get(part)) {
                bytes.copy_from_slice(data);
            }
            Ok(())
        })
    }
}
