//! Groups over a memory store: who may make, see and delete them, and what goes with them.

use super::*;
use access::{Caller, Principal, PrincipalKind, Revocations, RoleAssignment, Unmanaged, WideRoles};
use domain::{AppId, AssignmentId, ClientId, Entropy, PrincipalId, SubscriptionId, TenantId};
use std::sync::atomic::{AtomicU8, Ordering};
use store::Memory;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct Counted(AtomicU8);

impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

struct World {
    service: ResourceService,
    caller: Caller,
}

impl World {
    /// With somebody who has these roles.
    async fn new(roles: &[(Scope, &str)]) -> Self {
        let entropy: Arc<dyn Entropy> = Arc::new(Counted(AtomicU8::new(1)));
        let random = &Counted(AtomicU8::new(100));
        let subscription = SubscriptionId::random(random);
        let service = ResourceService::new(Arc::new(Memory::new()), entropy, subscription);
        let (id, client, tenant) =
            (PrincipalId::random(random), ClientId::random(random), TenantId::random(random));
        let principal = Principal {
            id,
            client,
            tenant,
            kind: PrincipalKind::ManagedIdentity { app: AppId::random(random) },
            display_name: "ci".to_owned(),
            enabled: true,
            member_of: Vec::new(),
            resource_group: domain::ResourceGroupName::default(),
            created: NOW,
            revocations: Revocations::default(),
        };
        let world = Self { service, caller: Caller::fixture(id, client, tenant) };
        let assignments = roles.iter().map(|(scope, role)| {
            let role = role.parse().unwrap();
            let id = AssignmentId::random(random);
            (scope.clone(), RoleAssignment { id, role, object: None, created: NOW })
        });
        let roles = WideRoles { assignments: assignments.collect() };
        let writes = vec![put::<Principal>(&id, &principal), put::<WideRoles>(&id, &roles)];
        world.write(writes).await;
        world
    }

    async fn write(&self, writes: Vec<store::Write>) {
        let ResourceService { store, entropy, .. } = &self.service;
        let written =
            transact::<_, ResourceError>(&**store, &**entropy, |_| Ok(Decision::of((), writes.clone())));
        written.await.unwrap();
    }

    fn by(&self) -> Manager<'_> {
        Manager::Caller(&self.caller)
    }

    async fn put(&self, by: Manager<'_>, name: &str, change: &GroupChange) -> Result<bool, ResourceError> {
        self.service.put_group(by, &group(name), change, NOW).await.map(|(_, is_new)| is_new)
    }

    async fn roles(&self) -> Vec<Scope> {
        let id = self.caller.principal();
        let read = query::<_, ResourceError>(&*self.service.store, |view| Ok(view.get::<WideRoles>(&id)?));
        read.await
            .unwrap()
            .map_or_else(Vec::new, |roles| roles.assignments.iter().map(|(at, _)| at.clone()).collect())
    }
}

fn group(name: &str) -> ResourceGroupName {
    ResourceGroupName::parse(name).unwrap()
}

fn at(location: &str) -> GroupChange {
    GroupChange { location: Some(Location::parse(location).unwrap()), tags: None }
}

#[tokio::test]
async fn a_group_is_made_once_stays_where_it_is_and_keeps_what_is_not_said() {
    let world = World::new(&[]).await;
    let administrator = Manager::Administrator;
    assert!(world.put(administrator, "Shop", &at("west")).await.unwrap());
    assert!(!world.put(administrator, "shop", &at("west")).await.unwrap());
    let tags = Tags::new([("env".to_owned(), "test".to_owned())].into()).unwrap();
    let tagged = GroupChange { location: None, tags: Some(tags.clone()) };
    assert!(!world.put(administrator, "SHOP", &tagged).await.unwrap());
    assert!(!world.put(administrator, "shop", &GroupChange::default()).await.unwrap());
    let kept = world.service.group(administrator, &group("sHOP")).await.unwrap();
    assert_eq!((kept.name.as_str(), kept.location.as_str(), &kept.tags), ("Shop", "west", &tags));
    let moved = world.put(administrator, "shop", &at("east")).await.unwrap_err();
    assert!(matches!(moved, ResourceError::GroupElsewhere(_)), "{moved}");
    let names: Vec<_> =
        world.service.groups(administrator).await.unwrap().iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, ["keyless", "Shop"]);
}

