//! `/v1/identities`: user-assigned managed identities, and `/v1/apps/{name}/identities`: which an app has.

use super::{
    Admin,
    apps::{self, Identity},
    audited,
    body::{Body, List, Segment, json},
    error::AdminError,
};
use crate::context::{Context, Services, State};
use access::{Gone, Manager, Principal};
use axum::{
    Extension, Router,
    extract::{Path, State as Shared, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use domain::{AppName, IdentityName, NameError, Placement, SubscriptionId};
use host::IdentityView;
use http::StatusCode;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: IdentityName,
}

/// An identity with the apps that have it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    identity: UserAssigned,
    created: i64,
    apps: Vec<String>,
}

/// An identity as its apps show it.
#[derive(Serialize)]
pub(super) struct UserAssigned {
    name: String,
    #[serde(flatten)]
    identity: Identity,
    resource_id: Option<String>,
}

impl UserAssigned {
    pub(super) fn of(subscription: SubscriptionId, principal: &Principal) -> Self {
        Self {
            name: principal.display_name.clone(),
            identity: Identity::of(principal),
            resource_id: directory::managed::resource_id(subscription, principal),
        }
    }
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/identities", get(list).post(create))
        .route("/v1/identities/{identity}", get(show).delete(delete))
        .route("/v1/apps/{name}/identities/{identity}", put(attach).delete(detach))
}

async fn list(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let apps = state.host.apps(Manager::Administrator).await?;
    let value = state
        .host
        .identities(Manager::Administrator)
        .await?
        .iter()
        .map(|one| shown(&state, one, &apps))
        .collect();
    Ok(json(StatusCode::OK, &List { value }))
}

async fn create(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Body(New { name }): Body<New>,
) -> Result<Response, AdminError> {
    let made =
        state.host.create_identity(Manager::Administrator, &name, &Placement::default(), context.now).await;
    let made = audited(&state, &context, "identity.create", target(&name), made)?;
    Ok(json(StatusCode::CREATED, &shown(&state, &made, &[])))
}

async fn show(
    Shared(state): Shared<State>,
    Segment(name): Segment<IdentityName>,
) -> Result<Response, AdminError> {
    let view = state.host.identity_named(Manager::Administrator, &name).await?;
    Ok(json(StatusCode::OK, &shown(&state, &view, &state.host.apps(Manager::Administrator).await?)))
}

async fn delete(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<IdentityName>,
) -> Result<Response, AdminError> {
    let deleted = state.host.delete_identity(Manager::Administrator, &name).await;
    if let Ok(principal) = &deleted {
        state.forget_soon(&[Gone::Identity(*principal)]).await;
    }
    audited(&state, &context, "identity.delete", target(&name), deleted)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn attach(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, AdminError> {
    let (app, identity) = names(path)?;
    let given = state.host.attach_identity(Manager::Administrator, &app, &identity, context.now).await;
    changed(&state, &context, "app.identity.assign", &app, &identity, given)
}

async fn detach(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, AdminError> {
    let (app, identity) = names(path)?;
    let taken = state.host.detach_identity(Manager::Administrator, &app, &identity, context.now).await;
    changed(&state, &context, "app.identity.remove", &app, &identity, taken)
}

fn changed(
    state: &Services,
    context: &Context,
    action: &'static str,
    app: &AppName,
    identity: &IdentityName,
    result: Result<host::AppView, host::HostError>,
) -> Result<Response, AdminError> {
    let target = format!("identity {identity} of app {app}");
    let view = audited(state, context, action, target, result)?;
    Ok(json(StatusCode::OK, &apps::app(state, &view)))
}

fn names(path: Result<Path<(String, String)>, PathRejection>) -> Result<(AppName, IdentityName), AdminError> {
    let Path((app, identity)) = path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
    let bad = |error: NameError| AdminError::bad_request(error.to_string());
    Ok((app.parse().map_err(bad)?, identity.parse().map_err(bad)?))
}

fn target(name: &IdentityName) -> String {
    format!("identity {name}")
}

fn shown(state: &Services, view: &IdentityView, apps: &[host::AppView]) -> Shown {
    let has = |app: &&host::AppView| {
        app.app.user_assigned.iter().any(|assigned| assigned.identity == view.principal.id)
    };
    Shown {
        identity: UserAssigned::of(state.directory.tenant().subscription(), &view.principal),
        created: view.identity.created.seconds(),
        apps: apps.iter().filter(has).map(|app| app.app.name.to_string()).collect(),
    }
}
