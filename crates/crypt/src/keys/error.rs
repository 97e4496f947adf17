//! Why a key could not be used, or could not be taken in. Precise where the caller can mend it, silent where it would be an oracle.

use super::{KeySpec, Operation};
use std::fmt;

/// An operation with a key failed. All but [`KeyOperationError::Rejected`] and [`KeyOperationError::Unavailable`] are the caller's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyOperationError {
    /// No algorithm has this name.
    #[error("the algorithm is unknown")]
    AlgorithmUnknown,
    /// The algorithm is for another type, curve or size of key.
    #[error("{algorithm} is not for a key of type {key}")]
    AlgorithmNotForKey {
        /// The algorithm that was asked for.
        algorithm: &'static str,
        /// The key that there is.
        key: KeySpec,
    },
    /// The algorithm is for other operations, such as AES key wrap when a value is to be encrypted.
    #[error("{algorithm} is not for {}", operation.name())]
    AlgorithmNotForOperation {
        /// The algorithm that was asked for.
        algorithm: &'static str,
        /// The operation that was asked for.
        operation: Operation,
    },
    /// The digest is not as long as the algorithm's hash.
    #[error("{algorithm} requires a digest of {expected} bytes, not {found}")]
    DigestLength {
        /// The algorithm that was asked for.
        algorithm: &'static str,
        /// Bytes that it takes.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// RSNULL was given something else than the DER of a `DigestInfo` of SHA-256, SHA-384 or SHA-512 with NULL parameters.
    #[error("RSNULL requires the DigestInfo of a SHA-256, SHA-384 or SHA-512 hash")]
    DigestInfo,
    /// The value is too long or of a wrong length.
    #[error("{algorithm} requires a value of {expected}, not {found}")]
    ValueLength {
        /// The algorithm that was asked for.
        algorithm: &'static str,
        /// What it takes.
        expected: ValueRule,
        /// Bytes that were given.
        found: usize,
    },
    /// The initialization vector is missing or of a wrong length.
    #[error("{algorithm} requires an iv of {expected} bytes, not {found}")]
    IvLength {
        /// The algorithm that was asked for.
        algorithm: &'static str,
        /// Bytes that it takes.
        expected: usize,
        /// Bytes that were given; 0 if there was none.
        found: usize,
    },
    /// The authentication tag is missing or of a wrong length.
    #[error("{algorithm} requires a tag of {expected} bytes, not {found}")]
    TagLength {
        /// The algorithm that was asked for.
        algorithm: &'static str,
        /// Bytes that it takes.
        expected: usize,
        /// Bytes that were given; 0 if there was none.
        found: usize,
    },
    /// A parameter was given that the algorithm would ignore, which would deceive: `aad` that nothing authenticates, or an `iv` for the
    /// encryption of A*GCM, where a repeated one breaks the key.
    #[error("{algorithm} takes no {parameter} here")]
    ParameterNotAllowed {
        /// The algorithm that was asked for.
        algorithm: &'static str,
        /// `iv`, `aad` or `tag`.
        parameter: &'static str,
    },
    /// The value does not decrypt: another key made it, or it was changed. The one answer for every reason, lest it tells of the plaintext.
    #[error("{algorithm} could not decrypt the value")]
    Rejected {
        /// The algorithm that was asked for.
        algorithm: &'static str,
    },
    /// The library could not do its work.
    #[error("{algorithm} failed")]
    Unavailable {
        /// The algorithm that was asked for.
        algorithm: &'static str,
    },
}

/// Which lengths of a value an algorithm takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueRule {
    /// So many bytes or fewer.
    AtMost(usize),
    /// A multiple of `unit` bytes, `least` or more.
    Units {
        /// Bytes of one unit.
        unit: usize,
        /// Bytes at least.
        least: usize,
    },
    /// Between one byte and so many.
    OneTo(usize),
}

impl ValueRule {
    /// Succeeds if a value of this length is allowed.
    pub(super) fn require(self, algorithm: &'static str, found: usize) -> Result<(), KeyOperationError> {
        let holds = match self {
            Self::AtMost(most) => found <= most,
            Self::Units { unit, least } => found >= least && found.is_multiple_of(unit),
            Self::OneTo(most) => (1..=most).contains(&found),
        };
        if holds { Ok(()) } else { Err(KeyOperationError::ValueLength { algorithm, expected: self, found }) }
    }
}

impl fmt::Display for ValueRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(formatter, "at most {most} bytes"),
            Self::Units { unit, least } => {
                write!(formatter, "a multiple of {unit} bytes, {least} or more")
            }
            Self::OneTo(most) => write!(formatter, "1 to {most} bytes"),
        }
    }
}

/// Why a key that came from outside is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyImportFault {
    /// A member of the JWK is needed and not there.
    #[error("the key has no {member}")]
    MemberMissing {
        /// The member's name in the protocol.
        member: &'static str,
    },
    /// An RSA key with `d` and without the prime factors: they would have to be found first, which this engine does not do.
    #[error("an RSA key is imported with p, q, dp, dq and qi")]
    FactorsMissing,
    /// A member is an integer that is too long for the curve.
    #[error("{member} has more than {most} bytes")]
    MemberLength {
        /// The member's name in the protocol.
        member: &'static str,
        /// Bytes at most.
        most: usize,
    },
    /// A size that Key Vault has not: RSA other than 2048, 3072 or 4096 bits, oct other than 128, 192 or 256.
    #[error("a key of {bits} bits is not supported")]
    Size {
        /// Bits that were found.
        bits: usize,
    },
    /// An RSA key with a public exponent other than 65537.
    #[error("the public exponent is not 65537")]
    PublicExponent,
    /// The parts do not make a key: they do not belong together, the point is not on the curve, a factor is not prime.
    #[error("the parts of the key do not belong together")]
    Inconsistent,
    /// PKCS#8 that is not readable, or of another type or curve than the vault has.
    #[error("not a private key of a supported type")]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_at_their_borders() {
        let check = |rule: ValueRule, allowed: &[usize], refused: &[usize]| {
            for length in allowed {
                assert_eq!(rule.require("A", *length), Ok(()), "{rule} {length}");
            }
            for length in refused {
                let error = KeyOperationError::ValueLength { algorithm: "A", expected: rule, found: *length };
                assert_eq!(rule.require("A", *length), Err(error), "{rule} {length}");
            }
        };
        check(ValueRule::AtMost(10), &[0, 10], &[11]);
        check(ValueRule::Units { unit: 8, least: 16 }, &[16, 24], &[0, 8, 15, 17]);
        check(ValueRule::OneTo(10), &[1, 10], &[0, 11]);
    }

    #[test]
    fn messages_say_what_to_do() {
        let check = |error: KeyOperationError, text: &str| assert_eq!(error.to_string(), text);
        check(
            KeyOperationError::DigestLength { algorithm: "RS256", expected: 32, found: 10 },
            "RS256 requires a digest of 32 bytes, not 10",
        );
        check(
            ValueRule::Units { unit: 16, least: 16 }.require("A128CBC", 3).unwrap_err(),
            "A128CBC requires a value of a multiple of 16 bytes, 16 or more, not 3",
        );
        check(
            KeyOperationError::AlgorithmNotForOperation {
                algorithm: "A128KW",
                operation: Operation::Encrypt,
            },
            "A128KW is not for encrypt",
        );
    }
}
