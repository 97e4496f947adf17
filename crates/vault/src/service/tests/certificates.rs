//! Certificates: one object that is three, made, merged, taken in, renewed, disabled, deleted and brought back as one.

mod coming;
mod imported;
mod reused;
mod versions;

use super::*;
use crate::{
    CertificateFault, Certificates, Head, KeyOp, Keys,
    certificates::{
        Administrator, CertificateChange, CertificatePolicy, ContentType, CreateCertificate,
        ImportCertificate, Issuer, IssuerAsked, IssuerChange, IssuerCredentials, KeyAsked, LifetimeAction,
        LifetimeActionKind, Listed, MergeCertificate, Names, Pending, PendingStatus, PlatformManaged,
        PolicyAsked, Trigger, X509Asked,
    },
    schedule::Task,
};
use crypt::{
    Authority,
    certificate::{
        self, CertificateError, CertificateProfile, Imported, ParsedCertificate, Reserved, Subject, read_pfx,
        read_request,
    },
};
use domain::CertificatePermission;

/// A policy for a key that is made in no time.
fn policy(issuer: &str) -> PolicyAsked {
    PolicyAsked {
        key: KeyAsked { key_type: Some("EC".to_owned()), ..KeyAsked::default() },
        x509: X509Asked { subject: Some("CN=shop".to_owned()), ..X509Asked::default() },
        issuer: IssuerAsked { name: Some(issuer.to_owned()), ..IssuerAsked::default() },
        ..PolicyAsked::default()
    }
}

fn asked(policy: PolicyAsked) -> CreateCertificate {
    CreateCertificate { policy: Some(policy), ..CreateCertificate::default() }
}

fn parsed(der: &[u8]) -> ParsedCertificate {
    ParsedCertificate::from_der(der).unwrap()
}

/// Signs a request as somebody outside would.
fn signed(request: &[u8], subject: &str) -> Vec<Vec<u8>> {
    let authority = Authority::create("Somebody", NOW).unwrap();
    let reserved = Reserved { dns_names: &[], ip_addresses: &[] };
    let profile = CertificateProfile::new(Subject::parse(subject).unwrap());
    let key = read_request(request).unwrap().public_key;
    certificate::issue_from(&authority, &reserved, &profile, &key, NOW, &fresh()).unwrap()
}

impl World {
    async fn create(&self, name: &str, asked: CreateCertificate) -> Result<Pending, VaultError> {
        self.create_at(name, asked, NOW).await
    }

    async fn create_at(
        &self,
        name: &str,
        asked: CreateCertificate,
        now: Timestamp,
    ) -> Result<Pending, VaultError> {
        let created =
            self.service.create_certificate(&self.asker(), &self.vault, &object(name), &asked, now).await;
        created.map(|created| created.value)
    }

    async fn certificate(&self, name: &str) -> Result<Object<Certificates>, VaultError> {
        let found = self.service.get_certificate(&self.asker(), &self.vault, &object(name), None).await;
        match found?.value {
            Listed::Certificate(object) => Ok(object),
            // As before it is there.
            Listed::Pending(_) => Err(VaultError::ObjectNotFound {
                kind: domain::ObjectKind::Certificate,
                name: object(name),
                version: None,
            }),
        }
    }

    async fn its_key(&self, name: &str) -> Object<Keys> {
        self.service.see::<Keys>(&self.asker(), &self.vault, &object(name), None).await.unwrap().value
    }

    async fn pfx(&self, name: &str) -> Imported {
        let value = crypt::encoding::from_base64(self.value(name).await).unwrap();
        read_pfx(&Secret::new(value), None).unwrap()
    }

    /// Of what is there by this name and version: which version, and whether it is still to come.
    async fn coming(
        &self,
        name: &str,
        version: Option<ObjectVersion>,
    ) -> Result<(ObjectVersion, bool), VaultError> {
        let asker = self.asker();
        let found = self.service.get_certificate(&asker, &self.vault, &object(name), version).await?;
        Ok(match found.value {
            Listed::Certificate(object) => (object.version.version, false),
            Listed::Pending(pending) => (pending.version, true),
        })
    }

    async fn pending(&self, name: &str) -> Result<Arc<Pending>, VaultError> {
        let found = self.service.get_pending_certificate(&self.asker(), &self.vault, &object(name)).await;
        found.map(|found| found.value)
    }

    async fn merge(
        &self,
        name: &str,
        certificates: Vec<Vec<u8>>,
    ) -> Result<Object<Certificates>, VaultError> {
        let asked = MergeCertificate { certificates, enabled: None, tags: None };
        let merged =
            self.service.merge_certificate(&self.asker(), &self.vault, &object(name), &asked, LATER).await;
        merged.map(|merged| merged.value)
    }

    async fn change_certificate(
        &self,
        name: &str,
        change: CertificateChange,
    ) -> Result<Object<Certificates>, VaultError> {
        let name = object(name);
        let asker = self.asker();
        let updated = self.service.update_certificate(&asker, &self.vault, &name, None, &change, LATER).await;
        match updated?.value {
            Listed::Certificate(object) => Ok(object),
            Listed::Pending(_) => panic!("it has not come"),
        }
    }

