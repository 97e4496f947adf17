//! What can go wrong with certificates alone, in our words. Carries names and rules, never values.

use crypt::{certificate::CertificateError, keys::KeyImportFault};
use domain::ObjectName;

/// Why an operation on a certificate, an issuer or the contacts did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// There is no operation of this name.
    #[error("there is no pending operation of certificate {name}")]
    PendingNotFound {
        /// The certificate's name.
        name: ObjectName,
    },
    /// An operation is under way, and must end or be deleted before another one begins.
    #[error("an operation of certificate {name} is in progress")]
    PendingInProgress {
        /// The certificate's name.
        name: ObjectName,
    },
    /// The operation is over.
    #[error("the operation of certificate {name} is not in progress")]
    PendingOver {
        /// The certificate's name.
        name: ObjectName,
    },
    /// Nobody has set contacts.
    #[error("there are no contacts")]
    ContactsNotFound,
    /// There is no issuer of this name.
    #[error("there is no issuer {name}")]
    IssuerNotFound {
        /// Its name.
        name: ObjectName,
    },
    /// A name that issuers have which need no object.
    #[error("{name} is the name of an issuer that needs none")]
    IssuerReserved {
        /// The name.
        name: ObjectName,
    },
    /// A certificate that is not there is asked for without a policy.
    #[error("the first version of a certificate needs a policy")]
    PolicyMissing,
    /// Something of a policy, an issuer or a list of contacts is not as it may be.
    #[error("{what} {rule}")]
    Invalid {
        /// What.
        what: &'static str,
        /// What it may be.
        rule: &'static str,
    },
    /// What came is not of the form that it should be of.
    #[error("{what} is malformed")]
    Malformed {
        /// What.
        what: &'static str,
    },
    /// The secret of this object has no such form.
    #[error("the secret has no form of this content type: {why}")]
    NoSuchForm {
        /// Why.
        why: &'static str,
    },
    /// A certificate, its names or the file in which it came are refused.
    #[error(transparent)]
    Refused(#[from] CertificateError),
    /// Its key is refused.
    #[error("the certificate's key is refused")]
    Key(#[from] KeyImportFault),
}
