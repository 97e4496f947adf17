//! The administrator's API: requests handed to its router as the unix socket's listener would.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use crate::support::World;
use audit::{Actor, Outcome, Record};
use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tower::ServiceExt;
use wire::admin::{self, AdminPeer, Capability, Installation, InstallationFacts};

struct Desk {
    world: World,
    router: Router,
    installation: Arc<StandIn>,
}

#[derive(Default)]
struct StandIn {
    names_changed: AtomicUsize,
}

impl Installation for StandIn {
    fn facts(&self) -> InstallationFacts {
        InstallationFacts {
            version: "0.1.0".to_owned(),
            started: crate::support::NOW,
            listen: vec!["127.0.0.1:8443".to_owned()],
            data: "/d".to_owned(),
            hosts_file: "/d/hosts".to_owned(),
            capabilities: vec![Capability {
                name: "cgroup".to_owned(),
                enforced: false,
                why: Some("not delegated".to_owned()),
                mend: Some("delegate it".to_owned()),
            }],
            warnings: vec!["the root key is in a file".to_owned()],
        }
    }

    fn names_changed(&self) {
        self.names_changed.fetch_add(1, Ordering::SeqCst);
    }
}

impl Desk {
    async fn new() -> Self {
        let world = World::new().await;
        let installation = Arc::new(StandIn::default());
        let router = admin::router(world.state.clone(), installation.clone());
        Self { world, router, installation }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        (status, body)
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let peer = AdminPeer { uid: 1_000, pid: Some(77), executable: Some("/usr/bin/keyless".to_owned()) };
        let request = Request::builder().method(method).uri(path).header("host", "localhost").extension(peer);
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        let (status, body) = self.send(request.unwrap()).await;
        (status.as_u16(), body)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, Some(body)).await
    }

    fn last_record(&self) -> Record {
        self.world.audit.records().pop().unwrap()
    }
}

