//! Packages. The first byte says what the rest is: an archive (even), or the text of a Procfile, of a package.json or of a command (odd).
//!
//! Whatever the archive is, nothing gets beside the directory that it is unpacked into, no link leads out of it, there is never more than the
//! limit, and nothing is left of what is refused. What is started is something that a shell can read.

use package::{Contents, Limits, unpack};
use std::{
    cell::RefCell,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

const LIMITS: Limits = Limits { zip_bytes: 1024 * 1024, bytes: 4 * 1024 * 1024, entries: 200 };

/// One thread's directory, which goes when the thread does.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// One package.
pub(crate) fn check(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    PLACE.with(|place| {
        let mut place = place.borrow_mut();
        let place = &place.get_or_insert_with(make).0;
        let inside = place.join("inside");
        drop(fs::remove_dir_all(&inside));
        fs::create_dir_all(&inside).unwrap();
        if first % 2 == 1 {
            let name = ["Procfile", "package.json", "command"][usize::from(first / 2) % 3];
            fs::write(inside.join(name), rest).unwrap();
            let given = std::str::from_utf8(rest).ok().filter(|_| name == "command");
            starts(&Contents::at(&inside), given);
            return;
        }
        match unpack(Cursor::new(rest), &inside, LIMITS) {
            Ok(contents) => {
                let (bytes, entries) = walk(&inside, &inside.canonicalize().unwrap());
                assert!(bytes <= LIMITS.bytes, "{bytes} bytes were unpacked");
                assert!(entries <= LIMITS.entries, "{entries} files and directories were made");
                starts(&contents, None);
            }
            Err(_) => assert!(fs::read_dir(&inside).unwrap().next().is_none(), "something is left of it"),
        }
        assert_eq!(fs::read_dir(place).unwrap().count(), 1, "something got out");
    });
}

/// In memory where there is such a place, since unpacking syncs the file system.
fn make() -> Place {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    Place(base.join(format!("keyless-fuzz-{}-{}", std::process::id(), thread.replace(['(', ')'], "-"))))
}

fn starts(contents: &Contents, given: Option<&str>) {
    let Ok(launch) = contents.detect(given) else { return };
    let [shell, _, command] = package::shell(&launch.command);
    assert!(shell.starts_with('/') && !command.contains('\0') && command.ends_with(&launch.command));
    drop(contents.build_steps(launch.runtime));
}

/// The bytes of all files, and how many files, directories and links there are. A link that leads anywhere leads inside.
fn walk(directory: &Path, root: &Path) -> (u64, usize) {
    let mut found = (0, 0);
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let (bytes, entries) = if metadata.is_dir() { walk(&path, root) } else { (metadata.len(), 0) };
        found = (found.0 + bytes, found.1 + entries + 1);
        if metadata.is_dir() {
            continue;
        }
        if let Ok(to) = path.canonicalize() {
            assert!(to.starts_with(root), "{} leads to {}", path.display(), to.display());
        }
        assert!(metadata.is_file() || metadata.is_symlink());
    }
    found
}
