//! Bearer authentication of requests to vaults, to Graph and to the resource manager, and the vaults' challenge (RFC 6750; Key Vault authentication requests).
//!
//! The challenge is spelled exactly as every SDK can read it: comma and space between the parameters, quotes around the values, the
//! authority's path the bare tenant, the resource a parent domain of the vault's host with the port text that the client used.

use crate::context::{Context, Services};
use access::{BearerFault, Caller, Verifier};
use domain::{SecretStr, Timestamp, limits};
use http::{HeaderMap, HeaderValue, header};

/// Why nobody is known to be calling.
#[derive(Debug)]
pub(crate) enum Unauthenticated {
    /// There is no token: the first request of every client.
    NoToken,
    /// The `Authorization` header is not one bearer token.
    HeaderMalformed,
    /// The token does not hold.
    Fault(BearerFault),
}

/// The caller of a request, by its bearer token for whom this verifies.
pub(crate) fn caller(
    services: &Services,
    verifier: &Verifier,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, Unauthenticated> {
    let token = token(headers)?;
    verifier.verify(token, &*services.directory, now).map_err(Unauthenticated::Fault)
}

/// The one bearer token of a request.
pub(crate) fn token(headers: &HeaderMap) -> Result<SecretStr<'_>, Unauthenticated> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Unauthenticated::NoToken) };
    // Two headers are two opinions of who is calling.
    if values.next().is_some() {
        return Err(Unauthenticated::HeaderMalformed);
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Unauthenticated::HeaderMalformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Unauthenticated::HeaderMalformed)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > limits::TOKEN_BYTES_MAX {
        return Err(Unauthenticated::HeaderMalformed);
    }
    Ok(SecretStr::new(token))
}

/// The challenge for a request to this host (the `Host` header of a vault of ours).
pub(crate) fn challenge(services: &Services, context: &Context, host: &str) -> HeaderValue {
    let port = match port(host) {
        Some(port) => format!(":{port}"),
        None => String::new(),
    };
    let (names, tenant) = (context.names(services), services.directory.tenant().id);
    let text = format!(
        "Bearer authorization=\"https://{}{port}/{tenant}\", resource=\"https://{}{port}\"",
        names.login_host(),
        names.vault_parent_host()
    );
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

/// The port text of a host header, if it is one: never anything else of what a client wrote.
fn port(host: &str) -> Option<u16> {
    host.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn one_bearer_token_and_nothing_else() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(token(&headers(&[good])).unwrap().expose(), "abc", "{good}");
        }
        assert!(matches!(token(&headers(&[])), Err(Unauthenticated::NoToken)));
        let long = format!("Bearer {}", "x".repeat(limits::TOKEN_BYTES_MAX + 1));
        for bad in
            [&["Basic abc"][..], &["Bearer"], &["Bearer "], &["abc"], &["Bearer a", "Bearer a"], &[&long]]
        {
            assert!(matches!(token(&headers(bad)), Err(Unauthenticated::HeaderMalformed)));
        }
    }

    #[test]
    fn only_a_port_is_taken_from_the_host_header() {
        assert_eq!(port("shop.vault.x:8443"), Some(8443));
        assert_eq!(port("shop.vault.x"), None);
        assert_eq!(port("shop.vault.x:8443\", resource=\"https://evil"), None);
    }
}
