//! The system calls that rustix lacks, each behind a safe function. The only `unsafe` code of the product.

use std::{
    ffi::CString,
    io,
    mem::{MaybeUninit, size_of},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

/// `TCP_ESTABLISHED`, the only state in which a connection is attested.
pub(crate) const TCP_ESTABLISHED: u8 = 1;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(check(fd)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A `NETLINK_SOCK_DIAG` socket of the network namespace that the calling thread is in.
pub(crate) fn sock_diag_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let socket = owned(
        unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_SOCK_DIAG)
        }
        .into(),
    )?;
    // The kernel answers within the call; the time-out is for a kernel that does not.
    let patience = libc::timeval { tv_sec: 1, tv_usec: 0 };
    let length = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: the pointer is to a live value of the length that is passed.
    check(
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                ptr::from_ref(&patience).cast(),
                length,
            )
        }
        .into(),
    )?;
    Ok(socket)
}

/// Sends one message to the kernel on a netlink socket.
pub(crate) fn netlink_send(socket: BorrowedFd<'_>, message: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and length are those of a live slice; an unconnected netlink socket sends to the kernel.
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

fn socket_option<T: Copy>(socket: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer is to `length` writable bytes.
    check(
        unsafe {
            libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length)
        }
        .into(),
    )?;
    // SAFETY: zeroed before; only used with integers and structs of integers, for which every bit pattern is a value.
    Ok(unsafe { value.assume_init() })
}

/// The state of our own end of a TCP connection (`tcpi_state`).
pub(crate) fn tcp_state(socket: BorrowedFd<'_>) -> io::Result<u8> {
    // The first byte of `tcp_info`; the kernel writes no more than is asked for.
    socket_option::<u8>(socket, libc::IPPROTO_TCP, libc::TCP_INFO)
}

/// Binds a socket to a network device by name (`SO_BINDTODEVICE`).
pub(crate) fn bind_to_device(socket: BorrowedFd<'_>, device: &std::ffi::CStr) -> io::Result<()> {
    let length = device.to_bytes_with_nul().len() as libc::socklen_t;
    // SAFETY: the pointer is to a live string of the length that is passed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            device.as_ptr().cast(),
            length,
        )
    };
    check(result.into()).map(drop)
}

/// Process, user and group of a unix socket's peer at the time of its `connect`.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(u32, u32, u32)> {
    let credentials: libc::ucred = socket_option(socket, libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    Ok((credentials.pid.unsigned_abs(), credentials.uid, credentials.gid))
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

/// Everything that a new process needs, made before it exists: after `clone3` it may not allocate.
pub(crate) struct Launch {
    /// Paths to try in turn.
    pub(crate) candidates: Vec<CString>,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    /// Where to start, if not here.
    pub(crate) directory: Option<CString>,
    /// Bind-mounted over `/etc/hosts` in a mount namespace of its own.
    pub(crate) hosts: Option<CString>,
    /// The identity map of a user namespace (`uid_map`, `gid_map`), for mounting without privilege.
    pub(crate) user_namespace: Option<(CString, CString)>,
}

/// The step of a new process that failed, in its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Namespace,
    Directory,
    Execute,
}

/// What became of a launch.
pub(crate) struct Launched {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// Set if the process ended before the program ran; it must still be waited for.
    pub(crate) failure: Option<(Step, io::Error)>,
}

