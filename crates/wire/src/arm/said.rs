//! Bodies that secrets may be in: settings, connection strings, and whatever else a client sends back with them. Every text is secret until it
//! is taken for something else.
//! Spec: RFC 8259; of two members of one name the last counts.

use domain::Secret;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Number, Value};
use std::{collections::BTreeMap, fmt};

/// What a body, or a part of it, says.
#[derive(Debug)]
pub(super) enum Said {
    Nothing,
    Flag(bool),
    Number(Number),
    Text(Secret<String>),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// Where nothing is said.
pub(super) static NOTHING: Said = Said::Nothing;

impl Said {
    /// What a member says, by its name in any case; none if it is not there or null.
    pub(super) fn member(&self, named: &str) -> Option<&Self> {
        let members = self.members()?;
        let found = members.get(named).or_else(|| {
            members.iter().find(|(known, _)| known.eq_ignore_ascii_case(named)).map(|(_, value)| value)
        });
        found.filter(|value| !value.is_nothing())
    }

    /// What is in it, if it is an object.
    pub(super) const fn members(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(super) const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(super) const fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// A text that is no secret.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.expose()),
            _ => None,
        }
    }

    /// Members of it that are no secrets, such as tags: as all other bodies are read.
    pub(super) fn plain(&self, named: &[&str]) -> Map<String, Value> {
        let members = self.members().into_iter().flatten().filter(|(name, _)| named.contains(&name.as_str()));
        members.map(|(name, said)| (name.clone(), said.value())).collect()
    }

    fn value(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.expose().clone()),
            Self::List(items) => items.iter().map(Self::value).collect(),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(name, said)| (name.clone(), said.value())).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Said;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Said, E> {
                Ok(Said::Nothing)
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Said, E> {
                Ok(Said::Flag(flag))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Said, E> {
                Ok(Said::Number(number.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Said, E> {
                Ok(Said::Number(number.into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Said, E> {
                Ok(Number::from_f64(number).map_or(Said::Nothing, Said::Number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Said, E> {
                Ok(Said::Text(Secret::new(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Said, E> {
                Ok(Said::Text(Secret::new(text)))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Said, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                Ok(Said::List(all))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut members: A) -> Result<Said, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((name, said)) = members.next_entry()? {
                    all.insert(name, said);
                }
                Ok(Said::Object(all))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_body_is_shown() {
        let body = r#"{"A": "hunter2", "list": ["hunter2", {"b": "hunter2\n"}], "n": -1, "f": 1.5, "t": true, "z": null}"#;
        let said: Said = serde_json::from_str(body).unwrap();
        let shown = format!("{said:?}");
        assert!(!shown.contains("hunter2") && shown.contains("Secret(..)"), "{shown}");
        assert_eq!(said.member("a").and_then(Said::text), Some("hunter2"));
        assert!(said.member("z").is_none() && said.member("none").is_none() && NOTHING.member("a").is_none());
        assert_eq!(said.member("T").and_then(Said::flag), Some(true));
        assert_eq!(
            (said.member("n").and_then(Said::count), said.member("A").and_then(Said::count)),
            (None, None)
        );
        let whole: Value = serde_json::from_str(body).unwrap();
        assert_eq!(said.value(), whole);
        assert_eq!(Value::Object(said.plain(&["n", "t"])), serde_json::json!({"n": -1, "t": true}));
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let deep = "[".repeat(10_000);
        assert!(serde_json::from_str::<Said>(&deep).is_err());
    }
}
