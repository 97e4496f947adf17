//! A stream whose peer must take what is written to it: one that takes nothing for a time is gone, and its place is another's.
//!
//! Without it a client that sends requests and reads no answer holds its connection for as long as it likes: the kernel's buffers fill up,
//! and the answer waits where no other limit looks.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// The stream.
pub(crate) struct Taken<S> {
    stream: S,
    time_max: Duration,
    /// Runs while the peer takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    /// Whoever takes nothing for so long is gone.
    pub(crate) const fn within(time_max: Duration, stream: S) -> Self {
        Self { stream, time_max, waiting: None }
    }

    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let time_max = self.time_max;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(time_max)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const TIME_MAX: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn a_peer_who_takes_nothing_is_given_up() {
        let (server, _client) = tokio::io::duplex(16);
        let mut server = Taken::within(TIME_MAX, server);
        let began = tokio::time::Instant::now();
        let error = server.write_all(&[0; 17]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_who_takes_a_little_now_and_then_is_waited_for() {
        let (server, mut client) = tokio::io::duplex(16);
        let mut server = Taken::within(TIME_MAX, server);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            for _ in 0..10 {
                tokio::time::sleep(TIME_MAX - Duration::from_secs(1)).await;
                let mut some = [0; 8];
                let length = client.read(&mut some).await.unwrap();
                all.extend_from_slice(&some[..length]);
            }
            all
        });
        server.write_all(&[7; 64]).await.unwrap();
        drop(server);
        assert_eq!(reading.await.unwrap(), [7; 64]);
    }
}
