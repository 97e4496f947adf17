//! Listeners that nobody outside of this machine can reach.

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::fd::AsFd,
};

/// Connections that wait to be accepted. Ours: an app opens few at a time.
const BACKLOG: i32 = 256;

/// A non-blocking listener on 127.0.0.1, bound to the loopback device where that is permitted, so that no route from outside leads
/// to it even if the host routes 127.0.0.0/8 (`route_localnet`). Port 0 is any free one.
///
/// # Errors
/// As binding a socket: the port may be taken.
pub fn listen_loopback(port: u16) -> io::Result<TcpListener> {
    listen(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// The same on any address of the loopback device.
pub(crate) fn listen(address: SocketAddrV4) -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    // A resumed endpoint must get its port back while old connections linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Not permitted to everybody on every kernel; the listener's address is loopback in any case.
    let _unbound = crate::sys::bind_to_device(socket.as_fd(), c"lo");
    bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}
