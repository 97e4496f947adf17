//! Token files of hosted apps: SDKs take them by themselves, and who is not the app gets nothing by one (ADR 0024).

use crate::hosting::{Hosts, is_renewed, needs_root, ready};
use e2e::{NodeScript, Server, note, settings, skip, wait};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);
const PYTHON: &str = "Python azure-identity 1.27.0, azure-keyvault-secrets 4.12.0";
const NODE: &str = "Node @azure/identity 4.13.1, @azure/keyvault-secrets 4.11.2";
const RUST: &str = "Rust azure_identity 1.0.0, azure_security_keyvault_secrets 1.0.1";
const EXCHANGE: &str = include_str!("token_file/exchange.py");
const USED: &str = "the token file of workload";

const ON: [&str; 2] = ["--token-file", "on"];

/// An app `web` with a token file, which may read the secret `db` of vault `shop`.
struct Web {
    hosts: Hosts,
    env: Value,
}

impl Web {
    fn start(server: Server, name: &str) -> Self {
        let hosts = Hosts::with_web(server, name, &ON);
        assert_eq!(hosts.show("web")["hosted"]["token_file"], true);
        let env = hosts.ask("web", "/env");
        Self { hosts, env }
    }

    fn file(&self) -> &str {
        self.env["AZURE_FEDERATED_TOKEN_FILE"].as_str().unwrap()
    }

    fn client(&self) -> &str {
        self.env["AZURE_CLIENT_ID"].as_str().unwrap()
    }

    /// What it holds now; the scenarios are root.
    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    /// What a program in an app says.
    fn run(&self, app: &str, arguments: &[&str]) -> Value {
        self.hosts.run(app, arguments, &[])
    }

    /// What the token endpoint says to a program in an app that presents a file or a text for an identity.
    fn exchange(&self, app: &str, what: &str, client: &str) -> String {
        let ended = self.run(app, &["python3", "-c", EXCHANGE, what, client]);
        assert_eq!(ended["status"], 0, "{ended}");
        ended["stdout"].as_str().unwrap().to_owned()
    }

    /// The same to this process, which is root's and in no app's cgroup.
    fn exchange_outside(&self, text: &str) -> (u16, Value) {
        let tenant = self.env["AZURE_TENANT_ID"].as_str().unwrap();
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={text}&scope=https%3A%2F%2Fvault.azure.net%2F.default",
            self.client()
        );
        let target = format!("/{tenant}/oauth2/v2.0/token");
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let host = "login.keyless.localhost";
        let answer = self.hosts.server.https().send("POST", host, &target, &headers, &form).unwrap();
        (answer.status, answer.json())
    }

    fn audit(&self) -> String {
        self.hosts.server.keyless(["audit", "tail", "-n", "20"]).ok()
    }

    /// A client reads the secret, and did so by the file.
    fn reads(&self, client: &str, how: &str, arguments: &[&str]) {
        let before = self.count();
        let ended = self.run("web", arguments);
        assert_eq!((&ended["status"], &ended["stdout"]), (&0.into(), &"s3cret\n".into()), "{how}: {ended}");
        assert!(self.count() > before, "{how} did not take the token file: {}", self.audit());
        note(client, &format!("get secret, by the app's token file (`{how}`)"), "works");
    }

    /// How many exchanges the audit log tells of.
    fn count(&self) -> usize {
        let tail = self.hosts.server.keyless(["audit", "tail", "-n", "1000"]).ok();
        tail.lines().filter(|line| line.contains(USED)).count()
    }
}

/// Refused in the one way in which everybody is who is not to have this token.
fn is_strangers(said: &str) -> bool {
    said.starts_with("401 ") && said.contains("AADSTS700213") && !said.contains("access_token")
}