    async fn set_issuer(&self, name: &str, provider: &str, enabled: bool) -> Result<Issuer, VaultError> {
        let change = IssuerChange {
            provider: Some(provider.to_owned()),
            credentials: Some(IssuerCredentials {
                account: Some("account".to_owned()),
                password: Some(Secret::new("canary-password".to_owned())),
            }),
            enabled: Some(enabled),
            ..IssuerChange::default()
        };
        let set = self.service.set_issuer(&self.asker(), &self.vault, &object(name), &change, NOW).await;
        set.map(|set| set.value)
    }

    async fn import(&self, name: &str, asked: ImportCertificate) -> Result<Object<Certificates>, VaultError> {
        let imported =
            self.service.import_certificate(&self.asker(), &self.vault, &object(name), &asked, NOW).await;
        imported.map(|imported| imported.value)
    }

    async fn change_policy(&self, name: &str, asked: PolicyAsked) -> Result<(), VaultError> {
        let (asker, name) = (self.asker(), object(name));
        self.service.update_certificate_policy(&asker, &self.vault, &name, &asked, NOW).await.map(drop)
    }

    async fn versions_of(&self, name: &str) -> Vec<ObjectVersion> {
        let (request, asker, name) = (page(25, None), self.asker(), object(name));
        let listed = self.service.list_versions::<Certificates>(&asker, &self.vault, &name, &request);
        listed.await.unwrap().value.items.iter().map(|item| item.version.version).collect()
    }

    async fn allow_certificates(&self) {
        let permissions = Permissions {
            certificates: <CertificatePermission as domain::Permission>::ALL.iter().copied().collect(),
            ..Permissions::all_but_purge()
        };
        self.service.set_policy(BY, &self.vault, self.principal.id, permissions).await.unwrap();
    }

    /// When the certificate is renewed.
    async fn renewed_at(&self, name: &str) -> Timestamp {
        self.certificate(name).await.unwrap().head.about.renewal.unwrap()
    }

    async fn renew(&self, now: Timestamp) -> usize {
        let done = self.service.run_due(now).await.unwrap();
        done.iter().filter(|done| matches!(done.task, Task::Renew { .. })).count()
    }
}

fn import(value: Secret<String>) -> ImportCertificate {
    ImportCertificate {
        value,
        password: None,
        policy: None,
        enabled: None,
        tags: BTreeMap::new(),
        preserve_order: None,
    }
}

#[tokio::test]
async fn a_certificate_is_three_objects_of_one_version() {
    let world = World::new().await;
    let mut new = asked(policy("Self"));
    new.tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let pending = world.create("shop", new).await.unwrap();
    assert_eq!(pending.status, PendingStatus::Completed);
    let (certificate, key) = (world.certificate("shop").await.unwrap(), world.its_key("shop").await);
    let secret = world.get("shop", None).await.unwrap().secret;
    let version = certificate.version.version;
    assert_eq!([key.version.version, secret.version.version, pending.version], [version; 3]);
    assert!(key.head.managed && secret.head.managed && !certificate.head.managed);
    assert_eq!([&key.version.tags, &secret.version.tags], [&certificate.version.tags; 2]);
    let leaf = parsed(&certificate.version.content.leaf.0);
    let attributes = certificate.version.attributes;
    assert_eq!((attributes.not_before, attributes.expires), (Some(leaf.not_before), Some(leaf.not_after)));
    assert_eq!([key.version.attributes, secret.version.attributes], [attributes; 2]);
    assert_eq!(secret.version.content.content_type.as_deref(), Some("application/x-pkcs12"));
    assert_eq!(key.version.content.operations, [KeyOp::Sign, KeyOp::Verify]);
    // What the secret holds is what the certificate says.
    let pfx = world.pfx("shop").await;
    assert_eq!(pfx.leaf().unwrap().der, certificate.version.content.leaf.0);
    let request = read_request(&pending.request_der.unwrap().0).unwrap();
    assert_eq!(request.public_key, leaf.public_key);
    // Its key and its secret are the certificate's to change.
    refused!(world.set_with("shop", "mine", |_| {}).await, VaultError::ManagedByCertificate { .. });
    refused!(world.delete("shop").await, VaultError::ManagedByCertificate { .. });
    refused!(world.backup("shop").await, VaultError::ManagedByCertificate { .. });
    for (said, is_so) in [("application/x-pkcs12", true), ("application/x-pem-file", false), ("text", false)]
    {
        let change = SecretChange { content_type: Some(said.to_owned()), ..SecretChange::default() };
        let (asker, name) = (world.asker(), object("shop"));
        let changed = world.service.update_secret(&asker, &world.vault, &name, None, &change, NOW).await;
        match is_so {
            true => drop(changed.unwrap()),
            false => refused!(changed, VaultError::ManagedByCertificate { .. }),
        }
    }
    for reserved in ["contacts", "Issuers"] {
        for issuer in ["Self", "Unknown"] {
            let refused = world.create(reserved, asked(policy(issuer))).await.unwrap_err();
            assert!(refused.to_string().contains("another than contacts and issuers"), "{refused}");
        }
    }
    assert_eq!(world.pending("shop").await.unwrap().status, PendingStatus::Completed);
}

