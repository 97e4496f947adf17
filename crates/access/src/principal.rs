//! The principal: the acting identity of a tenant. Its record is what every permit reads, and what revocation changes.

use crate::Revocations;
use domain::{AppId, ClientId, GroupId, PrincipalId, RegistrationId, ResourceGroupName, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Record};

/// An acting identity. `directory` makes, disables and deletes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The object id: `oid` and `sub` of its tokens.
    pub id: PrincipalId,
    /// The client id: `appid` of its tokens.
    pub client: ClientId,
    /// Its tenant.
    pub tenant: TenantId,
    /// What it acts for.
    pub kind: PrincipalKind,
    /// A name for people.
    pub display_name: String,
    /// A disabled principal gets no token, and its tokens are worth nothing.
    pub enabled: bool,
    /// The groups that it is in, at most [`domain::limits::GROUPS_OF_PRINCIPAL_MAX`]. One that was deleted may stand here still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_of: Vec<GroupId>,
    /// The resource group that it is in, if it is a managed identity: that of its app, or its own.
    #[serde(default, skip_serializing_if = "is_default_group")]
    pub resource_group: ResourceGroupName,
    /// When it was made.
    pub created: Timestamp,
    /// Which of its tokens are worth nothing before they expire.
    #[serde(default, skip_serializing_if = "Revocations::is_empty")]
    pub revocations: Revocations,
}

/// What a principal acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PrincipalKind {
    /// An app registration.
    Application {
        /// The registration.
        registration: RegistrationId,
    },
    /// The one app that `host` runs and that it comes and goes with (system-assigned). It has no registration.
    ManagedIdentity {
        /// The app.
        app: AppId,
    },
    /// A managed identity that is a thing of its own, which apps are given and which outlives them. It has no registration.
    UserAssignedIdentity,
    /// A person. `directory` has a user of the same id.
    User,
}

fn is_default_group(group: &ResourceGroupName) -> bool {
    *group == ResourceGroupName::default()
}

impl Record for Principal {
    type Id = PrincipalId;

    fn key(id: &PrincipalId) -> Key {
        Key::of(&[b"principal/", id.text().as_ref()])
    }
}
