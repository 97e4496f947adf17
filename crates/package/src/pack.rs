//! From a directory to an archive that `unpack` takes: the same bytes for the same files.

use crate::{PackageError, entry};
use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};
use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipError, write::SimpleFileOptions};

/// What became of a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Files and links in the archive.
    pub files: usize,
    /// What was left out, and why.
    pub skipped: Vec<(PathBuf, &'static str)>,
}

/// Writes all that is in a directory to an archive, by name. Executable bits are kept, and links that stay inside.
///
/// Left out, and said so: `.git`, links that lead outside, what is neither file nor directory, names that a package may not have.
///
/// # Errors
/// [`PackageError::Files`].
pub fn pack(directory: &Path, zip: impl Write + Seek) -> Result<Packed, PackageError> {
    let mut packing = Packing { zip: ZipWriter::new(zip), packed: Packed::default() };
    packing.directory(directory, &mut Vec::new())?;
    packing.zip.finish().map_err(fault)?;
    Ok(packing.packed)
}

struct Packing<W: Write + Seek> {
    zip: ZipWriter<W>,
    packed: Packed,
}

impl<W: Write + Seek> Packing<W> {
    fn directory(&mut self, directory: &Path, parts: &mut Vec<String>) -> Result<(), PackageError> {
        let read = || PackageError::files("read");
        let entries = fs::read_dir(directory).map_err(read())?;
        let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(read())?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for found in entries {
            let Some(name) = found.file_name().to_str().map(str::to_owned) else {
                self.skip(&found.path(), "its name is not UTF-8");
                continue;
            };
            if name == ".git" {
                self.skip(&found.path(), "history is no part of an app");
                continue;
            }
            parts.push(name);
            let one = self.one(&found.path(), parts);
            parts.pop();
            one?;
        }
        Ok(())
    }

    fn one(&mut self, path: &Path, parts: &mut Vec<String>) -> Result<(), PackageError> {
        let read = || PackageError::files("read");
        let name = parts.join("/");
        if entry::path(name.as_bytes()).is_err() {
            self.skip(path, "a package may not have such a name");
            return Ok(());
        }
        let metadata = fs::symlink_metadata(path).map_err(read())?;
        // The time is none, so that the same files make the same archive.
        let options = SimpleFileOptions::default().last_modified_time(DateTime::default());
        if metadata.is_dir() {
            self.zip.add_directory(format!("{name}/"), options.unix_permissions(0o755)).map_err(fault)?;
            return self.directory(path, parts);
        }
        if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(read())?;
            match entry::target(name.as_bytes(), parts, target.as_os_str().as_bytes()) {
                Ok(target) => self.zip.add_symlink(name, target, options).map_err(fault)?,
                Err(_) => {
                    self.skip(path, "it is a link that leads out of the directory");
                    return Ok(());
                }
            }
        } else if metadata.is_file() {
            let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            let options = options.unix_permissions(mode).compression_method(CompressionMethod::Deflated);
            self.zip.start_file(name, options).map_err(fault)?;
            let mut file = File::open(path).map_err(read())?;
            io::copy(&mut file, &mut self.zip).map_err(PackageError::files("packed"))?;
        } else {
            self.skip(path, "it is neither a file nor a directory");
            return Ok(());
        }
        self.packed.files = self.packed.files.saturating_add(1);
        Ok(())
    }

    fn skip(&mut self, path: &Path, why: &'static str) {
        self.packed.skipped.push((path.to_owned(), why));
    }
}

fn fault(error: ZipError) -> PackageError {
    let source = match error {
        ZipError::Io(source) => source,
        other => io::Error::other(other),
    };
    PackageError::Files { what: "packed", source }
}
