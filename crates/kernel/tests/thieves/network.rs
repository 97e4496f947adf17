//! Apps in network namespaces of their own: what reaches them, what they reach, and that nothing of them stays.

use crate::{
    server::{Outcome, SECRET, Server, TOKEN, request},
    world::{self, Actor, OTHER_USER, World},
};
use kernel::{Account, AppCgroup, METADATA, Network, NetworkPorts, Process};
use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd,
    sync::Arc,
};

fn ports(loopback: &[u16]) -> NetworkPorts {
    NetworkPorts { loopback: loopback.to_vec(), metadata: true }
}

/// An app in a network, as an account of its own.
fn app(world: &World, cgroup: &Arc<AppCgroup>, network: &Network) -> Actor {
    world.actor_with(cgroup, &[], |program| {
        program.network = Some(network.namespace.as_fd());
        program.account = Account::new(OTHER_USER, OTHER_USER);
    })
}

/// Serves the metadata address of a network for an app.
fn serve(network: Network, cgroup: &Arc<AppCgroup>) -> (Server, kernel::Namespace) {
    let Network { namespace, mut listeners, attestor } = network;
    let server = Server::start_with(listeners.pop().unwrap(), attestor, cgroup.clone(), None, 1);
    assert_eq!(server.address, SocketAddr::from(METADATA));
    (server, namespace)
}

#[test]
fn an_app_asks_the_metadata_address_and_is_known() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("app");
    let network = Network::create(&ports(&[])).unwrap();
    let mut actor = app(&world, &cgroup, &network);
    let (server, namespace) = serve(network, &cgroup);
    assert!(actor.tell(&format!("ask {METADATA} {}", request("app"))).contains(TOKEN));
    let Outcome::Served(peer, _) = server.outcome() else { panic!("not served") };
    assert_eq!((peer.cgroup, peer.uid), (cgroup.id(), OTHER_USER));
    // An unmodified client.
    let url = format!("http://{}/metadata/identity/oauth2/token", METADATA.ip());
    let (read, write) = rustix::pipe::pipe().unwrap();
    let curl = kernel::Program {
        arguments: ["curl", "-sS", "-m", "5", "-H", &format!("X-IDENTITY-HEADER: {SECRET}"), &url]
            .map(Into::into)
            .to_vec(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cgroup: Some(cgroup.directory()),
        network: Some(namespace.as_fd()),
        output: Some(write.as_fd()),
        ..kernel::Program::default()
    };
    match kernel::spawn(&curl) {
        Ok(curl) => {
            drop(write);
            let said = io::read_to_string(fs::File::from(read)).unwrap();
            assert_eq!(said, TOKEN, "{:?}", curl.wait());
        }
        Err(error) => world::skip(&format!("curl: {error}")),
    }
}

/// T6. What is in another network namespace finds nobody, or somebody else.
#[test]
fn t6_from_other_networks_an_apps_ports_are_not_there() {
    let Some(world) = world::as_root() else { return };
    let [one, two] =
        ["one", "two"].map(|name| (world.cgroup(name), Network::create(&ports(&[8_080, 0])).unwrap()));
    // The same ports in both.
    let any = one.1.listeners[1].local_addr().unwrap();
    assert!(any.port() != 0 && any.ip() == Ipv4Addr::LOCALHOST);
    let mut host = world.actor(&world.cgroup("host"));
    let mut first = app(&world, &one.0, &one.1);
    let mut second = app(&world, &two.0, &two.1);
    first.tell("socket a 4");
    first.tell(&format!("connect a {any}"));
    for thief in [&mut host, &mut second] {
        thief.tell("socket a 4");
        thief.fails(&format!("connect a {any}"), "ConnectionRefused");
    }
    // Its own one it does reach: it is another.
    let (of_second, _) = serve(two.1, &two.0);
    assert!(second.tell(&format!("ask {METADATA} {}", request("second"))).contains(TOKEN));
    let Outcome::Served(peer, _) = of_second.outcome() else { panic!("not served") };
    assert_eq!(peer.cgroup, two.0.id());
}

/// T18, T19. Being in the namespace is not being the app: another container in it, or root that has entered it.
#[test]
fn t18_a_stranger_in_the_apps_network_is_refused() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("app");
    let network = Network::create(&ports(&[])).unwrap();
    let stranger = world.cgroup("stranger");
    let mut same_user = app(&world, &stranger, &network);
    let mut root =
        world.actor_with(&stranger, &[], |program| program.network = Some(network.namespace.as_fd()));
    let (server, _namespace) = serve(network, &cgroup);
    for thief in [&mut same_user, &mut root] {
        assert!(thief.tell(&format!("ask {METADATA} {}", request("thief"))).contains("403"));
        let outcome = server.outcome();
        assert!(matches!(&outcome, Outcome::Stranger(peer) if peer.cgroup == stranger.id()), "{outcome:?}");
    }
}

