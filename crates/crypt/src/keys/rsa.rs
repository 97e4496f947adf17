//! RSA keys: signatures PKCS#1 v1.5 and PSS, encryption PKCS#1 v1.5 and OAEP (RFC 8017), all on aws-lc.
//!
//! Owns: both halves of one key, ready to work. Owns not: which algorithm may be used when (`algorithm`), the JWK (`jwk`).
//!
//! Only the public exponent 65537 and moduli of 2048, 3072 and 4096 bits. Blinding and the check of a signature before it leaves (against
//! faults) are aws-lc's. RSA1_5 decryption tells one who may call it whether the padding was right, and who knows that often enough can
//! decrypt anything that the key encrypted (Bleichenbacher 1998): here there is one error for all failures and aws-lc's constant-time
//! check, but success itself cannot be hidden. It is offered because Key Vault offers it; OAEP is the one to use.

use super::{
    EncryptionAlgorithm, KeyImportFault, KeyOperationError, RsaSize, SignatureAlgorithm, digest_info,
};
use super::{ValueRule, jwk::RsaParts};
use crate::CryptError;
use aws_lc_rs::{
    digest::{self, Digest},
    encoding::AsDer as _,
    rsa::{
        KeyPair, KeyPairComponents, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm,
        OaepPrivateDecryptingKey, OaepPublicEncryptingKey, Pkcs1PrivateDecryptingKey,
        Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey, PublicKeyComponents,
    },
    signature::{self, KeyPair as _, RsaEncoding, VerificationAlgorithm},
};
use domain::Secret;
use zeroize::Zeroizing;

/// 65537, the one public exponent.
pub(super) const EXPONENT: [u8; 3] = [1, 0, 1];
const UNAVAILABLE: CryptError = CryptError::Unavailable { what: "making an RSA key" };

/// The private half, for each way of use in the form that aws-lc wants it in.
pub(super) struct RsaPrivateKey {
    pair: KeyPair,
    oaep: OaepPrivateDecryptingKey,
    pkcs1: Pkcs1PrivateDecryptingKey,
    size: RsaSize,
}

/// The public half.
pub(super) struct RsaPublicKey {
    modulus: Vec<u8>,
    spki: Vec<u8>,
    oaep: OaepPublicEncryptingKey,
    pkcs1: Pkcs1PublicEncryptingKey,
    size: RsaSize,
}

impl RsaPrivateKey {
    /// A fresh key. Takes 50 ms to seconds: not on a thread that serves.
    pub(super) fn generate(size: RsaSize) -> Result<Self, CryptError> {
        let size = match size {
            RsaSize::Bits2048 => KeySize::Rsa2048,
            RsaSize::Bits3072 => KeySize::Rsa3072,
            RsaSize::Bits4096 => KeySize::Rsa4096,
        };
        let pair = KeyPair::generate(size).map_err(|_| UNAVAILABLE)?;
        Self::new(pair).map_err(|_| UNAVAILABLE)
    }

