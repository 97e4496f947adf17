//! Running other programs, and leaving none of them behind.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Why a command of ours failed: text for a person, with what to do next where we know it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The one place that prints. A closed pipe (`| head`) is no failure of ours.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed_pipe = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A value of the environment. Tools are told where things are by their caller, so this is their one door to it.
#[expect(clippy::disallowed_methods, reason = "xtask is a program of its own, not part of the product")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Cargo as it called us, so that a `+toolchain` of the caller holds.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::workspace::root());
    command
}

/// Runs to the end with our own output; anything but success is a failure that names the command.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = shown(command);
    let status =
        command.status().map_err(|error| Failure::new(format!("cannot start `{shown}`: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{shown}` failed: {status}"))) }
}

/// Runs to the end and hands back what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let shown = shown(command);
    let output =
        command.output().map_err(|error| Failure::new(format!("cannot start `{shown}`: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("`{shown}` failed: {}\n{said}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program answers `--version` (or `version`): that is, whether it is there and can run.
pub(crate) fn answers(program: impl AsRef<OsStr>, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

/// Whether we are root, so that packages may be installed and kernel tests must not be skipped.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// From now on processes whose parent dies become our children, so that `end_leftovers` can see them.
pub(crate) fn adopt_orphans() -> Result<(), Failure> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| Failure::new(format!("cannot adopt orphans: {error}")))
}

/// How a command of several processes ended: as it did, or badly if something of it still ran, which is ended.
pub(crate) fn ended<T>(outcome: Result<T, Failure>) -> Result<T, Failure> {
    let left = end_leftovers();
    let outcome = outcome?;
    if left.is_empty() {
        Ok(outcome)
    } else {
        Err(Failure::new(format!("left processes running, which were ended: {}", left.join(", "))))
    }
}

/// Ends and reaps every process that a finished step left below us; returns their names.
pub(crate) fn end_leftovers() -> Vec<String> {
    use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
    let mut names = Vec::new();
    // Each round may uncover grandchildren, who become our children when their parent goes. Bounded: a fork bomb is not ours to win.
    for _round in 0..100 {
        let children = children();
        if children.is_empty() {
            break;
        }
        for (pid, name) in children {
            let Some(pid) = Pid::from_raw(pid) else { continue };
            if kill_process(pid, Signal::KILL).is_ok() {
                names.push(format!("{name} ({})", pid.as_raw_nonzero()));
            }
            let _already_reaped = waitpid(Some(pid), WaitOptions::empty());
        }
    }
    names
}

/// Our live direct children (pid, name); zombies are reaped on the way.
fn children() -> Vec<(i32, String)> {
    let own = std::process::id().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // `pid (name) state ppid ...`: the name may hold anything, so the last bracket ends it.
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let mut fields = tail.split_whitespace();
        let (state, parent) = (fields.next(), fields.next());
        if parent != Some(own.as_str()) {
            continue;
        }
        if state == Some("Z") {
            let pid = rustix::process::Pid::from_raw(pid);
            let _not_ours = rustix::process::waitpid(pid, rustix::process::WaitOptions::NOHANG);
            continue;
        }
        found.push((pid, head.split_once('(').map_or("?", |(_, name)| name).to_owned()));
    }
    found
}

/// Creates a directory with its parents.
pub(crate) fn directory(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::new(format!("cannot create {}: {error}", path.display())))
}
