//! Operations on vaults themselves, their rules, and the question who may what. For the administrator.

use super::VaultService;
use crate::{AccessModel, DeletedVault, Vault, VaultError, VaultSettings, keys::operations, vaults};
use access::{ActionName, Lack, ObjectScope, RoleAssignment, RoleAssignments, RoleRef, Rule};
use crypt::Key256;
use domain::{AssignmentId, ObjectName, Permissions, PrincipalId, TenantId, Timestamp, VaultId, VaultName};
use std::{num::NonZeroU16, sync::Arc};
use store::{Key, Record, contract::LIST_MAX, list_records, query, transact};

impl VaultService {
    /// Makes a vault. `owner` may do everything with its objects but, where policies count, purge them.
    ///
    /// # Errors
    /// [`VaultError::VaultExists`], [`VaultError::VaultIsDeleted`], [`VaultError::SettingInvalid`].
    pub async fn create_vault(
        &self,
        name: &VaultName,
        tenant: TenantId,
        owner: PrincipalId,
        settings: &VaultSettings,
        now: Timestamp,
    ) -> Result<Vault, VaultError> {
        let id = VaultId::random(&*self.entropy);
        let key = Key256::random(&*self.entropy);
        let mut vault = Vault {
            id,
            name: name.clone(),
            tenant,
            created: now,
            placement: domain::Placement::default(),
            access: AccessModel::default(),
            policies: Vec::new(),
            network: access::NetworkRules::default(),
            recoverable_days: domain::limits::RECOVERABLE_DAYS,
            purge_protection: false,
            key: crypt::envelope::seal_key(&self.root, &Vault::key_address(id), &key, &*self.entropy)?,
        };
        settings.apply(&mut vault, true)?;
        let assignment = AssignmentId::random(&*self.entropy);
        transact(&*self.store, &*self.entropy, |view| vaults::create(view, &vault, owner, assignment)).await
    }

    /// Changes a vault's settings. `owner` keeps a way in where roles begin to count.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`], [`VaultError::Immutable`], [`VaultError::SettingInvalid`].
    pub async fn change_vault(
        &self,
        name: &VaultName,
        settings: &VaultSettings,
        owner: PrincipalId,
        now: Timestamp,
    ) -> Result<Vault, VaultError> {
        let assignment = AssignmentId::random(&*self.entropy);
        transact(&*self.store, &*self.entropy, |view| {
            vaults::change(view, name, settings, owner, assignment, now)
        })
        .await
    }

