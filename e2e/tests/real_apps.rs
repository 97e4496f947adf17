//! Open-source web apps as they are released, hosted: Datasette (Python) and Node-RED (Node). One of their own settings is a reference to the
//! vault, another secret is read by the official SDK in their own way of being extended; their configuration is in `e2e/apps`. And `az`,
//! which an app brings along.

use crate::hosting::{Hosts, PATIENCE, is_renewed, needs_root, ready};
use e2e::{Answer, Ended, Https, Server, note, skip, wait};
use serde_json::Value;
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const APP: &str = "stock";
const HOST: &str = "stock.apps.keyless.localhost";
/// What an app's build and start may take where every core is busy.
const DEPLOYMENT_MAX: Duration = Duration::from_secs(290);
const BEFORE: u8 = 0;
const MEANWHILE: u8 = 1;
const AFTER: u8 = 2;

/// A vault with two secrets, and an app that may read them and has these settings.
fn prepared(name: &str, secrets: [(&str, &str); 2], setting: &str) -> Hosts {
    let hosts = Hosts::of(Server::start_building(name), name);
    let server = &hosts.server;
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    for (secret, value) in secrets {
        let _said = server.keyless_with(["secret", "set", "shop", secret], value).ok();
    }
    server.app_with(APP, "shop", "get");
    let url = format!("VAULT_URL={}", server.vault_url("shop"));
    let _said = server.keyless(["app", "settings", "set", APP, &url, setting]).ok();
    hosts
}

/// A folder with the app's configuration, as its developer has it.
fn folder(hosts: &Hosts, of: &str, version: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps").join(of);
    let to = hosts.packages.path().join(version);
    let copied = Command::new("cp").arg("-r").args([&from, &to]).status().unwrap();
    assert!(copied.success(), "{} to {}", from.display(), to.display());
    to
}

/// Packs the folder with Python's own command and deploys the file.
fn deploy(hosts: &Hosts, folder: &Path) -> Duration {
    let zip = folder.with_extension("zip");
    let mut pack = Command::new("python3");
    pack.args(["-m", "zipfile", "-c"]).arg(&zip).arg(".").current_dir(folder);
    let packed = wait::output(&mut pack, b"");
    assert!(packed.status.success(), "{packed:?}");
    let began = Instant::now();
    let mut deploy = hosts.server.command(["app", "deploy", APP, "--zip"]);
    let told = wait::output_within(deploy.arg(&zip), b"", DEPLOYMENT_MAX);
    let _said = Ended::from(told).ok();
    began.elapsed()
}

/// Ends the only instance as the kernel does, and waits for the next.
fn killed_and_back(hosts: &Hosts) {
    hosts.settled(APP, "the version before is over", is_renewed);
    let before = hosts.processes(APP);
    assert!(Command::new("kill").args(["-9", &before[0].to_string()]).status().unwrap().success());
    hosts.settled(APP, "another instance", |hosted| {
        ready(hosted) == 1 && hosted["instances"][0]["process"].as_u64() != Some(u64::from(before[0]))
    });
}

/// Users who ask until they are stopped, with pauses that leave the processors to what is built meanwhile.
struct Users {
    phase: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
    all: Vec<JoinHandle<Vec<String>>>,
}

