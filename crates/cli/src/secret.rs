//! `keyless secret`: secrets of a vault, for people. A value comes from a file or standard input, never from an argument.

mod dump;
mod export;
mod import;
mod set;

pub(crate) use set::NewSecret;

use crate::{
    admin::Admin,
    attributes::{Changed, Properties},
    collection::{Ask, Collection},
    failure::Failure,
    objects::{self, Shared},
    output::{self, Format},
};
use clap::{Args, Subcommand};
use domain::{ObjectKind, ObjectName, ObjectVersion, Secret, VaultName};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set a secret to the value on standard input or in a file: a new version each time
    Set(set::Set),
    /// Print a secret's value
    Get {
        /// The vault
        vault: VaultName,
        /// The secret
        name: ObjectName,
        /// A version of it, if not the latest
        #[arg(long)]
        version: Option<ObjectVersion>,
    },
    /// What is said of a secret, without its value
    Show {
        /// The vault
        vault: VaultName,
        /// The secret
        name: ObjectName,
        /// A version of it, if not the latest
        #[arg(long)]
        version: Option<ObjectVersion>,
    },
    /// Change what is said of a secret, and not its value
    Update(Update),
    #[command(flatten)]
    Shared(Shared),
    /// Take in secrets from a file, such as another vault's
    Import(import::Import),
    /// Write all secrets in clear into a file, to take them to another vault
    Export(export::Export),
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The vault
    vault: VaultName,
    /// The secret
    name: ObjectName,
    /// A version of it, if not the latest
    #[arg(long)]
    version: Option<ObjectVersion>,
    /// What kind of value it is, such as text/plain
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    #[command(flatten)]
    changed: Changed,
}

/// What is sent to update a secret.
#[derive(Serialize)]
struct UpdateBody<'a> {
    #[serde(rename = "contentType", skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(flatten)]
    properties: Properties,
}

/// A secret with its value; what else the vault tells of it.
#[derive(Deserialize)]
pub(crate) struct Valued {
    pub(crate) value: Secret<String>,
    #[serde(flatten)]
    pub(crate) rest: serde_json::Map<String, Value>,
}

/// What `get` prints as JSON: the one shape that holds a value.
#[derive(Serialize)]
struct WithValue<'a> {
    secret: &'a serde_json::Map<String, Value>,
    value: &'a str,
}

pub(crate) async fn secret(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Set(args) => set::set(admin, format, args).await,
        Command::Get { vault, name, version } => {
            let secrets = Collection::open(admin, ObjectKind::Secret, &vault).await?;
            let Valued { value, mut rest } = get(&secrets, &name, version).await?;
            match format {
                Format::Json => {
                    rest.insert("name".to_owned(), name.as_str().into());
                    output::json(&WithValue { secret: &rest, value: value.expose() });
                }
                Format::Table => output::value(value.expose()),
            }
            Ok(())
        }
        Command::Show { vault, name, version } => {
            let secrets = Collection::open(admin, ObjectKind::Secret, &vault).await?;
            objects::print_one(format, &show(&secrets, &name, version).await?);
            Ok(())
        }
        Command::Update(Update { vault, name, version, content_type, changed }) => {
            let properties = changed.properties(content_type.is_some())?;
            let body = UpdateBody { content_type: content_type.as_deref(), properties };
            let body = serde_json::to_vec(&body)
                .map(Secret::new)
                .map_err(|error| Failure::new(error.to_string()))?;
            let secrets = Collection::open(admin, ObjectKind::Secret, &vault).await?;
            let path = secrets.path(&name, &of_version(version));
            let ask = Ask { verb: "set", method: Method::PATCH, name: Some(&name), path, body: Some(body) };
            objects::print_one(format, &secrets.ask(ask).await?);
            Ok(())
        }
        Command::Shared(command) => objects::shared(admin, ObjectKind::Secret, format, command).await,
        Command::Import(args) => import::import(admin, format, args).await,
        Command::Export(args) => export::export(admin, args).await,
    }
}

/// A version as the end of a path; the latest is an empty one.
fn of_version(version: Option<ObjectVersion>) -> String {
    version.map_or_else(|| "/".to_owned(), |version| format!("/{version}"))
}

/// A version with its value; the latest, unless one is named.
pub(crate) async fn get(
    secrets: &Collection<'_>,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Valued, Failure> {
    let path = secrets.path(name, &of_version(version));
    secrets.ask(Ask { verb: "get", method: Method::GET, name: Some(name), path, body: None }).await
}

