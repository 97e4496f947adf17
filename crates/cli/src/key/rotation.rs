//! `keyless key rotation-policy`: when the vault makes a new version of a key by itself (Key Vault: key rotation policy).

use super::body_of;
use crate::{
    admin::Admin,
    collection::{Ask, Collection},
    failure::Failure,
    files,
    objects::text,
    output::{self, Format},
};
use clap::{Args, Subcommand};
use domain::{ObjectKind, ObjectName, VaultName};
use http::Method;
use jiff::Span;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Bytes of a policy's file. Ours.
const POLICY_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The policy of a key
    Show {
        /// The vault
        vault: VaultName,
        /// The key
        name: ObjectName,
    },
    /// Say when; replaces all that was said before
    Set {
        /// The vault
        vault: VaultName,
        /// The key
        name: ObjectName,
        #[command(flatten)]
        rules: Rules,
    },
}

/// At least one.
#[derive(Debug, Args)]
#[group(id = "rules", required = true, multiple = true)]
pub(crate) struct Rules {
    /// Make a new version so long after the last one: 90d, 18mo, 2y
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "rotate_before_expiry")]
    rotate_after: Option<String>,
    /// Make a new version so long before the last one expires; needs --expires-after
    #[arg(long, value_name = "TIME", value_parser = duration)]
    rotate_before_expiry: Option<String>,
    /// Say so in the log so long before one expires
    #[arg(long, value_name = "TIME", value_parser = duration)]
    notify_before_expiry: Option<String>,
    /// Let each new version expire so long after it was made
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires_after: Option<String>,
    /// The whole policy from a JSON file, as the API has it; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rotate_after", "rotate_before_expiry", "notify_before_expiry", "expires_after"])]
    policy: Option<PathBuf>,
}

/// A duration as people write it, as ISO 8601 has it.
fn duration(text: &str) -> Result<String, String> {
    match text.parse::<Span>() {
        Ok(span) if span.is_positive() => Ok(span.to_string()),
        _ => Err("a duration is such as 90d, 18mo, 2y or P90D".to_owned()),
    }
}

impl Rules {
    fn policy(&self) -> Result<Value, Failure> {
        if let Some(path) = &self.policy {
            let file = files::read(path, POLICY_BYTES_MAX, "a policy")?;
            return serde_json::from_slice(file.expose())
                .map_err(|error| Failure::new(format!("the policy is not JSON: {error}")));
        }
        let action = |when: &str, after: &Option<String>, kind: &str| {
            after.as_ref().map(|after| json!({"trigger": {when: after}, "action": {"type": kind}}))
        };
        let actions: Vec<Value> = [
            action("timeAfterCreate", &self.rotate_after, "Rotate"),
            action("timeBeforeExpiry", &self.rotate_before_expiry, "Rotate"),
            action("timeBeforeExpiry", &self.notify_before_expiry, "Notify"),
        ]
        .into_iter()
        .flatten()
        .collect();
        Ok(json!({"lifetimeActions": actions, "attributes": {"expiryTime": self.expires_after}}))
    }
}

pub(super) async fn policy(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let (vault, name, verb, method, body) = match command {
        Command::Show { vault, name } => (vault, name, "getrotationpolicy", Method::GET, None),
        Command::Set { vault, name, rules } => {
            (vault, name, "setrotationpolicy", Method::PUT, body_of(&rules.policy()?)?)
        }
    };
    let keys = Collection::open(admin, ObjectKind::Key, &vault).await?;
    let path = keys.path(&name, "/rotationpolicy");
    let policy: Value = keys.ask(Ask { verb, method, name: Some(&name), path, body }).await?;
    match format {
        Format::Json => output::json(&policy),
        Format::Table => output::facts(&facts(&policy)),
    }
    Ok(())
}

fn facts(policy: &Value) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    for action in policy.get("lifetimeActions").and_then(Value::as_array).into_iter().flatten() {
        let when = match (text(action, "/trigger/timeAfterCreate"), text(action, "/trigger/timeBeforeExpiry"))
        {
            (Some(after), _) => format!("{after} after it was made"),
            (None, Some(before)) => format!("{before} before it expires"),
            (None, None) => continue,
        };
        let is_rotate = text(action, "/action/type").is_some_and(|kind| kind.eq_ignore_ascii_case("rotate"));
        facts.push((if is_rotate { "rotate" } else { "notify" }, when));
    }
    let expires = text(policy, "/attributes/expiryTime").filter(|text| !text.is_empty());
    facts.push((
        "expires",
        expires.map_or_else(|| "never".to_owned(), |after| format!("{after} after it was made")),
    ));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_what_key_vault_takes_and_reads_as_sentences() {
        let rules = Rules {
            rotate_after: Some(duration("90d").unwrap()),
            rotate_before_expiry: None,
            notify_before_expiry: Some(duration("P30D").unwrap()),
            expires_after: Some(duration("2y").unwrap()),
            policy: None,
        };
        let policy = rules.policy().unwrap();
        assert_eq!(
            policy,
            json!({"lifetimeActions": [
                {"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}},
                {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}],
                "attributes": {"expiryTime": "P2Y"}})
        );
        assert_eq!(
            facts(&policy),
            [
                ("rotate", "P90D after it was made".to_owned()),
                ("notify", "P30D before it expires".to_owned()),
                ("expires", "P2Y after it was made".to_owned())
            ]
        );
        assert_eq!(duration("18mo").unwrap(), "P18M");
        for bad in ["", "90", "-90d", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
