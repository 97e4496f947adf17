//! What can go wrong with a key, in our words.

use super::KeyOp;
use crypt::keys::{KeyImportFault, KeyOperationError, KeyType};
use domain::{ObjectName, Timestamp};

/// Why a key was not made, changed or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The version is disabled.
    #[error("key {name} is disabled: no {operation}")]
    Disabled {
        /// The key.
        name: ObjectName,
        /// What was asked.
        operation: &'static str,
    },
    /// The version is not to be used for this yet.
    #[error("key {name} is not to be used before {from}: no {operation}", from = from.seconds())]
    NotYetValid {
        /// The key.
        name: ObjectName,
        /// What was asked.
        operation: &'static str,
        /// From when on it may.
        from: Timestamp,
    },
    /// The version is not to be used for this any more.
    #[error("key {name} is expired since {since}: no {operation}", since = since.seconds())]
    Expired {
        /// The key.
        name: ObjectName,
        /// What was asked.
        operation: &'static str,
        /// Since when.
        since: Timestamp,
    },
    /// The version's operations do not have this one.
    #[error("{operation} is not among the operations of the key")]
    OperationForbidden {
        /// What was asked.
        operation: KeyOp,
    },
    /// The key was asked for an operation as it cannot be done.
    #[error("{operation}: {error}")]
    Operation {
        /// What was asked.
        operation: KeyOp,
        /// Why not.
        error: KeyOperationError,
    },
    /// A key of a size that there is not.
    #[error("there is no {} key of {bits} bits", key_type.name())]
    Size {
        /// Its type.
        key_type: KeyType,
        /// What was asked.
        bits: i64,
    },
    /// A size that is not the named curve's.
    #[error("the curve has not {bits} bits")]
    SizeOfCurve {
        /// What was asked.
        bits: i64,
    },
    /// An RSA key with another public exponent than 65537.
    #[error("the public exponent is not 65537")]
    PublicExponent,
    /// A key that came from outside is none that can be taken in.
    #[error("the key is not taken in: {0}")]
    Import(KeyImportFault),
    /// An exportable key needs to say under which conditions it may leave.
    #[error("an exportable key without a release policy")]
    ReleasePolicyMissing,
    /// A release policy on a key that cannot be exported.
    #[error("a release policy for a key that is not exportable")]
    ReleasePolicyUnused,
    /// A release policy that is none.
    #[error("the release policy {rule}")]
    ReleasePolicyInvalid {
        /// What it must be.
        rule: &'static str,
    },
    /// A release policy that was set once for all.
    #[error("the release policy is immutable")]
    ReleasePolicyImmutable,
    /// Whether a key is exportable is said when it is made.
    #[error("whether a key is exportable cannot be changed")]
    ExportableFixed,
    /// Only exportable keys are released.
    #[error("key {name} is not exportable")]
    NotExportable {
        /// The key.
        name: ObjectName,
    },
    /// What was sent as the environment's attestation is no token.
    #[error("the attestation is no token")]
    AttestationMalformed,
    /// Nobody vouches for environments whom this vault would believe.
    #[error("no attestation authority is trusted, so that none of the release policy's can vouch: {}", authorities.join(", "))]
    NoAttestationAuthority {
        /// Whom the release policy asks for.
        authorities: Vec<String>,
    },
    /// Only an HSM can attest that a key was made in it.
    #[error("a software key has no attestation")]
    NoAttestation,
    /// A rotation policy that cannot be kept.
    #[error("the rotation policy: {rule}")]
    RotationPolicy {
        /// What it must be.
        rule: &'static str,
    },
    /// So many random bytes are not given at a time.
    #[error("{count} random bytes")]
    RandomBytes {
        /// What was asked.
        count: i64,
    },
}
