//! What a client is told when there is no answer of the app's: a page for people, a line for programs, and nothing of the inside.

use crate::sign_in::{answer::STYLE_SOURCE, layout};
use axum::{body::Body, response::Response};
use host::Unroutable;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use maud::html;

/// Seconds after which another try is worth it, where one is.
const RETRY_SECONDS: u64 = 5;

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no instance to ask.
    Unroutable(Unroutable),
    /// The instance has as many requests as it can have.
    Busy,
    /// It took no connection, or ended one before there was an answer, or its answer was none.
    BrokenOff,
    /// It did not answer in time.
    TooLate,
    /// The method is for proxies of another kind.
    Method,
}

impl From<Unroutable> for Fault {
    fn from(unroutable: Unroutable) -> Self {
        Self::Unroutable(unroutable)
    }
}

/// In which form a client wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Page,
    Text,
}

impl Form {
    /// A page for whoever names HTML, as browsers do. `*/*` is what programs say.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        if accepted.any(|value| value.to_ascii_lowercase().contains("text/html")) {
            Self::Page
        } else {
            Self::Text
        }
    }
}

impl Fault {
    /// Status, what is the matter, and what to do.
    const fn told(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unroutable(Unroutable::NotFound) => {
                (StatusCode::NOT_FOUND, "There is no such app here", "Check the address.")
            }
            Self::Unroutable(Unroutable::Empty) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Nothing is deployed to this app yet",
                "Its administrator can deploy to it.",
            ),
            // As App Service says it.
            Self::Unroutable(Unroutable::Stopped) => {
                (StatusCode::FORBIDDEN, "This app is stopped", "Its administrator can start it again.")
            }
            Self::Unroutable(Unroutable::Starting) => {
                (StatusCode::SERVICE_UNAVAILABLE, "This app is starting", "Try again in a few seconds.")
            }
            Self::Unroutable(Unroutable::NoInstance) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "This app is not running",
                "Try again in a while. Its administrator finds the reason in the app's log.",
            ),
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "This app is busy", "Try again in a few seconds.")
            }
            Self::BrokenOff => (
                StatusCode::BAD_GATEWAY,
                "This app gave no answer",
                "It ended the connection. Its administrator finds the reason in the app's log.",
            ),
            Self::TooLate => {
                (StatusCode::GATEWAY_TIMEOUT, "This app took too long", "It gave no answer in time.")
            }
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "This method is not possible here", "Send another request.")
            }
        }
    }

    pub(super) fn answer(self, form: Form) -> Response {
        let (status, title, more) = self.told();
        let (kind, body) = match form {
            Form::Page => {
                let body = html! { h1 { (title) } p { (more) } p.fine { code { (status.as_u16()) } } };
                ("text/html; charset=utf-8", layout::layout(title, None, &body).into_string())
            }
            Form::Text => ("text/plain; charset=utf-8", format!("{title}. {more}\n")),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let policy = format!("default-src 'none'; style-src {}; frame-ancestors 'none'", *STYLE_SOURCE);
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(
                header::ALLOW,
                HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            );
        }
        response
    }
}
