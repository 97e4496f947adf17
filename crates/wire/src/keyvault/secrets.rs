//! The operations on secrets: a request, the vault's word, an answer with what the audit log says of it.

use super::{
    Told,
    error::KeyVaultError,
    route::{self, Operation, Route},
    types::{Object, SecretBundle, SecretList, SetBody, UpdateBody},
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
use domain::{ObjectName, ObjectVersion, VaultName, limits};
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use vault::{Permitted, SecretPage, SecretProperties, VaultError};

/// A request whose caller is known.
pub(super) struct Asked<'a> {
    pub(super) state: &'a State,
    pub(super) context: &'a Context,
    pub(super) caller: &'a Caller,
    pub(super) vault: &'a VaultName,
    /// The vault's host, with the port by which the client came.
    pub(super) host: &'a str,
}

/// A good answer, why it may be given, and which version it speaks of.
struct Answer {
    because: String,
    version: Option<ObjectVersion>,
    response: Response,
}

/// Why an operation has no good answer.
enum Fault {
    /// Before the vault was asked.
    Request(KeyVaultError),
    /// The vault's own.
    Vault(VaultError),
}

impl From<KeyVaultError> for Fault {
    fn from(error: KeyVaultError) -> Self {
        Self::Request(error)
    }
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

/// Does what a request asks for.
pub(super) async fn perform(asked: &Asked<'_>, request: Request) -> Told {
    let (parts, body) = request.into_parts();
    let route = match route::route(&parts.method, parts.uri.path(), parts.uri.query()) {
        Ok(route) => route,
        Err(fault) => {
            return Told {
                action: "vault.request",
                target: asked.vault.folded(),
                outcome: Outcome::Refused,
                reason: fault.to_string(),
                response: KeyVaultError::from(fault).respond(None),
            };
        }
    };
    let (action, target, version) = names(asked.vault, &route.operation);
    let of_version = |version: Option<ObjectVersion>| match version {
        Some(version) => format!("{target}/{version}"),
        None => target.clone(),
    };
    match operate(asked, route, body).await {
        Ok(Answer { because, version, response }) => {
            let (target, outcome) = (of_version(version), Outcome::Allowed);
            Told { action, target, outcome, reason: because, response }
        }
        Err(fault) => refuse(asked, action, of_version(version), &fault),
    }
}

async fn operate(asked: &Asked<'_>, route: Route, body: Body) -> Result<Answer, Fault> {
    let Asked { state, context, caller, vault, host } = asked;
    let service = &state.vault;
    match route.operation {
        Operation::Get { name, version } => {
            let read = service.get(caller, vault, &name, version).await?;
            Ok(answer(&read.value.properties, read.because, &SecretBundle::with_value(host, &read.value)))
        }
        Operation::Set { name } => {
            let body: SetBody = body_of(body).await?;
            let new = body.into_request().ok_or_else(KeyVaultError::value_missing)?;
            let set = service.set(caller, vault, &name, new, context.now).await?;
            Ok(answer(&set.value.properties, set.because, &SecretBundle::with_value(host, &set.value)))
        }
        Operation::Update { name, version } => {
            let body: UpdateBody = body_of(body).await?;
            let change = body.into_change();
            let updated = service.update(caller, vault, &name, version, &change, context.now).await?;
            Ok(answer(&updated.value, updated.because, &SecretBundle::version(host, &updated.value)))
        }
        Operation::List { page } => {
            let listed = service.list_secrets(caller, vault, &page).await?;
            let link = |token: &str| next_link(host, "secrets", &route.api_version, token, page.items.get());
            Ok(answer_page(&listed, |secret| SecretBundle::item(host, secret), link))
        }
        Operation::ListVersions { name, page } => {
            let listed = service.list_versions(caller, vault, &name, &page).await?;
            let path = format!("secrets/{name}/versions");
            let link = |token: &str| next_link(host, &path, &route.api_version, token, page.items.get());
            Ok(answer_page(&listed, |secret| SecretBundle::version(host, secret), link))
        }
    }
}

fn refuse(asked: &Asked<'_>, action: &'static str, target: String, fault: &Fault) -> Told {
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
    let is_unauthorized = error.status() == StatusCode::UNAUTHORIZED;
    let challenge = is_unauthorized.then(|| bearer::challenge(asked.state, asked.host));
    let outcome = if error.is_ours() { Outcome::Failed } else { Outcome::Refused };
    Told { action, target, outcome, reason, response: error.respond(challenge) }
}

/// What the audit log calls an operation, its object, and the version that was asked for. Names in lower case: one object, one target.
fn names(vault: &VaultName, operation: &Operation) -> (&'static str, String, Option<ObjectVersion>) {
    let vault = vault.folded();
    let of = |name: &ObjectName| format!("{vault}/{}", name.folded());
    match operation {
        Operation::Set { name } => ("secret.set", of(name), None),
        Operation::Get { name, version } => ("secret.get", of(name), *version),
        Operation::Update { name, version } => ("secret.update", of(name), *version),
        Operation::List { .. } => ("secret.list", vault, None),
        Operation::ListVersions { name, .. } => ("secret.list-versions", of(name), None),
    }
}

fn answer(of: &SecretProperties, because: String, body: &SecretBundle<'_>) -> Answer {
    Answer { because, version: Some(of.record.version), response: json(StatusCode::OK, body) }
}

fn answer_page<'a>(
    page: &'a Permitted<SecretPage>,
    item: impl Fn(&'a SecretProperties) -> SecretBundle<'a>,
    link: impl Fn(&str) -> String,
) -> Answer {
    let value = page.value.items.iter().map(item).collect();
    let list = SecretList { value, next_link: page.value.next.as_deref().map(link) };
    Answer { because: page.because.clone(), version: None, response: json(StatusCode::OK, &list) }
}

/// Token and version are made of characters that need no encoding.
fn next_link(host: &str, path: &str, api_version: &str, token: &str, items: u16) -> String {
    format!("https://{host}/{path}?api-version={api_version}&$skiptoken={token}&maxresults={items}")
}

async fn body_of<T: DeserializeOwned>(body: Body) -> Result<T, KeyVaultError> {
    let bytes: Bytes = axum::body::to_bytes(body, limits::REQUEST_BODY_BYTES_MAX).await.map_err(|error| {
        match error.into_inner().is::<http_body_util::LengthLimitError>() {
            true => KeyVaultError::body_too_large(),
            false => KeyVaultError::body_incomplete(),
        }
    })?;
    serde_json::from_slice(&bytes)
        .map(|Object(body)| body)
        .map_err(|error| KeyVaultError::body_malformed(&error))
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
