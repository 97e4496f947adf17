//! Which system calls a thread in a sandbox has (`seccomp(2)`). All others are answered as by a kernel that has no such call, since that is
//! what libraries are ready for: they do without, or say so.

use super::check;
use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction,
    SeccompCmpArgLen::Dword,
    SeccompCmpArgLen::Qword,
    SeccompCmpOp::{Eq, MaskedEq},
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::{collections::BTreeMap, io};

/// A question that no kernel knows, and that a thread in the sandbox is answered by an error of its own: so it is told from one that is
/// not, whatever filters a container has put over both.
const MARK: i32 = 0x4b45_594c;
const MARKED: i32 = libc::EALREADY;

/// With any arguments.
const ALWAYS: &[c_long] = &[
    // Descriptors, sockets, and waiting for them. None is bound or listened at here.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_connect,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    // Files; Landlock says which.
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fadvise64,
    libc::SYS_getcwd,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Threads of this process.
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Who and when.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
];

/// Older names of the same, which this architecture has and C libraries still use.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// What is asked of terminals and sockets; other devices are not controlled from here.
const CONTROLS: [u64; 3] = [libc::FIONBIO, libc::FIONREAD, libc::TCGETS];
/// Nothing by which a signal is sent to somebody (`F_SETOWN`, `F_SETSIG`), nor a lease or a pipe's size.
const DESCRIPTORS: [i32; 6] =
    [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];
/// Naming threads and memory; and the mark.
const OPERATIONS: [i32; 4] = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA, MARK];

/// The filter that answers the mark, and the one that leaves a thread the calls that it needs.
pub(crate) fn filters() -> io::Result<(BpfProgram, BpfProgram)> {
    let (mark, calls) = compile().map_err(io::Error::other)?;
    Ok((mark, calls))
}

fn compile() -> Result<(BpfProgram, BpfProgram), BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = |rules, otherwise, matched| {
        BpfProgram::try_from(SeccompFilter::new(rules, otherwise, matched, architecture)?)
    };
    let (allow, unknown) = (SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32));
    let marked = SeccompAction::Errno(MARKED as u32);
    let mark = BTreeMap::from([(libc::SYS_prctl, vec![one(0, MARK as u64)?])]);
    Ok((filter(mark, allow.clone(), marked)?, filter(calls()?, unknown, allow)?))
}

fn calls() -> Result<BTreeMap<c_long, Vec<SeccompRule>>, BackendError> {
    // No rules: whatever the arguments are.
    let mut calls: BTreeMap<c_long, Vec<SeccompRule>> =
        ALWAYS.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    // Of the default protocol, which is TCP, or of TCP by its name.
    let stream = |family: i32, protocol: i32| {
        let kind = SeccompCondition::new(1, Dword, MaskedEq(0xf), libc::SOCK_STREAM as u64)?;
        SeccompRule::new(vec![is(0, family as u64)?, kind, is(2, protocol as u64)?])
    };
    let diagnosis = vec![is(0, libc::AF_NETLINK as u64)?, is(2, libc::NETLINK_SOCK_DIAG as u64)?];
    let mut sockets = vec![SeccompRule::new(diagnosis)?];
    for family in [libc::AF_INET, libc::AF_INET6] {
        sockets.extend([stream(family, 0)?, stream(family, libc::IPPROTO_TCP)?]);
    }
    calls.insert(libc::SYS_socket, sockets);
    calls.insert(
        libc::SYS_ioctl,
        CONTROLS.into_iter().map(|control| one(1, control)).collect::<Result<_, _>>()?,
    );
    let descriptors = DESCRIPTORS.into_iter().map(|command| one(1, command as u64));
    calls.insert(libc::SYS_fcntl, descriptors.collect::<Result<_, _>>()?);
    let operations = OPERATIONS.into_iter().map(|operation| one(0, operation as u64));
    calls.insert(libc::SYS_prctl, operations.collect::<Result<_, _>>()?);
    // Threads, not processes. `clone3`, whose flags are in memory, is not among them: C libraries fall back on this one.
    let thread = libc::CLONE_THREAD as u64;
    let thread = SeccompCondition::new(0, Qword, MaskedEq(thread), thread)?;
    calls.insert(libc::SYS_clone, vec![SeccompRule::new(vec![thread])?]);
    // For a thread that aborts the process.
    calls.insert(libc::SYS_tgkill, vec![one(0, std::process::id().into())?]);
    // Reading limits: there is no new one, which would be the third argument.
    let read = SeccompCondition::new(2, Qword, Eq, 0)?;
    calls.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![is(0, 0)?, read])?]);
    Ok(calls)
}

