//! Sockets: who may connect, how many at a time, how long they may take, and what the kernel says of them.
//!
//! Owns: binding, accepting, TLS, timeouts, graceful ends. Owns not: routes and bodies (`wire`).

pub(crate) mod admin;
pub(crate) mod endpoints;
pub(crate) mod public;
mod taken;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::Future,
    io, panic,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::Handle,
    sync::{Notify, watch},
};
use tower::Service;
use wire::Patience;

/// Time within which a request's head must have arrived; also how long a connection may idle between two requests.
const HEAD_TIME_MAX: Duration = domain::limits::REQUEST_READ_TIME_MAX;
/// Time within which a request must be answered, its body's arrival included; of a body that nobody reads, where a handler has its own times.
pub(crate) const REQUEST_TIME_MAX: Duration = domain::limits::REQUEST_TIME_MAX;
/// Bytes of a request's head on our own listeners. Ours: a bearer token has at most 16 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long to wait before accepting again when the process has no file descriptor left.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Time within which a connection's first request must come once the server stops. Ours: it is on its way, and a stop takes less than two
/// seconds.
const FIRST_REQUEST_TIME_MAX: Duration = Duration::from_millis(500);

/// Turns true once: when the server stops.
pub(crate) type Stop = watch::Receiver<bool>;

/// A listener whose connections another runtime waits for.
pub(crate) fn moved(listener: TcpListener, runtime: &Handle) -> io::Result<TcpListener> {
    let listener = listener.into_std()?;
    let _entered = runtime.enter();
    TcpListener::from_std(listener)
}

