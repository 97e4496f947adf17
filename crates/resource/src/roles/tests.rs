//! Roles over a memory store: who may give them, where they are seen, and that none reaches further than it was given.

use super::*;
use crate::counting::Counting;
use access::{Caller, ObjectScope, ResourceGroup, Revocations};
use domain::{
    AppId, AppName, ClientId, Entropy, Location, ObjectKind, ObjectName, Placement, ResourceGroupName,
    RoleId, SubscriptionId, TenantId, VaultName,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use vault::{NewVault, VaultService, VaultSettings};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const BY: Manager<'static> = Manager::Administrator;

struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        let call = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        buffer.fill(0);
        for (to, from) in buffer.iter_mut().zip(call) {
            *to = from;
        }
    }
}

macro_rules! refused {
    ($result:expr, $pattern:pat) => {
        match $result {
            Err(ResourceError::Role($pattern)) => {}
            other => panic!("{other:?} is not {}", stringify!($pattern)),
        }
    };
}

fn no_role<T: std::fmt::Debug>(result: Result<T, ResourceError>) -> bool {
    match result {
        Err(ResourceError::Unmanaged(Unmanaged::NoRole(_))) => true,
        Err(ResourceError::Unmanaged(other)) => panic!("{other}"),
        Ok(_) | Err(_) => false,
    }
}

/// A group `shop` with vault `till` and app `web`.
struct World {
    service: ResourceService,
    store: Arc<Counting>,
    entropy: Arc<Counted>,
    vault: VaultId,
}

/// Somebody with a token.
struct Somebody(Caller);

impl Somebody {
    fn id(&self) -> PrincipalId {
        self.0.principal()
    }

    fn by(&self) -> Manager<'_> {
        Manager::Caller(&self.0)
    }
}

impl World {
    async fn new() -> Self {
        let (store, entropy) = (Arc::new(Counting::default()), Arc::new(Counted(AtomicU64::new(1))));
        let subscription = SubscriptionId::random(&*entropy);
        let service = ResourceService::new(store.clone(), entropy.clone(), subscription);
        let root = Arc::new(crypt::Key256::random(&*entropy));
        let vaults = VaultService::new(store.clone(), entropy.clone(), Arc::new(domain::world::Here), root);
        let mut world = Self { service, store, entropy, vault: VaultId::from_uuid(uuid(0)) };
        let shop = ResourceGroup {
            id: "11111111-0000-4000-8000-000000000001".parse().unwrap(),
            name: group("shop"),
            location: Location::default(),
            tags: domain::Tags::default(),
            created: NOW,
            is_going: false,
        };
        let placement = Placement { group: shop.name.clone(), ..Placement::default() };
        let name = AppName::parse("web").unwrap();
        let app = App {
            id: AppId::random(&*world.entropy),
            name: name.clone(),
            identity: None,
            user_assigned: Vec::new(),
            placement,
            created: NOW,
            changed: NOW,
        };
        world.write(vec![put::<ResourceGroup>(&shop.name, &shop), put::<App>(&name, &app)]).await;
        let name = VaultName::parse("till").unwrap();
        let tenant = TenantId::random(&*world.entropy);
        let new = NewVault {
            name: &name,
            tenant,
            owner: None,
            group: group("shop"),
            location: Location::default(),
        };
        let made = vaults.create_vault(BY, new, &VaultSettings::default(), NOW).await.unwrap();
        world.vault = made.id;
        world
    }

    async fn write(&self, writes: Vec<Write>) {
        let ResourceService { store, entropy, .. } = &self.service;
        let written =
            transact::<_, ResourceError>(&**store, &**entropy, |_| Ok(Decision::of((), writes.clone())));
        written.await.unwrap();
    }

    async fn somebody(&self, kind: PrincipalKind, member_of: &[GroupId]) -> Somebody {
        let (id, client) = (PrincipalId::random(&*self.entropy), ClientId::random(&*self.entropy));
        let tenant = TenantId::from_uuid(uuid(1));
        let principal = Principal {
            id,
            client,
            tenant,
            kind,
            display_name: "somebody".to_owned(),
            enabled: true,
            member_of: member_of.to_vec(),
            resource_group: ResourceGroupName::default(),
            created: NOW,
            revocations: Revocations::default(),
        };
        self.write(vec![put::<Principal>(&id, &principal)]).await;
        Somebody(Caller::fixture(id, client, tenant))
    }

