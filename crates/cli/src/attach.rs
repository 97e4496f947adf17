//! `keyless attach` and `keyless detach`: an identity for what somebody else started: a process, a unit of systemd, a container.
//!
//! Owns: which cgroup is meant, whether it is one thing and not half of the machine, and the environment file. Owns not: the endpoint (the
//! server's). What is attached is known by its cgroup, so whoever is in it or comes into it later is served: that is said, with who is there
//! now. Three rules keep a cgroup from being too much:
//!
//! - never one that holds this command or the server: a login session, or the root, into which most things are born;
//! - not without `--force` one that is made to hold other things: a slice, a session, a user's manager;
//! - not without `--force`, if a process was named, one with processes of other users: whoever names a process need not know its
//!   neighbours. Who names a unit or a container means all of it.

use crate::{
    Global,
    admin::{Admin, segment},
    failure::{Failure, USAGE},
    files::{self, PrivateFile},
    output,
    run::{self, Started},
};
use domain::{AppName, Secret};
use http::Method;
use kernel::{AppCgroup, Found, Hierarchy, Inhabitant, KernelError, NetworkId};
use serde::Deserialize;
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal},
    path::{Path, PathBuf},
    process::Command,
};

/// Processes that are told; of more only how many.
const TOLD_MAX: usize = 20;
/// How an environment file of ours begins: such a one is replaced, others are kept.
const MARK: &str = "# Keyless: ";

