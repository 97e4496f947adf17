//! The Key Vault data plane, request by request: what real clients send, as recorded, and for each success those who must not have it.

use crate::{
    golden,
    support::{NOW, World},
};
use crypt::{SigningKey, jws::Thumbprint, test_keys};
use directory::{NewRegistration, Registration, TokenVersion};
use domain::limits;
use serde_json::{Value, json};

/// A vault `shop`. `{token}` is of an app that may get, list and set secrets and do all with keys and certificates; `{reader token}` of one that may get; `{stranger token}` of one
/// that no policy knows. The others do not hold, each for its own reason.
pub(crate) async fn world() -> World {
    let mut world = World::new().await;
    let administrator = world.state.directory.tenant().administrator;
    world.make_vault("shop").await;
    world.call("administrator", &administrator);
    for (name, verbs) in
        [("app", "get,list,set;keys=all;certificates=all"), ("reader", "get"), ("stranger", "nothing")]
    {
        let new = NewRegistration {
            display_name: name.to_owned(),
            identifier_uris: Vec::new(),
            token_version: TokenVersion::V1,
            ..NewRegistration::default()
        };
        let registration = world.register(name, new).await;
        world.allow("shop", &registration.principal.to_string(), verbs).await;
        let claims = claims(&world, &registration);
        if name == "app" {
            tokens(&world, &claims).iter().for_each(|(name, token)| world.call(name, token));
        } else {
            world.call(&format!("{name} token"), &sign(&test_keys::signing_key(), &claims));
        }
    }
    world
}

/// Of a token that the directory would issue to an app for the vaults.
pub(crate) fn claims(world: &World, of: &Registration) -> Value {
    let (tenant, now) = (world.state.directory.tenant().id, NOW.seconds());
    json!({
        "aud": world.state.names.vault_resource(), "iss": world.state.names.issuer_v1(tenant), "iat": now, "nbf": now,
        "exp": now + 3_600, "appid": of.client, "appidacr": "1", "idtyp": "app", "oid": of.principal,
        "sub": of.principal, "tid": tenant, "uti": "uti", "ver": "1.0",
    })
}

/// The app's token, and those that are almost like it.
fn tokens(world: &World, claims: &Value) -> Vec<(&'static str, String)> {
    let (key, now) = (test_keys::signing_key(), NOW.seconds());
    let foreign = "11111111-1111-4111-8111-111111111111";
    let good = sign(&key, claims);
    let changed = [
        ("token of v2.0", "iss", json!(world.state.names.issuer_v2(world.state.directory.tenant().id))),
        ("token for Azure", "aud", json!("https://vault.azure.net")),
        ("token for the application", "aud", json!("cfa8b339-82a2-471a-a3c9-0fc0be7a4093")),
        ("expired token", "exp", json!(now)),
        ("future token", "nbf", json!(now + 301)),
        ("foreign audience token", "aud", json!("https://management.azure.com")),
        ("one vault's token", "aud", json!("https://shop.vault.keyless.localhost:8443")),
        ("foreign issuer token", "iss", json!(format!("https://sts.windows.net/{foreign}/"))),
        ("foreign tenant token", "tid", json!(foreign)),
        ("nobody's token", "oid", json!(foreign)),
        ("endless token", "exp", Value::Null),
        ("late token", "exp", json!(now + 91 * 86_400)),
    ];
    let mut tokens: Vec<_> = changed
        .into_iter()
        .map(|(name, member, value)| {
            let mut claims = claims.clone();
            claims[member] = value;
            (name, sign(&key, &claims))
        })
        .collect();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, anothers) = tokens[0].1.rsplit_once('.').unwrap();
    let payload = signed.split_once('.').unwrap().1;
    let header = crypt::encoding::base64url(br#"{"alg":"none","typ":"JWT"}"#);
    let (forged, unsigned) = (format!("{signed}.{anothers}"), format!("{header}.{payload}."));
    let foreign_key = sign(&test_keys::other_signing_key(), claims);
    tokens.extend([
        ("token", good),
        ("forged token", forged),
        ("unsigned token", unsigned),
        ("foreign key's token", foreign_key),
        ("long token", "x".repeat(limits::TOKEN_BYTES_MAX + 1)),
    ]);
    tokens
}

pub(crate) fn sign(key: &SigningKey, claims: &Value) -> String {
    crypt::jws::sign(key, Thumbprint::Included, claims).unwrap().expose().clone()
}

#[tokio::test]
async fn exchanges_are_as_written() {
    golden::check("keyvault", world).await;
}

/// What holds for every answer in the files, so that a rewritten one is not believed too easily.
#[test]
fn every_answer_is_of_the_protocols_form() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/keyvault");
    let (mut refused, mut canaries) = (0, 0);
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let is_broken = file.ends_with("audit_broken.http");
        for exchange in std::fs::read_to_string(&file).unwrap().split("\n===\n") {
            let place = || format!("{}: {exchange}", file.display());
            let (asked, answer) = exchange.split_once("\nHTTP/1.1 ").unwrap_or_else(|| panic!("{}", place()));
            let (head, body) = answer.split_once("\n\n").unwrap();
            let (body, records) = body.split_at(body.find("\naudit: ").unwrap_or(body.len()));
            let status: u16 = head[..3].parse().unwrap();
            if status == 204 {
                assert!(body.trim().is_empty() && !head.contains("\ncontent-type"), "{}", place());
                continue;
            }
            let body: Value = serde_json::from_str(body).unwrap();
            assert!(status < 500 || is_broken && status == 503, "{}", place());
            assert_eq!(status == 503, head.contains("\nretry-after: 1\n"), "{}", place());
            assert_eq!(status == 401, head.contains("\nwww-authenticate: Bearer "), "{}", place());
            assert!(!records.contains("canary"), "{}", place());
            if status >= 400 {
                refused += 1;
                canaries += usize::from(asked.contains("canary"));
                let members: Vec<_> = body.as_object().unwrap().keys().collect();
                assert_eq!(members, ["error"], "{}", place());
                assert!(
                    body["error"]["code"].is_string() && body["error"]["message"].is_string(),
                    "{}",
                    place()
                );
                assert!(!body.to_string().contains("canary"), "{}", place());
                // Clients' own suites look for these words, whatever it is that is absent. Who asks another host asks no vault.
                let message = body["error"]["message"].as_str().unwrap();
                let is_of_vault = body["error"]["code"] != "BadHost";
                assert!(status != 404 || message.contains("not found") || !is_of_vault, "{}", place());
            }
        }
    }
    assert!(refused > 100 && canaries > 20, "{refused} refusals, {canaries} with a value");
}
