//! The resource manager's door: who is known there, and that nothing that is sent makes it fail.

use crate::{
    golden_graph,
    golden_keyvault::sign,
    routes::managed,
    support::{NOW, World},
};
use access::Manager;
use axum::body::Body;
use crypt::test_keys;
use directory::NewRegistration;
use http::{Request, header};
use resource::roles::{NewAssignment, Place};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const VERSION: &str = "?api-version=2025-05-01";

struct Owner {
    world: World,
    claims: Value,
}

impl Owner {
    async fn new() -> Self {
        let world = World::new().await;
        let made = world.state.directory.create_registration(
            NewRegistration { display_name: "owner".to_owned(), ..NewRegistration::default() },
            NOW,
        );
        let made = made.await.unwrap();
        let role = "Owner".parse().unwrap();
        let new = NewAssignment { id: None, principal: made.principal, kind: None, role };
        world.state.resource.assign(Manager::Administrator, &Place::Subscription, &new, NOW).await.unwrap();
        let mut claims = golden_graph::claims(&world, made.principal, made.client);
        claims["aud"] = json!(world.state.names.management_resource());
        Self { world, claims }
    }

    fn bearer(&self, changed: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims.clone();
        changed(&mut claims);
        format!("Bearer {}", sign(&test_keys::signing_key(), &claims))
    }

    async fn send(&self, method: &str, path: &str, bearer: &str, body: &str) -> (u16, Value, bool) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.world.state.names.management_host())
            .header("authorization", bearer)
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = self.world.public.clone().oneshot(request).await.unwrap();
        let is_challenged = response.headers().contains_key(header::WWW_AUTHENTICATE);
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null), is_challenged)
    }
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_none() {
    let owner = Owner::new().await;
    let path = format!("/subscriptions{VERSION}");
    let good = owner.bearer(|_| {});
    assert_eq!(owner.send("GET", &path, &good, "").await.0, 200);
    let names = owner.world.state.names.clone();
    for (what, bearer, code) in [
        (
            "expired",
            owner.bearer(|claims| claims["exp"] = json!(NOW.seconds() - 400)),
            "ExpiredAuthenticationToken",
        ),
        (
            "a vault's",
            owner.bearer(|claims| claims["aud"] = json!(names.vault_resource())),
            "InvalidAuthenticationTokenAudience",
        ),
        (
            "Graph's",
            owner.bearer(|claims| claims["aud"] = json!(names.graph_resource())),
            "InvalidAuthenticationTokenAudience",
        ),
        (
            "deployments'",
            owner.bearer(|claims| claims["aud"] = json!(names.deployment_resource())),
            "InvalidAuthenticationTokenAudience",
        ),
        (
            "without the slash",
            owner.bearer(|claims| claims["aud"] = json!(names.management_resource().trim_end_matches('/'))),
            "InvalidAuthenticationTokenAudience",
        ),
        (
            "another issuer's",
            owner.bearer(|claims| claims["iss"] = json!("https://login.evil.example/")),
            "InvalidAuthenticationTokenTenant",
        ),
        (
            "of nobody",
            owner.bearer(|claims| claims["oid"] = json!("99999999-9999-4999-8999-999999999999")),
            "InvalidAuthenticationToken",
        ),
        ("no token", "Bearer x.y.z".to_owned(), "InvalidAuthenticationToken"),
        ("another scheme", "Basic eDp5".to_owned(), "AuthenticationFailed"),
        ("tampered", format!("{good}x"), "InvalidAuthenticationToken"),
    ] {
        let (status, body, is_challenged) = owner.send("GET", &path, &bearer, "").await;
        assert_eq!(
            (status, body["error"]["code"].as_str(), is_challenged),
            (401, Some(code), true),
            "{what}: {body}"
        );
    }
    let id = owner.claims["oid"].as_str().unwrap().parse().unwrap();
    owner.world.state.directory.disable_principal(id).await.unwrap();
    assert_eq!(owner.send("GET", &path, &good, "").await.0, 401, "disabled");
}

