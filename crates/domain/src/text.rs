//! Texts that stand for something, read where they stand.

use serde::{Deserializer, de};
use std::{fmt, marker::PhantomData};

/// What a text stands for, without a copy of the text: a record has many of them, and `Cow` would make each a `String` first.
///
/// # Errors
/// `parse`'s, or that it is no text.
pub fn deserialize<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text { parse, of: PhantomData })
}

struct Text<P, T> {
    parse: P,
    of: PhantomData<T>,
}

impl<T, E: fmt::Display, P: FnOnce(&str) -> Result<T, E>> de::Visitor<'_> for Text<P, T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<F: de::Error>(self, text: &str) -> Result<T, F> {
        (self.parse)(text).map_err(F::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::{ObjectName, ObjectVersion};

    #[test]
    fn a_text_is_read_however_it_is_written_and_all_else_is_refused() {
        let name = |json: &str| serde_json::from_str::<ObjectName>(json).map_err(|error| error.to_string());
        assert_eq!(name(r#""shop""#).unwrap().to_string(), "shop");
        assert_eq!(name(r#""s\u0068op""#).unwrap().to_string(), "shop");
        assert!(name(r#""a shop""#).unwrap_err().starts_with("invalid object name"));
        assert!(name("5").unwrap_err().starts_with("invalid type: integer `5`, expected a string"));
        assert!(name("null").is_err());
        assert_eq!(serde_json::from_value::<ObjectName>("shop".into()).unwrap().to_string(), "shop");

        let version = |text: &str| serde_json::from_value::<ObjectVersion>(text.into());
        let digits = "0123456789abcdef0123456789abcdef";
        assert_eq!(version(digits).unwrap().to_string(), digits);
        assert_eq!(version(&digits.to_uppercase()).unwrap().to_string(), digits);
        for other in [
            "",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef0",
            "0123456789abcdef0123456789abcdeg",
            "01234567-89ab-cdef-0123-456789abcdef",
            "{01234567-89ab-cdef-0123-456789abcdef}",
            "+123456789abcdef0123456789abcdef",
        ] {
            assert!(version(other).is_err(), "{other}");
        }
    }
}
