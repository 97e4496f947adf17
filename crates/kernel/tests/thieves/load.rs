//! Many sockets, and many that come and go on the same ports.

use crate::{
    server::{Outcome, Server, TOKEN, request},
    world,
};
use kernel::Attestor;
use std::{
    io::Write,
    net::TcpListener,
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// The longest that the middle one of many questions may take, in a debug build on a busy machine; measured: 5 microseconds.
const MEDIAN_MAX: Duration = Duration::from_micros(500);

#[test]
fn t21_with_2000_sockets_each_is_attested_as_fast_as_one() {
    const SOCKETS: usize = 2_000;
    let Some(world) = world::as_anyone() else { return };
    let limit = rustix::process::Rlimit { current: Some(8_192), maximum: Some(8_192) };
    if rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).is_err() {
        world::skip("needs 8192 descriptors");
        return;
    }
    let cgroup = world.cgroup("app");
    let mut app = world.actor(&cgroup);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    app.begin(&format!("hold {} {SOCKETS}", listener.local_addr().unwrap()));
    let accepted: Vec<_> = (0..SOCKETS).map(|_| listener.accept().unwrap().0).collect();
    app.end().unwrap();
    let attestor = Attestor::new().unwrap();
    let mut times: Vec<Duration> = accepted
        .iter()
        .map(|socket| {
            let begin = Instant::now();
            let peer = attestor.attest(socket.as_fd()).unwrap();
            let took = begin.elapsed();
            assert_eq!(peer.facts().cgroup, cgroup.id());
            took
        })
        .collect();
    times.sort_unstable();
    let (median, p99) = (times[SOCKETS / 2], times[SOCKETS * 99 / 100]);
    let _closed =
        writeln!(std::io::stderr(), "attesting among {SOCKETS} sockets: median {median:?}, p99 {p99:?}");
    assert!(median < MEDIAN_MAX, "{median:?}");
}

#[test]
fn t22_in_two_seconds_of_churn_on_the_same_ports_no_answer_is_wrong() {
    let Some(world) = world::as_anyone() else { return };
    let (cgroup, outside) = (world.cgroup("app"), world.cgroup("outside"));
    let server = Server::start_on(kernel::listen_loopback(0).unwrap(), cgroup.clone(), None, 4);
    // Few ports, all the time, for both: the same four-tuples come again and again.
    let ports = "20100 24";
    let churn = |name| format!("churn {} 2000 {ports} {}", server.address, request(name));
    let (mut apps, mut thieves) =
        ([world.actor(&cgroup), world.actor(&cgroup)], [world.actor(&outside), world.actor(&outside)]);
    apps.iter_mut().for_each(|app| app.begin(&churn("by-app")));
    thieves.iter_mut().for_each(|thief| thief.begin(&churn("by-thief")));
    let count = |text: String| text.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<u32>>();
    let told_apps: Vec<_> = apps.iter_mut().map(|app| count(app.end().unwrap())).collect();
    let told_thieves: Vec<_> = thieves.iter_mut().map(|thief| count(thief.end().unwrap())).collect();
    std::thread::sleep(Duration::from_millis(200));
    let outcomes = server.outcomes();
    let (mut served, mut strangers, mut closed) = (0, 0, 0);
    for outcome in &outcomes {
        match outcome {
            Outcome::Served(peer, text) => {
                assert_eq!(peer.cgroup, cgroup.id());
                assert!(text.contains("by-app"), "a thief's request was served: {text}");
                served += 1;
            }
            Outcome::Stranger(peer) => {
                assert_eq!(peer.cgroup, outside.id(), "the app was taken for a stranger");
                strangers += 1;
            }
            _ => closed += 1,
        }
    }
    let thieves_served: u32 = told_thieves.iter().map(|told| told[0]).sum();
    assert_eq!(thieves_served, 0, "a thief was told {TOKEN}");
    let text = format!(
        "churn: {served} served, {strangers} strangers, {closed} closed; apps were told {told_apps:?}, thieves {told_thieves:?}"
    );
    let _closed = writeln!(std::io::stderr(), "{text}");
    assert!(served > 20 && strangers > 20, "too little happened: {text}");
}

/// Threads that ask at once share one netlink socket: each gets the answer to its own question.
#[test]
fn questions_of_many_threads_do_not_mix() {
    let Some(world) = world::as_anyone() else { return };
    let (one, other) = (world.cgroup("one"), world.cgroup("other"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sockets: Vec<_> = [&one, &other]
        .iter()
        .map(|cgroup| {
            let mut actor = world.actor(cgroup);
            actor.tell("socket s 4");
            actor.tell(&format!("connect s {address}"));
            (actor, listener.accept().unwrap().0, cgroup.id())
        })
        .collect();
    let (attestor, is_over) = (Attestor::new().unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (_, socket, id) in &sockets {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let peer = attestor.attest(socket.as_fd()).unwrap();
                        assert_eq!(peer.facts().cgroup, *id);
                        attestor.attest_again(socket.as_fd(), &peer).unwrap();
                    }
                });
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        is_over.store(true, Ordering::Relaxed);
    });
}
