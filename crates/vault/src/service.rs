//! [`VaultService`]: each operation is one query or one transaction, in which vault, caller, permit and secret are read together.

use crate::{
    PageRequest, Permitted, SecretChange, SecretPage, SecretProperties, SecretRecord, SecretWithValue,
    SetSecret, Vault, VaultError, page, records::SecretHead, secrets, vaults,
};
use access::{AccessPolicy, Caller, GetSecret, ListSecrets, SetSecret as SetAction, UpdateSecret};
use crypt::{Key256, Sealed};
use domain::{
    Entropy, PrincipalId, Secret, ObjectName, SecretPermissions, ObjectVersion, TenantId, Timestamp, VaultId,
    VaultName,
};
use std::{
    collections::HashMap,
    num::NonZeroU16,
    sync::{Arc, PoisonError, RwLock},
};
use store::{Decision, Store, contract::LIST_MAX, list_records, query, transact};

/// Vaults and their secrets.
pub struct VaultService {
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
    root: Arc<Key256>,
    /// Opened keys of vaults that are in use. A vault's id is never used again, so an entry is never wrong.
    keys: RwLock<HashMap<VaultId, Arc<Key256>>>,
}

impl VaultService {
    /// Over a store, with the root key that seals the keys of its vaults.
    pub fn new(store: Arc<dyn Store>, entropy: Arc<dyn Entropy>, root: Arc<Key256>) -> Self {
        Self { store, entropy, root, keys: RwLock::default() }
    }

    /// Makes a vault. `owner` may do everything with its secrets but purge them.
    ///
    /// # Errors
    /// [`VaultError::VaultExists`].
    pub async fn create(
        &self,
        name: &VaultName,
        tenant: TenantId,
        owner: PrincipalId,
        now: Timestamp,
    ) -> Result<Vault, VaultError> {
        let id = VaultId::random(&*self.entropy);
        let key = Key256::random(&*self.entropy);
        let vault = Vault {
            id,
            name: name.clone(),
            tenant,
            created: now,
            policies: vec![AccessPolicy { principal: owner, secrets: SecretPermissions::all_but_purge() }],
            key: crypt::envelope::seal_key(&self.root, &Vault::key_address(id), &key, &*self.entropy)?,
        };
        transact(&*self.store, &*self.entropy, |view| vaults::create(view, &vault)).await
    }

