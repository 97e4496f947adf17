//! The directory's protocol: the token endpoint and the discovery documents.
//!
//! Owns: routes, forms, bodies, headers, AADSTS numbers. Owns not: any decision about who gets a token (`directory::token`).
//! Spec: RFC 6749 (OAuth 2.0), OpenID Connect Discovery 1.0, RFC 7517 (JWK), and the Microsoft identity platform's v2.0 and v1.0
//! endpoints as its clients know them.

pub(crate) mod advice;
mod device;
mod discovery;
pub(crate) mod error;
pub(crate) mod form;
mod keys;
pub(crate) mod token;
mod types;

use crate::{
    context::{Context, State},
    cross_origin, sign_in,
};
use axum::{
    Extension, Router,
    extract::{FromRequestParts, Path, Request},
    middleware,
    response::Response,
    routing::{MethodRouter, get, post},
};
use directory::Endpoint;
use error::{OAuthError, RequestFault};
use http::{HeaderValue, StatusCode, header, request::Parts};
use std::convert::Infallible;

/// The routes of this protocol, and the pages where people sign in.
pub fn router(state: State) -> Router {
    programs().merge(sign_in::routes()).fallback(nowhere).with_state(state)
}

/// The same without the pages: nobody is to see one that asks for a password under another's name (ADR 0021).
pub fn router_without_pages(state: State) -> Router {
    programs().fallback(nowhere).with_state(state)
}

/// What programs ask.
fn programs() -> Router<State> {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", token_route(Endpoint::V2))
        .route("/{tenant}/oauth2/token", token_route(Endpoint::V1))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", document(get(discovery::v2)))
        .route("/{tenant}/.well-known/openid-configuration", document(get(discovery::v1)))
        .route("/{tenant}/discovery/v2.0/keys", document(get(keys::v2)))
        .route("/{tenant}/discovery/keys", document(get(keys::v1)))
        .route("/{tenant}/discovery/instance", document(get(discovery::instance)))
        .route("/{tenant}/oauth2/v2.0/revoke", post(token::revoke).fallback(token::wrong_method))
        .route_layer(middleware::from_fn(cross_origin::readable))
        .route("/{tenant}/oauth2/v2.0/devicecode", device_route(Endpoint::V2))
        .route("/{tenant}/oauth2/devicecode", device_route(Endpoint::V1))
        .merge(sign_in::realms())
}

fn token_route(endpoint: Endpoint) -> MethodRouter<State> {
    let handler =
        move |state, tenant, context, request| token::token(endpoint, state, tenant, context, request);
    post(handler).fallback(token::wrong_method)
}

fn device_route(endpoint: Endpoint) -> MethodRouter<State> {
    let handler =
        move |state, tenant, context, request| device::begin(endpoint, state, tenant, context, request);
    post(handler).fallback(token::wrong_method)
}

/// The tenant of a path, as text. What is not even text names no tenant, which is then said in the protocol's own words.
pub(crate) struct TenantPart(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for TenantPart {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(path.map_or_else(|_| "?".to_owned(), |Path(tenant)| tenant)))
    }
}

/// A document that is only read.
fn document(route: MethodRouter<State>) -> MethodRouter<State> {
    route.fallback(wrong_method)
}

async fn wrong_method(
    axum::extract::State(state): axum::extract::State<State>,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    let fault = RequestFault::WrongMethod { method: request.method().clone(), allowed: "GET" };
    OAuthError::from(&fault).respond(context.names(&state), &context, context.request.uuid())
}

async fn nowhere(
    axum::extract::State(state): axum::extract::State<State>,
    Extension(context): Extension<Context>,
) -> Response {
    OAuthError::from(&RequestFault::NoSuchEndpoint).respond(
        context.names(&state),
        &context,
        context.request.uuid(),
    )
}

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A JSON answer.
pub(crate) fn json(status: StatusCode, caching: HeaderValue, body: &impl serde::Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(body) else {
        return status_only(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response.headers_mut().insert(header::CACHE_CONTROL, caching);
    response
}

pub(crate) fn status_only(status: StatusCode) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = status;
    response
}