/// An argument of 32 bits, whatever is in the upper half of its register: the kernel does not look there either.
fn is(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, Dword, Eq, value)
}

fn one(argument: u8, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![is(argument, value)?])
}

/// Is the calling thread in a sandbox?
pub(crate) fn is_marked() -> bool {
    // SAFETY: an operation that no kernel knows follows no pointer.
    let asked = check(unsafe { libc::prctl(MARK, 0, 0, 0, 0) }.into());
    asked.is_err_and(|error| error.raw_os_error() == Some(MARKED))
}

#[cfg(test)]
mod tests {
    use crate::{Attestor, Program, Sandbox, SandboxFiles, sandbox::is_confined, spawn};
    use std::{
        fs, io,
        net::{TcpListener, TcpStream},
        os::fd::{AsFd, AsRawFd},
        path::{Path, PathBuf},
        sync::mpsc,
        thread,
    };

    /// Does something on a thread in a sandbox that may use this folder.
    fn inside<T: Send + 'static>(folder: &Path, action: impl FnOnce() -> T + Send + 'static) -> T {
        let files = SandboxFiles { written: vec![folder.to_owned()], read: Vec::new() };
        let sandbox = Sandbox::prepare(&files).unwrap();
        let thread = thread::spawn(move || {
            sandbox.enter().unwrap();
            action()
        });
        thread.join().unwrap()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("keyless-sandbox-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The error of a raw call with these arguments; all zero but what matters, so that it would do no harm if it were there.
    fn refusal(call: libc::c_long, arguments: [i64; 4]) -> Option<i32> {
        let [a, b, c, d] = arguments;
        // SAFETY: each call below is one that these arguments make fail, or do nothing to this test, if it is not refused.
        let result = unsafe { libc::syscall(call, a, b, c, d, 0_i64, 0_i64) };
        if call == libc::SYS_clone && result == 0 {
            // SAFETY: the child of a filter that lets it through.
            unsafe { libc::_exit(0) }
        }
        (result < 0).then(|| io::Error::last_os_error().raw_os_error().unwrap())
    }

    #[test]
    fn a_thread_in_it_starts_nothing_and_reaches_for_nothing() {
        let folder = folder("refused");
        let own = i64::from(std::process::id());
        let network = fs::File::open("/proc/self/ns/net").unwrap();
        let calls = [
            ("execve", libc::SYS_execve, [0; 4]),
            ("execveat", libc::SYS_execveat, [0; 4]),
            ("fork", libc::SYS_clone, [i64::from(libc::SIGCHLD), 0, 0, 0]),
            ("clone3", libc::SYS_clone3, [0; 4]),
            ("mount", libc::SYS_mount, [0; 4]),
            ("umount2", libc::SYS_umount2, [0; 4]),
            ("pivot_root", libc::SYS_pivot_root, [0; 4]),
            ("chroot", libc::SYS_chroot, [0; 4]),
            ("open_tree", libc::SYS_open_tree, [-1, 0, 0, 0]),
            ("setns", libc::SYS_setns, [network.as_raw_fd().into(), 0, 0, 0]),
            ("unshare", libc::SYS_unshare, [libc::CLONE_FS.into(), 0, 0, 0]),
            ("ptrace", libc::SYS_ptrace, [0x4206, own, 0, 0]),
            ("process_vm_readv", libc::SYS_process_vm_readv, [own, 0, 0, 0]),
            ("process_vm_writev", libc::SYS_process_vm_writev, [own, 0, 0, 0]),
            ("pidfd_open", libc::SYS_pidfd_open, [own, 0, 0, 0]),
            ("pidfd_getfd", libc::SYS_pidfd_getfd, [-1, 0, 0, 0]),
            ("pidfd_send_signal", libc::SYS_pidfd_send_signal, [-1, 0, 0, 0]),
            ("kill", libc::SYS_kill, [own, 0, 0, 0]),
            ("tgkill of another", libc::SYS_tgkill, [1, 1, 0, 0]),
            ("bpf", libc::SYS_bpf, [0; 4]),
            ("keyctl", libc::SYS_keyctl, [0; 4]),
            ("add_key", libc::SYS_add_key, [0; 4]),
            ("userfaultfd", libc::SYS_userfaultfd, [0; 4]),
            ("io_uring_setup", libc::SYS_io_uring_setup, [0; 4]),
            ("perf_event_open", libc::SYS_perf_event_open, [0; 4]),
            ("kexec_load", libc::SYS_kexec_load, [0; 4]),
            ("init_module", libc::SYS_init_module, [0; 4]),
            ("finit_module", libc::SYS_finit_module, [-1, 0, 0, 0]),
            ("reboot", libc::SYS_reboot, [0; 4]),
            ("swapon", libc::SYS_swapon, [0; 4]),
            ("settimeofday", libc::SYS_settimeofday, [0; 4]),
            ("clock_settime", libc::SYS_clock_settime, [-1, 0, 0, 0]),
            ("open_by_handle_at", libc::SYS_open_by_handle_at, [-1, 0, 0, 0]),
            ("personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0]),
            ("setresuid", libc::SYS_setresuid, [-1, -1, -1, 0]),
            ("setgroups", libc::SYS_setgroups, [-1, 0, 0, 0]),
            ("capset", libc::SYS_capset, [0; 4]),
            ("fchown", libc::SYS_fchown, [-1, 0, 0, 0]),
            ("mknodat", libc::SYS_mknodat, [-1, 0, 0, 0]),
            ("symlinkat", libc::SYS_symlinkat, [0, -1, 0, 0]),
            ("memfd_create", libc::SYS_memfd_create, [0; 4]),
            ("bind", libc::SYS_bind, [-1, 0, 0, 0]),
            ("listen", libc::SYS_listen, [-1, 0, 0, 0]),
            ("unix socket", libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0, 0]),
            ("udp socket", libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_DGRAM.into(), 0, 0]),
            ("raw socket", libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_RAW.into(), 255, 0]),
            ("packet socket", libc::SYS_socket, [libc::AF_PACKET.into(), libc::SOCK_RAW.into(), 0, 0]),
            ("vsock socket", libc::SYS_socket, [libc::AF_VSOCK.into(), libc::SOCK_STREAM.into(), 0, 0]),
            ("netlink route", libc::SYS_socket, [libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), 0, 0]),
            ("sctp socket", libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 132, 0]),
            ("mptcp socket", libc::SYS_socket, [libc::AF_INET6.into(), libc::SOCK_STREAM.into(), 262, 0]),
            ("whom a signal is sent to", libc::SYS_fcntl, [0, libc::F_SETOWN.into(), 1, 0]),
            ("which signal is sent", libc::SYS_fcntl, [0, 10, 9, 0]),
            ("a lease", libc::SYS_fcntl, [0, 1_024, 0, 0]),
            ("terminal input", libc::SYS_ioctl, [0, 0x5412, 0, 0]),
            ("prctl", libc::SYS_prctl, [libc::PR_GET_DUMPABLE.into(), 0, 0, 0]),
            ("a new limit", libc::SYS_prlimit64, [0, 7, 1, 0]),
            ("another's limit", libc::SYS_prlimit64, [1, 7, 0, 0]),
        ];
        let refused =
            inside(&folder, move || calls.map(|(name, call, arguments)| (name, refusal(call, arguments))));
        for (name, refused) in refused {
            assert_eq!(refused, Some(libc::ENOSYS), "{name}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_are_those_that_are_named_and_no_others() {
        let (folder, beside) = (folder("files"), folder("beside"));
        fs::write(beside.join("secret"), "s").unwrap();
        let (own, other) = (folder.clone(), beside.clone());
        let [named, others] = inside(&folder, move || {
            let kinds = |results: Vec<io::Result<()>>| -> Vec<_> {
                results.into_iter().map(|result| result.err().map(|error| error.kind())).collect()
            };
            let named = vec![
                fs::write(own.join("log"), "line"),
                fs::rename(own.join("log"), own.join("log.1")),
                fs::read_to_string(own.join("log.1")).map(drop),
                fs::read_dir(&own).map(drop),
                fs::remove_file(own.join("log.1")),
            ];
            let others = vec![
                fs::read_to_string(other.join("secret")).map(drop),
                fs::write(other.join("more"), ""),
                fs::remove_file(other.join("secret")),
                fs::read_dir(&other).map(drop),
                fs::read_to_string("/etc/passwd").map(drop),
                fs::read_to_string("/proc/self/environ").map(drop),
                fs::File::open("/dev/null").map(drop),
            ];
            [kinds(named), kinds(others)]
        });
        assert_eq!(named, [None; 5]);
        if crate::Landlock::abi().is_ok() {
            assert_eq!(others, [Some(io::ErrorKind::PermissionDenied); 7]);
        }
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_dir_all(&beside).unwrap();
    }

    /// A data directory may be in another user's home, where only root passes.
    #[test]
    fn root_gets_to_its_files_through_another_users_folder() {
        use std::os::unix::fs::{PermissionsExt, chown};
        if !crate::is_root() {
            return println!("skipped: another user's folder needs root");
        }
        let home = folder("home");
        let own = home.join("audit");
        fs::create_dir_all(&own).unwrap();
        chown(&home, Some(20_001), Some(20_001)).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o750)).unwrap();
        let (log, beside) = (own.join("log"), home.join("letter"));
        fs::write(&beside, "").unwrap();
        let [written, read] =
            inside(&own, move || [fs::write(log, "line").is_ok(), fs::read(beside).is_ok()]);
        assert!(written);
        assert_eq!(read, crate::Landlock::abi().is_err(), "nothing else of it");
        fs::remove_dir_all(home).unwrap();
    }

    /// Connections, attestation, threads: all that answering requests takes.
    #[test]
    fn requests_can_be_answered_in_it_and_threads_that_it_makes_are_in_it() {
        let folder = folder("answered");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let attestor = Attestor::new().unwrap();
        let is_attested_outside = attestor.probe().is_ok();
        let (is_below, is_attested) = inside(&folder, move || {
            let client = TcpStream::connect(address).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            io::Write::write_all(&mut &client, b"hello").unwrap();
            let attested = attestor.attest(accepted.as_fd()).is_ok();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(io::read_to_string(accepted).unwrap(), "hello");
            (thread::spawn(is_confined).join().unwrap(), attested)
        });
        assert!(is_below);
        assert_eq!(is_attested, is_attested_outside);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// What a thread's status says, and that of a program that another thread starts meanwhile.
    #[test]
    fn the_kernel_shows_it_and_a_program_that_is_started_beside_has_nothing_of_it() {
        const SHOWN: [&str; 4] = ["Seccomp:", "NoNewPrivs:", "CapEff:", "CapPrm:"];
        let status = |of: &str| {
            let status = fs::read_to_string(format!("/proc/{of}/status")).unwrap();
            let value = |name| {
                status.lines().find_map(|line: &str| line.strip_prefix(name)).unwrap().trim().to_owned()
            };
            SHOWN.map(value)
        };
        let folder = folder("shown");
        let before = status("thread-self");
        let ((told, id), (ends, end)) = (mpsc::channel(), mpsc::channel::<()>());
        let own = folder.clone();
        let thread = thread::spawn(move || {
            inside(&own, move || {
                told.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
                let _ended = end.recv();
            });
        });
        let id = id.recv().unwrap();
        let nothing = "0000000000000000";
        assert_eq!(status(&format!("self/task/{id}")), ["2", "1", nothing, nothing]);
        assert!(!is_confined());
        let output = fs::File::create(folder.join("status")).unwrap();
        let program = Program {
            arguments: ["/bin/cat", "/proc/self/status"].map(Into::into).to_vec(),
            output: Some(output.as_fd()),
            ..Program::default()
        };
        spawn(&program).unwrap().wait().unwrap();
        let shown = fs::read_to_string(folder.join("status")).unwrap();
        let value = |name| shown.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        assert_eq!(SHOWN.map(value), before, "as this thread is");
        drop(ends);
        thread.join().unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