    async fn user(&self) -> Somebody {
        self.somebody(PrincipalKind::User, &[]).await
    }

    async fn group(&self) -> GroupId {
        let id = GroupId::from_uuid(PrincipalId::random(&*self.entropy).uuid());
        let group = Group {
            id,
            display_name: "ops".to_owned(),
            description: None,
            mail_nickname: None,
            created: NOW,
        };
        self.write(vec![put::<Group>(&id, &group)]).await;
        id
    }

    async fn give(
        &self,
        by: Manager<'_>,
        at: &Place,
        role: &str,
        to: PrincipalId,
    ) -> Result<Assigned, ResourceError> {
        let new = NewAssignment { id: None, principal: to, kind: None, role: role.parse().unwrap() };
        self.service.assign(by, at, &new, NOW).await.map(|(assigned, _)| assigned)
    }

    async fn seen(&self, by: Manager<'_>, at: &Place, which: Which) -> Vec<AssignmentId> {
        let all = self.service.assignments(by, at, which).await.unwrap();
        all.iter().map(|assigned| assigned.id).collect()
    }
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

fn group(name: &str) -> ResourceGroupName {
    ResourceGroupName::parse(name).unwrap()
}

fn shop() -> Place {
    Place::Group(group("shop"))
}

fn till() -> Place {
    Place::Vault(Some(group("shop")), VaultName::parse("till").unwrap(), None)
}

fn secret(name: &str) -> Place {
    let object = ObjectScope { kind: ObjectKind::Secret, name: ObjectName::parse(name).unwrap() };
    Place::Vault(None, VaultName::parse("TILL").unwrap(), Some(object))
}

fn web() -> Place {
    Place::App(Some(group("shop")), AppName::parse("web").unwrap())
}

#[tokio::test]
async fn a_role_at_any_scope_is_given_once_found_and_taken_away() {
    let world = World::new().await;
    let user = world.user().await;
    for place in [Place::Subscription, shop(), till(), secret("db"), web()] {
        let id = AssignmentId::random(&*world.entropy);
        let role = "Reader".parse().unwrap();
        let new = NewAssignment { id: Some(id), principal: user.id(), kind: Some(SubjectKind::User), role };
        let (made, is_new) = world.service.assign(BY, &place, &new, NOW).await.unwrap();
        assert!(is_new && made.id == id && made.kind == SubjectKind::User, "{place}");
        let (again, is_new) = world.service.assign(BY, &place, &new, NOW).await.unwrap();
        assert_eq!((again, is_new), (made.clone(), false), "{place}");
        // The same by another name, and without one.
        let other = NewAssignment { id: Some(AssignmentId::random(&*world.entropy)), ..new.clone() };
        refused!(world.service.assign(BY, &place, &other, NOW).await, RoleFault::AssignmentExists(_));
        let (known, is_new) =
            world.service.assign(BY, &place, &NewAssignment { id: None, ..new.clone() }, NOW).await.unwrap();
        assert_eq!((known.id, is_new), (id, false), "{place}");
        assert_eq!(world.service.assignment(BY, &place, id).await.unwrap(), made);
        // By its name it is nowhere else, and nobody else's.
        let somebody = NewAssignment { principal: world.user().await.id(), ..new.clone() };
        refused!(world.service.assign(BY, &place, &somebody, NOW).await, RoleFault::AssignmentOther(_));
        let role = "Contributor".parse().unwrap();
        let wider = NewAssignment { role, ..new.clone() };
        refused!(world.service.assign(BY, &place, &wider, NOW).await, RoleFault::AssignmentOther(_));
        let elsewhere = if place == shop() { till() } else { shop() };
        refused!(world.service.assign(BY, &elsewhere, &new, NOW).await, RoleFault::AssignmentOther(_));
        refused!(world.service.assignment(BY, &elsewhere, id).await, RoleFault::AssignmentNotFound(_));
        assert_eq!(world.service.unassign(BY, &elsewhere, id).await.unwrap(), None);
        assert_eq!(world.service.unassign(BY, &place, id).await.unwrap(), Some(made));
        assert_eq!(world.service.unassign(BY, &place, id).await.unwrap(), None);
        refused!(world.service.assignment(BY, &place, id).await, RoleFault::AssignmentNotFound(_));
    }
    assert!(world.seen(BY, &Place::Subscription, Which::default()).await.is_empty());
}

#[tokio::test]
async fn lists_show_what_is_there_around_and_below() {
    let world = World::new().await;
    let ops = world.group().await;
    let user = world.somebody(PrincipalKind::User, &[ops]).await;
    let mut given = Vec::new();
    for (place, to) in [
        (Place::Subscription, user.id()),
        (shop(), ops.subject()),
        (till(), user.id()),
        (secret("db"), user.id()),
        (web(), world.user().await.id()),
    ] {
        given.push(world.give(BY, &place, "Reader", to).await.unwrap().id);
    }
    let all = Which::default();
    let of = |which: &[usize]| {
        let mut ids: Vec<_> = which.iter().map(|at| given[*at]).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(world.seen(BY, &Place::Subscription, all).await, of(&[0, 1, 2, 3, 4]));
    assert_eq!(world.seen(BY, &shop(), all).await, of(&[0, 1, 2, 3, 4]));
    assert_eq!(world.seen(BY, &till(), all).await, of(&[0, 1, 2, 3]));
    assert_eq!(world.seen(BY, &secret("DB"), all).await, of(&[0, 1, 2, 3]));
    assert_eq!(world.seen(BY, &secret("other"), all).await, of(&[0, 1, 2]));
    assert_eq!(world.seen(BY, &web(), all).await, of(&[0, 1, 4]));
    let at_scope = Which { not_below: true, ..all };
    assert_eq!(world.seen(BY, &Place::Subscription, at_scope).await, of(&[0]));
    assert_eq!(world.seen(BY, &till(), at_scope).await, of(&[0, 1, 2]));
    let of_user = Which { of: Some(user.id()), ..all };
    assert_eq!(world.seen(BY, &shop(), of_user).await, of(&[0, 2, 3]));
    let counting = Which { not_below: true, counting_for: Some(user.id()), ..all };
    assert_eq!(world.seen(BY, &till(), counting).await, of(&[0, 1, 2]), "by its group as well");
    let counting = Which { not_below: false, ..counting };
    assert_eq!(world.seen(BY, &Place::Subscription, counting).await, of(&[0, 1, 2, 3]), "and below");
    // A reader of the group sees what is in it and around it; of what is outside, nothing.
    assert_eq!(world.seen(user.by(), &shop(), all).await, of(&[0, 1, 2, 3, 4]));
    let stranger = world.user().await;
    assert!(no_role(world.service.assignments(stranger.by(), &shop(), all).await));
    assert!(no_role(world.service.assignment(stranger.by(), &shop(), given[1]).await));
    // What is given at something that is gone is not told, and goes with the group.
    let gone = world.give(BY, &Place::Group(group("shop")), "Owner", user.id()).await.unwrap();
    world.service.take_all_at(&[Scope::Group(group("SHOP"))], |_| Ok(true)).await.unwrap();
    refused!(world.service.assignment(BY, &shop(), gone.id).await, RoleFault::AssignmentNotFound(_));
    assert_eq!(world.seen(BY, &shop(), at_scope).await, of(&[0]));
}

#[tokio::test]
async fn who_may_give_roles_gives_those_that_they_may_there() {
    let world = World::new().await;
    let to = world.user().await.id();
    let give = async |by: Manager<'_>, at: &Place, role: &str| world.give(by, at, role, to).await;
    let administrator = world.user().await;
    world.give(BY, &shop(), "User Access Administrator", administrator.id()).await.unwrap();
    let given = give(administrator.by(), &till(), "Owner").await.unwrap();
    assert!(no_role(give(administrator.by(), &Place::Subscription, "Reader").await));
    assert!(no_role(give(administrator.by(), &Place::Group(group("other")), "Reader").await));
    for role in ["Reader", "Contributor", "Key Vault Contributor", "Key Vault Administrator"] {
        let somebody = world.user().await;
        world.give(BY, &Place::Subscription, role, somebody.id()).await.unwrap();
        for place in [Place::Subscription, shop(), till(), secret("db"), web()] {
            assert!(no_role(give(somebody.by(), &place, "Reader").await), "{role} {place}");
            assert!(no_role(world.service.unassign(somebody.by(), &place, given.id).await), "{role}");
        }
    }
    // Who gives access to data gives no role to manage, and takes none.
    let giver = world.user().await;
    world.give(BY, &till(), "Key Vault Data Access Administrator", giver.id()).await.unwrap();
    give(giver.by(), &secret("db"), "Key Vault Secrets User").await.unwrap();
    assert!(no_role(give(giver.by(), &till(), "Contributor").await));
    assert!(no_role(world.service.unassign(giver.by(), &till(), given.id).await));
    // A role for one object manages nothing.
    let owner = world.user().await;
    world.give(BY, &secret("db"), "Owner", owner.id()).await.unwrap();
    assert!(no_role(give(owner.by(), &secret("db"), "Reader").await));
    // What is not there is told only to who may do something around it.
    let none = Place::Vault(Some(group("shop")), VaultName::parse("none").unwrap(), None);
    refused!(give(administrator.by(), &none, "Reader").await, RoleFault::NoSuchPlace { .. });
    assert!(no_role(give(giver.by(), &none, "Key Vault Reader").await));
    let moved = Place::Vault(Some(group("other")), VaultName::parse("till").unwrap(), None);
    refused!(give(BY, &moved, "Reader").await, RoleFault::NoSuchPlace { .. });
    assert!(no_role(give(administrator.by(), &moved, "Reader").await));
}

#[tokio::test]
async fn a_role_is_given_to_somebody_who_is_there_and_in_a_group_that_is() {
    let world = World::new().await;
    let nobody = PrincipalId::random(&*world.entropy);
    refused!(world.give(BY, &shop(), "Reader", nobody).await, RoleFault::PrincipalNotFound(_));
    let ops = world.group().await;
    let said = NewAssignment {
        id: None,
        principal: ops.subject(),
        kind: Some(SubjectKind::ServicePrincipal),
        role: "Reader".parse().unwrap(),
    };
    refused!(world.service.assign(BY, &shop(), &said, NOW).await, RoleFault::PrincipalOther { .. });
    let given = world.give(BY, &shop(), "Reader", ops.subject()).await.unwrap();
    assert_eq!(given.kind, SubjectKind::Group);
    let absent = world.give(BY, &Place::Group(group("other")), "Reader", ops.subject()).await;
    assert!(matches!(absent, Err(ResourceError::Group(_))), "{absent:?}");
    let no_such = "11111111-2222-4333-8444-555555555555";
    refused!(world.give(BY, &shop(), no_such, ops.subject()).await, RoleFault::RoleNotFound(_));
    let known = world.give(BY, &till(), "Reader", ops.subject()).await.unwrap();
    let in_vault = query::<_, ResourceError>(&*world.service.store, |view| {
        Ok(view.get::<RoleAssignments>(&(world.vault, ops.subject()))?)
    });
    let ids: Vec<_> = in_vault.await.unwrap().unwrap().assignments.iter().map(|one| one.id).collect();
    assert_eq!(ids, [known.id], "where decisions in the vault read it");
}

#[tokio::test]
async fn who_has_a_role_anywhere_is_told_of_the_subscription() {
    let world = World::new().await;
    let ops = world.group().await;
    for place in [Place::Subscription, shop(), till(), secret("db"), web()] {
        let user = world.user().await;
        assert!(!world.service.has_any_role(user.by()).await.unwrap(), "{place}");
        let given = world.give(BY, &place, "Key Vault Secrets User", user.id()).await.unwrap();
        assert!(world.service.has_any_role(user.by()).await.unwrap(), "{place}");
        world.service.unassign(BY, &place, given.id).await.unwrap();
        assert!(!world.service.has_any_role(user.by()).await.unwrap(), "{place}");
    }
    let member = world.somebody(PrincipalKind::User, &[ops]).await;
    assert!(!world.service.has_any_role(member.by()).await.unwrap());
    world.give(BY, &secret("db"), "Key Vault Secrets User", ops.subject()).await.unwrap();
    assert!(world.service.has_any_role(member.by()).await.unwrap(), "by a group");
}

#[tokio::test]
async fn a_role_in_a_vault_is_looked_for_no_further_than_it_is() {
    let world = World::new().await;
    let user = world.user().await;
    let one = RoleAssignment {
        id: AssignmentId::random(&*world.entropy),
        role: "Reader".parse().unwrap(),
        object: None,
        created: NOW,
    };
    let roles = RoleAssignments { assignments: vec![one] };
    let (first, vault) = (VaultId::from_uuid(uuid(1)), VaultId::from_uuid(uuid(2)));
    world.write(vec![put::<RoleAssignments>(&(first, user.id()), &roles)]).await;
    for number in 0..600 {
        let holder = (vault, PrincipalId::from_uuid(uuid(number)));
        world.write(vec![put::<RoleAssignments>(&holder, &roles)]).await;
    }
    world.store.pages();
    assert!(world.service.has_any_role(user.by()).await.unwrap());
    assert_eq!(world.store.pages(), 1);
    assert!(!world.service.has_any_role(world.user().await.by()).await.unwrap());
    assert_eq!(world.store.pages(), 3);
}

#[tokio::test]
async fn one_may_have_so_many_roles_each_as_long_as_can_be() {
    let world = World::new().await;
    let user = world.user().await;
    let name = |number: usize| format!("{number:0>width$}", width = limits::OBJECT_NAME_CHARS_MAX);
    for number in 0..=limits::ROLE_ASSIGNMENTS_MAX {
        let place = secret(&name(number));
        match number < limits::ROLE_ASSIGNMENTS_MAX {
            true => drop(world.give(BY, &place, "Key Vault Administrator", user.id()).await.unwrap()),
            false => refused!(world.give(BY, &place, "Reader", user.id()).await, RoleFault::TooMany { .. }),
        }
    }
}

#[tokio::test]
async fn roles_at_what_is_gone_go_also_if_its_deletion_got_no_further() {
    let world = World::new().await;
    let user = world.user().await;
    let kept = world.give(BY, &shop(), "Reader", user.id()).await.unwrap();
    world.give(BY, &web(), "Reader", user.id()).await.unwrap();
    let name = AppName::parse("web").unwrap();
    let app = query::<_, ResourceError>(&*world.service.store, |view| Ok(view.get::<App>(&name)?));
    let gone = Gone::App(app.await.unwrap().unwrap().id);
    let at = gone.scope();
    // What the app's deletion writes; the server ends before anything else is done.
    world.write(vec![store::delete::<App>(&name), Vacated::mark(gone)]).await;
    assert_eq!(world.service.kept(|kept| kept.scope == at).await.unwrap().len(), 1);
    world.service.sweep().await.unwrap();
    assert!(world.service.kept(|kept| kept.scope == at).await.unwrap().is_empty());
    assert_eq!(world.seen(BY, &shop(), Which::default()).await, [kept.id]);
    assert!(world.service.all::<Vacated>(&Vacated::prefix()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_goes_together_is_forgotten_by_one_look_at_roles_outside_of_vaults() {
    let world = World::new().await;
    let user = world.user().await;
    let one = |number: u128| RoleAssignment {
        id: AssignmentId::from_uuid(uuid(number)),
        role: "Reader".parse().unwrap(),
        object: None,
        created: NOW,
    };
    let in_vault = RoleAssignments { assignments: vec![one(1)] };
    for number in 0..600 {
        let holder = (world.vault, PrincipalId::from_uuid(uuid(number)));
        world.write(vec![put::<RoleAssignments>(&holder, &in_vault)]).await;
    }
    let gone: Vec<Gone> = (0..250).map(|number| Gone::App(AppId::from_uuid(uuid(number)))).collect();
    let all = async |gone: &[Gone]| {
        for some in gone.chunks(WRITES_MAX) {
            world.write(some.iter().map(|gone| Vacated::mark(*gone)).collect()).await;
        }
        let at_gone = gone.iter().zip(10..).map(|(gone, number)| (gone.scope(), one(number)));
        let assignments = at_gone.take(150).chain([(Scope::Subscription, one(9))]).collect();
        world.write(vec![put::<WideRoles>(&user.id(), &WideRoles { assignments })]).await;
        world.store.pages();
    };
    let left = async || {
        let kept = world.service.kept(|kept| kept.principal == user.id()).await.unwrap();
        let marks = world.service.all::<Vacated>(&Vacated::prefix()).await.unwrap();
        (kept.iter().map(|kept| kept.scope.clone()).collect::<Vec<_>>(), marks.len())
    };
    all(&gone).await;
    world.service.forget(&gone).await.unwrap();
    assert_eq!(world.store.pages(), 1, "of whoever has roles outside of vaults");
    assert_eq!(left().await, (vec![Scope::Subscription], 0));
    all(&gone).await;
    world.service.sweep().await.unwrap();
    assert_eq!(world.store.pages(), 2, "and of the marks");
    assert_eq!(left().await, (vec![Scope::Subscription], 0));
    world.store.pages();
    world.service.sweep().await.unwrap();
    assert_eq!(world.store.pages(), 1, "nothing is gone");
}

/// As older servers wrote it, when two at once chose one name.
#[tokio::test]
async fn of_two_roles_of_one_name_in_a_vault_the_one_that_is_meant_is_taken_away() {
    let world = World::new().await;
    let (user, id) = (world.user().await, AssignmentId::from_uuid(uuid(5)));
    let at = |name: &str| RoleAssignment {
        id,
        role: "Key Vault Secrets User".parse().unwrap(),
        object: Some(ObjectScope { kind: ObjectKind::Secret, name: ObjectName::parse(name).unwrap() }),
        created: NOW,
    };
    let both = RoleAssignments { assignments: vec![at("a"), at("b")] };
    world.write(vec![put::<RoleAssignments>(&(world.vault, user.id()), &both)]).await;
    let left = async || {
        let kept = world.service.kept(|kept| kept.principal == user.id()).await.unwrap();
        kept.into_iter().map(|kept| kept.assignment).collect::<Vec<_>>()
    };
    let taken = world.service.unassign(BY, &secret("b"), id).await.unwrap().unwrap();
    assert!(
        matches!(taken.place, Place::Vault(_, _, Some(object)) if Some(&object) == at("b").object.as_ref())
    );
    assert_eq!(left().await, [at("a")]);
    assert!(world.service.unassign(BY, &secret("b"), id).await.unwrap().is_none());
    assert_eq!(left().await, [at("a")]);
    assert!(world.service.unassign(BY, &secret("a"), id).await.unwrap().is_some());
    assert_eq!(left().await, []);
}

#[tokio::test]
async fn two_at_once_do_not_choose_one_name_for_two_roles_of_somebody() {
    let world = World::new().await;
    let (user, id) = (world.user().await, AssignmentId::from_uuid(uuid(5)));
    // When both have looked for the name and found none.
    let assign = async |place: &Place, role: &str| {
        let role = role.parse().unwrap();
        let new = NewAssignment { id: Some(id), principal: user.id(), kind: None, role };
        let (service, subscription) = (&world.service, world.service.subscription().id);
        transact(&*service.store, &*service.entropy, |view| {
            super::assign(view, BY, place, &new, None, (id, NOW), subscription)
        })
        .await
    };
    let data = "Key Vault Secrets User";
    assert!(assign(&secret("a"), data).await.unwrap().1);
    assert!(!assign(&secret("a"), data).await.unwrap().1, "the same is one");
    refused!(assign(&secret("b"), data).await, RoleFault::AssignmentOther(_));
    refused!(assign(&secret("a"), "Key Vault Reader").await, RoleFault::AssignmentOther(_));
    assert!(assign(&shop(), "Reader").await.unwrap().1);
    refused!(assign(&web(), "Reader").await, RoleFault::AssignmentOther(_));
    assert_eq!(world.service.kept(|kept| kept.assignment.id == id).await.unwrap().len(), 2);
}

fn custom(number: u128) -> RoleRef {
    RoleRef::Custom(RoleId::from_uuid(uuid(number)))
}

fn new_role(name: &str, assignable: &[Place]) -> NewRole {
    NewRole {
        name: name.to_owned(),
        actions: vec!["Microsoft.KeyVault/vaults/read".to_owned()],
        assignable: assignable.to_vec(),
        ..NewRole::default()
    }
}

#[tokio::test]
async fn a_role_of_ones_own_allows_where_it_may_be_assigned_until_it_goes() {
    let world = World::new().await;
    let service = &world.service;
    let made = service.put_role(BY, custom(7), &new_role("Seer", &[shop()]), NOW).await.unwrap();
    let scope = format!("/subscriptions/{}/resourceGroups/shop", service.subscription().id);
    assert_eq!(made.assignable_scopes, [scope]);
    let user = world.user().await;
    let id = custom(7).id();
    refused!(world.give(BY, &Place::Subscription, &id, user.id()).await, RoleFault::NotAssignable(_));
    let given = world.give(BY, &till(), &id, user.id()).await.unwrap();
    let names = async |at: &Place| {
        let all = service.roles(BY, at, false).await.unwrap();
        all.iter().filter(|role| matches!(role, Definition::Custom(_))).count()
    };
    assert_eq!((names(&Place::Subscription).await, names(&shop()).await, names(&web()).await), (0, 1, 1));
    assert_eq!(
        service.roles(BY, &Place::Subscription, true).await.unwrap().len(),
        access::BUILT_IN_ROLES.len() + 1
    );
    refused!(service.delete_role(BY, &shop(), custom(7)).await, RoleFault::RoleInUse(1));
    service.unassign(BY, &till(), given.id).await.unwrap();
    assert!(service.delete_role(BY, &shop(), custom(7)).await.unwrap().is_some());
    assert!(service.delete_role(BY, &shop(), custom(7)).await.unwrap().is_none());
    refused!(service.role(BY, &shop(), custom(7)).await, RoleFault::RoleNotFound(_));
}

#[tokio::test]
async fn roles_are_written_only_by_who_may_wherever_they_can_be_assigned() {
    let world = World::new().await;
    let service = &world.service;
    let owner = world.user().await;
    world.give(BY, &shop(), "Owner", owner.id()).await.unwrap();
    let put =
        async |by: Manager<'_>, role: RoleRef, new: &NewRole| service.put_role(by, role, new, NOW).await;
    put(owner.by(), custom(7), &new_role("Seer", &[shop()])).await.unwrap();
    let wide = new_role("Wide", &[shop(), Place::Subscription]);
    assert!(no_role(put(owner.by(), custom(8), &wide).await));
    put(BY, custom(8), &wide).await.unwrap();
    // Nor is one made theirs by making it small.
    assert!(no_role(put(owner.by(), custom(8), &new_role("Wide", &[shop()])).await));
    assert!(no_role(service.delete_role(owner.by(), &shop(), custom(8)).await));
    for role in ["Contributor", "Role Based Access Control Administrator"] {
        let somebody = world.user().await;
        world.give(BY, &Place::Subscription, role, somebody.id()).await.unwrap();
        assert!(no_role(put(somebody.by(), custom(9), &new_role("Mine", &[shop()])).await), "{role}");
        assert!(no_role(service.delete_role(somebody.by(), &shop(), custom(7)).await), "{role}");
        service.roles(somebody.by(), &shop(), false).await.unwrap();
    }
    assert!(no_role(service.roles(world.user().await.by(), &shop(), false).await));
    for name in ["seer", "OWNER"] {
        refused!(put(BY, custom(9), &new_role(name, &[shop()])).await, RoleFault::RoleNameTaken(_));
    }
    refused!(put(BY, "Owner".parse().unwrap(), &new_role("x", &[shop()])).await, RoleFault::RoleBuiltIn(_));
    let bad = |change: fn(&mut NewRole)| {
        let mut new = new_role("New", &[shop()]);
        change(&mut new);
        new
    };
    for new in [
        bad(|new| new.name = String::new()),
        bad(|new| new.name = " x".to_owned()),
        bad(|new| new.name = "x".repeat(513)),
        bad(|new| new.actions = vec!["read".to_owned()]),
        bad(|new| new.data_actions = vec!["Microsoft.KeyVault/vaults read".to_owned()]),
        bad(|new| new.assignable = Vec::new()),
        bad(|new| new.assignable = vec![till()]),
    ] {
        refused!(put(BY, custom(9), &new).await, RoleFault::RoleInvalid { .. });
    }
    for many in [
        bad(|new| new.actions = vec!["Microsoft.KeyVault/vaults/read".to_owned(); 64]),
        bad(|new| new.description = "x".repeat(limits::CUSTOM_ROLE_BYTES_MAX)),
    ] {
        refused!(put(BY, custom(9), &many).await, RoleFault::TooMuchDefined { .. });
    }
}

#[tokio::test]
async fn a_role_that_is_given_while_it_is_deleted_stays() {
    let world = World::new().await;
    let (service, user) = (&world.service, world.user().await);
    service.put_role(BY, custom(7), &new_role("Seer", &[shop()]), NOW).await.unwrap();
    let id = RoleId::from_uuid(uuid(7));
    let delete = async |seen| {
        transact(&*service.store, &*service.entropy, |view| {
            definitions::delete_unused(view, BY, &shop(), (id, service.subscription().id), (seen, 0))
        })
        .await
        .unwrap()
    };
    world.give(BY, &shop(), &id.to_string(), user.id()).await.unwrap();
    assert!(delete(Some(0)).await.is_none(), "it was counted before it was given");
    // A change forgets nothing of that.
    service.put_role(BY, custom(7), &new_role("Seen", &[shop()]), NOW).await.unwrap();
    assert!(delete(Some(0)).await.is_none());
    assert!(delete(Some(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_role_that_is_in_use_is_not_counted_again() {
    let world = World::new().await;
    let service = &world.service;
    service.put_role(BY, custom(7), &new_role("Seer", &[shop()]), NOW).await.unwrap();
    let id = (RoleId::from_uuid(uuid(7)), service.subscription().id);
    let refused = query(&*service.store, |view| {
        definitions::delete_unused(view, BY, &shop(), id, (Some(9), 1)).map(|decided| decided.value)
    });
    refused!(refused.await, RoleFault::RoleInUse(1));
}

/// As an older store has it.
#[tokio::test]
async fn a_role_that_is_longer_than_it_may_be_now_is_changed_and_does_not_grow() {
    let world = World::new().await;
    let long = |bytes: usize| {
        let mut new = new_role("Seer", &[shop()]);
        new.description = "x".repeat(bytes);
        new
    };
    let put_long = async |bytes: usize| world.service.put_role(BY, custom(7), &long(bytes), NOW).await;
    let mut role = put_long(1).await.unwrap();
    role.description = "y".repeat(3_000);
    world.write(vec![put::<access::CustomRoles>(&(), &access::CustomRoles { roles: vec![role] })]).await;
    refused!(put_long(3_001).await, RoleFault::TooMuchDefined { limit: limits::CUSTOM_ROLE_BYTES_MAX, .. });
    assert_eq!(put_long(3_000).await.unwrap().description, "x".repeat(3_000));
    put_long(2_500).await.unwrap();
    refused!(put_long(2_501).await, RoleFault::TooMuchDefined { limit: limits::CUSTOM_ROLE_BYTES_MAX, .. });
}

/// As an older store has it.
#[tokio::test]
async fn a_role_that_cannot_be_counted_once_more_is_not_given() {
    let world = World::new().await;
    let user = world.user().await;
    let mut all = access::CustomRoles::default();
    all.roles.push(world.service.put_role(BY, custom(7), &new_role("Seer", &[shop()]), NOW).await.unwrap());
    all.roles[0].given = 9;
    all.roles[0].description = "x".to_owned();
    let room = store::contract::VALUE_BYTES_MAX - put::<access::CustomRoles>(&(), &all).value_bytes();
    all.roles[0].description = "x".repeat(1 + room);
    world.write(vec![put::<access::CustomRoles>(&(), &all)]).await;
    refused!(world.give(BY, &shop(), &custom(7).id(), user.id()).await, RoleFault::TooMuchDefined { .. });
    assert!(world.service.kept(|kept| kept.principal == user.id()).await.unwrap().is_empty());
}

#[tokio::test]
async fn as_many_roles_as_there_may_be_fit_each_as_long_as_it_may_be() {
    let world = World::new().await;
    let put = async |number: u128, description: usize| {
        let mut new = new_role(&format!("Role {number:03}"), &[shop()]);
        new.description = "x".repeat(description);
        world.service.put_role(BY, custom(number), &new, NOW).await
    };
    let longest = limits::CUSTOM_ROLE_BYTES_MAX - put(0, 1).await.unwrap().bytes() + 1;
    refused!(
        put(0, longest + 1).await,
        RoleFault::TooMuchDefined { limit: limits::CUSTOM_ROLE_BYTES_MAX, .. }
    );
    for number in 0..limits::CUSTOM_ROLES_MAX {
        put(number as u128, longest).await.unwrap();
    }
    let one_more = limits::CUSTOM_ROLES_MAX as u128;
    refused!(put(one_more, 1).await, RoleFault::TooMuchDefined { limit: limits::CUSTOM_ROLES_MAX, .. });
    // Each can be given, which is counted beside it.
    let user = world.user().await;
    for number in 0..one_more {
        world.give(BY, &shop(), &custom(number).id(), user.id()).await.unwrap();
    }
}

/// As older stores have them.
#[tokio::test]
async fn who_is_in_more_groups_than_one_may_be_now_still_may_what_they_may() {
    let world = World::new().await;
    let mut groups = Vec::new();
    for _ in 0..32 {
        let group = world.group().await;
        world.give(BY, &till(), "Owner", group.subject()).await.unwrap();
        world.give(BY, &shop(), "Key Vault Data Access Administrator", group.subject()).await.unwrap();
        groups.push(group);
    }
    let (member, user) = (world.somebody(PrincipalKind::User, &groups).await, world.user().await);
    world.give(member.by(), &till(), "Reader", user.id()).await.unwrap();
    world.give(member.by(), &shop(), "Key Vault Secrets User", user.id()).await.unwrap();
    assert!(no_role(world.give(member.by(), &shop(), "Owner", user.id()).await));
}