    /// All vaults, by name.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn list(&self) -> Result<Vec<Arc<Vault>>, VaultError> {
        let (prefix, mut after, mut vaults) = (Vault::prefix(), None, Vec::new());
        loop {
            let limit = NonZeroU16::new(LIST_MAX).unwrap_or(NonZeroU16::MIN);
            let page = list_records::<Vault>(&*self.store, &prefix, after.as_ref(), limit).await?;
            after = page.items.last().map(|(key, _)| key.clone());
            vaults.extend(page.items.into_iter().map(|(_, vault)| vault));
            if !page.more {
                return Ok(vaults);
            }
        }
    }

    /// One vault.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`].
    pub async fn show(&self, name: &VaultName) -> Result<Arc<Vault>, VaultError> {
        query(&*self.store, |view| vaults::find(view, name)).await
    }

    /// Sets what a principal may do with the secrets of a vault; nothing removes its policy.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`], [`VaultError::PrincipalNotFound`], [`VaultError::TooLarge`].
    pub async fn set_policy(
        &self,
        name: &VaultName,
        principal: PrincipalId,
        secrets: SecretPermissions,
    ) -> Result<Vault, VaultError> {
        transact(&*self.store, &*self.entropy, |view| vaults::set_policy(view, name, principal, secrets))
            .await
    }

    /// Reads the latest version of a secret, or the named one (Key Vault: Get Secret).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get(
        &self,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<Permitted<SecretWithValue>, VaultError> {
        let (permit, vault, found) = query(&*self.store, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = secrets::permitted::<GetSecret>(view, caller, &vault)?;
            let found = secrets::read(&permit, view, name, version)?;
            Ok((permit, vault, found))
        })
        .await?;
        let value = secrets::open(&permit, &*self.key(&vault)?, found)?;
        Ok(Permitted { value, because: permit.because() })
    }

    /// Adds a version to a secret, or makes it (Key Vault: Set Secret).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn set(
        &self,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        asked: SetSecret,
        now: Timestamp,
    ) -> Result<Permitted<SecretWithValue>, VaultError> {
        let version = ObjectVersion::random(&*self.entropy);
        // Sealed once, however often the decision runs: it draws randomness, and large values take their time.
        let mut sealed: Option<(VaultId, Sealed)> = None;
        let (properties, because) = transact(&*self.store, &*self.entropy, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = secrets::permitted::<SetAction>(view, caller, &vault)?;
            asked.check().map_err(store::Halt::Refuse)?;
            let sealed = match &sealed {
                Some((of, sealed)) if *of == vault.id => sealed.clone(),
                _ => {
                    let fresh =
                        self.seal(&vault, name, version, &asked.value).map_err(store::Halt::Refuse)?;
                    sealed.insert((vault.id, fresh)).1.clone()
                }
            };
            let decision = secrets::write(&permit, view, name, version, &asked, sealed, now)?;
            Ok(Decision::of((decision.value, permit.because()), decision.writes))
        })
        .await?;
        Ok(Permitted { value: SecretWithValue { properties, value: asked.value }, because })
    }

    /// Changes what is said of a version (Key Vault: Update Secret).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn update(
        &self,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        change: &SecretChange,
        now: Timestamp,
    ) -> Result<Permitted<SecretProperties>, VaultError> {
        let (value, because) = transact(&*self.store, &*self.entropy, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = secrets::permitted::<UpdateSecret>(view, caller, &vault)?;
            change.check().map_err(store::Halt::Refuse)?;
            let decision = secrets::update(&permit, view, name, version, change, now)?;
            Ok(Decision::of((decision.value, permit.because()), decision.writes))
        })
        .await?;
        Ok(Permitted { value, because })
    }

    /// A page of a vault's secrets, each with its latest version's properties (Key Vault: Get Secrets).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn list_secrets(
        &self,
        caller: &Caller,
        vault: &VaultName,
        request: &PageRequest,
    ) -> Result<Permitted<SecretPage>, VaultError> {
        let id = self.may_list(caller, vault).await?;
        let prefix = SecretHead::prefix(id);
        let after = request.after(&prefix)?;
        let page = list_records::<SecretHead>(&*self.store, &prefix, after.as_ref(), request.limit()).await?;
        let names: Vec<ObjectName> = page.items.iter().map(|(_, head)| head.name.clone()).collect();
        // A list is no snapshot: what is answered, and that it may be, is read together once more. So a removal that was acknowledged while
        // the page was being gathered is not outrun.
        let (items, because) = query(&*self.store, |view| {
            let vault = vaults::find_again(view, vault, id)?;
            let permit = secrets::permitted::<ListSecrets>(view, caller, &vault)?;
            Ok::<_, store::Halt<VaultError>>((secrets::latest(&permit, view, &names)?, permit.because()))
        })
        .await?;
        let last = page.items.last().filter(|_| page.more);
        let next = last.and_then(|(key, _)| page::token_after(&prefix, key));
        Ok(Permitted { value: SecretPage { items, next }, because })
    }

    /// A page of a secret's versions, in the order of their digits (Key Vault: Get Secret Versions).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn list_versions(
        &self,
        caller: &Caller,
        vault: &VaultName,
        name: &ObjectName,
        request: &PageRequest,
    ) -> Result<Permitted<SecretPage>, VaultError> {
        let id = self.may_list(caller, vault).await?;
        let prefix = SecretRecord::prefix(id, name);
        let after = request.after(&prefix)?;
        let page =
            list_records::<SecretRecord>(&*self.store, &prefix, after.as_ref(), request.limit()).await?;
        // As above: whether it may be answered is decided after it was gathered.
        let (spelled, because) = query(&*self.store, |view| {
            let vault = vaults::find_again(view, vault, id)?;
            let permit = secrets::permitted::<ListSecrets>(view, caller, &vault)?;
            Ok::<_, store::Halt<VaultError>>((secrets::spelled(&permit, view, name)?, permit.because()))
        })
        .await?;
        let last = page.items.last().filter(|_| page.more);
        let next = last.and_then(|(key, _)| page::token_after(&prefix, key));
        let items = page
            .items
            .into_iter()
            .map(|(_, record)| SecretProperties { name: spelled.clone(), record })
            .collect();
        Ok(Permitted { value: SecretPage { items, next }, because })
    }

    async fn may_list(&self, caller: &Caller, vault: &VaultName) -> Result<VaultId, VaultError> {
        query(&*self.store, |view| {
            let vault = vaults::find(view, vault)?;
            let _permit = secrets::permitted::<ListSecrets>(view, caller, &vault)?;
            Ok(vault.id)
        })
        .await
    }

    fn seal(
        &self,
        vault: &Vault,
        name: &ObjectName,
        version: ObjectVersion,
        value: &Secret<String>,
    ) -> Result<Sealed, VaultError> {
        let address = SecretRecord::address(&(vault.id, name.clone(), version));
        Ok(crypt::envelope::seal(&*self.key(vault)?, &address, value.expose().as_bytes(), &*self.entropy)?)
    }

    fn key(&self, vault: &Vault) -> Result<Arc<Key256>, VaultError> {
        if let Some(key) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&vault.id) {
            return Ok(key.clone());
        }
        let key = Arc::new(crypt::envelope::open_key(&self.root, &Vault::key_address(vault.id), &vault.key)?);
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(vault.id, key.clone());
        Ok(key)
    }
}

#[cfg(test)]
mod tests;
