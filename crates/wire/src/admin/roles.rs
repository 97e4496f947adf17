//! `/v1/vaults/{name}/roles` and `/v1/roles`: role assignments of a vault, and the built-in roles.

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
    vaults::target,
    whom::{self, Standing, Whom},
};
use crate::context::{Context, Services, State};
use access::{BUILT_IN_ROLES, Manager, ObjectScope, RoleAssignment, RoleRef};
use axum::{
    Extension, Router,
    extract::{Path, State as Shared, rejection::PathRejection},
    response::Response,
    routing::{delete, get},
};
use domain::{
    AppName, AssignmentId, ClientId, IdentityName, ObjectKind, ObjectName, PrincipalId, Timestamp, VaultId,
    VaultName,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// A role by its name or identifier, exactly one of whom it is for, and at most one object that it is narrowed down to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
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
    principal: PrincipalId,
    role: RoleRef,
    object: Option<ObjectScope>,
}

impl Words {
    async fn understand(self, state: &Services) -> Result<Meant, AdminError> {
        let Self { role, app, identity, principal, client_id, user, group, secret, key, certificate } = self;
        let role: RoleRef = role.parse().map_err(|_| {
            AdminError::bad_request(format!(
                "there is no built-in role {role:?}: `keyless vault role definitions` shows all"
            ))
        })?;
        let object = object(secret, key, certificate)?;
        let principal = Whom { app, identity, principal, client_id, user, group }.find(state).await?;
        Ok(Meant { principal, role, object })
    }
}

impl Meant {
    fn target(&self, vault: &VaultName) -> String {
        let object = self
            .object
            .as_ref()
            .map_or_else(String::new, |object| format!("/{}/{}", object.kind.plural(), object.name));
        format!("{}{object} for principal {}: {}", target(vault), self.principal, self.role.told())
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
    /// `None`: for the whole vault.
    object: Option<ObjectScope>,
    created: Timestamp,
}

#[derive(Serialize)]
struct Definition {
    id: &'static str,
    name: &'static str,
    actions: &'static [&'static str],
    not_actions: &'static [&'static str],
    data_actions: &'static [&'static str],
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/roles", get(definitions))
        .route("/v1/vaults/{name}/roles", get(list).post(assign).delete(remove))
        .route("/v1/vaults/{name}/roles/{id}", delete(remove_one))
}

async fn definitions() -> Response {
    let value = BUILT_IN_ROLES.iter().map(|role| Definition {
        id: role.id,
        name: role.name,
        actions: role.actions,
        not_actions: role.not_actions,
        data_actions: role.data_actions,
    });
    json(StatusCode::OK, &List { value: value.collect() })
}

async fn list(
    Shared(state): Shared<State>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    let vault = state.vault.show_vault(Manager::Administrator, &name).await?;
    Ok(json(StatusCode::OK, &List { value: shown(&state, vault.id).await? }))
}

async fn assign(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
    Body(words): Body<Words>,
) -> Result<Response, AdminError> {
    let meant = words.understand(&state).await;
    let target = meant.as_ref().map_or_else(|_| target(&name), |meant| meant.target(&name));
    let assigned = match meant {
        Ok(Meant { principal, role, object }) => {
            let assigned = state
                .vault
                .assign_role(Manager::Administrator, &name, principal, (role, object), context.now)
                .await;
            assigned.map(|assignment| (principal, assignment)).map_err(AdminError::from)
        }
        Err(error) => Err(error),
    };
    let (principal, assignment) = audited(&state, &context, "vault.role.assign", target, assigned)?;
    Ok(json(StatusCode::OK, &one(&state, principal, &assignment).await?))
}

/// By the same words as [`assign`]; also of a principal that is gone, by its id.
async fn remove(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
    Body(words): Body<Words>,
) -> Result<Response, AdminError> {
    let meant = words.understand(&state).await;
    let target = meant.as_ref().map_or_else(|_| target(&name), |meant| meant.target(&name));
    let removed = match meant {
        Ok(meant) => by_words(&state, &name, meant).await,
        Err(error) => Err(error),
    };
    let (principal, assignment) = audited(&state, &context, "vault.role.remove", target, removed)?;
    Ok(json(StatusCode::OK, &one(&state, principal, &assignment).await?))
}

async fn by_words(
    state: &Services,
    vault: &VaultName,
    meant: Meant,
) -> Result<(PrincipalId, RoleAssignment), AdminError> {
    let all = state.vault.list_roles(Manager::Administrator, vault).await?;
    let found = all.iter().find(|(principal, assignment)| {
        *principal == meant.principal && assignment.role == meant.role && assignment.object == meant.object
    });
    let Some((principal, assignment)) = found else {
        let object = meant.object.map_or_else(
            || format!("vault {vault} as a whole"),
            |object| format!("{} {} of vault {vault}", object.kind, object.name),
        );
        return Err(AdminError::not_found(format!(
            "role \"{}\" is not assigned to principal {} for {object}: `keyless vault role list {vault}` shows what is",
            meant.role.told(),
            meant.principal
        )));
    };
    Ok((*principal, state.vault.remove_role(Manager::Administrator, vault, *principal, assignment.id).await?))
}

async fn remove_one(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, AdminError> {
    let Path((name, assignment)) =
        path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
    let name: VaultName = name.parse().map_err(bad)?;
    let assignment: AssignmentId = assignment.parse().map_err(bad)?;
    let removed = by_id(&state, &name, assignment).await;
    let target = match &removed {
        Ok((principal, RoleAssignment { role, object, .. })) => {
            Meant { principal: *principal, role: *role, object: object.clone() }.target(&name)
        }
        Err(_) => format!("{}: role assignment {assignment}", target(&name)),
    };
    let (principal, assignment) = audited(&state, &context, "vault.role.remove", target, removed)?;
    Ok(json(StatusCode::OK, &one(&state, principal, &assignment).await?))
}

async fn by_id(
    state: &Services,
    vault: &VaultName,
    id: AssignmentId,
) -> Result<(PrincipalId, RoleAssignment), AdminError> {
    let all = state.vault.list_roles(Manager::Administrator, vault).await?;
    let found = all.iter().find(|(_, assignment)| assignment.id == id).map(|(principal, _)| *principal);
    let Some(principal) = found else {
        return Err(vault::VaultError::AssignmentNotFound { id, vault: vault.clone() }.into());
    };
    Ok((principal, state.vault.remove_role(Manager::Administrator, vault, principal, id).await?))
}

fn bad(error: impl std::fmt::Display) -> AdminError {
    AdminError::bad_request(error.to_string())
}

/// The role assignments of a vault as people are told them.
pub(super) async fn shown(state: &Services, vault: VaultId) -> Result<Vec<ShownRole>, AdminError> {
    let mut roles = Vec::new();
    for (principal, assignment) in state.vault.roles_in(vault).await? {
        roles.push(one(state, principal, &assignment).await?);
    }
    Ok(roles)
}

async fn one(
    state: &Services,
    principal: PrincipalId,
    assignment: &RoleAssignment,
) -> Result<ShownRole, AdminError> {
    let (display_name, standing) = whom::known(state, principal).await?;
    Ok(ShownRole {
        id: assignment.id.to_string(),
        principal: principal.to_string(),
        display_name,
        state: standing,
        role: assignment.role.told(),
        role_id: assignment.role.id(),
        object: assignment.object.clone(),
        created: assignment.created,
    })
}
