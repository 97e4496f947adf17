//! People who use official clients: every credential of the Azure SDKs that has a person in it, MSAL by itself, and `keyless login`.
//! Unmodified and at default settings; all that they are told besides the usual is that the authority is a private one.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;

use e2e::person::encoded;
use e2e::{Ended, NodeScript, Person, Server, note, setting, settings, skip};
use serde_json::{Value, json};

const PYTHON: &str = "Python azure-identity 1.27.0";
const MSAL: &str = "Python msal 1.39.0";
const NODE: &str = "Node @azure/identity 4.13.1";
const PASSWORD: &str = "correct horse of alice";
const VAULT: &str = "https://vault.azure.net/.default";
const CALLBACK: &str = "http://localhost:8400/cb";
const LOGIN: &str = "login.keyless.localhost";

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A server where alice may read a secret, and bob may not.
struct People {
    server: Server,
    tenant: String,
}

impl People {
    fn start(name: &str) -> Self {
        Self::of(Server::start(name))
    }

    fn of(server: Server) -> Self {
        server.vault_with("shop", "db", "s3cret");
        // Programs have names and certificates from an app, which may nothing itself.
        let _said = server.keyless(["app", "create", "web"]).ok();
        for name in ["alice", "bob"] {
            let _said = server.keyless(["user", "create", name]).ok();
            let _said =
                server.keyless_with(["user", "password", name], &PASSWORD.replace("alice", name)).ok();
        }
        let allow = ["vault", "policy", "set", "shop", "--user", "alice", "--secrets", "get"];
        let _said = server.keyless(allow).ok();
        let made = json_of(&server.keyless(["app-registration", "create", "tenant", "-o", "json"]).ok());
        let tenant = made["tenant"].as_str().unwrap().to_owned();
        Self { server, tenant }
    }

    fn person(&self, name: &str) -> Person {
        let password = PASSWORD.replace("alice", name);
        Person::new(&self.server.authority(), self.server.port(), name, &password)
    }

    fn authority(&self) -> String {
        format!("https://{LOGIN}:{}", self.server.port())
    }

