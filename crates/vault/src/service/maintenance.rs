//! What happens without a request: what is due is done, and garbage is removed. Whoever calls leaves the audit records.

use super::{VaultService, keys::Rotation};
use crate::{
    Certificates, Keys, Secrets, VaultError,
    certificates::coming,
    deleted,
    garbage::Garbage,
    schedule::{Due, Task},
    vaults,
};
use domain::{ObjectKind, Timestamp, VaultId, VaultName};
use std::{num::NonZeroU16, sync::PoisonError, time::Duration};
use store::{
    Decision, Halt, Key, StoreError, View, Write,
    contract::{LIST_MAX, WRITES_MAX},
    list_records, transact,
};

/// How many things are done, and how much garbage is looked at, in one round.
const ROUND: NonZeroU16 = NonZeroU16::new(64).unwrap();
/// Keys of garbage that one commit removes.
const BATCH: usize = WRITES_MAX / 2;

/// How long what is to be made in a deleted vault is put off each time: so much later it may be made once the vault is recovered.
const WHILE_DELETED: Duration = Duration::from_secs(86_400);

/// Something that was done since its time had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// In which vault.
    pub vault: VaultName,
    /// What.
    pub task: Task,
    /// Whether the store said so. If not, it may have been done, or not, or be done yet; what was not is due again.
    pub is_certain: bool,
}

impl Done {
    fn of(due: &Due, is_certain: bool) -> Self {
        Self { vault: due.vault.clone(), task: due.task.clone(), is_certain }
    }
}

impl VaultService {
    /// Does what is due, the oldest first, a bounded part of it.
    ///
    /// # Errors
    /// The store's, if nothing could be done. What could not be done is tried again in the next round.
    pub async fn run_due(&self, now: Timestamp) -> Result<Vec<Done>, VaultError> {
        let page = list_records::<Due>(&*self.store, &Due::prefix(), None, ROUND).await?;
        let (mut done, mut failed) = (Vec::new(), None);
        for (_, due) in page.items.iter().take_while(|(_, due)| due.at <= now) {
            match self.run_one(due, now).await {
                Ok(true) => done.push(Done::of(due, true)),
                Ok(false) => {}
                // It may have happened, and then no later round tells of it.
                Err(VaultError::Store(StoreError::Unknown(_))) => done.push(Done::of(due, false)),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if done.is_empty() => Err(error),
            // What was done is told, whatever became of the rest: each has its record in the audit log.
            Some(_) | None => {
                if !done.is_empty() {
                    self.sweep_soon(now).await;
                }
                Ok(done)
            }
        }
    }

    /// When the next thing is due, if anything is to come.
    ///
    /// # Errors
    /// The store's.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, VaultError> {
        let page = list_records::<Due>(&*self.store, &Due::prefix(), None, NonZeroU16::MIN).await?;
        Ok(page.items.first().map(|(_, due)| due.at))
    }

