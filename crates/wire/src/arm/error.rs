//! Our errors in the resource manager's words: `{"error":{"code","message"}}` (Azure Resource Manager, error responses). 5xx say nothing else.

use super::path::Level;
use crate::{bearer::Unauthenticated, body::BodyFault, context::AuditUnavailable};
use access::{Caller, GroupFault, Unmanaged};
use axum::response::Response;
use directory::DirectoryError;
use host::HostError;
use http::{HeaderValue, StatusCode, header};
use resource::ResourceError;
use serde_json::json;
use store::StoreError;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ArmError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What the caller lacks a role for: who it is and where is told once that is known.
    lacking: Option<&'static str>,
    retry_after: Option<u32>,
    allow: Option<&'static str>,
}

impl ArmError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, lacking: None, retry_after: None, allow: None }
    }

    /// Something in the body is not as it may be.
    pub(super) fn bad_content(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message)
    }

    /// Something is asked to be as it cannot be.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::bad_named("BadRequest", message)
    }

    /// The same under a name of its own.
    pub(super) fn bad_named(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// What is made must be somewhere.
    pub(super) fn no_location() -> Self {
        Self::bad_named("LocationRequired", "The location property is required for this definition.")
    }

    /// What is there stays where it is.
    pub(super) fn elsewhere(name: &str, placement: &domain::Placement) -> Self {
        let message = format!(
            "The resource '{name}' already exists in location '{}' in resource group '{}'. It stays there.",
            placement.location, placement.group
        );
        Self::new(StatusCode::CONFLICT, "InvalidResourceLocation", message)
    }

    /// A name in the path is none.
    pub(super) fn bad_name(error: &domain::NameError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidResourceName",
            format!("The resource name is not valid: {error}."),
        )
    }

    pub(super) fn no_version() -> Self {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        Self::new(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message)
    }

    pub(super) fn bad_version() -> Self {
        let message = "The api-version is not valid: a date like '2024-11-01' is expected, with '-preview' behind it or not.";
        Self::new(StatusCode::BAD_REQUEST, "InvalidApiVersionParameter", message)
    }

    pub(super) fn bad_filter() -> Self {
        let message = "The $filter is not supported here: comparisons like name eq 'value', joined by and.";
        Self::new(StatusCode::BAD_REQUEST, "InvalidFilterInQueryString", message)
    }

    /// `$filter` of a list that has none.
    pub(super) fn no_filter() -> Self {
        let message = "This list has no $filter here.";
        Self::new(StatusCode::BAD_REQUEST, "InvalidFilterInQueryString", message)
    }

    /// The path names nothing that is here.
    pub(super) fn no_such_path() -> Self {
        let message = "The request URL names nothing that this resource manager has. docs/compatibility.md says what it has.";
        Self::new(StatusCode::NOT_FOUND, "InvalidResourceType", message)
    }

    /// A provider, or one of its types, that is not here. What was asked for is repeated only if it is a word.
    pub(super) fn no_such_type(namespace: &str, level: &Level) -> Self {
        let level = match level {
            Level::Tenant => "the tenant",
            Level::Subscription => "the subscription",
            Level::Group(_) => "a resource group",
        };
        let message = format!(
            "There is no such resource type of '{}' in {level} here. docs/compatibility.md says what there is.",
            word(namespace)
        );
        Self::new(StatusCode::NOT_FOUND, "InvalidResourceType", message)
    }

    pub(super) fn no_such_provider(namespace: &str) -> Self {
        let message = format!("The resource namespace '{}' is not here.", word(namespace));
        Self::new(StatusCode::NOT_FOUND, "InvalidResourceNamespace", message)
    }

    pub(super) fn no_such_subscription(id: &str) -> Self {
        let message = format!("The subscription '{}' could not be found.", word(id));
        Self::new(StatusCode::NOT_FOUND, "SubscriptionNotFound", message)
    }

    /// There is no such resource (in that group).
    pub(super) fn no_such_resource(kind: &str, name: &str, group: &str) -> Self {
        let message = format!(
            "The Resource '{kind}/{}' under resource group '{}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
            word(name),
            word(group)
        );
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
    }

    /// The path is one of ours, the method is not.
    pub(super) fn wrong_method(allow: &'static str) -> Self {
        let message = format!("The requested resource does not support this http method: {allow}.");
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        Self { allow: Some(allow), ..error }
    }

    /// It is another already, or something stands in the way.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    /// No role allows it.
    pub(super) fn not_authorized(operation: &'static str) -> Self {
        let error = Self::new(StatusCode::FORBIDDEN, "AuthorizationFailed", "No role allows it.");
        Self { lacking: Some(operation), ..error }
    }

    fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
    }

    fn unavailable() -> Self {
        let message = "The service is temporarily unavailable. Try again.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message);
        Self { retry_after: Some(1), ..error }
    }

    /// Ours: what happened is for our log only.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = domain::chain(error), "a request to the resource manager failed");
        let message = "An unexpected error occurred.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
    }

    /// The same where a role is lacking, once it is known whose and where.
    pub(super) fn at(mut self, caller: &Caller, scope: &str) -> Self {
        if let Some(operation) = self.lacking {
            // A path is text of a client's: told back to it, and written down, as far as it is one.
            let is_plain = scope.len() <= 512 && scope.bytes().all(|byte| byte.is_ascii_graphic());
            self.message = format!(
                "The client '{}' with object id '{}' does not have authorization to perform action '{operation}' over scope '{}' \
                 or the scope is invalid. If access was recently granted, please refresh your credentials.",
                caller.client(),
                caller.principal(),
                if is_plain { scope } else { "this" },
            );
        }
        self
    }

    /// For the audit log.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Is it ours, not the caller's?
    pub(super) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// Is what was asked for not there?
    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// Is nobody known to be calling?
    pub(super) fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// The answer.
    pub(super) fn respond(self, challenge: Option<HeaderValue>) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
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

