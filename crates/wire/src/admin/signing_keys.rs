//! `/v1/signing-keys`: the keys that sign the directory's tokens; rolled, and revoked when one is compromised.

use super::{
    Admin, audited,
    body::{Body, Segment, json},
    error::AdminError,
};
use crate::context::{Context, Services, State};
use audit::Actor;
use axum::{
    Extension, Router,
    extract::State as Shared,
    response::Response,
    routing::{delete, get, post},
};
use directory::{KeyChange, KeyState, RingKey};
use domain::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The current key, as `/v1/status` tells it.
#[derive(Serialize)]
pub(super) struct Current {
    kid: String,
    since: Timestamp,
    /// When another one signs, if that is known.
    next_roll: Option<Timestamp>,
}

/// Of the ring as it is now.
pub(super) fn current(state: &Services) -> Option<Current> {
    state.directory.ring().keys().iter().find_map(|key| match key.state {
        KeyState::Current { since, .. } => {
            Some(Current { kid: key.kid.clone(), since, next_roll: state.directory.next_roll() })
        }
        _ => None,
    })
}

#[derive(Serialize)]
struct Shown {
    /// In the order of their making, as they are published.
    value: Vec<RingKey>,
    next_roll: Option<Timestamp>,
}

#[derive(Serialize)]
struct Changed {
    done: Vec<KeyChange>,
    #[serde(flatten)]
    keys: Shown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roll {
    /// Also if not everybody knows the new key yet.
    #[serde(default)]
    now: bool,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/signing-keys", get(list))
        .route("/v1/signing-keys/roll", post(roll))
        .route("/v1/signing-keys/{kid}", delete(revoke))
}

async fn list(Shared(state): Shared<State>) -> Response {
    json(StatusCode::OK, &shown(&state))
}

async fn roll(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Body(Roll { now }): Body<Roll>,
) -> Result<Response, AdminError> {
    let rolled = state.directory.roll(now, context.now).await;
    answer(&state, &context, "signing-key.roll", "signing keys".to_owned(), rolled)
}

async fn revoke(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(kid): Segment<String>,
) -> Result<Response, AdminError> {
    let revoked = state.directory.revoke(&kid, context.now).await;
    answer(&state, &context, "signing-key.revoke", format!("signing key {kid}"), revoked)
}

/// The command's own record, then one for each key that it changed.
fn answer(
    state: &Services,
    context: &Context,
    action: &'static str,
    target: String,
    changed: Result<Vec<KeyChange>, directory::DirectoryError>,
) -> Result<Response, AdminError> {
    let done = audited(state, context, action, target, changed)?;
    for change in done.iter().filter(|change| change.action() != action) {
        let _recorded = context.record_key_change(state, Actor::Administrator, change, "as was asked for")?;
    }
    Ok(json(StatusCode::OK, &Changed { done, keys: shown(state) }))
}

fn shown(state: &Services) -> Shown {
    Shown { value: state.directory.ring().keys().to_vec(), next_roll: state.directory.next_roll() }
}
