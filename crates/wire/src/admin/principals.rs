//! `/v1/principals`: acting identities, shown, disabled and enabled. What is disabled is refused from the answer on.

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
};
use crate::context::{Context, State};
use access::{Principal, PrincipalKind};
use axum::{Extension, Router, extract::State as Shared, response::Response, routing::get};
use domain::PrincipalId;
use http::StatusCode;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    enabled: bool,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    client_id: String,
    tenant: String,
    kind: PrincipalKind,
    display_name: String,
    enabled: bool,
    created: i64,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/principals", get(list)).route("/v1/principals/{id}", get(show).patch(change))
}

async fn list(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let value = state.directory.principals().await?.iter().map(|principal| shown(principal)).collect();
    Ok(json(StatusCode::OK, &List { value }))
}

async fn show(
    Shared(state): Shared<State>,
    Segment(id): Segment<PrincipalId>,
) -> Result<Response, AdminError> {
    Ok(json(StatusCode::OK, &shown(&*state.directory.principal(id).await?)))
}

async fn change(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(id): Segment<PrincipalId>,
    Body(Change { enabled }): Body<Change>,
) -> Result<Response, AdminError> {
    let target = format!("principal {id}");
    let (action, changed) = if enabled {
        ("principal.enable", state.directory.enable_principal(id).await)
    } else {
        ("principal.disable", state.directory.disable_principal(id).await)
    };
    // Enabling too: a token of before must not come back.
    state.identity.forget(id);
    let changed = audited(&state, &context, action, target, changed)?;
    Ok(json(StatusCode::OK, &shown(&changed)))
}

fn shown(principal: &Principal) -> Shown {
    Shown {
        id: principal.id.to_string(),
        client_id: principal.client.to_string(),
        tenant: principal.tenant.to_string(),
        kind: principal.kind,
        display_name: principal.display_name.clone(),
        enabled: principal.enabled,
        created: principal.created.seconds(),
    }
}
