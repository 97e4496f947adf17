//! Private files: a directory that only its owner may enter, files that appear whole or not at all, and a lock on a directory.

use crate::KernelError;
use rustix::{
    fs::{
        AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags, chmodat, fchmod, flock, openat,
        renameat_with, unlinkat,
    },
    io::Errno,
};
use std::{
    ffi::CString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    },
    path::Path,
};

/// Makes a directory (and its parents) with mode 0700. One that is there is left as it is.
///
/// # Errors
/// [`KernelError::File`].
pub fn create_private_dir(path: &Path) -> Result<(), KernelError> {
    let fail = |source| KernelError::File { doing: "make the directory", path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)
}

/// Writes a file with mode 0600: whole, on disk, or not at all.
///
/// # Errors
/// [`KernelError::File`].
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), KernelError> {
    write_whole(path, content, 0o600)
}

/// The same with mode 0644, for what everybody may read.
///
/// # Errors
/// [`KernelError::File`].
pub fn write_public(path: &Path, content: &[u8]) -> Result<(), KernelError> {
    write_whole(path, content, 0o644)
}

/// A file in memory, without a name: it is gone with its last descriptor.
///
/// # Errors
/// As `memfd_create(2)`.
pub fn in_memory(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), KernelError> {
    let fail = |source: io::Error| KernelError::File { doing: "write", path: path.to_owned(), source };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    // One left over by a crash may have another mode or be a link: never written through.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new).map_err(fail)?;
    // Whatever the mask of our process is: that of a service keeps new files from everybody else.
    let give = || file.set_permissions(fs::Permissions::from_mode(mode));
    give().and_then(|()| file.write_all(content)).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&new, path).and_then(|()| File::open(parent)?.sync_all()).map_err(fail)
}

/// For `OpenOptions::custom_flags`: who owns a file may hold a lease on it, and whoever opens it waits for the owner's good will, up to 45
/// seconds (`fcntl(2)`). With this it is an error at once.
pub const NOT_WAITING: i32 = libc::O_NONBLOCK;

/// Entries that are looked at before [`remove_whole`] gives up. Ours: nobody has so many, unless more are made as fast as they go.
const REMOVED_MAX: u64 = 16_000_000;
/// Names that are looked at in one round. Ours: whoever made them has chosen how many there are.
const NAMES_MAX: usize = 4_096;

