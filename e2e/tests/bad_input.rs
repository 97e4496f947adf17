//! Bad input on each route and each command: a clear error in the protocol's own form, no 5xx, no hang.

use e2e::{Answer, App, Server};

/// How a protocol spells an error.
#[derive(Clone, Copy)]
enum Form {
    /// `{"error":{"code":..,"message":..}}`
    Vault,
    /// `{"error":"..","error_description":"AADSTS..","error_codes":[..]}`
    OAuth2,
    /// Refused before a protocol was reached (no such host, a head that is too large): any 4xx, or a closed connection.
    Any,
}

#[track_caller]
fn is_clear(what: &str, answer: &std::io::Result<Answer>, form: Form) {
    let answer = match (answer, form) {
        (Ok(answer), _) => answer,
        (Err(_closed), Form::Any) => return,
        (Err(error), _) => panic!("{what}: {error}"),
    };
    if matches!(form, Form::Any) && answer.status == 0 {
        return;
    }
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    let body = answer.json();
    match form {
        Form::Vault => {
            assert!(
                body["error"]["code"].is_string() && body["error"]["message"].is_string(),
                "{what}: {answer:?}"
            );
        }
        Form::OAuth2 => {
            assert!(body["error"].is_string() && body["error_description"].is_string(), "{what}: {answer:?}");
            assert!(body["error_codes"].is_array(), "{what}: {answer:?}");
        }
        Form::Any => {}
    }
}

struct Scene {
    server: Server,
    token: String,
    tenant: String,
}

fn scene(name: &str) -> Scene {
    let server = Server::start(name);
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get,list,set");
    let token = App::start(&server, "web", "shop").token();
    let challenged =
        server.https().send("GET", &Server::vault_host("shop"), "/secrets?api-version=7.4", &[], "").unwrap();
    let challenge = challenged.header("WWW-Authenticate").unwrap().to_owned();
    let authority = challenge.split('"').nth(1).unwrap();
    let tenant = authority.rsplit('/').next().unwrap().to_owned();
    Scene { server, token, tenant }
}

