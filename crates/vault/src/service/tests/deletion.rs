//! Soft delete: what was deleted is seen by nobody but who asks for deleted ones, comes back as it was, and is gone once it is purged.

use super::*;
use crate::Deleted;
use domain::{ObjectId, ObjectKind};

/// The id of the object of a name, deleted or not.
async fn id_of(world: &World, name: &str) -> ObjectId {
    match world.list(25, None).await.unwrap().items.iter().find(|item| item.head.name.as_str() == name) {
        Some(item) => item.head.id,
        None => world.get_deleted(name).await.unwrap().deleted.head.id,
    }
}

#[tokio::test]
async fn what_is_deleted_is_seen_by_nobody_and_comes_back_whole() {
    let world = World::new().await;
    let [first, second, third] = three_versions(&world, "Db").await;
    world.set("other", "stays").await;
    let (before, id) = (world.all_of("db").await, id_of(&world, "Db").await);
    assert_eq!(before.len(), 3);

    let deleted = world.delete("dB").await.unwrap();
    assert_eq!(deleted.deleted.head.name.as_str(), "Db", "as it was first spelled");
    assert_eq!((deleted.deleted.deleted, deleted.version.version), (NOW, third));
    for version in [None, Some(first), Some(second), Some(third)] {
        refused!(world.get("db", version).await, VaultError::ObjectNotFound { .. });
        let change = world.update("db", version, SecretChange::default()).await;
        refused!(change, VaultError::ObjectNotFound { .. });
    }
    refused!(world.backup("db").await, VaultError::ObjectNotFound { .. });
    assert_eq!((world.names().await, world.all_of("db").await.len()), (vec!["other".to_owned()], 0));
    let seen = world.get_deleted("DB").await.unwrap();
    assert_eq!((&seen.deleted, said_of(&seen.version)), (&deleted.deleted, said_of(&deleted.version)));
    let listed = world.list_deleted(25, None).await.unwrap();
    let [listed] = &*listed.items else { panic!("one deleted secret") };
    assert_eq!((&listed.deleted, said_of(&listed.version)), (&deleted.deleted, said_of(&deleted.version)));

    let back = world.recover("db").await.unwrap();
    assert_eq!((back.head.name.as_str(), back.version.version, back.head.id), ("Db", third, id));
    assert_eq!(world.all_of("db").await, before, "the same versions with the same times");
    assert_eq!(world.value("db").await, "canary-three");
    assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "canary-one");
    refused!(world.get("db", Some(second)).await, VaultError::SecretDisabled { .. });
    refused!(world.get_deleted("db").await, VaultError::DeletedObjectNotFound { .. });
    assert!(world.deleted_names().await.is_empty());
    let fourth = world.set("db", "four").await;
    assert_eq!((world.value("db").await.as_str(), world.all_of("db").await.len()), ("four", 4));
    assert_ne!(fourth, third);
}

#[tokio::test]
async fn each_step_is_refused_where_it_does_not_lead() {
    let world = World::new().await;
    world.allow_all().await;
    world.set("db", "one").await;
    let kind = ObjectKind::Secret;
    // Not there.
    refused!(world.delete("nope").await, VaultError::ObjectNotFound { kind: ObjectKind::Secret, .. });
    // Not deleted.
    for name in ["db", "nope"] {
        refused!(world.get_deleted(name).await, VaultError::DeletedObjectNotFound { .. });
        refused!(world.recover(name).await, VaultError::DeletedObjectNotFound { .. });
        refused!(world.purge(name).await, VaultError::DeletedObjectNotFound { .. });
    }
    assert_eq!(world.value("db").await, "one", "and nothing came of it");
    // Twice.
    world.delete("db").await.unwrap();
    refused!(world.delete("db").await, VaultError::ObjectNotFound { .. });
    world.recover("db").await.unwrap();
    refused!(world.recover("db").await, VaultError::DeletedObjectNotFound { .. });
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    refused!(world.purge("db").await, VaultError::DeletedObjectNotFound { .. });
    refused!(world.recover("db").await, VaultError::DeletedObjectNotFound { .. });
    let said = VaultError::DeletedObjectNotFound { kind, name: object("db") }.to_string();
    assert_eq!(said, "there is no deleted secret db");
    // In no vault.
    let nowhere = world.at("nowhere");
    refused!(nowhere.delete("db").await, VaultError::VaultNotFound { .. });
    refused!(nowhere.get_deleted("db").await, VaultError::VaultNotFound { .. });
    refused!(nowhere.list_deleted(25, None).await, VaultError::VaultNotFound { .. });
    refused!(nowhere.recover("db").await, VaultError::VaultNotFound { .. });
    refused!(nowhere.purge("db").await, VaultError::VaultNotFound { .. });
}

