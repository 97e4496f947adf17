//! Bodies and queries at the resource manager that say something else than they may: they are refused, and change nothing.

use crate::arm_web::Desk;
use http::Method;
use serde_json::{Value, json};

const ROLES: &str = "providers/Microsoft.Authorization/roleDefinitions";
const ROLE: &str = "providers/Microsoft.Authorization/roleDefinitions/11111111-2222-4333-8444-555555555555";
const READERS: &str =
    "resourceGroups/Shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/readers";

/// What was refused, and by which code.
async fn refused(desk: &Desk, method: Method, path: &str, body: Value) -> (u16, String) {
    let (status, told) = desk.ask(method, path, body).await;
    (status, told["error"]["code"].as_str().unwrap_or_default().to_owned())
}

fn content() -> (u16, String) {
    (400, "InvalidRequestContent".to_owned())
}

/// A role that sees vaults, with one property more or another.
fn role(desk: &Desk, name: &str, value: Value) -> Value {
    let mut body = json!({"properties": {
        "roleName": "Seer", "description": "sees", "type": "CustomRole",
        "assignableScopes": [format!("/subscriptions/{}", desk.world.state.resource.subscription().id)],
        "permissions": [{"actions": ["Microsoft.KeyVault/vaults/read"]}],
    }});
    match value {
        Value::Null => body["properties"].as_object_mut().unwrap().remove(name),
        value => body["properties"].as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    body
}

/// Its holders lost what it allowed.
#[tokio::test]
async fn a_role_keeps_its_actions_where_a_change_does_not_say_them_rightly() {
    let desk = Desk::new(Some("Owner")).await;
    let (status, made) = desk.ask(Method::PUT, ROLE, role(&desk, "x", json!(1))).await;
    assert_eq!(status, 201, "{made}");
    let read = json!(["Microsoft.KeyVault/vaults/read"]);
    for permissions in [
        Value::Null,
        json!("x"),
        json!(5),
        json!({"actions": read}),
        json!([]),
        json!([5]),
        json!(["x"]),
        json!([{}]),
        json!([{"actions": null}]),
        json!([{"Actions": read}]),
        json!([{"actions": read, "NotActions": read}]),
        json!([{"notActions": read}]),
        json!([{"actions": "x"}]),
        json!([{"actions": [5]}]),
        json!([{"actions": read, "notActions": 5}]),
        json!([{"dataActions": {}}]),
        json!([{"actions": read, "notDataActions": [null]}]),
        json!([{"actions": read}, {}]),
    ] {
        let body = role(&desk, "permissions", permissions.clone());
        assert_eq!(refused(&desk, Method::PUT, ROLE, body).await, content(), "{permissions}");
    }
    for (name, value) in [
        ("description", json!(5)),
        ("type", json!(["CustomRole"])),
        ("roleName", json!({})),
        ("assignableScopes", json!("/")),
        ("assignableScopes", json!([5])),
    ] {
        let body = role(&desk, name, value);
        assert_eq!(refused(&desk, Method::PUT, ROLE, body.clone()).await, content(), "{body}");
    }
    assert_eq!(desk.ask(Method::GET, ROLE, Value::Null).await, (200, made.clone()), "nothing has changed");
    // As it was told it may be said again; and one that allows nothing, if that is what is said.
    assert_eq!(desk.ask(Method::PUT, ROLE, made.clone()).await, (201, made));
    let nothing =
        role(&desk, "permissions", json!([{"actions": [], "condition": null, "conditionVersion": "2.0"}]));
    assert_eq!(desk.ask(Method::PUT, ROLE, nothing).await.0, 201);
}

/// What one object took away was taken from what another one granted.
#[tokio::test]
async fn several_objects_of_a_roles_permissions_are_one_only_if_none_takes_anything_away() {
    let desk = Desk::new(Some("Owner")).await;
    let (read, write) = ("Microsoft.KeyVault/vaults/read", "Microsoft.KeyVault/vaults/write");
    let grants = json!([{"actions": [read], "notActions": []}, {"actions": [write], "dataActions": ["*"]}]);
    let (status, made) = desk.ask(Method::PUT, ROLE, role(&desk, "permissions", grants)).await;
    let one =
        json!([{"actions": [read, write], "notActions": [], "dataActions": ["*"], "notDataActions": []}]);
    assert_eq!((status, &made["properties"]["permissions"]), (201, &one));
    for takes in ["notActions", "notDataActions"] {
        let mut several = json!([{"actions": ["*"]}, {"actions": [write]}]);
        several[0][takes] = json!([write]);
        let body = role(&desk, "permissions", several);
        let (status, told) = desk.ask(Method::PUT, ROLE, body).await;
        let message = told["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains("make a role of each"), "{takes}: {told}");
    }
    assert_eq!(desk.ask(Method::GET, ROLE, Value::Null).await, (200, made));
}

#[tokio::test]
async fn a_role_too_many_is_said_to_be_one() {
    let desk = Desk::new(Some("Owner")).await;
    let put = async |number: usize| {
        let path = format!("{ROLES}/11111111-2222-4333-8444-{number:012}");
        refused(&desk, Method::PUT, &path, role(&desk, "roleName", json!(format!("Seer {number}")))).await
    };
    for number in 0..domain::limits::CUSTOM_ROLES_MAX {
        assert_eq!(put(number).await.0, 201);
    }
    let one_more = put(domain::limits::CUSTOM_ROLES_MAX).await;
    assert_eq!(one_more, (400, "RoleDefinitionLimitExceeded".to_owned()));
    let long = role(&desk, "description", json!("x".repeat(domain::limits::CUSTOM_ROLE_BYTES_MAX)));
    let long =
        refused(&desk, Method::PUT, &format!("{ROLES}/11111111-2222-4333-8444-000000000000"), long).await;
    assert_eq!(long, (400, "RoleDefinitionLimitExceeded".to_owned()));
}

#[tokio::test]
async fn what_is_said_of_a_role_assignment_is_a_text() {
    let desk = Desk::new(Some("Owner")).await;
    let assignments = "providers/Microsoft.Authorization/roleAssignments";
    let path = format!("{assignments}/11111111-2222-4333-8444-555555555556");
    let reader = format!("/{ROLES}/acdd72a7-3385-48ef-bd42-f606fba81ae7");
    let with = |description: Value| {
        let principal = desk.world.name("{ci.principal}");
        json!({"properties": {"principalId": principal, "roleDefinitionId": reader, "description": description}})
    };
    for wrong in [json!(5), json!(["x"]), json!({}), json!(true)] {
        assert_eq!(refused(&desk, Method::PUT, &path, with(wrong.clone())).await, content(), "{wrong}");
    }
    assert_eq!(desk.ask(Method::GET, &path, Value::Null).await.0, 404);
    assert_eq!(desk.ask(Method::PUT, &path, with(json!("reads"))).await.0, 201);
}

#[tokio::test]
async fn an_identity_is_somewhere_and_stays_there() {
    let desk = Desk::new(Some("Owner")).await;
    let no_location = (400, "LocationRequired".to_owned());
    for body in [Value::Null, json!({}), json!({"location": null}), json!({"tags": {"a": "b"}})] {
        assert_eq!(refused(&desk, Method::PUT, READERS, body.clone()).await, no_location, "{body}");
    }
    assert_eq!(refused(&desk, Method::PUT, READERS, json!({"location": 5})).await, content());
    assert_eq!(desk.ask(Method::GET, READERS, Value::Null).await.0, 404, "none was made");
    let (status, made) = desk.ask(Method::PUT, READERS, json!({"location": "West Europe"})).await;
    assert_eq!((status, &made["location"]), (201, &json!("westeurope")));
    // As of a group and of a plan, also of one that is there.
    assert_eq!(refused(&desk, Method::PUT, READERS, json!({"tags": {"a": "b"}})).await, no_location);
    for wrong in [json!(5), json!(["westeurope"]), json!({})] {
        let body = json!({"location": wrong, "tags": {"a": "b"}});
        assert_eq!(refused(&desk, Method::PATCH, READERS, body.clone()).await, content(), "{body}");
    }
    let elsewhere = (409, "InvalidResourceLocation".to_owned());
    for method in [Method::PUT, Method::PATCH] {
        assert_eq!(refused(&desk, method, READERS, json!({"location": "east"})).await, elsewhere);
    }
    assert_eq!(desk.ask(Method::GET, READERS, Value::Null).await, (200, made), "nothing has changed");
    let tagged = json!({"location": "westeurope", "tags": {"a": "b"}});
    for method in [Method::PUT, Method::PATCH] {
        let (status, told) = desk.ask(method, READERS, tagged.clone()).await;
        assert_eq!((status, &told["tags"]), (200, &json!({"a": "b"})));
    }
}

#[tokio::test]
async fn what_is_asked_of_a_name_is_of_its_type() {
    let desk = Desk::new(Some("Reader")).await;
    let vaults = "providers/Microsoft.KeyVault/checkNameAvailability";
    let apps = "providers/Microsoft.Web/checknameavailability";
    for (path, name, value) in [
        (vaults, "type", json!(5)),
        (vaults, "type", json!(["Microsoft.KeyVault/vaults"])),
        (apps, "type", json!(true)),
        (apps, "isFqdn", json!("false")),
        (apps, "isFqdn", json!(0)),
    ] {
        let mut body = json!({"name": "till", "type": "any"});
        body[name] = value;
        assert_eq!(refused(&desk, Method::POST, path, body.clone()).await, content(), "{path} {body}");
    }
    for path in [vaults, apps] {
        for body in [
            json!({"name": "till"}),
            json!({"name": "till", "type": "any", "isFqdn": false}),
            json!({"name": "till", "type": null}),
        ] {
            let (status, told) = desk.ask(Method::POST, path, body.clone()).await;
            assert_eq!((status, &told["nameAvailable"]), (200, &json!(true)), "{path} {body}");
        }
    }
}

#[tokio::test]
async fn whether_passwords_may_deploy_is_yes_or_no() {
    let desk = Desk::new(Some("Owner")).await;
    desk.make().await;
    let policy = "sites/web/basicPublishingCredentialsPolicies/ftp";
    for wrong in [json!("true"), json!(1), json!([true]), json!({})] {
        let body = json!({"properties": {"allow": wrong}});
        assert_eq!(desk.refused(Method::PUT, policy, body.clone()).await, content(), "{body}");
    }
    for right in [json!(false), Value::Null] {
        desk.web(Method::PUT, policy, json!({"properties": {"allow": right}})).await;
    }
}

/// A page of what nobody asked for was taken for the one that was meant; and each link to a next page leads there.
#[tokio::test]
async fn a_page_begins_where_another_has_ended() {
    let desk = Desk::new(Some("Owner")).await;
    desk.make().await;
    let web = "resourceGroups/Shop/providers/Microsoft.Web";
    desk.ask(Method::PUT, READERS, json!({"location": "local"})).await;
    for list in [
        "resourceGroups",
        "resources",
        "locations",
        "providers",
        ROLES,
        "providers/Microsoft.Authorization/roleAssignments",
        "providers/Microsoft.Web/sites",
        "providers/Microsoft.Web/serverfarms",
        "providers/Microsoft.ManagedIdentity/userAssignedIdentities",
        "providers/Microsoft.KeyVault/vaults",
        "providers/Microsoft.KeyVault/deletedVaults",
        &format!("{web}/sites/web/config"),
        &format!("{web}/sites/web/basicPublishingCredentialsPolicies"),
    ] {
        for token in ["abc", "0", "%00", "subscriptions"] {
            let path = format!("{list}?$skiptoken={token}");
            let told = refused(&desk, Method::GET, &path, Value::Null).await;
            assert_eq!(told, (400, "BadRequest".to_owned()), "{path}");
        }
        let mut rest = format!("{list}?$top=1");
        loop {
            let (status, page) = desk.ask(Method::GET, &rest, Value::Null).await;
            assert!(status == 200 && page["value"].as_array().unwrap().len() <= 1, "{rest}: {page}");
            let Some(next) = page["nextLink"].as_str() else { break };
            let (_, next) = next.split_once("/subscriptions/").unwrap().1.split_once('/').unwrap();
            // The version is said anew.
            let (path, query) = next.split_once('?').unwrap();
            let query = query.split('&').filter(|pair| !pair.starts_with("api-version="));
            rest = format!("{path}?{}", query.collect::<Vec<_>>().join("&"));
        }
    }
}
