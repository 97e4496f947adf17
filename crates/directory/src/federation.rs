//! Outside issuers: whose word is taken for whom, and by which keys it is known (ADR 0014).
//!
//! Owns: the match of an assertion with the federated credentials of whoever it is for: a registration or a managed identity. Owns not: fetching keys, which is
//! I/O (`server`), behind [`IssuerKeys`].
//! Invariant: an issuer is asked for its keys only if whoever the request names trusts it for exactly what the assertion says.

use crate::{AssertionRefusal, FederatedCredential, tenant::shown};
use crypt::{IssuerKey, assertion::Claimed};
use domain::Timestamp;
use std::{future::Future, pin::Pin, sync::Arc};

/// Why an issuer's keys are not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IssuerFault(pub String);

/// What asking for keys comes to.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Arc<Vec<IssuerKey>>, IssuerFault>> + Send + 'a>>;

/// Where the keys of issuers come from that publish them (OpenID Connect Discovery 1.0).
pub trait IssuerKeys: Send + Sync {
    /// May this issuer ever be asked? By its name alone: for whoever registers it.
    ///
    /// # Errors
    /// The rule that its name breaks.
    fn may_fetch(&self, issuer: &str) -> Result<(), &'static str>;

    /// The keys that an issuer publishes. `kid` is the one that is needed: keys at hand without it may be old.
    fn keys<'a>(&'a self, issuer: &'a str, kid: Option<&'a str>, now: Timestamp) -> Fetched<'a>;
}

/// Asks nobody. For worlds without a network.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFetch;

impl IssuerKeys for NoFetch {
    fn may_fetch(&self, _: &str) -> Result<(), &'static str> {
        Err("this server fetches no keys: give the issuer's key set")
    }

    fn keys<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: Timestamp) -> Fetched<'a> {
        Box::pin(async { Err(IssuerFault("this server fetches no keys".to_owned())) })
    }
}

/// The credential by which an assertion's issuer may vouch for the client. Every letter counts, in every case.
pub(crate) fn find(
    credentials: &[Arc<FederatedCredential>],
    claimed: &Claimed,
) -> Result<Arc<FederatedCredential>, AssertionRefusal> {
    let of_issuer = || credentials.iter().filter(|one| one.issuer == claimed.issuer);
    if of_issuer().next().is_none() {
        return Err(AssertionRefusal::IssuerUnknown { issuer: shown(&claimed.issuer) });
    }
    let Some(credential) = of_issuer().find(|one| one.subject == claimed.subject) else {
        return Err(AssertionRefusal::SubjectUnknown { subject: shown(&claimed.subject) });
    };
    if !claimed.audiences.contains(&credential.audience) {
        let audience = claimed.audiences.first().map(|audience| shown(audience)).unwrap_or_default();
        return Err(AssertionRefusal::AudienceUnknown { audience });
    }
    Ok(credential.clone())
}
