//! Starting a program: directly in its cgroup, as a shell would, or apart from us and with less rights; and processes that were started.
//!
//! Owns: what a program is, how to find its process again, and how it ended. Owns not: the steps between clone and exec (`sys::child`),
//! and which cgroup it gets.

use crate::{
    KernelError, Landlock,
    sys::{
        self,
        launch::{Executable, Launch, launch},
    },
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{
        Pid, PidfdFlags, Resource, Signal, WaitId, WaitIdOptions, getegid, geteuid, getrlimit, pidfd_open,
        pidfd_send_signal, waitid,
    },
};
use std::{
    ffi::{CString, OsString},
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

pub use crate::sys::launch::Step;

/// A program to start. What is not said is as it is with us.
#[derive(Debug, Default)]
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
    /// Files `cgroup.procs` of other hierarchies, open for writing: it joins these cgroups before anything else.
    pub joins: Vec<BorrowedFd<'a>>,
    /// The network namespace in which it runs.
    pub network: Option<BorrowedFd<'a>>,
    /// The user that it becomes, for good.
    pub account: Option<Account>,
    /// Detached: its standard output and error go here, its standard input is empty, and it has no other descriptor of ours; it has a
    /// session of its own, no ignored signal, and the files that it makes are its user's alone.
    pub output: Option<BorrowedFd<'a>>,
    /// What it may use.
    pub resources: Option<Resources>,
    /// The Landlock domain that it is put under.
    pub landlock: Option<&'a Landlock>,
}

/// A user and group that a program runs as, with no other groups. Never root, and nothing that the kernel takes for "unchanged".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// None if one of them is root's, or no id at all.
    pub const fn new(uid: u32, gid: u32) -> Option<Self> {
        // `setresuid` leaves a user as it is for this number, which would be root.
        const UNCHANGED: u32 = u32::MAX;
        if uid == 0 || gid == 0 || uid == UNCHANGED || gid == UNCHANGED {
            return None;
        }
        Some(Self { uid, gid })
    }

    /// The user's id.
    pub const fn uid(self) -> u32 {
        self.uid
    }

    /// The group's id.
    pub const fn gid(self) -> u32 {
        self.gid
    }
}

/// Resource limits of a process, soft and hard (`getrlimit(2)`). With them it leaves no core dumps, whose content would be its secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Processes and threads that its user may have, whoever started them. Does not bind a program that runs as root.
    pub processes: Option<u64>,
    /// Descriptors that it may have open. No more than we may have.
    pub files: Option<u64>,
}

impl Resources {
    fn limits(self) -> Vec<(u32, libc::rlimit64)> {
        let limit = |number: u32, resource: Resource, value: u64| {
            // Raising is not everybody's right: no more than there may be.
            let value = getrlimit(resource).maximum.map_or(value, |most| value.min(most));
            (number, libc::rlimit64 { rlim_cur: value, rlim_max: value })
        };
        let core = limit(libc::RLIMIT_CORE, Resource::Core, 0);
        let processes = self.processes.map(|most| limit(libc::RLIMIT_NPROC, Resource::Nproc, most));
        let files = self.files.map(|most| limit(libc::RLIMIT_NOFILE, Resource::Nofile, most));
        [Some(core), processes, files].into_iter().flatten().collect()
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was not our child: only its parent is told how.
    Unseen,
}

/// A process: one that we started, which must be waited for, or one that was found again.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    pidfd: OwnedFd,
    start_time: Option<u64>,
    is_child: bool,
}

/// Starts a program. When this returns it runs.
///
/// # Errors
/// [`KernelError::Execute`] if there is no such program or it cannot be executed; [`KernelError::Namespace`] if it cannot have its own
/// `/etc/hosts` (it can be started without); [`KernelError::Prepare`] if another step failed; [`KernelError::Spawn`].
pub fn spawn(program: &Program<'_>) -> Result<Process, KernelError> {
    let name =
        program.arguments.first().ok_or_else(|| KernelError::Spawn(io::ErrorKind::InvalidInput.into()))?;
    let executable = Executable {
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
    };
    let launch = Launch { program: Some(executable), ..prepared(program)? };
    start(&launch, program.cgroup, &name.to_string_lossy())
}

