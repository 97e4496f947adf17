//! What an earlier run of the server left, and what this one leaves: instances are taken over, and what nobody wants any more is removed.

use super::{
    Apps, END_TIME_MAX, Instance, ask_to_end, container,
    launch::{Launched, end_at_once},
    remove,
};
use domain::AppId;
use host::{HostError, InstanceRecord, PlaceRecord, WorkloadRecord};
use kernel::{AppCgroup, Process};
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

    pub(super) fn adopt(
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
    pub(super) async fn sweep_cgroups(&self, kept: &BTreeSet<PathBuf>) {
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

    /// Podman has removed it with its end, unless it was ended itself.
    pub(super) async fn remove_container(&self, name: String) {
        let Ok(podman) = self.launcher.podman().await else { return };
        let removed = tokio::task::spawn_blocking(move || podman.remove(&name)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(error, "what is left of a container cannot be removed");
        }
    }

    /// Containers that no record names, as for cgroups. Podman is asked only where there is an app that needs it.
    pub(super) async fn sweep_containers(&self, kept: &BTreeSet<String>) -> Result<(), HostError> {
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
}
