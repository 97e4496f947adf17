//! Decisions about vaults themselves.

use crate::{Vault, VaultError};
use access::{AccessPolicy, Principal};
use domain::{PrincipalId, SecretPermissions, VaultId, VaultName, limits};
use store::{Decision, Halt, View, put, refuse};

/// Makes a vault if its name is free. Its maker may do everything but purge.
pub(crate) fn create(view: &View, vault: &Vault) -> Result<Decision<Vault>, Halt<VaultError>> {
    if view.get::<Vault>(&vault.name)?.is_some() {
        return refuse(VaultError::VaultExists { name: vault.name.clone() });
    }
    Ok(Decision::of(vault.clone(), vec![put::<Vault>(&vault.name, vault)]))
}

/// Sets what a principal may do with secrets; nothing removes its policy.
pub(crate) fn set_policy(
    view: &View,
    name: &VaultName,
    principal: PrincipalId,
    secrets: SecretPermissions,
) -> Result<Decision<Vault>, Halt<VaultError>> {
    let vault = find(view, name)?;
    let mut changed = Vault::clone(&vault);
    if secrets.is_empty() {
        // Also of a principal that is gone: its policy may stand here still.
        changed.policies.retain(|policy| policy.principal != principal);
    } else {
        if view.get::<Principal>(&principal)?.is_none() {
            return refuse(VaultError::PrincipalNotFound { id: principal });
        }
        match changed.policies.iter_mut().find(|policy| policy.principal == principal) {
            Some(policy) => policy.secrets = secrets,
            None => changed.policies.push(AccessPolicy { principal, secrets }),
        }
        if changed.policies.len() > limits::ACCESS_POLICIES_MAX {
            let limit = limits::ACCESS_POLICIES_MAX;
            return refuse(VaultError::TooLarge { what: "the number of access policies", limit });
        }
    }
    let writes = if changed == *vault { Vec::new() } else { vec![put::<Vault>(name, &changed)] };
    Ok(Decision::of(changed, writes))
}

/// The vault of a name, if it is still the one that was found under it before. If not, that one is gone, and so is what was read of it.
pub(crate) fn find_again(
    view: &View,
    name: &VaultName,
    id: VaultId,
) -> Result<std::sync::Arc<Vault>, Halt<VaultError>> {
    match find(view, name)? {
        vault if vault.id == id => Ok(vault),
        _ => refuse(VaultError::VaultNotFound { name: name.clone() }),
    }
}

/// The vault of a name.
pub(crate) fn find(view: &View, name: &VaultName) -> Result<std::sync::Arc<Vault>, Halt<VaultError>> {
    match view.get::<Vault>(name)? {
        Some(vault) => Ok(vault),
        None => refuse(VaultError::VaultNotFound { name: name.clone() }),
    }
}
