//! Redirect URIs: where the answer of a sign-in may be sent (RFC 6749 section 3.1.2, RFC 8252 section 7.3, RFC 9700 section 4.1).
//!
//! They are compared as text, whole: no wildcard, no prefix, no normalizing. The one exception is RFC 8252's: a program on the user's own
//! machine listens at whichever port is free, so the port of a native loopback URI is not compared.

use crate::{DirectoryError, RequestError};
use domain::limits;
use serde::{Deserialize, Serialize};

/// Where an answer may be sent, and what kind of client is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedirectUri {
    /// The URI.
    pub uri: String,
    /// Who is there.
    pub platform: Platform,
}

/// What kind of client listens at a redirect URI (Graph: `web`, `spa`, `publicClient`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Platform {
    /// A server, which has a credential.
    Web,
    /// A page in a browser, which has none.
    Spa,
    /// A program on the user's machine, which has none.
    PublicClient,
}

impl Platform {
    /// Does the client there have nothing to prove itself by?
    #[must_use]
    pub const fn is_public(self) -> bool {
        match self {
            Self::Web => false,
            Self::Spa | Self::PublicClient => true,
        }
    }

    /// May what was granted to such a client be redeemed so? A page in a browser comes from another origin than ours, and nobody else does: a
    /// server's secret is not to be in a page, and a page's code is no program's.
    ///
    /// # Errors
    /// [`RequestError::FromPage`], [`RequestError::NotFromPage`].
    pub(crate) const fn redeems(self, is_from_page: bool) -> Result<(), DirectoryError> {
        match (self, is_from_page) {
            (Self::Spa, true) | (Self::Web | Self::PublicClient, false) => Ok(()),
            (Self::Spa, false) => Err(DirectoryError::Request(RequestError::NotFromPage)),
            (Self::Web | Self::PublicClient, true) => Err(DirectoryError::Request(RequestError::FromPage)),
        }
    }
}

impl RedirectUri {
    /// Is this the URI that a request names?
    #[must_use]
    pub fn matches(&self, named: &str) -> bool {
        self.uri == named
            || self.platform == Platform::PublicClient
                && loopback(&self.uri).is_some_and(|own| loopback(named).is_some_and(|other| own == other))
    }

    /// Why this cannot be a redirect URI.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&self) -> Result<(), &'static str> {
        let text = &self.uri;
        if text.len() > limits::REDIRECT_URI_CHARS_MAX {
            return Err("at most 2,048 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>')) {
            return Err("printable ASCII characters only");
        }
        if text.contains('#') {
            return Err("no fragment (RFC 6749 section 3.1.2)");
        }
        if text.contains('*') {
            return Err("no wildcard");
        }
        let Some((scheme, rest)) = text.split_once(':') else { return Err("an absolute URI") };
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        {
            return Err("an absolute URI");
        }
        let has_host = || {
            rest.strip_prefix("//").is_some_and(|rest| {
                let host = rest.split(['/', '?']).next().unwrap_or_default();
                !host.is_empty() && !host.contains('@')
            })
        };
        match scheme.to_ascii_lowercase().as_str() {
            "https" if has_host() => Ok(()),
            "http" if loopback(text).is_some() => Ok(()),
            "http" | "https" => Err("https with a host, or http://localhost"),
            "javascript" | "data" | "vbscript" | "file" | "blob" | "about" => {
                Err("a scheme that runs nothing")
            }
            // RFC 8252 section 7.1: a name that its owner has, so that it holds a dot.
            _ if self.platform == Platform::PublicClient && scheme.contains('.') && !rest.is_empty() => {
                Ok(())
            }
            _ if self.platform == Platform::PublicClient && rest.starts_with("//") => Ok(()),
            _ => Err("https, or http://localhost"),
        }
    }
}

/// A loopback URI without its port: host, and path with query. `None` for any other.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let (host, port) = match authority.strip_prefix("[::1]") {
        Some(port) => ("[::1]", port),
        None => authority.split_at_checked(authority.find(':').unwrap_or(authority.len()))?,
    };
    let is_number =
        |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_number);
    let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    (is_loopback && is_port).then_some((host, if path == "/" { "" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(uri: &str, platform: Platform) -> RedirectUri {
        RedirectUri { uri: uri.to_owned(), platform }
    }

    #[test]
    fn a_uri_is_compared_whole() {
        let web = uri("https://shop.example/signed-in?x=1", Platform::Web);
        assert!(web.matches("https://shop.example/signed-in?x=1"));
        for other in [
            "https://shop.example/signed-in",
            "https://shop.example/signed-in?x=1&y=2",
            "https://shop.example/signed-in?x=1/",
            "https://SHOP.example/signed-in?x=1",
            "https://shop.example:443/signed-in?x=1",
            "https://shop.example/signed-in/../?x=1",
            "http://shop.example/signed-in?x=1",
            "https://shop.example.evil.example/signed-in?x=1",
            "",
        ] {
            assert!(!web.matches(other), "{other}");
        }
    }

    #[test]
    fn a_program_on_the_users_machine_may_listen_at_any_port() {
        let native = uri("http://localhost", Platform::PublicClient);
        for named in ["http://localhost", "http://localhost/", "http://localhost:8400", "http://localhost:1/"]
        {
            assert!(native.matches(named), "{named}");
        }
        for named in [
            "http://127.0.0.1:8400",
            "http://localhost:8400/x",
            "https://localhost:8400",
            "http://localhost:8400@evil.example",
            "http://localhost.evil.example",
            "http://localhost:99999",
            "http://localhost:",
            "http://localhost:+1",
        ] {
            assert!(!native.matches(named), "{named}");
        }
        assert!(
            uri("http://127.0.0.1:7/cb?a=b", Platform::PublicClient).matches("http://127.0.0.1:8/cb?a=b")
        );
        assert!(uri("http://[::1]/", Platform::PublicClient).matches("http://[::1]:8"));
        // A server says at which port it is.
        assert!(!uri("http://localhost:5000/cb", Platform::Web).matches("http://localhost:5001/cb"));
        assert!(!uri("http://localhost:5000/cb", Platform::Spa).matches("http://localhost:5001/cb"));
    }

    #[test]
    fn what_no_answer_may_be_sent_to_cannot_be_registered() {
        for (text, platform) in [
            ("https://shop.example/cb", Platform::Web),
            ("http://localhost:5000/cb", Platform::Spa),
            ("http://localhost", Platform::PublicClient),
            ("com.example.shop:/cb", Platform::PublicClient),
            ("ms-appx-web://microsoft.aad.brokerplugin/x", Platform::PublicClient),
        ] {
            assert_eq!(uri(text, platform).check(), Ok(()), "{text}");
        }
        for (text, platform) in [
            ("http://shop.example/cb", Platform::Web),
            ("https://", Platform::Web),
            ("https://user@shop.example/", Platform::Web),
            ("https:///cb", Platform::Web),
            ("https://shop.example/*", Platform::Web),
            ("https://shop.example/#x", Platform::Web),
            ("https://shop.example/a b", Platform::Web),
            ("https://shop.example/\"", Platform::Web),
            ("javascript:alert(1)", Platform::PublicClient),
            ("data:text/html,x", Platform::PublicClient),
            ("JavaScript://x", Platform::PublicClient),
            ("com.example.shop:/cb", Platform::Web),
            ("/cb", Platform::Web),
            ("", Platform::Web),
            ("://x", Platform::PublicClient),
        ] {
            assert!(uri(text, platform).check().is_err(), "{text}");
        }
        assert!(uri(&format!("https://x/{}", "x".repeat(2_040)), Platform::Web).check().is_err());
    }
}
