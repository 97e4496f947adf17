//! Versions of a certificate one after another, and several who make them at once.

use super::*;

#[tokio::test]
async fn two_who_make_the_same_certificate_make_two_versions() {
    let world = World::new().await;
    let other = world.elsewhere();
    let meddler = other.clone();
    world.before_commit(0, move || {
        at_once(meddler.create("shop", asked(policy("Self")))).unwrap();
    });
    let mine = world.create("shop", asked(policy("Self"))).await.unwrap();
    assert_eq!(world.versions_of("shop").await.len(), 2);
    assert_eq!(world.certificate("shop").await.unwrap().version.version, mine.version);
    assert_eq!(world.its_key("shop").await.version.version, mine.version);
    world.pfx("shop").await;
    // And who has taken the name with a secret meanwhile has it.
    let meddler = other.clone();
    world.before_commit(0, move || {
        at_once(meddler.set("taken", "mine"));
    });
    refused!(world.create("taken", asked(policy("Self"))).await, VaultError::NameTaken { .. });
}

#[tokio::test]
async fn who_is_always_second_is_told_so() {
    fn meddle(world: &World, again: usize) {
        let other = world.clone();
        world.before_commit(0, move || {
            at_once(other.create("shop", asked(policy("Self")))).unwrap();
            if again > 0 {
                meddle(&other, again - 1);
            }
        });
    }
    let world = World::new().await;
    meddle(&world, 3);
    // Not the store is away: nobody has to look at the disk.
    refused!(world.create("shop", asked(policy("Self"))).await, VaultError::Contended { .. });
    assert_eq!(world.versions_of("shop").await.len(), 4);
    meddle(&world, 2);
    world.create("shop", asked(policy("Self"))).await.unwrap();
}

/// A certificate's secret says which version came before it.
#[tokio::test]
async fn versions_of_its_secret_are_in_a_row() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(Some(world.create("shop", asked(policy("Self"))).await.unwrap().version));
    }
    let said = world.versions("shop", 25, None).await.unwrap().items.into_iter();
    let said: BTreeMap<_, _> =
        said.map(|item| (item.version.version, item.version.content.previous)).collect();
    let row = made.iter().zip([None].iter().chain(&made)).map(|(one, before)| (one.unwrap(), *before));
    assert_eq!(said, row.collect());
    // One that is nobody's has none before it, however many there are.
    for value in ["one", "two"] {
        world.set("mine", value).await;
    }
    let mine = world.versions("mine", 25, None).await.unwrap().items;
    assert_eq!(mine.iter().filter_map(|item| item.version.content.previous).count(), 0);
}
