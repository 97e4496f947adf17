//! The operations on secrets: a request, the vault's word, an answer with what the audit log says of it.

use super::{
    Told,
    error::KeyVaultError,
    route::{self, Operation, Route},
    types::{SecretBundle, SecretList, SetBody, UpdateBody},
};
use crate::{
    bearer,
    context::{Context, State},
};
use access::Caller;
use audit::Outcome;
use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use domain::{VaultName, limits};
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use vault::{Permitted, SecretPage, SecretProperties, SecretWithValue, VaultError};

/// Why an operation has no good answer.
enum Fault {
    /// Before the vault was asked.
    Request(KeyVaultError),
    /// The vault's own.
    Vault(VaultError),
}

/// Does what a request asks for.
pub(super) async fn perform(
    state: &State,
    context: &Context,
    caller: &Caller,
    vault: &VaultName,
    host: &str,
    request: Request,
) -> Told {
    let (parts, body) = request.into_parts();
    match route::route(&parts.method, parts.uri.path(), parts.uri.query()) {
        Ok(route) => operate(state, context, caller, vault, host, route, body).await,
        Err(fault) => {
            let error = KeyVaultError::from(fault);
            let reason = error.message().to_owned();
            let response = error.respond(None);
            Told {
                action: "vault.request",
                target: vault.folded(),
                outcome: Outcome::Refused,
                reason,
                response,
            }
        }
    }
}

async fn operate(
    state: &State,
    context: &Context,
    caller: &Caller,
    vault: &VaultName,
    host: &str,
    route: Route,
    body: Body,
) -> Told {
    let (action, target) = names(vault, &route.operation);
    let service = &state.vault;
    let answered: Result<(String, Response), Fault> = match route.operation {
        Operation::Get { name, version } => {
            let read = service.get(caller, vault, &name, version).await;
            read.map(|read| answer(host, &read, SecretBundle::with_value)).map_err(Fault::Vault)
        }
        Operation::Set { name } => match body_of::<SetBody>(body).await.map(SetBody::into_request) {
            Ok(Some(asked)) => {
                let set = service.set(caller, vault, &name, asked, context.now).await;
                set.map(|set: Permitted<SecretWithValue>| answer(host, &set, SecretBundle::with_value))
                    .map_err(Fault::Vault)
            }
            Ok(None) => Err(Fault::Request(KeyVaultError::value_missing())),
            Err(error) => Err(Fault::Request(error)),
        },
        Operation::Update { name, version } => match body_of::<UpdateBody>(body)
            .await
            .map(UpdateBody::into_change)
        {
            Ok(change) => {
                let updated = service.update(caller, vault, &name, version, &change, context.now).await;
                updated
                    .map(|updated: Permitted<SecretProperties>| answer(host, &updated, SecretBundle::version))
                    .map_err(Fault::Vault)
            }
            Err(error) => Err(Fault::Request(error)),
        },
        Operation::List { page } => {
            let link = |token: &str| next_link(host, "secrets", &route.api_version, token, page.items.get());
            let listed = service.list_secrets(caller, vault, &page).await;
            listed
                .map(|listed| {
                    answer_page(host, &listed, |host, secret| SecretBundle::item(host, secret), link)
                })
                .map_err(Fault::Vault)
        }
        Operation::ListVersions { name, page } => {
            let path = format!("secrets/{name}/versions");
            let link = |token: &str| next_link(host, &path, &route.api_version, token, page.items.get());
            let listed = service.list_versions(caller, vault, &name, &page).await;
            listed
                .map(|listed| {
                    answer_page(host, &listed, |host, secret| SecretBundle::version(host, secret), link)
                })
                .map_err(Fault::Vault)
        }
    };
    match answered {
        Ok((reason, response)) => Told { action, target, outcome: Outcome::Allowed, reason, response },
        Err(fault) => refuse(state, host, action, target, &fault),
    }
}

fn refuse(state: &State, host: &str, action: &'static str, target: String, fault: &Fault) -> Told {
    let (of_vault, reason);
    let error = match fault {
        Fault::Request(error) => {
            reason = error.message().to_owned();
            error
        }
        Fault::Vault(error) => {
            reason = error.to_string();
            of_vault = KeyVaultError::from(error);
            if of_vault.is_ours() {
                tracing::error!(action, target, error = chain(error), "a request failed");
            }
            &of_vault
        }
    };
    let challenge = (error.status() == StatusCode::UNAUTHORIZED).then(|| bearer::challenge(state, host));
    let outcome = if error.is_ours() { Outcome::Failed } else { Outcome::Refused };
    Told { action, target, outcome, reason, response: error.respond(challenge) }
}

/// What the audit log calls an operation and its object.
fn names(vault: &VaultName, operation: &Operation) -> (&'static str, String) {
    let vault = vault.folded();
    let of = |name: &domain::SecretName, version: &Option<domain::SecretVersion>| match version {
        Some(version) => format!("{vault}/{name}/{version}"),
        None => format!("{vault}/{name}"),
    };
    match operation {
        Operation::Set { name } => ("secret.set", of(name, &None)),
        Operation::Get { name, version } => ("secret.get", of(name, version)),
        Operation::Update { name, version } => ("secret.update", of(name, version)),
        Operation::List { .. } => ("secret.list", vault),
        Operation::ListVersions { name, .. } => ("secret.list-versions", of(name, &None)),
    }
}

fn answer<'a, T>(
    host: &str,
    told: &'a Permitted<T>,
    body: impl Fn(&str, &'a T) -> SecretBundle<'a>,
) -> (String, Response) {
    (told.because.clone(), json(StatusCode::OK, &body(host, &told.value)))
}

fn answer_page(
    host: &str,
    page: &Permitted<SecretPage>,
    item: for<'a> fn(&str, &'a SecretProperties) -> SecretBundle<'a>,
    link: impl Fn(&str) -> String,
) -> (String, Response) {
    let value = page.value.items.iter().map(|secret| item(host, secret)).collect();
    let list = SecretList { value, next_link: page.value.next.as_deref().map(link) };
    (page.because.clone(), json(StatusCode::OK, &list))
}

/// Token and version are made of characters that need no encoding.
fn next_link(host: &str, path: &str, api_version: &str, token: &str, items: u16) -> String {
    format!("https://{host}/{path}?api-version={api_version}&$skiptoken={token}&maxresults={items}")
}

async fn body_of<T: DeserializeOwned>(body: Body) -> Result<T, KeyVaultError> {
    let bytes: Bytes = axum::body::to_bytes(body, limits::REQUEST_BODY_BYTES_MAX)
        .await
        .map_err(|_| KeyVaultError::body_too_large())?;
    serde_json::from_slice(&bytes).map_err(|error| KeyVaultError::body_malformed(&error))
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Serializing these shapes cannot fail: their keys are text.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
