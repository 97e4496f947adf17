//! What is wrong with a request before a page understands it, and the page that says so.

use super::answer::{self, Forms};
use crate::{
    context::{AuditUnavailable, Context, State},
    oauth2::error::{OAuthError, RequestFault},
};
use audit::{Actor, Outcome};
use axum::response::Response;
use directory::DirectoryError;
use http::{HeaderValue, StatusCode, header};
use maud::html;

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageFault {
    #[error("the query is too long")]
    QueryTooLong,
    #[error("the method is neither GET nor POST")]
    WrongMethod,
    #[error("the body is no form")]
    NotForm,
    #[error("the form is too large")]
    TooLarge,
    #[error("the form cannot be understood")]
    Malformed,
    /// Somebody else's page has sent the form.
    #[error("the form comes from another site")]
    OtherSite,
    /// Its token is of another browser or session.
    #[error("the form is not one that this browser was given for this session")]
    NotTheirs,
    /// The browser has sent no cookie with its form.
    #[error("the browser keeps no cookies")]
    NoCookies,
    #[error("the audit log cannot be written")]
    Unrecorded,
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Of us, and over in a moment.
    #[error("{0}")]
    Unavailable(String),
    /// Of us.
    #[error("{0}")]
    Unexpected(String),
}

impl From<AuditUnavailable> for PageFault {
    fn from(_: AuditUnavailable) -> Self {
        Self::Unrecorded
    }
}

impl From<RequestFault> for PageFault {
    fn from(fault: RequestFault) -> Self {
        match fault {
            RequestFault::TooLarge => Self::TooLarge,
            RequestFault::WrongContentType => Self::NotForm,
            RequestFault::WrongMethod { .. } => Self::WrongMethod,
            RequestFault::Malformed
            | RequestFault::MissingParameter { .. }
            | RequestFault::UnknownInstance
            | RequestFault::NoSuchEndpoint => Self::Malformed,
        }
    }
}

impl PageFault {
    /// The fault that is no user's: one that passes by itself is told from one that does not.
    pub(super) fn of_ours(error: &DirectoryError) -> Self {
        match OAuthError::from(error).status() {
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable(error.to_string()),
            _ => Self::Unexpected(error.to_string()),
        }
    }

    /// Is it our fault rather than the caller's?
    pub(super) fn outcome(&self) -> Outcome {
        if self.told().0.is_server_error() { Outcome::Failed } else { Outcome::Refused }
    }

    /// Status, heading, and what to do.
    fn told(&self) -> (StatusCode, &'static str, String) {
        const CANNOT: &str = "This request cannot be understood";
        let again = |text: &str| format!("{text} Go back to where you came from, and begin again.");
        match self {
            Self::QueryTooLong => (StatusCode::URI_TOO_LONG, CANNOT, again("The address is too long.")),
            Self::WrongMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, CANNOT, "Open this page in a browser.".to_owned())
            }
            Self::NotForm => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, CANNOT, "Open this page in a browser.".to_owned())
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, CANNOT, again("The form is too large.")),
            Self::Malformed => (StatusCode::BAD_REQUEST, CANNOT, again("Something in it is not as it should be.")),
            Self::OtherSite => (
                StatusCode::FORBIDDEN,
                "Another site has sent you here",
                "Nothing was done. If you did not expect this page, close it.".to_owned(),
            ),
            Self::NotTheirs => (
                StatusCode::FORBIDDEN,
                "This page is out of date",
                "Nothing was done. You may have signed in or out in another window meanwhile. Please try again.".to_owned(),
            ),
            Self::NoCookies => (
                StatusCode::FORBIDDEN,
                "Your browser keeps no cookies",
                "Signing in needs them for this site. Allow them, and try again.".to_owned(),
            ),
            Self::Unrecorded | Self::Unavailable(_) => unavailable(),
            Self::Unexpected(_) => broken(),
            Self::Directory(error) => directory(error),
        }
    }
}

fn broken() -> (StatusCode, &'static str, String) {
    let text = "It is not your fault. Please tell your administrator, with the request id below.".to_owned();
    (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", text)
}

fn unavailable() -> (StatusCode, &'static str, String) {
    let text = "Please try again in a moment.".to_owned();
    (StatusCode::SERVICE_UNAVAILABLE, "Signing in is not possible right now", text)
}

/// The texts of errors name what a request has named, cut and plain; those of our own failures name nothing.
fn directory(error: &DirectoryError) -> (StatusCode, &'static str, String) {
    let answer = OAuthError::from(error);
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        return unavailable();
    }
    if answer.is_failure() {
        return broken();
    }
    let heading = "The app has sent a request that cannot be answered";
    (answer.status(), heading, answer.text().to_owned())
}

/// The page that tells a fault. `again`: where the same may be tried once more.
pub(super) fn page(fault: &PageFault, context: &Context, again: Option<&str>) -> Response {
    let (status, heading, text) = fault.told();
    let body = html! {
        h1 { (heading) }
        p role="alert" { (text) }
        @if let Some(href) = again { p { a.button.primary href=(href) { "Try again" } } }
        p.fine { "Request " (context.request) }
    };
    let mut response = answer::page(status, heading, &Forms::ToUs, &body);
    match fault {
        PageFault::WrongMethod => {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
        }
        _ if status == StatusCode::SERVICE_UNAVAILABLE => {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
        }
        _ => {}
    }
    response
}

/// The answer to a request for which there is no visit. It leaves a record too.
pub(super) fn before(state: &State, context: &Context, fault: &PageFault) -> Response {
    let target = "a page".to_owned();
    let recorded = context.record(
        &*state.audit,
        Actor::Anonymous,
        "page.show",
        target,
        fault.outcome(),
        fault.to_string(),
    );
    let mut response = match recorded {
        Ok(_recorded) => page(fault, context, None),
        Err(unavailable) => page(&unavailable.into(), context, None),
    };
    answer::harden(response.headers_mut());
    response
}
