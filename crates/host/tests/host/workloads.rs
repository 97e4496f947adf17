//! Starts, ends, restarts: what is served and what is not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::world::{NOW, World, as_azure, in_cgroup, nowhere, shop};
use access::Manager;
use domain::{Placement, Timestamp, limits};
use host::{Enforcement, HostError, NetworkId, NetworkPlace, StartRequest};
use std::sync::atomic::Ordering;

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.seconds() + seconds)
}

async fn world_with_shop() -> World {
    let world = World::new().await;
    world.host.create_app(Manager::Administrator, &shop(), &Placement::default(), NOW).await.unwrap();
    world
}

#[tokio::test]
async fn a_start_opens_an_endpoint_and_injects_its_secret() {
    let world = world_with_shop().await;
    world.cgroups.make("/shop", 7, &[]);
    let started = world.host.start(&shop(), in_cgroup("/shop"), NOW).await.unwrap();
    assert_eq!(started.enforcement, Enforcement::Enforced);
    assert_eq!(world.listeners.open.lock().unwrap().get(&started.workload), Some(&started.port));
    let value = |name| {
        let mut set = started.injection.set.iter();
        set.find(|(set, _)| set == name).map(|(_, value)| value.duplicate()).unwrap()
    };
    let endpoint = format!("http://127.0.0.1:{}/msi/token", started.port);
    assert_eq!(value("IDENTITY_ENDPOINT").expose(), &endpoint);
    let workload = world.identity.workload(started.workload).unwrap();
    assert!(workload.secret().matches(&value("IDENTITY_HEADER")));
    assert_eq!(value("IDENTITY_HEADER").expose().len(), 43);
    let listed = world.host.workloads(Some(&shop())).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(!serde_json::to_string(&*listed[0]).unwrap().contains(value("IDENTITY_HEADER").expose()));
}

#[tokio::test]
async fn two_starts_have_two_secrets() {
    let world = world_with_shop().await;
    let first = world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    let second = world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    let secret = second.injection.set.iter().find(|(name, _)| name == "IDENTITY_HEADER").unwrap();
    assert!(!world.identity.workload(first.workload).unwrap().secret().matches(&secret.1));
}

#[tokio::test]
async fn what_is_not_enforced_is_said_and_refused_where_it_is_required() {
    let world = world_with_shop().await;
    let started = world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    let expected = Enforcement::Unenforced { why: "no cgroup".to_owned(), mend: "make one".to_owned() };
    assert_eq!(started.enforcement, expected);
    let refused = world.host.start(&shop(), nowhere(true), NOW).await.unwrap_err();
    assert!(matches!(refused, HostError::NotEnforced { .. }));
    // A cgroup is worth nothing where peers cannot be attested.
    world.cgroups.make("/shop", 7, &[]);
    world.cgroups.cannot_attest.store(true, Ordering::SeqCst);
    let refused = world.host.start(&shop(), in_cgroup("/shop"), NOW).await.unwrap_err();
    assert!(matches!(refused, HostError::NotEnforced { why, .. } if why == "no sock_diag"));
}

#[tokio::test]
async fn where_enforcement_is_required_nothing_is_started_or_goes_on_without() {
    let world = world_with_shop().await;
    world.cgroups.make("/shop", 7, &[]);
    let unenforced = world.host.start(&shop(), nowhere(false), NOW).await.unwrap().workload;
    let confined = world.host.start(&shop(), in_cgroup("/shop"), NOW).await.unwrap().workload;
    let strict = world.restarted_strictly();
    let resumed = strict.host.resume(NOW).await.unwrap();
    assert_eq!((resumed.resumed, resumed.ended.len()), (1, 1));
    assert!(resumed.ended.iter().any(|(id, _, why)| *id == unenforced && why.contains("no cgroup")));
    assert!(strict.identity.workload(unenforced).is_none() && strict.identity.workload(confined).is_some());
    // Whether it is asked for or not.
    for request in [nowhere(false), nowhere(true), as_azure()] {
        let refused = strict.host.start(&shop(), request, NOW).await.unwrap_err();
        assert!(matches!(refused, HostError::NotEnforced { .. }), "{refused}");
    }
}

