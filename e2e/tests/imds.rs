//! IMDS: clients that know nothing but 169.254.169.254, in hosted apps that have a network of their own; and who gets nothing there.

use crate::hosting::{
    Hosts, is_renewed, needs_root,
    programs::{ENDPOINT, escaped},
    ready,
};
use e2e::{Answer, NodeScript, Server, note, settings, skip, wait};
use serde_json::Value;
use std::{
    process::Command,
    time::{Duration, Instant},
};

const IMDS: &str = "http://169.254.169.254";
const TOKEN: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net";
const METADATA: &str = "Metadata: true";
const PYTHON: &str = "Python azure-identity 1.27.0, azure-keyvault-secrets 4.12.0";
const NODE: &str = "Node @azure/identity 4.13.1, @azure/keyvault-secrets 4.11.2";
const RUST: &str = "Rust azure_identity 1.0.0, azure_security_keyvault_secrets 1.0.1";

/// An app `web` in a network of its own, which may read the secret `db` of vault `shop`.
struct Isolated {
    hosts: Hosts,
}

impl Isolated {
    fn start(name: &str) -> Self {
        Self::on(Server::start(name), name)
    }

    fn on(server: Server, name: &str) -> Self {
        let hosts = Hosts::with_web(server, name, &["--network", "own"]);
        assert_eq!(hosts.show("web")["hosted"]["network"], "own");
        Self { hosts }
    }

    /// What a program in the app says that knows no endpoint but IMDS.
    fn run(&self, arguments: &[&str]) -> Value {
        self.hosts.run("web", arguments, &ENDPOINT)
    }

    fn reads(&self, client: &str, how: &str, arguments: &[&str]) {
        let began = Instant::now();
        let ended = self.run(arguments);
        assert_eq!((&ended["status"], &ended["stdout"]), (&0.into(), &"s3cret\n".into()), "{how}: {ended}");
        // Nobody waits for a probe that is not answered, or tries again what was refused.
        assert!(began.elapsed() < Duration::from_secs(30), "{how}: {:?}", began.elapsed());
        note(client, &format!("get secret, knowing IMDS only (`{how}`)"), "works");
    }

    /// What an address answers to the app.
    fn fetch(&self, url: &str, headers: &[&str]) -> Value {
        fetch(&self.hosts, "web", url, headers)
    }

    fn token(&self, headers: &[&str]) -> Value {
        self.fetch(&format!("{IMDS}{TOKEN}"), headers)
    }
}

fn fetch(hosts: &Hosts, app: &str, url: &str, headers: &[&str]) -> Value {
    let headers: String = headers.iter().map(|header| format!("&header={}", escaped(header))).collect();
    hosts.ask(app, &format!("/fetch?url={}{headers}", escaped(url)))
}

/// What a program says at the metadata address, past any library.
fn request(headers: &str) -> String {
    format!("GET {TOKEN} HTTP/1.1\r\nHost: 169.254.169.254\r\n{headers}Connection: close\r\n\r\n")
}

#[test]
fn sdks_that_know_only_imds_read_a_secret() {
    if needs_root() {
        return;
    }
    let web = Isolated::start("imds-sdks");
    let rust = settings::example_program("read-secret").display().to_string();
    web.reads(RUST, "ManagedIdentityCredential", &[&rust, "db"]);
    match web.hosts.python("web") {
        None => skip("no Python environment that an app's account may run"),
        Some(python) => {
            let script = settings::example("python/read_secret.py").display().to_string();
            let run = |how, script: &str| {
                let line: Vec<_> = python.iter().map(String::as_str).chain([script, "db"]).collect();
                web.reads(PYTHON, how, &line);
            };
            run("DefaultAzureCredential", &script);
            let script = web.hosts.packages.path().join("managed.py");
            std::fs::write(&script, include_str!("python/managed.py")).unwrap();
            run("ManagedIdentityCredential", &script.display().to_string());
        }
    }
    for (how, text) in [
        (
            "DefaultAzureCredential",
            std::fs::read_to_string(settings::example("node/read-secret.mjs")).unwrap(),
        ),
        ("ManagedIdentityCredential", include_str!("node/managed.mjs").to_owned()),
    ] {
        let Some(script) = NodeScript::beside_sdk(&text) else { return skip("no Node") };
        web.reads(NODE, how, &script.line(&["db"]));
    }
}

