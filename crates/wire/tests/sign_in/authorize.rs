//! Authorization requests, from the client's link to its answer.

use super::browser::{Browser, user};
use crate::support::World;
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

/// The path of an authorization request of `shop`, with more parameters.
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
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
    format!("/{}/oauth2/v2.0/authorize?{query}", world.name("{tenant}"))
}

#[tokio::test]
async fn a_user_signs_in_agrees_and_the_client_gets_a_code() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.sign_in(&world, &request(&world, &[]), "Alice").await;
    assert_eq!(
        page.heading(),
        "Shop &lt;script&gt;alert(1)&lt;/script&gt; asks for your permission",
        "{}",
        page.body
    );
    let page = browser.send(&world, &page, "consent", &[("answer", "yes")]).await;
    let answer = browser.follow(&world, &page).await;
    assert_eq!(answer.status, 302, "{}", answer.body);
    assert!(answer.header("location").starts_with("https://shop.example/cb?code="));
    let told = answer.parameters();
    assert_eq!(told["state"], "s t&a=\"<");
    assert_eq!(told["iss"], world.name("https://login.keyless.localhost:8443/{tenant}/v2.0"));
    assert!(!told.contains_key("client_info") && told.contains_key("session_state"));
    // Who is signed in and has agreed is not asked again.
    let answer = browser.get(&world, &request(&world, &[("client_info", "1")])).await;
    assert!(answer.parameters().contains_key("client_info"), "{answer:?}");
}