/// What was written in a path, if it can be a name: anything else may be what somebody pasted in the wrong place.
fn word(text: &str) -> &str {
    let is_word = text.len() <= 90
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'(' | b')'));
    if is_word { text } else { "" }
}

impl From<AuditUnavailable> for ArmError {
    fn from(_: AuditUnavailable) -> Self {
        Self::unavailable()
    }
}

impl From<BodyFault> for ArmError {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestContentTooLarge",
                "The request body is too large.",
            ),
            BodyFault::Incomplete => Self::bad_content("The request body is not complete."),
        }
    }
}

impl From<Unauthenticated> for ArmError {
    fn from(unauthenticated: Unauthenticated) -> Self {
        use access::BearerFault;
        match unauthenticated {
            Unauthenticated::NoToken => {
                let message = "Authentication failed. The 'Authorization' header is missing.";
                Self::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message)
            }
            Unauthenticated::HeaderMalformed => {
                let message = "Authentication failed. The 'Authorization' header is not one bearer token.";
                Self::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message)
            }
            Unauthenticated::Fault(BearerFault::Expired { .. }) => Self::new(
                StatusCode::UNAUTHORIZED,
                "ExpiredAuthenticationToken",
                "The access token has expired.",
            ),
            Unauthenticated::Fault(BearerFault::WrongAudience { .. }) => Self::new(
                StatusCode::UNAUTHORIZED,
                "InvalidAuthenticationTokenAudience",
                "The access token has been obtained for wrong audience or resource.",
            ),
            Unauthenticated::Fault(BearerFault::WrongIssuer { .. } | BearerFault::WrongTenant { .. }) => {
                Self::new(
                    StatusCode::UNAUTHORIZED,
                    "InvalidAuthenticationTokenTenant",
                    "The access token is from the wrong issuer.",
                )
            }
            Unauthenticated::Fault(_) => Self::unauthenticated("The access token is invalid."),
        }
    }
}

