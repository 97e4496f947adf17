//! Software outside of Keyless that has a client secret: app registrations, the token endpoints, and what their removal means.

use e2e::{Answer, Server};

struct Client {
    server: Server,
    tenant: String,
    id: String,
    secret: String,
}

fn registered(name: &str) -> Client {
    let server = Server::start(name);
    server.vault_with("shop", "db", "s3cret");
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let made = json(server.keyless(["app-registration", "create", "ci", "-o", "json"]).ok());
    let id = made["client_id"].as_str().unwrap().to_owned();
    let added = json(server.keyless(["app-registration", "credential", "add", &id, "-o", "json"]).ok());
    let _said =
        server.keyless(["vault", "policy", "set", "shop", "--client-id", &id, "--secrets", "get"]).ok();
    let tenant = made["tenant"].as_str().unwrap().to_owned();
    Client { server, tenant, id, secret: added["secret"].as_str().unwrap().to_owned() }
}

impl Client {
    fn ask(&self, version: &str, secret: &str) -> Answer {
        let audience = match version {
            "oauth2/token" => "resource=https%3A%2F%2Fvault.azure.net",
            _ => "scope=https%3A%2F%2Fvault.azure.net%2F.default",
        };
        let secret: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form =
            format!("grant_type=client_credentials&client_id={}&client_secret={secret}&{audience}", self.id);
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let target = format!("/{}/{version}", self.tenant);
        self.server.https().send("POST", "login.keyless.localhost", &target, &headers, &form).unwrap()
    }

    fn token(&self, version: &str) -> String {
        let answer = self.ask(version, &self.secret);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_client_secret_gets_a_token_and_reads() {
    let client = registered("registration");
    for version in ["oauth2/v2.0/token", "oauth2/token"] {
        let token = client.token(version);
        let read = client.server.https().get_secret("shop", "db", &token);
        assert_eq!(
            (read.status, read.json()["value"].as_str()),
            (200, Some("s3cret")),
            "{version}: {read:?}"
        );
    }
}

#[test]
fn a_wrong_client_secret_is_an_invalid_client() {
    let client = registered("registration-wrong");
    let answer = client.ask("oauth2/v2.0/token", "wrong");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("invalid_client")), "{answer:?}");
    assert_eq!(answer.json()["error_codes"][0], 7_000_215);
    assert!(!answer.text().contains(&client.secret));
}

#[test]
fn a_deleted_registration_is_refused_at_once() {
    let client = registered("registration-deleted");
    let token = client.token("oauth2/v2.0/token");
    assert_eq!(client.server.https().get_secret("shop", "db", &token).status, 200);
    let _said = client.server.keyless(["app-registration", "delete", &client.id]).ok();
    let answer = client.server.https().get_secret("shop", "db", &token);
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
    assert!(matches!(client.ask("oauth2/v2.0/token", &client.secret).status, 400 | 401));
}

#[test]
fn a_disabled_principal_is_refused_at_once_and_served_again() {
    let client = registered("registration-disabled");
    let token = client.token("oauth2/v2.0/token");
    let json: serde_json::Value = serde_json::from_str(
        &client.server.keyless(["app-registration", "show", &client.id, "-o", "json"]).ok(),
    )
    .unwrap();
    let principal = json["principal"].as_str().unwrap();
    let _said = client.server.keyless(["principal", "disable", principal]).ok();
    let answer = client.server.https().get_secret("shop", "db", &token);
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
    let _said = client.server.keyless(["principal", "enable", principal]).ok();
    assert_eq!(client.server.https().get_secret("shop", "db", &token).status, 200);
}

#[test]
fn discovery_names_what_there_is() {
    let client = registered("registration-discovery");
    let get =
        |target: &str| client.server.https().send("GET", "login.keyless.localhost", target, &[], "").unwrap();
    for target in ["v2.0/.well-known/openid-configuration", ".well-known/openid-configuration"] {
        let document = get(&format!("/{}/{target}", client.tenant));
        assert_eq!(document.status, 200, "{document:?}");
        let document = document.json();
        for url in ["token_endpoint", "issuer"] {
            let url = document[url].as_str().unwrap();
            assert!(url.starts_with("https://") && url.contains(&client.tenant), "{url}");
        }
        let keys = document["jwks_uri"].as_str().unwrap();
        let path = format!("/{}", keys.splitn(4, '/').nth(3).unwrap());
        let keys = get(&path).json();
        assert!(keys["keys"][0]["kid"].is_string() && keys["keys"][0]["n"].is_string(), "{keys}");
    }
}
