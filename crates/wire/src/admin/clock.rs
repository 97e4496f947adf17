//! `/v1/clock`: what time it is here; and, on a server that was started with a test clock, time travel.
//!
//! Only forward. Backward, tokens that were issued would not be valid yet, the audit log would tell things before their causes, and what
//! was purged when its time came would be gone before it: a state that no real server can be in, so that a test of it proves nothing.

use super::{
    Admin, audited,
    body::{Body, json},
    error::AdminError,
};
use crate::{
    context::{Context, State},
    time::date,
};
use axum::{Extension, Router, extract::State as Shared, response::Response, routing::get};
use domain::{Timestamp, limits};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::{future::Future, pin::Pin, time::Duration};
use store::StoreError;

/// A step in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// By so much.
    By(Duration),
    /// To this time.
    To(Timestamp),
}

/// Why the clock was not moved.
#[derive(Debug, thiserror::Error)]
pub enum ClockFault {
    /// The time is past.
    #[error(
        "the clock goes forward only, and it is past that time: tokens, purges and the audit log cannot be taken back"
    )]
    Past,
    /// The time is too far away.
    #[error("the clock may be at most {} days ahead of the real time", limits::TEST_CLOCK_AHEAD_MAX.as_secs() / 86_400)]
    TooFar,
    /// The move could not be kept.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
}

/// What was done since its time has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Each thing, as the audit log names it.
    pub done: Vec<String>,
    /// When the next thing is due; in the past if there was more to do than could be waited for, or something could not be done.
    pub next_due: Option<Timestamp>,
}

/// What takes its time.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A clock that may be moved; `server` implements it.
pub trait TestClock: Send + Sync {
    /// Moves the clock, also for later starts of the server.
    ///
    /// # Errors
    /// [`ClockFault`]; then it stands where it stood.
    fn advance(&self, step: Step) -> Later<'_, Result<(), ClockFault>>;

    /// Does what has become due, within some time.
    fn settle(&self) -> Later<'_, Settled>;
}

/// Exactly one of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    #[serde(default)]
    by_seconds: Option<u64>,
    #[serde(default)]
    to: Option<Timestamp>,
}

#[derive(Serialize)]
struct Shown {
    now: Timestamp,
    /// `None`: the clock is the real one.
    ahead_seconds: Option<u64>,
    next_due: Option<Timestamp>,
}

#[derive(Serialize)]
struct Moved {
    from: Timestamp,
    #[serde(flatten)]
    shown: Shown,
    done: Vec<String>,
    /// Something is due still: it is done in the background, or could not be done.
    is_more_due: bool,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/clock", get(show).post(advance))
}

async fn show(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let due = [state.vault.next_due().await?, state.directory.keys_due()];
    let next_due = due.into_iter().flatten().min();
    let (now, ahead) = (state.clock.now(), state.clock.ahead());
    Ok(json(StatusCode::OK, &Shown { now, ahead_seconds: ahead.map(|ahead| ahead.as_secs()), next_due }))
}

async fn advance(
    Shared(Admin { state, installation, .. }): Shared<Admin>,
    Extension(context): Extension<Context>,
    Body(asked): Body<Move>,
) -> Result<Response, AdminError> {
    let step = match asked {
        Move { by_seconds: Some(seconds), to: None } => Ok(Step::By(Duration::from_secs(seconds))),
        Move { by_seconds: None, to: Some(to) } => Ok(Step::To(to)),
        Move { .. } => Err(AdminError::bad_request("give exactly one of by_seconds and to")),
    };
    let clock = installation.test_clock();
    let moved = match (&clock, step) {
        (Some(clock), Ok(step)) => clock.advance(step).await.map_err(AdminError::from),
        (None, _) => Err(real()),
        (_, Err(error)) => Err(error),
    };
    let target = match &moved {
        Ok(()) => format!("clock: {} to {}", date(context.now), date(state.clock.now())),
        Err(_) => "clock".to_owned(),
    };
    audited(&state, &context, "clock.advance", target, moved)?;
    // Its record is written before those of what is done now.
    let settled = match clock {
        Some(clock) => clock.settle().await,
        None => Settled::default(),
    };
    let now = state.clock.now();
    let moved = Moved {
        from: context.now,
        is_more_due: settled.next_due.is_some_and(|due| due <= now),
        done: settled.done,
        shown: Shown {
            now,
            ahead_seconds: state.clock.ahead().map(|ahead| ahead.as_secs()),
            next_due: settled.next_due,
        },
    };
    Ok(json(StatusCode::OK, &moved))
}

fn real() -> AdminError {
    AdminError::new(
        StatusCode::CONFLICT,
        "RealClock",
        "this server's clock is the real one and cannot be moved: start another on a directory of its own, \
         `keyless up --test-clock --data-dir DIR --port PORT`",
    )
}

impl From<ClockFault> for AdminError {
    fn from(fault: ClockFault) -> Self {
        match fault {
            ClockFault::Past => Self::new(StatusCode::CONFLICT, "Past", fault.to_string()),
            ClockFault::TooFar => Self::bad_request(fault.to_string()),
            ClockFault::Store(error) => error.into(),
        }
    }
}
