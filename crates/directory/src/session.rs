//! Sessions: a user's sign-in, from which codes, refresh tokens and access tokens come (`sid`).
//!
//! A session of a browser has a cookie, whose secret is kept as its hash; one of a device or of a password grant has none. Its record stays as
//! long as refresh tokens may come from it. Signing out deletes it and revokes its access tokens, in one commit, so that nothing that came
//! from it is worth anything from then on.

use crate::{DirectoryError, user::User};
use access::Principal;
use crypt::{HashedSecret, fresh_secret};
use domain::{ClientId, Entropy, PrincipalId, Secret, SessionId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use store::{Halt, Key, Load, Record, View, Write};

/// A sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id: `sid` of its tokens.
    pub id: SessionId,
    /// Who has signed in.
    pub principal: PrincipalId,
    /// How.
    pub methods: Vec<Method>,
    /// When it was begun.
    pub signed_in: Timestamp,
    /// When the user has shown who it is, if that was before: a device's session comes from one of a browser. What ends sign-ins goes by
    /// when this one was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Timestamp>,
    /// Since when tokens of its principal were good at the moment at which the sign-in was proven: whatever ends all of before changes it, and
    /// so ends this session too, also where the clocks of two requests would say that it is younger. Sessions of earlier versions have none.
    #[serde(default)]
    after: Option<Timestamp>,
    /// The hash of the cookie's secret, if a browser has it.
    cookie: Option<HashedSecret>,
    /// The clients that it has signed in to, the last ones of many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clients: Vec<ClientId>,
    /// Until when the browser need not ask again.
    pub expires: Timestamp,
    /// When the last refresh token has expired that can have come from it.
    kept_until: Timestamp,
}

/// A way in which a user has proven to be one (RFC 8176, and Entra's `amr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A password.
    Password,
    /// A code of an authenticator app.
    OneTimeCode,
    /// A passkey, which is two factors in one.
    Passkey,
}

impl Method {
    /// What `amr` says of these.
    pub fn amr(methods: &[Self]) -> Vec<&'static str> {
        let mut said: Vec<&'static str> = methods
            .iter()
            .map(|method| match method {
                Self::Password => "pwd",
                Self::OneTimeCode => "otp",
                Self::Passkey => "fido",
            })
            .collect();
        if methods.contains(&Self::Passkey) || methods.len() > 1 {
            said.push("mfa");
        }
        said
    }
}

impl Session {
    /// The same, begun after whatever of this principal has been revoked: what was revoked in this very second is of before. The principal is
    /// as it was when the user has shown who it is.
    pub(crate) fn begun_after(&self, principal: &Principal) -> Self {
        let after = principal.revocations.valid_from();
        Self { signed_in: self.signed_in.max(after), after: Some(after), ..self.clone() }
    }

    /// When the user has shown who it is (`auth_time`).
    pub(crate) fn authenticated(&self) -> Timestamp {
        self.shown.unwrap_or(self.signed_in)
    }

    /// The same, by what the user has shown in another one.
    pub(crate) fn shown_in(self, other: &Self) -> Self {
        Self { methods: other.methods.clone(), shown: Some(other.authenticated()), ..self }
    }

    /// Has its principal been disabled, or has something that ends it been revoked since it was begun?
    pub(crate) fn is_over(&self, principal: &Principal) -> bool {
        let revocations = &principal.revocations;
        !principal.enabled
            || self.after.is_some_and(|after| after != revocations.valid_from())
            || revocations.refuse(self.signed_in, &[self.id.uuid()])
    }

    /// The clients that it has signed in to: the last 64.
    #[must_use]
    pub fn clients(&self) -> &[ClientId] {
        &self.clients
    }

    /// Does a browser have its cookie? Else it is kept by refresh tokens alone.
    pub(crate) const fn is_of_a_browser(&self) -> bool {
        self.cookie.is_some()
    }
}

impl Record for Session {
    type Id = SessionId;

    fn key(id: &SessionId) -> Key {
        Key::of(&[PREFIX.as_bytes(), id.text().as_ref()])
    }
}

pub(crate) const PREFIX: &str = "session/";

impl crate::sweep::Expiring for Session {
    #[expect(
        clippy::misnamed_getters,
        reason = "the record goes when tokens of it have gone, not when its cookie does"
    )]
    fn expires(&self) -> Timestamp {
        self.kept_until
    }

    fn again(&self, view: &View) -> Result<Option<Arc<Self>>, Load> {
        view.get::<Self>(&self.id)
    }
}

/// Where a session is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In a browser, as a cookie.
    InBrowser,
    /// By its refresh tokens only.
    ByTokens,
}

