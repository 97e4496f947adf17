//! Vaults and their secrets, keys and certificates: versions, attributes, envelopes, and the permits without which nothing is opened.
//!
//! Owns: the records of vaults and objects, what each operation does to them, the keys of vaults. Owns not: who a caller is (`access`),
//! how a token is made (`directory`: this crate does not know it), HTTP (`wire`). Spec: Key Vault secrets, keys and certificates APIs,
//! soft delete, access policies, RBAC.
#![forbid(unsafe_code)]

pub mod attributes;
mod backup;
pub mod certificates;
pub mod deleted;
mod edit;
pub mod error;
mod garbage;
pub mod keys;
pub mod object;
mod page;
pub mod schedule;
pub mod secrets;
mod service;
mod told;
mod vault;
mod vaults;

pub use attributes::{Attributes, AttributesChange};
pub use certificates::{CertificateFault, Certificates};
pub use deleted::{Deleted, DeletedObject};
pub use edit::{PolicyEdit, SaidPolicy};
pub use error::VaultError;
pub use keys::{
    ImportedKey, KeyChange, KeyContent, KeyFault, KeyKind, KeyOp, KeyTerms, Keys, LifetimeAction,
    LifetimeActionKind, NewKey, NewRotationPolicy, Period, PublicHalf, ReleasePolicy, RotationPolicy,
};
pub use object::{Head, Kind, Object, Version, VersionChange};
pub use page::{Page, PageRequest};
pub use secrets::{SecretChange, SecretContent, SecretWithValue, Secrets, SetSecret};
pub use service::{Done, Permitted, PolicyOf, Used, VaultService};
pub use told::Told;
pub use vault::{AccessModel, DeletedVault, Recovery, Vault};
pub use vaults::{NewVault, VaultSettings, operation};
