//! The administrator's API on vaults: their settings and lives, access policies and roles, and why somebody may do something.

use crate::admin::{Desk, message};
use audit::Outcome;
use serde_json::{Value, json};
use wire::Named;

#[tokio::test]
async fn vaults_and_policies() {
    let desk = Desk::new().await;
    let (status, vault) = desk.post("/v1/vaults", json!({"name": "Shop"})).await;
    assert_eq!((status, vault["url"].as_str()), (201, Some("https://shop.vault.keyless.localhost:8443")));
    assert_eq!(vault["policies"][0]["display_name"], "administrator");
    let shop = || Named::Vault("shop".parse().unwrap());
    assert_eq!(desk.names_changed(), [shop()]);
    assert_eq!(desk.post("/v1/vaults", json!({"name": "shop"})).await.0, 409);
    assert_eq!(desk.names_changed(), []);

    desk.post("/v1/apps", json!({"name": "shop"})).await;
    let policies = "/v1/vaults/shop/policies";
    let (status, refused) = desk.ask("PUT", policies, Some(json!({"app": "shop", "secrets": ["get"]}))).await;
    assert_eq!(status, 409);
    assert!(message(&refused).contains("keyless app identity assign shop"));
    let (_, app) = desk.ask("PUT", "/v1/apps/shop/identity", None).await;
    let (principal, client) = (app["identity"]["principal"].clone(), app["identity"]["client_id"].clone());
    for body in [
        json!({"app": "shop", "secrets": ["get", "list"]}),
        json!({"principal": principal, "secrets": ["get", "list"]}),
        json!({"client_id": client, "secrets": ["get", "list"]}),
    ] {
        let (status, vault) = desk.ask("PUT", policies, Some(body)).await;
        assert_eq!(status, 200);
        let expected = json!({
            "principal": principal, "display_name": "shop", "state": "enabled",
            "secrets": ["get", "list"], "keys": [], "certificates": [],
        });
        assert_eq!(vault["policies"][1], expected);
        assert_eq!(desk.last_record().action, "vault.policy.set");
    }
    // The policy of a principal that is gone says so, and can be taken away.
    desk.ask("DELETE", "/v1/apps/shop/identity", None).await;
    let (_, policies_now) = desk.get(policies).await;
    assert_eq!(policies_now["value"][1]["display_name"], Value::Null);
    assert_eq!(policies_now["value"][1]["state"], "gone");
    let (status, vault) =
        desk.ask("PUT", policies, Some(json!({"principal": principal, "secrets": []}))).await;
    assert_eq!((status, vault["policies"].as_array().unwrap().len()), (200, 1));
    let gone = json!({"principal": principal, "secrets": ["get"]});
    assert_eq!(desk.ask("PUT", policies, Some(gone)).await.0, 404);
    assert_eq!(desk.get("/v1/vaults").await.1["value"].as_array().unwrap().len(), 1);
    assert_eq!(desk.get("/v1/vaults/none").await.0, 404);
}

