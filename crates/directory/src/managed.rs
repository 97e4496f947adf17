//! Managed identities: principals without an app registration or a secret: what proves one is the kernel's word about a process, and for a
//! user-assigned one that of the outside issuers that it trusts. A system-assigned one belongs to an app and comes and goes with it; a user-assigned one is a thing of its own that apps are given.

pub mod federated;

use crate::{DirectoryError, principal};
use access::{Principal, PrincipalKind, WideRoles};
use domain::{
    AppId, AppName, AttachmentId, ClientId, Entropy, IdentityName, PrincipalId, ResourceGroupName,
    SubscriptionId, TenantId, Timestamp,
};
use store::{Halt, View, Write};

/// The app that acts under a user-assigned identity: tokens name it, and fall with its assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosting {
    /// The app.
    pub app: AppName,
    /// The resource group that it is in.
    pub group: ResourceGroupName,
    /// That the identity is assigned to it.
    pub attachment: AttachmentId,
}

impl Hosting {
    /// The resource id of the app.
    pub(crate) fn resource_id(&self, subscription: SubscriptionId) -> String {
        resource(subscription, &self.group, SITES, self.app.as_str())
    }
}

/// Fresh ids for a managed identity, made before the decision so that running it again changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct IdentityIds {
    /// The object id.
    pub principal: PrincipalId,
    /// The client id.
    pub client: ClientId,
}

impl IdentityIds {
    /// Random ones.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self { principal: PrincipalId::random(entropy), client: ClientId::random(entropy) }
    }
}

/// What registering answers: the principal, and what must be written in the same commit as the app.
#[derive(Debug)]
pub struct Registered {
    /// The principal.
    pub principal: Principal,
    /// What to write.
    pub writes: Vec<Write>,
}

/// Registers the identity of an app in a resource group. Pure: nothing happens until the writes are committed, together with the app's own record.
pub fn register(
    app: AppId,
    name: &AppName,
    group: &ResourceGroupName,
    tenant: TenantId,
    ids: IdentityIds,
    now: Timestamp,
) -> Registered {
    made(PrincipalKind::ManagedIdentity { app }, (name.as_str(), group), tenant, ids, now)
}

/// Registers a user-assigned identity. Pure, as [`register`] is.
pub fn register_user_assigned(
    name: &IdentityName,
    group: &ResourceGroupName,
    tenant: TenantId,
    ids: IdentityIds,
    now: Timestamp,
) -> Registered {
    made(PrincipalKind::UserAssignedIdentity, (name.as_str(), group), tenant, ids, now)
}

fn made(
    kind: PrincipalKind,
    (name, group): (&str, &ResourceGroupName),
    tenant: TenantId,
    ids: IdentityIds,
    now: Timestamp,
) -> Registered {
    let principal = Principal {
        id: ids.principal,
        client: ids.client,
        tenant,
        kind,
        display_name: name.to_owned(),
        enabled: true,
        member_of: Vec::new(),
        resource_group: group.clone(),
        created: now,
        revocations: access::Revocations::default(),
    };
    let writes = principal::put(&principal).into();
    Registered { principal, writes }
}

/// Takes an identity away, with its federated credentials and the roles that it has outside of vaults: the writes that must be in the same commit as the change of the app,
/// or of the user-assigned identity's own record. Of one that is gone: none.
///
/// # Errors
/// [`DirectoryError::Broken`] if the principal is not a managed identity; or what must be loaded first.
pub fn unregister(view: &View, principal: PrincipalId) -> Result<Vec<Write>, Halt<DirectoryError>> {
    let Some(principal) = view.get::<Principal>(&principal)? else {
        return Ok(Vec::new());
    };
    match principal.kind {
        PrincipalKind::ManagedIdentity { .. } | PrincipalKind::UserAssignedIdentity => {
            let mut writes: Vec<Write> = principal::delete(&principal);
            writes.extend(federated::remove_all(view, principal.id)?);
            if view.get::<WideRoles>(&principal.id)?.is_some() {
                writes.push(store::delete::<WideRoles>(&principal.id));
            }
            Ok(writes)
        }
        PrincipalKind::Application { .. } | PrincipalKind::User => {
            Err(Halt::Refuse(DirectoryError::Broken { what: "what should be a managed identity is none" }))
        }
    }
}

const SITES: &str = "Microsoft.Web/sites";

/// The resource id of a managed identity, as `xms_mirid` says it: of a system-assigned one that of its app.
pub fn resource_id(subscription: SubscriptionId, principal: &Principal) -> Option<String> {
    let kind = match principal.kind {
        PrincipalKind::ManagedIdentity { .. } => SITES,
        PrincipalKind::UserAssignedIdentity => "Microsoft.ManagedIdentity/userAssignedIdentities",
        PrincipalKind::Application { .. } | PrincipalKind::User => return None,
    };
    Some(resource(subscription, &principal.resource_group, kind, &principal.display_name))
}

fn resource(subscription: SubscriptionId, group: &ResourceGroupName, kind: &str, name: &str) -> String {
    format!("/subscriptions/{subscription}/resourcegroups/{group}/providers/{kind}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fill, NOW, registration, tenant};

    fn identity() -> Registered {
        let name = AppName::parse("Shop").unwrap();
        register(
            AppId::random(&Fill(1)),
            &name,
            &ResourceGroupName::default(),
            tenant().id,
            IdentityIds::random(&Fill(2)),
            NOW,
        )
    }

    #[test]
    fn an_identity_is_a_principal_and_no_registration() {
        let Registered { principal, writes } = identity();
        assert_eq!(principal.kind, PrincipalKind::ManagedIdentity { app: AppId::random(&Fill(1)) });
        assert!(principal.enabled && principal.display_name == "Shop");
        let keys: Vec<String> =
            writes.iter().map(|write| String::from_utf8_lossy(write.key().as_bytes()).into_owned()).collect();
        assert_eq!(
            keys,
            [format!("principal/{}", principal.id), format!("principal-client/{}", principal.client)]
        );
    }

    #[test]
    fn it_goes_as_it_came() {
        let Registered { principal, writes } = identity();
        let view = View::fixture().with::<Principal>(&principal.id, &principal);
        let deletes = unregister(&view, principal.id).unwrap();
        assert!(deletes.iter().all(|write| matches!(write, Write::Delete(_))));
        assert_eq!(
            deletes.iter().map(Write::key).collect::<Vec<_>>(),
            writes.iter().map(Write::key).collect::<Vec<_>>()
        );
        let name = IdentityName::parse("readers").unwrap();
        let own = register_user_assigned(
            &name,
            &ResourceGroupName::default(),
            tenant().id,
            IdentityIds::random(&Fill(3)),
            NOW,
        )
        .principal;
        let view = View::fixture().with::<Principal>(&own.id, &own);
        assert_eq!(unregister(&view, own.id).unwrap().len(), 2);
        assert!(unregister(&View::fixture(), principal.id).unwrap().is_empty(), "gone already");
        assert!(matches!(unregister(&View::default(), principal.id), Err(Halt::Load(_))));
    }

    #[test]
    fn an_application_is_not_taken_away_with_an_app() {
        let (_, principal) = registration(1);
        let view = View::fixture().with::<Principal>(&principal.id, &principal);
        assert!(matches!(unregister(&view, principal.id), Err(Halt::Refuse(DirectoryError::Broken { .. }))));
    }
}