/// Waits for it.
pub(crate) async fn stopped(stop: &mut Stop) {
    // Dropped senders are a stop, too.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Serves HTTP/1.1 on one connection until it ends, changes to another protocol, or the server stops. `stamp` puts into each request what is
/// known of the peer, and says within which time the request must be answered, unless its handler sees to that.
pub(crate) async fn serve<S, H>(
    stream: S,
    handler: H,
    mut stop: Stop,
    stamp: impl Fn(&mut Request<Incoming>) -> Option<Duration>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let patience = Patience::default();
    let (is_begun, begun) = (AtomicBool::new(false), Notify::new());
    let service = service_fn(|mut request: Request<Incoming>| {
        if !is_begun.swap(true, Ordering::Relaxed) {
            begun.notify_one();
        }
        let (time_max, patience) = (stamp(&mut request), &patience);
        let mut handler = handler.clone();
        async move {
            if is_strange(request.headers()) {
                return Ok::<_, Infallible>(last(empty(StatusCode::BAD_REQUEST)));
            }
            let (head, body) = request.into_parts();
            // Most have none, and need no box.
            let body = if body.is_end_stream() { Body::empty() } else { Body::new(body) };
            let (body, rest) = wire::body::lend(body);
            let handled = handler.call(Request::from_parts(head, body));
            Ok(answer(patience, time_max, async move {
                let response = handled.await?;
                // What nobody read must not be taken for the next request, and who still writes must hear the answer.
                let discarded = patience.within(REQUEST_TIME_MAX, rest.discard()).await;
                Ok(if discarded == Some(true) { response } else { last(response) })
            })
            .await)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(patience.clone()).header_read_timeout(HEAD_TIME_MAX);
    // A buffer may hold twice as much before the library looks at its size, so the head has a limit of its own.
    http.max_buf_size(HEAD_BYTES_MAX).max_header_size(HEAD_BYTES_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            // The library closes one on which nothing has come yet, though a first request may be on its way to who was accepted.
            let closed = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                _is_begun_or_late = tokio::time::timeout(FIRST_REQUEST_TIME_MAX, begun.notified()) => None,
            };
            match closed {
                Some(ended) => ended,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = ended {
        // Peers that hang up, send no HTTP or are too slow: theirs, not ours.
        tracing::debug!(%error, "connection ended");
    }
}

/// Is the end of a request's body told in a way that others may read otherwise (RFC 9112 section 6.1)? That is by a coding besides
/// chunks, or by chunks that are said twice: the library goes by the last word only, and knows no other coding.
fn is_strange(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
}

/// An answer behind which the connection ends.
fn last(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A handler that takes too long is given up; one that panics costs its own request only.
async fn answer(
    patience: &Patience,
    time_max: Option<Duration>,
    handler: impl Future<Output = Result<Response<Body>, Infallible>>,
) -> Response<Body> {
    let caught = caught(handler);
    let answered = match time_max {
        Some(time_max) => patience.within(time_max, caught).await,
        None => Some(caught.await),
    };
    match answered {
        Some(Some(Ok(response))) => response,
        Some(Some(Err(never))) => match never {},
        Some(None) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        // What is left of the body must not be taken for the next request.
        None => last(empty(StatusCode::REQUEST_TIMEOUT)),
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The future's output, or nothing if it panicked (the panic hook has written the message).
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        // After a panic the future is never polled again, so what it left half done is not seen.
        match panic::catch_unwind(panic::AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => {
                tracing::error!("a request's handler panicked");
                Poll::Ready(None)
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_chunks_is_understood() {
        let is_strange = |codings: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for coding in codings {
                headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static(coding));
            }
            super::is_strange(&headers)
        };
        assert!(!is_strange(&[]));
        assert!(["chunked", "Chunked", "CHUNKED"].iter().all(|one| !is_strange(&[one])));
        for strange in ["gzip, chunked", "identity, chunked", ",chunked", "chunked,", "", "chunked, chunked"]
        {
            assert!(is_strange(&[strange]), "{strange}");
        }
        assert!(is_strange(&["chunked", "chunked"]) && is_strange(&["identity", "chunked"]));
    }

    /// What a connection is answered, as long as it lasts, by somebody who reads no body and refuses all.
    async fn refused(sent: Vec<u8>) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (_stop, stopping) = watch::channel(false);
        let handler = tower::service_fn(|_unread: Request<Body>| async { Ok(empty(StatusCode::FORBIDDEN)) });
        let serving = tokio::spawn(serve(server, handler, stopping, |_| Some(REQUEST_TIME_MAX)));
        let (mut reader, mut writer) = tokio::io::split(&mut client);
        let mut answers = String::new();
        let writing = async {
            // It may be closed before all is taken.
            let _closed = writer.write_all(&sent).await;
        };
        let (_, read) = tokio::join!(writing, reader.read_to_string(&mut answers));
        drop(read);
        serving.await.unwrap();
        answers
    }

    #[tokio::test]
    async fn who_is_refused_before_the_body_is_read_can_go_on() {
        let with_body = |bytes: usize| {
            let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n");
            let next = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            [head.as_bytes(), &vec![b'x'; bytes], next].concat()
        };
        let answers = refused(with_body(300 * 1024)).await;
        assert_eq!(
            answers.matches("HTTP/1.1 403").count(),
            2,
            "the next request is answered, too: {answers}"
        );
        let answers = refused(with_body(2 * 1024 * 1024)).await;
        assert_eq!(answers.matches("HTTP/1.1 403").count(), 1, "too much is not taken: {answers}");
        assert!(answers.contains("connection: close"), "{answers}");
    }

    /// What a connection is answered that was accepted before a stop, and whose first request comes so long after it, if one comes; and for how
    /// long it was kept.
    async fn stopped_before(request: Option<Duration>) -> (String, Duration) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (stop, stopping) = watch::channel(false);
        let handler = tower::service_fn(|_any: Request<Body>| async { Ok(empty(StatusCode::NO_CONTENT)) });
        let serving = tokio::spawn(serve(server, handler, stopping, |_| Some(REQUEST_TIME_MAX)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.send_replace(true);
        let began = tokio::time::Instant::now();
        if let Some(after) = request {
            tokio::time::sleep(after).await;
            // It may be closed by then.
            let _closed = client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        serving.await.unwrap();
        (answer, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_request_that_is_on_its_way_when_the_server_stops_is_answered() {
        let (answer, kept) = stopped_before(Some(FIRST_REQUEST_TIME_MAX / 2)).await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        assert!(kept < FIRST_REQUEST_TIME_MAX, "it ends with its answer: {kept:?}");
        for late in [None, Some(2 * FIRST_REQUEST_TIME_MAX)] {
            let (answer, kept) = stopped_before(late).await;
            assert_eq!(answer, "");
            assert!(kept >= FIRST_REQUEST_TIME_MAX && kept < 3 * FIRST_REQUEST_TIME_MAX, "{kept:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_may_change_to_another_protocol() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (_stop, stopping) = watch::channel(false);
        let handler = tower::service_fn(|mut request: Request<Body>| async move {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
                tokio::io::copy(&mut read, &mut write).await.unwrap();
            });
            let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("echo"));
            Ok(response)
        });
        let serving = tokio::spawn(serve(server, handler, stopping, |_| None));
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nback and ")
            .await
            .unwrap();
        client.write_all(b"forth").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\nback and forth"),
            "{answer}"
        );
        serving.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_or_a_hang_costs_one_request() {
        let status = |response: Response<Body>| response.status().as_u16();
        let (patience, timed) = (Patience::default(), Some(REQUEST_TIME_MAX));
        assert_eq!(status(answer(&patience, timed, async { panic!("on purpose") }).await), 500);
        assert_eq!(status(answer(&patience, timed, std::future::pending()).await), 408);
        assert_eq!(status(answer(&patience, timed, async { Ok(empty(StatusCode::NO_CONTENT)) }).await), 204);
        let slow = async {
            tokio::time::sleep(10 * REQUEST_TIME_MAX).await;
            Ok(empty(StatusCode::NO_CONTENT))
        };
        assert_eq!(status(answer(&patience, None, slow).await), 204, "its handler has times of its own");
    }
}
