//! Many at a time, and instances that come and go.

use super::{App, HOST, PATIENCE, Stage, until};
use host::InstanceKey;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

#[tokio::test]
async fn two_hundred_at_a_time_are_spread_and_all_answered() {
    let (open, opened) = watch::channel(false);
    let slow = || {
        let opened = opened.clone();
        App::new(move |mut connection| {
            let mut opened = opened.clone();
            async move {
                let head = connection.head().await;
                let path = head.split(' ').nth(1).unwrap().to_owned();
                drop(opened.wait_for(|opened| *opened).await.unwrap());
                connection
                    .send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()))
                    .await;
            }
        })
    };
    let (one, two) = (slow().await, slow().await);
    let stage = Arc::new(Stage::new().await);
    let keys = [stage.add(&one), stage.add(&two)];
    let asking: Vec<_> = (0..200)
        .map(|number| {
            let stage = stage.clone();
            tokio::spawn(async move {
                let answer = stage.get(&format!("/{number}")).await;
                assert!(answer.ends_with(&format!("\r\n\r\n/{number}")), "{number}: {answer}");
            })
        })
        .collect();
    until("all of them", || stage.in_flight() == 200).await;
    assert_eq!(stage.routes.in_flight(&stage.web), keys.map(|key| (key, 100)));
    open.send(true).unwrap();
    for one in asking {
        one.await.unwrap();
    }
    assert_eq!(stage.in_flight(), 0);
    assert_eq!((one.connections(), two.connections()), (100, 100));
}

#[tokio::test]
async fn draining_waits_for_the_last_byte_of_the_last_answer() {
    let (open, opened) = watch::channel(false);
    let app = App::new(move |mut connection| {
        let mut opened = opened.clone();
        async move {
            connection.head().await;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
            drop(opened.wait_for(|opened| *opened).await.unwrap());
            connection.send(" last").await;
        }
    })
    .await;
    let stage = Stage::new().await;
    let key = stage.add(&app);
    let mut client = stage.client();
    client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await;
    client.until("first").await;
    let drained = tokio::spawn(stage.routes.drain(&stage.web, key));
    tokio::task::yield_now().await;
    assert!(!drained.is_finished());
    assert!(stage.get("/").await.starts_with("HTTP/1.1 503"), "no new requests meanwhile");
    open.send(true).unwrap();
    assert_eq!(client.rest().await, " last");
    tokio::time::timeout(PATIENCE, drained).await.unwrap().unwrap();
}

/// Many programs that are asked to end wait until their connections have ended.
#[tokio::test]
async fn connections_end_when_the_instance_takes_no_more_requests_or_is_taken_out() {
    let ends: [fn(&Stage, InstanceKey); 2] = [
        |stage, key| drop(stage.routes.drain(&stage.web, key)),
        |stage, key| stage.routes.remove(&stage.web, key),
    ];
    for end in ends {
        let ended = Arc::new(AtomicBool::new(false));
        let told = ended.clone();
        let app = App::new(move |mut connection| {
            let told = told.clone();
            async move {
                connection.head().await;
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                connection.rest().await;
                told.store(true, Ordering::SeqCst);
            }
        })
        .await;
        let stage = Stage::new().await;
        let key = stage.add(&app);
        assert!(stage.get("/").await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!ended.load(Ordering::SeqCst), "it is kept for the next request");
        end(&stage, key);
        until("the end", || ended.load(Ordering::SeqCst)).await;
    }
}
