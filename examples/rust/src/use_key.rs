//! Makes a key and uses it: `VAULT_URL=https://... use-key NAME`
use azure_identity::ManagedIdentityCredential;
use azure_security_keyvault_keys::{KeyClient, ResourceExt, models::*};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = KeyClient::new(&std::env::var("VAULT_URL")?, ManagedIdentityCredential::new(None)?, None)?;
    let name = std::env::args().nth(1).ok_or("which key?")?;
    let rsa = CreateKeyParameters { kty: Some(KeyType::Rsa), key_size: Some(2048), ..Default::default() };
    let key = client.create_key(&name, rsa.try_into()?, None).await?.into_model()?;
    let version = key.resource_id()?.version.ok_or("it has no version")?;

    let (algorithm, digest) = (Some(SignatureAlgorithm::Rs256), Some(vec![7; 32]));
    let sign = SignParameters { algorithm: algorithm.clone(), value: digest.clone() };
    let signature = client.sign(&name, sign.try_into()?, None).await?.into_model()?.result;
    let verify = VerifyParameters { algorithm, digest, signature };
    let verified = client.verify(&name, &version, verify.try_into()?, None).await?.into_model()?;
    println!("signature holds: {}", verified.value.unwrap_or_default());

    let algorithm = Some(EncryptionAlgorithm::RsaOaep256);
    let of = |value| KeyOperationParameters { algorithm: algorithm.clone(), value, ..Default::default() };
    let encrypt = of(Some(b"hello".to_vec())).try_into()?;
    let ciphertext = client.encrypt(&name, encrypt, None).await?.into_model()?.result;
    let decrypted = client.decrypt(&name, &version, of(ciphertext).try_into()?, None).await?.into_model()?;
    println!("decrypted: {}", String::from_utf8(decrypted.result.unwrap_or_default())?);
    Ok(())
}
