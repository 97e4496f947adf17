//! Userinfo: who has signed in, for whoever holds a user's token.

use super::{
    authorize::{CALLBACK, request, world},
    browser::Browser,
};
use crate::support::World;
use axum::body::Body;
use http::Request;
use serde_json::Value;
use std::time::Duration;
use tower::ServiceExt as _;

/// Tokens for what `shop` asks for, in alice's name.
async fn tokens(world: &World, scope: &str) -> Value {
    let mut browser = Browser::default();
    let target = request(world, &[("scope", scope)]);
    let page = browser.sign_in(world, &target, "alice").await;
    let code = browser.agree(world, page).await.parameters()["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &world.name("{shop.client}")),
        ("client_secret", &world.name("{secret}")),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ];
    redeem(world, &form).await
}

async fn redeem(world: &World, form: &[(&str, &str)]) -> Value {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let token = world.name("/{tenant}/oauth2/v2.0/token");
    serde_json::from_str(&Browser::default().ask(world, "POST", &token, &body).await.body).unwrap()
}

async fn userinfo(world: &World, token: &str) -> (u16, String, Value) {
    let mut request = Request::get("/oidc/userinfo").header("host", "graph.keyless.localhost:8443");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = world.public.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let challenge =
        response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, challenge.unwrap_or_default(), serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_token_tells_what_its_scopes_say() {
    let mut world = world().await;
    let registration = world.state.directory.registration(&world.name("{shop.client}")).await.unwrap();
    world.add_secret("secret", &registration, Duration::from_secs(3_600)).await;
    let all = tokens(&world, "openid profile email").await;
    let (status, _, told) = userinfo(&world, all["access_token"].as_str().unwrap()).await;
    assert_eq!(status, 200, "{told}");
    let claims = all["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&crypt::encoding::from_base64url(claims).unwrap()).unwrap();
    for name in ["sub", "name", "preferred_username", "email"] {
        assert!(claims[name].is_string() && told[name] == claims[name], "{name}: {told} {claims}");
    }
    let (_, _, told) =
        userinfo(&world, tokens(&world, "openid").await["access_token"].as_str().unwrap()).await;
    assert_eq!(told, serde_json::json!({"sub": claims["sub"]}));

    let (status, challenge, _) = userinfo(&world, "x.y.z").await;
    assert!(status == 401 && challenge.starts_with("Bearer "), "{challenge}");
    let of_vaults = tokens(&world, "openid https://vault.azure.net/.default").await;
    assert_eq!(
        userinfo(&world, of_vaults["access_token"].as_str().unwrap()).await.0,
        401,
        "for another resource"
    );
    let own = [
        ("grant_type", "client_credentials"),
        ("client_id", &world.name("{shop.client}")),
        ("client_secret", &world.name("{secret}")),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let own = redeem(&world, &own).await;
    assert_eq!(userinfo(&world, own["access_token"].as_str().unwrap()).await.0, 400, "no user's");
    let (status, challenge, _) = userinfo(&world, "").await;
    assert!(status == 401 && challenge.starts_with("Bearer "), "{challenge}");

    let token = all["access_token"].as_str().unwrap();
    let alice = world.state.directory.user("alice").await.unwrap().user.id;
    world.state.directory.disable_principal(alice).await.unwrap();
    assert_eq!(userinfo(&world, token).await.0, 401, "disabled");
    world.state.directory.enable_principal(alice).await.unwrap();
    assert_eq!(userinfo(&world, token).await.0, 200);
    world.later(7_200);
    assert_eq!(userinfo(&world, token).await.0, 401, "expired");
}
