//! The loop: what is desired of each app is held against what is observed, `host::plan` says the steps, and here they are taken.

use super::{
    Apps, DRAIN_INTERVAL, Instance, Isolation, ROTATE_INTERVAL, container,
    launch::{LaunchError, Launched, end_at_once},
    log, probe, references,
    rounds::Rounds,
};
use crate::{
    listen::{Stop, stopped},
    tasks::boxed,
};
use access::Manager;
use domain::{AppId, AppName, WorkloadId, limits};
use host::{
    Change, Desired, DesiredState, HostError,
    plan::{Action, Elapsed, Observed, Phase, Restarts, plan},
    routes::{InstanceKey, Wanted},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::task::JoinSet;
use wire::admin::ObservedReference;

/// How often all apps are looked at though nobody has said that something is another. Ours.
const TOUCH_INTERVAL: Duration = Duration::from_secs(30);
/// How soon an app that could not be reconciled is tried again. Ours: the store may be away for a moment.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

impl Apps {
    /// Reconciles until the server stops.
    pub(crate) async fn supervise(self: Arc<Self>, mut stop: Stop) {
        let mut rotate = tokio::time::interval(ROTATE_INTERVAL);
        rotate.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut again = tokio::time::interval(TOUCH_INTERVAL);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut rounds, mut chores) = (Rounds::default(), JoinSet::new());
        while !*stop.borrow() {
            rounds.want(self.due());
            rounds.begin(|name| self.clone().round(name));
            // Whose time has come while it waits is not looked at again before its round is over.
            let next = self.next(|name| !rounds.holds(name));
            let pause = next.map_or(Duration::from_secs(3_600), |next| next.saturating_sub(self.elapsed()));
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = rounds.ended() => {}
                // What is left to remove may take its time.
                _ = rotate.tick(), if chores.is_empty() => drop(chores.spawn(boxed(self.clone().chores()))),
                Some(_ended) = chores.join_next() => {}
                _ = again.tick() => self.touch_all().await,
                () = stopped(&mut stop) => {}
            }
        }
        rounds.finish().await;
    }

    async fn round(self: Arc<Self>, name: AppName) {
        if let Err(error) = self.reconcile(&name).await {
            tracing::warn!(app = %name, %error, "an app cannot be brought to what is desired yet");
            self.later().insert(name, self.elapsed() + RETRY_INTERVAL);
        }
    }

    /// What is done for all apps now and then.
    async fn chores(self: Arc<Self>) {
        self.rotate().await;
        self.renew_token_files().await;
        self.remove_left().await;
    }

    /// Looks at all apps again: whoever changed one may have gone before it said so.
    async fn touch_all(&self) {
        let known: Vec<AppName> = self.state().values().map(|state| state.name.clone()).collect();
        known.iter().for_each(|name| self.touch(name));
        match self.services.host.hosted().await {
            Ok(hosted) => hosted.iter().for_each(|name| self.touch(name)),
            Err(error) => tracing::warn!(%error, "which apps are hosted cannot be asked now"),
        }
    }

    /// The apps whose time has come.
    pub(super) fn due(&self) -> BTreeSet<AppName> {
        let now = self.elapsed();
        let mut due = std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
        self.later().retain(|name, at| {
            let is_due = *at <= now;
            if is_due {
                due.insert(name.clone());
            }
            !is_due
        });
        for state in self.state().values() {
            if [state.look_again, state.refresh_at].into_iter().flatten().any(|at| at <= now) {
                due.insert(state.name.clone());
            }
        }
        due
    }

    /// When the next time of one of these apps comes.
    pub(super) fn next(&self, is_one: impl Fn(&AppName) -> bool) -> Option<Elapsed> {
        let later = self.later().iter().filter(|(name, _)| is_one(name)).map(|(_, at)| *at).min();
        // Most apps have no such time, and this is asked often: that comes first.
        let states = self.state();
        let times = states.values().filter_map(|state| {
            let at = state.look_again.into_iter().chain(state.refresh_at).min()?;
            is_one(&state.name).then_some(at)
        });
        times.chain(later).min()
    }

    fn later(&self) -> MutexGuard<'_, HashMap<AppName, Elapsed>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn rotate(&self) {
        let apps: Vec<AppId> = self.state().ids().collect();
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
    pub(super) async fn reconcile(self: &Arc<Self>, name: &AppName) -> Result<(), HostError> {
        let desired = match self.services.host.desired(name).await {
            Ok(desired) => desired,
            Err(HostError::AppNotFound(_)) => None,
            Err(error) => return Err(error),
        };
        // Of an app of this name that was deleted something may still run.
        let mut known: Vec<AppId> = self.state().named(name).collect();
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

    pub(super) async fn reconcile_one(
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
                let state = states.entry(app, name);
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
            self.forget_app(app).await;
        }
        Ok(())
    }

    /// What the proxy tells people whose requests cannot go to an instance.
    pub(super) fn route(&self, name: &AppName, desired: Option<&Desired>) {
        match desired {
            None => {}
            Some(desired) if desired.state == DesiredState::Stopped => self.routes.set(name, Wanted::Stopped),
            Some(desired) if desired.deployment.is_none() => self.routes.set(name, Wanted::Nothing),
            Some(_) => {
                let has_served = !self.routes.in_flight(name).is_empty();
                self.routes.set(name, if has_served { Wanted::Running } else { Wanted::Starting });
            }
        }
    }

    /// An instance takes no more requests.
    pub(super) fn drain(&self, app: AppId, workload: WorkloadId) {
        let mut states = self.state();
        let Some(state) = states.get_mut(&app) else { return };
        let name = state.name.clone();
        if let Some(key) = state.instance(workload).and_then(|instance| instance.route) {
            drop(self.routes.drain(&name, key));
        }
    }

    pub(super) fn observe(&self, name: &AppName, instance: &Instance) -> Observed {
        Observed {
            workload: instance.workload,
            revision: instance.revision,
            phase: instance.phase,
            since: instance.since,
            failed_checks: instance.failed_checks,
            in_flight: instance.route.map_or(0, |route| self.in_flight(name, route)),
        }
    }

    pub(super) fn in_flight(&self, name: &AppName, route: InstanceKey) -> usize {
        self.routes.in_flight(name).into_iter().find(|(key, _)| *key == route).map_or(0, |(_, count)| count)
    }

    /// An app that is no more, and of which nothing runs: its files go, too.
    pub(super) async fn forget_app(&self, app: AppId) {
        {
            let mut states = self.state();
            if states.get(&app).is_none_or(|state| !state.instances.is_empty()) {
                return;
            }
            if let Some(gone) = states.remove(&app)
                && states.named(&gone.name).next().is_none()
            {
                self.routes.forget(&gone.name);
            }
        }
        self.deployments.forget(app);
        let _nobody_follows = self.gone.send(app);
        self.remove_files(app).await;
    }

    pub(super) async fn act(
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
                if let Some(instance) = self.state().get_mut(&app).and_then(|state| state.instance(workload))
                {
                    self.ask_to_end(name, instance);
                }
                self.give_up(app, workload);
                self.advance(app, workload, Phase::Stopping);
            }
            Action::Kill(workload) => {
                self.note(app, "an instance did not end in time, and is killed");
                let instance = self.state().get_mut(&app).and_then(|state| {
                    let found = state.instance(workload)?;
                    Some((found.process.clone(), found.cgroup.clone(), found.is_container))
                });
                if let Some((process, cgroup, is_container)) = instance {
                    let killed = tokio::task::spawn_blocking(move || {
                        end_at_once(&process, cgroup.as_deref(), is_container);
                    });
                    let _ended = killed.await;
                }
                self.advance(app, workload, Phase::Killing);
            }
            Action::Forget(workload) => self.forget(app, workload).await?,
        }
        Ok(())
    }

    /// One that is asked to end because it did not become ready in time has failed, as one that ended by itself has.
    fn give_up(&self, app: AppId, workload: WorkloadId) {
        let now = self.elapsed();
        let mut states = self.state();
        let Some(state) = states.get_mut(&app) else { return };
        let restarts = state.restarts;
        let Some(instance) = state.instance(workload) else { return };
        if instance.phase != Phase::Starting || now < instance.since + limits::START_TIME_MAX {
            return;
        }
        let seconds = limits::START_TIME_MAX.as_secs();
        let text = match &instance.unwell {
            Some(unwell) => format!("it was not ready within {seconds} s: {unwell}"),
            None => format!("it was not ready within {seconds} s"),
        };
        state.restarts = restarts.failed(now);
        state.last_failure = Some(text.clone());
        drop(states);
        self.note(app, &format!("an instance has failed: {text}"));
    }

    pub(super) fn advance(&self, app: AppId, workload: WorkloadId, phase: Phase) {
        let now = self.elapsed();
        if let Some(instance) = self.state().get_mut(&app).and_then(|state| state.instance(workload))
            && instance.phase != Phase::Ended
        {
            (instance.phase, instance.since) = (phase, now);
        }
    }

    /// Takes away all that an instance had: endpoint, record, processes, cgroup.
    pub(super) async fn forget(&self, app: AppId, workload: WorkloadId) -> Result<(), HostError> {
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
        self.remove_instance_files(app, workload);
        if let Some(mut instance) = removed {
            if let Some(cgroup) = instance.cgroup.take() {
                self.remove(cgroup).await;
            }
            if instance.is_container {
                self.remove_container(container::name(workload)).await;
            }
        }
        Ok(())
    }

    pub(super) async fn start(
        self: &Arc<Self>,
        app: AppId,
        name: &AppName,
        desired: &Desired,
    ) -> Result<(), HostError> {
        let now = self.now();
        let view = self.services.host.app(Manager::Administrator, name).await?;
        if view.app.id != app {
            return Ok(());
        }
        let Some(settings) = self.services.host.settings_of(name, app).await? else { return Ok(()) };
        let resolved = references::resolve(&self.services, &view, settings, now).await;
        let folder = self.files.app(app);
        if let Some(state) = self.state().get_mut(&app) {
            state.references.clone_from(&resolved.references);
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
                // One that comes back after a failure may get another secret than those beside it have.
                self.replace_if_another(app, name, &resolved).await?;
            }
            Err(error) => {
                let text = domain::chain(&error);
                if let LaunchError::Unkept(_, launched) = error {
                    self.end_unkept(*launched).await;
                }
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

    /// Ends what runs and cannot be kept, and takes all away that it had.
    async fn end_unkept(&self, launched: Launched) {
        let Launched { workload, process, cgroup, is_container, .. } = launched;
        let process = Arc::new(process);
        let (ending, of) = (process.clone(), cgroup.clone());
        let ended = tokio::task::spawn_blocking(move || {
            end_at_once(&ending, of.as_deref(), is_container);
        });
        let _ended = ended.await;
        // A child that nobody waits for stays as one that has ended for as long as we run.
        tokio::spawn(async move { probe::ended(&process).await });
        let _gone = self.services.host.end(workload).await;
        if let Some(cgroup) = cgroup {
            self.remove(cgroup).await;
        }
        if is_container {
            self.remove_container(container::name(workload)).await;
        }
    }

    pub(super) fn add(self: &Arc<Self>, app: AppId, name: &AppName, revision: u64, launched: Launched) {
        let Launched { workload, port, process, cgroup, limiter, unenforced, enforced, notices, .. } =
            launched;
        let Launched { is_container, has_own_network, deployment, seen, .. } = launched;
        let process = Arc::new(process);
        let since = self.elapsed();
        let mut states = self.state();
        let state = states.entry(app, name);
        state.isolation = Some(Isolation { enforced, is_container, has_own_network, unenforced });
        state.notices = notices;
        let watching = self.clone().watch(app, name.clone(), workload, port, process.clone());
        let watcher = Some(tokio::spawn(boxed(watching)).abort_handle());
        state.instances.push(Instance {
            workload,
            revision,
            deployment,
            seen,
            phase: Phase::Starting,
            since,
            failed_checks: 0,
            unwell: None,
            port,
            route: None,
            process,
            cgroup,
            is_container,
            limiter,
            watcher,
        });
    }

    /// Resolves references again when their time has come; instances are replaced if a secret is another.
    pub(super) async fn refresh(
        &self,
        app: AppId,
        name: &AppName,
        desired: &Desired,
    ) -> Result<(), HostError> {
        let now = self.elapsed();
        if desired.state != DesiredState::Running {
            // Resolved at its next start.
            if let Some(state) = self.state().get_mut(&app) {
                state.refresh_at = None;
            }
            return Ok(());
        }
        let is_due = self.state().get(&app).is_some_and(|state| state.refresh_at.is_some_and(|at| at <= now));
        if !is_due {
            return Ok(());
        }
        let view = self.services.host.app(Manager::Administrator, name).await?;
        let settings = self.services.host.settings(Manager::Administrator, name).await?;
        let resolved = references::resolve(&self.services, &view, settings, self.now()).await;
        if let Some(state) = self.state().get_mut(&app) {
            let again = now + limits::REFERENCES_REFRESHED;
            state.refresh_at = (!resolved.references.is_empty()).then_some(again);
            state.references.clone_from(&resolved.references);
        }
        self.replace_if_another(app, name, &resolved).await
    }

    /// Replaces the instances of an app if one has something else than its references come to now. One that is not resolved at present changes
    /// nothing: what runs goes on with what it has.
    async fn replace_if_another(
        &self,
        app: AppId,
        name: &AppName,
        resolved: &references::Resolved,
    ) -> Result<(), HostError> {
        let is_another = self.state().get(&app).is_some_and(|state| {
            let revision = state.revision;
            let mut current = state.instances.iter().filter(|one| {
                one.revision == revision && matches!(one.phase, Phase::Starting | Phase::Ready)
            });
            current.any(|one| resolved.is_another_than(&one.seen))
        });
        if is_another {
            self.note(app, "a secret behind a reference is another: instances are replaced");
            let restart = Change { of: Some(app), restart: true, ..Change::default() };
            self.services.host.change_desired(Manager::Administrator, name, &restart, self.now()).await?;
            self.touch(name);
        }
        Ok(())
    }
}
