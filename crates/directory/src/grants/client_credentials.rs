//! The client acts for itself (RFC 6749 section 4.4): what it has proven itself to be, it is granted.

use crate::{DirectoryError, RequestError, claims::Proof, client::Authenticated, scope, tenant::shown};
use access::Principal;
use domain::limits;
use std::sync::Arc;
use store::{Halt, refuse};

/// Whose the token is: the client's own principal's. Who has proven nothing acts for nobody.
pub(crate) fn grant(client: &Authenticated) -> Result<Arc<Principal>, Halt<DirectoryError>> {
    match client.principal.as_ref().filter(|_| client.by != Proof::Public) {
        Some(principal) => Ok(principal.clone()),
        None => refuse(DirectoryError::Request(RequestError::ClientProofMissing)),
    }
}

/// What is left of `{resource}/.default` without exactly that suffix: `https://x//.default` is for `https://x/`.
///
/// MSAL for Go and for Java adds OpenID Connect's scopes to whatever is asked for. Beside a resource they are passed over, as Entra does: this
/// grant signs nobody in, so there is neither an id token nor a refresh token for them to bring.
pub(crate) fn resource_of_scope(asked: &str) -> Result<String, DirectoryError> {
    const SUFFIX: &str = "/.default";
    let malformed = || DirectoryError::ScopeMalformed { scope: shown(asked) };
    let not_default = || DirectoryError::Request(RequestError::ScopeNotDefault { scope: shown(asked) });
    // RFC 6749 section 3.3.
    let is_token = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let mut resource: Option<&str> = None;
    let mut is_openid = false;
    for one in asked.split_ascii_whitespace() {
        if one.len() > limits::AUDIENCE_CHARS_MAX || !one.bytes().all(is_token) {
            return Err(malformed());
        }
        if scope::OPENID_SCOPES.contains(&one) {
            is_openid = true;
            continue;
        }
        let of = one.strip_suffix(SUFFIX).ok_or_else(not_default)?;
        match resource {
            _ if of.is_empty() => return Err(malformed()),
            Some(other) if other != of => return Err(DirectoryError::ScopesOfTwoResources),
            _ => resource = Some(of),
        }
    }
    // Alone they are of no resource, and a token must be of one.
    resource.map(str::to_owned).ok_or_else(|| if is_openid { not_default() } else { malformed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_loses_exactly_its_suffix() {
        for (scope, resource) in [
            ("https://vault.azure.net/.default", "https://vault.azure.net"),
            ("https://x//.default", "https://x/"),
            ("api://a/b/.default", "api://a/b"),
            ("x/.default x/.default", "x"),
            (" x/.default ", "x"),
            ("x/.default openid offline_access profile", "x"),
            ("openid profile email x/.default offline_access", "x"),
        ] {
            assert_eq!(resource_of_scope(scope).unwrap(), resource, "{scope}");
        }
        for scope in [
            "https://vault.azure.net",
            "x/.default y",
            "https%3A%2F%2Fx%2F.default",
            "x/.DEFAULT",
            "openid",
            "openid offline_access profile",
            "x/.default openid y",
            "x/.default openid User.Read",
            "x/.default OpenID",
            "x/.default x/openid",
            "x/.default/",
        ] {
            assert!(
                matches!(
                    resource_of_scope(scope),
                    Err(DirectoryError::Request(RequestError::ScopeNotDefault { .. }))
                ),
                "{scope}"
            );
        }
        for scope in ["/.default", "é/.default", "a\"/.default", &format!("{}/.default", "x".repeat(512))] {
            assert!(
                matches!(resource_of_scope(scope), Err(DirectoryError::ScopeMalformed { .. })),
                "{scope}"
            );
        }
        assert!(matches!(
            resource_of_scope("x/.default openid y/.default"),
            Err(DirectoryError::ScopesOfTwoResources)
        ));
    }
}
