//! The algorithms of Key Vault: their names, and which one fits which key and which operation.
//!
//! Source: RFC 7518 sections 3.1, 4.1 and 5.1; RFC 8812 (ES256K); Key Vault "Key types, algorithms, and operations" and its managed HSM
//! counterpart (RSNULL, CBC, `CKM_*`). Owns: these tables. Owns not: the doing (`rsa`, `ec`, `oct`, `key_wrap`).

use super::{AesSize, Curve, KeyOperationError, KeySpec};

/// What can be done with a key: the values of `key_ops` that are cryptography.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Signs a digest.
    Sign,
    /// Verifies a signature of a digest.
    Verify,
    /// Encrypts a value.
    Encrypt,
    /// Decrypts a value.
    Decrypt,
    /// Encrypts a key.
    WrapKey,
    /// Decrypts a key.
    UnwrapKey,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 6] =
        [Self::Sign, Self::Verify, Self::Encrypt, Self::Decrypt, Self::WrapKey, Self::UnwrapKey];

    /// The name in `key_ops` (RFC 7517 section 4.3).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
        }
    }

    /// The operation of this name, if there is one. Case matters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// An algorithm that signs digests and verifies their signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256, MGF1 of the same, a salt of 32 bytes.
    Ps256,
    /// RSASSA-PSS with SHA-384, MGF1 of the same, a salt of 48 bytes.
    Ps384,
    /// RSASSA-PSS with SHA-512, MGF1 of the same, a salt of 64 bytes.
    Ps512,
    /// RSASSA-PKCS1-v1_5 of a `DigestInfo` that the caller made. Here of a SHA-2 hash only, see `digest_info`.
    RsNull,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-256K with SHA-256.
    Es256K,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// HMAC with SHA-256, of the digest.
    Hs256,
    /// HMAC with SHA-384, of the digest.
    Hs384,
    /// HMAC with SHA-512, of the digest.
    Hs512,
}

impl SignatureAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 14] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::RsNull,
        Self::Es256,
        Self::Es256K,
        Self::Es384,
        Self::Es512,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// The protocol's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::RsNull => "RSNULL",
            Self::Es256 => "ES256",
            Self::Es256K => "ES256K",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The algorithm of this name. Case matters.
    ///
    /// # Errors
    /// [`KeyOperationError::AlgorithmUnknown`].
    pub fn parse(name: &str) -> Result<Self, KeyOperationError> {
        Self::ALL.into_iter().find(|one| one.name() == name).ok_or(KeyOperationError::AlgorithmUnknown)
    }

    /// Bytes of the digest that this algorithm takes; none for RSNULL, whose value says it itself.
    #[must_use]
    pub const fn digest_bytes(self) -> Option<usize> {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::Es256K | Self::Hs256 => Some(32),
            Self::Rs384 | Self::Ps384 | Self::Es384 | Self::Hs384 => Some(48),
            Self::Rs512 | Self::Ps512 | Self::Es512 | Self::Hs512 => Some(64),
            Self::RsNull => None,
        }
    }

    /// The digest of a message as this algorithm signs it; nothing for RSNULL, which says its hash itself.
    #[must_use]
    pub fn digest_of(self, message: &[u8]) -> Option<Vec<u8>> {
        let mut digest = crate::MessageDigest::of_bytes(self.digest_bytes()?)?;
        digest.update(message);
        Some(digest.finish())
    }

    /// Whether a key like this can use the algorithm. An EC algorithm is of one curve.
    #[must_use]
    pub fn fits(self, key: KeySpec) -> bool {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::RsNull => matches!(key, KeySpec::Rsa(_)),
            Self::Ps256 | Self::Ps384 | Self::Ps512 => matches!(key, KeySpec::Rsa(_)),
            Self::Es256 => key == KeySpec::Ec(Curve::P256),
            Self::Es256K => key == KeySpec::Ec(Curve::P256K),
            Self::Es384 => key == KeySpec::Ec(Curve::P384),
            Self::Es512 => key == KeySpec::Ec(Curve::P521),
            Self::Hs256 | Self::Hs384 | Self::Hs512 => matches!(key, KeySpec::Oct(_)),
        }
    }

    /// Succeeds if [`SignatureAlgorithm::fits`].
    pub(super) fn require(self, key: KeySpec) -> Result<(), KeyOperationError> {
        let error = KeyOperationError::AlgorithmNotForKey { algorithm: self.name(), key };
        if self.fits(key) { Ok(()) } else { Err(error) }
    }

    /// Succeeds if this is a digest of the right length; what RSNULL takes is looked at later.
    pub(super) const fn require_digest(self, digest: &[u8]) -> Result<(), KeyOperationError> {
        match self.digest_bytes() {
            Some(expected) if expected != digest.len() => {
                Err(KeyOperationError::DigestLength { algorithm: self.name(), expected, found: digest.len() })
            }
            _ => Ok(()),
        }
    }
}

