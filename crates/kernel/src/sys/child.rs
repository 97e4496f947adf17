//! What a new process does between `clone3` and `execve`.
//!
//! It has the memory of a process with many threads, or a copy of it (`birth`), and is none of them: whatever lock another holds may stay held,
//! and glibc's wrappers that speak to other threads (`setuid`, `setgroups`) would speak to those. So it makes raw system calls only, on memory
//! that was made before, writes to its own stack alone, and allocates nothing. `errno` is that of the thread that waits for it.
//!
//! The order matters. What needs the rights of the parent comes first: namespaces, cgroups, limits. Then it becomes its user, gives up to
//! gain rights, and is put under Landlock; its directory and program are looked for with no more rights than it has then.

use super::launch::{Arrays, Executable, Launch, REPORT_BYTES, SHELL, Step};
use std::{
    ffi::CStr,
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

/// Bytes of the kernel's set of signals (`sigset_t` of glibc is larger).
const SIGNAL_SET_BYTES: usize = 8;
/// Signals are numbered from 1 to this.
const SIGNALS: i32 = 64;
/// The file mode mask of a detached program: what it makes is its user's alone.
const PRIVATE: libc::mode_t = 0o077;
/// The first descriptor that is not a standard stream.
const FIRST_OTHER: u32 = 3;

/// What a new process is told.
pub(super) struct Birth<'a> {
    pub(super) launch: &'a Launch<'a>,
    /// The program, with arrays that point into `launch`.
    pub(super) program: Option<&'a (&'a Executable, Arrays)>,
    /// Where it says which step failed.
    pub(super) told: i32,
}

/// The new process, until its program replaces it.
///
/// # Safety
/// Only in the child of `birth::clone`, with a live [`Birth`].
pub(super) unsafe extern "C" fn run(birth: *const libc::c_void) -> ! {
    // SAFETY: as the caller promises. Raw system calls on live null-terminated strings and arrays of them.
    unsafe {
        let Birth { launch, program, told } = *birth.cast::<Birth<'_>>();
        if let Err((step, number)) = prepare(launch).and_then(|()| execute(program)) {
            let number = number.to_ne_bytes();
            let report: [u8; REPORT_BYTES] =
                [step as u8, 0, 0, 0, number[0], number[1], number[2], number[3]];
            libc::syscall(libc::SYS_write, told, report.as_ptr(), report.len());
        }
        loop {
            libc::syscall(libc::SYS_exit_group, i32::from(program.is_some()) * 127);
        }
    }
}

/// Replaces the program of this process. Comes back only if a step fails.
///
/// # Safety
/// With arrays that point into `launch`.
pub(super) unsafe fn prepare_and_execute(
    launch: &Launch<'_>,
    program: Option<&(&Executable, Arrays)>,
) -> Failed {
    // SAFETY: as the caller promises.
    match unsafe { prepare(launch).and_then(|()| execute(program)) } {
        Err(failed) => failed,
        // There was nothing to execute.
        Ok(()) => (Step::Execute, libc::ENOENT),
    }
}

/// The step that failed, and the error's number.
pub(super) type Failed = (Step, i32);

/// Remembers the error of a raw system call. `errno` is the thread's own that made the child.
fn step(step: Step, result: libc::c_long) -> Result<libc::c_long, Failed> {
    // SAFETY: the pointer is always valid.
    if result < 0 { Err((step, unsafe { *libc::__errno_location() })) } else { Ok(result) }
}

/// # Safety
/// As [`run`].
unsafe fn prepare(launch: &Launch<'_>) -> Result<(), Failed> {
    // SAFETY: as the caller promises.
    unsafe {
        for group in &launch.joins {
            // 0 is whoever writes it.
            let written = libc::syscall(libc::SYS_write, group.as_raw_fd(), c"0".as_ptr(), 1);
            step(Step::Join, written)?;
        }
        names(launch)?;
        if let Some(users) = launch.users {
            let entered = libc::syscall(libc::SYS_setns, users.as_raw_fd(), libc::CLONE_NEWUSER);
            step(Step::Network, entered)?;
        }
        if let Some(network) = launch.network {
            let entered = libc::syscall(libc::SYS_setns, network.as_raw_fd(), libc::CLONE_NEWNET);
            step(Step::Network, entered)?;
        }
        for (resource, limit) in &launch.limits {
            let (limit, before) = (ptr::from_ref(limit), ptr::null_mut::<libc::rlimit64>());
            step(Step::Limits, libc::syscall(libc::SYS_prlimit64, 0, *resource, limit, before))?;
        }
        if let Some(output) = launch.output {
            detach(output, launch.input)?;
        }
        if let Some((user, group)) = launch.account {
            become_user(user, group)?;
        }
        if launch.account.is_some() || launch.landlock.is_some() {
            let given_up = libc::syscall(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            step(Step::Account, given_up)?;
        }
        if let Some(ruleset) = launch.landlock {
            let restricted = libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0);
            step(Step::Landlock, restricted)?;
        }
        if let Some(directory) = &launch.directory {
            step(Step::Directory, libc::syscall(libc::SYS_chdir, directory.as_ptr()))?;
        }
        // Rust ignores SIGPIPE, and a runtime may block signals; a program expects neither. What else is ignored stays so, as `nohup`
        // wants it, unless the program is detached: then it was not started by hand.
        if launch.output.is_some() {
            (1..=SIGNALS).for_each(|signal| default_action(signal));
        } else {
            default_action(libc::SIGPIPE);
        }
        let none = [0_u8; SIGNAL_SET_BYTES];
        let nothing = ptr::null_mut::<u8>();
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, none.as_ptr(), nothing, SIGNAL_SET_BYTES);
        Ok(())
    }
}

