//! Users: people who sign in with a password. The record beside their principal, and the decisions that change it.
//!
//! Owns: names, passwords' rules, and what comes and goes in one commit. Owns not: how a password is checked (`sign_in`), the second
//! factor's steps (`totp`), whether a user may act: the principal's `enabled` says that, as for everybody.

use crate::{
    DirectoryError, Tenant, deleted, passkeys::KeptPasskey, principal, registry::is_display_name,
    tenant::shown, totp::Authenticator,
};
use access::{Principal, PrincipalKind};
use crypt::PasswordHash;
use domain::{ClientId, NameError, PrincipalId, Secret, TenantId, Timestamp, UserName, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, Write, refuse};

/// A person. Its principal has the same id, and says whether it is enabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The object id, which is the principal's.
    pub id: PrincipalId,
    /// By which it signs in (UPN).
    pub user_name: UserName,
    /// A name for people; the principal has the same.
    pub display_name: String,
    /// Where it gets mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// The password's hash. `None`: nobody signs in by a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// Must the next sign-in set another password, since somebody else knows this one?
    #[serde(default)]
    pub must_change_password: bool,
    /// When the password was set: what was signed in before is worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_set: Option<Timestamp>,
    /// The authenticator app, as a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<Authenticator>,
    /// Passkeys, each of which stands for password and second factor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passkeys: Vec<KeptPasskey>,
    /// May it do all in the directory, as the installation's own administrator may?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_administrator: bool,
    /// When it was made.
    pub created: Timestamp,
}

impl User {
    /// May it do all in the directory? `installation`: whose administrator the tenant has from the beginning.
    pub(crate) fn administers(&self, installation: PrincipalId) -> bool {
        self.is_administrator || self.id == installation
    }

    /// Does a sign-in need a code of its authenticator app too?
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.authenticator.as_ref().is_some_and(|authenticator| authenticator.is_confirmed)
    }
}

impl Record for User {
    type Id = PrincipalId;

    fn key(id: &PrincipalId) -> Key {
        Key::new(format!("user/{id}"))
    }
}

/// From a user name in lower case to the user. Unique by its key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct UserNameIndex {
    pub(crate) user: PrincipalId,
}

impl Record for UserNameIndex {
    type Id = UserName;

    fn key(id: &UserName) -> Key {
        Key::new(format!("user-name/{}", id.folded()))
    }
}

/// What a new user should be.
#[derive(Debug)]
pub struct NewUser {
    /// By which it signs in.
    pub user_name: UserName,
    /// A name for people.
    pub display_name: String,
    /// Where it gets mail.
    pub mail: Option<String>,
    /// May it do anything?
    pub enabled: bool,
    /// Its first password, if it has one.
    pub password: Option<Secret<String>>,
    /// Must it set another one when it first signs in?
    pub must_change_password: bool,
}

/// What should change of a user. `None`: stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// By which it signs in.
    pub user_name: Option<UserName>,
    /// A name for people.
    pub display_name: Option<String>,
    /// Where it gets mail; `Some(None)` takes it away.
    pub mail: Option<Option<String>>,
    /// May it do anything?
    pub enabled: Option<bool>,
    /// May it do all in the directory?
    pub is_administrator: Option<bool>,
}

/// What can go wrong with users and their sign-ins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("user {named} was not found")]
    NotFound {
        /// As asked for.
        named: String,
    },
    /// Another user has this name.
    #[error("the user name {name} is taken")]
    NameTaken {
        /// Which one.
        name: UserName,
    },
    /// A user name that is none.
    #[error(transparent)]
    NameInvalid(#[from] NameError),
    /// A user name in a domain that is not the tenant's.
    #[error("the user name is not in this directory's domain, {own}")]
    DomainForeign {
        /// The tenant's.
        own: String,
    },
    /// A mail address that is none.
    #[error(
        "the mail address is not valid: printable ASCII around one @, at most {} characters",
        limits::MAIL_CHARS_MAX
    )]
    MailInvalid,
    /// A password that may not be set.
    #[error("the password is not good enough: {rule}")]
    PasswordUnfit {
        /// What is wrong with it.
        rule: &'static str,
    },
    /// Unknown user, no password, or a wrong one: nobody is told which.
    #[error("the user name or the password is wrong")]
    SignInRefused,
    /// The password is right, and the user disabled.
    #[error("user {user} is disabled")]
    Disabled {
        /// Which one.
        user: PrincipalId,
    },
    /// Too many wrong passwords or codes; the right one is refused too.
    #[error("too many tries: wait {seconds} seconds")]
    TooManyTries {
        /// Until the next try.
        seconds: u64,
    },
    /// As many passwords are being checked as may be.
    #[error("too many sign-ins at a time")]
    Busy,
    /// The code is wrong, too old, or has been used.
    #[error("the code is wrong or has been used")]
    CodeWrong,
    /// A passkey's answer does not hold.
    #[error("the passkey is refused: {why}")]
    PasskeyRefused {
        /// Why.
        why: String,
    },
    /// The user has no authenticator app.
    #[error("user {user} has no authenticator app")]
    NoAuthenticator {
        /// Which one.
        user: PrincipalId,
    },
    /// The user has an authenticator app already.
    #[error("user {user} has an authenticator app already")]
    AuthenticatorExists {
        /// Which one.
        user: PrincipalId,
    },
}

