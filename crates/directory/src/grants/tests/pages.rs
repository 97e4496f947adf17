//! Single-page applications: what a page of another origin may redeem, and who may not redeem what is a page's.

use super::*;

/// A grant to the page that is one of the shop's clients, or to its server.
async fn code(world: &World, signed_in: &SignedIn, redirect_uri: &str) -> Secret<String> {
    let asked = AuthorizeRequest {
        tenant: "common".to_owned(),
        endpoint: Endpoint::V2,
        client: Some(world.web.client.to_string()),
        redirect_uri: Some(redirect_uri.to_owned()),
        response_type: Some("code".to_owned()),
        response_mode: None,
        scope: Some(FULL.to_owned()),
        resource: None,
        state: None,
        nonce: None,
        code_challenge: Some(CHALLENGE.to_owned()),
        code_challenge_method: Some("S256".to_owned()),
        prompt: None,
        login_hint: None,
        max_age: None,
    };
    let authorization = world.directory.authorization(&asked).await.unwrap();
    world.directory.agree(signed_in, &authorization).await.unwrap();
    world.directory.issue_code(signed_in, &authorization, NOW).await.unwrap()
}

const PAGE: &str = "https://page.example/cb";
const SERVER: &str = "https://shop.example/cb";

#[tokio::test]
async fn a_page_redeems_what_is_a_pages_and_nobody_else_does() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let from_page = |request: TokenRequest| TokenRequest { is_from_page: true, secret: None, ..request };
    let refused = async |request| match world.token(request).await {
        Err(DirectoryError::Request(refused)) => refused,
        other => panic!("{other:?}"),
    };
    let of_page = code(&world, &signed_in, PAGE).await;
    let redeem = || TokenRequest { redirect_uri: Some(PAGE.to_owned()), ..world.redeem(&of_page) };
    // A program that has taken it, with the server's secret or without.
    assert!(matches!(refused(redeem()).await, RequestError::NotFromPage));
    assert!(matches!(refused(TokenRequest { secret: None, ..redeem() }).await, RequestError::NotFromPage));
    let issued = world.token(from_page(redeem())).await.unwrap();
    let token = refresh_token(&issued);
    assert!(matches!(refused(world.refresh(&token)).await, RequestError::NotFromPage));
    let renewed = world.token(from_page(world.refresh(&token))).await.unwrap();
    assert!(world.is_good(&issued).await && world.is_good(&renewed).await, "no refusal has ended anything");
    // In all it is good for a day, however often it is used.
    let late = world.token_at(from_page(world.refresh(&refresh_token(&renewed))), 86_400).await.unwrap_err();
    assert!(matches!(late, DirectoryError::Grant(GrantError::RefreshTokenOver)), "{late}");
}

#[tokio::test]
async fn a_page_gets_nothing_by_a_servers_grant_or_secret() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let of_server = code(&world, &signed_in, SERVER).await;
    let refused = async |request: TokenRequest| {
        let refused = world.token(TokenRequest { is_from_page: true, ..request }).await.unwrap_err();
        assert!(matches!(refused, DirectoryError::Request(RequestError::FromPage)), "{refused}");
    };
    refused(world.redeem(&of_server)).await;
    refused(TokenRequest { secret: None, ..world.redeem(&of_server) }).await;
    let issued = world.token(world.redeem(&of_server)).await.unwrap();
    refused(world.refresh(&refresh_token(&issued))).await;
    let scope = Some(VAULT.to_owned());
    refused(TokenRequest { scope: scope.clone(), ..world.request("client_credentials") }).await;
    let password = TokenRequest {
        scope,
        user_name: Some("ada@keyless.localhost".to_owned()),
        password: Some(secret(PASSWORD)),
        ..world.request("password")
    };
    refused(password).await;
    refused(TokenRequest { device_code: Some(secret("x")), ..world.request("device_code") }).await;
    assert!(world.token(world.refresh(&refresh_token(&issued))).await.is_ok());
}
