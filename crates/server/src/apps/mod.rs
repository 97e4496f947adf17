//! Hosted apps: what is desired of each is made so, and kept so.
//!
//! Owns: the loop that carries out `host::plan`, the instances that run and who watches them. Owns not: the decisions (`host`), the
//! routes (`wire::admin::hosting`), what a process or a cgroup is (`kernel`). One task reconciles, so no two steps of one app cross.
//!
//! Apps run on while no server does: a stop of the server ends none, and the next run goes on with those that it finds.

mod container;
mod deploy;
mod files;
mod launch;
mod log;
mod probe;
mod references;

use crate::listen::{Stop, stopped};
use audit::{Actor, Outcome, SharedOrigin};
use deploy::Deployments;
use domain::{AppId, AppName, DeploymentId, RequestId, Timestamp, WorkloadId, limits};
pub(crate) use files::AppFiles;
use host::{
    Change, Desired, DesiredState, Health, HostError, InstanceRecord, PlaceRecord, WorkloadRecord,
    plan::{Action, Elapsed, Observed, Phase, Restarts, plan},
    routes::{InstanceKey, Reach, Routes, Wanted},
};
use kernel::{AppCgroup, Attestor, Limiter, Process};
pub(crate) use launch::Launcher;
use launch::{Launched, end_at_once};

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::AbortHandle};
use wire::{
    Context, Services,
    admin::{
        Brought, Hosting, HostingFault, ObservedApp, ObservedDeployment, ObservedInstance, ObservedReference,
        hosting::Answer,
    },
};

/// How often draining instances are looked at. Ours.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);
/// How often logs are looked at for rotation. Ours.
const ROTATE_INTERVAL: Duration = Duration::from_secs(2);
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
    began: Instant,
    state: Mutex<HashMap<AppId, AppState>>,
    /// Apps of which something is another.
    changed: Mutex<BTreeSet<AppName>>,
    wake: Notify,
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
    fingerprint: Option<crypt::Sha256Hash>,
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
    /// What is not enforced, and why.
    unenforced: Vec<String>,
}

/// One instance.
struct Instance {
    workload: WorkloadId,
    revision: u64,
    phase: Phase,
    since: Elapsed,
    failed_checks: u32,
    port: u16,
    /// Its place among those that take requests.
    route: Option<InstanceKey>,
    process: Arc<Process>,
    cgroup: Option<AppCgroup>,
    is_container: bool,
    /// What podman reads when it starts.
    held: Option<File>,
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
            fingerprint: None,
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
            began: Instant::now(),
            state: Mutex::default(),
            changed: Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn elapsed(&self) -> Elapsed {
        self.began.elapsed()
    }

    fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, HashMap<AppId, AppState>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self, name: &AppName) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        self.wake.notify_one();
    }

    fn note(&self, app: AppId, text: &str) {
        log::note(&self.files.app(app), self.now(), text);
    }

    /// Goes on with what an earlier run of the server left: running instances are taken over, what cannot be is ended, and what nobody
    /// wants any more is removed.
    pub(crate) async fn resume(self: &Arc<Self>) -> Result<(), HostError> {
        if let Err(error) = self.files.open() {
            tracing::error!(%error, "apps' files cannot be kept: nothing can be deployed");
        }
        let host = &self.services.host;
        let (mut kept, mut containers) = (BTreeSet::new(), BTreeSet::new());
        for record in host.instances().await? {
            let Some(instance) = record.instance else { continue };
            let cgroup = match &record.place {
                PlaceRecord::Cgroup { path, id } => {
                    AppCgroup::open(path).ok().filter(|cgroup| cgroup.id().number() == *id)
                }
                PlaceRecord::Unenforced { .. } => None,
            };
            let process = instance
                .process
                .filter(|_| self.services.identity.workload(record.id).is_some())
                .and_then(|process| Process::adopt(process.pid, process.start_time));
            match process {
                Some(process) => {
                    if let Some(cgroup) = &cgroup {
                        kept.insert(cgroup.path().to_owned());
                    }
                    if record.network.is_some() {
                        containers.insert(container::name(record.id));
                    }
                    self.adopt(&record, instance, process, cgroup);
                }
                None => {
                    if let Some(cgroup) = cgroup {
                        remove(cgroup).await;
                    }
                    match host.end(record.id).await {
                        Ok(()) | Err(HostError::WorkloadNotFound(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        self.sweep_cgroups(&kept).await;
        self.sweep_containers(&containers).await?;
        let apps = host.apps().await?;
        let known: BTreeSet<AppId> = apps.iter().map(|view| view.app.id).collect();
        for (path, error) in self.files.sweep(|app| known.contains(&app)) {
            tracing::warn!(%error, path = %path.display(), "the files of an app that is no more cannot be removed");
        }
        for name in host.hosted().await? {
            self.touch(&name);
        }
        Ok(())
    }

    fn adopt(
        self: &Arc<Self>,
        record: &WorkloadRecord,
        instance: InstanceRecord,
        process: Process,
        cgroup: Option<AppCgroup>,
    ) {
        let (app, name, workload) = (record.app, &record.name, record.id);
        tracing::info!(app = %name, %workload, "an instance runs on");
        let launched = Launched {
            workload,
            port: instance.port,
            process,
            enforced: cgroup.is_some(),
            limiter: None,
            cgroup,
            // Others are in our network.
            is_container: record.network.is_some(),
            held: None,
            unenforced: Vec::new(),
            notices: Vec::new(),
        };
        self.add(app, name, instance.revision, launched);
        self.touch(name);
    }

    /// How many instances run.
    pub(crate) fn running(&self) -> usize {
        self.state().values().map(|state| state.instances.len()).sum()
    }

    /// Ends all instances, as nobody is there to look after them. Once nothing reconciles any more.
    pub(crate) async fn end_all(&self) {
        let mut all: Vec<Instance> =
            self.state().values_mut().flat_map(|state| state.instances.drain(..)).collect();
        for instance in &all {
            ask_to_end(instance);
        }
        let until = Instant::now() + END_TIME_MAX;
        while Instant::now() < until && all.iter().any(|one| !one.process.has_ended().unwrap_or(true)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for instance in &mut all {
            end_at_once(&instance.process, instance.cgroup.as_ref(), instance.is_container);
            if let Some(cgroup) = instance.cgroup.take() {
                remove(cgroup).await;
            }
            if instance.is_container {
                self.remove_container(container::name(instance.workload)).await;
            }
            // One that is kept is found to have ended at the next start.
            let _may_be_kept = self.services.host.end(instance.workload).await;
        }
    }

    /// Cgroups that an earlier run made and no record names: it ended between making one and keeping that it did, or an app was deleted
    /// and the server killed before it could end what ran.
    async fn sweep_cgroups(&self, kept: &BTreeSet<std::path::PathBuf>) {
        let (kernel::Placement::Root { parent } | kernel::Placement::Delegated { parent }) =
            &self.launcher.placement
        else {
            return;
        };
        let Ok(entries) = std::fs::read_dir(parent) else { return };
        for entry in entries.flatten() {
            let is_ours = entry.file_name().to_string_lossy().starts_with(&self.launcher.prefix);
            if is_ours
                && !kept.contains(&entry.path())
                && let Ok(cgroup) = AppCgroup::open(&entry.path())
            {
                remove(cgroup).await;
            }
        }
    }

    /// Reconciles until the server stops.
    pub(crate) async fn supervise(self: Arc<Self>, mut stop: Stop) {
        let mut rotate = tokio::time::interval(ROTATE_INTERVAL);
        rotate.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let (due, next) = self.due();
            for name in due {
                if *stop.borrow() {
                    return;
                }
                if let Err(error) = self.reconcile(&name).await {
                    tracing::warn!(app = %name, %error, "an app cannot be brought to what is desired yet");
                    self.again(&name, self.elapsed() + Duration::from_secs(1));
                }
            }
            let pause = next.map_or(Duration::from_secs(3_600), |next| next.saturating_sub(self.elapsed()));
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                _ = rotate.tick() => self.rotate().await,
                () = stopped(&mut stop) => return,
            }
        }
    }

    /// The apps whose time has come, and when the next one's does.
    fn due(&self) -> (BTreeSet<AppName>, Option<Elapsed>) {
        let now = self.elapsed();
        let mut due = std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut next: Option<Elapsed> = None;
        for state in self.state().values_mut() {
            for time in [&mut state.look_again, &mut state.refresh_at] {
                match *time {
                    Some(at) if at <= now => {
                        due.insert(state.name.clone());
                    }
                    Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    None => {}
                }
            }
        }
        (due, next)
    }

    fn again(&self, name: &AppName, at: Elapsed) {
        for state in self.state().values_mut().filter(|state| state.name == *name) {
            state.look_again = Some(at);
        }
    }

    async fn rotate(&self) {
        let apps: Vec<AppId> = self.state().keys().copied().collect();
        let files = self.files.clone();
        let rotated = tokio::task::spawn_blocking(move || {
            for app in apps {
                if let Err(error) = log::rotate(&files.app(app)) {
                    tracing::warn!(%app, %error, "an app's log cannot be rotated");
                }
            }
        });
        let _ended = rotated.await;
    }

    /// One round for one app: what is desired, what is observed, the plan, its steps.
    async fn reconcile(self: &Arc<Self>, name: &AppName) -> Result<(), HostError> {
        let desired = match self.services.host.desired(name).await {
            Ok(desired) => desired,
            Err(HostError::AppNotFound(_)) => None,
            Err(error) => return Err(error),
        };
        // Of an app of this name that was deleted something may still run.
        let mut known: Vec<AppId> =
            self.state().iter().filter(|(_, state)| state.name == *name).map(|(app, _)| *app).collect();
        if let Some(desired) = &desired
            && !known.contains(&desired.app)
        {
            known.push(desired.app);
        }
        for app in known {
            self.reconcile_one(app, name, desired.as_deref().filter(|desired| desired.app == app)).await?;
        }
        Ok(())
    }

    async fn reconcile_one(
        self: &Arc<Self>,
        app: AppId,
        name: &AppName,
        desired: Option<&Desired>,
    ) -> Result<(), HostError> {
        self.route(name, desired);
        if let Some(desired) = desired {
            self.refresh(app, name, desired).await?;
        }
        // A step may make another one possible.
        for _ in 0..8 {
            let now = self.elapsed();
            let planned = {
                let mut states = self.state();
                let state = states.entry(app).or_insert_with(|| AppState::new(name.clone()));
                if let Some(desired) = desired
                    && state.revision != desired.revision
                {
                    // Whoever changes something wants to see at once what it does.
                    (state.revision, state.restarts) = (desired.revision, Restarts::forgiven());
                }
                let observed: Vec<_> = state.instances.iter().map(|one| self.observe(name, one)).collect();
                let planned = plan(desired, &observed, state.restarts, now);
                state.look_again = planned.look_again;
                if observed.iter().any(|one| one.phase == Phase::Draining) {
                    let soon = now + DRAIN_INTERVAL;
                    state.look_again = Some(state.look_again.map_or(soon, |at| at.min(soon)));
                }
                planned
            };
            if planned.actions.is_empty() {
                break;
            }
            for action in planned.actions {
                self.act(app, name, desired, action).await?;
            }
        }
        if desired.is_none() {
            self.forget_app(app);
        }
        Ok(())
    }

    /// What the proxy tells people whose requests cannot go to an instance.
    fn route(&self, name: &AppName, desired: Option<&Desired>) {
        match desired {
            None => {}
            Some(desired) if desired.state == DesiredState::Stopped => self.routes.set(name, Wanted::Stopped),
            Some(desired) if desired.deployment.is_none() => self.routes.set(name, Wanted::Stopped),
            Some(_) => {
                let has_served = !self.routes.in_flight(name).is_empty();
                self.routes.set(name, if has_served { Wanted::Running } else { Wanted::Starting });
            }
        }
    }

    /// An instance takes no more requests.
    fn drain(&self, app: AppId, workload: WorkloadId) {
        let mut states = self.state();
        let Some(state) = states.get_mut(&app) else { return };
        let name = state.name.clone();
        if let Some(key) = state.instance(workload).and_then(|instance| instance.route) {
            drop(self.routes.drain(&name, key));
        }
    }

    fn observe(&self, name: &AppName, instance: &Instance) -> Observed {
        Observed {
            workload: instance.workload,
            revision: instance.revision,
            phase: instance.phase,
            since: instance.since,
            failed_checks: instance.failed_checks,
            in_flight: instance.route.map_or(0, |route| self.in_flight(name, route)),
        }
    }

    fn in_flight(&self, name: &AppName, route: InstanceKey) -> usize {
        self.routes.in_flight(name).into_iter().find(|(key, _)| *key == route).map_or(0, |(_, count)| count)
    }

    /// An app that is no more, and of which nothing runs: its files go, too.
    fn forget_app(&self, app: AppId) {
        let mut states = self.state();
        if states.get(&app).is_some_and(|state| state.instances.is_empty()) {
            if let Some(gone) = states.remove(&app)
                && !states.values().any(|state| state.name == gone.name)
            {
                self.routes.forget(&gone.name);
            }
            drop(states);
            self.deployments.forget(app);
            if let Err(error) = self.files.app(app).remove() {
                tracing::warn!(%app, %error, "the files of an app that was deleted cannot be removed");
            }
        }
    }

    async fn act(
        self: &Arc<Self>,
        app: AppId,
        name: &AppName,
        desired: Option<&Desired>,
        action: Action,
    ) -> Result<(), HostError> {
        match action {
            Action::Start => {
                if let Some(desired) = desired {
                    self.start(app, name, desired).await?;
                }
            }
            Action::Drain(workload) => {
                self.drain(app, workload);
                self.advance(app, workload, Phase::Draining);
            }
            Action::Stop(workload) => {
                self.drain(app, workload);
                if let Some(instance) = self.state().get_mut(&app).and_then(|state| state.instance(workload))
                {
                    ask_to_end(instance);
                }
                self.advance(app, workload, Phase::Stopping);
                self.again(name, self.elapsed() + limits::STOP_TIME_MAX);
            }
            Action::Kill(workload) => {
                self.note(app, "an instance did not end in time, and is killed");
                if let Some(instance) = self.state().get_mut(&app).and_then(|state| state.instance(workload))
                {
                    end_at_once(&instance.process, instance.cgroup.as_ref(), instance.is_container);
                }
                self.advance(app, workload, Phase::Killing);
            }
            Action::Forget(workload) => self.forget(app, workload).await?,
        }
        Ok(())
    }

    fn advance(&self, app: AppId, workload: WorkloadId, phase: Phase) {
        let now = self.elapsed();
        if let Some(instance) = self.state().get_mut(&app).and_then(|state| state.instance(workload))
            && instance.phase != Phase::Ended
        {
            (instance.phase, instance.since) = (phase, now);
        }
    }

    /// Takes away all that an instance had: endpoint, record, processes, cgroup.
    async fn forget(&self, app: AppId, workload: WorkloadId) -> Result<(), HostError> {
        match self.services.host.end(workload).await {
            Ok(()) | Err(HostError::WorkloadNotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let removed = {
            let mut states = self.state();
            let Some(state) = states.get_mut(&app) else { return Ok(()) };
            let at = state.instances.iter().position(|instance| instance.workload == workload);
            let removed = at.map(|at| state.instances.remove(at));
            if let Some(route) = removed.as_ref().and_then(|instance| instance.route) {
                self.routes.remove(&state.name, route);
            }
            removed
        };
        if let Some(mut instance) = removed {
            if let Some(cgroup) = instance.cgroup.take() {
                remove(cgroup).await;
            }
            if instance.is_container {
                self.remove_container(container::name(workload)).await;
            }
        }
        Ok(())
    }

    /// Podman has removed it with its end, unless it was ended itself.
    async fn remove_container(&self, name: String) {
        let Ok(podman) = self.launcher.podman().await else { return };
        let removed = tokio::task::spawn_blocking(move || podman.remove(&name)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(error, "what is left of a container cannot be removed");
        }
    }

    /// Containers that no record names, as for cgroups. Podman is asked only where there is an app that needs it.
    async fn sweep_containers(&self, kept: &BTreeSet<String>) -> Result<(), HostError> {
        let host = &self.services.host;
        let mut has_any = false;
        for name in host.hosted().await? {
            let desired = host.desired(&name).await?;
            let deployment = desired.as_ref().and_then(|desired| desired.deployment.as_ref());
            has_any |= deployment.is_some_and(|deployment| deployment.image.is_some());
        }
        if !has_any {
            return Ok(());
        }
        let Ok(podman) = self.launcher.podman().await else { return Ok(()) };
        let listed = tokio::task::spawn_blocking(move || podman.names()).await;
        let listed = listed.unwrap_or_else(|error| Err(error.to_string()));
        match listed {
            Ok(listed) => {
                for name in listed.into_iter().filter(|name| !kept.contains(name)) {
                    self.remove_container(name).await;
                }
            }
            Err(error) => tracing::warn!(error, "podman does not tell its containers"),
        }
        Ok(())
    }

    async fn start(self: &Arc<Self>, app: AppId, name: &AppName, desired: &Desired) -> Result<(), HostError> {
        let now = self.now();
        let view = self.services.host.app(name).await?;
        if view.app.id != app {
            return Ok(());
        }
        let settings = self.services.host.settings(name).await?;
        let resolved = references::resolve(&self.services, &view, settings, now).await;
        let folder = self.files.app(app);
        if let Some(state) = self.state().get_mut(&app) {
            state.references.clone_from(&resolved.references);
            state.fingerprint = Some(resolved.fingerprint);
            let again = self.elapsed() + limits::REFERENCES_REFRESHED;
            state.refresh_at = (!resolved.references.is_empty()).then_some(again);
        }
        for reference in resolved.references.iter().filter(|reference| !reference.advice.is_empty()) {
            let ObservedReference { setting, status, advice } = reference;
            self.note(app, &format!("setting {setting}: its reference is not resolved: {status} ({advice})"));
        }
        let launched = match folder.make(self.launcher.account(desired)) {
            Ok(()) => {
                self.launcher.launch(&self.services.host, &folder, &view, desired, &resolved, now).await
            }
            Err(error) => Err(error.into()),
        };
        match launched {
            Ok(launched) => {
                let image = desired.deployment.as_ref().and_then(|deployment| deployment.image.as_ref());
                let what = desired.start_command().or(image.map(|image| &*image.name)).unwrap_or_default();
                self.note(app, &format!("an instance starts: {what}"));
                self.add(app, name, desired.revision, launched);
            }
            Err(error) => {
                let text = chain(&error);
                self.note(app, &format!("an instance cannot be started: {text}"));
                tracing::warn!(app = %name, error = text, "an instance cannot be started");
                if let Some(state) = self.state().get_mut(&app) {
                    state.restarts = state.restarts.failed(self.elapsed());
                    state.last_failure = Some(format!("it cannot be started: {text}"));
                }
            }
        }
        Ok(())
    }

    fn add(self: &Arc<Self>, app: AppId, name: &AppName, revision: u64, launched: Launched) {
        let Launched { workload, port, process, cgroup, limiter, unenforced, enforced, notices, .. } =
            launched;
        let Launched { is_container, held, .. } = launched;
        let process = Arc::new(process);
        let since = self.elapsed();
        let mut states = self.state();
        let state = states.entry(app).or_insert_with(|| AppState::new(name.clone()));
        state.isolation = Some(Isolation { enforced, is_container, unenforced });
        state.notices = notices;
        let watching = self.clone().watch(app, name.clone(), workload, port, process.clone());
        let watcher = Some(tokio::spawn(watching).abort_handle());
        state.instances.push(Instance {
            workload,
            revision,
            phase: Phase::Starting,
            since,
            failed_checks: 0,
            port,
            route: None,
            process,
            cgroup,
            is_container,
            held,
            limiter,
            watcher,
        });
    }

    /// Resolves references again when their time has come; instances are replaced if a secret is another.
    async fn refresh(&self, app: AppId, name: &AppName, desired: &Desired) -> Result<(), HostError> {
        let now = self.elapsed();
        let is_due = self.state().get(&app).is_some_and(|state| state.refresh_at.is_some_and(|at| at <= now));
        if !is_due || desired.state != DesiredState::Running {
            return Ok(());
        }
        let view = self.services.host.app(name).await?;
        let settings = self.services.host.settings(name).await?;
        let resolved = references::resolve(&self.services, &view, settings, self.now()).await;
        let is_another = {
            let mut states = self.state();
            let Some(state) = states.get_mut(&app) else { return Ok(()) };
            state.refresh_at = Some(now + limits::REFERENCES_REFRESHED);
            state.references = resolved.references;
            state.fingerprint.is_some_and(|before| before != resolved.fingerprint)
        };
        if is_another {
            self.note(app, "a secret behind a reference has changed: instances are replaced");
            let restart = Change { restart: true, ..Change::default() };
            self.services.host.change_desired(name, &restart, self.now()).await?;
            self.touch(name);
        }
        Ok(())
    }

    /// One instance: when it is ready, whether it stays healthy, how it ends.
    async fn watch(
        self: Arc<Self>,
        app: AppId,
        name: AppName,
        workload: WorkloadId,
        port: u16,
        process: Arc<Process>,
    ) {
        let ended = probe::ended(&process);
        tokio::pin!(ended);
        let how = tokio::select! {
            how = &mut ended => how,
            () = self.keep_checking(app, &name, workload, port) => ended.await,
        };
        let now = self.elapsed();
        {
            let mut states = self.state();
            let Some(state) = states.get_mut(&app) else { return };
            let restarts = state.restarts;
            let Some(instance) = state.instance(workload) else { return };
            let was = (instance.phase, instance.since);
            let memory = instance.limiter.as_ref().is_some_and(Limiter::was_killed_for_memory);
            let how = if memory { format!("{how}, as it needed more memory than its limit") } else { how };
            (instance.phase, instance.since) = (Phase::Ended, now);
            let told = match was.0 {
                Phase::Starting | Phase::Ready => {
                    let forgiven = was.0 == Phase::Ready && now >= was.1 + limits::FAILURES_FORGOTTEN_AFTER;
                    let before = if forgiven { Restarts::forgiven() } else { restarts };
                    state.restarts = before.failed(now);
                    let when =
                        if was.0 == Phase::Ready { "after it was ready" } else { "before it was ready" };
                    let text = format!("it {how} {when}");
                    state.last_failure = Some(text.clone());
                    format!("an instance has failed: {text}")
                }
                _ => format!("an instance has ended: it {how}"),
            };
            drop(states);
            self.note(app, &told);
        }
        self.drain(app, workload);
        self.touch(&name);
    }

    /// Checks until it has to be replaced, or for ever.
    async fn keep_checking(&self, app: AppId, name: &AppName, workload: WorkloadId, port: u16) {
        let health = self.health(name).await;
        let inside = self.launcher.endpoints.inside(workload);
        let target = probe::Target {
            port,
            workload,
            identity: &self.services.identity,
            attestor: self.attestor.as_deref(),
            inside: inside.as_ref(),
        };
        probe::ready(&target, &health).await;
        {
            let mut states = self.state();
            let found = states.get_mut(&app).and_then(|state| state.instance(workload));
            let Some(instance) = found.filter(|instance| instance.phase == Phase::Starting) else { return };
            (instance.phase, instance.since) = (Phase::Ready, self.elapsed());
            instance.held = None;
            if health != Health::Process {
                let (identity, attestor) = (self.services.identity.clone(), self.attestor.clone());
                let inside = inside.clone();
                let upstream = probe::Upstream { port, workload, identity, attestor, inside };
                let reach = Reach::By(Arc::new(upstream));
                instance.route = Some(self.routes.add(name, reach));
            }
        }
        self.note(app, "an instance is ready");
        self.touch(name);
        let Health::Path(path) = &health else { return std::future::pending().await };
        loop {
            tokio::time::sleep(limits::HEALTH_INTERVAL).await;
            let is_healthy = probe::check(&target, path).await;
            let mut states = self.state();
            let Some(state) = states.get_mut(&app) else { return };
            let Some(instance) = state.instance(workload) else { return };
            instance.failed_checks = if is_healthy { 0 } else { instance.failed_checks + 1 };
            if instance.failed_checks >= limits::HEALTH_FAILURES_MAX && instance.phase == Phase::Ready {
                state.restarts = state.restarts.failed(self.elapsed());
                state.last_failure = Some(format!("its health check {path} failed"));
                drop(states);
                self.note(app, &format!("an instance is unhealthy: {path} failed"));
                self.touch(name);
            }
        }
    }

    async fn health(&self, name: &AppName) -> Health {
        match self.services.host.desired(name).await {
            Ok(Some(desired)) => desired.health.clone(),
            _ => Health::default(),
        }
    }

    /// What is left of the way to a deployment once its files are there.
    async fn deployed(&self, name: &AppName, deployment: host::Deployment) -> Result<(), HostError> {
        let host = &self.services.host;
        // A first deployment starts the app; one that was stopped on purpose stays so.
        let before = host.desired(name).await?;
        let is_first = before.is_none_or(|desired| desired.deployment.is_none());
        let change = Change {
            state: is_first.then_some(DesiredState::Running),
            deployment: Some(deployment),
            ..Change::default()
        };
        host.change_desired(name, &change, self.now()).await?;
        self.touch(name);
        Ok(())
    }

    /// What happens without a request leaves its record, too.
    fn record(&self, name: &AppName, action: &'static str, outcome: Outcome, reason: String) {
        let request = RequestId::random(&*self.services.entropy);
        let context = Context { request, now: self.now(), origin: SharedOrigin::default() };
        let target = format!("app {name}");
        if context.record(&*self.services.audit, Actor::System, action, target, outcome, reason).is_err() {
            tracing::error!(app = %name, action, "was done, and cannot be written to the audit log");
        }
    }
}

/// As systemd does: all of it is asked, as a shell in front of a program does not pass it on. Podman does, to the container's first process,
/// and to have its cgroup asked would end others that its image may want to outlive that.
fn ask_to_end(instance: &Instance) {
    match &instance.cgroup {
        Some(cgroup) if !instance.is_container => cgroup.signal(SIGTERM),
        _ => drop(instance.process.signal(SIGTERM)),
    }
}

/// SIGTERM, the same on every Linux.
const SIGTERM: i32 = 15;

/// Ends whatever is left in a cgroup, and removes it.
async fn remove(cgroup: AppCgroup) {
    if cgroup.is_populated() {
        let _may_be_gone = cgroup.kill();
        let until = Instant::now() + KILL_TIME_MAX;
        while cgroup.is_populated() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    if let Err(error) = cgroup.remove() {
        tracing::warn!(%error, "an instance's cgroup cannot be removed yet");
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

impl Hosting for Handle {
    fn take<'a>(
        &'a self,
        app: &'a AppName,
        brought: Brought,
        command: Option<String>,
    ) -> Answer<'a, DeploymentId> {
        Box::pin(deploy::take(&self.0, app, brought, command))
    }

    fn deployment(&self, app: AppId, deployment: DeploymentId) -> Option<ObservedDeployment> {
        self.0.deployments.told(app, deployment)
    }

    fn changed(&self, app: &AppName) {
        self.0.touch(app);
    }

    fn observed(&self, app: AppId) -> ObservedApp {
        let now = self.0.elapsed();
        let states = self.0.state();
        let Some(state) = states.get(&app) else { return ObservedApp::default() };
        let instances = state.instances.iter().map(|one| ObservedInstance {
            id: one.workload.to_string(),
            state: word(one.phase),
            revision: one.revision,
            port: one.port,
            process: (one.phase != Phase::Ended).then(|| one.process.id()),
            seconds: now.saturating_sub(one.since).as_secs(),
        });
        ObservedApp {
            instances: instances.collect(),
            isolation: state.isolation.as_ref().map(|isolation| self.0.claim(isolation).to_owned()),
            enforced: state.isolation.as_ref().map(|isolation| isolation.enforced),
            unenforced: state.isolation.as_ref().map(|it| it.unenforced.clone()).unwrap_or_default(),
            failures: state.restarts.failures,
            last_failure: state.last_failure.clone(),
            references: state.references.clone(),
            notices: state.notices.clone(),
        }
    }

    fn log<'a>(&'a self, app: AppId, lines: usize, follow: bool) -> Answer<'a, axum::body::Body> {
        let told = log::tell(&self.0.files.app(app), lines, follow);
        Box::pin(async move {
            told.map_err(|source| HostingFault::File { what: "the log cannot be read".to_owned(), source })
        })
    }
}

/// The administrator's hold on [`Apps`].
pub(crate) struct Handle(pub(crate) Arc<Apps>);

impl Apps {
    /// What is claimed of an app's isolation, and no more.
    fn claim(&self, isolation: &Isolation) -> &'static str {
        if isolation.is_container {
            return match isolation.enforced {
                true => {
                    "container: a network of its own, with no way out but to this server's vaults, and a cgroup of root's; nobody but its own processes and root gets its tokens"
                }
                false => {
                    "container: a network of its own, with no way out but to this server's vaults; whoever comes into it with its endpoint secret gets its tokens"
                }
            };
        }
        match (isolation.enforced, kernel::is_root(), self.launcher.landlock.is_some()) {
            (true, true, _) => {
                "server: its own account and a cgroup of root's; nobody but its own processes and root gets its tokens"
            }
            (true, false, true) => {
                "user: a cgroup of its own and a Landlock domain; other users and other hosted apps do not get its tokens, a program of your own account can take it over as a debugger can"
            }
            (true, false, false) => {
                "user: a cgroup of its own; other users do not get its tokens, a program of your own account can take it over"
            }
            (false, ..) => "unenforced: whoever gets hold of its endpoint secret gets its tokens",
        }
    }
}

const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
        Phase::Killing => "killing",
        Phase::Ended => "ended",
    }
}
