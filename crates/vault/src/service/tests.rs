//! The service over a memory store, with a meddler between that changes the world while a list is being gathered.

use super::*;
use crate::AttributesChange;
use access::{Denied, Principal, PrincipalKind};
use domain::{AppId, ClientId, SecretPermission, limits};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use store::{Check, CommitId, Key, Memory, Page, Position, Snapshot, StoreError, Write, put};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LATER: Timestamp = Timestamp::from_seconds(1_800_000_060);

struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        let call = self.0.fetch_add(1, Ordering::SeqCst);
        for (block, bytes) in buffer.chunks_mut(32).enumerate() {
            bytes.copy_from_slice(&crypt::sha256(format!("{call}/{block}")).bytes()[..bytes.len()]);
        }
    }
}

type Meddle = Box<dyn FnOnce(&Memory) + Send>;

/// A memory store in which something happens just after a page was listed.
#[derive(Default)]
struct Meddled {
    inner: Memory,
    after_list: Mutex<Option<Meddle>>,
}

#[async_trait::async_trait]
impl Store for Meddled {
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.inner.read(keys).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let page = self.inner.list(prefix, after, limit).await;
        if let Some(meddle) = self.after_list.lock().unwrap().take() {
            meddle(&self.inner);
        }
        page
    }

    async fn commit(&self, id: CommitId, checks: &[Check], writes: &[Write]) -> Result<Position, StoreError> {
        self.inner.commit(id, checks, writes).await
    }

    async fn resolve(&self, id: CommitId) -> Result<Option<Position>, StoreError> {
        self.inner.resolve(id).await
    }

    async fn changes(&self, prefix: &Key, after: Position) -> Result<store::Changes, StoreError> {
        self.inner.changes(prefix, after).await
    }
}

/// One vault `shop` and its owner.
struct World {
    store: Arc<Meddled>,
    service: VaultService,
    vault: VaultName,
    owner: Principal,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(Meddled::default());
        let entropy = Arc::new(Counted(AtomicU64::new(0)));
        let root = Arc::new(Key256::random(&*entropy));
        let service = VaultService::new(store.clone(), entropy.clone(), Arc::new(domain::world::Here), root);
        let owner = Principal {
            id: PrincipalId::random(&*entropy),
            client: ClientId::random(&*entropy),
            tenant: TenantId::random(&*entropy),
            kind: PrincipalKind::ManagedIdentity { app: AppId::random(&*entropy) },
            display_name: "owner".to_owned(),
            enabled: true,
            created: NOW,
        };
        let vault = VaultName::parse("shop").unwrap();
        let world = Self { store, service, vault, owner };
        world.write(vec![put::<Principal>(&world.owner.id, &world.owner)]).await;
        world.service.create_vault(&world.vault, world.owner.tenant, world.owner.id, &VaultSettings::default(), NOW).await.unwrap();
        world
    }

    async fn write(&self, writes: Vec<Write>) {
        write(&self.store.inner, writes).await;
    }

    fn caller(&self) -> Caller {
        Caller::fixture(self.owner.id, self.owner.client, self.owner.tenant)
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
        let mut asked = SetSecret {
            value: Secret::new(value.to_owned()),
            content_type: None,
            tags: BTreeMap::new(),
            attributes: AttributesChange::default(),
        };
        change(&mut asked);
        let set = self.service.set_secret(&self.caller(), &self.vault, &secret(name), asked, NOW).await;
        set.map(|set| set.value)
    }

    async fn get(&self, name: &str, version: Option<ObjectVersion>) -> Result<SecretWithValue, VaultError> {
        let read = self.service.get_secret(&self.caller(), &self.vault, &secret(name), version).await;
        read.map(|read| read.value)
    }

    async fn update(
        &self,
        name: &str,
        version: Option<ObjectVersion>,
        change: SecretChange,
    ) -> Result<Object<Secrets>, VaultError> {
        let (caller, name) = (self.caller(), secret(name));
        let updated = self.service.update_secret(&caller, &self.vault, &name, version, &change, LATER).await;
        updated.map(|updated| updated.value)
    }

    async fn list(&self, items: u16, token: Option<String>) -> Result<Page<Object<Secrets>>, VaultError> {
        let request = PageRequest { items: NonZeroU16::new(items).unwrap(), token };
        let listed = self.service.list::<Secrets>(&self.caller(), &self.vault, &request).await;
        listed.map(|listed| listed.value)
    }

    async fn versions(
        &self,
        name: &str,
        items: u16,
        token: Option<String>,
    ) -> Result<Page<Object<Secrets>>, VaultError> {
        let request = PageRequest { items: NonZeroU16::new(items).unwrap(), token };
        let listed = self.service.list_versions::<Secrets>(&self.caller(), &self.vault, &secret(name), &request).await;
        listed.map(|listed| listed.value)
    }

    async fn allow(&self, verbs: &[SecretPermission]) {
        let verbs = verbs.iter().copied().collect();
        self.service.set_policy(&self.vault, self.owner.id, verbs).await.unwrap();
    }

    /// When the next page has been listed, and before it is answered.
    fn after_list(&self, meddle: impl FnOnce(&Memory) + Send + 'static) {
        *self.store.after_list.lock().unwrap() = Some(Box::new(meddle));
    }
}

