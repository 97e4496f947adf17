//! The steps of a sign-in: code of the authenticator app, another password; and one's own account.

use super::{
    authorize::{agreed, request, world},
    browser::{Browser, PASSWORD, Shown, user},
    golden,
};
use crate::support::{NOW, World};
use domain::Secret;

/// Gives alice an authenticator app; its secret.
async fn authenticator(world: &World) -> Vec<u8> {
    let directory = &world.state.directory;
    let enrolment = directory.add_authenticator("alice", NOW).await.unwrap();
    let secret = unbase32(enrolment.secret.expose());
    directory.confirm_authenticator("alice", &code(world, &secret), NOW).await.unwrap();
    world.later(30);
    secret
}

/// RFC 4648 section 6, without padding.
fn unbase32(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u64, 0);
    for letter in text.bytes() {
        let digit = alphabet.iter().position(|known| *known == letter).unwrap();
        bits = (bits << 5 | u64::try_from(digit).unwrap()) & 0xffff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

/// What the app shows now.
fn code(world: &World, secret: &[u8]) -> String {
    let now = domain::Clock::now(&*world.clock).seconds();
    format!("{:06}", crypt::otp::code(secret, u64::try_from(now).unwrap() / 30))
}

async fn password(browser: &mut Browser, world: &World, target: &str) -> Shown {
    let page = browser.get(world, target).await;
    browser.send(world, &page, "password", &[("username", "alice"), ("password", PASSWORD)]).await
}

const SESSION: &str = "__Host-keyless-session";

#[tokio::test]
async fn who_has_an_authenticator_app_must_show_its_code() {
    let world = world().await;
    let secret = authenticator(&world).await;
    let mut browser = Browser::default();
    let page = password(&mut browser, &world, &request(&world, &[])).await;
    golden::same("code", &page, &world);
    assert!(!browser.cookies.contains_key(SESSION), "a password is not enough");
    let wrong = browser.send(&world, &page, "code", &[("code", "000000")]).await;
    assert_eq!(wrong.status, 403);
    assert!(wrong.alert().starts_with("The code is wrong"), "{}", wrong.body);
    let shown = code(&world, &secret);
    let done = browser.send(&world, &wrong, "code", &[("code", &shown)]).await;
    assert_eq!(done.heading(), "You are signed in", "{}", done.body);
    assert!(world.audit.records().last().unwrap().reason.starts_with("by pwd, otp, mfa"));
    // A code is good once, in whichever browser.
    let mut other = Browser::default();
    let page = password(&mut other, &world, "/").await;
    assert_eq!(other.send(&world, &page, "code", &[("code", &shown)]).await.status, 403);
}

#[tokio::test]
async fn half_a_sign_in_is_of_one_browser_for_minutes_and_one_password() {
    let world = world().await;
    let secret = authenticator(&world).await;
    let mut browser = Browser::default();
    let page = password(&mut browser, &world, "/").await;
    let (_, fields) = page.form("code");
    let ticket = fields["ticket"].as_str();
    // In another browser, with a form of its own.
    let mut other = Browser::default();
    let (action, mut theirs) = password(&mut other, &world, "/").await.form("code");
    theirs.insert("ticket".to_owned(), ticket.to_owned());
    theirs.insert("code".to_owned(), code(&world, &secret));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&theirs).finish();
    let answer = other.ask(&world, "POST", &action, &body).await;
    assert_eq!((answer.status, answer.heading().as_str()), (403, "Sign in"), "{}", answer.body);
    for broken in ["", "x", &ticket[1..], &ticket.replace(&ticket[9..10], "A")[..ticket.len() - 1]] {
        let answer = browser
            .send(&world, &page, "code", &[("ticket", broken), ("code", &code(&world, &secret))])
            .await;
        assert_eq!((answer.status, answer.heading().as_str()), (403, "Sign in"), "{broken}");
    }
    let later = page.clone();
    world.later(600);
    let answer = browser.send(&world, &later, "code", &[("code", &code(&world, &secret))]).await;
    assert_eq!(answer.alert(), "That took too long. Please begin again.");
    let page = password(&mut browser, &world, "/").await;
    let new = Secret::new("another horse battery".to_owned());
    world
        .state
        .directory
        .set_password("alice", &new, false, domain::Clock::now(&*world.clock))
        .await
        .unwrap();
    let answer = browser.send(&world, &page, "code", &[("code", &code(&world, &secret))]).await;
    assert_eq!(answer.status, 403, "the password is another one by now");
    assert!(!browser.cookies.contains_key(SESSION) && !other.cookies.contains_key(SESSION));
}

