//! Requests that two readers of HTTP might understand in two ways: each is refused or read as the standard says, nothing that hides in one
//! is done, and nobody waits without an end.
//!
//! Each shape is sent on a connection of its own, all at the same time. One that must not be understood would set a secret of its own
//! name; many carry a second request with a good token, which would set another. Whether one did is seen in the vault's list at the end.

mod framing;
mod heads;
mod targets;

use e2e::{Answer, App, Https, Server};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// The server gives a head 20 s and a request 30 s (docs/limits.md); the rest is for a slow machine.
const LIMIT: Duration = Duration::from_secs(38);
const VAULT: &str = "shop";
const VALUE: &str = "s3cret-kept";

/// What is sent, and what it may come to.
struct Shape {
    name: String,
    bytes: Vec<u8>,
    /// Statuses of the first answer besides a refusal (400 to 499, or a closed connection).
    may: &'static [u16],
    /// May more than one request be answered?
    is_many: bool,
}

impl Shape {
    fn refused(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into(), may: &[], is_many: false }
    }

    /// The standard has a meaning for it.
    fn served(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { may: &[200], ..Self::refused(name, bytes) }
    }
}

/// What the shapes are made of.
struct Scene {
    server: Server,
    https: Https,
    token: String,
    host: String,
    authority: String,
}

impl Scene {
    fn new(name: &str) -> Self {
        let server = Server::start(name);
        server.vault_with(VAULT, "keep", VALUE);
        server.app_with("web", VAULT, "get,list,set,delete");
        let token = App::start(&server, "web", VAULT).token();
        let host = Server::vault_host(VAULT);
        let authority = format!("{host}:{}", server.port());
        let https = server.https();
        Self { server, https, token, host, authority }
    }

    /// A request that reads the secret, with these header lines between its own.
    fn get(&self, headers: &str) -> String {
        format!(
            "GET /secrets/keep?api-version=7.4 HTTP/1.1\r\nHost: {}\r\n{headers}Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.authority, self.token
        )
    }

    /// A request whose line is this, in which nothing else is strange.
    fn line(&self, line: &str) -> String {
        let (authority, token) = (&self.authority, &self.token);
        format!("{line}\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
    }

    /// A request that sets a secret; what frames its body is the caller's.
    fn put(&self, name: &str, framing: &str, body: &str) -> String {
        format!(
            "PUT /secrets/{name}?api-version=7.4 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n{framing}\r\n{body}",
            self.authority, self.token
        )
    }

    /// A whole request that nobody asked for: it must never be done.
    fn hidden(&self) -> String {
        self.put("hidden", "Content-Length: 13\r\nConnection: close\r\n", r#"{"value":"x"}"#)
    }

    fn names(&self) -> BTreeSet<String> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", &*bearer)];
        let answer = self.https.send("GET", &self.host, "/secrets?api-version=7.4", &headers, "").unwrap();
        let list = answer.json();
        assert!(list["nextLink"].is_null(), "one page: {list}");
        let ids = list["value"].as_array().unwrap().iter();
        ids.map(|item| item["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// Sends all at the same time; nothing but what is allowed here is in the vault afterwards.
    fn check(&self, shapes: Vec<Shape>, may_be_there: &[&str]) {
        let names: BTreeSet<&str> = shapes.iter().map(|shape| &*shape.name).collect();
        assert_eq!(names.len(), shapes.len(), "each has a name of its own");
        let faults: Vec<String> = std::thread::scope(|scope| {
            let running: Vec<_> =
                shapes.iter().map(|shape| (shape, scope.spawn(move || self.fault_of(shape)))).collect();
            let ended = running.into_iter().filter_map(|(shape, thread)| {
                thread.join().unwrap().map(|fault| format!("{}: {fault}", shape.name))
            });
            ended.collect()
        });
        assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), shapes.len(), faults.join("\n"));
        let strange: Vec<_> =
            self.names().into_iter().filter(|name| !may_be_there.contains(&&**name)).collect();
        assert!(strange.is_empty(), "done, and should not have been: {strange:?}");
        assert_eq!(self.https.get_secret(VAULT, "keep", &self.token).json()["value"], VALUE);
        assert!(!self.server.logs().contains("panicked"), "no handler panicked");
    }

    fn fault_of(&self, shape: &Shape) -> Option<String> {
        let began = Instant::now();
        let answers = match self.https.raw_all(&self.host, &shape.bytes) {
            Ok(answers) => answers,
            Err(error) => return Some(format!("no end after {:?}: {error}", began.elapsed())),
        };
        let took = began.elapsed();
        if took > LIMIT {
            return Some(format!("took {took:?}"));
        }
        let is_allowed =
            |answer: &Answer| (400..500).contains(&answer.status) || shape.may.contains(&answer.status);
        let is_told = |answer: &Answer| !shape.may.contains(&200) && answer.text().contains(VALUE);
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        let is_right = answers.iter().all(is_allowed) && (shape.is_many || answers.len() <= 1);
        (!is_right || answers.iter().any(is_told)).then(|| format!("{statuses:?} {:?}", answers.last()))
    }
}

#[test]
fn lengths_and_chunks_that_can_be_read_in_two_ways_hide_no_request() {
    let scene = Scene::new("shapes-framing");
    scene.check(framing::all(&scene), &["keep", "standard"]);
}

#[test]
fn heads_that_can_be_read_in_two_ways_are_refused() {
    let scene = Scene::new("shapes-heads");
    scene.check(heads::all(&scene), &["keep"]);
}

#[test]
fn targets_lead_where_they_say_or_nowhere() {
    let scene = Scene::new("shapes-targets");
    scene.check(targets::all(&scene), &["keep"]);
}

#[test]
fn requests_behind_each_other_are_answered_in_order_and_what_is_in_a_body_is_not_one() {
    let scene = Scene::new("shapes-pipelined");
    let ask = |name: &str| {
        format!(
            "GET /secrets/{name}?api-version=7.4 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            scene.authority, scene.token
        )
    };
    let names: Vec<String> = (0..20).map(|number| format!("absent-{number}")).collect();
    let mut requests: String = names.iter().map(|name| ask(name)).collect();
    requests += &scene.get("");
    let answers = scene.https.raw_all(&scene.host, requests.as_bytes()).unwrap();
    assert_eq!(answers.len(), names.len() + 1);
    for (name, answer) in names.iter().zip(&answers) {
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            answer.status == 404 && message.contains(&format!(" {name} "))
                || message.contains(&format!("{name} was")),
            "{name}: {message}"
        );
    }
    assert_eq!(answers.last().unwrap().json()["value"], VALUE);

    // A request as the value of a secret is a value.
    let value = scene.hidden();
    let body = serde_json::json!({ "value": value }).to_string();
    let put = scene.put("text", &format!("Content-Length: {}\r\nConnection: close\r\n", body.len()), &body);
    let answers = scene.https.raw_all(&scene.host, put.as_bytes()).unwrap();
    assert_eq!((answers.len(), answers[0].status), (1, 200), "{answers:?}");
    assert_eq!(scene.https.get_secret(VAULT, "text", &scene.token).json()["value"], value);
    assert_eq!(scene.names(), BTreeSet::from(["keep".to_owned(), "text".to_owned()]));
}
