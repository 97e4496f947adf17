//! Outcomes: an attempt happens once or never, and everyone learns the same.
//!
//! Case 30 (a connection cut before and after sending) needs a connection, and case 33 (`kill -9`) a process: see the backend's own tests.

use crate::client::{Client, fresh, is_conflict, put};
use std::time::Duration;

/// 31.
pub(crate) async fn the_same_id_again(client: Client) {
    let id = fresh();
    let writes = [put("once", "1")];
    let first = client.store.commit(id, &[], &writes).await.unwrap();
    let between = client.put("other", "2").await;
    assert_eq!(
        client.store.commit(id, &[], &writes).await,
        Ok(first),
        "the same attempt has the same answer"
    );
    assert_eq!(client.at().await, between, "and is applied once");
    assert_eq!(client.store.resolve(id).await, Ok(Some(first)));
    let id = fresh();
    let together = (0..8).map(|_| {
        let (client, writes) = (client.clone(), writes.clone());
        tokio::spawn(async move { client.store.commit(id, &[], &writes).await })
    });
    let mut positions = Vec::new();
    for attempt in together.collect::<Vec<_>>() {
        positions.push(attempt.await.unwrap().unwrap());
    }
    positions.dedup();
    assert_eq!(positions, [client.at().await], "eight copies at a time are one commit");
}

/// 32.
pub(crate) async fn a_tombstone_against_an_attempt(client: Client) {
    let late = fresh();
    assert_eq!(client.store.resolve(late).await, Ok(None));
    assert!(is_conflict(&client.store.commit(late, &[], &[put("late", "1")]).await));
    assert_eq!(client.store.resolve(late).await, Ok(None), "and for ever");
    assert_eq!(client.entry("late").await, None);
    let (mut applied, mut void) = (0, 0);
    for round in 0..40 {
        let id = fresh();
        let (attempting, resolving) = (client.clone(), client.clone());
        let at = format!("race/{round}");
        let write = put(&at, "1");
        let attempt = tokio::spawn(async move { attempting.store.commit(id, &[], &[write]).await });
        let resolve = tokio::spawn(async move {
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            resolving.store.resolve(id).await.unwrap()
        });
        let (attempt, fate) = (attempt.await.unwrap(), resolve.await.unwrap());
        assert_eq!(client.store.resolve(id).await.unwrap(), fate, "a fate does not change");
        match fate {
            Some(position) => assert_eq!(attempt, Ok(position)),
            None => assert!(is_conflict(&attempt)),
        }
        assert_eq!(client.entry(&at).await.is_some(), fate.is_some());
        if fate.is_some() { applied += 1 } else { void += 1 }
    }
    println!("{applied} attempts won, {void} tombstones");
}

/// 34.
pub(crate) async fn a_caller_that_gives_up(client: Client) {
    for round in 0..30_u32 {
        let id = fresh();
        let keys: Vec<String> = (0..5).map(|number| format!("gone/{round}/{number}")).collect();
        let writes: Vec<_> = keys.iter().map(|key| put(key, "v")).collect();
        let patience = Duration::from_micros(u64::from(round) * 40);
        let _ = tokio::time::timeout(patience, client.store.commit(id, &[], &writes)).await;
        let fate = client.store.resolve(id).await.unwrap();
        let there = client.keys(format!("gone/{round}/")).await.len();
        assert_eq!(there, if fate.is_some() { 5 } else { 0 }, "whole or nothing, and it is known which");
    }
}
