//! A private key of the vault, parsed and ready: made, imported, stored, and used.
//!
//! Owns: the one type that `vault` holds, its stored form, and the checks before every operation (algorithm, key, lengths). Owns not: the
//! sealing of the stored form (`envelope`), `key_ops`, validity times and permissions (`vault`).

use super::{
    Ciphertext, Curve, Encrypted, EncryptionAlgorithm, KeyImportFault, KeyOperationError, KeySpec, KeyType,
    Operation, Plaintext, PrivateJwk, PublicKey, SignatureAlgorithm,
    ec::EcPrivateKey,
    oct::{OctKey, refuse},
    rsa::RsaPrivateKey,
};
use crate::CryptError;
use domain::{Entropy, Secret};
use std::fmt;
use zeroize::Zeroizing;

const MALFORMED: CryptError = CryptError::Malformed { what: "stored key" };

/// A key with its secret half, ready to be used many times and from many threads. Shows its type only; zeroized on drop.
pub struct PrivateKey(pub(super) Kind);

pub(super) enum Kind {
    Rsa(RsaPrivateKey, PublicKey),
    Ec(EcPrivateKey, PublicKey),
    Oct(OctKey),
}

impl PrivateKey {
    /// A fresh key. RSA and EC keys draw from aws-lc's own generator, symmetric ones from `entropy`. An RSA key takes 50 ms (2048 bits) to
    /// seconds (4096): not on a thread that serves.
    ///
    /// # Errors
    /// [`CryptError::Unavailable`].
    pub fn generate(spec: KeySpec, entropy: &dyn Entropy) -> Result<Self, CryptError> {
        const UNAVAILABLE: CryptError = CryptError::Unavailable { what: "making a key" };
        match spec {
            KeySpec::Rsa(size) => Self::rsa(RsaPrivateKey::generate(size)?).map_err(|_| UNAVAILABLE),
            KeySpec::Ec(curve) => Self::ec(EcPrivateKey::generate(curve)?).map_err(|_| UNAVAILABLE),
            KeySpec::Oct(size) => Ok(Self(Kind::Oct(OctKey::generate(size, entropy)))),
        }
    }

    /// Takes in a private JWK. All its parts must belong together: of an RSA key `n = p * q`, `d` and the CRT parameters, and it must sign
    /// what its public half verifies; of an EC key the point is on the curve and follows from `d`.
    ///
    /// # Errors
    /// [`KeyImportFault`].
    pub fn import(key_type: KeyType, jwk: &PrivateJwk) -> Result<Self, KeyImportFault> {
        match key_type {
            KeyType::Rsa => Self::rsa(RsaPrivateKey::from_parts(&jwk.rsa()?)?),
            KeyType::Ec => Self::ec(EcPrivateKey::from_parts(&jwk.ec()?)?),
            KeyType::Oct => OctKey::from_bytes(jwk.oct()?).map(|key| Self(Kind::Oct(key))),
        }
    }

    /// Takes in a PKCS#8 DER (RFC 5958) of an RSA or EC key, such as a certificate is imported with.
    ///
    /// # Errors
    /// [`KeyImportFault`]: [`KeyImportFault::Unreadable`] if it is neither.
    pub fn import_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, KeyImportFault> {
        match RsaPrivateKey::import_pkcs8(pkcs8) {
            Err(KeyImportFault::Unreadable) => {}
            other => return other.and_then(Self::rsa),
        }
        let mut curves = Curve::ALL.into_iter();
        let key = curves.find_map(|curve| EcPrivateKey::from_pkcs8(curve, pkcs8).ok());
        key.ok_or(KeyImportFault::Unreadable).and_then(Self::ec)
    }

