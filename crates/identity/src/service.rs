//! [`IdentityService`]: the table of running workloads and the one way to a token.
//!
//! Invariant: the store is asked at each request whether the app has an enabled identity, so that assigning, removing, disabling and
//! deleting hold from the moment of their commit, for running apps too. The cache spares signatures, never that question.

use crate::{
    App, AttestedConnection, IdentityError, ManagedToken, PeerProbe, Refusal, Selector, TokenQuery, Workload,
    attest::Cookies,
    cache::{Source, TokenCache},
};
use access::{KeySource as _, Principal, PrincipalKind};
use directory::{Audience, DirectoryService, audience};
use domain::{AppId, AppName, ClientId, PrincipalId, Secret, Timestamp, WorkloadId};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use store::{Halt, Store, View, refuse};

/// Managed identity tokens for attested workloads.
pub struct IdentityService {
    store: Arc<dyn Store>,
    directory: Arc<DirectoryService>,
    workloads: RwLock<HashMap<WorkloadId, Arc<Workload>>>,
    cookies: Arc<Cookies>,
    cache: TokenCache,
}

impl IdentityService {
    /// With no workload yet.
    pub fn new(store: Arc<dyn Store>, directory: Arc<DirectoryService>) -> Self {
        Self {
            store,
            directory,
            workloads: RwLock::default(),
            cookies: Arc::default(),
            cache: TokenCache::default(),
        }
    }

    /// From now on this workload is known as running.
    pub fn admit(&self, workload: Arc<Workload>) {
        self.workloads.write().unwrap_or_else(PoisonError::into_inner).insert(workload.id(), workload);
    }

    /// From now on nothing is released to it, on open connections neither.
    pub fn retire(&self, workload: WorkloadId) -> Option<Arc<Workload>> {
        let retired = self.workloads.write().unwrap_or_else(PoisonError::into_inner).remove(&workload);
        if let Some(workload) = &retired {
            workload.end();
        }
        retired
    }

    /// One running workload.
    pub fn workload(&self, workload: WorkloadId) -> Option<Arc<Workload>> {
        self.workloads.read().unwrap_or_else(PoisonError::into_inner).get(&workload).cloned()
    }

    /// All running workloads.
    pub fn workloads(&self) -> Vec<Arc<Workload>> {
        self.workloads.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Accepts a connection to a workload's endpoint, or refuses it, before a byte of it is read.
    ///
    /// # Errors
    /// [`Refusal`]: answer the constant refusal, and audit.
    pub fn accept(
        &self,
        workload: &Arc<Workload>,
        probe: Arc<dyn PeerProbe>,
    ) -> Result<AttestedConnection, Refusal> {
        AttestedConnection::accept(workload, probe, &self.cookies)
    }

    /// Is this the endpoint secret of the connection's workload? In constant time.
    ///
    /// # Errors
    /// [`IdentityError::WrongSecret`].
    pub fn check_secret<'c>(
        &self,
        connection: &'c AttestedConnection,
        presented: &Secret<String>,
    ) -> Result<Authentic<'c>, IdentityError> {
        if connection.workload().secret().matches(presented) {
            Ok(Authentic(connection))
        } else {
            Err(IdentityError::WrongSecret)
        }
    }

    /// A token of the app's identity: identity, token, and attested again just before it is let out.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn token(
        &self,
        request: Authentic<'_>,
        query: &TokenQuery,
        now: Timestamp,
    ) -> Result<Arc<ManagedToken>, IdentityError> {
        let Authentic(connection) = request;
        let workload = connection.workload();
        let (principal, audience) = self.allowed(workload, query).await?;
        let roles = self.directory.roles_of(&principal, &audience).await?;
        let make = || {
            let issued = self.directory.issue_for_managed_identity(&principal, &audience, roles, now)?;
            Ok::<_, IdentityError>(ManagedToken::new(
                issued.access_token,
                issued.issued,
                issued.expires_on,
                query.resource.clone(),
                principal.id,
                principal.client,
            ))
        };
        let epoch = self.directory.epoch();
        let (token, source) = self.cache.get_or_make(principal.id, &query.resource, epoch, now, make)?;
        if source == Source::Made {
            // Signing takes long enough for an identity to be removed meanwhile.
            let (still, _) = self.allowed(workload, query).await?;
            if still.id != principal.id {
                return Err(IdentityError::NoIdentity {
                    app: workload.name().clone(),
                    principal: Some(principal.id),
                    why: "it was replaced during the request",
                });
            }
        }
        connection.release()?;
        Ok(token)
    }

    /// Drops every token of a principal. Called when it is disabled or deleted.
    pub fn forget(&self, principal: PrincipalId) {
        self.cache.forget(principal);
    }

    /// The enabled principal of the workload's app and the resource that it asks for, both as they are now.
    async fn allowed(
        &self,
        workload: &Workload,
        query: &TokenQuery,
    ) -> Result<(Arc<Principal>, Audience), IdentityError> {
        let decided = store::query(&*self.store, |view| {
            let principal = enabled_identity(view, workload.name(), workload.app())?;
            if query.selector.as_ref().is_some_and(|selector| !is_meant(selector, &principal)) {
                return refuse(IdentityError::NotAssigned { app: workload.name().clone() });
            }
            let audience = audience::resolve(view, self.directory.names(), &query.resource)
                .map_err(|halt| halt.map(IdentityError::from))?;
            Ok((principal, audience))
        })
        .await;
        if let Err(IdentityError::NoIdentity { principal: Some(principal), .. }) = decided {
            // Its tokens must not come back with it.
            self.cache.forget(principal);
        }
        decided
    }
}

/// Witness: the endpoint secret was right on this connection. Made by [`IdentityService::check_secret`] only, good for one token.
pub struct Authentic<'c>(&'c AttestedConnection);

/// The principal of an app's identity, if both are there and enabled.
fn enabled_identity(view: &View, name: &AppName, id: AppId) -> Result<Arc<Principal>, Halt<IdentityError>> {
    let without = |principal, why| refuse(IdentityError::NoIdentity { app: name.clone(), principal, why });
    let Some(app) = view.get::<App>(name)?.filter(|app| app.id == id) else {
        return without(None, "the app was deleted");
    };
    let Some(identity) = app.identity else {
        return without(None, "its identity is not enabled");
    };
    match view.get::<Principal>(&identity)? {
        None => without(Some(identity), "its principal is gone"),
        Some(principal) if principal.kind != (PrincipalKind::ManagedIdentity { app: id }) => {
            without(Some(identity), "its principal belongs to something else")
        }
        Some(principal) if !principal.enabled => without(Some(identity), "its principal is disabled"),
        Some(principal) => Ok(principal),
    }
}

/// Does a selector name this system-assigned identity?
fn is_meant(selector: &Selector, principal: &Principal) -> bool {
    match selector {
        Selector::Client(id) => id.parse::<ClientId>() == Ok(principal.client),
        Selector::Principal(id) => id.parse::<PrincipalId>() == Ok(principal.id),
        Selector::Resource(_) => false,
    }
}
