//! What an earlier run of the server left, and what this one leaves: instances are taken over, and what nobody wants any more is removed.

use super::{
    Apps, END_TIME_MAX, Instance, container,
    launch::{self, Launched, end_at_once},
};
use access::Manager;
use audit::Outcome;
use domain::{AppId, WorkloadId};
use host::{AppView, HostError, HostService, InstanceRecord, PlaceRecord, WorkloadRecord};
use kernel::{AppCgroup, Limiter, Process};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

impl Apps {
    /// Goes on with what an earlier run of the server left: running instances are taken over, what cannot be is ended, and what nobody
    /// wants any more is removed.
    pub(crate) async fn resume(self: &Arc<Self>) -> Result<(), HostError> {
        let host = &self.services.host;
        let (mut kept, mut containers) = (BTreeSet::new(), BTreeSet::new());
        for record in host.instances().await? {
            let Some(instance) = record.instance.clone() else { continue };
            if !self.launcher.has_started(&instance) {
                // It is the other one's, which may be running: only our copy of the record goes.
                end(host, record.id).await?;
                continue;
            }
            let cgroup = match &record.place {
                PlaceRecord::Cgroup { path, id } => {
                    AppCgroup::open(path).ok().filter(|cgroup| cgroup.id().number() == *id)
                }
                PlaceRecord::Unenforced { .. } => None,
            };
            let known = instance.process.filter(|_| host.is_of_this_boot(&record));
            let process = known.and_then(|process| Process::adopt(process.pid, process.start_time));
            // Whose endpoint could not be opened again is of no use as it is.
            let is_served = self.services.identity.workload(record.id).is_some();
            if let Some(process) = process.as_ref().filter(|_| !is_served) {
                end_at_once(process, cgroup.as_ref(), instance.is_container);
            }
            match process.filter(|_| is_served) {
                Some(process) => {
                    if let Some(cgroup) = &cgroup {
                        kept.insert(cgroup.path().to_owned());
                    }
                    if instance.is_container {
                        containers.insert(container::name(record.id));
                    }
                    self.adopt(&record, instance, process, cgroup).await?;
                }
                None => {
                    if let Some(cgroup) = cgroup {
                        self.remove(Arc::new(cgroup)).await;
                    }
                    end(host, record.id).await?;
                }
            }
        }
        self.sweep_cgroups(&kept).await;
        self.sweep_containers(&containers).await?;
        self.sweep_images().await;
        let apps = host.apps(Manager::Administrator).await?;
        let known: BTreeSet<AppId> = apps.iter().map(|view| view.app.id).collect();
        for (path, error) in self.files.sweep(|app| known.contains(&app)) {
            tracing::warn!(%error, path = %path.display(), "the files of an app that is no more cannot be removed");
        }
        self.give_up_unfinished(&apps).await?;
        for name in host.hosted().await? {
            self.touch(&name);
        }
        // Before anybody is answered: what they hold may have ended while no server was there.
        self.renew_token_files().await;
        Ok(())
    }

    /// Deployments that were under way when an earlier run was killed. One that is in place has only left its package.
    async fn give_up_unfinished(&self, apps: &[AppView]) -> Result<(), HostError> {
        if !self.files.is_ours() {
            return Ok(());
        }
        for view in apps {
            let (name, folder) = (&view.app.name, self.files.app(view.app.id));
            let left = folder.unfinished();
            if left.is_empty() {
                continue;
            }
            let desired = self.services.host.desired(name).await?;
            let current = desired.and_then(|desired| Some(desired.deployment.as_ref()?.id));
            for id in left {
                let is_there = current == Some(id);
                if !is_there {
                    let why = "the server ended before it was in place";
                    self.note(view.app.id, &format!("deployment {id} has failed: {why}; deploy it again"));
                    self.record(name, "app.deployed", Outcome::Failed, format!("deployment {id}: {why}"));
                }
                let folder = folder.clone();
                // What was built may be much, and nobody waits for it.
                drop(tokio::task::spawn_blocking(move || {
                    let removed = if is_there { Ok(()) } else { folder.remove_deployment(id) };
                    // Last, so that it is found again.
                    if let Err(error) = removed.and_then(|()| std::fs::remove_file(folder.package(id))) {
                        tracing::warn!(%error, deployment = %id, "what is left of a deployment cannot be removed");
                    }
                }));
            }
        }
        Ok(())
    }

