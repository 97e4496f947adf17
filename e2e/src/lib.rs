//! The harness of the scenarios: starts the real binary on a data directory of its own, runs apps under it, speaks raw HTTP to it.
//!
//! Knows the product only by its command line, its files' names and its protocols. Every process that it starts is ended by its
//! own handle when the value that owns it is dropped; every wait has a limit.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a harness of tests: a surprise is a failed test, and its place is the message"
)]

pub mod app;
pub mod chromium;
pub mod conformance;
pub mod exercise;
pub mod http;
pub mod person;
pub mod script;
pub mod server;
pub mod settings;
pub mod temporary;
pub mod wait;

pub use app::App;
pub use chromium::Chromium;
pub use http::{Answer, Https};
pub use person::Person;
pub use script::NodeScript;
pub use server::{Ended, Registered, Server};
pub use settings::{note, setting, skip};
pub use temporary::TemporaryDirectory;
