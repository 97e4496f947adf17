//! Who made the socket at the other end of a TCP connection on this machine: the race-free rule of attestation by `sock_diag`.
//!
//! One exact query names the client's socket by its four-tuple; the kernel answers with the cgroup in which that socket was *created*.
//! An answer counts only if the row is ESTABLISHED, has an inode and a cgroup, echoes the asked tuple, comes from the kernel in answer to
//! this question, **and our own end is still ESTABLISHED after the answer**: then no FIN or RST has come, so the one socket with the
//! mirrored tuple is our peer, whatever happened to ports before. (The kernel's `inet_diag.h`, `sock_diag(7)`.)

use crate::{CgroupId, KernelError, sys};
use rustix::net::{getpeername, getsockname};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
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
pub struct Attested<T>(T);

impl<T> Attested<T> {
    /// What was said.
    pub const fn facts(&self) -> &T {
        &self.0
    }

    /// What a simulated kernel says.
    #[cfg(feature = "simulate")]
    pub const fn simulated(facts: T) -> Self {
        Self(facts)
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
    #[error("the kernel could not be asked ({0})")]
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

/// The two ends of a connection, without mapped addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tuple {
    ours: SocketAddr,
    peer: SocketAddr,
    is_ipv6: bool,
}

const REQUEST_BYTES: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// The netlink header and `struct inet_diag_msg`: what stands before the attributes.
const ATTRIBUTES_AT: usize = 16 + 72;
/// Answers to earlier questions that are skipped before giving up; there are none unless a call was interrupted.
const STALE_ANSWERS_MAX: u32 = 8;

impl Attestor {
    /// An attestor for the calling thread's network namespace.
    ///
    /// # Errors
    /// [`KernelError::System`] if there is no such netlink family.
    pub fn new() -> Result<Self, KernelError> {
        let socket = sys::sock_diag_socket()
            .map_err(|source| KernelError::System { doing: "open a sock_diag socket", source })?;
        Ok(Self { netlink: Mutex::new(Netlink { socket, sequence: 0 }) })
    }

    /// Names the peer of an accepted connection. To be called before the first byte is read.
    ///
    /// # Errors
    /// [`AttestFault`]; whatever it is, refuse.
    pub fn attest(&self, socket: BorrowedFd<'_>) -> Result<Attested<Peer>, AttestFault> {
        let peer = self.query(tuple(socket)?, None)?;
        own_end_is_established(socket)?;
        Ok(Attested(peer))
    }

    /// Is it still exactly that socket? To be called just before something is given to it.
    ///
    /// # Errors
    /// [`AttestFault`]; whatever it is, give nothing.
    pub fn attest_again(&self, socket: BorrowedFd<'_>, earlier: &Attested<Peer>) -> Result<(), AttestFault> {
        let peer = self.query(tuple(socket)?, Some(earlier.0.cookie))?;
        if peer != earlier.0 {
            return Err(AttestFault::Changed);
        }
        own_end_is_established(socket)
    }

    /// Who a peer seems to be, for the audit log only.
    pub fn observe(&self, socket: BorrowedFd<'_>) -> Option<Peer> {
        self.query(tuple(socket).ok()?, None).ok()
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
        Ok(peer.0)
    }