#[tokio::test]
async fn codes_cannot_be_guessed() {
    let world = world().await;
    let secret = authenticator(&world).await;
    let mut browser = Browser::default();
    let mut page = password(&mut browser, &world, "/").await;
    for _ in 0..5 {
        page = browser.send(&world, &page, "code", &[("code", "000000")]).await;
        assert_eq!(page.status, 403);
    }
    let page = browser.send(&world, &page, "code", &[("code", &code(&world, &secret))]).await;
    assert_eq!((page.status, page.header("retry-after")), (429, "60"));
}

#[tokio::test]
async fn who_must_set_another_password_does_so_before_anything_else() {
    let world = world().await;
    let secret = authenticator(&world).await;
    let first = Secret::new(PASSWORD.to_owned());
    world.state.directory.set_password("alice", &first, true, NOW).await.unwrap();
    let mut browser = Browser::default();
    let page = password(&mut browser, &world, &request(&world, &[])).await;
    assert_eq!(page.heading(), "Enter your code");
    let fields = |new: &'static str, again: &'static str| {
        [("password", PASSWORD), ("new_password", new), ("new_password_again", again)]
    };
    // Not past the code: the form is not there, but its step can be written.
    let (_, hidden) = page.form("code");
    let step = ("step", "new-password");
    let skipped = [
        &fields("a better one of alice", "a better one of alice")[..],
        &[step, ("ticket", &hidden["ticket"])],
    ]
    .concat();
    let answer = browser.send(&world, &page, "code", &skipped).await;
    assert_eq!(answer.heading(), "Enter your code", "{}", answer.body);
    let page = browser.send(&world, &page, "code", &[("code", &code(&world, &secret))]).await;
    golden::same("new-password", &page, &world);
    assert!(!browser.cookies.contains_key(SESSION));
    for (new, again, words) in [
        ("a better one of alice", "another", "The two new passwords are not the same."),
        ("short", "short", "This password cannot be used: "),
        (PASSWORD, PASSWORD, "This password cannot be used: "),
        ("", "", "Fill in all three fields."),
    ] {
        let answer = browser.send(&world, &page, "new-password", &fields(new, again)).await;
        assert!(answer.status == 400 && answer.alert().starts_with(words), "{new}: {}", answer.body);
    }
    let wrong = [
        ("password", "wrong horse battery"),
        ("new_password", "a better one"),
        ("new_password_again", "a better one"),
    ];
    let answer = browser.send(&world, &page, "new-password", &wrong).await;
    assert_eq!((answer.status, answer.alert()), (403, "The current password is wrong."));
    let good = fields("a better one of alice", "a better one of alice");
    let done = browser.send(&world, &page, "new-password", &good).await;
    assert_eq!(done.heading(), "You are signed in", "{}", done.body);
    assert!(browser.follow(&world, &done).await.heading().contains("asks for your permission"));
    assert!(!world.audit.lines().concat().contains("a better one"));
}

#[tokio::test]
async fn a_disabled_user_is_told_only_with_the_right_password() {
    let world = world().await;
    let alice = world.state.directory.user("alice").await.unwrap();
    let mut before = agreed(&world).await;
    world.state.directory.disable_principal(alice.user.id).await.unwrap();
    let mut browser = Browser::default();
    let page = password(&mut browser, &world, "/").await;
    assert_eq!((page.status, page.alert()), (403, "This account is disabled. Ask your administrator."));
    let page =
        browser.send(&world, &page, "password", &[("username", "alice"), ("password", "wrong horse")]).await;
    assert!(page.alert().starts_with("The user name or the password is wrong"), "{}", page.body);
    assert_eq!(before.get(&world, "/").await.heading(), "Sign in", "sessions are over");
}

