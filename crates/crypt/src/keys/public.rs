//! The public half of a key, parsed: verifies and encrypts without the private half, which then need not be unsealed.

use super::{
    Encrypted, EncryptionAlgorithm, KeyImportFault, KeyOperationError, KeySpec, Operation, Plaintext,
    PublicJwk, SignatureAlgorithm,
    ec::EcPublicKey,
    oct::refuse,
    rsa::{EXPONENT, RsaPublicKey},
};
use crate::CryptError;
use std::fmt;

/// The public half of an RSA or EC key, ready to be used many times and from many threads.
pub struct PublicKey(Kind);

enum Kind {
    Rsa(RsaPublicKey),
    Ec(EcPublicKey),
}

impl PublicKey {
    /// Parses a public JWK.
    ///
    /// # Errors
    /// [`KeyImportFault`] if it is of an unsupported size or exponent, or its point is not on its curve.
    pub fn from_jwk(jwk: &PublicJwk) -> Result<Self, KeyImportFault> {
        match jwk {
            PublicJwk::Rsa { n, e } => RsaPublicKey::from_parts(n, e).map(Self::rsa),
            PublicJwk::Ec { crv, x, y } => EcPublicKey::from_parts(*crv, x, y).map(Self::ec),
        }
    }

    pub(super) const fn rsa(key: RsaPublicKey) -> Self {
        Self(Kind::Rsa(key))
    }

    pub(super) const fn ec(key: EcPublicKey) -> Self {
        Self(Kind::Ec(key))
    }

    /// Type and size.
    #[must_use]
    pub const fn spec(&self) -> KeySpec {
        match &self.0 {
            Kind::Rsa(key) => KeySpec::Rsa(key.size()),
            Kind::Ec(key) => KeySpec::Ec(key.curve()),
        }
    }

    /// The key as a JWK.
    #[must_use]
    pub fn to_jwk(&self) -> PublicJwk {
        match &self.0 {
            Kind::Rsa(key) => PublicJwk::Rsa { n: key.modulus().to_vec(), e: EXPONENT.to_vec() },
            Kind::Ec(key) => {
                let (x, y) = key.coordinates();
                PublicJwk::Ec { crv: key.curve(), x: x.to_vec(), y: y.to_vec() }
            }
        }
    }

    /// The key as a DER `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7), for certificates and requests.
    ///
    /// # Errors
    /// [`CryptError::Unavailable`].
    pub fn to_spki(&self) -> Result<Vec<u8>, CryptError> {
        match &self.0 {
            Kind::Rsa(key) => Ok(key.spki().to_vec()),
            Kind::Ec(key) => key.spki(),
        }
    }

    /// Whether this is a signature of the digest by this key. A signature of a wrong length is none.
    ///
    /// # Errors
    /// [`KeyOperationError::AlgorithmNotForKey`], [`KeyOperationError::DigestLength`], [`KeyOperationError::DigestInfo`].
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyOperationError> {
        algorithm.require(self.spec())?;
        algorithm.require_digest(digest)?;
        match &self.0 {
            Kind::Rsa(key) => key.verify(algorithm, digest, signature),
            Kind::Ec(key) => key.verify(algorithm, digest, signature),
        }
    }

    /// Encrypts a value. EC keys do not.
    ///
    /// # Errors
    /// [`KeyOperationError::AlgorithmNotForKey`], [`KeyOperationError::ValueLength`], [`KeyOperationError::ParameterNotAllowed`],
    /// [`KeyOperationError::Unavailable`].
    pub fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext<'_>,
    ) -> Result<Encrypted, KeyOperationError> {
        self.encrypt_for(Operation::Encrypt, algorithm, plaintext)
    }

    /// Encrypts a key. EC keys do not.
    ///
    /// # Errors
    /// As [`PublicKey::encrypt`].
    pub fn wrap_key(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext<'_>,
    ) -> Result<Encrypted, KeyOperationError> {
        self.encrypt_for(Operation::WrapKey, algorithm, plaintext)
    }

    pub(super) fn encrypt_for(
        &self,
        operation: Operation,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext<'_>,
    ) -> Result<Encrypted, KeyOperationError> {
        algorithm.require(self.spec(), operation)?;
        match &self.0 {
            Kind::Rsa(key) => {
                refuse(algorithm.name(), "iv", plaintext.iv)?;
                refuse(algorithm.name(), "aad", plaintext.aad)?;
                let value = key.encrypt(algorithm, plaintext.value)?;
                Ok(Encrypted { value, iv: None, tag: None })
            }
            // No algorithm fits, so none comes here.
            Kind::Ec(_) => Err(KeyOperationError::Unavailable { algorithm: algorithm.name() }),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.spec())
    }
}
