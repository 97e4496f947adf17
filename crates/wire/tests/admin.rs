//! The administrator's API: requests handed to its router as the unix socket's listener would.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use crate::support::World;
use audit::{Actor, Outcome, Record};
use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
};
use tower::ServiceExt;
use wire::admin::{
    self, AdminPeer, Capability, ClockFault, Installation, InstallationFacts, Settled, Step, TestClock,
    clock::Later,
};

pub(crate) struct Desk {
    pub(crate) world: World,
    router: Router,
    installation: Arc<StandIn>,
}

#[derive(Default)]
struct StandIn {
    names_changed: AtomicUsize,
    clock: OnceLock<Arc<FakeClock>>,
}

/// A test clock: moves the world's, and does what is due as the server does.
struct FakeClock {
    state: wire::context::State,
    clock: Arc<crate::support::FixedClock>,
    fault: Mutex<Option<ClockFault>>,
}

impl TestClock for FakeClock {
    fn advance(&self, step: Step) -> Later<'_, Result<(), ClockFault>> {
        Box::pin(async move {
            if let Some(fault) = self.fault.lock().unwrap().take() {
                return Err(fault);
            }
            match step {
                Step::By(span) => {
                    self.clock.0.fetch_add(i64::try_from(span.as_secs()).unwrap(), Ordering::SeqCst)
                }
                Step::To(time) => self.clock.0.swap(time.seconds(), Ordering::SeqCst),
            };
            Ok(())
        })
    }

    fn settle(&self) -> Later<'_, Settled> {
        Box::pin(async move {
            let done = self.state.vault.run_due(self.state.clock.now()).await.unwrap();
            let next_due = self.state.vault.next_due().await.unwrap();
            Settled { done: done.iter().map(|done| done.vault.folded()).collect(), next_due }
        })
    }
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

    fn test_clock(&self) -> Option<Arc<dyn TestClock>> {
        self.clock.get().cloned().map(|clock| clock as Arc<dyn TestClock>)
    }
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let installation = Arc::new(StandIn::default());
        let router =
            admin::router(world.state.clone(), installation.clone(), Arc::new(crate::support::NoHosting));
        Self { world, router, installation }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        (status, body)
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
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

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, Some(body)).await
    }

    pub(crate) fn last_record(&self) -> Record {
        self.world.audit.records().pop().unwrap()
    }
}

