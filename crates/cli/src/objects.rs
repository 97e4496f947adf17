//! What all kinds of objects have in common on the command line: lists, deletion and recovery, backup and restore, and how one is shown.

use crate::{
    collection::{Ask, Collection},
    failure::Failure,
    files,
    output::{self, Format},
};
use clap::Subcommand;
use crypt::encoding;
use domain::{ObjectKind, ObjectName, Secret, VaultName, limits};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

/// The commands that are the same for secrets, keys and certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum Shared {
    /// All of a vault, by their latest versions
    List {
        /// The vault
        vault: VaultName,
    },
    /// The versions of one, oldest first
    Versions {
        /// The vault
        vault: VaultName,
        /// Its name
        name: ObjectName,
    },
    /// Delete one with all its versions; it can be recovered until the vault purges it
    Delete {
        /// The vault
        vault: VaultName,
        /// Its name
        name: ObjectName,
    },
    /// What was deleted and can be recovered
    Deleted {
        /// The vault
        vault: VaultName,
    },
    /// Bring a deleted one back, with all its versions
    Recover {
        /// The vault
        vault: VaultName,
        /// Its name
        name: ObjectName,
    },
    /// End a deleted one for good
    Purge {
        /// The vault
        vault: VaultName,
        /// Its name
        name: ObjectName,
    },
    /// Write one with all its versions into a file, encrypted: only this installation can restore it
    Backup {
        /// The vault
        vault: VaultName,
        /// Its name
        name: ObjectName,
        /// The file, for its owner only; - is standard output
        file: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Make one again from its backup: to this vault or another one, under its old name
    Restore {
        /// The vault
        vault: VaultName,
        /// The file; - is standard input
        file: PathBuf,
    },
}

#[derive(Deserialize)]
struct Backup {
    value: String,
}