#[test]
fn sdks_take_the_token_file_by_themselves() {
    if needs_root() {
        return;
    }
    let web = Web::start(Server::start("token-file-sdks"), "token-file-sdks");
    for name in ["IDENTITY_ENDPOINT", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"] {
        assert!(web.env[name].is_string(), "{name}: {}", web.env);
    }
    let rust = settings::example_program("read-secret-outside").display().to_string();
    web.reads(RUST, "WorkloadIdentityCredential", &[&rust, "db"]);
    match web.hosts.python("web") {
        None => skip("no Python environment that an app's account may run"),
        Some(python) => {
            let script = settings::example("python/read_secret.py").display().to_string();
            let line: Vec<_> = python.iter().map(String::as_str).chain([&*script, "db"]).collect();
            web.reads(PYTHON, "DefaultAzureCredential", &line);
        }
    }
    // MSAL for JavaScript asks the public cloud about an authority that it does not know, unless it is told not to; the managed identity
    // credential, which the default one goes on to, takes the file as well and never asks.
    let default = std::fs::read_to_string(settings::example("node/read-secret.mjs")).unwrap();
    for (how, credential) in [
        ("DefaultAzureCredential", "DefaultAzureCredential()"),
        ("ManagedIdentityCredential", "ManagedIdentityCredential()"),
        (
            "WorkloadIdentityCredential with disableInstanceDiscovery",
            "WorkloadIdentityCredential({ disableInstanceDiscovery: true })",
        ),
    ] {
        let (class, _) = credential.split_once('(').unwrap();
        let text = default
            .replace("DefaultAzureCredential()", credential)
            .replace("{ DefaultAzureCredential }", &format!("{{ {class} }}"));
        let Some(script) = NodeScript::beside_sdk(&text) else { return skip("no Node") };
        web.reads(NODE, how, &script.line(&["db"]));
    }
}

#[test]
fn a_token_file_is_good_for_nobody_but_its_own_program() {
    if needs_root() {
        return;
    }
    let web = Web::start(Server::start("token-file-thieves"), "token-file-thieves");
    let client = web.client().to_owned();
    let own = web.exchange("web", web.file(), &client);
    assert!(own.starts_with("200 "), "{own}");
    let access: Value = serde_json::from_str(own.split_once(' ').unwrap().1).unwrap();
    let access = access["access_token"].as_str().unwrap();
    assert_eq!(web.hosts.server.https().get_secret("shop", "db", access).status, 200);

    // Another app cannot read it, and has no use for what somebody else may have read for it.
    let _told = web.hosts.host("other", &ON);
    let read = web.run("other", &["cat", web.file()]);
    assert!(read["status"] == 1 && read["stderr"].as_str().unwrap().contains("ermission denied"), "{read}");
    let folder = PathBuf::from(web.file());
    let listed = web.run("other", &["ls", &folder.parent().unwrap().display().to_string()]);
    assert_ne!(listed["status"], 0, "{listed}");
    let stolen = web.text();
    assert!(is_strangers(&web.exchange("other", &stolen, &client)));
    assert!(web.audit().contains("made outside of the cgroup"), "{}", web.audit());
    // By its own it gets its own identity, which may not read there, and no other's.
    let env = web.hosts.ask("other", "/env");
    let (theirs, their_client) =
        (env["AZURE_FEDERATED_TOKEN_FILE"].as_str().unwrap(), env["AZURE_CLIENT_ID"].as_str().unwrap());
    assert!(web.exchange("other", theirs, their_client).starts_with("200 "));
    assert!(is_strangers(&web.exchange("other", theirs, &client)));
    // Root reads it, and is in no app's cgroup.
    let (status, body) = web.exchange_outside(&stolen);
    assert_eq!(status, 401, "{body}");
    assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS700213"), "{body}");
    // It is no bearer token, and an access token is no file.
    assert_eq!(web.hosts.server.https().get_secret("shop", "db", &stolen).status, 401);
    assert!(web.exchange("web", access, &client).starts_with("40"));
    // The app cannot put something else into its place, nor beside it.
    for command in
        [["sh", "-c", "echo x > \"$0\"", web.file()], ["sh", "-c", "rm -f \"$0\" && exit 9", web.file()]]
    {
        let tried = web.run("web", &command);
        assert!(tried["status"] != 0 && tried["status"] != 9, "{tried}");
    }
    // Changed in one place.
    let (signed, signature) = stolen.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let tampered = format!("{signed}.{other}{}", &signature[1..]);
    let refused = web.exchange("web", &tampered, &client);
    assert!(refused.starts_with("401 ") && refused.contains("AADSTS700027"), "{refused}");

    // Its identity is taken away while the program runs.
    let _said = web.hosts.server.keyless(["app", "identity", "remove", "web"]).ok();
    assert!(is_strangers(&web.exchange("web", web.file(), &client)));
    // The app is stopped: its file goes with it, and is good for nothing.
    let kept = web.text();
    let _said = web.hosts.server.keyless(["app", "stop", "web"]).ok();
    wait::until("the file is gone", PATIENCE, || !folder.exists());
    assert_eq!(web.exchange_outside(&kept).0, 401);
    assert!(web.audit().contains("has ended"), "{}", web.audit());
    assert!(!web.hosts.server.logs().contains(&kept), "nobody writes it down");
}

