//! What goes on, and what does not, when an app or the server starts again.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::hosting::{Hosts, is_alive, needs_root, ready};
use e2e::{Answer, App, Server, skip, wait};

fn shop(name: &str) -> Server {
    let server = Server::start(name);
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    server
}

#[test]
fn a_grandchild_is_served() {
    let server = shop("grandchild");
    let mut app = App::start(&server, "web", "shop");
    let endpoint = app.endpoint();
    let request = server.place().join("grandchild.http");
    std::fs::write(&request, endpoint.request("")).unwrap();
    let raw = format!("'{}' {} < '{}'", server.raw().display(), endpoint.address(), request.display());
    // A child of a child, and one that left its session and its parents behind.
    for script in [format!("sh -c \"sh -c \\\"{raw}\\\"\""), format!("setsid sh -c \"{raw}\"")] {
        let (_, said) = app.sh(&script);
        assert!(said.contains("access_token"), "{script}: {said}");
    }
}

#[test]
fn an_app_started_again_is_served_and_its_old_secret_is_not() {
    let server = shop("app-again");
    let mut app = App::start(&server, "web", "shop");
    let old = app.endpoint();
    app.end();
    let mut app = App::start(&server, "web", "shop");
    let new = app.endpoint();
    assert_ne!(old.secret, new.secret);
    assert!(new.secret.len() >= 43, "at least 256 bits");
    let answer = app.raw(&new.address(), &new.request(""));
    assert_eq!(answer.status, 200, "{answer:?}");
    let stale = e2e::app::Endpoint { url: new.url.clone(), secret: old.secret };
    let answer = app.raw(&new.address(), &stale.request(""));
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
}