async fn write(store: &Memory, writes: Vec<Write>) {
    // A commit of its own each time: the same id again would be the same commit again.
    static COMMITS: AtomicU64 = AtomicU64::new(u32::MAX as u64);
    let entropy = Counted(AtomicU64::new(COMMITS.fetch_add(1, Ordering::SeqCst)));
    let written = transact(store, &entropy, |_| Ok(Decision::of((), writes.clone()))).await;
    written.map_err(|error: StoreError| error).unwrap();
}

/// Writes while somebody else waits for the store: a memory store never waits.
fn write_now(store: &Memory, writes: Vec<Write>) {
    let mut writing = std::pin::pin!(write(store, writes));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(writing.as_mut().poll(&mut context).is_ready());
}

fn secret(name: &str) -> ObjectName {
    ObjectName::parse(name).unwrap()
}

#[tokio::test]
async fn the_latest_version_and_each_older_one_are_read() {
    let world = World::new().await;
    let first = world.set("db", "one").await;
    let second = world.set("db", "two").await;
    assert_ne!(first, second, "a version each time");
    assert_eq!(world.get("db", None).await.unwrap().value.expose(), "two");
    assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "one");
    assert_eq!(world.get("db", Some(second)).await.unwrap().value.expose(), "two");
    let same = world.set("db", "two").await;
    assert_ne!(second, same, "even for an identical value");
}

#[tokio::test]
async fn values_of_every_size_come_back_as_they_are() {
    let world = World::new().await;
    for value in ["", " ", "\u{0}\n\"é🗝", &"x".repeat(limits::SECRET_VALUE_BYTES_MAX)] {
        world.set("db", value).await;
        assert!(world.get("db", None).await.unwrap().value.expose() == value);
    }
    let long = "x".repeat(limits::SECRET_VALUE_BYTES_MAX + 1);
    let refused = world.set_with("db", &long, |_| {}).await.unwrap_err();
    assert!(matches!(refused, VaultError::TooLarge { limit: limits::SECRET_VALUE_BYTES_MAX, .. }));
}

