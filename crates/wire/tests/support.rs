//! A known world: a memory store, a clock that stands still, entropy from a seed, a public signing key. Everything above is real.

use access::Manager;
use audit::MemoryAudit;
use crypt::{Key256, SigningKey, test_keys};
use directory::{DirectoryService, DirectorySettings, NewRegistration, Registration};
use domain::{Clock, DomainName, Entropy, HostNames, Timestamp, WorkloadId};
use host::{EndpointListeners, Enforcement, HostKernel, HostService, HostSettings, TrustFiles, Workload};
use identity::{Confinement, IdentityService};
use kernel::{CgroupId, KernelError, Network, NetworkId};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use store::{Memory, Store};
use vault::{NewVault, VaultService, VaultSettings};
use wire::{
    PublicService, Services, State, Verifiers,
    admin::{Hosting, HostingFault, ObservedApp, ObservedDeployment, hosting::Answer},
};

/// 2027-01-15 08:00:00 UTC.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Who sets the world up.
const BY: Manager<'static> = Manager::Administrator;

/// A clock that moves when it is told to.
#[derive(Debug)]
pub(crate) struct FixedClock(pub(crate) AtomicI64);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// The same bytes in each run, other ones at each call.
#[derive(Debug)]
pub(crate) struct SeededEntropy {
    seed: u64,
    calls: AtomicU64,
}

impl SeededEntropy {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, calls: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        for (block, bytes) in buffer.chunks_mut(32).enumerate() {
            let hash = crypt::sha256(format!("{}/{call}/{block}", self.seed));
            bytes.copy_from_slice(&hash.bytes()[..bytes.len()]);
        }
    }
}

/// All services, and what tests change or look at.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) public: PublicService,
    pub(crate) audit: Arc<MemoryAudit>,
    #[allow(dead_code, reason = "`fuzz` takes seeds from it")]
    pub(crate) store: Arc<Memory>,
    pub(crate) clock: Arc<FixedClock>,
    #[allow(dead_code, reason = "`fuzz` attaches nothing")]
    pub(crate) kernel: Arc<StandInKernel>,
    /// What golden files call things: name and value.
    pub(crate) names: Vec<(String, String)>,
}

impl World {
    /// With a directory and nothing in it but the administrator.
    pub(crate) async fn new() -> Self {
        Self::reaching(Arc::new(directory::NoFetch)).await
    }

