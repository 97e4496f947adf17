//! A web API that somebody else wrote trusts the directory's tokens by its published documents and keys alone, and its callers are apps
//! without a secret. It cannot look into the directory: what it checks is in the token.

use e2e::{Answer, App, Server, note, setting, settings, skip};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

const CALLER: &str = "Python azure-identity 1.27.0";
const API: &str = "Python PyJWT 2.15.1";

/// The API as it runs, under `keyless run` for the names and certificates that come with it; and the time that it lives in.
struct Orders {
    child: Child,
    url: String,
    ahead: PathBuf,
}

impl Orders {
    fn start(server: &Server, python: &str, callers: &str) -> Self {
        let registration = ["app-registration", "create", "orders", "--identifier-uri", "api://orders"];
        let made = json(&server.keyless_json(registration));
        let ahead = server.place().join("ahead");
        std::fs::write(&ahead, "0").unwrap();
        let script = settings::example("python/orders_api.py").display().to_string();
        let mut command = server.command(["run", "--app", "orders-api", "--", python, &script, "0"]);
        let tenant = made["tenant"].as_str().unwrap();
        command
            .env("AUTHORITY", format!("https://login.keyless.localhost:{}/{tenant}", server.port()))
            .env("CALLERS", callers)
            .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/ahead"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("KEYLESS_E2E_AHEAD", &ahead);
        let errors = std::fs::File::create(server.place().join("orders.stderr")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let said = std::fs::read_to_string(server.place().join("orders.stderr")).unwrap_or_default();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}{said}");
        Self { child, url: url.trim().to_owned(), ahead }
    }

    fn moved(&self, seconds: i64) {
        std::fs::write(&self.ahead, seconds.to_string()).unwrap();
    }

    fn ask(&self, authorization: Option<&str>) -> Answer {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let authorization =
            authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
        let request =
            format!("GET /orders HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Answer::parse(&answer)
    }

    fn with(&self, token: &str) -> Answer {
        self.ask(Some(&format!("Bearer {token}")))
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        e2e::server::signal(&self.child, rustix::process::Signal::TERM);
        for _wait in 0..500 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The object id of an app's identity.
fn identity(server: &Server, app: &str) -> String {
    let _said = server.keyless(["app", "create", app]).ok();
    let assigned = json(&server.keyless_json(["app", "identity", "assign", app]));
    assigned["identity"]["principal"].as_str().unwrap().to_owned()
}

/// A token for the API, got as the app.
fn token(app: &mut App) -> String {
    let endpoint = app.endpoint();
    let request = endpoint.request("").replace("https%3A%2F%2Fvault.azure.net", "api%3A%2F%2Forders");
    let answer = app.raw(&endpoint.address(), &request);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn a_web_api_trusts_the_directory_by_its_documents_alone() {
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let server = Server::start_with("second-service", &["--test-clock"]);
    let web = identity(&server, "web");
    let _stranger = identity(&server, "stranger");
    let orders = Orders::start(&server, &python, &web);
    let call = |app: &str| {
        let script = settings::example("python/call_api.py").display().to_string();
        server.run_as(app, "shop", &[&python, &script, "api://orders", &orders.url], "")
    };
    let answer = json(&call("web").ok());
    assert_eq!(
        (answer["caller"].as_str(), answer["orders"].as_array().map(Vec::len)),
        (Some(&*web), Some(2))
    );
    let refused = call("stranger");
    assert!(refused.code != Some(0) && refused.stderr.contains("403"), "{}", refused.said());
    note(
        CALLER,
        "call another web API by its identifier URI, `DefaultAzureCredential` with nothing passed",
        "works",
    );

    let (mut app, mut other) = (App::start(&server, "web", "shop"), App::start(&server, "stranger", "shop"));
    let (good, others) = (token(&mut app), token(&mut other));
    assert_eq!((orders.with(&good).status, orders.with(&others).status), (200, 403));

    // Another directory, whose tokens are as good as ours, for an API of the same name.
    let abroad = Server::start("second-service-abroad");
    let registration = ["app-registration", "create", "orders", "--identifier-uri", "api://orders"];
    let _made = abroad.keyless(registration).ok();
    identity(&abroad, "web");
    let foreign = token(&mut App::start(&abroad, "web", "shop"));
    // Somebody with a key of their own who says all that a good token says, the key's id too.
    let [header, claims, signature] = parts(&good);
    let said = format!("{header}.{claims}");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let _said = server.keyless(["key", "create", "shop", "own"]).ok();
    let own = server.keyless_with(["key", "sign", "shop", "own", "--algorithm", "RS256"], &said).ok();
    let unsigned = crate::assertion::base64url(br#"{"alg":"none","typ":"JWT"}"#);
    for (what, token) in [
        ("for the vault", app.token()),
        ("of another directory", foreign),
        ("signed by another key", format!("{said}.{}", own.trim())),
        ("of another's claims", format!("{header}.{}.{signature}", parts(&others)[1])),
        ("without a signature", format!("{unsigned}.{claims}.")),
        ("cut off", format!("{header}.{claims}.")),
        ("that is none", "x".to_owned()),
    ] {
        let answer = orders.with(&token);
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
    }
    assert_eq!((orders.ask(None).status, orders.ask(Some("Basic eDp4")).status), (401, 401));
    note(
        API,
        "a web API trusts the directory by its published documents: issuer, audience, times, signature",
        "works",
    );

    // Keys roll, and the API finds the new one by itself.
    let _said = server.keyless(["signing-key", "roll"]).ok();
    let _said = server.keyless(["clock", "advance", "40m"]).ok();
    orders.moved(2_400);
    let fresh = token(&mut app);
    assert_ne!(parts(&fresh)[0], header, "another key has signed");
    for token in [&fresh, &good] {
        let answer = orders.with(token);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(json(&call("web").ok())["caller"].as_str(), Some(&*web));
    note(API, "a web API goes on when the directory's signing key rolls", "works");

    // The times in a token are kept by who takes it.
    for (ahead, status, says) in [(5_400, 200, ""), (6_100, 401, "expired"), (1_800, 401, "not yet valid")] {
        orders.moved(ahead);
        let answer = orders.with(&fresh);
        assert_eq!(answer.status, status, "{ahead}: {answer:?}");
        assert!(answer.text().contains(says), "{ahead}: {answer:?}");
    }
}
