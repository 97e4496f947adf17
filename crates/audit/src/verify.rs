//! Verification of a whole log: finds any line that was changed, dropped, inserted, repeated or put in another place; and, by the anchor,
//! an end that was cut and a log that was replaced by an older copy.
//!
//! What cannot be found: the loss of records that came after the anchor, which is at most one sync interval old. Reads each line once and
//! holds one at a time.

use crate::{
    Anchor, AuditError, files,
    line::{ChainKey, NO_MAC, Read, Torn, Whole},
};
use crypt::Key256;
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

/// A log that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records.
    pub records: u64,
    /// How many were before them, and are not kept any more.
    pub expired: u64,
    /// Torn lines that later records account for: a full disk, a loss of power.
    pub torn: u64,
    /// Bytes after the last whole line: of one that is being written, or that a crash cut off when no start has come since. The next
    /// record will account for them.
    pub unfinished_bytes: u64,
    /// The last record.
    pub last: Option<Anchor>,
}

/// Where and how a log does not hold.
#[derive(Debug, thiserror::Error)]
#[error("{}, line {line}: {kind}", file.display())]
pub struct Fault {
    /// Which file.
    pub file: PathBuf,
    /// Which line of it, from 1; 0 if it is not about a line.
    pub line: u64,
    /// How.
    #[source]
    pub kind: FaultKind,
}

/// How a log does not hold.
#[derive(Debug, thiserror::Error)]
pub enum FaultKind {
    /// The line has its form, and its mac does not fit.
    #[error("the line was changed")]
    Changed,
    /// Records before this one are not there.
    #[error("records {from} to {to} were dropped before it")]
    Dropped {
        /// The first missing one.
        from: u64,
        /// The last missing one.
        to: u64,
    },
    /// The record comes a second time, or before or after its place.
    #[error("record {seq} is not in its place")]
    Reordered {
        /// Its number.
        seq: u64,
    },
    /// The record has the right number and follows another one than that before it: parts of two copies of a log.
    #[error("record {seq} belongs to another copy of this log")]
    Forked {
        /// Its number.
        seq: u64,
    },
    /// No whole line, and no record accounts for it.
    #[error("the line is torn or foreign, and no record accounts for it")]
    Torn,
    /// Torn lines that this record accounts for are not there, or changed.
    #[error("torn lines that the record accounts for were changed or dropped before it")]
    TornMissing,
    /// The log ends before a record that was on disk, or has another one in its place.
    #[error("record {anchor} was on disk and is not there: the log was cut, or replaced by another copy")]
    TailCut {
        /// The record's number.
        anchor: u64,
    },
    /// The files cannot be read.
    #[error("the log cannot be read")]
    Unreadable(#[source] AuditError),
}

/// Verifies the log of a folder from its first record to its end. `key` and `anchor` as in [`crate::AuditLog::open`]; up to `begin` records need
/// not be there any more, as they have expired ([`crate::AuditLog::begin_after`]).
///
/// # Errors
/// The first [`Fault`] that is found.
pub fn verify(
    dir: &Path,
    key: &Key256,
    begin: Option<&Anchor>,
    anchor: Option<&Anchor>,
) -> Result<Verified, Fault> {
    let unreadable = |error| Fault { file: dir.to_owned(), line: 0, kind: FaultKind::Unreadable(error) };
    let key = ChainKey::of(key);
    let mut lines = Lines::of(files::open_all(dir).map_err(unreadable)?);
    let mut chain = Chain { seq: 0, mac: NO_MAC, torn: None, torn_at: None, torn_total: 0 };
    let (mut unfinished_bytes, mut expired) = (0, None);
    while lines.advance()? {
        match key.read(&lines.text) {
            Read::Whole(whole) => {
                expired.get_or_insert_with(|| chain.begin(&whole, begin));
                if let Some(kind) = chain.fault_of(&whole) {
                    let place =
                        chain.torn_at.filter(|_| matches!(kind, FaultKind::Torn)).unwrap_or(lines.place());
                    return Err(name_gap(place, kind, lines, &key));
                }
                if begin.is_some_and(|begin| begin.seq == whole.seq && begin.mac != whole.mac) {
                    return Err(lines.place().fault(FaultKind::Forked { seq: whole.seq }));
                }
                if anchor.is_some_and(|anchor| anchor.seq == whole.seq && anchor.mac != whole.mac) {
                    return Err(lines.place().fault(FaultKind::TailCut { anchor: whole.seq }));
                }
                chain.take(&whole);
            }
            Read::Changed => return Err(lines.place().fault(FaultKind::Changed)),
            Read::Unfinished if lines.is_at_end => {
                unfinished_bytes = u64::try_from(lines.text.len()).unwrap_or(u64::MAX);
            }
            Read::Unfinished => {
                chain.torn = Some(Torn::with(chain.torn, &lines.text));
                chain.torn_at.get_or_insert_with(|| lines.place());
            }
        }
    }
    unfinished_bytes += chain.torn.map_or(0, |torn| torn.bytes);
    if let Some(anchor) = anchor.filter(|anchor| anchor.seq > chain.seq) {
        return Err(lines.place().fault(FaultKind::TailCut { anchor: anchor.seq }));
    }
    let last = (chain.seq > 0).then_some(Anchor { seq: chain.seq, mac: chain.mac });
    let expired = expired.unwrap_or_default();
    Ok(Verified { records: chain.seq - expired, expired, torn: chain.torn_total, unfinished_bytes, last })
}

/// Where the chain stands.
struct Chain {
    seq: u64,
    mac: [u8; 32],
    torn: Option<Torn>,
    torn_at: Option<Place>,
    torn_total: u64,
}

impl Chain {
    /// Before the first record that is there: which records may be missing, as they have expired? Files go one after the other, so that some
    /// of those may be there still.
    fn begin(&mut self, first: &Whole, begin: Option<&Anchor>) -> u64 {
        match begin {
            Some(begin) if first.seq > begin.seq => (self.seq, self.mac) = (begin.seq, begin.mac),
            Some(_) => (self.seq, self.mac) = (first.seq.saturating_sub(1), first.prev),
            None => {}
        }
        self.seq
    }

