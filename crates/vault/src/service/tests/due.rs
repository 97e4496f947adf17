//! What is due: purged at its time and not before, and only if it is still what was to be purged.

use super::*;
use crate::schedule::{Due, Task};
use domain::{ObjectKind, limits};

/// The moment at which what is deleted now is purged.
fn then() -> Timestamp {
    NOW.plus(DAY * u32::from(limits::RECOVERABLE_DAYS))
}

fn before(at: Timestamp) -> Timestamp {
    Timestamp::from_seconds(at.seconds() - 1)
}

impl World {
    /// What was done of what is due, as `vault: task`.
    async fn run_due(&self, now: Timestamp) -> Vec<String> {
        let done = self.service.run_due(now).await.unwrap();
        done.into_iter()
            .map(|done| match done.task {
                Task::Purge { kind: ObjectKind::Secret, name, .. } => format!("{}: purge {name}", done.vault),
                task => format!("{}: {task}", done.vault),
            })
            .collect()
    }
}

#[tokio::test]
async fn what_was_deleted_is_purged_at_its_time_and_not_before() {
    let world = World::new().await;
    three_versions(&world, "db").await;
    world.set("other", "stays").await;
    let id = world.delete("db").await.unwrap().deleted.head.id;
    assert_eq!(world.run_due(NOW).await, Vec::<String>::new());
    assert_eq!(world.run_due(before(then())).await, Vec::<String>::new());
    assert_eq!(world.deleted_names().await, ["db"]);
    assert_eq!(world.run_due(then()).await, ["shop: purge db"]);
    assert!(world.deleted_names().await.is_empty());
    refused!(world.recover("db").await, VaultError::DeletedObjectNotFound { .. });
    assert!(world.found(&id.to_string()).is_empty());
    assert_eq!(world.run_due(then()).await, Vec::<String>::new(), "once");
    assert!(world.stored("due/").is_empty() && world.stored("garbage/").is_empty());
    assert_eq!(world.value("other").await, "stays");
}

/// Protection is from people. The time still comes.
#[tokio::test]
async fn purge_protection_ends_with_the_time() {
    let settings =
        VaultSettings { purge_protection: Some(true), recoverable_days: Some(7), ..VaultSettings::default() };
    let world = World::with(&settings).await;
    world.set("db", "one").await;
    world.delete("db").await.unwrap();
    let then = NOW.plus(DAY * 7);
    assert!(world.run_due(before(then)).await.is_empty());
    assert_eq!(world.run_due(then).await, ["shop: purge db"]);
}

#[tokio::test]
async fn what_was_recovered_is_not_purged() {
    let world = World::new().await;
    world.set("db", "one").await;
    world.delete("db").await.unwrap();
    world.recover("db").await.unwrap();
    assert!(world.run_due(then()).await.is_empty());
    assert_eq!(world.value("db").await, "one");
    // And deleted again: its time is counted from then.
    let again = NOW.plus(DAY * 3);
    let deleted = world.delete_at("db", again).await.unwrap().deleted;
    assert_eq!(deleted.purge_at, then().plus(DAY * 3));
    assert!(world.run_due(then().plus(DAY * 2)).await.is_empty());
    assert_eq!(world.deleted_names().await, ["db"]);
    assert_eq!(world.run_due(deleted.purge_at).await, ["shop: purge db"]);
}

