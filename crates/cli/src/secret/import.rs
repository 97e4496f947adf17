//! `keyless secret import`: a file is read whole, compared with the vault, shown as a plan, and only then written.
//!
//! A secret that the vault has as it is in the file is left alone, so that an import which was interrupted is simply run again.

use super::{Valued, dump, dump::Entry, set::NewSecret};
use crate::{
    admin::Admin,
    attributes::Attributes,
    collection::{Ask, Collection},
    failure::Failure,
    files,
    keyvault::Fault,
    objects,
    output::{self, Colour, Format, Progress, paint},
};
use clap::Args;
use domain::{ObjectKind, ObjectName, VaultName};
use http::Method;
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The vault
    vault: VaultName,
    /// The file: a JSON array of secrets as `az keyvault secret show` prints them; - is standard input
    file: PathBuf,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Where the vault has another secret of a name: make the file's a new version of it
    #[arg(long, conflicts_with = "keep")]
    overwrite: bool,
    /// Where the vault has another secret of a name: keep the vault's
    #[arg(long)]
    keep: bool,
}

/// What becomes of a secret of the file.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is made.
    Create,
    /// It is there as it is.
    Same,
    /// It becomes a new version of one that is otherwise.
    Overwrite(String),
    /// The vault's is kept.
    Keep(String),
    /// It belongs to a certificate, and comes with it.
    Certificate,
    /// It cannot be taken in as things are.
    Blocked(String),
}

impl Step {
    const fn word(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Same => "unchanged",
            Self::Overwrite(_) => "overwrite",
            Self::Keep(_) => "keep",
            Self::Certificate => "skip",
            Self::Blocked(_) => "blocked",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Create => "",
            Self::Same => "the vault has it already",
            Self::Certificate => "it belongs to a certificate: import that one",
            Self::Overwrite(why) | Self::Keep(why) | Self::Blocked(why) => why,
        }
    }

    const fn is_written(&self) -> bool {
        matches!(self, Self::Create | Self::Overwrite(_))
    }
}

/// What the vault has by a name, before any value is compared.
enum There {
    Nothing,
    Deleted,
    OfCertificate,
    Disabled,
    Enabled,
}

/// What became of what was to be written, by places in the file.
#[derive(Default)]
struct Done {
    written: HashSet<usize>,
    errors: HashMap<usize, Failure>,
}

/// How each reason begins for which `--overwrite` or `--keep` is to be said.
const DIFFERS: &str = "the vault has another one";

/// What is told of a secret at the end.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    step: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    written: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) async fn import(admin: &Admin, format: Format, args: Import) -> Result<(), Failure> {
    files::warn_if_readable_by_others(&args.file);
    let entries = {
        let file = files::read(&args.file, dump::BYTES_MAX, "a file of secrets")?;
        dump::parse(file.expose()).map_err(|faults| {
            let file = if files::is_standard(&args.file) {
                "standard input".into()
            } else {
                args.file.to_string_lossy()
            };
            faults.iter().for_each(|fault| output::note(format_args!("{file}: {fault}")));
            Failure::new("the file cannot be taken in; nothing was changed")
                .next("Its format: docs/operate, Moving secrets in and out.")
        })?
    };
    let secrets = Collection::open(admin, ObjectKind::Secret, &args.vault).await?;
    let steps = plan(&secrets, &entries, &args).await?;
    if format == Format::Table {
        output::table(
            &["secret", "plan", ""],
            entries.iter().zip(&steps).map(|(entry, step)| {
                vec![entry.name.to_string(), step.word().to_owned(), step.reason().to_owned()]
            }),
            "There are no secrets in this file.",
        );
    }
    let blocked = steps.iter().filter(|step| matches!(step, Step::Blocked(_))).count();
    let is_run = blocked == 0 && !args.dry_run;
    let done = if is_run { write(&secrets, &entries, &steps).await } else { Done::default() };
    if format == Format::Json {
        let told: Vec<Told<'_>> = (entries.iter().zip(&steps).enumerate())
            .map(|(index, (entry, step))| Told {
                name: entry.name.as_str(),
                step: step.word(),
                reason: step.reason(),
                written: done.written.contains(&index),
                error: done.errors.get(&index).map(ToString::to_string),
            })
            .collect();
        output::json(&told);
    }
    if blocked > 0 {
        let failure = Failure::new(format!(
            "{blocked} of {} cannot be taken in as things are; nothing was changed",
            entries.len()
        ));
        return Err(match steps.iter().any(|step| matches!(step, Step::Blocked(why) if why.starts_with(DIFFERS))) {
            true => failure.next(
                "Where the vault has another secret of a name: --overwrite makes the file's a new version of it, --keep keeps the vault's.",
            ),
            false => failure,
        });
    }
    conclude(&steps, &done, args.dry_run)
}

