//! Commits: all or none, decided against what is there, within limits that are the same on every engine.

use crate::client::{Client, absent, delete, is_conflict, put, unchanged};
use store::{Check, StoreError, Write, contract};

/// 15.
pub(crate) async fn one_failing_check_among_many(client: Client) {
    client.put("c/present", "1").await;
    let before = client.at().await;
    let writes: Vec<Write> = (0..100).map(|number| put(format!("c/{number}"), "v")).collect();
    let mut checks: Vec<Check> = (0..99).map(|number| absent(format!("c/{number}"))).collect();
    checks.insert(50, absent("c/present"));
    match client.commit(&checks, &writes).await {
        Err(StoreError::Conflict { keys }) => {
            assert!(keys.is_empty() || keys == [crate::client::key("c/present")]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.keys("c/").await, [b"c/present"]);
    assert_eq!(client.at().await, before);
    checks.remove(50);
    client.commit(&checks, &writes).await.unwrap();
    assert_eq!(client.keys("c/").await.len(), 101);
}

/// 16.
pub(crate) async fn absent_holds_before_and_after(client: Client) {
    client.commit(&[absent("k")], &[put("k", "1")]).await.unwrap();
    assert!(is_conflict(&client.commit(&[absent("k")], &[put("k", "2")]).await));
    client.delete("k").await;
    client.commit(&[absent("k")], &[put("k", "3")]).await.unwrap();
    assert_eq!(client.value("k").await, Some(b"3".to_vec()));
}

/// 17.
pub(crate) async fn the_same_value_is_a_change(client: Client) {
    let first = client.put("k", "same").await;
    let second = client.put("k", "same").await;
    assert!(second.revision > first.revision);
    assert!(is_conflict(&client.commit(&[unchanged("k", first.revision)], &[put("k", "x")]).await));
    assert!(client.commit(&[unchanged("k", second.revision)], &[put("k", "x")]).await.is_ok());
}

/// 18.
pub(crate) async fn deleted_and_made_again(client: Client) {
    let first = client.put("k", "1").await;
    let second = client.put("k", "2").await;
    let entry = client.entry("k").await.unwrap();
    assert_eq!((entry.created, entry.modified), (first.revision, second.revision));
    let gone = client.delete("k").await;
    let again = client.put("k", "1").await;
    let entry = client.entry("k").await.unwrap();
    assert_eq!((entry.created, entry.modified), (again.revision, again.revision));
    for old in [first, second, gone] {
        assert!(is_conflict(&client.commit(&[unchanged("k", old.revision)], &[put("k", "x")]).await));
    }
}

/// 19.
pub(crate) async fn one_racer_wins(client: Client) {
    let racers: Vec<_> = (0..64)
        .map(|racer: u32| {
            let client = client.clone();
            tokio::spawn(async move {
                client.commit(&[absent("prize")], &[put("prize", racer.to_string())]).await
            })
        })
        .collect();
    let mut won = Vec::new();
    for (racer, racing) in racers.into_iter().enumerate() {
        match racing.await.unwrap() {
            Ok(_) => won.push(racer),
            other => assert!(is_conflict(&other)),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(client.value("prize").await, Some(won[0].to_string().into_bytes()));
}

/// 20. Each of two may go if the other stays.
pub(crate) async fn write_skew(client: Client) {
    for round in 0..20 {
        let (one, other) = (format!("s/{round}/1"), format!("s/{round}/2"));
        let made = client.commit(&[], &[put(&one, "on"), put(&other, "on")]).await.unwrap().revision;
        let leave = |leaves: String, stays: String| {
            let client = client.clone();
            tokio::spawn(async move {
                let checks = [unchanged(&leaves, made), unchanged(&stays, made)];
                client.commit(&checks, &[put(&leaves, "off")]).await
            })
        };
        let (first, second) = (leave(one.clone(), other.clone()), leave(other, one));
        let outcomes = [first.await.unwrap(), second.await.unwrap()];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| is_conflict(outcome)).count(), 1);
    }
}

/// 21.
pub(crate) async fn a_counter(client: Client) {
    client.put("counter", "0").await;
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut acknowledged = 0_u64;
                for _ in 0..5 {
                    let entry = client.entry("counter").await.unwrap();
                    let next = String::from_utf8_lossy(&entry.value).parse::<u64>().unwrap() + 1;
                    let check = unchanged("counter", entry.modified);
                    tokio::task::yield_now().await;
                    match client.commit(&[check], &[put("counter", next.to_string())]).await {
                        Ok(_) => acknowledged += 1,
                        other => assert!(is_conflict(&other)),
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = 0;
    for client in clients {
        acknowledged += client.await.unwrap();
    }
    assert_eq!(client.value("counter").await, Some(acknowledged.to_string().into_bytes()));
}

/// 22.
pub(crate) async fn one_revision_for_all_writes(client: Client) {
    let writes: Vec<Write> = (0..10).map(|number| put(format!("r/{number}"), "v")).collect();
    for _ in 0..3 {
        let position = client.commit(&[], &writes).await.unwrap();
        for entry in client.all("r/", 3).await {
            assert_eq!(entry.modified, position.revision);
        }
        assert_eq!(client.at().await, position);
    }
}

/// 23.
pub(crate) async fn no_writes(client: Client) {
    let position = client.put("k", "1").await;
    assert_eq!(client.commit(&[unchanged("k", position.revision), absent("l")], &[]).await, Ok(position));
    assert!(is_conflict(&client.commit(&[absent("k")], &[]).await));
    assert_eq!(client.at().await, position);
}

/// 24.
pub(crate) async fn nothing_at_all(client: Client) {
    let position = client.put("k", "1").await;
    assert_eq!(client.commit(&[], &[]).await, Ok(position));
    assert_eq!(client.at().await, position);
}

/// 25.
pub(crate) async fn a_key_twice(client: Client) {
    let position = client.put("k", "1").await;
    let check = [unchanged("k", position.revision)];
    for writes in [
        [put("k", "2"), put("k", "3")],
        [put("k", "2"), delete("k")],
        [delete("k"), put("k", "2")],
        [delete("k"), delete("k")],
    ] {
        assert!(matches!(client.commit(&check, &writes).await, Err(StoreError::Invalid(_))));
    }
    let twice = [absent("x"), absent("x")];
    assert!(matches!(client.commit(&twice, &[put("x", "1")]).await, Err(StoreError::Invalid(_))));
    assert_eq!(client.at().await, position);
}

/// 26.
pub(crate) async fn deletes_need_their_check(client: Client) {
    let position = client.put("k", "1").await;
    for checks in [vec![], vec![absent("k")], vec![unchanged("l", position.revision)]] {
        assert!(matches!(client.commit(&checks, &[delete("k")]).await, Err(StoreError::Invalid(_))));
    }
    assert!(is_conflict(&client.commit(&[unchanged("l", position.revision)], &[delete("l")]).await));
    client.commit(&[unchanged("k", position.revision)], &[delete("k")]).await.unwrap();
    assert_eq!(client.entry("k").await, None);
}

/// 27.
pub(crate) async fn limits(client: Client) {
    let checks: Vec<Check> = (0..=100).map(|number| absent(format!("none/{number}"))).collect();
    let writes: Vec<Write> = (0..=100).map(|number| put(format!("l/{number}"), "v")).collect();
    let long = "k".repeat(513);
    let large = vec![0; 64 * 1024 + 1];
    let is_too_large = |result: Result<_, StoreError>, limit: usize| match result {
        Err(StoreError::TooLarge { limit: told, .. }) => assert_eq!(told, limit),
        other => panic!("{other:?}"),
    };
    client.commit(&checks[..100], &writes[..100]).await.unwrap();
    client.commit(&[], &[put(&long[..512], &large[..64 * 1024])]).await.unwrap();
    assert_eq!(client.entry(&long[..512]).await.unwrap().value.len(), 64 * 1024);
    let before = client.at().await;
    is_too_large(client.commit(&checks, &[put("l", "v")]).await, 100);
    is_too_large(client.commit(&[], &writes).await, 100);
    is_too_large(client.commit(&[absent(&long)], &[put("l", "v")]).await, 512);
    is_too_large(client.commit(&[], &[put(&long, "v")]).await, 512);
    is_too_large(client.commit(&[], &[put("l", &large)]).await, 64 * 1024);
    // Fifteen of 64 KiB and one that fills the commit to its last byte; each counts its key and 64 more.
    let mut full: Vec<Write> = (10..25).map(|number| put(number.to_string(), &large[..64 * 1024])).collect();
    let rest = contract::COMMIT_BYTES_MAX - 15 * (64 * 1024 + 2 + 64) - (2 + 64);
    full.push(put("99", &large[..rest + 1]));
    is_too_large(client.commit(&[], &full).await, 1024 * 1024);
    assert_eq!(client.at().await, before);
    full.pop();
    full.push(put("99", &large[..rest]));
    client.commit(&[], &full).await.unwrap();
    let filled = client.at().await;
    is_too_large(client.commit(&[absent("checks count too")], &full).await, 1024 * 1024);
    // What is invalid is said before what is too large.
    full.push(put("99", "again"));
    assert!(matches!(client.commit(&checks, &full).await, Err(StoreError::Invalid(_))));
    assert_eq!(client.at().await, filled);
}

/// 28.
pub(crate) async fn empty_keys_and_values(client: Client) {
    assert!(matches!(client.commit(&[], &[put("", "v")]).await, Err(StoreError::Invalid(_))));
    assert!(matches!(client.commit(&[absent("")], &[put("k", "v")]).await, Err(StoreError::Invalid(_))));
    client.put("k", "").await;
    assert_eq!(client.value("k").await, Some(Vec::new()));
    assert!(is_conflict(&client.commit(&[absent("k")], &[put("k", "v")]).await));
}

/// 29.
pub(crate) async fn every_byte(client: Client) {
    let every: Vec<u8> = (0..=255).collect();
    client.put(&every, &every).await;
    assert_eq!(client.value(&every).await, Some(every.clone()));
    assert_eq!(client.keys(&every[..1]).await, [every]);
}
