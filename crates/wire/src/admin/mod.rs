//! The administrator's API: HTTP and JSON on a unix socket that only the server's user and root may open.
//!
//! Owns: routes, bodies and errors of `/v1/…`. Owns not: the socket and who may connect (`server` checks the peer's credentials and
//! puts an [`AdminPeer`] among the request's extensions; without one nothing is answered), secrets (the administrator reads them like
//! any client, with a token from `/v1/token`).
//! Spec: ours, this folder. Every change leaves an audit record with the peer's user, process and program.

pub mod app_roles;
pub mod apps;
pub mod body;
pub mod clock;
pub mod compared;
pub mod error;
pub mod explain;
pub mod federated;
pub mod groups;
pub mod hosting;
pub mod identities;
pub mod policies;
pub mod principals;
pub mod registrations;
pub mod roles;
pub mod signing_keys;
pub mod status;
pub mod token;
pub mod users;
pub mod vaults;
mod whom;
pub mod workloads;

pub use clock::{ClockFault, Settled, Step, TestClock};
pub use hosting::{
    Brought, Hosting, HostingFault, ObservedApp, ObservedDeployment, ObservedInstance, ObservedReference,
};
pub use status::{Alarm, Capability, HostingFacts, Installation, InstallationFacts};

use crate::context::{self, Context, Services, State};
use audit::{Actor, Origin, Outcome, SharedOrigin};
use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, Request},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use domain::limits;
use error::AdminError;
use http::StatusCode;
use std::sync::Arc;

/// Who is at the other end of the socket: the kernel's word.
#[derive(Clone, Debug)]
pub struct AdminPeer {
    /// The user.
    pub uid: u32,
    /// The process, if the kernel names it.
    pub pid: Option<u32>,
    /// Its executable, if it can be read.
    pub executable: Option<String>,
}

/// What the handlers share.
#[derive(Clone)]
pub struct Admin {
    state: State,
    installation: Arc<dyn Installation>,
    hosting: Arc<dyn Hosting>,
}

impl FromRef<Admin> for Arc<dyn Hosting> {
    fn from_ref(admin: &Admin) -> Self {
        admin.hosting.clone()
    }
}

impl FromRef<Admin> for State {
    fn from_ref(admin: &Admin) -> Self {
        admin.state.clone()
    }
}

/// The routes of this protocol.
pub fn router(state: State, installation: Arc<dyn Installation>, hosting: Arc<dyn Hosting>) -> Router {
    let admin = Admin { state: state.clone(), installation, hosting };
    Router::new()
        .merge(status::routes())
        .merge(token::routes())
        .merge(apps::routes())
        .merge(hosting::routes())
        .merge(compared::routes())
        .merge(identities::routes())
        .merge(federated::routes())
        .merge(workloads::routes())
        .merge(vaults::routes())
        .merge(policies::routes())
        .merge(roles::routes())
        .merge(explain::routes())
        .merge(clock::routes())
        .merge(registrations::routes())
        .merge(app_roles::routes())
        .merge(principals::routes())
        .merge(users::routes())
        .merge(groups::routes())
        .merge(signing_keys::routes())
        .fallback(|| async {
            AdminError::not_found("there is no such route: does the version of `keyless` fit the server's?")
        })
        .method_not_allowed_fallback(|| async {
            AdminError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "this route does not know this method",
            )
        })
        .with_state(admin)
        .layer(DefaultBodyLimit::max(limits::REQUEST_BODY_BYTES_MAX))
        .layer(from_fn_with_state(state, context::stamp))
        .layer(from_fn(identify))
}

/// Layer: the peer that the listener saw becomes the origin in the audit log. A request that did not come through the listener's
/// check is refused.
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

/// Leaves the audit record of one change, allowed, refused or failed, before it is answered.
fn audited<T>(
    state: &Services,
    context: &Context,
    action: &'static str,
    target: String,
    result: Result<T, impl Into<AdminError>>,
) -> Result<T, AdminError> {
    let result = result.map_err(Into::into);
    let (outcome, reason) = match &result {
        Ok(_) => (Outcome::Allowed, "the administrator may do anything".to_owned()),
        Err(error) if error.is_ours() => (Outcome::Failed, error.message().to_owned()),
        Err(error) => (Outcome::Refused, error.message().to_owned()),
    };
    let _recorded = context.record(&*state.audit, Actor::Administrator, action, target, outcome, reason)?;
    result
}
