//! The beginning of a log that is not kept for ever: full files whose records have expired go, oldest first. The last record that goes is kept
//! where the anchor is, so that who removes others is found out.

use crate::{
    Anchor, AuditError, files,
    line::{ChainKey, Read, Whole},
    writer::last_of,
};
use domain::{Timestamp, limits};
use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

/// The last record of the newest full file that has, as all before it, only records from before a time. The newest of all stays, so that no
/// number is used again.
pub(crate) fn expired(dir: &Path, key: &ChainKey, before: Timestamp) -> Result<Option<Anchor>, AuditError> {
    let (mut found, mut numbers) = (None, files::full_numbers(dir)?);
    numbers.pop();
    for number in numbers {
        // Of a file that ends otherwise than it should nothing is known: it stays, and so do all after it.
        match last_of(&files::full(dir, number), key)? {
            Some(last) if last.at < before.seconds() => found = Some(Anchor { seq: last.seq, mac: last.mac }),
            _ => break,
        }
    }
    Ok(found)
}

/// Removes the full files in which all records are up to `begin`.
pub(crate) fn remove(dir: &Path, key: &ChainKey, begin: &Anchor) -> Result<usize, AuditError> {
    let mut removed = 0;
    for number in files::full_numbers(dir)? {
        let path = files::full(dir, number);
        if last_of(&path, key)?.is_none_or(|last| last.seq > begin.seq) {
            break;
        }
        fs::remove_file(&path).map_err(AuditError::io(&path, "remove it, as its records have expired"))?;
        removed += 1;
    }
    if removed > 0 {
        files::sync_dir(dir)?;
    }
    Ok(removed)
}

