//! `keyless role`: who has which role where, at every scope, and what roles allow.

use crate::{
    admin::{Admin, segment},
    app::List,
    failure::Failure,
    output::{self, Format},
    vault::misuse,
    whom::{self, Object, ObjectScope, Perhaps, Whom},
};
use clap::{Args, Subcommand};
use domain::{AppName, AssignmentId, IdentityName, PlanName, ResourceGroupName, VaultName};
use http::Method;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a role to somebody: for everything, a resource group, a vault, an app, an identity, a plan, or one object of a vault
    Assign(At<Words>),
    /// Take a role from somebody: by the assignment's id, or by the words that it was assigned with
    Remove {
        /// Where
        #[arg(
            long,
            value_name = SCOPE,
            required_unless_present = "assignment",
            conflicts_with = "assignment"
        )]
        scope: Option<Scope>,
        #[command(flatten)]
        which: Which,
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

const SCOPE: &str = "subscription|group:NAME|vault:NAME|app:NAME|identity:NAME|plan:GROUP/NAME";

/// Which role, for whom, for what: all but where, which `keyless vault role` says by its vault.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Words {
    /// A role by its name, such as "Key Vault Secrets User", or by its id; `keyless role definition list` shows all
    #[arg(long, value_name = "ROLE")]
    role: String,
    #[command(flatten)]
    #[serde(flatten)]
    whom: Whom,
    #[command(flatten)]
    #[serde(flatten)]
    object: Object,
}

/// One that was given: by its id, or by the words that it was given with.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Which assignment
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "role",
        conflicts_with_all = ["role", "object", "perhaps"]
    )]
    assignment: Option<AssignmentId>,
    #[command(flatten)]
    words: PerhapsWords,
}

/// The same as [`Words`], or nothing at all.
#[derive(Debug, Args, Serialize)]
struct PerhapsWords {
    /// The role, by its name or id
    #[arg(long, value_name = "ROLE", requires = "perhaps")]
    role: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    whom: Perhaps,
    #[command(flatten)]
    #[serde(flatten)]
    object: Object,
}

/// Words, and where.
#[derive(Debug, Args, Serialize)]
pub(crate) struct At<W: Args> {
    /// Where
    #[arg(long, value_name = SCOPE)]
    scope: Scope,
    #[command(flatten)]
    #[serde(flatten)]
    words: W,
}

/// Where a role is given.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    Subscription,
    Group(ResourceGroupName),
    Vault(VaultName),
    App(AppName),
    Identity(IdentityName),
    Plan(ResourceGroupName, PlanName),
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
            "plan" => {
                let (group, name) = name.split_once('/').ok_or("a plan is named plan:GROUP/NAME")?;
                Ok(Self::Plan(group.parse().map_err(told)?, name.parse().map_err(told)?))
            }
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
            Self::Plan(group, name) => write!(formatter, "plan:{group}/{name}"),
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
pub(crate) struct Assignment {
    id: String,
    principal: String,
    display_name: Option<String>,
    state: String,
    role: String,
    role_id: String,
    /// Not told of those of one vault, which are all there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
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
        Command::Assign(at) => {
            check(&at.words.object, Some(&at.scope))?;
            assign(admin, format, PATH, &at).await
        }
        Command::Remove { scope, which } => {
            check(&which.words.object, scope.as_ref())?;
            remove(admin, format, PATH, scope, which).await
        }
        Command::List { scope } => {
            let path = format!("{PATH}?scope={}", segment(&scope.to_string()));
            list(admin, format, &path, "No role is assigned there, above it or in it.").await
        }
        Command::Definition(DefinitionCommand::List) => definitions(admin, format).await,
    }
}

/// Gives one: `keyless vault role` does the same at its vault's own path.
pub(crate) async fn assign(
    admin: &Admin,
    format: Format,
    path: &str,
    words: &impl Serialize,
) -> Result<(), Failure> {
    one(format, &admin.ask(Method::POST, path, words).await?);
    Ok(())
}

/// Takes one away.
pub(crate) async fn remove(
    admin: &Admin,
    format: Format,
    path: &str,
    scope: Option<Scope>,
    which: Which,
) -> Result<(), Failure> {
    let removed = match (which.assignment, scope) {
        (Some(id), _) => admin.ask(Method::DELETE, &format!("{path}/{id}"), &serde_json::json!({})).await?,
        (None, Some(scope)) => admin.ask(Method::DELETE, path, &At { scope, words: which.words }).await?,
        (None, None) => admin.ask(Method::DELETE, path, &which.words).await?,
    };
    one(format, &removed);
    output::note("It is taken away: what it allowed is refused from now on.");
    Ok(())
}

pub(crate) async fn list(admin: &Admin, format: Format, path: &str, nothing: &str) -> Result<(), Failure> {
    show(format, &admin.get::<List<Assignment>>(path).await?.value, nothing);
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
        Format::Table => show(format, std::slice::from_ref(assignment), ""),
    }
}

/// What is said of a vault at which no role is assigned: those from above count there all the same.
pub(crate) fn none_at(vault: &str) -> String {
    format!(
        "No role is assigned at the vault itself; `keyless role list --scope vault:{vault}` shows those from above, too."
    )
}

/// A table of them, or that there are none. Those of one vault say for what of it they are.
pub(crate) fn show(format: Format, assignments: &[Assignment], nothing: &str) {
    let row = |assignment: &Assignment| {
        let object = assignment.object.as_ref().map(ObjectScope::told);
        let place = match (&assignment.scope, object) {
            (None, object) => object.unwrap_or_else(|| "the vault".to_owned()),
            (Some(scope), Some(object)) => format!("{scope}, {object}"),
            (Some(scope), None) => scope.clone(),
        };
        vec![
            whom::name(assignment.display_name.as_deref(), &assignment.state),
            assignment.role.clone(),
            place,
            assignment.principal.clone(),
            assignment.id.clone(),
        ]
    };
    match format {
        Format::Json => output::json(&assignments),
        Format::Table => output::table(
            &["who", "role", "for", "principal", "assignment"],
            assignments.iter().map(row),
            nothing,
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
            "list --scope plan:shop/small",
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
            "assign --role Owner --user ada --scope plan:x/",
            "assign --role Owner --user ada --scope plan:x/y/z",
            "assign --role Owner --user ada --scope vault:till --secret a --key b",
            "remove",
            "remove --role Owner --user ada",
            "remove --role Owner --scope subscription",
            &format!("remove --assignment {id} --scope subscription"),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for told in
            ["subscription", "group:Shop", "vault:till", "app:web", "identity:readers", "plan:Shop/small"]
        {
            assert_eq!(told.parse::<Scope>().unwrap().to_string(), told);
        }
        let Ok(Command::Assign(at)) = parse("assign --role Owner --user ada --scope subscription --key k")
        else {
            panic!("it is one");
        };
        assert!(check(&at.words.object, Some(&at.scope)).is_err(), "an object is of a vault");
        let said = serde_json::to_value(&at).unwrap();
        assert_eq!(
            said,
            serde_json::json!({"role": "Owner", "scope": "subscription", "user": "ada", "key": "k"})
        );
    }
}
