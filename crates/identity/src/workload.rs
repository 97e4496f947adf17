//! A workload while it runs: which app it is an instance of, which cgroup holds it, and the hash of its endpoint secret.

use crate::attest::Confinement;
use crypt::HashedSecret;
use domain::{AppId, AppName, Entropy, Secret, WorkloadId};
use std::sync::Arc;

/// Does the kernel keep strangers out?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Each connection is attested as one of the workload's own processes.
    Enforced,
    /// Only the endpoint secret protects the endpoint, and everybody is told so.
    Unenforced {
        /// What is missing.
        why: String,
        /// What to do about it.
        mend: String,
    },
}

impl Enforcement {
    /// Does the kernel keep strangers out?
    pub const fn is_enforced(&self) -> bool {
        matches!(self, Self::Enforced)
    }
}

/// One running instance of an app.
pub struct Workload {
    /// Its id.
    pub id: WorkloadId,
    /// The app's id: another app of the same name is another app.
    pub app: AppId,
    /// The app's name.
    pub name: AppName,
    /// The hash of the secret that this start was given; the secret itself is kept nowhere.
    pub secret: HashedSecret,
    /// The cgroup that its processes are in. Present exactly when enforced.
    pub confinement: Option<Arc<dyn Confinement>>,
    /// What the kernel does for it.
    pub enforcement: Enforcement,
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Workload").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A fresh endpoint secret and what is kept of it.
pub fn mint_secret(entropy: &dyn Entropy) -> (Secret<String>, HashedSecret) {
    let secret = crypt::fresh_secret(entropy);
    let hash = HashedSecret::of(&secret);
    (secret, hash)
}