#[tokio::test]
async fn who_has_no_role_there_sees_and_does_nothing() {
    let world = World::new(&[(Scope::Group(group("shop")), "Contributor")]).await;
    for name in ["shop", "other"] {
        world.put(Manager::Administrator, name, &at("west")).await.unwrap();
    }
    assert!(!world.put(world.by(), "shop", &GroupChange::default()).await.unwrap());
    let refused = |error: ResourceError, operation| {
        assert!(
            matches!(error, ResourceError::Unmanaged(Unmanaged::NoRole(lacking)) if lacking == operation),
            "{error}"
        );
    };
    refused(world.put(world.by(), "other", &GroupChange::default()).await.unwrap_err(), WRITE);
    refused(world.put(world.by(), "third", &at("west")).await.unwrap_err(), WRITE);
    refused(world.service.group(world.by(), &group("other")).await.unwrap_err(), READ);
    refused(world.service.begin_deleting(world.by(), &group("other")).await.unwrap_err(), DELETE);
    // What is not there is not told from what one may not see.
    refused(world.service.group(world.by(), &group("none")).await.unwrap_err(), READ);
    let seen = world.service.groups(world.by()).await.unwrap();
    assert_eq!(seen.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["shop"]);
    assert!(world.service.has_any_role(world.by()).await.unwrap());
    let nobody = World::new(&[]).await;
    assert!(!nobody.service.has_any_role(nobody.by()).await.unwrap());
    let reader = World::new(&[(Scope::Subscription, "Reader")]).await;
    reader.put(Manager::Administrator, "shop", &at("west")).await.unwrap();
    assert_eq!(reader.service.groups(reader.by()).await.unwrap().len(), 2);
    refused(reader.service.begin_deleting(reader.by(), &group("shop")).await.unwrap_err(), DELETE);
}

#[tokio::test]
async fn what_goes_takes_nothing_in_and_takes_roles_along() {
    let shop = group("shop");
    let world =
        World::new(&[(Scope::Group(shop.clone()), "Owner"), (Scope::Group(group("other")), "Reader")]).await;
    world.put(world.by(), "shop", &at("west")).await.unwrap();
    let staying = world.service.group(world.by(), &shop).await.unwrap();
    world.service.finish_deleting(&staying).await.unwrap();
    let kept = "one that is not going stays";
    world.service.group(world.by(), &shop).await.expect(kept);
    let going = world.service.begin_deleting(world.by(), &shop).await.unwrap();
    assert_eq!(world.service.begin_deleting(world.by(), &shop).await.unwrap(), going);
    // One that was deleted, and made again within the same second.
    let another =
        ResourceGroup { id: ResourceGroupId::from_uuid(Uuid::max()), ..ResourceGroup::clone(&going) };
    world.service.finish_deleting(&another).await.unwrap();
    assert!(world.service.group(world.by(), &shop).await.is_ok(), "an earlier one of its name");
    let again = world.put(Manager::Administrator, "shop", &at("west")).await.unwrap_err();
    assert!(matches!(again, ResourceError::Group(GroupFault::Going(_))), "{again}");
    let holds = query::<_, ResourceError>(&*world.service.store, |view| Ok(access::may_hold(view, &shop)?));
    assert_eq!(holds.await.unwrap(), Err(GroupFault::Going(shop.clone())));
    world.service.finish_deleting(&going).await.unwrap();
    assert_eq!(world.roles().await, [Scope::Group(group("other"))]);
    let gone = world.service.group(Manager::Administrator, &shop).await.unwrap_err();
    assert!(matches!(gone, ResourceError::Group(GroupFault::NotFound(_))), "{gone}");
    // Another one of its name is another.
    assert!(world.put(Manager::Administrator, "shop", &at("west")).await.unwrap());
    assert!(world.service.group(world.by(), &shop).await.is_err());
    // What is given there stays, whenever an earlier deletion comes to its end.
    let id = world.caller.principal();
    let role = RoleAssignment {
        id: AssignmentId::from_uuid(Uuid::max()),
        role: "Reader".parse().unwrap(),
        object: None,
        created: NOW,
    };
    let given = WideRoles { assignments: vec![(Scope::Group(shop.clone()), role)] };
    world.write(vec![put::<WideRoles>(&id, &given)]).await;
    world.service.finish_deleting(&going).await.unwrap();
    assert_eq!(world.roles().await, [Scope::Group(shop.clone())]);
    let always = world.service.begin_deleting(Manager::Administrator, &ResourceGroupName::default()).await;
    assert!(matches!(always, Err(ResourceError::GroupStays(_))));
}
