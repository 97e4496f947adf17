//! `keyless app-registration`: software outside of Keyless that authenticates with a client secret.

use crate::{
    admin::{Admin, segment},
    app::List,
    failure::Failure,
    output::{self, Format},
};
use clap::Subcommand;
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a registration
    Create {
        /// Its display name
        name: String,
        /// A URI by which tokens for it are asked, such as api://shop; may be given several times
        #[arg(long = "identifier-uri", value_name = "URI")]
        identifier_uris: Vec<String>,
    },
    /// All registrations
    List,
    /// One registration
    Show {
        /// Its id, client id or identifier URI
        registration: String,
    },
    /// Delete a registration: its tokens are refused from the answer on
    Delete {
        /// Its id, client id or identifier URI
        registration: String,
    },
    /// Client secrets
    #[command(subcommand)]
    Credential(CredentialCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Make a client secret; it is printed once and kept nowhere
    Add {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        /// For how many days it is good [default: 730]
        #[arg(long)]
        days: Option<u32>,
    },
    /// Remove a client secret
    Remove {
        /// The registration's id, client id or identifier URI
        registration: String,
        /// The credential's id
        credential: domain::CredentialId,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct Registration {
    id: String,
    client_id: String,
    principal: String,
    tenant: String,
    display_name: String,
    identifier_uris: Vec<String>,
    created: i64,
    credentials: Vec<Credential>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Credential {
    id: String,
    display_name: String,
    hint: String,
    start: i64,
    end: i64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Made {
    id: String,
    secret: String,
    end: i64,
}

pub(crate) async fn registration(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, identifier_uris } => {
            let new = serde_json::json!({"display_name": name, "identifier_uris": identifier_uris});
            let made: Registration = admin.ask(Method::POST, "/v1/registrations", &new).await?;
            show(format, &made);
            let client = &made.client_id;
            output::note(format_args!(
                "Give it a client secret: keyless app-registration credential add {client}"
            ));
        }
        Command::List => list(admin, format).await?,
        Command::Show { registration } => {
            show(format, &admin.get::<Registration>(&path(&registration)).await?)
        }
        Command::Delete { registration } => {
            admin.order(Method::DELETE, &path(&registration)).await?;
            output::note("The registration is deleted, and its principal with it.");
        }
        Command::Credential(CredentialCommand::Add { registration, name, days }) => {
            let new = serde_json::json!({"display_name": name, "lifetime_days": days});
            let made: Made = admin.ask(Method::POST, &credentials(&registration), &new).await?;
            match format {
                Format::Json => output::json(&made),
                Format::Table => output::facts(&[
                    ("credential", made.id),
                    ("secret", made.secret),
                    ("good until", output::time(made.end)),
                ]),
            }
            output::note("The secret is shown this once.");
        }
        Command::Credential(CredentialCommand::Remove { registration, credential }) => {
            admin.order(Method::DELETE, &format!("{}/{credential}", credentials(&registration))).await?;
            output::note("The client secret is removed.");
        }
    }
    Ok(())
}

async fn list(admin: &Admin, format: Format) -> Result<(), Failure> {
    let registrations: List<Registration> = admin.get("/v1/registrations").await?;
    match format {
        Format::Json => output::json(&registrations.value),
        Format::Table => output::table(
            &["name", "client id", "secrets", "created"],
            registrations.value.iter().map(|one| {
                vec![
                    one.display_name.clone(),
                    one.client_id.clone(),
                    one.credentials.len().to_string(),
                    output::time(one.created),
                ]
            }),
            "There are no app registrations. Make one: keyless app-registration create NAME",
        ),
    }
    Ok(())
}

fn show(format: Format, one: &Registration) {
    if format == Format::Json {
        return output::json(one);
    }
    let mut facts = vec![
        ("name", one.display_name.clone()),
        ("id", one.id.clone()),
        ("client id", one.client_id.clone()),
        ("principal", one.principal.clone()),
        ("tenant", one.tenant.clone()),
        ("created", output::time(one.created)),
    ];
    facts.extend(one.identifier_uris.iter().map(|uri| ("identifier", uri.clone())));
    facts.extend(one.credentials.iter().map(|credential| {
        let (hint, name) = (&credential.hint, &credential.display_name);
        (
            "credential",
            format!("{}  {hint}...  {name}, until {}", credential.id, output::time(credential.end)),
        )
    }));
    output::facts(&facts);
}

fn path(registration: &str) -> String {
    format!("/v1/registrations/{}", segment(registration))
}

fn credentials(registration: &str) -> String {
    format!("{}/credentials", path(registration))
}
