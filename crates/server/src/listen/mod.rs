//! Sockets: who may connect, how many at a time, how long they may take, and what the kernel says of them.
//!
//! Owns: binding, accepting, TLS, timeouts, graceful ends. Owns not: routes and bodies (`wire`).

pub(crate) mod admin;
pub(crate) mod endpoints;
pub(crate) mod public;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, panic, pin::pin, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tower::Service;

/// Time within which a request's head must have arrived; also how long a connection may idle between two requests.
const HEAD_TIME_MAX: Duration = domain::limits::REQUEST_READ_TIME_MAX;
/// Time within which a request must be answered, its body's arrival included.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of a request's head on our own listeners. Ours: a bearer token has at most 16 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long to wait before accepting again when the process has no file descriptor left.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Turns true once: when the server stops.
pub(crate) type Stop = watch::Receiver<bool>;

/// Waits for it.
pub(crate) async fn stopped(stop: &mut Stop) {
    // Dropped senders are a stop, too.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Serves HTTP/1.1 on one connection until it ends or the server stops. `stamp` puts into each request what is known of the peer.
pub(crate) async fn serve<S, H>(stream: S, handler: H, mut stop: Stop, stamp: impl Fn(&mut Request<Incoming>))
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let service = service_fn(|mut request: Request<Incoming>| {
        stamp(&mut request);
        let mut handler = handler.clone();
        async move { Ok::<_, Infallible>(answer(handler.call(request)).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Peers that hang up, send no HTTP or are too slow: theirs, not ours.
        tracing::debug!(%error, "connection ended");
    }
}

/// A handler that takes too long is given up; one that panics costs its own request only.
async fn answer(handler: impl Future<Output = Result<Response<Body>, Infallible>>) -> Response<Body> {
    match tokio::time::timeout(REQUEST_TIME_MAX, caught(handler)).await {
        Ok(Some(Ok(response))) => response,
        Ok(Some(Err(never))) => match never {},
        Ok(None) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        Err(_) => {
            let mut response = empty(StatusCode::REQUEST_TIMEOUT);
            // What is left of the body must not be taken for the next request.
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            response
        }
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

    #[tokio::test(start_paused = true)]
    async fn a_panic_or_a_hang_costs_one_request() {
        let status = |response: Response<Body>| response.status().as_u16();
        assert_eq!(status(answer(async { panic!("on purpose") }).await), 500);
        assert_eq!(status(answer(std::future::pending()).await), 408);
        assert_eq!(status(answer(async { Ok(empty(StatusCode::NO_CONTENT)) }).await), 204);
    }
}
