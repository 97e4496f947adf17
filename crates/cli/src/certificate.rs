//! `keyless certificate`: certificates of a vault, each with its key and its secret, for people.

mod download;
mod import;
mod issuer;
mod request;

use crate::{
    admin::Admin,
    attributes::{self, Attributes, Properties},
    collection::{Ask, Collection},
    failure::Failure,
    files,
    objects::{self, Shared},
    output::{self, Format},
    vault::misuse,
};
use clap::{Args, Subcommand};
use domain::{ObjectKind, ObjectName, ObjectVersion, Secret, VaultName};
use http::Method;
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

/// Bytes of a policy's file. Ours.
const POLICY_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a certificate with its key inside of the vault: a new version if there is one of that name
    Create(request::Create),
    /// What was asked for and is not finished
    Pending(request::Pending),
    /// Bring in what an authority outside signed, for the key that waits for it
    Merge(request::Merge),
    /// Take in a certificate with its key from a file
    Import(import::Import),
    /// A certificate and what is said of it
    Show {
        /// The vault
        vault: VaultName,
        /// The certificate
        name: ObjectName,
        /// A version of it, if not the latest
        #[arg(long)]
        version: Option<ObjectVersion>,
    },
    /// Change what is said of a certificate
    Update(Update),
    /// Write a certificate into a file, with its key if that is asked for
    Download(download::Download),
    #[command(flatten)]
    Shared(Shared),
    /// How new versions are made
    #[command(subcommand)]
    Policy(Policy),
    /// By whom certificates may be signed
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// Who is to hear of a vault's certificates
    #[command(subcommand)]
    Contacts(issuer::Contacts),
}

/// What can be said of a new certificate.
#[derive(Debug, Args)]
struct About {
    /// A tag; may be given more than once
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = attributes::tag)]
    tags: Vec<(String, String)>,
    /// Make a version that is not served until it is enabled
    #[arg(long)]
    disabled: bool,
}

impl About {
    fn properties(self) -> Result<Properties, Failure> {
        let attributes = Attributes { enabled: Some(!self.disabled), ..Attributes::default() };
        let tags = attributes::tags(self.tags)?;
        Ok(Properties { attributes, tags: (!tags.is_empty()).then_some(tags) })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The vault
    vault: VaultName,
    /// The certificate
    name: ObjectName,
    /// A version of it, if not the latest
    #[arg(long)]
    version: Option<ObjectVersion>,
    /// A tag; may be given more than once; replaces all there were
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = attributes::tag)]
    tags: Vec<(String, String)>,
    /// Take all tags away
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// Serve it, its key and its secret
    #[arg(long, conflicts_with = "disabled")]
    enabled: bool,
    /// Do not serve them until it is enabled again
    #[arg(long)]
    disabled: bool,
}