/// A fresh session, and its cookie where a browser keeps it. Nothing is written yet.
pub(crate) fn begin(
    principal: PrincipalId,
    methods: Vec<Method>,
    kept: Kept,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> (Session, Option<Secret<String>>) {
    let id = SessionId::random(entropy);
    let secret = (kept == Kept::InBrowser).then(|| fresh_secret(entropy));
    let session = Session {
        id,
        principal,
        methods,
        signed_in: now,
        shown: None,
        after: None,
        cookie: secret.as_ref().map(HashedSecret::of),
        clients: Vec::new(),
        expires: now.plus(limits::SESSION_LIFETIME),
        kept_until: now.plus(limits::REFRESH_TOKEN_LIFETIME).plus(SPARE),
    };
    (session, secret.map(|secret| Secret::new(format!("{id}.{}", secret.expose()))))
}

/// Somebody who is signed in, now.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session.
    pub session: Arc<Session>,
    /// Who.
    pub user: Arc<User>,
    /// The user's principal, which is enabled.
    pub principal: Arc<Principal>,
}

/// The session of a cookie, if it is one that is good now.
pub(crate) fn of_cookie(
    view: &View,
    cookie: &Secret<String>,
    now: Timestamp,
) -> Result<Option<SignedIn>, Load> {
    let Some(session) = named(view, cookie)? else { return Ok(None) };
    Ok(live(view, session.id)?.filter(|signed_in| now < signed_in.session.expires))
}

/// The session that a cookie opens, whether or not anything comes of it at present: that of a disabled user is good again once the user is.
pub(crate) fn named(view: &View, cookie: &Secret<String>) -> Result<Option<Arc<Session>>, Load> {
    let Some((id, secret)) = cookie.expose().split_once('.') else { return Ok(None) };
    let Ok(id) = id.parse::<SessionId>() else { return Ok(None) };
    let Some(session) = view.get::<Session>(&id)? else { return Ok(None) };
    let secret = Secret::new(secret.to_owned());
    let is_its_own = session.cookie.as_ref().is_some_and(|cookie| cookie.matches(&secret));
    Ok(is_its_own.then_some(session))
}

/// Whoever is signed in by this session, if tokens may still come from it.
pub(crate) fn live(view: &View, id: SessionId) -> Result<Option<SignedIn>, Load> {
    let Some(session) = view.get::<Session>(&id)? else { return Ok(None) };
    let Some(principal) = view.get::<Principal>(&session.principal)? else { return Ok(None) };
    let Some(user) = view.get::<User>(&session.principal)? else { return Ok(None) };
    Ok((!session.is_over(&principal)).then_some(SignedIn { session, user, principal }))
}

/// A session is kept so much longer than it must be, so that it is not written at each refresh.
const SPARE: Duration = Duration::from_secs(86_400);

/// How many clients a session knows again. Ours: more than anybody uses in a day, and few enough to be read with every page.
pub(crate) const CLIENTS_MAX: usize = 64;

/// Remembers that a session has signed in to a client, if it does not know that already.
pub(crate) fn enter(session: &Session, client: ClientId) -> Option<Write> {
    if session.clients.contains(&client) {
        return None;
    }
    let mut entered = session.clone();
    entered.clients.push(client);
    let over = entered.clients.len().saturating_sub(CLIENTS_MAX);
    entered.clients.drain(..over);
    Some(store::put::<Session>(&session.id, &entered))
}

/// Keeps a session as long as refresh tokens may come from it.
pub(crate) fn keep(session: &Session, now: Timestamp) -> Option<Write> {
    let needed = now.plus(limits::REFRESH_TOKEN_LIFETIME);
    (session.kept_until < needed).then(|| {
        let kept = Session { kept_until: needed.plus(SPARE), ..session.clone() };
        store::put::<Session>(&session.id, &kept)
    })
}

/// The writes by which a session ends: it and all that came from it.
pub(crate) fn end(
    view: &View,
    session: &Session,
    token_lifetime: Duration,
    now: Timestamp,
) -> Result<Vec<Write>, Halt<DirectoryError>> {
    let mut writes = vec![store::delete::<Session>(&session.id)];
    if let Some(principal) = view.get::<Principal>(&session.principal)? {
        let mut principal = Principal::clone(&principal);
        principal.revocations.revoke(session.id.uuid(), now.plus(token_lifetime), now);
        writes.push(store::put::<Principal>(&principal.id, &principal));
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fill, NOW};

    #[test]
    fn a_session_knows_the_last_clients_that_it_was_in() {
        let user = PrincipalId::random(&Fill(1));
        let (mut session, _) = begin(user, vec![Method::Password], Kept::InBrowser, &Fill(2), NOW);
        let client = |number: usize| ClientId::random(&Fill(u8::try_from(number).unwrap()));
        for number in 0..CLIENTS_MAX + 2 {
            let write = enter(&session, client(number)).unwrap();
            let Write::Put(_, value) = write else { panic!("it is kept") };
            session = serde_json::from_slice(&value).unwrap();
            assert!(enter(&session, client(number)).is_none(), "once");
        }
        assert_eq!(session.clients().len(), CLIENTS_MAX);
        assert_eq!(session.clients().first(), Some(&client(2)));
    }
}
