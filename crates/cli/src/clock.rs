//! `keyless clock`: what time it is at the server; and time travel, where it was started with `--test-clock`.

use crate::{
    admin::Admin,
    failure::Failure,
    output::{self, Colour, Format, paint},
    time,
};
use clap::Subcommand;
use http::Method;
use serde::{Deserialize, Serialize};
use server::units::Span;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What time it is at the server, and when something is due there
    Show,
    /// Move a test clock forward; answers once all is done that became due
    Advance {
        /// By how much, such as 90s, 2h or 91d
        span: Span,
    },
    /// Move a test clock forward to a time
    Set {
        /// When, such as 2027-01-01 (UTC) or 2027-01-01T12:00:00Z
        #[arg(value_parser = moment)]
        time: i64,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct Clock {
    now: i64,
    ahead_seconds: Option<u64>,
    next_due: Option<i64>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Moved {
    from: i64,
    #[serde(flatten)]
    clock: Clock,
    done: Vec<String>,
    is_more_due: bool,
}

pub(crate) async fn clock(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let body = match command {
        Command::Show => {
            let clock: Clock = admin.get("/v1/clock").await?;
            match format {
                Format::Json => output::json(&clock),
                Format::Table => show(&clock),
            }
            return Ok(());
        }
        Command::Advance { span } => serde_json::json!({"by_seconds": span.0.as_secs()}),
        Command::Set { time } => serde_json::json!({"to": time}),
    };
    let moved: Moved = admin.ask(Method::POST, "/v1/clock", &body).await?;
    if format == Format::Json {
        output::json(&moved);
    } else {
        show(&moved.clock);
        output::facts(&[(
            "done",
            match moved.done.len() {
                0 => "nothing was due".to_owned(),
                1 => "1 thing that was due".to_owned(),
                many => format!("{many} things that were due"),
            },
        )]);
        moved.done.iter().for_each(|done| output::line(format_args!("  {done}")));
    }
    if moved.is_more_due {
        output::note(
            "Not all that is due is done yet: it is tried again every few seconds; `keyless audit tail` and the server's log say what was \
             done and what could not be.",
        );
    }
    Ok(())
}

/// In seconds since 1970.
fn moment(text: &str) -> Result<i64, String> {
    time::parse(text).ok_or_else(|| "a time is 2027-01-31 (UTC) or 2027-01-31T12:00:00Z".to_owned())
}

fn show(clock: &Clock) {
    let kind = clock
        .ahead_seconds
        .map_or_else(|| "the real time".to_owned(), |ahead| paint(Colour::Warn, told(ahead)));
    output::facts(&[
        ("time", output::time(clock.now)),
        ("clock", kind),
        ("next due", clock.next_due.map_or_else(|| "nothing".to_owned(), output::time)),
    ]);
}

/// By how much a test clock is ahead, in words.
pub(crate) fn told(ahead_seconds: u64) -> String {
    if ahead_seconds == 0 {
        return "TEST CLOCK, not moved yet".to_owned();
    }
    let (days, rest) = (ahead_seconds / 86_400, ahead_seconds % 86_400);
    let mut parts = Vec::new();
    for (amount, unit) in [(days, "d"), (rest / 3_600, "h"), (rest % 3_600 / 60, "m"), (rest % 60, "s")] {
        if amount > 0 {
            parts.push(format!("{amount}{unit}"));
        }
    }
    format!("TEST CLOCK, {} ahead of the real time", parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_a_date() {
        assert_eq!(moment("2027-01-31"), Ok(1_801_353_600));
        assert_eq!(moment("2027-01-31T12:00:00Z"), Ok(1_801_396_800));
        for bad in ["tomorrow", "2027-02-30", "2027-01-31T12:00:00"] {
            assert!(moment(bad).unwrap_err().contains("2027-01-31"), "{bad}");
        }
    }

    #[test]
    fn how_far_it_is_ahead_is_said_in_units() {
        for (seconds, text) in [
            (0, "TEST CLOCK, not moved yet"),
            (90, "TEST CLOCK, 1m 30s ahead of the real time"),
            (91 * 86_400, "TEST CLOCK, 91d ahead of the real time"),
            (86_400 + 3_600, "TEST CLOCK, 1d 1h ahead of the real time"),
        ] {
            assert_eq!(told(seconds), text);
        }
    }
}
