//! Shadow mode: programs whose configuration names Azure's hosts run as they are, with no network; and what it must not become: nobody else finds
//! us by these names, and nobody gets more by them than by our own.

use e2e::{Answer, App, Ended, Https, NodeScript, Server, note, setting, settings, skip, wait};
use std::process::Command;

const PYTHON: &str = "Python azure-identity 1.27.0, azure-keyvault-secrets 4.12.0";
const NODE: &str = "Node @azure/identity 4.13.1, @azure/keyvault-secrets 4.11.2";

/// As an ordinary user there is no port 443: that has a scenario of its own.
fn is_possible() -> bool {
    let file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let first: u16 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let is_possible = settings::is_root() || first <= 443;
    if !is_possible {
        skip("shadow mode: port 443 is not an ordinary user's here");
    }
    is_possible
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A registration that may read a secret: what a program's environment says of it.
struct Client {
    tenant: String,
    id: String,
    secret: String,
}

impl Client {
    fn of(server: &Server) -> Self {
        let made = json(&server.keyless(["app-registration", "create", "ci", "-o", "json"]).ok());
        let text = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap().to_owned();
        let (tenant, id) = (text(&made, "tenant"), text(&made, "client_id"));
        let added = json(&server.keyless(["app-registration", "credential", "add", &id, "-o", "json"]).ok());
        let allow = ["vault", "policy", "set", "shop", "--client-id", &id, "--secrets", "get,list"];
        let _said = server.keyless(allow).ok();
        Self { tenant, id, secret: text(&added, "secret") }
    }

    fn variables(&self) -> [(&'static str, &str); 3] {
        let Self { tenant, id, secret } = self;
        [("AZURE_TENANT_ID", tenant), ("AZURE_CLIENT_ID", id), ("AZURE_CLIENT_SECRET", secret)]
    }
}

/// With a vault, an app that may read it, and a registration that may.
fn started(name: &str) -> (Server, Client) {
    let server = Server::start(name);
    server.vault_with("shop", "db", "s3cret of no cloud");
    server.app_with("web", "shop", "get");
    server.app_with("idle", "shop", "list");
    let client = Client::of(&server);
    (server, client)
}

#[track_caller]
fn is_told(ended: &Ended) {
    assert!(ended.stderr.contains("NOT IN AZURE"), "{}", ended.stderr);
}

#[test]
fn python_runs_as_it_is() {
    if !is_possible() {
        return;
    }
    let (server, client) = started("shadow-python");
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let script = settings::example("python/read_secret.py").display().to_string();
    let program = [python.as_str(), script.as_str(), "db"];
    let as_app = server.run_as_azure("web", "shop", &program, &[]);
    is_told(&as_app);
    assert_eq!(as_app.ok(), "s3cret of no cloud\n");
    note(PYTHON, "`--as-azure`: managed identity, `https://NAME.vault.azure.net`", "works");
    // An app that may not read: it is the registration that does.
    let by_secret = server.run_as_azure("idle", "shop", &program, &client.variables());
    is_told(&by_secret);
    assert_eq!(by_secret.ok(), "s3cret of no cloud\n");
    note(PYTHON, "`--as-azure`: a client secret, the usual authority", "works");
    let wrong = [client.variables()[0], client.variables()[1], ("AZURE_CLIENT_SECRET", "wrong")];
    let wrong = server.run_as_azure("idle", "shop", &program, &wrong);
    assert!(wrong.code != Some(0) && wrong.stderr.contains("AADSTS7000215"), "{}", wrong.stderr);

    let certificate = server.place().join("ci.pem").display().to_string();
    let _said = server.keyless(["certificate", "create", "shop", "ci", "--subject", "CN=ci"]).ok();
    let _said = server.keyless(["certificate", "download", "shop", "ci", &certificate, "--with-key"]).ok();
    let add = ["app-registration", "credential", "add", &client.id, "--certificate", &certificate];
    let _said = server.keyless(add).ok();
    let by_certificate = [
        client.variables()[0],
        client.variables()[1],
        ("AZURE_CLIENT_CERTIFICATE_PATH", certificate.as_str()),
    ];
    let by_certificate = server.run_as_azure("idle", "shop", &program, &by_certificate);
    assert_eq!(by_certificate.ok(), "s3cret of no cloud\n");
    note(PYTHON, "`--as-azure`: a certificate, the usual authority", "works");
}

#[test]
fn node_runs_as_it_is() {
    if !is_possible() {
        return;
    }
    let (server, client) = started("shadow-node");
    let Some(script) = NodeScript::example("read-secret.mjs") else { return skip("no Node") };
    let program = script.line(&["db"]);
    let as_app = server.run_as_azure("web", "shop", &program, &[]);
    let by_secret = server.run_as_azure("idle", "shop", &program, &client.variables());
    assert_eq!(as_app.ok(), "s3cret of no cloud\n");
    note(NODE, "`--as-azure`: managed identity, `https://NAME.vault.azure.net`", "works");
    assert_eq!(by_secret.ok(), "s3cret of no cloud\n");
    note(NODE, "`--as-azure`: a client secret, the usual authority", "works");
}

#[test]
fn curl_goes_the_road_by_azures_names() {
    if !is_possible() {
        return;
    }
    let (server, client) = started("shadow-curl");
    let Some(curl) = setting("CURL") else { return skip("no curl on this machine") };
    let Client { tenant, id, secret } = &client;
    let script = format!(
        r#"set -e
{curl} -sS https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration
echo
{curl} -sS -o /dev/null -D - https://shop.vault.azure.net/secrets/db?api-version=7.5 | grep -i www-authenticate
token=$({curl} -sS --data-urlencode 'client_secret={secret}' -d 'grant_type=client_credentials&client_id={id}&scope=https://vault.azure.net/.default' https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
{curl} -sS -H "Authorization: Bearer $token" "$VAULT_URL/secrets/db?api-version=7.5"
echo
address=$(sed -n 's/^\(127[0-9.]*\)\tshop.vault.azure.net$/\1/p' /etc/hosts)
{curl} -sS -H "Authorization: Bearer $token" --resolve no-such.vault.azure.net:443:$address "https://no-such.vault.azure.net/secrets/db?api-version=7.5"
"#
    );
    let said = server.run_as_azure("idle", "shop", &["sh", "-c", &script], &[]).ok();
    let lines: Vec<&str> = said.lines().collect();
    let document = json(lines[0]);
    assert_eq!(document["issuer"], format!("https://login.microsoftonline.com/{tenant}/v2.0"));
    let challenge = format!(
        "Bearer authorization=\"https://login.microsoftonline.com/{tenant}\", resource=\"https://vault.azure.net\""
    );
    assert!(lines[1].ends_with(&challenge), "{}", lines[1]);
    let secret = json(lines[2]);
    assert_eq!(secret["value"], "s3cret of no cloud");
    let id = secret["id"].as_str().unwrap();
    assert!(id.starts_with("https://shop.vault.azure.net/secrets/db/"), "{id}");
    assert_eq!(json(lines[3])["error"]["code"], "VaultNotFound", "{}", lines[3]);
    note("curl", "`--as-azure`: client secret, then get secret, by hand", "works");
}

/// Where a shell in shadow mode finds the vault.
fn address(app: &mut App) -> String {
    let (code, said) = app.sh("grep -P '\\tshop.vault.azure.net$' /etc/hosts");
    assert_eq!(code, 0, "{said}");
    said.split('\t').next().unwrap().to_owned()
}

#[test]
fn outside_of_the_tree_nothing_is_azure() {
    if !is_possible() {
        return;
    }
    let (server, _) = started("shadow-outside");
    let mut app = App::start_as_azure(&server, "web", "shop");
    let (address, token) = (address(&mut app), app.token());
    let Some(curl) = setting("CURL") else { return skip("no curl on this machine") };
    // Our public door knows none of these names, whatever the token.
    for host in ["shop.vault.azure.net", "login.microsoftonline.com", "graph.microsoft.com"] {
        let bearer = format!("Bearer {token}");
        let headers = [("Host", host), ("Authorization", bearer.as_str())];
        let answer = raw(&server.https(), "/secrets/db?api-version=7.5", &headers);
        assert_eq!(answer.status, 404, "{host}: {answer:?}");
        assert!(!answer.text().contains("s3cret"));
    }
    let ask = |more: &[&str], target: &str| -> Ended {
        let mut command = Command::new(&curl);
        command.args(["-sS", "-w", "\n%{http_code}"]).args(more).arg(target);
        wait::output(&mut command, b"").into()
    };
    // Nobody outside trusts the door: neither with the system's roots nor with the installation's own.
    let vault = "https://shop.vault.azure.net/secrets/db?api-version=7.5";
    let resolve = format!("shop.vault.azure.net:443:{address}");
    let authority = server.authority().display().to_string();
    for trust in [&["--resolve", &resolve][..], &["--resolve", &resolve, "--cacert", &authority]] {
        let refused = ask(trust, vault);
        assert_eq!(refused.code, Some(60), "{}", refused.said());
    }
    // Who looks away gets what the public door gives: nothing without a token.
    let stranger = ask(&["--resolve", &resolve, "-k"], vault);
    assert!(stranger.stdout.ends_with("\n401") && !stranger.stdout.contains("s3cret"), "{}", stranger.said());
    // The door has none of our own names, and no administration.
    for host in
        ["login.keyless.localhost", "shop.vault.keyless.localhost", "graph.keyless.localhost", "localhost"]
    {
        let resolve = format!("{host}:443:{address}");
        let other = ask(&["--resolve", &resolve, "-k"], &format!("https://{host}/v1/status"));
        assert!(other.stdout.ends_with("\n404"), "{host}: {}", other.said());
    }
    // Another app, started at the same time in the usual way, sees nothing of it.
    let mut plain = App::start(&server, "idle", "shop");
    let (_, said) = plain.sh("grep -c azure /etc/hosts; echo \"$SSL_CERT_FILE\"");
    assert!(said.starts_with("0\n/") && !said.contains("/azure/"), "{said}");
    let (_, said) = app.sh("echo \"$SSL_CERT_FILE\"");
    assert!(said.contains("/azure/bundle.pem"), "{said}");
    // Shown the door, it does not take it for Azure by what it was given to trust; the program that it is for does, asking the same.
    let by_own_trust = format!(
        "{curl} -sS -w '%{{http_code}}' -o /dev/null --cacert \"$SSL_CERT_FILE\" --resolve {resolve} '{vault}'"
    );
    let (code, said) = plain.sh(&by_own_trust);
    assert_eq!(code, 60, "{said}");
    assert_eq!(app.sh(&by_own_trust), (0, "401".to_owned()));
    // It ends with the program.
    assert!(app.end().success());
    wait::until("the door to close", std::time::Duration::from_secs(20), || {
        std::net::TcpStream::connect((address.as_str(), 443)).is_err()
    });
}

/// A request whose `Host` is another than the one of the connection.
fn raw(https: &Https, target: &str, headers: &[(&str, &str)]) -> Answer {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET {target} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
    https.raw("shop.vault.keyless.localhost", request.as_bytes()).unwrap()
}

#[test]
fn vaults_made_meanwhile_are_found_and_a_restart_changes_nothing() {
    if !is_possible() {
        return;
    }
    let (mut server, _) = started("shadow-restart");
    let Some(curl) = setting("CURL") else { return skip("no curl on this machine") };
    let mut app = App::start_as_azure(&server, "web", "shop");
    let ask = |app: &mut App, vault: &str| {
        let url = format!("https://{vault}.vault.azure.net/secrets?api-version=7.5");
        app.sh(&format!("{curl} -sS -o /dev/null -w '%{{http_code}}' {url}"))
    };
    assert_eq!(ask(&mut app, "shop"), (0, "401".to_owned()));
    let known = |app: &mut App| app.sh("grep -c late.vault.azure.net /etc/hosts").1;
    assert_eq!(known(&mut app), "0");
    let _said = server.keyless(["vault", "create", "late"]).ok();
    assert_eq!(ask(&mut app, "late"), (0, "401".to_owned()));
    let before = address(&mut app);
    server.kill();
    assert_ne!(ask(&mut app, "shop").0, 0, "there is no server");
    server.start_again();
    assert_eq!(address(&mut app), before);
    assert_eq!(ask(&mut app, "late"), (0, "401".to_owned()));
    let _said = server.keyless(["vault", "delete", "late"]).ok();
    assert_eq!(app.sh("grep -c '^127.*late.vault.azure.net' /etc/hosts").1, "0", "struck out");
}

#[test]
fn where_port_443_cannot_be_had_nothing_starts_and_it_is_said_why() {
    if !settings::is_root() {
        return skip("an ordinary user's server: needs root");
    }
    let file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let first: u16 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    if first <= 443 {
        return skip("port 443 is every user's on this machine");
    }
    let server = Server::start_as("shadow-user", 65_534);
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let refused = server.run_as_azure("web", "shop", &["sh", "-c", "echo it runs"], &[]);
    assert!(refused.code != Some(0) && !refused.said().contains("it runs"), "{}", refused.said());
    assert!(refused.stderr.contains("port 443, which the server's user may not open"), "{}", refused.stderr);
    assert!(refused.stderr.contains("net.ipv4.ip_unprivileged_port_start=443"), "{}", refused.stderr);
}
