//! The identity endpoint as SDKs and thieves see it: bytes on a connection. The kernel is a stand-in, everything above is real.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use crate::support::{Cgroup, NOW, World};
use access::{Manager, Principal};
use audit::{Actor, Outcome, Record};
use domain::{AppName, Clock, IdentityName, Placement, Secret, Timestamp, WorkloadId};
use host::HostError;
use identity::{PeerProbe, ProcessFacts, Protection, Workload, workload::mint_secret};
use kernel::{AttestFault, Attested, CgroupId, Peer};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tower::ServiceExt as _;
use wire::{
    Services,
    msi::{self, Endpoint},
};

const PORT: u16 = 4141;
const APP_CGROUP: u64 = 42;
const FORBIDDEN: &str = r#"{"statusCode":403,"message":"This endpoint does not serve the caller."}"#;

/// An app with an identity that runs in a cgroup, and its endpoint.
struct Shop {
    world: World,
    endpoint: Arc<Endpoint>,
    secret: Secret<String>,
    principal: Arc<Principal>,
}

/// An answer as it came.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A connection of which the kernel says what the test wants.
struct StandIn {
    peer: Peer,
    has_changed: AtomicBool,
}

impl StandIn {
    fn of(cgroup: u64) -> Arc<Self> {
        static COOKIES: AtomicU64 = AtomicU64::new(1);
        let cookie = COOKIES.fetch_add(1, Ordering::SeqCst);
        let peer = Peer { cgroup: CgroupId::new(cgroup), uid: 1_000, inode: 5, cookie };
        Arc::new(Self { peer, has_changed: AtomicBool::new(false) })
    }
}

impl PeerProbe for StandIn {
    fn attest(&self) -> Result<Attested<Peer>, AttestFault> {
        Ok(Attested::simulated(self.peer))
    }

    fn attest_again(&self, _earlier: &Attested<Peer>) -> Result<(), AttestFault> {
        if self.has_changed.load(Ordering::SeqCst) { Err(AttestFault::Changed) } else { Ok(()) }
    }

    fn describe(&self) -> Option<ProcessFacts> {
        let cgroup = format!("/{}", self.peer.cgroup);
        Some(ProcessFacts {
            uid: self.peer.uid,
            pid: Some(77),
            cgroup,
            executable: Some("/usr/bin/app".to_owned()),
        })
    }
}

impl Shop {
    async fn new() -> Self {
        let world = World::new().await;
        let name = AppName::parse("shop").unwrap();
        world.state.host.create_app(Manager::Administrator, &name, &Placement::default(), NOW).await.unwrap();
        let view = world.state.host.assign_identity(Manager::Administrator, &name, NOW).await.unwrap();
        let (secret, hash) = mint_secret(&*world.state.entropy);
        let id = WorkloadId::random(&*world.state.entropy);
        let protection = Protection::Confined(Arc::new(Cgroup(APP_CGROUP)));
        let workload = Arc::new(Workload::new(id, view.app.id, name, hash, protection));
        world.state.identity.admit(workload.clone());
        let endpoint = Arc::new(Endpoint::app_service(workload, PORT));
        Self { world, endpoint, secret, principal: view.principal.unwrap() }
    }

    fn connect(&self, probe: Arc<StandIn>) -> DuplexStream {
        let (client, server) = duplex(64 * 1024);
        let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
        tokio::spawn(msi::serve_connection(
            self.world.state.clone(),
            self.endpoint.clone(),
            server,
            probe,
            peer,
        ));
        client
    }

    /// The answer to these bytes on a connection of the app's own.
    async fn exchange(&self, request: &str) -> Reply {
        self.exchange_as(StandIn::of(APP_CGROUP), request).await
    }

    async fn exchange_as(&self, probe: Arc<StandIn>, request: &str) -> Reply {
        let mut client = self.connect(probe);
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        reply(&String::from_utf8(answer).unwrap())
    }

    /// A good request with these query and headers instead of its own, and these headers besides.
    fn request(&self, query: &str, headers: &str) -> String {
        let secret = self.secret.expose();
        format!(
            "GET /msi/token?{query} HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nX-IDENTITY-HEADER: {secret}\r\n\
             {headers}Connection: close\r\n\r\n"
        )
    }

