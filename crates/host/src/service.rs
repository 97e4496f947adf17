//! [`HostService`]: apps and workloads, each change one decision and one commit.

use crate::{App, Enforcement, HostError, Injection, TrustFiles, Workload, WorkloadRecord, inject::Environment};
use access::Principal;
use directory::DirectoryService;
use domain::{AppName, Entropy, Timestamp, WorkloadId};
use identity::{Confinement, IdentityService};
use kernel::KernelError;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use store::Store;

/// Opens the TCP listeners of endpoints: `server` implements it.
pub trait EndpointListeners: Send + Sync {
    /// Listens on 127.0.0.1 at this port, or at a free one, and serves the workload's endpoint there. Answers the port.
    ///
    /// # Errors
    /// Whatever binding said.
    fn open(&self, workload: Arc<Workload>, port: Option<u16>) -> std::io::Result<u16>;

    /// Stops listening and drops the endpoint's connections. Of an unknown workload: does nothing.
    fn close(&self, workload: WorkloadId);
}

/// What `host` asks of the kernel: real cgroups in production, a stand-in in tests and `sim`.
pub trait HostKernel: Send + Sync {
    /// Opens an existing cgroup.
    ///
    /// # Errors
    /// It is none, or cannot be read.
    fn open_cgroup(&self, path: &Path) -> Result<Arc<dyn Confinement>, KernelError>;

    /// Can peers be attested at all on this machine?
    fn attestation(&self) -> Enforcement;
}

/// What does not change while the server runs.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Which boot of the machine this is (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// The installation's domain.
    pub domain: String,
    /// The files by which runtimes come to trust our certificates.
    pub trust: TrustFiles,
}

/// An app and, if it has an identity, its principal.
#[derive(Clone, Debug)]
pub struct AppView {
    /// The app.
    pub app: Arc<App>,
    /// Its identity's principal.
    pub principal: Option<Arc<Principal>>,
}

/// What a start asks for.
#[derive(Clone, Debug, Default)]
pub struct StartRequest {
    /// The cgroup that the program will be born in; without one nothing is enforced.
    pub cgroup: Option<PathBuf>,
    /// Refuse to start if the kernel cannot enforce the isolation.
    pub require_enforced: bool,
    /// The caller's environment as far as it matters.
    pub environment: Environment,
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
}

/// What became of the workloads of the last run of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Served again.
    pub resumed: usize,
    /// Gone, and cleaned up.
    pub ended: usize,
}

/// Apps and workloads.
pub struct HostService {
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
    directory: Arc<DirectoryService>,
    identity: Arc<IdentityService>,
    kernel: Arc<dyn HostKernel>,
    listeners: Arc<dyn EndpointListeners>,
    settings: HostSettings,
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
        Self { store, entropy, directory, identity, kernel, listeners, settings }
    }

    /// Makes an app, without an identity.
    ///
    /// # Errors
    /// [`HostError::AppExists`].
    pub async fn create_app(&self, name: &AppName, now: Timestamp) -> Result<Arc<App>, HostError> {
        let _ = (name, now, &self.store, &self.entropy, &self.directory, &self.identity, &self.kernel, &self.listeners, &self.settings);
        todo!()
    }

    /// All apps.
    ///
    /// # Errors
    /// The store's.
    pub async fn apps(&self) -> Result<Vec<AppView>, HostError> {
        todo!()
    }

    /// One app.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`].
    pub async fn app(&self, name: &AppName) -> Result<AppView, HostError> {
        let _ = name;
        todo!()
    }

    /// Deletes an app with its identity in one commit, and ends its workloads.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`].
    pub async fn delete_app(&self, name: &AppName, now: Timestamp) -> Result<(), HostError> {
        let _ = (name, now);
        todo!()
    }

    /// Gives an app its identity, registered in the directory in the same commit. Done already: answers the one it has.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`].
    pub async fn assign_identity(&self, name: &AppName, now: Timestamp) -> Result<AppView, HostError> {
        let _ = (name, now);
        todo!()
    }

    /// Takes an app's identity away, and its principal from the directory, in one commit. Acknowledged means that no token is issued.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`].
    pub async fn remove_identity(&self, name: &AppName, now: Timestamp) -> Result<AppView, HostError> {
        let _ = (name, now);
        todo!()
    }

    /// Opens an endpoint for a start of an app.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::NotEnforced`], [`HostError::Endpoint`].
    pub async fn start(&self, name: &AppName, request: StartRequest, now: Timestamp) -> Result<Started, HostError> {
        let _ = (name, request, now);
        todo!()
    }

    /// Ends a workload: its endpoint closes, its secret is worth nothing.
    ///
    /// # Errors
    /// [`HostError::WorkloadNotFound`].
    pub async fn end(&self, workload: WorkloadId) -> Result<(), HostError> {
        let _ = workload;
        todo!()
    }

    /// The running workloads of an app, or of all.
    ///
    /// # Errors
    /// The store's.
    pub async fn workloads(&self, app: Option<&AppName>) -> Result<Vec<Arc<WorkloadRecord>>, HostError> {
        let _ = app;
        todo!()
    }

    /// After a restart of the server: opens the endpoints of workloads that still run, forgets the others.
    ///
    /// # Errors
    /// The store's.
    pub async fn resume(&self) -> Result<Resumed, HostError> {
        todo!()
    }

    /// Ends workloads whose cgroup has become empty. Answers those.
    ///
    /// # Errors
    /// The store's.
    pub async fn reap(&self, now: Timestamp) -> Result<Vec<WorkloadId>, HostError> {
        let _ = now;
        todo!()
    }
}
