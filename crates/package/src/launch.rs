//! What of a package is started, and by which runtime: told by its files, unless somebody says otherwise.

use crate::{Contents, PackageError};
use serde::Deserialize;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Bytes of a file that says what to start. Ours.
const TOLD_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a start command. Ours.
const COMMAND_BYTES_MAX: usize = 4_096;

/// What a program is written for, as far as that decides how it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Python, with its packages in `.venv`.
    Python,
    /// Node.js, with its packages in `node_modules`.
    Node,
    /// Whatever runs by itself.
    Other,
}

/// What is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The command, for a shell.
    pub command: String,
    /// What said so, in words.
    pub because: &'static str,
    /// What it is written for.
    pub runtime: Runtime,
}

/// The program and arguments that run a command. A simple command takes the shell's place, so that signals reach the program itself.
pub fn shell(command: &str) -> [String; 3] {
    ["/bin/sh".to_owned(), "-c".to_owned(), in_place(command)]
}

/// Scripts that are started without a word, if nothing else says what to do.
const EXECUTABLES: [&str; 4] = ["start", "run", "start.sh", "run.sh"];
const PYTHON_FILES: [&str; 3] = ["app.py", "main.py", "application.py"];
const NODE_FILES: [&str; 2] = ["server.js", "index.js"];
const LOOKED_FOR: &str = "a Procfile with a `web:` line, app.py, main.py or application.py, a package.json with scripts.start or main, \
     server.js or index.js, an executable start, run, start.sh or run.sh, startup.sh";

impl Contents {
    /// What to start. A command that is given goes before all that the files say.
    ///
    /// # Errors
    /// [`PackageError::NoStartCommand`], or what is wrong with the file that should have said it.
    pub fn detect(&self, given: Option<&str>) -> Result<Launch, PackageError> {
        let manifest = self.manifest()?;
        let runtime = self.runtime(manifest.is_some());
        let found = match given {
            Some(command) => Some((command.to_owned(), "the command that was given")),
            None => match self.procfile()? {
                Some(command) => Some((command, "the Procfile's web line")),
                None => self.by_runtime(runtime, manifest.as_ref()),
            },
        };
        let (command, because) = found
            .or_else(|| self.executable())
            .ok_or(PackageError::NoStartCommand { looked_for: LOOKED_FOR })?;
        let command = checked(&command, because)?;
        Ok(Launch { command, because, runtime })
    }

    /// Python if its files say so, or if one is there and Node's are not.
    fn runtime(&self, has_manifest: bool) -> Runtime {
        if self.has("requirements.txt") || self.has("pyproject.toml") {
            return Runtime::Python;
        }
        if has_manifest {
            return Runtime::Node;
        }
        let any = |names: &[&str]| names.iter().any(|name| self.has(name));
        match (any(&PYTHON_FILES), any(&NODE_FILES)) {
            (true, _) => Runtime::Python,
            (false, true) => Runtime::Node,
            (false, false) => Runtime::Other,
        }
    }

    fn by_runtime(&self, runtime: Runtime, manifest: Option<&Manifest>) -> Option<(String, &'static str)> {
        match runtime {
            Runtime::Python => {
                let file = PYTHON_FILES.iter().find(|name| self.has(name))?;
                Some((format!("python3 {file}"), "the Python file at its top"))
            }
            Runtime::Node => {
                if let Some(script) = manifest.and_then(|manifest| manifest.scripts.start.clone()) {
                    return Some((script, "scripts.start of package.json"));
                }
                if let Some(main) = manifest.and_then(|manifest| self.main(manifest)) {
                    return Some((main, "main of package.json"));
                }
                let file = NODE_FILES.iter().find(|name| self.has(name))?;
                Some((format!("node {file}"), "the JavaScript file at its top"))
            }
            Runtime::Other => None,
        }
    }

    /// The file that `main` names, spelled as Node reads it: its ending may be left out.
    fn main(&self, manifest: &Manifest) -> Option<String> {
        let named = manifest.main.as_deref()?.trim_start_matches("./");
        let spellings = [named.to_owned(), format!("{named}.js"), format!("{named}/index.js")];
        // It is an argument: with a dash first Node would read something else.
        let file = spellings.into_iter().find(|name| !name.starts_with('-') && self.has(name))?;
        Some(format!("node {}", shlex::try_quote(&file).ok()?))
    }

