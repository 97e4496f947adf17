//! The end of the log: builds lines, hands those that wait to the kernel in one `write(2)`, and knows what became of each.
//!
//! Owns: where the chain stands, the active file, and what is torn at its end. Owns not: when it is synced (`log`).

use crate::{
    AuditError, Record, files,
    line::{ChainKey, NO_MAC, Read, Torn, Whole},
};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
    sync::Arc,
};

/// Bytes of lines that wait to be written together, at most. Ours: some eighty records.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// The end of the log. `lines` and `ends` are buffers that are used again.
#[derive(Debug)]
pub(crate) struct Writer {
    /// None after a failure that makes the file doubtful: then the next append opens it again.
    pub(crate) file: Option<Arc<File>>,
    bytes: u64,
    /// The file counts as full with what it has.
    pub(crate) is_to_turn: bool,
    /// The last record, with which the next one is chained.
    pub(crate) seq: u64,
    pub(crate) mac: [u8; 32],
    /// Text at the end of the file that is no whole line.
    unfinished: Vec<u8>,
    /// The last whole line lacks its newline only.
    owes_newline: bool,
    /// Torn lines before `unfinished` for which no whole line has accounted yet.
    torn: Option<Torn>,
    /// Lines that wait, each chained with the one before it.
    lines: Vec<u8>,
    /// Where each of them ends, and its mac.
    ends: Vec<(usize, [u8; 32])>,
}

/// What was found at the end of the log.
pub(crate) struct End {
    /// The last whole line.
    pub(crate) last: Option<Whole>,
    /// There is something, and none of it was written with this key.
    pub(crate) is_foreign: bool,
}

impl Writer {
    /// Opens the log's end. The chain stands at its last whole line.
    pub(crate) fn open(dir: &Path, key: &ChainKey) -> Result<(Self, End), AuditError> {
        let mut writer = Self {
            file: None,
            bytes: 0,
            is_to_turn: false,
            seq: 0,
            mac: NO_MAC,
            unfinished: vec![],
            owes_newline: false,
            torn: None,
            lines: Vec::with_capacity(1_024),
            ends: Vec::new(),
        };
        let mut end = writer.attach(dir, key)?;
        if end.last.is_none() {
            end.last = last_of_full(dir, key)?;
            end.is_foreign &= end.last.is_none();
        }
        if let Some(last) = end.last {
            (writer.seq, writer.mac) = (last.seq, last.mac);
        }
        Ok((writer, end))
    }

    /// Adds a record's line to those that wait. Is it time to write them?
    pub(crate) fn add(
        &mut self,
        dir: &Path,
        key: &ChainKey,
        file_bytes_max: u64,
        record: &Record,
    ) -> Result<bool, AuditError> {
        let (prev, torn) = match self.ends.last() {
            Some((_, mac)) => (*mac, None),
            None => {
                self.file(dir, key, file_bytes_max)?;
                self.lines.clear();
                if self.begins_with_newline() {
                    self.lines.push(b'\n');
                }
                (self.mac, self.torn())
            }
        };
        let begin = self.lines.len();
        let seq = self.seq + u64::try_from(self.ends.len()).unwrap_or(u64::MAX) + 1;
        match key.write(seq, &prev, record, torn, &mut self.lines) {
            Ok(mac) => self.ends.push((self.lines.len(), mac)),
            Err(error) => {
                self.lines.truncate(begin);
                return Err(error);
            }
        }
        Ok(self.lines.len() >= WAITING_BYTES_MAX)
    }

    /// Writes the lines that wait. How many of them are whole records in the file now, and why not all: of the others the first may be in
    /// the file in part, never as a whole line.
    pub(crate) fn write(&mut self, dir: &Path) -> (usize, Result<(), AuditError>) {
        // Made only when something fails: this is the hot path.
        let io = |doing| move |source| AuditError::Io { path: files::active(dir), doing, source };
        let written = match &self.file {
            Some(file) => write_once(file, &self.lines).map_err(io("append records")),
            // Since they were added: the next one opens it again, and may find that it ends otherwise.
            None => Err(AuditError::Gone { path: files::active(dir) }),
        };
        let waiting = self.ends.len();
        let whole = written.map(|written| self.took(written));
        self.ends.clear();
        match whole {
            Ok(whole) if whole == waiting => (whole, Ok(())),
            Ok(whole) => (whole, Err(io("append whole records")(ErrorKind::StorageFull.into()))),
            Err(error) => (0, Err(error)),
        }
    }