#[test]
fn a_network_of_its_own_has_this_server_and_no_way_out() {
    if needs_root() {
        return;
    }
    let mut web = Isolated::start("imds-network");
    let shown = web.hosts.server.keyless(["app", "show", "web"]).ok();
    assert!(shown.contains("NO WAY OUT"), "{shown}");
    let isolation = web.hosts.show("web")["hosted"]["isolation"].as_str().unwrap().to_owned();
    assert!(isolation.starts_with("server: a network of its own"), "{isolation}");
    assert_eq!(web.token(&[METADATA])["status"], 200);
    // The address is ours in there, whatever the machine's own would say: nothing else of it is to be had.
    let instance = web.fetch(&format!("{IMDS}/metadata/instance?api-version=2021-02-01"), &[METADATA]);
    assert_eq!(instance["status"], 404, "{instance}");
    assert!(
        instance["body"].as_str().unwrap().contains("Only /metadata/identity/oauth2/token"),
        "{instance}"
    );
    let pid = web.hosts.processes("web")[0];
    let links = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let links: Vec<_> = links.lines().skip(2).map(|line| line.split(':').next().unwrap().trim()).collect();
    assert_eq!(links, ["lo"], "there is nothing that leads anywhere");
    assert_eq!(web.fetch("http://192.0.2.1/", &[])["status"], 0);
    // The endpoint that variables name is there, too; and the app is no neighbour of those that have no network of their own.
    let env = web.hosts.ask("web", "/env");
    let (endpoint, secret) =
        (env["IDENTITY_ENDPOINT"].as_str().unwrap(), env["IDENTITY_HEADER"].as_str().unwrap());
    let url = format!("{endpoint}?api-version=2019-08-01&resource=https://vault.azure.net");
    let header = format!("X-IDENTITY-HEADER: {secret}");
    assert_eq!(web.fetch(&url, &[&header])["status"], 200);
    web.hosts.deploy("other", &web.hosts.package("other", &[]));
    let port = web.hosts.show("other")["hosted"]["instances"][0]["port"].clone();
    assert_eq!(web.fetch(&format!("http://127.0.0.1:{port}/who"), &[])["status"], 0);
    let stolen = fetch(&web.hosts, "other", &url, &[&header]);
    assert_eq!(stolen["status"], 0, "nobody listens there outside of its network: {stolen}");
    let outside = fetch(&web.hosts, "other", &format!("{IMDS}{TOKEN}"), &[METADATA]);
    assert!(!outside["body"].as_str().unwrap().contains("access_token"), "{outside}");

    // Servers come and go, and are killed; the app runs on and is served again in the same network.
    web.hosts.server.kill();
    web.hosts.server.start_again();
    web.hosts.settled("web", "it is served again", |hosted| ready(hosted) == 1);
    assert_eq!(web.hosts.processes("web"), [pid], "it runs on");
    assert_eq!(web.token(&[METADATA])["status"], 200);
    assert_eq!(web.fetch(&url, &[&header])["status"], 200);

    // Back in the server's network there is none.
    let _said = web.hosts.server.keyless(["app", "configure", "web", "--network", "host"]).ok();
    let hosted = web.hosts.settled("web", "another instance", is_renewed);
    assert_eq!(hosted["network"], "host");
    assert!(!web.token(&[METADATA])["body"].as_str().unwrap().contains("access_token"));
}

