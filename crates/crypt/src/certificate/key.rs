//! The keys of certificates: a private key that signs, a public key as certificates hold it (SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7).
//!
//! Owns: which kinds and sizes are accepted, which signature algorithm each signs with. Owns not: making keys, and the operations that a
//! vault offers with them. The private part is read and held by aws-lc, which zeroizes it; P-256K is as good as the others to it.

use super::CertificateError;
use crate::keys::PublicJwk;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{
        self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1,
        ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
        ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
        VerificationAlgorithm,
    },
};
use der::{
    Any, AnyRef, Decode as _, Encode as _, Sequence, SliceReader,
    asn1::{BitStringRef, OctetStringRef, UintRef},
    oid::ObjectIdentifier,
};
use domain::Secret;
use pkcs8::PrivateKeyInfoRef;
use std::fmt;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

/// Bytes of a private key's PKCS#8 DER. Ours: RSA of 4096 bits takes 2.4 KB, of 16384 bits 9.3 KB.
pub const PRIVATE_KEY_BYTES_MAX: usize = 16 * 1024;
/// Bits of an RSA modulus that are accepted. Source: Key Vault, about keys (key types and sizes).
pub const RSA_BITS: [u32; 3] = [2048, 3072, 4096];

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// The elliptic curves that are accepted, by Key Vault's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256 (secp256r1).
    P256,
    /// secp256k1.
    P256K,
    /// NIST P-384 (secp384r1).
    P384,
    /// NIST P-521 (secp521r1).
    P521,
}

impl Curve {
    const ALL: [Self; 4] = [Self::P256, Self::P256K, Self::P384, Self::P521];

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::P256 => ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
            Self::P256K => ObjectIdentifier::new_unwrap("1.3.132.0.10"),
            Self::P384 => ObjectIdentifier::new_unwrap("1.3.132.0.34"),
            Self::P521 => ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        }
    }

    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid() == oid)
    }

    /// ECDSA with the hash of the curve's size (RFC 5758 section 3.2): what it signs with, verifies with, and its name in a certificate.
    fn algorithms(
        self,
    ) -> (&'static EcdsaSigningAlgorithm, &'static dyn VerificationAlgorithm, ObjectIdentifier) {
        const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
        const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
        const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
        match self {
            Self::P256 => (&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_ASN1, SHA256),
            Self::P256K => (&ECDSA_P256K1_SHA256_ASN1_SIGNING, &ECDSA_P256K1_SHA256_ASN1, SHA256),
            Self::P384 => (&ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1, SHA384),
            Self::P521 => (&ECDSA_P521_SHA512_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1, SHA512),
        }
    }
}

/// What kind of key a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
    /// An elliptic curve of ours.
    Ec(Curve),
    /// Anything else. Certificates of a chain may have such keys; a key of ours may not.
    Other,
}

/// A public key as certificates hold it.
#[derive(Clone)]
pub struct PublicKey {
    info: SubjectPublicKeyInfoOwned,
    der: Vec<u8>,
    kind: KeyKind,
}

