//! Our errors in the words of the protocols: App Service's `{"statusCode", "message", "correlationId"}`, and `{"error",
//! "error_description"}` of IMDS and Azure Arc.
//!
//! Statuses are chosen by what SDKs do: 400, 401 and 403 are never tried again; 404, 410, 429 and 5xx are, for up to 82 seconds, so they are
//! for conditions that pass, and 404 for paths that no SDK's token request has. Whatever says that the caller is not the app's own is one
//! constant 403.
//! Spec: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling>.

use super::{
    Protocol,
    query::QueryFault,
    rules::{Breach, Generation},
};
use directory::{AppRoleError, DirectoryError};
use domain::{ChallengeId, RequestId};
use http::StatusCode;
use identity::IdentityError;

/// The body of every refusal of a caller.
pub const fn forbidden_body(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::AppService { .. } => {
            r#"{"statusCode":403,"message":"This endpoint does not serve the caller."}"#
        }
        Protocol::Arc { .. } | Protocol::Imds => {
            r#"{"error":"unknown_source","error_description":"This endpoint does not serve the caller."}"#
        }
    }
}

/// An answer that is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// One constant answer for all callers that are not the app's own.
    Forbidden,
    /// Not a refusal yet: where the key is that the next request is to bring.
    Challenge(ChallengeId),
    /// Anything else: what IMDS calls it, and what to do about it.
    Told(StatusCode, Code, &'static str),
}

/// What IMDS calls an error.
pub type Code = &'static str;

const INVALID_REQUEST: Code = "invalid_request";
const INVALID_RESOURCE: Code = "invalid_resource";
const UNAUTHORIZED: Code = "unauthorized_client";
const UNAVAILABLE: Code = "temporarily_unavailable";

const fn bad(message: &'static str) -> Refused {
    Refused::Told(StatusCode::BAD_REQUEST, INVALID_REQUEST, message)
}

impl Refused {
    /// What stands beside a challenge, which most clients do not read.
    const CHALLENGE: &'static str =
        "Send what is in the file that the WWW-Authenticate header names: Authorization: Basic.";

    /// The audit log cannot be written.
    pub const AUDIT: Self = Self::Told(
        StatusCode::SERVICE_UNAVAILABLE,
        UNAVAILABLE,
        "Requests are refused while the audit log cannot be written.",
    );

    /// The store or the directory cannot answer now: SDKs try again.
    pub const UNAVAILABLE: Self = Self::Told(
        StatusCode::SERVICE_UNAVAILABLE,
        UNAVAILABLE,
        "The identity service cannot answer now: try again.",
    );

