//! The identity endpoint of an app: bytes on a connection from a process of the app's own. No token without the endpoint's secret, from
//! IMDS without its header, or by Azure Arc's protocol at all, as nobody has the key; and whatever answers has the protocol's form. Names as in [`crate::request`]; `{endpoint secret}` is the secret.

use crate::{
    request,
    support::NOW,
    world::{self, Server},
};
use access::Manager;
use domain::{AppName, Placement, Secret, WorkloadId};
use identity::{
    Challenges, Confinement, OwnHands, PeerProbe, ProcessFacts, Protection, Workload, workload::mint_secret,
};
use kernel::{AttestFault, Attested, CgroupId, Peer};
use serde_json::Value;
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wire::msi::{self, Endpoint};

const CGROUP: u64 = 42;
const SECRET: &str = "{endpoint secret}";
/// Stands for what no data has.
const KEY: &str = "a key";

struct AppCgroup;

impl Confinement for AppCgroup {
    fn id(&self) -> CgroupId {
        CgroupId::new(CGROUP)
    }

    fn contains(&self, cgroup: CgroupId) -> bool {
        cgroup == self.id()
    }

    fn lineage(&self) -> Result<Vec<CgroupId>, kernel::KernelError> {
        Ok(vec![self.id()])
    }

    fn is_populated(&self) -> bool {
        true
    }
}

/// A peer of which the kernel says that it is the app's.
struct StandIn;

impl PeerProbe for StandIn {
    fn attest(&self) -> Result<Attested<Peer>, AttestFault> {
        Ok(Attested::simulated(Peer { cgroup: CgroupId::new(CGROUP), uid: 1_000, inode: 5, cookie: 1 }))
    }

    fn attest_again(&self, _earlier: &Attested<Peer>) -> Result<(), AttestFault> {
        Ok(())
    }

    fn describe(&self) -> Option<ProcessFacts> {
        None
    }
}

/// All that one connection sends.
pub(crate) fn check(data: &[u8]) {
    world::with(|server| {
        let (workload, secret) = workload(server);
        let named = request::named(server, data);
        let named = match String::from_utf8(named) {
            Ok(text) => text.replace(SECRET, secret.expose()).into_bytes(),
            Err(bytes) => bytes.into_bytes(),
        };
        let sent = String::from_utf8_lossy(data).to_ascii_lowercase();
        let imds = Endpoint::imds(workload.clone()).unwrap();
        let arc = Endpoint::arc(workload.clone(), 4141).unwrap();
        for (endpoint, needed, error) in [
            (Endpoint::app_service(workload, 4141), SECRET, "message"),
            (imds, "metadata:", "error_description"),
            (arc, KEY, "error_description"),
        ] {
            let answers = server.runtime.block_on(exchange(server, Arc::new(endpoint), &named));
            let answers = String::from_utf8(answers).unwrap();
            let has_it = needed != KEY && sent.contains(needed);
            assert!(!answers.contains("access_token") || has_it, "a token without {needed}: {answers}");
            check_first(&answers, error);
        }
        std::fs::remove_dir_all(keys()).unwrap();
    });
}

/// The folder of keys that nobody reads.
fn keys() -> PathBuf {
    std::env::temp_dir().join(format!("keyless-fuzz-keys-{}", std::process::id()))
}

/// The app of this world as it runs, and its endpoint's secret.
fn workload(server: &Server) -> (Arc<Workload>, Secret<String>) {
    let (state, name) = (&server.world.state, AppName::parse("web").unwrap());
    let app = server.runtime.block_on(async {
        let _there_already =
            state.host.create_app(Manager::Administrator, &name, &Placement::default(), NOW).await;
        state.host.assign_identity(Manager::Administrator, &name, NOW).await.unwrap().app.id
    });
    let (secret, hash) = mint_secret(&*state.entropy);
    let id = WorkloadId::random(&*state.entropy);
    let protection = Protection::Confined(Arc::new(AppCgroup));
    std::fs::create_dir_all(keys()).unwrap();
    let workload = Workload::new(id, app, name, hash, protection);
    let workload = Arc::new(workload.with_challenges(Challenges::new(keys(), Arc::new(OwnHands))));
    state.identity.admit(workload.clone());
    (workload, secret)
}

async fn exchange(server: &Server, endpoint: Arc<Endpoint>, bytes: &[u8]) -> Vec<u8> {
    let (mut client, stream) = tokio::io::duplex(256 * 1024);
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
    let serving = tokio::spawn(msi::serve_connection(
        server.world.state.clone(),
        endpoint,
        stream,
        Arc::new(StandIn),
        peer,
    ));
    let mut answers = Vec::new();
    // The server may have hung up, and then it does not read.
    if client.write_all(bytes).await.is_ok() {
        let _closed = client.shutdown().await;
    }
    let _broken = client.read_to_end(&mut answers).await;
    serving.await.unwrap();
    answers
}

/// The first answer: its body has the form that it has, and it is no failure of ours. Those of hyper, for what is no HTTP, have no body.
fn check_first(answers: &str, error: &str) {
    let Some((head, rest)) = answers.split_once("\r\n\r\n") else { return };
    let status = head.split(' ').nth(1).unwrap();
    assert!(!status.starts_with('5'), "{head}");
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value);
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    if length == 0 || length > rest.len() {
        return;
    }
    let body: Value = serde_json::from_str(&rest[..length]).unwrap();
    let member = if status == "200" { "access_token" } else { error };
    assert!(body[member].is_string(), "{status}: {body}");
}
