//! Authenticator apps as a second factor: TOTP (RFC 6238) with SHA-1, 30 seconds and six digits, which is what all of them know.
//!
//! Owns: the sealed secret, which codes are taken, and that each is taken once. Owns not: how often one may guess (`sign_in`).

use crate::{
    DirectoryError, User, UserError,
    user::{self, Named, Person},
};
use crypt::{Key256, Sealed, compare, otp};
use domain::{CredentialId, PrincipalId, Secret, Timestamp, UserName};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, View};

/// Seconds for which a code is shown. Source: RFC 6238 section 4.1.
const STEP_SECONDS: i64 = 30;
/// Steps by which the app's clock may be off, either way. Source: RFC 6238 section 5.2 recommends one at most.
const STEPS_OFF: u64 = 1;
/// Bytes of the secret. Source: RFC 4226 section 4, requirement 6.
pub(crate) const SECRET_BYTES: usize = 20;

/// An authenticator app of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticator {
    /// Which one.
    pub id: CredentialId,
    /// The shared secret, sealed for this user and this authenticator.
    secret: Sealed,
    /// Has its first code been seen? Until then no sign-in asks for one.
    pub is_confirmed: bool,
    /// The step of the last code that was taken: it and those before are used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_step: Option<u64>,
    /// When it was added.
    pub created: Timestamp,
}

/// What an authenticator app is told, once.
#[derive(Debug)]
pub struct Enrolment {
    /// Whose.
    pub person: Person,
    /// The secret in base 32, to type.
    pub secret: Secret<String>,
    /// The same as an `otpauth` URI, to show as a picture.
    pub uri: Secret<String>,
}

impl Authenticator {
    /// A fresh one that is to be confirmed.
    pub(crate) fn new(
        user: PrincipalId,
        id: CredentialId,
        secret: &[u8],
        key: &Key256,
        entropy: &dyn domain::Entropy,
        now: Timestamp,
    ) -> Result<Self, DirectoryError> {
        let secret = crypt::envelope::seal(key, &address(user, id), secret, entropy)?;
        Ok(Self { id, secret, is_confirmed: false, last_step: None, created: now })
    }
}

fn address(user: PrincipalId, id: CredentialId) -> Vec<u8> {
    // One version: a secret is never replaced under its id.
    format!("user/{user}/authenticator/{id}#1").into_bytes()
}

/// Which step's code this is, if it is one of now and of none that was taken already.
fn step_of(secret: &[u8], presented: &str, last: Option<u64>, now: Timestamp) -> Option<u64> {
    // Apps show it in two halves, and people type it so.
    let digits: String = presented.chars().filter(|c| *c != ' ').collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let current = u64::try_from(now.seconds().div_euclid(STEP_SECONDS)).ok()?;
    let mut found = None;
    for step in current.saturating_sub(STEPS_OFF)..=current.saturating_add(STEPS_OFF) {
        let code = format!("{:06}", otp::code(secret, step));
        let is_fresh = last.is_none_or(|last| step > last);
        if compare::equal(code.as_bytes(), digits.as_bytes()) && is_fresh && found.is_none() {
            found = Some(step);
        }
    }
    found
}

/// Adds an authenticator that is to be confirmed, in place of one that never was.
pub(crate) fn add(
    view: &View,
    named: &Named,
    make: impl Fn(PrincipalId) -> Result<Authenticator, DirectoryError>,
) -> Result<Decision<Person>, Halt<DirectoryError>> {
    let person = user::find(view, named)?;
    if person.user.has_second_factor() {
        return Err(UserError::AuthenticatorExists { user: person.user.id }.into());
    }
    let authenticator = make(person.user.id).map_err(Halt::Refuse)?;
    Ok(with(&person, Some(authenticator)))
}

