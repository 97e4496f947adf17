//! Consent: what a user has agreed that a client may do in their name, and what an administrator has for all.
//!
//! A token for a user never says more than somebody has agreed to; which scopes there are, and who may agree to them, says the resource.
//!
//! `.default` is what the application lists for the resource (Graph: `requiredResourceAccess`) and what was agreed to before. One that lists
//! nothing anywhere, as one that the command line has made, is taken to want what every user may agree to; one that lists, and not this
//! resource, gets what somebody has agreed to, or a refusal.
//!
//! The scopes of OpenID Connect are no resource's, and MSAL adds them to whatever is asked for. Where somebody has agreed that the client acts
//! for the user at a resource they need no word of their own, as in Entra: that the user is signed in there goes without saying. Never the other
//! way round: who has agreed to a sign-in has agreed to no scope of a resource.

use crate::{
    DirectoryError, GrantError, Registration, User,
    application::Application,
    audience::Audience,
    registration::Consenter,
    scope::{DEFAULT, OPENID_SCOPES, OpenId, Scopes},
    tenant::shown,
};
use domain::{ClientId, PrincipalId, limits};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use store::{Halt, Key, Load, Record, View, Write};

/// Under which the scopes of OpenID Connect are kept: they are of no resource.
pub(crate) const OPENID: &str = "openid";

/// What one user has agreed to for one client, or the administrator for all users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Consent {
    /// Scopes by resource.
    pub(crate) scopes: BTreeMap<String, Vec<String>>,
    /// What Graph was told of a resource where that holds scopes of OpenID Connect, all of it and as it was written: it is told again so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) written: BTreeMap<String, Vec<String>>,
}

impl Consent {
    /// What is told of one resource: as it was written, then what was agreed to since.
    pub(crate) fn told(&self, key: &str) -> Vec<String> {
        let mut told = self.written.get(key).cloned().unwrap_or_default();
        for name in self.scopes.get(key).into_iter().flatten() {
            if !told.contains(name) {
                told.push(name.clone());
            }
        }
        told
    }

    /// Those of OpenID Connect, at a page or by Graph.
    fn openid(&self) -> impl Iterator<Item = &String> {
        let is_openid = |name: &&String| OPENID_SCOPES.contains(&name.as_str());
        let written = self.written.values().flatten().filter(is_openid);
        self.scopes.get(OPENID).into_iter().flatten().chain(written)
    }

    /// Does it say anything of a resource?
    fn has_resource(&self) -> bool {
        self.scopes.iter().any(|(key, names)| key != OPENID && !names.is_empty())
    }
}

/// Who has agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One user.
    User(PrincipalId),
    /// An administrator, for all users.
    Everybody,
}

impl Record for Consent {
    type Id = (ClientId, Whose);

    fn key((client, whose): &(ClientId, Whose)) -> Key {
        match whose {
            Whose::User(principal) => Key::new(format!("consent/{client}/{principal}")),
            Whose::Everybody => Key::new(format!("consent/{client}/all")),
        }
    }
}

/// What a client may do in a user's name, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Agreed {
    /// These scopes of the resource.
    Granted(Vec<String>),
    /// The user must be asked first: scopes of the resource, and of OpenID Connect.
    Ask(Asked),
}

/// What a user is asked to agree to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Scopes of the resource.
    pub scopes: Vec<String>,
    /// Scopes of OpenID Connect.
    pub openid: Vec<&'static str>,
}

/// What a user is asked to agree to at one resource.
#[derive(Clone, Debug)]
pub struct AskedOf {
    /// The resource.
    pub audience: Audience,
    /// What of it.
    pub asked: Asked,
}

