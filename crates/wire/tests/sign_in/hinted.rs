//! Whom a client means: by a session or an id token of before (OpenID Connect Core section 3.1.2.1).

use super::{
    authorize::{agreed, request, world},
    browser::{Browser, Shown, user},
};
use crate::support::World;
use crypt::test_keys;
use serde_json::{Value, json};

const SESSION: &str = "__Host-keyless-session";

pub(super) fn session_of(browser: &Browser) -> String {
    browser.cookies[SESSION].split('.').next().unwrap().to_owned()
}

fn signed(world: &World, claims: &Value, is_ours: bool) -> String {
    let other = test_keys::other_signing_key();
    let ring = world.state.directory.ring();
    let key = if is_ours { ring.current() } else { &other };
    crypt::jws::sign(key, crypt::jws::Thumbprint::Omitted, claims).unwrap().expose().clone()
}

/// Of an id token of a user that is long over.
async fn id_claims(world: &World, name: &str, session: &str) -> Value {
    let id = world.state.directory.user(name).await.unwrap().user.id;
    json!({"aud": world.name("{shop.client}"), "sid": session, "oid": id, "exp": 1})
}

fn error(answer: &Shown) -> String {
    answer.parameters().get("error").cloned().unwrap_or_default()
}

#[tokio::test]
async fn nobody_else_is_answered_for_than_whom_the_client_means() {
    let world = world().await;
    user(&world, "bob").await;
    let mut browser = agreed(&world).await;
    let own = session_of(&browser);
    let other = "99999999-9999-4999-8999-999999999999";
    let of_alice = signed(&world, &id_claims(&world, "alice", other).await, true);
    let of_bob = signed(&world, &id_claims(&world, "bob", other).await, true);
    for (name, value, is_alice) in [
        ("sid", own.as_str(), true),
        ("sid", "", true),
        ("sid", other, false),
        ("sid", "x", false),
        ("id_token_hint", &of_alice, true),
        ("id_token_hint", "", true),
        ("id_token_hint", &of_bob, false),
    ] {
        let silent = browser.get(&world, &request(&world, &[("prompt", "none"), (name, value)])).await;
        assert_eq!(error(&silent), if is_alice { "" } else { "login_required" }, "{name} {value}");
        assert_eq!(silent.parameters().contains_key("code"), is_alice);
        let page = browser.get(&world, &request(&world, &[(name, value)])).await;
        if is_alice {
            assert!(page.parameters().contains_key("code"), "{name} {value}");
            continue;
        }
        // Who sits there says whether the client is mistaken, and is asked once.
        assert_eq!(page.heading(), "Choose an account", "{name} {value}");
        let gone_on = browser.send(&world, &page, "account", &[("answer", "go-on")]).await;
        assert!(browser.follow(&world, &gone_on).await.parameters().contains_key("code"));
        let other = browser.send(&world, &page, "account", &[("answer", "other")]).await;
        assert_eq!(browser.follow(&world, &other).await.heading(), "Sign in");
    }
    // As a form of the client's it says the same.
    let target = request(&world, &[("prompt", "none"), ("sid", other)]);
    let (path, query) = target.split_once('?').unwrap();
    let answer = Browser::default().ask(&world, "POST", path, query).await;
    assert_eq!(error(&browser.get(&world, answer.header("location")).await), "login_required");
    // Where nobody is signed in, nobody is.
    let page = Browser::default().get(&world, &request(&world, &[("id_token_hint", &of_bob)])).await;
    assert_eq!(page.heading(), "Sign in");
}

#[tokio::test]
async fn what_is_no_id_token_of_ours_hints_at_nobody() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    let good = id_claims(&world, "alice", &session_of(&browser)).await;
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        signed(&world, &claims, true)
    };
    let mut for_vault = good.clone();
    for_vault["aud"] = json!("https://vault.azure.net");
    let unsigned =
        format!("eyJhbGciOiJub25lIn0.{}.", crypt::encoding::base64url(good.to_string().as_bytes()));
    for hint in [
        "x".to_owned(),
        "x.y.z".to_owned(),
        unsigned,
        signed(&world, &good, false),
        without("oid"),
        without("sid"),
        signed(&world, &for_vault, true),
    ] {
        for prompt in ["none", ""] {
            let answer =
                browser.get(&world, &request(&world, &[("prompt", prompt), ("id_token_hint", &hint)])).await;
            assert_eq!(error(&answer), "invalid_request", "{prompt} {hint}");
        }
    }
    // Nothing of it is told to a stranger.
    let more = [("redirect_uri", "https://evil.example/cb"), ("id_token_hint", "x")];
    let page = browser.get(&world, &request(&world, &more)).await;
    assert_eq!((page.status, page.header("location")), (400, ""));
}
