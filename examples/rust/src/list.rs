//! Prints the names of a vault's secrets: `VAULT_URL=https://... list-secrets`
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_secrets::{ResourceExt, SecretClient};
use futures::TryStreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let credential = ManagedIdentityCredential::new(None)?;
    let client = SecretClient::new(&std::env::var("VAULT_URL")?, credential, None)?;
    let mut secrets = client.list_secret_properties(None)?;
    while let Some(secret) = secrets.try_next().await? {
        println!("{}", secret.resource_id()?.name);
    }
    Ok(())
}
