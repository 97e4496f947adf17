//! A running app: a shell under `keyless run`, to which a scenario says what to do inside the app's process tree.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::http::Answer;
use crate::server::Server;
use crate::wait;

/// A shell that runs as an app.
#[derive(Debug)]
pub struct App {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    asked: u32,
    place: std::path::PathBuf,
    name: String,
    raw: std::path::PathBuf,
}

/// What an app was given: a thief's whole loot.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `IDENTITY_ENDPOINT`.
    pub url: String,
    /// `IDENTITY_HEADER`.
    pub secret: String,
}

impl Endpoint {
    /// `HOST:PORT` of the URL.
    #[must_use]
    pub fn address(&self) -> String {
        self.url.split('/').nth(2).unwrap_or_default().to_owned()
    }

    /// The URL's path.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/{}", self.url.splitn(4, '/').nth(3).unwrap_or_default())
    }

    /// A well-formed token request for Key Vault, as the SDKs send it, with more header lines if wanted (each with its line end).
    #[must_use]
    pub fn request(&self, more: &str) -> String {
        let (path, address, secret) = (self.path(), self.address(), &self.secret);
        format!(
            "GET {path}?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\nHost: {address}\r\n\
             X-IDENTITY-HEADER: {secret}\r\n{more}Connection: close\r\n\r\n"
        )
    }
}

impl App {
    /// Starts the shell.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(server: &Server, app: &str, vault: &str) -> Self {
        let mut command = server.command(["run", "--app", app, "--", "/bin/sh"]);
        command.env("VAULT_URL", server.vault_url(vault));
        Self::start_by(server, app, command)
    }

    /// Starts the shell in shadow mode; `VAULT_URL` is what a program for the public cloud would be told.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_as_azure(server: &Server, app: &str, vault: &str) -> Self {
        let mut command = server.command(["run", "--app", app, "--as-azure", "--", "/bin/sh"]);
        command.env("VAULT_URL", format!("https://{vault}.vault.azure.net"));
        Self::start_by(server, app, command)
    }

    fn start_by(server: &Server, app: &str, mut command: std::process::Command) -> Self {
        let errors = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(server.place().join("apps.stderr"))
            .unwrap();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        // Ends with the shell's output.
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        let mut app = Self {
            child,
            input,
            lines,
            asked: 0,
            place: server.place().to_path_buf(),
            name: app.to_owned(),
            raw: server.raw(),
        };
        // Its first answer says that it runs.
        let (code, _) = app.sh("true");
        assert_eq!(code, 0);
        app
    }

    /// Runs a line of shell inside the app; returns its exit status and all that it said.
    ///
    /// # Panics
    /// When the shell is gone or silent.
    pub fn sh(&mut self, script: &str) -> (i32, String) {
        self.asked += 1;
        let mark = format!("--- answer {} of {}:", self.asked, self.name);
        let input = self.input.as_mut().expect("the app was not ended");
        writeln!(input, "( {script}\n) </dev/null 2>&1; printf '\\n%s %s\\n' '{mark}' $?").unwrap();
        input.flush().unwrap();
        let mut said = Vec::new();
        loop {
            let line = self.lines.recv_timeout(wait::LIMIT).unwrap_or_else(|_| {
                let errors = std::fs::read_to_string(self.place.join("apps.stderr")).unwrap_or_default();
                panic!("the app does not answer: {script}\n{}\n{errors}", said.join("\n"))
            });
            if let Some(code) = line.strip_prefix(&mark) {
                // The line end before the mark is ours.
                if said.last().is_some_and(String::is_empty) {
                    said.pop();
                }
                return (code.trim().parse().unwrap(), said.join("\n"));
            }
            said.push(line);
        }
    }

    /// What the app was given.
    pub fn endpoint(&mut self) -> Endpoint {
        let (_, said) = self.sh("printf '%s\\n%s\\n' \"$IDENTITY_ENDPOINT\" \"$IDENTITY_HEADER\"");
        let mut lines = said.lines().map(str::to_owned);
        Endpoint { url: lines.next().unwrap_or_default(), secret: lines.next().unwrap_or_default() }
    }

    /// Sends these bytes to an address from inside the app.
    ///
    /// # Panics
    /// When the request cannot be written down for it.
    pub fn raw(&mut self, address: &str, request: &str) -> Answer {
        let file = self.place.join(format!("request-{}-{}", self.name, self.asked));
        std::fs::write(&file, request).unwrap();
        let (_, said) = self.sh(&format!("'{}' {address} < '{}'", self.raw.display(), file.display()));
        Answer::parse(said.replace('\r', "").replace('\n', "\r\n").as_bytes())
    }

    /// A token for Key Vault, got as the app.
    ///
    /// # Panics
    /// When the app is refused.
    pub fn token(&mut self) -> String {
        let endpoint = self.endpoint();
        let answer = self.raw(&endpoint.address(), &endpoint.request(""));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json().get("access_token").and_then(serde_json::Value::as_str).unwrap().to_owned()
    }

    /// The process id of `keyless run`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the shell as a person would, and waits.
    pub fn end(mut self) -> std::process::ExitStatus {
        drop(self.input.take());
        wait::for_end(&mut self.child, Duration::from_secs(20), "the app")
    }
}

/// The program that sends raw bytes.
pub(crate) fn raw() -> std::path::PathBuf {
    beside("raw")
}

/// A program of ours: built beside the scenarios, whose own file is in `deps/` there.
///
/// # Panics
/// When nobody knows where that is.
#[must_use]
pub fn beside(program: &str) -> std::path::PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().join(program)
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.input.take());
        for _wait in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
