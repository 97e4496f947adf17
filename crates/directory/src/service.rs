//! [`DirectoryService`]: the tenant and its key ring in memory, the rest in the store; issues tokens.

use crate::{
    AssertionRefusal, Audience, DirectoryError, GrantError, Hosting, IssuedToken, IssuerKeys, KeyRing,
    NoFetch, RequestError, Tenant, TokenRequest, UserError, assertion, audience,
    browser::Browsers,
    claims::Proof,
    client::{self, Acting, ClientProof},
    grants::{delegated::Setting, on_behalf_of, password, refresh_token},
    guess::Guesses,
    issue::Issuer,
    ring::{self, KeyRecord, RingRecord},
    sign_in::Gate,
    tenant::shown,
    token::{self, Evidence, Grant, Granted, Parsed, Refused},
    user,
};
use access::{KeySource as _, Principal, PrincipalKind};
use crypt::{CryptError, Key256, MacKey, SigningKey};
use domain::{
    ClientId, Clock, Entropy, HostNames, PrincipalId, RefreshFamilyId, SubscriptionId, TenantId, Timestamp,
    Workers, limits, world::Here,
};
use std::{
    net::IpAddr,
    sync::{Arc, RwLock, atomic::AtomicU64},
    time::Duration,
};
use store::{Decision, Halt, Store, View, query, transact};

/// Makes a signing key whose certificate begins at a time.
pub(crate) type MakeKey = dyn Fn(Timestamp) -> Result<SigningKey, CryptError> + Send + Sync;

/// What does not change while the server runs.
#[derive(Clone, Debug)]
pub struct DirectorySettings {
    /// Domain and port: issuers and the vaults' resource are made of them.
    pub names: HostNames,
    /// How long an access token lives.
    pub token_lifetime: Duration,
    /// May clients ask for tokens with a user's password? For tests only.
    pub allows_password_grant: bool,
}

impl DirectorySettings {
    /// What is usual for these names.
    pub fn new(names: HostNames) -> Self {
        Self { names, token_lifetime: limits::ACCESS_TOKEN_LIFETIME, allows_password_grant: false }
    }
}

/// The directory. Shared; every method may be called at any time.
pub struct DirectoryService {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// For what a request does after it has taken long: all else goes by when it began.
    clock: Arc<dyn Clock>,
    pub(crate) settings: DirectorySettings,
    pub(crate) ring: RwLock<Arc<KeyRing>>,
    /// The ring's, for those who ask at each request.
    pub(crate) epoch: AtomicU64,
    pub(crate) root: Arc<Key256>,
    pub(crate) make_key: Box<MakeKey>,
    pub(crate) workers: Arc<dyn Workers>,
    pub(crate) key_lifetime: Option<Duration>,
    tenant: Arc<Tenant>,
    pub(crate) subjects: MacKey,
    /// Makes refresh tokens.
    refresh_tokens: MacKey,
    /// Seals the secrets of authenticator apps.
    pub(crate) second_factors: Key256,
    /// For what pages give a browser to bring back.
    pub(crate) browsers: Browsers,
    pub(crate) guesses: Guesses,
    pub(crate) gate: Gate,
    pub(crate) issuer_keys: Arc<dyn IssuerKeys>,
}

/// The label of the key below the root key by which users are named to clients.
const SUBJECTS: &str = "subjects";
/// The label of the key below the root key by which refresh tokens are made.
const REFRESH_TOKENS: &str = "keyless directory: refresh tokens";

