//! Makes a self-signed certificate and downloads it with its key: `VAULT_URL=https://... create-certificate NAME`
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_certificates::{CertificateClient, models::*};
use azure_security_keyvault_secrets::SecretClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, credential) = (std::env::var("VAULT_URL")?, ManagedIdentityCredential::new(None)?);
    let name = std::env::args().nth(1).ok_or("which certificate?")?;
    let x509 = X509CertificateProperties { subject: Some(format!("CN={name}")), ..Default::default() };
    let policy = CertificatePolicy {
        x509_certificate_properties: Some(x509),
        issuer_parameters: Some(IssuerParameters { name: Some("Self".to_owned()), ..Default::default() }),
        ..Default::default()
    };
    let create = CreateCertificateParameters { certificate_policy: Some(policy), ..Default::default() };
    let client = CertificateClient::new(&url, credential.clone(), None)?;
    let made = client.begin_create_certificate(&name, create.try_into()?, None)?.await?.into_model()?;
    let secret = SecretClient::new(&url, credential, None)?.get_secret(&name, None).await?.into_model()?;
    eprintln!("{} bytes of DER", made.cer.unwrap_or_default().len());
    println!("{}", secret.value.unwrap_or_default());
    Ok(())
}
