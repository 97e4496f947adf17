//! User-assigned managed identities: made, given to apps, taken away and deleted, each in one commit.
//!
//! A record of an app keeps which of them it has, and a deleted one may go on standing there: without its principal, which never comes
//! back, it is nobody's. What is no more is swept when the app's identities are next changed.

use crate::{App, AppView, HostError, HostService, app};
use access::{Around, Gone, Manager, Principal, PrincipalKind, Scope, Unmanaged, Vacated};
use directory::{IdentityIds, managed};
use domain::{
    AppName, AttachmentId, IdentityName, Placement, PrincipalId, Tags, TenantId, Timestamp, limits,
};
use identity::Assigned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, Write, query, refuse, transact};

/// The record of a user-assigned identity: from its name to its principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAssigned {
    /// As it was spelled when it was made.
    pub name: IdentityName,
    /// Its principal.
    pub principal: PrincipalId,
    /// Where it is as the resource manager shows it.
    #[serde(default, skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// When it was made.
    pub created: Timestamp,
}

impl Record for UserAssigned {
    type Id = IdentityName;

    fn key(name: &IdentityName) -> Key {
        Key::new(format!("identity/{}", name.folded()))
    }
}

impl UserAssigned {
    /// The prefix of all their keys.
    pub fn prefix() -> Key {
        Key::new("identity/")
    }
}

/// The operation of the resource manager by which identities are made and changed.
const WRITE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/write";

/// A user-assigned identity with its principal.
#[derive(Clone, Debug)]
pub struct IdentityView {
    /// Its record.
    pub identity: Arc<UserAssigned>,
    /// Its principal.
    pub principal: Arc<Principal>,
}

impl HostService {
    /// Makes a user-assigned identity and its principal in one commit. No app has it yet.
    ///
    /// # Errors
    /// [`HostError::Unmanaged`], [`HostError::Group`], [`HostError::IdentityExists`].
    pub async fn create_identity(
        &self,
        by: Manager<'_>,
        name: &IdentityName,
        placement: &Placement,
        now: Timestamp,
    ) -> Result<IdentityView, HostError> {
        let new = (self.directory.tenant().id, IdentityIds::random(&*self.entropy));
        transact(&*self.store, &*self.entropy, |view| create(view, by, name, placement, new, now)).await
    }

