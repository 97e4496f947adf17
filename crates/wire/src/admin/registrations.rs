//! `/v1/registrations`: app registrations and their credentials: secrets, certificates, federated credentials. A registration is named by
//! its object id, client id or an identifier URI. A credential's secret is answered once, when it is made.

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
    routing::{delete, get, post, put},
};
use directory::{
    AppRole, Certificate, Credential, DirectoryError, FederatedCredential, NewFederatedCredential,
    NewRegistration, Registration, RegistrationChange, TokenVersion, redirect::RedirectUri,
    registration::ExposedScope,
};
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
    #[serde(default)]
    single_use_assertions: bool,
}

/// What is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    identifier_uris: Option<Vec<String>>,
    #[serde(default)]
    redirect_uris: Option<Vec<RedirectUri>>,
    #[serde(default)]
    token_version: Option<TokenVersion>,
    #[serde(default)]
    is_public: Option<bool>,
    #[serde(default)]
    single_use_assertions: Option<bool>,
    /// Are there tokens for it only for those who have a role in it?
    #[serde(default)]
    assignment_required: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    lifetime_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCertificate {
    #[serde(default)]
    display_name: Option<String>,
    /// PEM, or DER in base64.
    certificate: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFederated {
    name: String,
    issuer: String,
    subject: String,
    /// One at most.
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    description: String,
    /// The issuer's key set; without it, keys are fetched.
    #[serde(default)]
    jwks: Option<serde_json::Value>,
}

impl NewFederated {
    /// As the directory takes it.
    pub(super) fn credential(self) -> Result<NewFederatedCredential, AdminError> {
        let mut audiences = self.audiences.into_iter();
        let audience = audiences.next();
        if audiences.next().is_some() {
            return Err(AdminError::bad_request("a federated credential has one audience"));
        }
        Ok(NewFederatedCredential {
            name: self.name,
            issuer: self.issuer,
            subject: self.subject,
            audience,
            description: self.description,
            key_set: self.jwks.map(|set| set.to_string().into_bytes()),
        })
    }
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
    token_version: TokenVersion,
    is_public: bool,
    single_use_assertions: bool,
    assignment_required: bool,
    app_roles: Vec<AppRole>,
    scopes: Vec<ExposedScope>,
    created: i64,
    credentials: Vec<ShownCredential>,
    certificates: Vec<ShownCertificate>,
    federated: Vec<ShownFederated>,
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
struct ShownCertificate {
    id: String,
    display_name: String,
    subject: String,
    thumbprint: String,
    thumbprint_sha256: String,
    start: i64,
    end: i64,
}

#[derive(Serialize)]
pub(super) struct ShownFederated {
    id: String,
    name: String,
    issuer: String,
    subject: String,
    audiences: [String; 1],
    description: String,
    /// Names of the keys that were given; none if they are fetched.
    keys: Vec<String>,
    created: i64,
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
        .route("/v1/registrations/{named}", get(show).patch(update).delete(remove))
        .route("/v1/registrations/{named}/credentials", post(add_credential))
        .route("/v1/registrations/{named}/credentials/{credential}", delete(remove_credential))
        .route("/v1/registrations/{named}/certificates", post(add_certificate))
        .route("/v1/registrations/{named}/federated", post(add_federated))
        .route("/v1/registrations/{named}/federated/{credential}", put(replace_federated))
}

async fn list(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let registrations = state.directory.registrations().await?;
    let mut value = Vec::with_capacity(registrations.len());
    for registration in registrations {
        // One that was deleted meanwhile is not shown.
        match shown(&state, &registration).await {
            Err(DirectoryError::RegistrationNotFound { .. }) => {}
            one => value.push(one?),
        }
    }
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
        single_use_assertions: new.single_use_assertions,
    };
    let made = state.directory.create_registration(new, context.now).await;
    let target =
        made.as_ref().map_or_else(|_| "a new registration".to_owned(), |made| target(&made.id.to_string()));
    let made = audited(&state, &context, "registration.create", target, made)?;
    Ok(json(StatusCode::CREATED, &shown(&state, &made).await?))
}

async fn show(Shared(state): Shared<State>, Segment(named): Segment<String>) -> Result<Response, AdminError> {
    Ok(json(StatusCode::OK, &shown(&state, &*state.directory.registration(&named).await?).await?))
}

async fn update(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(change): Body<Change>,
) -> Result<Response, AdminError> {
    let change = RegistrationChange {
        display_name: change.display_name,
        identifier_uris: change.identifier_uris,
        redirect_uris: change.redirect_uris,
        token_version: change.token_version,
        is_public: change.is_public,
        single_use_assertions: change.single_use_assertions,
        assignment_required: change.assignment_required,
        ..RegistrationChange::default()
    };
    let changed = state.directory.update_registration(&named, &change).await;
    let changed = audited(&state, &context, "registration.update", target(&named), changed)?;
    Ok(json(StatusCode::OK, &shown(&state, &changed).await?))
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

async fn add_certificate(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(new): Body<NewCertificate>,
) -> Result<Response, AdminError> {
    let name = new.display_name.as_deref().unwrap_or("certificate");
    let bytes = crypt::encoding::from_base64(new.certificate.trim());
    let bytes = bytes.unwrap_or_else(|_| new.certificate.into_bytes());
    let made = state.directory.add_certificate(&named, name, &bytes, context.now).await;
    let target = match &made {
        Ok(made) => format!("certificate {} ({}) of {}", made.id, made.sha1, target(&named)),
        Err(_) => format!("a certificate of {}", target(&named)),
    };
    let made = audited(&state, &context, "registration.credential.add", target, made)?;
    Ok(json(StatusCode::CREATED, &certificate(&made)))
}

async fn add_federated(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(new): Body<NewFederated>,
) -> Result<Response, AdminError> {
    let made = state.directory.add_federated(&named, new.credential()?, context.now).await;
    let target = match &made {
        Ok(made) => format!("federated credential {} of {}", made.id, target(&named)),
        Err(_) => format!("a federated credential of {}", target(&named)),
    };
    let made = audited(&state, &context, "registration.credential.add", target, made)?;
    Ok(json(StatusCode::CREATED, &federated(&made)))
}

async fn replace_federated(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, CredentialId)>, axum::extract::rejection::PathRejection>,
    Body(new): Body<NewFederated>,
) -> Result<Response, AdminError> {
    let Path((named, credential)) =
        path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
    let replaced =
        state.directory.replace_federated(&named, credential, new.credential()?, context.now).await;
    let target = format!("federated credential {credential} of {}", target(&named));
    let replaced = audited(&state, &context, "registration.credential.replace", target, replaced)?;
    Ok(json(StatusCode::OK, &federated(&replaced)))
}

async fn remove_credential(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    path: Result<Path<(String, CredentialId)>, axum::extract::rejection::PathRejection>,
) -> Result<Response, AdminError> {
    let Path((named, credential)) =
        path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
    let removed = state.directory.remove_credential(&named, credential, context.now).await;
    let target = match &removed {
        Ok(removed) => format!("{} {credential} of {}", removed.kind, target(&named)),
        Err(_) => format!("credential {credential} of {}", target(&named)),
    };
    audited(&state, &context, "registration.credential.remove", target, removed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn target(named: &str) -> String {
    format!("registration {}", named.chars().take(128).collect::<String>())
}

async fn shown(state: &State, registration: &Registration) -> Result<Shown, DirectoryError> {
    Ok(Shown {
        id: registration.id.to_string(),
        client_id: registration.client.to_string(),
        principal: registration.principal.to_string(),
        tenant: state.directory.tenant().id.to_string(),
        display_name: registration.display_name.clone(),
        identifier_uris: registration.identifier_uris.clone(),
        redirect_uris: registration.redirect_uris.clone(),
        token_version: registration.token_version,
        is_public: registration.is_public,
        single_use_assertions: registration.single_use_assertions,
        assignment_required: registration.assignment_required,
        app_roles: registration.app_roles.clone(),
        scopes: registration.scopes.clone(),
        created: registration.created.seconds(),
        credentials: registration.credentials.iter().map(credential).collect(),
        certificates: registration.certificates.iter().map(certificate).collect(),
        federated: match registration.federated.is_empty() {
            true => Vec::new(),
            false => {
                state.directory.federated(registration.id).await?.iter().map(|one| federated(one)).collect()
            }
        },
    })
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

fn certificate(certificate: &Certificate) -> ShownCertificate {
    ShownCertificate {
        id: certificate.id.to_string(),
        display_name: certificate.display_name.clone(),
        subject: certificate.subject.clone(),
        thumbprint: certificate.sha1.to_ascii_uppercase(),
        thumbprint_sha256: certificate.sha256.to_ascii_uppercase(),
        start: certificate.start.seconds(),
        end: certificate.end.seconds(),
    }
}

pub(super) fn federated(credential: &FederatedCredential) -> ShownFederated {
    let name = |key: &crypt::IssuerKey| key.kid.clone().unwrap_or_else(|| "without a name".to_owned());
    ShownFederated {
        id: credential.id.to_string(),
        name: credential.name.clone(),
        issuer: credential.issuer.clone(),
        subject: credential.subject.clone(),
        audiences: [credential.audience.clone()],
        description: credential.description.clone(),
        keys: credential.keys.iter().map(name).collect(),
        created: credential.created.seconds(),
    }
}
