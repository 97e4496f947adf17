//! Where the latest version stands: in its head, or apart, if it is large or was written before heads had it. Nobody sees which.

use super::*;
use crate::{Head, Version, object::HEAD_BYTES_MAX};
use std::collections::BTreeSet;

/// How many heads and how many versions apart there are.
fn stands(world: &World) -> (usize, usize) {
    (world.stored("secret/").len(), world.stored("secret-version/").len())
}

async fn versions(world: &World) -> Vec<ObjectVersion> {
    world.all_of("db").await.into_iter().map(|said| said.version).collect()
}

fn in_order(versions: impl IntoIterator<Item = ObjectVersion>) -> Vec<ObjectVersion> {
    versions.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// As servers wrote it before heads had their latest version.
async fn set_apart(world: &World) {
    let latest = world.get("db", None).await.unwrap().secret;
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap().id;
    let head = Head { whole: None, ..Head::clone(&latest.head) };
    let writes = vec![
        put::<Head<Secrets>>(&(vault, object("db")), &head),
        put::<Version<Secrets>>(&latest.id(vault), &latest.version),
    ];
    world.write(writes).await;
}

fn tagged(value: &str) -> SecretChange {
    let tags = Some(BTreeMap::from([("tag".to_owned(), value.to_owned())]));
    let change = VersionChange { tags, attributes: AttributesChange::default() };
    SecretChange { change, content_type: None }
}

async fn tag(world: &World, version: Option<ObjectVersion>) -> Option<String> {
    world.get("db", version).await.unwrap().secret.version.tags.get("tag").cloned()
}

#[tokio::test]
async fn a_small_one_stands_in_the_head_and_goes_apart_when_another_comes() {
    let world = World::new().await;
    let first = world.set("db", "one").await;
    assert_eq!(stands(&world), (1, 0));
    let second = world.set("db", "two").await;
    assert_eq!(stands(&world), (1, 1));
    assert_eq!(versions(&world).await, in_order([first, second]));
    for (version, value) in [(Some(first), "one"), (Some(second), "two"), (None, "two")] {
        assert_eq!(world.get("db", version).await.unwrap().value.expose(), value);
    }
    // Each is changed where it stands.
    world.update("db", Some(second), tagged("new")).await.unwrap();
    world.update("db", Some(first), tagged("old")).await.unwrap();
    assert_eq!(stands(&world), (1, 1));
    assert_eq!(
        (tag(&world, None).await.as_deref(), tag(&world, Some(first)).await.as_deref()),
        (Some("new"), Some("old"))
    );
}

#[tokio::test]
async fn a_large_one_stands_apart_and_moves_when_its_size_changes() {
    let world = World::new().await;
    world.allow_all().await;
    let large = "x".repeat(HEAD_BYTES_MAX);
    let first = world.set("db", &large).await;
    assert_eq!(stands(&world), (1, 1));
    let second = world.set("db", "small").await;
    assert_eq!(stands(&world), (1, 1), "the first stands where it stood");
    let third = world.set("db", &large).await;
    assert_eq!(stands(&world), (1, 3));
    assert_eq!(versions(&world).await, in_order([first, second, third]));
    assert_eq!(world.value("db").await, large);
    // What is said of a small one makes it large, and small again: it is in one place.
    let fourth = world.set("db", "small").await;
    assert_eq!(stands(&world), (1, 3));
    let mut many = tagged("v");
    let tags = (0..15).map(|number| (format!("{number}"), "\u{1}".repeat(100)));
    many.change.tags = Some(tags.collect());
    world.update("db", None, many).await.unwrap();
    assert_eq!(stands(&world), (1, 4));
    world.update("db", None, tagged("few")).await.unwrap();
    assert_eq!(stands(&world), (1, 3));
    assert_eq!(versions(&world).await, in_order([first, second, third, fourth]));
    // It goes and comes whole.
    world.delete("db").await.unwrap();
    world.recover("db").await.unwrap();
    assert_eq!(
        (world.value("db").await.as_str(), tag(&world, None).await.as_deref()),
        ("small", Some("few"))
    );
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    assert_eq!(stands(&world), (0, 0));
}

#[tokio::test]
async fn one_of_an_older_server_is_read_changed_listed_and_followed() {
    let change = async |how: &str| {
        let world = World::new().await;
        world.allow_all().await;
        let first = world.set("db", "one").await;
        set_apart(&world).await;
        assert_eq!((stands(&world), world.value("db").await.as_str()), ((1, 1), "one"));
        assert_eq!(
            (versions(&world).await, world.list(25, None).await.unwrap().items.len()),
            (vec![first], 1)
        );
        match how {
            "updated" => {
                world.update("db", None, tagged("new")).await.unwrap();
                assert_eq!(
                    (stands(&world), tag(&world, Some(first)).await.as_deref()),
                    ((1, 0), Some("new"))
                );
            }
            "followed" => {
                let second = world.set("db", "two").await;
                assert_eq!((stands(&world), versions(&world).await), ((1, 1), in_order([first, second])));
            }
            "deleted" => {
                world.delete("db").await.unwrap();
                assert_eq!(world.get_deleted("db").await.unwrap().version.version, first);
                world.recover("db").await.unwrap();
                assert_eq!(world.value("db").await, "one");
            }
            _ => {
                let blob = world.backup("db").await.unwrap();
                world.delete("db").await.unwrap();
                world.purge("db").await.unwrap();
                world.restore(&blob).await.unwrap();
                assert_eq!((stands(&world), world.value("db").await.as_str()), ((1, 0), "one"));
            }
        }
        assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "one");
    };
    for how in ["updated", "followed", "deleted", "restored"] {
        change(how).await;
    }
}

