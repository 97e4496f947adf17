//! `keyless run`: starts a program as an app, and is transparent from then on (ADR 0007).
//!
//! Owns: the program's process: its cgroup, environment, names, signals and exit status. Owns not: its endpoint and identity, which
//! the server has. Prints nothing on stdout. If the server goes away meanwhile the program runs on; the server finds its endpoint
//! again when it comes back.

use crate::{
    Global,
    admin::{Admin, Fault, segment},
    app,
    failure::Failure,
    lookup,
    output::{self, Colour, paint_if},
    place::{self, Place},
    signals::Signals,
    status::Status,
};
use domain::{AppName, Secret};
use http::Method;
use kernel::{Ended, KernelError, Process, Program};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io::IsTerminal,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// Exit statuses of shells for a program that is not there, and one that cannot be executed (POSIX 2.8.2).
pub(crate) const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The app; made with an identity of its own if it is not there
    #[arg(long)]
    app: AppName,
    /// Refuse to start if the kernel cannot keep strangers from the app's endpoint
    #[arg(long)]
    require_enforced: bool,
    /// Shadow mode, for development: to the program and what it starts, and to nobody else, *.vault.azure.net, login.microsoftonline.com
    /// and graph.microsoft.com are Keyless, so that a program that names Azure runs as it is
    #[arg(long)]
    as_azure: bool,
    /// Say nothing of what was changed in the program's environment
    #[arg(short, long)]
    quiet: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) program: Vec<OsString>,
}

/// What the server answers to a start. Its environment holds the endpoint secret.
#[derive(Deserialize)]
pub(crate) struct Started {
    workload: String,
    env: Vec<(String, String)>,
    unset: Vec<String>,
    notices: Vec<String>,
    enforcement: Enforcement,
    #[serde(default)]
    shadow: Option<Shadow>,
}

/// By which door the program finds us in shadow mode.
#[derive(Deserialize)]
struct Shadow {
    address: Ipv4Addr,
    hosts: PathBuf,
}

#[derive(Deserialize)]
struct Enforcement {
    enforced: bool,
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    mend: Option<String>,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<ExitCode, Failure> {
    if let (true, Some(why)) = (args.as_azure, lookup::hosts_file_is_late()) {
        return Err(Failure::new(format!(
            "the program is not started: --as-azure leads it by an /etc/hosts of its own, but {why}, so that it would find the real Azure; \
             put `files` first in that line"
        )));
    }
    let admin = global.admin()?;
    let status: Status = admin.get("/v1/status").await?;
    let made = identity(&admin, &args.app).await?;
    let place = Place::make(&args.app);
    let started = match start(&admin, &args, &place).await {
        Ok(started) => started,
        Err(failure) => {
            leave(&place);
            take_back(&admin, &args.app, made).await;
            return Err(failure);
        }
    };
    say(&args, &status, &started);
    // Caught from here on: whoever stops us stops the app, and we stay to clean up.
    let mut signals = Signals::catch()?;
    let child = match spawn(&args, &started, &place, Path::new(&status.hosts_file)) {
        Ok(child) => Arc::new(child),
        Err(failure) => {
            let _best_effort = admin.send(Method::DELETE, &workload(&started), None::<&()>).await;
            leave(&place);
            take_back(&admin, &args.app, made).await;
            return Err(failure);
        }
    };
    let ended = wait(&child, &mut signals).await?;
    end(&admin, &started, &place, args.quiet).await;
    Ok(status_of(ended))
}

/// How we end when a program has ended like this: as a shell does.
pub(crate) fn status_of(ended: Ended) -> ExitCode {
    ExitCode::from(match ended {
        Ended::Exited(status) => u8::try_from(status & 0xff).unwrap_or(u8::MAX),
        Ended::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        // Not told of a child.
        Ended::Unseen => crate::failure::FAILED,
    })
}

/// What [`identity`] has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    Nothing,
    Identity,
    /// The app, and its identity.
    App,
}

/// The app with an identity: its own one, unless it has been given others. Says what was made for that.
pub(crate) async fn identity(admin: &Admin, app: &AppName) -> Result<Made, Failure> {
    let path = format!("/v1/apps/{}", segment(app.as_str()));
    // Asked first: a start that changes nothing should not look like a change in the audit log.
    if let Ok(known) = admin.get::<app::App>(&path).await
        && (known.identity.is_some() || !known.user_assigned.is_empty())
    {
        return Ok(Made::Nothing);
    }
    let assign = || async {
        let nothing = serde_json::json!({});
        admin.send(Method::PUT, &format!("{path}/identity"), Some(&nothing)).await
    };
    match assign().await {
        Err(Fault::Refused(refused)) if refused.status == 404 => {
            let made = admin.send(Method::POST, "/v1/apps", Some(&serde_json::json!({"name": app}))).await;
            let made = match made {
                // Somebody else made it in between.
                Err(Fault::Refused(refused)) if refused.status == 409 => Made::Nothing,
                other => other.map(|_| Made::App).map_err(|fault| admin.explain(fault))?,
            };
            match assign().await {
                Ok(_) => Ok(made),
                Err(fault) => {
                    take_back(admin, app, made).await;
                    Err(admin.explain(fault))
                }
            }
        }
        other => other.map(|_| Made::Identity).map_err(|fault| admin.explain(fault)),
    }
}

