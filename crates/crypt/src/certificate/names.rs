//! Subject alternative names (RFC 5280 section 4.2.1.6): hosts, mailboxes, user principal names, URIs, addresses.
//!
//! Owns: [`AlternativeNames`], the rules of each kind and their limits; [`Reserved`], the names that are the installation's own. Owns
//! not: who may have which name beyond that. Internationalized hosts come as A-labels (RFC 5891), as they do to Key Vault.

use super::{CertificateError, Subject};
use der::{
    Any,
    asn1::{Ia5String, OctetString, Utf8StringRef},
    oid::ObjectIdentifier,
};
use std::net::IpAddr;
use x509_cert::ext::pkix::name::{GeneralName, OtherName};

/// Alternative names of one certificate that we make. Source: 100 is what Let's Encrypt allows; Key Vault tells no number.
pub const NAMES_MAX: usize = 100;
/// Characters of a host's name. Source: RFC 1035 section 2.3.4.
pub const DNS_NAME_CHARACTERS_MAX: usize = 253;
/// Characters of one label of it. Source: the same.
pub const DNS_LABEL_CHARACTERS_MAX: usize = 63;
/// Characters of a mailbox. Source: RFC 5321 section 4.5.3.1.3, less the two brackets.
pub const EMAIL_CHARACTERS_MAX: usize = 254;
/// Bytes of a user principal name. Source: Active Directory, userPrincipalName (1,024).
pub const UPN_BYTES_MAX: usize = 1_024;
/// Characters of a URI. Ours.
pub const URI_CHARACTERS_MAX: usize = 2_048;

/// Microsoft's user principal name, a UTF8String in an otherName.
const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

/// Alternative names by kind. What was read of a certificate may break our rules; what we sign may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlternativeNames {
    /// Hosts; the first label may be `*`.
    pub dns_names: Vec<String>,
    /// Mailboxes.
    pub emails: Vec<String>,
    /// User principal names.
    pub upns: Vec<String>,
    /// URIs, absolute.
    pub uris: Vec<String>,
    /// IP addresses.
    pub ip_addresses: Vec<IpAddr>,
}

const fn refused(why: &'static str) -> CertificateError {
    CertificateError::AlternativeName { why }
}

impl AlternativeNames {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dns_names.len() + self.emails.len() + self.upns.len() + self.uris.len() + self.ip_addresses.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether each is well-formed and there are not too many.
    ///
    /// # Errors
    /// [`CertificateError::AlternativeName`].
    pub fn check(&self) -> Result<(), CertificateError> {
        if self.len() > NAMES_MAX {
            return Err(refused("there are too many"));
        }
        let all = |names: &[String], is_good: fn(&str) -> bool, why| {
            if names.iter().all(|name| is_good(name)) { Ok(()) } else { Err(refused(why)) }
        };
        all(&self.dns_names, is_dns_name, "a DNS name is not a host's name")?;
        all(&self.emails, is_email, "an email is not a mailbox")?;
        all(&self.upns, is_upn, "a UPN is empty, too long, or has control characters")?;
        all(&self.uris, is_uri, "a URI is not absolute, too long, or has characters that a URI has not")
    }

    pub(super) fn to_general_names(&self) -> Result<Vec<GeneralName>, CertificateError> {
        const WRONG: CertificateError = refused("a name cannot be encoded");
        let ia5 = |name: &String| Ia5String::new(name).map_err(|_| WRONG);
        let mut names = Vec::with_capacity(self.len());
        for name in &self.dns_names {
            names.push(GeneralName::DnsName(ia5(name)?));
        }
        for name in &self.emails {
            names.push(GeneralName::Rfc822Name(ia5(name)?));
        }
        for name in &self.upns {
            let value = Utf8StringRef::new(name).map(Any::from).map_err(|_| WRONG)?;
            names.push(GeneralName::OtherName(OtherName { type_id: UPN, value }));
        }
        for name in &self.uris {
            names.push(GeneralName::UniformResourceIdentifier(ia5(name)?));
        }
        for address in &self.ip_addresses {
            let octets = match address {
                IpAddr::V4(address) => OctetString::new(address.octets().as_slice()),
                IpAddr::V6(address) => OctetString::new(address.octets().as_slice()),
            };
            names.push(GeneralName::IpAddress(octets.map_err(|_| WRONG)?));
        }
        Ok(names)
    }

