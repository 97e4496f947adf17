//! The end of the log, for people: `keyless audit tail`.

use crate::{AuditError, files};
use std::path::Path;

/// The last `count` lines, oldest first, as they stand. Bytes that are not UTF-8 (a torn line) are shown as replacement characters.
///
/// # Errors
/// [`AuditError::Io`].
pub fn tail(dir: &Path, count: usize) -> Result<Vec<String>, AuditError> {
    let mut newest_first = Vec::new();
    for (path, file) in files::open_all(dir)?.into_iter().rev() {
        let wanted = count.saturating_sub(newest_first.len());
        if wanted == 0 {
            break;
        }
        let unreadable = || AuditError::io(&path, "read it");
        let length = file.metadata().map_err(unreadable())?.len();
        let mut bytes_max = files::END_BYTES;
        let end = loop {
            let end = files::read_end(&file, length, bytes_max).map_err(unreadable())?;
            // One more than wanted: the first of a part may be half a line.
            if bytes_max >= length || end.iter().filter(|byte| **byte == b'\n').count() > wanted {
                break end;
            }
            bytes_max = bytes_max.saturating_mul(4);
        };
        let lines = end.strip_suffix(b"\n").unwrap_or(&end).rsplit(|byte| *byte == b'\n');
        newest_first.extend(
            lines
                .take(wanted)
                .filter(|line| !line.is_empty())
                .map(|line| String::from_utf8_lossy(line).into_owned()),
        );
    }
    newest_first.reverse();
    Ok(newest_first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;
    use std::fs;

    #[test]
    fn the_end_is_read_across_files() {
        let dir = TempDir::new();
        assert!(tail(dir.path(), 5).unwrap().is_empty());
        fs::write(files::full(dir.path(), 1), "1\n2\n").unwrap();
        fs::write(files::full(dir.path(), 2), "3\n").unwrap();
        fs::write(files::active(dir.path()), "4\n5\nhalf \u{e9}").unwrap();
        assert_eq!(tail(dir.path(), 0).unwrap(), Vec::<String>::new());
        assert_eq!(tail(dir.path(), 2).unwrap(), ["5", "half \u{e9}"]);
        assert_eq!(tail(dir.path(), 4).unwrap(), ["3", "4", "5", "half \u{e9}"]);
        assert_eq!(tail(dir.path(), 99).unwrap().len(), 6);
    }

    #[test]
    fn long_files_are_read_from_their_end() {
        let dir = TempDir::new();
        let lines: String = (0..300_000).map(|number| format!("{number:08}\n")).collect();
        fs::write(files::active(dir.path()), lines).unwrap();
        assert_eq!(tail(dir.path(), 2).unwrap(), ["00299998", "00299999"]);
        let many = tail(dir.path(), 200_000).unwrap();
        assert_eq!((many.len(), many[0].as_str()), (200_000, "00100000"));
    }
}
