//! A deployment: a package comes in, is unpacked, handed to the app's account, built, and then made what is desired; or an image is fetched,
//! or made of a root file system (`root_files`).
//!
//! The answer comes once the package is there whole; the rest goes on by itself and says in the app's log and in [`Deployments`] how far
//! it is. Building runs a package's own scripts: under the app's account, in a cgroup of its own, within a time, with no identity.

use super::{
    Apps,
    building::{self, Told},
    container::{PULL_TIME_MAX, Podman},
    files::AppFolder,
    launch::{base, scrub},
    log,
};
use crate::tasks::boxed;
use audit::Outcome;
use axum::body::Body;
use domain::{AppId, AppName, DeploymentId, Timestamp, limits};
use host::{Deployment, HostError, Image, OwnCommand, Publishable};
use http_body_util::BodyExt;
use kernel::{Account, AppCgroup, Ended, KernelError, Limiter, Limits, Process, Program};
use package::{Contents, PackageError, Runtime, Step, Synced};
use std::{
    collections::{HashMap, VecDeque},
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::PathBuf,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::StoreError;
use tokio::{io::AsyncWriteExt, sync::watch, time::Instant};
use wire::admin::{Brought, HostingFault, ObservedDeployment};

/// Processes and threads of a step of building. Ours: `npm` and compilers take many.
const BUILD_PROCESSES_MAX: u32 = 4_096;
/// How much of what a failed step said is told.
const TAIL_BYTES: u64 = 4 * 1024;

/// Deployments of an app of which it is known what became of them. Ours: whoever has sent one asks ten times a second, and several may send at
/// a time.
const OUTCOMES_MAX: usize = 16;
/// How long a stop of the server waits until the files of deployments that it gives up are removed. Ours: a person waits.
const GIVE_UP_TIME_MAX: Duration = Duration::from_secs(3);

/// What became of the last deployments of each app, the latest one at the end.
#[derive(Default)]
pub(crate) struct Deployments(Mutex<HashMap<AppId, VecDeque<Known>>>);

/// What is known of a deployment.
struct Known {
    id: DeploymentId,
    /// When it came in; not known where the app was forgotten meanwhile.
    begun: Option<Timestamp>,
    progress: Progress,
}

/// How far a deployment is.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    Receiving,
    Unpacking,
    Building(&'static str),
    LookingForImage,
    FetchingImage(String),
    Deployed,
    Failed(String),
}

impl Progress {
    const fn is_over(&self) -> bool {
        matches!(self, Self::Deployed | Self::Failed(_))
    }

    fn words(&self) -> (&'static str, String) {
        match self {
            Self::Receiving => ("receiving", String::new()),
            Self::Unpacking => ("unpacking", String::new()),
            Self::Building(why) => ("building", (*why).to_owned()),
            Self::LookingForImage => ("looking for the image", String::new()),
            Self::FetchingImage(image) => ("fetching the image", image.clone()),
            Self::Deployed => ("deployed", String::new()),
            Self::Failed(why) => ("failed", why.clone()),
        }
    }
}

impl Known {
    fn told(&self) -> ObservedDeployment {
        let (state, text) = self.progress.words();
        ObservedDeployment { state, text, begun: self.begun }
    }
}

impl Deployments {
    fn begin(&self, app: AppId, id: DeploymentId, now: Timestamp) -> Result<(), HostingFault> {
        let mut all = self.all();
        let known = all.entry(app).or_default();
        if known.back().is_some_and(|last| !last.progress.is_over()) {
            return Err(HostingFault::Busy);
        }
        known.push_back(Known { id, begun: Some(now), progress: Progress::Receiving });
        if known.len() > OUTCOMES_MAX {
            known.pop_front();
        }
        Ok(())
    }

    pub(super) fn tell(&self, app: AppId, id: DeploymentId, progress: Progress) {
        let mut all = self.all();
        let known = all.entry(app).or_default();
        match known.iter_mut().find(|known| known.id == id) {
            Some(known) => known.progress = progress,
            // The app was forgotten meanwhile.
            None => known.push_back(Known { id, begun: None, progress }),
        }
    }

    pub(crate) fn told(&self, app: AppId, id: DeploymentId) -> Option<ObservedDeployment> {
        let all = self.all();
        all.get(&app)?.iter().find(|known| known.id == id).map(Known::told)
    }

    /// Those that have come to nothing yet, and may.
    pub(super) fn under_way(&self) -> Vec<DeploymentId> {
        let all = self.all();
        all.values().flatten().filter(|known| !known.progress.is_over()).map(|known| known.id).collect()
    }

    pub(crate) fn latest(&self, app: AppId) -> Option<(DeploymentId, ObservedDeployment)> {
        self.all().get(&app)?.back().map(|last| (last.id, last.told()))
    }

    pub(crate) fn forget(&self, app: AppId) {
        self.all().remove(&app);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<AppId, VecDeque<Known>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a deployment works on.
pub(super) struct Ground {
    pub(super) app: AppId,
    name: AppName,
    publishable: Publishable,
    pub(super) id: DeploymentId,
    pub(super) folder: AppFolder,
    account: Option<u32>,
    pub(super) command: Option<String>,
    /// It may be what is desired, though nobody has said so: its files stay.
    is_committing: AtomicBool,
}

/// A deployment that is under way. If it is given up, by whoever sent the package or by a fault of ours, it has failed and leaves no package:
/// else nothing could be deployed to the app any more.
struct Begun {
    apps: Arc<Apps>,
    ground: Ground,
    is_over: bool,
}

impl Begun {
    async fn end(mut self, outcome: Result<(), Failed>) {
        let (folder, id, used) =
            (self.ground.folder.clone(), self.ground.id, self.apps.used(self.ground.app));
        let remove = self.removal();
        let is_there = outcome.is_ok();
        // A package's files may be many.
        let tidied = tokio::task::spawn_blocking(move || {
            if is_there {
                folder.prune(id, &used);
            }
            remove(is_there);
        });
        let _tidied = tidied.await;
        self.is_over = true;
        finish(&self.apps, &self.ground, outcome);
        self.apps.sweep_images().await;
    }

    /// What removes the files of a deployment that did not come about, and then its package: by that the next start knows files that could not
    /// be removed, or were not yet when the server ended.
    fn removal(&self) -> impl FnOnce(bool) + Send + 'static {
        let is_committing = self.ground.is_committing.load(Ordering::SeqCst);
        let (folder, id) = (self.ground.folder.clone(), self.ground.id);
        move |is_there| {
            if !is_there
                && !is_committing
                && let Err(error) = folder.remove_deployment(id)
            {
                return tracing::warn!(%error, deployment = %id, "the files of a deployment that failed cannot be removed");
            }
            let _gone = fs::remove_file(folder.package(id));
        }
    }
}

impl Begun {
    async fn unless_stopped(&self, work: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
        unless_stopped(self.apps.stopping.subscribe(), &self.ground.is_committing, work).await
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.is_over {
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                let remove = self.removal();
                drop(runtime.spawn_blocking(move || remove(false)));
            }
            let why = "it was given up before it was there".to_owned();
            finish(&self.apps, &self.ground, Err(Failed(why)));
        }
    }
}

/// A program of a deployment. If that is given up, by a stop of the server or by a fault of ours, the program ends with all that it has started:
/// nobody would wait for it any more, nor end it.
pub(super) struct Ending<'a>(Option<(&'a Process, Option<&'a AppCgroup>)>);

impl<'a> Ending<'a> {
    pub(super) const fn of(process: &'a Process, cgroup: Option<&'a AppCgroup>) -> Self {
        Self(Some((process, cgroup)))
    }

    /// It has been waited for.
    pub(super) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some((process, cgroup)) = self.0 {
            super::launch::end_at_once(process, cgroup, false);
        }
    }
}

