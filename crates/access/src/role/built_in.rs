//! The built-in roles: their identifiers and names, and what they allow, as far as there is something here that it is about (Azure built-in
//! roles: General, Security, Identity, Web and mobile).

use super::Role;

const NOTHING: Role =
    Role { id: "", name: "", actions: &[], not_actions: &[], data_actions: &[], assigns_only: None };

/// What all have who manage something: to see who may what, and the groups.
macro_rules! seeing {
    ($($action:literal),* $(,)?) => {
        &["Microsoft.Authorization/*/read", "Microsoft.Resources/subscriptions/resourceGroups/read", $($action),*]
    };
}

const SEES_VAULTS: &[&str] = seeing![
    "Microsoft.KeyVault/checkNameAvailability/read",
    "Microsoft.KeyVault/deletedVaults/read",
    "Microsoft.KeyVault/locations/*/read",
    "Microsoft.KeyVault/vaults/*/read",
    "Microsoft.KeyVault/vaults/read",
    "Microsoft.KeyVault/operations/read",
];

/// The roles of Key Vault's data plane.
const OF_VAULTS_DATA: &[&str] = &[
    "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "21090545-7ca7-4776-b22c-e363652d74d2",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "4633458b-17de-408a-b874-0445c86b69e6",
    "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
    "12338af0-0e69-4776-bea7-57ae8d297424",
    "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    "a4417e6f-fecd-4de8-b567-7b0420556985",
];

/// All of them.
pub const BUILT_IN_ROLES: &[Role] = &[
    Role { id: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", name: "Owner", actions: &["*"], ..NOTHING },
    Role {
        id: "b24988ac-6180-42a0-ab88-20f7382dd24c",
        name: "Contributor",
        actions: &["*"],
        not_actions: &[
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ],
        ..NOTHING
    },
    Role { id: "acdd72a7-3385-48ef-bd42-f606fba81ae7", name: "Reader", actions: &["*/read"], ..NOTHING },
    Role {
        id: "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        name: "User Access Administrator",
        actions: &["*/read", "Microsoft.Authorization/*"],
        ..NOTHING
    },
    Role {
        id: "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        name: "Role Based Access Control Administrator",
        actions: &[
            "*/read",
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
        ],
        ..NOTHING
    },
    Role {
        id: "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        name: "Key Vault Administrator",
        actions: SEES_VAULTS,
        data_actions: &["Microsoft.KeyVault/vaults/*"],
        ..NOTHING
    },
    Role {
        id: "21090545-7ca7-4776-b22c-e363652d74d2",
        name: "Key Vault Reader",
        actions: SEES_VAULTS,
        data_actions: &[
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
        ..NOTHING
    },
    Role {
        id: "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        name: "Key Vault Secrets Officer",
        actions: SEES_VAULTS,
        data_actions: &["Microsoft.KeyVault/vaults/secrets/*"],
        ..NOTHING
    },
    Role {
        id: "4633458b-17de-408a-b874-0445c86b69e6",
        name: "Key Vault Secrets User",
        actions: &[],
        data_actions: &[
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
        ..NOTHING
    },
    Role {
        id: "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
        name: "Key Vault Crypto Officer",
        actions: SEES_VAULTS,
        data_actions: &[
            "Microsoft.KeyVault/vaults/keys/*",
            "Microsoft.KeyVault/vaults/keyrotationpolicies/*",
        ],
        ..NOTHING
    },
    Role {
        id: "12338af0-0e69-4776-bea7-57ae8d297424",
        name: "Key Vault Crypto User",
        actions: &[],
        data_actions: &[
            "Microsoft.KeyVault/vaults/keys/read",
            "Microsoft.KeyVault/vaults/keys/update/action",
            "Microsoft.KeyVault/vaults/keys/backup/action",
            "Microsoft.KeyVault/vaults/keys/encrypt/action",
            "Microsoft.KeyVault/vaults/keys/decrypt/action",
            "Microsoft.KeyVault/vaults/keys/wrap/action",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
            "Microsoft.KeyVault/vaults/keys/sign/action",
            "Microsoft.KeyVault/vaults/keys/verify/action",
        ],
        ..NOTHING
    },
    Role {
        id: "e147488a-f6f5-4113-8e2d-b22465e65bf6",
        name: "Key Vault Crypto Service Encryption User",
        actions: &[],
        data_actions: &[
            "Microsoft.KeyVault/vaults/keys/read",
            "Microsoft.KeyVault/vaults/keys/wrap/action",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
        ],
        ..NOTHING
    },
    Role {
        id: "08bbd89e-9f13-488c-ac41-acfcb10c90ab",
        name: "Key Vault Crypto Service Release User",
        actions: &[],
        data_actions: &["Microsoft.KeyVault/vaults/keys/release/action"],
        ..NOTHING
    },
    Role {
        id: "a4417e6f-fecd-4de8-b567-7b0420556985",
        name: "Key Vault Certificates Officer",
        actions: SEES_VAULTS,
        data_actions: &[
            "Microsoft.KeyVault/vaults/certificatecas/*",
            "Microsoft.KeyVault/vaults/certificates/*",
            "Microsoft.KeyVault/vaults/certificatecontacts/write",
        ],
        ..NOTHING
    },
    Role {
        id: "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba",
        name: "Key Vault Certificate User",
        actions: &[],
        data_actions: &[
            "Microsoft.KeyVault/vaults/certificates/read",
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            "Microsoft.KeyVault/vaults/keys/read",
        ],
        ..NOTHING
    },
    Role {
        id: "a68e7c17-0ab2-4c09-9a58-125dae29748c",
        name: "Key Vault Purge Operator",
        actions: &[
            "Microsoft.KeyVault/deletedVaults/read",
            "Microsoft.KeyVault/locations/*/read",
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
        ],
        ..NOTHING
    },
    Role {
        id: "f25e0fa2-a7c8-4377-a976-54943a77a395",
        name: "Key Vault Contributor",
        actions: seeing!["Microsoft.KeyVault/*"],
        not_actions: &["Microsoft.KeyVault/locations/deletedVaults/purge/action"],
        ..NOTHING
    },
    Role {
        id: "8b54135c-b56d-4d72-a534-26097cfdc8d8",
        name: "Key Vault Data Access Administrator",
        actions: seeing![
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/vaults/read",
        ],
        assigns_only: Some(OF_VAULTS_DATA),
        ..NOTHING
    },
    Role {
        id: "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59",
        name: "Managed Identity Contributor",
        actions: seeing![
            "Microsoft.ManagedIdentity/userAssignedIdentities/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/delete",
        ],
        ..NOTHING
    },
    Role {
        id: "f1a07417-d97a-45cb-824c-7a7467783830",
        name: "Managed Identity Operator",
        actions: seeing![
            "Microsoft.ManagedIdentity/userAssignedIdentities/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
        ],
        ..NOTHING
    },
    Role {
        id: "de139f84-1756-47ae-9be6-808fbbe84772",
        name: "Website Contributor",
        actions: seeing![
            "Microsoft.Web/serverFarms/read",
            "Microsoft.Web/serverFarms/join/action",
            "Microsoft.Web/sites/*",
        ],
        ..NOTHING
    },
    Role {
        id: "2cc479cb-7b4d-49a8-b449-8c00fd0f0a4b",
        name: "Web Plan Contributor",
        actions: seeing!["Microsoft.Web/serverFarms/*"],
        ..NOTHING
    },
];
