//! `/v1/role-assignments`, `/v1/vaults/{name}/roles` and `/v1/roles`: role assignments at every scope, those of one vault, and what roles
//! allow. All are the resource manager's (`resource::roles`).

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
    whom::{self, Standing, Whom},
};
use crate::context::{Context, Services, State};
use access::{Definition, Manager, ObjectScope, RoleAssignment, RoleRef};
use axum::{
    Extension, Router,
    extract::{Path, Query, State as Shared, rejection::PathRejection},
    response::Response,
    routing::{delete, get},
};
use domain::{
    AppName, AssignmentId, ClientId, IdentityName, ObjectKind, ObjectName, PlanName, PrincipalId,
    ResourceGroupName, Timestamp, VaultId, VaultName,
};
use http::StatusCode;
use resource::roles::{Assigned, NewAssignment, Place, Which};
use serde::{Deserialize, Serialize};
use vault::{AccessModel, VaultError};

const BY: Manager<'static> = Manager::Administrator;

/// A role by its name or identifier, exactly one of whom it is for, and at most one object that it is narrowed down to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    /// Where; of what is sent to a vault's own path it is that vault.
    #[serde(default)]
    scope: Option<String>,
    role: String,
    #[serde(default)]
    app: Option<AppName>,
    #[serde(default)]
    identity: Option<IdentityName>,
    #[serde(default)]
    principal: Option<PrincipalId>,
    #[serde(default)]
    client_id: Option<ClientId>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    secret: Option<ObjectName>,
    #[serde(default)]
    key: Option<ObjectName>,
    #[serde(default)]
    certificate: Option<ObjectName>,
}

/// An assignment as it was asked for, all words understood.
struct Meant {
    place: Place,
    principal: PrincipalId,
    role: RoleRef,
}

impl Words {
    async fn understand(self, state: &Services, vault: Option<&VaultName>) -> Result<Meant, AdminError> {
        let Self { scope, role, app, identity, principal, client_id, user, group, secret, key, certificate } =
            self;
        let role = find_role(state, &role).await?;
        let object = object(secret, key, certificate)?;
        let place = match (vault, scope) {
            (Some(vault), None) => Place::Vault(None, vault.clone(), object),
            (None, Some(scope)) => match (place(&scope)?, object) {
                (place, None) => place,
                (Place::Vault(group, name, _), object) => Place::Vault(group, name, object),
                _ => return Err(AdminError::bad_request("secret, key and certificate are of a vault only")),
            },
            _ => return Err(AdminError::bad_request("say the scope once")),
        };
        let principal = Whom { app, identity, principal, client_id, user, group }.find(state).await?;
        Ok(Meant { place, principal, role })
    }
}

impl Meant {
    fn target(&self) -> String {
        format!("{} for principal {}: {}", self.place, self.principal, self.role.told())
    }
}

/// A role by its name or identifier.
async fn find_role(state: &Services, text: &str) -> Result<RoleRef, AdminError> {
    if let Ok(role) = text.parse() {
        return Ok(role);
    }
    let all = state.resource.roles(BY, &Place::Subscription, true).await?;
    let found = all.into_iter().find_map(|role| match role {
        Definition::Custom(role) if role.name.to_lowercase() == text.to_lowercase() => Some(role.id),
        _ => None,
    });
    found.map(RoleRef::Custom).ok_or_else(|| {
        AdminError::bad_request(format!(
            "there is no role {text:?}: `keyless role definition list` shows all"
        ))
    })
}

/// A scope as commands say it.
fn place(text: &str) -> Result<Place, AdminError> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "subscription" if name.is_empty() => Ok(Place::Subscription),
        "group" => ResourceGroupName::parse(name).map(Place::Group).map_err(bad),
        "vault" => VaultName::parse(name).map(|name| Place::Vault(None, name, None)).map_err(bad),
        "app" => AppName::parse(name).map(|name| Place::App(None, name)).map_err(bad),
        "identity" => IdentityName::parse(name).map(|name| Place::Identity(None, name)).map_err(bad),
        "plan" => match name.split_once('/') {
            Some((group, name)) => Ok(Place::Plan(
                ResourceGroupName::parse(group).map_err(bad)?,
                PlanName::parse(name).map_err(bad)?,
            )),
            None => Err(AdminError::bad_request("a plan is named plan:GROUP/NAME")),
        },
        _ => Err(AdminError::bad_request(
            "a scope is one of subscription, group:NAME, vault:NAME, app:NAME, identity:NAME and plan:GROUP/NAME",
        )),
    }
}

