//! Keeps standard input as a secret: `VAULT_URL=https://... set-secret NAME < value`
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_secrets::{ResourceExt, SecretClient, models::SetSecretParameters};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client =
        SecretClient::new(&std::env::var("VAULT_URL")?, ManagedIdentityCredential::new(None)?, None)?;
    let name = std::env::args().nth(1).ok_or("which secret?")?;
    let value = Some(std::io::read_to_string(std::io::stdin())?);
    let secret = SetSecretParameters { value, ..Default::default() };
    let secret = client.set_secret(&name, secret.try_into()?, None).await?.into_model()?;
    println!("{}", secret.resource_id()?.version.unwrap_or_default());
    Ok(())
}
