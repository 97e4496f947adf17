//! Azure Arc's challenge in hosted apps: SDKs answer it by themselves, and a key is worth nothing to whoever is not the app (ADR 0025).

use crate::{
    hosting::{Hosts, is_renewed, needs_root, ready},
    java,
};
use e2e::{Answer, NodeScript, Server, note, setting, settings, skip, wait};
use serde_json::Value;
use std::{path::Path, process::Command};

const PYTHON: &str = "Python azure-identity 1.27.0, azure-keyvault-secrets 4.12.0";
const NODE: &str = "Node @azure/identity 4.13.1, @azure/keyvault-secrets 4.11.2";
const GO: &str = "Go azidentity 1.15.0, azsecrets 1.5.1";
const CHALLENGE: &str = include_str!("arc/challenge.py");
const POSED: &str = "a key is left for the app";
/// Where clients look for keys, and nothing of ours is for anybody but the app.
const SEEN_IN: &str = "/var/opt/azcmagent/tokens/";

const ON: [&str; 2] = ["--arc", "on"];

/// An app `web` that speaks Azure Arc's protocol and may read the secret `db` of vault `shop`.
struct Web {
    hosts: Hosts,
}

/// A key as the app was left it.
#[derive(Debug)]
struct Key {
    path: String,
    mode: String,
    is_its_own: bool,
    text: String,
}

impl Web {
    fn start(server: Server, name: &str) -> Self {
        let hosts = Hosts::with_web(server, name, &ON);
        assert_eq!(hosts.show("web")["hosted"]["arc"], true);
        Self { hosts }
    }

    fn run(&self, app: &str, arguments: &[&str]) -> Value {
        self.hosts.run(app, arguments, &[])
    }

    fn by_hand(&self, app: &str, arguments: &[&str]) -> String {
        let ended = self.run(app, &[&["python3", "-c", CHALLENGE], arguments].concat());
        assert_eq!(ended["status"], 0, "{ended}");
        ended["stdout"].as_str().unwrap().to_owned()
    }

    fn ask(&self, app: &str) -> Key {
        let told = self.by_hand(app, &["ask"]);
        let [path, mode, is_its_own, text] = told.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{told}");
        };
        Key {
            path: path.to_owned(),
            mode: mode.to_owned(),
            is_its_own: is_its_own == "True",
            text: text.to_owned(),
        }
    }

    fn take(&self, app: &str, key: &str) -> String {
        self.by_hand(app, &["take", key])
    }

    /// What the endpoint of `web` answers to this process, which is root's and in no app's cgroup.
    fn take_outside(&self, endpoint: &str, key: &str) -> Option<Answer> {
        let address = endpoint.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let request = format!(
            "GET /metadata/identity/oauth2/token?api-version=2020-06-01&resource=https://vault.azure.net HTTP/1.1\r\n\
             Host: {address}\r\nMetadata: true\r\nAuthorization: Basic {key}\r\nConnection: close\r\n\r\n"
        );
        let said = wait::output(Command::new(self.hosts.server.raw()).arg(address), request.as_bytes());
        said.status.success().then(|| Answer::parse(&said.stdout))
    }

    fn audit(&self) -> String {
        self.hosts.server.keyless(["audit", "tail", "-n", "1000"]).ok()
    }

    fn posed(&self) -> usize {
        self.audit().lines().filter(|line| line.contains(POSED)).count()
    }

    /// A client reads the secret, by a key that it was left.
    fn reads(&self, client: &str, how: &str, arguments: &[&str]) {
        let before = self.posed();
        let ended = self.run("web", arguments);
        assert_eq!((&ended["status"], &ended["stdout"]), (&0.into(), &"s3cret\n".into()), "{how}: {ended}");
        assert!(self.posed() > before, "{how} did not speak Azure Arc's protocol: {}", self.audit());
        note(client, &format!("get secret, by Azure Arc's protocol (`{how}`)"), "works");
    }

    fn refused(&self, how: &str, arguments: &[&str]) {
        let ended = self.run("web", arguments);
        let said = ended.to_string();
        assert!(ended["status"] != 0 && !said.contains("s3cret"), "{how}: {said}");
    }

    /// The SDKs that are on this machine, each as a command line that reads the secret.
    fn clients(&self, scripts: &mut Vec<NodeScript>) -> Vec<(&'static str, &'static str, Vec<String>)> {
        let mut clients = Vec::new();
        match self.hosts.python("web") {
            None => skip("no Python environment that an app's account may run"),
            Some(python) => {
                let managed = self.hosts.packages.path().join("managed.py");
                std::fs::write(&managed, include_str!("python/managed.py")).unwrap();
                let default = settings::example("python/read_secret.py");
                for (how, script) in
                    [("DefaultAzureCredential", default), ("ManagedIdentityCredential", managed)]
                {
                    let rest = [script.display().to_string(), "db".to_owned()];
                    clients.push((PYTHON, how, [&*python, &rest].concat()));
                }
            }
        }
        let default = std::fs::read_to_string(settings::example("node/read-secret.mjs")).unwrap();
        let managed = include_str!("node/managed.mjs").to_owned();
        for (how, text) in [("DefaultAzureCredential", default), ("ManagedIdentityCredential", managed)] {
            let Some(script) = NodeScript::beside_sdk(&text) else {
                skip("no Node");
                break;
            };
            clients.push((NODE, how, script.line(&["db"]).into_iter().map(str::to_owned).collect()));
            scripts.push(script);
        }
        match setting("GO_CLIENT") {
            None => skip("no Go with the Azure SDK"),
            Some(go) => {
                for (how, kind) in
                    [("DefaultAzureCredential", "default"), ("ManagedIdentityCredential", "managed")]
                {
                    clients.push((GO, how, vec![go.clone(), "db".to_owned(), kind.to_owned()]));
                }
            }
        }
        match java::client(&self.hosts) {
            None => skip("no Java with the Azure SDK"),
            Some(java) => {
                for (how, kind) in
                    [("DefaultAzureCredential", "default"), ("ManagedIdentityCredential", "managed")]
                {
                    let rest = ["db".to_owned(), kind.to_owned()];
                    clients.push((java::SDK, how, [&*java, &rest].concat()));
                }
            }
        }
        clients
    }
}

