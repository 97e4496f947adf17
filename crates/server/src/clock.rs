//! The clock: the only place of the product that reads the time of day.

use domain::{Clock, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is told as 1970: every certificate and token is then not yet valid, which is refused with a reason.
        let since = file_time().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Now, in the form that files have.
#[expect(clippy::disallowed_methods, reason = "this is the clock that all others are handed")]
pub(crate) fn file_time() -> SystemTime {
    SystemTime::now()
}
