//! The record of a resource group: what everything that is made in it reads first, so that nothing is made in one that is going.

use domain::{Location, ResourceGroupId, ResourceGroupName, Tags, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Key, Load, Record, View};

/// A resource group. The one that is there always has a record only once something about it was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceGroup {
    /// Never used again, as its name is. Of the one that is always there, and in records of older servers: all zeros.
    #[serde(default = "no_id")]
    pub id: ResourceGroupId,
    /// As it was spelled when it was made.
    pub name: ResourceGroupName,
    /// Where it is said to be.
    pub location: Location,
    /// What people wrote on it.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// When it was made.
    pub created: Timestamp,
    /// Is it being deleted, with all that is in it? Then nothing is made in it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_going: bool,
}

fn no_id() -> ResourceGroupId {
    ResourceGroupId::from_uuid(uuid::Uuid::nil())
}

impl ResourceGroup {
    /// The prefix of all their keys.
    pub fn prefix() -> Key {
        Key::new("resource-group/")
    }

    /// Is it there still, this very one, and going? Another deletion of it may have ended, and another group of its name may be there.
    ///
    /// # Errors
    /// What must be loaded first.
    pub fn is_going_still(&self, view: &View) -> Result<bool, Load> {
        let found = view.get::<Self>(&self.name)?;
        Ok(found.is_some_and(|found| found.is_going && found.id == self.id))
    }
}

impl Record for ResourceGroup {
    type Id = ResourceGroupName;

    fn key(name: &ResourceGroupName) -> Key {
        Key::new(format!("resource-group/{}", name.folded()))
    }
}

/// Why nothing is made in a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupFault {
    /// There is none.
    #[error("resource group '{0}' could not be found")]
    NotFound(ResourceGroupName),
    /// It is being deleted.
    #[error("resource group '{0}' is being deleted")]
    Going(ResourceGroupName),
}

/// May something be made in this group? Who decides so makes it in the same commit.
///
/// # Errors
/// What must be loaded first.
pub fn may_hold(view: &View, name: &ResourceGroupName) -> Result<Result<(), GroupFault>, Load> {
    Ok(match view.get::<ResourceGroup>(name)? {
        Some(group) if group.is_going => Err(GroupFault::Going(name.clone())),
        Some(_) => Ok(()),
        None if *name == ResourceGroupName::default() => Ok(()),
        None => Err(GroupFault::NotFound(name.clone())),
    })
}
