//! What is desired of an app: which package or image, in how many instances, with which command, health check and limits.
//!
//! Owns: the record, its rules and the decisions that change it. Each change that running instances must follow counts the revision up;
//! `plan` replaces instances of earlier ones. Owns not: settings (`settings`), and what runs (`plan`, `server`).

use crate::{
    App, HostError,
    account::{self, Accounts},
    app,
};
use access::Manager;
use domain::{AppId, AppName, DeploymentId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, refuse};

/// What is desired of an app. An app that nobody deployed anything to has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The app.
    pub app: AppId,
    /// Whether it shall run.
    pub state: DesiredState,
    /// In how many instances, 1 to [`limits::INSTANCES_MAX`].
    pub instances: u16,
    /// The start command that was configured; it wins over the deployment's, until one is given with a deployment.
    pub command: Option<String>,
    /// When an instance counts as ready and healthy.
    pub health: Health,
    /// What an instance may use.
    pub limits: InstanceLimits,
    /// Whose network its programs are in; a container's is its own in any case.
    #[serde(default, skip_serializing_if = "AppNetwork::is_host")]
    pub network: AppNetwork,
    /// What is deployed.
    pub deployment: Option<Deployment>,
    /// Whether each instance gets a token file, for clients of workload identity federation (ADR 0024).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub token_file: bool,
    /// Whether its endpoint speaks Azure Arc's protocol (ADR 0025).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub arc: bool,
    /// Which of the host's accounts it runs under, where the server is root.
    pub account: u32,
    /// Counts what running instances must follow: a deployment, settings, a command, limits, a restart.
    pub revision: u64,
    /// When this was last changed.
    pub changed: Timestamp,
}

/// Whether an app shall run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// It shall.
    Running,
    /// It shall not.
    Stopped,
}

/// Whose network an app's programs are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppNetwork {
    /// That of the server.
    #[default]
    Host,
    /// One for each instance, in which there is nothing but this server; with IMDS, and with no way out.
    Own,
}

impl AppNetwork {
    const fn is_host(&self) -> bool {
        matches!(self, Self::Host)
    }
}

/// When an instance is ready, and stays healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Once something listens on its port.
    #[default]
    Port,
    /// While `GET` of this path on its port is answered with a status of 200 to 399.
    Path(String),
    /// As long as its process runs: it serves nobody.
    Process,
}

/// What one instance may use. `None`: as much as there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceLimits {
    /// Memory in MiB.
    pub memory_mib: Option<u32>,
    /// Processor time in thousandths of a processor.
    pub cpu_thousandths: Option<u32>,
    /// Processes and threads.
    pub processes: Option<u32>,
}

impl Default for InstanceLimits {
    /// Memory and processors are free, as on a machine of one's own; a fork bomb is not.
    fn default() -> Self {
        Self { memory_mib: None, cpu_thousandths: None, processes: Some(limits::INSTANCE_PROCESSES) }
    }
}

/// What was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id: the name of its folder.
    pub id: DeploymentId,
    /// What runs in it, as it was found or given.
    pub runtime: String,
    /// The command that was given with it, else what the package says.
    pub command: String,
    /// In whose place the command was given. None: it was not, or before this was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<OwnCommand>,
    /// The container image that it is, if it is no package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Folders (relative to the package) that come first in `PATH`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// When.
    pub created: Timestamp,
}

/// What says by itself how something that is deployed is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnCommand {
    /// The package, by this command.
    Package(String),
    /// The image.
    Image,
    /// Nothing does.
    Nothing,
}

/// A container image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What it was called.
    pub name: String,
    /// What it was then: a name may mean another one later.
    pub id: String,
}

impl Record for Desired {
    type Id = AppName;

    fn key(name: &AppName) -> Key {
        Key::of(&[b"app-desired/", name.folded().as_bytes()])
    }
}

impl Desired {
    fn new(app: AppId, account: u32, now: Timestamp) -> Self {
        Self {
            app,
            state: DesiredState::Running,
            instances: 1,
            command: None,
            health: Health::default(),
            limits: InstanceLimits::default(),
            network: AppNetwork::default(),
            deployment: None,
            token_file: false,
            arc: false,
            account,
            revision: 0,
            changed: now,
        }
    }

    /// Is each instance in a network of its own?
    pub fn has_own_network(&self) -> bool {
        let is_container = self.deployment.as_ref().is_some_and(|deployment| deployment.image.is_some());
        is_container || self.network == AppNetwork::Own
    }

    /// The command that starts an instance. A container needs none: its image may say itself what runs.
    pub fn start_command(&self) -> Option<&str> {
        let deployed = || self.deployment.as_ref().map(|deployment| &*deployment.command);
        self.command.as_deref().or_else(deployed).filter(|command| !command.is_empty())
    }

