//! The HTTP rules of the endpoint: what a request must look like before anything of it is believed.
//!
//! They are against confused deputies: a forwarder, a browser or a server-side request forgery *inside* the app comes from the right
//! cgroup, so that attestation cannot tell it from the app; what it adds to or cannot set on a request can. Cloud metadata services
//! refuse the same. HTTP/1.0 is refused since no SDK speaks it, and simple reverse proxies do, without any forwarding header.
//! Azure Arc's has both, a header and a key. Of IMDS they are all that a request must keep: it has no secret, so that a forgery that could set headers would be the app.
//! Spec: RFC 9110, RFC 9112; <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.

use super::Protocol;
use domain::Secret;
use http::{HeaderMap, HeaderValue, Method, Version, request::Parts};

/// By which rules a request's query is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// App Service's `api-version=2019-08-01`, with `X-IDENTITY-HEADER`.
    V2019,
    /// App Service's `api-version=2017-09-01`, with `Secret`.
    V2017,
    /// That of Azure Arc's agent, with `Metadata: true`.
    Arc,
    /// That of IMDS, with `Metadata: true`.
    Imds,
}

/// What a request that kept the rules presents.
#[derive(Debug)]
pub struct Presented {
    /// Which header carried it.
    pub generation: Generation,
    /// By what it proves to be the app's own.
    pub proof: Proof,
}

/// By what a request proves to be the app's own, besides its connection.
#[derive(Debug)]
pub enum Proof {
    /// The value of a secret header. `None` if it is no text: then it is wrong.
    Secret(Option<Secret<String>>),
    /// What was in the file that it was left. `None` if it is no text, or comes under another scheme: then it is wrong.
    Key(Option<Secret<String>>),
    /// Nothing yet: it asks where the file is.
    None,
    /// Nothing: the kernel's word for the connection must do.
    Connection,
}

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It looks like somebody else's request that was passed on. Answered like a failed attestation.
    Deputy(&'static str),
    /// Not `GET`.
    Method,
    /// Not [`Protocol::path`].
    Path,
    /// It has a body.
    Body,
    /// No secret header.
    NoSecret,
    /// Not exactly one `Metadata: true`.
    NoMetadata,
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
            Self::NoMetadata => "there is no header Metadata: true",
        }
    }
}

/// Checks a request's head against all rules.
///
/// # Errors
/// The first [`Breach`], deputies first: nothing else of their requests is looked at.
pub fn check(head: &Parts, protocol: Protocol) -> Result<Presented, Breach> {
    if head.version != Version::HTTP_11 {
        return Err(Breach::Deputy("the request is not HTTP/1.1"));
    }
    if head.method == Method::CONNECT || head.uri.authority().is_some() {
        return Err(Breach::Deputy("the request target is meant for a proxy"));
    }
    let found = Found::of(&head.headers)?;
    match found.host {
        Some(host) if is_own_host(host.as_bytes(), protocol) => {}
        Some(_) => return Err(Breach::Deputy("the Host header is not the endpoint's address")),
        None => return Err(Breach::Deputy("there is no Host header")),
    }
    if let (Protocol::AppService { .. }, Once::More) = (protocol, &found.secret) {
        return Err(Breach::Deputy("there are two secret headers"));
    }
    if let (Protocol::Arc { .. }, Once::More) = (protocol, &found.authorization) {
        return Err(Breach::Deputy("there are two Authorization headers"));
    }
    if head.method != Method::GET {
        return Err(Breach::Method);
    }
    if !is_own_path(head.uri.path(), protocol) {
        return Err(Breach::Path);
    }
    if found.has_body {
        return Err(Breach::Body);
    }
    match (protocol, found.secret, found.metadata) {
        (Protocol::AppService { .. }, Once::One((generation, value)), _) => {
            let secret = value.to_str().ok().map(|text| Secret::new(text.to_owned()));
            Ok(Presented { generation, proof: Proof::Secret(secret) })
        }
        (Protocol::AppService { .. }, ..) => Err(Breach::NoSecret),
        // The words of the real service's documentation: lower-case, and nothing else.
        (Protocol::Imds, _, Once::One(value)) if value == "true" => {
            Ok(Presented { generation: Generation::Imds, proof: Proof::Connection })
        }
        (Protocol::Arc { .. }, _, Once::One(value)) if value == "true" => {
            let proof = match found.authorization {
                Once::One(value) => Proof::Key(key(value)),
                Once::None | Once::More => Proof::None,
            };
            Ok(Presented { generation: Generation::Arc, proof })
        }
        (Protocol::Arc { .. } | Protocol::Imds, ..) => Err(Breach::NoMetadata),
    }
}

