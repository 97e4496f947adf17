//! The administrator's routes that need the data directory itself: the recovery key is proven, the audit log verified.
//!
//! All other routes of `/v1/…` are `wire::admin`'s; errors have its form.

use crate::{
    data::Layout,
    maintenance,
    seal::{self, Recovered, SealError},
    tasks,
};
use audit::{Actor, AuditLog, Origin, Outcome, SharedOrigin};
use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Request, State as Shared},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use crypt::Key256;
use domain::{Entropy, Secret, limits};
use http::StatusCode;
use serde::Deserialize;
use std::{path::PathBuf, sync::Arc};
use store::Store;
use wire::{
    Services,
    admin::{AdminPeer, body::Body, error::AdminError},
    context::{Context, stamp},
};

/// What these routes work on.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) log: Arc<AuditLog>,
    pub(crate) layout: Layout,
    /// Where the passphrase is that opened the root key, if one did.
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) root: Arc<Key256>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) services: Arc<Services>,
}

/// The routes.
pub(crate) fn router(state: State) -> Router {
    let services = state.services.clone();
    Router::new()
        .route("/v1/recover", post(recover))
        .route("/v1/audit/verify", get(verify))
        .method_not_allowed_fallback(|| async {
            AdminError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "this route does not know this method",
            )
        })
        .with_state(state)
        .layer(DefaultBodyLimit::max(limits::REQUEST_BODY_BYTES_MAX))
        .layer(from_fn_with_state(services, stamp))
        .layer(from_fn(identify))
}

/// Layer: the peer that the listener let in becomes the origin in the audit log.
async fn identify(mut request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions_mut().remove::<AdminPeer>() else {
        return AdminError::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "only the server's own user and root may do this",
        )
        .into_response();
    };
    let origin =
        Origin { uid: Some(peer.uid), pid: peer.pid, executable: peer.executable, ..Origin::default() };
    request.extensions_mut().insert(SharedOrigin::from(origin));
    next.run(request).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecoverRequest {
    recovery_key: String,
    #[serde(default)]
    passphrase_file: Option<PathBuf>,
}

async fn recover(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Body(request): Body<RecoverRequest>,
) -> Result<Response, AdminError> {
    let typed = Secret::new(request.recovery_key);
    let passphrases = (state.passphrase_file.as_deref(), request.passphrase_file.as_deref());
    let done = seal::recover(&*state.store, &state.layout, passphrases, &typed, &*state.entropy).await;
    let (outcome, reason) = match &done {
        Ok(done) => (Outcome::Allowed, done.to_string()),
        Err(error) => (Outcome::Refused, error.to_string()),
    };
    let _recorded = context.record(
        &*state.services.audit,
        Actor::Administrator,
        "seal.recover",
        "root key".into(),
        outcome,
        reason,
    )?;
    done.map(|done| Json(serde_json::json!({"outcome": done})).into_response()).map_err(refused)
}

fn refused(error: SealError) -> AdminError {
    let status = match &error {
        SealError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        SealError::WrongRecoveryKey => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    AdminError::new(status, "NotRecovered", error.to_string())
}

async fn verify(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    // What is still in flight is on disk and anchored first, so that the verdict is about all of it.
    tasks::sync_once(state.log.clone(), &*state.store, &*state.entropy).await;
    let key = state.root.derive(maintenance::AUDIT_KEY);
    match maintenance::verify(&*state.store, &state.layout, &key).await {
        Ok(Ok(verified)) => {
            let audit::Verified { records, expired, torn, .. } = verified;
            Ok(Json(serde_json::json!({"records": records, "expired": expired, "torn": torn}))
                .into_response())
        }
        Ok(Err(fault)) => Err(AdminError::new(StatusCode::CONFLICT, "AuditBroken", fault.to_string())),
        Err(error) => {
            Err(AdminError::new(StatusCode::SERVICE_UNAVAILABLE, "NotVerified", domain::chain(&error)))
        }
    }
}

impl std::fmt::Display for Recovered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Sound => "the recovery key is right, and so is what opens the root key from day to day",
            Self::RecoveryKeyOnly => "the recovery key is right; whether the passphrase is was not looked at, as no passphrase_file is configured here",
            Self::KeyFileWritten => "the recovery key is right; the key file was made anew",
            Self::PassphraseSet => "the recovery key is right; from now on the passphrase opens the root key, and the key file is gone",
        })
    }
}
