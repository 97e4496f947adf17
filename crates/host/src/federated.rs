//! Who may let outside issuers vouch for a user-assigned identity, and that it is done in the same decision. The rules of the credentials
//! themselves are the directory's.

use crate::{
    HostError, HostService,
    user_assigned::{self, UserAssigned},
};
use access::{Manager, Principal};
use directory::{FederatedCredential, NewFederatedCredential, managed::federated};
use domain::{IdentityName, Timestamp};
use std::sync::Arc;
use store::{Decision, Halt, View, query, refuse, transact};

/// Operations of the resource manager on them.
const READ: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read";
const WRITE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write";
const DELETE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/delete";

/// A federated credential, and whose it is.
#[derive(Clone, Debug)]
pub struct FederatedView {
    /// The identity.
    pub identity: Arc<UserAssigned>,
    /// The credential.
    pub credential: Arc<FederatedCredential>,
}

impl HostService {
    /// Lets an outside issuer vouch for an identity, instead of what the identity has under this name. Answers whether it had nothing. What
    /// was got by one of before is worth nothing from then on, unless the new one is the same.
    ///
    /// # Errors
    /// [`HostError::IdentityNotFound`], [`HostError::Unmanaged`]; [`HostError::Directory`] for what may not be said.
    pub async fn put_federated(
        &self,
        by: Manager<'_>,
        name: &IdentityName,
        new: NewFederatedCredential,
        now: Timestamp,
    ) -> Result<(FederatedView, bool), HostError> {
        let over = now.plus(self.directory.token_lifetime());
        transact(&*self.store, &*self.entropy, |view| {
            let there = may(view, by, name, WRITE)?;
            // What may not be said is told only to who may say something.
            let checked =
                self.directory.checked(new.clone(), now).map_err(|error| Halt::Refuse(error.into()))?;
            put(view, there, &checked, over, now)
        })
        .await
    }

    /// The federated credentials of an identity, in the order in which they were made.
    ///
    /// # Errors
    /// [`HostError::IdentityNotFound`], [`HostError::Unmanaged`].
    pub async fn federated(
        &self,
        by: Manager<'_>,
        name: &IdentityName,
    ) -> Result<Vec<FederatedView>, HostError> {
        query(&*self.store, |view| {
            let (identity, principal) = may(view, by, name, READ)?;
            let all = federated::all(view, principal.id).map_err(of_directory)?;
            let shown = |credential| FederatedView { identity: identity.clone(), credential };
            Ok(all.into_iter().map(shown).collect())
        })
        .await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`HostError::IdentityNotFound`], [`HostError::FederatedNotFound`], [`HostError::Unmanaged`].
    pub async fn federated_named(
        &self,
        by: Manager<'_>,
        name: &IdentityName,
        credential: &str,
    ) -> Result<FederatedView, HostError> {
        query(&*self.store, |view| {
            let (identity, principal) = may(view, by, name, READ)?;
            match federated::named(view, principal.id, credential).map_err(of_directory)? {
                Some(credential) => Ok(FederatedView { identity, credential }),
                None => refuse(HostError::FederatedNotFound(name.clone())),
            }
        })
        .await
    }

    /// Takes one away: nobody gets a token by it from then on, and what was got by it is worth nothing.
    ///
    /// # Errors
    /// [`HostError::IdentityNotFound`], [`HostError::FederatedNotFound`], [`HostError::Unmanaged`].
    pub async fn delete_federated(
        &self,
        by: Manager<'_>,
        name: &IdentityName,
        credential: &str,
        now: Timestamp,
    ) -> Result<FederatedView, HostError> {
        let over = now.plus(self.directory.token_lifetime());
        transact(&*self.store, &*self.entropy, |view| remove(view, by, name, credential, over, now)).await
    }
}

/// The identity, if whoever asks may do this to its federated credentials.
fn may(
    view: &View,
    by: Manager<'_>,
    name: &IdentityName,
    operation: &'static str,
) -> Result<(Arc<UserAssigned>, Arc<Principal>), Halt<HostError>> {
    let found = user_assigned::find(view, name)?;
    user_assigned::may(view, by, operation, &found.identity)?;
    Ok((found.identity, found.principal))
}

fn put(
    view: &View,
    (identity, principal): (Arc<UserAssigned>, Arc<Principal>),
    checked: &FederatedCredential,
    over: Timestamp,
    now: Timestamp,
) -> Result<Decision<(FederatedView, bool)>, Halt<HostError>> {
    let put = federated::put(view, &principal, checked, over, now).map_err(of_directory)?;
    let (credential, is_new) = put.value;
    Ok(Decision { value: (FederatedView { identity, credential }, is_new), writes: put.writes })
}

fn remove(
    view: &View,
    by: Manager<'_>,
    name: &IdentityName,
    credential: &str,
    over: Timestamp,
    now: Timestamp,
) -> Result<Decision<FederatedView>, Halt<HostError>> {
    let (identity, principal) = may(view, by, name, DELETE)?;
    let removed = federated::remove(view, &principal, credential, over, now).map_err(of_directory)?;
    match removed.value {
        Some(credential) => {
            Ok(Decision { value: FederatedView { identity, credential }, writes: removed.writes })
        }
        None => refuse(HostError::FederatedNotFound(name.clone())),
    }
}

fn of_directory(halt: Halt<directory::DirectoryError>) -> Halt<HostError> {
    halt.map(HostError::from)
}
