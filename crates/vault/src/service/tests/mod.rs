//! The service over a memory store, with a meddler between: it changes the world while something is under way, and takes the store away.

mod backups;
mod certificates;
mod deletion;
mod due;
mod garbage;
mod heads;
mod keys;
mod managed;
mod pages;
mod policies;
mod restores;
mod roles;
mod sealing;
mod secrets;
mod vaults;

use super::*;
use crate::{
    AttributesChange, DeletedObject, NewVault, Object, PageRequest, SecretChange, SecretWithValue, Secrets,
    SetSecret, VaultSettings, VersionChange,
};
use access::{Caller, Manager, Principal, PrincipalKind};
use domain::{AppId, ClientId, ObjectVersion, Permissions, PrincipalId, SecretPermission, Timestamp};
use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{
    Check, CommitId, Decision, Key, Memory, Page, Position, Snapshot, StoreError, Write, put, transact,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LATER: Timestamp = Timestamp::from_seconds(1_800_000_060);
/// Who manages, where it is not what is asked.
const BY: Manager<'static> = Manager::Administrator;
const DAY: Duration = Duration::from_secs(86_400);

/// Fails unless it was refused, and for this reason.
macro_rules! refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("{other:?} is not {}", stringify!($pattern)),
        }
    };
}
use refused;

struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        let call = self.0.fetch_add(1, Ordering::SeqCst);
        for (block, bytes) in buffer.chunks_mut(32).enumerate() {
            bytes.copy_from_slice(&crypt::sha256(format!("{call}/{block}")).bytes()[..bytes.len()]);
        }
    }
}

fn counted(from: u64) -> Counted {
    Counted(AtomicU64::new(from))
}

/// Other bytes than anybody else gets: the same commit id twice would be the same commit twice.
fn fresh() -> Counted {
    static CALLS: AtomicU64 = AtomicU64::new(u32::MAX as u64);
    counted(CALLS.fetch_add(1_000_000, Ordering::SeqCst))
}

type Meddle = Box<dyn FnOnce() + Send>;

/// A memory store in which something happens at a moment, and which can go away.
#[derive(Default)]
struct Meddled {
    inner: Arc<Memory>,
    before_list: Mutex<Option<Meddle>>,
    after_list: Mutex<Option<Meddle>>,
    /// After how many more commits.
    before_commit: Mutex<Option<(u64, Meddle)>>,
    /// Commits until it is away, for commits and everything else.
    lives: Mutex<Option<u64>>,
    /// Whether commits happen, and nobody is told.
    is_mute: Mutex<bool>,
}

