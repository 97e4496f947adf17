//! A vault as the resource manager's clients are told it.

use super::{
    super::{Asked, date},
    read::Network,
};
use domain::{Permission, VerbSet};
use serde_json::{Value, json};
use vault::{AccessModel, DeletedVault, Vault};

/// A vault that is there.
pub(super) fn vault(asked: &Asked<'_>, vault: &Vault) -> Value {
    let network = Network::of(&vault.network, &vault.told);
    let ip_rules = network.ip_ranges.iter().map(|range| json!({"value": range}));
    json!({
        "id": id(asked, vault),
        "name": vault.name,
        "type": "Microsoft.KeyVault/vaults",
        "location": vault.placement.location,
        "tags": vault.placement.tags,
        "properties": {
            "sku": {"family": "A", "name": if vault.told.premium { "premium" } else { "standard" }},
            "tenantId": vault.tenant,
            "accessPolicies": said(vault),
            "networkAcls": {
                "bypass": if vault.told.no_bypass { "None" } else { "AzureServices" },
                "defaultAction": if network.denies { "Deny" } else { "Allow" },
                "ipRules": ip_rules.collect::<Vec<_>>(),
                "virtualNetworkRules": [],
            },
            "enabledForDeployment": vault.told.for_deployment.unwrap_or_default(),
            "enabledForDiskEncryption": vault.told.for_disk_encryption,
            "enabledForTemplateDeployment": vault.told.for_template_deployment,
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": vault.recoverable_days,
            "enableRbacAuthorization": vault.access == AccessModel::Roles,
            "enablePurgeProtection": vault.purge_protection.then_some(true),
            "vaultUri": format!("{}/", asked.context.names(asked.state).vault_url(&vault.name)),
            "provisioningState": "Succeeded",
            "publicNetworkAccess": if network.is_closed { "Disabled" } else { "Enabled" },
        },
    })
}

/// The access policies of a vault, once they were edited.
pub(super) fn policies(asked: &Asked<'_>, vault: &Vault) -> Value {
    json!({
        "id": format!("{}/accessPolicies/", id(asked, vault)),
        "type": "Microsoft.KeyVault/vaults/accessPolicies",
        "location": vault.placement.location,
        "properties": {"accessPolicies": said(vault)},
    })
}

/// A vault that is deleted.
pub(super) fn deleted(asked: &Asked<'_>, deleted: &DeletedVault) -> Value {
    let (vault, location) = (&deleted.vault, &deleted.vault.placement.location);
    json!({
        "id": format!(
            "{}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{}",
            asked.subscription_path(),
            vault.name
        ),
        "name": vault.name,
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": id(asked, vault),
            "location": location,
            "deletionDate": date(deleted.deleted),
            "scheduledPurgeDate": date(deleted.purge_at),
            "tags": vault.placement.tags,
            "purgeProtectionEnabled": vault.purge_protection.then_some(true),
        },
    })
}

fn id(asked: &Asked<'_>, vault: &Vault) -> String {
    let (subscription, group) = (asked.subscription_path(), &vault.placement.group);
    format!("{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{}", vault.name)
}

fn said(vault: &Vault) -> Vec<Value> {
    let said = vault.policies.iter().map(|policy| {
        let storage = vault.told.storage.get(&policy.principal).copied().unwrap_or_default();
        json!({
            "tenantId": vault.tenant,
            "objectId": policy.principal,
            "permissions": {
                "keys": verbs(policy.permissions.keys),
                "secrets": verbs(policy.permissions.secrets),
                "certificates": verbs(policy.permissions.certificates),
                "storage": verbs(storage),
            },
        })
    });
    said.collect()
}

fn verbs<V: Permission>(set: VerbSet<V>) -> Vec<String> {
    set.iter().map(|verb| verb.to_string()).collect()
}
