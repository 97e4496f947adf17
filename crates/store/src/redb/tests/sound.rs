//! What was changed behind the store's back is found by who looks for it, though a reader may take it for what it is; and looking changes nothing.

use super::*;
use crate::redb::sound;

async fn filled(disks: &Disks, count: u32) {
    let store = on(disks, RedbOptions::default()).unwrap();
    for number in 0..count {
        let name = format!("entry/{number:03}");
        store.commit(CommitId(u128::from(number) + 1), &[], &[put(&name, &[7; 300])]).await.unwrap();
    }
}

#[tokio::test]
async fn a_letter_that_is_another_now_is_found() {
    let disks = Disks::default();
    filled(&disks, 100).await;
    let check = |disks: &Disks| sound::check(|| Ok(disks.file.clone()));
    check(&disks).unwrap();
    // One letter of a key, of a value, of how long an entry is: a reader would find nothing by that name, or another value.
    let whole = disks.file.bytes();
    let places: Vec<usize> =
        whole.windows(9).enumerate().filter(|(_, bytes)| bytes == b"entry/042").map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places.iter().flat_map(|at| [*at, at + 8]) {
        let damaged = disks.copy();
        damaged.file.damage(|bytes| bytes[at] ^= 1);
        let before = damaged.file.bytes();
        match check(&damaged) {
            Err(StoreError::Broken(_)) => {}
            // A page that nothing leads to any more.
            Ok(()) => {
                assert!(value(&on(&damaged, RedbOptions::default()).unwrap(), "entry/042").await.is_some())
            }
            Err(other) => panic!("{other}"),
        }
        assert!(damaged.file.bytes() == before, "who looks changes nothing");
    }
    let in_use = places.iter().any(|at| {
        let damaged = disks.copy();
        damaged.file.damage(|bytes| bytes[*at] ^= 1);
        check(&damaged).is_err()
    });
    assert!(in_use);
}

/// A part of a file, another kind of file, a frame that is another now: whoever starts on it is told what to do.
#[tokio::test]
async fn what_is_no_store_any_more_says_to_put_a_backup_back() {
    let disks = Disks::default();
    filled(&disks, 100).await;
    type Damage = fn(&Disks);
    let damages: [Damage; 4] = [
        |disks| disks.file.damage(|bytes| bytes.truncate(100)),
        |disks| disks.file.damage(|bytes| bytes.truncate(5_000)),
        |disks| disks.file.damage(|bytes| bytes.fill(7)),
        |disks| disks.damage(disks.segments()[0].0, |bytes| bytes[60] ^= 1),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let damaged = disks.copy();
        damage(&damaged);
        match on(&damaged, RedbOptions::default()) {
            Err(error) => assert!(error.is_damaged(), "{number}: {error:?}"),
            Ok(_) => panic!("{number} is opened"),
        }
    }
}

#[tokio::test]
async fn a_store_on_disk_is_read_as_a_whole_and_opens_as_before() {
    let place = Place::new("sound");
    let verify = || Redb::verify(&place.0, RedbOptions::default());
    assert!(matches!(verify(), Err(StoreError::Unavailable(_))), "there is none, and none is made");
    assert!(!place.0.exists());
    let store = place.open().unwrap();
    for number in 0..1_500_u32 {
        let writes = [put(&format!("many/{number:04}"), b"12")];
        store.commit(CommitId(u128::from(number) + 1), &[], &writes).await.unwrap();
    }
    assert!(matches!(verify(), Err(StoreError::Unavailable(_))), "somebody has it open");
    drop(store);
    assert_eq!(verify().unwrap(), crate::Sound { entries: 1_500, bytes: 1_500 * 11 });
    assert_eq!(value(&place.open().unwrap(), "many/0042").await.as_deref(), Some(&b"12"[..]));
    let mut bytes = std::fs::read(&place.0).unwrap();
    let all: Vec<usize> =
        bytes.windows(9).enumerate().filter(|(_, text)| text == b"many/0042").map(|(at, _)| at).collect();
    for at in all {
        bytes[at] ^= 1;
    }
    std::fs::write(&place.0, &bytes).unwrap();
    // It opens, and what is asked for is not there.
    assert_eq!(value(&place.open().unwrap(), "many/0042").await, None);
    let found = verify().unwrap_err();
    assert!(matches!(&found, StoreError::Broken(_)), "{found}");
}