    fn good(&self) -> String {
        self.request("api-version=2019-08-01&resource=https://vault.azure.net", "")
    }

    /// The same app's IMDS.
    fn by_imds(self) -> Self {
        let endpoint = Endpoint::imds(self.endpoint.workload().clone()).unwrap();
        Self { endpoint: Arc::new(endpoint), ..self }
    }

    fn last_record(&self) -> Record {
        self.world.audit.records().pop().unwrap()
    }
}

fn reply(text: &str) -> Reply {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

#[tokio::test]
async fn recorded_requests_of_sdks_are_answered() {
    let shop = Shop::new().await;
    let secret = shop.secret.expose();
    let python = format!(
        "GET /msi/token?api-version=2019-08-01&resource=https://vault.azure.net HTTP/1.1\r\nHost: 127.0.0.1:4141\r\n\
         User-Agent: azsdk-python-identity/1.27.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: close\r\n\
         X-IDENTITY-HEADER: {secret}\r\nMetadata: true\r\nx-ms-client-request-id: 1\r\n\r\n"
    );
    let javascript = format!(
        "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\nHost: localhost:4141\r\n\
         X-IDENTITY-HEADER: {secret}\r\nContent-Type: application/x-www-form-urlencoded;charset=utf-8\r\n\
         Accept-Encoding: gzip,deflate\r\nConnection: close\r\n\r\n"
    );
    let rust = format!(
        "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\n\
         x-ms-client-request-id: 1\r\nmetadata: true\r\nx-identity-header: {secret}\r\naccept: */*\r\nhost: 127.0.0.1:4141\r\n\
         connection: close\r\n\r\n"
    );
    let old = format!(
        "GET /msi/token?api-version=2017-09-01&resource=https://vault.azure.net HTTP/1.1\r\nHost: 127.0.0.1:4141\r\n\
         secret: {secret}\r\nMetadata: true\r\nConnection: close\r\n\r\n"
    );
    for request in [python, javascript, rust, old] {
        let reply = shop.exchange(&request).await;
        assert_eq!(reply.status, 200, "{request}: {reply:?}");
        let answer = reply.json();
        let members: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["access_token", "client_id", "expires_on", "resource", "token_type"]);
        assert_eq!(answer["expires_on"], (NOW.seconds() + 3_600).to_string());
        assert_eq!(answer["resource"], "https://vault.azure.net");
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["client_id"], shop.principal.client.to_string());
        assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-correlation-id"), Some(shop.last_record().request.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_token_verifies_as_the_apps_own() {
    let shop = Shop::new().await;
    let answer = shop.exchange(&shop.good()).await.json();
    let token = Secret::new(answer["access_token"].as_str().unwrap().to_owned());
    let ring = shop.world.state.directory.ring();
    let caller = shop.world.state.verifiers.vaults.verify(&token, &*ring, NOW).unwrap();
    assert_eq!(caller.principal(), shop.principal.id);
    assert_eq!(caller.client(), shop.principal.client);
}

#[tokio::test]
async fn a_token_is_reused_and_renewed_ahead() {
    let shop = Shop::new().await;
    let token = async || shop.exchange(&shop.good()).await.json()["access_token"].clone();
    let first = token().await;
    shop.world.later(1_800);
    assert_eq!(token().await, first);
    shop.world.later(1);
    assert_ne!(token().await, first);
}

#[tokio::test]
async fn a_stranger_is_refused_before_it_says_a_word() {
    let shop = Shop::new().await;
    let mut client = shop.connect(StandIn::of(APP_CGROUP + 1));
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    let reply = reply(&answer);
    assert_eq!((reply.status, reply.body.as_str()), (403, FORBIDDEN));
    let record = shop.last_record();
    assert_eq!(
        (record.action, record.outcome, record.actor),
        ("endpoint.connect", Outcome::Refused, Actor::Anonymous)
    );
    assert_eq!((record.origin.uid, record.origin.pid), (Some(1_000), Some(77)));
    assert_eq!(record.origin.cgroup.as_deref(), Some("/43"));
    assert_eq!(record.origin.executable.as_deref(), Some("/usr/bin/app"));
    // With the right secret it is the same.
    let with_secret = shop.exchange_as(StandIn::of(APP_CGROUP + 1), &shop.good()).await;
    assert_eq!((with_secret.status, with_secret.body.as_str()), (403, FORBIDDEN));
}

