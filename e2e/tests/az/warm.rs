//! An `az` that has what commands import: for tables of hundreds, each of which would spend most of its time on that.
//!
//! `warm.py` is told what to run; it is the program that `keyless az` starts, so that all of it has what `keyless az` gives.

use e2e::{Ended, Server, wait};
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::mpsc,
};

const PROGRAM: &str = include_str!("warm.py");

/// It is ended with this.
pub(super) struct Warm {
    process: Child,
    /// Closed, it ends.
    asked: Option<ChildStdin>,
    answers: mpsc::Receiver<i32>,
    place: PathBuf,
}

impl Warm {
    /// Starts one by the Python of this `az`; `path` is where other programs are.
    pub(super) fn start(server: &Server, bin: &str, path: &str) -> Self {
        let place = server.place().join("warm");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("warm.py"), PROGRAM).unwrap();
        let started = format!("#!/bin/sh\nAZ_INSTALLER=PIP exec {bin}/python {0}/warm.py\n", place.display());
        std::fs::write(place.join("az"), started).unwrap();
        std::fs::set_permissions(place.join("az"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = server.command(["az", "--", "all"]);
        command.env("PATH", format!("{}:{path}", place.display()));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (asked, said) = (process.stdin.take(), process.stdout.take().unwrap());
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || hear(said, &sender));
        Self { process, asked, answers, place }
    }

    /// How a command with these words ends.
    pub(super) fn ended(&mut self, words: &[String]) -> Ended {
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.place.join(name));
        let asked = json!({ "words": words, "stdout": stdout, "stderr": stderr });
        writeln!(self.asked.as_mut().unwrap(), "{asked}").unwrap();
        let code = self.answers.recv_timeout(wait::LIMIT);
        let code = code.unwrap_or_else(|error| panic!("az {}: {error}", words.first().unwrap()));
        let read = |file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        Ended { code: Some(code), stdout: read(stdout), stderr: read(stderr) }
    }
}

/// Exit statuses, a line each, until it ends.
fn hear(said: ChildStdout, sender: &mpsc::Sender<i32>) {
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        if sender.send(line.parse().unwrap()).is_err() {
            break;
        }
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        drop(self.asked.take());
        let _ended = wait::within(&mut self.process, wait::LIMIT);
    }
}