#[test]
fn who_is_not_the_app_or_speaks_for_another_gets_nothing() {
    if needs_root() {
        return;
    }
    let web = Isolated::start("imds-thieves");
    let pid = web.hosts.processes("web")[0].to_string();
    // Root that has entered the network, in a cgroup of its own: there is no secret to steal, and none that would help.
    let mut entered = Command::new("nsenter");
    entered.args(["-t", &pid, "-n"]).arg(web.hosts.server.raw()).arg("169.254.169.254:80");
    let answer = Answer::parse(&wait::output(&mut entered, request("Metadata: true\r\n").as_bytes()).stdout);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.json()["error"], "unknown_source");
    let tail = web.hosts.server.keyless(["audit", "tail"]).ok();
    assert!(
        tail.contains("metadata endpoint of app web") && tail.contains("made outside of the cgroup"),
        "{tail}"
    );

    let record = tail.lines().find(|line| line.contains("metadata endpoint of app web")).unwrap();
    // Which process is best effort: it is looked for among as many as there is time for, and we are where all others are.
    assert!(record.contains("uid 0"), "who it was is said: {record}");

    // What is passed on by the app, or made by a page, comes from the right cgroup.
    for header in [
        "X-Forwarded-For: 10.0.0.1",
        "Forwarded: for=10.0.0.1",
        "Via: 1.1 proxy",
        "Origin: http://evil.example",
        "Cookie: a=b",
        "Host: imds.evil.example",
    ] {
        let refused = web.token(&[METADATA, header]);
        assert_eq!(refused["status"], 403, "{header}: {refused}");
    }
    for headers in [&[][..], &["Metadata: True"], &["Metadata: false"]] {
        let refused = web.token(headers);
        assert_eq!(refused["status"], 400, "{refused}");
        assert!(refused["body"].as_str().unwrap().contains("Required metadata header not specified"));
    }
    assert_eq!(web.token(&[METADATA])["status"], 200);
    let _said = web.hosts.server.keyless(["app", "identity", "remove", "web"]).ok();
    let refused = web.token(&[METADATA]);
    assert_eq!(refused["status"], 400, "{refused}");
    assert!(refused["body"].as_str().unwrap().contains("Identity not found"), "{refused}");
}

#[test]
fn an_ordinary_users_app_has_a_network_of_its_own_too() {
    if needs_root() {
        return;
    }
    let mut web = Isolated::on(Server::start_delegated("imds-user", 65_534), "imds-user");
    let isolation = web.hosts.show("web")["hosted"]["isolation"].as_str().unwrap().to_owned();
    assert!(isolation.starts_with("user: a network of its own"), "{isolation}");
    let rust = settings::example_program("read-secret").display().to_string();
    let read = web.run(&[&rust, "db"]);
    assert_eq!((&read["status"], &read["stdout"]), (&0.into(), &"s3cret\n".into()), "{read}");
    let pid = web.hosts.processes("web")[0];
    let links = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    assert_eq!(links.lines().skip(2).count(), 1, "the loopback device alone: {links}");
    // Whoever enters the network is not the app, be it root or a program of the same user.
    for user in [0, 65_534] {
        let mut entered = Command::new("nsenter");
        entered.args(["-t", &pid.to_string(), "-n"]).args(["setpriv", "--clear-groups"]);
        entered.arg(format!("--reuid={user}")).arg(format!("--regid={user}"));
        entered.arg(web.hosts.server.raw()).arg("169.254.169.254:80");
        let answered = wait::output(&mut entered, request("Metadata: true\r\n").as_bytes());
        assert_eq!(Answer::parse(&answered.stdout).status, 403, "{user}");
    }
    web.hosts.server.kill();
    web.hosts.server.start_again();
    web.hosts.settled("web", "it is served again", |hosted| ready(hosted) == 1);
    assert_eq!(web.hosts.processes("web"), [pid], "it runs on");
    assert_eq!(web.token(&[METADATA])["status"], 200);
    let _said = web.hosts.server.keyless(["app", "identity", "remove", "web"]).ok();
    assert_eq!(web.token(&[METADATA])["status"], 400);
    let _said = web.hosts.server.keyless(["app", "configure", "web", "--network", "host"]).ok();
    web.hosts.settled("web", "another instance", is_renewed);
    assert!(!web.token(&[METADATA])["body"].as_str().unwrap().contains("access_token"));
}
