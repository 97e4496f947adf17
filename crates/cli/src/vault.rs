//! `keyless vault`: vaults, their settings and their life. Who may do what in them is in [`policy`] and [`role`].

mod access;
mod policy;
mod role;

pub(crate) use access::Access;

use crate::{
    admin::{Admin, segment},
    app::List,
    failure::{self, Failure},
    output::{self, Colour, Format},
    role::Assignment,
};
use clap::{Args, Subcommand, ValueEnum, builder::PossibleValue};
use domain::VaultName;
use http::Method;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, IsTerminal};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a vault
    Create {
        /// Its name: 3 to 24 letters, digits and single dashes, a letter first
        name: VaultName,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change a vault's settings; what is not said stays as it is
    Update {
        /// Its name
        name: VaultName,
        #[command(flatten)]
        settings: Settings,
    },
    /// All vaults
    List {
        /// Those that are deleted and can be recovered
        #[arg(long)]
        deleted: bool,
    },
    /// One vault: its settings, and its access policies or role assignments
    Show {
        /// Its name
        name: VaultName,
        /// One that is deleted
        #[arg(long)]
        deleted: bool,
    },
    /// Delete a vault with all that is in it; it can be recovered until its retention is over
    Delete {
        /// Its name
        name: VaultName,
    },
    /// Bring a deleted vault back with all that was in it
    Recover {
        /// Its name
        name: VaultName,
    },
    /// Delete a deleted vault for good; its name is free then
    Purge {
        /// Its name
        name: VaultName,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Access policies: who may do what in a vault
    #[command(subcommand)]
    Policy(policy::Command),
    /// Role assignments: the other way to say who may do what in a vault
    #[command(subcommand)]
    Role(role::Command),
}

#[derive(Debug, Args, Serialize)]
pub(crate) struct Settings {
    /// How it is said who may do what: by the vault's access policies, or by role assignments [default of a new vault: policies]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "policies|roles")]
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<Access>,
    /// For how many days what was deleted can be recovered, 7 to 90; set once [default of a new vault: 90]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_days: Option<u16>,
    /// Let nobody purge before the retention is over; cannot be switched off again
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    purge_protection: Option<bool>,
    /// Answer only from this address or range, such as 192.0.2.0/24; may be given several times, replaces those of before. `any` alone
    /// opens the vault again
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow_ip: Vec<String>,
}

impl Settings {
    const fn is_empty(&self) -> bool {
        self.access.is_none()
            && self.retention_days.is_none()
            && self.purge_protection.is_none()
            && self.allow_ip.is_empty()
    }
}

impl ValueEnum for Access {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Policies, Self::Roles]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Policies => "policies",
            Self::Roles => "roles",
        }))
    }
}

/// A vault as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
struct Vault {
    name: String,
    id: String,
    url: String,
    created: i64,
    access: Access,
    retention_days: u16,
    purge_protection: bool,
    network: Network,
    policies: Vec<policy::Policy>,
    roles: Vec<Assignment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted: Option<Deleted>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Deleted {
    at: i64,
    purge_at: i64,
}

/// From where a vault may be asked.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Network {
    only_from: Option<Vec<String>>,
    allows_loopback: bool,
}

impl Network {
    #[cfg(test)]
    pub(crate) const fn open() -> Self {
        Self { only_from: None, allows_loopback: true }
    }

    /// In words.
    pub(crate) fn told(&self) -> String {
        match self.only_from.as_deref() {
            None => "from everywhere".to_owned(),
            Some([]) => "from nowhere".to_owned(),
            Some(ranges) => format!("only from {}", ranges.join(", ")),
        }
    }

    /// What a person on this machine should know of it.
    pub(crate) fn warning(&self, vault: &str) -> Option<String> {
        (!self.allows_loopback).then(|| {
            format!(
                "127.0.0.1 is not among them: programs and `keyless secret` on this very machine are refused, whoever they are. \
                 To open it again: keyless vault update {vault} --allow-ip any"
            )
        })
    }
}

