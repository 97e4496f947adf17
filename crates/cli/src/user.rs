//! `keyless user`: people who sign in with a password. A password comes from a terminal, standard input or a file, or is made up and
//! printed once; it is never an argument.

use crate::{
    admin::{Admin, segment},
    app::List,
    failure::Failure,
    files,
    output::{self, Format},
    vault::misuse,
};
use clap::{Args, Subcommand};
use domain::{Secret, limits};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a user; unless told otherwise a password is made up, printed once, and must be changed at the first sign-in
    Create(Create),
    /// All users
    List,
    /// One user
    Show {
        /// Its user name or id
        user: String,
    },
    /// Change a user; what is not said stays as it is
    Update(Update),
    /// Delete a user: it is refused everywhere from the answer on
    Delete {
        /// Its user name or id
        user: String,
    },
    /// Set a user's password: typed, the first line of standard input or of a file, or made up
    Password(Password),
    /// A user's authenticator app, as a second factor
    #[command(subcommand)]
    Totp(Totp),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its user name, such as alice or alice@keyless.localhost
    user: String,
    /// A name for people; what is before the @, unless it is given
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Where it gets mail
    #[arg(long)]
    mail: Option<String>,
    /// It may do nothing until it is enabled
    #[arg(long)]
    disabled: bool,
    /// The first line of this file is its password (-: of standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    password_file: Option<PathBuf>,
    /// No password: it cannot sign in until one is set
    #[arg(long)]
    no_password: bool,
    /// Must it change its password when it first signs in? [default: only one that was made up]
    #[arg(long, value_name = "true|false")]
    must_change: Option<bool>,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its user name or id
    user: String,
    /// Another user name
    #[arg(long, value_name = "NAME")]
    user_name: Option<String>,
    /// A name for people
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Where it gets mail; empty takes it away
    #[arg(long)]
    mail: Option<String>,
    /// Let it act, or refuse it everywhere from the answer on
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
    /// Let it do all in the directory by Microsoft Graph, or no longer
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    administrator: Option<bool>,
}

