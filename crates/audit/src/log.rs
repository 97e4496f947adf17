//! The log on disk: appending, syncing, going on after a crash.
//!
//! Each record is one line, written to a file opened for appending; when `append` returns, the kernel has it, and it outlives this process.
//! Records that wait for each other ([`crate::together`]) are one `write(2)`. Disk syncs are apart: in groups by [`AuditLog::sync`], or before `append` returns where so configured. After any failure
//! `append` fails until a later one works; nothing that was begun is ever taken back, torn lines are accounted for by the next whole one.
//!
//! One process writes a log: `server` holds the lock of the data directory.

use crate::{
    AuditError, AuditSink, Record, expiry, files,
    line::ChainKey,
    together::{Batch, Joined, Place},
    writer::Writer,
};
use crypt::Key256;
use domain::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

/// When a record is synced to disk. Until then it outlives this process, but not a loss of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncPolicy {
    /// In groups: `server` calls [`AuditLog::sync`] at the latest each `limits::AUDIT_SYNC_INTERVAL`.
    #[default]
    EverySecond,
    /// Before `append` returns. Callers at the same time share one sync.
    EachRecord,
}

/// A record that is known to be on disk. Kept in the store, it tells a log whose end was cut, or that was replaced by an older copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The record's number, from 1.
    pub seq: u64,
    /// Its mac; hex in serde.
    #[serde(with = "hex_mac")]
    pub mac: [u8; 32],
}

/// How a log was found when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The last record's number; 0 in a new log.
    pub seq: u64,
    /// Bytes of torn lines at the end, left by a loss of power. The next record accounts for them.
    pub torn_bytes: u64,
    /// The log is not what the anchor says: worth an alarm. It goes on after the anchor, so that `verify` reports the gap for ever.
    pub cut: Option<Cut>,
}

/// A log that ends before its anchor, or has another record in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The anchor's record, which was on disk.
    pub anchor: u64,
    /// The last record that was found.
    pub found: u64,
}

/// What is missing of a log, as far as is known without reading all of it: worth an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It ended before its anchor when it was opened, or was not there.
    Cut {
        /// Its folder.
        dir: PathBuf,
        /// Where it ended and where it should have.
        cut: Cut,
    },
    /// The active file was removed or moved away while it was written.
    Removed {
        /// Which.
        path: PathBuf,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { dir, cut: Cut { anchor, found } } if found < anchor => {
                let (dir, first) = (dir.display(), found + 1);
                write!(formatter, "the audit log {dir} was cut: records {first} to {anchor} are missing")
            }
            Self::Cut { dir, cut: Cut { anchor, .. } } => {
                let dir = dir.display();
                write!(
                    formatter,
                    "the audit log {dir} was replaced: record {anchor} is not the one that was written"
                )
            }
            Self::Removed { path } => {
                let path = path.display();
                write!(
                    formatter,
                    "the audit log {path} was removed or replaced while it was written: records may be missing"
                )
            }
        }
    }
}

/// A log, open for appending.
#[derive(Debug)]
pub struct AuditLog {
    dir: PathBuf,
    key: ChainKey,
    policy: SyncPolicy,
    file_bytes_max: u64,
    opened: Opened,
    tail: Mutex<Tail>,
    progress: Mutex<Progress>,
    progressed: Condvar,
    is_write_failed: AtomicBool,
    is_sync_failed: AtomicBool,
    /// The active file was seen to be another one, or gone.
    is_removed: AtomicBool,
}

/// The log's end, and whose lines wait there to be written.
#[derive(Debug)]
struct Tail {
    writer: Writer,
    waiting: Option<Arc<Batch>>,
    /// How many in a row, up to [`ALONE_MAX`], found nobody who came at the same time; 0 while there are others.
    alone: u8,
}

/// Who seems to be alone writes at once, and each so many-th looks whether there are others again. Ours: looking costs about a fifth of a write.
const ALONE_MAX: u8 = 8;

/// How far the log is on disk, and whether a caller is syncing for all.
#[derive(Debug)]
struct Progress {
    synced: Option<Anchor>,
    is_syncing: bool,
}