pub(crate) fn message(body: &Value) -> &str {
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

/// What is desired of a hosted app and its settings; what runs is the server's, and nothing does in this world.
#[tokio::test]
async fn a_hosted_apps_desired_state_and_settings() {
    let desk = Desk::new().await;
    desk.post("/v1/apps", json!({"name": "web"})).await;
    assert_eq!(desk.get("/v1/apps/web").await.1.get("hosted"), None, "nothing is hosted of it");
    let (status, hosted) =
        desk.ask("PATCH", "/v1/apps/web/desired", Some(json!({"instances": 3, "health": "/ok"}))).await;
    assert_eq!((status, &hosted["wanted"], &hosted["health"]), (200, &json!(3), &json!("/ok")), "{hosted}");
    assert_eq!(hosted["url"], "https://web.apps.keyless.localhost:8443");
    let record = desk.last_record();
    assert_eq!(
        (record.action, record.target.as_str(), record.outcome),
        ("app.configure", "app web", Outcome::Allowed)
    );
    let before = hosted["revision"].as_u64().unwrap();
    let (_, again) = desk.ask("PATCH", "/v1/apps/web/desired", Some(json!({"restart": true}))).await;
    assert_eq!(again["revision"].as_u64(), Some(before + 1));
    let free = json!({"processes": null, "memory_mib": 64, "network": "host"});
    let (_, told) = desk.ask("PATCH", "/v1/apps/web/desired", Some(free.clone())).await;
    assert!(free.as_object().unwrap().iter().all(|(name, value)| told[name] == *value), "{told}");

    let settings = json!({"set": {"A": {"value": "open"}, "B": {"value": "Ti3f", "secret": true}}});
    assert_eq!(desk.ask("PATCH", "/v1/apps/web/settings", Some(settings)).await.0, 204);
    let record = desk.last_record();
    assert!(record.target.contains("+A +B") && !format!("{record:?}").contains("Ti3f"), "{record:?}");
    let (_, told) = desk.get("/v1/apps/web/settings").await;
    let expected = json!([{"name": "A", "value": "open", "secret": false}, {"name": "B", "value": null, "secret": true}]);
    assert_eq!(told["value"], expected);
    for (path, body, status) in [
        ("/v1/apps/web/desired", json!({"instances": 0}), 400),
        ("/v1/apps/web/desired", json!({"instances": 33}), 400),
        ("/v1/apps/web/desired", json!({"state": "sleeping"}), 400),
        ("/v1/apps/web/desired", json!({"health": "x y"}), 400),
        ("/v1/apps/web/desired", json!({"network": "bridge"}), 400),
        ("/v1/apps/web/desired", json!({"network": "own", "instances": 9}), 503),
        ("/v1/apps/web/desired", json!({"other": 1}), 400),
        ("/v1/apps/none/desired", json!({"instances": 1}), 404),
        ("/v1/apps/web/settings", json!({"set": {"IDENTITY_HEADER": {"value": "Ti3f"}}}), 400),
        ("/v1/apps/web/settings", json!({"set": {"A B": {"value": "Ti3f"}}}), 400),
        ("/v1/apps/web/settings", json!({"set": {"A": {"value": 7}}}), 400),
        ("/v1/apps/web/settings", json!({"remove": ["C"]}), 404),
        ("/v1/apps/none/settings", json!({}), 404),
    ] {
        let (answered, said) = desk.ask("PATCH", path, Some(body.clone())).await;
        assert_eq!(answered, status, "{path} {body}: {said}");
        assert!(!said.to_string().contains("Ti3f"), "{said}");
    }
    assert_eq!(desk.get("/v1/apps/web").await.1["hosted"]["wanted"], 3, "what was refused changed nothing");
    assert_eq!(desk.get("/v1/apps/none/settings").await.0, 404);
    assert_eq!(desk.get("/v1/apps/web/deployments/none").await.0, 404);
    assert_eq!(desk.get("/v1/apps/none/log").await.0, 404);
    assert_eq!(desk.get("/v1/apps/web/log?lines=x").await.0, 400);

    // Another app of the name has nothing of what the first one had.
    assert_eq!(desk.ask("DELETE", "/v1/apps/web", None).await.0, 204);
    desk.post("/v1/apps", json!({"name": "web"})).await;
    assert_eq!(desk.get("/v1/apps/web/settings").await.1["value"], json!([]));
    assert_eq!(desk.get("/v1/apps/web").await.1.get("hosted"), None);
}

#[tokio::test]
async fn the_record_of_an_attachment_says_which_cgroup_it_was() {
    let desk = Desk::new().await;
    desk.post("/v1/apps", json!({"name": "shop"})).await;
    let attach = |cgroup: &str| json!({"attached": "unit web.service", "cgroup": cgroup});
    let unknown = "/sys/fs/cgroup/other.service";
    desk.world.kernel.attests.store(true, Ordering::SeqCst);
    let (status, refused) = desk.post("/v1/apps/shop/workloads", attach(unknown)).await;
    assert!(status >= 400, "{refused}");
    let record = desk.last_record();
    assert_eq!(record.target, format!("app shop, unit web.service, cgroup {unknown}"));
    assert_ne!((record.action, record.outcome), ("workload.attach", Outcome::Allowed));
    let (status, attached) = desk.post("/v1/apps/shop/workloads", attach("/sys/fs/cgroup/web.service")).await;
    assert_eq!(status, 201, "{attached}");
    let record = desk.last_record();
    let target = "app shop, unit web.service, cgroup /sys/fs/cgroup/web.service (id 4711)";
    assert_eq!(
        (record.action, record.target.as_str(), record.outcome),
        ("workload.attach", target, Outcome::Allowed)
    );
}

#[tokio::test]
async fn what_runs_already_is_not_made_to_run_as_if_in_azure() {
    let desk = Desk::new().await;
    desk.post("/v1/apps", json!({"name": "shop"})).await;
    for more in [json!({"attached": "unit web.service"}), json!({"network": 4_711})] {
        let mut asked = json!({"as_azure": true});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, refused) = desk.post("/v1/apps/shop/workloads", asked).await;
        assert_eq!((status, refused["error"]["code"].as_str()), (400, Some("BadRequest")), "{more}");
        assert!(message(&refused).contains("as_azure"), "{refused}");
    }
    // Without them it is refused for another reason: this world has no doors.
    let (status, refused) = desk.post("/v1/apps/shop/workloads", json!({"as_azure": true})).await;
    assert!(status > 400, "{refused}");
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
            "principal": principal, "display_name": "shop", "state": "enabled",
            "secrets": ["get", "list"], "keys": [], "certificates": [],
        });
        assert_eq!(vault["policies"][1], expected);
        assert_eq!(desk.last_record().action, "vault.policy.set");
    }
    // The policy of a principal that is gone says so, and can be taken away.
    desk.ask("DELETE", "/v1/apps/shop/identity", None).await;
    let (_, policies_now) = desk.get(policies).await;
    assert_eq!(policies_now["value"][1]["display_name"], Value::Null);
    assert_eq!(policies_now["value"][1]["state"], "gone");
    let (status, vault) =
        desk.ask("PUT", policies, Some(json!({"principal": principal, "secrets": []}))).await;
    assert_eq!((status, vault["policies"].as_array().unwrap().len()), (200, 1));
    let gone = json!({"principal": principal, "secrets": ["get"]});
    assert_eq!(desk.ask("PUT", policies, Some(gone)).await.0, 404);
    assert_eq!(desk.get("/v1/vaults").await.1["value"].as_array().unwrap().len(), 1);
    assert_eq!(desk.get("/v1/vaults/none").await.0, 404);
}