#[tokio::test]
async fn a_vaults_settings() {
    let desk = Desk::new().await;
    let (status, vault) = desk.post("/v1/vaults", json!({"name": "plain"})).await;
    assert_eq!(status, 201);
    assert_eq!((&vault["access"], &vault["retention_days"]), (&json!("policies"), &json!(90)));
    assert_eq!(vault["purge_protection"], false);
    assert_eq!(vault["network"], json!({"only_from": null, "allows_loopback": true}));
    let new = json!({
        "name": "shop", "access": "roles", "retention_days": 7, "purge_protection": true, "allow_ip": ["10.0.0.0/8"]
    });
    let (status, vault) = desk.post("/v1/vaults", new).await;
    assert_eq!(status, 201, "{vault}");
    assert_eq!((&vault["access"], &vault["retention_days"]), (&json!("roles"), &json!(7)));
    assert_eq!(vault["network"], json!({"only_from": ["10.0.0.0/8"], "allows_loopback": false}));
    assert_eq!(vault["roles"][0]["role"], "Key Vault Administrator");
    let target =
        "vault shop: access by roles; retention 7 days; purge protection true; allowed from 10.0.0.0/8";
    assert_eq!(desk.told(), ("vault.create", target.to_owned(), Outcome::Allowed));
    assert_eq!(desk.get("/v1/vaults/shop").await, (200, vault));

    let (status, vault) = desk.ask("PATCH", "/v1/vaults/shop", Some(json!({"allow_ip": ["any"]}))).await;
    assert_eq!((status, &vault["network"]["only_from"]), (200, &Value::Null));
    assert_eq!(vault["retention_days"], 7, "what is not said stays as it was");
    assert_eq!(desk.told(), ("vault.update", "vault shop: allowed from any".to_owned(), Outcome::Allowed));
    let (_, vault) = desk.ask("PATCH", "/v1/vaults/plain", Some(json!({"access": "roles"}))).await;
    assert_eq!(vault["roles"][0]["display_name"], "administrator", "the administrator keeps a way in");

    let update =
        |body, status, words| desk.refuses("PATCH", "/v1/vaults/shop", body, status, words, "vault.update");
    update(json!({"retention_days": 8}), 409, "retention of vault shop cannot be changed").await;
    update(json!({"purge_protection": false}), 409, "purge protection of vault shop cannot be changed").await;
    update(json!({"allow_ip": ["10.0.0.7/8"]}), 400, "10.0.0.7/8").await;
    update(json!({"allow_ip": ["any", "10.0.0.0/8"]}), 400, "\"any\"").await;
    let ranges: Vec<String> = (0..257).map(|at| format!("10.0.{}.{}", at / 256, at % 256)).collect();
    update(json!({"allow_ip": ranges}), 400, "256").await;
    for days in [6, 91] {
        let new = json!({"name": "other", "retention_days": days});
        desk.refuses("POST", "/v1/vaults", new, 400, "7 to 90", "vault.create").await;
    }
    let none = ("PATCH", "/v1/vaults/none");
    desk.refuses(none.0, none.1, json!({"access": "roles"}), 404, "keyless vault list", "vault.update").await;
    assert_eq!(desk.ask("PATCH", "/v1/vaults/shop", Some(json!({"access": "anyhow"}))).await.0, 400);
    assert_eq!(desk.get("/v1/vaults/shop").await.1["network"]["only_from"], Value::Null);
}

#[tokio::test]
async fn a_vaults_life() {
    let desk = Desk::new().await;
    let (_, made) = desk.post("/v1/vaults", json!({"name": "shop", "retention_days": 7})).await;
    let shop = [Named::Vault("shop".parse().unwrap())];
    assert_eq!(desk.names_changed(), shop);
    let (status, deleted) = desk.ask("DELETE", "/v1/vaults/shop", None).await;
    assert_eq!(status, 200, "{deleted}");
    let now = crate::support::NOW.seconds();
    assert_eq!(deleted["deleted"], json!({"at": now, "purge_at": now + 7 * 86_400}));
    assert_eq!(desk.names_changed(), shop);
    assert_eq!(desk.told(), ("vault.delete", "vault shop".to_owned(), Outcome::Allowed));
    assert_eq!(desk.get("/v1/vaults/shop").await.0, 404);
    assert_eq!(desk.get("/v1/vaults").await.1, json!({"value": []}));
    assert_eq!(desk.get("/v1/deleted-vaults").await.1["value"], json!([deleted]));
    assert_eq!(desk.get("/v1/deleted-vaults/SHOP").await, (200, deleted));
    let recover = "keyless vault recover shop";
    desk.refuses("POST", "/v1/vaults", json!({"name": "shop"}), 409, recover, "vault.create").await;

    let (status, recovered) = desk.ask("POST", "/v1/deleted-vaults/shop/recover", None).await;
    assert_eq!((status, &recovered["id"]), (200, &made["id"]));
    assert_eq!(desk.names_changed(), shop, "its name must be found again");
    assert_eq!(desk.told(), ("vault.recover", "vault shop".to_owned(), Outcome::Allowed));
    let list = "vault list --deleted";
    for (method, path, action) in [
        ("POST", "/v1/deleted-vaults/shop/recover", "vault.recover"),
        ("DELETE", "/v1/deleted-vaults/shop", "vault.purge"),
    ] {
        desk.refuses(method, path, json!({}), 404, list, action).await;
    }
    desk.ask("DELETE", "/v1/vaults/shop", None).await;
    assert_eq!(desk.ask("DELETE", "/v1/deleted-vaults/shop", None).await, (204, Value::Null));
    assert_eq!(desk.told(), ("vault.purge", "vault shop".to_owned(), Outcome::Allowed));
    let (status, again) = desk.post("/v1/vaults", json!({"name": "shop", "purge_protection": true})).await;
    assert_eq!(status, 201);
    assert_ne!(again["id"], made["id"]);

    desk.ask("DELETE", "/v1/vaults/shop", None).await;
    let purge = ("DELETE", "/v1/deleted-vaults/shop");
    desk.refuses(purge.0, purge.1, json!({}), 409, "protected from purging", "vault.purge").await;
    assert_eq!(desk.get("/v1/deleted-vaults/shop").await.0, 200);
    desk.refuses("DELETE", "/v1/vaults/none", json!({}), 404, "keyless vault list", "vault.delete").await;
    assert_eq!(desk.get("/v1/deleted-vaults/none").await.0, 404);
}

