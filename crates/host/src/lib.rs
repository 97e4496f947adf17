//! Apps, their workloads and user-assigned identities: made, started, ended and deleted, each with its principal in one commit.
//!
//! Owns: what an app is and has, what a start gives to a program (endpoint, secret, environment), what is resumed after a restart.
//! Owns not: the processes themselves (`keyless run` starts them), sockets (`server` listens, behind [`EndpointListeners`]).
#![forbid(unsafe_code)]

mod account;
pub mod app;
pub mod desired;
pub mod error;
pub mod federated;
#[cfg(test)]
mod fixtures;
mod hosting;
pub mod identities;
pub mod inject;
pub mod plan;
pub mod reference;
pub mod routes;
pub mod service;
pub mod settings;
pub mod shadow;
pub mod site;
pub mod user_assigned;
pub mod whole;
pub mod workload;

pub use desired::{
    AppNetwork, Change, Deployment, Desired, DesiredState, Health, Image, InstanceLimits, OwnCommand,
};
pub use error::HostError;
pub use federated::FederatedView;
pub use hosting::Publishable;
pub use identities::{Others, WantedIdentities};
pub use identity::{App, Assigned, Enforcement, Workload};
pub use inject::{Environment, Injection, TrustFiles};
pub use kernel::NetworkId;
pub use routes::{Connect, Connecting, Drained, InstanceKey, Lease, Reach, Routes, Unroutable, Wanted};
pub use service::{
    AppView, EndpointListeners, HostKernel, HostService, HostSettings, NetworkPlace, Place, Resumed,
    StartRequest, Started,
};
pub use settings::{Meant as MeantSettings, Setting, Wanted as WantedSetting};
pub use shadow::{ShadowDoor, ShadowDoors, ShadowFault};
pub use site::{PlanRef, Site, SiteValue};
pub use user_assigned::{IdentityView, UserAssigned};
pub use whole::{Run, Which, Whole};
pub use workload::{IMDS_PORT, InstanceRecord, PlaceRecord, WorkloadRecord};
