//! Tokens of user-assigned identities by the word of outside issuers, on a store in memory: what proves one, each thing that does not, and
//! what is left when a credential or the identity goes.

use super::*;
use crate::{
    AssertionRefusal, DirectoryService, Endpoint, Fetched, IdentityIds, IssuedToken, IssuerFault, IssuerKeys,
    NewFederatedCredential, RequestError, TokenRequest,
    fixtures::{Fill, NOW, directory, verifier},
    managed,
};
use crypt::{IssuerKey, encoding::from_base64url, test_keys::TestSigner};
use domain::{IdentityName, ResourceGroupName, limits};
use serde_json::{Value, json};
use std::sync::Mutex;
use store::{Memory, query, transact};

const GITHUB: &str = "https://token.actions.example";
const SUBJECT: &str = "repo:octo/shop:environment:production";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An issuer's published keys, and how often it was asked.
#[derive(Default)]
struct Published {
    keys: Mutex<Vec<IssuerKey>>,
    asked: Mutex<Vec<String>>,
}

impl IssuerKeys for Published {
    fn may_fetch(&self, issuer: &str) -> Result<(), &'static str> {
        if issuer.starts_with("https://") { Ok(()) } else { Err("https only") }
    }

    fn keys<'a>(&'a self, issuer: &'a str, _: Option<&'a str>, _: Timestamp) -> Fetched<'a> {
        self.asked.lock().unwrap().push(issuer.to_owned());
        let keys = self.keys.lock().unwrap().clone();
        Box::pin(async move {
            if keys.is_empty() { Err(IssuerFault("no answer".to_owned())) } else { Ok(Arc::new(keys)) }
        })
    }
}

struct Scene {
    store: Arc<Memory>,
    directory: DirectoryService,
    published: Arc<Published>,
    identity: PrincipalId,
    signer: TestSigner,
}

/// An identity that nobody vouches for yet, and an issuer that publishes its keys.
async fn scene() -> Scene {
    let (store, directory) = directory().await;
    let published = Arc::new(Published::default());
    let directory = directory.reaching(published.clone());
    let signer = TestSigner::one(NOW);
    *published.keys.lock().unwrap() =
        vec![IssuerKey { kid: Some("k".to_owned()), alg: None, key: signer.jwk() }];
    let name = IdentityName::parse("deployers").unwrap();
    let ids = IdentityIds::random(&Fill(0x77));
    let made = managed::register_user_assigned(
        &name,
        &ResourceGroupName::default(),
        directory.tenant().id,
        ids,
        NOW,
    );
    let scene = Scene { store, directory, published, identity: made.principal.id, signer };
    scene.write(|_| Ok(Decision::of((), made.writes.clone()))).await.unwrap();
    scene
}

fn github(name: &str, subject: &str) -> NewFederatedCredential {
    NewFederatedCredential {
        name: name.to_owned(),
        issuer: GITHUB.to_owned(),
        subject: subject.to_owned(),
        ..NewFederatedCredential::default()
    }
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.seconds() + seconds)
}

fn claims_of(issued: &IssuedToken) -> Value {
    let claims = issued.access_token.expose().split('.').nth(1).unwrap();
    serde_json::from_slice(&from_base64url(claims).unwrap()).unwrap()
}

impl Scene {
    async fn write<T: Send>(
        &self,
        decide: impl Fn(&View) -> Result<Decision<T>, Halt<DirectoryError>> + Send + Sync,
    ) -> Result<T, DirectoryError> {
        transact(&*self.store, &*self.directory.entropy, decide).await
    }

    async fn principal(&self) -> Arc<Principal> {
        self.directory.principal(self.identity).await.unwrap()
    }

    async fn put(
        &self,
        new: NewFederatedCredential,
        now: Timestamp,
    ) -> Result<(Arc<FederatedCredential>, bool), DirectoryError> {
        let (checked, principal) = (self.directory.checked(new, now)?, self.principal().await);
        self.write(|view| put(view, &principal, &checked, now.plus(self.directory.token_lifetime()), now))
            .await
    }

    async fn remove(&self, name: &str) -> Option<Arc<FederatedCredential>> {
        let (principal, over) = (self.principal().await, later(3_600));
        self.write(|view| remove(view, &principal, name, over, NOW)).await.unwrap()
    }

