//! JWS.
use crate::{CryptError, PublicKey, SigningKey};
use domain::Secret;
use serde::Serialize;
use std::sync::Arc;

/// Whether the header of a token carries `x5t` beside `kid` (v1.0 access tokens do).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thumbprint {
    /// `typ`, `alg`, `x5t`, `kid`.
    Included,
    /// `typ`, `alg`, `kid`.
    Omitted,
}

/// Why a token is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsFault {
    /// Not a compact JWS with the header that we make.
    #[error("the token is malformed")]
    Malformed,
    /// Not RS256.
    #[error("the token is not signed by RS256")]
    UnsupportedAlgorithm,
    /// Signed by a key that is not in the ring.
    #[error("the token is signed by an unknown key")]
    UnknownKey {
        /// The key id that the token names.
        kid: String,
    },
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    BadSignature,
}

/// Signs claims.
/// # Errors
/// Unavailable.
pub fn sign<C: Serialize>(_key: &SigningKey, _thumbprint: Thumbprint, _claims: &C) -> Result<Secret<String>, CryptError> { todo!() }

/// Verifies a token; returns its claims as JSON.
/// # Errors
/// [`JwsFault`].
pub fn verify(_token: &str, _find_key: impl Fn(&str) -> Option<Arc<PublicKey>>) -> Result<Vec<u8>, JwsFault> { todo!() }