/// A reverse proxy is not in the app's network, and stays where it is.
#[test]
fn the_host_reaches_an_apps_port_and_stays_where_it_is() {
    let Some(world) = world::as_root() else { return };
    let network = Network::create(&ports(&[])).unwrap();
    let mut actor = app(&world, &world.cgroup("app"), &network);
    actor.tell("listen web 8000");
    let here = || fs::read_link("/proc/thread-self/ns/net").unwrap();
    let before = here();
    let outcome = |port: u16| {
        let stream = network.namespace.connect((Ipv4Addr::LOCALHOST, port).into()).unwrap();
        let mut wait = [rustix::event::PollFd::new(&stream, rustix::event::PollFlags::OUT)];
        assert_eq!(rustix::event::poll(&mut wait, None).unwrap(), 1);
        (stream.peer_addr().is_ok(), stream.take_error().unwrap().map(|error| error.kind()))
    };
    assert_eq!(outcome(8_000), (true, None));
    assert_eq!(outcome(8_001), (false, Some(io::ErrorKind::ConnectionRefused)));
    let family = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 8_000));
    assert!(network.namespace.connect(family).is_ok_and(|stream| stream.peer_addr().is_err()));
    assert_eq!(here(), before);
}

/// After `kill -9` of the server: its listeners are gone, the app and its network are not.
#[test]
fn a_network_is_found_again_by_a_process_of_the_app() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("app");
    let network = Network::create(&ports(&[8_080])).unwrap();
    let mut actor = app(&world, &cgroup, &network);
    drop(network);
    actor.tell("socket a 4");
    actor.fails("connect a 127.0.0.1:8080", "ConnectionRefused");
    let process = actor.process();
    let found = Process::adopt(process.id(), process.start_time().unwrap()).unwrap();
    let network = Network::resume(&found, &ports(&[8_080])).unwrap();
    actor.tell("connect a 127.0.0.1:8080");
    let (_server, _namespace) = serve(network, &cgroup);
    assert!(actor.tell(&format!("ask {METADATA} {}", request("app"))).contains(TOKEN));
    drop(actor);
    assert!(found.wait().is_ok());
    assert!(Network::resume(&found, &ports(&[])).is_err(), "its process has ended");
}

#[test]
fn nothing_stays_of_a_hundred_networks() {
    let Some(world) = world::as_anyone() else { return };
    let cgroup = world.cgroup("maker");
    // In a user namespace the kernel counts them: with sixteen at most, one that stays is one less for all that follow.
    let mut maker = world.actor_by(&cgroup, &["unshare", "--user", "--map-root-user"]);
    let answer = maker.tell("networks 100 16");
    assert!(answer.starts_with("0 0 "), "descriptors, threads, time of each: {answer}");
    println!("networks: {answer}");
}

#[test]
fn an_ordinary_user_is_told_that_it_cannot() {
    let Some(world) = world::as_root() else { return };
    let mut user = world.actor_of_other_user(&world.cgroup("user"));
    let why = user.attempt("networks 1 ").unwrap_err();
    assert!(why.contains("make a network namespace") && why.contains("PermissionDenied"), "{why}");
}

/// As podman makes containers of an ordinary user: the network is another user namespace's, in which a program with threads cannot go.
#[test]
fn an_ordinary_user_listens_in_a_network_of_a_user_namespace_and_finds_it_again() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("user");
    let mut user = world.actor_of_other_user(&cgroup);
    let own = cgroup.id().number();
    let answer = user.tell(&format!("outpost {}", cgroup.path().display()));
    assert_eq!(answer, format!("{own} {own}"));
}

/// A program of an ordinary user's own server, which is who it was, in a network that belongs to a user namespace.
#[test]
fn an_ordinary_user_has_a_network_for_a_program_and_finds_it_again() {
    let Some(world) = world::as_root() else { return };
    let cgroup = world.cgroup("user");
    let mut user = world.actor_of_other_user(&cgroup);
    let own = cgroup.id().number();
    assert_eq!(user.tell(&format!("own {}", cgroup.path().display())), format!("{own} {own}"));
}
