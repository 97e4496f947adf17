//! Symmetric keys: HMAC (RFC 2104), AES-GCM (NIST SP 800-38D), AES-CBC with and without padding (SP 800-38A, RFC 5652 section 6.3).
//!
//! Owns: one key and what it does to values. Owns not: AES key wrap (`key_wrap`), and which algorithm may be used when (`algorithm`).
//!
//! HS256, HS384 and HS512 take a digest as all signatures of Key Vault do, and MAC these bytes: the value is HMAC(key, digest), and for a
//! client that signs data it is HMAC(key, SHA(data)). GCM nonces are random and ours: under one key 2^32 encryptions keep the chance of a
//! repeated one below 2^-32 (SP 800-38D section 8.3). CBC is not authenticated, and who may decrypt CBCPAD and watch it fail can find
//! out plaintext (Vaudenay 2002): here there is one error for all failures and a check in constant time, which is all that can be done.

use super::{AesSize, EncryptionAlgorithm, KeyImportFault, KeyOperationError, SignatureAlgorithm, ValueRule};
use super::{Ciphertext, Encrypted, Plaintext, key_wrap};
use crate::compare;
use aws_lc_rs::{
    aead::{self, Aad, LessSafeKey, Nonce, UnboundKey},
    cipher::{self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey},
    error::Unspecified,
    hmac,
    iv::FixedLength,
};
use domain::{Entropy, Secret, world::random};
use subtle::{Choice, ConstantTimeEq as _, ConstantTimeGreater as _};
use zeroize::Zeroizing;

const GCM_IV_BYTES: usize = 12;
const GCM_TAG_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;

/// One key. The schedules of AES and HMAC are made for each use: they take less than a microsecond, and so lie in memory no longer.
pub(super) struct OctKey {
    bytes: Secret<Vec<u8>>,
    size: AesSize,
}

impl OctKey {
    /// A fresh key.
    pub(super) fn generate(size: AesSize, entropy: &dyn Entropy) -> Self {
        let mut bytes = vec![0; size.bytes()];
        entropy.fill(&mut bytes);
        Self { bytes: Secret::new(bytes), size }
    }

