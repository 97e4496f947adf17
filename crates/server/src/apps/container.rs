//! An instance as a container: `podman run`, with a network that is made before it and has our listeners in it, below a cgroup of ours.
//!
//! What we hold on to is podman's own process, which ends when the container does and tells how. It and podman's monitor are in a cgroup
//! beside the instance's, so that ending the instance leaves them to clean up. Nothing that is secret is among arguments: podman reads the
//! environment from its standard input, a file in memory; and it finds the network by a descriptor. Neither has a name that could be left over.
//!
//! Owns: what podman is told. Owns not: images (`podman pull`), the order of a start (`launch`), what an ordinary user lacks (`rootless`).

use super::rootless;
use domain::{Secret, limits};
use identity::challenge;
use kernel::{AppCgroup, Hierarchy, KernelError, Network, NetworkPorts, Placement, Process, Program};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// Where podman looks for cgroups.
pub(super) const CGROUPS: &str = "/sys/fs/cgroup";
/// For machines that have cgroup v2 elsewhere, beside version 1: podman gets a view of the file system in which it is there.
const ONLY_CGROUP2: &str =
    "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$0\" \"$@\"";
/// Where root's podman looks for networks that somebody has defined; ours have none of them. Its own place is below /etc, where it takes a lock
/// at each start: a service of systemd may find that read-only (`ProtectSystem=`), and then nothing of podman works.
const NETWORKS: &str = "/run/keyless-podman";
/// Since when podman can be told that place, and takes that lock.
const NETWORKS_SINCE: u32 = 4;
/// The label by which our containers are found.
const LABEL: &str = "io.keyless.tenant";
/// Where a container listens if no setting says otherwise, as `PORT` tells it.
const PORT: u16 = 8080;
/// The setting that says otherwise, as App Service has it.
const PORT_SETTING: &str = "WEBSITES_PORT";
/// Open files of a container, at most, and processes of one user of it. Ours.
const FILES_MAX: u64 = 524_288;
const USERS_PROCESSES_MAX: u64 = 16_384;
/// How long podman may take for an answer. Ours: for so long the app that asks waits.
pub(super) const ASK_TIME_MAX: Duration = Duration::from_secs(30);
/// How often a start of podman is tried whose cgroup was taken away meanwhile.
const SPAWN_TRIES: usize = 3;
const WAIT_INTERVAL: Duration = Duration::from_millis(5);
/// What podman is told of our environment: where its own files and its registries are.
const PASSED: [&str; 10] = [
    "HOME",
    "PATH",
    "XDG_RUNTIME_DIR",
    "REGISTRY_AUTH_FILE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
const PASSED_PREFIXES: [&str; 2] = ["CONTAINERS_", "STORAGE_"];

/// The container engine of this machine.
pub(crate) struct Podman {
    hierarchy: Hierarchy,
    parent: PathBuf,
    pub(super) tenant: String,
    /// Is it told where networks are?
    has_networks: bool,
}

/// What a container is started with.
pub(super) struct Container<'a> {
    pub(super) name: String,
    pub(super) image: &'a str,
    pub(super) command: Option<&'a str>,
    pub(super) environment: &'a BTreeMap<String, Secret<String>>,
    pub(super) cgroup: &'a AppCgroup,
    pub(super) joins: Vec<BorrowedFd<'a>>,
    /// Where podman finds its network.
    pub(super) network: &'a Path,
    /// Seen under the same path inside: what programs need to trust us.
    pub(super) trust: &'a Path,
    pub(super) hosts: &'a Path,
    /// The folder that it sees where Azure Arc's clients look for keys.
    pub(super) keys: Option<&'a Path>,
    pub(super) output: &'a File,
}

impl Podman {
    /// Of this machine, or what is missing.
    pub(crate) fn find(placement: &Placement, tenant: &str) -> Result<Self, String> {
        let hierarchy = Hierarchy::discover().map_err(|error| error.to_string())?;
        let parent = match placement {
            Placement::Root { parent } => parent.clone(),
            _ if kernel::is_root() => {
                return Err("containers need cgroup v2; see `keyless doctor`".to_owned());
            }
            placement => rootless::parent(placement, &hierarchy)?,
        };
        let mut command = Command::new("podman");
        command.arg("--version").env_clear().envs(environment());
        let version = ended(ASK_TIME_MAX, command).ok().filter(|version| version.status.success());
        let version = version.ok_or(
            "podman is not there: install it (Debian and Ubuntu: apt install podman runc), and try again",
        )?;
        let has_networks = kernel::is_root() && major(&version.stdout) >= Some(NETWORKS_SINCE);
        Ok(Self { hierarchy, parent, tenant: tenant.to_owned(), has_networks })
    }

