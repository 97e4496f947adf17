//! What a token file holds, at every place where a token of ours may be presented: read at one of them, refused at the others.

use super::*;
use crate::{
    NewRegistration,
    fixtures::{Counting, Fill, NOW, names, settings},
};
use access::{Verifier, VerifierConfig};
use crypt::{Key256, test_keys};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use store::Memory;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn directory() -> DirectoryService {
    let root = Arc::new(Key256::random(&Fill(1)));
    let make = |_| Ok(test_keys::signing_key());
    let store = Arc::new(Memory::new());
    DirectoryService::open(store, Arc::new(Counting::default()), &root, settings(), make, Arc::new(NOW))
        .await
        .unwrap()
}

fn ids() -> (AppId, WorkloadId, ClientId) {
    (AppId::random(&Fill(2)), WorkloadId::random(&Fill(3)), ClientId::random(&Fill(4)))
}

fn request(directory: &DirectoryService, text: &str) -> TokenRequest {
    TokenRequest {
        tenant: directory.tenant().id.to_string(),
        endpoint: Endpoint::V2,
        grant_type: Some("client_credentials".to_owned()),
        client: Some(ids().2.to_string()),
        assertion: Some(text.to_owned().into()),
        assertion_type: Some(JWT_BEARER.to_owned()),
        scope: Some("https://vault.azure.net/.default".to_owned()),
        ..TokenRequest::default()
    }
}

fn refused(result: Result<Exchange, DirectoryError>) -> AssertionRefusal {
    match result {
        Err(DirectoryError::Request(RequestError::Assertion(refusal))) => refusal,
        other => panic!("{other:?}"),
    }
}

fn token(directory: &DirectoryService) -> String {
    let (app, workload, _) = ids();
    directory.workload_token(app, workload, NOW).unwrap().expose().clone()
}

/// What the directory would have signed, with other claims.
fn claiming(directory: &DirectoryService, member: &str, value: Value) -> String {
    let text = token(directory);
    let claims = text.split('.').nth(1).unwrap();
    let mut claims: Value =
        serde_json::from_slice(&crypt::encoding::from_base64url(claims).unwrap()).unwrap();
    claims[member] = value;
    jws::sign_workload(&test_keys::signing_key(), &claims).unwrap().expose().clone()
}

#[tokio::test]
async fn a_token_file_names_app_and_workload_for_half_an_hour() {
    let directory = directory().await;
    let (app, workload, client) = ids();
    let text = token(&directory);
    let resource = "https://vault.azure.net".to_owned();
    let expected = Exchange { app, workload, client, resource, endpoint: Endpoint::V2 };
    // Files end in a line feed, which some clients send with the rest.
    for presented in [text.clone(), format!("{text}\n")] {
        let request = request(&directory, &presented);
        assert!(is_exchange(&request));
        assert_eq!(directory.read_exchange(request, NOW).unwrap(), expected);
    }
    let last = NOW.plus(limits::WORKLOAD_TOKEN_LIFETIME - Duration::from_secs(1));
    assert!(directory.read_exchange(request(&directory, &text), last).is_ok());
    let over = NOW.plus(limits::WORKLOAD_TOKEN_LIFETIME);
    let fault = refused(directory.read_exchange(request(&directory, &text), over));
    assert_eq!(fault, AssertionRefusal::Time { why: "it is over" });
    let before = Timestamp::from_seconds(NOW.seconds() - 301);
    let fault = refused(directory.read_exchange(request(&directory, &text), before));
    assert_eq!(fault, AssertionRefusal::Time { why: "it has not begun" });
}

