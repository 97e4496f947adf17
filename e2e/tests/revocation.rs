//! A removal that was acknowledged is refused from then on, whatever an unexpired token says.

use e2e::{Answer, App, Server};

/// A server, its app running with a token in hand that just worked.
fn in_use(name: &str) -> (Server, App, String) {
    let server = Server::start(name);
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    let mut app = App::start(&server, "web", "shop");
    let token = app.token();
    let read = server.https().get_secret("shop", "db", &token);
    assert_eq!((read.status, read.json()["value"].as_str()), (200, Some("s3cret")), "{read:?}");
    (server, app, token)
}

#[track_caller]
fn refused(answer: &Answer) {
    assert!(matches!(answer.status, 400 | 401 | 403), "{answer:?}");
    assert!(!answer.text().contains("s3cret") && !answer.text().contains("access_token"), "{answer:?}");
}

/// Neither the token in hand nor a new request is good for anything.
#[track_caller]
fn all_refused(server: &Server, app: &mut App, token: &str) {
    refused(&server.https().get_secret("shop", "db", token));
    let endpoint = app.endpoint();
    refused(&app.raw(&endpoint.address(), &endpoint.request("")));
}

#[test]
fn a_removed_identity_is_refused_at_once() {
    let (server, mut app, token) = in_use("identity-removed");
    let _said = server.keyless(["app", "identity", "remove", "web"]).ok();
    all_refused(&server, &mut app, &token);
}

#[test]
fn an_identity_assigned_again_is_another() {
    let (server, app, token) = in_use("identity-again");
    let _said = server.keyless(["app", "identity", "remove", "web"]).ok();
    let _said = server.keyless(["app", "identity", "assign", "web"]).ok();
    // Neither the old token nor the old policy is the new principal's.
    refused(&server.https().get_secret("shop", "db", &token));
    drop(app);
    let mut app = App::start(&server, "web", "shop");
    let new_token = app.token();
    assert_eq!(server.https().get_secret("shop", "db", &new_token).status, 403);
}

#[test]
fn a_deleted_app_is_refused_at_once() {
    let (server, mut app, token) = in_use("app-deleted");
    // An app that runs may be protected from deletion; then the operator ends it first.
    let deleted = server.keyless(["app", "delete", "web"]);
    if deleted.code == Some(0) {
        refused(&server.https().get_secret("shop", "db", &token));
        let (_, still) = app.sh("echo alive");
        assert_eq!(still, "alive");
        let endpoint = app.endpoint();
        let answer = app.raw(&endpoint.address(), &endpoint.request(""));
        assert_ne!(answer.status, 200, "{answer:?}");
    } else {
        assert!(deleted.stderr.contains("running"), "{}", deleted.said());
        app.end();
        let _said = server.keyless(["app", "delete", "web"]).ok();
        refused(&server.https().get_secret("shop", "db", &token));
    }
}

#[test]
fn a_removed_policy_is_refused_at_once() {
    let (server, mut app, token) = in_use("policy-removed");
    let _said = server.keyless(["vault", "policy", "set", "shop", "--app", "web", "--secrets", "list"]).ok();
    let answer = server.https().get_secret("shop", "db", &token);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.json()["error"]["innererror"]["code"], "AccessDenied");
    // The identity itself is as it was.
    let _still_issued = app.token();
}