    fn executable(&self) -> Option<(String, &'static str)> {
        let is_executable = |name: &&&str| {
            self.plain(name)
                .and_then(|path| fs::metadata(path).ok())
                .is_some_and(|file| file.permissions().mode() & 0o111 != 0)
        };
        if let Some(name) = EXECUTABLES.iter().find(is_executable) {
            return Some((format!("./{name}"), "the executable at its top"));
        }
        self.has("startup.sh").then(|| ("/bin/sh startup.sh".to_owned(), "startup.sh at its top"))
    }

    /// The first `web:` line: a process's name, a colon, its command.
    fn procfile(&self) -> Result<Option<String>, PackageError> {
        let Some(text) = self.text("Procfile", "the Procfile")? else { return Ok(None) };
        let web = text.lines().find_map(|line| {
            let (name, command) = line.split_once(':')?;
            (name == "web").then(|| command.trim()).filter(|command| !command.is_empty())
        });
        Ok(web.map(str::to_owned))
    }

    fn manifest(&self) -> Result<Option<Manifest>, PackageError> {
        let Some(text) = self.text("package.json", "package.json")? else { return Ok(None) };
        let fault = PackageError::Command { what: "package.json", rule: "is not the JSON that npm reads" };
        // Windows' editors put a mark in front, which npm takes no notice of.
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map(Some).map_err(|_| fault)
    }

    /// Is there a file of this name?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.plain(name).is_some()
    }

    /// A file of this name, or a link to one: it leads nowhere else, since it came out of a package.
    fn plain(&self, name: &str) -> Option<PathBuf> {
        let is_inside =
            Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let path = self.root.join(name);
        (is_inside && path.is_file()).then_some(path)
    }

    fn text(&self, name: &str, what: &'static str) -> Result<Option<String>, PackageError> {
        let read = || PackageError::files("read");
        let Some(path) = self.plain(name) else { return Ok(None) };
        if fs::metadata(&path).map_err(read())?.len() > TOLD_BYTES_MAX {
            return Err(PackageError::Command { what, rule: "is too large" });
        }
        let bytes = fs::read(path).map_err(read())?;
        String::from_utf8(bytes).map(Some).map_err(|_| PackageError::Command { what, rule: "is not UTF-8" })
    }
}

/// What is read of `package.json`.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    main: Option<String>,
    #[serde(default)]
    scripts: Scripts,
}

#[derive(Default, Deserialize)]
struct Scripts {
    start: Option<String>,
}

/// A command that a shell can read.
fn checked(command: &str, what: &'static str) -> Result<String, PackageError> {
    let command = command.trim();
    let refuse = |rule| Err(PackageError::Command { what, rule });
    if command.len() > COMMAND_BYTES_MAX {
        return refuse("is too long");
    }
    if command.contains('\0') {
        return refuse("has a zero byte in it");
    }
    match shlex::split(command) {
        None => refuse("has a quote that is not closed"),
        Some(words) if words.is_empty() => refuse("is empty"),
        Some(_) => Ok(command.to_owned()),
    }
}

/// The command so that the program takes the shell's place, where that means the same: one program without anything before or after it.
fn in_place(command: &str) -> String {
    let is_compound = command.contains(['\n', ';', '&', '|', '(', ')', '{', '}', '`', '#']);
    let first = shlex::split(command).and_then(|words| words.into_iter().next()).unwrap_or_default();
    if is_compound
        || matches!(&*first, "exec" | "." | "source" | "!" | "eval" | "cd" | "exit" | "export" | "set")
    {
        return command.to_owned();
    }
    // A shell takes no assignment behind `exec`; `env` does the same with it.
    let assigns = first.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'));
    if assigns { format!("exec env {command}") } else { format!("exec {command}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_command_takes_the_shells_place() {
        for (command, run) in [
            ("gunicorn -b 0.0.0.0:$PORT app:app", "exec gunicorn -b 0.0.0.0:$PORT app:app"),
            ("NODE_ENV=production node 'a b.js'", "exec env NODE_ENV=production node 'a b.js'"),
            ("node x.js >log", "exec node x.js >log"),
            ("npm run migrate && npm start", "npm run migrate && npm start"),
            ("echo $(date)", "echo $(date)"),
            ("exec ./x", "exec ./x"),
            ("./a=b", "exec ./a=b"),
        ] {
            assert_eq!(in_place(command), run);
        }
    }

    #[test]
    fn a_command_is_one_that_a_shell_can_read() {
        assert_eq!(checked("  ./run  ", "x").unwrap(), "./run");
        for bad in ["", "  ", "a 'b", "a \"b", "a\0b", "# nothing", &"x".repeat(5_000)] {
            assert!(checked(bad, "x").is_err(), "{bad:?}");
        }
    }
}
