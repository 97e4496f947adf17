//! `id_token_hint`: an id token that a client was given before, by which it says whom it means (OpenID Connect Core section 3.1.2.1, RP-Initiated
//! Logout 1.0 section 2). It may be long over: it says who it was, and lets nobody in.

use super::visit::Visit;
use access::KeySource as _;
use domain::{ClientId, PrincipalId, SessionId};
use serde::Deserialize;

/// The part of an id token that is looked at.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Hint {
    /// The client that it was issued to.
    pub(super) aud: ClientId,
    /// Of which session it tells.
    pub(super) sid: SessionId,
    /// And of which user.
    pub(super) oid: PrincipalId,
}

/// An id token of ours.
pub(super) fn read(visit: &Visit<'_>, token: &str) -> Option<Hint> {
    let directory = &visit.state.directory;
    let claims = crypt::jws::verify(token, |kid| directory.public_key(kid)).ok()?;
    serde_json::from_slice(&claims).ok()
}