#[tokio::test]
async fn a_peer_that_is_not_the_same_any_more_gets_nothing() {
    let shop = Shop::new().await;
    let probe = StandIn::of(APP_CGROUP);
    let mut client = shop.connect(probe.clone());
    let request = shop.good().replace("Connection: close\r\n", "");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut first = vec![0; 16 * 1024];
    let read = client.read(&mut first).await.unwrap();
    assert_eq!(reply(std::str::from_utf8(&first[..read]).unwrap()).status, 200);
    // Keep-alive: the second request of the same connection.
    probe.has_changed.store(true, Ordering::SeqCst);
    client.write_all(shop.good().as_bytes()).await.unwrap();
    let mut second = String::new();
    client.read_to_string(&mut second).await.unwrap();
    let second = reply(&second);
    assert_eq!((second.status, second.body.as_str()), (403, FORBIDDEN));
    assert_eq!(second.header("x-correlation-id"), None);
    let record = shop.last_record();
    assert_eq!((record.action, record.outcome), ("token.issue", Outcome::Refused));
}

/// T8, T9, T10 and their kin: the right cgroup, the right secret, and a request that somebody else made.
#[tokio::test]
async fn deputies_look_like_strangers() {
    let shop = Shop::new().await;
    let secret = shop.secret.expose();
    let good = shop.good();
    let with = |header: &str| shop.request("api-version=2019-08-01&resource=https://vault.azure.net", header);
    for request in [
        with("X-Forwarded-For: 10.0.0.1\r\n"),
        with("X-Forwarded-Host: shop.example\r\n"),
        with("Forwarded: for=10.0.0.1\r\n"),
        with("Via: 1.1 squid\r\n"),
        with("Origin: http://evil.example\r\n"),
        with("Origin: null\r\n"),
        with("Referer: http://evil.example/\r\n"),
        with("Sec-Fetch-Site: cross-site\r\n"),
        with("Cookie: a=b\r\n"),
        with(&format!("X-IDENTITY-HEADER: {secret}\r\n")),
        with("X-IDENTITY-HEADER: wrong\r\n"),
        with(&format!("Secret: {secret}\r\n")),
        with("Host: 127.0.0.1:4141\r\n"),
        good.replace("Host: 127.0.0.1:4141", "Host: evil.example:4141"),
        good.replace("Host: 127.0.0.1:4141", "Host: 127.0.0.1:4142"),
        good.replace("Host: 127.0.0.1:4141", "Host: 127.0.0.1"),
        good.replace("Host: 127.0.0.1:4141\r\n", ""),
        good.replace("GET /msi", "GET http://127.0.0.1:4141/msi"),
        good.replace("GET /msi", "GET http://evil.example/msi"),
        good.replace(" HTTP/1.1", " HTTP/1.0"),
        good.replace(
            "GET /msi/token?api-version=2019-08-01&resource=https://vault.azure.net",
            "CONNECT 127.0.0.1:4141",
        ),
    ] {
        let reply = shop.exchange(&request).await;
        assert_eq!((reply.status, reply.body.as_str()), (403, FORBIDDEN), "{request}");
        assert_eq!(shop.last_record().outcome, Outcome::Refused);
    }
    assert_eq!(shop.exchange(&good).await.status, 200);
}