impl PublicKey {
    /// Reads SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// [`CertificateError::KeyMalformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        SubjectPublicKeyInfoOwned::from_der(der)
            .map_err(|_| CertificateError::KeyMalformed)
            .and_then(Self::new)
    }

    pub(super) fn new(info: SubjectPublicKeyInfoOwned) -> Result<Self, CertificateError> {
        // A key is whole bytes. Were it not, two certificates that differ could be of one key.
        info.subject_public_key.as_bytes().ok_or(CertificateError::KeyMalformed)?;
        let kind = kind(&info).ok_or(CertificateError::KeyMalformed)?;
        let der = info.to_der().map_err(|_| CertificateError::KeyMalformed)?;
        Ok(Self { info, der, kind })
    }

    /// SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// An RSA key as a JWK; nothing for keys of other kinds.
    #[must_use]
    pub fn to_jwk(&self) -> Option<PublicJwk> {
        let KeyKind::Rsa { .. } = self.kind else { return None };
        let key = RsaPublicKey::from_der(self.bits()).ok()?;
        Some(PublicJwk::Rsa { n: key.modulus.as_bytes().to_vec(), e: key.exponent.as_bytes().to_vec() })
    }

    /// Its kind and size.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether it is of a kind and size that a vault's key may have.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        match self.kind {
            KeyKind::Rsa { bits } => RSA_BITS.contains(&bits),
            KeyKind::Ec(_) => true,
            KeyKind::Other => false,
        }
    }

    pub(super) const fn info(&self) -> &SubjectPublicKeyInfoOwned {
        &self.info
    }

    /// The bits of the key itself, without the algorithm.
    pub(super) fn bits(&self) -> &[u8] {
        self.info.subject_public_key.raw_bytes()
    }

    /// Checks a signature that this key made with the algorithm that we sign with. `None` if it is an algorithm that we do not sign with.
    pub(super) fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let (verifying, oid): (&dyn VerificationAlgorithm, _) = match self.kind {
            KeyKind::Rsa { .. } => (&RSA_PKCS1_2048_8192_SHA256, SHA256_WITH_RSA),
            KeyKind::Ec(curve) => {
                let (_, verifying, oid) = curve.algorithms();
                (verifying, oid)
            }
            KeyKind::Other => return None,
        };
        let key = UnparsedPublicKey::new(verifying, self.bits());
        (algorithm.oid == oid).then(|| key.verify(message, signature).is_ok())
    }
}

impl PartialEq for PublicKey {
    /// Whether they are the same key, however its algorithm is spelled: some writers leave out RSA's NULL parameters.
    fn eq(&self, other: &Self) -> bool {
        match self.kind {
            KeyKind::Other => self.der == other.der,
            kind => kind == other.kind && self.bits() == other.bits(),
        }
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({:?})", self.kind)
    }
}

/// RSAPublicKey (RFC 8017 appendix A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// `None` if it says that it is RSA and is not.
fn kind(info: &SubjectPublicKeyInfoOwned) -> Option<KeyKind> {
    match info.algorithm.oid {
        RSA => {
            let key = RsaPublicKey::from_der(info.subject_public_key.as_bytes()?).ok()?;
            Some(KeyKind::Rsa { bits: bits(key.modulus)? })
        }
        EC => {
            let curve = info.algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
            Some(curve.and_then(Curve::from_oid).map_or(KeyKind::Other, KeyKind::Ec))
        }
        _ => Some(KeyKind::Other),
    }
}

/// A private key that may be a certificate's: of a kind that is accepted, and readable. Shows nothing.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair, Curve),
}

impl PrivateKey {
    /// Reads PKCS#8 DER (RFC 5208, RFC 5958).
    ///
    /// # Errors
    /// [`CertificateError::KeyMalformed`]; [`CertificateError::KeyUnsupported`] for another kind or size;
    /// [`CertificateError::TooLarge`] above [`PRIVATE_KEY_BYTES_MAX`].
    pub fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<Self, CertificateError> {
        Self::read_pkcs8(pkcs8.expose())
    }

