//! Backups: everything of a secret is in them and nothing can be read of them, and who may not has none.

use super::*;
use domain::limits;

#[tokio::test]
async fn everything_comes_back_as_it_was() {
    let world = World::new().await;
    world.allow_all().await;
    let [first, second, third] = three_versions(&world, "Db").await;
    let before = world.all_of("db").await;
    let blob = world.backup("dB").await.unwrap();
    assert!(blob.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "base64url");
    world.set("db", "after the backup").await;
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();

    let restored = world.restore(&blob).await.unwrap();
    assert_eq!((restored.head.name.as_str(), restored.version.version), ("Db", third), "the latest of then");
    assert_eq!(world.all_of("db").await, before, "versions, times, tags, attributes");
    assert_eq!(world.value("db").await, "canary-three");
    assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "canary-one");
    refused!(world.get("db", Some(second)).await, VaultError::SecretDisabled { .. });
    let enable = AttributesChange { enabled: Some(true), ..AttributesChange::default() };
    let change = VersionChange { attributes: enable, tags: None };
    world.update("db", Some(second), SecretChange { change, content_type: None }).await.unwrap();
    assert_eq!(world.get("db", Some(second)).await.unwrap().value.expose(), "canary-two");
    assert!(world.stored("garbage/").is_empty());
    // And lives on as any other.
    world.set("db", "four").await;
    world.delete("db").await.unwrap();
    world.recover("db").await.unwrap();
    assert_eq!((world.value("db").await.as_str(), world.all_of("db").await.len()), ("four", 4));
}

#[tokio::test]
async fn another_vault_of_the_tenant_takes_it() {
    let world = World::new().await;
    three_versions(&world, "db").await;
    let blob = world.backup("db").await.unwrap();
    let next_door = world.at("next-door");
    next_door.make(&VaultSettings::default()).await.unwrap();
    next_door.restore(&blob).await.unwrap();
    assert_eq!(next_door.all_of("db").await, world.all_of("db").await);
    assert_eq!(next_door.value("db").await, "canary-three");
    // They are two from now on.
    next_door.set("db", "theirs").await;
    world.delete("db").await.unwrap();
    assert_eq!(next_door.value("db").await, "theirs");
    // Of a vault that is gone, too.
    world.service.delete_vault(BY, &next_door.vault, NOW).await.unwrap();
    let blob = next_door.backup("db").await;
    refused!(blob, VaultError::VaultNotFound { .. });
}

#[tokio::test]
async fn a_disabled_secret_is_backed_up() {
    let world = World::new().await;
    world.allow_all().await;
    world.set_with("db", "one", |asked| asked.attributes.enabled = Some(false)).await.unwrap();
    let blob = world.backup("db").await.unwrap();
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    assert!(!world.restore(&blob).await.unwrap().version.attributes.enabled);
    refused!(world.get("db", None).await, VaultError::SecretDisabled { .. });
}

#[tokio::test]
async fn what_is_not_there_is_not_backed_up() {
    let world = World::new().await;
    refused!(world.backup("nope").await, VaultError::ObjectNotFound { .. });
    world.set("db", "one").await;
    world.delete("db").await.unwrap();
    refused!(world.backup("db").await, VaultError::ObjectNotFound { .. });
    refused!(world.at("nowhere").backup("db").await, VaultError::VaultNotFound { .. });
}

#[tokio::test]
async fn no_value_is_in_a_backup_nor_anywhere_in_clear() {
    let world = World::new().await;
    let value = "canary-27182818-canary";
    world.set("db", value).await;
    let blob = world.backup("db").await.unwrap();
    let next_door = world.at("next-door");
    next_door.make(&VaultSettings::default()).await.unwrap();
    next_door.restore(&blob).await.unwrap();
    let bytes = crypt::encoding::from_base64url(blob.as_bytes()).unwrap();
    let encoded = crypt::encoding::base64url(value.as_bytes());
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    for text in ["canary", "2718", &encoded] {
        assert!(!holds(blob.as_bytes(), text) && !holds(&bytes, text), "{text}");
        assert!(world.found(text).is_empty(), "{text}: {:?}", world.found(text));
    }
    // What is sealed within is sealed by itself: no text of many values is ever put together in clear.
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap();
    let head = world.get("db", None).await.unwrap().secret.head;
    let saved = world.service.save::<Secrets>(&vault, &head).await.unwrap();
    assert!(!format!("{saved:?} {}", serde_json::to_string(&saved).unwrap()).contains("canary"));
    // A backup is another each time: who sees two does not see whether the value changed.
    assert_ne!(blob, world.backup("db").await.unwrap());
}

