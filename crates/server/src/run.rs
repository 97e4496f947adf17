//! Puts the whole together: opens the data directory, makes the services, listens, and ends in good order.
//!
//! Order of a start: data directory and lock, addresses, store, root key, certificates, directory, audit log, services, endpoints of
//! running workloads, then the doors open. Addresses are bound early, so that a port in use is said before anything is made.

use crate::{
    admin, anchor,
    apps::{self, AppFiles, Apps, Launcher},
    authority::Certificates,
    cgroups::{Cgroups, Claim},
    clock::SystemClock,
    config::Config,
    data::{DataDir, Layout},
    error::StartError,
    guarded::Guarded,
    hands::{Hands, Outside},
    installation::{Capability, Site},
    issuers::{self, IssuerSettings, Issuers},
    listen::{self, admin as admin_listener, endpoints::Endpoints, public},
    maintenance::{AUDIT_KEY, open_store},
    origin::Observer,
    reached::Reached,
    seal::{self, SealError},
    shadow::{ShadowSettings, Shadows},
    stop_signals::Asked,
    tasks::{self, boxed},
    test_clock::TestClock,
    trust::Public,
    workers::{RuntimeTasks, RuntimeWorkers},
};
use audit::AuditLog;
use crypt::{Key256, SlotKind, SystemEntropy};
use directory::{DirectoryService, DirectorySettings, Tenant};
use domain::{Clock, DomainName, Entropy, HostNames, Secret, TenantId, Timestamp};
use host::{HostService, HostSettings, Routes};
use identity::IdentityService;
use kernel::{Attestor, Capabilities, ConnectGate, Hierarchy, Placement};
use resource::ResourceService;
use rustls::server::ResolvesServerCert;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use store::{Halt, Store};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use vault::VaultService;
use wire::{Services, Verifiers, proxy::Proxy};

/// Threads for all but requests, at most. Ours: what takes long there waits, or is done beside them.
const WORKERS_MAX: usize = 2;
/// How long a step of an app may take at a stop. Ours: a start takes less, unless the disk is stuck.
const SUPERVISOR_TIME_MAX: Duration = Duration::from_secs(5);
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
    shadows: Arc<Shadows>,
    apps: Arc<Apps>,
    supervisor: JoinHandle<()>,
    public: public::Public,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    site: Arc<Site>,
    addresses: Vec<SocketAddr>,
    is_first_start: bool,
    /// What requests reach of hosted apps, for as long as the server runs.
    _reached: Arc<dyn wire::Outside>,
    /// Dropped last: what the others still do they do here.
    _guarded: Guarded,
    _outside: Outside,
}

/// The runtime that a server is started on, and on which all goes on but the answering of requests: its threads start programs.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("keyless-host")
        .enable_all()
        .build()
}

/// What a start has opened before there is any service.
struct Ground {
    data: DataDir,
    capabilities: Capabilities,
    attestor: Option<Arc<Attestor>>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    clock: Arc<dyn Clock>,
    test_clock: Option<Arc<TestClock>>,
    entropy: Arc<dyn Entropy>,
    now: Timestamp,
    store: Arc<dyn Store>,
    condition: watch::Receiver<store::Condition>,
    root: Arc<Key256>,
    opened_by: SlotKind,
    is_first_start: bool,
}