    fn fault_of(&self, next: &Whole) -> Option<FaultKind> {
        let expected = self.seq + 1;
        if self.torn.is_some() && next.torn.is_none() {
            Some(FaultKind::Torn)
        } else if next.seq > expected {
            Some(FaultKind::Dropped { from: expected, to: next.seq - 1 })
        } else if next.seq < expected {
            Some(FaultKind::Reordered { seq: next.seq })
        } else if next.prev != self.mac {
            Some(FaultKind::Forked { seq: next.seq })
        } else if next.torn != self.torn {
            Some(FaultKind::TornMissing)
        } else {
            None
        }
    }

    fn take(&mut self, whole: &Whole) {
        (self.seq, self.mac) = (whole.seq, whole.mac);
        self.torn_total += self.torn.take().map_or(0, |torn| torn.lines);
        self.torn_at = None;
    }
}

/// A gap whose first record comes later after all is no gap: records changed places.
fn name_gap(place: Place, kind: FaultKind, mut lines: Lines, key: &ChainKey) -> Fault {
    if let FaultKind::Dropped { from, to } = kind {
        while let Ok(true) = lines.advance() {
            if matches!(key.read(&lines.text), Read::Whole(whole) if whole.seq == from) {
                return place.fault(FaultKind::Reordered { seq: to + 1 });
            }
        }
    }
    place.fault(kind)
}

/// A line's place.
#[derive(Clone, Debug)]
struct Place {
    file: PathBuf,
    line: u64,
}

impl Place {
    fn fault(self, kind: FaultKind) -> Fault {
        Fault { file: self.file, line: self.line, kind }
    }
}

/// The lines of all files, one at a time.
struct Lines {
    files: std::iter::Peekable<std::vec::IntoIter<(PathBuf, File)>>,
    open: Option<BufReader<File>>,
    path: PathBuf,
    number: u64,
    /// The line, without its newline.
    text: Vec<u8>,
    /// It has no newline, and no file follows.
    is_at_end: bool,
}

impl Lines {
    fn of(files: Vec<(PathBuf, File)>) -> Self {
        let files = files.into_iter().peekable();
        Self { files, open: None, path: PathBuf::new(), number: 0, text: vec![], is_at_end: false }
    }

    fn place(&self) -> Place {
        Place { file: self.path.clone(), line: self.number }
    }

