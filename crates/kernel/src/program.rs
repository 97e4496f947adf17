//! Starting a program: directly in its cgroup, and otherwise as a shell would, or apart from us and with less rights.
//!
//! Owns: what a program is. Owns not: the steps between clone and exec (`sys::child`), which cgroup it gets, and what becomes of its
//! process (`process`).

use crate::{
    KernelError, Landlock, Process,
    sys::{
        self,
        launch::{Executable, Launch, Variable, launch},
    },
};
use rustix::process::{Resource, getegid, geteuid, getrlimit};
use std::{
    ffi::{CString, OsString},
    fmt, io,
    os::{
        fd::BorrowedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

pub use crate::sys::launch::Step;

/// A program to start. What is not said is as it is with us.
#[derive(Default)]
pub struct Program<'a> {
    /// Its name and arguments. A name without a slash is looked for in `PATH` of `environment`.
    pub arguments: Vec<OsString>,
    /// Its whole environment. Copies that are made of it are overwritten; this one is for its owner to overwrite.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it starts, if not here.
    pub directory: Option<PathBuf>,
    /// A file that it sees as `/etc/hosts`, by a mount namespace of its own (and a user namespace where we are not root).
    pub hosts: Option<PathBuf>,
    /// What else it sees in other places, by the same namespace.
    pub binds: Vec<Bind>,
    /// The cgroup in which it starts: there is no moment at which it is elsewhere.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Files `cgroup.procs` of other hierarchies, open for writing: it joins these cgroups before anything else.
    pub joins: Vec<BorrowedFd<'a>>,
    /// The user namespace that it enters first: that of its network, where it is not ours.
    pub users: Option<BorrowedFd<'a>>,
    /// The network namespace in which it runs.
    pub network: Option<BorrowedFd<'a>>,
    /// The user that it becomes, for good.
    pub account: Option<Account>,
    /// Detached: its standard output and error go here, its standard input is empty or [`Program::input`], and it has no other descriptor of ours; it has a
    /// session of its own, no ignored signal, and the files that it makes are its user's alone.
    pub output: Option<BorrowedFd<'a>>,
    /// What a detached program reads.
    pub input: Option<BorrowedFd<'a>>,
    /// What it may use.
    pub resources: Option<Resources>,
    /// The Landlock domain that it is put under.
    pub landlock: Option<&'a Landlock>,
}

impl fmt::Debug for Program<'_> {
    /// Without the values of its environment, which are secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("Program")
            .field("arguments", &self.arguments)
            .field("environment", &names)
            .field("directory", &self.directory)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// A file or directory that a program sees in another place. What is there of the kind for everybody else, it does not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// What is seen.
    pub source: PathBuf,
    /// Where: something of the same kind must be there.
    pub target: PathBuf,
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

/// Starts a program. When this returns it runs.
///
/// # Errors
/// [`KernelError::Execute`] if there is no such program or it cannot be executed; [`KernelError::Namespace`] if it cannot have its own
/// `/etc/hosts` or what else is to be seen (it can be started without); [`KernelError::Prepare`] if another step failed; [`KernelError::Spawn`].
pub fn spawn(program: &Program<'_>) -> Result<Process, KernelError> {
    let (launch, name) = complete(program)?;
    start(&launch, program.cgroup, &name)
}

/// Replaces this process's program, which must have one thread only, as [`spawn`] would start it; its cgroup stays the one it has. Comes
/// back only if that fails.
///
/// For a server of an ordinary user that may not be dumped: what it starts may not make namespaces before it executes something else,
/// so it starts a program that does nothing but this.
pub fn replace(program: &Program<'_>) -> KernelError {
    match complete(program) {
        Ok((launch, name)) => {
            let (step, source) = sys::launch::replace(&launch);
            failed(step, source, &name)
        }
        Err(error) => error,
    }
}

/// A program with all that is to be done before it runs, and its name.
fn complete<'a>(program: &Program<'a>) -> Result<(Launch<'a>, String), KernelError> {
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
            .map(|(name, value)| Variable::new(name.as_bytes(), value.as_bytes()).ok_or_else(with_zero))
            .collect::<Result<_, _>>()?,
    };
    let name = name.to_string_lossy().into_owned();
    Ok((Launch { program: Some(executable), ..prepared(program)? }, name))
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
        binds: binds(program)?,
        user_namespace: user_namespace(program)?,
        joins: program.joins.clone(),
        users: program.users,
        network: program.network,
        output: program.output,
        input: program.input,
        limits: program.resources.map(Resources::limits).unwrap_or_default(),
        account: program.account.map(|account| (account.uid, account.gid)),
        landlock: program.landlock.map(Landlock::ruleset),
    })
}

