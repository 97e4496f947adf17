//! Decisions about vaults themselves. Each asks, in the view that it decides in, whether who asks may.

use crate::{
    AccessModel, DeletedVault, Vault, VaultError,
    garbage::Garbage,
    schedule::{Due, Task},
    told::Told,
};
use access::{
    AccessPolicy, Around, ManagePermit, Manager, NetworkRules, RoleAssignment, RoleAssignments, RoleRef,
    is_subject, may_hold,
};
use domain::{
    AssignmentId, Location, Permissions, PrincipalId, ResourceGroupName, Tags, TenantId, Timestamp, VaultId,
    VaultName, limits,
};
use std::{collections::BTreeSet, sync::Arc};
use store::{Decision, Halt, View, Write, contract::VALUE_BYTES_MAX, delete as unwrite, put, refuse};

/// Operations of the resource manager on vaults.
pub mod operation {
    /// To make one, to change it, to bring it back.
    pub const WRITE: &str = "Microsoft.KeyVault/vaults/write";
    /// To see one.
    pub const READ: &str = "Microsoft.KeyVault/vaults/read";
    /// To delete one, recoverably.
    pub const DELETE: &str = "Microsoft.KeyVault/vaults/delete";
    /// To change its access policies.
    pub const WRITE_POLICIES: &str = "Microsoft.KeyVault/vaults/accessPolicies/write";
    /// To see those that are deleted.
    pub const READ_DELETED: &str = "Microsoft.KeyVault/deletedVaults/read";
    /// To see one that is deleted.
    pub const READ_ONE_DELETED: &str = "Microsoft.KeyVault/locations/deletedVaults/read";
    /// To delete a deleted one for good.
    pub const PURGE: &str = "Microsoft.KeyVault/locations/deletedVaults/purge/action";
    /// To ask whether a name is free.
    pub const CHECK_NAME: &str = "Microsoft.KeyVault/checkNameAvailability/read";
    /// To give a role.
    pub const ASSIGN: &str = "Microsoft.Authorization/roleAssignments/write";
}

/// A vault that is to be made, but for its settings.
#[derive(Clone, Debug)]
pub struct NewVault<'a> {
    /// Its name.
    pub name: &'a VaultName,
    /// Whose directory it trusts.
    pub tenant: TenantId,
    /// Who may do everything in it: but purge by a policy, all by a role. `None`: nobody but whom its settings say.
    pub owner: Option<PrincipalId>,
    /// The resource group that it is to be in.
    pub group: ResourceGroupName,
    /// Where it is to be said to be.
    pub location: Location,
}

impl<'a> NewVault<'a> {
    /// As the administrator makes it without saying where.
    pub fn owned(name: &'a VaultName, tenant: TenantId, owner: PrincipalId) -> Self {
        let (group, location) = (ResourceGroupName::default(), Location::default());
        Self { name, tenant, owner: Some(owner), group, location }
    }
}

/// How a vault is to be. What is not said is as it was, or for a new vault the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaultSettings {
    /// Which model of access counts.
    pub access: Option<AccessModel>,
    /// From where it may be asked.
    pub network: Option<NetworkRules>,
    /// [`limits::RECOVERABLE_DAYS_MIN`] to [`limits::RECOVERABLE_DAYS`]; only of a new vault.
    pub recoverable_days: Option<u16>,
    /// Once it is on it stays on.
    pub purge_protection: Option<bool>,
    /// All its access policies, at most one for each principal and group. They may name who is not there: they allow nobody then.
    pub policies: Option<Vec<AccessPolicy>>,
    /// All that people wrote on it.
    pub tags: Option<Tags>,
    /// What has no effect here.
    pub told: Option<Told>,
}

