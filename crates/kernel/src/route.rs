//! Two requests to the kernel's routing as bytes (`rtnetlink(7)`): bring the loopback device up, and give it an address.
//!
//! Pure. Owns not: asking (`sys`), and in which network namespace (`network`).

use std::{io, net::Ipv4Addr};

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const ACKNOWLEDGED: u16 = 1 | 4;
/// `NLM_F_CREATE | NLM_F_REPLACE`: that it is there already is no error.
const WHETHER_OR_NOT_THERE: u16 = 0x400 | 0x100;
/// The index of `lo`: the first device of every network namespace.
const LOOPBACK: u32 = 1;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;
/// `RT_SCOPE_HOST`: valid on this host only.
const SCOPE_HOST: u8 = 254;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// `struct nlmsghdr`: length, type, flags, sequence, port id.
const HEADER_BYTES: usize = 16;

/// `struct ifinfomsg`: family, padding, type, index, flags, which flags.
pub(crate) fn loopback_up(sequence: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    message(RTM_NEWLINK, ACKNOWLEDGED, sequence, &body)
}

/// `struct ifaddrmsg`: family, length of the prefix, flags, scope, index; then attributes.
pub(crate) fn loopback_address(address: Ipv4Addr, sequence: u32) -> Vec<u8> {
    const ATTRIBUTE_BYTES: u16 = 4 + 4;
    let mut body = vec![AF_INET, 32, 0, SCOPE_HOST];
    body.extend(LOOPBACK.to_ne_bytes());
    for kind in [IFA_LOCAL, IFA_ADDRESS] {
        body.extend(ATTRIBUTE_BYTES.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(address.octets());
    }
    message(RTM_NEWADDR, ACKNOWLEDGED | WHETHER_OR_NOT_THERE, sequence, &body)
}

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    // At most 40 bytes.
    let length = (HEADER_BYTES + body.len()) as u32;
    let mut message = Vec::from(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(body);
    message
}

/// Reads the kernel's answer: done, or why not.
pub(crate) fn acknowledged(answer: &[u8], sequence: u32) -> io::Result<()> {
    let misfit = || io::Error::new(io::ErrorKind::InvalidData, "an answer to another question");
    let half = |at: usize| answer.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes);
    let word = |at: usize| answer.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes);
    if half(4) != Some(NLMSG_ERROR) || word(8) != Some(sequence) {
        return Err(misfit());
    }
    match word(HEADER_BYTES).ok_or_else(misfit)? as i32 {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number.saturating_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_layout() {
        let (up, address) = (loopback_up(7), loopback_address(Ipv4Addr::new(169, 254, 169, 254), 8));
        assert_eq!((up.len(), address.len()), (32, 40));
        for message in [&up, &address] {
            assert_eq!(message[..4], (message.len() as u32).to_ne_bytes());
        }
        assert_eq!(address[16..20], [2, 32, 0, 254]);
        assert_eq!(address[28..32], [169, 254, 169, 254]);
    }

    #[test]
    fn only_a_yes_to_this_question_is_a_yes() {
        let mut answer = message(NLMSG_ERROR, 0, 7, &[0; 20]);
        assert!(acknowledged(&answer, 7).is_ok());
        assert!(acknowledged(&answer, 8).is_err());
        assert!(acknowledged(&answer[..18], 7).is_err());
        answer[16..20].copy_from_slice(&(-1_i32).to_ne_bytes());
        assert_eq!(acknowledged(&answer, 7).unwrap_err().raw_os_error(), Some(libc::EPERM));
        answer[4] = 16;
        assert!(acknowledged(&answer, 7).is_err());
    }
}
