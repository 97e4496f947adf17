//! The grants by which a client acts in a user's name, over a store: each with what refuses it.

mod assigned;
mod consented;
mod pages;
mod refreshed;

use crate::{
    DirectoryError, DirectoryService, Endpoint, GrantError, IssuedToken, NewRegistration, NewUser, Person,
    Registration, RequestError, TokenRequest, TokenVersion,
    application::KEYLESS_CLI,
    authorization::{Authorization, AuthorizeRequest},
    fixtures::{NOW, secret, settings, verifier},
    interaction::DeviceRequest,
    redirect::{Platform, RedirectUri},
    registration::{Consenter, ExposedScope},
    session::{Method, SignedIn},
};
use access::Verifier;
use crypt::{Key256, test_keys};
use domain::{ClientId, CredentialId, PrincipalId, Secret, Timestamp, UserName, limits};
use serde_json::Value;
use std::sync::Arc;
use store::{Decision, Halt, Memory, transact};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const PASSWORD: &str = "a long password of Ada's";
const VAULT: &str = "https://vault.azure.net/.default";

/// Another byte each time, and no two draws alike: sessions and tokens must differ.
#[derive(Default)]
struct Draws(std::sync::atomic::AtomicU64);

impl domain::Entropy for Draws {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        for (place, chunk) in buffer.chunks_mut(8).enumerate() {
            let bytes = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place as u64).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

struct World {
    store: Arc<Memory>,
    directory: DirectoryService,
    ada: PrincipalId,
    /// A server with a secret, which exposes a scope of its own.
    web: Registration,
    web_secret: String,
    verifier: Verifier,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(Memory::new());
        let root = Arc::new(Key256::random(&crate::fixtures::Fill(1)));
        let make = |_| Ok(test_keys::signing_key());
        let settings = crate::DirectorySettings { allows_password_grant: true, ..settings() };
        let directory = DirectoryService::open(
            store.clone(),
            Arc::new(Draws::default()),
            &root,
            settings,
            make,
            Arc::new(NOW),
        )
        .await
        .unwrap();
        let ada = NewUser {
            user_name: UserName::parse("ada@keyless.localhost").unwrap(),
            display_name: "Ada".to_owned(),
            mail: Some("ada@example.org".to_owned()),
            enabled: true,
            password: Some(secret(PASSWORD)),
            must_change_password: false,
        };
        let ada = directory.create_user(ada, NOW).await.unwrap().user.id;
        let uri = |uri: &str, platform| RedirectUri { uri: uri.to_owned(), platform };
        let new = NewRegistration {
            display_name: "shop".to_owned(),
            identifier_uris: vec!["api://shop".to_owned()],
            token_version: TokenVersion::V2,
            redirect_uris: vec![
                uri("https://shop.example/cb", Platform::Web),
                uri("https://page.example/cb", Platform::Spa),
            ],
            ..NewRegistration::default()
        };
        let mut web = directory.create_registration(new, NOW).await.unwrap();
        let named = web.client.to_string();
        let web_secret = directory.add_credential(&named, "first", None, NOW).await.unwrap();
        web = Registration::clone(&*directory.registration(&named).await.unwrap());
        web.scopes = vec![ExposedScope {
            id: CredentialId::random(&crate::fixtures::Fill(7)),
            value: "Orders.Read".to_owned(),
            description: "Read orders".to_owned(),
            enabled: true,
            consenter: Consenter::User,
        }];
        let write = store::put::<Registration>(&web.id, &web);
        transact(&*store, &Draws::default(), |_| -> Result<Decision<()>, Halt<DirectoryError>> {
            Ok(Decision::of((), vec![write.clone()]))
        })
        .await
        .unwrap();
        let verifier = verifier(&directory);
        let web_secret = web_secret.secret.expose().clone();
        Self { store, directory, ada, web, web_secret, verifier }
    }

    fn request(&self, grant_type: &str) -> TokenRequest {
        TokenRequest {
            tenant: "common".to_owned(),
            grant_type: Some(grant_type.to_owned()),
            client: Some(self.web.client.to_string()),
            secret: Some(secret(&self.web_secret)),
            ..TokenRequest::default()
        }
    }

    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, DirectoryError> {
        self.directory.token(request, NOW).await
    }