#[tokio::test]
async fn a_name_that_a_key_or_secret_has_is_no_certificates_and_the_reverse() {
    let world = World::new().await;
    world.set("db", "mine").await;
    let (secret, key) = (domain::ObjectKind::Secret, domain::ObjectKind::Certificate);
    refused!(world.create("db", asked(policy("Self"))).await, VaultError::NameTaken { kind, .. } if kind == secret);
    refused!(world.create("db", asked(policy("Unknown"))).await, VaultError::NameTaken { .. });
    // Also while the certificate is being made: it could not be merged otherwise.
    world.create("shop", asked(policy("Unknown"))).await.unwrap();
    refused!(world.set_with("shop", "mine", |_| {}).await, VaultError::NameTaken { kind, .. } if kind == key);
    let blob = world.backup("db").await.unwrap();
    world.delete("db").await.unwrap();
    world.allow_all().await;
    world.purge("db").await.unwrap();
    let owner = Permissions::all_but_purge();
    world.service.set_policy(BY, &world.vault, world.principal.id, owner).await.unwrap();
    world.create("db", asked(policy("Unknown"))).await.unwrap();
    refused!(world.restore(&blob).await, VaultError::NameTaken { .. });
    world.service.delete_pending_certificate(&world.asker(), &world.vault, &object("db")).await.unwrap();
    world.restore(&blob).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_before_there_is_a_key() {
    let world = World::new().await;
    let refuse = async |change: &dyn Fn(&mut PolicyAsked)| {
        let mut wrong = policy("Self");
        change(&mut wrong);
        match world.create("shop", asked(wrong)).await {
            Err(VaultError::Certificate(fault)) => fault,
            other => panic!("{other:?}"),
        }
    };
    use CertificateFault::{Invalid, Refused};
    let text = |text: &str| Some(text.to_owned());
    assert!(matches!(
        refuse(&|p| p.x509.subject = text("shop")).await,
        Refused(CertificateError::Subject { .. })
    ));
    assert!(matches!(refuse(&|p| p.x509.subject = None).await, Refused(CertificateError::Nameless)));
    assert!(matches!(
        refuse(&|p| p.x509.validity_months = Some(0)).await,
        Refused(CertificateError::Validity)
    ));
    assert!(matches!(refuse(&|p| p.x509.key_usage = Some(vec!["x".to_owned()])).await, Refused(_)));
    assert!(matches!(refuse(&|p| p.key.key_type = text("oct")).await, Invalid { .. }));
    assert!(matches!(refuse(&|p| p.key.size = Some(2048)).await, Invalid { .. }));
    assert!(matches!(refuse(&|p| p.key.curve = text("P-1")).await, Invalid { .. }));
    assert!(matches!(refuse(&|p| p.content_type = text("text/plain")).await, Invalid { .. }));
    assert!(matches!(refuse(&|p| p.issuer.name = text("no such!")).await, Invalid { .. }));
    assert!(matches!(
        refuse(&|p| p.issuer.name = text("nobody")).await,
        CertificateFault::IssuerNotFound { .. }
    ));
    for trigger in [
        Trigger::LifetimePercentage(0),
        Trigger::LifetimePercentage(100),
        Trigger::DaysBeforeExpiry(0),
        Trigger::DaysBeforeExpiry(12 * 27 + 1),
    ] {
        let action = LifetimeAction { trigger, action: LifetimeActionKind::AutoRenew };
        assert!(matches!(refuse(&|p| p.lifetime_actions = Some(vec![action])).await, Invalid { .. }));
    }
    let long = Names { uris: vec![format!("urn:{}", "x".repeat(2_000)); 9], ..Names::default() };
    assert!(matches!(refuse(&|p| p.x509.names = Some(long.clone())).await, Invalid { .. }));
    let fault = world.create("shop", CreateCertificate::default()).await;
    refused!(fault, VaultError::Certificate(CertificateFault::PolicyMissing));
    refused!(world.pending("shop").await, VaultError::Certificate(CertificateFault::PendingNotFound { .. }));
    refused!(world.coming("shop", None).await, VaultError::ObjectNotFound { .. });
}

#[test]
fn key_usages_say_what_the_key_may_do() {
    let operations = |usages: &[&str], key_type| {
        let key_usage = usages.iter().map(|usage| (*usage).to_owned()).collect();
        CertificatePolicy { key_usage, ..CertificatePolicy::default() }.operations(key_type)
    };
    use KeyOp::{Decrypt, Encrypt, Sign, UnwrapKey, Verify, WrapKey};
    use crypt::keys::KeyType::{Ec, Rsa};
    assert_eq!(operations(&["digitalSignature", "keyEncipherment"], Rsa), [Sign, Verify, WrapKey, UnwrapKey]);
    assert_eq!(operations(&["dataEncipherment"], Rsa), [Encrypt, Decrypt]);
    assert_eq!(operations(&["decipherOnly"], Rsa), [Decrypt]);
    assert_eq!(operations(&["encipherOnly"], Rsa), [Encrypt]);
    assert_eq!(operations(&["keyCertSign"], Ec), [Sign, Verify]);
    assert_eq!(operations(&["keyEncipherment"], Ec), []);
    assert_eq!(operations(&[], Rsa).len(), 6);
}

#[tokio::test]
async fn a_request_that_somebody_signs_is_merged() {
    let world = World::new().await;
    let pending = world.create("shop", asked(policy("Unknown"))).await.unwrap();
    assert_eq!(pending.status, PendingStatus::InProgress);
    let name = object("shop");
    refused!(world.certificate("shop").await, VaultError::ObjectNotFound { .. });
    // What there is of it is told in its place, by the version that it will be and no other.
    let (version, another) = (pending.version, "0123456789abcdef0123456789abcdef".parse().unwrap());
    for asked in [None, Some(version)] {
        assert_eq!(world.coming("shop", asked).await.unwrap(), (version, true));
    }
    refused!(world.coming("shop", Some(another)).await, VaultError::ObjectNotFound { .. });
    let again = world.create("shop", asked(policy("Self"))).await;
    refused!(again, VaultError::Certificate(CertificateFault::PendingInProgress { .. }));
    // Its policy is there before it is.
    let policy_of = world.service.get_certificate_policy(&world.asker(), &world.vault, &name).await.unwrap();
    assert_eq!(policy_of.value.policy.subject, "CN=shop");
    let request = pending.request_der.clone().unwrap().0;
    let other = world.create("other", asked(policy("Unknown"))).await.unwrap().request_der.unwrap().0;
    let wrong = world.merge("shop", signed(&other, "CN=shop")).await;
    refused!(wrong, VaultError::Certificate(CertificateFault::Refused(CertificateError::KeyMismatch)));
    let chain = signed(&request, "CN=whatever the authority says");
    let merged = world.merge("shop", vec![chain[1].clone(), chain[0].clone()]).await.unwrap();
    assert_eq!(merged.version.version, pending.version);
    for asked in [None, Some(version)] {
        assert_eq!(world.coming("shop", asked).await.unwrap(), (version, false));
    }
    assert_eq!(merged.version.content.leaf.0, chain[0]);
    let pfx = world.pfx("shop").await;
    let ders: Vec<Vec<u8>> = pfx.certificates.into_iter().map(|one| one.der).collect();
    assert_eq!(ders, chain, "the leaf first, whatever came first");
    let over = world.pending("shop").await.unwrap();
    assert_eq!((over.status.clone(), &over.sealed), (PendingStatus::Completed, &None));
    let twice = world.merge("shop", chain).await;
    refused!(twice, VaultError::Certificate(CertificateFault::PendingOver { .. }));
    assert!(world.stored("due/").is_empty(), "nobody here can renew it");
}

#[tokio::test]
async fn the_order_of_a_chain_is_kept_if_it_is_asked_to_be() {
    let world = World::new().await;
    let new = CreateCertificate { preserve_order: Some(true), ..asked(policy("Unknown")) };
    let pending = world.create("shop", new).await.unwrap();
    let mut chain = signed(&pending.request_der.unwrap().0, "CN=shop");
    chain.reverse();
    let merged = world.merge("shop", chain.clone()).await.unwrap();
    assert_eq!(merged.head.about.preserve_order, Some(true));
    assert_eq!(merged.version.content.leaf.0, chain[1]);
    let pfx = world.pfx("shop").await;
    assert_eq!(pfx.leaf, 1);
    let ders: Vec<Vec<u8>> = pfx.certificates.into_iter().map(|one| one.der).collect();
    assert_eq!(ders, chain);
}

#[tokio::test]
async fn an_operation_that_is_called_off_has_no_key_any_more() {
    let world = World::new().await;
    let pending = world.create("shop", asked(policy("Unknown"))).await.unwrap();
    let (asker, name) = (world.asker(), object("shop"));
    let cancel = || world.service.cancel_pending_certificate(&asker, &world.vault, &name, LATER);
    let cancelled = cancel().await.unwrap().value;
    assert_eq!((cancelled.status, cancelled.sealed), (PendingStatus::Cancelled, None));
    assert_eq!(
        world.coming("shop", None).await.unwrap(),
        (pending.version, true),
        "it is told what became of it"
    );
    refused!(cancel().await, VaultError::Certificate(CertificateFault::PendingOver { .. }));
    let chain = signed(&pending.request_der.unwrap().0, "CN=shop");
    refused!(world.merge("shop", chain).await, VaultError::Certificate(CertificateFault::PendingOver { .. }));
    world.set("shop", "the name is free").await;
    world.service.delete_pending_certificate(&asker, &world.vault, &name).await.unwrap();
    refused!(world.pending("shop").await, VaultError::Certificate(CertificateFault::PendingNotFound { .. }));
}

#[tokio::test]
async fn an_authority_is_of_one_vault_and_signs_no_name_of_the_server() {
    let mut world = World::new().await;
    let hosts = vec!["*.vault.keyless.localhost".to_owned()];
    let service = service(world.store.clone(), Arc::new(fresh()), world.service.root.clone());
    world.service = Arc::new(service.reserving(hosts, vec!["192.0.2.7".parse().unwrap()]));
    world.set_issuer("own", "keyless", true).await.unwrap();
    world.create("one", asked(policy("own"))).await.unwrap();
    world.create("two", asked(policy("own"))).await.unwrap();
    let chain = async |world: &World, name: &str| -> Vec<ParsedCertificate> {
        let certificate = world.certificate(name).await.unwrap();
        certificate.version.content.chain.iter().map(|der| parsed(&der.0)).collect()
    };
    let (one, two) = (chain(&world, "one").await, chain(&world, "two").await);
    assert_eq!((one.len(), one[1].is_authority, one[0].is_authority), (2, true, false));
    assert_eq!(one[1].der, two[1].der, "one authority");
    assert!(one[0].names_as_issuer(&one[1]));
    assert_eq!(world.pfx("one").await.chain(), one);
    let other = world.at("other");
    other.make(&VaultSettings::default()).await.unwrap();
    other.set_issuer("own", "Keyless", true).await.unwrap();
    other.create("one", asked(policy("own"))).await.unwrap();
    let foreign = chain(&other, "one").await;
    assert_ne!(foreign[1].public_key, one[1].public_key);
    assert_ne!(foreign[1].subject, one[1].subject);
    for name in ["shop.vault.keyless.localhost", "*.vault.keyless.localhost", "192.0.2.7"] {
        let mut reserved = policy("own");
        reserved.x509.subject = Some(format!("CN={name}"));
        let refused = world.create("three", asked(reserved)).await;
        refused!(refused, VaultError::Certificate(CertificateFault::Refused(CertificateError::NameReserved)));
    }
    refused!(world.pending("three").await, VaultError::Certificate(CertificateFault::PendingNotFound { .. }));
    // Its own key may sign them: who trusts that trusts this one certificate.
    let mut own = policy("Self");
    own.x509.subject = Some("CN=shop.vault.keyless.localhost".to_owned());
    world.create("three", asked(own)).await.unwrap();
}

#[tokio::test]
async fn nobody_else_is_reached_and_it_is_said_why() {
    let world = World::new().await;
    world.set_issuer("far", "DigiCert", true).await.unwrap();
    world.set_issuer("off", "Keyless", false).await.unwrap();
    let managed = PolicyAsked {
        platform: Some(PlatformManaged { usage: Some("tls".to_owned()), metadata: None }),
        ..PolicyAsked::default()
    };
    for (name, policy, says) in [
        ("far", policy("far"), "DigiCert"),
        ("off", policy("off"), "disabled"),
        ("managed", managed, "no platform"),
    ] {
        let pending = world.create(name, asked(policy)).await.unwrap();
        let PendingStatus::Failed { reason } = pending.status else { panic!("{name}") };
        assert!(reason.contains(says), "{reason}");
        assert!(pending.request_der.is_none() && pending.sealed.is_none());
        // It is over: another attempt may be made, and the name is free.
        world.create(name, asked(super::certificates::policy("Self"))).await.unwrap();
    }
}

#[tokio::test]
async fn an_issuers_password_is_sealed_and_never_told() {
    let world = World::new().await;
    let issuer = world.set_issuer("far", "Test", true).await.unwrap();
    assert_eq!(issuer.account.as_deref(), Some("account"));
    assert!(issuer.password.is_some() && world.found("canary-password").is_empty());
    let change = IssuerChange { organization: Some("7".to_owned()), ..IssuerChange::default() };
    let (asker, name) = (world.asker(), object("far"));
    let changed =
        world.service.update_issuer(&asker, &world.vault, &name, &change, LATER).await.unwrap().value;
    assert_eq!((changed.account, changed.provider, changed.created), (issuer.account, issuer.provider, NOW));
    assert_eq!((changed.organization.as_deref(), changed.updated), (Some("7"), LATER));
    assert_eq!(changed.password, issuer.password);
    for name in ["Self", "unknown"] {
        let reserved = world.set_issuer(name, "Test", true).await;
        refused!(reserved, VaultError::Certificate(CertificateFault::IssuerReserved { .. }));
    }
    world.service.delete_issuer(&asker, &world.vault, &name).await.unwrap();
    let gone = world.service.get_issuer(&asker, &world.vault, &name).await;
    refused!(gone, VaultError::Certificate(CertificateFault::IssuerNotFound { .. }));
}

/// As az does it: `issuer admin add` and `delete`, and `issuer update --organization-id`.
#[tokio::test]
async fn the_last_administrator_of_an_issuer_is_taken_away() {
    let world = World::new().await;
    world.set_issuer("far", "Test", true).await.unwrap();
    let one = |name: &str| Administrator { email: Some(name.to_owned()), ..Administrator::default() };
    let (ada, bob) = (one("ada@x.example"), one("bob@x.example"));
    let both = vec![ada.clone(), bob.clone()];
    for (organization, administrators, expected) in [
        (Some("7"), None, ("7", vec![])),
        (None, Some(vec![ada.clone()]), ("7", vec![ada.clone()])),
        (None, Some(both.clone()), ("7", both.clone())),
        // Another number is no word on them.
        (Some("8"), None, ("8", both.clone())),
        (Some("8"), Some(vec![bob.clone()]), ("8", vec![bob.clone()])),
        (None, None, ("8", vec![bob.clone()])),
        (Some("8"), None, ("8", vec![])),
        (Some("8"), Some(both.clone()), ("8", both)),
        (None, Some(vec![]), ("8", vec![])),
    ] {
        let said = (organization, administrators.clone());
        let organization = organization.map(str::to_owned);
        let change = IssuerChange { organization, administrators, ..IssuerChange::default() };
        let (asker, name) = (world.asker(), object("far"));
        world.service.update_issuer(&asker, &world.vault, &name, &change, LATER).await.unwrap();
        let found = world.service.get_issuer(&asker, &world.vault, &name).await.unwrap().value;
        let found = (found.organization.as_deref().unwrap(), found.administrators.clone());
        assert_eq!(found, expected, "{said:?}");
    }
}

#[tokio::test]
async fn key_and_secret_of_a_disabled_certificate_are_out_of_use() {
    let world = World::new().await;
    world.create("shop", asked(policy("Self"))).await.unwrap();
    let off = CertificateChange { enabled: Some(false), ..CertificateChange::default() };
    assert!(!world.change_certificate("shop", off).await.unwrap().version.attributes.enabled);
    refused!(world.get("shop", None).await, VaultError::SecretDisabled { .. });
    assert!(!world.its_key("shop").await.version.attributes.enabled);
    assert!(!world.certificate("shop").await.unwrap().version.attributes.enabled, "it is still seen");
    // Who may change secrets does not undo that.
    let mut back = SecretChange::default();
    back.change.attributes.enabled = Some(true);
    refused!(world.update("shop", None, back).await, VaultError::ManagedByCertificate { .. });
    world.update("shop", None, SecretChange::default()).await.unwrap();
    refused!(world.get("shop", None).await, VaultError::SecretDisabled { .. });
    let on = CertificateChange { enabled: Some(true), ..CertificateChange::default() };
    world.change_certificate("shop", on).await.unwrap();
    world.get("shop", None).await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_renewed_when_its_policy_says_so() {
    let world = World::new().await;
    let tagged =
        CreateCertificate { tags: BTreeMap::from([("a".into(), "b".into())]), ..asked(policy("Self")) };
    let first = world.create("shop", tagged).await.unwrap().version;
    let certificate = world.certificate("shop").await.unwrap();
    let at = world.renewed_at("shop").await;
    let attributes = certificate.version.attributes;
    let (from, until) = (attributes.not_before.unwrap().seconds(), attributes.expires.unwrap().seconds());
    assert_eq!(at.seconds(), from + (until - from) / 100 * 80);
    assert_eq!(world.renew(Timestamp::from_seconds(at.seconds() - 1)).await, 0);
    let before = world.its_key("shop").await;
    assert_eq!(world.renew(at).await, 1);
    let renewed = world.certificate("shop").await.unwrap();
    assert_ne!(renewed.version.version, first);
    assert_eq!(renewed.version.attributes.created, at);
    assert_eq!(renewed.version.tags, certificate.version.tags);
    assert_ne!(before.version.content.public, world.its_key("shop").await.version.content.public);
    assert_eq!(world.get("shop", None).await.unwrap().secret.version.version, renewed.version.version);
    assert_eq!(world.renew(at).await, 0, "once");
    assert!(world.renewed_at("shop").await > at);
    assert_eq!(world.stored("due/").len(), 1);
}

#[tokio::test]
async fn what_is_scheduled_goes_where_the_certificate_goes() {
    let world = World::new().await;
    world.allow_certificates().await;
    world.create("shop", asked(policy("Self"))).await.unwrap();
    let at = world.renewed_at("shop").await;
    let renewals = || world.stored("due/").iter().filter(|key| key.contains("renew")).count();
    let mail = PolicyAsked {
        lifetime_actions: Some(vec![LifetimeAction {
            trigger: Trigger::DaysBeforeExpiry(30),
            action: LifetimeActionKind::EmailContacts,
        }]),
        ..PolicyAsked::default()
    };
    let change = CertificateChange { policy: Some(mail), ..CertificateChange::default() };
    world.change_certificate("shop", change).await.unwrap();
    assert_eq!(renewals(), 0, "the policy renews nothing any more");
    let renew = PolicyAsked {
        lifetime_actions: Some(vec![LifetimeAction {
            trigger: Trigger::LifetimePercentage(80),
            action: LifetimeActionKind::AutoRenew,
        }]),
        ..PolicyAsked::default()
    };
    let change = CertificateChange { policy: Some(renew), ..CertificateChange::default() };
    world.change_certificate("shop", change).await.unwrap();
    assert_eq!((renewals(), world.renewed_at("shop").await), (1, at));
    let name = object("shop");
    world.service.delete::<Certificates>(&world.asker(), &world.vault, &name, NOW).await.unwrap();
    assert_eq!(renewals(), 0);
    refused!(world.pending("shop").await, VaultError::Certificate(CertificateFault::PendingNotFound { .. }));
    world.service.recover::<Certificates>(&world.asker(), &world.vault, &name).await.unwrap();
    assert_eq!(renewals(), 1);
    let off = CertificateChange { enabled: Some(false), ..CertificateChange::default() };
    world.change_certificate("shop", off).await.unwrap();
    assert_eq!(world.renew(at).await, 0, "a disabled one is not renewed");
    assert_eq!(world.renewed_at("shop").await, at.plus(DAY));
    let on = CertificateChange { enabled: Some(true), ..CertificateChange::default() };
    world.change_certificate("shop", on).await.unwrap();
    // Nothing is made in a deleted vault, and it is not forgotten.
    world.service.delete_vault(BY, &world.vault, at).await.unwrap();
    assert_eq!(world.renew(at.plus(DAY)).await, 0);
    world.service.recover_vault(BY, &world.vault).await.unwrap();
    assert_eq!(world.renew(at.plus(DAY * 30)).await, 1);
    assert_eq!(renewals(), 1);
}

#[tokio::test]
async fn a_renewal_that_fails_says_why_and_is_tried_again() {
    let world = World::new().await;
    world.set_issuer("own", "Keyless", true).await.unwrap();
    world.create("shop", asked(policy("own"))).await.unwrap();
    let (at, name) = (world.renewed_at("shop").await, object("own"));
    world.service.delete_issuer(&world.asker(), &world.vault, &name).await.unwrap();
    assert_eq!(world.renew(at).await, 0);
    let pending = world.pending("shop").await.unwrap();
    assert!(matches!(&pending.status, PendingStatus::Failed { reason } if reason.contains("own")));
    assert_eq!(world.versions_of("shop").await.len(), 1);
    world.set_issuer("own", "Keyless", true).await.unwrap();
    assert_eq!(world.renew(at).await, 0, "not before tomorrow");
    assert_eq!(world.renew(at.plus(DAY)).await, 1);
    assert_eq!(world.pending("shop").await.unwrap().status, PendingStatus::Completed);
}

#[tokio::test]
async fn a_certificate_comes_back_with_key_and_secret() {
    let world = World::new().await;
    world.allow_certificates().await;
    for _ in 0..2 {
        world.create("shop", asked(policy("Self"))).await.unwrap();
    }
    let (asker, name) = (world.asker(), object("shop"));
    let (before, key, value) =
        (world.certificate("shop").await.unwrap(), world.its_key("shop").await, world.value("shop").await);
    let blob = world.service.backup_certificate(&asker, &world.vault, &name).await.unwrap().value;
    let taken = world.service.restore_certificate(&asker, &world.vault, &blob, LATER).await;
    refused!(taken, VaultError::NameTaken { .. });
    world.service.delete::<Certificates>(&asker, &world.vault, &name, NOW).await.unwrap();
    refused!(world.get("shop", None).await, VaultError::ObjectNotFound { .. });
    let held = world.service.restore_certificate(&asker, &world.vault, &blob, LATER).await;
    refused!(held, VaultError::ObjectIsDeleted { .. });
    world.service.recover::<Certificates>(&asker, &world.vault, &name).await.unwrap();
    assert_eq!(world.value("shop").await, value);
    world.service.delete::<Certificates>(&asker, &world.vault, &name, NOW).await.unwrap();
    world.service.purge::<Certificates>(&asker, &world.vault, &name, NOW).await.unwrap();
    assert!(world.stored("certificate-version/").is_empty() && world.stored("secret-version/").is_empty());
    let restored = world.service.restore_certificate(&asker, &world.vault, &blob, LATER).await.unwrap().value;
    assert_eq!(restored.version, before.version);
    assert_eq!(
        (world.value("shop").await, world.its_key("shop").await.version.content.public.clone()),
        (value, key.version.content.public.clone())
    );
    assert_eq!(world.versions_of("shop").await.len(), 2);
    assert_eq!(world.stored("due/").len(), 1, "its renewal");
    // A secret's blob is no certificate's.
    world.set("db", "mine").await;
    let blob = world.backup("db").await.unwrap();
    let wrong = world.service.restore_certificate(&asker, &world.vault, &blob, LATER).await;
    refused!(wrong, VaultError::BackupRejected);
}

#[tokio::test]
async fn only_a_certificates_pfx_becomes_pem() {
    let world = World::new().await;
    world.set("db", "mine").await;
    let mut pem = policy("Self");
    pem.content_type = Some("application/x-pem-file".to_owned());
    world.create("pem", asked(pem)).await.unwrap();
    let (asker, db, name) = (world.asker(), object("db"), object("pem"));
    let get = |name, form| world.service.get_secret_as(&asker, &world.vault, name, None, form);
    let kept = get(&name, ContentType::Pem).await.unwrap().value.value;
    assert_eq!(*kept.expose(), world.value("pem").await);
    for (name, form) in [(&db, ContentType::Pem), (&db, ContentType::Pkcs12), (&name, ContentType::Pkcs12)] {
        refused!(get(name, form).await, VaultError::Certificate(CertificateFault::NoSuchForm { .. }));
    }
}

#[tokio::test]
async fn lists_have_what_is_being_made_if_it_is_asked_for() {
    let world = World::new().await;
    for name in ["a", "c", "e"] {
        world.create(name, asked(policy("Self"))).await.unwrap();
    }
    for name in ["b", "d", "f"] {
        world.create(name, asked(policy("Unknown"))).await.unwrap();
    }
    world.set_issuer("far", "DigiCert", true).await.unwrap();
    world.create("failed", asked(policy("far"))).await.unwrap();
    let all = async |items, include_pending| {
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            let (asker, request) = (world.asker(), page(items, token));
            let listed = world.service.list_certificates(&asker, &world.vault, &request, include_pending);
            let listed = listed.await.unwrap().value;
            names.extend(listed.items.iter().map(|item| match item {
                Listed::Certificate(object) => object.head.name.to_string(),
                Listed::Pending(pending) => format!("({})", pending.name),
            }));
            token = listed.next;
            if token.is_none() {
                return names;
            }
        }
    };
    for items in [1, 2, 3, 25] {
        assert_eq!(all(items, true).await, ["a", "(b)", "c", "(d)", "e", "(f)", "(failed)"], "{items}");
        assert_eq!(all(items, false).await, ["a", "c", "e"], "{items}");
    }
}

/// Whatever a server dies at, there are three objects or none.
#[tokio::test]
async fn no_crash_leaves_a_part_of_a_certificate() {
    for commits in 0..3 {
        let world = World::new().await;
        world.dies_after(commits);
        let created = world.create("shop", asked(policy("Self"))).await;
        world.lives();
        let head = |kind: &str| world.stored(&format!("{kind}/")).len();
        let there = [head("certificate"), head("key"), head("secret"), head("certificate-pending")];
        assert_eq!(there, if created.is_ok() { [1; 4] } else { [0; 4] }, "{commits}");
    }
}

#[tokio::test]
async fn each_needs_its_own_permission() {
    let world = World::new().await;
    world.create("shop", asked(policy("Self"))).await.unwrap();
    let head = Head::clone(&world.certificate("shop").await.unwrap().head);
    assert_eq!(head.name, object("shop"));
    let none = Permissions { certificates: domain::VerbSet::default(), ..Permissions::all_but_purge() };
    world.service.set_policy(BY, &world.vault, world.principal.id, none).await.unwrap();
    let (asker, name, vault, service) = (world.asker(), object("shop"), &world.vault, &world.service);
    refused!(world.create("shop", CreateCertificate::default()).await, VaultError::Denied(_));
    refused!(world.certificate("shop").await, VaultError::Denied(_));
    refused!(world.pending("shop").await, VaultError::Denied(_));
    refused!(world.coming("shop", None).await, VaultError::Denied(_));
    refused!(world.merge("shop", Vec::new()).await, VaultError::Denied(_));
    refused!(world.import("shop", import(Secret::new(String::new()))).await, VaultError::Denied(_));
    refused!(world.change_certificate("shop", CertificateChange::default()).await, VaultError::Denied(_));
    refused!(world.set_issuer("own", "Keyless", true).await, VaultError::Denied(_));
    refused!(service.get_certificate_policy(&asker, vault, &name).await, VaultError::Denied(_));
    let nothing = PolicyAsked::default();
    refused!(
        service.update_certificate_policy(&asker, vault, &name, &nothing, NOW).await,
        VaultError::Denied(_)
    );
    refused!(service.cancel_pending_certificate(&asker, vault, &name, NOW).await, VaultError::Denied(_));
    refused!(service.delete_pending_certificate(&asker, vault, &name).await, VaultError::Denied(_));
    refused!(service.backup_certificate(&asker, vault, &name).await, VaultError::Denied(_));
    refused!(service.restore_certificate(&asker, vault, "", NOW).await, VaultError::Denied(_));
    refused!(service.list_certificates(&asker, vault, &page(1, None), true).await, VaultError::Denied(_));
    refused!(service.list_issuers(&asker, vault, &page(1, None)).await, VaultError::Denied(_));
    refused!(service.get_issuer(&asker, vault, &name).await, VaultError::Denied(_));
    refused!(service.delete_issuer(&asker, vault, &name).await, VaultError::Denied(_));
    refused!(service.get_contacts(&asker, vault).await, VaultError::Denied(_));
    let contacts = crate::certificates::Contacts::default();
    refused!(service.set_contacts(&asker, vault, &contacts).await, VaultError::Denied(_));
    refused!(service.delete_contacts(&asker, vault).await, VaultError::Denied(_));
    // And who may read the secret reads the private key: that is the secret's permission, not the certificate's.
    world.pfx("shop").await;
    let only = Permissions {
        certificates: <CertificatePermission as domain::Permission>::ALL.iter().copied().collect(),
        ..Permissions::default()
    };
    world.service.set_policy(BY, &world.vault, world.principal.id, only).await.unwrap();
    refused!(world.get("shop", None).await, VaultError::Denied(_));
    world.certificate("shop").await.unwrap();
}
