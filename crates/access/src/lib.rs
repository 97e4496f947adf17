//! Who is calling, and may they: callers out of bearer tokens, permits out of access policies.
//!
//! Owns: the two witnesses [`Caller`] (signature, issuer, audience and times hold) and [`Permit`] (this principal may do this in
//! this vault, now), the access policy, and the records of principals and groups, which every permit reads.
//! Owns not: how tokens are issued (`directory`), what they open (`vault`), what a refusal looks like (`wire`).
//! Invariant: a token proves who asked, never that they still may: each permit reads principal and policy in the same view as the
//! thing itself, so an acknowledged revocation is not outrun by any cache.
#![forbid(unsafe_code)]

pub mod action;
pub mod assignment;
pub mod audience;
mod cache;
pub mod caller;
mod claims;
pub mod group;
pub mod manage;
pub mod network;
pub mod permit;
pub mod policy;
pub mod principal;
pub mod resource_group;
pub mod revocation;
pub mod role;
pub mod vacated;
pub mod verifier;

pub use action::*;
pub use assignment::{ObjectScope, RoleAssignment, RoleAssignments, Scope, WideRoles};
pub use audience::vault_audiences;
pub use caller::Caller;
pub use group::{Group, is_subject};
pub use manage::{Around, Asking, ManagePermit, Manager, Unmanaged, manage};
pub use network::{IpRange, NetworkRules};
pub use permit::{Asker, Denied, Lack, Permit, Rule, Rules, VaultScope, by_seeing, decide, permit};
pub use policy::AccessPolicy;
pub use principal::{Principal, PrincipalKind};
pub use resource_group::{GroupFault, ResourceGroup, may_hold};
pub use revocation::Revocations;
pub use role::{BUILT_IN_ROLES, CustomRole, CustomRoles, Definition, Operation, Role, RoleRef};
pub use vacated::{Gone, Vacated};
pub use verifier::{BearerFault, KeySource, Verifier, VerifierConfig};
