//! A server of the scenario's own: data directory, port, log, and the `keyless` commands against it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use crate::http::Https;
use crate::settings::{binary, setting};
use crate::temporary::TemporaryDirectory;
use crate::wait;

/// How a command of ours ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Its output, if it succeeded.
    ///
    /// # Panics
    /// When it did not, with all that it said.
    #[must_use]
    pub fn ok(self) -> String {
        assert!(self.code == Some(0), "exit {:?}\n{}\n{}", self.code, self.stdout, self.stderr);
        self.stdout
    }

    /// All that it said.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A registration with a secret, that may do nothing by itself.
#[derive(Debug)]
pub struct Registered {
    /// Its tenant.
    pub tenant: String,
    /// Its client id.
    pub client: String,
    /// Its secret.
    pub secret: String,
    /// Its principal.
    pub principal: String,
}

/// A running (or stopped) server and its directory.
#[derive(Debug)]
pub struct Server {
    directory: TemporaryDirectory,
    port: u16,
    child: Option<Child>,
    starts: u32,
    flags: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    building: Vec<(OsString, OsString)>,
    user: Option<u32>,
    cgroup: Option<Delegated>,
    /// A script of root's that makes another view of the file system, and becomes its arguments.
    view: Option<PathBuf>,
}

/// A cgroup that an ordinary user was given, as `systemd --user` does; gone when this is.
#[derive(Debug)]
struct Delegated(PathBuf);

impl Drop for Delegated {
    fn drop(&mut self) {
        // Apps run on when a server ends by SIGTERM: what a scenario has left of them ends with it.
        let _none_left = std::fs::write(self.0.join("cgroup.kill"), "1");
        let is_busy = || {
            let events = std::fs::read_to_string(self.0.join("cgroup.events"));
            events.is_ok_and(|events| events.contains("populated 1"))
        };
        for _wait in 0..200 {
            if !is_busy() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Deepest first.
        let mut folders = vec![self.0.clone()];
        let mut next = 0;
        while let Some(folder) = folders.get(next) {
            let inner: Vec<PathBuf> =
                std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            folders.extend(inner.into_iter().filter(|path| path.is_dir()));
            next += 1;
        }
        for folder in folders.iter().rev() {
            let _gone = std::fs::remove_dir(folder);
        }
    }
}

impl Server {
    /// As [`Server::start`], told of pip and npm what the person who runs the tests is.
    #[must_use]
    pub fn start_building(name: &str) -> Self {
        let mut server = Self::stopped(name, &[], &[]);
        server.building = crate::settings::building();
        server.start_again();
        server
    }

    /// A fresh server, started and answering.
    #[must_use]
    pub fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// As [`Server::start`], each time with these flags besides.
    #[must_use]
    pub fn start_with(name: &str, flags: &'static [&'static str]) -> Self {
        Self::start_set(name, flags, &[])
    }