/// A record of what was due outlived its reason, as when a server died between two of an older version: what it is about decides.
#[tokio::test]
async fn what_is_left_over_of_an_earlier_deletion_does_nothing() {
    let world = World::new().await;
    world.allow_all().await;
    world.set("db", "one").await;
    let stale = world.delete("db").await.unwrap().deleted;
    world.recover("db").await.unwrap();
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap();
    let task = Task::Purge { kind: ObjectKind::Secret, name: object("db"), object: stale.head.id };
    let due = Due { at: then(), vault: vault.name.clone(), vault_id: vault.id, task };
    // Not deleted; deleted again and not due yet; another one of the name, due by a record of its own, which is not there.
    for step in 0..3 {
        match step {
            0 => {}
            1 => drop(world.delete_at("db", NOW.plus(DAY)).await.unwrap()),
            _ => {
                world.purge("db").await.unwrap();
                world.set("db", "new").await;
                let new = world.delete("db").await.unwrap().deleted.head.id;
                let task = Task::Purge { kind: ObjectKind::Secret, name: object("db"), object: new };
                world.write(vec![Due { task, ..due.clone() }.unput()]).await;
            }
        }
        world.write(vec![due.put()]).await;
        assert!(world.run_due(then()).await.is_empty(), "{step}");
        assert!(!world.stored("due/").contains(&due_key(&due)), "it is not looked at again: {step}");
    }
    assert_eq!(world.deleted_names().await, ["db"]);
}

fn due_key(due: &Due) -> String {
    let key = <Due as store::Record>::key(due);
    String::from_utf8(key.as_bytes().strip_prefix(b"due/").unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn what_is_recovered_while_it_is_purged_stays() {
    let world = World::new().await;
    world.set("db", "one").await;
    world.delete("db").await.unwrap();
    let meddler = world.elsewhere();
    world.before_commit(0, move || drop(at_once(meddler.recover("db")).unwrap()));
    assert!(world.run_due(then()).await.is_empty());
    assert_eq!(world.value("db").await, "one");
    // Two servers at once: one does it, one tells.
    world.delete("db").await.unwrap();
    let (meddler, theirs) = (world.elsewhere(), Arc::new(Mutex::new(Vec::new())));
    let told = theirs.clone();
    world.before_commit(0, move || *told.lock().unwrap() = at_once(meddler.run_due(then())));
    assert!(world.run_due(then()).await.is_empty());
    assert_eq!(*theirs.lock().unwrap(), ["shop: purge db"]);
}

#[tokio::test]
async fn the_time_comes_in_a_deleted_vault_too() {
    let world = World::new().await;
    world.set("db", "one").await;
    world.set("kept", "two").await;
    world.delete("db").await.unwrap();
    world.service.delete_vault(BY, &world.vault, NOW.plus(DAY)).await.unwrap();
    assert_eq!(world.run_due(then()).await, ["shop: purge db"]);
    world.service.recover_vault(BY, &world.vault).await.unwrap();
    assert!(world.deleted_names().await.is_empty(), "not there for ever after its time");
    assert_eq!(world.value("kept").await, "two");
}

#[tokio::test]
async fn what_is_due_of_a_vault_that_is_gone_is_forgotten() {
    let world = World::new().await;
    world.set("db", "one").await;
    world.delete("db").await.unwrap();
    world.service.delete_vault(BY, &world.vault, NOW).await.unwrap();
    // As if purging the vault had left it behind.
    let due: Vec<_> =
        world.store.inner.dump().into_iter().filter(|(key, _)| key.as_bytes().starts_with(b"due/")).collect();
    world.service.purge_vault(BY, &world.vault, NOW).await.unwrap();
    let old = due.into_iter().filter(|(key, _)| key.as_bytes().windows(6).any(|part| part == b"secret"));
    world.write(old.map(|(key, value)| Write::Put(key, value)).collect()).await;
    assert_eq!(world.stored("due/").len(), 1);
    // Another vault of the same name, with a deleted secret of the same name.
    world.make(&VaultSettings::default()).await.unwrap();
    world.set("db", "theirs").await;
    world.delete_at("db", NOW.plus(DAY)).await.unwrap();
    assert!(world.run_due(then()).await.is_empty());
    assert_eq!(world.deleted_names().await, ["db"]);
    assert_eq!(world.stored("due/").len(), 1, "only the new one's");
    world.recover("db").await.unwrap();
    assert_eq!(world.value("db").await, "theirs");
}

#[tokio::test]
async fn a_deleted_vault_is_purged_at_its_time() {
    let world = World::new().await;
    world.set("db", "one").await;
    let deleted = world.service.delete_vault(BY, &world.vault, NOW).await.unwrap();
    assert_eq!(deleted.purge_at, then());
    assert!(world.run_due(before(then())).await.is_empty());
    world.service.show_deleted_vault(BY, &world.vault).await.unwrap();
    assert_eq!(world.run_due(then()).await, ["shop: purge-vault"]);
    let shown = world.service.show_deleted_vault(BY, &world.vault).await;
    refused!(shown, VaultError::DeletedVaultNotFound { .. });
    assert!(world.found(&deleted.vault.id.to_string()).is_empty());
    // Its key is not kept in memory either.
    assert!(world.service.keys.read().unwrap().is_empty());
}

#[tokio::test]
async fn a_vault_that_was_recovered_or_deleted_again_is_not_purged() {
    let world = World::new().await;
    world.set("db", "one").await;
    world.service.delete_vault(BY, &world.vault, NOW).await.unwrap();
    world.service.recover_vault(BY, &world.vault).await.unwrap();
    assert!(world.run_due(then()).await.is_empty());
    world.service.delete_vault(BY, &world.vault, NOW.plus(DAY)).await.unwrap();
    assert!(world.run_due(then()).await.is_empty());
    let meddler = world.elsewhere();
    world.before_commit(0, move || drop(at_once(meddler.service.recover_vault(BY, &meddler.vault)).unwrap()));
    assert!(world.run_due(then().plus(DAY)).await.is_empty());
    assert_eq!(world.value("db").await, "one");
}

/// What was done is told even if the store goes away in the middle: each has its record in the audit log.
#[tokio::test]
async fn what_was_done_is_told_though_the_rest_failed() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.set(name, "v").await;
        world.delete(name).await.unwrap();
    }
    world.dies_after(2);
    let done = world.run_due(then()).await;
    assert_eq!(done.len(), 2, "{done:?}");
    refused!(world.service.run_due(then()).await, VaultError::Store(StoreError::Unavailable(_)));
    world.lives();
    assert_eq!(world.run_due(then()).await.len(), 1);
    assert!(world.stored("secret-version/").is_empty() && world.stored("garbage/").is_empty());
}