impl Meddled {
    fn is_there(&self) -> Result<(), StoreError> {
        match *self.lives.lock().unwrap() {
            Some(0) => Err(StoreError::Unavailable("it is away".to_owned())),
            _ => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Store for Meddled {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.is_there()?;
        self.inner.read(keys).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.is_there()?;
        let meddle = self.before_list.lock().unwrap().take();
        if let Some(meddle) = meddle {
            meddle();
        }
        let page = self.inner.list(prefix, after, limit).await;
        let meddle = self.after_list.lock().unwrap().take();
        if let Some(meddle) = meddle {
            meddle();
        }
        page
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        self.is_there()?;
        let meddle = {
            let mut before = self.before_commit.lock().unwrap();
            match before.as_mut() {
                Some((0, _)) => before.take(),
                Some((more, _)) => {
                    *more -= 1;
                    None
                }
                None => None,
            }
        };
        if let Some((_, meddle)) = meddle {
            meddle();
        }
        if let Some(lives) = self.lives.lock().unwrap().as_mut() {
            *lives -= 1;
        }
        let committed = self.inner.commit(id, checks, writes).await;
        if *self.is_mute.lock().unwrap() { Err(StoreError::Unknown(id)) } else { committed }
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        self.is_there()?;
        if *self.is_mute.lock().unwrap() {
            return Err(StoreError::Unknown(id));
        }
        self.inner.resolve(id).await
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<store::Changes, StoreError> {
        self.inner.changes(prefix, after).await
    }
}

/// Somebody who asks something of a vault. In the beginning: the owner of `shop`.
#[derive(Clone)]
struct World {
    store: Arc<Meddled>,
    service: Arc<VaultService>,
    vault: VaultName,
    principal: Principal,
    caller: Caller,
    address: Option<std::net::IpAddr>,
}

impl World {
    async fn new() -> Self {
        Self::with(&VaultSettings::default()).await
    }

    /// With a vault that is made so.
    async fn with(settings: &VaultSettings) -> Self {
        let store = Arc::new(Meddled::default());
        let entropy = Arc::new(counted(0));
        let root = Arc::new(Key256::random(&*entropy));
        let service = Arc::new(service(store.clone(), entropy.clone(), root));
        let principal = Principal {
            id: PrincipalId::random(&*entropy),
            client: ClientId::random(&*entropy),
            tenant: domain::TenantId::random(&*entropy),
            kind: PrincipalKind::ManagedIdentity { app: AppId::random(&*entropy) },
            display_name: "owner".to_owned(),
            enabled: true,
            member_of: Vec::new(),
            resource_group: domain::ResourceGroupName::default(),
            created: NOW,
            revocations: access::Revocations::default(),
        };
        let caller = Caller::fixture(principal.id, principal.client, principal.tenant);
        let vault = VaultName::parse("shop").unwrap();
        let world = Self { store, service, vault, principal, caller, address: None };
        world.write(vec![put::<Principal>(&world.principal.id, &world.principal)]).await;
        world.make(settings).await.unwrap();
        world
    }

    /// Makes the vault.
    async fn make(&self, settings: &VaultSettings) -> Result<Vault, VaultError> {
        let (tenant, owner) = (self.principal.tenant, self.principal.id);
        let new = NewVault::owned(&self.vault, tenant, owner);
        self.service.create_vault(BY, new, settings, NOW).await
    }

    /// The same in another vault.
    fn at(&self, vault: &str) -> Self {
        Self { vault: VaultName::parse(vault).unwrap(), ..self.clone() }
    }

    /// The same for another principal of the tenant.
    async fn somebody(&self) -> Self {
        let id = PrincipalId::random(&fresh());
        let principal = Principal { id, client: ClientId::random(&fresh()), ..self.principal.clone() };
        self.write(vec![put::<Principal>(&id, &principal)]).await;
        let caller = Caller::fixture(id, principal.client, principal.tenant);
        Self { principal, caller, ..self.clone() }
    }

    /// The same by another server over the same store, with whom nobody meddles.
    fn elsewhere(&self) -> Self {
        let service = service(self.store.inner.clone(), Arc::new(fresh()), self.service.root.clone());
        Self { service: Arc::new(service), ..self.clone() }
    }

    async fn write(&self, writes: Vec<Write>) {
        let written = transact(&*self.store.inner, &fresh(), |_| Ok(Decision::of((), writes.clone()))).await;
        written.map_err(|error: StoreError| error).unwrap();
    }

    fn asker(&self) -> Asker<'_> {
        Asker { caller: &self.caller, address: self.address }
    }

    async fn set(&self, name: &str, value: &str) -> ObjectVersion {
        self.set_with(name, value, |_| {}).await.unwrap().secret.version.version
    }

    async fn set_with(
        &self,
        name: &str,
        value: &str,
        change: impl FnOnce(&mut SetSecret),
    ) -> Result<SecretWithValue, VaultError> {
        self.set_at(name, value, NOW, change).await
    }

    async fn set_at(
        &self,
        name: &str,
        value: &str,
        now: Timestamp,
        change: impl FnOnce(&mut SetSecret),
    ) -> Result<SecretWithValue, VaultError> {
        let mut asked = SetSecret {
            value: Secret::new(value.to_owned()),
            content_type: None,
            tags: BTreeMap::new(),
            attributes: AttributesChange::default(),
        };
        change(&mut asked);
        let set = self.service.set_secret(&self.asker(), &self.vault, &object(name), asked, now).await;
        set.map(|set| set.value)
    }

    async fn get(&self, name: &str, version: Option<ObjectVersion>) -> Result<SecretWithValue, VaultError> {
        let read = self.service.get_secret(&self.asker(), &self.vault, &object(name), version).await;
        read.map(|read| read.value)
    }

    /// The latest value.
    async fn value(&self, name: &str) -> String {
        self.get(name, None).await.unwrap().value.expose().clone()
    }

    async fn update(
        &self,
        name: &str,
        version: Option<ObjectVersion>,
        change: SecretChange,
    ) -> Result<Object<Secrets>, VaultError> {
        let name = object(name);
        let updated =
            self.service.update_secret(&self.asker(), &self.vault, &name, version, &change, LATER).await;
        updated.map(|updated| updated.value)
    }

    async fn list(
        &self,
        items: u16,
        token: Option<String>,
    ) -> Result<crate::Page<Object<Secrets>>, VaultError> {
        let listed = self.service.list::<Secrets>(&self.asker(), &self.vault, &page(items, token)).await;
        listed.map(|listed| listed.value)
    }

    /// The names of a first page.
    async fn names(&self) -> Vec<String> {
        self.list(25, None).await.unwrap().items.iter().map(|item| item.head.name.to_string()).collect()
    }

    async fn versions(
        &self,
        name: &str,
        items: u16,
        token: Option<String>,
    ) -> Result<crate::Page<Object<Secrets>>, VaultError> {
        let (request, name) = (page(items, token), object(name));
        let listed = self.service.list_versions::<Secrets>(&self.asker(), &self.vault, &name, &request).await;
        listed.map(|listed| listed.value)
    }

    /// Every version of a secret as it is stored, but for what is sealed of it.
    async fn all_of(&self, name: &str) -> Vec<Said> {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let page = self.versions(name, 25, token).await.unwrap();
            all.extend(page.items.iter().map(said));
            token = page.next;
            if token.is_none() {
                return all;
            }
        }
    }

    async fn delete(&self, name: &str) -> Result<DeletedObject<Secrets>, VaultError> {
        self.delete_at(name, NOW).await
    }

    async fn delete_at(&self, name: &str, now: Timestamp) -> Result<DeletedObject<Secrets>, VaultError> {
        let deleted = self.service.delete(&self.asker(), &self.vault, &object(name), now).await;
        deleted.map(|deleted| deleted.value)
    }

    async fn get_deleted(&self, name: &str) -> Result<DeletedObject<Secrets>, VaultError> {
        let found = self.service.get_deleted(&self.asker(), &self.vault, &object(name)).await;
        found.map(|found| found.value)
    }

    async fn list_deleted(
        &self,
        items: u16,
        token: Option<String>,
    ) -> Result<crate::Page<DeletedObject<Secrets>>, VaultError> {
        let request = page(items, token);
        let listed = self.service.list_deleted::<Secrets>(&self.asker(), &self.vault, &request).await;
        listed.map(|listed| listed.value)
    }

    /// The names of a first page of deleted ones.
    async fn deleted_names(&self) -> Vec<String> {
        let page = self.list_deleted(25, None).await.unwrap();
        page.items.iter().map(|item| item.deleted.head.name.to_string()).collect()
    }

    async fn recover(&self, name: &str) -> Result<Object<Secrets>, VaultError> {
        let recovered = self.service.recover(&self.asker(), &self.vault, &object(name)).await;
        recovered.map(|recovered| recovered.value)
    }

    async fn purge(&self, name: &str) -> Result<(), VaultError> {
        self.purge_at(name, NOW).await
    }

    async fn purge_at(&self, name: &str, now: Timestamp) -> Result<(), VaultError> {
        let purged = self.service.purge::<Secrets>(&self.asker(), &self.vault, &object(name), now).await;
        purged.map(|purged| purged.value)
    }

    async fn backup(&self, name: &str) -> Result<String, VaultError> {
        let blob = self.service.backup::<Secrets>(&self.asker(), &self.vault, &object(name)).await;
        blob.map(|blob| blob.value)
    }

    async fn restore(&self, blob: &str) -> Result<Object<Secrets>, VaultError> {
        let restored = self.service.restore(&self.asker(), &self.vault, blob, LATER).await;
        restored.map(|restored| restored.value)
    }

    async fn allow(&self, verbs: &[SecretPermission]) {
        let permissions = Permissions::on_secrets(verbs.iter().copied().collect());
        self.service.set_policy(BY, &self.vault, self.principal.id, permissions).await.unwrap();
    }

    /// Also to purge.
    async fn allow_all(&self) {
        self.allow(<SecretPermission as domain::Permission>::ALL).await;
    }

    /// The records below a prefix, by what comes after it.
    fn stored(&self, prefix: &str) -> Vec<String> {
        let keys = self.store.inner.dump().into_iter();
        let keys = keys.map(|(key, _)| String::from_utf8(key.as_bytes().to_vec()).unwrap());
        keys.filter_map(|key| key.strip_prefix(prefix).map(str::to_owned)).collect()
    }

    /// Keys and values of the store that hold this.
    fn found(&self, text: &str) -> Vec<String> {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let found = self.store.inner.dump().into_iter();
        let found = found.filter(|(key, value)| holds(key.as_bytes()) || holds(value));
        found.map(|(key, _)| key.as_bytes().escape_ascii().to_string()).collect()
    }

    /// Before the next page is listed.
    fn before_list(&self, meddle: impl FnOnce() + Send + 'static) {
        *self.store.before_list.lock().unwrap() = Some(Box::new(meddle));
    }

    /// When the next page has been listed, and before it is answered.
    fn after_list(&self, meddle: impl FnOnce() + Send + 'static) {
        *self.store.after_list.lock().unwrap() = Some(Box::new(meddle));
    }

    fn stop_meddling(&self) {
        *self.store.before_list.lock().unwrap() = None;
        *self.store.after_list.lock().unwrap() = None;
    }

    /// When so many commits have been made, and before the next one is.
    fn before_commit(&self, after: u64, meddle: impl FnOnce() + Send + 'static) {
        *self.store.before_commit.lock().unwrap() = Some((after, Box::new(meddle)));
    }

    /// So many commits are still made, and then the store is away: as if the server had died there.
    fn dies_after(&self, commits: u64) {
        *self.store.lives.lock().unwrap() = Some(commits);
    }

    /// The store is there again.
    fn lives(&self) {
        *self.store.lives.lock().unwrap() = None;
    }
}

fn service(store: Arc<dyn Store>, entropy: Arc<dyn Entropy>, root: Arc<Key256>) -> VaultService {
    VaultService::new(store, entropy, Arc::new(domain::world::Here), root)
}

/// Does something while somebody else waits for the store: a memory store never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a memory store waits"),
    }
}

