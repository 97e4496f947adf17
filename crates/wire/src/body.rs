//! Request bodies, read whole up to a limit. What is over it, or what nobody wanted to read, is still taken from the client, in bounds, and
//! thrown away: who is refused while writing gets a broken connection instead of the refusal, and the next request finds it closed.

use axum::body::{Body, Bytes, HttpBody};
use domain::limits;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

/// Why there is no whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// It is longer than it may be.
    TooLarge,
    /// It ended early.
    Incomplete,
}

/// The whole body, of at most so many bytes.
pub(crate) async fn whole(mut body: Body, bytes_max: usize) -> Result<Bytes, BodyFault> {
    let fits = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| bytes <= bytes_max);
    if body.size_hint().upper().is_some_and(fits) {
        return axum::body::to_bytes(body, bytes_max).await.map_err(|_| BodyFault::Incomplete);
    }
    // Its length was not said, or is too much.
    let (mut taken, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyFault::Incomplete)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= bytes_max {
            taken.extend_from_slice(&data);
        } else if length - bytes_max > limits::DISCARDED_BODY_BYTES_MAX {
            break;
        }
    }
    if length > bytes_max { Err(BodyFault::TooLarge) } else { Ok(taken.into()) }
}

/// A body that is given back by whoever drops it before its end.
struct Lent {
    body: Body,
    /// Bytes that were read.
    taken: usize,
    left: Arc<Mutex<Option<Left>>>,
}

/// A body, and the bytes that were read of it.
type Left = (Body, usize);

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.taken = self.taken.saturating_add(frame.data_ref().map_or(0, Bytes::len));
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

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            let left = (std::mem::take(&mut self.body), self.taken);
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }
}

/// What may be left of a body once its request is answered.
#[must_use]
pub struct Rest(Option<Arc<Mutex<Option<Left>>>>);

/// Lets a body be read by somebody who may not read it to its end.
pub fn lend(body: Body) -> (Body, Rest) {
    if body.is_end_stream() {
        return (body, Rest(None));
    }
    let left = Arc::new(Mutex::new(None));
    (Body::new(Lent { body, taken: 0, left: left.clone() }), Rest(Some(left)))
}

impl Rest {
    /// Takes the rest, if all of the body is within [`limits::DISCARDED_BODY_BYTES_MAX`]. Is the connection good for another request? The time
    /// that it takes is the client's: whoever waits has a limit.
    pub async fn discard(self) -> bool {
        let Some(left) = self.0 else { return true };
        let left = left.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut body, mut length)) = left else { return true };
        while length <= limits::DISCARDED_BODY_BYTES_MAX {
            match body.frame().await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => length = length.saturating_add(frame.data_ref().map_or(0, Bytes::len)),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    /// A body of unsaid length, in pieces of 1 KiB: how many are left, and how many were taken.
    struct Pieces(usize, Arc<AtomicUsize>);

    impl axum::body::HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            if self.0 == 0 {
                return Poll::Ready(None);
            }
            self.0 -= 1;
            self.1.fetch_add(1, Ordering::SeqCst);
            Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[b'x'; 1024])))))
        }
    }

    fn pieces(count: usize) -> (Body, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        (Body::new(Pieces(count, taken.clone())), taken)
    }

    #[tokio::test]
    async fn what_is_over_the_limit_is_taken_in_bounds_and_refused() {
        assert_eq!(whole(Body::from("abc"), 3).await.unwrap(), "abc");
        assert_eq!(whole(Body::from("abcd"), 3).await, Err(BodyFault::TooLarge));
        let (body, taken) = pieces(4);
        assert_eq!(whole(body, 4096).await.unwrap().len(), 4096);
        assert_eq!(taken.load(Ordering::SeqCst), 4);
        let (body, taken) = pieces(300);
        assert_eq!(whole(body, 4096).await, Err(BodyFault::TooLarge));
        assert_eq!(taken.load(Ordering::SeqCst), 300, "to its end");
        let (body, taken) = pieces(1_000_000);
        assert_eq!(whole(body, 4096).await, Err(BodyFault::TooLarge));
        assert!(taken.load(Ordering::SeqCst) * 1024 < limits::DISCARDED_BODY_BYTES_MAX + 8192);
    }

    #[tokio::test]
    async fn what_nobody_reads_is_taken_in_bounds() {
        let (body, rest) = lend(Body::empty());
        drop(body);
        assert!(rest.discard().await);
        for (count, is_good) in [(300, true), (1_000_000, false)] {
            let (body, taken) = pieces(count);
            let (mut lent, rest) = lend(body);
            assert!(lent.frame().await.is_some(), "some of it may be read");
            drop(lent);
            assert_eq!(rest.discard().await, is_good);
            let taken = taken.load(Ordering::SeqCst);
            assert!(taken == count || !is_good && taken * 1024 < limits::DISCARDED_BODY_BYTES_MAX + 8192);
        }
        let (body, taken) = pieces(3);
        let (lent, rest) = lend(body);
        assert_eq!(whole(lent, 4096).await.unwrap().len(), 3072);
        assert!(rest.discard().await && taken.load(Ordering::SeqCst) == 3, "read to its end");
    }
}
