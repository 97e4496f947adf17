//! Cgroup v2: where the hierarchy is, where apps' cgroups go, and which ids belong to an app's subtree (the kernel's `cgroup-v2.rst`).
//!
//! A cgroup's id is the inode number of its directory; it is never used again for another one of the same name. Names out of `/proc`
//! are only read of ourselves, never of a workload: what a workload can mount or name it can forge.

use crate::{KernelError, sys};
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, unlinkat};
use std::{
    collections::HashSet,
    fmt, fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
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

/// Cgroups below an app that are looked at in one walk. An app with more is refused for those beyond.
const SUBTREE_MAX: usize = 4_096;
/// Walks of one subtree within a second: a stranger's connection causes one, and may not make us walk all day.
const WALKS_A_SECOND: u32 = 200;
/// How long a killed cgroup may take to become empty.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// The cgroup v2 hierarchy as this process sees it.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The directory of this process's own cgroup.
    pub own: PathBuf,
}

impl Hierarchy {
    /// Finds it by `/proc/self/mountinfo` and `/proc/self/cgroup`.
    ///
    /// # Errors
    /// [`KernelError::NoCgroup2`].
    pub fn discover() -> Result<Self, KernelError> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::parse(&mounts, &own)
    }

    fn parse(mounts: &str, own: &str) -> Result<Self, KernelError> {
        let (root, mount) =
            mounts.lines().find_map(cgroup2_mount).ok_or(KernelError::NoCgroup2("none is mounted"))?;
        let path = own
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .ok_or(KernelError::NoCgroup2("this process is in none"))?;
        let below = path.strip_prefix(root.trim_end_matches('/')).unwrap_or(path);
        Ok(Self { own: mount.join(below.trim_start_matches('/')), mount })
    }

    /// The path of a cgroup below the mount, for people: best effort, bounded, else its number.
    pub fn name_of(&self, id: CgroupId) -> String {
        let by_handle = || {
            let mount = fs::File::open(&self.mount).ok()?;
            let directory = sys::open_cgroup_by_id(mount.as_fd(), id.0).ok()?;
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&directory))).ok()
        };
        let path = by_handle().or_else(|| find(&self.mount, id, SUBTREE_MAX));
        match path.as_deref().map(|path| path.strip_prefix(&self.mount).unwrap_or(path)) {
            Some(path) => format!("/{}", path.display()),
            None => format!("cgroup {id}"),
        }
    }

    /// The directory of a cgroup.
    pub(crate) fn directory_of(&self, id: CgroupId) -> Option<PathBuf> {
        let name = self.name_of(id);
        name.strip_prefix('/').map(|path| self.mount.join(path))
    }
}

/// The root and mount point of a line of mountinfo, if it is a cgroup2 mount.
fn cgroup2_mount(line: &str) -> Option<(&str, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    if after.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut fields = before.split(' ').skip(3);
    Some((fields.next()?, PathBuf::from(fields.next()?)))
}

/// Where apps' cgroups may be made.
#[derive(Clone, Debug)]
pub enum Placement {
    /// Root: below a directory of our own, which no other user can join.
    Root {
        /// The directory.
        parent: PathBuf,
    },
    /// An ordinary user, in a part of the hierarchy that was delegated to them.
    Delegated {
        /// The directory.
        parent: PathBuf,
    },
    /// Nowhere.
    NotDelegated {
        /// What is missing.
        why: String,
        /// What to do about it.
        mend: String,
    },
}

/// Decides where this process may make apps' cgroups.
pub fn placement(hierarchy: &Hierarchy) -> Placement {
    if crate::is_root() {
        let parent = hierarchy.mount.join("keyless");
        return match fs::create_dir_all(&parent) {
            Ok(()) => Placement::Root { parent },
            Err(error) => Placement::NotDelegated {
                why: format!("cannot make {}: {error}", parent.display()),
                mend: "mount cgroup2 writable (in a container: a cgroup namespace of its own and a writable /sys/fs/cgroup)".to_owned(),
            },
        };
    }
    let is_writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    if is_writable(&hierarchy.own) && is_writable(&hierarchy.own.join("cgroup.procs")) {
        return Placement::Delegated { parent: hierarchy.own.clone() };
    }
    Placement::NotDelegated {
        why: format!("the cgroup of this process ({}) is not delegated to its user", hierarchy.own.display()),
        mend: "start it by `systemd-run --user --scope -p Delegate=yes keyless ...`, or as root".to_owned(),
    }
}

/// A cgroup that holds one workload.
pub struct AppCgroup {
    path: PathBuf,
    directory: OwnedFd,
    id: CgroupId,
    known: Mutex<Known>,
}

/// The ids of a subtree as last seen.
struct Known {
    ids: HashSet<CgroupId>,
    window: Instant,
    walks: u32,
}

