//! An outpost: a process of ours in the network of an ordinary user's container, which makes our sockets there.
//!
//! Such a network belongs to a user namespace, and into that only a process with one thread may go (`setns(2)`). So another one of ours
//! goes there, which does nothing but answer over its standard input: it makes a socket, hands it over (`SCM_RIGHTS`), and keeps none. A
//! socket stays in the network that it was made in, whoever has it. The outpost ends when its owner drops it, or ends in whatever way.
//!
//! It may be entered and debugged by programs of the same user, as whatever this user runs; it holds nothing that they could not have
//! without it. Owns not: which user namespace it is (`apps::rootless` of the server, `found`), what is served.

use crate::{
    Namespace, NetworkPorts,
    network::{connecting, listeners, unshare},
    sys,
};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
        socketpair, sockopt,
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    fmt,
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How an outpost is started: this very program, which calls [`serve`] when it is told this word.
const WORD: &str = "outpost";
/// How long an outpost may take for an answer. Ours: it takes microseconds, and a network some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an order and of an answer, at most: an order has two for each port.
const BYTES_MAX: usize = 64;
/// Descriptors of one message, at most.
const DESCRIPTORS_MAX: usize = 16;

/// Goes into a user namespace, and into a new network in it. Answers that.
const MAKE: u8 = b'm';
/// Makes a user namespace and a network in it, and goes there. Answers both.
const OWN: u8 = b'o';
/// Goes into a user namespace and a network in it.
const JOIN: u8 = b'j';
/// Answers a socket for questions to the kernel, then the listeners.
const LISTEN: u8 = b'l';
/// Answers a socket to connect by.
const CONNECT: u8 = b'c';

/// A user namespace, in which an ordinary user has made containers.
#[derive(Debug)]
pub struct UserNamespace {
    file: File,
}

impl UserNamespace {
    /// That of the process which has this id at the moment.
    ///
    /// # Errors
    /// As `open(2)`: there is no such process, or we may not look at it.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { file: File::open(format!("/proc/{pid}/ns/user"))? })
    }

    /// The one that a network belongs to.
    pub(crate) fn owning(network: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { file: sys::owner(network)?.into() })
    }

    /// Is it the one that we are in?
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn is_own(&self) -> io::Result<bool> {
        let (own, this) = (std::fs::metadata("/proc/self/ns/user")?, self.file.metadata()?);
        Ok((own.dev(), own.ino()) == (this.dev(), this.ino()))
    }
}

/// A process of ours in another network.
pub(crate) struct Outpost {
    process: Mutex<Child>,
    id: u32,
    /// None once it has not answered as it should: it is not asked again.
    control: Mutex<Option<OwnedFd>>,
}

impl fmt::Debug for Outpost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Outpost({})", self.id)
    }
}

impl Drop for Outpost {
    fn drop(&mut self) {
        // It ends when nobody can ask it, also where it cannot be killed.
        *self.control.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _may_have_ended = process.kill();
        let _ended = process.wait();
    }
}

impl Outpost {
    /// A new network in a user namespace, reached by an outpost.
    pub(crate) fn make(users: &UserNamespace) -> io::Result<Namespace> {
        let outpost = Self::start()?;
        let file = one(outpost.order(&[MAKE], &[users.file.as_fd()], 1)?)?;
        Ok(Namespace::reached(file, outpost))
    }

    /// A new network in a new user namespace, where this user is nobody else.
    pub(crate) fn own() -> io::Result<Namespace> {
        let outpost = Self::start()?;
        let mut made = outpost.order(&[OWN], &[], 2)?.into_iter();
        let (users, file) = made.next().zip(made.next()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Namespace::of_own(users, file, outpost))
    }

    /// In a network that is there, and belongs to a user namespace.
    pub(crate) fn join(users: &UserNamespace, network: BorrowedFd<'_>) -> io::Result<Self> {
        let outpost = Self::start()?;
        let _none = outpost.order(&[JOIN], &[users.file.as_fd(), network], 0)?;
        Ok(outpost)
    }

    /// Has it not answered as it should? Then it never does again.
    pub(crate) fn is_lost(&self) -> bool {
        self.control.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn start() -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(PATIENCE))?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Send, Some(PATIENCE))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("keyless").arg(WORD).env_clear().current_dir("/");
        let process = command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let id = process.id();
        Ok(Self { process: Mutex::new(process), id, control: Mutex::new(Some(ours)) })
    }

    /// Where others of the same user find the network.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.id).into()
    }

    /// Listens there; the socket for questions to the kernel comes first.
    pub(crate) fn listen(&self, ports: &NetworkPorts) -> io::Result<Vec<OwnedFd>> {
        let mut order = vec![LISTEN, u8::from(ports.metadata)];
        order.extend(ports.loopback.iter().flat_map(|port| port.to_be_bytes()));
        if order.len() > BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.order(&order, &[], 1 + ports.loopback.len() + usize::from(ports.metadata))
    }

    /// A socket to connect by, non-blocking.
    pub(crate) fn socket(&self, is_ipv6: bool) -> io::Result<OwnedFd> {
        one(self.order(&[CONNECT, u8::from(is_ipv6)], &[], 1)?)
    }

    fn order(&self, order: &[u8], given: &[BorrowedFd<'_>], wanted: usize) -> io::Result<Vec<OwnedFd>> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = control.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let answered = send(socket.as_fd(), order, given).and_then(|()| receive(socket.as_fd()));
        let misfit = || io::Error::new(io::ErrorKind::InvalidData, "an outpost answers something else");
        let answer = answered.and_then(|(told, descriptors)| {
            let told = told.as_slice().try_into().map_err(|_| misfit())?;
            match i32::from_ne_bytes(told) {
                // We have no room for more descriptors: the next order may find some.
                0 if descriptors.len() < wanted => Ok(Err(io::Error::from_raw_os_error(libc::EMFILE))),
                0 if descriptors.len() == wanted => Ok(Ok(descriptors)),
                0 => Err(misfit()),
                number => Ok(Err(io::Error::from_raw_os_error(number))),
            }
        });
        // What came too late would be taken for the answer to the next order.
        answer.unwrap_or_else(|error| {
            *control = None;
            Err(error)
        })
    }
}

