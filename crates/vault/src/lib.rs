//! Vaults and their secrets: versions, attributes, envelopes, and the permits without which nothing is opened.
//!
//! Owns: the records of vaults and secrets, what each operation does to them, the keys of vaults. Owns not: who a caller is (`access`),
//! how a token is made (`directory`: this crate does not know it), HTTP (`wire`). Spec: Key Vault secrets API, access policies.
#![forbid(unsafe_code)]

pub mod attributes;
pub mod error;
mod page;
mod records;
mod secrets;
mod service;
mod vaults;

pub use attributes::{AttributesChange, SecretAttributes, SecretChange, SetSecret};
pub use error::VaultError;
pub use page::{PageRequest, SecretPage};
pub use records::{SecretRecord, Vault};
pub use secrets::{Permitted, SecretProperties, SecretWithValue};
pub use service::VaultService;
