//! Authorization codes (RFC 6749 section 4.1, RFC 7636, RFC 9700 section 2.1.1): issued to a browser that a user has signed in with,
//! redeemed once by the client that asked.
//!
//! A code that comes a second time was seen by somebody who should not have: what the first one brought is revoked (RFC 6749 section 4.1.2).

use crate::{
    DirectoryError, GrantError, RequestError,
    authorization::Authorization,
    claims::Proof,
    client::Authenticated,
    grants::{
        delegated::{self, Outcome, Proven, Setting},
        refresh_token,
    },
    redirect::Platform,
    scope::Scopes,
    session::{self, SignedIn},
    sweep::Expiring,
    token::Refused,
};
use crypt::{Sha256Hash, sha256};
use domain::{ClientId, RefreshFamilyId, Secret, SessionId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Load, Record, View, Write, refuse};

pub(crate) const PREFIX: &str = "authorization-code/";

/// A code that was issued, under its hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Code {
    id: Sha256Hash,
    client: ClientId,
    platform: Platform,
    redirect_uri: String,
    session: SessionId,
    scopes: Scopes,
    nonce: Option<String>,
    challenge: Option<String>,
    expires: Timestamp,
    /// What it has brought, once it was redeemed.
    redeemed: Option<RefreshFamilyId>,
}

impl Record for Code {
    type Id = Sha256Hash;

    fn key(id: &Sha256Hash) -> Key {
        Key::new(format!("{PREFIX}{id}"))
    }
}

impl Expiring for Code {
    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn again(&self, view: &View) -> Result<Option<Arc<Self>>, Load> {
        view.get::<Self>(&self.id)
    }
}

/// What a client sends to redeem a code.
#[derive(Debug)]
pub(crate) struct Redeem {
    pub(crate) code: Secret<String>,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) verifier: Option<Secret<String>>,
    /// May ask for less than was agreed to, or for another resource.
    pub(crate) scopes: Option<Scopes>,
}

/// The write by which a code comes to be.
pub(crate) fn issue(
    code: &Secret<String>,
    authorization: &Authorization,
    signed_in: &SignedIn,
    now: Timestamp,
) -> Write {
    let id = sha256(code.expose());
    let record = Code {
        id,
        client: authorization.application.client(),
        platform: authorization.platform,
        redirect_uri: authorization.reply_to.redirect_uri.clone(),
        session: signed_in.session.id,
        scopes: authorization.scopes.clone(),
        nonce: authorization.nonce.clone(),
        challenge: authorization.challenge.clone(),
        expires: now.plus(limits::AUTHORIZATION_CODE_LIFETIME),
        redeemed: None,
    };
    store::put::<Code>(&id, &record)
}

/// Redeems a code.
pub(crate) fn redeem(view: &View, setting: Setting<'_>, client: &Authenticated, redeem: &Redeem) -> Outcome {
    let Setting { grant, token_lifetime, now, .. } = setting;
    let Some(code) = view.get::<Code>(&sha256(redeem.code.expose()))? else {
        return refuse(DirectoryError::Grant(GrantError::CodeInvalid));
    };
    if code.client != client.client {
        return refuse(DirectoryError::Grant(GrantError::CodeOfAnother));
    }
    if let Some(grant) = code.redeemed {
        let writes = refresh_token::revoke(view, grant, code.session, token_lifetime, now)?;
        return Ok(Decision::of(Err(Refused(DirectoryError::Grant(GrantError::CodeRedeemed))), writes));
    }
    if now >= code.expires {
        return refuse(DirectoryError::Grant(GrantError::CodeInvalid));
    }
    code.platform.redeems(setting.is_from_page).map_err(Halt::Refuse)?;
    // Who asked as a server must come as one: it has what proves it.
    if client.by == Proof::Public && !code.platform.is_public() {
        return refuse(DirectoryError::Request(RequestError::ClientProofMissing));
    }
    if redeem.redirect_uri.as_deref() != Some(&*code.redirect_uri) {
        return refuse(DirectoryError::Grant(GrantError::RedirectUriChanged));
    }
    verify(code.challenge.as_deref(), redeem.verifier.as_ref()).map_err(Halt::Refuse)?;
    let Some(signed_in) = session::live(view, code.session)? else {
        return refuse(DirectoryError::Grant(GrantError::SessionEnded));
    };
    let scopes = match &redeem.scopes {
        None => code.scopes.clone(),
        // Whether there is an id token or a refresh token was asked for when the user was there.
        Some(scopes) => scopes.with(scopes.openid.within(code.scopes.openid)),
    };
    let proven = Proven { client, signed_in, scopes, nonce: code.nonce.clone(), platform: code.platform };
    let mut begun = delegated::begin(view, setting, proven)?;
    let redeemed = Code { redeemed: Some(grant), ..Code::clone(&code) };
    begun.writes.push(store::put::<Code>(&code.id, &redeemed));
    Ok(begun)
}

/// RFC 7636 section 4.6. A verifier where there was no challenge means that somebody has taken it away (RFC 9700 section 4.8.2).
fn verify(challenge: Option<&str>, verifier: Option<&Secret<String>>) -> Result<(), DirectoryError> {
    match (challenge, verifier) {
        (None, None) => Ok(()),
        (Some(challenge), Some(verifier)) => {
            let hash = crypt::encoding::base64url(sha256(verifier.expose()).bytes());
            match crypt::compare::equal(hash.as_bytes(), challenge.as_bytes()) {
                true => Ok(()),
                false => Err(DirectoryError::Grant(GrantError::VerifierWrong)),
            }
        }
        (Some(_), None) | (None, Some(_)) => Err(DirectoryError::Grant(GrantError::VerifierWrong)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_of_its_challenge_and_of_no_other_request() {
        // RFC 7636 appendix B.
        let text = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let challenge = Some(text);
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert!(verify(challenge, Some(&verifier)).is_ok());
        assert!(verify(None, None).is_ok());
        let as_sent = Secret::new(text.to_owned());
        for (challenge, verifier) in [
            // Somebody has taken the challenge out of the request on its way: the client still has its verifier.
            (None, Some(&verifier)),
            (challenge, None),
            (challenge, Some(&as_sent)),
        ] {
            let refused = verify(challenge, verifier);
            assert!(
                matches!(refused, Err(DirectoryError::Grant(GrantError::VerifierWrong))),
                "{challenge:?}"
            );
        }
    }
}
