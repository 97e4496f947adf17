//! Making a process directly in its cgroup: `clone3(CLONE_INTO_CGROUP | CLONE_PIDFD)`, Linux 5.7.
//!
//! Owns the parent's side. What the new process does until its program runs is in `child`, which uses what is made here.

use super::{birth, check, child, wipe};
use std::{
    ffi::{CStr, CString},
    io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

/// Everything that a new process needs.
#[derive(Default)]
pub(crate) struct Launch<'a> {
    /// What to execute. Without, the process prepares everything and ends: a rehearsal.
    pub(crate) program: Option<Executable>,
    /// Where to start, if not here.
    pub(crate) directory: Option<CString>,
    /// What is bind-mounted in a mount namespace of its own, and where.
    pub(crate) binds: Vec<(CString, CString)>,
    /// The identity map of a user namespace (`uid_map`, `gid_map`), for mounting without privilege.
    pub(crate) user_namespace: Option<(CString, CString)>,
    /// Files `cgroup.procs` into which it writes itself.
    pub(crate) joins: Vec<BorrowedFd<'a>>,
    /// The user namespace that it enters.
    pub(crate) users: Option<BorrowedFd<'a>>,
    /// The network namespace in which it runs.
    pub(crate) network: Option<BorrowedFd<'a>>,
    /// Where its standard output and error go; with it comes all that detaches it from us.
    pub(crate) output: Option<BorrowedFd<'a>>,
    /// Its standard input then, if that is not empty.
    pub(crate) input: Option<BorrowedFd<'a>>,
    /// Resource limits, soft and hard.
    pub(crate) limits: Vec<(u32, libc::rlimit64)>,
    /// User and group that it becomes.
    pub(crate) account: Option<(u32, u32)>,
    /// A Landlock ruleset that it is put under.
    pub(crate) landlock: Option<BorrowedFd<'a>>,
}

/// A program as `execve` wants it.
pub(crate) struct Executable {
    /// Paths to try in turn.
    pub(crate) candidates: Vec<CString>,
    /// Its arguments, its name first.
    pub(crate) arguments: Vec<CString>,
    /// Its whole environment.
    pub(crate) environment: Vec<Variable>,
}

/// `NAME=VALUE`, which is overwritten when it is dropped: an app's settings are its secrets.
pub(crate) struct Variable(Vec<u8>);

impl Variable {
    /// None if there is a zero byte in it.
    pub(crate) fn new(name: &[u8], value: &[u8]) -> Option<Self> {
        // At once as long as it gets: what grows leaves a copy behind.
        let mut text = Self(Vec::with_capacity(name.len() + value.len() + 2));
        for part in [name, b"=", value] {
            text.0.extend_from_slice(part);
        }
        if text.0.contains(&0) {
            return None;
        }
        text.0.push(0);
        Some(text)
    }

    fn as_ptr(&self) -> *const libc::c_char {
        self.0.as_ptr().cast()
    }
}

impl Drop for Variable {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// A step of a new process before its program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Its own `/etc/hosts`, and what else is to be seen elsewhere.
    Namespace,
    /// Joining cgroups of other hierarchies.
    Join,
    /// Entering its network namespace.
    Network,
    /// Its resource limits.
    Limits,
    /// Its own session, standard streams, and no other descriptors.
    Output,
    /// Becoming its user.
    Account,
    /// Its Landlock domain.
    Landlock,
    /// Entering its directory.
    Directory,
    /// Executing its program.
    Execute,
}

impl std::fmt::Display for Step {
    /// As what the process could not do.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Namespace => "give the program its own names",
            Self::Join => "have the program join the cgroups of its limits",
            Self::Network => "have the program enter its network namespace",
            Self::Limits => "set the program's resource limits",
            Self::Output => "give the program its standard streams",
            Self::Account => "run the program as its user",
            Self::Landlock => "put the program under Landlock",
            Self::Directory => "enter the program's directory",
            Self::Execute => "execute the program",
        })
    }
}