/// An algorithm that encrypts values or wraps keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncryptionAlgorithm {
    /// RSAES-PKCS1-v1_5. Whoever may decrypt with it can find out anything else that the key encrypted: see `rsa`.
    Rsa15,
    /// RSAES-OAEP with SHA-1 and MGF1 of the same.
    RsaOaep,
    /// RSAES-OAEP with SHA-256 and MGF1 of the same.
    RsaOaep256,
    /// AES-GCM, `A*GCM`.
    Gcm(AesSize),
    /// AES-CBC of whole blocks, `A*CBC`. Not authenticated.
    Cbc(AesSize),
    /// AES-CBC with PKCS#7 padding, `A*CBCPAD`. Not authenticated.
    CbcPad(AesSize),
    /// AES key wrap, `A*KW` (RFC 3394).
    Kw(AesSize),
    /// AES key wrap at the key's own size (PKCS#11's `CKM_AES_KEY_WRAP`, RFC 3394).
    CkmAesKeyWrap,
    /// AES key wrap with padding at the key's own size (PKCS#11's `CKM_AES_KEY_WRAP_PAD`, RFC 5649).
    CkmAesKeyWrapPad,
}

impl EncryptionAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 17] = [
        Self::Rsa15,
        Self::RsaOaep,
        Self::RsaOaep256,
        Self::Gcm(AesSize::Bits128),
        Self::Gcm(AesSize::Bits192),
        Self::Gcm(AesSize::Bits256),
        Self::Cbc(AesSize::Bits128),
        Self::Cbc(AesSize::Bits192),
        Self::Cbc(AesSize::Bits256),
        Self::CbcPad(AesSize::Bits128),
        Self::CbcPad(AesSize::Bits192),
        Self::CbcPad(AesSize::Bits256),
        Self::Kw(AesSize::Bits128),
        Self::Kw(AesSize::Bits192),
        Self::Kw(AesSize::Bits256),
        Self::CkmAesKeyWrap,
        Self::CkmAesKeyWrapPad,
    ];

    /// The protocol's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        use AesSize::{Bits128, Bits192, Bits256};
        match self {
            Self::Rsa15 => "RSA1_5",
            Self::RsaOaep => "RSA-OAEP",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::Gcm(Bits128) => "A128GCM",
            Self::Gcm(Bits192) => "A192GCM",
            Self::Gcm(Bits256) => "A256GCM",
            Self::Cbc(Bits128) => "A128CBC",
            Self::Cbc(Bits192) => "A192CBC",
            Self::Cbc(Bits256) => "A256CBC",
            Self::CbcPad(Bits128) => "A128CBCPAD",
            Self::CbcPad(Bits192) => "A192CBCPAD",
            Self::CbcPad(Bits256) => "A256CBCPAD",
            Self::Kw(Bits128) => "A128KW",
            Self::Kw(Bits192) => "A192KW",
            Self::Kw(Bits256) => "A256KW",
            Self::CkmAesKeyWrap => "CKM_AES_KEY_WRAP",
            Self::CkmAesKeyWrapPad => "CKM_AES_KEY_WRAP_PAD",
        }
    }

    /// The algorithm of this name. Case matters.
    ///
    /// # Errors
    /// [`KeyOperationError::AlgorithmUnknown`].
    pub fn parse(name: &str) -> Result<Self, KeyOperationError> {
        Self::ALL.into_iter().find(|one| one.name() == name).ok_or(KeyOperationError::AlgorithmUnknown)
    }

    /// Whether a key like this can use the algorithm. An AES algorithm is of one size, which must be the key's.
    #[must_use]
    pub fn fits(self, key: KeySpec) -> bool {
        match self {
            Self::Rsa15 | Self::RsaOaep | Self::RsaOaep256 => matches!(key, KeySpec::Rsa(_)),
            Self::Gcm(size) | Self::Cbc(size) | Self::CbcPad(size) | Self::Kw(size) => {
                key == KeySpec::Oct(size)
            }
            Self::CkmAesKeyWrap | Self::CkmAesKeyWrapPad => matches!(key, KeySpec::Oct(_)),
        }
    }

    /// Whether the algorithm is one for this operation: RSA is for all four, AES-GCM and AES-CBC for values, AES key wrap for keys.
    #[must_use]
    pub const fn allows(self, operation: Operation) -> bool {
        let (for_values, for_keys) = match self {
            Self::Rsa15 | Self::RsaOaep | Self::RsaOaep256 => (true, true),
            Self::Gcm(_) | Self::Cbc(_) | Self::CbcPad(_) => (true, false),
            Self::Kw(_) | Self::CkmAesKeyWrap | Self::CkmAesKeyWrapPad => (false, true),
        };
        match operation {
            Operation::Encrypt | Operation::Decrypt => for_values,
            Operation::WrapKey | Operation::UnwrapKey => for_keys,
            Operation::Sign | Operation::Verify => false,
        }
    }

    /// Succeeds if the algorithm is one for the key and for the operation.
    pub(super) fn require(self, key: KeySpec, operation: Operation) -> Result<(), KeyOperationError> {
        if !self.fits(key) {
            return Err(KeyOperationError::AlgorithmNotForKey { algorithm: self.name(), key });
        }
        if !self.allows(operation) {
            return Err(KeyOperationError::AlgorithmNotForOperation { algorithm: self.name(), operation });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_are_distinct() {
        let mut names = std::collections::BTreeSet::new();
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(SignatureAlgorithm::parse(algorithm.name()), Ok(algorithm));
            assert!(names.insert(algorithm.name()));
        }
        for algorithm in EncryptionAlgorithm::ALL {
            assert_eq!(EncryptionAlgorithm::parse(algorithm.name()), Ok(algorithm));
            assert!(names.insert(algorithm.name()));
        }
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.name()), Some(operation));
        }
    }

    #[test]
    fn other_names_are_unknown() {
        for name in ["", "none", "rs256", "RS1", "RS256 ", "ES256k", "HS1", "EdDSA", "RSA-OAEP"] {
            assert_eq!(SignatureAlgorithm::parse(name), Err(KeyOperationError::AlgorithmUnknown), "{name}");
        }
        for name in ["", "dir", "RSA1_5 ", "rsa-oaep", "RSA-OAEP-512", "A128", "A512GCM", "A128CBC-HS256"] {
            assert_eq!(EncryptionAlgorithm::parse(name), Err(KeyOperationError::AlgorithmUnknown), "{name}");
        }
        assert_eq!(Operation::parse("wrapkey"), None);
    }

    /// The table of the reference, section 10.6, written out: an independent statement of it.
    #[test]
    fn each_key_has_its_algorithms() {
        let check = |key: KeySpec, signs: &str, encrypts: &str, wraps: &str| {
            let signers = SignatureAlgorithm::ALL.into_iter().filter(|one| one.fits(key));
            assert_eq!(signers.map(SignatureAlgorithm::name).collect::<Vec<_>>().join(" "), signs, "{key}");
            for (operations, expected) in [
                ([Operation::Encrypt, Operation::Decrypt], encrypts),
                ([Operation::WrapKey, Operation::UnwrapKey], wraps),
            ] {
                for operation in operations {
                    let fit = EncryptionAlgorithm::ALL
                        .into_iter()
                        .filter(|one| one.require(key, operation).is_ok())
                        .map(EncryptionAlgorithm::name);
                    assert_eq!(fit.collect::<Vec<_>>().join(" "), expected, "{key} {operation:?}");
                }
            }
        };
        let rsa = "RSA1_5 RSA-OAEP RSA-OAEP-256";
        for size in super::super::RsaSize::ALL {
            check(KeySpec::Rsa(size), "RS256 RS384 RS512 PS256 PS384 PS512 RSNULL", rsa, rsa);
        }
        check(KeySpec::Ec(Curve::P256), "ES256", "", "");
        check(KeySpec::Ec(Curve::P256K), "ES256K", "", "");
        check(KeySpec::Ec(Curve::P384), "ES384", "", "");
        check(KeySpec::Ec(Curve::P521), "ES512", "", "");
        for size in AesSize::ALL {
            let bits = size.bits();
            check(
                KeySpec::Oct(size),
                "HS256 HS384 HS512",
                &format!("A{bits}GCM A{bits}CBC A{bits}CBCPAD"),
                &format!("A{bits}KW CKM_AES_KEY_WRAP CKM_AES_KEY_WRAP_PAD"),
            );
        }
    }

    #[test]
    fn nothing_encrypts_by_signing() {
        for algorithm in EncryptionAlgorithm::ALL {
            assert!(!algorithm.allows(Operation::Sign) && !algorithm.allows(Operation::Verify));
        }
    }

    #[test]
    fn digests_have_one_length() {
        let error = SignatureAlgorithm::Rs256.require_digest(&[0; 10]);
        let expected = KeyOperationError::DigestLength { algorithm: "RS256", expected: 32, found: 10 };
        assert_eq!(error, Err(expected));
        for algorithm in SignatureAlgorithm::ALL {
            let Some(expected) = algorithm.digest_bytes() else { continue };
            for found in [0, 20, 31, 32, 33, 47, 48, 49, 63, 64, 65] {
                let is_right = algorithm.require_digest(&vec![0; found]).is_ok();
                assert_eq!(is_right, found == expected, "{algorithm:?} {found}");
            }
        }
    }
}