    fn query(&self, tuple: Tuple, cookie: Option<u64>) -> Result<Peer, AttestFault> {
        let mut netlink = self.netlink.lock().unwrap_or_else(PoisonError::into_inner);
        netlink.sequence = netlink.sequence.wrapping_add(1);
        let sequence = netlink.sequence;
        sys::netlink_send(netlink.socket.as_fd(), &request(tuple, cookie, sequence))?;
        let mut buffer = [0; 1024];
        for _ in 0..STALE_ANSWERS_MAX {
            let (length, sender) = sys::netlink_receive(netlink.socket.as_fd(), &mut buffer)?;
            if sender != 0 {
                return Err(AttestFault::Misfit("not from the kernel"));
            }
            match parse(buffer.get(..length).unwrap_or_default(), tuple, sequence) {
                Err(AttestFault::Misfit("another question's answer")) => {}
                answer => return answer,
            }
        }
        Err(AttestFault::Misfit("no answer to this question"))
    }
}

/// The mirrored four-tuple of an accepted connection. A mapped IPv4 address is asked for as IPv4, where the client's socket lives.
fn tuple(socket: BorrowedFd<'_>) -> Result<Tuple, AttestFault> {
    let address = |any: rustix::net::SocketAddrAny| {
        SocketAddr::try_from(any).map_err(|_| AttestFault::Misfit("not an IP socket"))
    };
    let ours = address(getsockname(socket)?)?;
    let peer = address(getpeername(socket)?.ok_or(AttestFault::NoSuchSocket)?)?;
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (ours, peer) = (plain(ours), plain(peer));
    Ok(Tuple { ours, peer, is_ipv6: peer.is_ipv6() })
}

fn own_end_is_established(socket: BorrowedFd<'_>) -> Result<(), AttestFault> {
    match sys::tcp_state(socket)? {
        sys::TCP_ESTABLISHED => Ok(()),
        other => Err(AttestFault::OwnState(other)),
    }
}

/// `struct inet_diag_req_v2` behind a netlink header. The source is the *peer*: it is the client's socket that we ask for.
fn request(tuple: Tuple, cookie: Option<u64>, sequence: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(REQUEST_BYTES);
    message.extend((REQUEST_BYTES as u32).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend([if tuple.is_ipv6 { 10 } else { 2 }, 6, 0, 0]);
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(identity(tuple));
    message.extend(0_u32.to_ne_bytes());
    let cookie = cookie.unwrap_or(u64::MAX);
    message.extend((cookie as u32).to_ne_bytes());
    message.extend(((cookie >> 32) as u32).to_ne_bytes());
    message
}

/// Ports and addresses as `struct inet_diag_sockid` has them, without interface and cookie.
fn identity(tuple: Tuple) -> [u8; 36] {
    let mut identity = [0; 36];
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    };
    identity[0..2].copy_from_slice(&tuple.peer.port().to_be_bytes());
    identity[2..4].copy_from_slice(&tuple.ours.port().to_be_bytes());
    identity[4..20].copy_from_slice(&address(tuple.peer.ip()));
    identity[20..36].copy_from_slice(&address(tuple.ours.ip()));
    identity
}

/// Reads the kernel's answer. Pure; refuses whatever is not wholly as it must be.
fn parse(message: &[u8], tuple: Tuple, sequence: u32) -> Result<Peer, AttestFault> {
    let short = AttestFault::Misfit("too short");
    let u16_at =
        |at: usize| message.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let u32_at =
        |at: usize| message.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
    let (Some(length), Some(kind), Some(answered)) = (u32_at(0), u16_at(4), u32_at(8)) else {
        return Err(short);
    };
    if answered != sequence {
        return Err(AttestFault::Misfit("another question's answer"));
    }
    if length as usize > message.len() {
        return Err(short);
    }
    if kind == NLMSG_ERROR {
        return Err(match u32_at(16).map(|number| (number as i32).saturating_neg()) {
            Some(libc::ENOENT) => AttestFault::NoSuchSocket,
            Some(number) => AttestFault::System(number),
            None => short,
        });
    }
    if kind != SOCK_DIAG_BY_FAMILY {
        return Err(AttestFault::Misfit("of an unknown kind"));
    }
    let state = *message.get(17).ok_or_else(|| short.clone())?;
    if state != sys::TCP_ESTABLISHED {
        return Err(AttestFault::PeerState(state));
    }
    let family: u8 = if tuple.is_ipv6 { 10 } else { 2 };
    // The kernel leaves what lies behind an IPv4 address undefined in some versions: compare what is meant.
    let (echoed, asked) = (message.get(20..56), identity(tuple));
    let is_echoed = echoed.is_some_and(|echoed| {
        if tuple.is_ipv6 {
            echoed == asked
        } else {
            echoed.get(..8) == asked.get(..8) && echoed.get(20..24) == asked.get(20..24)
        }
    });
    if message.get(16) != Some(&family) || !is_echoed {
        return Err(AttestFault::Misfit("about another connection"));
    }
    let (Some(low), Some(high), Some(uid), Some(inode)) = (u32_at(60), u32_at(64), u32_at(80), u32_at(84))
    else {
        return Err(short);
    };
    if inode == 0 {
        return Err(AttestFault::Misfit("a socket that nobody holds"));
    }
    let cgroup =
        attribute(message.get(ATTRIBUTES_AT..length as usize).unwrap_or_default(), INET_DIAG_CGROUP_ID)
            .and_then(|value| value.try_into().ok())
            .map(u64::from_ne_bytes)
            .ok_or(AttestFault::Misfit("without a cgroup"))?;
    Ok(Peer { cgroup: CgroupId::new(cgroup), uid, inode, cookie: u64::from(high) << 32 | u64::from(low) })
}

/// The value of the first attribute of a kind. Unknown kinds are skipped; a malformed list ends the search.
fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let (head, _) = attributes.split_first_chunk::<4>()?;
        let [l0, l1, k0, k1] = *head;
        let (length, found) = (usize::from(u16::from_ne_bytes([l0, l1])), u16::from_ne_bytes([k0, k1]));
        let value = attributes.get(4..length)?;
        if found == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// A listener on 127.0.0.1, bound to the loopback device where that is permitted, so that no route from outside leads to it.
///
/// # Errors
/// As binding a socket: the port may be taken.
pub fn listen_loopback(port: u16) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    // A resumed endpoint must get its port back while old connections linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Not permitted to everybody on every kernel; the listener's address is loopback in any case.
    let _unbound = set_device_loopback(&socket);
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    listen(&socket, 256)?;
    Ok(TcpListener::from(socket))
}

