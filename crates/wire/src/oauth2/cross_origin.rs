//! Answers that pages of other origins may read (Fetch Standard, "CORS protocol"): single-page applications find the directory and redeem
//! their codes by scripts.
//!
//! Any origin may: what is asked for here is public or paid for by a code or a token that only its owner has, and no cookie is ever
//! looked at. What a page may redeem is the directory's to say.

use super::status_only;
use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderValue, Method, StatusCode, header};

const ANYBODY: HeaderValue = HeaderValue::from_static("*");
/// How long a browser need not ask again, in seconds: two hours are the most that Chromium takes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Lets pages read the answer, and answers browsers that ask first whether they may.
pub(super) async fn readable(request: Request, next: Next) -> Response {
    let asks_first = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_first { status_only(StatusCode::NO_CONTENT) } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
    if asks_first {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ANYBODY);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    response
}