#[tokio::test]
async fn names_are_found_in_any_case_and_keep_their_first_spelling() {
    let world = World::new().await;
    world.set("Db-Password", "one").await;
    let again = world.set_with("DB-PASSWORD", "two", |_| {}).await.unwrap();
    assert_eq!(again.secret.head.name.as_str(), "Db-Password");
    let read = world.get("db-password", None).await.unwrap();
    assert_eq!((read.secret.head.name.as_str(), read.value.expose().as_str()), ("Db-Password", "two"));
    assert_eq!(world.list(25, None).await.unwrap().items.len(), 1);
    assert_eq!(world.versions("dB-pAssword", 25, None).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new().await;
    let version = world.set("db", "one").await;
    world.set("other", "two").await;
    assert!(matches!(world.get("nope", None).await, Err(VaultError::ObjectNotFound { version: None, .. })));
    let of_another = world.get("other", Some(version)).await;
    assert!(matches!(of_another, Err(VaultError::ObjectNotFound { version: Some(_), .. })));
    let updated = world.update("nope", None, SecretChange::default()).await;
    assert!(matches!(updated, Err(VaultError::ObjectNotFound { .. })));
    assert!(matches!(world.versions("nope", 25, None).await, Err(VaultError::ObjectNotFound { .. })));
    let elsewhere = VaultName::parse("nowhere").unwrap();
    let read = world.service.get_secret(&world.caller(), &elsewhere, &secret("db"), None).await;
    assert!(matches!(read, Err(VaultError::VaultNotFound { .. })));
}

#[tokio::test]
async fn a_disabled_version_is_refused_and_no_older_one_takes_its_place() {
    let world = World::new().await;
    let first = world.set("db", "one").await;
    let disabled = |asked: &mut SetSecret| asked.attributes.enabled = Some(false);
    let second = world.set_with("db", "two", disabled).await.unwrap().secret.version.version;
    assert!(matches!(world.get("db", None).await, Err(VaultError::SecretDisabled { .. })));
    assert!(matches!(world.get("db", Some(second)).await, Err(VaultError::SecretDisabled { .. })));
    assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "one");
    let listed = world.list(25, None).await.unwrap();
    assert!(!listed.items[0].record.attributes.enabled, "listed all the same");
    let enable = AttributesChange { enabled: Some(true), ..AttributesChange::default() };
    world.update("db", None, SecretChange { attributes: enable, ..SecretChange::default() }).await.unwrap();
    assert_eq!(world.get("db", None).await.unwrap().value.expose(), "two");
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let world = World::new().await;
    let times = |not_before, expires| AttributesChange {
        enabled: None,
        not_before: Some(Timestamp::from_seconds(not_before)),
        expires: Some(Timestamp::from_seconds(expires)),
    };
    let made = world
        .set_with("db", "one", |asked| {
            asked.content_type = Some("text/plain".to_owned());
            asked.tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
            asked.attributes = times(1, 2);
        })
        .await
        .unwrap();
    let record = made.secret.version;

    let empty = world.update("db", None, SecretChange::default()).await.unwrap().record;
    let touched = Version<Secrets> {
        attributes: crate::SecretAttributes { updated: LATER, ..record.attributes },
        ..Version<Secrets>::clone(&record)
    };
    assert_eq!(*empty, touched, "nothing but the time of the change");

    let change = SecretChange {
        content_type: Some(String::new()),
        tags: Some(BTreeMap::from([("c".to_owned(), "d".to_owned())])),
        attributes: times(3, 4),
    };
    let changed = world.update("db", Some(record.version), change).await.unwrap().record;
    assert_eq!(changed.content_type.as_deref(), Some(""));
    assert_eq!(changed.tags, BTreeMap::from([("c".to_owned(), "d".to_owned())]), "all tags are replaced");
    assert_eq!(changed.attributes.expires, Some(Timestamp::from_seconds(4)));
    assert_eq!((changed.version, changed.attributes.created), (record.version, NOW));
    let none = SecretChange { tags: Some(BTreeMap::new()), ..SecretChange::default() };
    assert!(world.update("db", None, none).await.unwrap().record.tags.is_empty());
    // Expired since 1970, and served: the times are for people to read.
    assert_eq!(world.get("db", None).await.unwrap().value.expose(), "one");
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_and_not_kept() {
    let world = World::new().await;
    let tags = |number: usize, name: usize, value: usize, c: char| -> BTreeMap<String, String> {
        let text = |length: usize| c.to_string().repeat(length);
        (0..number).map(|n| (format!("{n:02}{}", text(name - 2)), text(value))).collect()
    };
    let (most, chars) = (limits::TAGS_MAX, limits::TAG_CHARS_MAX);
    for bad in [tags(most + 1, 2, 1, 'x'), tags(1, chars + 1, 1, 'x'), tags(1, 2, chars + 1, 'é')] {
        let set = world.set_with("db", "v", |asked| asked.tags = bad.clone()).await;
        assert!(matches!(set, Err(VaultError::TooLarge { .. })));
    }
    let long = "x".repeat(limits::CONTENT_TYPE_CHARS_MAX + 1);
    let set = world.set_with("db", "v", |asked| asked.content_type = Some(long.clone())).await;
    assert!(matches!(set, Err(VaultError::TooLarge { limit: limits::CONTENT_TYPE_CHARS_MAX, .. })));
    assert!(world.get("db", None).await.is_err());

    let longest = "é".repeat(limits::CONTENT_TYPE_CHARS_MAX);
    world.set_with("typed", "v", |asked| asked.content_type = Some(longest)).await.unwrap();
    let change = SecretChange { content_type: Some(long), ..SecretChange::default() };
    assert!(matches!(world.update("typed", None, change).await, Err(VaultError::TooLarge { .. })));

    let full = "x".repeat(limits::SECRET_VALUE_BYTES_MAX);
    world.set_with("full", &full, |asked| asked.tags = tags(most, chars, chars, 'x')).await.unwrap();
    // Tags of long characters do not fit beside it: refused as the caller's, not failed as the store's.
    let set = world.set_with("full", &full, |asked| asked.tags = tags(most, chars, chars, '\u{1}')).await;
    assert!(matches!(set, Err(VaultError::TooLarge { .. })));
    let change = SecretChange { tags: Some(tags(most, chars, chars, '🗝')), ..SecretChange::default() };
    assert!(matches!(world.update("full", None, change).await, Err(VaultError::TooLarge { .. })));
}

#[tokio::test]
async fn each_operation_needs_its_own_verb() {
    use SecretPermission::{Delete, Get, List, Purge, Set};
    let world = World::new().await;
    world.set("db", "one").await;
    for verbs in [&[Get][..], &[List], &[Set], &[Delete, Purge], &[Get, List]] {
        world.allow(verbs).await;
        let is_denied = |error: Option<VaultError>| match error {
            None => false,
            Some(VaultError::Denied(Denied::VerbMissing { .. })) => true,
            Some(other) => panic!("{other}"),
        };
        assert_eq!(is_denied(world.get("db", None).await.err()), !verbs.contains(&Get));
        assert_eq!(is_denied(world.list(25, None).await.err()), !verbs.contains(&List));
        assert_eq!(is_denied(world.versions("db", 25, None).await.err()), !verbs.contains(&List));
        assert_eq!(is_denied(world.set_with("db", "two", |_| {}).await.err()), !verbs.contains(&Set));
        let updated = world.update("db", None, SecretChange::default()).await;
        assert_eq!(is_denied(updated.err()), !verbs.contains(&Set));
        // Whether a secret is there is not for them to know.
        assert_eq!(
            is_denied(world.get("absent", None).await.err().filter(|_| !verbs.contains(&Get))),
            !verbs.contains(&Get)
        );
    }
}

#[tokio::test]
async fn a_policy_of_one_vault_opens_no_other() {
    let world = World::new().await;
    let next_door = VaultName::parse("next-door").unwrap();
    let maker = Principal { id: PrincipalId::random(&Counted(AtomicU64::new(77))), ..world.owner.clone() };
    world.write(vec![put::<Principal>(&maker.id, &maker)]).await;
    world.service.create_vault(&next_door, maker.tenant, maker.id, &VaultSettings::default(), NOW).await.unwrap();
    world.set("db", "one").await;
    let page = PageRequest { items: NonZeroU16::MIN, token: None };
    let (caller, name) = (world.caller(), secret("db"));
    let read = world.service.get_secret(&caller, &next_door, &name, None).await.err();
    let listed = world.service.list::<Secrets>(&caller, &next_door, &page).await.err();
    let versions = world.service.list_versions::<Secrets>(&caller, &next_door, &name, &page).await.err();
    let change = SecretChange::default();
    let updated = world.service.update_secret(&caller, &next_door, &name, None, &change, LATER).await.err();
    for refused in [read, listed, versions, updated] {
        assert!(matches!(refused, Some(VaultError::Denied(Denied::NoPolicy { .. }))), "{refused:?}");
    }
    let stranger = Caller::fixture(maker.id, maker.client, maker.tenant);
    let read = world.service.get_secret(&stranger, &world.vault, &name, None).await;
    assert!(matches!(read, Err(VaultError::Denied(Denied::NoPolicy { .. }))), "nor the other way round");
}

#[tokio::test]
async fn a_policy_that_is_removed_between_pages_ends_the_list() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.set(name, "one").await;
        world.set(name, "two").await;
    }
    let (names, versions) = (world.list(1, None).await.unwrap(), world.versions("a", 1, None).await.unwrap());
    assert!(names.next.is_some() && versions.next.is_some());
    world.allow(&[]).await;
    for refused in [world.list(1, names.next).await, world.versions("a", 1, versions.next).await] {
        assert!(matches!(refused, Err(VaultError::Denied(Denied::NoPolicy { .. }))));
    }
}