#[tokio::test]
async fn a_password_is_changed_on_ones_own_account() {
    let world = world().await;
    let mut elsewhere = agreed(&world).await;
    let mut browser = Browser::default();
    let page = browser.sign_in(&world, "/", "alice").await;
    golden::same("account", &page, &world);
    let wrong = [
        ("password", "wrong horse"),
        ("new_password", "a better one"),
        ("new_password_again", "a better one"),
    ];
    let answer = browser.send(&world, &page, "change-password", &wrong).await;
    assert_eq!((answer.status, answer.alert()), (403, "The current password is wrong."));
    let good =
        [("password", PASSWORD), ("new_password", "a better one"), ("new_password_again", "a better one")];
    let answer = browser.send(&world, &page, "change-password", &good).await;
    assert_eq!(answer.heading(), "Your password is set", "{}", answer.body);
    assert_eq!(browser.follow(&world, &answer).await.heading(), "Your account", "this browser goes on");
    assert_eq!(elsewhere.get(&world, "/").await.heading(), "Sign in", "others do not");
    user(&world, "bob").await;
    let nobody = Browser::default().get(&world, "/").await;
    assert!(!nobody.body.contains("alice"), "{}", nobody.body);
}

#[tokio::test]
async fn an_authenticator_app_is_added_and_removed_on_ones_own_account() {
    let world = world().await;
    let mut browser = Browser::default();
    let account = browser.sign_in(&world, "/", "alice").await;
    let wrong = browser.send(&world, &account, "add-authenticator", &[("password", "wrong horse")]).await;
    assert_eq!((wrong.status, wrong.alert()), (403, "The current password is wrong."));
    let page = browser.send(&world, &account, "add-authenticator", &[("password", PASSWORD)]).await;
    let shown = page.body.split("class=\"who secret\">").nth(1).unwrap().split("</p>").next().unwrap();
    let text = shown.replace("<span>", "").replace("</span>", "").replace(' ', "");
    let secret = unbase32(&text);
    assert_eq!(secret.len(), 20, "{text}");
    assert!(
        page.body.contains(&format!(
            "otpauth://totp/keyless.localhost:alice%40keyless.localhost?secret={text}&amp;"
        ))
    );
    assert!(!world.audit.lines().concat().contains(&text));
    let wrong = browser.send(&world, &page, "confirm-authenticator", &[("code", "000000")]).await;
    assert!(wrong.status == 403 && !wrong.body.contains(&text), "it is shown once: {}", wrong.body);
    let before = password(&mut Browser::default(), &world, "/").await;
    assert_eq!(before.heading(), "You are signed in", "it does not count yet");
    let done =
        browser.send(&world, &wrong, "confirm-authenticator", &[("code", &code(&world, &secret))]).await;
    assert_eq!(done.heading(), "Your authenticator app is added", "{}", done.body);
    assert_eq!(password(&mut Browser::default(), &world, "/").await.heading(), "Enter your code");
    world.later(30);
    let account = browser.follow(&world, &done).await;
    golden::same("account-authenticator", &account, &world);
    let shown = code(&world, &secret);
    for (password, code, status) in
        [("wrong horse", shown.as_str(), 403), (PASSWORD, "000000", 403), (PASSWORD, &shown, 200)]
    {
        let fields = [("password", password), ("code", code)];
        assert_eq!(
            browser.send(&world, &account, "remove-authenticator", &fields).await.status,
            status,
            "{password} {code}"
        );
    }
    assert_eq!(password(&mut Browser::default(), &world, "/").await.heading(), "You are signed in");
    let records = world.audit.records();
    let actions: Vec<_> =
        records.iter().map(|record| record.action).filter(|action| action.starts_with("user.auth")).collect();
    let add = ["user.authenticator.add"; 2];
    let confirm = ["user.authenticator.confirm"; 2];
    assert_eq!(actions, [&add[..], &confirm, &["user.authenticator.remove"; 3]].concat());
}
