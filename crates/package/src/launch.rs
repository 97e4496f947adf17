//! What of a package is started, and by which runtime: told by its files, unless somebody says otherwise.

use crate::{Contents, PackageError};
use domain::limits::START_COMMAND_BYTES_MAX;
use serde::Deserialize;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Bytes of a file that says what to start. Ours.
const TOLD_BYTES_MAX: u64 = 1024 * 1024;

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

/// What is wrong with a start command, if anything is: it is one line, not too long, and a shell can read it. One of several lines would write
/// lines of its own into logs.
///
/// # Errors
/// The rule that it breaks, in words to go after its name.
pub fn check_command(command: &str) -> Result<(), &'static str> {
    if command.len() > START_COMMAND_BYTES_MAX {
        return Err("is longer than 4096 bytes");
    }
    if command.contains('\0') {
        return Err("has a zero byte in it");
    }
    if command.contains(['\n', '\r']) {
        return Err("has more than one line");
    }
    match shlex::split(command) {
        None => Err("has a quote that is not closed"),
        Some(words) if words.is_empty() => Err("is empty"),
        Some(_) => Ok(()),
    }
}

fn checked(command: &str, what: &'static str) -> Result<String, PackageError> {
    let command = command.trim();
    check_command(command).map_err(|rule| PackageError::Command { what, rule })?;
    Ok(command.to_owned())
}

/// Words that mean something else, or nothing, behind `exec`: those of the grammar, and commands that a shell may have in itself. Source: POSIX
/// 2024, XCU 1.6, 2.4 and 2.15; dash and bash, which are `/bin/sh` in most places.
const SHELLS_OWN: &str = "! { } case do done elif else esac fi for if in then until while [[ ]] coproc function namespace select \
    time . : break continue eval exec exit export readonly return set shift times trap unset alias bg cd \
    command fc fg getopts hash jobs kill read type ulimit umask unalias wait [ chdir echo false local \
    newgrp printf pwd test true bind builtin caller compgen complete compopt declare dirs disown enable \
    help history let logout mapfile popd pushd readarray shopt source suspend typeset";

/// The command so that the program takes the shell's place, where that means the same: one program, called by its plain name or path, without
/// anything before or after it. All else is the shell's to run as it is; whoever ends an app ends all of its processes.
fn in_place(command: &str) -> String {
    let is_compound = command.contains(['\n', ';', '&', '|', '(', ')', '{', '}', '`', '#']);
    let first = shlex::split(command).and_then(|words| words.into_iter().next()).unwrap_or_default();
    // What a shell would make something else of: variables, patterns, `~`, redirections.
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"_./+-=:@%,".contains(&byte) || !byte.is_ascii();
    let assigns = first.split_once('=').is_some_and(|(name, _)| !name.contains('/'));
    let is_program = first.bytes().all(is_plain) && !assigns && !first.starts_with('-');
    if is_compound || !is_program || SHELLS_OWN.split(' ').any(|word| word == first) {
        return command.to_owned();
    }
    format!("exec {command}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_command_takes_the_shells_place() {
        for (command, run) in [
            ("gunicorn -b 0.0.0.0:$PORT app:app", "exec gunicorn -b 0.0.0.0:$PORT app:app"),
            ("node x.js >log", "exec node x.js >log"),
            ("'node' x.js", "exec 'node' x.js"),
            ("./a=b", "exec ./a=b"),
            ("./\u{e9} x", "exec ./\u{e9} x"),
            ("env NODE_ENV=production node x.js", "exec env NODE_ENV=production node x.js"),
        ] {
            assert_eq!(in_place(command), run);
        }
    }

    #[test]
    fn what_would_mean_something_else_behind_exec_is_left_as_it_is() {
        for command in [
            "npm run migrate && npm start",
            "echo $(date)",
            "exec ./x",
            "NODE_ENV=production node 'a b.js'",
            "NODE_ENV=x exec node a.js",
            "OPTS=$X node",
            "a+=b node",
            "ulimit -n 4096",
            "'ulimit' -n 4096",
            "\\cd /tmp",
            "$PROGRAM x",
            "\"$PROGRAM\" x",
            "~/run",
            "./r* x",
            ">log ulimit -n 4096",
            "> log ulimit -n 4096",
            "-x node",
            "if true",
            "time node x.js",
            "[ -f x ]",
        ] {
            assert_eq!(in_place(command), command);
        }
    }

    /// What a command makes of its arguments and environment, by a real shell: once as a shell reads it, once as it is started.
    #[test]
    fn a_command_means_what_a_shell_makes_of_it() {
        let run = |command: &str| {
            let ran =
                std::process::Command::new("/bin/sh").args(["-c", command]).env("X", "a b").output().unwrap();
            (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
        };
        for (command, said) in [
            ("A=x exec printenv A", "x\n"),
            ("A=$X printenv A", "a b\n"),
            ("ulimit -n", ""),
            ("env A=x printenv A", "x\n"),
            ("printenv X", "a b\n"),
        ] {
            let (plain, started) = (run(command), run(&in_place(command)));
            assert_eq!(started, plain, "{command}");
            assert!(plain.0 == Some(0) && plain.1.starts_with(said), "{command}: {plain:?}");
        }
    }

    #[test]
    fn a_command_is_one_that_a_shell_can_read() {
        assert_eq!(checked("  ./run \n", "x").unwrap(), "./run");
        assert!(check_command(&"x".repeat(4_096)).is_ok());
        for bad in
            ["", "  ", "a 'b", "a \"b", "a\0b", "a\nb", "a '\n'", "a\rb", "# nothing", &"x".repeat(4_097)]
        {
            assert!(checked(bad, "x").is_err(), "{bad:?}");
        }
    }
}
