//! `keyless access`: who may do what, by which rule, and why not.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    output::{self, Colour, Format, paint},
    vault::{Access, Network},
    whom::{self, Object, ObjectScope, Perhaps},
};
use clap::{Args, Subcommand};
use domain::VaultName;
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say who may do what in a vault and by which rule, and why not; without a principal: of everybody whom a rule that counts there names
    Explain(Question),
}

#[derive(Debug, Args, Serialize)]
pub(crate) struct Question {
    /// The vault
    #[arg(long)]
    #[serde(skip)]
    vault: VaultName,
    #[command(flatten)]
    #[serde(flatten)]
    whom: Perhaps,
    #[command(flatten)]
    #[serde(flatten)]
    object: Object,
    /// Only this action, such as secret.get, key.sign or certificate.import
    #[arg(long, value_name = "ACTION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
}

/// As the server tells it.
#[derive(Debug, Deserialize, Serialize)]
struct Explained {
    vault: String,
    access: Access,
    network: Network,
    object: Option<ObjectScope>,
    principals: Vec<Somebody>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Somebody {
    principal: String,
    display_name: Option<String>,
    state: String,
    actions: Vec<Answer>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Answer {
    action: String,
    allowed: bool,
    because: String,
    /// By a rule for this group, if for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assignment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Where the assignment is, if that is above the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// What the assignment is narrowed down to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<ObjectScope>,
}

pub(crate) async fn access(
    admin: &Admin,
    format: Format,
    Command::Explain(question): Command,
) -> Result<(), Failure> {
    let path = format!("/v1/vaults/{}/explain", segment(question.vault.as_str()));
    let explained: Explained = admin.ask(Method::POST, &path, &question).await?;
    match format {
        Format::Json => output::json(&explained),
        Format::Table => {
            show(&explained);
            if let Some(certificate) = question.object.certificate() {
                output::note(format_args!(
                    "Its private key is read as a secret and used as a key: ask also with --secret {certificate} and --key {certificate}."
                ));
            }
        }
    }
    Ok(())
}

fn show(explained: &Explained) {
    let mut facts = vec![("vault", format!("{}, by {}", explained.vault, explained.access.told()))];
    facts.extend(explained.object.as_ref().map(|object| ("object", object.told())));
    facts.push(("network", explained.network.told()));
    facts.extend(readers(explained).map(|readers| ("read by", readers)));
    output::facts(&facts);
    output::line("");
    let rows = explained.principals.iter().flat_map(|somebody| {
        let mut who = whom::name(somebody.display_name.as_deref(), &somebody.state);
        if somebody.display_name.is_none() {
            // Its id is all that is left of it.
            who = format!("{who} {}", somebody.principal);
        }
        grouped(&somebody.actions).into_iter().enumerate().map(move |(at, line)| {
            let who = if at == 0 { who.clone() } else { String::new() };
            let answer = match line.is_allowed {
                true => paint(Colour::Good, "may"),
                false => paint(Colour::Bad, "may not"),
            };
            vec![who, answer, line.because, line.kind, line.verbs.join(" ")]
        })
    });
    let nobody = match explained.access {
        Access::Policies => "The vault has no access policy: nobody may do anything.",
        Access::Roles => "No role is assigned in the vault or above it: nobody may do anything.",
    };
    output::table(&["who", "answer", "because", "what", ""], rows, nobody);
    if let Some(warning) = explained.network.warning(&explained.vault) {
        output::note(warning);
    }
}

/// Who may read the value, if that was asked of everybody: what people want to know of a secret first.
fn readers(explained: &Explained) -> Option<String> {
    let may_read = |somebody: &Somebody| {
        let answer = somebody.actions.iter().find(|answer| answer.action == "secret.get")?;
        Some(answer.allowed)
    };
    // Nobody at all is asked about where there is no rule.
    let is_asked = explained.object.as_ref().is_some_and(ObjectScope::is_secret)
        && explained.principals.iter().all(|somebody| may_read(somebody).is_some());
    let names: Vec<String> = explained
        .principals
        .iter()
        .filter(|somebody| may_read(somebody) == Some(true))
        .map(|somebody| whom::name(somebody.display_name.as_deref(), &somebody.state))
        .collect();
    is_asked.then(|| if names.is_empty() { "nobody".to_owned() } else { names.join(", ") })
}

/// Verbs on one kind of object with the same answer for the same reason.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    is_allowed: bool,
    because: String,
    kind: String,
    verbs: Vec<String>,
}

/// One line for each reason, what is allowed first; else in the order of the actions. Reasons that differ in nothing but the action itself
/// are one.
fn grouped(answers: &[Answer]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let is_single = answers.len() == 1;
    let (may, may_not): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.allowed);
    for answer in may.into_iter().chain(may_not) {
        let because = if is_single { answer.because.clone() } else { general(answer) };
        let (kind, verb) = answer.action.split_once('.').unwrap_or(("", &answer.action));
        let known = lines
            .iter_mut()
            .find(|line| line.is_allowed == answer.allowed && line.because == because && line.kind == kind);
        match known {
            Some(line) => line.verbs.push(verb.to_owned()),
            None => lines.push(Line {
                is_allowed: answer.allowed,
                because,
                kind: kind.to_owned(),
                verbs: vec![verb.to_owned()],
            }),
        }
    }
    lines
}

