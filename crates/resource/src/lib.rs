//! What the resource manager knows and no other service does: the subscription, resource groups and what is in them, and who has which role
//! where.
//!
//! Owns: records of these, and who may see and change them. Owns not: vaults, apps and identities themselves (`vault`, `host`), paths and
//! JSON (`wire`).
#![forbid(unsafe_code)]

pub mod error;
pub mod group;
pub mod roles;
pub mod service;
pub mod subscription;

pub use error::ResourceError;
pub use service::ResourceService;
pub use subscription::Subscription;
