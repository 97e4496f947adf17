//! Our private authority and the server's certificate: made at first start, kept sealed, renewed before they end.
//!
//! Owns: their records, the names in the certificate, and what TLS presents at the moment. Owns not: X.509 (`crypt::x509`), which
//! files clients trust (`trust`). Decision: ADR 0004.

use crate::error::StartError;
use crypt::{Authority, Key256, Sealed};
use domain::{Entropy, HostNames, Secret, Timestamp};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use store::{Decision, Halt, Key, Record, Store};

/// The server's certificate is renewed when less than this is left of its 397 days.
const RENEW_AHEAD: Duration = Duration::from_secs(30 * 86_400);
const COMMON_NAME: &str = "Keyless private authority";
const AUTHORITY_ADDRESS: &[u8] = b"authority#1";
const SERVER_ADDRESS: &[u8] = b"server-certificate#1";

/// The authority as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct AuthorityRecord {
    certificate: String,
    key: Sealed,
}

impl Record for AuthorityRecord {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("authority")
    }
}

/// The server's certificate as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct CertificateRecord {
    chain: String,
    key: Sealed,
    not_after: Timestamp,
    /// What it was issued for: other names need another one.
    names: Vec<String>,
}

impl Record for CertificateRecord {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("server-certificate")
    }
}

/// The authority, and the certificate that TLS presents.
pub struct Certificates {
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
    root: Arc<Key256>,
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
    /// The authority's certificate, PEM.
    authority_pem: String,
    current: RwLock<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Certificates").field("dns_names", &self.dns_names).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Loads both, makes what is missing, renews what is due.
    ///
    /// # Errors
    /// The store's and cryptography's.
    pub async fn load(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
        root: Arc<Key256>,
        names: &HostNames,
        listen: &[IpAddr],
        now: Timestamp,
    ) -> Result<Self, StartError> {
        let dns_names = vec![
            names.login_host(),
            names.graph_host(),
            names.vault_parent_host(),
            format!("*.{}", names.vault_parent_host()),
            format!("*.{}", names.apps_parent_host()),
            names.management_host(),
            format!("*.{}", names.scm_parent_host()),
            names.domain().to_owned(),
            "localhost".to_owned(),
        ];
        let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let special = |address: &&IpAddr| !address.is_unspecified() && !address.is_loopback();
        addresses.extend(listen.iter().filter(special));
        let (authority_pem, current) =
            current(&*store, &*entropy, &root, &dns_names, &addresses, now).await?;
        Ok(Self { store, entropy, root, dns_names, addresses, authority_pem, current: RwLock::new(current) })
    }

    /// The authority's certificate, PEM.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Hosts and addresses that the server's certificate says: nobody else's may.
    pub fn names(&self) -> (Vec<String>, Vec<IpAddr>) {
        (self.dns_names.clone(), self.addresses.clone())
    }

    /// Renews the server's certificate if it is due; connections from now on are shown the new one.
    ///
    /// # Errors
    /// The store's and cryptography's; the old one stays.
    pub async fn renew(&self, now: Timestamp) -> Result<(), StartError> {
        let (_, fresh) =
            current(&*self.store, &*self.entropy, &self.root, &self.dns_names, &self.addresses, now).await?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    /// One certificate for all names: who asks for a name that is not ours is told 404 by HTTP, and sees a mismatch in TLS.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The stored authority and certificate, made or renewed where needed, in one commit.
async fn current(
    store: &dyn Store,
    entropy: &dyn Entropy,
    root: &Key256,
    dns_names: &[String],
    addresses: &[IpAddr],
    now: Timestamp,
) -> Result<(String, Arc<CertifiedKey>), StartError> {
    let names: Vec<String> =
        dns_names.iter().cloned().chain(addresses.iter().map(ToString::to_string)).collect();
    store::transact(store, entropy, |view| {
        let known = view.get::<AuthorityRecord>(&())?;
        let certificate = view.get::<CertificateRecord>(&())?;
        decide(known.as_deref(), certificate.as_deref(), entropy, root, &names, dns_names, addresses, now)
            .map_err(Halt::Refuse)
    })
    .await
}

#[expect(clippy::too_many_arguments, reason = "everything that the decision looks at, and nothing else")]
fn decide(
    known: Option<&AuthorityRecord>,
    certificate: Option<&CertificateRecord>,
    entropy: &dyn Entropy,
    root: &Key256,
    names: &[String],
    dns_names: &[String],
    addresses: &[IpAddr],
    now: Timestamp,
) -> Result<Decision<(String, Arc<CertifiedKey>)>, StartError> {
    let is_due =
        |record: &CertificateRecord| record.names != names || record.not_after < now.plus(RENEW_AHEAD);
    if let (Some(known), Some(record)) = (known, certificate.filter(|record| !is_due(record))) {
        let key = crypt::envelope::open(root, SERVER_ADDRESS, &record.key)?;
        return Ok(Decision::read((known.certificate.clone(), certified(&record.chain, &key)?)));
    }
    let mut writes = Vec::new();
    let (authority, authority_pem) = match known {
        Some(known) => {
            let key = crypt::envelope::open(root, AUTHORITY_ADDRESS, &known.key)?;
            (Authority::from_parts(&known.certificate, &key)?, known.certificate.clone())
        }
        None => {
            let authority = Authority::create(COMMON_NAME, now)?;
            let pem = authority.certificate_pem().to_owned();
            let key =
                crypt::envelope::seal(root, AUTHORITY_ADDRESS, authority.key_pkcs8().expose(), entropy)?;
            writes
                .push(store::put::<AuthorityRecord>(&(), &AuthorityRecord { certificate: pem.clone(), key }));
            (authority, pem)
        }
    };
    let issued = authority.issue_server(dns_names, addresses, now)?;
    let key = crypt::envelope::seal(root, SERVER_ADDRESS, issued.key_pkcs8.expose(), entropy)?;
    let current = certified(&issued.chain_pem, &issued.key_pkcs8)?;
    let (chain, not_after) = (issued.chain_pem, issued.not_after);
    let record = CertificateRecord { chain, key, not_after, names: names.to_vec() };
    writes.push(store::put::<CertificateRecord>(&(), &record));
    Ok(Decision::of((authority_pem, current), writes))
}

pub(crate) fn certified(
    chain_pem: &str,
    key_pkcs8: &Secret<Vec<u8>>,
) -> Result<Arc<CertifiedKey>, StartError> {
    let malformed = |_| crypt::CryptError::Malformed { what: "the server's certificate" };
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(malformed)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key_pkcs8.expose().as_slice()));
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
    Ok(Arc::new(CertifiedKey::new(chain, signer)))
}