    /// Takes all commands that were given away: what is deployed is started as it says itself.
    fn start_as_deployed(&mut self) -> Result<(), HostError> {
        self.command = None;
        let Some(deployment) = &mut self.deployment else { return Ok(()) };
        deployment.command = match deployment.instead_of.take() {
            None => return Ok(()),
            Some(OwnCommand::Package(command)) => command,
            Some(OwnCommand::Image) => String::new(),
            Some(OwnCommand::Nothing) => {
                let rule = "what is deployed does not say itself how it is started; give another command";
                return Err(HostError::SettingInvalid { what: "command", rule });
            }
        };
        Ok(())
    }
}

/// A change of what is desired; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Of this app and no other of its name, such as one that was made while a package was built.
    pub of: Option<AppId>,
    /// Run, or stop.
    pub state: Option<DesiredState>,
    /// Whether each instance gets a token file.
    pub token_file: Option<bool>,
    /// Whether its endpoint speaks Azure Arc's protocol.
    pub arc: Option<bool>,
    /// How many instances.
    pub instances: Option<u16>,
    /// The start command; the inner `None`: what the package says, and not what was given with it.
    pub command: Option<Option<String>>,
    /// The health check.
    pub health: Option<Health>,
    /// Memory in MiB; the inner `None`: no limit.
    pub memory_mib: Option<Option<u32>>,
    /// Processor time in thousandths of a processor; the inner `None`: no limit.
    pub cpu_thousandths: Option<Option<u32>>,
    /// Processes and threads; the inner `None`: no limit.
    pub processes: Option<Option<u32>>,
    /// Whose network its programs are in.
    pub network: Option<AppNetwork>,
    /// What is deployed from now on.
    pub deployment: Option<Deployment>,
    /// Start again, though nothing is another.
    pub restart: bool,
    /// Another deployment begins, whose files get the app's account: a new one, if the app has none of this installation's block.
    pub deploying: bool,
}

impl Change {
    /// The operations of the resource manager that it is made of.
    fn operations(&self) -> impl Iterator<Item = &'static str> {
        // By name, all of them: a change that is forgotten here would be anybody's who may change nothing.
        let Self {
            of: _,
            state,
            token_file,
            arc,
            instances,
            command,
            health,
            memory_mib,
            cpu_thousandths,
            processes,
            network,
            deployment,
            restart,
            deploying,
        } = self;
        let is_written = token_file.is_some()
            || arc.is_some()
            || instances.is_some()
            || command.is_some()
            || health.is_some()
            || memory_mib.is_some()
            || cpu_thousandths.is_some()
            || processes.is_some()
            || network.is_some();
        let state = state.map(|state| match state {
            DesiredState::Running => "Microsoft.Web/sites/start/Action",
            DesiredState::Stopped => "Microsoft.Web/sites/stop/Action",
        });
        let restart = restart.then_some("Microsoft.Web/sites/restart/Action");
        let publish = (deployment.is_some() || *deploying).then_some(PUBLISH);
        // What changes nothing is asked for as well.
        let is_nothing = state.is_none() && restart.is_none() && publish.is_none();
        let write = (is_written || is_nothing).then_some("Microsoft.Web/sites/config/write");
        [state, restart, publish, write].into_iter().flatten()
    }
}

/// The operation of the resource manager by which something is deployed.
pub(crate) const PUBLISH: &str = "Microsoft.Web/sites/publish/Action";

/// Changes what is desired of an app; makes its record the first time.
pub(crate) fn change(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    change: &Change,
    block: u32,
    now: Timestamp,
) -> Result<Decision<Arc<Desired>>, Halt<HostError>> {
    let app = app::existing(view, name)?;
    for operation in change.operations() {
        let _permit = app::may(view, by, operation, &app)?;
    }
    check(change).map_err(Halt::Refuse)?;
    let (before, mut writes) = current(view, name, block, now)?;
    if change.of.is_some_and(|app| app != before.app) {
        return refuse(HostError::AppNotFound(name.clone()));
    }
    let mut after = Desired::clone(&before);
    if change.deploying && !account::is_of(before.account, block) {
        let (account, taken) = take_account(view, block)?;
        after.account = account;
        writes.push(taken);
    }
    if let Some(state) = change.state {
        after.state = state;
    }
    if let Some(token_file) = change.token_file {
        after.token_file = token_file;
    }
    if let Some(arc) = change.arc {
        after.arc = arc;
    }
    if let Some(instances) = change.instances {
        after.instances = instances;
    }
    match &change.command {
        Some(Some(command)) => after.command = Some(command.clone()),
        Some(None) => after.start_as_deployed().map_err(Halt::Refuse)?,
        None => {}
    }
    if let Some(health) = &change.health {
        after.health = health.clone();
    }
    if let Some(limit) = change.memory_mib {
        after.limits.memory_mib = limit;
    }
    if let Some(limit) = change.cpu_thousandths {
        after.limits.cpu_thousandths = limit;
    }
    if let Some(limit) = change.processes {
        after.limits.processes = limit;
    }
    if let Some(network) = change.network {
        after.network = network;
    }
    if let Some(deployment) = &change.deployment {
        // Whoever speaks last is heard: a command that comes with a deployment is newer than what was configured.
        if deployment.instead_of.is_some() {
            after.command = None;
        }
        after.deployment = Some(deployment.clone());
    }
    let is_for_running = |one: &Desired| {
        let deployment = one.deployment.as_ref().map(|it| it.id);
        (one.start_command().map(str::to_owned), one.health.clone(), one.limits, one.network, deployment)
    };
    let is_another = (before.token_file, before.arc) != (after.token_file, after.arc);
    if change.restart || is_another || is_for_running(&before) != is_for_running(&after) {
        after.revision += 1;
    }
    if writes.is_empty() && after == *before {
        return Ok(Decision::read(before));
    }
    after.changed = now;
    writes.push(store::put::<Desired>(name, &after));
    Ok(Decision::of(Arc::new(after), writes))
}

