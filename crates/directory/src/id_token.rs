//! The claims of an id token: who has signed in, told to the client that asked (OpenID Connect Core section 2; Microsoft identity platform id
//! tokens, v2.0 and v1.0).

use crate::{grants::delegated::Delegated, session::Method, token::Endpoint};
use domain::{ClientId, HostNames, PrincipalId, SessionId, TenantId, Timestamp};
use serde::Serialize;

/// Everything that they are made of.
pub(crate) struct IdFacts<'a> {
    pub(crate) user: &'a Delegated,
    pub(crate) subject: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) client: ClientId,
    pub(crate) tenant: TenantId,
    pub(crate) names: &'a HostNames,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) token: String,
    pub(crate) roles: &'a [String],
}

/// The claims.
#[derive(Debug, Serialize)]
pub(crate) struct IdClaims {
    aud: ClientId,
    iss: String,
    iat: Timestamp,
    nbf: Timestamp,
    exp: Timestamp,
    auth_time: Timestamp,
    amr: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    oid: PrincipalId,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<String>,
    /// What the user may do at the client, by the client's own app roles.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    roles: Vec<String>,
    sid: SessionId,
    sub: String,
    tid: TenantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upn: Option<String>,
    uti: String,
    ver: &'static str,
}

/// The claims of one id token.
pub(crate) fn claims(facts: IdFacts<'_>) -> IdClaims {
    let IdFacts { user, subject, endpoint, client, tenant, names, issued, expires, token, roles } = facts;
    let (person, session) = (&user.signed_in.user, &user.signed_in.session);
    // What a person is called is told to whom it was allowed, as the mail address is. The v1.0 endpoint is always asked for all.
    let tells_names = user.scopes.openid.profile;
    let name = tells_names.then(|| person.user_name.as_str().to_owned());
    let is_v1 = endpoint == Endpoint::V1;
    IdClaims {
        aud: client,
        iss: if is_v1 { names.issuer_v1(tenant) } else { names.issuer_v2(tenant) },
        iat: issued,
        nbf: issued,
        exp: expires,
        auth_time: session.authenticated(),
        amr: Method::amr(&session.methods),
        email: person.mail.clone().filter(|_| user.scopes.openid.email),
        name: tells_names.then(|| person.display_name.clone()),
        nonce: user.nonce.clone(),
        oid: person.id,
        preferred_username: name.clone().filter(|_| !is_v1),
        roles: roles.to_vec(),
        sid: session.id,
        sub: subject,
        tid: tenant,
        unique_name: name.clone().filter(|_| is_v1),
        upn: name.filter(|_| is_v1),
        uti: token,
        ver: if is_v1 { "1.0" } else { "2.0" },
    }
}
