//! `POST /{tenant}/oauth2/v2.0/token` and `POST /{tenant}/oauth2/token` (RFC 6749 section 3.2).

pub(crate) mod exchange;

use super::{
    TenantPart,
    error::{NO_CACHE, NO_STORE, OAuthError, RequestFault},
    form::{self, Form},
    json,
    types::{TokenV1, TokenV2},
};
use crate::{
    body::{self, BodyFault},
    context::{AuditUnavailable, Context, Door, Recorded, State},
};
use audit::{Actor, Outcome};
use axum::{Extension, body::Body, extract::Request, response::Response};
use directory::{DirectoryError, Endpoint, IssuedToken, TokenRequest, token::ClientSecret};
use domain::{ClientId, HostNames, Secret, limits};
use exchange::AttestedPeer;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use std::net::IpAddr;
use uuid::Uuid;

const ACTION: &str = "token.issue";
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const FIELDS: &[&str] = &[
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "resource",
    "code",
    "redirect_uri",
    "code_verifier",
    "refresh_token",
    "token",
    "device_code",
    "assertion",
    "requested_token_use",
    "username",
    "password",
    "claims",
    "client_info",
    "client-request-id",
];

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Request(RequestFault),
    #[error(transparent)]
    Directory(DirectoryError),
}

impl Fault {
    fn answer(&self) -> OAuthError {
        match self {
            Self::Request(fault) => fault.into(),
            Self::Directory(error) => error.into(),
        }
    }
}

/// What is known of a request, however far it came.
struct Asked {
    correlation: Uuid,
    /// The client as it names itself: for the audit log.
    client: String,
    /// Does it want to be told the user's ids?
    wants_client_info: bool,
    /// Did it use HTTP authentication? Then a refusal says so (RFC 6749 section 5.2).
    is_basic: bool,
}

impl Asked {
    fn of(request: &Request, context: &Context) -> Self {
        let correlation = correlation(request.headers(), request.uri());
        Self {
            correlation: correlation.unwrap_or_else(|| context.request.uuid()),
            client: "unnamed".to_owned(),
            wants_client_info: false,
            is_basic: false,
        }
    }
}

/// Answers a token request. The audit record is written before the answer.
pub(super) async fn token(
    endpoint: Endpoint,
    axum::extract::State(state): axum::extract::State<State>,
    TenantPart(tenant): TenantPart,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    let mut asked = Asked::of(&request, &context);
    if let Err(unavailable) = context.ready(&*state.audit) {
        return correlated(unavailable_now(&state, &context, &asked, unavailable), &asked);
    }
    let address = context.origin.address.map(|address| address.ip());
    let peer = request.extensions().get::<AttestedPeer>().cloned();
    let result = match read(endpoint, tenant, &context, address, request, &mut asked).await {
        Ok(request) if directory::workload_token::is_exchange(&request) => {
            let response = exchange::answer(&state, &context, &asked, peer, request).await;
            return correlated(response, &asked);
        }
        Ok(request) => state.directory.token(request, context.now).await.map_err(Fault::Directory),
        Err(fault) => Err(Fault::Request(fault)),
    };
    let response = match record(&state, &context, &asked, &result) {
        Err(unavailable) => unavailable_now(&state, &context, &asked, unavailable),
        Ok(_recorded) => match result {
            Ok(issued) => granted(endpoint, &issued, asked.wants_client_info),
            Err(fault) => refused(&state, &context, &asked, &fault),
        },
    };
    correlated(response, &asked)
}

/// No record, no answer.
fn unavailable_now(
    state: &State,
    context: &Context,
    asked: &Asked,
    unavailable: AuditUnavailable,
) -> Response {
    OAuthError::from(unavailable).respond(context.names(state), context, asked.correlation)
}

/// The answer with the client's own id for its request.
fn correlated(mut response: Response, asked: &Asked) -> Response {
    if let Ok(value) = HeaderValue::from_str(&asked.correlation.to_string()) {
        response.headers_mut().insert(CLIENT_REQUEST_ID, value);
    }
    response
}

