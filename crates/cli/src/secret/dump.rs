//! The file by which secrets move between vaults: a JSON array of secrets with their values, or such objects one after the other.
//!
//! Read in both spellings in which public tools print a secret of Key Vault: that of the REST API and most SDKs (`attributes.exp` in seconds
//! since 1970) and that of `az keyvault secret show` (`name`, `attributes.expires` in RFC 3339); written in az's. Values are `Secret` from
//! the parser on, and no message repeats what stands in the file but names that are valid ones.

use crate::{attributes::Attributes, time};
use domain::{ObjectName, Secret, limits};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

/// Bytes of a file: ten thousand secrets of a usual size and then some. Ours.
pub(super) const BYTES_MAX: usize = 256 * 1024 * 1024;

/// A secret of a file, valid as far as the file shows. Never shown as a whole.
pub(super) struct Entry {
    pub(super) name: ObjectName,
    pub(super) value: Secret<String>,
    pub(super) content_type: Option<String>,
    pub(super) attributes: Attributes,
    pub(super) tags: BTreeMap<String, String>,
    /// It belongs to a certificate of the vault that it came from.
    pub(super) is_managed: bool,
}

/// A secret as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<&'a str>,
    pub(super) attributes: WrittenAttributes,
    pub(super) tags: &'a BTreeMap<String, String>,
}

/// Attributes as they are written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenAttributes {
    pub(super) enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    id: Option<String>,
    name: Option<String>,
    value: Option<Secret<String>>,
    content_type: Option<String>,
    attributes: Option<RawAttributes>,
    tags: Option<Tags>,
    managed: Option<bool>,
    kid: Option<de::IgnoredAny>,
    /// Where the SDK for JavaScript keeps its attributes, which would be lost.
    properties: Option<de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawAttributes {
    enabled: Option<bool>,
    exp: Option<Time>,
    expires: Option<Time>,
    nbf: Option<Time>,
    not_before: Option<Time>,
}

/// A time in either spelling.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Time(i64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Time;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("seconds since 1970, or a time of RFC 3339")
            }

            fn visit_i64<E>(self, seconds: i64) -> Result<Time, E> {
                Ok(Time(seconds))
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<Time, E> {
                Ok(Time(i64::try_from(seconds).unwrap_or(i64::MAX)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                time::parse(text).map(Time).ok_or_else(|| E::custom("no time of RFC 3339"))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Tags, each name once: which of two values counts is not ours to guess.
#[derive(Default)]
struct Tags(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Tags;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of strings")
            }

            fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Tags, M::Error> {
                let mut tags = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if tags.insert(name, value).is_some() {
                        return Err(de::Error::custom("a tag twice"));
                    }
                }
                Ok(Tags(tags))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Reads a file. All that is wrong with it, if anything is.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Entry>, Vec<String>> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let raw = match file.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => serde_json::from_slice::<Vec<Raw>>(file),
        Some(b'{') => serde_json::Deserializer::from_slice(file).into_iter::<Raw>().collect(),
        Some(_) => {
            return Err(vec![
                "it is neither a JSON array of secrets nor objects one after the other".to_owned(),
            ]);
        }
        None => return Err(vec!["it is empty".to_owned()]),
    };
    let raw = raw.map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "a member has a wrong type or value, or is there twice",
            serde_json::error::Category::Eof => "the file is cut short",
            _ => "this is not JSON",
        };
        vec![format!("line {} column {}: {what}", error.line(), error.column())]
    })?;
    let (mut entries, mut faults) = (Vec::with_capacity(raw.len()), Vec::new());
    let mut seen: HashMap<ObjectName, usize> = HashMap::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let number = index + 1;
        let name = match raw.name() {
            Ok(name) => name,
            Err(fault) => {
                faults.push(format!("secret {number}: {fault}"));
                continue;
            }
        };
        if let Some(first) = seen.insert(name.clone(), number) {
            faults.push(format!(
                "secret {number}: {name} is there before, as secret {first}; one version of each can be taken in"
            ));
            continue;
        }
        match raw.entry(name.clone()) {
            Ok(entry) => entries.push(entry),
            Err(fault) => faults.push(format!("secret {number}, {name}: {fault}")),
        }
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

impl Raw {
    /// Its name: said as such, or the part of its identifier; both must agree.
    fn name(&self) -> Result<ObjectName, String> {
        let of_id = match &self.id {
            None => None,
            Some(id) => match id.split('/').skip(3).collect::<Vec<_>>().as_slice() {
                ["secrets", name] | ["secrets", name, _] => Some((*name).to_owned()),
                _ => return Err("its id is no secret's: https://VAULT/secrets/NAME/VERSION".to_owned()),
            },
        };
        let text = match (&self.name, of_id) {
            (Some(name), Some(of_id)) if !name.eq_ignore_ascii_case(&of_id) => {
                return Err("its name and its id are of different secrets".to_owned());
            }
            (Some(name), _) => name.clone(),
            (None, Some(of_id)) => of_id,
            (None, None) => return Err("it has neither name nor id".to_owned()),
        };
        ObjectName::parse(&text).map_err(|error| error.to_string())
    }

