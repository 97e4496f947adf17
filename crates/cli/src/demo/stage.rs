//! The demo's props: a temporary installation, the real commands against it, the running app, the thief's process.

use super::{claim, stop, thief::Answer};
use crate::{
    failure::Failure,
    output::{self, Colour, paint},
};
use kernel::files;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

/// How long a process may take to start, answer or end. A first start makes RSA keys.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long what was asked to end may take before it is ended at once.
const GRACE: Duration = Duration::from_secs(3);
/// How often something is looked at that goes on.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Of a line that the app prints. Tokens are shorter.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The temporary installation. Dropped: all processes are ended, all files deleted.
pub(crate) struct Stage {
    own: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Option<Child>,
    capabilities: Vec<server::installation::Capability>,
    public: Option<PathBuf>,
}

/// The app that runs.
pub(crate) struct App {
    run: Child,
    input: Option<ChildStdin>,
    /// Its lines, read by a thread: nobody can stop to wait for a pipe.
    lines: mpsc::Receiver<String>,
    /// It has ended, and was waited for.
    is_over: bool,
}

/// What a thief finds in the app's environment.
pub(crate) struct Loot {
    pub(crate) endpoint: String,
    pub(crate) header: String,
}

/// What the thief's process got.
pub(crate) struct Theft {
    pub(crate) pid: u32,
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// The example app's program.
const APP: &str = "read-secret";

/// The example app: as named, beside this program, or built by the cargo that runs us.
pub(crate) fn app(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(app) = named {
        return if app.exists() {
            Ok(std::path::absolute(app)?)
        } else {
            Err(Failure::new(format!("{}: not found", app.display())))
        };
    }
    let own = std::env::current_exe()?;
    let Some(cargo) = crate::variable("CARGO") else {
        let beside = own.with_file_name(APP);
        let missing = Failure::new(format!("the example app is not at {}", beside.display()))
            .next("Run the demo in a checkout by `cargo run -- demo`, which builds it, or name one with --app FILE.");
        return if beside.exists() { Ok(beside) } else { Err(missing) };
    };
    output::line(paint(Colour::Dim, "building the app: examples/rust, on the official Azure SDK for Rust"));
    let mut build = Command::new(cargo);
    // Not as released: the compiler would take minutes for what the story runs for a moment.
    build.args(["build", "--quiet", "--locked", "--package", "example-rust", "--bin", APP]);
    build.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")]);
    let target = own.ancestors().nth(2).unwrap_or(Path::new("target"));
    let built = target.join("debug").join(APP);
    if !build.arg("--target-dir").arg(target).status()?.success() || !built.exists() {
        return Err(Failure::new("the example app could not be built")
            .next("Its crates come from crates.io: is it reachable?"));
    }
    Ok(built)
}

impl Stage {
    /// An empty stage.
    pub(crate) fn set(name: &str) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("keyless-demo-{}", std::process::id()));
        files::create_private_dir(&folder)?;
        let stage = Self {
            own: std::env::current_exe()?,
            folder: folder.join(name),
            port: free_port()?,
            server: None,
            capabilities: Vec::new(),
            public: None,
        };
        Ok(stage)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.folder
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn server(&mut self) -> Result<(), Failure> {
        show(&["up"], "");
        let begin = Instant::now();
        let log = fs::File::create(self.folder.with_extension("log"))?;
        let mut command = self.command(&["up", "--log-filter", "warn"]);
        command.args(["--port", &self.port.to_string()]);
        self.server = Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
        // A second each, so that a signal is not waited out.
        let status = loop {
            let status = self.keyless_quietly(&["status", "--wait", "1", "-o", "json"]);
            stop::check()?;
            if status.is_ok() || begin.elapsed() > PATIENCE {
                break status;
            }
        };
        let status: crate::status::Status = match status.map(|text| serde_json::from_str(&text)) {
            Ok(Ok(status)) => status,
            _ => {
                let said = fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default();
                return Err(Failure::new(format!("the server did not start:\n{said}")));
            }
        };
        self.capabilities = status.capabilities;
        self.public = Path::new(&status.hosts_file).parent().map(Path::to_owned);
        let took = begin.elapsed().as_millis();
        claim(true, format_args!("first start in {took} ms, data in {}", self.folder.display()))
    }

