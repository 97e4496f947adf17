//! `/v1/registrations`: app registrations and their credentials. A registration is named by its object id, client id or an
//! identifier URI. A credential's secret is answered once, when it is made.

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
};
use crate::context::{Context, State};
use axum::{
    Extension, Router,
    extract::{Path, State as Shared},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use directory::{Credential, NewRegistration, Registration, TokenVersion, redirect::RedirectUri};
use domain::CredentialId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    display_name: String,
    #[serde(default)]
    identifier_uris: Vec<String>,
    #[serde(default)]
    redirect_uris: Vec<RedirectUri>,
    #[serde(default)]
    is_public: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    lifetime_days: Option<u32>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    client_id: String,
    principal: String,
    tenant: String,
    display_name: String,
    identifier_uris: Vec<String>,
    redirect_uris: Vec<RedirectUri>,
    is_public: bool,
    token_version: TokenVersion,
    created: i64,
    credentials: Vec<ShownCredential>,
}

#[derive(Serialize)]
struct ShownCredential {
    id: String,
    display_name: String,
    hint: String,
    start: i64,
    end: i64,
}

#[derive(Serialize)]
struct MadeCredential<'s> {
    id: String,
    secret: &'s str,
    end: i64,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/registrations", get(list).post(create))
        .route("/v1/registrations/{named}", get(show).delete(remove))
        .route("/v1/registrations/{named}/credentials", post(add_credential))
        .route("/v1/registrations/{named}/credentials/{credential}", delete(remove_credential))
}

async fn list(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let registrations = state.directory.registrations().await?;
    let value = registrations.iter().map(|registration| shown(&state, registration)).collect();
    Ok(json(StatusCode::OK, &List { value }))
}

async fn create(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Body(new): Body<New>,
) -> Result<Response, AdminError> {
    let new = NewRegistration {
        display_name: new.display_name,
        identifier_uris: new.identifier_uris,
        token_version: TokenVersion::default(),
        redirect_uris: new.redirect_uris,
        is_public: new.is_public,
    };
    let made = state.directory.create_registration(new, context.now).await;
    let target =
        made.as_ref().map_or_else(|_| "a new registration".to_owned(), |made| target(&made.id.to_string()));
    let made = audited(&state, &context, "registration.create", target, made)?;
    Ok(json(StatusCode::CREATED, &shown(&state, &made)))
}

async fn show(Shared(state): Shared<State>, Segment(named): Segment<String>) -> Result<Response, AdminError> {
    Ok(json(StatusCode::OK, &shown(&state, &*state.directory.registration(&named).await?)))
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
) -> Result<Response, AdminError> {
    let deleted = state.directory.delete_registration(&named).await;
    audited(&state, &context, "registration.delete", target(&named), deleted)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn add_credential(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(new): Body<NewSecret>,
) -> Result<Response, AdminError> {
    let lifetime = new.lifetime_days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
    let name = new.display_name.as_deref().unwrap_or("client secret");
    let made = state.directory.add_credential(&named, name, lifetime, context.now).await;
    let made = audited(&state, &context, "registration.credential.add", target(&named), made)?;
    let answer =
        MadeCredential { id: made.id.to_string(), secret: made.secret.expose(), end: made.end.seconds() };
    Ok(json(StatusCode::CREATED, &answer))
}

async fn remove_credential(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, CredentialId)>, axum::extract::rejection::PathRejection>,
) -> Result<Response, AdminError> {
    let Path((named, credential)) =
        path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
    let removed = state.directory.remove_credential(&named, credential, context.now).await;
    let target = format!("credential {credential} of {}", target(&named));
    audited(&state, &context, "registration.credential.remove", target, removed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn target(named: &str) -> String {
    format!("registration {}", named.chars().take(128).collect::<String>())
}

fn shown(state: &State, registration: &Registration) -> Shown {
    Shown {
        id: registration.id.to_string(),
        client_id: registration.client.to_string(),
        principal: registration.principal.to_string(),
        tenant: state.directory.tenant().id.to_string(),
        display_name: registration.display_name.clone(),
        identifier_uris: registration.identifier_uris.clone(),
        redirect_uris: registration.redirect_uris.clone(),
        is_public: registration.is_public,
        token_version: registration.token_version,
        created: registration.created.seconds(),
        credentials: registration.credentials.iter().map(credential).collect(),
    }
}

fn credential(credential: &Credential) -> ShownCredential {
    ShownCredential {
        id: credential.id.to_string(),
        display_name: credential.display_name.clone(),
        hint: credential.hint.clone(),
        start: credential.start.seconds(),
        end: credential.end.seconds(),
    }
}