impl Step {
    /// From its number in a report; what is not one is the last step.
    fn of(number: u8) -> Self {
        [
            Self::Namespace,
            Self::Join,
            Self::Network,
            Self::Limits,
            Self::Output,
            Self::Account,
            Self::Landlock,
            Self::Directory,
        ]
        .into_iter()
        .find(|step| *step as u8 == number)
        .unwrap_or(Self::Execute)
    }
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
pub(super) struct CloneArguments {
    pub(super) flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}
const _: () = assert!(size_of::<CloneArguments>() == 88);

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Signals that we handle are as at first in the child; those that are ignored stay so, as `nohup` wants it.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
/// What the child says of a failure: the step, three zeros, the error's number.
pub(super) const REPORT_BYTES: usize = 8;
/// Interprets a script that does not name its interpreter, as `execvp(3)` does.
pub(super) const SHELL: &CStr = c"/bin/sh";

/// The null-terminated arrays of an [`Executable`], pointing into it.
pub(super) struct Arrays {
    pub(super) arguments: Vec<*const libc::c_char>,
    pub(super) environment: Vec<*const libc::c_char>,
    /// For each candidate: what the shell is told to interpret it.
    pub(super) scripts: Vec<Vec<*const libc::c_char>>,
}

impl Arrays {
    fn of(program: &Executable) -> Self {
        let array = |pointers: &mut dyn Iterator<Item = *const libc::c_char>| -> Vec<_> {
            pointers.chain([ptr::null()]).collect()
        };
        let script = |candidate: &CString| -> Vec<_> {
            let arguments = program.arguments.iter().skip(1).map(|argument| argument.as_ptr());
            [SHELL.as_ptr(), candidate.as_ptr()].into_iter().chain(arguments).chain([ptr::null()]).collect()
        };
        Self {
            arguments: array(&mut program.arguments.iter().map(|text| text.as_ptr())),
            environment: array(&mut program.environment.iter().map(Variable::as_ptr)),
            scripts: program.candidates.iter().map(script).collect(),
        }
    }
}

/// Starts a process directly in a cgroup (no moment outside of it) and waits until its program runs or has failed to.
pub(crate) fn launch(launch: &Launch<'_>, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Launched> {
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
    if !launch.binds.is_empty() {
        clone.flags |= libc::CLONE_NEWNS as u64;
    }
    if launch.user_namespace.is_some() {
        clone.flags |= libc::CLONE_NEWUSER as u64;
    }
    let birth = child::Birth { launch, program: program.as_ref(), told: told.as_raw_fd() };
    // SAFETY: the child runs only `child::run`, which keeps to raw system calls on what was made before; what it is told is live until its
    // program runs, or until it has a copy of it.
    let pid = unsafe { birth::clone(&mut clone, child::run, ptr::from_ref(&birth).cast()) }?;
    drop(told);
    // SAFETY: CLONE_PIDFD has made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let mut told = [0; REPORT_BYTES];
    let failure = match read_fully(&report, &mut told)? {
        REPORT_BYTES => {
            let [step, _, _, _, number @ ..] = told;
            Some((Step::of(step), io::Error::from_raw_os_error(i32::from_ne_bytes(number))))
        }
        // The pipe was closed by a successful execve, or by the end of a rehearsal.
        _ => None,
    };
    Ok(Launched { pid, pidfd, failure })
}

/// Does in this process what [`launch`] does in a new one. Comes back only if a step fails; those before it stay done.
pub(crate) fn replace(launch: &Launch<'_>) -> (Step, io::Error) {
    let mut namespaces = 0;
    if !launch.binds.is_empty() {
        namespaces |= libc::CLONE_NEWNS;
    }
    if launch.user_namespace.is_some() {
        namespaces |= libc::CLONE_NEWUSER;
    }
    if namespaces != 0 {
        // SAFETY: no pointers, and no memory is shared less than before.
        if let Err(error) = check(unsafe { libc::unshare(namespaces) }.into()) {
            return (Step::Namespace, error);
        }
    }
    let program = launch.program.as_ref().map(|program| (program, Arrays::of(program)));
    // SAFETY: all pointers are into `launch`, which is live.
    let (step, number) = unsafe { child::prepare_and_execute(launch, program.as_ref()) };
    (step, io::Error::from_raw_os_error(number))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reported_step_is_the_one_that_failed() {
        for step in 0..=Step::Execute as u8 {
            assert_eq!(Step::of(step) as u8, step);
        }
    }
}
