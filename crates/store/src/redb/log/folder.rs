//! Where segments are: a directory of the file system, or what a test puts in its place.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Files that are named by a number.
pub(in crate::redb) trait Folder: Send {
    /// All that are there, smallest first.
    fn list(&self) -> io::Result<Vec<u64>>;
    /// All bytes of one.
    fn read(&self, name: u64) -> io::Result<Vec<u8>>;
    /// Opens one; makes it if it is not there, so that a power cut does not take it away.
    fn open(&self, name: u64) -> io::Result<Box<dyn Segment>>;
    /// Removes one.
    fn remove(&self, name: u64) -> io::Result<()>;
}

/// One of the files.
pub(in crate::redb) trait Segment: Send {
    /// Writes at a place, and syncs.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it to a length, and syncs.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// A directory that nobody else may look into.
pub(in crate::redb) struct Directory(PathBuf);

impl Directory {
    /// Makes it if it is not there.
    pub(in crate::redb) fn open(path: PathBuf) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => sync(path.parent().unwrap_or(&path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Self(path))
    }

    fn path(&self, name: u64) -> PathBuf {
        self.0.join(format!("{name:016x}"))
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    // What is relative and has one part only is in the current directory.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}

impl Folder for Directory {
    fn list(&self) -> io::Result<Vec<u64>> {
        let mut names = Vec::new();
        for file in fs::read_dir(&self.0)? {
            let name = file?.file_name();
            let Some(name) = name.to_str().filter(|name| name.len() == 16) else { continue };
            names.extend(u64::from_str_radix(name, 16));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, name: u64) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }

    fn open(&self, name: u64) -> io::Result<Box<dyn Segment>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(self.path(name))?;
        sync(&self.0)?;
        Ok(Box::new(file))
    }

    fn remove(&self, name: u64) -> io::Result<()> {
        fs::remove_file(self.path(name))?;
        // Each before the next: a cut of power that brought an older one back and not the one after it would leave a hole.
        sync(&self.0)
    }
}

impl Segment for File {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)?;
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.sync_data()
    }
}