#[tokio::test]
async fn a_deleted_secret_holds_its_name_until_it_is_purged() {
    let world = World::new().await;
    world.allow_all().await;
    world.set("db", "one").await;
    let blob = world.backup("db").await.unwrap();
    world.delete("db").await.unwrap();
    let set = world.set_with("DB", "two", |_| {}).await;
    refused!(set, VaultError::ObjectIsDeleted { kind: ObjectKind::Secret, .. });
    refused!(world.restore(&blob).await, VaultError::ObjectIsDeleted { kind: ObjectKind::Secret, .. });
    assert_eq!(world.deleted_names().await, ["db"]);
    // In another vault the name is another one.
    let next_door = world.at("next-door");
    next_door.make(&VaultSettings::default()).await.unwrap();
    next_door.set("db", "free").await;
    refused!(next_door.get_deleted("db").await, VaultError::DeletedObjectNotFound { .. });
    world.purge("db").await.unwrap();
    world.set("db", "two").await;
    assert_eq!((world.value("db").await, next_door.value("db").await), ("two".to_owned(), "free".to_owned()));
}

#[tokio::test]
async fn what_is_purged_is_gone_and_who_comes_after_meets_nothing_of_it() {
    let world = World::new().await;
    world.allow_all().await;
    let olds = three_versions(&world, "db").await;
    let old = id_of(&world, "db").await;
    world.set("other", "stays").await;
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    refused!(world.get_deleted("db").await, VaultError::DeletedObjectNotFound { .. });
    assert!(world.deleted_names().await.is_empty());
    assert!(world.found(&old.to_string()).is_empty(), "its records: {:?}", world.found(&old.to_string()));
    assert!(world.stored("due/").is_empty() && world.stored("garbage/").is_empty());
    assert_eq!((world.stored("secret/").len(), world.stored("secret-version/").len()), (1, 0), "the other's");

    let new = world.set("db", "new").await;
    assert_ne!(id_of(&world, "db").await, old);
    assert_eq!(world.all_of("db").await.iter().map(|said| said.version).collect::<Vec<_>>(), [new]);
    for version in olds {
        refused!(world.get("db", Some(version)).await, VaultError::ObjectNotFound { .. });
    }
    assert_eq!((world.value("db").await, world.value("other").await), ("new".to_owned(), "stays".to_owned()));
}

/// The sweep after a purge may fail: the purge has happened all the same, and a later sweep removes what is left.
#[tokio::test]
async fn a_purge_is_done_before_its_versions_are_removed() {
    let world = World::new().await;
    world.allow_all().await;
    let olds = three_versions(&world, "db").await;
    let old = id_of(&world, "db").await;
    world.delete("db").await.unwrap();
    world.dies_after(1);
    world.purge("db").await.unwrap();
    world.lives();
    assert_eq!(world.stored("secret-version/").len(), 2, "not removed yet");
    refused!(world.recover("db").await, VaultError::DeletedObjectNotFound { .. });
    world.set("db", "new").await;
    for version in olds {
        refused!(world.get("db", Some(version)).await, VaultError::ObjectNotFound { .. });
    }
    assert_eq!(world.all_of("db").await.len(), 1);
    world.service.sweep(NOW).await.unwrap();
    assert!(world.found(&old.to_string()).is_empty());
    assert_eq!(world.value("db").await, "new");
}

#[tokio::test]
async fn many_versions_are_removed_all() {
    let world = World::new().await;
    world.allow_all().await;
    for _ in 0..300 {
        world.set("db", "v").await;
    }
    world.set("db2", "neighbour").await;
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    assert!(world.stored("secret-version/").is_empty());
    assert_eq!(world.value("db2").await, "neighbour");
}

#[tokio::test]
async fn where_purging_is_protected_nobody_purges() {
    let settings = VaultSettings { purge_protection: Some(true), ..VaultSettings::default() };
    let world = World::with(&settings).await;
    world.allow_all().await;
    world.set("db", "one").await;
    let deleted =
        world.service.delete::<Secrets>(&world.asker(), &world.vault, &object("db"), NOW).await.unwrap();
    assert!(deleted.recovery.is_protected);
    refused!(world.purge("db").await, VaultError::PurgeProtected { .. });
    refused!(world.purge("nope").await, VaultError::DeletedObjectNotFound { .. });
    world.recover("db").await.unwrap();
    assert_eq!(world.value("db").await, "one");
}

