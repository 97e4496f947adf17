//! A log that is followed: for as long as who follows may, which is asked again and again, and for no longer than a limit.

use axum::body::{Body, Bytes, HttpBody};
use domain::limits;
use hyper::body::Frame;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};

/// Whether who follows still may.
type Asked = Pin<Box<dyn Future<Output = bool> + Send>>;

/// A body that ends once who reads it may not any more.
pub(super) struct Followed<A> {
    body: Body,
    ask: A,
    asked: Option<Asked>,
    again: Interval,
    over: Pin<Box<Sleep>>,
    is_over: bool,
}

impl<A: Fn() -> Asked> Followed<A> {
    /// A log of which `ask` says whether it may be followed.
    pub(super) fn new(body: Body, ask: A) -> Self {
        let mut again = tokio::time::interval_at(
            Instant::now() + limits::FOLLOWED_LOG_ASKS_EVERY,
            limits::FOLLOWED_LOG_ASKS_EVERY,
        );
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let over = Box::pin(tokio::time::sleep(limits::FOLLOWED_LOG_TIME_MAX));
        Self { body, ask, asked: None, again, over, is_over: false }
    }
}

impl<A: Fn() -> Asked + Send + Unpin + 'static> HttpBody for Followed<A> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.over.as_mut().poll(context).is_ready() {
            this.is_over = true;
        }
        if this.asked.is_none() && this.again.poll_tick(context).is_ready() {
            this.asked = Some((this.ask)());
        }
        if let Some(asked) = &mut this.asked {
            match asked.as_mut().poll(context) {
                Poll::Ready(may) => {
                    this.asked = None;
                    this.is_over |= !may;
                    // The next time is waited for from here on, however long the answer took.
                    this.again.reset();
                    let _waits = this.again.poll_tick(context);
                }
                // What comes meanwhile may be for somebody who may not any more.
                Poll::Pending if !this.is_over => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        if this.is_over {
            return Poll::Ready(None);
        }
        Pin::new(&mut this.body).poll_frame(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    /// A log to which nothing is added.
    struct Silent;

    impl HttpBody for Silent {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Pending
        }
    }

    /// A log to which a line is added whenever somebody looks.
    struct Talking;

    impl HttpBody for Talking {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a line\n")))))
        }
    }

    /// The first answer takes twice the time between two questions, and all others are no.
    fn slow_once() -> impl Fn() -> Asked + Send + Unpin + 'static {
        let asked = Arc::new(AtomicUsize::new(0));
        move || {
            let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            Box::pin(async move {
                if is_first {
                    tokio::time::sleep(limits::FOLLOWED_LOG_ASKS_EVERY * 2).await;
                }
                is_first
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_long_is_not_the_last() {
        let mut followed = Followed::new(Body::new(Silent), slow_once());
        let began = Instant::now();
        assert!(followed.frame().await.is_none());
        assert!(began.elapsed() <= limits::FOLLOWED_LOG_ASKS_EVERY * 5, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn no_line_is_told_before_the_answer() {
        let mut followed = Followed::new(Body::new(Talking), slow_once());
        let every = limits::FOLLOWED_LOG_ASKS_EVERY;
        assert!(followed.frame().await.is_some());
        tokio::time::advance(every).await;
        assert!(tokio::time::timeout(every, followed.frame()).await.is_err(), "it has not been answered");
        assert!(tokio::time::timeout(every * 2, followed.frame()).await.unwrap().is_some());
        tokio::time::advance(every).await;
        assert!(followed.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_right_to_follow_and_at_its_time() {
        for is_taken_away in [true, false] {
            let may = Arc::new(AtomicBool::new(true));
            let ask = {
                let may = may.clone();
                move || -> Asked {
                    let may = may.load(Ordering::SeqCst);
                    Box::pin(async move { may })
                }
            };
            let mut followed = Followed::new(Body::new(Silent), ask);
            let began = Instant::now();
            let later = limits::FOLLOWED_LOG_ASKS_EVERY * 3;
            assert!(tokio::time::timeout(later, followed.frame()).await.is_err(), "it goes on");
            may.store(!is_taken_away, Ordering::SeqCst);
            assert!(followed.frame().await.is_none());
            let took = began.elapsed();
            let most = if is_taken_away { later * 2 } else { limits::FOLLOWED_LOG_TIME_MAX };
            assert!(took <= most && (is_taken_away || took == most), "{took:?}");
        }
    }
}
