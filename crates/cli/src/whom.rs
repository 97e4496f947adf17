//! Whom a rule or a question is about, as arguments say it.

use clap::Args;
use domain::{AppName, ClientId, IdentityName, ObjectName, PrincipalId};
use serde::{Deserialize, Serialize};

/// Exactly one.
#[derive(Debug, Args, Serialize)]
#[group(id = "whom", required = true, multiple = false)]
pub(crate) struct Whom {
    /// The managed identity of an app
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<AppName>,
    /// A user-assigned managed identity
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityName>,
    /// A principal by its id
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<PrincipalId>,
    /// A principal by its client id
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    /// A user by its name or id
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The members of a group, by its name or id
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

/// Exactly one, for a group.
#[derive(Debug, Args, Serialize)]
#[group(id = "member", required = true, multiple = false)]
pub(crate) struct Member {
    /// The managed identity of an app
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<AppName>,
    /// A user-assigned managed identity
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityName>,
    /// A principal by its id
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<PrincipalId>,
    /// A principal by its client id
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    /// A user by its name or id
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

/// At most one.
#[derive(Debug, Args, Serialize)]
#[group(id = "perhaps", multiple = false)]
pub(crate) struct Perhaps {
    /// The managed identity of an app
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<AppName>,
    /// A user-assigned managed identity
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityName>,
    /// A principal by its id
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<PrincipalId>,
    /// A principal by its client id
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    /// A user by its name or id
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The members of a group, by its name or id
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

/// At most one object of a vault.
#[derive(Debug, Args, Serialize)]
#[group(id = "object", multiple = false)]
pub(crate) struct Object {
    /// Only this secret
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<ObjectName>,
    /// Only this key
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<ObjectName>,
    /// Only this certificate
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<ObjectName>,
}

/// One object of a vault, as the server tells for what a role is.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ObjectScope {
    kind: String,
    name: String,
}

impl ObjectScope {
    /// In words.
    pub(crate) fn told(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Is it a secret?
    pub(crate) fn is_secret(&self) -> bool {
        self.kind == "secret"
    }

    #[cfg(test)]
    pub(crate) fn of(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }
}

impl Object {
    /// Is one named?
    pub(crate) const fn is_any(&self) -> bool {
        self.secret.is_some() || self.key.is_some() || self.certificate.is_some()
    }

    /// The certificate, if one is named.
    pub(crate) const fn certificate(&self) -> Option<&ObjectName> {
        self.certificate.as_ref()
    }
}

/// A principal or group for people: its name, and whether it is gone, disabled or a group.
pub(crate) fn name(display_name: Option<&str>, state: &str) -> String {
    match (display_name, state) {
        (None, _) => "(gone)".to_owned(),
        (Some(name), "group") => format!("{name} (group)"),
        (Some(name), "disabled") => format!("{name} (disabled)"),
        (Some(name), _) => name.to_owned(),
    }
}
