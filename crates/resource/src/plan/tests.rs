//! Plans and sites over a memory store: who may make them, what stays together, and what nobody may do.

use super::*;
use crate::{SiteChange, counting::Counting};
use access::{
    Caller, GroupFault, Principal, PrincipalKind, ResourceGroup, Revocations, RoleAssignment, WideRoles,
};
use domain::{AppId, AppName, AssignmentId, ClientId, Entropy, PrincipalId, SubscriptionId, TenantId};
use host::{App, SiteValue};
use std::sync::atomic::{AtomicU8, Ordering};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ADMIN: Manager<'_> = Manager::Administrator;

struct Counted(AtomicU8);

impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

/// With group shop, and somebody without a role.
struct World {
    service: ResourceService,
    store: Arc<Counting>,
    caller: Caller,
}

impl World {
    /// Deletes the plans of a group; says of each whether it was.
    async fn empty(&self, group: &ResourceGroup) -> Vec<bool> {
        let mut deleted = Vec::new();
        for plan in self.service.plans_in(group).await.unwrap() {
            deleted.push(self.service.delete_plan_in(group, &plan).await.unwrap());
        }
        deleted
    }

    async fn new() -> Self {
        let entropy: Arc<dyn Entropy> = Arc::new(Counted(AtomicU8::new(1)));
        let random = &Counted(AtomicU8::new(100));
        let subscription = SubscriptionId::random(random);
        let store = Arc::new(Counting::default());
        let service = ResourceService::new(store.clone(), entropy, subscription);
        let (id, client) = (PrincipalId::random(random), ClientId::random(random));
        let tenant = TenantId::random(random);
        let principal = Principal {
            id,
            client,
            tenant,
            kind: PrincipalKind::User,
            display_name: "ada".to_owned(),
            enabled: true,
            member_of: Vec::new(),
            resource_group: ResourceGroupName::default(),
            created: NOW,
            revocations: Revocations::default(),
        };
        let group = ResourceGroup {
            id: "11111111-0000-4000-8000-000000000001".parse().unwrap(),
            name: name("shop"),
            location: Location::default(),
            tags: Tags::default(),
            created: NOW,
            is_going: false,
        };
        let world = Self { service, store, caller: Caller::fixture(id, client, tenant) };
        world.write(put::<Principal>(&id, &principal)).await;
        world.write(put::<ResourceGroup>(&name("shop"), &group)).await;
        world
    }

    async fn write(&self, write: store::Write) {
        let ResourceService { store, entropy, .. } = &self.service;
        let written =
            transact::<_, ResourceError>(&**store, &**entropy, |_| Ok(Decision::of((), vec![write.clone()])));
        written.await.unwrap();
    }

    async fn roles(&self, roles: &[(Scope, &str)]) {
        let random = &Counted(AtomicU8::new(200));
        let assignments = roles.iter().map(|(scope, role)| {
            let id = AssignmentId::random(random);
            (scope.clone(), RoleAssignment { id, role: role.parse().unwrap(), object: None, created: NOW })
        });
        let roles = WideRoles { assignments: assignments.collect() };
        self.write(put::<WideRoles>(&self.caller.principal(), &roles)).await;
    }

    async fn app(&self, name: &str) -> App {
        let app = App {
            id: AppId::random(&*self.service.entropy),
            name: AppName::parse(name).unwrap(),
            identity: None,
            user_assigned: Vec::new(),
            placement: Placement { group: group(), ..Placement::default() },
            created: NOW,
            changed: NOW,
        };
        self.write(put::<App>(&app.name, &app)).await;
        app
    }

    async fn join(&self, by: Manager<'_>, app: &App, plan: &PlanRef) -> Result<(), ResourceError> {
        let change = SiteChange { plan: Some(plan.clone()), ..SiteChange::default() };
        self.service.change_site(by, "Microsoft.Web/sites/write", app, &change).await
    }
}

fn name(text: &str) -> ResourceGroupName {
    ResourceGroupName::parse(text).unwrap()
}

fn group() -> ResourceGroupName {
    name("shop")
}

fn plan(text: &str) -> PlanRef {
    PlanRef { group: group(), name: PlanName::parse(text).unwrap() }
}