    /// The same with a way to outside issuers.
    pub(crate) async fn reaching(issuers: Arc<dyn directory::IssuerKeys>) -> Self {
        let store = Arc::new(Memory::new());
        let entropy = Arc::new(SeededEntropy::new(1));
        let names = HostNames::new(&DomainName::parse("keyless.localhost").unwrap(), 8443);
        let root = Arc::new(Key256::random(&*entropy));
        let settings = DirectorySettings::new(names.clone());
        let made = AtomicUsize::new(0);
        // The same at first in each run; then the two take turns, and the time makes another id.
        let make_key = move |now| match made.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(test_keys::signing_key()),
            number if number % 2 == 1 => SigningKey::certify(&test_keys::other_signing_key().to_pkcs8(), now),
            _ => SigningKey::certify(&test_keys::signing_key().to_pkcs8(), now),
        };
        let clock = Arc::new(FixedClock(AtomicI64::new(NOW.seconds())));
        let directory =
            DirectoryService::open(store.clone(), entropy.clone(), &root, settings, make_key, clock.clone());
        let directory = Arc::new(directory.await.unwrap().reaching(issuers));
        let workers = Arc::new(domain::world::Here);
        let vault = VaultService::new(store.clone(), entropy.clone(), workers, root);
        let own = vec![format!("*.{}", names.vault_parent_host())];
        let vault = Arc::new(vault.reserving(own, Vec::new()));
        let identity = Arc::new(IdentityService::new(store.clone(), directory.clone()));
        let kernel = Arc::new(StandInKernel::default());
        let services = (directory.clone(), identity.clone());
        let host = Arc::new(host(store.clone(), entropy.clone(), services, kernel.clone()));
        let audit = Arc::new(MemoryAudit::new());
        let subscription = directory.tenant().subscription();
        let resource = resource::ResourceService::new(store.clone(), entropy.clone(), subscription);
        let resource = Arc::new(resource);
        let verifiers = Arc::new(Verifiers::of(&directory, &names, &crypt::SystemEntropy));
        let state = Arc::new(Services {
            directory,
            verifiers,
            resource,
            outside: Arc::default(),
            vault,
            identity,
            host,
            audit: audit.clone(),
            clock: clock.clone(),
            entropy,
            names,
        });
        let ring = state.directory.ring();
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let names = vec![
            named("tenant", &state.directory.tenant().id.to_string()),
            named("subscription", &state.directory.tenant().subscription().to_string()),
            named("kid", ring.current().kid()),
            named("n", ring.current().public().n()),
            named("x5c", ring.current().public().x5c().first().unwrap()),
        ];
        Self { public: PublicService::new(state.clone()), state, audit, store, clock, kernel, names }
    }

    /// Lets time pass.
    pub(crate) fn later(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Registers an app; golden files call it by these names: `{NAME.client}`, `{NAME.principal}`.
    pub(crate) async fn register(&mut self, name: &str, new: NewRegistration) -> Registration {
        let registration = self.state.directory.create_registration(new, NOW).await.unwrap();
        self.call(&format!("{name}.client"), &registration.client);
        self.call(&format!("{name}.principal"), &registration.principal);
        registration
    }

    /// Adds a client secret, called `{NAME}`.
    pub(crate) async fn add_secret(&mut self, name: &str, of: &Registration, lifetime: Duration) {
        let id = of.id.to_string();
        let new = self.state.directory.add_credential(&id, name, Some(lifetime), NOW).await.unwrap();
        self.call(name, new.secret.expose());
        self.call(&format!("{name} id"), &new.id);
    }

    /// Gives a value a name.
    pub(crate) fn call(&mut self, name: &str, value: &impl ToString) {
        self.names.push((name.to_owned(), value.to_string()));
    }

    /// What a golden file's `>` lines do.
    pub(crate) async fn change(&mut self, change: &str) {
        let change = self.name(change);
        let words: Vec<_> = change.split(' ').collect();
        match &*words {
            ["later", seconds] => self.later(seconds.parse().unwrap()),
            ["audit", "breaks"] => self.audit.set_failed(true),
            ["audit", "works"] => self.audit.set_failed(false),
            ["disable", principal] => {
                self.state.directory.disable_principal(principal.parse().unwrap()).await.unwrap();
            }
            ["enable", principal] => {
                self.state.directory.enable_principal(principal.parse().unwrap()).await.unwrap();
            }
            ["remove", "credential", credential, "of", registration] => {
                let id = credential.parse().unwrap();
                self.state.directory.remove_credential(registration, id, NOW).await.unwrap();
            }
            ["delete", "registration", named] => {
                self.state.directory.delete_registration(named).await.unwrap();
            }
            ["attach", identity, "to", app] => {
                let (name, wanted) = (app.parse().unwrap(), identity.parse().unwrap());
                let view = self
                    .state
                    .host
                    .attach_identity(Manager::Administrator, &name, &wanted, self.clock.now())
                    .await
                    .unwrap();
                let (assigned, _) = view.user_assigned.last().unwrap();
                self.call(&format!("{identity} of {app}"), &assigned.attachment);
            }
            ["detach", identity, "from", app] => {
                let (app, identity) = (app.parse().unwrap(), identity.parse().unwrap());
                self.state
                    .host
                    .detach_identity(Manager::Administrator, &app, &identity, self.clock.now())
                    .await
                    .unwrap();
            }
            ["delete", "identity", identity] => {
                self.state
                    .host
                    .delete_identity(Manager::Administrator, &identity.parse().unwrap())
                    .await
                    .unwrap();
            }
            ["remove", "identity", "of", app] => {
                self.state
                    .host
                    .remove_identity(Manager::Administrator, &app.parse().unwrap(), self.clock.now())
                    .await
                    .unwrap();
            }
            ["policy", vault, principal, verbs] => self.allow(vault, principal, verbs).await,
            ["protect", vault] => {
                let settings = VaultSettings { purge_protection: Some(true), ..VaultSettings::default() };
                self.set_up(vault, settings).await;
            }
            ["network", vault, ranges] => {
                let ranges = ranges.split(',').filter(|range| *range != "nothing");
                let only_from = Some(ranges.map(|range| range.parse().unwrap()).collect());
                let network = Some(access::NetworkRules { only_from });
                self.set_up(vault, VaultSettings { network, ..VaultSettings::default() }).await;
            }
            ["roles", vault] => {
                let access = Some(vault::AccessModel::Roles);
                self.set_up(vault, VaultSettings { access, ..VaultSettings::default() }).await;
            }
            ["vault", vault] => self.make_vault(vault).await,
            ["delete", "vault", vault] => {
                self.state.vault.delete_vault(BY, &vault.parse().unwrap(), self.clock.now()).await.unwrap();
            }
            ["recover", "vault", vault] => {
                self.state.vault.recover_vault(BY, &vault.parse().unwrap()).await.unwrap();
            }
            ["due"] => drop(self.state.vault.run_due(self.clock.now()).await.unwrap()),
            ["assign", vault, principal, scope, role @ ..] => {
                let (vault, principal) = (vault.parse().unwrap(), principal.parse().unwrap());
                let role = role.join(" ").parse().unwrap();
                let object = (*scope != "everywhere").then(|| access::ObjectScope {
                    kind: domain::ObjectKind::Secret,
                    name: scope.parse().unwrap(),
                });
                let place = resource::roles::Place::Vault(None, vault, object);
                let new = resource::roles::NewAssignment { id: None, principal, kind: None, role };
                let (assigned, _) = self.state.resource.assign(BY, &place, &new, NOW).await.unwrap();
                self.call("assignment", &assigned.id);
            }
            _ => panic!("no such change: {change}"),
        }
    }

    /// Makes a vault of the administrator's.
    pub(crate) async fn make_vault(&self, vault: &str) {
        let tenant = self.state.directory.tenant();
        let (vault, settings) = (vault.parse().unwrap(), VaultSettings::default());
        let new = NewVault::owned(&vault, tenant.id, tenant.administrator);
        let made = self.state.vault.create_vault(BY, new, &settings, NOW);
        made.await.unwrap();
    }

    /// Changes a vault's settings.
    async fn set_up(&self, vault: &str, settings: VaultSettings) {
        let administrator = self.state.directory.tenant().administrator;
        let vault = vault.parse().unwrap();
        self.state.vault.change_vault(BY, &vault, &settings, Some(administrator), NOW).await.unwrap();
    }

    /// What a principal may do in a vault: verbs on secrets with commas between, and after `;keys=` and `;certificates=` those on them;
    /// `nothing` removes its policy.
    pub(crate) async fn allow(&self, vault: &str, principal: &str, verbs: &str) {
        let (secrets, others) = verbs.split_once(';').unwrap_or((verbs, ""));
        let of = |kind: &str| others.split(';').find_map(|part| part.strip_prefix(kind)).unwrap_or("nothing");
        let words = |verbs: &str| -> Vec<String> {
            verbs.split(',').filter(|verb| *verb != "nothing").map(str::to_owned).collect()
        };
        let (vault, principal) = (vault.parse().unwrap(), principal.parse().unwrap());
        let permissions = domain::Permissions {
            secrets: words(secrets).iter().map(|verb| verb.parse().unwrap()).collect(),
            keys: match of("keys=") {
                "all" => domain::KeyPermissions::all(),
                keys => words(keys).iter().map(|verb| verb.parse().unwrap()).collect(),
            },
            certificates: match of("certificates=") {
                "all" => domain::VerbSet::all(),
                verbs => words(verbs).iter().map(|verb| verb.parse().unwrap()).collect(),
            },
        };
        self.state.vault.set_policy(BY, &vault, principal, permissions).await.unwrap();
    }

    /// Names to values.
    pub(crate) fn name(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    /// Values to names.
    pub(crate) fn unname(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(value, &format!("{{{name}}}")))
    }
}

