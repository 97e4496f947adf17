//! The Key Vault data plane: secrets.

use crate::context::State;
use axum::Router;

/// The routes of this protocol.
pub fn router(state: State) -> Router {
    let _ = state;
    todo!()
}
