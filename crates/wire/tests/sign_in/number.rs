//! What an error's number means.

use super::{authorize::world, browser::Browser, golden};

#[tokio::test]
async fn an_error_refers_to_a_page_that_says_what_to_do() {
    let world = world().await;
    let mut browser = Browser::default();
    let token = world.name("/{tenant}/oauth2/v2.0/token");
    let form = "grant_type=client_credentials&client_id=99999999-9999-4999-8999-999999999999&client_secret=x&scope=x/.default";
    let answer = browser.ask(&world, "POST", &token, form).await;
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let target = told["error_uri"].as_str().unwrap();
    let page =
        browser.get(&world, target.strip_prefix("https://login.keyless.localhost:8443").unwrap()).await;
    golden::same("number", &page, &world);
    for target in [
        "/error",
        "/error?code=",
        "/error?code=1",
        "/error?code=99999999999",
        "/error?code=%3Cb%3E700016",
        "/error?code=700016&code=1",
    ] {
        let page = browser.get(&world, target).await;
        assert_eq!((page.status, page.heading().as_str()), (404, "No such number"), "{target}");
        assert!(!page.body.contains("<b>") && !page.body.contains("99999999999"), "{}", page.body);
    }
    assert_eq!(browser.ask(&world, "PUT", "/error?code=700016", "").await.status, 405);
}