#[tokio::test]
async fn roles_are_assigned_and_removed() {
    let desk = Desk::new().await;
    let principal = desk.app("web").await;
    desk.post("/v1/vaults", json!({"name": "shop", "access": "roles"})).await;
    let roles = "/v1/vaults/shop/roles";
    let assign = json!({"role": "key vault secrets user", "app": "web", "secret": "db"});
    let (status, assigned) = desk.post(roles, assign.clone()).await;
    assert_eq!(status, 200, "{assigned}");
    assert_eq!((&assigned["principal"], &assigned["display_name"]), (&principal, &json!("web")));
    assert_eq!(assigned["role"], "Key Vault Secrets User");
    assert_eq!(assigned["object"], json!({"kind": "secret", "name": "db"}));
    let target = format!(
        "vault shop/secrets/db for principal {}: Key Vault Secrets User",
        principal.as_str().unwrap()
    );
    assert_eq!(desk.told(), ("vault.role.assign", target.clone(), Outcome::Allowed));
    // The same words are the same assignment; by its id or its name, the same role.
    assert_eq!(desk.post(roles, assign.clone()).await.1["id"], assigned["id"]);
    let by_id =
        json!({"role": "4633458b-17de-408a-b874-0445c86b69e6", "principal": principal, "secret": "DB"});
    assert_eq!(desk.post(roles, by_id).await.1["id"], assigned["id"]);
    assert_eq!(desk.get(roles).await.1["value"].as_array().unwrap().len(), 2, "this and the administrator's");

    let path = format!("{roles}/{}", assigned["id"].as_str().unwrap());
    let (status, removed) = desk.ask("DELETE", &path, None).await;
    assert_eq!((status, &removed["id"]), (200, &assigned["id"]));
    assert_eq!(desk.told(), ("vault.role.remove", target, Outcome::Allowed));
    desk.refuses("DELETE", &path, json!({}), 404, "role list shop", "vault.role.remove").await;
    desk.refuses("DELETE", roles, assign.clone(), 404, "is not assigned", "vault.role.remove").await;
    desk.post(roles, assign.clone()).await;
    // The words name one assignment, not each of the role.
    let whole = json!({"role": "Key Vault Secrets User", "app": "web"});
    desk.refuses("DELETE", roles, whole, 404, "vault shop as a whole", "vault.role.remove").await;
    assert_eq!(desk.ask("DELETE", roles, Some(assign.clone())).await.0, 200);

    let refuses = |body, status, words| desk.refuses("POST", roles, body, status, words, "vault.role.assign");
    refuses(json!({"role": "Emperor", "app": "web"}), 400, "role definition list").await;
    refuses(json!({"role": "Key Vault Reader", "app": "nobody"}), 404, "app create nobody").await;
    let nobody = "11111111-1111-4111-8111-111111111111";
    refuses(json!({"role": "Key Vault Reader", "principal": nobody}), 404, "principal list").await;
    refuses(json!({"role": "Key Vault Reader", "client_id": nobody}), 404, "client id").await;
    refuses(json!({"role": "Key Vault Reader"}), 400, "exactly one of app").await;
    let both = json!({"role": "Key Vault Reader", "app": "web", "secret": "a", "key": "b"});
    refuses(both, 400, "at most one of secret").await;
    let set = json!({"app": "web", "secrets": ["get"]});
    let policies = "/v1/vaults/shop/policies";
    desk.refuses("PUT", policies, set, 409, "vault role assign shop", "vault.policy.set").await;
    desk.post("/v1/vaults", json!({"name": "plain"})).await;
    let plain = "/v1/vaults/plain/roles";
    desk.refuses("POST", plain, assign.clone(), 409, "policy set plain", "vault.role.assign").await;
    let none = "/v1/vaults/none/roles";
    desk.refuses("POST", none, assign, 404, "keyless vault list", "vault.role.assign").await;
    assert_eq!(desk.get(none).await.0, 404);
    assert_eq!(desk.ask("DELETE", &format!("{roles}/x"), None).await.0, 400);

    let (_, definitions) = desk.get("/v1/roles").await;
    let reader =
        definitions["value"].as_array().unwrap().iter().find(|role| role["name"] == "Key Vault Reader");
    assert_eq!(reader.unwrap()["id"], "21090545-7ca7-4776-b22c-e363652d74d2");
    assert_eq!(reader.unwrap()["data_actions"][0], "Microsoft.KeyVault/vaults/*/read");
}