    /// Can there be containers of this user? Else what is missing. Blocks.
    pub(super) fn prove(&self) -> Result<(), String> {
        if kernel::is_root() { Ok(()) } else { self.users().map(drop) }
    }

    /// A network for a container. Blocks.
    pub(super) fn network(&self, ports: &NetworkPorts) -> Result<Network, String> {
        if kernel::is_root() {
            return Network::create(ports).map_err(|error| domain::chain(&error));
        }
        self.network_of_user(ports)
    }

    /// Podman's command line, with these arguments.
    pub(super) fn line<T: Into<OsString>>(&self, arguments: impl IntoIterator<Item = T>) -> Vec<OsString> {
        let mut line: Vec<OsString> = Vec::new();
        if self.hierarchy.mount != Path::new(CGROUPS) {
            let view = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ONLY_CGROUP2];
            line.extend(view.map(OsString::from));
        }
        line.extend(["podman", "--cgroup-manager", "cgroupfs"].map(OsString::from));
        if self.has_networks {
            line.extend(["--network-config-dir", NETWORKS].map(OsString::from));
        }
        line.extend(arguments.into_iter().map(Into::into));
        line
    }

    /// Runs podman to its end, and answers what it says. Blocks.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let command = self.command(arguments)?;
        let asked = ended(ASK_TIME_MAX, command).map_err(|error| format!("podman: {error}"))?;
        if asked.status.success() {
            Ok(String::from_utf8_lossy(&asked.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&asked.stderr).trim().to_owned())
        }
    }

    /// Podman, to be run with these arguments.
    pub(super) fn command(&self, arguments: &[&str]) -> Result<Command, String> {
        let line = self.line(arguments);
        let (program, arguments) = line.split_first().ok_or_else(String::new)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment());
        Ok(command)
    }

    /// The id of an image that is on this machine. Blocks.
    pub(super) fn image(&self, name: &str) -> Result<String, String> {
        let id = self.ask(&["image", "inspect", "--format", "{{.Id}}", "--", name])?;
        let is_one = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        if is_one { Ok(id) } else { Err(format!("podman names image {name} in a strange way")) }
    }

    /// Starts podman to fetch an image.
    pub(super) fn pull(&self, name: &str, output: &File) -> Result<Process, KernelError> {
        self.spawn(self.line(["pull", "--quiet", "--", name]), Vec::new(), None, output)
    }

    /// Takes away whatever is left of a container. Blocks.
    pub(super) fn remove(&self, name: &str) -> Result<(), String> {
        let removed = self.ask(&["rm", "--force", "--ignore", "--time", "0", name]).map(drop);
        remove_beside(&self.parent, &self.tenant);
        removed
    }

    /// The names of all containers of this installation. Blocks.
    pub(super) fn names(&self) -> Result<Vec<String>, String> {
        let filter = format!("label={LABEL}={}", self.tenant);
        let listed = self.ask(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Starts a container.
    pub(super) fn run(&self, container: &Container<'_>) -> io::Result<Process> {
        let environment = kernel::files::in_memory("environment")?;
        (&environment).write_all(lines(container.environment)?.expose().as_bytes())?;
        let below = container.cgroup.path().strip_prefix(&self.hierarchy.mount).map_err(io::Error::other)?;
        let trust = container.trust.display();
        let files = most("Max open files", FILES_MAX);
        let processes = most("Max processes", USERS_PROCESSES_MAX);
        let mut arguments = vec![
            "run".to_owned(),
            "--rm".to_owned(),
            format!("--name={}", container.name),
            format!("--label={LABEL}={}", self.tenant),
            "--pull=never".to_owned(),
            "--log-driver=none".to_owned(),
            "--cgroups=no-conmon".to_owned(),
            format!("--cgroup-parent=/{}", below.display()),
            format!("--network=ns:{}", container.network.display()),
            // Opened anew, and so read from its beginning.
            "--env-file=/dev/stdin".to_owned(),
            "--http-proxy=false".to_owned(),
            format!("--mount=type=bind,src={trust},dst={trust},ro=true"),
            "--security-opt=no-new-privileges".to_owned(),
            // Ours are the cgroup's.
            "--pids-limit=-1".to_owned(),
            format!("--ulimit=nofile={files}:{files}"),
            format!("--ulimit=nproc={processes}:{processes}"),
            "--ulimit=core=0:0".to_owned(),
        ];
        if container.hosts.exists() {
            arguments.push(format!("--volume={}:/etc/hosts:ro", container.hosts.display()));
        }
        if let Some(keys) = container.keys {
            arguments.push(format!("--volume={}:{}:ro", keys.display(), challenge::SEEN_IN));
        }
        if container.command.is_some() {
            arguments.push("--entrypoint=/bin/sh".to_owned());
        }
        arguments.push(container.image.to_owned());
        if let Some(command) = container.command {
            arguments.extend(["-c".to_owned(), command.to_owned()]);
        }
        let (joins, input) = (container.joins.clone(), Some(environment.as_fd()));
        self.spawn(self.line(arguments), joins, input, container.output)
            .map_err(|error| io::Error::other(domain::chain(&error)))
    }

    pub(super) fn spawn(
        &self,
        arguments: Vec<OsString>,
        joins: Vec<BorrowedFd<'_>>,
        input: Option<BorrowedFd<'_>>,
        output: &File,
    ) -> Result<Process, KernelError> {
        let beside = self.beside();
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        let mut left = SPAWN_TRIES;
        loop {
            left -= 1;
            // Made by whoever comes first, and taken away when it is empty: by another app's round just now, at worst.
            let cgroup = AppCgroup::create(&self.parent, &name).or_else(|_| AppCgroup::open(&beside));
            let spawned = cgroup.and_then(|cgroup| {
                let program = Program {
                    arguments: arguments.clone(),
                    environment: environment(),
                    cgroup: Some(cgroup.directory()),
                    joins: joins.clone(),
                    input,
                    output: Some(output.as_fd()),
                    ..Program::default()
                };
                crate::hands::aside(|| kernel::spawn(&program))
            });
            match spawned {
                Err(KernelError::Spawn(_) | KernelError::Cgroup { .. }) if left > 0 => {}
                spawned => return spawned,
            }
        }
    }

    fn beside(&self) -> PathBuf {
        beside(&self.parent, &self.tenant)
    }
}

/// The cgroup of podman and its monitors.
fn beside(parent: &Path, tenant: &str) -> PathBuf {
    parent.join(format!("keyless-podman-{}", tenant.get(..8).unwrap_or(tenant)))
}

/// Takes that away if nothing is in it. Shared by all, it goes when the last one's monitor has gone, which may be a while after the
/// container. Blocks.
pub(super) fn remove_beside(parent: &Path, tenant: &str) {
    if let Ok(cgroup) = AppCgroup::open(&beside(parent, tenant))
        && !cgroup.is_populated()
    {
        let _used_again = cgroup.remove();
    }
}

/// Runs a command to its end, or to the end of its time. What it has started may still hold its pipes then: nobody waits for that. Blocks.
fn ended(time: Duration, mut command: Command) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Read beside it: what it says may be more than a pipe holds.
    let (stdout, stderr) = (said(child.stdout.take()), said(child.stderr.take()));
    let until = Instant::now() + time;
    let status = wait(&mut child, until)?;
    let late =
        || io::Error::new(io::ErrorKind::TimedOut, "it has ended, and what it started goes on talking");
    let whole = |said: Receiver<Vec<u8>>| {
        said.recv_timeout(until.saturating_duration_since(Instant::now())).map_err(|_| late())
    };
    Ok(Output { status, stdout: whole(stdout)?, stderr: whole(stderr)? })
}

