//! The public listener's routes: the `Host` header chooses the protocol, then that protocol's router chooses the handler.

use crate::{context, context::State, keyvault, oauth2};
use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use domain::HostRole;
use http::{HeaderMap, StatusCode, header};
use tower::ServiceExt;

/// Everything that the public HTTPS listener serves.
///
/// A request without exactly one `Host` is refused before any protocol sees it: two hosts are two opinions of which vault is meant.
/// A vault's router finds the [`domain::VaultName`] among the request's extensions.
pub fn public_router(state: State) -> Router {
    let directory = oauth2::router(state.clone());
    let vaults = keyvault::router(state.clone());
    let names = state.names.clone();
    let dispatch = move |mut request: Request| {
        let role = host(request.headers()).map(|host| names.role(host));
        let (directory, vaults) = (directory.clone(), vaults.clone());
        async move {
            match role {
                Some(HostRole::Login) => infallible(directory.oneshot(request).await),
                Some(HostRole::Vault(vault)) => {
                    request.extensions_mut().insert(vault);
                    infallible(vaults.oneshot(request).await)
                }
                Some(HostRole::Unknown) => refused(
                    StatusCode::NOT_FOUND,
                    "no such host here: see `keyless status` for the host names",
                ),
                None => refused(StatusCode::BAD_REQUEST, "exactly one Host header is needed"),
            }
        }
    };
    Router::new().fallback(dispatch).layer(axum::middleware::from_fn_with_state(state, context::stamp))
}

fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let first = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(first)
}

fn infallible(result: Result<Response<Body>, std::convert::Infallible>) -> Response {
    match result {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn refused(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({"error": {"code": "BadHost", "message": message}});
    (status, axum::Json(body)).into_response()
}