type Refusal = Halt<DirectoryError>;

impl From<UserError> for Refusal {
    fn from(error: UserError) -> Self {
        Self::Refuse(error.into())
    }
}

/// A user and its principal.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user.
    pub user: Arc<User>,
    /// Its principal.
    pub principal: Arc<Principal>,
}

/// The user of a name or an object id.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    Id(PrincipalId),
    Name(UserName),
    /// A text that names nobody, for the refusal.
    Nobody(String),
}

impl Named {
    /// What a text names; `domain` is where a name without one belongs.
    pub(crate) fn of(text: &str, domain: &str) -> Self {
        if let Ok(id) = text.parse() {
            return Self::Id(id);
        }
        match name_in(text, domain) {
            Ok(name) => Self::Name(name),
            Err(_) => Self::Nobody(shown(text)),
        }
    }
}

/// A user name; one without a domain is of ours.
pub(crate) fn name_in(text: &str, domain: &str) -> Result<UserName, NameError> {
    if text.contains('@') { text.parse() } else { format!("{text}@{domain}").parse() }
}

/// Is it a name in the tenant's own domain? Somebody else's says that somebody else vouches for it.
pub(crate) fn check_domain(name: &UserName, own: &str) -> Result<(), UserError> {
    let is_own = name.as_str().split_once('@').is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(own));
    if is_own { Ok(()) } else { Err(UserError::DomainForeign { own: own.to_owned() }) }
}

/// Finds a user, if it is there.
pub(crate) fn look(view: &View, named: &Named) -> Result<Option<Person>, Refusal> {
    let id = match named {
        Named::Id(id) => Some(*id),
        Named::Name(name) => view.get::<UserNameIndex>(name)?.map(|index| index.user),
        Named::Nobody(_) => None,
    };
    let Some(id) = id else { return Ok(None) };
    let Some(user) = view.get::<User>(&id)? else { return Ok(None) };
    let Some(principal) = view.get::<Principal>(&id)? else {
        return refuse(DirectoryError::Broken { what: "a user has no principal" });
    };
    Ok(Some(Person { user, principal }))
}

/// Finds a user that must be there.
pub(crate) fn find(view: &View, named: &Named) -> Result<Person, Refusal> {
    look(view, named)?.ok_or_else(|| {
        let named = match named {
            Named::Id(id) => id.to_string(),
            Named::Name(name) => name.to_string(),
            Named::Nobody(text) => text.clone(),
        };
        UserError::NotFound { named }.into()
    })
}

/// The writes by which a user comes to be; its name is not taken.
pub(crate) fn put(user: &User, principal: &Principal) -> Vec<Write> {
    let mut writes = vec![
        store::put::<User>(&user.id, user),
        store::put::<UserNameIndex>(&user.user_name, &UserNameIndex { user: user.id }),
    ];
    writes.extend(principal::put(principal));
    writes
}

/// The administrator of an installation as a user: nobody signs in as it until a password is set.
pub(crate) fn administrator(id: PrincipalId, domain: &str, now: Timestamp) -> Result<User, NameError> {
    Ok(User {
        id,
        user_name: name_in("administrator", domain)?,
        display_name: "administrator".to_owned(),
        mail: None,
        password: None,
        must_change_password: false,
        password_set: None,
        authenticator: None,
        passkeys: Vec::new(),
        is_administrator: true,
        created: now,
    })
}

/// The principal of a new user.
pub(crate) fn principal_of(user: &User, client: ClientId, tenant: TenantId, enabled: bool) -> Principal {
    Principal {
        id: user.id,
        client,
        tenant,
        kind: PrincipalKind::User,
        display_name: user.display_name.clone(),
        enabled,
        member_of: Vec::new(),
        resource_group: domain::ResourceGroupName::default(),
        created: user.created,
        revocations: access::Revocations::default(),
    }
}

pub(crate) fn create(view: &View, user: &User, principal: &Principal) -> Result<Decision<Person>, Refusal> {
    if view.get::<UserNameIndex>(&user.user_name)?.is_some() {
        return Err(UserError::NameTaken { name: user.user_name.clone() }.into());
    }
    let person = Person { user: Arc::new(user.clone()), principal: Arc::new(principal.clone()) };
    Ok(Decision::of(person, put(user, principal)))
}