fn object(name: &str) -> ObjectName {
    ObjectName::parse(name).unwrap()
}

fn page(items: u16, token: Option<String>) -> PageRequest {
    PageRequest { items: NonZeroU16::new(items).unwrap(), token }
}

/// What is said of a version to whoever may see it.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    version: ObjectVersion,
    attributes: crate::Attributes,
    tags: BTreeMap<String, String>,
    content_type: Option<String>,
}

fn said(object: &Object<Secrets>) -> Said {
    said_of(&object.version)
}

fn said_of(version: &crate::Version<Secrets>) -> Said {
    let crate::Version { version, attributes, tags, content } = version.clone();
    Said { version, attributes, tags, content_type: content.content_type }
}

/// Three versions that differ in all that can be said: the second disabled, the third from later.
async fn three_versions(world: &World, name: &str) -> [ObjectVersion; 3] {
    let first = world.set_with(name, "canary-one", |asked| {
        asked.tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        asked.content_type = Some("text/plain".to_owned());
    });
    let first = first.await.unwrap().secret.version.version;
    let second = world.set_with(name, "canary-two", |asked| {
        asked.attributes.enabled = Some(false);
        asked.attributes.expires = Some(Timestamp::from_seconds(7));
    });
    let second = second.await.unwrap().secret.version.version;
    let third = world.set_at(name, "canary-three", LATER, |_| {}).await.unwrap().secret.version.version;
    let change = VersionChange {
        tags: Some(BTreeMap::from([("changed".to_owned(), "later".to_owned())])),
        attributes: AttributesChange::default(),
    };
    world.update(name, Some(first), SecretChange { change, content_type: None }).await.unwrap();
    [first, second, third]
}
