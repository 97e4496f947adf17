//! Heads as they come and go.

use super::{App, HOST, Stage, sorted};
use std::sync::{Arc, Mutex};

/// An app that keeps what it was sent, and answers this.
async fn keeping(answer: &'static str) -> (App, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();
    let app = App::new(move |mut connection| {
        let kept = kept.clone();
        async move {
            let head = connection.head().await;
            kept.lock().unwrap().push(head);
            connection.send(answer).await;
        }
    });
    (app.await, heads)
}

#[tokio::test]
async fn a_request_and_its_answer_as_both_sides_see_them() {
    let (app, heads) = keeping(
        "HTTP/1.1 200 Fine\r\nServer: mine\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Hop: 1\r\n\
         Connection: X-Hop\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    client
        .send(&format!(
            "GET https://{HOST}/a/%2e%2e/b?q=%20&q HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\nCookie: c=d\r\nX-Forwarded-For: 1.1.1.1\r\n\
             X_Forwarded_For: 1.1.1.1\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.1.1.1\r\nX-Identity-Header: x\r\nMetadata: true\r\n\
             Connection: close, X-Mine\r\nX-Mine: 1\r\nTE: gzip\r\nX-Ms-Client-Principal-Id: admin\r\nX-ARR-ClientCert: MII\r\n\
             True-Client-IP: 1.1.1.1\r\nX-Azure-SocketIP: 1.1.1.1\r\nX-Azure-FDID: x\r\nX-Original-For: 1.1.1.1\r\nX-Original-URL: /admin\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: websocket\r\n\r\n"
        ))
        .await;
    let answer = client.rest().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "hello");
    assert_eq!(
        sorted(head),
        [
            "HTTP/1.1 200 Fine",
            "connection: close",
            "content-length: 5",
            "date: Thu, 01 Jan 1970 00:00:00 GMT",
            "server: mine",
            "set-cookie: a=1",
            "set-cookie: b=2",
        ]
    );
    assert_eq!(
        sorted(&heads.lock().unwrap()[0]),
        [
            "GET /a/%2e%2e/b?q=%20&q HTTP/1.1",
            "accept: */*",
            "cookie: c=d",
            &format!("host: {HOST}"),
            "x-forwarded-for: 192.0.2.7",
            &format!("x-forwarded-host: {HOST}"),
            "x-forwarded-proto: https",
        ]
    );
}

#[tokio::test]
async fn answers_without_a_body_end_where_they_end() {
    for (request, answer, expected) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "content-length: 1000000"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "etag: \"x\""),
        ("GET", "HTTP/1.1 204 No Content\r\nX-Word: y\r\n\r\n", "x-word: y"),
        (
            "GET",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "content-length: 0",
        ),
        ("POST", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "location: /x"),
    ] {
        let app = App::saying(answer).await;
        let stage = Stage::new().await;
        stage.add(&app);
        let got = stage.ask(&format!("{request} / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
        assert!(got.ends_with("\r\n\r\n") && got.contains(expected), "{got}");
        assert!(!got.contains("transfer-encoding") && !got.contains("x-ms-request-id"), "{got}");
        assert_eq!(stage.in_flight(), 0);
    }
}

#[tokio::test]
async fn an_app_of_the_old_version_is_no_matter_of_the_clients() {
    let app = App::new(|mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nto the end").await;
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    for _ in 0..2 {
        client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("transfer-encoding: chunked"), "{head}");
        assert_eq!(client.until("0\r\n\r\n").await, "A\r\nto the end\r\n0\r\n\r\n");
    }
}

#[tokio::test]
async fn a_message_with_two_lengths_is_read_by_one_and_sent_by_one() {
    let app = App::new(|mut connection| async move {
        let head = connection.head().await;
        let body = connection.until("0\r\n\r\n").await;
        let text = format!("{head}{body}").replace("\r\n", "|");
        connection.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await;
        assert_eq!(connection.rest().await, "", "nothing else was in it");
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let hidden = format!("GET /hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut client = stage.client();
    client
        .send(&format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n{hidden}"))
        .await;
    let answer = client.rest().await;
    assert_eq!(
        answer.matches("HTTP/1.1 200").count(),
        1,
        "one answer, then the connection is closed: {answer}"
    );
    assert!(
        answer.contains("transfer-encoding: chunked") && !answer.contains("content-length: 3"),
        "{answer}"
    );
    assert_eq!(app.connections(), 1);
}
