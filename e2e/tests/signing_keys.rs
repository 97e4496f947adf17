//! Signing keys roll by schedule and on command, and nobody notices; a compromised one is revoked, and what it has signed is refused at once.

use e2e::{App, Server};
use serde_json::Value;

fn shop(name: &str, flags: &'static [&'static str]) -> Server {
    let server = Server::start_with(name, flags);
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    server
}

/// The published keys: id and state, in the order of their making.
fn keys(server: &Server) -> Vec<(String, String)> {
    let listed = server.keyless(["signing-key", "list", "-o", "json"]).ok();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let text = |key: &Value, member: &str| key[member].as_str().unwrap().to_owned();
    let keys: Vec<_> = listed["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (text(key, "kid"), text(key, "state")))
        .collect();
    // What the administrator is told is what everybody loads.
    let published = server.https().send("GET", "login.keyless.localhost", "/common/discovery/keys", &[], "");
    let published = published.unwrap().json();
    let kids = published["keys"].as_array().unwrap().iter().map(|key| text(key, "kid"));
    assert_eq!(kids.collect::<Vec<_>>(), keys.iter().map(|(kid, _)| kid.clone()).collect::<Vec<_>>());
    keys
}

fn states(server: &Server) -> Vec<String> {
    keys(server).into_iter().map(|(_, state)| state).collect()
}

fn read(server: &Server, token: &str) -> u16 {
    server.https().get_secret("shop", "db", token).status
}

/// A token's header: another one, if another key has signed.
fn header(token: &str) -> &str {
    token.split('.').next().unwrap()
}

#[test]
fn keys_roll_on_command_and_by_schedule_and_a_running_app_is_served() {
    let server = shop("signing-keys", &["--test-clock"]);
    let mut app = App::start(&server, "web", "shop");
    let first = app.token();
    let said = server.keyless(["signing-key", "roll"]).ok();
    assert!(said.contains("announced") && said.contains("signs from"), "{said}");
    assert_eq!(states(&server), ["current", "announced"]);
    let said = server.keyless(["clock", "advance", "10m"]).ok();
    assert!(said.contains("signing-key.begin/"), "{said}");
    assert_eq!(states(&server), ["retired", "current"]);
    assert_eq!(read(&server, &first), 200, "a token that the retired key has signed");
    assert_eq!(app.token(), first, "the endpoint keeps it too");

    let _said = server.keyless(["clock", "advance", "40m"]).ok();
    let second = app.token();
    assert_ne!(header(&second), header(&first));
    for token in [&first, &second] {
        assert_eq!(read(&server, token), 200);
    }
    let _said = server.keyless(["clock", "advance", "1h"]).ok();
    assert_eq!(states(&server), ["current"], "gone with the last of its tokens");

    let said = server.keyless(["clock", "advance", "89d"]).ok();
    assert!(said.contains("signing-key.announce/"), "{said}");
    assert_eq!(states(&server), ["current", "announced"]);
    let announced = keys(&server).pop().unwrap().0;
    let said = server.keyless(["clock", "advance", "1d"]).ok();
    assert!(said.contains(&format!("signing-key.begin/{announced}")), "{said}");
    let third = app.token();
    assert_ne!(header(&third), header(&second));
    assert_eq!(read(&server, &third), 200);
    let status = server.keyless(["status"]).ok();
    assert!(status.contains(&format!("{announced} signs since")), "{status}");
    let tail = server.keyless(["audit", "tail"]).ok();
    assert!(tail.contains("signing-key.roll") && tail.contains("signing-key.remove"), "{tail}");
    let _whole = server.keyless(["audit", "verify"]).ok();
}

#[test]
fn what_a_revoked_key_has_signed_is_refused_at_once_and_the_app_goes_on() {
    let mut server = shop("signing-key-revoked", &[]);
    let mut app = App::start(&server, "web", "shop");
    let stolen = app.token();
    assert_eq!(read(&server, &stolen), 200);
    let revoked = keys(&server).pop().unwrap().0;
    let said = server.keyless(["signing-key", "revoke", &revoked]).said();
    assert!(said.contains("is refused here from now on"), "{said}");
    assert_eq!(read(&server, &stolen), 401);
    let fresh = app.token();
    assert_ne!(header(&fresh), header(&stolen));
    assert_eq!(read(&server, &fresh), 200);
    let left = keys(&server);
    assert!(matches!(&*left, [(kid, state)] if *kid != revoked && state == "current"), "{left:?}");
    assert!(server.stop().success());
    server.start_again();
    assert_eq!((read(&server, &stolen), read(&server, &fresh)), (401, 200), "after a start too");
    let again = server.keyless(["signing-key", "revoke", &revoked]);
    assert_eq!(again.code, Some(1), "{}", again.said());
    assert!(again.stderr.contains("keyless signing-key list"), "{}", again.said());
    // In an emergency nobody waits for those who keep documents.
    let _said = server.keyless(["signing-key", "roll", "--now"]).ok();
    assert_eq!(states(&server), ["retired", "current"]);
    assert_eq!(read(&server, &fresh), 200);
}