/// What is said of one action.
fn said<'a>(explained: &'a Value, somebody: &Value, action: &str) -> &'a Value {
    let of = |member: &str, list: &'a Value, wanted: &Value| {
        let mut list = list.as_array().into_iter().flatten();
        list.find(|one| one[member] == *wanted).unwrap_or(&Value::Null)
    };
    of("action", &of("principal", &explained["principals"], somebody)["actions"], &json!(action))
}

#[tokio::test]
async fn who_may_what_is_explained_by_the_rules_that_count() {
    let desk = Desk::new().await;
    let (web, job) = (desk.app("web").await, desk.app("job").await);
    desk.post("/v1/vaults", json!({"name": "shop", "allow_ip": ["192.0.2.0/24"]})).await;
    let policies = "/v1/vaults/shop/policies";
    desk.ask("PUT", policies, Some(json!({"app": "web", "secrets": ["get"], "keys": ["sign"]}))).await;
    desk.ask("PUT", policies, Some(json!({"app": "job", "secrets": ["list"]}))).await;
    let records = desk.world.audit.records().len();
    let explain = async |body: Value| {
        let (status, explained) = desk.post("/v1/vaults/shop/explain", body.clone()).await;
        assert_eq!(status, 200, "{body}: {explained}");
        explained
    };
    let all = explain(json!({"secret": "db"})).await;
    assert_eq!(
        (&all["access"], &all["network"]["only_from"]),
        (&json!("policies"), &json!(["192.0.2.0/24"]))
    );
    assert_eq!(all["principals"].as_array().unwrap().len(), 3);
    assert_eq!(all["principals"][1]["actions"][0]["action"], "secret.get", "reading is said first");
    assert_eq!(said(&all, &web, "secret.get")["allowed"], true);
    assert_eq!(
        said(&all, &web, "secret.get")["because"],
        "the vault's access policy for the principal has secrets get"
    );
    assert_eq!(said(&all, &job, "secret.get")["allowed"], false);
    assert_eq!(
        said(&all, &job, "secret.get")["because"],
        "the vault's access policy for the principal lacks secrets get"
    );
    assert_eq!(*said(&all, &web, "key.sign"), Value::Null, "a secret is asked about");
    let one = explain(json!({"app": "web", "key": "k", "action": "key.sign"})).await;
    assert_eq!(one["principals"].as_array().unwrap().len(), 1);
    assert_eq!(one["principals"][0]["actions"].as_array().unwrap().len(), 1);
    assert_eq!(said(&one, &web, "key.sign")["allowed"], true);
    let whole = explain(json!({"principal": job})).await;
    assert_eq!(said(&whole, &job, "secret.list-deleted")["allowed"], true);
    assert_eq!(said(&whole, &job, "certificate.issuer.set")["allowed"], false);

    // Disabled, and gone, are marked and may nothing.
    let path = format!("/v1/principals/{}", web.as_str().unwrap());
    desk.ask("PATCH", &path, Some(json!({"enabled": false}))).await;
    desk.ask("DELETE", "/v1/apps/job/identity", None).await;
    let now = explain(json!({"secret": "db"})).await;
    assert_eq!(
        (&now["principals"][1]["state"], &now["principals"][2]["state"]),
        (&json!("disabled"), &json!("gone"))
    );
    assert_eq!(said(&now, &web, "secret.get")["because"], "the principal is disabled");
    assert_eq!(said(&now, &job, "secret.list")["because"], "the principal does not exist");
    desk.ask("PATCH", &path, Some(json!({"enabled": true}))).await;

    // The other model: what was allowed is not, and a role that is narrowed down allows there only.
    desk.ask("PATCH", "/v1/vaults/shop", Some(json!({"access": "roles"}))).await;
    assert_eq!(said(&explain(json!({"app": "web"})).await, &web, "secret.get")["allowed"], false);
    let role = json!({"role": "Key Vault Secrets User", "app": "web", "secret": "db"});
    let (_, assigned) = desk.post("/v1/vaults/shop/roles", role).await;
    let db = explain(json!({"secret": "db"})).await;
    let read = said(&db, &web, "secret.get");
    assert_eq!((&read["allowed"], &read["role"]), (&json!(true), &json!("Key Vault Secrets User")));
    assert_eq!((&read["assignment"], &read["object"]["name"]), (&assigned["id"], &json!("db")));
    assert_eq!(*said(&db, &web, "secret.list-deleted"), Value::Null, "that is never asked of one secret");
    let other = explain(json!({"secret": "other"})).await;
    assert_eq!(said(&other, &web, "secret.get")["allowed"], false);
    assert!(
        said(&other, &web, "secret.get")["because"].as_str().unwrap().ends_with("secrets/getSecret/action")
    );
    assert_eq!(said(&other, &job, "secret.get"), &Value::Null, "a policy names nobody here");

    for (path, body, status, words) in [
        ("/v1/vaults/none/explain", json!({}), 404, "keyless vault list"),
        ("/v1/vaults/shop/explain", json!({"app": "nobody"}), 404, "app create nobody"),
        ("/v1/vaults/shop/explain", json!({"action": "secret.read"}), 400, "secret.get"),
        (
            "/v1/vaults/shop/explain",
            json!({"secret": "db", "action": "key.sign"}),
            400,
            "never asked of one secret",
        ),
        ("/v1/vaults/shop/explain", json!({"secret": "db", "key": "k"}), 400, "at most one"),
        ("/v1/vaults/shop/explain", json!({"app": "web", "principal": web}), 400, "exactly one"),
    ] {
        let (refused, answer) = desk.post(path, body.clone()).await;
        assert_eq!(refused, status, "{body}: {answer}");
        assert!(message(&answer).contains(words), "{body}: {answer}");
    }
    let changes = desk.world.audit.records().split_off(records);
    assert!(changes.iter().all(|record| !record.action.contains("explain")), "looking leaves no record");
}

