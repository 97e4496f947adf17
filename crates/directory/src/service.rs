//! [`DirectoryService`]: the tenant and its key ring in memory, the rest in the store; issues tokens.

use crate::{
    Audience, DirectoryError, IssuedToken, KeyRing, Tenant, TokenRequest, audience,
    claims::Proof,
    principal::{self},
    ring::{self, KeyRecord, RingRecord},
    token::{self, Granted},
};
use access::{Principal, PrincipalKind};
use crypt::{CryptError, Key256, SigningKey};
use domain::{ClientId, Entropy, HostNames, PrincipalId, TenantId, Timestamp};
use std::{sync::Arc, time::Duration};
use store::{Decision, Halt, Store, View, query, transact};

/// What does not change while the server runs.
#[derive(Clone, Debug)]
pub struct DirectorySettings {
    /// Domain and port: issuers and the vaults' resource are made of them.
    pub names: HostNames,
    /// How long an access token lives.
    pub token_lifetime: Duration,
}

/// The directory. Shared; every method may be called at any time.
pub struct DirectoryService {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: DirectorySettings,
    tenant: Arc<Tenant>,
    ring: Arc<KeyRing>,
}

impl DirectoryService {
    /// Opens the directory; at the first start makes the tenant, its administrator and the first signing key in one commit.
    /// `make_key` is called then only ([`SigningKey::generate`]; tests pass a known key).
    ///
    /// # Errors
    /// The store's; [`DirectoryError::Crypt`] if the root key is not the one that the signing keys are sealed under.
    pub async fn open(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
        root: &Key256,
        settings: DirectorySettings,
        make_key: impl FnOnce(Timestamp) -> Result<SigningKey, CryptError> + Send,
        now: Timestamp,
    ) -> Result<Self, DirectoryError> {
        let exists = query(&*store, |view| -> Result<bool, Halt<DirectoryError>> {
            Ok(view.get::<Tenant>(&())?.is_some() && view.get::<RingRecord>(&())?.is_some())
        })
        .await?;
        if !exists {
            let key = make_key(now)?;
            let key_writes = ring::found(&key, root, &*entropy, now)?;
            let tenant = Tenant {
                id: TenantId::random(&*entropy),
                domain: settings.names.domain().to_owned(),
                administrator: PrincipalId::random(&*entropy),
                created: now,
            };
            let administrator = Principal {
                id: tenant.administrator,
                client: ClientId::random(&*entropy),
                tenant: tenant.id,
                kind: PrincipalKind::User,
                display_name: "administrator".to_owned(),
                enabled: true,
                created: now,
            };
            transact(&*store, &*entropy, |view| -> Result<Decision<()>, Halt<DirectoryError>> {
                let mut writes = Vec::new();
                if view.get::<Tenant>(&())?.is_none() {
                    writes.push(store::put::<Tenant>(&(), &tenant));
                    writes.extend(principal::put(&administrator));
                }
                if view.get::<RingRecord>(&())?.is_none() {
                    writes.extend(key_writes.clone());
                }
                Ok(Decision::of((), writes))
            })
            .await?;
        }
        let (tenant, ring, keys) = query(&*store, |view| stored(view)).await?;
        let ring = Arc::new(ring::open(&ring, &keys, root)?);
        Ok(Self { store, entropy, settings, tenant, ring })
    }

    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The host names of the installation.
    pub fn names(&self) -> &HostNames {
        &self.settings.names
    }

    /// The issuers of our tokens: v1.0, then v2.0.
    pub fn issuers(&self) -> [String; 2] {
        [self.names().issuer_v1(self.tenant.id), self.names().issuer_v2(self.tenant.id)]
    }

    /// The key ring as it is now.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.clone()
    }

    /// Answers a token request.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn token(&self, request: TokenRequest, now: Timestamp) -> Result<IssuedToken, DirectoryError> {
        let parsed = token::parse(&self.tenant, request)?;
        let granted = query(&*self.store, |view| token::decide(view, self.names(), &parsed, now)).await?;
        self.issue(&granted, now)
    }

    /// Which resource does this text name?
    ///
    /// # Errors
    /// [`DirectoryError::ResourceUnknown`].
    pub async fn audience(&self, requested: &str) -> Result<Audience, DirectoryError> {
        query(&*self.store, |view| audience::resolve(view, self.names(), requested)).await
    }

    /// A token for a managed identity whose process has been attested. The caller has just read that the principal is enabled.
    ///
    /// # Errors
    /// [`DirectoryError::Crypt`]; [`DirectoryError::Broken`] for a principal of another kind.
    pub fn issue_for_managed_identity(
        &self,
        principal: &Arc<Principal>,
        audience: &Audience,
        now: Timestamp,
    ) -> Result<IssuedToken, DirectoryError> {
        if !matches!(principal.kind, PrincipalKind::ManagedIdentity { .. }) {
            return Err(DirectoryError::Broken {
                what: "a token of a managed identity for another principal",
            });
        }
        let granted =
            Granted { principal: principal.clone(), audience: audience.clone(), proof: Proof::Attested };
        self.issue(&granted, now)
    }

    /// A token for the administrator, good for the vaults. The caller has checked that an administrator asks.
    ///
    /// # Errors
    /// The store's; [`DirectoryError::PrincipalNotFound`].
    pub async fn issue_for_administrator(&self, now: Timestamp) -> Result<IssuedToken, DirectoryError> {
        let principal = self.principal(self.tenant.administrator).await?;
        let granted = Granted { principal, audience: Audience::vaults(self.names()), proof: Proof::Socket };
        self.issue(&granted, now)
    }

    fn issue(&self, granted: &Granted, now: Timestamp) -> Result<IssuedToken, DirectoryError> {
        token::issue(granted, self.names(), &self.ring, &*self.entropy, self.settings.token_lifetime, now)
    }
}

type Stored = (Arc<Tenant>, Arc<RingRecord>, Vec<(String, Arc<KeyRecord>)>);

fn stored(view: &View) -> Result<Stored, Halt<DirectoryError>> {
    let broken = |what| Halt::Refuse(DirectoryError::Broken { what });
    let tenant = view.get::<Tenant>(&())?.ok_or_else(|| broken("there is no tenant"))?;
    let ring = view.get::<RingRecord>(&())?.ok_or_else(|| broken("there is no key ring"))?;
    let mut keys = Vec::with_capacity(ring.published.len());
    for kid in &ring.published {
        let key = view.get::<KeyRecord>(kid)?.ok_or_else(|| broken("a key of the ring is missing"))?;
        keys.push((kid.clone(), key));
    }
    Ok((tenant, ring, keys))
}