    /// Goes to the next line; false after the last.
    fn advance(&mut self) -> Result<bool, Fault> {
        loop {
            let Some(reader) = &mut self.open else {
                let Some((path, file)) = self.files.next() else { return Ok(false) };
                (self.path, self.number) = (path, 0);
                self.open = Some(BufReader::with_capacity(64 * 1024, file));
                continue;
            };
            self.text.clear();
            // As long as a torn line may be; a longer one comes in parts, and fails as it should.
            let read = reader.by_ref().take(files::END_BYTES).read_until(b'\n', &mut self.text);
            let read = read.map_err(|source| {
                let error = AuditError::Io { path: self.path.clone(), doing: "read it", source };
                self.place().fault(FaultKind::Unreadable(error))
            })?;
            if read == 0 {
                self.open = None;
                continue;
            }
            self.number += 1;
            self.is_at_end = self.text.pop_if(|byte| *byte == b'\n').is_none() && self.files.peek().is_none();
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuditLog, AuditSink as _, SyncPolicy, record::tests::record, testing::TempDir};
    use crypt::SystemEntropy;
    use std::fs;

    /// A log of ten records, and its last anchor.
    fn log() -> (TempDir, Key256, Anchor) {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let log = AuditLog::open(dir.path(), &key, SyncPolicy::EverySecond, None).unwrap();
        for _ in 0..10 {
            log.append(&record("secret.get")).unwrap();
        }
        let anchor = log.sync().unwrap().unwrap();
        (dir, key, anchor)
    }

    /// What `verify` says after `change` was done to the lines: the fault's line and kind, or the count of records.
    fn check(change: impl FnOnce(&mut Vec<Vec<u8>>), with_anchor: bool) -> Result<u64, (u64, String)> {
        let (dir, key, anchor) = log();
        let path = files::active(dir.path());
        let mut lines: Vec<_> =
            fs::read(&path).unwrap().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        change(&mut lines);
        fs::write(&path, lines.concat()).unwrap();
        verify(dir.path(), &key, None, with_anchor.then_some(&anchor))
            .map(|verified| verified.records)
            .map_err(|fault| (fault.line, format!("{:?}", fault.kind)))
    }

    fn fault(line: u64, kind: &str) -> Result<u64, (u64, String)> {
        Err((line, kind.to_owned()))
    }

    #[test]
    fn an_untouched_log_holds() {
        assert_eq!(check(|_| {}, true), Ok(10));
        assert_eq!(check(|_| {}, false), Ok(10));
        let dir = TempDir::new();
        let nothing = Verified { records: 0, expired: 0, torn: 0, unfinished_bytes: 0, last: None };
        assert_eq!(verify(dir.path(), &Key256::random(&SystemEntropy), None, None).unwrap(), nothing);
    }

    #[test]
    fn a_changed_line_is_found_wherever_it_was_changed() {
        let edit = |lines: &mut Vec<Vec<u8>>, from: &str, to: &str| {
            let text = String::from_utf8(lines[4].clone()).unwrap();
            assert!(text.contains(from));
            lines[4] = text.replacen(from, to, 1).into_bytes();
        };
        for (from, to) in [
            ("allowed", "refused"),
            ("shop", "shoq"),
            ("\"seq\":5", "\"seq\":6"),
            ("secret.get", ""),
            ("1000", "0"),
        ] {
            assert_eq!(check(|lines| edit(lines, from, to), false), fault(5, "Changed"), "{from}");
        }
        // Whatever is done to a line so that it does not even look whole.
        for (from, to) in [("}\n", "\n"), ("\"mac\":", "\"mac\": "), ("\n", ""), ("allowed", "al\nlowed")] {
            assert!(check(|lines| edit(lines, from, to), false).is_err(), "{to:?}");
        }
        assert_eq!(check(|lines| lines[4] = b"{}\n".to_vec(), false), fault(5, "Torn"));
        assert_eq!(check(|lines| lines[4] = b"\n".to_vec(), false), fault(5, "Torn"));
        assert_eq!(check(|lines| lines.insert(4, b"{\"seq\":5}\n".to_vec()), false), fault(5, "Torn"));
    }

    /// ADR 0030: the chain goes on behind the last line that was written before.
    #[test]
    fn a_log_of_before_goes_on_and_holds_as_one_chain() {
        let (dir, key, _) = log();
        let path = files::active(dir.path());
        let first = fs::read(&path).unwrap().split_inclusive(|byte| *byte == b'\n').next().unwrap().to_vec();
        fs::write(&path, [ChainKey::of(&key).as_before(first.trim_ascii_end()), b"\n".to_vec()].concat())
            .unwrap();
        let log = AuditLog::open(dir.path(), &key, SyncPolicy::EverySecond, None).unwrap();
        (0..3).for_each(|_| log.append(&record("secret.get")).unwrap());
        let anchor = log.sync().unwrap();
        assert_eq!(verify(dir.path(), &key, None, anchor.as_ref()).unwrap().records, 4);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("allowed", "refused", 1)).unwrap();
        let fault = verify(dir.path(), &key, None, anchor.as_ref()).unwrap_err();
        assert_eq!((fault.line, format!("{:?}", fault.kind)), (1, "Changed".to_owned()));
    }

