//! Federated credentials, of app registrations and of user-assigned identities: what is said of a new one, and how they are shown.

use crate::{
    failure::Failure,
    files,
    output::{self, Format},
};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A new one.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Its name
    pub(crate) name: String,
    /// The issuer, letter for letter as in iss
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// The subject, letter for letter as in sub, such as repo:octo/shop:environment:production
    #[arg(long)]
    subject: String,
    /// The audience, letter for letter as in aud [default: api://AzureADTokenExchange]
    #[arg(long)]
    audience: Option<String>,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
    /// The issuer's keys (JWKS), if they cannot be fetched from it
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
}

impl New {
    /// As the server takes it.
    pub(crate) fn body(&self) -> Result<serde_json::Value, Failure> {
        let jwks = self.jwks.as_deref().map(key_set_of).transpose()?;
        Ok(serde_json::json!({
            "name": self.name, "issuer": self.issuer, "subject": self.subject, "description": self.description,
            "jwks": jwks, "audiences": self.audience.iter().collect::<Vec<_>>(),
        }))
    }
}

/// One as the server tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Federated {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) description: String,
    /// Those that were given with it (`--jwks`), by their names.
    pub(crate) keys: Vec<String>,
    created: i64,
}

/// One that was just made.
pub(crate) fn show(format: Format, made: Federated) {
    match format {
        Format::Json => output::json(&made),
        Format::Table => output::facts(&[
            ("credential", made.id),
            ("issuer", made.issuer),
            ("subject", made.subject),
            ("audience", made.audiences.join(" ")),
            ("keys", keys(&made.keys)),
        ]),
    }
}

/// All of somebody.
pub(crate) fn list(format: Format, all: Vec<Federated>) {
    match format {
        Format::Json => output::json(&all),
        Format::Table => output::table(
            &["name", "id", "issuer", "subject", "audience", "keys"],
            all.into_iter().map(|one| {
                let (audience, keys) = (one.audiences.join(" "), keys(&one.keys));
                vec![one.name, one.id, one.issuer, one.subject, audience, keys]
            }),
            "No outside issuer vouches for it.",
        ),
    }
}

fn key_set_of(file: &Path) -> Result<serde_json::Value, Failure> {
    const BYTES_MAX: usize = 64 * 1024;
    let bytes = files::read(file, BYTES_MAX, "the key set")?;
    serde_json::from_slice(bytes.expose())
        .map_err(|error| Failure::new(format!("{} is no key set (JWKS): {error}", file.display())))
}

fn keys(names: &[String]) -> String {
    if names.is_empty() { "fetched from the issuer".to_owned() } else { names.join(" ") }
}
