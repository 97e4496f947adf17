//! EC keys: ECDSA on four curves, signatures as the two integers side by side (RFC 7518 section 3.4, RFC 8812 section 3.2), not as DER.
//!
//! Owns: both halves of one key, ready to work. Owns not: which algorithm belongs to which curve (`algorithm`), the JWK (`jwk`).
//! Aws-lc checks that a point is on its curve and belongs to the private scalar, and takes its nonces from its own generator.

use super::{Curve, KeyImportFault, KeyOperationError, SignatureAlgorithm, jwk::EcParts, rsa::strip_zeros};
use crate::CryptError;
use aws_lc_rs::{
    digest::{self, Digest},
    encoding::{AsBigEndian as _, AsDer as _, EcPrivateKeyBin},
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _, ParsedPublicKey,
    },
};
use domain::Secret;
use zeroize::Zeroizing;

/// The first byte of a point that is written with both coordinates (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The private half.
pub(super) struct EcPrivateKey {
    pair: EcdsaKeyPair,
    curve: Curve,
}

/// The public half.
pub(super) struct EcPublicKey {
    parsed: ParsedPublicKey,
    point: Vec<u8>,
    curve: Curve,
}

impl EcPrivateKey {
    /// A fresh key.
    pub(super) fn generate(curve: Curve) -> Result<Self, CryptError> {
        let pair = EcdsaKeyPair::generate(signing(curve))
            .map_err(|_| CryptError::Unavailable { what: "making an EC key" })?;
        Ok(Self { pair, curve })
    }

    /// From the members of a JWK: the coordinates and the private scalar, of which the first two must follow from the third.
    pub(super) fn from_parts(parts: &EcParts<'_>) -> Result<Self, KeyImportFault> {
        let curve = parts.curve;
        let point = point(curve, parts.x, parts.y)?;
        let mut scalar = Zeroizing::new(Vec::with_capacity(curve.field_bytes()));
        push_padded(&mut scalar, "d", parts.d, curve)?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(signing(curve), &scalar, &point)
            .map_err(|_| KeyImportFault::Inconsistent)?;
        Ok(Self { pair, curve })
    }

    /// From PKCS#8 (RFC 5958) of a key of this curve.
    pub(super) fn from_pkcs8(curve: Curve, pkcs8: &Secret<Vec<u8>>) -> Result<Self, KeyImportFault> {
        let pair = EcdsaKeyPair::from_pkcs8(signing(curve), pkcs8.expose())
            .map_err(|_| KeyImportFault::Unreadable)?;
        Ok(Self { pair, curve })
    }

    pub(super) fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, CryptError> {
        let der =
            self.pair.to_pkcs8v1().map_err(|_| CryptError::Unavailable { what: "writing an EC key" })?;
        Ok(Secret::new(der.as_ref().to_vec()))
    }

    /// The private scalar, as long as the curve's field.
    pub(super) fn scalar(&self) -> Result<Secret<Vec<u8>>, CryptError> {
        let bytes: EcPrivateKeyBin<'_> = self
            .pair
            .private_key()
            .as_be_bytes()
            .map_err(|_| CryptError::Unavailable { what: "writing an EC key" })?;
        Ok(Secret::new(bytes.as_ref().to_vec()))
    }

    pub(super) fn public(&self) -> Result<EcPublicKey, KeyImportFault> {
        EcPublicKey::from_point(self.curve, self.pair.public_key().as_ref().to_vec())
    }

    pub(super) const fn curve(&self) -> Curve {
        self.curve
    }

    /// Signs a digest whose length was checked.
    pub(super) fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
    ) -> Result<Vec<u8>, KeyOperationError> {
        let unavailable = KeyOperationError::Unavailable { algorithm: algorithm.name() };
        Digest::import_less_safe(digest, hash(self.curve))
            .and_then(|digest| self.pair.sign_digest(&digest))
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| unavailable)
    }
}

impl EcPublicKey {
    /// From the members of a JWK.
    pub(super) fn from_parts(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyImportFault> {
        Self::from_point(curve, point(curve, x, y)?)
    }

    fn from_point(curve: Curve, point: Vec<u8>) -> Result<Self, KeyImportFault> {
        let parsed =
            ParsedPublicKey::new(verifying(curve), &point).map_err(|_| KeyImportFault::Inconsistent)?;
        Ok(Self { parsed, point, curve })
    }

    /// Both coordinates, each as long as the field.
    pub(super) fn coordinates(&self) -> (&[u8], &[u8]) {
        self.point.split_first().map_or((&[], &[]), |(_, both)| both.split_at(both.len() / 2))
    }

    pub(super) fn spki(&self) -> Result<Vec<u8>, CryptError> {
        let der =
            self.parsed.as_der().map_err(|_| CryptError::Unavailable { what: "writing a public key" })?;
        Ok(der.as_ref().to_vec())
    }

    pub(super) const fn curve(&self) -> Curve {
        self.curve
    }

    /// Whether this is the key's signature of a digest whose length was checked.
    pub(super) fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyOperationError> {
        let digest = Digest::import_less_safe(digest, hash(self.curve))
            .map_err(|_| KeyOperationError::Unavailable { algorithm: algorithm.name() })?;
        Ok(self.parsed.verify_digest_sig(&digest, signature).is_ok())
    }
}

const fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        Curve::P256K => &signature::ECDSA_P256K1_SHA256_FIXED_SIGNING,
    }
}

const fn verifying(curve: Curve) -> &'static EcdsaVerificationAlgorithm {
    match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED,
        Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED,
        Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        Curve::P256K => &signature::ECDSA_P256K1_SHA256_FIXED,
    }
}

const fn hash(curve: Curve) -> &'static digest::Algorithm {
    match curve {
        Curve::P256 | Curve::P256K => &digest::SHA256,
        Curve::P384 => &digest::SHA384,
        Curve::P521 => &digest::SHA512,
    }
}

fn point(curve: Curve, x: &[u8], y: &[u8]) -> Result<Vec<u8>, KeyImportFault> {
    let mut point = Vec::with_capacity(1 + 2 * curve.field_bytes());
    point.push(UNCOMPRESSED);
    push_padded(&mut point, "x", x, curve)?;
    push_padded(&mut point, "y", y, curve)?;
    Ok(point)
}

/// Appends an integer at the field's length. RFC 7518 section 6.2.1.2 wants it so already; not all clients do it.
fn push_padded(
    bytes: &mut Vec<u8>,
    member: &'static str,
    integer: &[u8],
    curve: Curve,
) -> Result<(), KeyImportFault> {
    let most = curve.field_bytes();
    let integer = strip_zeros(integer);
    let padding = most.checked_sub(integer.len()).ok_or(KeyImportFault::MemberLength { member, most })?;
    bytes.resize(bytes.len() + padding, 0);
    bytes.extend_from_slice(integer);
    Ok(())
}
