//! The administrator's API on roles at every scope.

use crate::admin::Desk;
use audit::Outcome;
use serde_json::{Value, json};

#[tokio::test]
async fn roles_are_given_at_every_scope_and_taken_away() {
    let desk = Desk::new().await;
    let principal = desk.app("web").await;
    desk.post("/v1/vaults", json!({"name": "till", "access": "roles"})).await;
    desk.post("/v1/identities", json!({"name": "worker"})).await;
    let path = "/v1/role-assignments";
    for scope in ["subscription", "group:keyless", "vault:till", "app:web", "identity:worker"] {
        let words = json!({"scope": scope, "role": "Reader", "app": "web"});
        let (status, assigned) = desk.post(path, words.clone()).await;
        assert_eq!(status, 200, "{assigned}");
        assert_eq!((&assigned["scope"], &assigned["role"]), (&json!(scope), &json!("Reader")));
        assert_eq!((&assigned["principal"], &assigned["display_name"]), (&principal, &json!("web")));
        assert_eq!((desk.told().0, desk.told().2), ("role.assign", Outcome::Allowed));
        assert_eq!(desk.post(path, words.clone()).await.1["id"], assigned["id"], "the same twice is one");
        let (_, listed) = desk.get(&format!("{path}?scope={scope}")).await;
        assert!(listed["value"].as_array().unwrap().contains(&assigned), "{listed}");
        let (status, removed) = desk.ask("DELETE", path, Some(words.clone())).await;
        assert_eq!((status, &removed["id"]), (200, &assigned["id"]));
        assert_eq!(desk.told().0, "role.remove");
        desk.refuses("DELETE", path, words.clone(), 404, "is not assigned", "role.remove").await;
        let (_, again) = desk.post(path, words).await;
        let by_id = format!("{path}/{}", again["id"].as_str().unwrap());
        assert_eq!(desk.ask("DELETE", &by_id, None).await.0, 200);
        desk.refuses("DELETE", &by_id, json!({}), 404, "keyless role list", "role.remove").await;
    }
    // One object of a vault, seen by the vault's own list, too.
    let words =
        json!({"scope": "vault:till", "role": "Key Vault Secrets User", "app": "web", "secret": "db"});
    let (_, assigned) = desk.post(path, words).await;
    assert_eq!(assigned["object"], json!({"kind": "secret", "name": "db"}));
    let (_, roles) = desk.get("/v1/vaults/till/roles").await;
    assert!(roles["value"].as_array().unwrap().iter().any(|role| role["id"] == assigned["id"]), "{roles}");
    let refuses = |body: Value, status, words| desk.refuses("POST", path, body, status, words, "role.assign");
    let with = |name: &str, value: &str| {
        let mut words = json!({"scope": "subscription", "role": "Reader", "app": "web"});
        words[name] = json!(value);
        words
    };
    refuses(with("scope", "planet"), 400, "subscription, group:NAME").await;
    refuses(with("scope", "vault:none"), 404, "keyless vault list").await;
    refuses(with("scope", "group:none"), 404, "keyless az -- group list").await;
    refuses(with("scope", "plan:keyless/none"), 404, "keyless az -- appservice plan list").await;
    refuses(with("secret", "db"), 400, "of a vault only").await;
    refuses(with("role", "Emperor"), 400, "role definition list").await;
    refuses(with("role", "11111111-1111-4111-8111-111111111111"), 404, "role definition list").await;
    refuses(json!({"role": "Reader", "app": "web"}), 400, "scope").await;
    // What counts at a place that is not there was nothing, where it was a group.
    for (scope, words) in [
        ("vault:none", "keyless vault list"),
        ("group:none", "keyless az -- group list"),
        ("plan:none/x", "keyless az -- group list"),
        ("plan:keyless/none", "keyless az -- appservice plan list"),
    ] {
        let (status, said) = desk.get(&format!("{path}?scope={scope}")).await;
        assert!(
            status == 404 && said["error"]["message"].as_str().unwrap().contains(words),
            "{scope}: {said}"
        );
    }
    let twice = json!({"scope": "subscription", "role": "Reader", "app": "web"});
    desk.refuses("POST", "/v1/vaults/till/roles", twice, 400, "scope once", "vault.role.assign").await;
}
