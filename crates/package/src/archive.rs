//! An archive, read and checked as a whole before anything of it is written.
//!
//! The library reads the format; what it would let pass is refused here: names that mean something else, the same name twice, entries that
//! share bytes, a list and files that do not say the same, encryption.

use crate::{
    Limits, PackageError,
    entry::{self, Kind, TARGET_BYTES_MAX},
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, BufReader, Read, Seek, SeekFrom},
    rc::Rc,
};
use zip::{CompressionMethod, ZipArchive, result::ZipError};

/// Bytes that may be read of an archive until its list is known (16 MiB). Ours: 160 for each of the most entries there may be. The library
/// may need ten times as much memory for them.
const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of the buffer for heads of entries, which are read one by one. What is in them is read past it.
const BUFFER_BYTES: usize = 1_024;

/// What is to be made, and from which entry of the archive.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) index: usize,
    pub(crate) kind: Kind,
    /// A link's target; empty for all else.
    pub(crate) target: String,
    /// Bytes of a file, as the archive says.
    size: u64,
}

/// An archive whose entries have been checked.
pub(crate) struct Archive<R> {
    zip: ZipArchive<Metered<BufReader<R>>>,
    /// By path: what is in a directory stands behind it, and together.
    pub(crate) items: BTreeMap<Vec<String>, Item>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the list and checks all of it.
    pub(crate) fn open(mut reader: R, limits: &Limits) -> Result<Self, PackageError> {
        let length = reader.seek(SeekFrom::End(0)).map_err(PackageError::files("read"))?;
        if length > limits.zip_bytes {
            return Err(PackageError::TooLarge { what: "bytes", limit: limits.zip_bytes });
        }
        // The library keeps the whole list in memory before anybody can count it.
        let left = Rc::new(Cell::new(LIST_BYTES_MAX));
        let buffered = BufReader::with_capacity(BUFFER_BYTES, reader);
        let mut zip = ZipArchive::new(Metered { reader: buffered, left: left.clone() }).map_err(fault)?;
        left.set(u64::MAX);
        if zip.len() > limits.entries {
            return Err(too_many(limits));
        }
        // Twice the same name, entries that share bytes, heads that say something else than the list.
        zip.validate_header_consistency().map_err(fault)?;
        let mut archive = Self { zip, items: BTreeMap::new() };
        archive.list(limits)?;
        archive.check_places()?;
        if archive.implied().saturating_add(archive.items.len()) > limits.entries {
            return Err(too_many(limits));
        }
        Ok(archive)
    }

    fn list(&mut self, limits: &Limits) -> Result<(), PackageError> {
        let mut bytes = 0_u64;
        for index in 0..self.zip.len() {
            let found = self.zip.by_index_data(index).map_err(fault)?;
            let name = found.name_raw().to_vec();
            let path = entry::path(&name)?;
            let kind = entry::kind(&name, found.external_attributes() >> 16)?;
            if found.encrypted() {
                return Err(PackageError::entry(&name, "is encrypted"));
            }
            if !matches!(found.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
                return Err(PackageError::entry(&name, "is compressed by another method than deflate"));
            }
            let size = found.size();
            // What it says of itself is enough to refuse it, and never enough to believe it.
            bytes = bytes.saturating_add(size);
            if bytes > limits.bytes {
                return Err(PackageError::TooLarge { what: "bytes unpacked", limit: limits.bytes });
            }
            if kind == Kind::Directory && size != 0 {
                return Err(PackageError::entry(&name, "is a directory with bytes of its own"));
            }
            let target = match kind {
                Kind::Link => self.target(index, &name, &path)?,
                Kind::Directory | Kind::File { .. } => String::new(),
            };
            if self.items.insert(path, Item { index, kind, target, size }).is_some() {
                return Err(PackageError::entry(&name, "is there twice"));
            }
        }
        Ok(())
    }

