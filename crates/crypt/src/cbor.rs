//! Reads CBOR (RFC 8949) of the form that authenticators send (CTAP 2.1 section 8): definite lengths, integers and texts as keys, nothing
//! deep. Borrows from the input and takes no memory for what it has not seen.

use crate::CryptError;

const MALFORMED: CryptError = CryptError::Malformed { what: "CBOR" };
/// Levels that a value may have. Source: CTAP 2.1 section 8 (4), and one for what we are given it in.
const DEPTH_MAX: u8 = 5;
/// Entries of one map or array. Ours: an attestation object has 3, a key 5.
const ENTRIES_MAX: u64 = 64;

/// A value. Tags, floats and indefinite lengths are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer.
    Integer(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// A list.
    Array(Vec<Self>),
    /// Keys and values; no key is there twice.
    Map(Vec<(Self, Self)>),
    /// `true`, `false` and the like, by its number.
    Simple(u8),
}

impl<'a> Value<'a> {
    /// Reads one value; answers it and what comes after it.
    ///
    /// # Errors
    /// [`CryptError::Malformed`].
    pub fn read(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), CryptError> {
        value(bytes, DEPTH_MAX)
    }

    /// The value of an integer key, if this is a map that has it.
    #[must_use]
    pub fn at(&self, key: i64) -> Option<&Self> {
        self.of(&Value::Integer(key))
    }

    /// The value of a text key, if this is a map that has it.
    #[must_use]
    pub fn named(&self, key: &str) -> Option<&Self> {
        self.of(&Value::Text(key))
    }

    /// The bytes, if it is some.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn of(&self, wanted: &Value<'_>) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(key, _)| key == wanted).map(|(_, value)| value),
            _ => None,
        }
    }
}

fn value(bytes: &[u8], depth: u8) -> Result<(Value<'_>, &[u8]), CryptError> {
    let depth = depth.checked_sub(1).ok_or(MALFORMED)?;
    let (first, rest) = bytes.split_first().ok_or(MALFORMED)?;
    let (major, minor) = (first >> 5, first & 0x1f);
    if major == 7 {
        return if minor < 24 { Ok((Value::Simple(minor), rest)) } else { Err(MALFORMED) };
    }
    let (argument, rest) = argument(minor, rest)?;
    match major {
        0 => Ok((Value::Integer(i64::try_from(argument).map_err(|_| MALFORMED)?), rest)),
        1 => Ok((Value::Integer(-1 - i64::try_from(argument).map_err(|_| MALFORMED)?), rest)),
        2 => cut(rest, argument).map(|(bytes, rest)| (Value::Bytes(bytes), rest)),
        3 => {
            let (bytes, rest) = cut(rest, argument)?;
            Ok((Value::Text(std::str::from_utf8(bytes).map_err(|_| MALFORMED)?), rest))
        }
        4 | 5 if argument > ENTRIES_MAX => Err(MALFORMED),
        4 => {
            let (mut items, mut rest) = (Vec::new(), rest);
            for _ in 0..argument {
                let (item, after) = value(rest, depth)?;
                items.push(item);
                rest = after;
            }
            Ok((Value::Array(items), rest))
        }
        5 => {
            let (mut entries, mut rest) = (Vec::<(Value<'_>, Value<'_>)>::new(), rest);
            for _ in 0..argument {
                let (key, after) = value(rest, depth)?;
                let (item, after) = value(after, depth)?;
                let is_key = matches!(key, Value::Integer(_) | Value::Text(_));
                if !is_key || entries.iter().any(|(known, _)| *known == key) {
                    return Err(MALFORMED);
                }
                entries.push((key, item));
                rest = after;
            }
            Ok((Value::Map(entries), rest))
        }
        _ => Err(MALFORMED),
    }
}

/// The number in or after the first byte.
fn argument(minor: u8, rest: &[u8]) -> Result<(u64, &[u8]), CryptError> {
    let length = match minor {
        0..24 => return Ok((u64::from(minor), rest)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err(MALFORMED),
    };
    let (bytes, rest) = cut(rest, length)?;
    Ok((bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)), rest))
}

fn cut(bytes: &[u8], length: u64) -> Result<(&[u8], &[u8]), CryptError> {
    let length = usize::try_from(length).map_err(|_| MALFORMED)?;
    bytes.split_at_checked(length).ok_or(MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::from_hex;
    use proptest::prelude::*;

    /// RFC 8949 appendix A, as far as it is of this form.
    #[test]
    fn values_of_the_rfc_are_read() {
        let text = |hex: &str| from_hex(hex).unwrap();
        for (hex, number) in [
            ("00", 0),
            ("17", 23),
            ("1818", 24),
            ("1903e8", 1_000),
            ("1a000f4240", 1_000_000),
            ("1b000000e8d4a51000", 1_000_000_000_000),
            ("20", -1),
            ("3903e7", -1_000),
        ] {
            assert_eq!(Value::read(&text(hex)).unwrap().0, Value::Integer(number), "{hex}");
        }
        assert_eq!(Value::read(&text("4401020304")).unwrap().0, Value::Bytes(&[1, 2, 3, 4]));
        assert_eq!(Value::read(&text("6449455446")).unwrap().0, Value::Text("IETF"));
        assert_eq!(Value::read(&text("f5")).unwrap().0, Value::Simple(21));
        let map = text("a201020304ff");
        let (map, rest) = Value::read(&map).unwrap();
        assert_eq!(
            (map.at(1), map.at(3), map.at(2)),
            (Some(&Value::Integer(2)), Some(&Value::Integer(4)), None)
        );
        assert_eq!(rest, [0xff]);
        let nested = text("826161a161626163");
        let (nested, _) = Value::read(&nested).unwrap();
        let Value::Array(items) = nested else { panic!("{nested:?}") };
        assert_eq!(items[1].named("b"), Some(&Value::Text("c")));
    }

    #[test]
    fn everything_else_is_refused() {
        for hex in [
            "",
            "18",
            "1900",
            "44010203",
            "62ff61",
            "81",
            "a101",
            "a20102",
            "a201020103",
            "a1410102",
            "5f41014102ff",
            "9fff",
            "bfff",
            "c11a514b67b0",
            "f90000",
            "fb3ff0000000000000",
            "f818",
            "1c",
            "1bffffffffffffffff",
            "3bffffffffffffffff",
            "9b00000000ffffffff",
            "5b7fffffffffffffff",
            "818181818181",
            "9841",
        ] {
            assert_eq!(Value::read(&from_hex(hex).unwrap()), Err(MALFORMED), "{hex}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Value::read(&bytes);
        }
    }
}