#[derive(Debug, Args)]
pub(crate) struct Password {
    /// Its user name or id
    user: String,
    /// The first line of this file is the password (-: of standard input)
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Make one up, and print it this once
    #[arg(long, conflicts_with = "file")]
    generate: bool,
    /// Must it change it at the next sign-in? [default: only one that was made up]
    #[arg(long, value_name = "true|false")]
    must_change: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Totp {
    /// Begin with an app: prints the secret that it needs, once
    Add {
        /// Its user name or id
        user: String,
    },
    /// End with it: the code that the app shows. From then on every sign-in asks for one
    Confirm {
        /// Its user name or id
        user: String,
        /// The code
        code: String,
    },
    /// Take the app away: the password is enough again
    Remove {
        /// Its user name or id
        user: String,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct User {
    id: String,
    user_name: String,
    display_name: String,
    mail: Option<String>,
    enabled: bool,
    has_password: bool,
    must_change_password: bool,
    password_set: Option<i64>,
    has_authenticator: bool,
    #[serde(default)]
    is_administrator: bool,
    groups: Vec<String>,
    created: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Enrolled {
    id: String,
    user_name: String,
    secret: String,
    uri: String,
}

/// A user as it is sent.
#[derive(Serialize)]
struct New<'a> {
    user_name: &'a str,
    display_name: Option<&'a str>,
    mail: Option<&'a str>,
    disabled: bool,
    generate_password: bool,
    #[serde(flatten)]
    password: NewPassword<'a>,
}

/// Its password. Borrowed, so that no other copy of it is made.
#[derive(Serialize)]
struct NewPassword<'a> {
    password: Option<&'a str>,
    must_change_password: bool,
}

pub(crate) async fn user(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create(admin, format, args).await?,
        Command::List => {
            let mut all = admin.get::<List<User>>("/v1/users").await?.value;
            all.sort_by(|one, other| one.user_name.cmp(&other.user_name));
            list(format, &all);
        }
        Command::Show { user } => show(format, &admin.get(&path(&user)).await?),
        Command::Update(args) => update(admin, format, args).await?,
        Command::Delete { user } => {
            admin.order(Method::DELETE, &path(&user)).await?;
            output::note("The user is deleted: it is refused everywhere from now on.");
        }
        Command::Password(args) => password(admin, format, args).await?,
        Command::Totp(Totp::Add { user }) => {
            let path = format!("{}/authenticator", path(&user));
            let enrolled: Enrolled = admin.ask(Method::POST, &path, &json!({})).await?;
            match format {
                Format::Json => output::json(&enrolled),
                Format::Table => output::facts(&[
                    ("user", enrolled.user_name.clone()),
                    ("secret", enrolled.secret.clone()),
                    ("uri", enrolled.uri.clone()),
                ]),
            }
            let user = &enrolled.user_name;
            output::shown_once("secret", format_args!("keyless user totp add {user}"));
            output::note(format_args!("Give it to the app, then: keyless user totp confirm {user} CODE"));
        }
        Command::Totp(Totp::Confirm { user, code }) => {
            let path = format!("{}/authenticator/confirm", path(&user));
            show(format, &admin.ask(Method::POST, &path, &json!({"code": code})).await?);
            output::note("From now on every sign-in asks for a code.");
        }
        Command::Totp(Totp::Remove { user }) => {
            let path = format!("{}/authenticator", path(&user));
            show(format, &admin.ask(Method::DELETE, &path, &json!({})).await?);
            output::note("The password is enough again.");
        }
    }
    Ok(())
}

async fn create(admin: &Admin, format: Format, args: Create) -> Result<(), Failure> {
    let given = args.password_file.as_deref().map(from_file).transpose()?;
    let is_made_up = given.is_none() && !args.no_password;
    let new = New {
        user_name: &args.user,
        display_name: args.display_name.as_deref(),
        mail: args.mail.as_deref(),
        disabled: args.disabled,
        generate_password: is_made_up,
        password: NewPassword {
            password: given.as_ref().map(|given| given.expose().as_str()),
            must_change_password: args.must_change.unwrap_or(is_made_up),
        },
    };
    show(format, &admin.ask(Method::POST, "/v1/users", &new).await?);
    Ok(())
}

async fn update(admin: &Admin, format: Format, args: Update) -> Result<(), Failure> {
    let mut change = serde_json::Map::new();
    let mut put = |name: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            change.insert(name.to_owned(), value);
        }
    };
    put("user_name", args.user_name.map(Into::into));
    put("display_name", args.display_name.map(Into::into));
    put("mail", args.mail.map(|mail| if mail.is_empty() { json!(null) } else { mail.into() }));
    put("enabled", args.enabled.map(Into::into));
    put("is_administrator", args.administrator.map(Into::into));
    if change.is_empty() {
        return Err(misuse("nothing is to be changed").next(
            "Give at least one of --user-name, --display-name, --mail, --enabled, --administrator; see --help.",
        ));
    }
    show(format, &admin.ask(Method::PATCH, &path(&args.user), &change).await?);
    Ok(())
}

async fn password(admin: &Admin, format: Format, args: Password) -> Result<(), Failure> {
    let given = match &args.file {
        _ if args.generate => None,
        Some(file) => Some(from_file(file)?),
        None if io::stdin().is_terminal() => Some(typed()?),
        None => Some(first_line(io::stdin().lock())?),
    };
    let new = NewPassword {
        password: given.as_ref().map(|given| given.expose().as_str()),
        must_change_password: args.must_change.unwrap_or(args.generate),
    };
    let path = format!("{}/password", path(&args.user));
    show(format, &admin.ask(Method::PUT, &path, &new).await?);
    Ok(())
}

/// Twice, since nobody sees it.
fn typed() -> Result<Secret<String>, Failure> {
    let first = Secret::new(rpassword::prompt_password("Password (not shown): ")?);
    let second = Secret::new(rpassword::prompt_password("Again: ")?);
    if first.expose() != second.expose() {
        return Err(Failure::new("the two are not the same").next("Nothing has changed: try again."));
    }
    Ok(first)
}

fn from_file(path: &Path) -> Result<Secret<String>, Failure> {
    files::warn_if_readable_by_others(path);
    first_line(files::read(path, BYTES_MAX, "a password's file")?.expose().as_slice())
}