/// What is bind-mounted, and where.
fn binds(program: &Program<'_>) -> Result<Vec<(CString, CString)>, KernelError> {
    let hosts = program.hosts.as_deref().map(|hosts| (hosts, Path::new("/etc/hosts")));
    let others = program.binds.iter().map(|bind| (&*bind.source, &*bind.target));
    hosts.into_iter().chain(others).map(|(from, to)| Ok((path_text(from)?, path_text(to)?))).collect()
}

/// The identity map of a user namespace in which an ordinary user may mount; none if nothing is to be mounted, or root mounts.
fn user_namespace(program: &Program<'_>) -> Result<Option<(CString, CString)>, KernelError> {
    if (program.hosts.is_none() && program.binds.is_empty()) || crate::is_root() {
        return Ok(None);
    }
    let itself = |id: u32| text(format!("{id} {id} 1").as_bytes());
    Ok(Some((itself(geteuid().as_raw())?, itself(getegid().as_raw())?)))
}

fn start(wanted: &Launch<'_>, cgroup: Option<BorrowedFd<'_>>, name: &str) -> Result<Process, KernelError> {
    let launched = launch(wanted, cgroup).map_err(|source| {
        let is_of_namespaces = source.raw_os_error().is_some_and(|number| NAMESPACE_ERRORS.contains(&number));
        if !wanted.binds.is_empty() && is_of_namespaces {
            KernelError::Namespace(source)
        } else {
            KernelError::Spawn(source)
        }
    })?;
    let child = Process::started(launched.pid, launched.pidfd);
    let Some((step, source)) = launched.failure else { return Ok(child) };
    child.wait().map_err(KernelError::Spawn)?;
    Err(failed(step, source, name))
}

fn failed(step: Step, source: io::Error, name: &str) -> KernelError {
    match step {
        Step::Namespace => KernelError::Namespace(source),
        Step::Execute => KernelError::Execute { program: name.to_owned(), source },
        step => KernelError::Prepare { step, source },
    }
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
    CString::new(bytes).map_err(|_| with_zero())
}

/// The library's own error would hold the text.
fn with_zero() -> KernelError {
    KernelError::Spawn(io::Error::new(
        io::ErrorKind::InvalidInput,
        "a zero byte in an argument, a variable or a path",
    ))
}