impl From<Unmanaged> for ArmError {
    fn from(unmanaged: Unmanaged) -> Self {
        match unmanaged {
            Unmanaged::NoRole(operation) => Self::not_authorized(operation),
            Unmanaged::PrincipalGone | Unmanaged::PrincipalDisabled | Unmanaged::TokenRevoked => {
                Self::unauthenticated(format!("The access token is good for nothing any more: {unmanaged}."))
            }
        }
    }
}

impl From<GroupFault> for ArmError {
    fn from(fault: GroupFault) -> Self {
        match fault {
            GroupFault::NotFound(name) => Self::new(
                StatusCode::NOT_FOUND,
                "ResourceGroupNotFound",
                format!("Resource group '{name}' could not be found."),
            ),
            GroupFault::Going(name) => Self::new(
                StatusCode::CONFLICT,
                "ResourceGroupBeingDeleted",
                format!(
                    "The resource group '{name}' is in deprovisioning state and cannot perform this operation."
                ),
            ),
        }
    }
}

impl From<StoreError> for ArmError {
    fn from(error: StoreError) -> Self {
        match error {
            error if error.is_temporary() => Self::unavailable(),
            StoreError::TooLarge { .. } => Self::bad_content(format!("It is too large: {error}.")),
            error => Self::internal(&error),
        }
    }
}

impl From<ResourceError> for ArmError {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Unmanaged(unmanaged) => unmanaged.into(),
            ResourceError::Group(fault) => fault.into(),
            ResourceError::GroupStays(_) => Self::conflict(error.to_string()),
            ResourceError::GroupElsewhere(_) => {
                Self::new(StatusCode::CONFLICT, "InvalidResourceGroupLocation", format!("{error}."))
            }
            ResourceError::PlanElsewhere { name, placement } => Self::elsewhere(name.as_str(), &placement),
            ResourceError::PlanNotFound(_) | ResourceError::AppGone(_) => {
                Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", format!("{error}."))
            }
            ResourceError::PlanInUse(_) | ResourceError::PlanStays(_) => Self::conflict(format!("{error}.")),
            ResourceError::TooMuch => Self::bad_content(format!("{error}.")),
            ResourceError::Role(fault) => fault.into(),
            ResourceError::Host(error) => error.into(),
            ResourceError::Store(error) => error.into(),
        }
    }
}

impl From<HostError> for ArmError {
    fn from(error: HostError) -> Self {
        let text = format!("{error}.");
        match error {
            HostError::Unmanaged(unmanaged) => unmanaged.into(),
            HostError::Group(fault) => fault.into(),
            HostError::Store(error) => error.into(),
            HostError::AppNotFound(_) | HostError::IdentityNotFound(_) | HostError::FederatedNotFound(_) => {
                Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", text)
            }
            // Names are the installation's, whatever group they are in.
            HostError::AppExists(_) | HostError::IdentityExists(_) => Self::conflict(text),
            HostError::TooManyIdentities { .. }
            | HostError::SettingInvalid { .. }
            | HostError::SettingReserved { .. }
            // That is to keep its value, and has none.
            | HostError::SettingNotFound { .. } => Self::bad_content(text),
            HostError::Directory(DirectoryError::Store(error)) => error.into(),
            HostError::Directory(ref refused) => {
                super::federated::refused(refused).unwrap_or_else(|| Self::internal(&error))
            }
            error => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::CommitId;

    #[test]
    fn what_the_store_did_not_do_may_be_asked_for_again() {
        for again in [
            StoreError::Unavailable("detail".to_owned()),
            StoreError::Unknown(CommitId(7)),
            StoreError::Full("detail".to_owned()),
            StoreError::Conflict { keys: Vec::new() },
        ] {
            let error = ArmError::from(HostError::Directory(DirectoryError::Store(again)));
            assert_eq!((error.status, error.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(1)));
        }
        let ours = ArmError::from(StoreError::Broken("detail".to_owned()));
        assert!(ours.is_ours() && !ours.message().contains("detail"));
        let large = ArmError::from(StoreError::TooLarge { what: "a value", limit: 1 });
        assert_eq!(large.status, StatusCode::BAD_REQUEST);
    }
}