impl DirectoryService {
    /// Opens the directory; at the first start makes the tenant, its administrator and the first signing key in one commit.
    /// `make_key` is called then, and for each key after it ([`SigningKey::generate`]; tests pass known keys). Keys do not roll by
    /// themselves until [`Self::rolling`] says so.
    ///
    /// # Errors
    /// The store's; [`DirectoryError::Crypt`] if the root key is not the one that the signing keys are sealed under.
    pub async fn open(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
        root: &Arc<Key256>,
        settings: DirectorySettings,
        make_key: impl Fn(Timestamp) -> Result<SigningKey, CryptError> + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DirectoryError> {
        let now = clock.now();
        let exists = query(&*store, |view| -> Result<bool, Halt<DirectoryError>> {
            Ok(view.get::<Tenant>(&())?.is_some() && view.get::<RingRecord>(&())?.is_some())
        })
        .await?;
        if !exists {
            let key = make_key(now)?;
            let key_writes = [
                store::put::<KeyRecord>(key.kid(), &ring::seal(&key, root, &*entropy, now)?),
                store::put::<RingRecord>(
                    &(),
                    &ring::found(key.kid(), settings.token_lifetime.as_secs(), now),
                ),
            ];
            let tenant = Tenant::new(
                TenantId::random(&*entropy),
                settings.names.domain().to_owned(),
                PrincipalId::random(&*entropy),
                SubscriptionId::random(&*entropy),
                now,
            );
            let user =
                user::administrator(tenant.administrator, &tenant.domain, now).map_err(UserError::from)?;
            let administrator = Principal {
                id: tenant.administrator,
                client: ClientId::random(&*entropy),
                tenant: tenant.id,
                kind: PrincipalKind::User,
                display_name: "administrator".to_owned(),
                enabled: true,
                member_of: Vec::new(),
                resource_group: domain::ResourceGroupName::default(),
                created: now,
                revocations: access::Revocations::default(),
            };
            transact(&*store, &*entropy, |view| -> Result<Decision<()>, Halt<DirectoryError>> {
                let mut writes = Vec::new();
                if view.get::<Tenant>(&())?.is_none() {
                    writes.push(store::put::<Tenant>(&(), &tenant));
                    writes.extend(user::put(&user, &administrator));
                }
                if view.get::<RingRecord>(&())?.is_none() {
                    writes.extend(key_writes.clone());
                }
                Ok(Decision::of((), writes))
            })
            .await?;
        }
        let (tenant, keys) = query(&*store, stored).await?;
        let ring = Arc::new(ring::open(&keys, root, None)?);
        let subjects = MacKey::new(root.derive(SUBJECTS).expose());
        let refresh_tokens = MacKey::new(root.derive(REFRESH_TOKENS).expose());
        let opened = Self {
            store,
            entropy,
            clock,
            settings,
            tenant,
            refresh_tokens,
            epoch: AtomicU64::new(ring.epoch()),
            ring: RwLock::new(ring),
            root: root.clone(),
            make_key: Box::new(make_key),
            workers: Arc::new(Here),
            key_lifetime: None,
            subjects,
            second_factors: root.derive("keyless directory: second factors"),
            browsers: Browsers::new(root),
            guesses: Guesses::new(),
            gate: Gate::new(),
            issuer_keys: Arc::new(NoFetch),
        };
        opened.found_administrator().await?;
        // What cannot be swept now, as on a full store, allows nobody anything: no reason not to start.
        let _swept = opened.sweep_groups().await;
        opened.serve_tokens(now).await?;
        Ok(opened)
    }

    /// The same, with a way to outside issuers.
    #[must_use]
    pub fn reaching(self, issuer_keys: Arc<dyn IssuerKeys>) -> Self {
        Self { issuer_keys, ..self }
    }

    /// This moment, of a request that began at `began` and has hashed a password since.
    pub(crate) fn moment(&self, began: Timestamp) -> Timestamp {
        self.clock.now().max(began)
    }

    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// How long an access token lives: what is revoked is named for as long.
    pub fn token_lifetime(&self) -> Duration {
        self.settings.token_lifetime
    }

    /// The host names of the installation.
    pub fn names(&self) -> &HostNames {
        &self.settings.names
    }

    /// The issuers of our tokens: v1.0 and v2.0 by our own names, then by the public cloud's. Whichever a token tells, its key is ours.
    pub fn issuers(&self) -> [String; 4] {
        assertion::own_issuers(self.names(), &self.tenant)
    }

    /// Answers a token request.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn token(&self, request: TokenRequest, now: Timestamp) -> Result<IssuedToken, DirectoryError> {
        let (address, names) = (request.address, request.asked_by.unwrap_or(self.names()));
        let mut parsed = token::parse(&self.tenant, self.names(), request)?;
        self.reach_issuer(parsed.client, parsed.grant.acting(), &mut parsed.proof, now).await?;
        let evidence = self.evidence(&parsed, address, now).await?;
        let setting = Setting {
            names: self.names(),
            grant: RefreshFamilyId::random(&*self.entropy),
            refresh_tokens: &self.refresh_tokens,
            token_lifetime: self.settings.token_lifetime,
            is_from_page: parsed.is_from_page,
            now,
        };
        let granted =
            transact(&*self.store, &*self.entropy, |view| token::decide(view, setting, &parsed, &evidence));
        match granted.await? {
            Ok(granted) => self.issue(names, granted, now),
            Err(Refused(error)) => Err(error),
        }
    }

