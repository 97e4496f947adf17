//! Refresh tokens (RFC 6749 section 6, RFC 9700 section 4.14): each is good until it is used, which brings the next one of its family, and
//! for a moment longer.
//!
//! The moment is for programs that share a token, such as two `az` at once, and for who has lost the answer: all who come within it get the
//! same next one, so that a family never branches. One that comes later was stolen, by whoever came second or first: nobody can tell, so
//! the whole family is revoked, and with it the access tokens that came from it. A family ends with its session, and when nobody has used it
//! for a long time.
//!
//! A token is `{family}.{number}.{tag}`. The tag is made of the others by a key of the directory's: the next token is told again without being
//! kept, and what was never issued ends nothing.

use crate::{
    DirectoryError, GrantError, RequestError,
    claims::Proof,
    client::Authenticated,
    grants::delegated::{self, Delegated, Outcome, Setting},
    redirect::Platform,
    scope::Scopes,
    session::{self, Session, SignedIn},
    sweep::Expiring,
    token::Refused,
};
use access::Principal;
use crypt::{HashedSecret, MacKey, compare};
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
    /// Which one is good now. The first has number 1.
    #[serde(default)]
    number: u64,
    /// Since when, if it took the place of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// The hash of number 0: earlier versions gave out random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<HashedSecret>,
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

impl Family {
    /// Has the one that is good now taken the place of another only just?
    fn is_fresh(&self, now: Timestamp) -> bool {
        let grace = limits::REFRESH_TOKEN_GRACE.as_secs();
        // The nodes' clocks may differ, and a clock may be put back.
        self.since.is_some_and(|since| now.seconds_since(since).unsigned_abs() < grace)
    }

    fn is_good(&self, number: u64, now: Timestamp) -> bool {
        number == self.number || (number.checked_add(1) == Some(self.number) && self.is_fresh(now))
    }

    /// Is this token of the family's good? `None`: none of its tokens is this.
    fn judge(&self, key: &MacKey, presented: &Secret<String>, now: Timestamp) -> Option<bool> {
        let (_, proof) = presented.expose().split_once('.')?;
        let Some((number, _)) = proof.split_once('.') else {
            // What earlier versions gave out is known by one hash: another one may have been good before it.
            let proof = Secret::new(proof.to_owned());
            let first = self.secret.as_ref()?;
            return Some(first.matches(&proof) && self.is_good(0, now));
        };
        let number = number.parse().ok().filter(|number| *number <= self.number)?;
        let issued = token(key, self.id, number);
        let is_issued = compare::equal(issued.expose().as_bytes(), presented.expose().as_bytes());
        is_issued.then(|| self.is_good(number, now))
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
    setting: Setting<'_>,
    client: &Authenticated,
    signed_in: &SignedIn,
    scopes: &Scopes,
    platform: Platform,
) -> Begun {
    let Setting { grant: id, refresh_tokens, now, .. } = setting;
    let ends = (platform == Platform::Spa).then(|| now.plus(limits::REFRESH_TOKEN_LIFETIME_SPA));
    let family = Family {
        id,
        client: client.client,
        platform,
        session: signed_in.session.id,
        scopes: scopes.clone(),
        number: 1,
        since: None,
        secret: None,
        expires: expiry(ends, now),
        ends,
    };
    Begun { token: token(refresh_tokens, id, family.number), write: store::put::<Family>(&id, &family) }
}

/// Uses a refresh token.
pub(crate) fn redeem(
    view: &View,
    setting: Setting<'_>,
    client: &Authenticated,
    presented: &Secret<String>,
    asked: Option<&Scopes>,
) -> Outcome {
    let Setting { names, refresh_tokens, token_lifetime, now, .. } = setting;
    let Some((family, is_good)) = find(view, refresh_tokens, client, presented, now)? else {
        return refuse(DirectoryError::Grant(GrantError::RefreshTokenInvalid));
    };
    if !is_good {
        let writes = revoke(view, family.id, family.session, token_lifetime, now)?;
        return Ok(Decision::of(Err(Refused(DirectoryError::Grant(GrantError::RefreshTokenReused))), writes));
    }
    if family.ends.is_some_and(|ends| now >= ends) {
        return refuse(DirectoryError::Grant(GrantError::RefreshTokenOver));
    }
    if now >= family.expires {
        return refuse(DirectoryError::Grant(GrantError::RefreshTokenExpired));
    }
    family.platform.redeems(setting.is_from_page).map_err(Halt::Refuse)?;
    if client.by == Proof::Public && !family.platform.is_public() {
        return refuse(DirectoryError::Request(RequestError::ClientProofMissing));
    }
    let Some(signed_in) = session::live(view, family.session)? else {
        return refuse(DirectoryError::Grant(GrantError::SessionEnded));
    };
    let scopes = asked.cloned().unwrap_or_else(|| family.scopes.clone());
    let (audience, granted) = delegated::may(view, names, client.application()?, &signed_in, &scopes)?;
    let mut next = Family { scopes: scopes.clone(), ..Family::clone(&family) };
    if !family.is_fresh(now) {
        next.number = family.number.saturating_add(1);
        next.since = Some(now);
        next.expires = expiry(family.ends, now);
    }
    let mut writes = Vec::new();
    if (next.number, &next.scopes) != (family.number, &family.scopes) {
        writes.push(store::put::<Family>(&family.id, &next));
    }
    writes.extend(session::keep(&signed_in.session, now));
    let refresh_token = Some(token(refresh_tokens, family.id, next.number));
    let delegated = Delegated { signed_in, grant: family.id, scopes, granted, nonce: None, refresh_token };
    Ok(Decision::of(Ok((delegated, audience)), writes))
}

/// Its client has no more use for a refresh token (RFC 7009): its grant is over, and with it a session that only it has kept. What is no token of
/// this client is over already.
pub(crate) fn give_up(
    view: &View,
    key: &MacKey,
    client: &Authenticated,
    presented: &Secret<String>,
    token_lifetime: Duration,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<DirectoryError>> {
    let Some((family, true)) = find(view, key, client, presented, now)? else { return Ok(Vec::new()) };
    let id = family.id;
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

/// A family's token of this number.
fn token(key: &MacKey, family: RefreshFamilyId, number: u64) -> Secret<String> {
    let named = format!("{family}.{number}");
    Secret::new(format!("{named}.{}", key.secret(&[named.as_bytes()]).expose()))
}

/// The family of a token of this client, and whether the token is good now.
fn find(
    view: &View,
    key: &MacKey,
    client: &Authenticated,
    presented: &Secret<String>,
    now: Timestamp,
) -> Result<Option<(Arc<Family>, bool)>, Load> {
    let id = presented.expose().split_once('.').and_then(|(id, _)| id.parse::<RefreshFamilyId>().ok());
    let Some(id) = id else { return Ok(None) };
    let Some(family) = view.get::<Family>(&id)?.filter(|family| family.client == client.client) else {
        return Ok(None);
    };
    Ok(family.judge(key, presented, now).map(|is_good| (family, is_good)))
}