#[test]
fn a_token_file_is_renewed_while_the_program_runs_and_over_a_kill_of_the_server() {
    if needs_root() {
        return;
    }
    let server = Server::start_with("token-file-time", &["--test-clock"]);
    let mut web = Web::start(server, "token-file-time");
    let (first, client) = (web.text(), web.client().to_owned());
    let _said = web.hosts.server.keyless(["clock", "advance", "11m"]).ok();
    wait::until("another token", PATIENCE, || web.text() != first);
    // What was read before is good for the time that SDKs keep it, and not for ever.
    assert!(web.exchange("web", &first, &client).starts_with("200 "));
    let _said = web.hosts.server.keyless(["clock", "advance", "20m"]).ok();
    let refused = web.exchange("web", &first, &client);
    assert!(refused.starts_with("401 ") && refused.contains("AADSTS700024"), "{refused}");
    let before = web.text();
    web.hosts.server.kill();
    web.hosts.server.start_again();
    web.hosts.settled("web", "it is served again", |hosted| ready(hosted) == 1);
    wait::until("the next server renews it", PATIENCE, || web.text() != before);
    assert!(web.exchange("web", web.file(), &client).starts_with("200 "));

    // Switched off: another instance, which has none.
    let _said = web.hosts.server.keyless(["app", "configure", "web", "--token-file", "off"]).ok();
    web.hosts.settled("web", "another instance", is_renewed);
    assert!(web.hosts.ask("web", "/env").get("AZURE_FEDERATED_TOKEN_FILE").is_none());
    wait::until("the file is gone", PATIENCE, || !PathBuf::from(web.file()).exists());

    // In a network of its own the kernel of that network says who comes to the public port there.
    let own = ["app", "configure", "web", "--token-file", "on", "--network", "own"];
    let _said = web.hosts.server.keyless(own).ok();
    web.hosts.settled("web", "it is in a network of its own", |hosted| {
        is_renewed(hosted) && hosted["network"] == "own"
    });
    web.env = web.hosts.ask("web", "/env");
    assert!(web.exchange("web", web.file(), &client).starts_with("200 "));
    assert_eq!(web.exchange_outside(&web.text()).0, 401);
}

#[test]
fn an_ordinary_users_server_gives_token_files_too() {
    if needs_root() {
        return;
    }
    let web = Web::start(Server::start_delegated("token-file-user", 65_534), "token-file-user");
    let client = web.client().to_owned();
    assert!(web.exchange("web", web.file(), &client).starts_with("200 "));
    assert_eq!(web.exchange_outside(&web.text()).0, 401);
}

#[test]
fn where_there_can_be_no_token_file_it_is_said() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("token-file-none");
    let _said = hosts.server.keyless(["app", "create", "web"]).ok();
    let _said = hosts.server.keyless(["app", "configure", "web", "--token-file", "on"]).ok();
    // A deployment has given it an identity.
    hosts.deploy("web", &hosts.package("one", &[]));
    let removed = hosts.server.keyless(["app", "identity", "remove", "web"]);
    assert!(removed.stderr.contains("keyless app restart web"), "{removed:?}");
    let _said = hosts.server.keyless(["app", "restart", "web"]).ok();
    let why = || hosts.show("web")["hosted"]["notices"].to_string();
    assert!(why().contains("no token file: the app has no identity"), "{}", why());
    assert!(hosts.ask("web", "/env").get("AZURE_FEDERATED_TOKEN_FILE").is_none());
    for name in ["readers", "writers"] {
        let _said = hosts.server.keyless(["identity", "create", name]).ok();
        let _said = hosts.server.keyless(["app", "identity", "assign", "web", "--user-assigned", name]).ok();
    }
    let _said = hosts.server.keyless(["app", "restart", "web"]).ok();
    assert!(why().contains("no token file: the app has several identities"), "{}", why());
    assert!(hosts.server.keyless(["app", "show", "web"]).ok().contains("several identities"));
}
