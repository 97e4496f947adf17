//! Where the cgroup v2 hierarchy is, and where in it apps' cgroups may be made (the kernel's `cgroup-v2.rst`, systemd's
//! `CGROUP_DELEGATION.md`).
//!
//! Names out of `/proc` are only read of ourselves, never of a workload: what a workload can mount or name it can forge.

use crate::{
    CgroupId, KernelError,
    cgroup::{self, find},
    sys,
};
use std::{
    borrow::Cow,
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        },
    },
    path::{Component, Path, PathBuf},
};

/// The directory below the mount in which root's apps are.
const ROOTS_PARENT: &str = "keyless";
/// The unit of systemd that a server is.
pub const SERVER_UNIT: &str = "keyless.service";
/// A unit beside it in which nothing runs but a user's apps: a cgroup that holds processes itself, as the server's does, cannot limit those
/// below it (`cgroup-v2.rst`, "No Internal Process Constraint"), and systemd could not start the server again in one that does.
pub const APPS_UNIT: &str = "keyless-apps.service";
/// Cgroups that are looked at to find the name of one, where the kernel does not tell it (only root may ask).
const NAMES_LOOKED_AT_MAX: usize = 1_024;

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
        let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read("/proc/self/cgroup").unwrap_or_default();
        Self::parse(&mounts, &own)
    }

    /// The same of another process: `own` is its cgroup. For as long as it is the one that its id means.
    pub(crate) fn of_process(directory: &str) -> Result<Self, KernelError> {
        let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read(format!("{directory}/cgroup"))
            .map_err(|source| KernelError::System { doing: "look at the process", source })?;
        Self::parse(&mounts, &own)
    }

    fn parse(mounts: &[u8], own: &[u8]) -> Result<Self, KernelError> {
        let lines = |text| <[u8]>::split(text, |byte| *byte == b'\n');
        let mounts: Vec<_> = lines(mounts).filter_map(Mount::parse).filter(|mount| mount.is_v2).collect();
        if mounts.is_empty() {
            return Err(KernelError::NoCgroup2("none is mounted"));
        }
        let path = lines(own)
            .find_map(|line| line.strip_prefix(b"0::"))
            .ok_or(KernelError::NoCgroup2("this process is in none"))?;
        let path = Path::new(OsStr::from_bytes(path));
        // A process that was put elsewhere from outside of its cgroup namespace sees itself at `/../..`.
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(KernelError::NoCgroup2("this process is outside of what it can see"));
        }
        // The mount that shows most: a part of the hierarchy may be mounted besides.
        let (own, mount) = mounts
            .iter()
            .filter_map(|mount| Some((below(mount, path)?, &mount.point)))
            .max_by_key(|(own, mount)| own.as_os_str().len() - mount.as_os_str().len())
            .ok_or(KernelError::NoCgroup2("no mount shows the part that this process is in"))?;
        Ok(Self { mount: mount.clone(), own })
    }

    /// The path of a cgroup below the mount, for people: best effort, bounded, else its number.
    pub fn name_of(&self, id: CgroupId) -> String {
        self.name(id, self.directory_of(id).as_deref())
    }

    pub(crate) fn name(&self, id: CgroupId, directory: Option<&Path>) -> String {
        match directory.map(|path| path.strip_prefix(&self.mount).unwrap_or(path)) {
            Some(path) => format!("/{}", path.display()),
            None => format!("cgroup {id}"),
        }
    }

    /// The directory of a cgroup: as root by its id, else by looking around a little.
    pub(crate) fn directory_of(&self, id: CgroupId) -> Option<PathBuf> {
        let mount = fs::File::open(&self.mount).ok()?;
        match sys::open_cgroup_by_id(mount.as_fd(), id.number()) {
            Ok(directory) => fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok(),
            // Root is answered for certain: it is no more.
            Err(error) if error.raw_os_error() == Some(libc::ESTALE) => None,
            Err(_) => Some(self.mount.join(find(mount.as_fd(), id, NAMES_LOOKED_AT_MAX)?)),
        }
    }
}