/// Does what a deployment comes about by, unless the server stops before: but whether it is what is desired is waited for.
async fn unless_stopped(
    mut stopping: watch::Receiver<bool>,
    is_committing: &AtomicBool,
    work: impl Future<Output = Result<(), Failed>>,
) -> Result<(), Failed> {
    let mut work = pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
    }
    if is_committing.load(Ordering::SeqCst) {
        return work.await;
    }
    Err(Failed("the server was stopped before it was in place; deploy it again".to_owned()))
}

impl Apps {
    /// Has a deployment go on by itself.
    fn goes_on(&self, deployment: impl Future<Output = ()> + Send + 'static) {
        let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        while coming.try_join_next().is_some() {}
        coming.spawn(boxed(deployment));
    }

    /// Ends deployments that are under way, as nobody will be there to wait for what builds them, and removes their files. What cannot be
    /// removed in time is by the next start.
    pub(crate) async fn give_up_deployments(&self) {
        self.stopping.send_replace(true);
        let mut coming = std::mem::take(&mut *self.coming.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while coming.join_next().await.is_some() {} };
        if tokio::time::timeout(GIVE_UP_TIME_MAX, all).await.is_err() {
            tracing::warn!("what is left of deployments that were under way is removed by the next start");
        }
        self.sweep_builds().await;
    }
}

