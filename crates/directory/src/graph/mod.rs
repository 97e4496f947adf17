//! The directory as Microsoft Graph's callers change and read it: each change is decided in one view with whether the caller may.
//!
//! Owns: who may do what (`permit`), and the changes that only Graph makes. Owns not: the decisions that an operator at the admin socket
//! makes as well (`registry`, `credentials`, `people`, `group`, `app_role`), Graph's shapes (`wire/graph`).

pub mod applications;
pub mod builtin;
pub mod consents;
mod groups;
mod permit;
mod reading;
mod users;

pub use applications::{KeyChange, NewSecret};
pub use builtin::Builtin;
pub use consents::PermissionGrant;
pub use permit::{GraphPermit, Right};
pub use reading::Part;
pub use users::{UserInfo, UserNames, UserPatch};

use crate::{Deleted, DirectoryError, DirectoryService, deleted};
use access::Caller;
use domain::{PrincipalId, Timestamp};
use std::sync::Arc;
use store::{Decision, Halt, View, query, transact};
use uuid::Uuid;

/// What can go wrong when the directory is changed or read by Graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The token holds, and its principal does not.
    #[error("the token is good for nothing any more: {why}")]
    CallerGone {
        /// Why.
        why: &'static str,
    },
    /// Neither an app role nor a scope of the caller gives the right.
    #[error("this needs {}", needs.given_by().join(" or "))]
    Denied {
        /// Which right.
        needs: Right,
    },
    /// A user who may not do what the client may.
    #[error("only administrators of the directory may do this")]
    NotAdministrator,
    /// An application asks for what users have.
    #[error("an application has no user of its own: this is for users' tokens")]
    NoUser,
    /// The caller would get at more than it has.
    #[error("{what} has {has}, which the caller has not")]
    AboveCaller {
        /// What should be changed.
        what: &'static str,
        /// What it has.
        has: &'static str,
    },
    /// The caller would give itself something.
    #[error("nobody gives himself rights")]
    ForItself,
    /// There is nothing of this name.
    #[error("{named} was not found")]
    NotFound {
        /// As asked for.
        named: String,
    },
    /// There is one already.
    #[error("there is {what} already")]
    Taken {
        /// What.
        what: &'static str,
    },
    /// Something that cannot be done to this thing.
    #[error("this cannot be done: {why}")]
    Unfit {
        /// Why.
        why: &'static str,
    },
    /// A proof of possession that proves nothing.
    #[error("the proof is not valid: {why}")]
    ProofInvalid {
        /// Why.
        why: &'static str,
    },
}

impl From<GraphError> for Halt<DirectoryError> {
    fn from(error: GraphError) -> Self {
        Self::Refuse(error.into())
    }
}

/// A caller of Graph, acting on the directory.
#[derive(Clone, Copy)]
pub struct Acting<'a> {
    directory: &'a DirectoryService,
    caller: &'a Caller,
}

/// What was done, and why it might be.
#[derive(Debug)]
pub struct Done<T> {
    /// What came of it.
    pub value: T,
    /// By which permit.
    pub permit: GraphPermit,
}

impl DirectoryService {
    /// Lets a caller of Graph act, as far as it may.
    #[must_use]
    pub const fn acting<'a>(&'a self, caller: &'a Caller) -> Acting<'a> {
        Acting { directory: self, caller }
    }
}

impl Acting<'_> {
    /// May the caller do this, now? What is read after it may be of a moment later; what is changed is decided anew with the change.
    ///
    /// # Errors
    /// [`GraphError::CallerGone`], [`GraphError::Denied`], [`GraphError::NotAdministrator`], [`GraphError::NoUser`].
    pub async fn may(&self, right: Right) -> Result<GraphPermit, DirectoryError> {
        query(&*self.directory.store, |view| permit::permit(view, self.caller, right, self.administrator()))
            .await
    }

    /// Decides a change in the view in which the caller may make it.
    async fn change<T>(
        &self,
        right: Right,
        mut decide: impl FnMut(&View, &GraphPermit) -> Result<Decision<T>, Halt<DirectoryError>> + Send,
    ) -> Result<Done<T>, DirectoryError> {
        let administrator = self.administrator();
        transact(&*self.directory.store, &*self.directory.entropy, |view| {
            let permit = permit::permit(view, self.caller, right, administrator)?;
            let Decision { writes, value } = decide(view, &permit)?;
            Ok(Decision::of(Done { value, permit }, writes))
        })
        .await
    }

    fn administrator(&self) -> PrincipalId {
        self.directory.tenant().administrator
    }

    /// Brings back what was deleted.
    ///
    /// # Errors
    /// [`GraphError::NotFound`]; [`DirectoryError::IdentifierUriTaken`] and the like, if its names are another's by now.
    pub async fn restore(&self, id: Uuid, now: Timestamp) -> Result<Done<Arc<Deleted>>, DirectoryError> {
        let right = self.right_over(id, now).await?;
        self.change(right, |view, permit| {
            self.over_deleted(view, permit, id, now)?;
            deleted::restore(view, id, now)
        })
        .await
    }

    /// Takes away for good what was deleted.
    ///
    /// # Errors
    /// [`GraphError::NotFound`].
    pub async fn purge(&self, id: Uuid, now: Timestamp) -> Result<Done<Arc<Deleted>>, DirectoryError> {
        let right = self.right_over(id, now).await?;
        let done = self
            .change(right, |view, permit| {
                self.over_deleted(view, permit, id, now)?;
                deleted::purge(view, id)
            })
            .await?;
        // What is left over gives nobody anything, and goes with the next sweep at the latest.
        let _swept = self.directory.sweep_after(&done.value).await;
        Ok(done)
    }

    /// Which right changes this deleted thing? Who may do none of it is not told what it was.
    async fn right_over(&self, id: Uuid, now: Timestamp) -> Result<Right, DirectoryError> {
        self.may(Right::ReadDirectory).await?;
        let found = query(&*self.directory.store, |view| deleted::find(view, id, now)).await?;
        Ok(match found.what {
            deleted::What::Registration => Right::WriteApplications,
            deleted::What::User(_) => Right::WriteUsers,
            deleted::What::Group(_) => Right::WriteGroups,
        })
    }

    fn over_deleted(
        &self,
        view: &View,
        permit: &GraphPermit,
        id: Uuid,
        now: Timestamp,
    ) -> Result<(), Halt<DirectoryError>> {
        match &deleted::find(view, id, now)?.what {
            deleted::What::Registration => permit.over_application(view, &deleted::registration(view, id)?),
            deleted::What::User(user) => permit.over_user(user, self.administrator()),
            deleted::What::Group(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
