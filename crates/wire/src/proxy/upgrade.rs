//! Connections that are no HTTP any more, such as WebSockets: bytes go through in both directions until one side is done.

use super::pulse::Pulse;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time,
};

/// How long the other side may still send when one is done. Ours: time for a last word.
const LAST_WORD_TIME: Duration = Duration::from_secs(5);

/// Passes bytes through once both sides have changed the protocol. Whoever runs it holds the
/// instance's lease as long, so that draining waits for it.
pub(super) async fn tunnel(client: OnUpgrade, app: OnUpgrade, idle_time: Duration) {
    // A client that never comes for it is not waited for: the answer that it asked for ends with its connection.
    let both = async { Ok::<_, hyper::Error>((client.await?, app.await?)) };
    let Ok(Ok((client, app))) = time::timeout(idle_time, both).await else { return };
    let pulse = Arc::new(Pulse::new());
    let watched = |stream| Watched { stream: TokioIo::new(stream), pulse: pulse.clone() };
    let (client_read, client_write) = tokio::io::split(watched(client));
    let (app_read, app_write) = tokio::io::split(watched(app));
    let passing = async {
        let (mut up, mut down) =
            (Box::pin(pass(client_read, app_write)), Box::pin(pass(app_read, client_write)));
        // Whoever is done first has said so to the other one, who may say the rest.
        tokio::select! {
            () = &mut up => drop(time::timeout(LAST_WORD_TIME, down).await),
            () = &mut down => drop(time::timeout(LAST_WORD_TIME, up).await),
        }
    };
    tokio::select! {
        () = passing => {}
        () = pulse.still_for(idle_time) => {}
    }
}

/// From one to the other until the end, which the other is told.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    // Broken or done is the same here.
    let _bytes = tokio::io::copy(&mut from, &mut to).await;
    let _told = to.shutdown().await;
}

/// A stream that tells when bytes come.
struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.pulse.beat();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
