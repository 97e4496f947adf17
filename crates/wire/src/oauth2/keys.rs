//! The published keys (RFC 7517), v2.0 and v1.0: `GET /{tenant}/discovery/v2.0/keys` and `GET /{tenant}/discovery/keys`.

use super::{TenantPart, discovery, json};
use crate::context::{Context, State};
use axum::{Extension, extract::Request, response::Response};
use crypt::PublicKey;
use http::StatusCode;
use serde::Serialize;

#[derive(Serialize)]
struct KeySet<'a> {
    keys: Vec<Key<'a>>,
}

#[derive(Serialize)]
struct Key<'a> {
    kty: &'static str,
    r#use: &'static str,
    kid: &'a str,
    /// The same as `kid`, on purpose.
    x5t: &'a str,
    n: &'a str,
    e: &'a str,
    x5c: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
}

impl<'a> Key<'a> {
    fn of(key: &'a PublicKey, issuer: Option<&'a str>) -> Self {
        Self {
            kty: "RSA",
            r#use: "sig",
            kid: key.kid(),
            x5t: key.kid(),
            n: key.n(),
            e: key.e(),
            x5c: key.x5c(),
            issuer,
        }
    }
}

/// With each key's issuer.
pub(super) async fn v2(
    axum::extract::State(state): axum::extract::State<State>,
    TenantPart(tenant): TenantPart,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    let issuer = match discovery::tenant(&state, &context, &tenant) {
        Ok(tenant) => tenant.issuer_v2,
        Err(error) => return discovery::refused(error, &state, &context, &request),
    };
    set(&state, Some(&issuer))
}

/// Without.
pub(super) async fn v1(
    axum::extract::State(state): axum::extract::State<State>,
    TenantPart(tenant): TenantPart,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    match discovery::tenant(&state, &context, &tenant) {
        Ok(_) => set(&state, None),
        Err(error) => discovery::refused(error, &state, &context, &request),
    }
}

fn set(state: &State, issuer: Option<&str>) -> Response {
    let ring = state.directory.ring();
    let keys = ring.published().iter().map(|key| Key::of(key, issuer)).collect();
    json(StatusCode::OK, discovery::CACHED, &KeySet { keys })
}
