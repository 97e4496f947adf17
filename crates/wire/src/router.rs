//! The public listener's routes: the `Host` header chooses the protocol, then that protocol's router chooses the handler.

use crate::context::State;
use axum::Router;

/// Everything that the public HTTPS listener serves.
pub fn public_router(state: State) -> Router {
    let _ = state;
    todo!("the integrator joins wire::oauth2::router and wire::keyvault::router by HostNames::role once they exist")
}
