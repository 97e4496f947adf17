//! `keyless secret export`: the latest versions of all enabled secrets, in clear, in one file for its owner only.
//!
//! All or nothing: a file that lacks a secret without a word would be found out when the vault that it came from is gone.

use super::{
    Valued,
    dump::{Written, WrittenAttributes},
};
use crate::{
    admin::Admin,
    collection::Collection,
    failure::Failure,
    files::{self, PrivateFile},
    objects,
    output::{self, Progress},
    time,
};
use clap::Args;
use domain::{ObjectKind, ObjectName, Secret, VaultName};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The vault
    vault: VaultName,
    /// The file, for its owner only; - is standard output, for a program that encrypts
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// Where the secrets go.
enum Target {
    File(PrivateFile),
    Output,
}

impl Target {
    fn open(path: &Path, force: bool) -> Result<Self, Failure> {
        if !files::is_standard(path) {
            return PrivateFile::create(path, force).map(Self::File);
        }
        match std::io::stdout().is_terminal() {
            true => Err(Failure::new("secrets are not shown on a terminal, which remembers")
                .next("Name a file, or send them into a pipe.")),
            false => Ok(Self::Output),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Output => Ok(std::io::stdout().write_all(bytes)?),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.finish(),
            Self::Output => Ok(std::io::stdout().flush()?),
        }
    }
}

pub(super) async fn export(admin: &Admin, args: Export) -> Result<(), Failure> {
    let secrets = Collection::open(admin, ObjectKind::Secret, &args.vault).await?;
    let items = secrets.pages("/secrets", None).await?;
    let mut target = Target::open(&args.file, args.force)?;
    let (mut skipped, mut count) = (Vec::new(), 0_usize);
    target.write(b"[")?;
    {
        let progress = Progress::new("exporting", items.len());
        for (done, item) in items.iter().enumerate() {
            progress.step(done);
            let name = objects::names(item).0;
            if let Some(reason) = left_out(item, &args.vault) {
                skipped.push(format!("{name} is left out: {reason}"));
                continue;
            }
            let name = ObjectName::parse(name).map_err(|error| Failure::new(error.to_string()))?;
            let valued = super::get(&secrets, &name, None).await?;
            target.write(if count == 0 { b"\n" } else { b",\n" })?;
            target.write(line(&name, &valued)?.expose())?;
            count += 1;
        }
    }
    target.write(b"\n]\n")?;
    target.finish()?;
    skipped.iter().for_each(output::note);
    output::note(format_args!("{count} written, {} left out.", skipped.len()));
    if !files::is_standard(&args.file) && count > 0 {
        let path = args.file.display();
        output::warn(format_args!(
            "{path} holds secrets IN CLEAR. Whoever reads it has them all: keep it out of backups and repositories,\n  \
             and destroy it as soon as they arrived: shred -u {path}"
        ));
    }
    Ok(())
}

/// Why a secret cannot be in the file, if it cannot.
fn left_out(item: &Value, vault: &VaultName) -> Option<String> {
    if item.get("managed").and_then(Value::as_bool).unwrap_or_default() {
        return Some("it belongs to a certificate".to_owned());
    }
    (item.pointer("/attributes/enabled") == Some(&Value::Bool(false))).then(|| {
        let name = objects::names(item).0;
        format!("it is disabled, so that its value cannot be read (keyless secret update {vault} {name} --enabled)")
    })
}

/// A secret as a line of the file.
fn line(name: &ObjectName, valued: &Valued) -> Result<Secret<Vec<u8>>, Failure> {
    let at = |member: &str| {
        let seconds = valued.rest.get("attributes")?.get(member)?.as_i64()?;
        time::rfc3339(seconds)
    };
    let tags: BTreeMap<String, String> = valued
        .rest
        .get("tags")
        .map(|tags| serde_json::from_value(tags.clone()))
        .transpose()
        .map_err(|_| Failure::new("the vault's answer is not understood"))?
        .unwrap_or_default();
    let value = valued.value.expose();
    let written = Written {
        name: name.as_str(),
        value,
        content_type: valued.rest.get("contentType").and_then(Value::as_str),
        attributes: WrittenAttributes { enabled: true, expires: at("exp"), not_before: at("nbf") },
        tags: &tags,
    };
    // Large enough from the start: a character of a value takes six at most.
    let mut bytes = Vec::with_capacity(6 * value.len() + 64 * 1024);
    let done = serde_json::to_writer(&mut bytes, &written);
    let bytes = Secret::new(bytes);
    done.map_err(|error| Failure::new(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{super::dump, *};

    #[test]
    fn a_line_is_read_back_as_it_was() {
        let told = r#"{"value":"two\nlines \u0000 \"and\" ü","id":"https://x/secrets/db/01","contentType":"text/plain",
            "attributes":{"enabled":true,"nbf":5,"exp":253402300799,"created":1},"tags":{"a":"b"}}"#;
        let valued: Valued = serde_json::from_str(told).unwrap();
        let name = ObjectName::parse("db").unwrap();
        let line = line(&name, &valued).unwrap();
        let entries = dump::parse(line.expose()).unwrap();
        let [entry] = entries.as_slice() else { panic!("one") };
        assert_eq!(entry.value.expose(), valued.value.expose());
        assert_eq!((entry.attributes.nbf, entry.attributes.exp), (Some(5), Some(253_402_300_799)));
        assert_eq!((entry.content_type.as_deref(), entry.tags.len()), (Some("text/plain"), 1));
    }

    #[test]
    fn what_is_left_out_is_so_for_a_reason() {
        let vault = VaultName::parse("shop").unwrap();
        let reason = |item: &str| left_out(&serde_json::from_str(item).unwrap(), &vault);
        assert_eq!(reason(r#"{"id":"https://x/secrets/db","attributes":{"enabled":true}}"#), None);
        let disabled = reason(r#"{"id":"https://x/secrets/db","attributes":{"enabled":false}}"#).unwrap();
        assert!(disabled.contains("keyless secret update shop db --enabled"), "{disabled}");
        let managed =
            reason(r#"{"id":"https://x/secrets/c","managed":true,"attributes":{"enabled":true}}"#).unwrap();
        assert!(managed.contains("certificate"), "{managed}");
    }
}