/// Starts a server. At a first start `announce` is told the recovery key, once; if it cannot pass that on, there is no start.
///
/// # Errors
/// [`StartError`].
// Nothing of it is generic, and the future is behind a pointer: all that a server is made of is compiled in this crate, and not again in that
// which starts it.
#[inline(never)]
pub fn start(config: Config, announce: Announce<'_>) -> Starting<'_> {
    Box::pin(run(config, announce))
}

/// Is told the recovery key.
pub type Announce<'a> = Box<dyn FnOnce(&Secret<String>) -> Result<(), SealError> + 'a>;

/// A start that goes on.
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<Running, StartError>> + 'a>>;

async fn run(config: Config, announce: Announce<'_>) -> Result<Running, StartError> {
    let (ground, config) = open(config, announce).await?;
    let Ground { store, entropy, clock, root, now, .. } = &ground;
    let (names, listen) = (config.names(), ground.addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>());
    // By the real time, whatever a test clock says: clients look at their own.
    let real = SystemClock.now();
    let certificates =
        Certificates::load(store.clone(), entropy.clone(), root.clone(), &names, &listen, real).await?;
    let certificates = Arc::new(certificates);
    let vault = VaultService::new(store.clone(), entropy.clone(), Arc::new(RuntimeWorkers), root.clone());
    let (own_hosts, own_addresses) = certificates.names();
    let vault = Arc::new(vault.reserving(own_hosts, own_addresses));
    let vault_hosts: Vec<String> = vault
        .list_vaults(access::Manager::Administrator)
        .await?
        .iter()
        .map(|vault| names.vault_host(&vault.name))
        .collect();
    let files =
        Public::write(ground.data.layout(), certificates.authority_pem(), &names, &listen, vault_hosts)?;
    let files = Arc::new(files);
    let anchor = anchor::load(&**store).await?;
    let audit = ground.data.layout().audit();
    let log = AuditLog::open(&audit, &root.derive(AUDIT_KEY), config.audit_sync, anchor)?;
    let log = Arc::new(log);
    if let Some(missing) = log.missing() {
        tracing::error!("{missing}; `keyless audit verify` tells more");
    }
    let hierarchy = Hierarchy::discover().ok();
    let guarded = Guarded::build(&audit, hierarchy.as_ref()).map_err(StartError::Threads)?;
    let outside_threads = Outside::build().map_err(StartError::Threads)?;
    let hands = outside_threads.hands();
    let observer = Arc::new(Observer::new(ground.attestor.clone(), hierarchy, hands.clone()));
    let requests = guarded.handle().clone();
    let ways = (requests.clone(), hands.clone(), gate(&config)?);
    let endpoints = Endpoints::new(ground.attestor.clone(), observer.clone(), ways);
    let endpoints = Arc::new(endpoints);
    let shadows = Arc::new(Shadows::new(ShadowSettings {
        store: store.clone(),
        entropy: entropy.clone(),
        root: root.clone(),
        files: files.clone(),
        authority_pem: certificates.authority_pem().to_owned(),
        observer: observer.clone(),
        public: ground.addresses.clone(),
        runtime: requests.clone(),
    }));
    let doors = (endpoints.clone(), shadows.clone());
    let services = services(&config, &ground, vault, doors, &files, log.clone(), hands);
    let services = services.await?;
    let (stop, stopping) = watch::channel(false);
    let tls = TlsAcceptor::from(Arc::new(tls(certificates.clone())?));
    let routes = Arc::new(Routes::new());
    let proxy = Arc::new(Proxy::new(routes.clone(), Arc::new(RuntimeTasks), wire::proxy::Limits::default()));
    let service = wire::PublicService::new(services.clone()).proxying(proxy);
    endpoints.serve_with(&services, tls.clone());
    let public = public::Public::new(tls, service, observer, stopping.clone());
    shadows.serve_with(&services);
    resume(&services, *now).await?;
    shadows.forget_others();

    let (opened_by, test_clock) = (ground.opened_by, ground.test_clock.clone());
    let capabilities = Capabilities { sandbox: guarded.verdict(), ..ground.capabilities.clone() };
    let site =
        Site::new(&config, &ground.addresses, shadows.clone(), &capabilities, opened_by, *now, test_clock);
    let site = Arc::new(site);
    site.serve_with(&services);
    site.watch(ground.condition.clone(), log.clone());
    // The vaults' names are there already; those of apps are known only now.
    wire::admin::Installation::names_changed(&*site, wire::Named::Any);
    record_test_clock(&services, *now)?;
    let administration = admin::router(admin::State {
        store: store.clone(),
        log: log.clone(),
        layout: ground.data.layout().clone(),
        passphrase_file: config.passphrase_file.clone(),
        root: root.clone(),
        entropy: entropy.clone(),
        services: services.clone(),
    });
    let ways = (routes, endpoints.clone());
    let apps = apps(&config, &services, &site, ways, ground.attestor.clone(), ground.data.layout());
    let apps = Arc::new(apps);
    apps.resume().await?;
    let hosting = Arc::new(apps::Handle(apps.clone()));
    // By this runtime, whose threads are in no sandbox.
    let own_hands = Hands::of(tokio::runtime::Handle::current());
    let outside: Arc<dyn wire::Outside> = Arc::new(Reached::new(hosting.clone(), site.clone(), own_hands));
    services.outside.fill(&outside);
    let administration = wire::admin::router(services.clone(), site.clone(), hosting).merge(administration);
    let admin_socket = admin_listener::bind(ground.data.layout())?;
    let mut tasks = JoinSet::new();
    tasks.spawn(boxed(admin_listener::accept(admin_socket, administration, stopping.clone())));
    tasks.spawn(boxed(tasks::sync(log.clone(), store.clone(), entropy.clone(), stopping.clone())));
    tasks.spawn(boxed(tasks::reap(services.host.clone(), clock.clone(), stopping.clone())));
    tasks.spawn(boxed(tasks::renew(certificates, Arc::new(SystemClock), stopping.clone())));
    tasks.spawn(boxed(tasks::due(services.clone(), stopping.clone())));
    if let Some(keep) = config.audit_kept_for() {
        let expire = tasks::expire(log.clone(), services.clone(), store.clone(), keep, stopping.clone());
        tasks.spawn(boxed(expire));
    }
    let store_file = ground.data.layout().store();
    tasks.spawn(boxed(tasks::condition(ground.condition.clone(), store_file, stopping.clone())));
    tasks.spawn(boxed(tasks::names(site.clone(), stopping.clone())));
    let supervisor = tokio::spawn(boxed(apps.clone().supervise(stopping)));
    for listener in ground.listeners {
        let listener = listen::moved(listener, &requests).map_err(StartError::Threads)?;
        tasks.spawn_on(boxed(public.clone().accept(listener)), &requests);
    }
    Ok(Running {
        data: ground.data,
        services,
        store: ground.store,
        log,
        endpoints,
        shadows,
        apps,
        supervisor,
        public,
        tasks,
        stop,
        site,
        addresses: ground.addresses,
        is_first_start: ground.is_first_start,
        _guarded: guarded,
        _outside: outside_threads,
        _reached: outside,
    })
}

/// Data directory, lock, addresses, store, root key: all that can refuse a start for a reason of the operator's. Answers the configuration, too,
/// with the domain that the installation has.
async fn open(
    config: Config,
    announce: impl FnOnce(&Secret<String>) -> Result<(), SealError>,
) -> Result<(Ground, Config), StartError> {
    // Before hardening: a process that may not be dumped may not try a user namespace either.
    let capabilities = kernel::capabilities();
    kernel::harden();
    let attestor = attestor(&config, &capabilities)?;
    if let Some(path) = &config.issuer_ca_file {
        let _good = issuers::certificates(path).map_err(StartError::IssuerCaFile)?;
    }
    let data = DataDir::open(&config.data_dir)?;
    let listeners = public::bind(&config.addresses())?;
    let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let store = open_store(&config, data.layout())?;
    let condition = store.condition();
    let store: Arc<dyn Store> = Arc::new(store);
    let config = with_kept_domain(config, &*store).await?;
    let is_new = seal::is_new(&*store).await?;
    let test_clock = TestClock::open(config.test_clock, is_new, data.layout(), &store, &entropy).await?;
    let clock: Arc<dyn Clock> = match &test_clock {
        Some(clock) => clock.clone(),
        None => Arc::new(SystemClock),
    };
    let passphrase = config.passphrase_file.as_deref();
    let unsealed = seal::unseal(&*store, data.layout(), passphrase, &*entropy, announce).await?;
    let ground = Ground {
        data,
        capabilities,
        attestor,
        listeners,
        addresses,
        now: clock.now(),
        clock,
        test_clock,
        entropy,
        store,
        condition,
        root: Arc::new(unsealed.root),
        opened_by: unsealed.by,
        is_first_start: unsealed.is_first_start,
    };
    Ok((ground, config))
}

/// An installation has the domain of its first start for good: users, vaults and the issuer are named by it. Nobody has to say it again, and
/// who says another one means another installation.
async fn with_kept_domain(mut config: Config, store: &dyn Store) -> Result<Config, StartError> {
    let tenant = store::query(store, |view| Ok::<_, Halt<StartError>>(view.get::<Tenant>(&())?)).await?;
    let Some(kept) = tenant.and_then(|tenant| DomainName::parse(&tenant.domain).ok()) else {
        return Ok(config);
    };
    match config.said("domain") {
        Some(origin) if kept.folded() != config.domain.folded() => Err(StartError::OtherDomain {
            path: config.data_dir.clone(),
            kept: kept.to_string(),
            said: config.domain.to_string(),
            origin: origin.to_owned(),
        }),
        _ => {
            config.domain = kept;
            Ok(config)
        }
    }
}

/// The services behind all routes. At a first start the directory makes its tenant and signing key here.
async fn services(
    config: &Config,
    ground: &Ground,
    vault: Arc<VaultService>,
    (endpoints, shadows): (Arc<Endpoints>, Arc<Shadows>),
    files: &Public,
    log: Arc<AuditLog>,
    hands: Hands,
) -> Result<Arc<Services>, StartError> {
    let Ground { store, entropy, clock, root, .. } = ground;
    let names = config.names();
    let settings = DirectorySettings {
        token_lifetime: config.access_token_lifetime.0,
        allows_password_grant: config.allow_password_grant,
        ..DirectorySettings::new(names.clone())
    };
    let make_key = crypt::SigningKey::generate;
    let directory =
        DirectoryService::open(store.clone(), entropy.clone(), root, settings, make_key, clock.clone())
            .await?;
    let directory = directory.rolling(config.rolls_keys_after(), Arc::new(RuntimeWorkers));
    let issuers = Issuers::new(IssuerSettings {
        ca_file: config.issuer_ca_file.clone(),
        loopback: config.issuer_loopback,
        hands: hands.clone(),
    });
    let directory = Arc::new(directory.reaching(Arc::new(issuers)));
    let identity = Arc::new(IdentityService::new(store.clone(), directory.clone()));
    let store_file = ground.data.layout().store();
    let store_file = std::fs::canonicalize(&store_file).unwrap_or(store_file);
    let claim = Claim::new(directory.tenant().id.to_string(), store_file);
    let host = HostService::new(
        store.clone(),
        entropy.clone(),
        directory.clone(),
        identity.clone(),
        Arc::new(Cgroups::new(
            &ground.capabilities,
            config.port,
            claim,
            app_files(config, ground.data.layout(), directory.tenant().id),
            hands,
        )),
        endpoints,
        HostSettings {
            require_enforced: config.require_enforced,
            boot: kernel::boot_id().unwrap_or_default(),
            domain: names.domain().to_owned(),
            trust: files.trust_files(),
            settings_key: Arc::new(root.derive("keyless host: app settings")),
        },
    );
    let host = host.shadowing(shadows);
    let subscription = directory.tenant().subscription();
    let resource = ResourceService::new(store.clone(), entropy.clone(), subscription);
    Ok(Arc::new(Services {
        verifiers: Arc::new(Verifiers::of(&directory, &names, &**entropy)),
        resource: Arc::new(resource),
        outside: Arc::default(),
        directory,
        vault,
        identity,
        host: Arc::new(host),
        audit: log,
        clock: clock.clone(),
        entropy: entropy.clone(),
        names,
    }))
}

/// The hosted apps of this server.
fn apps(
    config: &Config,
    services: &Arc<Services>,
    site: &Site,
    (routes, endpoints): (Arc<Routes>, Arc<Endpoints>),
    attestor: Option<Arc<Attestor>>,
    layout: &Layout,
) -> Apps {
    let placement = match Hierarchy::discover() {
        Ok(hierarchy) => kernel::placement(&hierarchy),
        Err(error) => {
            let mend = "mount cgroup2".to_owned();
            Placement::NotDelegated { why: error.to_string(), mend }
        }
    };
    let tenant = services.directory.tenant().id.to_string();
    let launcher = Launcher {
        placement,
        // No app has a period in its name, so that no cgroup of `keyless run` begins so. A copy of the data directory is another installation.
        prefix: format!("keyless-hosted.{tenant}.{}-", place(layout)),
        hosts: site.hosts_file().to_owned(),
        endpoints,
        public_port: config.port,
        has_loopback: crate::trust::reachable(&config.listen).contains(&Ipv4Addr::LOCALHOST.into()),
        tenant: format!("{tenant}.{}", place(layout)),
        data: layout.real(),
        // Root's apps have accounts of their own instead.
        landlock: if kernel::is_root() { None } else { kernel::Landlock::new().ok() },
    };
    let files = app_files(config, layout, services.directory.tenant().id);
    Apps::new(services.clone(), files, launcher, routes, attestor)
}

/// Where hosted apps' files are.
fn app_files(config: &Config, layout: &Layout, tenant: TenantId) -> AppFiles {
    AppFiles::of(layout, config.apps_dir.as_deref(), format!("{tenant} {}", place(layout)))
}

/// Tells this data directory from a copy of it at another place.
fn place(layout: &Layout) -> String {
    let hash = crypt::sha256(layout.real().as_os_str().as_encoded_bytes()).to_string();
    hash.get(..8).unwrap_or_default().to_owned()
}

/// Whoever reads the audit log must know which of its times are a test clock's.
fn record_test_clock(services: &Services, now: Timestamp) -> Result<(), StartError> {
    let Some(ahead) = services.clock.ahead() else { return Ok(()) };
    tracing::warn!(ahead_seconds = ahead.as_secs(), "TEST CLOCK: no time of this server is real");
    let record = audit::Record {
        at: now,
        request: domain::RequestId::random(&*services.entropy),
        actor: audit::Actor::System,
        action: "clock.test",
        target: "clock".to_owned(),
        outcome: audit::Outcome::Allowed,
        reason: format!("started with --test-clock, {} seconds ahead of the real time", ahead.as_secs()),
        origin: audit::SharedOrigin::default(),
    };
    Ok(services.audit.append(&record)?)
}

/// Endpoints of programs that ran on while no server did.
async fn resume(services: &Services, now: Timestamp) -> Result<(), StartError> {
    let resumed = services.host.resume(now).await?;
    for (workload, app, why) in &resumed.ended {
        tracing::info!(%workload, %app, why, "workload is over");
    }
    if resumed.resumed > 0 {
        tracing::info!(workloads = resumed.resumed, "endpoints are open again");
    }
    Ok(())
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

    /// What a test clock shows, and by how much it is ahead of the real one; nothing for the real one.
    pub fn test_time(&self) -> Option<(Timestamp, Duration)> {
        self.site.test_time()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.data.layout().root()
    }

    /// Its host names.
    pub fn names(&self) -> &HostNames {
        &self.services.names
    }

    /// The tenant of the directory.
    pub fn tenant(&self) -> TenantId {
        self.services.directory.tenant().id
    }

    /// The hosts file for apps; the other public files are beside it.
    pub fn hosts_file(&self) -> &Path {
        self.site.hosts_file()
    }

    /// How many instances of hosted apps run.
    pub fn instances(&self) -> usize {
        self.apps.running()
    }

    /// Ends in good order: no new connections, open requests are answered, the audit log is synced and anchored. A person's Ctrl-C ends
    /// hosted apps, too, until the next start; otherwise they run on, and the next start goes on with them.
    pub async fn stop(mut self, asked: Asked) {
        let elsewhere = self.endpoints.close_all();
        self.shadows.close_all();
        self.stop.send_replace(true);
        let networks = async {
            for stop in &elsewhere {
                stop.closed().await;
            }
        };
        let drained = async { tokio::join!(self.public.drained(), self.shadows.drained(), networks) };
        if tokio::time::timeout(DRAIN_TIME_MAX, drained).await.is_err() {
            tracing::warn!("connections were still open and are dropped");
        }
        // It ends by itself, so that no start is cut in the middle.
        if tokio::time::timeout(SUPERVISOR_TIME_MAX, &mut self.supervisor).await.is_err() {
            self.supervisor.abort();
        }
        self.tasks.shutdown().await;
        self.apps.give_up_deployments().await;
        if asked == Asked::Interrupted {
            self.apps.end_all().await;
        }
        tasks::sync_once(self.log.clone(), &*self.store, &*self.services.entropy).await;
        let _absent = std::fs::remove_file(self.data.layout().admin_socket());
        // Programs that run on still read these.
        if self.services.identity.workloads().is_empty() {
            self.site.files().remove_copy();
        }
    }
}

/// What was asked for is there, or there is no server.
fn gate(config: &Config) -> Result<Option<ConnectGate>, StartError> {
    if !config.connect_gate {
        return Ok(None);
    }
    let gate = Hierarchy::discover().and_then(|hierarchy| ConnectGate::attach(&hierarchy));
    gate.map(Some).map_err(StartError::NoGate)
}

/// Asks the kernel about peers, if it answers.
fn attestor(config: &Config, capabilities: &Capabilities) -> Result<Option<Arc<Attestor>>, StartError> {
    // An app without a cgroup of its own is told from nobody, whatever the kernel says of callers.
    if let (true, kernel::Verdict::Unenforced { why, mend }) = (config.require_enforced, &capabilities.cgroup)
    {
        return Err(StartError::NotEnforced { why: why.clone(), mend: mend.clone() });
    }
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

pub(crate) fn tls(certificates: Arc<dyn ResolvesServerCert>) -> Result<rustls::ServerConfig, StartError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
