//! Who watches an instance: when it is ready, whether it stays healthy, how it ends.

use super::{Apps, probe};
use domain::{AppId, AppName, WorkloadId, limits};
use host::{
    Health,
    plan::{Phase, Restarts},
    routes::Reach,
};
use kernel::{Limiter, Process};
use std::sync::Arc;

impl Apps {
    /// One instance: when it is ready, whether it stays healthy, how it ends.
    pub(super) async fn watch(
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
            let how = probe::told(how);
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
    pub(super) async fn keep_checking(&self, app: AppId, name: &AppName, workload: WorkloadId, port: u16) {
        let health = self.health(name).await;
        let inside = self.launcher.endpoints.inside(workload);
        let target = probe::Target {
            port,
            workload,
            identity: &self.services.identity,
            attestor: self.attestor.as_deref(),
            inside: inside.as_ref(),
        };
        let tell = |unwell| {
            let mut states = self.state();
            if let Some(instance) = states.get_mut(&app).and_then(|state| state.instance(workload)) {
                instance.unwell = Some(unwell);
            }
        };
        probe::ready(&target, &health, tell).await;
        {
            let mut states = self.state();
            let found = states.get_mut(&app).and_then(|state| state.instance(workload));
            let Some(instance) = found.filter(|instance| instance.phase == Phase::Starting) else { return };
            (instance.phase, instance.since, instance.unwell) = (Phase::Ready, self.elapsed(), None);
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
        if !matches!(health, Health::Path(_)) {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(limits::HEALTH_INTERVAL).await;
            let found = probe::check(&target, &health).await;
            let mut states = self.state();
            let Some(state) = states.get_mut(&app) else { return };
            let Some(instance) = state.instance(workload) else { return };
            instance.failed_checks = if found.is_ok() { 0 } else { instance.failed_checks + 1 };
            instance.unwell = found.err();
            if instance.failed_checks >= limits::HEALTH_FAILURES_MAX && instance.phase == Phase::Ready {
                let unwell = instance.unwell.clone().unwrap_or_default();
                state.restarts = state.restarts.failed(self.elapsed());
                state.last_failure = Some(format!("it is unhealthy: {unwell}"));
                drop(states);
                self.note(app, &format!("an instance is unhealthy: {unwell}"));
                self.touch(name);
            }
        }
    }

    pub(super) async fn health(&self, name: &AppName) -> Health {
        match self.services.host.desired(name).await {
            Ok(Some(desired)) => desired.health.clone(),
            _ => Health::default(),
        }
    }
}