/// Bytes of the longest password, and of the line break after it.
const BYTES_MAX: usize = limits::PASSWORD_CHARS_MAX * 4 + 2;

fn first_line(source: impl BufRead) -> Result<Secret<String>, Failure> {
    let whole = files::read_from(source, BYTES_MAX, BYTES_MAX, "a password with its line break")?;
    let text =
        std::str::from_utf8(whole.expose()).map_err(|_| Failure::new("a password is text in UTF-8"))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::new("no password was given").next(
            "Give it on the first line of standard input or of a file, or have one made up: by leaving it out for a new user, by --generate for one that is there.",
        ));
    }
    Ok(Secret::new(line.to_owned()))
}

fn list(format: Format, users: &[User]) {
    match format {
        Format::Json => output::json(&users),
        Format::Table => output::table(
            &["user", "name", "sign-in", "id", "state", "administrator"],
            users.iter().map(|one| {
                let (name, id) = (one.display_name.clone(), one.id.clone());
                let administrator = if one.is_administrator { "yes" } else { "-" }.to_owned();
                vec![one.user_name.clone(), name, sign_in(one), id, state(one).to_owned(), administrator]
            }),
            "There are no users. Make one: keyless user create NAME",
        ),
    }
}

fn show(format: Format, one: &User) {
    match format {
        Format::Json => output::json(one),
        Format::Table => {
            let mut facts = facts(one);
            facts.extend(one.password.iter().map(|password| ("password", password.clone())));
            output::facts(&facts);
        }
    }
    if one.password.is_some() {
        output::shown_once("password", format_args!("keyless user password {} --generate", one.user_name));
    }
}

/// What is told of a user, but for its password.
fn facts(one: &User) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("user", one.user_name.clone()),
        ("name", one.display_name.clone()),
        ("id", one.id.clone()),
        ("sign-in", sign_in(one)),
        ("state", state(one).to_owned()),
        ("created", output::time(one.created)),
    ];
    if one.is_administrator {
        facts.push(("administrator", "yes: it may do all in the directory by Microsoft Graph".to_owned()));
    }
    facts.extend(one.mail.iter().map(|mail| ("mail", mail.clone())));
    facts.extend(one.groups.iter().map(|group| ("group", group.clone())));
    facts
}

fn sign_in(one: &User) -> String {
    let mut text = if one.has_password { "password" } else { "none" }.to_owned();
    if one.has_authenticator {
        text.push_str(" and code");
    }
    if one.must_change_password {
        text.push_str(", to be changed");
    }
    text
}

const fn state(one: &User) -> &'static str {
    if one.enabled { "enabled" } else { "disabled" }
}

fn path(user: &str) -> String {
    format!("/v1/users/{}", segment(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `user update --administrator` said nothing of what it had done.
    #[test]
    fn an_administrator_is_seen() {
        let told = |is_administrator: bool| {
            let one: User = serde_json::from_value(json!({
                "id": "1", "user_name": "ada", "display_name": "Ada", "enabled": true, "has_password": true,
                "must_change_password": false, "has_authenticator": false, "groups": [], "created": 0,
                "is_administrator": is_administrator,
            }))
            .unwrap();
            facts(&one).into_iter().any(|(name, told)| name == "administrator" && told.starts_with("yes"))
        };
        assert!(told(true) && !told(false));
    }

    #[test]
    fn a_password_is_the_first_line() {
        let read = |text: &str| first_line(text.as_bytes()).map(|password| password.expose().clone());
        assert_eq!(read("correct horse\n").unwrap(), "correct horse");
        assert_eq!(read("correct horse\r\nmore").unwrap(), "correct horse");
        assert_eq!(read(" both ends ").unwrap(), " both ends ");
        for bad in ["", "\n", "\nsecond"] {
            assert!(read(bad).unwrap_err().to_string().contains("no password"), "{bad:?}");
        }
        assert!(first_line(&b"\xff\xfe"[..]).is_err());
        assert!(read(&"x".repeat(BYTES_MAX + 1)).is_err());
    }
}