    /// Notes how much of the lines that wait is in the file now. Answers how many of them are whole records.
    fn took(&mut self, written: usize) -> usize {
        self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
        let torn = self.torn();
        let (lines, ends) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.ends));
        let (mut begin, mut whole) = (0, 0);
        for (end, mac) in &ends {
            let Some(taken) = lines.get(begin..written.min(*end)).filter(|taken| !taken.is_empty()) else {
                break;
            };
            let begun = usize::from(self.begins_with_newline());
            self.unfinished.clear();
            // All but the newline is a whole record.
            if written + 1 < *end {
                if begun > 0 {
                    // The torn line before now has its newline.
                    (self.torn, self.owes_newline) = (torn, false);
                }
                self.unfinished.extend_from_slice(taken.get(begun..).unwrap_or_default());
                break;
            }
            (self.seq, self.mac, self.torn) = (self.seq + 1, *mac, None);
            self.owes_newline = written < *end;
            (begin, whole) = (*end, whole + 1);
        }
        (self.lines, self.ends) = (lines, ends);
        whole
    }

    const fn begins_with_newline(&self) -> bool {
        self.owes_newline || !self.unfinished.is_empty()
    }

    /// The open file; opened again after it was lost, changed for the next one when it is full.
    fn file(&mut self, dir: &Path, key: &ChainKey, file_bytes_max: u64) -> Result<Arc<File>, AuditError> {
        let is_whole = self.unfinished.is_empty() && !self.owes_newline && self.torn.is_none();
        let is_full = self.bytes >= file_bytes_max || (self.is_to_turn && self.bytes > 0);
        if let Some(file) = self.file.as_ref().filter(|_| is_full && is_whole) {
            let path = files::active(dir);
            file.sync_data().map_err(AuditError::io(&path, "sync it to disk"))?;
            let next = files::full_numbers(dir)?.last().map_or(1, |last| last + 1);
            fs::rename(&path, files::full(dir, next))
                .map_err(AuditError::io(&path, "rename it, as it is full"))?;
            (self.file, self.is_to_turn) = (None, false);
        }
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => {
                self.attach(dir, key)?;
                self.file.clone().ok_or_else(|| AuditError::Gone { path: files::active(dir) })
            }
        }
    }

    /// Opens the active file and learns how it ends. Where the chain stands is not taken from it: that is for the caller.
    fn attach(&mut self, dir: &Path, key: &ChainKey) -> Result<End, AuditError> {
        let (file, length) = files::open_active(dir)?;
        let end = files::read_end(&file, length, files::END_BYTES)
            .map_err(AuditError::io(&files::active(dir), "read its end"))?;
        (self.file, self.bytes) = (Some(Arc::new(file)), length);
        (self.torn, self.owes_newline) = (None, false);
        self.unfinished.clear();

        let (lines, rest) = match end.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => end.split_at(newline + 1),
            None => (&[][..], end.as_slice()),
        };
        let (mut last, mut is_foreign) = (None, length > files::END_BYTES);
        match key.read(rest) {
            Read::Whole(whole) => (last, self.owes_newline) = (Some(whole), true),
            Read::Unfinished => self.unfinished.extend_from_slice(rest),
            // A whole line that was changed is nobody's accident: it is not accounted for, so that `verify` finds it.
            Read::Changed => (self.owes_newline, is_foreign) = (true, true),
        }
        let mut cut_off = vec![];
        let newest_first = lines.strip_suffix(b"\n").map(|lines| lines.rsplit(|byte| *byte == b'\n'));
        for line in newest_first.into_iter().flatten() {
            if last.is_some() {
                break;
            }
            match key.read(line) {
                Read::Whole(whole) => last = Some(whole),
                Read::Unfinished => cut_off.push(line),
                Read::Changed => is_foreign = true,
            }
        }
        self.torn = cut_off.into_iter().rev().fold(None, |torn, line| Some(Torn::with(torn, line)));
        Ok(End { is_foreign: is_foreign && last.is_none(), last })
    }

    /// All torn lines for which the next whole one has to account.
    pub(crate) fn torn(&self) -> Option<Torn> {
        if self.unfinished.is_empty() { self.torn } else { Some(Torn::with(self.torn, &self.unfinished)) }
    }
}

/// The last whole line of the newest full file that has one, for an active file that has none yet.
fn last_of_full(dir: &Path, key: &ChainKey) -> Result<Option<Whole>, AuditError> {
    for number in files::full_numbers(dir)?.into_iter().rev() {
        let whole = last_of(&files::full(dir, number), key)?;
        if whole.is_some() {
            return Ok(whole);
        }
    }
    Ok(None)
}

