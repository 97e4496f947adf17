//! Why the resource manager did not do something.

use crate::roles::RoleFault;
use access::{GroupFault, Unmanaged};
use domain::ResourceGroupName;
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
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}
