//! One file for each way in.

pub(crate) mod arm;
pub(crate) mod assertion;
pub(crate) mod backup;
pub(crate) mod bearer;
pub(crate) mod config;
pub(crate) mod jwk;
pub(crate) mod keyvault;
pub(crate) mod msi;
pub(crate) mod package;
pub(crate) mod passkey;
pub(crate) mod pem;
pub(crate) mod pfx;
pub(crate) mod record;
pub(crate) mod root_files;
pub(crate) mod scm;
pub(crate) mod stack;
pub(crate) mod token_request;
pub(crate) mod x509;