impl Desk {
    /// An app with an identity; answers its principal.
    async fn app(&self, name: &str) -> Value {
        self.post("/v1/apps", json!({"name": name})).await;
        self.ask("PUT", &format!("/v1/apps/{name}/identity"), None).await.1["identity"]["principal"].clone()
    }

    /// The last record's action, target and outcome.
    fn told(&self) -> (&'static str, String, Outcome) {
        let record = self.last_record();
        (record.action, record.target, record.outcome)
    }

    /// Refused with this status and words, and the refusal recorded.
    pub(crate) async fn refuses(
        &self,
        method: &str,
        path: &str,
        body: Value,
        status: u16,
        words: &str,
        action: &str,
    ) {
        let (refused, answer) = self.ask(method, path, Some(body.clone())).await;
        assert_eq!(refused, status, "{method} {path} {body}: {answer}");
        assert!(message(&answer).contains(words), "{method} {path} {body}: {}", message(&answer));
        let (recorded, _, outcome) = self.told();
        assert_eq!((recorded, outcome), (action, Outcome::Refused), "{method} {path} {body}");
    }
}

#[tokio::test]
async fn a_vaults_settings() {
    let desk = Desk::new().await;
    let (status, vault) = desk.post("/v1/vaults", json!({"name": "plain"})).await;
    assert_eq!(status, 201);
    assert_eq!((&vault["access"], &vault["retention_days"]), (&json!("policies"), &json!(90)));
    assert_eq!(vault["purge_protection"], false);
    assert_eq!(vault["network"], json!({"only_from": null, "allows_loopback": true}));
    let new = json!({
        "name": "shop", "access": "roles", "retention_days": 7, "purge_protection": true, "allow_ip": ["10.0.0.0/8"]
    });
    let (status, vault) = desk.post("/v1/vaults", new).await;
    assert_eq!(status, 201, "{vault}");
    assert_eq!((&vault["access"], &vault["retention_days"]), (&json!("roles"), &json!(7)));
    assert_eq!(vault["network"], json!({"only_from": ["10.0.0.0/8"], "allows_loopback": false}));
    assert_eq!(vault["roles"][0]["role"], "Key Vault Administrator");
    let target =
        "vault shop: access by roles; retention 7 days; purge protection true; allowed from 10.0.0.0/8";
    assert_eq!(desk.told(), ("vault.create", target.to_owned(), Outcome::Allowed));
    assert_eq!(desk.get("/v1/vaults/shop").await, (200, vault));

    let (status, vault) = desk.ask("PATCH", "/v1/vaults/shop", Some(json!({"allow_ip": ["any"]}))).await;
    assert_eq!((status, &vault["network"]["only_from"]), (200, &Value::Null));
    assert_eq!(vault["retention_days"], 7, "what is not said stays as it was");
    assert_eq!(desk.told(), ("vault.update", "vault shop: allowed from any".to_owned(), Outcome::Allowed));
    let (_, vault) = desk.ask("PATCH", "/v1/vaults/plain", Some(json!({"access": "roles"}))).await;
    assert_eq!(vault["roles"][0]["display_name"], "administrator", "the administrator keeps a way in");

    let update =
        |body, status, words| desk.refuses("PATCH", "/v1/vaults/shop", body, status, words, "vault.update");
    update(json!({"retention_days": 8}), 409, "retention of vault shop cannot be changed").await;
    update(json!({"purge_protection": false}), 409, "purge protection of vault shop cannot be changed").await;
    update(json!({"allow_ip": ["10.0.0.7/8"]}), 400, "10.0.0.7/8").await;
    update(json!({"allow_ip": ["any", "10.0.0.0/8"]}), 400, "\"any\"").await;
    let ranges: Vec<String> = (0..257).map(|at| format!("10.0.{}.{}", at / 256, at % 256)).collect();
    update(json!({"allow_ip": ranges}), 400, "256").await;
    for days in [6, 91] {
        let new = json!({"name": "other", "retention_days": days});
        desk.refuses("POST", "/v1/vaults", new, 400, "7 to 90", "vault.create").await;
    }
    let none = ("PATCH", "/v1/vaults/none");
    desk.refuses(none.0, none.1, json!({"access": "roles"}), 404, "keyless vault list", "vault.update").await;
    assert_eq!(desk.ask("PATCH", "/v1/vaults/shop", Some(json!({"access": "anyhow"}))).await.0, 400);
    assert_eq!(desk.get("/v1/vaults/shop").await.1["network"]["only_from"], Value::Null);
}

