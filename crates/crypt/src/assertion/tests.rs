//! Assertions in each dialect that a client writes, made by a test key; and what is refused.

use super::*;
use crate::{
    encoding::{base64, base64url},
    hash::MacKey,
    test_keys::TestSigner,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const CLIENT: &str = "00000000-0000-4000-8000-000000000001";
const AUDIENCE: &str = "https://login.keyless.localhost:8443/t/oauth2/v2.0/token";

fn signer() -> TestSigner {
    TestSigner::one(Timestamp::from_seconds(NOW))
}

fn certificate() -> ClientCertificate {
    ClientCertificate::read(&signer().certificate).unwrap()
}

fn claims() -> Value {
    json!({"iss": CLIENT, "sub": CLIENT, "aud": AUDIENCE, "exp": NOW + 600})
}

/// The claims with these members besides, or instead.
fn with(more: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn parse(header: &Value, claims: &Value) -> Result<Assertion, AssertionFault> {
    Assertion::parse(&signer().token(header, claims))
}

/// As each client makes it: header and claims in its shape. All must be understood, name the certificate and verify.
#[test]
fn each_clients_dialect_is_understood() {
    let certificate = certificate();
    let (sha1, sha256) = (certificate.sha1, certificate.sha256);
    let unpadded = |bytes: &[u8]| base64url(bytes);
    let padded = |bytes: &[u8]| base64(bytes).replace('+', "-").replace('/', "_");
    let der = base64(&signer().certificate);
    let pem: String = format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n");
    let broken: String =
        der.as_bytes().chunks(64).flat_map(|line| [line, b"\n"].concat()).map(char::from).collect();
    let floats = json!({"exp": 1_800_000_600.969_498_4, "iat": 1_800_000_000.969_5, "jti": "a"});
    let dialects = [
        (
            "Python azure-identity",
            json!({"typ": "JWT", "alg": "RS256", "x5t": padded(&sha1)}),
            floats.clone(),
        ),
        (
            "Python, a chain of embedded line feeds instead of a name",
            json!({"typ": "JWT", "alg": "RS256", "x5c": [broken, broken]}),
            floats,
        ),
        (
            "Python MSAL with SHA-256",
            json!({"typ": "JWT", "alg": "PS256", "x5t#S256": padded(&sha256)}),
            json!({"exp": 1_800_000_600.5}),
        ),
        (
            "Node",
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": unpadded(&sha256), "x5c": [der]}),
            json!({"iat": NOW, "nbf": NOW + 1, "jti": "b"}),
        ),
        ("Node for adfs", json!({"alg": "RS256", "x5t": unpadded(&sha1)}), json!({"iat": NOW, "nbf": NOW})),
        (
            "Rust: standard base64, a chain of PEM in base64, no iat",
            json!({"typ": "JWT", "alg": "RS256", "x5t": base64(&sha1), "x5c": [base64(pem.as_bytes())]}),
            json!({"nbf": NOW}),
        ),
        (
            "Go: standard base64 with padding",
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": base64(&sha256), "x5c": [der]}),
            json!({"nbf": NOW}),
        ),
        (
            "dotnet: the chain is one text",
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": unpadded(&sha256), "x5c": der}),
            json!({"nbf": NOW}),
        ),
        (
            "Java: standard base64, several audiences",
            json!({"alg": "RS256", "x5t#S256": base64(&sha256), "x5c": [der]}),
            json!({"aud": [AUDIENCE]}),
        ),
    ];
    for (client, header, more) in dialects {
        let assertion = parse(&header, &with(&more)).unwrap_or_else(|fault| panic!("{client}: {fault}"));
        assert!(assertion.may_be_of(&sha1, &sha256), "{client}");
        assert_eq!(
            assertion.names_certificate(),
            header["x5t"].is_string() || header["x5t#S256"].is_string()
        );
        assertion
            .verify(&certificate.key, CLIENT_ALGORITHMS)
            .unwrap_or_else(|fault| panic!("{client}: {fault}"));
        let claimed = assertion.claimed();
        assert_eq!((&*claimed.issuer, &*claimed.subject), (CLIENT, CLIENT), "{client}");
        assert_eq!((&*claimed.audiences, claimed.expires.seconds()), (&[AUDIENCE.to_owned()][..], NOW + 600));
    }
}

#[test]
fn another_certificate_is_told_by_its_name_and_by_its_signature() {
    let other = TestSigner::other(Timestamp::from_seconds(NOW));
    let registered = certificate();
    let named =
        json!({"alg": "RS256", "x5t": base64url(&ClientCertificate::read(&other.certificate).unwrap().sha1)});
    let assertion = Assertion::parse(&other.token(&named, &claims())).unwrap();
    assert!(!assertion.may_be_of(&registered.sha1, &registered.sha256));
    let posing = json!({"alg": "RS256", "x5t": base64url(&registered.sha1)});
    let assertion = Assertion::parse(&other.token(&posing, &claims())).unwrap();
    assert!(assertion.may_be_of(&registered.sha1, &registered.sha256));
    assert_eq!(assertion.verify(&registered.key, CLIENT_ALGORITHMS), Err(AssertionFault::BadSignature));
    // Both names given, and one of them another's.
    let mixed = json!({"alg": "RS256", "x5t": base64url(&registered.sha1), "x5t#S256": base64url(&[7; 32])});
    assert!(!parse(&mixed, &claims()).unwrap().may_be_of(&registered.sha1, &registered.sha256));
}

#[test]
fn keys_that_come_along_are_never_used() {
    let other = TestSigner::other(Timestamp::from_seconds(NOW));
    let header = json!({
        "alg": "RS256", "x5t": base64url(&certificate().sha1), "jwk": other.jwk(), "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/x", "x5c": [base64(&other.certificate)],
    });
    let assertion = Assertion::parse(&other.token(&header, &claims())).unwrap();
    assert_eq!(assertion.verify(&certificate().key, CLIENT_ALGORITHMS), Err(AssertionFault::BadSignature));
}

#[test]
fn algorithms_are_not_confused() {
    for alg in ["none", "None", "", "HS256", "HS512", "RSNULL", "ES256K", "rs256", "EdDSA", "RSA-OAEP"] {
        assert_eq!(
            parse(&json!({"alg": alg}), &claims()).err(),
            Some(AssertionFault::UnsupportedAlgorithm),
            "{alg}"
        );
    }
    // The public key as the secret of a MAC.
    let PublicJwk::Rsa { n, .. } = certificate().key else { panic!("RSA") };
    let part = |value: Value| base64url(value.to_string().as_bytes());
    for secret in [&n[..], &signer().certificate] {
        let signed = format!("{}.{}", part(json!({"alg": "HS256"})), part(claims()));
        let mac = base64url(&MacKey::new(secret).mac(&[signed.as_bytes()]));
        let fault = Assertion::parse(&format!("{signed}.{mac}")).err();
        assert_eq!(fault, Some(AssertionFault::UnsupportedAlgorithm));
    }
    // An issuer's algorithm is not a client's, and one key's signature none in another algorithm.
    let assertion = parse(&json!({"alg": "RS384"}), &claims()).unwrap();
    assert_eq!(
        assertion.verify(&certificate().key, CLIENT_ALGORITHMS),
        Err(AssertionFault::UnsupportedAlgorithm)
    );
    assert_eq!(assertion.verify(&certificate().key, ISSUER_ALGORITHMS), Ok(()));
    let token = signer().token(&json!({"alg": "RS256"}), &claims());
    let (front, signature) = token.rsplit_once('.').unwrap();
    let (_, body) = front.split_once('.').unwrap();
    for alg in ["PS256", "ES256"] {
        let swapped = format!("{}.{body}.{signature}", part(json!({"alg": alg})));
        let fault = Assertion::parse(&swapped).unwrap().verify(&certificate().key, ISSUER_ALGORITHMS);
        assert_eq!(fault, Err(AssertionFault::BadSignature), "{alg}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let good = json!({"alg": "RS256"});
    assert_eq!(
        parse(&json!({"alg": "RS256", "crit": ["b64"], "b64": false}), &claims()).err(),
        Some(AssertionFault::Critical)
    );
    for header in [
        json!({}),
        json!([]),
        json!(["RS256"]),
        json!({"alg": 7}),
        json!({"alg": "RS256", "typ": "logout+jwt"}),
        json!({"alg": "RS256", "kid": ""}),
        json!({"alg": "RS256", "kid": "a\nb"}),
        json!({"alg": "RS256", "kid": "k".repeat(257)}),
        json!({"alg": "RS256", "x5t": "AAAA"}),
        json!({"alg": "RS256", "x5t": "!"}),
        json!({"alg": "RS256", "x5t#S256": base64url(&[0; 20])}),
    ] {
        assert!(
            matches!(parse(&header, &claims()).err(), Some(AssertionFault::Malformed { .. })),
            "{header}"
        );
    }
    for absent in ["iss", "sub", "aud", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(absent);
        assert!(matches!(parse(&good, &claims).err(), Some(AssertionFault::Malformed { .. })), "{absent}");
    }
    for more in [
        json!({"exp": "1800000600"}),
        json!({"exp": 1e300}),
        json!({"exp": null}),
        json!({"nbf": true}),
        json!({"aud": 7}),
        json!({"aud": [7]}),
        json!({"iss": ["a"]}),
        json!({"jti": 7}),
    ] {
        assert!(matches!(parse(&good, &with(&more)).err(), Some(AssertionFault::Malformed { .. })), "{more}");
    }
    let token = signer().token(&good, &claims());
    let (front, _) = token.rsplit_once('.').unwrap();
    for bad in
        ["", "a", "a.b", "...", "a.b.c", "a.b.c.d.e", front, &format!("{token}.x"), &format!("{token}=")]
    {
        assert!(matches!(Assertion::parse(bad).err(), Some(AssertionFault::Malformed { .. })), "{bad:.40}");
    }
    let twice = format!("{}.e30.AA", base64url(br#"{"alg":"RS256","alg":"RS256"}"#));
    assert!(matches!(Assertion::parse(&twice).err(), Some(AssertionFault::Malformed { .. })));
    let large = "a".repeat(limits::ASSERTION_BYTES_MAX + 1);
    assert_eq!(Assertion::parse(&large).err(), Some(AssertionFault::TooLarge));
}

#[test]
fn key_sets_give_what_verifies() {
    let (one, other) = (signer(), TestSigner::other(Timestamp::from_seconds(NOW)));
    let jwk = |signer: &TestSigner, more: Value| {
        let mut jwk = serde_json::to_value(signer.jwk()).unwrap();
        for (name, value) in more.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    let set = json!({"keys": [
        jwk(&other, json!({"kid": "enc", "use": "enc"})),
        jwk(&other, json!({"kid": "ops", "key_ops": ["sign"]})),
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "okp"},
        {"kty": "RSA", "n": "AAAA", "e": "AQAB", "kid": "short"},
        jwk(&other, json!({"kid": "b", "use": "sig", "alg": "RS256", "x5c": ["MII"]})),
        jwk(&one, json!({"kid": "a", "use": "sig"})),
    ], "more": 1});
    let keys = IssuerKey::of_set(set.to_string().as_bytes()).unwrap();
    assert_eq!(keys.iter().map(|key| key.kid.as_deref().unwrap()).collect::<Vec<_>>(), ["b", "a"]);
    let again: Vec<IssuerKey> = serde_json::from_value(serde_json::to_value(&keys).unwrap()).unwrap();
    assert_eq!(again, keys);
    let may = |header: Value| {
        let assertion = parse(&header, &claims()).unwrap();
        keys.iter().map(|key| key.may_have_signed(&assertion)).collect::<Vec<_>>()
    };
    assert_eq!(may(json!({"alg": "RS256", "kid": "a"})), [false, true]);
    assert_eq!(may(json!({"alg": "RS256"})), [true, true]);
    assert_eq!(may(json!({"alg": "PS384"})), [false, true], "a key that says its algorithm is for no other");
    assert_eq!(may(json!({"alg": "RS256", "kid": "c"})), [false, false]);
    let private = json!({"keys": [jwk(&one, json!({"d": "AA"}))]}).to_string();
    assert!(matches!(IssuerKey::of_set(private.as_bytes()), Err(CryptError::Forbidden { .. })));
    let secret = json!({"keys": [{"kty": "oct", "k": "AA"}]}).to_string();
    assert!(matches!(IssuerKey::of_set(secret.as_bytes()), Err(CryptError::Forbidden { .. })));
    let many = json!({"keys": vec![jwk(&one, json!({})); KEYS_MAX + 1]}).to_string();
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"[[]]"#, &many] {
        assert!(matches!(IssuerKey::of_set(bad.as_bytes()), Err(CryptError::Malformed { .. })), "{bad:.30}");
    }
}

#[test]
fn elliptic_curves_sign_for_issuers() {
    let key = crate::keys::PrivateKey::generate(
        crate::keys::KeySpec::Ec(crate::keys::Curve::P256),
        &crate::SystemEntropy,
    )
    .unwrap();
    let part = |value: Value| base64url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(json!({"alg": "ES256"})), part(claims()));
    let digest = SignatureAlgorithm::Es256.digest_of(signed.as_bytes()).unwrap();
    let signature = key.sign(SignatureAlgorithm::Es256, &digest).unwrap();
    let assertion = Assertion::parse(&format!("{signed}.{}", base64url(&signature))).unwrap();
    let public = key.public().unwrap().to_jwk();
    assert_eq!(assertion.verify(&public, ISSUER_ALGORITHMS), Ok(()));
    assert_eq!(assertion.verify(&public, CLIENT_ALGORITHMS), Err(AssertionFault::UnsupportedAlgorithm));
}

#[test]
fn certificates_are_read_as_der_and_pem() {
    let der = signer().certificate;
    let read = ClientCertificate::read(&der).unwrap();
    let pem = format!("text\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", base64(&der));
    assert_eq!(ClientCertificate::read(pem.as_bytes()), Ok(read.clone()));
    assert_eq!(read.not_before.seconds(), NOW - 300);
    let bundle = include_bytes!("../../testdata/public-test-bundle.pem");
    assert_eq!(ClientCertificate::read(bundle), Err(ClientCertificateFault::PrivateKey));
    let leaf = include_bytes!("../../testdata/public-test-leaf.der");
    assert_eq!(ClientCertificate::read(leaf), Err(ClientCertificateFault::KeyUnsupported), "EC");
    for bad in [
        &b""[..],
        b"garbage",
        b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        &[0x30; 20_000],
    ] {
        assert_eq!(ClientCertificate::read(bad), Err(ClientCertificateFault::Malformed));
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        prop_assert!(Assertion::parse(&text).is_err());
    }

    #[test]
    fn arbitrary_parts_never_panic(
        header in proptest::collection::vec(any::<u8>(), 0..120),
        claims in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let token = format!("{}.{}.AAAA", base64url(&header), base64url(&claims));
        prop_assert!(Assertion::parse(&token).is_err());
    }
}
