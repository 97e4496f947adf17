//! `keyless app`: apps and their identities.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    output::{self, Format},
};
use clap::Subcommand;
use domain::AppName;
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
    /// Delete an app together with its identity; what it runs loses its identity at once
    Delete {
        /// Its name
        name: AppName,
    },
    /// The managed identity of an app
    #[command(subcommand)]
    Identity(Identity),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// Give an app its identity: it is registered in the directory in the same step
    Assign {
        /// The app
        app: AppName,
    },
    /// Take an app's identity away: refused everywhere from the answer on
    Remove {
        /// The app
        app: AppName,
    },
    /// The identity of an app
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
        Command::Identity(Identity::Assign { app }) => {
            let assigned: App = admin.ask(Method::PUT, &identity(&app), &serde_json::json!({})).await?;
            show(format, &assigned);
            output::note(format_args!(
                "Let it read a vault: keyless vault policy set VAULT --app {app} --secrets get,list"
            ));
        }
        Command::Identity(Identity::Remove { app }) => {
            let removed: App = admin.ask(Method::DELETE, &identity(&app), &serde_json::json!({})).await?;
            show(format, &removed);
            output::note(format_args!(
                "App {app} has no identity any more: tokens of before are refused from now on."
            ));
        }
        Command::Identity(Identity::Show { app }) => {
            let identity: Principal = admin.get(&identity(&app)).await?;
            match format {
                Format::Json => output::json(&identity),
                Format::Table => output::facts(&principal(&identity)),
            }
        }
    }
    Ok(())
}

async fn list(admin: &Admin, format: Format) -> Result<(), Failure> {
    let apps: List<App> = admin.get("/v1/apps").await?;
    match format {
        Format::Json => output::json(&apps.value),
        Format::Table => output::table(
            &["name", "identity", "principal", "created"],
            apps.value.iter().map(|app| {
                let identity = app.identity.as_ref();
                let state =
                    identity.map_or("none", |identity| if identity.enabled { "enabled" } else { "disabled" });
                let principal = identity.map_or("-", |identity| identity.principal.as_str());
                vec![app.name.clone(), state.into(), principal.into(), output::time(app.created)]
            }),
            "There are no apps. Make one: keyless app create NAME",
        ),
    }
    Ok(())
}

fn show(format: Format, app: &App) {
    if format == Format::Json {
        return output::json(app);
    }
    let mut facts =
        vec![("app", app.name.clone()), ("id", app.id.clone()), ("created", output::time(app.created))];
    match &app.identity {
        Some(identity) => facts.extend(principal(identity)),
        None => facts.push(("identity", "none".into())),
    }
    output::facts(&facts);
}

fn principal(identity: &Principal) -> Vec<(&'static str, String)> {
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

fn identity(name: &AppName) -> String {
    format!("{}/identity", path(name))
}
