//! What could be logged at each request, or each second, is logged now and then: nobody is to fill a disk by asking often, nor to push out what
//! else a log tells.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often one place logs. Ours: often enough for who looks at a log just now, and some hundred kilobytes a day.
const INTERVAL: Duration = Duration::from_secs(60);

/// One place that logs, as a `static`.
#[derive(Debug, Default)]
pub struct Sparing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    left_out: u64,
}

impl Sparing {
    /// That has said nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State { said: None, left_out: 0 }))
    }

    /// Is it time to log? If so: how often it was not, since the last time.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        // It is whole after each line.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < INTERVAL) {
            state.left_out += 1;
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_of_many_one_in_a_while_with_their_number() {
        let (sparing, begin) = (Sparing::new(), Instant::now());
        assert_eq!(sparing.due_at(begin), Some(0));
        for millis in 0..1_000 {
            assert_eq!(sparing.due_at(begin + Duration::from_millis(millis)), None);
        }
        assert_eq!(sparing.due_at(begin + INTERVAL), Some(1_000));
        assert_eq!(sparing.due_at(begin + INTERVAL), None);
        assert_eq!(sparing.due_at(begin + INTERVAL * 3), Some(1));
        assert_eq!(sparing.due_at(begin + INTERVAL * 4), Some(0));
    }
}
