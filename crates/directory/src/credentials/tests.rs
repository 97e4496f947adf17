//! Adding and removing credentials: what is kept, what is refused, and that nothing is left behind.

use super::*;
use crate::{
    NewRegistration,
    fixtures::{Fill, NOW, directory},
};
use crypt::{ClientCertificateFault, test_keys::TestSigner};
use serde_json::json;

fn plain() -> NewRegistration {
    NewRegistration { display_name: "ci".to_owned(), ..NewRegistration::default() }
}

fn federated_with_keys() -> NewFederatedCredential {
    let set = json!({"keys": [TestSigner::one(NOW).jwk()]}).to_string();
    NewFederatedCredential {
        name: "cluster".to_owned(),
        issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
        subject: "system:serviceaccount:shop:orders".to_owned(),
        key_set: Some(set.into_bytes()),
        ..NewFederatedCredential::default()
    }
}

#[tokio::test]
async fn a_credential_shows_its_secret_once() {
    let (store, directory) = directory().await;
    let named = directory.create_registration(plain(), NOW).await.unwrap().id.to_string();
    let new = directory.add_credential(&named, "ci", Some(Duration::from_secs(60)), NOW).await.unwrap();
    let kept = directory.registration(&named).await.unwrap();
    let [credential] = &*kept.credentials else { panic!("one") };
    assert_eq!((credential.id, credential.end), (new.id, new.end));
    assert_eq!(Some(&*credential.hint), new.secret.expose().get(..3));
    let secret = new.secret.expose();
    assert!(store.dump().iter().all(|(_, value)| !String::from_utf8_lossy(value).contains(secret)));
    let unknown = CredentialId::random(&Fill(9));
    let error = directory.remove_credential(&named, unknown, NOW).await.unwrap_err();
    assert!(matches!(error, DirectoryError::CredentialNotFound { .. }));
    let removed = directory.remove_credential(&named, new.id, NOW).await.unwrap();
    assert_eq!(removed, Removed { id: new.id, kind: CredentialKind::Secret, principal: kept.principal });
    assert!(directory.registration(&named).await.unwrap().credentials.is_empty());
}

#[tokio::test]
async fn secrets_are_bounded_in_number_and_time() {
    let (_, directory) = directory().await;
    let named = directory.create_registration(plain(), NOW).await.unwrap().id.to_string();
    for _ in 0..limits::CREDENTIALS_MAX {
        directory.add_credential(&named, "ci", Some(Duration::from_secs(60)), NOW).await.unwrap();
    }
    let one_more = directory.add_credential(&named, "ci", None, NOW).await;
    assert!(matches!(one_more, Err(DirectoryError::TooMany { what: "credentials", .. })));
    for lifetime in [Duration::ZERO, Duration::from_secs(101 * 365 * 86_400), Duration::MAX] {
        let error = directory.add_credential(&named, "ci", Some(lifetime), NOW).await.unwrap_err();
        assert!(matches!(error, DirectoryError::LifetimeInvalid));
    }
}

#[tokio::test]
async fn a_certificate_is_registered_once_and_while_it_is_valid() {
    let (_, directory) = directory().await;
    let named = directory.create_registration(plain(), NOW).await.unwrap().id.to_string();
    let signer = TestSigner::one(NOW);
    let added = directory.add_certificate(&named, "laptop", &signer.certificate, NOW).await.unwrap();
    let kept = directory.registration(&named).await.unwrap();
    let [certificate] = &*kept.certificates else { panic!("one") };
    assert_eq!((certificate.id, &*certificate.sha1), (added.id, &*added.sha1));
    assert_eq!((certificate.sha1.len(), certificate.sha256.len()), (40, 64));
    assert_eq!(certificate.start.seconds(), NOW.seconds() - 300);
    let again = directory.add_certificate(&named, "laptop", &signer.certificate, NOW).await;
    assert!(matches!(again, Err(DirectoryError::CertificateTaken)));
    let over = TestSigner::one(Timestamp::default()).certificate;
    assert!(matches!(
        directory.add_certificate(&named, "old", &over, NOW).await,
        Err(DirectoryError::CertificateOver)
    ));
    assert!(matches!(
        directory.add_certificate(&named, "none", b"garbage", NOW).await,
        Err(DirectoryError::CertificateInvalid(ClientCertificateFault::Malformed))
    ));
    let other = TestSigner::other(NOW).certificate;
    assert!(matches!(
        directory.add_certificate(&named, " ", &other, NOW).await,
        Err(DirectoryError::DisplayNameInvalid)
    ));
}

