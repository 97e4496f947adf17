//! `config/appsettings` and `config/connectionstrings`: both are an app's settings; a connection string's name says its type in front, as App
//! Service gives it to a program.
//!
//! PUT replaces all of the one kind. A setting that is marked secret is told as a word of ours, and keeps its value where that word is sent back:
//! clients read all settings, change one, and send all.

use super::{
    super::error::ArmError,
    Here,
    config::{CONFIG_WRITE, properties},
    member,
};
use axum::{body::Body, response::Response};
use domain::Secret;
use host::{Setting, WantedSetting};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

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
    Ok(here.part(&view.app, "config/appsettings", told(settings.iter().map(Said::of))))
}

pub(super) async fn list_connections(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(LIST).await?;
    let settings = here.asked.state.host.settings(here.asked.by(), here.name).await?;
    Ok(here.part(&view.app, "config/connectionstrings", told_connections(settings.iter().map(Said::of))))
}

pub(super) async fn put(here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_WRITE).await?;
    let said = properties(body).await?;
    let pairs = members(&said).iter().filter(|(_, value)| !value.is_null());
    let wanted = pairs.map(|(name, value)| setting(name, name, value)).collect::<Result<Vec<_>, _>>()?;
    let secret = replace(here, &wanted, &|name| !is_connection(name)).await?;
    let told = told(wanted.iter().map(|one| Said::of_wanted(one, &secret)));
    Ok(here.part(&view.app, "config/appsettings", told))
}

pub(super) async fn put_connections(here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_WRITE).await?;
    let said = properties(body).await?;
    let connections = members(&said).iter().filter(|(_, value)| !value.is_null());
    let wanted = connections.map(|(name, of)| connection(name, member(of, "value"), member(of, "type")));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    let secret = replace(here, &wanted, &is_connection).await?;
    let told = told_connections(wanted.iter().map(|one| Said::of_wanted(one, &secret)));
    Ok(here.part(&view.app, "config/connectionstrings", told))
}

/// What `siteConfig` or `config/web` says of both, as lists.
pub(super) fn of_config(config: &Value) -> Result<OfConfig, ArmError> {
    let text = |of: &Value, named: &str| match member(of, named) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(ArmError::bad_content(format!("A setting has no {named}."))),
    };
    let items = |named: &str| match member(config, named) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(_) => Err(ArmError::bad_content(format!("{named} is no list."))),
    };
    let settings = items("appSettings")?.map(|items| {
        let one = |item: &Value| {
            let name = text(item, "name")?;
            setting(&name, &name, member(item, "value").unwrap_or(&Value::String(String::new())))
        };
        items.iter().map(one).collect::<Result<Vec<_>, ArmError>>()
    });
    let connections = items("connectionStrings")?.map(|items| {
        let one = |item: &Value| {
            connection(&text(item, "name")?, member(item, "connectionString"), member(item, "type"))
        };
        items.iter().map(one).collect::<Result<Vec<_>, ArmError>>()
    });
    Ok(OfConfig { settings: settings.transpose()?, connections: connections.transpose()? })
}

impl OfConfig {
    pub(super) async fn apply(&self, here: &Here<'_>) -> Result<(), ArmError> {
        if let Some(wanted) = &self.settings {
            let _secret = replace(here, wanted, &|name| !is_connection(name)).await?;
        }
        if let Some(wanted) = &self.connections {
            let _secret = replace(here, wanted, &is_connection).await?;
        }
        Ok(())
    }
}

async fn replace(
    here: &Here<'_>,
    wanted: &[WantedSetting],
    are_meant: &(dyn Fn(&str) -> bool + Sync),
) -> Result<BTreeSet<String>, ArmError> {
    let mut names: Vec<&str> = wanted.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|two| two.first() == two.last()) {
        return Err(ArmError::bad_content("A setting is named twice."));
    }
    // A setting of the other kind would not be replaced by the next PUT of this one.
    if wanted.iter().any(|one| !are_meant(&one.name)) {
        let message = "The name of an app setting begins like that of a connection string.";
        return Err(ArmError::bad_content(message));
    }
    let (asked, now) = (here.asked, here.asked.context.now);
    let secret = asked.state.host.replace_settings(asked.by(), here.name, wanted, are_meant, now).await?;
    here.changed();
    Ok(secret)
}

/// A setting: by the name that it has as an app's, and the one by which clients know it.
fn setting(name: &str, known_as: &str, value: &Value) -> Result<WantedSetting, ArmError> {
    let value = match value {
        Value::String(text) if *text == word(known_as) => None,
        Value::String(text) => Some(Secret::new(text.clone())),
        Value::Bool(_) | Value::Number(_) => Some(Secret::new(value.to_string())),
        _ => return Err(ArmError::bad_content("A setting's value is no string.")),
    };
    Ok(WantedSetting { name: name.to_owned(), value })
}

fn connection(name: &str, value: Option<&Value>, kind: Option<&Value>) -> Result<WantedSetting, ArmError> {
    let kind = kind.and_then(Value::as_str).unwrap_or("Custom");
    let Some((_, start)) = CONNECTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind)) else {
        return Err(ArmError::bad_content("A connection string's type is not one that App Service has."));
    };
    let value = value.ok_or_else(|| ArmError::bad_content("A connection string has no value."))?;
    setting(&format!("{start}{name}"), name, value)
}

fn is_connection(name: &str) -> bool {
    CONNECTIONS.iter().any(|(_, start)| name.starts_with(start))
}

/// What stands in the place of a secret's value.
fn word(name: &str) -> String {
    format!("@Keyless.Secret({name})")
}

/// A setting as it is told. Without a value: it is secret.
struct Said<'s> {
    name: &'s str,
    value: Option<&'s str>,
}

impl<'s> Said<'s> {
    fn of(setting: &'s Setting) -> Self {
        let value = (!setting.is_secret).then(|| setting.value.expose().as_str());
        Self { name: &setting.name, value }
    }

    /// What somebody has just written: that, and nothing of what others may have written since.
    fn of_wanted(wanted: &'s WantedSetting, secret: &BTreeSet<String>) -> Self {
        let value = wanted.value.as_ref().filter(|_| !secret.contains(&wanted.name));
        Self { name: &wanted.name, value: value.map(|value| value.expose().as_str()) }
    }

    fn shown(&self, known_as: &str) -> Value {
        self.value.map_or_else(|| json!(word(known_as)), |value| json!(value))
    }
}

fn told<'s>(settings: impl Iterator<Item = Said<'s>>) -> Value {
    let settings = settings.filter(|setting| !is_connection(setting.name));
    Value::Object(settings.map(|one| (one.name.to_owned(), one.shown(one.name))).collect())
}

fn told_connections<'s>(settings: impl Iterator<Item = Said<'s>>) -> Value {
    let mut told = Map::new();
    for one in settings {
        let found = CONNECTIONS.iter().find_map(|(kind, start)| Some((kind, one.name.strip_prefix(start)?)));
        if let Some((kind, name)) = found {
            told.insert(name.to_owned(), json!({"value": one.shown(name), "type": kind}));
        }
    }
    Value::Object(told)
}

fn members(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}
