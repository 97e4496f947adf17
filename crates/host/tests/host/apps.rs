//! Apps and identities through the store: one commit, seen at once by the directory and by running workloads.

use crate::world::{NOW, World, nowhere, shop};
use access::Manager;
use domain::{AppName, IdentityName, Placement, Secret};
use host::HostError;
use identity::{IdentityError, PeerProbe, ProcessFacts, TokenQuery};
use kernel::{AttestFault, Attested, Peer};
use std::sync::Arc;

/// An unenforced workload asks nobody.
struct Nobody;

impl PeerProbe for Nobody {
    fn attest(&self) -> Result<Attested<Peer>, AttestFault> {
        Err(AttestFault::NoSuchSocket)
    }

    fn attest_again(&self, _earlier: &Attested<Peer>) -> Result<(), AttestFault> {
        Err(AttestFault::NoSuchSocket)
    }

    fn describe(&self) -> Option<ProcessFacts> {
        None
    }
}

#[tokio::test]
async fn what_is_desired_of_an_app_is_told_of_no_other_of_its_name() {
    let (world, by) = (World::new().await, Manager::Administrator);
    let made = async || world.host.create_app(by, &shop(), &Placement::default(), NOW).await.unwrap();
    let run =
        host::Change { command: Some(Some("secret --of-another".to_owned())), ..host::Change::default() };
    let first = made().await;
    assert_eq!(world.host.desired_of(&first).await.unwrap(), None);
    world.host.change_desired(by, &shop(), &run, NOW).await.unwrap();
    assert!(world.host.desired_of(&first).await.unwrap().is_some());
    world.host.delete_app(by, &shop(), NOW).await.unwrap();
    assert!(matches!(world.host.desired_of(&first).await, Err(HostError::AppNotFound(_))));
    let second = made().await;
    world.host.change_desired(by, &shop(), &run, NOW).await.unwrap();
    assert!(matches!(world.host.desired_of(&first).await, Err(HostError::AppNotFound(_))));
    assert_eq!(world.host.desired_of(&second).await.unwrap().unwrap().app, second.id);
}

