//! WebSockets and the like: bytes in both directions, counted as a request for as long as they last.

use super::{App, Client, HOST, Stage, until};
use std::time::Duration;
use wire::proxy::Limits;

const ASK: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";
const CHANGED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n";

/// An app that says each line back in capitals, until it is told to go.
async fn echoing() -> App {
    App::new(|mut connection| async move {
        let head = connection.head().await;
        assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-key: x"), "{head}");
        // The first bytes of the new protocol come with the answer.
        connection.send(&format!("{CHANGED}welcome\n")).await;
        loop {
            let line = connection.until("\n").await;
            if line == "go\n" {
                return;
            }
            connection.send(&line.to_ascii_uppercase()).await;
        }
    })
    .await
}

async fn upgraded(stage: &Stage) -> Client {
    let mut client = stage.client();
    client.send(&format!("GET /chat HTTP/1.1\r\nHost: {HOST}\r\n{ASK}\r\n")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
    assert!(head.contains("sec-websocket-accept: y"), "{head}");
    assert_eq!(client.until("\n").await, "welcome\n");
    client
}

#[tokio::test]
async fn bytes_go_both_ways_until_either_side_is_done() {
    let app = echoing().await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = upgraded(&stage).await;
    for line in ["one\n", "two\n"] {
        client.send(line).await;
        assert_eq!(client.until("\n").await, line.to_ascii_uppercase());
    }
    assert_eq!(stage.in_flight(), 1);
    client.send("go\n").await;
    assert_eq!(client.rest().await, "", "the app is done, so the client is told");
    until("the lease", || stage.in_flight() == 0).await;

    let client = upgraded(&stage).await;
    assert_eq!(stage.in_flight(), 1);
    drop(client);
    until("the lease", || stage.in_flight() == 0).await;
}

#[tokio::test]
async fn draining_waits_for_it() {
    let app = echoing().await;
    let stage = Stage::new().await;
    let key = stage.add(&app);
    let mut client = upgraded(&stage).await;
    let drained = tokio::spawn(stage.routes.drain(&stage.web, key));
    client.send("still there\n").await;
    assert_eq!(client.until("\n").await, "STILL THERE\n");
    assert!(!drained.is_finished());
    client.send("go\n").await;
    tokio::time::timeout(super::PATIENCE, drained).await.unwrap().unwrap();
}

#[tokio::test]
async fn one_that_is_silent_for_too_long_ends() {
    let app = echoing().await;
    let limits = Limits { upgrade_idle_time: Duration::from_millis(1_200), ..Limits::default() };
    let stage = Stage::within(limits).await;
    stage.add(&app);
    let mut client = upgraded(&stage).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        client.send("x\n").await;
        assert_eq!(client.until("\n").await, "X\n");
    }
    assert_eq!(client.rest().await, "");
    until("the lease", || stage.in_flight() == 0).await;
}

#[tokio::test]
async fn an_app_may_say_no_and_the_connection_stays_http() {
    let app = App::saying("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno").await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    for _ in 0..2 {
        client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{ASK}\r\n")).await;
        assert!(client.head().await.starts_with("HTTP/1.1 426"));
        assert_eq!(client.until("no").await, "no");
    }
}

#[tokio::test]
async fn an_app_that_changes_what_nobody_asked_it_to_gives_no_answer() {
    let app = App::saying(CHANGED).await;
    let stage = Stage::new().await;
    stage.add(&app);
    assert!(stage.get("/").await.starts_with("HTTP/1.1 502"));
    // Asked for HTTP/2, which is not passed on.
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let mut client = stage.client();
    client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{h2c}\r\n")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 502"));
    until("the lease", || stage.in_flight() == 0).await;
}
