//! A certificate with its private key, as it is made, merged or imported, before it is anybody's version. No store, no vault.
//!
//! Owns: making one as a policy says, taking one in, the value of its secret. Owns not: where it is written (`composed`).

use super::{CertificateFault, CertificatePolicy, ContentType};
use crate::VaultError;
use crypt::{
    Authority, CryptError,
    certificate::{self, CertificateError, CertificateProfile, Imported, ParsedCertificate, Reserved},
    encoding,
    keys::PrivateKey,
};
use domain::{Entropy, Secret, Timestamp};

/// A certificate with its private key.
pub(crate) struct Material {
    /// The key, as a version of a key holds it.
    pub(crate) key: PrivateKey,
    /// The same, PKCS#8 DER.
    pub(crate) pkcs8: Secret<Vec<u8>>,
    /// The certificate.
    pub(crate) leaf: ParsedCertificate,
    /// All that belong to it, with itself, in the order in which the secret holds them.
    pub(crate) chain: Vec<Vec<u8>>,
}

/// A fresh key that a policy asks for, PKCS#8 DER. An RSA key takes its time.
pub(crate) fn fresh_key(
    policy: &CertificatePolicy,
    entropy: &dyn Entropy,
) -> Result<Secret<Vec<u8>>, VaultError> {
    let key = PrivateKey::generate(policy.key.spec, entropy)?;
    pkcs8_of(&key)
}

/// A key of a version, PKCS#8 DER.
pub(crate) fn pkcs8_of(key: &PrivateKey) -> Result<Secret<Vec<u8>>, VaultError> {
    key.to_pkcs8()?.ok_or_else(|| CryptError::Malformed { what: "stored key" }.into())
}

/// The request for a certificate, PKCS#10 DER.
pub(crate) fn request(profile: &CertificateProfile, pkcs8: &Secret<Vec<u8>>) -> Result<Vec<u8>, VaultError> {
    Ok(certificate::request(profile, pkcs8).map_err(CertificateFault::from)?)
}

impl Material {
    fn new(pkcs8: Secret<Vec<u8>>, leaf: ParsedCertificate, chain: Vec<Vec<u8>>) -> Result<Self, VaultError> {
        let key = PrivateKey::import_pkcs8(&pkcs8).map_err(CertificateFault::from)?;
        // Whatever form it came in, it is kept in one.
        let pkcs8 = pkcs8_of(&key)?;
        Ok(Self { key, pkcs8, leaf, chain })
    }

    fn of_chain(pkcs8: &Secret<Vec<u8>>, chain: Vec<Vec<u8>>) -> Result<Self, VaultError> {
        let leaf =
            chain.first().ok_or(CertificateError::CertificateMissing).map_err(CertificateFault::from)?;
        let leaf = ParsedCertificate::from_der(leaf).map_err(CertificateFault::from)?;
        Self::new(pkcs8.duplicate(), leaf, chain)
    }

