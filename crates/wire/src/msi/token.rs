//! One token request: rules, proof, query, identity, token, attested again, audit record, answer; in this order.
//! Spec: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.

use super::{Endpoint, Protocol, error::Refused, query, rules};
use crate::context::{Context, Door, Services, stamp_test_clock};
use audit::{Actor, Outcome, SharedOrigin};
use bytes::Bytes;
use directory::DirectoryError;
use domain::{AppName, RequestId, Timestamp};
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
    request::Parts,
};
use http_body_util::Full;
use identity::{AttestedConnection, IdentityError, ManagedToken, Selector, challenge};
use std::sync::Arc;

const ACTION: &str = "token.issue";
/// Azure Arc's first answer, which leaves a key.
const CHALLENGE: &str = "token.challenge";
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// Headers of an answer.
const HEADERS: usize = 5;
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What a request comes to, and what the audit log says of it.
struct Verdict {
    result: Result<(Arc<ManagedToken>, Option<Selector>), Refused>,
    action: &'static str,
    /// Did the caller prove to be the workload?
    is_proven: bool,
    target: String,
    outcome: Outcome,
    reason: String,
}

/// Answers one request of an accepted connection.
pub async fn answer(
    state: &Services,
    endpoint: &Endpoint,
    connection: &AttestedConnection,
    origin: &SharedOrigin,
    head: &Parts,
) -> Response<Full<Bytes>> {
    let context = Context {
        request: RequestId::random(&*state.entropy),
        now: state.clock.now(),
        origin: origin.clone(),
        door: Door::Own,
    };
    let Verdict { result, action, is_proven, target, outcome, reason } =
        decide(state, endpoint, connection, head, &context).await;
    let workload = connection.workload();
    let actor = if is_proven || workload.confinement().is_some() {
        Actor::Workload { id: workload.id(), app: workload.name().clone() }
    } else {
        Actor::Anonymous
    };
    let written = context.record_together(&*state.audit, actor, action, target, outcome, reason);
    let result = match written.await {
        Ok(_) => result,
        Err(_) => Err(Refused::AUDIT),
    };
    let mut response = match &result {
        Ok((token, selector)) => {
            Response::new(Full::new(body(token, selector.as_ref(), endpoint.protocol(), context.now)))
        }
        Err(refused) => {
            let body = refused.body(endpoint.protocol(), context.request);
            let mut response = Response::new(Full::new(Bytes::from(body)));
            *response.status_mut() = refused.status();
            if refused.status() == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            }
            if let Refused::Challenge(id) = refused
                && let Ok(value) = HeaderValue::try_from(format!("Basic realm={}", challenge::seen_at(*id)))
            {
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    stamp_test_clock(state, headers);
    if !matches!(result, Err(Refused::Forbidden))
        && let Ok(id) = HeaderValue::from_bytes(context.request.text().as_ref())
    {
        headers.insert(CORRELATION_ID, id);
    }
    response
}

async fn decide(
    state: &Services,
    endpoint: &Endpoint,
    connection: &AttestedConnection,
    head: &Parts,
    context: &Context,
) -> Verdict {
    let protocol = endpoint.protocol();
    let refused = |refused: Refused, reason: String, is_proven| Verdict {
        result: Err(refused),
        action: ACTION,
        is_proven,
        target: endpoint.described(),
        outcome: Outcome::Refused,
        reason,
    };
    let presented = match rules::check(head, protocol) {
        Ok(presented) => presented,
        Err(breach) => {
            return refused(Refused::breach(breach, protocol), breach.reason().to_owned(), false);
        }
    };
    let parsed = query::parse(head.uri.query().unwrap_or_default(), presented.generation);
    let authentic = match &presented.proof {
        rules::Proof::None => {
            // What the second request would be told can be told to the first.
            if let Err(fault) = parsed {
                let reason = format!("the query is wrong: {fault:?}");
                return refused(Refused::query(fault, protocol), reason, true);
            }
            let verdict = match state.identity.challenge(connection, &*state.entropy, context.now) {
                Ok(id) => {
                    let reason = format!("a key is left for the app: {id}");
                    let verdict = refused(Refused::Challenge(id), reason, true);
                    Verdict { outcome: Outcome::Allowed, ..verdict }
                }
                Err(error) => {
                    let verdict = refused(Refused::identity(&error, protocol), domain::chain(&error), true);
                    Verdict { outcome: outcome(&error), ..verdict }
                }
            };
            return Verdict { action: CHALLENGE, ..verdict };
        }
        rules::Proof::Key(Some(key)) => state.identity.check_key(connection, key, context.now),
        rules::Proof::Key(None) => Err(IdentityError::WrongKey),
        rules::Proof::Secret(Some(secret)) => state.identity.check_secret(connection, secret),
        rules::Proof::Secret(None) => Err(IdentityError::WrongSecret),
        rules::Proof::Connection => state.identity.check_confined(connection),
    };
    let authentic = match authentic {
        Ok(authentic) => authentic,
        Err(error) => return refused(Refused::identity(&error, protocol), error.to_string(), false),
    };
    let query = match parsed {
        Ok(query) => query,
        Err(fault) => {
            return refused(Refused::query(fault, protocol), format!("the query is wrong: {fault:?}"), true);
        }
    };
    match state.identity.token(authentic, &query, context.now).await {
        Ok(token) => Verdict {
            is_proven: true,
            target: query.resource,
            outcome: Outcome::Allowed,
            reason: reason(&token, connection.workload().name()),
            result: Ok((token, query.selector)),
            action: ACTION,
        },
        Err(error) => {
            let answer = Refused::identity(&error, protocol);
            Verdict { outcome: outcome(&error), ..refused(answer, error.to_string(), true) }
        }
    }
}

/// Why a token is released: on the way of every request, so without formatting.
fn reason(token: &ManagedToken, app: &AppName) -> String {
    let principal = token.principal.text();
    // Hex digits and hyphens are text.
    let principal = std::str::from_utf8(principal.as_ref()).unwrap_or_default();
    let kind = if token.attachment.is_some() { "user-assigned " } else { "" };
    ["it is the ", kind, "managed identity ", principal, " of app ", app.as_str()].concat()
}

/// What we could not do is no refusal.
const fn outcome(error: &IdentityError) -> Outcome {
    match error {
        IdentityError::Directory(DirectoryError::ResourceUnknown { .. })
        | IdentityError::Refused(_)
        | IdentityError::WrongSecret
        | IdentityError::WrongKey
        | IdentityError::TooManyKeys
        | IdentityError::NoIdentity { .. }
        | IdentityError::NotAssigned { .. } => Outcome::Refused,
        IdentityError::Directory(_) | IdentityError::Key(_) | IdentityError::Store(_) => Outcome::Failed,
    }
}

/// A token in a protocol's form. That of App Service is the same for all who get the token; those of the others say how long it still lives,
/// and Azure Arc's also which identity it is by the name that was given: without, clients take it for another one.
fn body(token: &ManagedToken, selector: Option<&Selector>, protocol: Protocol, now: Timestamp) -> Bytes {
    match protocol {
        Protocol::AppService { .. } => Bytes::from_owner(token.answer(render)),
        Protocol::Imds => render_imds(token, None, now).into(),
        Protocol::Arc { .. } => render_imds(token, selector, now).into(),
    }
}

/// All members are strings. Python's SDK needs `expires_in`; .NET takes both for one and the last for right, so `expires_on` comes after.
fn render_imds(token: &ManagedToken, selector: Option<&Selector>, now: Timestamp) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct TokenResponse<'t> {
        access_token: &'t str,
        client_id: String,
        expires_in: &'t str,
        expires_on: String,
        ext_expires_in: &'t str,
        #[serde(skip_serializing_if = "Option::is_none")]
        msi_res_id: Option<&'t str>,
        not_before: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        object_id: Option<&'t str>,
        refresh_token: &'static str,
        resource: &'t str,
        token_type: &'static str,
    }
    // The token is of this identity, or there would be none.
    let (msi_res_id, object_id) = match selector {
        Some(Selector::Resource(id)) => (Some(id.as_str()), None),
        Some(Selector::Principal(id)) => (None, Some(id.as_str())),
        _ => (None, None),
    };
    let left = token.expires_on.seconds_since(now).max(0).to_string();
    let response = TokenResponse {
        access_token: token.access_token.expose(),
        client_id: token.client.to_string(),
        expires_in: &left,
        expires_on: token.expires_on.seconds().to_string(),
        ext_expires_in: &left,
        msi_res_id,
        object_id,
        not_before: token.issued.seconds().to_string(),
        refresh_token: "",
        resource: &token.resource,
        token_type: "Bearer",
    };
    serde_json::to_vec(&response).unwrap_or_default()
}

/// Exactly these five members: the Rust SDK fails without `resource` or `token_type` and wants `expires_on` as a string, and .NET
/// takes an `expires_in` for `expires_on`.
fn render(token: &ManagedToken) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct TokenResponse<'t> {
        access_token: &'t str,
        expires_on: String,
        resource: &'t str,
        token_type: &'static str,
        client_id: String,
    }
    let response = TokenResponse {
        access_token: token.access_token.expose(),
        expires_on: token.expires_on.seconds().to_string(),
        resource: &token.resource,
        token_type: "Bearer",
        client_id: token.client.to_string(),
    };
    serde_json::to_vec(&response).unwrap_or_default()
}
