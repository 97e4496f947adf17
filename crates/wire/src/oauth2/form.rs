//! Forms and queries: `application/x-www-form-urlencoded` (WHATWG URL section 5.1), but strict where guessing could change a secret.
//!
//! Clients differ in how they write a space (`+` or `%20`) and in what they escape, so everything is decoded. A known field twice, a
//! broken escape in one, or text that is not UTF-8 is refused (RFC 6749 section 3.1: no parameter more than once); fields that we do
//! not know are not looked at: clients send their telemetry here.

use domain::Secret;
use std::collections::HashMap;

/// A form that cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MalformedForm;

/// The wanted fields of a form. Every value is secret until it is taken for something else.
#[derive(Debug)]
pub(crate) struct Form(HashMap<&'static str, Secret<String>>);

impl Form {
    /// Looks for the wanted fields.
    pub(crate) fn parse(bytes: &[u8], wanted: &[&'static str]) -> Result<Self, MalformedForm> {
        let mut fields = HashMap::new();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at_checked(equals).ok_or(MalformedForm)?;
            let Ok(name) = decode(name) else { continue };
            let Some(name) = wanted.iter().find(|wanted| **wanted == name.expose()) else { continue };
            let value = decode(value.strip_prefix(b"=").unwrap_or(value))?;
            if fields.insert(*name, value).is_some() {
                return Err(MalformedForm);
            }
        }
        Ok(Self(fields))
    }

    /// A field that is a secret. An empty field is a missing one (RFC 6749 section 3.1).
    pub(crate) fn take_secret(&mut self, name: &str) -> Option<Secret<String>> {
        self.0.remove(name).filter(|value| !value.expose().is_empty())
    }

    /// A field that is none.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.take_secret(name).map(|value| value.expose().clone())
    }
}

/// Decodes one name or value.
pub(crate) fn decode(bytes: &[u8]) -> Result<Secret<String>, MalformedForm> {
    // Room for all of it from the start: growing would leave copies of a secret behind.
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            _ => *byte,
        });
    }
    match String::from_utf8(decoded) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) => {
            drop(Secret::new(error.into_bytes()));
            Err(MalformedForm)
        }
    }
}

fn digit(byte: Option<&u8>) -> Result<u8, MalformedForm> {
    let digit = byte.and_then(|byte| char::from(*byte).to_digit(16)).ok_or(MalformedForm)?;
    u8::try_from(digit).map_err(|_| MalformedForm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WANTED: &[&str] = &["client_id", "client_secret", "scope"];

    fn field(body: &str, name: &str) -> Result<Option<String>, MalformedForm> {
        Form::parse(body.as_bytes(), WANTED).map(|mut form| form.take(name))
    }

    /// The secret `p@ss w~rd` as recorded from three SDKs.
    #[test]
    fn each_clients_escapes_are_understood() {
        for secret in ["p%40ss+w~rd", "p%40ss%20w~rd", "p%40ss+w%7Erd", "p@ss%20w%7erd"] {
            let body = format!("client_id=x&client_secret={secret}&x-client-SKU=msal.js.node&scope=");
            assert_eq!(field(&body, "client_secret").unwrap().as_deref(), Some("p@ss w~rd"), "{secret}");
            assert_eq!(field(&body, "scope").unwrap(), None, "empty is missing");
        }
        assert_eq!(field("client%5Fid=a%3Db%26c", "client_id").unwrap().as_deref(), Some("a=b&c"));
        assert_eq!(field("&&client_id==&", "client_id").unwrap().as_deref(), Some("="));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for body in [
            "scope=a&scope=a",
            "scope=a&%73cope=b",
            "scope=%",
            "scope=%4",
            "scope=%zz",
            "scope=%ff",
            "scope=%+1",
        ] {
            assert_eq!(field(body, "scope"), Err(MalformedForm), "{body}");
        }
        for body in ["telemetry=%zz&scope=a", "%ff=1&scope=a", "t=1&t=2&scope=a", "scope=a&t"] {
            assert_eq!(field(body, "scope").unwrap().as_deref(), Some("a"), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Form::parse(&bytes, WANTED);
            let _ = decode(&bytes);
        }

        #[test]
        fn what_a_client_encodes_is_what_we_decode(id in ".{0,40}", secret in ".{1,80}") {
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.append_pair("client_id", &id).append_pair("junk", &secret).append_pair("client_secret", &secret);
            let mut form = Form::parse(body.finish().as_bytes(), WANTED).unwrap();
            prop_assert_eq!(form.take_secret("client_secret").map(|secret| secret.expose().clone()), Some(secret));
            prop_assert_eq!(form.take("client_id").unwrap_or_default(), id);
        }
    }
}
