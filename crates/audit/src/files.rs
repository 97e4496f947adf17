//! The files of a log: `audit.jsonl` is written, `audit-000001.jsonl` and on are full. The chain goes through all of them in that order.

use crate::AuditError;
use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Bytes at which a file is full and the next one is begun.
pub(crate) const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes that are read of a file's end at once; a torn line may be as long.
pub(crate) const END_BYTES: u64 = 1024 * 1024;

/// The file that is written.
pub(crate) fn active(dir: &Path) -> PathBuf {
    dir.join("audit.jsonl")
}

/// The full file of a number.
pub(crate) fn full(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("audit-{number:06}.jsonl"))
}

/// The numbers of the full files, in order.
pub(crate) fn full_numbers(dir: &Path) -> Result<Vec<u64>, AuditError> {
    let entries = fs::read_dir(dir).map_err(AuditError::io(dir, "list its files"))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(AuditError::io(dir, "list its files"))?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".jsonl")?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// All files, opened, oldest first. The active one is opened first, so that one that becomes full meanwhile is neither missed nor read
/// twice. A log that was never begun has none.
pub(crate) fn open_all(dir: &Path) -> Result<Vec<(PathBuf, File)>, AuditError> {
    let open = |path: PathBuf| match File::open(&path) {
        Ok(file) => Ok(Some((path, file))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AuditError::Io { path, doing: "open it", source }),
    };
    let active = open(active(dir))?;
    let mut files = Vec::new();
    for number in full_numbers(dir)? {
        let Some((path, file)) = open(full(dir, number))? else { continue };
        if !active.as_ref().is_some_and(|(_, active)| leads_to(&path, active)) {
            files.push((path, file));
        }
    }
    files.extend(active);
    Ok(files)
}

/// Makes the folder (0700) if it is not there.
pub(crate) fn create_dir(dir: &Path) -> Result<(), AuditError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(AuditError::io(dir, "create the folder"))
}

/// Opens the active file for appending, or begins it (0600). Says how long it is.
pub(crate) fn open_active(dir: &Path) -> Result<(File, u64), AuditError> {
    let path = active(dir);
    let is_new = !path.exists();
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(AuditError::io(&path, "open it for appending"))?;
    if is_new {
        sync_dir(dir)?;
    }
    let length = file.metadata().map_err(AuditError::io(&path, "read its size"))?.len();
    Ok((file, length))
}

/// Makes names durable: a file whose name is not on disk is lost with the power.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), AuditError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(AuditError::io(dir, "sync the folder"))
}

/// Whether the path still leads to this open file: it was not removed, moved away or replaced.
pub(crate) fn leads_to(path: &Path, file: &File) -> bool {
    matches!((fs::metadata(path), file.metadata()), (Ok(found), Ok(open)) if is_same(&found, &open))
}

fn is_same(left: &Metadata, right: &Metadata) -> bool {
    (left.dev(), left.ino()) == (right.dev(), right.ino())
}

/// The last bytes of a file, at most `bytes_max`.
pub(crate) fn read_end(mut file: &File, length: u64, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
    file.take(bytes_max.min(length)).read_to_end(&mut end)?;
    Ok(end)
}
