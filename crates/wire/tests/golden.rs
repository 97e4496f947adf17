//! Golden files: what a client sends and what it gets back, in one text file. `UPDATE_GOLDEN=1` writes what it gets now; the diff is
//! the review.
//!
//! A file holds exchanges between lines of `===`. An exchange is comments (`#`), changes of the world (`>`, see `World::change`), a
//! request, and from `HTTP/1.1` on the answer with the audit records that it left. What the world names (`{tenant}`) is written by
//! its name in both directions, and a token as the header and claims that it holds.

use crate::support::World;
use axum::body::Body;
use http::{Request, Response};
use std::{fmt::Write as _, fs, path::Path};
use tower::ServiceExt as _;

/// Runs every file of a protocol of the public listener, each in a world of its own.
pub(crate) async fn check(protocol: &str, make: impl AsyncFn() -> World) {
    let ask = async |world: &World, request| world.public.clone().oneshot(request).await.unwrap();
    check_by(protocol, make, ask).await;
}

/// The same for requests that come another way.
pub(crate) async fn check_by(
    protocol: &str,
    make: impl AsyncFn() -> World,
    ask: impl AsyncFn(&World, Request<Body>) -> Response<Body>,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(protocol);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no golden files of {protocol}");
    let mut stale = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "http")) {
        let expected = fs::read_to_string(file).unwrap();
        let actual = replay(&expected, &mut make().await, &ask).await;
        if actual == expected {
            continue;
        }
        if is_update() {
            fs::write(file, actual).unwrap();
        } else {
            let difference = first_difference(&expected, &actual);
            stale.push(format!("{}: {difference}", file.display()));
        }
    }
    assert!(stale.is_empty(), "golden files differ (UPDATE_GOLDEN=1 rewrites them):\n{}", stale.join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "how one asks for golden files to be rewritten")]
pub(crate) fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

fn first_difference(expected: &str, actual: &str) -> String {
    let mut lines = expected.lines().zip(actual.lines()).enumerate();
    match lines.find(|(_, (expected, actual))| expected != actual) {
        Some((number, (expected, actual))) => {
            format!("line {}\n  expected: {expected}\n  actual:   {actual}", number + 1)
        }
        None => format!("{} lines expected, {} there", expected.lines().count(), actual.lines().count()),
    }
}

async fn replay(
    text: &str,
    world: &mut World,
    ask: &impl AsyncFn(&World, Request<Body>) -> Response<Body>,
) -> String {
    let mut exchanges = Vec::new();
    for exchange in text.split("\n===\n") {
        let asked = match exchange.find("\nHTTP/1.1 ") {
            Some(start) => &exchange[..start],
            None => exchange,
        };
        let asked = asked.trim_end();
        let mut request = String::new();
        for line in asked.lines() {
            match line.strip_prefix("> ") {
                Some(change) if request.is_empty() => world.change(change).await,
                _ if request.is_empty() && (line.is_empty() || line.starts_with('#')) => {}
                _ => request = request + line + "\n",
            }
        }
        let already = world.audit.records().len();
        let response = ask(world, parse(&request, world)).await;
        let mut answer = shown(response, text, world).await;
        for record in world.audit.records().iter().skip(already) {
            let actor = serde_json::to_string(&record.actor).unwrap();
            let outcome = format!("{:?}", record.outcome).to_lowercase();
            writeln!(
                answer,
                "audit: {outcome} {} of {} by {actor}: {}",
                record.action, record.target, record.reason
            )
            .unwrap();
        }
        exchanges.push(format!("{asked}\n\n{}", world.unname(&answer)));
    }
    exchanges.join("===\n")
}

/// A body line `@repeat N TEXT` stands for a long body.
fn parse(text: &str, world: &World) -> Request<Body> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let head = world.name(head);
    let mut lines = head.lines();
    let (method, path) = lines.next().unwrap_or_default().split_once(' ').expect("METHOD PATH");
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let body = match body.trim_end().strip_prefix("@repeat ").and_then(|rest| rest.split_once(' ')) {
        Some((times, text)) => text.repeat(times.parse().unwrap()),
        None => world.name(body.trim_end()),
    };
    request.body(Body::from(body)).unwrap()
}

