//! Access policies that are added to those of a vault, put in their place, or taken away from them (Key Vault management,
//! `accessPolicies/{add|replace|remove}`).

use crate::{
    Vault, VaultError,
    vaults::{self, check_policies, find, fitting, operation},
};
use access::{AccessPolicy, Manager};
use domain::{StoragePermissions, VaultName};
use store::{Decision, Halt, View};

/// What becomes of those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyEdit {
    /// What is said may be done as well.
    Add,
    /// Whoever is named may do just what is said.
    Replace,
    /// What is said may no longer be done.
    Remove,
}

/// An access policy, with the verbs that are only told again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidPolicy {
    /// What counts.
    pub policy: AccessPolicy,
    /// On storage accounts.
    pub storage: StoragePermissions,
}

/// Edits the access policies of a vault. They may name who is not there.
pub(crate) fn edit(
    view: &View,
    by: Manager<'_>,
    name: &VaultName,
    how: PolicyEdit,
    said: &[SaidPolicy],
) -> Result<Decision<Vault>, Halt<VaultError>> {
    let vault = find(view, name)?;
    let _permit = vaults::may(view, by, operation::WRITE_POLICIES, &vault)?;
    let mut changed = Vault::clone(&vault);
    for SaidPolicy { policy: said, storage } in said {
        let at = changed.policies.iter().position(|policy| policy.principal == said.principal);
        let known = at.and_then(|at| changed.policies.get(at)).map(|policy| policy.permissions);
        let known_storage = changed.told.storage.get(&said.principal).copied().unwrap_or_default();
        let known = known.unwrap_or_default();
        let (permissions, storage) = match how {
            PolicyEdit::Add => (known.and(&said.permissions), known_storage.and(*storage)),
            PolicyEdit::Replace => (said.permissions, *storage),
            PolicyEdit::Remove => (known.but(&said.permissions), known_storage.but(*storage)),
        };
        match (at.and_then(|at| changed.policies.get_mut(at)), permissions.is_empty() && storage.is_empty()) {
            (_, true) => changed.policies.retain(|policy| policy.principal != said.principal),
            (Some(policy), false) => policy.permissions = permissions,
            (None, false) => changed.policies.push(AccessPolicy { principal: said.principal, permissions }),
        }
        changed.told.storage.remove(&said.principal);
        if !storage.is_empty() {
            changed.told.storage.insert(said.principal, storage);
        }
    }
    check_policies(&changed.policies).map_err(Halt::Refuse)?;
    let writes = if changed == *vault { Vec::new() } else { vec![fitting(&changed)?] };
    Ok(Decision::of(changed, writes))
}