/// Why nothing came of a deployment, for a person.
pub(super) struct Failed(pub(super) String);

impl From<PackageError> for Failed {
    fn from(error: PackageError) -> Self {
        Self(domain::chain(&error))
    }
}

/// Takes a package in, or the name of an image; the rest goes on by itself.
pub(crate) async fn take(
    apps: &Arc<Apps>,
    publishable: &Publishable,
    mut brought: Brought,
    command: Option<String>,
) -> Result<DeploymentId, HostingFault> {
    let taken = begin(apps, publishable, &mut brought, command).await;
    if let (Err(_), Brought::Package(body) | Brought::RootFiles(body)) = (&taken, &mut brought) {
        hear_out(body).await;
    }
    taken
}

/// Whoever is still sending does not hear why it is refused: most of what can be sent is let arrive.
async fn hear_out(body: &mut Body) {
    let mut left = limits::ROOT_FILES_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, |piece| piece.len() as u64);
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

async fn begin(
    apps: &Arc<Apps>,
    publishable: &Publishable,
    brought: &mut Brought,
    command: Option<String>,
) -> Result<DeploymentId, HostingFault> {
    let host = &apps.services.host;
    let podman = match brought {
        Brought::Package(_) => None,
        Brought::Image(_) | Brought::RootFiles(_) => {
            Some(apps.launcher.proven_podman().await.map_err(HostingFault::Unavailable)?)
        }
    };
    if let Some(command) = &command {
        host::desired::check_command(command)?;
    }
    let (app, name) = (publishable.app().id, &publishable.app().name);
    let id = DeploymentId::random(&*apps.services.entropy);
    // Before anything is noted of it: who is refused for where files are finds the app as it was.
    let folder = apps.files.app(app);
    let kept = |source| HostingFault::File { what: "the package cannot be kept".to_owned(), source };
    if let (Brought::Package(_), true, Some(why)) = (&*brought, kernel::is_root(), folder.closed()) {
        return Err(HostingFault::Unavailable(why));
    }
    apps.files.open().map_err(kept)?;
    // Makes the record of what is desired, with the account under which the package will be built.
    let desired = host
        .change_desired(
            publishable.by(),
            name,
            &host::Change { of: Some(app), deploying: true, ..host::Change::default() },
            apps.now(),
        )
        .await?;
    if matches!(brought, Brought::RootFiles(_)) && command.is_none() && desired.start_command().is_none() {
        let why = "a root file system does not say how it is started: say it by --command";
        return Err(HostingFault::Package(why.to_owned()));
    }
    let account = apps.launcher.account(&desired);
    folder.make(account).map_err(kept)?;
    apps.deployments.begin(app, id, apps.now())?;
    let is_committing = AtomicBool::new(false);
    let publishable = publishable.clone();
    let ground = Ground { app, name: name.clone(), publishable, id, folder, account, command, is_committing };
    let begun = Begun { apps: apps.clone(), ground, is_over: false };
    match (brought, podman) {
        (Brought::Image(image), Some(podman)) => {
            let image = std::mem::take(image);
            apps.files.mark_containers().map_err(kept)?;
            apps.deployments.tell(app, id, Progress::LookingForImage);
            apps.goes_on(async move {
                let work = fetch(&begun.apps, &begun.ground, podman, &image);
                let outcome = begun.unless_stopped(work).await;
                begun.end(outcome).await;
            });
        }
        (Brought::RootFiles(tar), Some(podman)) => {
            apps.files.mark_containers().map_err(kept)?;
            if let Err(fault) = receive(tar, &begun.ground, limits::ROOT_FILES_BYTES_MAX).await {
                begun.end(Err(Failed(fault.to_string()))).await;
                return Err(fault);
            }
            apps.deployments.tell(app, id, Progress::Unpacking);
            apps.goes_on(async move {
                let work = super::root_files::come_about(&begun.apps, &begun.ground, podman);
                let outcome = begun.unless_stopped(work).await;
                begun.end(outcome).await;
            });
        }
        // Without podman it was refused above.
        (Brought::Image(_) | Brought::RootFiles(_), None) => {
            return Err(HostingFault::Unavailable("there is no podman".to_owned()));
        }
        (Brought::Package(package), _) => {
            if let Err(fault) = receive(package, &begun.ground, limits::PACKAGE_ZIP_BYTES_MAX).await {
                begun.end(Err(Failed(fault.to_string()))).await;
                return Err(fault);
            }
            apps.deployments.tell(app, id, Progress::Unpacking);
            apps.goes_on(async move {
                let outcome = begun.unless_stopped(come_about(&begun.apps, &begun.ground)).await;
                begun.end(outcome).await;
            });
        }
    }
    Ok(id)
}

