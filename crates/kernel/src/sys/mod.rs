//! The system calls that rustix lacks, each behind a safe function. With the files below it the only `unsafe` code of the product.

mod birth;
pub(crate) mod bpf;
mod child;
pub(crate) mod landlock;
pub(crate) mod launch;
pub(crate) mod sandbox;

use std::{
    io,
    mem::{MaybeUninit, size_of},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(check(fd)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Overwrites bytes that were a secret; no optimization may leave that out.
pub(crate) fn wipe(bytes: &mut [u8]) {
    for byte in bytes {
        // SAFETY: the pointer is that of a live reference.
        unsafe { ptr::write_volatile(byte, 0) }
    }
}

/// How long the kernel may take to answer on netlink. It answers within the call; this is for a kernel that does not.
const PATIENCE: Duration = Duration::from_secs(1);

/// A netlink socket of a family, in the network namespace that the calling thread is in, connected to the kernel: messages of others do
/// not reach it.
pub(crate) fn netlink_socket(family: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, family) };
    let socket = owned(socket.into())?;
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
    // SAFETY: every bit pattern is a `sockaddr_nl`; port id 0 is the kernel.
    let mut kernel: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    kernel.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: the pointer is to a live address of the length that is passed.
    let connected = unsafe { libc::connect(socket.as_raw_fd(), ptr::from_ref(&kernel).cast(), length) };
    check(connected.into())?;
    Ok(socket)
}

/// Puts the calling thread into a new network namespace.
pub(crate) fn unshare_network() -> io::Result<()> {
    // SAFETY: no pointers, and no other thread is changed: only what the calling thread sees of the network.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into()).map(drop)
}

/// Puts the calling thread, the only one of its process, into a new user namespace, where this user and group are themselves and nobody
/// else is there.
pub(crate) fn unshare_users() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: no pointers; refused where there are other threads.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into())?;
    // A user may map groups only after giving up to change them.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// The user namespace that a namespace belongs to (`ioctl_ns(2)`).
pub(crate) fn owner(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const NS_GET_USERNS: libc::c_ulong = 0xb701;
    // SAFETY: no pointers.
    let file = check(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS as _) }.into())?;
    let file = i32::try_from(file).map_err(io::Error::other)?;
    // SAFETY: it was made for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

/// Sends one message to the kernel on a netlink socket.
pub(crate) fn netlink_send(socket: BorrowedFd<'_>, message: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and length are those of a live slice; the socket is connected to the kernel.
    let sent =
        check(unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) }
            as libc::c_long)?;
    if sent as usize == message.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives one message: its length and the port id of its sender, which is 0 for the kernel.
pub(crate) fn netlink_receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
    let mut sender = MaybeUninit::<libc::sockaddr_nl>::zeroed();
    let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: buffer and sender are live and as long as is said; the kernel writes no further.
    let received = check(unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
            sender.as_mut_ptr().cast(),
            &raw mut length,
        )
    } as libc::c_long)?;
    // SAFETY: zeroed before, and every bit pattern is a `sockaddr_nl`.
    let sender = unsafe { sender.assume_init() };
    if length as usize != size_of::<libc::sockaddr_nl>() || i32::from(sender.nl_family) != libc::AF_NETLINK {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((received as usize, sender.nl_pid))
}

/// For integers and structs of integers only.
fn socket_option<T: Copy>(socket: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer is to `length` writable bytes.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length)
    };
    check(result.into())?;
    // SAFETY: zeroed before; for integers and structs of them every bit pattern is a value.
    Ok(unsafe { value.assume_init() })
}

/// The state of our own end of a TCP connection (`tcpi_state`).
pub(crate) fn tcp_state(socket: BorrowedFd<'_>) -> io::Result<u8> {
    // The first byte of `tcp_info`; the kernel writes no more than is asked for.
    socket_option::<u8>(socket, libc::IPPROTO_TCP, libc::TCP_INFO)
}

/// The cookie of a socket's network namespace: unique since boot. Since Linux 5.14.
pub(crate) fn network_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    /// `asm-generic/socket.h`; as with SO_PEERPIDFD.
    const SO_NETNS_COOKIE: i32 = 71;
    socket_option(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE)
}

/// Binds a socket to a network device by name (`SO_BINDTODEVICE`).
pub(crate) fn bind_to_device(socket: BorrowedFd<'_>, device: &std::ffi::CStr) -> io::Result<()> {
    let (name, length) = (device.as_ptr().cast(), device.to_bytes_with_nul().len() as libc::socklen_t);
    // SAFETY: the pointer is to a live string of the length that is passed.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name, length)
    };
    check(result.into()).map(drop)
}

/// Process, user and group of a unix socket's peer at the time of its `connect`.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(u32, u32, u32)> {
    let credentials: libc::ucred = socket_option(socket, libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    Ok((credentials.pid.unsigned_abs(), credentials.uid, credentials.gid))
}

/// A descriptor of the process at the other end of a unix socket, since Linux 6.5.
pub(crate) fn peer_process(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    /// `asm-generic/socket.h`; the same on all architectures that Rust has Linux for except parisc and sparc.
    const SO_PEERPIDFD: i32 = 77;
    let fd: i32 = socket_option(socket, libc::SOL_SOCKET, SO_PEERPIDFD)?;
    owned(fd.into())
}

/// Is the process still there, so that its id cannot be another's yet? It may have ended but not been waited for.
pub(crate) fn is_there(process: BorrowedFd<'_>) -> bool {
    // SAFETY: no pointers are followed: signal 0 only asks.
    let asked = check(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), 0, ptr::null::<libc::siginfo_t>(), 0)
    });
    // Not allowed to signal it: it is there.
    !asked.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
}

/// Sends a signal to the group whose leader a process is or was, by its descriptor: no id is looked up that may be another's by now. Since
/// Linux 6.9; `InvalidInput` before.
pub(crate) fn signal_group(process: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    /// `PIDFD_SIGNAL_PROCESS_GROUP` of `linux/pidfd.h`.
    const PROCESS_GROUP: u32 = 1 << 2;
    let nothing = ptr::null::<libc::siginfo_t>();
    // SAFETY: no pointers are followed.
    check(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), number, nothing, PROCESS_GROUP)
    })
    .map(drop)
}

/// Opens a cgroup by its id; root only. `mount` is a descriptor on the cgroup2 mount.
pub(crate) fn open_cgroup_by_id(mount: BorrowedFd<'_>, id: u64) -> io::Result<OwnedFd> {
    /// `struct file_handle` with the eight bytes of a `FILEID_KERNFS` handle.
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        id: u64,
    }
    const FILEID_KERNFS: i32 = 0xfe;
    const { assert!(size_of::<Handle>() == 16) };
    let handle = Handle { bytes: 8, kind: FILEID_KERNFS, id };
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the handle is live, of the layout that the call expects, and says its own length.
    owned(unsafe {
        libc::syscall(libc::SYS_open_by_handle_at, mount.as_raw_fd(), ptr::from_ref(&handle), flags)
    })
}
