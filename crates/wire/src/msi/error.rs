//! Our errors in App Service's words: `{"statusCode", "message", "correlationId"}`.
//!
//! Statuses are chosen by what SDKs do: 400, 401 and 403 are never tried again; 404 and 5xx are, for up to 82 seconds, so they are
//! for conditions that pass. Whatever says that the caller is not the app's own is one constant 403.
//! Spec: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.

use super::{
    query::QueryFault,
    rules::{Breach, Generation},
};
use directory::{AppRoleError, DirectoryError};
use domain::RequestId;
use http::StatusCode;
use identity::IdentityError;

/// The body of every refusal of a caller.
pub const FORBIDDEN_BODY: &str = r#"{"statusCode":403,"message":"This endpoint does not serve the caller."}"#;

/// An answer that is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// One constant answer for all callers that are not the app's own.
    Forbidden,
    /// Anything else, with what to do about it.
    Told(StatusCode, &'static str),
}

impl Refused {
    /// The audit log cannot be written.
    pub const AUDIT: Self = Self::Told(
        StatusCode::SERVICE_UNAVAILABLE,
        "Requests are refused while the audit log cannot be written.",
    );

    /// The store or the directory cannot answer now: SDKs try again.
    pub const UNAVAILABLE: Self =
        Self::Told(StatusCode::SERVICE_UNAVAILABLE, "The identity service cannot answer now: try again.");

    /// Its status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Told(status, _) => *status,
        }
    }

    /// Its body.
    pub fn body(&self, request: RequestId) -> String {
        match self {
            Self::Forbidden => FORBIDDEN_BODY.to_owned(),
            // The messages are ours and need no escapes (a test holds that).
            Self::Told(status, message) => {
                format!(
                    r#"{{"statusCode":{},"message":"{message}","correlationId":"{request}"}}"#,
                    status.as_u16()
                )
            }
        }
    }
}

impl From<Breach> for Refused {
    fn from(breach: Breach) -> Self {
        match breach {
            Breach::Deputy(_) => Self::Forbidden,
            Breach::Method => Self::Told(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here."),
            Breach::Path => {
                Self::Told(StatusCode::BAD_REQUEST, "The path must be that of IDENTITY_ENDPOINT: /msi/token.")
            }
            Breach::Body => Self::Told(StatusCode::BAD_REQUEST, "A token request has no body."),
            Breach::NoSecret => Self::Told(
                StatusCode::UNAUTHORIZED,
                "The X-IDENTITY-HEADER header (2017-09-01: Secret) is missing: send IDENTITY_HEADER.",
            ),
        }
    }
}

impl From<QueryFault> for Refused {
    fn from(fault: QueryFault) -> Self {
        let bad = |message| Self::Told(StatusCode::BAD_REQUEST, message);
        match fault {
            QueryFault::Twice("resource") => bad("The resource parameter is given twice."),
            QueryFault::Twice(_) => bad("The api-version parameter is given twice."),
            QueryFault::NoApiVersion => {
                bad("The api-version parameter is missing: 2019-08-01 and 2017-09-01 are supported.")
            }
            QueryFault::UnknownApiVersion => {
                bad("This api-version is not supported: 2019-08-01 and 2017-09-01 are.")
            }
            QueryFault::WrongHeader(Generation::V2019) => Self::Told(
                StatusCode::UNAUTHORIZED,
                "api-version 2019-08-01 wants the X-IDENTITY-HEADER header.",
            ),
            QueryFault::WrongHeader(Generation::V2017) => {
                Self::Told(StatusCode::UNAUTHORIZED, "api-version 2017-09-01 wants the Secret header.")
            }
            QueryFault::NoResource => bad("The resource parameter is missing."),
            QueryFault::LongResource => bad("The resource parameter is too long."),
            QueryFault::TwoSelectors => bad(
                "More than one identity is selected: give at most one of client_id, principal_id and mi_res_id.",
            ),
        }
    }
}

impl From<&IdentityError> for Refused {
    fn from(error: &IdentityError) -> Self {
        match error {
            IdentityError::Refused(_) => Self::Forbidden,
            IdentityError::WrongSecret => Self::Told(
                StatusCode::UNAUTHORIZED,
                "The secret header is not the IDENTITY_HEADER of this start of the app.",
            ),
            // The words of the real service, by which people find help.
            IdentityError::NoIdentity { .. } | IdentityError::NotAssigned { .. } => {
                Self::Told(StatusCode::BAD_REQUEST, "Unable to load the proper Managed Identity.")
            }
            IdentityError::Directory(error) => error.into(),
            IdentityError::Store(_) => Self::UNAVAILABLE,
        }
    }
}

impl From<&DirectoryError> for Refused {
    fn from(error: &DirectoryError) -> Self {
        match error {
            DirectoryError::ResourceUnknown { .. } => Self::Told(
                StatusCode::BAD_REQUEST,
                "The resource is not known here: ask for https://vault.azure.net, the vaults' own resource, or a registered identifier URI.",
            ),
            DirectoryError::AppRole(AppRoleError::NotAssigned { .. }) => Self::Told(
                StatusCode::BAD_REQUEST,
                "AADSTS501051: The app's identity is not assigned to a role for the resource, which requires one.",
            ),
            DirectoryError::Store(_) | DirectoryError::Crypt(_) | DirectoryError::Broken { .. } => {
                Self::UNAVAILABLE
            }
            // Of clients' token requests and of registrations: an identity endpoint makes none.
            DirectoryError::Request(_)
            | DirectoryError::ClientUnknown { .. }
            | DirectoryError::ClientIsPublic { .. }
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

    #[test]
    fn every_body_is_json_of_the_protocols_form() {
        let app = AppName::parse("shop").unwrap();
        let all: Vec<Refused> =
            [Breach::Deputy("x"), Breach::Method, Breach::Path, Breach::Body, Breach::NoSecret]
                .map(Refused::from)
                .into_iter()
                .chain(
                    [
                        QueryFault::Twice("resource"),
                        QueryFault::Twice("api-version"),
                        QueryFault::NoApiVersion,
                        QueryFault::UnknownApiVersion,
                        QueryFault::WrongHeader(Generation::V2019),
                        QueryFault::WrongHeader(Generation::V2017),
                        QueryFault::NoResource,
                        QueryFault::LongResource,
                        QueryFault::TwoSelectors,
                    ]
                    .map(Refused::from),
                )
                .chain(
                    [
                        IdentityError::WrongSecret,
                        IdentityError::NotAssigned { app },
                        IdentityError::Directory(DirectoryError::ResourceUnknown {
                            resource: "x".to_owned(),
                        }),
                        IdentityError::Store(store::StoreError::Compacted),
                    ]
                    .iter()
                    .map(Refused::from),
                )
                .chain([Refused::AUDIT, Refused::UNAVAILABLE])
                .collect();
        for refused in all {
            let body: serde_json::Value =
                serde_json::from_str(&refused.body(RequestId::random(&Zero))).unwrap();
            assert_eq!(body["statusCode"], refused.status().as_u16());
            assert!(
                body["message"].as_str().is_some_and(|message| message.is_ascii() && message.ends_with('.'))
            );
            // SDKs try these again for a long time; a permanent condition must not look like a passing one.
            assert_ne!(refused.status(), StatusCode::NOT_FOUND);
            assert_ne!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}
