//! Decisions about apps: plain functions over a view. An app and its identity change in one commit, so that there is never an
//! identity without its principal, nor a principal whose app is gone.

use crate::{App, Desired, HostError, Site, service::AppView, settings::SettingsRecord, user_assigned};
use access::{Around, Gone, ManagePermit, Manager, Principal, Scope, Vacated};
use directory::{IdentityIds, managed, managed::Registered};
use domain::{AppId, AppName, Placement, PrincipalId, ResourceGroupName, Tags, TenantId, Timestamp};
use std::sync::Arc;
use store::{Decision, Halt, View, Write, refuse};

/// Operations of the resource manager on apps.
const READ: &str = "Microsoft.Web/sites/read";
pub(crate) const WRITE: &str = "Microsoft.Web/sites/write";
const DELETE: &str = "Microsoft.Web/sites/delete";

/// May whoever asks do this to an app? Asked in the view of the decision that it is for.
///
/// # Errors
/// [`HostError::Unmanaged`]; what must be loaded first.
pub fn may(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    app: &App,
) -> Result<ManagePermit, Halt<HostError>> {
    let scope = Scope::App(app.id);
    let around = Around::resource(&scope, &app.placement.group);
    by.may(view, operation, &around).map_err(|halt| halt.map(HostError::from))
}

/// May something be made in a group, and may whoever asks make it there?
pub(crate) fn may_make(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    group: &ResourceGroupName,
) -> Result<(), Halt<HostError>> {
    let _permit = by.may(view, operation, &Around::group(group)).map_err(|halt| halt.map(HostError::from))?;
    access::may_hold(view, group)?.map_err(|fault| Halt::Refuse(fault.into()))
}

/// Makes an app, without an identity.
pub(crate) fn create(
    view: &View,
    by: Manager<'_>,
    id: AppId,
    name: &AppName,
    placement: &Placement,
    now: Timestamp,
) -> Result<Decision<Arc<App>>, Halt<HostError>> {
    may_make(view, by, WRITE, &placement.group)?;
    if view.get::<App>(name)?.is_some() {
        return refuse(HostError::AppExists(name.clone()));
    }
    let app = App {
        id,
        name: name.clone(),
        identity: None,
        user_assigned: Vec::new(),
        placement: placement.clone(),
        created: now,
        changed: now,
    };
    let writes = vec![store::put::<App>(name, &app)];
    Ok(Decision::of(Arc::new(app), writes))
}

/// An app as whoever may read it is shown it.
pub(crate) fn read(view: &View, by: Manager<'_>, name: &AppName) -> Result<AppView, Halt<HostError>> {
    let _permit = may(view, by, READ, &*existing(view, name)?)?;
    show(view, name)
}

/// Changes what is written on an app.
pub(crate) fn tag(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    tags: &Tags,
    now: Timestamp,
) -> Result<Decision<()>, Halt<HostError>> {
    let current = existing(view, name)?;
    let _permit = may(view, by, WRITE, &current)?;
    if *tags == current.placement.tags {
        return Ok(Decision::read(()));
    }
    let placement = Placement { tags: tags.clone(), ..current.placement.clone() };
    let app = App { placement, changed: now, ..App::clone(&current) };
    Ok(Decision::of((), vec![store::put::<App>(name, &app)]))
}

/// An app with the principals of its identities.
pub(crate) fn show(view: &View, name: &AppName) -> Result<AppView, Halt<HostError>> {
    let app = existing(view, name)?;
    let principal = match app.identity {
        Some(identity) => view.get::<Principal>(&identity)?,
        None => None,
    };
    let user_assigned = user_assigned::of_app(view, &app)?;
    Ok(AppView { app, principal, user_assigned })
}

/// Deletes an app and its own principal. What it got under user-assigned identities is worth nothing from then on, at the latest `over`
/// has it expired; they themselves stay. Answers the app as it was.
pub(crate) fn delete(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    over: Timestamp,
    now: Timestamp,
) -> Result<Decision<Arc<App>>, Halt<HostError>> {
    let app = existing(view, name)?;
    let _permit = may(view, by, DELETE, &app)?;
    let mut writes = unregister(view, app.identity)?;
    for (assigned, principal) in user_assigned::of_app(view, &app)? {
        writes.push(user_assigned::revoke(&principal, assigned, over, now));
    }
    writes.push(store::delete::<App>(name));
    writes.push(Vacated::mark(Gone::App(app.id)));
    if view.get::<Desired>(name)?.is_some() {
        writes.push(store::delete::<Desired>(name));
    }
    if view.get::<SettingsRecord>(name)?.is_some() {
        writes.push(store::delete::<SettingsRecord>(name));
    }
    if view.get::<Site>(&app.id)?.is_some() {
        writes.push(store::delete::<Site>(&app.id));
    }
    Ok(Decision::of(app, writes))
}

