//! The Key Vault data plane against what no file can spell: any bytes, broken bodies, callers at the same time.

use crate::{golden_keyvault, support::World};
use audit::Outcome;
use axum::body::{Body, Bytes};
use domain::limits;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cell::RefCell;
use tower::ServiceExt as _;

const HOST: &str = "shop.vault.keyless.localhost:8443";
const CANARY: &str = "canary-27182818";

/// A request to the vault by the app that may get, list and set.
fn request(world: &World, method: &str, target: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, HOST)
        .header(header::AUTHORIZATION, world.name("Bearer {token}"))
        .body(body.into())
        .unwrap()
}

async fn send(world: &World, request: Request<Body>) -> (StatusCode, Value) {
    let response = world.public.clone().oneshot(request).await.unwrap();
    read(response).await
}

async fn read(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    // What is purged is told of by nothing.
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    (status, body)
}

async fn put(world: &World, name: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    send(world, request(world, "PUT", &format!("/secrets/{name}?api-version=7.4"), body)).await
}

async fn get(world: &World, name: &str) -> (StatusCode, Value) {
    send(world, request(world, "GET", &format!("/secrets/{name}/?api-version=7.4"), Body::empty())).await
}

#[tokio::test]
async fn the_largest_value_comes_back_however_it_is_escaped() {
    let world = golden_keyvault::world().await;
    let most = limits::SECRET_VALUE_BYTES_MAX;
    for value in ["x".repeat(most), "\u{1}".repeat(most), "é".repeat(most / 2), "\"\\\n\r".repeat(most / 4)]
    {
        let (status, set) = put(&world, "db", json!({ "value": value }).to_string()).await;
        assert_eq!((status, set["value"].as_str()), (StatusCode::OK, Some(&*value)));
        assert_eq!(get(&world, "db").await.1["value"].as_str(), Some(&*value));
        let (status, refused) = put(&world, "db", json!({ "value": value + "x" }).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let said = "Over the limit: the length of the value in bytes may be at most 25600.";
        assert_eq!(refused["error"]["message"], said);
    }
}

#[tokio::test]
async fn what_does_not_fit_a_record_is_the_callers_to_know() {
    let world = golden_keyvault::world().await;
    let tags: serde_json::Map<_, _> = (0..limits::TAGS_MAX)
        .map(|number| (format!("{number:03}{}", "é".repeat(500)), json!("🗝".repeat(limits::TAG_CHARS_MAX))))
        .collect();
    let body = json!({ "value": "x".repeat(limits::SECRET_VALUE_BYTES_MAX), "tags": tags });
    let (status, refused) = put(&world, "db", body.to_string()).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("BadParameter")));
}