/// What comes after the scheme, as it is: clients send what they have read, and no user and password (RFC 7617) in it.
fn key(value: &HeaderValue) -> Option<Secret<String>> {
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Basic").then(|| Secret::new(key.to_owned()))
}

/// What may be there once.
#[derive(Default)]
enum Once<T> {
    #[default]
    None,
    One(T),
    More,
}

impl<T> Once<T> {
    fn put(&mut self, value: T) {
        *self = match self {
            Self::None => Self::One(value),
            Self::One(_) | Self::More => Self::More,
        };
    }
}

/// What one walk over the headers finds.
#[derive(Default)]
struct Found<'h> {
    host: Option<&'h HeaderValue>,
    /// One in all: of two, a forwarder may have set one and its client the other.
    secret: Once<(Generation, &'h HeaderValue)>,
    metadata: Once<&'h HeaderValue>,
    authorization: Once<&'h HeaderValue>,
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
                "x-identity-header" => found.secret.put((Generation::V2019, value)),
                "secret" => found.secret.put((Generation::V2017, value)),
                "metadata" => found.metadata.put(value),
                "authorization" => found.authorization.put(value),
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
}

/// The endpoint's own path. That of IMDS may end with a slash, as JavaScript's SDK builds it where it is told the host.
fn is_own_path(path: &str, protocol: Protocol) -> bool {
    match protocol {
        Protocol::AppService { .. } | Protocol::Arc { .. } => path == protocol.path(),
        Protocol::Imds => path.strip_suffix('/').unwrap_or(path) == protocol.path(),
    }
}

