//! Who may change apps and identities by the resource manager: by which role, at which scope, and who may not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a surprise is a failed test")]

use crate::world::{NOW, World, shop};
use access::{
    Caller, GroupFault, Manager, Principal, PrincipalKind, ResourceGroup, Revocations, RoleAssignment, Scope,
    Unmanaged, WideRoles,
};
use crypt::SystemEntropy;
use domain::{
    AssignmentId, ClientId, IdentityName, Location, Placement, PrincipalId, ResourceGroupName, Secret, Tags,
};
use host::{
    App, AppView, Change, Desired, DesiredState, HostError, HostService, MeantSettings, Others, Setting,
    WantedIdentities, WantedSetting, Which, Whole,
};
use store::{Decision, Halt, View, transact};

/// A principal that roles are given to.
pub(crate) struct Person(Caller);

impl Person {
    async fn new(world: &World) -> Self {
        let tenant = world.directory.tenant().id;
        let (id, client) = (PrincipalId::random(&SystemEntropy), ClientId::random(&SystemEntropy));
        let principal = Principal {
            id,
            client,
            tenant,
            kind: PrincipalKind::User,
            display_name: "ada".to_owned(),
            enabled: true,
            member_of: Vec::new(),
            resource_group: domain::ResourceGroupName::default(),
            created: NOW,
            revocations: Revocations::default(),
        };
        put::<Principal>(world, &id, &principal).await;
        Self(Caller::fixture(id, client, tenant))
    }

    /// Has this role there from now on, and no other.
    pub(crate) async fn is(&self, world: &World, role: &str, scope: Scope) {
        let one = RoleAssignment {
            id: AssignmentId::random(&SystemEntropy),
            role: role.parse().unwrap(),
            object: None,
            created: NOW,
        };
        let roles = WideRoles { assignments: vec![(scope, one)] };
        put::<WideRoles>(world, &self.0.principal(), &roles).await;
    }

    pub(crate) fn asks(&self) -> Manager<'_> {
        Manager::Caller(&self.0)
    }
}

async fn put<R: store::Record>(world: &World, id: &R::Id, record: &R) {
    let write = store::put::<R>(id, record);
    let written = transact(&*world.store, &SystemEntropy, |_| {
        Ok::<_, Halt<store::StoreError>>(Decision::of((), vec![write.clone()]))
    });
    written.await.unwrap();
}

pub(crate) fn group(name: &str) -> ResourceGroupName {
    ResourceGroupName::parse(name).unwrap()
}

fn placed(name: &str) -> Placement {
    Placement { group: group(name), ..Placement::default() }
}

async fn make_group(world: &World, name: &str, is_going: bool) {
    let record = ResourceGroup {
        id: "11111111-0000-4000-8000-000000000001".parse().unwrap(),
        name: group(name),
        location: Location::default(),
        tags: Tags::default(),
        created: NOW,
        is_going,
    };
    put::<ResourceGroup>(world, &group(name), &record).await;
}

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, HostError>, operation: &str) {
    match result.unwrap_err() {
        HostError::Unmanaged(Unmanaged::NoRole(named)) => assert_eq!(named, operation),
        other => panic!("{other:?} instead of {operation}"),
    }
}

const WRITE: &str = "Microsoft.Web/sites/write";

/// A world with an app in group shop, an identity there, and a person without a role.
pub(crate) async fn world() -> (World, Person, IdentityName) {
    let world = World::new().await;
    make_group(&world, "shop", false).await;
    let readers: IdentityName = "readers".parse().unwrap();
    world.host.create_app(Manager::Administrator, &shop(), &placed("shop"), NOW).await.unwrap();
    world.host.create_identity(Manager::Administrator, &readers, &placed("shop"), NOW).await.unwrap();
    let person = Person::new(&world).await;
    (world, person, readers)
}

/// Writes on an app, and changes nothing else.
async fn tag(
    host: &HostService,
    by: Manager<'_>,
    which: Which<'_>,
    tags: &Tags,
) -> Result<AppView, HostError> {
    let whole = Whole { which, tags: Some(tags), settings: &[], run: None, identities: None };
    let nothing = |_: &View<'_>, _: &App| Ok::<_, Halt<HostError>>(Decision::read(()));
    host.change_whole(by, &shop(), &whole, nothing, NOW).await
}

