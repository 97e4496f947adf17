//! Who is served, and strangers of each kind. Every one of them holds the address and the secret.

use crate::{
    server::{Outcome, Server, TOKEN, request},
    world::{self, Actor, OTHER_USER, World, skip},
};
use kernel::AppCgroup;
use std::{net::TcpListener, os::fd::OwnedFd, sync::Arc};

/// An app with a server of its own.
fn app(world: &World) -> (Arc<AppCgroup>, Server) {
    let cgroup = world.cgroup("app");
    let server = Server::start(cgroup.clone());
    (cgroup, server)
}

fn ask(actor: &mut Actor, server: &Server) -> String {
    actor.tell(&format!("ask {} {}", server.address, request("ask")))
}

#[track_caller]
fn served(actor: &mut Actor, server: &Server) {
    let answer = ask(actor, server);
    assert!(answer.contains(TOKEN), "{answer}");
    assert!(matches!(server.outcome(), Outcome::Served(..)));
}

#[track_caller]
fn refused(actor: &mut Actor, server: &Server) {
    let answer = ask(actor, server);
    assert!(answer.contains("403") && !answer.contains(TOKEN), "{answer}");
    assert!(matches!(server.outcome(), Outcome::Stranger(_)));
}

#[test]
fn t1_the_app_itself_is_served() {
    let Some(world) = world::as_anyone() else { return };
    let (cgroup, server) = app(&world);
    let mut app = world.actor(&cgroup);
    let answer = ask(&mut app, &server);
    assert!(answer.contains(TOKEN), "{answer}");
    let Outcome::Served(peer, _) = server.outcome() else { panic!() };
    assert_eq!((peer.cgroup, peer.uid), (cgroup.id(), kernel::effective_uid()));
}

#[test]
fn t1_whatever_the_address_family_of_client_and_listener() {
    let Some(world) = world::as_anyone() else { return };
    let cgroup = world.cgroup("app");
    let outside = world.cgroup("outside");
    let (mut app, mut thief) = (world.actor(&cgroup), world.actor(&outside));
    // Go and Node listen on `[::]` for both; Java and Node connect from an IPv6 socket to an IPv4 listener.
    for (listen, family, connect) in [
        ("127.0.0.1:0", "4", "127.0.0.1"),
        ("127.0.0.1:0", "6", "[::ffff:127.0.0.1]"),
        ("127.0.0.1:0", "4", "127.0.0.2"),
        ("[::1]:0", "6", "[::1]"),
        ("[::]:0", "4", "127.0.0.1"),
        ("[::]:0", "6", "[::ffff:127.0.0.1]"),
        ("[::]:0", "6", "[::1]"),
    ] {
        let listen = if connect == "127.0.0.2" { "0.0.0.0:0" } else { listen };
        let Ok(listener) = TcpListener::bind(listen) else {
            skip(&format!("no address {listen}"));
            continue;
        };
        let server = Server::start_on(listener, cgroup.clone(), None, 1);
        let address = format!("{connect}:{}", server.address.port());
        for actor in [&mut app, &mut thief] {
            actor.tell(&format!("socket s {family}"));
            actor.tell(&format!("connect s {address}"));
            actor.tell(&format!("send s {}", request("family")));
        }
        assert!(app.tell("read s").contains(TOKEN), "{listen} {address}");
        assert!(thief.tell("read s").contains("403"), "{listen} {address}");
    }
}

#[test]
fn t2_a_grandchild_in_a_cgroup_made_later_is_served() {
    let Some(world) = world::as_anyone() else { return };
    let (cgroup, server) = app(&world);
    let mut app = world.actor(&cgroup);
    served(&mut app, &server);
    let below = cgroup.path().join("a/b");
    app.tell(&format!("mkdir {}", below.parent().unwrap().display()));
    app.tell(&format!("mkdir {}", below.display()));
    let mut grandchild = world.actor(&AppCgroup::open(&below).unwrap());
    served(&mut grandchild, &server);
    served(&mut app, &server);
}

#[test]
fn t3_the_same_user_in_another_cgroup_is_refused() {
    let Some(world) = world::as_anyone() else { return };
    let (_cgroup, server) = app(&world);
    let neighbour = world.cgroup("neighbour");
    refused(&mut world.actor(&neighbour), &server);
    // A cgroup whose name begins alike, and the one above.
    refused(&mut world.actor(&world.cgroup("app2")), &server);
    refused(&mut world.actor(&AppCgroup::open(neighbour.path().parent().unwrap()).unwrap()), &server);
}