fn one(descriptors: Vec<OwnedFd>) -> io::Result<OwnedFd> {
    descriptors.into_iter().next().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Is an outpost until whoever started it is gone. In a process with one thread, whose standard input is what it is told by.
///
/// # Errors
/// As `recvmsg(2)`, for one if the standard input is no socket.
pub fn serve() -> io::Result<()> {
    let control = io::stdin();
    loop {
        let (order, given) = receive(control.as_fd())?;
        if order.is_empty() {
            return Ok(());
        }
        let (number, made) = match obey(&order, given) {
            Ok(made) => (0, made),
            // Never zero, which means success.
            Err(error) => {
                (error.raw_os_error().filter(|number| *number != 0).unwrap_or(libc::EIO), Vec::new())
            }
        };
        let handed: Vec<_> = made.iter().map(AsFd::as_fd).collect();
        send(control.as_fd(), &number.to_ne_bytes(), &handed)?;
    }
}

fn obey(order: &[u8], given: Vec<OwnedFd>) -> io::Result<Vec<OwnedFd>> {
    let enter = |namespace: &OwnedFd, kind| move_into_link_name_space(namespace.as_fd(), Some(kind));
    match (order, given.as_slice()) {
        ([MAKE], [users]) => {
            enter(users, LinkNameSpaceType::User)?;
            unshare()?;
            Ok(vec![File::open("/proc/self/ns/net")?.into()])
        }
        ([OWN], []) => {
            sys::unshare_users()?;
            unshare()?;
            Ok(vec![File::open("/proc/self/ns/user")?.into(), File::open("/proc/self/ns/net")?.into()])
        }
        ([JOIN], [users, network]) => {
            enter(users, LinkNameSpaceType::User)?;
            enter(network, LinkNameSpaceType::Network)?;
            Ok(Vec::new())
        }
        ([LISTEN, metadata, ports @ ..], []) => {
            let (ports, _half) = ports.as_chunks::<2>();
            let loopback = ports.iter().map(|port| u16::from_be_bytes(*port)).collect();
            let listeners = listeners(&NetworkPorts { loopback, metadata: *metadata != 0 })?;
            let asking = sys::netlink_socket(libc::NETLINK_SOCK_DIAG)?;
            Ok([asking].into_iter().chain(listeners.into_iter().map(Into::into)).collect())
        }
        ([CONNECT, is_ipv6], []) => Ok(vec![connecting(*is_ipv6 != 0)?]),
        _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

fn send(control: BorrowedFd<'_>, text: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut buffer = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !buffer.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Whoever is gone is an error, and no signal.
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(control, &[IoSlice::new(text)], &mut buffer, SendFlags::NOSIGNAL)
    })?;
    if sent == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// One message; nothing if the other end is gone.
fn receive(control: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = [0; BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut buffer = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(control, &mut [IoSliceMut::new(&mut bytes)], &mut buffer, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    // Descriptors for which there was no room are missing, and closed; whoever waits for them counts.
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let descriptors = buffer.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors = descriptors.flatten().collect();
    Ok((bytes.get(..received.bytes).unwrap_or_default().to_vec(), descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_is_none_is_refused_and_a_message_arrives_with_what_it_carries() {
        for order in [&b""[..], b"x", b"m", b"ox", b"j", b"l", b"c", b"cc6"] {
            assert_eq!(obey(order, Vec::new()).unwrap_err().raw_os_error(), Some(libc::EINVAL), "{order:?}");
        }
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let made = obey(b"c\0", Vec::new()).unwrap();
        send(one.as_fd(), b"order", &[made[0].as_fd()]).unwrap();
        let (text, carried) = receive(other.as_fd()).unwrap();
        assert_eq!((text.as_slice(), carried.len()), (b"order".as_slice(), 1));
        let same = [&made[0], &carried[0]].map(|socket| rustix::fs::fstat(socket).unwrap().st_ino);
        assert_eq!(same[0], same[1]);
        drop(one);
        assert_eq!(receive(other.as_fd()).unwrap().0, b"");
    }

    /// Whoever answers with less than was asked for has none to give, or we had no room for it.
    #[test]
    fn what_did_not_arrive_fails_one_order_and_not_the_next() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let process = Command::new("true").spawn().unwrap();
        let (id, control) = (process.id(), Mutex::new(Some(ours)));
        let outpost = Outpost { process: Mutex::new(process), id, control };
        let made = obey(b"c\0", Vec::new()).unwrap();
        send(theirs.as_fd(), &0_i32.to_ne_bytes(), &[]).unwrap();
        assert_eq!(outpost.socket(false).unwrap_err().raw_os_error(), Some(libc::EMFILE));
        send(theirs.as_fd(), &0_i32.to_ne_bytes(), &[made[0].as_fd()]).unwrap();
        assert!(outpost.socket(false).is_ok());
        send(theirs.as_fd(), b"other", &[made[0].as_fd()]).unwrap();
        assert!(outpost.socket(false).is_err());
        assert_eq!(outpost.socket(false).unwrap_err().kind(), io::ErrorKind::NotConnected, "not asked again");
    }
}
