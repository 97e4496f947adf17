//! The kernel as `host` sees it in production: real cgroups, networks that are not ours, and whether peers can be attested.

use host::{Enforcement, HostKernel};
use identity::Confinement;
use kernel::{
    AppCgroup, Capabilities, CgroupId, Hierarchy, KernelError, Network, NetworkId, NetworkPorts, Verdict,
};
use std::{io, path::Path, sync::Arc};

/// Real cgroups.
pub(crate) struct Cgroups {
    attestation: Enforcement,
    /// Of the public listener.
    port: u16,
}

impl Cgroups {
    pub(crate) fn new(capabilities: &Capabilities, port: u16) -> Self {
        let attestation = match &capabilities.attestation {
            Verdict::Enforced => Enforcement::Enforced,
            Verdict::Unenforced { why, mend } => {
                Enforcement::Unenforced { why: why.clone(), mend: mend.clone() }
            }
        };
        Self { attestation, port }
    }
}

impl HostKernel for Cgroups {
    fn open_cgroup(&self, path: &Path) -> Result<Arc<dyn Confinement>, KernelError> {
        let cgroup = AppCgroup::open(path)?;
        // Nothing is kept apart by one that holds the server itself, as the hierarchy's root does: most of the machine may be in it.
        let own = Hierarchy::discover().and_then(|hierarchy| AppCgroup::open(&hierarchy.own))?;
        if cgroup.contains(own.id()) {
            let source = io::Error::other("the server itself is in it, and whatever else runs beside it");
            return Err(KernelError::Cgroup { doing: "give an identity to", path: path.to_owned(), source });
        }
        Ok(Arc::new(Kept(cgroup)))
    }

    fn listen_in(&self, cgroup: &Path, id: NetworkId, port: Option<u16>) -> Result<Network, KernelError> {
        let ports = NetworkPorts { loopback: vec![port.unwrap_or(0), self.port], metadata: false };
        kernel::network_of(&AppCgroup::open(cgroup)?, id, &ports)
    }

    fn attestation(&self) -> Enforcement {
        self.attestation.clone()
    }
}

/// The cgroup of a workload. `keyless run` removes it when the program ends; if that was killed, or other processes of the app went on
/// after it, it is removed with the workload.
struct Kept(AppCgroup);

impl Confinement for Kept {
    fn id(&self) -> CgroupId {
        self.0.id()
    }

    fn contains(&self, cgroup: CgroupId) -> bool {
        self.0.contains(cgroup)
    }

    fn is_populated(&self) -> bool {
        self.0.is_populated()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let is_ours =
            self.0.path().file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"keyless-"));
        // One that has processes stays, as when only the server ends.
        if is_ours && !self.0.is_populated() {
            let _best_effort = self.0.remove();
        }
    }
}
