//! [`Caller`]: the witness that a bearer token's signature, issuer, audience and times hold.

use domain::{ClientId, PrincipalId, TenantId, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

/// Who is calling, proven by a token. Only [`crate::Verifier`] makes one. Cheap to clone: it is shared, not copied.
///
/// Says nothing of whether the principal still exists or what it may do: that is a [`crate::Permit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Arc<Facts>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) principal: PrincipalId,
    pub(crate) client: ClientId,
    pub(crate) tenant: TenantId,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) issued: Timestamp,
    pub(crate) not_before: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) stands_on: Vec<Uuid>,
    pub(crate) scopes: Option<String>,
}

impl Caller {
    pub(crate) fn new(facts: Facts) -> Self {
        Self(Arc::new(facts))
    }

    /// A caller without a token, for the tests of crates above.
    #[cfg(any(test, feature = "fixtures"))]
    pub fn fixture(principal: PrincipalId, client: ClientId, tenant: TenantId) -> Self {
        Self::new(Facts {
            principal,
            client,
            tenant,
            issuer: format!("https://login.test/{tenant}/"),
            audience: crate::audience::KEY_VAULT_RESOURCE.to_owned(),
            issued: Timestamp::default(),
            not_before: Timestamp::default(),
            expires: Timestamp::from_seconds(i64::MAX),
            stands_on: Vec::new(),
            scopes: None,
        })
    }

    /// The same with a token of then, that stands on this.
    #[cfg(any(test, feature = "fixtures"))]
    #[must_use]
    pub fn standing_on(&self, issued: Timestamp, stands_on: Vec<Uuid>) -> Self {
        let Facts { principal, client, tenant, not_before, expires, .. } = *self.0;
        let (issuer, audience) = (self.0.issuer.clone(), self.0.audience.clone());
        let scopes = self.0.scopes.clone();
        Self::new(Facts {
            principal,
            client,
            tenant,
            issuer,
            audience,
            issued,
            not_before,
            expires,
            stands_on,
            scopes,
        })
    }

    /// The acting principal (`oid`).
    pub fn principal(&self) -> PrincipalId {
        self.0.principal
    }

    /// The client that got the token (`appid` or `azp`).
    pub fn client(&self) -> ClientId {
        self.0.client
    }

    /// The tenant (`tid`).
    pub fn tenant(&self) -> TenantId {
        self.0.tenant
    }

    /// The issuer as the token spells it (`iss`).
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The audience as the token spells it (`aud`).
    pub fn audience(&self) -> &str {
        &self.0.audience
    }

    /// When the token was issued (`iat`).
    pub fn issued(&self) -> Timestamp {
        self.0.issued
    }

    /// From when the token is valid (`nbf`).
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// From when the token is worth nothing (`exp`).
    pub fn expires(&self) -> Timestamp {
        self.0.expires
    }

    /// What the client may do in a user's name (`scp`). `None`: the token is an application's own.
    pub fn scopes(&self) -> Option<impl Iterator<Item = &str>> {
        self.0.scopes.as_deref().map(|scopes| scopes.split(' ').filter(|scope| !scope.is_empty()))
    }

    /// What the token stands on: a user's session (`sid`) and grant, or a client's credential. Once one of these is gone, so is the token.
    /// Managed identities' tokens stand on their principal alone.
    pub fn stands_on(&self) -> &[Uuid] {
        &self.0.stands_on
    }
}
