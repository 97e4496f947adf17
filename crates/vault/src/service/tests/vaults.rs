//! Vaults: made, changed, deleted, recovered, purged.

use super::*;
use crate::AccessModel;
use access::NetworkRules;
use domain::limits;

#[tokio::test]
async fn vaults_are_listed_by_name() {
    let world = World::new().await;
    for name in ["zoo", "Alpha"] {
        world.at(name).make(&VaultSettings::default()).await.unwrap();
    }
    let vaults = world.service.list_vaults(BY).await.unwrap();
    assert_eq!(vaults.iter().map(|vault| vault.name.as_str()).collect::<Vec<_>>(), ["Alpha", "shop", "zoo"]);
    world.service.delete_vault(BY, &VaultName::parse("alpha").unwrap(), NOW).await.unwrap();
    let vaults = world.service.list_vaults(BY).await.unwrap();
    assert_eq!(vaults.iter().map(|vault| vault.name.as_str()).collect::<Vec<_>>(), ["shop", "zoo"]);
    let deleted = world.service.list_deleted_vaults(BY).await.unwrap();
    assert_eq!(deleted.iter().map(|of| of.vault.name.as_str()).collect::<Vec<_>>(), ["Alpha"]);
}

#[tokio::test]
async fn a_deleted_vault_serves_nothing_and_comes_back_whole() {
    let world = World::new().await;
    world.allow_all().await;
    three_versions(&world, "db").await;
    world.set("old", "one").await;
    world.delete("old").await.unwrap();
    let (before, vault) =
        (world.all_of("db").await, world.service.show_vault(BY, &world.vault).await.unwrap());
    let blob = world.backup("db").await.unwrap();
    let deleted = world.service.delete_vault(BY, &world.vault, LATER).await.unwrap();
    assert_eq!((&deleted.vault, deleted.deleted), (&*vault, LATER));
    assert_eq!(deleted.purge_at, LATER.plus(DAY * u32::from(limits::RECOVERABLE_DAYS)));
    assert_eq!(*world.service.show_deleted_vault(BY, &world.vault).await.unwrap(), deleted);

    refused!(world.get("db", None).await, VaultError::VaultNotFound { .. });
    refused!(world.set_with("db", "two", |_| {}).await, VaultError::VaultNotFound { .. });
    refused!(world.update("db", None, SecretChange::default()).await, VaultError::VaultNotFound { .. });
    refused!(world.list(25, None).await, VaultError::VaultNotFound { .. });
    refused!(world.versions("db", 25, None).await, VaultError::VaultNotFound { .. });
    refused!(world.delete("db").await, VaultError::VaultNotFound { .. });
    refused!(world.get_deleted("old").await, VaultError::VaultNotFound { .. });
    refused!(world.list_deleted(25, None).await, VaultError::VaultNotFound { .. });
    refused!(world.recover("old").await, VaultError::VaultNotFound { .. });
    refused!(world.purge("old").await, VaultError::VaultNotFound { .. });
    refused!(world.backup("db").await, VaultError::VaultNotFound { .. });
    refused!(world.restore(&blob).await, VaultError::VaultNotFound { .. });
    let (name, owner) = (&world.vault, world.principal.id);
    refused!(world.service.show_vault(BY, name).await, VaultError::VaultNotFound { .. });
    let changed = world.service.change_vault(BY, name, &VaultSettings::default(), Some(owner), NOW).await;
    refused!(changed, VaultError::VaultNotFound { .. });
    let set = world.service.set_policy(BY, name, owner, Permissions::default()).await;
    refused!(set, VaultError::VaultNotFound { .. });
    let explained = world.service.explain(name, owner, None, access::ACTIONS).await;
    refused!(explained, VaultError::VaultNotFound { .. });

    assert_eq!(world.service.recover_vault(BY, name).await.unwrap(), *vault);
    assert_eq!((world.all_of("db").await, world.value("db").await), (before, "canary-three".to_owned()));
    assert_eq!(world.deleted_names().await, ["old"]);
    world.recover("old").await.unwrap();
    assert!(
        world.stored("due/").is_empty() && world.service.list_deleted_vaults(BY).await.unwrap().is_empty()
    );
}

#[tokio::test]
async fn each_step_is_refused_where_it_does_not_lead() {
    let world = World::new().await;
    let (service, name) = (&world.service, &world.vault);
    for there in [true, false] {
        let name = if there { name.clone() } else { VaultName::parse("nowhere").unwrap() };
        refused!(service.show_deleted_vault(BY, &name).await, VaultError::DeletedVaultNotFound { .. });
        refused!(service.recover_vault(BY, &name).await, VaultError::DeletedVaultNotFound { .. });
        refused!(service.purge_vault(BY, &name, NOW).await, VaultError::DeletedVaultNotFound { .. });
    }
    refused!(world.at("nowhere").make_gone().await, VaultError::VaultNotFound { .. });
    world.make_gone().await.unwrap();
    refused!(world.make_gone().await, VaultError::VaultNotFound { .. });
    // The name is not free before it is purged, in whatever spelling.
    refused!(world.make(&VaultSettings::default()).await, VaultError::VaultIsDeleted { .. });
    let made = world.at("SHOP").make(&VaultSettings::default()).await;
    refused!(made, VaultError::VaultIsDeleted { .. });
    service.recover_vault(BY, name).await.unwrap();
    refused!(service.recover_vault(BY, name).await, VaultError::DeletedVaultNotFound { .. });
    refused!(world.make(&VaultSettings::default()).await, VaultError::VaultExists { .. });
    world.make_gone().await.unwrap();
    service.purge_vault(BY, name, NOW).await.unwrap();
    refused!(service.purge_vault(BY, name, NOW).await, VaultError::DeletedVaultNotFound { .. });
    refused!(service.recover_vault(BY, name).await, VaultError::DeletedVaultNotFound { .. });
}

