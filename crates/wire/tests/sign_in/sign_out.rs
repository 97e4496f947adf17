//! Signing out.

use super::{
    authorize::{CALLBACK, agreed, request, world},
    browser::Browser,
    golden,
    hinted::session_of,
};
use crate::support::World;
use crypt::{encoding, test_keys};

const SESSION: &str = "__Host-keyless-session";

fn logout(world: &World, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    world.name(&format!("/{{tenant}}/oauth2/v2.0/logout?{query}"))
}

/// An id token of `shop` for a session, signed by the directory or by somebody else.
fn id_token(world: &World, browser: &Browser, is_ours: bool) -> String {
    let (session, user) = (session_of(browser), world.state.directory.tenant().administrator);
    let claims =
        serde_json::json!({"aud": world.name("{shop.client}"), "sid": session, "oid": user, "exp": 1});
    let other = test_keys::other_signing_key();
    let ring = world.state.directory.ring();
    let key = if is_ours { ring.current() } else { &other };
    crypt::jws::sign(key, crypt::jws::Thumbprint::Omitted, &claims).unwrap().expose().clone()
}

#[tokio::test]
async fn who_is_sent_here_is_asked() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    let shop = world.name("{shop.client}");
    let back = [("client_id", shop.as_str()), ("post_logout_redirect_uri", CALLBACK), ("state", "a&b")];
    let page = browser.get(&world, &logout(&world, &back)).await;
    golden::same("sign-out", &page, &world);
    assert_eq!(browser.get(&world, "/").await.heading(), "Your account", "asking is not doing");
    let stolen = browser.clone();
    let done = browser.send(&world, &page, "sign-out", &[]).await;
    assert_eq!(done.refresh().unwrap(), format!("{CALLBACK}?state=a%26b"));
    assert!(!browser.cookies.contains_key(SESSION));
    assert_eq!({ stolen }.get(&world, "/").await.heading(), "Sign in", "the session itself is over");
    let record = world.audit.records().pop().unwrap();
    assert_eq!((record.action, &*record.reason), ("session.end", "the user has said so"));
    // Nobody is signed in: there is nothing to ask.
    let page = browser.get(&world, &logout(&world, &[])).await;
    golden::same("signed-out", &page, &world);
    assert_eq!(
        browser.get(&world, &logout(&world, &back)).await.refresh().unwrap(),
        format!("{CALLBACK}?state=a%26b")
    );
}

#[tokio::test]
async fn a_client_that_shows_an_id_token_of_the_session_need_not_ask() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    let mut other = agreed(&world).await;
    for (hint, ends) in [
        (id_token(&world, &browser, false), false),
        (id_token(&world, &other, true), false),
        ("x.y.z".to_owned(), false),
        (id_token(&world, &browser, true), true),
    ] {
        let answer = browser
            .get(&world, &logout(&world, &[("id_token_hint", &hint), ("post_logout_redirect_uri", CALLBACK)]))
            .await;
        assert_eq!(answer.heading(), if ends { "You are signed out" } else { "Sign out?" }, "{hint}");
        assert_eq!(answer.refresh().as_deref(), ends.then_some(CALLBACK));
    }
    assert_eq!(other.get(&world, "/").await.heading(), "Your account");
    let claims = encoding::base64url(b"{\"aud\":\"x\"}");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    assert_eq!(
        other.get(&world, &logout(&world, &[("id_token_hint", &unsigned)])).await.heading(),
        "Sign out?"
    );
}