fn line(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn sdks_speak_azure_arc_by_themselves_until_the_identity_is_removed() {
    if needs_root() {
        return;
    }
    let web = Web::start(Server::start("arc-sdks"), "arc-sdks");
    let env = web.hosts.ask("web", "/env");
    assert!(env["IDENTITY_ENDPOINT"].is_string() && env["IMDS_ENDPOINT"].is_string(), "{env}");
    for absent in ["IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET"] {
        assert!(env.get(absent).is_none(), "{absent}: {env}");
    }
    assert!(web.hosts.server.keyless(["app", "show", "web"]).ok().contains("each key is good once"));
    let mut scripts = Vec::new();
    let clients = web.clients(&mut scripts);
    for (client, how, arguments) in &clients {
        web.reads(client, how, &line(arguments));
    }
    let _said = web.hosts.server.keyless(["app", "identity", "remove", "web"]).ok();
    for (client, how, arguments) in &clients {
        web.refused(&format!("{client} {how}"), &line(arguments));
    }
    assert!(web.audit().contains("its identity is not enabled"), "{}", web.audit());
}

/// Today's SDKs name it in the request and want it named in the answer, or take no token.
#[test]
fn sdks_name_a_user_assigned_identity_and_are_told_that_it_is_that_one() {
    if needs_root() {
        return;
    }
    let web = Web::start(Server::start("arc-user-assigned"), "arc-user-assigned");
    let server = &web.hosts.server;
    let made: Value = serde_json::from_str(&server.keyless_json(["identity", "create", "readers"])).unwrap();
    let _said = server.keyless(["app", "identity", "assign", "web", "--user-assigned", "readers"]).ok();
    let _said = server.keyless(["app", "identity", "remove", "web"]).ok();
    let allow = ["vault", "policy", "set", "shop", "--identity", "readers", "--secrets", "get"];
    let _said = server.keyless(allow).ok();
    let id = |member: &str| made[member].as_str().unwrap().to_owned();
    let unknown = "99999999-9999-4999-8999-999999999999";
    let kinds = [("client", "client_id"), ("object", "principal"), ("resource", "resource_id")];
    match web.hosts.python("web") {
        None => skip("no Python environment that an app's account may run"),
        Some(python) => {
            let selected = |kind: &str, id: &str| {
                let rest = ["-c", include_str!("python/selected.py"), kind, id, "db"].map(str::to_owned);
                [&*python, &rest].concat()
            };
            for (kind, member) in kinds {
                web.reads(
                    PYTHON,
                    &format!("user-assigned, by {kind} id"),
                    &line(&selected(kind, &id(member))),
                );
            }
            web.refused("Python, not the app's", &line(&selected("client", unknown)));
        }
    }
    if let Some(script) = NodeScript::beside_sdk(include_str!("node/selected.mjs")) {
        for (kind, member) in kinds {
            web.reads(
                NODE,
                &format!("user-assigned, by {kind} id"),
                &script.line(&[&format!("{kind}Id"), &id(member), "db"]),
            );
        }
        web.refused("Node, not the app's", &script.line(&["clientId", unknown, "db"]));
    } else {
        skip("no Node");
    }
    match setting("GO_CLIENT") {
        None => skip("no Go with the Azure SDK"),
        Some(go) => {
            web.reads(GO, "user-assigned, by client id", &[&go, "db", "managed", &id("client_id")]);
            web.refused("Go, not the app's", &[&go, "db", "managed", unknown]);
            web.refused("Go, which names none", &[&go, "db", "managed"]);
        }
    }
}

#[test]
fn a_key_is_good_once_and_for_its_own_app_only() {
    if needs_root() {
        return;
    }
    let web = Web::start(Server::start("arc-thieves"), "arc-thieves");
    let endpoint = web.hosts.ask("web", "/env")["IDENTITY_ENDPOINT"].as_str().unwrap().to_owned();
    let key = web.ask("web");
    assert!(key.path.starts_with(SEEN_IN) && key.path.ends_with(".key"), "{key:?}");
    assert_eq!((&*key.mode, key.is_its_own), ("0o400", true), "{key:?}");
    // On this machine it is nowhere where clients look, nor in what another app sees; and the app can put nothing there.
    assert!(!Path::new(&key.path).exists());
    let _told = web.hosts.host("other", &ON);
    let looked = web.run("other", &["cat", &key.path]);
    assert!(looked["status"] == 1 && looked["stderr"].as_str().unwrap().contains("No such file"), "{looked}");
    let written = web.run("web", &["sh", "-c", &format!("echo x > {SEEN_IN}own.key")]);
    assert_ne!(written["status"], 0, "{written}");
    let pid = web.hosts.processes("web")[0].to_string();
    let through = format!("/proc/{pid}/root{}", key.path);
    let reached = web.run("other", &["cat", &through]);
    assert!(reached["status"] != 0 && !reached.to_string().contains(&key.text), "{reached}");
    // Root reads it, and is in no app's cgroup.
    assert_eq!(std::fs::read_to_string(&through).unwrap(), key.text);
    let outside = web.take_outside(&endpoint, &key.text).unwrap();
    assert_eq!((outside.status, &outside.json()["error"]), (403, &"unknown_source".into()));
    assert!(web.audit().contains("made outside of the cgroup"), "{}", web.audit());
    // Another app at its own endpoint.
    let elsewhere = web.take("other", &key.text);
    assert!(
        elsewhere.starts_with("401 ") && elsewhere.contains("none that was left for this app"),
        "{elsewhere}"
    );
    // None of that has used it up. Once it is used, it is not good again.
    let own = web.take("web", &key.text);
    assert!(own.starts_with("200 "), "{own}");
    let answer: Value = serde_json::from_str(own.split_once(' ').unwrap().1).unwrap();
    let access = answer["access_token"].as_str().unwrap();
    assert_eq!(web.hosts.server.https().get_secret("shop", "db", access).status, 200);
    assert!(web.take("web", &key.text).starts_with("401 "));
    assert!(!Path::new(&through).exists(), "it is gone");
    let path = web.by_hand("web", &["take", "wrong", "/msi/token"]);
    assert!(path.starts_with("400 ") && path.contains("IDENTITY_ENDPOINT"), "{path}");
    let path = web.by_hand("web", &["take", "wrong", "/metadata/instance"]);
    assert!(path.starts_with("400 "), "{path}");

    // It is disabled while a key waits, and enabled again.
    let kept = web.ask("web");
    let identity = web.hosts.show("web")["identity"]["principal"].as_str().unwrap().to_owned();
    let _said = web.hosts.server.keyless(["principal", "disable", &identity]).ok();
    let refused = web.take("web", &kept.text);
    assert!(refused.starts_with("4") && !refused.contains("access_token"), "{refused}");
    let _said = web.hosts.server.keyless(["principal", "enable", &identity]).ok();
    let kept = web.ask("web");
    assert!(web.take("web", &kept.text).starts_with("200 "));

    // Its identity is taken away while a key waits.
    let kept = web.ask("web");
    let _said = web.hosts.server.keyless(["app", "identity", "remove", "web"]).ok();
    let refused = web.take("web", &kept.text);
    assert!(refused.starts_with("400 ") && refused.contains("Identity not found"), "{refused}");
    // The app is stopped while one waits: it goes with it, and nobody listens any more.
    let kept = web.ask("web");
    let _said = web.hosts.server.keyless(["app", "stop", "web"]).ok();
    web.hosts.settled("web", "it has ended", |hosted| hosted["instances"].as_array().unwrap().is_empty());
    let gone = web.take_outside(&endpoint, &kept.text);
    assert!(gone.is_none_or(|answer| answer.status != 200));
    // The app is deleted while one waits.
    let endpoint = web.hosts.ask("other", "/env")["IDENTITY_ENDPOINT"].as_str().unwrap().to_owned();
    let pid = web.hosts.processes("other")[0];
    let lost = web.ask("other");
    let _said = web.hosts.server.keyless(["app", "delete", "other"]).ok();
    let gone = web.take_outside(&endpoint, &lost.text);
    assert!(gone.is_none_or(|answer| answer.status != 200));
    // It may end as it likes for a while; the key goes with it.
    let seen = format!("/proc/{pid}/root{}", lost.path);
    wait::until("the key to go with its app", wait::LIMIT, || !Path::new(&seen).exists());
    for key in [&key, &kept, &lost] {
        assert!(!web.hosts.server.logs().contains(&key.text) && !web.audit().contains(&key.text));
    }
}

#[test]
fn keys_end_with_the_server_and_with_the_option_and_the_app_goes_on() {
    if needs_root() {
        return;
    }
    let mut web = Web::start(Server::start("arc-kill"), "arc-kill");
    let before = web.ask("web");
    let pid = web.hosts.processes("web")[0];
    web.hosts.server.kill();
    web.hosts.server.start_again();
    web.hosts.settled("web", "it is served again", |hosted| ready(hosted) == 1);
    assert_eq!(web.hosts.processes("web"), [pid], "it runs on");
    assert!(web.take("web", &before.text).starts_with("401 "), "a key of the server of before");
    assert!(!Path::new(&format!("/proc/{pid}/root{}", before.path)).exists());
    let next = web.ask("web");
    assert!(web.take("web", &next.text).starts_with("200 "));

    // Together with a network of its own, in which IMDS is, too.
    let own = ["app", "configure", "web", "--network", "own"];
    let _said = web.hosts.server.keyless(own).ok();
    web.hosts.settled("web", "it is in a network of its own", is_renewed);
    let next = web.ask("web");
    assert!(web.take("web", &next.text).starts_with("200 "));

    // Switched off: another instance, which speaks App Service's protocol.
    let off = ["app", "configure", "web", "--arc", "off", "--network", "host"];
    let _said = web.hosts.server.keyless(off).ok();
    web.hosts.settled("web", "another instance", is_renewed);
    let env = web.hosts.ask("web", "/env");
    assert!(env["IDENTITY_HEADER"].is_string() && env.get("IMDS_ENDPOINT").is_none(), "{env}");
    let pid = web.hosts.processes("web")[0];
    assert!(!Path::new(&format!("/proc/{pid}/root/var/opt/azcmagent/tokens")).exists());
}

#[test]
fn an_ordinary_users_server_leaves_keys_too_and_says_where_it_cannot() {
    if needs_root() {
        return;
    }
    let web = Web::start(Server::start_delegated("arc-user", 65_534), "arc-user");
    let key = web.ask("web");
    assert_eq!((&*key.mode, key.is_its_own), ("0o400", true), "{key:?}");
    let endpoint = web.hosts.ask("web", "/env")["IDENTITY_ENDPOINT"].as_str().unwrap().to_owned();
    assert_eq!(web.take_outside(&endpoint, &key.text).unwrap().status, 403);
    assert!(web.take("web", &key.text).starts_with("200 "));
    // Where the kernel keeps nobody apart there would be nothing but the key.
    let hosts = Hosts::of(Server::start_as("arc-unenforced", 65_534), "arc-unenforced");
    let _said = hosts.server.keyless(["app", "create", "web"]).ok();
    let refused = hosts.server.keyless(["app", "configure", "web", "--arc", "on"]);
    let said = refused.said();
    assert!(refused.code != Some(0) && said.contains("the kernel keeps apart"), "{said}");
}