/// Gives an app an identity of its own, unless it has one.
pub(crate) fn assign(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    new: (TenantId, IdentityIds),
    now: Timestamp,
) -> Result<Decision<AppView>, Halt<HostError>> {
    let current = show(view, name)?;
    let _permit = may(view, by, WRITE, &current.app)?;
    if current.principal.is_some() {
        return Ok(Decision::read(current));
    }
    let registered = register(&current.app, new, now);
    let app = App { identity: Some(registered.principal.id), changed: now, ..App::clone(&current.app) };
    let mut writes = registered.writes;
    writes.push(store::put::<App>(name, &app));
    let principal = Some(Arc::new(registered.principal));
    Ok(Decision::of(AppView { app: Arc::new(app), principal, ..current }, writes))
}

/// Takes an app's own identity away. Answers the app as it is then, and the principal that it had.
pub(crate) fn remove(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    now: Timestamp,
) -> Result<Decision<(AppView, Option<PrincipalId>)>, Halt<HostError>> {
    let current = show(view, name)?;
    let _permit = may(view, by, WRITE, &current.app)?;
    let Some(identity) = current.app.identity else {
        return Ok(Decision::read((current, None)));
    };
    let mut writes = unregister(view, Some(identity))?;
    let app = App { identity: None, changed: now, ..App::clone(&current.app) };
    writes.push(store::put::<App>(name, &app));
    let view = AppView { app: Arc::new(app), principal: None, ..current };
    Ok(Decision::of((view, Some(identity)), writes))
}

pub(crate) fn existing(view: &View, name: &AppName) -> Result<Arc<App>, Halt<HostError>> {
    match view.get::<App>(name)? {
        Some(app) => Ok(app),
        None => refuse(HostError::AppNotFound(name.clone())),
    }
}

/// The principal of an identity of an app's own.
pub(crate) fn register(app: &App, (tenant, ids): (TenantId, IdentityIds), now: Timestamp) -> Registered {
    managed::register(app.id, &app.name, &app.placement.group, tenant, ids, now)
}

