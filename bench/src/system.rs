//! The system under measurement: the real binary on a fresh data directory and a free port, and its own commands to set it up.

use crate::{cpu, load};
use rustls::pki_types::ServerName;
use std::{
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

/// A running `keyless up`.
pub(crate) struct System {
    /// The binary.
    pub(crate) keyless: PathBuf,
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// Its public port.
    pub(crate) port: u16,
    child: Option<Child>,
}

/// A bare server of this program's own, ended on drop.
pub(crate) struct Bare {
    child: Child,
    /// Its port.
    pub(crate) port: u16,
}

impl Bare {
    /// Starts one that answers `body`; over TLS if a certificate is given, and after an RSA signature if told so.
    pub(crate) fn start(
        directory: &Path,
        tls: Option<(&str, &[u8])>,
        is_signing: bool,
        content_type: &str,
        body: &[u8],
    ) -> Self {
        let file = |name: &str, bytes: &[u8]| {
            let path = directory.join(name);
            std::fs::write(&path, bytes).expect("the directory is writable");
            path
        };
        let mut command = Command::new(std::env::current_exe().expect("a process knows its program"));
        command.arg("bare");
        if let Some((chain, key)) = tls {
            command.arg("--tls").arg(file("bare.pem", chain.as_bytes())).arg(file("bare.key", key));
        }
        if is_signing {
            command.arg("--sign");
        }
        command.arg(content_type).arg(file("bare.body", body)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = cpu::spawn_on_server_core(&mut command).expect("this program starts again");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output is piped"))
            .read_line(&mut line)
            .expect("it prints its port");
        Self { child, port: line.trim().parse().expect("the line is a port") }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl System {
    /// A fresh one; not started.
    pub(crate) fn new(keyless: &Path, data: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("loopback has a free port")
            .port();
        Self { keyless: keyless.to_owned(), data: data.to_owned(), port, child: None }
    }

    /// Starts it; returns once it says that it is ready. Answers when it was started.
    pub(crate) fn start(&mut self) -> Instant {
        let mut command = Command::new(&self.keyless);
        command.args(["up", "--data-dir"]).arg(&self.data).args(["--port", &self.port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let begin = Instant::now();
        let mut child = cpu::spawn_on_server_core(&mut command).expect("keyless starts");
        let mut said = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let is_ready =
            |line: std::io::Result<String>| line.is_ok_and(|line| line.contains("keyless is ready"));
        assert!(said.any(is_ready), "keyless ended before it was ready");
        // What it says from now on is read by nobody, and may be.
        std::thread::spawn(move || said.count());
        self.child = Some(child);
        begin
    }

    /// Stops it as an operator would.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Its public listener.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Runs a command of ours and answers what it printed.
    pub(crate) fn command(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut child = Command::new(&self.keyless)
            .args(arguments)
            .env("KEYLESS_DATA_DIR", &self.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("keyless starts");
        child.stdin.take().expect("its input is piped").write_all(input).expect("it reads its input");
        let output = child.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "keyless {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// The public listener as a target of load, with this server name.
    pub(crate) fn target(&self, root_pem: &str, host: &str) -> load::Target {
        let name = ServerName::try_from(host.to_owned()).expect("a host name is a server name");
        load::Target {
            listener: load::Listener::Tcp(self.address()),
            tls: Some((load::connector(root_pem), name)),
            pid: self.pid(),
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.stop();
    }
}
