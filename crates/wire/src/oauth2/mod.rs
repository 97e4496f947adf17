//! The directory's token endpoint and discovery documents (RFC 6749, OpenID Connect Discovery 1.0).

use crate::context::State;
use axum::Router;

/// The routes of this protocol.
pub fn router(state: State) -> Router {
    let _ = state;
    todo!()
}
