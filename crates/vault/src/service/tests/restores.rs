//! Restores that are refused: of a blob that is none of ours, into a name that is taken.

use super::*;
use crate::{Keys, backup};
use domain::{Entropy as _, ObjectKind, TenantId};

/// A world with a blob, and nothing of its secret left.
async fn with_blob() -> (World, String) {
    let world = World::new().await;
    world.allow_all().await;
    three_versions(&world, "db").await;
    let blob = world.backup("db").await.unwrap();
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    (world, blob)
}

/// Refused, and nothing is left of the attempt.
async fn is_rejected(world: &World, blob: &str, what: &str) {
    let before = world.store.inner.dump().len();
    match world.restore(blob).await {
        Err(VaultError::BackupRejected) => {}
        other => panic!("{what}: {other:?}"),
    }
    assert_eq!(world.store.inner.dump().len(), before, "{what}");
}

#[tokio::test]
async fn what_is_no_backup_is_rejected() {
    let (world, _) = with_blob().await;
    let mut random = [0; 4_000];
    fresh().fill(&mut random);
    let texts = ["", "AA", "*", "no base64!", "a backup", "{}", "null", "ü"].map(str::to_owned);
    let encoded =
        [&random[..], b"keyless-backup\x01", b"keyless-backup\x02", b"{\"head\":{},\"versions\":[]}"];
    let magic = [b"keyless-backup\x01", &random[..]].concat();
    let encoded = encoded.into_iter().chain([&*magic]).map(crypt::encoding::base64url);
    for blob in texts.into_iter().chain(encoded) {
        is_rejected(&world, &blob, &blob).await;
    }
}

/// Every tenth character of a blob is another one; it is cut and lengthened; it is encoded otherwise.
#[tokio::test]
async fn what_was_changed_is_rejected() {
    let (world, blob) = with_blob().await;
    let bytes = crypt::encoding::from_base64url(blob.as_bytes()).unwrap();
    for at in (0..bytes.len()).step_by(bytes.len() / 150) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        is_rejected(&world, &crypt::encoding::base64url(&changed), &format!("byte {at}")).await;
    }
    for length in [0, 1, 14, 15, 16, 40, bytes.len() / 2, bytes.len() - 1] {
        is_rejected(&world, &crypt::encoding::base64url(&bytes[..length]), &format!("{length} bytes")).await;
        is_rejected(&world, &blob[..length], &format!("{length} characters")).await;
    }
    let longer = [&bytes[..], b"\0"].concat();
    is_rejected(&world, &crypt::encoding::base64url(&longer), "one more byte").await;
    is_rejected(&world, &format!("{blob}{blob}"), "twice").await;
    is_rejected(&world, &format!(" {blob}"), "a space").await;
    world.restore(&blob).await.unwrap();
}

#[tokio::test]
async fn what_is_of_elsewhere_is_rejected() {
    let (world, blob) = with_blob().await;
    // Of another installation: the store is the same, the root key is not.
    let root = Arc::new(Key256::random(&fresh()));
    let foreign = service(world.store.inner.clone(), Arc::new(fresh()), root);
    let foreign = World { service: Arc::new(foreign), ..world.clone() };
    is_rejected(&foreign, &blob, "another installation").await;
    let theirs = foreign.at("theirs");
    theirs.make(&VaultSettings::default()).await.unwrap();
    theirs.set("db", "one").await;
    is_rejected(&world, &theirs.backup("db").await.unwrap(), "another installation's").await;
    // Of another tenant: its vault, with the same owner.
    let mut other = world.at("other-tenant");
    other.principal.tenant = TenantId::random(&fresh());
    other.make(&VaultSettings::default()).await.unwrap();
    is_rejected(&other, &blob, "another tenant").await;
    // Of another kind: what is a secret's is no key's.
    let permissions = Permissions { keys: domain::VerbSet::all(), ..Permissions::all_but_purge() };
    world.service.set_policy(BY, &world.vault, world.principal.id, permissions).await.unwrap();
    let keys = world.service.restore::<Keys>(&world.asker(), &world.vault, &blob, LATER).await;
    refused!(keys, VaultError::BackupRejected);
    world.restore(&blob).await.unwrap();
}

/// A blob that opens and does not fit itself: nobody but we could make one, and it is refused all the same.
#[tokio::test]
async fn what_does_not_fit_itself_is_rejected() {
    let (world, blob) = with_blob().await;
    let (key, tenant) = (&world.service.backup_key, world.principal.tenant);
    let open = || {
        let saved: backup::SavedObject<Secrets> =
            backup::open(key, tenant, ObjectKind::Secret, &blob).unwrap();
        saved
    };
    let seal = |saved: &backup::SavedObject<Secrets>| {
        backup::seal(key, tenant, ObjectKind::Secret, saved, &fresh()).unwrap()
    };
    world.restore(&seal(&open())).await.unwrap();
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    let mut none = open();
    none.versions.clear();
    is_rejected(&world, &seal(&none), "no version").await;
    let mut other = open();
    other.head.latest = ObjectVersion::random(&fresh());
    is_rejected(&world, &seal(&other), "no latest version").await;
    // Values that changed places: each is sealed for its own.
    let mut swapped = open();
    let content = swapped.versions[0].content.clone();
    swapped.versions[0].content = swapped.versions[1].content.clone();
    swapped.versions[1].content = content;
    refused!(world.restore(&seal(&swapped)).await, VaultError::BackupRejected);
    refused!(world.get("db", None).await, VaultError::ObjectNotFound { .. });
}

#[tokio::test]
async fn a_name_that_is_taken_stays_as_it_is() {
    let (world, blob) = with_blob().await;
    world.set("DB", "mine").await;
    let before = world.store.inner.dump().len();
    refused!(world.restore(&blob).await, VaultError::NameTaken { kind: ObjectKind::Secret, .. });
    assert_eq!((world.value("db").await.as_str(), world.all_of("db").await.len()), ("mine", 1));
    assert_eq!(world.store.inner.dump().len(), before, "what was laid out is removed");
    world.delete("db").await.unwrap();
    refused!(world.restore(&blob).await, VaultError::ObjectIsDeleted { kind: ObjectKind::Secret, .. });
    world.recover("db").await.unwrap();
    assert_eq!((world.value("db").await.as_str(), world.all_of("db").await.len()), ("mine", 1));
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    world.restore(&blob).await.unwrap();
    refused!(world.restore(&blob).await, VaultError::NameTaken { .. });
    assert_eq!(world.all_of("db").await.len(), 3);
}

#[tokio::test]
async fn a_removal_while_a_restore_is_under_way_is_not_outrun() {
    let (world, blob) = with_blob().await;
    let meddler = world.elsewhere();
    world.before_commit(1, move || at_once(meddler.allow(&[SecretPermission::Get])));
    refused!(world.restore(&blob).await, VaultError::Denied(_));
    assert!(world.stored("secret-version/").is_empty() && world.stored("secret/").is_empty());
    refused!(world.restore(&blob).await, VaultError::Denied(_));
    refused!(world.at("nowhere").restore(&blob).await, VaultError::VaultNotFound { .. });
}