impl VaultSettings {
    pub(crate) fn apply(&self, vault: &mut Vault, is_new: bool) -> Result<(), VaultError> {
        if let Some(days) = self.recoverable_days {
            if !(limits::RECOVERABLE_DAYS_MIN..=limits::RECOVERABLE_DAYS).contains(&days) {
                let (what, rule) = ("the retention", "must be from 7 to 90 days");
                return Err(VaultError::SettingInvalid { what, rule });
            }
            if !is_new && days != vault.recoverable_days {
                let what = "the retention";
                return Err(VaultError::Immutable { what, vault: vault.name.clone() });
            }
            vault.recoverable_days = days;
        }
        match self.purge_protection {
            Some(false) if vault.purge_protection => {
                return Err(VaultError::Immutable {
                    what: "the purge protection",
                    vault: vault.name.clone(),
                });
            }
            Some(protection) => vault.purge_protection = protection,
            None => {}
        }
        if let Some(network) = &self.network {
            if network.only_from.as_ref().is_some_and(|ranges| ranges.len() > limits::IP_RANGES_MAX) {
                let (what, limit) = ("the number of address ranges", limits::IP_RANGES_MAX);
                return Err(VaultError::TooLarge { what, limit });
            }
            vault.network.clone_from(network);
            // It says anew from where the vault may be asked.
            vault.told.forget_network();
        }
        if let Some(told) = &self.told {
            if told.ip_ranges.len() > limits::IP_RANGES_MAX {
                let (what, limit) = ("the number of address ranges", limits::IP_RANGES_MAX);
                return Err(VaultError::TooLarge { what, limit });
            }
            vault.told.clone_from(told);
        }
        if let Some(tags) = &self.tags {
            vault.placement.tags.clone_from(tags);
        }
        if let Some(policies) = &self.policies {
            check_policies(policies)?;
            vault.policies.clone_from(policies);
        }
        vault.forget_storage();
        if let Some(access) = self.access {
            vault.access = access;
        }
        Ok(())
    }
}

/// May these be the access policies of one vault?
pub(crate) fn check_policies(policies: &[AccessPolicy]) -> Result<(), VaultError> {
    if policies.len() > limits::ACCESS_POLICIES_MAX {
        let limit = limits::ACCESS_POLICIES_MAX;
        return Err(VaultError::TooLarge { what: "the number of access policies", limit });
    }
    let principals: BTreeSet<_> = policies.iter().map(|policy| policy.principal).collect();
    if principals.len() < policies.len() {
        let (what, rule) = ("the access policies", "must have at most one for each principal and group");
        return Err(VaultError::SettingInvalid { what, rule });
    }
    Ok(())
}

/// Asks for a permit to do something with a vault.
pub(crate) fn may(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    vault: &Vault,
) -> Result<ManagePermit, Halt<VaultError>> {
    may_around(view, by, operation, &Around::vault(vault.id, &vault.placement.group))
}

/// Asks for a permit.
pub(crate) fn may_around(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    around: &Around<'_>,
) -> Result<ManagePermit, Halt<VaultError>> {
    by.may(view, operation, around).map_err(|halt| halt.map(VaultError::Unmanaged))
}

/// Is a name free for a vault, if who asks may know?
pub(crate) fn check_name(view: &View, by: Manager<'_>, name: &VaultName) -> Result<(), Halt<VaultError>> {
    let _permit = may_around(view, by, operation::CHECK_NAME, &Around::subscription())?;
    is_free(view, name)
}

fn is_free(view: &View, name: &VaultName) -> Result<(), Halt<VaultError>> {
    if view.get::<Vault>(name)?.is_some() {
        return refuse(VaultError::VaultExists { name: name.clone() });
    }
    if view.get::<DeletedVault>(name)?.is_some() {
        return refuse(VaultError::VaultIsDeleted { name: name.clone() });
    }
    Ok(())
}

/// May something be in the group of this vault?
fn held(view: &View, vault: &Vault) -> Result<(), Halt<VaultError>> {
    may_hold(view, &vault.placement.group)?.map_err(|fault| Halt::Refuse(fault.into()))
}