impl AuditLog {
    /// Opens the log of a folder, or begins one. `key` is the audit key, which `server` derives from the root key; `anchor` is what the
    /// last [`AuditLog::sync`] gave. Reads only the log's end: [`crate::verify()`] reads all of it.
    ///
    /// # Errors
    /// [`AuditError::Io`]; [`AuditError::Foreign`] if there are lines and none fits the key.
    pub fn open(
        dir: &Path,
        key: &Key256,
        policy: SyncPolicy,
        anchor: Option<Anchor>,
    ) -> Result<Self, AuditError> {
        Self::open_with(dir, key, policy, anchor, files::FILE_BYTES_MAX)
    }

    fn open_with(
        dir: &Path,
        key: &Key256,
        policy: SyncPolicy,
        anchor: Option<Anchor>,
        file_bytes_max: u64,
    ) -> Result<Self, AuditError> {
        files::create_dir(dir)?;
        let key = ChainKey::of(key);
        let (mut writer, end) = Writer::open(dir, &key)?;
        if end.is_foreign && anchor.is_none() {
            return Err(AuditError::Foreign { path: files::active(dir) });
        }
        let mut cut = None;
        if let Some(anchor) = anchor
            && (anchor.seq > writer.seq || (anchor.seq == writer.seq && anchor.mac != writer.mac))
        {
            cut = Some(Cut { anchor: anchor.seq, found: writer.seq });
            (writer.seq, writer.mac) = (anchor.seq, anchor.mac);
        }
        let opened = Opened { seq: writer.seq, torn_bytes: writer.torn().map_or(0, |torn| torn.bytes), cut };
        Ok(Self {
            dir: dir.to_owned(),
            key,
            policy,
            file_bytes_max,
            opened,
            tail: Mutex::new(Tail { writer, waiting: None, alone: 0 }),
            progress: Mutex::new(Progress { synced: anchor, is_syncing: false }),
            progressed: Condvar::new(),
            is_write_failed: AtomicBool::new(false),
            is_sync_failed: AtomicBool::new(false),
            is_removed: AtomicBool::new(false),
        })
    }

    /// How the log was found.
    #[must_use]
    pub const fn opened(&self) -> Opened {
        self.opened
    }

