//! Where an issuer's documents are: which URLs and which addresses may be asked.
//!
//! An administrator names an issuer, and means that host, also one in a private network. The host of its keys is named by a document from
//! outside: unless it is the same one, its addresses must be public, so that no document makes this server look around in its own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A place on the web.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) target: String,
}

impl Place {
    /// The discovery document of an issuer.
    pub(super) fn of_issuer(issuer: &str, loopback: bool) -> Result<Self, &'static str> {
        if issuer.contains(['?', '#']) {
            return Err("its issuer is a URL without query and fragment");
        }
        Self::parse(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')), loopback)
    }

    /// A key set.
    pub(super) fn of_keys(url: &str, loopback: bool) -> Result<Self, &'static str> {
        Self::parse(url, loopback)
    }

    fn parse(url: &str, loopback: bool) -> Result<Self, &'static str> {
        const NO_URL: &str = "its issuer is no URL that can be asked";
        let uri: http::Uri = url.parse().map_err(|_| NO_URL)?;
        let authority = uri.authority().ok_or(NO_URL)?;
        if authority.as_str().contains('@') {
            return Err("its issuer is a URL without a user");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if loopback => false,
            _ => return Err("an issuer whose keys are fetched has a URL with https"),
        };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            // As text: the library passes over what is no port.
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(NO_URL)?,
            None => return Err(NO_URL),
        };
        if host.is_empty() {
            return Err(NO_URL);
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Ok(Self { is_tls, host, port, target })
    }

    /// Is it at the same host and port?
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (self.is_tls, &self.host, self.port) == (other.is_tls, &other.host, other.port)
    }

    /// May it be asked at this address? `is_named` by an administrator, it may be in a private network.
    pub(super) fn may_be_at(&self, address: IpAddr, is_named: bool, loopback: bool) -> bool {
        match reach(address.to_canonical()) {
            Reach::Public => self.is_tls,
            Reach::Private => self.is_tls && is_named,
            Reach::Loopback => loopback,
            Reach::Nowhere => false,
        }
    }

    /// As the `Host` header has it.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Loopback,
    /// Link-local, where clouds keep their metadata, and what is no single machine's address.
    Nowhere,
}

/// Source: IANA's registries of special-purpose addresses (RFC 6890).
fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => of_v4(v4),
        IpAddr::V6(v6) => of_v6(v6),
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        [0 | 224..=255, ..] | [169, 254, ..] => Reach::Nowhere,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // Of protocols, documentation and benchmarks: some use them for networks of their own.
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Reach::Private,
        _ => Reach::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        [0, 0, 0, 0, 0, 0, 0, 0] | [0xfe80..=0xfebf | 0xff00..=0xffff, ..] => Reach::Nowhere,
        // Translated IPv4: as far as that reaches.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            match of_v4(Ipv4Addr::new(a, b, c, d)) {
                Reach::Loopback => Reach::Nowhere,
                other => other,
            }
        }
        // Global unicast is 2000::/3; all else is private, reserved or of a protocol.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_plain_https_urls() {
        let place = Place::of_issuer("https://Token.example:8443/a/", false).unwrap();
        assert_eq!((&*place.host, place.port, place.is_tls), ("token.example", 8443, true));
        assert_eq!(place.target, "/a/.well-known/openid-configuration");
        assert_eq!(place.authority(), "token.example:8443");
        assert_eq!(Place::of_issuer("https://x.example", false).unwrap().authority(), "x.example");
        assert_eq!(Place::of_issuer("https://[2001:db8::1]", false).unwrap().authority(), "[2001:db8::1]");
        for bad in [
            "",
            "x",
            "http://x.example",
            "ftp://x.example",
            "file:///etc/passwd",
            "https://",
            "https://u@x.example",
            "https://u:p@x.example",
            "https://x.example?a",
            "https://x.example#a",
            "https://x.example:0x50",
            "https://x.example:99999",
            "https://x y.example",
        ] {
            assert!(Place::of_issuer(bad, false).is_err(), "{bad}");
        }
        assert!(Place::of_issuer("http://127.0.0.1:8080", true).is_ok());
        let keys = Place::of_keys("https://token.example:8443/keys?p=x", false).unwrap();
        assert!(keys.is_beside(&place) && keys.target == "/keys?p=x");
        for elsewhere in ["https://token.example/keys", "https://keys.example:8443/keys"] {
            assert!(!Place::of_keys(elsewhere, false).unwrap().is_beside(&place), "{elsewhere}");
        }
    }

    #[test]
    fn addresses_are_asked_as_far_as_they_were_meant() {
        let may = |address: &str, is_named, loopback| {
            let place = Place::of_issuer("https://x.example", false).unwrap();
            place.may_be_at(address.parse().unwrap(), is_named, loopback)
        };
        for public in ["20.1.2.3", "2603:1000::1", "64:ff9b::1401:203", "::ffff:20.1.2.3"] {
            assert!(may(public, false, false), "{public}");
        }
        for private in [
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
        ] {
            assert!(may(private, true, false) && !may(private, false, false), "{private}");
        }
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(!may(loopback, true, false) && may(loopback, true, true), "{loopback}");
        }
        for nowhere in [
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(!may(nowhere, true, true), "{nowhere}");
        }
        // Without TLS on this machine only.
        let plain = Place::of_issuer("http://localhost:1", true).unwrap();
        assert!(plain.may_be_at("127.0.0.1".parse().unwrap(), true, true));
        assert!(!plain.may_be_at("20.1.2.3".parse().unwrap(), true, true));
    }
}
