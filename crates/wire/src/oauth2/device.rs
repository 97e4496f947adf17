//! `POST /{tenant}/oauth2/v2.0/devicecode` and `POST /{tenant}/oauth2/devicecode`: a device asks for a code (RFC 8628 section 3.1).

use super::{
    TenantPart,
    error::{NO_CACHE, NO_STORE, OAuthError, RequestFault},
    json, token,
    types::DeviceStart,
};
use crate::context::{Context, State};
use audit::{Actor, Outcome};
use axum::{Extension, extract::Request, response::Response};
use directory::{
    DirectoryError, DirectoryService, Endpoint,
    interaction::{DeviceRequest, DeviceStarted},
};
use http::{StatusCode, header};
use uuid::Uuid;

const ACTION: &str = "device.begin";
const FIELDS: &[&str] = &["client_id", "scope", "resource", "client-request-id"];

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Request(RequestFault),
    #[error(transparent)]
    Directory(DirectoryError),
}

/// Answers a device. The audit record is written before the answer.
pub(super) async fn begin(
    endpoint: Endpoint,
    axum::extract::State(state): axum::extract::State<State>,
    TenantPart(tenant): TenantPart,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    let mut correlation =
        token::correlation(request.headers(), request.uri()).unwrap_or_else(|| context.request.uuid());
    if let Err(unavailable) = context.ready(&*state.audit) {
        return OAuthError::from(unavailable).respond(context.names(&state), &context, correlation);
    }
    let result = match read(endpoint, tenant, request, &mut correlation).await {
        Err(fault) => Err(Fault::Request(fault)),
        Ok(request) => state.directory.begin_device(&request, context.now).await.map_err(Fault::Directory),
    };
    let (outcome, target, reason) = match &result {
        Ok(started) => (Outcome::Allowed, format!("client {}", started.client), "anybody may ask".to_owned()),
        Err(fault) => {
            let outcome = if answer(fault).is_failure() { Outcome::Failed } else { Outcome::Refused };
            (outcome, "a device".to_owned(), fault.to_string())
        }
    };
    match context.record(&*state.audit, Actor::Anonymous, ACTION, target, outcome, reason) {
        Err(unavailable) => {
            OAuthError::from(unavailable).respond(context.names(&state), &context, correlation)
        }
        Ok(_recorded) => match result {
            Ok(started) => granted(&state, &started),
            Err(fault) => answer(&fault).respond(context.names(&state), &context, correlation),
        },
    }
}

async fn read(
    endpoint: Endpoint,
    tenant: String,
    request: Request,
    correlation: &mut Uuid,
) -> Result<DeviceRequest, RequestFault> {
    let mut form = token::read_form(request, FIELDS).await?;
    if let Some(id) = form.take("client-request-id").and_then(|id| Uuid::try_parse(&id).ok()) {
        *correlation = id;
    }
    let (client, scope, resource) = (form.take("client_id"), form.take("scope"), form.take("resource"));
    Ok(DeviceRequest { tenant, endpoint, client, scope, resource })
}

fn answer(fault: &Fault) -> OAuthError {
    match fault {
        Fault::Request(fault) => fault.into(),
        Fault::Directory(error) => error.into(),
    }
}

fn granted(state: &State, started: &DeviceStarted) -> Response {
    let verification_uri = format!("{}/devicelogin", state.names.login_base());
    let (expires_in, interval) = DirectoryService::device_times();
    let message = format!(
        "To sign in, use a web browser to open the page {verification_uri} and enter the code {} to authenticate.",
        started.user_code
    );
    let device_code = started.device_code.expose();
    let body = DeviceStart {
        user_code: &started.user_code,
        device_code,
        verification_uri,
        expires_in,
        interval,
        message,
    };
    let mut response = json(StatusCode::OK, NO_STORE, &body);
    response.headers_mut().insert(header::PRAGMA, NO_CACHE);
    response
}