#[tokio::test]
async fn no_cgroup_lies_within_anothers() {
    let world = world_with_shop().await;
    world.cgroups.make("/around", 9, &[1]);
    world.cgroups.make("/around/outer", 7, &[9, 1]);
    world.cgroups.make("/around/outer/inner", 8, &[7, 9, 1]);
    world.cgroups.make("/apart", 10, &[1]);
    world.host.start(&shop(), in_cgroup("/around/outer"), NOW).await.unwrap();
    for path in ["/around/outer", "/around/outer/inner", "/around"] {
        let refused = world.host.start(&shop(), in_cgroup(path), NOW).await.unwrap_err();
        assert!(matches!(refused, HostError::CgroupShared { .. }), "{path}");
    }
    world.host.start(&shop(), in_cgroup("/apart"), NOW).await.unwrap();
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing() {
    let world = world_with_shop().await;
    world.listeners.is_broken.store(true, Ordering::SeqCst);
    let refused = world.host.start(&shop(), nowhere(false), NOW).await.unwrap_err();
    assert!(matches!(refused, HostError::Endpoint(_)));
    assert!(world.identity.workloads().is_empty());
    let refused = world.host.start(&"other".parse().unwrap(), nowhere(false), NOW).await.unwrap_err();
    assert!(matches!(refused, HostError::AppNotFound(_)));
    let refused = world.host.start(&shop(), in_cgroup("/nowhere"), NOW).await.unwrap_err();
    assert!(matches!(refused, HostError::Cgroup(_)));
    assert!(world.host.workloads(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn workloads_are_bounded() {
    let world = world_with_shop().await;
    for _ in 0..limits::WORKLOADS_MAX {
        world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    }
    let refused = world.host.start(&shop(), nowhere(false), NOW).await.unwrap_err();
    assert!(matches!(refused, HostError::TooManyWorkloads { .. }));
}

#[tokio::test]
async fn an_end_closes_the_endpoint_once() {
    let world = world_with_shop().await;
    let started = world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    let workload = world.identity.workload(started.workload).unwrap();
    world.host.end(started.workload).await.unwrap();
    assert!(workload.has_ended() && world.listeners.open.lock().unwrap().is_empty());
    let again = world.host.end(started.workload).await.unwrap_err();
    assert!(matches!(again, HostError::WorkloadNotFound(_)));
}

#[tokio::test]
async fn deleting_an_app_ends_its_workloads_and_no_others() {
    let world = world_with_shop().await;
    world
        .host
        .create_app(Manager::Administrator, &"other".parse().unwrap(), &Placement::default(), NOW)
        .await
        .unwrap();
    world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    let other = world.host.start(&"other".parse().unwrap(), nowhere(false), NOW).await.unwrap();
    world.host.delete_app(Manager::Administrator, &shop(), NOW).await.unwrap();
    let left: Vec<_> = world.identity.workloads().iter().map(|workload| workload.id()).collect();
    assert_eq!(left, [other.workload]);
    assert_eq!(world.host.workloads(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn running_workloads_come_back_on_their_ports_with_their_secrets() {
    let world = world_with_shop().await;
    let cgroup = world.cgroups.make("/shop", 7, &[]);
    let started = world.host.start(&shop(), in_cgroup("/shop"), NOW).await.unwrap();
    let unenforced = world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    cgroup.is_populated.store(true, Ordering::SeqCst);
    let after_restart = world.restarted("boot 1");
    let resumed = after_restart.host.resume(after(10_000)).await.unwrap();
    assert_eq!((resumed.resumed, resumed.ended.len()), (2, 0));
    for started in [started, unenforced] {
        let port = after_restart.listeners.open.lock().unwrap().get(&started.workload).copied();
        assert_eq!(port, Some(started.port));
        let secret = started.injection.set.iter().find(|(name, _)| name == "IDENTITY_HEADER").unwrap();
        let workload = after_restart.identity.workload(started.workload).unwrap();
        assert!(workload.secret().matches(&secret.1));
        assert_eq!(workload.enforcement(), started.enforcement);
    }
}

#[tokio::test]
async fn what_does_not_run_any_more_does_not_come_back() {
    for (case, expected) in [
        ("boot", "the machine was restarted"),
        ("app", "its app was deleted"),
        ("gone", "its cgroup is gone"),
        ("again", "its cgroup was made again by somebody"),
        ("empty", "its last process ended"),
    ] {
        let world = world_with_shop().await;
        let cgroup = world.cgroups.make("/shop", 7, &[]);
        world.host.start(&shop(), in_cgroup("/shop"), NOW).await.unwrap();
        cgroup.is_populated.store(case != "empty", Ordering::SeqCst);
        match case {
            // Deleted by a server that did not know of the workload.
            "app" => {
                let _app = world
                    .restarted("boot 1")
                    .host
                    .delete_app(Manager::Administrator, &shop(), NOW)
                    .await
                    .unwrap();
            }
            "gone" => world.cgroups.remove("/shop"),
            "again" => world.cgroups.make("/shop", 8, &[]).is_populated.store(true, Ordering::SeqCst),
            _ => {}
        }
        let after_restart = world.restarted(if case == "boot" { "boot 2" } else { "boot 1" });
        let resumed = after_restart.host.resume(after(10_000)).await.unwrap();
        assert_eq!(resumed.resumed, 0);
        assert_eq!(resumed.ended[0].2, expected);
        assert!(after_restart.identity.workloads().is_empty());
        // Cleaned up: the next restart has nothing to say.
        assert!(after_restart.restarted("boot 1").host.resume(NOW).await.unwrap().ended.is_empty());
    }
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_workload_with_a_reason() {
    let world = world_with_shop().await;
    world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    let after_restart = world.restarted("boot 1");
    after_restart.listeners.is_broken.store(true, Ordering::SeqCst);
    let resumed = after_restart.host.resume(NOW).await.unwrap();
    assert!(resumed.ended[0].2.starts_with("its endpoint's port 40000 cannot be opened again"));
}

#[tokio::test]
async fn empty_cgroups_are_reaped_but_not_while_a_program_is_on_its_way() {
    let world = world_with_shop().await;
    let cgroup = world.cgroups.make("/shop", 7, &[]);
    let started = world.host.start(&shop(), in_cgroup("/shop"), NOW).await.unwrap();
    assert!(world.host.reap(after(1)).await.unwrap().is_empty());
    cgroup.is_populated.store(true, Ordering::SeqCst);
    assert!(world.host.reap(after(2)).await.unwrap().is_empty());
    cgroup.is_populated.store(false, Ordering::SeqCst);
    assert_eq!(world.host.reap(after(3)).await.unwrap(), [started.workload]);
    assert!(world.host.reap(after(4)).await.unwrap().is_empty());
    // One that never got a process is over after a minute.
    let never = world.host.start(&shop(), in_cgroup("/shop"), NOW).await.unwrap();
    assert!(world.host.reap(after(59)).await.unwrap().is_empty());
    assert_eq!(world.host.reap(after(60)).await.unwrap(), [never.workload]);
}

#[tokio::test]
async fn what_runs_already_is_attached_while_it_does_and_comes_back_as_such() {
    let world = world_with_shop().await;
    let cgroup = world.cgroups.make("/unit", 7, &[]);
    let attach = || StartRequest { attached: Some("unit web".to_owned()), ..in_cgroup("/unit") };
    let refused = world.host.start(&shop(), attach(), NOW).await.unwrap_err();
    assert!(matches!(refused, HostError::CgroupEmpty), "nothing runs there: {refused}");
    cgroup.is_populated.store(true, Ordering::SeqCst);
    let started = world.host.start(&shop(), attach(), NOW).await.unwrap();
    let kept = world.host.workloads(None).await.unwrap();
    assert_eq!(kept[0].attached.as_deref(), Some("unit web"));
    assert!(world.host.reap(NOW).await.unwrap().is_empty());
    // It was running: so an empty cgroup is its end, at whatever age.
    cgroup.is_populated.store(false, Ordering::SeqCst);
    assert_eq!(world.host.reap(NOW).await.unwrap(), [started.workload]);
    assert!(world.listeners.open.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_has_another_network_has_its_endpoint_there_or_none() {
    let world = world_with_shop().await;
    world.cgroups.make("/unit", 7, &[]).is_populated.store(true, Ordering::SeqCst);
    let network = NetworkPlace::Theirs(NetworkId::new(42));
    let refused = world.host.start(&shop(), StartRequest { network, ..in_cgroup("/unit") }, NOW).await;
    assert!(matches!(refused, Err(HostError::Network(_))), "the kernel of this world has one network");
    assert!(world.listeners.open.lock().unwrap().is_empty(), "and none on 127.0.0.1 of ours instead");
}

#[tokio::test]
async fn azure_arc_is_for_whom_the_kernel_confines_and_comes_back_as_such() {
    let world = world_with_shop().await;
    let unconfined = StartRequest { arc: true, ..nowhere(false) };
    let refused = world.host.start(&shop(), unconfined, NOW).await.unwrap_err();
    assert!(matches!(refused, HostError::NotEnforced { .. }), "{refused}");
    world.cgroups.make("/shop", 7, &[]).is_populated.store(true, Ordering::SeqCst);
    let request = StartRequest { arc: true, ..in_cgroup("/shop") };
    let started = world.host.start(&shop(), request, NOW).await.unwrap();
    let names: Vec<_> = started.injection.set.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"IMDS_ENDPOINT") && !names.contains(&"IDENTITY_HEADER"), "{names:?}");
    let kept = world.host.workloads(None).await.unwrap();
    assert!(kept[0].arc);
    let speaks = |world: &World| world.identity.workload(started.workload).unwrap().challenges().is_some();
    assert!(speaks(&world));
    let after_restart = world.restarted("boot 1");
    assert_eq!(after_restart.host.resume(after(10)).await.unwrap().resumed, 1);
    assert!(speaks(&after_restart));
}