    pub(super) fn read_pkcs8(pkcs8: &[u8]) -> Result<Self, CertificateError> {
        check_size(pkcs8)?;
        let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| CertificateError::KeyMalformed)?;
        match info.algorithm.oid {
            RSA => RsaKeyPair::from_pkcs8(pkcs8)
                .map_err(|_| unreadable_rsa(info.private_key.as_bytes()))
                .and_then(Self::rsa),
            EC => {
                let curve =
                    info.algorithm.parameters_oid().ok().and_then(Curve::from_oid).ok_or(UNSUPPORTED)?;
                let pair = EcdsaKeyPair::from_pkcs8(curve.algorithms().0, pkcs8);
                Self::ec(pair.map_err(|_| CertificateError::KeyMalformed)?, curve)
            }
            _ => Err(UNSUPPORTED),
        }
    }

    /// Reads RSAPrivateKey DER (RFC 8017 appendix A.1.2), as PEM has it below `RSA PRIVATE KEY`.
    pub(super) fn read_pkcs1(pkcs1: &[u8]) -> Result<Self, CertificateError> {
        check_size(pkcs1)?;
        RsaKeyPair::from_der(pkcs1).map_err(|_| unreadable_rsa(pkcs1)).and_then(Self::rsa)
    }

    /// Reads ECPrivateKey DER (RFC 5915), as PEM has it below `EC PRIVATE KEY`.
    pub(super) fn read_sec1(sec1: &[u8]) -> Result<Self, CertificateError> {
        check_size(sec1)?;
        let curve = EcPrivateKey::from_der(sec1)
            .map_err(|_| CertificateError::KeyMalformed)?
            .parameters
            .and_then(Curve::from_oid)
            .ok_or(UNSUPPORTED)?;
        let pair = EcdsaKeyPair::from_private_key_der(curve.algorithms().0, sec1);
        Self::ec(pair.map_err(|_| CertificateError::KeyMalformed)?, curve)
    }

    fn rsa(pair: RsaKeyPair) -> Result<Self, CertificateError> {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| MALFORMED)?;
        let public = PublicKey::from_der(der.as_ref())?;
        if !public.is_supported() {
            return Err(UNSUPPORTED);
        }
        Ok(Self { pair: Pair::Rsa(Box::new(pair)), public })
    }

    fn ec(pair: EcdsaKeyPair, curve: Curve) -> Result<Self, CertificateError> {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| MALFORMED)?;
        let public = PublicKey::from_der(der.as_ref())?;
        Ok(Self { pair: Pair::Ec(pair, curve), public })
    }

    /// Its public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8 DER (version 1, no attributes), whatever form it was read from.
    ///
    /// # Errors
    /// [`CertificateError::Unavailable`].
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, CertificateError> {
        const UNAVAILABLE: CertificateError = CertificateError::Unavailable { what: "writing a private key" };
        let bytes = match &self.pair {
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| UNAVAILABLE)?;
                der.as_ref().to_vec()
            }
            Pair::Ec(pair, _) => pair.to_pkcs8v1().map_err(|_| UNAVAILABLE)?.as_ref().to_vec(),
        };
        Ok(Secret::new(bytes))
    }

    /// The algorithm that [`Self::sign`] uses: PKCS#1 v1.5 with SHA-256 for RSA (what every reader knows), else ECDSA.
    pub(super) fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        match &self.pair {
            // RFC 4055 section 5: RSA has NULL parameters; RFC 5758 section 3.2: ECDSA has none.
            Pair::Rsa(_) => AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA, parameters: Some(Any::null()) },
            Pair::Ec(_, curve) => AlgorithmIdentifierOwned { oid: curve.algorithms().2, parameters: None },
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CertificateError> {
        const UNAVAILABLE: CertificateError = CertificateError::Unavailable { what: "signing" };
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| UNAVAILABLE)?;
                Ok(signature)
            }
            Pair::Ec(pair, _) => {
                let signature: signature::Signature =
                    pair.sign(&SystemRandom::new(), message).map_err(|_| UNAVAILABLE)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({:?})", self.public.kind)
    }
}

const UNSUPPORTED: CertificateError = CertificateError::KeyUnsupported;
const MALFORMED: CertificateError = CertificateError::KeyMalformed;

const fn check_size(bytes: &[u8]) -> Result<(), CertificateError> {
    if bytes.len() > PRIVATE_KEY_BYTES_MAX {
        return Err(CertificateError::TooLarge { what: "the private key" });
    }
    Ok(())
}

/// ECPrivateKey (RFC 5915 section 3): its curve is what we read of it.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    parameters: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    public_key: Option<BitStringRef<'a>>,
}

/// Why aws-lc refused an RSA key: it does not take one of 1024 bits, and whoever has one is to know that.
fn unreadable_rsa(pkcs1: &[u8]) -> CertificateError {
    let bits = || {
        let sequence = AnyRef::from_der(pkcs1).ok()?;
        let mut reader = SliceReader::new(sequence.value()).ok()?;
        u8::decode(&mut reader).ok()?;
        bits(UintRef::decode(&mut reader).ok()?)
    };
    match bits() {
        Some(bits) if !RSA_BITS.contains(&bits) => UNSUPPORTED,
        _ => MALFORMED,
    }
}

