//! Request bodies, read whole up to a limit. What is over it is still taken from the client, in bounds, and thrown away: who is refused
//! while writing gets a broken connection instead of the refusal.

use axum::body::{Body, Bytes, HttpBody as _};
use domain::limits;
use http_body_util::BodyExt as _;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        convert::Infallible,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll},
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
}
