//! Who may say which outside issuers vouch for an identity, and that this goes with the identity.
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made has failed")]

use crate::{
    managed::{group, refused, world},
    world::{NOW, World},
};
use access::{Manager, Scope};
use crypt::test_keys::TestSigner;
use directory::{DirectoryError, NewFederatedCredential};
use domain::{IdentityName, Placement};
use host::HostError;

const CREDENTIALS: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials";

/// A cluster that nobody can reach: its keys are given, since this world has no network.
fn cluster(name: &str, subject: &str) -> NewFederatedCredential {
    let keys = format!(r#"{{"keys":[{}]}}"#, serde_json::to_string(&TestSigner::one(NOW).jwk()).unwrap());
    NewFederatedCredential {
        name: name.to_owned(),
        issuer: "https://cluster.example".to_owned(),
        subject: subject.to_owned(),
        key_set: Some(keys.into_bytes()),
        ..NewFederatedCredential::default()
    }
}

/// Who may read, write and delete them.
async fn may(world: &World, by: Manager<'_>, readers: &IdentityName, reads: bool, writes: bool) {
    let host = &world.host;
    match reads {
        true => assert_eq!(host.federated(by, readers).await.unwrap().len(), 1),
        false => refused(host.federated(by, readers).await, &format!("{CREDENTIALS}/read")),
    }
    match reads {
        true => assert_eq!(host.federated_named(by, readers, "ONE").await.unwrap().credential.name, "one"),
        false => refused(host.federated_named(by, readers, "one").await, &format!("{CREDENTIALS}/read")),
    }
    let invalid = host.put_federated(by, readers, cluster("not a name", "two"), NOW).await;
    match writes {
        true => {
            assert!(matches!(invalid, Err(HostError::Directory(DirectoryError::FederatedInvalid { .. }))))
        }
        // Nor what is wrong with it.
        false => refused(invalid, &format!("{CREDENTIALS}/write")),
    }
    let (made, gone) = (
        host.put_federated(by, readers, cluster("two", "two"), NOW).await,
        host.delete_federated(by, readers, "two", NOW).await,
    );
    match writes {
        true => assert!(made.unwrap().1 && gone.unwrap().credential.subject == "two"),
        false => {
            refused(made, &format!("{CREDENTIALS}/write"));
            refused(gone, &format!("{CREDENTIALS}/delete"));
        }
    }
}

#[tokio::test]
async fn roles_say_who_may_let_an_issuer_vouch_for_an_identity() {
    let (world, person, readers) = world().await;
    let administrator = Manager::Administrator;
    let put = world.host.put_federated(administrator, &readers, cluster("one", "one"), NOW).await.unwrap();
    assert_eq!(
        (put.0.identity.name.as_str(), put.0.credential.name.as_str(), put.1),
        ("readers", "one", true)
    );
    may(&world, administrator, &readers, true, true).await;
    may(&world, person.asks(), &readers, false, false).await;
    let identity = world.host.identity_named(administrator, &readers).await.unwrap().principal.id;
    for (role, scope, reads, writes) in [
        ("Managed Identity Contributor", Scope::Group(group("shop")), true, true),
        ("Managed Identity Contributor", Scope::Identity(identity), true, true),
        ("Managed Identity Operator", Scope::Group(group("shop")), true, false),
        ("Reader", Scope::Subscription, true, false),
        // Those who may give an identity to an app, or run it, may not let others be it.
        ("Website Contributor", Scope::Subscription, false, false),
        ("Managed Identity Contributor", Scope::Group(group("other")), false, false),
        ("Owner", Scope::Identity(another_identity(&world).await), false, false),
    ] {
        person.is(&world, role, scope.clone()).await;
        may(&world, person.asks(), &readers, reads, writes).await;
    }
}

/// Another identity's principal.
async fn another_identity(world: &World) -> domain::PrincipalId {
    let name = "another".parse().unwrap();
    let place = Placement::default();
    world.host.create_identity(Manager::Administrator, &name, &place, NOW).await.unwrap().principal.id
}

#[tokio::test]
async fn they_are_checked_and_go_with_the_identity() {
    let (world, _, readers) = world().await;
    let (host, by) = (&world.host, Manager::Administrator);
    let bad = NewFederatedCredential { subject: String::new(), ..cluster("one", "one") };
    let invalid = host.put_federated(by, &readers, bad, NOW).await.unwrap_err();
    assert!(matches!(invalid, HostError::Directory(DirectoryError::FederatedInvalid { .. })), "{invalid}");
    // Whoever publishes no keys that this server fetches must give them.
    let unreachable = NewFederatedCredential { key_set: None, ..cluster("one", "one") };
    assert!(host.put_federated(by, &readers, unreachable, NOW).await.is_err());
    for result in [
        host.federated_named(by, &readers, "one").await.map(drop),
        host.delete_federated(by, &readers, "one", NOW).await.map(drop),
    ] {
        assert!(matches!(result.unwrap_err(), HostError::FederatedNotFound(name) if name == readers));
    }
    host.put_federated(by, &readers, cluster("one", "one"), NOW).await.unwrap();
    let again = host.put_federated(by, &readers, cluster("one", "two"), NOW).await.unwrap();
    assert!(!again.1);
    host.delete_identity(by, &readers).await.unwrap();
    for result in [
        host.federated(by, &readers).await.map(drop),
        host.put_federated(by, &readers, cluster("one", "one"), NOW).await.map(drop),
        host.delete_federated(by, &readers, "one", NOW).await.map(drop),
    ] {
        assert!(matches!(result.unwrap_err(), HostError::IdentityNotFound(name) if name == readers));
    }
    // Another identity of its name begins with none.
    host.create_identity(by, &readers, &Placement::default(), NOW).await.unwrap();
    assert!(host.federated(by, &readers).await.unwrap().is_empty());
}