    fn target(&mut self, index: usize, name: &[u8], path: &[String]) -> Result<String, PackageError> {
        let mut target = Vec::new();
        let bytes_max = u64::try_from(TARGET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        let link = self.zip.by_index(index).map_err(fault)?;
        link.take(bytes_max).read_to_end(&mut target).map_err(unreadable)?;
        entry::target(name, path, &target).map(str::to_owned)
    }

    /// Nothing is below a file or a link. Of a path's parents the nearest one that is listed tells: those above it were looked at with it.
    fn check_places(&self) -> Result<(), PackageError> {
        for path in self.items.keys() {
            let above = (1..path.len()).rev().filter_map(|length| self.items.get(path.get(..length)?)).next();
            if above.is_some_and(|above| above.kind != Kind::Directory) {
                let name = path.join("/");
                return Err(PackageError::entry(
                    name.as_bytes(),
                    "is below another entry that is no directory",
                ));
            }
        }
        Ok(())
    }

    /// Directories that are made because something is in them, though the archive does not list them. All that is in one stands together, so
    /// each of them is new where a path first differs from the one before.
    fn implied(&self) -> usize {
        let mut before: &[String] = &[];
        let mut count = 0_usize;
        for path in self.items.keys() {
            let common = before.iter().zip(path).take_while(|(one, other)| one == other).count();
            count = count.saturating_add(path.len().saturating_sub(1).saturating_sub(common));
            before = path;
        }
        count
    }

    /// Gives a file's bytes to somebody in pieces, and sees that they are as many and those that the archive says.
    pub(crate) fn read(
        &mut self,
        item: &Item,
        name: &str,
        mut taker: impl FnMut(&[u8]) -> Result<(), PackageError>,
    ) -> Result<(), PackageError> {
        let mut file = self.zip.by_index(item.index).map_err(fault)?;
        let (mut buffer, mut taken) = (vec![0; 64 * 1024], 0_u64);
        loop {
            let length = file.read(&mut buffer).map_err(unreadable)?;
            let Some(piece) = buffer.get(..length).filter(|piece| !piece.is_empty()) else { break };
            taken = taken.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            if taken > item.size {
                return Err(PackageError::entry(name.as_bytes(), "is longer than it says"));
            }
            taker(piece)?;
        }
        if taken < item.size {
            return Err(PackageError::entry(name.as_bytes(), "is shorter than it says"));
        }
        Ok(())
    }
}

fn too_many(limits: &Limits) -> PackageError {
    let limit = u64::try_from(limits.entries).unwrap_or(u64::MAX);
    PackageError::TooLarge { what: "files and directories", limit }
}

/// What the library has found wrong.
fn fault(error: ZipError) -> PackageError {
    match error {
        ZipError::Io(source) => unreadable(source),
        other => PackageError::NotSound { why: other.to_string() },
    }
}

/// Bytes that end early, do not inflate or have another checksum are the archive's fault; all else is the disk's.
fn unreadable(source: io::Error) -> PackageError {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match source.kind() {
        InvalidData | InvalidInput | UnexpectedEof | Other => {
            PackageError::NotSound { why: source.to_string() }
        }
        _ => PackageError::Files { what: "read", source },
    }
}

/// A reader that may be read so far.
struct Metered<R> {
    reader: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        let left = self.left.get().checked_sub(u64::try_from(length).unwrap_or(u64::MAX));
        self.left.set(left.ok_or_else(|| io::Error::other("its list of files is too long"))?);
        Ok(length)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write as _};
    use zip::{ZipWriter, write::SimpleFileOptions};

    #[test]
    fn bytes_are_counted_whatever_the_library_lets_through() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("x", SimpleFileOptions::default()).unwrap();
        zip.write_all(b"five!").unwrap();
        let mut archive = Archive::open(zip.finish().unwrap(), &Limits::default()).unwrap();
        let mut item = std::mem::take(&mut archive.items).into_values().next().unwrap();
        for (size, said) in
            [(5, None), (4, Some("is longer than it says")), (6, Some("is shorter than it says"))]
        {
            item.size = size;
            let mut taken = 0;
            let read = archive.read(&item, "x", |piece| {
                taken += piece.len();
                Ok(())
            });
            let refused = read.err().map(|error| error.to_string());
            assert_eq!(refused.as_ref().is_some(), said.is_some());
            assert!(refused.is_none_or(|refused| refused.contains(said.unwrap())), "{size}");
            assert_eq!(taken, if size == 4 { 0 } else { 5 }, "what is too much is given to nobody");
        }
    }
}
