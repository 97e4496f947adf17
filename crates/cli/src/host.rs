//! `keyless app deploy|start|stop|restart|scale|configure|settings|logs`: what the server hosts.
//!
//! Owns: the packing of a folder, the waiting for a deployment, and how both are told. Owns not: what the routes do (`wire::admin::hosting`).

use crate::{
    admin::{Admin, WAIT_SECONDS_MAX, segment},
    app::App,
    failure::Failure,
    output::{self, Format},
    vault::misuse,
};
use domain::AppName;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often a deployment is asked about.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Deploy {
    /// The app; made with an identity of its own if it is not there
    app: AppName,
    #[command(flatten)]
    what: What,
    /// How to start it, instead of what the package or the image says, and of what was configured (in a container by its `/bin/sh`)
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// Answer as soon as the package has arrived
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until the new version serves
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(..=WAIT_SECONDS_MAX))]
    timeout: u64,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The package: a zip file
    #[arg(long, value_name = "FILE")]
    zip: Option<PathBuf>,
    /// The package: a folder, which is packed as it is
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A container image, by its name in podman; fetched if it is not on this machine
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// A root file system for a container: a tar that is not compressed, or a folder, which is packed by `tar`; needs --command
    #[arg(long, value_name = "FILE.tar|DIR")]
    rootfs: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Configure {
    /// The app
    app: AppName,
    /// How to start it, whatever is deployed, until a deployment says another --command; an empty text: as the package or the image says itself
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// `on`: each instance also gets a file with a token of its own, renewed every 10 minutes, by which clients of workload identity
    /// federation sign in (`AZURE_FEDERATED_TOKEN_FILE`). By itself a file is weaker than the identity endpoint, as it can be copied: so it is
    /// taken from the app's own processes only, which the kernel tells apart, and where it cannot there is no file. `DefaultAzureCredential`
    /// takes it before the endpoint
    #[arg(long, value_name = "on|off")]
    token_file: Option<OnOff>,
    /// `on`: its endpoint speaks Azure Arc's protocol, for clients that are made for machines in Arc: they are left a key in a file below
    /// `/var/opt/azcmagent/tokens`, where only the app sees it, good once and for a minute. The app gets `IDENTITY_ENDPOINT` and
    /// `IMDS_ENDPOINT`, and no `IDENTITY_HEADER` or `MSI_*`. Only where the kernel keeps the app apart. Of what is in `/var/opt/azcmagent`, or in
    /// an empty `/var/opt`, the app sees nothing then
    #[arg(long, value_name = "on|off")]
    arc: Option<OnOff>,
    /// When an instance is ready: `port`, once something listens there; `process`, if it serves nobody; or a path, whose answer is looked
    /// at again and again
    #[arg(long, value_name = "port|process|/PATH")]
    health: Option<String>,
    /// Memory of an instance, in MiB; 0: as much as there is
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
    /// Processors of an instance, such as 0.5; 0: as many as there are
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<f64>,
    /// Processes and threads of an instance; 0: as many as there may be
    #[arg(long, value_name = "NUMBER")]
    processes: Option<u32>,
    /// `own`: each instance in a network of its own, with this server and Azure's metadata address (IMDS) in it and NO WAY OUT, neither to
    /// other machines nor to other programs of this one; an ordinary user's server needs user namespaces. `host`, as without it: the server's
    #[arg(long, value_name = "own|host")]
    network: Option<Network>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Network {
    Own,
    Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnOff {
    On,
    Off,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Settings {
    /// Set some; running instances are replaced one by one
    Set {
        /// The app
        app: AppName,
        /// A value, or a reference such as @Microsoft.KeyVault(VaultName=…;SecretName=…)
        #[arg(value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// The value of one more setting is the content of a file; it is told to nobody but the app
        #[arg(long, value_name = "NAME=FILE")]
        secret_file: Vec<String>,
    },
    /// All of an app
    List {
        /// The app
        app: AppName,
    },
    /// Take some away
    Delete {
        /// The app
        app: AppName,
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// The app
    app: AppName,
    /// Go on as more is written
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: usize,
}

/// A hosted app as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Hosted {
    url: String,
    state: String,
    wanted: u16,
    revision: u64,
    command: Option<String>,
    health: String,
    memory_mib: Option<u32>,
    cpu_thousandths: Option<u32>,
    processes: Option<u32>,
    #[serde(default)]
    network: String,
    runtime: Option<String>,
    #[serde(default)]
    image: Option<String>,
    deployment: Option<String>,
    deployed: Option<i64>,
    /// How far a deployment is that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deploying: Option<String>,
    /// Why nothing came of the last deployment, if nothing did.
    #[serde(default)]
    deployment_failed: Option<String>,
    #[serde(default)]
    token_file: bool,
    #[serde(default)]
    arc: bool,
    instances: Vec<Instance>,
    isolation: Option<String>,
    enforced: Option<bool>,
    unenforced: Vec<String>,
    failures: u32,
    last_failure: Option<String>,
    references: Vec<Reference>,
    notices: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Instance {
    id: String,
    state: String,
    revision: u64,
    port: u16,
    process: Option<u32>,
    seconds: u64,
    unwell: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Reference {
    setting: String,
    status: String,
    #[serde(default)]
    advice: String,
}

#[derive(Deserialize)]
struct Taken {
    id: String,
}

#[derive(Deserialize)]
struct Deployment {
    state: String,
    text: String,
}

#[derive(Deserialize, Serialize)]
struct Setting {
    name: String,
    value: Option<String>,
    secret: bool,
}

#[derive(Deserialize)]
struct List {
    value: Vec<Setting>,
}

impl Hosted {
    /// How an app's state is told in a list.
    pub(crate) fn word(&self) -> String {
        let ready = self.instances.iter().filter(|one| one.state == "ready").count();
        match &*self.state {
            "running" if self.deployment.is_none() && self.deployment_failed.is_some() => {
                "nothing deployed, the last try failed".to_owned()
            }
            "running" if self.deployment.is_none() => "nothing deployed".to_owned(),
            "running" => format!("{ready}/{} ready", self.wanted),
            other => other.to_owned(),
        }
    }

    /// What `app show` tells.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("url", self.url.clone()), ("state", self.word())];
        if let (Some(runtime), Some(deployment)) = (&self.runtime, &self.deployment) {
            let when = self.deployed.map(output::time).unwrap_or_default();
            facts.push(("deployment", format!("{deployment}, {runtime}, {when}")));
        }
        facts.extend(self.deploying.iter().map(|state| ("deploying", state.clone())));
        if let Some(why) = &self.deployment_failed {
            // What a build said is in the log, too.
            let first = why.lines().next().unwrap_or_default();
            let told = format!("the last one came to nothing: {first}; see keyless app logs");
            facts.push(("deployment", output::paint(output::Colour::Bad, told)));
        }
        if let Some(image) = &self.image {
            facts.push(("image", image.clone()));
        }
        if self.network == "own" {
            let told = "its own: NO WAY OUT; this server is at 127.0.0.1 in it, and IMDS at 169.254.169.254 unless a notice says otherwise";
            facts.push(("network", output::paint(output::Colour::Warn, told)));
        }
        facts.extend(self.command.iter().map(|command| ("command", command.clone())));
        facts.push(("health", self.health.clone()));
        facts.push(("limits", self.limits()));
        if self.token_file {
            facts.push((
                "token file",
                "on; it can be copied, and a copy is good for the app's own processes only".to_owned(),
            ));
        }
        if self.arc {
            facts.push((
                "azure arc",
                "on; each key is good once, for a minute, and for the app's own processes only".to_owned(),
            ));
        }
        for one in &self.instances {
            let process = one.process.map(|process| format!(", process {process}")).unwrap_or_default();
            let old = if one.revision == self.revision { "" } else { ", of an earlier version" };
            let why = one.unwell.as_ref().map(|unwell| format!(": {unwell}")).unwrap_or_default();
            facts.push((
                "instance",
                format!("{} for {} s, port {}{process}{old}{why}", one.state, one.seconds, one.port),
            ));
        }
        if let Some(isolation) = &self.isolation {
            let colour =
                if self.enforced == Some(false) { output::Colour::Warn } else { output::Colour::Good };
            facts.push(("isolation", output::paint(colour, isolation)));
        }
        let warned = |text: &String| ("unenforced", output::paint(output::Colour::Warn, text));
        facts.extend(self.unenforced.iter().map(warned));
        if let Some(failure) = self.last_failure.as_ref().filter(|_| self.failures > 0) {
            let told = format!("{failure} ({} in a row); see keyless app logs", self.failures);
            facts.push(("failed", output::paint(output::Colour::Bad, told)));
        }
        for Reference { setting, status, advice } in &self.references {
            let (colour, told) = match status.as_str() {
                "Resolved" => (output::Colour::Good, status.clone()),
                _ => (output::Colour::Bad, format!("{status}: {advice}")),
            };
            facts.push(("reference", format!("{setting}: {}", output::paint(colour, told))));
        }
        facts.extend(self.notices.iter().map(|notice| ("notice", notice.clone())));
        facts
    }

    fn limits(&self) -> String {
        let memory = self.memory_mib.map(|mib| format!("{mib} MiB of memory"));
        let cpu = self
            .cpu_thousandths
            .map(|thousandths| format!("{} processors", f64::from(thousandths) / 1_000.0));
        let processes = self.processes.map(|count| format!("{count} processes"));
        let told: Vec<_> = [memory, cpu, processes].into_iter().flatten().collect();
        if told.is_empty() { "none".to_owned() } else { told.join(", ") }
    }

    /// Is there anything that somebody has deployed, is about to deploy, or runs?
    pub(crate) fn is_used(&self) -> bool {
        self.deployment.is_some() || self.deploying.is_some() || !self.instances.is_empty()
    }

    /// Do its instances get token files?
    pub(crate) const fn has_token_file(&self) -> bool {
        self.token_file
    }

    fn is_serving(&self) -> bool {
        let ready = self.instances.iter().filter(|one| one.state == "ready" && one.revision == self.revision);
        ready.count() >= usize::from(self.wanted)
    }
}

pub(crate) async fn deploy(admin: &Admin, format: Format, args: Deploy) -> Result<(), Failure> {
    let zip = package(&args.what)?;
    let made = crate::run::identity(admin, &args.app).await?;
    let path = format!("{}/deployments", path(&args.app));
    let named = [("command", &args.command), ("image", &args.what.image)];
    let mut query: Vec<_> = named
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_deref()?))))
        .collect();
    query.extend(args.what.rootfs.is_some().then(|| "rootfs=true".to_owned()));
    let taken = match admin.upload(&format!("{path}?{}", query.join("&")), zip).await {
        Ok(taken) => taken,
        Err(failure) => {
            // Against somebody else's deployment: then the app is theirs, too.
            if !failure.is_conflict() {
                crate::run::take_back(admin, &args.app, made).await;
            }
            return Err(failure);
        }
    };
    let Taken { id } = serde_json::from_slice(&taken).map_err(|error| Failure::new(error.to_string()))?;
    if args.no_wait {
        match format {
            Format::Table => output::note(format_args!(
                "It has arrived as deployment {id}. What becomes of it: keyless app show {0}; what it says: keyless app logs {0}",
                args.app
            )),
            Format::Json => output::json(&serde_json::json!({"app": args.app, "deployment": id})),
        }
        return Ok(());
    }
    let until = Instant::now() + Duration::from_secs(args.timeout);
    built(admin, &format!("{path}/{id}"), until).await?;
    served(admin, format, &args.app, until).await
}

