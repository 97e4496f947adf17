//! The grants by which a client acts in a user's name, at the token endpoint: what real clients send, in both generations, and what they need
//! back. What the grants decide is tested in `directory`.

use crate::support::{NOW, World};
use axum::body::Body;
use directory::{
    Endpoint, NewUser,
    application::KEYLESS_CLI,
    authorization::AuthorizeRequest,
    session::{Method, SignedIn},
};
use domain::{Secret, UserName};
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const LOGIN: &str = "login.keyless.localhost:8443";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Desk {
    world: World,
    signed_in: SignedIn,
}

impl Desk {
    async fn new() -> Self {
        let world = World::new().await;
        let ada = NewUser {
            user_name: UserName::parse("ada@keyless.localhost").unwrap(),
            display_name: "Ada".to_owned(),
            mail: None,
            enabled: true,
            password: Some(Secret::new("a long password".to_owned())),
            must_change_password: false,
        };
        let directory = &world.state.directory;
        let ada = directory.create_user(ada, NOW).await.unwrap();
        let (_, signed_in) = directory.begin_session(&ada, &[Method::Password], None, NOW).await.unwrap();
        Self { world, signed_in }
    }

    async fn post(&self, path: &str, form: &str) -> (u16, Value) {
        let form = form.replace("{cli}", &KEYLESS_CLI.to_string());
        let request = Request::post(self.world.name(path))
            .header("host", LOGIN)
            .header("content-type", "application/x-www-form-urlencoded;charset=utf-8")
            .body(Body::from(self.world.name(&form)))
            .unwrap();
        let response = self.world.public.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn code(&self, endpoint: Endpoint) -> Secret<String> {
        let some = |text: &str| Some(text.to_owned());
        let request = AuthorizeRequest {
            tenant: "common".to_owned(),
            endpoint,
            client: Some(KEYLESS_CLI.to_string()),
            redirect_uri: some("http://localhost:8400"),
            response_type: some("code"),
            response_mode: None,
            scope: some("https://vault.azure.net/.default openid profile offline_access"),
            resource: some("https://vault.azure.net"),
            state: None,
            nonce: some("n"),
            code_challenge: some(CHALLENGE),
            code_challenge_method: some("S256"),
            prompt: None,
            login_hint: None,
            max_age: None,
        };
        let directory = &self.world.state.directory;
        let authorization = directory.authorization(&request).await.unwrap();
        directory.issue_code(&self.signed_in, &authorization, NOW).await.unwrap()
    }
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&crypt::encoding::from_base64url(payload).unwrap()).unwrap()
}