    #[test]
    fn dropped_lines_are_found() {
        assert_eq!(check(|lines| drop(lines.remove(0)), false), fault(1, "Dropped { from: 1, to: 1 }"));
        assert_eq!(check(|lines| drop(lines.remove(4)), false), fault(5, "Dropped { from: 5, to: 5 }"));
        assert_eq!(check(|lines| drop(lines.drain(2..7)), false), fault(3, "Dropped { from: 3, to: 7 }"));
    }

    #[test]
    fn lines_in_another_order_are_found() {
        assert_eq!(check(|lines| lines.swap(3, 4), false), fault(4, "Reordered { seq: 5 }"));
        assert_eq!(check(|lines| lines.swap(0, 9), false), fault(1, "Reordered { seq: 10 }"));
        assert_eq!(check(|lines| lines.insert(4, lines[3].clone()), false), fault(5, "Reordered { seq: 4 }"));
        assert_eq!(check(|lines| lines.push(lines[0].clone()), false), fault(11, "Reordered { seq: 1 }"));
    }

    #[test]
    fn a_cut_end_is_found_by_the_anchor() {
        assert_eq!(check(|lines| lines.truncate(7), true), fault(7, "TailCut { anchor: 10 }"));
        assert_eq!(check(Vec::clear, true), fault(0, "TailCut { anchor: 10 }"));
        assert_eq!(check(|lines| lines.truncate(7), false), Ok(7));
        let half = |lines: &mut Vec<Vec<u8>>| lines[9].truncate(20);
        assert_eq!(check(half, true), fault(10, "TailCut { anchor: 10 }"));
        assert_eq!(check(half, false), Ok(9));
    }

    #[test]
    fn a_log_replaced_by_an_older_copy_is_found_even_after_it_went_on() {
        let (dir, key, _) = log();
        let path = files::active(dir.path());
        let old = fs::read(&path).unwrap();
        let append = |count: usize| {
            let log = AuditLog::open(dir.path(), &key, SyncPolicy::EverySecond, None).unwrap();
            for number in 0..count {
                let mut record = record("secret.set");
                record.reason = format!("{count} {number}");
                log.append(&record).unwrap();
            }
            log.sync().unwrap().unwrap()
        };
        let anchor = append(3);
        let new = fs::read_to_string(&path).unwrap();
        fs::write(&path, &old).unwrap();
        let kind =
            || verify(dir.path(), &key, None, Some(&anchor)).map_err(|fault| format!("{:?}", fault.kind));
        assert_eq!(kind(), Err("TailCut { anchor: 13 }".to_owned()));
        append(5);
        assert_eq!(kind(), Err("TailCut { anchor: 13 }".to_owned()));
        // Parts of two copies, each whole in itself.
        let mut mixed: Vec<_> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        mixed[11] = new.lines().nth(11).unwrap().to_owned();
        fs::write(&path, mixed.join("\n")).unwrap();
        assert_eq!(kind(), Err("Forked { seq: 12 }".to_owned()));
    }

    #[test]
    fn another_key_verifies_nothing() {
        let (dir, _, _) = log();
        let fault = verify(dir.path(), &Key256::random(&SystemEntropy), None, None).unwrap_err();
        assert_eq!((fault.line, fault.to_string().contains("the line was changed")), (1, true));
    }
}
