//! [`IdentityService`]: the table of running workloads and the one way to a token.
//!
//! Invariant: the store is asked at each request which enabled identities the app has, so that assigning, removing, disabling and
//! deleting hold from the moment of their commit, for running apps too. The cache spares signatures, never that question.

use crate::{
    App, AttestedConnection, Holder, IdentityError, ManagedToken, PeerProbe, Refusal, Selector, TokenQuery,
    Workload,
    attest::Cookies,
    cache::{Source, TokenCache},
};
use access::{KeySource as _, Principal, PrincipalKind};
use directory::{Audience, DirectoryService, Hosting, audience, managed};
use domain::{
    AppId, AppName, AttachmentId, ChallengeId, ClientId, Entropy, PrincipalId, ResourceGroupName, Secret,
    SubscriptionId, Timestamp, WorkloadId,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};
use store::{Halt, Store, View, refuse};

mod exchange;

pub use exchange::Caller;

/// Managed identity tokens for attested workloads.
pub struct IdentityService {
    store: Arc<dyn Store>,
    directory: Arc<DirectoryService>,
    workloads: RwLock<BTreeMap<WorkloadId, Arc<Workload>>>,
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

    /// All running workloads, in the order of their ids: what is done to each is done in the same order in each run of a seed.
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

    /// Is this connection the workload's own by the kernel's word alone? For endpoints that have no secret; of a workload that is not
    /// enforced no connection is.
    ///
    /// # Errors
    /// [`Refusal::Unenforced`].
    pub fn check_confined<'c>(
        &self,
        connection: &'c AttestedConnection,
    ) -> Result<Authentic<'c>, IdentityError> {
        if connection.is_attested() {
            Ok(Authentic(connection))
        } else {
            Err(Refusal::Unenforced { workload: connection.workload().id() }.into())
        }
    }

    /// Leaves a key for the workload, if the connection is its own by the kernel's word. Answers which: the file says the rest.
    ///
    /// # Errors
    /// [`Refusal::Unenforced`], [`IdentityError::TooManyKeys`], [`IdentityError::Key`].
    pub fn challenge(
        &self,
        connection: &AttestedConnection,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<ChallengeId, IdentityError> {
        let Authentic(connection) = self.check_confined(connection)?;
        let workload = connection.workload();
        if workload.has_ended() {
            return Err(Refusal::Ended { workload: workload.id() }.into());
        }
        workload.challenges().ok_or(IdentityError::WrongKey)?.pose(entropy, now)
    }

    /// Is this connection the workload's own by the kernel's word, and the key one that was left for it? Used up by that, whatever the
    /// request comes to.
    ///
    /// # Errors
    /// [`Refusal::Unenforced`], [`IdentityError::WrongKey`].
    pub fn check_key<'c>(
        &self,
        connection: &'c AttestedConnection,
        presented: &Secret<String>,
        now: Timestamp,
    ) -> Result<Authentic<'c>, IdentityError> {
        let authentic = self.check_confined(connection)?;
        match connection.workload().challenges() {
            Some(challenges) if challenges.take(presented, now) => Ok(authentic),
            _ => Err(IdentityError::WrongKey),
        }
    }

    /// Forgets keys that nobody has come with.
    pub fn sweep_challenges(&self, now: Timestamp) {
        self.workloads().iter().filter_map(|workload| workload.challenges()).for_each(|it| it.sweep(now));
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
        let token = self.current(workload.name(), workload.app(), query, now).await?;
        connection.release()?;
        Ok(token)
    }

    /// A token of an app's identity for the host itself, which resolves references in the app's settings as the app would. Nothing is
    /// attested, since nobody asks: it must never leave this process.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn token_for_host(
        &self,
        app: &App,
        query: &TokenQuery,
        now: Timestamp,
    ) -> Result<Arc<ManagedToken>, IdentityError> {
        self.current(&app.name, app.id, query, now).await
    }

    /// A token of the identity that an app has now, from the cache or made.
    async fn current(
        &self,
        name: &AppName,
        app: AppId,
        query: &TokenQuery,
        now: Timestamp,
    ) -> Result<Arc<ManagedToken>, IdentityError> {
        let (chosen, audience) = self.allowed(name, app, query).await?;
        let (principal, holder) = (&chosen.principal, chosen.holder());
        let roles = self.directory.roles_of(principal, &audience).await?;
        let make = || {
            let hosting = chosen.hosting(name);
            let issued =
                self.directory.issue_for_managed_identity(principal, hosting, &audience, roles, now)?;
            Ok::<_, IdentityError>(ManagedToken::new(
                issued.access_token,
                issued.issued,
                issued.expires_on,
                query.resource.clone(),
                holder,
                principal.client,
            ))
        };
        let epoch = self.directory.epoch();
        let (token, source) = self.cache.get_or_make(holder, &query.resource, epoch, now, make)?;
        if source == Source::Made {
            // Signing takes long enough for an identity to be removed meanwhile.
            let (still, _) = self.allowed(name, app, query).await?;
            if still.holder() != holder {
                return Err(IdentityError::NoIdentity {
                    app: name.clone(),
                    principal: Some(principal.id),
                    why: "it was replaced during the request",
                });
            }
        }
        Ok(token)
    }

    /// Drops every token of a principal. Called when it is disabled or deleted.
    pub fn forget(&self, principal: PrincipalId) {
        self.cache.forget(principal);
    }

    /// The enabled identity of an app that is meant and the resource that it asks for, both as they are now.
    async fn allowed(
        &self,
        name: &AppName,
        app: AppId,
        query: &TokenQuery,
    ) -> Result<(Chosen, Audience), IdentityError> {
        let subscription = self.directory.tenant().subscription();
        let decided = store::query(&*self.store, |view| {
            let chosen = choose(view, name, app, subscription, query.selector.as_ref())?;
            let audience = audience::resolve(view, self.directory.names(), &query.resource)
                .map_err(|halt| halt.map(IdentityError::from))?;
            Ok((chosen, audience))
        })
        .await;
        if let Err(IdentityError::NoIdentity { principal: Some(principal), .. }) = decided {
            // Its tokens must not come back with it.
            self.cache.forget(principal);
        }
        decided
    }
}