#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}
const _: () = assert!(size_of::<CloneArguments>() == 88);

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts a process directly in a cgroup (no moment outside of it) and waits until its program runs or has failed to.
pub(crate) fn launch(launch: &Launch, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Launched> {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(&launch.arguments), pointers(&launch.environment));
    let (report, told) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut pidfd: i32 = -1;
    let mut clone = CloneArguments {
        flags: libc::CLONE_PIDFD as u64,
        pidfd: ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    if let Some(cgroup) = cgroup {
        clone.flags |= CLONE_INTO_CGROUP;
        clone.cgroup = cgroup.as_raw_fd() as u64;
    }
    if launch.hosts.is_some() {
        clone.flags |= libc::CLONE_NEWNS as u64;
    }
    if launch.user_namespace.is_some() {
        clone.flags |= libc::CLONE_NEWUSER as u64;
    }
    // SAFETY: the arguments are live and of the size that is said. Without CLONE_VM the child has its own copy of memory; it runs only
    // `child`, which keeps to async-signal-safe calls on what was made before.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, ptr::from_mut(&mut clone), size_of::<CloneArguments>())
    })?;
    if pid == 0 {
        // SAFETY: this is the child; all pointers are into memory that it has a copy of.
        unsafe { child(launch, &arguments, &environment, told.as_raw_fd()) }
    }
    drop(told);
    // SAFETY: CLONE_PIDFD has made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let mut told = [0_u8; 8];
    let failure = match read_fully(&report, &mut told)? {
        8 => {
            let step = match told[0] {
                0 => Step::Namespace,
                1 => Step::Directory,
                _ => Step::Execute,
            };
            let [_, _, _, _, number @ ..] = told;
            Some((step, io::Error::from_raw_os_error(i32::from_ne_bytes(number))))
        }
        // The pipe was closed by a successful execve.
        _ => None,
    };
    Ok(Launched { pid: i32::try_from(pid).map_err(io::Error::other)?, pidfd, failure })
}

fn read_fully(pipe: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(pipe, rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// The new process, until its program replaces it. No allocation, no locks, no Rust runtime.
///
/// # Safety
/// Only in the child of [`launch`], with null-terminated arrays of live strings.
unsafe fn child(
    launch: &Launch,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    told: i32,
) -> ! {
    // SAFETY: async-signal-safe calls on memory that was made before the clone.
    unsafe {
        let fail = |step: u8| -> ! {
            let number = (*libc::__errno_location()).to_ne_bytes();
            let report = [step, 0, 0, 0, number[0], number[1], number[2], number[3]];
            libc::write(told, report.as_ptr().cast(), report.len());
            libc::_exit(127)
        };
        if let Some((users, groups)) = &launch.user_namespace
            && !(write_file(c"/proc/self/setgroups", c"deny")
                && write_file(c"/proc/self/uid_map", users)
                && write_file(c"/proc/self/gid_map", groups))
        {
            fail(0);
        }
        if let Some(hosts) = &launch.hosts {
            // Slave: mounts of the host still appear here, ours never there.
            let is_slave = libc::mount(
                ptr::null(),
                c"/".as_ptr(),
                ptr::null(),
                libc::MS_REC | libc::MS_SLAVE,
                ptr::null(),
            );
            if is_slave != 0
                || libc::mount(
                    hosts.as_ptr(),
                    c"/etc/hosts".as_ptr(),
                    ptr::null(),
                    libc::MS_BIND,
                    ptr::null(),
                ) != 0
            {
                fail(0);
            }
        }
        if let Some(directory) = &launch.directory
            && libc::chdir(directory.as_ptr()) != 0
        {
            fail(1);
        }
        // Rust ignores SIGPIPE and a runtime may block signals; a program expects neither.
        let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        // As execvp(3): what is found but may not be executed is remembered, and the search goes on.
        let mut denied = 0;
        for candidate in &launch.candidates {
            libc::execve(candidate.as_ptr(), arguments.as_ptr(), environment.as_ptr());
            match *libc::__errno_location() {
                libc::EACCES => denied = libc::EACCES,
                libc::ENOENT | libc::ENOTDIR => {}
                _ => fail(2),
            }
        }
        *libc::__errno_location() = if denied == 0 { libc::ENOENT } else { denied };
        fail(2)
    }
}

/// Writes a whole small file; async-signal-safe.
///
/// # Safety
/// As [`child`].
unsafe fn write_file(path: &std::ffi::CStr, content: &std::ffi::CStr) -> bool {
    let bytes = content.to_bytes();
    // SAFETY: live strings; the descriptor is ours and closed once.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let is_written = libc::write(file, bytes.as_ptr().cast(), bytes.len()) == bytes.len() as isize;
        let number = *libc::__errno_location();
        libc::close(file);
        *libc::__errno_location() = number;
        is_written
    }
}
