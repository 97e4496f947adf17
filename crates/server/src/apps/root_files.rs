//! A root file system as a deployment: a tar comes in, is looked through, and podman makes an image of it that is ours and goes with its
//! deployment.
//!
//! Podman unpacks it confined to the image's own folder, as it does with layers that it fetches: what leads out of it leads nowhere.
//! Owns not: which tars are taken (`package::root_files`), what runs of it (`container`).

use super::{
    Apps,
    container::{PULL_TIME_MAX, Podman},
    deploy::{Ending, Failed, Ground, Progress, said, tail},
};
use domain::{AppId, DeploymentId};
use host::{Deployment, HostError, Image, OwnCommand};
use kernel::{Ended, Process};
use std::{collections::BTreeSet, fs::File, io::BufReader, path::Path, sync::Arc};

impl Podman {
    /// The name of an app's deployment as an image of this installation.
    fn own_image(&self, app: AppId, deployment: DeploymentId) -> String {
        format!("{}{app}:{deployment}", self.own_images())
    }

    /// How the names of this installation's images begin.
    fn own_images(&self) -> String {
        format!("localhost/keyless-{}/", self.tenant)
    }

    /// The deployments of which there are images of ours. Blocks.
    fn imported(&self) -> Result<Vec<(String, DeploymentId)>, String> {
        let listed = self.ask(&["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}}"])?;
        let own = self.own_images();
        let of = |name: &str| name.strip_prefix(&own)?.split_once(':')?.1.parse().ok();
        Ok(listed.lines().filter_map(|name| Some((name.to_owned(), of(name)?))).collect())
    }

    fn remove_image(&self, name: &str) -> Result<(), String> {
        self.ask(&["rmi", "--", name]).map(drop)
    }

    fn import(&self, tar: &Path, name: &str, output: &File) -> Result<Process, kernel::KernelError> {
        let line = ["import", "--quiet", "--"].map(std::ffi::OsString::from).into_iter();
        self.spawn(self.line(line.chain([tar.into(), name.into()])), Vec::new(), None, output)
    }
}

/// Makes an image of a tar that has arrived, and that what is desired.
pub(super) async fn come_about(apps: &Arc<Apps>, ground: &Ground, podman: Arc<Podman>) -> Result<(), Failed> {
    let tar = ground.folder.package(ground.id);
    let checking = tar.clone();
    let checked = tokio::task::spawn_blocking(move || {
        let tar =
            File::open(&checking).map_err(|error| Failed(format!("the tar cannot be read: {error}")))?;
        Ok::<_, Failed>(package::check_root_files(BufReader::new(tar), package::RootFilesLimits::default())?)
    });
    checked.await.unwrap_or_else(|error| Err(Failed(error.to_string())))?;
    apps.files.mark_root_files().map_err(|error| Failed(format!("it cannot be kept: {error}")))?;
    apps.deployments.tell(ground.app, ground.id, Progress::Unpacking);
    let name = podman.own_image(ground.app, ground.id);
    import(ground, &podman, &tar, &name).await?;
    let (looking, looked) = (podman, name.clone());
    let id = tokio::task::spawn_blocking(move || looking.image(&looked)).await;
    let id = id.unwrap_or_else(|error| Err(error.to_string())).map_err(Failed)?;
    let deployment = Deployment {
        id: ground.id,
        runtime: "container".to_owned(),
        path: Vec::new(),
        command: ground.command.clone().unwrap_or_default(),
        instead_of: ground.command.is_some().then_some(OwnCommand::Nothing),
        image: Some(Image { name, id }),
        created: apps.now(),
    };
    super::deploy::commit(apps, ground, deployment).await
}

async fn import(ground: &Ground, podman: &Podman, tar: &Path, name: &str) -> Result<(), Failed> {
    let failed = |error: &dyn std::error::Error| Failed(format!("podman import: {}", domain::chain(error)));
    let mut output = said(&ground.folder, ground.id).map_err(|error| failed(&error))?;
    let process = podman.import(tar, name, &output).map_err(|error| failed(&error))?;
    let ending = Ending::of(&process, None);
    let ended = tokio::time::timeout(PULL_TIME_MAX, super::probe::ended(&process)).await;
    ending.ended();
    match ended {
        Ok(Ended::Exited(0)) => Ok(()),
        Ok(how) => {
            let (how, tail) = (super::probe::told(how), tail(&mut output).unwrap_or_default());
            Err(Failed(format!("podman {how} making an image of it\n{tail}")))
        }
        Err(_) => {
            super::launch::end_at_once(&process, None, false);
            let _killed = super::probe::ended(&process).await;
            Err(Failed(format!("making an image of it took longer than {} s", PULL_TIME_MAX.as_secs())))
        }
    }
}

impl Apps {
    /// Removes the images of deployments that are no more. Podman is asked only where there has been one; an image that a container is
    /// made of stays until that is gone.
    pub(super) async fn sweep_images(&self) {
        if !self.files.has_root_files() {
            return;
        }
        let Ok(podman) = self.launcher.podman().await else { return };
        let listing = podman.clone();
        // Listed first: what comes to be from now on is not looked at.
        let listed = tokio::task::spawn_blocking(move || listing.imported()).await;
        let (listed, wanted) =
            match (listed.unwrap_or_else(|error| Err(error.to_string())), self.wanted().await) {
                (Ok(listed), Ok(wanted)) => (listed, wanted),
                (Err(error), _) => return tracing::warn!(error, "podman does not tell its images"),
                (_, Err(error)) => {
                    return tracing::warn!(%error, "the images of deployments cannot be looked through");
                }
            };
        for (name, _) in listed.into_iter().filter(|(_, deployment)| !wanted.contains(deployment)) {
            let podman = podman.clone();
            let removed = tokio::task::spawn_blocking(move || podman.remove_image(&name)).await;
            if let Ok(Err(error)) = removed {
                tracing::info!(error, "the image of a deployment that is no more cannot be removed yet");
            }
        }
    }

    /// All deployments that come about, are desired, or have something running from them.
    async fn wanted(&self) -> Result<BTreeSet<DeploymentId>, HostError> {
        let mut wanted: BTreeSet<_> = self.deployments.under_way().into_iter().collect();
        let host = &self.services.host;
        for name in host.hosted().await? {
            let desired = host.desired(&name).await?;
            wanted.extend(desired.and_then(|desired| Some(desired.deployment.as_ref()?.id)));
        }
        let states = self.state();
        let instances = states.values().flat_map(|state| &state.instances);
        wanted.extend(instances.filter_map(|instance| instance.deployment));
        Ok(wanted)
    }
}