/// Removes a directory with all that is in it, however deep that is: what is deep is moved up, so that neither the stack nor open descriptors
/// grow with the depth, which whoever made the directories has chosen. Links are removed, not followed. That there is none is no error. Blocks.
///
/// # Errors
/// As `unlinkat(2)`; also if more comes than goes.
pub fn remove_whole(path: &Path) -> io::Result<()> {
    const ENTER: OFlags =
        OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let top = match rustix::fs::open(path, ENTER, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    let mut number = 0;
    let mut count = |more: u64| {
        number += more;
        if number > REMOVED_MAX { Err(io::Error::other("more comes than is removed")) } else { Ok(number) }
    };
    loop {
        let mut is_empty = true;
        for name in names(&top)? {
            is_empty = false;
            let _number = count(1)?;
            if is_removed(&top, &name)? {
                continue;
            }
            let inner = match openat(&top, &name, ENTER, Mode::empty()) {
                // Whoever made it may have closed it to itself.
                Err(Errno::ACCESS) => {
                    chmodat(&top, &name, Mode::RWXU, AtFlags::empty())?;
                    openat(&top, &name, ENTER, Mode::empty())?
                }
                opened => opened?,
            };
            let _not_ours = fchmod(&inner, Mode::RWXU);
            // What is left of many is of the next round: this one is not empty then.
            for below in names(&inner)? {
                let mut is_opened = false;
                while !is_removed(&inner, &below)? {
                    let up = format!(".removed-{}", count(1)?);
                    match renameat_with(&inner, &below, &top, &up, RenameFlags::NOREPLACE) {
                        // The name is taken: by the next round that one is gone, too.
                        Err(Errno::EXIST) => {}
                        Err(Errno::ACCESS) if !is_opened => {
                            chmodat(&inner, &below, Mode::RWXU, AtFlags::empty())?;
                            is_opened = true;
                        }
                        moved => {
                            moved?;
                            break;
                        }
                    }
                }
            }
        }
        if is_empty {
            return fs::remove_dir(path);
        }
    }
}

/// What is in a directory now, or the first of it.
fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    // With the two that are always there.
    for entry in Dir::read_from(directory)?.take(NAMES_MAX) {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Removes it, if it is no directory or an empty one.
fn is_removed(directory: &OwnedFd, name: &CString) -> io::Result<bool> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    match unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Bytes that an ordinary user may still write on the file system of a path.
///
/// # Errors
/// As `statvfs(3)`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(path)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// A directory that is ours alone while this value lives; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that was forked and has not executed yet shares the open file, and would hold the lock on after we let go of it: so
        // the lock is taken off, not only the file closed.
        let _closing_does_it_else = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Locks a directory by a file `lock` in it, which names our process.
///
/// # Errors
/// [`KernelError::Locked`] if another process holds it; [`KernelError::File`].
pub fn lock_exclusive(directory: &Path) -> Result<Lock, KernelError> {
    let path = directory.join("lock");
    let fail = |source: io::Error| KernelError::File { doing: "lock", path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(fail)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let _unreadable = file.read_to_string(&mut holder);
            return Err(KernelError::Locked { pid: holder.trim().parse().ok() });
        }
        Err(error) => return Err(fail(error.into())),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(fail)?;
    Ok(Lock(file))
}

/// The process that holds a directory's lock, as far as this one can see: that which the file names, if it holds any lock of this kind. Looked up
/// and not tried, which would keep out whoever starts at this moment.
pub fn lock_holder(directory: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(directory.join("lock")).ok()?.trim().parse().ok()?;
    is_holder(&fs::read_to_string("/proc/locks").ok()?, pid).then_some(pid)
}

/// A line is `1: FLOCK  ADVISORY  WRITE 4711 08:01:2234 0 EOF` (proc_locks(5)); who waits for one has `->` before the kind.
fn is_holder(locks: &str, pid: u32) -> bool {
    locks.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words.next() == Some("FLOCK") && words.nth(2).and_then(|word| word.parse().ok()) == Some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_process_is_seen_to_hold_a_lock_and_not_to_wait_for_one() {
        let locks = "1: FLOCK  ADVISORY  WRITE 10 08:01:22 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 11 08:01:22 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 12 08:01:23 0 EOF\n";
        assert_eq!([10, 11, 12, 1].map(|pid| is_holder(locks, pid)), [true, false, false, false]);
    }

    fn directory(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("keyless-kernel-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        create_private_dir(&path).unwrap();
        path
    }

    #[test]
    fn what_is_removed_may_be_as_deep_as_it_likes() {
        let place = directory("removed");
        let (whole, kept) = (place.join("whole"), place.join("kept"));
        fs::create_dir(&whole).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        fs::create_dir_all(whole.join("closed/inner/most")).unwrap();
        std::os::unix::fs::symlink(&kept, whole.join("closed/inner/link")).unwrap();
        fs::set_permissions(whole.join("closed/inner"), fs::Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(whole.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::create_dir(whole.join(".removed-2")).unwrap();
        fs::write(whole.join(".removed-2/x"), "").unwrap();
        // Deeper than any path can say, and than a stack would bear.
        let mut at: OwnedFd = fs::File::open(&whole).unwrap().into();
        for _ in 0..30_000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = openat(&at, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        drop(at);
        let small = std::thread::Builder::new().stack_size(256 * 1024);
        small.spawn(move || remove_whole(&whole).unwrap()).unwrap().join().unwrap();
        assert!(!place.join("whole").exists() && kept.join("file").exists());
        remove_whole(&place.join("whole")).unwrap();
        assert!(remove_whole(&kept.join("file")).is_err(), "that is no directory");
        remove_whole(&place).unwrap();
    }

    #[test]
    fn a_file_in_memory_is_read_by_whoever_is_given_it_and_is_nowhere() {
        use std::os::fd::AsRawFd;
        let mut file = in_memory("test").unwrap();
        file.write_all(b"secret").unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert!(fs::read_link(&path).unwrap().to_string_lossy().contains("(deleted)"));
        drop(file);
        assert!(fs::read(&path).is_err());
    }

    #[test]
    fn private_means_private() {
        let directory = directory("private");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        let file = directory.join("key");
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!((mode(&file), fs::read(&file).unwrap()), (0o600, b"two".to_vec()));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_lock_is_held_once_and_names_its_holder() {
        let directory = directory("lock");
        let lock = lock_exclusive(&directory).unwrap();
        match lock_exclusive(&directory) {
            Err(KernelError::Locked { pid }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        assert_eq!(lock_holder(&directory), Some(std::process::id()));
        drop(lock);
        assert_eq!(lock_holder(&directory), None, "its name is in there still");
        drop(lock_exclusive(&directory).unwrap());
        fs::remove_dir_all(directory).unwrap();
    }
}
