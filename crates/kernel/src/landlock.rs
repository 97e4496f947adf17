//! A Landlock domain for a program of the same user as ours (`landlock(7)`): it cannot write itself into another app's cgroup, nor look
//! into, signal or debug a program outside of its domain.
//!
//! It keeps programs apart that do not set out to take each other over; it is no account of their own. What it does not close: a new process
//! is made in another app's cgroup by `clone3(CLONE_INTO_CGROUP)` with a directory that is open for reading, of which Landlock is not asked
//! (`same_user_clones_into_a_cgroup_from_under_landlock` is a test); services of the user act for whoever asks them by their sockets, the
//! server's own admin socket and `systemd --user` among them; files that the user can read can be read.
//!
//! Landlock denies by default and allows by path, so "everywhere but below `/sys`" is a rule for each other directory. A directory that
//! is made next to them later is closed to programs that run already.

use crate::{KernelError, hierarchy::Mount, sys};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

// Accesses and scopes of `linux/landlock.h`.
const WRITE_FILE: u64 = 1 << 1;
/// Removing and making directories, files, devices, sockets, pipes and links: bits 4 to 12.
const CHANGE_DIRECTORY: u64 = 0x1ff << 4;
/// Moving and linking between directories. Denied by every ruleset that does not allow it.
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
/// Connecting to abstract unix sockets, and signals.
const SCOPES: u64 = 0b11;

/// A domain that programs can be put under. It holds the rules as of when it was made.
#[derive(Debug)]
pub struct Landlock {
    ruleset: OwnedFd,
}

impl Landlock {
    /// The version of Landlock's ABI: 1 since Linux 5.13; 6, since Linux 6.12, knows scopes of signals and abstract sockets.
    ///
    /// # Errors
    /// As `landlock_create_ruleset(2)`: not in this kernel, or not switched on.
    pub fn abi() -> io::Result<u32> {
        sys::landlock::abi()
    }

    /// Allows to read and execute everything, and to write everywhere but below `/sys` and other places where cgroups are mounted.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn new() -> Result<Self, KernelError> {
        let fail = |source| KernelError::System { doing: "make a Landlock domain", source };
        let abi = Self::abi().map_err(fail)?;
        let since = |version: u32, accesses: u64| if abi >= version { accesses } else { 0 };
        let of_files = WRITE_FILE | since(3, TRUNCATE);
        let all = of_files | CHANGE_DIRECTORY | since(2, REFER);
        let ruleset = sys::landlock::ruleset(all, since(6, SCOPES)).map_err(fail)?;
        let mounts = Mount::all().map_err(fail)?;
        let closed = [PathBuf::from("/sys")].into_iter().chain(mounts.into_iter().map(|mount| mount.point));
        let closed: Vec<PathBuf> = closed.collect();
        let rules = Rules { ruleset: ruleset.as_fd(), closed, of_files, all };
        rules.open_below(Path::new("/")).map_err(fail)?;
        Ok(Self { ruleset })
    }

    pub(crate) fn ruleset(&self) -> BorrowedFd<'_> {
        self.ruleset.as_fd()
    }
}

struct Rules<'a> {
    ruleset: BorrowedFd<'a>,
    closed: Vec<PathBuf>,
    of_files: u64,
    all: u64,
}

impl Rules<'_> {
    /// Allows everything in a directory that holds something closed, but for that.
    fn open_below(&self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if self.closed.contains(&path) {
                continue;
            }
            if self.closed.iter().any(|closed| closed.starts_with(&path)) {
                self.open_below(&path)?;
            } else {
                self.open(&path)?;
            }
        }
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What cannot be reached needs no rule.
        let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else { return Ok(()) };
        let accesses = match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::Directory => self.all,
            // What it leads to has a rule of its own.
            FileType::Symlink => return Ok(()),
            _ => self.of_files,
        };
        sys::landlock::allow(self.ruleset, file.as_fd(), accesses)
    }
}
