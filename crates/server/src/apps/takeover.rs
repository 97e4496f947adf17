//! What an earlier run of the server left, and what this one leaves: instances are taken over, and what nobody wants any more is removed.

use super::{
    Apps, END_TIME_MAX, Instance, ask_to_end,
    launch::{Launched, end_at_once},
    remove,
};
use domain::{AppId, AppName, WorkloadId};
use host::{HostError, InstanceRecord, PlaceRecord};
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
        if let Err(error) = self.files.open() {
            tracing::error!(%error, "apps' files cannot be kept: nothing can be deployed");
        }
        let host = &self.services.host;
        let mut kept = BTreeSet::new();
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
                    self.adopt(record.app, &record.name, record.id, instance, process, cgroup);
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
        app: AppId,
        name: &AppName,
        workload: WorkloadId,
        instance: InstanceRecord,
        process: Process,
        cgroup: Option<AppCgroup>,
    ) {
        tracing::info!(app = %name, %workload, "an instance runs on");
        let launched = Launched {
            workload,
            port: instance.port,
            process,
            enforced: cgroup.is_some(),
            limiter: None,
            cgroup,
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
            end_at_once(&instance.process, instance.cgroup.as_ref());
            if let Some(cgroup) = instance.cgroup.take() {
                remove(cgroup).await;
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
}
