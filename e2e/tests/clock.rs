//! Time travel on a server that was started for it: what only time does is seen, and said to be a test clock's everywhere.

use e2e::{Answer, App, Server, wait};
use std::time::Duration;

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

#[test]
fn audit_records_expire_after_the_time_that_is_set() {
    let mut server = Server::start_set("clock-audit", &["--test-clock"], &[("KEYLESS_AUDIT_KEEP", "2d")]);
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let first = server.keyless(["audit", "tail", "-n", "1000"]).ok().lines().count();
    let log = server.data().join("audit");
    let full = || {
        let names =
            std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut full: Vec<String> = names.filter(|name| name.starts_with("audit-")).collect();
        full.sort();
        full
    };
    // A file is of a day; the oldest goes once it is two days old and another one is full.
    for files in [
        &["audit-000001.jsonl"][..],
        &["audit-000001.jsonl", "audit-000002.jsonl"],
        &["audit-000002.jsonl", "audit-000003.jsonl"],
    ] {
        let _said = server.keyless(["clock", "advance", "36h"]).ok();
        assert!(server.stop().success());
        server.start_again();
        wait::until("the next file", Duration::from_secs(20), || {
            // Whatever is recorded begins it.
            assert_eq!(ask(&server, "GET", "/secrets", "x").status, 401);
            full() == files
        });
    }
    let said = server.keyless(["audit", "verify"]).ok();
    assert!(said.contains("that have expired, chain unbroken"), "{said}");
    let told: serde_json::Value = serde_json::from_str(&server.keyless_json(["audit", "verify"])).unwrap();
    assert!(told["expired"].as_u64().unwrap() >= first as u64, "{told}");
    let expired = format!("records 1 to {}", told["expired"]);
    assert!(server.keyless(["audit", "tail", "-n", "1000"]).ok().contains(&expired), "{expired}");
    // Without a server, too; and what else is missing is found.
    assert!(server.stop().success());
    assert!(server.keyless(["audit", "verify"]).ok().contains("that have expired"));
    std::fs::remove_file(log.join("audit-000002.jsonl")).unwrap();
    let refused = server.keyless(["audit", "verify"]);
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    assert!(refused.stderr.contains("were dropped before it"), "{}", refused.said());
}