    async fn all(&self) -> Vec<Arc<FederatedCredential>> {
        query(&*self.store, |view| all(view, self.identity)).await.unwrap()
    }

    fn vouched(&self, more: Value) -> String {
        let mut claims = json!({
            "iss": GITHUB, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": NOW.seconds() + 600,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.signer.token(&json!({"alg": "RS256", "kid": "k"}), &claims)
    }

    async fn request(&self, assertion: &str) -> TokenRequest {
        TokenRequest {
            tenant: self.directory.tenant().id.to_string(),
            endpoint: Endpoint::V2,
            grant_type: Some("client_credentials".to_owned()),
            client: Some(self.principal().await.client.to_string()),
            assertion: Some(assertion.to_owned().into()),
            assertion_type: Some(JWT_BEARER.to_owned()),
            scope: Some("https://vault.azure.net/.default".to_owned()),
            ..TokenRequest::default()
        }
    }

    async fn ask(&self, assertion: &str) -> Result<IssuedToken, DirectoryError> {
        self.directory.token(self.request(assertion).await, NOW).await
    }

    async fn refusal(&self, assertion: &str) -> AssertionRefusal {
        match self.ask(assertion).await {
            Err(DirectoryError::Request(RequestError::Assertion(refusal))) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// Is a token worth nothing to a vault?
    async fn is_refused(&self, issued: &IssuedToken) -> bool {
        let verifier = verifier(&self.directory);
        let caller = verifier.verify(&issued.access_token, &*self.directory.ring(), NOW).unwrap();
        self.principal().await.revocations.refuse_caller(&caller)
    }

    fn asked(&self) -> usize {
        self.published.asked.lock().unwrap().len()
    }
}

#[tokio::test]
async fn one_that_takes_the_place_of_another_stands_where_that_stood() {
    let scene = scene().await;
    for name in ["one", "two", "three"] {
        scene.put(github(name, name), NOW).await.unwrap();
    }
    for name in ["one", "two", "three"] {
        scene.put(github(name, &format!("{name}-again")), later(60)).await.unwrap();
        let names: Vec<_> = scene.all().await.iter().map(|one| one.name.clone()).collect();
        assert_eq!(names, ["one", "two", "three"]);
    }
}

#[tokio::test]
async fn an_outside_issuer_vouches_for_an_identity() {
    let scene = scene().await;
    let (credential, is_new) = scene.put(github("github", SUBJECT), NOW).await.unwrap();
    assert!(is_new);
    let issued = scene.ask(&scene.vouched(json!({}))).await.unwrap();
    assert_eq!(issued.proof, credential.proof());
    let (claims, principal) = (claims_of(&issued), scene.principal().await);
    assert_eq!(
        (&claims["oid"], &claims["appid"], &claims["idtyp"], &claims["appidacr"]),
        (&json!(principal.id), &json!(principal.client), &json!("app"), &json!("2"))
    );
    assert_eq!(claims["keyless_credential"], json!(credential.id));
    assert_eq!(
        json!(managed::resource_id(scene.directory.tenant().subscription(), &principal)),
        claims["xms_mirid"]
    );
    assert!(claims.get("xms_az_rid").is_none() && claims.get("keyless_attachment").is_none());
    assert!(!scene.is_refused(&issued).await);
    assert_eq!(*scene.published.asked.lock().unwrap(), [GITHUB]);
}

#[tokio::test]
async fn what_is_not_exactly_as_it_says_is_refused_and_nobody_is_asked() {
    let scene = scene().await;
    assert!(matches!(scene.refusal(&scene.vouched(json!({}))).await, AssertionRefusal::IssuerUnknown { .. }));
    scene.put(github("github", SUBJECT), NOW).await.unwrap();
    for (more, fits) in [
        (json!({"iss": format!("{GITHUB}/")}), "issuer"),
        (json!({"sub": SUBJECT.to_uppercase()}), "subject"),
        (json!({"aud": "api://azureadtokenexchange"}), "audience"),
        (json!({"exp": NOW.seconds()}), "time"),
    ] {
        let refusal = scene.refusal(&scene.vouched(more)).await;
        let is_as_told = match fits {
            "issuer" => matches!(refusal, AssertionRefusal::IssuerUnknown { .. }),
            "subject" => matches!(refusal, AssertionRefusal::SubjectUnknown { .. }),
            "audience" => matches!(refusal, AssertionRefusal::AudienceUnknown { .. }),
            _ => matches!(refusal, AssertionRefusal::Time { .. }),
        };
        assert!(is_as_told, "{fits}: {refusal}");
    }
    assert_eq!(scene.asked(), 0);
    let forger = TestSigner::other(NOW).token(
        &json!({"alg": "RS256", "kid": "k"}),
        &json!({"iss": GITHUB, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": NOW.seconds() + 60}),
    );
    assert!(matches!(scene.refusal(&forger).await, AssertionRefusal::Form(_)));
}

#[tokio::test]
async fn an_identity_has_no_other_proof() {
    let scene = scene().await;
    scene.put(github("github", SUBJECT), NOW).await.unwrap();
    let client = scene.principal().await.client;
    let by_secret =
        TokenRequest { assertion: None, secret: Some("s".to_owned().into()), ..scene.request("").await };
    assert!(matches!(
        scene.directory.token(by_secret, NOW).await,
        Err(DirectoryError::Request(RequestError::ClientSecretWrong { .. }))
    ));
    let nothing = TokenRequest { assertion: None, ..scene.request("").await };
    assert!(matches!(
        scene.directory.token(nothing, NOW).await,
        Err(DirectoryError::Request(RequestError::ClientProofMissing))
    ));
    // As a client with a certificate would sign for itself.
    let own = json!({"iss": client, "sub": client});
    assert!(matches!(scene.refusal(&scene.vouched(own)).await, AssertionRefusal::KeyUnknown { .. }));
    // Its own tokens prove nothing, nor can this directory be an outside issuer to it.
    let issued = scene.ask(&scene.vouched(json!({}))).await.unwrap();
    assert_eq!(scene.refusal(issued.access_token.expose()).await, AssertionRefusal::OwnToken);
    for issuer in scene.directory.issuers() {
        let error =
            scene.put(NewFederatedCredential { issuer, ..github("own", "x") }, NOW).await.unwrap_err();
        assert!(matches!(error, DirectoryError::FederatedInvalid { .. }));
    }
}

#[tokio::test]
async fn it_acts_for_itself_only() {
    let scene = scene().await;
    scene.put(github("github", SUBJECT), NOW).await.unwrap();
    let (client, some) = (scene.principal().await.client, |text: &str| Some(text.to_owned()));
    for grant in
        ["authorization_code", "refresh_token", "device_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]
    {
        let user_token = scene.directory.issue_for_administrator(NOW).await.unwrap().access_token;
        let request = TokenRequest {
            grant_type: some(grant),
            code: Some("c".to_owned().into()),
            refresh_token: Some("r".to_owned().into()),
            device_code: Some("d".to_owned().into()),
            user_assertion: Some(user_token),
            requested_token_use: some("on_behalf_of"),
            ..scene.request(&scene.vouched(json!({}))).await
        };
        let refused = scene.directory.token(request, NOW).await.unwrap_err();
        assert!(
            matches!(refused, DirectoryError::ClientUnknown { client: named } if named == client),
            "{grant}: {refused}"
        );
    }
    let request = TokenRequest {
        refresh_token: Some("r".to_owned().into()),
        ..scene.request(&scene.vouched(json!({}))).await
    };
    let refused = scene.directory.revoke_token(request, NOW).await;
    assert!(matches!(refused, Err(DirectoryError::ClientUnknown { .. })));
    assert_eq!(scene.asked(), 0, "and its issuer is not asked for it");
}

#[tokio::test]
async fn the_disabled_and_the_deleted_are_refused() {
    let scene = scene().await;
    let before = scene.store.dump().len();
    for number in 0..limits::FEDERATED_CREDENTIALS_MAX {
        scene.put(github(&format!("n{number}"), &format!("s{number}")), NOW).await.unwrap();
    }
    let one_more = scene.put(github("more", SUBJECT), NOW).await.unwrap_err();
    assert!(matches!(one_more, DirectoryError::TooMany { limit: 20, .. }), "{one_more}");
    let vouched = scene.vouched(json!({"sub": "s7"}));
    scene.directory.disable_principal(scene.identity).await.unwrap();
    let disabled = scene.ask(&vouched).await.unwrap_err();
    assert!(matches!(disabled, DirectoryError::Request(RequestError::ClientDisabled { .. })));
    assert!(
        matches!(scene.refusal(&scene.vouched(json!({}))).await, AssertionRefusal::SubjectUnknown { .. }),
        "who cannot prove it learns nothing"
    );
    scene.directory.enable_principal(scene.identity).await.unwrap();
    assert!(scene.ask(&vouched).await.is_ok());
    let request = scene.request(&vouched).await;
    scene.write(|view| Ok(Decision::of((), managed::unregister(view, scene.identity)?))).await.unwrap();
    let gone = scene.directory.token(request, NOW).await.unwrap_err();
    assert!(matches!(gone, DirectoryError::ClientUnknown { .. }));
    // The principal and its index are gone, and all that vouched for it.
    assert_eq!(scene.store.dump().len(), before - 2);
}

#[tokio::test]
async fn what_was_got_by_a_credential_falls_with_it() {
    let scene = scene().await;
    scene.put(github("github", SUBJECT), NOW).await.unwrap();
    scene.put(github("other", "other"), NOW).await.unwrap();
    let issued = scene.ask(&scene.vouched(json!({}))).await.unwrap();
    let others = scene.ask(&scene.vouched(json!({"sub": "other"}))).await.unwrap();
    assert_eq!(scene.remove("GitHub").await.unwrap().name, "github");
    assert!(scene.remove("github").await.is_none());
    assert!(scene.is_refused(&issued).await && !scene.is_refused(&others).await);
    let refusal = scene.refusal(&scene.vouched(json!({}))).await;
    assert!(matches!(refusal, AssertionRefusal::SubjectUnknown { .. }));
    // Under the same name again it is another credential: by that one tokens are good, those of before stay worth nothing.
    assert!(scene.put(github("github", SUBJECT), NOW).await.unwrap().1);
    let again = scene.ask(&scene.vouched(json!({}))).await.unwrap();
    assert!(scene.is_refused(&issued).await && !scene.is_refused(&again).await);
    scene.remove("github").await.unwrap();
    scene.remove("other").await.unwrap();
    assert!(scene.all().await.is_empty());
    assert!(scene.store.dump().iter().all(|(key, _)| !key.as_bytes().starts_with(b"principal-federated/")));
}

#[tokio::test]
async fn another_takes_its_name_and_the_same_changes_nothing() {
    let scene = scene().await;
    let (first, _) = scene.put(github("GitHub", SUBJECT), NOW).await.unwrap();
    let issued = scene.ask(&scene.vouched(json!({}))).await.unwrap();
    let (same, is_new) = scene.put(github("github", SUBJECT), later(9)).await.unwrap();
    assert!(!is_new && same == first);
    assert!(!scene.is_refused(&issued).await);
    scene.put(github("other", "other"), NOW).await.unwrap();
    let taken = scene.put(github("third", "other"), NOW).await.unwrap_err();
    assert!(matches!(taken, DirectoryError::FederatedTaken { what: "issuer and subject" }));
    let taken = scene.put(github("github", "other"), NOW).await.unwrap_err();
    assert!(matches!(taken, DirectoryError::FederatedTaken { what: "issuer and subject" }));

    let (changed, is_new) = scene.put(github("github", "main"), later(9)).await.unwrap();
    assert_eq!((&*changed.name, changed.created, is_new), ("GitHub", NOW, false));
    assert!(scene.is_refused(&issued).await);
    let refusal = scene.refusal(&scene.vouched(json!({}))).await;
    assert!(matches!(refusal, AssertionRefusal::SubjectUnknown { .. }));
    let now = scene.ask(&scene.vouched(json!({"sub": "main"}))).await.unwrap();
    assert!(!scene.is_refused(&now).await, "tokens by the new one are good at once");
    let names: Vec<_> = scene.all().await.iter().map(|one| one.name.clone()).collect();
    assert_eq!(names, ["GitHub", "other"], "in the order in which they were made");
}
