//! What the resource manager knows and no other service does: the subscription, resource groups and what is in them, App Service plans, what of
//! an app is only told again, and who has which role where.
//!
//! Owns: records of these, and who may see and change them. Owns not: vaults, apps and identities themselves (`vault`, `host`), paths and
//! JSON (`wire`).
#![forbid(unsafe_code)]

#[cfg(test)]
mod counting;
pub mod error;
pub mod group;
pub mod plan;
pub mod roles;
pub mod service;
pub mod site;
pub mod subscription;

pub use error::ResourceError;
pub use plan::{Plan, PlanChange, PlanView, Size};
pub use service::ResourceService;
pub use site::{SiteChange, SiteView};
pub use subscription::Subscription;
