//! `keyless access`: who may do what, by which rule, and why not.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    output::{self, Colour, Format, paint},
    vault::{Access, Network, Scope},
    whom::{self, Object, Perhaps},
};
use clap::{Args, Subcommand};
use domain::VaultName;
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say who may do what in a vault and by which rule, and why not; without a principal: of everybody whom a rule of the vault names
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
    object: Option<Scope>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assignment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
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
    output::facts(&facts);
    output::line("");
    let rows = explained.principals.iter().flat_map(|somebody| {
        let who = whom::name(somebody.display_name.as_deref(), &somebody.state);
        grouped(&somebody.actions).into_iter().enumerate().map(move |(at, line)| {
            let who = if at == 0 { who.clone() } else { String::new() };
            let answer = match line.is_allowed {
                true => paint(Colour::Good, "may"),
                false => paint(Colour::Bad, "may not"),
            };
            vec![who, answer, line.actions.join(" "), line.because]
        })
    });
    let nobody = match explained.access {
        Access::Policies => "The vault has no access policy: nobody may do anything.",
        Access::Roles => "No role is assigned in the vault: nobody may do anything.",
    };
    output::table(&["who", "answer", "what", "because"], rows, nobody);
    if let Some(warning) = explained.network.warning(&explained.vault) {
        output::note(warning);
    }
}

/// Actions with the same answer for the same reason.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    is_allowed: bool,
    actions: Vec<String>,
    because: String,
}

/// One line for each reason, what is allowed first; else in the order of the actions. The reasons that differ in nothing but the action
/// itself are one.
fn grouped(answers: &[Answer]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let is_single = answers.len() == 1;
    let (may, may_not): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.allowed);
    for answer in may.into_iter().chain(may_not) {
        let because = if is_single { answer.because.clone() } else { general(answer) };
        match lines.iter_mut().find(|line| line.is_allowed == answer.allowed && line.because == because) {
            Some(line) => line.actions.push(answer.action.clone()),
            None => {
                let (is_allowed, actions) = (answer.allowed, vec![answer.action.clone()]);
                lines.push(Line { is_allowed, actions, because });
            }
        }
    }
    lines
}

/// The reason without the verb or data action: what it has in common with those of other actions.
fn general(answer: &Answer) -> String {
    for (begin, short) in [
        ("the vault's access policy for the principal has ", "its access policy has the verbs"),
        ("the vault's access policy for the principal lacks ", "its access policy lacks the verbs"),
        (
            "no role that is assigned to the principal there has ",
            "no role that is assigned to it there has the data actions",
        ),
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
        Answer {
            action: action.to_owned(),
            allowed,
            because: because.to_owned(),
            assignment: None,
            role: None,
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
        ]);
        let told: Vec<(bool, String)> =
            lines.iter().map(|line| (line.is_allowed, line.actions.join(" "))).collect();
        assert_eq!(
            told,
            [(true, "secret.set secret.update".to_owned()), (false, "secret.get secret.list".to_owned())]
        );
        let gone = grouped(&[answer("secret.get", false, "the principal does not exist")]);
        assert_eq!(gone.first().unwrap().because, "the principal does not exist");
        let one = grouped(&[answer("secret.get", false, &policy("lacks secrets get"))]);
        assert_eq!(
            one.first().unwrap().because,
            policy("lacks secrets get"),
            "of one action the whole reason is told"
        );
    }
}
