//! [`HostService`]: apps and workloads, each change one decision and one commit.
//!
//! A workload is admitted and its endpoint opened before its record is committed, so that a deletion of its app either makes the
//! commit fail or finds the workload in the table and ends it.

use crate::{
    App, Enforcement, HostError, Injection, ShadowDoor, ShadowDoors, ShadowFault, TrustFiles, Workload,
    WorkloadRecord, app,
    inject::{EndpointFacts, Environment, inject},
    workload::{self, InstanceRecord, PlaceRecord},
};
use access::{Manager, Principal, Unmanaged};
use crypt::Key256;
use directory::{DirectoryService, IdentityIds};
use domain::{AppId, AppName, Entropy, Placement, Timestamp, WorkloadId, limits};
use identity::{
    Assigned, Challenges, Confinement, IdentityService, OwnHands, Protection, workload::mint_secret,
};
use kernel::{CgroupId, KernelError, Network, NetworkId};
use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use store::{Key, Record, Store, query, transact};

/// Opens the TCP listeners of endpoints: `server` implements it.
pub trait EndpointListeners: Send + Sync {
    /// Listens on 127.0.0.1 at this port, or at a free one, and serves the workload's endpoint there; or serves it where a network's
    /// listeners are. Answers the port.
    ///
    /// # Errors
    /// Whatever binding said.
    fn open(
        &self,
        workload: Arc<Workload>,
        port: Option<u16>,
        network: Option<Network>,
    ) -> std::io::Result<u16>;

    /// Stops listening and drops the endpoint's connections. Of an unknown workload: does nothing.
    fn close(&self, workload: WorkloadId);
}

/// What `host` asks of the kernel: real cgroups in production, a stand-in in tests and `sim`.
pub trait HostKernel: Send + Sync {
    /// Opens an existing cgroup. One that was not made for a workload, but attached, stays when that is over.
    ///
    /// # Errors
    /// It is none, or cannot be read.
    fn open_cgroup(&self, path: &Path, is_attached: bool) -> Result<Arc<dyn Confinement>, KernelError>;

    /// Listens for an endpoint, at this port or at a free one, in the network that processes of a cgroup have; and for IMDS if it is to be
    /// there.
    ///
    /// # Errors
    /// No process there has it, or the port is taken there.
    fn listen_in(
        &self,
        cgroup: &Path,
        id: NetworkId,
        port: Option<u16>,
        imds: bool,
    ) -> Result<Network, KernelError>;

    /// Can peers be attested at all on this machine?
    fn attestation(&self) -> Enforcement;

    /// The keys that an instance of an app is left as Azure Arc leaves them: in which folder, and who writes them while requests are
    /// answered. The folder is made by whoever starts the instance; without it, as where there is no machine, no key can be left.
    fn challenges(&self, _app: AppId, _workload: WorkloadId) -> Challenges {
        Challenges::new(PathBuf::new(), Arc::new(OwnHands))
    }

    /// Which block of accounts is this installation's, among all on this machine: below [`limits::ACCOUNT_BLOCKS`].
    ///
    /// # Errors
    /// None can be claimed.
    fn account_block(&self) -> std::io::Result<u32>;
}

/// What does not change while the server runs.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Nothing is started that the kernel does not keep apart from others, whether that was asked for or not.
    pub require_enforced: bool,
    /// Which boot of the machine this is (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// The installation's domain.
    pub domain: String,
    /// The files by which runtimes come to trust our certificates.
    pub trust: TrustFiles,
    /// Under which settings of apps are sealed.
    pub settings_key: Arc<Key256>,
}

/// An app with the identities that it has.
#[derive(Clone, Debug)]
pub struct AppView {
    /// The app.
    pub app: Arc<App>,
    /// The principal of its system-assigned identity.
    pub principal: Option<Arc<Principal>>,
    /// Its user-assigned identities and their principals.
    pub user_assigned: Vec<(Assigned, Arc<Principal>)>,
}

/// Where a program will be born.
#[derive(Clone, Debug)]
pub enum Place {
    /// In this cgroup.
    Cgroup(PathBuf),
    /// In none of its own: nothing is enforced.
    Unenforced {
        /// What is missing.
        why: String,
        /// What to do about it.
        mend: String,
    },
}

