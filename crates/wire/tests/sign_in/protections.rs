//! What a stranger, another site or a neighbour cannot do.

use super::{
    authorize::{CALLBACK, agreed, request, world},
    browser::{Browser, PASSWORD, Shown, user},
    golden,
};
use crate::support::World;
use audit::Outcome;

const BROWSER: &str = "__Host-keyless-browser";
const SESSION: &str = "__Host-keyless-session";

async fn try_password(browser: &mut Browser, world: &World, page: &Shown, password: &str) -> Shown {
    browser.send(world, page, "password", &[("username", "alice"), ("password", password)]).await
}

#[tokio::test]
async fn every_answer_to_a_browser_has_its_headers() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    let mut answers = Vec::new();
    for target in [
        request(&world, &[]),
        request(&world, &[("prompt", "login")]),
        request(&world, &[("prompt", "select_account")]),
        request(&world, &[("client_id", "x")]),
        request(&world, &[("response_mode", "form_post")]),
        world.name("/{tenant}/oauth2/v2.0/logout"),
        world.name("/{tenant}/userrealm/alice@keyless.localhost"),
        "/devicelogin".to_owned(),
        "/".to_owned(),
        format!("/?{}", "x".repeat(40_000)),
    ] {
        answers.push(browser.get(&world, &target).await);
    }
    answers.push(browser.ask(&world, "PUT", "/", "").await);
    answers.push(browser.ask(&world, "POST", "/devicelogin", "step=device-code&user_code=x").await);
    for answer in answers {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), value, "{answer:?}");
        }
        let is_page = answer.header("content-type").starts_with("text/html");
        let referrer = answer.header("referrer-policy");
        assert!(if is_page {
            matches!(referrer, "same-origin" | "no-referrer")
        } else {
            referrer == "no-referrer"
        });
        if !is_page {
            continue;
        }
        let policy = answer.header("content-security-policy");
        let style = answer.body.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let style = crypt::encoding::base64(crypt::sha256(style).bytes());
        assert!(policy.starts_with(&format!("default-src 'none'; style-src 'sha256-{style}'; ")), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'none'; base-uri 'none'"), "{policy}");
        let leads_to_client = answer.heading() == "One more step";
        assert_eq!(policy.contains("form-action 'self';"), !leads_to_client, "{policy}");
        for outside in ["src=", "<link", "url(", "@import", "onclick", "style=\""] {
            assert!(!answer.body.contains(outside), "{outside}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn cookies_are_of_this_host_alone_and_out_of_reach() {
    let world = world().await;
    let mut browser = Browser::default();
    let first = browser.get(&world, "/").await;
    let page = try_password(&mut browser, &world, &first, PASSWORD).await;
    let all = [first, page].into_iter().flat_map(|page| {
        let cookies = page.headers.get_all("set-cookie").iter();
        cookies.map(|cookie| cookie.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    let all: Vec<_> = all.collect();
    assert_eq!(all.len(), 3, "{all:?}");
    for cookie in all {
        assert!(cookie.starts_with("__Host-"), "{cookie}");
        assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
    }
}

#[tokio::test]
async fn a_form_of_somewhere_else_does_nothing() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.get(&world, &request(&world, &[])).await;
    let refused = |answer: &Shown| {
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(!answer.headers.contains_key("set-cookie") && answer.refresh().is_none(), "{answer:?}");
        let record = world.audit.records().pop().unwrap();
        assert_eq!((record.action, record.outcome), ("code.issue", Outcome::Refused));
    };
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "https://shop.vault.keyless.localhost:8443"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        let mut other = Browser { says: vec![(name, value.to_owned())], ..browser.clone() };
        refused(&try_password(&mut other, &world, &page, PASSWORD).await);
    }
    // Without a token it is a client's own request, which is only shown.
    let (action, _) = page.form("password");
    let body = format!("step=password&username=alice&password={}", PASSWORD.replace(' ', "+"));
    for body in [body.clone(), format!("{body}&form_token=")] {
        let answer = browser.ask(&world, "POST", &action, &body).await;
        assert!(answer.status == 303 && !answer.headers.contains_key("set-cookie"), "{answer:?}");
    }
    refused(&browser.ask(&world, "POST", &action, &format!("{body}&form_token=guess")).await);
    // Another browser's form: an attacker has one of their own.
    let mut attacker = Browser::default();
    let theirs = attacker.get(&world, &request(&world, &[])).await;
    refused(&try_password(&mut browser, &world, &theirs, PASSWORD).await);
    let ours = Browser {
        says: vec![
            ("origin", "https://login.keyless.localhost:8443".to_owned()),
            ("sec-fetch-site", "same-origin".to_owned()),
        ],
        ..browser.clone()
    };
    assert_eq!(try_password(&mut { ours }, &world, &page, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_browser_without_cookies_is_told() {
    let world = world().await;
    let page = Browser::default().get(&world, "/").await;
    let answer = try_password(&mut Browser::default(), &world, &page, PASSWORD).await;
    assert_eq!(answer.status, 403);
    golden::same("no-cookies", &answer, &world);
}

#[tokio::test]
async fn a_form_that_was_shown_to_one_user_is_not_sent_by_another() {
    let world = world().await;
    user(&world, "bob").await;
    let mut browser = Browser::default();
    let consent = browser.sign_in(&world, &request(&world, &[]), "alice").await;
    let _other_window = browser.sign_in(&world, &request(&world, &[("prompt", "login")]), "bob").await;
    let answer = browser.send(&world, &consent, "consent", &[("answer", "yes")]).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    golden::same("out-of-date", &answer, &world);
    // Not even where the browser's own cookie is the same.
    let mut mixed = Browser::default();
    let consent = mixed.sign_in(&world, &request(&world, &[]), "alice").await;
    mixed.cookies.insert(SESSION.to_owned(), browser.cookies[SESSION].clone());
    let answer = mixed.send(&world, &consent, "consent", &[("answer", "yes")]).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    let page = browser.get(&world, &request(&world, &[])).await;
    assert!(page.body.contains("bob@"), "bob has agreed to nothing: {}", page.body);
}

#[tokio::test]
async fn what_was_planted_before_a_sign_in_is_worth_nothing_after_it() {
    let world = world().await;
    user(&world, "mallory").await;
    // Mallory plants cookies in alice's browser: of a session of her own, and of nobody.
    let mut mallory = agreed(&world).await;
    let planted = mallory.cookies.clone();
    for session in [planted[SESSION].clone(), "made-up.by-mallory".to_owned()] {
        let mut alice = Browser { cookies: planted.clone(), ..Browser::default() };
        alice.cookies.insert(SESSION.to_owned(), session.clone());
        let form = alice.get(&world, &request(&world, &[("prompt", "login")])).await;
        let _page = alice.sign_in(&world, &request(&world, &[("prompt", "login")]), "alice").await;
        assert_ne!(alice.cookies[SESSION], session);
        assert_ne!(alice.cookies[BROWSER], planted[BROWSER]);
        let late = try_password(&mut alice, &world, &form, PASSWORD).await;
        assert_eq!(late.status, 403, "a form of before the sign-in");
    }
    // Another user's session that the browser had is over once somebody else signs in.
    let mut browser = Browser::default();
    let _page = browser.sign_in(&world, "/", "mallory").await;
    let former = browser.clone();
    let logout = browser.get(&world, &request(&world, &[("prompt", "login")])).await;
    let _page =
        browser.send(&world, &logout, "password", &[("username", "alice"), ("password", PASSWORD)]).await;
    assert_eq!({ former }.get(&world, "/").await.heading(), "Sign in");
    assert_eq!(mallory.get(&world, "/").await.heading(), "Your account");
}

#[tokio::test]
async fn nobody_is_told_who_exists() {
    let world = world().await;
    let mut answers = Vec::new();
    for (name, password) in [
        ("alice", "wrong horse battery"),
        ("nobody", "wrong horse battery"),
        ("no body!", PASSWORD),
        ("administrator", PASSWORD),
    ] {
        let mut browser = Browser::default();
        let page = browser.get(&world, "/").await;
        let page =
            browser.send(&world, &page, "password", &[("username", name), ("password", password)]).await;
        let record = world.audit.records().pop().unwrap();
        assert_eq!((record.action, record.outcome), ("sign_in", Outcome::Refused));
        assert_eq!(record.reason, "the user name or the password is wrong");
        // Who is here is named; what names nobody may be a password in the wrong field.
        let is_here = ["alice", "administrator"].contains(&name);
        assert_eq!(record.target.contains(name), is_here, "{}", record.target);
        // Alike but for what is fresh and what the browser itself has said.
        let (_, fields) = page.form("passkey");
        let fresh = [&fields["form_token"], &fields["passkey_challenge"], &format!("value=\"{name}\"")];
        let body = fresh.iter().fold(page.body.clone(), |body, fresh| body.replace(*fresh, ""));
        answers.push((page.status, body));
    }
    assert_eq!(answers[0].0, 403);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "the answers differ");
    let realm = |name: &'static str| {
        let world = &world;
        async move {
            Browser::default().get(world, &format!("/common/userrealm/{name}?api-version=1.0")).await.body
        }
    };
    assert_eq!(realm("alice@keyless.localhost").await, realm("nobody@other.example").await);
    assert!(realm("x").await.contains("\"account_type\":\"Managed\""));
}

#[tokio::test]
async fn who_guesses_waits_and_is_told_how_long() {
    let world = world().await;
    let mut browser = Browser::default();
    let mut page = browser.get(&world, "/").await;
    for _ in 0..5 {
        page = try_password(&mut browser, &world, &page, "wrong horse battery").await;
        assert_eq!(page.status, 403);
    }
    let page = try_password(&mut browser, &world, &page, PASSWORD).await;
    assert_eq!((page.status, page.header("retry-after")), (429, "60"), "the right one too");
    assert_eq!(page.alert(), "Too many tries. Wait 60 seconds, then try again.");
    assert!(!page.headers.contains_key("set-cookie"));
    world.later(60);
    assert_eq!(try_password(&mut browser, &world, &page, PASSWORD).await.heading(), "You are signed in");
}

#[tokio::test]
async fn what_strangers_write_is_shown_as_text() {
    let world = world().await;
    let evil = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>&amp;";
    let mut browser = Browser::default();
    let mut pages = Vec::new();
    for more in [
        "state",
        "nonce",
        "login_hint",
        "redirect_uri",
        "client_id",
        "scope",
        "response_type",
        "code_challenge",
        "prompt",
        "unknown",
    ] {
        for mode in ["query", "form_post"] {
            pages.push(browser.get(&world, &request(&world, &[(more, evil), ("response_mode", mode)])).await);
        }
    }
    let page = browser.get(&world, &request(&world, &[("state", evil)])).await;
    pages.push(browser.send(&world, &page, "password", &[("username", evil), ("password", evil)]).await);
    let page = browser.sign_in(&world, &request(&world, &[("state", evil)]), "alice").await;
    pages.push(browser.send(&world, &page, "consent", &[("answer", "no")]).await);
    pages.push(page);
    pages.push(browser.get(&world, &request(&world, &[("prompt", "select_account"), ("state", evil)])).await);
    let devices = browser.get(&world, "/devicelogin").await;
    pages.push(browser.send(&world, &devices, "device-code", &[("user_code", evil)]).await);
    let post = world.name("/{tenant}/oauth2/v2.0/logout?state=");
    pages.push(browser.get(&world, &format!("{post}%22%3E%3Cscript%3Ealert(1)%3C/script%3E")).await);
    pages.push(browser.get(&world, "/%22%3E%3Cscript%3E/oauth2/v2.0/authorize").await);
    for page in pages {
        // The scripts that are ours stand there whole.
        let ours = ["document.forms[0].submit()", include_str!("../../src/sign_in/passkey.js")];
        let body =
            ours.iter().fold(page.body, |body, ours| body.replace(&format!("<script>{ours}</script>"), ""));
        for raw in ["<script", "<img", "alert(1)</", "<b>"] {
            assert!(!body.contains(raw), "{raw}: {body}");
        }
        assert!(page.headers.values().all(|value| !value.as_bytes().contains(&b'<')), "{:?}", page.headers);
    }
}

#[tokio::test]
async fn sizes_and_methods_are_bounded() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.get(&world, &request(&world, &[("unknown", &"x".repeat(40_000))])).await;
    assert_eq!(page.status, 414);
    let page = browser.get(&world, "/").await;
    let long = browser
        .send(&world, &page, "password", &[("username", "alice"), ("password", &"x".repeat(40_000))])
        .await;
    assert_eq!(long.status, 413);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        for target in [
            request(&world, &[]),
            "/".to_owned(),
            "/devicelogin".to_owned(),
            world.name("/{tenant}/oauth2/logout"),
        ] {
            let answer = browser.ask(&world, method, &target, "").await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, "GET, HEAD, POST, OPTIONS"),
                "{method} {target}"
            );
        }
    }
    assert_eq!(browser.ask(&world, "HEAD", "/", "").await.status, 200);
    browser.says = vec![("content-type", "text/plain".to_owned())];
    assert_eq!(browser.send(&world, &page, "password", &[]).await.status, 415);
}

