//! No answer of the app's: what the client is told.

use super::{App, HOST, Stage, until};
use host::{Connect, Connecting, Reach, Wanted};
use std::{sync::Arc, time::Duration};
use wire::proxy::Limits;

/// Says nothing of the inside, and is nothing that a browser runs or keeps.
fn is_told(answer: &str, status: &str, words: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains(words), "{answer}");
    assert!(answer.contains("cache-control: no-store") && answer.contains("default-src 'none'"), "{answer}");
    assert!(!answer.contains("127.0.0.1") && !answer.contains("<script"), "{answer}");
    assert!(!answer.contains("strict-transport-security") && !answer.contains("x-ms-request-id"), "{answer}");
    assert_eq!(answer.contains("retry-after: "), status == "503", "{answer}");
}

#[tokio::test]
async fn an_app_without_an_instance_says_why() {
    let stage = Stage::new().await;
    is_told(&stage.get("/").await, "404", "There is no such app here");
    stage.routes.set(&stage.web, Wanted::Nothing);
    is_told(&stage.get("/").await, "503", "Nothing is deployed to this app yet");
    stage.routes.set(&stage.web, Wanted::Starting);
    is_told(&stage.get("/").await, "503", "This app is starting");
    stage.routes.set(&stage.web, Wanted::Running);
    is_told(&stage.get("/").await, "503", "This app is not running");
    stage.routes.set(&stage.web, Wanted::Stopped);
    is_told(&stage.get("/").await, "403", "This app is stopped");
}

