//! What is measured, each against its raw limit, in alternating rounds.

use crate::{
    cpu, load, raw,
    report::{Report, Row, median},
    scale,
    system::{Bare, System},
    tokens,
};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub(crate) const CONNECTIONS: [usize; 3] = [1, 16, 64];
pub(crate) const VAULT_HOST: &str = "bench.vault.keyless.localhost";
/// Bytes of the record of such a secret as a SET of ours makes.
const SECRET_BYTES: usize = 460;
pub(crate) const LOGIN_HOST: &str = "login.keyless.localhost";

/// How much is measured.
pub(crate) struct Size {
    pub(crate) rounds: usize,
    pub(crate) requests: usize,
    /// How many secrets a vault grows to, step by step.
    pub(crate) secrets: &'static [usize],
    /// How many app registrations the directory grows to: those that the rest is held against, and all.
    pub(crate) registrations: [usize; 2],
    pub(crate) cold_registrations: usize,
    /// How many hosted apps there are in the end.
    pub(crate) apps: usize,
}

/// Programs of others that have a part in it.
pub(crate) struct Tools {
    pub(crate) nginx: PathBuf,
    /// Where `az` is, if it is.
    pub(crate) az: Option<PathBuf>,
}

/// Everything in one run, or one part of it.
pub(crate) async fn all(keyless: &Path, tools: Tools, is_quick: bool, only: Option<&str>) -> Report {
    let size = if is_quick {
        Size {
            rounds: 2,
            requests: 500,
            secrets: &[200, 400, 600],
            registrations: [50, 200],
            cold_registrations: 3,
            apps: 20,
        }
    } else {
        Size {
            rounds: 7,
            requests: 15_000,
            secrets: &[1_000, 100_000, 1_000_000],
            registrations: [100, 100_000],
            cold_registrations: 10,
            apps: 1_000,
        }
    };
    // Asked before we are pinned to one core, which is then all that we seem to have.
    let machine = machine();
    cpu::pin(cpu::LOAD_CORE);
    let directory = std::env::temp_dir().join(format!("keyless-bench-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("the temporary directory is writable");
    let mut report = Report { machine, rows: Vec::new() };
    let mut bench = Bench::set_up(keyless, &directory);
    let is_wanted = |part: &str| only.is_none_or(|only| only == part);
    if is_wanted("start") {
        bench.start_times(&mut report).await;
    }
    if is_wanted("get") {
        bench.secret_get(&mut report, &size).await;
    }
    if is_wanted("endpoint") {
        bench.endpoint(&mut report, &size);
    }
    if is_wanted("cold") {
        bench.cold_tokens(&mut report, &size);
    }
    if is_wanted("credentials") {
        bench.client_credentials(&mut report, &size).await;
    }
    if is_wanted("flows") {
        bench.user_flows(&mut report, &size).await;
    }
    if is_wanted("set") {
        bench.secret_set(&mut report, &directory, &size).await;
    }
    if is_wanted("scale") {
        bench.many_secrets(&mut report, &size).await;
    }
    if is_wanted("registrations") {
        bench.many_registrations(&mut report, &size).await;
    }
    if is_wanted("apps") {
        bench.many_apps(&mut report, &size).await;
    }
    if is_wanted("management") {
        bench.management(&mut report, &size).await;
    }
    // The scenarios of `az` show that it runs.
    if is_wanted("az") && (!is_quick || only.is_some()) {
        bench.exercise(&mut report, tools.az.as_deref());
    }
    if is_wanted("sign") {
        bench.sign(&mut report, &size).await;
    }
    if is_wanted("app") {
        bench.app_start(&mut report, &size).await;
    }
    if is_wanted("proxy") {
        bench.proxy(&mut report, &size, &tools.nginx).await;
    }
    report.rows.push(Row {
        what: "binary".into(),
        figure: format!("{:.1} MB", fs::metadata(keyless).map_or(0.0, |file| file.len() as f64 / 1e6)),
        against: String::new(),
        ratio: None,
        expected: String::new(),
        is_met: None,
    });
    drop(bench);
    let _ = fs::remove_dir_all(&directory);
    report
}

pub(crate) struct Bench {
    pub(crate) system: System,
    pub(crate) root: String,
    pub(crate) tenant: String,
    pub(crate) token: String,
    idle_kib: u64,
    pub(crate) directory: PathBuf,
}

impl Bench {
    pub(crate) fn set_up(keyless: &Path, directory: &Path) -> Self {
        let mut system = System::new(keyless, &directory.join("data"));
        system.start();
        system.command(&["vault", "create", "bench"], b"");
        system.command(&["app", "create", "bench"], b"");
        system.command(&["app", "identity", "assign", "bench"], b"");
        system.command(
            &[
                "vault",
                "policy",
                "set",
                "bench",
                "--app",
                "bench",
                "--secrets",
                "get,list,set",
                "--keys",
                "create,sign",
            ],
            b"",
        );
        system.command(&["secret", "set", "bench", "probe"], b"the value of the measured secret");
        let environment = environment(&system.command(&["run", "--app", "bench", "--", "env"], b""));
        let root = fs::read_to_string(&environment["NODE_EXTRA_CA_CERTS"])
            .expect("an app can read the root certificate");
        let program = std::env::current_exe().expect("a process knows its program");
        let program = program.to_str().expect("its path is text");
        let token = system
            .command(&["run", "--app", "bench", "--", program, "endpoint", "token"], b"")
            .trim()
            .to_owned();
        let tenant = tokens::field(system.command(&["status", "-o", "json"], b""), "tenant");
        Self {
            idle_kib: cpu::resident_kib(system.pid()),
            tenant,
            system,
            root,
            token,
            directory: directory.to_owned(),
        }
    }

    /// A warmed data directory: from the start of the process to its first answer over TLS.
    async fn start_times(&mut self, report: &mut Report) {
        let mut times = Vec::new();
        for _ in 0..5 {
            self.system.stop();
            let begin = self.system.start();
            let target = self.system.target(&self.root, VAULT_HOST);
            let _answer = load::once(&target, &self.get_request("probe")).await;
            times.push(begin.elapsed().as_secs_f64() * 1_000.0);
        }
        std::thread::sleep(Duration::from_millis(300));
        self.idle_kib = cpu::resident_kib(self.system.pid());
        let (start, idle) = (median(times), self.idle_kib as f64 / 1_024.0);
        report.rows.push(Row::limit("start to first secret read, warmed data directory", start, "ms", 200.0));
        report.rows.push(Row::limit("resident memory, idle", idle, "MB", 40.0));
    }

    pub(crate) fn get_request(&self, name: &str) -> Vec<u8> {
        self.request("GET", &format!("/secrets/{name}/"), "")
    }

    pub(crate) fn set_request(&self, name: &str) -> Vec<u8> {
        self.request("PUT", &format!("/secrets/{name}"), r#"{"value":"a value of thirty-two characters"}"#)
    }

    /// A request to the vault as an SDK sends it; with a body if there is one.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let (port, token) = (self.system.port, &self.token);
        let query = if path.contains('?') { "&" } else { "?" };
        let described = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        format!(
            "{method} {path}{query}api-version=2025-07-01 HTTP/1.1\r\nHost: {VAULT_HOST}:{port}\r\nAccept: application/json\r\n\
             User-Agent: bench\r\nx-ms-client-request-id: 6f0b2a0e-0000-4000-8000-000000000000\r\n\
             {described}Authorization: Bearer {token}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// A bare server that answers this, and how to reach it.
    pub(crate) fn bare(&self, body: &[u8]) -> (Bare, load::Target) {
        self.bare_with(false, body)
    }

    /// The same, which signs with an RSA key before each answer.
    pub(crate) fn bare_signing(&self, body: &[u8]) -> (Bare, load::Target) {
        self.bare_with(true, body)
    }

    fn bare_with(&self, is_signing: bool, body: &[u8]) -> (Bare, load::Target) {
        let (chain, key, root) = certificate(VAULT_HOST);
        let (tls, json) = (Some((&*chain, &*key)), "application/json; charset=utf-8");
        let bare = Bare::start(&self.directory, tls, is_signing, json, body);
        let target = load::Target {
            listener: load::Listener::Tcp(([127, 0, 0, 1], bare.port).into()),
            pid: bare.pid(),
            ..self.system.target(&root, VAULT_HOST)
        };
        (bare, target)
    }

    async fn secret_get(&self, report: &mut Report, size: &Size) {
        let target = self.system.target(&self.root, VAULT_HOST);
        let requests = Arc::new(vec![self.get_request("probe")]);
        let body = load::once(&target, &requests[0]).await;
        let (_bare, bare_target) = self.bare(&body);
        for connections in CONNECTIONS {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..size.rounds {
                theirs.push(load::run(&bare_target, requests.clone(), connections, size.requests).await);
                ours.push(load::run(&target, requests.clone(), connections, size.requests).await);
            }
            report.rows.push(Row::compare(
                &format!("secret GET, {connections} connections"),
                &ours,
                "bare axum over TLS",
                &theirs,
                Some(2.0),
            ));
        }
        let after = cpu::resident_kib(self.system.pid()) as f64 / 1_024.0;
        let asked = size.rounds * size.requests * CONNECTIONS.len();
        report
            .rows
            .push(Row::figure(&format!("resident memory after {asked} GETs"), format!("{after:.1} MB")));
    }

    async fn secret_set(&self, report: &mut Report, directory: &Path, size: &Size) {
        let target = self.system.target(&self.root, VAULT_HOST);
        // So many that the store writes to its tables several times meanwhile.
        let total = if size.rounds > 3 { 72_000 } else { 1_000 };
        let sync = raw::fdatasync_rate(directory, total as u32 / 24);
        // Secrets that the vault has by then.
        let mut there = 0;
        for clients in [1, 64] {
            let answer = load::once(&target, &self.set_request("set-first")).await;
            let (bare, bare_target) = self.bare(&answer);
            let mut ours = Vec::new();
            let mut again = Vec::new();
            let mut engines = Vec::new();
            let mut stores = Vec::new();
            let mut bares = Vec::new();
            for round in 0..3 {
                let total = if clients == 1 { total / 48 } else { total };
                // New secrets in each round, as the raw commits are of new keys: a new version of an old one is two records.
                let name = move |number| format!("{}-{clients}-{round}", scale::name(number));
                let requests: Vec<Vec<u8>> =
                    (0..total).map(|number| self.set_request(&name(number))).collect();
                let requests = Arc::new(requests);
                // The same keys and size of a commit, among as many others, on the load's core: what engine and store can do with nothing around them.
                let key =
                    move |number| format!("secret/00000000-0000-4000-8000-000000000000/{}", name(number));
                engines.push(raw::engine_rate(directory, clients, key, there, total, SECRET_BYTES));
                stores.push(raw::commit_rate(directory, clients, key, there, total, SECRET_BYTES).await);
                ours.push(load::run(&target, requests.clone(), clients, total).await.rate);
                again.push(load::run(&target, requests.clone(), clients, total).await.rate);
                bares.push(load::run(&bare_target, requests.clone(), clients, total).await.rate);
                there += total;
            }
            drop::<Bare>(bare);
            let (ours, again, bare) = (median(ours), median(again), median(bares));
            let (engine, store) = (median(engines), median(stores));
            let ratio = ours / engine;
            report.rows.push(Row {
                what: format!("durable secret SET, {clients} clients"),
                figure: format!("{ours:.0}/s"),
                against: format!(
                    "redb alone, {clients} in each commit: {engine:.0}/s; fdatasync {sync:.0}/s"
                ),
                ratio: Some(ratio),
                expected: if clients == 64 { "at least 0.6".into() } else { String::new() },
                is_met: (clients == 64).then_some(ratio >= 0.6),
            });
            // What has to be done for each at the least, one after the other, as one core does both.
            let both = 1.0 / (1.0 / engine + 1.0 / bare);
            report.rows.push(Row {
                what: format!("the same, {clients} clients"),
                figure: format!("{ours:.0}/s"),
                against: format!("redb alone and a bare answer over TLS: {both:.0}/s"),
                ratio: Some(ours / both),
                expected: String::new(),
                is_met: None,
            });
            report.rows.push(Row {
                what: format!("the same, {clients} clients"),
                figure: format!("{ours:.0}/s"),
                against: format!("commits of our own store alone: {store:.0}/s"),
                ratio: Some(ours / store),
                expected: String::new(),
                is_met: None,
            });
            report.rows.push(Row {
                what: format!("a new version of a secret, {clients} clients"),
                figure: format!("{again:.0}/s"),
                against: format!("redb alone, of one record instead of two: {engine:.0}/s"),
                ratio: Some(again / engine),
                expected: String::new(),
                is_met: None,
            });
        }
    }
}

fn environment(printed: &str) -> HashMap<String, String> {
    printed
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A certificate for another server like ours: chain, key, root.
pub(crate) fn certificate(host: &str) -> (String, Vec<u8>, String) {
    let authority = crypt::Authority::create("Keyless bench", now()).expect("an authority can be made");
    let server = authority.issue_server(&[host.to_owned()], &[], now()).expect("a certificate can be issued");
    (server.chain_pem.clone(), server.key_pkcs8.expose().clone(), authority.certificate_pem().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "a certificate for one run begins now")]
fn now() -> domain::Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    domain::Timestamp::from_seconds(i64::try_from(since.as_secs()).unwrap_or(0))
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name").map(str::to_owned))
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "Machine: {} x{cores}, Linux {}",
        model.trim_start_matches([':', ' ', '\t']),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
