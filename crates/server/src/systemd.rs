//! What systemd and a service agree on: sockets that are open already (`LISTEN_FDS`, sd_listen_fds(3)), and "ready" (`NOTIFY_SOCKET`,
//! sd_notify(3)). Without systemd all of it is nothing.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// The sockets that were passed to us, listening on TCP. Others are refused: they were meant for something else.
///
/// # Errors
/// One is no TCP socket.
pub(crate) fn listeners() -> io::Result<Vec<std::net::TcpListener>> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::with_capacity(passed.len());
    for place in 0..passed.len() {
        if let Some(listener) = passed.take_tcp_listener(place)? {
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

/// Tells systemd how far we are, if it listens.
#[expect(
    clippy::disallowed_methods,
    reason = "systemd speaks to its services by a variable; it is no setting"
)]
pub fn notify(state: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let sent = || {
        let bytes = place.as_encoded_bytes();
        let address = match bytes.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&place)?,
        };
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)
    };
    if let Err(error) = sent() {
        tracing::warn!(%error, "systemd cannot be told how far we are");
    }
}