#[tokio::test]
async fn bad_requests_are_told_what_to_do() {
    let shop = Shop::new().await;
    let good = shop.good();
    let query = |query: &str| shop.request(query, "");
    let api = "api-version=2019-08-01&resource=https://vault.azure.net";
    for (request, status, says) in [
        (good.replace("GET ", "POST "), 405, "Only GET"),
        (good.replace("GET ", "PUT "), 405, "Only GET"),
        (good.replace("/msi/token?", "/msi/token/?"), 400, "/msi/token"),
        (good.replace("/msi/token?", "/metadata/identity/oauth2/token?"), 400, "/msi/token"),
        (good.replace("Connection: close", "Content-Length: 3\r\nConnection: close") + "abc", 400, "no body"),
        (
            good.replace("Connection: close", "Transfer-Encoding: chunked\r\nConnection: close")
                + "0\r\n\r\n",
            400,
            "no body",
        ),
        (good.replace("X-IDENTITY-HEADER", "X-Other"), 401, "missing"),
        (good.replace(shop.secret.expose(), "wrong"), 401, "not the IDENTITY_HEADER"),
        (good.replace(shop.secret.expose(), ""), 401, "not the IDENTITY_HEADER"),
        (good.replace("2019-08-01", "2017-09-01"), 401, "wants the Secret header"),
        (good.replace("X-IDENTITY-HEADER", "Secret"), 401, "wants the X-IDENTITY-HEADER"),
        (query("resource=https://vault.azure.net"), 400, "api-version parameter is missing"),
        (query("api-version=2018-02-01&resource=https://vault.azure.net"), 400, "not supported"),
        (query("api-version=%ff%00&resource=https://vault.azure.net"), 400, "not supported"),
        (query("api-version=2019-08-01"), 400, "resource parameter is missing"),
        (query("api-version=2019-08-01&resource=https://storage.azure.com"), 400, "not known here"),
        (query("api-version=2019-08-01&resource=%ff%fe"), 400, "not known here"),
        (query(&format!("api-version=2019-08-01&resource={}", "x".repeat(600))), 400, "too long"),
        (query(&format!("{api}&resource=x")), 400, "twice"),
        (query(&format!("{api}&client_id=a&mi_res_id=b")), 400, "More than one identity"),
        (query(&format!("{api}&client_id=a")), 400, "Unable to load the proper Managed Identity."),
        (
            query(&format!("{api}&mi_res_id=/subscriptions/x")),
            400,
            "Unable to load the proper Managed Identity.",
        ),
    ] {
        let reply = shop.exchange(&request).await;
        assert_eq!(reply.status, status, "{request}: {reply:?}");
        assert!(reply.message().contains(says), "{request}: {reply:?}");
        assert_eq!(reply.json()["statusCode"], status);
        assert_eq!(reply.json()["correlationId"].as_str(), reply.header("x-correlation-id"));
    }
}

#[tokio::test]
async fn selectors_of_the_own_identity_are_accepted() {
    let shop = Shop::new().await;
    let api = "api-version=2019-08-01&resource=https://vault.azure.net";
    for selector in [
        format!("client_id={}", shop.principal.client),
        format!("clientid={}", shop.principal.client.to_string().to_uppercase()),
        format!("object_id={}", shop.principal.id),
        format!("principal_id={}", shop.principal.id),
    ] {
        assert_eq!(
            shop.exchange(&shop.request(&format!("{api}&{selector}"), "")).await.status,
            200,
            "{selector}"
        );
    }
}

#[tokio::test]
async fn what_is_no_http_gets_no_token() {
    let shop = Shop::new().await;
    for (request, status) in [
        ("\r\n\r\nnonsense\r\n\r\n".to_owned(), Some(400)),
        ("GET /msi/token\r\n\r\n".to_owned(), Some(400)),
        (shop.request("x", &format!("X-Long: {}\r\n", "x".repeat(20_000))), Some(431)),
        (shop.request("x", &"X-Many: x\r\n".repeat(150)), Some(431)),
        (format!("GET /msi/token?{} HTTP/1.1\r\n", "x".repeat(20_000)), None),
    ] {
        let mut client = shop.connect(StandIn::of(APP_CGROUP));
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.contains("access_token"));
        if let Some(status) = status {
            assert_eq!(reply(&answer).status, status, "{request}");
        } else {
            assert!(reply(&answer).status >= 400, "{answer}");
        }
    }
}

