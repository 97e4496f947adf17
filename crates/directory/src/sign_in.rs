//! Signing in: passwords and codes are checked, and guessing them is slowed down.
//!
//! Owns: the order of the steps, and how many passwords are hashed at a time. Owns not: what a sign-in is good for (sessions, tokens).
//! Invariant: an unknown user, one without a password and a wrong password cost the same work and get the same words.

use crate::{
    DirectoryError, DirectoryService, UserError,
    guess::{Subject, Try},
    password, totp,
    user::{self, Named, Person},
};
use crypt::PasswordHash;
use domain::{PrincipalId, Secret, Timestamp, limits, world::busy};
use std::{
    net::IpAddr,
    sync::{Condvar, Mutex, PoisonError},
};
use store::{query, transact};

/// Lets a few pieces of work through at a time and keeps a few waiting. Whoever waits does so on a thread that may.
pub(crate) struct Gate {
    crowd: Mutex<Crowd>,
    left: Condvar,
}

#[derive(Default)]
struct Crowd {
    inside: usize,
    waiting: usize,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { crowd: Mutex::default(), left: Condvar::new() }
    }

    fn pass<T>(&self, work: impl FnOnce() -> T) -> Result<T, UserError> {
        let mut crowd = self.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        if crowd.inside >= limits::PASSWORD_HASHES_MAX {
            if crowd.waiting >= limits::PASSWORD_HASHES_WAITING_MAX {
                return Err(UserError::Busy);
            }
            crowd.waiting += 1;
            crowd = self
                .left
                .wait_while(crowd, |crowd| crowd.inside >= limits::PASSWORD_HASHES_MAX)
                .unwrap_or_else(PoisonError::into_inner);
            crowd.waiting -= 1;
        }
        crowd.inside += 1;
        drop(crowd);
        let _inside = Inside(self);
        Ok(work())
    }
}

/// Leaves also when the work panics.
struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.crowd.lock().unwrap_or_else(PoisonError::into_inner).inside -= 1;
        self.0.left.notify_one();
    }
}

