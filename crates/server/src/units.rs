//! Durations and sizes as people write them: `"24h"`, `"25KiB"`. A bare number is refused: of what?

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A duration with a unit: `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A number of bytes with a unit: `B`, `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// With the largest unit that divides it; nothing in the largest of all.
fn print(formatter: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |(_, factor): &&(&str, u64)| {
        amount.checked_rem(*factor) == Some(0) && (amount >= *factor || amount == 0)
    };
    let (unit, factor) = units.iter().rev().find(fits).or(units.first()).copied().unwrap_or(("", 1));
    write!(formatter, "{}{unit}", amount / factor)
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let millis =
            parse(text, &DURATIONS).ok_or("a duration with a unit (ms, s, m, h, d), such as \"90s\"")?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &SIZES).map(Self).ok_or("a size with a unit (B, KiB, MiB, GiB), such as \"8MiB\"")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(formatter, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(formatter, self.0, &SIZES)
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|expected| D::Error::custom(format_args!("expected {expected}, found {text:?}")))
            }
        }
    )*};
}

as_text! { Span Bytes }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("24 h".parse(), Ok(Span(Duration::from_secs(86_400))));
        assert_eq!("25KiB".parse(), Ok(Bytes(25_600)));
        for bad in ["", "90", "s", "-1s", "1.5h", "1kb", "99999999999999999999s", "18446744073709551615d"] {
            assert!(bad.parse::<Span>().is_err() && bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_print_as_they_are_read() {
        for text in ["90s", "1d", "1h", "1500ms", "0d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!(Bytes(8 << 20).to_string(), "8MiB");
    }
}
