//! The record of an app. `host` writes it; a token request reads it, so that what it says holds from the moment of its commit.

use domain::{AppId, AppName, AttachmentId, Placement, PrincipalId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Record};

/// An app: what `host` runs, and the identities that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Never used again, even when another app of the same name is made.
    pub id: AppId,
    /// As it was spelled when it was made.
    pub name: AppName,
    /// The principal of its system-assigned managed identity; there is one exactly when its identity is enabled.
    #[serde(default)]
    pub identity: Option<PrincipalId>,
    /// The user-assigned identities that it was given, at most [`domain::limits::IDENTITIES_OF_APP_MAX`]. One that was deleted may stand here
    /// still: without a principal it counts as not assigned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_assigned: Vec<Assigned>,
    /// Where it is as the resource manager shows it.
    #[serde(default, skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// When it was made.
    pub created: Timestamp,
    /// When this record was last changed.
    pub changed: Timestamp,
}

/// A user-assigned identity of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Its principal.
    pub identity: PrincipalId,
    /// What tokens that the app gets under it stand on, so that they fall when it is taken away.
    pub attachment: AttachmentId,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As releases before user-assigned identities wrote it, and as they must be able to read it for an app that has none.
    #[test]
    fn a_record_of_before_is_read_and_written_the_same() {
        let id = "01010101-0101-4101-8101-010101010101";
        let old = format!(r#"{{"id":"{id}","name":"Shop","identity":"{id}","created":1000,"changed":2000}}"#);
        let app: App = serde_json::from_str(&old).unwrap();
        assert!(app.user_assigned.is_empty() && app.identity.is_some());
        assert_eq!(serde_json::to_string(&app).unwrap(), old);
        let attachment = AttachmentId::from_uuid(app.id.uuid());
        let given =
            App { user_assigned: vec![Assigned { identity: app.identity.unwrap(), attachment }], ..app };
        let written = serde_json::to_string(&given).unwrap();
        assert_eq!(serde_json::from_str::<App>(&written).unwrap(), given);
    }
}
