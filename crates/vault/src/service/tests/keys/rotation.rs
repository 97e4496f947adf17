//! Keys that are renewed: by hand, by their policy, and what becomes of that when the key or its vault goes.

use super::*;

#[tokio::test]
async fn a_rotation_makes_another_of_the_same_kind() {
    let world = World::new().await;
    let tags: BTreeMap<_, _> = [("team".to_owned(), "blue".to_owned())].into();
    let terms = KeyTerms { operations: Some(vec![KeyOp::Sign]), tags: tags.clone(), ..KeyTerms::default() };
    let first =
        world.make_key("k", &NewKey { curve: Some(Curve::P384), terms, ..new("EC-HSM") }).await.unwrap();
    let second = world.rotate_key("k", LATER).await.unwrap();
    assert_eq!((second.version.content.kind, &second.version.tags), (first.version.content.kind, &tags));
    assert_eq!(second.version.content.spec().unwrap(), first.version.content.spec().unwrap());
    assert_eq!(ops(&second), "sign");
    assert!(second.version.content.public != first.version.content.public);
    assert_eq!((second.version.attributes.created, second.version.attributes.expires), (LATER, None));
    assert_eq!(world.see_key("k").await.unwrap().version.version, second.version.version);
    world.set_rotation("k", &policy(&[], Some("P1Y")), NOW).await.unwrap();
    assert_eq!(world.rotate_key("k", NOW).await.unwrap().version.attributes.expires, Some(NOW.plus(YEAR)));
    refused!(world.rotate_key("no", NOW).await, VaultError::ObjectNotFound { .. });
}

#[tokio::test]
async fn a_policy_is_kept_as_it_was_said() {
    let world = World::new().await;
    world.key("k").await;
    let default = world.rotation("k").await.unwrap();
    assert_eq!((default.created, default.expiry), (None, None));
    assert_eq!(default.actions[0].before_expiry.as_ref().unwrap().as_str(), "P30D");
    let set =
        world.set_rotation("k", &policy(&[rotate(Some("P2M"), None)], Some("P90D")), NOW).await.unwrap();
    assert_eq!(world.rotation("k").await.unwrap(), set);
    assert_eq!((set.created, set.updated), (Some(NOW), Some(NOW)));
    assert_eq!(set.expiry.as_ref().unwrap().as_str(), "P90D");
    let again = world.set_rotation("k", &policy(&[], None), LATER).await.unwrap();
    assert_eq!((again.created, again.updated, again.actions.len()), (Some(NOW), Some(LATER), 0));
    refused!(world.rotation("no").await, VaultError::ObjectNotFound { .. });
}

