//! The client acts for itself (RFC 6749 section 4.4): what it has proven itself to be, it is granted.

use crate::{DirectoryError, RequestError, claims::Proof, client::Authenticated, tenant::shown};
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
pub(crate) fn resource_of_scope(scope: &str) -> Result<String, DirectoryError> {
    const SUFFIX: &str = "/.default";
    let malformed = || DirectoryError::ScopeMalformed { scope: shown(scope) };
    // RFC 6749 section 3.3.
    let is_token = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let mut resource: Option<&str> = None;
    for one in scope.split_ascii_whitespace() {
        if one.len() > limits::AUDIENCE_CHARS_MAX || !one.bytes().all(is_token) {
            return Err(malformed());
        }
        let of = one
            .strip_suffix(SUFFIX)
            .ok_or_else(|| DirectoryError::Request(RequestError::ScopeNotDefault { scope: shown(scope) }))?;
        match resource {
            _ if of.is_empty() => return Err(malformed()),
            Some(other) if other != of => return Err(DirectoryError::ScopesOfTwoResources),
            _ => resource = Some(of),
        }
    }
    resource.map(str::to_owned).ok_or_else(malformed)
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
        ] {
            assert_eq!(resource_of_scope(scope).unwrap(), resource, "{scope}");
        }
        for scope in [
            "https://vault.azure.net",
            "x/.default y",
            "https%3A%2F%2Fx%2F.default",
            "x/.DEFAULT",
            "openid",
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
            resource_of_scope("x/.default y/.default"),
            Err(DirectoryError::ScopesOfTwoResources)
        ));
    }
}
