//! Passkeys: made at one's own account, used in place of password and code. The authenticator here signs as real ones do.

use super::{
    authorize::world,
    browser::{Browser, PASSWORD, Shown, attribute},
    golden,
};
use crate::support::World;
use crypt::{
    encoding::{base64url, from_base64url},
    sha256,
    test_keys::{AuthenticatorPair, PairKind},
};
use serde_json::json;

const SESSION: &str = "__Host-keyless-session";
/// Present, verified.
const GOOD: u8 = 0x05;

/// A security key, and the browser's part of what it answers.
struct Key {
    pair: AuthenticatorPair,
    counter: u32,
    user: String,
    origin: &'static str,
    flags: u8,
}

impl Key {
    fn new() -> Self {
        let origin = "https://login.keyless.localhost:8443";
        Self {
            pair: AuthenticatorPair::fresh(PairKind::Es256),
            counter: 0,
            user: String::new(),
            origin,
            flags: GOOD,
        }
    }

    fn client_data(&self, kind: &str, challenge: &str) -> String {
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false}).to_string()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let site = sha256("login.keyless.localhost");
        [&site.bytes()[..], &[self.flags | flags], &self.counter.to_be_bytes()].concat()
    }

    /// Makes a passkey as the page asks for it.
    fn make(&mut self, page: &Shown) -> Vec<(&'static str, String)> {
        let form = page.body.split("<form ").find(|form| form.contains("data-passkey=\"make\"")).unwrap();
        assert_eq!(attribute(form, "data-site").unwrap(), "login.keyless.localhost");
        self.user = attribute(form, "data-user").unwrap();
        let client_data = self.client_data("webauthn.create", &attribute(form, "data-challenge").unwrap());
        let data = [self.data(0x40), vec![0; 16], vec![0, 16], vec![9; 16], self.pair.cose()].concat();
        let text = |text: &str| [&[0x60 | u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let length = u16::try_from(data.len()).unwrap().to_be_bytes().to_vec();
        let object = [
            vec![0xa3],
            text("fmt"),
            text("none"),
            text("attStmt"),
            vec![0xa0],
            text("authData"),
            vec![0x59],
            length,
            data,
        ];
        vec![
            ("passkey_client_data", base64url(client_data.as_bytes())),
            ("passkey_object", base64url(&object.concat())),
        ]
    }

    /// Signs in as the page asks for it.
    fn sign(&mut self, page: &Shown) -> Vec<(&'static str, String)> {
        let form = page.body.split("<form ").find(|form| form.contains("data-passkey=\"use\"")).unwrap();
        let client_data = self.client_data("webauthn.get", &attribute(form, "data-challenge").unwrap());
        self.counter += 1;
        let data = self.data(0);
        let signature = self.pair.sign(&[&data[..], sha256(&client_data).bytes()].concat());
        vec![
            ("passkey_id", base64url(&[9; 16])),
            ("passkey_user", base64url(self.user.as_bytes())),
            ("passkey_client_data", base64url(client_data.as_bytes())),
            ("passkey_data", base64url(&data)),
            ("passkey_signature", base64url(&signature)),
        ]
    }
}

async fn send(
    browser: &mut Browser,
    world: &World,
    page: &Shown,
    step: &str,
    fields: &[(&str, String)],
) -> Shown {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.send(world, page, step, &fields).await
}

/// Alice's browser, signed in with a password; and her key, whose passkey is added.
async fn with_key(world: &World) -> (Browser, Key) {
    let (mut browser, mut key) = (Browser::default(), Key::new());
    let page = browser.sign_in(world, "/", "alice").await;
    let page = browser.send(world, &page, "add-passkey", &[("password", PASSWORD)]).await;
    golden::same("add-passkey", &page, world);
    let done = send(&mut browser, world, &page, "make-passkey", &key.make(&page)).await;
    assert_eq!(done.heading(), "Your passkey is added", "{}", done.body);
    (browser, key)
}

#[tokio::test]
async fn a_passkey_stands_for_password_and_code() {
    let world = world().await;
    let (mut account, mut key) = with_key(&world).await;
    let mut browser = Browser::default();
    let page = browser.get(&world, "/").await;
    let done = send(&mut browser, &world, &page, "passkey", &key.sign(&page)).await;
    assert_eq!(done.heading(), "You are signed in", "{}", done.body);
    let page = browser.follow(&world, &done).await;
    assert_eq!(page.heading(), "Your account");
    golden::same("account-passkey", &page, &world);
    assert!(world.audit.records().last().unwrap().reason.starts_with("by fido, mfa"));
    let removed = account.get(&world, "/").await;
    let wrong = account.send(&world, &removed, "remove-passkey", &[("password", "wrong horse")]).await;
    assert_eq!((wrong.status, wrong.alert()), (403, "The current password is wrong."));
    let removed = account.send(&world, &removed, "remove-passkey", &[("password", PASSWORD)]).await;
    assert_eq!(removed.heading(), "Your passkey is removed", "{}", removed.body);
    let mut late = Browser::default();
    let page = late.get(&world, "/").await;
    assert_eq!(send(&mut late, &world, &page, "passkey", &key.sign(&page)).await.status, 403);
}

#[tokio::test]
async fn what_a_passkey_has_signed_is_good_once_here_and_soon() {
    let world = world().await;
    let (_account, mut key) = with_key(&world).await;
    let mut browser = Browser::default();
    let page = browser.get(&world, "/").await;
    let refused = |answer: &Shown, browser: &Browser| {
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.alert().starts_with("The passkey was not taken"), "{}", answer.body);
        assert!(!browser.cookies.contains_key(SESSION));
    };
    // Another browser's challenge.
    let mut other = Browser::default();
    let theirs = other.get(&world, "/").await;
    let mut signed = key.sign(&theirs);
    signed.push(("passkey_challenge", theirs.form("passkey").1["passkey_challenge"].clone()));
    refused(&send(&mut browser, &world, &page, "passkey", &signed).await, &browser);
    // Another challenge than the one that was signed; another site's; not verified; another user's.
    let elsewhere = browser.get(&world, "/").await;
    refused(&send(&mut browser, &world, &page, "passkey", &key.sign(&elsewhere)).await, &browser);
    key.origin = "https://login.keyless.localhost.evil.example";
    refused(&send(&mut browser, &world, &page, "passkey", &key.sign(&page)).await, &browser);
    key.origin = "https://login.keyless.localhost:8443";
    key.flags = 0x01;
    refused(&send(&mut browser, &world, &page, "passkey", &key.sign(&page)).await, &browser);
    key.flags = GOOD;
    for user in [
        "99999999-9999-4999-8999-999999999999".to_owned(),
        world.state.directory.tenant().administrator.to_string(),
        "x".to_owned(),
    ] {
        let mut signed = key.sign(&page);
        signed.push(("passkey_user", base64url(user.as_bytes())));
        refused(&send(&mut browser, &world, &page, "passkey", &signed).await, &browser);
    }
    let stranger = &mut Key { user: key.user.clone(), ..Key::new() };
    refused(&send(&mut browser, &world, &page, "passkey", &stranger.sign(&page)).await, &browser);
    let none = browser.send(&world, &page, "passkey", &[]).await;
    assert_eq!(none.status, 400);
    // Once: a copy of this browser, from before its sign-in.
    let (signed, mut copy) = (key.sign(&page), browser.clone());
    let done = send(&mut browser, &world, &page, "passkey", &signed).await;
    assert_eq!(done.heading(), "You are signed in", "{}", done.body);
    refused(&send(&mut copy, &world, &page, "passkey", &signed).await, &copy);
    // With the same challenge, signed anew.
    refused(&send(&mut copy, &world, &page, "passkey", &key.sign(&page)).await, &copy);
    let late = copy.get(&world, "/").await;
    let signed = key.sign(&late);
    world.later(600);
    refused(&send(&mut copy, &world, &late, "passkey", &signed).await, &copy);
}