#[derive(Debug, clap::Args)]
pub(crate) struct Attach {
    /// The app; made with an identity of its own if it is not there
    #[arg(long)]
    app: AppName,
    #[command(flatten)]
    target: Target,
    /// Where the environment is written, for EnvironmentFile= of systemd or --env-file of podman; replaced if it is an earlier one
    /// [default: standard output, if that is no terminal]
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Also if the cgroup is made to hold other things, or processes of other users are in it
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// A process: all of its cgroup gets the identity
    #[arg(long)]
    pid: Option<u32>,
    /// A unit of systemd; ends when it is restarted
    #[arg(long)]
    unit: Option<String>,
    /// A running container of podman; ends with it
    #[arg(long, value_name = "NAME|ID")]
    container: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Detach {
    /// One, as `keyless attach` has told it
    #[arg(required_unless_present = "app")]
    workload: Option<String>,
    /// All that is attached to an app
    #[arg(long, conflicts_with = "workload")]
    app: Option<AppName>,
}

/// What is meant, in the kernel's words.
struct Meant {
    cgroup: AppCgroup,
    /// In a person's words.
    what: String,
    network: NetworkId,
    /// The process by which it was found, if it was by one.
    found: Option<Found>,
    /// Was that process named, and not something that it belongs to?
    is_named: bool,
}

#[derive(Deserialize)]
struct Running {
    id: String,
    app: String,
    #[serde(default)]
    attached: Option<String>,
    #[serde(default)]
    cgroup: Option<PathBuf>,
}

impl Running {
    /// Is this cgroup attached already? To attach it to another app, too, or anew is to end that first.
    fn holds(&self, cgroup: &Path) -> Option<Failure> {
        let (what, held) = (self.attached.as_deref()?, self.cgroup.as_deref()?);
        (held == cgroup).then(|| {
            Failure::new(format!(
                "{what} is attached already, to app {} as workload {}: it is the same cgroup",
                self.app, self.id
            ))
            .next(format!("To end that: keyless detach {}", self.id))
        })
    }
}

#[derive(Deserialize)]
struct List {
    value: Vec<Running>,
}

pub(crate) async fn attach(global: &Global, args: Attach) -> Result<(), Failure> {
    let path = args.env_file.as_deref().unwrap_or(Path::new("-"));
    if files::is_standard(path) && io::stdout().is_terminal() {
        return Err(Failure::new("the environment holds a secret, which is not for a terminal")
            .next("Name a file by --env-file, or send it into a pipe.")
            .code(USAGE));
    }
    not_replaced(path)?;
    let meant = args.target.meant()?;
    let inhabitants = kernel::inhabitants(&meant.cgroup);
    tell(&meant, &inhabitants);
    check(&meant, &inhabitants, args.force)?;
    let admin = global.admin()?;
    let made = run::identity(&admin, &args.app).await?;
    let network = (meant.network != NetworkId::own()?).then_some(meant.network.number());
    let body = serde_json::json!({
        "cgroup": meant.cgroup.path(), "attached": meant.what, "network": network, "require_enforced": true,
    });
    let route = format!("/v1/apps/{}/workloads", segment(args.app.as_str()));
    let started: Started = match admin.ask(Method::POST, &route, &body).await {
        Ok(started) => started,
        Err(failure) => {
            run::take_back(&admin, &args.app, made).await;
            let running = match failure.is_conflict() {
                true => admin.get::<List>("/v1/workloads").await.map_or_else(|_| Vec::new(), |all| all.value),
                false => Vec::new(),
            };
            return Err(running.iter().find_map(|one| one.holds(meant.cgroup.path())).unwrap_or(failure));
        }
    };
    let written = still_meant(&meant).and_then(|()| write(path, &args.app, &meant.what, &started));
    if let Err(failure) = written {
        admin.order(Method::DELETE, &run::workload(&started)).await?;
        run::take_back(&admin, &args.app, made).await;
        return Err(failure);
    }
    for notice in started.notices() {
        output::note(format_args!("keyless: {notice}"));
    }
    output::note(format_args!(
        "{} has the identity of app {} as workload {}. To end it: keyless detach {2}",
        capital(&meant.what),
        args.app,
        started.id(),
    ));
    if network.is_some() {
        output::note(
            "It has a network of its own: its endpoint and the vaults are at 127.0.0.1 in there. Names of vaults must lead to that address.",
        );
    }
    Ok(())
}

pub(crate) async fn detach(admin: &Admin, args: Detach) -> Result<(), Failure> {
    let route = match &args.app {
        Some(app) => format!("/v1/apps/{}/workloads", segment(app.as_str())),
        None => "/v1/workloads".to_owned(),
    };
    let mut attached: Vec<Running> = admin.get::<List>(&route).await?.value;
    attached.retain(|one| args.workload.as_ref().is_none_or(|id| *id == one.id));
    let others = attached.len();
    attached.retain(|one| one.attached.is_some());
    if attached.is_empty() {
        return Err(match others {
            0 => Failure::new("nothing is attached there"),
            _ => Failure::new("what runs there was started by Keyless, and not attached")
                .next("It loses its identity when it ends: `keyless app stop`, or end the program of `keyless run`."),
        });
    }
    for one in attached {
        admin.order(Method::DELETE, &format!("/v1/workloads/{}", segment(&one.id))).await?;
        let what = one.attached.as_deref().map(capital).unwrap_or_default();
        output::note(format_args!("{what} has no identity of app {} any more.", one.app));
    }
    Ok(())
}

impl Target {
    fn meant(&self) -> Result<Meant, Failure> {
        if let Some(pid) = self.pid {
            return of_process(pid, format!("process {pid}"));
        }
        if let Some(unit) = &self.unit {
            return of_unit(unit);
        }
        let name = self.container.as_deref().unwrap_or_default();
        of_container(name, || {
            let arguments = ["container", "inspect", "--format", "{{.Id}} {{.State.Pid}}", "--", name];
            ask("podman", &arguments)
        })
    }
}

fn of_process(pid: u32, what: String) -> Result<Meant, Failure> {
    let found = kernel::find(pid).map_err(|error| match error {
        KernelError::System { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::new(format!("there is no process {pid}"))
        }
        error => error.into(),
    })?;
    let cgroup = AppCgroup::open(found.cgroup.path())?;
    Ok(Meant { cgroup, what, network: found.network, found: Some(found), is_named: true })
}

/// A container, by the first process of it that podman tells. That one may have ended by then, and its id be another's: so it is asked
/// once more when the process is held. If it then says the same, the process is the container's: who ends before is no more of it.
fn of_container(name: &str, inspect: impl Fn() -> Result<String, Failure>) -> Result<Meant, Failure> {
    let told = inspect()?;
    let pid = match told.split_whitespace().nth(1).map(str::parse) {
        Some(Ok(pid)) if pid != 0 => pid,
        _ => return Err(Failure::new(format!("container {name} does not run"))),
    };
    let what = format!("container {name}");
    let meant = of_process(pid, what.clone())?;
    if inspect()? != told {
        return Err(over(&what));
    }
    // All of the container is meant, whoever is in it.
    Ok(Meant { is_named: false, ..meant })
}

/// A unit as systemd knows it: root's are the system's, others' those of their own manager.
fn of_unit(unit: &str) -> Result<Meant, Failure> {
    let manager = if kernel::is_root() { "--system" } else { "--user" };
    let told = ask("systemctl", &[manager, "show", "-p", "ControlGroup", "-p", "MainPID", "--", unit])?;
    let property = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let none = || Failure::new(format!("unit {unit} does not run"));
    let path = property("ControlGroup").filter(|path| path.len() > 1).ok_or_else(none)?;
    let directory = Hierarchy::discover()?.mount.join(path.trim_start_matches('/'));
    let cgroup = AppCgroup::open(&directory)?;
    let main = property("MainPID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid != 0);
    let pid = main.or_else(|| cgroup.processes().first().copied()).ok_or_else(none)?;
    Ok(Meant {
        cgroup,
        what: format!("unit {unit}"),
        network: kernel::find(pid)?.network,
        found: None,
        is_named: false,
    })
}

/// What a program of the system says.
fn ask(program: &str, arguments: &[&str]) -> Result<String, Failure> {
    let asked = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| Failure::new(format!("{program} cannot be asked: {error}")))?;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        return Err(Failure::new(format!("{program} says: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&asked.stdout).into_owned())
}

/// Says who gets the identity.
fn tell(meant: &Meant, inhabitants: &[Inhabitant]) {
    let mut text =
        format!("{} is cgroup {}, and in it now:", capital(&meant.what), meant.cgroup.path().display());
    for one in inhabitants.iter().take(TOLD_MAX) {
        let _never_fails = write!(text, "\n  {} {} (user {})", one.pid, one.name, one.uid);
    }
    if let Some(more) = inhabitants.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        let _never_fails = write!(text, "\n  and {more} more");
    }
    output::note(text);
    if let Some(user) = kernel::who_may_join(&meant.cgroup) {
        output::warn(format_args!(
            "this cgroup is given into the hands of user {user}: other programs of theirs can move into it, and get its tokens"
        ));
    }
}

fn check(meant: &Meant, inhabitants: &[Inhabitant], force: bool) -> Result<(), Failure> {
    let path = meant.cgroup.path();
    let apart = "Start it apart from the rest: `keyless run`, a unit of systemd, or a container.";
    let hierarchy = Hierarchy::discover()?;
    if path == hierarchy.mount {
        let why = "it is in the root cgroup, as is whatever has no cgroup of its own";
        return Err(Failure::new(format!("{} cannot be attached: {why}", meant.what)).next(apart));
    }
    // Not by a list of what is below it: from a broad one most would be missing.
    if AppCgroup::open(&hierarchy.own)?.is_within(meant.cgroup.id())? {
        let why = "this very command is in the same cgroup, as is whatever you start in this session";
        return Err(Failure::new(format!("{} cannot be attached: {why}", meant.what)).next(apart));
    }
    if force {
        return Ok(());
    }
    let refuse = |why: String, next: &str| {
        Err(Failure::new(format!("{} is not attached: {why}", meant.what))
            .next(format!("{next} Or --force.")))
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_made_for_many(&name) {
        return refuse(format!("cgroup {name} is made to hold other things, too"), apart);
    }
    let named = meant.found.as_ref().filter(|_| meant.is_named);
    let stranger = named.and_then(|named| inhabitants.iter().find(|one| one.uid != named.uid));
    if let Some(one) = stranger {
        let why = format!("process {} of user {} is in the same cgroup", one.pid, one.uid);
        return refuse(why, "If they belong together, name them as a whole: --unit or --container.");
    }
    Ok(())
}

/// Does systemd put other things there?
fn is_made_for_many(name: &str) -> bool {
    name.ends_with(".slice")
        || name == "init.scope"
        || name.starts_with("session-") && name.ends_with(".scope")
        || name.starts_with("user@") && name.ends_with(".service")
}

/// By its path the server has opened the very cgroup that was looked at: no other one ever gets its number. And the process is still there.
fn still_meant(meant: &Meant) -> Result<(), Failure> {
    let is_same = AppCgroup::open(meant.cgroup.path()).is_ok_and(|now| now.id() == meant.cgroup.id());
    let is_there = match &meant.found {
        Some(found) => !found.process.has_ended()? && meant.cgroup.processes().contains(&found.process.id()),
        None => true,
    };
    if is_same && is_there {
        return Ok(());
    }
    Err(over(&meant.what))
}

fn over(what: &str) -> Failure {
    Failure::new(format!("{what} has ended or moved elsewhere meanwhile"))
}

/// Lines as systemd and podman read them: what comes after the first `=` is the value as it is.
fn write(path: &Path, app: &AppName, what: &str, started: &Started) -> Result<(), Failure> {
    let mut text = String::with_capacity(4 * 1024);
    let id = started.id();
    let _never_fails = writeln!(text, "{MARK}app {app} for {what}; to end it: keyless detach {id}");
    for (name, value) in started.env() {
        let _never_fails = writeln!(text, "{name}={value}");
    }
    let text = Secret::new(text);
    if files::is_standard(path) {
        return files::write(path, false, text.expose().as_bytes());
    }
    let mut file = PrivateFile::create(path, is_earlier(path))?;
    file.write(text.expose().as_bytes())?;
    file.finish()
}

/// A file that is no environment file of ours is kept: said before anything is done, and not to be forced.
fn not_replaced(path: &Path) -> Result<(), Failure> {
    if files::is_standard(path) || std::fs::symlink_metadata(path).is_err() || is_earlier(path) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} is there already, and is no environment file of `keyless attach`",
        path.display()
    ))
    .next("Name another file, or remove this one."))
}

