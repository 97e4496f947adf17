//! Prints a secret by the key of a certificate: `VAULT_URL=https://... rust-certificate FILE.pfx NAME`, with `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
//! `AZURE_AUTHORITY_HOST`.
use azure_core::credentials::SecretBytes;
use azure_identity::ClientCertificateCredential;
use azure_security_keyvault_secrets::SecretClient;
use std::env::{args, var};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (Some(file), Some(name)) = (args().nth(1), args().nth(2)) else {
        return Err("which file, and which secret?".into());
    };
    let certificate = SecretBytes::new(std::fs::read(file)?);
    let (tenant, client) = (var("AZURE_TENANT_ID")?, var("AZURE_CLIENT_ID")?);
    let credential = ClientCertificateCredential::new(tenant, client, certificate, None)?;
    let client = SecretClient::new(&var("VAULT_URL")?, credential, None)?;
    let secret = client.get_secret(&name, None).await?.into_model()?;
    println!("{}", secret.value.ok_or("it has no value")?);
    Ok(())
}
