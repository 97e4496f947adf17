//! Reads: one snapshot, never older than what was acknowledged.

use crate::client::{Client, key, put};
use store::{Key, StoreError};

/// 1.
pub(crate) async fn an_absent_key_is_none(client: Client) {
    assert_eq!(client.entry("nothing").await, None);
    client.put("something", "1").await;
    assert_eq!(client.entry("nothing").await, None);
}

/// 2.
pub(crate) async fn a_read_is_one_snapshot(client: Client) {
    let writer = client.clone();
    let writing = tokio::spawn(async move {
        for round in 0..100 {
            let round = round.to_string();
            writer.commit(&[], &[put("pair/00", &round), put("pair/99", &round)]).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let keys: Vec<Key> = (0..100).map(|number| key(format!("pair/{number:02}"))).collect();
    let mut rounds = 0;
    while rounds < 300 || !writing.is_finished() {
        let snapshot = client.store.read(&keys).await.unwrap();
        let (first, last) = (snapshot.entries[0].as_ref(), snapshot.entries[99].as_ref());
        assert_eq!(first.map(|entry| &entry.value), last.map(|entry| &entry.value));
        assert!(first.is_none_or(|first| first.modified <= snapshot.at.revision));
        rounds += 1;
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

/// 3.
pub(crate) async fn duplicates_in_a_read(client: Client) {
    client.put("twice", "1").await;
    let keys = [key("twice"), key("not"), key("twice")];
    let entries = client.store.read(&keys).await.unwrap().entries;
    assert_eq!(entries.len(), 3);
    assert!(entries[0].is_some() && entries[0] == entries[2] && entries[1].is_none());
}

/// 4.
pub(crate) async fn too_many_keys_in_a_read(client: Client) {
    let keys = vec![key("k"); 101];
    assert!(client.store.read(&keys[..100]).await.is_ok());
    assert!(matches!(client.store.read(&keys).await, Err(StoreError::TooLarge { limit: 100, .. })));
}

/// 5.
pub(crate) async fn a_position_never_goes_back(client: Client) {
    let writer = client.clone();
    let writing = tokio::spawn(async move {
        for round in 0..100 {
            writer.put(format!("at/{}", round % 3), round.to_string()).await;
        }
    });
    let mut last = client.at().await;
    while !writing.is_finished() {
        let read = client.at().await;
        let listed = client.page("at/", None, 10).await.at;
        assert!(last.revision <= read.revision && read.revision <= listed.revision);
        last = listed;
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

/// 6.
pub(crate) async fn a_read_is_not_older_than_an_acknowledged_commit(client: Client) {
    let other = client.clone();
    for round in 0..50 {
        let acknowledged = client.put("fresh", round.to_string()).await;
        let snapshot = other.store.read(&[key("fresh")]).await.unwrap();
        assert_eq!(snapshot.at, acknowledged);
        assert_eq!(snapshot.entries[0].as_ref().map(|entry| entry.modified), Some(acknowledged.revision));
        assert_eq!(client.value("fresh").await, Some(round.to_string().into_bytes()));
    }
}

/// 7. What is told at once is what a read would tell, at the same position; a backend that cannot tells nothing.
pub(crate) async fn what_is_told_at_once_is_what_is_read(client: Client) {
    let keys = [key("often"), key("gone"), key("never")];
    for round in 0..20 {
        client.put("often", round.to_string()).await;
        client.put("gone", "1").await;
        if round % 2 == 1 {
            client.delete("gone").await;
        }
        let read = client.store.read(&keys).await.unwrap();
        for (key, entry) in keys.iter().zip(read.entries) {
            // Twice: what was looked at may be kept.
            for _ in 0..2 {
                let told = client.store.peek(key);
                assert!(told.is_none_or(|told| told == (read.at, entry.clone())), "{key:?} in round {round}");
            }
        }
    }
}