    /// An app registration with a client secret.
    fn register(&self, body: &Value) -> (String, String) {
        let body = body.to_string();
        let request = format!(
            "POST /v1/registrations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let made =
            e2e::http::unix(&self.server.data().join("admin.sock"), request.as_bytes()).unwrap().json();
        let client = made["client_id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        let add = ["app-registration", "credential", "add", &client, "-o", "json"];
        let added = json_of(&self.server.keyless(add).ok());
        (client, added["secret"].as_str().unwrap().to_owned())
    }

    /// The code that alice gets for a client.
    fn code(&self, client: &str, scope: &str) -> String {
        let url = format!(
            "{}/{}/oauth2/v2.0/authorize?client_id={client}&response_type=code&redirect_uri={}&scope={}&state=s",
            self.authority(),
            self.tenant,
            encoded(CALLBACK),
            encoded(scope)
        );
        let told = self.person("alice").open(&url, "").url();
        let query = told.strip_prefix(&format!("{CALLBACK}?")).unwrap_or_else(|| panic!("{told}"));
        let code = query.split('&').find_map(|pair| pair.strip_prefix("code="));
        code.unwrap_or_else(|| panic!("{told}")).to_owned()
    }

    fn token(&self, form: &[(&str, &str)]) -> Value {
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let target = format!("/{}/oauth2/v2.0/token", self.tenant);
        self.server.https().send("POST", LOGIN, &target, &headers, &form.join("&")).unwrap().json()
    }

    fn run(&self, program: &[&str]) -> Ended {
        let person = e2e::app::beside("person").display().to_string();
        let who = format!("{}|{}|alice|{PASSWORD}", self.server.authority().display(), self.server.port());
        let told = [
            ("AUTHORITY", self.authority()),
            ("TENANT", self.tenant.clone()),
            ("PERSON", person),
            ("KEYLESS_E2E_PERSON", who),
        ];
        let told = told.map(|(name, value)| format!("{name}={value}"));
        let unset = ["env", "-u", "IDENTITY_ENDPOINT", "-u", "IDENTITY_HEADER"];
        let words: Vec<&str> =
            unset.into_iter().chain(told.iter().map(String::as_str)).chain(program.iter().copied()).collect();
        self.server.run_as("web", "shop", &words, "")
    }
}

type Client = fn(&People, &[&str]) -> Option<Ended>;

fn python(people: &People, arguments: &[&str]) -> Option<Ended> {
    let python = setting("PYTHON")?;
    let program: Vec<&str> = [&*python, "-c", include_str!("user_flows/flows.py")]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    Some(people.run(&program))
}

fn node(people: &People, arguments: &[&str]) -> Option<Ended> {
    let script = NodeScript::beside_sdk(include_str!("user_flows/flows.mjs"))?;
    Some(people.run(&script.line(arguments)))
}

/// Every flow of a client, and that each token is alice's.
fn every_flow(name: &str, client: Client, note_as: &str) {
    let people = People::start(name);
    // Node's does not take the tenant that a vault names, unless it was told the same one.
    let result = |flow: &str| match (flow, note_as) {
        ("browser", NODE) => "works, with the tenant named",
        _ => "works",
    };
    let works = |flow: &str, arguments: &[&str], what: &str| {
        let words: Vec<&str> = [flow].into_iter().chain(arguments.iter().copied()).collect();
        let Some(read) = client(&people, &words) else { return false };
        let read = read.ok();
        assert!(read == "s3cret\n" || read.ends_with("\ns3cret\n"), "{flow}: {read}");
        // The person tells where they were sent.
        assert!(read.matches("code=").count() <= 1, "nobody is asked twice: {read}");
        note(note_as, what, result(flow));
        true
    };
    if !works("device", &[], "a person, by a code on a device (`DeviceCodeCredential`)") {
        return skip("the client is not here");
    }
    works("browser", &[], "a person, by a browser (`InteractiveBrowserCredential`)");

    let redirects = json!([{"uri": CALLBACK, "platform": "web"}]);
    let (shop, secret) = people.register(&json!({"display_name": "Shop", "redirect_uris": redirects}));
    let code = people.code(&shop, &format!("openid offline_access {VAULT}"));
    let arguments = [&*shop, &*secret, CALLBACK, &*code];
    works("code", &arguments, "a person, by a code that a web app was sent (`AuthorizationCodeCredential`)");
    let again =
        client(&people, &[&["code"], &arguments[..]].concat()).map(|ended| ended.said()).unwrap_or_default();
    assert!(again.contains("AADSTS54005"), "a code is good once: {again}");

    // The shop calls the orders, which read the vault in the same person's name, once that person has agreed to it.
    let orders =
        json!({"display_name": "Orders", "identifier_uris": ["api://orders"], "redirect_uris": redirects});
    let (orders, orders_secret) = people.register(&orders);
    let code = people.code(&shop, "api://orders/.default");
    let token = people.token(&[
        ("grant_type", "authorization_code"),
        ("client_id", &shop),
        ("client_secret", &secret),
        ("redirect_uri", CALLBACK),
        ("code", &code),
    ]);
    let token = token["access_token"].as_str().unwrap_or_else(|| panic!("{token}"));
    let arguments = ["on_behalf_of", &*orders, &*orders_secret, token];
    let refused = client(&people, &arguments).map(|ended| ended.said()).unwrap_or_default();
    assert!(refused.contains("AADSTS65001"), "alice has not agreed: {refused}");
    // As MSAL asks, which wants these three with everything.
    let _agreed = people.code(&orders, &format!("openid profile offline_access {VAULT}"));
    works(
        "on_behalf_of",
        &arguments[1..],
        "an API in the name of the person who calls it (`OnBehalfOfCredential`)",
    );
}

#[test]
fn python_signs_people_in_by_every_flow() {
    every_flow("flows-python", python, PYTHON);
}

#[test]
fn node_signs_people_in_by_every_flow() {
    every_flow("flows-node", node, NODE);
}

#[test]
fn passwords_are_taken_from_programs_only_where_it_was_said() {
    let people = People::start("flows-no-password");
    let (user, password) = ("alice@keyless.localhost", PASSWORD);
    let Some(refused) = node(&people, &["password", user, password]) else { return skip("no Node") };
    assert!(refused.code != Some(0), "{}", refused.said());
    assert!(!refused.said().contains("s3cret"));
    drop(people);

    let people =
        People::of(Server::start_set("flows-password", &[], &[("KEYLESS_ALLOW_PASSWORD_GRANT", "true")]));
    let read = node(&people, &["password", user, password]).map(Ended::ok);
    assert_eq!(read.as_deref(), Some("s3cret\n"));
    note(NODE, "a password out of a program (`UsernamePasswordCredential`), where it is allowed", "works");
    let wrong = node(&people, &["password", user, "wrong horse"]).map(|ended| ended.said());
    assert!(wrong.is_some_and(|said| said.contains("AADSTS50126")));

    // Python asks one thing at port 443, whichever port the authority has.
    let Ok(forwarder) = TcpListener::bind("127.0.0.1:443") else {
        return skip("port 443 is not ours to have, which Python needs for a password");
    };
    let port = people.server.port();
    std::thread::spawn(move || forward(&forwarder, port));
    let read = python(&people, &["password", user, password, &people.authority()]);
    assert_eq!(read.map(Ended::ok).as_deref(), Some("s3cret\n"));
    note(
        PYTHON,
        "a password out of a program (`UsernamePasswordCredential`), where it is allowed",
        "works if the directory is at port 443 too: the SDK drops the port of one request",
    );
}

/// Passes connections on; ends with the process.
fn forward(listener: &TcpListener, port: u16) {
    for near in listener.incoming().flatten() {
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { return };
        for (mut from, mut to) in [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())]
            .into_iter()
            .filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
        {
            std::thread::spawn(move || {
                let _gone = std::io::copy(&mut from, &mut to);
                let _gone = to.shutdown(std::net::Shutdown::Write);
            });
        }
    }
}

#[test]
fn msal_renews_in_silence_what_has_expired() {
    let people = People::of(Server::start_with("flows-msal", &["--test-clock"]));
    // The administrator's command, run from inside of the program.
    let advance = format!(
        "env KEYLESS_DATA_DIR={} KEYLESS_PORT={} {} clock advance 2h",
        people.server.data().display(),
        people.server.port(),
        settings::binary("keyless").display()
    );
    let Some(read) = python(&people, &["silent", &advance]) else { return skip("no Python environment") };
    assert_eq!(read.ok(), "s3cret\n");
    note(MSAL, "`acquire_token_silent` once the token has expired; account; capability CP1", "works");
}

/// Logs somebody in by a code, as a person does: the command shows it, a browser says yes.
fn log_in(people: &People, name: &str) {
    let mut command = people.server.command(["login", "--device-code"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let told = e2e::wait::line(&mut child, errors, e2e::wait::LIMIT, "devicelogin");
    let words = || told.split([' ', '\n', ',']).map(|word| word.trim_end_matches('.'));
    let url = words().find(|word| word.starts_with("https://")).unwrap();
    let is_code = |word: &&str| {
        word.len() >= 8 && word.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'-')
    };
    let code = words().find(is_code).unwrap_or_else(|| panic!("{told}"));
    let end = people.person(name).open(url, code);
    assert!(matches!(&end, e2e::person::End::Page(page) if page.status == 200), "{end:?}");
    let status = e2e::wait::for_end(&mut child, std::time::Duration::from_secs(60), "keyless login");
    assert!(status.success(), "{told}");
}

#[test]
fn a_login_is_not_taken_to_another_installation() {
    let people = People::start("flows-login-here");
    let there = Server::start("flows-login-there");
    there.vault_with("shop", "db", "theirs");
    log_in(&people, "alice");
    // The login is the person's, whatever data directory a command names.
    let home = people.server.place();
    let there_as_alice = |arguments: &[&str]| {
        let mut command = there.command([]);
        Ended::from(command.args(arguments).env("HOME", home).output().unwrap())
    };
    let read = there_as_alice(&["secret", "get", "shop", "db"]);
    assert!(read.code == Some(0) && read.stdout == "theirs", "{}", read.said());
    let words =
        format!("not as alice@keyless.localhost: the login is at {}/{}", people.authority(), people.tenant);
    assert!(read.stderr.starts_with(&words) && read.stderr.lines().count() == 1, "{}", read.said());
    for about_the_login in [&["login", "whoami"][..], &["token", "show"], &["logout"]] {
        let refused = there_as_alice(about_the_login);
        assert!(
            refused.code == Some(1) && refused.stderr.contains(&people.authority()),
            "{}",
            refused.said()
        );
    }
    let unusable = there_as_alice(&["--data-dir", "/nonexistent", "secret", "get", "shop", "db"]);
    assert!(unusable.code == Some(1) && unusable.stderr.contains("/nonexistent"), "{}", unusable.said());
    // She is logged in still, and herself where that is.
    assert_eq!(people.server.keyless(["secret", "get", "shop", "db"]).ok(), "s3cret");
    let denied = people.server.keyless_with(["secret", "set", "shop", "db"], "hers");
    assert!(denied.code == Some(1) && !denied.stderr.contains("not as"), "{}", denied.said());
}

#[test]
fn people_use_the_command_as_themselves_until_they_log_out() {
    let people = People::start("flows-command");
    let server = &people.server;
    log_in(&people, "alice");
    let who = json_of(&server.keyless(["login", "whoami", "-o", "json"]).ok());
    assert_eq!((&who["user"], &who["tenant"]), (&json!("alice@keyless.localhost"), &json!(people.tenant)));
    let shown = server.keyless(["token", "show", "-o", "json"]).ok();
    let claims = &json_of(&shown)["claims"];
    assert!(claims["scp"].is_string() && claims["oid"] == who["id"], "{shown}");
    assert_eq!(json_of(&shown)["signature"], "(redacted)");
    assert_eq!(server.keyless(["secret", "get", "shop", "db"]).ok(), "s3cret");

    // What is kept is signed by a key that nobody trusts any more: the command gets another.
    let keys = json_of(&server.keyless(["signing-key", "list", "-o", "json"]).ok());
    let current = keys["value"].as_array().unwrap().iter().find(|key| key["state"] == "current").unwrap();
    let _said = server.keyless(["signing-key", "revoke", current["kid"].as_str().unwrap()]).ok();
    assert_eq!(server.keyless(["secret", "get", "shop", "db"]).ok(), "s3cret");

    // What a thief has copied is worth nothing once its owner has logged out.
    let file = find(server.place(), "login");
    let copied = json_of(&std::fs::read_to_string(file).unwrap());
    let refresh_token = copied["refresh_token"].as_str().unwrap();
    let tokens = copied["access_tokens"].as_object().unwrap();
    let token = tokens.values().find_map(|kept| {
        let token = kept["token"].as_str()?;
        (server.https().get_secret("shop", "db", token).status == 200).then(|| token.to_owned())
    });
    let token = token.unwrap_or_else(|| panic!("one of them reads"));
    let _said = server.keyless(["logout"]).ok();
    assert_eq!(server.https().get_secret("shop", "db", &token).status, 401, "its access token");
    let client = "7b6c5e0d-2f4a-4d1c-9e83-6b65796c6573";
    let refused = people.token(&[
        ("grant_type", "refresh_token"),
        ("client_id", client),
        ("refresh_token", refresh_token),
    ]);
    assert_eq!(refused["error"], "invalid_grant", "{refused}");
    let nobody = server.keyless(["login", "whoami"]);
    assert!(nobody.code == Some(1) && nobody.stderr.contains("keyless login"), "{}", nobody.said());

    log_in(&people, "bob");
    let refused = server.keyless(["secret", "get", "shop", "db"]);
    assert!(refused.code == Some(1) && !refused.said().contains("s3cret"), "{}", refused.said());
    let log = server.keyless(["audit", "tail", "-n", "200"]).ok();
    assert!(log.contains("device.approve"), "{log}");
    for secret in [PASSWORD, refresh_token, &token] {
        assert!(!log.contains(secret) && !server.logs().contains(secret), "it is told");
    }
}

/// The file in which a login is kept, below the home that commands are given.
fn find(place: &std::path::Path, name: &str) -> PathBuf {
    let mut folders = vec![place.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.file_stem().is_some_and(|stem| stem == name) {
                return path;
            }
        }
    }
    panic!("no file {name}")
}
