//! Authorization requests, from the client's link to its answer.

use super::{
    browser::{Browser, Shown, user},
    golden,
};
use crate::support::World;
use audit::Outcome;
use directory::{
    NewRegistration,
    redirect::{Platform, RedirectUri},
};

pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(super) const CALLBACK: &str = "https://shop.example/cb";

/// A world with alice, and a client `shop`.
pub(super) async fn world() -> World {
    let mut world = World::new().await;
    user(&world, "alice").await;
    let uri = |uri: &str, platform| RedirectUri { uri: uri.to_owned(), platform };
    let new = NewRegistration {
        display_name: "Shop <script>alert(1)</script>".to_owned(),
        redirect_uris: vec![
            uri(CALLBACK, Platform::Web),
            uri("https://shop.example/q?a=b", Platform::Web),
            uri("http://localhost/", Platform::PublicClient),
        ],
        ..NewRegistration::default()
    };
    world.register("shop", new).await;
    world
}

/// The path of an authorization request of `shop`, with more parameters. Empty ones are left out.
pub(super) fn request(world: &World, more: &[(&str, &str)]) -> String {
    let client = world.name("{shop.client}");
    let mut all = vec![
        ("client_id", client.as_str()),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid profile https://vault.azure.net/.default"),
        ("state", "s t&a=\"<"),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in more {
        all.retain(|(known, _)| known != name);
        all.push((name, value));
    }
    all.retain(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
    format!("/{}/oauth2/v2.0/authorize?{query}", world.name("{tenant}"))
}

/// Alice in her browser, signed in and having agreed.
pub(super) async fn agreed(world: &World) -> Browser {
    let mut browser = Browser::default();
    let answer = browser.sign_in(world, &request(world, &[]), "alice").await;
    assert_eq!(browser.agree(world, answer).await.status, 302);
    browser
}

fn last(world: &World) -> (String, Outcome, String) {
    let record = world.audit.records().pop().unwrap();
    (record.action.to_owned(), record.outcome, record.reason)
}

#[tokio::test]
async fn a_user_signs_in_agrees_and_the_client_gets_a_code() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.get(&world, &request(&world, &[("login_hint", "al\"><b>")])).await;
    golden::same("password", &page, &world);
    let page = browser.sign_in(&world, &request(&world, &[]), "Alice").await;
    golden::same("consent", &page, &world);
    let page = browser.send(&world, &page, "consent", &[("answer", "yes")]).await;
    golden::same("onward", &page, &world);
    assert_eq!(last(&world).0, "consent.give");
    let answer = browser.follow(&world, &page).await;
    assert_eq!(answer.status, 302, "{}", answer.body);
    assert!(answer.header("location").starts_with("https://shop.example/cb?code="));
    let told = answer.parameters();
    assert_eq!(told["state"], "s t&a=\"<");
    assert_eq!(told["iss"], world.name("https://login.keyless.localhost:8443/{tenant}/v2.0"));
    assert!(!told.contains_key("client_info") && told.contains_key("session_state"));
    assert!(!world.audit.lines().concat().contains(&told["code"]), "a code is a secret");
    // Who is signed in and has agreed is not asked again.
    let answer = browser.get(&world, &request(&world, &[("client_info", "1")])).await;
    let info = crypt::encoding::from_base64url(&answer.parameters()["client_info"]).unwrap();
    assert!(String::from_utf8(info).unwrap().contains(&world.name("\"utid\":\"{tenant}\"")));
}

#[tokio::test]
async fn the_code_brings_tokens_for_the_user_who_signed_in() {
    let mut world = world().await;
    let mut browser = agreed(&world).await;
    let registration = world.state.directory.registration(&world.name("{shop.client}")).await.unwrap();
    world.add_secret("secret", &registration, std::time::Duration::from_secs(3_600)).await;
    let code = browser.get(&world, &request(&world, &[])).await.parameters()["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &world.name("{shop.client}")),
        ("client_secret", &world.name("{secret}")),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let token = world.name("/{tenant}/oauth2/v2.0/token");
    let answer = Browser::default().ask(&world, "POST", &token, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("\"id_token\":\""), "{}", answer.body);
}

#[tokio::test]
async fn an_app_that_wants_its_users_assigned_gets_no_code_for_others() {
    let world = world().await;
    let client = world.name("{shop.client}");
    let change = directory::RegistrationChange { assignment_required: Some(true), ..Default::default() };
    world.state.directory.update_registration(&client, &change).await.unwrap();
    let mut browser = Browser::default();
    // Before anybody agrees to anything.
    let answer = browser.sign_in(&world, &request(&world, &[]), "alice").await;
    let answer = if answer.status == 302 { answer } else { browser.follow(&world, &answer).await };
    let told = answer.parameters();
    assert_eq!((told["error"].as_str(), told.contains_key("code")), ("access_denied", false), "{told:?}");
    assert!(told["error_description"].contains("AADSTS50105"), "{told:?}");
    assert_eq!(last(&world).1, Outcome::Refused);
    let alice = world.state.directory.user("alice").await.unwrap().user.id;
    let only_in = directory::app_role::DEFAULT_ROLE.to_string();
    let shop = client.parse().unwrap();
    world.state.directory.assign_app_role(shop, alice, &only_in, crate::support::NOW).await.unwrap();
    let page = browser.get(&world, &request(&world, &[])).await;
    let answer = browser.agree(&world, page).await;
    assert!(answer.parameters().contains_key("code"), "{answer:?}");
}

#[tokio::test]
async fn the_answer_comes_as_it_was_asked_for() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    for (more, begin) in [
        (&[("response_mode", "fragment")][..], "https://shop.example/cb#code="),
        (&[("response_mode", "query")], "https://shop.example/cb?code="),
        (&[("redirect_uri", "https://shop.example/q?a=b")], "https://shop.example/q?a=b&code="),
        (&[("redirect_uri", "http://localhost:8400/")], "http://localhost:8400/?code="),
    ] {
        let answer = browser.get(&world, &request(&world, more)).await;
        // Not 307, which would carry a form on to the client (RFC 9700 section 4.12).
        assert_eq!(answer.status, 302);
        assert!(answer.header("location").starts_with(begin), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "no script of another site may ask");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    let page = browser.get(&world, &request(&world, &[("response_mode", "form_post")])).await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action https: https://shop.example;"), "{policy}");
    let script = crypt::encoding::base64(crypt::sha256("document.forms[0].submit()").bytes());
    assert!(policy.contains(&format!("script-src 'sha256-{script}'")), "{policy}");
    assert!(page.body.contains("<script>document.forms[0].submit()</script>"), "{}", page.body);
    assert!(page.body.contains("<form method=\"post\" action=\"https://shop.example/cb\">"), "{}", page.body);
    assert!(page.body.contains("name=\"state\" value=\"s t&amp;a=&quot;&lt;\""), "{}", page.body);
    // The v1.0 endpoint, and whichever tenant: an issuer that the client would not know again is not told.
    let v1 =
        request(&world, &[("scope", ""), ("resource", "https://vault.azure.net")]).replace("/v2.0/", "/");
    // It asks for all of OpenID Connect, which needs no word beside what was agreed to of the resource.
    let told = browser.get(&world, &v1).await.parameters();
    assert_eq!(told["iss"], world.name("https://login.keyless.localhost:8443/{tenant}/"));
    let common = request(&world, &[]).replace(&world.name("/{tenant}/"), "/common/");
    let told = browser.get(&world, &common).await.parameters();
    assert!(told.contains_key("code") && !told.contains_key("iss"), "{told:?}");
}

#[tokio::test]
async fn pages_of_other_origins_read_documents_and_tokens_and_nothing_that_knows_a_browser() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    for (path, readers) in [
        ("/{tenant}/v2.0/.well-known/openid-configuration", "*"),
        ("/{tenant}/discovery/v2.0/keys", "*"),
        ("/common/discovery/instance", "*"),
        // Whatever is wrong with it.
        ("/{tenant}/oauth2/v2.0/token", "*"),
        ("/{tenant}/oauth2/token", "*"),
        ("/{tenant}/oauth2/v2.0/devicecode", ""),
        ("/{tenant}/oauth2/v2.0/revoke", "*"),
        ("/{tenant}/oauth2/v2.0/logout", ""),
        ("/{tenant}/openid/userinfo", ""),
        ("/account", ""),
        ("/devicelogin", ""),
        ("/nowhere", ""),
    ] {
        let answer = browser.get(&world, &world.name(path)).await;
        assert_eq!(answer.header("access-control-allow-origin"), readers, "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{path}");
    }
}

#[tokio::test]
async fn nothing_goes_where_the_client_has_not_said() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    for redirect_uri in [
        "https://evil.example/cb",
        "https://shop.example.evil.example/cb",
        "https://shop.example/cb/../x",
        "https://shop.example/cb?x",
        "https://shop.example@evil.example/cb",
        "//evil.example",
        "javascript:alert(1)",
    ] {
        for mode in ["query", "fragment", "form_post"] {
            let more = [("redirect_uri", redirect_uri), ("response_mode", mode), ("prompt", "none")];
            let page = browser.get(&world, &request(&world, &more)).await;
            assert_eq!((page.status, page.header("location")), (400, ""), "{redirect_uri}");
            assert!(page.refresh().is_none() && !page.body.contains("href="), "{}", page.body);
            assert_eq!(last(&world).1, Outcome::Refused);
        }
    }
    let page = browser.get(&world, &request(&world, &[("redirect_uri", "https://evil.example/<b>")])).await;
    golden::same("refused", &page, &world);
}

