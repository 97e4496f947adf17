//! Lists: pages that stay right while others write, and that nobody gets who may not.

use super::*;
use access::{Denied, Lack};
use domain::VaultId;
use std::collections::BTreeSet;

/// The three lists, whatever is in them.
async fn listed(world: &World, which: &str) -> Result<usize, VaultError> {
    match which {
        "versions" => world.versions("db", 25, None).await.map(|page| page.items.len()),
        "deleted" => world.list_deleted(25, None).await.map(|page| page.items.len()),
        _ => world.list(25, None).await.map(|page| page.items.len()),
    }
}

async fn one_of_each() -> World {
    let world = World::new().await;
    world.set("db", "one").await;
    world.set("old", "one").await;
    world.delete("old").await.unwrap();
    for which in ["latest", "versions", "deleted"] {
        assert_eq!(listed(&world, which).await.unwrap(), 1, "{which}");
    }
    world
}

#[tokio::test]
async fn a_removal_while_a_list_is_gathered_is_not_outrun() {
    let world = one_of_each().await;
    let owner = world.principal.clone();
    for which in ["latest", "versions", "deleted"] {
        let meddler = world.elsewhere();
        world.after_list(move || {
            at_once(meddler.write(vec![store::delete::<Principal>(&meddler.principal.id)]));
        });
        let listed = listed(&world, which).await;
        refused!(listed, VaultError::Denied(Denied::Lacking { why: Lack::PrincipalGone, .. }));
        world.write(vec![put::<Principal>(&owner.id, &owner)]).await;
    }
}

#[tokio::test]
async fn a_vault_that_was_replaced_while_a_list_is_gathered_is_not_the_one_that_was_asked() {
    let world = one_of_each().await;
    let before = world.service.show_vault(BY, &world.vault).await.unwrap();
    for which in ["latest", "versions", "deleted"] {
        let replaced = Vault { id: VaultId::random(&counted(555)), ..Vault::clone(&before) };
        let meddler = world.elsewhere();
        world.after_list(move || at_once(meddler.write(vec![put::<Vault>(&meddler.vault, &replaced)])));
        refused!(listed(&world, which).await, VaultError::VaultNotFound { .. });
        world.write(vec![put::<Vault>(&world.vault, &before)]).await;
    }
}

/// Deleted, purged and made anew while its page is gathered: what was gathered is of another one.
#[tokio::test]
async fn a_secret_that_was_replaced_while_a_list_is_gathered_is_not_shown_as_it_was() {
    let world = one_of_each().await;
    world.allow_all().await;
    let meddler = world.elsewhere();
    world.after_list(move || {
        at_once(async {
            meddler.delete("db").await.unwrap();
            meddler.purge("db").await.unwrap();
            meddler.set_with("db", "two", |asked| asked.content_type = Some("new".to_owned())).await.unwrap();
        });
    });
    assert_eq!(world.versions("db", 25, None).await.unwrap().items.len(), 0);
    assert_eq!(world.all_of("db").await.len(), 1);
    // Recovered and purged while the deleted ones are listed: left out.
    for is_purged in [false, true] {
        let meddler = world.elsewhere();
        world.after_list(move || {
            at_once(async {
                match is_purged {
                    true => meddler.purge("old").await.unwrap(),
                    false => drop(meddler.recover("old").await.unwrap()),
                }
            });
        });
        assert_eq!(world.list_deleted(25, None).await.unwrap().items.len(), 0);
        drop(world.delete("old").await);
    }
}

#[tokio::test]
async fn a_list_has_each_name_once_with_its_latest_version() {
    let world = World::new().await;
    for name in ["b", "a", "C"] {
        world.set(name, "one").await;
        world.set_with(name, "two", |asked| asked.content_type = Some(name.to_owned())).await.unwrap();
    }
    let page = world.list(25, None).await.unwrap();
    let shown: Vec<_> = page
        .items
        .iter()
        .map(|item| (item.head.name.as_str(), item.version.content.content_type.as_deref()))
        .collect();
    assert_eq!(shown, [("a", Some("a")), ("b", Some("b")), ("C", Some("C"))]);
    assert!(page.next.is_none());
}

#[tokio::test]
async fn pages_stay_right_while_others_write() {
    let world = World::new().await;
    let names: Vec<String> = (0..30).map(|number| format!("s-{number:02}")).collect();
    for name in &names {
        world.set(name, "one").await;
    }
    let (mut seen, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = world.list(7, token).await.unwrap();
        seen.extend(page.items.iter().map(|item| item.head.name.to_string()));
        // Before, between and after what was seen, and a new version of what was.
        world.set(&format!("a-{pages}"), "new").await;
        world.set("s-06-between", "new").await;
        world.set("s-03", "again").await;
        world.set(&format!("t-{pages}"), "new").await;
        pages += 1;
        token = page.next;
        if token.is_none() {
            break;
        }
        assert!(pages < 20, "no end");
    }
    let once: BTreeSet<_> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "nothing twice: {seen:?}");
    assert!(names.iter().all(|name| once.contains(name)), "nothing left out: {seen:?}");
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn versions_come_in_the_order_of_their_digits_over_pages() {
    let world = World::new().await;
    let mut made = BTreeSet::new();
    for _ in 0..60 {
        made.insert(world.set("db", "v").await);
    }
    world.set("db2", "neighbour").await;
    let (mut seen, mut token, mut sizes) = (Vec::new(), None, Vec::new());
    loop {
        let page = world.versions("db", 25, token).await.unwrap();
        sizes.push(page.items.len());
        seen.extend(page.items.iter().map(|item| item.version.version));
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [25, 25, 10]);
    assert_eq!(seen, made.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_token_leads_nowhere_but_into_its_own_list() {
    let world = World::new().await;
    world.set("db", "one").await;
    for strange in ["", "*", &"A".repeat(400)] {
        let listed = world.list(25, Some(strange.to_owned())).await;
        assert!(matches!(listed, Err(VaultError::PageTokenMalformed)), "{strange}");
    }
    // Well formed, of no key: an end of the list.
    let token = crypt::encoding::base64url(b"zzz/../../principal");
    assert!(world.list(25, Some(token)).await.unwrap().items.is_empty());
    // Who may not list does not learn what a token should look like.
    world.allow(&[SecretPermission::Get]).await;
    refused!(world.list(25, Some("*".to_owned())).await, VaultError::Denied(_));
}