    async fn token_at(&self, request: TokenRequest, seconds: i64) -> Result<IssuedToken, DirectoryError> {
        self.directory.token(request, at(seconds)).await
    }

    async fn sign_in(&self) -> SignedIn {
        self.begin_session().await.1
    }

    /// The browser's cookie, and whoever is signed in by it.
    async fn begin_session(&self) -> (Secret<String>, SignedIn) {
        let methods = [Method::Password, Method::OneTimeCode];
        self.directory.begin_session(&self.person(self.ada).await, &methods, None, NOW).await.unwrap()
    }

    async fn person(&self, id: PrincipalId) -> Person {
        self.directory.user(&id.to_string()).await.unwrap()
    }

    async fn authorization(&self, scope: &str) -> Authorization {
        let request = AuthorizeRequest {
            tenant: "common".to_owned(),
            endpoint: Endpoint::V2,
            client: Some(self.web.client.to_string()),
            redirect_uri: Some("https://shop.example/cb".to_owned()),
            response_type: Some("code".to_owned()),
            response_mode: None,
            scope: Some(scope.to_owned()),
            resource: None,
            state: None,
            nonce: Some("n-1".to_owned()),
            code_challenge: Some(CHALLENGE.to_owned()),
            code_challenge_method: Some("S256".to_owned()),
            prompt: None,
            login_hint: None,
            max_age: None,
        };
        self.directory.authorization(&request).await.unwrap()
    }

    /// A code for which Ada has signed in and agreed.
    async fn code(&self, signed_in: &SignedIn, scope: &str) -> Secret<String> {
        let authorization = self.authorization(scope).await;
        self.directory.agree(signed_in, &authorization).await.unwrap();
        self.directory.issue_code(signed_in, &authorization, NOW).await.unwrap()
    }

    fn redeem(&self, code: &Secret<String>) -> TokenRequest {
        TokenRequest {
            code: Some(secret(code.expose())),
            redirect_uri: Some("https://shop.example/cb".to_owned()),
            code_verifier: Some(secret(VERIFIER)),
            ..self.request("authorization_code")
        }
    }

    fn refresh(&self, token: &str) -> TokenRequest {
        TokenRequest { refresh_token: Some(secret(token)), ..self.request("refresh_token") }
    }

    /// Is a token for the vaults good, as a vault finds out?
    async fn is_good(&self, issued: &IssuedToken) -> bool {
        let caller = self.verifier.verify(&issued.access_token, &*self.directory.ring(), NOW).unwrap();
        let principal = self.directory.principal(caller.principal()).await.unwrap();
        principal.enabled && !principal.revocations.refuse_caller(&caller)
    }
}

const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.seconds() + seconds)
}

fn claims(token: &Secret<String>) -> Value {
    let payload = token.expose().split('.').nth(1).unwrap();
    serde_json::from_slice(&crypt::encoding::from_base64url(payload).unwrap()).unwrap()
}

fn refresh_token(issued: &IssuedToken) -> String {
    issued.user.as_ref().unwrap().refresh_token.as_ref().unwrap().expose().clone()
}

const FULL: &str = "openid profile email offline_access https://vault.azure.net/.default";

#[tokio::test]
async fn a_code_brings_a_users_tokens_once() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let code = world.code(&signed_in, FULL).await;
    let issued = world.token(world.redeem(&code)).await.unwrap();
    assert_eq!((issued.principal, issued.client), (world.ada, world.web.client));
    let access = claims(&issued.access_token);
    assert_eq!(access["aud"], "https://vault.azure.net");
    assert_eq!(access["scp"], "user_impersonation");
    assert_eq!(access["appid"], world.web.client.to_string());
    assert_eq!(access["oid"], world.ada.to_string());
    assert_eq!(access["upn"], "ada@keyless.localhost");
    assert_eq!(access["amr"], serde_json::json!(["pwd", "otp", "mfa"]));
    assert_eq!(access["sid"], signed_in.session.id.to_string());
    assert!(access.get("idtyp").is_none() && access.get("keyless_credential").is_none());
    let user = issued.user.as_ref().unwrap();
    assert_eq!(
        user.scope,
        "https://vault.azure.net/user_impersonation https://vault.azure.net/.default openid profile email"
    );
    let id = claims(user.id_token.as_ref().unwrap());
    assert_eq!((&id["nonce"], &id["aud"]), (&"n-1".into(), &world.web.client.to_string().into()));
    assert_eq!(
        (&id["email"], &id["preferred_username"]),
        (&"ada@example.org".into(), &"ada@keyless.localhost".into())
    );
    assert_eq!(id["sub"], access["sub"], "one client knows a user by one name");
    assert_ne!(id["sub"], world.ada.to_string());
    assert!(world.is_good(&issued).await);

    // Again: whoever comes second makes the first one's tokens worthless.
    let refresh = refresh_token(&issued);
    assert!(matches!(
        world.token(world.redeem(&code)).await,
        Err(DirectoryError::Grant(GrantError::CodeRedeemed))
    ));
    assert!(!world.is_good(&issued).await);
    assert!(matches!(
        world.token(world.refresh(&refresh)).await,
        Err(DirectoryError::Grant(GrantError::RefreshTokenInvalid))
    ));
    // The session itself is none the worse.
    assert!(world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.is_ok());
}