#[tokio::test]
async fn what_is_wrong_is_told_to_who_should_know() {
    let world = world().await;
    let mut browser = Browser::default();
    let nobody = "99999999-9999-4999-8999-999999999999";
    let long = "s".repeat(4_097);
    for more in
        [("client_id", nobody), ("client_id", "x"), ("client_id", ""), ("redirect_uri", ""), ("state", &long)]
    {
        let page = browser.get(&world, &request(&world, &[more])).await;
        assert_eq!((page.status, page.header("location")), (400, ""), "{more:?}");
    }
    let elsewhere = request(&world, &[]).replace(&world.name("/{tenant}/"), "/other.example/");
    assert_eq!(browser.get(&world, &elsewhere).await.status, 400);
    for (more, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("response_mode", "web_message"), "invalid_request"),
        (("scope", ""), "invalid_request"),
        (("scope", "https://nowhere.example/.default"), "invalid_scope"),
        (("scope", "a/b c/d"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("prompt", "create"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
    ] {
        let answer = browser.get(&world, &request(&world, &[more])).await;
        assert!(answer.header("location").starts_with("https://shop.example/cb?error="), "{answer:?}");
        let told = answer.parameters();
        assert_eq!((&*told["error"], &*told["state"]), (error, "s t&a=\"<"), "{more:?}");
        assert!(told["error_description"].starts_with("AADSTS") && told.contains_key("iss"), "{told:?}");
        assert_eq!(last(&world).1, Outcome::Refused);
    }
    let twice = format!("{}&state=other", request(&world, &[]));
    assert_eq!(browser.get(&world, &twice).await.status, 400);
}

#[tokio::test]
async fn who_must_not_be_asked_is_not_asked() {
    let world = world().await;
    let none =
        |more: &[(&'static str, &'static str)]| request(&world, &[&[("prompt", "none")], more].concat());
    let error = |answer: &Shown| answer.parameters().get("error").cloned().unwrap_or_default();
    let mut browser = Browser::default();
    assert_eq!(error(&browser.get(&world, &none(&[])).await), "login_required");
    let _consent = browser.sign_in(&world, &request(&world, &[]), "alice").await;
    assert_eq!(error(&browser.get(&world, &none(&[])).await), "consent_required");
    let mut browser = agreed(&world).await;
    assert!(browser.get(&world, &none(&[])).await.parameters().contains_key("code"));
    assert_eq!(error(&browser.get(&world, &none(&[("login_hint", "bob")])).await), "login_required");
    assert_eq!(error(&browser.get(&world, &none(&[("login_hint", "ALICE")])).await), "");
    world.later(60);
    assert_eq!(error(&browser.get(&world, &none(&[("max_age", "59")])).await), "login_required");
    assert_eq!(error(&browser.get(&world, &none(&[("max_age", "60")])).await), "");
    let alice = world.state.directory.user("alice").await.unwrap();
    world.state.directory.disable_principal(alice.user.id).await.unwrap();
    assert_eq!(error(&browser.get(&world, &none(&[])).await), "login_required");
}

#[tokio::test]
async fn who_is_to_be_asked_is_asked_once() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    world.later(100);
    for more in [("prompt", "login"), ("max_age", "0"), ("max_age", "99")] {
        let answer = browser.sign_in(&world, &request(&world, &[more]), "alice").await;
        assert!(answer.parameters().contains_key("code"), "{more:?} {answer:?}");
        world.later(100);
    }
    let page = browser.get(&world, &request(&world, &[("prompt", "consent")])).await;
    assert!(page.body.contains("user_impersonation"), "all of it is asked for again: {}", page.body);
    let page = browser.send(&world, &page, "consent", &[("answer", "yes")]).await;
    assert!(browser.follow(&world, &page).await.parameters().contains_key("code"));
    for more in [("prompt", "select_account"), ("login_hint", "bob")] {
        let page = browser.get(&world, &request(&world, &[more])).await;
        golden::same(
            "choose",
            &Shown { body: page.body.replace(&format!("&amp;{}={}", more.0, more.1), ""), ..page.clone() },
            &world,
        );
        let page = browser.send(&world, &page, "account", &[("answer", "go-on")]).await;
        assert!(browser.follow(&world, &page).await.parameters().contains_key("code"));
    }
    user(&world, "bob").await;
    let page = browser.get(&world, &request(&world, &[("prompt", "select_account")])).await;
    let page = browser.send(&world, &page, "account", &[("answer", "other")]).await;
    let page = browser.sign_in(&world, &page.refresh().unwrap(), "bob").await;
    assert!(page.body.contains("bob@keyless.localhost") && !page.body.contains("alice@"), "{}", page.body);
}

#[tokio::test]
async fn who_says_no_gives_nothing() {
    let world = world().await;
    for (mode, is_form) in [("query", false), ("fragment", false), ("form_post", true)] {
        let mut browser = Browser::default();
        let page = browser.sign_in(&world, &request(&world, &[("response_mode", mode)]), "alice").await;
        let page = browser.send(&world, &page, "consent", &[("answer", "no")]).await;
        assert_eq!((page.status, page.header("location")), (200, ""), "no redirect follows a form");
        if is_form {
            assert!(page.body.contains("name=\"error\" value=\"access_denied\""), "{}", page.body);
        } else {
            assert_eq!(page.parameters()["error"], "access_denied");
        }
        assert_eq!(
            last(&world),
            ("code.issue".to_owned(), Outcome::Refused, "the user has declined".to_owned())
        );
        let again = browser.get(&world, &request(&world, &[("prompt", "none")])).await;
        assert_eq!(again.parameters()["error"], "consent_required");
    }
}

#[tokio::test]
async fn a_client_may_send_its_request_as_a_form() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    let (path, query) =
        request(&world, &[]).split_once('?').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    // As another site's form comes: without cookies, and saying so.
    let mut stranger =
        Browser { says: vec![("origin", "https://shop.example".to_owned())], ..Browser::default() };
    let answer = stranger.ask(&world, "POST", &path, &query).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let answer = browser.get(&world, answer.header("location")).await;
    assert!(answer.parameters().contains_key("code"), "{answer:?}");
    assert_eq!(answer.parameters()["state"], "s t&a=\"<");
}