    fn entry(self, name: ObjectName) -> Result<Entry, String> {
        if self.properties.is_some() {
            return Err("it has `properties`, as the SDK for JavaScript prints them: they are not understood. Take its attributes to `attributes`, as `az keyvault secret show` has them".to_owned());
        }
        let Some(value) = self.value else {
            return Err("it has no value. Lists show none; `az keyvault secret show` does".to_owned());
        };
        if value.expose().len() > limits::SECRET_VALUE_BYTES_MAX {
            return Err(format!("its value is longer than {} bytes", limits::SECRET_VALUE_BYTES_MAX));
        }
        let content_type = self.content_type.filter(|text| !text.is_empty());
        if content_type.as_ref().is_some_and(|text| text.chars().count() > limits::CONTENT_TYPE_CHARS_MAX) {
            return Err(format!(
                "its content type is longer than {} characters",
                limits::CONTENT_TYPE_CHARS_MAX
            ));
        }
        let tags = self.tags.unwrap_or_default().0;
        if tags.len() > limits::TAGS_MAX {
            return Err(format!("it has more than {} tags", limits::TAGS_MAX));
        }
        if tags
            .iter()
            .flat_map(|(name, value)| [name, value])
            .any(|text| text.chars().count() > limits::TAG_CHARS_MAX)
        {
            return Err(format!("a tag's name or value is longer than {} characters", limits::TAG_CHARS_MAX));
        }
        let attributes = self.attributes.unwrap_or_default();
        let attributes = Attributes {
            enabled: Some(attributes.enabled.unwrap_or(true)),
            nbf: one(attributes.nbf, attributes.not_before, "nbf and notBefore")?,
            exp: one(attributes.exp, attributes.expires, "exp and expires")?,
        };
        let is_managed = self.managed.unwrap_or_default() || self.kid.is_some();
        Ok(Entry { name, value, content_type, attributes, tags, is_managed })
    }
}