    /// From the key's own bytes: 16, 24 or 32.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, KeyImportFault> {
        let bits = bytes.len() * 8;
        let size = AesSize::from_bits(bits).ok_or(KeyImportFault::Size { bits })?;
        Ok(Self { bytes: Secret::new(bytes.to_vec()), size })
    }

    pub(super) const fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.bytes
    }

    pub(super) const fn size(&self) -> AesSize {
        self.size
    }

    /// The MAC of a digest whose length was checked.
    pub(super) fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, KeyOperationError> {
        mac(algorithm, self.bytes.expose(), digest)
    }

    /// Whether this is the key's MAC of a digest whose length was checked. In constant time; a cut MAC is none.
    pub(super) fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyOperationError> {
        Ok(compare::equal(&self.sign(algorithm, digest)?, signature))
    }

    /// Encrypts or wraps.
    pub(super) fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Encrypted, KeyOperationError> {
        use EncryptionAlgorithm::{
            Cbc, CbcPad, CkmAesKeyWrap, CkmAesKeyWrapPad, Gcm, Kw, Rsa15, RsaOaep, RsaOaep256,
        };
        let name = algorithm.name();
        match algorithm {
            Gcm(_) => {
                refuse(name, "iv", plaintext.iv)?;
                self.encrypt_gcm(name, plaintext, random(entropy))
            }
            Cbc(_) => {
                refuse(name, "aad", plaintext.aad)?;
                let rule = ValueRule::Units { unit: BLOCK_BYTES, least: BLOCK_BYTES };
                rule.require(name, plaintext.value.len())?;
                self.encrypt_cbc(name, plaintext, 0, entropy)
            }
            CbcPad(_) => {
                refuse(name, "aad", plaintext.aad)?;
                let padding = BLOCK_BYTES - plaintext.value.len() % BLOCK_BYTES;
                self.encrypt_cbc(name, plaintext, padding, entropy)
            }
            Kw(_) | CkmAesKeyWrap | CkmAesKeyWrapPad => {
                refuse(name, "iv", plaintext.iv)?;
                refuse(name, "aad", plaintext.aad)?;
                let value = if algorithm == CkmAesKeyWrapPad {
                    key_wrap::wrap_padded(name, &self.bytes, self.size, plaintext.value)?
                } else {
                    key_wrap::wrap(name, &self.bytes, self.size, plaintext.value)?
                };
                Ok(Encrypted { value, iv: None, tag: None })
            }
            Rsa15 | RsaOaep | RsaOaep256 => Err(KeyOperationError::Unavailable { algorithm: name }),
        }
    }

    /// Decrypts or unwraps.
    pub(super) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &Ciphertext<'_>,
    ) -> Result<Secret<Vec<u8>>, KeyOperationError> {
        use EncryptionAlgorithm::{
            Cbc, CbcPad, CkmAesKeyWrap, CkmAesKeyWrapPad, Gcm, Kw, Rsa15, RsaOaep, RsaOaep256,
        };
        let name = algorithm.name();
        match algorithm {
            Gcm(_) => self.decrypt_gcm(name, ciphertext),
            Cbc(_) | CbcPad(_) => {
                refuse(name, "aad", ciphertext.aad)?;
                refuse(name, "tag", ciphertext.tag)?;
                self.decrypt_cbc(algorithm, ciphertext)
            }
            Kw(_) | CkmAesKeyWrap | CkmAesKeyWrapPad => {
                refuse(name, "iv", ciphertext.iv)?;
                refuse(name, "aad", ciphertext.aad)?;
                refuse(name, "tag", ciphertext.tag)?;
                if algorithm == CkmAesKeyWrapPad {
                    key_wrap::unwrap_padded(name, &self.bytes, self.size, ciphertext.value)
                } else {
                    key_wrap::unwrap(name, &self.bytes, self.size, ciphertext.value)
                }
            }
            Rsa15 | RsaOaep | RsaOaep256 => Err(KeyOperationError::Unavailable { algorithm: name }),
        }
    }

    pub(super) fn encrypt_gcm(
        &self,
        name: &'static str,
        plaintext: &Plaintext<'_>,
        iv: [u8; GCM_IV_BYTES],
    ) -> Result<Encrypted, KeyOperationError> {
        let mut value = vec![0; plaintext.value.len()];
        let mut tag = [0; GCM_TAG_BYTES];
        let (nonce, aad) = (Nonce::assume_unique_for_key(iv), Aad::from(plaintext.aad.unwrap_or_default()));
        self.gcm()
            .and_then(|key| {
                key.seal_out_of_place_scatter(nonce, aad, plaintext.value, &mut value, &[], &mut tag)
            })
            .map_err(|_| KeyOperationError::Unavailable { algorithm: name })?;
        Ok(Encrypted { value, iv: Some(iv.to_vec()), tag: Some(tag.to_vec()) })
    }

    fn decrypt_gcm(
        &self,
        name: &'static str,
        ciphertext: &Ciphertext<'_>,
    ) -> Result<Secret<Vec<u8>>, KeyOperationError> {
        let iv: [u8; GCM_IV_BYTES] = require_iv(name, ciphertext.iv)?;
        let tag = ciphertext.tag.unwrap_or_default();
        if tag.len() != GCM_TAG_BYTES {
            let (expected, found) = (GCM_TAG_BYTES, tag.len());
            return Err(KeyOperationError::TagLength { algorithm: name, expected, found });
        }
        // Protected before it is filled: the library may write to it and then find the tag wrong.
        let mut plaintext = Zeroizing::new(vec![0; ciphertext.value.len()]);
        let (nonce, aad) = (Nonce::assume_unique_for_key(iv), Aad::from(ciphertext.aad.unwrap_or_default()));
        self.gcm()
            .map_err(|_| KeyOperationError::Unavailable { algorithm: name })?
            .open_separate_gather(nonce, aad, ciphertext.value, tag, &mut plaintext)
            .map_err(|_| KeyOperationError::Rejected { algorithm: name })?;
        Ok(Secret::new(std::mem::take(&mut *plaintext)))
    }

    /// CBC over the value and so many bytes of padding, each of which says how many.
    fn encrypt_cbc(
        &self,
        name: &'static str,
        plaintext: &Plaintext<'_>,
        padding: usize,
        entropy: &dyn Entropy,
    ) -> Result<Encrypted, KeyOperationError> {
        let unavailable = KeyOperationError::Unavailable { algorithm: name };
        let iv: [u8; BLOCK_BYTES] = match plaintext.iv {
            Some(_) => require_iv(name, plaintext.iv)?,
            None => random(entropy),
        };
        // Plaintext at first, hence protected until it is ciphertext.
        let length = plaintext.value.len() + padding;
        let mut value = Zeroizing::new(Vec::with_capacity(length));
        value.extend_from_slice(plaintext.value);
        value.resize(length, u8::try_from(padding).map_err(|_| unavailable.clone())?);
        self.aes()
            .and_then(EncryptingKey::cbc)
            .and_then(|key| {
                key.less_safe_encrypt(&mut value, EncryptionContext::Iv128(FixedLength::from(iv)))
            })
            .map_err(|_| unavailable)?;
        Ok(Encrypted { value: std::mem::take(&mut *value), iv: Some(iv.to_vec()), tag: None })
    }

    fn decrypt_cbc(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &Ciphertext<'_>,
    ) -> Result<Secret<Vec<u8>>, KeyOperationError> {
        let name = algorithm.name();
        let rejected = KeyOperationError::Rejected { algorithm: name };
        let is_padded = matches!(algorithm, EncryptionAlgorithm::CbcPad(_));
        let iv: [u8; BLOCK_BYTES] = require_iv(name, ciphertext.iv)?;
        let rule = ValueRule::Units { unit: BLOCK_BYTES, least: BLOCK_BYTES };
        rule.require(name, ciphertext.value.len())
            .map_err(|error| if is_padded { rejected.clone() } else { error })?;
        let mut plaintext = Zeroizing::new(ciphertext.value.to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        self.aes()
            .and_then(DecryptingKey::cbc)
            .and_then(|key| key.decrypt(&mut plaintext, context).map(|_| ()))
            .map_err(|_| KeyOperationError::Unavailable { algorithm: name })?;
        if is_padded {
            let padding = padding_bytes(&plaintext).ok_or(rejected)?;
            let length = plaintext.len().saturating_sub(padding);
            // What is behind the end of a vector is zeroized as well when it is dropped.
            plaintext.truncate(length);
        }
        Ok(Secret::new(std::mem::take(&mut *plaintext)))
    }

    fn gcm(&self) -> Result<LessSafeKey, Unspecified> {
        let algorithm = match self.size {
            AesSize::Bits128 => &aead::AES_128_GCM,
            AesSize::Bits192 => &aead::AES_192_GCM,
            AesSize::Bits256 => &aead::AES_256_GCM,
        };
        UnboundKey::new(algorithm, self.bytes.expose()).map(LessSafeKey::new)
    }

    fn aes(&self) -> Result<UnboundCipherKey, Unspecified> {
        UnboundCipherKey::new(aes(self.size), self.bytes.expose())
    }
}

