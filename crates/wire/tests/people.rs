//! The administrator's API of users and groups, and what groups give.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::admin::{Desk, message};
use crate::support::NOW;
use audit::Outcome;
use domain::Secret;
use serde_json::{Value, json};

impl Desk {
    async fn user(&self, name: &str) -> String {
        let (status, made) =
            self.post("/v1/users", json!({"user_name": name, "generate_password": true})).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    async fn group(&self, name: &str) -> String {
        let (status, made) = self.post("/v1/groups", json!({"display_name": name})).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// What is said of reading the secret `db` of vault `shop`.
    async fn reading(&self, principal: &str) -> Value {
        let question = json!({"principal": principal, "secret": "db", "action": "secret.get"});
        let (status, mut told) = self.post("/v1/vaults/shop/explain", question).await;
        assert_eq!(status, 200, "{told}");
        told["principals"][0]["actions"][0].take()
    }
}

#[tokio::test]
async fn users_come_change_and_go() {
    let desk = Desk::new().await;
    let new = json!({
        "user_name": "Alice", "display_name": "Alice A.", "mail": "alice@mail.example",
        "password": "correct horse", "must_change_password": true
    });
    let (status, alice) = desk.post("/v1/users", new).await;
    assert_eq!(status, 201, "{alice}");
    assert_eq!(alice["user_name"], "Alice@keyless.localhost");
    assert_eq!(alice["password"], Value::Null, "only what was made up is told");
    assert_eq!((&alice["has_password"], &alice["must_change_password"]), (&json!(true), &json!(true)));
    let record = desk.last_record();
    let id = alice["id"].as_str().unwrap();
    assert_eq!(
        (record.action, &*record.target),
        ("user.create", &*format!("user Alice@keyless.localhost ({id})"))
    );

    for named in ["alice", "ALICE@keyless.localhost", id] {
        assert_eq!(desk.get(&format!("/v1/users/{named}")).await, (200, alice.clone()), "{named}");
    }
    let names = |all: &Value| -> Vec<String> {
        all["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["user_name"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut all = names(&desk.get("/v1/users").await.1);
    all.sort();
    assert_eq!(all, ["Alice@keyless.localhost", "administrator@keyless.localhost"]);

    let change = json!({"user_name": "carol", "mail": null, "enabled": false});
    let (status, carol) = desk.ask("PATCH", "/v1/users/alice", Some(change)).await;
    assert_eq!((status, desk.last_record().action), (200, "user.disable"), "{carol}");
    assert_eq!(
        (&carol["mail"], &carol["enabled"], &carol["display_name"]),
        (&Value::Null, &json!(false), &json!("Alice A."))
    );
    assert_eq!(desk.get("/v1/users/alice").await.0, 404);
    desk.ask("PATCH", "/v1/users/carol", Some(json!({"enabled": true}))).await;

    let (status, made_up) =
        desk.ask("PUT", "/v1/users/carol/password", Some(json!({"must_change_password": true}))).await;
    assert_eq!(status, 200, "{made_up}");
    let password = Secret::new(made_up["password"].as_str().unwrap().to_owned());
    let directory = &desk.world.state.directory;
    let signed_in = directory.check_password("carol", &password, None, NOW).await.unwrap();
    assert!(signed_in.user.must_change_password);
    assert!(!desk.world.audit.lines().concat().contains(password.expose()));
    assert_eq!(desk.get("/v1/users/carol").await.1["password"], Value::Null, "once");

    assert_eq!(desk.ask("DELETE", "/v1/users/carol", None).await.0, 204);
    assert_eq!(desk.last_record().action, "user.delete");
    assert_eq!(desk.get(&format!("/v1/principals/{id}")).await.0, 404);
    assert!(directory.check_password("carol", &password, None, NOW).await.is_err());
}

#[tokio::test]
async fn what_is_wrong_with_a_user_is_said_and_no_password_with_it() {
    let desk = Desk::new().await;
    let id = desk.user("alice").await;
    let administrator = "/v1/users/administrator";
    let long = "x".repeat(257);
    for (method, path, body, status, words) in [
        ("POST", "/v1/users", json!({"user_name": "ALICE"}), 409, "keyless user show"),
        ("POST", "/v1/users", json!({"user_name": "a b"}), 400, "invalid user name"),
        ("POST", "/v1/users", json!({"user_name": "bob", "mail": "bob"}), 400, "mail"),
        ("POST", "/v1/users", json!({"user_name": "bob", "display_name": ""}), 400, "display name"),
        ("POST", "/v1/users", json!({"user_name": "bob", "password": "hunter2"}), 400, "less than 8"),
        ("POST", "/v1/users", json!({"user_name": "bob", "password": long}), 400, "more than 256"),
        ("POST", "/v1/users", json!({"user_name": "bob", "password": "Passw0rd"}), 400, "guessed first"),
        (
            "POST",
            "/v1/users",
            json!({"user_name": "bobby.tables", "password": "bobby.tables"}),
            400,
            "the user name",
        ),
        (
            "POST",
            "/v1/users",
            json!({"user_name": "bob", "password": 12_345_678}),
            400,
            "not what this route takes",
        ),
        (
            "POST",
            "/v1/users",
            json!({"user_name": "bob", "pasword": "hunter2!x"}),
            400,
            "not what this route takes",
        ),
        ("PUT", "/v1/users/alice/password", json!({"password": "short"}), 400, "less than 8"),
        ("PUT", "/v1/users/nobody/password", json!({}), 404, "keyless user list"),
        ("PATCH", "/v1/users/nobody", json!({}), 404, "keyless user list"),
        ("PATCH", "/v1/users/alice", json!({"user_name": "administrator"}), 409, "taken"),
        ("PATCH", administrator, json!({"enabled": false}), 409, "administrator"),
        ("DELETE", administrator, json!({}), 409, "administrator"),
        ("DELETE", "/v1/users/nobody", json!({}), 404, "keyless user list"),
        ("GET", "/v1/users/nobody", json!({}), 404, "keyless user list"),
        ("POST", "/v1/users/alice/authenticator/confirm", json!({"code": "123456"}), 409, "totp add"),
        ("DELETE", "/v1/users/alice/authenticator", json!({}), 409, "no authenticator"),
    ] {
        let (refused, answer) = desk.ask(method, path, Some(body.clone())).await;
        assert_eq!(refused, status, "{method} {path} {body}: {answer}");
        assert!(message(&answer).contains(words), "{method} {path} {body}: {answer}");
        for secret in ["hunter2", "12345678", "Passw0rd"] {
            assert!(!answer.to_string().contains(secret), "{answer}");
        }
    }
    // Who pastes a password where the name belongs finds it nowhere in the log.
    desk.ask("DELETE", "/v1/users/hunter2-hunter2", None).await;
    let record = desk.last_record();
    assert_eq!((record.outcome, &*record.target), (Outcome::Refused, "user"));
    assert!(desk.get(&format!("/v1/users/{id}")).await.1["has_password"].as_bool().unwrap());
}

#[tokio::test]
async fn an_authenticator_app_is_added_confirmed_and_removed() {
    let desk = Desk::new().await;
    desk.user("alice").await;
    let path = "/v1/users/alice/authenticator";
    let (status, enrolled) = desk.post(path, json!({})).await;
    assert_eq!(status, 201, "{enrolled}");
    let secret = enrolled["secret"].as_str().unwrap();
    assert!(enrolled["uri"].as_str().unwrap().starts_with("otpauth://totp/keyless.localhost:alice%40"));
    assert!(!desk.world.audit.lines().concat().contains(secret));
    let confirm = format!("{path}/confirm");
    let (status, wrong) = desk.post(&confirm, json!({"code": "000000"})).await;
    assert_eq!(status, 400);
    assert!(message(&wrong).contains("clocks"), "{wrong}");
    assert_eq!(desk.get("/v1/users/alice").await.1["has_authenticator"], false);
    for _ in 1..domain::limits::GUESSES_MAX {
        assert_eq!(desk.post(&confirm, json!({"code": "1234567"})).await.0, 400);
    }
    let (status, waits) = desk.post(&confirm, json!({"code": "000000"})).await;
    assert_eq!(status, 429);
    assert!(message(&waits).contains("60 seconds"), "{waits}");
    assert_eq!(desk.ask("DELETE", path, None).await.0, 200);
    assert_eq!(desk.last_record().action, "user.authenticator.remove");
}

#[tokio::test]
async fn a_group_gives_its_members_what_rules_give_it_and_takes_it_at_once() {
    let desk = Desk::new().await;
    let (alice, ops) = (desk.user("alice").await, desk.group("Operators").await);
    desk.post("/v1/vaults", json!({"name": "shop"})).await;
    let members = "/v1/groups/operators/members";
    let (status, added) = desk.post(members, json!({"user": "alice"})).await;
    assert_eq!((status, &added["principal"]), (200, &json!(alice)), "{added}");
    assert_eq!(desk.last_record().target, format!("group \"Operators\" ({ops}): principal {alice}"));
    assert_eq!(desk.post(members, json!({"user": "alice"})).await.0, 200, "once more is no change");
    assert_eq!(desk.get(members).await.1["value"].as_array().unwrap().len(), 1);
    assert_eq!(desk.get("/v1/users/alice").await.1["groups"], json!([ops]));

    // By the vault's access policies.
    assert_eq!(desk.reading(&alice).await["allowed"], false);
    let policy = json!({"group": "Operators", "secrets": ["get"]});
    let (status, shop) = desk.ask("PUT", "/v1/vaults/shop/policies", Some(policy.clone())).await;
    assert_eq!(status, 200, "{shop}");
    let shown = &shop["policies"][1];
    assert_eq!((&shown["display_name"], &shown["state"]), (&json!("Operators"), &json!("group")));
    let read = desk.reading(&alice).await;
    assert_eq!((&read["allowed"], &read["group"]), (&json!(true), &json!("Operators")));
    assert!(read["because"].as_str().unwrap().contains("access policy for group \"Operators\""), "{read}");
    let everybody = desk.post("/v1/vaults/shop/explain", json!({"action": "secret.get"})).await.1;
    let who: Vec<_> =
        everybody["principals"].as_array().unwrap().iter().map(|one| &one["display_name"]).collect();
    assert_eq!(who, [&json!("administrator"), &json!("alice")], "members stand for the group");
    assert_eq!(desk.ask("DELETE", members, Some(json!({"principal": alice}))).await.0, 204);
    assert_eq!(desk.reading(&alice).await["allowed"], false, "taken out");
    desk.post(members, json!({"user": "alice"})).await;
    assert_eq!(desk.reading(&alice).await["allowed"], true);

    // By roles.
    desk.ask("PATCH", "/v1/vaults/shop", Some(json!({"access": "roles"}))).await;
    let words = json!({"role": "Key Vault Secrets User", "group": ops});
    let (status, assigned) = desk.post("/v1/vaults/shop/roles", words).await;
    assert_eq!((status, &assigned["state"]), (200, &json!("group")), "{assigned}");
    let read = desk.reading(&alice).await;
    assert_eq!(
        (&read["allowed"], &read["group"], &read["role"]),
        (&json!(true), &json!("Operators"), &json!("Key Vault Secrets User"))
    );
    desk.ask("PATCH", "/v1/users/alice", Some(json!({"enabled": false}))).await;
    assert_eq!(desk.reading(&alice).await["because"], "the principal is disabled");
    desk.ask("PATCH", "/v1/users/alice", Some(json!({"enabled": true}))).await;

    // Deleted: nothing is left of it, but for the rule that names nobody now.
    assert_eq!(desk.ask("DELETE", "/v1/groups/operators", None).await.0, 204);
    assert_eq!(desk.reading(&alice).await["allowed"], false);
    assert_eq!(desk.get("/v1/users/alice").await.1["groups"], json!([]));
    let roles = desk.get("/v1/vaults/shop/roles").await.1;
    let of_group =
        roles["value"].as_array().unwrap().iter().find(|one| one["principal"] == ops.as_str()).unwrap();
    assert_eq!(of_group["state"], "gone");
}

#[tokio::test]
async fn what_is_wrong_with_a_group_is_said() {
    let desk = Desk::new().await;
    let (ops, alice) = (desk.group("Operators").await, desk.user("alice").await);
    desk.group("twins").await;
    desk.group("Twins").await;
    let of_ops = format!("/v1/groups/{ops}/members");
    let long = "x".repeat(1_025);
    for (method, path, body, status, words) in [
        ("POST", "/v1/groups", json!({"display_name": ""}), 400, "display name"),
        ("POST", "/v1/groups", json!({"display_name": "x", "description": long}), 400, "description"),
        ("POST", "/v1/groups", json!({"name": "x"}), 400, "name"),
        ("GET", "/v1/groups/none", json!({}), 404, "keyless group list"),
        ("GET", "/v1/groups/twins", json!({}), 409, "give the id"),
        ("PATCH", "/v1/groups/none", json!({}), 404, "keyless group list"),
        ("DELETE", "/v1/groups/none", json!({}), 404, "keyless group list"),
        ("GET", "/v1/groups/none/members", json!({}), 404, "keyless group list"),
        ("POST", "/v1/groups/none/members", json!({"user": "alice"}), 404, "keyless group list"),
        ("POST", &of_ops, json!({"user": "nobody"}), 404, "keyless user list"),
        ("POST", &of_ops, json!({"group": "Operators"}), 400, "groups are in no groups"),
        ("POST", &of_ops, json!({"principal": ops}), 404, "was not found"),
        ("POST", &of_ops, json!({}), 400, "exactly one"),
        ("POST", &of_ops, json!({"user": "alice", "principal": alice}), 400, "exactly one"),
        ("DELETE", &of_ops, json!({"user": "alice"}), 404, "member list"),
    ] {
        let (refused, answer) = desk.ask(method, path, Some(body.clone())).await;
        assert_eq!(refused, status, "{method} {path} {body}: {answer}");
        assert!(message(&answer).contains(words), "{method} {path} {body}: {answer}");
    }
    let (status, changed) = desk
        .ask("PATCH", "/v1/groups/operators", Some(json!({"display_name": "Ops", "description": "at night"})))
        .await;
    assert_eq!((status, &changed["description"]), (200, &json!("at night")));
    let (_, changed) = desk.ask("PATCH", "/v1/groups/ops", Some(json!({"description": null}))).await;
    assert_eq!((&changed["display_name"], &changed["description"]), (&json!("Ops"), &Value::Null));
}

#[tokio::test]
async fn a_principal_is_in_so_many_groups() {
    let desk = Desk::new().await;
    desk.user("alice").await;
    for number in 0..domain::limits::GROUPS_OF_PRINCIPAL_MAX {
        let group = desk.group(&format!("g{number}")).await;
        assert_eq!(desk.post(&format!("/v1/groups/{group}/members"), json!({"user": "alice"})).await.0, 200);
    }
    let group = desk.group("one too many").await;
    let (status, refused) = desk.post(&format!("/v1/groups/{group}/members"), json!({"user": "alice"})).await;
    assert_eq!(status, 400);
    let limit = format!("{} groups", domain::limits::GROUPS_OF_PRINCIPAL_MAX);
    assert!(message(&refused).contains(&limit), "{refused}");
}