/// One time of two spellings.
fn one(rest: Option<Time>, az: Option<Time>, names: &str) -> Result<Option<i64>, String> {
    if rest.is_some() && az.is_some() && rest != az {
        return Err(format!("{names} say different times"));
    }
    match rest.or(az) {
        Some(Time(seconds)) if !(0..=limits::SECRET_TIME_SECONDS_MAX).contains(&seconds) => {
            Err("a time is not within the years 1970 to 9999".to_owned())
        }
        time => Ok(time.map(|Time(seconds)| seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(file: &str) -> Vec<String> {
        parse(file.as_bytes()).map(|entries| entries.len()).expect_err(file)
    }

    #[test]
    fn both_spellings_say_the_same() {
        // As the REST API tells it; `az keyvault secret show`, with all that it prints; written by ourselves.
        let rest = r#"[{"value":"s3cret","contentType":"text/plain","id":"https://old.vault.azure.net/secrets/db/0123",
            "attributes":{"enabled":true,"nbf":1700000000,"exp":1801396800,"created":1,"updated":2,"recoveryLevel":"Recoverable+Purgeable",
            "recoverableDays":90},"tags":{"a":"b"}}]"#;
        let az = r#"{"attributes":{"created":"2023-11-14T22:13:20+00:00","enabled":true,"expires":"2027-01-31T12:00:00+00:00",
            "notBefore":"2023-11-14T22:13:20+00:00","recoverableDays":90,"recoveryLevel":"Recoverable+Purgeable","updated":"2023-11-14T22:13:20+00:00"},
            "contentType":"text/plain","id":"https://old.vault.azure.net/secrets/db/0123","kid":null,"managed":null,"name":"db",
            "tags":{"a":"b"},"value":"s3cret"}
            "#;
        let ours = serde_json::to_string(&[Written {
            name: "db",
            value: "s3cret",
            content_type: Some("text/plain"),
            attributes: WrittenAttributes {
                enabled: true,
                expires: time::rfc3339(1_801_396_800),
                not_before: time::rfc3339(1_700_000_000),
            },
            tags: &BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        }])
        .unwrap();
        for file in [rest.to_owned(), az.to_owned(), ours, format!("\u{feff}{az}")] {
            let entries = parse(file.as_bytes()).unwrap();
            let [entry] = entries.as_slice() else { panic!("{file}") };
            assert_eq!((entry.name.as_str(), entry.value.expose().as_str()), ("db", "s3cret"));
            assert_eq!(entry.content_type.as_deref(), Some("text/plain"));
            let attributes =
                Attributes { enabled: Some(true), nbf: Some(1_700_000_000), exp: Some(1_801_396_800) };
            assert_eq!(entry.attributes, attributes);
            assert_eq!(entry.tags, BTreeMap::from([("a".to_owned(), "b".to_owned())]));
            assert!(!entry.is_managed);
        }
    }

    #[test]
    fn objects_one_after_the_other_are_as_good_as_an_array() {
        let file = "{\"name\":\"a\",\"value\":\"\"}\n{\"name\":\"b\",\"value\":\" \",\"tags\":null,\"attributes\":null,\"contentType\":\"\"}";
        let entries = parse(file.as_bytes()).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(
            entries
                .iter()
                .all(|entry| entry.attributes.enabled == Some(true) && entry.content_type.is_none())
        );
        assert!(parse(b"[]").unwrap().is_empty());
    }

    #[test]
    fn a_certificates_secret_is_known_as_one() {
        for member in [r#""managed":true"#, r#""kid":"https://old.vault.azure.net/keys/c/0123""#] {
            let file = format!(r#"[{{"name":"c","value":"MII=",{member},"some-new-member":{{"x":[1]}}}}]"#);
            assert!(parse(file.as_bytes()).unwrap()[0].is_managed, "{member}");
        }
    }

    #[test]
    fn what_cannot_be_taken_in_is_said_and_nothing_of_it_repeated() {
        let long = "canary".repeat(5_000);
        let tags = |count: usize| (0..count).map(|n| format!(r#""t{n}":"v""#)).collect::<Vec<_>>().join(",");
        for (secret, says) in [
            (r#"{"value":"canary"}"#.to_owned(), "neither name nor id"),
            (r#"{"name":"canary_1","value":"x"}"#.into(), "invalid"),
            (r#"{"name":"","value":"x"}"#.into(), "invalid"),
            (r#"{"id":"https://v/keys/canary/1","value":"x"}"#.into(), "no secret's"),
            (r#"{"id":"canary","value":"x"}"#.into(), "no secret's"),
            (r#"{"name":"a","id":"https://v/secrets/canary/1","value":"x"}"#.into(), "different secrets"),
            (r#"{"name":"a"}"#.into(), "secret 1, a: it has no value"),
            (r#"{"name":"a","value":null}"#.into(), "no value"),
            (r#"{"name":"a","value":7777}"#.into(), "line 1 column"),
            (r#"{"name":"a","value":["canary"]}"#.into(), "wrong type"),
            (r#"{"name":"a","value":"x","value":"canary"}"#.into(), "twice"),
            (format!(r#"{{"name":"a","value":"{long}"}}"#), "longer than 25600"),
            (format!(r#"{{"name":"a","value":"x","contentType":"{}"}}"#, "c".repeat(256)), "longer than 255"),
            (format!(r#"{{"name":"a","value":"x","tags":{{{}}}}}"#, tags(16)), "more than 15"),
            (
                format!(r#"{{"name":"a","value":"x","tags":{{"a":"{}"}}}}"#, "c".repeat(513)),
                "longer than 512",
            ),
            (r#"{"name":"a","value":"x","tags":{"a":"canary","a":"c"}}"#.into(), "twice"),
            (r#"{"name":"a","value":"x","tags":["canary"]}"#.into(), "wrong type"),
            (r#"{"name":"a","value":"x","attributes":{"enabled":"canary"}}"#.into(), "wrong type"),
            (r#"{"name":"a","value":"x","attributes":{"expires":"canary"}}"#.into(), "wrong type or value"),
            (r#"{"name":"a","value":"x","attributes":{"exp":-1}}"#.into(), "1970 to 9999"),
            (r#"{"name":"a","value":"x","attributes":{"exp":99999999999999}}"#.into(), "1970 to 9999"),
            (
                r#"{"name":"a","value":"x","attributes":{"exp":1,"expires":"2027-01-31T12:00:00Z"}}"#.into(),
                "different times",
            ),
            (r#"{"name":"a","value":"x","properties":{"contentType":"canary"}}"#.into(), "JavaScript"),
            (r#""canary""#.into(), "wrong type"),
        ] {
            let said = faults(&format!("[{secret}]")).join("\n");
            assert!(said.contains(says), "{says}: {said}");
            assert!(!said.contains("canary") && !said.contains("7777"), "{said}");
        }
        for (file, says) in [
            ("", "empty"),
            (" \n", "empty"),
            (r#""canary""#, "neither"),
            ("null", "neither"),
            ("Azure says: canary", "neither"),
            (r#"[{"name":"a","value":"canary""#, "cut short"),
            (r#"[{"name":"a","value":"x"}] canary"#, "not JSON"),
            (r#"{"name":"a","value":"x"},{"name":"b","value":"canary"}"#, "not JSON"),
        ] {
            let said = faults(file).join("\n");
            assert!(said.contains(says) && !said.contains("canary"), "{file}: {said}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let file = r#"[{"name":"a","value":"x"},{"name":"A","value":"y"},{"name":"b"},{"value":"z"}]"#;
        let said = faults(file);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("secret 2: A is there before, as secret 1"), "{said:?}");
    }
}
