//! The password grant (RFC 6749 section 4.3): a client that is told the user's password. For tests, where an administrator has enabled it: it
//! shows the password to the client and knows no second factor (RFC 9700 section 2.4 says never to use it).

use crate::{
    DirectoryError, GrantError,
    client::Authenticated,
    grants::delegated::{self, Outcome, Proven, Setting},
    redirect::Platform,
    scope::Scopes,
    session::{self, Kept, Method, Session, SignedIn},
    user::{Person, User},
};
use access::Principal;
use domain::{Entropy, Timestamp};
use std::sync::Arc;
use store::{View, refuse};

/// A session for somebody whose password was right, made before the decision.
pub(crate) fn session_of(person: &Person, entropy: &dyn Entropy, now: Timestamp) -> Session {
    let begun = session::begin(person.user.id, vec![Method::Password], Kept::ByTokens, entropy, now).0;
    begun.begun_after(&person.principal)
}

/// Grants what is asked for to a client that knows the user's password.
pub(crate) fn grant(
    view: &View,
    setting: Setting<'_>,
    client: &Authenticated,
    session: &Session,
    scopes: &Scopes,
) -> Outcome {
    let user = view.get::<User>(&session.principal)?;
    let principal = view.get::<Principal>(&session.principal)?;
    // Another password was set while this one was being checked.
    let principal = principal.filter(|principal| !session.is_over(principal));
    let (Some(user), Some(principal)) = (user, principal) else {
        return refuse(DirectoryError::Grant(GrantError::SessionEnded));
    };
    // What a client cannot ask for, a user must be asked for.
    if user.must_change_password {
        return refuse(DirectoryError::Grant(GrantError::PasswordMustChange));
    }
    if user.has_second_factor() {
        return refuse(DirectoryError::Grant(GrantError::SecondFactorNeeded));
    }
    let signed_in = SignedIn { session: Arc::new(session.clone()), user, principal };
    let (scopes, platform) = (scopes.clone(), Platform::PublicClient);
    let proven = Proven { client, signed_in, scopes, nonce: None, platform };
    let mut begun = delegated::begin(view, setting, proven)?;
    begun.writes.push(store::put::<Session>(&session.id, session));
    Ok(begun)
}
