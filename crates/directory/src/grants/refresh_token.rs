//! Refresh tokens (RFC 6749 section 6, RFC 9700 section 4.14): each is good for one use, which brings the next one of its family.
//!
//! One that comes again was stolen, by whoever came second or first: nobody can tell, so the whole family is revoked, and with it the access
//! tokens that came from it. A family ends with its session, and when nobody has used it for a long time.

use crate::{
    DirectoryError, GrantError, RequestError,
    claims::Proof,
    client::Authenticated,
    grants::delegated::{self, Delegated, Fresh, Outcome, Setting},
    redirect::Platform,
    scope::Scopes,
    session::{self, Session, SignedIn},
    sweep::Expiring,
    token::Refused,
};
use access::Principal;
use crypt::HashedSecret;
use domain::{ClientId, RefreshFamilyId, Secret, SessionId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use store::{Decision, Halt, Key, Load, Record, View, Write, refuse};

pub(crate) const PREFIX: &str = "refresh-token/";

/// The refresh tokens that come one after the other out of one grant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Family {
    id: RefreshFamilyId,
    client: ClientId,
    platform: Platform,
    session: SessionId,
    /// What the last access token was for, which is what the next one is for unless it is said.
    scopes: Scopes,
    /// The hash of the one that is good now.
    secret: HashedSecret,
    expires: Timestamp,
    /// When it is over even if it is used, if there is such a time.
    ends: Option<Timestamp>,
}

impl Record for Family {
    type Id = RefreshFamilyId;

    fn key(id: &RefreshFamilyId) -> Key {
        Key::new(format!("{PREFIX}{id}"))
    }
}

impl Expiring for Family {
    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn again(&self, view: &View) -> Result<Option<Arc<Self>>, Load> {
        view.get::<Self>(&self.id)
    }
}

/// A family's first token, and the write that makes it good.
pub(crate) struct Begun {
    pub(crate) token: Secret<String>,
    pub(crate) write: Write,
}

/// Begins a family.
pub(crate) fn begin(
    client: &Authenticated,
    signed_in: &SignedIn,
    scopes: &Scopes,
    platform: Platform,
    fresh: &Fresh,
    now: Timestamp,
) -> Begun {
    let ends = (platform == Platform::Spa).then(|| now.plus(limits::REFRESH_TOKEN_LIFETIME_SPA));
    let family = Family {
        id: fresh.grant,
        client: client.client,
        platform,
        session: signed_in.session.id,
        scopes: scopes.clone(),
        secret: HashedSecret::of(&fresh.secret),
        expires: expiry(ends, now),
        ends,
    };
    Begun { token: token(family.id, &fresh.secret), write: store::put::<Family>(&family.id, &family) }
}

/// Uses a refresh token.
pub(crate) fn redeem(
    view: &View,
    setting: Setting<'_>,
    client: &Authenticated,
    presented: &Secret<String>,
    asked: Option<&Scopes>,
) -> Outcome {
    let Setting { names, fresh, token_lifetime, now } = setting;
    let Some((id, secret)) = parse(presented) else {
        return refuse(DirectoryError::Grant(GrantError::RefreshTokenInvalid));
    };
    let Some(family) = view.get::<Family>(&id)? else {
        return refuse(DirectoryError::Grant(GrantError::RefreshTokenInvalid));
    };
    if family.client != client.client {
        return refuse(DirectoryError::Grant(GrantError::RefreshTokenInvalid));
    }
    if !family.secret.matches(&secret) {
        let writes = revoke(view, id, family.session, token_lifetime, now)?;
        return Ok(Decision::of(Err(Refused(DirectoryError::Grant(GrantError::RefreshTokenReused))), writes));
    }
    if now >= family.expires {
        return refuse(DirectoryError::Grant(GrantError::RefreshTokenExpired));
    }
    if client.by == Proof::Public && !family.platform.is_public() {
        return refuse(DirectoryError::Request(RequestError::ClientProofMissing));
    }
    let Some(signed_in) = session::live(view, family.session)? else {
        return refuse(DirectoryError::Grant(GrantError::SessionEnded));
    };
    let scopes = asked.cloned().unwrap_or_else(|| family.scopes.clone());
    let (audience, granted) = delegated::may(view, names, client.application()?, &signed_in, &scopes)?;
    let next = Family {
        secret: HashedSecret::of(&fresh.secret),
        scopes: scopes.clone(),
        expires: expiry(family.ends, now),
        ..Family::clone(&family)
    };
    let mut writes = vec![store::put::<Family>(&id, &next)];
    writes.extend(session::keep(&signed_in.session, now));
    let refresh_token = Some(token(id, &fresh.secret));
    let delegated = Delegated { signed_in, grant: id, scopes, granted, nonce: None, refresh_token };
    Ok(Decision::of(Ok((delegated, audience)), writes))
}

/// Its client has no more use for a refresh token (RFC 7009): its grant is over, and with it a session that only it has kept. What is no token of
/// this client is over already.
pub(crate) fn give_up(
    view: &View,
    client: &Authenticated,
    presented: &Secret<String>,
    token_lifetime: Duration,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<DirectoryError>> {
    let Some((id, secret)) = parse(presented) else { return Ok(Vec::new()) };
    let Some(family) = view.get::<Family>(&id)? else { return Ok(Vec::new()) };
    if family.client != client.client || !family.secret.matches(&secret) {
        return Ok(Vec::new());
    }
    match view.get::<Session>(&family.session)?.filter(|session| !session.is_of_a_browser()) {
        Some(session) => {
            let mut writes = session::end(view, &session, token_lifetime, now)?;
            writes.push(store::delete::<Family>(&id));
            Ok(writes)
        }
        None => Ok(revoke(view, id, family.session, token_lifetime, now)?),
    }
}

/// The writes by which a grant is over: its refresh token, and the access tokens that came from it.
pub(crate) fn revoke(
    view: &View,
    grant: RefreshFamilyId,
    session: SessionId,
    token_lifetime: Duration,
    now: Timestamp,
) -> Result<Vec<Write>, Load> {
    let mut writes = Vec::new();
    if view.get::<Family>(&grant)?.is_some() {
        writes.push(store::delete::<Family>(&grant));
    }
    if let Some(session) = view.get::<Session>(&session)?
        && let Some(principal) = view.get::<Principal>(&session.principal)?
    {
        let mut principal = Principal::clone(&principal);
        principal.revocations.revoke(grant.uuid(), now.plus(token_lifetime), now);
        writes.push(store::put::<Principal>(&principal.id, &principal));
    }
    Ok(writes)
}

fn expiry(ends: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let unused = now.plus(limits::REFRESH_TOKEN_LIFETIME);
    ends.map_or(unused, |ends| ends.min(unused))
}

fn token(id: RefreshFamilyId, secret: &Secret<String>) -> Secret<String> {
    Secret::new(format!("{id}.{}", secret.expose()))
}

fn parse(token: &Secret<String>) -> Option<(RefreshFamilyId, Secret<String>)> {
    let (id, secret) = token.expose().split_once('.')?;
    Some((id.parse().ok()?, Secret::new(secret.to_owned())))
}
