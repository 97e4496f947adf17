//! Groups: principals that access policies and role assignments name together (ADR 0015).
//!
//! Owns: who is in which group, in both directions in one commit. Owns not: what a group may do (`access`).
//! Deleting a group takes its record in one commit, from which moment it gives nothing; its memberships are swept away after that, also at
//! the next start, as they may be more than fit one commit.

use crate::{DirectoryError, DirectoryService, deleted, registry::is_display_name, tenant::shown};
use access::{Group, Principal};
use domain::{GroupId, PrincipalId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, query, refuse, transact};

/// That a principal is in a group: for listing who is. What permits read is in the principal itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Membership {
    principal: PrincipalId,
    since: Timestamp,
}

impl Membership {
    pub(crate) const fn of(principal: PrincipalId, since: Timestamp) -> Self {
        Self { principal, since }
    }
}

/// The write that has the memberships of a group swept away that is gone for good.
pub(crate) fn swept_later(group: GroupId) -> store::Write {
    store::put::<DeletedGroup>(&group, &DeletedGroup { group })
}

impl Record for Membership {
    type Id = (GroupId, PrincipalId);

    fn key((group, principal): &Self::Id) -> Key {
        Key::new(format!("group-member/{group}/{principal}"))
    }
}

/// A deleted group whose memberships are not all swept away.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct DeletedGroup {
    group: GroupId,
}

impl Record for DeletedGroup {
    type Id = GroupId;

    fn key(id: &GroupId) -> Key {
        Key::new(format!("deleted-group/{id}"))
    }
}

/// Memberships swept away in one commit: each reads and writes two records.
const SWEPT_AT_ONCE: usize = 30;

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub principal: Arc<Principal>,
    /// Since when.
    pub since: Timestamp,
}

/// What should change of a group. `None`: stays.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    /// A name for people.
    pub display_name: Option<String>,
    /// What it is for; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// A short name, for tools that ask for one; `Some(None)` takes it away.
    pub mail_nickname: Option<Option<String>>,
}

/// What can go wrong with groups.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// There is no such group.
    #[error("group {named} was not found")]
    NotFound {
        /// As asked for.
        named: String,
    },
    /// Several groups have this name.
    #[error("{count} groups are named {named}")]
    Ambiguous {
        /// As asked for.
        named: String,
        /// How many.
        count: usize,
    },
    /// A principal is not in a group.
    #[error("principal {principal} is not in group {group}")]
    NotMember {
        /// Who.
        principal: PrincipalId,
        /// Where.
        group: GroupId,
    },
    /// A description that is too long or not printable.
    #[error(
        "the description is not valid: at most {} characters without control characters",
        limits::GROUP_DESCRIPTION_CHARS_MAX
    )]
    DescriptionInvalid,
    /// A mail nickname that is too long or not printable.
    #[error("the mail nickname is not valid: 1 to 64 characters without control characters")]
    MailNicknameInvalid,
}

type Refusal = Halt<DirectoryError>;

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        Self::Refuse(error.into())
    }
}

impl DirectoryService {
    /// Makes a group with nobody in it.
    ///
    /// # Errors
    /// [`DirectoryError::DisplayNameInvalid`], [`GroupError::DescriptionInvalid`].
    pub async fn create_group(
        &self,
        display_name: &str,
        description: Option<String>,
        now: Timestamp,
    ) -> Result<Group, DirectoryError> {
        let id = GroupId::random(&*self.entropy);
        let group = Group {
            id,
            display_name: display_name.to_owned(),
            description,
            mail_nickname: None,
            created: now,
        };
        check(&group)?;
        transact(&*self.store, &*self.entropy, |_| -> Result<Decision<Group>, Refusal> {
            Ok(Decision::of(group.clone(), vec![store::put::<Group>(&id, &group)]))
        })
        .await
    }

    /// All groups.
    ///
    /// # Errors
    /// The store's.
    pub async fn groups(&self) -> Result<Vec<Arc<Group>>, DirectoryError> {
        self.all("group/").await
    }

