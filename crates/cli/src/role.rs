//! `keyless role`: who has which role where, at every scope, and what roles allow.

use crate::{
    admin::Admin,
    app::List,
    failure::Failure,
    output::{self, Format},
    vault::{Scope as ObjectScope, misuse},
    whom::{self, Object, Perhaps, Whom},
};
use clap::{Args, Subcommand};
use domain::{AppName, AssignmentId, IdentityName, ResourceGroupName, VaultName};
use http::Method;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a role to somebody: for everything, a resource group, a vault, an app, an identity, or one object of a vault
    Assign(Words),
    /// Take a role from somebody: by the assignment's id, or by the words that it was assigned with
    Remove {
        /// Which assignment
        #[arg(
            long,
            value_name = "ID",
            required_unless_present = "role",
            conflicts_with_all = ["role", "scope", "object", "perhaps"]
        )]
        assignment: Option<AssignmentId>,
        #[command(flatten)]
        words: RemoveWords,
    },
    /// Who has which role: there, in what it is in, and in what is in it
    List {
        /// Where
        #[arg(long, default_value = "subscription", value_name = SCOPE)]
        scope: Scope,
    },
    /// Roles and what each allows
    #[command(subcommand)]
    Definition(DefinitionCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DefinitionCommand {
    /// All roles: the built-in ones, and those that people made
    List,
}

const SCOPE: &str = "subscription|group:NAME|vault:NAME|app:NAME|identity:NAME";

/// Which role, for whom, where.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Words {
    /// A role by its name, such as Reader, or by its id; `keyless role definition list` shows all
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// Where
    #[arg(long, value_name = SCOPE)]
    scope: Scope,
    #[command(flatten)]
    #[serde(flatten)]
    whom: Whom,
    #[command(flatten)]
    #[serde(flatten)]
    object: Object,
}

/// The same, or nothing at all.
#[derive(Debug, Args, Serialize)]
pub(crate) struct RemoveWords {
    /// The role, by its name or id
    #[arg(long, value_name = "ROLE", requires = "perhaps", requires = "scope")]
    role: Option<String>,
    /// Where
    #[arg(long, value_name = SCOPE)]
    scope: Option<Scope>,
    #[command(flatten)]
    #[serde(flatten)]
    whom: Perhaps,
    #[command(flatten)]
    #[serde(flatten)]
    object: Object,
}

/// Where a role is given.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    Subscription,
    Group(ResourceGroupName),
    Vault(VaultName),
    App(AppName),
    Identity(IdentityName),
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let told = |error: domain::NameError| error.to_string();
        match kind {
            "subscription" if !text.contains(':') => Ok(Self::Subscription),
            "group" => name.parse().map(Self::Group).map_err(told),
            "vault" => name.parse().map(Self::Vault).map_err(told),
            "app" => name.parse().map(Self::App).map_err(told),
            "identity" => name.parse().map(Self::Identity).map_err(told),
            _ => Err(format!("it is one of {}", SCOPE.replace('|', ", "))),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription => formatter.write_str("subscription"),
            Self::Group(name) => write!(formatter, "group:{name}"),
            Self::Vault(name) => write!(formatter, "vault:{name}"),
            Self::App(name) => write!(formatter, "app:{name}"),
            Self::Identity(name) => write!(formatter, "identity:{name}"),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An assignment as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
struct Assignment {
    id: String,
    principal: String,
    display_name: Option<String>,
    state: String,
    role: String,
    role_id: String,
    scope: String,
    object: Option<ObjectScope>,
    created: i64,
}

/// A role as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
struct Definition {
    id: String,
    name: String,
    is_custom: bool,
    actions: Vec<String>,
    not_actions: Vec<String>,
    data_actions: Vec<String>,
    not_data_actions: Vec<String>,
    assignable_scopes: Vec<String>,
}

const PATH: &str = "/v1/role-assignments";

pub(crate) async fn role(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Assign(words) => {
            check(&words.object, Some(&words.scope))?;
            let assigned: Assignment = admin.ask(Method::POST, PATH, &words).await?;
            one(format, &assigned);
        }
        Command::Remove { assignment, words } => {
            let removed: Assignment = match assignment {
                Some(id) => {
                    admin.ask(Method::DELETE, &format!("{PATH}/{id}"), &serde_json::json!({})).await?
                }
                None => {
                    check(&words.object, words.scope.as_ref())?;
                    admin.ask(Method::DELETE, PATH, &words).await?
                }
            };
            one(format, &removed);
            output::note("It is taken away: what it allowed is refused from now on.");
        }
        Command::List { scope } => {
            show(format, &admin.get::<List<Assignment>>(&format!("{PATH}?scope={scope}")).await?.value);
        }
        Command::Definition(DefinitionCommand::List) => definitions(admin, format).await?,
    }
    Ok(())
}

