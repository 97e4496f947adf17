//! Questions to `sock_diag` and their answers as bytes: `struct inet_diag_req_v2` and `struct inet_diag_msg` of `linux/inet_diag.h`.
//!
//! Pure. Owns: the layout, and that an answer is wholly one to the question asked. Owns not: asking (`sys`), and what follows from an
//! answer (`peer`). Numbers are of native order; ports and addresses big-endian.

use crate::{AttestFault, CgroupId, Peer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// No `NLM_F_DUMP`: exactly one socket is asked for.
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const IPPROTO_TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// `TCP_ESTABLISHED`, the only state in which a connection is attested.
pub(crate) const TCP_ESTABLISHED: u8 = 1;

/// `struct nlmsghdr`: length, type, flags, sequence, port id.
const HEADER_BYTES: usize = 4 + 2 + 2 + 4 + 4;
/// `struct inet_diag_sockid`: ports, addresses, interface, cookie.
const SOCKET_ID_BYTES: usize = 2 + 2 + 16 + 16 + 4 + 8;
/// `struct inet_diag_req_v2`: family, protocol, extensions, padding, states, socket id.
const QUESTION_BYTES: usize = 4 + 4 + SOCKET_ID_BYTES;
/// `struct inet_diag_msg`: family, state, timer, retransmits, socket id, expiry, queues, user, inode.
const ANSWER_BYTES: usize = 4 + SOCKET_ID_BYTES + 5 * 4;
const _: () = assert!(HEADER_BYTES == size_of::<libc::nlmsghdr>());
const _: () = assert!(SOCKET_ID_BYTES == 48 && QUESTION_BYTES == 56 && ANSWER_BYTES == 72);

/// Where things lie in an answer.
mod at {
    use super::{ANSWER_BYTES, HEADER_BYTES, SOCKET_ID_BYTES};
    pub(super) const KIND: usize = 4;
    pub(super) const SEQUENCE: usize = 8;
    pub(super) const ERROR: usize = HEADER_BYTES;
    pub(super) const FAMILY: usize = HEADER_BYTES;
    pub(super) const STATE: usize = HEADER_BYTES + 1;
    const SOCKET_ID: usize = HEADER_BYTES + 4;
    pub(super) const SOURCE_PORT: usize = SOCKET_ID;
    pub(super) const DESTINATION_PORT: usize = SOCKET_ID + 2;
    pub(super) const SOURCE: usize = SOCKET_ID + 4;
    pub(super) const DESTINATION: usize = SOCKET_ID + 20;
    pub(super) const COOKIE: usize = SOCKET_ID + 40;
    pub(super) const USER: usize = SOCKET_ID + SOCKET_ID_BYTES + 12;
    pub(super) const INODE: usize = SOCKET_ID + SOCKET_ID_BYTES + 16;
    pub(super) const ATTRIBUTES: usize = HEADER_BYTES + ANSWER_BYTES;
}

/// The two ends of a connection of ours. Mapped IPv4 addresses are as IPv4 ones, which is how the kernel files such sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    ours: (IpAddr, u16),
    peer: (IpAddr, u16),
}

impl Ends {
    /// Of a socket's two names; none if they are not of one family.
    pub(crate) fn new(ours: SocketAddr, peer: SocketAddr) -> Option<Self> {
        let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        let (ours, peer) = (plain(ours), plain(peer));
        (ours.0.is_ipv4() == peer.0.is_ipv4()).then_some(Self { ours, peer })
    }
}