#[tokio::test]
async fn what_we_have_not_signed_for_this_is_refused() {
    let directory = directory().await;
    let text = token(&directory);
    let (signed, _) = text.rsplit_once('.').unwrap();
    let other = claiming(&directory, "sub", json!(subject(AppId::random(&Fill(9)), ids().1)));
    let (_, signature) = other.rsplit_once('.').unwrap();
    let fault = refused(directory.read_exchange(request(&directory, &format!("{signed}.{signature}")), NOW));
    assert_eq!(fault, AssertionRefusal::Form(AssertionFault::BadSignature));
    let claims = json!({"aud": DEFAULT_AUDIENCE, "iss": "x", "iat": NOW, "nbf": NOW, "exp": NOW.plus(Duration::from_secs(60)), "sub": "x"});
    let theirs = jws::sign_workload(&test_keys::other_signing_key(), &claims).unwrap();
    let fault = refused(directory.read_exchange(request(&directory, theirs.expose()), NOW));
    assert_eq!(fault, AssertionRefusal::IssuerKeyUnknown);
    for (member, value) in [
        ("aud", json!("https://vault.azure.net")),
        ("iss", json!(names().issuer_v1(directory.tenant().id))),
        ("iss", json!("https://sts.example/")),
    ] {
        let text = claiming(&directory, member, value);
        let fault = refused(directory.read_exchange(request(&directory, &text), NOW));
        assert_eq!(fault, AssertionRefusal::Audience, "{member}");
    }
    for (member, value) in [("sub", json!("app:x:workload:y")), ("sub", json!("")), ("aud", json!([]))] {
        let text = claiming(&directory, member, value);
        let fault = refused(directory.read_exchange(request(&directory, &text), NOW));
        assert!(matches!(fault, AssertionRefusal::Form(AssertionFault::Malformed { .. })), "{fault}");
    }
}

#[tokio::test]
async fn it_is_no_assertion_for_anything_else_and_no_bearer_token() {
    let directory = directory().await;
    let text = token(&directory);
    // As a client's own assertion, and at the endpoint where tokens are given up: it is signed as something else.
    let new = NewRegistration { display_name: "orders".to_owned(), ..NewRegistration::default() };
    let registration = directory.create_registration(new, NOW).await.unwrap();
    let named =
        || TokenRequest { client: Some(registration.client.to_string()), ..request(&directory, &text) };
    for result in [
        directory.token(named(), NOW).await.map(drop),
        directory
            .revoke_token(TokenRequest { refresh_token: Some("x".to_owned().into()), ..named() }, NOW)
            .await
            .map(drop),
    ] {
        match result {
            Err(DirectoryError::Request(RequestError::Assertion(AssertionRefusal::OwnToken))) => {}
            other => panic!("{other:?}"),
        }
    }
    // For no other grant, and not beside a secret.
    let grant = TokenRequest {
        grant_type: Some("refresh_token".to_owned()),
        refresh_token: Some("x".to_owned().into()),
        ..request(&directory, &text)
    };
    assert_eq!(refused(directory.read_exchange(grant, NOW)), AssertionRefusal::OwnToken);
    let both = TokenRequest { secret: Some("s".to_owned().into()), ..request(&directory, &text) };
    assert!(matches!(
        directory.read_exchange(both, NOW),
        Err(DirectoryError::Request(RequestError::ClientAuthenticationAmbiguous))
    ));
    // An access token of ours is none of these.
    let access = directory.issue_for_administrator(NOW).await.unwrap();
    assert!(!is_exchange(&request(&directory, access.access_token.expose())));
    let fault = refused(directory.read_exchange(request(&directory, access.access_token.expose()), NOW));
    assert!(matches!(fault, AssertionRefusal::Form(AssertionFault::Malformed { .. })));
    // Even a resource whose audience it were would not take it.
    let verifier = Verifier::new(
        VerifierConfig {
            issuers: directory.issuers().into(),
            audiences: vec![DEFAULT_AUDIENCE.to_owned()],
            tenant: directory.tenant().id,
        },
        &crypt::SystemEntropy,
    );
    assert!(verifier.verify(&Secret::new(text), &*directory.ring(), NOW).is_err());
}
