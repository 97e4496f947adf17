//! From an archive to a directory of files, all or nothing.

use crate::{
    PackageError,
    archive::{Archive, Item},
    entry::Kind,
    tree::{self, Tree},
};
use domain::limits;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, Write as _},
    mem,
    path::{Path, PathBuf},
};

/// How large a package may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the archive.
    pub zip_bytes: u64,
    /// Bytes of all its files, counted as they are written.
    pub bytes: u64,
    /// Files, directories and links; also the directories that the archive does not list and something is in.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            zip_bytes: limits::PACKAGE_ZIP_BYTES_MAX,
            bytes: limits::PACKAGE_BYTES_MAX,
            entries: limits::PACKAGE_ENTRIES_MAX,
        }
    }
}

/// A package's files, in a directory.
#[derive(Clone, Debug)]
pub struct Contents {
    pub(crate) root: PathBuf,
}

impl Contents {
    /// Those in a directory into which a package was unpacked before.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where they are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Puts all of it on the disk, with what a build has made of it: until then a cut of power leaves files that are empty. Blocks.
    ///
    /// # Errors
    /// [`PackageError::Files`].
    pub fn sync(self) -> Result<Synced, PackageError> {
        tree::sync(&self.root).map_err(PackageError::files("put on the disk"))?;
        Ok(Synced(self))
    }

    /// Gives the directory and all that is in it to a user and group; links are not followed. Before anything of it runs: whoever owns a
    /// directory may change it meanwhile.
    ///
    /// # Errors
    /// [`PackageError::Files`].
    pub fn give(&self, uid: u32, gid: u32) -> Result<(), PackageError> {
        tree::give(&self.root, uid, gid).map_err(PackageError::files("given to the app's user"))
    }
}

/// A package's files, all of them on the disk: what may be told to be deployed.
#[derive(Debug)]
pub struct Synced(Contents);

impl Synced {
    /// They.
    pub const fn contents(&self) -> &Contents {
        &self.0
    }
}

/// Unpacks an archive into an empty directory, which becomes its owner's alone (0700), as do the files (0600, or 0700 if one may be
/// executed). Every entry is checked before one is written, and nothing is left on an error. On the disk it is after [`Contents::sync`].
///
/// Symbolic links are made where they stay inside the package. Entries that go through a link are refused.
///
/// # Errors
/// [`PackageError`], which says what is wrong with the archive.
pub fn unpack(zip: impl Read + Seek, into: &Path, limits: Limits) -> Result<Contents, PackageError> {
    let mut entries = fs::read_dir(into).map_err(PackageError::files("written"))?;
    if entries.next().is_some() {
        return Err(PackageError::NotEmpty);
    }
    let mut archive = Archive::open(zip, &limits)?;
    if let Err(error) = write(&mut archive, into, limits) {
        // What is wrong with the archive is worth more to the caller than that a directory stays behind, which is still closed.
        let _stays = tree::clear(into);
        return Err(error);
    }
    Ok(Contents::at(into))
}

fn write<R: Read + Seek>(archive: &mut Archive<R>, into: &Path, limits: Limits) -> Result<(), PackageError> {
    let written = || PackageError::files("written");
    let mut tree = Tree::open(into).map_err(written())?;
    let items: BTreeMap<Vec<String>, Item> = mem::take(&mut archive.items);
    let mut bytes = 0_u64;
    for (parts, item) in &items {
        match item.kind {
            Kind::Directory => drop(tree.directory(parts).map_err(written())?),
            Kind::Link => {}
            Kind::File { executable } => {
                let mut file: File = tree.file(parts, executable).map_err(written())?;
                archive.read(item, &parts.join("/"), |piece| {
                    bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                    if bytes > limits.bytes {
                        return Err(PackageError::TooLarge { what: "bytes unpacked", limit: limits.bytes });
                    }
                    file.write_all(piece).map_err(written())
                })?;
            }
        }
    }
    // Last, so that no file can be written through one even if a check above were wrong.
    for (parts, item) in items.iter().filter(|(_, item)| item.kind == Kind::Link) {
        tree.link(parts, &item.target).map_err(written())?;
    }
    Ok(())
}

/// What holds even if a check of the archive were wrong.
#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use zip::{ZipWriter, write::SimpleFileOptions};

    /// A directory of its own, which goes with the test.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("keyless-unpack-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("root")).unwrap();
            fs::create_dir_all(path.join("elsewhere")).unwrap();
            Self(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// With a file `l/x` and a link `m`.
    fn archive() -> Archive<Cursor<Vec<u8>>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        zip.start_file("l/x", options).unwrap();
        zip.write_all(b"some text").unwrap();
        zip.add_symlink("m", "l/x", options).unwrap();
        Archive::open(zip.finish().unwrap(), &Limits::default()).unwrap()
    }

    #[test]
    fn links_are_made_last() {
        let place = Place::new("links");
        let (root, elsewhere) = (place.0.join("root"), place.0.join("elsewhere"));
        let mut archive = archive();
        // A link in the place of a directory with a file, which no archive gets past the checks.
        let mut link = archive.items.remove(&["m".to_owned()][..]).unwrap();
        link.target = elsewhere.to_str().unwrap().to_owned();
        archive.items.insert(vec!["l".to_owned()], link);
        assert!(write(&mut archive, &root, Limits::default()).is_err());
        assert!(
            root.join("l").symlink_metadata().unwrap().is_dir(),
            "the directory was there before the link"
        );
        assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn bytes_are_counted_as_they_are_written() {
        let place = Place::new("bytes");
        let limits = Limits { bytes: 8, ..Limits::default() };
        let said = write(&mut archive(), &place.0.join("root"), limits).unwrap_err().to_string();
        assert_eq!(said, "the package has more than 8 bytes unpacked");
        assert_eq!(fs::metadata(place.0.join("root/l/x")).unwrap().len(), 0);
    }
}
