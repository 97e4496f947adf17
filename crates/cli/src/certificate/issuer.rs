//! `keyless certificate issuer` and `contacts`: by whom a vault's certificates are signed, and who is to hear of them.

use super::body_of;
use crate::{
    admin::{Admin, segment},
    collection::{Ask, Collection},
    failure::Failure,
    objects::text,
    output::{self, Format},
};
use clap::Subcommand;
use domain::{ObjectKind, ObjectName, VaultName};
use http::Method;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All issuers of a vault
    List {
        /// The vault
        vault: VaultName,
    },
    /// One issuer
    Show {
        /// The vault
        vault: VaultName,
        /// The issuer
        name: ObjectName,
    },
    /// Make one, or replace it
    Set {
        /// The vault
        vault: VaultName,
        /// The issuer
        name: ObjectName,
        /// Which authority: Keyless is the vault's own; others are kept and not reached from here
        #[arg(long, value_name = "PROVIDER")]
        provider: String,
        /// The account with it
        #[arg(long, value_name = "ID")]
        account: Option<String>,
    },
    /// Delete one
    Delete {
        /// The vault
        vault: VaultName,
        /// The issuer
        name: ObjectName,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Contacts {
    /// The contacts of a vault
    Show {
        /// The vault
        vault: VaultName,
    },
    /// Say who; replaces all there were
    Set {
        /// The vault
        vault: VaultName,
        /// Mail addresses
        #[arg(required = true, value_name = "EMAIL", value_parser = email)]
        emails: Vec<String>,
    },
    /// Take all away
    Delete {
        /// The vault
        vault: VaultName,
    },
}

/// What is surely no mail address is a slip of the hand; what is one, only its mailbox knows.
fn email(text: &str) -> Result<String, String> {
    let parts = text.split_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
    match parts {
        Some(_) if !text.contains(char::is_whitespace) => Ok(text.to_owned()),
        _ => Err("a mail address is NAME@HOST".to_owned()),
    }
}

pub(super) async fn issuer(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let (vault, name, verb, method, body) = match command {
        Command::List { vault } => {
            let certificates = Collection::open(admin, ObjectKind::Certificate, &vault).await?;
            let issuers = certificates.pages("/certificates/issuers", None).await?;
            match format {
                Format::Json => output::json(&issuers),
                Format::Table => output::table(
                    &["name", "provider"],
                    issuers.iter().map(|issuer| vec![name_of(issuer), provider(issuer)]),
                    "There are no issuers in this vault; self and unknown are always there.",
                ),
            }
            return Ok(());
        }
        Command::Show { vault, name } => (vault, name, "getissuers", Method::GET, None),
        Command::Set { vault, name, provider, account } => {
            let mut body = json!({"provider": provider});
            if let (Some(account), Some(body)) = (account, body.as_object_mut()) {
                body.insert("credentials".to_owned(), json!({"account_id": account}));
            }
            (vault, name, "setissuers", Method::PUT, body_of(&body)?)
        }
        Command::Delete { vault, name } => (vault, name, "deleteissuers", Method::DELETE, None),
    };
    let certificates = Collection::open(admin, ObjectKind::Certificate, &vault).await?;
    let path = format!("/certificates/issuers/{}", segment(name.as_str()));
    let issuer: Value = certificates.ask(Ask { verb, method, name: Some(&name), path, body }).await?;
    match format {
        Format::Json => output::json(&issuer),
        Format::Table => {
            let mut facts = vec![("issuer", name_of(&issuer)), ("provider", provider(&issuer))];
            facts.extend(
                text(&issuer, "/credentials/account_id").map(|account| ("account", account.to_owned())),
            );
            output::facts(&facts);
        }
    }
    Ok(())
}

fn name_of(issuer: &Value) -> String {
    text(issuer, "/id").and_then(|id| id.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn provider(issuer: &Value) -> String {
    text(issuer, "/provider").unwrap_or("-").to_owned()
}

pub(super) async fn contacts(admin: &Admin, format: Format, command: Contacts) -> Result<(), Failure> {
    let (vault, method, body) = match command {
        Contacts::Show { vault } => (vault, Method::GET, None),
        Contacts::Set { vault, emails } => {
            let contacts: Vec<Value> = emails.iter().map(|email| json!({"email": email})).collect();
            (vault, Method::PUT, body_of(&json!({"contacts": contacts}))?)
        }
        Contacts::Delete { vault } => (vault, Method::DELETE, None),
    };
    let certificates = Collection::open(admin, ObjectKind::Certificate, &vault).await?;
    let path = "/certificates/contacts".to_owned();
    let contacts: Value =
        certificates.ask(Ask { verb: "managecontacts", method, name: None, path, body }).await?;
    match format {
        Format::Json => output::json(&contacts),
        Format::Table => output::table(
            &["email", "name", "phone"],
            contacts.get("contacts").and_then(Value::as_array).into_iter().flatten().map(|contact| {
                ["/email", "/name", "/phone"]
                    .map(|part| text(contact, part).unwrap_or("-").to_owned())
                    .to_vec()
            }),
            "There are no contacts.",
        ),
    }
    Ok(())
}
