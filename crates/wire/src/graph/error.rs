//! Our errors in Microsoft Graph's words: `{"error":{"code","message","innerError"}}` (Microsoft Graph error responses). 5xx say nothing
//! else.

use crate::{
    bearer::Unauthenticated,
    body::BodyFault,
    context::{AuditUnavailable, Context},
};
use axum::response::Response;
use directory::{AppRoleError, DirectoryError, GroupError, UserError, graph::GraphError as Refusal};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use store::StoreError;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct GraphError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u32>,
    allow: Option<&'static str>,
}

impl GraphError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, allow: None }
    }

    /// Something in the request is not as it may be.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_BadRequest", message)
    }

    /// A way of asking that is not had here.
    pub(super) fn unsupported(what: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "Request_UnsupportedQuery",
            format!("{what} is not supported here."),
        )
    }

    /// There is no such object. Only an id is repeated: anything else may be what somebody pasted in the wrong place.
    pub(super) fn not_found(named: &str) -> Self {
        let named = match uuid::Uuid::try_parse(named) {
            Ok(id) => format!("Resource '{id}'"),
            Err(_) => "The resource".to_owned(),
        };
        let message = format!(
            "{named} does not exist or one of its queried reference-property objects are not present."
        );
        Self::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", message)
    }

    /// The path names nothing of Graph that is here.
    pub(super) fn no_such_path() -> Self {
        let message = "Resource not found for the segment: this part of Microsoft Graph is not here.";
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The path is another version's.
    pub(super) fn no_such_version() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", "Invalid version: v1.0 is served here.")
    }

    /// The path is one of ours, the method is not.
    pub(super) fn wrong_method(allow: &'static str) -> Self {
        let message = format!("The method is not supported for this resource: {allow}.");
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "Request_BadRequest", message);
        Self { allow: Some(allow), ..error }
    }

    fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_MultipleObjectsWithSameKeyValue", message)
    }

    fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Authorization_RequestDenied", message)
    }

    fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
    }

    fn unavailable() -> Self {
        let message = "The service is temporarily unavailable. Try again.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceNotAvailable", message);
        Self { retry_after: Some(1), ..error }
    }

    fn too_many(seconds: u64) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "Too many requests. Wait.");
        Self { retry_after: Some(u32::try_from(seconds).unwrap_or(u32::MAX)), ..error }
    }

    fn internal(error: &DirectoryError) -> Self {
        tracing::error!(%error, "a request to Graph failed");
        let message = "An unexpected error occurred.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Service_InternalServerError", message)
    }

    /// For the audit log.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Is it ours, not the caller's?
    pub(super) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// Is nobody known to be calling?
    pub(super) fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// The answer.
    pub(super) fn respond(
        self,
        context: &Context,
        client_request: &str,
        challenge: Option<HeaderValue>,
    ) -> Response {
        let body = json!({"error": {
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": crate::time::date(context.now).trim_end_matches('Z'),
                "request-id": context.request.to_string(),
                "client-request-id": client_request,
            },
        }});
        let mut response = super::answer(self.status, &body);
        let headers = response.headers_mut();
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<AuditUnavailable> for GraphError {
    fn from(_: AuditUnavailable) -> Self {
        Self::unavailable()
    }
}

impl From<BodyFault> for GraphError {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Request_BadRequest",
                "The request body is too large.",
            ),
            BodyFault::Incomplete => Self::bad("The request body is not complete."),
        }
    }
}

impl From<Unauthenticated> for GraphError {
    fn from(unauthenticated: Unauthenticated) -> Self {
        use access::BearerFault;
        match unauthenticated {
            Unauthenticated::NoToken => Self::unauthenticated("Access token is empty."),
            Unauthenticated::HeaderMalformed => {
                Self::unauthenticated("The Authorization header is not one bearer token.")
            }
            Unauthenticated::Fault(fault) => Self::unauthenticated(match fault {
                BearerFault::Expired { .. } => "Lifetime validation failed, the token is expired.",
                BearerFault::NotYetValid { .. } => "Lifetime validation failed, the token is not valid yet.",
                BearerFault::WrongAudience { .. } => "Access token validation failure. Invalid audience.",
                BearerFault::WrongIssuer { .. } | BearerFault::WrongTenant { .. } => {
                    "Access token validation failure. Invalid issuer."
                }
                BearerFault::Malformed | BearerFault::UnsupportedAlgorithm => {
                    "Access token validation failure. The token is malformed."
                }
                BearerFault::UnknownKey { .. } | BearerFault::BadSignature => {
                    "Access token validation failure. Invalid signature."
                }
            }),
        }
    }
}

impl From<Refusal> for GraphError {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::CallerGone { why } => {
                Self::unauthenticated(format!("The token is good for nothing any more: {why}."))
            }
            Refusal::Denied { .. } => {
                Self::denied(format!("Insufficient privileges to complete the operation: {text}."))
            }
            Refusal::NotAdministrator | Refusal::AboveCaller { .. } | Refusal::ForItself => {
                Self::denied(format!("Insufficient privileges to complete the operation: {text}."))
            }
            Refusal::NoUser => Self::new(
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "/me request is only valid with delegated authentication flow.",
            ),
            Refusal::NotFound { named } => Self::not_found(&named),
            Refusal::Taken { what } if what.ends_with("member") => Self::bad(
                "One or more added object references already exist for the following modified properties: 'members'.",
            ),
            Refusal::Taken { what } => Self::new(
                StatusCode::CONFLICT,
                "Request_MultipleObjectsWithSameKeyValue",
                format!("There is {what} already."),
            ),
            Refusal::Unfit { why } => Self::bad(format!("This cannot be done: {why}.")),
            Refusal::ProofInvalid { why } => Self::new(
                StatusCode::UNAUTHORIZED,
                "Authentication_MissingOrMalformed",
                format!("The proof of possession is not valid: {why}."),
            ),
        }
    }
}

