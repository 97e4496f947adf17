//! Why something about a certificate was refused, precise enough that a vault can tell a caller what to change.
//!
//! Owns: [`CertificateError`]. Owns not: status codes and a protocol's words. Never contains a value: a name may be confidential, and a
//! file that failed to open may be a key.

/// An error of this module. `why` and `what` are fixed texts of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The subject is not a distinguished name of RFC 4514, or a part of it is over its limit.
    #[error("the subject is not valid: {why}")]
    Subject {
        /// What is wrong with it.
        why: &'static str,
    },
    /// An alternative name is not valid.
    #[error("a subject alternative name is not valid: {why}")]
    AlternativeName {
        /// What is wrong with it, and with which kind of name.
        why: &'static str,
    },
    /// The profile names nobody: an empty subject and no alternative name.
    #[error("neither a subject nor a subject alternative name is given")]
    Nameless,
    /// A name is kept for the installation itself.
    #[error("a name is reserved for the server itself")]
    NameReserved,
    /// A key usage that X.509 does not have.
    #[error("an unknown key usage")]
    KeyUsageUnknown,
    /// A usage that only an authority's certificate may have.
    #[error("the key usages keyCertSign and cRLSign are not issued by this authority")]
    KeyUsageNeedsAuthority,
    /// An object identifier is not dotted decimal, is too long, or there are too many of them.
    #[error("an object identifier is not valid: {why}")]
    ObjectIdentifier {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A validity of no month or of too many, or one that ends after the year 9999.
    #[error("the validity is out of range")]
    Validity,
    /// The authority's own certificate has expired, or is not readable.
    #[error("the issuing authority cannot be used: {why}")]
    Authority {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A private key is not readable.
    #[error("the private key is malformed")]
    KeyMalformed,
    /// A key of a kind or size that is not supported.
    #[error(
        "the key's type is not supported: RSA of 2048, 3072 or 4096 bits, or EC on P-256, P-256K, P-384 or P-521"
    )]
    KeyUnsupported,
    /// The private key and the certificate do not belong together.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// A certificate is not strict DER, is not X.509, or an extension of it cannot be read.
    #[error("a certificate is malformed")]
    CertificateMalformed,
    /// A signing request is not strict DER, or not PKCS#10.
    #[error("the certificate signing request is malformed")]
    RequestMalformed,
    /// A signing request's signature is not by its own key.
    #[error("the certificate signing request is not signed by its own key")]
    RequestRejected,
    /// More bytes or more certificates than are accepted.
    #[error("{what} is too large")]
    TooLarge {
        /// What is too large.
        what: &'static str,
    },
    /// No private key where one is needed.
    #[error("there is no private key")]
    KeyMissing,
    /// More than one private key where one is needed.
    #[error("there is more than one private key")]
    KeyAmbiguous,
    /// No certificate where one is needed.
    #[error("there is no certificate")]
    CertificateMissing,
    /// The bytes are no PKCS#12 file.
    #[error("the PFX is malformed")]
    PfxMalformed,
    /// The password does not open the PKCS#12 file.
    #[error("the password of the PFX is wrong")]
    PfxPassword,
    /// The PKCS#12 file uses something that is not supported.
    #[error("the PFX is not supported: {what}")]
    PfxUnsupported {
        /// What is not supported.
        what: &'static str,
    },
    /// The PKCS#12 file asks for more iterations of key derivation than are granted.
    #[error("the PFX asks for too many iterations of key derivation")]
    PfxTooCostly,
    /// The text is no PEM bundle of a private key and certificates.
    #[error("the PEM text is not valid: {why}")]
    Pem {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The library could not do its work, such as signing.
    #[error("{what} failed")]
    Unavailable {
        /// What was tried.
        what: &'static str,
    },
}