/// Which scopes does the client get? Pure.
pub(crate) fn agreed(
    view: &View,
    application: &Application,
    user: PrincipalId,
    audience: &Audience,
    scopes: &Scopes,
) -> Result<Agreed, Halt<DirectoryError>> {
    let given = match application.needs_consent() {
        true => given(view, application.client(), user, audience.key())?,
        false => Vec::new(),
    };
    let wanted = wanted(application, audience, scopes, &given).map_err(Halt::Refuse)?;
    if !application.needs_consent() {
        return Ok(Agreed::Granted(wanted));
    }
    let openid = given_openid(view, application.client(), user)?;
    let missing_openid: Vec<_> = asked_openid(scopes)
        .into_iter()
        .filter(|name| !openid.names.iter().any(|given| given == name))
        .collect();
    let mut granted: Vec<String> =
        wanted.iter().filter(|name| given.iter().any(|given| given == *name)).cloned().collect();
    // All that was agreed to is enough, where all is asked for.
    let is_enough = granted.len() == wanted.len()
        || scopes.is_default() && scopes.names.len() == 1 && !granted.is_empty();
    if is_enough && (openid.is_implied || missing_openid.is_empty()) {
        return Ok(Agreed::Granted(granted));
    }
    granted.clear();
    let missing = wanted.into_iter().filter(|name| !given.contains(name)).collect();
    Ok(Agreed::Ask(Asked { scopes: if is_enough { Vec::new() } else { missing }, openid: missing_openid }))
}

/// Does the resource offer what is asked for?
pub(crate) fn check(audience: &Audience, scopes: &Scopes) -> Result<(), DirectoryError> {
    named(scopes, &audience.offered()).map(drop)
}

/// Who agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Giver {
    pub(crate) whose: Whose,
    /// May it agree to what only an administrator can?
    pub(crate) is_administrator: bool,
}

impl Giver {
    /// A user, for itself. `installation`: the tenant's first administrator.
    pub(crate) fn user(user: &User, installation: PrincipalId) -> Self {
        Self { whose: Whose::User(user.id), is_administrator: user.administers(installation) }
    }

    /// An administrator, for all users.
    pub(crate) const EVERYBODY: Self = Self { whose: Whose::Everybody, is_administrator: true };

    /// May it agree to these scopes of the resource?
    pub(crate) fn may_give(
        self,
        client: ClientId,
        audience: &Audience,
        scopes: &[String],
    ) -> Result<(), DirectoryError> {
        if self.is_administrator || scopes.iter().all(|name| audience.consenter(name) == Consenter::User) {
            return Ok(());
        }
        Err(DirectoryError::Grant(GrantError::AdministratorMustAgree { client }))
    }
}

/// All that is asked for.
pub(crate) fn all(
    view: &View,
    application: &Application,
    user: PrincipalId,
    audience: &Audience,
    scopes: &Scopes,
) -> Result<Asked, Halt<DirectoryError>> {
    let given = given(view, application.client(), user, audience.key())?;
    let wanted = wanted(application, audience, scopes, &given).map_err(Halt::Refuse)?;
    Ok(Asked { scopes: wanted, openid: asked_openid(scopes) })
}

/// The write by which somebody agrees to everything that is asked for, beside what was agreed to before.
pub(crate) fn give<'a>(
    view: &View,
    application: &Application,
    giver: Giver,
    resources: impl IntoIterator<Item = (&'a Audience, &'a Scopes)>,
) -> Result<Write, Halt<DirectoryError>> {
    let (client, whose) = (application.client(), giver.whose);
    let known = view.get::<Consent>(&(client, whose))?;
    let mut consent = known.map_or_else(Consent::default, |known| Consent::clone(&known));
    for (audience, scopes) in resources {
        let given = match whose {
            Whose::User(user) => given(view, client, user, audience.key())?,
            Whose::Everybody => consent.scopes.get(&audience.key()).cloned().unwrap_or_default(),
        };
        let mut wanted = wanted(application, audience, scopes, &given).map_err(Halt::Refuse)?;
        if !giver.is_administrator {
            // What an administrator has agreed to stays the administrator's: taken away again, it is not the user's own.
            wanted.retain(|name| audience.consenter(name) == Consenter::User || !given.contains(name));
            giver.may_give(client, audience, &wanted).map_err(Halt::Refuse)?;
        }
        let openid = asked_openid(scopes).into_iter().map(str::to_owned).collect();
        for (key, names) in [(audience.key(), wanted), (OPENID.to_owned(), openid)] {
            let agreed = consent.scopes.entry(key).or_default();
            for name in names {
                if !agreed.contains(&name) {
                    agreed.push(name);
                }
            }
        }
    }
    if consent.scopes.len() > limits::CONSENT_RESOURCES_MAX {
        return Err(Halt::Refuse(DirectoryError::TooMany {
            what: "resources that one client is agreed to for",
            limit: limits::CONSENT_RESOURCES_MAX,
        }));
    }
    Ok(store::put::<Consent>(&(client, whose), &consent))
}

