//! Certificates of which the first version is still to come: changed, deleted, brought back and purged like those that are there.

use super::*;
use crate::certificates::ListedDeleted;
use domain::{ObjectKind, limits};

fn then() -> Timestamp {
    NOW.plus(DAY * u32::from(limits::RECOVERABLE_DAYS))
}

impl World {
    async fn delete_coming(&self, name: &str) -> Result<ListedDeleted, VaultError> {
        let deleted = self.service.delete_certificate(&self.asker(), &self.vault, &object(name), NOW).await;
        deleted.map(|deleted| deleted.value)
    }

    async fn deleted_coming(&self, name: &str) -> Result<ListedDeleted, VaultError> {
        let found = self.service.get_deleted_certificate(&self.asker(), &self.vault, &object(name)).await;
        found.map(|found| found.value)
    }

    async fn recover_coming(&self, name: &str) -> Result<Listed, VaultError> {
        let back = self.service.recover_certificate(&self.asker(), &self.vault, &object(name)).await;
        back.map(|back| back.value)
    }

    async fn purge_coming(&self, name: &str) -> Result<(), VaultError> {
        let purged = self.service.purge_certificate(&self.asker(), &self.vault, &object(name), NOW).await;
        purged.map(|purged| purged.value)
    }

    /// Names of deleted certificates, over pages of so many.
    async fn deleted_certificates(&self, items: u16, include_pending: bool) -> Vec<String> {
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            let (asker, request) = (self.asker(), page(items, token));
            let listed =
                self.service.list_deleted_certificates(&asker, &self.vault, &request, include_pending);
            let listed = listed.await.unwrap().value;
            names.extend(listed.items.iter().map(|item| match item {
                ListedDeleted::Certificate(deleted) => deleted.deleted.head.name.to_string(),
                ListedDeleted::Pending(pending, _) => format!("({})", pending.name),
            }));
            token = listed.next;
            if token.is_none() {
                return names;
            }
        }
    }

    async fn policy_of(&self, name: &str) -> CertificatePolicy {
        let asker = self.asker();
        self.service.get_certificate_policy(&asker, &self.vault, &object(name)).await.unwrap().value.policy
    }
}

fn certificate() -> ObjectKind {
    ObjectKind::Certificate
}

#[tokio::test]
async fn what_it_will_be_is_changed_before_it_comes() {
    let world = World::new().await;
    let mut staying = policy("Unknown");
    staying.key.exportable = Some(false);
    let pending = world.create("shop", asked(staying)).await.unwrap();
    let tags = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
    let mut leaving = PolicyAsked::default();
    leaving.key.exportable = Some(true);
    let (asker, name) = (world.asker(), object("shop"));
    let change = |version, change| {
        let (service, vault, asker, name) = (&world.service, &world.vault, &asker, &name);
        async move { service.update_certificate(asker, vault, name, version, &change, LATER).await }
    };
    let another = "0123456789abcdef0123456789abcdef".parse().unwrap();
    refused!(change(Some(another), CertificateChange::default()).await, VaultError::ObjectNotFound { .. });
    let too_many = (0..16).map(|n| (n.to_string(), String::new())).collect();
    let too_many = CertificateChange { tags: Some(too_many), ..CertificateChange::default() };
    refused!(change(None, too_many).await, VaultError::TooLarge { .. });
    let said =
        CertificateChange { enabled: Some(false), tags: Some(tags.clone()), policy: Some(leaving.clone()) };
    let Listed::Pending(changed) = change(Some(pending.version), said).await.unwrap().value else {
        panic!("it has not come")
    };
    assert_eq!((&changed.tags, changed.enabled, changed.updated), (&tags, false, LATER));
    assert!(world.policy_of("shop").await.key.exportable);
    let mut nobodys = PolicyAsked::default();
    nobodys.issuer.name = Some("nobody".to_owned());
    refused!(
        world.change_policy("shop", nobodys).await,
        VaultError::Certificate(CertificateFault::IssuerNotFound { .. })
    );
    let merged = world.merge("shop", signed(&pending.request_der.unwrap().0, "CN=shop")).await.unwrap();
    assert_eq!((&merged.version.tags, merged.version.attributes.enabled), (&tags, false));
    // How its successors are made is not how it was: its key was not to leave.
    assert!(merged.version.content.keeps_key);
    assert!(merged.head.about.policy.key.exportable);
    change(None, CertificateChange { enabled: Some(true), ..CertificateChange::default() }).await.unwrap();
    let value = crypt::encoding::from_base64(world.value("shop").await).unwrap();
    assert!(read_pfx(&Secret::new(value), None).is_err(), "nor has its secret the key");
}