/// The reason without the verb or data action: what it has in common with those of other actions.
fn general(answer: &Answer) -> String {
    if let Some(role) = &answer.role {
        let object = answer.object.as_ref().map(ObjectScope::told);
        let place = object.as_deref().or(answer.scope.as_deref()).unwrap_or("the vault");
        let group = answer.group.as_ref().map_or_else(String::new, |group| format!(", by group {group}"));
        return format!("{role}, for {place}{group}");
    }
    if let Some(group) = &answer.group {
        return format!("the access policy of group {group}");
    }
    for (begin, short) in [
        ("the vault's access policy for the principal has ", "its access policy"),
        ("the vault's access policy for the principal lacks ", "not in its access policy"),
        ("no role that is assigned to the principal there has ", "no role of it there"),
    ] {
        if answer.because.starts_with(begin) {
            return short.to_owned();
        }
    }
    answer.because.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(action: &str, allowed: bool, because: &str) -> Answer {
        let (action, because) = (action.to_owned(), because.to_owned());
        Answer {
            action,
            allowed,
            because,
            group: None,
            assignment: None,
            role: None,
            scope: None,
            object: None,
        }
    }

    #[test]
    fn reasons_are_told_once_and_what_is_allowed_first() {
        let policy = |has: &str| format!("the vault's access policy for the principal {has}");
        let lines = grouped(&[
            answer("secret.get", false, &policy("lacks secrets get")),
            answer("secret.set", true, &policy("has secrets set")),
            answer("secret.list", false, &policy("lacks secrets list")),
            answer("secret.update", true, &policy("has secrets set")),
            answer("key.sign", true, &policy("has keys sign")),
        ]);
        let told: Vec<_> =
            lines.iter().map(|line| (line.is_allowed, line.kind.as_str(), line.verbs.join(" "))).collect();
        assert_eq!(
            told,
            [
                (true, "secret", "set update".to_owned()),
                (true, "key", "sign".to_owned()),
                (false, "secret", "get list".to_owned())
            ]
        );
        let gone = grouped(&[answer("secret.get", false, "the principal does not exist")]);
        assert_eq!(gone.first().unwrap().because, "the principal does not exist");
        let one = grouped(&[answer("secret.get", false, &policy("lacks secrets get"))]);
        assert_eq!(
            one.first().unwrap().because,
            policy("lacks secrets get"),
            "of one the whole reason is told"
        );
    }

    #[test]
    fn a_role_is_told_with_where_it_is_given() {
        let told = |scope: Option<&str>, object: Option<ObjectScope>| {
            let role = Some("Key Vault Reader".to_owned());
            general(&Answer {
                role,
                scope: scope.map(str::to_owned),
                object,
                ..answer("secret.get", true, "")
            })
        };
        assert_eq!(told(None, None), "Key Vault Reader, for the vault");
        assert_eq!(told(Some("group:shop"), None), "Key Vault Reader, for group:shop");
        assert_eq!(told(None, Some(ObjectScope::of("secret", "db"))), "Key Vault Reader, for secret db");
    }

    #[test]
    fn who_reads_a_secret_is_said_first() {
        let somebody = |name: &str, may: bool| Somebody {
            principal: String::new(),
            display_name: Some(name.to_owned()),
            state: "enabled".to_owned(),
            actions: vec![answer("secret.get", may, "")],
        };
        let explained = |kind: &str, principals| Explained {
            vault: "shop".to_owned(),
            access: Access::Policies,
            network: Network::open(),
            object: Some(ObjectScope::of(kind, "db")),
            principals,
        };
        let both = vec![somebody("web", true), somebody("job", false)];
        assert_eq!(readers(&explained("secret", both)).as_deref(), Some("web"));
        assert_eq!(readers(&explained("secret", Vec::new())).as_deref(), Some("nobody"));
        assert_eq!(readers(&explained("key", Vec::new())), None);
    }
}