/// Everything that changes an app or an identity, one after the other, and by which operation each is refused.
async fn all_refused(world: &World, person: &Person, readers: &IdentityName) {
    let (host, by, web) = (&world.host, person.asks(), "web".parse().unwrap());
    let change = |change: Change| async move { host.change_desired(by, &shop(), &change, NOW).await };
    refused(host.create_app(by, &web, &placed("shop"), NOW).await, WRITE);
    let there = host.app(Manager::Administrator, &shop()).await.unwrap().app;
    refused(tag(host, by, Which::There(&there), &Tags::default()).await, WRITE);
    refused(tag(host, by, Which::New(&placed("shop")), &Tags::default()).await, WRITE);
    refused(host.assign_identity(by, &shop(), NOW).await, WRITE);
    refused(host.remove_identity(by, &shop(), NOW).await, WRITE);
    refused(host.attach_identity(by, &shop(), readers, NOW).await, WRITE);
    refused(host.detach_identity(by, &shop(), readers, NOW).await, WRITE);
    refused(host.delete_app(by, &shop(), NOW).await, "Microsoft.Web/sites/delete");
    let start = Change { state: Some(DesiredState::Running), ..Change::default() };
    refused(change(start).await, "Microsoft.Web/sites/start/Action");
    let stop = Change { state: Some(DesiredState::Stopped), ..Change::default() };
    refused(change(stop).await, "Microsoft.Web/sites/stop/Action");
    let restart = Change { restart: true, ..Change::default() };
    refused(change(restart).await, "Microsoft.Web/sites/restart/Action");
    let deploy = Change { deploying: true, ..Change::default() };
    refused(change(deploy).await, "Microsoft.Web/sites/publish/Action");
    let command = Change { command: Some(None), ..Change::default() };
    refused(change(command).await, "Microsoft.Web/sites/config/write");
    refused(change(Change::default()).await, "Microsoft.Web/sites/config/write");
    refused(host.settings(by, &shop()).await, "Microsoft.Web/sites/config/list/Action");
    refused(host.change_settings(by, &shop(), &[], &[], NOW).await, "Microsoft.Web/sites/config/write");
    let identities = "Microsoft.ManagedIdentity/userAssignedIdentities";
    let other = "other".parse().unwrap();
    refused(host.create_identity(by, &other, &placed("shop"), NOW).await, &format!("{identities}/write"));
    refused(host.tag_identity(by, readers, None).await, &format!("{identities}/write"));
    refused(host.delete_identity(by, readers).await, &format!("{identities}/delete"));
}

