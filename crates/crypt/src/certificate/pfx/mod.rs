//! PFX files (PKCS#12, RFC 7292): a private key with its certificates, below a password.
//!
//! Owns: reading what the world's tools write, writing what they all read. Owns not: truststores, which have no key (`truststore`), and
//! the file's base64. `p12-keystore`, which writes those, is not used here: it leaves copies of private keys in memory that it does not
//! zeroize, grants each of any number of bags a million iterations and a gibibyte of memory, and knows one spelling of no password.
//! It is the oracle of the tests instead.

mod pbe;
mod read;
mod structure;
#[cfg(test)]
mod tests;
mod write;

pub use pbe::{ITERATIONS_MAX, ITERATIONS_TOTAL_MAX};
pub(super) use read::open_key;
pub use read::{PFX_BYTES_MAX, read_pfx};
pub use write::write_pfx;