fn set_device_loopback(socket: &OwnedFd) -> io::Result<()> {
    sys::bind_to_device(socket.as_fd(), c"lo")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Tuple {
        Tuple {
            ours: "127.0.0.1:8000".parse().unwrap(),
            peer: "127.0.0.1:41000".parse().unwrap(),
            is_ipv6: false,
        }
    }

    /// An answer as Linux 6.18 gives it, for the example.
    fn answer(state: u8, inode: u32, attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0; ATTRIBUTES_AT];
        message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message[8..12].copy_from_slice(&7_u32.to_ne_bytes());
        message[16] = 2;
        message[17] = state;
        message[20..56].copy_from_slice(&identity(example()));
        message[60..64].copy_from_slice(&5_u32.to_ne_bytes());
        message[80..84].copy_from_slice(&1000_u32.to_ne_bytes());
        message[84..88].copy_from_slice(&inode.to_ne_bytes());
        message.extend(attributes);
        let length = (message.len() as u32).to_ne_bytes();
        message[0..4].copy_from_slice(&length);
        message
    }

    fn cgroup_attribute(id: u64) -> Vec<u8> {
        let mut attribute = vec![5, 0, 8, 0, 3, 0, 0, 0, 12, 0, 21, 0];
        attribute.extend(id.to_ne_bytes());
        attribute
    }

    #[test]
    fn the_request_has_the_kernels_layout() {
        let message = request(example(), Some(0x1_0000_0002), 7);
        assert_eq!(message.len(), REQUEST_BYTES);
        assert_eq!(&message[24..28], &[0xa0, 0x28, 0x1f, 0x40], "ports are big-endian, the peer's first");
        assert_eq!(&message[64..72], &[2, 0, 0, 0, 1, 0, 0, 0], "the cookie is two words, the low one first");
    }

    #[test]
    fn an_answer_counts_only_if_all_of_it_fits() {
        let good = answer(1, 9, &cgroup_attribute(77));
        let peer = Peer { cgroup: CgroupId::new(77), uid: 1000, inode: 9, cookie: 5 };
        assert_eq!(parse(&good, example(), 7), Ok(peer));
        assert_eq!(parse(&good, example(), 8), Err(AttestFault::Misfit("another question's answer")));
        for state in [0, 2, 4, 5, 6, 7, 8, 10, 255] {
            assert_eq!(
                parse(&answer(state, 9, &cgroup_attribute(77)), example(), 7),
                Err(AttestFault::PeerState(state))
            );
        }
        assert!(parse(&answer(1, 0, &cgroup_attribute(77)), example(), 7).is_err(), "an orphan");
        assert!(parse(&answer(1, 9, &[]), example(), 7).is_err(), "no cgroup");
        let other = Tuple { peer: "127.0.0.1:41001".parse().unwrap(), ..example() };
        assert_eq!(parse(&good, other, 7), Err(AttestFault::Misfit("about another connection")));
        for cut in 0..good.len() {
            assert!(parse(&good[..cut], example(), 7).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn malformed_attributes_never_panic() {
        for length in 0..=255_u8 {
            let _ = attribute(&[length, 0, 9, 0, 1, 2, 3, 4, length, 255, 21, 0], 21);
        }
        assert_eq!(
            attribute(&[0, 0, 0, 0, 0, 0, 0, 0], 21),
            None,
            "a length below its own header ends the search"
        );
    }
}