/// All roles and what each allows.
pub(crate) async fn definitions(admin: &Admin, format: Format) -> Result<(), Failure> {
    show_definitions(format, &admin.get::<List<Definition>>("/v1/roles").await?.value);
    Ok(())
}

fn check(object: &Object, scope: Option<&Scope>) -> Result<(), Failure> {
    match (object.is_any(), scope) {
        (true, Some(Scope::Vault(_))) | (false, _) => Ok(()),
        (true, _) => Err(misuse("--secret, --key and --certificate are of a vault: --scope vault:NAME")),
    }
}

fn one(format: Format, assignment: &Assignment) {
    match format {
        Format::Json => output::json(assignment),
        Format::Table => show(format, std::slice::from_ref(assignment)),
    }
}

fn show(format: Format, assignments: &[Assignment]) {
    match format {
        Format::Json => output::json(&assignments),
        Format::Table => output::table(
            &["who", "role", "scope", "principal", "assignment"],
            assignments.iter().map(|assignment| {
                let object = assignment.object.as_ref().map(|object| format!(", {}", object.told()));
                vec![
                    whom::name(assignment.display_name.as_deref(), &assignment.state),
                    assignment.role.clone(),
                    format!("{}{}", assignment.scope, object.unwrap_or_default()),
                    assignment.principal.clone(),
                    assignment.id.clone(),
                ]
            }),
            "No role is assigned there.",
        ),
    }
}

/// One line for each operation, the role's name and id on the first.
fn show_definitions(format: Format, definitions: &[Definition]) {
    if format == Format::Json {
        return output::json(&definitions);
    }
    let rows = definitions.iter().flat_map(|definition| {
        let kinds = [
            ("", &definition.actions),
            ("not ", &definition.not_actions),
            ("data: ", &definition.data_actions),
            ("not data: ", &definition.not_data_actions),
        ];
        let all: Vec<String> = kinds
            .iter()
            .flat_map(|(kind, actions)| actions.iter().map(move |action| format!("{kind}{action}")))
            .collect();
        let first = [definition.name.clone(), definition.id.clone()];
        all.into_iter().enumerate().map(move |(at, action)| {
            let [name, id] = if at == 0 { first.clone() } else { [String::new(), String::new()] };
            vec![name, id, action]
        })
    });
    output::table(&["role", "id", "allows"], rows, "There are no roles.");
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

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = line.split(' ').map(str::to_owned);
        Cli::try_parse_from(std::iter::once("keyless".to_owned()).chain(words)).map(|cli| cli.command)
    }

    #[test]
    fn a_role_is_for_exactly_one_at_one_scope() {
        let id = "11111111-1111-4111-8111-111111111111";
        for good in [
            "assign --role Owner --user ada --scope subscription",
            "assign --role Reader --app web --scope group:shop",
            "assign --role Reader --group ops --scope vault:till --secret db",
            &format!("remove --role Reader --principal {id} --scope app:web"),
            &format!("remove --assignment {id}"),
            "list",
            "list --scope identity:till",
            "definition list",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "assign --role Owner --user ada",
            "assign --role Owner --scope subscription",
            "assign --role Owner --user ada --app web --scope subscription",
            "assign --role Owner --user ada --scope subscription:x",
            "assign --role Owner --user ada --scope group:",
            "assign --role Owner --user ada --scope plan:x",
            "assign --role Owner --user ada --scope vault:till --secret a --key b",
            "remove",
            "remove --role Owner --user ada",
            "remove --role Owner --scope subscription",
            &format!("remove --assignment {id} --scope subscription"),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!("group:Shop".parse::<Scope>().unwrap().to_string(), "group:Shop");
        let Ok(Command::Assign(words)) = parse("assign --role Owner --user ada --scope subscription --key k")
        else {
            panic!("it is one");
        };
        assert!(check(&words.object, Some(&words.scope)).is_err(), "an object is of a vault");
        let said = serde_json::to_value(&words).unwrap();
        assert_eq!(
            said,
            serde_json::json!({"role": "Owner", "scope": "subscription", "user": "ada", "key": "k"})
        );
    }
}
