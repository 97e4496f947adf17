//! Which headers go from a client to an app, and which come back.
//!
//! What is about one connection ends here (RFC 9110 section 7.6.1). What tells an app who is calling is ours to say, so what a client says of it
//! is thrown away: addresses, App Service's signed-in user, and the headers by which an app itself asks for tokens, which an app that
//! passes requests on without looking must not be made to send.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};
use std::net::IpAddr;

/// About one connection, whether `Connection` names them or not.
const OF_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // Of the upgrade to HTTP/2 (RFC 7540 section 3.2.1).
    HeaderName::from_static("http2-settings"),
];

/// Never a client's to say.
const NOT_OF_CLIENTS: [HeaderName; 13] = [
    header::FORWARDED,
    // Who takes the body says when it may come.
    header::EXPECT,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("disguised-host"),
    HeaderName::from_static("was-default-hostname"),
    // What follows CGI makes `HTTP_PROXY` of it, by which libraries find a proxy for the app's own requests.
    HeaderName::from_static("proxy"),
    HeaderName::from_static("x-identity-header"),
    HeaderName::from_static("metadata"),
    // What the oldest version of App Service's identity endpoint calls its header.
    HeaderName::from_static("secret"),
];
/// Among them what App Service's front end tells, such as the caller's certificate, and what Azure's Front Door says of itself.
const NOT_OF_CLIENTS_PREFIXES: [&str; 8] = [
    "x-forwarded-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-arr-",
    "x-azure-",
    "x-original-",
    "x-waws-",
    "x-appservice-",
];

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The protocol that a request asks to change to, if it may be passed on. Not HTTP/2: requests in it would go past all that is here.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut named = headers.get_all(header::UPGRADE).iter();
    let protocol = named.next()?;
    let is_named = nominated(headers).any(|name| name.eq_ignore_ascii_case("upgrade"));
    let is_http = |part: &str| ["h2", "http", "tls"].iter().any(|bad| part.starts_with(bad));
    let is_http = protocols(protocol)?.iter().any(|part| is_http(part));
    (is_named && !is_http && named.next().is_none()).then(|| protocol.clone())
}

/// Is what an app changes to one of the protocols that it was asked for?
pub(super) fn is_asked_for(answered: &HeaderValue, asked: &HeaderValue) -> bool {
    let (Some(answered), Some(asked)) = (protocols(answered), protocols(asked)) else { return false };
    matches!(&*answered, [one] if asked.contains(one))
}

/// The names in an `Upgrade`, in lower case. `None` if it has others than of ASCII.
fn protocols(value: &HeaderValue) -> Option<Vec<String>> {
    let text = value.to_str().ok()?.to_ascii_lowercase();
    let parts = text.split(|one: char| one == ',' || one.is_whitespace()).filter(|part| !part.is_empty());
    Some(parts.map(str::to_owned).collect())
}

/// A request's headers for the app.
pub(super) fn to_app(headers: &mut HeaderMap, client: Option<IpAddr>, upgrade: Option<&HeaderValue>) {
    let takes_trailers = headers.get_all(header::TE).iter().any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
    });
    remove_of_connection(headers);
    let strange: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            // Gateways of many languages read `_` as `-`: `X_Forwarded_For` would be taken for ours.
            name.contains('_') || NOT_OF_CLIENTS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
        .cloned()
        .collect();
    strange.iter().chain(&NOT_OF_CLIENTS).for_each(|name| remove(headers, name));
    if let Some(client) =
        client.and_then(|client| HeaderValue::try_from(client.to_canonical().to_string()).ok())
    {
        headers.insert(FOR, client);
    }
    headers.insert(PROTO, HeaderValue::from_static("https"));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    match upgrade {
        Some(protocol) => change_to(headers, protocol.clone()),
        None if takes_trailers => {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        None => {}
    }
}

/// An answer's headers for the client.
pub(super) fn to_client(headers: &mut HeaderMap) {
    remove_of_connection(headers);
}

