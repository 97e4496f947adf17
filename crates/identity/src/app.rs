//! The record of an app. `host` writes it; a token request reads it, so that what it says holds from the moment of its commit.

use domain::{AppId, AppName, PrincipalId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Record};

/// An app: what `host` runs, and the identity that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Never used again, even when another app of the same name is made.
    pub id: AppId,
    /// As it was spelled when it was made.
    pub name: AppName,
    /// The principal of its system-assigned managed identity; there is one exactly when its identity is enabled.
    #[serde(default)]
    pub identity: Option<PrincipalId>,
    /// When it was made.
    pub created: Timestamp,
    /// When this record was last changed.
    pub changed: Timestamp,
}

impl Record for App {
    type Id = AppName;

    fn key(name: &AppName) -> Key {
        Key::of(&[b"app/", name.folded().as_bytes()])
    }
}

impl App {
    /// The prefix of all apps' keys.
    pub fn prefix() -> Key {
        Key::new("app/")
    }
}
