//! Many who come at the same moment, over a store whose commits take their time.

use crate::world::{NOW, World};
use access::Manager;
use domain::{AppName, Placement, limits};
use host::Change;
use std::{collections::BTreeSet, num::NonZeroU16, sync::Arc};
use store::{Changes, Check, CommitId, Key, Memory, Page, Position, Snapshot, Store, StoreError, Write};

/// Whoever commits waits until all others have decided, too.
struct Slow(Memory);

#[async_trait::async_trait]
impl Store for Slow {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.0.read(keys).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.0.list(prefix, after, limit).await
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        tokio::task::yield_now().await;
        self.0.commit(id, checks, writes).await
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        self.0.resolve(id).await
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<Changes, StoreError> {
        self.0.changes(prefix, after).await
    }
}

#[tokio::test]
async fn many_apps_at_once_get_an_account_each() {
    let host = Arc::new(World::on(Arc::new(Slow(Memory::new()))).await.host);
    let names: Vec<_> = (0..2 * limits::TRANSACT_ATTEMPTS_MAX)
        .map(|number| AppName::parse(&format!("app-{number}")).unwrap())
        .collect();
    for name in &names {
        host.create_app(Manager::Administrator, name, &Placement::default(), NOW).await.unwrap();
    }
    let mut crowd = tokio::task::JoinSet::new();
    for (number, name) in names.iter().cloned().enumerate() {
        let host = host.clone();
        crowd.spawn(async move {
            if number % 2 == 0 {
                return host
                    .change_desired(Manager::Administrator, &name, &Change::default(), NOW)
                    .await
                    .unwrap()
                    .account;
            }
            let setting = host::Setting {
                name: "COLOUR".to_owned(),
                value: domain::Secret::new("blue".to_owned()),
                is_secret: false,
            };
            host.change_settings(Manager::Administrator, &name, &[setting], &[], NOW).await.unwrap().account
        });
    }
    let accounts: BTreeSet<_> = crowd.join_all().await.into_iter().collect();
    assert_eq!(accounts.len(), names.len());
}
