//! Outside issuers that vouch for a user-assigned identity: said to the resource manager or by the administrator, good at the token
//! endpoint, worth nothing at a vault once it is taken back.

use crate::{
    admin::Desk,
    golden_graph,
    golden_keyvault::sign,
    support::{NOW, World},
};
use access::Manager;
use audit::Outcome;
use axum::body::Body;
use crypt::{
    IssuerKey,
    encoding::from_base64url,
    test_keys::{self, TestSigner},
};
use directory::{Fetched, IssuerKeys, NewRegistration};
use domain::{IdentityName, Location, Placement, ResourceGroupName, Timestamp};
use http::{Method, Request};
use resource::{
    group::GroupChange,
    roles::{NewAssignment, Place},
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tower::ServiceExt as _;

const BY: Manager<'static> = Manager::Administrator;
const GITHUB: &str = "https://token.actions.example";
const SUBJECT: &str = "repo:octo/shop:environment:production";
const DEPLOYERS: &str =
    "/resourceGroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/deployers";
const GITHUBS: &str = "/resourceGroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/deployers/federatedIdentityCredentials/github";

/// An issuer that publishes its keys.
#[derive(Default)]
struct Published(AtomicUsize);

impl IssuerKeys for Published {
    fn may_fetch(&self, _: &str) -> Result<(), &'static str> {
        Ok(())
    }

    fn keys<'a>(&'a self, issuer: &'a str, _: Option<&'a str>, _: Timestamp) -> Fetched<'a> {
        assert_eq!(issuer, GITHUB, "nobody else is asked");
        self.0.fetch_add(1, Ordering::SeqCst);
        let keys = vec![IssuerKey { kid: Some("k".to_owned()), alg: None, key: TestSigner::one(NOW).jwk() }];
        Box::pin(async move { Ok(Arc::new(keys)) })
    }
}

/// An identity in group shop, `contributor` and `operator` of the identities there, and a `stranger`.
struct Scene {
    world: World,
    published: Arc<Published>,
    client: String,
}

impl Scene {
    async fn new() -> Self {
        let published = Arc::new(Published::default());
        let mut world = World::reaching(published.clone()).await;
        let shop = ResourceGroupName::parse("shop").unwrap();
        let change = GroupChange { location: Some(Location::default()), tags: None };
        world.state.resource.put_group(BY, &shop, &change, NOW).await.unwrap();
        for (name, role) in [
            ("contributor", Some("Managed Identity Contributor")),
            ("operator", Some("Managed Identity Operator")),
            ("stranger", None),
        ] {
            let new = NewRegistration { display_name: name.to_owned(), ..NewRegistration::default() };
            let made = world.register(name, new).await;
            if let Some(role) = role {
                let (principal, role) = (made.principal, role.parse().unwrap());
                let new = NewAssignment { id: None, principal, kind: None, role };
                world.state.resource.assign(BY, &Place::Group(shop.clone()), &new, NOW).await.unwrap();
            }
            let mut claims = golden_graph::claims(&world, made.principal, made.client);
            claims["aud"] = json!(world.state.names.management_resource());
            world.call(&format!("{name} token"), &sign(&test_keys::signing_key(), &claims));
        }
        let placement = Placement { group: shop, ..Placement::default() };
        let made = world.state.host.create_identity(BY, &deployers(), &placement, NOW).await.unwrap();
        let client = made.principal.client.to_string();
        Self { world, published, client }
    }

    /// Sends a request to the resource manager about what is below the subscription.
    async fn ask(&self, who: &str, method: Method, rest: &str, body: Value) -> (u16, Value) {
        let subscription = self.world.state.resource.subscription().id;
        let request = Request::builder()
            .method(method)
            .uri(format!("/subscriptions/{subscription}{rest}?api-version=2023-01-31"))
            .header("host", "management.keyless.localhost:8443")
            .header("authorization", self.world.name(&format!("Bearer {{{who} token}}")))
            .body(Body::from(if body.is_null() { String::new() } else { body.to_string() }))
            .unwrap();
        self.answer(request).await
    }

