//! Software that knows nothing of Azure signs people in here: libraries of others for OpenID Connect and OAuth 2.0, at their own strictness.
//! What they refuse is against a specification.

use e2e::{Ended, NodeScript, Server, note, setting, skip};
use serde_json::{Value, json};

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
