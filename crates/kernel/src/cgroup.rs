//! An app's cgroup: made, opened, emptied, removed; and which ids belong to its subtree.
//!
//! A cgroup's id is the inode number of its directory. It is never used again, not for another cgroup of the same name either, and a
//! cgroup never moves to another parent: so what an id once was in this respect it remains.

use crate::KernelError;
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, unlinkat},
    io::Errno,
};
use std::{
    collections::HashSet,
    ffi::OsStr,
    fmt, fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// A cgroup's id: 64 bits, unique since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CgroupId(u64);

impl CgroupId {
    /// From the kernel's number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The kernel's number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CgroupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The file of a cgroup that lists its processes, and into which they are written to join.
pub(crate) const PROCESSES: &str = "cgroup.procs";
/// Cgroups below an app that are looked at in one walk. An app with more is refused for those beyond.
const SUBTREE_MAX: usize = 4_096;
/// Levels below an app that are looked at, likewise.
const DEPTH_MAX: usize = 32;
/// Walks of one subtree within a second: a stranger's connection causes one, and may not make us walk all day.
const WALKS_A_SECOND: u32 = 100;
/// Strangers that are remembered, so that each causes one walk only.
const STRANGERS_MAX: usize = 1_024;
/// Processes of a cgroup that are held by descriptors at a time.
pub(crate) const HELD_MAX: usize = 1_024;
/// Levels above a cgroup that are looked at. A path cannot name one that is deeper.
const ABOVE_MAX: usize = 4_096;
/// Walks in which a subtree is removed.
const REMOVALS_MAX: usize = 64;
/// How long a killed cgroup may take to become empty.
const KILL_PATIENCE: Duration = Duration::from_secs(2);
/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2_SUPER_MAGIC: rustix::fs::FsWord = 0x6367_7270;

/// A cgroup that holds one workload.
pub struct AppCgroup {
    path: PathBuf,
    directory: OwnedFd,
    id: CgroupId,
    known: Mutex<Known>,
    /// It and its parents: these never change.
    lineage: OnceLock<Vec<CgroupId>>,
}

/// The ids of a subtree as last seen.
struct Known {
    members: HashSet<CgroupId>,
    strangers: HashSet<CgroupId>,
    window: Instant,
    walks: u32,
}

impl fmt::Debug for AppCgroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AppCgroup({} {})", self.id, self.path.display())
    }
}

impl AppCgroup {
    /// Makes a cgroup that only its maker's user (and root) can join. It must not be there yet.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`].
    pub fn create(parent: &Path, name: &str) -> Result<Self, KernelError> {
        let path = parent.join(name);
        let made = fs::DirBuilder::new().mode(0o755).create(&path);
        // Whatever the mask of our process is: runtimes look up how much memory they may use.
        made.and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .map_err(|source| KernelError::Cgroup { doing: "make", path: path.clone(), source })?;
        Self::open(&path)
    }

