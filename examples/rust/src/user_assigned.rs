//! Prints a secret as one of the app's user-assigned identities: `VAULT_URL=https://... read-secret-as client|object ID NAME`
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use azure_security_keyvault_secrets::SecretClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (kind, id) = (arguments.next(), arguments.next().ok_or("which identity?")?);
    let user_assigned_id = match kind.as_deref() {
        Some("object") => UserAssignedId::ObjectId(id),
        _ => UserAssignedId::ClientId(id),
    };
    let options =
        ManagedIdentityCredentialOptions { user_assigned_id: Some(user_assigned_id), ..Default::default() };
    let credential = ManagedIdentityCredential::new(Some(options))?;
    let client = SecretClient::new(&std::env::var("VAULT_URL")?, credential, None)?;
    let name = arguments.next().ok_or("which secret?")?;
    let secret = client.get_secret(&name, None).await?.into_model()?;
    println!("{}", secret.value.ok_or("it has no value")?);
    Ok(())
}
