//! Who made the socket at the other end of a TCP connection on this machine: the race-free rule of attestation by `sock_diag`.
//!
//! One exact query names the client's socket by its four-tuple; the kernel answers with the cgroup in which that socket was *created*.
//! An answer counts only if the row is ESTABLISHED, has an inode and a cgroup, echoes the asked tuple, comes from the kernel in answer to
//! this question, **and our own end is still ESTABLISHED after the answer**: then no FIN or RST has come, so the one socket with the
//! mirrored tuple is our peer, whatever happened to ports before (`sock_diag(7)`; the bytes are in `diag`).
//!
//! Owns not: which cgroup is whose (`cgroup`), and that two live connections never have one cookie (`identity`).

use crate::{
    CgroupId, KernelError,
    diag::{self, Ends},
    sys,
};
use rustix::net::{getpeername, getsockname};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

/// What the kernel says of the socket at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The cgroup in which the socket was created; it stays the socket's, wherever its holder goes.
    pub cgroup: CgroupId,
    /// The user id of the socket, as the user namespace of this process sees it. Never a proof by itself.
    pub uid: u32,
    /// The socket's inode.
    pub inode: u32,
    /// The socket's cookie: unique for each socket since boot.
    pub cookie: u64,
}

/// A witness: the kernel has said this, by the whole rule. Made by [`Attestor::attest`] only.
#[derive(Debug)]
pub struct Attested<T> {
    facts: T,
    /// The connection's two ends: an accepted socket keeps its names, so they are asked for once.
    ends: Option<Ends>,
}

impl<T> Attested<T> {
    /// What was said.
    pub const fn facts(&self) -> &T {
        &self.facts
    }

    /// What a simulated kernel says.
    #[cfg(feature = "simulate")]
    pub const fn simulated(facts: T) -> Self {
        Self { facts, ends: None }
    }
}

/// Why nobody can be named for certain. All of them are refusals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestFault {
    /// The kernel does not answer such questions here, or there is nobody to ask.
    #[error("the kernel does not answer")]
    Unavailable,
    /// The kernel knows no such socket: closed, or in another network namespace.
    #[error("no such socket")]
    NoSuchSocket,
    /// The kernel's row is not of an established connection; it may be another socket's.
    #[error("the peer's socket is in state {0}")]
    PeerState(u8),
    /// Our own end is not established any more: what the kernel said may be of a later socket.
    #[error("the connection has ended (state {0})")]
    OwnState(u8),
    /// The answer is not one to this question.
    #[error("the kernel's answer does not fit: {0}")]
    Misfit(&'static str),
    /// It is another socket than at first.
    #[error("the peer's socket is not the one it was")]
    Changed,
    /// A system call failed.
    #[error("the kernel could not be asked: {}", io::Error::from_raw_os_error(*.0))]
    System(i32),
}

impl From<io::Error> for AttestFault {
    fn from(error: io::Error) -> Self {
        Self::System(error.raw_os_error().unwrap_or(0))
    }
}

impl From<rustix::io::Errno> for AttestFault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::System(error.raw_os_error())
    }
}

/// Asks the kernel about sockets of one network namespace: the one in which it was made.
pub struct Attestor {
    netlink: Mutex<Netlink>,
}

struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// Answers to earlier questions that are skipped before giving up; there are none unless a call was interrupted.
const STALE_ANSWERS_MAX: u32 = 8;
/// Bytes of an answer: 88 and a few attributes; Linux 6.18 gives 108.
const ANSWER_BYTES_MAX: usize = 1024;

impl Attestor {
    /// An attestor for the calling thread's network namespace.
    ///
    /// # Errors
    /// [`KernelError::System`] if there is no such netlink family.
    pub fn new() -> Result<Self, KernelError> {
        let socket = sys::netlink_socket(libc::NETLINK_SOCK_DIAG)
            .map_err(|source| KernelError::System { doing: "open a sock_diag socket", source })?;
        Ok(Self::by(socket))
    }

    /// One that asks by this socket, which may be of another namespace.
    pub(crate) fn by(socket: OwnedFd) -> Self {
        Self { netlink: Mutex::new(Netlink { socket, sequence: 0 }) }
    }

    /// Names the peer of an accepted connection. To be called before the first byte is read.
    ///
    /// # Errors
    /// [`AttestFault`]; whatever it is, refuse.
    pub fn attest(&self, socket: BorrowedFd<'_>) -> Result<Attested<Peer>, AttestFault> {
        let ends = ends(socket)?;
        let facts = held(self.query(ends, None)?)?;
        own_end_is_established(socket)?;
        Ok(Attested { facts, ends: Some(ends) })
    }

