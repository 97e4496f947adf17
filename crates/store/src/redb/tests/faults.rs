//! Damage, full and failing disks, cut power.

use super::*;

/// Commits one after the other until one is refused: how many were not, and the one that was.
async fn fill(store: &Redb, value: &[u8]) -> (u128, (CommitId, StoreError)) {
    for acknowledged in 0..1_000 {
        let id = CommitId(100 + acknowledged);
        if let Err(error) = store.commit(id, &[], &[put(&format!("fill/{acknowledged}"), value)]).await {
            return (acknowledged, (id, error));
        }
    }
    panic!("there was room for all")
}

#[tokio::test]
async fn a_log_that_was_cut_anywhere_has_what_was_written_wholly() {
    let disks = Disks::default();
    let ends = three(&disks).await;
    let disks = {
        // As it was before it was closed, which has written all to the tables.
        let file = Disks::default();
        drop(on(&file, RedbOptions::default()));
        for (name, _) in file.segments() {
            file.lose(name);
        }
        disks.copy().with_file_of(&file)
    };
    for cut in 0..=ends[2] {
        let disks = disks.copy();
        disks.damage(1, |bytes| bytes.truncate(cut as usize));
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let store =
            on(&disks, RedbOptions::default()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(store.read(&[]).await.unwrap().at.revision, whole as u64, "cut at {cut}");
        assert_eq!(value(&store, "a").await, (whole > 0).then(|| vec![whole as u8; 90]));
        assert_eq!(store.resolve(CommitId(3)).await.unwrap().is_some(), whole == 3);
        // What comes next is behind what is whole, and found again.
        let next = store.commit(CommitId(9), &[], &[put("next", b"1")]).await.unwrap();
        assert_eq!(next.revision, whole as u64 + 1);
        drop(store);
        let store = on(&disks, RedbOptions::default()).unwrap();
        assert_eq!(store.read(&[]).await.unwrap().at, next);
        assert_eq!(store.changes(&key(""), Position::default()).await.unwrap().commits.len(), whole + 1);
    }
}

#[tokio::test]
async fn a_log_that_is_damaged_before_its_last_frame_is_noticed() {
    let disks = Disks::default();
    let ends = three(&disks).await;
    for at in 0..ends[1] {
        let disks = disks.copy();
        disks.damage(1, |bytes| bytes[at as usize] ^= 0x10);
        let opened = on(&disks, RedbOptions::default()).map(|_| ());
        assert!(matches!(opened, Err(StoreError::Broken(_))), "byte {at}: {opened:?}");
    }
    // The last one, of which the file has everything.
    for at in ends[1]..ends[2] {
        let disks = disks.copy();
        disks.damage(1, |bytes| bytes[at as usize] ^= 0x10);
        let opened = on(&disks, RedbOptions::default()).map(|_| ());
        assert!(matches!(opened, Err(StoreError::Broken(_))), "byte {at}: {opened:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_recovered_from() {
    let disks = Disks::default();
    let store = on(&disks, RedbOptions::default()).unwrap();
    store.commit(CommitId(1), &[], &[put("kept", b"1")]).await.unwrap();
    let room = Faults { room: Some(200_000), ..Faults::default() };
    disks.log_faults(room);
    let large = vec![b'x'; 60_000];
    let (acknowledged, refused) = fill(&store, &large).await;
    assert_eq!(acknowledged, 3);
    assert!(matches!(refused.1, StoreError::Full(_)), "{refused:?}");
    assert_eq!(store.resolve(refused.0).await, Ok(None), "it is certain");
    assert_eq!(value(&store, "kept").await, Some(b"1".to_vec()), "reads go on");
    // What is small enough finds room.
    store.commit(CommitId(2), &[], &[put("small", b"1")]).await.unwrap();
    let again = store.commit(CommitId(3), &[], &[put("more", &large)]).await;
    assert!(matches!(again, Err(StoreError::Full(_))), "{again:?}");
    disks.log_faults(Faults::default());
    store.commit(CommitId(4), &[], &[put("more", &large)]).await.unwrap();
    let cut = disks.after_power_cut(|| false);
    drop(store);
    for disks in [disks, cut] {
        let store = on(&disks, RedbOptions::default()).unwrap();
        for name in ["fill/0", "fill/1", "fill/2", "more"] {
            assert_eq!(value(&store, name).await.map(|value| value.len()), Some(60_000));
        }
        assert_eq!(value(&store, "small").await, Some(b"1".to_vec()));
        assert_eq!(value(&store, "fill/3").await, None);
    }
}

#[tokio::test]
async fn where_the_log_has_no_room_for_another_segment_it_is_said_too() {
    let disks = Disks::default();
    let store = on(&disks, SMALL).unwrap();
    store.commit(CommitId(1), &[], &[put("kept", &[7; 2_000])]).await.unwrap();
    disks.log_faults(Faults { room: Some(0), ..Faults::default() });
    for id in 2..5 {
        let refused = store.commit(CommitId(id), &[], &[put("more", b"1")]).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        assert!(store.condition().borrow().is_full());
    }
    disks.log_faults(Faults::default());
    store.commit(CommitId(9), &[], &[put("more", b"1")]).await.unwrap();
    assert_eq!(*store.condition().borrow(), crate::Condition::default());
    drop(store);
    let store = on(&disks, SMALL).unwrap();
    assert_eq!(value(&store, "more").await, Some(b"1".to_vec()));
    assert_eq!(store.changes(&key(""), Position::default()).await.unwrap().commits.len(), 2);
}

/// The tables find no room, but the log does: commits go on as long as memory may have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_grow_stops_writing_when_memory_is_full_and_loses_nothing() {
    let disks = Disks::default();
    let options = RedbOptions { layer_bytes: 1 << 20, ..SMALL };
    let store = on(&disks, options).unwrap();
    let cold: Vec<Write> = (0..90).map(|number| put(&format!("cold/{number}"), &[7; 3_000])).collect();
    store.commit(CommitId(1), &[], &[put("kept", b"1")]).await.unwrap();
    store.commit(CommitId(2), &[], &cold).await.unwrap();
    drop(store);
    let store = Arc::new(on(&disks, options).unwrap());
    // Somebody reads, all the time, what is in the tables and in no memory.
    let (reading, is_over) = (store.clone(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let over = is_over.clone();
    let reader = tokio::spawn(async move {
        while !over.load(std::sync::atomic::Ordering::SeqCst) {
            for number in 0..90 {
                assert!(value(&reading, &format!("cold/{number}")).await.is_some());
                tokio::task::yield_now().await;
            }
            let page = reading.list(&key("cold/"), None, NonZeroU16::new(256).unwrap()).await.unwrap();
            assert_eq!(page.entries.len(), 90);
        }
    });
    disks.file.faults(Faults { room: Some(disks.file.len()), ..Faults::default() });
    let large = vec![b'x'; 60_000];
    let (acknowledged, refused) = fill(&store, &large).await;
    assert!(acknowledged >= 30, "{acknowledged}");
    assert!(store.condition().borrow().is_full());
    assert!(matches!(refused.1, StoreError::Full(_)), "{refused:?}");
    assert_eq!(store.resolve(refused.0).await, Ok(None), "it is certain");
    let all_there = async |store: &Redb| {
        assert_eq!(value(store, "kept").await, Some(b"1".to_vec()));
        for number in 0..acknowledged {
            let found = value(store, &format!("fill/{number}")).await;
            assert_eq!(found.map(|value| value.len()), Some(60_000), "{number}");
        }
    };
    all_there(&store).await;
    // The same after it was killed: what does not fit into the file is in the log.
    let killed = disks.copy();
    all_there(&on(&killed, options).unwrap()).await;
    // And after it was closed like this, which nothing keeps waiting.
    let closed = disks.copy();
    closed.file.faults(Faults { room: Some(closed.file.len()), ..Faults::default() });
    drop(on(&closed, options).unwrap());
    all_there(&on(&closed, options).unwrap()).await;
    tokio::time::sleep(crate::redb::keeper::FULL_PAUSE * 2).await;
    disks.file.faults(Faults::default());
    tokio::time::sleep(crate::redb::keeper::FULL_PAUSE + Duration::from_millis(500)).await;
    is_over.store(true, std::sync::atomic::Ordering::SeqCst);
    reader.await.unwrap();
    assert!(store.shared.openings.load(std::sync::atomic::Ordering::SeqCst) >= 2);
    store.commit(CommitId(3), &[], &[put("more", &large)]).await.unwrap();
    assert!(!store.condition().borrow().is_full());
    all_there(&store).await;
    assert!(Arc::strong_count(&store) == 1, "the reader has ended");
    drop(store);
    let store = on(&disks, options).unwrap();
    all_there(&store).await;
    assert_eq!(value(&store, "more").await.map(|value| value.len()), Some(60_000));
}

#[tokio::test]
async fn a_failing_sync_is_unknown_and_ends_writing_until_reopened() {
    let disks = Disks::default();
    let store = on(&disks, RedbOptions::default()).unwrap();
    let first = store.commit(CommitId(1), &[], &[put("kept", b"1")]).await.unwrap();
    assert_eq!(value(&store, "kept").await, Some(b"1".to_vec()));
    disks.log_faults(Faults { syncs_left: Some(0), ..Faults::default() });
    let unknown = store.commit(CommitId(2), &[], &[put("maybe", b"1")]).await;
    assert_eq!(unknown, Err(StoreError::Unknown(CommitId(2))));
    assert_eq!(value(&store, "maybe").await, None, "shown to nobody");
    disks.log_faults(Faults::default());
    let refused = store.commit(CommitId(3), &[], &[put("later", b"1")]).await;
    assert!(refused.as_ref().is_err_and(StoreError::is_stopped), "{refused:?}");
    let told = store.condition().borrow().stopped.clone();
    assert_eq!(told.as_deref(), Some("its commit log (the folder beside the file): the disk has failed"));
    assert_eq!(store.resolve(CommitId(2)).await, Err(StoreError::Unknown(CommitId(2))), "not by this handle");
    assert_eq!(value(&store, "kept").await, Some(b"1".to_vec()), "what is there is still read");
    drop(store);
    let store = on(&disks, RedbOptions::default()).unwrap();
    let fate = store.resolve(CommitId(2)).await.unwrap();
    assert_eq!(value(&store, "maybe").await.is_some(), fate.is_some());
    assert_eq!(store.resolve(CommitId(1)).await, Ok(Some(first)));
    store.commit(CommitId(4), &[], &[put("later", b"1")]).await.unwrap();
}

/// What a killed server had written and not synced is seen by the next one, and by all after it.
#[tokio::test]
async fn what_was_found_when_the_log_was_opened_is_there_after_a_cut_of_power() {
    for closes in [false, true] {
        let disks = Disks::default();
        let store = on(&disks, RedbOptions::default()).unwrap();
        store.commit(CommitId(1), &[], &[put("a", b"1")]).await.unwrap();
        disks.log_faults(Faults { syncs_left: Some(0), ..Faults::default() });
        assert_eq!(
            store.commit(CommitId(2), &[], &[put("a", b"2")]).await,
            Err(StoreError::Unknown(CommitId(2)))
        );
        disks.log_faults(Faults::default());
        drop(store);
        let store = on(&disks, RedbOptions::default()).unwrap();
        let at = store.resolve(CommitId(2)).await.unwrap();
        assert!(at.is_some() && value(&store, "a").await == Some(b"2".to_vec()), "it was written wholly");
        let cut = if closes {
            drop(store);
            disks.after_power_cut(|| false)
        } else {
            disks.after_power_cut(|| false)
        };
        let store = on(&cut, RedbOptions::default()).unwrap();
        assert_eq!(store.resolve(CommitId(2)).await, Ok(at));
        assert_eq!(value(&store, "a").await, Some(b"2".to_vec()));
    }
}

/// The file fails, not the log: nothing more is written, and all that was acknowledged is in the log.
#[tokio::test]
async fn a_file_that_fails_ends_writing_and_loses_nothing() {
    let disks = Disks::default();
    let store = on(&disks, SMALL).unwrap();
    disks.file.faults(Faults { syncs_left: Some(0), ..Faults::default() });
    let mut acknowledged = 0;
    let refused = loop {
        match store
            .commit(CommitId(1 + acknowledged), &[], &[put(&format!("{acknowledged}"), &[7; 500])])
            .await
        {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000);
    };
    assert!(refused.is_stopped(), "{refused:?}");
    let told = store.condition().borrow().stopped.clone().unwrap();
    assert!(told.starts_with("its file: ") && told.contains("the disk has failed"), "{told}");
    disks.file.faults(Faults::default());
    drop(store);
    let store = on(&disks, SMALL).unwrap();
    for number in 0..acknowledged {
        assert!(value(&store, &format!("{number}")).await.is_some());
    }
    assert_eq!(store.read(&[]).await.unwrap().at.revision, acknowledged as u64);
}

/// Power is cut while commits are on their way; what was acknowledged before is there, each other one is whole or not at all.
#[tokio::test]
async fn cut_power_loses_nothing_that_was_acknowledged() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut flip = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.is_multiple_of(2)
    };
    for round in 0..60_u32 {
        // With much that moves to the tables meanwhile, and with nothing.
        let options = if round % 2 == 0 { SMALL } else { RedbOptions::default() };
        let disks = Disks::default();
        let store = Arc::new(on(&disks, options).unwrap());
        let mut acknowledged = 0;
        for id in 0..10 + round % 7 {
            let text = id.to_string();
            let writes =
                [put("one", text.as_bytes()), put("other", text.as_bytes()), put(&text, &[0; 3_000])];
            store.commit(CommitId(u128::from(id + 1)), &[], &writes).await.unwrap();
            acknowledged = id;
        }
        let running = store.clone();
        let busy = tokio::spawn(async move {
            for id in 100..110_u32 {
                let text = id.to_string();
                let writes = [put("one", text.as_bytes()), put("other", text.as_bytes())];
                let _ = running.commit(CommitId(u128::from(id)), &[], &writes).await;
            }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let cut = disks.after_power_cut(&mut flip);
        let store = on(&cut, options).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let one = value(&store, "one").await.unwrap();
        assert_eq!(Some(&one), value(&store, "other").await.as_ref(), "whole");
        let reached: u32 = String::from_utf8(one).unwrap().parse().unwrap();
        assert!(
            reached >= acknowledged,
            "round {round}: {acknowledged} was acknowledged, {reached} is there"
        );
        for id in 0..=acknowledged {
            assert!(store.resolve(CommitId(u128::from(id + 1))).await.unwrap().is_some());
            assert_eq!(value(&store, &id.to_string()).await.map(|value| value.len()), Some(3_000));
        }
        store.commit(CommitId(1_000), &[], &[put("after", b"1")]).await.unwrap();
        busy.await.unwrap();
    }
}

/// Of a file that was not closed only what is asked for is read, however large it is.
#[tokio::test]
async fn a_file_that_was_not_closed_is_not_read_as_a_whole() {
    let disks = Disks::default();
    let store = on(&disks, RedbOptions { layer_bytes: 1 << 18, ..SMALL }).unwrap();
    for id in 0..200 {
        let writes: Vec<Write> = (0..15).map(|number| put(&format!("{id}/{number}"), &[7; 3_000])).collect();
        store.commit(CommitId(id + 1), &[], &writes).await.unwrap();
    }
    while store.shared.published.read().unwrap().layers.kept.is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let killed = disks.copy();
    let length = killed.file.len();
    let store = on(&killed, SMALL).unwrap();
    let read = killed.file.bytes_read();
    // With debug assertions redb walks through all entries once, to know its pages; repairing takes two walks and more.
    let read_max = if cfg!(debug_assertions) { length / 4 * 5 } else { length / 8 };
    assert!(length > 8 << 20 && read < read_max, "{read} bytes of {length}");
    assert!(value(&store, "0/0").await.is_some());
}

/// The engine panics on a page that it has not written so. Found by reads, by lists, by what a commit looks up, and when it is opened.
#[tokio::test]
async fn a_page_that_is_damaged_is_an_error_for_whoever_comes_by_it() {
    let (disks, count) = (Disks::default(), 100);
    let options = RedbOptions { page_cache_bytes: 0, entry_cache_bytes: 0, ..RedbOptions::default() };
    let store = on(&disks, options).unwrap();
    let writes: Vec<_> = (0..count).map(|number| put(&format!("entry/{number:03}"), &[7; 300])).collect();
    store.commit(CommitId(1), &[], &writes).await.unwrap();
    drop(store);
    let leaf = |page: &[u8]| page[0] == 1 && page.windows(6).any(|window| window == b"entry/");
    // Its kind; how many entries it has; where they end.
    type Damage = fn(&mut [u8]);
    let damages: [Damage; 3] =
        [|page| page[0] = 9, |page| page[2..4].fill(0xff), |page| page[4..64].fill(0xff)];
    for damage in damages {
        let disks = disks.copy();
        let store = on(&disks, options).unwrap();
        let mut damaged = 0;
        disks.file.damage(|bytes| {
            for page in bytes.chunks_mut(4096).filter(|page| leaf(page)) {
                damage(page);
                damaged += 1;
            }
        });
        assert!(damaged > 5, "{damaged} pages");
        let (mut broken, page) = (0, NonZeroU16::new(10).unwrap());
        for number in 0..count {
            match store.read(&[key(&format!("entry/{number:03}"))]).await {
                // What was in the middle of it may be where it was.
                Ok(_) => {}
                Err(StoreError::Broken(why)) => {
                    assert!(why.contains("put a backup back"), "{why}");
                    broken += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(broken > 0);
        let listed = store.list(&key("entry/"), None, page).await;
        assert!(matches!(listed, Err(StoreError::Broken(_))), "{listed:?}");
        // Nothing is acknowledged that may be wrong; what needs nothing of those pages is.
        let checks = [Check::Absent(key("entry/000"))];
        let refused = store.commit(CommitId(2), &checks, &[put("entry/000", b"x")]).await;
        assert!(matches!(refused, Err(StoreError::Broken(_) | StoreError::Conflict { .. })), "{refused:?}");
        drop(store);
        drop(on(&disks, options).map(|_| ()));
    }
}
