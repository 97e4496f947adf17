//! Vaults and roles by the resource manager: what `az` and the management SDKs send, what is done, and who may not.

use crate::{
    golden_graph,
    golden_keyvault::sign,
    support::{NOW, World},
};
use access::Manager;
use axum::body::Body;
use crypt::test_keys;
use directory::NewRegistration;
use domain::{Location, PrincipalId, ResourceGroupName};
use http::{Method, Request};
use resource::{
    group::GroupChange,
    roles::{NewAssignment, Place},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const BY: Manager<'static> = Manager::Administrator;
const VERSION: &str = "api-version=2026-02-01";

/// Applications: `owner` of everything, `contributor` of group shop, `reader` of everything, and a `stranger`.
struct Arm {
    world: World,
    subscription: String,
}

impl Arm {
    async fn new() -> Self {
        let mut world = World::new().await;
        let subscription = world.state.resource.subscription().id.to_string();
        let change = GroupChange { location: Some(Location::of_display("West Europe").unwrap()), tags: None };
        world.state.resource.put_group(BY, &group(), &change, NOW).await.unwrap();
        let roles = [
            ("owner", Some(("Owner", Place::Subscription))),
            ("contributor", Some(("Contributor", Place::Group(group())))),
            ("reader", Some(("Reader", Place::Subscription))),
            ("stranger", None),
        ];
        for (name, role) in roles {
            let new = NewRegistration { display_name: name.to_owned(), ..NewRegistration::default() };
            let made = world.register(name, new).await;
            if let Some((role, place)) = role {
                let new = NewAssignment {
                    id: None,
                    principal: made.principal,
                    kind: None,
                    role: role.parse().unwrap(),
                };
                world.state.resource.assign(BY, &place, &new, NOW).await.unwrap();
            }
            let mut claims = golden_graph::claims(&world, made.principal, made.client);
            claims["aud"] = json!(world.state.names.management_resource());
            world.call(&format!("{name} token"), &sign(&test_keys::signing_key(), &claims));
        }
        Self { world, subscription }
    }

    fn principal(&self, name: &str) -> PrincipalId {
        self.world.name(&format!("{{{name}.principal}}")).parse().unwrap()
    }

    /// Sends a request about what is below the subscription; what it came to, and the body.
    async fn ask(&self, who: &str, method: Method, rest: &str, body: Value) -> (u16, Value) {
        let separator = if rest.contains('?') { '&' } else { '?' };
        let path = format!("/subscriptions/{}{rest}{separator}{VERSION}", self.subscription);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "management.keyless.localhost:8443")
            .header("authorization", self.world.name(&format!("Bearer {{{who} token}}")))
            .body(Body::from(if body.is_null() { String::new() } else { body.to_string() }))
            .unwrap();
        let response = self.world.public.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, who: &str, rest: &str) -> (u16, Value) {
        self.ask(who, Method::GET, rest, Value::Null).await
    }

    async fn put(&self, who: &str, rest: &str, body: Value) -> (u16, Value) {
        self.ask(who, Method::PUT, rest, body).await
    }

    /// As `az keyvault create` makes one.
    fn new_vault(&self, properties: &Value) -> Value {
        let mut said = json!({
            "tenantId": self.world.state.directory.tenant().id,
            "sku": {"name": "standard", "family": "A"},
            "accessPolicies": [],
            "enableRbacAuthorization": true,
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": 90,
            "networkAcls": {"bypass": "AzureServices", "defaultAction": "Allow"},
        });
        for (name, value) in properties.as_object().unwrap() {
            said[name] = value.clone();
        }
        json!({"location": "westeurope", "properties": said})
    }
}

fn group() -> ResourceGroupName {
    ResourceGroupName::parse("shop").unwrap()
}

