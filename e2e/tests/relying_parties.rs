//! Software that knows nothing of Azure signs people in here: libraries of others for OpenID Connect and OAuth 2.0, at their own strictness.
//! What they refuse is against a specification.

use e2e::{Chromium, Ended, NodeScript, Server, note, setting, skip};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
};

const PASSWORD: &str = "correct horse of alice";
const REDIRECT_URI: &str = "http://localhost:8400/cb";
const API: &str = "api://orders";

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A server with a person, a web app, a program for people's machines, and an API.
struct Parties {
    server: Server,
    variables: Vec<(&'static str, String)>,
}

impl Parties {
    fn start(name: &str) -> Self {
        let server = Server::start(name);
        let _said = server.keyless(["app", "create", "web"]).ok();
        let _said = server.keyless(["user", "create", "alice", "--mail", "alice@mail.example"]).ok();
        let _said = server.keyless_with(["user", "password", "alice"], PASSWORD).ok();
        let web = register(
            &server,
            &json!({"display_name": "Shop", "redirect_uris": [{"uri": REDIRECT_URI, "platform": "web"}]}),
        );
        let native = register(
            &server,
            &json!({"display_name": "Tool", "is_public": true, "redirect_uris": [{"uri": "http://127.0.0.1/cb", "platform": "publicClient"}]}),
        );
        let _api = register(&server, &json!({"display_name": "Orders", "identifier_uris": [API]}));
        let text = |made: &Value, name: &str| made[name].as_str().unwrap().to_owned();
        let client = text(&web, "client_id");
        let add = ["app-registration", "credential", "add", &client, "-o", "json"];
        let secret = text(&json_of(&server.keyless(add).ok()), "secret");
        let issuer =
            format!("https://login.keyless.localhost:{}/{}/v2.0", server.port(), text(&web, "tenant"));
        // One browser for all of a scenario: who is signed in stays so.
        let who = format!(
            "{}|{}|alice|{PASSWORD}|{}",
            server.authority().display(),
            server.port(),
            server.place().join("cookies").display()
        );
        let variables = vec![
            ("ISSUER", issuer),
            ("CLIENT", client),
            ("SECRET", secret),
            ("REDIRECT_URI", REDIRECT_URI.to_owned()),
            ("NATIVE", text(&native, "client_id")),
            ("API", API.to_owned()),
            ("PERSON", e2e::app::beside("person").display().to_string()),
            ("KEYLESS_E2E_PERSON", who),
        ];
        Self { server, variables }
    }

    fn run(&self, program: &[&str]) -> Ended {
        let variables: Vec<String> =
            self.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let words: Vec<&str> = ["env"]
            .into_iter()
            .chain(variables.iter().map(String::as_str))
            .chain(program.iter().copied())
            .collect();
        self.server.run_as("web", "shop", &words, "")
    }

    /// Runs a program beside the installed packages.
    fn node(&self, program: &str) -> Option<Ended> {
        let script = NodeScript::beside_parties(program)?;
        Some(self.run(&script.line(&[])))
    }
}

fn register(server: &Server, body: &Value) -> Value {
    let body = body.to_string();
    let request = format!(
        "POST /v1/registrations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let made = e2e::http::unix(&server.data().join("admin.sock"), request.as_bytes()).unwrap().json();
    assert!(made["client_id"].is_string(), "{made}");
    made
}

/// Serves a page and the library beside it, to whoever asks, as long as the test runs.
fn serve(listener: TcpListener, page: String, library: String) {
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = String::new();
            let _read = BufReader::new(&stream).read_line(&mut first);
            let (kind, body) = match first.starts_with("GET /msal-browser.min.js ") {
                true => ("text/javascript", &library),
                false => ("text/html", &page),
            };
            let length = body.len();
            let _sent = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
}

/// A page in a browser has no server of its own: it finds the directory, redeems its code and renews its token by scripts, from another origin.
#[test]
fn msal_signs_people_in_to_a_page() {
    let Some(packages) = setting("PARTIES_NODE_APP") else { return skip("no Node") };
    let Some(program) = setting("CHROMIUM") else { return skip("no Chromium on this machine") };
    let library = Path::new(&packages).join("node_modules/@azure/msal-browser/lib/msal-browser.min.js");
    let library = std::fs::read_to_string(library).unwrap();
    let parties = Parties::start("msal-page");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let page = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
    let made = register(
        &parties.server,
        &json!({"display_name": "Orders page", "redirect_uris": [{"uri": page, "platform": "spa"}]}),
    );
    let (client, tenant) = (made["client_id"].as_str().unwrap(), made["tenant"].as_str().unwrap());
    let port = parties.server.port();
    let authority = format!("https://login.keyless.localhost:{port}/{tenant}");
    let text = include_str!("relying_parties/page.html")
        .replace("CLIENT", client)
        .replace("AUTHORITY", &authority)
        .replace("API", API)
        .replace("GRAPH", &format!("https://graph.keyless.localhost:{port}"));
    serve(listener, text, library);
    let mut browser = Chromium::start(&program, "msal-page-profile", "login.keyless.localhost", port);
    browser.open(&page);
    browser.see("Sign in");
    browser.type_into("username", "alice");
    browser.type_into("password", PASSWORD);
    browser.click("button.primary");
    browser.see("Orders page asks for your permission");
    browser.click("button.primary");
    // Another resource is agreed to when the page needs it.
    browser.read("Read your profile in the directory");
    browser.click("button.primary");
    let alice = "alice@keyless.localhost";
    browser.see(&format!("{alice}, renewed, 9002326, {alice}, {alice}, InvalidAuthenticationToken"));
    let log = parties.server.keyless(["audit", "tail", "-n", "50"]).ok();
    assert!(log.contains("a page of another origin asks"), "{log}");
    note(
        "MSAL for browsers 5.30.0, in Chromium",
        "code with PKCE, id token, refresh, Graph, userinfo, from another origin",
        "works",
    );
}

const ALL: &str = "code with PKCE, id token, userinfo, refresh, device, client credentials, revocation";

#[test]
fn openid_client_signs_people_in_and_out() {
    let parties = Parties::start("openid-client");
    let program = include_str!("relying_parties/openid-client.mjs");
    let Some(ended) = parties.node(program) else { return skip("no Node") };
    assert_eq!(ended.ok(), "all held\n");
    note(
        "Node openid-client 6.9.0, jose 6.2.18",
        &format!("{ALL}, sign out; an API verifies tokens"),
        "works",
    );
}

#[test]
fn oauth4webapi_finds_nothing_against_the_specifications() {
    let parties = Parties::start("oauth4webapi");
    let program = include_str!("relying_parties/oauth4webapi.mjs");
    let Some(ended) = parties.node(program) else { return skip("no Node") };
    assert_eq!(ended.ok(), "all held\n");
    note("Node oauth4webapi 3.8.8", &format!("{ALL}; without a credential too"), "works");
}

#[test]
fn authlib_signs_people_in() {
    let parties = Parties::start("authlib");
    let Some(python) = setting("PARTIES_PYTHON") else { return skip("no Python environment") };
    let ended = parties.run(&[&python, "-c", include_str!("relying_parties/party.py")]);
    assert_eq!(ended.ok(), "all held\n");
    note("Python Authlib 1.9.10, joserfc 1.8.0", ALL, "works");
}