    /// One group, named by its object id, or by a name that no other group has.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], [`GroupError::Ambiguous`].
    pub async fn group(&self, named: &str) -> Result<Arc<Group>, DirectoryError> {
        if let Ok(id) = named.parse::<GroupId>() {
            return query(&*self.store, |view| find(view, id)).await;
        }
        let mut all = self.groups().await?;
        all.retain(|group| group.display_name.to_lowercase() == named.to_lowercase());
        match (all.pop(), all.len() + 1) {
            (Some(group), 1) => Ok(group),
            (Some(_), count) => Err(GroupError::Ambiguous { named: shown(named), count }.into()),
            (None, _) => Err(GroupError::NotFound { named: shown(named) }.into()),
        }
    }

    /// Changes a group's names.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], [`GroupError::DescriptionInvalid`], [`DirectoryError::DisplayNameInvalid`].
    pub async fn update_group(&self, id: GroupId, change: &GroupChange) -> Result<Group, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| update(view, id, change)).await
    }

    /// Deletes a group: from then on it gives nothing to anybody.
    ///
    /// # Errors
    /// [`GroupError::NotFound`].
    pub async fn delete_group(&self, id: GroupId) -> Result<Arc<Group>, DirectoryError> {
        let deleted = transact(&*self.store, &*self.entropy, |view| delete(view, id, None)).await?;
        let _swept = self.sweep_assignments(id.subject()).await;
        // What is left over allows nobody anything, and is looked for again at the next deletion and the next start.
        let _swept = self.sweep_groups().await;
        Ok(deleted)
    }

    /// Who is in a group.
    ///
    /// # Errors
    /// [`GroupError::NotFound`].
    pub async fn members(&self, id: GroupId) -> Result<Vec<Member>, DirectoryError> {
        query(&*self.store, |view| find(view, id)).await?;
        let mut members = Vec::new();
        for Membership { principal, since } in self.memberships(id).await? {
            match self.principal(principal).await {
                Ok(principal) => members.push(Member { principal, since }),
                // Deleted since it was listed.
                Err(DirectoryError::PrincipalNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(members)
    }

    /// Puts a principal into a group. Once more is no change.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], [`DirectoryError::PrincipalNotFound`], [`DirectoryError::TooMany`].
    pub async fn add_member(
        &self,
        group: GroupId,
        principal: PrincipalId,
        now: Timestamp,
    ) -> Result<Arc<Principal>, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| add(view, group, principal, now)).await
    }

    /// Takes a principal out of a group: from then on the group gives it nothing.
    ///
    /// # Errors
    /// [`GroupError::NotFound`], [`GroupError::NotMember`], [`DirectoryError::PrincipalNotFound`].
    pub async fn remove_member(
        &self,
        group: GroupId,
        principal: PrincipalId,
    ) -> Result<Arc<Principal>, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| remove(view, group, principal)).await
    }

    async fn memberships(&self, group: GroupId) -> Result<Vec<Membership>, DirectoryError> {
        let all = self.all::<Membership>(&format!("group-member/{group}/")).await?;
        Ok(all.into_iter().map(|membership| *membership).collect())
    }

    /// Removes what deleted groups have left behind.
    pub(crate) async fn sweep_groups(&self) -> Result<(), DirectoryError> {
        for deleted in self.all::<DeletedGroup>("deleted-group/").await? {
            let group = deleted.group;
            for some in self.memberships(group).await?.chunks(SWEPT_AT_ONCE) {
                transact(&*self.store, &*self.entropy, |view| sweep(view, group, some)).await?;
            }
            transact(&*self.store, &*self.entropy, |_| -> Result<Decision<()>, Refusal> {
                Ok(Decision::of((), vec![store::delete::<DeletedGroup>(&group)]))
            })
            .await?;
        }
        Ok(())
    }
}

pub(crate) fn check(group: &Group) -> Result<(), DirectoryError> {
    if !is_display_name(&group.display_name) {
        return Err(DirectoryError::DisplayNameInvalid);
    }
    let is_fit = |text: &String| {
        text.chars().count() <= limits::GROUP_DESCRIPTION_CHARS_MAX && !text.chars().any(char::is_control)
    };
    if !group.description.as_ref().is_none_or(is_fit) {
        return Err(GroupError::DescriptionInvalid.into());
    }
    if !group.mail_nickname.as_ref().is_none_or(|name| is_display_name(name) && name.len() <= 64) {
        return Err(GroupError::MailNicknameInvalid.into());
    }
    Ok(())
}