#[tokio::test]
async fn an_owner_may_everything_but_purge() {
    let world = World::new().await;
    let vault = world.service.show(&world.vault).await.unwrap();
    let [policy] = &*vault.policies else { panic!("one policy") };
    let lacking: Vec<_> =
        SecretPermission::ALL.into_iter().filter(|verb| !policy.secrets.contains(*verb)).collect();
    assert_eq!((policy.principal, lacking), (world.owner.id, vec![SecretPermission::Purge]));
}

#[tokio::test]
async fn policies_are_set_replaced_and_removed() {
    let world = World::new().await;
    let taken = world.service.create_vault(&world.vault, world.owner.tenant, world.owner.id, &VaultSettings::default(), NOW).await;
    assert!(matches!(taken, Err(VaultError::VaultExists { .. })));
    let upper = VaultName::parse("SHOP").unwrap();
    let taken = world.service.create(&upper, world.owner.tenant, world.owner.id, NOW).await;
    assert!(matches!(taken, Err(VaultError::VaultExists { .. })), "the same host name");

    let nobody = PrincipalId::random(&Counted(AtomicU64::new(99)));
    let get: SecretPermissions = [SecretPermission::Get].into_iter().collect();
    let set = world.service.set_policy(&world.vault, nobody, get).await;
    assert!(matches!(set, Err(VaultError::PrincipalNotFound { .. })));
    let vault = world.service.set_policy(&world.vault, world.owner.id, get).await.unwrap();
    assert_eq!(vault.policies, [AccessPolicy { principal: world.owner.id, secrets: get }]);

    // Of a principal that is gone, too.
    let gone = vec![store::delete::<Principal>(&world.owner.id)];
    world.write(gone).await;
    let vault = world.service.set_policy(&world.vault, world.owner.id, SecretPermissions::default()).await;
    assert_eq!(vault.unwrap().policies, []);

    let limit = limits::ACCESS_POLICIES_MAX;
    for number in 0..=limit {
        let id = PrincipalId::random(&Counted(AtomicU64::new(1_000 + number as u64)));
        let principal = Principal { id, ..world.owner.clone() };
        world.write(vec![put::<Principal>(&id, &principal)]).await;
        let set = world.service.set_policy(&world.vault, id, get).await;
        assert_eq!(set.is_ok(), number < limit, "{number}");
    }
}

