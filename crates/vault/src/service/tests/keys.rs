//! Keys: made, taken in, used, changed, rotated, kept from leaving; and who may none of it.

mod rotation;

use super::*;
use crate::{
    AccessModel, Head, ImportedKey, KeyChange, KeyFault, KeyOp, KeyTerms, Keys, LifetimeAction,
    LifetimeActionKind, NewKey, NewRotationPolicy, PublicHalf, ReleasePolicy, RotationPolicy, Used, Version,
    deleted::Deleted,
    keys, object,
    schedule::{Due, Task},
};
use crypt::keys::{
    Ciphertext, Curve, Encrypted, EncryptionAlgorithm, KeyImportFault, KeyOperationError, Plaintext,
    PrivateJwk, PublicJwk, PublicKey, SignatureAlgorithm,
};
use domain::{KeyPermission, ObjectId, ObjectKind, limits};
use store::{Record as _, View, query};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn new(kty: &str) -> NewKey {
    NewKey {
        kind: kty.parse().unwrap(),
        size: None,
        curve: None,
        public_exponent: None,
        terms: KeyTerms::default(),
    }
}

fn days(number: i64) -> Timestamp {
    NOW.plus(DAY * u32::try_from(number).unwrap())
}

fn rotate(after_create: Option<&str>, before_expiry: Option<&str>) -> LifetimeAction {
    let period = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    LifetimeAction {
        action: LifetimeActionKind::Rotate,
        after_create: period(after_create),
        before_expiry: period(before_expiry),
    }
}

fn policy(actions: &[LifetimeAction], expiry: Option<&str>) -> NewRotationPolicy {
    NewRotationPolicy { actions: actions.to_vec(), expiry: expiry.map(|text| text.parse().unwrap()) }
}

fn release_policy(immutable: bool) -> ReleasePolicy {
    let data = br#"{"version":"1.0.0","anyOf":[{"authority":"https://attest.example","anyOf":[{"claim":"c","equals":true}]}]}"#;
    ReleasePolicy {
        content_type: "application/json".to_owned(),
        data: crypt::encoding::base64url(data),
        immutable,
    }
}

impl World {
    async fn make_key(&self, name: &str, asked: &NewKey) -> Result<Object<Keys>, VaultError> {
        let made = self.service.create_key(&self.asker(), &self.vault, &object(name), asked, NOW).await;
        made.map(|made| made.value)
    }

    /// An EC key: there is no faster one.
    async fn key(&self, name: &str) -> Object<Keys> {
        self.make_key(name, &new("EC")).await.unwrap()
    }

    async fn see_key(&self, name: &str) -> Result<Object<Keys>, VaultError> {
        let seen = self.service.see::<Keys>(&self.asker(), &self.vault, &object(name), None).await;
        seen.map(|seen| seen.value)
    }

    async fn sign_at(
        &self,
        name: &str,
        version: Option<ObjectVersion>,
        now: Timestamp,
    ) -> Result<Used<Vec<u8>>, VaultError> {
        let of = (SignatureAlgorithm::Es256, [7; 32].as_slice());
        let signed = self.service.sign(&self.asker(), &self.vault, &object(name), version, of, now).await;
        signed.map(|signed| signed.value)
    }

    async fn sign(&self, name: &str) -> Result<Used<Vec<u8>>, VaultError> {
        self.sign_at(name, None, NOW).await
    }