#[test]
fn the_vault_answers_in_its_form() {
    let Scene { server, token, .. } = scene("bad-vault");
    let (https, host) = (server.https(), Server::vault_host("shop"));
    let bearer = format!("Bearer {token}");
    let json = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let send = |method: &str, target: &str, body: &str| https.send(method, &host, target, &json, body);
    let long = "a".repeat(25_601);
    let deep = "[".repeat(100_000);
    let bodies: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("not JSON", "value=x".into()),
        ("cut short", r#"{"value":"x"#.into()),
        ("an array", "[]".into()),
        ("a number", r#"{"value":7}"#.into()),
        ("null", r#"{"value":null}"#.into()),
        ("no value", r#"{"tags":{}}"#.into()),
        ("a value of 25,601 bytes", format!(r#"{{"value":"{long}"}}"#)),
        ("tags of the wrong type", r#"{"value":"x","tags":["a"]}"#.into()),
        (
            "16 tags",
            format!(
                r#"{{"value":"x","tags":{{{}}}}}"#,
                (0..16).map(|n| format!(r#""t{n}":"v""#)).collect::<Vec<_>>().join(",")
            ),
        ),
        ("attributes of the wrong type", r#"{"value":"x","attributes":7}"#.into()),
        ("a date that is none", r#"{"value":"x","attributes":{"exp":"tomorrow"}}"#.into()),
        (
            "a content type of 256 characters",
            format!(r#"{{"value":"x","contentType":"{}"}}"#, "c".repeat(256)),
        ),
        ("100,000 brackets", deep),
        ("a lone surrogate", r#"{"value":"\ud800"}"#.into()),
    ];
    for (what, body) in &bodies {
        is_clear(what, &send("PUT", "/secrets/new?api-version=7.4", body), Form::Vault);
    }
    let version = "0".repeat(32);
    for target in [
        "/secrets/db".to_owned(),
        "/secrets/db?api-version=".into(),
        "/secrets/db?api-version=latest".into(),
        "/secrets/db?api-version=7".into(),
        "/secrets/db?api-version=7.4%00".into(),
        "/secrets/db?api-version=7.4&api-version=7.5".into(),
        "/secrets/no-such?api-version=7.4".into(),
        format!("/secrets/db/{version}?api-version=7.4"),
        "/secrets/db/not-a-version?api-version=7.4".into(),
        "/secrets/under_score?api-version=7.4".into(),
        "/secrets/%00?api-version=7.4".into(),
        "/secrets/%ff%fe?api-version=7.4".into(),
        "/secrets/%zz?api-version=7.4".into(),
        "/secrets/..%2f..%2fetc?api-version=7.4".into(),
        format!("/secrets/{}?api-version=7.4", "n".repeat(128)),
        "/secrets?api-version=7.4&maxresults=0".into(),
        "/secrets?api-version=7.4&maxresults=26".into(),
        "/secrets?api-version=7.4&maxresults=many".into(),
        "/secrets?api-version=7.4&$skiptoken=*".into(),
        "/secrets/no-such/versions?api-version=7.4&$skiptoken=a%20b".into(),
        "/".into(),
        "/nothing?api-version=7.4".into(),
        "/secrets/db/versions/more/still?api-version=7.4".into(),
    ] {
        let answer = send("GET", &target, "");
        // An empty list is a clear answer to a list of what is not there.
        if !matches!(&answer, Ok(answer) if answer.status == 200 && target.contains("/versions?")) {
            is_clear(&format!("GET {target}"), &answer, Form::Vault);
        }
    }
    for method in ["POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        is_clear(method, &send(method, "/secrets?api-version=7.4", ""), Form::Vault);
    }
    is_clear("PATCH of nothing", &send("PATCH", "/secrets/no-such?api-version=7.4", "{}"), Form::Vault);
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        "Bearer a.b.c",
        "Bearer \u{e9}",
        &format!("Bearer {}", "x".repeat(20_000)),
        &format!("Bearer {token}x"),
    ] {
        let answer =
            https.send("GET", &host, "/secrets/db?api-version=7.4", &[("Authorization", authorization)], "");
        is_clear(&format!("authorization of {} bytes", authorization.len()), &answer, Form::Vault);
        assert!(
            answer
                .as_ref()
                .is_ok_and(|answer| answer.status == 401 && answer.header("WWW-Authenticate").is_some()),
            "{answer:?}"
        );
    }
    let two = https.send(
        "GET",
        &host,
        "/secrets/db?api-version=7.4",
        &[("Authorization", &bearer), ("Authorization", "Bearer x")],
        "",
    );
    is_clear("two authorizations", &two, Form::Vault);
    is_clear(
        "no such vault",
        &https.send("GET", &Server::vault_host("nothing"), "/secrets/db?api-version=7.4", &json, ""),
        Form::Vault,
    );
    assert_eq!(https.get_secret("shop", "db", &token).status, 200, "and it still serves");
}

#[test]
fn the_directory_answers_in_its_form() {
    let Scene { server, tenant, .. } = scene("bad-directory");
    let (https, host) = (server.https(), "login.keyless.localhost");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let id = "11111111-1111-1111-1111-111111111111";
    let good = format!(
        "grant_type=client_credentials&client_id={id}&client_secret=x&scope=https%3A%2F%2Fvault.azure.net%2F.default"
    );
    let bodies = [
        ("empty", String::new()),
        ("no grant", good.replace("grant_type=client_credentials&", "")),
        ("an unknown grant", good.replace("client_credentials", "telepathy")),
        ("a grant twice", format!("{good}&grant_type=client_credentials")),
        ("no client", good.replace(&format!("&client_id={id}"), "")),
        ("a client that is none", good.clone()),
        ("a client id that is no id", good.replace(id, "'; drop table clients")),
        ("no secret", good.replace("&client_secret=x", "")),
        ("no scope", good.replace("&scope=https%3A%2F%2Fvault.azure.net%2F.default", "")),
        ("a strange scope", good.replace("%2F.default", "")),
        ("broken percent-encoding", good.replace("%3A", "%zz")),
        ("not UTF-8", good.replace("%3A", "%ff")),
        ("JSON", r#"{"grant_type":"client_credentials"}"#.into()),
        ("300 KiB", format!("{good}&more={}", "x".repeat(300 * 1024))),
    ];
    for version in ["oauth2/v2.0/token", "oauth2/token"] {
        for (what, body) in &bodies {
            is_clear(
                &format!("{version}: {what}"),
                &https.send("POST", host, &format!("/{tenant}/{version}"), &form, body),
                Form::OAuth2,
            );
        }
        let json = [("Content-Type", "application/json")];
        is_clear(
            "the wrong type",
            &https.send("POST", host, &format!("/{tenant}/{version}"), &json, &good),
            Form::OAuth2,
        );
        is_clear("GET", &https.send("GET", host, &format!("/{tenant}/{version}"), &[], ""), Form::Any);
        for other in [id, "common", "..", "%00", "no-tenant"] {
            is_clear(
                other,
                &https.send("POST", host, &format!("/{other}/{version}"), &form, &good),
                Form::Any,
            );
        }
    }
    // `/` is somebody's own account.
    for target in [
        "/nothing",
        &format!("/{tenant}"),
        &format!("/{tenant}/nothing"),
        &format!("/{id}/v2.0/.well-known/openid-configuration"),
    ] {
        is_clear(target, &https.send("GET", host, target, &[], ""), Form::Any);
    }
}

#[test]
fn the_administrators_routes_answer_in_their_form() {
    let Scene { server, .. } = scene("bad-admin");
    let socket = server.data().join("admin.sock");
    let names = ["no-such", "%00", "%ff%fe", "..%2f..", "a%20b", &"n".repeat(300)];
    let routes = [
        "/v1/apps",
        "/v1/apps/{}",
        "/v1/apps/{}/identity",
        "/v1/audit/verify",
        "/v1/clock",
        "/v1/deleted-vaults",
        "/v1/deleted-vaults/{}",
        "/v1/deleted-vaults/{}/recover",
        "/v1/groups",
        "/v1/groups/{}",
        "/v1/groups/{}/members",
        "/v1/nothing",
        "/v1/principals",
        "/v1/principals/{}",
        "/v1/recover",
        "/v1/registrations",
        "/v1/registrations/{}",
        "/v1/registrations/{}/credentials",
        "/v1/registrations/{}/credentials/{}",
        "/v1/roles",
        "/v1/status",
        "/v1/token",
        "/v1/users",
        "/v1/users/{}",
        "/v1/users/{}/authenticator",
        "/v1/users/{}/authenticator/confirm",
        "/v1/users/{}/password",
        "/v1/vaults",
        "/v1/vaults/{}",
        "/v1/vaults/{}/explain",
        "/v1/vaults/{}/policies",
        "/v1/vaults/{}/policies/{}",
        "/v1/vaults/{}/roles",
        "/v1/vaults/{}/roles/{}",
        "/v1/workloads",
        "/v1/workloads/{}",
    ];
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(300 * 1024));
    let bodies = [
        "",
        "x",
        "[]",
        "{}",
        "null",
        r#"{"name":7}"#,
        r#"{"name":"../etc"}"#,
        r#"{"name":null,"app":[]}"#,
        "\u{0}",
        &large,
    ];
    for route in routes {
        let name_count = if route.contains("{}") { names.len() } else { 1 };
        for (name, method, body) in names[..name_count].iter().flat_map(|name| {
            let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "BREW"];
            methods
                .into_iter()
                .flat_map(move |method| bodies.into_iter().map(move |body| (name, method, body)))
        }) {
            let target = route.replace("{}", name);
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: keyless\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let answer = e2e::http::unix(&socket, request.as_bytes());
            let what = format!("{method} {target} {}", body.get(..body.len().min(30)).unwrap_or_default());
            // Some of these are well-formed (a list, a status): only what is refused must be refused clearly.
            if !matches!(&answer, Ok(answer) if (200..300).contains(&answer.status)) {
                is_clear(&what, &answer, Form::Vault);
            }
        }
    }
    let _still_served = server.keyless(["status"]).ok();
}

#[test]
fn strange_hosts_and_heads_are_refused() {
    let Scene { server, .. } = scene("bad-heads");
    let (https, host) = (server.https(), Server::vault_host("shop"));
    let port = server.port();
    for (what, request) in [
        (
            "a foreign host",
            "GET / HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".into()),
        (
            "two hosts",
            format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        ),
        ("a host that is none", "GET / HTTP/1.1\r\nHost: :::/\\\r\nConnection: close\r\n\r\n".into()),
        ("no HTTP", "hello\r\n\r\n".into()),
        ("binary", "\0\u{1}\u{2}\r\n\r\n".into()),
        (
            "a head of a megabyte",
            format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
        ),
        (
            "1,000 headers",
            format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n{}\r\n", "X: y\r\n".repeat(1_000)),
        ),
        (
            "a length that is none",
            format!(
                "PUT /secrets/a?api-version=7.4 HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: many\r\n\r\n"
            ),
        ),
        (
            "two lengths",
            format!(
                "PUT /secrets/a?api-version=7.4 HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
            ),
        ),
        (
            "a length and chunks",
            format!(
                "PUT /secrets/a?api-version=7.4 HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "a chunk that is none",
            format!(
                "PUT /secrets/a?api-version=7.4 HTTP/1.1\r\nHost: {host}:{port}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n\r\n"
            ),
        ),
        (
            "a path of 100 KiB",
            format!(
                "GET /{} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n",
                "a".repeat(100 * 1024)
            ),
        ),
    ] {
        is_clear(what, &https.raw(&host, request.as_bytes()), Form::Any);
    }
    // A client that stops in the middle of its head does not hold the server.
    let _waiting = https.connect(&host).unwrap();
    assert_eq!(https.send("GET", &host, "/secrets?api-version=7.4", &[], "").unwrap().status, 401);
}

#[test]
fn commands_say_what_is_wrong() {
    let Scene { server, .. } = scene("bad-commands");
    let long = "n".repeat(200);
    let cases: Vec<Vec<&str>> = vec![
        vec![],
        vec!["fly"],
        vec!["up", "--port", "none"],
        vec!["vault"],
        vec!["vault", "create"],
        vec!["vault", "create", "Sp ace"],
        vec!["vault", "create", "-x"],
        vec!["vault", "create", &long],
        vec!["vault", "create", "shop"],
        vec!["vault", "show", "no-such"],
        vec!["vault", "policy", "set", "no-such", "--app", "web", "--secrets", "get"],
        vec!["vault", "policy", "set", "shop", "--app", "no-such", "--secrets", "get"],
        vec!["vault", "policy", "set", "shop", "--app", "web", "--secrets", "steal"],
        vec!["app", "create", "web"],
        vec!["app", "create", "../etc"],
        vec!["app", "create", ""],
        vec!["app", "show", "no-such"],
        vec!["app", "delete", "no-such"],
        vec!["app", "identity", "assign", "no-such"],
        vec!["app", "identity", "remove", "no-such"],
        vec!["secret", "get", "shop", "no-such"],
        vec!["secret", "get", "no-such", "db"],
        vec!["secret", "set", "shop", "under_score"],
        vec!["secret", "list", "no-such"],
        vec!["secret", "set", "shop", "db", "s3cret"],
        vec!["secret", "set", "shop", "db", "--expires", "tomorrow"],
        vec!["secret", "set", "shop", "db", "--file", "no-such"],
        vec!["secret", "show", "shop", "no-such"],
        vec!["secret", "show", "shop", "db", "--version", "00000000000000000000000000000000"],
        vec!["secret", "versions", "shop", "db/.."],
        vec!["secret", "versions", "shop", "no-such"],
        vec!["key", "versions", "shop", "no-such"],
        vec!["certificate", "versions", "shop", "no-such"],
        vec!["secret", "set", "shop", "db", "--tag", "=x"],
        vec!["user", "update", "alice"],
        vec!["app", "configure", "web"],
        vec!["app", "restart", "web"],
        vec!["app", "settings", "set", "web", "X=1", "X=2"],
        vec!["app-registration", "update", "no-such"],
        vec!["app-registration", "update", "no-such", "--token-version", "3"],
        vec!["role", "list", "--scope", "group:no-such"],
        vec!["role", "list", "--scope", "plan:keyless/no-such"],
        vec!["clock", "set", "soon"],
        vec!["secret", "update", "shop", "db"],
        vec!["secret", "update", "shop", "no-such", "--disabled"],
        vec!["secret", "update", "shop", "db", "--tag", "no-value"],
        vec!["secret", "delete", "shop", "no-such"],
        vec!["secret", "deleted", "no-such"],
        vec!["secret", "recover", "shop", "no-such"],
        vec!["secret", "purge", "shop", "no-such"],
        vec!["secret", "backup", "shop", "no-such", "backup"],
        vec!["secret", "backup", "shop", "db", "/"],
        vec!["secret", "backup", "shop", "db", "/no-such/place"],
        vec!["secret", "backup", "shop", "db", "/dev/null", "--force"],
        vec!["secret", "restore", "shop", "no-such"],
        vec!["secret", "restore", "shop", "-"],
        vec!["secret", "restore", "shop", "/"],
        vec!["secret", "import", "shop", "-"],
        vec!["secret", "import", "shop", "no-such"],
        vec!["secret", "import", "shop", "/"],
        vec!["secret", "import", "no-such", "-"],
        vec!["secret", "export", "shop", "/"],
        vec!["secret", "export", "no-such", "dump.json"],
        vec!["certificate", "create", "shop", "a_b"],
        vec!["certificate", "create", "shop", "c", "--subject", "no subject"],
        vec!["certificate", "create", "shop", "c", "--san-dns", ""],
        vec!["certificate", "create", "shop", "c", "--months", "0"],
        vec!["certificate", "create", "shop", "c", "--issuer", "no-such"],
        vec!["certificate", "create", "shop", "c", "--policy", "-"],
        vec!["certificate", "pending", "shop", "no-such"],
        vec!["certificate", "merge", "shop", "no-such", "-"],
        vec!["certificate", "import", "shop", "c", "-"],
        vec!["certificate", "show", "shop", "no-such"],
        vec!["certificate", "update", "shop", "c"],
        vec!["certificate", "policy", "show", "shop", "no-such"],
        vec!["certificate", "policy", "set", "shop", "no-such", "-"],
        vec!["certificate", "download", "shop", "no-such", "-"],
        vec!["certificate", "download", "shop", "no-such", "f", "--format", "der", "--with-key"],
        vec!["certificate", "issuer", "show", "shop", "no-such"],
        vec!["certificate", "issuer", "delete", "shop", "no-such"],
        vec!["certificate", "contacts", "set", "shop", ""],
        vec!["key", "create", "shop", "a_b"],
        vec!["key", "create", "shop", "k", "--type", "dsa"],
        vec!["key", "create", "shop", "k", "--size", "1000"],
        vec!["key", "create", "shop", "k", "--curve", "P-256"],
        vec!["key", "create", "shop", "k", "--type", "ec", "--curve", "P-1"],
        vec!["key", "create", "shop", "k", "--ops", "fly"],
        vec!["key", "import", "shop", "k", "-"],
        vec!["key", "import", "shop", "k", "/"],
        vec!["key", "show", "shop", "no-such"],
        vec!["key", "update", "shop", "k"],
        vec!["key", "rotate", "shop", "no-such"],
        vec!["key", "rotation-policy", "set", "shop", "no-such", "--rotate-after", "90d"],
        vec!["key", "rotation-policy", "set", "shop", "no-such", "--policy", "-"],
        vec!["key", "sign", "shop", "no-such", "--algorithm", "ES256"],
        vec!["key", "sign", "shop", "no-such", "--algorithm", "none"],
        vec!["key", "sign", "shop", "no-such", "--algorithm", "ES256", "--digest"],
        vec!["key", "verify", "shop", "no-such", "--algorithm", "ES256", "--signature", "no-such"],
        vec!["key", "decrypt", "shop", "no-such", "--algorithm", "RSA-OAEP", "--file", "/"],
        vec!["run", "--app", "web"],
        vec!["run", "--", "true"],
        vec!["run", "--app", "a/b", "--", "true"],
        vec!["audit", "tail", "--lines", "many"],
        vec!["recover"],
    ];
    for case in cases {
        let mut command = server.command([]);
        let ended: e2e::Ended = e2e::wait::output(command.args(&case), b"").into();
        assert!(ended.code.is_some_and(|code| code != 0 && code != 101), "{case:?}: {ended:?}");
        assert!(!ended.stderr.trim().is_empty(), "{case:?} says nothing");
        assert!(
            !ended.stderr.contains("panicked") && !ended.stderr.contains("RUST_BACKTRACE"),
            "{case:?}: {}",
            ended.stderr
        );
    }
}