/// A mount of a cgroup hierarchy, of either version.
pub(crate) struct Mount {
    /// The directory of the hierarchy that it shows.
    pub(crate) root: PathBuf,
    /// Where.
    pub(crate) point: PathBuf,
    pub(crate) is_v2: bool,
    /// Among them, for version 1, its controllers.
    pub(crate) options: Vec<String>,
}

impl Mount {
    /// From a line of mountinfo (`proc_pid_mountinfo(5)`), if it is one.
    fn parse(line: &[u8]) -> Option<Self> {
        let end = line.windows(3).position(|bytes| bytes == b" - ")?;
        let (before, after) = (line.get(..end)?, line.get(end + 3..)?);
        let mut after = after.split(|byte| *byte == b' ');
        let is_v2 = match after.next()? {
            b"cgroup2" => true,
            b"cgroup" => false,
            _ => return None,
        };
        let options = String::from_utf8_lossy(after.nth(1).unwrap_or_default()).into_owned();
        let mut fields = before.split(|byte| *byte == b' ').skip(3).map(unescaped);
        let mut path = || fields.next().map(|field| PathBuf::from(OsStr::from_bytes(&field)));
        let options = options.split(',').map(str::to_owned).collect();
        Some(Self { root: path()?, point: path()?, is_v2, options })
    }

    /// Is a controller in it?
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.options.iter().any(|one| one == controller)
    }

    /// All that this process sees.
    pub(crate) fn all() -> io::Result<Vec<Self>> {
        let mounts = fs::read("/proc/self/mountinfo")?;
        Ok(mounts.split(|byte| *byte == b'\n').filter_map(Self::parse).collect())
    }
}

/// Where a mount shows a directory of its hierarchy, if it does.
pub(crate) fn below(mount: &Mount, path: &Path) -> Option<PathBuf> {
    // A process that was put elsewhere from outside of its cgroup namespace sees itself at `/../..`.
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let below = path.strip_prefix(&mount.root).ok()?;
    // Joining nothing would leave a slash at the end.
    Some(if below.as_os_str().is_empty() { mount.point.clone() } else { mount.point.join(below) })
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return field.into();
    }
    let (mut rest, mut plain) = (field, Vec::with_capacity(field.len()));
    while let Some((first, others)) = rest.split_first() {
        let octal = others.first_chunk().filter(|_| *first == b'\\');
        let value =
            octal.and_then(|digits: &[u8; 3]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(value.unwrap_or(*first));
        rest = if value.is_some() { others.get(3..).unwrap_or_default() } else { others };
    }
    plain.into()
}

/// Where apps' cgroups may be made.
#[derive(Clone, Debug)]
pub enum Placement {
    /// Root: below a directory of root's own, which no other user can join.
    Root {
        /// The directory.
        parent: PathBuf,
    },
    /// An ordinary user, in a part of the hierarchy that was delegated to them. Any process of theirs in that part can join.
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
        let parent = hierarchy.mount.join(ROOTS_PARENT);
        return match make_root_owned(&parent) {
            Ok(()) => Placement::Root { parent },
            Err(error) => Placement::NotDelegated {
                why: format!("cannot use {}: {error}", parent.display()),
                mend: "mount cgroup2 writable (in a container: its own cgroup namespace and a writable /sys/fs/cgroup)".to_owned(),
            },
        };
    }
    if let Some(parent) = delegated(&hierarchy.own) {
        return Placement::Delegated { parent };
    }
    Placement::NotDelegated {
        why: format!("the cgroup of this process ({}) is not delegated to its user", hierarchy.own.display()),
        mend: "start it by `systemd-run --user --scope -p Delegate=yes keyless ...`, or as root".to_owned(),
    }
}