#[tokio::test]
async fn a_vaults_life() {
    let desk = Desk::new().await;
    let (_, made) = desk.post("/v1/vaults", json!({"name": "shop", "retention_days": 7})).await;
    let names = || desk.installation.names_changed.load(Ordering::SeqCst);
    assert_eq!(names(), 1);
    let (status, deleted) = desk.ask("DELETE", "/v1/vaults/shop", None).await;
    assert_eq!(status, 200, "{deleted}");
    let now = crate::support::NOW.seconds();
    assert_eq!(deleted["deleted"], json!({"at": now, "purge_at": now + 7 * 86_400}));
    assert_eq!(names(), 2);
    assert_eq!(desk.told(), ("vault.delete", "vault shop".to_owned(), Outcome::Allowed));
    assert_eq!(desk.get("/v1/vaults/shop").await.0, 404);
    assert_eq!(desk.get("/v1/vaults").await.1, json!({"value": []}));
    assert_eq!(desk.get("/v1/deleted-vaults").await.1["value"], json!([deleted]));
    assert_eq!(desk.get("/v1/deleted-vaults/SHOP").await, (200, deleted));
    let recover = "keyless vault recover shop";
    desk.refuses("POST", "/v1/vaults", json!({"name": "shop"}), 409, recover, "vault.create").await;

    let (status, recovered) = desk.ask("POST", "/v1/deleted-vaults/shop/recover", None).await;
    assert_eq!((status, &recovered["id"]), (200, &made["id"]));
    assert_eq!(names(), 3, "its name must be found again");
    assert_eq!(desk.told(), ("vault.recover", "vault shop".to_owned(), Outcome::Allowed));
    let list = "vault list --deleted";
    for (method, path, action) in [
        ("POST", "/v1/deleted-vaults/shop/recover", "vault.recover"),
        ("DELETE", "/v1/deleted-vaults/shop", "vault.purge"),
    ] {
        desk.refuses(method, path, json!({}), 404, list, action).await;
    }
    desk.ask("DELETE", "/v1/vaults/shop", None).await;
    assert_eq!(desk.ask("DELETE", "/v1/deleted-vaults/shop", None).await, (204, Value::Null));
    assert_eq!(desk.told(), ("vault.purge", "vault shop".to_owned(), Outcome::Allowed));
    let (status, again) = desk.post("/v1/vaults", json!({"name": "shop", "purge_protection": true})).await;
    assert_eq!(status, 201);
    assert_ne!(again["id"], made["id"]);

    desk.ask("DELETE", "/v1/vaults/shop", None).await;
    let purge = ("DELETE", "/v1/deleted-vaults/shop");
    desk.refuses(purge.0, purge.1, json!({}), 409, "protected from purging", "vault.purge").await;
    assert_eq!(desk.get("/v1/deleted-vaults/shop").await.0, 200);
    desk.refuses("DELETE", "/v1/vaults/none", json!({}), 404, "keyless vault list", "vault.delete").await;
    assert_eq!(desk.get("/v1/deleted-vaults/none").await.0, 404);
}

