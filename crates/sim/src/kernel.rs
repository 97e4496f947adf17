//! The simulated kernel: cgroups by path, peers that are what the scene says, and listeners that only keep book.

use crate::faults::Mutation;
use ::kernel::{AttestFault, Attested, CgroupId, KernelError, Network, NetworkId, Peer};
use host::{EndpointListeners, Enforcement, HostKernel, Workload};
use identity::{Confinement, PeerProbe, ProcessFacts};
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
};
use wire::msi::Endpoint;

/// The cgroups of a world. Outlive its servers, as processes do.
pub(crate) struct SimKernel {
    cgroups: BTreeMap<String, Arc<SimCgroup>>,
    /// The kernel gives each socket its own.
    cookies: AtomicU64,
    mutation: Mutation,
}

/// One cgroup with one child.
pub(crate) struct SimCgroup {
    id: u64,
    is_populated: AtomicBool,
    is_blind: bool,
}

impl SimKernel {
    pub(crate) fn new(paths: &[&str], mutation: Mutation) -> Self {
        let cgroup = |(index, path): (usize, &&str)| {
            let id = 100 + 10 * index as u64;
            let is_blind = mutation == Mutation::BlindKernel;
            let cgroup = SimCgroup { id, is_populated: AtomicBool::new(false), is_blind };
            ((*path).to_owned(), Arc::new(cgroup))
        };
        let cgroups = paths.iter().enumerate().map(cgroup).collect();
        Self { cgroups, cookies: AtomicU64::new(1), mutation }
    }

    /// A connection from a cgroup. When its peer is asked about for the second time, it may be another one.
    pub(crate) fn connection(&self, cgroup: u64, changes: bool) -> Arc<SimPeer> {
        let cookie = self.cookies.fetch_add(1, Ordering::SeqCst);
        Arc::new(SimPeer::new(cgroup, cookie, changes && self.mutation != Mutation::TrustingKernel))
    }

    /// The id of a cgroup.
    pub(crate) fn id(&self, path: &str) -> u64 {
        self.cgroups.get(path).map_or(0, |cgroup| cgroup.id)
    }

    /// A process is born in a cgroup, or its last one dies.
    pub(crate) fn populate(&self, path: &str, is_populated: bool) {
        if let Some(cgroup) = self.cgroups.get(path) {
            cgroup.is_populated.store(is_populated, Ordering::SeqCst);
        }
    }
}

impl HostKernel for SimKernel {
    fn open_cgroup(&self, path: &Path, _: bool) -> Result<Arc<dyn Confinement>, KernelError> {
        match path.to_str().and_then(|path| self.cgroups.get(path)) {
            Some(cgroup) => Ok(cgroup.clone()),
            None => Err(KernelError::NoCgroup2("nobody made it")),
        }
    }

    fn listen_in(&self, _: &Path, _: NetworkId, _: Option<u16>, _: bool) -> Result<Network, KernelError> {
        Err(KernelError::NoCgroup2("every program of this world is in one network"))
    }

    fn attestation(&self) -> Enforcement {
        Enforcement::Enforced
    }

    fn account_block(&self) -> std::io::Result<u32> {
        Ok(0)
    }
}

impl Confinement for SimCgroup {
    fn id(&self) -> CgroupId {
        CgroupId::new(self.id)
    }

    fn contains(&self, cgroup: CgroupId) -> bool {
        self.is_blind || cgroup == self.id() || cgroup == CgroupId::new(self.id + 1)
    }

    fn lineage(&self) -> Result<Vec<CgroupId>, KernelError> {
        Ok(vec![self.id()])
    }

    fn is_populated(&self) -> bool {
        self.is_populated.load(Ordering::SeqCst)
    }
}

/// One connection as the kernel knows it.
pub(crate) struct SimPeer {
    peer: Peer,
    changes: bool,
}

impl SimPeer {
    const fn new(cgroup: u64, cookie: u64, changes: bool) -> Self {
        Self { peer: Peer { cgroup: CgroupId::new(cgroup), uid: 1_000, inode: 5, cookie }, changes }
    }
}

impl PeerProbe for SimPeer {
    fn attest(&self) -> Result<Attested<Peer>, AttestFault> {
        Ok(Attested::simulated(self.peer))
    }

    fn attest_again(&self, _: &Attested<Peer>) -> Result<(), AttestFault> {
        if self.changes { Err(AttestFault::Changed) } else { Ok(()) }
    }

    fn describe(&self) -> Option<ProcessFacts> {
        Some(ProcessFacts {
            uid: self.peer.uid,
            pid: None,
            cgroup: "/simulated".to_owned(),
            executable: None,
        })
    }
}

/// The endpoints of one server, by port.
pub(crate) struct SimListeners {
    endpoints: Mutex<BTreeMap<u16, Arc<Endpoint>>>,
    next: AtomicU16,
}

impl SimListeners {
    /// Ports from `first` on.
    pub(crate) const fn new(first: u16) -> Self {
        Self { endpoints: Mutex::new(BTreeMap::new()), next: AtomicU16::new(first) }
    }

    pub(crate) fn endpoint(&self, port: u16) -> Option<Arc<Endpoint>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).get(&port).cloned()
    }
}

impl EndpointListeners for SimListeners {
    fn open(&self, workload: Arc<Workload>, port: Option<u16>, _: Option<Network>) -> io::Result<u16> {
        let port = port.unwrap_or_else(|| self.next.fetch_add(1, Ordering::SeqCst));
        let endpoint = Arc::new(Endpoint::app_service(workload, port));
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).insert(port, endpoint);
        Ok(port)
    }

    fn close(&self, workload: domain::WorkloadId) {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|_, endpoint| endpoint.workload().id() != workload);
    }
}
