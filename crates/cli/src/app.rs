//! `keyless app`: apps and their identities.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    host::{self, Hosted},
    identity::{self, UserAssigned},
    output::{self, Format},
};
use clap::Subcommand;
use domain::{AppName, IdentityName};
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an app, without an identity
    Create {
        /// Its name: 2 to 60 letters, digits and dashes
        name: AppName,
    },
    /// All apps
    List,
    /// One app
    Show {
        /// Its name
        name: AppName,
    },
    /// Delete an app together with its own identity; what it runs loses its identities at once
    Delete {
        /// Its name
        name: AppName,
    },
    /// Bring a package in, build it and run it; an earlier version serves until the new one is ready
    Deploy(host::Deploy),
    /// Run an app again that was stopped
    Start {
        /// Its name
        name: AppName,
    },
    /// End an app's instances, and keep it ended
    Stop {
        /// Its name
        name: AppName,
    },
    /// Replace an app's instances by new ones, without a gap
    Restart {
        /// Its name
        name: AppName,
    },
    /// How many instances an app runs in
    Scale {
        /// Its name
        name: AppName,
        /// 1 to 32
        instances: u16,
    },
    /// How an app is started, when it is ready, what it may use
    Configure(host::Configure),
    /// What an app gets as its environment
    #[command(subcommand)]
    Settings(host::Settings),
    /// What an app says
    Logs(host::Logs),
    /// The managed identities of an app
    #[command(subcommand)]
    Identity(Identity),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// Give an app its identity: it is registered in the directory in the same step
    Assign {
        /// The app
        app: AppName,
        /// Instead of its own one, which comes and goes with it, this user-assigned identity; it may have several
        #[arg(long, value_name = "NAME")]
        user_assigned: Option<IdentityName>,
    },
    /// Take an app's identity away: refused everywhere from the answer on
    Remove {
        /// The app
        app: AppName,
        /// Instead of its own one, this user-assigned identity; other apps keep it
        #[arg(long, value_name = "NAME")]
        user_assigned: Option<IdentityName>,
    },
    /// The identities of an app
    Show {
        /// The app
        app: AppName,
    },
}

/// An app as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) changed: i64,
    pub(crate) identity: Option<Principal>,
    pub(crate) user_assigned: Vec<UserAssigned>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hosted: Option<Hosted>,
}

/// What `identity show` tells: the members of the app's own identity, null if it has none, and the others beside them.
#[derive(Serialize)]
struct Identities<'a> {
    principal: Option<&'a str>,
    client_id: Option<&'a str>,
    tenant: Option<&'a str>,
    enabled: Option<bool>,
    user_assigned: &'a [UserAssigned],
}

impl<'a> Identities<'a> {
    fn of(own: Option<&'a Principal>, user_assigned: &'a [UserAssigned]) -> Self {
        Self {
            principal: own.map(|own| own.principal.as_str()),
            client_id: own.map(|own| own.client_id.as_str()),
            tenant: own.map(|own| own.tenant.as_str()),
            enabled: own.map(|own| own.enabled),
            user_assigned,
        }
    }
}

/// An app's identity as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Principal {
    pub(crate) principal: String,
    pub(crate) client_id: String,
    pub(crate) tenant: String,
    pub(crate) enabled: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct List<T> {
    pub(crate) value: Vec<T>,
}

pub(crate) async fn app(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name } => {
            let app: App = admin.ask(Method::POST, "/v1/apps", &serde_json::json!({"name": name})).await?;
            show(format, &app);
            output::note(format_args!("Give it an identity: keyless app identity assign {name}"));
        }
        Command::List => list(admin, format).await?,
        Command::Show { name } => show(format, &admin.get::<App>(&path(&name)).await?),
        Command::Delete { name } => {
            admin.order(Method::DELETE, &path(&name)).await?;
            output::note(format_args!("App {name} is deleted, and its identity with it."));
        }
        Command::Deploy(args) => host::deploy(admin, format, args).await?,
        Command::Start { name } => {
            host::desire(admin, format, &name, &serde_json::json!({"state": "running"}), true).await?;
        }
        Command::Stop { name } => {
            host::desire(admin, format, &name, &serde_json::json!({"state": "stopped"}), false).await?;
        }
        Command::Restart { name } => {
            host::restart(admin, format, &name).await?;
        }
        Command::Scale { name, instances } => {
            host::desire(admin, format, &name, &serde_json::json!({"instances": instances}), true).await?;
        }
        Command::Configure(args) => host::configure(admin, format, args).await?,
        Command::Settings(command) => host::settings(admin, format, command).await?,
        Command::Logs(args) => host::logs(admin, &args).await?,
        Command::Identity(command) => identities(admin, format, command).await?,
    }
    Ok(())
}

