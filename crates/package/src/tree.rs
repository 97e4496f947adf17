//! Directories and files that are made one below the other by descriptor, so that no link is followed on the way, whoever made it.

use rustix::{
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::{
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

const ENTER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Nobody but the owner comes in.
const CLOSED: Mode = Mode::RWXU;

/// A directory that is being filled.
pub(crate) struct Tree {
    root: OwnedFd,
    /// The directories of the last path, each with its name in the one before.
    inside: Vec<(String, OwnedFd)>,
}

impl Tree {
    /// Over a directory that is there. Makes it its owner's alone.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let root = rustix::fs::open(root, ENTER | OFlags::RDONLY, Mode::empty())?;
        rustix::fs::fchmod(&root, CLOSED)?;
        Ok(Self { root, inside: Vec::new() })
    }

    /// Makes a directory and those above it, where they are missing.
    pub(crate) fn directory(&mut self, parts: &[String]) -> io::Result<BorrowedFd<'_>> {
        let common = self.inside.iter().zip(parts).take_while(|((name, _), part)| name == *part).count();
        self.inside.truncate(common);
        for part in parts.iter().skip(common) {
            let above = self.inside.last().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd());
            match rustix::fs::mkdirat(above, part, CLOSED) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let directory = rustix::fs::openat(above, part, ENTER | OFlags::RDONLY, Mode::empty())?;
            self.inside.push((part.clone(), directory));
        }
        Ok(self.inside.last().map_or(self.root.as_fd(), |(_, directory)| directory.as_fd()))
    }

    /// Makes a file that was not there.
    pub(crate) fn file(&mut self, parts: &[String], executable: bool) -> io::Result<File> {
        let (name, above) = split(parts)?;
        let mode = if executable { CLOSED } else { Mode::RUSR | Mode::WUSR };
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.directory(above)?, name, flags, mode)?;
        // The process's umask is nobody's business here.
        rustix::fs::fchmod(&file, mode)?;
        Ok(file.into())
    }

    /// Makes a symbolic link that was not there.
    pub(crate) fn link(&mut self, parts: &[String], target: &str) -> io::Result<()> {
        let (name, above) = split(parts)?;
        Ok(rustix::fs::symlinkat(target, self.directory(above)?, name)?)
    }
}

/// Everything below a directory is on the disk once this returns: one call for the file system instead of one for each of many thousand files.
pub(crate) fn sync(root: &Path) -> io::Result<()> {
    let root = rustix::fs::open(root, ENTER | OFlags::RDONLY, Mode::empty())?;
    Ok(rustix::fs::syncfs(&root)?)
}