const TILL: &str = "/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/till";

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_vault_is_made_as_az_makes_it_and_told_again() {
    let arm = Arm::new().await;
    assert_eq!(code(&arm.get("owner", TILL).await), (404, "ResourceNotFound"));
    let (status, made) = arm.put("contributor", TILL, arm.new_vault(&json!({}))).await;
    assert_eq!(status, 200, "{made}");
    let sub = &arm.subscription;
    assert_eq!(made["id"], format!("/subscriptions/{sub}{TILL}"));
    assert_eq!((&made["name"], &made["location"]), (&json!("till"), &json!("westeurope")));
    let properties = &made["properties"];
    assert_eq!(properties["vaultUri"], "https://till.vault.keyless.localhost:8443/");
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert_eq!(properties["accessPolicies"], json!([]), "just what the body says");
    assert_eq!(properties["enableRbacAuthorization"], json!(true));
    let acls = json!({"bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": []});
    assert_eq!(properties["networkAcls"], acls);
    let vault = arm.world.state.vault.show_vault(BY, &"till".parse().unwrap()).await.unwrap();
    let roles = arm.world.state.vault.roles_in(vault.id).await.unwrap();
    assert!(roles.is_empty() && vault.placement.group == group(), "nobody is let in that nobody named");
    // In any case of the words, and with more slashes in front.
    assert_eq!(arm.get("reader", &TILL.to_lowercase()).await, (200, made.clone()));
    for list in
        ["/providers/Microsoft.KeyVault/vaults", "/resourceGroups/SHOP/providers/Microsoft.KeyVault/vaults"]
    {
        assert_eq!(arm.get("reader", list).await, (200, json!({"value": [made]})));
        assert_eq!(arm.get("stranger", list).await, (200, json!({"value": []})));
    }
    // The same again changes nothing.
    assert_eq!(arm.put("contributor", TILL, made.clone()).await, (200, made.clone()));
    // Names are the installation's, and a vault is in one group.
    let elsewhere = TILL.replace("shop", "keyless");
    assert_eq!(code(&arm.get("owner", &elsewhere).await), (404, "ResourceNotFound"));
    assert_eq!(
        code(&arm.put("owner", &elsewhere, arm.new_vault(&json!({}))).await),
        (409, "VaultAlreadyExists")
    );
    let moved = json!({"location": "eastus", "properties": {}});
    assert_eq!(code(&arm.put("owner", TILL, moved).await), (409, "InvalidResourceLocation"));
    let nowhere = TILL.replace("shop", "nowhere");
    assert_eq!(
        code(&arm.put("owner", &nowhere, arm.new_vault(&json!({}))).await),
        (404, "ResourceGroupNotFound")
    );
    assert_eq!(code(&arm.get("owner", &nowhere).await), (404, "ResourceGroupNotFound"));
    let hsms = arm.get("reader", "/providers/Microsoft.KeyVault/managedHSMs").await;
    assert_eq!(hsms, (200, json!({"value": []})));
    let hsms = arm.get("reader", "/resourceGroups/shop/providers/Microsoft.KeyVault/managedHSMs").await;
    assert_eq!(hsms.0, 404);
}