/// The same in the words of [`place`].
pub(super) fn scope(place: &Place) -> String {
    match place {
        Place::Subscription => "subscription".to_owned(),
        Place::Group(name) => format!("group:{name}"),
        Place::Vault(_, name, _) => format!("vault:{name}"),
        Place::App(_, name) => format!("app:{name}"),
        Place::Identity(_, name) => format!("identity:{name}"),
        Place::Plan(group, name) => format!("plan:{group}/{name}"),
    }
}

/// The one object that is named, if one is.
pub(super) fn object(
    secret: Option<ObjectName>,
    key: Option<ObjectName>,
    certificate: Option<ObjectName>,
) -> Result<Option<ObjectScope>, AdminError> {
    let named =
        [(ObjectKind::Secret, secret), (ObjectKind::Key, key), (ObjectKind::Certificate, certificate)];
    let mut named = named.into_iter().filter_map(|(kind, name)| name.map(|name| ObjectScope { kind, name }));
    match (named.next(), named.next()) {
        (one, None) => Ok(one),
        _ => Err(AdminError::bad_request("give at most one of secret, key and certificate")),
    }
}

#[derive(Serialize)]
pub(super) struct ShownRole {
    id: String,
    principal: String,
    /// `None`: the principal is gone, so that the assignment allows nobody.
    display_name: Option<String>,
    state: Standing,
    role: String,
    role_id: String,
    /// Where; not said of the roles of one vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// `None`: for the whole of it.
    object: Option<ObjectScope>,
    created: Timestamp,
}

#[derive(Serialize)]
struct ShownDefinition {
    id: String,
    name: String,
    is_custom: bool,
    actions: Vec<String>,
    not_actions: Vec<String>,
    data_actions: Vec<String>,
    not_data_actions: Vec<String>,
    assignable_scopes: Vec<String>,
}

impl ShownDefinition {
    fn of(role: Definition) -> Self {
        let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        match role {
            Definition::BuiltIn(role) => Self {
                id: role.id.to_owned(),
                name: role.name.to_owned(),
                is_custom: false,
                actions: texts(role.actions),
                not_actions: texts(role.not_actions),
                data_actions: texts(role.data_actions),
                not_data_actions: Vec::new(),
                assignable_scopes: texts(&["/"]),
            },
            Definition::Custom(role) => Self {
                id: role.id.to_string(),
                name: role.name,
                is_custom: true,
                actions: role.actions,
                not_actions: role.not_actions,
                data_actions: role.data_actions,
                not_data_actions: role.not_data_actions,
                assignable_scopes: role.assignable_scopes,
            },
        }
    }
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/roles", get(definitions))
        .route("/v1/role-assignments", get(list_at).post(assign_at).delete(remove_at))
        .route("/v1/role-assignments/{id}", delete(remove_one_anywhere))
        .route("/v1/vaults/{name}/roles", get(list).post(assign).delete(remove))
        .route("/v1/vaults/{name}/roles/{id}", delete(remove_one))
}

async fn definitions(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let all = state.resource.roles(BY, &Place::Subscription, true).await?;
    Ok(json(StatusCode::OK, &List { value: all.into_iter().map(ShownDefinition::of).collect() }))
}

#[derive(Deserialize)]
struct At {
    #[serde(default)]
    scope: Option<String>,
}

/// What counts at a scope, and what is given below it.
async fn list_at(
    Shared(state): Shared<State>,
    Query(At { scope }): Query<At>,
) -> Result<Response, AdminError> {
    let at = scope.as_deref().map_or(Ok(Place::Subscription), place)?;
    // A role counts by its group's name, whether the group is there or not: whoever names one that is not is told so.
    if let Place::Group(name) | Place::Plan(name, _) = &at {
        let _there = state.resource.group(BY, name).await?;
    }
    let mut value = Vec::new();
    for assigned in state.resource.assignments(BY, &at, Which::default()).await? {
        value.push(told(&state, &assigned).await?);
    }
    Ok(json(StatusCode::OK, &List { value }))
}

async fn list(
    Shared(state): Shared<State>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    let vault = state.vault.show_vault(BY, &name).await?;
    Ok(json(StatusCode::OK, &List { value: shown(&state, vault.id).await? }))
}

