//! Microsoft Graph, version 1.0: the directory as tools read and change it.
//!
//! Owns: paths, bodies, queries, errors and headers as Graph's clients know them. Owns not: who may do what and what happens then
//! (`directory::graph`). Spec: Microsoft Graph REST API v1.0, the part that docs/compatibility.md names.
//!
//! Nothing of a request is looked at before its caller is known and may do the kind of thing that its path says.

mod applications;
mod body;
mod consents;
mod credentials;
mod deleted;
mod error;
mod groups;
mod objects;
mod odata;
mod organization;
mod page;
mod roles;
mod route;
mod service_principals;
mod types;
mod users;

use crate::{
    bearer,
    context::{Context, State},
    cross_origin,
};
use access::Caller;
use audit::{Actor, Outcome};
use axum::{body::Body, extract::Request, response::Response};
use directory::{
    DirectoryError,
    graph::{Acting, GraphPermit},
};
use error::GraphError;
use http::{HeaderName, HeaderValue, StatusCode, header};
use odata::Query;
use serde::Serialize;
use serde_json::{Value, json};
use types::Object;

/// A request whose caller is known, and may do the kind of thing that it asks for.
struct Asked<'a> {
    state: &'a State,
    context: &'a Context,
    acting: Acting<'a>,
    permit: GraphPermit,
    query: Query,
    /// Where it was sent, without the query: links lead back there.
    url: String,
    /// `https://{host}`, with the port by which the client came.
    base: String,
}

/// A good answer, and what it was about.
struct Answer {
    target: String,
    response: Response,
}

/// Answers a request to Graph.
pub(crate) async fn handle(state: &State, context: &Context, request: Request) -> Response {
    // A page of any origin may ask: what counts is the token.
    let is_of_page = request.headers().contains_key(header::ORIGIN);
    if let Some(response) = cross_origin::asks_first(&request, "GET, POST, PATCH, DELETE") {
        return response;
    }
    let client_request = request.headers().get(CLIENT_REQUEST).and_then(|id| id.to_str().ok());
    let client_request = client_request.filter(|id| id.len() <= 64).unwrap_or_default().to_owned();
    let mut response = answered(state, context, request, &client_request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&context.request.to_string()) {
        headers.insert(HeaderName::from_static("request-id"), id);
    }
    if !client_request.is_empty()
        && let Ok(id) = HeaderValue::from_str(&client_request)
    {
        headers.insert(CLIENT_REQUEST, id);
    }
    if is_of_page {
        cross_origin::show(headers);
    }
    response
}

const CLIENT_REQUEST: HeaderName = HeaderName::from_static("client-request-id");
/// What every answer carries.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-cache, no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("odata-version"), "4.0"),
];

async fn answered(state: &State, context: &Context, request: Request, client_request: &str) -> Response {
    let caller = match bearer::caller(state, &state.verifiers.graph, request.headers(), context.now) {
        Ok(caller) => caller,
        Err(unauthenticated) => {
            let error = GraphError::from(unauthenticated);
            let (target, reason) = ("graph".to_owned(), error.message().to_owned());
            let written = context.record(
                &*state.audit,
                Actor::Anonymous,
                "graph.authenticate",
                target,
                Outcome::Refused,
                reason,
            );
            return match written {
                Ok(_recorded) => error.respond(context, client_request, Some(challenge(state, context))),
                Err(unavailable) => GraphError::from(unavailable).respond(context, client_request, None),
            };
        }
    };
    if let Err(unavailable) = context.ready(&*state.audit) {
        return GraphError::from(unavailable).respond(context, client_request, None);
    }
    let actor = Actor::Principal { id: caller.principal(), client: Some(caller.client()) };
    let told = perform(state, context, &caller, request).await;
    let (response, outcome) = match told.result {
        Ok(response) => (response, Outcome::Allowed),
        Err(error) => {
            let outcome = if error.is_ours() { Outcome::Failed } else { Outcome::Refused };
            let challenge = error.is_unauthenticated().then(|| challenge(state, context));
            (error.respond(context, client_request, challenge), outcome)
        }
    };
    match context.record(&*state.audit, actor, told.action, told.target, outcome, told.reason) {
        Ok(_recorded) => response,
        Err(unavailable) => GraphError::from(unavailable).respond(context, client_request, None),
    }
}

