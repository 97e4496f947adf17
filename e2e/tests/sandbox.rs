//! The sandbox of the threads that read what strangers send, as the kernel shows it of the running server; and that no app has any of it.

use crate::hosting::{Hosts, needs_root, ready};
use e2e::{Server, skip};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

/// What the kernel says of a thread or process, and what of it shows a sandbox.
fn shown(status: &str) -> [String; 3] {
    let status = fs::read_to_string(status).unwrap();
    let value = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    ["Seccomp:", "NoNewPrivs:", "CapEff:"].map(value)
}

/// The server's threads by their names.
fn threads(server: &Server) -> Vec<(String, [String; 3])> {
    let all = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().flatten();
    let named = all.filter_map(|thread| {
        // It may have ended since it was listed.
        let name = fs::read_to_string(thread.path().join("comm")).ok()?.trim().to_owned();
        let status = thread.path().join("status");
        status.exists().then(|| (name, shown(&status.to_string_lossy())))
    });
    named.collect()
}

fn is_enforced(server: &Server) -> bool {
    let status: Value = serde_json::from_str(&server.keyless_json(["status"])).unwrap();
    let all = status["capabilities"].as_array().unwrap();
    let is_enforced = all.iter().any(|one| one["name"] == "sandbox" && one["enforced"] == true);
    if !is_enforced {
        skip("this kernel has no whole sandbox; status says so");
    }
    is_enforced
}

/// Requests of all kinds, and as many at a time as make the runtime take more threads.
#[test]
fn threads_that_read_requests_are_in_the_sandbox_and_others_are_not() {
    let server = Server::start("sandbox");
    if !is_enforced(&server) {
        return;
    }
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    let mut app = e2e::App::start(&server, "web", "shop");
    let _token = app.token();
    let before = threads(&server).len();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let keys =
                    server.https().send("GET", "login.keyless.localhost", "/common/discovery/keys", &[], "");
                assert_eq!(keys.unwrap().status, 200);
            });
        }
    });
    let (own, all) = (shown("/proc/self/status"), threads(&server));
    assert!(all.len() > before, "it takes more for so many");
    let names: BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["requests", "keyless-host", "keyless-hands", "store-writer"] {
        assert!(names.contains(name), "{names:?}");
    }
    for (name, thread) in &all {
        match name.as_str() {
            "requests" => assert_eq!(*thread, ["2", "1", "0000000000000000"]),
            _ => assert_eq!(thread[..2], own[..2], "{name} is as whoever has started the server"),
        }
    }
    let doctor = server.keyless(["doctor"]).said();
    assert!(doctor.contains("sandbox: enforced by the kernel"), "{doctor}");
}

/// Seccomp, no-new-privileges and Landlock are inherited by whatever a thread starts: apps must be started by others.
#[test]
fn a_hosted_app_has_nothing_of_the_servers_sandbox() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("sandbox-app");
    if !is_enforced(&hosts.server) {
        return;
    }
    let _told = hosts.deploy("web", &hosts.package("one", &[]));
    let _settled = hosts.settled("web", "it is ready", |hosted| ready(hosted) == 1);
    // Served by threads in the sandbox, and started anew after that.
    assert_eq!(hosts.get("web", "/who").status, 200);
    let _said = hosts.server.keyless(["app", "restart", "web"]).ok();
    let _settled = hosts.settled("web", "it is ready again", |hosted| ready(hosted) == 1);
    let own = shown("/proc/self/status");
    let processes = hosts.processes("web");
    assert!(!processes.is_empty());
    for process in processes {
        assert_eq!(shown(&format!("/proc/{process}/status"))[0], own[0], "system calls as they were");
    }
}