    async fn verify_at(
        &self,
        name: &str,
        version: Option<ObjectVersion>,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<bool, VaultError> {
        let of = (SignatureAlgorithm::Es256, [7; 32].as_slice(), signature);
        let verified = self.service.verify(&self.asker(), &self.vault, &object(name), version, of, now).await;
        verified.map(|verified| verified.value.value)
    }

    async fn encrypt_at(&self, name: &str, algorithm: &str, now: Timestamp) -> Result<Encrypted, VaultError> {
        let plaintext = Plaintext { value: b"plaintext", ..Plaintext::default() };
        let of = (EncryptionAlgorithm::parse(algorithm).unwrap(), &plaintext);
        let encrypted = self.service.encrypt(&self.asker(), &self.vault, &object(name), None, of, now).await;
        encrypted.map(|encrypted| encrypted.value.value)
    }

    async fn decrypt_at(
        &self,
        name: &str,
        algorithm: &str,
        sent: &Encrypted,
        now: Timestamp,
    ) -> Result<Vec<u8>, VaultError> {
        let ciphertext =
            Ciphertext { value: &sent.value, iv: sent.iv.as_deref(), aad: None, tag: sent.tag.as_deref() };
        let of = (EncryptionAlgorithm::parse(algorithm).unwrap(), &ciphertext);
        let decrypted = self.service.decrypt(&self.asker(), &self.vault, &object(name), None, of, now).await;
        decrypted.map(|decrypted| decrypted.value.value.expose().clone())
    }

    async fn change_key(&self, name: &str, change: KeyChange) -> Result<Object<Keys>, VaultError> {
        let changed =
            self.service.update_key(&self.asker(), &self.vault, &object(name), None, &change, LATER).await;
        changed.map(|changed| changed.value)
    }

    async fn rotate_key(&self, name: &str, now: Timestamp) -> Result<Object<Keys>, VaultError> {
        let rotated = self.service.rotate_key(&self.asker(), &self.vault, &object(name), now).await;
        rotated.map(|rotated| rotated.value)
    }

    async fn set_rotation(
        &self,
        name: &str,
        asked: &NewRotationPolicy,
        now: Timestamp,
    ) -> Result<RotationPolicy, VaultError> {
        let set =
            self.service.set_rotation_policy(&self.asker(), &self.vault, &object(name), asked, now).await;
        set.map(|set| set.value.1)
    }

    async fn rotation(&self, name: &str) -> Result<RotationPolicy, VaultError> {
        let policy = self.service.get_rotation_policy(&self.asker(), &self.vault, &object(name)).await;
        policy.map(|policy| policy.value.1)
    }

    async fn delete_key(&self, name: &str) {
        self.service.delete::<Keys>(&self.asker(), &self.vault, &object(name), NOW).await.unwrap();
    }

    async fn recover_key(&self, name: &str) {
        self.service.recover::<Keys>(&self.asker(), &self.vault, &object(name)).await.unwrap();
    }

    async fn key_versions(&self, name: &str) -> usize {
        let versions = self
            .service
            .list_versions::<Keys>(&self.asker(), &self.vault, &object(name), &page(25, None))
            .await;
        versions.unwrap().value.items.len()
    }

    /// When rotations are due, as it is stored.
    async fn rotations(&self) -> Vec<Timestamp> {
        let all = self.service.all::<Due>(&Due::prefix()).await.unwrap();
        all.iter().filter(|(_, due)| matches!(due.task, Task::Rotate { .. })).map(|(_, due)| due.at).collect()
    }

    async fn allow_keys(&self, verbs: &[KeyPermission]) {
        let keys = verbs.iter().copied().collect();
        let permissions = Permissions { keys, ..Permissions::default() };
        self.service.set_policy(BY, &self.vault, self.principal.id, permissions).await.unwrap();
    }
}

fn attributes(change: AttributesChange) -> KeyChange {
    KeyChange { change: VersionChange { tags: None, attributes: change }, ..KeyChange::default() }
}

fn ops(object: &Object<Keys>) -> String {
    object.version.content.operations.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_new_key_is_what_was_asked_for_and_else_what_key_vault_makes() {
    let world = World::new().await;
    let rsa = world.make_key("rsa", &new("RSA")).await.unwrap();
    assert_eq!(rsa.version.content.spec().unwrap().to_string(), "RSA 2048");
    assert_eq!(ops(&rsa), "encrypt decrypt sign verify wrapKey unwrapKey");
    for (kty, size, curve, spec, operations) in [
        ("EC", None, None, "EC P-256", "sign verify"),
        ("EC-HSM", Some(384), None, "EC P-384", "sign verify"),
        ("EC", Some(256), Some(Curve::P256K), "EC P-256K", "sign verify"),
        ("EC", None, Some(Curve::P521), "EC P-521", "sign verify"),
        ("oct", None, None, "oct 256", "encrypt decrypt wrapKey unwrapKey"),
        ("oct-HSM", Some(128), None, "oct 128", "encrypt decrypt wrapKey unwrapKey"),
    ] {
        // Under one name: a new version may be of another type.
        let made = world.make_key("all", &NewKey { size, curve, ..new(kty) }).await.unwrap();
        let content = &made.version.content;
        assert_eq!((content.kind.as_str(), content.spec().unwrap().to_string().as_str()), (kty, spec));
        assert_eq!(ops(&made), operations);
        assert_eq!(matches!(content.public, PublicHalf::Jwk(_)), !kty.starts_with("oct"));
        assert_eq!(world.see_key("all").await.unwrap().version.version, made.version.version);
    }
    assert_eq!(world.key_versions("all").await, 6);
}

#[tokio::test]
async fn what_there_is_not_is_not_made() {
    let world = World::new().await;
    for (kty, size, curve) in [
        ("RSA", Some(1_024), None),
        ("RSA", Some(-2_048), None),
        ("RSA", Some(i64::MAX), None),
        ("EC", Some(4_096), None),
        ("oct", Some(512), None),
    ] {
        let made = world.make_key("k", &NewKey { size, curve, ..new(kty) }).await;
        assert!(
            matches!(&made, Err(VaultError::Key(KeyFault::Size { bits, .. })) if Some(*bits) == size),
            "{made:?}"
        );
    }
    let other = NewKey { size: Some(384), curve: Some(Curve::P256), ..new("EC") };
    refused!(world.make_key("k", &other).await, VaultError::Key(KeyFault::SizeOfCurve { bits: 384 }));
    for exponent in [3, 1, -1, 65_536, i64::MAX] {
        let exponent = NewKey { public_exponent: Some(exponent), ..new("RSA") };
        refused!(world.make_key("k", &exponent).await, VaultError::Key(KeyFault::PublicExponent));
    }
    let tags = (0..=limits::TAGS_MAX).map(|number| (number.to_string(), String::new())).collect();
    let many = NewKey { terms: KeyTerms { tags, ..KeyTerms::default() }, ..new("EC") };
    refused!(world.make_key("k", &many).await, VaultError::TooLarge { .. });
    refused!(world.see_key("k").await, VaultError::ObjectNotFound { kind: ObjectKind::Key, .. });
}

/// The SDK for Java sends `"public_exponent":0` where its caller has said nothing.
#[tokio::test]
async fn an_exponent_of_nought_is_none() {
    let world = World::new().await;
    for exponent in [None, Some(0), Some(65_537)] {
        let made = world.make_key("k", &NewKey { public_exponent: exponent, ..new("RSA") }).await.unwrap();
        let PublicHalf::Jwk(PublicJwk::Rsa { e, .. }) = &made.version.content.public else {
            panic!("{exponent:?}")
        };
        assert_eq!(e, &[1, 0, 1], "{exponent:?}");
    }
}

#[tokio::test]
async fn signatures_are_of_the_version_that_is_named_and_hold_for_anybody() {
    let world = World::new().await;
    let first = world.key("k").await;
    let second = world.key("k").await;
    let old = Some(first.version.version);
    let (by_latest, by_old) = (world.sign("k").await.unwrap(), world.sign_at("k", old, NOW).await.unwrap());
    assert_eq!(by_latest.key.version.version, second.version.version);
    assert_eq!(by_old.key.version.version, first.version.version);
    assert!(world.verify_at("k", None, &by_latest.value, NOW).await.unwrap());
    assert!(world.verify_at("k", old, &by_old.value, NOW).await.unwrap());
    assert!(!world.verify_at("k", None, &by_old.value, NOW).await.unwrap());
    let PublicHalf::Jwk(jwk) = &second.version.content.public else { panic!("an EC key has one") };
    assert!(
        PublicKey::from_jwk(jwk)
            .unwrap()
            .verify(SignatureAlgorithm::Es256, &[7; 32], &by_latest.value)
            .unwrap()
    );
}

#[tokio::test]
async fn opened_keys_are_kept_and_change_nothing() {
    let world = World::new().await;
    let first = world.key("k").await;
    let signed = world.sign("k").await.unwrap().value;
    // A server that has nothing opened finds the same key.
    assert!(world.elsewhere().verify_at("k", None, &signed, NOW).await.unwrap());
    let again = world.elsewhere().sign("k").await.unwrap().value;
    assert!(world.verify_at("k", None, &again, NOW).await.unwrap());
    // Purged, and another made of the same name: nothing of the old one is met.
    world.delete_key("k").await;
    refused!(world.sign("k").await, VaultError::ObjectNotFound { .. });
    world
        .allow_keys(&[
            KeyPermission::Purge,
            KeyPermission::Create,
            KeyPermission::Sign,
            KeyPermission::Verify,
        ])
        .await;
    world.service.purge::<Keys>(&world.asker(), &world.vault, &object("k"), NOW).await.unwrap();
    let other = world.key("k").await;
    assert!(other.head.id != first.head.id && !world.verify_at("k", None, &signed, NOW).await.unwrap());
}

#[tokio::test]
async fn every_use_needs_its_own_verb() {
    let world = World::new().await;
    let terms =
        KeyTerms { operations: Some(KeyOp::defaults(crypt::keys::KeyType::Rsa)), ..KeyTerms::default() };
    world.make_key("k", &NewKey { terms, ..new("oct") }).await.unwrap();
    world.key("ec").await;
    let signed = world.sign("ec").await.unwrap().value;
    for verb in <KeyPermission as domain::Permission>::ALL {
        world.allow_keys(&[*verb]).await;
        let is_denied =
            |denied: bool, needed: KeyPermission| assert_eq!(denied, *verb != needed, "{verb} for {needed}");
        let denied = |result: Result<(), VaultError>| matches!(result, Err(VaultError::Denied(_)));
        is_denied(denied(world.sign("ec").await.map(drop)), KeyPermission::Sign);
        is_denied(denied(world.verify_at("ec", None, &signed, NOW).await.map(drop)), KeyPermission::Verify);
        is_denied(denied(world.encrypt_at("k", "A256GCM", NOW).await.map(drop)), KeyPermission::Encrypt);
        let nothing = Encrypted { value: vec![], iv: None, tag: None };
        is_denied(
            denied(world.decrypt_at("k", "A256GCM", &nothing, NOW).await.map(drop)),
            KeyPermission::Decrypt,
        );
        is_denied(denied(world.rotate_key("no", NOW).await.map(drop)), KeyPermission::Rotate);
        is_denied(denied(world.rotation("no").await.map(drop)), KeyPermission::GetRotationPolicy);
        is_denied(
            denied(world.set_rotation("no", &policy(&[], None), NOW).await.map(drop)),
            KeyPermission::SetRotationPolicy,
        );
        is_denied(
            denied(world.make_key("no", &NewKey { size: Some(1), ..new("RSA") }).await.map(drop)),
            KeyPermission::Create,
        );
        is_denied(
            denied(world.service.random_bytes(&world.asker(), &world.vault, 0).await.map(drop)),
            KeyPermission::Get,
        );
        let released = world.service.release_key(&world.asker(), &world.vault, &object("no"), None, "").await;
        is_denied(denied(released.map(drop)), KeyPermission::Release);
    }
}

#[tokio::test]
async fn who_may_not_gets_nobody_to_make_a_key() {
    struct Lazy;
    impl domain::Workers for Lazy {
        fn run(&self, _: &mut (dyn FnMut() + Send)) {
            panic!("somebody works");
        }
    }
    let world = World::new().await;
    world.allow_keys(&[KeyPermission::Get]).await;
    let root = world.service.root.clone();
    let service = VaultService::new(world.store.clone(), Arc::new(fresh()), Arc::new(Lazy), root);
    let world = World { service: Arc::new(service), ..world.clone() };
    refused!(world.make_key("k", &new("RSA")).await, VaultError::Denied(_));
    let jwk =
        ImportedKey { kind: "RSA".parse().unwrap(), jwk: PrivateJwk::default(), terms: KeyTerms::default() };
    let imported = world.service.import_key(&world.asker(), &world.vault, &object("k"), &jwk, NOW).await;
    refused!(imported, VaultError::Denied(_));
    refused!(world.rotate_key("k", NOW).await, VaultError::Denied(_));
}

/// Microsoft's own words of the role's data actions: who reads an asymmetric key may use its public half.
#[tokio::test]
async fn where_roles_decide_who_sees_a_key_may_use_its_public_half() {
    let world =
        World::with(&VaultSettings { access: Some(AccessModel::Roles), ..VaultSettings::default() }).await;
    world.key("ec").await;
    let terms =
        KeyTerms { operations: Some(KeyOp::defaults(crypt::keys::KeyType::Rsa)), ..KeyTerms::default() };
    world.make_key("oct", &NewKey { terms, ..new("oct") }).await.unwrap();
    let signed = world.sign("ec").await.unwrap().value;
    let reader = world.somebody().await;
    refused!(reader.verify_at("ec", None, &signed, NOW).await, VaultError::Denied(_));
    let role = "Key Vault Reader".parse().unwrap();
    world.give(reader.principal.id, role, None).await;
    assert!(reader.verify_at("ec", None, &signed, NOW).await.unwrap());
    refused!(reader.sign("ec").await, VaultError::Denied(_));
    // Of a symmetric key there is no public half: who sees it may not use it, and is told that by the operation's own action.
    match reader.encrypt_at("oct", "A256GCM", NOW).await {
        Err(VaultError::Denied(denied)) => {
            assert!(denied.to_string().contains("keys/encrypt/action"), "{denied}")
        }
        other => panic!("{other:?}"),
    }
    // And so it is explained.
    for (key, allowed) in [("ec", true), ("oct", false)] {
        let (key, asked) = (object(key), [access::ActionName::of::<access::Encrypt>()]);
        let id = reader.principal.id;
        let explained = world.service.explain(&world.vault, id, Some(&key), &asked).await.unwrap();
        assert_eq!(explained.first().map(|(_, rule)| rule.is_ok()), Some(allowed), "{key}");
    }
    // By policies there is no such thing.
    let policies = World::new().await;
    policies.key("ec").await;
    policies.allow_keys(&[KeyPermission::Get]).await;
    refused!(policies.verify_at("ec", None, &signed, NOW).await, VaultError::Denied(_));
}

#[tokio::test]
async fn a_disabled_key_does_nothing_and_is_seen() {
    let world = World::new().await;
    world.key("k").await;
    let signed = world.sign("k").await.unwrap().value;
    let off = AttributesChange { enabled: Some(false), ..AttributesChange::default() };
    world.change_key("k", attributes(off)).await.unwrap();
    assert!(!world.see_key("k").await.unwrap().version.attributes.enabled);
    refused!(world.sign("k").await, VaultError::Key(KeyFault::Disabled { operation: "sign", .. }));
    refused!(
        world.verify_at("k", None, &signed, NOW).await,
        VaultError::Key(KeyFault::Disabled { operation: "verify", .. })
    );
    let on = AttributesChange { enabled: Some(true), ..AttributesChange::default() };
    world.change_key("k", attributes(on)).await.unwrap();
    assert!(world.sign("k").await.is_ok());
}

#[tokio::test]
async fn a_disabled_principal_is_refused_at_once() {
    let world = World::new().await;
    world.key("k").await;
    assert!(world.sign("k").await.is_ok());
    let disabled = Principal { enabled: false, ..world.principal.clone() };
    world.write(vec![put::<Principal>(&disabled.id, &disabled)]).await;
    refused!(world.sign("k").await, VaultError::Denied(_));
}

#[tokio::test]
async fn only_what_is_among_its_operations_is_done_with_a_key() {
    let world = World::new().await;
    world.key("k").await;
    let change = KeyChange { operations: Some(vec![KeyOp::Verify, KeyOp::Verify]), ..KeyChange::default() };
    let changed = world.change_key("k", change).await.unwrap();
    assert_eq!(ops(&changed), "verify");
    refused!(world.sign("k").await, VaultError::Key(KeyFault::OperationForbidden { operation: KeyOp::Sign }));
    assert!(!world.verify_at("k", None, &[0; 64], NOW).await.unwrap());
    // An operation that is there for no algorithm of the key.
    let change = KeyChange { operations: Some(vec![KeyOp::Encrypt]), ..KeyChange::default() };
    world.change_key("k", change).await.unwrap();
    let encrypted = world.encrypt_at("k", "RSA-OAEP", NOW).await;
    refused!(
        encrypted,
        VaultError::Key(KeyFault::Operation {
            operation: KeyOp::Encrypt,
            error: KeyOperationError::AlgorithmNotForKey { .. }
        })
    );
}

#[tokio::test]
async fn outside_of_its_time_a_key_makes_nothing_new_and_still_opens() {
    let world = World::new().await;
    let all = KeyOp::defaults(crypt::keys::KeyType::Rsa);
    let within = AttributesChange { not_before: Some(NOW), expires: Some(LATER), enabled: None };
    let terms = KeyTerms { operations: Some(all), attributes: within, ..KeyTerms::default() };
    world.make_key("oct", &NewKey { terms: terms.clone(), ..new("oct") }).await.unwrap();
    world.make_key("ec", &NewKey { terms, ..new("EC") }).await.unwrap();
    let before = NOW.minus(Duration::from_secs(1));
    let encrypted = world.encrypt_at("oct", "A256GCM", NOW).await.unwrap();
    let signed = world.sign_at("ec", None, NOW).await.unwrap().value;
    for (now, is_early) in [(before, true), (LATER, false)] {
        let blocked = |result: Result<(), VaultError>| match result {
            Err(VaultError::Key(KeyFault::NotYetValid { from, .. })) => is_early && from == NOW,
            Err(VaultError::Key(KeyFault::Expired { since, .. })) => !is_early && since == LATER,
            other => panic!("{other:?}"),
        };
        assert!(blocked(world.sign_at("ec", None, now).await.map(drop)));
        assert!(blocked(world.encrypt_at("oct", "A256GCM", now).await.map(drop)));
        let plaintext = Plaintext { value: &[1; 16], ..Plaintext::default() };
        let of = (EncryptionAlgorithm::parse("A256KW").unwrap(), &plaintext);
        let wrapped =
            world.service.wrap_key(&world.asker(), &world.vault, &object("oct"), None, of, now).await;
        assert!(blocked(wrapped.map(drop)));
        assert_eq!(world.decrypt_at("oct", "A256GCM", &encrypted, now).await.unwrap(), b"plaintext");
        assert!(world.verify_at("ec", None, &signed, now).await.unwrap());
    }
    assert!(world.sign_at("ec", None, LATER.minus(Duration::from_secs(1))).await.is_ok());
}

#[tokio::test]
async fn rsa_does_all_that_it_is_for() {
    let world = World::new().await;
    world.make_key("k", &new("RSA")).await.unwrap();
    for algorithm in ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"] {
        let encrypted = world.encrypt_at("k", algorithm, NOW).await.unwrap();
        assert_eq!(world.decrypt_at("k", algorithm, &encrypted, NOW).await.unwrap(), b"plaintext");
        let (parsed, name) = (EncryptionAlgorithm::parse(algorithm).unwrap(), object("k"));
        let plaintext = Plaintext { value: &[9; 32], ..Plaintext::default() };
        let wrapped = world
            .service
            .wrap_key(&world.asker(), &world.vault, &name, None, (parsed, &plaintext), NOW)
            .await;
        let wrapped = wrapped.unwrap().value.value.value;
        let ciphertext = Ciphertext { value: &wrapped, ..Ciphertext::default() };
        let of = (parsed, &ciphertext);
        let unwrapped = world.service.unwrap_key(&world.asker(), &world.vault, &name, None, of, NOW).await;
        assert_eq!(*unwrapped.unwrap().value.value.expose(), [9; 32]);
    }
    let of = (SignatureAlgorithm::Rs256, [0; 10].as_slice());
    let signed = world.service.sign(&world.asker(), &world.vault, &object("k"), None, of, NOW).await;
    let error = KeyOperationError::DigestLength { algorithm: "RS256", expected: 32, found: 10 };
    match signed {
        Err(VaultError::Key(fault)) => {
            assert_eq!(fault, KeyFault::Operation { operation: KeyOp::Sign, error })
        }
        other => panic!("{other:?}"),
    }
}

/// The example key of RFC 7517 section A.2, once as it is and once with coordinates that are padded as Java pads them.
fn rfc7517_key(pad: bool) -> PrivateJwk {
    let bytes = |text: &str| {
        let bytes = crypt::encoding::from_base64url(text).unwrap();
        if pad { [vec![0], bytes].concat() } else { bytes }
    };
    PrivateJwk {
        crv: Some(Curve::P256),
        x: Some(bytes("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4")),
        y: Some(bytes("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM")),
        d: Some(Secret::new(bytes("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"))),
        ..PrivateJwk::default()
    }
}

#[tokio::test]
async fn a_key_from_outside_is_the_same_key_here() {
    let world = World::new().await;
    for (pad, operations) in [(false, None), (true, Some(vec![KeyOp::Sign]))] {
        let terms = KeyTerms { operations: operations.clone(), ..KeyTerms::default() };
        let asked = ImportedKey { kind: "EC-HSM".parse().unwrap(), jwk: rfc7517_key(pad), terms };
        let taken = world
            .service
            .import_key(&world.asker(), &world.vault, &object("k"), &asked, NOW)
            .await
            .unwrap()
            .value;
        assert_eq!(
            (taken.version.content.kind.as_str(), ops(&taken).contains("verify")),
            ("EC-HSM", operations.is_none())
        );
        let PublicHalf::Jwk(PublicJwk::Ec { x, .. }) = &taken.version.content.public else {
            panic!("an EC key")
        };
        assert_eq!(Some(x), rfc7517_key(false).x.as_ref());
        let signed = world.sign("k").await.unwrap().value;
        let local = crypt::keys::PrivateKey::import(crypt::keys::KeyType::Ec, &rfc7517_key(false)).unwrap();
        assert!(local.verify(SignatureAlgorithm::Es256, &[7; 32], &signed).unwrap());
    }
    let broken = PrivateJwk { y: Some(vec![1; 32]), ..rfc7517_key(false) };
    let asked = ImportedKey { kind: "EC".parse().unwrap(), jwk: broken, terms: KeyTerms::default() };
    let taken = world.service.import_key(&world.asker(), &world.vault, &object("k"), &asked, NOW).await;
    refused!(taken, VaultError::Key(KeyFault::Import(KeyImportFault::Inconsistent)));
}

#[tokio::test]
async fn nothing_private_and_no_vaults_name_is_stored_in_clear() {
    let world = World::new().await;
    let asked =
        ImportedKey { kind: "EC".parse().unwrap(), jwk: rfc7517_key(false), terms: KeyTerms::default() };
    world.service.import_key(&world.asker(), &world.vault, &object("k"), &asked, NOW).await.unwrap();
    let public = world.found("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
    assert!(matches!(&*public, [key] if key.starts_with("key/")), "the public half is: {public:?}");
    assert!(world.found("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE").is_empty());
    assert!(world.found("shop").iter().all(|key| key.starts_with("vault/")), "{:?}", world.found("shop"));
}

#[tokio::test]
async fn a_version_of_a_key_does_not_open_as_another() {
    let world = World::new().await;
    let (old, latest) = (world.key("k").await, world.key("k").await);
    let rolled_back = Version { content: old.version.content.clone(), ..Version::clone(&latest.version) };
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap().id;
    let head = Head { whole: Some(rolled_back.into()), ..Head::clone(&latest.head) };
    world.write(vec![put::<Head<Keys>>(&(vault, object("k")), &head)]).await;
    refused!(world.sign("k").await, VaultError::Crypt(_));
}

#[tokio::test]
async fn a_key_leaves_for_nobody() {
    let world = World::new().await;
    world.key("plain").await;
    let terms = |exportable, release| KeyTerms { exportable, release, ..KeyTerms::default() };
    let make = |exportable, release| NewKey { terms: terms(exportable, release), ..new("EC-HSM") };
    refused!(world.make_key("k", &make(true, None)).await, VaultError::Key(KeyFault::ReleasePolicyMissing));
    let policy = release_policy(false);
    refused!(
        world.make_key("k", &make(false, Some(policy.clone()))).await,
        VaultError::Key(KeyFault::ReleasePolicyUnused)
    );
    let bad = ReleasePolicy { data: "e30".to_owned(), ..policy.clone() };
    refused!(
        world.make_key("k", &make(true, Some(bad.clone()))).await,
        VaultError::Key(KeyFault::ReleasePolicyInvalid { .. })
    );
    let made = world.make_key("k", &make(true, Some(policy.clone()))).await.unwrap();
    assert_eq!(
        (made.version.content.exportable, made.version.content.release.as_ref()),
        (true, Some(&policy))
    );

    let release = async |name: &str, token: &str| {
        world
            .service
            .release_key(&world.asker(), &world.vault, &object(name), None, token)
            .await
            .map(|never| never.value)
    };
    let token = "e30.e30.c2ln";
    refused!(release("plain", token).await, VaultError::Key(KeyFault::NotExportable { .. }));
    refused!(release("k", "nonsense").await, VaultError::Key(KeyFault::AttestationMalformed));
    match release("k", token).await {
        Err(VaultError::Key(KeyFault::NoAttestationAuthority { authorities })) => {
            assert_eq!(authorities, ["https://attest.example"])
        }
        other => panic!("{other:?}"),
    }
    let attested = world.service.get_key_attestation(&world.asker(), &world.vault, &object("k"), None).await;
    refused!(attested, VaultError::Key(KeyFault::NoAttestation));

    // A rotation's new version may be released as little, and under the same policy.
    let rotated = world.rotate_key("k", LATER).await.unwrap();
    assert_eq!(rotated.version.content.release.as_ref(), Some(&policy));
    let change = |policy: ReleasePolicy| KeyChange { release: Some(policy), ..KeyChange::default() };
    refused!(
        world.change_key("plain", change(policy.clone())).await,
        VaultError::Key(KeyFault::ReleasePolicyUnused)
    );
    refused!(
        world.change_key("k", change(bad)).await,
        VaultError::Key(KeyFault::ReleasePolicyInvalid { .. })
    );
    world.change_key("k", change(release_policy(true))).await.unwrap();
    refused!(world.change_key("k", change(policy)).await, VaultError::Key(KeyFault::ReleasePolicyImmutable));
    world.change_key("k", change(release_policy(true))).await.unwrap();
    let other = KeyChange { exportable: Some(false), ..KeyChange::default() };
    refused!(world.change_key("k", other).await, VaultError::Key(KeyFault::ExportableFixed));
}

#[tokio::test]
async fn random_bytes_are_as_many_as_were_asked_for_and_others_each_time() {
    let world = World::new().await;
    let draw = async |count| {
        let drawn = world.service.random_bytes(&world.asker(), &world.vault, count).await;
        drawn.map(|drawn| drawn.value.expose().clone())
    };
    for count in [1, 32, 128] {
        assert_eq!(draw(count).await.unwrap().len(), usize::try_from(count).unwrap());
    }
    assert!(draw(32).await.unwrap() != draw(32).await.unwrap());
    for count in [0, 129, -1, i64::MAX, i64::MIN] {
        refused!(draw(count).await, VaultError::Key(KeyFault::RandomBytes { .. }));
    }
}

/// What a certificate does in its own transaction.
#[tokio::test]
async fn a_key_of_a_certificate_is_made_with_it_and_changed_by_it_alone() {
    let world = World::new().await;
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap();
    let (name, version, fresh_id) =
        (object("tls"), ObjectVersion::random(&fresh()), ObjectId::random(&fresh()));
    let key = crypt::keys::PrivateKey::import(crypt::keys::KeyType::Ec, &rfc7517_key(false)).unwrap();
    transact(&*world.store.inner, &fresh(), |view| {
        let place = object::place::<Keys>(view, vault.id, &name, fresh_id, true)?;
        let id = (place.vault, place.id, version);
        let sealed = world
            .service
            .seal::<Keys>(&vault, &id, key.to_stored().unwrap().expose())
            .map_err(Halt::Refuse)?;
        let content = crate::KeyContent::of(&key, false, &[KeyOp::Sign, KeyOp::Verify], sealed);
        let attributes = crate::Attributes::new(AttributesChange::default(), NOW);
        keys::managed_version(place, Version { version, attributes, tags: BTreeMap::new(), content })
    })
    .await
    .unwrap();
    assert!(world.see_key("tls").await.unwrap().head.managed);
    let signed = world.sign("tls").await.unwrap().value;
    assert!(key.verify(SignatureAlgorithm::Es256, &[7; 32], &signed).unwrap());
    refused!(world.make_key("tls", &new("EC")).await, VaultError::ManagedByCertificate { .. });
    refused!(world.rotate_key("tls", NOW).await, VaultError::ManagedByCertificate { .. });
    refused!(
        world.set_rotation("tls", &policy(&[], None), NOW).await,
        VaultError::ManagedByCertificate { .. }
    );
}

#[tokio::test]
async fn a_name_that_is_deleted_is_taken_before_a_key_is_made() {
    let world = World::new().await;
    world.key("k").await;
    world.delete_key("k").await;
    refused!(world.make_key("k", &new("RSA")).await, VaultError::ObjectIsDeleted { .. });
    let id = (world.service.show_vault(BY, &world.vault).await.unwrap().id, object("k"));
    let deleted =
        query(&*world.store.inner, |view: &View| Ok::<_, Halt<StoreError>>(view.get::<Deleted<Keys>>(&id)?))
            .await;
    assert!(deleted.unwrap().is_some(), "{:?}", Deleted::<Keys>::key(&id));
}
