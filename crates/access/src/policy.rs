//! Access policies: what a vault's owner allows to whom (Key Vault access policies).

use domain::{Permissions, PrincipalId};
use serde::{Deserialize, Serialize};

/// One rule of one vault, for all of its objects. A vault has at most one for each principal and group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// To whom: the object id of a principal, or of a group.
    pub principal: PrincipalId,
    /// What.
    #[serde(flatten)]
    pub permissions: Permissions,
}
