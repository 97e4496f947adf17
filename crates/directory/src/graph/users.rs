//! Users, by Graph.

use super::{Acting, Done, GraphError, Right};
use crate::{
    DirectoryError, NewUser, Person, UserChange, issue, password,
    user::{self, Named},
};
use access::Principal;
use domain::{PrincipalId, Secret, Timestamp, UserName};
use std::net::IpAddr;
use store::{Decision, Halt, View, query};

/// What OpenID Connect's userinfo tells (OpenID Connect Core section 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// The user as this client knows it.
    pub subject: String,
    /// Its names, if the client may know them.
    pub names: Option<UserNames>,
    /// Where it gets mail, if the client may know that and it does.
    pub mail: Option<String>,
}

/// The names of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserNames {
    /// For people.
    pub display_name: String,
    /// By which it signs in.
    pub user_name: UserName,
}

/// What should change of a user by Graph.
#[derive(Debug, Default)]
pub struct UserPatch {
    /// Names and whether it may act.
    pub change: UserChange,
    /// Another password, and must the user set one of its own when it signs in next?
    pub password: Option<(Secret<String>, bool)>,
}

impl Acting<'_> {
    /// Makes a user.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::create_user`].
    pub async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<Done<Person>, DirectoryError> {
        // Before a password is hashed for somebody who may not.
        self.may(Right::WriteUsers).await?;
        let (user, principal) = self.directory.fresh_user(new, now)?;
        self.change(Right::WriteUsers, |view, _| user::create(view, &user, &principal)).await
    }

    /// Changes a user.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::update_user`] and [`crate::DirectoryService::set_password`]; [`GraphError::AboveCaller`].
    pub async fn update_user(
        &self,
        named: &str,
        patch: &UserPatch,
        now: Timestamp,
    ) -> Result<Done<Person>, DirectoryError> {
        self.may(Right::WriteUsers).await?;
        let found = self.directory.user(named).await?;
        let (named, administrator) = (Named::Id(found.user.id), self.administrator());
        let hash = match &patch.password {
            Some((password, must_change)) => {
                password::check(password, &found.user.user_name)?;
                Some((self.directory.hash(password)?, *must_change))
            }
            None => None,
        };
        let now = self.directory.moment(now);
        self.change(Right::WriteUsers, |view, permit| {
            let before = user::find(view, &named)?;
            permit.over_user(&before.user, administrator)?;
            let changed = user::update(view, &named, &patch.change, self.directory.tenant())?;
            match &hash {
                None => Ok(changed),
                Some((hash, must_change)) => {
                    let Person { user, principal } = changed.value;
                    Ok(user::with_password(
                        changed.writes,
                        &user,
                        &principal,
                        hash,
                        [*must_change, false],
                        now,
                    ))
                }
            }
        })
        .await
    }

    /// Deletes a user, so that it can be brought back.
    ///
    /// # Errors
    /// [`crate::UserError::NotFound`], [`DirectoryError::AdministratorNeeded`], [`GraphError::AboveCaller`].
    pub async fn delete_user(&self, named: &str, now: Timestamp) -> Result<Done<Person>, DirectoryError> {
        let (named, administrator) = (self.directory.named(named), self.administrator());
        self.change(Right::WriteUsers, |view, permit| {
            permit.over_user(&user::find(view, &named)?.user, administrator)?;
            user::delete(view, &named, administrator, Some(now))
        })
        .await
    }

    /// Ends all of a user's sign-ins: its tokens of before are worth nothing.
    ///
    /// # Errors
    /// [`crate::UserError::NotFound`], [`GraphError::AboveCaller`].
    pub async fn revoke_sign_ins(&self, named: &str, now: Timestamp) -> Result<Done<Person>, DirectoryError> {
        let (named, administrator) = (self.directory.named(named), self.administrator());
        let is_self = matches!(&named, Named::Id(id) if *id == self.caller.principal());
        let right = if is_self { Right::ChangeSelf } else { Right::WriteUsers };
        self.change(right, |view, permit| {
            let person = user::find(view, &named)?;
            if !is_self {
                permit.over_user(&person.user, administrator)?;
            }
            let mut principal = Principal::clone(&person.principal);
            principal.revocations.revoke_all(now);
            let write = store::put::<Principal>(&principal.id, &principal);
            Ok(Decision::of(Person { principal: principal.into(), ..person }, vec![write]))
        })
        .await
    }

    /// Changes the caller's own password. Wrong current ones count as guesses.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::change_password`].
    pub async fn change_own_password(
        &self,
        current: &Secret<String>,
        new: &Secret<String>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Done<Person>, DirectoryError> {
        let permit = self.may(Right::ChangeSelf).await?;
        let own = self.directory.user(&permit.principal().id.to_string()).await?;
        let name = own.user.user_name.to_string();
        let value = self.directory.change_password(&name, current, new, address, now).await?;
        Ok(Done { value, permit })
    }

    /// What the caller's client may know of its user.
    ///
    /// # Errors
    /// [`GraphError::CallerGone`], [`GraphError::NoUser`].
    pub async fn user_info(&self) -> Result<(UserInfo, PrincipalId), DirectoryError> {
        let id = self.caller.principal();
        let Some(scopes) = self.caller.scopes() else { return Err(GraphError::NoUser.into()) };
        let scopes: Vec<_> = scopes.into_iter().collect();
        let has = |wanted: &str| scopes.contains(&wanted);
        // Whoever may read the user by Graph itself is told no less here.
        let reads = scopes.iter().any(|scope| scope.starts_with("User.") || scope.starts_with("Directory."));
        let person = query(&*self.directory.store, |view| self.own(view, id)).await?;
        let user = &person.user;
        let names = (reads || has("profile")).then(|| UserNames {
            display_name: user.display_name.clone(),
            user_name: user.user_name.clone(),
        });
        let mail = user.mail.clone().filter(|_| reads || has("email"));
        let subject = issue::subject(&self.directory.subjects, self.caller.client(), id);
        Ok((UserInfo { subject, names, mail }, id))
    }

    fn own(&self, view: &View, id: PrincipalId) -> Result<Person, Halt<DirectoryError>> {
        let Some(person) = user::look(view, &Named::Id(id))? else {
            return Err(GraphError::NoUser.into());
        };
        if !person.principal.enabled || person.principal.revocations.refuse_caller(self.caller) {
            return Err(GraphError::CallerGone {
                why: "its principal is disabled, or the token was revoked",
            }
            .into());
        }
        Ok(person)
    }
}
