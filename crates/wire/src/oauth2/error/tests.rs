//! What each refusal looks like on the wire: status, OAuth error, AADSTS number, and what no description may hold.

use super::*;
use domain::{ClientId, DomainName, RequestId};
use store::StoreError;

fn client() -> ClientId {
    ClientId::from_uuid(Uuid::nil())
}

/// Every error that a token request can end in, with what its clients look at.
#[test]
fn each_error_has_its_number_and_status() {
    let text = || "text".to_owned();
    let store = |error: StoreError| DirectoryError::Store(error);
    let cases = [
        (
            DirectoryError::Request(RequestError::MissingParameter { name: "scope" }),
            400,
            "invalid_request",
            900_144,
        ),
        (
            DirectoryError::Request(RequestError::UnsupportedGrant { grant: text() }),
            400,
            "unsupported_grant_type",
            70003,
        ),
        (
            DirectoryError::Request(RequestError::TenantMalformed { tenant: text() }),
            400,
            "invalid_request",
            900_023,
        ),
        (
            DirectoryError::Request(RequestError::TenantNotFound { tenant: text() }),
            400,
            "invalid_request",
            90002,
        ),
        (DirectoryError::Request(RequestError::TenantUnspecified), 400, "invalid_request", 50059),
        (
            DirectoryError::Request(RequestError::ClientMalformed { client: text() }),
            400,
            "unauthorized_client",
            700_016,
        ),
        (DirectoryError::ClientUnknown { client: client() }, 400, "unauthorized_client", 700_016),
        (
            DirectoryError::Request(RequestError::ClientDisabled { client: client() }),
            400,
            "unauthorized_client",
            7_000_112,
        ),
        (DirectoryError::Request(RequestError::ClientProofMissing), 401, "invalid_client", 7_000_218),
        (DirectoryError::Request(RequestError::FromPage), 400, "invalid_request", 9_002_326),
        (DirectoryError::Request(RequestError::NotFromPage), 400, "invalid_request", 9_002_327),
        (DirectoryError::Request(RequestError::AssertionTypeUnsupported), 400, "invalid_request", 9_002_313),
        (DirectoryError::ClientIsPublic { client: client() }, 401, "invalid_client", 700_025),
        (AssertionRefusal::Form(AssertionFault::TooLarge).into(), 401, "invalid_client", 50027),
        (
            AssertionRefusal::Form(AssertionFault::Malformed { what: "x" }).into(),
            401,
            "invalid_client",
            50027,
        ),
        (AssertionRefusal::Form(AssertionFault::Critical).into(), 401, "invalid_client", 50027),
        (AssertionRefusal::Form(AssertionFault::UnsupportedAlgorithm).into(), 401, "invalid_client", 700_027),
        (AssertionRefusal::Form(AssertionFault::BadSignature).into(), 401, "invalid_client", 700_027),
        (AssertionRefusal::KeyUnknown { thumbprint: Some(text()) }.into(), 401, "invalid_client", 700_027),
        (AssertionRefusal::KeyOver { thumbprint: text() }.into(), 401, "invalid_client", 700_027),
        (AssertionRefusal::IssuerKeyUnknown.into(), 401, "invalid_client", 700_027),
        (AssertionRefusal::Used.into(), 401, "invalid_client", 700_027),
        (AssertionRefusal::OfAnother.into(), 401, "invalid_client", 700_021),
        (AssertionRefusal::Audience.into(), 401, "invalid_client", 700_023),
        (AssertionRefusal::Time { why: "x" }.into(), 401, "invalid_client", 700_024),
        (AssertionRefusal::OwnToken.into(), 401, "invalid_client", 700_229),
        (AssertionRefusal::NotItsProgram.into(), 401, "invalid_client", 700_213),
        (AssertionRefusal::IssuerUnknown { issuer: text() }.into(), 401, "invalid_client", 700_211),
        (AssertionRefusal::SubjectUnknown { subject: text() }.into(), 401, "invalid_client", 700_213),
        (AssertionRefusal::AudienceUnknown { audience: text() }.into(), 401, "invalid_client", 700_212),
        (
            AssertionRefusal::IssuerUnavailable { issuer: text(), why: text() }.into(),
            401,
            "invalid_client",
            50166,
        ),
        (
            DirectoryError::Request(RequestError::ClientSecretWrong { client: client() }),
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            DirectoryError::Request(RequestError::ClientSecretExpired { client: client() }),
            401,
            "invalid_client",
            7_000_222,
        ),
        (
            DirectoryError::Request(RequestError::ClientAuthenticationAmbiguous),
            400,
            "invalid_request",
            9_002_313,
        ),
        (DirectoryError::ResourceUnknown { resource: text() }, 400, "invalid_resource", 500_011),
        (DirectoryError::Request(RequestError::ResourceNotAllowed), 400, "invalid_request", 901_002),
        (DirectoryError::ScopeMalformed { scope: text() }, 400, "invalid_scope", 70011),
        (
            DirectoryError::Request(RequestError::ScopeNotDefault { scope: text() }),
            400,
            "invalid_scope",
            1_002_012,
        ),
        (DirectoryError::ScopesOfTwoResources, 400, "invalid_scope", 700_022),
        (DirectoryError::ScopeUnknown { scope: text() }, 400, "invalid_scope", 70011),
        (DirectoryError::ClientIsPublic { client: client() }, 401, "invalid_client", 700_025),
        (
            DirectoryError::Request(RequestError::RedirectUriUnknown {
                client: client(),
                redirect_uri: text(),
            }),
            400,
            "invalid_request",
            50011,
        ),
        (
            DirectoryError::Request(RequestError::ParameterTooLong { name: "state" }),
            400,
            "invalid_request",
            9_002_313,
        ),
        (
            DirectoryError::Request(RequestError::ParameterInvalid { name: "prompt" }),
            400,
            "invalid_request",
            9_002_313,
        ),
        (
            DirectoryError::Grant(GrantError::ResponseTypeUnsupported { response_type: text() }),
            400,
            "unsupported_response_type",
            700_054,
        ),
        (DirectoryError::Grant(GrantError::SignInRequired), 400, "login_required", 50058),
        (
            DirectoryError::Grant(GrantError::ConsentRequired { client: client() }),
            400,
            "invalid_grant",
            65001,
        ),
        (DirectoryError::Grant(GrantError::ConsentDeclined), 400, "access_denied", 65004),
        (DirectoryError::Grant(GrantError::CodeInvalid), 400, "invalid_grant", 70008),
        (DirectoryError::Grant(GrantError::CodeOfAnother), 400, "invalid_grant", 70000),
        (DirectoryError::Grant(GrantError::CodeRedeemed), 400, "invalid_grant", 54005),
        (DirectoryError::Grant(GrantError::RedirectUriChanged), 400, "invalid_grant", 500_112),
        (DirectoryError::Grant(GrantError::VerifierWrong), 400, "invalid_grant", 50148),
        (DirectoryError::Grant(GrantError::RefreshTokenInvalid), 400, "invalid_grant", 70000),
        (DirectoryError::Grant(GrantError::RefreshTokenExpired), 400, "invalid_grant", 700_082),
        (DirectoryError::Grant(GrantError::RefreshTokenOver), 400, "invalid_grant", 700_084),
        (DirectoryError::Grant(GrantError::RefreshTokenReused), 400, "invalid_grant", 70000),
        (DirectoryError::Grant(GrantError::SessionEnded), 400, "invalid_grant", 50173),
        (
            DirectoryError::Grant(GrantError::UserTokenInvalid { why: "it has expired" }),
            400,
            "invalid_grant",
            500_133,
        ),
        (DirectoryError::Grant(GrantError::UserTokenInvalid { why: "text" }), 400, "invalid_grant", 50013),
        (DirectoryError::Grant(GrantError::DevicePending), 400, "authorization_pending", 70016),
        (DirectoryError::Grant(GrantError::DeviceDeclined), 400, "authorization_declined", 65004),
        (DirectoryError::Grant(GrantError::DeviceCodeInvalid), 400, "bad_verification_code", 70018),
        (DirectoryError::Grant(GrantError::DeviceCodeExpired), 400, "expired_token", 70019),
        (DirectoryError::Grant(GrantError::UserCodeUnknown), 400, "bad_verification_code", 70018),
        (DirectoryError::Grant(GrantError::PasswordGrantDisabled), 400, "unsupported_grant_type", 70003),
        (DirectoryError::Grant(GrantError::PasswordMustChange), 400, "invalid_grant", 50055),
        (DirectoryError::Grant(GrantError::SecondFactorNeeded), 400, "interaction_required", 50076),
        (store(StoreError::Unavailable(text())), 503, "temporarily_unavailable", 90033),
        (store(StoreError::Full(text())), 503, "temporarily_unavailable", 90033),
        (store(StoreError::Broken(text())), 500, "server_error", 50000),
        (DirectoryError::Broken { what: "text" }, 500, "server_error", 50000),
    ];
    for (fault, status, error, code) in cases {
        let answer = OAuthError::from(&fault);
        let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\');
        assert!(answer.text.chars().all(is_plain) && !answer.text.contains("  "), "{}", answer.text);
        assert_eq!((answer.status.as_u16(), answer.error, answer.code), (status, error, code), "{fault}");
        assert_eq!(answer.is_failure(), status >= 500);
        assert!(!answer.is_failure() || !answer.text.contains("text"), "5xx bodies say nothing of the cause");
    }
}

