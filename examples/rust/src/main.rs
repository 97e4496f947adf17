//! Prints a secret: `VAULT_URL=https://... read-secret NAME`
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_secrets::SecretClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let credential = ManagedIdentityCredential::new(None)?;
    let client = SecretClient::new(&std::env::var("VAULT_URL")?, credential, None)?;
    let name = std::env::args().nth(1).ok_or("which secret?")?;
    let secret = client.get_secret(&name, None).await?.into_model()?;
    println!("{}", secret.value.ok_or("it has no value")?);
    Ok(())
}
