//! `GET` and `POST /{tenant}/openid/userinfo`: who has signed in, told to a client with an access token for Microsoft Graph (OpenID Connect
//! Core section 5.3). What is told is what the token's scopes say.

use super::answer;
use crate::{
    bearer::{self, Unauthenticated},
    context::{Context, State},
    oauth2::{TenantPart, json, token},
};
use access::{Verifier, VerifierConfig};
use audit::{Actor, Outcome};
use axum::{Extension, extract::Request, response::Response, routing::MethodRouter};
use directory::audience::{GRAPH_APPLICATION, GRAPH_RESOURCE};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const ACTION: &str = "userinfo.read";

pub(super) fn route(state: &State) -> MethodRouter<State> {
    let graph = state.names.graph_resource();
    let audiences = [graph.as_str(), GRAPH_RESOURCE];
    let both = audiences.iter().flat_map(|audience| [(*audience).to_owned(), format!("{audience}/")]);
    let verifier = Arc::new(Verifier::new(VerifierConfig {
        issuers: state.directory.issuers().into(),
        audiences: both.chain([GRAPH_APPLICATION.to_owned()]).collect(),
        tenant: state.directory.tenant().id,
    }));
    let handler = move |state: axum::extract::State<State>,
                        tenant: TenantPart,
                        Extension(context): Extension<Context>,
                        request: Request| {
        let verifier = verifier.clone();
        let headers = request.headers().clone();
        async move { userinfo(&state, &verifier, &tenant, &context, &headers).await }
    };
    axum::routing::get(handler.clone()).post(handler).fallback(token::wrong_method)
}

/// The claims, as the id token has them.
#[derive(Serialize)]
struct Claims {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

/// Why nobody is told anything (RFC 6750 section 3.1).
struct Refused {
    status: StatusCode,
    error: Option<&'static str>,
    why: String,
}

impl Refused {
    fn invalid(why: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error: Some("invalid_token"), why: why.into() }
    }
}

async fn userinfo(
    state: &State,
    verifier: &Verifier,
    tenant: &TenantPart,
    context: &Context,
    headers: &HeaderMap,
) -> Response {
    let read = read(state, verifier, tenant, context, headers).await;
    let (actor, outcome, why) = match &read {
        Ok((actor, _)) => (actor.clone(), Outcome::Allowed, "the token is the user's".to_owned()),
        Err(refused) if refused.status.is_server_error() => {
            (Actor::Anonymous, Outcome::Failed, refused.why.clone())
        }
        Err(refused) => (Actor::Anonymous, Outcome::Refused, refused.why.clone()),
    };
    let recorded = context.record(&*state.audit, actor, ACTION, "userinfo".to_owned(), outcome, why);
    let mut response = match (recorded, read) {
        (Err(_), _) => refused(&Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: Some("temporarily_unavailable"),
            why: String::new(),
        }),
        (Ok(_), Ok((_, claims))) => json(StatusCode::OK, HeaderValue::from_static("no-store"), &claims),
        (Ok(_), Err(why)) => refused(&why),
    };
    answer::harden(response.headers_mut());
    response
}

async fn read(
    state: &State,
    verifier: &Verifier,
    TenantPart(tenant): &TenantPart,
    context: &Context,
    headers: &HeaderMap,
) -> Result<(Actor, Claims), Refused> {
    let directory = &state.directory;
    directory.tenant().alias(tenant).map_err(|error| Refused {
        status: StatusCode::BAD_REQUEST,
        error: Some("invalid_request"),
        why: error.to_string(),
    })?;
    let token = bearer::token(headers).map_err(|fault| match fault {
        Unauthenticated::NoToken => {
            Refused { status: StatusCode::UNAUTHORIZED, error: None, why: "there is no token".to_owned() }
        }
        _ => Refused::invalid("the header is not one bearer token"),
    })?;
    let caller = verifier
        .verify(token, &**directory, context.now)
        .map_err(|fault| Refused::invalid(fault.to_string()))?;
    let scopes = scopes(token.expose()).ok_or_else(|| Refused::invalid("the token is no user's"))?;
    let person = directory.user(&caller.principal().to_string()).await.map_err(|error| match error {
        directory::DirectoryError::User(_) => Refused::invalid("the token's user is not here"),
        error => Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: Some("temporarily_unavailable"),
            why: error.to_string(),
        },
    })?;
    if !person.principal.enabled || person.principal.revocations.refuse_caller(&caller) {
        return Err(Refused::invalid("the token is revoked, or its user disabled"));
    }
    let has = |wanted: &[&str]| scopes.iter().any(|scope| wanted.contains(&scope.as_str()));
    let sees_profile = has(&["profile"]) || scopes.iter().any(|scope| scope.starts_with("User."));
    let user = &person.user;
    let claims = Claims {
        sub: directory.subject(caller.client(), user.id),
        name: sees_profile.then(|| user.display_name.clone()),
        preferred_username: sees_profile.then(|| user.user_name.as_str().to_owned()),
        email: user.mail.clone().filter(|_| sees_profile || has(&["email"])),
    };
    Ok((Actor::Principal { id: user.id, client: Some(caller.client()) }, claims))
}

/// The scopes of a token whose signature was verified. One that a client got for itself has none.
fn scopes(token: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Scoped {
        scp: String,
    }
    let claims = crypt::encoding::from_base64url(token.split('.').nth(1)?).ok()?;
    let scoped: Scoped = serde_json::from_slice(&claims).ok()?;
    Some(scoped.scp.split(' ').map(str::to_owned).collect())
}

fn refused(refused: &Refused) -> Response {
    let mut response = crate::oauth2::status_only(refused.status);
    if refused.status == StatusCode::UNAUTHORIZED {
        // Who has shown no token is told no error (RFC 6750 section 3.1).
        let challenge = match refused.error {
            Some(_) => {
                "Bearer realm=\"keyless\", error=\"invalid_token\", error_description=\"the token is not valid here\""
            }
            None => "Bearer realm=\"keyless\"",
        };
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
