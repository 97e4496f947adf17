//! Resource groups: made, changed, listed, and deleted with all that is in them.
//!
//! Deleting is in three steps, so that no commit is large and nothing is made in the group meanwhile: it is marked as going, what is in it
//! is deleted by whoever owns that, and the record goes. A server that ends in between leaves a group that is going, and deleting it again
//! goes on.

use crate::{ResourceError, ResourceService, service::unless};
use access::{Around, GroupFault, Manager, ResourceGroup, Scope};
use domain::{Location, ResourceGroupId, ResourceGroupName, Tags, Timestamp};
use std::sync::Arc;
use store::{Decision, Halt, View, delete, put, query, refuse, transact};
use uuid::Uuid;

/// Seeing a group.
pub const READ: &str = "Microsoft.Resources/subscriptions/resourceGroups/read";
/// Making or changing one.
pub const WRITE: &str = "Microsoft.Resources/subscriptions/resourceGroups/write";
/// Deleting one with all that is in it.
pub const DELETE: &str = "Microsoft.Resources/subscriptions/resourceGroups/delete";

/// A change of a group; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    /// Where it is; of one that is there it cannot be another.
    pub location: Option<Location>,
    /// All of its tags.
    pub tags: Option<Tags>,
}

impl ResourceService {
    /// Makes a group, or changes one. Says whether it is new.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Group`]: it is going, [`ResourceError::GroupElsewhere`].
    pub async fn put_group(
        &self,
        by: Manager<'_>,
        name: &ResourceGroupName,
        change: &GroupChange,
        now: Timestamp,
    ) -> Result<(Arc<ResourceGroup>, bool), ResourceError> {
        let id = Some(ResourceGroupId::random(&*self.entropy));
        transact(&*self.store, &*self.entropy, |view| decide_put(view, by, name, change, (id, now))).await
    }

    /// Changes a group that is there.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Group`]: there is none, or it is going, [`ResourceError::GroupElsewhere`].
    pub async fn change_group(
        &self,
        by: Manager<'_>,
        name: &ResourceGroupName,
        change: &GroupChange,
        now: Timestamp,
    ) -> Result<Arc<ResourceGroup>, ResourceError> {
        let put =
            transact(&*self.store, &*self.entropy, |view| decide_put(view, by, name, change, (None, now)));
        Ok(put.await?.0)
    }

    /// One group.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Group`]: there is none.
    pub async fn group(
        &self,
        by: Manager<'_>,
        name: &ResourceGroupName,
    ) -> Result<Arc<ResourceGroup>, ResourceError> {
        query(&*self.store, |view| {
            let _permit = by.may(view, READ, &Around::group(name)).map_err(unless)?;
            found(view, name)
        })
        .await
    }

    /// The groups that somebody may see, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn groups(&self, by: Manager<'_>) -> Result<Vec<Arc<ResourceGroup>>, ResourceError> {
        let mut names: Vec<_> = self
            .all::<ResourceGroup>(&ResourceGroup::prefix())
            .await?
            .iter()
            .map(|(_, it)| it.name.clone())
            .collect();
        let always = ResourceGroupName::default();
        if !names.contains(&always) {
            names.push(always);
        }
        names.sort_by_key(ResourceGroupName::folded);
        let mut groups = Vec::with_capacity(names.len());
        for name in &names {
            match self.group(by, name).await {
                Ok(group) => groups.push(group),
                // Not for them to see, or deleted meanwhile.
                Err(ResourceError::Unmanaged(access::Unmanaged::NoRole(_)) | ResourceError::Group(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(groups)
    }

    /// From now on nothing is made in a group any more: it is going.
    ///
    /// # Errors
    /// [`ResourceError::Unmanaged`], [`ResourceError::Group`]: there is none, [`ResourceError::GroupStays`].
    pub async fn begin_deleting(
        &self,
        by: Manager<'_>,
        name: &ResourceGroupName,
    ) -> Result<Arc<ResourceGroup>, ResourceError> {
        transact(&*self.store, &*self.entropy, |view| {
            let _permit = by.may(view, DELETE, &Around::group(name)).map_err(unless)?;
            if *name == ResourceGroupName::default() {
                return refuse(ResourceError::GroupStays(name.clone()));
            }
            let group = found(view, name)?;
            if group.is_going {
                return Ok(Decision::read(group));
            }
            let going = ResourceGroup { is_going: true, ..ResourceGroup::clone(&group) };
            let write = put::<ResourceGroup>(name, &going);
            Ok(Decision::of(Arc::new(going), vec![write]))
        })
        .await
    }

    /// The group is empty, and goes itself. Before it does what roles are given there: another group of its name is another.
    ///
    /// # Errors
    /// The store's.
    pub async fn finish_deleting(&self, group: &ResourceGroup) -> Result<(), ResourceError> {
        // Each of what follows asks for itself: between two of them there may be another of its name.
        let is_due = |view: &View| group.is_going_still(view);
        self.take_all_at(&[Scope::Group(group.name.clone())], is_due).await?;
        transact(&*self.store, &*self.entropy, |view| {
            let gone = is_due(view)?.then(|| delete::<ResourceGroup>(&group.name));
            Ok(Decision::of((), gone.into_iter().collect()))
        })
        .await
    }
}

/// Changes a group, or makes one of this id if there is none; without an id only what is there is changed.
fn decide_put(
    view: &View,
    by: Manager<'_>,
    name: &ResourceGroupName,
    change: &GroupChange,
    (id, now): (Option<ResourceGroupId>, Timestamp),
) -> Result<Decision<(Arc<ResourceGroup>, bool)>, Halt<ResourceError>> {
    let _permit = by.may(view, WRITE, &Around::group(name)).map_err(unless)?;
    let (before, mut group) = match (found(view, name), id) {
        (Ok(group), _) if group.is_going => return refuse(GroupFault::Going(name.clone()).into()),
        (Ok(group), _) => (Some(group.clone()), ResourceGroup::clone(&group)),
        (Err(Halt::Refuse(ResourceError::Group(GroupFault::NotFound(_)))), Some(id)) => {
            let new = ResourceGroup {
                id,
                name: name.clone(),
                location: change.location.clone().unwrap_or_default(),
                tags: Tags::default(),
                created: now,
                is_going: false,
            };
            (None, new)
        }
        (Err(halt), _) => return Err(halt),
    };
    if change.location.as_ref().is_some_and(|location| *location != group.location) {
        return refuse(ResourceError::GroupElsewhere(name.clone()));
    }
    if let Some(tags) = &change.tags {
        group.tags = tags.clone();
    }
    if before.as_deref() == Some(&group) {
        return Ok(Decision::read((Arc::new(group), false)));
    }
    let write = put::<ResourceGroup>(name, &group);
    Ok(Decision::of((Arc::new(group), before.is_none()), vec![write]))
}

/// A group that is there: the one that is always there, too.
fn found(view: &View, name: &ResourceGroupName) -> Result<Arc<ResourceGroup>, Halt<ResourceError>> {
    match view.get::<ResourceGroup>(name)? {
        Some(group) => Ok(group),
        None if *name == ResourceGroupName::default() => Ok(Arc::new(ResourceGroup {
            id: ResourceGroupId::from_uuid(Uuid::nil()),
            name: name.clone(),
            location: Location::default(),
            tags: Tags::default(),
            created: Timestamp::default(),
            is_going: false,
        })),
        None => refuse(GroupFault::NotFound(name.clone()).into()),
    }
}

#[cfg(test)]
mod tests;