/// Whose network a program is in: there its endpoint must be.
#[derive(Default)]
pub enum NetworkPlace {
    /// That of the server.
    #[default]
    Ours,
    /// That which the processes have that are in the cgroup already.
    Theirs(NetworkId),
    /// One that was made for it, with listeners: of the endpoint, of our public port, and of IMDS, if it is there.
    Made(Network),
}

impl std::fmt::Debug for NetworkPlace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Ours => "Ours",
            Self::Theirs(_) => "Theirs",
            Self::Made(_) => "Made",
        })
    }
}

/// What a start asks for. Holds the values of a few variables, and is not to be printed.
pub struct StartRequest {
    /// Of this app and no other of its name, such as one that was made while the start was prepared.
    pub of: Option<AppId>,
    /// Where the program will be born.
    pub place: Place,
    /// Refuse to start if the kernel cannot enforce the isolation.
    pub require_enforced: bool,
    /// The caller's environment as far as it matters.
    pub environment: Environment,
    /// What is kept of it as an instance of a hosted app.
    pub instance: Option<InstanceRecord>,
    /// Shadow mode: the program knows us by the public cloud's names.
    pub as_azure: bool,
    /// Whose network it is in.
    pub network: NetworkPlace,
    /// What it is in words, if it runs already and somebody else started it.
    pub attached: Option<String>,
    /// Its endpoint speaks Azure Arc's protocol (ADR 0025): keys are left for it, in a folder that the caller makes once it knows the instance.
    pub arc: bool,
}

/// What a start answers.
#[derive(Debug)]
pub struct Started {
    /// The workload.
    pub workload: WorkloadId,
    /// The port of its endpoint.
    pub port: u16,
    /// What to do to the program's environment. Holds the endpoint secret.
    pub injection: Injection,
    /// What the kernel does for it.
    pub enforcement: Enforcement,
    /// By which door the program finds us in shadow mode.
    pub shadow: Option<ShadowDoor>,
}

/// What became of the workloads of the last run of the server.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    /// Served again.
    pub resumed: usize,
    /// Not served again, and why.
    pub ended: Vec<(WorkloadId, AppName, String)>,
}

/// Apps and workloads.
pub struct HostService {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) directory: Arc<DirectoryService>,
    pub(crate) identity: Arc<IdentityService>,
    pub(crate) kernel: Arc<dyn HostKernel>,
    listeners: Arc<dyn EndpointListeners>,
    shadows: Option<Arc<dyn ShadowDoors>>,
    pub(crate) settings: HostSettings,
    /// When each running workload was started, and whether its cgroup has had a process.
    watched: Mutex<HashMap<WorkloadId, Watched>>,
    /// Held by who gives an app its account. All accounts come from one counter: of many that took from it at a time, all but one would decide
    /// again, and the unlucky ones until they give up.
    pub(crate) giving: tokio::sync::Mutex<()>,
}

struct Watched {
    /// The workload's app.
    name: AppName,
    /// Its cgroup and those around it; nothing if it is in none.
    lineage: Vec<CgroupId>,
    started: Timestamp,
    has_been_populated: bool,
    /// Whoever supervises an instance says when it is over; a container may take its time until something is in its cgroup.
    is_supervised: bool,
}

/// An endpoint that nobody keeps yet. Closed when this is dropped: a start may fail, and whoever asked for it may hang up.
struct Opened<'a> {
    host: &'a HostService,
    workload: Option<WorkloadId>,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if let Some(workload) = self.workload {
            self.host.close(workload);
        }
    }
}

impl HostService {
    /// With no workload running; see [`Self::resume`].
    pub fn new(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
        directory: Arc<DirectoryService>,
        identity: Arc<IdentityService>,
        kernel: Arc<dyn HostKernel>,
        listeners: Arc<dyn EndpointListeners>,
        settings: HostSettings,
    ) -> Self {
        Self {
            store,
            entropy,
            directory,
            identity,
            kernel,
            listeners,
            shadows: None,
            settings,
            watched: Mutex::default(),
            giving: tokio::sync::Mutex::default(),
        }
    }

    /// The same, with doors for programs in shadow mode.
    #[must_use]
    pub fn shadowing(self, doors: Arc<dyn ShadowDoors>) -> Self {
        Self { shadows: Some(doors), ..self }
    }