impl Users {
    /// `ask` answers what was seen, and fails the test when it was not served.
    fn start(count: usize, https: &Https, ask: impl Fn(&Https) -> String + Clone + Send + 'static) -> Self {
        let (phase, asked) = (Arc::new(AtomicU8::new(BEFORE)), Arc::new(AtomicUsize::new(0)));
        let one = || {
            let (phase, asked, https, ask) = (phase.clone(), asked.clone(), https.clone(), ask.clone());
            thread::spawn(move || {
                let mut seen = Vec::new();
                loop {
                    // Once more, so that everybody sees what is there in the end.
                    let is_last = phase.load(Ordering::SeqCst) == AFTER;
                    let what = ask(&https);
                    if seen.last() != Some(&what) {
                        seen.push(what);
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    if is_last {
                        return seen;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            })
        };
        let all = (0..count).map(|_| one()).collect();
        Self { phase, asked, all }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What each of them saw, in order.
    fn stop(self) -> Vec<Vec<String>> {
        self.phase.store(AFTER, Ordering::SeqCst);
        self.all.into_iter().map(|user| user.join().unwrap()).collect()
    }
}

/// Takes the app's identity away while somebody asks for what needs the vault: served before, refused from the command's answer on.
fn identity_is_removed_under_load(
    hosts: &Hosts,
    ask: impl Fn(&Https) -> Answer + Send + 'static,
    is_refused: impl Fn(&Answer) -> bool + Send + 'static,
) {
    let (phase, https) = (Arc::new(AtomicU8::new(BEFORE)), hosts.server.https());
    let (served, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let user = {
        let (phase, served, refused) = (phase.clone(), served.clone(), refused.clone());
        thread::spawn(move || {
            while refused.load(Ordering::SeqCst) < 3 {
                let began = phase.load(Ordering::SeqCst);
                let answer = ask(&https);
                let ended = phase.load(Ordering::SeqCst);
                match (began, ended) {
                    (AFTER, _) => {
                        assert!(is_refused(&answer), "removed: {} {}", answer.status, answer.text());
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                    (_, BEFORE) => {
                        assert_eq!(answer.status, 200, "not removed: {}", answer.text());
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                    // Nobody can say what was first.
                    _ => {}
                }
            }
        })
    };
    wait::until("it is served", PATIENCE, || user.is_finished() || served.load(Ordering::SeqCst) >= 5);
    phase.store(MEANWHILE, Ordering::SeqCst);
    let _said = hosts.server.keyless(["app", "identity", "remove", APP]).ok();
    phase.store(AFTER, Ordering::SeqCst);
    user.join().unwrap();
    let log = hosts.server.keyless(["app", "logs", APP]).ok();
    assert!(log.contains("the vault was not read:"), "its own words: {log}");
}

/// Started again, an app without an identity gets no value for its reference, and it is said.
fn reference_has_no_identity(hosts: &Hosts) {
    let _said = hosts.server.keyless(["app", "restart", APP]).ok();
    let hosted = hosts.settled(APP, "it is started again", is_renewed);
    assert_eq!(hosted["references"][0]["status"], "MSINotEnabled", "{hosted}");
    assert!(hosted["references"][0]["advice"].as_str().unwrap().contains("identity assign"), "{hosted}");
}

fn get(https: &Https, target: &str, header: (&str, &str)) -> Answer {
    https.send("GET", HOST, target, &[header], "").unwrap()
}

fn price(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let row = if told.is_array() { &told[0] } else { &told };
    row["price"].to_string()
}

#[test]
fn datasette_has_its_settings_from_the_vault_and_is_replaced_under_load() {
    const STOCK: &str = "/shop/stock.json?_shape=array";
    const KEY: &str = "what signs cookies, 81c2";
    const TOKEN: &str = "what clerks have, 0d44";
    if needs_root() {
        return;
    }
    let secrets = [("cookies-key", KEY), ("clerks-token", TOKEN)];
    let reference = "DATASETTE_SECRET=@Microsoft.KeyVault(VaultName=shop;SecretName=cookies-key)";
    let hosts = prepared("real-datasette", secrets, reference);
    let version = |price: &str| {
        let folder = folder(&hosts, "datasette", price);
        let mut write = Command::new("python3");
        write.arg("-c").arg(include_str!("real_apps/stock.py")).arg(folder.join("shop.db")).arg(price);
        let written = wait::output(&mut write, b"");
        assert!(written.status.success(), "{written:?}");
        folder
    };
    let took = deploy(&hosts, &version("12"));
    let https = hosts.server.https();
    assert_eq!(get(&https, "/", ("Accept", "text/html")).status, 200);
    assert_eq!(get(&https, STOCK, ("Accept", "*/*")).status, 403, "Datasette keeps the stock to clerks");
    // By the reference: whoever knows what is in the vault can sign a cookie that Datasette takes.
    let signed = |key: &str| {
        let mut sign = Command::new("python3");
        let signed =
            wait::output(sign.arg("-c").arg(include_str!("real_apps/cookie.py")).args([key, "clerk"]), b"");
        format!("ds_actor={}", Ended::from(signed).ok())
    };
    let cookie = signed(KEY);
    assert_eq!(price(&get(&https, STOCK, ("Cookie", &cookie))), "12");
    assert_eq!(get(&https, STOCK, ("Cookie", &signed("something else"))).status, 403);
    // By the SDK: the token is compared with what is in the vault.
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(price(&get(&https, STOCK, ("Authorization", &bearer))), "12");
    assert_eq!(get(&https, STOCK, ("Authorization", "Bearer something else")).status, 403);

    let by_cookie = {
        let cookie = cookie.clone();
        move |https: &Https| price(&get(https, STOCK, ("Cookie", &cookie)))
    };
    let users = Users::start(3, &https, by_cookie.clone());
    let took_again = deploy(&hosts, &version("15"));
    assert!(users.asked() > 50, "there was load");
    for seen in users.stop() {
        assert_eq!(seen, ["12", "15"], "one version after the other, and no request failed");
    }

    killed_and_back(&hosts);
    assert_eq!(price(&get(&https, STOCK, ("Cookie", &cookie))), "15");
    assert_eq!(price(&get(&https, STOCK, ("Authorization", &bearer))), "15");

    // What needs no vault goes on.
    let users = Users::start(2, &https, by_cookie);
    let by_token = move |https: &Https| get(https, STOCK, ("Authorization", &bearer));
    identity_is_removed_under_load(&hosts, by_token, |answer| answer.status == 403);
    assert!(users.stop().iter().all(|seen| seen == &["15"]));
    reference_has_no_identity(&hosts);
    assert_eq!(
        get(&https, STOCK, ("Cookie", &cookie)).status,
        403,
        "without the key nobody's cookie is good"
    );
    told(
        "Datasette 0.65.5",
        "a plugin with azure-identity 1.27.0 and azure-keyvault-secrets 4.12.0",
        [took, took_again],
    );
}

#[test]
fn node_red_has_its_settings_from_the_vault_and_is_replaced_under_load() {
    /// What `flows_cred.json` was encrypted by, and what is in it.
    const KEY: &str = "flows of red, k3y";
    const SUPPLIER: &str = "supplier 4711";
    const PASSWORD: &str = "who edits flows, 77fa";
    if needs_root() {
        return;
    }
    if !hosts_node() {
        return skip("Node-RED: no Node of version 20 and npm where hosted apps look for them");
    }
    let secrets = [("flows-key", KEY), ("editors-password", PASSWORD)];
    let reference = "CREDENTIAL_SECRET=@Microsoft.KeyVault(VaultName=shop;SecretName=flows-key)";
    let hosts = prepared("real-node-red", secrets, reference);
    // It listens a moment before its flows are there: whoever is replaced without a gap says by which path it is seen to be ready.
    let _said = hosts.server.keyless(["app", "configure", APP, "--health", "/stock"]).ok();
    let version = |price: &str| {
        let folder = folder(&hosts, "node-red", price);
        let flows = std::fs::read_to_string(folder.join("flows.json")).unwrap();
        std::fs::write(folder.join("flows.json"), flows.replace("price: 12", &format!("price: {price}")))
            .unwrap();
        folder
    };
    let took = deploy(&hosts, &version("12"));
    let https = hosts.server.https();
    // By the reference: Node-RED reads the flow's credentials with what is in the vault.
    let stock = |https: &Https| {
        let answer = get(https, "/stock", ("Accept", "*/*"));
        assert_eq!(answer.json()["supplier"], SUPPLIER, "{} {}", answer.status, answer.text());
        price(&answer)
    };
    assert_eq!(stock(&https), "12");
    // By the SDK: the editor's password is compared with what is in the vault.
    let sign_in = |https: &Https, password: &str| {
        let form = format!(
            "client_id=node-red-admin&grant_type=password&scope=*&username=editor&password={}",
            password.replace(' ', "+")
        );
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        https.send("POST", HOST, "/auth/token", &kind, &form).unwrap()
    };
    let refused = sign_in(&https, "something else");
    assert_eq!(refused.status, 403, "{}", refused.text());
    let token = sign_in(&https, PASSWORD).json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(get(&https, "/flows", ("Accept", "application/json")).status, 401);
    let bearer = format!("Bearer {token}");
    assert_eq!(get(&https, "/flows", ("Authorization", &bearer)).status, 200);
    comms(&https, &token);

    let users = Users::start(3, &https, stock);
    let took_again = deploy(&hosts, &version("15"));
    assert!(users.asked() > 50, "there was load");
    for seen in users.stop() {
        assert_eq!(seen, ["12", "15"], "one version after the other, and no request failed");
    }

    killed_and_back(&hosts);
    assert_eq!(stock(&https), "15");
    assert_eq!(sign_in(&https, PASSWORD).status, 200);

    // What needs no vault goes on.
    let users = Users::start(2, &https, stock);
    let signs_in = move |https: &Https| sign_in(https, PASSWORD);
    identity_is_removed_under_load(&hosts, signs_in, |answer| answer.status == 403);
    assert!(users.stop().iter().all(|seen| seen == &["15"]));
    reference_has_no_identity(&hosts);
    assert_eq!(get(&https, "/stock", ("Accept", "*/*")).json()["supplier"], "", "nor are credentials read");
    told(
        "Node-RED 4.1.8",
        "settings.js with @azure/identity 4.13.1 and @azure/keyvault-secrets 4.11.2",
        [took, took_again],
    );
}

/// `az` inside an app, as released.
#[test]
fn az_signs_in_by_the_apps_identity_and_reads_a_secret() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::of(Server::start_building("real-az"), "real-az");
    let server = &hosts.server;
    server.vault_with("shop", "db", "s3cret of az");
    server.app_with(APP, "shop", "get");
    // The release is 150 packages; these commands use a quarter of them, and each is named with its version and hashes.
    let _said = server.keyless(["app", "settings", "set", APP, "PIP_NO_DEPS=1", "PIP_NO_COMPILE=1"]).ok();
    let domain = format!("keyless.localhost:{}", server.port());
    // Who has no role anywhere is shown no subscription, and az wants one.
    let _said =
        server.keyless(["role", "assign", "--role", "Reader", "--app", APP, "--scope", "subscription"]).ok();
    let requirements = include_str!("../apps/azure-cli/requirements.txt");
    let took = deploy(&hosts, &hosts.package("az", &[("requirements.txt", requirements)]));

    let secret = format!("https://shop.vault.{domain}/secrets/db");
    let manager = format!("https://management.{domain}/");
    let _ok = az(&hosts, &format!("cloud register -n Keyless --endpoint-resource-manager {manager}"));
    let _ok = az(&hosts, "cloud set -n Keyless");
    let account = az(&hosts, "login --identity");
    assert_eq!(account[0]["user"]["name"], "systemAssignedIdentity", "{account}");
    let token = az(&hosts, &format!("account get-access-token --resource https://vault.{domain}"));
    let token = token["accessToken"].as_str().unwrap();
    assert_eq!(server.https().get_secret("shop", "db", token).status, 200);
    let shown = az(&hosts, &format!("keyvault secret show --id {secret}"));
    assert_eq!(shown["value"], "s3cret of az", "{shown}");

    let _said = server.keyless(["app", "identity", "remove", APP]).ok();
    assert_eq!(server.https().get_secret("shop", "db", token).status, 401);
    let refused = az_ended(&hosts, &format!("keyvault secret show --id {secret}"));
    assert!(refused["status"].as_i64().is_some_and(|status| status != 0), "{refused}");
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
    let refused = az_ended(&hosts, "account get-access-token --resource https://vault.azure.net");
    assert!(
        refused["status"].as_i64().is_some_and(|status| status != 0),
        "no other token neither: {refused}"
    );
    note(
        "azure-cli 2.91.0",
        "inside a hosted app: `az login --identity`, `account get-access-token`, `keyvault secret show`",
        "works",
    );
    let _closed = writeln!(std::io::stderr(), "azure-cli: deployed in {} s", took.as_secs());
}

/// What `az` printed, as it succeeded. Words are parted by single spaces; JSON has none.
fn az(hosts: &Hosts, words: &str) -> Value {
    let ended = az_ended(hosts, words);
    assert_eq!(ended["status"], 0, "az {words}: {ended}");
    serde_json::from_str(ended["stdout"].as_str().unwrap()).unwrap_or_default()
}

fn az_ended(hosts: &Hosts, words: &str) -> Value {
    let line: Vec<_> = ["az"].into_iter().chain(words.split(' ')).collect();
    hosts.run(APP, &line, &[])
}

/// Notes what works, and how long the builds took here.
fn told(app: &str, extension: &str, took: [Duration; 2]) {
    note(
        app,
        &format!(
            "hosted: a setting by reference, a secret by {extension}; another version, a kill, its identity removed under load"
        ),
        "works",
    );
    let [first, second] = took.map(|time| time.as_secs());
    let _closed = writeln!(std::io::stderr(), "{app}: deployed in {first} s, again in {second} s");
}

/// Is there a Node that the SDK runs on where a hosted app's `PATH` leads?
fn hosts_node() -> bool {
    let ask = |program: &str| {
        let mut command = Command::new("env");
        command.args(["-i", "PATH=/usr/local/bin:/usr/bin:/bin", program, "--version"]);
        Ended::from(wait::output(&mut command, b""))
    };
    let (node, npm) = (ask("node"), ask("npm"));
    let major =
        node.stdout.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    npm.code == Some(0) && major >= Some(20_u32)
}

/// Opens Node-RED's WebSocket through the proxy, as its editor does, and is told that the token is good.
fn comms(https: &Https, token: &str) {
    let mut stream = https.connect(HOST).unwrap();
    let ask = format!(
        "GET /comms HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let message = format!("{{\"auth\":\"{token}\"}}");
    // RFC 6455: a whole text, of 126 to 65535 bytes, masked by zeros.
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(message.as_bytes());
    let (mut read, mut piece, mut is_sent) = (Vec::new(), [0; 4096], false);
    loop {
        let count = stream.read(&mut piece).unwrap();
        assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&read));
        read.extend(&piece[..count]);
        let text = String::from_utf8_lossy(&read);
        if !is_sent && text.contains("\r\n\r\n") {
            assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
            stream.write_all(&frame).unwrap();
            is_sent = true;
        }
        if text.contains("\"auth\":\"ok\"") {
            return;
        }
    }
}
