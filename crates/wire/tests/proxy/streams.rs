//! Bodies go through piece by piece, no faster than they are taken.

use super::{App, HOST, Stage, until};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// More than all buffers on the way hold together.
const MUCH: usize = 32 * 1024 * 1024;

#[tokio::test]
async fn each_side_gets_a_piece_before_the_next_is_sent() {
    let app = App::new(|mut connection| async move {
        connection.head().await;
        connection.until("1\r\na\r\n").await;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n").await;
        connection.until("1\r\nb\r\n").await;
        connection.send("1\r\nB\r\n").await;
        connection.until("0\r\n\r\n").await;
        connection.send("0\r\n\r\n").await;
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    client
        .send(&format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"))
        .await;
    client.until("1\r\nA\r\n").await;
    assert_eq!(stage.in_flight(), 1);
    client.send("1\r\nb\r\n").await;
    client.until("1\r\nB\r\n").await;
    client.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
    until("the lease", || stage.in_flight() == 0).await;
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let app = App::new(|mut connection| async move {
        let head = connection.head().await;
        assert!(head.contains("te: trailers") && head.contains("trailer: X-Sum"), "{head}");
        let body = connection.until("\r\n\r\n").await;
        assert!(body.to_ascii_lowercase().ends_with("0\r\nx-sum: 7\r\n\r\n"), "{body:?}");
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Back\r\n\r\n1\r\nx\r\n0\r\nX-Back: 8\r\n\r\n").await;
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nConnection: te\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n"
        ))
        .await;
    client.head().await;
    let body = client.until("\r\n\r\n").await;
    assert!(body.to_ascii_lowercase().ends_with("0\r\nx-back: 8\r\n\r\n"), "{body:?}");
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let app = App::new(|mut connection| async move {
        let head = connection.head().await;
        assert!(!head.contains("expect") && head.contains("content-length: 4"), "{head}");
        connection.until("body").await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    client
        .send(&format!("PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"))
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_is_not_asked_where_nobody_answers() {
    let stage = Stage::new().await;
    let mut client = stage.client();
    client
        .send(&format!("PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"))
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn an_app_is_no_faster_than_its_client() {
    let written = Arc::new(AtomicUsize::new(0));
    let counted = written.clone();
    let app = App::new(move |mut connection| {
        let counted = counted.clone();
        async move {
            connection.head().await;
            connection.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n")).await;
            let piece = vec![b'x'; 64 * 1024];
            while counted.load(Ordering::SeqCst) < MUCH {
                let Ok(()) = connection.stream.write_all(&piece).await else { return };
                counted.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await;
    client.head().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = written.load(Ordering::SeqCst);
    assert!(before < MUCH / 2, "{before} bytes were taken for a client that reads nothing");
    let mut length = client.left.len();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match client.stream.read(&mut buffer).await.unwrap() {
            0 => break,
            more => length += more,
        }
    }
    assert_eq!(length, MUCH);
}

#[tokio::test]
async fn a_client_is_no_faster_than_its_app() {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = Arc::new(tokio::sync::Mutex::new(Some(gone)));
    let app = App::new(move |mut connection| {
        let gone = gone.clone();
        async move {
            connection.head().await;
            gone.lock().await.take().unwrap().await.unwrap();
            let mut length = connection.left.len();
            let mut buffer = vec![0; 256 * 1024];
            while length < MUCH {
                length += connection.stream.read(&mut buffer).await.unwrap();
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    client.send(&format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {MUCH}\r\n\r\n")).await;
    let (mut read, mut write) = tokio::io::split(client.stream);
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let sending = tokio::spawn(async move {
        let piece = vec![b'x'; 64 * 1024];
        while counted.load(Ordering::SeqCst) < MUCH {
            write.write_all(&piece).await.unwrap();
            counted.fetch_add(piece.len(), Ordering::SeqCst);
        }
        write
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = sent.load(Ordering::SeqCst);
    assert!(before < MUCH / 2, "{before} bytes were taken for an app that reads nothing");
    go.send(()).unwrap();
    let mut answer = [0; 12];
    read.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    let over = Arc::new(std::sync::Mutex::new(Some(over)));
    let app = App::new(move |mut connection| {
        let over = over.clone();
        async move {
            connection.head().await;
            assert_eq!(connection.rest().await, "");
            over.lock().unwrap().take().unwrap().send(()).unwrap();
        }
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    let mut client = stage.client();
    client.send(&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    until("the request", || stage.in_flight() == 1).await;
    drop(client);
    is_over.await.unwrap();
    until("the lease", || stage.in_flight() == 0).await;
}