impl fmt::Debug for AppCgroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AppCgroup({} {})", self.id, self.path.display())
    }
}

impl AppCgroup {
    /// Makes a cgroup. It must not be there yet.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`].
    pub fn create(parent: &Path, name: &str) -> Result<Self, KernelError> {
        let path = parent.join(name);
        fs::create_dir(&path).map_err(|source| KernelError::Cgroup {
            doing: "make",
            path: path.clone(),
            source,
        })?;
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
        let known = Known { ids: HashSet::from([id]), window: Instant::now(), walks: 0 };
        Ok(Self { path: path.to_owned(), directory, id, known: Mutex::new(known) })
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

    /// Is this cgroup it, or below it? On a miss the subtree is walked once more: apps make children.
    pub fn contains(&self, id: CgroupId) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.ids.contains(&id) {
            return true;
        }
        if known.window.elapsed() > Duration::from_secs(1) {
            (known.window, known.walks) = (Instant::now(), 0);
        }
        if known.walks >= WALKS_A_SECOND {
            return false;
        }
        known.walks += 1;
        // By the descriptor, not by the path: the path may be another cgroup's by now.
        let top =
            PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.directory)));
        let mut ids = HashSet::from([self.id]);
        walk(&top, &mut |_, id| {
            ids.insert(id);
            ids.len() < SUBTREE_MAX
        });
        known.ids = ids;
        known.ids.contains(&id)
    }

    /// Is there any process in it or below it? False once it is removed.
    pub fn is_populated(&self) -> bool {
        self.read("cgroup.events").is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    }

    /// Kills every process in it and below it, and waits until it is empty.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`], also if it does not become empty.
    pub fn kill(&self) -> Result<(), KernelError> {
        let fail = |source: io::Error| KernelError::Cgroup { doing: "kill", path: self.path.clone(), source };
        let kill = openat(&self.directory, "cgroup.kill", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        match kill.and_then(|kill| rustix::io::write(&kill, b"1")) {
            Ok(_) => {}
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NODEV) if !self.is_populated() => return Ok(()),
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

    /// Removes it with its children; all must be empty. That it is gone already is no error.
    ///
    /// # Errors
    /// [`KernelError::Cgroup`].
    pub fn remove(&self) -> Result<(), KernelError> {
        let mut below = Vec::new();
        walk(&self.path, &mut |path, _| {
            below.push(path.to_owned());
            below.len() < SUBTREE_MAX
        });
        for path in below.iter().rev() {
            let _still_used = unlinkat(rustix::fs::CWD, path, AtFlags::REMOVEDIR);
        }
        // Only if the path still is this cgroup: another one of the same name is not ours to remove.
        let is_ours = rustix::fs::stat(&self.path).is_ok_and(|stat| stat.st_ino == self.id.0);
        match is_ours.then(|| fs::remove_dir(&self.path)) {
            Some(Err(source)) if source.kind() != io::ErrorKind::NotFound => {
                Err(KernelError::Cgroup { doing: "remove", path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> io::Result<String> {
        let file = openat(&self.directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        io::read_to_string(fs::File::from(file))
    }
}

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2_SUPER_MAGIC: rustix::fs::FsWord = 0x6367_7270;

/// Visits the cgroups below a directory, parents first, until `visit` says no.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path, CgroupId) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return true };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let id = CgroupId(std::os::unix::fs::DirEntryExt::ino(&entry));
        if !visit(&path, id) || !walk(&path, visit) {
            return false;
        }
    }
    true
}

fn find(mount: &Path, id: CgroupId, at_most: usize) -> Option<PathBuf> {
    if rustix::fs::stat(mount).is_ok_and(|stat| stat.st_ino == id.0) {
        return Some(mount.to_owned());
    }
    let (mut found, mut seen) = (None, 0);
    walk(mount, &mut |path, other| {
        seen += 1;
        if other == id {
            found = Some(path.to_owned());
        }
        found.is_none() && seen < at_most
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_on_pure_hybrid_and_contained_hosts() {
        let check = |mounts: &str, own: &str, expected: &str| {
            assert_eq!(Hierarchy::parse(mounts, own).unwrap().own, Path::new(expected), "{mounts}");
        };
        let pure = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        check(pure, "0::/user.slice/a.scope\n", "/sys/fs/cgroup/user.slice/a.scope");
        let hybrid = "1 2 0:3 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n4 2 0:5 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        check(hybrid, "9:pids:/x\n0::/\n", "/sys/fs/cgroup/unified/");
        let contained = "30 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        check(contained, "0::/docker/abc/inner\n", "/sys/fs/cgroup/inner");
        assert!(Hierarchy::parse("", "0::/\n").is_err());
        assert!(Hierarchy::parse(pure, "1:name=systemd:/\n").is_err());
    }
}
