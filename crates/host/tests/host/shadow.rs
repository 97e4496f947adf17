//! Starts in shadow mode: what the program is given, and that its door opens, comes back and closes with it.
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made has failed")]

use crate::world::{NOW, World, as_azure, nowhere, shop};
use access::Manager;
use domain::Placement;
use host::{HostError, Started};
use std::sync::atomic::Ordering;

async fn world() -> World {
    let world = World::new().await;
    world.host.create_app(Manager::Administrator, &shop(), &Placement::default(), NOW).await.unwrap();
    world
}

fn told(started: &Started, name: &str) -> Option<String> {
    let mut set = started.injection.set.iter();
    set.find(|(set, _)| set == name).map(|(_, value)| value.expose().clone())
}

#[tokio::test]
async fn only_who_asks_for_it_gets_a_door_and_what_it_trusts() {
    let world = world().await;
    let plain = world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    assert!(plain.shadow.is_none() && world.doors.open.lock().unwrap().is_empty());
    assert_eq!(told(&plain, "SSL_CERT_FILE").unwrap(), "/d/bundle.pem");
    let started = world.host.start(&shop(), as_azure(), NOW).await.unwrap();
    let door = started.shadow.as_ref().unwrap();
    assert_eq!(world.doors.open.lock().unwrap().get(&started.workload), Some(&door.address));
    for (name, file) in [
        ("SSL_CERT_FILE", "bundle.pem"),
        ("REQUESTS_CA_BUNDLE", "bundle.pem"),
        ("CURL_CA_BUNDLE", "bundle.pem"),
        ("NODE_EXTRA_CA_CERTS", "root.pem"),
    ] {
        assert_eq!(told(&started, name).unwrap(), format!("/d/azure/{file}"));
    }
    assert!(told(&started, "JAVA_TOOL_OPTIONS").unwrap().contains("/d/azure/trust.p12"));
    // It has its identity as every other one.
    assert!(told(&started, "IDENTITY_HEADER").is_some());
    world.host.end(started.workload).await.unwrap();
    assert!(world.doors.open.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_door_nothing_is_started() {
    let world = world().await;
    world.doors.is_broken.store(true, Ordering::SeqCst);
    let refused = world.host.start(&shop(), as_azure(), NOW).await.unwrap_err();
    assert!(
        matches!(refused, HostError::NoShadow { ref why, ref mend } if why == "no port" && mend == "give one")
    );
    assert!(world.listeners.open.lock().unwrap().is_empty() && world.identity.workloads().is_empty());
    assert!(world.host.workloads(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_door_comes_back_at_its_address_or_the_workload_is_over() {
    let world = world().await;
    let started = world.host.start(&shop(), as_azure(), NOW).await.unwrap();
    let address = started.shadow.as_ref().unwrap().address;
    let after_restart = world.restarted("boot 1");
    assert_eq!(after_restart.host.resume(NOW).await.unwrap().resumed, 1);
    assert_eq!(after_restart.doors.open.lock().unwrap().get(&started.workload), Some(&address));
    let again = world.restarted("boot 1");
    again.doors.is_broken.store(true, Ordering::SeqCst);
    let resumed = again.host.resume(NOW).await.unwrap();
    assert!(resumed.ended[0].2.starts_with("its door at 127.75.0.0 cannot be opened again"), "{resumed:?}");
    assert!(again.listeners.open.lock().unwrap().is_empty(), "nor is its endpoint");
}

#[tokio::test]
async fn deleting_the_app_closes_the_door() {
    let world = world().await;
    world.host.start(&shop(), as_azure(), NOW).await.unwrap();
    world.host.delete_app(Manager::Administrator, &shop(), NOW).await.unwrap();
    assert!(world.doors.open.lock().unwrap().is_empty());
}