/// The same of this app and of no other of its name, such as one that was made since whoever asks was shown it.
pub(crate) fn of_app(view: &View, app: &App) -> Result<Option<Arc<Desired>>, Halt<HostError>> {
    match app::existing(view, &app.name)?.id == app.id {
        true => of(view, &app.name),
        false => refuse(HostError::AppNotFound(app.name.clone())),
    }
}

/// What is desired of an app, if anything ever was.
pub(crate) fn of(view: &View, name: &AppName) -> Result<Option<Arc<Desired>>, Halt<HostError>> {
    let Some(app) = view.get::<App>(name)? else { return refuse(HostError::AppNotFound(name.clone())) };
    // A record of an app of the same name that was deleted counts for nothing.
    Ok(view.get::<Desired>(name)?.filter(|desired| desired.app == app.id))
}

/// What is desired of an app, with the writes that make it if there was nothing.
pub(crate) fn current(
    view: &View,
    name: &AppName,
    block: u32,
    now: Timestamp,
) -> Result<(Arc<Desired>, Vec<store::Write>), Halt<HostError>> {
    let Some(app) = view.get::<App>(name)? else { return refuse(HostError::AppNotFound(name.clone())) };
    if let Some(desired) = of(view, name)? {
        return Ok((desired, Vec::new()));
    }
    let (account, taken) = take_account(view, block)?;
    Ok((Arc::new(Desired::new(app.id, account, now)), vec![taken]))
}

/// The next account, and the write by which it is taken.
pub(crate) fn take_account(view: &View, block: u32) -> Result<(u32, store::Write), Halt<HostError>> {
    let accounts = view.get::<Accounts>(&())?;
    let (account, accounts) =
        Accounts::take(accounts.as_deref(), block).ok_or(HostError::NoAccountLeft).map_err(Halt::Refuse)?;
    Ok((account, store::put::<Accounts>(&(), &accounts)))
}

/// A start command, from whomever.
///
/// # Errors
/// [`HostError::SettingInvalid`].
pub fn check_command(command: &str) -> Result<(), HostError> {
    package::check_command(command).map_err(|rule| HostError::SettingInvalid { what: "command", rule })
}

/// Is it a path that a request can have? Others could never be answered.
pub fn can_be_asked(path: &str) -> bool {
    let is_one = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'`');
    path.starts_with('/') && path.len() <= limits::HEALTH_PATH_BYTES_MAX && path.bytes().all(is_one)
}

pub(crate) fn check(change: &Change) -> Result<(), HostError> {
    let refuse = |what: &'static str, rule: &'static str| Err(HostError::SettingInvalid { what, rule });
    if change.instances.is_some_and(|count| count == 0 || count > limits::INSTANCES_MAX) {
        return refuse("instances", "1 to 32");
    }
    if let Some(Some(command)) = &change.command {
        check_command(command)?;
    }
    if let Some(Health::Path(path)) = &change.health
        && !can_be_asked(path)
    {
        return refuse(
            "health",
            "'port', 'process', or a path that begins with '/', of at most 1024 bytes, with %3C for '<' and the like",
        );
    }
    if let Some(Some(memory)) = change.memory_mib
        && memory < 16
    {
        return refuse("memory", "at least 16 MiB");
    }
    if let Some(Some(cpu)) = change.cpu_thousandths
        && cpu < 10
    {
        return refuse("cpu", "at least 0.01 of a processor");
    }
    if let Some(Some(processes)) = change.processes
        && processes < 4
    {
        return refuse("processes", "at least 4");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