#[tokio::test]
async fn roles_are_assigned_and_removed() {
    let desk = Desk::new().await;
    let principal = desk.app("web").await;
    desk.post("/v1/vaults", json!({"name": "shop", "access": "roles"})).await;
    let roles = "/v1/vaults/shop/roles";
    let assign = json!({"role": "key vault secrets user", "app": "web", "secret": "db"});
    let (status, assigned) = desk.post(roles, assign.clone()).await;
    assert_eq!(status, 200, "{assigned}");
    assert_eq!((&assigned["principal"], &assigned["display_name"]), (&principal, &json!("web")));
    assert_eq!(assigned["role"], "Key Vault Secrets User");
    assert_eq!(assigned["object"], json!({"kind": "secret", "name": "db"}));
    let target = format!(
        "vault shop/secrets/db for principal {}: Key Vault Secrets User",
        principal.as_str().unwrap()
    );
    assert_eq!(desk.told(), ("vault.role.assign", target.clone(), Outcome::Allowed));
    // The same words are the same assignment; by its id or its name, the same role.
    assert_eq!(desk.post(roles, assign.clone()).await.1["id"], assigned["id"]);
    let by_id =
        json!({"role": "4633458b-17de-408a-b874-0445c86b69e6", "principal": principal, "secret": "DB"});
    assert_eq!(desk.post(roles, by_id).await.1["id"], assigned["id"]);
    assert_eq!(desk.get(roles).await.1["value"].as_array().unwrap().len(), 2, "this and the administrator's");

    let path = format!("{roles}/{}", assigned["id"].as_str().unwrap());
    let (status, removed) = desk.ask("DELETE", &path, None).await;
    assert_eq!((status, &removed["id"]), (200, &assigned["id"]));
    assert_eq!(desk.told(), ("vault.role.remove", target, Outcome::Allowed));
    desk.refuses("DELETE", &path, json!({}), 404, "role list shop", "vault.role.remove").await;
    desk.refuses("DELETE", roles, assign.clone(), 404, "is not assigned", "vault.role.remove").await;
    desk.post(roles, assign.clone()).await;
    // The words name one assignment, not each of the role.
    let whole = json!({"role": "Key Vault Secrets User", "app": "web"});
    desk.refuses("DELETE", roles, whole, 404, "vault shop as a whole", "vault.role.remove").await;
    assert_eq!(desk.ask("DELETE", roles, Some(assign.clone())).await.0, 200);

    let refuses = |body, status, words| desk.refuses("POST", roles, body, status, words, "vault.role.assign");
    refuses(json!({"role": "Owner", "app": "web"}), 400, "role definitions").await;
    refuses(json!({"role": "Key Vault Reader", "app": "nobody"}), 404, "app create nobody").await;
    let nobody = "11111111-1111-4111-8111-111111111111";
    refuses(json!({"role": "Key Vault Reader", "principal": nobody}), 404, "principal list").await;
    refuses(json!({"role": "Key Vault Reader", "client_id": nobody}), 404, "client id").await;
    refuses(json!({"role": "Key Vault Reader"}), 400, "exactly one of app").await;
    let both = json!({"role": "Key Vault Reader", "app": "web", "secret": "a", "key": "b"});
    refuses(both, 400, "at most one of secret").await;
    let set = json!({"app": "web", "secrets": ["get"]});
    let policies = "/v1/vaults/shop/policies";
    desk.refuses("PUT", policies, set, 409, "vault role assign shop", "vault.policy.set").await;
    desk.post("/v1/vaults", json!({"name": "plain"})).await;
    let plain = "/v1/vaults/plain/roles";
    desk.refuses("POST", plain, assign.clone(), 409, "policy set plain", "vault.role.assign").await;
    let none = "/v1/vaults/none/roles";
    desk.refuses("POST", none, assign, 404, "keyless vault list", "vault.role.assign").await;
    assert_eq!(desk.get(none).await.0, 404);
    assert_eq!(desk.ask("DELETE", &format!("{roles}/x"), None).await.0, 400);

    let (_, definitions) = desk.get("/v1/roles").await;
    let reader =
        definitions["value"].as_array().unwrap().iter().find(|role| role["name"] == "Key Vault Reader");
    assert_eq!(reader.unwrap()["id"], "21090545-7ca7-4776-b22c-e363652d74d2");
    assert_eq!(reader.unwrap()["data_actions"][0], "Microsoft.KeyVault/vaults/*/read");
}

