//! Answers to browsers: the headers that every one of them has, and the pages.
//!
//! A page loads nothing and runs nothing but its own stylesheet and one of two scripts, known by their hash. Nobody may show a page inside of another one.

use super::{layout, passkey};
use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use maud::Markup;
use std::sync::LazyLock;

/// Where the forms of a page may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Forms {
    /// To us. Chromium holds redirects that follow a form to this as well, so no form of ours leads to a redirect to a client.
    ToUs,
    /// To a client: its answer, which the browser posts. Clients send the browser on from there, which Chromium counts as well.
    ToClient {
        /// The origin of its redirect URI.
        origin: String,
    },
}

fn source(text: &str) -> String {
    format!("'sha256-{}'", crypt::encoding::base64(crypt::sha256(text).bytes()))
}

/// The stylesheet of all pages, as a policy names it.
pub(crate) static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| source(layout::STYLE));
static POST_SCRIPT: LazyLock<String> = LazyLock::new(|| source(layout::POST_SCRIPT));
static PASSKEY_SCRIPT: LazyLock<String> = LazyLock::new(|| source(passkey::SCRIPT));

fn policy(forms: &Forms) -> String {
    let (script, action) = match forms {
        Forms::ToUs => (&*PASSKEY_SCRIPT, "'self'".to_owned()),
        Forms::ToClient { origin } => (&*POST_SCRIPT, format!("https: {origin}")),
    };
    format!(
        "default-src 'none'; style-src {}; script-src {script}; form-action {action}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_SOURCE
    )
}

/// The headers of every answer to a browser. No `Cross-Origin-Opener-Policy`: clients in pages open ours in a window of their own, and wait there
/// for its answer.
pub(super) fn harden(headers: &mut HeaderMap) {
    const ALL: [(HeaderName, HeaderValue); 5] = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        // A year. Our names only: who else lives below the domain is not ours to say.
        (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
    ];
    headers.extend(ALL.map(|(name, value)| (Some(name), value)));
    if !headers.contains_key(header::REFERRER_POLICY) {
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}

/// A page.
pub(super) fn page(status: StatusCode, title: &str, forms: &Forms, body: &Markup) -> Response {
    let mut response = Response::new(Body::from(layout::layout(title, None, body).into_string()));
    *response.status_mut() = status;
    dress(&mut response, forms);
    response
}

/// A page from which the browser goes on by itself.
pub(super) fn going_on(title: &str, href: &str, body: &Markup) -> Response {
    let mut response = Response::new(Body::from(layout::layout(title, Some(href), body).into_string()));
    dress(&mut response, &Forms::ToUs);
    response
}

fn dress(response: &mut Response, forms: &Forms) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = HeaderValue::from_str(&policy(forms));
    let none = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.unwrap_or(none));
    if *forms == Forms::ToUs {
        // With `no-referrer` browsers say `Origin: null` with the form, and older ones nothing else. Others are told nothing by this either.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
}

/// A redirect: only as the answer to a request that is no form of ours.
pub(super) fn redirect(to: &str) -> Option<Response> {
    redirect_as(StatusCode::FOUND, to)
}

/// A redirect of what was posted to the same by GET.
pub(super) fn see_other(to: &str) -> Option<Response> {
    redirect_as(StatusCode::SEE_OTHER, to)
}

fn redirect_as(status: StatusCode, to: &str) -> Option<Response> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(to).ok()?);
    Some(response)
}