    /// Its status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Challenge(_) => StatusCode::UNAUTHORIZED,
            Self::Told(status, ..) => *status,
        }
    }

    /// Its body.
    pub fn body(&self, protocol: Protocol, request: RequestId) -> String {
        // The messages are ours and need no escapes (a test holds that).
        match (self, protocol) {
            (Self::Forbidden, _) => forbidden_body(protocol).to_owned(),
            (Self::Challenge(_), _) => {
                format!(r#"{{"error":"{UNAUTHORIZED}","error_description":"{}"}}"#, Self::CHALLENGE)
            }
            (Self::Told(status, _, message), Protocol::AppService { .. }) => {
                format!(
                    r#"{{"statusCode":{},"message":"{message}","correlationId":"{request}"}}"#,
                    status.as_u16()
                )
            }
            (Self::Told(_, code, message), Protocol::Arc { .. } | Protocol::Imds) => {
                format!(r#"{{"error":"{code}","error_description":"{message}"}}"#)
            }
        }
    }

    /// A rule was broken.
    pub const fn breach(breach: Breach, protocol: Protocol) -> Self {
        match (breach, protocol) {
            (Breach::Deputy(_), _) => Self::Forbidden,
            (Breach::Method, _) => {
                Self::Told(StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "Only GET is answered here.")
            }
            (Breach::Path, Protocol::AppService { .. }) => {
                bad("The path must be that of IDENTITY_ENDPOINT: /msi/token.")
            }
            (Breach::Path, Protocol::Arc { .. }) => {
                bad("The path must be that of IDENTITY_ENDPOINT: /metadata/identity/oauth2/token.")
            }
            // As of the real service, by which clients see that it has no newer protocol, and programs that it has no other metadata.
            (Breach::Path, Protocol::Imds) => Self::Told(
                StatusCode::NOT_FOUND,
                "not_found",
                "Only /metadata/identity/oauth2/token is here.",
            ),
            (Breach::Body, _) => bad("A token request has no body."),
            (Breach::NoSecret, _) => Self::Told(
                StatusCode::UNAUTHORIZED,
                UNAUTHORIZED,
                "The X-IDENTITY-HEADER header (2017-09-01: Secret) is missing: send IDENTITY_HEADER.",
            ),
            // The words of the real service, by which SDKs that probe know that it is there.
            (Breach::NoMetadata, _) => Self::Told(
                StatusCode::BAD_REQUEST,
                "bad_request_102",
                "Required metadata header not specified",
            ),
        }
    }

    /// A query says nothing that could be answered.
    pub fn query(fault: QueryFault, protocol: Protocol) -> Self {
        let unauthorized = |message| Self::Told(StatusCode::UNAUTHORIZED, UNAUTHORIZED, message);
        match (fault, protocol) {
            (QueryFault::Twice("resource"), _) => bad("The resource parameter is given twice."),
            (QueryFault::Twice(_), _) => bad("The api-version parameter is given twice."),
            (QueryFault::NoApiVersion, Protocol::AppService { .. }) => {
                bad("The api-version parameter is missing: 2019-08-01 and 2017-09-01 are supported.")
            }
            (QueryFault::NoApiVersion, Protocol::Arc { .. }) => bad(
                "The api-version parameter is missing: 2020-06-01, 2019-11-01 and 2019-08-15 are supported.",
            ),
            (QueryFault::UnknownApiVersion, Protocol::Arc { .. }) => {
                bad("This api-version is not supported: 2020-06-01, 2019-11-01 and 2019-08-15 are.")
            }
            (QueryFault::NoApiVersion, Protocol::Imds) => {
                bad("The api-version parameter is missing: 2018-02-01 and later ones are supported.")
            }
            (QueryFault::UnknownApiVersion, Protocol::AppService { .. }) => {
                bad("This api-version is not supported: 2019-08-01 and 2017-09-01 are.")
            }
            (QueryFault::UnknownApiVersion, Protocol::Imds) => {
                bad("This api-version is not supported: 2018-02-01 and later ones are.")
            }
            (QueryFault::WrongHeader(Generation::V2017), _) => {
                unauthorized("api-version 2017-09-01 wants the Secret header.")
            }
            (QueryFault::WrongHeader(Generation::V2019 | Generation::Arc | Generation::Imds), _) => {
                unauthorized("api-version 2019-08-01 wants the X-IDENTITY-HEADER header.")
            }
            (QueryFault::NoResource, _) => bad("The resource parameter is missing."),
            (QueryFault::LongResource, _) => bad("The resource parameter is too long."),
            (QueryFault::TwoSelectors, _) => bad(
                "More than one identity is selected: give at most one of client_id, principal_id (object_id) and mi_res_id (msi_res_id).",
            ),
        }
    }

    /// There is no token.
    pub fn identity(error: &IdentityError, protocol: Protocol) -> Self {
        match error {
            IdentityError::Refused(_) => Self::Forbidden,
            IdentityError::WrongSecret => Self::Told(
                StatusCode::UNAUTHORIZED,
                UNAUTHORIZED,
                "The secret header is not the IDENTITY_HEADER of this start of the app.",
            ),
            IdentityError::WrongKey => Self::Told(
                StatusCode::UNAUTHORIZED,
                UNAUTHORIZED,
                "The key is none that was left for this app, or was used, or is over: ask without one for another.",
            ),
            IdentityError::TooManyKeys => Self::Told(
                StatusCode::TOO_MANY_REQUESTS,
                UNAVAILABLE,
                "More keys wait for this app than there may be at a time: use them, or try again in a minute.",
            ),
            // The words of the real services, by which people find help; .NET looks for those of IMDS.
            IdentityError::NoIdentity { .. } | IdentityError::NotAssigned { .. } => match protocol {
                Protocol::AppService { .. } => bad("Unable to load the proper Managed Identity."),
                Protocol::Arc { .. } | Protocol::Imds => bad("Identity not found"),
            },
            IdentityError::Directory(error) => error.into(),
            IdentityError::Key(_) | IdentityError::Store(_) => Self::UNAVAILABLE,
        }
    }
}

impl From<&DirectoryError> for Refused {
    fn from(error: &DirectoryError) -> Self {
        match error {
            DirectoryError::ResourceUnknown { .. } => Self::Told(
                StatusCode::BAD_REQUEST,
                INVALID_RESOURCE,
                "The resource is not known here: ask for https://vault.azure.net, the vaults' own resource, or a registered identifier URI.",
            ),
            DirectoryError::AppRole(AppRoleError::NotAssigned { .. }) => Self::Told(
                StatusCode::BAD_REQUEST,
                UNAUTHORIZED,
                "AADSTS501051: The app's identity is not assigned to a role for the resource, which requires one.",
            ),
            DirectoryError::Store(_) | DirectoryError::Crypt(_) | DirectoryError::Broken { .. } => {
                Self::UNAVAILABLE
            }
            // Of clients' token requests and of registrations: an identity endpoint makes none.
            DirectoryError::Request(_)
            | DirectoryError::ClientUnknown { .. }
            | DirectoryError::ClientIsPublic { .. }
            | DirectoryError::ClientHasCredentials { .. }
            | DirectoryError::RedirectUriInvalid { .. }
            | DirectoryError::Grant(_)
            | DirectoryError::ScopeUnknown { .. }
            | DirectoryError::ScopeMalformed { .. }
            | DirectoryError::ScopesOfTwoResources
            | DirectoryError::RegistrationNotFound { .. }
            | DirectoryError::CredentialNotFound { .. }
            | DirectoryError::CertificateInvalid(_)
            | DirectoryError::CertificateOver
            | DirectoryError::CertificateTaken
            | DirectoryError::FederatedInvalid { .. }
            | DirectoryError::FederatedTaken { .. }
            | DirectoryError::PrincipalNotFound { .. }
            | DirectoryError::AdministratorNeeded
            | DirectoryError::IdentifierUriTaken { .. }
            | DirectoryError::IdentifierUriInvalid { .. }
            | DirectoryError::DisplayNameInvalid
            | DirectoryError::LifetimeInvalid
            | DirectoryError::Group(_)
            | DirectoryError::AppRole(_)
            | DirectoryError::Graph(_)
            | DirectoryError::User(_)
            | DirectoryError::SigningKeyNotFound { .. }
            | DirectoryError::TooMany { .. } => Self::UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msi::rules::Breach;
    use domain::{AppName, Entropy};

    struct Zero;
    impl Entropy for Zero {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }

    const PROTOCOLS: [Protocol; 3] =
        [Protocol::AppService { port: 4141 }, Protocol::Arc { port: 4141 }, Protocol::Imds];

    /// All refusals of a protocol.
    fn all(protocol: Protocol) -> Vec<Refused> {
        let app = AppName::parse("shop").unwrap();
        let breaches = [
            Breach::Deputy("x"),
            Breach::Method,
            Breach::Path,
            Breach::Body,
            Breach::NoSecret,
            Breach::NoMetadata,
        ];
        let faults = [
            QueryFault::Twice("resource"),
            QueryFault::Twice("api-version"),
            QueryFault::NoApiVersion,
            QueryFault::UnknownApiVersion,
            QueryFault::WrongHeader(Generation::V2019),
            QueryFault::WrongHeader(Generation::V2017),
            QueryFault::NoResource,
            QueryFault::LongResource,
            QueryFault::TwoSelectors,
        ];
        let errors = [
            IdentityError::WrongSecret,
            IdentityError::WrongKey,
            IdentityError::TooManyKeys,
            IdentityError::Key(std::io::ErrorKind::StorageFull.into()),
            IdentityError::NotAssigned { app },
            IdentityError::Directory(DirectoryError::ResourceUnknown { resource: "x".to_owned() }),
            IdentityError::Store(store::StoreError::Compacted),
        ];
        let breaches = breaches.map(|breach| Refused::breach(breach, protocol));
        let faults = faults.map(|fault| Refused::query(fault, protocol));
        let errors = errors.map(|error| Refused::identity(&error, protocol));
        let all = breaches.into_iter().chain(faults).chain(errors);
        all.chain([Refused::AUDIT, Refused::UNAVAILABLE]).collect()
    }

    #[test]
    fn every_body_is_json_of_the_protocols_form() {
        for protocol in PROTOCOLS {
            for refused in all(protocol) {
                let body: serde_json::Value =
                    serde_json::from_str(&refused.body(protocol, RequestId::random(&Zero))).unwrap();
                let message = match protocol {
                    Protocol::AppService { .. } => {
                        assert_eq!(body["statusCode"], refused.status().as_u16());
                        &body["message"]
                    }
                    Protocol::Arc { .. } | Protocol::Imds => {
                        assert!(body["error"].is_string());
                        &body["error_description"]
                    }
                };
                assert!(message.as_str().is_some_and(|message| message.is_ascii() && message.len() > 10));
            }
        }
    }

    /// SDKs try some again for a long time; a permanent condition must not look like a passing one.
    #[test]
    fn only_what_passes_looks_as_if_it_did() {
        for protocol in PROTOCOLS {
            for refused in all(protocol) {
                let crowded = Refused::identity(&IdentityError::TooManyKeys, protocol);
                let passes = [Refused::AUDIT, Refused::UNAVAILABLE, crowded].contains(&refused);
                let status = refused.status();
                let is_retried = status.is_server_error() || matches!(status.as_u16(), 404 | 408 | 410 | 429);
                // No token request of an SDK has another path.
                let is_elsewhere = refused == Refused::breach(Breach::Path, Protocol::Imds);
                assert_eq!(is_retried, passes || is_elsewhere, "{refused:?}");
            }
        }
    }
}