#[tokio::test]
async fn a_code_is_for_its_client_its_redirect_uri_and_its_verifier() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let code = world.code(&signed_in, FULL).await;
    let other = world.directory.create_registration(
        NewRegistration { display_name: "other".to_owned(), is_public: true, ..NewRegistration::default() },
        NOW,
    );
    let other = other.await.unwrap().client.to_string();
    let redeem = || world.redeem(&code);
    let refused = async |request| world.token(request).await.unwrap_err();
    for verifier in [None, Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXj"), Some(CHALLENGE)] {
        let request = TokenRequest { code_verifier: verifier.map(secret), ..redeem() };
        assert!(
            matches!(refused(request).await, DirectoryError::Grant(GrantError::VerifierWrong)),
            "{verifier:?}"
        );
    }
    for uri in [None, Some("https://page.example/cb"), Some("https://shop.example/cb/")] {
        let request = TokenRequest { redirect_uri: uri.map(str::to_owned), ..redeem() };
        assert!(
            matches!(refused(request).await, DirectoryError::Grant(GrantError::RedirectUriChanged)),
            "{uri:?}"
        );
    }
    let of_other = TokenRequest { client: Some(other), secret: None, ..redeem() };
    assert!(matches!(refused(of_other).await, DirectoryError::Grant(GrantError::CodeOfAnother)));
    // The server's code without the server's secret, although the registration has a page too.
    let without = TokenRequest { secret: None, ..redeem() };
    assert!(matches!(refused(without).await, DirectoryError::Request(RequestError::ClientProofMissing)));
    let wrong = TokenRequest { secret: Some(secret("wrong")), ..redeem() };
    assert!(matches!(refused(wrong).await, DirectoryError::Request(RequestError::ClientSecretWrong { .. })));
    for code in ["", "x", &"x".repeat(9_000)] {
        let request = TokenRequest { code: Some(secret(code)), ..redeem() };
        let error = refused(request).await;
        let is_missing =
            matches!(error, DirectoryError::Request(RequestError::MissingParameter { name: "code" }));
        assert!(
            matches!(error, DirectoryError::Grant(GrantError::CodeInvalid)) || code.is_empty() && is_missing,
            "{error}"
        );
    }
    let elsewhere = TokenRequest { tenant: "other.example".to_owned(), ..redeem() };
    assert!(matches!(refused(elsewhere).await, DirectoryError::Request(RequestError::TenantNotFound { .. })));
    let late = world.token_at(redeem(), 300).await;
    assert!(matches!(late, Err(DirectoryError::Grant(GrantError::CodeInvalid))));
    // None of it has used the code up.
    assert!(world.token_at(redeem(), 299).await.is_ok());
}

