//! What the grants have in common by which a client acts in a user's name: who the user is, what the client may do, and the refresh token
//! that comes with it.

use crate::{
    Audience, DirectoryError, GrantError, app_role,
    application::Application,
    client::Authenticated,
    consent::{self, Agreed},
    grants::refresh_token,
    redirect::Platform,
    scope::Scopes,
    session::SignedIn,
    token::Refused,
};
use crypt::MacKey;
use domain::{HostNames, RefreshFamilyId, Secret, Timestamp};
use std::time::Duration;
use store::{Decision, Halt, View};

/// What every grant is decided by, beside the request: all of it passed in, so that a decision may run again.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) names: &'a HostNames,
    /// The id of a new grant, made before so that a decision may run again.
    pub(crate) grant: RefreshFamilyId,
    /// Makes refresh tokens.
    pub(crate) refresh_tokens: &'a MacKey,
    /// How long an access token lives.
    pub(crate) token_lifetime: Duration,
    /// Does a page of another origin ask?
    pub(crate) is_from_page: bool,
    pub(crate) now: Timestamp,
}

/// What a grant comes to: for whom and for what a token may be issued, or a refusal that leaves something written.
pub(crate) type Outcome = Result<Decision<Result<(Delegated, Audience), Refused>>, Halt<DirectoryError>>;

/// A user in whose name a client may act.
#[derive(Debug)]
pub(crate) struct Delegated {
    /// Who, and by which sign-in.
    pub(crate) signed_in: SignedIn,
    /// The grant that its tokens stand on.
    pub(crate) grant: RefreshFamilyId,
    /// What was asked for.
    pub(crate) scopes: Scopes,
    /// Which scopes of the resource the client gets.
    pub(crate) granted: Vec<String>,
    /// To be repeated in the id token.
    pub(crate) nonce: Option<String>,
    /// A refresh token, if one was asked for.
    pub(crate) refresh_token: Option<Secret<String>>,
}

/// What a grant has proven: that this user lets this client act, by a grant of this kind.
pub(crate) struct Proven<'a> {
    pub(crate) client: &'a Authenticated,
    pub(crate) signed_in: SignedIn,
    pub(crate) scopes: Scopes,
    pub(crate) nonce: Option<String>,
    /// Which kind of client it was granted to: it bounds how long it may be refreshed.
    pub(crate) platform: Platform,
}

/// Checks what a first grant of tokens asks for, and begins its line of refresh tokens.
pub(crate) fn begin(view: &View, setting: Setting<'_>, proven: Proven<'_>) -> Outcome {
    let Proven { client, signed_in, scopes, nonce, platform } = proven;
    let (audience, granted) = may(view, setting.names, client.application()?, &signed_in, &scopes)?;
    let mut writes = Vec::new();
    let refresh_token = if scopes.openid.offline_access {
        let begun = refresh_token::begin(setting, client, &signed_in, &scopes, platform);
        writes.push(begun.write);
        Some(begun.token)
    } else {
        None
    };
    let grant = setting.grant;
    let delegated = Delegated { signed_in, grant, scopes, granted, nonce, refresh_token };
    Ok(Decision::of(Ok((delegated, audience)), writes))
}

/// For what, and for which scopes of it, may the client have a token in the user's name?
pub(crate) fn may(
    view: &View,
    names: &HostNames,
    application: &Application,
    signed_in: &SignedIn,
    scopes: &Scopes,
) -> Result<(Audience, Vec<String>), Halt<DirectoryError>> {
    app_role::admits(view, &signed_in.principal, application)?;
    let audience = scopes.audience(view, names)?;
    match consent::agreed(view, application, signed_in.user.id, &audience, scopes)? {
        Agreed::Granted(granted) => Ok((audience, granted)),
        Agreed::Ask(_) => Err(Halt::Refuse(DirectoryError::Grant(GrantError::ConsentRequired {
            client: application.client(),
        }))),
    }
}