    /// What is missing of it: as it was opened, or since.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        if let Some(cut) = self.opened.cut {
            return Some(Missing::Cut { dir: self.dir.clone(), cut });
        }
        let path = files::active(&self.dir);
        // It may have gone since the last sync.
        let is_elsewhere = |file: &Arc<_>| !files::leads_to(&path, file);
        if lock(&self.tail).writer.file.as_ref().is_some_and(is_elsewhere) {
            self.is_removed.store(true, Ordering::Release);
        }
        self.is_removed.load(Ordering::Acquire).then_some(Missing::Removed { path })
    }

    /// Puts on disk what was appended so far, if it is not there. Returns the last record on disk, to be kept as the next anchor; none
    /// in an empty log. Blocks for the time of an fdatasync.
    ///
    /// # Errors
    /// [`AuditError::Io`] if the disk fails, [`AuditError::Gone`] if the file is not where it was. Appends fail then until one works.
    pub fn sync(&self) -> Result<Option<Anchor>, AuditError> {
        let seq = lock(&self.tail).writer.seq;
        self.sync_until(seq)
    }

    /// Lets the next record begin a file, if the active one has a record from before this time: only full files can go.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn turn(&self, before: Timestamp) -> Result<(), AuditError> {
        let first = expiry::first_of(&files::active(&self.dir), &self.key)?;
        if first.is_some_and(|first| first.at < before.seconds()) {
            lock(&self.tail).writer.is_to_turn = true;
        }
        Ok(())
    }

    /// The last record of the newest full file that has, as all before it, only records from before this time: after it the log may begin.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn expired(&self, before: Timestamp) -> Result<Option<Anchor>, AuditError> {
        expiry::expired(&self.dir, &self.key, before)
    }

    /// Removes the full files in which all records are up to this one, oldest first; how many files that were. The caller has kept it: without
    /// it [`crate::verify()`] takes the log for one that was cut.
    ///
    /// # Errors
    /// [`AuditError::Io`]: some may be gone.
    pub fn begin_after(&self, begin: &Anchor) -> Result<usize, AuditError> {
        expiry::remove(&self.dir, &self.key, begin)
    }

    /// Returns when record `seq` is on disk. One caller syncs for all that wait: by then their records are with the kernel.
    fn sync_until(&self, seq: u64) -> Result<Option<Anchor>, AuditError> {
        let mut progress = lock(&self.progress);
        loop {
            if progress.synced.map_or(0, |anchor| anchor.seq) >= seq {
                return Ok(progress.synced);
            }
            if !progress.is_syncing {
                break;
            }
            progress = self.progressed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        progress.is_syncing = true;
        drop(progress);
        let synced = self.sync_all();
        let mut progress = lock(&self.progress);
        progress.is_syncing = false;
        if let Ok(anchor) = synced {
            progress.synced = Some(anchor);
        }
        drop(progress);
        self.progressed.notify_all();
        self.is_sync_failed.store(synced.is_err(), Ordering::Release);
        synced.map(Some)
    }

    fn sync_all(&self) -> Result<Anchor, AuditError> {
        let path = files::active(&self.dir);
        let (file, anchor) = {
            let mut tail = lock(&self.tail);
            let writer = &mut tail.writer;
            let gone = || AuditError::Gone { path: path.clone() };
            let file = writer.file.clone().ok_or_else(gone)?;
            // Removed or moved away by somebody. Asked here and not at each append: it costs as much as a third of the write, and
            // whoever may remove the file may also remove it after the write.
            if !files::leads_to(&path, &file) {
                writer.file = None;
                self.is_removed.store(true, Ordering::Release);
                return Err(gone());
            }
            (file, Anchor { seq: writer.seq, mac: writer.mac })
        };
        file.sync_data().map_err(AuditError::io(&path, "sync it to disk"))?;
        Ok(anchor)
    }

    /// Writes one line, behind those that wait; returns its number.
    fn write(&self, record: &Record) -> Result<u64, AuditError> {
        let mut tail = lock(&self.tail);
        let outcome = match tail.writer.add(&self.dir, &self.key, self.file_bytes_max, record) {
            Ok(_) => self.write_waiting(&mut tail),
            Err(error) => Err(error),
        };
        self.is_write_failed.store(outcome.is_err(), Ordering::Release);
        outcome.map(|()| tail.writer.seq)
    }

    /// Writes all lines that wait, and tells whose they are.
    fn write_waiting(&self, tail: &mut Tail) -> Result<(), AuditError> {
        let (whole, outcome) = tail.writer.write(&self.dir);
        if let Some(batch) = tail.waiting.take() {
            tail.alone = u8::from(batch.is_of_one());
            batch.tell(whole);
        }
        outcome
    }

    /// Do callers have to wait for the disk, or is it not sure that they can be served at all? Then each goes on its own, and hears why.
    fn is_each_alone(&self) -> bool {
        self.policy == SyncPolicy::EachRecord || self.is_failed()
    }
}

impl AuditSink for AuditLog {
    fn append(&self, record: &Record) -> Result<(), AuditError> {
        let seq = self.write(record)?;
        // After a failed sync each append tries one, so that the log does not call itself well before it is.
        if self.policy == SyncPolicy::EachRecord || self.is_sync_failed.load(Ordering::Acquire) {
            self.sync_until(seq)?;
        }
        Ok(())
    }

    fn join(&self, record: &Record, waker: &Waker) -> Joined {
        if self.is_each_alone() {
            return Joined::Appended(self.append(record));
        }
        let mut tail = lock(&self.tail);
        if tail.waiting.is_none() && (1..ALONE_MAX).contains(&tail.alone) {
            tail.alone += 1;
            drop(tail);
            return Joined::Appended(self.append(record));
        }
        let is_time = match tail.writer.add(&self.dir, &self.key, self.file_bytes_max, record) {
            Ok(is_time) => is_time,
            Err(error) => {
                self.is_write_failed.store(true, Ordering::Release);
                return Joined::Appended(Err(error));
            }
        };
        let place = Place::take(&mut tail.waiting, waker);
        if is_time {
            let written = self.write_waiting(&mut tail);
            self.is_write_failed.store(written.is_err(), Ordering::Release);
        }
        Joined::Waits(place)
    }

