//! Why nothing was deployed, as clients of the deployment service are told it: a status, and a text that they show.

use crate::{admin::HostingFault, bearer::Unauthenticated, context::AuditUnavailable};
use access::{BearerFault, Unmanaged};
use axum::response::Response;
use host::HostError;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ScmError {
    status: StatusCode,
    message: String,
    /// Which methods there are, where another was used (RFC 9110 section 15.5.6).
    allow: Option<&'static str>,
}

impl ScmError {
    fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the service is temporarily unavailable: try again")
    }

    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), allow: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such path here")
    }

    pub(super) fn wrong_method(allow: &'static str) -> Self {
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method");
        Self { allow: Some(allow), ..error }
    }

    pub(super) fn no_such_deployment() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such deployment")
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = domain::chain(error), "a deployment request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "an unexpected error occurred")
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
    pub(super) fn respond(self, challenge: Option<HeaderValue>) -> Response {
        let body = json!({"Message": self.message, "error": {"code": self.status.as_str(), "message": self.message}});
        let mut response = super::answer(self.status, &body);
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(allow) = self.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<AuditUnavailable> for ScmError {
    fn from(_: AuditUnavailable) -> Self {
        Self::unavailable()
    }
}

impl From<Unauthenticated> for ScmError {
    fn from(unauthenticated: Unauthenticated) -> Self {
        let message = match unauthenticated {
            Unauthenticated::NoToken | Unauthenticated::HeaderMalformed => {
                "one bearer token is needed; user names with passwords are not taken here"
            }
            Unauthenticated::Fault(BearerFault::Expired { .. }) => "the token has expired",
            Unauthenticated::Fault(BearerFault::WrongAudience { .. }) => "the token is for another audience",
            Unauthenticated::Fault(_) => "the token is not valid",
        };
        Self::new(StatusCode::UNAUTHORIZED, message)
    }
}

impl From<HostError> for ScmError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::AppNotFound(_) => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            HostError::Unmanaged(Unmanaged::NoRole(_)) => Self::new(StatusCode::FORBIDDEN, error.to_string()),
            HostError::Unmanaged(_) => Self::new(StatusCode::UNAUTHORIZED, error.to_string()),
            HostError::SettingInvalid { .. } => Self::bad_request(error.to_string()),
            HostError::Store(error) if error.is_temporary() => Self::unavailable(),
            error => Self::internal(&error),
        }
    }
}

impl From<HostingFault> for ScmError {
    fn from(fault: HostingFault) -> Self {
        match fault {
            HostingFault::Package(why) => Self::bad_request(why),
            HostingFault::TooLarge(why) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, why),
            HostingFault::Busy => Self::new(StatusCode::CONFLICT, fault.to_string()),
            HostingFault::Unavailable(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
            HostingFault::Host(error) => error.into(),
            HostingFault::File { .. } if fault.is_for_room() => {
                tracing::error!(error = domain::chain(&fault), "there is no room for an app's files");
                let message = "there is no room for the package: see the server's log";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, message)
            }
            HostingFault::File { .. } => Self::internal(&fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn only_a_full_disk_is_told_as_one() {
        let status = |source: io::Error| {
            let fault = HostingFault::File { what: "the package cannot be kept".to_owned(), source };
            ScmError::from(fault).status.as_u16()
        };
        for full in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert_eq!(status(full.into()), 507, "{full}");
        }
        for other in [io::ErrorKind::PermissionDenied, io::ErrorKind::NotFound, io::ErrorKind::Other] {
            assert_eq!(status(other.into()), 500, "{other}");
        }
    }
}
