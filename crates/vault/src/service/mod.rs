//! [`VaultService`]: each operation is one query or one transaction, in which vault, caller, permit and object are read together.
//!
//! One file for vaults, one for what all kinds of objects can, one for each kind, one for what happens without a request.

mod certificate_objects;
mod certificates;
mod issuers;
mod keys;
mod maintenance;
mod objects;
mod secrets;
#[cfg(test)]
mod tests;
mod vaults;

pub use certificate_objects::PolicyOf;
pub use keys::Used;
pub use maintenance::Done;

use crate::{
    Kind, Vault, VaultError,
    keys::open::OpenKeys,
    object::{Version, VersionId},
    vault::Recovery,
    vaults as decide,
};
use access::{Action, Asker, Permit};
use crypt::{
    Key256, Sealed,
    keys::{PrivateKey, PublicKey},
};
use domain::{Entropy, ObjectId, ObjectName, Secret, Timestamp, VaultId, VaultName, Workers, limits};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};
use store::{Halt, Key, Store, View, query};

/// What an operation answers, and why it was allowed: for the audit log.
#[derive(Debug)]
pub struct Permitted<T> {
    /// The answer.
    pub value: T,
    /// The rule that allowed it.
    pub because: String,
    /// What the vault says of recovery.
    pub recovery: Recovery,
}

/// Vaults and their objects.
pub struct VaultService {
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
    workers: Arc<dyn Workers>,
    root: Arc<Key256>,
    /// Of all backups.
    backup_key: Key256,
    /// Hosts and addresses that are the installation's own: no certificate of a vault's authority says one of them.
    reserved: (Vec<String>, Vec<IpAddr>),
    /// Opened keys of vaults that are in use. A vault's id is never used again, so an entry is never wrong.
    keys: RwLock<HashMap<VaultId, Arc<Key256>>>,
    private_keys: OpenKeys<PrivateKey>,
    /// How many object ids were made, for their order.
    object_ids: AtomicU32,
    /// The last garbage that a sweep has looked at, if it stopped before the end.
    swept_up_to: Mutex<Option<Key>>,
    public_keys: OpenKeys<PublicKey>,
}

impl VaultService {
    /// Over a store, with the root key that seals the keys of its vaults.
    pub fn new(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
        workers: Arc<dyn Workers>,
        root: Arc<Key256>,
    ) -> Self {
        let backup_key = crate::backup::key(&root);
        Self {
            store,
            entropy,
            workers,
            root,
            backup_key,
            reserved: Default::default(),
            keys: RwLock::default(),
            object_ids: AtomicU32::default(),
            swept_up_to: Mutex::default(),
            private_keys: OpenKeys::new(limits::OPEN_KEYS_MAX),
            public_keys: OpenKeys::new(limits::OPEN_KEYS_MAX),
        }
    }

    /// An id for a new object.
    fn object_id(&self, now: Timestamp) -> ObjectId {
        ObjectId::ordered(now, self.object_ids.fetch_add(1, Ordering::Relaxed), &*self.entropy)
    }

    /// The same, with hosts (the first label may be `*`) and addresses that are the installation's own: no vault's authority signs for them.
    #[must_use]
    pub fn reserving(self, hosts: Vec<String>, addresses: Vec<IpAddr>) -> Self {
        Self { reserved: (hosts, addresses), ..self }
    }

    /// Whether a caller may do something, asked before a large request is read. What is done decides again.
    ///
    /// # Errors
    /// [`VaultError::Denied`], [`VaultError::VaultNotFound`].
    pub async fn may<A: Action>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        object: Option<&ObjectName>,
    ) -> Result<(), VaultError> {
        query(&*self.store, |view| {
            let vault = decide::find(view, vault)?;
            permitted::<A>(view, asker, &vault, object).map(drop)
        })
        .await
    }

    fn seal<K: Kind>(&self, vault: &Vault, id: &VersionId, plain: &[u8]) -> Result<Sealed, VaultError> {
        let address = Version::<K>::address(id);
        Ok(crypt::envelope::seal(&*self.key(vault)?, &address, plain, &*self.entropy)?)
    }

    fn open<K: Kind>(
        &self,
        vault: &Vault,
        id: &VersionId,
        sealed: &Sealed,
    ) -> Result<Secret<Vec<u8>>, VaultError> {
        Ok(crypt::envelope::open(&*self.key(vault)?, &Version::<K>::address(id), sealed)?)
    }

    fn key(&self, vault: &Vault) -> Result<Arc<Key256>, VaultError> {
        if let Some(key) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&vault.id) {
            return Ok(key.clone());
        }
        let key = Arc::new(crypt::envelope::open_key(&self.root, &Vault::key_address(vault.id), &vault.key)?);
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(vault.id, key.clone());
        Ok(key)
    }

    /// Of a vault that is no more.
    fn forget_key(&self, vault: VaultId) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).remove(&vault);
        self.forget_keys(|id| id.0 == vault);
    }
}

/// The permit of an action, in the same view as everything else: a removed principal or rule is refused from the moment of its removal.
fn permitted<A: Action>(
    view: &View,
    asker: &Asker<'_>,
    vault: &Vault,
    object: Option<&ObjectName>,
) -> Result<Permit<A>, Halt<VaultError>> {
    access::permit::<A>(view, asker, &vault.scope(), object).map_err(|halt| halt.map(VaultError::Denied))
}
