//! `keyless secret`: secrets of a vault, for people. A value comes from a file or standard input, never from an argument.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    keyvault::Vault,
    output::{self, Format},
    vault::misuse,
};
use clap::{Args, Subcommand};
use domain::{ObjectName, ObjectVersion, Secret, VaultName, limits};
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
        name: ObjectName,
        /// A version of it, if not the latest
        #[arg(long)]
        version: Option<ObjectVersion>,
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
        name: ObjectName,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The vault
    vault: VaultName,
    /// The secret
    name: ObjectName,
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

/// What is sent to set a secret. Written straight into the body, so that no other copy of the value is made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewSecret<'a> {
    value: &'a str,
    content_type: Option<&'a str>,
    tags: &'a BTreeMap<String, String>,
    attributes: NewAttributes,
}

#[derive(Serialize)]
struct NewAttributes {
    enabled: bool,
    exp: Option<i64>,
}

/// What `get` prints as JSON when it is asked to: the one shape that holds a value.
#[derive(Serialize)]
struct WithValue<'a> {
    secret: Shown<'a>,
    value: &'a str,
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
            let mut bundle: Bundle =
                get(admin, &vault, &format!("/secrets/{}/{version}", segment(name.as_str()))).await?;
            let value = Secret::new(bundle.value.take().unwrap_or_default());
            match format {
                Format::Json => output::json(&WithValue { secret: bundle.shown(), value: value.expose() }),
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
    if value.expose().ends_with('\n') {
        output::note("The value ends with a line break, and keeps it. `printf %s VALUE` would send none.");
    }
    let tags = args.tags.into_iter().collect();
    let new = NewSecret {
        value: value.expose(),
        content_type: args.content_type.as_deref(),
        tags: &tags,
        attributes: NewAttributes { enabled: !args.disabled, exp: args.expires },
    };
    let body = serde_json::to_vec(&new).map(Secret::new).map_err(|error| Failure::new(error.to_string()))?;
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
    // Large enough from the start: a buffer that grows leaves pieces of the value behind.
    let mut bytes = Vec::with_capacity(limits::SECRET_VALUE_BYTES_MAX + 2);
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, error::ErrorKind};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    fn parse_command(line: &str) -> Result<Command, ErrorKind> {
        Cli::try_parse_from(std::iter::once("keyless").chain(line.split(' ')))
            .map(|cli| cli.command)
            .map_err(|error| error.kind())
    }

    #[test]
    fn commands_are_checked_before_anything_is_sent() {
        assert!(
            parse_command("set shop db --file f --content-type text/plain --tag a=b --tag c=d=e").is_ok()
        );
        assert!(parse_command("get shop db --version 0123456789abcdef0123456789abcdef").is_ok());
        for bad in [
            "set shop db --tag a",
            "set shop a_b",
            "set 1shop db",
            "set shop db --expires tomorrow",
            "get shop db --version latest",
            "get shop ../principal",
        ] {
            assert_eq!(parse_command(bad).unwrap_err(), ErrorKind::ValueValidation, "{bad}");
        }
        assert_eq!(parse_command("get shop").unwrap_err(), ErrorKind::MissingRequiredArgument);
    }

    #[tokio::test]
    async fn a_value_that_is_an_argument_is_refused_with_what_to_do() {
        let Ok(Command::Set(args)) = parse_command("set shop db hunter2") else {
            panic!("to be refused later")
        };
        // Nobody is at this place: it is refused before anything is asked for.
        let admin = Admin::new(server::Layout::of("/nonexistent"));
        let refused = set(&admin, Format::Table, args).await.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("never an argument") && text.contains("keyless secret set shop db"), "{text}");
        assert!(!text.contains("hunter2"));
        assert_eq!(refused.exit_code(), crate::failure::USAGE);
    }

    #[test]
    fn a_value_is_read_byte_for_byte_up_to_its_limit() {
        let most = limits::SECRET_VALUE_BYTES_MAX;
        assert_eq!(read(&b""[..]).unwrap().expose(), "");
        assert_eq!(read(&b" two\nlines\n"[..]).unwrap().expose(), " two\nlines\n");
        assert_eq!(read(&*vec![b'x'; most]).unwrap().expose().len(), most);
        assert!(read(&*vec![b'x'; most + 1]).unwrap_err().to_string().contains("25600"));
        assert!(read(std::io::repeat(b'x')).is_err(), "and no further");
        assert!(read(&b"caf\xe9"[..]).unwrap_err().to_string().contains("base64"));
    }

    #[test]
    fn what_is_printed_of_a_secret_has_no_value() {
        let body = r#"{"value":"canary","id":"https://shop.vault.x:8443/secrets/db/0123","contentType":"text/plain",
            "attributes":{"enabled":true,"created":1,"updated":2,"recoveryLevel":"Purgeable"},"tags":{"a":"b"}}"#;
        let bundle: Bundle = parse(body.as_bytes()).unwrap();
        assert_eq!(bundle.names(), ("db", Some("0123")));
        let shown = serde_json::to_string(&bundle.shown()).unwrap();
        assert!(shown.contains(r#""name":"db""#) && !shown.contains("canary"), "{shown}");
        let item = body.replace("/0123", "");
        assert_eq!(parse::<Bundle>(item.as_bytes()).unwrap().names(), ("db", None));
    }

    #[test]
    fn what_is_sent_is_what_key_vault_takes() {
        let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let attributes = NewAttributes { enabled: true, exp: None };
        let new = NewSecret { value: "v", content_type: None, tags: &tags, attributes };
        let sent = serde_json::to_string(&new).unwrap();
        let said =
            r#"{"value":"v","contentType":null,"tags":{"a":"b"},"attributes":{"enabled":true,"exp":null}}"#;
        assert_eq!(sent, said);
    }
}
