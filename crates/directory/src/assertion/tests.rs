//! Token requests with assertions, on a store in memory: what proves a client, and each rule by which something does not.

use super::*;
use crate::{
    DirectoryService, Endpoint, FederatedCredential, Fetched, IssuedToken, IssuerFault, IssuerKeys,
    NewFederatedCredential, NewRegistration, TokenRequest,
    fixtures::{NOW, directory},
};
use crypt::{encoding::base64url, test_keys::TestSigner};
use serde_json::{Value, json};
use std::sync::Mutex;
use store::Memory;

const GITHUB: &str = "https://token.actions.example";
const SUBJECT: &str = "repo:octo/shop:environment:production";

/// An issuer's published keys, and who asked for them.
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
    client: String,
    signer: TestSigner,
}

async fn scene_with(new: NewRegistration) -> Scene {
    let (store, directory) = directory().await;
    let published = Arc::new(Published::default());
    let directory = directory.reaching(published.clone());
    let new = NewRegistration { display_name: "orders".to_owned(), ..new };
    let made = directory.create_registration(new, NOW).await.unwrap();
    Scene { store, directory, published, client: made.client.to_string(), signer: TestSigner::one(NOW) }
}

/// A client with a certificate.
async fn scene() -> Scene {
    let scene = scene_with(NewRegistration::default()).await;
    scene.directory.add_certificate(&scene.client, "ci", &scene.signer.certificate, NOW).await.unwrap();
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

impl Scene {
    fn token_url(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.directory.names().login_base(), self.directory.tenant().id)
    }

    fn claims(&self, more: Value) -> Value {
        let mut claims = json!({
            "iss": self.client, "sub": self.client, "aud": self.token_url(), "exp": NOW.seconds() + 600, "jti": "one",
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn signed(&self, more: Value) -> String {
        self.signer.token(&json!({"alg": "PS256"}), &self.claims(more))
    }

    /// As an outside issuer signs it.
    fn vouched(&self, more: Value) -> String {
        let mut claims = json!({
            "iss": GITHUB, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": NOW.seconds() + 600,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.signer.token(&json!({"alg": "RS256", "kid": "k"}), &claims)
    }

    fn publish(&self, signer: &TestSigner) {
        let key = IssuerKey { kid: Some("k".to_owned()), alg: None, key: signer.jwk() };
        *self.published.keys.lock().unwrap() = vec![key];
    }

    fn request(&self, assertion: &str) -> TokenRequest {
        TokenRequest {
            tenant: self.directory.tenant().id.to_string(),
            endpoint: Endpoint::V2,
            grant_type: Some("client_credentials".to_owned()),
            client: Some(self.client.clone()),
            secret: None,
            basic: None,
            assertion: Some(assertion.to_owned().into()),
            assertion_type: Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
            scope: Some("https://vault.azure.net/.default".to_owned()),
            resource: None,
            ..TokenRequest::default()
        }
    }

    async fn ask(&self, assertion: &str, now: Timestamp) -> Result<IssuedToken, DirectoryError> {
        self.directory.token(self.request(assertion), now).await
    }

    async fn refusal(&self, assertion: &str) -> AssertionRefusal {
        self.refusal_at(assertion, NOW).await
    }

    async fn refusal_at(&self, assertion: &str, now: Timestamp) -> AssertionRefusal {
        match self.ask(assertion, now).await {
            Err(DirectoryError::Request(RequestError::Assertion(refusal))) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.seconds() + seconds)
}

#[tokio::test]
async fn a_certificate_proves_its_client() {
    let scene = scene().await;
    let issued = scene.ask(&scene.signed(json!({})), NOW).await.unwrap();
    let registered = scene.directory.registration(&scene.client).await.unwrap();
    let certificate = registered.certificates.first().unwrap();
    assert_eq!(issued.proof, Proof::Certificate(certificate.id));
    assert_eq!(issued.proof.credential(), Some(certificate.id));
    let claims = issued.access_token.expose().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&crypt::encoding::from_base64url(claims).unwrap()).unwrap();
    assert_eq!((&claims["appidacr"], &claims["appid"]), (&json!("2"), &json!(scene.client)));
    // Python presents one assertion for nine minutes, for whatever it needs: that is no replay unless the registration says so.
    assert!(scene.ask(&scene.signed(json!({})), later(500)).await.is_ok());
    // Each name that a certificate can be called by, and trailing white space as files have it.
    let registered = ["sha1", "sha256"].map(|_| certificate);
    let (sha1, sha256) = (from_hex(&registered[0].sha1).unwrap(), from_hex(&registered[1].sha256).unwrap());
    for header in [
        json!({"alg": "RS256", "x5t": base64url(&sha1)}),
        json!({"alg": "PS256", "x5t#S256": base64url(&sha256)}),
    ] {
        let assertion = format!(" {}\n", scene.signer.token(&header, &scene.claims(json!({}))));
        assert!(scene.ask(&assertion, NOW).await.is_ok(), "{header}");
    }
}

#[tokio::test]
async fn each_name_of_the_endpoint_is_an_audience_and_no_other() {
    let scene = scene().await;
    let base = scene.directory.names().login_base();
    let tenant = scene.directory.tenant().clone();
    for named in [tenant.id.to_string(), tenant.domain.clone(), tenant.domain.to_uppercase()] {
        for end in ["oauth2/v2.0/token", "oauth2/token", "v2.0", ""] {
            let aud = format!("{base}/{named}/{end}");
            assert!(scene.ask(&scene.signed(json!({"aud": aud})), NOW).await.is_ok(), "{aud}");
            let among = json!({"aud": ["https://else.example", aud]});
            assert!(scene.ask(&scene.signed(among), NOW).await.is_ok(), "{aud} among others");
        }
    }
    let id = tenant.id;
    for aud in [
        String::new(),
        base.clone(),
        format!("{base}/{id}"),
        format!("{base}/{id}/v2.0/"),
        format!("{base}/{id}/oauth2/v2.0/token?x"),
        format!("{base}.evil.example/{id}/v2.0"),
        format!("{base}/99999999-9999-4999-8999-999999999999/v2.0"),
        format!("{base}/common/v2.0"),
        format!("{base}/common/"),
        format!("{base}/99999999-9999-4999-8999-999999999999/"),
        format!("{base}//"),
        format!("https://login.keyless.localhost/{id}/v2.0"),
        format!("https://login.microsoftonline.com/{id}/oauth2/v2.0/token"),
        "api://AzureADTokenExchange".to_owned(),
    ] {
        let refusal = scene.refusal(&scene.signed(json!({"aud": aud}))).await;
        assert_eq!(refusal, AssertionRefusal::Audience, "{aud}");
    }
}

#[tokio::test]
async fn the_client_is_issuer_and_subject() {
    let scene = scene().await;
    let other = "99999999-9999-4999-8999-999999999999";
    for more in [
        json!({"iss": other}),
        json!({"sub": other}),
        json!({"iss": other, "sub": other}),
        json!({"sub": "x"}),
    ] {
        assert_eq!(scene.refusal(&scene.signed(more.clone())).await, AssertionRefusal::OfAnother, "{more}");
    }
    let upper = json!({"iss": scene.client.to_uppercase(), "sub": scene.client.to_uppercase()});
    assert!(scene.ask(&scene.signed(upper), NOW).await.is_ok());
    // What one client has signed is nothing to another with the same certificate.
    let new = NewRegistration { display_name: "other".to_owned(), ..NewRegistration::default() };
    let second = scene.directory.create_registration(new, NOW).await.unwrap().client.to_string();
    scene.directory.add_certificate(&second, "ci", &scene.signer.certificate, NOW).await.unwrap();
    let request = TokenRequest { client: Some(second), ..scene.request(&scene.signed(json!({}))) };
    assert!(matches!(
        scene.directory.token(request, NOW).await,
        Err(DirectoryError::Request(RequestError::Assertion(AssertionRefusal::OfAnother)))
    ));
}

#[tokio::test]
async fn times_count() {
    let scene = scene().await;
    let now = NOW.seconds();
    for good in [
        json!({"exp": now + 1}),
        json!({"exp": f64::from(1_800_000_000) + 600.5, "iat": f64::from(1_800_000_000) + 0.5}),
        json!({"exp": now + 3_600 + 300}),
        json!({"nbf": now + 300}),
        json!({"iat": now + 300}),
        json!({"nbf": 0}),
    ] {
        assert!(scene.ask(&scene.signed(good.clone()), NOW).await.is_ok(), "{good}");
    }
    for bad in [
        json!({"exp": now}),
        json!({"exp": now - 1}),
        json!({"exp": -1}),
        json!({"exp": now + 3_600 + 301}),
        json!({"exp": i64::MAX}),
        json!({"nbf": now + 301}),
        json!({"iat": now + 301}),
    ] {
        let refusal = scene.refusal(&scene.signed(bad.clone())).await;
        assert!(matches!(refusal, AssertionRefusal::Time { .. }), "{bad}: {refusal}");
    }
}

#[tokio::test]
async fn only_a_registered_certificate_that_is_valid_counts() {
    let scene = scene().await;
    let stranger = TestSigner::other(NOW);
    let claims = scene.claims(json!({}));
    let unnamed = stranger.token(&json!({"alg": "RS256"}), &claims);
    assert_eq!(scene.refusal(&unnamed).await, AssertionRefusal::KeyUnknown { thumbprint: None });
    let its_own = crypt::ClientCertificate::read(&stranger.certificate).unwrap();
    let named = stranger.token(&json!({"alg": "RS256", "x5t": base64url(&its_own.sha1)}), &claims);
    let thumbprint = Some(crypt::encoding::hex(&its_own.sha1));
    assert_eq!(scene.refusal(&named).await, AssertionRefusal::KeyUnknown { thumbprint });
    let registered = crypt::ClientCertificate::read(&scene.signer.certificate).unwrap();
    let posing = json!({"alg": "RS256", "x5t": base64url(&registered.sha1)});
    let fault = AssertionRefusal::Form(AssertionFault::BadSignature);
    assert_eq!(scene.refusal(&stranger.token(&posing, &claims)).await, fault);
    // Two at a time, the new one before the old one goes.
    let added =
        scene.directory.add_certificate(&scene.client, "next", &stranger.certificate, NOW).await.unwrap();
    for assertion in [&unnamed, &named, &scene.signed(json!({}))] {
        assert!(scene.ask(assertion, NOW).await.is_ok());
    }
    let removed = scene.directory.remove_credential(&scene.client, added.id, NOW).await.unwrap();
    assert_eq!(removed.kind, crate::CredentialKind::Certificate);
    assert!(matches!(scene.refusal(&named).await, AssertionRefusal::KeyUnknown { .. }));
    // Five years later.
    let over = later(5 * 365 * 86_400);
    let late = scene.signed(json!({"exp": over.seconds() + 600}));
    assert!(matches!(scene.refusal_at(&late, over).await, AssertionRefusal::KeyOver { .. }));
    // And an hour before it begins.
    let early = later(-3_600);
    let soon = scene.signed(json!({"exp": early.seconds() + 600}));
    assert!(matches!(scene.refusal_at(&soon, early).await, AssertionRefusal::KeyOver { .. }));
}

#[tokio::test]
async fn an_assertion_is_good_once_where_the_registration_says_so() {
    let scene =
        scene_with(NewRegistration { single_use_assertions: true, ..NewRegistration::default() }).await;
    scene.directory.add_certificate(&scene.client, "ci", &scene.signer.certificate, NOW).await.unwrap();
    let assertion = scene.signed(json!({}));
    assert!(scene.ask(&assertion, NOW).await.is_ok());
    assert_eq!(scene.refusal(&assertion).await, AssertionRefusal::Used);
    // The id counts, not the bytes: the same one in a new assertion, and none at all.
    for more in [json!({"exp": NOW.seconds() + 900}), json!({"jti": null}), json!({"jti": ""})] {
        assert_eq!(scene.refusal(&scene.signed(more.clone())).await, AssertionRefusal::Used, "{more}");
    }
    assert!(scene.ask(&scene.signed(json!({"jti": "two"})), NOW).await.is_ok());
    let used = || {
        let keys = scene
            .store
            .dump()
            .into_iter()
            .map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned());
        keys.filter(|key| key.starts_with("assertion-used/")).count()
    };
    assert_eq!(used(), 2);
    scene.directory.sweep(later(599)).await.unwrap();
    assert_eq!(used(), 2, "they could still be presented");
    scene.directory.sweep(later(600)).await.unwrap();
    assert_eq!(used(), 0);
    assert!(matches!(scene.refusal_at(&assertion, later(600)).await, AssertionRefusal::Time { .. }));
    // A refused request uses nothing up.
    let refused = TokenRequest {
        scope: Some("https://nowhere/.default".to_owned()),
        ..scene.request(&scene.signed(json!({"jti": "three"})))
    };
    assert!(matches!(scene.directory.token(refused, NOW).await, Err(DirectoryError::ResourceUnknown { .. })));
    assert!(scene.ask(&scene.signed(json!({"jti": "three"})), NOW).await.is_ok());
}

#[tokio::test]
async fn two_at_a_time_with_one_assertion_get_one_token() {
    let scene =
        scene_with(NewRegistration { single_use_assertions: true, ..NewRegistration::default() }).await;
    scene.directory.add_certificate(&scene.client, "ci", &scene.signer.certificate, NOW).await.unwrap();
    let assertion = scene.signed(json!({}));
    // Both decide on the same position of the store, then commit one after the other.
    let decide = |view: &View<'_>| {
        let parsed =
            crate::token::parse(scene.directory.tenant(), scene.directory.names(), scene.request(&assertion))
                .unwrap();
        let key = crypt::MacKey::new(&[9; 32]);
        let setting = crate::fixtures::setting(scene.directory.names(), &key);
        crate::token::decide(view, setting, &parsed, &crate::token::Evidence::None)
    };
    let mut first = true;
    let result = store::transact(&*scene.store, &crate::fixtures::Counting::default(), |view| {
        let decision = decide(view)?;
        if std::mem::take(&mut first) {
            futures_free(scene.ask(&assertion, NOW)).unwrap();
        }
        Ok(decision)
    })
    .await;
    assert!(
        matches!(result, Err(DirectoryError::Request(RequestError::Assertion(AssertionRefusal::Used)))),
        "{result:?}"
    );
    assert!(!first, "the other one came between");
}

/// Runs a future that never has to wait: the memory store answers at once.
fn futures_free<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

#[tokio::test]
async fn a_public_client_presents_nothing_and_is_given_nothing() {
    let scene = scene_with(NewRegistration { is_public: true, ..NewRegistration::default() }).await;
    let public = |result: Result<(), DirectoryError>| {
        assert!(matches!(result, Err(DirectoryError::ClientIsPublic { .. })))
    };
    public(
        scene.directory.add_certificate(&scene.client, "ci", &scene.signer.certificate, NOW).await.map(drop),
    );
    public(scene.directory.add_credential(&scene.client, "ci", None, NOW).await.map(drop));
    public(scene.directory.add_federated(&scene.client, github("a", "b"), NOW).await.map(drop));
    public(scene.ask(&scene.signed(json!({})), NOW).await.map(drop));
    let by_secret =
        TokenRequest { assertion: None, secret: Some("s".to_owned().into()), ..scene.request("") };
    public(scene.directory.token(by_secret, NOW).await.map(drop));
}

#[tokio::test]
async fn an_outside_issuer_vouches_for_what_it_was_registered_for() {
    let scene = scene().await;
    let subjects = [
        SUBJECT,
        // GitLab and Kubernetes.
        "project_path:octo/shop:ref_type:branch:ref:main",
        "system:serviceaccount:shop:orders",
    ];
    let mut added: Vec<FederatedCredential> = Vec::new();
    for (number, subject) in subjects.into_iter().enumerate() {
        let new = github(&format!("a{number}"), subject);
        added.push(scene.directory.add_federated(&scene.client, new, NOW).await.unwrap());
    }
    scene.publish(&scene.signer);
    for (subject, credential) in subjects.into_iter().zip(&added) {
        let issued = scene.ask(&scene.vouched(json!({"sub": subject})), NOW).await.unwrap();
        assert_eq!(issued.proof, credential.proof(), "{subject}");
    }
    // A token file is presented until it is renewed, with its id, and in an array of audiences.
    let file = scene.vouched(
        json!({"jti": "same", "aud": ["x", "api://AzureADTokenExchange"], "exp": NOW.seconds() + 86_400}),
    );
    for _ in 0..2 {
        assert!(scene.ask(&format!("{file}\n"), NOW).await.is_ok());
    }
    let unknown = |what: &str| match what {
        "issuer" => json!({"iss": "https://Token.actions.example"}),
        "slash" => json!({"iss": format!("{GITHUB}/")}),
        "subject" => json!({"sub": SUBJECT.to_uppercase()}),
        _ => json!({"aud": "api://azureadtokenexchange"}),
    };
    for what in ["issuer", "slash", "subject", "audience"] {
        let before = scene.published.asked.lock().unwrap().len();
        let refusal = scene.refusal(&scene.vouched(unknown(what))).await;
        let fits = match what {
            "issuer" | "slash" => matches!(refusal, AssertionRefusal::IssuerUnknown { .. }),
            "subject" => matches!(refusal, AssertionRefusal::SubjectUnknown { .. }),
            _ => matches!(refusal, AssertionRefusal::AudienceUnknown { .. }),
        };
        assert!(fits, "{what}: {refusal}");
        assert_eq!(scene.published.asked.lock().unwrap().len(), before, "nobody is asked for {what}");
    }
    for bad in [
        json!({"exp": NOW.seconds()}),
        json!({"exp": NOW.seconds() + 86_701}),
        json!({"nbf": NOW.seconds() + 301}),
    ] {
        let before = scene.published.asked.lock().unwrap().len();
        assert!(matches!(scene.refusal(&scene.vouched(bad)).await, AssertionRefusal::Time { .. }));
        assert_eq!(scene.published.asked.lock().unwrap().len(), before);
    }
    scene.publish(&TestSigner::other(NOW));
    let forged = scene.refusal(&scene.vouched(json!({}))).await;
    assert_eq!(forged, AssertionRefusal::Form(AssertionFault::BadSignature));
    for key in scene.published.keys.lock().unwrap().iter_mut() {
        key.kid = Some("another".to_owned());
    }
    assert_eq!(scene.refusal(&scene.vouched(json!({}))).await, AssertionRefusal::IssuerKeyUnknown);
    scene.published.keys.lock().unwrap().clear();
    assert!(matches!(
        scene.refusal(&scene.vouched(json!({}))).await,
        AssertionRefusal::IssuerUnavailable { .. }
    ));
    scene.publish(&scene.signer);
    scene.directory.remove_credential(&scene.client, added[0].id, NOW).await.unwrap();
    assert!(matches!(
        scene.refusal(&scene.vouched(json!({}))).await,
        AssertionRefusal::SubjectUnknown { .. }
    ));
}

#[tokio::test]
async fn keys_that_were_given_are_the_only_ones() {
    let scene = scene().await;
    let key_set = |signer: &TestSigner| {
        let mut jwk = serde_json::to_value(signer.jwk()).unwrap();
        jwk["kid"] = json!("k");
        Some(json!({"keys": [jwk]}).to_string().into_bytes())
    };
    let new = NewFederatedCredential { key_set: key_set(&scene.signer), ..github("offline", SUBJECT) };
    scene.directory.add_federated(&scene.client, new, NOW).await.unwrap();
    assert!(scene.ask(&scene.vouched(json!({})), NOW).await.is_ok());
    scene.publish(&TestSigner::other(NOW));
    assert!(scene.ask(&scene.vouched(json!({})), NOW).await.is_ok());
    assert!(scene.published.asked.lock().unwrap().is_empty());
    // The client's own certificate is no issuer's key, nor the reverse.
    let unnamed = TestSigner::other(NOW).token(
        &json!({"alg": "RS256", "kid": "k"}),
        &json!({"iss": GITHUB, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": NOW.seconds() + 60}),
    );
    assert_eq!(scene.refusal(&unnamed).await, AssertionRefusal::Form(AssertionFault::BadSignature));
}

#[tokio::test]
async fn a_token_of_this_directory_proves_nobody_to_it() {
    let scene = scene().await;
    let user = scene.directory.issue_for_administrator(NOW).await.unwrap();
    assert_eq!(scene.refusal(user.access_token.expose()).await, AssertionRefusal::OwnToken);
    let app = scene.ask(&scene.signed(json!({})), NOW).await.unwrap();
    assert_eq!(scene.refusal(app.access_token.expose()).await, AssertionRefusal::OwnToken);
    for issuer in scene.directory.issuers() {
        for issuer in
            [issuer.clone(), format!("{issuer}/"), issuer.to_uppercase().replacen("HTTPS", "https", 1)]
        {
            let new = NewFederatedCredential { issuer: issuer.clone(), ..github("own", SUBJECT) };
            let error = scene.directory.add_federated(&scene.client, new, NOW).await.unwrap_err();
            assert!(matches!(error, DirectoryError::FederatedInvalid { .. }), "{issuer}");
        }
    }
    assert!(scene.published.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_disabled_and_the_unknown_are_refused_in_order() {
    let scene = scene().await;
    let principal = scene.directory.registration(&scene.client).await.unwrap().principal;
    scene.directory.disable_principal(principal).await.unwrap();
    assert!(matches!(
        scene.ask(&scene.signed(json!({})), NOW).await,
        Err(DirectoryError::Request(RequestError::ClientDisabled { .. }))
    ));
    let wrong = scene.signed(json!({"aud": "x"}));
    assert_eq!(scene.refusal(&wrong).await, AssertionRefusal::Audience, "who cannot prove it learns nothing");
    scene.directory.delete_registration(&scene.client).await.unwrap();
    assert!(matches!(
        scene.ask(&scene.signed(json!({})), NOW).await,
        Err(DirectoryError::ClientUnknown { .. })
    ));
}
