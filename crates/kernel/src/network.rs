//! An app's network namespace: addresses that only processes in it can reach, with our listeners on them (`network_namespaces(7)`).
//!
//! A socket belongs for life to the namespace of the thread that made it. So a thread that makes sockets in another namespace is one of
//! our own that does nothing else and ends: a thread of a runtime that went elsewhere would make sockets of others there.
//!
//! In the namespace there is the loopback device only, and on it, if that is wanted, the address of Azure's instance metadata: no route
//! leads to the real one of the machine. Owns not: what is served there, nor ways out to other machines.

use crate::{
    Attestor, KernelError, Process,
    listen::listen,
    outpost::{Outpost, UserNamespace},
    route, sys,
};
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Where Azure's instance metadata service is, for every program on every machine there.
pub const METADATA: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80);

/// The first port that an ordinary user's program may listen on (`ip(7)`). Each network namespace has its own, and a new one the kernel's default,
/// 1024, whatever others have: by this path a thread sees that of its own namespace.
const PORT_START: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// On what we listen in a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPorts {
    /// Ports of 127.0.0.1; 0 is any free one.
    pub loopback: Vec<u16>,
    /// [`METADATA`] too.
    pub metadata: bool,
}

/// An app's network with our listeners in it. It is there as long as this, or a process in it.
pub struct Network {
    /// For [`crate::Program::network`], and to reach the app.
    pub namespace: Namespace,
    /// Non-blocking, in the order of [`NetworkPorts`]: the loopback ports, then the metadata address.
    pub listeners: Vec<TcpListener>,
    /// Names the peers of connections to these listeners; those of other namespaces it does not know.
    pub attestor: Attestor,
}

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    file: OwnedFd,
    /// The user namespace that a program enters before, if it is not ours.
    users: Option<OwnedFd>,
    /// Who makes our sockets there, where we may not go ourselves. Another one once it does not answer as it should.
    outpost: Option<Mutex<Arc<Outpost>>>,
}

impl Network {
    /// Makes a namespace and listens in it. Takes about a millisecond; needs root.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn create(ports: &NetworkPorts) -> Result<Self, KernelError> {
        let made = apart(|| {
            unshare()?;
            let file = fs::File::open("/proc/thread-self/ns/net")?;
            Ok(Namespace { file: file.into(), users: None, outpost: None })
        });
        let namespace =
            made.map_err(|source| KernelError::System { doing: "make a network namespace", source })?;
        Self::within(namespace, ports)
    }

    /// The same for an ordinary user, in a user namespace that is theirs. Takes some milliseconds, and a process for as long as it lasts.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn create_in(users: &UserNamespace, ports: &NetworkPorts) -> Result<Self, KernelError> {
        let doing = "make a network namespace in a user namespace";
        let namespace = Outpost::make(users).map_err(|source| KernelError::System { doing, source })?;
        Self::within(namespace, ports)
    }

    /// The same for an ordinary user's program, in a user namespace that is made for it and in which it is nobody else. Takes some
    /// milliseconds, and a process for as long as it lasts.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn create_own(ports: &NetworkPorts) -> Result<Self, KernelError> {
        let doing = "make a network namespace, and a user namespace for it";
        let namespace = Outpost::own().map_err(|source| KernelError::System { doing, source })?;
        Self::within(namespace, ports)
    }

    /// Listens again in the namespace of an app that runs on from an earlier life of ours. The ports must be those that it was told.
    ///
    /// # Errors
    /// [`KernelError::System`], also if the process has ended.
    pub fn resume(process: &Process, ports: &NetworkPorts) -> Result<Self, KernelError> {
        let fail = |source| KernelError::System { doing: "find the network namespace of a process", source };
        Self::within(Namespace::of(process).map_err(fail)?, ports)
    }

    /// Listens in a namespace.
    pub(crate) fn within(namespace: Namespace, ports: &NetworkPorts) -> Result<Self, KernelError> {
        let fail = |source| KernelError::System { doing: "listen in a network namespace", source };
        if let Some(outpost) = namespace.outpost() {
            let mut sockets = outpost.listen(ports).map_err(fail)?.into_iter();
            let asking = sockets.next().ok_or_else(|| fail(io::ErrorKind::InvalidData.into()))?;
            let listeners = sockets.map(TcpListener::from).collect();
            return Ok(Self { namespace, listeners, attestor: Attestor::by(asking) });
        }
        let (listeners, attestor) =
            namespace.inside(|| Ok((listeners(ports)?, Attestor::new()))).map_err(fail)?;
        Ok(Self { namespace, listeners, attestor: attestor? })
    }
}

/// Puts the calling thread into a new network namespace, whose ports are all for whoever is in it: nobody else can reach them. Where `/proc`
/// cannot be written they stay as they are ([`has_all_ports`]), and only those from 1024 on can be listened on.
pub(crate) fn unshare() -> io::Result<()> {
    sys::unshare_network()?;
    let _as_it_is = fs::write(PORT_START, "0");
    Ok(())
}