/// Does all that [`spawn`] does except for executing something: can it be done here?
pub(crate) fn rehearse(program: &Program<'_>) -> Result<(), KernelError> {
    start(&prepared(program)?, program.cgroup, "nothing")?.wait().map(drop).map_err(KernelError::Spawn)
}

/// What is to be done before a program runs.
fn prepared<'a>(program: &Program<'a>) -> Result<Launch<'a>, KernelError> {
    Ok(Launch {
        program: None,
        directory: program.directory.as_deref().map(path_text).transpose()?,
        hosts: program.hosts.as_deref().map(path_text).transpose()?,
        user_namespace: user_namespace(program.hosts.as_deref())?,
        joins: program.joins.clone(),
        network: program.network,
        output: program.output,
        limits: program.resources.map(Resources::limits).unwrap_or_default(),
        account: program.account.map(|account| (account.uid, account.gid)),
        landlock: program.landlock.map(Landlock::ruleset),
    })
}

/// The identity map of a user namespace in which an ordinary user may mount; none if nothing is to be mounted, or root mounts.
fn user_namespace(hosts: Option<&Path>) -> Result<Option<(CString, CString)>, KernelError> {
    if hosts.is_none() || crate::is_root() {
        return Ok(None);
    }
    let itself = |id: u32| text(format!("{id} {id} 1").as_bytes());
    Ok(Some((itself(geteuid().as_raw())?, itself(getegid().as_raw())?)))
}

