//! `keyless group`: principals that access policies and role assignments name together.

use crate::{
    admin::{Admin, segment},
    app::List,
    failure::Failure,
    output::{self, Format},
    whom::Member as Whom,
};
use clap::Subcommand;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a group with nobody in it
    Create {
        /// Its name
        name: String,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// All groups
    List,
    /// One group
    Show {
        /// Its name or id
        group: String,
    },
    /// Delete a group: what rules gave it is refused to its members from the answer on
    Delete {
        /// Its name or id
        group: String,
    },
    /// Who is in a group
    #[command(subcommand)]
    Member(MemberCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Put somebody into a group
    Add {
        /// The group's name or id
        group: String,
        #[command(flatten)]
        whom: Whom,
    },
    /// Take somebody out of a group: what rules give the group is refused to it from the answer on
    Remove {
        /// The group's name or id
        group: String,
        #[command(flatten)]
        whom: Whom,
    },
    /// Who is in a group
    List {
        /// The group's name or id
        group: String,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct Group {
    id: String,
    display_name: String,
    description: Option<String>,
    created: i64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Member {
    principal: String,
    display_name: String,
    kind: serde_json::Value,
    enabled: bool,
    since: i64,
}

pub(crate) async fn group(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, description } => {
            // Graph lets several groups have one name. Here they are named by it, which would be ambiguous from then on.
            let all: List<Group> = admin.get("/v1/groups").await?;
            if let Some(other) = all.value.iter().find(|one| one.display_name.eq_ignore_ascii_case(&name)) {
                return Err(Failure::new(format!("there is a group {} already", other.display_name))
                    .next(format!("keyless group show {}", other.id)));
            }
            let new = json!({"display_name": name, "description": description});
            let made: Group = admin.ask(Method::POST, "/v1/groups", &new).await?;
            show(format, &made);
            output::note(format_args!(
                "Put somebody into it: keyless group member add {} --user NAME",
                made.id
            ));
        }
        Command::List => {
            let all: List<Group> = admin.get("/v1/groups").await?;
            match format {
                Format::Json => output::json(&all.value),
                Format::Table => output::table(
                    &["name", "id", "created", "description"],
                    all.value.iter().map(|one| {
                        let description = one.description.clone().unwrap_or_default();
                        vec![one.display_name.clone(), one.id.clone(), output::time(one.created), description]
                    }),
                    "There are no groups. Make one: keyless group create NAME",
                ),
            }
        }
        Command::Show { group } => show(format, &admin.get(&path(&group)).await?),
        Command::Delete { group } => {
            admin.order(Method::DELETE, &path(&group)).await?;
            output::note("The group is deleted: what rules gave it is refused from now on.");
        }
        Command::Member(MemberCommand::Add { group, whom }) => {
            let added: Member = admin.ask(Method::POST, &members(&group), &whom).await?;
            list(format, std::slice::from_ref(&added));
        }
        Command::Member(MemberCommand::Remove { group, whom }) => {
            let sent = admin.send(Method::DELETE, &members(&group), Some(&whom)).await;
            sent.map_err(|fault| admin.explain(fault))?;
            output::note("It is taken out: what rules give the group is refused to it from now on.");
        }
        Command::Member(MemberCommand::List { group }) => {
            list(format, &admin.get::<List<Member>>(&members(&group)).await?.value);
        }
    }
    Ok(())
}

fn show(format: Format, one: &Group) {
    if format == Format::Json {
        return output::json(one);
    }
    let mut facts = vec![
        ("name", one.display_name.clone()),
        ("id", one.id.clone()),
        ("created", output::time(one.created)),
    ];
    facts.extend(one.description.iter().map(|text| ("description", text.clone())));
    output::facts(&facts);
}

fn list(format: Format, all: &[Member]) {
    match format {
        Format::Json => output::json(&all),
        Format::Table => output::table(
            &["name", "kind", "principal", "since", "state"],
            all.iter().map(|one| {
                vec![
                    one.display_name.clone(),
                    crate::principal::kind(&one.kind),
                    one.principal.clone(),
                    output::time(one.since),
                    if one.enabled { "enabled" } else { "disabled" }.to_owned(),
                ]
            }),
            "Nobody is in the group.",
        ),
    }
}

fn path(group: &str) -> String {
    format!("/v1/groups/{}", segment(group))
}

fn members(group: &str) -> String {
    format!("{}/members", path(group))
}
