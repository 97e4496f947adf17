//! Followers: each commit once, whole and in order, or a plain word that history does not reach that far.

use crate::client::{Client, delete, key, put, unchanged};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use store::{Commit, CommitId, Key, Position, StoreError, Write};

/// 35.
pub(crate) async fn each_commit_once_from_every_position(client: Client) {
    let mut positions = vec![client.at().await];
    for round in 0..10 {
        let (one, other) = (format!("f/{round}"), format!("f/{round}/also"));
        positions.push(client.commit(&[], &[put(&one, "1"), put(&other, "2")]).await.unwrap());
        if round % 3 == 0 {
            positions.push(client.delete(&one).await);
        }
    }
    let last = positions[positions.len() - 1];
    let all = client.follow("f/", positions[0], last).await.unwrap();
    let seen: Vec<Position> = all.iter().map(|commit| commit.position).collect();
    assert_eq!(seen, positions[1..]);
    for (commit, previous) in all.iter().zip(&positions) {
        assert_eq!(commit.previous, previous.commit, "a chain");
    }
    assert_eq!(
        all[0].changes,
        [(key("f/0"), Some(b"1"[..].into())), (key("f/0/also"), Some(b"2"[..].into()))]
    );
    assert_eq!(all[1].changes, [(key("f/0"), None)]);
    for (index, position) in positions.iter().enumerate() {
        let rest = client.follow("f/", *position, last).await.unwrap();
        assert_eq!(rest, all[index..], "from {position:?}");
    }
}

/// 36.
pub(crate) async fn a_large_commit_arrives_whole(client: Client) {
    let before = client.at().await;
    let small: Vec<Write> = (0..100).map(|number| put(format!("w/{number:02}"), "v")).collect();
    let large: Vec<Write> =
        (0..100).map(|number| put(format!("w/{number:02}"), vec![b'x'; 10_000])).collect();
    let mut last = before;
    for writes in [&small, &large, &small, &large, &small] {
        last = client.commit(&[], writes).await.unwrap();
    }
    let commits = client.follow("w/", before, last).await.unwrap();
    assert_eq!(commits.len(), 5);
    for commit in &commits {
        assert_eq!(commit.changes.len(), 100);
    }
    let first = client.store.changes(&key("w/"), before).await.unwrap();
    assert!(first.commits.len() < 5, "an answer has a limit");
}

/// 37.
pub(crate) async fn commits_outside_the_prefix(client: Client) {
    let before = client.at().await;
    client.put("other/1", "v").await;
    let mixed = client.commit(&[], &[put("mine/1", "v"), put("other/2", "v")]).await.unwrap();
    let last = client.put("other/3", "v").await;
    let changes = client.store.changes(&key("mine/"), before).await.unwrap();
    assert_eq!(changes.through, last);
    let seen: Vec<Position> = changes.commits.iter().map(|commit| commit.position).collect();
    assert_eq!(seen, [mixed]);
    assert_eq!(changes.commits[0].changes, [(key("mine/1"), Some(b"v"[..].into()))]);
}