impl DirectoryService {
    /// Does this user have this password? `address` is where the request came from, as far as known. If the user has a second factor
    /// ([`crate::User::has_second_factor`]) the sign-in is not done before [`DirectoryService::check_code`]; if it must change its
    /// password, not before [`DirectoryService::change_password`].
    ///
    /// # Errors
    /// [`UserError::SignInRefused`], [`UserError::Disabled`], [`UserError::TooManyTries`], [`UserError::Busy`].
    pub async fn check_password(
        &self,
        user_name: &str,
        password: &Secret<String>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Person, DirectoryError> {
        let subject = subject(user_name, &self.tenant().domain);
        let attempt = self.begin(subject, address, now)?;
        let checked = self.password_of(user_name, password).await;
        if !matches!(checked, Err(DirectoryError::User(UserError::SignInRefused))) {
            self.guesses.take_back(attempt, now);
        }
        let person = checked?;
        if !person.user.has_second_factor() {
            self.guesses.signed_in(subject, address, now);
        }
        Ok(person)
    }

    /// Is this the code that the user's authenticator app shows? It is used up. Only for who has shown the password just before.
    ///
    /// # Errors
    /// [`UserError::CodeWrong`], [`UserError::NoAuthenticator`], [`UserError::Disabled`], [`UserError::TooManyTries`].
    pub async fn check_code(
        &self,
        user: PrincipalId,
        code: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Person, DirectoryError> {
        let person = self.take_code(&Named::Id(user), user, code, false, now).await?;
        let subject = subject(person.user.user_name.as_str(), &self.tenant().domain);
        self.guesses.signed_in(subject, address, now);
        Ok(person)
    }

    /// Takes a code, which few may guess at: whoever does has the password already, so that places make no difference.
    pub(crate) async fn take_code(
        &self,
        named: &Named,
        user: PrincipalId,
        code: &str,
        confirms: bool,
        now: Timestamp,
    ) -> Result<Person, DirectoryError> {
        let subject = crypt::sha256(format!("code of {user}"));
        let attempt = self.begin(subject, None, now)?;
        let taken = transact(&*self.store, &*self.entropy, |view| {
            totp::take(view, named, code, confirms, &self.second_factors, now)
        })
        .await;
        if !matches!(taken, Err(DirectoryError::User(UserError::CodeWrong))) {
            self.guesses.take_back(attempt, now);
        }
        taken
    }

    /// Sets a user's password to one of its own choice. Wrong current passwords count as guesses.
    ///
    /// # Errors
    /// As [`DirectoryService::check_password`]; [`UserError::PasswordUnfit`].
    pub async fn change_password(
        &self,
        user_name: &str,
        current: &Secret<String>,
        new: &Secret<String>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Person, DirectoryError> {
        let person = self.check_password(user_name, current, address, now).await?;
        password::check(new, &person.user.user_name)?;
        if new.expose() == current.expose() {
            return Err(UserError::PasswordUnfit { rule: "it is the one that there was before" }.into());
        }
        let hash = self.hash(new)?;
        // What somebody had issued meanwhile is of before, too.
        let now = self.moment(now);
        let (named, proven) = (Named::Id(person.user.id), person.user.password.as_ref());
        transact(&*self.store, &*self.entropy, |view| {
            user::set_password(view, &named, &hash, false, proven, now)
        })
        .await
    }

    /// The hash of a password that is good enough already.
    pub(crate) fn hash(&self, password: &Secret<String>) -> Result<PasswordHash, DirectoryError> {
        Ok(self.slowly(|| PasswordHash::of(password, &*self.entropy))??)
    }

    fn begin(
        &self,
        subject: Subject,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Try, DirectoryError> {
        let begun = self.guesses.begin(subject, address, now);
        begun.map_err(|seconds| UserError::TooManyTries { seconds }.into())
    }

    async fn password_of(
        &self,
        user_name: &str,
        password: &Secret<String>,
    ) -> Result<Person, DirectoryError> {
        let named = match user::name_in(user_name, &self.tenant().domain) {
            Ok(name) => Named::Name(name),
            Err(_) => Named::Nobody(String::new()),
        };
        let found = query(&*self.store, |view| user::look(view, &named)).await?;
        let known = found.as_ref().and_then(|person| person.user.password.clone());
        // One that is too long is nobody's: the length is the guesser's own, and tells nothing.
        if password.expose().chars().count() > limits::PASSWORD_CHARS_MAX {
            return Err(UserError::SignInRefused.into());
        }
        let hash = known.unwrap_or_else(PasswordHash::of_nobody);
        let is_right = self.slowly(|| hash.matches(password))??;
        let Some(person) = found.filter(|_| is_right) else { return Err(UserError::SignInRefused.into()) };
        if !person.principal.enabled {
            return Err(UserError::Disabled { user: person.user.id }.into());
        }
        if hash.is_current() { Ok(person) } else { self.rehash(person, password, &hash).await }
    }

    /// Hashes a password anew with today's parameters. It is the same password: nothing else changes.
    async fn rehash(
        &self,
        person: Person,
        password: &Secret<String>,
        old: &PasswordHash,
    ) -> Result<Person, DirectoryError> {
        let fresh = self.hash(password)?;
        let named = Named::Id(person.user.id);
        transact(&*self.store, &*self.entropy, |view| user::rehash(view, &named, old, &fresh)).await
    }

    fn slowly<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, DirectoryError> {
        let done = busy(&*self.workers, || self.gate.pass(work));
        Ok(done.ok_or(DirectoryError::Broken { what: "work was not done" })??)
    }
}

/// What guesses at a name are counted under: the same for each way to write it, also of a name that is none.
fn subject(user_name: &str, domain: &str) -> Subject {
    match user::name_in(user_name, domain) {
        Ok(name) => crypt::sha256(name.folded()),
        Err(_) => crypt::sha256(user_name),
    }
}

#[cfg(test)]
pub(crate) mod tests;