fn start(wanted: &Launch<'_>, cgroup: Option<BorrowedFd<'_>>, name: &str) -> Result<Process, KernelError> {
    let launched = launch(wanted, cgroup).map_err(|source| {
        let is_of_namespaces = source.raw_os_error().is_some_and(|number| NAMESPACE_ERRORS.contains(&number));
        if wanted.hosts.is_some() && is_of_namespaces {
            KernelError::Namespace(source)
        } else {
            KernelError::Spawn(source)
        }
    })?;
    // Its id is its own until it is waited for.
    let start_time = start_time(launched.pid).ok();
    let child = Process { pid: launched.pid, pidfd: launched.pidfd, start_time, is_child: true };
    let Some((step, source)) = launched.failure else { return Ok(child) };
    child.wait().map_err(KernelError::Spawn)?;
    Err(match step {
        Step::Namespace => KernelError::Namespace(source),
        Step::Execute => KernelError::Execute { program: name.to_owned(), source },
        step => KernelError::Prepare { step, source },
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

/// When a process started: clock ticks since boot (`proc_pid_stat(5)`, field 22).
fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat"))?;
    started(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The start time in a text of `/proc/PID/stat`. The second field is a name of the process's own choice, in parentheses.
fn started(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    // After the name comes field 3.
    let field =
        stat.get(name_end + 1..)?.split(|byte| *byte == b' ').filter(|field| !field.is_empty()).nth(19)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Tells boots apart: process ids and start times are only of one.
///
/// # Errors
/// As reading `/proc/sys/kernel/random/boot_id`.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

impl Process {
    /// Finds a process again that an earlier life of ours started in this boot. None if it has ended, also if its id is another's now.
    pub fn adopt(pid: u32, start_time: u64) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let found = self::start_time(pid).ok()?;
        // If it is there now, the id was its own when the time was read.
        let is_it = found == start_time && sys::is_there(pidfd.as_fd()) && !has_ended(pidfd.as_fd()).ok()?;
        is_it.then_some(Self { pid, pidfd, start_time: Some(found), is_child: false })
    }

    /// A process by its id, if it is still the one that was meant once it cannot become another.
    pub(crate) fn of_member(pid: u32, is_it: impl FnOnce() -> bool) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        is_it().then_some(Self { pid, pidfd, start_time: None, is_child: false })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// When it started, as [`Process::adopt`] wants it. None where `/proc` does not tell.
    pub fn start_time(&self) -> Option<u64> {
        self.start_time
    }

    /// A descriptor that becomes readable when it ends.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Has it ended? Does not block.
    ///
    /// # Errors
    /// As `poll(2)`.
    pub fn has_ended(&self) -> io::Result<bool> {
        has_ended(self.pidfd())
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
    /// As `waitid(2)` and `poll(2)`.
    pub fn wait(&self) -> io::Result<Ended> {
        if !self.is_child {
            while !is_readable(self.pidfd(), None)? {}
            return Ok(Ended::Unseen);
        }
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

fn has_ended(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    is_readable(pidfd, Some(&rustix::event::Timespec::default()))
}

/// Waits for so long, or as long as it takes; a pidfd is readable when its process has ended.
fn is_readable(pidfd: BorrowedFd<'_>, time: Option<&rustix::event::Timespec>) -> io::Result<bool> {
    match poll(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)], time) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
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
            ..Program::default()
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

    #[test]
    fn the_steps_that_fail_are_told_apart() {
        let null = fs::File::open("/dev/null").unwrap();
        let step = |program: Program<'_>| match spawn(&program) {
            Err(KernelError::Prepare { step, .. }) => step,
            other => panic!("{other:?}"),
        };
        let some = || program(&["true"]);
        assert_eq!(step(Program { directory: Some("/no/such".into()), ..some() }), Step::Directory);
        assert_eq!(step(Program { joins: vec![null.as_fd()], ..some() }), Step::Join);
        assert_eq!(step(Program { network: Some(null.as_fd()), ..some() }), Step::Network);
    }

    #[test]
    fn no_account_is_root_or_leaves_root_as_it_is() {
        for (uid, gid) in [(0, 1), (1, 0), (0, 0), (u32::MAX, 1), (1, u32::MAX)] {
            assert_eq!(Account::new(uid, gid), None);
        }
        let account = Account::new(20_001, 20_002).unwrap();
        assert_eq!((account.uid(), account.gid()), (20_001, 20_002));
    }

    #[test]
    fn a_process_is_found_again_while_it_runs_and_no_other_is_taken_for_it() {
        let child = spawn(&program(&["sleep", "60"])).unwrap();
        let (pid, time) = (child.id(), child.start_time().unwrap());
        assert!(Process::adopt(pid, time + 1).is_none(), "another of the same id");
        assert!(Process::adopt(pid, time - 1).is_none());
        let found = Process::adopt(pid, time).unwrap();
        assert_eq!((found.id(), found.start_time()), (pid, Some(time)));
        assert!(!found.has_ended().unwrap() && !child.has_ended().unwrap());
        found.signal(9).unwrap();
        assert_eq!(found.wait().unwrap(), Ended::Unseen);
        assert!(found.has_ended().unwrap() && child.has_ended().unwrap());
        assert!(Process::adopt(pid, time).is_none(), "it has ended, though nobody has waited for it yet");
        assert_eq!(child.wait().unwrap(), Ended::Killed(9));
        assert!(Process::adopt(pid, time).is_none());
        assert!(Process::adopt(0, time).is_none() && Process::adopt(u32::MAX, time).is_none());
    }

    #[test]
    fn a_process_whose_parent_was_killed_is_adopted() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let parent = Program {
            output: Some(write.as_fd()),
            ..program(&["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!; kill -9 $$"])
        };
        assert_eq!(spawn(&parent).unwrap().wait().unwrap(), Ended::Killed(9));
        drop(write);
        let pid: u32 = io::read_to_string(fs::File::from(read)).unwrap().trim().parse().unwrap();
        let time = start_time(i32::try_from(pid).unwrap()).unwrap();
        let orphan = Process::adopt(pid, time).unwrap();
        assert!(!orphan.has_ended().unwrap());
        orphan.signal(15).unwrap();
        assert_eq!(orphan.wait().unwrap(), Ended::Unseen);
    }

    #[test]
    fn a_start_time_is_read_after_whatever_name_a_process_gives_itself() {
        let after = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 424242 20";
        for name in ["sh", "a b", ") S 1 2", "((", "x) R 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9"] {
            assert_eq!(started(format!("7 ({name}) {after}\n").as_bytes()), Some(424_242), "{name}");
        }
        for damaged in ["", "7", "7 (sh)", "7 (sh) S 1 2"] {
            assert_eq!(started(damaged.as_bytes()), None, "{damaged}");
        }
        assert!(start_time(1).unwrap() < start_time(i32::try_from(std::process::id()).unwrap()).unwrap());
        assert_eq!(boot_id().unwrap().len(), 36);
    }
}