    /// As [`Server::start_with`], each time with these variables besides.
    #[must_use]
    pub fn start_set(
        name: &str,
        flags: &'static [&'static str],
        variables: &'static [(&'static str, &'static str)],
    ) -> Self {
        let mut server = Self::stopped(name, flags, variables);
        server.start_again();
        server
    }

    fn stopped(
        name: &str,
        flags: &'static [&'static str],
        variables: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            directory: TemporaryDirectory::new(name),
            port: free_port(),
            child: None,
            starts: 0,
            flags,
            variables,
            building: Vec::new(),
            user: None,
            cgroup: None,
            view: None,
        }
    }

    /// As [`Server::start`], server and commands of an ordinary user. Needs root.
    #[must_use]
    pub fn start_as(name: &str, user: u32) -> Self {
        let mut server = Self::stopped_for(name, user, None);
        server.start_again();
        server
    }

    /// As [`Server::start_as`], in a cgroup that was delegated to the user. Needs root and cgroup v2.
    ///
    /// # Panics
    /// When there is no cgroup v2.
    #[must_use]
    pub fn start_delegated(name: &str, user: u32) -> Self {
        let mut server = Self::stopped_for(name, user, Some(Self::delegate(name, user)));
        server.start_again();
        server
    }

    /// As [`Server::start_delegated`], each time with these variables besides; and this script, run by root in a mount namespace of its own,
    /// changes before what the server and the user's programs see of the file system.
    ///
    /// # Panics
    /// When there is no cgroup v2.
    #[must_use]
    pub fn start_viewing(
        name: &str,
        user: u32,
        view: PathBuf,
        variables: &'static [(&'static str, &'static str)],
    ) -> Self {
        let mut server = Self::stopped_for(name, user, Some(Self::delegate(name, user)));
        (server.view, server.variables) = (Some(view), variables);
        server.start_again();
        server
    }

    fn delegate(name: &str, user: u32) -> Delegated {
        let place = hierarchy().join(format!("keyless-e2e-{}-{name}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        // What systemd hands over with Delegate=yes.
        for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            std::os::unix::fs::chown(place.join(file), Some(user), Some(user)).unwrap();
        }
        Delegated(place)
    }

    fn stopped_for(name: &str, user: u32, cgroup: Option<Delegated>) -> Self {
        let directory = TemporaryDirectory::new(name);
        // What was built may be where only its builder can look.
        copy(&binary("keyless"), &directory.path().join("keyless"));
        std::os::unix::fs::chown(directory.path(), Some(user), Some(user)).unwrap();
        Self {
            directory,
            port: free_port(),
            child: None,
            starts: 0,
            flags: &[],
            variables: &[],
            building: Vec::new(),
            user: Some(user),
            cgroup,
            view: None,
        }
    }

    /// The cgroup that was delegated, if one was.
    #[must_use]
    pub fn delegated(&self) -> Option<&Path> {
        self.cgroup.as_ref().map(|Delegated(path)| path.as_path())
    }

    /// A program run by the server's user, in the cgroup that was delegated, if one was.
    ///
    /// # Panics
    /// When the server is not another user's.
    #[must_use]
    pub fn users_program(&self, program: &Path) -> Command {
        let user = self.user.expect("it is another user's");
        let Some(Delegated(cgroup)) = &self.cgroup else {
            let mut command = Command::new(program);
            command.uid(user).gid(user);
            return command;
        };
        // Joins while it is still root, and only then becomes the user.
        let mut command = Command::new("sh");
        let view = self
            .view
            .as_ref()
            .map(|view| format!("unshare --mount --propagation private sh '{}'", view.display()));
        let join = format!(
            "echo $$ > {}/cgroup.procs && exec {} setpriv --reuid {user} --regid {user} --clear-groups \"$@\"",
            cgroup.display(),
            view.unwrap_or_default()
        );
        command.args(["-c", &join, "sh"]).arg(program);
        command
    }

    /// Starts on the same directory and port as before; returns when it says that it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it is running");
        self.starts += 1;
        let out = File::create(self.log("stdout")).unwrap();
        let errors = File::create(self.log("stderr")).unwrap();
        let mut command = self.command(["up"]);
        command.args(self.flags).envs(self.variables.iter().copied()).envs(self.building.iter().cloned());
        let mut child = command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn().unwrap();
        wait::until("the server to be ready", Duration::from_secs(60), || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended: {status}\n{}", self.logs());
            }
            std::fs::read_to_string(self.log("stdout")).is_ok_and(|said| said.contains("keyless is ready"))
        });
        self.child = Some(child);
    }

    fn log(&self, stream: &str) -> PathBuf {
        self.directory.path().join(format!("server-{}.{stream}", self.starts))
    }

    /// Everything that the server printed, of all starts.
    #[must_use]
    pub fn logs(&self) -> String {
        let read = |start: u32| {
            ["stdout", "stderr"].map(|stream| {
                std::fs::read_to_string(self.directory.path().join(format!("server-{start}.{stream}")))
                    .unwrap_or_default()
            })
        };
        (1..=self.starts).flat_map(read).collect()
    }

    /// What the first start printed.
    #[must_use]
    pub fn first_words(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("server-1.stdout")).unwrap_or_default()
    }

    /// Asks it to stop (SIGTERM), and waits.
    ///
    /// # Panics
    /// When it is not running or does not stop.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it is running");
        signal(&child, rustix::process::Signal::TERM);
        wait::for_end(&mut child, Duration::from_secs(30), "the server")
    }

    /// Ends it in the middle of whatever it does (SIGKILL).
    ///
    /// # Panics
    /// When it is not running.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it is running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The server's process id.
    ///
    /// # Panics
    /// When it is not running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it is running").id()
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A place for the scenario's own files, gone with the server.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.directory.path()
    }

    /// The port of its public listener.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of its authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.data().join("ca.pem")
    }

    /// A client that trusts this server's authority, and nothing else.
    #[must_use]
    pub fn https(&self) -> Https {
        Https::new(&self.authority(), self.port)
    }

    /// A vault's host name.
    #[must_use]
    pub fn vault_host(vault: &str) -> String {
        format!("{vault}.vault.keyless.localhost")
    }

    /// A vault's URL, as a user passes it to an SDK.
    #[must_use]
    pub fn vault_url(&self, vault: &str) -> String {
        format!("https://{}:{}", Self::vault_host(vault), self.port)
    }

    /// A `keyless` command against this server, in an environment that has nothing of the person who runs the tests.
    pub fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = match self.user {
            None => Command::new(binary("keyless")),
            Some(_) => self.users_program(&self.directory.path().join("keyless")),
        };
        command.current_dir(self.directory.path());
        command.env_clear().env("PATH", search_path()).env("LANG", "C.UTF-8");
        // A home of the scenario's own, so that nothing of the person who runs the tests is found.
        command.env("HOME", self.directory.path());
        command.env("KEYLESS_DATA_DIR", self.data()).env("KEYLESS_PORT", self.port.to_string());
        // A binary in which bugs were planted is told which one to have (`cargo xtask model --mutants`); others do not look.
        if let Some(bug) = setting("PLANTED") {
            command.env("PLANTED_BUG", bug);
        }
        command.args(arguments);
        command
    }

    /// The program that sends raw bytes, copied to where every user can run it.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[must_use]
    pub fn raw(&self) -> PathBuf {
        let place = self.directory.path().join("raw");
        if !place.exists() {
            copy(&crate::app::raw(), &place);
        }
        place
    }

    /// Runs a `keyless` command to its end.
    pub fn keyless<const N: usize>(&self, arguments: [&str; N]) -> Ended {
        wait::output(&mut self.command(arguments), b"").into()
    }

    /// Runs a `keyless` command to its end, and answers what it says as JSON.
    pub fn keyless_json<const N: usize>(&self, arguments: [&str; N]) -> String {
        let mut command = self.command(arguments);
        Ended::from(wait::output(command.args(["-o", "json"]), b"")).ok()
    }

    /// Runs a `keyless` command with this standard input.
    pub fn keyless_with<const N: usize>(&self, arguments: [&str; N], stdin: &str) -> Ended {
        wait::output(&mut self.command(arguments), stdin.as_bytes()).into()
    }

    /// Makes a registration with a secret.
    ///
    /// # Panics
    /// When one of our commands fails.
    #[must_use]
    pub fn registration(&self, name: &str) -> Registered {
        let told = |said: &str| -> serde_json::Value { serde_json::from_str(said).unwrap() };
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let made = told(&self.keyless_json(["app-registration", "create", name]));
        let client = text(&made["client_id"]);
        let added = told(&self.keyless_json(["app-registration", "credential", "add", &client]));
        Registered {
            tenant: text(&made["tenant"]),
            secret: text(&added["secret"]),
            principal: text(&made["principal"]),
            client,
        }
    }

    /// Gives a principal a role.
    ///
    /// # Panics
    /// When it is refused.
    pub fn assign(&self, role: &str, principal: &str, scope: &str) {
        let assign = ["role", "assign", "--role", role, "--principal", principal, "--scope", scope];
        let _said = self.keyless(assign).ok();
    }

    /// Makes a vault with one secret.
    pub fn vault_with(&self, vault: &str, secret: &str, value: &str) {
        let _said = self.keyless(["vault", "create", vault]).ok();
        let _said = self.keyless_with(["secret", "set", vault, secret], value).ok();
    }

    /// Makes an app with an identity that may do this in a vault.
    pub fn app_with(&self, app: &str, vault: &str, verbs: &str) {
        let _said = self.keyless(["app", "create", app]).ok();
        let _said = self.keyless(["app", "identity", "assign", app]).ok();
        let _said = self.keyless(["vault", "policy", "set", vault, "--app", app, "--secrets", verbs]).ok();
    }

    /// Makes an app with an identity that may do this with a vault's certificates and secrets.
    pub fn certificates_app(&self, app: &str, vault: &str, certificates: &str, secrets: &str) {
        let _said = self.keyless(["app", "create", app]).ok();
        let _said = self.keyless(["app", "identity", "assign", app]).ok();
        let who = ["vault", "policy", "set", vault, "--app", app];
        let mut command = self.command(who);
        command.args(["--certificates", certificates, "--secrets", secrets]);
        let _said = crate::Ended::from(crate::wait::output(&mut command, b"")).ok();
    }

    /// Makes an app with an identity that may do this with a vault's keys.
    pub fn keys_app(&self, app: &str, vault: &str, verbs: &str) {
        let _said = self.keyless(["app", "create", app]).ok();
        let _said = self.keyless(["app", "identity", "assign", app]).ok();
        let _said = self.keyless(["vault", "policy", "set", vault, "--app", app, "--keys", verbs]).ok();
    }

    /// Runs a program in shadow mode to its end, with these variables; `VAULT_URL` is what a program for the public cloud would be told.
    pub fn run_as_azure(
        &self,
        app: &str,
        vault: &str,
        program: &[&str],
        variables: &[(&str, &str)],
    ) -> Ended {
        let mut command = self.command(["run", "--app", app, "--as-azure", "--"]);
        command.args(program).env("VAULT_URL", format!("https://{vault}.vault.azure.net"));
        command.envs(variables.iter().copied());
        wait::output(&mut command, b"").into()
    }

    /// Runs a program as an app to its end; `VAULT_URL` is the vault's, as in the README.
    pub fn run_as(&self, app: &str, vault: &str, program: &[&str], stdin: &str) -> Ended {
        let mut command = self.command(["run", "--app", app, "--"]);
        command.args(program).env("VAULT_URL", self.vault_url(vault));
        wait::output(&mut command, stdin.as_bytes()).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, rustix::process::Signal::TERM);
            // It cleans up after itself, if it is let.
            for _wait in 0..500 {
                if !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _gone = child.kill();
            let _reaped = child.wait();
        }
        if std::thread::panicking() {
            use std::io::Write;
            let _closed = writeln!(std::io::stderr(), "--- the server said:\n{}", self.logs());
        }
    }
}

/// Where cgroup v2 is mounted.
///
/// # Panics
/// When it is not.
#[must_use]
pub fn hierarchy() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount =
        mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    PathBuf::from(mount.expect("cgroup v2 is mounted"))
}

/// Copies a program by another process: were the copy's open file ours, a child that another thread starts at that moment would inherit
/// it, and the kernel would refuse to run a file that somebody may write ("text file busy").
fn copy(from: &Path, to: &Path) {
    let copied = wait::output(Command::new("cp").arg(from).arg(to), b"");
    assert!(copied.status.success(), "{copied:?}");
}

/// Sends a signal to a child of ours.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _gone = rustix::process::kill_process(pid, signal);
    }
}

/// Where programs are looked for: as in the caller's environment, since Go or Node may be anywhere.
#[expect(clippy::disallowed_methods, reason = "the harness hands on its own search path")]
pub fn search_path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into())
}

/// A port that nobody listens on, and that no other scenario was given.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap();
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let is_free_on_6 = TcpListener::bind(("::1", port)).is_ok();
        if is_free_on_6 && given.insert(port) {
            return port;
        }
    }
}
