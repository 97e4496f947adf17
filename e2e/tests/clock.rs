//! Time travel on a server that was started for it: what only time does is seen, and said to be a test clock's everywhere.

use e2e::{Answer, App, Server};

/// A request to vault `shop` with a token.
fn ask(server: &Server, method: &str, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let target = format!("{path}?api-version=7.4");
    let host = Server::vault_host("shop");
    server.https().send(method, &host, &target, &[("Authorization", &bearer)], "").unwrap()
}

#[test]
fn a_deleted_secret_is_gone_and_a_token_expires_as_time_passes() {
    let server = Server::start_with("clock", &["--test-clock"]);
    assert!(server.first_words().contains("TEST CLOCK"), "{}", server.first_words());
    let _said = server.keyless(["vault", "create", "shop", "--retention-days", "7"]).ok();
    let _said = server.keyless_with(["secret", "set", "shop", "db"], "s3cret").ok();
    server.app_with("web", "shop", "get,list,delete,recover");
    let mut app = App::start(&server, "web", "shop");
    let told = std::fs::read_to_string(server.place().join("apps.stderr")).unwrap();
    assert!(told.contains("TEST CLOCK"), "an app is told at its start: {told}");
    let old = app.token();
    let read = ask(&server, "GET", "/secrets/db/", &old);
    assert_eq!((read.status, read.header("x-keyless-test-clock")), (200, Some("0")), "{read:?}");

    let _said = server.keyless(["clock", "advance", "2h"]).ok();
    let expired = ask(&server, "GET", "/secrets/db/", &old);
    assert_eq!(expired.status, 401, "{expired:?}");
    assert_eq!(expired.header("x-keyless-test-clock"), Some("7200"));
    // The endpoint does not hand out the old one: its own cache goes by the same clock.
    let token = app.token();
    assert_ne!(token, old);
    assert_eq!(ask(&server, "DELETE", "/secrets/db", &token).status, 200);
    let _said = server.keyless(["clock", "advance", "6d"]).ok();
    let token = app.token();
    assert_eq!(ask(&server, "GET", "/deletedsecrets/db", &token).status, 200, "recoverable for 7 days");
    let said = server.keyless(["clock", "advance", "1d"]).ok();
    assert!(said.contains("shop/purge/secret/"), "{said}");
    let token = app.token();
    assert_eq!(
        ask(&server, "GET", "/deletedsecrets/db", &token).status,
        404,
        "gone once the answer is there"
    );
    assert_eq!(ask(&server, "POST", "/deletedsecrets/db/recover", &token).status, 404);

    for command in [["status"], ["doctor"]] {
        let said = server.keyless(command).said();
        assert!(said.contains("TEST CLOCK, 7d 2h ahead"), "{said}");
    }
    let tail = server.keyless(["audit", "tail"]).ok();
    assert!(tail.contains("clock.advance") && tail.contains("vault.due"), "{tail}");
    let _whole = server.keyless(["audit", "verify"]).ok();
}

#[test]
fn the_clock_of_a_server_that_was_not_made_for_test_stands_fast() {
    let mut server = Server::start("clock-real");
    let refused = server.keyless(["clock", "advance", "1d"]);
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    assert!(refused.stderr.contains("keyless up --test-clock"), "{}", refused.stderr);
    assert!(!server.keyless(["status"]).ok().contains("TEST CLOCK"));
    assert!(server.stop().success());
    let refused = server.keyless(["up", "--test-clock"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("was not made for test"), "{}", refused.said());
    server.start_again();
}
