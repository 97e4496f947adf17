//! What the roles are for, as their documents say it.

use super::*;
use crate::ACTIONS;

fn named(name: &str) -> Definition {
    match name.parse::<RoleRef>().unwrap() {
        RoleRef::BuiltIn(role) => Definition::BuiltIn(role),
        RoleRef::Custom(_) => panic!("{name}"),
    }
}

#[test]
fn roles_of_the_data_plane_allow_what_they_are_for() {
    let may = |role: &str, action: &str| {
        let action = ACTIONS.iter().find(|known| known.name == action).unwrap();
        named(role).allows_data(Operation::on_vault_data(action.data_action))
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
    let all = |role: &str| ACTIONS.iter().all(|action| may(role, action.name));
    assert!(all("Key Vault Administrator"));
    for role in ["Owner", "Contributor", "Reader", "Key Vault Contributor", "User Access Administrator"] {
        assert!(ACTIONS.iter().all(|action| !may(role, action.name)), "{role} manages, and reads nothing");
    }
}

#[test]
fn roles_of_the_resource_manager_allow_what_they_are_for() {
    let may = |role: &str, operation: &str| named(role).allows(Operation::named(operation));
    let assign = "Microsoft.Authorization/roleAssignments/write";
    for (role, operation, expected) in [
        ("Owner", assign, true),
        ("Owner", "Microsoft.KeyVault/vaults/write", true),
        ("Contributor", "Microsoft.Web/sites/write", true),
        ("Contributor", "Microsoft.Authorization/roleAssignments/read", true),
        ("Contributor", assign, false),
        ("Contributor", "Microsoft.Authorization/roleDefinitions/delete", false),
        ("Reader", "Microsoft.Web/sites/read", true),
        ("Reader", "Microsoft.Web/sites/config/list/action", false),
        ("User Access Administrator", assign, true),
        ("User Access Administrator", "Microsoft.Web/sites/write", false),
        ("Role Based Access Control Administrator", "Microsoft.Authorization/roleDefinitions/write", false),
        ("Key Vault Contributor", "Microsoft.KeyVault/vaults/write", true),
        ("Key Vault Contributor", "Microsoft.KeyVault/locations/deletedVaults/purge/action", false),
        ("Key Vault Contributor", "Microsoft.Web/sites/read", false),
        ("Key Vault Administrator", "Microsoft.KeyVault/vaults/read", true),
        ("Key Vault Administrator", "Microsoft.KeyVault/vaults/write", false),
        ("Key Vault Secrets User", "Microsoft.KeyVault/vaults/read", false),
        ("Key Vault Purge Operator", "Microsoft.KeyVault/locations/deletedVaults/purge/action", true),
        ("Website Contributor", "Microsoft.Web/sites/config/write", true),
        ("Website Contributor", "Microsoft.Web/serverfarms/write", false),
        ("Web Plan Contributor", "Microsoft.Web/serverfarms/write", true),
        ("Managed Identity Operator", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", true),
        ("Managed Identity Operator", "Microsoft.ManagedIdentity/userAssignedIdentities/write", false),
        ("Managed Identity Contributor", "Microsoft.ManagedIdentity/userAssignedIdentities/write", true),
    ] {
        assert_eq!(may(role, operation), expected, "{role} {operation}");
    }
}

#[test]
fn who_gives_access_to_data_gives_no_other() {
    let role = |name: &str| name.parse::<RoleRef>().unwrap();
    let giver = named("Key Vault Data Access Administrator");
    assert!(
        giver.may_assign(role("Key Vault Secrets User")) && giver.may_assign(role("Key Vault Administrator"))
    );
    for other in ["Owner", "Key Vault Data Access Administrator", "Key Vault Contributor"] {
        assert!(!giver.may_assign(role(other)), "{other}");
        assert!(named("User Access Administrator").may_assign(role(other)), "{other}");
    }
    assert!(!giver.may_assign(role("11111111-2222-4333-8444-555555555555")));
}

#[test]
fn roles_are_found_by_name_and_identifier_and_stored_by_identifier() {
    let role: RoleRef = "key vault reader".parse().unwrap();
    assert_eq!(role, "21090545-7CA7-4776-B22C-E363652D74D2".parse().unwrap());
    assert_eq!(serde_json::to_string(&role).unwrap(), "\"21090545-7ca7-4776-b22c-e363652d74d2\"");
    let custom = "11111111-2222-4333-8444-555555555555";
    let role: RoleRef = custom.parse().unwrap();
    assert_eq!(
        (role.id().as_str(), serde_json::to_string(&role).unwrap()),
        (custom, format!("\"{custom}\""))
    );
    assert!("Vault Reader of mine".parse::<RoleRef>().is_err());
    for (at, role) in BUILT_IN_ROLES.iter().enumerate() {
        let rest = &BUILT_IN_ROLES[at + 1..];
        assert!(rest.iter().all(|other| other.id != role.id && other.name != role.name), "{}", role.name);
        assert!(role.id.parse::<domain::RoleId>().is_ok(), "{}", role.name);
    }
}
