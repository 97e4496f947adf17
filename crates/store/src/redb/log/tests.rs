//! Frames, segments and the chain of commits, on a disk in memory.

use super::*;
use crate::{
    contract::{CommitId, Key},
    redb::disk::{Disks, Faults},
};

fn committed(revision: u64, value: &[u8]) -> Committed {
    let changes = vec![(Key::new("put"), Some(value.into())), (Key::new("gone"), None)];
    Committed { position: position(revision), changes, created: vec![3, 0] }
}

/// The commit of a revision: ids are made of it.
fn position(revision: u64) -> Position {
    let commit = if revision == 0 { CommitId(0) } else { CommitId(u128::MAX - u128::from(revision)) };
    Position { revision, commit }
}

fn open(disks: &Disks) -> Result<(Log, Vec<(Position, Committed)>), StoreError> {
    let mut told = Vec::new();
    let log = Log::open(Box::new(disks.clone()), 1 << 30, |before, committed| {
        told.push((before, committed));
        true
    })?;
    Ok((log, told))
}

fn append(log: &mut Log, revision: u64) -> Result<(), Failure> {
    log.append(position(revision - 1), [committed(revision, b"v")].iter())
}

/// Segments that begin with these revisions; the last commit is of revision 12.
fn with_segments(begins: &[u64]) -> (Disks, Log) {
    let disks = Disks::default();
    let (mut log, _) = open(&disks).unwrap();
    for revision in begins[0]..=12 {
        if begins.contains(&revision) {
            log.open = None;
        }
        assert!(append(&mut log, revision).is_ok());
    }
    assert_eq!(disks.segments().iter().map(|(name, _)| *name).collect::<Vec<_>>(), begins);
    (disks, log)
}

fn revisions(disks: &Disks) -> Vec<u64> {
    open(disks).unwrap().1.iter().map(|(_, committed)| committed.position.revision).collect()
}

#[test]
fn what_was_appended_is_told_again() {
    let disks = Disks::default();
    let (mut log, _) = open(&disks).unwrap();
    let long = vec![7; 64 * 1024];
    let batches = [vec![committed(1, b""), committed(2, &long)], vec![committed(3, b"x")]];
    let mut before = Position::default();
    for batch in &batches {
        assert!(log.append(before, batch.iter()).is_ok());
        before = batch.last().unwrap().position;
    }
    let (_, told) = open(&disks).unwrap();
    assert_eq!(told.len(), 3);
    for (number, ((before, told), appended)) in told.iter().zip(batches.iter().flatten()).enumerate() {
        assert_eq!(*before, position(number as u64));
        assert_eq!(told.position, appended.position);
        assert_eq!(told.changes, appended.changes);
        assert_eq!(told.created, appended.created);
    }
}

#[test]
fn a_segment_goes_when_its_last_commit_is_not_needed() {
    let (disks, mut log) = with_segments(&[1, 5, 9]);
    for (through, left) in [(0, 1), (3, 1), (4, 5), (7, 5), (8, 9), (100, 9)] {
        log.prune(through);
        assert_eq!(disks.segments()[0].0, left, "through {through}");
    }
    assert_eq!(revisions(&disks), [9, 10, 11, 12]);
    assert!(append(&mut log, 13).is_ok(), "the last one is written to still");
    assert_eq!(revisions(&disks).last(), Some(&13));
}

#[test]
fn one_that_is_gone_already_keeps_no_other_from_going() {
    let (disks, mut log) = with_segments(&[1, 5, 9]);
    disks.lose(1);
    log.prune(100);
    assert_eq!(disks.segments().len(), 1);
}

#[test]
fn a_last_segment_that_was_not_begun_is_begun_again() {
    let (disks, _) = with_segments(&[1, 5]);
    for bytes in [&b""[..], b"keyless com", SEGMENT_MAGIC, b"keyless commits 1\nkcf1\0\0"] {
        let disks = disks.copy();
        Folder::open(&disks, 13).unwrap();
        disks.damage(13, |whole| *whole = bytes.to_vec());
        let (mut log, told) = open(&disks).unwrap();
        assert_eq!((told.len(), disks.segments().len()), (12, 2), "{bytes:?}");
        assert!(append(&mut log, 13).is_ok());
        assert_eq!(revisions(&disks), (1..=13).collect::<Vec<_>>());
        // The same with another one before the last.
        Folder::open(&disks, 14).unwrap();
        disks.damage(13, |whole| *whole = bytes.to_vec());
        let opened = open(&disks).map(|_| ());
        // Without a frame nothing says that one is missing, but for the file of tables.
        let is_told = bytes != SEGMENT_MAGIC;
        assert_eq!(matches!(opened, Err(StoreError::Broken(_))), is_told, "{bytes:?}: {opened:?}");
    }
}

#[test]
fn what_is_no_chain_is_not_told() {
    let broken = |disks: &Disks| matches!(open(disks).map(|_| ()), Err(StoreError::Broken(_)));
    let (disks, _) = with_segments(&[1, 5, 9]);
    let hole = disks.copy();
    hole.lose(5);
    assert!(broken(&hole));
    // The oldest ones go; that is no hole.
    let later = disks.copy();
    later.lose(1);
    assert_eq!(revisions(&later), (5..=12).collect::<Vec<_>>());
    // Of another store: the revision follows, what it names does not.
    let (other, mut log) = with_segments(&[1, 5, 9]);
    let strange = Position { revision: 12, commit: CommitId(1) };
    assert!(log.append(strange, [committed(13, b"v")].iter()).is_ok());
    assert!(broken(&other));
    // One that is called otherwise.
    let renamed = disks.copy();
    Folder::open(&renamed, 13).unwrap();
    let mut bytes = Folder::read(&renamed, 9).unwrap();
    renamed.damage(13, |whole| std::mem::swap(whole, &mut bytes));
    renamed.lose(9);
    assert!(broken(&renamed));
}

#[test]
fn what_found_no_room_is_not_there_and_what_failed_is_unknown() {
    let (disks, mut log) = with_segments(&[1, 9]);
    let before = disks.segments();
    disks.log_faults(Faults { room: Some(before[1].1 + 20), ..Faults::default() });
    assert!(matches!(append(&mut log, 13), Err(Failure::Absent(StoreError::Full(_)))));
    assert_eq!(disks.segments(), before);
    log.open = None;
    disks.log_faults(Faults { room: Some(20), ..Faults::default() });
    assert!(matches!(append(&mut log, 13), Err(Failure::Absent(StoreError::Full(_)))));
    assert_eq!(revisions(&disks).last(), Some(&12));
    disks.log_faults(Faults::default());
    assert!(append(&mut log, 13).is_ok());
    disks.log_faults(Faults { syncs_left: Some(0), ..Faults::default() });
    assert!(matches!(append(&mut log, 14), Err(Failure::Unknown(_))));
    disks.log_faults(Faults::default());
    assert!(revisions(&disks).contains(&13));
}
