//! Thieves who have their connection taken for the app's: by its ports, its end, or its time. No token may reach them, and nothing that
//! they sent may be taken for the app's.

use crate::{
    server::{Hold, Outcome, Server, TOKEN, request},
    world::{self, Actor, World},
};
use kernel::AttestFault;
use std::time::Duration;

/// Longer than a remnant of a connection keeps its ports from others on loopback (`tcp_tw_reuse` is 2 by default: after one second).
const REUSE: Duration = Duration::from_millis(1_500);

/// A server that is held, the app, and a thief outside.
fn stage(world: &World, hold: Hold) -> (Server, Actor, Actor) {
    let cgroup = world.cgroup("app");
    let server = Server::start_held(cgroup.clone(), Some(hold));
    (server, world.actor(&cgroup), world.actor(&world.cgroup("outside")))
}

/// Connects and sends a request in one's own name; says from which port.
fn send(actor: &mut Actor, server: &Server, name: &str, port: &str) -> String {
    actor.tell(&format!("socket s 4 {port}"));
    let port = actor.tell(&format!("connect s {}", server.address));
    actor.tell(&format!("send s {}", request(name)));
    port
}

/// Is this connection the app's own, served with the request that the app sent?
#[track_caller]
fn is_the_apps_own(outcome: &Outcome) {
    match outcome {
        Outcome::Served(_, text) => assert!(text.contains("by-app"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// The thief is gone and its ports are the app's by now: whatever the kernel says of these ports is not of this connection.
#[track_caller]
fn is_refused(outcome: &Outcome) {
    match outcome {
        Outcome::NotAttested(_) | Outcome::Stranger(_) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn t14_a_tuple_used_again_after_fin_does_not_make_the_thiefs_request_the_apps() {
    let Some(world) = world::as_anyone() else { return };
    let (server, mut app, mut thief) = stage(&world, Hold::Attest);
    let port = send(&mut thief, &server, "by-thief", "0");
    server.held();
    thief.tell("close s");
    std::thread::sleep(REUSE);
    // The app takes the very same four-tuple; its connection waits behind the thief's.
    send(&mut app, &server, "by-app", &port);
    server.let_go();
    is_refused(&server.outcome());
    server.held();
    server.let_go();
    is_the_apps_own(&server.outcome());
    assert!(app.tell("read s").contains(TOKEN));
}

#[test]
fn t14b_nor_with_a_slow_accept() {
    let Some(world) = world::as_anyone() else { return };
    for wait in [Duration::from_millis(200), REUSE] {
        let name = format!("app-{}", wait.as_millis());
        let cgroup = world.cgroup(&name);
        let server = Server::start_held(cgroup.clone(), Some(Hold::Accept));
        let (mut app, mut thief) = (world.actor(&cgroup), world.actor(&world.cgroup(&format!("{name}-out"))));
        server.held();
        let port = send(&mut thief, &server, "by-thief", "0");
        thief.tell("close s");
        std::thread::sleep(wait);
        send(&mut app, &server, "by-app", &port);
        server.let_go();
        is_refused(&server.outcome());
        server.held();
        server.let_go();
        is_the_apps_own(&server.outcome());
    }
}

#[test]
fn t14c_nor_does_the_thief_get_the_answer_to_the_apps_request() {
    let Some(world) = world::as_anyone() else { return };
    let (server, mut app, mut thief) = stage(&world, Hold::Answer);
    let port = send(&mut app, &server, "by-app", "0");
    server.held();
    app.tell("close s");
    std::thread::sleep(REUSE);
    send(&mut thief, &server, "by-thief", &port);
    server.let_go();
    let Outcome::NotAttestedAgain(_, text) = server.outcome() else { panic!() };
    assert!(text.contains("by-app"));
    assert!(matches!(server.outcome(), Outcome::Stranger(_)), "the thief's own connection");
    assert!(!thief.tell("read s").contains(TOKEN));
}

#[test]
fn t15_a_listener_on_the_port_of_a_reset_connection_is_not_its_peer() {
    let Some(world) = world::as_anyone() else { return };
    let (server, mut app, mut thief) = stage(&world, Hold::Attest);
    let port = send(&mut thief, &server, "by-thief", "0");
    server.held();
    thief.tell("abort s");
    app.tell(&format!("listen l {port}"));
    server.let_go();
    is_refused(&server.outcome());
}

#[test]
fn t18_a_closed_peer_is_nobody() {
    let Some(world) = world::as_anyone() else { return };
    for (end, state) in [("close s", None), ("finish s", Some(8)), ("abort s", None)] {
        let cgroup = world.cgroup(&end.replace(' ', "-"));
        let server = Server::start_held(cgroup.clone(), Some(Hold::Attest));
        let mut app = world.actor(&cgroup);
        send(&mut app, &server, "by-app", "0");
        server.held();
        app.tell(end);
        server.let_go();
        let Outcome::NotAttested(fault) = server.outcome() else { panic!("{end}") };
        // A half-closed client's row is FIN_WAIT2 (5), or FIN_WAIT1 (4) for an instant; our own end is CLOSE_WAIT (8).
        let expected =
            [AttestFault::PeerState(4), AttestFault::PeerState(5), AttestFault::OwnState(state.unwrap_or(8))];
        assert!(state.is_none() || expected.contains(&fault), "{end}: {fault}");
    }
}

#[test]
fn t19_a_peer_that_closes_before_the_answer_is_not_answered() {
    let Some(world) = world::as_anyone() else { return };
    for end in ["close s", "finish s", "abort s"] {
        let cgroup = world.cgroup(&end.replace(' ', "-"));
        let server = Server::start_held(cgroup.clone(), Some(Hold::Answer));
        let mut app = world.actor(&cgroup);
        send(&mut app, &server, "by-app", "0");
        server.held();
        app.tell(end);
        server.let_go();
        let outcome = server.outcome();
        assert!(matches!(outcome, Outcome::NotAttestedAgain(..)), "{end}: {outcome:?}");
    }
}