/// The block cipher of a size.
pub(super) const fn aes(size: AesSize) -> &'static cipher::Algorithm {
    match size {
        AesSize::Bits128 => &cipher::AES_128,
        AesSize::Bits192 => &cipher::AES_192,
        AesSize::Bits256 => &cipher::AES_256,
    }
}

/// HMAC of a message under a key of any length.
pub(super) fn mac(
    algorithm: SignatureAlgorithm,
    key: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, KeyOperationError> {
    let hash = match algorithm {
        SignatureAlgorithm::Hs256 => hmac::HMAC_SHA256,
        SignatureAlgorithm::Hs384 => hmac::HMAC_SHA384,
        SignatureAlgorithm::Hs512 => hmac::HMAC_SHA512,
        _ => return Err(KeyOperationError::Unavailable { algorithm: algorithm.name() }),
    };
    Ok(hmac::sign(&hmac::Key::new(hash, key), message).as_ref().to_vec())
}

/// How many bytes of PKCS#7 padding end this plaintext, which has one block at least. Looks at all of the last block whatever it holds.
fn padding_bytes(plaintext: &[u8]) -> Option<usize> {
    let block = plaintext.last_chunk::<BLOCK_BYTES>()?;
    let [.., claimed] = block;
    let most = u8::try_from(BLOCK_BYTES).ok()?;
    let mut is_right = !claimed.ct_eq(&0) & !claimed.ct_gt(&most);
    for (distance, byte) in (0..most).zip(block.iter().rev()) {
        let is_padding: Choice = claimed.ct_gt(&distance);
        is_right &= !is_padding | byte.ct_eq(claimed);
    }
    bool::from(is_right).then_some(usize::from(*claimed))
}

/// Succeeds if the parameter was not given: see [`KeyOperationError::ParameterNotAllowed`].
pub(super) const fn refuse(
    algorithm: &'static str,
    parameter: &'static str,
    given: Option<&[u8]>,
) -> Result<(), KeyOperationError> {
    match given {
        Some(_) => Err(KeyOperationError::ParameterNotAllowed { algorithm, parameter }),
        None => Ok(()),
    }
}

fn require_iv<const N: usize>(
    algorithm: &'static str,
    given: Option<&[u8]>,
) -> Result<[u8; N], KeyOperationError> {
    let iv = given.unwrap_or_default();
    iv.try_into().map_err(|_| KeyOperationError::IvLength { algorithm, expected: N, found: iv.len() })
}
