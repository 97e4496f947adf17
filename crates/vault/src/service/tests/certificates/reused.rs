//! Keys that a certificate keeps for its next version, and which it must not.

use super::*;

#[tokio::test]
async fn a_new_version_has_a_new_key_unless_the_policy_keeps_it() {
    let world = World::new().await;
    world.create("shop", asked(policy("Self"))).await.unwrap();
    let first = world.its_key("shop").await;
    // Without a policy the certificate's own counts.
    world.create_at("shop", CreateCertificate::default(), LATER).await.unwrap();
    let second = world.its_key("shop").await;
    assert_ne!(first.version.content.public, second.version.content.public);
    let mut keeping = policy("Self");
    keeping.key.reuse = Some(true);
    world.create("shop", asked(keeping.clone())).await.unwrap();
    let third = world.its_key("shop").await;
    assert_eq!(second.version.content.public, third.version.content.public);
    assert_eq!(world.versions_of("shop").await.len(), 3);
    // Nor can one that is not to leave, by a policy that would let it out: said with the new version, or before.
    let mut staying = keeping.clone();
    staying.key.exportable = Some(false);
    world.create("shop", asked(staying.clone())).await.unwrap();
    let fourth = world.its_key("shop").await;
    assert_eq!(
        third.version.content.public, fourth.version.content.public,
        "of one that may leave it may be kept"
    );
    world.create("shop", asked(staying.clone())).await.unwrap();
    assert_eq!(fourth.version.content.public, world.its_key("shop").await.version.content.public);
    // A version that says nothing of it, as those of before did not, is known by the certificate's policy.
    let old = world.certificate("shop").await.unwrap();
    let mut said_nothing = Version::clone(&old.version);
    assert!(said_nothing.content.keeps_key);
    said_nothing.content.keeps_key = false;
    let vault = world.service.show_vault(BY, &world.vault).await.unwrap().id;
    let head = Head { whole: None, ..Head::clone(&old.head) };
    let apart = put::<Version<Certificates>>(&old.id(vault), &said_nothing);
    world.write(vec![put::<Head<Certificates>>(&(vault, object("shop")), &head), apart]).await;
    world.create("shop", asked(keeping.clone())).await.unwrap();
    let fifth = world.its_key("shop").await;
    assert_ne!(fourth.version.content.public, fifth.version.content.public);
    world.create("shop", asked(staying)).await.unwrap();
    let mut open = PolicyAsked::default();
    open.key.exportable = Some(true);
    world.change_policy("shop", open).await.unwrap();
    let mut nobodys = PolicyAsked::default();
    nobodys.issuer.name = Some("nobody".to_owned());
    refused!(
        world.change_policy("shop", nobodys).await,
        VaultError::Certificate(CertificateFault::IssuerNotFound { .. })
    );
    world.create("shop", CreateCertificate::default()).await.unwrap();
    assert_ne!(fifth.version.content.public, world.its_key("shop").await.version.content.public);
    // A key of another type cannot be kept.
    keeping.key.curve = Some("P-384".to_owned());
    world.create("shop", asked(keeping)).await.unwrap();
    assert_ne!(third.version.content.public, world.its_key("shop").await.version.content.public);
}
