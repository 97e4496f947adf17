//! What a browser shows of itself: our two cookies, and where it says that a form comes from.

use crypt::fresh_secret;
use domain::{Entropy, Secret};
use http::{HeaderMap, HeaderValue, header};

/// Of every browser that has seen a page. What it binds: the tokens of forms (see [`directory::browser`]).
const BROWSER: &str = "__Host-keyless-browser";
/// Of one that somebody has signed in with.
const SESSION: &str = "__Host-keyless-session";
/// `__Host-` needs `Secure`, `Path=/` and no domain, and keeps our neighbours below the domain from planting one. Lax: a client sends the
/// browser here from its own site, by a link or a redirect; what other sites post comes without cookies.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";
/// Characters of a fresh secret.
const SECRET_CHARS: usize = 43;

/// A browser's cookies.
pub(super) struct Browser {
    /// Its own secret, which is fresh if it had none.
    pub(super) id: Secret<String>,
    is_new: bool,
    /// The secret of its session, good or not.
    pub(super) session: Option<Secret<String>>,
}

impl Browser {
    pub(super) fn of(headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        let is_secret = |id: &Secret<String>| {
            id.expose().len() == SECRET_CHARS
                && id.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let known = cookie(headers, BROWSER).filter(is_secret);
        let (is_new, id) = (known.is_none(), known.unwrap_or_else(|| fresh_secret(entropy)));
        Self { id, is_new, session: cookie(headers, SESSION) }
    }

    /// Has it never been here, or does it keep no cookies?
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Keeps its own cookie.
    pub(super) fn keep(id: &Secret<String>) -> Option<HeaderValue> {
        set(BROWSER, id)
    }

    /// Keeps the cookie of a session until the browser is closed.
    pub(super) fn sign_in(session: &Secret<String>) -> Option<HeaderValue> {
        set(SESSION, session)
    }

    /// Forgets the cookie of a session.
    pub(super) fn sign_out() -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("{SESSION}=; Max-Age=0; {ATTRIBUTES}")).ok()
    }
}

fn set(name: &str, secret: &Secret<String>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{name}={}; {ATTRIBUTES}", secret.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret<String>> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next();
    found.filter(|value| !value.is_empty()).map(|value| Secret::new(value.to_owned()))
}

/// Does a form come from a page of ours, as far as the browser says? Those of today all say it; the form's token is asked for besides.
pub(super) fn is_from_us(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    let host = text(header::HOST).unwrap_or_default();
    text(header::ORIGIN).is_none_or(|origin| origin.eq_ignore_ascii_case(&format!("https://{host}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_form_of_another_site_is_known() {
        let host = ("host", "login.x:8443");
        for (said, is_ours) in [
            (&[host][..], true),
            (&[host, ("origin", "https://login.x:8443")], true),
            (&[host, ("origin", "https://login.x:8443"), ("sec-fetch-site", "same-origin")], true),
            (&[host, ("origin", "https://LOGIN.x:8443")], true),
            (&[host, ("origin", "https://login.x")], false),
            (&[host, ("origin", "http://login.x:8443")], false),
            (&[host, ("origin", "https://shop.vault.x:8443")], false),
            (&[host, ("origin", "null")], false),
            (&[host, ("sec-fetch-site", "same-site")], false),
            (&[host, ("sec-fetch-site", "cross-site")], false),
            (&[host, ("sec-fetch-site", "none")], false),
            (&[host, ("origin", "https://login.x:8443"), ("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(is_from_us(&headers(said)), is_ours, "{said:?}");
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let secret = "a".repeat(43);
        let browser = |text: &str| {
            let browser = Browser::of(&headers(&[("cookie", text)]), &crypt::SystemEntropy);
            (browser.is_new, browser.session.map(|session| session.expose().clone()))
        };
        assert_eq!(browser(&format!("x=y; __Host-keyless-browser={secret}")), (false, None));
        assert_eq!(browser(&format!("x__Host-keyless-browser={secret}")), (true, None));
        assert_eq!(browser("__Host-keyless-browser=short; __Host-keyless-session="), (true, None));
        assert_eq!(browser("a=b;__Host-keyless-session=s.t=u"), (true, Some("s.t=u".to_owned())));
    }
}