#[tokio::test]
async fn a_removal_that_was_acknowledged_is_not_outrun() {
    let world = World::new().await;
    world.set("db", "one").await;
    world.allow(&[]).await;
    assert!(matches!(world.get("db", None).await, Err(VaultError::Denied(Denied::NoPolicy { .. }))));
    world.allow(&[SecretPermission::Get]).await;
    world.get("db", None).await.unwrap();
    let disabled = Principal { enabled: false, ..world.owner.clone() };
    world.write(vec![put::<Principal>(&world.owner.id, &disabled)]).await;
    let read = world.get("db", None).await;
    assert!(matches!(read, Err(VaultError::Denied(Denied::PrincipalDisabled { .. }))));
    world.write(vec![store::delete::<Principal>(&world.owner.id)]).await;
    let read = world.get("db", None).await;
    assert!(matches!(read, Err(VaultError::Denied(Denied::PrincipalGone { .. }))));
}

#[tokio::test]
async fn a_removal_while_a_list_is_gathered_is_not_outrun() {
    let world = World::new().await;
    world.set("db", "one").await;
    let (id, owner) = (world.owner.id, world.owner.clone());
    for versions in [false, true] {
        world.after_list(move |store| write_now(store, vec![store::delete::<Principal>(&id)]));
        let listed = match versions {
            true => world.versions("db", 25, None).await,
            false => world.list(25, None).await,
        };
        assert!(matches!(listed, Err(VaultError::Denied(Denied::PrincipalGone { .. }))));
        world.write(vec![put::<Principal>(&id, &owner)]).await;
    }
}