/// azure_core for Rust reads descriptions without a copy: one escape, and it loses the message.
#[tokio::test]
async fn no_description_has_an_escape() {
    let evil = "\"\\\r\n\t\u{e9}\u{0}</script>&".to_owned();
    let names = HostNames::new(&DomainName::parse("keyless.localhost").unwrap(), 8443);
    let tenant = directory::Tenant::new(
        domain::TenantId::from_uuid(Uuid::nil()),
        "keyless.localhost".to_owned(),
        domain::PrincipalId::from_uuid(Uuid::nil()),
        domain::SubscriptionId::from_uuid(Uuid::nil()),
        Timestamp::default(),
    );
    let context = Context {
        request: RequestId::from_uuid(Uuid::nil()),
        now: Timestamp::default(),
        origin: audit::SharedOrigin::default(),
        door: crate::Door::Own,
    };
    let method = Method::from_bytes(b"'|~`").unwrap();
    let answers = [
        OAuthError::from(&tenant.alias(&evil).unwrap_err()),
        OAuthError::from(&RequestFault::WrongMethod { method, allowed: "POST" }),
        OAuthError::from(&RequestFault::Malformed),
        OAuthError::unavailable(),
        OAuthError::internal(),
    ];
    for answer in answers {
        let response = answer.respond(&names, &context, Uuid::nil());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.is_ascii() && !body.contains('\\') && !body.contains("  "), "{body}");
        assert!(body.contains("\"timestamp\":\"1970-01-01 00:00:00Z\""), "{body}");
    }
}