#[tokio::test]
async fn a_change_of_the_policy_outlives_the_version_that_was_being_made() {
    let world = World::new().await;
    world.create("shop", asked(policy("Self"))).await.unwrap();
    let pending = world.create("shop", asked(policy("Unknown"))).await.unwrap();
    let mut longer = PolicyAsked::default();
    longer.x509.validity_months = Some(7);
    world.change_policy("shop", longer).await.unwrap();
    world.merge("shop", signed(&pending.request_der.unwrap().0, "CN=shop")).await.unwrap();
    let after = world.policy_of("shop").await;
    assert_eq!(after.validity_months, 7);
    assert!(after.is_of("Unknown"), "and the version's own policy is the certificate's");
}

#[tokio::test]
async fn one_that_was_called_off_or_failed_is_still_told() {
    let world = World::new().await;
    world.set_issuer("far", "DigiCert", true).await.unwrap();
    let failed = world.create("failed", asked(policy("far"))).await.unwrap();
    assert_eq!(world.coming("failed", None).await.unwrap(), (failed.version, true));
    world.delete_coming("failed").await.unwrap();
    assert_eq!(world.deleted_certificates(25, true).await, ["(failed)"]);
    world.recover_coming("failed").await.unwrap();
    assert!(matches!(world.pending("failed").await.unwrap().status, PendingStatus::Failed { .. }));
    // And gives way to the next.
    world.create("failed", asked(policy("Self"))).await.unwrap();
    world.certificate("failed").await.unwrap();
}

#[tokio::test]
async fn it_is_deleted_and_comes_back_as_it_was() {
    let world = World::new().await;
    let pending = world.create("Shop", asked(policy("Unknown"))).await.unwrap();
    refused!(world.delete_coming("other").await, VaultError::ObjectNotFound { .. });
    refused!(world.deleted_coming("shop").await, VaultError::DeletedObjectNotFound { .. });
    refused!(world.recover_coming("shop").await, VaultError::DeletedObjectNotFound { .. });
    let ListedDeleted::Pending(deleted, how) = world.delete_coming("shop").await.unwrap() else {
        panic!("it has not come")
    };
    assert_eq!((deleted.version, how.deleted, how.purge_at), (pending.version, NOW, then()));
    assert!(matches!(world.deleted_coming("SHOP").await.unwrap(), ListedDeleted::Pending(..)));
    // Nobody sees it, signs for it, or takes its name.
    refused!(world.coming("shop", None).await, VaultError::ObjectNotFound { .. });
    refused!(world.pending("shop").await, VaultError::Certificate(CertificateFault::PendingNotFound { .. }));
    refused!(world.delete_coming("shop").await, VaultError::ObjectNotFound { .. });
    let chain = signed(&pending.request_der.clone().unwrap().0, "CN=shop");
    let merged = world.merge("shop", chain.clone()).await;
    refused!(merged, VaultError::Certificate(CertificateFault::PendingNotFound { .. }));
    let (asker, name, service) = (world.asker(), object("shop"), &world.service);
    let cancelled = service.cancel_pending_certificate(&asker, &world.vault, &name, NOW).await;
    refused!(cancelled, VaultError::Certificate(CertificateFault::PendingNotFound { .. }));
    let forgotten = service.delete_pending_certificate(&asker, &world.vault, &name).await;
    refused!(forgotten, VaultError::Certificate(CertificateFault::PendingNotFound { .. }));
    let kind = certificate();
    for issuer in ["Self", "Unknown"] {
        let again = world.create("shop", asked(policy(issuer))).await.unwrap_err();
        assert_eq!(again.to_string(), VaultError::ObjectIsDeleted { kind, name: object("shop") }.to_string());
    }
    let set = world.set_with("shop", "mine", |_| {}).await;
    refused!(set, VaultError::ObjectIsDeleted { kind: ObjectKind::Secret, .. });
    // With everything that it was.
    assert!(matches!(world.recover_coming("shop").await.unwrap(), Listed::Pending(_)));
    assert_eq!(Pending::clone(&*world.pending("shop").await.unwrap()), pending);
    assert!(world.stored("due/").is_empty());
    assert_eq!(world.merge("shop", chain).await.unwrap().version.version, pending.version);
    world.pfx("shop").await;
}

