//! What an operator does with users. Each change is one decision and one commit.

use crate::{
    DirectoryError, DirectoryService, User, UserError, password,
    totp::{self, Authenticator, Enrolment, SECRET_BYTES},
    user::{self, Named, NewUser, Person, UserChange},
};
use domain::{ClientId, CredentialId, PrincipalId, Secret, Timestamp, UserName, world::random};
use store::{Decision, Halt, query, transact};

impl DirectoryService {
    /// The user name that a text means: one without a domain is of ours.
    ///
    /// # Errors
    /// [`UserError::NameInvalid`].
    pub fn user_name(&self, text: &str) -> Result<UserName, DirectoryError> {
        Ok(user::name_in(text, &self.tenant().domain).map_err(UserError::from)?)
    }

    /// Makes a user and its principal in one commit.
    ///
    /// # Errors
    /// [`UserError::NameTaken`], [`UserError::DomainForeign`], [`UserError::MailInvalid`], [`UserError::PasswordUnfit`],
    /// [`UserError::Busy`], [`DirectoryError::DisplayNameInvalid`].
    pub async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<Person, DirectoryError> {
        let (user, principal) = self.fresh_user(new, now)?;
        transact(&*self.store, &*self.entropy, |view| user::create(view, &user, &principal)).await
    }

    /// A user that may be made, with its principal. Hashes its password.
    pub(crate) fn fresh_user(
        &self,
        new: NewUser,
        now: Timestamp,
    ) -> Result<(User, access::Principal), DirectoryError> {
        user::check_domain(&new.user_name, &self.tenant().domain)?;
        if let Some(password) = &new.password {
            password::check(password, &new.user_name)?;
        }
        let mut user = User {
            id: PrincipalId::random(&*self.entropy),
            user_name: new.user_name,
            display_name: new.display_name,
            mail: new.mail,
            password: None,
            must_change_password: new.must_change_password && new.password.is_some(),
            password_set: new.password.as_ref().map(|_| now),
            authenticator: None,
            passkeys: Vec::new(),
            is_administrator: false,
            created: now,
        };
        user::check_details(&user)?;
        user.password = new.password.as_ref().map(|password| self.hash(password)).transpose()?;
        let client = ClientId::random(&*self.entropy);
        let principal = user::principal_of(&user, client, self.tenant().id, new.enabled);
        Ok((user, principal))
    }

    /// All users with their principals.
    ///
    /// # Errors
    /// The store's.
    pub async fn users(&self) -> Result<Vec<Person>, DirectoryError> {
        let all = self.all::<User>("user/").await?;
        let mut people = Vec::with_capacity(all.len());
        for user in all {
            // One that was deleted since is not there any more.
            let named = Named::Id(user.id);
            people.extend(query(&*self.store, |view| user::look(view, &named)).await?);
        }
        Ok(people)
    }

    /// One user, named by its object id or its user name.
    ///
    /// # Errors
    /// [`UserError::NotFound`].
    pub async fn user(&self, named: &str) -> Result<Person, DirectoryError> {
        let named = self.named(named);
        query(&*self.store, |view| user::find(view, &named)).await
    }

    /// Changes a user and its principal.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::NameTaken`], [`UserError::DomainForeign`], [`UserError::MailInvalid`],
    /// [`DirectoryError::DisplayNameInvalid`], [`DirectoryError::AdministratorNeeded`].
    pub async fn update_user(&self, named: &str, change: &UserChange) -> Result<Person, DirectoryError> {
        let (named, tenant) = (self.named(named), self.tenant());
        transact(&*self.store, &*self.entropy, |view| user::update(view, &named, change, tenant)).await
    }

