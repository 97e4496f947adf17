//! `keyless secret`: secrets of a vault, for people. A value comes from a file or standard input, never from an argument.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    keyvault::Vault,
    output::{self, Format},
    vault::misuse,
};
use clap::{Args, Subcommand};
use domain::{Secret, SecretName, SecretVersion, VaultName, limits};
use http::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{IsTerminal, Read},
    path::PathBuf,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set a secret to the value on standard input or in a file: a new version each time
    Set(SetArgs),
    /// Print a secret's value
    Get {
        /// The vault
        vault: VaultName,
        /// The secret
        name: SecretName,
        /// A version of it, if not the latest
        #[arg(long)]
        version: Option<SecretVersion>,
    },
    /// The secrets of a vault, without values
    List {
        /// The vault
        vault: VaultName,
    },
    /// The versions of a secret, without values
    Versions {
        /// The vault
        vault: VaultName,
        /// The secret
        name: SecretName,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The vault
    vault: VaultName,
    /// The secret
    name: SecretName,
    /// Only here to say no: an argument can be read by everybody on the machine
    #[arg(hide = true)]
    value: Option<String>,
    /// Read the value from a file, byte for byte
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What kind of value it is, such as text/plain
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A tag; may be given more than once
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Make a version that is not served until it is enabled
    #[arg(long)]
    disabled: bool,
    /// From when it should not be used, in seconds since 1970 (kept with it; it is served all the same, as Key Vault does)
    #[arg(long, value_name = "SECONDS")]
    expires: Option<i64>,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a tag is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A secret as the vault tells it. Never shown as a whole: it may hold a value.
#[derive(Deserialize)]
struct Bundle {
    value: Option<String>,
    id: String,
    #[serde(rename = "contentType")]
    content_type: Option<String>,
    attributes: Attributes,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize, Serialize)]
struct Attributes {
    enabled: bool,
    nbf: Option<i64>,
    exp: Option<i64>,
    created: i64,
    updated: i64,
}

#[derive(Deserialize)]
struct Page {
    value: Vec<Bundle>,
    #[serde(rename = "nextLink")]
    next_link: Option<String>,
}

/// What is printed of a secret: no value.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    id: &'a str,
    #[serde(rename = "contentType", skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    attributes: &'a Attributes,
    tags: &'a BTreeMap<String, String>,
}

impl Bundle {
    /// Name and version out of the identifier.
    fn names(&self) -> (&str, Option<&str>) {
        let mut parts = self.id.split('/').skip(4);
        (parts.next().unwrap_or_default(), parts.next())
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            name: self.names().0,
            id: &self.id,
            content_type: self.content_type.as_deref(),
            attributes: &self.attributes,
            tags: &self.tags,
        }
    }
}

pub(crate) async fn secret(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Set(args) => set(admin, format, args).await,
        Command::Get { vault, name, version } => {
            let version = version.map(|version| version.to_string()).unwrap_or_default();
            let bundle: Bundle =
                get(admin, &vault, &format!("/secrets/{}/{version}", segment(name.as_str()))).await?;
            let value = Secret::new(bundle.value.clone().unwrap_or_default());
            match format {
                // Asked for: the one JSON that holds a value.
                Format::Json => {
                    output::json(&serde_json::json!({"secret": bundle.shown(), "value": value.expose()}));
                }
                Format::Table => output::value(value.expose()),
            }
            Ok(())
        }
        Command::List { vault } => {
            let items = pages(admin, &vault, "/secrets").await?;
            print(format, &items, "There are no secrets in this vault.", |bundle| {
                bundle.names().0.to_owned()
            });
            Ok(())
        }
        Command::Versions { vault, name } => {
            let mut items =
                pages(admin, &vault, &format!("/secrets/{}/versions", segment(name.as_str()))).await?;
            items.sort_by_key(|bundle| bundle.attributes.created);
            print(format, &items, "There is no version.", |bundle| {
                bundle.names().1.unwrap_or_default().to_owned()
            });
            Ok(())
        }
    }
}

