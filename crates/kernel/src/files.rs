//! Private files: a directory that only its owner may enter, files that appear whole or not at all, and a lock on a directory.

use crate::KernelError;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
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
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&new, path).and_then(|()| File::open(parent)?.sync_all()).map_err(fail)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("keyless-kernel-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        create_private_dir(&path).unwrap();
        path
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
        drop(lock);
        drop(lock_exclusive(&directory).unwrap());
        fs::remove_dir_all(directory).unwrap();
    }
}
