//! Azure Arc's protocol as thieves see it: bytes on a connection, the kernel a stand-in, the keys in real files. What clients send and get is
//! in `golden/msi/arc.http`.

use crate::support::{Cgroup, NOW, World};
use access::Manager;
use audit::{Actor, Outcome};
use domain::{AppName, Placement, WorkloadId, limits};
use identity::{Challenges, OwnHands, PeerProbe, ProcessFacts, Protection, Workload, workload::mint_secret};
use kernel::{AttestFault, Attested, CgroupId, Peer};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use wire::msi::{self, Endpoint};

const PORT: u16 = 4141;
const WEB: u64 = 42;
/// Seconds after which a key is over ([`limits::CHALLENGE_KEY_LIFETIME`]).
const LIFETIME: i64 = 60;
const FORBIDDEN: &str =
    r#"{"error":"unknown_source","error_description":"This endpoint does not serve the caller."}"#;

/// A running app whose endpoint speaks Azure Arc's protocol.
struct Running {
    endpoint: Arc<Endpoint>,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// A peer in a cgroup, and whether it is still the same when a token is to go out.
struct StandIn(u64, AtomicBool);

impl PeerProbe for StandIn {
    fn attest(&self) -> Result<Attested<Peer>, AttestFault> {
        static COOKIES: AtomicU64 = AtomicU64::new(1);
        let cookie = COOKIES.fetch_add(1, Ordering::SeqCst);
        Ok(Attested::simulated(Peer { cgroup: CgroupId::new(self.0), uid: 0, inode: 5, cookie }))
    }

    fn attest_again(&self, _earlier: &Attested<Peer>) -> Result<(), AttestFault> {
        if self.1.load(Ordering::SeqCst) { Err(AttestFault::Changed) } else { Ok(()) }
    }

    fn describe(&self) -> Option<ProcessFacts> {
        None
    }
}

impl Running {
    async fn start(world: &World, app: &str, cgroup: u64) -> Self {
        let name = AppName::parse(app).unwrap();
        world.state.host.create_app(Manager::Administrator, &name, &Placement::default(), NOW).await.unwrap();
        let view = world.state.host.assign_identity(Manager::Administrator, &name, NOW).await.unwrap();
        // The entropy of these worlds says the same in each.
        let id = WorkloadId::random(&crypt::SystemEntropy);
        let folder = std::env::temp_dir().join(format!("keyless-arc-{id}"));
        fs::create_dir(&folder).unwrap();
        let (_, hash) = mint_secret(&*world.state.entropy);
        let protection = Protection::Confined(Arc::new(Cgroup(cgroup)));
        let workload = Workload::new(id, view.app.id, name, hash, protection);
        let workload =
            Arc::new(workload.with_challenges(Challenges::new(folder.clone(), Arc::new(OwnHands))));
        world.state.identity.admit(workload.clone());
        Self { endpoint: Arc::new(Endpoint::arc(workload, PORT).unwrap()), folder }
    }