#[tokio::test]
async fn the_identity_of_a_running_app_is_what_the_store_says_now() {
    let shop = Shop::new().await;
    let (state, name) = (&shop.world.state, AppName::parse("shop").unwrap());
    let status = async || {
        let reply = shop.exchange(&shop.good()).await;
        if reply.status != 200 {
            assert_eq!(reply.message(), "Unable to load the proper Managed Identity.");
        }
        reply.status
    };
    assert_eq!(status().await, 200);
    state.directory.disable_principal(shop.principal.id).await.unwrap();
    assert_eq!(status().await, 400);
    state.directory.enable_principal(shop.principal.id).await.unwrap();
    assert_eq!(status().await, 200);
    state.host.remove_identity(Manager::Administrator, &name, NOW).await.unwrap();
    assert_eq!(status().await, 400);
    state.host.assign_identity(Manager::Administrator, &name, NOW).await.unwrap();
    assert_eq!(status().await, 200);
    state.host.delete_app(Manager::Administrator, &name, NOW).await.unwrap();
    assert!(matches!(state.host.app(Manager::Administrator, &name).await, Err(HostError::AppNotFound(_))));
    // The deletion ended the workload, too.
    assert_eq!(shop.exchange(&shop.good()).await.status, 403);
}

#[tokio::test]
async fn each_request_leaves_a_record_and_none_is_answered_without() {
    let shop = Shop::new().await;
    let token = shop.exchange(&shop.good()).await.json()["access_token"].as_str().unwrap().to_owned();
    let record = shop.last_record();
    let workload = shop.endpoint.workload();
    assert_eq!(record.actor, Actor::Workload { id: workload.id(), app: workload.name().clone() });
    assert_eq!((record.action, record.outcome), ("token.issue", Outcome::Allowed));
    assert_eq!(record.target, "https://vault.azure.net");
    assert!(record.reason.contains(&shop.principal.id.to_string()), "{}", record.reason);
    assert_eq!(record.origin.address, Some(SocketAddr::from(([127, 0, 0, 1], 50_000))));
    assert_eq!((record.origin.uid, record.origin.cgroup.as_deref()), (Some(1_000), Some("/42")));
    shop.exchange(&shop.good().replace(shop.secret.expose(), "wrong-canary")).await;
    shop.exchange(&shop.request("api-version=2019-08-01&resource=canary-resource", "")).await;
    for line in shop.world.audit.lines() {
        for canary in [shop.secret.expose(), &token, "wrong-canary"] {
            assert!(!line.contains(canary), "{line}");
        }
    }
    let before = shop.world.audit.records().len();
    assert_eq!(before, 3);
    shop.world.audit.set_failed(true);
    let reply = shop.exchange(&shop.good()).await;
    assert_eq!(reply.status, 503);
    assert!(!reply.body.contains("access_token"));
    // A stranger's connection that cannot be recorded is not even refused.
    let mut client = shop.connect(StandIn::of(APP_CGROUP + 1));
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "");
    shop.world.audit.set_failed(false);
    assert_eq!(shop.exchange(&shop.good()).await.status, 200);
}