    /// Opens a cgroup that is there.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`]; also if it is a directory but not of cgroup2.
    pub fn open(path: &Path) -> Result<Self, KernelError> {
        let fail = |source: io::Error| KernelError::Cgroup { doing: "open", path: path.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| fail(error.into()))?;
        let kind = rustix::fs::fstatfs(&directory).map_err(|error| fail(error.into()))?;
        if kind.f_type != CGROUP2_SUPER_MAGIC {
            return Err(fail(io::Error::other("it is not a directory of cgroup2")));
        }
        let id = CgroupId(fstat(&directory).map_err(|error| fail(error.into()))?.st_ino);
        let (members, strangers) = (HashSet::from([id]), HashSet::new());
        let known = Mutex::new(Known { members, strangers, window: Instant::now(), walks: 0 });
        Ok(Self { path: path.to_owned(), directory, id, known, lineage: OnceLock::new() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its id.
    pub const fn id(&self) -> CgroupId {
        self.id
    }

    /// Its directory, to start a process in it.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Is this cgroup it, or below it? To be asked of the id of a socket that exists. On a miss the subtree is walked once more, since
    /// apps make children; an id that was not met then is a stranger for good.
    pub fn contains(&self, id: CgroupId) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.members.contains(&id) {
            return true;
        }
        if known.strangers.contains(&id) {
            return false;
        }
        if known.window.elapsed() > Duration::from_secs(1) {
            (known.window, known.walks) = (Instant::now(), 0);
        }
        if known.walks >= WALKS_A_SECOND {
            return false;
        }
        known.walks += 1;
        let mut members = HashSet::from([self.id]);
        let is_whole = walk(self.directory(), SUBTREE_MAX, &mut |_, id| {
            members.insert(id);
            true
        });
        known.members = members;
        let is_member = known.members.contains(&id);
        if !is_member && is_whole {
            if known.strangers.len() >= STRANGERS_MAX {
                known.strangers.clear();
            }
            known.strangers.insert(id);
        }
        is_member
    }

    /// Is it that cgroup, or below it? By its parents, of which there are few, however many cgroups there are: certain, unlike
    /// [`AppCgroup::contains`], which may say no of what is far below, and so for whoever refuses by a yes.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`]: a parent cannot be looked at.
    pub fn is_within(&self, id: CgroupId) -> Result<bool, KernelError> {
        Ok(self.lineage()?.contains(&id))
    }

    /// Its own id and those of the cgroups around it, the nearest first. As a cgroup never moves to another parent, it stays so, and is known
    /// also when the cgroup is gone.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`]: a parent cannot be looked at.
    pub fn lineage(&self) -> Result<&[CgroupId], KernelError> {
        if let Some(lineage) = self.lineage.get() {
            return Ok(lineage);
        }
        let path = || self.path.clone();
        let fail = |source| KernelError::Cgroup { doing: "see what it is within", path: path(), source };
        let lineage = self.read_lineage().map_err(fail)?;
        Ok(self.lineage.get_or_init(|| lineage))
    }

    fn read_lineage(&self) -> io::Result<Vec<CgroupId>> {
        let mut lineage = Vec::new();
        // No right to read is needed on the way up.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut directory = self.directory.try_clone()?;
        for _ in 0..ABOVE_MAX {
            let id = CgroupId(fstat(&directory)?.st_ino);
            // Above the root of what is mounted is another file system, or the root once more.
            if rustix::fs::fstatfs(&directory)?.f_type != CGROUP2_SUPER_MAGIC || lineage.last() == Some(&id) {
                return Ok(lineage);
            }
            lineage.push(id);
            directory = openat(&directory, "..", flags, Mode::empty())?;
        }
        Err(io::Error::other("it is too deep"))
    }

    /// Is there any process in it or below it? False once it is removed; true if it cannot be told.
    pub fn is_populated(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events = openat(&self.directory, "cgroup.events", flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| io::read_to_string(fs::File::from(file)));
        match events {
            Ok(events) => !events.lines().any(|line| line == "populated 0"),
            Err(error) => !is_gone(&error),
        }
    }

    /// The processes in it and below it; at most those of as many cgroups as are looked at in one walk. By the time this is read some may
    /// have ended and others begun.
    pub fn processes(&self) -> Vec<u32> {
        let mut places = vec![PathBuf::from(".")];
        walk(self.directory(), SUBTREE_MAX, &mut |path, _| {
            places.push(path.to_owned());
            true
        });
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut processes = Vec::new();
        for place in places {
            let list = openat(&self.directory, place.join(PROCESSES), flags, Mode::empty());
            // Removed meanwhile, or one of threads, whose processes are listed further up.
            let Ok(list) =
                list.map_err(io::Error::from).and_then(|file| io::read_to_string(fs::File::from(file)))
            else {
                continue;
            };
            processes.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        processes
    }

    /// Sends a signal to each of its processes, as far as they are there. One that moved elsewhere meanwhile gets none.
    pub fn signal(&self, number: i32) {
        for some in self.processes().chunks(HELD_MAX) {
            let held: Vec<_> =
                some.iter().filter_map(|pid| crate::Process::of_member(*pid, || true)).collect();
            // Read once while all are held: an id in it is that of the process that is held.
            let members: HashSet<u32> = self.processes().into_iter().collect();
            for process in held.iter().filter(|process| members.contains(&process.id())) {
                let _may_have_ended = process.signal(number);
            }
        }
    }

    /// Kills every process in it and below it, and waits until it is empty. Needs Linux 5.14. That blocks, up to two seconds where a process
    /// does not die at once (it waits for a device): not for a thread that others wait for.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`], also if it does not become empty.
    pub fn kill(&self) -> Result<(), KernelError> {
        let fail = |source: io::Error| KernelError::Cgroup { doing: "kill", path: self.path.clone(), source };
        let kill = openat(&self.directory, "cgroup.kill", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        match kill.and_then(|kill| rustix::io::write(&kill, b"1")) {
            Ok(_) => {}
            Err(_) if !self.is_populated() => return Ok(()),
            Err(error) => return Err(fail(error.into())),
        }
        let begin = Instant::now();
        while self.is_populated() {
            if begin.elapsed() > KILL_PATIENCE {
                return Err(fail(io::ErrorKind::TimedOut.into()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Removes it with its children and its limits; all must be empty. That it is gone already is no error. As long as limits of it that are
    /// in other hierarchies are used, it stays as well: they are found by its id.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`]: to be tried again.
    pub fn remove(&self) -> Result<(), KernelError> {
        crate::limits::remove(self)?;
        remove_below(self.directory());
        // Only if the path still is this cgroup: another one of the same name is not ours to remove.
        let is_ours = rustix::fs::lstat(&self.path).is_ok_and(|stat| stat.st_ino == self.id.0);
        match is_ours.then(|| fs::remove_dir(&self.path)) {
            Some(Err(source)) if !is_gone(&source) => {
                Err(KernelError::Cgroup { doing: "remove", path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// Removes the cgroups below a directory that are not used, of either version.
pub(crate) fn remove_below(top: BorrowedFd<'_>) {
    for _ in 0..REMOVALS_MAX {
        let mut below = Vec::new();
        let is_whole = walk(top, SUBTREE_MAX, &mut |path, _| {
            below.push(path.to_owned());
            true
        });
        // Parents were met first.
        let removed = |path: &&PathBuf| unlinkat(top, *path, AtFlags::REMOVEDIR).is_ok();
        let removed = below.iter().rev().filter(removed).count();
        // There may be more than are looked at in one walk.
        if is_whole || removed == 0 {
            return;
        }
    }
}

/// Is this what one is told of a cgroup that was removed?
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Visits the cgroups below a directory, parents first, until `visit` says no; their paths are relative to the directory. By the
/// descriptor, not by a path: a path may be another cgroup's by now. Says whether all were visited: there are not too many, nor too deep.
pub(crate) fn walk(
    top: BorrowedFd<'_>,
    at_most: usize,
    visit: &mut dyn FnMut(&Path, CgroupId) -> bool,
) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut queue = vec![PathBuf::from(".")];
    let (mut next, mut is_whole) = (0, true);
    // One directory is open at a time, however deep an app nests them.
    while let Some(path) = queue.get(next).cloned() {
        next += 1;
        let entries = openat(top, &path, flags, Mode::empty()).and_then(Dir::new);
        let entries = match entries {
            Ok(entries) => entries,
            Err(Errno::NOENT | Errno::NODEV) => continue,
            Err(_) => {
                is_whole = false;
                continue;
            }
        };
        for entry in entries {
            let Ok(entry) = entry else {
                is_whole = false;
                break;
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if entry.file_type() != FileType::Directory || name == "." || name == ".." {
                continue;
            }
            if queue.len() > at_most || path.components().count() >= DEPTH_MAX {
                is_whole = false;
                break;
            }
            let below = path.join(name);
            if !visit(&below, CgroupId(entry.ino())) {
                return false;
            }
            queue.push(below);
        }
    }
    is_whole
}

/// The path of a cgroup below a directory, if it is among the first that are met.
pub(crate) fn find(top: BorrowedFd<'_>, id: CgroupId, at_most: usize) -> Option<PathBuf> {
    if fstat(top).is_ok_and(|stat| stat.st_ino == id.0) {
        return Some(PathBuf::new());
    }
    let mut found = None;
    walk(top, at_most, &mut |path, other| {
        if other == id {
            found = path.strip_prefix(".").ok().map(Path::to_owned);
        }
        found.is_none()
    });
    found
}
