//! Vaults: made, changed, deleted, recovered, purged.

use super::*;
use domain::limits;

#[tokio::test]
async fn vaults_are_listed_by_name() {
    let world = World::new().await;
    for name in ["zoo", "Alpha"] {
        world.at(name).make(&VaultSettings::default()).await.unwrap();
    }
    let vaults = world.service.list_vaults().await.unwrap();
    assert_eq!(vaults.iter().map(|vault| vault.name.as_str()).collect::<Vec<_>>(), ["Alpha", "shop", "zoo"]);
}
