//! Why cryptography failed, in three words. Never says anything of the input: it may be a secret.

/// An error of this crate. `what` names the thing, such as "sealed value" or "passphrase".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptError {
    /// The key, tag or signature does not fit: it was made with another key, for another address, or was changed.
    #[error("{what} was rejected: wrong key, or it was changed or moved")]
    Rejected {
        /// What was rejected.
        what: &'static str,
    },
    /// The bytes are not what they are said to be.
    #[error("{what} is malformed")]
    Malformed {
        /// What was malformed.
        what: &'static str,
    },
    /// The library could not do its work (out of memory, a limit of an algorithm).
    #[error("{what} failed")]
    Unavailable {
        /// What was tried.
        what: &'static str,
    },
    /// The change is not allowed, such as removing the last slot of the root key.
    #[error("not allowed: {why}")]
    Forbidden {
        /// The rule.
        why: &'static str,
    },
}
