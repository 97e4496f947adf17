//! `/v1/apps`: apps and their identities.

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
    hosting::{self, Hosted, Hosting},
    identities::UserAssigned,
};
use crate::{
    context::{Context, Services, State},
    outside::Named,
};
use access::{Gone, Manager, Principal};
use axum::{
    Extension, Router,
    extract::State as Shared,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use domain::{AppName, Placement};
use host::{HostError, service::AppView};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewApp {
    name: AppName,
}

#[derive(Serialize)]
pub(super) struct App {
    name: String,
    id: String,
    created: i64,
    changed: i64,
    identity: Option<Identity>,
    user_assigned: Vec<UserAssigned>,
    /// What is hosted of it; nothing of an app that only `keyless run` starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    hosted: Option<Hosted>,
}

#[derive(Serialize)]
pub(super) struct Identity {
    principal: String,
    client_id: String,
    tenant: String,
    enabled: bool,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/apps", get(list).post(create))
        .route("/v1/apps/{name}", get(show).delete(delete))
        .route("/v1/apps/{name}/identity", put(assign).get(identity).delete(remove))
}

async fn list(
    Shared(state): Shared<State>,
    Shared(hosting): Shared<Arc<dyn Hosting>>,
) -> Result<Response, AdminError> {
    let mut value = Vec::new();
    for view in state.host.apps(Manager::Administrator).await? {
        match whole(&state, &*hosting, &view).await {
            Ok(app) => value.push(app),
            // Deleted meanwhile.
            Err(HostError::AppNotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(json(StatusCode::OK, &List { value }))
}

/// An app with what is hosted of it.
async fn whole(state: &State, hosting: &dyn Hosting, view: &AppView) -> Result<App, HostError> {
    let desired = state.host.desired_of(&view.app).await?;
    let hosted = desired.map(|desired| hosting::hosted(state, hosting, &view.app.name, &desired));
    Ok(App { hosted, ..app(state, view) })
}

async fn create(
    Shared(Admin { state, installation, .. }): Shared<Admin>,
    Extension(context): Extension<Context>,
    Body(NewApp { name }): Body<NewApp>,
) -> Result<Response, AdminError> {
    let made = state.host.create_app(Manager::Administrator, &name, &Placement::default(), context.now).await;
    if made.is_ok() {
        // Before it is recorded: what is done is done, also if that fails.
        installation.names_changed(Named::App(name.clone()));
    }
    let made = audited(&state, &context, "app.create", target(&name), made)?;
    Ok(json(
        StatusCode::CREATED,
        &app(&state, &AppView { app: made, principal: None, user_assigned: Vec::new() }),
    ))
}

async fn show(
    Shared(state): Shared<State>,
    Shared(hosting): Shared<Arc<dyn Hosting>>,
    Segment(name): Segment<AppName>,
) -> Result<Response, AdminError> {
    let view = state.host.app(Manager::Administrator, &name).await?;
    Ok(json(StatusCode::OK, &whole(&state, &*hosting, &view).await?))
}

async fn delete(
    Shared(Admin { state, installation, hosting }): Shared<Admin>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<AppName>,
) -> Result<Response, AdminError> {
    let deleted = state.host.delete_app(Manager::Administrator, &name, context.now).await;
    if let Ok(app) = &deleted {
        // Before it is recorded: what is done is done, also if that fails.
        hosting.deleted(&name, *app);
        installation.names_changed(Named::App(name.clone()));
        state.forget_soon(&[Gone::App(*app)]).await;
    }
    audited(&state, &context, "app.delete", target(&name), deleted)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn assign(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<AppName>,
) -> Result<Response, AdminError> {
    let assigned = state.host.assign_identity(Manager::Administrator, &name, context.now).await;
    let assigned = audited(&state, &context, "app.identity.assign", target(&name), assigned)?;
    Ok(json(StatusCode::OK, &app(&state, &assigned)))
}

async fn identity(
    Shared(state): Shared<State>,
    Segment(name): Segment<AppName>,
) -> Result<Response, AdminError> {
    let view = state.host.app(Manager::Administrator, &name).await?;
    match app(&state, &view).identity {
        Some(identity) => Ok(json(StatusCode::OK, &identity)),
        None => Err(AdminError::not_found(format!(
            "app {name} has no identity: `keyless app identity assign {name}` gives it one"
        ))),
    }
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<AppName>,
) -> Result<Response, AdminError> {
    let removed = state.host.remove_identity(Manager::Administrator, &name, context.now).await;
    let removed = audited(&state, &context, "app.identity.remove", target(&name), removed)?;
    Ok(json(StatusCode::OK, &app(&state, &removed)))
}

fn target(name: &AppName) -> String {
    format!("app {name}")
}

pub(super) fn app(state: &Services, view: &AppView) -> App {
    let subscription = state.directory.tenant().subscription();
    let given = view.user_assigned.iter().map(|(_, principal)| UserAssigned::of(subscription, principal));
    App {
        name: view.app.name.to_string(),
        id: view.app.id.to_string(),
        created: view.app.created.seconds(),
        changed: view.app.changed.seconds(),
        identity: view.principal.as_deref().map(Identity::of),
        user_assigned: given.collect(),
        hosted: None,
    }
}

impl Identity {
    pub(super) fn of(principal: &Principal) -> Self {
        Self {
            principal: principal.id.to_string(),
            client_id: principal.client.to_string(),
            tenant: principal.tenant.to_string(),
            enabled: principal.enabled,
        }
    }
}