    fn write_joined(&self) {
        let mut tail = lock(&self.tail);
        if tail.waiting.is_some() {
            let written = self.write_waiting(&mut tail);
            self.is_write_failed.store(written.is_err(), Ordering::Release);
        }
    }

    fn is_failed(&self) -> bool {
        self.is_write_failed.load(Ordering::Acquire) || self.is_sync_failed.load(Ordering::Acquire)
    }
}

/// A panic elsewhere must not stop the log: its state is changed only after a write.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

mod hex_mac {
    use crypt::encoding;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(mac: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encoding::hex(mac))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        domain::text::deserialize(deserializer, encoding::from_hex_exactly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::tests::record, testing::TempDir, verify::FaultKind, verify::verify};
    use crypt::SystemEntropy;
    use std::{fs, os::unix::fs::PermissionsExt as _, thread};

    fn open(dir: &TempDir, key: &Key256, policy: SyncPolicy) -> AuditLog {
        AuditLog::open(dir.path(), key, policy, None).unwrap()
    }

    #[test]
    fn callers_at_the_same_time_keep_the_chain() {
        for policy in [SyncPolicy::EverySecond, SyncPolicy::EachRecord] {
            let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
            let log = open(&dir, &key, policy);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..50).for_each(|_| log.append(&record("secret.get")).unwrap()));
                }
                scope.spawn(|| (0..20).for_each(|_| assert!(log.sync().is_ok())));
            });
            let synced = log.sync().unwrap();
            let verified = verify(dir.path(), &key, None, synced.as_ref()).unwrap();
            assert_eq!((verified.records, verified.last), (400, synced));
        }
    }

    #[test]
    fn anchors_grow_and_travel_as_json() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let log = open(&dir, &key, SyncPolicy::EverySecond);
        assert_eq!(log.sync().unwrap(), None);
        log.append(&record("secret.get")).unwrap();
        let anchor = log.sync().unwrap().unwrap();
        assert_eq!((anchor.seq, log.sync().unwrap()), (1, Some(anchor)));
        let text = serde_json::to_string(&anchor).unwrap();
        assert_eq!(serde_json::from_str::<Anchor>(&text).unwrap(), anchor);
        drop(log);
        let log = AuditLog::open(dir.path(), &key, SyncPolicy::EachRecord, Some(anchor)).unwrap();
        assert_eq!(log.opened(), Opened { seq: 1, torn_bytes: 0, cut: None });
        log.append(&record("secret.get")).unwrap();
        assert_eq!(lock(&log.progress).synced.map(|anchor| anchor.seq), Some(2));
    }

    #[test]
    fn only_we_may_read_it() {
        let dir = TempDir::new();
        let folder = dir.path().join("audit");
        let log =
            AuditLog::open(&folder, &Key256::random(&SystemEntropy), SyncPolicy::EverySecond, None).unwrap();
        log.append(&record("secret.get")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&files::active(&folder))), (0o700, 0o600));
    }

    #[test]
    fn a_full_disk_fails_the_log_until_there_is_room() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let path = files::active(dir.path());
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let log = open(&dir, &key, SyncPolicy::EverySecond);
        assert!(!log.is_failed());
        for _ in 0..2 {
            let error = log.append(&record("secret.get")).unwrap_err();
            assert!(
                matches!(&error, AuditError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
                "{error:?}"
            );
            assert!(log.is_failed());
        }
        fs::remove_file(&path).unwrap();
        // The device is still open; that it is not the log's file is found by the sync.
        lock(&log.tail).writer.seq = 1;
        assert!(matches!(log.sync(), Err(AuditError::Gone { .. })));
        lock(&log.tail).writer.seq = 0;
        log.append(&record("secret.get")).unwrap();
        assert!(!log.is_failed());
        assert_eq!(verify(dir.path(), &key, None, None).unwrap().records, 1);
    }

    #[test]
    fn a_removed_file_fails_the_log_until_the_next_append_and_the_gap_is_seen() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let log = open(&dir, &key, SyncPolicy::EverySecond);
        log.append(&record("secret.get")).unwrap();
        fs::remove_file(files::active(dir.path())).unwrap();
        assert!(matches!(log.sync(), Err(AuditError::Gone { .. })));
        assert!(log.is_failed());
        log.append(&record("secret.get")).unwrap();
        assert!(!log.is_failed());
        assert!(matches!(
            verify(dir.path(), &key, None, None).unwrap_err().kind,
            FaultKind::Dropped { from: 1, to: 1 }
        ));
        drop(log);
        let log = open(&dir, &key, SyncPolicy::EachRecord);
        fs::remove_file(files::active(dir.path())).unwrap();
        assert!(
            matches!(log.append(&record("secret.get")), Err(AuditError::Gone { .. })),
            "before it is answered"
        );
    }

    #[test]
    fn a_file_that_was_moved_away_is_noticed_by_the_sync() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let log = open(&dir, &key, SyncPolicy::EverySecond);
        log.append(&record("secret.get")).unwrap();
        assert_eq!(log.missing(), None);
        fs::rename(files::active(dir.path()), files::full(dir.path(), 1)).unwrap();
        assert!(matches!(log.sync(), Err(AuditError::Gone { .. })));
        assert!(log.is_failed() && matches!(log.missing(), Some(Missing::Removed { .. })));
        log.append(&record("secret.get")).unwrap();
        assert!(!log.is_failed());
        assert_eq!(verify(dir.path(), &key, None, None).unwrap().records, 2);
    }

    #[test]
    fn a_file_that_was_moved_away_is_told_also_before_anything_is_written() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let log = open(&dir, &key, SyncPolicy::EverySecond);
        log.append(&record("secret.get")).unwrap();
        assert!(log.sync().is_ok() && log.missing().is_none());
        fs::rename(files::active(dir.path()), dir.path().join("elsewhere")).unwrap();
        assert!(matches!(log.missing(), Some(Missing::Removed { .. })));
        log.append(&record("secret.get")).unwrap();
        let _gone = log.sync();
        log.append(&record("secret.get")).unwrap();
        assert!(log.sync().is_ok() && log.missing().is_some(), "for as long as it runs");
    }

    #[test]
    fn a_cut_log_goes_on_and_never_hides_the_gap() {
        let (dir, key) = (TempDir::new(), Key256::random(&SystemEntropy));
        let log = open(&dir, &key, SyncPolicy::EverySecond);
        (0..3).for_each(|_| log.append(&record("secret.get")).unwrap());
        let anchor = log.sync().unwrap();
        let text = fs::read_to_string(files::active(dir.path())).unwrap();
        let first = text.lines().next().unwrap();
        fs::write(files::active(dir.path()), format!("{first}\n")).unwrap();
        let log = AuditLog::open(dir.path(), &key, SyncPolicy::EverySecond, anchor).unwrap();
        assert_eq!(log.opened().cut, Some(Cut { anchor: 3, found: 1 }));
        let told = log.missing().unwrap().to_string();
        assert!(told.ends_with("was cut: records 2 to 3 are missing"), "{told}");
        log.append(&record("secret.get")).unwrap();
        let anchor = log.sync().unwrap();
        assert_eq!(anchor.map(|anchor| anchor.seq), Some(4));
        let kind = verify(dir.path(), &key, None, anchor.as_ref()).unwrap_err().kind;
        assert!(matches!(kind, FaultKind::Dropped { from: 2, to: 3 }), "{kind}");
    }

    #[test]
    fn another_keys_log_is_not_gone_on_with() {
        let dir = TempDir::new();
        open(&dir, &Key256::random(&SystemEntropy), SyncPolicy::EverySecond)
            .append(&record("secret.get"))
            .unwrap();
        let other =
            AuditLog::open(dir.path(), &Key256::random(&SystemEntropy), SyncPolicy::EverySecond, None);
        assert!(matches!(other, Err(AuditError::Foreign { .. })));
    }
}
