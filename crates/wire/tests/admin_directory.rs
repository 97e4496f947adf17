//! The administrator's API on the directory: app registrations and their credentials, principals, signing keys.

use crate::admin::{Desk, message};
use audit::Outcome;
use serde_json::json;

#[tokio::test]
async fn registrations_and_credentials() {
    let desk = Desk::new().await;
    let new = json!({"display_name": "api", "identifier_uris": ["api://shop"]});
    let (status, made) = desk.post("/v1/registrations", new.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(desk.post("/v1/registrations", new).await.0, 409);
    let (id, client) = (made["id"].as_str().unwrap(), made["client_id"].as_str().unwrap());
    for named in [id, client, "api:%2F%2Fshop"] {
        assert_eq!(desk.get(&format!("/v1/registrations/{named}")).await, (200, made.clone()), "{named}");
    }
    let credentials = format!("/v1/registrations/{id}/credentials");
    let (status, credential) = desk.post(&credentials, json!({"lifetime_days": 30})).await;
    assert_eq!(status, 201);
    let secret = credential["secret"].as_str().unwrap();
    let (_, shown) = desk.get(&format!("/v1/registrations/{id}")).await;
    assert_eq!(shown["credentials"][0]["id"], credential["id"]);
    assert_eq!(shown["token_version"], "1.0");
    // It was said to be public, and to have no credentials.
    let (path, public) = (format!("/v1/registrations/{id}"), json!({"is_public": true}));
    desk.refuses("PATCH", &path, public, 409, "remove them first", "registration.update").await;
    for (offer, what) in [("app-roles", "registration.role.add"), ("scopes", "registration.scope.add")] {
        let (path, new) = (format!("/v1/registrations/{id}/{offer}"), json!({"value": "Orders.Read"}));
        assert_eq!(desk.post(&path, new.clone()).await.0, 201);
        desk.refuses("POST", &path, new, 400, "already one with this value", what).await;
    }
    assert!(!shown.to_string().contains(secret));
    assert!(!desk.world.audit.lines().concat().contains(secret));
    let one = format!("{credentials}/{}", credential["id"].as_str().unwrap());
    assert_eq!(desk.ask("DELETE", &one, None).await.0, 204);
    assert_eq!(desk.ask("DELETE", &one, None).await.0, 404);
    assert_eq!(desk.ask("DELETE", &format!("{credentials}/x"), None).await.0, 400);
    assert_eq!(desk.post(&credentials, json!({"lifetime_days": 0})).await.0, 400);
    assert_eq!(desk.ask("DELETE", &format!("/v1/registrations/{id}"), None).await.0, 204);
    assert_eq!(desk.get(&format!("/v1/registrations/{id}")).await.0, 404);
    assert_eq!(desk.get("/v1/registrations").await.1, json!({"value": []}));
}

#[tokio::test]
async fn certificates_and_federated_credentials() {
    let desk = Desk::new().await;
    let (_, made) = desk.post("/v1/registrations", json!({"display_name": "ci"})).await;
    let path = format!("/v1/registrations/{}", made["id"].as_str().unwrap());
    assert_eq!((&made["is_public"], &made["single_use_assertions"]), (&json!(false), &json!(false)));
    let (certificates, federated) = (format!("{path}/certificates"), format!("{path}/federated"));
    let signer = crypt::test_keys::TestSigner::one(crate::support::NOW);
    let base64 = crypt::encoding::base64(&signer.certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    let (status, certificate) =
        desk.post(&certificates, json!({"certificate": pem, "display_name": "laptop"})).await;
    assert_eq!(status, 201, "{certificate}");
    assert_eq!(certificate["thumbprint"].as_str().map(str::len), Some(40));
    // The same one again, as DER in base64.
    assert_eq!(desk.post(&certificates, json!({"certificate": base64})).await.0, 409);
    let key = json!({"certificate": format!("{pem}-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")});
    desk.refuses("POST", &certificates, key, 400, "private key", "registration.credential.add").await;

    let jwks = json!({"keys": [signer.jwk()]});
    let new = json!({
        "name": "github", "issuer": "https://token.actions.example", "subject": "repo:octo/shop:ref:refs/heads/main",
        "jwks": jwks,
    });
    let (status, made) = desk.post(&federated, new.clone()).await;
    assert_eq!((status, &made["audiences"]), (201, &json!(["api://AzureADTokenExchange"])), "{made}");
    assert_eq!(desk.post(&federated, new.clone()).await.0, 409);
    for (member, value) in [
        ("name", json!("a b")),
        ("audiences", json!(["a", "b"])),
        ("issuer", json!("token.actions.example")),
        ("jwks", json!({"keys": []})),
        // Nobody is asked in this world.
        ("jwks", json!(null)),
    ] {
        let mut bad = new.clone();
        bad[member] = value;
        let (status, refused) = desk.post(&federated, bad.clone()).await;
        assert_eq!(status, 400, "{bad}: {refused}");
    }
    let (_, shown) = desk.get(&path).await;
    assert_eq!(desk.get("/v1/registrations").await.1["value"][0], shown);
    assert_eq!((&shown["certificates"][0], &shown["federated"][0]), (&certificate, &made));
    for id in [&certificate["id"], &made["id"]] {
        let one = format!("{path}/credentials/{}", id.as_str().unwrap());
        assert_eq!(desk.ask("DELETE", &one, None).await.0, 204);
        assert_eq!(desk.ask("DELETE", &one, None).await.0, 404);
    }
    let (_, public) =
        desk.post("/v1/registrations", json!({"display_name": "device", "is_public": true})).await;
    let path = format!("/v1/registrations/{}/certificates", public["id"].as_str().unwrap());
    let refused = json!({"certificate": base64});
    desk.refuses("POST", &path, refused, 409, "public", "registration.credential.add").await;
}

#[tokio::test]
async fn principals_are_disabled_and_enabled() {
    let desk = Desk::new().await;
    desk.post("/v1/apps", json!({"name": "shop"})).await;
    let (_, app) = desk.ask("PUT", "/v1/apps/shop/identity", None).await;
    let path = format!("/v1/principals/{}", app["identity"]["principal"].as_str().unwrap());
    for enabled in [false, true] {
        let (status, changed) = desk.ask("PATCH", &path, Some(json!({"enabled": enabled}))).await;
        assert_eq!((status, &changed["enabled"]), (200, &json!(enabled)));
        assert_eq!(desk.get(&path).await.1["enabled"], enabled);
    }
    assert_eq!(desk.last_record().action, "principal.enable");
    let administrator = desk.world.state.directory.tenant().administrator;
    let path = format!("/v1/principals/{administrator}");
    assert_eq!(desk.ask("PATCH", &path, Some(json!({"enabled": false}))).await.0, 409);
    assert_eq!(desk.get("/v1/principals").await.1["value"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn signing_keys_are_shown_rolled_and_revoked() {
    let desk = Desk::new().await;
    let first = desk.world.name("{kid}");
    let now = crate::support::NOW.seconds();
    let (status, keys) = desk.get("/v1/signing-keys").await;
    let current = json!({"kid": first, "state": "current", "since": now, "token_seconds": 3_600});
    assert_eq!((status, &keys), (200, &json!({"value": [current.clone()], "next_roll": null})));
    assert_eq!(
        desk.get("/v1/status").await.1["signing_key"],
        json!({"kid": first, "since": now, "next_roll": null})
    );
    let actions = |from: usize| -> Vec<(&'static str, Outcome)> {
        let records = desk.world.audit.records().split_off(from);
        records.into_iter().map(|record| (record.action, record.outcome)).collect()
    };

    let (status, rolled) = desk.post("/v1/signing-keys/roll", json!({})).await;
    let second = rolled["value"][1]["kid"].as_str().unwrap().to_owned();
    let announced = json!({"kid": second, "state": "announced", "since": now, "signs_from": now + 600});
    assert_eq!((status, &rolled["value"]), (200, &json!([current, announced])));
    assert_eq!(rolled["done"], json!([{"done": "announced", "kid": second, "signs_from": now + 600}]));
    assert_eq!(desk.get("/v1/status").await.1["signing_key"]["next_roll"], now + 600);
    assert_eq!(desk.get("/v1/clock").await.1["next_due"], now + 600);
    assert_eq!(
        actions(0),
        [("signing-key.roll", Outcome::Allowed), ("signing-key.announce", Outcome::Allowed)]
    );
    assert_eq!(desk.last_record().target, format!("signing key {second}"));

    let (_, rolled) = desk.post("/v1/signing-keys/roll", json!({"now": true})).await;
    assert_eq!(rolled["value"][0]["gone_at"], now + 3_600 + 300);
    assert_eq!(rolled["value"][1]["state"], "current");
    let already = actions(0).len();
    let (status, revoked) = desk.ask("DELETE", &format!("/v1/signing-keys/{second}"), Some(json!({}))).await;
    assert_eq!((status, revoked["value"].as_array().unwrap().len()), (200, 2), "{revoked}");
    assert_eq!(
        actions(already),
        [("signing-key.revoke", Outcome::Allowed), ("signing-key.begin", Outcome::Allowed)]
    );

    let (status, refused) = desk.ask("DELETE", &format!("/v1/signing-keys/{second}"), None).await;
    assert_eq!(status, 404);
    assert!(message(&refused).contains("keyless signing-key list"), "{refused}");
    assert_eq!(desk.last_record().outcome, Outcome::Refused);
    assert_eq!(desk.post("/v1/signing-keys/roll", json!({"when": "now"})).await.0, 400);
}
