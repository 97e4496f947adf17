//! Devices: a code is typed, and the user says whether it is theirs.

use super::{
    authorize::world,
    browser::{Browser, Shown},
    golden,
};
use crate::support::World;
use audit::Outcome;

const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// A device asks: its two codes.
async fn begin(world: &World) -> (String, String) {
    let body = format!("client_id={AZURE_CLI}&scope=openid+https%3A%2F%2Fvault.azure.net%2F.default");
    let answer = Browser::default().ask(world, "POST", "/common/oauth2/v2.0/devicecode", &body).await;
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let text = |name: &str| told[name].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    (text("device_code"), text("user_code"))
}

/// The device asks for its tokens: the error, or nothing.
async fn poll(world: &World, device_code: &str) -> String {
    world.later(10);
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
    let body = format!("client_id={AZURE_CLI}&grant_type={grant}&device_code={device_code}");
    let answer = Browser::default().ask(world, "POST", "/common/oauth2/v2.0/token", &body).await;
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    told["error"].as_str().unwrap_or_default().to_owned()
}

async fn asked(browser: &mut Browser, world: &World, user_code: &str) -> Shown {
    let page = browser.sign_in(world, "/devicelogin", "alice").await;
    golden::same("device-code", &page, world);
    browser.send(world, &page, "device-code", &[("user_code", user_code)]).await
}

#[tokio::test]
async fn a_device_waits_for_a_yes() {
    let world = world().await;
    let (device_code, user_code) = begin(&world).await;
    let mut browser = Browser::default();
    let typed = format!("{}-{}", &user_code[..4], user_code[4..].to_lowercase());
    let page = asked(&mut browser, &world, &typed).await;
    golden::same("device", &Shown { body: page.body.replace(&typed, "{code}"), ..page.clone() }, &world);
    assert_eq!(poll(&world, &device_code).await, "authorization_pending", "asking is not answering");
    let done = browser.send(&world, &page, "device", &[("answer", "yes")]).await;
    assert_eq!(done.heading(), "The device is signed in", "{}", done.body);
    let record = world.audit.records().pop().unwrap();
    assert_eq!((record.action, record.outcome), ("device.approve", Outcome::Allowed));
    assert!(record.target.contains(AZURE_CLI), "{}", record.target);
    assert_eq!(poll(&world, &device_code).await, "");
    let again = browser.send(&world, &page, "device", &[("answer", "yes")]).await;
    assert_eq!(again.status, 404, "a code is good once");
}

#[tokio::test]
async fn a_device_that_is_not_ones_own_is_turned_away() {
    let world = world().await;
    let (device_code, user_code) = begin(&world).await;
    let mut browser = Browser::default();
    let page = asked(&mut browser, &world, &user_code).await;
    let done = browser.send(&world, &page, "device", &[("answer", "no")]).await;
    assert_eq!(done.heading(), "The device was turned away", "{}", done.body);
    assert_eq!(world.audit.records().pop().unwrap().action, "device.decline");
    assert_eq!(poll(&world, &device_code).await, "authorization_declined");
}

#[tokio::test]
async fn a_device_that_wants_what_is_gone_is_told_on_the_page() {
    let world = world().await;
    let new = directory::NewRegistration {
        display_name: "orders".to_owned(),
        identifier_uris: vec!["api://orders".to_owned()],
        ..directory::NewRegistration::default()
    };
    let made = world.state.directory.create_registration(new, crate::support::NOW).await.unwrap();
    let body = format!("client_id={AZURE_CLI}&scope=openid+api%3A%2F%2Forders%2F.default");
    let answer = Browser::default().ask(&world, "POST", "/common/oauth2/v2.0/devicecode", &body).await;
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let user_code = told["user_code"].as_str().unwrap_or_else(|| panic!("{told}"));
    world.state.directory.delete_registration(&made.client.to_string()).await.unwrap();
    let mut browser = Browser::default();
    let page = asked(&mut browser, &world, user_code).await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("something that is no longer there"), "{}", page.body);
}

#[tokio::test]
async fn codes_are_not_for_strangers_to_try() {
    let world = world().await;
    let (device_code, user_code) = begin(&world).await;
    // A link with the code is no more than the page: who follows it has typed nothing.
    let mut browser = Browser::default();
    let target = format!("/devicelogin?user_code={user_code}&otc={user_code}");
    let page = browser.sign_in(&world, &target, "alice").await;
    let (_, fields) = page.form("device-code");
    assert_eq!(fields["user_code"], "");
    // Without a session, the step is a sign-in.
    let mut stranger = Browser::default();
    let page = stranger.get(&world, "/devicelogin").await;
    for (step, answer) in [("device-code", ""), ("device", "yes")] {
        let sent = stranger
            .send(&world, &page, "password", &[("step", step), ("user_code", &user_code), ("answer", answer)])
            .await;
        assert_eq!(sent.heading(), "Please sign in again", "{}", sent.body);
    }
    assert_eq!(poll(&world, &device_code).await, "authorization_pending");
    let page = browser.get(&world, "/devicelogin").await;
    for wrong in ["BBBBBBBB", "", "x", "BBBB BBBB BBBB"] {
        let sent = browser.send(&world, &page, "device-code", &[("user_code", wrong)]).await;
        assert!(sent.status == 404 && sent.alert().starts_with("No device waits"), "{}", sent.body);
        let record = world.audit.records().pop().unwrap();
        assert_eq!((record.action, record.outcome), ("device.answer", Outcome::Refused));
    }
    world.later(900);
    let sent = browser.send(&world, &page, "device-code", &[("user_code", &user_code)]).await;
    assert_eq!(sent.status, 404, "its time is over");
}