    async fn adopt(
        self: &Arc<Self>,
        record: &WorkloadRecord,
        instance: InstanceRecord,
        process: Process,
        cgroup: Option<AppCgroup>,
    ) -> Result<(), HostError> {
        let (app, name, workload) = (record.app, &record.name, record.id);
        tracing::info!(app = %name, %workload, "an instance runs on");
        let desired = self.services.host.desired(name).await?;
        let limits = desired.as_deref().map(launch::limits).unwrap_or_default();
        let limiter = cgroup.as_ref().map(|cgroup| Limiter::apply(&limits, cgroup));
        let launched = Launched {
            workload,
            port: instance.port,
            process,
            enforced: cgroup.is_some(),
            unenforced: launch::unenforced(cgroup.is_some(), &limits, limiter.as_ref()),
            limiter,
            cgroup: cgroup.map(Arc::new),
            deployment: instance.deployment,
            seen: instance.seen,
            is_container: instance.is_container,
            has_own_network: record.network.is_some(),
            notices: Vec::new(),
        };
        self.add(app, name, instance.revision, launched);
        // What references come to is looked at once: it may be another since.
        if let Some(state) = self.state().get_mut(&app) {
            state.refresh_at = Some(Duration::ZERO);
            state.revision = desired.map_or(0, |desired| desired.revision);
        }
        self.touch(name);
        Ok(())
    }

    /// How many instances run.
    pub(crate) fn running(&self) -> usize {
        self.state().values().map(|state| state.instances.len()).sum()
    }

    /// Ends all instances, as nobody is there to look after them. Once nothing reconciles any more.
    pub(crate) async fn end_all(self: &Arc<Self>) {
        let mut all: Vec<Instance> = Vec::new();
        for state in self.state().values_mut() {
            for instance in state.instances.drain(..) {
                self.ask_to_end(&state.name, &instance);
                all.push(instance);
            }
        }
        let until = Instant::now() + END_TIME_MAX;
        while Instant::now() < until && all.iter().any(|one| !one.process.has_ended().unwrap_or(true)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for instance in &mut all {
            end_at_once(&instance.process, instance.cgroup.as_deref(), instance.is_container);
            if let Some(cgroup) = instance.cgroup.take() {
                self.remove(cgroup).await;
            }
            if instance.is_container {
                self.remove_container(container::name(instance.workload)).await;
            }
            // One that is kept is found to have ended at the next start.
            let _may_be_kept = self.services.host.end(instance.workload).await;
        }
        self.sweep_cgroups(&BTreeSet::new()).await;
        self.renew_token_files().await;
    }

    /// Cgroups that an earlier run made and no record names: it ended between making one and keeping that it did, or an app was deleted
    /// and the server killed before it could end what ran.
    pub(super) async fn sweep_cgroups(&self, kept: &BTreeSet<PathBuf>) {
        self.sweep(&self.launcher.prefix, kept).await;
    }

    /// Those of builds, which nobody waits for any more.
    pub(super) async fn sweep_builds(&self) {
        self.sweep(&self.launcher.build_prefix(), &BTreeSet::new()).await;
    }

    async fn sweep(&self, prefix: &str, kept: &BTreeSet<PathBuf>) {
        let (kernel::Placement::Root { parent } | kernel::Placement::Delegated { parent }) =
            &self.launcher.placement
        else {
            return;
        };
        let Ok(entries) = std::fs::read_dir(parent) else { return };
        for entry in entries.flatten() {
            let is_ours = entry.file_name().to_string_lossy().starts_with(prefix);
            if is_ours
                && !kept.contains(&entry.path())
                && let Ok(cgroup) = AppCgroup::open(&entry.path())
            {
                self.remove(Arc::new(cgroup)).await;
            }
        }
    }

    /// Podman has removed it with its end, unless it was ended itself.
    pub(super) async fn remove_container(&self, name: String) {
        let Ok(podman) = self.launcher.podman().await else { return };
        let removed = tokio::task::spawn_blocking(move || podman.remove(&name)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(error, "what is left of a container cannot be removed");
        }
        // Its image may have waited for that.
        self.sweep_images().await;
    }

    /// Containers that no record names, as for cgroups. Podman is asked only where there has been one.
    pub(super) async fn sweep_containers(&self, kept: &BTreeSet<String>) -> Result<(), HostError> {
        if !self.files.has_containers() {
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
}

/// Forgets a workload; that it is forgotten already is no error.
async fn end(host: &HostService, workload: WorkloadId) -> Result<(), HostError> {
    match host.end(workload).await {
        Ok(()) | Err(HostError::WorkloadNotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
