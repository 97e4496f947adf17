//! Making a process directly in its cgroup: `clone3(CLONE_INTO_CGROUP | CLONE_PIDFD)`, Linux 5.7.
//!
//! Between the clone and `execve` the child is a copy of a process with many threads of which only one is there: whatever lock another
//! held stays held, and glibc's wrappers that speak to other threads wait for ever. So the child makes raw system calls only, on memory
//! that was made before, and allocates nothing.

use super::check;
use std::{
    ffi::{CStr, CString},
    io,
    mem::{MaybeUninit, size_of},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

/// Everything that a new process needs.
pub(crate) struct Launch {
    /// What to execute. Without, the process prepares everything and ends: a rehearsal.
    pub(crate) program: Option<Executable>,
    /// Where to start, if not here.
    pub(crate) directory: Option<CString>,
    /// Bind-mounted over `/etc/hosts` in a mount namespace of its own.
    pub(crate) hosts: Option<CString>,
    /// The identity map of a user namespace (`uid_map`, `gid_map`), for mounting without privilege.
    pub(crate) user_namespace: Option<(CString, CString)>,
}

/// A program as `execve` wants it.
pub(crate) struct Executable {
    /// Paths to try in turn.
    pub(crate) candidates: Vec<CString>,
    /// Its arguments, its name first.
    pub(crate) arguments: Vec<CString>,
    /// Its whole environment.
    pub(crate) environment: Vec<CString>,
}

/// The step of a new process that failed, in its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Namespace = 0,
    Directory = 1,
    Execute = 2,
}

/// What became of a launch.
pub(crate) struct Launched {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// Set if the process ended before the program ran; it must still be waited for.
    pub(crate) failure: Option<(Step, io::Error)>,
}

/// `struct clone_args` of `linux/sched.h`.
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
/// Signals that we handle are as at first in the child; those that are ignored stay so, as `nohup` wants it.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
/// Bytes of the kernel's set of signals (`sigset_t` of glibc is larger).
const SIGNAL_SET_BYTES: usize = 8;
/// What the child says of a failure: the step, three zeros, the error's number.
const REPORT_BYTES: usize = 8;
/// Interprets a script that does not name its interpreter, as `execvp(3)` does.
const SHELL: &CStr = c"/bin/sh";

/// The null-terminated arrays of an [`Executable`], pointing into it.
struct Arrays {
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    /// For each candidate: what the shell is told to interpret it.
    scripts: Vec<Vec<*const libc::c_char>>,
}

impl Arrays {
    fn of(program: &Executable) -> Self {
        let array = |strings: &[CString]| -> Vec<_> {
            strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
        };
        let script = |candidate: &CString| -> Vec<_> {
            let arguments = program.arguments.iter().skip(1).map(|argument| argument.as_ptr());
            [SHELL.as_ptr(), candidate.as_ptr()].into_iter().chain(arguments).chain([ptr::null()]).collect()
        };
        Self {
            arguments: array(&program.arguments),
            environment: array(&program.environment),
            scripts: program.candidates.iter().map(script).collect(),
        }
    }
}

