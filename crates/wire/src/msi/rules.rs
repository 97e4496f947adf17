//! The HTTP rules of the endpoint: what a request must look like before anything of it is believed.
//!
//! They are against confused deputies: a forwarder, a browser or a server-side request forgery *inside* the app comes from the right
//! cgroup, so that attestation cannot tell it from the app; what it adds to or cannot set on a request can. Cloud metadata services
//! refuse the same. HTTP/1.0 is refused since no SDK speaks it, and simple reverse proxies do, without any forwarding header.
//! Spec: RFC 9110, RFC 9112; <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.

use domain::Secret;
use http::{HeaderMap, HeaderValue, Method, Version, request::Parts};

/// The one path of an endpoint.
pub const PATH: &str = "/msi/token";

/// Which generation of the protocol a request's secret header belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// `api-version=2019-08-01` with `X-IDENTITY-HEADER`.
    V2019,
    /// `api-version=2017-09-01` with `Secret`.
    V2017,
}

/// The secret of a request that kept the rules.
#[derive(Debug)]
pub struct Presented {
    /// Which header carried it.
    pub generation: Generation,
    /// The header's value. `None` if it is no text: then it is wrong.
    pub secret: Option<Secret<String>>,
}

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It looks like somebody else's request that was passed on. Answered like a failed attestation.
    Deputy(&'static str),
    /// Not `GET`.
    Method,
    /// Not [`PATH`].
    Path,
    /// It has a body.
    Body,
    /// No secret header.
    NoSecret,
}

impl Breach {
    /// For the audit log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Deputy(what) => what,
            Self::Method => "the method is not GET",
            Self::Path => "the path is not that of the endpoint",
            Self::Body => "the request has a body",
            Self::NoSecret => "there is no secret header",
        }
    }
}

/// Checks a request's head against all rules. The port is the endpoint's own.
///
/// # Errors
/// The first [`Breach`], deputies first: nothing else of their requests is looked at.
pub fn check(head: &Parts, port: u16) -> Result<Presented, Breach> {
    if head.version != Version::HTTP_11 {
        return Err(Breach::Deputy("the request is not HTTP/1.1"));
    }
    if head.method == Method::CONNECT || head.uri.authority().is_some() {
        return Err(Breach::Deputy("the request target is meant for a proxy"));
    }
    let found = Found::of(&head.headers)?;
    match found.host {
        Some(host) if is_own_host(host.as_bytes(), port) => {}
        Some(_) => return Err(Breach::Deputy("the Host header is not the endpoint's address")),
        None => return Err(Breach::Deputy("there is no Host header")),
    }
    if head.method != Method::GET {
        return Err(Breach::Method);
    }
    if head.uri.path() != PATH {
        return Err(Breach::Path);
    }
    if found.has_body {
        return Err(Breach::Body);
    }
    let (generation, value) = found.secret.ok_or(Breach::NoSecret)?;
    let secret = value.to_str().ok().map(|text| Secret::new(text.to_owned()));
    Ok(Presented { generation, secret })
}

/// What one walk over the headers finds.
#[derive(Default)]
struct Found<'h> {
    host: Option<&'h HeaderValue>,
    secret: Option<(Generation, &'h HeaderValue)>,
    has_body: bool,
}