/// A target may name a host as well, for those who go through a proxy: the one that the header names.
#[tokio::test]
async fn a_target_with_another_host_than_the_header_is_refused() {
    let world = golden_keyvault::world().await;
    put(&world, "db", json!({ "value": CANARY }).to_string()).await;
    let path = "secrets/db/?api-version=7.4";
    let (status, got) =
        send(&world, request(&world, "GET", &format!("https://{HOST}/{path}"), Body::empty())).await;
    assert_eq!((status, got["value"].as_str()), (StatusCode::OK, Some(CANARY)));
    for other in [
        "other.vault.keyless.localhost:8443",
        "login.keyless.localhost:8443",
        "evil.example",
        "shop.vault.keyless.localhost",
        "user@shop.vault.keyless.localhost:8443",
    ] {
        let asked = request(&world, "GET", &format!("https://{other}/{path}"), Body::empty());
        let (status, refused) = send(&world, asked).await;
        assert_eq!(
            (status, &refused["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("BadHost")),
            "{other}"
        );
    }
}

#[tokio::test]
async fn a_body_in_another_encoding_is_not_json() {
    let world = golden_keyvault::world().await;
    let utf16: Vec<u8> = r#"{"value":"v"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin1 = b"{\"value\":\"caf\xe9\"}".to_vec();
    let marked = [b"\xef\xbb\xbf".as_slice(), br#"{"value":"v"}"#].concat();
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec();
    for body in [utf16, latin1, marked, gzip, vec![0; 100]] {
        let (status, refused) = put(&world, "db", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body:?}");
        assert!(refused["error"]["message"].as_str().unwrap().contains("is not JSON"), "{refused}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken_for_a_long_one() {
    struct Broken(Option<Bytes>);
    impl axum::body::HttpBody for Broken {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            let next = self.0.take().map(hyper::body::Frame::data);
            std::task::Poll::Ready(Some(next.ok_or_else(|| std::io::ErrorKind::ConnectionReset.into())))
        }
    }
    let world = golden_keyvault::world().await;
    let body = Broken(Some(Bytes::from_static(br#"{"value":"#)));
    let (status, refused) = put(&world, "db", Body::new(body)).await;
    let said = &refused["error"]["message"];
    assert_eq!((status, said), (StatusCode::BAD_REQUEST, &json!("The request body is not complete.")));
    assert_eq!(get(&world, "db").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn no_value_is_in_a_refusal_or_a_record() {
    let world = golden_keyvault::world().await;
    put(&world, "db", json!({ "value": CANARY }).to_string()).await;
    let bodies = [
        format!(r#"{{"value":"{CANARY}","#),
        format!(r#"{{"value":["{CANARY}"]}}"#),
        format!(r#"{{"value":"v","attributes":{{"enabled":"{CANARY}"}}}}"#),
        format!(r#"{{"value":"v","tags":"{CANARY}"}}"#),
        format!(r#"{{"value":"{}"}}"#, CANARY.repeat(2_000)),
        format!(r#""{CANARY}""#),
        CANARY.to_owned(),
    ];
    for body in bodies {
        let (status, refused) = put(&world, "db", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
    // Pasted where a name or a version should be: told to whoever sent it, and to nobody else.
    for target in [format!("/secrets/{CANARY}_/"), format!("/secrets/db/{CANARY}"), format!("/{CANARY}")] {
        let (status, _) =
            send(&world, request(&world, "GET", &format!("{target}?api-version=7.4"), Body::empty())).await;
        assert!(status.is_client_error());
    }
    assert!(world.audit.lines().iter().all(|line| !line.contains("canary")));
}

#[tokio::test]
async fn a_writer_who_is_cut_off_writes_no_more() {
    let world = golden_keyvault::world().await;
    let principal = world.name("{app.principal}");
    let writers = (0..16).map(|number| {
        let world = &world;
        let principal = &principal;
        async move {
            for turn in 0..8 {
                if number == 7 && turn == 4 {
                    world.allow("shop", principal, "get,list").await;
                    let (status, _) = put(world, "after", r#"{"value":"v"}"#).await;
                    assert_eq!(status, StatusCode::FORBIDDEN);
                }
                put(world, &format!("w-{number}"), r#"{"value":"v"}"#).await;
                tokio::task::yield_now().await;
            }
        }
    });
    futures_join(writers).await;
    assert_eq!(put(&world, "later", r#"{"value":"v"}"#).await.0, StatusCode::FORBIDDEN);
    assert_eq!(get(&world, "after").await.0, StatusCode::NOT_FOUND);
    let outcomes: Vec<_> = world
        .audit
        .records()
        .iter()
        .filter(|record| record.action == "secret.set")
        .map(|record| record.outcome)
        .collect();
    let first = outcomes.iter().position(|outcome| *outcome == Outcome::Refused).unwrap();
    assert!(outcomes[first..].iter().all(|outcome| *outcome == Outcome::Refused), "{outcomes:?}");
}

/// Polls all in turn until all are done.
async fn futures_join(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

thread_local! {
    /// One world for all cases of a property: making one takes longer than asking it.
    static WORLD: RefCell<Option<(tokio::runtime::Runtime, World)>> = const { RefCell::new(None) };
}

fn in_one_world<T>(ask: impl AsyncFnOnce(&World) -> T) -> T {
    WORLD.with_borrow_mut(|world| {
        let (runtime, world) = world.get_or_insert_with(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let world = runtime.block_on(golden_keyvault::world());
            (runtime, world)
        });
        runtime.block_on(ask(world))
    })
}

/// Paths and queries that are almost right, and some that are not at all.
fn targets() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("secrets".to_owned()),
        Just("versions".to_owned()),
        Just("db".to_owned()),
        Just("0123456789abcdef0123456789abcdef".to_owned()),
        Just(String::new()),
        Just("..".to_owned()),
        "(%[0-9a-fA-F]{2}){1,4}",
        "[a-zA-Z0-9_.~!$&'()*+,;=:@%-]{0,12}",
    ];
    let name = prop_oneof![
        Just("api-version".to_owned()),
        Just("api%2Dversion".to_owned()),
        Just("maxresults".to_owned()),
        Just("$skiptoken".to_owned()),
        Just("%24skiptoken".to_owned()),
        "[a-zA-Z%0-9.-]{0,8}",
    ];
    let value = prop_oneof![
        Just("7.4".to_owned()),
        Just("2025-07-01".to_owned()),
        Just("25".to_owned()),
        Just("ZGI".to_owned()),
        "[a-zA-Z0-9%._+-]{0,40}",
    ];
    let query = proptest::collection::vec((name, value), 0..4);
    (proptest::collection::vec(segment, 0..6), query).prop_map(|(segments, query)| {
        let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("/{}?{}", segments.join("/"), pairs.join("&"))
    })
}

proptest! {
    /// Whatever is asked has a clear answer in the protocol's form, one record, and no 5xx.
    #[test]
    fn no_target_or_body_makes_it_fail(
        method in prop_oneof![
            Just("GET".to_owned()), Just("PUT".to_owned()), Just("PATCH".to_owned()), Just("POST".to_owned()),
            Just("DELETE".to_owned()), "[A-Z]{1,20}",
        ],
        target in targets(),
        body in prop_oneof![
            Just(br#"{"value":"v"}"#.to_vec()), Just(br#"{"tags":{"a":"b"}}"#.to_vec()),
            proptest::collection::vec(any::<u8>(), 0..64),
        ],
    ) {
        let Ok(uri) = target.parse::<http::Uri>() else { return Ok(()) };
        let Ok(method) = method.parse::<Method>() else { return Ok(()) };
        in_one_world(async |world| {
            let already = world.audit.records().len();
            let mut request = request(world, "GET", "/", body);
            (*request.method_mut(), *request.uri_mut()) = (method, uri);
            let (status, answer) = send(world, request).await;
            prop_assert!(!status.is_server_error(), "{status} {answer}");
            prop_assert!(status != StatusCode::UNAUTHORIZED);
            prop_assert_eq!(status.is_success(), answer.get("error").is_none());
            if !status.is_success() {
                prop_assert!(answer["error"]["code"].is_string() && answer["error"]["message"].is_string());
            }
            let records = world.audit.records();
            let [record] = &records[already..] else { panic!("one record") };
            prop_assert_eq!(record.outcome == Outcome::Allowed, status.is_success());
            Ok(())
        })?;
    }

    /// No header but the right one is a caller, and every refusal leads to the directory.
    #[test]
    fn no_header_but_the_right_one_is_a_caller(
        before in "[ -~]{0,8}", cut in 0_usize..900, after in proptest::collection::vec(0x20_u8..0x7f, 0..8),
        is_whole in any::<bool>(),
    ) {
        in_one_world(async |world| {
            let token = world.name("{token}");
            let kept = if is_whole { &token[..] } else { &token[..cut.min(token.len() - 1)] };
            let value = [before.as_bytes(), b"Bearer ", kept.as_bytes(), &after].concat();
            let is_right = String::from_utf8_lossy(&value).trim() == format!("Bearer {token}");
            let mut request = request(world, "GET", "/secrets?api-version=7.4", Body::empty());
            request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_bytes(&value).unwrap());
            let response = world.public.clone().oneshot(request).await.unwrap();
            if response.status() == StatusCode::OK {
                prop_assert!(is_right, "{:?}", String::from_utf8_lossy(&value));
            } else {
                prop_assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
                prop_assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
            }
            Ok(())
        })?;
    }
}

/// Whoever may not do something is told so, and nothing of what is wrong with the body.
#[tokio::test]
async fn who_may_not_is_not_told_what_is_wrong_with_a_body() {
    let world = golden_keyvault::world().await;
    let version = "0123456789abcdef0123456789abcdef";
    let operations = [
        ("PUT", "/secrets/db".to_owned()),
        ("PATCH", format!("/secrets/db/{version}")),
        ("POST", "/keys/k/create".to_owned()),
        ("PUT", "/keys/k".to_owned()),
        ("PATCH", format!("/keys/k/{version}")),
        ("PUT", "/keys/k/rotationpolicy".to_owned()),
        ("POST", format!("/keys/k/{version}/encrypt")),
        ("POST", format!("/keys/k/{version}/decrypt")),
        ("POST", format!("/keys/k/{version}/sign")),
        ("POST", format!("/keys/k/{version}/verify")),
        ("POST", format!("/keys/k/{version}/wrapkey")),
        ("POST", format!("/keys/k/{version}/unwrapkey")),
        ("POST", format!("/keys/k/{version}/release")),
        ("POST", "/rng".to_owned()),
        ("PATCH", format!("/certificates/c/{version}")),
        ("POST", "/certificates/c/create".to_owned()),
        ("POST", "/certificates/c/import".to_owned()),
        ("POST", "/certificates/c/pending/merge".to_owned()),
        ("PATCH", "/certificates/c/policy".to_owned()),
        ("PATCH", "/certificates/c/pending".to_owned()),
        ("PUT", "/certificates/contacts".to_owned()),
        ("PUT", "/certificates/issuers/i".to_owned()),
        ("PATCH", "/certificates/issuers/i".to_owned()),
    ];
    for (method, path) in operations {
        for (caller, expected) in
            [("{token}", StatusCode::BAD_REQUEST), ("{stranger token}", StatusCode::FORBIDDEN)]
        {
            let mut asked = request(&world, method, &format!("{path}?api-version=7.4"), "[");
            let token = HeaderValue::from_str(&world.name(&format!("Bearer {caller}"))).unwrap();
            asked.headers_mut().insert(header::AUTHORIZATION, token);
            let (status, refused) = send(&world, asked).await;
            assert_eq!(status, expected, "{method} {path} by {caller}: {refused}");
        }
    }
}

/// A certificate that waits for an authority is changed, deleted, recovered and purged like any other.
#[tokio::test]
async fn a_certificate_that_has_not_come_is_treated_as_one() {
    let world = golden_keyvault::world().await;
    let ask = async |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&world, request(&world, method, &format!("/{path}api-version=7.4"), body)).await
    };
    let (one, deleted_one) = ("certificates/c?", "deletedcertificates/c?");
    let policy = json!({"policy": {
        "key_props": {"kty": "EC", "crv": "P-256"}, "x509_props": {"subject": "CN=c"}, "issuer": {"name": "Unknown"},
    }});
    for path in [one, deleted_one] {
        assert_eq!(ask("DELETE", path, Value::Null).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(ask("POST", "certificates/c/create?", policy.clone()).await.0, StatusCode::ACCEPTED);
    let (status, changed) = ask("PATCH", one, json!({"tags": {"team": "blue"}})).await;
    assert_eq!((status, &changed["tags"]), (StatusCode::OK, &json!({"team": "blue"})));
    let months = json!({"x509_props": {"validity_months": 7}});
    let (status, changed) = ask("PATCH", "certificates/c/policy?", months).await;
    assert_eq!((status, &changed["x509_props"]["validity_months"]), (StatusCode::OK, &json!(7)));
    let (status, deleted) = ask("DELETE", one, Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{deleted}");
    assert_eq!(deleted["recoveryId"], format!("https://{HOST}/deletedcertificates/c"));
    assert_eq!(deleted["tags"], json!({"team": "blue"}));
    assert!(
        deleted["deletedDate"].is_u64() && deleted["scheduledPurgeDate"].is_u64() && deleted["cer"].is_null()
    );
    assert_eq!(ask("GET", deleted_one, Value::Null).await.1, deleted);
    let listed = async |query: &str| ask("GET", &format!("deletedcertificates?{query}"), Value::Null).await.1;
    assert_eq!(listed("").await["value"], json!([]));
    let listed = listed("includePending=true&").await;
    assert_eq!(listed["value"][0]["recoveryId"], deleted["recoveryId"], "{listed}");
    assert_eq!(listed["value"][0]["id"], format!("https://{HOST}/certificates/c"));
    // The SDK for Python cannot show an item that has none.
    assert_eq!(listed["value"][0]["x5t"], "");
    for (method, path, body) in [
        ("GET", "certificates/c/pending?", Value::Null),
        ("GET", one, Value::Null),
        ("PATCH", one, json!({})),
        ("DELETE", one, Value::Null),
    ] {
        assert_eq!(ask(method, path, body).await.0, StatusCode::NOT_FOUND, "{method} {path}");
    }
    let (status, refused) = ask("POST", "certificates/c/create?", policy.clone()).await;
    assert_eq!(
        (status, &refused["error"]["innererror"]["code"]),
        (StatusCode::CONFLICT, &json!("ObjectIsDeletedButRecoverable"),)
    );
    let (status, back) = ask("POST", "deletedcertificates/c/recover?", Value::Null).await;
    assert_eq!((status, &back["tags"]), (StatusCode::OK, &json!({"team": "blue"})));
    assert_eq!(ask("GET", one, Value::Null).await.1, back);
    assert_eq!(ask("GET", "certificates/c/pending?", Value::Null).await.1["status"], "inProgress");
    assert_eq!(ask("DELETE", one, Value::Null).await.0, StatusCode::OK);
    assert_eq!(ask("DELETE", deleted_one, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask("GET", deleted_one, Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask("POST", "certificates/c/create?", policy).await.0, StatusCode::ACCEPTED);
}
