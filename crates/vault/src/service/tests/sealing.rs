//! What is sealed: nothing in clear, nothing that opens elsewhere than in its place.

use super::*;
use crate::{Head, Version, secrets::Nothing};
use crypt::Sealed;
use domain::ObjectId;
use store::query;

#[tokio::test]
async fn a_sealed_value_that_was_moved_does_not_open() {
    let world = World::new().await;
    let first = world.set("db", "one").await;
    world.set("db", "two").await;
    world.set("other", "three").await;
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap();
    let read = async |id: VersionId| {
        let read = query(&*world.store.inner, |view| {
            Ok::<_, store::Halt<StoreError>>(view.get::<Version<Secrets>>(&id)?)
        });
        read.await.unwrap().unwrap()
    };
    let resealed = |version: &Version<Secrets>, sealed: &Sealed| Version {
        content: Secrets::resealed(version.content.clone(), sealed.clone()),
        ..version.clone()
    };
    let put_latest = async |of: &Head<Secrets>, version: Version<Secrets>| {
        let head = Head { whole: Some(version.into()), ..of.clone() };
        world.write(vec![put::<Head<Secrets>>(&(vault.id, of.name.clone()), &head)]).await;
    };
    let latest = world.get("db", None).await.unwrap().secret;
    let (db, new) = (latest.head.id, &latest.version);
    let old = read((vault.id, db, first)).await;
    // An older value in the place of the latest.
    put_latest(&latest.head, resealed(new, &old.content.sealed)).await;
    refused!(world.get("db", None).await, VaultError::Crypt(_));
    // The latest in the place of an older one.
    let put_on = resealed(&old, &new.content.sealed);
    world.write(vec![put::<Version<Secrets>>(&(vault.id, db, first), &put_on)]).await;
    refused!(world.get("db", Some(first)).await, VaultError::Crypt(_));
    world.write(vec![put::<Version<Secrets>>(&(vault.id, db, first), &old)]).await;
    // Another name's.
    let other = world.get("other", None).await.unwrap().secret;
    put_latest(&other.head, resealed(&other.version, &new.content.sealed)).await;
    refused!(world.get("other", None).await, VaultError::Crypt(_));
    // Another object's in the same vault, under the same version.
    let another = ObjectId::random(&counted(77));
    let head = Head {
        id: another,
        name: object("copy"),
        latest: first,
        whole: None,
        managed: false,
        about: Nothing {},
    };
    let writes = vec![
        put::<Head<Secrets>>(&(vault.id, object("copy")), &head),
        put::<Version<Secrets>>(&(vault.id, another, first), &old),
    ];
    world.write(writes).await;
    refused!(world.get("copy", None).await, VaultError::Crypt(_));
    // Another vault's: its key does not even fit.
    let next_door = world.at("next-door");
    let made = next_door.make(&VaultSettings::default()).await.unwrap();
    let head =
        Head { id: db, name: object("db"), latest: first, whole: None, managed: false, about: Nothing {} };
    let writes = vec![
        put::<Head<Secrets>>(&(made.id, object("db")), &head),
        put::<Version<Secrets>>(&(made.id, db, first), &old),
    ];
    world.write(writes).await;
    refused!(next_door.get("db", None).await, VaultError::Crypt(_));
    // What was moved is not taken out either.
    refused!(world.backup("db").await, VaultError::Crypt(_));
    // Nor does a vault take the key of another.
    let taken = Vault { key: vault.key.clone(), ..made };
    world.write(vec![put::<Vault>(&next_door.vault, &taken)]).await;
    refused!(next_door.elsewhere().get("db", None).await, VaultError::Crypt(_));
    assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "one", "in its own place it does");
}

#[tokio::test]
async fn no_value_is_in_the_store_and_none_is_shown() {
    let world = World::new().await;
    world.set("db", "canary-value-27182818").await;
    let holds = |bytes: &[u8]| bytes.windows(12).any(|window| window == b"canary-value");
    assert!(world.store.inner.dump().iter().all(|(key, value)| !holds(key.as_bytes()) && !holds(value)));
    let read = world.get("db", None).await.unwrap();
    assert!(!format!("{read:?}").contains("canary"));
    let refused = world.set_with("db", &"canary-value".repeat(10_000), |_| {}).await.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("canary"));
}

#[tokio::test]
async fn keys_of_vaults_open_again_after_a_restart_and_with_the_root_key_only() {
    let world = World::new().await;
    world.set("db", "one").await;
    assert_eq!(world.elsewhere().get("db", None).await.unwrap().value.expose(), "one");
    let entropy = Arc::new(counted(5_000));
    let root = Arc::new(Key256::random(&*entropy));
    let stranger = World { service: Arc::new(service(world.store.clone(), entropy, root)), ..world.clone() };
    refused!(stranger.get("db", None).await, VaultError::Crypt(_));
}