#[tokio::test]
async fn nobody_acts_in_a_users_name_without_consent() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let authorization = world.authorization(FULL).await;
    let asked = world.directory.to_agree(&signed_in, &authorization).await.unwrap().remove(0).asked;
    assert_eq!(asked.scopes, ["user_impersonation"]);
    assert_eq!(asked.openid, ["openid", "profile", "email", "offline_access"]);
    let refused = world.directory.issue_code(&signed_in, &authorization, NOW).await;
    assert!(matches!(refused, Err(DirectoryError::Grant(GrantError::ConsentRequired { .. }))));
    world.directory.agree(&signed_in, &authorization).await.unwrap();
    assert!(world.directory.to_agree(&signed_in, &authorization).await.unwrap().is_empty());
    // Agreed for the vaults: nothing was said of Graph.
    let code = world.code(&signed_in, FULL).await;
    let graph = TokenRequest { scope: Some("User.Read".to_owned()), ..world.redeem(&code) };
    assert!(matches!(
        world.token(graph).await,
        Err(DirectoryError::Grant(GrantError::ConsentRequired { .. }))
    ));
    let unknown = TokenRequest { scope: Some("User.Fly".to_owned()), ..world.redeem(&code) };
    assert!(matches!(world.token(unknown).await, Err(DirectoryError::ScopeUnknown { .. })));
    // An administrator may agree for all.
    world.directory.agree_for_everybody(world.web.client, "User.Read").await.unwrap();
    let graph = TokenRequest { scope: Some("user.read".to_owned()), ..world.redeem(&code) };
    let issued = world.token(graph).await.unwrap();
    assert_eq!(claims(&issued.access_token)["scp"], "User.Read");
}

#[tokio::test]
async fn a_client_gives_up_its_own_tokens_only() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let tokens = async || world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
    let (kept, given_up) = (tokens().await, tokens().await);
    let give_up = async |request: TokenRequest| world.directory.revoke_token(request, NOW).await;
    let token = refresh_token(&given_up);
    let without = TokenRequest { secret: None, ..world.refresh(&token) };
    let cli = TokenRequest { client: Some(KEYLESS_CLI.to_string()), ..without };
    for (request, is_refused) in [
        (TokenRequest { secret: Some(secret("wrong")), ..world.refresh(&token) }, true),
        (TokenRequest { refresh_token: None, ..world.refresh(&token) }, true),
        // Nobody's, another client's, an older one: over already, and no reason to end anything.
        (world.refresh("x"), false),
        (cli, false),
        (world.refresh(&format!("{}.x", token.split('.').next().unwrap())), false),
    ] {
        assert_eq!(give_up(request).await.is_err(), is_refused);
        assert!(world.is_good(&given_up).await);
    }
    give_up(world.refresh(&token)).await.unwrap();
    assert!(!world.is_good(&given_up).await && world.is_good(&kept).await, "the browser's session goes on");
    assert!(matches!(
        world.token(world.refresh(&token)).await,
        Err(DirectoryError::Grant(GrantError::RefreshTokenInvalid))
    ));
    assert!(world.token(world.refresh(&refresh_token(&kept))).await.is_ok());
}

