//! The resource manager: what Azure Resource Manager's clients (`az`, the management SDKs, Terraform) use to make and delete vaults, apps and
//! identities, and to say who may what.
//!
//! Owns: paths, bodies, statuses and errors as its clients know them. Owns not: what is done (`resource`, `vault`, `host`, `directory`), and
//! who may (`access::manage`, asked for in the very decision that something is done by).
//! Spec: Azure Resource Manager REST API, as far as docs/compatibility.md names it. Everything is answered at once: no operation is long here.

mod authorization;
mod error;
mod federated;
mod groups;
mod identities;
mod key_vault;
mod metadata;
mod odata;
mod page;
mod path;
mod providers;
mod resources;
mod route;
mod said;
mod subscriptions;
mod web;

use crate::{
    bearer, body,
    context::{Context, State},
    time::date,
};
use access::{Asking, Caller, Manager};
use audit::{Actor, Outcome};
use axum::{body::Body, extract::Request, response::Response};
use domain::limits;
use error::ArmError;
use http::{HeaderValue, Method, StatusCode, header};
use page::list;
use said::Said;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// A request whose caller is known.
struct Asked<'a> {
    state: &'a State,
    context: &'a Context,
    caller: &'a Caller,
    asking: Asking<'a>,
    uri: &'a http::Uri,
    query: Query,
}

/// A good answer, and what it was about.
struct Answer {
    target: String,
    response: Response,
}

/// What a query may say.
#[derive(Debug, Default)]
struct Query {
    /// `$filter`.
    filter: Option<String>,
    /// `deleteEmptyServerFarm=false`: the plan of an app that is deleted stays.
    keeps_plan: bool,
    /// `$top` and `$skiptoken`.
    page: page::Paging,
}

impl Query {
    /// Reads it. A request without an `api-version` could mean anything; any that looks like one is as good as another (ADR 0005).
    fn read(text: &str) -> Result<Self, ArmError> {
        let (mut query, mut version) = (Self::default(), None);
        for (name, value) in crate::query::pairs(text) {
            if name.eq_ignore_ascii_case("api-version") {
                version = Some(value.into_owned());
            } else if name.eq_ignore_ascii_case("$filter") {
                query.filter = Some(value.into_owned());
            } else if name.eq_ignore_ascii_case("deleteEmptyServerFarm") {
                query.keeps_plan = value.eq_ignore_ascii_case("false");
            } else {
                query.page.takes(&name, &value);
            }
        }
        let version = version.ok_or_else(ArmError::no_version)?;
        if !is_version(&version) {
            return Err(ArmError::bad_version());
        }
        Ok(query)
    }
}