/// Python sends the device code twice, under two names; JavaScript the grant's short name.
#[tokio::test]
async fn a_device_asks_until_it_is_answered() {
    let desk = Desk::new().await;
    let form = "client_id={cli}&scope=https%3A%2F%2Fvault.azure.net%2F.default+offline_access+openid+profile";
    let (status, started) = desk.post("/organizations/oauth2/v2.0/devicecode", form).await;
    assert_eq!(status, 200);
    assert_eq!((&started["expires_in"], &started["interval"]), (&json!(900), &json!(5)));
    assert_eq!(started["verification_uri"], "https://login.keyless.localhost:8443/devicelogin");
    let (device_code, user_code) =
        (started["device_code"].as_str().unwrap(), started["user_code"].as_str().unwrap());
    assert!(started["message"].as_str().unwrap().contains(user_code));

    let python = format!(
        "client_id={{cli}}&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_info=1\
         &code={device_code}&device_code={device_code}"
    );
    let javascript = format!(
        "scope=https%3A%2F%2Fvault.azure.net%2F.default%20openid%20profile%20offline_access&client_id={{cli}}\
         &grant_type=device_code&device_code={device_code}&client-request-id=x&client_info=1&x-client-SKU=msal.js.node"
    );
    for form in [&python, &javascript] {
        let (status, body) = desk.post("/organizations/oauth2/v2.0/token?client-request-id=x", form).await;
        assert_eq!((status, &body["error"]), (400, &json!("authorization_pending")), "{body}");
        assert_eq!(body["error_codes"], json!([70016]));
    }
    desk.world.state.directory.approve_device(user_code, &desk.signed_in, NOW).await.unwrap();
    let (status, body) = desk.post("/organizations/oauth2/v2.0/token", &javascript).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert!(body["scope"].as_str().unwrap().contains("https://vault.azure.net/.default"));
    let id = claims(&body["id_token"]);
    assert_eq!((&id["preferred_username"], &id["ver"]), (&json!("ada@keyless.localhost"), &json!("2.0")));
    let info: Value = serde_json::from_slice(
        &crypt::encoding::from_base64url(body["client_info"].as_str().unwrap()).unwrap(),
    )
    .unwrap();
    assert_eq!(info, json!({"uid": id["oid"], "utid": id["tid"]}));
    let (status, body) = desk.post("/organizations/oauth2/v2.0/token", &python).await;
    assert_eq!((status, &body["error"]), (400, &json!("bad_verification_code")));

    // Each refusal in the protocol's own form.
    for (form, error) in [
        ("scope=User.Read", "invalid_request"),
        ("client_id={cli}", "invalid_request"),
        ("client_id=x&scope=User.Read", "unauthorized_client"),
        ("client_id=99999999-9999-4999-8999-999999999999&scope=User.Read", "unauthorized_client"),
        ("client_id={cli}&scope=https%3A%2F%2Fnowhere%2F.default", "invalid_resource"),
        ("client_id={cli}&scope=User.Fly", "invalid_scope"),
        ("client_id={cli}&scope=%FF", "invalid_request"),
    ] {
        let (status, body) = desk.post("/common/oauth2/v2.0/devicecode", form).await;
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{form}");
    }
    let huge = format!("client_id={{cli}}&scope={}", "x".repeat(70_000));
    assert_eq!(desk.post("/common/oauth2/v2.0/devicecode", &huge).await.0, 400);
    let audited = desk.world.audit.lines().join("\n");
    assert!(audited.contains("device.begin") && !audited.contains(device_code), "{audited}");
}

