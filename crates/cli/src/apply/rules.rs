//! Rules as a stack says them: of whom they speak, and what they allow.

use super::verbs::Verbs;
use domain::{AppName, IdentityName, ObjectName};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::fmt;

/// Of whom a rule speaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whom {
    App(AppName),
    Identity(IdentityName),
    User(String),
    Group(String),
    Registration(String),
}

impl fmt::Display for Whom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(name) => write!(formatter, "app {name}"),
            Self::Identity(name) => write!(formatter, "identity {name}"),
            Self::User(name) => write!(formatter, "user {name}"),
            Self::Group(name) => write!(formatter, "group {name}"),
            Self::Registration(name) => write!(formatter, "registration {name}"),
        }
    }
}

/// The members that say whom, of which there is exactly one.
#[derive(Default)]
struct Named {
    app: Option<AppName>,
    identity: Option<IdentityName>,
    user: Option<String>,
    group: Option<String>,
    registration: Option<String>,
}

impl Named {
    fn one<E: serde::de::Error>(self) -> Result<Whom, E> {
        let all = [
            self.app.map(Whom::App),
            self.identity.map(Whom::Identity),
            self.user.map(Whom::User),
            self.group.map(Whom::Group),
            self.registration.map(Whom::Registration),
        ];
        let mut named = all.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(E::custom("name exactly one of app, identity, user, group and registration")),
        }
    }
}

impl<'de> Deserialize<'de> for Whom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Member {
            app: Option<AppName>,
            identity: Option<IdentityName>,
            user: Option<String>,
            registration: Option<String>,
        }
        let Member { app, identity, user, registration } = Member::deserialize(deserializer)?;
        Named { app, identity, user, registration, ..Named::default() }.one()
    }
}

/// What somebody may do in a vault, all of it.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) whom: Whom,
    pub(super) verbs: Verbs,
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Flat {
            app: Option<AppName>,
            identity: Option<IdentityName>,
            user: Option<String>,
            group: Option<String>,
            registration: Option<String>,
            #[serde(default)]
            secrets: Vec<String>,
            #[serde(default)]
            keys: Vec<String>,
            #[serde(default)]
            certificates: Vec<String>,
        }
        let Flat { app, identity, user, group, registration, secrets, keys, certificates } =
            Flat::deserialize(deserializer)?;
        let verbs = Verbs::parse(&secrets, &keys, &certificates).map_err(D::Error::custom)?;
        if verbs.is_empty() {
            return Err(D::Error::custom("a policy allows something of secrets, keys or certificates"));
        }
        Ok(Self { whom: Named { app, identity, user, group, registration }.one()?, verbs })
    }
}

/// A role of somebody's, for a vault or for one object of it.
#[derive(Debug)]
pub(super) struct Role {
    /// A role's name, or its id.
    pub(super) role: String,
    pub(super) whom: Whom,
    /// Its kind and name.
    pub(super) object: Option<(&'static str, ObjectName)>,
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Flat {
            role: String,
            app: Option<AppName>,
            identity: Option<IdentityName>,
            user: Option<String>,
            group: Option<String>,
            registration: Option<String>,
            secret: Option<ObjectName>,
            key: Option<ObjectName>,
            certificate: Option<ObjectName>,
        }
        let Flat { role, app, identity, user, group, registration, secret, key, certificate } =
            Flat::deserialize(deserializer)?;
        let objects = [("secret", secret), ("key", key), ("certificate", certificate)];
        let mut objects = objects.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
        let object = objects.next();
        if objects.next().is_some() {
            return Err(D::Error::custom("name at most one of secret, key and certificate"));
        }
        Ok(Self { role, whom: Named { app, identity, user, group, registration }.one()?, object })
    }
}
