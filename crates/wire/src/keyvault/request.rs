//! A request whose caller is known, the way from there to its operation, and to an answer with what the audit log says of it.

use super::{
    Told, certificates,
    error::KeyVaultError,
    keys,
    objects::{self, Place},
    route::{self, Operation, Route, SecretOperation},
    secrets,
    types::{BODY_BYTES, Object},
};
use crate::{
    bearer,
    body::{self, BodyFault},
    context::{Context, State},
};
use access::{Action, Asker};
use audit::Outcome;
use axum::{body::Body, extract::Request, response::Response};
use domain::{ObjectKind, ObjectName, ObjectVersion, VaultName, limits};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::LazyLock;
use vault::{Certificates, Keys, Recovery, Secrets, VaultError};

/// A request whose caller is known.
pub(super) struct Asked<'a> {
    pub(super) state: &'a State,
    pub(super) context: &'a Context,
    pub(super) asker: Asker<'a>,
    pub(super) vault: &'a VaultName,
    /// The vault's host, with the port by which the client came.
    pub(super) host: &'a str,
}

impl<'a> Asked<'a> {
    /// Where its objects are.
    pub(super) const fn place(&self, recovery: Recovery) -> Place<'a> {
        Place { host: self.host, recovery }
    }
}

/// A good answer, why it may be given, and which version it speaks of.
pub(super) struct Answer {
    pub(super) because: String,
    pub(super) version: Option<ObjectVersion>,
    pub(super) response: Response,
}

/// An extension of a response that speaks of an object which its request did not name: for the audit log.
#[derive(Clone)]
pub(super) struct Named(pub(super) ObjectName);

/// Why an operation has no good answer.
pub(super) enum Fault {
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

/// What every answer carries, put together once: it is copied faster than it is made. `Strict-Transport-Security` is left out: its memory in a
/// client outlives an installation on a laptop, and there is no plain listener to protect from.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::PRAGMA, "no-cache"),
        (header::EXPIRES, "-1"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("x-ms-keyvault-service-version"),
            concat!("keyless-", env!("CARGO_PKG_VERSION")),
        ),
    ];
    let mut map = HeaderMap::with_capacity(2 * headers.len());
    map.extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    map
});

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
        // Hex digits are text.
        Some(version) => [&*target, "/", std::str::from_utf8(&version.text()).unwrap_or_default()].concat(),
        None => target.clone(),
    };
    match operate(asked, route, body).await {
        Ok(Answer { because, version, mut response }) => {
            let target = match (response.extensions_mut().remove(), version) {
                (Some(Named(name)), Some(version)) => format!("{target}/{}/{version}", name.folded()),
                _ => of_version(version),
            };
            let outcome = Outcome::Allowed;
            Told { action, target, outcome, reason: because, response }
        }
        Err(fault) => refuse(asked, action, of_version(version), &fault),
    }
}

/// All but reading a secret, which is asked for most, is boxed: it would carry the others' size.
async fn operate(asked: &Asked<'_>, route: Route, body: Body) -> Result<Answer, Fault> {
    let version = &route.api_version;
    match route.operation {
        Operation::Secret(SecretOperation::Get { name, version, form: None }) => {
            secrets::get(asked, &name, version).await
        }
        Operation::Objects(ObjectKind::Secret, operation) => {
            Box::pin(objects::operate::<Secrets>(asked, operation, version, body)).await
        }
        Operation::Objects(ObjectKind::Key, operation) => {
            Box::pin(objects::operate::<Keys>(asked, operation, version, body)).await
        }
        Operation::Objects(ObjectKind::Certificate, operation) => {
            Box::pin(certificates::operate_as_object(asked, operation, version, body)).await
        }
        Operation::Certificate(operation) => {
            Box::pin(certificates::operate(asked, operation, version, body)).await
        }
        Operation::Secret(operation) => Box::pin(secrets::operate(asked, operation, body)).await,
        Operation::Key(operation) => Box::pin(keys::operate(asked, operation, body)).await,
    }
}

/// What the audit log calls an operation, its object, and the version that was asked for. Names in lower case: one object, one target.
fn names(vault: &VaultName, operation: &Operation) -> (&'static str, String, Option<ObjectVersion>) {
    let (action, name, version) = match operation {
        Operation::Objects(kind, operation) => {
            let (action, name) = match kind {
                ObjectKind::Secret => objects::names::<Secrets>(operation),
                ObjectKind::Key => objects::names::<Keys>(operation),
                ObjectKind::Certificate => objects::names::<Certificates>(operation),
            };
            (action, name, None)
        }
        Operation::Certificate(operation) => certificates::names(operation),
        Operation::Secret(operation) => secrets::names(operation),
        Operation::Key(operation) => keys::names(operation),
    };
    let target = |name: &ObjectName| [&*vault.folded(), "/", &*name.folded()].concat();
    (action, name.map_or_else(|| vault.folded(), target), version)
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
                tracing::error!(action, target, error = domain::chain(error), "a request failed");
            }
            &of_vault
        }
    };
    let is_unauthorized = error.status() == StatusCode::UNAUTHORIZED;
    let challenge = is_unauthorized.then(|| bearer::challenge(asked.state, asked.context, asked.host));
    let outcome = if error.is_ours() { Outcome::Failed } else { Outcome::Refused };
    Told { action, target, outcome, reason, response: error.respond(challenge) }
}

/// A body that is a JSON object of this shape, of at most so many bytes.
pub(super) async fn body_of<T: DeserializeOwned>(body: Body, bytes_max: usize) -> Result<T, KeyVaultError> {
    let bytes = body::whole(body, bytes_max).await.map_err(|fault| match fault {
        BodyFault::TooLarge => KeyVaultError::body_too_large(),
        BodyFault::Incomplete => KeyVaultError::body_incomplete(),
    })?;
    serde_json::from_slice(&bytes)
        .map(|Object(body)| body)
        .map_err(|error| KeyVaultError::body_malformed(&error))
}

/// What a body asks for. What is wrong with it is told only to who may do it: anybody else hears that they may not, as of a good one.
pub(super) async fn read_body<A: Action, B: DeserializeOwned, T>(
    asked: &Asked<'_>,
    object: Option<&ObjectName>,
    body: Body,
    read: impl FnOnce(B) -> Result<T, KeyVaultError>,
) -> Result<T, Fault> {
    match body_of::<B>(body, limits::REQUEST_BODY_BYTES_MAX).await.and_then(read) {
        Ok(read) => Ok(read),
        Err(fault) => {
            asked.state.vault.may::<A>(&asked.asker, asked.vault, object).await?;
            Err(fault.into())
        }
    }
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Serializing these shapes cannot fail: their keys are text.
    let mut text = Vec::with_capacity(BODY_BYTES);
    let written = serde_json::to_writer(&mut text, body);
    written_json(status, written.map(|()| text).unwrap_or_default())
}

/// An answer whose JSON is written already.
pub(super) fn written_json(status: StatusCode, body: Vec<u8>) -> Response {
    answered(status, HEADERS.clone(), Body::from(body))
}

/// An answer that says nothing but that it was done.
pub(super) fn no_content() -> Response {
    let mut headers = HEADERS.clone();
    headers.remove(header::CONTENT_TYPE);
    answered(StatusCode::NO_CONTENT, headers, Body::empty())
}

fn answered(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