#[tokio::test]
async fn what_is_not_said_of_a_vault_stays_and_what_cannot_be_is_refused() {
    let arm = Arm::new().await;
    let id = arm.principal("stranger");
    let policy = json!({
        "tenantId": arm.world.state.directory.tenant().id, "objectId": id,
        "permissions": {"secrets": ["Get", "LIST"], "keys": ["all"], "storage": ["get"]},
    });
    let said = json!({
        "enableRbacAuthorization": false, "accessPolicies": [policy], "sku": {"name": "premium"},
        "networkAcls": {"defaultAction": "Deny", "ipRules": [{"value": "192.0.2.7"}]},
    });
    let (status, made) = arm.put("owner", TILL, arm.new_vault(&said)).await;
    assert_eq!(status, 200, "{made}");
    let kept = &made["properties"]["accessPolicies"][0]["permissions"];
    assert_eq!((&kept["secrets"], &kept["storage"]), (&json!(["get", "list"]), &json!(["get"])));
    assert!(kept["keys"].as_array().unwrap().contains(&json!("purge")), "all is all");
    let vault = arm.world.state.vault.show_vault(BY, &"till".parse().unwrap()).await.unwrap();
    assert_eq!(vault.policies.len(), 1);
    assert_eq!(vault.network.only_from.as_ref().unwrap().len(), 1);
    let patch = async |properties: Value| {
        arm.ask("owner", Method::PATCH, TILL, json!({"properties": properties})).await
    };
    let tags = arm.ask("owner", Method::PATCH, TILL, json!({"tags": {"env": "test"}})).await;
    assert_eq!((tags.0, &tags.1["tags"]), (200, &json!({"env": "test"})));
    assert_eq!(tags.1["properties"], made["properties"]);
    // Ranges wait while the vault is open, and count again.
    let (_, open) = patch(json!({"networkAcls": {"defaultAction": "Allow"}})).await;
    let waiting = json!([{"value": "192.0.2.7/32"}]);
    assert_eq!(open["properties"]["networkAcls"]["ipRules"], waiting);
    let now = || async { arm.world.state.vault.show_vault(BY, &"till".parse().unwrap()).await.unwrap() };
    assert_eq!(now().await.network.only_from, None);
    let (_, closed) = patch(json!({"publicNetworkAccess": "Disabled"})).await;
    assert_eq!(closed["properties"]["publicNetworkAccess"], "Disabled");
    assert_eq!(closed["properties"]["networkAcls"]["defaultAction"], "Allow");
    assert_eq!(now().await.network.only_from, Some(Vec::new()), "nobody is let in");
    let again = json!({"publicNetworkAccess": "Enabled", "networkAcls": {"defaultAction": "Deny"}});
    let (_, again) = patch(again).await;
    assert_eq!(again["properties"]["networkAcls"], made["properties"]["networkAcls"]);
    assert_eq!(now().await.network, vault.network);
    for (bad, expected) in [
        (json!({"enableSoftDelete": false}), "enableSoftDelete"),
        (json!({"enablePurgeProtection": false}), "enablePurgeProtection"),
        (json!({"softDeleteRetentionInDays": 7}), "retention"),
        (json!({"softDeleteRetentionInDays": -1}), "7 to 90"),
        (json!({"tenantId": "11111111-2222-4333-8444-555555555555"}), "tenantId"),
        (json!({"sku": {"name": "gold"}}), "standard, premium"),
        (json!({"createMode": "x"}), "createMode"),
        (json!({"enableRbacAuthorization": "yes"}), "boolean"),
        (json!({"networkAcls": {"virtualNetworkRules": [{"id": "x"}]}}), "virtual networks"),
        (json!({"networkAcls": {"ipRules": [{"value": "10.0.0.7/8"}]}}), "ipRules"),
        (json!({"accessPolicies": [{"objectId": "me", "permissions": {}}]}), "object id"),
        (json!({"accessPolicies": [{"objectId": id, "permissions": {"keys": ["fly"]}}]}), "permission"),
        (
            json!({"accessPolicies": [{"objectId": id, "applicationId": id, "permissions": {}}]}),
            "application",
        ),
        (json!({"accessPolicies": [policy, policy]}), "at most one"),
        (json!({"accessPolicies": {}}), "array"),
    ] {
        let (status, answer) = patch(bad.clone()).await;
        assert_eq!(status, 400, "{bad}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(expected), "{bad}: {answer}");
    }
    assert_eq!(arm.get("owner", TILL).await.1["properties"], made["properties"], "a refusal changes nothing");
}

#[tokio::test]
async fn access_policies_are_edited_by_themselves() {
    let arm = Arm::new().await;
    arm.put("owner", TILL, arm.new_vault(&json!({"enableRbacAuthorization": false}))).await;
    let body = |verbs: &[&str]| {
        let policy = json!({"objectId": arm.principal("stranger"), "permissions": {"secrets": verbs}});
        json!({"properties": {"accessPolicies": [policy]}})
    };
    let edit = async |how: &str, verbs: &[&str]| {
        let answer = arm.put("contributor", &format!("{TILL}/accessPolicies/{how}"), body(verbs)).await;
        assert_eq!(answer.0, 200, "{answer:?}");
        answer.1["properties"]["accessPolicies"][0]["permissions"]["secrets"].clone()
    };
    assert_eq!(edit("add", &["get"]).await, json!(["get"]));
    assert_eq!(edit("Add", &["list"]).await, json!(["get", "list"]));
    assert_eq!(edit("remove", &["get"]).await, json!(["list"]));
    assert_eq!(edit("replace", &["set"]).await, json!(["set"]));
    assert_eq!(edit("remove", &["set"]).await, Value::Null);
    for who in ["reader", "stranger"] {
        let refused = arm.put(who, &format!("{TILL}/accessPolicies/add"), body(&["get"])).await;
        assert_eq!(code(&refused), (403, "AuthorizationFailed"), "{who}");
    }
}

#[tokio::test]
async fn a_deleted_vault_is_recovered_or_purged() {
    let arm = Arm::new().await;
    let (_, made) = arm.put("owner", TILL, arm.new_vault(&json!({}))).await;
    let gone = |who: &'static str| arm.ask(who, Method::DELETE, TILL, Value::Null);
    assert_eq!(gone("reader").await.0, 403);
    assert_eq!(gone("contributor").await.0, 200);
    assert_eq!(gone("contributor").await.0, 204);
    assert_eq!(gone("stranger").await.0, 403, "who may not learns nothing");
    let taken = arm.put("owner", TILL, arm.new_vault(&json!({}))).await;
    assert_eq!(code(&taken), (409, "ConflictError"));
    let (status, listed) = arm.get("contributor", "/providers/Microsoft.KeyVault/deletedVaults").await;
    let one = &listed["value"][0];
    assert_eq!((status, &one["properties"]["vaultId"]), (200, &made["id"]));
    assert_eq!(one["properties"]["deletionDate"], "2027-01-15T08:00:00Z");
    assert_eq!(one["properties"]["scheduledPurgeDate"], "2027-04-15T08:00:00Z");
    let deleted = "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/till";
    assert_eq!(arm.get("contributor", deleted).await, (200, one.clone()));
    let elsewhere = deleted.replace("westeurope", "eastus");
    assert_eq!(code(&arm.get("owner", &elsewhere).await), (404, "DeletedVaultNotFound"));
    assert_eq!(arm.get("stranger", deleted).await.0, 403);
    assert_eq!(arm.get("stranger", &elsewhere).await.0, 403);
    let recover = arm.new_vault(&json!({"createMode": "recover"}));
    assert_eq!(arm.put("stranger", TILL, recover.clone()).await.0, 403);
    assert_eq!(arm.put("contributor", TILL, recover.clone()).await, (200, made));
    assert_eq!(code(&arm.put("contributor", TILL, recover).await), (404, "DeletedVaultNotFound"));
    assert_eq!(gone("owner").await.0, 200);
    let purge = |who: &'static str, path: String| {
        let arm = &arm;
        async move { arm.ask(who, Method::POST, &format!("{path}/purge"), Value::Null).await }
    };
    for who in ["contributor", "reader", "stranger"] {
        // Of a group's contributor, too: purging is the subscription's.
        assert_eq!(purge(who, deleted.to_owned()).await.0, 403, "{who}");
        assert_eq!(purge(who, elsewhere.clone()).await.0, 403, "{who}");
    }
    assert_eq!(purge("owner", elsewhere.clone()).await.0, 404);
    assert_eq!(purge("owner", deleted.to_owned()).await.0, 200);
    assert_eq!(code(&purge("owner", deleted.to_owned()).await), (404, "DeletedVaultNotFound"));
    let protected = arm.new_vault(&json!({"enablePurgeProtection": true}));
    assert_eq!(arm.put("owner", TILL, protected).await.1["properties"]["enablePurgeProtection"], json!(true));
    gone("owner").await;
    assert_eq!(code(&purge("owner", deleted.to_owned()).await), (405, "MethodNotAllowed"));
}