#[tokio::test]
async fn a_passkey_is_added_by_who_has_just_shown_the_password() {
    let world = world().await;
    let (mut browser, mut key) = (Browser::default(), Key::new());
    let account = browser.sign_in(&world, "/", "alice").await;
    let wrong = browser.send(&world, &account, "add-passkey", &[("password", "wrong horse")]).await;
    assert_eq!(wrong.status, 403, "{}", wrong.body);
    let page = browser.send(&world, &account, "add-passkey", &[("password", PASSWORD)]).await;
    let made = key.make(&page);
    for ticket in ["", "x"] {
        let answer = send(
            &mut browser,
            &world,
            &page,
            "make-passkey",
            &[&made[..], &[("ticket", ticket.to_owned())]].concat(),
        )
        .await;
        assert_eq!(answer.status, 403, "{}", answer.body);
    }
    world.later(600);
    assert_eq!(send(&mut browser, &world, &page, "make-passkey", &made).await.status, 403, "too late");
    let alice = world.state.directory.user("alice").await.unwrap();
    assert!(alice.user.passkeys.is_empty());
    assert!(from_base64url(&page.form("make-passkey").1["passkey_challenge"]).unwrap().len() >= 32);
    // An administrator's new password takes the passkeys away; the user's own does not.
    let page = browser.send(&world, &account, "add-passkey", &[("password", PASSWORD)]).await;
    let done = send(&mut browser, &world, &page, "make-passkey", &key.make(&page)).await;
    assert_eq!(done.heading(), "Your passkey is added", "{}", done.body);
    let (old, new) =
        (domain::Secret::new(PASSWORD.to_owned()), domain::Secret::new("a better one".to_owned()));
    let (directory, now) = (&world.state.directory, domain::Clock::now(&*world.clock));
    let changed = directory.change_password("alice", &old, &new, None, now).await.unwrap();
    assert_eq!(changed.user.passkeys.len(), 1);
    assert!(directory.set_password("alice", &old, false, now).await.unwrap().user.passkeys.is_empty());
}
