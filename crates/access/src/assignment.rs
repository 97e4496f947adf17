//! Who has which role where: at the subscription, a resource group, a resource, or one object of a vault. What is given at a scope holds in
//! all that is below it (Azure RBAC, scopes).

use crate::RoleRef;
use domain::{
    AppId, AssignmentId, ObjectKind, ObjectName, PlanId, PrincipalId, ResourceGroupName, Timestamp, VaultId,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use store::{Key, Record};

/// Where a role is given. Resources are named by ids that are never used again; a group by its name, and what is given there goes before it
/// does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "snake_case")]
pub enum Scope {
    /// Everything.
    Subscription,
    /// A resource group and what is in it.
    Group(ResourceGroupName),
    /// A vault and what is in it.
    Vault(VaultId),
    /// An app.
    App(AppId),
    /// A user-assigned identity, by its principal.
    Identity(PrincipalId),
    /// An App Service plan.
    Plan(PlanId),
}

/// As people are told it.
impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription => formatter.write_str("the subscription"),
            Self::Group(name) => write!(formatter, "resource group {name}"),
            Self::Vault(_) => formatter.write_str("the vault"),
            Self::App(_) => formatter.write_str("the app"),
            Self::Identity(_) => formatter.write_str("the identity"),
            Self::Plan(_) => formatter.write_str("the plan"),
        }
    }
}

/// One object of a vault: as far as an assignment may be narrowed down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectScope {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name. The scope outlives the object, as in Azure: another one of the same name is in it.
    pub name: ObjectName,
}

/// A role given to a principal or a group, at a scope or for one object of a vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAssignment {
    /// Which one.
    pub id: AssignmentId,
    /// What may be done.
    pub role: RoleRef,
    /// `None`: everywhere in the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectScope>,
    /// When it was made.
    pub created: Timestamp,
}

impl RoleAssignment {
    /// Does it apply there? An operation on no single object, such as a list, needs the whole vault.
    pub fn covers(&self, kind: ObjectKind, name: Option<&ObjectName>) -> bool {
        match &self.object {
            None => true,
            Some(object) => object.kind == kind && name == Some(&object.name),
        }
    }
}

/// All assignments of one principal or group, by its object id, in one vault: one key, so that a decision reads them with the vault itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAssignments {
    /// At most [`domain::limits::ROLE_ASSIGNMENTS_MAX`].
    pub assignments: Vec<RoleAssignment>,
}

impl RoleAssignments {
    /// Below which those of a vault are.
    pub fn prefix(vault: VaultId) -> Key {
        Key::new(format!("role-assignment/{vault}/"))
    }

    /// Below which those of all vaults are.
    pub fn everywhere() -> Key {
        Key::new("role-assignment/")
    }

    /// The vault and the principal of a key below [`RoleAssignments::everywhere`].
    pub fn of_key(key: &Key) -> Option<(VaultId, PrincipalId)> {
        let (vault, principal) = below(key, &Self::everywhere())?.split_once('/')?;
        Some((vault.parse().ok()?, principal.parse().ok()?))
    }
}

impl Record for RoleAssignments {
    type Id = (VaultId, PrincipalId);

    fn key((vault, principal): &Self::Id) -> Key {
        Key::new(format!("role-assignment/{vault}/{principal}"))
    }
}

/// All assignments of one principal or group anywhere but in a vault: one key, so that a decision that looks at resource, group and
/// subscription reads no more than this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WideRoles {
    /// Each with where it is given; at most [`domain::limits::ROLE_ASSIGNMENTS_MAX`].
    pub assignments: Vec<(Scope, RoleAssignment)>,
}

impl WideRoles {
    /// Below which they all are.
    pub fn prefix() -> Key {
        Key::new("wide-roles/")
    }

    /// The principal of a key below [`WideRoles::prefix`].
    pub fn of_key(key: &Key) -> Option<PrincipalId> {
        below(key, &Self::prefix())?.parse().ok()
    }
}

impl Record for WideRoles {
    type Id = PrincipalId;

    fn key(principal: &PrincipalId) -> Key {
        Key::new(format!("wide-roles/{principal}"))
    }
}

/// What comes after the prefix.
fn below<'k>(key: &'k Key, prefix: &Key) -> Option<&'k str> {
    key.as_bytes().strip_prefix(prefix.as_bytes()).and_then(|rest| std::str::from_utf8(rest).ok())
}