    /// Names of a certificate. Those of kinds that Key Vault has no field for are left out (directory names, registered ids, other
    /// otherNames); one of a kind that it has, and that is not what its kind says, is an error.
    pub(super) fn from_general_names(names: &[GeneralName]) -> Result<Self, CertificateError> {
        const WRONG: CertificateError = CertificateError::CertificateMalformed;
        let mut found = Self::default();
        for name in names {
            match name {
                GeneralName::DnsName(name) => found.dns_names.push(name.to_string()),
                GeneralName::Rfc822Name(name) => found.emails.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(name) => found.uris.push(name.to_string()),
                GeneralName::OtherName(OtherName { type_id, value }) if *type_id == UPN => {
                    let name: Utf8StringRef<'_> = value.decode_as().map_err(|_| WRONG)?;
                    found.upns.push(name.as_str().to_owned());
                }
                GeneralName::IpAddress(octets) => {
                    let octets = octets.as_bytes();
                    let address = <[u8; 4]>::try_from(octets)
                        .map(IpAddr::from)
                        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
                    found.ip_addresses.push(address.map_err(|_| WRONG)?);
                }
                GeneralName::OtherName(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EdiPartyName(_)
                | GeneralName::RegisteredId(_) => (),
            }
        }
        Ok(found)
    }
}

/// Letters, digits, hyphens, and the underscore that real ones have (RFC 5280 wants the first three); `*` as the whole first label.
fn is_dns_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= DNS_NAME_CHARACTERS_MAX
        && host.split('.').all(|label| {
            (1..=DNS_LABEL_CHARACTERS_MAX).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// Something, `@`, a host: no more, as a mailbox's own host decides what is before the `@`.
fn is_email(name: &str) -> bool {
    name.len() <= EMAIL_CHARACTERS_MAX
        && name.bytes().all(|byte| byte.is_ascii_graphic())
        && name
            .split_once('@')
            .is_some_and(|(local, host)| !local.is_empty() && !host.starts_with('*') && is_dns_name(host))
}

fn is_upn(name: &str) -> bool {
    (1..=UPN_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// A scheme, `:`, something (RFC 3986 section 3), of the characters of a URI (section 2). RFC 5280 wants no relative ones.
fn is_uri(name: &str) -> bool {
    name.len() <= URI_CHARACTERS_MAX
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
        && name.split_once(':').is_some_and(|(scheme, rest)| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                && !rest.is_empty()
        })
}

/// The names by which the installation itself is reached. Its own authority is trusted for all of them, so a certificate from it that
/// said one of them would let a vault's user pose as the server: [`super::issue_from`] refuses those.
#[derive(Clone, Copy, Debug)]
pub struct Reserved<'a> {
    /// Hosts; the first label may be `*`, which stands for any one label.
    pub dns_names: &'a [String],
    /// Addresses.
    pub ip_addresses: &'a [IpAddr],
}

impl Reserved<'_> {
    pub(super) fn check(&self, subject: &Subject, names: &AlternativeNames) -> Result<(), CertificateError> {
        let is_reserved = |name: &str| {
            self.dns_names.iter().any(|own| overlap(own, name))
                || name.parse().is_ok_and(|address| self.has_address(address))
        };
        let hosts_of_uris = names.uris.iter().filter_map(|uri| host_of(uri));
        // Some clients look at the common name if there is no alternative name of theirs.
        let taken = subject.common_names().any(|name| is_reserved(&name))
            || names.dns_names.iter().any(|name| is_reserved(name))
            || hosts_of_uris.into_iter().any(is_reserved)
            || names.ip_addresses.iter().any(|address| self.has_address(*address));
        if taken { Err(CertificateError::NameReserved) } else { Ok(()) }
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.ip_addresses.iter().any(|own| own.to_canonical() == address.to_canonical())
    }
}

/// Whether some host's name fits both. `*` stands for one label; no more, as TLS clients have it (RFC 9525 section 6.3).
fn overlap(one: &str, other: &str) -> bool {
    let labels = |name: &str| -> Vec<String> {
        name.trim_end_matches('.').split('.').map(str::to_ascii_lowercase).collect()
    };
    let (one, other) = (labels(one), labels(other));
    one.len() == other.len()
        && one.iter().zip(&other).all(|(one, other)| one == other || one == "*" || other == "*")
}

/// The host of `scheme://user@host:port/path`.
fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(address) => address.split(']').next(),
        None => host.split(':').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_kind_has_its_rules() {
        fn check(is_good: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
            for name in good {
                assert!(is_good(name), "{name}");
            }
            for name in bad {
                assert!(!is_good(name), "{name}");
            }
        }
        let label = "a".repeat(63);
        check(
            is_dns_name,
            &[
                "localhost",
                "contoso.com",
                "*.contoso.com",
                "_dmarc.a_b.c",
                "xn--bcher-kva.de",
                "1.2.3.4",
                &label,
            ],
            &[
                "",
                ".",
                "a.",
                ".a",
                "a..b",
                "*",
                "a.*.b",
                "*a.b",
                "-a.b",
                "a-.b",
                "bücher.de",
                "a b",
                "a\0b",
                "a:1",
                &format!("{label}a"),
                &format!("{label}.").repeat(5),
            ],
        );
        check(
            is_email,
            &["a@b", "first.last+tag@contoso.com"],
            &["", "a", "@b", "a@", "a@b@c", "a b@c", "ü@b.c", "a@*.b", &format!("{}@b", "a".repeat(253))],
        );
        check(
            is_upn,
            &["user@contoso.com", "пользователь@пример.рф", "name"],
            &["", "a\nb", &"a".repeat(1_025)],
        );
        check(
            is_uri,
            &["https://contoso.com/a?b#c", "urn:uuid:1", "spiffe://cluster/ns/a", "a:b"],
            &["", "contoso.com", "//a", ":a", "a:", "1a:b", "https://a b", "https://ü", "a:<b>"],
        );
    }

    #[test]
    fn too_many_are_refused() {
        let names = |count| AlternativeNames { dns_names: owned(&vec!["a"; count]), ..Default::default() };
        assert_eq!(names(NAMES_MAX).check(), Ok(()));
        assert_eq!(names(NAMES_MAX + 1).check(), Err(refused("there are too many")));
    }

    #[test]
    fn the_servers_own_names_are_reserved_in_all_their_spellings() {
        let dns_names = owned(&["keyless.localhost", "*.vault.keyless.localhost"]);
        let ip_addresses = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        let reserved = Reserved { dns_names: &dns_names, ip_addresses: &ip_addresses };
        let check = |subject: &str, names: AlternativeNames| {
            reserved.check(&Subject::parse(subject).unwrap(), &names)
        };
        let dns = |name: &str| AlternativeNames { dns_names: owned(&[name]), ..Default::default() };
        let taken = Err(CertificateError::NameReserved);
        for name in [
            "keyless.localhost",
            "KEYLESS.localhost",
            "*.localhost",
            "keyless.localhost.",
            "a.vault.keyless.localhost",
            "*.vault.keyless.localhost",
            "127.0.0.1",
        ] {
            assert_eq!(check("", dns(name)), taken, "{name}");
            assert_eq!(check(&format!("CN={name}"), dns("free.localhost")), taken, "{name}");
        }
        assert_eq!(check("CN=::ffff:127.0.0.1", dns("free.localhost")), taken);
        let uri = |uri: &str| AlternativeNames { uris: owned(&[uri]), ..Default::default() };
        for name in ["https://keyless.localhost:8443/", "https://a@keyless.localhost", "https://[::1]/"] {
            assert_eq!(check("", uri(name)), taken, "{name}");
        }
        let address =
            |text: &str| AlternativeNames { ip_addresses: vec![text.parse().unwrap()], ..Default::default() };
        assert_eq!(check("", address("::ffff:127.0.0.1")), taken);
        assert_eq!(check("", address("10.0.0.1")), Ok(()));
        for name in ["app.localhost", "localhost", "a.b.vault.keyless.localhost", "vault.keyless.localhost"] {
            assert_eq!(check(&format!("CN={name}"), dns(name)), Ok(()), "{name}");
        }
        assert_eq!(check("CN=Some Person", uri("https://contoso.com/keyless.localhost")), Ok(()));
    }
}