/// Removes what is in a directory.
pub(crate) fn clear(root: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Gives all that is in a directory, and itself, to a user and group. Links are given, not followed.
pub(crate) fn give(root: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    let root = rustix::fs::open(root, ENTER | OFlags::RDONLY, Mode::empty())?;
    outwards(root, &mut |found| {
        match found {
            Found::Directory(directory) => rustix::fs::fchown(directory, uid, gid)?,
            Found::Other(above, name) => {
                rustix::fs::chownat(above, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
        Ok(())
    })
}

/// Something in a directory, or the directory itself once all in it was shown.
enum Found<'a> {
    Directory(&'a OwnedFd),
    Other(&'a OwnedFd, &'a CStr),
}

/// Shows all that is in a directory, each directory after what is in it: while something is left to be done in one, it and those above it are
/// not shown yet. By descriptor, so that a link that takes a directory's place meanwhile leads nowhere.
fn outwards(directory: OwnedFd, show: &mut impl FnMut(Found<'_>) -> io::Result<()>) -> io::Result<()> {
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match inner(&directory, name, entry.file_type())? {
            Some(inner) => outwards(inner, show)?,
            None => show(Found::Other(&directory, name))?,
        }
    }
    show(Found::Directory(&directory))
}

/// What is in a directory under this name, if that is a directory. What was one when it was listed and is none now is an error.
fn inner(above: &OwnedFd, name: &CStr, listed: FileType) -> io::Result<Option<OwnedFd>> {
    // Not every file system says in its lists what things are.
    if !matches!(listed, FileType::Directory | FileType::Unknown) {
        return Ok(None);
    }
    match rustix::fs::openat(above, name, ENTER | OFlags::RDONLY, Mode::empty()) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOTDIR | Errno::LOOP) if listed == FileType::Unknown => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn split(parts: &[String]) -> io::Result<(&str, &[String])> {
    let (name, above) = parts.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((name, above))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, symlink},
        path::PathBuf,
    };

    /// A directory of its own, which goes with the test.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("keyless-tree-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("root/a/b")).unwrap();
            fs::write(path.join("root/a/b/x"), "").unwrap();
            fs::write(path.join("root/y"), "").unwrap();
            Self(path)
        }

        fn open(&self, path: &str) -> OwnedFd {
            rustix::fs::open(self.0.join(path), ENTER | OFlags::RDONLY, Mode::empty()).unwrap()
        }

        /// Walks below `root` until something of this name is shown; answers what was shown before it.
        fn walk(&self, fails_at: &str) -> Vec<String> {
            let of = |number: u64| {
                let paths = ["root", "root/a", "root/a/b"];
                let is_it = |path: &&&str| fs::metadata(self.0.join(path)).unwrap().ino() == number;
                (*paths.iter().find(is_it).unwrap()).to_owned()
            };
            let mut shown = Vec::new();
            let walked = outwards(self.open("root"), &mut |found| {
                let name = match found {
                    Found::Directory(directory) => of(rustix::fs::fstat(directory)?.st_ino),
                    Found::Other(_, name) => name.to_str().unwrap().to_owned(),
                };
                if name == fails_at {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                shown.push(name);
                Ok(())
            });
            assert_eq!(walked.is_err(), !fails_at.is_empty());
            shown
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_directory_comes_after_all_that_is_in_it_and_the_root_last() {
        let place = Place::new("order");
        let all = place.walk("");
        let at = |name: &str| all.iter().position(|shown| shown == name).unwrap();
        assert!(at("x") < at("root/a/b") && at("root/a/b") < at("root/a") && at("root/a") < at("root"));
        assert_eq!((all.len(), at("root")), (5, 4));
    }

    #[test]
    fn after_an_error_deep_inside_nothing_above_it_is_given() {
        let place = Place::new("error");
        let given = place.walk("x");
        assert!(given.iter().all(|name| name == "y"), "{given:?}");
    }

    #[test]
    fn a_link_that_takes_the_place_of_a_directory_is_not_followed() {
        let place = Place::new("link");
        let root = place.open("root");
        assert!(inner(&root, c"a", FileType::Directory).unwrap().is_some());
        assert!(inner(&root, c"y", FileType::Unknown).unwrap().is_none());
        // It was a directory when it was listed.
        fs::rename(place.0.join("root/a"), place.0.join("elsewhere")).unwrap();
        symlink(place.0.join("elsewhere"), place.0.join("root/a")).unwrap();
        assert!(inner(&root, c"a", FileType::Directory).is_err());
        // Where lists do not say what things are, it is given itself.
        assert!(inner(&root, c"a", FileType::Unknown).unwrap().is_none());
        // Nor is one in the place of all.
        let own = fs::metadata(&place.0).unwrap();
        symlink(place.0.join("elsewhere"), place.0.join("linked")).unwrap();
        assert!(give(&place.0.join("linked"), own.uid(), own.gid()).is_err());
        assert!(give(&place.0.join("root"), own.uid(), own.gid()).is_ok());
    }

    #[test]
    fn nothing_is_made_through_a_link_whoever_made_it() {
        let place = Place::new("made");
        let elsewhere = place.0.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, place.0.join("root/directory")).unwrap();
        symlink(elsewhere.join("file"), place.0.join("root/file")).unwrap();
        let parts = |path: &str| -> Vec<String> { path.split('/').map(str::to_owned).collect() };
        let mut tree = Tree::open(&place.0.join("root")).unwrap();
        assert!(
            tree.directory(&parts("directory")).is_err() && tree.directory(&parts("directory/x")).is_err()
        );
        assert!(
            tree.file(&parts("directory/x"), false).is_err() && tree.file(&parts("file"), false).is_err()
        );
        assert!(tree.link(&parts("directory/x"), "y").is_err() && tree.link(&parts("file"), "y").is_err());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert!(Tree::open(&place.0.join("root/directory")).is_err());
        // What is there already is not written over.
        assert!(tree.file(&parts("y"), true).is_err() && tree.file(&parts("a/b/new"), true).is_ok());
    }
}