fn host(
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
    (directory, identity): (Arc<DirectoryService>, Arc<IdentityService>),
    kernel: Arc<StandInKernel>,
) -> HostService {
    let trust = TrustFiles {
        bundle: "/d/bundle.pem".into(),
        root: "/d/root.pem".into(),
        truststore: "/d/trust.p12".into(),
        truststore_password: "changeit".to_owned(),
    };
    let settings = HostSettings {
        require_enforced: false,
        boot: "boot".to_owned(),
        domain: "keyless.localhost".to_owned(),
        trust,
        settings_key: Arc::new(Key256::random(&crypt::SystemEntropy)),
    };
    HostService::new(store, entropy, directory, identity, kernel, Arc::new(NoListeners), settings)
}

/// A kernel with one cgroup, which attests nobody unless it is told to.
#[derive(Default)]
pub(crate) struct StandInKernel {
    pub(crate) attests: AtomicBool,
}

/// A cgroup of this id, with a process in it and nothing below it.
pub(crate) struct Cgroup(pub(crate) u64);

impl Confinement for Cgroup {
    fn id(&self) -> CgroupId {
        CgroupId::new(self.0)
    }

    fn contains(&self, cgroup: CgroupId) -> bool {
        cgroup == self.id()
    }

    fn lineage(&self) -> Result<Vec<CgroupId>, KernelError> {
        Ok(vec![self.id()])
    }

