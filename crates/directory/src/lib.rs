//! Tenants, principals, app registrations and their credentials; issues tokens.
//!
//! Owns: the tenant's record, registrations, the key ring and its sealed private keys, the phases of a token request, the claims.
//! Owns not: HTTP and Azure's error numbers (`wire/oauth2`), the verification of bearer tokens and permits (`access`), the apps that
//! managed identities belong to (`host`).
//! Invariant: a token is signed only for a principal that the store said exists and is enabled, in the same decision in which the
//! client's proof was checked.
#![forbid(unsafe_code)]

pub mod audience;
pub mod claims;
pub mod error;
#[cfg(test)]
mod fixtures;
pub mod grants;
pub mod keys;
pub mod managed;
pub mod principal;
pub mod registration;
pub mod registry;
pub mod ring;
pub mod roll;
pub mod service;
pub mod tenant;
pub mod token;

pub use audience::Audience;
pub use error::DirectoryError;
pub use managed::{IdentityIds, Registered};
pub use registration::{Credential, NewCredential, NewRegistration, Registration, TokenVersion};
pub use ring::{KeyRing, KeyState, RingKey};
pub use roll::KeyChange;
pub use service::{DirectoryService, DirectorySettings};
pub use tenant::{Tenant, TenantAlias};
pub use token::{Endpoint, IssuedToken, TokenRequest};