/// The zip that is sent; an empty file for an image, of which the name is enough.
fn package(what: &What) -> Result<File, Failure> {
    if what.image.is_some() {
        return Ok(crate::files::unnamed()?);
    }
    if let Some(root) = &what.rootfs {
        return root_files(root);
    }
    if let Some(zip) = &what.zip {
        if zip.is_dir() {
            let what = format!("{} is a directory", zip.display());
            return Err(Failure::new(what).next("A directory is packed and sent by --dir."));
        }
        return File::open(zip).map_err(|error| Failure::new(format!("{}: {error}", zip.display())));
    }
    let folder = what.dir.as_deref().unwrap_or(Path::new("."));
    let mut zip = crate::files::unnamed()?;
    let packed = package::pack(folder, &mut zip)
        .map_err(|error| Failure::new(format!("{}: {}", folder.display(), domain::chain(&error))))?;
    for (path, why) in &packed.skipped {
        output::note(format_args!("keyless: {} is left out: {why}", path.display()));
    }
    zip.seek(SeekFrom::Start(0))?;
    Ok(zip)
}

/// A tar of a root file system: one that is there, or of a folder. In a folder of root's, files keep their owners; in others all are root's.
fn root_files(root: &Path) -> Result<File, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", root.display()));
    if !std::fs::metadata(root).map_err(failed)?.is_dir() {
        return File::open(root).map_err(failed);
    }
    let mut tar = crate::files::unnamed()?;
    let mut command = std::process::Command::new("tar");
    command.args(["--create", "--numeric-owner", "--directory"]).arg(root);
    if !kernel::is_root() {
        command.args(["--owner=0", "--group=0"]);
    }
    let packed = command.arg(".").stdout(tar.try_clone()?).status();
    let packed = packed.map_err(|error| Failure::new(format!("tar, which packs the folder: {error}")))?;
    if !packed.success() {
        return Err(Failure::new(format!("{} cannot be packed: tar has failed", root.display())));
    }
    tar.seek(SeekFrom::Start(0))?;
    Ok(tar)
}

