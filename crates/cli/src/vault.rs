//! `keyless vault`: vaults, and who may do what in them.

use crate::{
    admin::{Admin, segment},
    app::List,
    failure::{self, Failure},
    output::{self, Format},
};
use clap::{Args, Subcommand};
use domain::{AppName, ClientId, PrincipalId, SecretPermission, VaultName};
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a vault
    Create {
        /// Its name: 3 to 24 letters, digits and single dashes, a letter first
        name: VaultName,
    },
    /// All vaults
    List,
    /// One vault and its access policies
    Show {
        /// Its name
        name: VaultName,
    },
    /// Access policies: who may do what with a vault's secrets
    #[command(subcommand)]
    Policy(Policy),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Say what somebody may do; replaces what was said of them before
    Set {
        /// The vault
        vault: VaultName,
        #[command(flatten)]
        whom: Whom,
        /// Any of get, list, set, delete, recover, backup, restore, purge, with commas between
        #[arg(long, required = true, value_delimiter = ',', value_name = "VERBS")]
        secrets: Vec<SecretPermission>,
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

/// Exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whom {
    /// The managed identity of an app
    #[arg(long)]
    app: Option<AppName>,
    /// A principal by its id
    #[arg(long, value_name = "ID")]
    principal: Option<PrincipalId>,
    /// A principal by its client id
    #[arg(long, value_name = "ID")]
    client_id: Option<ClientId>,
}

/// A vault as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
struct Vault {
    name: String,
    id: String,
    url: String,
    created: i64,
    policies: Vec<PolicyShown>,
}

#[derive(Debug, Deserialize, Serialize)]
struct PolicyShown {
    principal: String,
    display_name: Option<String>,
    secrets: Vec<String>,
}

#[derive(Serialize)]
struct SetPolicy<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    app: &'a Option<AppName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: &'a Option<PrincipalId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: &'a Option<ClientId>,
    secrets: &'a [SecretPermission],
}

pub(crate) async fn vault(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name } => {
            let made: Vault =
                admin.ask(Method::POST, "/v1/vaults", &serde_json::json!({"name": name})).await?;
            show(format, &made);
            output::note(format_args!(
                "Put a secret into it: printf %s VALUE | keyless secret set {name} NAME"
            ));
        }
        Command::List => {
            let vaults: List<Vault> = admin.get("/v1/vaults").await?;
            match format {
                Format::Json => output::json(&vaults.value),
                Format::Table => output::table(
                    &["name", "url", "policies", "created"],
                    vaults.value.iter().map(|vault| {
                        let policies = vault.policies.len().to_string();
                        vec![vault.name.clone(), vault.url.clone(), policies, output::time(vault.created)]
                    }),
                    "There are no vaults. Make one: keyless vault create NAME",
                ),
            }
        }
        Command::Show { name } => show(format, &find(admin, &name).await?),
        Command::Policy(Policy::Set { vault, whom, secrets }) => {
            show_policies(format, &set(admin, &vault, &whom, &secrets).await?);
        }
        Command::Policy(Policy::Remove { vault, whom }) => {
            show_policies(format, &set(admin, &vault, &whom, &[]).await?)
        }
        Command::Policy(Policy::List { vault }) => show_policies(format, &find(admin, &vault).await?),
    }
    Ok(())
}

async fn find(admin: &Admin, name: &VaultName) -> Result<Vault, Failure> {
    admin.get(&format!("/v1/vaults/{}", segment(name.as_str()))).await
}

async fn set(
    admin: &Admin,
    vault: &VaultName,
    whom: &Whom,
    secrets: &[SecretPermission],
) -> Result<Vault, Failure> {
    let Whom { app, principal, client_id } = whom;
    let path = format!("/v1/vaults/{}/policies", segment(vault.as_str()));
    admin.ask(Method::PUT, &path, &SetPolicy { app, principal, client_id, secrets }).await
}

fn show(format: Format, vault: &Vault) {
    if format == Format::Json {
        return output::json(vault);
    }
    output::facts(&[
        ("vault", vault.name.clone()),
        ("url", vault.url.clone()),
        ("id", vault.id.clone()),
        ("created", output::time(vault.created)),
    ]);
    show_policies(format, vault);
}

fn show_policies(format: Format, vault: &Vault) {
    match format {
        Format::Json => output::json(&vault.policies),
        Format::Table => output::table(
            &["who", "principal", "secrets"],
            vault.policies.iter().map(|policy| {
                let who = policy.display_name.clone().unwrap_or_else(|| "(gone)".to_owned());
                vec![who, policy.principal.clone(), policy.secrets.join(", ")]
            }),
            "Nobody may do anything in this vault.",
        ),
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

    fn fault(line: &str) -> Option<ErrorKind> {
        Cli::try_parse_from(std::iter::once("keyless").chain(line.split(' '))).err().map(|error| error.kind())
    }

    #[test]
    fn a_policy_is_for_exactly_one_and_names_verbs() {
        let id = "11111111-1111-4111-8111-111111111111";
        for good in [
            "policy set shop --app web --secrets get,list".to_owned(),
            format!("policy set shop --principal {id} --secrets get --secrets PURGE"),
            format!("policy remove shop --client-id {id}"),
            "policy list shop".to_owned(),
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
            ("policy set shop --principal web --secrets get".to_owned(), ErrorKind::ValueValidation),
            ("policy remove shop".to_owned(), ErrorKind::MissingRequiredArgument),
            ("create a--b".to_owned(), ErrorKind::ValueValidation),
        ] {
            assert_eq!(fault(&bad), Some(kind), "{bad}");
        }
    }

    #[test]
    fn what_is_sent_names_whom_it_is_for_and_nobody_else() {
        let app = Some(AppName::parse("web").unwrap());
        let secrets = [SecretPermission::Get, SecretPermission::List];
        let policy = SetPolicy { app: &app, principal: &None, client_id: &None, secrets: &secrets };
        assert_eq!(serde_json::to_string(&policy).unwrap(), r#"{"app":"web","secrets":["get","list"]}"#);
    }
}
