//! `config/appsettings` and `config/connectionstrings`: both are an app's settings; a connection string's name says its type in front, as App
//! Service gives it to a program.
//!
//! PUT replaces all of the one kind. A setting that is marked secret is told as a word of ours, and keeps its value where that word is sent back:
//! clients read all settings, change one, and send all.

use super::{
    super::{error::ArmError, said, said::Said},
    Here,
    config::{CONFIG_WRITE, properties},
};
use axum::{body::Body, response::Response};
use domain::Secret;
use host::{MeantSettings as Meant, Setting, WantedSetting};
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Seeing values.
const LIST: &str = "Microsoft.Web/sites/config/list/Action";

/// Types of connection strings, and what their settings' names begin with (App Service, connection strings).
const CONNECTIONS: [(&str, &str); 11] = [
    ("Custom", "CUSTOMCONNSTR_"),
    ("SQLServer", "SQLCONNSTR_"),
    ("SQLAzure", "SQLAZURECONNSTR_"),
    ("MySql", "MYSQLCONNSTR_"),
    ("PostgreSQL", "POSTGRESQLCONNSTR_"),
    ("NotificationHub", "NOTIFICATIONHUBCONNSTR_"),
    ("ServiceBus", "SERVICEBUSCONNSTR_"),
    ("EventHub", "EVENTHUBCONNSTR_"),
    ("DocDb", "DOCDBCONNSTR_"),
    ("RedisCache", "REDISCACHECONNSTR_"),
    ("ApiHub", "APIHUBCONNSTR_"),
];

/// What a site's configuration says of both; `None`: nothing.
#[derive(Debug, Default)]
pub(super) struct OfConfig {
    settings: Option<Vec<WantedSetting>>,
    connections: Option<Vec<WantedSetting>>,
}

pub(super) async fn list(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(LIST).await?;
    let settings = here.asked.state.host.settings(here.asked.by(), here.name).await?;
    Ok(here.part(&view.app, "config/appsettings", told(settings.iter().map(Shown::of))))
}

pub(super) async fn list_connections(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(LIST).await?;
    let settings = here.asked.state.host.settings(here.asked.by(), here.name).await?;
    Ok(here.part(&view.app, "config/connectionstrings", told_connections(settings.iter().map(Shown::of))))
}

pub(super) async fn put(here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_WRITE).await?;
    let whole = said(body).await?;
    let pairs = members(&whole)?.map(|(name, value)| setting(name, name, value));
    let wanted = checked(pairs.collect::<Result<Vec<_>, _>>()?, &is_setting)?;
    let secret = replace(here, &wanted, &is_setting).await?;
    let told = told(wanted.iter().map(|one| Shown::of_wanted(one, &secret)));
    Ok(here.part(&view.app, "config/appsettings", told))
}

pub(super) async fn put_connections(here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_WRITE).await?;
    let whole = said(body).await?;
    let connections =
        members(&whole)?.map(|(name, of)| connection(name, of.member("value"), of.member("type")));
    let wanted = checked(connections.collect::<Result<Vec<_>, _>>()?, &is_connection)?;
    let secret = replace(here, &wanted, &is_connection).await?;
    let told = told_connections(wanted.iter().map(|one| Shown::of_wanted(one, &secret)));
    Ok(here.part(&view.app, "config/connectionstrings", told))
}

/// What `siteConfig` or `config/web` says of both, as lists.
pub(super) fn of_config(config: &Said) -> Result<OfConfig, ArmError> {
    let name = |item: &Said| match item.member("name").and_then(Said::text) {
        Some(name) => Ok(name.to_owned()),
        None => Err(ArmError::bad_content("A setting has no name.")),
    };
    let settings = each(config, "appSettings", |item| {
        let name = name(item)?;
        match item.member("value") {
            Some(value) => setting(&name, &name, value),
            None => Ok(WantedSetting { name, value: Some(Secret::new(String::new())) }),
        }
    });
    let connections = each(config, "connectionStrings", |item| {
        connection(&name(item)?, item.member("connectionString"), item.member("type"))
    });
    Ok(OfConfig {
        settings: settings?.map(|wanted| checked(wanted, &is_setting)).transpose()?,
        connections: connections?.map(|wanted| checked(wanted, &is_connection)).transpose()?,
    })
}

/// What each item of a list says, if there is the list.
fn each(
    config: &Said,
    named: &str,
    one: impl Fn(&Said) -> Result<WantedSetting, ArmError>,
) -> Result<Option<Vec<WantedSetting>>, ArmError> {
    match config.member(named) {
        None => Ok(None),
        Some(Said::List(items)) => items.iter().map(one).collect::<Result<_, _>>().map(Some),
        Some(_) => Err(ArmError::bad_content(format!("{named} is no list."))),
    }
}

