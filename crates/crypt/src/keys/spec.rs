//! What a key is: its type, and its size or curve, in the protocol's words (RFC 7518 section 6; Key Vault "About keys").
//!
//! Owns: the closed list of what the vault can make and use, and the names of it. Owns not: which algorithm fits (`algorithm`), and the
//! `-HSM` forms of the types, which are the caller's to strip and to echo: to software they mean the same key.

use std::fmt;

/// The type of a key, `kty` in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `RSA`.
    Rsa,
    /// `EC`: an elliptic curve key that signs.
    Ec,
    /// `oct`: a symmetric key.
    Oct,
}

impl KeyType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::Rsa, Self::Ec, Self::Oct];

    /// The protocol's name (RFC 7518 section 6.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Ec => "EC",
            Self::Oct => "oct",
        }
    }

    /// The type of this name, if there is one. Case matters, as in RFC 7517 section 4.1.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// Size of an RSA key's modulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RsaSize {
    /// 2048 bits, Key Vault's default.
    Bits2048,
    /// 3072 bits.
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

impl RsaSize {
    /// All sizes.
    pub const ALL: [Self; 3] = [Self::Bits2048, Self::Bits3072, Self::Bits4096];

    /// The size in bits.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::Bits2048 => 2_048,
            Self::Bits3072 => 3_072,
            Self::Bits4096 => 4_096,
        }
    }

    /// The size in bytes: of a signature and of a ciphertext too.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bits() / 8
    }

    /// The size of so many bits, if Key Vault has it.
    #[must_use]
    pub fn from_bits(bits: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.bits() == bits)
    }
}

/// Size of a symmetric key: those of AES (FIPS 197).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AesSize {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
}

impl AesSize {
    /// All sizes.
    pub const ALL: [Self; 3] = [Self::Bits128, Self::Bits192, Self::Bits256];

    /// The size in bits.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::Bits128 => 128,
            Self::Bits192 => 192,
            Self::Bits256 => 256,
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bits() / 8
    }

    /// The size of so many bits, if AES has it.
    #[must_use]
    pub fn from_bits(bits: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.bits() == bits)
    }
}

/// The curve of an EC key, `crv` in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256 (secp256r1), Key Vault's default.
    P256,
    /// NIST P-384 (secp384r1).
    P384,
    /// NIST P-521 (secp521r1).
    P521,
    /// SECG secp256k1. Key Vault says `P-256K`, RFC 8812 `secp256k1`.
    P256K,
}

impl Curve {
    /// All curves.
    pub const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::P256K];

    /// The protocol's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::P256K => "P-256K",
        }
    }

    /// The curve of this name, if there is one. Case matters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Bytes of a coordinate, of the private scalar, and of each half of a signature.
    #[must_use]
    pub const fn field_bytes(self) -> usize {
        match self {
            Self::P256 | Self::P256K => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// Type and size of a key: all that is needed to make one like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeySpec {
    /// An RSA key with public exponent 65537.
    Rsa(RsaSize),
    /// An EC key.
    Ec(Curve),
    /// A symmetric key.
    Oct(AesSize),
}

impl KeySpec {
    /// Every key that can be made.
    pub fn all() -> impl Iterator<Item = Self> {
        let rsa = RsaSize::ALL.into_iter().map(Self::Rsa);
        rsa.chain(Curve::ALL.into_iter().map(Self::Ec)).chain(AesSize::ALL.into_iter().map(Self::Oct))
    }

    /// The key's type.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Rsa(_) => KeyType::Rsa,
            Self::Ec(_) => KeyType::Ec,
            Self::Oct(_) => KeyType::Oct,
        }
    }
}

/// For messages: `RSA 2048`, `EC P-256`, `oct 256`.
impl fmt::Display for KeySpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.key_type().name();
        match self {
            Self::Rsa(size) => write!(formatter, "{name} {}", size.bits()),
            Self::Ec(curve) => write!(formatter, "{name} {}", curve.name()),
            Self::Oct(size) => write!(formatter, "{name} {}", size.bits()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_read_back() {
        for curve in Curve::ALL {
            assert_eq!(Curve::parse(curve.name()), Some(curve));
        }
        for key_type in KeyType::ALL {
            assert_eq!(KeyType::parse(key_type.name()), Some(key_type));
        }
        for size in RsaSize::ALL {
            assert_eq!(RsaSize::from_bits(size.bits()), Some(size));
        }
        for size in AesSize::ALL {
            assert_eq!(AesSize::from_bits(size.bits()), Some(size));
        }
        assert_eq!(KeySpec::all().count(), 10);
    }

    #[test]
    fn what_the_vault_has_not_is_none() {
        for name in ["", "p-256", "P-224", "secp256k1", "SECP256K1", "P-256 "] {
            assert_eq!(Curve::parse(name), None, "{name}");
        }
        for name in ["", "rsa", "RSA-HSM", "OKP", "Oct"] {
            assert_eq!(KeyType::parse(name), None, "{name}");
        }
        for bits in [0, 512, 1_024, 2_047, 2_049, 8_192] {
            assert_eq!(RsaSize::from_bits(bits), None, "{bits}");
        }
        for bits in [0, 64, 127, 512] {
            assert_eq!(AesSize::from_bits(bits), None, "{bits}");
        }
    }

    #[test]
    fn specs_print_for_people() {
        let shown: Vec<_> = KeySpec::all().map(|spec| spec.to_string()).collect();
        assert_eq!(
            shown.join(", "),
            "RSA 2048, RSA 3072, RSA 4096, EC P-256, EC P-384, EC P-521, EC P-256K, oct 128, oct 192, oct 256"
        );
    }
}