/// Starts a process directly in a cgroup (no moment outside of it) and waits until its program runs or has failed to.
pub(crate) fn launch(launch: &Launch, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Launched> {
    let program = launch.program.as_ref().map(|program| (program, Arrays::of(program)));
    let (report, told) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut pidfd: i32 = -1;
    let mut clone = CloneArguments {
        flags: libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND,
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
    // `child`, which keeps to raw system calls on what was made before.
    let cloned = check(unsafe {
        libc::syscall(libc::SYS_clone3, ptr::from_mut(&mut clone), size_of::<CloneArguments>())
    });
    if let Ok(0) = cloned {
        // SAFETY: this is the child; all pointers are into memory that it has a copy of.
        unsafe { child(launch, program.as_ref(), told.as_raw_fd()) }
    }
    let pid = i32::try_from(cloned?).map_err(io::Error::other)?;
    drop(told);
    // SAFETY: CLONE_PIDFD has made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let mut told = [0; REPORT_BYTES];
    let failure = match read_fully(&report, &mut told)? {
        REPORT_BYTES => {
            let [step, _, _, _, number @ ..] = told;
            let step = match step {
                0 => Step::Namespace,
                1 => Step::Directory,
                _ => Step::Execute,
            };
            Some((step, io::Error::from_raw_os_error(i32::from_ne_bytes(number))))
        }
        // The pipe was closed by a successful execve, or by the end of a rehearsal.
        _ => None,
    };
    Ok(Launched { pid, pidfd, failure })
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

/// The new process, until its program replaces it.
///
/// # Safety
/// Only in the child of [`launch`], with arrays that point into `launch`.
unsafe fn child(launch: &Launch, program: Option<&(&Executable, Arrays)>, told: i32) -> ! {
    // SAFETY: raw system calls on live null-terminated strings and arrays of them.
    unsafe {
        if let Err((step, number)) = prepare(launch).and_then(|()| execute(program)) {
            let number = number.to_ne_bytes();
            let report = [step as u8, 0, 0, 0, number[0], number[1], number[2], number[3]];
            libc::syscall(libc::SYS_write, told, report.as_ptr(), report.len());
        }
        loop {
            libc::syscall(libc::SYS_exit_group, i32::from(program.is_some()) * 127);
        }
    }
}

/// The step that failed, and the error's number.
type Failed = (Step, i32);

/// Remembers the error of a raw system call. `errno` is the thread's own, of which the child has a copy.
fn step(step: Step, result: libc::c_long) -> Result<libc::c_long, Failed> {
    // SAFETY: the pointer is always valid.
    if result < 0 { Err((step, unsafe { *libc::__errno_location() })) } else { Ok(result) }
}

/// # Safety
/// As [`child`].
unsafe fn prepare(launch: &Launch) -> Result<(), Failed> {
    // SAFETY: as the caller promises.
    unsafe {
        if let Some((users, groups)) = &launch.user_namespace {
            // A user may map groups only after giving up to change them.
            write_file(c"/proc/self/setgroups", c"deny")?;
            write_file(c"/proc/self/uid_map", users)?;
            write_file(c"/proc/self/gid_map", groups)?;
        }
        if let Some(hosts) = &launch.hosts {
            let mount = |source: *const libc::c_char, target: &CStr, flags: libc::c_ulong| {
                let none = ptr::null::<libc::c_char>();
                let result = libc::syscall(libc::SYS_mount, source, target.as_ptr(), none, flags, none);
                step(Step::Namespace, result)
            };
            // Slave: mounts of the host still appear here, ours never there.
            mount(ptr::null(), c"/", libc::MS_REC | libc::MS_SLAVE)?;
            mount(hosts.as_ptr(), c"/etc/hosts", libc::MS_BIND)?;
        }
        if let Some(directory) = &launch.directory {
            step(Step::Directory, libc::syscall(libc::SYS_chdir, directory.as_ptr()))?;
        }
        // Rust ignores SIGPIPE, and a runtime may block signals; a program expects neither. All zero is the default action, in every
        // architecture's layout of `struct sigaction`.
        let default = MaybeUninit::<[u64; 8]>::zeroed();
        let none = [0_u8; SIGNAL_SET_BYTES];
        let nothing = ptr::null_mut::<u8>();
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGPIPE, default.as_ptr(), nothing, SIGNAL_SET_BYTES);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, none.as_ptr(), nothing, SIGNAL_SET_BYTES);
        Ok(())
    }
}

/// Comes back only if nothing could be executed, or there was nothing to execute.
///
/// # Safety
/// As [`child`].
unsafe fn execute(program: Option<&(&Executable, Arrays)>) -> Result<(), Failed> {
    let Some((program, arrays)) = program else { return Ok(()) };
    let environment = arrays.environment.as_ptr();
    // As execvp(3): what is found but may not be executed is remembered, and the search goes on.
    let mut failed = libc::ENOENT;
    for (candidate, script) in program.candidates.iter().zip(&arrays.scripts) {
        let execve = |path: *const libc::c_char, arguments: *const *const libc::c_char| {
            // SAFETY: as the caller promises.
            step(Step::Execute, unsafe { libc::syscall(libc::SYS_execve, path, arguments, environment) })
        };
        match execve(candidate.as_ptr(), arrays.arguments.as_ptr()) {
            Err((_, libc::EACCES)) => failed = libc::EACCES,
            Err((_, libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT)) => {}
            Err((_, libc::ENOEXEC)) => return execve(SHELL.as_ptr(), script.as_ptr()).map(drop),
            other => return other.map(drop),
        }
    }
    Err((Step::Execute, failed))
}

/// Writes a whole small file.
///
/// # Safety
/// As [`child`].
unsafe fn write_file(path: &CStr, content: &CStr) -> Result<(), Failed> {
    let bytes = content.to_bytes();
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: live strings; the descriptor is ours and closed once.
    unsafe {
        let file =
            step(Step::Namespace, libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0))?;
        let written =
            step(Step::Namespace, libc::syscall(libc::SYS_write, file, bytes.as_ptr(), bytes.len()));
        libc::syscall(libc::SYS_close, file);
        written.map(drop)
    }
}
