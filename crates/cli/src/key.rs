//! `keyless key`: keys of a vault, for people. The private half never leaves the vault; what is signed or encrypted comes from a file or
//! standard input, never from an argument.

mod material;
mod operate;
mod rotation;

use crate::{
    admin::Admin,
    attributes::{Changed, Described, Properties},
    collection::{Ask, Collection},
    failure::Failure,
    objects::{self, Shared},
    output::Format,
    vault::misuse,
};
use clap::{Args, Subcommand, ValueEnum};
use domain::{ObjectKind, ObjectName, ObjectVersion, Secret, VaultName};
use http::Method;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key inside of the vault: a new version if there is one of that name
    Create(Create),
    /// Take in a private key from a file
    Import(Import),
    /// A key's public half and what is said of it
    Show(Version),
    /// Change what is said of a key
    Update(Update),
    #[command(flatten)]
    Shared(Shared),
    /// Make a new version of the same type and size
    Rotate {
        /// The vault
        vault: VaultName,
        /// The key
        name: ObjectName,
    },
    /// When the vault makes new versions by itself
    #[command(subcommand)]
    RotationPolicy(rotation::Command),
    #[command(flatten)]
    Operate(operate::Command),
}

/// A key, and which version of it.
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// The vault
    vault: VaultName,
    /// The key
    name: ObjectName,
    /// A version of it, if not the latest
    #[arg(long)]
    version: Option<ObjectVersion>,
}

impl Version {
    /// `/keys/{name}/{version}{rest}`; the latest is an empty version.
    fn path(&self, keys: &Collection<'_>, rest: &str) -> String {
        let version = self.version.map(|version| version.to_string()).unwrap_or_default();
        keys.path(&self.name, &format!("/{version}{rest}"))
    }
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Type {
    Rsa,
    Ec,
    Oct,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The vault
    vault: VaultName,
    /// The key
    name: ObjectName,
    /// rsa, ec or oct (symmetric)
    #[arg(long = "type", value_enum, ignore_case = true, default_value = "rsa", hide_possible_values = true)]
    key_type: Type,
    /// Bits: of rsa 2048, 3072 or 4096, of oct 128, 192 or 256
    #[arg(long, value_name = "BITS", conflicts_with = "curve")]
    size: Option<u16>,
    /// Of ec: P-256, P-384, P-521 or P-256K
    #[arg(long, value_name = "CURVE")]
    curve: Option<String>,
    #[command(flatten)]
    about: About,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The vault
    vault: VaultName,
    /// The key
    name: ObjectName,
    /// The private key: PEM (PKCS#8) or a JSON Web Key; - is standard input
    file: PathBuf,
    #[command(flatten)]
    about: About,
}

/// What can be said of a new key.
#[derive(Debug, Args)]
struct About {
    /// What it may be used for: any of sign, verify, encrypt, decrypt, wrapKey, unwrapKey, with commas between [default: all that its
    /// type can]
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    ops: Vec<String>,
    /// Make a version that cannot be used until it is enabled
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    described: Described,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    version: Version,
    /// What it may be used for from now on, with commas between
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    ops: Vec<String>,
    #[command(flatten)]
    changed: Changed,
}

/// `KeyCreateParameters`.
#[derive(Serialize)]
struct CreateBody<'a> {
    kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_size: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    key_ops: &'a [String],
    #[serde(flatten)]
    properties: Properties,
}

/// `KeyUpdateParameters`.
#[derive(Serialize)]
struct UpdateBody<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    key_ops: &'a [String],
    #[serde(flatten)]
    properties: Properties,
}

