//! Shadow mode at the door (ADR 0021): by the public cloud's names everything is told in these names, so that a client's own checks hold; and
//! neither door knows the other's names.

use crate::{golden_graph, golden_keyvault, support::World};
use axum::body::Body;
use directory::NewRegistration;
use http::{Request, header};
use serde_json::Value;
use std::time::Duration;
use tower::ServiceExt as _;
use wire::PublicService;

const VAULT: &str = "shop.vault.azure.net";
const LOGIN: &str = "login.microsoftonline.com";

struct Answer {
    status: u16,
    challenge: Option<String>,
    json: Value,
}

async fn send(door: &PublicService, request: Request<Body>) -> Answer {
    let response = door.clone().oneshot(request).await.unwrap();
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, challenge, json: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

async fn get(door: &PublicService, host: &str, target: &str, token: Option<&str>) -> Answer {
    let mut request = Request::builder().uri(target).header(header::HOST, host);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    send(door, request.body(Body::empty()).unwrap()).await
}

async fn form(door: &PublicService, host: &str, target: &str, form: &str) -> Answer {
    let request = Request::post(target)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    send(door, request.body(Body::from(form.to_owned())).unwrap()).await
}

async fn world() -> (World, PublicService) {
    let world = golden_keyvault::world().await;
    let azure = PublicService::as_azure(world.state.clone());
    (world, azure)
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&crypt::encoding::from_base64url(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn each_door_knows_its_own_names_only() {
    let (world, azure) = world().await;
    for own in [
        "shop.vault.keyless.localhost:8443",
        "shop.vault.keyless.localhost",
        "login.keyless.localhost:8443",
        "graph.keyless.localhost:8443",
        "keyless.localhost:8443",
        "localhost",
        "127.75.0.1",
    ] {
        assert_eq!(get(&azure, own, "/", None).await.status, 404, "{own}");
    }
    let token = world.name("{token}");
    for theirs in
        [VAULT, LOGIN, "login.windows.net", "login.microsoft.com", "sts.windows.net", "graph.microsoft.com"]
    {
        let target = "/secrets/db/?api-version=7.5";
        let answer = get(&world.public, theirs, target, Some(&token)).await;
        assert_eq!(
            (answer.status, &answer.json["error"]["code"]),
            (404, &Value::from("BadHost")),
            "{theirs}"
        );
    }
}

#[tokio::test]
async fn a_vault_tells_itself_by_the_name_that_was_asked_for() {
    let (world, azure) = world().await;
    let stranger = get(&azure, VAULT, "/secrets/db/?api-version=7.5", None).await;
    let challenge = world.name(
        "Bearer authorization=\"https://login.microsoftonline.com/{tenant}\", resource=\"https://vault.azure.net\"",
    );
    assert_eq!((stranger.status, stranger.challenge.as_ref()), (401, Some(&challenge)));
    let wrong = get(&azure, VAULT, "/secrets/db/?api-version=7.5", Some("x.y.z")).await;
    assert_eq!((wrong.status, wrong.challenge.as_ref()), (401, Some(&challenge)));

    let token = world.name("{token}");
    let set = Request::put("/secrets/db?api-version=7.5")
        .header(header::HOST, VAULT)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::from(r#"{"value":"s3cret"}"#))
        .unwrap();
    let set = send(&azure, set).await;
    let id = set.json["id"].as_str().unwrap();
    assert!(set.status == 200 && id.starts_with("https://shop.vault.azure.net/secrets/db/"), "{id}");
    // The same secret under both names.
    let own =
        get(&world.public, "shop.vault.keyless.localhost:8443", "/secrets/db/?api-version=7.5", Some(&token));
    let own = own.await.json;
    assert_eq!(own["value"], "s3cret");
    let suffix = id.strip_prefix("https://shop.vault.azure.net").unwrap();
    assert_eq!(own["id"], format!("https://shop.vault.keyless.localhost:8443{suffix}"));

    for number in 0..3 {
        let name = format!("/secrets/more{number}?api-version=7.5");
        let more = Request::put(name)
            .header(header::HOST, VAULT)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(r#"{"value":"x"}"#))
            .unwrap();
        assert_eq!(send(&azure, more).await.status, 200);
    }
    let page = get(&azure, VAULT, "/secrets?api-version=7.5&maxresults=2", Some(&token)).await.json;
    let next = page["nextLink"].as_str().unwrap();
    assert!(next.starts_with("https://shop.vault.azure.net/secrets?"), "{next}");
    let rest =
        get(&azure, VAULT, next.strip_prefix("https://shop.vault.azure.net").unwrap(), Some(&token)).await;
    assert_eq!(rest.json["value"].as_array().map(Vec::len), Some(2));

    let key = Request::post("/keys/k/create?api-version=7.5")
        .header(header::HOST, VAULT)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::from(r#"{"kty":"EC"}"#))
        .unwrap();
    let kid = send(&azure, key).await.json["key"]["kid"].as_str().unwrap().to_owned();
    assert!(kid.starts_with("https://shop.vault.azure.net/keys/k/"), "{kid}");

    let absent = get(&azure, "no-such.vault.azure.net", "/secrets/db/?api-version=7.5", Some(&token)).await;
    assert_eq!(absent.status, 404, "{}", absent.json);
}

#[tokio::test]
async fn documents_are_told_in_the_clouds_names_but_for_the_pages() {
    let (world, azure) = world().await;
    let tenant = world.state.directory.tenant().id.to_string();
    for host in [LOGIN, "login.windows.net", "sts.windows.net"] {
        let path = format!("/{tenant}/v2.0/.well-known/openid-configuration");
        let document = get(&azure, host, &path, None).await.json;
        for (field, value) in [
            ("issuer", format!("https://{LOGIN}/{tenant}/v2.0")),
            ("token_endpoint", format!("https://{LOGIN}/{tenant}/oauth2/v2.0/token")),
            ("jwks_uri", format!("https://{LOGIN}/{tenant}/discovery/v2.0/keys")),
            ("msgraph_host", "graph.microsoft.com".to_owned()),
            ("cloud_instance_name", LOGIN.to_owned()),
            ("userinfo_endpoint", "https://graph.microsoft.com/oidc/userinfo".to_owned()),
            // A browser is no part of the program, and nobody is to type a password at another's name.
            (
                "authorization_endpoint",
                format!("https://login.keyless.localhost:8443/{tenant}/oauth2/v2.0/authorize"),
            ),
            (
                "end_session_endpoint",
                format!("https://login.keyless.localhost:8443/{tenant}/oauth2/v2.0/logout"),
            ),
        ] {
            assert_eq!(document[field], value, "{host} {field}");
        }
    }
    let v1 = get(&azure, LOGIN, &format!("/{tenant}/.well-known/openid-configuration"), None).await.json;
    assert_eq!(v1["issuer"], format!("https://sts.windows.net/{tenant}/"));
    // What is told for any tenant is what tokens say once their tenant is put in.
    for any in ["common", "organizations"] {
        for (version, issuer) in [
            ("", "https://sts.windows.net/{tenantid}/".to_owned()),
            ("/v2.0", format!("https://{LOGIN}/{{tenantid}}/v2.0")),
        ] {
            let path = format!("/{any}{version}/.well-known/openid-configuration");
            assert_eq!(get(&azure, LOGIN, &path, None).await.json["issuer"], issuer, "{path}");
        }
    }
    let keys = get(&azure, LOGIN, &format!("/{tenant}/discovery/v2.0/keys"), None).await.json;
    assert_eq!(keys["keys"][0]["issuer"], format!("https://{LOGIN}/{tenant}/v2.0"));

    let instance = |door: &PublicService, host: &'static str, asked: &str| {
        let endpoint = format!("https://{asked}/{tenant}/oauth2/v2.0/authorize");
        let path = format!("/common/discovery/instance?api-version=1.1&authorization_endpoint={endpoint}");
        let door = door.clone();
        async move { get(&door, host, &path, None).await }
    };
    let known = instance(&azure, LOGIN, "login.windows.net").await.json;
    let aliases = [LOGIN, "login.windows.net", "login.microsoft.com", "sts.windows.net"];
    assert_eq!(known["metadata"][0]["aliases"], serde_json::json!(aliases));
    assert_eq!(known["metadata"][0]["preferred_network"], LOGIN);
    let foreign = instance(&azure, LOGIN, "login.keyless.localhost:8443").await;
    assert_eq!((foreign.status, &foreign.json["error"]), (400, &Value::from("invalid_instance")));
    let foreign = instance(&world.public, "login.keyless.localhost:8443", LOGIN).await;
    assert_eq!((foreign.status, &foreign.json["error"]), (400, &Value::from("invalid_instance")));
}

#[tokio::test]
async fn nothing_is_claimed_of_pages_that_answer_by_another_issuer() {
    let (world, azure) = world().await;
    let tenant = world.state.directory.tenant().id;
    for path in ["/v2.0/.well-known/openid-configuration", "/.well-known/openid-configuration"] {
        let claim =
            |document: &Value| document.get("authorization_response_iss_parameter_supported").cloned();
        let path = format!("/{tenant}{path}");
        let theirs = get(&azure, LOGIN, &path, None).await.json;
        assert!(theirs["issuer"].is_string() && claim(&theirs).is_none(), "{theirs}");
        let ours = get(&world.public, "login.keyless.localhost:8443", &path, None).await.json;
        assert_eq!(claim(&ours), Some(Value::Bool(true)), "{ours}");
    }
}

#[tokio::test]
async fn no_page_is_shown_at_anothers_name() {
    let (world, azure) = world().await;
    let tenant = world.state.directory.tenant().id;
    for path in [
        "/".to_owned(),
        "/devicelogin".to_owned(),
        format!("/{tenant}/oauth2/v2.0/authorize?client_id=x"),
        format!("/{tenant}/oauth2/authorize?client_id=x"),
        format!("/{tenant}/oauth2/v2.0/logout"),
    ] {
        let answer = get(&azure, LOGIN, &path, None).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json["error"].is_string(), "{path}: {}", answer.json);
        let own = get(&world.public, "login.keyless.localhost:8443", &path, None).await;
        assert!(own.json.is_null(), "a page at our own name: {path}");
    }
    let realm = get(&azure, LOGIN, "/common/userrealm/ada@keyless.localhost?api-version=1.0", None).await;
    assert_eq!((realm.status, &realm.json["account_type"]), (200, &Value::from("Managed")));
}

#[tokio::test]
async fn tokens_name_the_issuer_by_which_they_were_asked_for_and_are_good_at_both_doors() {
    let (mut world, _) = world().await;
    let new = NewRegistration { display_name: "job".to_owned(), ..NewRegistration::default() };
    let job = world.register("job", new).await;
    world.add_secret("secret", &job, Duration::from_secs(3_600)).await;
    world.allow("shop", &job.principal.to_string(), "list").await;
    let (azure, tenant) =
        (PublicService::as_azure(world.state.clone()), world.state.directory.tenant().id.to_string());
    let asked = world.name(
        "grant_type=client_credentials&client_id={job.client}&client_secret={secret}&scope=https%3A%2F%2Fvault.azure.net%2F.default",
    );
    let path = format!("/{tenant}/oauth2/v2.0/token");
    let theirs = form(&azure, LOGIN, &path, &asked).await.json;
    let ours = form(&world.public, "login.keyless.localhost:8443", &path, &asked).await.json;
    let [theirs, ours] = [theirs, ours].map(|answer| answer["access_token"].as_str().unwrap().to_owned());
    // Tokens for vaults are of version 1.0, whose issuer the public cloud has at another host.
    assert_eq!(claims(&theirs)["iss"], format!("https://sts.windows.net/{tenant}/"));
    assert_eq!(claims(&ours)["iss"], format!("https://login.keyless.localhost:8443/{tenant}/"));
    for token in [&theirs, &ours] {
        assert_eq!(claims(token)["aud"], "https://vault.azure.net");
        let (list, own) = ("/secrets?api-version=7.5", "shop.vault.keyless.localhost:8443");
        assert_eq!(get(&azure, VAULT, list, Some(token)).await.status, 200);
        assert_eq!(get(&world.public, own, list, Some(token)).await.status, 200);
    }
    // The v1.0 endpoint, and by another of the directory's names.
    let resource =
        asked.replace("scope=https%3A%2F%2Fvault.azure.net%2F.default", "resource=https://vault.azure.net");
    let v1 = form(&azure, "login.windows.net", &format!("/{tenant}/oauth2/token"), &resource).await;
    assert_eq!(v1.status, 200, "{}", v1.json);
    let wrong = form(&azure, LOGIN, &path, &asked.replace("client_secret=", "client_secret=x")).await;
    assert_eq!((wrong.status, &wrong.json["error"]), (401, &Value::from("invalid_client")));
    assert!(wrong.json["error_uri"].as_str().unwrap().starts_with("https://login.microsoftonline.com/"));
    // Not of our tenant: nobody is here who could answer for it.
    let other = "/22222222-2222-4222-8222-222222222222/oauth2/v2.0/token";
    assert_eq!(form(&azure, LOGIN, other, &asked).await.status, 400);
}

#[tokio::test]
async fn graph_is_told_by_its_public_name() {
    let (world, azure) = world().await;
    let answer = get(&azure, "graph.microsoft.com", "/v1.0/applications", None).await;
    let challenge = answer.challenge.unwrap();
    assert_eq!(answer.status, 401);
    let authorization =
        world.name("authorization_uri=\"https://login.microsoftonline.com/{tenant}/oauth2/authorize\"");
    assert!(challenge.contains(&authorization), "{challenge}");
}

#[tokio::test]
async fn graph_tells_the_built_in_services_by_the_names_of_the_door() {
    let world = golden_graph::world().await;
    let (azure, token) = (PublicService::as_azure(world.state.clone()), world.name("{writer token}"));
    for (client, theirs, ours) in [
        ("00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com", "graph"),
        ("cfa8b339-82a2-471a-a3c9-0fc0be7a4093", "https://vault.azure.net", "vault"),
    ] {
        let path = format!("/v1.0/servicePrincipals(appId='{client}')");
        let found = get(&azure, "graph.microsoft.com", &path, Some(&token)).await.json;
        assert_eq!(found["servicePrincipalNames"], serde_json::json!([client, theirs]), "{found}");
        let found = get(&world.public, "graph.keyless.localhost:8443", &path, Some(&token)).await.json;
        let ours = format!("https://{ours}.keyless.localhost:8443");
        assert_eq!(found["servicePrincipalNames"], serde_json::json!([client, theirs, ours]), "{found}");
    }
}