fn lacks<T: std::fmt::Debug>(result: Result<T, ResourceError>, operation: &str) {
    match result.unwrap_err() {
        ResourceError::Unmanaged(Unmanaged::NoRole(named)) => assert_eq!(named, operation),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plan_with_apps_stays_and_an_empty_one_goes() {
    let world = World::new().await;
    let service = &world.service;
    let size = Size { name: "B1".to_owned(), tier: "Basic".to_owned(), capacity: 2 };
    let change = PlanChange { size: Some(size.clone()), ..PlanChange::default() };
    service.put_plan(ADMIN, &plan("Web"), &change, NOW).await.unwrap();
    // What is not said stays.
    let again = service.put_plan(ADMIN, &plan("WEB"), &PlanChange::default(), NOW).await.unwrap();
    assert_eq!((again.plan.size.clone(), again.plan.name.as_str(), again.apps), (size, "Web", 0));
    let app = world.app("web").await;
    world.join(ADMIN, &app, &plan("web")).await.unwrap();
    assert_eq!(service.plan(ADMIN, &plan("web")).await.unwrap().apps, 1);
    let refused = service.delete_plan(ADMIN, &plan("web")).await;
    assert!(matches!(refused, Err(ResourceError::PlanInUse(_))));
    // Into the one that is always there.
    let always = Plan::always().reference();
    world.join(ADMIN, &app, &always).await.unwrap();
    assert_eq!(service.site(ADMIN, &app).await.unwrap().plan.reference(), always);
    service.delete_plan(ADMIN, &plan("web")).await.unwrap();
    assert!(matches!(service.plan(ADMIN, &plan("web")).await, Err(ResourceError::PlanNotFound(_))));
    assert!(matches!(world.join(ADMIN, &app, &plan("web")).await, Err(ResourceError::PlanNotFound(_))));
    let stays = service.delete_plan(ADMIN, &always).await;
    assert!(matches!(stays, Err(ResourceError::PlanStays(_))));
    assert!(service.plans(ADMIN).await.unwrap().is_empty());
}

#[tokio::test]
async fn plans_of_two_groups_may_have_one_name() {
    let world = World::new().await;
    let elsewhere = PlanRef { group: ResourceGroupName::default(), name: plan("web").name };
    for reference in [&plan("web"), &elsewhere] {
        world.service.put_plan(ADMIN, reference, &PlanChange::default(), NOW).await.unwrap();
    }
    assert_eq!(world.service.plans(ADMIN).await.unwrap().len(), 2);
    let staying = world.service.group(ADMIN, &group()).await.unwrap();
    // One that is not going, or that another deletion has brought to its end, is nobody's to empty.
    assert_eq!(world.empty(&staying).await, [false]);
    assert_eq!(world.service.plans(ADMIN).await.unwrap().len(), 2);
    let going = world.service.begin_deleting(ADMIN, &group()).await.unwrap();
    assert_eq!(world.empty(&going).await, [true]);
    assert!(world.empty(&going).await.is_empty());
    assert_eq!(world.service.plans(ADMIN).await.unwrap()[0].plan.reference(), elsewhere);
    let nowhere = PlanRef { group: name("nowhere"), name: plan("web").name };
    let refused = world.service.put_plan(ADMIN, &nowhere, &PlanChange::default(), NOW).await;
    assert!(matches!(refused, Err(ResourceError::Group(GroupFault::NotFound(_)))));
}

#[tokio::test]
async fn a_plan_that_is_made_again_has_no_app_of_the_one_before() {
    let world = World::new().await;
    let (service, always) = (&world.service, Plan::always().reference());
    let elsewhere = PlanRef { group: name("other"), name: plan("web").name };
    let other = |id: &str, created| ResourceGroup {
        id: id.parse().unwrap(),
        name: name("other"),
        location: Location::default(),
        tags: Tags::default(),
        created,
        is_going: false,
    };
    world
        .write(put::<ResourceGroup>(&name("other"), &other("11111111-0000-4000-8000-000000000002", NOW)))
        .await;
    let made = service.put_plan(ADMIN, &elsewhere, &PlanChange::default(), NOW).await.unwrap();
    let app = world.app("web").await;
    world.join(ADMIN, &app, &elsewhere).await.unwrap();
    // With its group a plan goes whatever is in it.
    let going = service.begin_deleting(ADMIN, &name("other")).await.unwrap();
    assert_eq!(world.empty(&going).await, [true]);
    service.finish_deleting(&going).await.unwrap();
    assert_eq!(service.site(ADMIN, &app).await.unwrap().plan.reference(), always);
    world
        .write(put::<ResourceGroup>(&name("other"), &other("11111111-0000-4000-8000-000000000003", NOW)))
        .await;
    let again = service.put_plan(ADMIN, &elsewhere, &PlanChange::default(), NOW).await.unwrap();
    assert_ne!(again.plan.id, made.plan.id);
    assert_eq!(service.site(ADMIN, &app).await.unwrap().plan.reference(), always);
    assert_eq!((again.apps, service.plans(ADMIN).await.unwrap()[0].apps), (0, 0));
    world.join(ADMIN, &app, &elsewhere).await.unwrap();
    assert_eq!(service.site(ADMIN, &app).await.unwrap().plan.id, again.plan.id);
    assert_eq!(service.plans(ADMIN).await.unwrap()[0].apps, 1);
    // One that an older server wrote is in whichever has the name.
    let site = Site { plan: Some(elsewhere.clone()), ..Site::default() };
    world.write(put::<Site>(&app.id, &site)).await;
    assert_eq!(service.site(ADMIN, &app).await.unwrap().plan.id, again.plan.id);
    assert!(matches!(service.delete_plan(ADMIN, &elsewhere).await, Err(ResourceError::PlanInUse(_))));
}

#[tokio::test]
async fn what_is_not_there_is_not_made_by_a_change() {
    let world = World::new().await;
    let (service, there) = (&world.service, PlanChange::default());
    let refused = service.change_plan(ADMIN, &plan("web"), &there, NOW).await;
    assert!(matches!(refused, Err(ResourceError::PlanNotFound(_))));
    service.put_plan(ADMIN, &plan("web"), &there, NOW).await.unwrap();
    let linux = PlanChange { is_linux: Some(false), ..PlanChange::default() };
    assert!(!service.change_plan(ADMIN, &plan("web"), &linux, NOW).await.unwrap().plan.is_linux);
    lacks(service.change_plan(Manager::Caller(&world.caller), &plan("web"), &linux, NOW).await, WRITE);
    let change = crate::group::GroupChange::default();
    let refused = service.change_group(ADMIN, &name("nowhere"), &change, NOW).await;
    assert!(matches!(refused, Err(ResourceError::Group(GroupFault::NotFound(_)))));
    service.change_group(ADMIN, &group(), &change, NOW).await.unwrap();
}

#[tokio::test]
async fn all_plans_are_told_by_one_look_at_all_sites() {
    let world = World::new().await;
    for number in 0..5 {
        let plan = plan(&format!("plan-{number}"));
        world.service.put_plan(ADMIN, &plan, &PlanChange::default(), NOW).await.unwrap();
        for app in 0..number {
            let app = world.app(&format!("app-{number}-{app}")).await;
            world.join(ADMIN, &app, &plan).await.unwrap();
        }
    }
    world.store.pages();
    let plans = world.service.plans(ADMIN).await.unwrap();
    assert_eq!(plans.iter().map(|plan| plan.apps).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(world.store.pages(), 2, "one of plans, one of sites");
}

#[tokio::test]
async fn roles_say_who_may_do_what() {
    let world = World::new().await;
    let (service, by) = (&world.service, Manager::Caller(&world.caller));
    let made = service.put_plan(ADMIN, &plan("web"), &PlanChange::default(), NOW).await.unwrap();
    let app = world.app("web").await;
    for absent in ["web", "none"] {
        lacks(service.plan(by, &plan(absent)).await, READ);
        lacks(service.delete_plan(by, &plan(absent)).await, DELETE);
    }
    lacks(service.site(by, &app).await, "Microsoft.Web/sites/read");
    assert!(service.plans(by).await.unwrap().is_empty());
    world.roles(&[(Scope::Subscription, "Reader")]).await;
    assert_eq!(service.plans(by).await.unwrap().len(), 1);
    lacks(service.put_plan(by, &plan("web"), &PlanChange::default(), NOW).await, WRITE);
    lacks(world.join(by, &app, &plan("web")).await, "Microsoft.Web/sites/write");
    // To have an app in a plan takes both: the app, and the plan.
    world.roles(&[(Scope::App(app.id), "Contributor")]).await;
    lacks(world.join(by, &app, &plan("web")).await, JOIN);
    world.roles(&[(Scope::App(app.id), "Contributor"), (Scope::Plan(made.plan.id), "Contributor")]).await;
    world.join(by, &app, &plan("web")).await.unwrap();
    service.put_plan(by, &plan("web"), &PlanChange::default(), NOW).await.unwrap();
    lacks(service.put_plan(by, &plan("other"), &PlanChange::default(), NOW).await, WRITE);
}

#[tokio::test]
async fn what_is_told_again_is_bounded_and_only_of_apps_that_are_there() {
    let world = World::new().await;
    let app = world.app("web").await;
    let set = |name: String, value: Option<SiteValue>| SiteChange {
        values: [(name, value)].into(),
        ..SiteChange::default()
    };
    let change = |change: SiteChange| {
        let (world, app) = (&world, &app);
        async move { world.service.change_site(ADMIN, "Microsoft.Web/sites/write", app, &change).await }
    };
    change(set("config.alwaysOn".to_owned(), Some(SiteValue::Flag(true)))).await.unwrap();
    let long = SiteValue::Text("x".repeat(1_025));
    assert!(matches!(change(set("a".to_owned(), Some(long))).await, Err(ResourceError::TooMuch)));
    for number in 1..64 {
        change(set(number.to_string(), Some(SiteValue::Number(number)))).await.unwrap();
    }
    let more = change(set("more".to_owned(), Some(SiteValue::Number(1)))).await;
    assert!(matches!(more, Err(ResourceError::TooMuch)));
    // Each within its limit, and all of them more than a record has room for.
    let wide = (0..21).map(|number| (number.to_string(), Some(SiteValue::Text("\u{1}".repeat(1_024)))));
    let wide = SiteChange { values: wide.collect(), ..SiteChange::default() };
    assert!(matches!(change(wide).await, Err(ResourceError::TooMuch)));
    change(set("1".to_owned(), None)).await.unwrap();
    assert_eq!(world.service.site(ADMIN, &app).await.unwrap().site.values.len(), 63);
    world.write(store::delete::<App>(&app.name)).await;
    let gone = change(set("1".to_owned(), None)).await;
    assert!(matches!(gone, Err(ResourceError::AppGone(_))));
}