    /// Makes an app, without an identity.
    ///
    /// # Errors
    /// [`HostError::Unmanaged`], [`HostError::Group`], [`HostError::AppExists`].
    pub async fn create_app(
        &self,
        by: Manager<'_>,
        name: &AppName,
        placement: &Placement,
        now: Timestamp,
    ) -> Result<Arc<App>, HostError> {
        let id = AppId::random(&*self.entropy);
        transact(&*self.store, &*self.entropy, |view| app::create(view, by, id, name, placement, now)).await
    }

    /// The apps that may be read, in the order of their names.
    ///
    /// # Errors
    /// [`HostError::Unmanaged`] if whoever asks is nobody any more; the store's.
    pub async fn apps(&self, by: Manager<'_>) -> Result<Vec<AppView>, HostError> {
        let mut views = Vec::new();
        for listed in self.list::<App>(&App::prefix()).await? {
            // Read again with its principal, both at one revision; an app that is deleted meanwhile is left out.
            match self.app(by, &listed.name).await {
                Ok(view) => views.push(view),
                Err(HostError::AppNotFound(_) | HostError::Unmanaged(Unmanaged::NoRole(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(views)
    }

    /// One app.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`].
    pub async fn app(&self, by: Manager<'_>, name: &AppName) -> Result<AppView, HostError> {
        query(&*self.store, |view| app::read(view, by, name)).await
    }

    /// Deletes an app with its own identity in one commit, and ends its workloads. Answers its id. User-assigned identities stay; what the app got under
    /// them is worth nothing any more.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`].
    pub async fn delete_app(
        &self,
        by: Manager<'_>,
        name: &AppName,
        now: Timestamp,
    ) -> Result<AppId, HostError> {
        let over = now.plus(self.directory.token_lifetime());
        let app =
            transact(&*self.store, &*self.entropy, |view| app::delete(view, by, name, over, now)).await?;
        if let Some(principal) = app.identity {
            self.identity.forget(principal);
        }
        for workload in self.identity.workloads() {
            if workload.app() == app.id {
                self.close(workload.id());
                transact(&*self.store, &*self.entropy, |view| workload::forget(view, workload.id())).await?;
            }
        }
        Ok(app.id)
    }

    /// Gives an app its identity, registered in the directory in the same commit. Done already: answers the one it has.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`].
    pub async fn assign_identity(
        &self,
        by: Manager<'_>,
        name: &AppName,
        now: Timestamp,
    ) -> Result<AppView, HostError> {
        let (tenant, ids) = (self.directory.tenant().id, IdentityIds::random(&*self.entropy));
        transact(&*self.store, &*self.entropy, |view| app::assign(view, by, name, (tenant, ids), now)).await
    }

    /// Takes an app's identity away, and its principal from the directory, in one commit: acknowledged means that no token is
    /// issued any more. Policies of vaults may go on naming the principal; it never comes back, so they allow nobody.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::Unmanaged`].
    pub async fn remove_identity(
        &self,
        by: Manager<'_>,
        name: &AppName,
        now: Timestamp,
    ) -> Result<AppView, HostError> {
        let (view, removed) =
            transact(&*self.store, &*self.entropy, |view| app::remove(view, by, name, now)).await?;
        if let Some(principal) = removed {
            self.identity.forget(principal);
        }
        Ok(view)
    }

    /// Opens an endpoint for a start of an app.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::NotEnforced`], [`HostError::CgroupShared`], [`HostError::Endpoint`],
    /// [`HostError::NoShadow`].
    pub async fn start(
        &self,
        name: &AppName,
        request: StartRequest,
        now: Timestamp,
    ) -> Result<Started, HostError> {
        let view = self.app(Manager::Administrator, name).await?;
        if request.of.is_some_and(|app| app != view.app.id) {
            return Err(HostError::AppNotFound(name.clone()));
        }
        let clients: Vec<_> = view.user_assigned.iter().map(|(_, principal)| principal.client).collect();
        let app = view.app;
        let (protection, place) = self.protect(request.place, request.attached.is_some())?;
        let is_enforced_or_nothing =
            self.settings.require_enforced || request.require_enforced || request.arc;
        if let (true, Protection::SecretOnly { why, mend }) = (is_enforced_or_nothing, &protection) {
            return Err(HostError::NotEnforced { why: why.clone(), mend: mend.clone() });
        }
        let network = self.network(&place, request.network)?;
        let network_id = network.as_ref().map(|network| NetworkId::held(&network.namespace)).transpose();
        let network_id = network_id.map_err(HostError::Endpoint)?.map(NetworkId::number);
        let (secret, hash) = mint_secret(&*self.entropy);
        let id = WorkloadId::random(&*self.entropy);
        let workload = Workload::new(id, app.id, app.name.clone(), hash.clone(), protection);
        let workload = Arc::new(self.challenged(workload, request.arc));
        let watched = Watched {
            name: app.name.clone(),
            lineage: Vec::new(),
            started: now,
            has_been_populated: request.attached.is_some(),
            is_supervised: request.instance.is_some(),
        };
        let port = self.open(&workload, None, network, watched)?;
        let mut opened = Opened { host: self, workload: Some(id) };
        let shadow = match request.as_azure {
            true => Some(self.open_shadow(id, None).await?),
            false => None,
        };
        let record = WorkloadRecord {
            id,
            app: app.id,
            name: app.name.clone(),
            secret: hash,
            port,
            place,
            boot: self.settings.boot.clone(),
            started: now,
            instance: request.instance,
            shadow: shadow.as_ref().map(|door| door.address),
            network: network_id,
            attached: request.attached,
            arc: request.arc,
        };
        transact(&*self.store, &*self.entropy, |view| workload::begin(view, &record)).await?;
        opened.workload = None;
        let facts = EndpointFacts {
            port,
            secret: &secret,
            app: app.name.as_str(),
            domain: &self.settings.domain,
            is_shadow: shadow.is_some(),
            is_arc: record.arc,
            user_assigned: &clients,
        };
        let trust = shadow.as_ref().map_or(&self.settings.trust, |door| &door.trust);
        let injection = inject(facts, trust, &request.environment);
        Ok(Started { workload: id, port, injection, enforcement: workload.enforcement(), shadow })
    }

    /// Ends a workload: its endpoint closes, its secret is worth nothing.
    ///
    /// # Errors
    /// [`HostError::WorkloadNotFound`].
    pub async fn end(&self, workload: WorkloadId) -> Result<(), HostError> {
        let was_running = self.close(workload);
        let was_kept =
            transact(&*self.store, &*self.entropy, |view| workload::forget(view, workload)).await?;
        if was_running || was_kept { Ok(()) } else { Err(HostError::WorkloadNotFound(workload)) }
    }

    /// The running workloads of an app, or of all.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`].
    pub async fn workloads(&self, app: Option<&AppName>) -> Result<Vec<Arc<WorkloadRecord>>, HostError> {
        let app = match app {
            Some(name) => Some(self.app(Manager::Administrator, name).await?.app.id),
            None => None,
        };
        let mut records = self.list::<WorkloadRecord>(&WorkloadRecord::prefix()).await?;
        records.retain(|record| {
            app.is_none_or(|app| record.app == app) && self.identity.workload(record.id).is_some()
        });
        Ok(records)
    }

    /// After a restart of the server: opens the endpoints of workloads that still run, forgets the others.
    ///
    /// # Errors
    /// The store's.
    pub async fn resume(&self, now: Timestamp) -> Result<Resumed, HostError> {
        let mut resumed = Resumed::default();
        for record in self.list::<WorkloadRecord>(&WorkloadRecord::prefix()).await? {
            match self.resume_one(&record, now).await? {
                Ok(()) => resumed.resumed += 1,
                Err(why) => {
                    // Of an instance something may still run; whoever supervises it ends that, and then the record.
                    if record.instance.is_none() {
                        transact(&*self.store, &*self.entropy, |view| workload::forget(view, record.id))
                            .await?;
                    }
                    resumed.ended.push((record.id, record.name.clone(), why));
                }
            }
        }
        Ok(resumed)
    }

    /// Ends workloads whose cgroup has become empty, but for instances of hosted apps, which are supervised. Answers those.
    ///
    /// # Errors
    /// The store's.
    pub async fn reap(&self, now: Timestamp) -> Result<Vec<WorkloadId>, HostError> {
        let mut over = Vec::new();
        for running in self.identity.workloads() {
            let Some(confinement) = running.confinement() else { continue };
            let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(watched) = all.get_mut(&running.id()).filter(|watched| !watched.is_supervised) else {
                continue;
            };
            if workload::is_over(&**confinement, watched.started, watched.has_been_populated, now) {
                over.push(running.id());
            } else {
                watched.has_been_populated |= confinement.is_populated();
            }
        }
        for workload in &over {
            match self.end(*workload).await {
                // Somebody else may have ended it meanwhile.
                Ok(()) | Err(HostError::WorkloadNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(over)
    }

    /// The inner result says why a workload is over.
    async fn resume_one(
        &self,
        record: &WorkloadRecord,
        now: Timestamp,
    ) -> Result<Result<(), String>, HostError> {
        if record.boot != self.settings.boot {
            return Ok(Err("the machine was restarted".to_owned()));
        }
        match self.app(Manager::Administrator, &record.name).await {
            Ok(view) if view.app.id == record.app => {}
            Ok(_) | Err(HostError::AppNotFound(_)) => return Ok(Err("its app was deleted".to_owned())),
            Err(error) => return Err(error),
        }
        let protection = match &record.place {
            PlaceRecord::Unenforced { why, .. } if self.settings.require_enforced => {
                return Ok(Err(format!("it is not kept apart from others, which is required: {why}")));
            }
            PlaceRecord::Unenforced { why, mend } => {
                Protection::SecretOnly { why: why.clone(), mend: mend.clone() }
            }
            PlaceRecord::Cgroup { path, id } => {
                match self.kernel.open_cgroup(path, record.attached.is_some()) {
                    Err(_) => return Ok(Err("its cgroup is gone".to_owned())),
                    Ok(found) if found.id().number() != *id => {
                        return Ok(Err("its cgroup was made again by somebody".to_owned()));
                    }
                    Ok(found)
                        if workload::is_over(&*found, record.started, record.attached.is_some(), now) =>
                    {
                        return Ok(Err("its last process ended".to_owned()));
                    }
                    Ok(found) => Protection::Confined(found),
                }
            }
        };
        let workload =
            Workload::new(record.id, record.app, record.name.clone(), record.secret.clone(), protection);
        let workload = Arc::new(self.challenged(workload, record.arc));
        let watched = Watched {
            name: record.name.clone(),
            lineage: Vec::new(),
            started: record.started,
            has_been_populated: record.attached.is_some(),
            is_supervised: record.instance.is_some(),
        };
        let network = match (record.network, &record.place) {
            (Some(id), PlaceRecord::Cgroup { path, .. }) => {
                match self.kernel.listen_in(path, NetworkId::new(id), Some(record.port), record.has_imds()) {
                    Ok(network) => Some(network),
                    Err(error) => {
                        return Ok(Err(format!(
                            "its network is not to be had again: {}",
                            domain::chain(&error)
                        )));
                    }
                }
            }
            _ => None,
        };
        if let Err(error) = self.open(&workload, Some(record.port), network, watched) {
            return Ok(Err(format!(
                "its endpoint's port {} cannot be opened again: {}",
                record.port,
                domain::chain(&error)
            )));
        }
        // Only now is it certain that they are ours: a copy of the data directory has the same records.
        if let Some(challenges) = workload.challenges() {
            challenges.clear();
        }
        if let Some(address) = record.shadow
            && let Err(error) = self.open_shadow(record.id, Some(address)).await
        {
            self.close(record.id);
            return Ok(Err(format!(
                "its door at {address} cannot be opened again: {}",
                domain::chain(&error)
            )));
        }
        Ok(Ok(()))
    }

    async fn open_shadow(
        &self,
        workload: WorkloadId,
        address: Option<Ipv4Addr>,
    ) -> Result<ShadowDoor, HostError> {
        let Some(doors) = &self.shadows else {
            let why = "this server has no doors for it".to_owned();
            return Err(HostError::NoShadow { why, mend: "use the server of `keyless up`".to_owned() });
        };
        let door = doors.open(workload, address).await;
        door.map_err(|ShadowFault { why, mend }| HostError::NoShadow { why, mend })
    }

    /// The network that its endpoint must be in, if it is not ours.
    fn network(&self, place: &PlaceRecord, asked: NetworkPlace) -> Result<Option<Network>, HostError> {
        match (asked, place) {
            (NetworkPlace::Ours, _) => Ok(None),
            (NetworkPlace::Made(network), _) => Ok(Some(network)),
            (NetworkPlace::Theirs(id), PlaceRecord::Cgroup { path, .. }) => {
                self.kernel.listen_in(path, id, None, false).map(Some).map_err(HostError::Network)
            }
            (NetworkPlace::Theirs(_), PlaceRecord::Unenforced { why, mend }) => {
                Err(HostError::NotEnforced { why: why.clone(), mend: mend.clone() })
            }
        }
    }

    /// What protects a program that is born there, or is there already.
    fn protect(&self, place: Place, is_attached: bool) -> Result<(Protection, PlaceRecord), HostError> {
        let (why, mend) = match (place, self.kernel.attestation()) {
            (Place::Cgroup(path), Enforcement::Enforced) => {
                let confinement = self.kernel.open_cgroup(&path, is_attached).map_err(HostError::Cgroup)?;
                if is_attached && !confinement.is_populated() {
                    return Err(HostError::CgroupEmpty);
                }
                let id = confinement.id().number();
                return Ok((Protection::Confined(confinement), PlaceRecord::Cgroup { path, id }));
            }
            (Place::Cgroup(_), Enforcement::Unenforced { why, mend })
            | (Place::Unenforced { why, mend }, _) => (why, mend),
        };
        Ok((
            Protection::SecretOnly { why: why.clone(), mend: mend.clone() },
            PlaceRecord::Unenforced { why, mend },
        ))
    }

    fn open(
        &self,
        workload: &Arc<Workload>,
        port: Option<u16>,
        network: Option<Network>,
        mut watched: Watched,
    ) -> Result<u16, HostError> {
        if let Some(confinement) = workload.confinement() {
            watched.lineage = confinement.lineage().map_err(HostError::Cgroup)?;
        }
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= limits::WORKLOADS_MAX {
            return Err(HostError::TooManyWorkloads { limit: limits::WORKLOADS_MAX });
        }
        // Under the lock: of two starts in one cgroup at a time the second sees the first.
        check_apart(&all, &watched.lineage)?;
        self.identity.admit(workload.clone());
        match self.listeners.open(workload.clone(), port, network) {
            Ok(port) => {
                all.insert(workload.id(), watched);
                Ok(port)
            }
            Err(error) => {
                self.identity.retire(workload.id());
                Err(HostError::Endpoint(error))
            }
        }
    }

    /// The same with keys, if its endpoint speaks Azure Arc's protocol.
    fn challenged(&self, workload: Workload, is_arc: bool) -> Workload {
        if !is_arc {
            return workload;
        }
        let challenges = self.kernel.challenges(workload.app(), workload.id());
        workload.with_challenges(challenges)
    }

    /// Says whether it was running.
    fn close(&self, workload: WorkloadId) -> bool {
        let was_running = self.identity.retire(workload).is_some();
        self.listeners.close(workload);
        if let Some(doors) = &self.shadows {
            doors.close(workload);
        }
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&workload);
        was_running
    }

    pub(crate) async fn list<R: Record>(&self, prefix: &Key) -> Result<Vec<Arc<R>>, HostError> {
        let all = store::all_records(&*self.store, prefix).await?;
        Ok(all.into_iter().map(|(_, record)| record).collect())
    }
}

/// No workload's cgroup may lie within another's: the outer one could get the inner one's tokens. By ids that were read once: to walk the
/// cgroups of all others at each start would take the longer the more there are.
fn check_apart(all: &HashMap<WorkloadId, Watched>, lineage: &[CgroupId]) -> Result<(), HostError> {
    let Some(own) = lineage.first() else { return Ok(()) };
    let overlapping = all.values().find(|other| {
        other.lineage.first().is_some_and(|theirs| lineage.contains(theirs)) || other.lineage.contains(own)
    });
    overlapping.map_or(Ok(()), |other| Err(HostError::CgroupShared { other: other.name.clone() }))
}
