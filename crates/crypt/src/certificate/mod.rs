//! Certificates that users keep in a vault: what is in them, asked for and given out; the files in which they travel.
//!
//! Owns: subjects (RFC 4514), profiles, signing requests (PKCS#10), self-signed certificates and those of our own authority (RFC 5280),
//! reading certificates, PFX (PKCS#12) and PEM. Owns not: the installation's own certificates (`x509`), the keys that a vault makes, and
//! when something is renewed. Private keys go in and out as PKCS#8 DER in a `Secret`.
//!
//! DER is read and written by RustCrypto's `der` and `x509-cert`, which are strict and were below `p12-keystore` already. `rcgen`, which
//! `x509` uses, cannot say a name with two OUs, nor a part with two values, and knows no P-256K.

pub mod error;
pub mod key;
pub mod names;
pub mod profile;
pub mod subject;
pub mod usage;

pub use error::CertificateError;
pub use key::{Curve, KeyKind, PrivateKey, PublicKey};
pub use names::{AlternativeNames, Reserved};
pub use profile::CertificateProfile;
pub use subject::Subject;
pub use usage::{KeyUsage, KeyUsages, Oid};