/// `POST /{tenant}/oauth2/v2.0/revoke`: a client gives up a refresh token (RFC 7009). The audit record is written before the answer.
pub(super) async fn revoke(
    axum::extract::State(state): axum::extract::State<State>,
    TenantPart(tenant): TenantPart,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    let mut asked = Asked::of(&request, &context);
    if let Err(unavailable) = context.ready(&*state.audit) {
        return unavailable_now(&state, &context, &asked, unavailable);
    }
    let result = match read(Endpoint::V2, tenant, &context, None, request, &mut asked).await {
        Ok(request) => state.directory.revoke_token(request, context.now).await.map_err(Fault::Directory),
        Err(fault) => Err(Fault::Request(fault)),
    };
    let (outcome, reason) = match &result {
        Ok(_) => (Outcome::Allowed, "its client has no more use for it".to_owned()),
        Err(fault) if fault.answer().is_failure() => (Outcome::Failed, fault.to_string()),
        Err(fault) => (Outcome::Refused, fault.to_string()),
    };
    let target = format!("a refresh token of client {}", asked.client);
    match context.record(&*state.audit, Actor::Anonymous, "token.revoke", target, outcome, reason) {
        Err(unavailable) => unavailable_now(&state, &context, &asked, unavailable),
        Ok(_recorded) => match result {
            Ok(_) => json(StatusCode::OK, NO_STORE, &serde_json::json!({})),
            Err(fault) => refused(&state, &context, &asked, &fault),
        },
    }
}

/// Any other method than POST.
pub(crate) async fn wrong_method(
    axum::extract::State(state): axum::extract::State<State>,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    let correlation = correlation(request.headers(), request.uri()).unwrap_or_else(|| context.request.uuid());
    let fault = RequestFault::WrongMethod { method: request.method().clone(), allowed: "POST" };
    OAuthError::from(&fault).respond(context.names(&state), &context, correlation)
}

async fn read(
    endpoint: Endpoint,
    tenant: String,
    context: &Context,
    address: Option<IpAddr>,
    request: Request,
    asked: &mut Asked,
) -> Result<TokenRequest, RequestFault> {
    let (basic, is_from_page) = (basic(request.headers())?, request.headers().contains_key(header::ORIGIN));
    if let Some(basic) = &basic {
        asked.is_basic = true;
        asked.client = shown(&basic.client);
    }
    let mut form = read_form(request, FIELDS).await?;
    if let Some(id) = form.take("client-request-id").and_then(|id| Uuid::try_parse(&id).ok()) {
        asked.correlation = id;
    }
    asked.wants_client_info = form.take("client_info").is_some_and(|wanted| wanted == "1");
    let client = form.take("client_id");
    if let Some(client) = &client {
        asked.client = shown(client);
    }
    Ok(TokenRequest {
        tenant,
        endpoint,
        grant_type: form.take("grant_type"),
        client,
        secret: form.take_secret("client_secret"),
        basic,
        assertion: form.take_secret("client_assertion"),
        assertion_type: form.take("client_assertion_type"),
        scope: form.take("scope"),
        resource: form.take("resource"),
        code: form.take_secret("code"),
        redirect_uri: form.take("redirect_uri"),
        code_verifier: form.take_secret("code_verifier"),
        // `token` is what it is called where it is given up.
        refresh_token: form.take_secret("refresh_token").or_else(|| form.take_secret("token")),
        device_code: form.take_secret("device_code"),
        user_assertion: form.take_secret("assertion"),
        requested_token_use: form.take("requested_token_use"),
        user_name: form.take("username"),
        password: form.take_secret("password"),
        claims: form.take("claims"),
        address,
        is_from_page,
        asked_by: (context.door == Door::Azure).then(HostNames::azure),
    })
}

