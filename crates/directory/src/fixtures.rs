//! What the tests of this crate have in common: a known world.

use crate::{
    Credential, DirectoryService, DirectorySettings, Registration, Tenant, TokenVersion,
    grants::delegated::Setting, registration::*,
};
use access::{Principal, PrincipalKind, Verifier, VerifierConfig, vault_audiences};
use crypt::{HashedSecret, MacKey};
use domain::{
    ClientId, CredentialId, DomainName, Entropy, HostNames, PrincipalId, RefreshFamilyId, RegistrationId,
    Secret, SubscriptionId, TenantId, Timestamp,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use store::{Memory, View};

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Fills with one byte: ids that a reader knows again.
pub(crate) struct Fill(pub(crate) u8);

impl Entropy for Fill {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

/// Fills with another byte each time.
#[derive(Default)]
pub(crate) struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

/// What a grant is decided by, besides these names and this key of refresh tokens.
pub(crate) fn setting<'a>(names: &'a HostNames, refresh_tokens: &'a MacKey) -> Setting<'a> {
    let grant = RefreshFamilyId::random(&Fill(9));
    let token_lifetime = Duration::from_secs(3_600);
    Setting { names, grant, refresh_tokens, token_lifetime, is_from_page: false, now: NOW }
}

pub(crate) fn names() -> HostNames {
    HostNames::new(&DomainName::parse("keyless.localhost").unwrap(), 8443)
}

pub(crate) fn settings() -> DirectorySettings {
    DirectorySettings::new(names())
}

pub(crate) fn tenant() -> Tenant {
    let (id, administrator) = (TenantId::random(&Fill(0xaa)), PrincipalId::random(&Fill(0xad)));
    Tenant::new(id, "keyless.localhost".to_owned(), administrator, SubscriptionId::random(&Fill(0x5b)), NOW)
}

pub(crate) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// A registration and its principal; `number` makes their ids.
pub(crate) fn registration(number: u8) -> (Registration, Principal) {
    let registration = Registration {
        id: RegistrationId::random(&Fill(number)),
        client: ClientId::random(&Fill(number + 1)),
        principal: PrincipalId::random(&Fill(number + 2)),
        display_name: "orders".to_owned(),
        identifier_uris: vec![format!("https://Orders.example/{number}")],
        token_version: TokenVersion::V1,
        is_public: false,
        single_use_assertions: false,
        credentials: Vec::new(),
        redirect_uris: Vec::new(),
        scopes: Vec::new(),
        app_roles: Vec::new(),
        assignment_required: false,
        required_access: Vec::new(),
        certificates: Vec::new(),
        federated: Vec::new(),
        created: NOW,
    };
    let principal = Principal {
        id: registration.principal,
        client: registration.client,
        tenant: tenant().id,
        kind: PrincipalKind::Application { registration: registration.id },
        display_name: registration.display_name.clone(),
        enabled: true,
        member_of: Vec::new(),
        resource_group: domain::ResourceGroupName::default(),
        created: NOW,
        revocations: access::Revocations::default(),
    };
    (registration, principal)
}

pub(crate) fn credential(text: &str, start: i64, end: i64) -> Credential {
    Credential {
        id: CredentialId::random(&Fill(0xcc)),
        hash: HashedSecret::of(&secret(text)),
        hint: text.chars().take(3).collect(),
        display_name: "test".to_owned(),
        start: Timestamp::from_seconds(NOW.seconds() + start),
        end: Timestamp::from_seconds(NOW.seconds() + end),
    }
}

pub(crate) fn view(registration: &Registration, principal: &Principal) -> View<'static> {
    let index = UriIndex { registration: registration.id };
    let mut view = View::fixture()
        .with::<Registration>(&registration.id, registration)
        .with::<ClientIndex>(&registration.client, &ClientIndex { registration: registration.id })
        .with::<Principal>(&principal.id, principal);
    for uri in &registration.identifier_uris {
        view = view.with::<UriIndex>(uri, &index);
    }
    view
}

/// An empty directory on a store in memory.
pub(crate) async fn directory() -> (Arc<Memory>, DirectoryService) {
    let store = Arc::new(Memory::new());
    let settings = settings();
    let root = Arc::new(crypt::Key256::random(&Fill(1)));
    let make = |_| Ok(crypt::test_keys::signing_key());
    let entropy = Arc::new(Counting::default());
    let directory =
        DirectoryService::open(store.clone(), entropy, &root, settings, make, Arc::new(NOW)).await.unwrap();
    (store, directory)
}

/// What the vaults of this directory take tokens by.
pub(crate) fn verifier(directory: &DirectoryService) -> Verifier {
    let config = VerifierConfig {
        issuers: directory.issuers().into(),
        audiences: vault_audiences(&directory.names().vault_resource()),
        tenant: directory.tenant().id,
    };
    Verifier::new(config, &Fill(9))
}

/// The time that a request ends at which began at [`NOW`] and hashes a password.
pub(crate) const HASHED: Timestamp = Timestamp::from_seconds(NOW.seconds() + 5);

/// It is [`NOW`] when a directory opens, and [`HASHED`] from then on.
#[derive(Default)]
pub(crate) struct Hashing(std::sync::atomic::AtomicBool);

impl domain::Clock for Hashing {
    fn now(&self) -> Timestamp {
        if self.0.swap(true, std::sync::atomic::Ordering::SeqCst) { HASHED } else { NOW }
    }
}