    async fn answer(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.world.public.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn put(&self, who: &str, subject: &str) -> (u16, Value) {
        let properties =
            json!({"issuer": GITHUB, "subject": subject, "audiences": ["api://AzureADTokenExchange"]});
        self.ask(who, Method::PUT, GITHUBS, json!({"properties": properties, "id": "is ignored"})).await
    }

    /// What the pipeline has.
    fn vouched(&self, more: Value) -> String {
        let mut claims = json!({
            "iss": GITHUB, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": NOW.seconds() + 600,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        TestSigner::one(NOW).token(&json!({"alg": "RS256", "kid": "k"}), &claims)
    }

    async fn token(&self, proof: &str) -> (u16, Value) {
        let form = format!(
            "grant_type=client_credentials&client_id={}&scope=https%3A%2F%2Fvault.azure.net%2F.default&{proof}",
            self.client
        );
        self.form(form).await
    }

    async fn form(&self, form: String) -> (u16, Value) {
        let tenant = self.world.state.directory.tenant().id;
        let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
            .header("host", "login.keyless.localhost:8443")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        self.answer(request).await
    }

    async fn by(&self, assertion: &str) -> (u16, Value) {
        self.token(&assertion_of(assertion)).await
    }

    /// With which number it is refused.
    async fn refused(&self, proof: &str) -> (u16, String) {
        let (status, body) = self.token(proof).await;
        let said = body["error_description"].as_str().unwrap_or_default();
        (status, said.split(':').next().unwrap_or_default().to_owned())
    }

    /// What a vault says to a token.
    async fn vault(&self, token: &str) -> u16 {
        let request = Request::get("/secrets?api-version=7.4")
            .header("host", "shop.vault.keyless.localhost:8443")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        self.answer(request).await.0
    }
}

fn deployers() -> IdentityName {
    IdentityName::parse("deployers").unwrap()
}

fn assertion_of(assertion: &str) -> String {
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    format!("client_assertion_type={kind}&client_assertion={assertion}")
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_pipeline_gets_an_identitys_token_and_loses_it_with_the_credential() {
    let scene = Scene::new().await;
    let state = &scene.world.state;
    let principal = state.host.identity_named(BY, &deployers()).await.unwrap().principal;
    scene.world.make_vault("shop").await;
    scene.world.allow("shop", &principal.id.to_string(), "list").await;

    assert_eq!(scene.put("contributor", SUBJECT).await.0, 201);
    let (status, body) = scene.by(&scene.vouched(json!({}))).await;
    assert_eq!(status, 200, "{body}");
    let record = scene.world.audit.records().pop().unwrap();
    assert_eq!((record.action, record.outcome), ("token.issue", Outcome::Allowed));
    assert!(record.reason.starts_with("federated credential "), "{}", record.reason);
    let token = body["access_token"].as_str().unwrap().to_owned();
    let claims = from_base64url(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let subscription = state.resource.subscription().id;
    assert_eq!(
        (&claims["idtyp"], &claims["appidacr"], &claims["appid"]),
        (&json!("app"), &json!("2"), &json!(scene.client))
    );
    let resource =
        format!("/subscriptions/{subscription}{}", DEPLOYERS.replace("resourceGroups", "resourcegroups"));
    assert_eq!(claims["xms_mirid"], resource);
    assert_eq!(scene.vault(&token).await, 200);

    // Another subject under the name: what was got by the one of before is worth nothing, and the new one is good at once.
    assert_eq!(scene.put("contributor", "repo:octo/shop:environment:test").await.0, 200);
    assert_eq!(scene.vault(&token).await, 401);
    let (status, body) = scene.by(&scene.vouched(json!({"sub": "repo:octo/shop:environment:test"}))).await;
    assert_eq!(status, 200, "{body}");
    let token = body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(scene.vault(&token).await, 200);
    assert_eq!(scene.ask("contributor", Method::DELETE, GITHUBS, Value::Null).await.0, 200);
    assert_eq!(scene.vault(&token).await, 401);
    assert_eq!(
        scene.refused(&assertion_of(&scene.vouched(json!({})))).await,
        (401, "AADSTS700211".to_owned())
    );
}

#[tokio::test]
async fn refusals_at_the_token_endpoint_are_those_of_registrations() {
    let scene = Scene::new().await;
    assert_eq!(scene.put("contributor", SUBJECT).await.0, 201);
    for (more, number) in [
        (json!({"iss": "https://other.example"}), "AADSTS700211"),
        (json!({"sub": "repo:octo/shop:environment:Production"}), "AADSTS700213"),
        (json!({"aud": "api://other"}), "AADSTS700212"),
        (json!({"iss": scene.client, "sub": scene.client}), "AADSTS700027"),
    ] {
        let refused = scene.refused(&assertion_of(&scene.vouched(more.clone()))).await;
        assert_eq!(refused, (401, number.to_owned()), "{more}");
    }
    assert_eq!(scene.published.0.load(Ordering::SeqCst), 0, "and the issuer is not asked");
    assert_eq!(scene.refused("client_secret=guessed").await, (401, "AADSTS7000215".to_owned()));
    let (_, body) = scene.by(&scene.vouched(json!({}))).await;
    let own = body["access_token"].as_str().unwrap();
    assert_eq!(scene.refused(&assertion_of(own)).await, (401, "AADSTS700229".to_owned()));
    // Nothing but to act for itself.
    let others = format!(
        "grant_type=refresh_token&refresh_token=x&client_id={}&{}",
        scene.client,
        assertion_of(&scene.vouched(json!({})))
    );
    let (status, body) = scene.form(others).await;
    assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS700016:"), "{status} {body}");
    let principal = scene.world.state.host.identity_named(BY, &deployers()).await.unwrap().principal.id;
    scene.world.state.directory.disable_principal(principal).await.unwrap();
    let disabled = scene.refused(&assertion_of(&scene.vouched(json!({})))).await;
    assert_eq!(disabled, (400, "AADSTS7000112".to_owned()));
}

#[tokio::test]
async fn the_resource_manager_keeps_what_is_said_of_them() {
    let scene = Scene::new().await;
    let get = async |who, path: &str| scene.ask(who, Method::GET, path, Value::Null).await;
    let all = GITHUBS.rsplit_once('/').unwrap().0;
    assert_eq!(get("operator", all).await, (200, json!({"value": []})));
    let (status, made) = scene.put("contributor", SUBJECT).await;
    let subscription = scene.world.state.resource.subscription().id;
    assert_eq!(status, 201);
    let id = format!("/subscriptions/{subscription}{}", GITHUBS.replace("resourceGroups", "resourcegroups"));
    assert_eq!(
        made,
        json!({
            "id": id, "name": "github",
            "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
            "properties": {"issuer": GITHUB, "subject": SUBJECT, "audiences": ["api://AzureADTokenExchange"]},
        })
    );
    let record = scene.world.audit.records().pop().unwrap();
    assert_eq!(
        (record.action, &*record.target),
        ("identity.credential.add", "federated credential github of identity deployers")
    );
    assert_eq!(scene.put("contributor", SUBJECT).await, (200, made.clone()));
    assert_eq!(get("operator", &GITHUBS.to_lowercase()).await, (200, made.clone()));
    assert_eq!(get("operator", &GITHUBS.replace("github", "GitHub")).await, (200, made.clone()));
    assert_eq!(get("operator", all).await, (200, json!({"value": [made]})));

    for (who, method) in [("operator", Method::PUT), ("operator", Method::DELETE), ("stranger", Method::GET)]
    {
        let body = json!({"properties": {"issuer": GITHUB, "subject": "x"}});
        let answer = scene.ask(who, method.clone(), GITHUBS, body).await;
        assert_eq!(code(&answer), (403, "AuthorizationFailed"), "{who} {method}");
        assert_eq!(scene.world.audit.records().pop().unwrap().outcome, Outcome::Refused);
    }
    for (path, wanted) in [
        (GITHUBS.replace("github", "other"), (404, "ResourceNotFound")),
        (GITHUBS.replace("deployers", "nobody"), (404, "ResourceNotFound")),
        (GITHUBS.replace("github", "a%20b"), (400, "InvalidResourceName")),
        (format!("{GITHUBS}/more"), (404, "InvalidResourceType")),
    ] {
        assert_eq!(code(&get("contributor", &path).await), wanted, "{path}");
    }
    // In another group it is not, whoever asks.
    let owner = scene.world.name("{contributor.principal}").parse().unwrap();
    let new = NewAssignment { id: None, principal: owner, kind: None, role: "Owner".parse().unwrap() };
    scene.world.state.resource.assign(BY, &Place::Subscription, &new, NOW).await.unwrap();
    let elsewhere = GITHUBS.replace("/shop/", "/keyless/");
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let body = json!({"properties": {"issuer": GITHUB, "subject": "x"}});
        let answer = scene.ask("contributor", method.clone(), &elsewhere, body).await;
        assert_eq!(code(&answer), (404, "ResourceNotFound"), "{method}");
    }
    for (properties, wanted) in [
        (json!({"issuer": GITHUB}), "InvalidRequestContent"),
        (json!({"issuer": GITHUB, "subject": "x", "audiences": []}), "InvalidRequestContent"),
        (json!({"issuer": GITHUB, "subject": "x", "audiences": ["a", "b"]}), "InvalidRequestContent"),
        (json!({"issuer": "github", "subject": "x"}), "BadRequest"),
    ] {
        let body = json!({"properties": properties});
        let answer = scene.ask("contributor", Method::PUT, GITHUBS, body.clone()).await;
        assert_eq!(code(&answer), (400, wanted), "{body}");
    }
    let other = GITHUBS.replace("github", "other");
    let same = json!({"properties": {"issuer": GITHUB, "subject": SUBJECT}});
    let taken = scene.ask("contributor", Method::PUT, &other, same).await;
    assert_eq!(code(&taken), (409, "Conflict"));
    let gone = async || scene.ask("contributor", Method::DELETE, GITHUBS, Value::Null).await.0;
    assert_eq!((gone().await, gone().await), (200, 204));
    assert_eq!(code(&scene.ask("contributor", Method::PATCH, GITHUBS, Value::Null).await).0, 405);
}

#[tokio::test]
async fn the_administrator_says_it_too() {
    let desk = Desk::new().await;
    desk.post("/v1/identities", json!({"name": "deployers"})).await;
    let path = "/v1/identities/Deployers/federated";
    let keys = json!({"keys": [TestSigner::one(NOW).jwk()]});
    let new = |subject: &str| json!({"name": "cluster", "issuer": "https://cluster.example", "subject": subject, "jwks": keys});
    let (status, made) = desk.post(path, new("one")).await;
    assert_eq!(
        (status, &made["name"], &made["audiences"]),
        (201, &json!("cluster"), &json!(["api://AzureADTokenExchange"]))
    );
    let record = desk.last_record();
    assert_eq!(
        (record.action, &*record.target),
        ("identity.credential.add", "federated credential cluster of identity Deployers")
    );
    assert_eq!(desk.post(path, new("one")).await, (200, made.clone()));
    let (status, changed) = desk.post(path, new("two")).await;
    assert_eq!((status, &changed["subject"]), (200, &json!("two")));
    assert_eq!(desk.get(path).await, (200, json!({"value": [changed]})));
    for (bad, status) in [
        (json!({"name": "a", "issuer": "https://cluster.example", "subject": "two", "jwks": keys}), 409),
        (json!({"name": "a b", "issuer": "https://cluster.example", "subject": "x", "jwks": keys}), 400),
        (json!({"name": "a", "issuer": "https://cluster.example", "subject": "x"}), 400),
        (json!({"name": "a"}), 400),
    ] {
        assert_eq!(desk.post(path, bad.clone()).await.0, status, "{bad}");
    }
    assert_eq!(desk.post("/v1/identities/nobody/federated", new("x")).await.0, 404);
    let delete = async |path: &str| desk.ask("DELETE", path, None).await.0;
    assert_eq!(delete("/v1/identities/deployers/federated/other").await, 404);
    assert_eq!(delete("/v1/identities/deployers/federated/CLUSTER").await, 204);
    assert_eq!(desk.last_record().action, "identity.credential.remove");
    assert_eq!(desk.get(path).await, (200, json!({"value": []})));
}
