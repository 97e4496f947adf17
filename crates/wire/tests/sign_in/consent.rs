//! Consent: what a user is asked, and what only an administrator can allow.

use super::{
    authorize::{request, world},
    browser::Browser,
    golden,
};
use crate::support::World;
use audit::Outcome;

/// What an app asks for that reads the whole directory.
const ALL: (&str, &str) = ("scope", "openid User.Read Directory.Read.All");

async fn make_administrator(world: &World) {
    let change = directory::UserChange { is_administrator: Some(true), ..Default::default() };
    world.state.directory.update_user("alice", &change).await.unwrap();
}

#[tokio::test]
async fn who_cannot_agree_is_told_who_can() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.sign_in(&world, &request(&world, &[ALL]), "alice").await;
    golden::same("administrator", &page, &world);
    let record = world.audit.records().pop().unwrap();
    assert_eq!((record.action, record.outcome), ("code.issue", Outcome::Refused));
    // A form of before, or made up, agrees to nothing.
    for (step, answer) in [("consent", "yes"), ("administrator", "no")] {
        let sent = browser.send(&world, &page, "administrator", &[("step", step), ("answer", answer)]).await;
        let told = sent.parameters();
        assert_eq!(told["error"], "access_denied", "{step}");
        assert!(told["error_description"].starts_with("AADSTS90094: "), "{told:?}");
        assert!(world.state.directory.permission_grants().await.unwrap().is_empty());
    }
    let silent = browser.get(&world, &request(&world, &[ALL, ("prompt", "none")])).await;
    assert_eq!(silent.parameters()["error"], "consent_required");
    let other = browser.send(&world, &page, "administrator", &[("answer", "other")]).await;
    assert_eq!(browser.follow(&world, &other).await.heading(), "Sign in");

    make_administrator(&world).await;
    let page = browser.get(&world, &request(&world, &[ALL])).await;
    let answer = browser.agree(&world, page).await;
    assert!(answer.parameters().contains_key("code"), "{answer:?}");
}

#[tokio::test]
async fn who_cannot_agree_connects_no_device() {
    let world = world().await;
    let form = world.name("client_id={shop.client}&scope=Directory.Read.All");
    let started = Browser::default().ask(&world, "POST", "/common/oauth2/v2.0/devicecode", &form).await;
    let started: serde_json::Value = serde_json::from_str(&started.body).unwrap();
    let code = ("user_code", started["user_code"].as_str().unwrap());
    let mut browser = Browser::default();
    let page = browser.sign_in(&world, "/devicelogin", "alice").await;
    for filled in [&[code][..], &[code, ("step", "device"), ("answer", "yes")]] {
        let sent = browser.send(&world, &page, "device-code", filled).await;
        assert_eq!(sent.status, 403);
        assert!(sent.alert().contains("only an administrator can allow"), "{}", sent.body);
    }
    make_administrator(&world).await;
    let sent = browser.send(&world, &page, "device-code", &[code]).await;
    let done = browser.send(&world, &sent, "device", &[("answer", "yes")]).await;
    assert_eq!(done.heading(), "The device is signed in", "{}", done.body);
}

/// An app that says what it wants of whom is not asked about for what it does not say.
#[tokio::test]
async fn a_resource_that_an_app_does_not_list_is_not_asked_about() {
    let world = world().await;
    let graph = directory::registration::RequiredAccess {
        resource: directory::audience::GRAPH_APPLICATION.parse().unwrap(),
        scopes: vec!["e1fe6dd8-ba31-4d61-89e7-88639da4683d".parse().unwrap()],
        roles: Vec::new(),
    };
    let change = directory::RegistrationChange { required_access: Some(vec![graph]), ..Default::default() };
    world.state.directory.update_registration(&world.name("{shop.client}"), &change).await.unwrap();
    let mut browser = Browser::default();
    let page = browser.sign_in(&world, &request(&world, &[]), "alice").await;
    let told = page.parameters();
    assert_eq!(told["error"], "invalid_scope");
    assert!(told["error_description"].starts_with("AADSTS650057: "), "{told:?}");
    let listed = [("scope", "https://graph.microsoft.com/.default")];
    let page = browser.get(&world, &request(&world, &listed)).await;
    assert!(
        page.body.contains("<code>User.Read</code>") && !page.body.contains("Directory."),
        "{}",
        page.body
    );
    let form = world.name("client_id={shop.client}&scope=https%3A%2F%2Fvault.azure.net%2F.default");
    let started = Browser::default().ask(&world, "POST", "/common/oauth2/v2.0/devicecode", &form).await;
    let started: serde_json::Value = serde_json::from_str(&started.body).unwrap();
    let page = browser.get(&world, "/devicelogin").await;
    let code = ("user_code", started["user_code"].as_str().unwrap());
    let sent = browser.send(&world, &page, "device-code", &[code]).await;
    assert_eq!(sent.status, 400);
    assert!(sent.alert().contains("not registered for"), "{}", sent.body);
}

/// As MSAL asks with `extraScopesToConsent`.
#[tokio::test]
async fn what_an_app_wants_of_several_resources_is_agreed_to_on_one_page() {
    let world = world().await;
    let several = [("scope", "openid https://vault.azure.net/.default User.Read")];
    let mut browser = Browser::default();
    let page = browser.sign_in(&world, &request(&world, &several), "alice").await;
    for name in ["openid", "user_impersonation", "User.Read"] {
        assert_eq!(page.body.matches(&format!("<code>{name}</code>")).count(), 1, "{name}: {}", page.body);
    }
    let silent = browser.get(&world, &request(&world, &[several[0], ("prompt", "none")])).await;
    assert_eq!(silent.parameters()["error"], "consent_required");
    let agreed = browser.send(&world, &page, "consent", &[("answer", "yes")]).await;
    let record = world.audit.records().pop().unwrap();
    assert_eq!(record.action, "consent.give");
    assert!(
        record.target.ends_with("https://vault.azure.net, https://graph.keyless.localhost:8443"),
        "{}",
        record.target
    );
    assert!(browser.follow(&world, &agreed).await.parameters().contains_key("code"));
}