impl From<DirectoryError> for GraphError {
    fn from(error: DirectoryError) -> Self {
        let bad = |error: &DirectoryError| {
            let text = error.to_string();
            let (first, rest) = text.split_at_checked(1).unwrap_or((&text, ""));
            Self::bad(format!("{}{rest}.", first.to_ascii_uppercase()))
        };
        match error {
            DirectoryError::Graph(refusal) => refusal.into(),
            DirectoryError::RegistrationNotFound { named } => Self::not_found(&named),
            DirectoryError::CredentialNotFound { credential, .. } => Self::not_found(&credential.to_string()),
            DirectoryError::PrincipalNotFound { principal } => Self::not_found(&principal.to_string()),
            DirectoryError::ClientUnknown { client } => Self::not_found(&client.to_string()),
            DirectoryError::Group(GroupError::NotFound { named }) => Self::not_found(&named),
            DirectoryError::Group(GroupError::NotMember { principal, .. }) => {
                Self::not_found(&principal.to_string())
            }
            DirectoryError::User(UserError::NotFound { named }) => Self::not_found(&named),
            DirectoryError::AppRole(AppRoleError::AssignmentNotFound) => Self::not_found("the assignment"),
            DirectoryError::AppRole(AppRoleError::Taken) => {
                Self::bad("Permission being assigned already exists on the object")
            }
            DirectoryError::IdentifierUriTaken { uri } => Self::conflict(format!(
                "Another object with the same value for property identifierUris already exists: {uri}."
            )),
            DirectoryError::User(UserError::NameTaken { .. }) => Self::conflict(
                "Another object with the same value for property userPrincipalName already exists.",
            ),
            DirectoryError::User(UserError::DomainForeign { .. }) => Self::bad(
                "The domain portion of the userPrincipalName property is invalid. You must use one of the verified domain names in your organization.",
            ),
            DirectoryError::FederatedTaken { what } => Self::new(
                StatusCode::CONFLICT,
                "Request_MultipleObjectsWithSameKeyValue",
                format!("FederatedIdentityCredential with this {what} already exists."),
            ),
            DirectoryError::AdministratorNeeded => Self::denied(format!("{error}.")),
            DirectoryError::User(UserError::SignInRefused | UserError::Disabled { .. }) => {
                Self::bad("The specified password does not match the current password.")
            }
            DirectoryError::User(UserError::TooManyTries { seconds }) => Self::too_many(seconds),
            DirectoryError::User(UserError::Busy) => Self::too_many(1),
            DirectoryError::Store(error) if error.is_temporary() => Self::unavailable(),
            DirectoryError::Store(StoreError::TooLarge { .. }) => {
                Self::bad("The object would be larger than it may be.")
            }
            DirectoryError::User(
                UserError::NameInvalid(_) | UserError::MailInvalid | UserError::PasswordUnfit { .. },
            )
            | DirectoryError::Group(GroupError::DescriptionInvalid | GroupError::MailNicknameInvalid)
            | DirectoryError::AppRole(AppRoleError::RoleUnknown { .. } | AppRoleError::Invalid { .. })
            | DirectoryError::IdentifierUriInvalid { .. }
            | DirectoryError::RedirectUriInvalid { .. }
            | DirectoryError::DisplayNameInvalid
            | DirectoryError::LifetimeInvalid
            | DirectoryError::CertificateInvalid(_)
            | DirectoryError::CertificateOver
            | DirectoryError::CertificateTaken
            | DirectoryError::FederatedInvalid { .. }
            | DirectoryError::ClientIsPublic { .. }
            | DirectoryError::ClientHasCredentials { .. }
            | DirectoryError::ScopeUnknown { .. }
            | DirectoryError::ScopeMalformed { .. }
            | DirectoryError::TooMany { .. } => bad(&error),
            // Of token requests, sign-ins and signing keys, which Graph has nothing of; or ours.
            DirectoryError::Request(_)
            | DirectoryError::ResourceUnknown { .. }
            | DirectoryError::ScopesOfTwoResources
            | DirectoryError::SigningKeyNotFound { .. }
            | DirectoryError::AppRole(AppRoleError::NotAssigned { .. })
            | DirectoryError::Group(GroupError::Ambiguous { .. })
            | DirectoryError::User(
                UserError::CodeWrong
                | UserError::PasskeyRefused { .. }
                | UserError::NoAuthenticator { .. }
                | UserError::AuthenticatorExists { .. },
            )
            | DirectoryError::Grant(_)
            | DirectoryError::Broken { .. }
            | DirectoryError::Crypt(_)
            | DirectoryError::Store(_) => Self::internal(&error),
        }
    }
}
