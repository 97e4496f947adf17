//! The stage: cgroups of this test's own, processes in them, and a folder for their sockets; all gone when the test ends, however it ends.

use kernel::{AppCgroup, Hierarchy, Placement, Process, Program};
use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The user that owns nothing here.
pub(crate) const OTHER_USER: u32 = 20_001;
const PATIENCE: Duration = Duration::from_secs(20);

/// Says that a test was not run, past the capture of test output: it must be seen. Fails where it may not be missing.
#[expect(clippy::disallowed_methods, reason = "a test asks how strict it has to be")]
pub(crate) fn skip(why: &str) {
    let is_required = std::env::var("KEYLESS_REQUIRE_KERNEL_TESTS").is_ok_and(|value| value == "1");
    assert!(!is_required, "KEYLESS_REQUIRE_KERNEL_TESTS=1, but {why}");
    not_here(why);
}

/// The same of what is about something that not every kernel has.
pub(crate) fn not_here(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _closed = writeln!(std::io::stderr(), "\nskipped: {name}: {why}");
}

/// A stage that only root can build.
pub(crate) fn as_root() -> Option<World> {
    if !kernel::is_root() {
        skip("needs root");
        return None;
    }
    World::new()
}

/// A stage as root, or as an ordinary user with a delegated cgroup.
pub(crate) fn as_anyone() -> Option<World> {
    World::new()
}

pub(crate) struct World {
    parent: PathBuf,
    folder: PathBuf,
    next: AtomicU32,
    cgroups: Mutex<Vec<Arc<AppCgroup>>>,
    actor: PathBuf,
}