#[tokio::test]
async fn it_is_purged_by_who_may_or_when_its_time_comes() {
    let world = World::new().await;
    world.create("shop", asked(policy("Unknown"))).await.unwrap();
    world.delete_coming("shop").await.unwrap();
    refused!(world.purge_coming("shop").await, VaultError::Denied(_));
    world.allow_certificates().await;
    world.purge_coming("shop").await.unwrap();
    refused!(world.purge_coming("shop").await, VaultError::DeletedObjectNotFound { .. });
    assert!(world.stored("due/").is_empty() && world.stored("certificate-pending/").is_empty());
    // The name is free. Its time is counted from the last deletion.
    world.create("shop", asked(policy("Unknown"))).await.unwrap();
    world.delete_coming("shop").await.unwrap();
    world.recover_coming("shop").await.unwrap();
    assert!(world.service.run_due(then()).await.unwrap().is_empty());
    world.pending("shop").await.unwrap();
    world.delete_coming("shop").await.unwrap();
    assert!(world.service.run_due(Timestamp::from_seconds(then().seconds() - 1)).await.unwrap().is_empty());
    world.deleted_coming("shop").await.unwrap();
    let done = world.service.run_due(then()).await.unwrap();
    assert!(matches!(&*done, [one] if matches!(one.task, Task::Purge { kind: ObjectKind::Certificate, .. })));
    refused!(world.deleted_coming("shop").await, VaultError::DeletedObjectNotFound { .. });
    assert!(world.stored("due/").is_empty() && world.stored("certificate-pending/").is_empty());
}

#[tokio::test]
async fn purge_protection_protects_it_too() {
    let settings = VaultSettings { purge_protection: Some(true), ..VaultSettings::default() };
    let world = World::with(&settings).await;
    world.allow_certificates().await;
    world.create("shop", asked(policy("Unknown"))).await.unwrap();
    world.delete_coming("shop").await.unwrap();
    refused!(world.purge_coming("shop").await, VaultError::PurgeProtected { .. });
    world.recover_coming("shop").await.unwrap();
}

#[tokio::test]
async fn lists_of_deleted_ones_have_it_if_it_is_asked_for() {
    let world = World::new().await;
    for name in ["a", "c", "e"] {
        world.create(name, asked(policy("Self"))).await.unwrap();
    }
    for name in ["b", "d", "f", "stays"] {
        world.create(name, asked(policy("Unknown"))).await.unwrap();
    }
    for name in ["a", "b", "c", "d", "e", "f"] {
        world.delete_coming(name).await.unwrap();
    }
    for items in [1, 2, 3, 25] {
        let all = ["a", "(b)", "c", "(d)", "e", "(f)"];
        assert_eq!(world.deleted_certificates(items, true).await, all, "{items}");
        assert_eq!(world.deleted_certificates(items, false).await, ["a", "c", "e"], "{items}");
    }
}

#[tokio::test]
async fn each_of_it_needs_its_own_permission() {
    let world = World::new().await;
    for name in ["there", "deleted"] {
        world.create(name, asked(policy("Unknown"))).await.unwrap();
    }
    world.delete_coming("deleted").await.unwrap();
    let none = Permissions { certificates: domain::VerbSet::default(), ..Permissions::all_but_purge() };
    world.service.set_policy(BY, &world.vault, world.principal.id, none).await.unwrap();
    refused!(world.delete_coming("there").await, VaultError::Denied(_));
    refused!(world.change_policy("there", PolicyAsked::default()).await, VaultError::Denied(_));
    refused!(world.change_certificate("there", CertificateChange::default()).await, VaultError::Denied(_));
    refused!(world.deleted_coming("deleted").await, VaultError::Denied(_));
    refused!(world.recover_coming("deleted").await, VaultError::Denied(_));
    refused!(world.purge_coming("deleted").await, VaultError::Denied(_));
    let (asker, request) = (world.asker(), page(25, None));
    let listed = world.service.list_deleted_certificates(&asker, &world.vault, &request, true).await;
    refused!(listed, VaultError::Denied(_));
}
