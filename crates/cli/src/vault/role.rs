//! `keyless vault role`: the role assignments of one vault. Those of everything are `keyless role`'s.

use crate::{
    admin::{Admin, segment},
    app::List,
    failure::Failure,
    output::{self, Format},
    role::definitions,
    whom::{self, Object, Perhaps, Whom},
};
use clap::{Args, Subcommand};
use domain::{AssignmentId, VaultName};
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a role to somebody, for a vault or for one object of it
    Assign {
        /// The vault
        vault: VaultName,
        #[command(flatten)]
        words: Words,
    },
    /// Take a role from somebody: by the assignment's id, or by the words that it was assigned with
    Remove {
        /// The vault
        vault: VaultName,
        /// Which assignment
        #[arg(
            long,
            value_name = "ID",
            required_unless_present = "role",
            conflicts_with_all = ["role", "object", "perhaps"]
        )]
        assignment: Option<AssignmentId>,
        #[command(flatten)]
        words: RemoveWords,
    },
    /// The role assignments of a vault
    List {
        /// The vault
        vault: VaultName,
    },
    /// The roles and what each allows, as `keyless role definition list`
    Definitions,
}

/// Which role, for whom, for what.
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

/// The same, or nothing at all.
#[derive(Debug, Args, Serialize)]
pub(crate) struct RemoveWords {
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

/// An assignment as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Assignment {
    id: String,
    principal: String,
    display_name: Option<String>,
    state: String,
    role: String,
    role_id: String,
    object: Option<Scope>,
    created: i64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Scope {
    kind: String,
    name: String,
}

impl Scope {
    /// In words.
    pub(crate) fn told(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Is it a secret?
    pub(crate) fn is_secret(&self) -> bool {
        self.kind == "secret"
    }

    #[cfg(test)]
    pub(crate) fn of(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }
}

pub(crate) async fn role(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let path = |vault: &VaultName| format!("/v1/vaults/{}/roles", segment(vault.as_str()));
    match command {
        Command::Assign { vault, words } => {
            let assigned: Assignment = admin.ask(Method::POST, &path(&vault), &words).await?;
            one(format, &assigned);
        }
        Command::Remove { vault, assignment, words } => {
            let removed: Assignment = match assignment {
                Some(id) => {
                    let path = format!("{}/{id}", path(&vault));
                    admin.ask(Method::DELETE, &path, &serde_json::json!({})).await?
                }
                None => admin.ask(Method::DELETE, &path(&vault), &words).await?,
            };
            one(format, &removed);
            output::note("It is taken away: what it allowed is refused from now on.");
        }
        Command::List { vault } => show(format, &admin.get::<List<Assignment>>(&path(&vault)).await?.value),
        Command::Definitions => definitions(admin, format).await?,
    }
    Ok(())
}

fn one(format: Format, assignment: &Assignment) {
    match format {
        Format::Json => output::json(assignment),
        Format::Table => show(format, std::slice::from_ref(assignment)),
    }
}

pub(crate) fn show(format: Format, assignments: &[Assignment]) {
    match format {
        Format::Json => output::json(&assignments),
        Format::Table => output::table(
            &["who", "role", "for", "principal", "assignment"],
            assignments.iter().map(|assignment| {
                vec![
                    whom::name(assignment.display_name.as_deref(), &assignment.state),
                    assignment.role.clone(),
                    assignment.object.as_ref().map_or_else(|| "the vault".to_owned(), Scope::told),
                    assignment.principal.clone(),
                    assignment.id.clone(),
                ]
            }),
            "No role is assigned: nobody may do anything by one.",
        ),
    }
}
