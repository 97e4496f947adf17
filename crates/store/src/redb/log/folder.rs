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
    /// Opens one; makes it if it is not there.
    fn open(&self, name: u64) -> io::Result<Box<dyn Segment>>;
    /// What was made is there also after a cut of power.
    fn sync(&self) -> io::Result<()>;
    /// Removes one, also for after a cut of power. One that is not there is removed.
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
pub(in crate::redb) struct Directory {
    path: PathBuf,
    /// Kept open, so that syncing it needs no descriptor when there are none left.
    itself: File,
}

impl Directory {
    /// Makes it if it is not there.
    pub(in crate::redb) fn open(path: PathBuf) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            // Whoever made it may have ended before this. What is relative and has one part only is in the current directory.
            _ => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
            }
        }
        Ok(Self { itself: File::open(&path)?, path })
    }

    fn path(&self, name: u64) -> PathBuf {
        self.path.join(format!("{name:016x}"))
    }
}

impl Folder for Directory {
    fn list(&self) -> io::Result<Vec<u64>> {
        let mut names = Vec::new();
        for file in fs::read_dir(&self.path)? {
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
        Ok(Box::new(options.write(true).create(true).truncate(false).mode(0o600).open(self.path(name))?))
    }

    fn sync(&self) -> io::Result<()> {
        self.itself.sync_all()
    }

    fn remove(&self, name: u64) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            // Each before the next: a cut of power that brought an older one back and not the one after it would leave a hole.
            _ => self.sync(),
        }
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