fn message(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn nobody_is_answered_whom_the_listener_did_not_check() {
    let desk = Desk::new().await;
    for (method, path) in [("GET", "/v1/status"), ("POST", "/v1/token"), ("GET", "/nowhere")] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        assert_eq!(desk.send(request).await.0, StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert!(desk.world.audit.records().is_empty());
}

#[tokio::test]
async fn apps_and_identities() {
    let desk = Desk::new().await;
    let (status, app) = desk.post("/v1/apps", json!({"name": "Shop"})).await;
    assert_eq!((status, app["name"].as_str(), &app["identity"]), (201, Some("Shop"), &Value::Null));
    let record = desk.last_record();
    assert_eq!(
        (record.action, record.target.as_str(), record.outcome),
        ("app.create", "app Shop", Outcome::Allowed)
    );
    assert_eq!(record.actor, Actor::Administrator);
    assert_eq!((record.origin.uid, record.origin.pid), (Some(1_000), Some(77)));
    assert_eq!(record.origin.executable.as_deref(), Some("/usr/bin/keyless"));
    let (status, again) = desk.post("/v1/apps", json!({"name": "shop"})).await;
    assert_eq!((status, again["error"]["code"].as_str()), (409, Some("Conflict")));
    assert_eq!(desk.last_record().outcome, Outcome::Refused);

    assert_eq!(desk.get("/v1/apps/shop/identity").await.0, 404);
    let (status, app) = desk.ask("PUT", "/v1/apps/shop/identity", None).await;
    assert_eq!(status, 200);
    let (_, identity) = desk.get("/v1/apps/SHOP/identity").await;
    assert_eq!(app["identity"], identity);
    assert_eq!(identity["enabled"], true);
    let (_, all) = desk.get("/v1/apps").await;
    assert_eq!(all["value"].as_array().unwrap().len(), 1);
    let principal = identity["principal"].as_str().unwrap();
    assert_eq!(desk.get(&format!("/v1/principals/{principal}")).await.1["display_name"], "Shop");

    let (status, app) = desk.ask("DELETE", "/v1/apps/shop/identity", None).await;
    assert_eq!((status, &app["identity"]), (200, &Value::Null));
    assert_eq!(desk.get(&format!("/v1/principals/{principal}")).await.0, 404);
    assert_eq!(desk.ask("DELETE", "/v1/apps/shop", None).await, (204, Value::Null));
    let (status, gone) = desk.get("/v1/apps/shop").await;
    assert_eq!(status, 404);
    assert!(message(&gone).contains("keyless app create shop"));
}

#[tokio::test]
async fn a_start_tells_the_environment_once() {
    let desk = Desk::new().await;
    desk.post("/v1/apps", json!({"name": "shop"})).await;
    let start = json!({"environment": {"PATH": null, "AZURE_CLIENT_SECRET": null, "HTTPS_PROXY": null, "no_proxy": "intern"}});
    let (status, started) = desk.post("/v1/apps/shop/workloads", start).await;
    assert_eq!(status, 201, "{started}");
    let env: Vec<(String, String)> = serde_json::from_value(started["env"].clone()).unwrap();
    let value = |name: &str| env.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let port = started["port"].as_u64().unwrap();
    assert_eq!(value("IDENTITY_ENDPOINT"), Some(format!("http://127.0.0.1:{port}/msi/token").as_str()));
    assert_eq!(value("no_proxy"), Some("intern,127.0.0.1,localhost,.keyless.localhost"));
    assert_eq!(started["unset"], json!(["AZURE_CLIENT_SECRET"]));
    assert_eq!(started["notices"].as_array().unwrap().len(), 1);
    assert_eq!(started["enforcement"]["enforced"], false);
    assert!(started["enforcement"]["why"].is_string() && started["enforcement"]["mend"].is_string());
    let secret = value("IDENTITY_HEADER").unwrap();
    for path in ["/v1/apps/shop/workloads", "/v1/workloads", "/v1/apps/shop", "/v1/status"] {
        assert!(!desk.get(path).await.1.to_string().contains(secret), "{path}");
    }
    assert!(!desk.world.audit.lines().concat().contains(secret));

    let (_, listed) = desk.get("/v1/apps/shop/workloads").await;
    let id = listed["value"][0]["id"].as_str().unwrap();
    assert_eq!(started["workload"], id);
    assert_eq!(desk.ask("DELETE", &format!("/v1/workloads/{id}"), None).await.0, 204);
    assert_eq!(desk.last_record().action, "workload.end");
    assert_eq!(desk.ask("DELETE", &format!("/v1/workloads/{id}"), None).await.0, 404);

    let (status, refused) = desk.post("/v1/apps/shop/workloads", json!({"require_enforced": true})).await;
    assert_eq!((status, refused["error"]["code"].as_str()), (412, Some("NotEnforced")));
    assert_eq!(desk.post("/v1/apps/nobody/workloads", json!({})).await.0, 404);
}

#[tokio::test]
async fn vaults_and_policies() {
    let desk = Desk::new().await;
    let (status, vault) = desk.post("/v1/vaults", json!({"name": "Shop"})).await;
    assert_eq!((status, vault["url"].as_str()), (201, Some("https://shop.vault.keyless.localhost:8443")));
    assert_eq!(vault["policies"][0]["display_name"], "administrator");
    assert_eq!(desk.installation.names_changed.load(Ordering::SeqCst), 1);
    assert_eq!(desk.post("/v1/vaults", json!({"name": "shop"})).await.0, 409);
    assert_eq!(desk.installation.names_changed.load(Ordering::SeqCst), 1);

    desk.post("/v1/apps", json!({"name": "shop"})).await;
    let policies = "/v1/vaults/shop/policies";
    let (status, refused) = desk.ask("PUT", policies, Some(json!({"app": "shop", "secrets": ["get"]}))).await;
    assert_eq!(status, 409);
    assert!(message(&refused).contains("keyless app identity assign shop"));
    let (_, app) = desk.ask("PUT", "/v1/apps/shop/identity", None).await;
    let (principal, client) = (app["identity"]["principal"].clone(), app["identity"]["client_id"].clone());
    for body in [
        json!({"app": "shop", "secrets": ["get", "list"]}),
        json!({"principal": principal, "secrets": ["get", "list"]}),
        json!({"client_id": client, "secrets": ["get", "list"]}),
    ] {
        let (status, vault) = desk.ask("PUT", policies, Some(body)).await;
        assert_eq!(status, 200);
        let expected = json!({
            "principal": principal, "display_name": "shop", "secrets": ["get", "list"], "keys": [], "certificates": [],
        });
        assert_eq!(vault["policies"][1], expected);
        assert_eq!(desk.last_record().action, "vault.policy.set");
    }
    // The policy of a principal that is gone says so, and can be taken away.
    desk.ask("DELETE", "/v1/apps/shop/identity", None).await;
    let (_, vault) = desk.get("/v1/vaults/shop").await;
    assert_eq!(vault["policies"][1]["display_name"], Value::Null);
    let (status, vault) =
        desk.ask("PUT", policies, Some(json!({"principal": principal, "secrets": []}))).await;
    assert_eq!((status, vault["policies"].as_array().unwrap().len()), (200, 1));
    let gone = json!({"principal": principal, "secrets": ["get"]});
    assert_eq!(desk.ask("PUT", policies, Some(gone)).await.0, 404);
    assert_eq!(desk.get("/v1/vaults").await.1["value"].as_array().unwrap().len(), 1);
    assert_eq!(desk.get("/v1/vaults/none").await.0, 404);
}

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
async fn the_administrators_token_is_for_the_vaults() {
    let desk = Desk::new().await;
    for body in [
        json!({}),
        json!({"resource": "https://vault.keyless.localhost:8443"}),
        json!({"resource": "https://vault.azure.net"}),
    ] {
        let (status, token) = desk.post("/v1/token", body).await;
        assert_eq!(status, 200);
        let secret = domain::Secret::new(token["access_token"].as_str().unwrap().to_owned());
        let state = &desk.world.state;
        let caller = state.verifier.verify(&secret, &*state.directory.ring(), crate::support::NOW).unwrap();
        assert_eq!(caller.principal(), state.directory.tenant().administrator);
        assert!(!desk.world.audit.lines().concat().contains(secret.expose()));
        assert_eq!(desk.last_record().action, "token.issue");
    }
    assert_eq!(desk.post("/v1/token", json!({"resource": "https://management.azure.com"})).await.0, 400);
}

#[tokio::test]
async fn the_status_says_what_runs_and_what_is_not_enforced() {
    let desk = Desk::new().await;
    desk.post("/v1/apps", json!({"name": "shop"})).await;
    desk.post("/v1/apps/shop/workloads", json!({})).await;
    let (status, facts) = desk.get("/v1/status").await;
    assert_eq!(status, 200);
    assert_eq!(facts["counts"], json!({"apps": 1, "workloads": 1, "workloads_unenforced": 1, "vaults": 0}));
    assert_eq!((&facts["domain"], &facts["port"]), (&json!("keyless.localhost"), &json!(8443)));
    assert_eq!(facts["capabilities"][0]["why"], "not delegated");
    assert_eq!(facts["audit_failing"], false);
}

#[tokio::test]
async fn bad_input_is_named() {
    let desk = Desk::new().await;
    for (path, body) in [
        ("/v1/apps", json!({"name": "x"})),
        ("/v1/apps", json!({"name": "shop", "color": "red"})),
        ("/v1/apps", json!({})),
        ("/v1/apps", json!([])),
        ("/v1/vaults", json!({"name": "a_b"})),
        ("/v1/registrations", json!({"display_name": ""})),
        ("/v1/apps/a.b/workloads", json!({})),
        ("/v1/apps/shop/workloads", json!({"environment": ["PATH"]})),
    ] {
        let (status, refused) = desk.post(path, body.clone()).await;
        assert_eq!(status, 400, "{path} {body}: {refused}");
        assert!(!message(&refused).is_empty());
    }
    for (path, body) in [
        ("/v1/vaults/shop/policies", json!({"secrets": ["get"]})),
        (
            "/v1/vaults/shop/policies",
            json!({"app": "a1", "client_id": "11111111-1111-4111-8111-111111111111", "secrets": []}),
        ),
        ("/v1/vaults/shop/policies", json!({"app": "shop", "secrets": ["read"]})),
        ("/v1/vaults/shop/policies", json!({"principal": "x", "secrets": []})),
    ] {
        assert_eq!(desk.ask("PUT", path, Some(body)).await.0, 400);
    }
    assert_eq!(desk.get("/v1/principals/x").await.0, 400);
    assert_eq!(desk.get("/v1/nothing").await.0, 404);
    assert_eq!(desk.get("/v1/apps/%ff").await.0, 400);
    assert_eq!(desk.ask("PATCH", "/v1/apps", None).await.0, 405);
    let large = json!({"name": "x".repeat(300_000)});
    assert_eq!(desk.post("/v1/apps", large).await.0, 413);
    let peer = AdminPeer { uid: 0, pid: None, executable: None };
    let no_type =
        Request::post("/v1/apps").extension(peer.clone()).body(Body::from("{\"name\":\"shop\"}")).unwrap();
    assert_eq!(desk.send(no_type).await.0, StatusCode::BAD_REQUEST);
    let trailing = Request::post("/v1/apps").extension(peer).header("content-type", "application/json");
    let trailing = trailing.body(Body::from("{\"name\":\"shop\"} x")).unwrap();
    assert_eq!(desk.send(trailing).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn nothing_is_answered_that_cannot_be_recorded() {
    let desk = Desk::new().await;
    desk.world.audit.set_failed(true);
    for (path, body) in [("/v1/apps", json!({"name": "shop"})), ("/v1/token", json!({}))] {
        let (status, refused) = desk.post(path, body).await;
        assert_eq!((status, refused["error"]["code"].as_str()), (503, Some("AuditUnavailable")), "{path}");
    }
}
