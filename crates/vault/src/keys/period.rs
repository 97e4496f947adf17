//! Periods of the calendar, as rotation policies tell them (ISO 8601 durations of years, months, weeks and days). Times of the day are not
//! among them: a policy that is kept to the hour would promise more than a background task holds.

use domain::{NameError, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

const SECONDS_OF_DAY: i64 = 86_400;
/// Digits of one number: 9,999 years are enough.
const DIGITS_MAX: usize = 4;
/// Past this, in either direction, a time is as good as never. It keeps the arithmetic of dates within its numbers.
const SECONDS_MAX: i64 = 1_000_000_000_000;

/// A period, kept as it was written: `P3M` stays `P3M`, and `P90D` does not become it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    text: String,
    months: i64,
    days: i64,
}

impl Period {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// About how many days: months of 30, years of 365. For rules about what is long enough.
    pub(crate) const fn about_days(&self) -> i64 {
        self.months / 12 * 365 + self.months % 12 * 30 + self.days
    }

    /// The time that is so much later. A day that the month does not have is its last.
    pub(crate) fn after(&self, time: Timestamp) -> Timestamp {
        moved(time, self.months, self.days)
    }

    /// The time that is so much earlier.
    pub(crate) fn before(&self, time: Timestamp) -> Timestamp {
        moved(time, -self.months, -self.days)
    }
}

fn moved(time: Timestamp, months: i64, days: i64) -> Timestamp {
    let seconds = time.seconds().clamp(-SECONDS_MAX, SECONDS_MAX);
    let (day, second) = (seconds.div_euclid(SECONDS_OF_DAY), seconds.rem_euclid(SECONDS_OF_DAY));
    let (year, month, of_month) = date(day);
    let month = year * 12 + month - 1 + months;
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    let last = days_before(year, month + 1) - days_before(year, month);
    let day = days_before(year, month) + of_month.min(last) - 1 + days;
    Timestamp::from_seconds(day * SECONDS_OF_DAY + second)
}

/// Days from 1970-01-01 to the first of a month of the proleptic Gregorian calendar; month 13 is the next January. Years begin in March
/// here, so that the leap day is the last of a year.
const fn days_before(year: i64, month: i64) -> i64 {
    let from_march = year * 12 + month - 3;
    let (year, month) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5
        - 719_468
}

/// Year, month and day of month of so many days from 1970-01-01.
fn date(day: i64) -> (i64, i64, i64) {
    // A guess that is at most one year off in either direction, then the month by looking.
    let mut year = 1970 + day.div_euclid(365) - day.div_euclid(365 * 4 * 366);
    while days_before(year, 1) > day {
        year -= 1;
    }
    while days_before(year + 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before(year, *month) <= day).unwrap_or(1);
    (year, month, day - days_before(year, month) + 1)
}

impl FromStr for Period {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const FAULT: NameError = NameError {
            what: "period",
            rule: "an ISO 8601 duration of years, months, weeks or days, such as P90D, P18M or P2Y",
        };
        let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or(FAULT)?;
        let (mut months, mut days, mut units) = (0, 0, "YMWD");
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .filter(|end| (1..=DIGITS_MAX).contains(end))
                .ok_or(FAULT)?;
            let (number, tail) = rest.split_at(end);
            let number: i64 = number.parse().map_err(|_| FAULT)?;
            let unit = tail.chars().next().ok_or(FAULT)?;
            // Each unit once, and the larger ones first.
            units = units.split_once(unit).ok_or(FAULT)?.1;
            match unit {
                'Y' => months += number * 12,
                'M' => months += number,
                'W' => days += number * 7,
                _ => days += number,
            }
            rest = tail.get(1..).ok_or(FAULT)?;
        }
        Ok(Self { text: text.to_owned(), months, days })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        domain::text::deserialize(deserializer, str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> Period {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_kept() {
        for text in ["P90D", "P3M", "P18M", "P2Y", "P4W", "P1Y2M3D", "P0D", "P9999Y"] {
            assert_eq!(period(text).as_str(), text);
            assert_eq!(serde_json::to_string(&period(text)).unwrap(), format!("\"{text}\""));
        }
        assert_eq!((period("P1Y2M1W3D").months, period("P1Y2M1W3D").days), (14, 10));
        assert_eq!(period("P1Y1M1D").about_days(), 396);
    }

    #[test]
    fn what_is_no_period_of_days_is_refused() {
        for text in [
            "", "P", "90D", "p90d", "P90", "PD", "P-1D", "P1.5D", "P1D2M", "P1D1D", "P1M1Y", "PT1H",
            "P1DT1H", "P99999D", " P1D", "P1D ", "P1é",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    /// Python's `datetime` and `dateutil.relativedelta` say the same.
    #[test]
    fn months_end_on_their_last_day() {
        let check = |text: &str, from: i64, after: i64, before: i64| {
            let from = Timestamp::from_seconds(from);
            assert_eq!(period(text).after(from).seconds(), after, "{text}");
            assert_eq!(period(text).before(from).seconds(), before, "{text}");
        };
        // 2024-01-31T12:00:00Z, a month later is 2024-02-29, a month earlier 2023-12-31.
        check("P1M", 1_706_702_400, 1_709_208_000, 1_704_024_000);
        // 2024-02-29, a year later 2025-02-28, a year earlier 2023-02-28.
        check("P1Y", 1_709_164_800, 1_740_700_800, 1_677_542_400);
        check("P90D", 1_800_000_000, 1_800_000_000 + 90 * 86_400, 1_800_000_000 - 90 * 86_400);
        check("P1M1D", 0, 31 * 86_400 + 86_400, -(31 + 1) * 86_400);
    }

    #[test]
    fn every_day_has_its_date_and_no_time_overflows() {
        for day in -800_000..800_000_i64 {
            let (year, month, of_month) = date(day);
            assert_eq!(days_before(year, month) + of_month - 1, day);
        }
        assert_eq!((date(0), date(-1), date(19_782)), ((1970, 1, 1), (1969, 12, 31), (2024, 2, 29)));
        for seconds in [i64::MIN, i64::MAX] {
            let time = Timestamp::from_seconds(seconds);
            assert!(period("P9999Y").after(time) > period("P9999Y").before(time));
        }
    }
}
