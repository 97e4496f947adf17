//! Answers that pages of other origins may read (Fetch Standard, "CORS protocol"): single-page applications find the directory, redeem
//! their codes and ask Graph by scripts.
//!
//! Any origin may: what is asked for here is public or paid for by a code or a token that only its owner has, and no cookie is ever
//! looked at. What a page may redeem is the directory's to say, what a token may do is Graph's.

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

const ANYBODY: HeaderValue = HeaderValue::from_static("*");
/// How long a browser need not ask again, in seconds: two hours are the most that Chromium takes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// That is not among "any" (Fetch Standard, "CORS non-wildcard request-header name").
const SENT: HeaderValue = HeaderValue::from_static("authorization, *");
/// What scripts look at besides the body: what support asks for, and when to come again.
const SHOWN: HeaderValue =
    HeaderValue::from_static("client-request-id, location, request-id, retry-after, www-authenticate");

/// The answer to a browser that asks whether a page may ask; nothing for a request that is one.
pub(crate) fn asks_first(request: &Request, methods: &'static str) -> Option<Response> {
    let is_asking = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    is_asking.then(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, SENT);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        response
    })
}

/// Lets pages read an answer.
pub(crate) fn show(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
}

/// All of it, for routes.
pub(crate) async fn readable(request: Request, next: Next) -> Response {
    if let Some(response) = asks_first(&request, "GET, POST") {
        return response;
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
    response
}