/// Asks for the peer's socket, as the peer sees the connection: its own end is the source. With a cookie, only for that very socket.
pub(crate) fn question(ends: Ends, cookie: Option<u64>, sequence: u32) -> Vec<u8> {
    const BYTES: u32 = (HEADER_BYTES + QUESTION_BYTES) as u32;
    let cookie = cookie.unwrap_or(u64::MAX);
    let mut message = Vec::with_capacity(BYTES as usize);
    message.extend(BYTES.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend([if ends.peer.0.is_ipv4() { AF_INET } else { AF_INET6 }, IPPROTO_TCP, 0, 0]);
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(ends.peer.1.to_be_bytes());
    message.extend(ends.ours.1.to_be_bytes());
    message.extend(words(ends.peer.0));
    message.extend(words(ends.ours.0));
    message.extend(0_u32.to_ne_bytes());
    message.extend((cookie as u32).to_ne_bytes());
    message.extend(((cookie >> 32) as u32).to_ne_bytes());
    message
}

/// Four words of an address field; an IPv4 address is the first of them.
fn words(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

const SHORT: AttestFault = AttestFault::Misfit("too short");

/// Reads an answer. None if it is the answer to another question. Refuses whatever is not wholly as it must be.
pub(crate) fn answer(message: &[u8], ends: Ends, sequence: u32) -> Result<Option<Peer>, AttestFault> {
    if u32_at(message, at::SEQUENCE)? != sequence {
        return Ok(None);
    }
    if u32_at(message, 0)? as usize != message.len() {
        return Err(AttestFault::Misfit("not one whole answer"));
    }
    match u16_at(message, at::KIND)? {
        SOCK_DIAG_BY_FAMILY => {}
        NLMSG_ERROR => {
            let number = (u32_at(message, at::ERROR)? as i32).saturating_neg();
            let is_absent = number == libc::ENOENT;
            return Err(if is_absent { AttestFault::NoSuchSocket } else { AttestFault::System(number) });
        }
        _ => return Err(AttestFault::Misfit("of an unknown kind")),
    }
    // First, since a row of another state may be a listener's or a remnant's: then nothing else in it is about the peer.
    let [state] = field(message, at::STATE)?;
    if state != TCP_ESTABLISHED {
        return Err(AttestFault::PeerState(state));
    }
    if told_ends(message)? != ends {
        return Err(AttestFault::Misfit("about another connection"));
    }
    let cgroup = attribute(message.get(at::ATTRIBUTES..).ok_or(SHORT)?, INET_DIAG_CGROUP_ID)
        .and_then(|value| value.try_into().ok())
        .map(u64::from_ne_bytes)
        .ok_or(AttestFault::Misfit("without a cgroup"))?;
    Ok(Some(Peer {
        cgroup: CgroupId::new(cgroup),
        uid: u32_at(message, at::USER)?,
        inode: u32_at(message, at::INODE)?,
        cookie: u64::from(u32_at(message, at::COOKIE)?) | u64::from(u32_at(message, at::COOKIE + 4)?) << 32,
    }))
}

/// The ends that an answer is about. A dual-stack client (Java, Node) has an IPv6 socket with mapped addresses: its answer is of the
/// family IPv6, though the question was of IPv4.
fn told_ends(message: &[u8]) -> Result<Ends, AttestFault> {
    let address = |at: usize| -> Result<IpAddr, AttestFault> {
        match field(message, at::FAMILY)? {
            [AF_INET] => Ok(Ipv4Addr::from(field::<4>(message, at)?).into()),
            [AF_INET6] => Ok(Ipv6Addr::from(field::<16>(message, at)?).into()),
            _ => Err(AttestFault::Misfit("of an unknown family")),
        }
    };
    let port = |at: usize| field(message, at).map(u16::from_be_bytes);
    let peer = SocketAddr::new(address(at::SOURCE)?, port(at::SOURCE_PORT)?);
    let ours = SocketAddr::new(address(at::DESTINATION)?, port(at::DESTINATION_PORT)?);
    Ends::new(ours, peer).ok_or(AttestFault::Misfit("about another connection"))
}

fn field<const BYTES: usize>(message: &[u8], at: usize) -> Result<[u8; BYTES], AttestFault> {
    message.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(SHORT)
}

fn u16_at(message: &[u8], at: usize) -> Result<u16, AttestFault> {
    field(message, at).map(u16::from_ne_bytes)
}

fn u32_at(message: &[u8], at: usize) -> Result<u32, AttestFault> {
    field(message, at).map(u32::from_ne_bytes)
}

/// The value of the first attribute of a kind (`struct rtattr`). Unknown kinds are skipped; a malformed list ends the search.
fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let [l0, l1, k0, k1] = *attributes.first_chunk()?;
        let (length, found) = (usize::from(u16::from_ne_bytes([l0, l1])), u16::from_ne_bytes([k0, k1]));
        let value = attributes.get(4..length)?;
        if found == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends(ours: &str, peer: &str) -> Ends {
        Ends::new(ours.parse().unwrap(), peer.parse().unwrap()).unwrap()
    }

    fn example() -> Ends {
        ends("127.0.0.1:8000", "127.0.0.1:41000")
    }

    /// An answer as Linux 6.18 gives it, for the example and sequence 7.
    fn reply(state: u8, inode: u32, attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0; at::ATTRIBUTES];
        message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message[8..12].copy_from_slice(&7_u32.to_ne_bytes());
        message[at::FAMILY] = AF_INET;
        message[at::STATE] = state;
        message[20..22].copy_from_slice(&41_000_u16.to_be_bytes());
        message[22..24].copy_from_slice(&8_000_u16.to_be_bytes());
        message[24..28].copy_from_slice(&[127, 0, 0, 1]);
        message[40..44].copy_from_slice(&[127, 0, 0, 1]);
        message[60..68].copy_from_slice(&[5, 0, 0, 0, 1, 0, 0, 0]);
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

    fn good() -> Vec<u8> {
        reply(1, 9, &cgroup_attribute(77))
    }

    #[test]
    fn a_question_has_the_kernels_layout() {
        let message = question(example(), Some(0x1_0000_0002), 7);
        assert_eq!(message.len(), 72);
        assert_eq!(&message[16..20], &[2, 6, 0, 0], "IPv4, TCP, no extensions");
        assert_eq!(&message[24..28], &[0xa0, 0x28, 0x1f, 0x40], "ports are big-endian, the peer's first");
        assert_eq!(&message[64..72], &[2, 0, 0, 0, 1, 0, 0, 0], "the cookie is two words, the low one first");
        assert_eq!(&question(example(), None, 7)[64..72], &[255; 8], "any cookie");
        let mapped = ends("[::ffff:127.0.0.1]:8000", "[::ffff:127.0.0.1]:41000");
        assert_eq!(question(mapped, None, 7), question(example(), None, 7));
        assert_eq!(question(ends("[::1]:8000", "[::1]:41000"), None, 7)[16], 10);
    }

    #[test]
    fn a_whole_answer_is_read() {
        let peer = Peer { cgroup: CgroupId::new(77), uid: 1000, inode: 9, cookie: 0x1_0000_0005 };
        assert_eq!(answer(&good(), example(), 7), Ok(Some(peer)));
        assert_eq!(answer(&good(), example(), 8), Ok(None), "the answer to another question");
        // A dual-stack client's socket.
        let mut mapped = good();
        mapped[at::FAMILY] = AF_INET6;
        for at in [24, 40] {
            mapped[at..at + 16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
        }
        assert_eq!(answer(&mapped, example(), 7), Ok(Some(peer)));
    }

    #[test]
    fn an_answer_counts_only_if_all_of_it_fits() {
        for state in (0..=255).filter(|state| *state != TCP_ESTABLISHED) {
            let answer = answer(&reply(state, 9, &cgroup_attribute(77)), example(), 7);
            assert_eq!(answer, Err(AttestFault::PeerState(state)));
        }
        let refused = |message: &[u8], why| {
            assert_eq!(answer(message, example(), 7), Err(AttestFault::Misfit(why)));
        };
        refused(&reply(1, 9, &[]), "without a cgroup");
        refused(&reply(1, 9, &[8, 0, 21, 0, 1, 2, 3, 4]), "without a cgroup");
        refused(&[good(), vec![0; 4]].concat(), "not one whole answer");
        for at in [20, 21, 22, 23, 24, 27, 40, 43] {
            let mut other = good();
            other[at] ^= 1;
            refused(&other, "about another connection");
        }
        let mut unknown = good();
        unknown[at::FAMILY] = 1;
        refused(&unknown, "of an unknown family");
        unknown[at::KIND] = 3;
        refused(&unknown, "of an unknown kind");
        for cut in 0..good().len() {
            assert!(answer(&good()[..cut], example(), 7).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn the_kernels_errors_are_told_apart() {
        let error = |number: i32| {
            let mut message = vec![0; 36];
            message[0] = 36;
            message[at::KIND] = 2;
            message[8] = 7;
            message[16..20].copy_from_slice(&(-number).to_ne_bytes());
            answer(&message, example(), 7)
        };
        assert_eq!(error(libc::ENOENT), Err(AttestFault::NoSuchSocket));
        assert_eq!(error(libc::EPERM), Err(AttestFault::System(libc::EPERM)));
        assert_eq!(error(0), Err(AttestFault::System(0)), "an acknowledgement is not an answer");
        assert!(error(i32::MIN + 1).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = answer(&bytes, example(), 7);
            let _ = attribute(&bytes, INET_DIAG_CGROUP_ID);
        }

        #[test]
        fn garbage_behind_a_good_head_never_panics_and_names_no_other_peer(garbage in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some(peer)) = answer(&reply(1, 9, &garbage), example(), 7) {
                prop_assert_eq!((peer.uid, peer.inode), (1000, 9));
            }
        }

        #[test]
        fn a_changed_byte_is_refused_or_changes_a_fact(at in 0_usize..108, flip in 1_u8..) {
            let mut changed = good();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= flip;
            }
            let facts = [60..68, 80..88, 96..108].iter().any(|facts| facts.contains(&at));
            let same = answer(&good(), example(), 7);
            // Timers, queues and the interface say nothing of who the peer is.
            let meaningless = [6..8, 12..16, 18..20, 28..40, 44..60, 68..80, 88..92, 92..96];
            if !facts && !meaningless.iter().any(|range| range.contains(&at)) {
                prop_assert_ne!(answer(&changed, example(), 7), same);
            }
        }
    }
}