#[tokio::test]
async fn what_ends_a_session_ends_what_came_from_it() {
    let world = World::new().await;
    for end in 0..5 {
        let (cookie, signed_in) = world.begin_session().await;
        let other = world.sign_in().await;
        let code = world.code(&signed_in, FULL).await;
        let issued = world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
        let of_other = world.token(world.redeem(&world.code(&other, FULL).await)).await.unwrap();
        let directory = &world.directory;
        match end {
            0 => assert!(directory.sign_out(&cookie, NOW).await.unwrap().is_some()),
            1 => drop(
                directory
                    .set_password("ada@keyless.localhost", &secret("another long one"), false, NOW)
                    .await
                    .unwrap(),
            ),
            2 => drop(
                directory.set_password("ada@keyless.localhost", &secret(PASSWORD), false, NOW).await.unwrap(),
            ),
            3 => drop(directory.disable_principal(world.ada).await.unwrap()),
            _ => drop(directory.delete_user("ada@keyless.localhost").await.unwrap()),
        }
        let refused = world.token(world.refresh(&refresh_token(&issued))).await.unwrap_err();
        assert!(matches!(refused, DirectoryError::Grant(GrantError::SessionEnded)), "{end}: {refused}");
        let refused = world.token(world.redeem(&code)).await.unwrap_err();
        assert!(matches!(refused, DirectoryError::Grant(GrantError::SessionEnded)), "{end}: {refused}");
        if end < 4 {
            assert!(!world.is_good(&issued).await, "{end}");
        }
        // Only signing out is about one session.
        assert_eq!(world.token(world.refresh(&refresh_token(&of_other))).await.is_ok(), end == 0, "{end}");
        if end == 3 {
            world.directory.enable_principal(world.ada).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_cookie_is_its_sessions_own_and_not_for_ever() {
    let world = World::new().await;
    let (cookie, signed_in) = world
        .directory
        .begin_session(&world.person(world.ada).await, &[Method::Password], None, NOW)
        .await
        .unwrap();
    let seen = async |cookie: &str, seconds| {
        let seen = world.directory.signed_in(&secret(cookie), at(seconds)).await.unwrap();
        seen.map(|seen| seen.session.id)
    };
    assert_eq!(seen(cookie.expose(), 86_399).await, Some(signed_in.session.id));
    assert_eq!(seen(cookie.expose(), 86_400).await, None);
    let (id, own) = cookie.expose().split_once('.').unwrap();
    for wrong in [format!("{id}."), format!("{id}.x"), format!("{id}.{own}x"), own.to_owned(), String::new()]
    {
        assert_eq!(seen(&wrong, 0).await, None, "{wrong}");
    }
    // Another user in the same browser: the one before is signed out.
    let bob = NewUser {
        user_name: UserName::parse("bob@keyless.localhost").unwrap(),
        display_name: "Bob".to_owned(),
        mail: None,
        enabled: true,
        password: None,
        must_change_password: false,
    };
    let bob = world.directory.create_user(bob, NOW).await.unwrap();
    let (bobs, _) =
        world.directory.begin_session(&bob, &[Method::Passkey], Some(&cookie), NOW).await.unwrap();
    assert_eq!(seen(cookie.expose(), 0).await, None);
    assert!(seen(bobs.expose(), 0).await.is_some());
    // What is over is swept away, and nothing else.
    let records = |world: &World| {
        world.store.dump().iter().filter(|(key, _)| key.as_bytes().starts_with(b"session/")).count()
    };
    assert_eq!((world.directory.sweep(at(0)).await.unwrap(), records(&world)), (0, 1));
    assert_eq!((world.directory.sweep(at(100 * 86_400)).await.unwrap(), records(&world)), (1, 0));
}

#[tokio::test]
async fn a_device_gets_its_tokens_when_its_user_says_yes() {
    let world = World::new().await;
    let keyless = ClientId::from_uuid(KEYLESS_CLI).to_string();
    let ask = DeviceRequest {
        tenant: "organizations".to_owned(),
        client: Some(keyless.clone()),
        scope: Some(format!("{VAULT} offline_access openid")),
        ..DeviceRequest::default()
    };
    let poll = |device_code: &Secret<String>| TokenRequest {
        tenant: "organizations".to_owned(),
        grant_type: Some("urn:ietf:params:oauth:grant-type:device_code".to_owned()),
        client: Some(keyless.clone()),
        device_code: Some(secret(device_code.expose())),
        ..TokenRequest::default()
    };
    let (cookie, signed_in) = world.begin_session().await;
    let directory = &world.directory;
    let yes = directory.begin_device(&ask, NOW).await.unwrap();
    let no = directory.begin_device(&ask, NOW).await.unwrap();
    assert_ne!(yes.user_code, no.user_code);
    assert!(matches!(
        world.token(poll(&yes.device_code)).await,
        Err(DirectoryError::Grant(GrantError::DevicePending))
    ));

    let typed = yes.user_code.to_lowercase();
    let typed = format!(" {}-{}", &typed[..4], &typed[4..]);
    let waiting = directory.waiting_device(&typed, &signed_in, NOW).await.unwrap();
    assert_eq!((waiting.application.name(), waiting.asked), ("Keyless", None));
    directory.approve_device(&typed, &signed_in, NOW).await.unwrap();
    for again in
        [directory.approve_device(&typed, &signed_in, NOW).await, directory.decline_device(&typed, NOW).await]
    {
        assert!(matches!(again, Err(DirectoryError::Grant(GrantError::UserCodeUnknown))));
    }
    let of_other = TokenRequest { client: Some(world.web.client.to_string()), ..poll(&yes.device_code) };
    assert!(matches!(
        world.token(TokenRequest { secret: Some(secret(&world.web_secret)), ..of_other }).await,
        Err(DirectoryError::Grant(GrantError::DeviceCodeInvalid))
    ));
    let issued = world.token(poll(&yes.device_code)).await.unwrap();
    assert_eq!(claims(&issued.access_token)["appidacr"], "0");
    assert!(matches!(
        world.token(poll(&yes.device_code)).await,
        Err(DirectoryError::Grant(GrantError::DeviceCodeInvalid))
    ));
    // The device's session is its own.
    directory.sign_out(&cookie, NOW).await.unwrap();
    assert!(world.is_good(&issued).await);

    directory.decline_device(&no.user_code, NOW).await.unwrap();
    assert!(matches!(
        world.token(poll(&no.device_code)).await,
        Err(DirectoryError::Grant(GrantError::DeviceDeclined))
    ));
    let late = directory.begin_device(&ask, NOW).await.unwrap();
    assert!(matches!(
        world.token_at(poll(&late.device_code), 900).await,
        Err(DirectoryError::Grant(GrantError::DeviceCodeExpired))
    ));
    let signed_in = world.sign_in().await;
    let refused = directory.approve_device(&late.user_code, &signed_in, at(900)).await;
    assert!(matches!(refused, Err(DirectoryError::Grant(GrantError::UserCodeUnknown))));
    assert!(matches!(
        world.token(poll(&secret("x"))).await,
        Err(DirectoryError::Grant(GrantError::DeviceCodeInvalid))
    ));
    for typed in ["", "AAAAAAAA", "BCDFGHJ", "BCDFGHJKL", "bcdfghj\u{e9}", "BCDFGHJK"] {
        let refused = directory.waiting_device(typed, &signed_in, NOW).await;
        assert!(matches!(refused, Err(DirectoryError::Grant(GrantError::UserCodeUnknown))), "{typed}");
    }
    // A client with a secret is no device.
    let server = DeviceRequest { client: Some(world.web.client.to_string()), ..ask.clone() };
    // Nor is a page, which it has, too.
    assert!(matches!(
        directory.begin_device(&server, NOW).await,
        Err(DirectoryError::Request(RequestError::ClientProofMissing))
    ));
    let nowhere = DeviceRequest { scope: Some("https://nowhere/.default".to_owned()), ..ask.clone() };
    assert!(matches!(
        directory.begin_device(&nowhere, NOW).await,
        Err(DirectoryError::ResourceUnknown { .. })
    ));
    let nobody = DeviceRequest { client: None, ..ask };
    assert!(matches!(
        directory.begin_device(&nobody, NOW).await,
        Err(DirectoryError::Request(RequestError::MissingParameter { name: "client_id" }))
    ));
}

/// Times are whole seconds: what is begun in the second of a revocation is not of before.
#[tokio::test]
async fn a_sign_in_right_after_another_password_is_good() {
    let world = World::new().await;
    let directory = &world.directory;
    let cli = ClientId::from_uuid(KEYLESS_CLI).to_string();
    for _ in 0..2 {
        directory.set_password("ada@keyless.localhost", &secret(PASSWORD), false, NOW).await.unwrap();
        let signed_in = world.sign_in().await;
        let browser = world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
        let ask = DeviceRequest {
            tenant: "common".to_owned(),
            client: Some(cli.clone()),
            scope: Some(VAULT.to_owned()),
            ..DeviceRequest::default()
        };
        let device = directory.begin_device(&ask, NOW).await.unwrap();
        directory.approve_device(&device.user_code, &signed_in, NOW).await.unwrap();
        let poll = TokenRequest {
            tenant: "common".to_owned(),
            grant_type: Some("device_code".to_owned()),
            client: Some(cli.clone()),
            device_code: Some(device.device_code),
            ..TokenRequest::default()
        };
        let device = world.token(poll).await.unwrap();
        let password = TokenRequest {
            user_name: Some("ada@keyless.localhost".to_owned()),
            password: Some(secret(PASSWORD)),
            scope: Some(format!("{VAULT} offline_access")),
            client: Some(cli.clone()),
            secret: None,
            ..world.request("password")
        };
        let password = world.token(password).await.unwrap();
        for issued in [&browser, &device, &password] {
            assert!(world.is_good(issued).await);
        }
        let refresh = TokenRequest {
            client: Some(cli.clone()),
            secret: None,
            ..world.refresh(&refresh_token(&password))
        };
        assert!(world.token(refresh).await.is_ok());
    }
}

#[tokio::test]
async fn an_api_acts_on_behalf_of_its_caller_only() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let cli = ClientId::from_uuid(KEYLESS_CLI).to_string();
    let for_user = async |scope: &str| {
        let request = TokenRequest {
            tenant: "common".to_owned(),
            grant_type: Some("password".to_owned()),
            client: Some(cli.clone()),
            user_name: Some("Ada@keyless.localhost".to_owned()),
            password: Some(secret(PASSWORD)),
            scope: Some(scope.to_owned()),
            ..TokenRequest::default()
        };
        world.token(request).await.unwrap()
    };
    let called_with = for_user("api://shop/Orders.Read openid").await;
    assert_eq!(claims(&called_with.access_token)["scp"], "Orders.Read");
    assert_eq!(claims(&called_with.access_token)["aud"], world.web.client.to_string());
    let tenant = world.directory.tenant().id.to_string();
    let act = |token: &str| TokenRequest {
        tenant: tenant.clone(),
        user_assertion: Some(secret(token)),
        requested_token_use: Some("on_behalf_of".to_owned()),
        scope: Some(VAULT.to_owned()),
        ..world.request("urn:ietf:params:oauth:grant-type:jwt-bearer")
    };
    let token = called_with.access_token.expose();
    assert!(matches!(
        world.token(act(token)).await,
        Err(DirectoryError::Grant(GrantError::ConsentRequired { .. }))
    ));
    // MSAL asks for more than it is told to: that alone is nothing that anybody has agreed to, and nobody can be asked.
    let alone = TokenRequest { scope: Some("openid profile offline_access".to_owned()), ..act(token) };
    let user = world.token(alone).await.unwrap().user.unwrap();
    assert!(user.refresh_token.is_none() && user.id_token.is_none() && user.scope.is_empty());
    world.directory.agree_for_everybody(world.web.client, VAULT).await.unwrap();
    let more = Some(format!("{VAULT} openid profile offline_access"));
    let issued = world.token(TokenRequest { scope: more, ..act(token) }).await.unwrap();
    let user = issued.user.as_ref().unwrap();
    assert!(user.refresh_token.is_some() && user.id_token.is_some());
    let without = world.token(act(token)).await.unwrap().user.unwrap();
    assert!(without.refresh_token.is_none() && without.id_token.is_none(), "what is not asked for");
    world.code(&signed_in, FULL).await;
    let issued = world.token(act(token)).await.unwrap();
    assert_eq!((issued.principal, issued.client), (world.ada, world.web.client));
    assert_eq!(claims(&issued.access_token)["sid"], claims(&called_with.access_token)["sid"]);
    assert!(world.is_good(&issued).await);

    let why = async |token: &str| match world.token(act(token)).await {
        Err(DirectoryError::Grant(GrantError::UserTokenInvalid { why })) => why,
        other => panic!("{other:?}"),
    };
    let for_vault = for_user(VAULT).await;
    assert_eq!(why(for_vault.access_token.expose()).await, "it is for another audience");
    let own = TokenRequest {
        tenant: tenant.clone(),
        scope: Some("api://shop/.default".to_owned()),
        ..world.request("client_credentials")
    };
    let own = world.token(own).await.unwrap();
    assert_eq!(why(own.access_token.expose()).await, "it is no user's");
    let mut forged = token.clone();
    forged.pop();
    forged.push(if token.ends_with('A') { 'Q' } else { 'A' });
    for forged in ["x", "a.b.c", &forged] {
        assert_eq!(why(forged).await, "it is not signed by this directory", "{forged}");
    }
    assert_eq!(why(&"x".repeat(limits::TOKEN_BYTES_MAX + 1)).await, "it is too large");
    let late = world.token_at(act(token), 3_600).await;
    assert!(matches!(
        late,
        Err(DirectoryError::Grant(GrantError::UserTokenInvalid { why: "it has expired" }))
    ));
    let without = TokenRequest { secret: None, ..act(token) };
    assert!(matches!(
        world.token(without).await,
        Err(DirectoryError::Request(RequestError::ClientProofMissing))
    ));
    let use_of_nothing = TokenRequest { requested_token_use: Some("x".to_owned()), ..act(token) };
    assert!(matches!(
        world.token(use_of_nothing).await,
        Err(DirectoryError::Request(RequestError::ParameterInvalid { name: "requested_token_use" }))
    ));
    let anywhere = TokenRequest { tenant: "common".to_owned(), ..act(token) };
    assert!(matches!(
        world.token(anywhere).await,
        Err(DirectoryError::Request(RequestError::TenantUnspecified))
    ));
    world.directory.disable_principal(world.ada).await.unwrap();
    assert!(matches!(world.token(act(token)).await, Err(DirectoryError::Grant(GrantError::SessionEnded))));
}

#[tokio::test]
async fn the_password_grant_is_for_tests_and_for_one_factor() {
    let world = World::new().await;
    let request = |password: &str| TokenRequest {
        user_name: Some("ada@keyless.localhost".to_owned()),
        password: Some(secret(password)),
        scope: Some(format!("{VAULT} offline_access")),
        client: Some(ClientId::from_uuid(KEYLESS_CLI).to_string()),
        secret: None,
        ..world.request("password")
    };
    let issued = world.token(request(PASSWORD)).await.unwrap();
    assert!(world.is_good(&issued).await);
    let refresh = TokenRequest {
        refresh_token: Some(secret(&refresh_token(&issued))),
        grant_type: Some("refresh_token".to_owned()),
        ..request("")
    };
    assert!(world.token(refresh).await.is_ok());
    assert!(matches!(world.token(request("wrong password")).await, Err(DirectoryError::User(_))));
    let nobody = TokenRequest { user_name: Some("eve@keyless.localhost".to_owned()), ..request(PASSWORD) };
    assert!(matches!(world.token(nobody).await, Err(DirectoryError::User(_))));
    let with_secret = TokenRequest { secret: Some(secret("s")), ..request(PASSWORD) };
    assert!(matches!(world.token(with_secret).await, Err(DirectoryError::ClientIsPublic { .. })));
    let new = secret("for the first time");
    world.directory.set_password("ada@keyless.localhost", &new, true, NOW).await.unwrap();
    assert!(matches!(
        world.token(request("for the first time")).await,
        Err(DirectoryError::Grant(GrantError::PasswordMustChange))
    ));
    assert!(matches!(
        world.directory.begin_session(&world.person(world.ada).await, &[Method::Password], None, NOW).await,
        Err(DirectoryError::Grant(GrantError::PasswordMustChange))
    ));
}

#[tokio::test]
async fn a_removed_secret_takes_its_tokens_with_it() {
    let world = World::new().await;
    let named = world.web.client.to_string();
    let second = world.directory.add_credential(&named, "second", None, NOW).await.unwrap();
    let request = |text: &str| TokenRequest {
        tenant: world.directory.tenant().id.to_string(),
        secret: Some(secret(text)),
        scope: Some(VAULT.to_owned()),
        claims: Some(r#"{"access_token": {"xms_cc": {"values": ["cp1"]}}}"#.to_owned()),
        ..world.request("client_credentials")
    };
    let by_first = world.token(request(&world.web_secret)).await.unwrap();
    let by_second = world.token(request(second.secret.expose())).await.unwrap();
    assert_eq!(claims(&by_second.access_token)["keyless_credential"], second.id.to_string());
    assert_eq!(claims(&by_second.access_token)["xms_cc"], serde_json::json!(["CP1"]));
    world.directory.remove_credential(&named, second.id, NOW).await.unwrap();
    assert!(world.is_good(&by_first).await && !world.is_good(&by_second).await);
}

#[tokio::test]
async fn a_password_that_was_changed_while_somebody_signed_in_with_it_opens_nothing() {
    let world = World::new().await;
    let checked = world.directory.check_password("ada", &secret(PASSWORD), None, NOW).await.unwrap();
    let new = secret("another long password");
    world.directory.set_password("ada", &new, false, NOW).await.unwrap();
    for later in [0, 1, 1_000] {
        let begun = world.directory.begin_session(&checked, &[Method::Password], None, at(later)).await;
        assert!(matches!(begun, Err(DirectoryError::Grant(GrantError::SessionEnded))), "{later}");
    }
}

#[tokio::test]
async fn a_session_that_begins_in_a_later_second_than_a_change_of_the_password_was_asked_for_ends_with_it() {
    let world = World::new().await;
    let checked = world.directory.check_password("ada", &secret(PASSWORD), None, NOW).await.unwrap();
    // The change is asked for at `NOW`, hashes for a while, and is written down after the sign-in of two seconds later.
    let (cookie, _) =
        world.directory.begin_session(&checked, &[Method::Password], None, at(2)).await.unwrap();
    world.directory.set_password("ada", &secret("another long password"), false, NOW).await.unwrap();
    assert!(world.directory.signed_in(&cookie, at(3)).await.unwrap().is_none());
}
