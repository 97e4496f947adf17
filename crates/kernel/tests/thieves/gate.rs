//! T23. With the gate before `connect` a stranger does not even get a connection.

use crate::{
    server::{Server, TOKEN, request},
    world::{self, Actor},
};
use kernel::{ConnectGate, Hierarchy, Network, NetworkPorts};
use std::{net::SocketAddr, os::fd::AsFd};

fn gate() -> Option<ConnectGate> {
    match ConnectGate::attach(&Hierarchy::discover().unwrap()) {
        Ok(gate) => Some(gate),
        Err(error) => {
            world::skip(&format!("{error:?}"));
            None
        }
    }
}

/// Every way that there is to connect to a port of 127.0.0.1.
fn attempts(actor: &mut Actor, port: u16) -> Vec<(&'static str, Result<String, String>)> {
    let ways = [
        ("plain", "socket a 4", format!("connect a 127.0.0.1:{port}")),
        ("another loopback address", "socket a 4", format!("connect a 127.1.2.3:{port}")),
        ("any address", "socket a 4", format!("connect a 0.0.0.0:{port}")),
        ("mapped", "socket a 6", format!("connect a [::ffff:127.0.0.1]:{port}")),
        ("mapped any", "socket a 6", format!("connect a [::ffff:0.0.0.0]:{port}")),
        ("any by a mapped socket", "mapped a", format!("connect a [::]:{port}")),
        ("multipath", "mptcp a", format!("connect a 127.0.0.1:{port}")),
        ("fast open", "socket a 4", format!("fastopen a 127.0.0.1:{port} x")),
    ];
    let mut attempt = |make: &str, connect: &str| {
        actor.attempt(make)?;
        actor.attempt(connect)
    };
    ways.iter().map(|(name, make, connect)| (*name, attempt(make, connect))).collect()
}

/// Not allowed, which is not the same as nobody being there.
fn is_gated(result: &Result<String, String>) -> bool {
    result.as_ref().is_err_and(|why| why.starts_with("PermissionDenied"))
}

#[test]
fn t23_a_stranger_cannot_connect_in_any_way() {
    let Some(world) = world::as_root() else { return };
    let Some(gate) = gate() else { return };
    let (cgroup, outside) = (world.cgroup("app"), world.cgroup("outside"));
    let server = Server::start(cgroup.clone());
    let port = server.address.port();
    let (mut app, mut below) = (world.actor(&cgroup), world.actor(&world.cgroup("app/below")));
    let (mut root, mut user) = (world.actor(&outside), world.actor_of_other_user(&outside));
    let before = attempts(&mut user, port);
    for (name, result) in &before {
        // Not every kernel sends data with a first packet; and on the other address nobody listens.
        let may_fail = ["fast open", "another loopback address"].contains(name) && !is_gated(result);
        assert!(result.is_ok() || may_fail, "{name}: {result:?}");
    }
    let lineage = cgroup.lineage().unwrap();
    let gated = gate.guard(server.listener(), lineage).unwrap();
    for thief in [&mut root, &mut user] {
        for (name, result) in attempts(thief, port) {
            assert!(is_gated(&result), "{name}: {result:?}");
        }
        // Whatever else is on this machine is none of its business.
        for other in ["127.0.0.1:1", &format!("[::1]:{port}")] {
            thief.tell(if other.starts_with('[') { "socket b 6" } else { "socket b 4" });
            thief.fails(&format!("connect b {other}"), "ConnectionRefused");
        }
    }
    for app in [&mut app, &mut below] {
        let results = attempts(app, port);
        assert!(results.iter().all(|(_, result)| !is_gated(result)), "{results:?}");
        assert!(results.iter().any(|(name, result)| *name == "plain" && result.is_ok()), "{results:?}");
        assert!(app.tell(&format!("ask {} {}", server.address, request("app"))).contains(TOKEN));
    }
    drop(gated);
    let after = attempts(&mut user, port);
    assert!(after.iter().all(|(_, result)| !is_gated(result)), "{after:?}");
    let _gated = gate.guard(server.listener(), lineage).unwrap();
    assert!(is_gated(&attempts(&mut user, port)[0].1));
    drop(gate);
    let without = attempts(&mut user, port);
    assert!(without.iter().all(|(_, result)| !is_gated(result)), "{without:?}");
    assert!(
        user.tell(&format!("ask {} {}", server.address, request("user"))).contains("403"),
        "it is attested"
    );
}

/// The same port in two network namespaces is two endpoints.
#[test]
fn t23_the_gate_knows_networks_apart() {
    let Some(world) = world::as_root() else { return };
    let Some(gate) = gate() else { return };
    let ports = NetworkPorts { loopback: vec![8_080], metadata: true };
    let [one, two] = ["one", "two"].map(|name| (world.cgroup(name), Network::create(&ports).unwrap()));
    let lineage = one.0.lineage().unwrap();
    let guard = |listener| gate.guard(listener, lineage).unwrap();
    let _gated: Vec<_> = one.1.listeners.iter().map(guard).collect();
    let addresses =
        ["127.0.0.1:8080", "169.254.169.254:80"].map(|address| address.parse::<SocketAddr>().unwrap());
    let attempt = |cgroup, network: &Network, address| {
        let mut actor =
            world.actor_with(cgroup, &[], |program| program.network = Some(network.namespace.as_fd()));
        actor.tell("socket a 4");
        actor.attempt(&format!("connect a {address}"))
    };
    for address in addresses {
        assert!(attempt(&*one.0, &one.1, address).is_ok());
        assert!(is_gated(&attempt(&*two.0, &one.1, address)));
        assert!(attempt(&*two.0, &two.1, address).is_ok(), "a port of that network is not guarded");
    }
}