/// Waits until the package is built.
async fn built(admin: &Admin, path: &str, until: Instant) -> Result<(), Failure> {
    let mut told = String::new();
    loop {
        let known: Deployment = admin.get(path).await?;
        match &*known.state {
            "deployed" => return Ok(()),
            "failed" => return Err(Failure::new(format!("not deployed: {}", known.text))),
            state => {
                let now =
                    if known.text.is_empty() { state.to_owned() } else { format!("{state}: {}", known.text) };
                if now != told {
                    output::note(&now);
                    told = now;
                }
            }
        }
        if Instant::now() > until {
            return Err(Failure::new("the package is still being built")
                .next("`keyless app logs` says how far it is."));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until instances of what is desired serve.
async fn served(admin: &Admin, format: Format, app: &AppName, until: Instant) -> Result<(), Failure> {
    let began = admin.get::<App>(&path(app)).await?;
    let failures_before = began.hosted.as_ref().map_or(0, |hosted| hosted.failures);
    loop {
        let known: App = admin.get(&path(app)).await?;
        let Some(hosted) = &known.hosted else { return Err(Failure::new("nothing is deployed")) };
        if hosted.state != "running" {
            crate::app::show(format, &known);
            output::note(format_args!("The app is stopped: keyless app start {app}"));
            return Ok(());
        }
        if hosted.is_serving() {
            crate::app::show(format, &known);
            return Ok(());
        }
        // One failure may be chance; two are a program that does not start.
        if hosted.failures >= failures_before + 2 {
            let why = hosted.last_failure.clone().unwrap_or_default();
            return Err(Failure::new(format!("deployed, but it does not start: {why}")).next(format!(
                "What it said: keyless app logs {app}. An earlier version, if there was one, goes on serving."
            )));
        }
        if Instant::now() > until {
            let mut new = hosted.instances.iter().filter(|one| one.revision == hosted.revision);
            let unwell = new.find_map(|one| one.unwell.as_ref());
            let why = unwell.map(|unwell| format!(": {unwell}")).unwrap_or_default();
            return Err(Failure::new(format!("deployed, but not ready yet{why}"))
                .next(format!("keyless app show {app} says how far it is.")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Settings of an app as they are sent. Borrowed, so that no other copy of a value is made.
#[derive(Default, Serialize)]
pub(crate) struct SentSettings<'a> {
    pub(crate) set: BTreeMap<&'a str, SentSetting<'a>>,
    pub(crate) remove: &'a [String],
}

/// One of them.
#[derive(Serialize)]
pub(crate) struct SentSetting<'a> {
    pub(crate) value: &'a str,
    pub(crate) secret: bool,
}

/// Changes what is desired, and tells what is then.
pub(crate) async fn desire(
    admin: &Admin,
    format: Format,
    app: &AppName,
    wanted: &Value,
    wait: bool,
) -> Result<(), Failure> {
    let _hosted: Hosted = admin.ask(Method::PATCH, &format!("{}/desired", path(app)), wanted).await?;
    let known: App = admin.get(&path(app)).await?;
    let is_deployed = known.hosted.as_ref().is_some_and(|hosted| hosted.deployment.is_some());
    if wait && is_deployed {
        return served(admin, format, app, Instant::now() + Duration::from_secs(300)).await;
    }
    crate::app::show(format, &known);
    if !is_deployed {
        output::note(format_args!("Nothing is deployed yet: keyless app deploy {app} --dir DIR"));
    }
    Ok(())
}

/// Replaces the instances. Of an app that runs none there is nothing to replace, and it would not be seen that nothing was done.
pub(crate) async fn restart(admin: &Admin, format: Format, app: &AppName) -> Result<(), Failure> {
    let known: App = admin.get(&path(app)).await?;
    if let Some(failure) = not_running(app, known.hosted.as_ref()) {
        return Err(failure);
    }
    desire(admin, format, app, &serde_json::json!({"restart": true}), true).await
}

fn not_running(app: &AppName, hosted: Option<&Hosted>) -> Option<Failure> {
    match hosted {
        Some(hosted) if hosted.deployment.is_none() => (),
        Some(hosted) if hosted.state != "running" => {
            let next = format!("keyless app start {app}");
            return Some(Failure::new(format!("app {app} does not run: it is stopped")).next(next));
        }
        Some(_) => return None,
        None => (),
    }
    let next = format!("keyless app deploy {app} --dir DIR");
    Some(Failure::new(format!("app {app} does not run: nothing is deployed to it")).next(next))
}

pub(crate) async fn configure(admin: &Admin, format: Format, args: Configure) -> Result<(), Failure> {
    let mut wanted = Map::new();
    if let Some(command) = args.command {
        wanted.insert("command".into(), if command.is_empty() { Value::Null } else { command.into() });
    }
    if let Some(token_file) = args.token_file {
        wanted.insert("token_file".into(), (token_file == OnOff::On).into());
    }
    if let Some(arc) = args.arc {
        wanted.insert("arc".into(), (arc == OnOff::On).into());
    }
    if let Some(health) = args.health {
        wanted.insert("health".into(), health.into());
    }
    let free = |count: u32| if count == 0 { Value::Null } else { count.into() };
    if let Some(memory) = args.memory {
        wanted.insert("memory_mib".into(), free(memory));
    }
    if let Some(cpu) = args.cpu {
        wanted.insert("cpu_thousandths".into(), free(thousandths(cpu)?));
    }
    if let Some(processes) = args.processes {
        wanted.insert("processes".into(), free(processes));
    }
    if let Some(network) = args.network {
        let word = match network {
            Network::Own => "own",
            Network::Host => "host",
        };
        wanted.insert("network".into(), word.into());
    }
    if wanted.is_empty() {
        return Err(misuse("nothing is to be changed").next(
            "Give at least one of --command, --health, --memory, --cpu, --processes, --network, --token-file, --arc; see --help.",
        ));
    }
    desire(admin, format, &args.app, &Value::Object(wanted), false).await
}

/// Thousandths of a processor. What is too little is no limit that is taken away.
fn thousandths(cpu: f64) -> Result<u32, Failure> {
    if cpu != 0.0 && !(0.01..=1_000.0).contains(&cpu) {
        return Err(misuse("--cpu: 0.01 to 1000 processors, or 0 for as many as there are"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to a million, as was looked at"
    )]
    Ok((cpu * 1_000.0).round() as u32)
}

pub(crate) async fn settings(admin: &Admin, format: Format, command: Settings) -> Result<(), Failure> {
    match command {
        Settings::Set { app, settings, secret_file } => {
            let mut set = BTreeMap::new();
            for one in &settings {
                let (name, value) = parts(one)?;
                if set.insert(name, SentSetting { value, secret: false }).is_some() {
                    return Err(twice(name));
                }
            }
            let mut files = Vec::with_capacity(secret_file.len());
            for one in &secret_file {
                let (name, file) = parts(one)?;
                if set.contains_key(name) || files.iter().any(|(other, _)| *other == name) {
                    return Err(twice(name));
                }
                let value = crate::files::secret_text(
                    Path::new(file),
                    domain::limits::APP_SETTING_VALUE_BYTES_MAX,
                    "a setting's value",
                )?;
                if value.expose().ends_with('\n') {
                    output::note(format_args!(
                        "The value of {name} ends with a line break, and keeps it. `printf %s VALUE` would write none."
                    ));
                }
                files.push((name, value));
            }
            set.extend(
                files
                    .iter()
                    .map(|(name, value)| (*name, SentSetting { value: value.expose(), secret: true })),
            );
            if set.is_empty() {
                return Err(misuse("nothing to set: NAME=VALUE or --secret-file NAME=FILE"));
            }
            change(admin, &app, SentSettings { set, ..SentSettings::default() }).await
        }
        Settings::Delete { app, names } => {
            change(admin, &app, SentSettings { remove: &names, ..SentSettings::default() }).await
        }
        Settings::List { app } => {
            let List { value } = admin.get(&format!("{}/settings", path(&app))).await?;
            match format {
                Format::Json => output::json(&value),
                Format::Table => output::table(
                    &["name", "value"],
                    value.iter().map(|one| {
                        let value = one
                            .value
                            .clone()
                            .unwrap_or_else(|| output::paint(output::Colour::Dim, "(secret)"));
                        vec![one.name.clone(), value]
                    }),
                    &format!("There are no settings. Set one: keyless app settings set {app} NAME=VALUE"),
                ),
            }
            Ok(())
        }
    }
}

async fn change(admin: &Admin, app: &AppName, change: SentSettings<'_>) -> Result<(), Failure> {
    send_settings(admin, app, &change).await?;
    output::note(format_args!("Done. Instances that run are replaced: keyless app show {app}"));
    Ok(())
}

/// Changes settings of an app.
pub(crate) async fn send_settings(
    admin: &Admin,
    app: &AppName,
    change: &SentSettings<'_>,
) -> Result<(), Failure> {
    let sent = admin.send(Method::PATCH, &format!("{}/settings", path(app)), Some(change)).await;
    sent.map(drop).map_err(|fault| admin.explain(fault))
}

fn parts(text: &str) -> Result<(&str, &str), Failure> {
    text.split_once('=').ok_or_else(|| misuse("a setting is NAME=VALUE"))
}

fn twice(name: &str) -> Failure {
    misuse(format!("the setting {name} is given twice"))
}

pub(crate) async fn logs(admin: &Admin, args: &Logs) -> Result<(), Failure> {
    let path = format!("{}/log?lines={}&follow={}", path(&args.app), args.lines, args.follow);
    admin.stream(&path, output::bytes).await
}

fn path(app: &AppName) -> String {
    format!("/v1/apps/{}", segment(app.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosted(more: &Value) -> Hosted {
        let mut told = serde_json::json!({
            "url": "", "state": "running", "wanted": 1, "revision": 1, "health": "port", "instances": [],
            "unenforced": [], "failures": 0, "references": [], "notices": [],
        });
        let more = more.as_object().cloned().unwrap_or_default();
        told.as_object_mut().unwrap().extend(more);
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn what_does_not_run_is_not_restarted() {
        let app = AppName::parse("web").unwrap();
        let told = |more: Value| not_running(&app, Some(&hosted(&more))).map(|failure| failure.to_string());
        let (nothing, deployed) = (Value::Null, "d");
        assert!(not_running(&app, None).unwrap().to_string().contains("keyless app deploy web"));
        assert!(told(nothing).unwrap().contains("keyless app deploy web"));
        let stopped = serde_json::json!({"deployment": deployed, "state": "stopped"});
        assert!(told(stopped).unwrap().contains("keyless app start web"));
        assert_eq!(told(serde_json::json!({"deployment": deployed})), None);
    }

    /// `app show` said nothing of a build that failed.
    #[test]
    fn a_deployment_that_came_to_nothing_is_told() {
        let failed = hosted(&serde_json::json!({"deployment_failed": "npm ci: it ended\nmore"}));
        let told = failed.facts().into_iter().find(|(name, _)| *name == "deployment").unwrap().1;
        assert!(told.contains("npm ci: it ended") && !told.contains("more"), "{told}");
        assert!(failed.word().contains("failed"), "{}", failed.word());
        let serving = hosted(&serde_json::json!({"deployment_failed": "no", "deployment": "d"}));
        assert_eq!(serving.word(), "0/1 ready");
    }

    /// Of two who deploy a new app, the one that is refused takes it back only if the other does not.
    #[test]
    fn an_app_is_used_by_who_is_about_to_deploy_it() {
        assert!(!hosted(&Value::Null).is_used());
        let building = hosted(&serde_json::json!({"deploying": "building"}));
        assert!(building.is_used() && building.facts().contains(&("deploying", "building".to_owned())));
    }

    /// `--cpu 0.0004` took the limit away.
    #[test]
    fn a_limit_is_taken_away_by_nothing_but_zero() {
        for (cpu, is) in [(0.0, 0), (0.01, 10), (0.5, 500), (1_000.0, 1_000_000)] {
            assert_eq!(thousandths(cpu).unwrap(), is, "{cpu}");
        }
        for cpu in [0.000_4, 0.009_9, -1.0, 1_000.1, f64::NAN, f64::INFINITY] {
            assert!(thousandths(cpu).unwrap_err().to_string().contains("0.01"), "{cpu}");
        }
    }
}