    /// The user-assigned identities that may be read, in the order of their names.
    ///
    /// # Errors
    /// [`HostError::Unmanaged`] if whoever asks is nobody any more; the store's.
    pub async fn identities(&self, by: Manager<'_>) -> Result<Vec<IdentityView>, HostError> {
        let mut views = Vec::new();
        for listed in self.list::<UserAssigned>(&UserAssigned::prefix()).await? {
            match self.identity_named(by, &listed.name).await {
                Ok(view) => views.push(view),
                // Deleted meanwhile, or not for them to see.
                Err(HostError::IdentityNotFound(_) | HostError::Unmanaged(Unmanaged::NoRole(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(views)
    }

    /// One user-assigned identity.
    ///
    /// # Errors
    /// [`HostError::IdentityNotFound`], [`HostError::Unmanaged`].
    pub async fn identity_named(
        &self,
        by: Manager<'_>,
        name: &IdentityName,
    ) -> Result<IdentityView, HostError> {
        let found = query(&*self.store, |view| {
            let found = find(view, name)?;
            may(view, by, "Microsoft.ManagedIdentity/userAssignedIdentities/read", &found.identity)?;
            Ok(found)
        });
        found.await
    }

    /// Changes what is written on an identity, if anything is said.
    ///
    /// # Errors
    /// [`HostError::IdentityNotFound`], [`HostError::Unmanaged`].
    pub async fn tag_identity(
        &self,
        by: Manager<'_>,
        name: &IdentityName,
        tags: Option<&Tags>,
    ) -> Result<IdentityView, HostError> {
        transact(&*self.store, &*self.entropy, |view| tag(view, by, name, tags)).await
    }

    /// Deletes a user-assigned identity with its principal, whose id is answered, in one commit: no app gets a token under it any more, and those that are
    /// out are worth nothing at a vault.
    ///
    /// # Errors
    /// [`HostError::IdentityNotFound`], [`HostError::Unmanaged`].
    pub async fn delete_identity(
        &self,
        by: Manager<'_>,
        name: &IdentityName,
    ) -> Result<PrincipalId, HostError> {
        let principal = transact(&*self.store, &*self.entropy, |view| delete(view, by, name)).await?;
        self.identity.forget(principal);
        Ok(principal)
    }

    /// Gives a user-assigned identity to an app. Done already: answers the app as it is.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::IdentityNotFound`], [`HostError::Unmanaged`], [`HostError::TooManyIdentities`].
    pub async fn attach_identity(
        &self,
        by: Manager<'_>,
        name: &AppName,
        identity: &IdentityName,
        now: Timestamp,
    ) -> Result<AppView, HostError> {
        let id = AttachmentId::random(&*self.entropy);
        transact(&*self.store, &*self.entropy, |view| attach(view, by, name, identity, id, now)).await
    }

    /// Takes a user-assigned identity away from an app: acknowledged means that no token is issued to the app under it any more, and that
    /// those which it has are worth nothing at a vault. Other apps keep it. Not assigned: answers the app as it is.
    ///
    /// # Errors
    /// [`HostError::AppNotFound`], [`HostError::IdentityNotFound`], [`HostError::Unmanaged`].
    pub async fn detach_identity(
        &self,
        by: Manager<'_>,
        name: &AppName,
        identity: &IdentityName,
        now: Timestamp,
    ) -> Result<AppView, HostError> {
        let over = now.plus(self.directory.token_lifetime());
        transact(&*self.store, &*self.entropy, |view| detach(view, by, name, identity, over, now)).await
    }
}

/// May whoever asks do this to an identity?
pub(crate) fn may(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    identity: &UserAssigned,
) -> Result<(), Halt<HostError>> {
    let scope = Scope::Identity(identity.principal);
    let around = Around::resource(&scope, &identity.placement.group);
    let _permit = by.may(view, operation, &around).map_err(|halt| halt.map(HostError::from))?;
    Ok(())
}

fn create(
    view: &View,
    by: Manager<'_>,
    name: &IdentityName,
    placement: &Placement,
    (tenant, ids): (TenantId, IdentityIds),
    now: Timestamp,
) -> Result<Decision<IdentityView>, Halt<HostError>> {
    app::may_make(view, by, WRITE, &placement.group)?;
    if view.get::<UserAssigned>(name)?.is_some() {
        return refuse(HostError::IdentityExists(name.clone()));
    }
    let registered = managed::register_user_assigned(name, &placement.group, tenant, ids, now);
    let identity = UserAssigned {
        name: name.clone(),
        principal: registered.principal.id,
        placement: placement.clone(),
        created: now,
    };
    let mut writes = registered.writes;
    writes.push(store::put::<UserAssigned>(name, &identity));
    let (identity, principal) = (Arc::new(identity), Arc::new(registered.principal));
    Ok(Decision::of(IdentityView { identity, principal }, writes))
}

pub(crate) fn find(view: &View, name: &IdentityName) -> Result<IdentityView, Halt<HostError>> {
    if let Some(identity) = view.get::<UserAssigned>(name)?
        && let Some(principal) = view.get::<Principal>(&identity.principal)?
    {
        return Ok(IdentityView { identity, principal });
    }
    refuse(HostError::IdentityNotFound(name.clone()))
}

fn tag(
    view: &View,
    by: Manager<'_>,
    name: &IdentityName,
    tags: Option<&Tags>,
) -> Result<Decision<IdentityView>, Halt<HostError>> {
    let current = find(view, name)?;
    may(view, by, WRITE, &current.identity)?;
    let Some(tags) = tags.filter(|tags| **tags != current.identity.placement.tags) else {
        return Ok(Decision::read(current));
    };
    let placement = Placement { tags: tags.clone(), ..current.identity.placement.clone() };
    let identity = UserAssigned { placement, ..UserAssigned::clone(&current.identity) };
    let writes = vec![store::put::<UserAssigned>(name, &identity)];
    Ok(Decision::of(IdentityView { identity: Arc::new(identity), ..current }, writes))
}

fn delete(
    view: &View,
    by: Manager<'_>,
    name: &IdentityName,
) -> Result<Decision<PrincipalId>, Halt<HostError>> {
    let Some(identity) = view.get::<UserAssigned>(name)? else {
        return refuse(HostError::IdentityNotFound(name.clone()));
    };
    may(view, by, "Microsoft.ManagedIdentity/userAssignedIdentities/delete", &identity)?;
    let mut writes =
        managed::unregister(view, identity.principal).map_err(|halt| halt.map(HostError::from))?;
    writes.push(store::delete::<UserAssigned>(name));
    writes.push(Vacated::mark(Gone::Identity(identity.principal)));
    Ok(Decision::of(identity.principal, writes))
}

fn attach(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    identity: &IdentityName,
    id: AttachmentId,
    now: Timestamp,
) -> Result<Decision<AppView>, Halt<HostError>> {
    let mut current = app::show(view, name)?;
    let _permit = app::may(view, by, app::WRITE, &current.app)?;
    if !give(view, by, &mut current.user_assigned, identity, id)? {
        return Ok(Decision::read(current));
    }
    let app = App { user_assigned: living(&current), changed: now, ..App::clone(&current.app) };
    let writes = vec![store::put::<App>(name, &app)];
    Ok(Decision::of(AppView { app: Arc::new(app), ..current }, writes))
}

/// Adds an identity to those that an app has. Was it none of them?
pub(crate) fn give(
    view: &View,
    by: Manager<'_>,
    all: &mut Vec<(Assigned, Arc<Principal>)>,
    name: &IdentityName,
    attachment: AttachmentId,
) -> Result<bool, Halt<HostError>> {
    let given = find(view, name)?;
    // Whoever runs code in the app acts as the identity from then on: that is for those to allow who may say so of the identity.
    may(view, by, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", &given.identity)?;
    if all.iter().any(|(assigned, _)| assigned.identity == given.principal.id) {
        return Ok(false);
    }
    if all.len() >= limits::IDENTITIES_OF_APP_MAX {
        return refuse(HostError::TooManyIdentities { limit: limits::IDENTITIES_OF_APP_MAX });
    }
    all.push((Assigned { identity: given.principal.id, attachment }, given.principal));
    Ok(true)
}

fn detach(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    identity: &IdentityName,
    over: Timestamp,
    now: Timestamp,
) -> Result<Decision<AppView>, Halt<HostError>> {
    let mut current = app::show(view, name)?;
    let _permit = app::may(view, by, app::WRITE, &current.app)?;
    let taken = find(view, identity)?.principal.id;
    let is_taken = |assigned: &Assigned| assigned.identity == taken;
    if !current.user_assigned.iter().any(|(assigned, _)| is_taken(assigned)) {
        return Ok(Decision::read(current));
    }
    let mut writes = Vec::new();
    for (assigned, principal) in &current.user_assigned {
        if is_taken(assigned) {
            writes.push(revoke(principal, *assigned, over, now));
        }
    }
    current.user_assigned.retain(|(assigned, _)| !is_taken(assigned));
    let app = App { user_assigned: living(&current), changed: now, ..App::clone(&current.app) };
    writes.push(store::put::<App>(name, &app));
    Ok(Decision::of(AppView { app: Arc::new(app), ..current }, writes))
}

/// The user-assigned identities of an app's record that are there.
pub(crate) fn of_app(view: &View, app: &App) -> Result<Vec<(Assigned, Arc<Principal>)>, Halt<HostError>> {
    let mut all = Vec::with_capacity(app.user_assigned.len());
    for assigned in &app.user_assigned {
        if let Some(principal) = view.get::<Principal>(&assigned.identity)?
            && principal.kind == PrincipalKind::UserAssignedIdentity
        {
            all.push((*assigned, principal));
        }
    }
    Ok(all)
}

pub(crate) fn living(view: &AppView) -> Vec<Assigned> {
    view.user_assigned.iter().map(|(assigned, _)| *assigned).collect()
}

/// The write that makes what an app got under an identity worth nothing. The identity lives on, with its other apps.
pub(crate) fn revoke(principal: &Principal, assigned: Assigned, over: Timestamp, now: Timestamp) -> Write {
    let mut principal = principal.clone();
    principal.revocations.revoke(assigned.attachment.uuid(), over, now);
    store::put::<Principal>(&principal.id, &principal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AppId, ClientId, Entropy};

    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    const ADMIN: Manager<'_> = Manager::Administrator;
    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const OVER: Timestamp = Timestamp::from_seconds(5_000);

    fn shop() -> AppName {
        AppName::parse("shop").unwrap()
    }

    fn named(number: usize) -> IdentityName {
        IdentityName::parse(&format!("Readers_{number}")).unwrap()
    }

    fn made(number: usize) -> IdentityView {
        let seed = u8::try_from(number).unwrap() + 10;
        let ids = IdentityIds {
            principal: PrincipalId::random(&Fixed(seed)),
            client: ClientId::random(&Fixed(seed)),
        };
        let tenant = TenantId::random(&Fixed(1));
        create(&View::fixture(), ADMIN, &named(number), &Placement::default(), (tenant, ids), NOW)
            .unwrap()
            .value
    }

    fn attachment(seed: u8) -> AttachmentId {
        AttachmentId::random(&Fixed(seed))
    }

    fn view(identities: usize, given: usize) -> View<'static> {
        view_without(identities, given, None)
    }

    /// A store with these identities, and an app that has the first `given` of them; one has been deleted since.
    fn view_without(identities: usize, given: usize, gone: Option<PrincipalId>) -> View<'static> {
        let all: Vec<_> = (0..identities).map(made).collect();
        let user_assigned = all.iter().take(given).map(|one| Assigned {
            identity: one.principal.id,
            attachment: attachment(one.principal.id.uuid().as_bytes()[0]),
        });
        let app = App {
            id: AppId::random(&Fixed(2)),
            name: shop(),
            identity: None,
            user_assigned: user_assigned.collect(),
            placement: Placement::default(),
            created: NOW,
            changed: NOW,
        };
        let there = all.iter().filter(|one| Some(one.principal.id) != gone);
        there.fold(View::fixture().with::<App>(&shop(), &app), |view, one| {
            view.with::<UserAssigned>(&one.identity.name, &one.identity)
                .with::<Principal>(&one.principal.id, &one.principal)
        })
    }

    fn keys(writes: &[Write]) -> Vec<(String, bool)> {
        let key = |write: &Write| String::from_utf8_lossy(write.key().as_bytes()).into_owned();
        writes.iter().map(|write| (key(write), matches!(write, Write::Put(..)))).collect()
    }

    #[test]
    fn an_identity_is_made_and_deleted_with_its_principal() {
        let one = made(0);
        assert_eq!(one.principal.kind, PrincipalKind::UserAssignedIdentity);
        let expected = [
            format!("principal/{}", one.principal.id),
            format!("principal-client/{}", one.principal.client),
            "identity/readers_0".to_owned(),
        ];
        let gone = delete(&view(1, 0), ADMIN, &IdentityName::parse("READERS_0").unwrap()).unwrap();
        let mut expected: Vec<_> = expected.map(|key| (key, false)).into();
        expected.push((format!("vacated/identity/{}", one.principal.id), true));
        assert_eq!(keys(&gone.writes), expected);
        assert_eq!(gone.value, one.principal.id);
        let ids = IdentityIds::random(&Fixed(9));
        let again = create(
            &view(1, 0),
            ADMIN,
            &named(0),
            &Placement::default(),
            (TenantId::random(&Fixed(1)), ids),
            NOW,
        );
        assert!(matches!(again, Err(Halt::Refuse(HostError::IdentityExists(_)))));
        let absent = delete(&view(1, 0), ADMIN, &named(5));
        assert!(matches!(absent, Err(Halt::Refuse(HostError::IdentityNotFound(_)))));
    }

    #[test]
    fn it_is_given_once_and_taken_with_what_stands_on_it() {
        let given = attach(&view(2, 1), ADMIN, &shop(), &named(1), attachment(77), NOW).unwrap();
        assert_eq!(keys(&given.writes), [("app/shop".to_owned(), true)]);
        assert_eq!(given.value.app.user_assigned.len(), 2);
        assert_eq!(given.value.app.user_assigned[1].attachment, attachment(77));
        let again = attach(&view(2, 1), ADMIN, &shop(), &named(0), attachment(77), NOW).unwrap();
        assert!(again.writes.is_empty());
        assert_ne!(again.value.app.user_assigned[0].attachment, attachment(77));

        let one = made(0).principal;
        let taken = detach(&view(2, 1), ADMIN, &shop(), &named(0), OVER, NOW).unwrap();
        assert_eq!(
            keys(&taken.writes),
            [(format!("principal/{}", one.id), true), ("app/shop".to_owned(), true)]
        );
        assert!(taken.value.app.user_assigned.is_empty() && taken.value.user_assigned.is_empty());
        let Write::Put(_, written) = &taken.writes[0] else { panic!("it is put") };
        let written: Principal = serde_json::from_slice(written).unwrap();
        assert!(written.revocations.refuse(NOW, &[attachment(10).uuid()]));
        assert!(!written.revocations.refuse(NOW, &[attachment(11).uuid()]));
        let absent = detach(&view(2, 1), ADMIN, &shop(), &named(1), OVER, NOW).unwrap();
        assert!(absent.writes.is_empty());
    }

    #[test]
    fn what_was_deleted_is_not_assigned_and_is_swept() {
        let full = limits::IDENTITIES_OF_APP_MAX;
        let more = attach(&view(full + 1, full), ADMIN, &shop(), &named(full), attachment(77), NOW);
        assert!(matches!(more, Err(Halt::Refuse(HostError::TooManyIdentities { .. }))));
        let gone = made(3).principal;
        let view = view_without(full + 1, full, Some(gone.id));
        assert_eq!(app::show(&view, &shop()).unwrap().user_assigned.len(), full - 1);
        let given = attach(&view, ADMIN, &shop(), &named(full), attachment(77), NOW).unwrap().value;
        assert_eq!(given.app.user_assigned.len(), full);
        assert!(given.app.user_assigned.iter().all(|assigned| assigned.identity != gone.id));
    }
}
