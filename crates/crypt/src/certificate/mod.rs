//! Certificates that users keep in a vault: what is in them, asked for and given out; the files in which they travel.
//!
//! Owns: subjects (RFC 4514), profiles, signing requests (PKCS#10), self-signed certificates and those of our own authority (RFC 5280),
//! reading certificates, PFX (PKCS#12) and PEM. Owns not: the installation's own certificates (`x509`), the keys that a vault makes, and
//! when something is renewed. Private keys go in and out as PKCS#8 DER in a `Secret`.
//!
//! DER is read and written by RustCrypto's `der` and `x509-cert`, which are strict and were below `p12-keystore` already. `rcgen`, which
//! `x509` uses, cannot say a name with two OUs, nor a part with two values, and knows no P-256K.

pub mod chain;
pub mod error;
pub mod issue;
pub mod key;
pub mod names;
pub mod pem;
pub mod pfx;
pub mod profile;
pub mod read;
pub mod request;
mod signed;
pub mod subject;
#[cfg(test)]
mod test_files;
pub mod usage;

pub use chain::{Imported, read_chain};
pub use error::CertificateError;
pub use issue::{issue_from, self_signed};
pub use key::{Curve, KeyKind, PrivateKey, PublicKey};
pub use names::{AlternativeNames, Reserved};
pub use pem::{read_pem, write_pem};
pub use pfx::{read_pfx, write_pfx};
pub use profile::CertificateProfile;
pub use read::ParsedCertificate;
pub use request::{Request, read_request, request};
pub use subject::Subject;
pub use usage::{KeyUsage, KeyUsages, Oid};