/// The two generations differ in the types of everything.
#[tokio::test]
async fn each_endpoint_answers_in_its_own_types() {
    let desk = Desk::new().await;
    let form = |code: &Secret<String>, more: &str| {
        format!(
            "client_id={{cli}}&grant_type=authorization_code&code={}&redirect_uri=http%3A%2F%2Flocalhost%3A8400\
             &code_verifier={VERIFIER}&client_info=1{more}",
            code.expose()
        )
    };
    let code = desk.code(Endpoint::V2).await;
    let (status, v2) = desk.post("/common/oauth2/v2.0/token", &form(&code, "")).await;
    assert_eq!(status, 200, "{v2}");
    assert_eq!(claims(&v2["id_token"])["nonce"], "n");
    assert!(v2["expires_in"].is_number() && v2["ext_expires_in"].is_number());
    let code = desk.code(Endpoint::V1).await;
    let (status, v1) =
        desk.post("/common/oauth2/token", &form(&code, "&resource=https%3A%2F%2Fvault.azure.net")).await;
    assert_eq!(status, 200, "{v1}");
    assert_eq!((&v1["expires_in"], &v1["resource"]), (&json!("3600"), &json!("https://vault.azure.net")));
    let id = claims(&v1["id_token"]);
    assert_eq!((&id["ver"], &id["upn"]), (&json!("1.0"), &json!("ada@keyless.localhost")));

    // MSAL takes what it is told and asks for another resource with the same token.
    let refresh = |token: &Value, scope: &str| {
        let token = token.as_str().unwrap();
        format!(
            "client_id={{cli}}&grant_type=refresh_token&refresh_token={token}&scope={scope}&client_info=1"
        )
    };
    let (status, graph) =
        desk.post("/common/oauth2/v2.0/token", &refresh(&v2["refresh_token"], "User.Read%20openid")).await;
    assert_eq!((status, &claims(&graph["access_token"])["scp"]), (200, &json!("User.Read")), "{graph}");
    assert_eq!(graph["scope"], "User.Read openid", "as it was asked for: it looks for its tokens by that");
    assert_eq!(
        claims(&graph["id_token"]).get("preferred_username"),
        None,
        "nobody has asked what the user is called"
    );
    // Another program of the same person has read it before.
    let (status, shared) =
        desk.post("/common/oauth2/v2.0/token", &refresh(&v2["refresh_token"], "User.Read")).await;
    assert_eq!((status, &shared["refresh_token"]), (200, &graph["refresh_token"]));
    desk.world.later(domain::limits::REFRESH_TOKEN_GRACE.as_secs().cast_signed());
    let (status, reused) =
        desk.post("/common/oauth2/v2.0/token", &refresh(&v2["refresh_token"], "User.Read")).await;
    assert_eq!(
        (status, &reused["error"], &reused["suberror"]),
        (400, &json!("invalid_grant"), &json!("bad_token"))
    );
    let (status, _) =
        desk.post("/common/oauth2/v2.0/token", &refresh(&graph["refresh_token"], "User.Read")).await;
    assert_eq!(status, 400, "its family is over");
    let form = "client_id={cli}&token=x&token_type_hint=refresh_token";
    assert_eq!(desk.post("/common/oauth2/v2.0/revoke", form).await, (200, json!({})));
    for (form, error) in [
        ("client_id={cli}", "invalid_request"),
        ("token=x", "invalid_request"),
        ("client_id=x&token=x", "unauthorized_client"),
    ] {
        let (status, body) = desk.post("/common/oauth2/v2.0/revoke", form).await;
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{form}");
    }
    let audited = desk.world.audit.lines().join("\n");
    for secret in [&v2["refresh_token"], &v2["access_token"], &v2["id_token"]] {
        assert!(!audited.contains(secret.as_str().unwrap()));
    }
}

/// What would leave a write is refused before it is decided, once it is known that no record can be kept.
#[tokio::test]
async fn nothing_is_written_that_cannot_be_recorded() {
    let desk = Desk::new().await;
    let code = desk.code(Endpoint::V2).await;
    let redeem = format!(
        "client_id={{cli}}&grant_type=authorization_code&code={}&redirect_uri=http%3A%2F%2Flocalhost%3A8400\
         &code_verifier={VERIFIER}",
        code.expose()
    );
    let (status, tokens) = desk.post("/common/oauth2/v2.0/token", &redeem).await;
    assert_eq!(status, 200, "{tokens}");
    let token = tokens["refresh_token"].as_str().unwrap();
    let asked = [
        ("/common/oauth2/v2.0/devicecode", "client_id={cli}&scope=openid".to_owned()),
        ("/common/oauth2/v2.0/revoke", format!("client_id={{cli}}&token={token}")),
        (
            "/common/oauth2/v2.0/token",
            format!("client_id={{cli}}&grant_type=refresh_token&refresh_token={token}"),
        ),
    ];
    desk.world.audit.set_failed(true);
    // That the log has failed is known by the first record that it does not take.
    assert_eq!(desk.post("/common/oauth2/v2.0/token", "client_id={cli}&grant_type=x").await.0, 503);
    let before = desk.world.store.dump();
    for (path, form) in &asked {
        assert_eq!(desk.post(path, form).await.0, 503, "{path}");
        assert!(desk.world.store.dump() == before, "{path}");
    }
    desk.world.audit.set_failed(false);
    for (path, form) in asked.iter().rev() {
        assert_eq!(desk.post(path, form).await.0, 200, "{path}");
    }
    assert!(desk.world.store.dump() != before);
}