    /// Runs a command of ours, shown as a person would type it.
    pub(crate) fn keyless(&self, arguments: &[&str], input: &str) -> Result<(), Failure> {
        stop::check()?;
        show(arguments, input);
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may be gone already.
            let _not_read = stdin.write_all(input.as_bytes());
        }
        let done = child.wait_with_output()?;
        if !done.status.success() {
            return Err(Failure::new(format!(
                "keyless {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&done.stderr)
            )));
        }
        Ok(())
    }

    /// Runs a command of ours that is not part of the story; answers what it printed.
    pub(crate) fn keyless_quietly(&self, arguments: &[&str]) -> Result<String, Failure> {
        let done = self.command(arguments).stdin(Stdio::null()).output()?;
        if !done.status.success() {
            return Err(Failure::new(String::from_utf8_lossy(&done.stderr)));
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.own);
        command.args(arguments).arg("--data-dir").arg(&self.folder);
        command
    }

    fn vault_url(&self, vault: &str) -> String {
        format!("https://{}:{}", vault_host(vault), self.port)
    }

    /// Starts the app: it reads the secret, then does what it is told by its input.
    pub(crate) fn run(&self, app: &Path) -> Result<App, Failure> {
        let program = app.file_name().unwrap_or_default().to_string_lossy();
        let url = self.vault_url("shop");
        output::line(format_args!(
            "  {}",
            paint(Colour::Dim, format_args!("$ VAULT_URL={url} keyless run --app web -- {program} db"))
        ));
        // A shell around it, so that the app is still there when the thief comes.
        let script = "\"$0\" db && while read -r _; do \"$1\" demo --play token; done";
        let mut command = self.command(&["run", "--quiet"]);
        command
            .args(["--app", "web", "--", "sh", "-c", script])
            .arg(app)
            .arg(&self.own)
            .env("VAULT_URL", url);
        App::start(&mut command)
    }

    /// A process outside of the app that uses the loot.
    pub(crate) fn steal(&self, loot: &Loot) -> Result<Theft, Failure> {
        let mut thief = Command::new(&self.own);
        thief.args(["demo", "--play", "thief"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let thief =
            thief.env("IDENTITY_ENDPOINT", &loot.endpoint).env("IDENTITY_HEADER", &loot.header).spawn()?;
        let pid = thief.id();
        let said = thief.wait_with_output()?.stdout;
        let said = String::from_utf8_lossy(&said);
        let (status, body) = said.split_once(' ').unwrap_or((&*said, ""));
        Ok(Theft { pid, status: status.trim().parse().unwrap_or(0), body: body.to_owned() })
    }

    /// Reads a secret as any client does: over TLS, with a token.
    pub(crate) fn get_secret(&self, vault: &str, secret: &str, token: &str) -> Result<Answer, Failure> {
        let tls = |error: &dyn std::fmt::Display| Failure::new(format!("TLS: {error}"));
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(self.folder.join("ca.pem")).map_err(|error| tls(&error))?
        {
            roots.add(certificate.map_err(|error| tls(&error))?).map_err(|error| tls(&error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| tls(&error))?.with_root_certificates(roots).with_no_client_auth();
        let host = vault_host(vault);
        let name = ServerName::try_from(host.clone()).map_err(|error| tls(&error))?;
        let client = ClientConnection::new(Arc::new(config), name).map_err(|error| tls(&error))?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(client, stream);
        let request = format!(
            "GET /secrets/{secret}/?api-version=7.4 HTTP/1.1\r\nHost: {host}:{}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        // The end may come without TLS's goodbye.
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            read?;
        }
        Ok(Answer::parse(&answer))
    }

    /// Does the kernel tell apps from thieves here?
    pub(crate) fn is_enforced(&self) -> bool {
        self.capabilities
            .iter()
            .filter(|one| !["private names", "sandbox"].contains(&&*one.name))
            .all(|one| one.enforced)
    }

    /// Why it does not.
    pub(crate) fn why_unenforced(&self) -> String {
        let whys = self.capabilities.iter().filter(|one| !one.enforced).filter_map(|one| one.why.clone());
        whys.collect::<Vec<_>>().join("; ")
    }

    /// Ends everything in good order, and checks that it ended so.
    pub(crate) fn strike(mut self) -> Result<(), Failure> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        terminate(&server);
        let status = wait(&mut server)?;
        claim(status == Some(0), "the server stops in good order; nothing is left behind")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            terminate(&server);
            if !matches!(wait(&mut server), Ok(Some(_))) {
                let _gone = server.kill();
                let _reaped = server.wait();
            }
        }
        // As root the public files are outside of the data directory.
        for folder in self.public.iter().map(PathBuf::as_path).chain(self.folder.parent()) {
            let _best_effort = fs::remove_dir_all(folder);
        }
    }
}

impl App {
    /// In a process group of its own, so that all of it can be ended.
    fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut run = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (run.stdin.take(), run.stdout.take());
        // A program that prints without end waits for its reader.
        let (tell, lines) = mpsc::sync_channel(16);
        let app = Self { run, input, lines, is_over: false };
        let output = output.ok_or_else(|| Failure::new("the app has no output"))?;
        std::thread::Builder::new().name("demo-app".to_owned()).spawn(move || read_lines(output, &tell))?;
        Ok(app)
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> Result<String, Failure> {
        self.line_within(PATIENCE)
    }

    fn line_within(&self, patience: Duration) -> Result<String, Failure> {
        let until = Instant::now() + patience;
        let wanted =
            "The demo's app (--app FILE) prints the secret whose name it is given as a line, and ends.";
        loop {
            match self.lines.recv_timeout(LOOK_INTERVAL) {
                Ok(line) => return Ok(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new("the app ended without printing its secret").next(wanted));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => stop::check()?,
            }
            if Instant::now() > until {
                let words = format!("the app has printed nothing for {} seconds", patience.as_secs());
                return Err(Failure::new(words).next(wanted));
            }
        }
    }

    /// A token, asked for by a process inside of the app.
    pub(crate) fn ask_token(&mut self) -> Result<String, Failure> {
        let input = self.input.as_mut().ok_or_else(|| Failure::new("the app has no input"))?;
        input.write_all(b"\n")?;
        let line = self.line()?;
        if line.starts_with("refused") { Err(Failure::new(line)) } else { Ok(line) }
    }

    /// The program's process: the only child of `keyless run`.
    pub(crate) fn program(&self) -> Result<u32, Failure> {
        let run = self.run.id();
        let mut children = String::new();
        // A thread starts it, so each of them is asked.
        for thread in fs::read_dir(format!("/proc/{run}/task"))? {
            children.push_str(&fs::read_to_string(thread?.path().join("children")).unwrap_or_default());
        }
        let child = children.split_ascii_whitespace().next().and_then(|pid| pid.parse().ok());
        child.ok_or_else(|| Failure::new("the app's process is not to be found"))
    }

    /// Its environment, as root or its own user can read it.
    pub(crate) fn environment(&self) -> Result<BTreeMap<OsString, OsString>, Failure> {
        let bytes = fs::read(format!("/proc/{}/environ", self.program()?))?;
        let split = |entry: &[u8]| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            let (name, value) = entry.split_at_checked(at)?;
            Some((OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(value.get(1..)?).to_owned()))
        };
        Ok(bytes.split(|byte| *byte == 0).filter_map(split).collect())
    }

    /// What a thief takes.
    pub(crate) fn loot(&self) -> Result<Loot, Failure> {
        let environment = self.environment()?;
        let text =
            |name: &str| environment.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned());
        match (text("IDENTITY_ENDPOINT"), text("IDENTITY_HEADER")) {
            (Some(endpoint), Some(header)) => Ok(Loot { endpoint, header }),
            _ => Err(Failure::new("the app's environment has no endpoint")),
        }
    }

    /// Ends its input, and so the app.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        drop(self.input.take());
        let status = wait(&mut self.run)?;
        self.is_over = status.is_some();
        claim(status == Some(0), "the app ends, and `keyless run` with its exit status")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        drop(self.input.take());
        // Whatever it does: a shell, the program that was named, and what that has started. None of them was waited for, so the group's id is its own.
        let _gone = kernel::process::end_group(self.run.id(), false);
        let until = Instant::now() + GRACE;
        while kernel::process::is_running(self.run.id()) && Instant::now() < until {
            std::thread::sleep(LOOK_INTERVAL);
        }
        let _gone = kernel::process::end_group(self.run.id(), true);
        let _reaped = self.run.wait();
    }
}