fn conclude(steps: &[Step], done: &Done, is_dry: bool) -> Result<(), Failure> {
    let count = |is: fn(&Step) -> bool| steps.iter().filter(|step| is(step)).count();
    let to_write = count(Step::is_written);
    let tried = done.written.len() + done.errors.len();
    let counts = [
        ("unchanged", count(|step| matches!(step, Step::Same))),
        ("kept as the vault has them", count(|step| matches!(step, Step::Keep(_)))),
        ("left to their certificates", count(|step| matches!(step, Step::Certificate))),
        ("failed", done.errors.len()),
        ("not tried", if is_dry { 0 } else { to_write - tried }),
    ];
    let rest: String = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!(", {count} {what}"))
        .collect();
    if is_dry {
        output::note(format_args!("Nothing was changed. It would be: {to_write} written{rest}."));
        return Ok(());
    }
    let summary = format!("{} written{rest}", done.written.len());
    if done.errors.is_empty() {
        output::note(format_args!("{} {summary}.", paint(Colour::Good, "ok")));
        return Ok(());
    }
    Err(Failure::new(summary)
        .next("Run it again when the reason is mended: what was written is unchanged then, and skipped."))
}

/// What becomes of each. Asks the vault, and changes nothing.
async fn plan(secrets: &Collection<'_>, entries: &[Entry], args: &Import) -> Result<Vec<Step>, Failure> {
    let named = |items: Vec<Value>| {
        let pairs = items.into_iter().filter_map(|item| {
            let name = ObjectName::parse(objects::names(&item).0).ok()?;
            Some((name, item))
        });
        pairs.collect::<HashMap<_, _>>()
    };
    let live = named(secrets.pages("/secrets", None).await?);
    let deleted: HashSet<ObjectName> =
        named(secrets.pages("/deletedsecrets", None).await?).into_keys().collect();
    let progress = Progress::new("comparing", entries.len());
    let mut steps = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        progress.step(index);
        let there = match live.get(&entry.name) {
            None if deleted.contains(&entry.name) => There::Deleted,
            None => There::Nothing,
            Some(item) if item.get("managed").and_then(Value::as_bool).unwrap_or_default() => {
                There::OfCertificate
            }
            Some(item) if item.pointer("/attributes/enabled") == Some(&Value::Bool(false)) => There::Disabled,
            Some(_) => There::Enabled,
        };
        let differs = match (&there, entry.is_managed) {
            // Its value is read for this, and only then.
            (There::Enabled, false) => differences(&super::get(secrets, &entry.name, None).await?, entry),
            _ => String::new(),
        };
        steps.push(step(&there, entry, differs, args));
    }
    Ok(steps)
}

/// What becomes of one.
fn step(there: &There, entry: &Entry, differs: String, args: &Import) -> Step {
    if entry.is_managed {
        return Step::Certificate;
    }
    let other = |why: String| match (args.overwrite, args.keep) {
        (true, _) => Step::Overwrite(why),
        (_, true) => Step::Keep(why),
        _ => Step::Blocked(why),
    };
    match there {
        There::Nothing => Step::Create,
        There::Deleted => Step::Blocked(format!(
            "deleted in the vault: keyless secret recover {0} {1}, or purge {0} {1}",
            args.vault, entry.name
        )),
        There::OfCertificate => Step::Blocked("a certificate of the vault has this name".to_owned()),
        There::Disabled => other(format!("{DIFFERS}: disabled, so that it cannot be compared")),
        There::Enabled if differs.is_empty() => Step::Same,
        There::Enabled => other(format!("{DIFFERS}: {differs}")),
    }
}