pub(crate) fn find(view: &View, id: GroupId) -> Result<Arc<Group>, Refusal> {
    let found = view.get::<Group>(&id)?;
    found.ok_or_else(|| GroupError::NotFound { named: id.to_string() }.into())
}

fn principal_of(view: &View, id: PrincipalId) -> Result<Arc<Principal>, Refusal> {
    view.get::<Principal>(&id)?
        .map_or_else(|| refuse(DirectoryError::PrincipalNotFound { principal: id }), Ok)
}

pub(crate) fn update(view: &View, id: GroupId, change: &GroupChange) -> Result<Decision<Group>, Refusal> {
    let before = find(view, id)?;
    let mut group = Group::clone(&before);
    if let Some(display_name) = &change.display_name {
        group.display_name.clone_from(display_name);
    }
    if let Some(description) = &change.description {
        group.description.clone_from(description);
    }
    if let Some(mail_nickname) = &change.mail_nickname {
        group.mail_nickname.clone_from(mail_nickname);
    }
    check(&group).map_err(Halt::Refuse)?;
    let writes = if group == *before { Vec::new() } else { vec![store::put::<Group>(&id, &group)] };
    Ok(Decision::of(group, writes))
}

/// Deletes a group: for good, or so that it can be brought back from `kept` on, with who was in it.
pub(crate) fn delete(
    view: &View,
    id: GroupId,
    kept: Option<Timestamp>,
) -> Result<Decision<Arc<Group>>, Refusal> {
    let group = find(view, id)?;
    let left = kept.map_or_else(|| swept_later(id), |now| deleted::keep_group(&group, now));
    Ok(Decision::of(group, vec![store::delete::<Group>(&id), left]))
}

pub(crate) fn add(
    view: &View,
    group: GroupId,
    id: PrincipalId,
    now: Timestamp,
) -> Result<Decision<Arc<Principal>>, Refusal> {
    find(view, group)?;
    let principal = principal_of(view, id)?;
    if principal.member_of.contains(&group) {
        return Ok(Decision::read(principal));
    }
    let (mut changed, mut left) = (Principal::clone(&principal), Vec::new());
    if changed.member_of.len() >= limits::GROUPS_OF_PRINCIPAL_MAX {
        // Deleted ones may stand there still.
        let mut there = Vec::with_capacity(changed.member_of.len());
        for known in changed.member_of {
            if view.get::<Group>(&known)?.is_some() {
                there.push(known);
            } else {
                left.push(store::delete::<Membership>(&(known, id)));
            }
        }
        changed.member_of = there;
    }
    if changed.member_of.len() >= limits::GROUPS_OF_PRINCIPAL_MAX {
        let limit = limits::GROUPS_OF_PRINCIPAL_MAX;
        return refuse(DirectoryError::TooMany { what: "groups of one principal", limit });
    }
    changed.member_of.push(group);
    let mut writes = vec![
        store::put::<Principal>(&id, &changed),
        store::put::<Membership>(&(group, id), &Membership { principal: id, since: now }),
    ];
    writes.extend(left);
    Ok(Decision::of(Arc::new(changed), writes))
}

pub(crate) fn remove(
    view: &View,
    group: GroupId,
    id: PrincipalId,
) -> Result<Decision<Arc<Principal>>, Refusal> {
    find(view, group)?;
    let principal = principal_of(view, id)?;
    if !principal.member_of.contains(&group) {
        return Err(GroupError::NotMember { principal: id, group }.into());
    }
    let mut changed = Principal::clone(&principal);
    changed.member_of.retain(|known| *known != group);
    let writes = vec![store::put::<Principal>(&id, &changed), store::delete::<Membership>(&(group, id))];
    Ok(Decision::of(Arc::new(changed), writes))
}

fn sweep(view: &View, group: GroupId, some: &[Membership]) -> Result<Decision<()>, Refusal> {
    let mut writes = Vec::with_capacity(some.len() * 2);
    for Membership { principal: id, .. } in some {
        writes.push(store::delete::<Membership>(&(group, *id)));
        if let Some(principal) = view.get::<Principal>(id)?
            && principal.member_of.contains(&group)
        {
            let mut changed = Principal::clone(&principal);
            changed.member_of.retain(|known| *known != group);
            writes.push(store::put::<Principal>(id, &changed));
        }
    }
    Ok(Decision::of((), writes))
}

#[cfg(test)]
mod tests;
