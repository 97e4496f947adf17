//! Tenants, principals, users, groups, app registrations and their credentials; issues tokens.
//!
//! Owns: the tenant's record, registrations, users and their passwords and second factors, the key ring
//! and its sealed private keys, the phases of a token request, the claims.
//! Owns not: HTTP and Azure's error numbers (`wire/oauth2`), the verification of bearer tokens and permits (`access`), the apps that
//! managed identities belong to (`host`).
//! Invariant: a token is signed only for a principal that the store said exists and is enabled, in the same decision in which the
//! client's proof was checked.
#![forbid(unsafe_code)]

pub mod app_role;
pub mod application;
pub mod assertion;
pub mod audience;
pub mod authorization;
pub mod browser;
mod change;
pub mod claims;
pub mod client;
pub mod consent;
pub mod credentials;
pub mod deleted;
pub mod error;
pub mod federation;
#[cfg(test)]
mod fixtures;
pub mod grants;
pub mod graph;
pub mod group;
mod guess;
mod holder;
mod id_token;
pub mod interaction;
mod issue;
pub mod keys;
pub mod managed;
pub mod passkey;
pub mod passkeys;
mod password;
mod people;
pub mod principal;
pub mod redirect;
pub mod registration;
pub mod registry;
pub mod ring;
pub mod roll;
mod scope;
pub mod service;
pub mod session;
mod sign_in;
mod sweep;
pub mod tenant;
pub mod token;
pub mod totp;
pub mod user;
pub mod workload_token;

pub use app_role::{AppRole, AppRoleError, RoleAssignment};
pub use assertion::AssertionRefusal;
pub use audience::Audience;
pub use change::RegistrationChange;
pub use claims::Proof;
pub use credentials::{CredentialKind, Removed};
pub use deleted::Deleted;
pub use error::{DirectoryError, RequestError};
pub use federation::{Fetched, IssuerFault, IssuerKeys, NoFetch};
pub use grants::GrantError;
pub use group::{GroupChange, GroupError, Member};
pub use managed::{Hosting, IdentityIds, Registered};
pub use registration::{
    Certificate, Credential, DEFAULT_AUDIENCE, FederatedCredential, NewCredential, NewFederatedCredential,
    NewRegistration, Registration, TokenVersion,
};
pub use ring::{KeyRing, KeyState, RingKey};
pub use roll::KeyChange;
pub use service::{DirectoryService, DirectorySettings};
pub use tenant::{Tenant, TenantAlias};
pub use token::{Endpoint, IssuedToken, TokenRequest};
pub use totp::{Authenticator, Enrolment};
pub use user::{NewUser, Person, User, UserChange, UserError};
pub use workload_token::Exchange;
