//! `/v1/registrations/{named}/app-roles` and `/scopes`, and `/v1/app-roles/{resource}/assignments`: what a registration offers, and who has
//! which role at it. `graph` is the resource of Microsoft Graph.

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
    whom::{self, Whom},
};
use crate::context::{Context, Services, State};
use axum::{
    Extension, Router,
    extract::{Path, State as Shared},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use directory::{
    AppRole, DirectoryError, RoleAssignment, app_role,
    registration::{Consenter, ExposedScope},
};
use domain::{ClientId, CredentialId};
use http::StatusCode;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    value: String,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    for_users: bool,
    #[serde(default)]
    for_applications: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewScope {
    value: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assign {
    /// The role's value or id. Without one: only to be let in.
    #[serde(default)]
    role: Option<String>,
    whom: Whom,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    role: String,
    value: Option<String>,
    principal: String,
    display_name: Option<String>,
    state: whom::Standing,
    since: i64,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/registrations/{named}/app-roles", post(add_role))
        .route("/v1/registrations/{named}/scopes", post(add_scope))
        .route("/v1/registrations/{named}/offers/{credential}", delete(remove))
        .route("/v1/app-roles/{named}/assignments", get(list).post(assign).delete(unassign))
}

async fn add_role(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(new): Body<NewRole>,
) -> Result<Response, AdminError> {
    let is_for_all = !new.for_users && !new.for_applications;
    let role = AppRole {
        id: CredentialId::random(&*state.entropy),
        display_name: new.display_name.unwrap_or_else(|| new.value.clone()),
        value: Some(new.value),
        description: new.description,
        for_users: new.for_users || is_for_all,
        for_applications: new.for_applications || is_for_all,
        enabled: true,
    };
    let made = state.directory.add_app_role(&named, role.clone()).await;
    let target = format!("app role {} of registration {}", role.id, cut(&named));
    audited(&state, &context, "registration.role.add", target, made)?;
    Ok(json(StatusCode::CREATED, &role))
}

async fn add_scope(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(new): Body<NewScope>,
) -> Result<Response, AdminError> {
    let scope = ExposedScope {
        id: CredentialId::random(&*state.entropy),
        description: if new.description.is_empty() { new.value.clone() } else { new.description },
        value: new.value,
        enabled: true,
        consenter: Consenter::default(),
    };
    let made = state.directory.add_scope(&named, scope.clone()).await;
    let target = format!("scope {} of registration {}", scope.id, cut(&named));
    audited(&state, &context, "registration.scope.add", target, made)?;
    Ok(json(StatusCode::CREATED, &scope))
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, CredentialId)>, axum::extract::rejection::PathRejection>,
) -> Result<Response, AdminError> {
    let Path((named, id)) = path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
    let removed = state.directory.remove_offer(&named, id).await;
    let target = format!("role or scope {id} of registration {}", cut(&named));
    audited(&state, &context, "registration.offer.remove", target, removed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list(Shared(state): Shared<State>, Segment(named): Segment<String>) -> Result<Response, AdminError> {
    let resource = resource(&state, &named).await?;
    let mut value = Vec::new();
    for assignment in state.directory.assigned_to(resource).await? {
        value.push(shown(&state, &assignment).await?);
    }
    Ok(json(StatusCode::OK, &List { value }))
}

async fn assign(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(asked): Body<Assign>,
) -> Result<Response, AdminError> {
    let made = change(&state, &context, &named, asked, true).await?;
    Ok(json(StatusCode::CREATED, &shown(&state, &made).await?))
}

async fn unassign(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(asked): Body<Assign>,
) -> Result<Response, AdminError> {
    change(&state, &context, &named, asked, false).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn change(
    state: &State,
    context: &Context,
    named: &str,
    Assign { role, whom }: Assign,
    is_addition: bool,
) -> Result<RoleAssignment, AdminError> {
    let action = if is_addition { "appRole.assign" } else { "appRole.remove" };
    let mut target = format!("app role at {}", cut(named));
    let changed: Result<RoleAssignment, AdminError> = async {
        let resource = resource(state, named).await?;
        let subject = whom.find(state).await?;
        let role = role.unwrap_or_else(|| app_role::DEFAULT_ROLE.to_string());
        target = format!("{target}: principal {subject}");
        Ok(match is_addition {
            true => state.directory.assign_app_role(resource, subject, &role, context.now).await?,
            false => state.directory.unassign_app_role(resource, subject, &role).await?,
        })
    }
    .await;
    audited(state, context, action, target, changed)
}

/// The client id of a resource: a registration's, or Graph's.
async fn resource(state: &Services, named: &str) -> Result<ClientId, DirectoryError> {
    if named.eq_ignore_ascii_case("graph") || named == directory::audience::GRAPH_APPLICATION {
        return Ok(app_role::graph_client());
    }
    Ok(state.directory.registration(named).await?.client)
}

async fn shown(state: &Services, assignment: &RoleAssignment) -> Result<Shown, AdminError> {
    let (display_name, standing) = whom::known(state, assignment.subject).await?;
    let roles = match assignment.resource == app_role::graph_client() {
        true => directory::graph::builtin::graph_roles(),
        false => state.directory.registration(&assignment.resource.to_string()).await?.app_roles.clone(),
    };
    let value = roles.into_iter().find(|role| role.id == assignment.role).and_then(|role| role.value);
    Ok(Shown {
        id: assignment.id.clone(),
        role: assignment.role.to_string(),
        value,
        principal: assignment.subject.to_string(),
        display_name,
        state: standing,
        since: assignment.since.seconds(),
    })
}

fn cut(named: &str) -> String {
    named.chars().take(128).collect()
}
