//! Starting a program: directly in its cgroup, with its own `/etc/hosts` if asked, and otherwise as a shell would.
//!
//! Owns: what a program is and how it ended. Owns not: the steps between clone and exec (`sys::launch`), and which cgroup it gets.

use crate::{
    KernelError,
    sys::launch::{Executable, Launch, Step, launch},
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getegid, geteuid, pidfd_send_signal, waitid};
use std::{
    ffi::{CString, OsString},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

/// A program to start. Standard streams and other inherited descriptors stay as they are.
#[derive(Debug)]
pub struct Program<'a> {
    /// Its name and arguments. A name without a slash is looked for in `PATH` of `environment`.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it starts, if not here.
    pub directory: Option<PathBuf>,
    /// A file that it sees as `/etc/hosts`, by a mount namespace of its own (and a user namespace where we are not root).
    pub hosts: Option<PathBuf>,
    /// The cgroup in which it starts: there is no moment at which it is elsewhere.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// A started process. It must be waited for.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: OwnedFd,
}

/// Starts a program. When this returns it runs.
///
/// # Errors
/// [`KernelError::Execute`] if there is no such program or it cannot be executed; [`KernelError::Namespace`] if it cannot have its own
/// `/etc/hosts` (it can be started without); [`KernelError::Spawn`].
pub fn spawn(program: &Program<'_>) -> Result<Child, KernelError> {
    let name =
        program.arguments.first().ok_or_else(|| KernelError::Spawn(io::ErrorKind::InvalidInput.into()))?;
    let launch = Launch {
        program: Some(Executable {
            candidates: candidates(name, &program.environment)?,
            arguments: program
                .arguments
                .iter()
                .map(|argument| text(argument.as_bytes()))
                .collect::<Result<_, _>>()?,
            environment: program
                .environment
                .iter()
                .map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
                .collect::<Result<_, _>>()?,
        }),
        directory: program.directory.as_deref().map(path_text).transpose()?,
        hosts: program.hosts.as_deref().map(path_text).transpose()?,
        user_namespace: user_namespace(program.hosts.as_deref())?,
    };
    start(&launch, program.cgroup, &name.to_string_lossy())
}

/// Does all that [`spawn`] does except for executing something: can it be done here?
pub(crate) fn rehearse(hosts: Option<&Path>, cgroup: Option<BorrowedFd<'_>>) -> Result<(), KernelError> {
    let launch = Launch {
        program: None,
        directory: None,
        hosts: hosts.map(path_text).transpose()?,
        user_namespace: user_namespace(hosts)?,
    };
    start(&launch, cgroup, "nothing")?.wait().map(drop).map_err(KernelError::Spawn)
}

/// The identity map of a user namespace in which an ordinary user may mount; none if nothing is to be mounted, or root mounts.
fn user_namespace(hosts: Option<&Path>) -> Result<Option<(CString, CString)>, KernelError> {
    if hosts.is_none() || crate::is_root() {
        return Ok(None);
    }
    let itself = |id: u32| text(format!("{id} {id} 1").as_bytes());
    Ok(Some((itself(geteuid().as_raw())?, itself(getegid().as_raw())?)))
}

fn start(wanted: &Launch, cgroup: Option<BorrowedFd<'_>>, name: &str) -> Result<Child, KernelError> {
    let launched = launch(wanted, cgroup).map_err(|source| {
        let is_of_namespaces = source.raw_os_error().is_some_and(|number| NAMESPACE_ERRORS.contains(&number));
        if wanted.hosts.is_some() && is_of_namespaces {
            KernelError::Namespace(source)
        } else {
            KernelError::Spawn(source)
        }
    })?;
    let child = Child { pid: launched.pid, pidfd: launched.pidfd };
    let Some((step, source)) = launched.failure else { return Ok(child) };
    child.wait().map_err(KernelError::Spawn)?;
    Err(match step {
        Step::Namespace => KernelError::Namespace(source),
        Step::Directory => KernelError::Spawn(source),
        Step::Execute => KernelError::Execute { program: name.to_owned(), source },
    })
}

/// With these `clone3` itself refuses to make namespaces: no right to, as many as there may be, none in this kernel. A cgroup is refused
/// by others (`EACCES`, `EBUSY`, `ENODEV`, `EOPNOTSUPP`).
const NAMESPACE_ERRORS: [i32; 4] = [libc::EPERM, libc::ENOSPC, libc::EUSERS, libc::EINVAL];

/// Where a program may be, as execvp(3) looks for it.
fn candidates(name: &OsString, environment: &[(OsString, OsString)]) -> Result<Vec<CString>, KernelError> {
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![text(name.as_bytes())?]);
    }
    let path = environment
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or(b"/usr/local/bin:/usr/bin:/bin".as_slice(), |(_, path)| path.as_bytes());
    path.split(|byte| *byte == b':')
        .map(|directory| if directory.is_empty() { b".".as_slice() } else { directory })
        .map(|directory| text(&[directory, b"/", name.as_bytes()].concat()))
        .collect()
}

fn text(bytes: &[u8]) -> Result<CString, KernelError> {
    CString::new(bytes)
        .map_err(|error| KernelError::Spawn(io::Error::new(io::ErrorKind::InvalidInput, error)))
}

fn path_text(path: &Path) -> Result<CString, KernelError> {
    text(&path.as_os_str().to_owned().into_vec())
}

impl Child {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// A descriptor that becomes readable when it ends.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Sends it a signal by number. That it has ended is no error.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`; an unknown number is `InvalidInput`.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(number).ok_or(io::ErrorKind::InvalidInput)?;
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it ends; blocks.
    ///
    /// # Errors
    /// As `waitid(2)`.
    pub fn wait(&self) -> io::Result<Ended> {
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    return Ok(match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => Ended::Exited(code),
                        (None, Some(signal)) => Ended::Killed(signal),
                        (None, None) => continue,
                    });
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Asks a process to end (SIGTERM). Only for children that were not waited for yet: other ids may be used again.
///
/// # Errors
/// As `kill(2)`.
pub fn terminate(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, Signal::TERM)?)
}

/// Does a process with this id exist? For tests and best-effort messages only: ids are used again.
pub fn exists(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(arguments: &[&str]) -> Program<'static> {
        Program {
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("COLOUR".into(), "blue".into())],
            directory: None,
            hosts: None,
            cgroup: None,
        }
    }

    fn run(arguments: &[&str]) -> Ended {
        spawn(&program(arguments)).unwrap().wait().unwrap()
    }

    #[test]
    fn status_signal_and_environment_are_the_programs() {
        assert_eq!(run(&["true"]), Ended::Exited(0));
        assert_eq!(run(&["sh", "-c", "exit 7"]), Ended::Exited(7));
        assert_eq!(run(&["sh", "-c", "kill -TERM $$"]), Ended::Killed(15));
        assert_eq!(run(&["sh", "-c", "test \"$COLOUR\" = blue"]), Ended::Exited(0));
    }

    #[test]
    fn what_cannot_be_executed_says_why() {
        let kind = |arguments: &[&str]| match spawn(&program(arguments)) {
            Err(KernelError::Execute { source, .. }) => source.kind(),
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(&["no-such-program"]), io::ErrorKind::NotFound);
        assert_eq!(kind(&["/etc/passwd"]), io::ErrorKind::PermissionDenied);
        assert_eq!(kind(&["/no/such/program"]), io::ErrorKind::NotFound);
        assert_eq!(kind(&["/"]), io::ErrorKind::PermissionDenied);
        assert!(spawn(&program(&["a\0b"])).is_err());
        assert!(spawn(&program(&[])).is_err());
    }
}