/// Bodies that are none, of the wrong shape or too large, at every route; and queries and paths that cannot be.
#[tokio::test]
async fn whatever_is_sent_is_answered_in_the_protocols_form() {
    let owner = Owner::new().await;
    let good = owner.bearer(|_| {});
    let subscription = owner.world.state.resource.subscription().id;
    let group = format!("/subscriptions/{subscription}/resourceGroups/shop{VERSION}");
    let made = owner.send("PUT", &group, &good, r#"{"location":"local"}"#).await;
    assert_eq!(made.0, 201);
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let wide = format!(r#"{{"properties":{{"x":"{}"}}}}"#, "x".repeat(2 << 20));
    let bodies = [
        "",
        "{",
        "[]",
        "7",
        "\u{0}",
        "{}",
        r#"{"location":7}"#,
        r#"{"location":"local","properties":7}"#,
        r#"{"location":"local","tags":[],"properties":{}}"#,
        r#"{"location":"local","identity":7,"sku":7,"properties":{"serverFarmId":7,"siteConfig":7,"accessPolicies":7,"sku":7,"tenantId":7}}"#,
        r#"{"location":"local","properties":{"accessPolicies":[7],"issuer":7,"subject":7,"audiences":7,"principalId":7,"roleDefinitionId":7}}"#,
        r#"{"name":7,"type":7}"#,
        &deep,
        &wide,
    ];
    for (method, path) in managed(&owner.world) {
        // What deletes the group would take the rest along.
        if method == "DELETE" && path.ends_with("/shop") {
            continue;
        }
        for body in bodies {
            let (status, told, _) = owner.send(&method, &format!("{path}{VERSION}"), &good, body).await;
            let told_body = told.to_string();
            assert!(status < 500, "{method} {path} {}: {status} {told_body}", &body[..body.len().min(60)]);
            if status >= 400 && method != "HEAD" {
                assert!(
                    told["error"]["code"].is_string() && told["error"]["message"].is_string(),
                    "{method} {path}: {told}"
                );
            }
        }
        // A list of all would be taken for what the filter meant.
        let filtered = format!("{path}{VERSION}&$filter=none%20eq%20%27x%27");
        let (status, told, _) = owner.send(&method, &filtered, &good, "").await;
        assert!(status >= 400 || !told["value"].is_array(), "{method} {filtered}: {told}");
        for query in ["", "?api-version=", "?api-version=latest", "?api-version=2025-05-01%00", "?x=%ff"] {
            let (status, told, _) = owner.send(&method, &format!("{path}{query}"), &good, "").await;
            assert_eq!(status, 400, "{method} {path}{query}: {told}");
        }
    }
    for path in
        ["/", "//", "/subscriptions/x", "/nothing", "/subscriptions//x", &format!("/{}", "a/".repeat(60))]
    {
        let (status, told, _) = owner.send("GET", &format!("{path}{VERSION}"), &good, "").await;
        assert!(status == 404 && told["error"]["code"].is_string(), "{path}: {status} {told}");
    }
    let (status, _, _) = owner.send("TRACE", &format!("/subscriptions{VERSION}"), &good, "").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn clients_learn_everything_from_one_document() {
    let owner = Owner::new().await;
    for (path, is_list) in [
        ("//metadata/endpoints?api-version=2022-09-01", false),
        ("/METADATA/Endpoints?api-version=2019-05-01", true),
        ("/metadata/endpoints", true),
    ] {
        let (status, told, _) = owner.send("GET", path, "", "").await;
        let cloud = if is_list { &told[0] } else { &told };
        assert_eq!((status, cloud["name"].as_str()), (200, Some("Keyless")), "{path}: {told}");
        let names = &owner.world.state.names;
        assert_eq!(cloud["resourceManager"], names.management_resource());
        assert_eq!(cloud["authentication"]["audiences"][0], names.management_resource());
        assert_eq!(cloud["appServiceResourceId"], names.deployment_resource());
    }
}