pub(crate) fn unregister(view: &View, identity: Option<PrincipalId>) -> Result<Vec<Write>, Halt<HostError>> {
    let Some(identity) = identity else { return Ok(Vec::new()) };
    managed::unregister(view, identity).map_err(|halt| halt.map(HostError::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::PrincipalKind;
    use domain::{ClientId, Entropy};

    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    const ADMIN: Manager<'_> = Manager::Administrator;
    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const LATER: Timestamp = Timestamp::from_seconds(2_000);
    const OVER: Timestamp = Timestamp::from_seconds(5_600);

    fn name() -> AppName {
        AppName::parse("Shop").unwrap()
    }

    fn ids() -> IdentityIds {
        IdentityIds { principal: PrincipalId::random(&Fixed(2)), client: ClientId::random(&Fixed(3)) }
    }

    fn tenant() -> TenantId {
        TenantId::random(&Fixed(4))
    }

    fn app(identity: Option<PrincipalId>) -> App {
        let user_assigned = Vec::new();
        App {
            id: AppId::random(&Fixed(1)),
            name: name(),
            identity,
            user_assigned,
            placement: Placement::default(),
            created: NOW,
            changed: NOW,
        }
    }

    fn principal() -> Principal {
        managed::register(app(None).id, &name(), &ResourceGroupName::default(), tenant(), ids(), NOW)
            .principal
    }

    fn with_app(identity: Option<PrincipalId>) -> View<'static> {
        View::fixture().with::<App>(&name(), &app(identity))
    }

    fn with_identity() -> View<'static> {
        with_app(Some(ids().principal)).with::<Principal>(&ids().principal, &principal())
    }

    fn keys(writes: &[Write]) -> Vec<(String, bool)> {
        let key = |write: &Write| String::from_utf8_lossy(write.key().as_bytes()).into_owned();
        let mut keys: Vec<_> =
            writes.iter().map(|write| (key(write), matches!(write, Write::Put(..)))).collect();
        keys.sort();
        keys
    }

    #[test]
    fn an_app_is_made_once_whatever_its_case() {
        let id = AppId::random(&Fixed(1));
        let made = create(&View::fixture(), ADMIN, id, &name(), &Placement::default(), NOW).unwrap();
        assert_eq!(*made.value, app(None));
        assert_eq!(keys(&made.writes), [("app/shop".to_owned(), true)]);
        let again =
            create(&with_app(None), ADMIN, id, &AppName::parse("SHOP").unwrap(), &Placement::default(), NOW);
        assert!(matches!(again, Err(Halt::Refuse(HostError::AppExists(_)))));
    }

    #[test]
    fn an_identity_comes_with_its_principal_in_one_commit() {
        let assigned = assign(&with_app(None), ADMIN, &name(), (tenant(), ids()), LATER).unwrap();
        let expected = [
            "app/shop".to_owned(),
            format!("principal-client/{}", ids().client),
            format!("principal/{}", ids().principal),
        ];
        assert_eq!(keys(&assigned.writes), expected.map(|key| (key, true)));
        let view = assigned.value;
        assert_eq!((view.app.identity, view.app.changed), (Some(ids().principal), LATER));
        let principal = view.principal.unwrap();
        assert_eq!(principal.kind, PrincipalKind::ManagedIdentity { app: app(None).id });
        assert!(principal.enabled);
    }

    #[test]
    fn assigning_again_changes_nothing() {
        let other =
            IdentityIds { principal: PrincipalId::random(&Fixed(9)), client: ClientId::random(&Fixed(9)) };
        let again = assign(&with_identity(), ADMIN, &name(), (tenant(), other), LATER).unwrap();
        assert!(again.writes.is_empty());
        assert_eq!(again.value.principal.unwrap().id, ids().principal);
    }

    /// Of the app that is gone: roles that were given at it go after it.
    fn vacated() -> (String, bool) {
        (format!("vacated/app/{}", app(None).id), true)
    }

    #[test]
    fn removing_and_deleting_take_the_principal_along() {
        let principal_keys =
            [format!("principal-client/{}", ids().client), format!("principal/{}", ids().principal)];
        for (decided, app_stays) in [
            (remove(&with_identity(), ADMIN, &name(), LATER).unwrap().writes, true),
            (delete(&with_identity(), ADMIN, &name(), OVER, LATER).unwrap().writes, false),
        ] {
            let mut expected = vec![("app/shop".to_owned(), app_stays)];
            expected.extend(principal_keys.iter().map(|key| (key.clone(), false)));
            expected.extend((!app_stays).then(vacated));
            assert_eq!(keys(&decided), expected);
        }
        let (view, removed) = remove(&with_identity(), ADMIN, &name(), LATER).unwrap().value;
        assert_eq!((view.app.identity, removed), (None, Some(ids().principal)));
    }

    #[test]
    fn without_an_identity_there_is_nothing_to_remove() {
        let removed = remove(&with_app(None), ADMIN, &name(), LATER).unwrap();
        assert!(removed.writes.is_empty());
        assert_eq!(
            keys(&delete(&with_app(None), ADMIN, &name(), OVER, LATER).unwrap().writes),
            [("app/shop".to_owned(), false), vacated()]
        );
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let view = View::fixture();
        assert!(matches!(show(&view, &name()), Err(Halt::Refuse(HostError::AppNotFound(_)))));
        assert!(matches!(
            delete(&view, ADMIN, &name(), OVER, LATER),
            Err(Halt::Refuse(HostError::AppNotFound(_)))
        ));
        assert!(matches!(
            assign(&view, ADMIN, &name(), (tenant(), ids()), NOW),
            Err(Halt::Refuse(HostError::AppNotFound(_)))
        ));
        assert!(matches!(remove(&view, ADMIN, &name(), NOW), Err(Halt::Refuse(HostError::AppNotFound(_)))));
    }

    /// A user-assigned identity is nobody's property: it stays, and what the app got under it does not.
    #[test]
    fn deleting_leaves_user_assigned_identities_but_not_the_apps_tokens() {
        let shared = managed::register_user_assigned(
            &domain::IdentityName::parse("readers").unwrap(),
            &ResourceGroupName::default(),
            tenant(),
            IdentityIds { principal: PrincipalId::random(&Fixed(7)), client: ClientId::random(&Fixed(8)) },
            NOW,
        )
        .principal;
        let attachment = domain::AttachmentId::random(&Fixed(6));
        let user_assigned = vec![identity::Assigned { identity: shared.id, attachment }];
        let view = View::fixture()
            .with::<App>(&name(), &App { user_assigned, ..app(None) })
            .with::<Principal>(&shared.id, &shared);
        let decided = delete(&view, ADMIN, &name(), OVER, LATER).unwrap();
        let expected =
            [("app/shop".to_owned(), false), (format!("principal/{}", shared.id), true), vacated()];
        assert_eq!(keys(&decided.writes), expected);
        let Write::Put(_, written) = &decided.writes[0] else { panic!("it is put") };
        let written: Principal = serde_json::from_slice(written).unwrap();
        assert!(written.revocations.refuse(LATER, &[attachment.uuid()]) && written.enabled);
    }
}