    /// A client gives up a refresh token (RFC 7009). Of a request only the client's proof and `refresh_token` are looked at.
    ///
    /// # Errors
    /// [`DirectoryError`]'s of the client's proof; a token that is none is no error.
    pub async fn revoke_token(
        &self,
        mut request: TokenRequest,
        now: Timestamp,
    ) -> Result<ClientId, DirectoryError> {
        self.tenant.alias(&request.tenant)?;
        let token = request
            .refresh_token
            .take()
            .ok_or(DirectoryError::Request(RequestError::MissingParameter { name: "token" }))?;
        let (client, mut proof) = client::named(&mut request, self.names(), &self.tenant)?;
        self.reach_issuer(client, Acting::ForUsers, &mut proof, now).await?;
        let (key, lifetime) = (&self.refresh_tokens, self.settings.token_lifetime);
        transact(&*self.store, &*self.entropy, |view| {
            let authenticated = client::authenticate(view, client, Acting::ForUsers, &proof, now)?;
            let mut writes = refresh_token::give_up(view, key, &authenticated, &token, lifetime, now)?;
            writes.extend(authenticated.writes);
            Ok(Decision::of(client, writes))
        })
        .await
    }

    async fn evidence(
        &self,
        parsed: &Parsed,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Evidence, DirectoryError> {
        match &parsed.grant {
            Grant::OnBehalfOf { user_token, .. } => {
                on_behalf_of::verify(user_token, &*self.ring(), &self.issuers(), self.tenant.id, now)
                    .map(Evidence::UserToken)
            }
            Grant::Password { .. } if !self.settings.allows_password_grant => {
                Err(DirectoryError::Grant(GrantError::PasswordGrantDisabled))
            }
            Grant::Password { user_name, password, .. } => {
                let person = self.check_password(user_name, password, address, now).await?;
                Ok(Evidence::Password(password::session_of(&person, &*self.entropy, now)))
            }
            Grant::ClientCredentials { .. }
            | Grant::AuthorizationCode(_)
            | Grant::RefreshToken { .. }
            | Grant::DeviceCode { .. } => Ok(Evidence::None),
        }
    }

    /// Fetches the keys of an outside issuer, if the client's proof is by one that it trusts. A decision cannot wait for a network.
    pub(crate) async fn reach_issuer(
        &self,
        client: ClientId,
        acting: Acting,
        proof: &mut ClientProof,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let ClientProof::Assertion(presented) = proof else { return Ok(()) };
        if query(&*self.store, |view| client::wants_keys(view, client, acting, presented, now)).await? {
            let (issuer, kid) = presented.signer();
            let keys = self.issuer_keys.keys(issuer, kid, now).await.map_err(|fault| {
                AssertionRefusal::IssuerUnavailable { issuer: shown(issuer), why: fault.to_string() }
            })?;
            presented.known_by(keys);
        }
        Ok(())
    }

    /// Is it this directory, in either version?
    pub(crate) fn is_own_issuer(&self, issuer: &str) -> bool {
        assertion::is_own_issuer(self.names(), &self.tenant, issuer)
    }

    /// Which resource does this text name?
    ///
    /// # Errors
    /// [`DirectoryError::ResourceUnknown`].
    pub async fn audience(&self, requested: &str) -> Result<Audience, DirectoryError> {
        query(&*self.store, |view| audience::resolve(view, self.names(), requested)).await
    }

    /// A token for a managed identity whose process has been attested. The caller has just read that the principal is enabled, which app
    /// roles it has ([`Self::roles_of`]) and, if it is user-assigned, that it is assigned to this app.
    ///
    /// # Errors
    /// [`DirectoryError::Crypt`]; [`DirectoryError::Broken`] for a principal of another kind.
    pub fn issue_for_managed_identity(
        &self,
        principal: &Arc<Principal>,
        hosting: Option<Hosting>,
        audience: &Audience,
        roles: Vec<String>,
        now: Timestamp,
    ) -> Result<IssuedToken, DirectoryError> {
        let is_fit = match principal.kind {
            PrincipalKind::ManagedIdentity { .. } => hosting.is_none(),
            PrincipalKind::UserAssignedIdentity => hosting.is_some(),
            PrincipalKind::Application { .. } | PrincipalKind::User => false,
        };
        if !is_fit {
            return Err(DirectoryError::Broken {
                what: "a token of a managed identity for another principal",
            });
        }
        let granted = Granted::to_itself(principal.clone(), audience.clone(), Proof::Attested);
        self.issue(self.names(), Granted { hosting, roles, ..granted }, now)
    }

    /// A token for the administrator, good for the vaults. The caller has checked that an administrator asks.
    ///
    /// # Errors
    /// The store's; [`DirectoryError::PrincipalNotFound`].
    pub async fn issue_for_administrator(&self, now: Timestamp) -> Result<IssuedToken, DirectoryError> {
        let principal = self.principal(self.tenant.administrator).await?;
        let granted = Granted::to_itself(principal, Audience::vaults(self.names()), Proof::Socket);
        self.issue(self.names(), granted, now)
    }

    fn issue(
        &self,
        names: &HostNames,
        granted: Granted,
        now: Timestamp,
    ) -> Result<IssuedToken, DirectoryError> {
        let issuer = Issuer {
            names,
            subscription: self.tenant.subscription(),
            ring: &self.ring(),
            entropy: &*self.entropy,
            subjects: &self.subjects,
            lifetime: self.settings.token_lifetime,
        };
        issuer.issue(granted, now)
    }
}

fn stored(view: &View) -> Result<(Arc<Tenant>, ring::Stored), Halt<DirectoryError>> {
    let tenant = view.get::<Tenant>(&())?;
    let tenant = tenant.ok_or(Halt::Refuse(DirectoryError::Broken { what: "there is no tenant" }))?;
    Ok((tenant, ring::stored(view)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Endpoint, NewRegistration, TokenVersion,
        fixtures::{Counting, NOW, verifier},
        ring::KeyRing,
    };
    use crypt::test_keys;
    use store::{Key, Memory, Write};

    fn root(seed: u8) -> Arc<Key256> {
        Arc::new(Key256::random(&crate::fixtures::Fill(seed)))
    }

    async fn open(store: &Arc<Memory>, root: &Arc<Key256>) -> Result<DirectoryService, DirectoryError> {
        let settings = crate::fixtures::settings();
        let make = |_| Ok(test_keys::signing_key());
        DirectoryService::open(
            store.clone(),
            Arc::new(Counting::default()),
            root,
            settings,
            make,
            Arc::new(NOW),
        )
        .await
    }

    #[tokio::test]
    async fn the_second_start_finds_what_the_first_one_made() {
        let store = Arc::new(Memory::new());
        let first = open(&store, &root(1)).await.unwrap();
        let settings = first.settings.clone();
        let never = |_| panic!("a second key");
        let second = DirectoryService::open(
            store.clone(),
            Arc::new(Counting::default()),
            &root(1),
            settings,
            never,
            Arc::new(NOW),
        )
        .await
        .unwrap();
        assert_eq!(first.tenant(), second.tenant());
        let kids =
            |ring: &KeyRing| ring.published().iter().map(|key| key.kid().to_owned()).collect::<Vec<_>>();
        assert_eq!(kids(&first.ring()), kids(&second.ring()));
        assert_eq!(second.ring().current().kid(), first.ring().current().kid());
        assert!(second.ring().public_key(first.ring().current().kid()).is_some());
        assert!(second.ring().public_key("other").is_none());
        let administrator = second.principal(second.tenant().administrator).await.unwrap();
        assert_eq!((administrator.kind, administrator.enabled), (PrincipalKind::User, true));
    }

    #[tokio::test]
    async fn signing_keys_open_under_their_root_key_and_their_own_id_only() {
        let store = Arc::new(Memory::new());
        let kid = open(&store, &root(1)).await.unwrap().ring().current().kid().to_owned();
        let error = open(&store, &root(2)).await.err().unwrap();
        assert!(matches!(error, DirectoryError::Crypt(CryptError::Rejected { .. })), "{error:?}");
        // The sealed key moved to another id, and the ring made to point there.
        transact(&*store, &Counting::default(), |view| -> Result<Decision<()>, Halt<DirectoryError>> {
            let key = view.get::<KeyRecord>(&kid)?.unwrap();
            let ring = ring::found("moved", 0, NOW);
            let writes = vec![store::put::<KeyRecord>("moved", &*key), store::put::<RingRecord>(&(), &ring)];
            Ok(Decision::of((), writes))
        })
        .await
        .unwrap();
        let error = open(&store, &root(1)).await.err().unwrap();
        assert!(matches!(error, DirectoryError::Crypt(CryptError::Rejected { .. })), "{error:?}");
    }

    #[tokio::test]
    async fn a_ring_without_its_key_is_broken() {
        let store = Arc::new(Memory::new());
        let kid = open(&store, &root(1)).await.unwrap().ring().current().kid().to_owned();
        transact(&*store, &Counting::default(), |_| -> Result<Decision<()>, Halt<DirectoryError>> {
            Ok(Decision::of((), vec![Write::Delete(Key::new(format!("signing-key/{kid}")))]))
        })
        .await
        .unwrap();
        assert!(matches!(open(&store, &root(1)).await, Err(DirectoryError::Broken { .. })));
    }

    #[tokio::test]
    async fn no_private_key_is_stored_in_clear() {
        let store = Arc::new(Memory::new());
        open(&store, &root(1)).await.unwrap();
        let private = test_keys::signing_key().to_pkcs8();
        let canary = private.expose().get(64..96).unwrap();
        for (key, value) in store.dump() {
            assert!(!value.windows(canary.len()).any(|window| window == canary), "{key:?}");
            for text in [
                crypt::encoding::base64url(canary),
                crypt::encoding::base64(canary),
                crypt::encoding::hex(canary),
            ] {
                assert!(!String::from_utf8_lossy(&value).contains(text.trim_end_matches('=')), "{key:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_registered_client_gets_a_token_that_a_vault_accepts() {
        let store = Arc::new(Memory::new());
        let directory = open(&store, &root(1)).await.unwrap();
        let new = NewRegistration {
            display_name: "orders".to_owned(),
            identifier_uris: Vec::new(),
            token_version: TokenVersion::V1,
            ..NewRegistration::default()
        };
        let registration = directory.create_registration(new, NOW).await.unwrap();
        let named = registration.client.to_string();
        let credential = directory.add_credential(&named, "first", None, NOW).await.unwrap();
        let request = |secret: &str| TokenRequest {
            tenant: directory.tenant().id.to_string(),
            endpoint: Endpoint::V2,
            grant_type: Some("client_credentials".to_owned()),
            client: Some(named.clone()),
            secret: Some(secret.to_owned().into()),
            scope: Some("https://vault.azure.net/.default".to_owned()),
            ..TokenRequest::default()
        };
        let good = credential.secret.expose();
        let issued = directory.token(request(good), NOW).await.unwrap();
        assert_eq!((issued.expires_in_seconds(), &*issued.resource), (3600, "https://vault.azure.net"));
        let caller = verifier(&directory).verify(&issued.access_token, &*directory.ring(), NOW).unwrap();
        assert_eq!((caller.principal(), caller.client()), (registration.principal, registration.client));

        let refused = async |secret: &str, now| directory.token(request(secret), now).await.unwrap_err();
        assert!(matches!(
            refused("wrong", NOW).await,
            DirectoryError::Request(RequestError::ClientSecretWrong { .. })
        ));
        assert!(matches!(
            refused(good, credential.end).await,
            DirectoryError::Request(RequestError::ClientSecretExpired { .. })
        ));
        directory.disable_principal(registration.principal).await.unwrap();
        assert!(matches!(
            refused(good, NOW).await,
            DirectoryError::Request(RequestError::ClientDisabled { .. })
        ));
        directory.enable_principal(registration.principal).await.unwrap();
        assert!(directory.token(request(good), NOW).await.is_ok());
        directory.remove_credential(&named, credential.id, NOW).await.unwrap();
        assert!(matches!(
            refused(good, NOW).await,
            DirectoryError::Request(RequestError::ClientSecretWrong { .. })
        ));
        directory.delete_registration(&named).await.unwrap();
        assert!(matches!(refused(good, NOW).await, DirectoryError::ClientUnknown { .. }));
    }

    #[tokio::test]
    async fn tokens_of_our_own_are_for_whom_they_say() {
        let store = Arc::new(Memory::new());
        let directory = open(&store, &root(1)).await.unwrap();
        let issued = directory.issue_for_administrator(NOW).await.unwrap();
        let caller = verifier(&directory).verify(&issued.access_token, &*directory.ring(), NOW).unwrap();
        assert_eq!(caller.principal(), directory.tenant().administrator);
        assert!(matches!(
            directory.disable_principal(directory.tenant().administrator).await,
            Err(DirectoryError::AdministratorNeeded)
        ));
        let administrator = directory.principal(directory.tenant().administrator).await.unwrap();
        let audience = directory.audience("https://vault.azure.net").await.unwrap();
        let error = directory
            .issue_for_managed_identity(&administrator, None, &audience, Vec::new(), NOW)
            .unwrap_err();
        assert!(matches!(error, DirectoryError::Broken { .. }));
    }
}
