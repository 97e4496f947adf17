//! Roles and their assignments: the other model of access to a vault (Azure RBAC for the Key Vault data plane).
//!
//! Owns: the built-in roles with their identifiers and data actions, role assignments and where they apply. Owns not: which model a vault
//! follows (its own record says), and the decision ([`crate::permit()`]).

use domain::{AssignmentId, ObjectKind, ObjectName, PrincipalId, Timestamp, VaultId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use store::{Key, Record};

/// What all data actions of Key Vault begin with.
pub const DATA_ACTION_PREFIX: &str = "Microsoft.KeyVault/vaults/";

/// A built-in role.
#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    /// Its identifier in Azure, the same everywhere.
    pub id: &'static str,
    /// Its name in Azure.
    pub name: &'static str,
    /// Its data actions after [`DATA_ACTION_PREFIX`]; `*` stands for any characters.
    pub data_actions: &'static [&'static str],
}

const fn role(id: &'static str, name: &'static str, data_actions: &'static [&'static str]) -> Role {
    Role { id, name, data_actions }
}

/// Key Vault's built-in roles (Azure built-in roles, Security). Those with no data action are for the management of vaults.
pub const BUILT_IN_ROLES: &[Role] = &[
    role("00482a5a-887f-4fb3-b363-3b7fe8e74483", "Key Vault Administrator", &["*"]),
    role(
        "21090545-7ca7-4776-b22c-e363652d74d2",
        "Key Vault Reader",
        &["*/read", "secrets/readMetadata/action"],
    ),
    role("b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "Key Vault Secrets Officer", &["secrets/*"]),
    role(
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        &["secrets/getSecret/action", "secrets/readMetadata/action"],
    ),
    role(
        "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
        "Key Vault Crypto Officer",
        &["keys/*", "keyrotationpolicies/*"],
    ),
    role(
        "12338af0-0e69-4776-bea7-57ae8d297424",
        "Key Vault Crypto User",
        &[
            "keys/read",
            "keys/update/action",
            "keys/backup/action",
            "keys/encrypt/action",
            "keys/decrypt/action",
            "keys/wrap/action",
            "keys/unwrap/action",
            "keys/sign/action",
            "keys/verify/action",
        ],
    ),
    role(
        "e147488a-f6f5-4113-8e2d-b22465e65bf6",
        "Key Vault Crypto Service Encryption User",
        &["keys/read", "keys/wrap/action", "keys/unwrap/action"],
    ),
    role(
        "08bbd89e-9f13-488c-ac41-acfcb10c90ab",
        "Key Vault Crypto Service Release User",
        &["keys/release/action"],
    ),
    role(
        "a4417e6f-fecd-4de8-b567-7b0420556985",
        "Key Vault Certificates Officer",
        &["certificatecas/*", "certificates/*", "certificatecontacts/write"],
    ),
    role(
        "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba",
        "Key Vault Certificate User",
        &["certificates/read", "secrets/getSecret/action", "secrets/readMetadata/action", "keys/read"],
    ),
    role("a68e7c17-0ab2-4c09-9a58-125dae29748c", "Key Vault Purge Operator", &[]),
    role("f25e0fa2-a7c8-4377-a976-54943a77a395", "Key Vault Contributor", &[]),
    role("8b54135c-b56d-4d72-a534-26097cfdc8d8", "Key Vault Data Access Administrator", &[]),
];

impl Role {
    /// Does it allow this data action (what comes after [`DATA_ACTION_PREFIX`])?
    pub fn allows(&self, data_action: &str) -> bool {
        self.data_actions.iter().any(|pattern| matches(pattern, data_action))
    }
}

/// `*` stands for any characters, also none; there is at most one. Case does not matter, as in Azure.
fn matches(pattern: &str, data_action: &str) -> bool {
    let (pattern, data_action) = (pattern.to_ascii_lowercase(), data_action.to_ascii_lowercase());
    match pattern.split_once('*') {
        None => pattern == data_action,
        Some((start, end)) => {
            data_action.len() >= start.len() + end.len()
                && data_action.starts_with(start)
                && data_action.ends_with(end)
        }
    }
}

/// A built-in role as stored and named: by its identifier; read also by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RoleRef(&'static Role);

impl RoleRef {
    /// The role.
    pub const fn role(self) -> &'static Role {
        self.0
    }
}

impl FromStr for RoleRef {
    type Err = domain::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_named =
            |role: &&Role| role.id.eq_ignore_ascii_case(text) || role.name.eq_ignore_ascii_case(text);
        BUILT_IN_ROLES.iter().find(is_named).map(Self).ok_or(domain::NameError {
            what: "role",
            rule: "the name or identifier of a built-in Key Vault role, such as \"Key Vault Secrets User\"",
        })
    }
}

impl fmt::Debug for RoleRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.name)
    }
}

impl Serialize for RoleRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.id)
    }
}

impl<'de> Deserialize<'de> for RoleRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
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

/// A role given to a principal or a group, for a vault or for one object of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAssignment {
    /// Which one.
    pub id: AssignmentId,
    /// What may be done.
    pub role: RoleRef,
    /// `None`: everywhere in the vault.
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
}

impl Record for RoleAssignments {
    type Id = (VaultId, PrincipalId);

    fn key((vault, principal): &Self::Id) -> Key {
        Key::new(format!("role-assignment/{vault}/{principal}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ACTIONS;

    fn named(name: &str) -> &'static Role {
        name.parse::<RoleRef>().unwrap().role()
    }

    #[test]
    fn patterns_match_whole_data_actions() {
        for (pattern, data_action, expected) in [
            ("*", "secrets/getSecret/action", true),
            ("secrets/*", "secrets/delete", true),
            ("secrets/*", "SECRETS/delete", true),
            ("*/read", "keys/read", true),
            ("*/read", "keys/readers", false),
            ("keys/read", "keys/read/more", false),
            ("keys/*", "keyrotationpolicies/read", false),
            ("a/*/a", "a/a", false),
        ] {
            assert_eq!(matches(pattern, data_action), expected, "{pattern} {data_action}");
        }
    }

    /// What the roles' documents say of whom they are for.
    #[test]
    fn roles_allow_what_they_are_for() {
        let may = |role: &str, action: &str| {
            let action = ACTIONS.iter().find(|known| known.name == action).unwrap();
            named(role).allows(action.data_action)
        };
        assert!(may("Key Vault Secrets User", "secret.get") && !may("Key Vault Secrets User", "secret.set"));
        assert!(!may("Key Vault Secrets User", "key.get"));
        assert!(may("Key Vault Reader", "secret.list") && !may("Key Vault Reader", "secret.get"));
        assert!(may("Key Vault Reader", "certificate.get") && !may("Key Vault Reader", "key.sign"));
        assert!(
            may("Key Vault Secrets Officer", "secret.purge") && !may("Key Vault Secrets Officer", "key.list")
        );
        assert!(may("Key Vault Crypto User", "key.sign") && !may("Key Vault Crypto User", "key.create"));
        assert!(may("Key Vault Crypto Officer", "key.rotation-policy.set"));
        assert!(!may("Key Vault Certificates Officer", "secret.get"), "the private key is not theirs");
        assert!(may("Key Vault Certificate User", "secret.get"));
        assert!(ACTIONS.iter().all(|action| named("Key Vault Administrator").allows(action.data_action)));
        assert!(ACTIONS.iter().all(|action| !named("Key Vault Contributor").allows(action.data_action)));
    }

    #[test]
    fn roles_are_found_by_name_and_identifier_and_stored_by_identifier() {
        let role: RoleRef = "key vault reader".parse().unwrap();
        assert_eq!(role, "21090545-7CA7-4776-B22C-E363652D74D2".parse().unwrap());
        assert_eq!(serde_json::to_string(&role).unwrap(), "\"21090545-7ca7-4776-b22c-e363652d74d2\"");
        assert!("Owner".parse::<RoleRef>().is_err());
    }
}
