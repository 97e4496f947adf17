//! `keyless vault policy`: access policies.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    output::{self, Format},
    whom::{self, Whom},
};
use clap::{Args, Subcommand};
use domain::{CertificatePermission, KeyPermission, Permission, SecretPermission, VaultName};
use http::Method;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what somebody may do; replaces all that was said of them before
    Set {
        /// The vault
        vault: VaultName,
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        verbs: Verbs,
    },
    /// Take everything away from somebody
    Remove {
        /// The vault
        vault: VaultName,
        #[command(flatten)]
        whom: Whom,
    },
    /// The access policies of a vault
    List {
        /// The vault
        vault: VaultName,
    },
}

/// At least one.
#[derive(Debug, Args)]
#[group(id = "verbs", required = true, multiple = true)]
pub(crate) struct Verbs {
    /// On secrets: any of get, list, set, delete, recover, backup, restore, purge, with commas between; `all` is every one of them,
    /// also purge
    #[arg(long, value_delimiter = ',', value_name = "VERBS")]
    secrets: Vec<Verb<SecretPermission>>,
    /// On keys: any of get, list, update, create, import, delete, recover, backup, restore, decrypt, encrypt, unwrapkey, wrapkey,
    /// verify, sign, purge, release, rotate, getrotationpolicy, setrotationpolicy; or `all`
    #[arg(long, value_delimiter = ',', value_name = "VERBS")]
    keys: Vec<Verb<KeyPermission>>,
    /// On certificates: any of get, list, update, create, import, delete, recover, backup, restore, managecontacts, manageissuers,
    /// getissuers, listissuers, setissuers, deleteissuers, purge; or `all`
    #[arg(long, value_delimiter = ',', value_name = "VERBS")]
    certificates: Vec<Verb<CertificatePermission>>,
}

/// One verb, or all of its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb<V> {
    /// Every one, also purge.
    All,
    /// This one.
    One(V),
}

impl<V: Permission> FromStr for Verb<V> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        text.parse().map(Self::One).map_err(|error| format!("{}, or all", error.rule))
    }
}

/// What is sent: names only.
fn names<V: Permission>(verbs: &[Verb<V>]) -> Vec<String> {
    let all = |verb: &Verb<V>| match verb {
        Verb::All => V::ALL.iter().map(ToString::to_string).collect(),
        Verb::One(verb) => vec![verb.to_string()],
    };
    verbs.iter().flat_map(all).collect()
}

/// A policy as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Policy {
    principal: String,
    display_name: Option<String>,
    state: String,
    secrets: Vec<String>,
    keys: Vec<String>,
    certificates: Vec<String>,
}

/// The vault whose policies they are.
#[derive(Debug, Deserialize)]
struct Policies {
    policies: Vec<Policy>,
}

#[derive(Serialize)]
struct Set<'a> {
    #[serde(flatten)]
    whom: &'a Whom,
    secrets: Vec<String>,
    keys: Vec<String>,
    certificates: Vec<String>,
}

pub(crate) async fn policy(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let path = |vault: &VaultName| format!("/v1/vaults/{}", segment(vault.as_str()));
    let vault: Policies = match command {
        Command::Set { vault, whom, verbs } => {
            let (secrets, keys, certificates) =
                (names(&verbs.secrets), names(&verbs.keys), names(&verbs.certificates));
            let set = Set { whom: &whom, secrets, keys, certificates };
            admin.ask(Method::PUT, &format!("{}/policies", path(&vault)), &set).await?
        }
        Command::Remove { vault, whom } => {
            let nothing =
                Set { whom: &whom, secrets: Vec::new(), keys: Vec::new(), certificates: Vec::new() };
            let before: Policies = admin.get(&path(&vault)).await?;
            let after: Policies =
                admin.ask(Method::PUT, &format!("{}/policies", path(&vault)), &nothing).await?;
            if !is_any_gone(&before.policies, &after.policies) {
                return Err(Failure::new(format!("no access policy of vault {vault} is theirs"))
                    .next(format!("keyless vault policy list {vault}")));
            }
            after
        }
        Command::List { vault } => admin.get(&path(&vault)).await?,
    };
    show(format, &vault.policies);
    Ok(())
}

fn is_any_gone(before: &[Policy], after: &[Policy]) -> bool {
    before.iter().any(|one| after.iter().all(|other| other.principal != one.principal))
}

pub(crate) fn show(format: Format, policies: &[Policy]) {
    match format {
        Format::Json => output::json(&policies),
        Format::Table => output::table(
            &["who", "principal", "secrets", "keys", "certificates"],
            policies.iter().map(|policy| {
                vec![
                    whom::name(policy.display_name.as_deref(), &policy.state),
                    policy.principal.clone(),
                    told::<SecretPermission>(&policy.secrets),
                    told::<KeyPermission>(&policy.keys),
                    told::<CertificatePermission>(&policy.certificates),
                ]
            }),
            "No access policy: nobody may do anything by one.",
        ),
    }
}

/// Verbs for people: as short as it can be said.
fn told<V: Permission>(verbs: &[String]) -> String {
    let lacking: Vec<String> =
        V::ALL.iter().map(ToString::to_string).filter(|verb| !verbs.contains(verb)).collect();
    match &*lacking {
        [] => "all".to_owned(),
        [one] if one == "purge" => "all but purge".to_owned(),
        _ if verbs.is_empty() => "-".to_owned(),
        _ => verbs.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn what_is_sent_names_whom_it_is_for_and_every_verb() {
        let line =
            ["keyless", "set", "shop", "--app", "web", "--secrets", "get,LIST", "--certificates", "all"];
        let Command::Set { whom, verbs, .. } = Cli::try_parse_from(line).unwrap().command else {
            panic!("it is set")
        };
        let set = Set {
            whom: &whom,
            secrets: names(&verbs.secrets),
            keys: names(&verbs.keys),
            certificates: names(&verbs.certificates),
        };
        let sent = serde_json::to_value(&set).unwrap();
        assert_eq!(sent.get("app").unwrap(), "web");
        assert!(sent.get("principal").is_none());
        assert_eq!(sent.get("secrets").unwrap(), &serde_json::json!(["get", "list"]));
        assert_eq!(sent.get("keys").unwrap(), &serde_json::json!([]));
        let certificates = sent.get("certificates").unwrap().as_array().unwrap();
        assert_eq!(certificates.len(), CertificatePermission::ALL.len());
        assert!(certificates.contains(&"purge".into()));
    }

    #[test]
    fn verbs_are_told_shortly() {
        let of = |verbs: &[&str]| {
            let verbs: Vec<String> = verbs.iter().map(|verb| (*verb).to_owned()).collect();
            told::<SecretPermission>(&verbs)
        };
        assert_eq!(of(&["get", "list"]), "get,list");
        assert_eq!(of(&[]), "-");
        let all: Vec<&str> = SecretPermission::ALL.iter().map(|verb| verb.as_str()).collect();
        assert_eq!(of(&all), "all");
        assert_eq!(of(all.split_last().unwrap().1), "all but purge");
    }
}
