//! A store, a directory and a host, whose cgroups and listeners are what the test says.
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made has failed")]

use crypt::{Key256, SystemEntropy};
use directory::{DirectoryService, DirectorySettings};
use domain::{AppName, DomainName, HostNames, Timestamp, WorkloadId};
use host::{
    EndpointListeners, Enforcement, Environment, HostKernel, HostService, HostSettings, NetworkPlace, Place,
    ShadowDoor, ShadowDoors, ShadowFault, StartRequest, TrustFiles, Workload, shadow::Opening,
};
use identity::{Confinement, IdentityService};
use kernel::{CgroupId, KernelError, Network, NetworkId};
use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use store::{Memory, Store};

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

pub(crate) struct World {
    pub(crate) host: HostService,
    pub(crate) identity: Arc<IdentityService>,
    pub(crate) directory: Arc<DirectoryService>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) doors: Arc<Doors>,
    pub(crate) cgroups: Arc<Cgroups>,
    pub(crate) store: Arc<dyn Store>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(Memory::new())).await
    }

    pub(crate) async fn on(store: Arc<dyn Store>) -> Self {
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
        Self::over(store, Arc::new(directory.await.unwrap()), Arc::default(), "boot 1", false)
    }

    /// The same store, directory and cgroups after a restart of the server.
    pub(crate) fn restarted(&self, boot: &str) -> Self {
        Self::over(self.store.clone(), self.directory.clone(), self.cgroups.clone(), boot, false)
    }

    /// The same after a restart with a configuration that requires enforcement.
    pub(crate) fn restarted_strictly(&self) -> Self {
        Self::over(self.store.clone(), self.directory.clone(), self.cgroups.clone(), "boot 1", true)
    }

    fn over(
        store: Arc<dyn Store>,
        directory: Arc<DirectoryService>,
        cgroups: Arc<Cgroups>,
        boot: &str,
        require_enforced: bool,
    ) -> Self {
        let identity = Arc::new(IdentityService::new(store.clone(), directory.clone()));
        let (listeners, doors) = (Arc::new(Listeners::default()), Arc::new(Doors::default()));
        let trust = TrustFiles {
            bundle: "/d/bundle.pem".into(),
            root: "/d/root.pem".into(),
            truststore: "/d/trust.p12".into(),
            truststore_password: "changeit".to_owned(),
        };
        let settings = HostSettings {
            require_enforced,
            boot: boot.to_owned(),
            domain: "keyless.localhost".to_owned(),
            trust,
            settings_key: Arc::new(Key256::random(&SystemEntropy)),
        };
        let host = HostService::new(
            store.clone(),
            Arc::new(SystemEntropy),
            directory.clone(),
            identity.clone(),
            cgroups.clone(),
            listeners.clone(),
            settings,
        );
        let host = host.shadowing(doors.clone());
        Self { host, identity, directory, listeners, doors, cgroups, store }
    }
}

pub(crate) fn shop() -> AppName {
    AppName::parse("shop").unwrap()
}

pub(crate) fn in_cgroup(path: &str) -> StartRequest {
    StartRequest {
        of: None,
        place: Place::Cgroup(path.into()),
        require_enforced: true,
        environment: Environment::default(),
        instance: None,
        as_azure: false,
        network: NetworkPlace::Ours,
        attached: None,
        arc: false,
    }
}

/// In shadow mode.
pub(crate) fn as_azure() -> StartRequest {
    StartRequest { as_azure: true, ..nowhere(false) }
}

pub(crate) fn nowhere(require_enforced: bool) -> StartRequest {
    let place = Place::Unenforced { why: "no cgroup".to_owned(), mend: "make one".to_owned() };
    StartRequest {
        of: None,
        place,
        require_enforced,
        environment: Environment::default(),
        instance: None,
        as_azure: false,
        network: NetworkPlace::Ours,
        attached: None,
        arc: false,
    }
}

/// A cgroup of the test: its id, the ids of those around it, and whether it has processes.
#[derive(Debug)]
pub(crate) struct Cgroup {
    pub(crate) id: u64,
    pub(crate) around: Vec<u64>,
    pub(crate) is_populated: AtomicBool,
}