/// The last whole line of a file, if it has one near its end.
pub(crate) fn last_of(path: &Path, key: &ChainKey) -> Result<Option<Whole>, AuditError> {
    let end = File::open(path)
        .and_then(|file| files::read_end(&file, file.metadata()?.len(), files::END_BYTES))
        .map_err(AuditError::io(path, "read its end"))?;
    Ok(end.rsplit(|byte| *byte == b'\n').find_map(|line| match key.read(line) {
        Read::Whole(whole) => Some(whole),
        Read::Changed | Read::Unfinished => None,
    }))
}

/// One write(2); again only if a signal came before any byte was taken.
fn write_once(mut file: &File, bytes: &[u8]) -> std::io::Result<usize> {
    loop {
        match file.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AuditLog, AuditSink as _, SyncPolicy, Verified,
        record::tests::record,
        testing::TempDir,
        verify::{self, verify},
    };
    use crypt::{Key256, SystemEntropy};

    const SIZE: u64 = 1 << 20;

    fn test_key() -> Key256 {
        Key256::from_bytes(&domain::Secret::new(vec![7; 32])).unwrap()
    }

    fn open(dir: &Path, key: &Key256) -> AuditLog {
        AuditLog::open(dir, key, SyncPolicy::EverySecond, None).unwrap()
    }

    fn append(
        writer: &mut Writer,
        dir: &Path,
        key: &ChainKey,
        file_bytes_max: u64,
    ) -> Result<(), AuditError> {
        writer.add(dir, key, file_bytes_max, &record("secret.get"))?;
        writer.write(dir).1
    }

    fn check(dir: &Path, key: &Key256) -> Verified {
        verify(dir, key, None, None).unwrap_or_else(|fault: verify::Fault| panic!("{fault}"))
    }

    #[test]
    fn a_crash_may_cut_the_last_line_anywhere() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let path = files::active(dir.path());
        let log = open(dir.path(), &key);
        log.append(&record("secret.get")).unwrap();
        let one = fs::read(&path).unwrap().len();
        log.append(&record("secret.set")).unwrap();
        let two = fs::read(&path).unwrap();
        for length in 0..=two.len() {
            fs::write(&path, &two[..length]).unwrap();
            let before = check(dir.path(), &key);
            let whole_lines = match length {
                _ if length + 1 >= two.len() => 2,
                _ if length + 1 >= one => 1,
                _ => 0,
            };
            assert_eq!(before.records, whole_lines, "{length}");
            let log = open(dir.path(), &key);
            assert_eq!(
                (log.opened().seq, log.opened().torn_bytes),
                (whole_lines, before.unfinished_bytes),
                "{length}"
            );
            log.append(&record("secret.list")).unwrap();
            log.append(&record("secret.list")).unwrap();
            let after = check(dir.path(), &key);
            let is_torn = u64::from(before.unfinished_bytes > 0);
            assert_eq!(
                (after.records, after.torn, after.unfinished_bytes),
                (whole_lines + 2, is_torn, 0),
                "{length}"
            );
            let kept = fs::read(&path).unwrap();
            assert!(kept.starts_with(&two[..length]), "what was torn stays: {length}");
        }
    }

    #[test]
    fn a_crash_may_leave_zeros_and_a_second_crash_may_follow() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let path = files::active(dir.path());
        open(dir.path(), &key).append(&record("secret.get")).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(&[0; 10_000]);
        fs::write(&path, &bytes).unwrap();
        open(dir.path(), &key).append(&record("secret.get")).unwrap();
        let end = fs::read(&path).unwrap();
        fs::write(&path, &end[..bytes.len() + 40]).unwrap();
        assert_eq!(check(dir.path(), &key).unfinished_bytes, 10_039);
        open(dir.path(), &key).append(&record("secret.get")).unwrap();
        let verified = check(dir.path(), &key);
        assert_eq!((verified.records, verified.torn), (2, 2));
        // What is accounted for may not be changed either.
        let text = fs::read(&path).unwrap();
        let mut changed = text.clone();
        changed[bytes.len() - 1] = b'x';
        fs::write(&path, &changed).unwrap();
        assert!(matches!(
            verify(dir.path(), &key, None, None).unwrap_err().kind,
            verify::FaultKind::TornMissing
        ));
        let without = [&text[..bytes.len() - 10_000], &text[bytes.len() + 1..]].concat();
        fs::write(&path, without).unwrap();
        assert!(matches!(
            verify(dir.path(), &key, None, None).unwrap_err().kind,
            verify::FaultKind::TornMissing
        ));
    }

    /// A disk that takes only a part of each line: every part, twice in a row.
    #[test]
    fn a_write_may_be_short_anywhere() {
        let (dir, key) = (TempDir::new(), ChainKey::of(&test_key()));
        let (mut writer, _) = Writer::open(dir.path(), &key).unwrap();
        append(&mut writer, dir.path(), &key, SIZE).unwrap();
        let short = |writer: &mut Writer, written: usize| {
            writer.add(dir.path(), &key, SIZE, &record("secret.set")).unwrap();
            let written = written.min(writer.lines.len());
            write_once(writer.file.as_ref().unwrap(), &writer.lines[..written]).unwrap();
            writer.took(written);
            writer.ends.clear();
        };
        for written in [0, 1, 2, 3, 50, 400, 600, 700, 800, 900] {
            for again in [0, 1, 2, 100, 900] {
                short(&mut writer, written);
                short(&mut writer, again);
                append(&mut writer, dir.path(), &key, SIZE).unwrap();
                let verified = check(dir.path(), &test_key());
                assert_eq!(
                    (verified.records, verified.unfinished_bytes),
                    (writer.seq, 0),
                    "{written} {again}"
                );
            }
        }
    }

    /// The same disk, and several lines at once: those before the place are records, those behind it are nowhere.
    #[test]
    fn a_write_of_several_lines_may_be_short_anywhere() {
        let (dir, key) = (TempDir::new(), ChainKey::of(&test_key()));
        let (mut writer, _) = Writer::open(dir.path(), &key).unwrap();
        let places = (0..=200).map(|part| (part, 0)).chain((0..4).map(|shorter| (200, shorter)));
        for (number, (part, shorter)) in places.enumerate() {
            for action in ["secret.get", "secret.set", "secret.list"] {
                writer.add(dir.path(), &key, SIZE, &record(action)).unwrap();
            }
            let (before, written) = (writer.seq, writer.lines.len() * part / 200 - shorter);
            let ends: Vec<usize> = writer.ends.iter().map(|(end, _)| *end).collect();
            write_once(writer.file.as_ref().unwrap(), &writer.lines[..written]).unwrap();
            let whole = writer.took(written);
            writer.ends.clear();
            assert_eq!(whole, ends.iter().filter(|end| written + 1 >= **end).count(), "{part} {shorter}");
            assert_eq!(writer.seq, before + whole as u64);
            // Every second time the next one fails, too.
            if number % 2 == 0 {
                append(&mut writer, dir.path(), &key, SIZE).unwrap();
                let verified = check(dir.path(), &test_key());
                assert_eq!(
                    (verified.records, verified.unfinished_bytes),
                    (writer.seq, 0),
                    "{part} {shorter}"
                );
            }
        }
    }

    #[test]
    fn a_changed_last_line_is_not_taken_for_a_torn_one() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let path = files::active(dir.path());
        let log = open(dir.path(), &key);
        log.append(&record("secret.get")).unwrap();
        log.append(&record("secret.set")).unwrap();
        for end in ["\n", ""] {
            let text = fs::read_to_string(&path).unwrap().replace("secret.set", "secret.got");
            fs::write(&path, format!("{}{end}", text.trim_end())).unwrap();
            open(dir.path(), &key).append(&record("secret.get")).unwrap();
            let fault = verify(dir.path(), &key, None, None).unwrap_err();
            assert!(fault.line == 2 && matches!(fault.kind, verify::FaultKind::Changed), "{fault}");
        }
    }

    #[test]
    fn full_files_are_left_and_the_chain_goes_on() {
        let (dir, key) = (TempDir::new(), ChainKey::of(&test_key()));
        for start in [0, 50] {
            let (mut writer, _) = Writer::open(dir.path(), &key).unwrap();
            assert_eq!(writer.seq, start);
            for _ in 0..50 {
                append(&mut writer, dir.path(), &key, 4_096).unwrap();
            }
        }
        let numbers = files::full_numbers(dir.path()).unwrap();
        assert!(numbers.len() > 10 && numbers[0] == 1, "{numbers:?}");
        assert_eq!(check(dir.path(), &test_key()).records, 100);
        assert_eq!(crate::tail(dir.path(), 1_000).unwrap().len(), 100);
        // A crash between the change of files and the first line of the next.
        fs::rename(files::active(dir.path()), files::full(dir.path(), numbers.len() as u64 + 1)).unwrap();
        let (mut writer, _) = Writer::open(dir.path(), &key).unwrap();
        append(&mut writer, dir.path(), &key, 4_096).unwrap();
        assert_eq!(check(dir.path(), &test_key()).records, 101);
        fs::remove_file(files::full(dir.path(), 3)).unwrap();
        assert!(matches!(
            verify(dir.path(), &test_key(), None, None).unwrap_err().kind,
            verify::FaultKind::Dropped { .. }
        ));
    }
}