#[tokio::test]
async fn without_a_role_nothing_is_changed_or_read() {
    let (world, person, readers) = world().await;
    all_refused(&world, &person, &readers).await;
    let by = person.asks();
    refused(world.host.app(by, &shop()).await, "Microsoft.Web/sites/read");
    let read = "Microsoft.ManagedIdentity/userAssignedIdentities/read";
    refused(world.host.identity_named(by, &readers).await, read);
    assert!(world.host.apps(by).await.unwrap().is_empty());
    assert!(world.host.identities(by).await.unwrap().is_empty());
    assert_eq!(world.host.apps(Manager::Administrator).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reader_reads_and_changes_nothing() {
    let (world, person, readers) = world().await;
    person.is(&world, "Reader", Scope::Subscription).await;
    all_refused(&world, &person, &readers).await;
    assert_eq!(world.host.apps(person.asks()).await.unwrap().len(), 1);
    assert_eq!(world.host.identities(person.asks()).await.unwrap().len(), 1);
    assert_eq!(world.host.app(person.asks(), &shop()).await.unwrap().app.placement, placed("shop"));
}

#[tokio::test]
async fn a_role_counts_where_it_is_given() {
    let (world, person, readers) = world().await;
    let (host, by) = (&world.host, person.asks());
    let elsewhere = "elsewhere".parse().unwrap();
    host.create_app(Manager::Administrator, &elsewhere, &Placement::default(), NOW).await.unwrap();
    let app = host.app(Manager::Administrator, &shop()).await.unwrap().app.id;
    let restart = Change { restart: true, ..Change::default() };
    for scope in [Scope::App(app), Scope::Group(group("SHOP")), Scope::Subscription] {
        person.is(&world, "Contributor", scope.clone()).await;
        host.change_desired(by, &shop(), &restart, NOW).await.unwrap();
        let setting = Setting { name: "A".into(), value: Secret::new("1".into()), is_secret: false };
        host.change_settings(by, &shop(), &[setting], &[], NOW).await.unwrap();
        assert_eq!(host.settings(by, &shop()).await.unwrap().len(), 1);
        let outside = host.change_desired(by, &elsewhere, &restart, NOW).await;
        match scope {
            Scope::Subscription => assert!(outside.is_ok()),
            _ => refused(outside, "Microsoft.Web/sites/restart/Action"),
        }
        // Whoever may change one app may not give it any identity, nor make another.
        let attached = host.attach_identity(by, &shop(), &readers, NOW).await;
        let made = host.create_app(by, &"web".parse().unwrap(), &placed("shop"), NOW).await;
        match scope {
            Scope::App(_) => {
                refused(attached, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action");
                refused(made, WRITE);
            }
            _ => {
                attached.unwrap();
                made.unwrap();
                host.delete_app(by, &"web".parse().unwrap(), NOW).await.unwrap();
                host.detach_identity(by, &shop(), &readers, NOW).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_made_in_a_group_that_is_not_there_or_is_going() {
    let (world, _, _) = world().await;
    make_group(&world, "old", true).await;
    let by = Manager::Administrator;
    let gone = world.host.create_app(by, &"web".parse().unwrap(), &placed("nowhere"), NOW).await;
    assert!(matches!(gone, Err(HostError::Group(GroupFault::NotFound(_)))));
    let going = world.host.create_identity(by, &"other".parse().unwrap(), &placed("old"), NOW).await;
    assert!(matches!(going, Err(HostError::Group(GroupFault::Going(_)))));
}

#[tokio::test]
async fn what_is_written_on_an_app_changes_and_nothing_else() {
    let (world, person, readers) = world().await;
    person.is(&world, "Website Contributor", Scope::Group(group("shop"))).await;
    let tags = Tags::new([("env".to_owned(), "test".to_owned())].into()).unwrap();
    let there = world.host.app(person.asks(), &shop()).await.unwrap().app;
    let view = tag(&world.host, person.asks(), Which::There(&there), &tags).await.unwrap();
    assert_eq!(view.app.placement, Placement { tags: tags.clone(), ..placed("shop") });
    // The role is about apps.
    let operation = "Microsoft.ManagedIdentity/userAssignedIdentities/write";
    refused(world.host.tag_identity(person.asks(), &readers, Some(&tags)).await, operation);
}

#[tokio::test]
async fn an_app_is_made_whole_or_not_at_all() {
    let (world, _, readers) = world().await;
    let (by, name) = (Manager::Administrator, "whole".parse().unwrap());
    let wanted = [WantedSetting { name: "A".to_owned(), value: Some(Secret::new("1".to_owned())) }];
    let settings: [(&[WantedSetting], MeantSettings<'_>); 1] = [(&wanted, &|_| true)];
    let run = |_: Option<&Desired>| Some(Change { instances: Some(2), ..Change::default() });
    let identities = WantedIdentities { own: true, named: vec![readers], others: Others::Go };
    let placement = placed("shop");
    let which = Which::New(&placement);
    let whole =
        Whole { which, tags: None, settings: &settings, run: Some(&run), identities: Some(&identities) };
    let make = async |beside: Result<(), HostError>| {
        let beside = std::sync::Mutex::new(Some(beside));
        let decide = |_: &View<'_>, app: &App| {
            assert!(app.identity.is_none(), "as it is then");
            beside.lock().unwrap().take().unwrap().map(Decision::read).map_err(Halt::Refuse)
        };
        world.host.change_whole(by, &name, &whole, decide, NOW).await
    };
    let refused = make(Err(HostError::NoAccountLeft)).await;
    assert!(matches!(refused, Err(HostError::NoAccountLeft)));
    assert!(matches!(world.host.app(by, &name).await, Err(HostError::AppNotFound(_))));
    let made = make(Ok(())).await.unwrap();
    assert_eq!((made.user_assigned.len(), made.principal.is_some()), (1, true));
    assert_eq!(world.host.settings(by, &name).await.unwrap()[0].value.expose(), "1");
    assert_eq!(world.host.desired(&name).await.unwrap().unwrap().instances, 2);
    assert!(matches!(make(Ok(())).await, Err(HostError::AppExists(_))));
    // Of what is there, and of no other of its name.
    let there = world.host.app(by, &name).await.unwrap().app;
    let _gone = world.host.delete_app(by, &name, NOW).await.unwrap();
    let _other = world.host.create_app(by, &name, &placement, NOW).await.unwrap();
    let (which, nothing) = (Which::There(&there), |_: &View<'_>, _: &App| Ok(Decision::read(())));
    let other = world.host.change_whole(by, &name, &Whole { which, ..whole }, nothing, NOW).await;
    assert!(matches!(other, Err(HostError::AppNotFound(_))));
}

/// Roles outside of vaults go with the principal, in one commit.
#[tokio::test]
async fn an_identitys_roles_go_with_it() {
    let (world, _, readers) = world().await;
    let by = Manager::Administrator;
    let own = world.host.assign_identity(by, &shop(), NOW).await.unwrap().principal.unwrap();
    let shared = world.host.identity_named(by, &readers).await.unwrap().principal;
    for principal in [&own, &shared] {
        let person = Person(Caller::fixture(principal.id, principal.client, principal.tenant));
        person.is(&world, "Reader", Scope::Subscription).await;
        assert_eq!(world.host.apps(person.asks()).await.unwrap().len(), 1);
    }
    world.host.remove_identity(by, &shop(), NOW).await.unwrap();
    world.host.delete_identity(by, &readers).await.unwrap();
    for principal in [&own, &shared] {
        let left = store::query(&*world.store, |view| {
            Ok::<_, Halt<store::StoreError>>(view.get::<WideRoles>(&principal.id)?)
        });
        assert!(left.await.unwrap().is_none());
    }
}