/// Pieces of requests in any order, with the right secret or not: whoever gets a token has kept every rule.
#[test]
fn no_mixture_of_lines_gets_a_token_but_the_right_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shop = runtime.block_on(Shop::new());
    let secret = shop.secret.expose().clone();
    let starts = [
        "GET /msi/token?api-version=2019-08-01&resource=https://vault.azure.net HTTP/1.1",
        "GET /msi/token?resource=https://vault.azure.net&api-version=2017-09-01 HTTP/1.1",
        "GET /msi/token HTTP/1.1",
        "GET http://127.0.0.1:4141/msi/token?api-version=2019-08-01&resource=https://vault.azure.net HTTP/1.1",
        "POST /msi/token?api-version=2019-08-01&resource=https://vault.azure.net HTTP/1.1",
        "GET /msi/token?api-version=2019-08-01&resource=https://vault.azure.net HTTP/1.0",
    ];
    let lines = [
        "Host: 127.0.0.1:4141".to_owned(),
        "Host: evil.example".to_owned(),
        format!("X-IDENTITY-HEADER: {secret}"),
        format!("Secret: {secret}"),
        "X-IDENTITY-HEADER: wrong".to_owned(),
        "X-Forwarded-For: 10.0.0.1".to_owned(),
        "Via: 1.1 x".to_owned(),
        "Content-Length: 0".to_owned(),
        "Metadata: true".to_owned(),
        "\u{1}: x".to_owned(),
    ];
    let mixture = (0..starts.len(), proptest::collection::vec(0..lines.len(), 0..4));
    proptest::proptest!(proptest::prelude::ProptestConfig::with_cases(512), |((start, chosen) in mixture)| {
        let chosen_lines: Vec<&str> = chosen.iter().map(|line| lines[*line].as_str()).collect();
        let request = format!("{}\r\n{}\r\nConnection: close\r\n\r\n", starts[start], chosen_lines.join("\r\n"));
        let request = request.replace("\r\n\r\nConnection", "\r\nConnection");
        let reply = runtime.block_on(shop.exchange(&request));
        let mut sorted = chosen.clone();
        sorted.sort_unstable();
        sorted.retain(|line| *line != 7 && *line != 8);
        // Content-Length twice is malformed, or harmless: hyper decides.
        let is_right = (start == 0 && sorted == [0, 2]) || (start == 1 && sorted == [0, 3]);
        if reply.status == 200 {
            proptest::prop_assert!(is_right, "{request}");
        } else {
            proptest::prop_assert!(!reply.body.contains("access_token"));
            proptest::prop_assert!(!is_right || chosen.iter().filter(|line| **line == 7).count() > 1, "{request}: {reply:?}");
            proptest::prop_assert!(reply.status < 500, "{request}: {reply:?}");
        }
    });
}

/// As the public listener does: whoever keeps the token must know of which time its `expires_on` is.
#[tokio::test]
async fn a_kept_token_outlives_a_roll_of_keys_and_falls_with_its_key() {
    let shop = Shop::new().await;
    let token =
        async || shop.exchange(&shop.good()).await.json()["access_token"].as_str().unwrap().to_owned();
    let kept = token().await;
    let directory = &shop.world.state.directory;
    directory.roll(true, NOW).await.unwrap();
    assert_eq!(token().await, kept, "what the retired key has signed is good");
    let kid = crypt::jws::Parsed::of(&kept).unwrap().kid().to_owned();
    directory.revoke(&kid, NOW).await.unwrap();
    let fresh = token().await;
    assert_eq!(crypt::jws::Parsed::of(&fresh).unwrap().kid(), directory.ring().current().kid());
    assert_ne!(fresh, kept);
    assert_eq!(token().await, fresh);
}

#[tokio::test]
async fn answers_of_a_test_clock_say_so() {
    let mut shop = Shop::new().await;
    assert_eq!(shop.exchange(&shop.good()).await.header("x-keyless-test-clock"), None);
    shop.world.state = Arc::new(Services {
        clock: Arc::new(Ahead),
        directory: shop.world.state.directory.clone(),
        verifiers: shop.world.state.verifiers.clone(),
        resource: shop.world.state.resource.clone(),
        outside: Arc::default(),
        vault: shop.world.state.vault.clone(),
        identity: shop.world.state.identity.clone(),
        host: shop.world.state.host.clone(),
        audit: shop.world.state.audit.clone(),
        entropy: shop.world.state.entropy.clone(),
        names: shop.world.state.names.clone(),
    });
    for request in [shop.good(), shop.request("api-version=1", "")] {
        let reply = shop.exchange(&request).await;
        assert_eq!(reply.header("x-keyless-test-clock"), Some("60"), "{reply:?}");
    }
}

struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        NOW.plus(Duration::from_secs(60))
    }

    fn ahead(&self) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }
}