/// Has an image on this machine, fetched if it is not there, and makes it what is desired.
async fn fetch(apps: &Arc<Apps>, ground: &Ground, podman: Arc<Podman>, image: &str) -> Result<(), Failed> {
    let look = || {
        let (podman, image) = (podman.clone(), image.to_owned());
        let looked = tokio::task::spawn_blocking(move || podman.image(&image));
        async { looked.await.unwrap_or_else(|error| Err(error.to_string())) }
    };
    let id = match look().await {
        Ok(id) => id,
        Err(_) => {
            apps.deployments.tell(ground.app, ground.id, Progress::FetchingImage(image.to_owned()));
            apps.note(ground.app, &format!("fetching image {image}"));
            pull(ground, &podman, image).await?;
            look().await.map_err(Failed)?
        }
    };
    let deployment = Deployment {
        id: ground.id,
        runtime: "container".to_owned(),
        path: Vec::new(),
        command: ground.command.clone().unwrap_or_default(),
        instead_of: ground.command.is_some().then_some(OwnCommand::Image),
        image: Some(Image { name: image.to_owned(), id }),
        created: apps.now(),
    };
    commit(apps, ground, deployment).await
}

async fn pull(ground: &Ground, podman: &Podman, image: &str) -> Result<(), Failed> {
    let failed =
        |error: &dyn std::error::Error| Failed(format!("fetching image {image}: {}", domain::chain(error)));
    let mut output = said(&ground.folder, ground.id).map_err(|error| failed(&error))?;
    let process = podman.pull(image, &output).map_err(|error| failed(&error))?;
    let ending = Ending::of(&process, None);
    let ended = tokio::time::timeout(PULL_TIME_MAX, super::probe::ended(&process)).await;
    ending.ended();
    match ended {
        Ok(Ended::Exited(0)) => Ok(()),
        Ok(how) => {
            let how = super::probe::told(how);
            let tail = tail(&mut output).unwrap_or_default();
            Err(Failed(format!("image {image} is not on this machine, and podman {how} fetching it\n{tail}")))
        }
        Err(_) => {
            super::launch::end_at_once(&process, None, false);
            let _killed = super::probe::ended(&process).await;
            Err(Failed(format!("fetching image {image} took longer than {} s", PULL_TIME_MAX.as_secs())))
        }
    }
}