/// A version without its value. From the list of versions: it needs no permission to read values, reads none, and tells of disabled ones.
async fn show(
    secrets: &Collection<'_>,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Value, Failure> {
    let mut versions = objects::versions(secrets, name).await?;
    let vault = secrets.name();
    if let Some(version) = version {
        let version = version.to_string();
        let found = versions.into_iter().find(|item| objects::names(item).1 == Some(version.as_str()));
        return found.ok_or_else(|| {
            Failure::new(format!("no secret {name} in vault {vault} has this version"))
                .next(objects::where_to_look(ObjectKind::Secret, vault))
        });
    }
    let last = versions.pop().ok_or_else(|| objects::absent(ObjectKind::Secret, name, vault))?;
    let created = |item: &Value| objects::number(item, "/attributes/created");
    let mut rivals: Vec<Value> =
        versions.into_iter().filter(|item| created(item) == created(&last)).collect();
    if rivals.is_empty() {
        return Ok(last);
    }
    // Made in the same second: only the secret itself says which of them is the latest.
    rivals.push(last);
    let latest = get(secrets, name, None).await.map_err(|failure| {
        failure.next(format!(
            "Several versions were made in one second. Name one by --version: keyless secret versions {vault} {name}"
        ))
    })?;
    let id = latest.rest.get("id").cloned();
    rivals
        .into_iter()
        .find(|item| item.get("id") == id.as_ref())
        .ok_or_else(|| Failure::new(format!("the secret {name} changes just now; try again")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, error::ErrorKind};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    pub(super) fn parse_command(line: &str) -> Result<Command, ErrorKind> {
        Cli::try_parse_from(std::iter::once("keyless").chain(line.split(' ')))
            .map(|cli| cli.command)
            .map_err(|error| error.kind())
    }

    #[test]
    fn commands_are_checked_before_anything_is_sent() {
        for good in [
            "set shop db --file f --content-type text/plain --tag a=b --tag c=d=e",
            "set shop db --expires 90d --not-before 2027-01-31",
            "get shop db --version 0123456789abcdef0123456789abcdef",
            "update shop db --disabled --no-tags",
            "backup shop db - --force",
            "restore shop -",
            "import shop dump.json --dry-run --overwrite",
            "import shop - --keep",
            "export shop dump.json --force",
        ] {
            assert!(parse_command(good).is_ok(), "{good}");
        }
        for (bad, kind) in [
            ("set shop db --tag a", ErrorKind::ValueValidation),
            ("set shop db --tag =x", ErrorKind::ValueValidation),
            ("set shop a_b", ErrorKind::ValueValidation),
            ("set 1shop db", ErrorKind::ValueValidation),
            ("set shop db --expires tomorrow", ErrorKind::ValueValidation),
            ("set shop db --expires 1795530813", ErrorKind::ValueValidation),
            ("get shop db --version latest", ErrorKind::ValueValidation),
            ("get shop ../principal", ErrorKind::ValueValidation),
            ("get shop", ErrorKind::MissingRequiredArgument),
            ("update shop db --enabled --disabled", ErrorKind::ArgumentConflict),
            ("update shop db --tag a=b --no-tags", ErrorKind::ArgumentConflict),
            ("import shop dump.json --overwrite --keep", ErrorKind::ArgumentConflict),
            ("purge shop", ErrorKind::MissingRequiredArgument),
        ] {
            assert_eq!(parse_command(bad).unwrap_err(), kind, "{bad}");
        }
    }

    #[test]
    fn what_is_sent_to_update_names_only_what_changes() {
        let sent = |content_type| {
            serde_json::to_string(&UpdateBody { content_type, properties: Properties::default() }).unwrap()
        };
        assert_eq!(sent(None), r#"{"attributes":{}}"#);
        assert_eq!(sent(Some("")), r#"{"contentType":"","attributes":{}}"#);
    }

    #[test]
    fn a_value_is_apart_from_what_else_is_told() {
        let body =
            r#"{"value":"canary","id":"https://shop.vault.x/secrets/db/0123","attributes":{"enabled":true}}"#;
        let valued: Valued = serde_json::from_str(body).unwrap();
        assert_eq!(valued.value.expose(), "canary");
        assert!(!format!("{:?}", valued.rest).contains("canary"));
    }
}
