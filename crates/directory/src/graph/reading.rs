//! Lists of the directory in the order of their ids, from where another list ended: what is made or deleted meanwhile moves nothing else.

use crate::{
    Deleted, DirectoryError, DirectoryService, Person, Registration, User, deleted,
    user::{self, Named},
};
use access::{Group, Principal};
use std::{num::NonZeroU16, sync::Arc};
use store::{Key, Record, list_records, query};
use uuid::Uuid;

/// A part of a list, and after which id the rest begins, if there is more.
pub type Part<T> = (Vec<T>, Option<Uuid>);

/// Records that are read at a time.
const STEP: NonZeroU16 = NonZeroU16::new(100).expect("not zero");

impl DirectoryService {
    async fn part<R: Record>(
        &self,
        prefix: &str,
        after: Option<Uuid>,
    ) -> Result<Part<Arc<R>>, DirectoryError> {
        let after = after.map(|id| Key::new(format!("{prefix}{id}")));
        let page = list_records::<R>(&*self.store, &Key::new(prefix), after.as_ref(), STEP).await?;
        let next = page.items.last().filter(|_| page.more).and_then(|(key, _)| {
            let id = key.as_bytes().get(prefix.len()..)?;
            Uuid::try_parse_ascii(id).ok()
        });
        Ok((page.items.into_iter().map(|(_, record)| record).collect(), next))
    }

    /// Registrations after this one.
    ///
    /// # Errors
    /// The store's.
    pub async fn registrations_after(
        &self,
        after: Option<Uuid>,
    ) -> Result<Part<Arc<Registration>>, DirectoryError> {
        self.part("registration/", after).await
    }

    /// Principals after this one.
    ///
    /// # Errors
    /// The store's.
    pub async fn principals_after(
        &self,
        after: Option<Uuid>,
    ) -> Result<Part<Arc<Principal>>, DirectoryError> {
        self.part("principal/", after).await
    }

    /// Groups after this one.
    ///
    /// # Errors
    /// The store's.
    pub async fn groups_after(&self, after: Option<Uuid>) -> Result<Part<Arc<Group>>, DirectoryError> {
        self.part("group/", after).await
    }

    /// Deleted things after this one.
    ///
    /// # Errors
    /// The store's.
    pub async fn deleted_after(&self, after: Option<Uuid>) -> Result<Part<Arc<Deleted>>, DirectoryError> {
        self.part(deleted::PREFIX, after).await
    }

    /// A deleted registration as it was.
    ///
    /// # Errors
    /// [`super::GraphError::NotFound`].
    pub async fn deleted_registration(&self, id: Uuid) -> Result<Registration, DirectoryError> {
        query(&*self.store, |view| deleted::registration(view, id)).await
    }

    /// Users after this one.
    ///
    /// # Errors
    /// The store's.
    pub async fn users_after(&self, after: Option<Uuid>) -> Result<Part<Person>, DirectoryError> {
        let (users, next) = self.part::<User>("user/", after).await?;
        let mut people = Vec::with_capacity(users.len());
        for user in users {
            // One that was deleted since is not there any more.
            let named = Named::Id(user.id);
            people.extend(query(&*self.store, |view| user::look(view, &named)).await?);
        }
        Ok((people, next))
    }

    /// The principal of a client id, if there is one.
    ///
    /// # Errors
    /// The store's.
    pub async fn principal_of_client(
        &self,
        client: domain::ClientId,
    ) -> Result<Option<Arc<Principal>>, DirectoryError> {
        query(&*self.store, |view| {
            let Some(index) = view.get::<crate::principal::PrincipalIndex>(&client)? else { return Ok(None) };
            Ok(view.get::<Principal>(&index.principal)?)
        })
        .await
    }
}