pub(crate) fn update(
    view: &View,
    named: &Named,
    change: &UserChange,
    tenant: &Tenant,
) -> Result<Decision<Person>, Refusal> {
    let administrator = tenant.administrator;
    let Person { user: before, principal: acting } = find(view, named)?;
    let (mut user, mut principal) = (User::clone(&before), Principal::clone(&acting));
    let mut writes = Vec::new();
    if let Some(name) = &change.user_name
        && name.as_str() != user.user_name.as_str()
    {
        if *name != user.user_name {
            check_domain(name, &tenant.domain)?;
            if view.get::<UserNameIndex>(name)?.is_some() {
                return Err(UserError::NameTaken { name: name.clone() }.into());
            }
            writes.push(store::delete::<UserNameIndex>(&user.user_name));
            writes.push(store::put::<UserNameIndex>(name, &UserNameIndex { user: user.id }));
        }
        user.user_name = name.clone();
    }
    if let Some(display_name) = &change.display_name {
        user.display_name.clone_from(display_name);
        principal.display_name.clone_from(display_name);
    }
    if let Some(mail) = &change.mail {
        user.mail.clone_from(mail);
    }
    if let Some(enabled) = change.enabled {
        if !enabled && user.id == administrator {
            return refuse(DirectoryError::AdministratorNeeded);
        }
        principal.enabled = enabled;
    }
    if let Some(is_administrator) = change.is_administrator {
        if !is_administrator && user.id == administrator {
            return refuse(DirectoryError::AdministratorNeeded);
        }
        user.is_administrator = is_administrator;
    }
    check_details(&user).map_err(Halt::Refuse)?;
    if user != *before {
        writes.push(store::put::<User>(&user.id, &user));
    }
    if principal != *acting {
        writes.push(store::put::<Principal>(&principal.id, &principal));
    }
    Ok(Decision::of(Person { user: Arc::new(user), principal: Arc::new(principal) }, writes))
}

/// Deletes a user with its principal: for good, or so that it can be brought back from `kept` on.
pub(crate) fn delete(
    view: &View,
    named: &Named,
    administrator: PrincipalId,
    kept: Option<Timestamp>,
) -> Result<Decision<Person>, Refusal> {
    let person = find(view, named)?;
    if person.user.id == administrator {
        return refuse(DirectoryError::AdministratorNeeded);
    }
    let mut writes =
        vec![store::delete::<User>(&person.user.id), store::delete::<UserNameIndex>(&person.user.user_name)];
    writes.extend(principal::delete(&person.principal));
    writes.extend(kept.map(|now| deleted::keep_user(&person.user, &person.principal, now)));
    Ok(Decision::of(person, writes))
}

/// Sets a password, hashed already. `proven`: the one that was checked just before; another one by now is a change that came first.
pub(crate) fn set_password(
    view: &View,
    named: &Named,
    hash: &PasswordHash,
    must_change: bool,
    proven: Option<&PasswordHash>,
    now: Timestamp,
) -> Result<Decision<Person>, Refusal> {
    let Person { user, principal } = find(view, named)?;
    if proven.is_some() && (user.password.as_ref() != proven || !principal.enabled) {
        return Err(UserError::SignInRefused.into());
    }
    Ok(with_password(Vec::new(), &user, &principal, hash, [must_change, proven.is_some()], now))
}

/// The writes by which a user has another password, in the place of those of its two records that are to be written anyway.
pub(crate) fn with_password(
    mut writes: Vec<Write>,
    user: &User,
    principal: &Principal,
    hash: &PasswordHash,
    [must_change, is_by_its_owner]: [bool; 2],
    now: Timestamp,
) -> Decision<Person> {
    let user = User {
        password: Some(hash.clone()),
        must_change_password: must_change,
        password_set: Some(now),
        // An administrator sets one when the account may be in other hands, whose passkeys must go with it.
        passkeys: if is_by_its_owner { user.passkeys.clone() } else { Vec::new() },
        ..User::clone(user)
    };
    // Whoever knew the old one has nothing of it any more.
    let mut principal = Principal::clone(principal);
    principal.revocations.revoke_all(now);
    for write in [store::put::<User>(&user.id, &user), store::put::<Principal>(&principal.id, &principal)] {
        writes.retain(|other| other.key() != write.key());
        writes.push(write);
    }
    Decision::of(Person { user: Arc::new(user), principal: Arc::new(principal) }, writes)
}

/// Keeps the same password under other parameters, unless it has been changed meanwhile.
pub(crate) fn rehash(
    view: &View,
    named: &Named,
    old: &PasswordHash,
    fresh: &PasswordHash,
) -> Result<Decision<Person>, Refusal> {
    let Person { user, principal } = find(view, named)?;
    if user.password.as_ref() != Some(old) {
        return Err(UserError::SignInRefused.into());
    }
    let user = User { password: Some(fresh.clone()), ..User::clone(&user) };
    let write = store::put::<User>(&user.id, &user);
    Ok(Decision::of(Person { user: Arc::new(user), principal }, vec![write]))
}

/// Are the parts that people write as they should be?
pub(crate) fn check_details(user: &User) -> Result<(), DirectoryError> {
    if !is_display_name(&user.display_name) {
        return Err(DirectoryError::DisplayNameInvalid);
    }
    let is_mail = |mail: &String| {
        mail.len() <= limits::MAIL_CHARS_MAX
            && mail.bytes().all(|byte| byte.is_ascii_graphic())
            && mail
                .split_once('@')
                .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
    };
    if user.mail.as_ref().is_some_and(|mail| !is_mail(mail)) {
        return Err(UserError::MailInvalid.into());
    }
    Ok(())
}