/// Does one of them.
pub(crate) async fn shared(
    admin: &crate::admin::Admin,
    kind: ObjectKind,
    format: Format,
    command: Shared,
) -> Result<(), Failure> {
    let open = async |vault: &VaultName| Collection::open(admin, kind, vault).await;
    match command {
        Shared::List { vault } => {
            let items = open(&vault).await?.pages(&format!("/{}", kind.plural()), None).await?;
            let nothing = format!("There are no {} in this vault.", kind.plural());
            print(format, items, list_columns(kind), &nothing);
        }
        Shared::Versions { vault, name } => {
            let objects = open(&vault).await?;
            let mut items = versions(&objects, &name).await?;
            if items.is_empty() && !is_pending(&objects, kind, &name).await {
                return Err(absent(kind, &name, &vault));
            }
            latest_last(&objects, &name, &mut items).await;
            let nothing =
                format!("It has no version yet: keyless certificate pending {vault} {name} says why.");
            print(format, items, VERSION_COLUMNS, &nothing);
        }
        Shared::Delete { vault, name } => {
            let objects = open(&vault).await?;
            let path = objects.path(&name, "");
            let ask = Ask { verb: "delete", method: Method::DELETE, name: Some(&name), path, body: None };
            let deleted: Value = objects.ask(ask).await?;
            print_one(format, &deleted);
            output::note(format_args!("Bring it back: keyless {kind} recover {vault} {name}"));
        }
        Shared::Deleted { vault } => {
            let items = open(&vault).await?.pages(&format!("/deleted{}", kind.plural()), None).await?;
            let nothing = format!("No deleted {} can be recovered in this vault.", kind.plural());
            print(format, items, DELETED_COLUMNS, &nothing);
        }
        Shared::Recover { vault, name } => {
            let objects = open(&vault).await?;
            let path = objects.deleted_path(&name, "/recover");
            let ask = Ask { verb: "recover", method: Method::POST, name: Some(&name), path, body: None };
            print_one(format, &objects.ask(ask).await?);
        }
        Shared::Purge { vault, name } => {
            let objects = open(&vault).await?;
            let path = objects.deleted_path(&name, "");
            let ask = Ask { verb: "purge", method: Method::DELETE, name: Some(&name), path, body: None };
            objects.order(ask).await?;
            output::note(format_args!("The {kind} {name} is gone for good."));
        }
        Shared::Backup { vault, name, file, force } => {
            let objects = open(&vault).await?;
            let path = objects.path(&name, "/backup");
            let ask = Ask { verb: "backup", method: Method::POST, name: Some(&name), path, body: None };
            let backup: Backup = objects.ask(ask).await?;
            // The very bytes, as `az keyvault secret backup` writes them.
            let bytes = encoding::from_base64url(&backup.value)
                .map_err(|_| Failure::new("the vault's backup is not understood"))?;
            files::write(&file, force, &bytes)?;
            if !files::is_standard(&file) {
                output::note(format_args!("Written to {}, for its owner only.", file.display()));
            }
        }
        Shared::Restore { vault, file } => {
            let objects = open(&vault).await?;
            // Base64url makes four characters of three bytes.
            let bytes = files::read(&file, limits::BACKUP_BYTES_MAX / 4 * 3 - 64, "a backup")?;
            let value = encoding::base64url(bytes.expose());
            let body = Some(Secret::new(format!(r#"{{"value":"{value}"}}"#).into_bytes()));
            let path = format!("/{}/restore", kind.plural());
            let ask = Ask { verb: "restore", method: Method::POST, name: None, path, body };
            print_one(format, &objects.ask(ask).await?);
        }
    }
    Ok(())
}

/// All versions of an object, oldest first; those of one second in any order.
pub(crate) async fn versions(objects: &Collection<'_>, name: &ObjectName) -> Result<Vec<Value>, Failure> {
    let mut items = objects.pages(&objects.path(name, "/versions"), Some(name)).await?;
    items.sort_by_key(|item| number(item, "/attributes/created"));
    Ok(items)
}

/// Puts the version that counts behind the others of its second. Only the object itself says which one that is; where it may not be asked, or its
/// latest version is disabled, they stay as they are.
async fn latest_last(objects: &Collection<'_>, name: &ObjectName, items: &mut [Value]) {
    let mut created = items.iter().rev().map(|item| number(item, "/attributes/created"));
    if created.next() != created.next() {
        return;
    }
    let path = objects.path(name, "/");
    let ask = Ask { verb: "get", method: Method::GET, name: Some(name), path, body: None };
    // Of a secret the value comes with it, and is dropped unread.
    if let Ok(latest) = objects.ask::<Latest>(ask).await {
        put_last(items, &latest.rest.into());
    }
}

fn put_last(items: &mut [Value], latest: &Value) {
    let version = names(latest).1;
    if let Some(at) = items.iter().position(|item| names(item).1 == version)
        && let Some(rest) = items.get_mut(at..)
    {
        rest.rotate_left(1);
    }
}

/// An object, whose value is apart from what is told of it.
#[derive(Deserialize)]
struct Latest {
    #[serde(default, rename = "value")]
    _value: Option<Secret<String>>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// Was a certificate asked for, and has not come? It has a name then, and no version.
async fn is_pending(objects: &Collection<'_>, kind: ObjectKind, name: &ObjectName) -> bool {
    let path = objects.path(name, "/pending");
    let ask = Ask { verb: "get", method: Method::GET, name: Some(name), path, body: None };
    kind == ObjectKind::Certificate && objects.ask::<Value>(ask).await.is_ok()
}

/// What is asked for is not in the vault.
pub(crate) fn absent(kind: ObjectKind, name: &ObjectName, vault: &VaultName) -> Failure {
    Failure::new(format!("there is no {kind} {name} in vault {vault}")).next(where_to_look(kind, vault))
}

/// Where what is not found may be.
pub(crate) fn where_to_look(kind: ObjectKind, vault: &VaultName) -> String {
    format!("What there is: keyless {kind} list {vault}; what was deleted: keyless {kind} deleted {vault}")
}

/// Name and version out of an object's identifier.
pub(crate) fn names(object: &Value) -> (&str, Option<&str>) {
    let id = ["/id", "/kid", "/key/kid"].iter().find_map(|pointer| text(object, pointer));
    let mut parts = id.unwrap_or_default().split('/').skip(4);
    (parts.next().unwrap_or_default(), parts.next())
}

/// A member that is text.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

/// A member that is a number.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer)?.as_i64()
}

/// A column of a table: its heading and what stands there.
type Column = (&'static str, fn(&Value) -> String);

const fn list_columns(kind: ObjectKind) -> &'static [Column] {
    match kind {
        ObjectKind::Secret => SECRET_COLUMNS,
        ObjectKind::Key => KEY_COLUMNS,
        ObjectKind::Certificate => CERTIFICATE_COLUMNS,
    }
}

const SECRET_COLUMNS: &[Column] = &[
    ("name", name),
    ("enabled", enabled),
    ("content type", content_type),
    ("expires", expires),
    ("updated", |item| time(item, "/attributes/updated")),
];
const KEY_COLUMNS: &[Column] = &[
    ("name", name),
    ("enabled", enabled),
    ("expires", expires),
    ("updated", |item| time(item, "/attributes/updated")),
];
const CERTIFICATE_COLUMNS: &[Column] = &[
    ("name", name),
    ("enabled", enabled),
    ("expires", expires),
    ("thumbprint", |item| thumbprint(item).unwrap_or_else(|| "-".to_owned())),
];
const VERSION_COLUMNS: &[Column] = &[
    ("version", |item| names(item).1.unwrap_or_default().to_owned()),
    ("enabled", enabled),
    ("expires", expires),
    ("created", |item| time(item, "/attributes/created")),
];
const DELETED_COLUMNS: &[Column] = &[
    ("name", name),
    ("deleted", |item| time(item, "/deletedDate")),
    ("purged on", |item| time(item, "/scheduledPurgeDate")),
];

fn name(item: &Value) -> String {
    names(item).0.to_owned()
}

fn enabled(item: &Value) -> String {
    match item.pointer("/attributes/enabled").and_then(Value::as_bool) {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => "-".to_owned(),
    }
}

fn content_type(item: &Value) -> String {
    let managed = item.get("managed").and_then(Value::as_bool).unwrap_or_default();
    match (text(item, "/contentType"), managed) {
        (Some(text), true) => format!("{text} (certificate)"),
        (None, true) => "(certificate)".to_owned(),
        (Some(text), false) => text.to_owned(),
        (None, false) => "-".to_owned(),
    }
}

fn expires(item: &Value) -> String {
    time(item, "/attributes/exp")
}

fn time(item: &Value, pointer: &str) -> String {
    number(item, pointer).map_or_else(|| "-".to_owned(), output::time)
}

fn print(format: Format, items: Vec<Value>, columns: &[Column], nothing: &str) {
    match format {
        Format::Json => output::json(&items),
        Format::Table => {
            let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
            let rows = items.iter().map(|item| columns.iter().map(|(_, show)| show(item)).collect());
            output::table(&headings, rows, nothing);
        }
    }
}

/// Prints an object without what is secret of it.
pub(crate) fn print_one(format: Format, object: &Value) {
    match format {
        Format::Json => output::json(object),
        Format::Table => output::facts(&facts(object)),
    }
}

/// What a person may want to know of an object, in the order in which they may.
fn facts(object: &Value) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let (name, version) = names(object);
    facts.push(("name", name.to_owned()));
    facts.extend(version.map(|version| ("version", version.to_owned())));
    let id = ["/id", "/key/kid"].iter().find_map(|pointer| text(object, pointer));
    facts.extend(id.map(|id| ("id", id.to_owned())));
    facts.push(("enabled", enabled(object)));
    // A certificate that is there says nothing of how it was asked for.
    facts.extend(text(object, "/pending/id").map(|_| {
        ("state", "was asked for, and is not there: `keyless certificate pending` says why".to_owned())
    }));
    facts.extend(text(object, "/key/kty").map(|kty| ("type", key_type(object, kty))));
    facts.extend(text(object, "/policy/x509_props/subject").map(|subject| ("subject", subject.to_owned())));
    let names = object.pointer("/policy/x509_props/sans/dns_names").and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    if !names.is_empty() {
        facts.push(("for", names));
    }
    facts.extend(text(object, "/policy/issuer/name").map(|issuer| ("issuer", issuer.to_owned())));
    facts.extend(thumbprint(object).map(|thumbprint| ("thumbprint", thumbprint)));
    let operations = object.pointer("/key/key_ops").and_then(Value::as_array);
    facts.extend(operations.map(|operations| {
        ("may", operations.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
    }));
    facts.extend(text(object, "/contentType").map(|text| ("content type", text.to_owned())));
    for (name, pointer) in [
        ("not before", "/attributes/nbf"),
        ("expires", "/attributes/exp"),
        ("created", "/attributes/created"),
        ("updated", "/attributes/updated"),
        ("deleted", "/deletedDate"),
        ("purged on", "/scheduledPurgeDate"),
    ] {
        facts.extend(number(object, pointer).map(|seconds| (name, output::time(seconds))));
    }
    let tags: Vec<String> = object
        .get("tags")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    if !tags.is_empty() {
        facts.push(("tags", tags.join(", ")));
    }
    facts
}

/// SHA-1 of a certificate, as other programs show it.
fn thumbprint(object: &Value) -> Option<String> {
    let bytes = encoding::from_base64url(text(object, "/x5t")?).ok()?;
    Some(encoding::hex(&bytes).to_uppercase())
}

/// A key's type with its size or curve: `RSA 2048`, `EC P-256`.
fn key_type(object: &Value, kty: &str) -> String {
    if let Some(curve) = text(object, "/key/crv") {
        return format!("{kty} {curve}");
    }
    let modulus = text(object, "/key/n").and_then(|text| encoding::from_base64url(text).ok());
    modulus.map_or_else(|| kty.to_owned(), |modulus| format!("{kty} {}", modulus.len() * 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_found_in_every_kind_of_identifier() {
        for (object, name, version) in [
            (json!({"id": "https://shop.vault.x:8443/secrets/db/0123"}), "db", Some("0123")),
            (json!({"id": "https://shop.vault.x/secrets/db"}), "db", None),
            (json!({"kid": "https://shop.vault.x/keys/k"}), "k", None),
            (json!({"key": {"kid": "https://shop.vault.x/keys/k/45"}}), "k", Some("45")),
            (json!({}), "", None),
        ] {
            assert_eq!(names(&object), (name, version));
        }
    }

    /// Of versions of one second the latest could stand before others.
    #[test]
    fn the_version_that_counts_stands_last() {
        let item = |version: &str| json!({"id": format!("https://x/secrets/db/{version}")});
        let mut items = ["01", "02", "03"].map(item);
        put_last(&mut items, &item("02"));
        assert_eq!(items, ["01", "03", "02"].map(item));
        put_last(&mut items, &json!({"key": {"kid": "https://x/keys/db/09"}}));
        assert_eq!(items, ["01", "03", "02"].map(item), "one that came meanwhile is not there");
    }

    #[test]
    fn a_key_says_what_it_is_and_may() {
        let modulus = encoding::base64url(&[0xff; 256]);
        let rsa = json!({"key": {"kid": "https://x/keys/k/01", "kty": "RSA", "n": modulus, "e": "AQAB", "key_ops": ["sign", "verify"]}});
        let facts_of = facts(&rsa);
        assert!(facts_of.contains(&("type", "RSA 2048".to_owned())), "{facts_of:?}");
        assert!(facts_of.contains(&("may", "sign, verify".to_owned())), "{facts_of:?}");
        let ec = json!({"key": {"kid": "https://x/keys/k/01", "kty": "EC", "crv": "P-256K"}});
        assert!(facts(&ec).contains(&("type", "EC P-256K".to_owned())));
    }

    #[test]
    fn facts_of_an_object_have_no_value() {
        let object = json!({"value": "canary", "id": "https://x/secrets/db/01", "contentType": "text/plain", "tags": {"a": "b"},
            "attributes": {"enabled": false, "exp": 0, "created": 1, "updated": 2, "recoveryLevel": "Purgeable"}});
        let facts = facts(&object);
        assert!(facts.contains(&("tags", "a=b".to_owned())) && facts.contains(&("enabled", "no".to_owned())));
        assert!(!format!("{facts:?}").contains("canary"));
    }
}
