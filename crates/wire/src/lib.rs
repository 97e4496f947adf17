//! HTTP: one folder for each protocol, one `error.rs` in each. Azure's shapes live here and stop here.
//!
//! Owns: routes, bodies, headers, status codes, and the rule that an answer is sent only after its audit record was handed to the
//! kernel ([`context::Recorded`]). Owns not: decisions, sockets (but for those to apps, in `proxy`), TLS, tasks.
#![forbid(unsafe_code)]

pub mod admin;
mod arm;
pub mod bearer;
pub mod body;
pub mod context;
mod cross_origin;
pub mod graph;
pub mod keyvault;
pub mod msi;
pub mod oauth2;
pub mod outside;
pub mod patience;
pub mod proxy;
mod query;
pub mod router;
mod scm;
pub mod sign_in;
mod sparing;
mod time;

pub use context::{Context, Door, Services, State, Verifiers};
pub use outside::{Named, Outside, OutsidePlace};
pub use patience::Patience;
pub use router::PublicService;
pub use sparing::Sparing;
