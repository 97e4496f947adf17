//! `/v1/identities/{identity}/federated`: which outside issuers vouch for a user-assigned identity.

use super::{
    Admin, audited,
    body::{Body, List, json},
    error::AdminError,
    registrations::{self, NewFederated},
};
use crate::context::{Context, State};
use access::Manager;
use axum::{
    Extension, Router,
    extract::{Path, State as Shared, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use domain::{IdentityName, NameError};
use http::StatusCode;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/identities/{identity}/federated", get(list).post(put))
        .route("/v1/identities/{identity}/federated/{name}", delete(remove))
}

async fn list(
    Shared(state): Shared<State>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, AdminError> {
    let Path(identity) = read(path)?;
    let all = state.host.federated(Manager::Administrator, &named(&identity)?).await?;
    let value = all.iter().map(|view| registrations::federated(&view.credential)).collect();
    Ok(json(StatusCode::OK, &List { value }))
}

/// Another one of the same name takes its place, as with the resource manager.
async fn put(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<String>, PathRejection>,
    Body(new): Body<NewFederated>,
) -> Result<Response, AdminError> {
    let Path(identity) = read(path)?;
    let (identity, new) = (named(&identity)?, new.credential()?);
    let put = state.host.put_federated(Manager::Administrator, &identity, new, context.now).await;
    let target = match &put {
        Ok((view, _)) => format!("federated credential {} of identity {identity}", view.credential.name),
        Err(_) => format!("a federated credential of identity {identity}"),
    };
    let (view, is_new) = audited(&state, &context, "identity.credential.add", target, put)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &registrations::federated(&view.credential)))
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, AdminError> {
    let Path((identity, name)) = read(path)?;
    let identity = named(&identity)?;
    let gone = state.host.delete_federated(Manager::Administrator, &identity, &name, context.now).await;
    let target = match &gone {
        Ok(view) => format!("federated credential {} of identity {identity}", view.credential.name),
        Err(_) => format!("a federated credential of identity {identity}"),
    };
    audited(&state, &context, "identity.credential.remove", target, gone)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn read<T>(path: Result<Path<T>, PathRejection>) -> Result<Path<T>, AdminError> {
    path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))
}

fn named(identity: &str) -> Result<IdentityName, AdminError> {
    identity.parse().map_err(|error: NameError| AdminError::bad_request(error.to_string()))
}