async fn receive(package: &mut Body, ground: &Ground, most: u64) -> Result<(), HostingFault> {
    let kept = |source| HostingFault::File { what: "the package cannot be kept".to_owned(), source };
    let path = ground.folder.package(ground.id);
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).await.map_err(kept)?;
    let mut bytes = 0_u64;
    while let Some(frame) = package.frame().await {
        let broken = |error| HostingFault::Package(format!("the package did not arrive whole: {error}"));
        let frame = frame.map_err(broken)?;
        let Some(piece) = frame.data_ref() else { continue };
        bytes += piece.len() as u64;
        if bytes > most {
            return Err(HostingFault::TooLarge(format!("what is deployed has at most {} MiB", most >> 20)));
        }
        file.write_all(piece).await.map_err(kept)?;
    }
    file.flush().await.map_err(kept)
}

fn finish(apps: &Apps, ground: &Ground, outcome: Result<(), Failed>) {
    let Ground { app, name, id, .. } = ground;
    match outcome {
        Ok(()) => {
            apps.deployments.tell(*app, *id, Progress::Deployed);
            apps.note(*app, &format!("deployment {id} is in place"));
            apps.record(name, "app.deployed", Outcome::Allowed, format!("deployment {id}"));
        }
        Err(Failed(why)) => {
            apps.note(*app, &format!("deployment {id} has failed: {why}"));
            let reason = format!("deployment {id}: {}", why.lines().next().unwrap_or_default());
            apps.record(name, "app.deployed", Outcome::Failed, reason);
            apps.deployments.tell(*app, *id, Progress::Failed(why));
            // Its app may have been deleted, and its folder made again by this: whether that is so is looked at.
            apps.state().entry(*app, name);
            apps.touch(name);
        }
    }
}

async fn come_about(apps: &Arc<Apps>, ground: &Ground) -> Result<(), Failed> {
    let (contents, launch, instead_of) = unpack(ground).await?;
    let until = Instant::now() + domain::limits::BUILD_TIME_MAX;
    let steps = contents.build_steps(launch.runtime);
    if !steps.is_empty() {
        let told =
            Told::of(apps, &ground.name, ground.app).await.map_err(|error| Failed(domain::chain(&error)))?;
        let build = Build { contents: &contents, runtime: launch.runtime, told, until };
        for step in steps {
            apps.deployments.tell(ground.app, ground.id, Progress::Building(step.why));
            apps.note(ground.app, &format!("building: {}", step.why));
            run(apps, ground, &build, &step).await?;
        }
    }
    // Once for all that was unpacked and built, and last: whoever is told "deployed" still has it after a cut of power.
    let synced = tokio::task::spawn_blocking(move || Ok(contents.sync()?));
    let synced = synced.await.unwrap_or_else(|error| Err(Failed(error.to_string())))?;
    let deployment = deployment(ground.id, &synced, (launch, instead_of), apps.now());
    commit(apps, ground, deployment).await
}

/// What a package comes to, once its files are on the disk.
fn deployment(
    id: DeploymentId,
    synced: &Synced,
    (launch, instead_of): (package::Launch, Option<OwnCommand>),
    now: Timestamp,
) -> Deployment {
    let contents = synced.contents();
    let own = contents.search_path(launch.runtime);
    let relative = |path: &PathBuf| Some(path.strip_prefix(contents.root()).ok()?.to_str()?.to_owned());
    let runtime = match launch.runtime {
        Runtime::Python => "python",
        Runtime::Node => "node",
        Runtime::Other => "executable",
    };
    Deployment {
        id,
        runtime: runtime.to_owned(),
        path: own.iter().filter_map(relative).collect(),
        command: launch.command,
        instead_of,
        image: None,
        created: now,
    }
}

/// Makes it what is desired.
pub(super) async fn commit(apps: &Apps, ground: &Ground, deployment: Deployment) -> Result<(), Failed> {
    ground.is_committing.store(true, Ordering::SeqCst);
    let Err(error) = apps.deployed(&ground.publishable, deployment).await else { return Ok(()) };
    // All other errors say that it is not what is desired, such as that whoever sent it may not any more.
    if !matches!(error, HostError::Store(StoreError::Unknown(_))) {
        ground.is_committing.store(false, Ordering::SeqCst);
    }
    Err(Failed(domain::chain(&error)))
}