/// Says that the connection changes to another protocol.
pub(super) fn change_to(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

fn remove_of_connection(headers: &mut HeaderMap) {
    // Without its host or its length a message would be another one.
    let named: Vec<HeaderName> = nominated(headers)
        .filter_map(|name| HeaderName::try_from(name).ok())
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    named.iter().chain(&OF_CONNECTION).for_each(|name| remove(headers, name));
}

/// What `Connection` names.
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// With all its values.
fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    if let Entry::Occupied(entry) = headers.entry(name) {
        entry.remove_entry_mult();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn an_app_gets_what_is_meant_for_it() {
        let mut sent = headers(&[
            ("host", "web.apps.x:8443"),
            ("cookie", "a=b"),
            ("accept", "*/*"),
            ("content-length", "3"),
            ("connection", "keep-alive, X-Hop, Host, content-length"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip;q=0.5, Trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "5.6.7.8"),
            ("x-forwarded-port", "1"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("true-client-ip", "1.2.3.4"),
            ("x-arr-clientcert", "MII"),
            ("x-azure-clientip", "1.2.3.4"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("x-waws-unencoded-url", "/admin"),
            ("x-appservice-proto", "https"),
            ("disguised-host", "evil"),
            ("was-default-hostname", "evil"),
            ("proxy", "http://evil"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("x-identity-header", "guess"),
            ("metadata", "true"),
            ("secret", "guess"),
            ("x-ms-client-principal-name", "admin"),
            ("x-ms-token-aad-access-token", "x"),
        ]);
        to_app(&mut sent, Some("::ffff:10.0.0.9".parse().unwrap()), None);
        assert_eq!(
            shown(&sent),
            [
                "accept: */*",
                "connection: te",
                "content-length: 3",
                "cookie: a=b",
                "host: web.apps.x:8443",
                "te: trailers",
                "x-forwarded-for: 10.0.0.9",
                "x-forwarded-host: web.apps.x:8443",
                "x-forwarded-proto: https",
            ]
        );
    }

    #[test]
    fn an_address_that_is_not_known_is_not_said() {
        let mut sent = headers(&[("x-forwarded-for", "1.2.3.4")]);
        to_app(&mut sent, None, None);
        assert_eq!(shown(&sent), ["x-forwarded-proto: https"]);
    }

    #[test]
    fn a_client_gets_what_the_app_says() {
        let mut said = headers(&[
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2; Domain=apps.x"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x-sum"),
            ("server", "gunicorn"),
        ]);
        to_client(&mut said);
        assert_eq!(
            shown(&said),
            ["server: gunicorn", "set-cookie: a=1", "set-cookie: b=2; Domain=apps.x", "trailer: x-sum"]
        );
    }

    #[test]
    fn only_what_connection_names_is_an_upgrade_and_never_to_http() {
        let asks = |lines: &[(&'static str, &'static str)]| upgrade(&headers(lines)).is_some();
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
        assert!(!asks(&[("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "upgrade")]));
        for http in ["h2c", "H2C", "websocket, h2c", "websocket,\th2c", "\th2c", "HTTP/2.0", "TLS/1.0"] {
            let mut sent = headers(&[("connection", "upgrade, http2-settings"), ("http2-settings", "x")]);
            sent.insert(header::UPGRADE, HeaderValue::from_static(http));
            assert!(upgrade(&sent).is_none(), "{http}");
            to_app(&mut sent, None, None);
            assert_eq!(shown(&sent), ["x-forwarded-proto: https"]);
        }
        assert!(!asks(&[("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")]));
        let mut sent = headers(&[("connection", "Upgrade"), ("upgrade", "websocket"), ("host", "x")]);
        let protocol = upgrade(&sent);
        to_app(&mut sent, None, protocol.as_ref());
        assert!(sent[header::UPGRADE] == "websocket" && sent[header::CONNECTION] == "upgrade");
    }

    #[test]
    fn an_app_changes_to_one_protocol_that_it_was_asked_for() {
        let is_fine = |answered: &'static str, asked: &'static str| {
            is_asked_for(&HeaderValue::from_static(answered), &HeaderValue::from_static(asked))
        };
        assert!(is_fine("WebSocket", "websocket") && is_fine("b", "a,\tb, c"));
        for (answered, asked) in [
            ("h2c", "websocket"),
            ("", "websocket"),
            ("web", "websocket"),
            ("websocket, h2c", "websocket"),
            ("a, b", "a, b"),
        ] {
            assert!(!is_fine(answered, asked), "{answered:?} for {asked:?}");
        }
    }
}
