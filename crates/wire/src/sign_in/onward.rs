//! The page after a form that was taken: the browser goes on from it by itself, by a refresh, or by a link.
//!
//! It is no redirect because Chromium holds every redirect after a form to the page's `form-action`, and from the client's own address people
//! are often sent on to yet another one: a form that ended there would hang. A page in between ends the form.

use super::{answer, place::Place};
use axum::response::Response;
use maud::html;

/// Goes on to a page of ours.
pub(super) fn onward(said: &str, place: &Place) -> Response {
    to(said, &place.href())
}

/// Goes on to an address that the client has registered.
pub(super) fn to(said: &str, href: &str) -> Response {
    let body = html! {
        h1 { (said) }
        p { a.button.primary href=(href) { "Continue" } }
    };
    answer::going_on(said, href, &body)
}
