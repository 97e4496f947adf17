//! Ids for tests.

use std::str::FromStr;

/// The id of any kind with this number.
pub(crate) fn id<I: FromStr<Err: std::fmt::Debug>>(number: u128) -> I {
    format!("00000000-0000-4000-8000-{number:012x}").parse().unwrap()
}