impl<'h> Found<'h> {
    fn of(headers: &'h HeaderMap) -> Result<Self, Breach> {
        let mut found = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "host" if found.host.replace(value).is_some() => {
                    return Err(Breach::Deputy("there are two Host headers"));
                }
                "x-identity-header" => found.secret(Generation::V2019, value)?,
                "secret" => found.secret(Generation::V2017, value)?,
                "content-length" => found.has_body |= value.as_bytes() != b"0",
                "transfer-encoding" => found.has_body = true,
                "forwarded" | "via" | "x-real-ip" => return Err(Breach::Deputy("the request was forwarded")),
                "origin" | "referer" | "cookie" => {
                    return Err(Breach::Deputy("the request comes from a browser"));
                }
                name if name.starts_with("x-forwarded") || name.starts_with("proxy-") => {
                    return Err(Breach::Deputy("the request was forwarded"));
                }
                name if name.starts_with("sec-fetch-") => {
                    return Err(Breach::Deputy("the request comes from a browser"));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// One secret in all: of two, a forwarder may have set one and its client the other.
    fn secret(&mut self, generation: Generation, value: &'h HeaderValue) -> Result<(), Breach> {
        match self.secret.replace((generation, value)) {
            None => Ok(()),
            Some(_) => Err(Breach::Deputy("there are two secret headers")),
        }
    }
}

/// A literal address, so that no name that is made to resolve to loopback passes (DNS rebinding).
fn is_own_host(host: &[u8], port: u16) -> bool {
    let Some(text) = host.strip_prefix(b"127.0.0.1:").or_else(|| host.strip_prefix(b"localhost:")) else {
        return false;
    };
    // The digits as we would print them: "04141" or "+4141" is not our port.
    std::str::from_utf8(text).is_ok_and(|text| !text.starts_with(['0', '+']) && text.parse() == Ok(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const PORT: u16 = 4141;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn with(extra: &[(&str, &str)]) -> Result<Presented, Breach> {
        let headers = [&[("host", "127.0.0.1:4141"), ("x-identity-header", "s")], extra].concat();
        check(&head("GET", "/msi/token?resource=r", &headers), PORT)
    }

    #[test]
    fn what_sdks_send_is_accepted() {
        for extra in [
            &[][..],
            &[("content-type", "application/x-www-form-urlencoded;charset=utf-8")],
            &[("metadata", "true"), ("content-length", "0"), ("connection", "keep-alive")],
        ] {
            assert_eq!(with(extra).unwrap().generation, Generation::V2019);
        }
        let old = head("GET", PATH, &[("Host", "localhost:4141"), ("Secret", "s3")]);
        let presented = check(&old, PORT).unwrap();
        assert_eq!(presented.generation, Generation::V2017);
        assert_eq!(presented.secret.unwrap().expose(), "s3");
    }

    #[test]
    fn deputies_are_refused() {
        for (name, value) in [
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "shop"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("via", "1.1 proxy"),
            ("proxy-authorization", "Basic x"),
            ("origin", "http://evil.example"),
            ("referer", "http://evil.example/"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-site", "same-origin"),
            ("cookie", "a=b"),
            ("x-identity-header", "s"),
            ("x-identity-header", "other"),
            ("secret", "s"),
            ("host", "127.0.0.1:4141"),
        ] {
            assert!(matches!(with(&[(name, value)]), Err(Breach::Deputy(_))), "{name}");
        }
    }

    #[test]
    fn only_the_literal_address_is_a_host() {
        for host in [
            "evil.example",
            "evil.example:4141",
            "127.0.0.1",
            "127.0.0.1:4142",
            "127.0.0.1:04141",
            "127.0.0.1:+4141",
            "127.0.0.1.evil.example:4141",
            "localhost",
            "localhost.:4141",
            "[::1]:4141",
            "0.0.0.0:4141",
            "127.1:4141",
            "",
        ] {
            let head = head("GET", PATH, &[("host", host), ("x-identity-header", "s")]);
            assert!(matches!(check(&head, PORT), Err(Breach::Deputy(_))), "{host}");
        }
        assert!(matches!(
            check(&head("GET", PATH, &[("x-identity-header", "s")]), PORT),
            Err(Breach::Deputy(_))
        ));
    }

    #[test]
    fn targets_methods_versions_and_bodies_are_exact() {
        let headers = [("host", "127.0.0.1:4141"), ("x-identity-header", "s")];
        let breach = |method, target| check(&head(method, target, &headers), PORT).unwrap_err();
        assert!(matches!(breach("GET", "http://127.0.0.1:4141/msi/token"), Breach::Deputy(_)));
        assert!(matches!(breach("CONNECT", "127.0.0.1:4141"), Breach::Deputy(_)));
        for method in ["POST", "HEAD", "PUT", "OPTIONS", "DELETE", "TRACE", "get"] {
            assert_eq!(breach(method, PATH), Breach::Method, "{method}");
        }
        for path in ["/", "/msi/token/", "/MSI/token", "//msi/token", "/msi/../msi/token", "/msi/%74oken"] {
            assert_eq!(breach("GET", path), Breach::Path, "{path}");
        }
        for (name, value) in
            [("content-length", "1"), ("transfer-encoding", "chunked"), ("content-length", "00")]
        {
            assert_eq!(with(&[(name, value)]).unwrap_err(), Breach::Body, "{name}: {value}");
        }
        let mut old = head("GET", PATH, &headers);
        old.version = Version::HTTP_10;
        assert!(matches!(check(&old, PORT), Err(Breach::Deputy(_))));
        assert_eq!(check(&head("GET", PATH, &headers[..1]), PORT).unwrap_err(), Breach::NoSecret);
    }

    #[test]
    fn a_secret_that_is_no_text_is_wrong_not_missing() {
        let mut head = head("GET", PATH, &[("host", "127.0.0.1:4141")]);
        head.headers.insert("x-identity-header", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        assert!(check(&head, PORT).unwrap().secret.is_none());
    }
}
