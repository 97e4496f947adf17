//! What every tenant has: the service principals of Microsoft Graph and of Key Vault, and the app roles and scopes of our Graph under their
//! public ids (Microsoft Graph permissions reference).
//!
//! They are no records: nobody changes them. Their object ids are made from the tenant's.

use crate::{AppRole, app_role::graph_client, registration::Consenter};
use access::audience::KEY_VAULT_APPLICATION;
use domain::{ClientId, CredentialId, PrincipalId, TenantId};
use uuid::{Uuid, uuid};

/// The app roles of our Graph: only what it understands.
pub const GRAPH_ROLES: &[(Uuid, &str)] = &[
    (uuid!("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"), "Application.Read.All"),
    (uuid!("1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9"), "Application.ReadWrite.All"),
    (uuid!("06b708a9-e830-4db3-a914-8e69da51d44f"), "AppRoleAssignment.ReadWrite.All"),
    (uuid!("8e8e4742-1d95-4f68-9d56-6ee75648c72a"), "DelegatedPermissionGrant.ReadWrite.All"),
    (uuid!("7ab1d382-f21e-4acd-a863-ba3e13f7da61"), "Directory.Read.All"),
    (uuid!("19dbc75e-c2e2-444c-a770-ec69d8559fc7"), "Directory.ReadWrite.All"),
    (uuid!("5b567255-7703-4780-807c-7be8301ae99b"), "Group.Read.All"),
    (uuid!("62a82d76-70ea-41e2-9197-370581804d09"), "Group.ReadWrite.All"),
    (uuid!("98830695-27a2-44f7-8c18-0c3ebc9698f6"), "GroupMember.Read.All"),
    (uuid!("dbaae8cf-10b5-4b86-a4a1-f871c94c6695"), "GroupMember.ReadWrite.All"),
    (uuid!("df021288-bdef-4463-88db-98f22de89214"), "User.Read.All"),
    (uuid!("741f803b-c850-494e-b5df-cde7c675a1ca"), "User.ReadWrite.All"),
];

/// What our Graph lets clients do in a user's name.
pub const GRAPH_SCOPES: &[(Uuid, &str)] = &[
    (uuid!("e1fe6dd8-ba31-4d61-89e7-88639da4683d"), "User.Read"),
    (uuid!("b340eb25-3456-403f-be2f-af7a0d370277"), "User.ReadBasic.All"),
    (uuid!("a154be20-db9c-4678-8ab7-66f6cc099a59"), "User.Read.All"),
    (uuid!("204e0828-b5ca-4ad8-b9f3-f32a958e7cc4"), "User.ReadWrite.All"),
    (uuid!("5f8c59db-677d-491f-a6b8-5f174b11ec1d"), "Group.Read.All"),
    (uuid!("4e46008b-f24c-477d-8fff-7bb4ec7aafe0"), "Group.ReadWrite.All"),
    (uuid!("bc024368-1153-4739-b217-4326f2e966d0"), "GroupMember.Read.All"),
    (uuid!("f81125ac-d3b7-4573-a3b2-7099cc39df9e"), "GroupMember.ReadWrite.All"),
    (uuid!("c79f8feb-a9db-4090-85f9-90d820caa0eb"), "Application.Read.All"),
    (uuid!("bdfbf15f-ee85-4955-8675-146e8e5296b5"), "Application.ReadWrite.All"),
    (uuid!("84bccea3-f856-4a8a-967b-dbe0a3d53a64"), "AppRoleAssignment.ReadWrite.All"),
    (uuid!("41ce6ca6-6826-4807-84f1-1c82854f7ee5"), "DelegatedPermissionGrant.ReadWrite.All"),
    (uuid!("06da0dbc-49e2-44d2-8312-53f166ab848a"), "Directory.Read.All"),
    (uuid!("c5366453-9fb0-48a5-a156-24f0c49a4b84"), "Directory.ReadWrite.All"),
    (uuid!("0e263e50-5827-48a4-b97c-d940288653c7"), "Directory.AccessAsUser.All"),
];

