//! The administrator's API: requests handed to its router as the unix socket's listener would.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use crate::support::World;
use audit::{Actor, Outcome, Record};
use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock, atomic::Ordering};
use tower::ServiceExt;
use wire::admin::{
    self, AdminPeer, Capability, ClockFault, HostingFacts, Installation, InstallationFacts, Settled, Step,
    TestClock, clock::Later,
};

pub(crate) struct Desk {
    pub(crate) world: World,
    router: Router,
    installation: Arc<StandIn>,
}

#[derive(Default)]
struct StandIn {
    names_changed: Mutex<Vec<wire::Named>>,
    clock: OnceLock<Arc<FakeClock>>,
    hosting: Mutex<Option<HostingFacts>>,
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

fn unenforced(name: &str, why: &str, mend: &str) -> Capability {
    let (name, why, mend) = (name.to_owned(), Some(why.to_owned()), Some(mend.to_owned()));
    Capability { name, enforced: false, why, mend }
}

impl Installation for StandIn {
    fn facts(&self) -> InstallationFacts {
        InstallationFacts {
            version: "0.1.0".to_owned(),
            started: crate::support::NOW,
            listen: vec!["127.0.0.1:8443".to_owned()],
            data: "/d".to_owned(),
            hosts_file: "/d/hosts".to_owned(),
            capabilities: vec![unenforced("cgroup", "not delegated", "delegate it")],
            warnings: vec!["the root key is in a file".to_owned()],
        }
    }

    fn hosting_facts(&self) -> Later<'_, Result<HostingFacts, String>> {
        let found = self.hosting.lock().unwrap().clone();
        Box::pin(async { found.ok_or_else(|| "no program can be started".to_owned()) })
    }

    fn names_changed(&self, of: wire::Named) {
        self.names_changed.lock().unwrap().push(of);
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

    /// Of what the installation was told that its name is another.
    pub(crate) fn names_changed(&self) -> Vec<wire::Named> {
        std::mem::take(&mut *self.installation.names_changed.lock().unwrap())
    }

    /// An app with an identity; answers its principal.
    pub(crate) async fn app(&self, name: &str) -> Value {
        self.post("/v1/apps", json!({"name": name})).await;
        self.ask("PUT", &format!("/v1/apps/{name}/identity"), None).await.1["identity"]["principal"].clone()
    }

    /// The last record's action, target and outcome.
    pub(crate) fn told(&self) -> (&'static str, String, Outcome) {
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
    let shop = || wire::Named::App("shop".parse().unwrap());
    assert_eq!(desk.names_changed(), [shop()], "it was made");
    assert_eq!(desk.ask("DELETE", "/v1/apps/shop", None).await, (204, Value::Null));
    assert_eq!(desk.names_changed(), [shop()], "it is no more");
    let (status, gone) = desk.get("/v1/apps/shop").await;
    assert_eq!(status, 404);
    assert!(message(&gone).contains("keyless app create shop"));
    // What is made has its name, also if that cannot be written down.
    desk.world.audit.set_failed(true);
    let (status, _) = desk.post("/v1/apps", json!({"name": "shop"})).await;
    assert!(status >= 500, "{status}");
    desk.world.audit.set_failed(false);
    assert_eq!((desk.get("/v1/apps/shop").await.0, desk.names_changed()), (200, vec![shop()]));
    desk.ask("DELETE", "/v1/apps/shop", None).await;
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
    // What a secret one holds is told to nobody, but whether it is what somebody says.
    let compare = "/v1/apps/web/settings/compare";
    for (said, other) in [
        (json!({"A": {"value": "open"}, "B": {"value": "Ti3f", "secret": true}}), json!([])),
        (json!({"A": {"value": "shut"}, "B": {"value": "Ti3f"}}), json!(["A", "B"])),
        (json!({"B": {"value": "Ti3", "secret": true}, "C": {"value": ""}}), json!(["B", "C"])),
    ] {
        let answer = desk.ask("POST", compare, Some(json!({"settings": said}))).await;
        assert_eq!(answer, (200, json!({"value": other})), "{said}");
    }
    let (status, said) = desk.ask("POST", compare, Some(json!({"settings": {"B": "Ti3f"}}))).await;
    assert!(status == 400 && !said.to_string().contains("Ti3f"), "{said}");
    assert_eq!(
        desk.ask("POST", "/v1/apps/none/settings/compare", Some(json!({"settings": {}}))).await.0,
        404
    );
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
        let record = desk.last_record();
        assert_eq!((record.target.as_str(), record.outcome), ("app shop", Outcome::Refused));
        assert_eq!(record.reason, message(&refused));
    }
    let words = json!({"attached": "x".repeat(301), "cgroup": "/sys/fs/cgroup/web.service"});
    assert_eq!(desk.post("/v1/apps/shop/workloads", words).await.0, 400);
    assert_eq!(
        (desk.last_record().action, desk.last_record().outcome),
        ("workload.attach", Outcome::Refused)
    );
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
        let caller =
            state.verifiers.vaults.verify(&secret, &*state.directory.ring(), crate::support::NOW).unwrap();
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
async fn what_hosted_apps_can_be_given_is_told_as_it_was_found_or_why_it_was_not() {
    let desk = Desk::new().await;
    let (status, refused) = desk.get("/v1/status/hosting").await;
    assert_eq!((status, message(&refused)), (503, "no program can be started"));
    let found = HostingFacts {
        capabilities: vec![unenforced("memory limit", "not delegated", "delegate it")],
        connect_gate: Capability { enforced: true, why: None, mend: None, ..unenforced("gate", "", "") },
    };
    *desk.installation.hosting.lock().unwrap() = Some(found);
    let (status, told) = desk.get("/v1/status/hosting").await;
    assert_eq!(status, 200);
    let memory =
        json!({"name": "memory limit", "enforced": false, "why": "not delegated", "mend": "delegate it"});
    assert_eq!(told, json!({"capabilities": [memory], "connect_gate": {"name": "gate", "enforced": true}}));
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
