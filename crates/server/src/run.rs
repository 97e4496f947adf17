//! Puts the whole together: opens the data directory, makes the services, listens, and ends in good order.
//!
//! Order of a start: data directory and lock, addresses, store, root key, certificates, directory, audit log, services, endpoints of
//! running workloads, then the doors open. Addresses are bound early, so that a port in use is said before anything is made.

use crate::{
    admin, anchor,
    authority::Certificates,
    clock::SystemClock,
    config::Config,
    data::DataDir,
    error::StartError,
    installation::{Capability, Site},
    listen::{admin as admin_listener, endpoints::Endpoints, public},
    maintenance::{AUDIT_KEY, open_store},
    origin::Observer,
    seal, tasks,
    trust::Public,
};
use access::{Verifier, VerifierConfig, vault_audiences};
use audit::AuditLog;
use crypt::SystemEntropy;
use directory::{DirectoryService, DirectorySettings};
use domain::{Clock, Entropy, Secret};
use host::{HostKernel, HostService, HostSettings};
use identity::IdentityService;
use kernel::{Attestor, Hierarchy};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use store::Store;
use tokio::{runtime::Handle, sync::watch, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use vault::VaultService;
use wire::Services;

/// Threads that answer requests, at most. Ours: more cost memory, and four saturate a gigabit.
const WORKERS_MAX: usize = 4;
/// How long open connections may take to end after a stop. Ours: so that a stop takes less than two seconds.
const DRAIN_TIME_MAX: Duration = Duration::from_millis(1_500);

/// A running server.
pub struct Running {
    /// Held until the very end: its lock is what keeps a second server out.
    data: DataDir,
    services: Arc<Services>,
    store: Arc<dyn Store>,
    log: Arc<AuditLog>,
    endpoints: Arc<Endpoints>,
    public: public::Public,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    site: Arc<Site>,
    addresses: Vec<SocketAddr>,
    is_first_start: bool,
}

/// The runtime that a server runs on.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("keyless")
        .enable_all()
        .build()
}

/// Starts a server. At a first start `announce` is told the recovery key, once.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config, announce: impl FnOnce(&Secret<String>)) -> Result<Running, StartError> {
    // Before hardening: a process that may not be dumped may not try a user namespace either.
    let capabilities = kernel::capabilities();
    kernel::harden();
    let attestor = attestor(&config, &capabilities)?;
    let data = DataDir::open(&config.data_dir)?;
    let listeners = public::bind(&config.addresses())?;
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let (now, names) = (clock.now(), config.names());
    let store: Arc<dyn Store> = Arc::new(open_store(&config, data.layout())?);
    let unsealed =
        seal::unseal(&*store, data.layout(), config.passphrase_file.as_deref(), &*entropy, announce).await?;
    let root = Arc::new(unsealed.root);
    let certificates =
        Certificates::load(store.clone(), entropy.clone(), root.clone(), &names, &config.listen, now).await?;
    let certificates = Arc::new(certificates);
    let settings = DirectorySettings { names: names.clone(), token_lifetime: config.access_token_lifetime.0 };
    let make_key = crypt::SigningKey::generate;
    let directory = Arc::new(
        DirectoryService::open(store.clone(), entropy.clone(), &root, settings, make_key, now).await?,
    );
    let log = AuditLog::open(
        &data.layout().audit(),
        &root.derive(AUDIT_KEY),
        config.audit_sync,
        anchor::load(&*store).await?,
    )?;
    let log = Arc::new(log);
    let vault = Arc::new(VaultService::new(store.clone(), entropy.clone(), root.clone()));
    let vault_hosts: Vec<String> =
        vault.list().await?.iter().map(|vault| names.vault_host(&vault.name)).collect();
    let files =
        Public::write(data.layout(), certificates.authority_pem(), &names, &config.listen, vault_hosts)?;

    let hierarchy = Hierarchy::discover().ok();
    let observer = Arc::new(Observer::new(attestor.clone(), hierarchy));
    let endpoints = Arc::new(Endpoints::new(attestor.clone(), observer.clone(), Handle::current()));
    let identity = Arc::new(IdentityService::new(store.clone(), directory.clone()));
    let host_settings =
        HostSettings { boot: boot_id(), domain: names.domain().to_owned(), trust: files.trust_files() };
    let kernel: Arc<dyn HostKernel> = Arc::new(crate::cgroups::Cgroups::new(&capabilities));
    let host = Arc::new(HostService::new(
        store.clone(),
        entropy.clone(),
        directory.clone(),
        identity.clone(),
        kernel,
        endpoints.clone(),
        host_settings,
    ));
    let verifier = Arc::new(Verifier::new(VerifierConfig {
        issuers: directory.issuers().into(),
        audiences: vault_audiences(&names.vault_resource()),
        tenant: directory.tenant().id,
    }));
    let services = Arc::new(Services {
        directory,
        verifier,
        vault,
        identity,
        host: host.clone(),
        audit: log.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        names,
    });
    endpoints.serve_with(&services);
    let resumed = host.resume(now).await?;
    for (workload, app, why) in &resumed.ended {
        tracing::info!(%workload, %app, why, "workload is over");
    }
    if resumed.resumed > 0 {
        tracing::info!(workloads = resumed.resumed, "endpoints are open again");
    }

    let (stop, stopping) = watch::channel(false);
    let addresses: Vec<SocketAddr> =
        listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let site = Arc::new(Site::new(&config, &addresses, files, &capabilities, unsealed.by, now));
    site.serve_with(&services);
    let mut tasks = JoinSet::new();
    let tls = TlsAcceptor::from(Arc::new(tls(certificates.clone())?));
    let public = public::Public::new(tls, wire::public_router(services.clone()), observer, stopping.clone());
    for listener in listeners {
        tasks.spawn(public.clone().accept(listener));
    }
    let state = admin::State {
        store: store.clone(),
        log: log.clone(),
        layout: data.layout().clone(),
        root,
        entropy: entropy.clone(),
        services: services.clone(),
    };
    let administration = wire::admin::router(services.clone(), site.clone()).merge(admin::router(state));
    tasks.spawn(admin_listener::accept(
        admin_listener::bind(data.layout())?,
        administration,
        stopping.clone(),
    ));
    tasks.spawn(tasks::sync(log.clone(), store.clone(), entropy, stopping.clone()));
    tasks.spawn(tasks::reap(host, clock.clone(), stopping.clone()));
    tasks.spawn(tasks::renew(certificates, clock, stopping));
    Ok(Running {
        data,
        services,
        store,
        log,
        endpoints,
        public,
        tasks,
        stop,
        site,
        addresses,
        is_first_start: unsealed.is_first_start,
    })
}

