//! Microsoft Graph, request by request: what `az` and the SDKs send, and for each success those who must not have it.

use crate::{
    golden,
    golden_keyvault::sign,
    support::{NOW, World},
};
use crypt::test_keys;
use directory::{NewRegistration, NewUser, app_role};
use domain::{ClientId, PrincipalId, Secret, limits};
use serde_json::{Value, json};
use std::sync::Arc;

/// What every client of ours that may do all has agreed to.
pub(crate) const EVERY_SCOPE: &str = "User.Read User.ReadWrite.All Group.ReadWrite.All Application.ReadWrite.All AppRoleAssignment.ReadWrite.All \
                                      DelegatedPermissionGrant.ReadWrite.All Directory.AccessAsUser.All";

/// Users `admin`, an administrator, and `ada`, who is none; applications `writer`, `assigner`, `reader` and `stranger`, of which all but
/// the last have app roles. Each has a `{… token}`; others do not hold, each for its own reason.
pub(crate) async fn world() -> World {
    let mut world = World::reaching(Arc::new(AnyIssuer)).await;
    world.call("administrator", &world.state.directory.tenant().administrator.to_string());
    let graph = directory::graph::Builtin::Graph.object(world.state.directory.tenant().id);
    world.call("graph", &graph);
    let writes: &[&str] = &[
        "Application.ReadWrite.All",
        "AppRoleAssignment.ReadWrite.All",
        "DelegatedPermissionGrant.ReadWrite.All",
        "Group.ReadWrite.All",
        "User.ReadWrite.All",
    ];
    let assigns: &[&str] = &["Application.Read.All", "AppRoleAssignment.ReadWrite.All"];
    let reads: &[&str] = &["Directory.Read.All"];
    for (name, roles) in [("writer", writes), ("assigner", assigns), ("reader", reads), ("stranger", &[])] {
        let new = NewRegistration { display_name: name.to_owned(), ..NewRegistration::default() };
        let made = world.register(name, new).await;
        world.call(&format!("{name}.application"), &made.id);
        for role in roles {
            let graph = app_role::graph_client();
            world.state.directory.assign_app_role(graph, made.principal, role, NOW).await.unwrap();
        }
        let token = sign(&test_keys::signing_key(), &claims(&world, made.principal, made.client));
        world.call(&format!("{name} token"), &token);
    }
    for (name, is_administrator) in [("admin", true), ("ada", false)] {
        let id = user(&world, name).await;
        if is_administrator {
            let change = directory::UserChange { is_administrator: Some(true), ..Default::default() };
            world.state.directory.update_user(&id.to_string(), &change).await.unwrap();
        }
        world.call(name, &id);
        let token = sign(&test_keys::signing_key(), &user_claims(&world, id, EVERY_SCOPE));
        world.call(&format!("{name} token"), &token);
    }
    for (name, token) in wrong_tokens(&world) {
        world.call(name, &token);
    }
    world
}

/// Would fetch the keys of every issuer.
struct AnyIssuer;

impl directory::IssuerKeys for AnyIssuer {
    fn may_fetch(&self, _: &str) -> Result<(), &'static str> {
        Ok(())
    }

    fn keys<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: domain::Timestamp) -> directory::Fetched<'a> {
        Box::pin(async { Err(directory::IssuerFault("nobody answers".to_owned())) })
    }
}

pub(crate) async fn user(world: &World, name: &str) -> PrincipalId {
    let new = NewUser {
        user_name: world.state.directory.user_name(name).unwrap(),
        display_name: name.to_uppercase(),
        mail: None,
        enabled: true,
        password: Some(Secret::new(format!("{name} knows this"))),
        must_change_password: false,
    };
    world.state.directory.create_user(new, NOW).await.unwrap().user.id
}

/// Of a token that the directory would issue to an application for Graph.
pub(crate) fn claims(world: &World, principal: PrincipalId, client: ClientId) -> Value {
    let (tenant, now) = (world.state.directory.tenant().id, NOW.seconds());
    json!({
        "aud": world.state.names.graph_resource(), "iss": world.state.names.issuer_v1(tenant), "iat": now, "nbf": now,
        "exp": now + 3_600, "appid": client, "idtyp": "app", "oid": principal, "sub": principal, "tid": tenant,
        "uti": "uti", "ver": "1.0",
    })
}