#[tokio::test]
async fn the_most_versions_are_backed_up_and_one_more_is_not() {
    let world = World::new().await;
    world.allow_all().await;
    for number in 0..limits::BACKUP_VERSIONS_MAX {
        world.set("db", &format!("value {number}")).await;
    }
    let (before, last) = (world.all_of("db").await, world.value("db").await);
    let blob = world.backup("db").await.unwrap();
    world.set("db", "one more").await;
    let limit = limits::BACKUP_VERSIONS_MAX;
    match world.backup("db").await {
        Err(VaultError::TooLarge { limit: told, .. }) => assert_eq!(told, limit),
        other => panic!("{other:?}"),
    }
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    world.restore(&blob).await.unwrap();
    assert_eq!((world.all_of("db").await, world.value("db").await), (before, last));
}

/// Forty values of the largest size and tags are more than one commit, and more than one page of a list.
#[tokio::test]
async fn large_versions_are_laid_out_in_several_commits() {
    let world = World::new().await;
    world.allow_all().await;
    let full = "x".repeat(limits::SECRET_VALUE_BYTES_MAX);
    let tags: BTreeMap<_, _> =
        (0..limits::TAGS_MAX).map(|number| (number.to_string(), "t".repeat(500))).collect();
    let mut versions = Vec::new();
    for _ in 0..40 {
        let set = world.set_with("db", &full, |asked| asked.tags = tags.clone()).await.unwrap();
        versions.push(set.secret.version.version);
    }
    let before = world.all_of("db").await;
    let blob = world.backup("db").await.unwrap();
    assert!(blob.len() < limits::BACKUP_BYTES_MAX * 40 / limits::BACKUP_VERSIONS_MAX + 1_000_000);
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    let commits = Arc::new(AtomicU64::new(0));
    let seen = commits.clone();
    // The third commit of the restore is not its last: versions are there, and nobody sees them.
    let meddler = world.elsewhere();
    world.before_commit(3, move || {
        seen.store(meddler.stored("secret-version/").len() as u64, Ordering::SeqCst);
        at_once(async {
            assert!(meddler.names().await.is_empty());
            refused!(meddler.get("db", None).await, VaultError::ObjectNotFound { .. });
        });
    });
    world.restore(&blob).await.unwrap();
    assert!((1..40).contains(&commits.load(Ordering::SeqCst)), "{commits:?}");
    assert_eq!(world.all_of("db").await, before);
    for version in versions {
        assert!(*world.get("db", Some(version)).await.unwrap().value.expose() == full);
    }
}

#[tokio::test]
async fn a_removal_while_a_backup_is_gathered_is_not_outrun() {
    let world = World::new().await;
    world.set("db", "one").await;
    let meddler = world.elsewhere();
    world.after_list(move || at_once(meddler.allow(&[SecretPermission::Get])));
    refused!(world.backup("db").await, VaultError::Denied(_));
    world.allow_all().await;
    // Nor is a deletion, nor that another secret has the name now.
    for is_made_anew in [false, true] {
        let meddler = world.elsewhere();
        world.after_list(move || {
            at_once(async {
                meddler.delete("db").await.unwrap();
                if is_made_anew {
                    meddler.purge("db").await.unwrap();
                    meddler.set("db", "two").await;
                }
            });
        });
        refused!(world.backup("db").await, VaultError::ObjectNotFound { .. });
        drop(world.recover("db").await);
    }
    assert_eq!(world.value("db").await, "two");
}

#[tokio::test]
async fn a_secret_that_is_set_while_a_backup_begins_is_the_latest_in_it_or_not_in_it() {
    let world = World::new().await;
    world.allow_all().await;
    world.set("db", "one").await;
    let meddler = world.elsewhere();
    world.before_list(move || {
        let _version = at_once(meddler.set("db", "two"));
    });
    let blob = world.backup("db").await.unwrap();
    let next_door = world.at("next-door");
    next_door.make(&VaultSettings::default()).await.unwrap();
    next_door.restore(&blob).await.unwrap();
    let restored = (next_door.value("db").await, next_door.all_of("db").await.len());
    assert!(restored == ("one".to_owned(), 1) || restored == ("two".to_owned(), 2), "{restored:?}");
}