    /// From the members of a JWK, leading zeros or not. Aws-lc checks `n = p * q`, `d` and the CRT parameters.
    pub(super) fn from_parts(parts: &RsaParts<'_>) -> Result<Self, KeyImportFault> {
        let (modulus, exponent) = (strip_zeros(parts.n), strip_zeros(parts.e));
        size_of(modulus)?;
        if *exponent != EXPONENT {
            return Err(KeyImportFault::PublicExponent);
        }
        let pair = KeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: modulus, e: exponent },
            d: parts.d,
            p: parts.p,
            q: parts.q,
            dP: parts.dp,
            dQ: parts.dq,
            qInv: parts.qi,
        })
        .map_err(|_| KeyImportFault::Inconsistent)?;
        Self::new(pair)?.proven()
    }

    /// From PKCS#8 of another's making, such as a PFX file: proven as an imported JWK is.
    pub(super) fn import_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, KeyImportFault> {
        Self::from_pkcs8(pkcs8)?.proven()
    }

    /// From PKCS#8 that [`RsaPrivateKey::to_pkcs8`] gave.
    pub(super) fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, KeyImportFault> {
        Self::new(KeyPair::from_pkcs8(pkcs8.expose()).map_err(|_| KeyImportFault::Unreadable)?)
    }

    pub(super) fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, CryptError> {
        let der = self.pair.as_der().map_err(|_| CryptError::Unavailable { what: "writing an RSA key" })?;
        Ok(Secret::new(der.as_ref().to_vec()))
    }

    pub(super) fn public(&self) -> Result<RsaPublicKey, KeyImportFault> {
        let public = self.pair.public_key();
        let (modulus, exponent) = (public.modulus(), public.exponent());
        RsaPublicKey::from_parts(
            modulus.big_endian_without_leading_zero(),
            exponent.big_endian_without_leading_zero(),
        )
    }

    pub(super) const fn size(&self) -> RsaSize {
        self.size
    }

    /// Signs a digest whose length was checked.
    pub(super) fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, KeyOperationError> {
        let scheme = Scheme::of(algorithm, digest)?;
        let mut signature = vec![0; self.size.bytes()];
        self.pair
            .sign_digest(scheme.signing, &scheme.digest, &mut signature)
            .map_err(|_| KeyOperationError::Unavailable { algorithm: algorithm.name() })?;
        Ok(signature)
    }

    /// Decrypts. Every failure is the same, that of a wrong length too.
    pub(super) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Secret<Vec<u8>>, KeyOperationError> {
        let rejected = KeyOperationError::Rejected { algorithm: algorithm.name() };
        let mut buffer = Zeroizing::new(vec![0; self.size.bytes()]);
        let plaintext = match oaep(algorithm) {
            Some(oaep) => self.oaep.decrypt(oaep, ciphertext, &mut buffer, None),
            None => self.pkcs1.decrypt(ciphertext, &mut buffer),
        };
        plaintext.map(|plaintext| Secret::new(plaintext.to_vec())).map_err(|_| rejected)
    }

    fn new(pair: KeyPair) -> Result<Self, KeyImportFault> {
        let public = pair.public_key();
        let size = size_of(public.modulus().big_endian_without_leading_zero())?;
        if *public.exponent().big_endian_without_leading_zero() != EXPONENT {
            return Err(KeyImportFault::PublicExponent);
        }
        // The library has one type for each use and no way between them but the DER.
        let decrypting = pair
            .as_der()
            .ok()
            .and_then(|der| PrivateDecryptingKey::from_pkcs8(der.as_ref()).ok())
            .ok_or(KeyImportFault::Inconsistent)?;
        let oaep =
            OaepPrivateDecryptingKey::new(decrypting.clone()).map_err(|_| KeyImportFault::Inconsistent)?;
        let pkcs1 = Pkcs1PrivateDecryptingKey::new(decrypting).map_err(|_| KeyImportFault::Inconsistent)?;
        Ok(Self { pair, oaep, pkcs1, size })
    }

    /// Signs once and verifies: the library does not ask whether `p` and `q` are prime, and with others the two do not agree.
    fn proven(self) -> Result<Self, KeyImportFault> {
        const DIGEST: [u8; 32] = [0x5a; 32];
        let signature =
            self.sign(SignatureAlgorithm::Rs256, &DIGEST).map_err(|_| KeyImportFault::Inconsistent)?;
        match self.public()?.verify(SignatureAlgorithm::Rs256, &DIGEST, &signature) {
            Ok(true) => Ok(self),
            Ok(false) | Err(_) => Err(KeyImportFault::Inconsistent),
        }
    }
}

