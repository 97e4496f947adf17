//! `keyless identity`: managed identities that are things of their own, which apps are given by `keyless app identity assign`.

use crate::{
    admin::{Admin, segment},
    app::{List, Principal, principal},
    failure::Failure,
    federated::{self, Federated},
    output::{self, Format},
};
use clap::Subcommand;
use domain::IdentityName;
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a user-assigned identity; no app has it yet
    Create {
        /// Its name: 3 to 128 letters, digits, dashes and underscores
        name: IdentityName,
    },
    /// All user-assigned identities
    List,
    /// One user-assigned identity, and the apps that have it
    Show {
        /// Its name
        name: IdentityName,
    },
    /// Outside issuers (GitHub, GitLab, Kubernetes) that vouch for it
    #[command(subcommand)]
    Federated(FederatedCommand),
    /// Delete a user-assigned identity: no app has it from the answer on, and it is refused everywhere
    Delete {
        /// Its name
        name: IdentityName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FederatedCommand {
    /// Let an outside issuer vouch for an identity; another one of the same name is replaced
    Add {
        /// The identity's name
        identity: IdentityName,
        #[command(flatten)]
        new: federated::New,
    },
    /// The outside issuers of an identity
    List {
        /// The identity's name
        identity: IdentityName,
    },
    /// Remove a federated credential: tokens that were got by it are refused from the answer on
    Remove {
        /// The identity's name
        identity: IdentityName,
        /// The credential's name
        name: String,
    },
}

/// A user-assigned identity as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct UserAssigned {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) identity: Principal,
    pub(crate) resource_id: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Shown {
    #[serde(flatten)]
    identity: UserAssigned,
    created: i64,
    apps: Vec<String>,
}

pub(crate) async fn identity(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name } => {
            let made: Shown =
                admin.ask(Method::POST, "/v1/identities", &serde_json::json!({"name": name})).await?;
            show(format, &made);
            output::note(format_args!(
                "Give it to an app: keyless app identity assign APP --user-assigned {name}"
            ));
        }
        Command::List => list(admin, format).await?,
        Command::Show { name } => show(format, &admin.get::<Shown>(&path(&name)).await?),
        Command::Federated(command) => federated_of(admin, format, command).await?,
        Command::Delete { name } => {
            admin.order(Method::DELETE, &path(&name)).await?;
            output::note(format_args!(
                "Identity {name} is deleted: no app has it any more, and tokens of before are refused from now on."
            ));
        }
    }
    Ok(())
}

async fn federated_of(admin: &Admin, format: Format, command: FederatedCommand) -> Result<(), Failure> {
    match command {
        FederatedCommand::Add { identity, new } => {
            let path = format!("{}/federated", path(&identity));
            federated::show(format, admin.ask(Method::POST, &path, &new.body()?).await?);
            output::note(format_args!(
                "Its tokens are for the client id that `keyless identity show {identity}` says."
            ));
        }
        FederatedCommand::List { identity } => {
            let all: List<Federated> = admin.get(&format!("{}/federated", path(&identity))).await?;
            federated::list(format, all.value);
        }
        FederatedCommand::Remove { identity, name } => {
            let path = format!("{}/federated/{}", path(&identity), segment(&name));
            admin.order(Method::DELETE, &path).await?;
            output::note("The credential is removed.");
        }
    }
    Ok(())
}

async fn list(admin: &Admin, format: Format) -> Result<(), Failure> {
    let all: List<Shown> = admin.get("/v1/identities").await?;
    match format {
        Format::Json => output::json(&all.value),
        Format::Table => output::table(
            &["name", "state", "client id", "apps"],
            all.value.iter().map(|one| {
                let state = if one.identity.identity.enabled { "enabled" } else { "disabled" };
                let client = one.identity.identity.client_id.clone();
                vec![one.identity.name.clone(), state.into(), client, names(&one.apps)]
            }),
            "There are no user-assigned identities. Make one: keyless identity create NAME",
        ),
    }
    Ok(())
}

fn show(format: Format, shown: &Shown) {
    if format == Format::Json {
        return output::json(shown);
    }
    let mut facts = vec![("name", shown.identity.name.clone()), ("created", output::time(shown.created))];
    facts.extend(principal(&shown.identity.identity));
    facts.push(("resource id", shown.identity.resource_id.clone()));
    facts.push(("apps", names(&shown.apps)));
    output::facts(&facts);
}

/// Names for people.
pub(crate) fn names(all: &[String]) -> String {
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

/// Where the server has it.
pub(crate) fn path(name: &IdentityName) -> String {
    format!("/v1/identities/{}", segment(name.as_str()))
}
