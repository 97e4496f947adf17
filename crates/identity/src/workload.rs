//! A workload while it runs: which app it is an instance of, which cgroup holds it, and the hash of its endpoint secret.

use crate::{Challenges, attest::Confinement};
use crypt::HashedSecret;
use domain::{AppId, AppName, Entropy, Secret, WorkloadId};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

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

/// How the endpoint of a workload is protected. An enforced workload without a cgroup cannot be written down.
pub enum Protection {
    /// By the kernel: connections must come from this cgroup.
    Confined(Arc<dyn Confinement>),
    /// By the endpoint secret only.
    SecretOnly {
        /// What is missing.
        why: String,
        /// What to do about it.
        mend: String,
    },
}

/// One running instance of an app.
pub struct Workload {
    id: WorkloadId,
    app: AppId,
    name: AppName,
    secret: HashedSecret,
    protection: Protection,
    challenges: Option<Challenges>,
    ended: AtomicBool,
}

impl Workload {
    /// A workload that is about to be served.
    pub fn new(
        id: WorkloadId,
        app: AppId,
        name: AppName,
        secret: HashedSecret,
        protection: Protection,
    ) -> Self {
        Self { id, app, name, secret, protection, challenges: None, ended: AtomicBool::new(false) }
    }

    /// The same, whose endpoint speaks Azure Arc's protocol: it leaves keys instead of taking the endpoint secret.
    #[must_use]
    pub fn with_challenges(self, challenges: Challenges) -> Self {
        Self { challenges: Some(challenges), ..self }
    }

    /// Its id.
    pub const fn id(&self) -> WorkloadId {
        self.id
    }

    /// The app's id: another app of the same name is another app.
    pub const fn app(&self) -> AppId {
        self.app
    }

    /// The app's name.
    pub const fn name(&self) -> &AppName {
        &self.name
    }

    /// The hash of the secret that this start was given; the secret itself is kept nowhere.
    pub const fn secret(&self) -> &HashedSecret {
        &self.secret
    }

    /// The keys that are left for it, if its endpoint speaks Azure Arc's protocol.
    pub const fn challenges(&self) -> Option<&Challenges> {
        self.challenges.as_ref()
    }

    /// The cgroup that its processes are in, if it is enforced.
    pub const fn confinement(&self) -> Option<&Arc<dyn Confinement>> {
        match &self.protection {
            Protection::Confined(confinement) => Some(confinement),
            Protection::SecretOnly { .. } => None,
        }
    }

    /// What the kernel does for it.
    pub fn enforcement(&self) -> Enforcement {
        match &self.protection {
            Protection::Confined(_) => Enforcement::Enforced,
            Protection::SecretOnly { why, mend } => {
                Enforcement::Unenforced { why: why.clone(), mend: mend.clone() }
            }
        }
    }

    /// Has it ended? Then nothing is released on its connections any more.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Workload")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A fresh endpoint secret and what is kept of it.
pub fn mint_secret(entropy: &dyn Entropy) -> (Secret<String>, HashedSecret) {
    let secret = crypt::fresh_secret(entropy);
    let hash = HashedSecret::of(&secret);
    (secret, hash)
}
