//! Roles: what they allow, the built-in ones and those that people make (Azure RBAC, role definitions).
//!
//! Owns: role definitions, how operations are matched with their patterns. Owns not: who has which role where (`assignment`), and the
//! decisions ([`crate::permit()`], [`crate::manage()`]).

mod built_in;
mod pattern;

pub use built_in::BUILT_IN_ROLES;
pub use pattern::Operation;

use domain::{RoleId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use store::{Key, Load, Record, View};

/// What all data actions of Key Vault begin with.
pub const DATA_ACTION_PREFIX: &str = "Microsoft.KeyVault/vaults/";

/// A built-in role.
#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    /// Its identifier in Azure, the same everywhere.
    pub id: &'static str,
    /// Its name in Azure.
    pub name: &'static str,
    /// Operations of the resource manager; `*` stands for any characters.
    pub actions: &'static [&'static str],
    /// Those of them that it does not allow.
    pub not_actions: &'static [&'static str],
    /// Operations on what is in resources.
    pub data_actions: &'static [&'static str],
    /// Who may assign roles by it may assign only these, by their identifiers.
    pub assigns_only: Option<&'static [&'static str]>,
}

/// A role that people made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// Its identifier.
    pub id: RoleId,
    /// Its name: no other role has it.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Operations of the resource manager.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// Those of them that it does not allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_actions: Vec<String>,
    /// Operations on what is in resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_actions: Vec<String>,
    /// Those of them that it does not allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_data_actions: Vec<String>,
    /// Where it may be assigned, as resource ids.
    pub assignable_scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub changed: Timestamp,
    /// How often it was given: of two that happen at once, that and its deletion, the second decides again.
    #[serde(default)]
    pub given: u64,
}

impl CustomRole {
    /// Bytes that it takes of the record; at most [`domain::limits::CUSTOM_ROLE_BYTES_MAX`].
    pub fn bytes(&self) -> usize {
        // It becomes JSON: its keys are text. Counted as if it had been given as often as can be.
        serde_json::to_vec(&Self { given: u64::MAX, ..self.clone() }).map_or(usize::MAX, |json| json.len())
    }
}

/// All roles that people made, at most [`domain::limits::CUSTOM_ROLES_MAX`]: one key, so that no decision reads many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRoles {
    /// In no order.
    pub roles: Vec<CustomRole>,
}

impl CustomRoles {
    /// How often one was given; `None`: there is none.
    pub fn times_given(&self, id: RoleId) -> Option<u64> {
        self.roles.iter().find(|role| role.id == id).map(|role| role.given)
    }
}

impl Record for CustomRoles {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("role-definitions")
    }
}

/// A role as it is defined now.
#[derive(Clone, Debug)]
pub enum Definition {
    /// A built-in one.
    BuiltIn(&'static Role),
    /// One that people made.
    Custom(Box<CustomRole>),
}

impl Definition {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::BuiltIn(role) => role.name,
            Self::Custom(role) => &role.name,
        }
    }

    /// Does it allow this operation of the resource manager?
    pub fn allows(&self, operation: Operation<'_>) -> bool {
        match self {
            Self::BuiltIn(role) => operation.is_among(role.actions) && !operation.is_among(role.not_actions),
            Self::Custom(role) => operation.is_among(&role.actions) && !operation.is_among(&role.not_actions),
        }
    }

    /// Does it allow this operation on what is in a resource?
    pub fn allows_data(&self, operation: Operation<'_>) -> bool {
        match self {
            Self::BuiltIn(role) => operation.is_among(role.data_actions),
            Self::Custom(role) => {
                operation.is_among(&role.data_actions) && !operation.is_among(&role.not_data_actions)
            }
        }
    }

    /// May who assigns roles by it assign every one?
    pub(crate) const fn assigns_any(&self) -> bool {
        !matches!(self, Self::BuiltIn(Role { assigns_only: Some(_), .. }))
    }

    /// May who assigns roles by it assign this one?
    pub fn may_assign(&self, role: RoleRef) -> bool {
        match self {
            Self::BuiltIn(Role { assigns_only: Some(only), .. }) => only.iter().any(|id| role.is(id)),
            Self::BuiltIn(_) | Self::Custom(_) => true,
        }
    }
}

/// A role as stored and named: by its identifier; a built-in one is read also by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RoleRef {
    /// A built-in one.
    BuiltIn(&'static Role),
    /// One that people made. It may be no more.
    Custom(RoleId),
}

impl RoleRef {
    /// Its identifier.
    pub fn id(self) -> String {
        match self {
            Self::BuiltIn(role) => role.id.to_owned(),
            Self::Custom(id) => id.to_string(),
        }
    }

    /// Its name, if it is a built-in one; else its identifier.
    pub fn told(self) -> String {
        match self {
            Self::BuiltIn(role) => role.name.to_owned(),
            Self::Custom(id) => id.to_string(),
        }
    }

    fn is(self, id: &str) -> bool {
        matches!(self, Self::BuiltIn(role) if role.id == id)
    }

    /// What it allows now. `None`: it is no more.
    ///
    /// # Errors
    /// What must be loaded first.
    pub fn defined(self, view: &View) -> Result<Option<Definition>, Load> {
        match self {
            Self::BuiltIn(role) => Ok(Some(Definition::BuiltIn(role))),
            Self::Custom(id) => {
                let Some(all) = view.get::<CustomRoles>(&())? else { return Ok(None) };
                let role = all.roles.iter().find(|role| role.id == id);
                Ok(role.map(|role| Definition::Custom(Box::new(role.clone()))))
            }
        }
    }
}

impl FromStr for RoleRef {
    type Err = domain::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_named =
            |role: &&Role| role.id.eq_ignore_ascii_case(text) || role.name.eq_ignore_ascii_case(text);
        if let Some(role) = BUILT_IN_ROLES.iter().find(is_named) {
            return Ok(Self::BuiltIn(role));
        }
        text.parse().map(Self::Custom).map_err(|_| domain::NameError {
            what: "role",
            rule: "the name of a built-in role, such as \"Key Vault Secrets User\", or the identifier of a role",
        })
    }
}

impl fmt::Debug for RoleRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(role) => formatter.write_str(role.name),
            Self::Custom(id) => id.fmt(formatter),
        }
    }
}

impl Serialize for RoleRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::BuiltIn(role) => serializer.serialize_str(role.id),
            Self::Custom(id) => id.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RoleRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        domain::text::deserialize(deserializer, str::parse)
    }
}

#[cfg(test)]
mod tests;
