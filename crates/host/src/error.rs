//! What can go wrong with apps and workloads, in our words.

use crypt::CryptError;
use directory::DirectoryError;
use domain::{AppName, IdentityName, WorkloadId};
use kernel::KernelError;
use store::StoreError;

/// Why something about an app or workload was not done.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no such app.
    #[error("app {0} does not exist")]
    AppNotFound(AppName),
    /// There already is one.
    #[error("app {0} exists already")]
    AppExists(AppName),
    /// There is no such user-assigned identity.
    #[error("identity {0} does not exist")]
    IdentityNotFound(IdentityName),
    /// There already is one.
    #[error("identity {0} exists already")]
    IdentityExists(IdentityName),
    /// The identity has no federated credential of this name.
    #[error("identity {0} has no such federated credential")]
    FederatedNotFound(IdentityName),
    /// The app has too many user-assigned identities.
    #[error("an app has at most {limit} user-assigned identities")]
    TooManyIdentities {
        /// The limit.
        limit: usize,
    },
    /// There is no such workload, or it has ended.
    #[error("workload {0} is not running")]
    WorkloadNotFound(WorkloadId),
    /// Too many workloads run already.
    #[error("{limit} workloads run already, which is the limit")]
    TooManyWorkloads {
        /// The limit.
        limit: usize,
    },
    /// Enforcement was required and the kernel cannot do it.
    #[error("the kernel cannot enforce this app's isolation: {why}")]
    NotEnforced {
        /// What is missing.
        why: String,
        /// What to do about it.
        mend: String,
    },
    /// The cgroup holds or is held by the cgroup of another workload: one could get the tokens of the other.
    #[error("the cgroup overlaps that of a running workload of app {other}")]
    CgroupShared {
        /// The other workload's app.
        other: AppName,
    },
    /// The cgroup cannot be used.
    #[error("the cgroup cannot be used")]
    Cgroup(#[source] KernelError),
    /// There is no door for a program in shadow mode.
    #[error("the program cannot be started in shadow mode: {why}")]
    NoShadow {
        /// What is missing.
        why: String,
        /// What to do about it.
        mend: String,
    },
    /// What is to be attached runs no more.
    #[error("no process is in this cgroup any more")]
    CgroupEmpty,
    /// The endpoint could not be opened where the program would find it.
    #[error("the identity endpoint could not be opened in the network of the program")]
    Network(#[source] KernelError),
    /// The endpoint could not be opened.
    #[error("the identity endpoint could not be opened")]
    Endpoint(#[source] std::io::Error),
    /// Something of an app that cannot be so.
    #[error("{what}: {rule}")]
    SettingInvalid {
        /// What.
        what: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// A setting that every start sets itself.
    #[error("{name} is set by Keyless at each start; a setting cannot be named so")]
    SettingReserved {
        /// Which.
        name: String,
    },
    /// There is no such setting.
    #[error("the app has no setting {name}")]
    SettingNotFound {
        /// Which.
        name: String,
    },
    /// A setting's stored value is no text.
    #[error("a stored setting is broken")]
    SettingBroken,
    /// This installation cannot claim accounts for apps.
    #[error("no accounts for apps can be claimed on this machine")]
    Accounts(#[source] std::io::Error),
    /// Every account that apps may run under was given away.
    #[error("no account is left for another app")]
    NoAccountLeft,
    /// A stored setting does not open.
    #[error("a setting cannot be sealed or opened")]
    Crypt(#[from] CryptError),
    /// Whoever asks may not.
    #[error(transparent)]
    Unmanaged(#[from] access::Unmanaged),
    /// Nothing is made in this resource group.
    #[error(transparent)]
    Group(#[from] access::GroupFault),
    /// The directory refused.
    #[error("the directory refused")]
    Directory(#[from] DirectoryError),
    /// The store did not do it.
    #[error("the store did not do it")]
    Store(#[from] StoreError),
}