async fn identities(admin: &Admin, format: Format, command: Identity) -> Result<(), Failure> {
    match command {
        Identity::Assign { app, user_assigned } => {
            let path = at(&app, user_assigned.as_ref());
            let assigned: App = admin.ask(Method::PUT, &path, &serde_json::json!({})).await?;
            show(format, &assigned);
            restart_for_token_file(admin, &app).await;
            match user_assigned {
                None => output::note(format_args!(
                    "Let it read a vault: keyless vault policy set VAULT --app {app} --secrets get,list"
                )),
                Some(name) => output::note(format_args!(
                    "Its programs get tokens of it by naming its client id, as AZURE_CLIENT_ID does. Let it read a vault: \
                     keyless vault policy set VAULT --identity {name} --secrets get,list"
                )),
            }
        }
        Identity::Remove { app, user_assigned } => {
            let path = at(&app, user_assigned.as_ref());
            let removed: App = admin.ask(Method::DELETE, &path, &serde_json::json!({})).await?;
            show(format, &removed);
            restart_for_token_file(admin, &app).await;
            match user_assigned {
                None => output::note(format_args!(
                    "App {app} has no identity of its own any more: tokens of before are refused from now on."
                )),
                Some(name) => output::note(format_args!(
                    "App {app} does not have identity {name} any more: what it got under it is refused from now on."
                )),
            }
        }
        Identity::Show { app } => {
            let known: App = admin.get(&path(&app)).await?;
            if known.identity.is_none() && known.user_assigned.is_empty() {
                // The server's words say what to do.
                let _none: Principal = admin.get(&at(&app, None)).await?;
            }
            let shown = Identities::of(known.identity.as_ref(), &known.user_assigned);
            match format {
                Format::Json => output::json(&shown),
                Format::Table => output::facts(&of_app(&known)),
            }
        }
    }
    Ok(())
}

/// Which identity its token file is for an instance is told when it starts.
async fn restart_for_token_file(admin: &Admin, app: &AppName) {
    // What was asked for is done, whatever comes of this.
    let Ok(known) = admin.get::<App>(&path(app)).await else { return };
    if known.hosted.is_some_and(|hosted| hosted.has_token_file() && hosted.is_used()) {
        output::note(format_args!(
            "Its programs have a token file, and were told at their start for which identity. If that is another now: keyless app restart {app}"
        ));
    }
}

async fn list(admin: &Admin, format: Format) -> Result<(), Failure> {
    let apps: List<App> = admin.get("/v1/apps").await?;
    match format {
        Format::Json => output::json(&apps.value),
        Format::Table => output::table(
            &["name", "state", "identity", "principal", "user-assigned", "created"],
            apps.value.iter().map(|app| {
                let identity = app.identity.as_ref();
                let state =
                    identity.map_or("none", |identity| if identity.enabled { "enabled" } else { "disabled" });
                let principal = identity.map_or("-", |identity| identity.principal.as_str());
                let others = identity::names(&named(app));
                let hosted = app.hosted.as_ref().map_or_else(|| "-".to_owned(), Hosted::word);
                vec![
                    app.name.clone(),
                    hosted,
                    state.into(),
                    principal.into(),
                    others,
                    output::time(app.created),
                ]
            }),
            "There are no apps. Make one: keyless app create NAME",
        ),
    }
    Ok(())
}

pub(crate) fn show(format: Format, app: &App) {
    if format == Format::Json {
        return output::json(app);
    }
    let mut facts =
        vec![("app", app.name.clone()), ("id", app.id.clone()), ("created", output::time(app.created))];
    facts.extend(of_app(app));
    facts.extend(app.hosted.iter().flat_map(Hosted::facts));
    output::facts(&facts);
}

fn of_app(app: &App) -> Vec<(&'static str, String)> {
    let mut facts = match &app.identity {
        Some(identity) => principal(identity),
        None => vec![("identity", "none".into())],
    };
    for (name, one) in named(app).into_iter().zip(&app.user_assigned) {
        facts.push(("user-assigned", format!("{name}, client id {}", one.identity.client_id)));
    }
    facts
}

/// The names of an app's user-assigned identities, with those that are disabled marked.
fn named(app: &App) -> Vec<String> {
    let name = |one: &UserAssigned| {
        if one.identity.enabled { one.name.clone() } else { format!("{} (disabled)", one.name) }
    };
    app.user_assigned.iter().map(name).collect()
}

pub(crate) fn principal(identity: &Principal) -> Vec<(&'static str, String)> {
    vec![
        ("identity", if identity.enabled { "enabled".into() } else { "disabled".into() }),
        ("principal", identity.principal.clone()),
        ("client id", identity.client_id.clone()),
        ("tenant", identity.tenant.clone()),
    ]
}

fn path(name: &AppName) -> String {
    format!("/v1/apps/{}", segment(name.as_str()))
}

/// One identity of an app: its own, or a user-assigned one.
fn at(app: &AppName, user_assigned: Option<&IdentityName>) -> String {
    match user_assigned {
        None => format!("{}/identity", path(app)),
        Some(name) => format!("{}/identities/{}", path(app), segment(name.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts look for `principal`, which was not there at all.
    #[test]
    fn what_an_app_has_no_identity_for_is_null() {
        let told = serde_json::to_value(Identities::of(None, &[])).unwrap();
        let none = serde_json::json!({
            "principal": null, "client_id": null, "tenant": null, "enabled": null, "user_assigned": [],
        });
        assert_eq!(told, none);
    }
}
