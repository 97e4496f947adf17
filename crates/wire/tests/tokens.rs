//! Tokens that are no proof of anybody, each by its name: all are refused in the same way, by every kind of route, with the challenge that
//! leads to the directory and a record that repeats nothing of what was presented. `tokens/` makes them.

mod claims;
mod forge;
mod form;
mod header;

use crate::{golden_keyvault, support::World};
use audit::{Actor, Outcome};
use axum::body::Body;
use forge::{Case, Forge};
use http::{HeaderMap, HeaderValue, Request};
use serde_json::Value;
use std::collections::BTreeSet;
use tower::ServiceExt as _;

const HOST: &str = "shop.vault.keyless.localhost:8443";

/// One that reads, one that uses a body, one that takes away.
const ROUTES: [(&str, &str, &str); 3] = [
    ("GET", "/secrets/db/?api-version=7.5", ""),
    ("POST", "/keys/k/create?api-version=7.5", r#"{"kty":"EC"}"#),
    ("DELETE", "/secrets/db?api-version=7.5", ""),
];

async fn world() -> World {
    let world = golden_keyvault::world().await;
    world.allow("shop", &world.name("{app.principal}"), "get,list,set,delete;keys=all").await;
    let good = bearer(&world.name("{token}"));
    let (status, _, body) =
        ask(&world, ("PUT", "/secrets/db?api-version=7.5", r#"{"value":"kept"}"#), &good).await;
    assert_eq!(status, 200, "{body}");
    world
}

fn bearer(token: &str) -> Case {
    Case::of("a token", "", &format!("Bearer {token}"))
}

/// Status, challenge and body.
async fn ask(
    world: &World,
    (method, target, body): (&str, &str, &str),
    case: &Case,
) -> (u16, Option<String>, Value) {
    let target = format!("{target}{}", case.query);
    let mut request =
        Request::builder().method(method).uri(target).body(Body::from(body.to_owned())).unwrap();
    let headers: &mut HeaderMap = request.headers_mut();
    headers.insert(http::header::HOST, HeaderValue::from_static(HOST));
    for (name, value) in &case.headers {
        headers.append(name.clone(), value.clone());
    }
    let response = world.public.clone().oneshot(request).await.unwrap();
    let challenge = response.headers().get_all(http::header::WWW_AUTHENTICATE).iter();
    let challenge = challenge.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(" // ");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, (!challenge.is_empty()).then_some(challenge), serde_json::from_slice(&body).unwrap())
}

/// Each case on each route; then what was to be read, made and deleted is as it was.
async fn all_are_refused(world: &World, cases: Vec<Case>, is_recorded: bool) {
    let challenge = world.name(
        "Bearer authorization=\"https://login.keyless.localhost:8443/{tenant}\", resource=\"https://vault.keyless.localhost:8443\"",
    );
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(case.name.clone()), "{} twice", case.name);
        for route in ROUTES {
            let at = format!("{}: {} {}", case.name, route.0, route.1);
            let already = world.audit.records().len();
            let (status, answered, body) = ask(world, route, case).await;
            assert_eq!((status, answered.as_ref()), (401, Some(&challenge)), "{at}: {body}");
            assert_eq!(body["error"]["code"], "Unauthorized", "{at}");
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.starts_with(case.says), "{at}: {message}");
            let records = world.audit.records().split_off(already);
            assert_eq!(records.len(), usize::from(is_recorded), "{at}");
            for record in records {
                assert_eq!((record.outcome, record.action), (Outcome::Refused, "vault.authenticate"), "{at}");
                assert!(matches!(record.actor, Actor::Anonymous), "{at}");
                assert_eq!(record.target, "shop", "{at}");
                let line = serde_json::to_string(&record).unwrap();
                for said in [&line, &body.to_string()] {
                    assert!(!said.to_lowercase().contains("canary"), "{at}: {said}");
                    let piece = case.pieces().into_iter().find(|piece| said.contains(piece));
                    assert_eq!(piece, None, "{at}: {said}");
                }
            }
        }
    }
    let good = bearer(&world.name("{token}"));
    let (status, _, body) = ask(world, ROUTES[0], &good).await;
    assert_eq!((status, &body["value"]), (200, &Value::from("kept")));
    let (status, ..) = ask(world, ("GET", "/keys/k/?api-version=7.5", ""), &good).await;
    assert_eq!(status, 404, "no key was made");
}

#[tokio::test]
async fn headers_that_choose_their_own_proof_are_refused() {
    let world = world().await;
    all_are_refused(&world, header::cases(&Forge::of(&world)), true).await;
}

#[tokio::test]
async fn claims_that_do_not_hold_are_refused() {
    let world = world().await;
    all_are_refused(&world, claims::cases(&Forge::of(&world)), true).await;
}

#[tokio::test]
async fn what_is_not_one_token_is_refused() {
    let world = world().await;
    all_are_refused(&world, form::cases(&Forge::of(&world)), true).await;
}

/// Who puts a token anywhere but into the header has presented none: the answer is the first step of the protocol, which leaves no record.
#[tokio::test]
async fn a_token_elsewhere_is_no_token() {
    let world = world().await;
    all_are_refused(&world, form::elsewhere(&Forge::of(&world)), false).await;
}

/// The cases above are refused for what is wrong with them: what is right in all of it is served.
#[tokio::test]
async fn what_is_like_a_token_of_ours_is_served() {
    let world = world().await;
    let forge = Forge::of(&world);
    for case in header::right(&forge).into_iter().chain(claims::right(&forge)).chain(form::right(&forge)) {
        let (status, _, body) = ask(&world, ROUTES[0], &case).await;
        assert_eq!((status, &body["value"]), (200, &Value::from("kept")), "{}: {body}", case.name);
    }
}

/// The token still holds; whoever it names is gone. The record names them, as it does everybody whose token holds.
#[tokio::test]
async fn a_principal_who_is_disabled_or_deleted_is_refused() {
    let changes = [
        ("disable {app.principal}", "The principal of the token is disabled."),
        ("delete registration {app.client}", "The principal of the token no longer exists."),
    ];
    for (change, says) in changes {
        let mut world = world().await;
        let token = world.name("{token}");
        world.change(change).await;
        for route in ROUTES {
            let already = world.audit.records().len();
            let (status, challenge, body) = ask(&world, route, &bearer(&token)).await;
            assert_eq!((status, challenge.is_some()), (401, true), "{change}: {body}");
            assert!(body["error"]["message"].as_str().unwrap().starts_with(says), "{body}");
            let records = world.audit.records().split_off(already);
            let [record] = &*records else { panic!("one record: {records:?}") };
            assert_eq!(record.outcome, Outcome::Refused);
            let line = serde_json::to_string(record).unwrap();
            assert!(token.split('.').all(|part| !line.contains(part)), "{line}");
        }
    }
}
