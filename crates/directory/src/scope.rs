//! What a client asks for in a user's name: scopes of one resource, and those of OpenID Connect (RFC 6749 section 3.3, OpenID Connect Core
//! section 5.4, Microsoft identity platform scopes).
//!
//! `{resource}/{name}` is a scope of a resource, a bare name one of Microsoft Graph. `{resource}/.default` stands for everything that the
//! user has agreed to, or for what the resource offers.

use crate::{DirectoryError, tenant::shown};
use domain::{HostNames, limits};
use serde::{Deserialize, Serialize};

/// The scope that stands for all.
pub(crate) const DEFAULT: &str = ".default";

/// A whole scope parameter, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scopes {
    /// The resource as asked for.
    pub(crate) resource: String,
    /// Names of scopes there, in the order in which they were asked for; none if only OpenID Connect's were.
    pub(crate) names: Vec<String>,
    /// Those of OpenID Connect.
    pub(crate) openid: OpenId,
}

/// The scopes of OpenID Connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenId {
    /// `openid`: wants an id token.
    pub(crate) id_token: bool,
    /// `profile`.
    pub(crate) profile: bool,
    /// `email`.
    pub(crate) email: bool,
    /// `offline_access`: wants a refresh token.
    pub(crate) offline_access: bool,
}

impl OpenId {
    /// What of this is also asked for there.
    pub(crate) const fn within(self, other: Self) -> Self {
        Self {
            id_token: self.id_token && other.id_token,
            profile: self.profile && other.profile,
            email: self.email && other.email,
            offline_access: self.offline_access && other.offline_access,
        }
    }

    /// As answers tell them. What `offline_access` has brought is told by the refresh token itself.
    pub(crate) fn told(self) -> impl Iterator<Item = &'static str> {
        [(self.id_token, "openid"), (self.profile, "profile"), (self.email, "email")]
            .into_iter()
            .filter_map(|(is_asked, name)| is_asked.then_some(name))
    }
}

impl Scopes {
    /// Takes a scope parameter apart.
    ///
    /// # Errors
    /// [`DirectoryError::ScopeMalformed`], [`DirectoryError::ScopesOfTwoResources`].
    pub(crate) fn parse(scope: &str, names: &HostNames) -> Result<Self, DirectoryError> {
        let malformed = || DirectoryError::ScopeMalformed { scope: shown(scope) };
        let mut found: Option<String> = None;
        let mut scopes = Self { resource: String::new(), names: Vec::new(), openid: OpenId::default() };
        let mut count = 0;
        for one in scope.split(' ').filter(|one| !one.is_empty()) {
            count += 1;
            if count > limits::SCOPES_MAX || one.len() > limits::AUDIENCE_CHARS_MAX || !is_token(one) {
                return Err(malformed());
            }
            let (resource, name) = match one {
                "openid" => {
                    scopes.openid.id_token = true;
                    continue;
                }
                "profile" => {
                    scopes.openid.profile = true;
                    continue;
                }
                "email" => {
                    scopes.openid.email = true;
                    continue;
                }
                "offline_access" => {
                    scopes.openid.offline_access = true;
                    continue;
                }
                _ => match one.rsplit_once('/') {
                    Some((resource, name)) => (resource.to_owned(), name),
                    None => (names.graph_resource(), one),
                },
            };
            if resource.is_empty() || name.is_empty() {
                return Err(malformed());
            }
            match &found {
                Some(other) if *other != resource => return Err(DirectoryError::ScopesOfTwoResources),
                Some(_) => {}
                None => found = Some(resource),
            }
            if !scopes.names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                scopes.names.push(name.to_owned());
            }
        }
        if count == 0 {
            return Err(malformed());
        }
        // Who asks for a sign-in alone gets a token with which to ask who has signed in.
        scopes.resource = found.unwrap_or_else(|| names.graph_resource());
        Ok(scopes)
    }

    /// What a request of the v1.0 endpoint asks for: a resource, all of it, with what the later endpoint must be asked for by name.
    pub(crate) fn of_resource(resource: String) -> Self {
        let openid = OpenId { id_token: true, profile: true, email: true, offline_access: true };
        Self { resource, names: vec![DEFAULT.to_owned()], openid }
    }

    /// Is everything asked for that there is?
    pub(crate) fn is_default(&self) -> bool {
        self.names.iter().any(|name| name == DEFAULT)
    }
}

/// RFC 6749 section 3.3, without what no error message could show.
fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::names;

    fn parse(scope: &str) -> Result<Scopes, DirectoryError> {
        Scopes::parse(scope, &names())
    }

    #[test]
    fn a_scope_is_of_a_resource() {
        for (scope, resource, wanted) in [
            ("https://vault.azure.net/.default", "https://vault.azure.net", &[".default"][..]),
            ("https://x//.default", "https://x/", &[".default"]),
            ("api://a/b/Orders.Read api://a/b/Orders.Write", "api://a/b", &["Orders.Read", "Orders.Write"]),
            ("api://a/x api://a/X", "api://a", &["x"]),
            ("User.Read", "https://graph.keyless.localhost:8443", &["User.Read"]),
            ("openid profile", "https://graph.keyless.localhost:8443", &[]),
        ] {
            let scopes = parse(scope).unwrap();
            assert_eq!(scopes.resource, resource, "{scope}");
            assert_eq!(scopes.names, wanted, "{scope}");
        }
        let scopes = parse("offline_access  api://a/x openid").unwrap();
        let openid = OpenId { id_token: true, offline_access: true, ..OpenId::default() };
        assert_eq!((scopes.openid, scopes.is_default()), (openid, false));
        assert_eq!(scopes.openid.told().collect::<Vec<_>>(), ["openid"]);
        assert!(Scopes::of_resource("https://x".to_owned()).is_default());
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        let many = (0..=limits::SCOPES_MAX).map(|number| format!("s{number}")).collect::<Vec<_>>().join(" ");
        for scope in ["", " ", "/.default", "x/", "a\"b", "a\\b", "\u{e9}", "a\tb", &"x".repeat(513), &many] {
            assert!(matches!(parse(scope), Err(DirectoryError::ScopeMalformed { .. })), "{scope}");
        }
        for scope in ["x/a y/a", "User.Read api://a/b", "https://x/.default https://x//.default"] {
            assert!(matches!(parse(scope), Err(DirectoryError::ScopesOfTwoResources)), "{scope}");
        }
    }
}
