//! The spellings of "the vaults" as an audience: what clients ask for and what a vault accepts.

/// Key Vault's resource in the public cloud: what SDKs ask for that were not told another one.
pub const KEY_VAULT_RESOURCE: &str = "https://vault.azure.net";

/// Key Vault's application id, which is an audience too.
pub const KEY_VAULT_APPLICATION: &str = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093";

/// Every audience by which a token is good for the vaults of this installation. The first one is the installation's own.
///
/// Tokens of ours never end in a slash; the spellings with one are accepted because validators of Key Vault tokens differ in it.
pub fn vault_audiences(vault_resource: &str) -> Vec<String> {
    let own = vault_resource.trim_end_matches('/');
    vec![
        own.to_owned(),
        format!("{own}/"),
        KEY_VAULT_RESOURCE.to_owned(),
        format!("{KEY_VAULT_RESOURCE}/"),
        KEY_VAULT_APPLICATION.to_owned(),
    ]
}
