//! Managed identity: an attested peer and an endpoint secret name a workload; its app's identity gets a token.
//!
//! Owns: the table of running workloads, what may come of a connection to an endpoint, the tokens that are kept for reuse, and the
//! record of an [`App`] (it is read at each token request, and `host` writes it).
//! Owns not: HTTP (`wire/msi`), sockets and tasks (`server`), how the kernel is asked (`kernel`), how a token is made (`directory`).
#![forbid(unsafe_code)]

pub mod app;
pub mod attest;
pub mod cache;
pub mod challenge;
pub mod error;
pub mod query;
pub mod service;
pub mod workload;

pub use app::{App, Assigned};
pub use attest::{AttestedConnection, Confinement, PeerProbe, Refusal};
pub use cache::{Holder, ManagedToken};
pub use challenge::{Challenges, FileHands, OwnHands};
pub use error::IdentityError;
pub use kernel::{Attested, Peer, ProcessFacts};
pub use query::{Selector, TokenQuery};
pub use service::{Authentic, IdentityService};
pub use workload::{Enforcement, Protection, Workload};
