//! [`Verifier`]: from a bearer token to a [`Caller`] (RFC 6750, RFC 7519 section 4.1, RFC 8725).

use crate::{Caller, cache::VerifiedTokens, caller::Facts, claims::Claims};
use crypt::{JwsFault, PublicKey, jws, sha256};
use domain::{Secret, TenantId, Timestamp, limits};
use std::sync::Arc;

/// Where the verifier finds public keys: the directory's key ring.
pub trait KeySource: Send + Sync {
    /// The published key of this id.
    fn public_key(&self, kid: &str) -> Option<Arc<PublicKey>>;

    /// Grows when a key is revoked: everything verified before is forgotten. Read on each request, so it must be cheap.
    fn epoch(&self) -> u64;
}

/// Which tokens are for us.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// Accepted issuers, v1.0 and v2.0 forms.
    pub issuers: Vec<String>,
    /// Accepted audiences; see [`crate::vault_audiences`].
    pub audiences: Vec<String>,
    /// The only tenant.
    pub tenant: TenantId,
}

/// Why a token is refused. Its texts come from tokens that carry our own signature, or are key ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerFault {
    /// Not a token of the form that we issue.
    #[error("the token is malformed")]
    Malformed,
    /// Not signed by the one algorithm that we use.
    #[error("the token is not signed by RS256")]
    UnsupportedAlgorithm,
    /// Signed by a key that is not, or no longer, in the key ring.
    #[error("the token's signing key is not known")]
    UnknownKey {
        /// The key id that the token names.
        kid: String,
    },
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Issued by, or for, somebody else.
    #[error("the token's issuer {found} is not accepted")]
    WrongIssuer {
        /// The accepted ones.
        expected: Vec<String>,
        /// The token's.
        found: String,
    },
    /// Of another tenant.
    #[error("the token is of another tenant")]
    WrongTenant {
        /// The token's.
        found: TenantId,
    },
    /// Meant for somebody else.
    #[error("the token's audience {found} is not accepted")]
    WrongAudience {
        /// The accepted ones.
        expected: Vec<String>,
        /// The token's.
        found: String,
    },
    /// Its time has not come.
    #[error("the token is not valid before {from:?}")]
    NotYetValid {
        /// From when it is.
        from: Timestamp,
    },
    /// Its time is over.
    #[error("the token expired at {at:?}")]
    Expired {
        /// Since when.
        at: Timestamp,
    },
}

impl From<JwsFault> for BearerFault {
    fn from(fault: JwsFault) -> Self {
        match fault {
            JwsFault::Malformed => Self::Malformed,
            JwsFault::UnsupportedAlgorithm => Self::UnsupportedAlgorithm,
            JwsFault::UnknownKey { kid } => Self::UnknownKey { kid },
            JwsFault::BadSignature => Self::BadSignature,
        }
    }
}

/// Verifies bearer tokens, and remembers those that it has verified.
pub struct Verifier {
    config: VerifierConfig,
    verified: VerifiedTokens,
}

impl Verifier {
    /// With nothing remembered.
    pub fn new(config: VerifierConfig) -> Self {
        Self { config, verified: VerifiedTokens::new() }
    }

    /// Who is calling? On a token seen before this is one hash and one look-up; the times are checked each time.
    ///
    /// # Errors
    /// [`BearerFault`].
    pub fn verify(
        &self,
        token: &Secret<String>,
        keys: &dyn KeySource,
        now: Timestamp,
    ) -> Result<Caller, BearerFault> {
        if token.expose().len() > limits::TOKEN_BYTES_MAX {
            return Err(BearerFault::Malformed);
        }
        // Read before the verification: a key revoked meanwhile makes what we remember an entry of the old epoch.
        let epoch = keys.epoch();
        let hash = sha256(token.expose());
        if let Some(caller) = self.verified.get(&hash, epoch) {
            return match check_times(caller.not_before(), caller.expires(), now) {
                Ok(()) => Ok(caller),
                Err(fault) => {
                    if matches!(fault, BearerFault::Expired { .. }) {
                        self.verified.remove(&hash);
                    }
                    Err(fault)
                }
            };
        }
        let claims = jws::verify(token.expose(), |kid| keys.public_key(kid))?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| BearerFault::Malformed)?;
        let caller = self.check(claims, now)?;
        self.verified.put(hash, caller.clone(), epoch, now);
        Ok(caller)
    }

    fn check(&self, claims: Claims, now: Timestamp) -> Result<Caller, BearerFault> {
        let client = claims.appid.or(claims.azp).ok_or(BearerFault::Malformed)?;
        if !self.config.issuers.contains(&claims.iss) {
            return Err(BearerFault::WrongIssuer {
                expected: self.config.issuers.clone(),
                found: claims.iss,
            });
        }
        if claims.tid != self.config.tenant {
            return Err(BearerFault::WrongTenant { found: claims.tid });
        }
        if !self.config.audiences.contains(&claims.aud) {
            return Err(BearerFault::WrongAudience {
                expected: self.config.audiences.clone(),
                found: claims.aud,
            });
        }
        let [issued, not_before, expires] = [claims.iat, claims.nbf, claims.exp].map(Timestamp::from_seconds);
        check_times(not_before, expires, now)?;
        Ok(Caller::new(Facts {
            principal: claims.oid,
            client,
            tenant: claims.tid,
            issuer: claims.iss,
            audience: claims.aud,
            issued,
            not_before,
            expires,
        }))
    }
}

/// A clock that runs ahead of ours must not cost its tokens their first minutes; nothing lengthens a token's life.
fn check_times(not_before: Timestamp, expires: Timestamp, now: Timestamp) -> Result<(), BearerFault> {
    if now >= expires {
        return Err(BearerFault::Expired { at: expires });
    }
    if now.plus(limits::CLOCK_SKEW) < not_before {
        return Err(BearerFault::NotYetValid { from: not_before });
    }
    Ok(())
}
