//! `up --connect-gate`: a thief of the endpoint's address and secret does not even get a connection.

use crate::hosting::{Hosts, is_renewed, needs_root};
use e2e::{App, Server, settings, skip, wait};
use std::{io::ErrorKind, net::TcpStream, process::Command};

/// The answer of the kernel to a process that is not the app's, as this one is not.
fn refused(address: &str) -> Option<ErrorKind> {
    TcpStream::connect(address).err().map(|error| error.kind())
}

#[test]
fn nobody_but_the_app_connects_to_its_endpoint() {
    if !settings::is_root() {
        return skip("a BPF program before connect: needs root");
    }
    let mut server = Server::start_with("gate", &["--connect-gate"]);
    let status = server.keyless(["status"]).ok();
    assert!(status.contains("connect gate"), "{status}");
    let doctor = server.keyless(["doctor"]).said();
    assert!(doctor.contains("connect gate: enforced by the kernel"), "{doctor}");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    server.app_with("other", "shop", "get");
    let mut app = App::start(&server, "web", "shop");
    let mut other = App::start(&server, "other", "shop");
    let endpoint = app.endpoint();
    let (own, others) = (endpoint.address(), other.endpoint().address());
    let is_shut = |server: &Server, app: &mut App| {
        for address in [&own, &others] {
            assert_eq!(refused(address), Some(ErrorKind::PermissionDenied), "{address}");
        }
        assert!(TcpStream::connect(("127.0.0.1", server.port())).is_ok(), "the vaults are for all");
        assert_eq!(app.raw(&own, &endpoint.request("")).status, 200, "the app is served");
        // Of the other app it holds what it would need but for its cgroup.
        assert_ne!(app.sh(&format!("exec 3<>/dev/tcp/{}", others.replace(':', "/"))).0, 0);
    };
    is_shut(&server, &mut app);
    let _status = server.stop();
    assert_eq!(refused(&own), Some(ErrorKind::ConnectionRefused), "nobody is there, and no gate");
    server.start_again();
    is_shut(&server, &mut app);
    // Its port is free again with its end.
    let _status = app.end();
    wait::until("the endpoint is closed", std::time::Duration::from_secs(20), || {
        refused(&own) == Some(ErrorKind::ConnectionRefused)
    });
    assert_eq!(refused(&others), Some(ErrorKind::PermissionDenied));
}

#[test]
fn without_the_right_to_it_there_is_no_start() {
    if !settings::is_root() {
        return skip("a server that may not have the gate: needs root to be another user");
    }
    let mut server = Server::start_as("gate-user", 65_534);
    let _status = server.stop();
    let ended = server.keyless(["up", "--connect-gate"]);
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("--connect-gate"), "{}", ended.said());
    server.start_again();
}

/// A restart of the app, too: each instance has its endpoint.
#[test]
fn a_hosted_app_is_behind_it_and_is_told_so() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::of(Server::start_with("gate-hosted", &["--connect-gate"]), "gate-hosted");
    let resource = format!("/token?resource=https%3A%2F%2Fvault.keyless.localhost%3A{}", hosts.server.port());
    for network in ["host", "own"] {
        let _told = hosts.deploy("web", &hosts.package("one", &[]));
        let _said = hosts.server.keyless(["app", "configure", "web", "--network", network]).ok();
        let hosted =
            hosts.settled("web", "it is ready", |hosted| hosted["network"] == network && is_renewed(hosted));
        let isolation = hosted["isolation"].as_str().unwrap();
        assert!(isolation.ends_with("; nobody else can connect to its endpoint"), "{isolation}");
        let told = hosts.ask("web", "/env");
        let endpoint = told["IDENTITY_ENDPOINT"].as_str().unwrap();
        let address = endpoint.trim_start_matches("http://").split('/').next().unwrap();
        // Root that has entered the network of the app is not the app.
        let pid = hosts.processes("web")[0].to_string();
        for address in [address, "169.254.169.254:80"].iter().take(if network == "own" { 2 } else { 1 }) {
            let mut stranger = Command::new("nsenter");
            stranger.args(["-t", &pid, "-n"]).arg(hosts.server.raw()).arg(address);
            let ended = wait::output(&mut stranger, b"GET / HTTP/1.1\r\n\r\n");
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(
                !ended.status.success() && said.contains("not permitted"),
                "{network}, {address}: {said}"
            );
        }
        assert_eq!(hosts.ask("web", &resource)["status"], 200, "{network}");
    }
}
