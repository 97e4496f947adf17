//! The pages as a browser goes through them: cookies are kept, forms are filled in as they are, and every protection has a test that fails
//! without it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod authorize;
mod browser;
mod consent;
mod device;
mod golden;
mod hinted;
mod number;
mod passkey;
mod protections;
mod sign_out;
mod steps;
mod userinfo;