async fn shown(response: Response<Body>, file: &str, world: &mut World) -> String {
    let (head, body) = response.into_parts();
    let mut text = format!("HTTP/1.1 {}\n", head.status);
    let mut headers: Vec<_> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    headers.sort_unstable();
    // Says nothing that the body does not, and changes with everything.
    headers.retain(|(name, _)| *name != "content-length");
    for (name, value) in headers {
        writeln!(text, "{name}: {value}").unwrap();
        if matches!(name, "x-ms-request-id" | "x-correlation-id") {
            world.names.push(("request".to_owned(), value.to_owned()));
        }
        if let Some(key) = value.strip_prefix("Basic realm=/var/opt/azcmagent/tokens/") {
            world.names.push(("challenge".to_owned(), key.trim_end_matches(".key").to_owned()));
        }
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = std::str::from_utf8(&body).unwrap();
    versions(body, world);
    backup(body, world);
    created(body, world);
    made(body, file, world);
    format!("{text}\n{}\n", pretty(&tokens(body, world)))
}

/// Gives each version that a body tells a name, in the order in which they were seen; and the page after it one.
fn versions(body: &str, world: &mut World) {
    let collections = ["/secrets/", "/keys/", "/certificates/"];
    let ids = collections.into_iter().flat_map(|collection| body.split(collection).skip(1));
    for id in ids.filter_map(|rest| rest.split('"').next()) {
        let Some((_, version)) = id.split_once('/').filter(|(_, version)| version.len() == 32) else {
            continue;
        };
        let seen = world.names.iter().filter(|(name, _)| name.starts_with("version ")).count();
        if !world.names.iter().any(|(_, value)| value == version) {
            world.call(&format!("version {}", seen + 1), &version);
            world.call(&format!("after {}", seen + 1), &crypt::encoding::base64url(version.as_bytes()));
        }
    }
}

/// Gives what was just made in the directory a name: `{applications 1}` and `{applications 1 app}`, `{password 1}` and its `{key 1}`.
fn created(body: &str, world: &mut World) {
    let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { return };
    let Some(kind) = body["@odata.context"].as_str().and_then(|context| context.split('#').nth(1)) else {
        return;
    };
    let kind = kind.trim_end_matches("/$entity");
    let mut call = |name: &str, value: &serde_json::Value| {
        let Some(value) = value.as_str().filter(|value| value.len() > 20) else { return };
        if !world.names.iter().any(|(_, known)| known == value) {
            let is_one = |known: &&(String, String)| {
                known.0.strip_prefix(name).is_some_and(|rest| rest.trim_start().parse::<u32>().is_ok())
            };
            let seen = world.names.iter().filter(is_one).count();
            world.names.push((format!("{name} {}", seen + 1), value.to_owned()));
        }
    };
    call(kind, &body["id"]);
    call(&format!("{kind} app"), &body["appId"]);
    call("password", &body["secretText"]);
    call("key", &body["keyId"]);
}

/// Gives a backup that a body is a name, in the order in which they were made.
fn backup(body: &str, world: &mut World) {
    let start = crypt::encoding::base64url(b"keyless-backup\x01");
    let Some(blob) = body.strip_prefix("{\"value\":\"").and_then(|rest| rest.strip_suffix("\"}")) else {
        return;
    };
    if blob.starts_with(&start) {
        let seen = world.names.iter().filter(|(name, _)| name.starts_with("backup ")).count();
        world.call(&format!("backup {}", seen + 1), &blob);
    }
}

/// Gives what a key is made of, and what was made with one, a name: in each run they are other ones. What stands in the file is known.
fn made(body: &str, file: &str, world: &mut World) {
    let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { return };
    let parts = ["n", "x", "y"].map(|member| (member, &body["key"][member]));
    let of_key = [("value", if body["kid"].is_string() { &body["value"] } else { &body["none"] })];
    let of_certificate = ["csr", "cer", "x5t"].map(|member| (member, &body[member]));
    for (member, value) in parts.into_iter().chain(of_key).chain(of_certificate) {
        let is_long = |value: &&str| value.len() > 40 || member == "x5t";
        let Some(value) = value.as_str().filter(|value| is_long(value) && !file.contains(value)) else {
            continue;
        };
        if !world.names.iter().any(|(_, known)| known == value) {
            let prefix = format!("{member} ");
            let seen = world.names.iter().filter(|(name, _)| name.starts_with(&prefix)).count();
            world.call(&format!("{prefix}{}", seen + 1), &value);
        }
    }
}

/// Writes each token of a body as what it holds.
fn tokens(body: &str, world: &mut World) -> String {
    let Some(start) = body.find("\"eyJ") else { return body.to_owned() };
    let token = body[start + 1..].split('"').next().unwrap();
    let parts: Vec<_> =
        token.split('.').take(2).map(|part| crypt::encoding::from_base64url(part).unwrap()).collect();
    let [header, claims] = &*parts else { panic!("a token has three parts") };
    let id = serde_json::from_slice::<serde_json::Value>(claims).unwrap()["uti"].as_str().unwrap().to_owned();
    world.names.push(("token".to_owned(), id));
    let written = [&**header, claims].map(|part| std::str::from_utf8(part).unwrap()).join(" . ");
    body.replace(&format!("\"{token}\""), &written)
}

/// JSON with a line for each member; everything else as it is.
fn pretty(text: &str) -> String {
    if !text.starts_with(['{', '[']) {
        return text.to_owned();
    }
    let (mut out, mut depth, mut is_string, mut is_escape) = (String::new(), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| *out += &format!("\n{}", "  ".repeat(depth));
    for c in text.chars() {
        let is_quote = c == '"' && !is_escape;
        is_escape = c == '\\' && !is_escape;
        if is_quote {
            is_string = !is_string;
        }
        if !is_string && matches!(c, '}' | ']') {
            depth = depth.saturating_sub(1);
            line(&mut out, depth);
        }
        out.push(c);
        if is_string || is_quote {
            continue;
        }
        match c {
            '{' | '[' => {
                depth += 1;
                line(&mut out, depth);
            }
            ',' => line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}