impl Running {
    /// What it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether the installation was made just now.
    pub const fn is_first_start(&self) -> bool {
        self.is_first_start
    }

    /// What the kernel enforces.
    pub fn capabilities(&self) -> &[Capability] {
        self.site.capabilities()
    }

    /// What should be done about the installation.
    pub fn warnings(&self) -> Vec<String> {
        self.site.warnings()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.data.layout().root()
    }

    /// Waits until somebody asks the process to stop (SIGINT, SIGTERM).
    ///
    /// # Errors
    /// The system takes no handler.
    pub async fn asked_to_stop(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }

    /// Ends in good order: no new connections, open requests are answered, the audit log is synced and anchored.
    pub async fn stop(mut self) {
        self.endpoints.close_all();
        self.stop.send_replace(true);
        if tokio::time::timeout(DRAIN_TIME_MAX, self.public.drained()).await.is_err() {
            tracing::warn!("connections were still open and are dropped");
        }
        self.tasks.shutdown().await;
        tasks::sync_once(self.log.clone(), &*self.store, &*self.services.entropy).await;
        let _absent = std::fs::remove_file(self.data.layout().admin_socket());
    }
}

/// Asks the kernel about peers, if it answers.
fn attestor(
    config: &Config,
    capabilities: &kernel::Capabilities,
) -> Result<Option<Arc<Attestor>>, StartError> {
    match &capabilities.attestation {
        kernel::Verdict::Enforced => Ok(Some(Arc::new(Attestor::new()?))),
        kernel::Verdict::Unenforced { why, mend } if config.require_enforced => {
            Err(StartError::NotEnforced { why: why.clone(), mend: mend.clone() })
        }
        kernel::Verdict::Unenforced { why, mend } => {
            tracing::warn!(why, mend, "UNENFORCED: the kernel cannot attest callers here");
            // Perhaps it still names peers for the audit log.
            Ok(Attestor::new().ok().map(Arc::new))
        }
    }
}

fn tls(certificates: Arc<Certificates>) -> Result<rustls::ServerConfig, StartError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Which boot of the machine this is: cgroup ids and ports of another one mean nothing.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