/// Its files, how it is started, and in whose place a command was given for that.
async fn unpack(ground: &Ground) -> Result<(Contents, package::Launch, Option<OwnCommand>), Failed> {
    let (zip, into) = (ground.folder.package(ground.id), ground.folder.deployment(ground.id));
    let (account, command) = (ground.account, ground.command.clone());
    let unpacked = tokio::task::spawn_blocking(move || {
        let file = |source: io::Error| Failed(format!("the package's files cannot be written: {source}"));
        fs::DirBuilder::new().mode(0o700).create(&into).map_err(file)?;
        let zip = File::open(&zip).map_err(file)?;
        let contents = package::unpack(zip, &into, package::Limits::default())?;
        let launch = contents.detect(command.as_deref())?;
        let own = || match contents.detect(None) {
            Ok(own) => OwnCommand::Package(own.command),
            // Nobody asks for it unless the given one is taken away.
            Err(_) => OwnCommand::Nothing,
        };
        let instead_of = command.is_some().then(own);
        if let Some(account) = account {
            contents.give(account, account)?;
        }
        Ok((contents, launch, instead_of))
    });
    unpacked.await.unwrap_or_else(|error| Err(Failed(error.to_string())))
}

/// What all steps of building have in common.
struct Build<'a> {
    contents: &'a Contents,
    runtime: Runtime,
    told: Told,
    until: Instant,
}

/// One step of building, to its end.
async fn run(apps: &Arc<Apps>, ground: &Ground, build: &Build<'_>, step: &Step) -> Result<(), Failed> {
    let failed = |error: &dyn std::error::Error| Failed(format!("{}: {}", step.why, domain::chain(error)));
    let mut output = said(&ground.folder, ground.id).map_err(|error| failed(&error))?;
    let place = building::place(&apps.launcher.placement, kernel::is_root());
    let place = place.map_err(|why| Failed(format!("{}: {why}", step.why)))?;
    let cgroup = match place {
        Some(parent) => {
            let name = format!("{}{}", apps.launcher.build_prefix(), ground.id);
            Some(AppCgroup::create(parent, &name).map_err(|error| failed(&error))?)
        }
        None => None,
    };
    let limits = Limits { processes: Some(BUILD_PROCESSES_MAX), ..Limits::default() };
    let limiter = cgroup.as_ref().map(|cgroup| Limiter::apply(&limits, cgroup));
    let place = (cgroup.as_ref(), limiter.as_ref(), apps.launcher.landlock.as_ref());
    let spawned = spawn(ground, build, step, &output, place);
    let ended = match &spawned {
        Ok(process) => {
            // What a step leaves running goes with its cgroup; without one, with its group.
            let ended = async {
                match cgroup {
                    Some(_) => super::probe::ended(process).await,
                    None => super::probe::ended_with_group(process).await,
                }
            };
            let ending = Ending::of(process, cgroup.as_ref());
            let ended = tokio::time::timeout_at(build.until, ended).await;
            ending.ended();
            if ended.is_err() {
                super::launch::end_at_once(process, cgroup.as_ref(), false);
                let _killed = super::probe::ended(process).await;
            }
            ended.map_err(|_| {
                format!("took longer than there was of {} s", domain::limits::BUILD_TIME_MAX.as_secs())
            })
        }
        Err(error) => Err(format!("cannot be started: {}", domain::chain(error))),
    };
    if let Some(cgroup) = cgroup {
        // What it left running goes with it.
        apps.remove(Arc::new(cgroup)).await;
    }
    let ended = match ended {
        Ok(Ended::Exited(0)) => return Ok(()),
        Ok(ended) => super::probe::told(ended),
        Err(why) => why,
    };
    let program = step.program.display();
    let arguments = step.arguments.join(" ");
    let tail = tail(&mut output).unwrap_or_default();
    log_tail(&ground.folder, &tail);
    Err(Failed(format!("{}: `{program} {arguments}` {ended}\n{tail}", step.why)))
}