/// A vault of a group, if who asks may do this with it, and why. Who may do nothing in the group is not told what is there.
pub(crate) fn find_in(
    view: &View,
    by: Manager<'_>,
    operation: &'static str,
    group: &ResourceGroupName,
    name: &VaultName,
) -> Result<(Arc<Vault>, ManagePermit), Halt<VaultError>> {
    match view.get::<Vault>(name)?.filter(|vault| vault.placement.group == *group) {
        Some(vault) => {
            let permit = may(view, by, operation, &vault)?;
            Ok((vault, permit))
        }
        None => {
            let _permit = may_around(view, by, operation, &Around::group(group))?;
            refuse(VaultError::VaultNotFound { name: name.clone() })
        }
    }
}

/// Makes a vault with these settings if its name is free. Its owner may do everything: but purge by a policy, all by a role that is assigned.
pub(crate) fn create(
    view: &View,
    by: Manager<'_>,
    vault: &Vault,
    settings: &VaultSettings,
    owner: Option<(PrincipalId, AssignmentId)>,
) -> Result<Decision<Vault>, Halt<VaultError>> {
    let _permit = may_around(view, by, operation::WRITE, &Around::group(&vault.placement.group))?;
    let mut vault = vault.clone();
    // What it may not be is told only to who may make one.
    settings.apply(&mut vault, true).map_err(Halt::Refuse)?;
    held(view, &vault)?;
    is_free(view, &vault.name)?;
    let Some((owner, assignment)) = owner else {
        let write = fitting(&vault)?;
        return Ok(Decision::of(vault, vec![write]));
    };
    vault.policies = vec![AccessPolicy { principal: owner, permissions: Permissions::all_but_purge() }];
    let mut writes = vec![fitting(&vault)?];
    if vault.access == AccessModel::Roles {
        let administrator = assigned(assignment, ADMINISTRATOR, vault.created)?;
        let all = RoleAssignments { assignments: vec![administrator] };
        writes.push(put::<RoleAssignments>(&(vault.id, owner), &all));
    }
    Ok(Decision::of(vault, writes))
}

const ADMINISTRATOR: &str = "Key Vault Administrator";

fn assigned(id: AssignmentId, role: &str, created: Timestamp) -> Result<RoleAssignment, Halt<VaultError>> {
    match role.parse() {
        Ok(role) => Ok(RoleAssignment { id, role, object: None, created }),
        Err(_) => refuse(VaultError::SettingInvalid { what: "role", rule: "must be a built-in one" }),
    }
}

/// Changes a vault's settings, all in one write. Who turns to roles keeps the door open for the owner, if there is one.
pub(crate) fn change(
    view: &View,
    by: Manager<'_>,
    name: &VaultName,
    settings: &(dyn Fn(&Vault) -> VaultSettings + Sync),
    owner: Option<PrincipalId>,
    (assignment, now): (AssignmentId, Timestamp),
) -> Result<Decision<Vault>, Halt<VaultError>> {
    let vault = find(view, name)?;
    let _permit = may(view, by, operation::WRITE, &vault)?;
    let mut changed = Vault::clone(&vault);
    settings(&vault).apply(&mut changed, false).map_err(Halt::Refuse)?;
    if changed.access != vault.access {
        may_turn(view, by, &vault)?;
    }
    let mut writes = Vec::new();
    if changed != *vault {
        writes.push(fitting(&changed)?);
    }
    if let Some(owner) = owner
        && changed.access == AccessModel::Roles
        && vault.access != AccessModel::Roles
    {
        let id = (vault.id, owner);
        let mut all =
            view.get::<RoleAssignments>(&id)?.map_or_else(RoleAssignments::default, |all| (*all).clone());
        if all.assignments.is_empty() {
            all.assignments.push(assigned(assignment, ADMINISTRATOR, now)?);
            writes.push(put::<RoleAssignments>(&id, &all));
        }
    }
    Ok(Decision::of(changed, writes))
}