fn is_earlier(path: &Path) -> bool {
    let mut line = Vec::new();
    let read = File::open(path).and_then(|file| BufReader::new(file).read_until(b'\n', &mut line));
    read.is_ok() && line.starts_with(MARK.as_bytes())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_fills_with_other_things_is_told_from_what_is_one_thing() {
        for many in ["system.slice", "user-1000.slice", "session-3.scope", "user@1000.service", "init.scope"]
        {
            assert!(is_made_for_many(many), "{many}");
        }
        for one in ["nginx.service", "run-r1.scope", "libpod-0f.scope", "session-keeper.service", "web"] {
            assert!(!is_made_for_many(one), "{one}");
        }
    }

    #[test]
    fn what_is_attached_is_not_attached_again() {
        let running = |cgroup: Option<&str>, attached: Option<&str>| Running {
            id: "w1".to_owned(),
            app: "web".to_owned(),
            attached: attached.map(str::to_owned),
            cgroup: cgroup.map(PathBuf::from),
        };
        let holds = |one: Running| one.holds(Path::new("/c/x")).map(|failure| failure.to_string());
        let told = holds(running(Some("/c/x"), Some("process 7"))).unwrap();
        assert!(told.contains("app web") && told.contains("keyless detach w1"), "{told}");
        assert_eq!(holds(running(Some("/c/y"), Some("process 7"))), None);
        assert_eq!(holds(running(Some("/c/x"), None)), None, "it was started, and is not detached");
        assert_eq!(holds(running(None, Some("process 7"))), None);
    }

    #[test]
    fn a_file_of_somebody_elses_is_kept_and_what_to_do_is_not_what_force_does() {
        let place = std::env::temp_dir().join(format!("keyless-cli-{}-env-file", std::process::id()));
        for (text, is_replaced) in [("A=b\n", false), ("", false), ("# Keyless: app web\nA=b\n", true)] {
            std::fs::write(&place, text).unwrap();
            let refused = not_replaced(&place).err().map(|failure| failure.to_string());
            assert_eq!(refused.is_none(), is_replaced, "{text}");
            assert!(refused.is_none_or(|text| !text.contains("--force")));
        }
        std::fs::remove_file(&place).unwrap();
        assert!(not_replaced(&place).is_ok() && not_replaced(Path::new("-")).is_ok());
    }

    /// A container that ends, or is started again, between what podman says and the look at the process.
    #[test]
    fn a_process_that_podman_told_is_the_containers_only_if_it_still_says_so() {
        let own = std::process::id();
        let answers = |answers: [String; 2]| {
            let answers = std::cell::RefCell::new(answers.to_vec());
            of_container("web", move || Ok(answers.borrow_mut().remove(0)))
        };
        let same = format!("0f1e {own}\n");
        match answers([same.clone(), same.clone()]) {
            Ok(meant) => {
                assert!(!meant.is_named && still_meant(&meant).is_ok());
                assert_eq!(meant.found.as_ref().map(|found| found.process.id()), Some(own), "it is held");
            }
            // Without cgroups no process is found at all.
            Err(failure) => return assert!(Hierarchy::discover().is_err(), "{failure}"),
        }
        for later in ["0f1e 0\n".to_owned(), format!("0f1e {}\n", own + 1), format!("2d3c {own}\n")] {
            let failure = answers([same.clone(), later]).err().unwrap();
            assert!(failure.to_string().contains("meanwhile"), "{failure}");
        }
        let failure = answers(["0f1e 0\n".to_owned(), String::new()]).err().unwrap();
        assert!(failure.to_string().contains("does not run"), "{failure}");
    }

    #[test]
    fn a_container_that_has_ended_is_not_meant_any_more() {
        let Ok(mut process) = Command::new("sleep").arg("60").spawn() else { return };
        let inspect = || Ok(format!("0f1e {}\n", process.id()));
        let Ok(meant) = of_container("web", inspect) else {
            process.kill().unwrap();
            return assert!(Hierarchy::discover().is_err());
        };
        assert!(still_meant(&meant).is_ok());
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(still_meant(&meant).is_err());
    }
}
