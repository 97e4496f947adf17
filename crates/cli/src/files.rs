//! Files that hold what is secret: read whole and once, written for their owner only, nothing overwritten by accident.

use crate::{failure::Failure, output};
use domain::Secret;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Does this path mean standard input or output?
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// All of a file, or of standard input for `-`, up to a limit.
pub(crate) fn read(path: &Path, bytes_max: usize, what: &str) -> Result<Secret<Vec<u8>>, Failure> {
    if is_standard(path) {
        return read_from(io::stdin().lock(), 0, bytes_max, what);
    }
    let failed = |error: io::Error| Failure::new(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let size = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(bytes_max);
    // What is no file at all says so only when it is read.
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    whole(file, size.min(bytes_max), bytes_max, what, &failed)
}

/// All of a source, up to a limit.
pub(crate) fn read_from(
    source: impl Read,
    bytes_expected: usize,
    bytes_max: usize,
    what: &str,
) -> Result<Secret<Vec<u8>>, Failure> {
    whole(source, bytes_expected, bytes_max, what, &Failure::from)
}

fn whole(
    source: impl Read,
    bytes_expected: usize,
    bytes_max: usize,
    what: &str,
    failed: &dyn Fn(io::Error) -> Failure,
) -> Result<Secret<Vec<u8>>, Failure> {
    // Large enough from the start, and for the read that finds the end: a buffer that grows leaves pieces of what it held behind.
    let mut bytes = Vec::with_capacity(bytes_expected + 64);
    let read = source.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(failed)?;
    if bytes.expose().len() > bytes_max {
        return Err(Failure::new(format!("{what} is at most {bytes_max} bytes")).lasting(true));
    }
    Ok(bytes)
}

/// A file without a name, for its maker only.
pub(crate) fn unnamed() -> io::Result<File> {
    let random = u64::from_be_bytes(domain::world::random(&crypt::SystemEntropy));
    let path = std::env::temp_dir().join(format!("keyless-{random:016x}"));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// The text in a file, as it is.
pub(crate) fn secret_text(path: &Path, bytes_max: usize, what: &str) -> Result<Secret<String>, Failure> {
    let bytes = read(path, bytes_max, what)?;
    warn_if_readable_by_others(path);
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| Failure::new(format!("{what} is no text")))?;
    Ok(Secret::new(text.to_owned()))
}

/// Says so if others than its owner may read a file.
pub(crate) fn warn_if_readable_by_others(path: &Path) {
    let is_open = fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 != 0);
    if is_open && !is_standard(path) {
        output::warn(format_args!(
            "other users of this machine can read {0}, and it holds secrets: chmod 600 {0}",
            path.display()
        ));
    }
}

/// A file for its owner only, whole or not there at all.
pub(crate) struct PrivateFile {
    file: File,
    written: PathBuf,
    path: PathBuf,
    is_done: bool,
}

impl PrivateFile {
    /// Makes it. What is there is kept, unless it is a file and `force` says to replace it.
    pub(crate) fn create(path: &Path, force: bool) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
        let is_taken = match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(Failure::new(format!("{} is there, and is no plain file", path.display())));
            }
            Ok(_) => true,
            Err(_) => false,
        };
        if is_taken && !force {
            return Err(Failure::new(format!("{} is there already", path.display()))
                .next("Name another file, or --force to replace it."));
        }
        // Replaced in one step at the end, with the new file's mode instead of the old one's.
        let written = if is_taken {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.new", std::process::id()));
            path.with_file_name(name)
        } else {
            path.to_owned()
        };
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written).map_err(failed)?;
        Ok(Self { file, written, path: path.to_owned(), is_done: false })
    }

    /// Writes more of it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file
            .write_all(bytes)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", self.path.display())))
    }

    /// It is whole.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let done = self.file.sync_all().and_then(|()| match self.written == self.path {
            true => Ok(()),
            false => fs::rename(&self.written, &self.path),
        });
        self.is_done = done.is_ok();
        done.map_err(|error| Failure::new(format!("cannot write {}: {error}", self.path.display())))
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.is_done {
            let _gone = fs::remove_file(&self.written);
        }
    }
}

/// Bytes to a file for its owner only, or to standard output for `-`; not to a terminal, which would act on some.
pub(crate) fn write(path: &Path, force: bool, bytes: &[u8]) -> Result<(), Failure> {
    if !is_standard(path) {
        let mut file = PrivateFile::create(path, force)?;
        file.write(bytes)?;
        return file.finish();
    }
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        return Err(
            Failure::new("these bytes are not for a terminal").next("Name a file, or send them into a pipe.")
        );
    }
    Ok(out.write_all(bytes).and_then(|()| out.flush())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn place(name: &str) -> PathBuf {
        let place = std::env::temp_dir().join(format!("keyless-cli-{}-{name}", std::process::id()));
        let _none = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        place
    }

    #[test]
    fn a_file_is_its_owners_and_not_replaced_by_accident() {
        let place = place("files");
        let path = place.join("a");
        write(&path, false, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let refused = write(&path, false, b"two").unwrap_err().to_string();
        assert!(refused.contains("--force"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        // Replaced, its mode is the new file's.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, true, b"two").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mode() & 0o777),
            (b"two".to_vec(), 0o600)
        );
        // What is no file stays, whoever insists: a device of the system, a link to who knows where.
        std::os::unix::fs::symlink(&path, place.join("link")).unwrap();
        for other in [Path::new("/dev/null"), &place, &place.join("link")] {
            assert!(
                write(other, true, b"x").unwrap_err().to_string().contains("no plain file"),
                "{}",
                other.display()
            );
        }
        // One that is not finished is not there.
        let mut half = PrivateFile::create(&place.join("b"), false).unwrap();
        half.write(b"half").unwrap();
        drop(half);
        let names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let place = place("unread");
        for path in [place.clone(), place.join("none")] {
            let refused = read(&path, 3, "it").err().unwrap().to_string();
            assert!(refused.starts_with(&format!("cannot read {}: ", path.display())), "{refused}");
        }
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_is_too_long_is_refused_and_not_read_to_its_end() {
        assert_eq!(read_from(&b"abc"[..], 0, 3, "it").unwrap().expose(), b"abc");
        let refused = read_from(io::repeat(b'x'), 0, 3, "a thing").unwrap_err().to_string();
        assert_eq!(refused, "a thing is at most 3 bytes");
    }
}
