//! Hosted apps: what is desired of each is made so, and kept so.
//!
//! Owns: the loop that carries out `host::plan`, the instances that run and who watches them. Owns not: the decisions (`host`), the
//! routes (`wire::admin::hosting`), what a process or a cgroup is (`kernel`). Each app has one round at a time (`rounds`), so no two steps of one app cross.
//!
//! Apps run on while no server does: a stop of the server ends none, and the next run goes on with those that it finds.

pub(crate) mod accounts;
pub(crate) mod arc;
mod building;
mod container;
mod deploy;
mod files;
mod instance_files;
mod launch;
mod log;
mod mark;
mod probe;
mod reconcile;
mod references;
mod root_files;
mod rootless;
mod rounds;
mod states;
mod takeover;
mod token_files;
mod told;
mod watch;

use audit::{Actor, Outcome, SharedOrigin};
use deploy::Deployments;
use domain::{AppId, AppName, DeploymentId, RequestId, Timestamp, WorkloadId};
pub(crate) use files::{AppFiles, why_closed};
use host::{
    Change, HostError,
    plan::{Elapsed, Phase, Restarts},
    routes::{InstanceKey, Routes},
};
use kernel::{AppCgroup, Attestor, Limiter, Placement, Process};
pub(crate) use launch::Launcher;
use states::States;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{self, Notify, broadcast},
    task::{AbortHandle, JoinSet},
};
pub(crate) use told::Handle;
use wire::{Context, Services, admin::ObservedReference, context::Door};

/// How often draining instances are looked at. Ours.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);
/// How often logs are looked at for rotation. Ours.
const ROTATE_INTERVAL: Duration = Duration::from_secs(2);
/// Apps that may be deleted between two looks of whoever follows a log. Ours: far more than anybody deletes in a fraction of a second.
const GONE_MAX: usize = 256;
/// How long all instances together may take to end when the server does. Ours: a person waits.
const END_TIME_MAX: Duration = Duration::from_secs(3);
/// How long a kill may take before its cgroup is left to a later round. Ours.
const KILL_TIME_MAX: Duration = Duration::from_secs(2);

/// The hosted apps of this server.
pub(crate) struct Apps {
    services: Arc<Services>,
    files: AppFiles,
    launcher: Launcher,
    routes: Arc<Routes>,
    attestor: Option<Arc<Attestor>>,
    deployments: Deployments,
    /// Those that go on by themselves.
    coming: Mutex<JoinSet<()>>,
    /// Deployments that are under way are to be given up.
    stopping: sync::watch::Sender<bool>,
    began: Instant,
    state: Mutex<States>,
    /// Apps of which something is another.
    changed: Mutex<BTreeSet<AppName>>,
    /// Apps that could not be reconciled, and when that is to be tried again.
    later: Mutex<HashMap<AppName, Elapsed>>,
    /// Cgroups that could not be removed yet.
    left: Mutex<Vec<Arc<AppCgroup>>>,
    /// Apps that are no more and whose files could not be removed yet.
    left_files: Mutex<BTreeSet<AppId>>,
    wake: Notify,
    /// Which apps are no more is said here, to whoever follows their logs.
    gone: broadcast::Sender<AppId>,
    token_files: token_files::TokenFiles,
}

/// What is known of one app while the server runs.
struct AppState {
    name: AppName,
    instances: Vec<Instance>,
    restarts: Restarts,
    last_failure: Option<String>,
    isolation: Option<Isolation>,
    references: Vec<ObservedReference>,
    notices: Vec<String>,
    /// The revision for which failures count.
    revision: u64,
    /// When to look again, if nothing happens before.
    look_again: Option<Elapsed>,
    /// When references are to be resolved again.
    refresh_at: Option<Elapsed>,
}

/// What keeps the last started instance apart.
struct Isolation {
    enforced: bool,
    is_container: bool,
    has_own_network: bool,
    /// What is not enforced, and why.
    unenforced: Vec<String>,
}

/// One instance.
struct Instance {
    workload: WorkloadId,
    revision: u64,
    /// What it runs from.
    deployment: Option<DeploymentId>,
    /// What it got for the references in its settings.
    seen: BTreeMap<String, String>,
    phase: Phase,
    since: Elapsed,
    failed_checks: u32,
    /// What the last health check has found, unless it is well.
    unwell: Option<probe::Unwell>,
    port: u16,
    /// Its place among those that take requests.
    route: Option<InstanceKey>,
    process: Arc<Process>,
    cgroup: Option<Arc<AppCgroup>>,
    is_container: bool,
    limiter: Option<Limiter>,
    watcher: Option<AbortHandle>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

impl AppState {
    fn new(name: AppName) -> Self {
        Self {
            name,
            instances: Vec::new(),
            restarts: Restarts::default(),
            last_failure: None,
            isolation: None,
            references: Vec::new(),
            notices: Vec::new(),
            revision: 0,
            look_again: None,
            refresh_at: None,
        }
    }

    fn instance(&mut self, workload: WorkloadId) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| instance.workload == workload)
    }
}