/// What of the vault's secret is not as in the file, in words.
fn differences(there: &Valued, entry: &Entry) -> String {
    let at = |name: &str| there.rest.get("attributes").and_then(|attributes| attributes.get(name)?.as_i64());
    let enabled = there.rest.get("attributes").and_then(|attributes| attributes.get("enabled")?.as_bool());
    let attributes = Attributes { enabled, nbf: at("nbf"), exp: at("exp") };
    let content_type = there.rest.get("contentType").and_then(Value::as_str).filter(|text| !text.is_empty());
    let tags = there.rest.get("tags").and_then(Value::as_object);
    let is_tagged_alike = tags.map_or(0, serde_json::Map::len) == entry.tags.len()
        && entry.tags.iter().all(|(name, value)| {
            tags.and_then(|tags| tags.get(name)?.as_str()).is_some_and(|there| there == value)
        });
    let parts = [
        ("value", there.value.expose() != entry.value.expose()),
        ("content type", content_type != entry.content_type.as_deref()),
        ("validity", attributes != entry.attributes),
        ("tags", !is_tagged_alike),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

/// Writes what is to be written. After a refusal that is of one secret the others are tried; not where nobody answers, or nobody may.
async fn write(secrets: &Collection<'_>, entries: &[Entry], steps: &[Step]) -> Done {
    let total = steps.iter().filter(|step| step.is_written()).count();
    let progress = Progress::new("importing", total);
    let mut done = Done::default();
    let work = entries.iter().zip(steps).enumerate().filter(|(_, (_, step))| step.is_written());
    for (count, (index, (entry, _))) in work.enumerate() {
        progress.step(count);
        let (failure, is_last) = match set(secrets, entry).await {
            Ok(()) => {
                done.written.insert(index);
                continue;
            }
            Err(Fault::Failed(failure)) => (failure, true),
            Err(fault) => {
                let is_last = matches!(&fault, Fault::Refused(refusal) if refusal.is_of_all());
                (secrets.explain("set", Some(&entry.name), fault).await, is_last)
            }
        };
        output::note(format_args!("{}: {failure}", entry.name));
        done.errors.insert(index, failure);
        if is_last {
            break;
        }
    }
    done
}

async fn set(secrets: &Collection<'_>, entry: &Entry) -> Result<(), Fault> {
    let new = NewSecret {
        value: entry.value.expose(),
        content_type: entry.content_type.as_deref(),
        tags: &entry.tags,
        attributes: &entry.attributes,
    };
    let (path, body) = (secrets.path(&entry.name, ""), Some(new.body()?));
    let ask = Ask { verb: "set", method: Method::PUT, name: Some(&entry.name), path, body };
    secrets.send(ask).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(overwrite: bool, keep: bool) -> Import {
        Import {
            vault: VaultName::parse("shop").unwrap(),
            file: "dump.json".into(),
            dry_run: false,
            overwrite,
            keep,
        }
    }

    fn entry(members: &str) -> Entry {
        let file = format!(r#"[{{"name":"db","value":"s3cret"{members}}}]"#);
        dump::parse(file.as_bytes()).unwrap().pop().unwrap()
    }

    fn there(members: &str) -> Valued {
        serde_json::from_str(&format!(r#"{{"id":"https://x/secrets/db/01"{members}}}"#)).unwrap()
    }

    #[test]
    fn what_differs_is_named() {
        let plain = r#","value":"s3cret","attributes":{"enabled":true,"created":1},"tags":{}"#;
        for (members, entry, says) in [
            (plain, entry(""), ""),
            (plain, entry(r#","contentType":"","tags":null"#), ""),
            (plain, entry(r#","contentType":"text/plain""#), "content type"),
            (plain, entry(r#","tags":{"a":"b"}"#), "tags"),
            (plain, entry(r#","attributes":{"exp":7}"#), "validity"),
            (plain, entry(r#","attributes":{"enabled":false}"#), "validity"),
            (
                r#","value":"S3cret","attributes":{"enabled":true},"tags":{"a":"b"}"#,
                entry(r#","tags":{"a":"c"}"#),
                "value, tags",
            ),
            (
                r#","value":"s3cret","attributes":{"enabled":true,"exp":7,"nbf":1},"contentType":"t","tags":{"a":"b"}"#,
                entry(r#","contentType":"t","attributes":{"exp":7,"nbf":1},"tags":{"a":"b"}"#),
                "",
            ),
        ] {
            assert_eq!(differences(&there(members), &entry), says, "{members}");
        }
    }

    #[test]
    fn nothing_that_is_there_is_changed_unless_it_is_said_so() {
        let step = |there: &There, differs: &str, overwrite, keep| {
            step(there, &entry(""), differs.to_owned(), &args(overwrite, keep)).word()
        };
        for (there, differs, neither, overwrite, keep) in [
            (There::Nothing, "", "create", "create", "create"),
            (There::Enabled, "", "unchanged", "unchanged", "unchanged"),
            (There::Enabled, "value", "blocked", "overwrite", "keep"),
            (There::Disabled, "", "blocked", "overwrite", "keep"),
            (There::Deleted, "", "blocked", "blocked", "blocked"),
            (There::OfCertificate, "", "blocked", "blocked", "blocked"),
        ] {
            assert_eq!(step(&there, differs, false, false), neither);
            assert_eq!(step(&there, differs, true, false), overwrite);
            assert_eq!(step(&there, differs, false, true), keep);
        }
        let managed = entry(r#","managed":true"#);
        assert_eq!(
            super::step(&There::Nothing, &managed, String::new(), &args(true, false)),
            Step::Certificate
        );
    }
}
