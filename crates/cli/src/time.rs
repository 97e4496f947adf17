//! Times as text, in UTC, over all years that Key Vault's objects may name: 1970 to the last second of 9999.
//!
//! Not by `jiff::Timestamp`: that one ends a day early, to have room for every zone, and people do write the last second to say "never".

use jiff::{
    SignedDuration,
    civil::{Date, DateTime, Time},
    fmt::temporal::Pieces,
};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Date and time of a second since 1970, if the calendar has it.
pub(crate) fn civil(seconds: i64) -> Option<DateTime> {
    EPOCH.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// The second since 1970 of a date and time in UTC.
pub(crate) fn seconds(civil: DateTime) -> i64 {
    civil.duration_since(EPOCH).as_secs()
}

/// As RFC 3339 has it: `2027-01-31T12:00:00Z`.
pub(crate) fn rfc3339(seconds: i64) -> Option<String> {
    civil(seconds).map(|civil| format!("{civil}Z"))
}

/// The second since 1970 of a time with its offset (RFC 3339), or of a date's midnight; fractions of a second are dropped.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let date: Date = pieces.date();
    match (pieces.time(), pieces.to_numeric_offset()) {
        (Some(time), Some(offset)) => {
            Some(seconds(DateTime::from_parts(date, time)) - i64::from(offset.seconds()))
        }
        // A time of nobody knows which zone is none.
        (Some(_), None) => None,
        (None, _) => Some(seconds(DateTime::from_parts(date, Time::midnight()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::limits;

    #[test]
    fn times_read_back_over_all_years() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2027-01-31T12:00:00Z", 1_801_396_800),
            ("9999-12-31T23:59:59Z", limits::SECRET_TIME_SECONDS_MAX),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
            assert_eq!(rfc3339(seconds).as_deref(), Some(text));
        }
        for (text, seconds) in [
            ("2027-01-31T12:00:00+00:00", 1_801_396_800),
            ("2027-01-31 14:00:00+02:00", 1_801_396_800),
            ("2027-01-31T12:00:00.999999Z", 1_801_396_800),
            ("9999-12-31T23:59:59+00:00", limits::SECRET_TIME_SECONDS_MAX),
            ("2027-01-31", 1_801_353_600),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for bad in [
            "",
            "2027-01-31T12:00:00",
            "2027-02-30",
            "31.01.2027",
            "12:00",
            "1801396800",
            "2027-01-31T12:00:00Z[Asia/Tokyo]",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
