//! The authority that programs in shadow mode trust, and nobody else: good for the public cloud's names and for no others.
//!
//! Owns: its record, made when the first program asks for shadow mode and never before; a certificate for each door. Owns not: which files
//! name it (`trust`). It is another one than the installation's, since that one is trusted by people's browsers and by other machines, where
//! nothing that it signs may pass for Azure (ADR 0021).

use crate::{authority::certified, error::StartError};
use crypt::{Authority, Key256, Sealed};
use domain::{
    Entropy, Timestamp,
    hosts::{AZURE_GRAPH_HOST, AZURE_LOGIN_HOSTS, AZURE_VAULT_PARENT_HOST},
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, Store};

const COMMON_NAME: &str = "Keyless shadow authority, not Azure's";
const ADDRESS: &[u8] = b"shadow-authority#1";

/// The authority as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct ShadowAuthorityRecord {
    certificate: String,
    key: Sealed,
}

impl Record for ShadowAuthorityRecord {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("shadow-authority")
    }
}

/// The stored authority, made if there is none.
pub(super) async fn load(
    store: &dyn Store,
    entropy: &dyn Entropy,
    root: &Key256,
    now: Timestamp,
) -> Result<Authority, StartError> {
    store::transact(store, entropy, |view| {
        let known = view.get::<ShadowAuthorityRecord>(&())?;
        decide(known.as_deref(), entropy, root, now).map_err(Halt::Refuse)
    })
    .await
}

fn decide(
    known: Option<&ShadowAuthorityRecord>,
    entropy: &dyn Entropy,
    root: &Key256,
    now: Timestamp,
) -> Result<Decision<Authority>, StartError> {
    if let Some(known) = known {
        let key = crypt::envelope::open(root, ADDRESS, &known.key)?;
        return Ok(Decision::read(Authority::from_parts(&known.certificate, &key)?));
    }
    let mut names = AZURE_LOGIN_HOSTS.to_vec();
    names.extend([AZURE_GRAPH_HOST, AZURE_VAULT_PARENT_HOST]);
    let authority = Authority::create_for(COMMON_NAME, &names, now)?;
    let key = crypt::envelope::seal(root, ADDRESS, authority.key_pkcs8().expose(), entropy)?;
    let record = ShadowAuthorityRecord { certificate: authority.certificate_pem().to_owned(), key };
    Ok(Decision::of(authority, vec![store::put::<ShadowAuthorityRecord>(&(), &record)]))
}

/// What TLS presents at one door. Its key is in no file and in no other door.
pub(super) fn certificate(authority: &Authority, now: Timestamp) -> Result<SingleCertAndKey, StartError> {
    let mut names: Vec<String> = AZURE_LOGIN_HOSTS.map(str::to_owned).into();
    names.extend([AZURE_GRAPH_HOST.to_owned(), format!("*.{AZURE_VAULT_PARENT_HOST}")]);
    let issued = authority.issue_server(&names, &[], now)?;
    let certified: Arc<CertifiedKey> = certified(&issued.chain_pem, &issued.key_pkcs8)?;
    Ok(SingleCertAndKey::from(CertifiedKey::clone(&certified)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypt::SystemEntropy;
    use store::Memory;

    #[tokio::test]
    async fn it_is_made_once_and_for_azures_names_only() {
        let (store, root) = (Memory::new(), Key256::random(&SystemEntropy));
        let now = Timestamp::from_seconds(1_764_000_000);
        let first = load(&store, &SystemEntropy, &root, now).await.unwrap();
        let again =
            load(&store, &SystemEntropy, &root, now.plus(std::time::Duration::from_secs(9))).await.unwrap();
        assert_eq!(first.certificate_pem(), again.certificate_pem());
        let other_root = Key256::random(&SystemEntropy);
        assert!(load(&store, &SystemEntropy, &other_root, now).await.is_err(), "it lies sealed");
        // What a client says that trusts this authority for everything: names of ours are none of its.
        let verified = |host: &str, leaf: &crypt::x509::ServerCertificate| verify(&first, leaf, host, now);
        let azure = again.issue_server(&["*.vault.azure.net".to_owned()], &[], now).unwrap();
        assert_eq!(verified("shop.vault.azure.net", &azure), Ok(()));
        let ours = again.issue_server(&["login.keyless.localhost".to_owned()], &[], now).unwrap();
        assert!(verified("login.keyless.localhost", &ours).is_err());
        let site = again.issue_server(&["www.example.com".to_owned()], &[], now).unwrap();
        assert!(verified("www.example.com", &site).is_err());
        let address = again.issue_server(&[], &["127.0.0.1".parse().unwrap()], now).unwrap();
        assert!(verified("127.0.0.1", &address).is_err());
        assert!(certificate(&again, now).is_ok());
    }

    fn verify(
        authority: &Authority,
        leaf: &crypt::x509::ServerCertificate,
        host: &str,
        now: Timestamp,
    ) -> Result<(), String> {
        use rustls::{
            RootCertStore,
            client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
            pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.root_der().unwrap())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let leaf = CertificateDer::from_pem_slice(leaf.chain_pem.as_bytes()).unwrap();
        let seconds = u64::try_from(now.seconds()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let verified = verifier.verify_server_cert(&leaf, &[], &name, &[], now);
        verified.map(drop).map_err(|error| error.to_string())
    }
}