    /// Names who listens where a connection of ours has led. Its other end may still wait to be accepted, and has no inode then; its cgroup
    /// is that of the listener's maker from the beginning.
    ///
    /// # Errors
    /// [`AttestFault`]; whatever it is, say nothing there.
    pub fn attest_listener(&self, socket: BorrowedFd<'_>) -> Result<Attested<Peer>, AttestFault> {
        let ends = ends(socket)?;
        let facts = self.query(ends, None)?;
        own_end_is_established(socket)?;
        Ok(Attested { facts, ends: Some(ends) })
    }

    /// Is it still exactly that socket? To be called just before something is given to it.
    ///
    /// # Errors
    /// [`AttestFault`]; whatever it is, give nothing.
    pub fn attest_again(&self, socket: BorrowedFd<'_>, earlier: &Attested<Peer>) -> Result<(), AttestFault> {
        let ends = earlier.ends.map_or_else(|| ends(socket), Ok)?;
        let peer = held(self.query(ends, Some(earlier.facts.cookie))?)?;
        if peer != earlier.facts {
            return Err(AttestFault::Changed);
        }
        own_end_is_established(socket)
    }

    /// Who a peer seems to be, for the audit log only.
    pub fn observe(&self, socket: BorrowedFd<'_>) -> Option<Peer> {
        held(self.query(ends(socket).ok()?, None).ok()?).ok()
    }

    /// Does it work here? Attests a connection to itself.
    ///
    /// # Errors
    /// [`AttestFault`], as a real question would.
    pub fn probe(&self) -> Result<Peer, AttestFault> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (accepted, _) = listener.accept()?;
        let peer = self.attest(accepted.as_fd())?;
        drop(client);
        Ok(peer.facts)
    }

    fn query(&self, ends: Ends, cookie: Option<u64>) -> Result<Peer, AttestFault> {
        let mut netlink = self.netlink.lock().unwrap_or_else(PoisonError::into_inner);
        netlink.sequence = netlink.sequence.wrapping_add(1);
        let sequence = netlink.sequence;
        sys::netlink_send(netlink.socket.as_fd(), &diag::question(ends, cookie, sequence))?;
        let mut buffer = [0; ANSWER_BYTES_MAX];
        for _ in 0..=STALE_ANSWERS_MAX {
            let (length, sender) = sys::netlink_receive(netlink.socket.as_fd(), &mut buffer)?;
            if sender != 0 {
                return Err(AttestFault::Misfit("not from the kernel"));
            }
            if let Some(peer) = diag::answer(buffer.get(..length).unwrap_or_default(), ends, sequence)? {
                return Ok(peer);
            }
        }
        Err(AttestFault::Misfit("no answer to this question"))
    }
}

/// A peer whose socket somebody holds.
fn held(peer: Peer) -> Result<Peer, AttestFault> {
    if peer.inode == 0 { Err(AttestFault::Misfit("a socket that nobody holds")) } else { Ok(peer) }
}

/// The two names of a connected socket.
fn ends(socket: BorrowedFd<'_>) -> Result<Ends, AttestFault> {
    let address = |any: rustix::net::SocketAddrAny| {
        SocketAddr::try_from(any).map_err(|_| AttestFault::Misfit("not an IP socket"))
    };
    let ours = address(getsockname(socket)?)?;
    let peer = address(getpeername(socket)?.ok_or(AttestFault::NoSuchSocket)?)?;
    Ends::new(ours, peer).ok_or(AttestFault::Misfit("not one family"))
}

fn own_end_is_established(socket: BorrowedFd<'_>) -> Result<(), AttestFault> {
    match sys::tcp_state(socket)? {
        diag::TCP_ESTABLISHED => Ok(()),
        other => Err(AttestFault::OwnState(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where this machine answers at all.
    fn attestor() -> Option<Attestor> {
        Attestor::new().ok().filter(|attestor| attestor.probe().is_ok())
    }

    #[test]
    fn who_listens_is_named_before_the_connection_is_accepted_and_who_connects_is_not() {
        let Some(attestor) = attestor() else { return };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let waiting = attestor.attest_listener(client.as_fd()).unwrap();
        assert_eq!(waiting.facts().inode, 0, "nobody holds it yet");
        let nobody = AttestFault::Misfit("a socket that nobody holds");
        assert_eq!(attestor.attest(client.as_fd()).unwrap_err(), nobody);
        assert_eq!(attestor.observe(client.as_fd()), None);
        let (accepted, _) = listener.accept().unwrap();
        let named = attestor.attest_listener(client.as_fd()).unwrap();
        assert_eq!(named.facts().cgroup, waiting.facts().cgroup);
        assert_eq!(named.facts().cookie, waiting.facts().cookie, "it is the same socket");
        drop((accepted, listener));
        assert!(attestor.attest_listener(client.as_fd()).is_err(), "whoever hangs up listens no more");
    }
}