/// Who may agree to a scope of our Graph: what a client reads of who is signed in, and of colleagues what these see of each other, every user
/// lets it; all else is of others (Microsoft Graph permissions reference, "admin consent required").
#[must_use]
pub fn consenter(scope: &str) -> Consenter {
    match scope {
        "User.Read" | "User.ReadBasic.All" => Consenter::User,
        _ => Consenter::Admin,
    }
}

/// The one scope of the vaults.
pub const VAULT_SCOPE: (Uuid, &str) = (uuid!("f53da476-18e3-4152-8e01-aec403e6edc0"), "user_impersonation");

/// A resource that every tenant has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Microsoft Graph.
    Graph,
    /// Key Vault.
    Vaults,
}

impl Builtin {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Graph, Self::Vaults];

    /// Its client id, the same everywhere.
    #[must_use]
    pub fn client(self) -> ClientId {
        match self {
            Self::Graph => graph_client(),
            Self::Vaults => ClientId::from_uuid(KEY_VAULT_APPLICATION.parse().unwrap_or(Uuid::nil())),
        }
    }

    /// Its name, as the public cloud has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graph => "Microsoft Graph",
            Self::Vaults => "Azure Key Vault",
        }
    }

    /// The object id of its service principal in a tenant.
    #[must_use]
    pub fn object(self, tenant: TenantId) -> PrincipalId {
        let hash = crypt::sha256(format!("service principal of {} in {tenant}", self.client()));
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash.bytes()).for_each(|(byte, hashed)| *byte = *hashed);
        PrincipalId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The one with this client id or, in this tenant, this object id.
    #[must_use]
    pub fn named(id: Uuid, tenant: TenantId) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.client().uuid() == id || one.object(tenant).uuid() == id)
    }

    /// Its scopes.
    #[must_use]
    pub const fn scopes(self) -> &'static [(Uuid, &'static str)] {
        match self {
            Self::Graph => GRAPH_SCOPES,
            Self::Vaults => &[VAULT_SCOPE],
        }
    }

    /// Who may agree to one of its scopes.
    #[must_use]
    pub fn consenter(self, scope: &str) -> Consenter {
        match self {
            Self::Graph => consenter(scope),
            Self::Vaults => Consenter::User,
        }
    }

    /// By which consents to it are kept.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Vaults => "vaults",
        }
    }
}

/// The app roles of our Graph as a registration's would be.
#[must_use]
pub fn graph_roles() -> Vec<AppRole> {
    let role = |(id, value): &(Uuid, &str)| AppRole {
        id: CredentialId::from_uuid(*id),
        value: Some((*value).to_owned()),
        display_name: (*value).to_owned(),
        description: (*value).to_owned(),
        for_users: false,
        for_applications: true,
        enabled: true,
    };
    GRAPH_ROLES.iter().map(role).collect()
}

/// The value of an app role of our Graph.
pub(crate) fn graph_role(id: CredentialId) -> Option<&'static str> {
    GRAPH_ROLES.iter().find(|(known, _)| *known == id.uuid()).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::tenant;

    #[test]
    fn ids_are_of_one_thing_each() {
        let mut ids: Vec<_> = GRAPH_ROLES.iter().chain(GRAPH_SCOPES).map(|(id, _)| *id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        let of_users: Vec<_> =
            GRAPH_SCOPES.iter().filter(|(_, scope)| consenter(scope) == Consenter::User).collect();
        assert_eq!(
            of_users.iter().map(|(_, scope)| *scope).collect::<Vec<_>>(),
            ["User.Read", "User.ReadBasic.All"]
        );
        let tenant = tenant().id;
        for one in Builtin::ALL {
            assert!(!one.client().uuid().is_nil() && one.object(tenant).uuid() != one.client().uuid());
            assert_eq!(Builtin::named(one.object(tenant).uuid(), tenant), Some(one));
        }
        assert_ne!(Builtin::Graph.object(tenant), Builtin::Vaults.object(tenant));
    }
}