#[tokio::test]
async fn a_vault_that_was_replaced_while_a_list_is_gathered_is_not_the_one_that_was_asked() {
    let world = World::new().await;
    world.set("db", "one").await;
    let before = world.service.show(&world.vault).await.unwrap();
    for versions in [false, true] {
        let other = VaultId::random(&Counted(AtomicU64::new(555)));
        let replaced = Vault { id: other, ..Vault::clone(&before) };
        let name = world.vault.clone();
        world.after_list(move |store| write_now(store, vec![put::<Vault>(&name, &replaced)]));
        let listed = match versions {
            true => world.versions("db", 25, None).await,
            false => world.list(25, None).await,
        };
        assert!(matches!(listed, Err(VaultError::VaultNotFound { .. })));
        world.write(vec![put::<Vault>(&world.vault, &before)]).await;
    }
}

#[tokio::test]
async fn a_list_has_each_name_once_with_its_latest_version() {
    let world = World::new().await;
    for name in ["b", "a", "C"] {
        world.set(name, "one").await;
        world.set_with(name, "two", |asked| asked.content_type = Some(name.to_owned())).await.unwrap();
    }
    let page = world.list(25, None).await.unwrap();
    let shown: Vec<_> =
        page.items.iter().map(|item| (item.name.as_str(), item.record.content_type.as_deref())).collect();
    assert_eq!(shown, [("a", Some("a")), ("b", Some("b")), ("C", Some("C"))]);
    assert!(page.next.is_none());
}