/// May who asks change which model of access counts in a vault? Only who may give any role there: else who writes policies could go around
/// the roles (Key Vault: "changing the permission model requires unrestricted roleAssignments/write").
fn may_turn(view: &View, by: Manager<'_>, vault: &Vault) -> Result<(), Halt<VaultError>> {
    let permit = may(view, by, operation::ASSIGN, vault)?;
    let any = "Owner".parse::<RoleRef>();
    match any {
        Ok(any) if permit.may_assign(any) => Ok(()),
        _ => refuse(VaultError::Unmanaged(access::Unmanaged::NoRole(operation::ASSIGN))),
    }
}

/// Sets what a principal or a group may do; nothing removes its policy.
pub(crate) fn set_policy(
    view: &View,
    by: Manager<'_>,
    name: &VaultName,
    principal: PrincipalId,
    permissions: Permissions,
) -> Result<Decision<Vault>, Halt<VaultError>> {
    let vault = find(view, name)?;
    let _permit = may(view, by, operation::WRITE_POLICIES, &vault)?;
    if vault.access != AccessModel::Policies {
        return refuse(VaultError::OtherAccessModel { vault: vault.name.clone(), counts: vault.access });
    }
    let mut changed = Vault::clone(&vault);
    if permissions.is_empty() {
        // Also of a principal that is gone: its policy may stand here still.
        changed.policies.retain(|policy| policy.principal != principal);
    } else {
        if !is_subject(view, principal)? {
            return refuse(VaultError::PrincipalNotFound { id: principal });
        }
        match changed.policies.iter_mut().find(|policy| policy.principal == principal) {
            Some(policy) => policy.permissions = permissions,
            None => changed.policies.push(AccessPolicy { principal, permissions }),
        }
        check_policies(&changed.policies).map_err(Halt::Refuse)?;
    }
    changed.forget_storage();
    let writes = if changed == *vault { Vec::new() } else { vec![fitting(&changed)?] };
    Ok(Decision::of(changed, writes))
}

/// Room in a vault's record for what its deletion adds to it.
const DELETION_BYTES: usize = 512;

/// The write of a vault, if a store can keep it, also once it is deleted. A hundred policies that allow everything take more room than
/// the most that allow a little: that is the administrator's to know, not a failure of ours.
pub(crate) fn fitting(vault: &Vault) -> Result<Write, Halt<VaultError>> {
    const LIMIT: usize = VALUE_BYTES_MAX - DELETION_BYTES;
    let write = put::<Vault>(&vault.name, vault);
    match write.value_bytes() <= LIMIT {
        true => Ok(write),
        false => refuse(VaultError::TooLarge {
            what: "the size of a vault with its policies and network rules, as it is stored, in bytes",
            limit: LIMIT,
        }),
    }
}

/// Deletes a vault with all that is in it, recoverably.
pub(crate) fn delete(
    view: &View,
    by: Manager<'_>,
    name: &VaultName,
    now: Timestamp,
) -> Result<Decision<DeletedVault>, Halt<VaultError>> {
    let vault = find(view, name)?;
    let _permit = may(view, by, operation::DELETE, &vault)?;
    let deleted = DeletedVault { vault: Vault::clone(&vault), deleted: now, purge_at: vault.purge_at(now) };
    let due = due(&deleted);
    let writes = vec![unwrite::<Vault>(name), put::<DeletedVault>(name, &deleted), due.put()];
    Ok(Decision::of(deleted, writes))
}

fn find_deleted(view: &View, name: &VaultName) -> Result<Arc<DeletedVault>, Halt<VaultError>> {
    match view.get::<DeletedVault>(name)? {
        Some(deleted) => Ok(deleted),
        None => refuse(VaultError::DeletedVaultNotFound { name: name.clone() }),
    }
}

