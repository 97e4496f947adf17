//! `keyless secret set`: where a value comes from, and how it is sent.

use crate::{
    admin::Admin,
    attributes::{Attributes, Described},
    collection::{Ask, Collection},
    failure::Failure,
    files, objects, output,
    output::Format,
    vault::misuse,
};
use clap::Args;
use domain::{ObjectKind, ObjectName, Secret, VaultName, limits};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{IsTerminal, Read},
    path::PathBuf,
};

#[derive(Debug, Args)]
pub(crate) struct Set {
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
    /// Make a version that is not served until it is enabled
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    described: Described,
}

/// What is sent to set a secret. Written straight into the body, so that no other copy of the value is made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewSecret<'a> {
    pub(crate) value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<&'a str>,
    pub(crate) tags: &'a BTreeMap<String, String>,
    pub(crate) attributes: &'a Attributes,
}

impl NewSecret<'_> {
    /// As a body. Large enough from the start: a character of a value takes six at most.
    pub(crate) fn body(&self) -> Result<Secret<Vec<u8>>, Failure> {
        let mut body = Vec::with_capacity(6 * self.value.len() + 64 * 1024);
        let written = serde_json::to_writer(&mut body, self);
        let body = Secret::new(body);
        written.map_err(|error| Failure::new(error.to_string()))?;
        Ok(body)
    }
}

/// The vault tells the value back; it is dropped here.
#[derive(Deserialize)]
struct Told {
    #[expect(dead_code, reason = "taken out of what is printed")]
    value: Option<Secret<String>>,
    #[serde(flatten)]
    rest: Value,
}

pub(super) async fn set(admin: &Admin, format: Format, args: Set) -> Result<(), Failure> {
    if args.value.is_some() {
        return Err(misuse("a value is never an argument: other users of this machine could read it").next(
            format!(
                "Give it on standard input: printf %s VALUE | keyless secret set {} {}   (or --file FILE)",
                args.vault, args.name
            ),
        ));
    }
    let properties = args.described.properties(Some(!args.disabled))?;
    let value = match &args.file {
        Some(path) => text(files::read(path, limits::SECRET_VALUE_BYTES_MAX, "a value")?)?,
        None if std::io::stdin().is_terminal() => {
            Secret::new(rpassword::prompt_password("Value (not shown): ")?)
        }
        None => read(std::io::stdin().lock())?,
    };
    if value.expose().ends_with('\n') {
        output::note("The value ends with a line break, and keeps it. `printf %s VALUE` would send none.");
    }
    let new = NewSecret {
        value: value.expose(),
        content_type: args.content_type.as_deref(),
        tags: &properties.tags.unwrap_or_default(),
        attributes: &properties.attributes,
    };
    let body = Some(new.body()?);
    let secrets = Collection::open(admin, ObjectKind::Secret, &args.vault).await?;
    let path = secrets.path(&args.name, "");
    let ask = Ask { verb: "set", method: Method::PUT, name: Some(&args.name), path, body };
    let Told { rest, .. } = secrets.ask(ask).await?;
    match format {
        Format::Json => output::json(&rest),
        Format::Table => output::facts(&[
            ("secret", objects::names(&rest).0.to_owned()),
            ("version", objects::names(&rest).1.unwrap_or_default().to_owned()),
            ("id", objects::text(&rest, "/id").unwrap_or_default().to_owned()),
        ]),
    }
    Ok(())
}

/// A whole value. A line break at its end stays: it may be part of it.
fn read(source: impl Read) -> Result<Secret<String>, Failure> {
    let most = limits::SECRET_VALUE_BYTES_MAX;
    text(files::read_from(source, most, most, "a value")?)
}

fn text(bytes: Secret<Vec<u8>>) -> Result<Secret<String>, Failure> {
    std::str::from_utf8(bytes.expose()).map(|text| Secret::new(text.to_owned())).map_err(|_| {
        Failure::new("a value is text in UTF-8")
            .next("Encode it first, for example by `base64 -w0`, and say so with --content-type.")
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::parse_command, *};
    use crate::secret::Command;

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
    fn what_is_sent_is_what_key_vault_takes() {
        let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let attributes = Attributes { enabled: Some(true), nbf: None, exp: Some(7) };
        let new = NewSecret { value: "v\n", content_type: None, tags: &tags, attributes: &attributes };
        let sent = new.body().unwrap();
        let said = r#"{"value":"v\n","tags":{"a":"b"},"attributes":{"enabled":true,"exp":7}}"#;
        assert_eq!(std::str::from_utf8(sent.expose()).unwrap(), said);
    }

    #[test]
    fn what_is_printed_of_a_secret_has_no_value() {
        let told: Told =
            serde_json::from_str(r#"{"value":"canary","id":"https://x/secrets/db/01"}"#).unwrap();
        assert_eq!(told.rest, serde_json::json!({"id": "https://x/secrets/db/01"}));
    }
}
