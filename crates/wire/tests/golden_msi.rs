//! Golden files of the managed identity endpoint: three apps, at the ports 4141 (`shop`, which also has IMDS), 4142 (`bakery`) and 4143
//! (`cellar`, by Azure Arc's protocol), and the user-assigned identities `readers` and `writers`. The key `what-is-in-the-file` is that which
//! was left last.

use crate::{
    golden,
    support::{Cgroup, NOW, World},
};
use access::Manager;
use axum::body::Body;
use domain::{AppName, IdentityName, Placement, WorkloadId};
use http::{Request, Response};
use identity::{Challenges, OwnHands, PeerProbe, ProcessFacts, Protection, Workload, workload::mint_secret};
use kernel::{AttestFault, Attested, CgroupId, Peer};
use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};
use wire::msi::{self, Endpoint};

const ARC: u16 = 4143;
const APPS: [(&str, u16); 3] = [("shop", 4141), ("bakery", 4142), ("cellar", ARC)];

const CGROUP: u64 = 42;

/// Every peer is the app's own.
struct Own;

impl PeerProbe for Own {
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

async fn world() -> World {
    let mut world = World::new().await;
    let state = world.state.clone();
    for (app, _) in APPS {
        let name = AppName::parse(app).unwrap();
        state.host.create_app(Manager::Administrator, &name, &Placement::default(), NOW).await.unwrap();
        let view = state.host.assign_identity(Manager::Administrator, &name, NOW).await.unwrap();
        let principal = view.principal.unwrap();
        world.call(&format!("{app}.principal"), &principal.id);
        world.call(&format!("{app}.client"), &principal.client);
        let (secret, hash) = mint_secret(&*state.entropy);
        world.call(&format!("{app}.secret"), secret.expose());
        let protection = Protection::Confined(Arc::new(Cgroup(CGROUP)));
        let id = WorkloadId::random(&*state.entropy);
        world.call(&format!("{app}.workload"), &id);
        let workload = Workload::new(id, view.app.id, name, hash, protection);
        let folder = keys().join(id.to_string());
        fs::create_dir_all(&folder).unwrap();
        state.identity.admit(Arc::new(workload.with_challenges(Challenges::new(folder, Arc::new(OwnHands)))));
    }
    for identity in ["readers", "writers"] {
        let name = IdentityName::parse(identity).unwrap();
        let made = state
            .host
            .create_identity(Manager::Administrator, &name, &Placement::default(), NOW)
            .await
            .unwrap();
        world.call(&format!("{identity}.principal"), &made.principal.id);
        world.call(&format!("{identity}.client"), &made.principal.client);
    }
    world
}

/// The folder of all keys.
fn keys() -> PathBuf {
    std::env::temp_dir().join(format!("keyless-golden-arc-{}", std::process::id()))
}

/// Has a request bring the key that was left last for a workload.
fn bring(request: &mut Request<Body>, workload: WorkloadId) {
    let Some(value) = request.headers_mut().get_mut("authorization") else { return };
    let entries = fs::read_dir(keys().join(workload.to_string())).unwrap().map(|entry| entry.unwrap());
    let last = entries.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    let key = last.map(|entry| fs::read_to_string(entry.path()).unwrap()).unwrap_or_default();
    *value = value.to_str().unwrap().replace("what-is-in-the-file", &key).parse().unwrap();
}

/// As the endpoint's listener does with a connection of the app's own.
async fn ask(world: &World, mut request: Request<Body>) -> Response<Body> {
    let host = request.headers()["host"].to_str().unwrap();
    let own = APPS.into_iter().find(|(_, port)| host.ends_with(&port.to_string()));
    let (app, _) = own.unwrap_or(APPS[0]);
    let workloads = world.state.identity.workloads();
    let workload = workloads.into_iter().find(|workload| workload.name().as_str() == app).unwrap();
    bring(&mut request, workload.id());
    let endpoint = match own {
        Some((_, ARC)) => Endpoint::arc(workload, ARC).unwrap(),
        Some((_, port)) => Endpoint::app_service(workload, port),
        None => Endpoint::imds(workload).unwrap(),
    };
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
    let accepted = msi::accept(&world.state, &endpoint, Arc::new(Own), peer).unwrap();
    let (head, _) = request.into_parts();
    let answer = msi::answer(&world.state, &endpoint, &accepted.attested, &accepted.origin, &head).await;
    answer.map(Body::new)
}

#[tokio::test]
async fn exchanges_are_as_written() {
    golden::check_by("msi", world, ask).await;
    fs::remove_dir_all(keys()).unwrap();
}