/// What is said of one action.
fn said<'a>(explained: &'a Value, somebody: &Value, action: &str) -> &'a Value {
    let of = |member: &str, list: &'a Value, wanted: &Value| {
        let mut list = list.as_array().into_iter().flatten();
        list.find(|one| one[member] == *wanted).unwrap_or(&Value::Null)
    };
    of("action", &of("principal", &explained["principals"], somebody)["actions"], &json!(action))
}

#[tokio::test]
async fn who_may_what_is_explained_by_the_rules_that_count() {
    let desk = Desk::new().await;
    let (web, job) = (desk.app("web").await, desk.app("job").await);
    desk.post("/v1/vaults", json!({"name": "shop", "allow_ip": ["192.0.2.0/24"]})).await;
    let policies = "/v1/vaults/shop/policies";
    desk.ask("PUT", policies, Some(json!({"app": "web", "secrets": ["get"], "keys": ["sign"]}))).await;
    desk.ask("PUT", policies, Some(json!({"app": "job", "secrets": ["list"]}))).await;
    let records = desk.world.audit.records().len();
    let explain = async |body: Value| {
        let (status, explained) = desk.post("/v1/vaults/shop/explain", body.clone()).await;
        assert_eq!(status, 200, "{body}: {explained}");
        explained
    };
    let all = explain(json!({"secret": "db"})).await;
    assert_eq!(
        (&all["access"], &all["network"]["only_from"]),
        (&json!("policies"), &json!(["192.0.2.0/24"]))
    );
    assert_eq!(all["principals"].as_array().unwrap().len(), 3);
    assert_eq!(all["principals"][1]["actions"][0]["action"], "secret.get", "reading is said first");
    assert_eq!(said(&all, &web, "secret.get")["allowed"], true);
    assert_eq!(
        said(&all, &web, "secret.get")["because"],
        "the vault's access policy for the principal has secrets get"
    );
    assert_eq!(said(&all, &job, "secret.get")["allowed"], false);
    assert_eq!(
        said(&all, &job, "secret.get")["because"],
        "the vault's access policy for the principal lacks secrets get"
    );
    assert_eq!(*said(&all, &web, "key.sign"), Value::Null, "a secret is asked about");
    let one = explain(json!({"app": "web", "key": "k", "action": "key.sign"})).await;
    assert_eq!(one["principals"].as_array().unwrap().len(), 1);
    assert_eq!(one["principals"][0]["actions"].as_array().unwrap().len(), 1);
    assert_eq!(said(&one, &web, "key.sign")["allowed"], true);
    let whole = explain(json!({"principal": job})).await;
    assert_eq!(said(&whole, &job, "secret.list-deleted")["allowed"], true);
    assert_eq!(said(&whole, &job, "certificate.issuer.set")["allowed"], false);

    // Disabled, and gone, are marked and may nothing.
    let path = format!("/v1/principals/{}", web.as_str().unwrap());
    desk.ask("PATCH", &path, Some(json!({"enabled": false}))).await;
    desk.ask("DELETE", "/v1/apps/job/identity", None).await;
    let now = explain(json!({"secret": "db"})).await;
    assert_eq!(
        (&now["principals"][1]["state"], &now["principals"][2]["state"]),
        (&json!("disabled"), &json!("gone"))
    );
    assert_eq!(said(&now, &web, "secret.get")["because"], "the principal is disabled");
    assert_eq!(said(&now, &job, "secret.list")["because"], "the principal does not exist");
    desk.ask("PATCH", &path, Some(json!({"enabled": true}))).await;

    // The other model: what was allowed is not, and a role that is narrowed down allows there only.
    desk.ask("PATCH", "/v1/vaults/shop", Some(json!({"access": "roles"}))).await;
    assert_eq!(said(&explain(json!({"app": "web"})).await, &web, "secret.get")["allowed"], false);
    let role = json!({"role": "Key Vault Secrets User", "app": "web", "secret": "db"});
    let (_, assigned) = desk.post("/v1/vaults/shop/roles", role).await;
    let db = explain(json!({"secret": "db"})).await;
    let read = said(&db, &web, "secret.get");
    assert_eq!((&read["allowed"], &read["role"]), (&json!(true), &json!("Key Vault Secrets User")));
    assert_eq!((&read["assignment"], &read["object"]["name"]), (&assigned["id"], &json!("db")));
    assert_eq!(*said(&db, &web, "secret.list-deleted"), Value::Null, "that is never asked of one secret");
    let other = explain(json!({"secret": "other"})).await;
    assert_eq!(said(&other, &web, "secret.get")["allowed"], false);
    assert!(
        said(&other, &web, "secret.get")["because"].as_str().unwrap().ends_with("secrets/getSecret/action")
    );
    assert_eq!(said(&other, &job, "secret.get"), &Value::Null, "a policy names nobody here");

    for (path, body, status, words) in [
        ("/v1/vaults/none/explain", json!({}), 404, "keyless vault list"),
        ("/v1/vaults/shop/explain", json!({"app": "nobody"}), 404, "app create nobody"),
        ("/v1/vaults/shop/explain", json!({"action": "secret.read"}), 400, "secret.get"),
        (
            "/v1/vaults/shop/explain",
            json!({"secret": "db", "action": "key.sign"}),
            400,
            "never asked of one secret",
        ),
        ("/v1/vaults/shop/explain", json!({"secret": "db", "key": "k"}), 400, "at most one"),
        ("/v1/vaults/shop/explain", json!({"app": "web", "principal": web}), 400, "exactly one"),
    ] {
        let (refused, answer) = desk.post(path, body.clone()).await;
        assert_eq!(refused, status, "{body}: {answer}");
        assert!(message(&answer).contains(words), "{body}: {answer}");
    }
    let changes = desk.world.audit.records().split_off(records);
    assert!(changes.iter().all(|record| !record.action.contains("explain")), "looking leaves no record");
}