/// As `list_by_subscription(top=2)` of the management SDKs asks, which go on by `nextLink` until there is none.
#[tokio::test]
async fn a_list_in_pages_has_everything_once_whatever_is_made_or_deleted_meanwhile() {
    let arm = Arm::new().await;
    for name in ["till", "desk", "door", "hall"] {
        let path = TILL.replace("till", name);
        assert_eq!(arm.put("owner", &path, arm.new_vault(&json!({}))).await.0, 200, "{name}");
    }
    let names = |page: &Value| -> Vec<String> {
        page["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let base = format!("https://management.keyless.localhost:8443/subscriptions/{}", arm.subscription);
    let next =
        |page: &Value| page["nextLink"].as_str().map(|next| next.strip_prefix(&base).unwrap().to_owned());
    let (_, first) = arm.get("reader", "/providers/Microsoft.KeyVault/vaults?$top=2").await;
    assert_eq!(names(&first), ["desk", "door"]);
    let after = next(&first).unwrap();
    assert!(after.contains(VERSION) && after.contains("%24top=2"), "what was asked for goes along: {after}");
    // What the page ended with is gone, and something is made before it.
    arm.ask("owner", Method::DELETE, &TILL.replace("till", "door"), Value::Null).await;
    arm.put("owner", &TILL.replace("till", "attic"), arm.new_vault(&json!({}))).await;
    let (_, second) = arm.get("reader", &after).await;
    assert_eq!((names(&second), next(&second)), (vec!["hall".to_owned(), "till".to_owned()], None));
    let (_, none) = arm.get("stranger", &after).await;
    assert_eq!((names(&none), next(&none)), (vec![], None), "a link gives nobody a right");
    // The filter goes along, too.
    let filtered = "/resources?$top=1&$filter=resourceType%20eq%20'Microsoft.KeyVault/vaults'";
    let (_, first) = arm.get("reader", filtered).await;
    let (_, second) = arm.get("reader", &next(&first).unwrap()).await;
    assert_eq!((names(&first), names(&second)), (vec!["attic".to_owned()], vec!["desk".to_owned()]));
    for bad in ["$top=0", "$top=many", "$skiptoken="] {
        let refused = arm.get("reader", &format!("/resources?{bad}")).await;
        assert_eq!(code(&refused), (400, "BadRequest"), "{bad}");
    }
}

/// As `check_existence_by_id` of the management SDKs asks.
#[tokio::test]
async fn whether_something_is_there_is_asked_by_head() {
    let arm = Arm::new().await;
    let head = async |who: &str, path: &str| arm.ask(who, Method::HEAD, path, Value::Null).await.0;
    assert_eq!(head("reader", TILL).await, 404);
    assert_eq!(arm.put("owner", TILL, arm.new_vault(&json!({}))).await.0, 200);
    assert_eq!(head("reader", TILL).await, 204);
    assert_eq!(head("reader", "").await, 204, "the subscription");
    for path in [TILL, &TILL.replace("till", "none")] {
        assert_eq!(head("stranger", path).await, 403, "{path}");
    }
    // `check_existence` by parts, of what is below no other resource.
    assert_eq!(head("reader", &TILL.replace("/vaults/", "//vaults/")).await, 204);
    // What is done and not read is not asked for.
    let purge = "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/till/purge";
    assert_eq!(head("owner", purge).await, 405);
    assert_eq!(head("reader", &TILL.replace("till", "un_der")).await, 400);
}

#[tokio::test]
async fn a_name_is_free_or_told_why_not() {
    let arm = Arm::new().await;
    arm.put("owner", TILL, arm.new_vault(&json!({}))).await;
    let check = async |who: &str, name: &str| {
        let body = json!({"name": name, "type": "Microsoft.KeyVault/vaults"});
        arm.ask(who, Method::POST, "/providers/Microsoft.KeyVault/checkNameAvailability", body).await
    };
    assert_eq!(check("reader", "other").await, (200, json!({"nameAvailable": true})));
    assert_eq!(check("reader", "TILL").await.1["reason"], "AlreadyExists");
    assert_eq!(check("reader", "no--name").await.1["reason"], "AccountNameInvalid");
    assert_eq!(check("stranger", "till").await.0, 403);
    assert_eq!(check("stranger", "no--name").await.0, 403);
}

#[tokio::test]
async fn each_write_needs_a_role_and_the_model_of_access_more() {
    let arm = Arm::new().await;
    for who in ["reader", "stranger"] {
        let made = arm.put(who, TILL, arm.new_vault(&json!({}))).await;
        assert_eq!(code(&made), (403, "AuthorizationFailed"), "{who}");
        let message = made.1["error"]["message"].as_str().unwrap();
        assert!(message.contains("'Microsoft.KeyVault/vaults/write'") && message.contains(TILL), "{message}");
    }
    arm.put("contributor", TILL, arm.new_vault(&json!({}))).await;
    let to_policies = json!({"properties": {"enableRbacAuthorization": false}});
    let refused = arm.ask("contributor", Method::PATCH, TILL, to_policies.clone()).await;
    assert_eq!(code(&refused), (403, "AuthorizationFailed"));
    assert!(refused.1["error"]["message"].as_str().unwrap().contains("roleAssignments/write"));
    assert_eq!(arm.ask("owner", Method::PATCH, TILL, to_policies).await.0, 200);
    let records = arm.world.audit.records();
    let made =
        records.iter().find(|record| record.action == "vault.put" && record.target.contains("by roles"));
    assert!(made.is_some(), "{records:?}");
    let refusals = records
        .iter()
        .filter(|record| record.outcome == audit::Outcome::Refused && record.action == "vault.put");
    assert_eq!(refusals.count(), 2);
}

const ASSIGNMENT: &str = "11111111-2222-4333-8444-555555555555";

fn assignment(at: &str) -> String {
    format!("{at}/providers/Microsoft.Authorization/roleAssignments/{ASSIGNMENT}")
}

#[tokio::test]
async fn roles_are_assigned_at_every_scope_and_open_what_they_say() {
    let arm = Arm::new().await;
    arm.put("owner", TILL, arm.new_vault(&json!({}))).await;
    let stranger = arm.principal("stranger");
    let (_, found) = arm
        .get("owner", "/providers/Microsoft.Authorization/roleDefinitions?$filter=roleName%20eq%20'Reader'")
        .await;
    let [role] = found["value"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!(role["properties"]["type"], "BuiltInRole");
    let body = json!({"properties": {
        "principalId": stranger, "principalType": "ServicePrincipal", "roleDefinitionId": role["id"],
    }});
    let secret = format!("{TILL}/secrets/db");
    for (at, sees) in [("", true), ("/resourceGroups/shop", true), (TILL, true), (&secret, false)] {
        let path = assignment(at);
        for who in ["contributor", "reader", "stranger"] {
            assert_eq!(code(&arm.put(who, &path, body.clone()).await), (403, "AuthorizationFailed"), "{who}");
        }
        assert_eq!(arm.get("stranger", TILL).await.0, 403);
        let (status, made) = arm.put("owner", &path, body.clone()).await;
        assert_eq!(status, 201, "{made}");
        assert_eq!(made["id"], format!("/subscriptions/{}{path}", arm.subscription));
        assert_eq!(made["properties"]["scope"], format!("/subscriptions/{}{at}", arm.subscription));
        assert_eq!(made["properties"]["principalType"], "ServicePrincipal");
        assert_eq!(arm.put("owner", &path, body.clone()).await, (200, made.clone()));
        let other = path.replace(ASSIGNMENT, "11111111-2222-4333-8444-555555555556");
        assert_eq!(code(&arm.put("owner", &other, body.clone()).await), (409, "RoleAssignmentExists"));
        assert_eq!(arm.get("reader", &path).await, (200, made.clone()));
        assert_eq!(arm.get("stranger", TILL).await.0, if sees { 200 } else { 403 }, "{at}");
        let list = format!(
            "{at}/providers/Microsoft.Authorization/roleAssignments?$filter=principalId%20eq%20'{stranger}'"
        );
        assert_eq!(arm.get("reader", &list).await.1["value"], json!([made]));
        let at_scope = format!("{at}/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()");
        let listed = arm.get("owner", &at_scope).await.1;
        assert!(listed["value"].as_array().unwrap().contains(&made), "{listed}");
        for who in ["contributor", "reader", "stranger"] {
            assert_eq!(arm.ask(who, Method::DELETE, &path, Value::Null).await.0, 403, "{who}");
        }
        assert_eq!(arm.ask("owner", Method::DELETE, &path, Value::Null).await, (200, made));
        assert_eq!(arm.ask("owner", Method::DELETE, &path, Value::Null).await.0, 204);
        assert_eq!(arm.get("stranger", TILL).await.0, 403, "{at}");
    }
    let nowhere = assignment("/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/none");
    assert_eq!(code(&arm.put("owner", &nowhere, body.clone()).await), (404, "ResourceNotFound"));
    let with = |name: &str, value: Value| {
        let mut body = body.clone();
        body["properties"][name] = value;
        body
    };
    for (bad, expected) in [
        (with("principalId", json!(ASSIGNMENT)), (400, "PrincipalNotFound")),
        (with("principalId", json!("me")), (400, "InvalidPrincipalId")),
        (with("principalType", json!("User")), (400, "UnmatchedPrincipalType")),
        (with("roleDefinitionId", json!(ASSIGNMENT)), (404, "RoleDefinitionDoesNotExist")),
        (with("roleDefinitionId", json!("Reader")), (400, "InvalidRoleDefinitionId")),
        (with("condition", json!("@Resource[x] StringEquals 'y'")), (400, "BadRequest")),
        (json!({}), (400, "InvalidRequestContent")),
    ] {
        assert_eq!(code(&arm.put("owner", &assignment(TILL), bad.clone()).await), expected, "{bad}");
    }
    let bad = "/providers/Microsoft.Authorization/roleAssignments/me";
    assert_eq!(code(&arm.put("owner", bad, body).await), (400, "InvalidRoleAssignmentId"));
}

#[tokio::test]
async fn a_role_of_ones_own_is_made_assigned_and_deleted() {
    let arm = Arm::new().await;
    arm.put("owner", TILL, arm.new_vault(&json!({}))).await;
    let path = format!("/providers/Microsoft.Authorization/roleDefinitions/{ASSIGNMENT}");
    let scope = format!("/subscriptions/{}", arm.subscription);
    let body = json!({"properties": {
        "roleName": "Vault seer", "description": "sees", "type": "CustomRole", "assignableScopes": [scope],
        "permissions": [{"actions": ["Microsoft.KeyVault/vaults/read"], "notActions": []}],
    }});
    for who in ["contributor", "reader", "stranger"] {
        assert_eq!(arm.put(who, &path, body.clone()).await.0, 403, "{who}");
    }
    let (status, made) = arm.put("owner", &path, body.clone()).await;
    assert_eq!((status, &made["properties"]["assignableScopes"]), (201, &json!([scope])));
    assert_eq!(arm.put("owner", &path, body.clone()).await, (201, made.clone()));
    assert_eq!(arm.get("reader", &path).await, (200, made.clone()));
    let custom = "/providers/Microsoft.Authorization/roleDefinitions?$filter=type%20eq%20'CustomRole'";
    assert_eq!(arm.get("reader", custom).await.1["value"], json!([made]));
    let given = json!({"properties": {
        "principalId": arm.principal("stranger"), "roleDefinitionId": made["id"],
    }});
    assert_eq!(arm.put("owner", &assignment(TILL), given).await.0, 201);
    assert_eq!(arm.get("stranger", TILL).await.0, 200);
    let gone = arm.ask("owner", Method::DELETE, &path, Value::Null).await;
    assert_eq!(code(&gone), (400, "RoleDefinitionHasAssignments"));
    arm.ask("owner", Method::DELETE, &assignment(TILL), Value::Null).await;
    assert_eq!(arm.ask("owner", Method::DELETE, &path, Value::Null).await, (200, made));
    assert_eq!(arm.ask("owner", Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(code(&arm.get("owner", &path).await), (404, "RoleDefinitionDoesNotExist"));
    let owner = path.replace(ASSIGNMENT, "8e3af657-a8ff-443c-a75c-2fe8c4bcb635");
    assert_eq!(code(&arm.put("owner", &owner, body).await), (400, "BadRequest"));
    assert_eq!(arm.get("reader", &owner).await.1["properties"]["roleName"], "Owner");
}