#[test]
fn t4_another_user_is_refused() {
    let Some(world) = world::as_root() else { return };
    let (_cgroup, server) = app(&world);
    let mut thief = world.actor_of_other_user(&world.cgroup("outside"));
    assert_eq!(thief.tell("id"), format!("{OTHER_USER} {OTHER_USER}"));
    refused(&mut thief, &server);
}

#[test]
fn t5_root_outside_of_the_cgroup_is_refused() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("app");
    let server = Server::start(cgroup.clone());
    let mut app = world.actor_of_other_user(&cgroup);
    served(&mut app, &server);
    let mut root = world.actor(&world.cgroup("outside"));
    assert_eq!(root.tell("id"), "0 0");
    refused(&mut root, &server);
}

#[test]
fn t6_another_network_namespace_cannot_connect() {
    let Some(world) = world::as_root() else { return };
    let (cgroup, server) = app(&world);
    // Even in the app's own cgroup.
    let up = "ip link set lo up 2>/dev/null; exec \"$@\"";
    let mut thief = world.actor_by(&cgroup, &["unshare", "--net", "sh", "-c", up, "sh"]);
    thief.tell("socket s 4");
    let why = thief.attempt(&format!("connect s {}", server.address)).unwrap_err();
    assert!(why.starts_with("ConnectionRefused") || why.starts_with("NetworkUnreachable"), "{why}");
    assert_eq!(server.outcomes(), []);
}

#[test]
fn t7_a_relay_by_an_outsider_is_refused() {
    let Some(world) = world::as_anyone() else { return };
    let (cgroup, server) = app(&world);
    let mut relay = world.actor(&world.cgroup("outside"));
    let mut app = world.actor(&cgroup);
    let port = relay.tell(&format!("relay {}", server.address));
    let answer = app.tell(&format!("ask 127.0.0.1:{port} {}", request("relayed")));
    assert!(answer.contains("403") && !answer.contains(TOKEN), "{answer}");
    assert!(matches!(server.outcome(), Outcome::Stranger(_)));
}

#[test]
fn t11_the_apps_user_cannot_join_another_apps_cgroup() {
    let Some(world) = world::as_root() else { return };
    let (cgroup, _server) = app(&world);
    let own = world.cgroup("own");
    let mut thief = world.actor_of_other_user(&own);
    thief.fails(&format!("join {}", cgroup.path().display()), "PermissionDenied");
    thief.fails(&format!("mkdir {}/below", cgroup.path().display()), "PermissionDenied");
    thief.fails(&format!("join {}", own.path().display()), "PermissionDenied");
}

#[test]
fn t13_a_socket_made_before_joining_is_refused() {
    let Some(world) = world::as_anyone() else { return };
    let (cgroup, server) = app(&world);
    let mut thief = world.actor(&world.cgroup("outside"));
    thief.tell("socket before 4");
    thief.tell(&format!("join {}", cgroup.path().display()));
    thief.tell(&format!("connect before {}", server.address));
    thief.tell(&format!("send before {}", request("before")));
    assert!(thief.tell("read before").contains("403"));
    assert!(matches!(server.outcome(), Outcome::Stranger(_)));
}

#[test]
fn t16_a_socket_of_the_host_that_an_app_inherits_is_refused() {
    let Some(world) = world::as_anyone() else { return };
    let (cgroup, server) = app(&world);
    let ours = std::net::TcpStream::connect(server.address).unwrap();
    let mut app = world.actor_with_stdin(&cgroup, OwnedFd::from(ours));
    app.tell("stdin s");
    // Refused before a byte was sent.
    let answer = app.tell("read s");
    assert!(answer.contains("403"), "{answer}");
    assert!(matches!(server.outcome(), Outcome::Stranger(_)));
    served(&mut app, &server);
}

#[test]
fn t17_a_cgroup_that_was_removed_and_made_again_is_another() {
    let Some(world) = world::as_anyone() else { return };
    let cgroup = world.cgroup("app");
    let outside = world.cgroup("outside");
    let mut old = world.actor(&cgroup);
    old.tell("socket old 4");
    old.tell(&format!("join {}", outside.path().display()));
    cgroup.remove().unwrap();
    assert!(!cgroup.is_populated());
    let again = world.cgroup("app");
    assert_ne!(again.id(), cgroup.id());
    let server = Server::start(again.clone());
    old.tell(&format!("connect old {}", server.address));
    old.tell(&format!("send old {}", request("old")));
    assert!(old.tell("read old").contains("403"));
    let Outcome::Stranger(peer) = server.outcome() else { panic!() };
    assert_eq!(peer.cgroup, cgroup.id(), "the socket keeps the cgroup that is no more");
    served(&mut world.actor(&again), &server);
    // What is left of the old one does not touch the new one.
    cgroup.kill().unwrap();
    cgroup.remove().unwrap();
    assert!(again.path().exists());
}