#[tokio::test]
async fn pages_stay_right_while_others_write() {
    let world = World::new().await;
    let names: Vec<String> = (0..30).map(|number| format!("s-{number:02}")).collect();
    for name in &names {
        world.set(name, "one").await;
    }
    let (mut seen, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = world.list(7, token).await.unwrap();
        seen.extend(page.items.iter().map(|item| item.name.to_string()));
        // Before, between and after what was seen, and a new version of what was.
        world.set(&format!("a-{pages}"), "new").await;
        world.set("s-06-between", "new").await;
        world.set("s-03", "again").await;
        world.set(&format!("t-{pages}"), "new").await;
        pages += 1;
        token = page.next;
        if token.is_none() {
            break;
        }
        assert!(pages < 20, "no end");
    }
    let once: BTreeSet<_> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "nothing twice: {seen:?}");
    assert!(names.iter().all(|name| once.contains(name)), "nothing left out: {seen:?}");
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn versions_come_in_the_order_of_their_digits_over_pages() {
    let world = World::new().await;
    let mut made = BTreeSet::new();
    for _ in 0..60 {
        made.insert(world.set("db", "v").await);
    }
    world.set("db2", "neighbour").await;
    let (mut seen, mut token, mut sizes) = (Vec::new(), None, Vec::new());
    loop {
        let page = world.versions("db", 25, token).await.unwrap();
        sizes.push(page.items.len());
        seen.extend(page.items.iter().map(|item| item.record.version));
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [25, 25, 10]);
    assert_eq!(seen, made.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_token_leads_nowhere_but_into_its_own_list() {
    let world = World::new().await;
    world.set("db", "one").await;
    for strange in ["", "*", &"A".repeat(400)] {
        let listed = world.list(25, Some(strange.to_owned())).await;
        assert!(matches!(listed, Err(VaultError::PageTokenMalformed)), "{strange}");
    }
    // Well formed, of no key: an end of the list.
    let token = crypt::encoding::base64url(b"zzz/../../principal");
    assert!(world.list(25, Some(token)).await.unwrap().items.is_empty());
    // Who may not list does not learn what a token should look like.
    world.allow(&[SecretPermission::Get]).await;
    assert!(matches!(world.list(25, Some("*".to_owned())).await, Err(VaultError::Denied(_))));
}

#[tokio::test]
async fn a_sealed_value_that_was_moved_does_not_open() {
    let world = World::new().await;
    let first = world.set("db", "one").await;
    let second = world.set("db", "two").await;
    world.set("other", "three").await;
    let vault = world.service.show(&world.vault).await.unwrap();
    let of = |name: &str, version| (vault.id, secret(name), version);
    let read = async |id: (VaultId, ObjectName, ObjectVersion)| {
        query(&world.store.inner, |view| Ok::<_, store::Halt<StoreError>>(view.get::<Version<Secrets>>(&id)?))
            .await
            .unwrap()
            .unwrap()
    };
    let (old, new) = (read(of("db", first)).await, read(of("db", second)).await);
    // An older value in the place of the latest.
    let rolled_back = Version<Secrets> { sealed: old.sealed.clone(), ..Version<Secrets>::clone(&new) };
    world.write(vec![put::<Version<Secrets>>(&of("db", second), &rolled_back)]).await;
    assert!(matches!(world.get("db", None).await, Err(VaultError::Crypt(_))));
    // Another name's.
    let other = world.get("other", None).await.unwrap().secret.version;
    let swapped = Version<Secrets> { sealed: new.sealed.clone(), ..Version<Secrets>::clone(&other) };
    world.write(vec![put::<Version<Secrets>>(&of("other", other.version), &swapped)]).await;
    assert!(matches!(world.get("other", None).await, Err(VaultError::Crypt(_))));
    // Another vault's: its key does not even fit.
    let next_door = VaultName::parse("next-door").unwrap();
    let made = world.service.create(&next_door, world.owner.tenant, world.owner.id, NOW).await.unwrap();
    let head = SecretHead { name: secret("db"), latest: first };
    let writes = vec![
        put::<SecretHead>(&(made.id, secret("db")), &head),
        put::<Version<Secrets>>(&(made.id, secret("db"), first), &old),
    ];
    world.write(writes).await;
    let read = world.service.get_secret(&world.caller(), &next_door, &secret("db"), None).await;
    assert!(matches!(read, Err(VaultError::Crypt(_))));
    // Nor does a vault take the key of another.
    let taken = Vault { key: vault.key.clone(), ..made };
    world.write(vec![put::<Vault>(&next_door, &taken)]).await;
    let fresh = VaultService::new(
        world.store.clone(),
        Arc::new(Counted(AtomicU64::new(9_000))),
        world.service.root.clone(),
    );
    let read = fresh.get(&world.caller(), &next_door, &secret("db"), None).await;
    assert!(matches!(read, Err(VaultError::Crypt(_))));
    assert_eq!(world.get("db", Some(first)).await.unwrap().value.expose(), "one", "in its own place it does");
}

#[tokio::test]
async fn no_value_is_in_the_store_and_none_is_shown() {
    let world = World::new().await;
    world.set("db", "canary-value-27182818").await;
    let holds = |bytes: &[u8]| bytes.windows(12).any(|window| window == b"canary-value");
    assert!(world.store.inner.dump().iter().all(|(key, value)| !holds(key.as_bytes()) && !holds(value)));
    let read = world.get("db", None).await.unwrap();
    assert!(!format!("{read:?}").contains("canary"));
    let refused = world.set_with("db", &"canary-value".repeat(10_000), |_| {}).await.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("canary"));
}

#[tokio::test]
async fn keys_of_vaults_open_again_after_a_restart_and_with_the_root_key_only() {
    let world = World::new().await;
    world.set("db", "one").await;
    let entropy = Arc::new(Counted(AtomicU64::new(5_000)));
    let again = VaultService::new(world.store.clone(), entropy.clone(), world.service.root.clone());
    let read = again.get(&world.caller(), &world.vault, &secret("db"), None).await.unwrap();
    assert_eq!(read.value.value.expose(), "one");
    let stranger =
        VaultService::new(world.store.clone(), entropy.clone(), Arc::new(Key256::random(&*entropy)));
    let read = stranger.get(&world.caller(), &world.vault, &secret("db"), None).await;
    assert!(matches!(read, Err(VaultError::Crypt(_))));
}

#[tokio::test]
async fn what_was_allowed_says_why() {
    let world = World::new().await;
    world.set("db", "one").await;
    let read = world.service.get_secret(&world.caller(), &world.vault, &secret("db"), None).await.unwrap();
    let owner = world.owner.id;
    assert_eq!(read.because, format!("the vault's access policy for principal {owner} has get"));
}

#[tokio::test]
async fn vaults_are_listed_by_name() {
    let world = World::new().await;
    for name in ["zoo", "Alpha"] {
        let name = VaultName::parse(name).unwrap();
        world.service.create(&name, world.owner.tenant, world.owner.id, NOW).await.unwrap();
    }
    let vaults = world.service.list().await.unwrap();
    assert_eq!(vaults.iter().map(|vault| vault.name.as_str()).collect::<Vec<_>>(), ["Alpha", "shop", "zoo"]);
}
