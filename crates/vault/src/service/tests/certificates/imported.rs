//! Certificates that come from outside, in whatever form.

use super::*;

#[tokio::test]
async fn what_comes_from_outside_is_kept_as_it_is() {
    let world = World::new().await;
    let pending = world.create("source", asked(policy("Unknown"))).await.unwrap();
    let chain = signed(&pending.request_der.unwrap().0, "CN=outside,O=Somebody");
    world.merge("source", chain.clone()).await.unwrap();
    let pfx = world.value("source").await;
    // In lines, as `base64` writes it.
    let lines = Secret::new(
        pfx.as_bytes().chunks(76).flat_map(|line| [str::from_utf8(line).unwrap(), "\n"]).collect(),
    );
    world.import("lines", import(lines)).await.unwrap();
    let imported = world.import("pfx", import(Secret::new(pfx.clone()))).await.unwrap();
    assert_eq!(imported.version.content.leaf.0, chain[0]);
    let kept = &imported.head.about.policy;
    assert_eq!(
        (kept.subject.as_str(), kept.is_of("Unknown"), kept.key.exportable),
        ("CN=outside,O=Somebody", true, true)
    );
    assert_eq!(kept.key.spec.to_string(), "EC P-256");
    // PEM, with a policy that does not fit, and a key that does not leave again.
    let (asker, name) = (world.asker(), object("pfx"));
    let pem = world.service.get_secret_as(&asker, &world.vault, &name, None, ContentType::Pem);
    let pem = pem.await.unwrap().value;
    assert_eq!(pem.secret.version.content.content_type.as_deref(), Some("application/x-pem-file"));
    assert!(pem.value.expose().contains("-----BEGIN PRIVATE KEY-----"));
    let mut closed = policy("Self");
    closed.key.exportable = Some(false);
    // The SDKs send any file in base64, and say what it is.
    let encoded = |text: &str| {
        let pem =
            PolicyAsked { content_type: Some("application/x-pem-file".to_owned()), ..PolicyAsked::default() };
        let value = Secret::new(crypt::encoding::base64(text.as_bytes()));
        ImportCertificate { policy: Some(pem), ..import(value) }
    };
    let unsaid = ImportCertificate { policy: None, ..encoded(pem.value.expose()) };
    let unsaid = world.import("unsaid", unsaid).await.unwrap();
    assert_eq!(unsaid.head.about.policy.content_type, ContentType::Pem);
    let imported = world.import("encoded", encoded(pem.value.expose())).await.unwrap();
    assert_eq!(imported.head.about.policy.content_type, ContentType::Pem);
    assert_eq!(imported.version.content.leaf.0, chain[0]);
    let refused = world.import("wrong", encoded("neither")).await.unwrap_err();
    assert!(matches!(&refused, VaultError::Certificate(why) if why.to_string().contains("no private key")));
    let neither = ImportCertificate { value: Secret::new("*".to_owned()), ..encoded("") };
    let refused = world.import("wrong", neither).await.unwrap_err();
    assert!(
        matches!(&refused, VaultError::Certificate(why) if why.to_string().contains("as text or in base64, is malformed"))
    );
    let request = ImportCertificate { policy: Some(closed), ..import(pem.value) };
    let imported = world.import("pem", request).await.unwrap();
    assert_eq!(imported.head.about.policy.content_type, ContentType::Pem);
    assert_eq!(imported.head.about.policy.subject, "CN=shop");
    assert!(world.stored("due/").is_empty(), "nobody said that it is to be renewed");
    let value = world.value("pem").await;
    assert!(value.contains("-----BEGIN CERTIFICATE-----") && !value.contains("PRIVATE KEY"));
    for (wrong, fault) in [
        ("*", "malformed"),
        ("AAAA", "malformed"),
        ("-----BEGIN CERTIFICATE-----\n", "PEM"),
        (value.as_str(), "no private key"),
    ] {
        let refused = world.import("wrong", import(Secret::new(wrong.to_owned()))).await.unwrap_err();
        assert!(
            matches!(&refused, VaultError::Certificate(why) if why.to_string().contains(fault)),
            "{refused}"
        );
    }
    let closed = import(Secret::new(pfx));
    let wrong = ImportCertificate { password: Some(Secret::new("1234".to_owned())), ..closed };
    let refused = world.import("wrong", wrong).await;
    refused!(refused, VaultError::Certificate(CertificateFault::Refused(CertificateError::PfxPassword)));
}

/// What nobody here would make is kept all the same, and what else its policy says is changed.
#[tokio::test]
async fn a_policy_that_makes_nothing_is_changed_in_what_it_says_otherwise() {
    let world = World::new().await;
    let pending = world.create("source", asked(policy("Unknown"))).await.unwrap();
    world.merge("source", signed(&pending.request_der.unwrap().0, "CN=outside")).await.unwrap();
    let pfx = world.value("source").await;
    let of = |policy| ImportCertificate { policy: Some(policy), ..import(Secret::new(pfx.clone())) };
    let dns_names: Vec<String> = (0..120).map(|number| format!("{number}.outside.example")).collect();
    let x509 = |asked: &mut PolicyAsked| {
        asked.x509.names = Some(Names { dns_names: dns_names.clone(), ..Names::default() });
    };
    let mut odd = PolicyAsked::default();
    x509(&mut odd);
    world.import("odd", of(odd.clone())).await.unwrap();
    let action = |action| Some(vec![LifetimeAction { trigger: Trigger::LifetimePercentage(70), action }]);
    let told =
        PolicyAsked { lifetime_actions: action(LifetimeActionKind::EmailContacts), ..PolicyAsked::default() };
    world.change_policy("odd", told.clone()).await.unwrap();
    // Nor does it matter that a client says again what it has read.
    let mut again = told;
    x509(&mut again);
    world.change_policy("odd", again).await.unwrap();
    // But whoever wants versions made of it hears at once that there will be none.
    let renewed =
        PolicyAsked { lifetime_actions: action(LifetimeActionKind::AutoRenew), ..PolicyAsked::default() };
    let by_itself = PolicyAsked { issuer: policy("Self").issuer, ..PolicyAsked::default() };
    for asked in [renewed.clone(), by_itself] {
        refused!(world.change_policy("odd", asked).await, VaultError::Certificate(_));
    }
    let mut at_once = renewed;
    at_once.issuer = policy("Self").issuer;
    x509(&mut at_once);
    refused!(world.import("renewed", of(at_once)).await, VaultError::Certificate(_));
    let nobodys = PolicyAsked { issuer: policy("nobody").issuer, ..PolicyAsked::default() };
    refused!(
        world.import("nobodys", of(nobodys)).await,
        VaultError::Certificate(CertificateFault::IssuerNotFound { .. })
    );
}