/// The wanted fields of a request's form.
pub(super) async fn read_form(request: Request, wanted: &[&'static str]) -> Result<Form, RequestFault> {
    if !is_form(request.headers()) {
        return Err(RequestFault::WrongContentType);
    }
    read_form_of(request.into_body(), wanted, limits::TOKEN_FORM_BYTES_MAX).await
}

/// The wanted fields of a form of at most so many bytes.
pub(crate) async fn read_form_of(
    body: Body,
    wanted: &[&'static str],
    bytes_max: usize,
) -> Result<Form, RequestFault> {
    let bytes = body::whole(body, bytes_max);
    let bytes = bytes.await.map_err(|fault| match fault {
        BodyFault::TooLarge => RequestFault::TooLarge,
        BodyFault::Incomplete => RequestFault::Malformed,
    })?;
    Form::parse(&bytes, wanted).map_err(|_| RequestFault::Malformed)
}

fn record(
    state: &State,
    context: &Context,
    asked: &Asked,
    result: &Result<IssuedToken, Fault>,
) -> Result<Recorded, AuditUnavailable> {
    let (actor, target, outcome, reason) = match result {
        Ok(issued) => {
            let actor = Actor::Principal { id: issued.principal, client: Some(issued.client) };
            let reason = format!("{} of client {}; token {}", issued.proof, issued.client, issued.token);
            (actor, issued.resource.clone(), Outcome::Allowed, reason)
        }
        Err(fault) => {
            let outcome = if fault.answer().is_failure() { Outcome::Failed } else { Outcome::Refused };
            (Actor::Anonymous, format!("client {}", asked.client), outcome, fault.to_string())
        }
    };
    context.record(&*state.audit, actor, ACTION, target, outcome, reason)
}

fn granted(endpoint: Endpoint, issued: &IssuedToken, wants_client_info: bool) -> Response {
    let mut response = match endpoint {
        Endpoint::V1 => json(StatusCode::OK, NO_STORE, &TokenV1::of(issued, wants_client_info)),
        Endpoint::V2 => json(StatusCode::OK, NO_STORE, &TokenV2::of(issued, wants_client_info)),
    };
    response.headers_mut().insert(header::PRAGMA, NO_CACHE);
    response
}

fn refused(state: &State, context: &Context, asked: &Asked, fault: &Fault) -> Response {
    let answer = fault.answer();
    if answer.is_failure() {
        tracing::error!(request_id = %context.request, error = %domain::chain(fault), "no token could be issued");
    }
    let mut response = answer.respond(context.names(state), context, asked.correlation);
    if response.status() == StatusCode::UNAUTHORIZED && asked.is_basic {
        let challenge = HeaderValue::from_static("Basic realm=\"keyless\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Is the body said to be a form?
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let essence =
        types.next().and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        && types.next().is_none()
}

/// `client_secret_basic` (RFC 6749 section 2.3.1): both parts are form encoded, then base64. Other schemes are nobody's here.
fn basic(headers: &HeaderMap) -> Result<Option<ClientSecret>, RequestFault> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let Some((scheme, credentials)) = value.as_bytes().split_at_checked(6) else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return Ok(None);
    }
    let decoded =
        crypt::encoding::from_base64(credentials.trim_ascii()).map_err(|_| RequestFault::Malformed)?;
    let decoded = Secret::new(decoded);
    let colon = decoded.expose().iter().position(|byte| *byte == b':').ok_or(RequestFault::Malformed)?;
    let (client, secret) = decoded.expose().split_at_checked(colon).ok_or(RequestFault::Malformed)?;
    let part = |bytes| form::decode(bytes).map_err(|_| RequestFault::Malformed);
    let client = part(client)?.expose().clone();
    Ok(Some(ClientSecret { client, secret: part(secret.strip_prefix(b":").unwrap_or(secret))? }))
}

/// The client's own id for this request, if it is a GUID: from the header, else from the query. A form's comes later.
pub(super) fn correlation(headers: &HeaderMap, uri: &Uri) -> Option<Uuid> {
    let header = headers.get(CLIENT_REQUEST_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let of_query =
        || Form::parse(uri.query()?.as_bytes(), &["client-request-id"]).ok()?.take("client-request-id");
    header.or_else(of_query).and_then(|id| Uuid::try_parse(&id).ok())
}

/// A client's name for itself, for the audit log. Anything but an id is left out: it may be a secret in the wrong place.
fn shown(client: &str) -> String {
    client.parse::<ClientId>().map_or_else(|_| "without a valid id".to_owned(), |client| client.to_string())
}