impl World {
    fn new() -> Option<Self> {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let hierarchy = match Hierarchy::discover() {
            Ok(hierarchy) => hierarchy,
            Err(error) => {
                skip(&error.to_string());
                return None;
            }
        };
        let parent = match kernel::placement(&hierarchy) {
            Placement::Root { parent } | Placement::Delegated { parent } => parent,
            Placement::NotDelegated { why, .. } => {
                skip(&why);
                return None;
            }
        };
        let name = format!("thieves-{}-{}", std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        // Where the target directory is may be closed to other users. Copied by another process: a file that this one writes may be held
        // open by a child that another test is just starting, and is then too busy to be run.
        let actor = folder.join("thief");
        let mut copy = std::process::Command::new("install");
        copy.args(["-m", "755", env!("CARGO_BIN_EXE_thief")]).arg(&actor);
        assert!(copy.status().unwrap().success(), "the thief cannot be copied");
        let parent = Arc::new(AppCgroup::create(&parent, &name).unwrap());
        let path = parent.path().to_owned();
        Some(Self { parent: path, folder, next: AtomicU32::new(0), cgroups: Mutex::new(vec![parent]), actor })
    }

    /// A cgroup of its own below the stage's.
    pub(crate) fn cgroup(&self, name: &str) -> Arc<AppCgroup> {
        let cgroup = Arc::new(AppCgroup::create(&self.parent, name).unwrap());
        self.cgroups.lock().unwrap_or_else(PoisonError::into_inner).push(cgroup.clone());
        cgroup
    }

    /// Where files may lie that every user can read.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A process that starts in a cgroup.
    pub(crate) fn actor(&self, cgroup: &AppCgroup) -> Actor {
        self.actor_by(cgroup, &[])
    }

    /// The same as another user.
    pub(crate) fn actor_of_other_user(&self, cgroup: &AppCgroup) -> Actor {
        let user = OTHER_USER.to_string();
        self.actor_by(cgroup, &["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"])
    }

    /// The same, started by a command that is given it as its last arguments.
    pub(crate) fn actor_by(&self, cgroup: &AppCgroup, command: &[&str]) -> Actor {
        self.actor_with(cgroup, command, |_| ())
    }

    /// The same, as a program to which something is added.
    pub(crate) fn actor_with<'a>(
        &self,
        cgroup: &'a AppCgroup,
        command: &[&str],
        add: impl FnOnce(&mut Program<'a>),
    ) -> Actor {
        let call = self.call();
        let own = [self.actor.as_os_str().to_owned(), call.path.clone().into()];
        let mut program = Program {
            arguments: command.iter().map(OsString::from).chain(own).collect(),
            environment: vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())],
            cgroup: Some(cgroup.directory()),
            ..Program::default()
        };
        add(&mut program);
        let child = kernel::spawn(&program).unwrap();
        call.answered(Started::Spawned(child))
    }

    /// A process with this socket as its standard input, which joins a cgroup before it is the actor.
    pub(crate) fn actor_with_stdin(&self, cgroup: &AppCgroup, stdin: std::os::fd::OwnedFd) -> Actor {
        let call = self.call();
        let child = std::process::Command::new("sh")
            .args(["-c", "echo 0 > \"$1/cgroup.procs\" && exec \"$2\" \"$3\"", "sh"])
            .args([cgroup.path(), &self.actor, &call.path])
            .stdin(stdin)
            .spawn()
            .unwrap();
        call.answered(Started::Command(child))
    }

    /// A place where an actor that somebody else starts can report.
    pub(crate) fn call(&self) -> Call {
        let path = self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Call { path, listener }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let cgroups = self.cgroups.get_mut().unwrap_or_else(PoisonError::into_inner);
        for cgroup in cgroups.iter().rev() {
            let ended = cgroup.kill().and_then(|()| cgroup.remove());
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
        let _left_to_the_system = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) struct Call {
    pub(crate) path: PathBuf,
    listener: UnixListener,
}

impl Call {
    fn answered(self, process: Started) -> Actor {
        self.listener.set_nonblocking(true).unwrap();
        let begin = Instant::now();
        let control = loop {
            match self.listener.accept() {
                Ok((control, _)) => break control,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "the actor does not report: {error}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        control.set_nonblocking(false).unwrap();
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        Actor { control: BufReader::new(control), process }
    }

    /// Waits for the report of an actor that another one starts, and ends.
    pub(crate) fn answered_by_foreign(self) -> Actor {
        self.answered(Started::Foreign)
    }
}

enum Started {
    Spawned(Process),
    Command(std::process::Child),
    Foreign,
}

/// A process that does what it is told.
pub(crate) struct Actor {
    control: BufReader<UnixStream>,
    process: Started,
}

impl Actor {
    /// The id of its process, if it was started here.
    pub(crate) fn id(&self) -> String {
        match &self.process {
            Started::Spawned(process) => process.id().to_string(),
            Started::Command(process) => process.id().to_string(),
            Started::Foreign => panic!("somebody else has started it"),
        }
    }

    /// Its process, of those that are started by `kernel`.
    pub(crate) fn process(&self) -> &Process {
        match &self.process {
            Started::Spawned(process) => process,
            _ => panic!("it was started by other means"),
        }
    }

    /// Is it still there? Of those that are started by `kernel`.
    pub(crate) fn is_running(&self) -> bool {
        !self.process().has_ended().unwrap()
    }

    /// Tells it; it succeeds.
    #[track_caller]
    pub(crate) fn tell(&mut self, command: &str) -> String {
        match self.attempt(command) {
            Ok(text) => text,
            Err(why) => panic!("{command}: {why}"),
        }
    }

    /// Tells it; it fails with an error of this kind.
    #[track_caller]
    pub(crate) fn fails(&mut self, command: &str, kind: &str) {
        let why = self.attempt(command).unwrap_err();
        assert_eq!(why.split(' ').next(), Some(kind), "{command}: {why}");
    }

    /// Tells it.
    pub(crate) fn attempt(&mut self, command: &str) -> Result<String, String> {
        self.begin(command);
        self.end()
    }

    /// Tells it, and does not wait.
    pub(crate) fn begin(&mut self, command: &str) {
        writeln!(self.control.get_mut(), "{command}").unwrap();
    }

    /// Waits until it has done what it was told.
    pub(crate) fn end(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap();
        match line.trim_end_matches('\n').split_once(' ') {
            Some(("ok", text)) => Ok(text.to_owned()),
            Some(("failed", why)) => Err(why.to_owned()),
            _ => panic!("the actor has ended: {line:?}"),
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // It ends when nobody tells it anything any more.
        let _ended_already = self.control.get_ref().shutdown(std::net::Shutdown::Both);
        match &mut self.process {
            Started::Spawned(child) => drop(child.wait()),
            Started::Command(child) => drop(child.wait()),
            Started::Foreign => {}
        }
    }
}