#[tokio::test]
async fn the_oldest_come_first_and_all_come() {
    let world = World::new().await;
    for number in 0..100_u32 {
        let name = format!("s-{number:03}");
        world.set(&name, "v").await;
        // The later its name, the sooner its time.
        world.delete_at(&name, NOW.plus(Duration::from_secs(u64::from(100 - number)))).await.unwrap();
    }
    let first = world.run_due(then().plus(Duration::from_secs(10))).await;
    assert_eq!(first.len(), 10);
    assert_eq!(first[0], "shop: purge s-099");
    let mut rounds = 0;
    while !world.run_due(then().plus(DAY)).await.is_empty() {
        rounds += 1;
    }
    assert!((1..=2).contains(&rounds), "{rounds}");
    assert!(world.deleted_names().await.is_empty() && world.stored("secret-version/").is_empty());
}

/// The store does not say whether it was done: it may have been, so it is told, as what is not certain.
#[tokio::test]
async fn what_may_have_been_done_is_told() {
    let world = World::new().await;
    world.set("db", "one").await;
    world.delete("db").await.unwrap();
    *world.store.is_mute.lock().unwrap() = true;
    let done = world.service.run_due(then()).await.unwrap();
    assert_eq!(done.iter().map(|done| done.is_certain).collect::<Vec<_>>(), [false]);
    *world.store.is_mute.lock().unwrap() = false;
    assert!(world.deleted_names().await.is_empty(), "it was done");
    assert!(world.service.run_due(then()).await.unwrap().is_empty());
}