/// An `/etc/hosts` of its own, and what else it is to see in another place.
///
/// # Safety
/// As [`run`].
unsafe fn names(launch: &Launch<'_>) -> Result<(), Failed> {
    // SAFETY: as the caller promises.
    unsafe {
        if let Some((users, groups)) = &launch.user_namespace {
            // A user may map groups only after giving up to change them.
            write_file(c"/proc/self/setgroups", c"deny")?;
            write_file(c"/proc/self/uid_map", users)?;
            write_file(c"/proc/self/gid_map", groups)?;
        }
        if !launch.binds.is_empty() {
            let mount = |source: *const libc::c_char, target: &CStr, flags: libc::c_ulong| {
                let none = ptr::null::<libc::c_char>();
                let result = libc::syscall(libc::SYS_mount, source, target.as_ptr(), none, flags, none);
                step(Step::Namespace, result)
            };
            // Slave: mounts of the host still appear here, ours never there.
            mount(ptr::null(), c"/", libc::MS_REC | libc::MS_SLAVE)?;
            for (source, target) in &launch.binds {
                mount(source.as_ptr(), target, libc::MS_BIND)?;
            }
        }
        Ok(())
    }
}

/// Leaves the parent's session, streams and descriptors.
///
/// # Safety
/// As [`run`].
unsafe fn detach(output: BorrowedFd<'_>, input: Option<BorrowedFd<'_>>) -> Result<(), Failed> {
    let output = output.as_raw_fd();
    // SAFETY: raw system calls on live strings; a descriptor that is closed is one of this process's own table.
    unsafe {
        let done = |result| step(Step::Output, result);
        done(libc::syscall(libc::SYS_setsid))?;
        for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
            done(if output == stream {
                libc::syscall(libc::SYS_fcntl, stream, libc::F_SETFD, 0)
            } else {
                libc::syscall(libc::SYS_dup3, output, stream, 0)
            })?;
        }
        let input = match input {
            Some(input) => input.as_raw_fd().into(),
            None => {
                let (flags, null) = (libc::O_RDONLY | libc::O_CLOEXEC, c"/dev/null".as_ptr());
                done(libc::syscall(libc::SYS_openat, libc::AT_FDCWD, null, flags, 0))?
            }
        };
        done(libc::syscall(libc::SYS_dup3, input, libc::STDIN_FILENO, 0))?;
        // Closed by `execve`, since the report of a failure goes by one of them until then.
        let closed = libc::syscall(libc::SYS_close_range, FIRST_OTHER, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        done(closed)?;
        libc::syscall(libc::SYS_umask, PRIVATE);
        Ok(())
    }
}

/// Becomes another user for good, with no other groups and no capability that outlives this.
///
/// # Safety
/// As [`run`].
unsafe fn become_user(user: u32, group: u32) -> Result<(), Failed> {
    // SAFETY: no pointers but an empty list.
    unsafe {
        let done = |result| step(Step::Account, result);
        done(libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()))?;
        done(libc::syscall(libc::SYS_setresgid, group, group, group))?;
        done(libc::syscall(libc::SYS_setresuid, user, user, user))?;
        // Until its program runs it has our memory, and is the user's by now: not to be traced, and to leave no core, whatever
        // `fs.suid_dumpable` says. Its program has this anew.
        done(libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
        // A service manager may have given us capabilities that go on through `execve`.
        let cleared =
            libc::syscall(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        done(cleared).map(drop)
    }
}

/// All zero is the default action, in every architecture's layout of `struct sigaction`. Where there is none to be set (SIGKILL,
/// SIGSTOP) there was none before.
///
/// # Safety
/// As [`run`].
unsafe fn default_action(signal: i32) {
    let (default, nothing) = (MaybeUninit::<[u64; 8]>::zeroed(), ptr::null_mut::<u8>());
    // SAFETY: the action is live, and larger than the kernel reads.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nothing, SIGNAL_SET_BYTES);
    }
}

/// Comes back only if nothing could be executed, or there was nothing to execute.
///
/// # Safety
/// As [`run`].
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
/// As [`run`].
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