impl Update {
    fn properties(&self) -> Result<Properties, Failure> {
        let enabled = (self.enabled || self.disabled).then_some(self.enabled);
        let tags = match (self.no_tags, self.tags.is_empty()) {
            (true, _) => Some(BTreeMap::new()),
            (false, true) => None,
            (false, false) => Some(attributes::tags(self.tags.clone())?),
        };
        let properties = Properties { attributes: Attributes { enabled, ..Attributes::default() }, tags };
        match properties == Properties::default() {
            true => Err(misuse("nothing to change is given").next("--help says what can be.")),
            false => Ok(properties),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// The policy of a certificate
    Show {
        /// The vault
        vault: VaultName,
        /// The certificate
        name: ObjectName,
    },
    /// Change it by a JSON file, as the API has it; - is standard input
    Set {
        /// The vault
        vault: VaultName,
        /// The certificate
        name: ObjectName,
        /// The file
        file: PathBuf,
    },
}

pub(crate) async fn certificate(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let open = async |vault: &VaultName| Collection::open(admin, ObjectKind::Certificate, vault).await;
    match command {
        Command::Create(args) => request::create(admin, format, args).await,
        Command::Pending(args) => request::pending(admin, format, args).await,
        Command::Merge(args) => request::merge(admin, format, args).await,
        Command::Import(args) => import::import(admin, format, args).await,
        Command::Download(args) => download::download(admin, args).await,
        Command::Show { vault, name, version } => {
            let certificates = open(&vault).await?;
            objects::print_one(format, &get(&certificates, &name, version).await?);
            Ok(())
        }
        Command::Update(args) => {
            let body = body_of(&args.properties()?)?;
            let certificates = open(&args.vault).await?;
            let path = certificates.path(&args.name, &of_version(args.version));
            let ask = Ask { verb: "update", method: Method::PATCH, name: Some(&args.name), path, body };
            objects::print_one(format, &certificates.ask(ask).await?);
            Ok(())
        }
        Command::Shared(command) => objects::shared(admin, ObjectKind::Certificate, format, command).await,
        Command::Policy(command) => {
            let (vault, name, verb, method, body) = match command {
                Policy::Show { vault, name } => (vault, name, "get", Method::GET, None),
                Policy::Set { vault, name, file } => {
                    (vault, name, "update", Method::PATCH, body_of(&read_json(&file)?)?)
                }
            };
            let certificates = open(&vault).await?;
            let path = certificates.path(&name, "/policy");
            // Made of parts within parts, which a table would not show better.
            let policy: Value = certificates.ask(Ask { verb, method, name: Some(&name), path, body }).await?;
            output::json(&policy);
            Ok(())
        }
        Command::Issuer(command) => issuer::issuer(admin, format, command).await,
        Command::Contacts(command) => issuer::contacts(admin, format, command).await,
    }
}

/// A version as the end of a path; the latest is an empty one.
fn of_version(version: Option<ObjectVersion>) -> String {
    version.map_or_else(|| "/".to_owned(), |version| format!("/{version}"))
}

async fn get(
    certificates: &Collection<'_>,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Value, Failure> {
    let path = certificates.path(name, &of_version(version));
    certificates.ask(Ask { verb: "get", method: Method::GET, name: Some(name), path, body: None }).await
}

/// A JSON file without what is secret.
fn read_json(path: &std::path::Path) -> Result<Value, Failure> {
    let file = files::read(path, POLICY_BYTES_MAX, "a policy")?;
    serde_json::from_slice(file.expose())
        .map_err(|error| Failure::new(format!("{} is not JSON: {error}", path.display())))
}

/// A body without what is secret.
fn body_of(body: &impl Serialize) -> Result<Option<Secret<Vec<u8>>>, Failure> {
    serde_json::to_vec(body)
        .map(|body| Some(Secret::new(body)))
        .map_err(|error| Failure::new(error.to_string()))
}

/// DER as PEM (RFC 7468).
fn pem(label: &str, base64: &str) -> String {
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
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

    fn fault(line: &str) -> Option<ErrorKind> {
        Cli::try_parse_from(std::iter::once("keyless").chain(line.split(' '))).err().map(|error| error.kind())
    }

    #[test]
    fn commands_are_checked_before_anything_is_sent() {
        for good in [
            "create shop tls --subject CN=shop --san-dns shop.x --san-dns www.shop.x --issuer self",
            "create shop tls --policy policy.json",
            "create shop tls",
            "pending shop tls --csr request.pem",
            "pending shop tls --cancel",
            "merge shop tls signed.pem",
            "import shop tls file.pfx --password-file p",
            "update shop tls --disabled",
            "policy set shop tls policy.json",
            "download shop tls - --format der",
            "download shop tls tls.pfx --with-key --format pfx",
            "issuer set shop own --provider Keyless",
            "contacts set shop a@x b@x",
            "list shop",
            "recover shop tls",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for (bad, kind) in [
            ("create shop a_b", ErrorKind::ValueValidation),
            ("create shop tls --policy p --subject CN=x", ErrorKind::ArgumentConflict),
            ("create shop tls --months many", ErrorKind::ValueValidation),
            ("pending shop tls --cancel --delete", ErrorKind::ArgumentConflict),
            ("merge shop tls", ErrorKind::MissingRequiredArgument),
            ("import shop tls", ErrorKind::MissingRequiredArgument),
            ("download shop tls f --format jks", ErrorKind::InvalidValue),
            ("issuer set shop own", ErrorKind::MissingRequiredArgument),
            ("contacts set shop", ErrorKind::MissingRequiredArgument),
            ("contacts set shop a", ErrorKind::ValueValidation),
            ("contacts set shop a@", ErrorKind::ValueValidation),
        ] {
            assert_eq!(fault(bad), Some(kind), "{bad}");
        }
    }

    #[test]
    fn pem_has_lines_of_64() {
        let text = pem("X", &"a".repeat(65));
        assert_eq!(text, format!("-----BEGIN X-----\n{}\na\n-----END X-----\n", "a".repeat(64)));
    }
}