    /// Deletes a user with its principal and its memberships, in one commit: its tokens are worth nothing from then on.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`DirectoryError::AdministratorNeeded`].
    pub async fn delete_user(&self, named: &str) -> Result<Person, DirectoryError> {
        let (named, administrator) = (self.named(named), self.tenant().administrator);
        let deleted =
            transact(&*self.store, &*self.entropy, |view| user::delete(view, &named, administrator, None));
        let deleted = deleted.await?;
        // What is left over gives nobody anything.
        let _swept = self.sweep_assignments(deleted.user.id).await;
        Ok(deleted)
    }

    /// Sets a user's password, whatever it was. `must_change`: somebody else knows it, so that it is good for setting another one only.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::PasswordUnfit`], [`UserError::Busy`].
    pub async fn set_password(
        &self,
        named: &str,
        password: &Secret<String>,
        must_change: bool,
        now: Timestamp,
    ) -> Result<Person, DirectoryError> {
        let person = self.user(named).await?;
        password::check(password, &person.user.user_name)?;
        let (named, hash) = (Named::Id(person.user.id), self.hash(password)?);
        let now = self.moment(now);
        transact(&*self.store, &*self.entropy, |view| {
            user::set_password(view, &named, &hash, must_change, None, now)
        })
        .await
    }

    /// Begins with an authenticator app: the answer holds its secret; nothing else ever will. It counts once it is confirmed.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::AuthenticatorExists`].
    pub async fn add_authenticator(&self, named: &str, now: Timestamp) -> Result<Enrolment, DirectoryError> {
        let named = self.named(named);
        let secret = Secret::new(random::<SECRET_BYTES>(&*self.entropy));
        let id = CredentialId::random(&*self.entropy);
        let make =
            |user| Authenticator::new(user, id, secret.expose(), &self.second_factors, &*self.entropy, now);
        let person = transact(&*self.store, &*self.entropy, |view| totp::add(view, &named, make)).await?;
        let secret = Secret::new(crypt::otp::base32(secret.expose()));
        let uri = totp::uri(&self.tenant().domain, &person.user.user_name, secret.expose());
        Ok(Enrolment { person, secret, uri })
    }

    /// Confirms an authenticator app by the first code that it shows: from now on every sign-in asks for one.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::CodeWrong`], [`UserError::NoAuthenticator`], [`UserError::AuthenticatorExists`],
    /// [`UserError::TooManyTries`].
    pub async fn confirm_authenticator(
        &self,
        named: &str,
        code: &str,
        now: Timestamp,
    ) -> Result<Person, DirectoryError> {
        let user = self.user(named).await?.user.id;
        self.take_code(&Named::Id(user), user, code, true, now).await
    }

    /// Takes the authenticator app away: the password is enough again.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::NoAuthenticator`].
    pub async fn remove_authenticator(&self, named: &str) -> Result<Person, DirectoryError> {
        let named = self.named(named);
        transact(&*self.store, &*self.entropy, |view| totp::remove(view, &named)).await
    }

    /// Makes the administrator a user, where an earlier version has made the tenant.
    pub(crate) async fn found_administrator(&self) -> Result<(), DirectoryError> {
        let tenant = self.tenant();
        let user = user::administrator(tenant.administrator, &tenant.domain, tenant.created)
            .map_err(UserError::from)?;
        transact(&*self.store, &*self.entropy, |view| -> Result<Decision<()>, Halt<DirectoryError>> {
            if view.get::<User>(&user.id)?.is_some() {
                return Ok(Decision::read(()));
            }
            let principal = view.get::<access::Principal>(&user.id)?;
            let principal = principal
                .ok_or(Halt::Refuse(DirectoryError::Broken { what: "there is no administrator" }))?;
            user::create(view, &user, &principal).map(|made| Decision::of((), made.writes))
        })
        .await
    }

    pub(crate) fn named(&self, text: &str) -> Named {
        Named::of(text, &self.tenant().domain)
    }
}

/// A person's name for the audit log.
impl std::fmt::Display for Person {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({})", self.user.user_name, self.user.id)
    }
}

#[cfg(test)]
mod tests;