/// The same to a client that acts in a user's name.
pub(crate) fn user_claims(world: &World, user: PrincipalId, scopes: &str) -> Value {
    let mut claims = claims(world, user, "04b07795-8ddb-461a-bbee-02f9e1bf7b46".parse().unwrap());
    claims["scp"] = json!(scopes);
    claims.as_object_mut().unwrap().remove("idtyp");
    claims
}

fn wrong_tokens(world: &World) -> Vec<(&'static str, String)> {
    let (key, now) = (test_keys::signing_key(), NOW.seconds());
    let named = |name: &str| world.name(&format!("{{{name}}}"));
    let admin: PrincipalId = named("admin").parse().unwrap();
    let writer =
        claims(world, named("writer.principal").parse().unwrap(), named("writer.client").parse().unwrap());
    let with = |name: &str, value: Value| {
        let mut claims = writer.clone();
        claims[name] = value;
        sign(&key, &claims)
    };
    vec![
        ("expired token", with("exp", json!(now))),
        ("future token", with("nbf", json!(now + 301))),
        ("vault token", with("aud", json!("https://vault.azure.net"))),
        ("foreign issuer token", with("iss", json!("https://sts.windows.net/x/"))),
        ("nobody's token", with("oid", json!("11111111-1111-4111-8111-111111111111"))),
        ("app as user token", with("scp", json!(EVERY_SCOPE))),
        ("foreign key's token", sign(&test_keys::other_signing_key(), &writer)),
        ("public token", with("aud", json!("https://graph.microsoft.com"))),
        ("narrow token", sign(&key, &user_claims(world, admin, "User.Read"))),
        ("openid token", sign(&key, &user_claims(world, admin, "openid"))),
        (
            "scopeless token",
            sign(&key, &{
                let mut claims = user_claims(world, admin, "");
                claims.as_object_mut().unwrap().remove("scp");
                claims
            }),
        ),
        ("long token", "x".repeat(limits::TOKEN_BYTES_MAX + 1)),
    ]
}

#[tokio::test]
async fn exchanges_are_as_written() {
    golden::check("graph", world).await;
}

/// What holds for every answer in the files, so that a rewritten one is not believed too easily.
#[test]
fn every_answer_is_of_the_protocols_form() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/graph");
    let (mut refused, mut good) = (0, 0);
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        for exchange in std::fs::read_to_string(&file).unwrap().split("\n===\n") {
            let place = || format!("{}: {exchange}", file.display());
            let (asked, answer) = exchange.split_once("\nHTTP/1.1 ").unwrap_or_else(|| panic!("{}", place()));
            let (head, body) = answer.split_once("\n\n").unwrap();
            let (body, records) = body.split_at(body.find("\naudit: ").unwrap_or(body.len()));
            let status: u16 = head[..3].parse().unwrap();
            assert!(head.contains("\nrequest-id: ") && head.contains("\nodata-version: 4.0"), "{}", place());
            assert!(!records.trim().is_empty() || status == 503, "each leaves a record: {}", place());
            assert!(!records.contains("canary"), "{}", place());
            assert_eq!(status == 401, head.contains("\nwww-authenticate: Bearer "), "{}", place());
            if status == 204 {
                assert!(body.trim().is_empty(), "{}", place());
                continue;
            }
            let body: Value =
                serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {}", place()));
            if status >= 400 {
                refused += 1;
                let error = &body["error"];
                assert!(error["code"].is_string() && error["message"].is_string(), "{}", place());
                assert_eq!(error["innerError"]["request-id"], "{request}", "{}", place());
                assert!(!body.to_string().contains("canary"), "{}", place());
            } else {
                good += 1;
                assert!(body["@odata.context"].is_string() || asked.contains("/oidc/"), "{}", place());
            }
        }
    }
    assert!(refused > 60 && good > 40, "{refused} refusals, {good} answers");
}