fn spawn(
    ground: &Ground,
    build: &Build<'_>,
    step: &Step,
    output: &File,
    (cgroup, limiter, landlock): (Option<&AppCgroup>, Option<&Limiter>, Option<&kernel::Landlock>),
) -> Result<kernel::Process, KernelError> {
    let mut environment: Vec<(OsString, OsString)> =
        base(&ground.folder, &build.contents.search_path(build.runtime))
            .into_iter()
            .map(|(name, value)| (name.into(), value.expose().into()))
            .collect();
    environment.extend(step.environment.iter().map(|(name, value)| (name.into(), value.into())));
    environment.extend(build.told.variables(std::env::vars_os()));
    let mut arguments = vec![step.program.clone().into_os_string()];
    arguments.extend(step.arguments.iter().map(OsString::from));
    let program = Program {
        arguments,
        environment,
        directory: Some(step.directory.clone()),
        cgroup: cgroup.map(AppCgroup::directory),
        joins: limiter.map(Limiter::joins).unwrap_or_default(),
        account: ground.account.and_then(|account| Account::new(account, account)),
        output: Some(output.as_fd()),
        landlock,
        ..Program::default()
    };
    let spawned = super::launch::born(&program, cgroup, super::launch::BIRTH_TIME_MAX);
    scrub(program.environment);
    spawned
}

/// A file without a name for what a step says.
pub(super) fn said(folder: &AppFolder, id: DeploymentId) -> io::Result<File> {
    let path = folder.package(id).with_extension("said");
    let file = fs::OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

pub(super) fn tail(said: &mut File) -> io::Result<String> {
    let length = said.metadata()?.len();
    said.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    said.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn log_tail(folder: &AppFolder, tail: &str) {
    use std::io::Write;
    if let Ok(mut log) = log::open(folder) {
        let _best_effort = log.write_all(format!("{tail}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_build_that_is_given_up_leaves_nothing_running() {
        let (process, read) = super::super::launch::tests::with_a_child();
        let (stop, stopping) = watch::channel(false);
        let build = async {
            let ending = Ending::of(&process, None);
            let _ended = super::super::probe::ended(&process).await;
            ending.ended();
            Ok(())
        };
        let is_committing = AtomicBool::new(false);
        let given_up = unless_stopped(stopping, &is_committing, build);
        let (outcome, _) = tokio::join!(given_up, async { stop.send_replace(true) });
        assert!(outcome.is_err_and(|Failed(why)| why.contains("the server was stopped")));
        super::super::launch::tests::are_gone(read);
    }

    #[tokio::test(start_paused = true)]
    async fn whether_it_is_what_is_desired_is_waited_for_by_a_stop() {
        for is_committing in [true, false] {
            let work = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(())
            };
            let stopping = watch::channel(true).1;
            let outcome = unless_stopped(stopping, &AtomicBool::new(is_committing), work).await;
            assert_eq!(outcome.is_ok(), is_committing);
        }
    }

    /// Of several that were sent at once all but the last one were unknown, and told to be failed.
    #[test]
    fn what_became_of_a_deployment_is_known_though_others_came_after_it() {
        let (known, app) = (Deployments::default(), AppId::random(&crypt::SystemEntropy));
        let now = Timestamp::from_seconds(1_700_000_000);
        let ids: Vec<_> = (0..=OUTCOMES_MAX).map(|_| DeploymentId::random(&crypt::SystemEntropy)).collect();
        for id in &ids {
            known.begin(app, *id, now).unwrap();
            assert!(matches!(known.begin(app, *id, now), Err(HostingFault::Busy)));
            assert_eq!(known.under_way(), [*id]);
            known.tell(app, *id, Progress::Unpacking);
            assert_eq!(known.latest(app).map(|(id, told)| (id, told.state)), Some((*id, "unpacking")));
            known.tell(app, *id, Progress::Deployed);
            assert_eq!(known.told(app, *id).and_then(|told| told.begun), Some(now), "whatever came of it");
        }
        let states: Vec<_> =
            ids.iter().map(|id| known.told(app, *id).map_or("unknown", |told| told.state)).collect();
        assert_eq!(states.first(), Some(&"unknown"), "not for ever");
        assert!(states.iter().skip(1).all(|state| *state == "deployed"), "{states:?}");
        known.forget(app);
        assert!(known.latest(app).is_none() && known.under_way().is_empty());
    }
}