/// Roles are given above a vault, too: whoever reads a secret by one is not left out, and goes with it.
#[tokio::test]
async fn who_reads_by_a_role_from_above_the_vault_is_named() {
    let desk = Desk::new().await;
    let (web, job) = (desk.app("web").await, desk.app("job").await);
    desk.post("/v1/vaults", json!({"name": "shop", "access": "roles"})).await;
    let path = "/v1/vaults/shop/explain";
    let everybody = async || desk.post(path, json!({"secret": "db"})).await.1;
    let count = |explained: &Value| explained["principals"].as_array().unwrap().len();
    let before = everybody().await;
    assert_eq!(count(&before), 1, "whoever made it: {before}");
    let given = [("subscription", "web", &web), ("group:keyless", "job", &job)];
    for (scope, app, _) in given {
        let words = json!({"scope": scope, "role": "Key Vault Secrets User", "app": app});
        let (status, said) = desk.post("/v1/role-assignments", words).await;
        assert_eq!(status, 200, "{said}");
    }
    let all = everybody().await;
    assert_eq!(count(&all), 3, "{all}");
    for (scope, _, principal) in given {
        let read = said(&all, principal, "secret.get");
        assert_eq!((&read["allowed"], &read["scope"]), (&json!(true), &json!(scope)), "{all}");
        assert_eq!(read["object"], Value::Null);
    }
    desk.post("/v1/vaults/shop/roles", json!({"role": "Key Vault Reader", "app": "web"})).await;
    let both = everybody().await;
    assert_eq!(count(&both), 3, "each once: {both}");
    assert_eq!(said(&both, &web, "secret.update")["allowed"], false, "{both}");
    for (scope, app, _) in given {
        let words = json!({"scope": scope, "role": "Key Vault Secrets User", "app": app});
        assert_eq!(desk.ask("DELETE", "/v1/role-assignments", Some(words)).await.0, 200);
    }
    let words = json!({"role": "Key Vault Reader", "app": "web"});
    assert_eq!(desk.ask("DELETE", "/v1/vaults/shop/roles", Some(words)).await.0, 200);
    assert_eq!(everybody().await, before, "nobody of them is left");
}

/// Where roles decide, who sees an asymmetric key may use its public half, and that is what is explained; of a symmetric one there is none.
#[tokio::test]
async fn who_sees_a_key_is_explained_to_use_its_public_half() {
    let desk = Desk::new().await;
    let web = desk.app("web").await;
    desk.post("/v1/vaults", json!({"name": "shop", "access": "roles"})).await;
    desk.post("/v1/vaults/shop/roles", json!({"role": "Key Vault Reader", "app": "web"})).await;
    let explained = desk.post("/v1/vaults/shop/explain", json!({"app": "web", "key": "k"})).await.1;
    for action in ["key.get", "key.encrypt", "key.wrap", "key.verify"] {
        let said = said(&explained, &web, action);
        assert_eq!((&said["allowed"], &said["role"]), (&json!(true), &json!("Key Vault Reader")), "{action}");
    }
    for action in ["key.decrypt", "key.unwrap", "key.sign"] {
        assert_eq!(said(&explained, &web, action)["allowed"], false, "{action}");
    }
}