/// Shows a command as a person would type it.
fn show(arguments: &[&str], input: &str) {
    let input = if input.is_empty() { String::new() } else { format!("printf %s '{input}' | ") };
    output::line(format_args!(
        "  {}",
        paint(Colour::Dim, format_args!("$ {input}keyless {}", arguments.join(" ")))
    ));
}

fn vault_host(vault: &str) -> String {
    format!("{vault}.vault.keyless.localhost")
}

/// Free on both loopback addresses.
fn free_port() -> Result<u16, Failure> {
    for _ in 0..100 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if TcpListener::bind(("::1", port))
            .map_or_else(|error| error.kind() != std::io::ErrorKind::AddrInUse, |_| true)
        {
            return Ok(port);
        }
    }
    Err(Failure::new("there is no free port"))
}

/// Hands on what the app prints, line by line.
fn read_lines(output: ChildStdout, tell: &mpsc::SyncSender<String>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let read = output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !matches!(read, Ok(1..)) || tell.send(line).is_err() {
            return;
        }
    }
}

fn terminate(child: &Child) {
    let _gone = kernel::process::terminate(child.id());
}

/// The exit status, if it comes in time.
fn wait(child: &mut Child) -> Result<Option<i32>, Failure> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code().unwrap_or(-1)));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> App {
        App::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    /// The demo waited for ever where `--app` was another kind of program.
    #[test]
    fn an_app_that_prints_nothing_or_never_ends_is_not_waited_for_for_ever() {
        let silent = shell("while read -r _; do :; done");
        let told = silent.line_within(Duration::from_millis(100)).unwrap_err().to_string();
        assert!(told.contains("printed nothing") && told.contains("--app"), "{told}");
        let ended = shell("exit 0").line_within(PATIENCE).unwrap_err().to_string();
        assert!(ended.contains("ended without"), "{ended}");
        // It, and what it has started, whatever they think of signals.
        let begin = Instant::now();
        let stubborn = shell("trap '' TERM; sleep 600 & echo $!; yes");
        let pid: u32 = stubborn.line().unwrap().parse().unwrap();
        assert!(kernel::process::is_running(pid));
        drop(stubborn);
        while kernel::process::is_running(pid) {
            std::thread::sleep(LOOK_INTERVAL);
        }
        drop(silent);
        assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    }

    #[test]
    fn lines_are_handed_on_as_they_come() {
        let app = shell("echo one; printf 'two  '");
        assert_eq!((app.line().unwrap(), app.line().unwrap()), ("one".to_owned(), "two".to_owned()));
        assert!(app.line().is_err());
    }
}
