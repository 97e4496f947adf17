//! One entry of an archive, by its name and mode: where it goes and what it is, or why it may not be there.
//!
//! Names are checked by the bytes that are in the archive, before anything of them is seen as a path. What Windows reads as a separator or
//! a drive is refused as well: whoever packs on Windows would mean something else by it than what we make of it.

use crate::PackageError;

/// Bytes of one part of a path. Source: Linux, `NAME_MAX`.
const PART_BYTES_MAX: usize = 255;
/// Bytes of a whole path. Ours: with the directory that it goes to it stays well below Linux's `PATH_MAX` of 4,096.
const PATH_BYTES_MAX: usize = 2_048;
/// Directories inside each other. Ours: each of them is an open descriptor while its files are written.
const DEPTH_MAX: usize = 64;
/// Bytes of a link's target.
pub(crate) const TARGET_BYTES_MAX: usize = 1_024;

/// Bits of a Unix mode that say what a file is.
const KIND_BITS: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    /// A file, and whether it may be executed: the only bit of its mode that is kept.
    File {
        executable: bool,
    },
    Link,
}

/// The parts of an entry's path below the package's root: none of them is empty, `.` or `..`, and none holds a separator.
pub(crate) fn path(name: &[u8]) -> Result<Vec<String>, PackageError> {
    let refuse = |rule| Err(PackageError::entry(name, rule));
    let Ok(text) = std::str::from_utf8(name) else { return refuse("has a name that is not UTF-8") };
    if text.len() > PATH_BYTES_MAX {
        return refuse("has a name that is too long");
    }
    if text.starts_with('/') {
        return refuse("has an absolute path");
    }
    if text.contains('\\') {
        return refuse("has a backslash in its name: pack with / between directories");
    }
    if text.chars().any(char::is_control) {
        return refuse("has a control character in its name");
    }
    let parts: Vec<&str> = text.strip_suffix('/').unwrap_or(text).split('/').collect();
    if parts.iter().any(|part| part.is_empty() || matches!(*part, "." | "..")) {
        return refuse("has a path with an empty part, . or ..");
    }
    if parts.iter().any(|part| part.len() > PART_BYTES_MAX) {
        return refuse("has a name that is too long");
    }
    if parts.len() > DEPTH_MAX {
        return refuse("is in too many directories inside each other");
    }
    let drive = parts.first().map_or(&[][..], |part| part.as_bytes());
    if matches!(drive, [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return refuse("has a drive in its path");
    }
    Ok(parts.into_iter().map(str::to_owned).collect())
}

/// What an entry is, by its name and by the Unix mode that it has beside it. An archive from elsewhere has no mode.
pub(crate) fn kind(name: &[u8], mode: u32) -> Result<Kind, PackageError> {
    let is_directory = name.ends_with(b"/");
    match (mode & KIND_BITS, is_directory) {
        (0 | DIRECTORY, true) => Ok(Kind::Directory),
        (0 | REGULAR, false) => Ok(Kind::File { executable: mode & 0o111 != 0 }),
        (LINK, false) => Ok(Kind::Link),
        (DIRECTORY, false) | (REGULAR | LINK, true) => {
            Err(PackageError::entry(name, "is a directory by its name or by its mode, but not by both"))
        }
        _ => Err(PackageError::entry(name, "is neither a file, a directory nor a symbolic link")),
    }
}

/// A link's target, if it stays inside of the package whatever other links of the package do.
///
/// All `..` come first. The directories that they lead up from are real ones, since no entry goes through a link; so they can be counted
/// here. What follows leads down, or through other links for which the same holds.
pub(crate) fn target<'a>(name: &[u8], parts: &[String], target: &'a [u8]) -> Result<&'a str, PackageError> {
    let refuse = |rule| Err(PackageError::entry(name, rule));
    let Ok(text) = std::str::from_utf8(target) else {
        return refuse("is a link to a name that is not UTF-8");
    };
    if text.is_empty() || text.len() > TARGET_BYTES_MAX || text.chars().any(char::is_control) {
        return refuse("is a link to an impossible name");
    }
    if text.starts_with('/') {
        return refuse("is a link to an absolute path");
    }
    let mut ups = 0;
    let mut has_gone_down = false;
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if has_gone_down => return refuse("is a link that goes down and up again"),
            ".." => ups += 1,
            _ => has_gone_down = true,
        }
    }
    if ups >= parts.len() {
        return refuse("is a link that leads out of the package");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_and_mean_one_thing() {
        assert_eq!(path(b"a/b c/.d/\xc3\xa9").unwrap(), ["a", "b c", ".d", "\u{e9}"]);
        assert_eq!(path(b"a/").unwrap(), ["a"]);
        let deep = "d/".repeat(DEPTH_MAX);
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "a/..",
            "./a",
            "a/./b",
            "a//b",
            "a//",
            "//a",
            "a\\b",
            "..\\a",
            "C:/a",
            "c:",
            "a\0b",
            "a\nb",
            "a\u{7f}b",
            &"x".repeat(256),
            &"x/".repeat(1_100),
            &format!("{deep}x"),
        ] {
            assert!(path(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(path(b"\xff").is_err());
    }

    #[test]
    fn of_a_mode_only_the_executable_bit_is_kept() {
        let file = |mode| kind(b"a", mode).unwrap();
        assert_eq!(file(0), Kind::File { executable: false });
        assert_eq!(file(0o104_755), Kind::File { executable: true });
        assert_eq!(file(0o100_644), Kind::File { executable: false });
        assert_eq!(kind(b"a", 0o120_777).unwrap(), Kind::Link);
        assert_eq!(kind(b"a/", 0o040_755).unwrap(), Kind::Directory);
        for device in [0o010_644, 0o020_644, 0o060_644, 0o140_644, 0o160_644] {
            assert!(kind(b"a", device).is_err(), "{device:o}");
        }
        assert!(
            kind(b"a", 0o040_755).is_err()
                && kind(b"a/", 0o100_644).is_err()
                && kind(b"a/", 0o120_777).is_err()
        );
    }

    #[test]
    fn links_stay_inside() {
        let at = |path: &str, to: &str| {
            let parts: Vec<_> = path.split('/').map(str::to_owned).collect();
            target(path.as_bytes(), &parts, to.as_bytes()).is_ok()
        };
        assert!(
            at("node_modules/.bin/x", "../x/bin.js")
                && at("a", "b")
                && at("a/b", ".././c/")
                && at("a", "..b")
        );
        for (path, to) in [
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("a", "../b"),
            ("a/b", "../../c"),
            ("a/b", "../.."),
            ("a", ""),
            ("a", "b\0"),
            // The first part may be a link to somewhere deep, from which `..` leads elsewhere.
            ("a/b", "c/../../d"),
        ] {
            assert!(!at(path, to), "{path} -> {to}");
        }
        assert!(!at("a", &"x/".repeat(600)));
    }
}
