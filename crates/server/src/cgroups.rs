//! The kernel as `host` sees it in production: real cgroups, networks that are not ours, and whether peers can be attested.

use crate::{
    apps::{self, AppFiles, accounts},
    clock,
    hands::{self, Hands},
};
use domain::{AppId, WorkloadId};
use host::{Enforcement, HostKernel};
use identity::{Challenges, Confinement};
use kernel::{
    AppCgroup, Capabilities, CgroupId, Hierarchy, KernelError, Network, NetworkId, NetworkPorts, Verdict,
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// Real cgroups.
pub(crate) struct Cgroups {
    attestation: Enforcement,
    /// Of the public listener.
    port: u16,
    claim: Claim,
    files: AppFiles,
    hands: Hands,
}

/// Whose accounts are claimed.
pub(crate) struct Claim {
    /// The installation's id.
    pub(crate) installation: String,
    /// A file that is there as long as it is.
    pub(crate) store: PathBuf,
    block: OnceLock<u32>,
}

impl Claim {
    pub(crate) const fn new(installation: String, store: PathBuf) -> Self {
        Self { installation, store, block: OnceLock::new() }
    }
}

impl Cgroups {
    pub(crate) fn new(
        capabilities: &Capabilities,
        port: u16,
        claim: Claim,
        files: AppFiles,
        hands: Hands,
    ) -> Self {
        let attestation = match &capabilities.attestation {
            Verdict::Enforced => Enforcement::Enforced,
            Verdict::Unenforced { why, mend } => {
                Enforcement::Unenforced { why: why.clone(), mend: mend.clone() }
            }
        };
        Self { attestation, port, claim, files, hands }
    }
}

impl HostKernel for Cgroups {
    fn open_cgroup(&self, path: &Path, is_attached: bool) -> Result<Arc<dyn Confinement>, KernelError> {
        let cgroup = AppCgroup::open(path)?;
        // Nothing is kept apart by one that holds the server itself, as the hierarchy's root does: most of the machine may be in it.
        let own = Hierarchy::discover().and_then(|hierarchy| AppCgroup::open(&hierarchy.own))?;
        let fail =
            |source| KernelError::Cgroup { doing: "give an identity to", path: path.to_owned(), source };
        // Not by what is below it: of a broad one that is more than is looked at.
        if own.is_within(cgroup.id())? {
            return Err(fail(io::Error::other(
                "the server itself is in it, and whatever else runs beside it",
            )));
        }
        Ok(Arc::new(Kept { cgroup: Arc::new(cgroup), is_attached, hands: self.hands.clone() }))
    }

    fn listen_in(
        &self,
        cgroup: &Path,
        id: NetworkId,
        port: Option<u16>,
        imds: bool,
    ) -> Result<Network, KernelError> {
        let ports = NetworkPorts { loopback: vec![port.unwrap_or(0), self.port], metadata: imds };
        kernel::network_of(&AppCgroup::open(cgroup)?, id, &ports)
    }

    fn attestation(&self) -> Enforcement {
        self.attestation.clone()
    }

    fn challenges(&self, app: AppId, workload: WorkloadId) -> Challenges {
        let folder = apps::arc::key_folder(&self.files.app(app), workload);
        Challenges::new(folder, Arc::new(self.hands.clone()))
    }

    fn account_block(&self) -> io::Result<u32> {
        // An ordinary user's apps run as that user.
        if !kernel::is_root() {
            return Ok(0);
        }
        let Claim { installation, store, block } = &self.claim;
        if let Some(block) = block.get() {
            return Ok(*block);
        }
        let (installation, store) = (installation.clone(), store.clone());
        let claim =
            move || accounts::claim(Path::new(accounts::CLAIMS), &installation, &store, clock::file_time());
        // The resource manager's clients may be the first who want an account, by a thread that opens no file. Nothing is held while it is
        // waited for: whoever claims at the same time finds the same block.
        let claimed = match kernel::sandbox::is_confined() {
            true => self.hands.wait(claim).unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into())),
            false => hands::aside(claim),
        };
        claimed.map(|claimed| *block.get_or_init(|| claimed))
    }
}

/// The cgroup of a workload. `keyless run` removes it when the program ends; if that was killed, or other processes of the app went on
/// after it, it is removed with the workload. One that was attached is somebody else's, whatever its name.
struct Kept {
    cgroup: Arc<AppCgroup>,
    is_attached: bool,
    hands: Hands,
}

impl Confinement for Kept {
    fn id(&self) -> CgroupId {
        self.cgroup.id()
    }

    fn contains(&self, cgroup: CgroupId) -> bool {
        self.cgroup.contains(cgroup)
    }

    fn lineage(&self) -> Result<Vec<CgroupId>, KernelError> {
        Ok(self.cgroup.lineage()?.to_vec())
    }

    fn is_populated(&self) -> bool {
        self.cgroup.is_populated()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let is_named_so = self
            .cgroup
            .path()
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"keyless-"));
        // One that has processes stays, as when only the server ends.
        if !self.is_attached && is_named_so && !self.cgroup.is_populated() {
            let cgroup = self.cgroup.clone();
            let remove = move || {
                let _best_effort = cgroup.remove();
            };
            // The last one who knows it may be a connection that ends.
            if kernel::sandbox::is_confined() { self.hands.hand_over(remove) } else { remove() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cgroup_that_was_made_for_a_workload_goes_with_it() {
        let parent = Hierarchy::discover().map(|hierarchy| kernel::placement(&hierarchy));
        let Ok(kernel::Placement::Root { parent } | kernel::Placement::Delegated { parent }) = parent else {
            return;
        };
        let own = std::process::id();
        for (name, is_attached, stays) in
            [("keyless-kept", false, false), ("keyless-kept", true, true), ("others", false, true)]
        {
            let cgroup = AppCgroup::create(&parent, &format!("{name}-{own}")).unwrap();
            let opened = Arc::new(AppCgroup::open(cgroup.path()).unwrap());
            drop(Kept { cgroup: opened, is_attached, hands: Hands::default() });
            let stayed = cgroup.path().exists();
            cgroup.remove().unwrap();
            assert_eq!(stayed, stays, "{name} {is_attached}");
        }
    }
}