    /// Signed by its own key.
    pub(crate) fn self_signed(
        profile: &CertificateProfile,
        pkcs8: &Secret<Vec<u8>>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, VaultError> {
        let chain = certificate::self_signed(profile, pkcs8, now, entropy).map_err(CertificateFault::from)?;
        Self::of_chain(pkcs8, chain)
    }

    /// Signed by the vault's own authority, which does not sign the server's names.
    pub(crate) fn issued(
        authority: &Authority,
        reserved: &Reserved<'_>,
        profile: &CertificateProfile,
        pkcs8: &Secret<Vec<u8>>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, VaultError> {
        let key = certificate::PrivateKey::from_pkcs8(pkcs8).map_err(CertificateFault::from)?;
        let chain = certificate::issue_from(authority, reserved, profile, key.public_key(), now, entropy);
        Self::of_chain(pkcs8, chain.map_err(CertificateFault::from)?)
    }

    /// Signed by somebody else: one of the certificates is of the pending key, the others are those above it.
    pub(crate) fn merged(
        pkcs8: &Secret<Vec<u8>>,
        certificates: &[Vec<u8>],
        keep_order: bool,
    ) -> Result<Self, VaultError> {
        let key = certificate::PrivateKey::from_pkcs8(pkcs8).map_err(CertificateFault::from)?;
        let ders = certificates.iter().map(Vec::as_slice);
        let chain = certificate::read_chain(ders, key.public_key()).map_err(CertificateFault::from)?;
        let leaf = chain.first().cloned().ok_or(CertificateError::CertificateMissing);
        let leaf = leaf.map_err(CertificateFault::from)?;
        let chain = match keep_order {
            true => certificates.to_vec(),
            false => chain.into_iter().map(|one| one.der).collect(),
        };
        Self::new(pkcs8.duplicate(), leaf, chain)
    }

    /// From a PFX in base64, or from PEM: as text, or in base64 as the SDKs and `az` send whatever is in a file.
    pub(crate) fn imported(
        value: &Secret<String>,
        password: Option<&Secret<String>>,
        form: ContentType,
        keep_order: bool,
    ) -> Result<Self, VaultError> {
        let imported = match form {
            ContentType::Pem if is_pem(value) => {
                certificate::read_pem(value, password).map_err(CertificateFault::from)?
            }
            ContentType::Pem => {
                let malformed = || CertificateFault::Malformed { what: "the PEM, as text or in base64," };
                let bytes = from_base64(value).map_err(|_| malformed())?;
                let text = std::str::from_utf8(bytes.expose()).map_err(|_| malformed())?;
                certificate::read_pem(&Secret::new(text.to_owned()), password)
                    .map_err(CertificateFault::from)?
            }
            ContentType::Pkcs12 => {
                let pfx = from_base64(value)
                    .map_err(|_| CertificateFault::Malformed { what: "the base64 of the PFX" })?;
                certificate::read_pfx(&pfx, password).map_err(CertificateFault::from)?
            }
        };
        let leaf = imported.leaf().cloned().ok_or(CertificateError::CertificateMissing);
        let leaf = leaf.map_err(CertificateFault::from)?;
        let ders = |chain: Vec<ParsedCertificate>| chain.into_iter().map(|one| one.der).collect();
        let chain = if keep_order { ders(imported.certificates.clone()) } else { ders(imported.chain()) };
        let Imported { key_pkcs8, .. } = imported;
        Self::new(key_pkcs8, leaf, chain)
    }

    /// What its secret holds.
    pub(crate) fn secret_value(
        &self,
        policy: &CertificatePolicy,
        entropy: &dyn Entropy,
    ) -> Result<Secret<String>, VaultError> {
        let key = policy.key.exportable.then_some(&self.pkcs8);
        secret_value(policy.content_type, key, &self.chain, entropy)
    }
}

/// A certificate in one of the forms of its secret.
pub(crate) fn secret_value(
    form: ContentType,
    key: Option<&Secret<Vec<u8>>>,
    chain: &[Vec<u8>],
    entropy: &dyn Entropy,
) -> Result<Secret<String>, VaultError> {
    match form {
        ContentType::Pem => Ok(certificate::write_pem(key, chain).map_err(CertificateFault::from)?),
        ContentType::Pkcs12 => {
            let pfx = certificate::write_pfx(key, chain, entropy).map_err(CertificateFault::from)?;
            Ok(Secret::new(encoding::base64(pfx.expose())))
        }
    }
}

/// In which form a certificate comes, if nobody said: DER has no such line.
pub(crate) fn form_of(value: &Secret<String>) -> ContentType {
    let is_pem_below =
        |bytes: Secret<Vec<u8>>| bytes.expose().windows(PEM.len()).any(|some| some == PEM.as_bytes());
    match is_pem(value) || from_base64(value).is_ok_and(is_pem_below) {
        true => ContentType::Pem,
        false => ContentType::Pkcs12,
    }
}

const PEM: &str = "-----BEGIN ";

fn is_pem(value: &Secret<String>) -> bool {
    value.expose().contains(PEM)
}

/// Bytes of a file in base64, in lines or in one.
fn from_base64(value: &Secret<String>) -> Result<Secret<Vec<u8>>, CryptError> {
    let text = value.expose();
    // Room for all of it at once: a text that grows leaves copies behind.
    let mut bare = Vec::with_capacity(text.len());
    bare.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    encoding::from_base64(Secret::new(bare).expose()).map(Secret::new)
}
