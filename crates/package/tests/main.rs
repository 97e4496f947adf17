//! Packages as strangers send them, and what becomes of them on a real file system.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows these in tests, but does not see that everything here is one"
)]

mod hostile;
mod launching;
mod raw;
mod whole;

use package::{Contents, Limits, PackageError, unpack};
use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A directory of its own, which goes with the test. What is unpacked goes one level below, so that what gets out can be seen.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        // In memory where there is such a place: unpacking syncs the whole file system, which others may be writing to.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("keyless-package-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("a/b/inside")).unwrap();
        Self(path)
    }

    fn inside(&self) -> PathBuf {
        self.0.join("a/b/inside")
    }

    fn unpack(&self, zip: &[u8]) -> Result<Contents, PackageError> {
        self.unpack_within(zip, Limits::default())
    }

    fn unpack_within(&self, zip: &[u8], limits: Limits) -> Result<Contents, PackageError> {
        unpack(Cursor::new(zip), &self.inside(), limits)
    }

    /// Refuses it and leaves nothing behind, neither where it goes nor elsewhere. Answers what is said.
    fn refused(&self, zip: &[u8]) -> String {
        self.refused_within(zip, Limits::default())
    }

    fn refused_within(&self, zip: &[u8], limits: Limits) -> String {
        let error = self.unpack_within(zip, limits).map(drop).unwrap_err();
        assert_eq!(all(&self.0), ["a", "a/b", "a/b/inside"], "{error}");
        error.to_string()
    }

    /// Files with their text, as if they had been unpacked.
    fn contents(files: &[(&str, &str)]) -> (Self, Contents) {
        let place = Self::new();
        for (name, text) in files {
            let path = place.inside().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let contents = Contents::at(place.inside());
        (place, contents)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// All that is below a directory, by name.
fn all(root: &Path) -> Vec<String> {
    fn walk(root: &Path, directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            if path.symlink_metadata().unwrap().is_dir() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}
