//! What all pages have in common: the frame, the stylesheet, a form's hidden fields, a notice.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The one stylesheet, which is part of each page.
pub(super) const STYLE: &str = include_str!("style.css");
/// The one script: sends the form of a page that has an answer for a client. Without it there is a button.
pub(super) const POST_SCRIPT: &str = "document.forms[0].submit()";

/// A whole page. `refresh`: where the browser goes on to by itself.
pub(crate) fn layout(title: &str, refresh: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                @if let Some(href) = refresh { meta http-equiv="refresh" content=(format!("0; url={href}")); }
                title { (title) " · Keyless" }
                // Ours, and the same in each page: its hash is in the policy.
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    p.brand { span.mark aria-hidden="true" {} "Keyless" }
                    (body)
                }
            }
        }
    }
}

/// What went wrong, read aloud by who reads aloud.
pub(super) fn alert(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p.alert role="alert" { (text) } } }
}
