//! What is sent a second time, and what is not.

use super::{App, HOST, Stage, until};
use host::Reach;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers so many requests of each connection, reads one more, and hangs up without a word. Counts requests that it saw.
async fn answering(count: usize) -> (App, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let app = App::new(move |mut connection| {
        let counted = counted.clone();
        async move {
            for _ in 0..count {
                connection.head().await;
                counted.fetch_add(1, Ordering::SeqCst);
                connection.send(FINE).await;
            }
            connection.head().await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (app.await, seen)
}

fn nobody() -> Reach {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Reach::At(listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let app = App::saying(FINE).await;
    let stage = Stage::new().await;
    stage.add(&app);
    for _ in 0..5 {
        assert!(stage.get("/").await.ends_with("ok"));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_is_hung_up_costs_nobody_an_answer() {
    for (method, expected) in [("GET", 1 + 2), ("DELETE", 1 + 2), ("OPTIONS", 1 + 2)] {
        let (app, seen) = answering(1).await;
        let stage = Stage::new().await;
        stage.add(&app);
        assert!(stage.get("/").await.ends_with("ok"));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let again = stage.ask(&format!("{method} / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
        assert!(again.ends_with("ok"), "{method}: {again}");
        assert_eq!((seen.load(Ordering::SeqCst), app.connections()), (expected, 2), "{method}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_twice_is_not_sent_on_a_kept_connection() {
    for request in [
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (app, seen) = answering(1).await;
        let stage = Stage::new().await;
        stage.add(&app);
        for number in 1..=3 {
            let answer = stage.ask(&request.replace("{HOST}", HOST)).await;
            assert!(answer.ends_with("ok"), "{answer}");
            assert_eq!((seen.load(Ordering::SeqCst), app.connections()), (number, number));
        }
    }
    // One with a body, by a method that may be repeated.
    let app = App::new(|mut connection| async move {
        connection.until("body").await;
        connection.send(FINE).await;
        // A second one on this connection is not answered.
        connection.rest().await;
    })
    .await;
    let stage = Stage::new().await;
    stage.add(&app);
    for _ in 0..2 {
        let mut client = stage.client();
        client
            .send(&format!(
                "PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
            ))
            .await;
        assert!(client.rest().await.ends_with("ok"));
    }
    assert_eq!(app.connections(), 2);
}

#[tokio::test]
async fn an_app_that_hangs_up_on_a_fresh_connection_is_asked_once() {
    let (app, seen) = answering(0).await;
    let stage = Stage::new().await;
    stage.add(&app);
    let answer = stage.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_instance_that_takes_no_connection_is_left_out_whatever_the_request() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = bodies.clone();
    let app = App::new(move |mut connection| {
        let kept = kept.clone();
        async move {
            connection.head().await;
            let body = connection.until("end").await;
            kept.lock().unwrap().push(body);
            connection.send(FINE).await;
        }
    })
    .await;
    let stage = Stage::new().await;
    let gone = stage.routes.add(&stage.web, nobody());
    stage.add(&app);
    for _ in 0..4 {
        let mut client = stage.client();
        client
            .send(&format!(
                "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 7\r\nConnection: close\r\n\r\nthe end"
            ))
            .await;
        assert!(client.rest().await.ends_with("ok"));
    }
    assert_eq!(*bodies.lock().unwrap(), vec!["the end"; 4]);
    // With that one alone there is no answer.
    stage.routes.remove(&stage.web, gone);
    let stage = Stage::new().await;
    stage.routes.add(&stage.web, nobody());
    assert!(stage.get("/").await.starts_with("HTTP/1.1 502"));
}

#[tokio::test]
async fn requests_that_never_stop_outlive_a_redeployment() {
    let stage = Arc::new(Stage::new().await);
    let old = App::saying("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold").await;
    let key = stage.add(&old);
    let (asked, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let asking: Vec<_> = (0..8)
        .map(|number| {
            let (stage, asked, stop) = (stage.clone(), asked.clone(), stop.clone());
            tokio::spawn(async move {
                let mut news = 0;
                while stop.load(Ordering::SeqCst) == 0 {
                    let request = match number % 2 {
                        0 => format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
                        _ => format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"),
                    };
                    let answer = stage.ask(&request).await;
                    assert!(answer.ends_with("old") || answer.ends_with("new"), "{answer}");
                    news += usize::from(answer.ends_with("new"));
                    asked.fetch_add(1, Ordering::SeqCst);
                }
                news
            })
        })
        .collect();
    until("answers", || asked.load(Ordering::SeqCst) > 50).await;
    let new = App::saying("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew").await;
    stage.add(&new);
    tokio::time::timeout(super::PATIENCE, stage.routes.drain(&stage.web, key)).await.unwrap();
    stage.routes.remove(&stage.web, key);
    drop(old);
    let before = asked.load(Ordering::SeqCst);
    until("more answers", || asked.load(Ordering::SeqCst) > before + 50).await;
    stop.store(1, Ordering::SeqCst);
    for one in asking {
        assert!(one.await.unwrap() > 0);
    }
}