#[tokio::test]
async fn people_get_a_page_and_programs_a_line() {
    let stage = Stage::new().await;
    let accepting = |accept: &str| format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept: {accept}\r\n\r\n");
    let page = stage.ask(&accepting("text/html,application/xhtml+xml,*/*;q=0.8")).await;
    is_told(&page, "404", "<h1>There is no such app here</h1>");
    assert!(page.contains("content-type: text/html; charset=utf-8") && page.contains("style-src 'sha256-"));
    let line = stage.ask(&accepting("*/*")).await;
    is_told(&line, "404", "There is no such app here. Check the address.\n");
    assert!(line.contains("content-type: text/plain; charset=utf-8") && !line.contains('<'));
    let none = stage.ask(&format!("HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert!(none.starts_with("HTTP/1.1 404") && none.ends_with("\r\n\r\n"));
    let other = stage.ask("GET / HTTP/1.1\r\nHost: other.apps.keyless.localhost\r\n\r\n").await;
    is_told(&other, "404", "no such app");
}

#[tokio::test]
async fn an_answer_that_is_none() {
    for said in [
        "",
        "garbage\r\n\r\n",
        "HTTP/1.1 200\x00OK\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-",
    ] {
        let app = App::new(move |mut connection| async move {
            connection.head().await;
            connection.send(said).await;
        })
        .await;
        let stage = Stage::new().await;
        stage.add(&app);
        is_told(&stage.get("/").await, "502", "This app gave no answer");
        assert_eq!(stage.in_flight(), 0);
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_none() {
    let app = App::new(|mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\n").await;
        let line = format!("X-Long: {}\r\n", "x".repeat(1_000));
        while tokio::io::AsyncWriteExt::write_all(&mut connection.stream, line.as_bytes()).await.is_ok() {}
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    is_told(&stage.get("/").await, "502", "This app gave no answer");
}

#[tokio::test]
async fn a_head_is_as_long_as_it_may_be_and_no_longer() {
    for (length, is_told_so) in [(60_000, false), (70_000, true)] {
        let app = App::new(move |mut connection| async move {
            connection.head().await;
            let long = "x".repeat(length);
            connection
                .send(&format!("HTTP/1.1 200 OK\r\nX-Long: {long}\r\nContent-Length: 2\r\n\r\nok"))
                .await;
            connection.rest().await;
        })
        .await;
        let stage = Stage::new().await;
        stage.add(&app);
        let answer = stage.get("/").await;
        match is_told_so {
            true => is_told(&answer, "502", "This app gave no answer"),
            false => assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    for (head, is_chunked) in [("Content-Length: 100", false), ("Transfer-Encoding: chunked", true)] {
        let app = App::new(move |mut connection| async move {
            connection.head().await;
            let piece = if is_chunked { "5\r\nsome \r\n" } else { "some " };
            connection.send(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{piece}")).await;
        })
        .await;
        let stage = Stage::new().await;
        stage.add(&app);
        let answer = stage.get("/").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("some "), "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n") && answer.len() < 200, "{answer}");
        until("the lease", || stage.in_flight() == 0).await;
    }
}

#[tokio::test]
async fn an_app_that_never_answers_is_given_up_but_not_one_that_still_takes_the_request() {
    let app = App::new(|mut connection| async move {
        connection.until("the end").await;
        connection.rest().await;
    })
    .await;
    let limits = Limits { answer_time: Duration::from_millis(1_000), ..Limits::default() };
    let stage = Stage::within(limits).await;
    stage.add(&app);
    let mut client = stage.client();
    let began = std::time::Instant::now();
    client
        .send(&format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 13\r\nConnection: close\r\n\r\n"))
        .await;
    for piece in ["one ", "t", "wo ", "th", "e e", "nd"] {
        client.send(piece).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    is_told(&client.rest().await, "504", "This app took too long");
    assert!(began.elapsed() > Duration::from_millis(2_000), "{:?}", began.elapsed());
    assert_eq!(stage.in_flight(), 0);
}

#[tokio::test]
async fn an_instance_with_all_that_it_can_have_is_busy() {
    let app = App::new(|mut connection| async move {
        connection.head().await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        connection.rest().await;
    })
    .await;
    let limits = Limits { connections: 1, connect_time: Duration::from_millis(200), ..Limits::default() };
    let stage = Stage::within(limits).await;
    stage.add(&app);
    let (first, second) = tokio::join!(stage.get("/"), async {
        until("the first", || stage.in_flight() == 1).await;
        stage.get("/").await
    });
    assert!(first.ends_with("ok"), "{first}");
    is_told(&second, "503", "This app is busy");
    // The place is kept by a connection that waits for another request; whoever needs a new one gets it.
    let post = stage.ask(&format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n")).await;
    assert!(post.ends_with("ok"), "{post}");
}

#[tokio::test]
async fn a_tunnel_to_anywhere_is_not_dug() {
    let app = App::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let stage = Stage::new().await;
    stage.add(&app);
    let answer = stage.ask(&format!("CONNECT {HOST} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    is_told(&answer, "405", "not possible");
    assert_eq!(app.connections(), 0);
}

/// One connection to the instance at a time.
fn one_place(answer_time: Duration) -> Limits {
    Limits { connections: 1, connect_time: Duration::from_secs(5), answer_time, ..Limits::default() }
}

#[tokio::test]
async fn whoever_waits_for_a_place_gets_the_one_of_whom_is_done() {
    let (open, opened) = tokio::sync::watch::channel(false);
    let app = App::new(move |mut connection| {
        let mut opened = opened.clone();
        async move {
            connection.head().await;
            drop(opened.wait_for(|opened| *opened).await.unwrap());
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            // A connection that is kept open, and would do for another request.
            connection.rest().await;
        }
    })
    .await;
    let stage = Stage::within(one_place(Duration::from_secs(10))).await;
    stage.add(&app);
    let opening = async {
        until("both, by one connection", || stage.in_flight() == 2 && app.connections() == 1).await;
        open.send(true).unwrap();
    };
    let (first, second, ()) = tokio::join!(stage.get("/"), stage.get("/"), opening);
    assert!(first.ends_with("ok") && second.ends_with("ok"), "{first}\n{second}");
    assert_eq!(app.connections(), 2);
}

#[tokio::test]
async fn a_client_that_stalls_after_an_early_answer_is_cut_off_and_its_place_is_free() {
    let app = App::new(|mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        connection.rest().await;
    })
    .await;
    let stage = Stage::within(one_place(Duration::from_millis(1_500))).await;
    stage.add(&app);
    let mut stalled = stage.client();
    let began = std::time::Instant::now();
    stalled.send(&format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nhalf")).await;
    assert!(stalled.until("ok").await.starts_with("HTTP/1.1 200"));
    until("the lease", || stage.in_flight() == 0).await;
    let waiting = async {
        until("the next one", || stage.in_flight() == 1).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Half a body is under way: the app has that connection still.
        assert_eq!(app.connections(), 1);
    };
    let (next, ()) = tokio::join!(stage.get("/"), waiting);
    assert!(next.ends_with("ok"), "{next}");
    assert!(began.elapsed() >= Duration::from_millis(1_400), "{:?}", began.elapsed());
    assert_eq!(app.connections(), 2);
    assert_eq!(stalled.rest().await, "", "the client is cut off, too");
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_no_place_taken() {
    let app = App::new(|mut connection| async move {
        if connection.head().await.contains("GET /fine") {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
        connection.rest().await;
    })
    .await;
    let stage = Stage::within(one_place(Duration::from_millis(300))).await;
    stage.add(&app);
    for given_up in ["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 10\r\n"] {
        let mut client = stage.client();
        client.send(&format!("{given_up}Host: {HOST}\r\nConnection: close\r\n\r\n")).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 504") || answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert_eq!(stage.in_flight(), 0);
        let next = stage.get("/fine").await;
        assert!(next.ends_with("ok"), "{next}");
    }
}

#[tokio::test]
async fn a_connection_that_nobody_uses_makes_way() {
    let (open, opened) = tokio::sync::watch::channel(false);
    let app = App::new(move |mut connection| {
        let mut opened = opened.clone();
        async move {
            loop {
                let head = connection.head().await;
                if head.contains("/slow") {
                    drop(opened.wait_for(|opened| *opened).await.unwrap());
                }
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                if connection.stream.readable().await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let limits = Limits { connections: 2, ..one_place(Duration::from_secs(10)) };
    let stage = Stage::within(limits).await;
    stage.add(&app);
    // One is kept, the other at work; what must not be sent on a kept one needs a third.
    assert!(stage.get("/").await.ends_with("ok"));
    let post = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n");
    let third = async {
        until("the second", || stage.in_flight() == 1 && app.connections() == 2).await;
        let answer = stage.ask(&post("/")).await;
        open.send(true).unwrap();
        answer
    };
    let slow = post("/slow");
    let (second, third) = tokio::join!(stage.ask(&slow), third);
    assert!(second.ends_with("ok") && third.ends_with("ok"), "{second}\n{third}");
    assert_eq!(app.connections(), 3);
}

/// A way that leads nowhere: no connection, and no word that there is none.
struct Nowhere;

impl Connect for Nowhere {
    fn connect(&self) -> Connecting {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn an_instance_that_neither_takes_a_connection_nor_refuses_it_is_given_up() {
    let limits = Limits { connect_time: Duration::from_millis(200), ..Limits::default() };
    let stage = Stage::within(limits).await;
    stage.routes.add(&stage.web, Reach::By(Arc::new(Nowhere)));
    is_told(&stage.get("/").await, "502", "This app gave no answer");
    assert_eq!(stage.in_flight(), 0);
    // With another one beside it nobody is told.
    let app = App::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    stage.add(&app);
    for _ in 0..3 {
        assert!(stage.get("/").await.ends_with("ok"));
    }
}