/// Takes a code: confirms an authenticator by its first one, or lets a sign-in go on. The code is used up in the same commit.
pub(crate) fn take(
    view: &View,
    named: &Named,
    presented: &str,
    confirms: bool,
    key: &Key256,
    now: Timestamp,
) -> Result<Decision<Person>, Halt<DirectoryError>> {
    let person = user::find(view, named)?;
    let id = person.user.id;
    let authenticator = match &person.user.authenticator {
        Some(known) if confirms && known.is_confirmed => {
            return Err(UserError::AuthenticatorExists { user: id }.into());
        }
        Some(known) if confirms || known.is_confirmed => known,
        Some(_) | None => return Err(UserError::NoAuthenticator { user: id }.into()),
    };
    let secret = crypt::envelope::open(key, &address(id, authenticator.id), &authenticator.secret)
        .map_err(|error| Halt::Refuse(error.into()))?;
    let Some(step) = step_of(secret.expose(), presented, authenticator.last_step, now) else {
        return Err(UserError::CodeWrong.into());
    };
    if !confirms && !person.principal.enabled {
        return Err(UserError::Disabled { user: id }.into());
    }
    let taken = Authenticator { is_confirmed: true, last_step: Some(step), ..authenticator.clone() };
    Ok(with(&person, Some(taken)))
}

/// Takes the authenticator away.
pub(crate) fn remove(view: &View, named: &Named) -> Result<Decision<Person>, Halt<DirectoryError>> {
    let person = user::find(view, named)?;
    if person.user.authenticator.is_none() {
        return Err(UserError::NoAuthenticator { user: person.user.id }.into());
    }
    Ok(with(&person, None))
}

fn with(person: &Person, authenticator: Option<Authenticator>) -> Decision<Person> {
    let user = User { authenticator, ..User::clone(&person.user) };
    let write = store::put::<User>(&user.id, &user);
    Decision::of(Person { user: Arc::new(user), principal: person.principal.clone() }, vec![write])
}

/// What an app reads of a picture (the form that authenticator apps agree on). `issuer` tells installations apart.
pub(crate) fn uri(issuer: &str, name: &UserName, secret: &str) -> Secret<String> {
    let (issuer, name) = (escaped(issuer), escaped(name.as_str()));
    Secret::new(format!(
        "otpauth://totp/{issuer}:{name}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
    ))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    /// RFC 6238 appendix B, the last six of its eight digits.
    #[test]
    fn codes_of_the_rfc_are_taken_at_their_times() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(seconds / 30).unwrap();
            assert_eq!(step_of(SECRET, code, None, at(seconds)), Some(step), "{code}");
            assert_eq!(step_of(SECRET, code, None, at(seconds + 30)), Some(step), "{code}, a slow clock");
            assert_eq!(step_of(SECRET, code, None, at(seconds - 30)), Some(step), "{code}, a fast clock");
            assert_eq!(step_of(SECRET, code, None, at(seconds + 61)), None, "{code}, too late");
            assert_eq!(step_of(SECRET, code, None, at(seconds - 60)), None, "{code}, too early");
        }
    }

    #[test]
    fn a_code_and_those_before_it_are_used_up() {
        let code = |step| format!("{:06}", otp::code(SECRET, step));
        let now = at(100 * 30 + 7);
        assert_eq!(step_of(SECRET, &code(100), Some(99), now), Some(100));
        assert_eq!(step_of(SECRET, &code(100), Some(100), now), None);
        assert_eq!(step_of(SECRET, &code(99), Some(100), now), None);
        assert_eq!(step_of(SECRET, &code(101), Some(100), now), Some(101));
    }

    #[test]
    fn what_is_no_code_is_none() {
        assert_eq!(step_of(SECRET, "287 082", None, at(59)), Some(1));
        for text in ["", "28708", "2870822", "287083", "28708a", "+87082", "２８７０８２", &"2".repeat(9_000)]
        {
            assert_eq!(step_of(SECRET, text, None, at(59)), None, "{text}");
        }
        assert_eq!(step_of(SECRET, "287082", None, at(-59)), None, "before 1970");
    }

    #[test]
    fn uris_are_escaped() {
        let name = UserName::parse("o'hara#1@b.example").unwrap();
        assert_eq!(
            uri("keyless.localhost", &name, "MZXW6").expose(),
            "otpauth://totp/keyless.localhost:o%27hara%231%40b.example?secret=MZXW6&issuer=keyless.localhost&algorithm=SHA1&digits=6&period=30"
        );
    }
}