pub(crate) async fn vault(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, settings } => {
            let mut body = serde_json::json!(settings);
            if let Some(members) = body.as_object_mut() {
                members.insert("name".to_owned(), serde_json::json!(name));
            }
            let made: Vault = admin.ask(Method::POST, "/v1/vaults", &body).await?;
            show(format, &made);
            output::note(format_args!(
                "Put a secret into it: printf %s VALUE | keyless secret set {name} NAME"
            ));
        }
        Command::Update { name, settings } => update(admin, format, &name, &settings).await?,
        Command::List { deleted: false } => {
            list(format, &admin.get::<List<Vault>>("/v1/vaults").await?.value)
        }
        Command::List { deleted: true } => {
            list_deleted(format, &admin.get::<List<Vault>>("/v1/deleted-vaults").await?.value);
        }
        Command::Show { name, deleted: false } => show(format, &admin.get(&path(&name)).await?),
        Command::Show { name, deleted: true } => show(format, &admin.get(&deleted_path(&name)).await?),
        Command::Delete { name } => {
            let deleted: Vault = admin.ask(Method::DELETE, &path(&name), &serde_json::json!({})).await?;
            show(format, &deleted);
            output::note(format_args!(
                "Nothing in it is served any more. To bring it back: keyless vault recover {name}"
            ));
        }
        Command::Recover { name } => {
            let path = format!("{}/recover", deleted_path(&name));
            show(format, &admin.ask(Method::POST, &path, &serde_json::json!({})).await?);
        }
        Command::Purge { name, yes } => {
            if !yes {
                confirm(&name)?;
            }
            admin.order(Method::DELETE, &deleted_path(&name)).await?;
            output::note(format_args!(
                "Vault {name} is gone for good, with all that was in it. Its name is free."
            ));
        }
        Command::Policy(command) => policy::policy(admin, format, command).await?,
        Command::Role(command) => role::role(admin, format, command).await?,
    }
    Ok(())
}

async fn update(admin: &Admin, format: Format, name: &VaultName, settings: &Settings) -> Result<(), Failure> {
    if settings.is_empty() {
        return Err(misuse("nothing is to be changed")
            .next("Give at least one of --access, --purge-protection, --allow-ip; see --help."));
    }
    let changed: Vault = admin.ask(Method::PATCH, &path(name), settings).await?;
    show(format, &changed);
    if settings.access == Some(Access::Roles) {
        output::note(format_args!(
            "Its access policies are kept and count for nothing now. Give roles: keyless vault role assign {name} --role \"Key Vault Secrets User\" --app APP"
        ));
    }
    if settings.access == Some(Access::Policies) {
        output::note("Its role assignments are kept and count for nothing now.");
    }
    Ok(())
}

/// Asks a person to type the vault's name; nobody else is there to say yes.
fn confirm(name: &VaultName) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(misuse(format!("vault {name} would be gone for good, and nobody is here to be asked"))
            .next("Give --yes if that is what you want."));
    }
    output::note(format_args!(
        "Vault {name} and all that was in it will be gone for good. Type its name to go on:"
    ));
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    if typed.trim().eq_ignore_ascii_case(name.as_str()) {
        return Ok(());
    }
    Err(Failure::new("that is not its name; nothing was done"))
}

fn path(name: &VaultName) -> String {
    format!("/v1/vaults/{}", segment(name.as_str()))
}

fn deleted_path(name: &VaultName) -> String {
    format!("/v1/deleted-vaults/{}", segment(name.as_str()))
}

fn list(format: Format, vaults: &[Vault]) {
    match format {
        Format::Json => output::json(&vaults),
        Format::Table => output::table(
            &["name", "url", "access", "rules", "network", "created"],
            vaults.iter().map(|vault| {
                let (access, rules) = match vault.access {
                    Access::Policies => ("policies", vault.policies.len()),
                    Access::Roles => ("roles", vault.roles.len()),
                };
                let network = match &vault.network.only_from {
                    None => "any".to_owned(),
                    Some(ranges) if ranges.is_empty() => "closed".to_owned(),
                    Some(ranges) => ranges.join(","),
                };
                vec![
                    vault.name.clone(),
                    vault.url.clone(),
                    access.to_owned(),
                    rules.to_string(),
                    network,
                    output::time(vault.created),
                ]
            }),
            "There are no vaults. Make one: keyless vault create NAME",
        ),
    }
}

fn list_deleted(format: Format, vaults: &[Vault]) {
    match format {
        Format::Json => output::json(&vaults),
        Format::Table => output::table(
            &["name", "deleted", "purged at", "purge protection"],
            vaults.iter().map(|vault| {
                let time = |of: fn(&Deleted) -> i64| {
                    vault.deleted.as_ref().map_or_else(String::new, |deleted| output::time(of(deleted)))
                };
                let protection = if vault.purge_protection { "on" } else { "off" };
                vec![vault.name.clone(), time(|it| it.at), time(|it| it.purge_at), protection.to_owned()]
            }),
            "No vault is deleted.",
        ),
    }
}