/// What the user has agreed to for a client, and the administrator for all.
fn consents(view: &View, client: ClientId, user: PrincipalId) -> Result<Vec<Arc<Consent>>, Load> {
    let mut consents = Vec::with_capacity(2);
    for whose in [Whose::User(user), Whose::Everybody] {
        consents.extend(view.get::<Consent>(&(client, whose))?);
    }
    Ok(consents)
}

fn given(view: &View, client: ClientId, user: PrincipalId, key: String) -> Result<Vec<String>, Load> {
    let consents = consents(view, client, user)?;
    Ok(consents.iter().filter_map(|consent| consent.scopes.get(&key)).flatten().cloned().collect())
}

/// Those of OpenID Connect that may be granted where nobody can be asked: what else a client asks for out of habit is left out.
pub(crate) fn openid_without_asking(
    view: &View,
    application: &Application,
    user: PrincipalId,
    asked: OpenId,
) -> Result<OpenId, Load> {
    if !application.needs_consent() {
        return Ok(asked);
    }
    let given = given_openid(view, application.client(), user)?;
    let is_given = |name: &str| given.is_implied || given.names.iter().any(|given| given == name);
    Ok(asked.within(OpenId {
        id_token: is_given("openid"),
        profile: is_given("profile"),
        email: is_given("email"),
        offline_access: is_given("offline_access"),
    }))
}

/// What was agreed to of OpenID Connect.
struct GivenOpenId {
    names: Vec<String>,
    /// Something was agreed to at a resource, with which all of these are.
    is_implied: bool,
}

fn given_openid(view: &View, client: ClientId, user: PrincipalId) -> Result<GivenOpenId, Load> {
    let consents = consents(view, client, user)?;
    Ok(GivenOpenId {
        names: consents.iter().flat_map(|consent| consent.openid()).cloned().collect(),
        is_implied: consents.iter().any(|consent| consent.has_resource()),
    })
}

fn asked_openid(scopes: &Scopes) -> Vec<&'static str> {
    let offline = scopes.openid.offline_access.then_some("offline_access");
    scopes.openid.told().chain(offline).collect()
}

/// The wanted scopes as the resource spells them; `given`: what was agreed to before.
fn wanted(
    application: &Application,
    audience: &Audience,
    scopes: &Scopes,
    given: &[String],
) -> Result<Vec<String>, DirectoryError> {
    let offered = audience.offered();
    let mut wanted = named(scopes, &offered)?;
    if scopes.is_default() {
        let others = match application {
            Application::FirstParty(_) => offered,
            Application::Registered(registration) => by_default(registration, audience, &offered, given)?,
        };
        wanted.extend(others);
    }
    // Two spellings of the resource may come with one name.
    let mut once = Vec::with_capacity(wanted.len());
    for name in wanted {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    Ok(once)
}

/// The scopes that are asked for by their own names.
fn named(scopes: &Scopes, offered: &[String]) -> Result<Vec<String>, DirectoryError> {
    let spelled = scopes.names.iter().filter(|name| *name != DEFAULT).map(|name| {
        let found = offered.iter().find(|offered| offered.eq_ignore_ascii_case(name));
        found.cloned().ok_or_else(|| DirectoryError::ScopeUnknown { scope: shown(name) })
    });
    spelled.collect()
}

/// What `.default` is for an app registration.
fn by_default(
    registration: &Registration,
    audience: &Audience,
    offered: &[String],
    given: &[String],
) -> Result<Vec<String>, DirectoryError> {
    let listed = audience.listed(registration);
    let is_known = |name: &&String| given.contains(name) || listed.iter().flatten().any(|one| one == *name);
    let known: Vec<_> = offered.iter().filter(is_known).cloned().collect();
    if !known.is_empty() || offered.is_empty() && listed.is_some() {
        return Ok(known);
    }
    // What cannot be listed, and the application itself, need not be.
    let application = audience.application().filter(|resource| *resource != registration.client);
    let must_list = application.is_some() && !registration.required_access.is_empty();
    let of_users = offered.iter().filter(|name| audience.consenter(name) == Consenter::User);
    let of_users: Vec<_> = of_users.cloned().collect();
    if must_list || of_users.is_empty() && !offered.is_empty() {
        return Err(DirectoryError::Grant(GrantError::ResourceNotListed {
            client: registration.client,
            resource: shown(audience.requested()),
        }));
    }
    Ok(of_users)
}