/// Each time that versions are gathered, another one is added.
fn never_stop_adding(world: &World, is_before: bool) {
    let (meddler, again) = (world.elsewhere(), world.clone());
    let meddle = move || {
        at_once(meddler.set("db", "next"));
        never_stop_adding(&again, is_before);
    };
    match is_before {
        true => world.before_list(meddle),
        false => world.after_list(meddle),
    }
}

/// The latest goes apart while the versions are gathered: it is there once, and so in a backup.
#[tokio::test]
async fn one_that_goes_apart_meanwhile_is_listed_and_backed_up_once() {
    let world = World::new().await;
    world.allow_all().await;
    let first = world.set("db", "one").await;
    for is_before in [false, true] {
        never_stop_adding(&world, is_before);
        let listed = world.versions("db", 25, None).await.unwrap().items;
        world.stop_meddling();
        let all = versions(&world).await;
        // The one that was added last was not seen any more; each before it was, and once.
        assert_eq!(listed.len(), all.len() - 1);
        assert!(in_order(listed.iter().map(|item| item.version.version)).len() == listed.len());
        assert!(listed.iter().all(|item| all.contains(&item.version.version)));
    }
    let before = versions(&world).await.len();
    let meddler = world.elsewhere();
    world.before_list(move || {
        at_once(meddler.set("db", "last"));
    });
    let blob = world.backup("db").await.unwrap();
    let all = versions(&world).await;
    assert_eq!((all.len(), all.contains(&first)), (before + 1, true));
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    world.restore(&blob).await.unwrap();
    assert_eq!((versions(&world).await, world.value("db").await.as_str()), (all, "last"));
}

/// What was done after a new version was acknowledged is never seen without it.
#[tokio::test]
async fn versions_are_listed_as_they_were_at_one_moment() {
    let world = World::new().await;
    let first = world.set("db", "one").await;
    world.set("db", "two").await;
    for (count, is_before) in [(3, true), (4, false)] {
        let meddler = world.elsewhere();
        let meddle = move || {
            at_once(async {
                meddler.set("db", "next").await;
                let content_type = Some(format!("after {count}"));
                meddler
                    .update("db", Some(first), SecretChange { content_type, ..SecretChange::default() })
                    .await
                    .unwrap();
            });
        };
        match is_before {
            true => world.before_list(meddle),
            false => world.after_list(meddle),
        }
        let listed = world.versions("db", 25, None).await.unwrap().items;
        let of_first = listed.iter().find(|item| item.version.version == first).unwrap();
        let content_type = of_first.version.content.content_type.clone();
        assert_eq!((listed.len(), content_type), (count, Some(format!("after {count}"))), "{is_before}");
    }
}

/// Wherever pages are cut, the latest is on one of them.
#[tokio::test]
async fn the_latest_is_on_one_page_wherever_pages_are_cut() {
    let world = World::new().await;
    let mut made = Vec::new();
    for count in 1..8 {
        made.push(world.set("db", "v").await);
        for size in 1..=count + 1 {
            let (mut seen, mut token) = (Vec::new(), None);
            loop {
                let page = world.versions("db", size, token).await.unwrap();
                assert!(page.items.len() <= usize::from(size));
                seen.extend(page.items.iter().map(|item| item.version.version));
                token = page.next;
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(seen, in_order(made.iter().copied()), "{count} by {size}");
        }
    }
}