/// Takes back what was made for something that was then refused, unless somebody has found it and uses it. As well as it goes: why it was refused
/// matters more.
pub(crate) async fn take_back(admin: &Admin, app: &AppName, made: Made) {
    let path = format!("/v1/apps/{}", segment(app.as_str()));
    let gone = match made {
        Made::Nothing => return,
        Made::Identity => format!("{path}/identity"),
        Made::App => path.clone(),
    };
    let known = admin.get::<app::App>(&path).await;
    let workloads = admin.get::<app::List<serde_json::Value>>(&format!("{path}/workloads")).await;
    let is_used = |known: &app::App| known.hosted.as_ref().is_some_and(crate::host::Hosted::is_used);
    if let (Ok(known), Ok(workloads)) = (known, workloads)
        && !is_used(&known)
        && known.user_assigned.is_empty()
        && workloads.value.is_empty()
    {
        let _best_effort = admin.send(Method::DELETE, &gone, None::<&()>).await;
    }
}

async fn start(admin: &Admin, args: &Args, place: &Place) -> Result<Started, Failure> {
    // Values travel only where the server extends them: whatever else is in our environment is none of its business.
    let environment: BTreeMap<String, Option<String>> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let is_needed = server::VALUES_NEEDED.contains(&name.as_str());
            let value = if is_needed { value.into_string().ok() } else { None };
            Some((name, value))
        })
        .collect();
    let (cgroup, why, mend) = match place {
        Place::Own(cgroup) => (Some(cgroup.path()), None, None),
        Place::Nowhere { why, mend } => (None, Some(why), Some(mend)),
    };
    let body = serde_json::json!({
        "cgroup": cgroup, "why": why, "mend": mend,
        "require_enforced": args.require_enforced, "as_azure": args.as_azure, "environment": environment,
    });
    admin.ask(Method::POST, &format!("/v1/apps/{}/workloads", segment(args.app.as_str())), &body).await
}

/// What a person should know; on stderr, and only if there is something.
fn say(args: &Args, status: &Status, started: &Started) {
    let is_terminal = std::io::stderr().is_terminal();
    // Also if it shall be quiet: a program whose tokens are of another time may behave strangely.
    if let Some(ahead) = status.test_clock_ahead_seconds {
        output::note(format_args!(
            "{} {}: it is {} at the server, and its tokens and secrets are of that time",
            paint_if(is_terminal, Colour::Warn, "keyless:"),
            crate::clock::told(ahead),
            output::time(status.now),
        ));
    }
    // Also if it shall be quiet: whoever takes this for Azure keeps secrets in the wrong place.
    if let Some(Shadow { address, .. }) = &started.shadow {
        output::note(format_args!(
            "{} this program is {}: to it, *.vault.azure.net, login.microsoftonline.com (and its other names) and graph.microsoft.com \
             are this Keyless (at {address}). Vaults that are not here, and all other hosts, are looked up outside as ever",
            paint_if(is_terminal, Colour::Warn, "keyless:"),
            paint_if(is_terminal, Colour::Warn, "NOT IN AZURE"),
        ));
    }
    if !args.quiet {
        for notice in &started.notices {
            output::note(format_args!("{} {notice}", paint_if(is_terminal, Colour::Dim, "keyless:")));
        }
    }
    if !started.enforcement.enforced {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        output::note(format_args!(
            "{} app {} is {}: any program of this machine that gets hold of its endpoint secret gets its tokens ({}; to mend it: {})",
            paint_if(is_terminal, Colour::Warn, "keyless:"),
            args.app,
            paint_if(is_terminal, Colour::Warn, "UNENFORCED"),
            part(&started.enforcement.why),
            part(&started.enforcement.mend),
        ));
    }
}

fn spawn(args: &Args, started: &Started, place: &Place, hosts: &Path) -> Result<Process, Failure> {
    let is_replaced = |name: &OsStr| {
        let name = name.to_str();
        name == Some(place::IN_SCOPE)
            || started.unset.iter().any(|unset| Some(unset.as_str()) == name)
            || started.env.iter().any(|(set, _)| Some(set.as_str()) == name)
    };
    let mut env: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| !is_replaced(name)).collect();
    env.extend(started.env.iter().map(|(name, value)| (name.into(), value.into())));
    let hosts = started.shadow.as_ref().map_or(hosts, |shadow| &*shadow.hosts);
    let program = Program {
        arguments: args.program.clone(),
        environment: env,
        hosts: (started.shadow.is_some() || hosts.exists()).then(|| hosts.to_owned()),
        cgroup: match place {
            Place::Own(cgroup) => Some(cgroup.directory()),
            Place::Nowhere { .. } => None,
        },
        ..Program::default()
    };
    spawn_by(program, started.shadow.is_some(), kernel::spawn)
}