    /// All vaults, by name.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn list_vaults(&self) -> Result<Vec<Arc<Vault>>, VaultError> {
        Ok(self.all::<Vault>(&Vault::prefix()).await?.into_iter().map(|(_, vault)| vault).collect())
    }

    /// All deleted vaults, by name.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn list_deleted_vaults(&self) -> Result<Vec<Arc<DeletedVault>>, VaultError> {
        let all = self.all::<DeletedVault>(&DeletedVault::prefix()).await?;
        Ok(all.into_iter().map(|(_, vault)| vault).collect())
    }

    pub(super) async fn all<R: Record>(&self, prefix: &Key) -> Result<Vec<(Key, Arc<R>)>, VaultError> {
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let limit = NonZeroU16::new(LIST_MAX).unwrap_or(NonZeroU16::MIN);
            let page = list_records::<R>(&*self.store, prefix, after.as_ref(), limit).await?;
            after = page.items.last().map(|(key, _)| key.clone());
            all.extend(page.items);
            if !page.more {
                return Ok(all);
            }
        }
    }

    /// One vault.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`].
    pub async fn show_vault(&self, name: &VaultName) -> Result<Arc<Vault>, VaultError> {
        query(&*self.store, |view| vaults::find(view, name)).await
    }

    /// One deleted vault.
    ///
    /// # Errors
    /// [`VaultError::DeletedVaultNotFound`].
    pub async fn show_deleted_vault(&self, name: &VaultName) -> Result<Arc<DeletedVault>, VaultError> {
        query(&*self.store, |view| vaults::show_deleted(view, name)).await
    }

    /// Deletes a vault with all that is in it, recoverably. From then on nothing in it is served.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`].
    pub async fn delete_vault(&self, name: &VaultName, now: Timestamp) -> Result<DeletedVault, VaultError> {
        transact(&*self.store, &*self.entropy, |view| vaults::delete(view, name, now)).await
    }

    /// Brings a deleted vault back with all that was in it.
    ///
    /// # Errors
    /// [`VaultError::DeletedVaultNotFound`].
    pub async fn recover_vault(&self, name: &VaultName) -> Result<Vault, VaultError> {
        transact(&*self.store, &*self.entropy, |view| vaults::recover(view, name)).await
    }

    /// Deletes a deleted vault for good.
    ///
    /// # Errors
    /// [`VaultError::DeletedVaultNotFound`], [`VaultError::PurgeProtected`].
    pub async fn purge_vault(&self, name: &VaultName, now: Timestamp) -> Result<(), VaultError> {
        let purged = transact(&*self.store, &*self.entropy, |view| vaults::purge(view, name, now)).await?;
        self.forget_key(purged);
        self.sweep_soon(now).await;
        Ok(())
    }

    /// Sets what a principal may do in a vault; nothing removes its policy.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`], [`VaultError::PrincipalNotFound`], [`VaultError::TooLarge`],
    /// [`VaultError::OtherAccessModel`].
    pub async fn set_policy(
        &self,
        name: &VaultName,
        principal: PrincipalId,
        permissions: Permissions,
    ) -> Result<Vault, VaultError> {
        transact(&*self.store, &*self.entropy, |view| vaults::set_policy(view, name, principal, permissions))
            .await
    }

    /// Gives a role to a principal, for a vault or one object of it.
    ///
    /// # Errors
    /// As [`VaultService::set_policy`].
    pub async fn assign_role(
        &self,
        name: &VaultName,
        principal: PrincipalId,
        role: RoleRef,
        object: Option<ObjectScope>,
        now: Timestamp,
    ) -> Result<RoleAssignment, VaultError> {
        let id = AssignmentId::random(&*self.entropy);
        let assignment = RoleAssignment { id, role, object, created: now };
        transact(&*self.store, &*self.entropy, |view| vaults::assign_role(view, name, principal, &assignment))
            .await
    }

    /// Takes a role from a principal.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`], [`VaultError::AssignmentNotFound`].
    pub async fn remove_role(
        &self,
        name: &VaultName,
        principal: PrincipalId,
        assignment: AssignmentId,
    ) -> Result<RoleAssignment, VaultError> {
        transact(&*self.store, &*self.entropy, |view| vaults::remove_role(view, name, principal, assignment))
            .await
    }

    /// All role assignments in a vault, with whose they are.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`].
    pub async fn list_roles(
        &self,
        name: &VaultName,
    ) -> Result<Vec<(PrincipalId, RoleAssignment)>, VaultError> {
        self.roles_in(self.show_vault(name).await?.id).await
    }

    /// All role assignments in a vault that may be deleted, with whose they are.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn roles_in(&self, vault: VaultId) -> Result<Vec<(PrincipalId, RoleAssignment)>, VaultError> {
        let prefix = RoleAssignments::prefix(vault);
        let mut all = Vec::new();
        for (key, assignments) in self.all::<RoleAssignments>(&prefix).await? {
            let principal =
                key.as_bytes().strip_prefix(prefix.as_bytes()).and_then(|id| std::str::from_utf8(id).ok());
            let Some(principal) = principal.and_then(|id| id.parse().ok()) else { continue };
            all.extend(assignments.assignments.iter().map(|assignment| (principal, assignment.clone())));
        }
        Ok(all)
    }

    /// By which rule a principal may do each of these in a vault, with this object of it, or why not. The decision is that of requests,
    /// but for network rules: nobody is asking.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`].
    pub async fn explain(
        &self,
        name: &VaultName,
        principal: PrincipalId,
        object: Option<&ObjectName>,
        actions: &[ActionName],
    ) -> Result<Vec<(ActionName, Result<Rule, Lack>)>, VaultError> {
        query(&*self.store, |view| {
            let vault = vaults::find(view, name)?;
            let explained = actions.iter().map(|action| {
                let decided = access::decide(view, principal, None, action, &vault.scope(), object)?;
                let Err(lack) = &decided else { return Ok((*action, decided)) };
                let Some(seeing) = access::by_seeing(action, lack) else { return Ok((*action, decided)) };
                if operations::is_symmetric(view, vault.id, object)? {
                    return Ok((*action, decided));
                }
                let seen = access::decide(view, principal, None, &seeing, &vault.scope(), object)?;
                Ok((*action, seen.or(decided)))
            });
            explained.collect::<Result<_, store::Halt<VaultError>>>()
        })
        .await
    }
}
