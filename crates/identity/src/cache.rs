//! Tokens kept for reuse, one for each principal and resource: renewed ahead of expiry, made once however many ask at a time.

use domain::{ClientId, PrincipalId, Secret, Timestamp};
use std::sync::{Arc, OnceLock};

/// A managed identity's token, shared by all requests that get it.
pub struct ManagedToken {
    /// The token.
    pub access_token: Secret<String>,
    /// When it expires.
    pub expires_on: Timestamp,
    /// When it was issued.
    pub issued: Timestamp,
    /// The resource as it was asked for.
    pub resource: String,
    /// The identity's principal.
    pub principal: PrincipalId,
    /// The identity's client id.
    pub client: ClientId,
    answer: OnceLock<Arc<[u8]>>,
}

impl ManagedToken {
    /// The answer in the protocol's form: rendered at the first request, shared by the others.
    pub fn answer(&self, render: impl FnOnce(&Self) -> Vec<u8>) -> Arc<[u8]> {
        self.answer.get_or_init(|| render(self).into()).clone()
    }
}