/// Witness: this connection is the workload's own, by the endpoint secret, by the kernel's word, or by that and a key. Made by
/// [`IdentityService::check_secret`], [`IdentityService::check_confined`] and [`IdentityService::check_key`] only, good for one token.
pub struct Authentic<'c>(&'c AttestedConnection);

/// The identity under which a token is made.
struct Chosen {
    principal: Arc<Principal>,
    /// Its assignment to the app, if it is user-assigned.
    attachment: Option<AttachmentId>,
    /// The resource group that the app is in.
    group: ResourceGroupName,
}

impl Chosen {
    fn holder(&self) -> Holder {
        Holder { principal: self.principal.id, attachment: self.attachment }
    }

    fn hosting(&self, app: &AppName) -> Option<Hosting> {
        let attachment = self.attachment?;
        Some(Hosting { app: app.clone(), group: self.group.clone(), attachment })
    }
}

/// The identity of an app that is meant, if both are there and it is enabled. Without a selector it is the system-assigned one and no
/// other, as with App Service: a program that names none must not change its identity when another one is assigned to the app. Who asks as
/// IMDS is asked gets the only user-assigned one, where there is no other.
fn choose(
    view: &View,
    name: &AppName,
    id: AppId,
    subscription: SubscriptionId,
    selector: Option<&Selector>,
) -> Result<Chosen, Halt<IdentityError>> {
    let without = |principal, why| refuse(IdentityError::NoIdentity { app: name.clone(), principal, why });
    let Some(app) = view.get::<App>(name)?.filter(|app| app.id == id) else {
        return without(None, "the app was deleted");
    };
    let (identity, attachment) = match (selector, app.identity, &*app.user_assigned) {
        (None | Some(Selector::OwnOrOnly), Some(identity), _) => (identity, None),
        (None, None, []) => return without(None, "its identity is not enabled"),
        (None, None, _) => {
            return without(
                None,
                "it has user-assigned identities only and the request names none: AZURE_CLIENT_ID makes SDKs name one",
            );
        }
        (Some(Selector::OwnOrOnly), None, given) => {
            let mut there = Vec::with_capacity(given.len());
            for one in given {
                if view.get::<Principal>(&one.identity)?.is_some() {
                    there.push((one.identity, Some(one.attachment)));
                }
            }
            match *there {
                [only] => only,
                [] => return without(None, "its identity is not enabled"),
                _ => {
                    return without(
                        None,
                        "it has several user-assigned identities and the request names none: AZURE_CLIENT_ID makes SDKs name one",
                    );
                }
            }
        }
        (Some(selector), ..) => match meant(view, &app, subscription, selector)? {
            Some(chosen) => chosen,
            None => return refuse(IdentityError::NotAssigned { app: name.clone() }),
        },
    };
    let Some(principal) = view.get::<Principal>(&identity)? else {
        return without(Some(identity), "its principal is gone");
    };
    let chosen = Chosen { principal, attachment, group: app.placement.group.clone() };
    let (principal, kind) = (&chosen.principal, chosen.principal.kind);
    let is_its_own = match chosen.attachment {
        None => kind == (PrincipalKind::ManagedIdentity { app: id }),
        Some(_) => kind == PrincipalKind::UserAssignedIdentity,
    };
    if !is_its_own {
        return without(Some(principal.id), "its principal belongs to something else");
    }
    if !principal.enabled {
        return without(Some(principal.id), "its principal is disabled");
    }
    Ok(chosen)
}

/// Which identity of the app does a selector name? One without a principal is none.
fn meant(
    view: &View,
    app: &App,
    subscription: SubscriptionId,
    selector: &Selector,
) -> Result<Option<(PrincipalId, Option<AttachmentId>)>, Halt<IdentityError>> {
    let own = app.identity.map(|identity| (identity, None));
    let others = app.user_assigned.iter().map(|given| (given.identity, Some(given.attachment)));
    for (identity, attachment) in own.into_iter().chain(others) {
        if let Some(principal) = view.get::<Principal>(&identity)?
            && is_meant(selector, subscription, &principal)
        {
            return Ok(Some((identity, attachment)));
        }
    }
    Ok(None)
}

/// Does a selector name this identity? A resource id names user-assigned ones only: that of a system-assigned one is its app's.
fn is_meant(selector: &Selector, subscription: SubscriptionId, principal: &Principal) -> bool {
    match selector {
        Selector::Client(id) => id.parse::<ClientId>() == Ok(principal.client),
        Selector::Principal(id) => id.parse::<PrincipalId>() == Ok(principal.id),
        Selector::Resource(id) => {
            principal.kind == PrincipalKind::UserAssignedIdentity
                && managed::resource_id(subscription, principal)
                    .is_some_and(|own| own.eq_ignore_ascii_case(id))
        }
        Selector::OwnOrOnly => false,
    }
}