#[tokio::test]
async fn a_policy_that_could_not_be_kept_is_refused_by_its_rule() {
    let world = World::new().await;
    world.key("k").await;
    let notify = |after: Option<&str>, before: Option<&str>| LifetimeAction {
        action: LifetimeActionKind::Notify,
        ..rotate(after, before)
    };
    for (actions, expiry, said) in [
        (vec![], Some("P27D"), "expiryTime must be at least P28D"),
        (vec![rotate(Some("P8D"), None), rotate(Some("P9D"), None)], None, "there may be one"),
        (vec![rotate(None, None)], None, "a trigger must have either"),
        (vec![rotate(Some("P8D"), Some("P8D"))], Some("P90D"), "a trigger must have either"),
        (vec![notify(Some("P30D"), None)], None, "the trigger of a Notify"),
        (vec![rotate(Some("P6D"), None)], None, "timeAfterCreate must be at least P7D"),
        (vec![notify(None, Some("P6D"))], None, "timeBeforeExpiry must be at least P7D"),
        (
            vec![rotate(Some("P84D"), None)],
            Some("P90D"),
            "timeAfterCreate must be at least seven days shorter",
        ),
        (vec![rotate(None, Some("P30D"))], None, "a Rotate action with timeBeforeExpiry needs"),
        (
            vec![rotate(None, Some("P84D"))],
            Some("P90D"),
            "timeBeforeExpiry must be at least seven days shorter",
        ),
    ] {
        match world.set_rotation("k", &policy(&actions, expiry), NOW).await {
            Err(VaultError::Key(KeyFault::RotationPolicy { rule })) => {
                assert!(rule.starts_with(said), "{rule}")
            }
            other => panic!("{said}: {other:?}"),
        }
    }
    for (actions, expiry) in [
        (vec![rotate(Some("P83D"), None), notify(None, Some("P7D"))], Some("P90D")),
        (vec![rotate(None, Some("P83D"))], Some("P90D")),
        (vec![rotate(Some("P7D"), None)], Some("P28D")),
        (vec![notify(None, Some("P30D"))], None),
    ] {
        world.set_rotation("k", &policy(&actions, expiry), NOW).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_is_rotated_when_its_policy_says_so_and_then_again() {
    let world = World::new().await;
    world.key("k").await;
    world.set_rotation("k", &policy(&[rotate(Some("P10D"), None)], Some("P90D")), NOW).await.unwrap();
    assert_eq!(world.rotations().await, [days(10)]);
    assert!(world.service.run_due(days(10).minus(Duration::from_secs(1))).await.unwrap().is_empty());
    let done = world.service.run_due(days(10)).await.unwrap();
    assert!(matches!(&*done, [one] if matches!(one.task, Task::Rotate { .. })), "{done:?}");
    let latest = world.see_key("k").await.unwrap().version;
    assert_eq!((latest.attributes.created, latest.attributes.expires), (days(10), Some(days(100))));
    assert_eq!((world.key_versions("k").await, world.rotations().await), (2, vec![days(20)]));
    assert!(world.service.run_due(days(10)).await.unwrap().is_empty());
    // By hand, or with a key of the caller's own, it is due anew.
    world.rotate_key("k", days(15)).await.unwrap();
    assert_eq!(world.rotations().await, [days(25)]);
    world.service.create_key(&world.asker(), &world.vault, &object("k"), &new("EC"), days(17)).await.unwrap();
    assert_eq!(world.rotations().await, [days(27)]);
    let asked =
        ImportedKey { kind: "EC".parse().unwrap(), jwk: rfc7517_key(false), terms: KeyTerms::default() };
    world.service.import_key(&world.asker(), &world.vault, &object("k"), &asked, days(18)).await.unwrap();
    assert_eq!(world.rotations().await, [days(28)]);
    world.set_rotation("k", &policy(&[], None), days(18)).await.unwrap();
    assert!(world.rotations().await.is_empty());
}

#[tokio::test]
async fn before_its_expiry_means_that_of_the_latest_version() {
    let world = World::new().await;
    world.key("k").await;
    world.set_rotation("k", &policy(&[rotate(None, Some("P30D"))], Some("P90D")), NOW).await.unwrap();
    // It has no expiry yet.
    assert!(world.rotations().await.is_empty());
    let expires =
        |at: i64| attributes(AttributesChange { expires: Some(days(at)), ..AttributesChange::default() });
    world.change_key("k", expires(50)).await.unwrap();
    assert_eq!(world.rotations().await, [days(20)]);
    world.change_key("k", expires(60)).await.unwrap();
    assert_eq!(world.rotations().await, [days(30)]);
    // Switched off it does not come back by itself; switched on it is due again.
    let enabled =
        |is: bool| attributes(AttributesChange { enabled: Some(is), ..AttributesChange::default() });
    world.change_key("k", enabled(false)).await.unwrap();
    assert!(world.rotations().await.is_empty());
    world.change_key("k", enabled(true)).await.unwrap();
    assert_eq!(world.rotations().await, [days(30)]);
    assert_eq!(world.service.run_due(days(31)).await.unwrap().len(), 1);
    assert_eq!(world.rotations().await, [days(31 + 90 - 30)]);
}

#[tokio::test]
async fn what_is_due_goes_with_the_key_and_comes_back_with_it() {
    let world = World::new().await;
    world.key("k").await;
    world.set_rotation("k", &policy(&[rotate(Some("P10D"), None)], None), NOW).await.unwrap();
    world.delete_key("k").await;
    assert!(world.rotations().await.is_empty());
    assert!(world.service.run_due(days(11)).await.unwrap().is_empty());
    world.recover_key("k").await;
    assert_eq!(world.rotations().await, [days(10)]);
    assert_eq!(world.service.run_due(days(11)).await.unwrap().len(), 1);
    // A backup keeps its policy: what is restored is due as the original was.
    let blob = world.service.backup::<Keys>(&world.asker(), &world.vault, &object("k")).await.unwrap().value;
    let there = world.at("other");
    there.make(&VaultSettings::default()).await.unwrap();
    let restored =
        there.service.restore::<Keys>(&there.asker(), &there.vault, &blob, days(12)).await.unwrap().value;
    assert_eq!(restored.version.attributes.created, days(11));
    assert_eq!(world.rotations().await, [days(21), days(21)]);
    assert_eq!(there.rotation("k").await.unwrap(), world.rotation("k").await.unwrap());
    let signed = there.sign("k").await.unwrap().value;
    assert!(world.verify_at("k", None, &signed, NOW).await.unwrap());
    world.delete_key("k").await;
    world.allow_keys(&[KeyPermission::Purge]).await;
    world.service.purge::<Keys>(&world.asker(), &world.vault, &object("k"), NOW).await.unwrap();
    assert_eq!(world.rotations().await, [days(21)]);
}

#[tokio::test]
async fn in_a_deleted_vault_nothing_is_rotated_and_nothing_is_forgotten() {
    let world = World::new().await;
    world.key("k").await;
    world.set_rotation("k", &policy(&[rotate(Some("P10D"), None)], None), NOW).await.unwrap();
    world.service.delete_vault(BY, &world.vault, days(9)).await.unwrap();
    assert!(world.service.run_due(days(10)).await.unwrap().is_empty());
    world.service.recover_vault(BY, &world.vault).await.unwrap();
    assert_eq!(world.key_versions("k").await, 1);
    assert_eq!(world.service.run_due(days(11)).await.unwrap().len(), 1);
    assert_eq!((world.key_versions("k").await, world.rotations().await), (2, vec![days(21)]));
}

#[tokio::test]
async fn a_rotation_follows_the_key_that_is_there_when_it_is_written() {
    let world = World::new().await;
    world.key("k").await;
    // While the new key is made, the key becomes one of another curve.
    let other = world.elsewhere();
    world.before_commit(0, move || {
        at_once(async {
            other.make_key("k", &NewKey { curve: Some(Curve::P384), ..new("EC") }).await.unwrap()
        });
    });
    let rotated = world.rotate_key("k", LATER).await.unwrap();
    assert_eq!(rotated.version.content.spec().unwrap().to_string(), "EC P-384");
    assert_eq!(world.key_versions("k").await, 3);
}
