//! Golden files of the managed identity endpoint: two apps, at the ports 4141 (`shop`, which also has IMDS) and 4142 (`bakery`), and the
//! user-assigned identities `readers` and `writers`.

use crate::{
    golden,
    support::{Cgroup, NOW, World},
};
use axum::body::Body;
use domain::{AppName, IdentityName, WorkloadId};
use http::{Request, Response};
use identity::{PeerProbe, ProcessFacts, Protection, Workload, workload::mint_secret};
use kernel::{AttestFault, Attested, CgroupId, Peer};
use std::{net::SocketAddr, sync::Arc};
use wire::msi::{self, Endpoint};

const APPS: [(&str, u16); 2] = [("shop", 4141), ("bakery", 4142)];

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
        state.host.create_app(&name, NOW).await.unwrap();
        let view = state.host.assign_identity(&name, NOW).await.unwrap();
        let principal = view.principal.unwrap();
        world.call(&format!("{app}.principal"), &principal.id);
        world.call(&format!("{app}.client"), &principal.client);
        let (secret, hash) = mint_secret(&*state.entropy);
        world.call(&format!("{app}.secret"), secret.expose());
        let protection = Protection::Confined(Arc::new(Cgroup(CGROUP)));
        let id = WorkloadId::random(&*state.entropy);
        world.call(&format!("{app}.workload"), &id);
        state.identity.admit(Arc::new(Workload::new(id, view.app.id, name, hash, protection)));
    }
    for identity in ["readers", "writers"] {
        let name = IdentityName::parse(identity).unwrap();
        let made = state.host.create_identity(&name, NOW).await.unwrap();
        world.call(&format!("{identity}.principal"), &made.principal.id);
        world.call(&format!("{identity}.client"), &made.principal.client);
    }
    world
}

/// As the endpoint's listener does with a connection of the app's own.
async fn ask(world: &World, request: Request<Body>) -> Response<Body> {
    let host = request.headers()["host"].to_str().unwrap();
    let own = APPS.into_iter().find(|(_, port)| host.ends_with(&port.to_string()));
    let (app, _) = own.unwrap_or(APPS[0]);
    let workloads = world.state.identity.workloads();
    let workload = workloads.into_iter().find(|workload| workload.name().as_str() == app).unwrap();
    let endpoint = match own {
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
}