/// A deleted vault.
pub(crate) fn show_deleted(
    view: &View,
    by: Manager<'_>,
    name: &VaultName,
) -> Result<Arc<DeletedVault>, Halt<VaultError>> {
    let deleted = find_deleted(view, name)?;
    let _permit = may(view, by, operation::READ_ONE_DELETED, &deleted.vault)?;
    Ok(deleted)
}

/// Brings a deleted vault back, if its group is there.
pub(crate) fn recover(
    view: &View,
    by: Manager<'_>,
    name: &VaultName,
) -> Result<Decision<Vault>, Halt<VaultError>> {
    let deleted = find_deleted(view, name)?;
    let _permit = may(view, by, operation::WRITE, &deleted.vault)?;
    held(view, &deleted.vault)?;
    let due = due(&deleted);
    let writes = vec![unwrite::<DeletedVault>(name), put::<Vault>(name, &deleted.vault), due.unput()];
    Ok(Decision::of(deleted.vault.clone(), writes))
}

/// Deletes a deleted vault for good.
pub(crate) fn purge(
    view: &View,
    by: Manager<'_>,
    name: &VaultName,
    now: Timestamp,
) -> Result<Decision<VaultId>, Halt<VaultError>> {
    let _permit = may_around(view, by, operation::PURGE, &Around::subscription())?;
    let deleted = find_deleted(view, name)?;
    if deleted.vault.purge_protection {
        return refuse(VaultError::PurgeProtected { vault: deleted.vault.name.clone() });
    }
    let due = due(&deleted);
    let garbage = Garbage::of_vault(deleted.vault.id, now);
    let writes = vec![unwrite::<DeletedVault>(name), garbage.put(), due.unput()];
    Ok(Decision::of(deleted.vault.id, writes))
}

/// The same since its time has come. Nothing, if it was recovered or purged since.
pub(crate) fn purge_when_due(
    view: &View,
    due: &Due,
    now: Timestamp,
) -> Result<Decision<bool>, Halt<VaultError>> {
    match view.get::<DeletedVault>(&due.vault)? {
        Some(deleted) if deleted.vault.id == due.vault_id && deleted.purge_at <= now => {
            let garbage = Garbage::of_vault(deleted.vault.id, now);
            Ok(Decision::of(true, vec![unwrite::<DeletedVault>(&due.vault), garbage.put(), due.unput()]))
        }
        _ => Ok(Decision::of(false, vec![due.unput()])),
    }
}

fn due(deleted: &DeletedVault) -> Due {
    let vault = &deleted.vault;
    Due { at: deleted.purge_at, vault: vault.name.clone(), vault_id: vault.id, task: Task::PurgeVault }
}

/// The vault of a name, if it is still the one that was found under it before. If not, that one is gone, and so is what was read of it.
pub(crate) fn find_again(view: &View, name: &VaultName, id: VaultId) -> Result<Arc<Vault>, Halt<VaultError>> {
    match find(view, name)? {
        vault if vault.id == id => Ok(vault),
        _ => refuse(VaultError::VaultNotFound { name: name.clone() }),
    }
}

/// The vault of a name, if it is still this one, and whether it is deleted.
pub(crate) fn find_or_deleted(
    view: &View,
    name: &VaultName,
    id: VaultId,
) -> Result<Option<(Arc<Vault>, bool)>, Halt<VaultError>> {
    if let Some(vault) = view.get::<Vault>(name)? {
        return Ok(Some((vault, false)).filter(|(vault, _)| vault.id == id));
    }
    let deleted = view.get::<DeletedVault>(name)?.filter(|deleted| deleted.vault.id == id);
    Ok(deleted.map(|deleted| (Arc::new(deleted.vault.clone()), true)))
}

/// The vault of a name.
pub(crate) fn find(view: &View, name: &VaultName) -> Result<Arc<Vault>, Halt<VaultError>> {
    match view.get::<Vault>(name)? {
        Some(vault) => Ok(vault),
        None => refuse(VaultError::VaultNotFound { name: name.clone() }),
    }
}