    /// Reads what [`PrivateKey::to_stored`] gave.
    ///
    /// # Errors
    /// [`CryptError::Malformed`].
    pub fn from_stored(stored: &Secret<Vec<u8>>) -> Result<Self, CryptError> {
        let (tag, bytes) = stored.expose().split_first().ok_or(MALFORMED)?;
        let pkcs8 = || Secret::new(bytes.to_vec());
        match Form::of(*tag).ok_or(MALFORMED)? {
            Form::Rsa => RsaPrivateKey::from_pkcs8(&pkcs8()).and_then(Self::rsa),
            Form::Ec(curve) => EcPrivateKey::from_pkcs8(curve, &pkcs8()).and_then(Self::ec),
            Form::Oct => OctKey::from_bytes(bytes).map(|key| Self(Kind::Oct(key))),
        }
        .map_err(|_| MALFORMED)
    }

    /// The key as bytes to be sealed: one byte that names the form, then PKCS#8 DER, or the bytes of a symmetric key.
    ///
    /// # Errors
    /// [`CryptError::Unavailable`].
    pub fn to_stored(&self) -> Result<Secret<Vec<u8>>, CryptError> {
        let (form, bytes) = match &self.0 {
            Kind::Rsa(key, _) => (Form::Rsa, key.to_pkcs8()?),
            Kind::Ec(key, _) => (Form::Ec(key.curve()), key.to_pkcs8()?),
            Kind::Oct(key) => (Form::Oct, key.bytes().duplicate()),
        };
        // Big enough from the start, so that growing leaves no half of a key behind in freed memory.
        let mut stored = Zeroizing::new(Vec::with_capacity(1 + bytes.expose().len()));
        stored.push(form.tag());
        stored.extend_from_slice(bytes.expose());
        Ok(Secret::new(std::mem::take(&mut *stored)))
    }

    /// Type and size.
    #[must_use]
    pub const fn spec(&self) -> KeySpec {
        match &self.0 {
            Kind::Rsa(key, _) => KeySpec::Rsa(key.size()),
            Kind::Ec(key, _) => KeySpec::Ec(key.curve()),
            Kind::Oct(key) => KeySpec::Oct(key.size()),
        }
    }

    /// The public half. A symmetric key has none.
    #[must_use]
    pub const fn public(&self) -> Option<&PublicKey> {
        match &self.0 {
            Kind::Rsa(_, public) | Kind::Ec(_, public) => Some(public),
            Kind::Oct(_) => None,
        }
    }

    /// The key as PKCS#8 DER (RFC 5958), for a certificate that it belongs to. A symmetric key has no such form.
    ///
    /// # Errors
    /// [`CryptError::Unavailable`].
    pub fn to_pkcs8(&self) -> Result<Option<Secret<Vec<u8>>>, CryptError> {
        match &self.0 {
            Kind::Rsa(key, _) => key.to_pkcs8().map(Some),
            Kind::Ec(key, _) => key.to_pkcs8().map(Some),
            Kind::Oct(_) => Ok(None),
        }
    }

    /// Signs a digest, which is not hashed again. ECDSA signatures are the two integers side by side; HMACs are of the digest.
    ///
    /// # Errors
    /// [`KeyOperationError::AlgorithmNotForKey`], [`KeyOperationError::DigestLength`], [`KeyOperationError::DigestInfo`] (RSNULL),
    /// [`KeyOperationError::Unavailable`].
    pub fn sign(&self, algorithm: SignatureAlgorithm, digest: &[u8]) -> Result<Vec<u8>, KeyOperationError> {
        algorithm.require(self.spec())?;
        algorithm.require_digest(digest)?;
        match &self.0 {
            Kind::Rsa(key, _) => key.sign(algorithm, digest),
            Kind::Ec(key, _) => key.sign(algorithm, digest),
            Kind::Oct(key) => key.sign(algorithm, digest),
        }
    }

    /// Whether this is a signature of the digest by this key. A signature of a wrong length is none.
    ///
    /// # Errors
    /// As [`PrivateKey::sign`].
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyOperationError> {
        match &self.0 {
            Kind::Rsa(_, public) | Kind::Ec(_, public) => public.verify(algorithm, digest, signature),
            Kind::Oct(key) => {
                algorithm.require(self.spec())?;
                algorithm.require_digest(digest)?;
                key.verify(algorithm, digest, signature)
            }
        }
    }