async fn assign_at(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Body(words): Body<Words>,
) -> Result<Response, AdminError> {
    let meant = words.understand(&state, None).await;
    let target = meant.as_ref().map_or_else(|_| "role assignments".to_owned(), Meant::target);
    let assigned = match meant {
        Ok(meant) => give(&state, &meant, context.now).await,
        Err(error) => Err(error),
    };
    let assigned = audited(&state, &context, "role.assign", target, assigned)?;
    Ok(json(StatusCode::OK, &told(&state, &assigned).await?))
}

async fn assign(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
    Body(words): Body<Words>,
) -> Result<Response, AdminError> {
    let meant = words.understand(&state, Some(&name)).await;
    let target = meant.as_ref().map_or_else(|_| super::vaults::target(&name), Meant::target);
    let assigned = match meant {
        Ok(meant) => match by_roles(&state, &name).await {
            Ok(()) => give(&state, &meant, context.now).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let assigned = audited(&state, &context, "vault.role.assign", target, assigned)?;
    Ok(json(StatusCode::OK, &of_vault(&state, &assigned).await?))
}

/// Who says it of a vault by its name wants somebody to be let in: where policies count nobody would be.
async fn by_roles(state: &Services, name: &VaultName) -> Result<(), AdminError> {
    let vault = state.vault.show_vault(BY, name).await?;
    match vault.access {
        AccessModel::Roles => Ok(()),
        counts => Err(VaultError::OtherAccessModel { vault: vault.name.clone(), counts }.into()),
    }
}

async fn give(state: &Services, meant: &Meant, now: Timestamp) -> Result<Assigned, AdminError> {
    let new = NewAssignment { id: None, principal: meant.principal, kind: None, role: meant.role };
    Ok(state.resource.assign(BY, &meant.place, &new, now).await?.0)
}

/// By the same words as [`assign_at`]; also of a principal that is gone, by its id.
async fn remove_at(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Body(words): Body<Words>,
) -> Result<Response, AdminError> {
    let meant = words.understand(&state, None).await;
    let target = meant.as_ref().map_or_else(|_| "role assignments".to_owned(), Meant::target);
    let removed = match meant {
        Ok(meant) => take(&state, &meant).await,
        Err(error) => Err(error),
    };
    let removed = audited(&state, &context, "role.remove", target, removed)?;
    Ok(json(StatusCode::OK, &told(&state, &removed).await?))
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
    Body(words): Body<Words>,
) -> Result<Response, AdminError> {
    let meant = words.understand(&state, Some(&name)).await;
    let target = meant.as_ref().map_or_else(|_| super::vaults::target(&name), Meant::target);
    let removed = match meant {
        Ok(meant) => take(&state, &meant).await,
        Err(error) => Err(error),
    };
    let removed = audited(&state, &context, "vault.role.remove", target, removed)?;
    Ok(json(StatusCode::OK, &of_vault(&state, &removed).await?))
}

async fn take(state: &Services, meant: &Meant) -> Result<Assigned, AdminError> {
    let which = Which { of: Some(meant.principal), ..Which::default() };
    let all = state.resource.assignments(BY, &meant.place, which).await?;
    let found = all.iter().find(|assigned| assigned.role == meant.role && is_at(assigned, &meant.place));
    let removed = match found {
        Some(found) => state.resource.unassign(BY, &meant.place, found.id).await?,
        None => None,
    };
    removed.ok_or_else(|| {
        let place = match &meant.place {
            Place::Vault(_, vault, None) => format!("vault {vault} as a whole"),
            Place::Vault(_, vault, Some(object)) => {
                format!("{} {} of vault {vault}", object.kind, object.name)
            }
            place => place.to_string(),
        };
        let list = match &meant.place {
            Place::Vault(_, vault, _) => format!("vault role list {vault}"),
            place => format!("role list --scope {}", scope(place)),
        };
        AdminError::not_found(format!(
            "role \"{}\" is not assigned to principal {} for {place}: `keyless {list}` shows what is",
            meant.role.told(),
            meant.principal
        ))
    })
}

/// Is it given just there, in whichever group that is?
fn is_at(assigned: &Assigned, place: &Place) -> bool {
    match (&assigned.place, place) {
        (Place::Vault(_, one, of_one), Place::Vault(_, other, of_other)) => {
            one == other && of_one == of_other
        }
        (Place::App(_, one), Place::App(_, other)) => one == other,
        (Place::Identity(_, one), Place::Identity(_, other)) => one == other,
        (one, other) => one == other,
    }
}

async fn remove_one(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, AdminError> {
    let Path((name, id)) = path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
    let name: VaultName = name.parse().map_err(bad)?;
    let id: AssignmentId = id.parse().map_err(bad)?;
    let of_this = |place: &Place| matches!(place, Place::Vault(_, vault, _) if *vault == name);
    let removed = match state.vault.show_vault(BY, &name).await {
        Ok(_) => by_id(&state, id, of_this).await,
        Err(error) => Err(error.into()),
    };
    let removed = removed.and_then(|removed| {
        removed.ok_or_else(|| {
            AdminError::not_found(format!(
                "there is no role assignment {id} in vault {name}: `keyless vault role list {name}` shows all"
            ))
        })
    });
    let target = match &removed {
        Ok(removed) => target_of(removed),
        Err(_) => format!("{}: role assignment {id}", super::vaults::target(&name)),
    };
    let removed = audited(&state, &context, "vault.role.remove", target, removed)?;
    Ok(json(StatusCode::OK, &of_vault(&state, &removed).await?))
}

async fn remove_one_anywhere(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(id): Segment<AssignmentId>,
) -> Result<Response, AdminError> {
    let removed = by_id(&state, id, |_| true).await;
    let removed = removed
        .and_then(|removed| removed.ok_or_else(|| resource::roles::RoleFault::AssignmentNotFound(id).into()));
    let target = removed.as_ref().map_or_else(|_| format!("role assignment {id}"), target_of);
    let removed = audited(&state, &context, "role.remove", target, removed)?;
    Ok(json(StatusCode::OK, &told(&state, &removed).await?))
}

async fn by_id(
    state: &Services,
    id: AssignmentId,
    is_wanted: impl Fn(&Place) -> bool,
) -> Result<Option<Assigned>, AdminError> {
    let all = state.resource.assignments(BY, &Place::Subscription, Which::default()).await?;
    match all.iter().find(|assigned| assigned.id == id && is_wanted(&assigned.place)) {
        Some(found) => Ok(state.resource.unassign(BY, &found.place, id).await?),
        None => Ok(None),
    }
}

fn target_of(assigned: &Assigned) -> String {
    Meant { place: assigned.place.clone(), principal: assigned.principal, role: assigned.role }.target()
}

fn bad(error: impl std::fmt::Display) -> AdminError {
    AdminError::bad_request(error.to_string())
}

/// The role assignments of a vault, which may be deleted, as people are told them.
pub(super) async fn shown(state: &Services, vault: VaultId) -> Result<Vec<ShownRole>, AdminError> {
    let mut roles = Vec::new();
    for (principal, assignment) in state.vault.roles_in(vault).await? {
        roles.push(one(state, principal, &assignment).await?);
    }
    Ok(roles)
}

async fn of_vault(state: &Services, assigned: &Assigned) -> Result<ShownRole, AdminError> {
    let object = match &assigned.place {
        Place::Vault(_, _, object) => object.clone(),
        _ => None,
    };
    let Assigned { id, role, created, .. } = *assigned;
    one(state, assigned.principal, &RoleAssignment { id, role, object, created }).await
}

async fn told(state: &Services, assigned: &Assigned) -> Result<ShownRole, AdminError> {
    Ok(ShownRole { scope: Some(scope(&assigned.place)), ..of_vault(state, assigned).await? })
}

async fn one(
    state: &Services,
    principal: PrincipalId,
    assignment: &RoleAssignment,
) -> Result<ShownRole, AdminError> {
    let (display_name, standing) = whom::known(state, principal).await?;
    let role = match assignment.role {
        RoleRef::BuiltIn(role) => role.name.to_owned(),
        RoleRef::Custom(_) => match state.resource.role(BY, &Place::Subscription, assignment.role).await {
            Ok(role) => role.name().to_owned(),
            // It is no more: its identifier says which it was.
            Err(resource::ResourceError::Role(_)) => assignment.role.told(),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(ShownRole {
        id: assignment.id.to_string(),
        principal: principal.to_string(),
        display_name,
        state: standing,
        role,
        role_id: assignment.role.id(),
        scope: None,
        object: assignment.object.clone(),
        created: assignment.created,
    })
}
