//! What a certificate's key may be used for: the nine bits of X.509 (RFC 5280 section 4.2.1.3) by Key Vault's names, and object
//! identifiers, by which the extended usages are named (section 4.2.1.12).
//!
//! Owns: [`KeyUsage`], [`KeyUsages`], [`Oid`]. Owns not: which operations of a key follow from which usage (`vault`).

use super::CertificateError;
use der::{flagset::FlagSet, oid::ObjectIdentifier};
use std::{fmt, str::FromStr};
use x509_cert::ext::pkix;

/// Characters of an object identifier in dotted form. Ours: the longest of PKIX is below 40.
pub const OID_CHARACTERS_MAX: usize = 128;

/// One of the nine key usages of X.509, in the order of their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyUsage {
    /// Signatures other than on certificates and lists of revoked ones.
    DigitalSignature,
    /// Signatures that bind the signer; later named contentCommitment.
    NonRepudiation,
    /// Encrypts keys.
    KeyEncipherment,
    /// Encrypts data, without a key between.
    DataEncipherment,
    /// Agrees on keys, such as by ECDH.
    KeyAgreement,
    /// Signs certificates.
    KeyCertSign,
    /// Signs lists of revoked certificates.
    CrlSign,
    /// With `KeyAgreement`: only to encrypt.
    EncipherOnly,
    /// With `KeyAgreement`: only to decrypt.
    DecipherOnly,
}

impl KeyUsage {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::DigitalSignature,
        Self::NonRepudiation,
        Self::KeyEncipherment,
        Self::DataEncipherment,
        Self::KeyAgreement,
        Self::KeyCertSign,
        Self::CrlSign,
        Self::EncipherOnly,
        Self::DecipherOnly,
    ];

    /// The name that X.509 and Key Vault give it. Source: Key Vault OpenAPI, `KeyUsageType`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DigitalSignature => "digitalSignature",
            Self::NonRepudiation => "nonRepudiation",
            Self::KeyEncipherment => "keyEncipherment",
            Self::DataEncipherment => "dataEncipherment",
            Self::KeyAgreement => "keyAgreement",
            Self::KeyCertSign => "keyCertSign",
            Self::CrlSign => "cRLSign",
            Self::EncipherOnly => "encipherOnly",
            Self::DecipherOnly => "decipherOnly",
        }
    }

    /// The usage of a name, in any case (the official documents write both `cRLSign` and `crlSign`).
    ///
    /// # Errors
    /// [`CertificateError::KeyUsageUnknown`].
    pub fn parse(name: &str) -> Result<Self, CertificateError> {
        Self::ALL
            .into_iter()
            .find(|usage| usage.name().eq_ignore_ascii_case(name))
            .ok_or(CertificateError::KeyUsageUnknown)
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of key usages.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyUsages(u16);

impl KeyUsages {
    /// Whether it has none: such a certificate has no extension for it, and so no limit.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a usage is in it.
    #[must_use]
    pub const fn contains(self, usage: KeyUsage) -> bool {
        self.0 & usage.bit() != 0
    }

    /// The usages in it, in the order of X.509.
    pub fn iter(self) -> impl Iterator<Item = KeyUsage> {
        KeyUsage::ALL.into_iter().filter(move |usage| self.contains(*usage))
    }

    pub(super) fn to_extension(self) -> pkix::KeyUsage {
        pkix::KeyUsage(FlagSet::new_truncated(self.0))
    }

    pub(super) fn from_extension(extension: pkix::KeyUsage) -> Self {
        Self(extension.0.bits())
    }
}

impl FromIterator<KeyUsage> for KeyUsages {
    fn from_iter<T: IntoIterator<Item = KeyUsage>>(usages: T) -> Self {
        Self(usages.into_iter().fold(0, |bits, usage| bits | usage.bit()))
    }
}

impl fmt::Debug for KeyUsages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

/// An object identifier, such as `1.3.6.1.5.5.7.3.1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(pub(super) ObjectIdentifier);

impl Oid {
    /// A TLS server's certificate (RFC 5280 section 4.2.1.12).
    pub const SERVER_AUTH: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"));
    /// A TLS client's certificate (the same section).
    pub const CLIENT_AUTH: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"));
}

impl FromStr for Oid {
    type Err = CertificateError;

    /// # Errors
    /// [`CertificateError::ObjectIdentifier`].
    fn from_str(dotted: &str) -> Result<Self, CertificateError> {
        if dotted.len() > OID_CHARACTERS_MAX {
            return Err(CertificateError::ObjectIdentifier { why: "it is too long" });
        }
        ObjectIdentifier::new(dotted)
            .map(Self)
            .map_err(|_| CertificateError::ObjectIdentifier { why: "it is not dotted decimal" })
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Oid({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use der::{Decode as _, Encode as _};

    #[test]
    fn names_are_read_and_sets_are_in_order() {
        for usage in KeyUsage::ALL {
            assert_eq!(KeyUsage::parse(usage.name()), Ok(usage));
        }
        assert_eq!(KeyUsage::parse("crlSign"), Ok(KeyUsage::CrlSign));
        assert_eq!(KeyUsage::parse("sign"), Err(CertificateError::KeyUsageUnknown));
        let usages: KeyUsages = [KeyUsage::DecipherOnly, KeyUsage::DigitalSignature].into_iter().collect();
        assert_eq!(format!("{usages:?}"), "{DigitalSignature, DecipherOnly}");
        assert!(!usages.is_empty() && KeyUsages::default().is_empty());
    }

    #[test]
    fn bits_are_those_of_x509() {
        // BIT STRING, bits from the left, zeroes at the end left out (X.690 section 11.2.2).
        for (usages, der) in [
            (vec![KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment], vec![3, 2, 5, 0xa0]),
            (vec![KeyUsage::DecipherOnly], vec![3, 3, 7, 0, 0x80]),
            (KeyUsage::ALL.to_vec(), vec![3, 3, 7, 0xff, 0x80]),
        ] {
            let set: KeyUsages = usages.into_iter().collect();
            assert_eq!(set.to_extension().to_der().unwrap(), der);
            assert_eq!(KeyUsages::from_extension(pkix::KeyUsage::from_der(&der).unwrap()), set);
        }
    }

    #[test]
    fn identifiers_are_dotted_decimal() {
        for good in ["1.3.6.1.5.5.7.3.1", "2.5.29.37.0", "1.3.6.1.4.1.311.10.3.12"] {
            assert_eq!(good.parse::<Oid>().unwrap().to_string(), good);
        }
        for bad in ["", "1", "3.1", "1.", ".1", "1..2", "1.40", "a.b", "1.2.99999999999", "1.2 "] {
            assert!(bad.parse::<Oid>().is_err(), "{bad}");
        }
        assert!(format!("1{}", ".1".repeat(64)).parse::<Oid>().is_err());
    }
}