/// Spawns a program; without a hosts file of its own only where it needs none.
pub(crate) fn spawn_by<P>(
    mut program: Program,
    is_shadow: bool,
    spawn: impl Fn(&Program) -> Result<P, KernelError>,
) -> Result<P, Failure> {
    let spawned = match spawn(&program) {
        // Without it the names would lead to the real Azure, where the program has no business.
        Err(KernelError::Namespace(error)) if is_shadow => {
            return Err(Failure::new(format!(
                "the program is not started: --as-azure needs an /etc/hosts of its own for it, which this machine does not give ({error}); \
                 `keyless doctor` says what is missing"
            )));
        }
        Err(KernelError::Namespace(error)) => {
            // Where the names resolve by other means this changes nothing, so it is no reason not to start.
            output::note(format_args!(
                "keyless: the program gets no /etc/hosts of its own ({error}): the vaults' names must resolve otherwise"
            ));
            program.hosts = None;
            spawn(&program)
        }
        spawned => spawned,
    };
    spawned.map_err(|error| not_started(&error))
}

/// Why a program was not started, with a shell's exit status for it.
pub(crate) fn not_started(error: &KernelError) -> Failure {
    let code = match error {
        KernelError::Execute { source, .. } if source.kind() == std::io::ErrorKind::NotFound => NOT_FOUND,
        KernelError::Execute { .. } => NOT_EXECUTABLE,
        _ => crate::failure::FAILED,
    };
    Failure::new(domain::chain(error)).code(code)
}

/// Waits for the program, and hands signals on to it.
pub(crate) async fn wait(child: &Arc<Process>, signals: &mut Signals) -> Result<Ended, Failure> {
    let waiting = child.clone();
    let mut waiting = tokio::task::spawn_blocking(move || waiting.wait());
    loop {
        tokio::select! {
            ended = &mut waiting => return Ok(ended.map_err(|error| Failure::new(error.to_string()))??),
            // It may have ended already: then there is nobody to be told.
            signal = signals.next() => drop(child.signal(signal)),
        }
    }
}

/// The program has ended. What it left running in its cgroup keeps the identity, as a daemon must; the server notices its end.
async fn end(admin: &Admin, started: &Started, place: &Place, is_quiet: bool) {
    if let Place::Own(cgroup) = place
        && cgroup.is_populated()
    {
        if !is_quiet {
            output::note(
                "keyless: other processes of the app still run, and keep its identity until the last one ends",
            );
        }
        return;
    }
    // A server that is away forgets the workload when it is back and finds the cgroup gone.
    let _best_effort = admin.send(Method::DELETE, &workload(started), None::<&()>).await;
    leave(place);
}

fn leave(place: &Place) {
    if let Place::Own(cgroup) = place {
        let _best_effort = cgroup.remove();
    }
}

pub(crate) fn workload(started: &Started) -> String {
    format!("/v1/workloads/{}", segment(&started.workload))
}

impl Started {
    pub(crate) fn id(&self) -> &str {
        &self.workload
    }

    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    pub(crate) fn notices(&self) -> &[String] {
        &self.notices
    }
}

impl Drop for Started {
    /// The endpoint secret is the program's alone from now on.
    fn drop(&mut self) {
        self.env.drain(..).for_each(|(_, value)| drop(Secret::new(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Where no program can have a hosts file of its own: with which ones it was tried, and what came of it.
    fn tried(is_shadow: bool) -> (Vec<Option<PathBuf>>, Result<&'static str, Failure>) {
        let tries = RefCell::new(Vec::new());
        let program = Program { hosts: Some("/d/hosts".into()), ..Program::default() };
        let spawned = spawn_by(program, is_shadow, |program| {
            tries.borrow_mut().push(program.hosts.clone());
            match &program.hosts {
                Some(_) => Err(KernelError::Namespace(std::io::ErrorKind::PermissionDenied.into())),
                None => Ok("runs"),
            }
        });
        (tries.into_inner(), spawned)
    }

    #[test]
    fn without_a_hosts_file_of_its_own_nothing_is_started_as_if_in_azure() {
        let (tries, refused) = tried(true);
        assert_eq!(tries, [Some("/d/hosts".into())], "it is not tried without");
        let said = format!("{:?}", refused.unwrap_err());
        assert!(said.contains("is not started: --as-azure needs an /etc/hosts of its own"), "{said}");
    }

    #[test]
    fn without_a_hosts_file_of_its_own_others_are_started_all_the_same() {
        let (tries, started) = tried(false);
        assert_eq!((tries, started.ok()), (vec![Some("/d/hosts".into()), None], Some("runs")));
    }
}