    fn is_populated(&self) -> bool {
        true
    }
}

impl HostKernel for StandInKernel {
    fn open_cgroup(&self, path: &Path, _: bool) -> Result<Arc<dyn Confinement>, KernelError> {
        match path.to_str() {
            Some("/sys/fs/cgroup/web.service") => Ok(Arc::new(Cgroup(4_711))),
            _ => Err(KernelError::NoCgroup2("this world has none there")),
        }
    }

    fn listen_in(&self, _: &Path, _: NetworkId, _: Option<u16>, _: bool) -> Result<Network, KernelError> {
        panic!("one network in this world")
    }

    fn attestation(&self) -> Enforcement {
        match self.attests.load(Ordering::SeqCst) {
            true => Enforcement::Enforced,
            false => Enforcement::Unenforced { why: "a test".to_owned(), mend: "none".to_owned() },
        }
    }

    fn account_block(&self) -> std::io::Result<u32> {
        Ok(0)
    }
}

/// Endpoints that nobody listens on.
struct NoListeners;

impl EndpointListeners for NoListeners {
    fn open(&self, _: Arc<Workload>, port: Option<u16>, _: Option<Network>) -> std::io::Result<u16> {
        Ok(port.unwrap_or(40_000))
    }

    fn close(&self, _: WorkloadId) {}
}

/// Hosts nothing.
pub(crate) struct NoHosting;

impl Hosting for NoHosting {
    fn take<'a>(
        &'a self,
        _: &'a host::Publishable,
        _: wire::admin::Brought,
        _: Option<String>,
    ) -> Answer<'a, domain::DeploymentId> {
        Box::pin(async { Err(HostingFault::Unavailable("nothing is hosted in this world".to_owned())) })
    }

    fn deployment(&self, _: domain::AppId, _: domain::DeploymentId) -> Option<ObservedDeployment> {
        None
    }

    fn latest(&self, _: domain::AppId) -> Option<(domain::DeploymentId, ObservedDeployment)> {
        None
    }

    fn own_networks(&self) -> Answer<'_, ()> {
        Box::pin(async { Err(HostingFault::Unavailable("no networks in this world".to_owned())) })
    }

    fn azure_arc(&self, _: bool) -> Answer<'_, ()> {
        Box::pin(async { Err(HostingFault::Unavailable("no keys in this world".to_owned())) })
    }

    fn changed(&self, _: &domain::AppName) {}

    fn deleted(&self, _: &domain::AppName, _: domain::AppId) {}

    fn observed(&self, _: domain::AppId) -> ObservedApp {
        ObservedApp::default()
    }

    fn log(&self, _: domain::AppId, _: usize, _: bool) -> Answer<'_, axum::body::Body> {
        Box::pin(async { Ok(axum::body::Body::from("a line\n")) })
    }
}