impl RsaPublicKey {
    /// From the members of a JWK, leading zeros or not.
    pub(super) fn from_parts(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyImportFault> {
        let (modulus, exponent) = (strip_zeros(modulus), strip_zeros(exponent));
        let size = size_of(modulus)?;
        if *exponent != EXPONENT {
            return Err(KeyImportFault::PublicExponent);
        }
        let spki = PublicKeyComponents { n: modulus, e: exponent }
            .as_der()
            .map_err(|_| KeyImportFault::Inconsistent)?
            .as_ref()
            .to_vec();
        // By way of the DER, since it is reading that checks the key.
        let key = PublicEncryptingKey::from_der(&spki).map_err(|_| KeyImportFault::Inconsistent)?;
        let oaep = OaepPublicEncryptingKey::new(key.clone()).map_err(|_| KeyImportFault::Inconsistent)?;
        let pkcs1 = Pkcs1PublicEncryptingKey::new(key).map_err(|_| KeyImportFault::Inconsistent)?;
        Ok(Self { modulus: modulus.to_vec(), spki, oaep, pkcs1, size })
    }

    pub(super) fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub(super) const fn size(&self) -> RsaSize {
        self.size
    }

    /// Whether this is the key's signature of a digest whose length was checked.
    pub(super) fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyOperationError> {
        let scheme = Scheme::of(algorithm, digest)?;
        Ok(scheme.verifying.verify_digest_sig(&self.spki, &scheme.digest, signature).is_ok())
    }

    /// Encrypts a value of at most `k - 11`, `k - 42` or `k - 66` bytes, where `k` is the modulus' length (RFC 8017 sections 7.1, 7.2).
    pub(super) fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, KeyOperationError> {
        let name = algorithm.name();
        let oaep = oaep(algorithm);
        let most =
            oaep.map_or_else(|| self.pkcs1.max_plaintext_size(), |oaep| self.oaep.max_plaintext_size(oaep));
        ValueRule::AtMost(most).require(name, plaintext.len())?;
        let mut ciphertext = vec![0; self.size.bytes()];
        match oaep {
            Some(oaep) => self.oaep.encrypt(oaep, plaintext, &mut ciphertext, None).map(|_| ()),
            None => self.pkcs1.encrypt(plaintext, &mut ciphertext).map(|_| ()),
        }
        .map_err(|_| KeyOperationError::Unavailable { algorithm: name })?;
        Ok(ciphertext)
    }
}

/// How aws-lc calls a signature algorithm, with the digest in its own type.
struct Scheme {
    signing: &'static dyn RsaEncoding,
    verifying: &'static dyn VerificationAlgorithm,
    digest: Digest,
}

impl Scheme {
    fn of(algorithm: SignatureAlgorithm, digest: &[u8]) -> Result<Self, KeyOperationError> {
        use SignatureAlgorithm::{Ps256, Ps384, Ps512, Rs256, Rs384, Rs512, RsNull};
        let unavailable = KeyOperationError::Unavailable { algorithm: algorithm.name() };
        let (algorithm, digest) =
            if algorithm == RsNull { digest_info::parse(digest)? } else { (algorithm, digest) };
        let (signing, verifying, hash): (&'static dyn RsaEncoding, &'static dyn VerificationAlgorithm, _) =
            match algorithm {
                Rs256 => {
                    (&signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256, &digest::SHA256)
                }
                Rs384 => {
                    (&signature::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384, &digest::SHA384)
                }
                Rs512 => {
                    (&signature::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512, &digest::SHA512)
                }
                Ps256 => (&signature::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256, &digest::SHA256),
                Ps384 => (&signature::RSA_PSS_SHA384, &signature::RSA_PSS_2048_8192_SHA384, &digest::SHA384),
                Ps512 => (&signature::RSA_PSS_SHA512, &signature::RSA_PSS_2048_8192_SHA512, &digest::SHA512),
                _ => return Err(unavailable),
            };
        let digest = Digest::import_less_safe(digest, hash).map_err(|_| unavailable)?;
        Ok(Self { signing, verifying, digest })
    }
}

/// The OAEP parameters; none means PKCS#1 v1.5, as `algorithm` lets no other come here.
const fn oaep(algorithm: EncryptionAlgorithm) -> Option<&'static OaepAlgorithm> {
    match algorithm {
        EncryptionAlgorithm::RsaOaep => Some(&OAEP_SHA1_MGF1SHA1),
        EncryptionAlgorithm::RsaOaep256 => Some(&OAEP_SHA256_MGF1SHA256),
        _ => None,
    }
}

/// The size of a modulus without leading zeros.
fn size_of(modulus: &[u8]) -> Result<RsaSize, KeyImportFault> {
    let zeros = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    let bits = modulus.len() * 8 - zeros;
    RsaSize::from_bits(bits).ok_or(KeyImportFault::Size { bits })
}

/// An integer without its leading zeros, which RFC 7518 section 2 forbids and Java's `BigInteger` writes.
pub(super) fn strip_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