fn path_text(path: &Path) -> Result<CString, KernelError> {
    text(&path.as_os_str().to_owned().into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ended;
    use std::{fs, os::fd::AsFd};

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

    /// The child has our memory until its program runs, and becomes another user there.
    #[test]
    fn who_starts_a_program_stays_as_it_was_and_the_program_begins_anew() {
        use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
        let blocked = || {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            status.lines().find(|line| line.starts_with("SigBlk:")).unwrap().to_owned()
        };
        let (signals, own) = (blocked(), std::process::id());
        let account = crate::is_root().then(|| Account::new(20_001, 20_002).unwrap());
        let started = |script: &str| {
            let program = Program { account, directory: Some("/".into()), ..program(&["sh", "-c", script]) };
            spawn(&program).unwrap().wait().unwrap()
        };
        // With a copy; and with our memory, as a hardened server does it: only root's tests bear to be so for a moment.
        let behaviors = [DumpableBehavior::Dumpable, DumpableBehavior::NotDumpable];
        for behavior in behaviors.into_iter().take(if crate::is_root() { 2 } else { 1 }) {
            set_dumpable_behavior(behavior).unwrap();
            assert_eq!(started(r"grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status"), Ended::Exited(0));
            // Its own, as it may be looked into; ours it may not look into.
            assert_eq!(started("cat /proc/self/environ"), Ended::Exited(0));
            if account.is_some() {
                assert_ne!(started(&format!("cat /proc/{own}/environ")), Ended::Exited(0));
            }
            assert_eq!(dumpable_behavior().unwrap(), behavior);
            assert_eq!(blocked(), signals);
        }
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
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
    fn what_it_sees_in_another_place_nobody_else_sees() {
        if !crate::is_root() {
            return println!("skipped: as root a program mounts without a user namespace");
        }
        let own = std::env::temp_dir().join(format!("keyless-binds-{}", std::process::id()));
        let (source, target) = (own.join("source"), own.join("target"));
        for directory in [&source, &target] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(source.join("here"), "").unwrap();
        let looking = |target: &Path, name: &str| Program {
            binds: vec![Bind { source: source.clone(), target: target.to_owned() }],
            ..program(&["test", "-e", &target.join(name).to_string_lossy()])
        };
        assert_eq!(spawn(&looking(&target, "here")).unwrap().wait().unwrap(), Ended::Exited(0));
        assert_eq!(spawn(&looking(&target, "there")).unwrap().wait().unwrap(), Ended::Exited(1));
        assert!(!target.join("here").exists());
        let nowhere = spawn(&looking(&own.join("nowhere"), "here"));
        assert!(matches!(nowhere, Err(KernelError::Namespace(_))), "{nowhere:?}");
        fs::remove_dir_all(own).unwrap();
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
    fn an_environment_is_in_no_debug_text_and_no_error() {
        let mut program = program(&["true"]);
        let secret = "a\0secret";
        program.environment.push(("TOKEN".into(), secret.into()));
        let text = format!("{program:?}");
        assert!(text.contains("TOKEN") && !text.contains("secret") && !text.contains("blue"), "{text}");
        let error = spawn(&program).unwrap_err();
        let bytes = format!("{:?}", b"secret".as_slice());
        assert!(!format!("{error:?}").contains(bytes.trim_matches(['[', ']'])), "{error:?}");
    }

    /// Looks for it everywhere in this process's own memory, where it is only behind a mask otherwise.
    #[test]
    fn an_environment_is_left_nowhere_in_memory() {
        use std::os::unix::fs::FileExt;
        const HIDDEN: [u8; 24] = *b"kbpqzjvwxkqzmbvjgxqwzkpv";
        const MASK: u8 = 0x15;
        // So often that what the allocator does with memory that is free again leaves some of it.
        const TIMES: usize = 2_000;
        let is_it = |bytes: &[u8]| bytes.iter().zip(HIDDEN).all(|(byte, hidden)| *byte == hidden ^ MASK);
        let mut part = vec![0; 1 << 16];
        let mut count = || {
            let (maps, memory) = (fs::read_to_string("/proc/self/maps"), fs::File::open("/proc/self/mem"));
            let (maps, memory) = (maps.unwrap(), memory.unwrap());
            // What was read is found where it was read to, which does not count.
            let own = part.as_ptr_range();
            let own = own.start as u64..own.end as u64;
            let mut found = 0;
            for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
                let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
                let [from, to] = [from, to].map(|number| u64::from_str_radix(number, 16).unwrap());
                // With an overlap: it may lie across the end of a part.
                for from in (from..to).step_by(part.len() + 1 - HIDDEN.len()) {
                    let length = part.len().min(usize::try_from(to - from).unwrap());
                    if memory.read_exact_at(&mut part[..length], from).is_ok() {
                        let places = part[..length].windows(HIDDEN.len()).enumerate();
                        let places = places.filter(|(_, bytes)| is_it(bytes)).map(|(at, _)| from + at as u64);
                        found += places.filter(|place| !own.contains(place)).count();
                    }
                    sys::wipe(&mut part);
                }
            }
            found
        };
        let mut program = program(&["true"]);
        let mut value = HIDDEN.repeat(TIMES);
        value.iter_mut().for_each(|byte| *byte ^= MASK);
        program.environment.push(("TOKEN".into(), OsString::from_vec(value)));
        assert_eq!(count(), TIMES, "this one, or the test shows nothing");
        assert_eq!(spawn(&program).unwrap().wait().unwrap(), Ended::Exited(0));
        assert_eq!(count(), TIMES);
    }

    #[test]
    fn no_account_is_root_or_leaves_root_as_it_is() {
        for (uid, gid) in [(0, 1), (1, 0), (0, 0), (u32::MAX, 1), (1, u32::MAX)] {
            assert_eq!(Account::new(uid, gid), None);
        }
        let account = Account::new(20_001, 20_002).unwrap();
        assert_eq!((account.uid(), account.gid()), (20_001, 20_002));
    }
}
