//! On-behalf-of (RFC 7523 section 2.1 as the Microsoft identity platform uses it): an API that was called with a user's token gets another one,
//! with which it calls the next API in the same user's name.
//!
//! The token that it shows must be for itself, of this tenant, unexpired and unrevoked, and of a user: a client's own token says nothing of
//! a user. The new one stands on the same session.

use crate::{
    Audience, DirectoryError, GrantError,
    audience::{self, Resource},
    client::Authenticated,
    consent,
    grants::delegated::{self, Outcome, Proven, Setting},
    redirect::Platform,
    scope::Scopes,
    session,
};
use access::KeySource;
use crypt::jws;
use domain::{PrincipalId, Secret, SessionId, TenantId, Timestamp, limits};
use serde::Deserialize;
use store::{Halt, View, refuse};
use uuid::Uuid;

/// What is read of the user's token, once its signature was found to be ours.
#[derive(Debug, Deserialize)]
pub(crate) struct UserToken {
    aud: String,
    iss: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    tid: TenantId,
    oid: PrincipalId,
    sid: Option<SessionId>,
    scp: Option<String>,
    #[serde(rename = "keyless_grant")]
    grant: Option<Uuid>,
}

/// Verifies the user's token as far as that needs nothing of the store.
pub(crate) fn verify(
    token: &Secret<String>,
    keys: &dyn KeySource,
    issuers: &[String],
    tenant: TenantId,
    now: Timestamp,
) -> Result<UserToken, DirectoryError> {
    let invalid = |why| DirectoryError::Grant(GrantError::UserTokenInvalid { why });
    if token.expose().len() > limits::TOKEN_BYTES_MAX {
        return Err(invalid("it is too large"));
    }
    let claims = jws::verify(token.expose(), |kid| keys.public_key(kid))
        .map_err(|_| invalid("it is not signed by this directory"))?;
    let is_object = claims.trim_ascii_start().first() == Some(&b'{');
    let token: UserToken = serde_json::from_slice(&claims)
        .ok()
        .filter(|_| is_object)
        .ok_or_else(|| invalid("its claims cannot be read"))?;
    if !issuers.contains(&token.iss) || token.tid != tenant {
        return Err(invalid("it is of another tenant"));
    }
    if now >= Timestamp::from_seconds(token.exp) {
        return Err(invalid("it has expired"));
    }
    if now.plus(limits::CLOCK_SKEW) < Timestamp::from_seconds(token.nbf) {
        return Err(invalid("it is not valid yet"));
    }
    Ok(token)
}

/// Grants what is asked for, in the name of the token's user.
pub(crate) fn grant(
    view: &View,
    setting: Setting<'_>,
    client: &Authenticated,
    token: &UserToken,
    scopes: &Scopes,
) -> Outcome {
    let invalid = |why| refuse(DirectoryError::Grant(GrantError::UserTokenInvalid { why }));
    // Whoever calls must be the one that was called.
    let is_own = match audience::resolve(view, setting.names, &token.aud) {
        Ok(Audience { resource: Resource::Registered(registration), .. }) => {
            registration.client == client.client
        }
        Ok(_) | Err(Halt::Refuse(_)) => false,
        Err(Halt::Load(load)) => return Err(Halt::Load(load)),
    };
    if !is_own {
        return invalid("it is for another audience");
    }
    let (Some(session), Some(_)) = (token.sid, &token.scp) else { return invalid("it is no user's") };
    let Some(signed_in) = session::live(view, session)? else {
        return refuse(DirectoryError::Grant(GrantError::SessionEnded));
    };
    if signed_in.user.id != token.oid {
        return invalid("its session is another user's");
    }
    let stands_on: Vec<Uuid> = token.grant.into_iter().chain([session.uuid()]).collect();
    if signed_in.principal.revocations.refuse(Timestamp::from_seconds(token.iat), &stands_on) {
        return refuse(DirectoryError::Grant(GrantError::SessionEnded));
    }
    let openid =
        consent::openid_without_asking(view, client.application()?, signed_in.user.id, scopes.openid)?;
    let (scopes, platform) = (scopes.with(openid), Platform::Web);
    delegated::begin(view, setting, Proven { client, signed_in, scopes, nonce: None, platform })
}