pub(crate) async fn key(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let open = async |vault: &VaultName| Collection::open(admin, ObjectKind::Key, vault).await;
    let shown: Value = match command {
        Command::Create(Create { vault, name, key_type, size, curve, about }) => {
            let About { ops, disabled, described } = about;
            let kty = match key_type {
                Type::Rsa => "RSA",
                Type::Ec => "EC",
                Type::Oct => "oct",
            };
            if curve.is_some() && !matches!(key_type, Type::Ec) {
                return Err(misuse("only a key of --type ec has a --curve"));
            }
            let properties = described.properties(Some(!disabled))?;
            let body = CreateBody { kty, key_size: size, crv: curve.as_deref(), key_ops: &ops, properties };
            let body = body_of(&body)?;
            let keys = open(&vault).await?;
            let path = keys.path(&name, "/create");
            keys.ask(Ask { verb: "create", method: Method::POST, name: Some(&name), path, body }).await?
        }
        Command::Import(Import { vault, name, file, about: About { ops, disabled, described } }) => {
            let properties = described.properties(Some(!disabled))?;
            let body = Some(material::read(&file)?.body(&ops, &properties)?);
            let keys = open(&vault).await?;
            let path = keys.path(&name, "");
            keys.ask(Ask { verb: "import", method: Method::PUT, name: Some(&name), path, body }).await?
        }
        Command::Show(of) => {
            let keys = open(&of.vault).await?;
            let path = of.path(&keys, "");
            keys.ask(Ask { verb: "get", method: Method::GET, name: Some(&of.name), path, body: None }).await?
        }
        Command::Update(Update { version: of, ops, changed }) => {
            let properties = changed.properties(!ops.is_empty())?;
            let body = body_of(&UpdateBody { key_ops: &ops, properties })?;
            let keys = open(&of.vault).await?;
            let path = of.path(&keys, "");
            keys.ask(Ask { verb: "update", method: Method::PATCH, name: Some(&of.name), path, body }).await?
        }
        Command::Shared(command) => return objects::shared(admin, ObjectKind::Key, format, command).await,
        Command::Rotate { vault, name } => {
            let keys = open(&vault).await?;
            let path = keys.path(&name, "/rotate");
            keys.ask(Ask { verb: "rotate", method: Method::POST, name: Some(&name), path, body: None })
                .await?
        }
        Command::RotationPolicy(command) => return rotation::policy(admin, format, command).await,
        Command::Operate(command) => return operate::operate(admin, format, command).await,
    };
    objects::print_one(format, &shown);
    Ok(())
}

/// A body without what is secret.
fn body_of(body: &impl Serialize) -> Result<Option<Secret<Vec<u8>>>, Failure> {
    serde_json::to_vec(body)
        .map(|body| Some(Secret::new(body)))
        .map_err(|error| Failure::new(error.to_string()))
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
            "create shop k --type ec --curve P-384 --ops sign,verify --expires 1y",
            "create shop k --size 4096 --disabled",
            "import shop k key.pem",
            "show shop k --version 0123456789abcdef0123456789abcdef",
            "update shop k --enabled --ops sign",
            "rotation-policy set shop k --rotate-after 90d --expires-after 1y",
            "sign shop k --algorithm ES256 --file f --out s",
            "verify shop k --algorithm ES256 --signature s",
            "decrypt shop k --algorithm A256GCM --iv AAAA --tag AAAA --encoded",
            "list shop",
            "purge shop k",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for (bad, kind) in [
            ("create shop k --type dsa", ErrorKind::InvalidValue),
            ("create shop k --size big", ErrorKind::ValueValidation),
            ("create shop k --size 2048 --curve P-256", ErrorKind::ArgumentConflict),
            ("import shop k", ErrorKind::MissingRequiredArgument),
            ("sign shop k", ErrorKind::MissingRequiredArgument),
            ("sign shop k --algorithm none", ErrorKind::ValueValidation),
            ("sign shop k --algorithm RSA-OAEP", ErrorKind::ValueValidation),
            ("encrypt shop k --algorithm RS256", ErrorKind::ValueValidation),
            ("encrypt shop k --algorithm A256GCM --aad ***", ErrorKind::ValueValidation),
            ("verify shop k --algorithm ES256", ErrorKind::MissingRequiredArgument),
            ("rotation-policy set shop k", ErrorKind::MissingRequiredArgument),
            ("rotation-policy set shop k --rotate-after soon", ErrorKind::ValueValidation),
            (
                "rotation-policy set shop k --rotate-after 90d --rotate-before-expiry 30d",
                ErrorKind::ArgumentConflict,
            ),
        ] {
            assert_eq!(fault(bad), Some(kind), "{bad}");
        }
    }

    #[test]
    fn what_is_sent_is_what_key_vault_takes() {
        let body = CreateBody {
            kty: "EC",
            key_size: None,
            crv: Some("P-384"),
            key_ops: &["sign".into()],
            properties: Properties::default(),
        };
        let sent = serde_json::to_string(&body).unwrap();
        assert_eq!(sent, r#"{"kty":"EC","crv":"P-384","key_ops":["sign"],"attributes":{}}"#);
        let sent =
            serde_json::to_string(&UpdateBody { key_ops: &[], properties: Properties::default() }).unwrap();
        assert_eq!(sent, r#"{"attributes":{}}"#);
    }
}