impl World {
    async fn make_gone(&self) -> Result<crate::DeletedVault, VaultError> {
        self.service.delete_vault(BY, &self.vault, NOW).await
    }
}

/// Everything of it: secrets and deleted ones with all versions, roles, what is due, what was left of a purge and of a restore.
#[tokio::test]
async fn a_purge_leaves_nothing_of_a_vault() {
    let world = World::new().await;
    world.allow_all().await;
    for name in ["a", "b", "c"] {
        three_versions(&world, name).await;
    }
    let blob = world.backup("a").await.unwrap();
    world.delete("b").await.unwrap();
    world.delete("c").await.unwrap();
    world.dies_after(1);
    world.purge("c").await.unwrap();
    world.lives();
    let (id, owner) = (world.service.show_vault(BY, &world.vault).await.unwrap().id, world.principal.id);
    let roles = VaultSettings { access: Some(AccessModel::Roles), ..VaultSettings::default() };
    world.service.change_vault(BY, &world.vault, &roles, Some(owner), NOW).await.unwrap();
    world.dies_after(1);
    world.purge("b").await.unwrap();
    world.lives();
    three_versions(&world, "b").await;
    world.delete("b").await.unwrap();
    world.delete("a").await.unwrap();
    world.purge("a").await.unwrap();
    world.dies_after(2);
    world.restore(&blob).await.unwrap_err();
    world.lives();
    let next_door = world.at("next-door");
    next_door.make(&VaultSettings::default()).await.unwrap();
    three_versions(&next_door, "a").await;
    let prefixes = ["secret-version/", "deleted-secret/", "role-assignment/", "due/", "garbage/"];
    for prefix in prefixes {
        assert!(world.stored(prefix).iter().any(|key| key.contains(&id.to_string())), "there is a {prefix}");
    }

    world.make_gone().await.unwrap();
    assert!(!world.found(&id.to_string()).is_empty());
    world.service.purge_vault(BY, &world.vault, NOW).await.unwrap();
    // What a restore may still be laying out goes once it is taken for dead.
    world.service.sweep(LATER.plus(Duration::from_secs(3_600))).await.unwrap();
    assert_eq!(world.found(&id.to_string()), Vec::<String>::new());
    assert!(world.stored("due/").is_empty() && world.stored("garbage/").is_empty());
    assert!(!world.service.keys.read().unwrap().contains_key(&id), "nor its key in memory");
    assert_eq!(next_door.all_of("a").await.len(), 3, "next door nothing is missing");

    // A vault of the same name is another one.
    let made = world.make(&VaultSettings::default()).await.unwrap();
    assert_ne!(made.id, id);
    assert!(world.names().await.is_empty() && world.deleted_names().await.is_empty());
    refused!(world.get("a", None).await, VaultError::ObjectNotFound { .. });
    world.restore(&blob).await.unwrap();
    assert_eq!(world.value("a").await, "canary-three", "but a backup outlives its vault");
}

#[tokio::test]
async fn a_vault_with_purge_protection_waits_for_its_time() {
    let settings = VaultSettings { purge_protection: Some(true), ..VaultSettings::default() };
    let world = World::with(&settings).await;
    world.make_gone().await.unwrap();
    let purged = world.service.purge_vault(BY, &world.vault, NOW).await;
    refused!(purged, VaultError::PurgeProtected { .. });
    world.service.recover_vault(BY, &world.vault).await.unwrap();
    world.make_gone().await.unwrap();
    let done = world.service.run_due(NOW.plus(DAY * 90)).await.unwrap();
    assert_eq!(done.len(), 1);
    assert!(world.service.list_deleted_vaults(BY).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_set_once_for_all_stays() {
    let world = World::new().await;
    let (name, owner) = (&world.vault, world.principal.id);
    let change = async |settings: VaultSettings| {
        world.service.change_vault(BY, name, &settings, Some(owner), NOW).await
    };
    let days = |days| VaultSettings { recoverable_days: Some(days), ..VaultSettings::default() };
    for days in [0, 6, 91, u16::MAX] {
        let settings = VaultSettings { recoverable_days: Some(days), ..VaultSettings::default() };
        refused!(world.at("new").make(&settings).await, VaultError::SettingInvalid { .. });
        refused!(change(settings).await, VaultError::SettingInvalid { .. });
    }
    refused!(change(days(30)).await, VaultError::Immutable { .. });
    change(days(90)).await.unwrap();
    let protect = |is| VaultSettings { purge_protection: Some(is), ..VaultSettings::default() };
    assert!(!change(protect(false)).await.unwrap().purge_protection);
    assert!(change(protect(true)).await.unwrap().purge_protection);
    refused!(change(protect(false)).await, VaultError::Immutable { .. });
    assert!(change(VaultSettings::default()).await.unwrap().purge_protection, "what is not said stays");
    assert!(change(protect(true)).await.unwrap().purge_protection);
    let ranges = |number: usize| VaultSettings {
        network: Some(NetworkRules { only_from: Some(vec!["2001:db8::/32".parse().unwrap(); number]) }),
        ..VaultSettings::default()
    };
    change(ranges(limits::IP_RANGES_MAX)).await.unwrap();
    refused!(change(ranges(limits::IP_RANGES_MAX + 1)).await, VaultError::TooLarge { .. });
    // A refused change changes nothing of what else it asks for.
    let both = VaultSettings { purge_protection: Some(false), ..ranges(1) };
    refused!(change(both).await, VaultError::Immutable { .. });
    let network = world.service.show_vault(BY, name).await.unwrap().network.clone();
    assert_eq!(network.only_from.map(|ranges| ranges.len()), Some(limits::IP_RANGES_MAX));
}
