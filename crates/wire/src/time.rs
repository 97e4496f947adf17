//! A time in the form that most protocols here have (RFC 3339, in UTC, by whole seconds). Those that want another form say it themselves.

use domain::Timestamp;

/// `2026-11-26T23:45:00Z`.
pub(crate) fn date(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.seconds()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_utc_and_one_that_cannot_be_is_none() {
        assert_eq!(date(Timestamp::from_seconds(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(date(Timestamp::from_seconds(i64::MAX)), "1970-01-01T00:00:00Z");
    }
}
