//! Operations on vaults themselves, their rules, and the question who may what. Each is done in somebody's name, who must be allowed to.

use super::VaultService;
use crate::{
    AccessModel, DeletedVault, NewVault, PolicyEdit, SaidPolicy, Told, Vault, VaultError, VaultSettings,
    edit,
    keys::operations,
    vaults::{self, operation},
};
use access::{ActionName, Lack, Manager, RoleAssignment, RoleAssignments, Rule, Unmanaged};
use crypt::Key256;
use domain::{
    AssignmentId, ObjectName, Permissions, Placement, PrincipalId, ResourceGroupName, Tags, Timestamp,
    VaultId, VaultName,
};
use std::sync::Arc;
use store::{Key, Record, all_records, query, transact};

impl VaultService {
    /// Makes a vault. Its owner, if it has one, may do everything with its objects but, where policies count, purge them; its policies are
    /// what `settings` says only where it has none.
    ///
    /// # Errors
    /// [`VaultError::Unmanaged`], [`VaultError::Group`], [`VaultError::VaultExists`], [`VaultError::VaultIsDeleted`],
    /// [`VaultError::SettingInvalid`].
    pub async fn create_vault(
        &self,
        by: Manager<'_>,
        new: NewVault<'_>,
        settings: &VaultSettings,
        now: Timestamp,
    ) -> Result<Vault, VaultError> {
        let NewVault { name, tenant, owner, group, location } = new;
        let id = VaultId::random(&*self.entropy);
        let key = Key256::random(&*self.entropy);
        let vault = Vault {
            id,
            name: name.clone(),
            tenant,
            created: now,
            placement: Placement { group, location, tags: Tags::default() },
            access: AccessModel::default(),
            policies: Vec::new(),
            network: access::NetworkRules::default(),
            recoverable_days: domain::limits::RECOVERABLE_DAYS,
            purge_protection: false,
            told: Told::default(),
            key: crypt::envelope::seal_key(&self.root, &Vault::key_address(id), &key, &*self.entropy)?,
        };
        let owner = owner.map(|owner| (owner, AssignmentId::random(&*self.entropy)));
        transact(&*self.store, &*self.entropy, |view| vaults::create(view, by, &vault, settings, owner)).await
    }

    /// Changes a vault's settings, access policies and tags, all at once. `owner`, if there is one, keeps a way in where roles begin to
    /// count.
    ///
    /// # Errors
    /// [`VaultError::Unmanaged`], [`VaultError::VaultNotFound`], [`VaultError::Immutable`], [`VaultError::SettingInvalid`].
    pub async fn change_vault(
        &self,
        by: Manager<'_>,
        name: &VaultName,
        settings: &VaultSettings,
        owner: Option<PrincipalId>,
        now: Timestamp,
    ) -> Result<Vault, VaultError> {
        self.change_vault_as_it_is(by, name, &|_| settings.clone(), owner, now).await
    }

    /// The same with settings that depend on the vault as it is in the very view that it is changed in.
    ///
    /// # Errors
    /// As [`VaultService::change_vault`].
    pub async fn change_vault_as_it_is(
        &self,
        by: Manager<'_>,
        name: &VaultName,
        settings: &(dyn Fn(&Vault) -> VaultSettings + Sync),
        owner: Option<PrincipalId>,
        now: Timestamp,
    ) -> Result<Vault, VaultError> {
        let assignment = AssignmentId::random(&*self.entropy);
        transact(&*self.store, &*self.entropy, |view| {
            vaults::change(view, by, name, settings, owner, (assignment, now))
        })
        .await
    }

    /// All vaults that who asks may see, by name.
    ///
    /// # Errors
    /// [`VaultError::Unmanaged`], if who asks is nobody any more; [`VaultError::Store`].
    pub async fn list_vaults(&self, by: Manager<'_>) -> Result<Vec<Arc<Vault>>, VaultError> {
        let mut seen = Vec::new();
        for (_, vault) in self.all::<Vault>(&Vault::prefix()).await? {
            if self.sees(by, operation::READ, &vault).await? {
                seen.push(vault);
            }
        }
        Ok(seen)
    }

    /// All deleted vaults that who asks may see, by name.
    ///
    /// # Errors
    /// As [`VaultService::list_vaults`].
    pub async fn list_deleted_vaults(&self, by: Manager<'_>) -> Result<Vec<Arc<DeletedVault>>, VaultError> {
        let mut seen = Vec::new();
        for (_, deleted) in self.all::<DeletedVault>(&DeletedVault::prefix()).await? {
            if self.sees(by, operation::READ_DELETED, &deleted.vault).await? {
                seen.push(deleted);
            }
        }
        Ok(seen)
    }

