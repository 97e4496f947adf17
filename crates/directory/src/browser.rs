//! What pages give a browser to bring back: a token in each form, and between two forms of one sign-in what the first one has shown.
//!
//! Owns: that only this browser can bring them back, only as they are, and the second only for minutes. Nothing of it is kept here, so that
//! nobody who only looks at pages makes us remember anything. Owns not: cookies (`wire`), what a sign-in needs (`sign_in`).

use crate::{
    DirectoryError, DirectoryService,
    session::Method,
    user::{self, Named, Person},
};
use crypt::{Key256, MacKey, Sealed, compare, encoding};
use domain::{PrincipalId, Secret, Timestamp, limits};
use serde::{Deserialize, Serialize};
use store::query;

/// The keys that make them.
pub(crate) struct Browsers {
    forms: MacKey,
    halves: Key256,
}

impl Browsers {
    pub(crate) fn new(root: &Key256) -> Self {
        Self {
            forms: MacKey::new(root.derive("keyless directory: forms of pages").expose()),
            halves: root.derive("keyless directory: half a sign-in"),
        }
    }

    /// The keyed hash of a passkey's challenge. What is said has a fixed length, so that no borders move.
    pub(crate) fn challenge_tag(&self, browser: &Secret<String>, said: &[u8]) -> [u8; 32] {
        self.forms.mac(&[b"passkey challenge\0", browser.expose().as_bytes(), b"\0", said])
    }
}

/// What a browser has shown of a sign-in that is not done.
#[derive(Serialize, Deserialize)]
struct Half {
    user: PrincipalId,
    methods: Vec<Method>,
    /// Of the password that was shown. Another one by now ends this.
    password_set: Option<Timestamp>,
    /// Of what was issued to the user when it was shown. All of it revoked since ends this, too.
    valid_from: Timestamp,
    expires: Timestamp,
}

/// A sign-in that is not done, as its browser has brought it back.
#[derive(Debug)]
pub struct HalfSignedIn {
    /// Who, and as it is now.
    pub person: Person,
    /// By what it has shown to be who it is.
    pub methods: Vec<Method>,
}

impl DirectoryService {
    /// The token of the forms that a browser gets. `browser` is the secret of its cookie, `session` the one of its session's, if it has one: a
    /// form that was shown to one user is not sent by another.
    pub fn form_token(&self, browser: &Secret<String>, session: Option<&Secret<String>>) -> String {
        // Neither cookie of ours holds a zero byte.
        let session = session.map_or(&b""[..], |session| session.expose().as_bytes());
        encoding::base64url(&self.browsers.forms.mac(&[browser.expose().as_bytes(), b"\0", session]))
    }

    /// Is this the token of a form that was made for this browser and session?
    pub fn is_form_token(
        &self,
        presented: &str,
        browser: &Secret<String>,
        session: Option<&Secret<String>>,
    ) -> bool {
        compare::equal(presented.as_bytes(), self.form_token(browser, session).as_bytes())
    }

    /// What a browser is to bring back with the next form of a sign-in.
    ///
    /// # Errors
    /// [`DirectoryError::Crypt`].
    pub fn seal_half(
        &self,
        person: &Person,
        methods: &[Method],
        browser: &Secret<String>,
        now: Timestamp,
    ) -> Result<Secret<String>, DirectoryError> {
        let half = Half {
            user: person.user.id,
            methods: methods.to_vec(),
            password_set: person.user.password_set,
            valid_from: person.principal.revocations.valid_from(),
            expires: now.plus(limits::HALF_SIGN_IN_LIFETIME),
        };
        let half =
            serde_json::to_vec(&half).map_err(|_| DirectoryError::Broken { what: "a sign-in is no JSON" })?;
        let sealed = crypt::envelope::seal(&self.browsers.halves, &address(browser), &half, &*self.entropy)?;
        Ok(Secret::new(encoding::base64url(sealed.as_bytes())))
    }

    /// What a browser has brought back, if it was made for it, is not too old, and the user may go on with it.
    ///
    /// # Errors
    /// The store's.
    pub async fn open_half(
        &self,
        presented: &Secret<String>,
        browser: &Secret<String>,
        now: Timestamp,
    ) -> Result<Option<HalfSignedIn>, DirectoryError> {
        let Some(half) = self.read_half(presented, browser) else { return Ok(None) };
        let named = Named::Id(half.user);
        let person = query(&*self.store, |view| user::look(view, &named)).await?;
        let goes_on = |person: &Person| {
            let Person { user, principal } = person;
            let is_as_before = user.password_set == half.password_set
                && principal.revocations.valid_from() == half.valid_from;
            now < half.expires && principal.enabled && is_as_before
        };
        Ok(person.filter(goes_on).map(|person| HalfSignedIn { person, methods: half.methods }))
    }

    fn read_half(&self, presented: &Secret<String>, browser: &Secret<String>) -> Option<Half> {
        let sealed = Sealed::from_bytes(encoding::from_base64url(presented.expose()).ok()?);
        let half = crypt::envelope::open(&self.browsers.halves, &address(browser), &sealed).ok()?;
        serde_json::from_slice(half.expose()).ok()
    }
}

fn address(browser: &Secret<String>) -> Vec<u8> {
    format!("half a sign-in of {}", crypt::sha256(browser.expose())).into_bytes()
}