impl OfConfig {
    /// What replaces what; nothing if nothing is said.
    pub(super) fn kinds(&self) -> Vec<(&[WantedSetting], Meant<'_>)> {
        let settings = self.settings.iter().map(|wanted| (&**wanted, &is_setting as Meant<'_>));
        let connections = self.connections.iter().map(|wanted| (&**wanted, &is_connection as Meant<'_>));
        settings.chain(connections).collect()
    }
}

/// Settings of one kind, each once: by the name that clients know, as a list tells a connection string by that alone and whoever sends the
/// list back would delete another of its name.
fn checked(wanted: Vec<WantedSetting>, are_meant: Meant<'_>) -> Result<Vec<WantedSetting>, ArmError> {
    let mut names: Vec<&str> = wanted.iter().map(|one| known_as(&one.name)).collect();
    names.sort_unstable();
    if names.windows(2).any(|two| two.first() == two.last()) {
        return Err(ArmError::bad_content("A setting is named twice."));
    }
    // A setting of the other kind would not be replaced by the next PUT of this one.
    if wanted.iter().any(|one| !are_meant(&one.name)) {
        let message = "The name of an app setting begins like that of a connection string.";
        return Err(ArmError::bad_content(message));
    }
    Ok(wanted)
}

async fn replace(
    here: &Here<'_>,
    wanted: &[WantedSetting],
    are_meant: Meant<'_>,
) -> Result<BTreeSet<String>, ArmError> {
    let (asked, now) = (here.asked, here.asked.context.now);
    let secret = asked.state.host.replace_settings(asked.by(), here.name, wanted, are_meant, now).await?;
    here.changed();
    Ok(secret)
}

/// A setting: by the name that it has as an app's, and the one by which clients know it.
fn setting(name: &str, known_as: &str, value: &Said) -> Result<WantedSetting, ArmError> {
    let value = match value {
        Said::Text(text) if *text.expose() == word(known_as) => None,
        Said::Text(text) => Some(text.duplicate()),
        Said::Flag(flag) => Some(Secret::new(flag.to_string())),
        Said::Number(number) => Some(Secret::new(number.to_string())),
        Said::Nothing | Said::List(_) | Said::Object(_) => {
            return Err(ArmError::bad_content("A setting's value is no string."));
        }
    };
    Ok(WantedSetting { name: name.to_owned(), value })
}

fn connection(name: &str, value: Option<&Said>, kind: Option<&Said>) -> Result<WantedSetting, ArmError> {
    let kind = kind.and_then(Said::text).unwrap_or("Custom");
    let Some((_, start)) = CONNECTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind)) else {
        return Err(ArmError::bad_content("A connection string's type is not one that App Service has."));
    };
    let value = value.ok_or_else(|| ArmError::bad_content("A connection string has no value."))?;
    setting(&format!("{start}{name}"), name, value)
}

fn is_setting(name: &str) -> bool {
    !is_connection(name)
}

fn is_connection(name: &str) -> bool {
    as_connection(name).is_some()
}

/// The type of a connection string, and the name by which clients know it.
fn as_connection(name: &str) -> Option<(&'static str, &str)> {
    CONNECTIONS.iter().find_map(|(kind, start)| Some((*kind, name.strip_prefix(start)?)))
}

fn known_as(name: &str) -> &str {
    as_connection(name).map_or(name, |(_, known_as)| known_as)
}

/// What stands in the place of a secret's value.
fn word(name: &str) -> String {
    format!("@Keyless.Secret({name})")
}

/// A setting as it is told. Without a value: it is secret.
struct Shown<'s> {
    name: &'s str,
    value: Option<&'s Secret<String>>,
}

/// A connection string as it is told.
#[derive(Serialize)]
struct Connection<'s> {
    r#type: &'static str,
    value: Cow<'s, str>,
}

impl<'s> Shown<'s> {
    fn of(setting: &'s Setting) -> Self {
        Self { name: &setting.name, value: (!setting.is_secret).then_some(&setting.value) }
    }

    /// What somebody has just written: that, and nothing of what others may have written since.
    fn of_wanted(wanted: &'s WantedSetting, secret: &BTreeSet<String>) -> Self {
        let value = wanted.value.as_ref().filter(|_| !secret.contains(&wanted.name));
        Self { name: &wanted.name, value }
    }

    /// Borrowed: no copy of a value is made but the answer itself.
    fn told(&self, known_as: &str) -> Cow<'s, str> {
        self.value.map_or_else(|| word(known_as).into(), |value| value.expose().into())
    }
}

fn told<'s>(settings: impl Iterator<Item = Shown<'s>>) -> BTreeMap<&'s str, Cow<'s, str>> {
    let settings = settings.filter(|setting| is_setting(setting.name));
    settings.map(|one| (one.name, one.told(one.name))).collect()
}

fn told_connections<'s>(settings: impl Iterator<Item = Shown<'s>>) -> BTreeMap<&'s str, Connection<'s>> {
    let connection = |one: Shown<'s>| {
        let (kind, name) = as_connection(one.name)?;
        Some((name, Connection { r#type: kind, value: one.told(name) }))
    };
    settings.filter_map(connection).collect()
}

/// What `properties` of a body says of each setting. What is null is not there.
fn members(whole: &Said) -> Result<impl Iterator<Item = (&String, &Said)>, ArmError> {
    // What replaces all that is there says so: who forgot it would have taken everything away.
    if whole.member("properties").is_none() {
        return Err(ArmError::bad_content("The properties are missing."));
    }
    Ok(properties(whole)?.members().into_iter().flatten().filter(|(_, value)| !value.is_nothing()))
}
