//! Directories and files that are made one below the other by descriptor, so that no link is followed on the way, whoever made it.

use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

const ENTER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Nobody but the owner comes in.
const CLOSED: Mode = Mode::RWXU;

/// A directory that is being filled.
pub(crate) struct Tree {
    root: OwnedFd,
    /// The directories of the last path, each with its name in the one before.
    inside: Vec<(String, OwnedFd)>,
}

impl Tree {
    /// Over a directory that is there. Makes it its owner's alone.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let root = rustix::fs::open(root, ENTER | OFlags::RDONLY, Mode::empty())?;
        rustix::fs::fchmod(&root, CLOSED)?;
        Ok(Self { root, inside: Vec::new() })
    }

    /// Makes a directory and those above it, where they are missing.
    pub(crate) fn directory(&mut self, parts: &[String]) -> io::Result<BorrowedFd<'_>> {
        let common = self.inside.iter().zip(parts).take_while(|((name, _), part)| name == *part).count();
        self.inside.truncate(common);
        for part in parts.iter().skip(common) {
            let above = self.inside.last().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd());
            match rustix::fs::mkdirat(above, part, CLOSED) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let directory = rustix::fs::openat(above, part, ENTER | OFlags::RDONLY, Mode::empty())?;
            self.inside.push((part.clone(), directory));
        }
        Ok(self.inside.last().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd()))
    }

    /// Makes a file that was not there.
    pub(crate) fn file(&mut self, parts: &[String], executable: bool) -> io::Result<File> {
        let (name, above) = split(parts)?;
        let mode = if executable { CLOSED } else { Mode::RUSR | Mode::WUSR };
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.directory(above)?, name, flags, mode)?;
        // The process's umask is nobody's business here.
        rustix::fs::fchmod(&file, mode)?;
        Ok(file.into())
    }

    /// Makes a symbolic link that was not there.
    pub(crate) fn link(&mut self, parts: &[String], target: &str) -> io::Result<()> {
        let (name, above) = split(parts)?;
        Ok(rustix::fs::symlinkat(target, self.directory(above)?, name)?)
    }

    /// Everything is on the disk once this returns: one call for the file system instead of one for each of many thousand files.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }
}

/// Removes what is in a directory.
pub(crate) fn clear(root: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Gives all that is in a directory, and itself, to a user and group. Links are given, not followed.
pub(crate) fn give(root: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    let give = |path: &Path| {
        rustix::fs::chownat(rustix::fs::CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    };
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => left.push(entry.path()),
                false => give(&entry.path())?,
            }
        }
        // Last: until then nobody else can put anything into it.
        give(&directory)?;
    }
    Ok(())
}

fn split(parts: &[String]) -> io::Result<(&str, &[String])> {
    let (name, above) = parts.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((name, above))
}