#[test]
fn who_was_accepted_before_a_stop_is_answered() {
    let mut server = shop("stop-accepted");
    let (host, port) = (Server::vault_host("shop"), server.port());
    let mut stream = server.https().connect(&host).unwrap();
    let asking = std::thread::spawn(move || {
        // The server has accepted it, and is told to stop meanwhile; the handshake begins with the first byte.
        std::thread::sleep(Duration::from_millis(600));
        let request = format!(
            "GET /secrets/db?api-version=7.4 HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer);
        Answer::parse(&answer)
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.stop().success());
    assert_eq!(asking.join().unwrap().status, 401);
}

#[test]
fn a_running_app_is_served_by_a_server_started_again() {
    let mut server = shop("server-again");
    let mut app = App::start(&server, "web", "shop");
    let before = app.endpoint();
    assert!(server.stop().success());
    server.start_again();
    wait::until("the app to be served again", Duration::from_secs(20), || {
        app.raw(&before.address(), &before.request("")).status == 200
    });
    let token = app.token();
    assert_eq!(server.https().get_secret("shop", "db", &token).status, 200);
}

#[test]
fn everything_is_found_again() {
    let mut server = shop("found-again");
    let secret = || server.keyless(["secret", "get", "shop", "db"]).ok();
    assert_eq!(secret().trim_end(), "s3cret");
    let authority = std::fs::read(server.authority()).unwrap();
    assert!(server.stop().success());
    server.start_again();
    assert_eq!(server.keyless(["secret", "get", "shop", "db"]).ok().trim_end(), "s3cret");
    assert_eq!(std::fs::read(server.authority()).unwrap(), authority);
    assert!(server.keyless(["app", "list"]).ok().contains("web"));
    // The recovery key is printed once in a directory's life.
    let first = server.first_words();
    let key = recovery_key(&first);
    assert_eq!(server.logs().matches(&key).count(), 1);
}

/// The longest word of capitals, digits and dashes is the recovery key.
fn recovery_key(words: &str) -> String {
    let is_key = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-');
    words.split_whitespace().filter(is_key).max_by_key(|word| word.len()).unwrap_or_default().to_owned()
}

/// A person's Ctrl-C ends hosted apps, too. This one waits for its connections, of which the server keeps some.
#[test]
fn apps_end_in_order_with_an_interrupted_server_and_the_next_start_starts_them() {
    if needs_root() {
        return;
    }
    let mut hosts = Hosts::start("restart-interrupted");
    let folder = hosts.package("one", &[]);
    let _told = hosts.deploy("web", &folder);
    assert_eq!(hosts.ask("web", "/who")["version"], "1");
    let (app, server) = (hosts.processes("web")[0], hosts.server.pid());
    assert!(Command::new("kill").args(["-INT", &server.to_string()]).status().unwrap().success());
    wait::until("the server to end", wait::LIMIT, || !is_alive(server));
    assert!(!is_alive(app));
    hosts.server.kill();
    hosts.server.start_again();
    hosts.settled("web", "it serves again", |hosted| ready(hosted) == 1);
    assert!(hosts.server.keyless(["app", "logs", "web"]).ok().contains("version 1 ends by itself"));
}

/// Is it where hosted apps look for programs?
pub(crate) fn has_npm() -> bool {
    let mut npm = Command::new("env");
    npm.args(["-i", "PATH=/usr/local/bin:/usr/bin:/bin", "npm", "--version"]);
    wait::output(&mut npm, b"").status.success()
}

/// What nobody would wait for any more: the server stops while a package is built, and its build has left its parents behind.
#[test]
fn a_stop_of_the_server_ends_what_is_being_built_and_leaves_nothing_of_it() {
    if needs_root() {
        return;
    }
    if !has_npm() {
        return skip("a stop while a package is built: no npm where hosted apps look for it");
    }
    let mut hosts = Hosts::start("restart-building");
    // Its number is in a file, and it is the parent of nobody whom the build waits for.
    let install = "setsid sleep 600 & echo $! >told; sleep 600";
    let manifest = format!(
        r#"{{"name": "web", "version": "1.0.0", "scripts": {{"preinstall": "{install}", "start": "python3 app.py"}}}}"#
    );
    let folder = hosts.package("one", &[("package.json", &manifest)]);
    let _said = hosts.server.keyless(["app", "create", "web"]).ok();
    let _said =
        hosts.server.keyless(["app", "deploy", "web", "--no-wait", "--dir", &folder.to_string_lossy()]).ok();
    let apps = hosts.server.place().join("data-apps");
    let inside = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let app = || inside(&apps).into_iter().find(|path| path.join("deployments").is_dir());
    let built = || app().map(|app| inside(&app.join("deployments"))).unwrap_or_default();
    let mut left = None;
    wait::until("a build that goes on", wait::LIMIT, || {
        let told = built().first().and_then(|one| std::fs::read_to_string(one.join("told")).ok());
        left = told.and_then(|told| told.trim().parse().ok());
        left.is_some()
    });
    let left: u32 = left.unwrap();
    assert!(is_alive(left));
    assert!(hosts.server.stop().success());
    assert!(!is_alive(left), "it ends with the server");
    assert_eq!(built(), Vec::<PathBuf>::new(), "its files are gone");
    hosts.server.start_again();
    let log = hosts.server.keyless(["app", "logs", "web"]).ok();
    assert!(log.contains("the server was stopped before it was in place; deploy it again"), "{log}");
    assert_eq!(log.matches("has failed").count(), 1, "{log}");
    let _deployed = hosts.deploy("web", &hosts.package("two", &[]));
}

/// Somebody takes the audit log away while no server runs, and the admin socket while one does.
#[test]
fn what_is_gone_is_told_in_plain_sight() {
    let mut server = shop("gone");
    let fine = server.keyless(["status"]).ok();
    assert!(!fine.contains("ALARM"), "{fine}");
    assert!(server.stop().success());
    std::fs::remove_file(server.data().join("audit/audit.jsonl")).unwrap();
    server.start_again();
    let told = server.keyless(["status"]).ok();
    assert!(told.contains("ALARM") && told.contains("was cut: records 1 to "), "{told}");
    let alarms: serde_json::Value = serde_json::from_str(&server.keyless_json(["status"])).unwrap();
    assert_eq!(alarms["alarms"][0]["name"], "audit-cut");
    let doctor = server.keyless(["doctor"]);
    assert!(doctor.code == Some(1) && doctor.said().contains("was cut: records 1 to "), "{}", doctor.said());
    let logs = server.logs();
    assert_eq!(
        logs.lines().filter(|line| line.contains("ERROR") && line.contains("was cut")).count(),
        1,
        "{logs}"
    );

    std::fs::remove_file(server.data().join("admin.sock")).unwrap();
    let told = server.keyless(["app", "list"]);
    let holder = format!("(process {})", server.pid());
    assert!(told.code != Some(0) && told.stderr.contains(&holder), "{}", told.said());
    assert!(told.stderr.contains("start the server again"), "{}", told.said());
}