#[tokio::test]
async fn federated_credentials_are_checked_and_unique() {
    let (store, directory) = directory().await;
    let made = directory.create_registration(plain(), NOW).await.unwrap();
    let (named, before) = (made.id.to_string(), store.dump().len());
    let added = directory.add_federated(&named, federated_with_keys(), NOW).await.unwrap();
    assert_eq!((&*added.audience, added.keys.len()), (DEFAULT_AUDIENCE, 1));
    assert_eq!(*directory.federated(made.id).await.unwrap()[0], added);
    let taken = async |new: NewFederatedCredential| match directory.add_federated(&named, new, NOW).await {
        Err(DirectoryError::FederatedTaken { what }) => what,
        other => panic!("{other:?}"),
    };
    let other = |name: &str| NewFederatedCredential { name: name.to_owned(), ..federated_with_keys() };
    assert_eq!(
        taken(NewFederatedCredential { subject: "other".to_owned(), ..federated_with_keys() }).await,
        "name"
    );
    assert_eq!(taken(other("other")).await, "issuer and subject");
    let long = "x".repeat(601);
    let set = |set: &str| Some(set.as_bytes().to_vec());
    for bad in [
        other(""),
        other("a b"),
        other("ä"),
        other(&"x".repeat(121)),
        NewFederatedCredential { issuer: String::new(), ..other("a") },
        NewFederatedCredential { issuer: "kubernetes".to_owned(), ..other("a") },
        NewFederatedCredential { issuer: format!("https://{long}"), ..other("a") },
        NewFederatedCredential { subject: " ".to_owned(), ..other("a") },
        NewFederatedCredential { subject: "a\nb".to_owned(), ..other("a") },
        NewFederatedCredential { audience: Some(String::new()), ..other("a") },
        NewFederatedCredential { description: long.clone(), ..other("a") },
        NewFederatedCredential { key_set: set("{}"), ..other("a") },
        NewFederatedCredential { key_set: set(r#"{"keys":[]}"#), ..other("a") },
        NewFederatedCredential { key_set: set(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#), ..other("a") },
        // Nobody can be asked in this world.
        NewFederatedCredential { key_set: None, ..other("a") },
    ] {
        let shown = format!("{bad:?}");
        let error = directory.add_federated(&named, bad, NOW).await.unwrap_err();
        assert!(matches!(error, DirectoryError::FederatedInvalid { .. }), "{shown:.200}");
    }
    for number in 1..limits::FEDERATED_CREDENTIALS_MAX {
        let new = NewFederatedCredential {
            subject: format!("{}{number}", "s".repeat(590)),
            description: "d".repeat(600),
            ..other(&format!("n{number}"))
        };
        directory.add_federated(&named, new, NOW).await.unwrap();
    }
    let one_more = NewFederatedCredential { subject: "more".to_owned(), ..other("more") };
    let one_more = directory.add_federated(&named, one_more, NOW).await;
    assert!(matches!(one_more, Err(DirectoryError::TooMany { .. })));
    let removed = directory.remove_credential(&named, added.id, NOW).await.unwrap();
    assert_eq!(removed.kind, CredentialKind::Federated);
    directory.delete_registration(&named).await.unwrap();
    // The registration, its index, its principal and that one's index are gone, and all of these.
    assert_eq!(store.dump().len(), before - 4);
}

#[tokio::test]
async fn another_federated_credential_takes_the_place_of_one_or_that_one_stays() {
    let (_, directory) = directory().await;
    let named = directory.create_registration(plain(), NOW).await.unwrap().id.to_string();
    let first = directory.add_federated(&named, federated_with_keys(), NOW).await.unwrap();
    let new = |subject: &str, issuer: &str| NewFederatedCredential {
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        ..federated_with_keys()
    };
    let id = first.id;
    let refused = directory.replace_federated(&named, id, new(" ", "https://issuer.example"), NOW).await;
    assert!(matches!(refused, Err(DirectoryError::FederatedInvalid { .. })));
    let stays = directory.federated(named.parse().unwrap()).await.unwrap();
    assert_eq!(stays.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), [first.subject.as_str()]);
    let other = new("two", "https://issuer.example");
    let replaced = directory.replace_federated(&named, id, other, NOW).await.unwrap();
    assert!(replaced.id == id && replaced.subject == "two" && replaced.standing() != id);
    let one = directory.federated(named.parse().unwrap()).await.unwrap();
    assert_eq!(*one[0], replaced);
    let missing = CredentialId::random(&crypt::SystemEntropy);
    let refused = directory.replace_federated(&named, missing, federated_with_keys(), NOW).await;
    assert!(matches!(refused, Err(DirectoryError::CredentialNotFound { .. })), "{refused:?}");
}