/// What was got under an identity that the app does not have any more is worth nothing at a vault, and other apps' tokens are.
#[tokio::test]
async fn a_token_falls_with_the_assignment_that_it_stands_on() {
    let shop = Shop::new().await;
    let (world, state) = (&shop.world, &shop.world.state);
    let (app, other) = (AppName::parse("shop").unwrap(), AppName::parse("bakery").unwrap());
    let readers = IdentityName::parse("readers").unwrap();
    state.host.create_app(Manager::Administrator, &other, &Placement::default(), NOW).await.unwrap();
    let identity = state
        .host
        .create_identity(Manager::Administrator, &readers, &Placement::default(), NOW)
        .await
        .unwrap()
        .principal;
    for app in [&app, &other] {
        state.host.attach_identity(Manager::Administrator, app, &readers, NOW).await.unwrap();
    }
    world.make_vault("shop").await;
    world.allow("shop", &identity.id.to_string(), "list").await;
    let request = shop.request(
        &format!("api-version=2019-08-01&resource=https://vault.azure.net&client_id={}", identity.client),
        "",
    );
    let token =
        async || shop.exchange(&request).await.json()["access_token"].as_str().unwrap_or_default().to_owned();
    let lists = async |token: &str| {
        let request = http::Request::get("/secrets?api-version=7.4")
            .header("host", "shop.vault.keyless.localhost:8443")
            .header("authorization", format!("Bearer {token}"))
            .body(axum::body::Body::empty())
            .unwrap();
        world.public.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    let first = token().await;
    let claims = first.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&crypt::encoding::from_base64url(claims).unwrap()).unwrap();
    let attachment =
        state.host.app(Manager::Administrator, &app).await.unwrap().app.user_assigned[0].attachment;
    assert_eq!(claims["keyless_attachment"], attachment.to_string());
    let hosting = directory::Hosting {
        app: other.clone(),
        group: domain::ResourceGroupName::default(),
        attachment: state.host.app(Manager::Administrator, &other).await.unwrap().app.user_assigned[0]
            .attachment,
    };
    let audience = state.directory.audience("https://vault.azure.net").await.unwrap();
    let others = state
        .directory
        .issue_for_managed_identity(&identity, Some(hosting), &audience, Vec::new(), NOW)
        .unwrap();
    let others = others.access_token.expose().clone();
    assert_eq!((lists(&first).await, lists(&others).await), (200, 200));
    state.host.detach_identity(Manager::Administrator, &app, &readers, NOW).await.unwrap();
    assert_eq!((lists(&first).await, lists(&others).await), (401, 200));
    assert_eq!(token().await, "");
    // Given again, the app gets other tokens, and the old ones do not come back.
    state.host.attach_identity(Manager::Administrator, &app, &readers, NOW).await.unwrap();
    let again = token().await;
    assert_eq!((lists(&first).await, lists(&again).await), (401, 200));
    state.host.delete_app(Manager::Administrator, &other, NOW).await.unwrap();
    assert_eq!((lists(&others).await, lists(&again).await), (401, 200));
    state.host.delete_identity(Manager::Administrator, &readers).await.unwrap();
    assert_ne!(lists(&again).await, 200);
}

/// A request to IMDS with these headers besides.
fn metadata_request(headers: &str) -> String {
    format!(
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net HTTP/1.1\r\n\
         Host: 169.254.169.254\r\n{headers}Connection: close\r\n\r\n"
    )
}

const METADATA: &str = "Metadata: true\r\n";
const IMDS_FORBIDDEN: &str =
    r#"{"error":"unknown_source","error_description":"This endpoint does not serve the caller."}"#;

