//! The kernel as `host` sees it in production: real cgroups, and whether peers can be attested.

use host::{Enforcement, HostKernel};
use identity::Confinement;
use kernel::{AppCgroup, Capabilities, KernelError, Verdict};
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
        Ok(Arc::new(AppCgroup::open(path)?))
    }

    fn attestation(&self) -> Enforcement {
        self.attestation.clone()
    }
}
