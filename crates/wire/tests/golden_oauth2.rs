//! The token endpoint and the discovery documents, request by request.

use crate::{
    golden,
    support::{NOW, World},
};
use crypt::{encoding::base64url, test_keys::TestSigner};
use directory::{NewFederatedCredential, NewRegistration, Registration, TokenVersion};
use serde_json::{Value, json};
use std::time::Duration;

async fn world() -> World {
    let mut world = World::new().await;
    let new = |uri: &str, token_version| NewRegistration {
        display_name: "orders".to_owned(),
        identifier_uris: vec![uri.to_owned()],
        token_version,
        ..NewRegistration::default()
    };
    let orders = world.register("orders", new("https://orders.example", TokenVersion::V1)).await;
    world.add_secret("secret", &orders, Duration::from_secs(86_400)).await;
    world.add_secret("short secret", &orders, Duration::from_secs(60)).await;
    let [client, secret] = ["{orders.client}", "{secret}"].map(|name| world.name(name));
    world.call("basic", &crypt::encoding::base64(format!("{client}:{secret}").as_bytes()));
    world.call("wrong basic", &crypt::encoding::base64(format!("{client}:wrong").as_bytes()));
    world.register("modern", new("api://modern", TokenVersion::V2)).await;
    let new = |display_name: &str| NewRegistration {
        display_name: display_name.to_owned(),
        ..NewRegistration::default()
    };
    world.register("device", NewRegistration { is_public: true, ..new("device") }).await;
    let strict =
        world.register("strict", NewRegistration { single_use_assertions: true, ..new("strict") }).await;
    assertions(&mut world, &orders, &strict).await;
    world
}

/// Gives both clients a certificate, and one an outside issuer besides; and names assertions, good and bad.
async fn assertions(world: &mut World, orders: &Registration, strict: &Registration) {
    let directory = world.state.directory.clone();
    let (signer, stranger) = (TestSigner::other(NOW), TestSigner::one(NOW));
    let certificate =
        directory.add_certificate(&orders.id.to_string(), "ci", &signer.certificate, NOW).await.unwrap();
    world.call("certificate id", &certificate.id);
    let its =
        directory.add_certificate(&strict.id.to_string(), "ci", &signer.certificate, NOW).await.unwrap();
    world.call("strict certificate id", &its.id);
    world.call("thumbprint", &certificate.sha1.to_ascii_uppercase());
    let mut jwk = serde_json::to_value(signer.jwk()).unwrap();
    jwk["kid"] = json!("k");
    let new = NewFederatedCredential {
        name: "github".to_owned(),
        issuer: "https://token.actions.example".to_owned(),
        subject: "repo:octo/shop:environment:production".to_owned(),
        key_set: Some(json!({"keys": [jwk]}).to_string().into_bytes()),
        ..NewFederatedCredential::default()
    };
    let federated = directory.add_federated(&orders.id.to_string(), new, NOW).await.unwrap();
    world.call("federated id", &federated.id);

    let named = json!({"typ": "JWT", "alg": "PS256", "x5t#S256": base64url(&crypt::encoding::from_hex(&certificate.sha256).unwrap())});
    let with = |base: &Value, more: Value| {
        let mut claims = base.clone();
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let own = |of: &Registration| {
        let aud = format!("{}/{}/oauth2/v2.0/token", world.state.names.login_base(), directory.tenant().id);
        json!({"iss": of.client, "sub": of.client, "aud": aud, "exp": NOW.seconds() + 600, "jti": "one"})
    };
    let vouched = json!({
        "iss": "https://token.actions.example", "sub": "repo:octo/shop:environment:production",
        "aud": "api://AzureADTokenExchange", "exp": NOW.seconds() + 600,
    });
    let (ours, k) = (own(orders), json!({"alg": "RS256", "kid": "k"}));
    let token = directory.issue_for_administrator(NOW).await.unwrap();
    for (name, assertion) in [
        ("assertion", signer.token(&named, &ours)),
        ("strict assertion", signer.token(&named, &own(strict))),
        ("forged assertion", stranger.token(&named, &ours)),
        ("strange assertion", stranger.token(&json!({"alg": "RS256", "x5t": base64url(&[7; 20])}), &ours)),
        ("unsigned assertion", signer.token(&json!({"alg": "none"}), &ours)),
        ("mac assertion", signer.token(&json!({"alg": "HS256"}), &ours)),
        ("over assertion", signer.token(&named, &with(&ours, json!({"exp": NOW.seconds()})))),
        ("early assertion", signer.token(&named, &with(&ours, json!({"nbf": NOW.seconds() + 301})))),
        ("long assertion", signer.token(&named, &with(&ours, json!({"exp": NOW.seconds() + 86_400})))),
        ("misdirected assertion", signer.token(&named, &with(&ours, json!({"aud": "https://else.example"})))),
        ("mixed assertion", signer.token(&named, &with(&ours, json!({"sub": strict.client})))),
        ("vouched", signer.token(&k, &vouched)),
        ("vouched by a stranger", stranger.token(&k, &vouched)),
        (
            "vouched elsewhere",
            signer.token(&k, &with(&vouched, json!({"iss": "https://token.actions.Example"}))),
        ),
        (
            "vouched for another",
            signer.token(&k, &with(&vouched, json!({"sub": "repo:octo/shop:ref:refs/heads/\"main"}))),
        ),
        ("vouched for others", signer.token(&k, &with(&vouched, json!({"aud": "sts.example"})))),
        ("user token", token.access_token.expose().clone()),
    ] {
        world.call(name, &assertion);
    }
}

#[tokio::test]
async fn exchanges_are_as_written() {
    golden::check("oauth2", world).await;
}