#[tokio::test]
async fn apps_are_made_listed_and_deleted() {
    let world = World::new().await;
    for name in ["shop", "Bakery"] {
        world
            .host
            .create_app(Manager::Administrator, &AppName::parse(name).unwrap(), &Placement::default(), NOW)
            .await
            .unwrap();
    }
    let again = world
        .host
        .create_app(Manager::Administrator, &AppName::parse("SHOP").unwrap(), &Placement::default(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(again, HostError::AppExists(_)));
    let names: Vec<_> = world
        .host
        .apps(Manager::Administrator)
        .await
        .unwrap()
        .iter()
        .map(|view| view.app.name.to_string())
        .collect();
    assert_eq!(names, ["Bakery", "shop"]);
    world.host.delete_app(Manager::Administrator, &shop(), NOW).await.unwrap();
    assert!(matches!(
        world.host.app(Manager::Administrator, &shop()).await.unwrap_err(),
        HostError::AppNotFound(_)
    ));
    assert!(matches!(
        world.host.delete_app(Manager::Administrator, &shop(), NOW).await.unwrap_err(),
        HostError::AppNotFound(_)
    ));
}

#[tokio::test]
async fn an_identity_and_its_principal_come_and_go_together() {
    let world = World::new().await;
    world.host.create_app(Manager::Administrator, &shop(), &Placement::default(), NOW).await.unwrap();
    let first =
        world.host.assign_identity(Manager::Administrator, &shop(), NOW).await.unwrap().principal.unwrap();
    assert_eq!(world.directory.principal(first.id).await.unwrap().display_name, "shop");
    let same =
        world.host.assign_identity(Manager::Administrator, &shop(), NOW).await.unwrap().principal.unwrap();
    assert_eq!(first, same);
    assert!(
        world.host.remove_identity(Manager::Administrator, &shop(), NOW).await.unwrap().principal.is_none()
    );
    assert!(world.directory.principal(first.id).await.is_err());
    // Enabled again it is another principal: old policies allow it nothing.
    let second =
        world.host.assign_identity(Manager::Administrator, &shop(), NOW).await.unwrap().principal.unwrap();
    assert_ne!(first.id, second.id);
    assert_ne!(first.client, second.client);
    world.host.delete_app(Manager::Administrator, &shop(), NOW).await.unwrap();
    assert!(world.directory.principal(second.id).await.is_err());
}

#[tokio::test]
async fn a_running_app_gets_and_loses_its_identity_at_once() {
    let world = World::new().await;
    world.host.create_app(Manager::Administrator, &shop(), &Placement::default(), NOW).await.unwrap();
    let started = world.host.start(&shop(), nowhere(false), NOW).await.unwrap();
    let workload = world.identity.workload(started.workload).unwrap();
    let connection = world.identity.accept(&workload, Arc::new(Nobody)).unwrap();
    let (_, secret) = started.injection.set.into_iter().find(|(name, _)| name == "IDENTITY_HEADER").unwrap();
    let secret: Secret<String> = secret;
    let ask = async || {
        let query = TokenQuery { resource: "https://vault.azure.net".to_owned(), selector: None };
        let authentic = world.identity.check_secret(&connection, &secret)?;
        world.identity.token(authentic, &query, NOW).await
    };
    assert!(matches!(ask().await, Err(IdentityError::NoIdentity { .. })));
    world.host.assign_identity(Manager::Administrator, &shop(), NOW).await.unwrap();
    assert!(ask().await.is_ok());
    world.host.remove_identity(Manager::Administrator, &shop(), NOW).await.unwrap();
    assert!(matches!(ask().await, Err(IdentityError::NoIdentity { .. })));
}

#[tokio::test]
async fn a_user_assigned_identity_is_shared_and_outlives_its_apps() {
    let world = World::new().await;
    let (other, readers) = (AppName::parse("bakery").unwrap(), IdentityName::parse("Readers").unwrap());
    for app in [&shop(), &other] {
        world.host.create_app(Manager::Administrator, app, &Placement::default(), NOW).await.unwrap();
    }
    let absent =
        world.host.attach_identity(Manager::Administrator, &shop(), &readers, NOW).await.unwrap_err();
    assert!(matches!(absent, HostError::IdentityNotFound(_)));
    let made = world
        .host
        .create_identity(Manager::Administrator, &readers, &Placement::default(), NOW)
        .await
        .unwrap();
    for app in [&shop(), &other, &shop()] {
        let view = world.host.attach_identity(Manager::Administrator, app, &readers, NOW).await.unwrap();
        assert_eq!(view.user_assigned.len(), 1);
        assert_eq!(view.user_assigned[0].1.id, made.principal.id);
    }
    let attachment =
        world.host.app(Manager::Administrator, &shop()).await.unwrap().app.user_assigned[0].attachment;
    // An app's own identity comes and goes beside it.
    assert_eq!(
        world.host.assign_identity(Manager::Administrator, &shop(), NOW).await.unwrap().user_assigned.len(),
        1
    );
    assert_eq!(
        world.host.remove_identity(Manager::Administrator, &shop(), NOW).await.unwrap().user_assigned.len(),
        1
    );
    let view = world.host.detach_identity(Manager::Administrator, &shop(), &readers, NOW).await.unwrap();
    assert!(view.user_assigned.is_empty());
    let principal = world.directory.principal(made.principal.id).await.unwrap();
    assert!(principal.revocations.refuse(NOW, &[attachment.uuid()]));
    assert_eq!(world.host.app(Manager::Administrator, &other).await.unwrap().user_assigned.len(), 1);
    world.host.delete_app(Manager::Administrator, &other, NOW).await.unwrap();
    assert_eq!(world.host.identities(Manager::Administrator).await.unwrap().len(), 1);
    world.host.attach_identity(Manager::Administrator, &shop(), &readers, NOW).await.unwrap();
    world.host.delete_identity(Manager::Administrator, &readers).await.unwrap();
    assert!(world.host.app(Manager::Administrator, &shop()).await.unwrap().user_assigned.is_empty());
    assert!(world.directory.principal(made.principal.id).await.is_err());
    // Another one of the same name is another one: no app has it.
    let again = world
        .host
        .create_identity(Manager::Administrator, &readers, &Placement::default(), NOW)
        .await
        .unwrap();
    assert_ne!(again.principal.id, made.principal.id);
    assert!(world.host.app(Manager::Administrator, &shop()).await.unwrap().user_assigned.is_empty());
}