    /// Encrypts a value.
    ///
    /// # Errors
    /// [`KeyOperationError::AlgorithmNotForKey`], [`KeyOperationError::AlgorithmNotForOperation`], [`KeyOperationError::ValueLength`],
    /// [`KeyOperationError::IvLength`], [`KeyOperationError::ParameterNotAllowed`], [`KeyOperationError::Unavailable`].
    pub fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Encrypted, KeyOperationError> {
        self.encrypt_for(Operation::Encrypt, algorithm, plaintext, entropy)
    }

    /// Encrypts a key.
    ///
    /// # Errors
    /// As [`PrivateKey::encrypt`].
    pub fn wrap_key(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Encrypted, KeyOperationError> {
        self.encrypt_for(Operation::WrapKey, algorithm, plaintext, entropy)
    }

    /// Decrypts a value.
    ///
    /// # Errors
    /// As [`PrivateKey::encrypt`], with [`KeyOperationError::TagLength`]; [`KeyOperationError::Rejected`] if it does not decrypt, whatever
    /// the reason.
    pub fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &Ciphertext<'_>,
    ) -> Result<Secret<Vec<u8>>, KeyOperationError> {
        self.decrypt_for(Operation::Decrypt, algorithm, ciphertext)
    }

    /// Decrypts a key.
    ///
    /// # Errors
    /// As [`PrivateKey::decrypt`].
    pub fn unwrap_key(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &Ciphertext<'_>,
    ) -> Result<Secret<Vec<u8>>, KeyOperationError> {
        self.decrypt_for(Operation::UnwrapKey, algorithm, ciphertext)
    }

    fn encrypt_for(
        &self,
        operation: Operation,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Encrypted, KeyOperationError> {
        match &self.0 {
            Kind::Rsa(_, public) | Kind::Ec(_, public) => public.encrypt_for(operation, algorithm, plaintext),
            Kind::Oct(key) => {
                algorithm.require(self.spec(), operation)?;
                key.encrypt(algorithm, plaintext, entropy)
            }
        }
    }

    fn decrypt_for(
        &self,
        operation: Operation,
        algorithm: EncryptionAlgorithm,
        ciphertext: &Ciphertext<'_>,
    ) -> Result<Secret<Vec<u8>>, KeyOperationError> {
        algorithm.require(self.spec(), operation)?;
        match &self.0 {
            Kind::Rsa(key, _) => {
                for (parameter, given) in
                    [("iv", ciphertext.iv), ("aad", ciphertext.aad), ("tag", ciphertext.tag)]
                {
                    refuse(algorithm.name(), parameter, given)?;
                }
                key.decrypt(algorithm, ciphertext.value)
            }
            // No algorithm fits, so none comes here.
            Kind::Ec(..) => Err(KeyOperationError::Unavailable { algorithm: algorithm.name() }),
            Kind::Oct(key) => key.decrypt(algorithm, ciphertext),
        }
    }

    fn rsa(key: RsaPrivateKey) -> Result<Self, KeyImportFault> {
        let public = PublicKey::rsa(key.public()?);
        Ok(Self(Kind::Rsa(key, public)))
    }

    fn ec(key: EcPrivateKey) -> Result<Self, KeyImportFault> {
        let public = PublicKey::ec(key.public()?);
        Ok(Self(Kind::Ec(key, public)))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({})", self.spec())
    }
}

/// What follows the first byte of a stored key. Never renumber: keys are stored with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Rsa,
    Ec(Curve),
    Oct,
}

impl Form {
    const ALL: [Self; 6] = [
        Self::Rsa,
        Self::Ec(Curve::P256),
        Self::Ec(Curve::P384),
        Self::Ec(Curve::P521),
        Self::Ec(Curve::P256K),
        Self::Oct,
    ];

    const fn tag(self) -> u8 {
        match self {
            Self::Rsa => 0x01,
            Self::Ec(Curve::P256) => 0x11,
            Self::Ec(Curve::P384) => 0x12,
            Self::Ec(Curve::P521) => 0x13,
            Self::Ec(Curve::P256K) => 0x14,
            Self::Oct => 0x21,
        }
    }

    fn of(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.tag() == tag)
    }
}