    async fn sees(
        &self,
        by: Manager<'_>,
        operation: &'static str,
        vault: &Vault,
    ) -> Result<bool, VaultError> {
        if matches!(by, Manager::Administrator) {
            return Ok(true);
        }
        match query(&*self.store, |view| vaults::may(view, by, operation, vault).map(drop)).await {
            Ok(()) => Ok(true),
            Err(VaultError::Unmanaged(Unmanaged::NoRole(_))) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn all<R: Record>(&self, prefix: &Key) -> Result<Vec<(Key, Arc<R>)>, VaultError> {
        Ok(all_records(&*self.store, prefix).await?)
    }

    /// One vault.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`], [`VaultError::Unmanaged`].
    pub async fn show_vault(&self, by: Manager<'_>, name: &VaultName) -> Result<Arc<Vault>, VaultError> {
        query(&*self.store, |view| {
            let vault = vaults::find(view, name)?;
            let _permit = vaults::may(view, by, operation::READ, &vault)?;
            Ok(vault)
        })
        .await
    }

    /// One vault of a group, if who asks may do this with it, and why they may. Where there is none, who may not do it in the group is told
    /// no more than that.
    ///
    /// # Errors
    /// [`VaultError::Unmanaged`], [`VaultError::VaultNotFound`].
    pub async fn vault_in(
        &self,
        by: Manager<'_>,
        operation: &'static str,
        group: &ResourceGroupName,
        name: &VaultName,
    ) -> Result<(Arc<Vault>, String), VaultError> {
        query(&*self.store, |view| {
            let (vault, permit) = vaults::find_in(view, by, operation, group, name)?;
            Ok((vault, permit.because()))
        })
        .await
    }

    /// Whether a name is free for a vault.
    ///
    /// # Errors
    /// [`VaultError::Unmanaged`]; [`VaultError::VaultExists`] and [`VaultError::VaultIsDeleted`]: it is not.
    pub async fn check_vault_name(&self, by: Manager<'_>, name: &VaultName) -> Result<(), VaultError> {
        query(&*self.store, |view| vaults::check_name(view, by, name)).await
    }

    /// One deleted vault.
    ///
    /// # Errors
    /// [`VaultError::DeletedVaultNotFound`], [`VaultError::Unmanaged`].
    pub async fn show_deleted_vault(
        &self,
        by: Manager<'_>,
        name: &VaultName,
    ) -> Result<Arc<DeletedVault>, VaultError> {
        query(&*self.store, |view| vaults::show_deleted(view, by, name)).await
    }

    /// Deletes a vault with all that is in it, recoverably. From then on nothing in it is served.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`], [`VaultError::Unmanaged`].
    pub async fn delete_vault(
        &self,
        by: Manager<'_>,
        name: &VaultName,
        now: Timestamp,
    ) -> Result<DeletedVault, VaultError> {
        transact(&*self.store, &*self.entropy, |view| vaults::delete(view, by, name, now)).await
    }

    /// Brings a deleted vault back with all that was in it.
    ///
    /// # Errors
    /// [`VaultError::DeletedVaultNotFound`], [`VaultError::Unmanaged`], [`VaultError::Group`].
    pub async fn recover_vault(&self, by: Manager<'_>, name: &VaultName) -> Result<Vault, VaultError> {
        transact(&*self.store, &*self.entropy, |view| vaults::recover(view, by, name)).await
    }

    /// Deletes a deleted vault for good.
    ///
    /// # Errors
    /// [`VaultError::Unmanaged`], [`VaultError::DeletedVaultNotFound`], [`VaultError::PurgeProtected`].
    pub async fn purge_vault(
        &self,
        by: Manager<'_>,
        name: &VaultName,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let purged =
            transact(&*self.store, &*self.entropy, |view| vaults::purge(view, by, name, now)).await?;
        self.forget_key(purged);
        self.sweep_soon(now).await;
        Ok(())
    }

    /// Sets what a principal may do in a vault; nothing removes its policy.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`], [`VaultError::Unmanaged`], [`VaultError::PrincipalNotFound`], [`VaultError::TooLarge`],
    /// [`VaultError::OtherAccessModel`].
    pub async fn set_policy(
        &self,
        by: Manager<'_>,
        name: &VaultName,
        principal: PrincipalId,
        permissions: Permissions,
    ) -> Result<Vault, VaultError> {
        transact(&*self.store, &*self.entropy, |view| {
            vaults::set_policy(view, by, name, principal, permissions)
        })
        .await
    }

    /// Edits the access policies of several at once.
    ///
    /// # Errors
    /// [`VaultError::VaultNotFound`], [`VaultError::Unmanaged`], [`VaultError::TooLarge`].
    pub async fn edit_policies(
        &self,
        by: Manager<'_>,
        name: &VaultName,
        how: PolicyEdit,
        said: &[SaidPolicy],
    ) -> Result<Vault, VaultError> {
        transact(&*self.store, &*self.entropy, |view| edit::edit(view, by, name, how, said)).await
    }

    /// All role assignments in a vault that may be deleted, with whose they are. For the administrator.
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
