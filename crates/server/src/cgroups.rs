//! The kernel as `host` sees it in production: real cgroups, and whether peers can be attested.

use host::{Enforcement, HostKernel};
use identity::Confinement;
use kernel::{AppCgroup, Capabilities, CgroupId, KernelError, Verdict};
use std::{path::Path, sync::Arc};

/// Real cgroups.
pub(crate) struct Cgroups {
    attestation: Enforcement,
}

impl Cgroups {
    pub(crate) fn new(capabilities: &Capabilities) -> Self {
        let attestation = match &capabilities.attestation {
            Verdict::Enforced => Enforcement::Enforced,
            Verdict::Unenforced { why, mend } => {
                Enforcement::Unenforced { why: why.clone(), mend: mend.clone() }
            }
        };
        Self { attestation }
    }
}

impl HostKernel for Cgroups {
    fn open_cgroup(&self, path: &Path) -> Result<Arc<dyn Confinement>, KernelError> {
        Ok(Arc::new(Kept(AppCgroup::open(path)?)))
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