impl Apps {
    pub(crate) fn new(
        services: Arc<Services>,
        files: AppFiles,
        launcher: Launcher,
        routes: Arc<Routes>,
        attestor: Option<Arc<Attestor>>,
    ) -> Self {
        Self {
            services,
            files,
            launcher,
            routes,
            attestor,
            deployments: Deployments::default(),
            coming: Mutex::default(),
            stopping: sync::watch::Sender::new(false),
            began: Instant::now(),
            state: Mutex::default(),
            changed: Mutex::default(),
            later: Mutex::default(),
            left: Mutex::default(),
            left_files: Mutex::default(),
            wake: Notify::new(),
            gone: broadcast::Sender::new(GONE_MAX),
            token_files: token_files::TokenFiles::default(),
        }
    }

    fn elapsed(&self) -> Elapsed {
        self.began.elapsed()
    }

    fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, States> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self, name: &AppName) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        self.wake.notify_one();
    }

    fn note(&self, app: AppId, text: &str) {
        log::note(&self.files.app(app), self.now(), text);
    }

    /// What is left of the way to a deployment once its files are there. An app that was stopped on purpose stays so.
    async fn deployed(
        &self,
        publishable: &host::Publishable,
        deployment: host::Deployment,
    ) -> Result<(), HostError> {
        let (name, app) = (&publishable.app().name, publishable.app().id);
        let change = Change { of: Some(app), deployment: Some(deployment), ..Change::default() };
        self.services.host.change_desired(publishable.by(), name, &change, self.now()).await?;
        self.touch(name);
        Ok(())
    }

    /// The deployments that instances of an app run from.
    fn used(&self, app: AppId) -> BTreeSet<DeploymentId> {
        let states = self.state();
        let instances = states.get(&app).into_iter().flat_map(|state| &state.instances);
        instances.filter_map(|instance| instance.deployment).collect()
    }

    /// Ends whatever is left in a cgroup, and removes it; at once, or in a later round.
    async fn remove(&self, cgroup: Arc<AppCgroup>) {
        let removing = cgroup.clone();
        // Killing and looking may take their time.
        let removed = tokio::task::spawn_blocking(move || {
            if removing.is_populated() {
                let _may_be_gone = removing.kill();
                let until = Instant::now() + KILL_TIME_MAX;
                while removing.is_populated() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            removing.remove()
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%error, "an instance's cgroup cannot be removed yet");
            self.left.lock().unwrap_or_else(PoisonError::into_inner).push(cgroup);
        }
    }

    /// Tries again what could not be removed.
    async fn remove_left(&self) {
        if self.files.has_containers()
            && let Placement::Root { parent } | Placement::Delegated { parent } = &self.launcher.placement
        {
            let (parent, tenant) = (parent.clone(), self.launcher.tenant.clone());
            let _removed =
                tokio::task::spawn_blocking(move || container::remove_beside(&parent, &tenant)).await;
        }
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        for cgroup in left {
            self.remove(cgroup).await;
        }
        let left = std::mem::take(&mut *self.left_files());
        for app in left {
            self.remove_files(app).await;
        }
    }

    /// Removes the files of an app that is no more; at once, or in a later round: somebody may be writing there, such as the last line of
    /// its log or a package that is still being unpacked.
    async fn remove_files(&self, app: AppId) {
        let folder = self.files.app(app);
        let removed = tokio::task::spawn_blocking(move || folder.remove()).await;
        if let Err(error) = removed.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::warn!(%app, %error, "the files of an app that was deleted cannot be removed yet");
            self.left_files().insert(app);
        }
        self.sweep_images().await;
    }

    fn left_files(&self) -> MutexGuard<'_, BTreeSet<AppId>> {
        self.left_files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens without a request leaves its record, too.
    fn record(&self, name: &AppName, action: &'static str, outcome: Outcome, reason: String) {
        let request = RequestId::random(&*self.services.entropy);
        let context = Context { request, now: self.now(), origin: SharedOrigin::default(), door: Door::Own };
        let target = format!("app {name}");
        if context.record(&*self.services.audit, Actor::System, action, target, outcome, reason).is_err() {
            tracing::error!(app = %name, action, "was done, and cannot be written to the audit log");
        }
    }

    /// As systemd does: all of it is asked, as a shell in front of a program does not pass it on. Podman does, to the container's first
    /// process, and to have its cgroup asked would end others that its image may want to outlive that. Some wait for the connections that
    /// are kept to them, and get no more requests anyway.
    fn ask_to_end(&self, name: &AppName, instance: &Instance) {
        if let Some(route) = instance.route {
            drop(self.routes.drain(name, route));
        }
        match &instance.cgroup {
            Some(cgroup) if !instance.is_container => cgroup.signal(SIGTERM),
            None if !instance.is_container => launch::signal_group(&instance.process, SIGTERM),
            _ => drop(instance.process.signal(SIGTERM)),
        }
    }
}

/// SIGTERM, the same on every Linux.
const SIGTERM: i32 = 15;