#[tokio::test]
async fn nothing_is_done_that_cannot_be_written_down() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.get(&world, "/").await;
    let mut signed_in = agreed(&world).await;
    let logout = signed_in.get(&world, &world.name("/{tenant}/oauth2/v2.0/logout")).await;
    world.audit.set_failed(true);
    let answer = try_password(&mut browser, &world, &page, PASSWORD).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    let answer = signed_in.get(&world, &request(&world, &[])).await;
    assert_eq!((answer.status, answer.header("location")), (503, ""));
    assert_eq!(signed_in.send(&world, &logout, "sign-out", &[]).await.status, 503);
    world.audit.set_failed(false);
    let answer = signed_in.get(&world, &request(&world, &[])).await;
    assert!(answer.header("location").starts_with(CALLBACK), "still signed in: {answer:?}");
}

#[tokio::test]
async fn what_happens_is_in_the_audit_log_and_no_secret() {
    let world = world().await;
    let mut browser = agreed(&world).await;
    let page = browser.get(&world, "/").await;
    assert_eq!(page.heading(), "Your account");
    let records = world.audit.records();
    let told: Vec<_> = records.iter().map(|record| (record.action, record.outcome)).collect();
    let allowed = |action| (action, Outcome::Allowed);
    assert_eq!(told, [allowed("sign_in"), allowed("consent.give"), allowed("code.issue")]);
    assert!(records[0].target.starts_with("user alice@keyless.localhost ("), "{}", records[0].target);
    assert!(records[0].reason.starts_with("by pwd; session "), "{}", records[0].reason);
    let log = world.audit.lines().concat();
    let (_, secret) = browser.cookies[SESSION].split_once('.').unwrap();
    for text in [PASSWORD, secret, browser.cookies[BROWSER].as_str()] {
        assert!(!log.contains(text), "{text}");
    }
}