#[tokio::test]
async fn imds_answers_what_sdks_send_and_probe() {
    let shop = Shop::new().await.by_imds();
    let rust = "GET /metadata/identity/oauth2/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\n\
         x-ms-client-request-id: 1\r\nmetadata: true\r\naccept: */*\r\nhost: 169.254.169.254\r\nconnection: close\r\n\r\n";
    let with_slash = metadata_request(METADATA).replace("token?", "token/?");
    for request in [metadata_request(METADATA), with_slash, rust.to_owned()] {
        let reply = shop.exchange(&request).await;
        assert_eq!(reply.status, 200, "{request}: {reply:?}");
        let answer = reply.json();
        assert!(answer.as_object().unwrap().values().all(Value::is_string), "{answer}");
        assert_eq!(
            (&answer["expires_in"], &answer["expires_on"]),
            (&"3600".into(), &"1800003600".into()),
            "Python needs the one, others the other"
        );
        assert_eq!(shop.last_record().outcome, Outcome::Allowed);
    }
    // Later the same token, and less of it.
    shop.world.later(60);
    assert_eq!(shop.exchange(&metadata_request(METADATA)).await.json()["expires_in"], "3540");
    // Probes: Python's and Go's, and JavaScript's, which has no query. Answered at once, and not as a passing fault.
    let bare =
        "GET /metadata/identity/oauth2/token HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n";
    for probe in [metadata_request(""), bare.to_owned()] {
        let reply = shop.exchange(&probe).await;
        assert_eq!(reply.status, 400);
        assert_eq!(
            reply.body,
            r#"{"error":"bad_request_102","error_description":"Required metadata header not specified"}"#
        );
        assert_eq!(shop.last_record().outcome, Outcome::Refused);
    }
}

/// Nothing is secret here, so that whoever is not of the app's cgroup, or not the same any more, is all that there is to be kept out.
#[tokio::test]
async fn imds_serves_the_apps_own_processes_and_nobody_else() {
    let shop = Shop::new().await.by_imds();
    let request = metadata_request(METADATA);
    let stranger = shop.exchange_as(StandIn::of(APP_CGROUP + 1), &request).await;
    assert_eq!((stranger.status, &*stranger.body), (403, IMDS_FORBIDDEN));
    assert_eq!(shop.last_record().target, "the metadata endpoint of app shop");
    let changed = StandIn::of(APP_CGROUP);
    changed.has_changed.store(true, Ordering::SeqCst);
    let changed = shop.exchange_as(changed, &request).await;
    assert_eq!((changed.status, &*changed.body), (403, IMDS_FORBIDDEN));
    for headers in [
        "X-Forwarded-For: 10.0.0.1\r\n",
        "Forwarded: for=10.0.0.1\r\n",
        "Via: 1.1 squid\r\n",
        "Origin: http://evil.example\r\n",
        "Origin: http://169.254.169.254\r\n",
        "Cookie: a=b\r\n",
        "Host: 169.254.169.254\r\n",
    ] {
        let reply = shop.exchange(&metadata_request(&format!("{METADATA}{headers}"))).await;
        assert_eq!((reply.status, &*reply.body), (403, IMDS_FORBIDDEN), "{headers}");
    }
    for elsewhere in [
        request.replace("Host: 169.254.169.254", "Host: evil.example"),
        request.replace("GET /", "GET http://169.254.169.254/"),
    ] {
        assert_eq!(shop.exchange(&elsewhere).await.status, 403, "{elsewhere}");
    }
    // The next request of the same connection, after the identity was removed.
    let mut client = shop.connect(StandIn::of(APP_CGROUP));
    let kept = request.replace("Connection: close\r\n", "");
    client.write_all(kept.as_bytes()).await.unwrap();
    let mut first = vec![0; 16 * 1024];
    let read = client.read(&mut first).await.unwrap();
    assert_eq!(reply(std::str::from_utf8(&first[..read]).unwrap()).status, 200);
    shop.world
        .state
        .host
        .remove_identity(Manager::Administrator, &AppName::parse("shop").unwrap(), NOW)
        .await
        .unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut second = String::new();
    client.read_to_string(&mut second).await.unwrap();
    let second = reply(&second);
    assert_eq!(second.status, 400, "{second:?}");
    assert!(second.body.contains("Identity not found"), "{second:?}");
}

#[tokio::test]
async fn there_is_no_imds_for_a_workload_that_is_not_enforced() {
    let shop = Shop::new().await;
    let confined = shop.endpoint.workload();
    let (_, hash) = mint_secret(&*shop.world.state.entropy);
    let protection = Protection::SecretOnly { why: "a test".to_owned(), mend: "none".to_owned() };
    let workload = Workload::new(confined.id(), confined.app(), confined.name().clone(), hash, protection);
    assert!(Endpoint::imds(Arc::new(workload)).is_none());
    assert!(Endpoint::imds(confined.clone()).is_some());
}