impl Confinement for Cgroup {
    fn id(&self) -> CgroupId {
        CgroupId::new(self.id)
    }

    fn contains(&self, cgroup: CgroupId) -> bool {
        cgroup == self.id()
    }

    fn lineage(&self) -> Result<Vec<CgroupId>, KernelError> {
        Ok([self.id].iter().chain(&self.around).copied().map(CgroupId::new).collect())
    }

    fn is_populated(&self) -> bool {
        self.is_populated.load(Ordering::SeqCst)
    }
}

/// The cgroups of the test, by path.
#[derive(Default)]
pub(crate) struct Cgroups {
    all: Mutex<BTreeMap<String, Arc<Cgroup>>>,
    pub(crate) cannot_attest: AtomicBool,
}

impl Cgroups {
    pub(crate) fn make(&self, path: &str, id: u64, around: &[u64]) -> Arc<Cgroup> {
        let cgroup = Arc::new(Cgroup { id, around: around.to_vec(), is_populated: AtomicBool::new(false) });
        self.all.lock().unwrap().insert(path.to_owned(), cgroup.clone());
        cgroup
    }

    pub(crate) fn remove(&self, path: &str) {
        self.all.lock().unwrap().remove(path);
    }
}

impl HostKernel for Cgroups {
    fn open_cgroup(&self, path: &Path, _: bool) -> Result<Arc<dyn Confinement>, KernelError> {
        match self.all.lock().unwrap().get(path.to_str().unwrap()) {
            Some(cgroup) => Ok(cgroup.clone()),
            None => Err(KernelError::NoCgroup2("the test made none")),
        }
    }

    fn listen_in(&self, _: &Path, _: NetworkId, _: Option<u16>, _: bool) -> Result<Network, KernelError> {
        Err(KernelError::NoCgroup2("the test has one network"))
    }

    fn attestation(&self) -> Enforcement {
        if self.cannot_attest.load(Ordering::SeqCst) {
            Enforcement::Unenforced { why: "no sock_diag".to_owned(), mend: "load tcp_diag".to_owned() }
        } else {
            Enforcement::Enforced
        }
    }

    fn account_block(&self) -> std::io::Result<u32> {
        Ok(0)
    }
}

/// Listeners that only keep book.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) open: Mutex<BTreeMap<WorkloadId, u16>>,
    pub(crate) is_broken: AtomicBool,
}

impl EndpointListeners for Listeners {
    fn open(&self, workload: Arc<Workload>, port: Option<u16>, _: Option<Network>) -> io::Result<u16> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let mut open = self.open.lock().unwrap();
        let port = port.unwrap_or(40_000 + u16::try_from(open.len()).unwrap());
        open.insert(workload.id(), port);
        Ok(port)
    }

    fn close(&self, workload: WorkloadId) {
        self.open.lock().unwrap().remove(&workload);
    }
}

/// Doors that only keep book.
#[derive(Default)]
pub(crate) struct Doors {
    pub(crate) open: Mutex<BTreeMap<WorkloadId, Ipv4Addr>>,
    pub(crate) is_broken: AtomicBool,
}

impl ShadowDoors for Doors {
    fn open(&self, workload: WorkloadId, address: Option<Ipv4Addr>) -> Opening<'_> {
        Box::pin(async move {
            if self.is_broken.load(Ordering::SeqCst) {
                return Err(ShadowFault { why: "no port".to_owned(), mend: "give one".to_owned() });
            }
            let mut open = self.open.lock().unwrap();
            let number = u8::try_from(open.len()).unwrap();
            let address = address.unwrap_or(Ipv4Addr::new(127, 75, 0, number));
            open.insert(workload, address);
            let trust = TrustFiles {
                bundle: "/d/azure/bundle.pem".into(),
                root: "/d/azure/root.pem".into(),
                truststore: "/d/azure/trust.p12".into(),
                truststore_password: "changeit".to_owned(),
            };
            Ok(ShadowDoor { address, hosts: format!("/d/azure/hosts-{workload}").into(), trust })
        })
    }

    fn close(&self, workload: WorkloadId) {
        self.open.lock().unwrap().remove(&workload);
    }
}
