//! Lists of all resources, and what is in a group when it is deleted.

use super::{Asked, error::ArmError, identities::IDENTITIES, odata::Filter, page::filtered};
use crate::outside::Named;
use access::{Around, Gone, Manager, ResourceGroup, Scope, Unmanaged};
use audit::{Actor, Outcome};
use axum::response::Response;
use domain::{Placement, ResourceGroupName};
use host::HostError;
use resource::ResourceError;
use serde_json::{Value, json};
use vault::VaultError;

/// One resource, as lists tell it.
struct Listed {
    /// `Microsoft.KeyVault/vaults` or the like.
    kind: &'static str,
    name: String,
    placement: Placement,
    /// What sees it.
    read: &'static str,
    /// What a role may be given at for it to count.
    scope: Scope,
}

/// `…/resources`, as far as it is filtered and the caller may see.
pub(super) async fn list(asked: &Asked<'_>) -> Result<Response, ArmError> {
    list_in(asked, None).await
}

/// The same of a group.
pub(super) async fn list_in(
    asked: &Asked<'_>,
    group: Option<&ResourceGroupName>,
) -> Result<Response, ArmError> {
    let filter = asked.query.filter.as_deref().unwrap_or_default();
    let filter = Filter::parse(filter, &["resourceType", "name", "resourceGroup", "location"])?;
    let mut values = Vec::new();
    for resource in all(asked).await? {
        if group.is_some_and(|group| *group != resource.placement.group) {
            continue;
        }
        let Placement { group, location, tags } = &resource.placement;
        let is_meant = filter.takes(tags, |field| match field {
            "resourceType" => Some(resource.kind),
            "name" => Some(&resource.name),
            "resourceGroup" => Some(group.as_str()),
            "location" => Some(location.as_str()),
            _ => None,
        });
        if is_meant && is_seen(asked, &resource).await? {
            values.push(shown(asked, &resource));
        }
    }
    filtered(asked, values)
}

async fn is_seen(asked: &Asked<'_>, resource: &Listed) -> Result<bool, ArmError> {
    let group = &resource.placement.group;
    let around = match &resource.scope {
        Scope::Vault(vault) => Around::vault(*vault, group),
        scope => Around::resource(scope, group),
    };
    match asked.state.resource.may(asked.by(), resource.read, &around).await {
        Ok(()) => Ok(true),
        Err(ResourceError::Unmanaged(Unmanaged::NoRole(_))) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn all(asked: &Asked<'_>) -> Result<Vec<Listed>, ArmError> {
    let mut all = Vec::new();
    for vault in asked.state.vault.list_vaults(Manager::Administrator).await? {
        all.push(Listed {
            kind: "Microsoft.KeyVault/vaults",
            name: vault.name.to_string(),
            placement: vault.placement.clone(),
            read: "Microsoft.KeyVault/vaults/read",
            scope: Scope::Vault(vault.id),
        });
    }
    for app in asked.state.host.apps(Manager::Administrator).await? {
        all.push(Listed {
            kind: "Microsoft.Web/sites",
            name: app.app.name.to_string(),
            placement: app.app.placement.clone(),
            read: "Microsoft.Web/sites/read",
            scope: Scope::App(app.app.id),
        });
    }
    for view in asked.state.resource.plans(Manager::Administrator).await? {
        all.push(Listed {
            kind: "Microsoft.Web/serverfarms",
            name: view.plan.name.to_string(),
            placement: view.plan.placement.clone(),
            read: "Microsoft.Web/serverfarms/read",
            scope: Scope::Plan(view.plan.id),
        });
    }
    for view in asked.state.host.identities(Manager::Administrator).await? {
        all.push(Listed {
            kind: IDENTITIES,
            name: view.identity.name.to_string(),
            placement: view.identity.placement.clone(),
            read: "Microsoft.ManagedIdentity/userAssignedIdentities/read",
            scope: Scope::Identity(view.principal.id),
        });
    }
    Ok(all)
}

/// Deletes what is in a group that is going: who may delete the group may have this done, whatever else they may. What is gone meanwhile, or
/// was made elsewhere under its name, is none of it. Each leaves a record of its own.
pub(super) async fn delete_all_in(asked: &Asked<'_>, group: &ResourceGroup) -> Result<(), ArmError> {
    let mut gone = Vec::new();
    let deleted = delete_each_in(asked, group, &mut gone).await;
    // Whatever it came to, some of it may be gone.
    asked.state.forget_soon(&gone).await;
    asked.state.outside.names_changed(Named::Any).await;
    deleted
}

async fn delete_each_in(
    asked: &Asked<'_>,
    group: &ResourceGroup,
    gone: &mut Vec<Gone>,
) -> Result<(), ArmError> {
    let (state, by, now) = (asked.state, Manager::Deletion(group), asked.context.now);
    let is_in = |placement: &Placement| placement.group == group.name;
    for view in state.host.apps(Manager::Administrator).await? {
        let app = &view.app;
        if !is_in(&app.placement) {
            continue;
        }
        match state.host.delete_app(by, &app.name, now).await {
            Ok(id) => {
                gone.push(Gone::App(id));
                // Before anything can go wrong: nothing of it is to run on.
                state.outside.hosting_forgets(&app.name, id);
                recorded(asked, "app.delete", format!("app {}", app.name), group)?;
            }
            Err(HostError::AppNotFound(_) | HostError::Unmanaged(Unmanaged::NoRole(_))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for plan in state.resource.plans_in(group).await? {
        if state.resource.delete_plan_in(group, &plan).await? {
            gone.push(Gone::Plan(plan.id));
            recorded(asked, "plan.delete", format!("plan {}", plan.name), group)?;
        }
    }
    for view in state.host.identities(Manager::Administrator).await? {
        let name = &view.identity.name;
        if !is_in(&view.identity.placement) {
            continue;
        }
        match state.host.delete_identity(by, name).await {
            Ok(principal) => {
                gone.push(Gone::Identity(principal));
                recorded(asked, "identity.delete", format!("identity {name}"), group)?;
            }
            Err(HostError::IdentityNotFound(_) | HostError::Unmanaged(Unmanaged::NoRole(_))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for vault in state.vault.list_vaults(Manager::Administrator).await? {
        if !is_in(&vault.placement) {
            continue;
        }
        match state.vault.delete_vault(by, &vault.name, now).await {
            Ok(_) => recorded(asked, "vault.delete", format!("vault {}", vault.name), group)?,
            Err(VaultError::VaultNotFound { .. } | VaultError::Unmanaged(Unmanaged::NoRole(_))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Says of something in a group that it went with it.
fn recorded(
    asked: &Asked<'_>,
    action: &'static str,
    target: String,
    group: &ResourceGroup,
) -> Result<(), ArmError> {
    let caller = asked.caller;
    let actor = Actor::Principal { id: caller.principal(), client: Some(caller.client()) };
    let why = format!("resource group {} is deleted with all that is in it", group.name);
    let _recorded =
        asked.context.record(&*asked.state.audit, actor, action, target, Outcome::Allowed, why)?;
    Ok(())
}

fn shown(asked: &Asked<'_>, resource: &Listed) -> Value {
    let Listed { kind, name, placement, .. } = resource;
    json!({
        "id": format!(
            "{}/resourceGroups/{}/providers/{kind}/{name}",
            asked.subscription_path(),
            placement.group
        ),
        "name": name,
        "type": kind,
        "location": placement.location,
        "tags": placement.tags,
        "provisioningState": "Succeeded",
    })
}
