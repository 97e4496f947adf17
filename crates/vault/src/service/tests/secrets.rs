//! Setting, reading and updating secrets, and what is over a limit.

use super::*;
use crate::{Attributes, Version};
use domain::limits;

#[tokio::test]
async fn the_latest_version_and_each_older_one_are_read() {
    let world = World::new().await;
    let first = world.set("db", "one").await;
    let second = world.set("db", "two").await;
    assert_ne!(first, second, "a version each time");
    assert_eq!(world.get("db", None).await.unwrap().value.expose(), "two");
    assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "one");
    assert_eq!(world.get("db", Some(second)).await.unwrap().value.expose(), "two");
    let same = world.set("db", "two").await;
    assert_ne!(second, same, "even for an identical value");
}

#[tokio::test]
async fn values_of_every_size_come_back_as_they_are() {
    let world = World::new().await;
    for value in ["", " ", "\u{0}\n\"é🗝", &"x".repeat(limits::SECRET_VALUE_BYTES_MAX)] {
        world.set("db", value).await;
        assert!(world.get("db", None).await.unwrap().value.expose() == value);
    }
    let long = "x".repeat(limits::SECRET_VALUE_BYTES_MAX + 1);
    let refused = world.set_with("db", &long, |_| {}).await.unwrap_err();
    assert!(matches!(refused, VaultError::TooLarge { limit: limits::SECRET_VALUE_BYTES_MAX, .. }));
}

#[tokio::test]
async fn names_are_found_in_any_case_and_keep_their_first_spelling() {
    let world = World::new().await;
    world.set("Db-Password", "one").await;
    let again = world.set_with("DB-PASSWORD", "two", |_| {}).await.unwrap();
    assert_eq!(again.secret.head.name.as_str(), "Db-Password");
    let read = world.get("db-password", None).await.unwrap();
    assert_eq!((read.secret.head.name.as_str(), read.value.expose().as_str()), ("Db-Password", "two"));
    assert_eq!(world.list(25, None).await.unwrap().items.len(), 1);
    assert_eq!(world.versions("dB-pAssword", 25, None).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new().await;
    let version = world.set("db", "one").await;
    world.set("other", "two").await;
    refused!(world.get("nope", None).await, VaultError::ObjectNotFound { version: None, .. });
    let of_another = world.get("other", Some(version)).await;
    refused!(of_another, VaultError::ObjectNotFound { version: Some(_), .. });
    let updated = world.update("nope", None, SecretChange::default()).await;
    refused!(updated, VaultError::ObjectNotFound { .. });
    // But a list of what is not there is empty: Key Vault's is, and the clients' own suites want it so.
    let versions = world.versions("nope", 25, None).await.unwrap();
    assert!(versions.items.is_empty() && versions.next.is_none());
    let elsewhere = VaultName::parse("nowhere").unwrap();
    let read = world.service.get_secret(&world.asker(), &elsewhere, &object("db"), None).await;
    refused!(read, VaultError::VaultNotFound { .. });
}

#[tokio::test]
async fn a_disabled_version_is_refused_and_no_older_one_takes_its_place() {
    let world = World::new().await;
    let first = world.set("db", "one").await;
    let disabled = |asked: &mut SetSecret| asked.attributes.enabled = Some(false);
    let second = world.set_with("db", "two", disabled).await.unwrap().secret.version.version;
    refused!(world.get("db", None).await, VaultError::SecretDisabled { .. });
    refused!(world.get("db", Some(second)).await, VaultError::SecretDisabled { .. });
    assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "one");
    let listed = world.list(25, None).await.unwrap();
    assert!(!listed.items[0].version.attributes.enabled, "listed all the same");
    let enable = AttributesChange { enabled: Some(true), ..AttributesChange::default() };
    let change = VersionChange { attributes: enable, tags: None };
    world.update("db", None, SecretChange { change, content_type: None }).await.unwrap();
    assert_eq!(world.get("db", None).await.unwrap().value.expose(), "two");
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let world = World::new().await;
    let times = |not_before, expires| AttributesChange {
        enabled: None,
        not_before: Some(Timestamp::from_seconds(not_before)),
        expires: Some(Timestamp::from_seconds(expires)),
    };
    let made = world
        .set_with("db", "one", |asked| {
            asked.content_type = Some("text/plain".to_owned());
            asked.tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
            asked.attributes = times(1, 2);
        })
        .await
        .unwrap();
    let record = made.secret.version;

    let empty = world.update("db", None, SecretChange::default()).await.unwrap().version;
    let touched =
        Version { attributes: Attributes { updated: LATER, ..record.attributes }, ..Version::clone(&record) };
    assert_eq!(*empty, touched, "nothing but the time of the change");

    let change = SecretChange {
        content_type: Some(String::new()),
        change: VersionChange {
            tags: Some(BTreeMap::from([("c".to_owned(), "d".to_owned())])),
            attributes: times(3, 4),
        },
    };
    let changed = world.update("db", Some(record.version), change).await.unwrap().version;
    assert_eq!(changed.content.content_type.as_deref(), Some(""));
    assert_eq!(changed.tags, BTreeMap::from([("c".to_owned(), "d".to_owned())]), "all tags are replaced");
    assert_eq!(changed.attributes.expires, Some(Timestamp::from_seconds(4)));
    assert_eq!((changed.version, changed.attributes.created), (record.version, NOW));
    assert!(world.update("db", None, tagged(BTreeMap::new())).await.unwrap().version.tags.is_empty());
    // Expired since 1970, and served: the times are for people to read.
    assert_eq!(world.get("db", None).await.unwrap().value.expose(), "one");
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_and_not_kept() {
    let world = World::new().await;
    let tags = |number: usize, name: usize, value: usize, c: char| -> BTreeMap<String, String> {
        let text = |length: usize| c.to_string().repeat(length);
        (0..number).map(|n| (format!("{n:02}{}", text(name - 2)), text(value))).collect()
    };
    let (most, chars) = (limits::TAGS_MAX, limits::TAG_CHARS_MAX);
    for bad in [tags(most + 1, 2, 1, 'x'), tags(1, chars + 1, 1, 'x'), tags(1, 2, chars + 1, 'é')] {
        let set = world.set_with("db", "v", |asked| asked.tags = bad.clone()).await;
        refused!(set, VaultError::TooLarge { .. });
    }
    let long = "x".repeat(limits::CONTENT_TYPE_CHARS_MAX + 1);
    let set = world.set_with("db", "v", |asked| asked.content_type = Some(long.clone())).await;
    refused!(set, VaultError::TooLarge { limit: limits::CONTENT_TYPE_CHARS_MAX, .. });
    assert!(world.get("db", None).await.is_err());

    let full = "x".repeat(limits::SECRET_VALUE_BYTES_MAX);
    world.set_with("full", &full, |asked| asked.tags = tags(most, chars, chars, 'x')).await.unwrap();
    // Tags of long characters do not fit beside it: refused as the caller's, not failed as the store's.
    let set = world.set_with("full", &full, |asked| asked.tags = tags(most, chars, chars, '\u{1}')).await;
    refused!(set, VaultError::TooLarge { .. });
    let change = tagged(tags(most, chars, chars, '🗝'));
    refused!(world.update("full", None, change).await, VaultError::TooLarge { .. });
}

fn tagged(tags: BTreeMap<String, String>) -> SecretChange {
    let change = VersionChange { tags: Some(tags), attributes: AttributesChange::default() };
    SecretChange { change, content_type: None }
}