/// 38.
pub(crate) async fn idle_and_awake(client: Client) {
    let at = client.put("i/1", "v").await;
    let prefix = key("i/");
    let begin = Instant::now();
    let idle = client.store.changes(&prefix, at).await.unwrap();
    assert!(idle.commits.is_empty() && idle.through == at);
    assert!(begin.elapsed() > Duration::from_millis(300), "it waits and does not spin");
    assert!(begin.elapsed() < Duration::from_secs(5));
    let given_up = tokio::time::timeout(Duration::from_millis(20), client.store.changes(&prefix, at)).await;
    assert!(given_up.is_err(), "it can be cancelled");
    let follower = client.clone();
    let following =
        tokio::spawn(async move { (follower.store.changes(&key("i/"), at).await, Instant::now()) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let committed = client.put("i/2", "v").await;
    let acknowledged = Instant::now();
    let (changes, awake) = following.await.unwrap();
    assert_eq!(changes.unwrap().through, committed);
    assert!(awake.saturating_duration_since(acknowledged) < Duration::from_secs(1));
}

/// 39. Wherever the edge of history is: beyond it `Compacted`, from it on everything, deletes too.
pub(crate) async fn pruned_positions(client: Client) {
    let mut positions = vec![client.at().await];
    let value = vec![b'x'; 60_000];
    for round in 0..60 {
        let at = format!("e/{round}");
        let made = client.commit(&[], &[put(&at, &value), put("e/last", &at)]).await.unwrap();
        positions.push(made);
        let check = [unchanged(&at, made.revision)];
        positions
            .push(client.commit(&check, &[delete(&at), put(format!("e/f{round}"), &value)]).await.unwrap());
    }
    let last = positions[positions.len() - 1];
    let mut is_kept = false;
    for (index, position) in positions.iter().enumerate() {
        match client.follow("e/", *position, last).await {
            Err(StoreError::Compacted) => assert!(!is_kept, "kept before {position:?} and not at it"),
            Ok(commits) => {
                is_kept = true;
                let seen: Vec<Position> = commits.iter().map(|commit| commit.position).collect();
                assert_eq!(seen, positions[index + 1..], "after {position:?}");
                assert!(commits.iter().all(|commit| commit.changes.len() == 2), "with the deletes");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(is_kept);
}

/// 40.
pub(crate) async fn foreign_positions(client: Client) {
    let first = client.put("k", "1").await;
    let second = client.put("k", "2").await;
    for foreign in [
        Position { revision: first.revision, commit: CommitId(0xdead) },
        Position { revision: second.revision, commit: first.commit },
        Position { revision: second.revision + 1, commit: second.commit },
        Position { revision: second.revision + 100, commit: CommitId(0xdead) },
    ] {
        assert!(matches!(client.store.changes(&key(""), foreign).await, Err(StoreError::Compacted)));
    }
}

fn apply(entries: &mut BTreeMap<Key, Vec<u8>>, commits: Vec<Commit>) {
    for (key, value) in commits.into_iter().flat_map(|commit| commit.changes) {
        match value {
            Some(value) => entries.insert(key, value.to_vec()),
            None => entries.remove(&key),
        };
    }
}

/// 42 and 43.
pub(crate) async fn a_slow_follower(client: Client) {
    let writer = client.clone();
    let writing = tokio::spawn(async move {
        let value = vec![b'x'; 60_000];
        for round in 0..150 {
            writer.put(format!("s/{}", round % 7), &value[..round * 400]).await;
            if round % 5 == 4 {
                writer.delete(format!("s/{}", round % 7)).await;
            }
        }
        writer.at().await
    });
    let mut entries = BTreeMap::new();
    let mut reached = client.at().await;
    let mut until = None;
    let mut writing = Some(writing);
    loop {
        if writing.as_ref().is_some_and(tokio::task::JoinHandle::is_finished)
            && let Some(writing) = writing.take()
        {
            until = Some(writing.await.unwrap());
        }
        match client.store.changes(&key("s/"), reached).await {
            Ok(changes) => {
                apply(&mut entries, changes.commits);
                reached = changes.through;
            }
            Err(StoreError::Compacted) => {
                reached = client.page("s/", None, 1).await.at;
                let listed = client.all("s/", 2).await;
                entries = listed.into_iter().map(|entry| (entry.key, entry.value.to_vec())).collect();
            }
            Err(other) => panic!("{other}"),
        }
        if until.is_some_and(|until| until == reached) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let truth: BTreeMap<Key, Vec<u8>> =
        client.all("s/", 3).await.into_iter().map(|entry| (entry.key, entry.value.to_vec())).collect();
    assert_eq!(entries.len(), truth.len());
    assert!(entries == truth, "what was followed is what is there");
}
