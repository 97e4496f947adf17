//! Bodies on their way: each tells when it moves, and an answer's body gives back what its request has held.

use super::{
    connection::{Connection, Pool},
    pulse::Pulse,
};
use axum::body::{Body, Bytes, HttpBody};
use host::Lease;
use hyper::body::{Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A request's body. Each piece that the app takes is a beat.
pub(super) struct Sent {
    pub(super) body: Body,
    pub(super) pulse: Arc<Pulse>,
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
