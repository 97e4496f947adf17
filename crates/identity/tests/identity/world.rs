//! A store, a directory and one app, with a kernel that says what the test wants.
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made has failed")]

use access::{Principal, PrincipalKind};
use crypt::{Key256, SystemEntropy};
use directory::{DirectoryError, DirectoryService, DirectorySettings};
use domain::{
    AppId, AppName, ClientId, DomainName, HostNames, Placement, PrincipalId, Secret, SubscriptionId,
    Timestamp, WorkloadId,
};
use identity::{
    App, Assigned, AttestedConnection, Confinement, IdentityError, IdentityService, ManagedToken, PeerProbe,
    ProcessFacts, TokenQuery, Workload,
    workload::{Protection, mint_secret},
};
use kernel::{AttestFault, Attested, CgroupId, KernelError, Peer};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use store::{Decision, Halt, Memory, Store, Write, transact};

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(crate) const APP_CGROUP: u64 = 42;

pub(crate) struct World {
    pub(crate) identity: IdentityService,
    pub(crate) workload: Arc<Workload>,
    pub(crate) secret: Secret<String>,
    pub(crate) principal: Principal,
    subscription: SubscriptionId,
    store: Arc<dyn Store>,
}

pub(crate) fn query() -> TokenQuery {
    TokenQuery { resource: "https://vault.azure.net".to_owned(), selector: None }
}

impl World {
    pub(crate) async fn new(is_enforced: bool) -> Self {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let names = HostNames::new(&DomainName::parse("keyless.localhost").unwrap(), 8443);
        let settings = DirectorySettings::new(names);
        let root = Arc::new(Key256::random(&SystemEntropy));
        let make_key = |_| Ok(crypt::test_keys::signing_key());
        let directory = DirectoryService::open(
            store.clone(),
            Arc::new(SystemEntropy),
            &root,
            settings,
            make_key,
            Arc::new(NOW),
        );
        let directory = Arc::new(directory.await.unwrap());
        let app = AppId::random(&SystemEntropy);
        let principal = Principal {
            id: PrincipalId::random(&SystemEntropy),
            client: ClientId::random(&SystemEntropy),
            tenant: directory.tenant().id,
            kind: PrincipalKind::ManagedIdentity { app },
            display_name: "shop".to_owned(),
            enabled: true,
            member_of: Vec::new(),
            resource_group: domain::ResourceGroupName::default(),
            created: NOW,
            revocations: access::Revocations::default(),
        };
        let (secret, hash) = mint_secret(&SystemEntropy);
        let protection = if is_enforced {
            Protection::Confined(Arc::new(AppCgroup))
        } else {
            Protection::SecretOnly { why: "a test".to_owned(), mend: "none".to_owned() }
        };
        let workload =
            Arc::new(Workload::new(WorkloadId::random(&SystemEntropy), app, name(), hash, protection));
        let subscription = directory.tenant().subscription();
        let identity = IdentityService::new(store.clone(), directory);
        identity.admit(workload.clone());
        let world = Self { identity, workload, secret, principal, subscription, store };
        world.put_principal(true).await;
        world.put_app(Some(world.principal.id), app).await;
        world
    }

    pub(crate) async fn token(
        &self,
        connection: &AttestedConnection,
        query: &TokenQuery,
        now: Timestamp,
    ) -> Result<Arc<ManagedToken>, IdentityError> {
        let authentic = self.identity.check_secret(connection, &self.secret)?;
        self.identity.token(authentic, query, now).await
    }

    /// How requests name an identity as a resource.
    pub(crate) fn resource_id(&self, principal: &Principal) -> String {
        directory::managed::resource_id(self.subscription, principal).unwrap()
    }

    /// Another principal.
    pub(crate) async fn put(&self, principal: &Principal) {
        self.write(store::put::<Principal>(&principal.id, principal)).await;
    }

    pub(crate) async fn put_principal(&self, enabled: bool) {
        let principal = Principal { enabled, ..self.principal.clone() };
        self.write(store::put::<Principal>(&principal.id, &principal)).await;
    }

    pub(crate) async fn put_app(&self, identity: Option<PrincipalId>, id: AppId) {
        self.put_app_with(identity, Vec::new(), id).await;
    }

    pub(crate) async fn put_app_with(
        &self,
        identity: Option<PrincipalId>,
        user_assigned: Vec<Assigned>,
        id: AppId,
    ) {
        let app = App {
            id,
            name: name(),
            identity,
            user_assigned,
            placement: Placement::default(),
            created: NOW,
            changed: NOW,
        };
        self.write(store::put::<App>(&name(), &app)).await;
    }

    async fn write(&self, write: Write) {
        transact(&*self.store, &SystemEntropy, |_| -> Result<_, Halt<DirectoryError>> {
            Ok(Decision::of((), vec![write.clone()]))
        })
        .await
        .unwrap();
    }
}

fn name() -> AppName {
    AppName::parse("shop").unwrap()
}

struct AppCgroup;

impl Confinement for AppCgroup {
    fn id(&self) -> CgroupId {
        CgroupId::new(APP_CGROUP)
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

/// A connection of which the kernel says what the test wants.
pub(crate) struct StandIn {
    peer: Option<Peer>,
    pub(crate) has_changed: AtomicBool,
}

impl StandIn {
    pub(crate) fn own(cookie: u64) -> Arc<Self> {
        Self::of(CgroupId::new(APP_CGROUP), cookie)
    }

    pub(crate) fn of(cgroup: CgroupId, cookie: u64) -> Arc<Self> {
        let peer = Peer { cgroup, uid: 1_000, inode: 5, cookie };
        Arc::new(Self { peer: Some(peer), has_changed: AtomicBool::new(false) })
    }

    pub(crate) fn unknown() -> Arc<Self> {
        Arc::new(Self { peer: None, has_changed: AtomicBool::new(false) })
    }
}

impl PeerProbe for StandIn {
    fn attest(&self) -> Result<Attested<Peer>, AttestFault> {
        self.peer.map(Attested::simulated).ok_or(AttestFault::NoSuchSocket)
    }

    fn attest_again(&self, _earlier: &Attested<Peer>) -> Result<(), AttestFault> {
        if self.has_changed.load(Ordering::SeqCst) { Err(AttestFault::NoSuchSocket) } else { Ok(()) }
    }

    fn describe(&self) -> Option<ProcessFacts> {
        self.peer.map(|peer| ProcessFacts {
            uid: peer.uid,
            pid: None,
            cgroup: "/shop".to_owned(),
            executable: None,
        })
    }
}
