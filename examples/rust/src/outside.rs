//! Prints a secret from outside of Keyless, by the token file of a cluster: `VAULT_URL=https://... read-secret-outside NAME`, with
//! `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_AUTHORITY_HOST` and `AZURE_FEDERATED_TOKEN_FILE`.
use azure_identity::WorkloadIdentityCredential;
use azure_security_keyvault_secrets::SecretClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let credential = WorkloadIdentityCredential::new(None)?;
    let client = SecretClient::new(&std::env::var("VAULT_URL")?, credential, None)?;
    let name = std::env::args().nth(1).ok_or("which secret?")?;
    let secret = client.get_secret(&name, None).await?.into_model()?;
    println!("{}", secret.value.ok_or("it has no value")?);
    Ok(())
}