/// Can programs in a network of their own listen on ports below 1024? Not where `/proc/sys` is read-only, as in many containers.
pub fn has_all_ports() -> bool {
    let system = rustix::fs::statvfs("/proc/sys/net");
    system.is_ok_and(|system| !system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

impl Namespace {
    /// That of a process, if it has not ended.
    pub(crate) fn of(process: &Process) -> io::Result<Self> {
        let file = fs::File::open(format!("/proc/{}/ns/net", process.id()))?;
        // If it is there now, the id was its own when the file was opened.
        if process.has_ended()? {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { file: file.into(), users: None, outpost: None })
    }

    /// One where an outpost is.
    pub(crate) fn reached(file: OwnedFd, outpost: Outpost) -> Self {
        Self { file, users: None, outpost: Some(Mutex::new(Arc::new(outpost))) }
    }

    /// One where an outpost is, which a program enters by its user namespace.
    pub(crate) fn of_own(users: OwnedFd, file: OwnedFd, outpost: Outpost) -> Self {
        Self { users: Some(users), ..Self::reached(file, outpost) }
    }

    /// The user namespace that a program of the same user enters before.
    pub fn users(&self) -> Option<BorrowedFd<'_>> {
        self.users.as_ref().map(AsFd::as_fd)
    }

    /// The same by an outpost of ours, if it belongs to another user namespace and we are not root, who needs none.
    pub(crate) fn reach(self) -> io::Result<Self> {
        if crate::is_root() {
            return Ok(self);
        }
        let users = UserNamespace::owning(self.file.as_fd())?;
        if users.is_own()? {
            return Ok(self);
        }
        let outpost = Outpost::join(&users, self.file.as_fd())?;
        Ok(Self::reached(self.file, outpost))
    }

    /// Where programs of the same user find it, as long as this is held.
    pub fn path(&self) -> PathBuf {
        match self.outpost() {
            Some(outpost) => outpost.path(),
            None => format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into(),
        }
    }

    /// Connects to an address in the namespace, without waiting: the connection is made, or was refused, when the socket is writable
    /// (`TcpStream::take_error` says which).
    ///
    /// # Errors
    /// As `socket(2)` and `connect(2)`.
    pub fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = match self.outpost() {
            Some(outpost) => match outpost.socket(address.is_ipv6()) {
                Err(_) if outpost.is_lost() => self.instead(&outpost)?.socket(address.is_ipv6())?,
                answered => answered?,
            },
            None => self.inside(|| connecting(address.is_ipv6()))?,
        };
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn outpost(&self) -> Option<Arc<Outpost>> {
        self.outpost
            .as_ref()
            .map(|outpost| Arc::clone(&outpost.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Another outpost in the place of one that was lost, if nobody has made one since.
    fn instead(&self, lost: &Arc<Outpost>) -> io::Result<Arc<Outpost>> {
        let outpost = self.outpost.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut current = outpost.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, lost) {
            let users = UserNamespace::owning(self.file.as_fd())?;
            *current = Arc::new(Outpost::join(&users, self.file.as_fd())?);
        }
        Ok(Arc::clone(&current))
    }

    /// Does something on a thread that is in the namespace and ends.
    fn inside<T: Send>(&self, action: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        apart(|| {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))?;
            action()
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Does something on a thread of its own.
fn apart<T: Send>(action: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("network".to_owned()).spawn_scoped(scope, action)?;
        thread.join().map_err(|_| io::Error::other("the thread has ended early"))?
    })
}

/// A socket of the calling thread's network namespace to connect by, without waiting.
pub(crate) fn connecting(is_ipv6: bool) -> io::Result<OwnedFd> {
    let family = if is_ipv6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

/// Listens in the network namespace of the calling thread.
pub(crate) fn listeners(ports: &NetworkPorts) -> io::Result<Vec<TcpListener>> {
    const SEQUENCE: u32 = 1;
    let mut requests = vec![route::loopback_up(SEQUENCE)];
    let loopback = |port: &u16| SocketAddrV4::new(Ipv4Addr::LOCALHOST, *port);
    let mut addresses: Vec<_> = ports.loopback.iter().map(loopback).collect();
    if ports.metadata {
        requests.push(route::loopback_address(*METADATA.ip(), SEQUENCE));
        addresses.push(METADATA);
    }
    let netlink = sys::netlink_socket(libc::NETLINK_ROUTE)?;
    for request in requests {
        sys::netlink_send(netlink.as_fd(), &request)?;
        let mut answer = [0; 256];
        let (length, sender) = sys::netlink_receive(netlink.as_fd(), &mut answer)?;
        if sender != 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        route::acknowledged(answer.get(..length).unwrap_or_default(), SEQUENCE)?;
    }
    addresses.into_iter().map(listen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `WEBSITES_PORT=80` with a network of its own: the app could not listen there.
    #[test]
    fn all_ports_are_for_whoever_is_in_a_network_of_its_own_and_outside_nothing_changes() {
        if !crate::is_root() || !has_all_ports() {
            return;
        }
        let start = || fs::read_to_string(PORT_START);
        let before = start().unwrap();
        let network = Network::create(&NetworkPorts::default()).unwrap();
        assert_eq!(network.namespace.inside(start).unwrap(), "0\n");
        assert_eq!(start().unwrap(), before);
        let another = Network::create(&NetworkPorts::default()).unwrap();
        another.namespace.inside(|| fs::write(PORT_START, "1024")).unwrap();
        assert_eq!(network.namespace.inside(start).unwrap(), "0\n", "each has its own");
    }
}