#[tokio::test]
async fn the_way_back_is_one_that_the_client_has_registered() {
    let world = world().await;
    let shop = world.name("{shop.client}");
    let nobody = "99999999-9999-4999-8999-999999999999";
    let mut browser = agreed(&world).await;
    let hint = id_token(&world, &browser, true);
    for parameters in [
        &[("client_id", shop.as_str()), ("post_logout_redirect_uri", "https://evil.example/")][..],
        &[("client_id", nobody), ("post_logout_redirect_uri", CALLBACK)],
        &[("client_id", nobody), ("id_token_hint", &hint), ("post_logout_redirect_uri", CALLBACK)],
        &[("post_logout_redirect_uri", CALLBACK)],
        &[("client_id", shop.as_str()), ("post_logout_redirect_uri", "javascript:alert(1)")],
        &[("client_id", shop.as_str()), ("post_logout_redirect_uri", "//evil.example")],
    ] {
        let answer = Browser::default().get(&world, &logout(&world, parameters)).await;
        assert_eq!((answer.status, answer.refresh()), (200, None), "{parameters:?}");
        assert!(!answer.body.contains("evil.example") && answer.header("location").is_empty());
    }
    let elsewhere = logout(&world, &[]).replace(&world.name("{tenant}"), "other.example");
    assert_eq!(browser.get(&world, &elsewhere).await.status, 400);
    // As a form of the client's.
    let (path, query) = logout(&world, &[("id_token_hint", &hint)])
        .split_once('?')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let answer = Browser::default().ask(&world, "POST", &path, &query).await;
    assert_eq!(answer.status, 303);
    assert_eq!(browser.get(&world, answer.header("location")).await.heading(), "You are signed out");
    assert_eq!(browser.get(&world, &request(&world, &[])).await.heading(), "Sign in");
}

/// MSAL for JavaScript says where to and not who it is.
#[tokio::test]
async fn a_client_that_names_itself_not_gets_its_user_back_if_that_was_there() {
    let mut world = world().await;
    let uri = |uri: &str| directory::redirect::RedirectUri {
        uri: uri.to_owned(),
        platform: directory::redirect::Platform::Web,
    };
    let new = directory::NewRegistration {
        display_name: "other".to_owned(),
        redirect_uris: vec![uri("https://other.example/cb")],
        ..directory::NewRegistration::default()
    };
    world.register("other", new).await;
    let before = agreed(&world).await;
    let hint = id_token(&world, &before, false);
    let way = ("post_logout_redirect_uri", CALLBACK);
    for (parameters, back) in [
        (&[way][..], Some(CALLBACK.to_owned())),
        (&[way, ("state", "a&b")], Some(format!("{CALLBACK}?state=a%26b"))),
        // Of an app that this session was never in, or of none.
        (&[("post_logout_redirect_uri", "https://other.example/cb")], None),
        (&[("post_logout_redirect_uri", "https://evil.example/")], None),
        // Who says who it is is taken at its word.
        (&[way, ("client_id", "x")], None),
        (&[way, ("client_id", &world.name("{other.client}"))], None),
        (&[way, ("id_token_hint", &hint)], None),
    ] {
        let mut browser = agreed(&world).await;
        let page = browser.get(&world, &logout(&world, parameters)).await;
        assert_eq!((page.heading().as_str(), page.refresh()), ("Sign out?", None), "the user is asked first");
        let done = browser.send(&world, &page, "sign-out", &[]).await;
        assert_eq!((done.heading().as_str(), done.refresh()), ("You are signed out", back), "{parameters:?}");
        // Nobody is signed in any more, so that nobody can be meant.
        assert_eq!(browser.get(&world, &logout(&world, parameters)).await.refresh(), None);
    }
}

/// Whoever is disabled is not signed in, and signs out all the same: the session does not come back with the user.
#[tokio::test]
async fn a_disabled_user_who_has_signed_out_stays_so() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    let stolen = browser.clone();
    let alice = world.state.directory.user("alice").await.unwrap().user.id;
    world.state.directory.disable_principal(alice).await.unwrap();
    assert_eq!(browser.get(&world, &logout(&world, &[])).await.heading(), "You are signed out");
    assert!(!browser.cookies.contains_key(SESSION));
    let record = world.audit.records().pop().unwrap();
    assert_eq!((record.action, &*record.reason), ("session.end", "nobody is signed in by it at present"));
    world.state.directory.enable_principal(alice).await.unwrap();
    assert_eq!({ stolen }.get(&world, "/").await.heading(), "Sign in", "the session itself is over");
}