/// A literal address, so that no name that is made to resolve to it passes (DNS rebinding).
fn is_own_host(host: &[u8], protocol: Protocol) -> bool {
    let (Protocol::AppService { port } | Protocol::Arc { port }) = protocol else {
        return matches!(host, b"169.254.169.254" | b"169.254.169.254:80");
    };
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

    const APP_SERVICE: Protocol = Protocol::AppService { port: 4141 };
    const PATH: &str = APP_SERVICE.path();

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn with(extra: &[(&str, &str)]) -> Result<Presented, Breach> {
        let headers = [&[("host", "127.0.0.1:4141"), ("x-identity-header", "s")], extra].concat();
        check(&head("GET", "/msi/token?resource=r", &headers), APP_SERVICE)
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
        let presented = check(&old, APP_SERVICE).unwrap();
        assert_eq!(presented.generation, Generation::V2017);
        assert!(matches!(presented.proof, Proof::Secret(Some(secret)) if secret.expose() == "s3"));
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
            assert!(matches!(check(&head, APP_SERVICE), Err(Breach::Deputy(_))), "{host}");
        }
        assert!(matches!(
            check(&head("GET", PATH, &[("x-identity-header", "s")]), APP_SERVICE),
            Err(Breach::Deputy(_))
        ));
    }

    #[test]
    fn targets_methods_versions_and_bodies_are_exact() {
        let headers = [("host", "127.0.0.1:4141"), ("x-identity-header", "s")];
        let breach = |method, target| check(&head(method, target, &headers), APP_SERVICE).unwrap_err();
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
        assert!(matches!(check(&old, APP_SERVICE), Err(Breach::Deputy(_))));
        assert_eq!(check(&head("GET", PATH, &headers[..1]), APP_SERVICE).unwrap_err(), Breach::NoSecret);
    }

    #[test]
    fn a_secret_that_is_no_text_is_wrong_not_missing() {
        let mut head = head("GET", PATH, &[("host", "127.0.0.1:4141")]);
        head.headers.insert("x-identity-header", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        assert!(matches!(check(&head, APP_SERVICE).unwrap().proof, Proof::Secret(None)));
    }

    fn imds(target: &str, headers: &[(&str, &str)]) -> Result<Presented, Breach> {
        check(&head("GET", target, &[&[("host", "169.254.169.254")], headers].concat()), Protocol::Imds)
    }

    const IMDS_PATH: &str = Protocol::Imds.path();

    #[test]
    fn metadata_requests_need_their_header_and_no_secret() {
        // Rust's SDK sends the secret header along where there is one.
        for extra in [&[][..], &[("x-identity-header", "s")], &[("x-identity-header", "s"), ("secret", "s")]]
        {
            for path in [IMDS_PATH, "/metadata/identity/oauth2/token/?api-version=2018-02-01"] {
                let presented = imds(path, &[&[("metadata", "true")], extra].concat()).unwrap();
                assert_eq!(presented.generation, Generation::Imds);
                assert!(matches!(presented.proof, Proof::Connection));
            }
        }
        for headers in [
            &[][..],
            &[("metadata", "True")],
            &[("metadata", "TRUE")],
            &[("metadata", "")],
            &[("metadata", "true, true")],
            &[("metadata", "false")],
            &[("metadata", "true"), ("metadata", "true")],
            &[("metadata", "true"), ("metadata", "false")],
            &[("x-identity-header", "s")],
        ] {
            assert_eq!(imds(IMDS_PATH, headers).unwrap_err(), Breach::NoMetadata, "{headers:?}");
        }
        for path in ["/", "/metadata/instance", "/msi/token", "/metadata/identity/oauth2/token//"] {
            assert_eq!(imds(path, &[("metadata", "true")]).unwrap_err(), Breach::Path, "{path}");
        }
        assert_eq!(
            imds(IMDS_PATH, &[("metadata", "true"), ("content-length", "2")]).unwrap_err(),
            Breach::Body
        );
    }

    const ARC: Protocol = Protocol::Arc { port: 4141 };

    fn arc(headers: &[(&str, &str)]) -> Result<Presented, Breach> {
        let host = [("host", "localhost:4141")];
        check(&head("GET", ARC.path(), &[&host, headers].concat()), ARC)
    }

    #[test]
    fn azure_arc_is_asked_without_a_key_and_then_with_what_the_file_says() {
        let asked = arc(&[("metadata", "true")]).unwrap();
        assert_eq!(asked.generation, Generation::Arc);
        assert!(matches!(asked.proof, Proof::None));
        for (value, key) in [("Basic k-_1", Some("k-_1")), ("basic k", Some("k")), ("Basic  k ", Some(" k"))]
        {
            let Proof::Key(found) = arc(&[("metadata", "true"), ("authorization", value)]).unwrap().proof
            else {
                panic!("{value}");
            };
            assert_eq!(found.as_ref().map(|found| found.expose().trim_end()), key, "{value}");
        }
        for value in ["Bearer k", "Basic", "k", ""] {
            let presented = arc(&[("metadata", "true"), ("authorization", value)]).unwrap();
            assert!(matches!(presented.proof, Proof::Key(None)), "it is wrong, not missing: {value}");
        }
        for headers in [&[][..], &[("metadata", "True")], &[("authorization", "Basic k")]] {
            assert_eq!(arc(headers).unwrap_err(), Breach::NoMetadata, "{headers:?}");
        }
        let twice = [("metadata", "true"), ("authorization", "Basic k"), ("authorization", "Basic l")];
        assert!(matches!(arc(&twice), Err(Breach::Deputy(_))));
        for (name, value) in [
            ("x-forwarded-for", "10.0.0.1"),
            ("via", "1.1 proxy"),
            ("proxy-authorization", "Basic k"),
            ("origin", "http://localhost:4141"),
            ("cookie", "a=b"),
            ("host", "127.0.0.1:4141"),
        ] {
            assert!(matches!(arc(&[("metadata", "true"), (name, value)]), Err(Breach::Deputy(_))), "{name}");
        }
        for host in ["127.0.0.1:4142", "evil.example:4141", "169.254.169.254"] {
            let head = head("GET", ARC.path(), &[("host", host), ("metadata", "true")]);
            assert!(matches!(check(&head, ARC), Err(Breach::Deputy(_))), "{host}");
        }
        let elsewhere = head("GET", "/msi/token", &[("host", "127.0.0.1:4141"), ("metadata", "true")]);
        assert_eq!(check(&elsewhere, ARC).unwrap_err(), Breach::Path);
    }

    #[test]
    fn metadata_requests_of_deputies_are_refused() {
        for (name, value) in [
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("via", "1.1 proxy"),
            ("origin", "http://169.254.169.254"),
            ("referer", "http://evil.example/"),
            ("sec-fetch-site", "cross-site"),
            ("cookie", "a=b"),
            ("host", "169.254.169.254"),
        ] {
            let breach = imds(IMDS_PATH, &[("metadata", "true"), (name, value)]).unwrap_err();
            assert!(matches!(breach, Breach::Deputy(_)), "{name}");
        }
        for host in
            ["evil.example", "169.254.169.254:8080", "127.0.0.1", "localhost:80", "169.254.169.254.", ""]
        {
            let head = head("GET", IMDS_PATH, &[("host", host), ("metadata", "true")]);
            assert!(matches!(check(&head, Protocol::Imds), Err(Breach::Deputy(_))), "{host}");
        }
        let whole = format!("http://169.254.169.254{IMDS_PATH}");
        assert!(matches!(imds(&whole, &[("metadata", "true")]), Err(Breach::Deputy(_))));
        let with_port = head("GET", IMDS_PATH, &[("host", "169.254.169.254:80"), ("metadata", "true")]);
        assert!(check(&with_port, Protocol::Imds).is_ok());
    }
}
