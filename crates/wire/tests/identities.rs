//! User-assigned identities through the administrator's API.

use crate::admin::{Desk, message};
use serde_json::{Value, json};

#[tokio::test]
async fn user_assigned_identities() {
    let desk = Desk::new().await;
    for app in ["Shop", "bakery"] {
        desk.post("/v1/apps", json!({"name": app})).await;
    }
    let (status, made) = desk.post("/v1/identities", json!({"name": "Readers_1"})).await;
    assert_eq!((status, made["name"].as_str(), &made["apps"]), (201, Some("Readers_1"), &json!([])));
    let (action, target) = (desk.last_record().action, desk.last_record().target);
    assert_eq!((action, &*target), ("identity.create", "identity Readers_1"));
    let principal = made["principal"].as_str().unwrap();
    let subscription = desk.world.state.directory.tenant().subscription();
    assert_eq!(
        made["resource_id"],
        format!(
            "/subscriptions/{subscription}/resourcegroups/keyless/providers/Microsoft.ManagedIdentity/\
             userAssignedIdentities/Readers_1"
        )
    );
    let (_, listed) = desk.get(&format!("/v1/principals/{principal}")).await;
    assert_eq!(listed["kind"], json!({"type": "user_assigned_identity"}));
    let (status, again) = desk.post("/v1/identities", json!({"name": "READERS_1"})).await;
    assert_eq!((status, again["error"]["code"].as_str()), (409, Some("Conflict")));

    for app in ["shop", "bakery", "shop"] {
        let (status, shown) =
            desk.ask("PUT", &format!("/v1/apps/{app}/identities/readers_1"), Some(json!({}))).await;
        assert_eq!((status, &shown["identity"]), (200, &Value::Null));
        assert_eq!(shown["user_assigned"].as_array().unwrap().len(), 1);
        assert_eq!(shown["user_assigned"][0]["client_id"], made["client_id"]);
        let record = desk.last_record();
        assert_eq!(record.action, "app.identity.assign");
        assert_eq!(record.target, format!("identity readers_1 of app {app}"));
    }
    let (_, shown) = desk.get("/v1/identities/readers_1").await;
    assert_eq!(shown["apps"], json!(["bakery", "Shop"]));
    let (status, shown) = desk.ask("DELETE", "/v1/apps/shop/identities/Readers_1", None).await;
    assert_eq!((status, &shown["user_assigned"]), (200, &json!([])));
    assert_eq!(desk.last_record().action, "app.identity.remove");
    let (_, all) = desk.get("/v1/identities").await;
    assert_eq!(all["value"][0]["apps"], json!(["bakery"]));

    // Rules may name it.
    desk.post("/v1/vaults", json!({"name": "shop"})).await;
    let policy = json!({"identity": "readers_1", "secrets": ["get"]});
    let (status, vault) = desk.ask("PUT", "/v1/vaults/shop/policies", Some(policy)).await;
    assert_eq!((status, vault["policies"][1]["principal"].as_str()), (200, Some(principal)));
    let both = json!({"identity": "readers_1", "app": "shop", "secrets": ["get"]});
    assert_eq!(desk.ask("PUT", "/v1/vaults/shop/policies", Some(both)).await.0, 400);
    let unknown = json!({"identity": "absent", "secrets": ["get"]});
    assert_eq!(desk.ask("PUT", "/v1/vaults/shop/policies", Some(unknown)).await.0, 404);

    for (method, path, status, says) in [
        ("GET", "/v1/identities/absent", 404, "keyless identity create absent"),
        ("DELETE", "/v1/identities/absent", 404, "does not exist"),
        ("PUT", "/v1/apps/shop/identities/absent", 404, "identity absent does not exist"),
        ("PUT", "/v1/apps/absent/identities/readers_1", 404, "app absent does not exist"),
        ("DELETE", "/v1/apps/absent/identities/readers_1", 404, "app absent does not exist"),
        ("PUT", "/v1/apps/shop/identities/_x", 400, "invalid identity name"),
        ("PUT", "/v1/apps/-/identities/readers_1", 400, "invalid app name"),
        ("GET", "/v1/identities/%20", 400, "invalid identity name"),
    ] {
        let (answered, body) = desk.ask(method, path, (method == "PUT").then(|| json!({}))).await;
        assert_eq!(answered, status, "{method} {path}");
        assert!(message(&body).contains(says), "{method} {path}: {body}");
    }
    for body in [json!({"name": "a"}), json!({"name": "ok_", "x": 1}), json!({})] {
        assert_eq!(desk.post("/v1/identities", body).await.0, 400);
    }

    assert_eq!(desk.ask("DELETE", "/v1/identities/READERS_1", None).await, (204, Value::Null));
    assert_eq!(desk.last_record().action, "identity.delete");
    assert_eq!(desk.get("/v1/apps/bakery").await.1["user_assigned"], json!([]));
    assert_eq!(desk.get("/v1/vaults/shop").await.1["policies"][1]["state"], "gone");
}
