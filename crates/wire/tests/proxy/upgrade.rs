//! WebSockets and the like: bytes in both directions, counted as a request for as long as they last.

use super::{App, Client, HOST, Stage, until};
use std::{sync::Arc, time::Duration};
use wire::proxy::{Kept, Limits};

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
    upgrade(stage.client()).await
}

async fn upgrade(mut client: Client) -> Client {
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

#[tokio::test]
async fn an_app_that_changes_to_something_else_than_it_was_asked_to_gives_no_answer() {
    for other in ["h2c", "websocket, h2c", "chat"] {
        let app = App::new(move |mut connection| async move {
            connection.head().await;
            let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade";
            connection.send(&format!("{answer}\r\nUpgrade: {other}\r\n\r\nnot for a client")).await;
            assert_eq!(connection.rest().await, "", "nothing of the client comes here");
        })
        .await;
        let stage = Stage::new().await;
        stage.add(&app);
        let mut client = stage.client();
        client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{ASK}\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 502"), "{other}: {head}");
        until("the lease", || stage.in_flight() == 0).await;
    }
}

#[tokio::test]
async fn http_2_is_not_asked_for_however_it_is_spelled() {
    let app = App::new(|mut connection| async move {
        let head = connection.head().await;
        assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    for protocols in ["h2c", "websocket,\th2c", "websocket, h2c", "websocket,h2c"] {
        let mut client = stage.client();
        client
            .send(&format!(
                "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: {protocols}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
            ))
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{protocols:?}: {head}");
    }
}

#[tokio::test]
async fn what_the_clients_connection_holds_is_held_until_the_tunnel_ends() {
    let app = echoing().await;
    let stage = Stage::new().await;
    stage.add(&app);
    let place = Arc::new(());
    let mut client = upgrade(stage.client_holding(Kept(place.clone()))).await;
    // Long after the connection has stopped to be one of HTTP.
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.send("still there\n").await;
    assert_eq!(client.until("\n").await, "STILL THERE\n");
    assert_eq!(Arc::strong_count(&place), 2, "the tunnel has it, and nothing else");
    client.send("go\n").await;
    assert_eq!(client.rest().await, "");
    until("the place", || Arc::strong_count(&place) == 1).await;
}

#[tokio::test]
async fn what_the_clients_connection_holds_goes_with_it_where_the_app_says_no() {
    let app = App::saying("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno").await;
    let stage = Stage::new().await;
    stage.add(&app);
    let place = Arc::new(());
    let mut client = stage.client_holding(Kept(place.clone()));
    client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{ASK}\r\n")).await;
    client.until("no").await;
    drop(client);
    until("the place", || Arc::strong_count(&place) == 1).await;
}
