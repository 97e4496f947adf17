//! `/error`: what an AADSTS number means. Errors of the token endpoint refer to it (`error_uri`), so that whoever looks one up gets a sentence.

use super::visit::Visit;
use crate::oauth2::advice::advice;
use axum::response::Response;
use http::StatusCode;
use maud::html;

pub(super) const ACTION: &str = "error.show";

pub(super) fn page(visit: &Visit<'_>) -> Response {
    let code = visit.query(&["code"]).ok().and_then(|mut query| query.take("code")?.parse::<i32>().ok());
    let (status, heading, text) = match code.and_then(|code| Some((code, advice(code)?))) {
        Some((code, text)) => (StatusCode::OK, format!("AADSTS{code}"), text),
        None => (
            StatusCode::NOT_FOUND,
            "No such number".to_owned(),
            "No error here has this number. Those that do refer to a page of their own.",
        ),
    };
    let body = html! {
        h1 { (heading) }
        p { (text) }
        @if status == StatusCode::OK {
            p.fine { "The error itself says what was wrong with the request. By its trace id an administrator finds it in the audit log." }
        }
    };
    visit.page(status, &heading, &body)
}