#[tokio::test]
async fn the_vault_says_for_how_long_it_can_be_recovered() {
    for (days, expected) in [(None, 90), (Some(7), 7), (Some(90), 90), (Some(30), 30)] {
        let world = World::with(&VaultSettings { recoverable_days: days, ..VaultSettings::default() }).await;
        world.set("db", "one").await;
        let deleted = world
            .service
            .delete::<Secrets>(&world.asker(), &world.vault, &object("db"), LATER)
            .await
            .unwrap();
        assert_eq!(deleted.recovery.days, expected);
        assert_eq!(deleted.value.deleted.purge_at, LATER.plus(DAY * u32::from(expected)));
    }
}

#[tokio::test]
async fn deleted_secrets_are_listed_over_pages() {
    let world = World::new().await;
    for number in 0..14 {
        world.set(&format!("s-{number:02}"), "v").await;
        world.delete(&format!("s-{number:02}")).await.unwrap();
    }
    world.set("alive", "v").await;
    let (mut seen, mut token, mut sizes) = (Vec::new(), None, Vec::new());
    loop {
        let page = world.list_deleted(6, token).await.unwrap();
        sizes.push(page.items.len());
        seen.extend(page.items.iter().map(|item| item.deleted.head.name.to_string()));
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [6, 6, 2]);
    assert_eq!(seen, (0..14).map(|number| format!("s-{number:02}")).collect::<Vec<_>>());
    for strange in ["", "*", &"A".repeat(400)] {
        let listed = world.list_deleted(25, Some(strange.to_owned())).await;
        refused!(listed, VaultError::PageTokenMalformed);
    }
}

/// Two who want different things of one secret: one of them has it, and the other is told.
#[tokio::test]
async fn who_comes_second_is_told() {
    let world = World::new().await;
    world.allow_all().await;
    world.set("db", "one").await;
    // Deleted while a version is being added: nothing is added to what is deleted.
    let meddler = world.elsewhere();
    world.before_commit(0, move || drop(at_once(meddler.delete("db")).unwrap()));
    refused!(world.set_with("db", "two", |_| {}).await, VaultError::ObjectIsDeleted { .. });
    // Purged while it is being recovered.
    let meddler = world.elsewhere();
    world.before_commit(0, move || at_once(meddler.purge("db")).unwrap());
    refused!(world.recover("db").await, VaultError::DeletedObjectNotFound { .. });
    assert!(world.found("secret-version").is_empty() && world.stored("secret/").is_empty());
    // Recovered while it is being purged.
    world.set("db", "three").await;
    world.delete("db").await.unwrap();
    let meddler = world.elsewhere();
    world.before_commit(0, move || drop(at_once(meddler.recover("db")).unwrap()));
    refused!(world.purge("db").await, VaultError::DeletedObjectNotFound { .. });
    assert_eq!(world.value("db").await, "three");
    // Made anew, while one was on its way to be set: both are there, in one object.
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    let meddler = world.elsewhere();
    world.before_commit(0, move || {
        at_once(meddler.set("db", "theirs"));
    });
    world.set("db", "ours").await;
    assert_eq!((world.value("db").await.as_str(), world.all_of("db").await.len()), ("ours", 2));
    // Purge protection is turned on while it is being purged.
    world.delete("db").await.unwrap();
    let meddler = world.elsewhere();
    world.before_commit(0, move || {
        let settings = VaultSettings { purge_protection: Some(true), ..VaultSettings::default() };
        let (name, id) = (&meddler.vault, meddler.principal.id);
        at_once(meddler.service.change_vault(BY, name, &settings, Some(id), NOW)).unwrap();
    });
    refused!(world.purge("db").await, VaultError::PurgeProtected { .. });
    world.get_deleted("db").await.unwrap();
}

/// What is deleted is found by name only, so the record must be in no list of what is not.
#[tokio::test]
async fn a_head_is_in_one_place() {
    let world = World::new().await;
    world.set("db", "one").await;
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap().id;
    let place = |prefix: &str| world.stored(&format!("{prefix}/{vault}/"));
    assert_eq!((place("secret"), place("deleted-secret")), (vec!["db".to_owned()], vec![]));
    world.delete("db").await.unwrap();
    assert_eq!((place("secret"), place("deleted-secret")), (vec![], vec!["db".to_owned()]));
    assert!(Deleted::<Secrets>::prefix(vault).as_bytes().starts_with(b"deleted-secret/"));
    world.recover("db").await.unwrap();
    assert_eq!((place("secret"), place("deleted-secret")), (vec!["db".to_owned()], vec![]));
    assert!(world.stored("due/").is_empty(), "nothing is due of what was recovered");
}
