//! Groups, by Graph.

use super::{Acting, Done, Right};
use crate::{DirectoryError, GroupChange, group};
use access::{Group, Principal};
use domain::{GroupId, PrincipalId, Timestamp};
use std::sync::Arc;
use store::Decision;

impl Acting<'_> {
    /// Makes a group with nobody in it.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::create_group`].
    pub async fn create_group(
        &self,
        display_name: String,
        description: Option<String>,
        mail_nickname: Option<String>,
        now: Timestamp,
    ) -> Result<Done<Group>, DirectoryError> {
        let id = GroupId::random(&*self.directory.entropy);
        let group = Group { id, display_name, description, mail_nickname, created: now };
        group::check(&group)?;
        self.change(Right::WriteGroups, |_, _| {
            Ok(Decision::of(group.clone(), vec![store::put::<Group>(&id, &group)]))
        })
        .await
    }

    /// Changes a group's names.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::update_group`].
    pub async fn update_group(
        &self,
        id: GroupId,
        change: &GroupChange,
    ) -> Result<Done<Group>, DirectoryError> {
        self.change(Right::WriteGroups, |view, _| group::update(view, id, change)).await
    }

    /// Deletes a group, so that it can be brought back with who was in it.
    ///
    /// # Errors
    /// [`crate::GroupError::NotFound`].
    pub async fn delete_group(
        &self,
        id: GroupId,
        now: Timestamp,
    ) -> Result<Done<Arc<Group>>, DirectoryError> {
        self.change(Right::WriteGroups, |view, _| group::delete(view, id, Some(now))).await
    }

    /// Puts a principal into a group.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::add_member`]; [`super::GraphError::ForItself`]; [`super::GraphError::Taken`] for who is in it.
    pub async fn add_member(
        &self,
        group: GroupId,
        principal: PrincipalId,
        now: Timestamp,
    ) -> Result<Done<Arc<Principal>>, DirectoryError> {
        self.change(Right::WriteMembers, |view, permit| {
            permit.not_for_itself(principal)?;
            let added = group::add(view, group, principal, now)?;
            if added.writes.is_empty() {
                return Err(super::GraphError::Taken { what: "such a member" }.into());
            }
            Ok(added)
        })
        .await
    }

    /// Takes a principal out of a group.
    ///
    /// # Errors
    /// As [`crate::DirectoryService::remove_member`].
    pub async fn remove_member(
        &self,
        group: GroupId,
        principal: PrincipalId,
    ) -> Result<Done<Arc<Principal>>, DirectoryError> {
        self.change(Right::WriteMembers, |view, _| group::remove(view, group, principal)).await
    }
}