fn bits(number: UintRef<'_>) -> Option<u32> {
    let bytes = number.as_bytes();
    Some(u32::try_from(bytes.len()).ok()?.checked_mul(8)? - bytes.first()?.leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::test_files::{leaf_key, other_key, pkcs8, test_file};

    /// A fresh EC key, as the key engine exports it.
    fn fresh(curve: Curve) -> Secret<Vec<u8>> {
        let pair = EcdsaKeyPair::generate(curve.algorithms().0).unwrap();
        Secret::new(pair.to_pkcs8v1().unwrap().as_ref().to_vec())
    }

    #[test]
    fn keys_of_each_kind_sign_what_their_public_key_verifies() {
        let mut keys = vec![
            (KeyKind::Rsa { bits: 2048 }, pkcs8(test_file!("key-1.pem"))),
            (KeyKind::Rsa { bits: 3072 }, pkcs8(test_file!("rsa-3072.pem"))),
            (KeyKind::Rsa { bits: 4096 }, pkcs8(test_file!("rsa-4096.pem"))),
        ];
        keys.extend(Curve::ALL.map(|curve| (KeyKind::Ec(curve), fresh(curve))));
        for (kind, pkcs8) in keys {
            let key = PrivateKey::from_pkcs8(&pkcs8).unwrap();
            let public = PublicKey::from_der(key.public_key().as_der()).unwrap();
            assert_eq!((public.kind(), public.is_supported()), (kind, true));
            assert_eq!(&public, key.public_key());
            let (algorithm, signature) = (key.signature_algorithm(), key.sign(b"message").unwrap());
            assert_eq!(public.verify(&algorithm, b"message", &signature), Some(true));
            assert_eq!(public.verify(&algorithm, b"massage", &signature), Some(false));
            let other = AlgorithmIdentifierOwned { oid: RSA, parameters: None };
            assert_eq!(public.verify(&other, b"message", &signature), None);
            // What it writes is the same key.
            let again = PrivateKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            assert_eq!(format!("{key:?}"), format!("PrivateKey({kind:?})"));
        }
    }

    #[test]
    fn other_kinds_and_sizes_are_unsupported() {
        assert_eq!(PrivateKey::from_pkcs8(&pkcs8(test_file!("rsa-1024.pem"))).err(), Some(UNSUPPORTED));
        assert_eq!(PrivateKey::from_pkcs8(&pkcs8(test_file!("ed25519.pem"))).err(), Some(UNSUPPORTED));
        let large = Secret::new(vec![0x30; PRIVATE_KEY_BYTES_MAX + 1]);
        assert!(matches!(PrivateKey::from_pkcs8(&large), Err(CertificateError::TooLarge { .. })));
    }

    #[test]
    fn what_is_no_key_is_malformed() {
        let whole = pkcs8(test_file!("key-1.pem"));
        let whole = whole.expose();
        for bad in [&[], b"key".as_slice(), &whole[..whole.len() - 1], &[whole.as_slice(), &[0]].concat()] {
            assert_eq!(PrivateKey::read_pkcs8(bad).err(), Some(MALFORMED));
        }
        assert_eq!(PublicKey::from_der(whole).err(), Some(MALFORMED));
        assert_eq!(PrivateKey::read_pkcs1(whole).err(), Some(MALFORMED));
        assert_eq!(PrivateKey::read_sec1(whole).err(), Some(MALFORMED));
    }

    #[test]
    fn keys_are_compared_by_what_they_are() {
        let key = |pkcs8: &Secret<Vec<u8>>| PrivateKey::from_pkcs8(pkcs8).unwrap().public_key().clone();
        assert_eq!(key(&leaf_key()), key(&leaf_key()));
        assert_ne!(key(&leaf_key()), key(&other_key()));
        assert_ne!(key(&leaf_key()), key(&pkcs8(test_file!("key-1.pem"))));
        // RSA without its NULL parameters, as some write it.
        let rsa = key(&pkcs8(test_file!("key-1.pem")));
        let mut info = rsa.info().clone();
        info.algorithm.parameters = None;
        let bare = PublicKey::new(info).unwrap();
        assert!(bare.as_der() != rsa.as_der() && bare == rsa);
    }
}