    async fn run_one(&self, due: &Due, now: Timestamp) -> Result<bool, VaultError> {
        if let Task::Renew { name, object } = &due.task
            && let Some(is_done) = self.renew_certificate(due, (name, *object), now).await?
        {
            return Ok(is_done);
        }
        if let Task::Rotate { name, object } = &due.task {
            // The key is made outside of any decision. If there is nothing to rotate, what follows tidies up.
            match self.rotate_when_due(due, (name, *object), now).await {
                Ok(Rotation::Done) => return Ok(true),
                Ok(Rotation::Later) => return Ok(false),
                Ok(Rotation::NotDue) | Err(VaultError::VaultNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let is_done = transact(&*self.store, &*self.entropy, |view| {
            if due.task == Task::PurgeVault {
                return vaults::purge_when_due(view, due, now);
            }
            let decision = Self::decide_due(view, due, now)?;
            let mut writes = decision.writes;
            // Whatever came of it, it is not due any more.
            if !writes.iter().any(|write| write.key() == due.unput().key()) {
                writes.push(due.unput());
            }
            Ok(Decision::of(decision.value, writes))
        })
        .await?;
        if is_done && due.task == Task::PurgeVault {
            self.forget_key(due.vault_id);
        }
        Ok(is_done)
    }

    /// What has become of the vault decides: of a purged one there is nothing, in a deleted one nothing is made until it is
    /// recovered, and what was deleted
    /// before is purged all the same. Were it not, it would be there for ever once the vault is recovered.
    fn decide_due(view: &View, due: &Due, now: Timestamp) -> Result<Decision<bool>, Halt<VaultError>> {
        let Some((vault, is_deleted)) = vaults::find_or_deleted(view, &due.vault, due.vault_id)? else {
            return Ok(Decision::read(false));
        };
        if is_deleted && !matches!(due.task, Task::Purge { .. }) {
            let later = Due { at: now.plus(WHILE_DELETED), ..due.clone() };
            return Ok(Decision::of(false, vec![due.unput(), later.put()]));
        }
        match &due.task {
            Task::Purge { kind: ObjectKind::Secret, name, object } => {
                deleted::purge_when_due::<Secrets>(view, &vault, name, *object, now)
            }
            Task::Purge { kind: ObjectKind::Key, name, object } => {
                deleted::purge_when_due::<Keys>(view, &vault, name, *object, now)
            }
            Task::Purge { kind: ObjectKind::Certificate, name, object } => {
                match deleted::purge_when_due::<Certificates>(view, &vault, name, *object, now)? {
                    Decision { value: false, .. } => coming::purge_when_due(view, &vault, name, *object, now),
                    done => Ok(done),
                }
            }
            Task::PurgeVault | Task::Rotate { .. } | Task::Renew { .. } => Ok(Decision::read(false)),
        }
    }

    /// Removes garbage after something was made garbage. If it fails, a later round does it.
    pub(super) async fn sweep_soon(&self, now: Timestamp) {
        let _later_then = self.sweep(now).await;
    }

    /// Removes garbage, a bounded part of it: each round goes on after what the one before has looked at, and begins anew after the last.
    /// So what must stay for a while, such as a restore that may still be under way, holds up nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), VaultError> {
        let after = self.swept_up_to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let page = list_records::<Garbage>(&*self.store, &Garbage::prefix(), after.as_ref(), ROUND).await?;
        let last = page.items.last().map(|(key, _)| key.clone());
        for (_, garbage) in page.items.iter().filter(|(_, garbage)| garbage.is_over(now)) {
            self.remove(garbage).await?;
        }
        // Only now: what could not be removed is tried again first.
        *self.swept_up_to.lock().unwrap_or_else(PoisonError::into_inner) = last.filter(|_| page.more);
        Ok(())
    }

    async fn remove(&self, garbage: &Garbage) -> Result<(), VaultError> {
        // First it is taken away from who may still be laying it out: then nobody reveals half of it.
        if !garbage.condemned {
            let condemned = Garbage { condemned: true, ..garbage.clone() };
            let id = (garbage.vault, garbage.object);
            let claimed = transact(&*self.store, &*self.entropy, |view| match view.get::<Garbage>(&id)? {
                Some(_) => Ok(Decision::of(true, vec![condemned.put()])),
                None => Ok::<_, Halt<VaultError>>(Decision::read(false)),
            });
            if !claimed.await? {
                return Ok(());
            }
        }
        for prefix in garbage.prefixes() {
            self.remove_all(&prefix).await?;
        }
        if garbage.object.is_none() {
            self.remove_due(garbage.vault).await?;
        }
        self.delete_keys(vec![garbage.unput()]).await
    }

    /// Removes what is to happen in a vault that is no more: it names what was there.
    async fn remove_due(&self, vault: VaultId) -> Result<(), VaultError> {
        for due in self.all::<Due>(&Due::prefix()).await?.iter().filter(|(_, due)| due.vault_id == vault) {
            self.delete_keys(vec![due.1.unput()]).await?;
        }
        Ok(())
    }

    async fn delete_keys(&self, writes: Vec<Write>) -> Result<(), VaultError> {
        transact(&*self.store, &*self.entropy, |_view| Ok(Decision::of((), writes.clone()))).await
    }

    async fn remove_all(&self, prefix: &Key) -> Result<(), VaultError> {
        let limit = NonZeroU16::new(LIST_MAX).unwrap_or(NonZeroU16::MIN);
        loop {
            let page = self.store.list(prefix, None, limit).await?;
            for batch in page.entries.chunks(BATCH) {
                self.delete_keys(batch.iter().map(|entry| Write::Delete(entry.key.clone())).collect())
                    .await?;
            }
            if !page.more {
                return Ok(());
            }
        }
    }
}
