//! The group: principals that rules name together. Its record is what a permit reads before a membership counts, so that a deleted group
//! gives nothing from the moment that its deletion is acknowledged (ADR 0015).

use crate::Principal;
use domain::{GroupId, PrincipalId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Load, Record, View};

/// A group. `directory` makes and deletes it; who is in it, each [`Principal`] says of itself. Groups are in no groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The object id.
    pub id: GroupId,
    /// A name for people. Others may have the same.
    pub display_name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A short name that some tools ask for. Names nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_nickname: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

impl Record for Group {
    type Id = GroupId;

    fn key(id: &GroupId) -> Key {
        Key::of(&[b"group/", id.text().as_ref()])
    }
}

/// Is there a principal or a group of this object id: somebody whom a rule may name?
///
/// # Errors
/// What must be loaded first.
pub fn is_subject(view: &View, id: PrincipalId) -> Result<bool, Load> {
    Ok(view.get::<Principal>(&id)?.is_some() || view.get::<Group>(&GroupId::from_uuid(id.uuid()))?.is_some())
}