/// `2024-11-01`, also with `-preview` or the like behind it.
fn is_version(text: &str) -> bool {
    let (date, rest) = text.split_at_checked(10).unwrap_or((text, ""));
    let is_date = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let is_rest = rest.is_empty()
        || (rest.starts_with('-')
            && rest.len() <= 24
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')));
    is_date && is_rest
}

/// Answers a request to the resource manager.
pub(crate) async fn handle(state: &State, context: &Context, request: Request) -> Response {
    if let Some(answer) = metadata::answer_of(context.names(state), &request) {
        return answer;
    }
    let caller = match bearer::caller(state, &state.verifiers.management, request.headers(), context.now) {
        Ok(caller) => caller,
        Err(unauthenticated) => {
            let error = ArmError::from(unauthenticated);
            let (target, reason) = ("resource manager".to_owned(), error.message().to_owned());
            let written = context.record(
                &*state.audit,
                Actor::Anonymous,
                "arm.authenticate",
                target,
                Outcome::Refused,
                reason,
            );
            return match written {
                Ok(_recorded) => error.respond(Some(challenge(state, context))),
                Err(unavailable) => ArmError::from(unavailable).respond(None),
            };
        }
    };
    if let Err(unavailable) = context.ready(&*state.audit) {
        return ArmError::from(unavailable).respond(None);
    }
    let actor = Actor::Principal { id: caller.principal(), client: Some(caller.client()) };
    let told = perform(state, context, &caller, request).await;
    let (response, outcome) = match told.result {
        Ok(response) => (response, Outcome::Allowed),
        Err(error) => {
            let outcome = if error.is_ours() { Outcome::Failed } else { Outcome::Refused };
            let challenge = error.is_unauthenticated().then(|| challenge(state, context));
            (error.respond(challenge), outcome)
        }
    };
    match context.record(&*state.audit, actor, told.action, told.target, outcome, told.reason) {
        Ok(_recorded) => response,
        Err(unavailable) => ArmError::from(unavailable).respond(None),
    }
}

/// What a request came to, and what the audit log says of it.
struct Told {
    action: &'static str,
    target: String,
    reason: String,
    result: Result<Response, ArmError>,
}

async fn perform(state: &State, context: &Context, caller: &Caller, request: Request) -> Told {
    let (parts, body) = request.into_parts();
    let route = |method| route::route(method, parts.uri.path(), state.resource.subscription().id);
    // Is it there? Asked of whatever can be read (Resources, Check Existence); groups have an operation of their own for it.
    let (routed, asks_whether) = match route(&parts.method) {
        Err(_) if parts.method == Method::HEAD => (route(&Method::GET), true),
        routed => (routed, false),
    };
    let operation = match routed {
        Ok(operation) => operation,
        Err(error) => {
            let reason = error.message().to_owned();
            let (action, target) = ("arm.request", "resource manager".to_owned());
            return Told { action, target, reason, result: Err(error) };
        }
    };
    let (action, target) = (operation.action(), operation.target());
    let refused = |error: ArmError| {
        let error = error.at(caller, parts.uri.path());
        Told { action, target: target.clone(), reason: error.message().to_owned(), result: Err(error) }
    };
    let query = match Query::read(parts.uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return refused(error),
    };
    let asking = Asking::of(caller);
    let asked = Asked { state, context, caller, asking, uri: &parts.uri, query };
    match operation.operate(&asked, body).await {
        Ok(Answer { target, response }) => {
            let response = if asks_whether { empty(StatusCode::NO_CONTENT) } else { response };
            let reason =
                asked.asking.because().unwrap_or_else(|| "no role in particular is needed".to_owned());
            Told { action, target, reason, result: Ok(response) }
        }
        Err(error) => refused(error),
    }
}

/// Where a token can be had (RFC 6750 section 3; Azure Resource Manager's own form).
fn challenge(state: &State, context: &Context) -> HeaderValue {
    let (names, tenant) = (context.names(state), state.directory.tenant().id);
    let text = format!(
        "Bearer authorization_uri=\"{}/{tenant}\", error=\"invalid_token\", \
         error_description=\"The authentication failed because of missing 'Authorization' header or an invalid token.\"",
        names.login_base()
    );
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

/// A JSON answer.
fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    // Serializing these shapes cannot fail: their keys are text.
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer that says nothing but its status.
fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A body that is a JSON object; none at all is an empty one.
async fn object(body: Body) -> Result<Map<String, Value>, ArmError> {
    match parsed(body).await? {
        None => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(no_object()),
    }
}

/// The same of one that secrets may be in.
async fn said(body: Body) -> Result<Said, ArmError> {
    match parsed(body).await? {
        None => Ok(Said::Nothing),
        Some(said @ Said::Object(_)) => Ok(said),
        Some(_) => Err(no_object()),
    }
}

fn no_object() -> ArmError {
    ArmError::bad_content("The request body is no JSON object.")
}

/// A body that is JSON, if there is one.
async fn parsed<T: DeserializeOwned>(body: Body) -> Result<Option<T>, ArmError> {
    let bytes = body::whole(body, limits::REQUEST_BODY_BYTES_MAX).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ArmError::bad_content(format!("The request body is not JSON, at line {line} column {column}."))
    })
}

impl Asked<'_> {
    /// In whose name things are done.
    fn by(&self) -> Manager<'_> {
        Manager::Request(&self.asking)
    }

    /// `/subscriptions/{id}`: what ids of everything begin with.
    fn subscription_path(&self) -> String {
        format!("/subscriptions/{}", self.state.resource.subscription().id)
    }
}

/// What is said of a location, if it is said.
fn location(members: &Map<String, Value>) -> Result<Option<domain::Location>, ArmError> {
    match members.get("location") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => domain::Location::of_display(text)
            .map(Some)
            .map_err(|error| ArmError::bad_content(format!("The location is not valid: {error}."))),
        Some(_) => Err(ArmError::bad_content("The location is no string.")),
    }
}

/// What is said of tags, if it is said.
fn tags(members: &Map<String, Value>) -> Result<Option<domain::Tags>, ArmError> {
    let members = match members.get("tags") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(ArmError::bad_content("The tags are no object.")),
    };
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        _ => Err(ArmError::bad_content("A tag's value is no string.")),
    };
    let tags = members.iter().map(text).collect::<Result<_, _>>()?;
    domain::Tags::new(tags)
        .map(Some)
        .map_err(|fault| ArmError::bad_content(format!("The tags are not valid: {fault}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_date_and_may_say_more() {
        for good in ["2024-11-01", "2022-05-01-preview", "2026-02-01", "2023-07-01-alpha.1"] {
            assert!(is_version(good), "{good}");
        }
        for bad in
            ["", "2024", "2024-11-0", "2024-11-011", "2024-11-01 ", "latest", "2024-11-01-ü", "20é4-11-01"]
        {
            assert!(!is_version(bad), "{bad}");
        }
        assert!(
            Query::read("$filter=a%20eq%20'b'&api-version=2024-11-01").unwrap().filter.unwrap() == "a eq 'b'"
        );
        assert!(Query::read("").unwrap_err().message().contains("api-version"));
    }
}