/// What a request came to, and what the audit log says of it.
struct Told {
    action: &'static str,
    target: String,
    reason: String,
    result: Result<Response, GraphError>,
}

async fn perform(state: &State, context: &Context, caller: &Caller, request: Request) -> Told {
    let (parts, body) = request.into_parts();
    let routed = route::route(&parts.method, parts.uri.path());
    let mut operation = match routed {
        Ok(operation) => operation,
        Err(error) => {
            let reason = error.message().to_owned();
            return Told { action: "graph.request", target: "graph".to_owned(), reason, result: Err(error) };
        }
    };
    let (action, target) = (operation.action(), operation.target());
    let refused = |error: GraphError, target| {
        let reason = error.message().to_owned();
        Told { action, target, reason, result: Err(error) }
    };
    let acting = state.directory.acting(caller);
    if matches!(operation, route::Operation::OpenId(_)) {
        return match users::user_info(acting).await {
            Ok((answer, reason)) => {
                Told { action, target: answer.target, reason, result: Ok(answer.response) }
            }
            Err(error) => refused(error, target),
        };
    }
    let mut permitted = acting.may(operation.right()).await;
    if let Err(DirectoryError::Graph(directory::graph::GraphError::Denied { .. })) = &permitted
        && let Some(own) = operation.of_self(state, caller.principal()).await
    {
        permitted = acting.may(own.right()).await;
        operation = own;
    }
    let permit = match permitted {
        Ok(permit) => permit,
        Err(error) => return refused(error.into(), target),
    };
    let query = match Query::parse(parts.uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return refused(error, target),
    };
    let base = base(context.names(state), &parts.headers);
    let url = format!("{base}{}", parts.uri.path());
    let reason = permit.to_string();
    let asked = Asked { state, context, acting, permit, query, url, base };
    match operation.operate(&asked, body).await {
        Ok(Answer { target, response }) => Told { action, target, reason, result: Ok(response) },
        Err(error) => refused(error, target),
    }
}

/// Our host with the port by which the client came, if it is not 443. Nothing but the number is taken from what it wrote.
fn base(names: &domain::HostNames, headers: &http::HeaderMap) -> String {
    let port: Option<u16> =
        headers.get(header::HOST).and_then(|host| host.to_str().ok()?.rsplit_once(':')?.1.parse().ok());
    let host = names.graph_host();
    match port.filter(|port| *port != 443) {
        Some(port) => format!("https://{host}:{port}"),
        None => format!("https://{host}"),
    }
}

/// Where a token can be had (RFC 6750 section 3).
fn challenge(state: &State, context: &Context) -> HeaderValue {
    let (names, tenant) = (context.names(state), state.directory.tenant().id);
    let text = format!(
        "Bearer realm=\"\", authorization_uri=\"{}/{tenant}/oauth2/authorize\", client_id=\"{}\"",
        names.login_base(),
        directory::audience::GRAPH_APPLICATION
    );
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

/// A JSON answer.
fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    // Serializing these shapes cannot fail: their keys are text.
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    let kind =
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

impl Asked<'_> {
    /// One object, as far as it was selected.
    fn one(&self, status: StatusCode, kind: &str, object: Object) -> Response {
        let mut shown = self.query.selected(object);
        shown.insert(
            "@odata.context".to_owned(),
            json!(format!("{}/v1.0/$metadata#{kind}/$entity", self.base)),
        );
        answer(status, &shown)
    }

    /// A value that is no object.
    fn value(&self, kind: &str, value: Value) -> Response {
        let context = format!("{}/v1.0/$metadata#{kind}", self.base);
        answer(StatusCode::OK, &json!({"@odata.context": context, "value": value}))
    }

    fn tenant(&self) -> domain::TenantId {
        self.state.directory.tenant().id
    }

    fn domain(&self) -> &str {
        &self.state.directory.tenant().domain
    }
}
