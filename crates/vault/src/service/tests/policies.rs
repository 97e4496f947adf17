//! Access policies: each verb by itself, and a removal that nobody outruns.

use super::*;
use access::{AccessPolicy, Denied, Lack};
use domain::{Permission, limits};

fn is_denied<T: std::fmt::Debug>(result: Result<T, VaultError>) -> bool {
    match result {
        Err(VaultError::Denied(Denied::Lacking { why: Lack::VerbMissing(_), .. })) => true,
        Err(VaultError::Denied(denied)) => panic!("{denied}"),
        // Allowed, whatever came of it.
        Ok(_) | Err(_) => false,
    }
}

#[tokio::test]
async fn each_operation_needs_its_own_verb() {
    use SecretPermission::{Backup, Delete, Get, List, Purge, Recover, Restore, Set};
    let world = World::new().await;
    world.set("db", "one").await;
    world.set("old", "one").await;
    world.delete("old").await.unwrap();
    let blob = world.backup("db").await.unwrap();
    let some = [&[Get][..], &[List], &[Set], &[Delete, Purge], &[Get, List], &[]];
    for verbs in SecretPermission::ALL.iter().map(std::slice::from_ref).chain(some) {
        // With a verb on something else: a policy without any is none.
        let mut permissions = Permissions::on_secrets(verbs.iter().copied().collect());
        permissions.keys = domain::VerbSet::all();
        world.service.set_policy(BY, &world.vault, world.principal.id, permissions).await.unwrap();
        let lacks = |verb| !verbs.contains(&verb);
        for name in ["db", "absent"] {
            // Whether a secret is there is not for them to know.
            assert_eq!(is_denied(world.get(name, None).await), lacks(Get));
            assert_eq!(is_denied(world.versions(name, 25, None).await), lacks(List));
            assert_eq!(is_denied(world.update(name, None, SecretChange::default()).await), lacks(Set));
            assert_eq!(is_denied(world.backup(name).await), lacks(Backup));
        }
        for name in ["old", "absent"] {
            assert_eq!(is_denied(world.get_deleted(name).await), lacks(Get));
        }
        assert_eq!(is_denied(world.list(25, None).await), lacks(List));
        assert_eq!(is_denied(world.list_deleted(25, None).await), lacks(List));
        assert_eq!(is_denied(world.set_with("db", "two", |_| {}).await), lacks(Set));
        assert_eq!(is_denied(world.set_with("old", "two", |_| {}).await), lacks(Set));
        assert_eq!(is_denied(world.restore(&blob).await), lacks(Restore));
        assert_eq!(is_denied(world.restore("nonsense").await), lacks(Restore));
        assert_eq!(is_denied(world.delete("absent").await), lacks(Delete));
        assert_eq!(is_denied(world.recover("absent").await), lacks(Recover));
        assert_eq!(is_denied(world.purge("absent").await), lacks(Purge));
        // What these change is there again afterwards.
        assert_eq!(is_denied(world.delete("db").await), lacks(Delete));
        assert_eq!(is_denied(world.recover("old").await), lacks(Recover));
        assert_eq!(is_denied(world.purge("db").await), lacks(Purge));
        world.allow_all().await;
        if !lacks(Purge) {
            world.set("db", "one").await;
        }
        drop(world.recover("db").await);
        drop(world.delete("old").await);
    }
}

#[tokio::test]
async fn an_owner_may_everything_but_purge() {
    let world = World::new().await;
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap();
    let [policy] = &*vault.policies else { panic!("one policy") };
    assert_eq!((policy.principal, policy.permissions), (world.principal.id, Permissions::all_but_purge()));
    let secrets = policy.permissions.secrets;
    let lacking: Vec<_> = SecretPermission::ALL.iter().filter(|verb| !secrets.contains(**verb)).collect();
    assert_eq!(lacking, [&SecretPermission::Purge]);
    world.set("db", "one").await;
    world.delete("db").await.unwrap();
    assert!(is_denied(world.purge("db").await));
}