fn show(format: Format, vault: &Vault) {
    if format == Format::Json {
        return output::json(vault);
    }
    let protection = match vault.purge_protection {
        true => "on: nobody can purge before the retention is over",
        false => "off: who may purge, can",
    };
    let mut facts = vec![
        ("vault", vault.name.clone()),
        ("url", vault.url.clone()),
        ("id", vault.id.clone()),
        ("created", output::time(vault.created)),
        ("access", vault.access.told().to_owned()),
        ("network", vault.network.told()),
        ("retention", format!("{} days", vault.retention_days)),
        ("purge protection", protection.to_owned()),
    ];
    if let Some(deleted) = &vault.deleted {
        facts.push(("deleted", output::paint(Colour::Warn, output::time(deleted.at))));
        facts.push(("purged at", output::time(deleted.purge_at)));
    }
    output::facts(&facts);
    output::line("");
    match vault.access {
        Access::Policies => policy::show(format, &vault.policies),
        Access::Roles => crate::role::show(format, &vault.roles, &crate::role::none_at(&vault.name)),
    }
    if vault.deleted.is_none()
        && let Some(warning) = vault.network.warning(&vault.name)
    {
        output::note(warning);
    }
}

/// A misuse that clap cannot see.
pub(crate) fn misuse(message: impl Into<String>) -> Failure {
    Failure::new(message).code(failure::USAGE)
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

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = line.split(' ').map(|word| word.replace('_', " "));
        Cli::try_parse_from(std::iter::once("keyless".to_owned()).chain(words)).map(|cli| cli.command)
    }

    fn fault(line: &str) -> Option<ErrorKind> {
        parse(line).err().map(|error| error.kind())
    }

    #[test]
    fn rules_are_for_exactly_one_and_say_what() {
        let id = "11111111-1111-4111-8111-111111111111";
        for good in [
            "policy set shop --app web --secrets get,list".to_owned(),
            "policy set shop --app web --keys sign,VERIFY --certificates all".to_owned(),
            format!("policy set shop --principal {id} --secrets get --secrets PURGE"),
            format!("policy remove shop --client-id {id}"),
            "policy list shop".to_owned(),
            "role assign shop --role Key_Vault_Reader --app web".to_owned(),
            "role assign shop --role Key_Vault_Secrets_User --app web --secret db".to_owned(),
            format!("role remove shop --assignment {id}"),
            format!("role remove shop --role Key_Vault_Reader --principal {id} --key k"),
            "role definitions".to_owned(),
        ] {
            assert_eq!(fault(&good), None, "{good}");
        }
        for (bad, kind) in [
            ("policy set shop --secrets get".to_owned(), ErrorKind::MissingRequiredArgument),
            ("policy set shop --app web".to_owned(), ErrorKind::MissingRequiredArgument),
            (
                format!("policy set shop --app web --principal {id} --secrets get"),
                ErrorKind::ArgumentConflict,
            ),
            ("policy set shop --app web --secrets get,read".to_owned(), ErrorKind::ValueValidation),
            ("policy set shop --app web --keys set".to_owned(), ErrorKind::ValueValidation),
            ("policy set shop --principal web --secrets get".to_owned(), ErrorKind::ValueValidation),
            ("policy remove shop".to_owned(), ErrorKind::MissingRequiredArgument),
            ("create a--b".to_owned(), ErrorKind::ValueValidation),
            ("create shop --access anyhow".to_owned(), ErrorKind::InvalidValue),
            ("role assign shop --app web".to_owned(), ErrorKind::MissingRequiredArgument),
            ("role assign shop --role Key_Vault_Reader".to_owned(), ErrorKind::MissingRequiredArgument),
            (
                "role assign shop --role Key_Vault_Reader --app web --secret a --key b".to_owned(),
                ErrorKind::ArgumentConflict,
            ),
            ("role remove shop".to_owned(), ErrorKind::MissingRequiredArgument),
            ("role remove shop --role Key_Vault_Reader".to_owned(), ErrorKind::MissingRequiredArgument),
            (
                format!("role remove shop --assignment {id} --role Key_Vault_Reader --app web"),
                ErrorKind::ArgumentConflict,
            ),
        ] {
            assert_eq!(fault(&bad), Some(kind), "{bad}");
        }
    }

    #[test]
    fn only_settings_that_are_said_are_sent() {
        for (line, sent) in [
            ("update shop --purge-protection", r#"{"purge_protection":true}"#),
            ("update shop --purge-protection=false", r#"{"purge_protection":false}"#),
            ("update --purge-protection shop", r#"{"purge_protection":true}"#),
            (
                "create shop --access roles --retention-days 7 --allow-ip 10.0.0.0/8,::1 --allow-ip 192.0.2.1",
                r#"{"access":"roles","retention_days":7,"allow_ip":["10.0.0.0/8","::1","192.0.2.1"]}"#,
            ),
            ("create shop", "{}"),
        ] {
            let (Command::Update { settings, .. } | Command::Create { settings, .. }) = parse(line).unwrap()
            else {
                panic!("{line}")
            };
            assert_eq!(serde_json::to_string(&settings).unwrap(), sent, "{line}");
            assert_eq!(settings.is_empty(), sent == "{}");
        }
    }
}
