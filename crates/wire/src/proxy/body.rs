//! Bodies on their way: each tells when it moves, and an answer's body gives back what its request has held.

use super::{
    connection::{Connection, Pool},
    pulse::Pulse,
};
use axum::body::{Body, Bytes, HttpBody};
use host::Lease;
use hyper::body::{Frame, Incoming, SizeHint};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// A request's body. Each piece that the app takes is a beat. It breaks off if its client keeps the app waiting, also once the answer has begun.
pub(super) struct Sent {
    body: Body,
    pulse: Arc<Pulse>,
    stall_time: Duration,
    /// Until when the next piece must be there; set while the app waits for it.
    due: Option<Pin<Box<Sleep>>>,
}

impl Sent {
    pub(super) fn new(body: Body, pulse: Arc<Pulse>, stall_time: Duration) -> Self {
        Self { body, pulse, stall_time, due: None }
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.pulse.beat();
            self.due = None;
            return polled;
        }
        let stall_time = self.stall_time;
        let due = self.due.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_time)));
        match due.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(axum::Error::new("the client sends no more")))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. At its end the connection is kept for another request; if nobody reads it to its end, the connection ends.
pub(super) struct Answered {
    body: Incoming,
    held: Option<Held>,
}

/// What a request holds until it is answered.
pub(super) struct Held {
    pub(super) connection: Connection,
    pub(super) pool: Arc<Pool>,
    pub(super) lease: Lease,
}

impl Answered {
    pub(super) fn new(body: Incoming, held: Held) -> Self {
        let mut answered = Self { body, held: Some(held) };
        answered.give_back_at_end();
        answered
    }

    fn give_back_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(Held { connection, pool, lease }) = self.held.take() {
            pool.keep(connection);
            drop(lease);
        }
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Ok(_))) => self.give_back_at_end(),
            Poll::Ready(Some(Err(_))) => drop(self.held.take()),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
