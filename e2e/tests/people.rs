//! Users and groups, by the command that people use.

use e2e::{App, Server};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn users_are_made_changed_and_deleted_and_their_passwords_told_once() {
    let server = Server::start("people");
    let made =
        json(&server.keyless(["user", "create", "alice", "--mail", "alice@mail.example", "-o", "json"]).ok());
    let password = made["password"].as_str().unwrap().to_owned();
    assert_eq!(
        (&made["user_name"], &made["must_change_password"]),
        (&"alice@keyless.localhost".into(), &true.into())
    );
    let listed = server.keyless(["user", "list"]).ok();
    assert!(listed.contains("administrator@keyless.localhost") && listed.contains("alice@"), "{listed}");
    let shown = server.keyless(["user", "show", "ALICE"]).ok();
    assert!(shown.contains("to be changed") && !shown.contains(&password), "{shown}");

    let set = server.keyless_with(["user", "password", "alice"], "correct horse battery\n");
    assert!(set.code == Some(0) && !set.said().contains("correct horse"), "{}", set.said());
    for (password, words) in
        [("password1\n", "guessed first"), ("short\n", "8 characters"), ("\n", "--generate")]
    {
        let refused = server.keyless_with(["user", "password", "alice"], password);
        assert!(refused.code == Some(1) && refused.stderr.contains(words), "{}", refused.said());
    }
    let argument = server.keyless(["user", "password", "alice", "correct horse"]);
    assert_eq!(argument.code, Some(2), "a password is no argument: {}", argument.said());
    let again = server.keyless(["user", "create", "Alice"]);
    assert!(again.code == Some(1) && again.stderr.contains("keyless user show"), "{}", again.said());
    let changed =
        server.keyless(["user", "update", "alice", "--user-name", "carol", "--enabled", "false"]).ok();
    assert!(changed.contains("carol@keyless.localhost") && changed.contains("disabled"), "{changed}");

    let app = json(&server.keyless(["user", "totp", "add", "carol", "-o", "json"]).ok());
    let secret = app["secret"].as_str().unwrap();
    assert!(app["uri"].as_str().unwrap().contains(secret));
    let wrong = server.keyless(["user", "totp", "confirm", "carol", "12345x"]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("clocks"), "{}", wrong.said());
    let _said = server.keyless(["user", "totp", "remove", "carol"]).ok();

    let _said = server.keyless(["user", "delete", "carol"]).ok();
    let gone = server.keyless(["user", "show", "carol"]);
    assert!(gone.code == Some(1) && gone.stderr.contains("keyless user list"), "{}", gone.said());
    let kept = server.keyless(["user", "delete", "administrator"]);
    assert_eq!(kept.code, Some(1), "{}", kept.said());

    let log = server.keyless(["audit", "tail"]).ok();
    assert!(log.contains("user.password.set") && log.contains("user.delete"), "{log}");
    for secret in [password.as_str(), "correct horse", secret] {
        assert!(!log.contains(secret) && !server.logs().contains(secret), "{secret} is told");
    }
}

#[test]
fn a_group_gives_its_members_secrets_and_takes_them_at_once() {
    let server = Server::start("groups");
    server.vault_with("shop", "db", "s3cret");
    let _said = server.keyless(["app", "create", "web"]).ok();
    let _said = server.keyless(["app", "identity", "assign", "web"]).ok();
    let mut app = App::start(&server, "web", "shop");
    let token = app.token();
    let read = || server.https().get_secret("shop", "db", &token).status;
    assert_eq!(read(), 403);
    let _said = server.keyless(["group", "create", "Readers"]).ok();
    let set =
        server.keyless(["vault", "policy", "set", "shop", "--group", "readers", "--secrets", "get"]).ok();
    assert!(set.contains("Readers (group)"), "{set}");
    assert_eq!(read(), 403, "nobody is in it");
    let _said = server.keyless(["group", "member", "add", "readers", "--app", "web"]).ok();
    assert_eq!(read(), 200, "with the token of before");
    let told = server
        .keyless(["access", "explain", "--vault", "shop", "--app", "web", "--action", "secret.get"])
        .ok();
    assert!(told.contains("may") && told.contains("group \"Readers\""), "{told}");
    let log = server.keyless(["audit", "tail"]).ok();
    assert!(
        log.contains("access policy for group \"Readers\"")
            || log.contains("access policy for group \\\"Readers\\\""),
        "{log}"
    );
    let _said = server.keyless(["group", "member", "remove", "readers", "--app", "web"]).ok();
    assert_eq!(read(), 403, "taken out");
    let _said = server.keyless(["group", "member", "add", "readers", "--app", "web"]).ok();
    assert_eq!(read(), 200);
    let members = server.keyless(["group", "member", "list", "readers"]).ok();
    assert!(members.contains("managed identity"), "{members}");
    let _said = server.keyless(["group", "delete", "readers"]).ok();
    assert_eq!(read(), 403, "the group is gone");
    let explained = server.keyless(["access", "explain", "--vault", "shop"]).ok();
    assert!(explained.contains("(gone)"), "{explained}");
}