#[tokio::test]
async fn a_real_clock_is_not_moved() {
    let desk = Desk::new().await;
    let now = crate::support::NOW.seconds();
    let shown = json!({"now": now, "ahead_seconds": null, "next_due": null});
    assert_eq!(desk.get("/v1/clock").await, (200, shown.clone()));
    desk.refuses("POST", "/v1/clock", json!({"by_seconds": 60}), 409, "--test-clock", "clock.advance").await;
    assert_eq!(desk.get("/v1/clock").await.1, shown);
    assert!(desk.get("/v1/status").await.1.get("test_clock_ahead_seconds").is_none());
}

#[tokio::test]
async fn a_test_clock_moves_and_what_is_due_is_done_before_the_answer() {
    let desk = Desk::new().await;
    let (state, clock) = (desk.world.state.clone(), desk.world.clock.clone());
    let fake = Arc::new(FakeClock { state, clock, fault: Mutex::new(None) });
    let _first = desk.installation.clock.set(fake.clone());
    desk.post("/v1/vaults", json!({"name": "shop", "retention_days": 7})).await;
    desk.ask("DELETE", "/v1/vaults/shop", None).await;
    let now = crate::support::NOW.seconds();
    let due = now + 7 * 86_400;
    let (status, moved) = desk.post("/v1/clock", json!({"by_seconds": 60})).await;
    assert_eq!((status, &moved["from"], &moved["now"]), (200, &json!(now), &json!(now + 60)));
    assert_eq!(
        (&moved["done"], &moved["next_due"], &moved["is_more_due"]),
        (&json!([]), &json!(due), &json!(false))
    );
    assert_eq!(desk.get("/v1/deleted-vaults").await.1["value"].as_array().unwrap().len(), 1);
    let (_, moved) = desk.post("/v1/clock", json!({"to": due})).await;
    assert_eq!((&moved["done"], &moved["next_due"]), (&json!(["shop"]), &Value::Null));
    assert_eq!(desk.get("/v1/deleted-vaults").await.1, json!({"value": []}));
    let record = desk.last_record();
    assert_eq!((record.action, record.outcome), ("clock.advance", Outcome::Allowed));
    assert_eq!(record.at.seconds(), now + 60, "it was asked for at the time before");
    assert!(record.target.contains(" to "), "{}", record.target);

    for body in [json!({}), json!({"by_seconds": 1, "to": due + 9})] {
        desk.refuses("POST", "/v1/clock", body, 400, "exactly one", "clock.advance").await;
    }
    for (fault, status, words) in
        [(ClockFault::Past, 409, "forward only"), (ClockFault::TooFar, 400, "at most 36500 days")]
    {
        *fake.fault.lock().unwrap() = Some(fault);
        desk.refuses("POST", "/v1/clock", json!({"by_seconds": 1}), status, words, "clock.advance").await;
    }
    assert_eq!(desk.post("/v1/clock", json!({"by_seconds": -1})).await.0, 400);
    assert_eq!(desk.get("/v1/clock").await.1["now"], due);
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

/// Where roles decide, who sees an asymmetric key may use its public half, and that is what is explained; of a symmetric one there is none.
#[tokio::test]
async fn who_sees_a_key_is_explained_to_use_its_public_half() {
    let desk = Desk::new().await;
    let web = desk.app("web").await;
    desk.post("/v1/vaults", json!({"name": "shop", "access": "roles"})).await;
    desk.post("/v1/vaults/shop/roles", json!({"role": "Key Vault Reader", "app": "web"})).await;
    let explained = desk.post("/v1/vaults/shop/explain", json!({"app": "web", "key": "k"})).await.1;
    for action in ["key.get", "key.encrypt", "key.wrap", "key.verify"] {
        let said = said(&explained, &web, action);
        assert_eq!((&said["allowed"], &said["role"]), (&json!(true), &json!("Key Vault Reader")), "{action}");
    }
    for action in ["key.decrypt", "key.unwrap", "key.sign"] {
        assert_eq!(said(&explained, &web, action)["allowed"], false, "{action}");
    }
}
