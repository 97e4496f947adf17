//! Why the resource manager did not do something.

use crate::roles::RoleFault;
use access::{GroupFault, Unmanaged};
use domain::{AppName, Placement, PlanName, ResourceGroupName, limits};
use host::HostError;
use store::StoreError;

/// A request to the resource manager that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// Who asks may not.
    #[error(transparent)]
    Unmanaged(#[from] Unmanaged),
    /// There is no such group, or it is going.
    #[error(transparent)]
    Group(#[from] GroupFault),
    /// The group that is always there stays.
    #[error("resource group '{0}' is the one that is always there: what is in it can be deleted, it cannot")]
    GroupStays(ResourceGroupName),
    /// A group is where it was made.
    #[error("resource group '{0}' is in another location, and stays there")]
    GroupElsewhere(ResourceGroupName),
    /// About roles.
    #[error(transparent)]
    Role(#[from] RoleFault),
    /// There is no such plan in its group.
    #[error("App Service plan '{0}' could not be found")]
    PlanNotFound(PlanName),
    /// Apps are in it.
    #[error("App Service plan '{0}' cannot be deleted: there are apps in it")]
    PlanInUse(PlanName),
    /// The plan that is always there stays.
    #[error("App Service plan '{0}' is the one that is always there, and cannot be deleted")]
    PlanStays(PlanName),
    /// A plan is where it was made.
    #[error("App Service plan '{name}' is in location '{}', and stays there", placement.location)]
    PlanElsewhere {
        /// The plan.
        name: PlanName,
        /// Where it is.
        placement: Box<Placement>,
    },
    /// The app was deleted meanwhile.
    #[error("app {0} does not exist any more")]
    AppGone(AppName),
    /// What is to be kept of a site is more than may be.
    #[error(
        "what is said of the site is too much: at most {} values of {} bytes",
        limits::SITE_VALUES_MAX,
        limits::SITE_VALUE_BYTES_MAX
    )]
    TooMuch,
    /// The host's, of what it makes of an app.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}