/// The first record of a file, if it begins with one.
pub(crate) fn first_of(path: &Path, key: &ChainKey) -> Result<Option<Whole>, AuditError> {
    let mut begin = Vec::new();
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(AuditError::io(path, "open it"))?,
    };
    let most = 2 * limits::AUDIT_RECORD_BYTES_MAX as u64;
    file.take(most).read_to_end(&mut begin).map_err(AuditError::io(path, "read its beginning"))?;
    let line = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(match key.read(line) {
        Read::Whole(first) => Some(first),
        Read::Changed | Read::Unfinished => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AuditLog, AuditSink as _, FaultKind, SyncPolicy, Verified, record::tests::record, testing::TempDir,
        verify,
    };
    use crypt::{Key256, SystemEntropy};
    use std::time::Duration;

    const DAY: Duration = Duration::from_secs(86_400);
    const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn day(number: u32) -> Timestamp {
        BEGIN.plus(DAY * number)
    }

    struct Log(TempDir, Key256, AuditLog);

    impl Log {
        /// With a file of ten records of each of so many days, the last of which is the active one.
        fn of_days(days: u32) -> Self {
            let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
            let log = AuditLog::open(dir.path(), &key, SyncPolicy::EverySecond, None).unwrap();
            let log = Self(dir, key, log);
            (0..days).for_each(|number| log.write(number));
            log
        }

        fn write(&self, number: u32) {
            self.2.turn(day(number)).unwrap();
            for second in 0..10 {
                let at = day(number).plus(Duration::from_secs(second));
                self.2.append(&crate::Record { at, ..record("secret.get") }).unwrap();
            }
        }

        fn files(&self) -> Vec<u64> {
            files::full_numbers(self.0.path()).unwrap()
        }

        fn verified(&self, begin: Option<&Anchor>) -> Result<(u64, u64), String> {
            let anchor = self.2.sync().unwrap();
            match verify(self.0.path(), &self.1, begin, anchor.as_ref()) {
                Ok(Verified { records, expired, .. }) => Ok((records, expired)),
                Err(fault) => Err(format!("{:?}", fault.kind)),
            }
        }
    }

    #[test]
    fn a_file_begins_each_day_and_expires_after_the_time_of_its_last_record() {
        let log = Log::of_days(5);
        assert_eq!(log.files(), [1, 2, 3, 4]);
        assert_eq!(log.verified(None), Ok((50, 0)));
        for (before, last) in [
            (day(0), None),
            (day(0).plus(Duration::from_secs(9)), None),
            (day(0).plus(Duration::from_secs(10)), Some(10)),
            (day(1), Some(10)),
            (day(3), Some(30)),
            // The newest full one stays, and the active one.
            (day(400), Some(30)),
        ] {
            let found = log.2.expired(before).unwrap();
            assert_eq!(found.map(|anchor| anchor.seq), last, "{before:?}");
        }
        let begin = log.2.expired(day(2)).unwrap().unwrap();
        // Nothing is gone yet, and nothing has to be.
        assert_eq!(log.verified(Some(&begin)), Ok((50, 0)));
        assert_eq!(log.2.begin_after(&begin).unwrap(), 2);
        assert_eq!((log.files(), log.verified(Some(&begin))), (vec![3, 4], Ok((30, 20))));
        assert_eq!(log.2.begin_after(&begin).unwrap(), 0);
        // It goes on, under numbers that were not used before.
        log.write(5);
        let begin = log.2.expired(day(400)).unwrap().unwrap();
        assert_eq!((begin.seq, log.2.begin_after(&begin).unwrap()), (40, 2));
        assert_eq!((log.files(), log.verified(Some(&begin))), (vec![5], Ok((20, 40))));
        assert_eq!(crate::tail(log.0.path(), 100).unwrap().len(), 20);
    }

    #[test]
    fn a_crash_between_two_files_leaves_a_log_that_holds_and_is_gone_on_from() {
        let log = Log::of_days(6);
        let begin = log.2.expired(day(3)).unwrap().unwrap();
        for gone in 1..=3 {
            fs::remove_file(files::full(log.0.path(), gone)).unwrap();
            assert_eq!(log.verified(Some(&begin)), Ok((60 - 10 * gone, 10 * gone)));
        }
        assert_eq!(log.2.begin_after(&begin).unwrap(), 0);
    }

    #[test]
    fn who_removes_what_has_not_expired_is_found_out() {
        let log = Log::of_days(6);
        let begin = log.2.expired(day(2)).unwrap().unwrap();
        let gone = |from, to| Err(format!("{:?}", FaultKind::Dropped { from, to }));
        fs::rename(files::full(log.0.path(), 2), log.0.path().join("kept")).unwrap();
        // With what has expired, and in the middle of it.
        assert_eq!(log.verified(Some(&begin)), gone(11, 20));
        assert_eq!(log.2.begin_after(&begin).unwrap(), 1);
        assert_eq!((log.verified(Some(&begin)), log.verified(None)), (Ok((40, 20)), gone(1, 20)));
        fs::remove_file(files::full(log.0.path(), 3)).unwrap();
        assert_eq!(log.verified(Some(&begin)), gone(21, 30));
        // A begin that is of another log.
        let other = Anchor { mac: [7; 32], ..begin };
        fs::remove_file(files::full(log.0.path(), 4)).unwrap();
        assert_eq!(log.verified(Some(&other)), gone(21, 40));
        let log = Log::of_days(3);
        let begin = log.2.expired(day(9)).unwrap().unwrap();
        let other = Anchor { mac: [7; 32], ..begin };
        assert_eq!(log.verified(Some(&other)), Err("Forked { seq: 10 }".to_owned()));
        log.2.begin_after(&begin).unwrap();
        assert_eq!(log.verified(Some(&other)), Err("Forked { seq: 11 }".to_owned()));
    }

    #[test]
    fn a_file_that_ends_otherwise_than_it_should_stays_with_all_after_it() {
        let log = Log::of_days(4);
        let path = files::full(log.0.path(), 1);
        let text = fs::read(&path).unwrap();
        fs::write(&path, b"not ours\n").unwrap();
        assert_eq!(log.2.expired(day(9)).unwrap(), None);
        fs::write(&path, text).unwrap();
        assert_eq!(log.2.expired(day(9)).unwrap().unwrap().seq, 20);
    }

    #[test]
    fn a_file_without_an_old_record_is_not_turned() {
        let log = Log::of_days(1);
        log.2.turn(day(0)).unwrap();
        log.2.append(&record("secret.get")).unwrap();
        assert!(log.files().is_empty());
        let empty = TempDir::new();
        let none = AuditLog::open(empty.path(), &log.1, SyncPolicy::EverySecond, None).unwrap();
        none.turn(day(9)).unwrap();
        assert_eq!(
            (none.expired(day(9)).unwrap(), none.begin_after(&Anchor { seq: 9, mac: [0; 32] }).unwrap()),
            (None, 0)
        );
    }
}