/// Where an ordinary user's process of this cgroup may start others in cgroups of their own.
fn delegated(own: &Path) -> Option<PathBuf> {
    let is_writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    // To move a process one must be allowed to write `cgroup.procs` of the nearest cgroup that holds both its old and its new place.
    let is_ours = |path: &Path| is_writable(path) && is_writable(&path.join(cgroup::PROCESSES));
    let beside = own.ends_with(SERVER_UNIT).then(|| own.with_file_name(APPS_UNIT));
    let beside = beside.filter(|apps| is_ours(apps) && own.parent().is_some_and(is_ours));
    beside.or_else(|| is_ours(own).then(|| own.to_owned()))
}

/// A directory that only root can make cgroups in, whatever our file mode mask is and whoever was here first.
fn make_root_owned(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for path in [path, &path.join(cgroup::PROCESSES)] {
        let found = fs::symlink_metadata(path)?;
        if found.uid() != 0 || found.mode() & 0o022 != 0 {
            return Err(io::Error::other("others than root may write there"));
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_on_pure_hybrid_and_contained_hosts() {
        let check = |mounts: &str, own: &str, mount: &str, expected: &str| {
            let found = Hierarchy::parse(mounts.as_bytes(), own.as_bytes()).unwrap();
            let found = (found.mount.as_os_str().to_owned(), found.own.as_os_str().to_owned());
            assert_eq!(found, (mount.into(), expected.into()), "{mounts}");
        };
        let fails = |mounts: &str, own: &str| {
            assert!(Hierarchy::parse(mounts.as_bytes(), own.as_bytes()).is_err(), "{mounts} {own}");
        };
        let pure = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        check(pure, "0::/user.slice/a.scope\n", "/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/a.scope");
        let hybrid = "1 2 0:3 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n4 2 0:5 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        check(hybrid, "9:pids:/x\n0::/\n", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified");
        let contained = "30 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        check(contained, "0::/docker/abc/inner\n", "/sys/fs/cgroup", "/sys/fs/cgroup/inner");
        fails(contained, "0::/docker/abcd\n");
        check(
            &format!("{contained}{pure}"),
            "0::/docker/abc/b\n",
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/docker/abc/b",
        );
        let spaced = r"30 24 0:26 / /mnt/a\040b\134 rw - cgroup2 cgroup2 rw";
        check(spaced, "0::/x\n", "/mnt/a b\\", "/mnt/a b\\/x");
        fails("", "0::/\n");
        fails(pure, "1:name=systemd:/\n");
        fails(pure, "0::/../outside\n");
    }

    /// By plain files: of the cgroup files only whether they can be written is asked.
    #[test]
    fn a_users_apps_are_in_a_unit_of_their_own_if_the_server_is_one() {
        let slice = std::env::temp_dir().join(format!("keyless-slice-{}", std::process::id()));
        let [server, apps, scope] = [SERVER_UNIT, APPS_UNIT, "run-r1.scope"].map(|name| slice.join(name));
        for place in [&server, &apps, &scope] {
            fs::create_dir_all(place).unwrap();
            fs::write(place.join(cgroup::PROCESSES), "").unwrap();
        }
        assert_eq!(delegated(&server), Some(server.clone()), "nothing could be moved from one to the other");
        fs::write(slice.join(cgroup::PROCESSES), "").unwrap();
        assert_eq!(delegated(&server), Some(apps.clone()));
        assert_eq!(delegated(&scope), Some(scope), "a program of `keyless run` stays where it was started");
        fs::remove_dir_all(&apps).unwrap();
        assert_eq!(delegated(&server), Some(server), "a unit of an earlier version");
        fs::remove_dir_all(&slice).unwrap();
    }

    #[test]
    fn what_the_escape_is_not_stays() {
        assert_eq!(unescaped(br"a\04"), br"a\04".as_slice());
        assert_eq!(unescaped(br"a\999b"), br"a\999b".as_slice());
        assert_eq!(unescaped(br"\040\011"), b" \t".as_slice());
    }
}