    /// Status, head and body of the answer to a request with these headers, from a peer in this cgroup.
    async fn ask(&self, world: &World, probe: StandIn, headers: &str) -> (u16, String, String) {
        let (mut client, server) = duplex(64 * 1024);
        let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
        let (state, endpoint) = (world.state.clone(), self.endpoint.clone());
        tokio::spawn(msi::serve_connection(state, endpoint, server, Arc::new(probe), peer));
        let request = format!(
            "GET /metadata/identity/oauth2/token?api-version=2020-06-01&resource=https://vault.azure.net HTTP/1.1\r\n\
             Host: 127.0.0.1:{PORT}\r\nMetadata: true\r\n{headers}Connection: close\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }

    /// What is in the file that the app's own request is told of.
    async fn key(&self, world: &World) -> String {
        let (status, head, _) = self.ask(world, own(WEB), "").await;
        assert_eq!(status, 401, "{head}");
        let told = head.lines().find_map(|line| line.strip_prefix("www-authenticate: Basic realm=")).unwrap();
        let name = told.strip_prefix("/var/opt/azcmagent/tokens/").unwrap();
        fs::read_to_string(self.folder.join(name)).unwrap()
    }
}

fn own(cgroup: u64) -> StandIn {
    StandIn(cgroup, AtomicBool::new(false))
}

fn with(key: &str) -> String {
    format!("Authorization: Basic {key}\r\n")
}

#[tokio::test]
async fn a_key_is_worth_nothing_to_whoever_is_not_the_app() {
    let world = World::new().await;
    let web = Running::start(&world, "web", WEB).await;
    let other = Running::start(&world, "other", WEB + 1).await;
    let key = web.key(&world).await;
    // Root in another cgroup, with the key in hand.
    let (status, _, body) = web.ask(&world, own(WEB + 2), &with(&key)).await;
    assert_eq!((status, body.as_str()), (403, FORBIDDEN));
    let record = world.audit.records().pop().unwrap();
    assert_eq!((record.outcome, record.actor), (Outcome::Refused, Actor::Anonymous));
    assert_eq!(record.target, "the Azure Arc endpoint of app web");
    // Another app at its own endpoint.
    let (status, head, body) = other.ask(&world, own(WEB + 1), &with(&key)).await;
    assert_eq!(status, 401, "{body}");
    assert!(!head.contains("www-authenticate") && body.contains("none that was left for this app"), "{body}");
    // It was neither used up nor spoilt by them; and a peer that is not the same any more gets nothing for it.
    let changed = StandIn(WEB, AtomicBool::new(true));
    let (status, _, body) = web.ask(&world, changed, &with(&key)).await;
    assert_eq!((status, body.as_str()), (403, FORBIDDEN));
    let (status, _, body) = web.ask(&world, own(WEB), &with(&key)).await;
    assert_eq!(status, 401, "it was presented, and is good once: {body}");
    let next = web.key(&world).await;
    let (status, _, body) = web.ask(&world, own(WEB), &with(&next)).await;
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert!(answer["access_token"].is_string() && answer["expires_in"] == "3600", "{answer}");
    let told = world.audit.records().iter().map(|record| format!("{record:?}")).collect::<String>();
    assert!(!told.contains(&key) && !told.contains(&next), "nobody writes it down");
}

#[tokio::test]
async fn a_key_is_over_after_its_time_and_with_its_workload() {
    let world = World::new().await;
    let web = Running::start(&world, "web", WEB).await;
    let key = web.key(&world).await;
    world.later(LIFETIME);
    assert_eq!(web.ask(&world, own(WEB), &with(&key)).await.0, 401);
    let key = web.key(&world).await;
    world.state.identity.retire(web.endpoint.workload().id());
    let (status, _, body) = web.ask(&world, own(WEB), &with(&key)).await;
    assert_eq!((status, body.as_str()), (403, FORBIDDEN));
    assert_eq!(web.ask(&world, own(WEB), "").await.0, 403, "nor is another one left");
}

#[tokio::test]
async fn so_many_keys_wait_and_then_the_app_is_told_to_wait() {
    let world = World::new().await;
    let web = Running::start(&world, "web", WEB).await;
    for _ in 0..limits::CHALLENGE_KEYS_MAX {
        web.key(&world).await;
    }
    let (status, head, body) = web.ask(&world, own(WEB), "").await;
    assert_eq!(status, 429, "{body}");
    assert!(!head.contains("www-authenticate"), "{head}");
    let record = world.audit.records().pop().unwrap();
    assert_eq!((record.action, record.outcome), ("token.challenge", Outcome::Refused));
    world.later(LIFETIME);
    web.key(&world).await;
    assert_eq!(fs::read_dir(&web.folder).unwrap().count(), 1, "those of before are gone");
    // Where none can be left it is ours to mend, and clients try again.
    fs::remove_dir_all(&web.folder).unwrap();
    let (status, _, body) = web.ask(&world, own(WEB), "").await;
    fs::create_dir(&web.folder).unwrap();
    assert_eq!(status, 503, "{body}");
    assert_eq!(world.audit.records().pop().unwrap().outcome, Outcome::Failed);
}

#[tokio::test]
async fn there_is_no_azure_arc_for_a_workload_that_is_not_enforced_or_has_no_keys() {
    let world = World::new().await;
    let web = Running::start(&world, "web", WEB).await;
    let confined = web.endpoint.workload();
    let workload = |protection| {
        let (_, hash) = mint_secret(&*world.state.entropy);
        Workload::new(confined.id(), confined.app(), confined.name().clone(), hash, protection)
    };
    let none = Protection::SecretOnly { why: "a test".to_owned(), mend: "none".to_owned() };
    let challenges = || Challenges::new(web.folder.clone(), Arc::new(OwnHands));
    assert!(Endpoint::arc(Arc::new(workload(none).with_challenges(challenges())), PORT).is_none());
    let confining = || Protection::Confined(Arc::new(Cgroup(WEB)));
    assert!(Endpoint::arc(Arc::new(workload(confining())), PORT).is_none());
    assert!(Endpoint::arc(Arc::new(workload(confining()).with_challenges(challenges())), PORT).is_some());
}
