//! The answer to a client: a code or a refusal, by query, fragment or form post (OAuth 2.0 Multiple Response Types, Form Post Response Mode;
//! RFC 9207 for `iss`). It goes to the redirect URI that the client has registered, and nowhere else.

use super::{
    answer::{self, Forms},
    onward,
};
use axum::response::Response;
use directory::authorization::{ReplyTo, ResponseMode};
use form_urlencoded::Serializer;
use http::StatusCode;
use maud::html;

/// What comes before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The client's own request: a redirect.
    Request,
    /// A form of ours, which no redirect to a client may follow (see [`onward`]).
    Form,
}

/// Sends the browser to the client with these parameters.
pub(super) fn reply(to: &ReplyTo, parameters: &[(&str, String)], after: After) -> Response {
    let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let pairs: Vec<(&str, &str)> = pairs.chain(to.state.as_deref().map(|state| ("state", state))).collect();
    let url = |separator: char| {
        let encoded = Serializer::new(String::new()).extend_pairs(&pairs).finish();
        format!("{}{separator}{encoded}", to.redirect_uri)
    };
    let url = match to.mode {
        ResponseMode::FormPost => return form_post(&to.redirect_uri, &pairs),
        ResponseMode::Query => url(if to.redirect_uri.contains('?') { '&' } else { '?' }),
        ResponseMode::Fragment => url('#'),
    };
    match after {
        // What was registered is printable ASCII, so that it can be a header.
        After::Request => answer::redirect(&url).unwrap_or_else(|| onward::to("Going on", &url)),
        After::Form => onward::to("Going on", &url),
    }
}

/// A page whose form the browser posts to the client, by itself or by its button.
fn form_post(redirect_uri: &str, pairs: &[(&str, &str)]) -> Response {
    let body = html! {
        h1 { "One more step" }
        p { "You are being sent back to the app." }
        form method="post" action=(redirect_uri) {
            @for (name, value) in pairs { input type="hidden" name=(name) value=(value); }
            button.primary type="submit" { "Continue" }
        }
        script { (maud::PreEscaped(super::layout::POST_SCRIPT)) }
    };
    let forms = Forms::ToClient { origin: origin(redirect_uri) };
    answer::page(StatusCode::OK, "Going on", &forms, &body)
}

/// The origin of a URI as a content security policy writes it. Where it cannot write one, as of `[::1]`, all of the scheme is allowed: better
/// than a text from elsewhere in a policy.
fn origin(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else { return String::new() };
    let scheme: String =
        scheme.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')).collect();
    let authority = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?', '#']).next());
    let is_plain = |authority: &&str| {
        let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
            && port.parse::<u16>().is_ok()
    };
    match authority.filter(is_plain) {
        Some(authority) if scheme == "http" || scheme == "https" => format!("{scheme}://{authority}"),
        _ => format!("{scheme}:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_or_left_out() {
        for (uri, expected) in [
            ("https://shop.example/cb?x=1", "https://shop.example"),
            ("http://localhost:8400/", "http://localhost:8400"),
            ("http://127.0.0.1", "http://127.0.0.1"),
            ("http://[::1]:8400/", "http:"),
            ("https://a;script-src/x", "https:"),
            ("https://a'unsafe-inline'/", "https:"),
            ("com.example.app:/cb", "com.example.app:"),
            ("myapp://auth", "myapp:"),
        ] {
            assert_eq!(origin(uri), expected, "{uri}");
        }
    }
}