#[tokio::test]
async fn policies_are_set_replaced_and_removed() {
    let world = World::new().await;
    refused!(world.make(&VaultSettings::default()).await, VaultError::VaultExists { .. });
    let taken = world.at("SHOP").make(&VaultSettings::default()).await;
    assert!(matches!(taken, Err(VaultError::VaultExists { .. })), "the same host name");

    let nobody = PrincipalId::random(&counted(99));
    let get = Permissions::on_secrets([SecretPermission::Get].into_iter().collect());
    let set = async |id, permissions| world.service.set_policy(BY, &world.vault, id, permissions).await;
    refused!(set(nobody, get).await, VaultError::PrincipalNotFound { .. });
    let vault = set(world.principal.id, get).await.unwrap();
    assert_eq!(vault.policies, [AccessPolicy { principal: world.principal.id, permissions: get }]);

    // Of a principal that is gone, too.
    world.write(vec![store::delete::<Principal>(&world.principal.id)]).await;
    let vault = set(world.principal.id, Permissions::default()).await;
    assert_eq!(vault.unwrap().policies, []);
    let elsewhere = VaultName::parse("nowhere").unwrap();
    let set = world.service.set_policy(BY, &elsewhere, world.principal.id, get).await;
    refused!(set, VaultError::VaultNotFound { .. });
}

#[tokio::test]
async fn a_vault_has_its_limit_of_policies() {
    let world = World::new().await;
    world.allow(&[]).await;
    let get = Permissions::on_secrets([SecretPermission::Get].into_iter().collect());
    let limit = limits::ACCESS_POLICIES_MAX;
    for number in 0..=limit {
        let id = PrincipalId::random(&counted(1_000 + number as u64));
        let principal = Principal { id, ..world.principal.clone() };
        world.write(vec![put::<Principal>(&id, &principal)]).await;
        let set = world.service.set_policy(BY, &world.vault, id, get).await;
        assert_eq!(set.is_ok(), number < limit, "{number}");
    }
}

/// Every verb of every kind takes its room: a vault is full before it has so many policies, and says so. It can still be deleted.
#[tokio::test]
async fn a_vault_that_is_full_says_so() {
    let world = World::new().await;
    let all = Permissions::all_but_purge();
    for number in 0..=limits::ACCESS_POLICIES_MAX {
        let id = PrincipalId::random(&counted(1_000 + number as u64));
        let principal = Principal { id, ..world.principal.clone() };
        world.write(vec![put::<Principal>(&id, &principal)]).await;
        match world.service.set_policy(BY, &world.vault, id, all).await {
            Ok(_) => {}
            Err(VaultError::TooLarge { .. }) => {
                assert!(number > 64, "{number} policies are few");
                world.service.delete_vault(BY, &world.vault, NOW).await.unwrap();
                world.service.recover_vault(BY, &world.vault).await.unwrap();
                return;
            }
            Err(other) => panic!("{other}: {other:?}"),
        }
    }
    panic!("more than the limit");
}

#[tokio::test]
async fn a_removal_that_was_acknowledged_is_not_outrun() {
    let world = World::new().await;
    let lack = async || match world.get("db", None).await {
        Err(VaultError::Denied(Denied::Lacking { why, .. })) => why,
        other => panic!("{other:?}"),
    };
    world.set("db", "one").await;
    world.allow(&[]).await;
    assert_eq!(lack().await, Lack::NoPolicy);
    world.allow(&[SecretPermission::Get]).await;
    world.get("db", None).await.unwrap();
    let disabled = Principal { enabled: false, ..world.principal.clone() };
    world.write(vec![put::<Principal>(&world.principal.id, &disabled)]).await;
    assert_eq!(lack().await, Lack::PrincipalDisabled);
    world.write(vec![store::delete::<Principal>(&world.principal.id)]).await;
    assert_eq!(lack().await, Lack::PrincipalGone);
}

#[tokio::test]
async fn what_was_allowed_says_why() {
    let world = World::new().await;
    world.set("db", "one").await;
    let read = world.service.get_secret(&world.asker(), &world.vault, &object("db"), None).await.unwrap();
    assert_eq!(read.because, "the vault's access policy for the principal has secrets get");
    let deleted = world.service.delete::<Secrets>(&world.asker(), &world.vault, &object("db"), NOW).await;
    assert_eq!(deleted.unwrap().because, "the vault's access policy for the principal has secrets delete");
}