/// Waits for a process to end; ends it then.
pub(super) fn wait(child: &mut Child, until: Instant) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
        }
        thread::sleep(WAIT_INTERVAL);
    }
}

/// All that comes by a pipe, once it is closed.
pub(super) fn said(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (whole, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut pipe) = pipe {
            let _as_far_as_it_came = pipe.read_to_end(&mut said);
        }
        let _nobody_waits = whole.send(said);
    });
    receiver
}

/// The name of an instance's container.
pub(super) fn name(workload: domain::WorkloadId) -> String {
    format!("keyless-{workload}")
}

/// Where a container listens, by its settings; never where we do.
pub(super) fn port(settings: &BTreeMap<String, Secret<String>>, ours: u16) -> io::Result<u16> {
    let told = settings.get(PORT_SETTING).map(|port| port.expose().parse::<u16>());
    match told {
        None if ours == PORT => Ok(PORT + 1),
        None => Ok(PORT),
        Some(Ok(port)) if port != 0 && port != ours => Ok(port),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "setting {PORT_SETTING} must be a port from 1 to 65535, and not {ours}, where the vaults are"
            ),
        )),
    }
}

/// An environment as podman reads it: a line for each variable, whose value is what follows as it is.
fn lines(environment: &BTreeMap<String, Secret<String>>) -> io::Result<Secret<String>> {
    let bytes = environment.iter().map(|(name, value)| name.len() + value.expose().len() + 2).sum();
    let several = environment.iter().find(|(_, value)| value.expose().contains(['\n', '\r', '\0']));
    if let Some((name, _)) = several {
        let why = format!("setting {name} has several lines, which a container's environment cannot have");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    // Large enough from the start: a text that grows leaves pieces of what it held behind.
    let mut text = String::with_capacity(bytes);
    for (name, value) in environment {
        for part in [name, "=", value.expose(), "\n"] {
            text.push_str(part);
        }
    }
    Ok(Secret::new(text))
}

fn environment() -> Vec<(OsString, OsString)> {
    let mut passed: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            PASSED.contains(&&*name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    let path = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let home = kernel::is_root().then_some(("HOME", "/root"));
    for (name, value) in [path].into_iter().chain(home) {
        if !passed.iter().any(|(known, _)| known == name) {
            passed.push((name.into(), value.into()));
        }
    }
    passed
}

/// As much of a resource as there may be: we may not be allowed to raise our own limit, and a container starts from it.
fn most(name: &str, wanted: u64) -> u64 {
    let known = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = known.lines().find_map(|line| line.strip_prefix(name));
    // The soft limit, the hard one, the unit.
    let hard = line.and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
    hard.map_or(wanted, |hard: u64| hard.min(wanted))
}

/// How long an image's fetching may take.
pub(super) const PULL_TIME_MAX: std::time::Duration = limits::BUILD_TIME_MAX;

/// The first number of a version, as `podman version 4.3.1` tells it.
fn major(told: &[u8]) -> Option<u32> {
    String::from_utf8_lossy(told).split_whitespace().last()?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_podman_that_locks_its_networks_is_told_a_place_that_no_unit_makes_read_only() {
        assert_eq!(major(b"podman version 4.3.1\n"), Some(4));
        assert_eq!(major(b"podman version 3.4.4\n"), Some(3));
        assert_eq!(major(b"podman version 5.0.0-dev\n"), Some(5));
        assert_eq!((major(b""), major(b"podman")), (None, None));
        let podman = |has_networks| Podman {
            hierarchy: Hierarchy { mount: CGROUPS.into(), own: CGROUPS.into() },
            parent: CGROUPS.into(),
            tenant: String::new(),
            has_networks,
        };
        let plain = ["podman", "--cgroup-manager", "cgroupfs"];
        assert_eq!(podman(false).line(["ps"]), [&plain[..], &["ps"]].concat());
        let told = ["--network-config-dir", NETWORKS, "ps"];
        assert_eq!(podman(true).line(["ps"]), [&plain[..], &told].concat());
    }

    fn settings(all: &[(&str, &str)]) -> BTreeMap<String, Secret<String>> {
        all.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned()))).collect()
    }

    #[test]
    fn an_environment_is_a_line_each_and_never_half_of_one() {
        let written = lines(&settings(&[("A", "1"), ("B", "x = \"y\" # z"), ("C", "")])).unwrap();
        assert_eq!(written.expose(), "A=1\nB=x = \"y\" # z\nC=\n");
        for several in ["a\nLD_PRELOAD=b", "a\r", "a\0"] {
            assert!(lines(&settings(&[("KEY", several)])).unwrap_err().to_string().contains("KEY"));
        }
    }

    #[test]
    fn a_container_listens_where_a_setting_says_and_never_where_the_vaults_are() {
        assert_eq!(port(&settings(&[]), 8443).unwrap(), 8080);
        assert_eq!(port(&settings(&[]), 8080).unwrap(), 8081);
        assert_eq!(port(&settings(&[("WEBSITES_PORT", "80")]), 8443).unwrap(), 80);
        for wrong in ["0", "8443", "high", "", "70000"] {
            assert!(port(&settings(&[("WEBSITES_PORT", wrong)]), 8443).is_err(), "{wrong}");
        }
    }
}