async fn set(admin: &Admin, format: Format, args: SetArgs) -> Result<(), Failure> {
    if args.value.is_some() {
        return Err(misuse("a value is never an argument: other users of this machine could read it").next(
            format!(
                "Give it on standard input: printf %s VALUE | keyless secret set {} {}   (or --file FILE)",
                args.vault, args.name
            ),
        ));
    }
    let value = match &args.file {
        Some(path) => read(
            File::open(path)
                .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?,
        )?,
        None if std::io::stdin().is_terminal() => {
            Secret::new(rpassword::prompt_password("Value (not shown): ")?)
        }
        None => read(std::io::stdin().lock())?,
    };
    let body = serde_json::json!({
        "value": value.expose(),
        "contentType": args.content_type,
        "tags": args.tags.into_iter().collect::<BTreeMap<_, _>>(),
        "attributes": {"enabled": !args.disabled, "exp": args.expires},
    });
    let body = Secret::new(body.to_string()).into_bytes();
    let vault = Vault::open(admin, &args.vault).await?;
    let answer =
        vault.send(Method::PUT, &format!("/secrets/{}", segment(args.name.as_str())), "", Some(body)).await?;
    let bundle: Bundle = parse(&answer)?;
    match format {
        Format::Json => output::json(&bundle.shown()),
        Format::Table => output::facts(&[
            ("secret", bundle.names().0.to_owned()),
            ("version", bundle.names().1.unwrap_or_default().to_owned()),
            ("id", bundle.id.clone()),
        ]),
    }
    Ok(())
}

/// A whole value. A line break at its end stays: it may be part of it.
fn read(source: impl Read) -> Result<Secret<String>, Failure> {
    let mut bytes = Vec::new();
    source.take(limits::SECRET_VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limits::SECRET_VALUE_BYTES_MAX {
        return Err(Failure::new(format!("a value is at most {} bytes", limits::SECRET_VALUE_BYTES_MAX)));
    }
    String::from_utf8(bytes).map(Secret::new).map_err(|_| {
        Failure::new("a value is text in UTF-8")
            .next("Encode it first, for example by `base64 -w0`, and say so with --content-type.")
    })
}

async fn get<T: DeserializeOwned>(admin: &Admin, vault: &VaultName, path: &str) -> Result<T, Failure> {
    parse(&Vault::open(admin, vault).await?.send(Method::GET, path, "", None).await?)
}

/// All pages of a list.
async fn pages(admin: &Admin, vault: &VaultName, path: &str) -> Result<Vec<Bundle>, Failure> {
    let vault = Vault::open(admin, vault).await?;
    let (mut items, mut query) = (Vec::new(), String::new());
    loop {
        let page: Page = parse(&vault.send(Method::GET, path, &query, None).await?)?;
        items.extend(page.value);
        let Some(link) = page.next_link else { return Ok(items) };
        let token =
            link.split(['?', '&']).find_map(|part| part.strip_prefix("$skiptoken=")).unwrap_or_default();
        query = format!("&$skiptoken={token}");
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::new("the vault's answer is not understood"))
}

fn print(format: Format, items: &[Bundle], nothing: &str, name: impl Fn(&Bundle) -> String) {
    match format {
        Format::Json => output::json(&items.iter().map(Bundle::shown).collect::<Vec<_>>()),
        Format::Table => output::table(
            &["name", "enabled", "content type", "updated"],
            items.iter().map(|bundle| {
                let enabled = if bundle.attributes.enabled { "yes" } else { "no" };
                let content_type = bundle.content_type.clone().unwrap_or_else(|| "-".to_owned());
                vec![name(bundle), enabled.to_owned(), content_type, output::time(bundle.attributes.updated)]
            }),
            nothing,
        ),
    }
}
